//! Which of the five demo servers.

use std::fmt;
use std::str::FromStr;

/// One demo server; its word is also the name of its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DemoKind {
    /// IT support desk.
    Itsm,
    /// Customer orders and refunds.
    Orders,
    /// Security alerts and response.
    Siem,
    /// Operation of services.
    Ops,
    /// Compliance controls, evidence and findings.
    Grc,
}

impl DemoKind {
    /// Every kind, in the order of the five use-cases.
    pub const ALL: [Self; 5] = [Self::Itsm, Self::Orders, Self::Siem, Self::Ops, Self::Grc];

    /// The kind as its stable word, fit for an upstream's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Itsm => "itsm",
            Self::Orders => "orders",
            Self::Siem => "siem",
            Self::Ops => "ops",
            Self::Grc => "grc",
        }
    }

    /// What the server tells a client about itself.
    pub(crate) const fn instructions(self) -> &'static str {
        match self {
            Self::Itsm => "IT support desk: people, tickets, lockouts, password and MFA resets.",
            Self::Orders => "Customer orders: status, customers, refunds, delivery addresses.",
            Self::Siem => "Security operations: alerts, logs, and response to them.",
            Self::Ops => "Operation of services: state, logs, restart, scale, SQL.",
            Self::Grc => "Compliance: controls, evidence, user samples, findings.",
        }
    }
}

impl fmt::Display for DemoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no demo server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoKindError(String);

impl fmt::Display for DemoKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = DemoKind::ALL.map(DemoKind::as_str).join(", ");
        write!(f, "`{}` is not a demo upstream: use one of {words}", self.0)
    }
}

impl std::error::Error for DemoKindError {}

impl FromStr for DemoKind {
    type Err = DemoKindError;
    fn from_str(text: &str) -> Result<Self, DemoKindError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| DemoKindError(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_and_nothing_else_does() {
        for kind in DemoKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let wrong = "ITSM".parse::<DemoKind>().unwrap_err();
        assert!(wrong.to_string().contains("itsm, orders, siem, ops, grc"));
    }
}
