//! SPIFFE IDs: `spiffe://trust-domain/path`.
//!
//! Source: SPIFFE-ID §2. Compared byte for byte; there is no normal form to bring one into, so anything that would
//! need it (upper case, percent-encoding, dot segments) is refused.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{SPIFFE_ID_BYTES_MAX, TRUST_DOMAIN_BYTES_MAX};

const SCHEME: &str = "spiffe://";

/// A valid SPIFFE ID. Without a path it is that of the trust domain itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId {
    trust_domain: String,
    // Empty, or with its leading slash.
    path: String,
}

/// Why a SPIFFE ID was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpiffeIdError {
    /// Longer than [`SPIFFE_ID_BYTES_MAX`].
    #[error("the SPIFFE ID is longer than {SPIFFE_ID_BYTES_MAX} bytes")]
    TooLong,
    /// Does not start with `spiffe://`.
    #[error("a SPIFFE ID starts with `spiffe://`")]
    Scheme,
    /// Empty, too long, or characters outside `a-z0-9.-_`; also a user or port.
    #[error(
        "a trust domain is 1 to {TRUST_DOMAIN_BYTES_MAX} characters of `a-z`, `0-9`, `.`, `-`, `_`"
    )]
    TrustDomain,
    /// Empty, `.` or `..` segment, trailing slash, or characters outside `A-Za-z0-9.-_`.
    #[error(
        "a path has segments of `A-Z`, `a-z`, `0-9`, `.`, `-`, `_`, none of them empty, `.` or `..`, and no slash at its end"
    )]
    Path,
}

impl SpiffeId {
    /// Reads an id.
    ///
    /// # Errors
    /// [`SpiffeIdError`].
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        if text.len() > SPIFFE_ID_BYTES_MAX {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        match rest.split_once('/') {
            None => Self::from_segments(rest, std::iter::empty::<&str>()),
            Some((trust_domain, path)) => Self::from_segments(trust_domain, path.split('/')),
        }
    }

    /// Makes an id of a trust domain and path segments.
    ///
    /// # Errors
    /// `TrustDomain`, `Path`, `TooLong`.
    pub fn from_segments<S: AsRef<str>>(
        trust_domain: &str,
        segments: impl IntoIterator<Item = S>,
    ) -> Result<Self, SpiffeIdError> {
        let name_fits = (1..=TRUST_DOMAIN_BYTES_MAX).contains(&trust_domain.len())
            && trust_domain
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'));
        if !name_fits {
            return Err(SpiffeIdError::TrustDomain);
        }
        let mut path = String::new();
        for segment in segments {
            let segment = segment.as_ref();
            let fits = segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
            if !fits || matches!(segment, "" | "." | "..") {
                return Err(SpiffeIdError::Path);
            }
            path.push('/');
            path.push_str(segment);
            let length = SCHEME
                .len()
                .saturating_add(trust_domain.len())
                .saturating_add(path.len());
            if length > SPIFFE_ID_BYTES_MAX {
                return Err(SpiffeIdError::TooLong);
            }
        }
        Ok(Self {
            trust_domain: trust_domain.to_owned(),
            path,
        })
    }

    /// The trust domain name.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The path with its leading slash, or empty.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The segments of the path.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}{}", self.trust_domain, self.path)
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = SpiffeIdError;

    fn try_from(text: String) -> Result<Self, SpiffeIdError> {
        Self::parse(&text)
    }
}

impl From<SpiffeId> for String {
    fn from(id: SpiffeId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_found() {
        let id = SpiffeId::parse("spiffe://acme.example/agent/triage/refund/i-1").unwrap();
        assert_eq!(id.trust_domain(), "acme.example");
        assert_eq!(
            id.segments().collect::<Vec<_>>(),
            ["agent", "triage", "refund", "i-1"]
        );
        let domain = SpiffeId::parse("spiffe://acme.example").unwrap();
        assert_eq!((domain.path(), domain.segments().count()), ("", 0));
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        use SpiffeIdError::{Path, Scheme, TrustDomain};
        for (text, expected) in [
            ("", Scheme),
            ("SPIFFE://acme.example", Scheme),
            ("https://acme.example", Scheme),
            ("spiffe:/acme.example", Scheme),
            ("spiffe://", TrustDomain),
            ("spiffe:///agent", TrustDomain),
            ("spiffe://Acme.example/a", TrustDomain),
            ("spiffe://acme.example:80/a", TrustDomain),
            ("spiffe://user@acme.example/a", TrustDomain),
            ("spiffe://acme.example?x", TrustDomain),
            ("spiffe://acme.example/", Path),
            ("spiffe://acme.example/a/", Path),
            ("spiffe://acme.example//a", Path),
            ("spiffe://acme.example/./a", Path),
            ("spiffe://acme.example/../a", Path),
            ("spiffe://acme.example/%61", Path),
            ("spiffe://acme.example/a?x", Path),
            ("spiffe://acme.example/a#x", Path),
            ("spiffe://acme.example/\u{430}", Path),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn limits_hold() {
        let domain = "a".repeat(TRUST_DOMAIN_BYTES_MAX);
        assert!(SpiffeId::parse(&format!("spiffe://{domain}")).is_ok());
        assert_eq!(
            SpiffeId::parse(&format!("spiffe://{domain}a")),
            Err(SpiffeIdError::TrustDomain)
        );
        let longest = format!("spiffe://a/{}", "b".repeat(SPIFFE_ID_BYTES_MAX - 11));
        assert!(SpiffeId::parse(&longest).is_ok());
        assert_eq!(
            SpiffeId::parse(&format!("{longest}b")),
            Err(SpiffeIdError::TooLong)
        );
        let segment = "b".repeat(SPIFFE_ID_BYTES_MAX);
        assert_eq!(
            SpiffeId::from_segments("a", [segment]),
            Err(SpiffeIdError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "spiffe://[a-z.A-Z0-9/%-]{0,40}") {
            if let Ok(id) = SpiffeId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
