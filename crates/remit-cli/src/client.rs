//! HTTP to the server: REST, and what else it publishes.
//!
//! Redirects are not followed, since they would carry the token to wherever they lead; a token goes over plain HTTP to
//! this machine only, unless that was asked for; an answer has a largest size.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use remit_token::SigningKey;
use remit_token::dpop::{NewProof, sign};
use reqwest::{Method, Response, StatusCode, header, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::edge;
use crate::exit::{Refused, Usage};
use crate::problem;
use crate::proof::Prover;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an answer: the longest long-poll, and some.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 32 * 1_048_576;
/// Items asked for at once.
const PAGE: &str = "200";
/// Most items that a list gathers.
pub(crate) const ITEMS_MAX: usize = 10_000;

/// A server, an organization, perhaps a token.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    /// Address of the organization: what its issuer is called.
    base: Url,
    token: Option<SecretString>,
    /// The key that the token is bound to.
    prover: Option<Arc<Prover>>,
}

impl Client {
    pub(crate) fn new(address: &Url, org: Option<&str>) -> anyhow::Result<Self> {
        let mut base = address.clone();
        if let Some(org) = org {
            push(&mut base, &["t", org])?;
        }
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("remit-cli/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT);
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build()?,
            base,
            token: None,
            prover: None,
        })
    }

    /// With a token.
    pub(crate) fn with_token(
        mut self,
        token: SecretString,
        plain_http: bool,
    ) -> anyhow::Result<Self> {
        if self.base.scheme() == "http" && !is_loopback(&self.base) && !plain_http {
            let text = format!(
                "{} would get the token in clear; use its https:// address",
                self.base
            );
            return Err(Usage(text).into());
        }
        self.token = Some(token);
        Ok(self)
    }

    /// With the key that its token is bound to.
    pub(crate) fn with_prover(mut self, prover: Option<Arc<Prover>>) -> Self {
        self.prover = prover;
        self
    }

    /// Address of the organization, without trailing slash.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// An address below the organization's.
    pub(crate) fn url(&self, path: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.base.clone();
        push(&mut url, path)?;
        Ok(url)
    }

    fn api(&self, path: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.url(&["api", "v1"])?;
        push(&mut url, path)?;
        Ok(url)
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &[&str]) -> anyhow::Result<Value> {
        self.get_with(path, &[]).await
    }

    /// Reads with a query; parameters without a value are left out.
    pub(crate) async fn get_with(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Value> {
        let mut url = self.api(path)?;
        add(&mut url, query);
        json(self.send(Method::GET, url, None, None).await?).await
    }

    /// Reads a list, page after page, at most `max` items.
    pub(crate) async fn list(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        max: usize,
    ) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut after = String::new();
        let limit = if max < 200 {
            max.to_string()
        } else {
            PAGE.to_owned()
        };
        loop {
            let mut query = query.to_vec();
            query.extend([("limit", limit.as_str()), ("after", after.as_str())]);
            let mut page = self.get_with(path, &query).await?;
            // A list without pages may come bare.
            let items = if page.is_array() {
                page.take()
            } else {
                page.get_mut("items").map(Value::take).unwrap_or_default()
            };
            let Value::Array(items) = items else {
                bail!("the server's answer is not a list; is it a Remit of this version?")
            };
            let got = items.len();
            all.extend(items);
            match page.get("next").and_then(Value::as_str) {
                Some(next) if got > 0 && all.len() < max && next != after => {
                    after = next.to_owned()
                }
                _ => break,
            }
        }
        all.truncate(max);
        Ok(all)
    }

    /// Does something.
    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        json(
            self.send(Method::POST, self.api(path)?, Some(body), None)
                .await?,
        )
        .await
    }

    /// A proof, for a POST to this path with the token, by another key than the token's: for something to be bound to that key.
    pub(crate) fn proof_by(&self, key: &SigningKey, path: &[&str]) -> anyhow::Result<String> {
        let new = NewProof {
            method: Method::POST.as_str(),
            url: self.api(path)?.as_str(),
            access_token: self.token.as_ref().map(|token| token.expose_secret()),
            nonce: None,
            jti: &edge::unique()?,
            iat: edge::now().as_secs(),
        };
        Ok(sign(&new, key)?)
    }

    /// Writes; with the revision that was seen, only if it is still that one.
    pub(crate) async fn put(
        &self,
        path: &[&str],
        body: &Value,
        revision: Option<u64>,
    ) -> anyhow::Result<Value> {
        json(
            self.send(Method::PUT, self.api(path)?, Some(body), revision)
                .await?,
        )
        .await
    }

    /// Removes.
    pub(crate) async fn delete(&self, path: &[&str]) -> anyhow::Result<Value> {
        json(
            self.send(Method::DELETE, self.api(path)?, None, None)
                .await?,
        )
        .await
    }

    /// Removes with a query; parameters without a value are left out.
    pub(crate) async fn delete_with(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Value> {
        let mut url = self.api(path)?;
        add(&mut url, query);
        json(self.send(Method::DELETE, url, None, None).await?).await
    }

    /// Any request of REST, by its path as text with a query, for `remit api`.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Vec<u8>> {
        let wanted = path
            .strip_prefix("/api/v1")
            .unwrap_or(path)
            .trim_start_matches('/');
        let (path, query) = wanted.split_once('?').unwrap_or((wanted, ""));
        let mut url = self.url(&["api", "v1"])?;
        url.set_path(&format!("{}/{path}", url.path()));
        url.set_query(Some(query).filter(|q| !q.is_empty()));
        if !url.path().starts_with(self.url(&["api", "v1"])?.path()) {
            return Err(Usage(format!("`{path}` leads out of the API")).into());
        }
        bytes(self.send(method, url, body, None).await?).await
    }

    /// Bytes below the organization's address, such as a tile of the ledger.
    pub(crate) async fn file(&self, path: &[&str]) -> anyhow::Result<Vec<u8>> {
        bytes(self.send(Method::GET, self.url(path)?, None, None).await?).await
    }

    /// Plain text of REST, such as a proof.
    pub(crate) async fn text(&self, path: &[&str]) -> anyhow::Result<String> {
        let bytes = bytes(self.send(Method::GET, self.api(path)?, None, None).await?).await?;
        String::from_utf8(bytes).context("the server's answer is not text")
    }

    /// The client beneath, for what has its own form (tokens, MCP).
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        revision: Option<u64>,
    ) -> anyhow::Result<Response> {
        let mut request = self.http.request(method, url);
        let bound = self.prover.as_ref().zip(self.token.as_ref());
        if let (Some(token), None) = (&self.token, bound) {
            let mut value =
                header::HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                    .map_err(|_| {
                        Usage(
                            "the token holds characters that no token has; copy it again"
                                .to_owned(),
                        )
                    })?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(revision) = revision {
            request = request.header(header::IF_MATCH, format!("\"{revision}\""));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some((prover, token)) = bound {
            let sent = prover.send(request, Some(token)).await;
            return sent.map_err(|error| match error.downcast::<reqwest::Error>() {
                Ok(error) => self.unreachable(error),
                Err(error) => error,
            });
        }
        request
            .send()
            .await
            .map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let address = self.address();
        let what = if error.is_timeout() {
            format!(
                "{address} did not answer in time; what was asked may or may not have been done"
            )
        } else if error.is_connect() {
            format!(
                "{address} cannot be reached; is the server running there? Start one with `remit dev` or `remit serve`, or name another with REMIT_ADDR"
            )
        } else {
            format!(
                "the exchange with {address} broke off; what was asked may or may not have been done"
            )
        };
        anyhow::Error::from(error.without_url()).context(what)
    }
}

/// Whether the address is this machine's own.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn push(url: &mut Url, path: &[&str]) -> anyhow::Result<()> {
    // An empty segment or `..` from an argument would be another address.
    if let Some(wrong) = path
        .iter()
        .find(|p| p.is_empty() || matches!(**p, "." | ".."))
    {
        return Err(Usage(format!("`{wrong}` is not a name")).into());
    }
    let mut segments = url
        .path_segments_mut()
        .map_err(|()| Usage("the address has no path".to_owned()))?;
    segments.pop_if_empty().extend(path);
    Ok(())
}

