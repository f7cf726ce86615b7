//! Decisions over hours, as small bars.

use askama::Template;
use remit_control::Hour;

/// Width of one bar and of the gap after it, and the picture's height.
const BAR: usize = 7;
const GAP: usize = 2;
const HEIGHT: u64 = 40;

struct Bar {
    x: usize,
    y: u64,
    height: u64,
    href: String,
    title: String,
}

/// Counts over hours: one bar each, its height the share of the largest.
#[derive(Template)]
#[template(path = "pictures/bars.html")]
pub(crate) struct Bars {
    /// Which row of the counts: `allow`, `ask` or `deny`.
    pub(crate) class: &'static str,
    pub(crate) total: u64,
    title: String,
    width: usize,
    bars: Vec<Bar>,
}

impl Bars {
    /// - `href`: where that hour is told. Keys reach it by the table, so that nobody has to pass every bar.
    pub(crate) fn new(
        class: &'static str,
        hours: &[Hour],
        count: fn(&Hour) -> u64,
        href: impl Fn(&Hour) -> String,
    ) -> Self {
        let counts: Vec<u64> = hours.iter().map(count).collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        let total = counts.iter().sum();
        let bars = counts
            .iter()
            .zip(hours)
            .enumerate()
            .map(|(at, (count, hour))| {
                // Something is always seen of what is not nothing.
                let height = if *count == 0 {
                    0
                } else {
                    (count * HEIGHT).div_ceil(most.max(1)).max(2)
                };
                Bar {
                    x: at * (BAR + GAP),
                    y: HEIGHT - height,
                    height,
                    href: href(hour),
                    title: format!("{count} {class} in the hour from {}", hour.start),
                }
            })
            .collect();
        let title = format!("{class}: {total} in the last 24 hours, at most {most} in an hour");
        Self {
            class,
            total,
            title,
            width: counts.len() * (BAR + GAP),
            bars,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_share_and_never_leave_the_picture() {
        let hour = |allow| Hour {
            start: remit_domain::Timestamp::from_secs(0),
            allow,
            ask: 0,
            deny: 0,
        };
        let bars = Bars::new(
            "allow",
            &[hour(0), hour(1), hour(1_000)],
            |h| h.allow,
            |_| String::new(),
        );
        let heights: Vec<_> = bars.bars.iter().map(|b| (b.y, b.height)).collect();
        assert_eq!(heights, [(40, 0), (38, 2), (0, 40)]);
        assert_eq!(bars.total, 1_001);
    }
}
