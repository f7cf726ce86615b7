//! Tables and pages.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use serde_json::Value;

use crate::output::Out;
use crate::value::{at, line, lines, plain, text, time};
use crate::when;

/// Longest cell, in characters.
const CELL_CHARS_MAX: usize = 100;

/// What a column shows.
#[derive(Clone, Copy)]
pub(crate) enum Show {
    /// Text at a place.
    Text(&'static str),
    /// A state word, coloured.
    State(&'static str),
    /// How long ago, or in how long.
    When(&'static str),
    /// How long is left.
    Left(&'static str),
    /// How many there are.
    Count(&'static str),
    /// Anything else.
    With(fn(&Value) -> String),
}

/// A column.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    show: Show,
}

/// A column.
pub(crate) const fn column(title: &'static str, show: Show) -> Column {
    Column { title, show }
}

/// A table of the items; empty text for none.
pub(crate) fn table(items: &[Value], columns: &[Column], out: Out) -> String {
    let rows = items.iter().map(|item| {
        columns
            .iter()
            .map(|c| cell(c, item, out))
            .collect::<Vec<_>>()
    });
    render(
        &columns.iter().map(|c| c.title).collect::<Vec<_>>(),
        rows.collect(),
        out,
    )
}

/// A table of plain texts.
pub(crate) fn texts(titles: &[&str], rows: Vec<Vec<String>>, out: Out) -> String {
    let rows = rows.into_iter().map(|row| {
        row.iter()
            .map(|t| Cell::new(line(t, CELL_CHARS_MAX)))
            .collect()
    });
    render(titles, rows.collect(), out)
}

fn render(titles: &[&str], rows: Vec<Vec<Cell>>, out: Out) -> String {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if out.colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    if !titles.is_empty() {
        table.set_header(
            titles
                .iter()
                .map(|t| Cell::new(t).add_attribute(Attribute::Bold)),
        );
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

fn cell(column: &Column, item: &Value, out: Out) -> Cell {
    let shown = match column.show {
        Show::Text(path) => text(item, path),
        Show::State(path) => return state(&text(item, path)),
        Show::When(path) => time(item, path)
            .map(|at| when::relative(at, out.now))
            .unwrap_or_default(),
        Show::Left(path) => time(item, path)
            .map(|at| when::left(at, out.now))
            .unwrap_or_default(),
        Show::Count(path) => at(item, path).map(length).unwrap_or_default().to_string(),
        Show::With(f) => f(item),
    };
    let shown = if shown.is_empty() {
        "-".to_owned()
    } else {
        line(&shown, CELL_CHARS_MAX)
    };
    Cell::new(shown)
}

fn length(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.len() as u64,
        Value::Number(n) => n.as_u64().unwrap_or_default(),
        _ => 0,
    }
}

/// A state is a word first; its colour only helps.
fn state(word: &str) -> Cell {
    let word = if word.is_empty() { "-" } else { word };
    let cell = Cell::new(line(word, CELL_CHARS_MAX));
    match word {
        "active" | "allow" | "approved" | "enabled" | "ok" | "stopped" | "used" | "complete" => {
            cell.fg(Color::Green)
        }
        "ask" | "pending" | "changed" | "suspended" | "bounded" | "draft" | "open" | "stale" => {
            cell.fg(Color::Yellow)
        }
        "deny" | "denied" | "quarantined" | "not_proved" | "ambiguous" | "refused" | "fail"
        | "gone" | "kill" => cell.fg(Color::Red),
        _ => cell,
    }
}

/// A page about one thing: a heading, fields, sections.
pub(crate) struct Page {
    out: Out,
    text: String,
    fields: Vec<(String, String)>,
}

impl Page {
    /// A page with its heading.
    pub(crate) fn new(out: Out, heading: &str) -> Self {
        Self {
            out,
            text: lines(heading),
            fields: Vec::new(),
        }
    }

    /// A field; one without a value is left out.
    pub(crate) fn field(mut self, name: &str, value: impl AsRef<str>) -> Self {
        if !value.as_ref().is_empty() {
            self.fields.push((name.to_owned(), lines(value.as_ref())));
        }
        self
    }

    /// A field from a place in the answer.
    pub(crate) fn at(self, name: &str, value: &Value, path: &str) -> Self {
        let text = text(value, path);
        self.field(name, text)
    }

    /// A time from a place in the answer: relative, and absolute.
    pub(crate) fn when(self, name: &str, value: &Value, path: &str) -> Self {
        let text = time(value, path)
            .map(|at| when::both(at, self.out.now))
            .unwrap_or_default();
        self.field(name, text)
    }

    fn flush(&mut self) {
        let width = self
            .fields
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or_default();
        for (name, value) in std::mem::take(&mut self.fields) {
            let indent = format!("\n{}", " ".repeat(width + 4));
            let value = value.replace('\n', &indent);
            self.text.push_str(&format!("\n  {name:width$}  {value}"));
        }
    }

    /// A part with a title; an empty one is left out.
    pub(crate) fn section(mut self, title: &str, body: &str) -> Self {
        self.flush();
        if !body.trim().is_empty() {
            let body = body
                .lines()
                .map(|l| format!("  {}", l.trim_end()))
                .collect::<Vec<_>>()
                .join("\n");
            self.text.push_str(&format!("\n\n{title}\n{body}"));
        }
        self
    }

    /// A part that lists lines.
    pub(crate) fn lines(self, title: &str, items: &[Value]) -> Self {
        let body: Vec<String> = items.iter().map(|i| lines(&plain(i))).collect();
        self.section(title, &body.join("\n"))
    }

    /// A part that lists things; left out when there is none.
    pub(crate) fn table(self, title: &str, items: &[Value], columns: &[Column]) -> Self {
        let body = if items.is_empty() {
            String::new()
        } else {
            table(items, columns, self.out)
        };
        self.section(title, &body)
    }

    /// The text.
    pub(crate) fn text(mut self) -> String {
        self.flush();
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;
    use serde_json::json;

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_space() {
        let items = [
            json!({"name": "support-triage", "state": "active", "at": "2026-11-22T07:58:00Z", "until": "2026-11-22T09:00:00Z", "keys": [1, 2]}),
            json!({"name": "x\u{202e}y\n", "state": "quarantined", "at": "2026-11-20T08:00:00Z", "keys": 3}),
        ];
        let columns = [
            column("NAME", Show::Text("name")),
            column("STATE", Show::State("state")),
            column("AGE", Show::When("at")),
            column("LEFT", Show::Left("until")),
            column("KEYS", Show::Count("keys")),
        ];
        insta::assert_snapshot!(table(&items, &columns, out()));
    }

    #[test]
    fn a_page_leaves_out_what_is_not_there() {
        let value = json!({"owner": "maria@acme.example", "at": "2026-11-22T07:58:00Z", "purpose": "first line\nsecond line"});
        let page = Page::new(out(), "support-triage  ACTIVE")
            .at("Owner", &value, "owner")
            .at("Deputy", &value, "deputy")
            .at("Purpose", &value, "purpose")
            .when("Seen", &value, "at")
            .table(
                "Grants",
                &[json!({"tool": "orders/refund"})],
                &[column("TOOL", Show::Text("tool"))],
            )
            .table("Nothing", &[], &[]);
        insta::assert_snapshot!(page.text());
    }
}