fn add(url: &mut Url, query: &[(&str, &str)]) {
    let given: Vec<_> = query
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if !given.is_empty() {
        url.query_pairs_mut().extend_pairs(given);
    }
}

/// The body of an answer that is a success; the refusal otherwise.
pub(crate) async fn bytes(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let status = response.status();
    let request = request_id(&response).filter(|_| status.is_server_error());
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| e.without_url())
        .context("the answer broke off")?
    {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            bail!("the answer is larger than 32 MiB");
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(body);
    }
    if status.is_redirection() {
        bail!(
            "the server sends this elsewhere ({status}), which is not followed; use the address it is published at"
        );
    }
    let mut refused = problem::refusal(status.as_u16(), &body);
    if let Some(id) = request {
        refused.detail.push_str(&format!(" (request {id})"));
    }
    Err(refused.into())
}

/// What the server's log calls this request.
fn request_id(response: &Response) -> Option<String> {
    let id = response.headers().get("x-request-id")?.to_str().ok()?;
    let plain = id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then(|| id.to_owned())
}

async fn json(response: Response) -> anyhow::Result<Value> {
    let body = bytes(response).await?;
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(&body).context("the server's answer is not JSON; is it a Remit?")
}

/// Whether something is not there.
pub(crate) fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refused>()
        .is_some_and(|r| r.status == StatusCode::NOT_FOUND.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::address;

    fn client(address_text: &str, org: Option<&str>) -> Client {
        Client::new(&address(address_text).unwrap(), org).unwrap()
    }

    #[test]
    fn names_stay_inside_their_segment() {
        let client = client("https://remit.example/base/", Some("acme"));
        let url = client.api(&["people", "a/../b+c@acme.example"]).unwrap();
        assert_eq!(
            url.as_str(),
            "https://remit.example/base/t/acme/api/v1/people/a%2F..%2Fb+c@acme.example"
        );
        for wrong in ["", ".", ".."] {
            assert!(client.api(&["agents", wrong]).is_err(), "{wrong}");
        }
        assert_eq!(client.address(), "https://remit.example/base/t/acme");
    }

    #[test]
    fn a_token_does_not_go_in_clear_to_another_machine() {
        let token = || SecretString::from("rmt_pat_x");
        assert!(
            client("http://remit.example", None)
                .with_token(token(), false)
                .is_err()
        );
        assert!(
            client("http://127.0.0.1.evil.example", None)
                .with_token(token(), false)
                .is_err()
        );
        for fine in [
            "http://127.0.0.1:7600",
            "http://localhost:1",
            "http://[::1]:1",
            "https://remit.example",
        ] {
            assert!(
                client(fine, None).with_token(token(), false).is_ok(),
                "{fine}"
            );
        }
        assert!(
            !format!(
                "{:?}",
                client("https://x.example", None).with_token(token(), false)
            )
            .contains("rmt_pat_x")
        );
    }
}
