//! Why a JWT was refused or could not be made.
//!
//! No variant carries text from the token: an error may be logged, and a token is a secret.

use thiserror::Error;

/// Why a token was refused, or could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Longer than [`crate::limits::TOKEN_BYTES_MAX`].
    #[error("the token is larger than {max} bytes; ask for fewer scopes or a shorter chain")]
    TooLarge {
        /// The limit, in bytes.
        max: usize,
    },
    /// Not a compact JWS with a JSON header and JSON claims of the expected shape.
    #[error("the token is not a well-formed signed JWT: its {part} cannot be read")]
    Malformed {
        /// Which part: `shape`, `header`, `claims`.
        part: &'static str,
    },
    /// An opaque secret of a person was given where a JWT is needed.
    #[error(
        "a personal token or link code was given where a signed token is needed; get one with `remit delegation grant`"
    )]
    OpaqueSecret,
    /// The `alg` is not one that this verifier pinned; includes `none` and every HMAC.
    #[error("the token's `alg` is not accepted here; sign with {accepted}")]
    AlgorithmRefused {
        /// Accepted algorithm names, comma separated.
        accepted: &'static str,
    },
    /// The header has a parameter that could choose the key or change the processing.
    #[error("the token's header has `{name}`, which is never accepted; remove it")]
    HeaderRefused {
        /// The parameter, or `other` for one that is not listed in RFC 7515 §4.1.
        name: &'static str,
    },
    /// The `typ` is that of another kind of token.
    #[error("the token's `typ` is not `{expected}`; another kind of token was given")]
    TypeRefused {
        /// The expected `typ`.
        expected: &'static str,
    },
    /// There is no `kid`.
    #[error("the token's header has no `kid`; it was not issued here")]
    KeyIdMissing,
    /// No key with that `kid` is trusted (any more).
    #[error("the token was signed with a key that is not trusted here; get a new token")]
    KeyUnknown,
    /// The signature does not match.
    #[error("the token's signature is not valid")]
    SignatureInvalid,
    /// `iss` is another one.
    #[error("the token was issued by another issuer")]
    IssuerWrong,
    /// `aud` does not name this place.
    #[error("the token is for another audience; ask for one with this `resource`")]
    AudienceWrong,
    /// `exp` has passed.
    #[error("the token has expired; get a new one")]
    Expired,
    /// `iat` or `nbf` lies in the future by more than the leeway.
    #[error("the token is not valid yet; check the clock of the machine that made it")]
    NotYetValid,
    /// The token would live longer than its kind may.
    #[error("the token lives longer than {max_s} s; make it shorter")]
    LifetimeTooLong {
        /// The limit, in seconds.
        max_s: i64,
    },
    /// The `act` claim is nested more than [`crate::limits::ACT_DEPTH_MAX`] deep.
    #[error("the token's actor chain is deeper than {max}")]
    ActorChainTooDeep {
        /// The limit.
        max: usize,
    },
    /// `iss` and `sub` of a client assertion are not the client.
    #[error("the assertion's `iss` and `sub` are not both the client's id")]
    ClientMismatch,
    /// A claim breaks its limit.
    #[error("the token's claim `{name}` is {problem}")]
    ClaimInvalid {
        /// The claim.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The cryptographic library would not sign.
    #[error("the token could not be signed; check the signing key with `remit doctor`")]
    SigningFailed,
}

impl TokenError {
    /// The stable kebab-case code of this refusal, for records, metrics and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "token-too-large",
            Self::Malformed { .. } => "token-malformed",
            Self::OpaqueSecret => "token-opaque-secret",
            Self::AlgorithmRefused { .. } => "token-algorithm-refused",
            Self::HeaderRefused { .. } => "token-header-refused",
            Self::TypeRefused { .. } => "token-type-refused",
            Self::KeyIdMissing => "token-key-id-missing",
            Self::KeyUnknown => "token-key-unknown",
            Self::SignatureInvalid => "token-signature-invalid",
            Self::IssuerWrong => "token-issuer-wrong",
            Self::AudienceWrong => "token-audience-wrong",
            Self::Expired => "token-expired",
            Self::NotYetValid => "token-not-yet-valid",
            Self::LifetimeTooLong { .. } => "token-lifetime-too-long",
            Self::ActorChainTooDeep { .. } => "token-actor-chain-too-deep",
            Self::ClientMismatch => "token-client-mismatch",
            Self::ClaimInvalid { .. } => "token-claim-invalid",
            Self::SigningFailed => "token-signing-failed",
        }
    }
}
