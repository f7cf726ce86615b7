//! The [`Web`] port: a company's OpenID provider, asked for its metadata, keys and tokens.
//!
//! The address rules are those of upstreams, and stricter: addresses of private networks only where the operator says so.
//! Nothing is remembered between requests but connections, and no redirect is followed: whoever answers for an address
//! answers itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Bytes;
use remit_domain::OrgId;
use remit_ports::Web;
use remit_ports::web::{SpiffeServer, WebError, WebRequest, WebResponse};

use super::spiffe::OneServer;
use super::target::Target;
use super::wire::{Client, OneShot, Roots, Wire, chain};
use crate::flight::Flight;
use crate::limits::{WEB, WEB_BYTES_MAX};

/// Headers that a caller may give; every other one says how a message is carried, which is not theirs to say.
const GIVEN: [&str; 3] = ["accept", "authorization", "content-type"];

/// The web, for what is no tool call.
#[derive(Debug)]
pub struct HttpWeb {
    wire: Wire,
    loopback: bool,
    private: bool,
    within: Duration,
}

impl HttpWeb {
    /// - `loopback`: whether this machine's loopback addresses may be asked (tests and `remit dev`).
    /// - `private`: whether addresses of private networks may be asked (a provider inside the company).
    #[must_use]
    pub fn new(loopback: bool, private: bool) -> Self {
        Self::trusting(loopback, private, &Roots::new())
    }

    /// - `roots`: authorities that are trusted besides this machine's.
    #[must_use]
    pub fn trusting(loopback: bool, private: bool, roots: &Roots) -> Self {
        Self {
            wire: Wire::within(loopback, private, roots),
            loopback,
            private,
            within: WEB,
        }
    }

    async fn ask(&self, org: &OrgId, request: WebRequest) -> Result<WebResponse, WebError> {
        let target = self.target(&request.url)?;
        let client = self.wire.client(org);
        exchange(&client, target, request).await
    }

    async fn ask_spiffe(
        &self,
        request: WebRequest,
        server: SpiffeServer,
    ) -> Result<WebResponse, WebError> {
        let target = self.target(&request.url)?;
        if target.uri.scheme() != Some(&Scheme::HTTPS) {
            let why = "a server proves itself with a certificate over https alone";
            return Err(WebError::Refused(why.to_owned()));
        }
        let judge = Arc::new(OneServer::new(server));
        let client = self.wire.apart(Arc::clone(&judge).config());
        let answer = exchange(&client, target, request).await;
        answer.map_err(|error| match judge.refused() {
            Some(why) => WebError::Untrusted(why),
            None => error,
        })
    }

    /// Where a request goes, by the rules for addresses.
    fn target(&self, url: &str) -> Result<Target, WebError> {
        let target = Target::read(url, self.loopback)
            .map_err(|error| WebError::Refused(error.to_string()))?;
        if !self.private && target.is_private() {
            let why = "it is an address of a private network; the operator allows those with `idp_private`";
            return Err(WebError::Refused(why.to_owned()));
        }
        Ok(target)
    }
}

async fn exchange(
    client: &Client,
    target: Target,
    request: WebRequest,
) -> Result<WebResponse, WebError> {
    let method = match request.method.as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        _ => return Err(WebError::Refused("only GET and POST are sent".to_owned())),
    };
    let flight = Arc::new(Flight::default());
    let mut sent = Request::new(OneShot::new(Bytes::from(request.body), &flight));
    *sent.method_mut() = method;
    *sent.uri_mut() = target.uri;
    *sent.headers_mut() = headers(&request.headers)?;
    let answer = client.request(sent).await;
    let answer = answer.map_err(|error| WebError::Unreachable(chain(&error)))?;
    let (parts, body) = answer.into_parts();
    if parts.status.is_redirection() {
        return Err(WebError::Redirect);
    }
    let body = Limited::new(body, WEB_BYTES_MAX).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            WebError::TooLarge(WEB_BYTES_MAX)
        } else {
            WebError::Unreachable(chain(error.as_ref()))
        }
    })?;
    let kind = parts.headers.get(CONTENT_TYPE);
    Ok(WebResponse {
        status: parts.status.as_u16(),
        content_type: kind.and_then(|v| v.to_str().ok()).map(str::to_owned),
        max_age_s: max_age(&parts.headers),
        body: body.to_bytes().to_vec(),
    })
}

