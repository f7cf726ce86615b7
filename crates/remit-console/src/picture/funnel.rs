//! What became of requests for approval, and how long people took.

use askama::Template;
use remit_control::ApprovalFunnel;

use crate::time::span;

const WIDTH: u64 = 320;
const ROW: u64 = 26;

struct Bar {
    y: u64,
    width: u64,
    words: &'static str,
    count: u64,
    percent: u64,
    class: &'static str,
    sign: &'static str,
    href: String,
}

/// The picture.
#[derive(Template)]
#[template(path = "pictures/funnel.html")]
pub(crate) struct Funnel {
    height: u64,
    title: String,
    waits: String,
    is_cut: bool,
    bars: Vec<Bar>,
}

impl Funnel {
    /// - `href`: where the approvals of a state are listed.
    pub(crate) fn new(f: &ApprovalFunnel, href: impl Fn(&str) -> String) -> Self {
        let rows = [
            ("asked", f.asked, "plain", "·", "all"),
            ("approved", f.approved, "good", "✓", "approved"),
            ("used", f.used, "good", "✓", "used"),
            ("denied", f.denied, "bad", "✕", "denied"),
            ("ran out of time", f.expired, "warn", "⧗", "expired"),
            ("void", f.void, "warn", "–", "cancelled"),
            ("waiting", f.waiting, "warn", "?", "pending"),
        ];
        let bars: Vec<Bar> = rows
            .iter()
            .enumerate()
            .map(|(at, (words, count, class, sign, state))| Bar {
                y: u64::try_from(at).unwrap_or(0) * ROW,
                width: (count * WIDTH).div_ceil(f.asked.max(1)),
                words,
                count: *count,
                percent: count * 100 / f.asked.max(1),
                class,
                sign,
                href: href(state),
            })
            .collect();
        let waits = match (f.wait_p50_secs, f.wait_p95_secs) {
            (Some(half), Some(most)) => format!(
                "Half were decided within {}, 95 of 100 within {}.",
                span(half),
                span(most)
            ),
            _ => "Nobody has decided one yet.".to_owned(),
        };
        Self {
            height: ROW * 7,
            title: format!(
                "{} asked, {} approved, {} denied",
                f.asked, f.approved, f.denied
            ),
            waits,
            is_cut: f.is_cut,
            bars,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bar_is_longer_than_what_was_asked() {
        let funnel = ApprovalFunnel {
            since: remit_domain::Timestamp::from_secs(0),
            asked: 7,
            approved: 4,
            used: 3,
            denied: 1,
            expired: 1,
            void: 0,
            waiting: 1,
            wait_p50_secs: Some(61),
            wait_p95_secs: Some(7_300),
            is_cut: false,
        };
        let picture = Funnel::new(&funnel, |state| state.to_owned());
        assert!(picture.bars.iter().all(|b| b.width <= WIDTH));
        assert_eq!(
            picture.waits,
            "Half were decided within 1 min, 95 of 100 within 2 h."
        );
    }
}
