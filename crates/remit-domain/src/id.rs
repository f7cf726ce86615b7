//! Typed identifiers: a prefix that names the noun and 26 characters of Crockford base32 over a UUIDv7.
//!
//! ```text
//! agt_01JD8M3W7Q4X5Y6Z7A8B9C0D1E
//! ```
//! Opaque to callers, ordered by creation, and free of personal data: ledger leaves carry nothing else of a person.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BODY_LEN: usize = 26;

/// Why a text is not an identifier of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form {prefix}_ followed by 26 characters of 0-9A-Z")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

fn encode(prefix: &str, uuid: uuid::Uuid) -> Arc<str> {
    let mut value = uuid.as_u128();
    let mut body = [b'0'; BODY_LEN];
    for slot in body.iter_mut().rev() {
        let digit = usize::try_from(value & 31).unwrap_or(0);
        *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
        value >>= 5;
    }
    let body: String = body.iter().map(|b| char::from(*b)).collect();
    Arc::from(format!("{prefix}_{body}"))
}

fn check(prefix: &'static str, text: &str) -> Result<(), IdError> {
    let ok = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|body| body.len() == BODY_LEN && body.bytes().all(|b| ALPHABET.contains(&b)));
    if ok {
        Ok(())
    } else {
        let text = text.chars().take(64).collect();
        Err(IdError { text, prefix })
    }
}

fn made(id: &str) -> crate::Timestamp {
    let body = id.rsplit('_').next().unwrap_or_default();
    let digit = |b: u8| ALPHABET.iter().position(|d| *d == b).unwrap_or(0) as u128;
    let value = body
        .bytes()
        .fold(0u128, |v, b| v.wrapping_shl(5) | digit(b));
    let millis = i64::try_from(value >> 80).unwrap_or(0);
    crate::Timestamp::from_micros(millis.saturating_mul(1_000))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The prefix of this kind of id, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Makes the id from a UUID (version 7, so that ids sort by creation).
            pub fn from_uuid(uuid: uuid::Uuid) -> Self {
                Self(encode($prefix, uuid))
            }

            /// When it was made, as a UUIDv7 says (RFC 9562 §5.7).
            pub fn made(&self) -> crate::Timestamp {
                made(&self.0)
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check($prefix, text)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.to_string()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// An organization: the tenant nothing crosses.
    OrgId = "org";
    /// A group of people.
    TeamId = "tm";
    /// A human principal.
    PersonId = "per";
    /// A system that upstreams belong to.
    SystemId = "sys";
    /// A registered agent.
    AgentId = "agt";
    /// A workflow of an agent.
    WorkflowId = "wf";
    /// A grant inside a workflow.
    GrantId = "grt";
    /// One execution of a workflow.
    RunId = "run";
    /// A delegation of a person or an agent.
    DelegationId = "dlg";
    /// A registered key or an issued token.
    CredentialId = "crd";
    /// A decision, which is also the id of the call that was decided.
    DecisionId = "dec";
    /// An approval.
    ApprovalId = "apr";
    /// One containment and its certificate.
    ContainmentId = "con";
    /// A finding.
    FindingId = "fnd";
    /// A person's session with a browser.
    SessionId = "ses";
    /// A person's passkey.
    PasskeyId = "psk";
    /// A proposal of policies.
    ProposalId = "ppl";
    /// An enforcement point.
    EnforcementPointId = "pep";
    /// An exception from one policy.
    ExceptionId = "exc";
    /// A declassification of a run.
    DeclassificationId = "dcl";
    /// A client of the SCIM interface: a directory of people.
    ScimClientId = "scm";
    /// A group of a directory.
    DirectoryGroupId = "grp";
    /// An authorization server of somebody else.
    AuthorizationServerId = "azs";
    /// An issuer of other tokens that is trusted here.
    TrustedIssuerId = "tis";
    /// Somebody who hears signals from here.
    SignalReceiverId = "sgr";
    /// A stream of signals to a receiver.
    SignalStreamId = "sgs";
    /// A signal that was given up.
    DeadSignalId = "sgd";
    /// Somebody whose signals are heard here.
    SignalTransmitterId = "sgt";
    /// A token that was got for a run at an upstream's authorization server.
    LeaseId = "lea";
    /// Any other record (policy sets, signing keys, enrolments).
    RecordId = "rec";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_keep_order() {
        let a = AgentId::from_uuid(uuid::Uuid::from_u128(1 << 90));
        let b = AgentId::from_uuid(uuid::Uuid::from_u128((1 << 90) + 1));
        assert!(a < b);
        assert_eq!(a.as_str().parse::<AgentId>().unwrap(), a);
    }

    #[test]
    fn an_id_says_when_it_was_made() {
        let millis = 1_795_334_400_123_u128;
        let id = AgentId::from_uuid(uuid::Uuid::from_u128(millis << 80 | 0xfff));
        assert_eq!(id.made().as_micros(), 1_795_334_400_123_000);
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let run = RunId::from_uuid(uuid::Uuid::nil());
        assert!(run.as_str().parse::<AgentId>().is_err());
        assert!("agt_short".parse::<AgentId>().is_err());
        assert!("agt_01JD8M3W7Q4X5Y6Z7A8B9C0Dil".parse::<AgentId>().is_err());
    }
}
