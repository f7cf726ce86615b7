//! Tickets: what another system says of the ticket that a run works on.

use serde::{Deserialize, Serialize};

use crate::{Kind, Noun, Principal, Timestamp, name::Name};

/// Longest id of a ticket, in bytes.
pub const TICKET_BYTES_MAX: usize = 128;
/// How long a ticket's state is believed without being told again, in seconds (30 days).
pub const TICKET_SECS_MAX: i64 = 30 * 86_400;

/// The state of a run that names no ticket.
pub const NONE: &str = "none";
/// The state of a ticket that nobody has told of, or not for too long.
pub const UNKNOWN: &str = "unknown";

/// The states in which a ticket is over, in the words that systems use: what was delegated for it ends.
pub const OVER: [&str; 8] = [
    "canceled",
    "cancelled",
    "closed",
    "completed",
    "declined",
    "done",
    "rejected",
    "resolved",
];

/// What is known of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its id, as runs name it in their intent.
    pub id: String,
    /// Its state, in the words of the system it is in: `open`, `approved`, `closed`.
    pub state: Name,
    /// When it was in that state, by the clock of who told; an older word never replaces a newer one.
    pub as_of: Timestamp,
    /// Who told.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl Ticket {
    /// Its state at `now`, `unknown` once it has not been told for too long.
    pub fn state_at(&self, now: Timestamp) -> &str {
        if now.secs_since(self.at) > TICKET_SECS_MAX {
            UNKNOWN
        } else {
            self.state.as_str()
        }
    }

    /// Whether its last told state is one of [`OVER`]. No time makes that untrue: only a newer word does.
    pub fn is_over(&self) -> bool {
        OVER.contains(&self.state.as_str())
    }
}

/// Whether a text can be a ticket's id: 1 to 128 visible ASCII characters without spaces.
pub fn is_ticket_id(text: &str) -> bool {
    (1..=TICKET_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

impl Noun for Ticket {
    const KIND: Kind = Kind::Ticket;
    fn key(&self) -> String {
        self.id.clone()
    }
    fn state(&self) -> &'static str {
        "active"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_over_in_the_words_of_systems_and_in_no_others() {
        for (state, over) in [
            ("closed", true),
            ("resolved", true),
            ("open", false),
            ("reopened", false),
            ("not-done", false),
        ] {
            let ticket = Ticket {
                id: "T-7".to_owned(),
                state: state.parse().unwrap(),
                as_of: Timestamp::from_secs(1),
                by: Principal::Remit,
                at: Timestamp::from_secs(1),
            };
            assert_eq!(ticket.is_over(), over, "{state}");
        }
    }

    #[test]
    fn a_state_that_is_told_no_more_becomes_unknown() {
        let at = Timestamp::from_secs(1_000_000_000);
        let ticket = Ticket {
            id: "T-7".to_owned(),
            state: "approved".parse().unwrap(),
            as_of: at,
            by: Principal::Remit,
            at,
        };
        assert_eq!(ticket.state_at(at.plus_secs(TICKET_SECS_MAX)), "approved");
        assert_eq!(ticket.state_at(at.plus_secs(TICKET_SECS_MAX + 1)), UNKNOWN);
    }
}
