//! Where SVIDs come from: Remit, asked as the agent.

use std::collections::BTreeMap;

use anyhow::Context;
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use remit_domain::Timestamp;
use remit_domain::attestation::{Attestation, Evidence};
use remit_token::{PublicJwk, SigningKey, SpiffeId, x509_svid};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client::{Client, bytes};
use crate::edge;
use crate::mcp::identity::{Identity, TOKEN_TIMEOUT};
use crate::value::text;

/// How long a token has to be good for an SVID to be asked for with it, in seconds: an SVID ends with it.
const TOKEN_SECS_LEFT: i64 = 240;

/// How long what Remit said is good for what gives no SVID, in seconds.
const KNOWN_SECS: i64 = 30;
/// Processes that are remembered.
const KNOWN_MAX: usize = 256;

/// An X.509-SVID with its key.
#[derive(Clone)]
pub(crate) struct X509 {
    pub(crate) spiffe_id: String,
    /// In DER.
    pub(crate) certificate: Vec<u8>,
    /// PKCS #8 in DER.
    pub(crate) key: Vec<u8>,
    pub(crate) expires: Timestamp,
}

/// A JWT-SVID.
#[derive(Clone)]
pub(crate) struct Jwt {
    pub(crate) spiffe_id: String,
    pub(crate) token: String,
}

/// A WIT-SVID with its key.
#[derive(Clone)]
pub(crate) struct Wit {
    pub(crate) spiffe_id: String,
    pub(crate) token: String,
    /// A JWK, with its private half.
    pub(crate) key: String,
    pub(crate) expires: Timestamp,
}

/// The bundle of the trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundle {
    pub(crate) trust_domain: String,
    /// Authorities of X.509-SVIDs, in DER.
    pub(crate) x509: Vec<Vec<u8>>,
    /// Keys of JWT-SVIDs by `kid`.
    pub(crate) jwt: BTreeMap<String, PublicJwk>,
    /// The same as a JWK set.
    pub(crate) jwks: Vec<u8>,
    /// Keys of WIT-SVIDs as a JWK set; none where there are none.
    pub(crate) wit_jwks: Option<String>,
}

/// Gives out SVIDs and the bundle that checks them, to processes that are what was registered.
pub(crate) trait Source: Send + Sync + 'static {
    /// Which user the workload runs as. For another one nothing is looked at.
    fn uid(&self) -> impl Future<Output = anyhow::Result<u32>> + Send;
    /// Whether a process is what was registered.
    fn attest(&self, seen: &Evidence) -> impl Future<Output = anyhow::Result<()>> + Send;
    fn x509(&self, seen: &Evidence) -> impl Future<Output = anyhow::Result<X509>> + Send;
    fn jwt(
        &self,
        audience: &[String],
        seen: &Evidence,
    ) -> impl Future<Output = anyhow::Result<Jwt>> + Send;
    fn wit(&self, seen: &Evidence) -> impl Future<Output = anyhow::Result<Wit>> + Send;
    fn bundle(&self) -> impl Future<Output = anyhow::Result<Bundle>> + Send;
}

/// Remit, asked as one agent.
pub(crate) struct Remit {
    identity: Identity,
    client: Client,
    known: Mutex<Known>,
}

/// What Remit said a moment ago.
#[derive(Default)]
struct Known {
    uid: Option<(u32, Timestamp)>,
    attested: BTreeMap<Evidence, Timestamp>,
}

impl Remit {
    pub(crate) fn new(identity: Identity, client: Client) -> Self {
        let known = Mutex::default();
        Self {
            identity,
            client,
            known,
        }
    }

    /// Whether the agent gets a token, its workflow says what may run it, and the bundle can be read: better told at once than to
    /// the first workload.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        self.uid().await?;
        self.bundle().await.map(drop)
    }

    async fn ask(&self, form: &str, body: &Value) -> anyhow::Result<Value> {
        let client = self.identity.short_client(TOKEN_SECS_LEFT).await?;
        client.post(&["svids", form], body).await
    }
}

impl Source for Remit {
    async fn uid(&self) -> anyhow::Result<u32> {
        let mut known = self.known.lock().await;
        let now = edge::now();
        if let Some((uid, _)) = known.uid.filter(|(_, until)| now < *until) {
            return Ok(uid);
        }
        let client = self.identity.short_client(TOKEN_SECS_LEFT).await?;
        let found = client.get(&["svids", "attestation"]).await?;
        let registered: Attestation = serde_json::from_value(found)
            .context("what may run the workflow cannot be read; is the server of this version?")?;
        known.uid = Some((registered.uid, now.plus_secs(KNOWN_SECS)));
        Ok(registered.uid)
    }

    async fn attest(&self, seen: &Evidence) -> anyhow::Result<()> {
        let now = edge::now();
        let known = self.known.lock().await;
        if known.attested.get(seen).is_some_and(|until| now < *until) {
            return Ok(());
        }
        drop(known);
        self.ask("attestation", &json!({ "attested": seen }))
            .await?;
        let mut known = self.known.lock().await;
        known.attested.retain(|_, until| now < *until);
        if known.attested.len() < KNOWN_MAX {
            let until = now.plus_secs(KNOWN_SECS);
            known.attested.insert(seen.clone(), until);
        }
        Ok(())
    }

