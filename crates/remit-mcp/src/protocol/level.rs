//! How much a server says of what it does.

use serde_json::Value;

/// Severity of a log message, from least to most (RFC 5424 §6.2.1).
///
/// Source: MCP 2025-11-25 server/utilities/logging "Log Levels".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// How it goes.
    Info,
    /// What is worth knowing.
    Notice,
    /// What may go wrong.
    Warning,
    /// What went wrong.
    Error,
    /// A part has failed.
    Critical,
    /// Somebody must act.
    Alert,
    /// Nothing works.
    Emergency,
}

impl LogLevel {
    /// Every level, ascending.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// Reads a level; `None` for anything that is not the name of one.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|level| value == level.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn levels_are_read_exactly_and_ordered() {
        assert_eq!(LogLevel::read(&json!("warning")), Some(LogLevel::Warning));
        for other in [json!("Warning"), json!("warn"), json!(4), Value::Null] {
            assert_eq!(LogLevel::read(&other), None, "{other}");
        }
        assert!(LogLevel::ALL.is_sorted() && LogLevel::Emergency > LogLevel::Error);
    }
}
