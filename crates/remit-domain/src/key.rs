//! Keys of Remit itself, sealed under the master key: they sign tokens and checkpoints, and seal ledger bodies.

use serde::{Deserialize, Serialize};

use crate::{Kind, Noun, RecordId, Timestamp};

/// What a signing key signs.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// Access tokens (ES256).
    Issuer,
    /// X.509-SVIDs (ES256); an authority of the trust domain.
    X509Svid,
    /// JWT-SVIDs (ES256).
    JwtSvid,
    /// WIT-SVIDs (ES256).
    WitSvid,
    /// Checkpoints (Ed25519).
    Ledger,
}

impl KeyUse {
    /// The use as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::X509Svid => "x509_svid",
            Self::JwtSvid => "jwt_svid",
            Self::WitSvid => "wit_svid",
            Self::Ledger => "ledger",
        }
    }
}

/// A key of an organization that signs in Remit's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Its id.
    pub id: RecordId,
    /// What it signs.
    #[serde(rename = "use")]
    pub usage: KeyUse,
    /// Public half, as text: a JWK (issuer, JWT- and WIT-SVIDs), a certificate (X.509-SVIDs; DER in base64) or a vkey (ledger).
    pub public: String,
    /// Secret half, sealed under the master key; base64.
    pub sealed: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it stopped signing; it is still published until its last token has ended.
    pub retired: Option<Timestamp>,
}

impl Noun for SigningKey {
    const KIND: Kind = Kind::SigningKey;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.usage.as_str().to_owned())
    }
    fn state(&self) -> &'static str {
        if self.retired.is_some() {
            "retired"
        } else {
            "active"
        }
    }
}

/// The key that seals the ledger bodies of one scope. Destroying it destroys what it sealed, and breaks no proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShredKey {
    /// Whose bodies it seals: `organization`, or the id of a run, person or agent.
    pub scope: String,
    /// The key, sealed under the master key; base64.
    pub sealed: String,
    /// When it was made.
    pub created: Timestamp,
}

impl Noun for ShredKey {
    const KIND: Kind = Kind::ShredKey;
    fn key(&self) -> String {
        self.scope.clone()
    }
}