    async fn x509(&self, seen: &Evidence) -> anyhow::Result<X509> {
        let made = new_key()?;
        let csr = x509_svid::request_pem(&x509_svid::request(made.as_ref())?);
        let body = json!({ "csr": csr, "attested": seen });
        let answer = self.ask("x509", &body).await?;
        let pem = text(&answer, "certificate");
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| anyhow::anyhow!("the server's certificate cannot be read"))?;
        Ok(X509 {
            spiffe_id: text(&answer, "spiffe_id"),
            certificate: certificate.to_vec(),
            key: made.as_ref().to_vec(),
            expires: ends(&answer)?,
        })
    }

    async fn jwt(&self, audience: &[String], seen: &Evidence) -> anyhow::Result<Jwt> {
        let body = json!({ "audience": audience, "attested": seen });
        let answer = self.ask("jwt", &body).await?;
        Ok(Jwt {
            spiffe_id: text(&answer, "spiffe_id"),
            token: text(&answer, "svid"),
        })
    }

    async fn wit(&self, seen: &Evidence) -> anyhow::Result<Wit> {
        let made = new_key()?;
        let key = SigningKey::from_pkcs8(made.as_ref())?;
        let client = self.identity.short_client(TOKEN_SECS_LEFT).await?;
        let at = ["svids", "wit"];
        let proof = client.proof_by(&key, &at)?;
        let body = json!({ "proof": proof, "attested": seen });
        let answer = client.post(&at, &body).await?;
        Ok(Wit {
            spiffe_id: text(&answer, "spiffe_id"),
            token: text(&answer, "svid"),
            key: private_jwk(made.as_ref())?,
            expires: ends(&answer)?,
        })
    }

    async fn bundle(&self) -> anyhow::Result<Bundle> {
        let url = self.client.url(&["spiffe", "bundle"])?;
        let sent = self
            .client
            .http()
            .get(url)
            .timeout(TOKEN_TIMEOUT)
            .send()
            .await;
        let sent = sent.map_err(reqwest::Error::without_url);
        let answer = bytes(sent.context("the bundle cannot be fetched")?).await?;
        read(&serde_json::from_slice(&answer).context("the bundle cannot be read")?)
            .context("the bundle is not one of a Remit of this version")
    }
}

fn new_key() -> anyhow::Result<Document> {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    made.map_err(|_| anyhow::anyhow!("no key could be made"))
}

fn ends(answer: &Value) -> anyhow::Result<Timestamp> {
    let text = text(answer, "expires");
    text.parse()
        .map_err(|_| anyhow::anyhow!("the server does not say when the SVID ends"))
}

/// A key on P-256 as a JWK with its private half (RFC 7518 §6.2.2).
pub(crate) fn private_jwk(pkcs8: &[u8]) -> anyhow::Result<String> {
    let no_key = || anyhow::anyhow!("the key cannot be read");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
    let pair = pair.map_err(|_| no_key())?;
    let secret: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(|_| no_key())?;
    let mut jwk = serde_json::to_value(SigningKey::from_pkcs8(pkcs8)?.public())?;
    let members = jwk.as_object_mut().ok_or_else(no_key)?;
    members.insert("alg".to_owned(), "ES256".into());
    members.insert(
        "d".to_owned(),
        URL_SAFE_NO_PAD.encode(secret.as_ref()).into(),
    );
    Ok(jwk.to_string())
}

/// A bundle, read. The trust domain is in the name of its authorities, which all have the same.
fn read(bundle: &Value) -> Option<Bundle> {
    let keys = bundle.get("keys")?.as_array()?;
    let of = |usage: &'static str| keys.iter().filter(move |key| key["use"] == usage);
    let mut x509 = Vec::new();
    for key in of("x509-svid") {
        let certificate = key.get("x5c")?.as_array()?.first()?.as_str()?;
        x509.push(STANDARD.decode(certificate).ok()?);
    }
    let names: Option<Vec<SpiffeId>> = x509.iter().map(|der| x509_svid::name(der).ok()).collect();
    let names = names?;
    let first = names.first()?;
    if !first.path().is_empty() || names.iter().any(|name| name != first) {
        return None;
    }
    let mut jwt = BTreeMap::new();
    let mut set = Vec::new();
    for key in of("jwt-svid") {
        let mut members = key.clone();
        members.as_object_mut()?.remove("use");
        let public = PublicJwk::from_json(&members.to_string()).ok()?;
        jwt.insert(text(key, "kid"), public);
        set.push(key.clone());
    }
    let wit: Vec<&Value> = of("wit-svid").collect();
    Some(Bundle {
        wit_jwks: (!wit.is_empty()).then(|| json!({ "keys": wit }).to_string()),
        trust_domain: first.trust_domain().to_owned(),
        x509,
        jwt,
        jwks: serde_json::to_vec(&json!({ "keys": set })).ok()?,
    })
}
