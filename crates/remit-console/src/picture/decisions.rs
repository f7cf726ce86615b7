//! What was decided in each of the last 24 hours: allowed, asked, denied, as bars and as the same in a table.

use askama::Template;
use remit_control::{Activity, Hour};

use super::bars::Bars;
use crate::ask::Ask;
use crate::ui::{Cell, Empty, Row, Table};

/// The picture.
#[derive(Template)]
#[template(path = "pictures/decisions.html")]
pub(crate) struct Decisions {
    bars: Vec<Bars>,
    table: Table,
    counting: bool,
}

impl Decisions {
    /// - `path`: of the list of what was decided, which takes a time range.
    pub(crate) fn new(ask: &Ask, activity: &Activity, path: &str) -> Self {
        let mark = if path.contains('?') { '&' } else { '?' };
        let href = |hour: &Hour| {
            let until = hour.start.plus_secs(3_600);
            ask.to(&format!("{path}{mark}since={}&until={until}", hour.start))
        };
        let hours = &activity.hours;
        let bars = vec![
            Bars::new("allow", hours, |h| h.allow, href),
            Bars::new("ask", hours, |h| h.ask, href),
            Bars::new("deny", hours, |h| h.deny, href),
        ];
        let rows = hours.iter().map(|h| {
            let exact = ask.when(h.start).exact;
            Row::new(
                h.start,
                vec![
                    Cell::link(href(h), exact.get(..16).unwrap_or(&exact)),
                    Cell::number(h.allow),
                    Cell::number(h.ask),
                    Cell::number(h.deny),
                ],
            )
        });
        let head = ["Hour from (UTC)", "Allowed", "Asked", "Denied"];
        let caption = "Decisions in each of the last 24 hours";
        Self {
            bars,
            table: Table::new("hours", caption, &head, Empty::default()).rows(rows),
            counting: !activity.complete,
        }
    }
}
