//! States of tickets that the system which keeps them signs: Standard Webhooks 1.0.0 (HMAC-SHA-256).
//!
//! The secret is the organization's own, in the variable `REMIT_SECRET_{ORGANIZATION}__TICKETS`; without it there is no hook.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use remit_domain::name::Name;
use remit_domain::upstream::SecretRef;
use remit_domain::{OrgId, Principal, RefusalCode, Timestamp};
use remit_ports::store::Once;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{TicketSpec, TicketView};
use crate::{Control, ControlError, Saved, refuse};

/// How far the signer's clock may be off, in seconds (Standard Webhooks recommends a tolerance; its libraries use this one).
const TOLERANCE_SECS: i64 = 300;
/// Most signatures looked at: a secret and the one before it.
const SIGNATURES_MAX: usize = 4;
/// Longest id of a message, in bytes.
const ID_BYTES_MAX: usize = 128;

/// What the system that keeps tickets tells of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketHook {
    /// Its id, as runs name it in their intent.
    pub ticket: String,
    /// Its state.
    pub state: Name,
    /// When it was in that state; when the message was signed where absent.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
}

/// A message as it came, with what signs it.
#[derive(Debug, Clone, Copy)]
pub struct TicketSigned<'a> {
    /// `webhook-id`: unique, good once.
    pub id: &'a str,
    /// `webhook-timestamp`: seconds since 1970.
    pub timestamp: &'a str,
    /// `webhook-signature`: `v1,` and base64, several apart by spaces.
    pub signatures: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

impl Control {
    /// Takes in a signed state of a ticket.
    ///
    /// # Errors
    /// `forbidden` without a secret, with another signature, or an old or future time; `conflict` for an id that was used;
    /// `invalid-request`; `limit-exceeded`; when it cannot be written.
    pub async fn hooked_ticket(
        &self,
        org: &OrgId,
        signed: TicketSigned<'_>,
        told: &TicketHook,
    ) -> Result<Saved<TicketView>, ControlError> {
        // Whoever guesses learns nothing from which of these it was.
        let forbidden = || {
            let text =
                "the message is not signed by this organization's ticket system, or is too old";
            refuse(RefusalCode::Forbidden, text)
        };
        let name = self.org_name(org)?;
        let variable = name.as_str().to_ascii_uppercase().replace('-', "_");
        let reference = SecretRef::Env(format!("REMIT_SECRET_{variable}__TICKETS"));
        let secret = self.secrets.read(&name, &reference).await;
        let secret = secret.map_err(|_| forbidden())?;
        let now = self.books.now();
        let at = verified(signed, secret.expose_secret(), now).ok_or_else(forbidden)?;
        let once = Once {
            key: format!("ticket-hook:{}", signed.id),
            until: at.plus_secs(2 * TOLERANCE_SECS),
        };
        let spec = TicketSpec {
            state: told.state.clone(),
            as_of: Some(told.as_of.unwrap_or(at)),
        };
        self.tell(org, Principal::Remit, &told.ticket, &spec, Some(once))
            .await
    }
}

/// When the message was signed, where it was signed with `secret`, not too long ago.
fn verified(signed: TicketSigned<'_>, secret: &str, now: Timestamp) -> Option<Timestamp> {
    let fits = (1..=ID_BYTES_MAX).contains(&signed.id.len())
        && signed.id.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
    let at = Timestamp::from_secs(signed.timestamp.parse().ok().filter(|_| fits)?);
    if now.secs_since(at).abs() > TOLERANCE_SECS {
        return None;
    }
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => secret.as_bytes().to_vec(),
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let mut content = format!("{}.{}.", signed.id, signed.timestamp).into_bytes();
    content.extend_from_slice(signed.body);
    let given = signed.signatures.split(' ').take(SIGNATURES_MAX);
    let mut tags = given.filter_map(|s| STANDARD.decode(s.strip_prefix("v1,")?).ok());
    tags.any(|tag| hmac::verify(&key, &content, &tag).is_ok())
        .then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signed<'a>(timestamp: &'a str, signatures: &'a str, body: &'a [u8]) -> TicketSigned<'a> {
        TicketSigned {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp,
            signatures,
            body,
        }
    }

    /// The example of the Standard Webhooks libraries (github.com/standard-webhooks/standard-webhooks, their tests).
    #[test]
    fn the_published_example_is_accepted_and_nothing_beside_it() {
        let body = br#"{"test": 2432232314}"#;
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let now = Timestamp::from_secs(1_614_265_330);
        let at = "1614265330";
        assert_eq!(verified(signed(at, good, body), SECRET, now), Some(now));
        let two = format!("v1,AAAA {good}");
        assert!(verified(signed(at, &two, body), SECRET, now).is_some());
        for (at, signatures, body, secret, now) in [
            (at, good, br#"{"test": 2432232315}"#.as_slice(), SECRET, now),
            ("1614265331", good, body, SECRET, now),
            (
                at,
                "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
                body,
                SECRET,
                now,
            ),
            (at, "", body, SECRET, now),
            (at, good, body, "whsec_AAAA", now),
            (at, good, body, SECRET, now.plus_secs(301)),
            (at, good, body, SECRET, now.plus_secs(-301)),
        ] {
            assert_eq!(verified(signed(at, signatures, body), secret, now), None);
        }
    }
}
