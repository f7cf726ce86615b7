//! Headers and body say the same, or the request is refused.
//!
//! 2026-07-28 mirrors parts of the body into headers for routers that do not read bodies. A request whose two
//! halves differ could be routed as one thing and executed as another, so nothing is decided before they agree.
//! The order for one POST: [`McpHeaders::collect`], [`detect`], [`agree`], and once the tool is known
//! [`agree_params`].
//!
//! Source: MCP 2026-07-28 basic/transports/streamable-http "Request Metadata" and "Server Validation"; basic
//! "Per-request protocol fields"; MCP 2025-11-25 basic/transports "Protocol Version Header".

use serde_json::Value;

use crate::canonical::CanonicalArgs;
use crate::json::JsonObject;
use crate::jsonrpc::{Message, Request};
use crate::protocol::{Method, Revision, header, meta};

mod collect;
mod error;
mod param;
mod value;

pub use collect::McpHeaders;
pub use error::HeaderError;
pub use param::{ParamHeader, ParamHeaderError, ParamHeaders};
pub use value::{decode_value, encode_value};

/// Which revision one HTTP message belongs to.
///
/// A request that carries a protocol version in `_meta` is modern and must repeat it in the header. Of 2025-11-25 are
/// `initialize`, which negotiates its version in the body (so an older one in a stale header does not matter), and
/// messages of an established session. Nothing is inferred from the connection.
///
/// # Errors
/// `Mismatch` or `Missing` if header and `_meta` disagree, `UnsupportedVersion` for a version not spoken here.
pub fn detect(headers: &McpHeaders, message: &Message) -> Result<Revision, HeaderError> {
    let in_body = version_in_body(message)?;
    let in_header = headers.protocol_version();
    let initialize = message.method() == Some(Method::Initialize.as_str());
    if initialize
        && in_body.is_none()
        && !in_header
            .and_then(Revision::read)
            .is_some_and(Revision::is_stateless)
    {
        return Ok(Revision::R20251125);
    }
    match (in_header, in_body) {
        (Some(sent), Some(body)) if sent != body => {
            Err(HeaderError::mismatch(header::PROTOCOL_VERSION, sent, body))
        }
        (Some(version), _) => {
            Revision::read(version).ok_or_else(|| HeaderError::unsupported(version))
        }
        (None, Some(_)) => Err(HeaderError::missing(header::PROTOCOL_VERSION)),
        (None, None) if headers.session_id().is_some() => Ok(Revision::R20251125),
        (None, None) => Err(HeaderError::missing(header::PROTOCOL_VERSION)),
    }
}

/// Which revision one stdio message belongs to: `Some` if it says so itself, else that of the connection, which an
/// `initialize` has opened.
///
/// # Errors
/// `UnsupportedVersion`, `Meta`.
pub fn detect_stdio(message: &Message) -> Result<Option<Revision>, HeaderError> {
    if message.method() == Some(Method::Initialize.as_str()) {
        return Ok(Some(Revision::R20251125));
    }
    version_in_body(message)?
        .map(|version| Revision::read(version).ok_or_else(|| HeaderError::unsupported(version)))
        .transpose()
}

fn version_in_body(message: &Message) -> Result<Option<&str>, HeaderError> {
    let Message::Request(request) = message else {
        return Ok(None);
    };
    match request
        .meta()
        .and_then(|found| found.get(meta::PROTOCOL_VERSION))
    {
        None => Ok(None),
        Some(Value::String(version)) => Ok(Some(version)),
        Some(_) => Err(HeaderError::Meta {
            key: meta::PROTOCOL_VERSION,
        }),
    }
}

/// Checks that `Mcp-Method`, `Mcp-Name` and the required `_meta` of a message agree with its body, for the revision
/// that [`detect`] found.
///
/// 2025-11-25 requires none of these headers, and 2026-07-28 defines none for notifications; one that is sent
/// nevertheless must not lie, since a router in front may have read it.
///
/// # Errors
/// [`HeaderError`].
pub fn agree(
    revision: Revision,
    headers: &McpHeaders,
    message: &Message,
) -> Result<(), HeaderError> {
    let stateless = revision.is_stateless();
    match (headers.method.as_deref(), message.method()) {
        (Some(sent), Some(body)) if sent != body => {
            return Err(HeaderError::mismatch(header::METHOD, sent, body));
        }
        (Some(_), None) => {
            return Err(HeaderError::Unexpected {
                header: header::METHOD.to_owned(),
            });
        }
        _ => {}
    }
    match message {
        Message::Request(request) if stateless => {
            if headers.method.is_none() {
                return Err(HeaderError::missing(header::METHOD));
            }
            agree_name(headers, &request.method, request.params.as_ref())?;
            require_meta(request)
        }
        Message::Request(request) if headers.name.is_some() => {
            agree_name(headers, &request.method, request.params.as_ref())
        }
        Message::Response { .. } | Message::Error { .. } if stateless => {
            Err(HeaderError::ResponseNotAccepted)
        }
        _ => Ok(()),
    }
}

