//! The token endpoint: requests of four grants, and the answer.
//!
//! Source: RFC 6749 §3.2, §4.4 and §5, RFC 8693 §2, RFC 8707 §2, RFC 7521 §4, RFC 7523 §2.1.

mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::authorization::GRANT_AUTHORIZATION_CODE;
use crate::authorization_details::AuthorizationDetails;
use crate::scope::Scope;

/// `grant_type` by which a client acts for itself (RFC 6749 §4.4.2).
pub const GRANT_CLIENT_CREDENTIALS: &str = "client_credentials";
/// `grant_type` of the token exchange (RFC 8693 §2.1).
pub const GRANT_TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// `grant_type` of an assertion of another issuer (RFC 7523 §2.1).
pub const GRANT_JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// `client_assertion_type` of a signed JWT (RFC 7523 §2.2).
pub const CLIENT_ASSERTION_JWT_BEARER: &str =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What kind of token a token is (RFC 8693 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenType {
    /// An access token of this issuer.
    AccessToken,
    /// A JWT of another kind; here a delegation assertion.
    Jwt,
    /// An OpenID Connect ID token.
    IdToken,
    /// A refresh token.
    RefreshToken,
    /// A SAML 1.1 assertion.
    Saml1,
    /// A SAML 2.0 assertion.
    Saml2,
    /// An identity assertion authorization grant (draft-ietf-oauth-identity-assertion-authz-grant).
    IdJag,
    /// A transaction token (draft-ietf-oauth-transaction-tokens).
    TxnToken,
}

impl TokenType {
    const ALL: [Self; 8] = [
        Self::AccessToken,
        Self::Jwt,
        Self::IdToken,
        Self::RefreshToken,
        Self::Saml1,
        Self::Saml2,
        Self::IdJag,
        Self::TxnToken,
    ];

    /// The identifier on the wire.
    #[must_use]
    pub fn urn(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::RefreshToken => "urn:ietf:params:oauth:token-type:refresh_token",
            Self::Saml1 => "urn:ietf:params:oauth:token-type:saml1",
            Self::Saml2 => "urn:ietf:params:oauth:token-type:saml2",
            Self::IdJag => "urn:ietf:params:oauth:token-type:id-jag",
            Self::TxnToken => "urn:ietf:params:oauth:token-type:txn_token",
        }
    }

    /// The type of an identifier, if it is a known one.
    #[must_use]
    pub fn from_urn(urn: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.urn() == urn)
    }
}

impl Serialize for TokenType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.urn())
    }
}

impl<'de> Deserialize<'de> for TokenType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_urn(&text).ok_or_else(|| serde::de::Error::custom("unknown token type"))
    }
}

/// `client_assertion_type` of a JWT-SVID (draft-ietf-oauth-spiffe-client-auth §3).
pub const CLIENT_ASSERTION_JWT_SPIFFE: &str =
    "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// How the client authenticates. Nothing is verified yet.
#[derive(Debug, Clone)]
pub struct ClientAuth {
    /// The client, if it is said beside the proof; must then be the proof's (RFC 7521 §4.2).
    pub client_id: Option<String>,
    /// The proof.
    pub proof: ClientProof,
    /// What its TLS connection shows; empty where that is nothing.
    pub chain: ClientChain,
}

/// The certificates of a TLS connection in DER, the client's own first: whoever ends the connection puts them here, and has had the
/// key of the first proved. Empty where it showed none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientChain(Vec<Vec<u8>>);

impl ClientChain {
    /// Of certificates in DER.
    #[must_use]
    pub fn new(chain: Vec<Vec<u8>>) -> Self {
        Self(chain)
    }

    /// The certificates.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0
    }
}

/// What a client proves itself with.
#[derive(Debug, Clone)]
pub enum ClientProof {
    /// A JWT that its registered key signed (`private_key_jwt`, RFC 7523 §2.2).
    PrivateKeyJwt(SecretString),
    /// A JWT-SVID (`spiffe_jwt`, draft-ietf-oauth-spiffe-client-auth §3).
    JwtSvid(SecretString),
    /// The certificate of its TLS connection, and nothing in the request (RFC 8705 §2).
    Certificate,
}

impl ClientAuth {
    /// A client that signs with its registered key.
    pub fn private_key_jwt(assertion: impl Into<SecretString>) -> Self {
        Self {
            client_id: None,
            proof: ClientProof::PrivateKeyJwt(assertion.into()),
            chain: ClientChain::default(),
        }
    }

    /// A client that its connection proves.
    pub fn certificate(client_id: impl Into<String>, chain: ClientChain) -> Self {
        Self {
            client_id: Some(client_id.into()),
            proof: ClientProof::Certificate,
            chain,
        }
    }

    /// A workload that shows its JWT-SVID.
    pub fn jwt_svid(svid: impl Into<SecretString>) -> Self {
        Self {
            client_id: None,
            proof: ClientProof::JwtSvid(svid.into()),
            chain: ClientChain::default(),
        }
    }
}

