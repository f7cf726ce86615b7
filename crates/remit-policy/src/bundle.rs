//! Bundles: the hash of what an organization's policies say, and whether a change only adds to what they refuse.

use std::collections::BTreeMap;

use crate::digest;
use crate::error::{PolicyError, Problem};
use crate::load::{Loaded, PolicySource, load};

/// SHA-256 (lower-case hex) over the RFC 8785 form of the sets: name to text, order irrelevant.
///
/// # Errors
/// [`PolicyError::Schema`] when they have no canonical form.
pub fn bundle_version(sets: &[PolicySource<'_>]) -> Result<String, PolicyError> {
    let sets: BTreeMap<&str, &str> = sets.iter().map(|s| (s.name, s.text)).collect();
    digest::canonical(&sets).map_err(|e| PolicyError::Schema(e.to_string()))
}

/// Whether `after` keeps every policy of `before` word for word and adds only policies that forbid or ask: then nothing
/// is allowed that was not, whatever the facts, since no forbid of Cedar's can be outvoted.
///
/// # Errors
/// [`PolicyError::Problems`] when one of them does not parse.
pub fn only_tightens(
    before: &[PolicySource<'_>],
    after: &[PolicySource<'_>],
) -> Result<bool, PolicyError> {
    let (before, after) = (all(before)?, all(after)?);
    let kept = before
        .iter()
        .all(|(id, old)| after.get(id).is_some_and(|new| new.source == old.source));
    let forbids = after
        .iter()
        .filter(|(id, _)| !before.contains_key(*id))
        .all(|(_, new)| new.is_forbid());
    Ok(kept && forbids)
}

fn all(sets: &[PolicySource<'_>]) -> Result<BTreeMap<String, Loaded>, PolicyError> {
    let mut out = BTreeMap::new();
    for set in sets {
        let loaded = load(*set).map_err(PolicyError::of)?;
        out.extend(loaded.into_iter().map(|l| (l.id.clone(), l)));
    }
    Ok(out)
}

/// Cedar text as everybody would indent it. Comments stay.
///
/// # Errors
/// [`PolicyError::Problems`] when it does not parse.
pub fn format(name: &str, text: &str) -> Result<String, PolicyError> {
    load(PolicySource { name, text }).map_err(PolicyError::of)?;
    let config = cedar_policy_formatter::Config {
        line_width: 100,
        indent_width: 2,
    };
    cedar_policy_formatter::policies_str_to_pretty(text, &config).map_err(|e| {
        PolicyError::of(vec![Problem {
            set: name.to_owned(),
            line: 0,
            column: 0,
            policy: None,
            message: format!("it cannot be formatted: {e}"),
            help: None,
        }])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets<'a>(all: &[(&'a str, &'a str)]) -> Vec<PolicySource<'a>> {
        all.iter()
            .map(|(name, text)| PolicySource { name, text })
            .collect()
    }

    const A: &str = r#"@id("a") forbid (principal, action, resource) when { context.hour < 6 };"#;
    const B: &str = r#"@id("b") forbid (principal, action, resource) when { context.hour > 20 };"#;
    const P: &str = r#"@id("p") permit (principal, action, resource);"#;

    #[test]
    fn a_version_is_of_what_is_said_and_not_of_its_order() {
        let version = |all| bundle_version(&sets(all)).unwrap();
        assert_eq!(
            version(&[("x", A), ("y", B)]),
            version(&[("y", B), ("x", A)])
        );
        assert_ne!(version(&[("x", A)]), version(&[("y", A)]));
        assert_ne!(version(&[("x", A)]), version(&[("x", B)]));
        assert_eq!(version(&[]).len(), 64);
    }

    #[test]
    fn only_what_adds_forbids_tightens() {
        let both = format!("{A}\n{B}");
        let moved = A.replace('6', "5");
        let tightens = |before: &[(&str, &str)], after: &[(&str, &str)]| {
            only_tightens(&sets(before), &sets(after)).unwrap()
        };
        assert!(tightens(&[], &[("x", A)]));
        assert!(tightens(&[("x", A)], &[("x", &both)]));
        assert!(tightens(&[("x", A)], &[("x", A), ("y", B)]));
        assert!(!tightens(&[("x", &both)], &[("x", A)]), "one is taken away");
        assert!(!tightens(&[("x", A)], &[("x", &moved)]), "one is changed");
        assert!(!tightens(&[("x", A)], &[("y", A)]), "one is renamed");
        assert!(
            !tightens(&[("x", A)], &[("x", A), ("y", P)]),
            "a permit is added"
        );
    }

    #[test]
    fn formatting_keeps_what_is_said() {
        let text = "// why\n@id(\"a\")forbid(principal,action,resource)when{context.hour<6};";
        let pretty = format("x", text).unwrap();
        assert!(
            pretty.starts_with("// why\n@id(\"a\")\nforbid (principal, action, resource)"),
            "{pretty}"
        );
        assert_eq!(format("x", &pretty).unwrap(), pretty);
        assert!(format("x", "forbid (").is_err());
    }
}
