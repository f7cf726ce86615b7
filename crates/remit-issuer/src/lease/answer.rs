//! What a token endpoint answers. Nothing of it is repeated but an error's code: anything else may hold a token.

use std::collections::BTreeSet;

use remit_ports::leases::NoToken;
use remit_ports::web::WebResponse;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::none;
use crate::limits::{LEASE_ANSWER_SECS_MAX, LEASE_TOKEN_BYTES_MAX, LEASE_TOKEN_BYTES_MIN};

/// A token that was given.
pub(super) struct Given {
    pub(super) token: SecretString,
    /// Seconds until it ends by itself; none where that is not said.
    pub(super) expires_in: Option<i64>,
    /// Another refresh token, in place of the one that was used.
    pub(super) refresh_token: Option<SecretString>,
    pub(super) scopes: BTreeSet<String>,
    /// Whether it is for more than was asked.
    pub(super) wider: bool,
}

/// RFC 6749 §5.1.
#[derive(Deserialize)]
struct Wire {
    access_token: SecretString,
    token_type: String,
    #[serde(default)]
    expires_in: Option<i64>,
    #[serde(default)]
    refresh_token: Option<SecretString>,
    #[serde(default)]
    scope: Option<String>,
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct Denied {
    error: String,
}

/// Reads an answer to a request for these scopes.
pub(super) fn read(answer: &WebResponse, asked: &BTreeSet<String>) -> Result<Given, NoToken> {
    if answer.status != 200 {
        return Err(none(denial(answer)));
    }
    let wire: Wire = serde_json::from_slice(&answer.body)
        .map_err(|_| none("its answer is not that of a token endpoint"))?;
    if !wire.token_type.eq_ignore_ascii_case("bearer") {
        return Err(none("its token is not a bearer token"));
    }
    if !is_token(&wire.access_token) {
        let why = format!(
            "its token is not {LEASE_TOKEN_BYTES_MIN} to {LEASE_TOKEN_BYTES_MAX} bytes of visible ASCII"
        );
        return Err(none(why));
    }
    let secs = wire.expires_in;
    if secs.is_some_and(|secs| !(0..=LEASE_ANSWER_SECS_MAX).contains(&secs)) {
        return Err(none("its `expires_in` is not a number of seconds"));
    }
    let scopes: BTreeSet<String> = match &wire.scope {
        // Where nothing is said, it is what was asked for (RFC 6749 §5.1).
        None => asked.clone(),
        Some(scope) => scope.split_ascii_whitespace().map(str::to_owned).collect(),
    };
    // Where nothing was asked for, the server's own choice is what it is (RFC 6749 §3.3).
    let wider = !asked.is_empty() && !scopes.is_subset(asked);
    Ok(Given {
        token: wire.access_token,
        expires_in: secs,
        refresh_token: wire.refresh_token.filter(is_token),
        scopes,
        wider,
    })
}

/// Why there is none: the code of the error, where it is one.
pub(super) fn denial(answer: &WebResponse) -> String {
    let denied = serde_json::from_slice::<Denied>(&answer.body);
    let code = denied.ok().map(|d| d.error).filter(|code| {
        code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    });
    match code {
        Some(code) => format!("it answered `{code}` (HTTP {})", answer.status),
        None => format!("it answered HTTP {}", answer.status),
    }
}

/// RFC 6750 §2.1, as far as it can be sent; and long enough to be found in what the upstream says.
fn is_token(token: &SecretString) -> bool {
    let token = token.expose_secret();
    (LEASE_TOKEN_BYTES_MIN..=LEASE_TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(status: u16, body: &Value) -> WebResponse {
        WebResponse {
            status,
            content_type: None,
            max_age_s: None,
            body: serde_json::to_vec(body).unwrap(),
        }
    }

    fn asked(scopes: &[&str]) -> BTreeSet<String> {
        scopes.iter().map(|&scope| scope.to_owned()).collect()
    }

    #[test]
    fn what_is_not_said_is_what_was_asked_and_more_is_seen() {
        let body = |more: Value| {
            let mut body = json!({ "access_token": "a-token-of-it", "token_type": "bearer" });
            let all = body.as_object_mut().unwrap();
            all.extend(more.as_object().unwrap().clone());
            answer(200, &body)
        };
        let read = |more: Value| read(&body(more), &asked(&["read"])).unwrap();
        let given = read(json!({}));
        assert_eq!((given.scopes, given.wider), (asked(&["read"]), false));
        assert_eq!(given.expires_in, None);
        assert!(read(json!({ "scope": "read write" })).wider);
        assert!(read(json!({ "scope": "admin" })).wider);
        assert!(!read(json!({ "scope": "" })).wider);
        let given = read(json!({ "expires_in": 60, "refresh_token": "another-one" }));
        assert_eq!(given.expires_in, Some(60));
        assert_eq!(given.refresh_token.unwrap().expose_secret(), "another-one");
    }

    #[test]
    fn rubbish_is_no_token_and_is_not_repeated() {
        let secret = "s3cr3t-of-it";
        for (status, body) in [
            (200, json!({ "access_token": secret, "token_type": "DPoP" })),
            (200, json!({ "access_token": secret })),
            (200, json!({ "token_type": "Bearer" })),
            (
                200,
                json!({ "access_token": [secret], "token_type": "Bearer" }),
            ),
            (
                200,
                json!({ "access_token": "short", "token_type": "Bearer" }),
            ),
            (
                200,
                json!({ "access_token": "s3cr3t of it", "token_type": "Bearer" }),
            ),
            (
                200,
                json!({ "access_token": "s3cr3t-of-it\r\nx: y", "token_type": "Bearer" }),
            ),
            (
                200,
                json!({ "access_token": "x".repeat(LEASE_TOKEN_BYTES_MAX + 1), "token_type": "Bearer" }),
            ),
            (
                200,
                json!({ "access_token": secret, "token_type": "Bearer", "expires_in": -1 }),
            ),
            (
                200,
                json!({ "access_token": secret, "token_type": "Bearer", "expires_in": i64::MAX }),
            ),
            (
                200,
                json!({ "access_token": secret, "token_type": "Bearer", "expires_in": "soon" }),
            ),
            (
                201,
                json!({ "access_token": secret, "token_type": "Bearer" }),
            ),
            (400, json!({ "error": secret, "error_description": secret })),
            (500, json!(secret)),
        ] {
            let refused = read(&answer(status, &body), &asked(&[])).err().unwrap();
            assert!(!refused.to_string().contains("s3cr3t"), "{body}: {refused}");
        }
        let denied = read(
            &answer(400, &json!({ "error": "invalid_grant" })),
            &asked(&[]),
        );
        assert_eq!(
            denied.err().unwrap().0,
            "it answered `invalid_grant` (HTTP 400)"
        );
    }
}
