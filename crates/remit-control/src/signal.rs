//! Signals: who hears what happens here, who is believed about what happened elsewhere, and what that does here.
//!
//! What is heard only ever takes away: sessions, delegations and runs end, people and agents are stopped. Nothing that comes in
//! gives anybody anything.

mod effect;
mod receiver;
#[cfg(test)]
mod tests;
mod transmitter;
mod whom;

pub use effect::{SignalDone, SignalHeard};
pub use receiver::{
    DeadSignalView, SignalReceiverSpec, SignalReceiverView, SignalToken, StreamView,
};

pub use transmitter::{SignalTransmitterSpec, SignalTransmitterView};

use remit_domain::signal::{AUDIENCE_BYTES_MAX, TOKEN_DAYS_MAX};
use remit_domain::{RefusalCode, Timestamp};
use remit_token::{OpaqueSecret, SecretKind};

use crate::error::invalid;
use crate::{Control, ControlError, refuse};

/// A token that was just made, with what is kept of it.
struct Made {
    secret: OpaqueSecret,
    digest: String,
    expires: Timestamp,
}

impl Control {
    fn new_signal_token(&self, days: i64) -> Result<Made, ControlError> {
        if !(1..=TOKEN_DAYS_MAX).contains(&days) {
            let why = format!("`{days}` is not within 1 to {TOKEN_DAYS_MAX}");
            return Err(invalid("days", why));
        }
        let secret = OpaqueSecret::new(SecretKind::Signal, self.books.random());
        Ok(Made {
            digest: hex::encode(secret.digest().as_bytes()),
            expires: self.books.now().plus_secs(days.saturating_mul(86_400)),
            secret,
        })
    }
}

fn audience(text: &str) -> Result<(), ControlError> {
    let fits = (1..=AUDIENCE_BYTES_MAX).contains(&text.len());
    if fits && !text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Ok(());
    }
    let why = format!(
        "has 1 to {AUDIENCE_BYTES_MAX} bytes without spaces, such as the address of who hears it"
    );
    Err(invalid("audience", why))
}

fn revoked(what: &str, at: Timestamp) -> ControlError {
    let text = format!("{what} was revoked at {at}, for good; make another one");
    refuse(RefusalCode::Conflict, text)
}
