//! What agents and people prove themselves with. Secrets are never here: only public keys, thumbprints and digests.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attestation::{Evidence, Trust};
use crate::{
    AgentId, AuthorizationServerId, CredentialId, DelegationId, Kind, Noun, PersonId, RecordId,
    RunId, Timestamp, TrustedIssuerId, WorkflowId,
};

/// A public key an agent authenticates with (RFC 7523, `private_key_jwt`). Its id is its thumbprint, so that one key
/// can never belong to two agents and a removed key never returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKey {
    /// RFC 7638 thumbprint, base64url.
    pub thumbprint: String,
    /// Whose it is.
    pub agent: AgentId,
    /// The public JWK (RFC 7517).
    pub jwk: Value,
    /// The certificate that proves it in a TLS handshake, where one does; such a key proves nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<ClientCertificate>,
    /// Whether an attester holds it: who asks with it looks at a workload first, and says what was seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attests: bool,
    /// When it was added.
    pub created: Timestamp,
    /// When it stops proving anything: it was replaced, and the new key is in use beside it until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires: Option<Timestamp>,
    /// When it was removed; a removed key proves nothing.
    pub removed: Option<Timestamp>,
}

impl AgentKey {
    /// Whether it proves something at `now`.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.removed.is_none() && self.retires.is_none_or(|at| now < at)
    }

    /// Whether it is one certificate of an authority, which proves nothing by itself.
    pub fn is_withheld(&self) -> bool {
        self.certificate == Some(ClientCertificate::Withheld)
    }
}

/// Which certificates prove a client (RFC 8705 §2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientCertificate {
    /// This one alone, whoever signed it.
    Exact {
        /// SHA-256 of it, base64url.
        thumbprint: String,
        /// When it ends.
        ends: Timestamp,
    },
    /// Any that the authority vouches for and that has this name.
    Named {
        /// The authority's own certificate, DER in base64.
        authority: String,
        /// What sort of name, as a client registration calls it: `tls_client_auth_san_dns` and its like.
        parameter: String,
        /// The name.
        value: String,
    },
    /// One certificate of an authority, kept by the SHA-256 of it so that it can be contained and removed by itself. It proves
    /// nothing: whether it may be shown is all that this says.
    Withheld,
}

impl Noun for AgentKey {
    const KIND: Kind = Kind::AgentKey;
    fn key(&self) -> String {
        self.thumbprint.clone()
    }
    fn parent(&self) -> Option<String> {
        Some(self.agent.to_string())
    }
    fn state(&self) -> &'static str {
        if self.removed.is_some() {
            "removed"
        } else {
            "active"
        }
    }
}

/// An access token that was issued: its claims, never the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id and `jti`.
    pub id: CredentialId,
    /// Which agent holds it.
    pub agent: AgentId,
    /// For which workflow.
    pub workflow: WorkflowId,
    /// For which run.
    pub run: RunId,
    /// The person it acts for.
    pub person: Option<PersonId>,
    /// The last link of its chain.
    pub delegation: Option<DelegationId>,
    /// Thumbprint of the key that asked for it.
    pub thumbprint: String,
    /// Thumbprint of the key that has to be proved with each use (RFC 9449 §6.1); none for a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<String>,
    /// SHA-256 of the certificate that has to be shown with each use, base64url (RFC 8705 §3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The token that it was exchanged for: it falls with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<CredentialId>,
    /// For which authorization server of somebody else it is, where it is an identity assertion (ID-JAG) and good for nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<AuthorizationServerId>,
    /// By what trust in another issuer it was given; none where a registered key asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federated: Option<Federated>,
    /// How well whoever asked for it had proved what it is.
    #[serde(default = "Trust::key")]
    pub trust: Trust,
    /// The SVID that proved it, where one did: it falls with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub svid: Option<CredentialId>,
    /// The client that asked for it, where it is known by the address of its metadata document: it falls when the workflow lists
    /// that no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// The trust that a token rests on which a workload got for a token of another issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federated {
    /// The issuer, as it is registered here.
    pub issuer: TrustedIssuerId,
    /// The rule by which the workload is this agent.
    pub rule: RecordId,
}

impl Noun for Token {
    const KIND: Kind = Kind::Token;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.run.to_string())
    }
    fn state(&self) -> &'static str {
        if self.revoked.is_some() {
            "revoked"
        } else {
            "active"
        }
    }
}

/// The form of an SVID.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SvidForm {
    /// An X.509 certificate.
    X509,
    /// A JWT.
    Jwt,
    /// A JWT that is good together with a proof by the key that it names.
    Wit,
}

impl SvidForm {
    /// The form as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X509 => "x509",
            Self::Jwt => "jwt",
            Self::Wit => "wit",
        }
    }
}

/// An SVID that was issued: what it says, never itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Svid {
    /// Its id, which is the `jti` of a JWT- or WIT-SVID.
    pub id: CredentialId,
    /// Its form.
    pub form: SvidForm,
    /// Whose it is.
    pub agent: AgentId,
    /// For which workflow.
    pub workflow: WorkflowId,
    /// The last part of its SPIFFE ID: the run it was asked in, or the process that was attested.
    pub instance: String,
    /// Its SPIFFE ID.
    pub spiffe_id: String,
    /// The run it was asked in. It is withdrawn with that where the run is contained, and ends with the token that asked otherwise.
    pub run: Option<RunId>,
    /// The token that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<CredentialId>,
    /// Thumbprint of the key that token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<String>,
    /// What an attester saw of the process it is for; none where whoever holds a key asked for it.
    pub attested: Option<Evidence>,
    /// Where a JWT-SVID is good.
    pub audience: Vec<String>,
    /// SHA-256 of the certificate, base64url.
    pub certificate: Option<String>,
    /// Thumbprint of the key that a WIT-SVID is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Thumbprint of the key whose token asked for it.
    pub thumbprint: Option<String>,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// When it was withdrawn. Remit takes it no more then; others may, until it ends.
    pub withdrawn: Option<Timestamp>,
}

impl Noun for Svid {
    const KIND: Kind = Kind::Svid;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn parent(&self) -> Option<String> {
        Some(self.agent.to_string())
    }
    fn state(&self) -> &'static str {
        if self.withdrawn.is_some() {
            "withdrawn"
        } else {
            "active"
        }
    }
}

/// A person's API token: kept as a SHA-256 digest, expiring, never accepted as a subject token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonToken {
    /// SHA-256 of the token, hex.
    pub digest: String,
    /// Whose it is.
    pub person: PersonId,
    /// What the person calls it.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

impl Noun for PersonToken {
    const KIND: Kind = Kind::PersonToken;
    fn key(&self) -> String {
        self.digest.clone()
    }
    fn parent(&self) -> Option<String> {
        Some(self.person.to_string())
    }
    fn state(&self) -> &'static str {
        if self.revoked.is_some() {
            "revoked"
        } else {
            "active"
        }
    }
}

/// A single-use link with which a person makes their own API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// SHA-256 of the code, hex.
    pub digest: String,
    /// For whom.
    pub person: PersonId,
    /// Who made the link: this person cannot approve what they ask for.
    pub created_by: Option<PersonId>,
    /// When they made it.
    #[serde(default)]
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
}

impl Noun for Enrolment {
    const KIND: Kind = Kind::Enrolment;
    fn key(&self) -> String {
        self.digest.clone()
    }
    fn parent(&self) -> Option<String> {
        Some(self.person.to_string())
    }
    fn state(&self) -> &'static str {
        if self.used.is_some() {
            "used"
        } else {
            "active"
        }
    }
}
