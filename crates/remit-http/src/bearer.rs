//! The bearer credential of a request.
//!
//! Source: RFC 6750 §2.1 (the header only: never a query or a body), RFC 9110 §11.4.

use axum::http::{HeaderMap, header};
use secrecy::SecretString;

use crate::limits::BEARER_BYTES_MAX;

/// Takes the bearer credential out of the headers; none when there is none, several, or one that cannot be one.
pub(crate) fn of(headers: &HeaderMap) -> Option<SecretString> {
    of_scheme(headers, "bearer")
}

/// The same of another scheme whose credential is such a token.
pub(crate) fn of_scheme(headers: &HeaderMap, scheme: &str) -> Option<SecretString> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    in_scheme(value, scheme)
}

/// The same of the value of the one header.
pub(crate) fn in_value(value: &str) -> Option<SecretString> {
    in_scheme(value, "bearer")
}

fn in_scheme(value: &str, expected: &str) -> Option<SecretString> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    // RFC 6750 §2.1: b64token.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    let fits = !token.is_empty() && token.len() <= BEARER_BYTES_MAX && token.bytes().all(allowed);
    (scheme.eq_ignore_ascii_case(expected) && fits).then(|| SecretString::from(token))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use secrecy::ExposeSecret;

    use super::*;

    fn found(value: &str) -> Option<String> {
        let headers =
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
        of(&headers).map(|t| t.expose_secret().to_owned())
    }

    #[test]
    fn one_bearer_token_is_read() {
        assert_eq!(found("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(found("bearer rmt_pat_x").as_deref(), Some("rmt_pat_x"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Basic a.b.c",
            "Bearer a b",
            "Bearer a,b",
            "a.b.c",
            "Bearer \"a\"",
        ] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
        assert_eq!(
            found(&format!("Bearer {}", "x".repeat(BEARER_BYTES_MAX + 1))),
            None
        );
    }

    #[test]
    fn of_two_credentials_none_is_believed() {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert!(of(&headers).is_none());
    }
}
