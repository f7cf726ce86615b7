//! The paths that Rust code names, with their lines: what the forbidden-call check reads.
//!
//! Tokens come from `proc-macro2`, so comments and strings are never mistaken for code, and a brace
//! always closes what it opened. Code under `#[cfg(test)]` and `#[test]` is left out.

use std::str::FromStr as _;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// One path as written (`std::fs::read`) or as imported (`use std::{fs, io}` gives two), or one keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// At least one segment.
    pub(crate) segments: Vec<String>,
    /// From 1.
    pub(crate) line: usize,
}

/// Lists every path in `source` outside its tests.
///
/// # Errors
/// When `source` is not a sequence of Rust tokens.
pub(crate) fn paths(source: &str) -> Result<Vec<Named>> {
    let stream =
        TokenStream::from_str(source).map_err(|e| anyhow!("these are not Rust tokens: {e}"))?;
    let mut found = Vec::new();
    collect(&trees_outside_tests(stream), &mut found);
    Ok(found)
}

/// Names the modules that `source` declares for tests only, in files of their own: `#[cfg(test)] mod tests;`.
///
/// Nothing when `source` is not a sequence of Rust tokens.
pub(crate) fn test_modules(source: &str) -> Vec<String> {
    let Ok(stream) = TokenStream::from_str(source) else {
        return Vec::new();
    };
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut found = Vec::new();
    let mut for_tests = false;
    let mut rest = trees.as_slice();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (hash, [TokenTree::Group(attribute), ..]) if is_punct(hash, '#') => {
                for_tests |= is_test_attribute(attribute);
            }
            (TokenTree::Ident(word), [TokenTree::Ident(name), end, ..])
                if word == "mod" && for_tests && is_punct(end, ';') =>
            {
                found.push(name.to_string());
            }
            (end, _) if is_end_of_item(end) => for_tests = false,
            _ => {}
        }
    }
    found
}

fn collect(trees: &[TokenTree], found: &mut Vec<Named>) {
    let mut rest = trees;
    while let Some((first, after)) = rest.split_first() {
        match first {
            // `impl Trait + use<'a>` imports nothing.
            TokenTree::Ident(ident)
                if ident == "use" && !after.first().is_some_and(|t| is_punct(t, '<')) =>
            {
                let end = after.iter().position(|t| is_punct(t, ';'));
                let (tree, next) = after.split_at(end.unwrap_or(after.len()));
                imports(tree, &[], found);
                rest = next;
            }
            TokenTree::Ident(_) => rest = path(rest, found),
            TokenTree::Group(group) => {
                collect(&trees_outside_tests(group.stream()), found);
                rest = after;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => rest = after,
        }
    }
}

/// Takes the longest `a::b::c` at the front of `trees` and returns what follows it.
fn path<'t>(trees: &'t [TokenTree], found: &mut Vec<Named>) -> &'t [TokenTree] {
    let mut segments = Vec::new();
    let mut line = 0;
    let mut rest = trees;
    while let Some((TokenTree::Ident(ident), after)) = rest.split_first() {
        if segments.is_empty() {
            line = ident.span().start().line;
        }
        segments.push(ident.to_string());
        rest = after;
        match after_double_colon(after) {
            Some(next) if matches!(next.first(), Some(TokenTree::Ident(_))) => rest = next,
            _ => break,
        }
    }
    found.push(Named { segments, line });
    rest
}