/// A request to the token endpoint, of known shape and within limits; nothing in it is verified.
#[derive(Debug, Clone)]
pub enum TokenRequest {
    /// A client acts for itself.
    ClientCredentials(ClientCredentials),
    /// A client brings a code that a person's consent gave it.
    AuthorizationCode(Box<AuthorizationCode>),
    /// A client exchanges a token.
    TokenExchange(Box<TokenExchange>),
    /// A workload, or a client for a person, brings an assertion of another issuer.
    JwtBearer(Box<JwtBearer>),
}

/// RFC 6749 §4.4.2.
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    /// Who asks.
    pub client: ClientAuth,
    /// What is asked for beyond scopes (RFC 9396 §6); may be empty.
    pub authorization_details: AuthorizationDetails,
    /// What is asked for; may be empty.
    pub scope: Scope,
    /// Where the token is to be good: absolute URIs without fragment, 0 to [`crate::limits::TARGETS_MAX`].
    pub resource: Vec<String>,
}

/// RFC 6749 §4.1.3, RFC 7636 §4.5.
#[derive(Debug, Clone)]
pub struct AuthorizationCode {
    /// Who asks.
    pub client: ClientAuth,
    /// What is asked for beyond scopes (RFC 9396 §6); may be empty.
    pub authorization_details: AuthorizationDetails,
    /// The code.
    pub code: SecretString,
    /// Where the code was sent.
    pub redirect_uri: Option<String>,
    /// What the challenge was made of.
    pub code_verifier: SecretString,
    /// What is asked for: nothing, since the person was asked already.
    pub scope: Scope,
    /// Where the token is to be good: 0 to [`crate::limits::TARGETS_MAX`].
    pub resource: Vec<String>,
}

/// RFC 7523 §2.1.
#[derive(Debug, Clone)]
pub struct JwtBearer {
    /// The assertion, not verified yet.
    pub assertion: SecretString,
    /// The client, where it proves itself: a workload does so by the assertion alone.
    pub client: Option<ClientAuth>,
    /// The client, where it is only named: its connection may prove it (RFC 8705 §2).
    pub client_id: Option<String>,
    /// What its TLS connection shows; empty where that is nothing.
    pub chain: ClientChain,
    /// What is asked for; may be empty.
    pub scope: Scope,
    /// Where the token is to be good: 0 to [`crate::limits::TARGETS_MAX`].
    pub resource: Vec<String>,
    /// What is asked for besides, narrower (RFC 9396).
    pub authorization_details: AuthorizationDetails,
}

impl JwtBearer {
    /// The client that proves itself: by an assertion of its own, or by what its connection shows.
    #[must_use]
    pub fn proving(&self) -> Option<Cow<'_, ClientAuth>> {
        if let Some(client) = &self.client {
            return Some(Cow::Borrowed(client));
        }
        let id = self.client_id.as_ref()?;
        let shows = !self.chain.certificates().is_empty();
        shows.then(|| Cow::Owned(ClientAuth::certificate(id, self.chain.clone())))
    }

    fn own_form(&self) -> Vec<(&'static str, String)> {
        let named = self.client_id.clone().filter(|_| self.client.is_none());
        let mut form = vec![
            ("grant_type", GRANT_JWT_BEARER.to_owned()),
            ("assertion", self.assertion.expose_secret().to_owned()),
        ];
        form.extend(named.map(|id| ("client_id", id)));
        form
    }
}

/// RFC 8693 §2.1.
#[derive(Debug, Clone)]
pub struct TokenExchange {
    /// Who asks.
    pub client: ClientAuth,
    /// What is asked for beyond scopes (RFC 9396 §6); may be empty.
    pub authorization_details: AuthorizationDetails,
    /// On whose behalf.
    pub subject_token: SecretString,
    /// What `subject_token` is.
    pub subject_token_type: TokenType,
    /// Who acts, with its type; both or neither.
    pub actor_token: Option<(SecretString, TokenType)>,
    /// Where the token is to be good, as URIs: 0 to [`crate::limits::TARGETS_MAX`].
    pub resource: Vec<String>,
    /// Where the token is to be good, as names: 0 to [`crate::limits::TARGETS_MAX`].
    pub audience: Vec<String>,
    /// What is asked for; may be empty.
    pub scope: Scope,
    /// The kind of token that is wanted.
    pub requested_token_type: Option<TokenType>,
}

impl TokenRequest {
    /// Puts in what the connection shows that the request came on.
    pub fn on_connection(&mut self, chain: ClientChain) {
        let client = match self {
            Self::ClientCredentials(request) => &mut request.client,
            Self::AuthorizationCode(request) => &mut request.client,
            Self::TokenExchange(request) => &mut request.client,
            Self::JwtBearer(request) => {
                if let Some(client) = &mut request.client {
                    client.chain = chain.clone();
                }
                request.chain = chain;
                return;
            }
        };
        client.chain = chain;
    }

