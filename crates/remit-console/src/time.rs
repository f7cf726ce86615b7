//! Times as people read them: how long ago or from now, and exactly when.

use remit_domain::Timestamp;

/// A time, both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// For programs.
    pub(crate) iso: String,
    /// `2026-11-22 08:00:00 UTC`.
    pub(crate) exact: String,
    /// `2 min ago`, `in 9 min`.
    pub(crate) relative: String,
    /// Whether the exact time is written beside, rather than only kept at hand.
    pub(crate) both: bool,
}

impl When {
    /// - `now`: the books' clock.
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        let iso = at.to_string();
        Self {
            exact: exact(&iso),
            relative: relative(at.as_secs() - now.as_secs()),
            iso,
            both: false,
        }
    }

    /// With the exact time beside it.
    pub(crate) fn with_exact(mut self) -> Self {
        self.both = true;
        self
    }
}

fn exact(iso: &str) -> String {
    let (date, rest) = iso.split_once('T').unwrap_or((iso, ""));
    let clock: String = rest.chars().take(8).collect();
    format!("{date} {clock} UTC")
}

/// A span in one unit, which is enough to act on.
pub(crate) fn span(seconds: i64) -> String {
    match seconds.abs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

fn relative(seconds: i64) -> String {
    match seconds {
        -1..=1 => "now".to_owned(),
        s if s < 0 => format!("{} ago", span(s)),
        s => format!("in {}", span(s)),
    }
}

/// `02:10`, or `3 h` where minutes no longer matter.
pub(crate) fn left(seconds: i64) -> String {
    match seconds {
        s if s <= 0 => "no time".to_owned(),
        s if s < 3_600 => format!("{:02}:{:02}", s / 60, s % 60),
        s => span(s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_both_ways() {
        let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let at = |text: &str| When::new(text.parse().unwrap(), now);
        assert_eq!(at("2026-11-22T07:58:00Z").relative, "2 min ago");
        assert_eq!(at("2026-11-22T08:00:00Z").relative, "now");
        assert_eq!(at("2026-11-22T17:00:00Z").relative, "in 9 h");
        assert_eq!(at("2026-11-01T08:00:00Z").relative, "21 d ago");
        assert_eq!(at("2026-11-22T07:58:00Z").exact, "2026-11-22 07:58:00 UTC");
        assert_eq!(left(130), "02:10");
        assert_eq!(left(-3), "no time");
    }
}