fn agree_name(
    headers: &McpHeaders,
    method: &str,
    params: Option<&JsonObject>,
) -> Result<(), HeaderError> {
    let member = |key: &str| {
        params
            .and_then(|params| params.get(key))
            .and_then(Value::as_str)
    };
    let source = Method::known(Revision::R20260728, method).and_then(Method::name_member);
    let sent = headers
        .name
        .as_deref()
        .map(|raw| decode(header::NAME, raw))
        .transpose()?;
    match (sent, source) {
        (None, None) => Ok(()),
        (None, Some(key)) if member(key).is_some() => Err(HeaderError::missing(header::NAME)),
        // The body lacks what it must have; the reader of the parameters says so.
        (None, Some(_)) => Ok(()),
        (Some(sent), Some(key)) => match member(key) {
            Some(body) if body == sent => Ok(()),
            Some(body) => Err(HeaderError::mismatch(header::NAME, &sent, body)),
            None => Err(HeaderError::Unexpected {
                header: header::NAME.to_owned(),
            }),
        },
        // Some clients mirror a name for every method; it is tolerated only if it is the truth.
        (Some(sent), None) => match ["name", "uri", "taskId"].into_iter().find_map(member) {
            Some(body) if body == sent => Ok(()),
            Some(body) => Err(HeaderError::mismatch(header::NAME, &sent, body)),
            None => Err(HeaderError::Unexpected {
                header: header::NAME.to_owned(),
            }),
        },
    }
}

/// Checks the `_meta` fields that 2026-07-28 requires of every request, on any transport.
///
/// # Errors
/// `Meta` with the field.
pub fn require_meta(request: &Request) -> Result<(), HeaderError> {
    let field = |key: &str| request.meta().and_then(|object| object.get(key));
    if !field(meta::PROTOCOL_VERSION).is_some_and(Value::is_string) {
        return Err(HeaderError::Meta {
            key: meta::PROTOCOL_VERSION,
        });
    }
    if !field(meta::CLIENT_CAPABILITIES).is_some_and(Value::is_object) {
        return Err(HeaderError::Meta {
            key: meta::CLIENT_CAPABILITIES,
        });
    }
    if field(meta::CLIENT_INFO).is_some_and(|info| !info.is_object()) {
        return Err(HeaderError::Meta {
            key: meta::CLIENT_INFO,
        });
    }
    Ok(())
}

/// Checks every `Mcp-Param-*` header that the tool's schema defines against the arguments. Headers that it does not
/// define are ignored (and, like all received headers, not forwarded).
///
/// # Errors
/// `Missing`, `Unexpected`, `Mismatch` or `Malformed`.
pub fn agree_params(
    headers: &McpHeaders,
    defined: &ParamHeaders,
    arguments: &CanonicalArgs,
) -> Result<(), HeaderError> {
    for param in defined.iter() {
        let name = param.header_name();
        let body = param.value_in(arguments.value());
        match (headers.param(&param.lower()), body) {
            (None, None) => {}
            (None, Some(body)) if value::as_text(body).is_some() => {
                return Err(HeaderError::missing(&name));
            }
            // An array or object where the schema wants a scalar: schema validation refuses it.
            (None, Some(_)) => {}
            (Some(_), None) => return Err(HeaderError::Unexpected { header: name }),
            (Some(raw), Some(body)) => {
                let sent = decode(&name, raw)?;
                if !value::says(&sent, body) {
                    let body = value::as_text(body).unwrap_or_default();
                    return Err(HeaderError::mismatch(&name, &sent, &body));
                }
            }
        }
    }
    Ok(())
}

fn decode(header: &str, raw: &str) -> Result<String, HeaderError> {
    decode_value(raw).ok_or_else(|| HeaderError::Malformed {
        header: header.to_owned(),
    })
}

/// The headers to send to an upstream with a request that was built here, derived from its parameters alone.
///
/// - `params`: what is sent, so that headers and body agree by construction.
/// - `defined`: the `x-mcp-header` annotations of the tool, for `tools/call`.
/// - returns: (name, value) pairs; for 2025-11-25 only the protocol version.
#[must_use]
pub fn derive(
    revision: Revision,
    method: Method,
    params: &JsonObject,
    defined: Option<&ParamHeaders>,
) -> Vec<(String, String)> {
    let mut headers = vec![(
        header::PROTOCOL_VERSION.to_owned(),
        revision.as_str().to_owned(),
    )];
    if !revision.is_stateless() {
        return headers;
    }
    headers.push((header::METHOD.to_owned(), method.as_str().to_owned()));
    if let Some(name) = method
        .name_member()
        .and_then(|key| params.get(key))
        .and_then(Value::as_str)
    {
        headers.push((header::NAME.to_owned(), encode_value(name)));
    }
    if let (Method::ToolsCall, Some(defined), Some(Value::Object(arguments))) =
        (method, defined, params.get("arguments"))
    {
        let values = defined.iter().filter_map(|param| {
            let text = value::as_text(param.value_in(arguments)?)?;
            Some((param.header_name(), encode_value(&text)))
        });
        headers.extend(values);
    }
    headers
}

#[cfg(test)]
mod tests;
