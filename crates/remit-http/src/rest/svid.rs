//! SVIDs for agents, asked for with their own access tokens.

use axum::http::Method;
use remit_domain::attestation::{Attestation, Evidence, Trust};
use remit_domain::{RefusalCode, Timestamp};
use remit_issuer::ProofShown;
use remit_token::BearerError;
use remit_token::x509_svid::{self, certificate_pem};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::table::AGENT;
use super::{Ask, Nothing, Reply, Route, route};
use crate::presented;
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/svids/x509", AGENT, "An X.509-SVID for the workflow and run of the token; it ends with the token", x509),
        route(Method::POST, "/svids/jwt", AGENT, "A JWT-SVID for the workflow and run of the token; it ends with the token", jwt),
        route(Method::POST, "/svids/wit", AGENT, "A WIT-SVID for the workflow and run of the token, bound to a key; it ends with the token", wit),
        route(Method::GET, "/svids/attestation", AGENT, "What may run the workflow of the token, for its attester", attestation),
        route(Method::POST, "/svids/attestation", AGENT, "Whether a process may run the workflow of the token, in the words of its attester", attest),
    ]
}

/// A request for an X.509-SVID.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewX509 {
    /// A PKCS #10 request for a key on P-256, in PEM (`CERTIFICATE REQUEST`). Of what it asks for, only the key counts.
    csr: String,
    /// What an attester saw of the process it is for. The workflow has to declare what may run it, and the token's key has to be
    /// an attester's.
    #[serde(default)]
    attested: Option<Evidence>,
}

/// An X.509-SVID, without its private key, which never left its holder.
#[derive(Serialize, JsonSchema)]
struct X509View {
    spiffe_id: String,
    /// The certificate, in PEM.
    certificate: String,
    /// The authorities of the trust domain, in PEM.
    bundle: String,
    expires: Timestamp,
}

/// A request for a JWT-SVID.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewJwt {
    /// Where it is to be good: 1 to 8 values, none of them an address of Remit itself.
    audience: Vec<String>,
    /// What an attester saw of the process it is for.
    #[serde(default)]
    attested: Option<Evidence>,
}

/// A request for a WIT-SVID.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewWit {
    /// A DPoP proof (RFC 9449) of this request by the key that the SVID is to be bound to: a key on P-256, `ath` of the access
    /// token, no `nonce`. It is good once.
    proof: String,
    /// What an attester saw of the process it is for.
    #[serde(default)]
    attested: Option<Evidence>,
}

/// A process to look at.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewAttestation {
    /// What an attester saw of it.
    attested: Evidence,
}

/// That it is what was registered.
#[derive(Serialize, JsonSchema)]
struct AttestedView {
    /// The level of trust that it earns.
    trust: Trust,
}

/// A JWT-SVID.
#[derive(Serialize, JsonSchema)]
struct JwtView {
    spiffe_id: String,
    /// The token.
    svid: String,
    expires: Timestamp,
}

/// A WIT-SVID.
#[derive(Serialize, JsonSchema)]
struct WitView {
    spiffe_id: String,
    /// The token. It is good only together with a proof by its key, and never in `Authorization`.
    svid: String,
    expires: Timestamp,
}

fn agents_only() -> Problem {
    Problem::new(
        RefusalCode::Forbidden,
        "this is for agents; use an access token",
    )
}

async fn x509(ask: Ask<NewX509>) -> Result<Reply<X509View>, Problem> {
    let issuer = &ask.site.app.issuer;
    let verified = ask.agent().ok_or_else(agents_only)?;
    let request = x509_svid::request_from_pem(&ask.body.csr)
        .map_err(|error| Problem::invalid(format!("`csr`: {error}")))?;
    let svid = issuer
        .x509_svid(verified, &request, ask.body.attested.clone())
        .await?;
    let bundle = issuer.bundle(ask.place.org()).await?;
    let authorities = bundle.x509.iter().map(|(der, _)| certificate_pem(der));
    Ok(Reply::created(X509View {
        spiffe_id: svid.spiffe_id.to_string(),
        certificate: certificate_pem(&svid.certificate),
        bundle: authorities.collect(),
        expires: svid.expires,
    }))
}

async fn jwt(ask: Ask<NewJwt>) -> Result<Reply<JwtView>, Problem> {
    let verified = ask.agent().ok_or_else(agents_only)?;
    let issuer = &ask.site.app.issuer;
    let svid = issuer
        .jwt_svid(verified, &ask.body.audience, ask.body.attested.clone())
        .await?;
    Ok(Reply::created(JwtView {
        spiffe_id: svid.spiffe_id.to_string(),
        svid: svid.token.expose_secret().to_owned(),
        expires: svid.expires,
    }))
}

async fn wit(ask: Ask<NewWit>) -> Result<Reply<WitView>, Problem> {
    let verified = ask.agent().ok_or_else(agents_only)?;
    let issuer = &ask.site.app.issuer;
    let presented = presented::shown(&ask.headers).ok_or_else(agents_only)?;
    let shown = ProofShown {
        proof: Some(&ask.body.proof),
        method: Method::POST.as_str(),
        path: &ask.whole_path,
    };
    let token = presented.token().expose_secret();
    let svid = issuer
        .wit_svid(verified, token, &shown, ask.body.attested.clone())
        .await
        .map_err(|refusal| {
            let mut problem = Problem::from(refusal);
            problem.proof = Some(BearerError::InvalidDpopProof);
            problem
        })?;
    Ok(Reply::created(WitView {
        spiffe_id: svid.spiffe_id.to_string(),
        svid: svid.token,
        expires: svid.expires,
    }))
}

async fn attestation(ask: Ask<Nothing>) -> Result<Reply<Attestation>, Problem> {
    let verified = ask.agent().ok_or_else(agents_only)?;
    Ok(ask.site.app.issuer.attestation(verified).await?.into())
}

async fn attest(ask: Ask<NewAttestation>) -> Result<Reply<AttestedView>, Problem> {
    let verified = ask.agent().ok_or_else(agents_only)?;
    let seen = ask.body.attested.clone();
    ask.site.app.issuer.attest(verified, seen).await?;
    let trust = Trust::Attested;
    Ok(AttestedView { trust }.into())
}
