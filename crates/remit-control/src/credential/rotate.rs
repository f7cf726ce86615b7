//! Replacing a credential: the next one is there before the old one is good no more.

use remit_domain::Timestamp;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::{CredentialView, Found, What, cannot};
use crate::{Caller, Control, ControlError, NewKey};

/// How long a replaced key stays good where nobody says, in seconds (24 hours).
const OVERLAP_SECS: i64 = 86_400;
/// How long the next token of a directory lives where nobody says, in days.
const DIRECTORY_DAYS: i64 = 90;

/// What takes the place of a credential.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewCredential {
    /// The next public key of an agent, as a JWK (RFC 7517), P-256 or Ed25519.
    pub jwk: Option<serde_json::Value>,
    /// The same as a PEM `PUBLIC KEY`.
    pub pem: Option<String>,
    /// How long the key that is replaced stays good, in seconds, at most 30 days; 24 hours where absent.
    pub overlap_s: Option<i64>,
    /// How long the next token of a directory lives, in days; 90 where absent.
    pub days: Option<i64>,
}

/// What a credential was replaced by.
#[derive(Debug)]
pub enum Rotated {
    /// A key: the new one, and until when the old one is good.
    Key {
        /// The new key.
        new: Box<CredentialView>,
        /// The old one.
        old: Box<CredentialView>,
    },
    /// A token, to be shown once.
    Token {
        /// The token.
        token: SecretString,
        /// When it ends.
        expires: Timestamp,
    },
    /// A key that Remit signs access tokens with is to be replaced, which is the issuer's to do.
    Signing,
}

/// What to do in place of replacing a certificate.
const CERTIFICATE: &str = "add the next certificate, or the next authority, with `remit agent key add`, and remove this one when the other is in use";

impl Control {
    /// Replaces a credential: the key of an agent with overlap, the token of a directory at once.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `invalid-request` as for adding a key or making a token; `conflict` for what is not replaced but
    /// made anew.
    pub async fn rotate_credential(
        &self,
        caller: &Caller,
        id: &str,
        next: &NewCredential,
    ) -> Result<Rotated, ControlError> {
        let Found { what, .. } = self.find_credential(caller, id).await?;
        match what {
            What::Certificate(..) => Err(cannot(CERTIFICATE)),
            What::AgentKey(key) if key.certificate.is_some() => Err(cannot(CERTIFICATE)),
            What::AgentKey(key) => {
                let name = self.agent_name(caller, &key.agent)?;
                let new = NewKey {
                    jwk: next.jwk.clone(),
                    pem: next.pem.clone(),
                    attests: key.attests,
                    ..NewKey::default()
                };
                let overlap = next.overlap_s.unwrap_or(OVERLAP_SECS);
                let added = self
                    .rotate_key(caller, &name, &key.thumbprint, &new, overlap)
                    .await?;
                self.look_at_credentials(&caller.org).await?;
                Ok(Rotated::Key {
                    new: Box::new(self.credential(caller, &added.thumbprint).await?),
                    old: Box::new(self.credential(caller, &key.thumbprint).await?),
                })
            }
            What::Directory(name) => {
                let days = next.days.unwrap_or(DIRECTORY_DAYS);
                let made = self.make_scim_token(caller, &name, days).await?;
                self.look_at_credentials(&caller.org).await?;
                Ok(Rotated::Token {
                    token: made.token,
                    expires: made.expires,
                })
            }
            What::Receiver(name) => {
                let days = next.days.unwrap_or(DIRECTORY_DAYS);
                let made = self.make_receiver_token(caller, &name, days).await?;
                self.look_at_credentials(&caller.org).await?;
                Ok(Rotated::Token {
                    token: made.token,
                    expires: made.expires,
                })
            }
            What::Transmitter(name) => {
                let days = next.days.unwrap_or(DIRECTORY_DAYS);
                let made = self.make_transmitter_token(caller, &name, days).await?;
                self.look_at_credentials(&caller.org).await?;
                Ok(Rotated::Token {
                    token: made.token,
                    expires: made.expires,
                })
            }
            What::Signing(key) if key.usage == remit_domain::key::KeyUse::Issuer => {
                caller.require(&[remit_domain::Role::Admin])?;
                Ok(Rotated::Signing)
            }
            What::Signing(_) => Err(cannot(
                "keys of the trust domain replace themselves, `remit key rotate --use svid` does it at once; the ledger keeps its key",
            )),
            What::Point(name) => Err(cannot(&format!(
                "add the next key to enforcement point `{name}` with `remit enforcement-point set`, which may hold two, and take this one out when the other is in use"
            ))),
            What::Token(_) | What::Svid(_) => Err(cannot(
                "it ends within minutes and is not replaced: the agent asks for the next one",
            )),
            What::PersonToken(_) | What::Enrolment(_) => Err(cannot(
                "a person makes their own next token through a new link (`remit person link`); then revoke this one",
            )),
        }
    }
}
