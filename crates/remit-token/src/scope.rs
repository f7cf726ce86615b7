//! The `scope` value: a list of scope tokens (RFC 6749 §3.3).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{SCOPE_TOKEN_BYTES_MAX, SCOPE_TOKENS_MAX};

/// Scope tokens in the order given, each once.
///
/// Source: RFC 6749 §3.3. On the wire one string, separated by single spaces. 0 to
/// [`SCOPE_TOKENS_MAX`] tokens of 1 to [`SCOPE_TOKEN_BYTES_MAX`] printable ASCII bytes without `"` and `\`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Vec<String>);

/// Why a scope was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// More tokens than allowed.
    #[error("the scope has more than {SCOPE_TOKENS_MAX} tokens; ask for fewer")]
    TooMany,
    /// A token is too long.
    #[error("a scope token is longer than {SCOPE_TOKEN_BYTES_MAX} bytes")]
    TokenTooLong,
    /// An empty token, a double space, or a character outside RFC 6749 §3.3.
    #[error(
        "the scope is malformed; separate tokens by one space and use printable ASCII without quotes"
    )]
    Malformed,
}

impl Scope {
    /// Reads the wire form; the empty string is the empty scope.
    ///
    /// # Errors
    /// [`ScopeError`] for a double, leading or trailing space, a foreign character or a broken limit.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::from_tokens(text.split(' '))
    }

    /// Makes a scope of single tokens; a repeated token is kept once, as its repetition means nothing.
    ///
    /// # Errors
    /// [`ScopeError`] for an empty token, a foreign character or a broken limit.
    pub fn from_tokens<T: AsRef<str>>(
        tokens: impl IntoIterator<Item = T>,
    ) -> Result<Self, ScopeError> {
        let mut kept: Vec<String> = Vec::new();
        for (seen, token) in tokens.into_iter().enumerate() {
            let token = token.as_ref();
            if seen >= SCOPE_TOKENS_MAX {
                return Err(ScopeError::TooMany);
            }
            if token.len() > SCOPE_TOKEN_BYTES_MAX {
                return Err(ScopeError::TokenTooLong);
            }
            if token.is_empty() || !token.bytes().all(is_scope_byte) {
                return Err(ScopeError::Malformed);
            }
            if !kept.iter().any(|have| have == token) {
                kept.push(token.to_owned());
            }
        }
        Ok(Self(kept))
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether `token` is one of the tokens, byte for byte.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|have| have == token)
    }

    /// Whether every token is also in `wider`.
    #[must_use]
    pub fn is_subset_of(&self, wider: &Self) -> bool {
        self.iter().all(|token| wider.contains(token))
    }

    /// What follows `prefix` in each token that starts with it: with `workflow:`, the workflow names.
    pub fn values_of<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter_map(move |token| token.strip_prefix(prefix))
    }
}

/// RFC 6749 §3.3: `%x21 / %x23-5B / %x5D-7E`.
fn is_scope_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repeated_tokens_are_kept_once() {
        let scope = Scope::parse("tools:call workflow:refund tools:call").unwrap();
        assert_eq!(scope.to_string(), "tools:call workflow:refund");
        assert_eq!(scope.values_of("workflow:").collect::<Vec<_>>(), ["refund"]);
    }

    #[test]
    fn text_that_could_leave_a_header_is_refused() {
        for bad in [
            "a  b", " a", "a ", "a\"b", "a\\b", "a\r\nb", "a\tb", "ä", "a\0",
        ] {
            assert_eq!(Scope::parse(bad), Err(ScopeError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let many = vec!["a"; SCOPE_TOKENS_MAX + 1].join(" ");
        assert_eq!(Scope::parse(&many), Err(ScopeError::TooMany));
        let long = "a".repeat(SCOPE_TOKEN_BYTES_MAX + 1);
        assert_eq!(Scope::parse(&long), Err(ScopeError::TokenTooLong));
    }

    #[test]
    fn a_subset_is_by_whole_tokens() {
        let wide = Scope::parse("tools:call run:1").unwrap();
        assert!(Scope::parse("run:1").unwrap().is_subset_of(&wide));
        assert!(!Scope::parse("run:12").unwrap().is_subset_of(&wide));
        assert!(Scope::default().is_subset_of(&wide));
    }

    proptest! {
        #[test]
        fn what_parses_prints_and_parses_again(text in "\\PC{0,80}") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(Scope::parse(&scope.to_string()).unwrap(), scope);
            }
        }
    }
}
