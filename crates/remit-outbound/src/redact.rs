//! Takes the secrets of a lease out of whatever an upstream says: a secret that was lent to a server never reaches an
//! agent, a log or an error, even if the server prints it.

use std::borrow::Cow;
use std::sync::Arc;

use remit_mcp::JsonObject;
use remit_ports::upstreams::{Lease, UpstreamError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::limits::REDACTED_BYTES_MIN;

const MARK: &str = "[redacted by remit]";

/// The secrets of one lease. They are found as they were lent, and for headers also without their scheme; not in
/// other encodings, and not below [`REDACTED_BYTES_MIN`] bytes.
#[derive(Debug, Default)]
pub(crate) struct Redactor(Vec<SecretString>);

impl Redactor {
    pub(crate) fn of(lease: &Lease) -> Arc<Self> {
        let mut found: Vec<&str> = Vec::new();
        for (_, value) in &lease.headers {
            let value = value.expose_secret();
            found.push(value);
            // `Authorization: Bearer x`: a server that echoes its token echoes `x`.
            found.extend(value.split_once(' ').map(|(_, rest)| rest.trim()));
        }
        found.extend(
            lease
                .environment
                .iter()
                .map(|(_, value)| value.expose_secret()),
        );
        found.retain(|secret| secret.len() >= REDACTED_BYTES_MIN);
        // The longest first, so that no rest of it stays.
        found.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        Arc::new(Self(found.into_iter().map(SecretString::from).collect()))
    }

    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.expose_secret()) {
                text = Cow::Owned(text.replace(secret.expose_secret(), MARK));
            }
        }
        text
    }

    pub(crate) fn value(&self, value: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(object) => self.object(object),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn object(&self, object: &mut JsonObject) {
        if object
            .keys()
            .any(|key| matches!(self.text(key), Cow::Owned(_)))
        {
            let old = std::mem::take(object);
            object.extend(
                old.into_iter()
                    .map(|(key, value)| (self.text(&key).into_owned(), value)),
            );
        }
        object.values_mut().for_each(|value| self.value(value));
    }

    pub(crate) fn error(&self, error: UpstreamError) -> UpstreamError {
        let clean = |text: String| self.text(&text).into_owned();
        match error {
            UpstreamError::Unreachable(why) => UpstreamError::Unreachable(clean(why)),
            UpstreamError::Ambiguous(why) => UpstreamError::Ambiguous(clean(why)),
            UpstreamError::Invalid(why) => UpstreamError::Invalid(clean(why)),
            UpstreamError::Rpc {
                code,
                message,
                mut data,
            } => {
                if let Some(data) = &mut data {
                    self.value(data);
                }
                UpstreamError::Rpc {
                    code,
                    message: clean(message),
                    data,
                }
            }
            UpstreamError::Cancelled | UpstreamError::TooLarge(_) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_in_values_keys_and_errors() {
        let lease = Lease {
            headers: vec![("authorization".into(), "Bearer s3cr3t-token".into())],
            environment: vec![
                ("KEY".into(), "line one\nline two".into()),
                ("SHORT".into(), "abc".into()),
            ],
        };
        let redactor = Redactor::of(&lease);
        let mut value = json!({
            "a": ["you sent Bearer s3cr3t-token", "or s3cr3t-token", "abc"],
            "s3cr3t-token": {"pem": "line one\nline two"},
        });
        redactor.value(&mut value);
        assert_eq!(
            value,
            json!({
                "a": [format!("you sent {MARK}"), format!("or {MARK}"), "abc"],
                MARK: {"pem": MARK},
            })
        );
        let error = UpstreamError::Rpc {
            code: 1,
            message: "bad s3cr3t-token".into(),
            data: Some(json!(["s3cr3t-token"])),
        };
        assert!(!format!("{:?}", redactor.error(error)).contains("s3cr3t"));
        assert!(!format!("{redactor:?}").contains("s3cr3t"));
    }
}
