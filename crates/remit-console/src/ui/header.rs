//! The header of one object: what it is, where it stands, and what can be done about it. The same everywhere.

use askama::Template;

use super::{Badge, Cell, Copy, Html};
use crate::text::Shown;

/// Something to do about the object: a link to its page, which shows what it does before it is done.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) href: String,
    pub(crate) words: &'static str,
    pub(crate) danger: bool,
}

/// One view of the object.
#[derive(Debug, Clone)]
pub(crate) struct Tab {
    pub(crate) href: String,
    pub(crate) words: &'static str,
    pub(crate) here: bool,
}

/// The header.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/header.html")]
pub(crate) struct Header {
    /// What sort of object: `Agent`.
    pub(crate) sort: &'static str,
    pub(crate) name: Shown,
    pub(crate) id: Shown,
    pub(crate) state: Option<Badge>,
    pub(crate) facts: Vec<(&'static str, Cell)>,
    pub(crate) actions: Vec<Action>,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) copy: Html,
}

impl Header {
    pub(crate) fn new(sort: &'static str, name: impl std::fmt::Display) -> Self {
        Self {
            sort,
            name: Shown::line(name),
            id: Shown::default(),
            state: None,
            facts: Vec::new(),
            actions: Vec::new(),
            tabs: Vec::new(),
            copy: Html::default(),
        }
    }

    pub(crate) fn id(mut self, id: impl std::fmt::Display) -> Self {
        self.id = Shown::line(id);
        self
    }

    pub(crate) fn state(mut self, word: &str) -> Self {
        self.state = Some(Badge::new(word));
        self
    }

    pub(crate) fn fact(mut self, name: &'static str, cell: impl Into<Cell>) -> Self {
        self.facts.push((name, cell.into()));
        self
    }

    pub(crate) fn action(
        mut self,
        may: bool,
        href: String,
        words: &'static str,
        danger: bool,
    ) -> Self {
        if may {
            self.actions.push(Action {
                href,
                words,
                danger,
            });
        }
        self
    }

    pub(crate) fn tab(mut self, href: String, words: &'static str, here: bool) -> Self {
        self.tabs.push(Tab { href, words, here });
        self
    }

    pub(crate) fn copy(mut self, copy: &Copy) -> Self {
        self.copy = Html::of(copy);
        self
    }
}
