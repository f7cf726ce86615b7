//! The token endpoint, as an agent that proves itself with its own key (RFC 7523 section 2.2, RFC 8693).

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::rest::text_of;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Seconds an assertion lives; each is used once, at once.
const ASSERTION_SECS: u64 = 60;

/// An agent's private key, P-256.
pub(crate) struct AgentKey {
    pem: String,
    jwk: Value,
}

impl AgentKey {
    /// A fresh one.
    pub(crate) fn generate() -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| anyhow!("no key could be made"))?;
        let der = pair
            .to_pkcs8v1()
            .map_err(|_| anyhow!("the key could not be encoded"))?;
        let point = pair.public_key().as_ref();
        let coordinate =
            |at: std::ops::Range<usize>| point.get(at).map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        // SEC 1 section 2.3.3: 04, then x and y of 32 bytes each.
        let (x, y) = coordinate(1..33)
            .zip(coordinate(33..65))
            .context("the public key is not a P-256 point")?;
        Ok(Self {
            pem: pem(der.as_ref()),
            jwk: json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }),
        })
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// Writes the private key as PKCS#8 PEM, readable by this account alone.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let mut out = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)?;
        out.write_all(self.pem.as_bytes())?;
        Ok(())
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<String> = text
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

/// What the token endpoint refused (RFC 6749 section 5.2).
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The OAuth error code.
    pub(crate) error: String,
    /// Begins with Remit's own code where there is one.
    pub(crate) description: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error, self.description)
    }
}

impl std::error::Error for Refusal {}

/// One agent at the token endpoint.
#[derive(Clone)]
pub(crate) struct OAuth {
    http: reqwest::Client,
    base: String,
    client_id: String,
    key: EncodingKey,
}

impl OAuth {
    /// The agent `client_id`, whose key is in `key_file`.
    pub(crate) fn new(base: &str, client_id: &str, key_file: &Path) -> Result<Self> {
        let pem = std::fs::read(key_file)
            .with_context(|| format!("key file `{}` cannot be read", key_file.display()))?;
        let key = EncodingKey::from_ec_pem(&pem).context("the key file is not a P-256 key")?;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            base: base.to_owned(),
            client_id: client_id.to_owned(),
            key,
        })
    }

    /// A token for the agent itself, or in a run of its own.
    pub(crate) async fn own_token(&self, scope: &str) -> Result<Result<String, Refusal>> {
        self.token(&[("grant_type", "client_credentials"), ("scope", scope)])
            .await
    }

    /// A subject token becomes the agent's token that acts for whom it is about.
    pub(crate) async fn exchange(
        &self,
        subject_token: &str,
        scope: &str,
    ) -> Result<Result<String, Refusal>> {
        self.token(&[
            ("grant_type", EXCHANGE),
            ("subject_token", subject_token),
            ("subject_token_type", JWT),
            ("scope", scope),
        ])
        .await
    }

    async fn token(&self, form: &[(&str, &str)]) -> Result<Result<String, Refusal>> {
        let assertion = self.assertion()?;
        let resource = format!("{}/mcp", self.base);
        let proof = [
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion.as_str()),
            ("resource", resource.as_str()),
        ];
        let form: Vec<_> = form.iter().copied().chain(proof).collect();
        let answer = self
            .http
            .post(format!("{}/oauth2/token", self.base))
            .form(&form)
            .send()
            .await?;
        let good = answer.status().is_success();
        let body: Value = answer
            .json()
            .await
            .context("the token endpoint's answer is not JSON")?;
        if !good {
            return Ok(Err(Refusal {
                error: text_of(&body, "/error"),
                description: text_of(&body, "/error_description"),
            }));
        }
        let token = text_of(&body, "/access_token");
        ensure!(!token.is_empty(), "the token endpoint gave no token");
        Ok(Ok(token))
    }

    fn assertion(&self) -> Result<String> {
        let now = now_secs()?;
        let mut jti = [0_u8; 16];
        rand::fill(&mut jti).map_err(|_| anyhow!("no randomness"))?;
        let claims = json!({
            "iss": self.client_id, "sub": self.client_id, "aud": self.base, "jti": hex::encode(jti),
            "iat": now, "exp": now + ASSERTION_SECS,
        });
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("client-authentication+jwt".to_owned());
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}

/// Seconds since 1970-01-01 UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "a client of the server, which has no clock port: its proofs carry the time"
)]
pub(crate) fn now_secs() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_written_can_be_used_and_only_by_this_account() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.pem");
        let key = AgentKey::generate().unwrap();
        key.write(&file).unwrap();
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(key.write(&file).is_err(), "a key is never overwritten");
        let client = OAuth::new("http://127.0.0.1:1", "agt_1", &file).unwrap();
        assert_ne!(client.assertion().unwrap(), client.assertion().unwrap());
        assert_eq!(key.jwk()["crv"], "P-256");
    }
}
