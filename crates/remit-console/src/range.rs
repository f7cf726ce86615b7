//! The time range of a list, in its address: so much back from now, or from when to when. Without scripts it is the same.

use remit_control::{Between, ListQuery};
use remit_domain::Timestamp;

use crate::ask::Ask;
use crate::fault::Fault;
use crate::ui::Filter;

/// Words of the address, what they are called, and seconds back.
const SPANS: [(&str, &str, i64); 4] = [
    ("1h", "last hour", 3_600),
    ("24h", "last 24 hours", 86_400),
    ("7d", "last 7 days", 7 * 86_400),
    ("30d", "last 30 days", 30 * 86_400),
];

/// What the address says of times.
pub(crate) struct Range {
    span: Option<&'static str>,
    pub(crate) between: Between,
}

impl Range {
    /// - Errors: a time that is none, with how one is written.
    pub(crate) fn of(ask: &Ask) -> Result<Self, Fault> {
        let span = match ask.q("range") {
            None => None,
            Some(word) => Some(
                SPANS
                    .iter()
                    .find(|(known, ..)| *known == word)
                    .ok_or_else(|| Fault::invalid("no such range; choose one of the list"))?,
            ),
        };
        let since = time("since", ask.q("since"))?;
        let between = Between {
            // What is said exactly stands before what is chosen.
            since: since.or_else(|| span.map(|(.., back)| ask.now().plus_secs(-back))),
            until: time("until", ask.q("until"))?,
        };
        Ok(Self {
            span: span.filter(|_| since.is_none()).map(|(word, ..)| *word),
            between,
        })
    }

    /// The page of a list that the address asks for, within these times.
    pub(crate) fn list(&self, ask: &Ask) -> ListQuery {
        ListQuery {
            between: self.between,
            ..ask.list()
        }
    }

    /// Its words for a command and a request: the word, how it is told, and the exact time.
    pub(crate) fn words(&self) -> Vec<(&'static str, String, String)> {
        let at = |word, time: Option<Timestamp>| time.map(|t| (word, t.to_string(), t.to_string()));
        let since = at("since", self.between.since).map(|(word, told, exact)| {
            let told = self.span.map_or(told, str::to_owned);
            (word, told, exact)
        });
        since
            .into_iter()
            .chain(at("until", self.between.until))
            .collect()
    }

    /// Its fields, put into a filter.
    pub(crate) fn fields(&self, ask: &Ask, filter: Filter) -> Filter {
        let words = SPANS.map(|(word, label, _)| (word, label));
        filter
            .options("range", "Time", "any time", &words, self.span)
            .time("since", "From (UTC)", ask.q("since"))
            .time("until", "Until (UTC)", ask.q("until"))
    }
}

/// A time as a person, a browser's own field, or a program writes it.
fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Fault> {
    let Some(text) = text else { return Ok(None) };
    let day = format!("{text}T00:00:00Z");
    let minute = format!("{text}:00Z");
    let second = format!("{text}Z");
    [text, &second, &minute, &day]
        .iter()
        .find_map(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| {
            Fault::invalid(format!(
                "`{name}` is not a time; write it like 2026-11-22 or 2026-11-22T08:00"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_browsers_and_programs_write_them() {
        let eight: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        for text in [
            "2026-11-22T08:00",
            "2026-11-22T08:00:00",
            "2026-11-22T08:00:00Z",
        ] {
            assert_eq!(
                time("since", Some(text)).ok().flatten(),
                Some(eight),
                "{text}"
            );
        }
        let day = time("since", Some("2026-11-22")).ok().flatten();
        assert_eq!(day, Some(eight.day_start()));
        assert!(time("since", Some("yesterday")).is_err());
        assert_eq!(time("since", None).ok().flatten(), None);
    }
}