/// Flattens a use tree: `std::{env, fs::File}` becomes `std::env` and `std::fs::File`.
fn imports(trees: &[TokenTree], prefix: &[String], found: &mut Vec<Named>) {
    for part in trees.split(|t| is_punct(t, ',')) {
        let mut segments = prefix.to_vec();
        let mut line = 0;
        let mut nested = false;
        for tree in part {
            match tree {
                // What follows `as` is a local name.
                TokenTree::Ident(ident) if ident == "as" => break,
                TokenTree::Ident(ident) => {
                    segments.push(ident.to_string());
                    line = ident.span().start().line;
                }
                TokenTree::Group(group) => {
                    nested = true;
                    imports(&trees_of(group), &segments, found);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
        if !nested && line > 0 {
            found.push(Named { segments, line });
        }
    }
}

fn trees_of(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

fn is_punct(tree: &TokenTree, wanted: char) -> bool {
    matches!(tree, TokenTree::Punct(p) if p.as_char() == wanted)
}

fn after_double_colon(trees: &[TokenTree]) -> Option<&[TokenTree]> {
    match trees {
        [TokenTree::Punct(a), TokenTree::Punct(b), rest @ ..]
            if a.as_char() == ':' && a.spacing() == Spacing::Joint && b.as_char() == ':' =>
        {
            Some(rest)
        }
        _ => None,
    }
}

/// The trees of a stream without the items that exist in tests only.
fn trees_outside_tests(stream: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut trees = stream.into_iter().peekable();
    let mut in_test_item = false;
    while let Some(tree) = trees.next() {
        if let (true, Some(TokenTree::Group(attribute))) = (is_punct(&tree, '#'), trees.peek()) {
            in_test_item |= is_test_attribute(attribute);
        }
        if !in_test_item {
            kept.push(tree);
            continue;
        }
        in_test_item = !is_end_of_item(&tree);
    }
    kept
}

/// An item ends with its body, or with a semicolon when it has none.
fn is_end_of_item(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => is_punct(other, ';'),
    }
}

/// `#[test]`, `#[cfg(test)]` and `#[cfg(all(test, ...))]`; not `#[cfg(any(test, ...))]`, which also builds outside tests.
fn is_test_attribute(group: &Group) -> bool {
    if group.delimiter() != Delimiter::Bracket {
        return false;
    }
    let text: String = group
        .stream()
        .to_string()
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    text == "test"
        || text.ends_with("::test")
        || text == "cfg(test)"
        || text.starts_with("cfg(all(test,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Vec<String> {
        paths(source)
            .unwrap()
            .iter()
            .map(|n| n.segments.join("::"))
            .collect()
    }

    #[test]
    fn use_trees_are_flattened() {
        assert_eq!(
            names("use std::{env, fs::{self, File as F}}; use a::*;"),
            ["std::env", "std::fs::self", "std::fs::File", "a"]
        );
    }

    #[test]
    fn a_capture_is_not_an_import() {
        let source = "fn f<'a>() -> impl X + use<'a> { a::b() } fn g() { c::d(); }";
        let names = names(source);
        assert!(names.contains(&"a::b".to_owned()) && names.contains(&"c::d".to_owned()));
    }

    #[test]
    fn comments_strings_and_tests_are_not_code() {
        let source = r##"
            // a::b()
            /// c::d
            fn f() { let s = "e::f()"; let r = r#"g::h"#; i::j(s, r); }
            #[cfg(test)]
            #[allow(x, reason = "")]
            mod tests { fn t() { k::l() } }
            #[cfg(test)]
            mod elsewhere;
            #[test]
            fn t() { m::n() }
            fn last() { o::p() }
        "##;
        let names = names(source);
        for absent in ["a::b", "c::d", "e::f", "g::h", "k::l", "m::n"] {
            assert!(!names.contains(&absent.to_owned()), "{absent} in {names:?}");
        }
        assert!(names.contains(&"i::j".to_owned()));
        assert!(names.contains(&"o::p".to_owned()));
    }

    #[test]
    fn modules_for_tests_are_named() {
        let source = r#"
            mod a;
            #[cfg(test)]
            #[expect(x, reason = "y")]
            mod b;
            #[cfg(test)]
            mod c { mod inside; }
            pub(crate) mod d;
            #[cfg(test)]
            pub(crate) mod e;
        "#;
        assert_eq!(test_modules(source), ["b", "e"]);
    }

    #[test]
    fn code_that_also_builds_outside_tests_is_read() {
        assert!(
            names("#[cfg(any(test, feature = \"x\"))] fn f() { a::b() }")
                .contains(&"a::b".to_owned())
        );
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let found = paths("fn f() {\n    a::b();\n}\n").unwrap();
        let named = found.iter().find(|n| n.segments == ["a", "b"]).unwrap();
        assert_eq!(named.line, 2);
    }
}