    /// Who asks, where that is proved by a client assertion.
    #[must_use]
    pub fn client(&self) -> Option<&ClientAuth> {
        match self {
            Self::ClientCredentials(request) => Some(&request.client),
            Self::AuthorizationCode(request) => Some(&request.client),
            Self::TokenExchange(request) => Some(&request.client),
            Self::JwtBearer(request) => request.client.as_ref(),
        }
    }

    /// The scope that is asked for.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        match self {
            Self::ClientCredentials(request) => &request.scope,
            Self::AuthorizationCode(request) => &request.scope,
            Self::TokenExchange(request) => &request.scope,
            Self::JwtBearer(request) => &request.scope,
        }
    }

    /// What is asked for beyond scopes.
    #[must_use]
    pub fn authorization_details(&self) -> &AuthorizationDetails {
        match self {
            Self::ClientCredentials(request) => &request.authorization_details,
            Self::AuthorizationCode(request) => &request.authorization_details,
            Self::TokenExchange(request) => &request.authorization_details,
            Self::JwtBearer(request) => &request.authorization_details,
        }
    }

    /// The resources that are asked for.
    #[must_use]
    pub fn resource(&self) -> &[String] {
        match self {
            Self::ClientCredentials(request) => &request.resource,
            Self::AuthorizationCode(request) => &request.resource,
            Self::TokenExchange(request) => &request.resource,
            Self::JwtBearer(request) => &request.resource,
        }
    }

    /// The form parameters of this request; for clients. They hold secrets in clear.
    #[must_use]
    pub fn to_form(&self) -> Vec<(&'static str, String)> {
        let mut form = Vec::new();
        match self {
            Self::ClientCredentials(_) => {
                form.push(("grant_type", GRANT_CLIENT_CREDENTIALS.to_owned()));
            }
            Self::AuthorizationCode(request) => {
                form.push(("grant_type", GRANT_AUTHORIZATION_CODE.to_owned()));
                form.push(("code", request.code.expose_secret().to_owned()));
                let verifier = request.code_verifier.expose_secret();
                form.push(("code_verifier", verifier.to_owned()));
                form.extend(
                    request
                        .redirect_uri
                        .clone()
                        .map(|uri| ("redirect_uri", uri)),
                );
            }
            Self::TokenExchange(request) => {
                form.push(("grant_type", GRANT_TOKEN_EXCHANGE.to_owned()));
                form.push((
                    "subject_token",
                    request.subject_token.expose_secret().to_owned(),
                ));
                form.push((
                    "subject_token_type",
                    request.subject_token_type.urn().to_owned(),
                ));
                if let Some((token, kind)) = &request.actor_token {
                    form.push(("actor_token", token.expose_secret().to_owned()));
                    form.push(("actor_token_type", kind.urn().to_owned()));
                }
                form.extend(
                    request
                        .audience
                        .iter()
                        .map(|name| ("audience", name.clone())),
                );
                if let Some(kind) = request.requested_token_type {
                    form.push(("requested_token_type", kind.urn().to_owned()));
                }
            }
            Self::JwtBearer(request) => form.extend(request.own_form()),
        }
        form.extend(self.resource().iter().map(|uri| ("resource", uri.clone())));
        if !self.scope().is_empty() {
            form.push(("scope", self.scope().to_string()));
        }
        if !self.authorization_details().is_empty() {
            let text = self.authorization_details().to_text();
            form.push(("authorization_details", text));
        }
        let Some(client) = self.client() else {
            return form;
        };
        form.extend(client.client_id.clone().map(|id| ("client_id", id)));
        let (kind, assertion) = match &client.proof {
            ClientProof::PrivateKeyJwt(assertion) => (CLIENT_ASSERTION_JWT_BEARER, assertion),
            ClientProof::JwtSvid(svid) => (CLIENT_ASSERTION_JWT_SPIFFE, svid),
            // The connection shows it.
            ClientProof::Certificate => return form,
        };
        form.push(("client_assertion_type", kind.to_owned()));
        form.push(("client_assertion", assertion.expose_secret().to_owned()));
        form
    }
}

/// How an issued token is used (RFC 8693 §2.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AccessTokenType {
    /// As a bearer token (RFC 6750).
    Bearer,
    /// With a proof of possession (RFC 9449 §5).
    #[serde(rename = "DPoP")]
    DPoP,
    /// Not for access: the issued token is of another kind.
    #[serde(rename = "N_A")]
    NotApplicable,
}

/// The answer of the token endpoint (RFC 6749 §5.1, RFC 8693 §2.2.1).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenResponse {
    /// The issued token, of any kind.
    #[serde(serialize_with = "expose")]
    pub access_token: SecretString,
    /// What it is; required in the answer to an exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<TokenType>,
    /// How it is used.
    pub token_type: AccessTokenType,
    /// Its life in seconds from now.
    pub expires_in: u32,
    /// What was granted, which may be less than was asked for; left out when empty.
    #[serde(default, skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// What the token may do, where that is narrowed to tools (RFC 9396 §7); left out when empty.
    #[serde(default, skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub authorization_details: AuthorizationDetails,
}

/// Writes the token into the one place where it belongs.
fn expose<S: Serializer>(token: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose_secret())
}
