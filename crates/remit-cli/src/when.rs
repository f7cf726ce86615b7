//! Times as people read them: how long ago, how long still.

use clap::Args;
use remit_domain::Timestamp;

const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];

/// A span with its two largest units: `2m10s`, `3d4h`, `0s`.
pub(crate) fn span(secs: i64) -> String {
    let mut left = secs.max(0);
    let mut text = String::new();
    let first = UNITS
        .iter()
        .position(|(size, _)| left >= *size)
        .unwrap_or(UNITS.len() - 1);
    for (size, unit) in UNITS.iter().skip(first).take(2) {
        let n = left / size;
        left %= size;
        if n > 0 || text.is_empty() {
            text.push_str(&format!("{n}{unit}"));
        }
    }
    text
}

/// How long ago, or in how long.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let secs = now.secs_since(at);
    match secs {
        -1..=1 => "now".to_owned(),
        2.. => format!("{} ago", span(secs)),
        _ => format!("in {}", span(at.secs_since(now))),
    }
}

/// How long is left.
pub(crate) fn left(until: Timestamp, now: Timestamp) -> String {
    if until <= now {
        "over".to_owned()
    } else {
        span(until.secs_since(now))
    }
}

/// Both, for a page: `in 2m10s (2026-11-22T08:00:00Z)`.
pub(crate) fn both(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({at})", relative(at, now))
}

/// Only what began within a range of time.
#[derive(Debug, Clone, Args)]
pub struct Between {
    /// Only from this time on: a time (RFC 3339), or so far back, like 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = Moment::read)]
    since: Option<Moment>,
    /// Only before this time, written alike
    #[arg(long, value_name = "TIME", value_parser = Moment::read)]
    until: Option<Moment>,
}

impl Between {
    /// Both as a server reads them, empty where they are not said: of `since` and of `until`.
    pub(crate) fn query(&self, now: Timestamp) -> [String; 2] {
        let text = |moment: &Option<Moment>| moment.map(|m| m.at(now).to_string());
        [&self.since, &self.until].map(|moment| text(moment).unwrap_or_default())
    }
}

/// A time, or so many seconds back from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    At(Timestamp),
    Back(i64),
}

impl Moment {
    fn read(text: &str) -> Result<Self, String> {
        let day = format!("{text}T00:00:00Z");
        if let Some(at) = [text, &day].iter().find_map(|text| text.parse().ok()) {
            return Ok(Self::At(at));
        }
        let back = parse_span(text).map(Self::Back);
        back.map_err(|_| {
            format!(
                "`{text}` is neither a time such as 2026-11-22T08:00:00Z nor a span such as 24h"
            )
        })
    }

    fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Back(secs) => now.plus_secs(-secs),
        }
    }
}

/// Reads a span such as `90`, `15m`, `8h`, `30d`; seconds where no unit is named.
pub(crate) fn parse_span(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a span such as 15m, 8h or 30d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    let size = match unit {
        "" => 1,
        "w" => 604_800,
        unit => UNITS
            .iter()
            .find(|(_, name)| *name == unit)
            .map(|(size, _)| *size)
            .ok_or_else(wrong)?,
    };
    let n: i64 = digits.parse().map_err(|_| wrong())?;
    n.checked_mul(size)
        .filter(|secs| *secs > 0)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_day_or_so_far_back() {
        let now = Timestamp::from_secs(1_000_000);
        let at = |text: &str| Moment::read(text).map(|moment| moment.at(now));
        assert_eq!(at("1970-01-02T00:00:00Z"), Ok(Timestamp::from_secs(86_400)));
        assert_eq!(at("1970-01-02"), Ok(Timestamp::from_secs(86_400)));
        assert_eq!(at("1h"), Ok(Timestamp::from_secs(1_000_000 - 3_600)));
        assert!(at("yesterday").is_err() && at("-1h").is_err());
    }

    #[test]
    fn spans_read_as_people_say_them() {
        let spans = [
            0,
            59,
            60,
            130,
            3_600,
            8 * 3_600 + 120,
            86_400 * 3 + 3_600 * 4,
        ];
        assert_eq!(
            spans.map(span),
            ["0s", "59s", "1m", "2m10s", "1h", "8h2m", "3d4h"]
        );
        let now = Timestamp::from_secs(1_000);
        assert_eq!(relative(Timestamp::from_secs(870), now), "2m10s ago");
        assert_eq!(relative(Timestamp::from_secs(1_060), now), "in 1m");
        assert_eq!(left(Timestamp::from_secs(900), now), "over");
    }

    #[test]
    fn spans_are_read_and_nonsense_is_not() {
        assert_eq!(
            ["90", "15m", "8h", "30d", "2w"].map(|t| parse_span(t).unwrap()),
            [90, 900, 28_800, 2_592_000, 1_209_600]
        );
        for wrong in ["", "m", "-5m", "0", "5x", "1.5h", "99999999999999999d"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }
}
