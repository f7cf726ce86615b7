//! From the request that Envoy holds back to the call that it is.
//!
//! Nothing is decided on a part of a request: its whole head, and where it has one its whole body as bytes. What says that it is
//! another request than it looks like is denied.

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use remit_domain::enforcement_point::{Body, EnforcementPoint};
use remit_domain::tool::ToolRef;
use remit_domain::{Refusal, RefusalCode, Registry};
use remit_mcp::CanonicalArgs;
use remit_mcp::json::JsonObject;
use secrecy::SecretString;
use serde_json::Value;

use crate::bearer;
use crate::by_route::{Routed, deny};
use crate::limits::BODY_BYTES_MAX;

/// Headers by which a server may take a request for another one than it is, or its body for another one.
const OTHERWISE: [&str; 14] = [
    "content-encoding",
    "upgrade",
    ":protocol",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-method",
    "x-original-path",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-uri",
];
/// Set by Envoy beside each body it shows: whether it is a part of it only.
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// What Envoy was asked for, for the record.
pub(super) fn named(request: &CheckRequest) -> String {
    let Some(http) = http(request) else {
        return "no HTTP request".to_owned();
    };
    let path = http.path.split('?').next().unwrap_or_default();
    format!("{} {path}", http.method)
        .chars()
        .take(200)
        .collect()
}

fn http(request: &CheckRequest) -> Option<&HttpRequest> {
    request.attributes.as_ref()?.request.as_ref()?.http.as_ref()
}

/// A request as Envoy saw it, whole.
pub(super) struct Seen<'a> {
    http: &'a HttpRequest,
    /// The agent's access token.
    pub(super) bearer: Option<SecretString>,
    /// The name in the certificate of the connection, as Envoy verified it.
    pub(super) principal: Option<&'a str>,
}

impl<'a> Seen<'a> {
    /// Reads one.
    pub(super) fn of(request: &'a CheckRequest) -> Result<Self, Refusal> {
        let http = http(request).ok_or_else(|| deny("there is no HTTP request to decide on"))?;
        whole_head(http)?;
        whole_body(http)?;
        let wrong = "`Authorization` must be `Bearer` with one access token";
        let bearer = match header(http, "authorization") {
            None => None,
            Some(value) => Some(
                bearer::in_value(value)
                    .ok_or_else(|| Refusal::new(RefusalCode::Unauthenticated, wrong))?,
            ),
        };
        let source = request.attributes.as_ref().and_then(|a| a.source.as_ref());
        let principal = source.map(|s| s.principal.as_str());
        Ok(Self {
            http,
            bearer,
            principal: principal.filter(|p| !p.is_empty()),
        })
    }
}

/// A header; several of a name come as one, with commas between. Envoy gives names in small letters.
fn header<'a>(http: &'a HttpRequest, name: &str) -> Option<&'a str> {
    http.headers.get(name).map(String::as_str)
}

/// Whether every header is here, and none says that this is another request.
fn whole_head(http: &HttpRequest) -> Result<(), Refusal> {
    if http.header_map.is_some() {
        return Err(deny("headers came raw; leave `encode_raw_headers` off"));
    }
    // Envoy sends these among the others, unless it was told to leave headers out.
    let sent = [
        (":path", &http.path),
        (":method", &http.method),
        (":authority", &http.host),
    ];
    if sent
        .iter()
        .any(|(name, value)| header(http, name) != Some(value.as_str()))
    {
        let text = "not all headers came; leave `allowed_headers` and `disallowed_headers` of the filter out";
        return Err(deny(text));
    }
    if http.path.contains('#') {
        return Err(deny("the path holds a fragment"));
    }
    match OTHERWISE
        .iter()
        .find(|name| http.headers.contains_key(**name))
    {
        Some(name) => {
            let text = format!("the header `{name}` could make another request of this one");
            Err(deny(text))
        }
        None => Ok(()),
    }
}

/// Whether the whole body is here, as it is.
fn whole_body(http: &HttpRequest) -> Result<(), Refusal> {
    if !http.body.is_empty() {
        // As a string it is not what came: Envoy replaces what is not UTF-8.
        return Err(deny(
            "the body came as a string; set `pack_as_bytes: true` in `with_request_body`",
        ));
    }
    let length = http.raw_body.len();
    if length > BODY_BYTES_MAX {
        let text = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        return Err(Refusal::new(RefusalCode::TooLarge, text));
    }
    let partial = header(http, PARTIAL);
    if partial.map_or(length > 0, |said| said != "false") {
        return Err(deny(
            "only a part of the body came; raise `max_request_bytes`, and leave `allow_partial_message` off",
        ));
    }
    let same = |said: &str| said.parse() == Ok(length);
    let said = header(http, "content-length").is_none_or(same);
    let sized = usize::try_from(http.size).is_ok_and(|size| size == length);
    if said && sized {
        return Ok(());
    }
    let text =
        "the body is not as long as its headers say; let Envoy send it whole (`with_request_body`)";
    Err(deny(text))
}

/// The call that a request is.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) tool: ToolRef,
    pub(super) arguments: CanonicalArgs,
}

impl Call {
    /// By the routes of the point.
    pub(super) fn of(
        registry: &Registry,
        point: &EnforcementPoint,
        seen: &Seen<'_>,
    ) -> Result<Self, Refusal> {
        let http = seen.http;
        let routed = Routed::of(point, &http.method, &http.host, &http.path)?;
        let body = match routed.body() {
            Body::Json => members(http)?,
            Body::None if http.raw_body.is_empty() => JsonObject::new(),
            Body::None => return Err(deny("the request has a body, and its route declares none")),
        };
        let (tool, arguments) = routed.call(registry, body)?;
        let arguments = CanonicalArgs::from_object(arguments).map_err(|e| invalid(&e))?;
        Ok(Self { tool, arguments })
    }
}

fn invalid(why: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::ArgumentsInvalid, why.to_string())
}

/// The members of a JSON body.
fn members(http: &HttpRequest) -> Result<JsonObject, Refusal> {
    let kind = header(http, "content-type").unwrap_or_default();
    let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let same = |text: &str, word: &str| text.trim().eq_ignore_ascii_case(word);
    if !same(kind, "application/json")
        || !(same(parameters, "") || same(parameters, "charset=utf-8"))
    {
        return Err(deny(
            "the route takes a body of `Content-Type: application/json`",
        ));
    }
    match remit_mcp::json::read(&http.raw_body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(invalid(&"the body must be a JSON object")),
        Err(error) => Err(invalid(&error)),
    }
}
