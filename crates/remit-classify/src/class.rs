//! What can be found.

use std::ops::Range;

/// A class of content; where two overlap, the earlier is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A credential: a token, key or password.
    Secret,
    /// Number of a bank account.
    Bank,
    /// Number of a payment card (ISO/IEC 7812).
    Card,
    /// A number that a state gave to a person.
    NationalId,
    /// Addresses of at least [`crate::limits::EMAIL_LIST`] people.
    EmailList,
    /// Words that speak to a model rather than to a reader.
    Injection,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Secret,
        Self::Bank,
        Self::Card,
        Self::NationalId,
        Self::EmailList,
        Self::Injection,
    ];

    /// Its name, which is also the label it raises: `secret`, `payment-card`, `bank-account`, `national-id`,
    /// `email-list`, `injection-marker`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Card => "payment-card",
            Self::Bank => "bank-account",
            Self::NationalId => "national-id",
            Self::EmailList => "email-list",
            Self::Injection => "injection-marker",
        }
    }

    /// The class of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub class: Class,
    /// The rule that found it, such as `iban` or `github-token`.
    pub rule: &'static str,
    /// Where, as bytes of the text that was given; on character boundaries.
    pub at: Range<usize>,
}

impl Finding {
    pub(crate) fn new(class: Class, rule: &'static str, at: Range<usize>) -> Self {
        Self { class, rule, at }
    }
}
