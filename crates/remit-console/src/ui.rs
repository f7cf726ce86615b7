//! The components that pages are made of: one of each, so that a page has nothing to invent.
//!
//! A component is a struct with its template in `templates/parts`. Text of others comes in as [`Shown`]; [`Html`] is only
//! what a template has written.

mod filter;
mod form;
mod header;
mod table;

use std::fmt;

use askama::Template;

pub(crate) use filter::Filter;
pub(crate) use form::{Button, Field, Form, Input, Tone};
pub(crate) use header::Header;
pub(crate) use table::{Cell, Row, Table};

use crate::ask::Ask;
use crate::range::Range;
use crate::text::Shown;

/// HTML that a template has written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Html(String);

impl Html {
    /// What a template writes.
    pub(crate) fn of(template: &impl Template) -> Self {
        match template.render() {
            Ok(text) => Self(text),
            Err(error) => {
                // Writing to a string fails only when a value's own `Display` does; the part is left out.
                tracing::error!(%error, "a part of a page could not be written");
                Self::default()
            }
        }
    }

    /// What the Markdown library has written of a document of ours.
    pub(crate) fn of_our_document(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the page's title is in it.
    pub(crate) fn has_title(&self) -> bool {
        self.0.contains("<h1")
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Html {}

/// A word for a state, with a sign beside it: colour is never the only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Badge {
    pub(crate) word: Shown,
    pub(crate) class: &'static str,
    pub(crate) sign: &'static str,
}

impl Badge {
    /// By the word alone; words are the same everywhere.
    pub(crate) fn new(word: &str) -> Self {
        let (class, sign) = match word {
            "allow" | "active" | "approved" | "ok" | "stopped" | "on" | "lifted" | "used"
            | "succeeded" | "yes" | "closed" | "live" | "enforced" | "holds" | "needed"
            | "enabled" | "proved" => ("good", "✓"),
            "ask" | "pending" | "waiting" | "bounded" | "suspended" | "draft" | "found"
            | "open" | "changed" | "stale" | "proposed" | "requested" | "shadow" | "undecided"
            | "unproved" | "absent" | "shadowed" | "dead" | "flag" | "rate" | "transform"
            | "medium" => ("warn", "?"),
            "deny" | "denied" | "quarantined" | "quarantine" | "kill" | "not proved" | "failed"
            | "error" | "retired" | "disabled" | "revoked" | "ambiguous" | "gap" | "left"
            | "withdrawn" | "gone" | "no" | "contained" | "rejected" | "fails" | "refuted" => {
                ("bad", "✕")
            }
            "high" => ("bad", "▲"),
            _ => ("plain", "·"),
        };
        Self {
            word: Shown::line(word.replace('_', " ")),
            class,
            sign,
        }
    }
}

/// What is shown where there is nothing.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "parts/empty.html")]
pub(crate) struct Empty {
    pub(crate) title: String,
    pub(crate) text: String,
    /// Address and words of where to go on.
    pub(crate) action: Option<(String, String)>,
    /// Commands to copy.
    pub(crate) commands: Vec<String>,
}

impl Empty {
    pub(crate) fn new(title: &str, text: &str) -> Self {
        Self {
            title: title.to_owned(),
            text: text.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn action(mut self, href: String, words: &str) -> Self {
        self.action = Some((href, words.to_owned()));
        self
    }

    pub(crate) fn commands(mut self, commands: &[&str]) -> Self {
        self.commands = commands.iter().map(ToString::to_string).collect();
        self
    }
}

/// The same, by other means: what this page shows or does, as a command, a request and a document.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "parts/copy.html")]
pub(crate) struct Copy {
    /// Name and text.
    pub(crate) ways: Vec<(&'static str, Shown)>,
}

/// Words of addresses that are options without a value.
const FLAGS: [&str; 1] = ["mine"];

impl Copy {
    /// - `cli`: arguments of `remit`.
    /// - `base`: the organization's address.
    /// - `path`: below `/api/v1`.
    pub(crate) fn get(cli: &str, base: &str, path: &str) -> Self {
        let curl = format!("curl -H \"Authorization: Bearer $REMIT_TOKEN\" '{base}/api/v1{path}'");
        Self {
            ways: vec![
                ("CLI", Shown::whole(format!("remit {cli}"))),
                ("curl", Shown::whole(curl)),
            ],
        }
    }

    /// A list as the address filters it.
    ///
    /// - `words`: of the address, that filter it; options of the command and of the request are called alike.
    pub(crate) fn list(
        ask: &Ask,
        cli: &str,
        path: &str,
        words: &[&str],
        range: Option<&Range>,
    ) -> Self {
        let mut command = format!("remit {cli}");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for word in words {
            let Some(value) = ask.q(word) else {
                continue;
            };
            if FLAGS.contains(word) {
                command.push_str(&format!(" --{word}"));
                query.append_pair(word, "true");
            } else {
                command.push_str(&format!(" --{word} {}", for_a_shell(value)));
                query.append_pair(word, value);
            }
        }
        for (word, told, exact) in range.map(Range::words).unwrap_or_default() {
            command.push_str(&format!(" --{word} {told}"));
            query.append_pair(word, &exact);
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        let mut copy = Self::get(cli, &ask.place.base, &format!("{path}{mark}{query}"));
        if let Some(way) = copy.ways.first_mut() {
            way.1 = Shown::whole(command);
        }
        copy
    }

    /// A request that sends something.
    ///
    /// - `body`: as JSON; one of ours, without quotes of a shell in it.
    pub(crate) fn post(cli: &str, base: &str, path: &str, body: &str) -> Self {
        let mut copy = Self::get(cli, base, path);
        if let Some(curl) = copy.ways.last_mut() {
            curl.1 = Shown::whole(format!(
                "curl -X POST -H \"Authorization: Bearer $REMIT_TOKEN\" -H 'content-type: application/json' -d '{body}' '{base}/api/v1{path}'"
            ));
        }
        copy
    }

    /// With the document.
    pub(crate) fn yaml(mut self, text: &str) -> Self {
        self.ways.push(("YAML", Shown::whole(text)));
        self
    }
}

/// A word of a command, as a POSIX shell reads it back.
fn for_a_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@/".contains(c);
    if word.chars().all(plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Something to know before anything else on the page.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/notice.html")]
pub(crate) struct Notice {
    pub(crate) class: &'static str,
    pub(crate) text: Shown,
    pub(crate) more: Vec<Shown>,
    pub(crate) undo: Option<Form>,
}

impl Notice {
    pub(crate) fn new(class: &'static str, text: impl fmt::Display) -> Self {
        Self {
            class,
            text: Shown::block(text),
            more: Vec::new(),
            undo: None,
        }
    }
}

/// Names and what they are.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "parts/facts.html")]
pub(crate) struct Facts {
    pub(crate) rows: Vec<(String, Cell)>,
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn row(mut self, name: &str, cell: impl Into<Cell>) -> Self {
        self.rows.push((name.to_owned(), cell.into()));
        self
    }

    /// Left out where there is nothing.
    pub(crate) fn maybe(self, name: &str, cell: Option<impl Into<Cell>>) -> Self {
        match cell {
            Some(cell) => self.row(name, cell),
            None => self,
        }
    }
}

/// A part of a page with a heading.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/section.html")]
pub(crate) struct Section {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) body: Vec<Html>,
}

impl Section {
    /// - `id`: of the element, for links and tests.
    pub(crate) fn new(id: &'static str, title: impl Into<String>) -> Self {
        Self {
            id,
            title: title.into(),
            note: String::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(crate) fn with(mut self, part: &impl Template) -> Self {
        self.body.push(Html::of(part));
        self
    }
}

/// Text in fixed width, with its name and a button that copies it.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/code.html")]
pub(crate) struct Code {
    pub(crate) label: String,
    pub(crate) text: Shown,
}

impl Code {
    pub(crate) fn new(label: impl Into<String>, text: impl fmt::Display) -> Self {
        Self {
            label: label.into(),
            text: Shown::whole(text),
        }
    }
}

/// A difference, as `diff -u` tells it: each line begins with its sign, so that colour is not the only one.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/diff.html")]
pub(crate) struct Diff {
    pub(crate) label: Shown,
    pub(crate) lines: Vec<(&'static str, Shown)>,
}

impl Diff {
    pub(crate) fn new(label: impl fmt::Display, text: &str) -> Self {
        let class = |line: &str| match line.as_bytes().first() {
            Some(b'+') => "added",
            Some(b'-') => "removed",
            Some(b'@') => "hunk",
            _ => "same",
        };
        Self {
            label: Shown::line(label),
            lines: text.lines().map(|l| (class(l), Shown::block(l))).collect(),
        }
    }
}

impl Diff {
    /// What differs between two texts, with a few lines around it.
    pub(crate) fn of(label: &str, before: &str, after: &str) -> Self {
        let diff = similar::TextDiff::from_lines(before, after);
        Self::new(label, &diff.unified_diff().context_radius(3).to_string())
    }
}

/// One line each.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/lines.html")]
pub(crate) struct Lines {
    pub(crate) lines: Vec<Shown>,
}

impl Lines {
    pub(crate) fn new<T: fmt::Display>(lines: impl IntoIterator<Item = T>) -> Self {
        Self {
            lines: lines.into_iter().map(Shown::block).collect(),
        }
    }
}
