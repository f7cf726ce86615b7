//! Hygiene: how old, how long and how idle a credential may be before somebody should look at it, and when each was last used.

use serde::{Deserialize, Serialize};

use crate::{Kind, Noun, Timestamp};

/// Most days that any of these rules may say (10 years).
pub const DAYS_MAX: u16 = 3_650;
/// A use is written down when the one before it is this long ago, in seconds: not every use writes.
pub const USE_SECS: i64 = 3_600;
/// The id under which it is kept since when uses are noted: nothing counts as unused before that.
pub const WATCHED: &str = "watched";

/// When a credential of an organization is something to look at. All in days, 1 to 3,650.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hygiene {
    /// Age at which the key of an agent, of an enforcement point or of Remit itself is due for rotation: its owner hears of it. An
    /// agent may say less or more for its own keys.
    pub rotate_days: u16,
    /// How long after that it is overdue.
    pub rotate_grace_days: u16,
    /// Longest life of a person's or a directory's token before it counts as long-lived.
    pub long_lived_days: u16,
    /// How long a key or token may go unused.
    pub unused_days: u16,
    /// How long a grant may go unused before its workflow counts as over-scoped.
    pub grant_unused_days: u16,
    /// How long an administrator may hold a token, or go without using any, before the role counts as standing access.
    pub admin_days: u16,
    /// How long an agent stays suspended that nobody answers for, before it is retired for good.
    pub orphan_days: u16,
}

impl Default for Hygiene {
    fn default() -> Self {
        Self {
            rotate_days: 90,
            rotate_grace_days: 14,
            long_lived_days: 90,
            unused_days: 30,
            grant_unused_days: 90,
            admin_days: 30,
            orphan_days: 90,
        }
    }
}

impl Hygiene {
    /// Whether every rule is within 1 to [`DAYS_MAX`].
    #[must_use]
    pub fn is_valid(&self) -> bool {
        [
            self.rotate_days,
            self.rotate_grace_days,
            self.long_lived_days,
            self.unused_days,
            self.grant_unused_days,
            self.admin_days,
            self.orphan_days,
        ]
        .iter()
        .all(|days| (1..=DAYS_MAX).contains(days))
    }
}

/// When a credential or a grant was last used, to the hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialUse {
    /// Of which: a thumbprint, a digest, the id of a directory or of a grant; or [`WATCHED`].
    pub id: String,
    /// When.
    pub last: Timestamp,
}

impl Noun for CredentialUse {
    const KIND: Kind = Kind::CredentialUse;
    fn key(&self) -> String {
        self.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_is_without_days_or_for_ever() {
        assert!(Hygiene::default().is_valid());
        for wrong in [0, DAYS_MAX + 1] {
            let hygiene = Hygiene {
                unused_days: wrong,
                ..Hygiene::default()
            };
            assert!(!hygiene.is_valid(), "{wrong}");
        }
    }
}
