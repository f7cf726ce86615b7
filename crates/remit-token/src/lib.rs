//! The token formats of Remit: bytes to values and back.
//!
//! Public keys and their thumbprints, the JWTs that Remit signs (access tokens, delegation assertions), the
//! JWTs that clients sign (client assertions), the messages of the token endpoint, metadata documents,
//! `WWW-Authenticate` values, SPIFFE IDs, SVIDs and bundles, and the opaque secrets of people.
//!
//! What it must not know: any noun of the registry beyond its opaque id, any store, any policy, any socket.
//! It has no clock and no source of entropy: `now` (seconds since 1970-01-01 UTC), `jti` and secret bytes are
//! arguments. The one exception is inside the cryptographic library, which draws the nonce of an ECDSA
//! signature itself, as it must.
//!
//! Two rules hold everywhere. A verifier decides which algorithm, which `typ` and which key it accepts before it
//! reads the token; the token never chooses (RFC 8725 §3.1, §3.11). And a token of one kind is refused where
//! another kind is expected, because each kind has its own `typ`.
//!
//! Specifications: RFC 6749, RFC 6750, RFC 7515, RFC 7517, RFC 7519, RFC 7521, RFC 7523, RFC 7636, RFC 7638, RFC 8037,
//! RFC 8414, RFC 8693, RFC 8707, RFC 8725, RFC 9068, RFC 9126, RFC 9207, RFC 9396, RFC 9449, RFC 9728, SPIFFE-ID, X509-SVID,
//! JWT-SVID, WIT-SVID, SPIFFE Trust Domain and Bundle.
//!
//! | to | go to |
//! | --- | --- |
//! | sign or check what the issuer issues | [`access_token`], [`subject_token`] |
//! | read an authorization request | [`authorization`], [`authorization_details`] |
//! | authenticate a client | [`client_assertion`], [`client_certificate`], [`client_metadata`] |
//! | make or check a proof of possession | [`dpop`] |
//! | issue or check SVIDs, publish what checks them | [`x509_svid`], [`jwt_svid`], [`wit_svid`], [`spiffe_bundle`] |
//! | check a token of another issuer | [`foreign`] |
//! | read a request to the token endpoint | [`exchange::TokenRequest`] |
//! | hold keys | [`keys::PublicJwk`], [`keys::SigningKey`], [`keys::Jwks`] |
//! | publish metadata, challenge a caller | [`metadata`], [`challenge`] |
//! | make or read a personal token | [`opaque_secret::OpaqueSecret`] |
//! | know how large anything may be | [`limits`] |

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::panic,
        reason = "a test may stop at the first wrong thing it sees"
    )
)]

pub mod access_token;
pub mod authorization;
pub mod authorization_details;
pub mod challenge;
pub mod claims;
pub mod client_assertion;
pub mod client_certificate;
pub mod client_metadata;
pub mod denial_token;
pub mod dpop;
pub mod error;
pub mod exchange;
pub mod foreign;
pub mod id_jag;
mod jws;
pub mod jwt_svid;
pub mod keys;
pub mod limits;
pub mod metadata;
pub mod oauth_error;
pub mod opaque_secret;
pub mod point_token;
pub mod scope;
pub mod security_event;
pub mod spiffe_bundle;
pub mod spiffe_id;
mod strict_json;
pub mod subject_token;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod vectors;
pub mod wit_svid;
pub mod x509_svid;

pub use access_token::AccessTokenClaims;
pub use authorization_details::{AuthorizationDetails, AuthorizationDetailsError};
pub use challenge::{BearerError, Challenge, ChallengeError, Scheme};
pub use claims::{Actor, Audience, Confirmation, Expect, MayAct};
pub use client_assertion::{ClientAssertion, UnverifiedClientId};
pub use denial_token::DenialClaims;
pub use error::TokenError;
pub use exchange::{
    AccessTokenType, AuthorizationCode, ClientAuth, ClientChain, ClientCredentials, ClientProof,
    JwtBearer, TokenExchange, TokenRequest, TokenResponse, TokenType,
};
pub use foreign::{ForeignAlgorithm, ForeignBundle, ForeignClaims, ForeignJwks};
pub use id_jag::IdJagClaims;
pub use jwt_svid::JwtSvidClaims;
pub use keys::{Es256Sign, Jwks, KeyAlgorithm, KeyError, PublicJwk, SigningKey, Thumbprint};
pub use metadata::{
    AuthorizationServerMetadata, MetadataError, OpenIdConfiguration, ProtectedResourceMetadata,
};
pub use oauth_error::{OAuthError, OAuthErrorCode};
pub use opaque_secret::{OpaqueSecret, OpaqueSecretError, SecretDigest, SecretKind};
pub use point_token::PointClaims;
pub use scope::{Scope, ScopeError};
pub use security_event::{Complex, SetClaims, SubjectId};
pub use spiffe_bundle::SpiffeBundle;
pub use spiffe_id::{SpiffeId, SpiffeIdError};
pub use subject_token::DelegationClaims;
pub use wit_svid::WitSvidClaims;
pub use x509_svid::{Authority, X509Error};
