//! One upstream as one caller may use it: its address, the organization's connections, the brokered headers.

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Bytes, Incoming};
use remit_mcp::protocol::header;
use remit_mcp::{ErrorObject, Message};
use remit_ports::upstreams::{Lease, UpstreamError};
use secrecy::ExposeSecret as _;

use super::target::Target;
use super::wire::{Client, OneShot, chain};
use crate::flight::Flight;
use crate::limits::{FAREWELL, MESSAGE_BYTES_MAX};
use crate::outgoing;

/// What a brokered header may not be: the transport's own, or one that changes what was decided.
const RESERVED: [&str; 12] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What became of one exchange.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not one byte of the message was written.
    NotSent(String),
    /// It was written and no answer came.
    Lost(String),
    /// The answer is larger than Remit holds.
    TooLarge,
    /// The answer is not MCP.
    Invalid(String),
    /// A JSON-RPC error with HTTP 200.
    Rpc(ErrorObject),
    /// An HTTP status that is not success, with the JSON-RPC error of its body if there is one.
    Status(StatusCode, Option<ErrorObject>),
}

impl Failure {
    /// As the port says it, when the exchange was the call itself.
    pub(super) fn into_error(self) -> UpstreamError {
        match self {
            Self::NotSent(why) => UpstreamError::Unreachable(why),
            Self::Lost(why) => UpstreamError::Ambiguous(why),
            Self::TooLarge => UpstreamError::TooLarge(MESSAGE_BYTES_MAX),
            Self::Invalid(why) => UpstreamError::Invalid(why),
            Self::Status(status @ StatusCode::UNAUTHORIZED, _) => {
                UpstreamError::Unauthorized(said(status))
            }
            Self::Rpc(error) | Self::Status(_, Some(error)) => outgoing::rpc(error),
            Self::Status(status, None) => UpstreamError::Invalid(said(status)),
        }
    }

    /// As the port says it, when the exchange only prepared the call, of which nothing was sent.
    pub(super) fn before_call(self) -> UpstreamError {
        match self.into_error() {
            same @ (UpstreamError::Unreachable(_) | UpstreamError::Unauthorized(_)) => same,
            other => UpstreamError::Unreachable(format!("no session could be agreed, {other}")),
        }
    }
}

fn said(status: StatusCode) -> String {
    let code = status.as_u16();
    match code {
        300..=399 => format!("HTTP {code}, redirects are not followed: give the final URL"),
        401 | 403 => format!("HTTP {code}, it refused the credential"),
        404 => "HTTP 404, there is no such endpoint or session".to_owned(),
        _ => format!("HTTP {code}"),
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) client: Client,
    pub(super) target: Target,
    /// Content type, accept and the lease's headers. Values of the lease are marked sensitive.
    headers: HeaderMap,
}

impl Peer {
    /// # Errors
    /// `Unreachable` when a brokered header cannot be sent.
    pub(super) fn new(
        client: Client,
        target: Target,
        lease: &Lease,
    ) -> Result<Self, UpstreamError> {
        let mut headers = HeaderMap::with_capacity(lease.headers.len().saturating_add(12));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static(header::ACCEPT_BOTH));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("remit/", env!("CARGO_PKG_VERSION"))),
        );
        for (name, value) in &lease.headers {
            let refused = |why: &str| {
                UpstreamError::Unreachable(format!(
                    "the secret's header `{}` {why}",
                    outgoing::reason(name)
                ))
            };
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| refused("is not a header name"))?;
            let text = name.as_str();
            if RESERVED.contains(&text) || text.starts_with("mcp-") || text.starts_with("proxy-") {
                return Err(refused("belongs to the transport"));
            }
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| refused("has a value that is not one line of visible ASCII"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self {
            client,
            target: target.with(&lease.query)?,
            headers,
        })
    }

    /// Sends one HTTP request with `extra` headers and waits for the head of the response.
    ///
    /// # Errors
    /// `NotSent` or `Lost`.
    pub(super) async fn send(
        &self,
        method: Method,
        extra: HeaderMap,
        body: Bytes,
        flight: &Arc<Flight>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(OneShot::new(body, flight));
        *request.method_mut() = method;
        *request.uri_mut() = self.target.uri.clone();
        let mut headers = self.headers.clone();
        headers.extend(extra);
        *request.headers_mut() = headers;
        self.client.request(request).await.map_err(|error| {
            let why = chain(&error);
            if flight.withdraw() {
                Failure::NotSent(why)
            } else {
                Failure::Lost(why)
            }
        })
    }

    /// Sends a message to which no answer is expected (a notification, or the answer to a server's request), and
    /// returns the status.
    pub(super) async fn tell(
        &self,
        extra: HeaderMap,
        message: Message,
    ) -> Result<StatusCode, Failure> {
        let flight = Arc::new(Flight::default());
        let sent = self.send(Method::POST, extra, message.into_bytes().into(), &flight);
        match tokio::time::timeout(FAREWELL, sent).await {
            Ok(response) => Ok(response?.status()),
            Err(_) => Err(Failure::Lost(format!("no answer within {FAREWELL:?}"))),
        }
    }
}

/// Adds headers that were derived from the call.
///
/// # Errors
/// `NotSent` when one cannot be sent.
pub(super) fn put(headers: &mut HeaderMap, derived: Vec<(String, String)>) -> Result<(), Failure> {
    for (name, value) in derived {
        let unfit = || {
            Failure::NotSent(format!(
                "header `{}` cannot be sent",
                outgoing::reason(&name)
            ))
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        headers.insert(key, HeaderValue::from_str(&value).map_err(|_| unfit())?);
    }
    Ok(())
}