#[async_trait]
impl Web for HttpWeb {
    async fn request(&self, org: &OrgId, request: WebRequest) -> Result<WebResponse, WebError> {
        tokio::time::timeout(self.within, self.ask(org, request))
            .await
            .unwrap_or(Err(WebError::Timeout))
    }

    async fn request_spiffe(
        &self,
        _org: &OrgId,
        request: WebRequest,
        server: SpiffeServer,
    ) -> Result<WebResponse, WebError> {
        tokio::time::timeout(self.within, self.ask_spiffe(request, server))
            .await
            .unwrap_or(Err(WebError::Timeout))
    }
}

/// What an answer says of how long it keeps (RFC 9111 §5.2.2); the least where it says several things.
fn max_age(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let directives = values
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','));
    let secs = directives.filter_map(|directive| {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.as_str() {
            "no-store" | "no-cache" => Some(0),
            other => other
                .strip_prefix("max-age=")?
                .trim_matches('"')
                .parse()
                .ok(),
        }
    });
    secs.min()
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, WebError> {
    let mut headers = HeaderMap::with_capacity(given.len().saturating_add(1));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("remit/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in given {
        let unfit = || WebError::Refused("a header cannot be sent".to_owned());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        if !GIVEN.contains(&name.as_str()) {
            continue;
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| unfit())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn org() -> OrgId {
        OrgId::from_uuid(uuid::Uuid::nil())
    }

    fn get(url: &str) -> WebRequest {
        WebRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: vec![("host".to_owned(), "evil.test".to_owned())],
            body: Vec::new(),
        }
    }

    /// Answers one request with these bytes, and gives back what was asked.
    async fn serve(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = peer.read(&mut request).await.unwrap();
            let _ = peer.write_all(&answer).await;
            let _ = peer.flush().await;
            String::from_utf8_lossy(&request[..n]).into_owned()
        });
        (url, asked)
    }

    #[tokio::test]
    async fn an_answer_is_read_whole_and_the_host_is_the_addresss_own() {
        let (url, asked) = serve(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
                .to_vec(),
        )
        .await;
        let web = HttpWeb::new(true, false);
        let answer = web.request(&org(), get(&url)).await.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, b"{}".as_slice())
        );
        assert!(!asked.await.unwrap().contains("evil.test"));
    }

    #[test]
    fn how_long_an_answer_keeps_is_read() {
        for (said, secs) in [
            ("max-age=60", Some(60)),
            ("public, MAX-AGE=300, immutable", Some(300)),
            ("max-age=60, no-store", Some(0)),
            ("no-cache", Some(0)),
            ("max-age=x", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(said))]);
            assert_eq!(max_age(&headers), secs, "{said}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (url, _asked) = serve(
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
        )
        .await;
        let web = HttpWeb::new(true, false);
        assert_eq!(
            web.request(&org(), get(&url)).await.unwrap_err(),
            WebError::Redirect
        );
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off() {
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            WEB_BYTES_MAX * 4
        )
        .into_bytes();
        answer.extend(vec![b'x'; WEB_BYTES_MAX * 2]);
        let (url, _asked) = serve(answer).await;
        let web = HttpWeb::new(true, false);
        assert_eq!(
            web.request(&org(), get(&url)).await.unwrap_err(),
            WebError::TooLarge(WEB_BYTES_MAX)
        );
    }

    #[tokio::test]
    async fn silence_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let mut web = HttpWeb::new(true, false);
        web.within = Duration::from_millis(50);
        assert_eq!(
            web.request(&org(), get(&url)).await.unwrap_err(),
            WebError::Timeout
        );
        drop(listener);
    }

    #[tokio::test]
    async fn places_that_only_this_machine_reaches_are_refused() {
        let web = HttpWeb::new(false, false);
        for url in [
            "http://127.0.0.1:1/",
            "https://localhost:1/",
            "https://10.0.0.1/",
            "https://192.168.1.1/",
            "https://172.16.0.1/",
            "https://100.64.0.1/",
            "https://[fd00::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/",
            "http://login.example/",
            "ftp://login.example/",
        ] {
            let refused = web.request(&org(), get(url)).await.unwrap_err();
            let named = matches!(&refused, WebError::Unreachable(why) if why.contains("refused"));
            assert!(
                matches!(refused, WebError::Refused(_)) || named,
                "{url}: {refused:?}"
            );
        }
    }
}
