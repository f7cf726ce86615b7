//! Requests that prove a key (DPoP, RFC 9449): each has its own proof, which answers with the newest nonce of the server.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use remit_token::SigningKey;
use remit_token::dpop::{NewProof, sign};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Request, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use crate::edge;

const DPOP: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A key, and the newest nonce that the server gave.
pub(crate) struct Prover {
    key: SigningKey,
    nonce: Mutex<Option<String>>,
}

impl Prover {
    pub(crate) fn new(key: SigningKey) -> Self {
        let nonce = Mutex::default();
        Self { key, nonce }
    }

    /// The key that is proved.
    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Sends a request with a proof, and once more with another proof when the server only wants its nonce in it: it has done
    /// nothing then.
    ///
    /// - `token`: the token that the request carries; none at the token endpoint.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        token: Option<&SecretString>,
    ) -> anyhow::Result<Response> {
        let (http, request) = request.build_split();
        let mut request = request?;
        let again = request.try_clone();
        self.prove(&mut request, token)?;
        let response = http.execute(request).await?;
        let given = response.headers().get(&NONCE);
        let given = given
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let newer = given.is_some() && given != self.newest();
        if newer {
            *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = given;
        }
        match again {
            Some(mut again) if newer && wants_nonce(&response, token.is_none()) => {
                self.prove(&mut again, token)?;
                Ok(http.execute(again).await?)
            }
            _ => Ok(response),
        }
    }

    fn newest(&self) -> Option<String> {
        let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner);
        nonce.clone()
    }

    fn prove(&self, request: &mut Request, token: Option<&SecretString>) -> anyhow::Result<()> {
        let nonce = self.newest();
        let new = NewProof {
            method: request.method().as_str(),
            url: request.url().as_str(),
            access_token: token.map(|token| token.expose_secret()),
            nonce: nonce.as_deref(),
            jti: &edge::unique()?,
            iat: edge::now().as_secs(),
        };
        let proof = HeaderValue::from_str(&sign(&new, &self.key)?)?;
        request.headers_mut().insert(DPOP, proof);
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("DPoP {}", token.expose_secret()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(())
    }
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prover")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Whether the server only wants its nonce: it says so in a challenge at a resource, and at the token endpoint in a body that
/// is not ours to read yet, so there any request that it calls wrong counts. Nothing else is ever sent twice.
fn wants_nonce(response: &Response, at_token_endpoint: bool) -> bool {
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let says = challenge.is_some_and(|value| {
        value
            .to_str()
            .is_ok_and(|text| text.contains("use_dpop_nonce"))
    });
    match response.status() {
        StatusCode::UNAUTHORIZED => says,
        StatusCode::BAD_REQUEST => at_token_endpoint,
        _ => false,
    }
}

/// The error without the address that it names.
pub(crate) fn without_url(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<reqwest::Error>() {
        Ok(error) => error.without_url().into(),
        Err(error) => error,
    }
}
