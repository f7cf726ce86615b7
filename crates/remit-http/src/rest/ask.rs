//! What a handler is given, and what it gives back.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use remit_books::BooksError;
use remit_control::{Caller, ControlError};
use remit_domain::{Principal, RefusalCode};
use remit_issuer::{PersonIdentity, Verified};
use remit_ports::store::StoreError;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::Identity;
use crate::problem::Problem;
use crate::site::{Place, Site};

/// No body, no query, or no answer.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A request whose sender may make it, with nothing of it read yet.
pub(crate) struct RawAsk {
    pub(crate) site: Site,
    pub(crate) place: Place,
    /// None where nobody has to say who they are.
    pub(crate) identity: Option<Identity>,
    pub(crate) path: BTreeMap<String, String>,
    pub(crate) uri: Uri,
    /// The whole path, with that of the organization.
    pub(crate) whole_path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) seen: Option<u64>,
}

/// A request, read.
pub(crate) struct Ask<B = Nothing, Q = Nothing> {
    pub(crate) site: Site,
    pub(crate) place: Place,
    pub(crate) identity: Option<Identity>,
    path: BTreeMap<String, String>,
    pub(crate) body: B,
    /// The whole path below `public_url`, for what is signed.
    pub(crate) whole_path: String,
    /// The body as it came, for what is signed.
    pub(crate) raw: Vec<u8>,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Q,
    /// The revision that the caller has seen (`If-Match`).
    pub(crate) seen: Option<u64>,
}

impl RawAsk {
    pub(crate) fn read<B, Q>(self) -> Result<Ask<B, Q>, Problem>
    where
        B: DeserializeOwned + 'static,
        Q: DeserializeOwned,
    {
        let query = axum::extract::Query::<Q>::try_from_uri(&self.uri);
        let axum::extract::Query(query) = query
            .map_err(|e| Problem::invalid(format!("the query is not valid: {}", inner(&e))))?;
        let body = read_body::<B>(&self.body)?;
        let Self {
            site,
            place,
            identity,
            path,
            whole_path,
            seen,
            headers,
            body: raw,
            ..
        } = self;
        Ok(Ask {
            site,
            place,
            identity,
            path,
            whole_path,
            body,
            raw,
            headers,
            query,
            seen,
        })
    }
}

fn inner(error: &dyn std::error::Error) -> String {
    let text = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    text.chars().take(300).collect()
}

/// Strict JSON: no key twice, nothing unknown, within limits. No body is the same as an empty object, for bodies of which
/// nothing is required.
fn read_body<B: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<B, Problem> {
    let nothing = TypeId::of::<B>() == TypeId::of::<Nothing>();
    let value = if nothing || bytes.is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        remit_mcp::json::read(bytes).map_err(|e| Problem::invalid(e.to_string()))?
    };
    if !value.is_object() {
        return Err(Problem::invalid("the body must be a JSON object"));
    }
    serde_json::from_value(value)
        .map_err(|e| Problem::invalid(format!("the body is not valid: {e}")))
}

impl<B, Q> Ask<B, Q> {
    /// What stands in the path at that name. Every name of the table is there.
    pub(crate) fn named<T: FromStr>(&self, name: &str) -> Result<T, Problem>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.path.get(name).map(String::as_str).unwrap_or_default();
        text.parse()
            .map_err(|e: T::Err| Problem::invalid(format!("`{name}` in the address: {e}")))
    }

    /// Who asks, for control.
    pub(crate) fn caller(&self) -> Result<Caller, Problem> {
        let control = &self.site.app.control;
        match &self.identity {
            Some(Identity::Operator) => control.operator().map_err(Problem::from),
            Some(identity) => Ok(control.caller(self.place.org(), identity.principal())),
            None => Ok(control.caller(self.place.org(), Principal::Remit)),
        }
    }

    /// The person who asks.
    pub(crate) fn person(&self) -> Result<&PersonIdentity, Problem> {
        match &self.identity {
            Some(Identity::Person(person)) => Ok(person),
            _ => Err(Problem::new(
                RefusalCode::Forbidden,
                "this is for people; use a person's token",
            )),
        }
    }

    /// The agent that asks; none for anybody else.
    pub(crate) fn agent(&self) -> Option<&Arc<Verified>> {
        match &self.identity {
            Some(Identity::Agent(verified)) => Some(verified),
            _ => None,
        }
    }
}

/// What a handler gives back.
pub(crate) struct Reply<O> {
    body: O,
    status: StatusCode,
    content: Option<&'static str>,
}

impl<O> From<O> for Reply<O> {
    fn from(body: O) -> Self {
        Self {
            body,
            status: StatusCode::OK,
            content: None,
        }
    }
}

impl<O> Reply<O> {
    /// Something was made.
    pub(crate) fn created(body: O) -> Self {
        Self {
            body,
            status: StatusCode::CREATED,
            content: None,
        }
    }

    /// 201 when it was made, 200 when it was there.
    pub(crate) fn saved(saved: remit_control::Saved<O>) -> Self {
        let created = saved.action == remit_control::Action::Create;
        if created {
            Self::created(saved.view)
        } else {
            saved.view.into()
        }
    }
}

impl Reply<String> {
    /// Plain text.
    pub(crate) fn text(body: String) -> Self {
        Self {
            body,
            status: StatusCode::OK,
            content: Some("text/plain; charset=utf-8"),
        }
    }
}

impl<O: Serialize> Reply<O> {
    /// The answer; a view that has a revision gives it as ETag too (RFC 9110 §8.8.3).
    pub(crate) fn into_response(self) -> Result<Response, Problem> {
        let value = serde_json::to_value(&self.body).map_err(|e| Problem::internal(&e))?;
        if let (Some(content), Value::String(text)) = (self.content, &value) {
            return Ok(
                (self.status, [(header::CONTENT_TYPE, content)], text.clone()).into_response(),
            );
        }
        let etag = value.get("revision").and_then(Value::as_u64);
        let mut response = (self.status, Json(value)).into_response();
        if let Some(value) =
            etag.and_then(|revision| HeaderValue::from_str(&format!("\"{revision}\"")).ok())
        {
            response.headers_mut().insert(header::ETAG, value);
        }
        Ok(response)
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let text = error.to_string();
        match error {
            ControlError::Refused(refusal) => refusal.into(),
            ControlError::Documents(problems) => {
                let errors = problems
                    .iter()
                    .filter_map(|p| serde_json::to_value(p).ok())
                    .collect();
                Self::invalid(text).with_errors(errors)
            }
            ControlError::Policy(_) => Self::invalid(text),
            ControlError::Books(BooksError::Store(cause @ StoreError::Unavailable(_))) => {
                Self::unavailable(&cause)
            }
            ControlError::Books(cause) => Self::internal(&cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Reason {
        #[serde(default)]
        reason: Option<String>,
    }

    #[test]
    fn bodies_are_read_strictly() {
        assert_eq!(
            read_body::<Reason>(br#"{"reason":"r"}"#)
                .unwrap()
                .reason
                .as_deref(),
            Some("r")
        );
        assert!(read_body::<Reason>(b"").unwrap().reason.is_none());
        for wrong in [
            r#"{"reason":"a","reason":"b"}"#,
            r#"{"reazon":"a"}"#,
            "[]",
            "{",
            "null",
            r#"{"reason":1}"#,
        ] {
            let problem = read_body::<Reason>(wrong.as_bytes()).unwrap_err();
            assert_eq!(problem.status, 400, "{wrong}");
        }
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(read_body::<Reason>(deep.as_bytes()).is_err());
    }
}
