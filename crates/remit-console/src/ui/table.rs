//! The one table, and what stands in its cells.

use askama::Template;

use super::{Badge, Empty, Html};
use crate::text::Shown;
use crate::time::When;

/// What stands in a cell.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/cell.html")]
pub(crate) enum Cell {
    Nothing,
    Text(Shown),
    Code(Shown),
    Link { href: String, text: Shown },
    Time(When),
    Badge(Badge),
    Number(String),
    Lines(Vec<Shown>),
    Html(Html),
}

impl Cell {
    pub(crate) fn text(text: impl std::fmt::Display) -> Self {
        Self::Text(Shown::line(text))
    }

    /// With its line ends.
    pub(crate) fn block(text: impl std::fmt::Display) -> Self {
        Self::Text(Shown::block(text))
    }

    pub(crate) fn code(text: impl std::fmt::Display) -> Self {
        Self::Code(Shown::line(text))
    }

    pub(crate) fn link(href: String, text: impl std::fmt::Display) -> Self {
        Self::Link {
            href,
            text: Shown::line(text),
        }
    }

    pub(crate) fn badge(word: &str) -> Self {
        Self::Badge(Badge::new(word))
    }

    pub(crate) fn number(number: impl std::fmt::Display) -> Self {
        Self::Number(number.to_string())
    }

    pub(crate) fn lines<T: std::fmt::Display>(lines: impl IntoIterator<Item = T>) -> Self {
        let lines: Vec<_> = lines.into_iter().map(Shown::line).collect();
        if lines.is_empty() {
            Self::Nothing
        } else {
            Self::Lines(lines)
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Number(_))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Shown> for Cell {
    fn from(text: Shown) -> Self {
        Self::Text(text)
    }
}

impl From<When> for Cell {
    fn from(when: When) -> Self {
        Self::Time(when)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Nothing, Into::into)
    }
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What the row is of: an id, for tests and for what moves between rows.
    pub(crate) key: Shown,
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    pub(crate) fn new(key: impl std::fmt::Display, cells: Vec<Cell>) -> Self {
        Self {
            key: Shown::line(key),
            cells,
        }
    }
}

/// The table. Its first cell names the row.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/table.html")]
pub(crate) struct Table {
    pub(crate) id: &'static str,
    /// What the table holds, for those who do not see it.
    pub(crate) caption: String,
    pub(crate) head: Vec<&'static str>,
    pub(crate) rows: Vec<Row>,
    /// Address of the next page.
    pub(crate) next: Option<String>,
    pub(crate) empty: Empty,
}

impl Table {
    pub(crate) fn new(
        id: &'static str,
        caption: &str,
        head: &[&'static str],
        empty: Empty,
    ) -> Self {
        Self {
            id,
            caption: caption.to_owned(),
            head: head.to_vec(),
            rows: Vec::new(),
            next: None,
            empty,
        }
    }

    pub(crate) fn rows(mut self, rows: impl IntoIterator<Item = Row>) -> Self {
        self.rows = rows.into_iter().collect();
        self
    }

    pub(crate) fn next(mut self, next: Option<String>) -> Self {
        self.next = next;
        self
    }

    /// Whether other places lead to single rows of it.
    fn is_linked_to(&self) -> bool {
        matches!(self.id, "events" | "findings")
    }

    fn is_number(&self, column: &usize) -> bool {
        self.rows
            .first()
            .and_then(|row| row.cells.get(*column))
            .is_some_and(Cell::is_number)
    }
}
