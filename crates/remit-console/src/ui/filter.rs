//! The filter bar: what it says stands in the address, so that a link shows the same.

use askama::Template;

use crate::text::Shown;

/// One thing to choose from.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

/// One field of the bar.
#[derive(Debug, Clone)]
pub(crate) enum FilterField {
    Search {
        name: &'static str,
        label: &'static str,
        value: Shown,
    },
    Select {
        name: &'static str,
        label: &'static str,
        choices: Vec<Choice>,
    },
    Check {
        name: &'static str,
        label: &'static str,
        on: bool,
    },
    Time {
        name: &'static str,
        label: &'static str,
        value: Shown,
    },
    /// What is chosen elsewhere and stays.
    Kept {
        name: &'static str,
        value: &'static str,
    },
}

/// The bar.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/filter.html")]
pub(crate) struct Filter {
    pub(crate) action: String,
    pub(crate) fields: Vec<FilterField>,
}

impl Filter {
    pub(crate) fn new(action: String) -> Self {
        Self {
            action,
            fields: Vec::new(),
        }
    }

    pub(crate) fn search(
        mut self,
        name: &'static str,
        label: &'static str,
        value: Option<&str>,
    ) -> Self {
        self.fields.push(FilterField::Search {
            name,
            label,
            value: Shown::line(value.unwrap_or_default()),
        });
        self
    }

    /// - `words`: what can be chosen; nothing chosen means all.
    pub(crate) fn select(
        self,
        name: &'static str,
        label: &'static str,
        words: &[&str],
        now: Option<&str>,
    ) -> Self {
        let called: Vec<String> = words.iter().map(|word| word.replace('_', " ")).collect();
        let called = called.iter().map(String::as_str);
        let words: Vec<(&str, &str)> = words.iter().copied().zip(called).collect();
        self.options(name, label, "all", &words, now)
    }

    /// - `words`: what can be chosen, and what it is called.
    pub(crate) fn options(
        mut self,
        name: &'static str,
        label: &'static str,
        otherwise: &str,
        words: &[(&str, &str)],
        now: Option<&str>,
    ) -> Self {
        let all = std::iter::once(("", otherwise)).chain(words.iter().copied());
        let choices = all
            .map(|(value, label)| Choice {
                value: value.to_owned(),
                label: label.to_owned(),
                chosen: now.unwrap_or_default() == value,
            })
            .collect();
        self.fields.push(FilterField::Select {
            name,
            label,
            choices,
        });
        self
    }

    /// A time; what stands in it is kept without its zone, which the label says.
    pub(crate) fn time(
        mut self,
        name: &'static str,
        label: &'static str,
        value: Option<&str>,
    ) -> Self {
        let value = value.unwrap_or_default();
        let value = match value.len() {
            10 => format!("{value}T00:00"),
            _ => value.trim_end_matches('Z').to_owned(),
        };
        self.fields.push(FilterField::Time {
            name,
            label,
            value: Shown::line(value),
        });
        self
    }

    /// What nothing chosen is called, in the field before: `all` where this is not said.
    pub(crate) fn otherwise(mut self, words: &str) -> Self {
        if let Some(FilterField::Select { choices, .. }) = self.fields.last_mut()
            && let Some(first) = choices.first_mut()
        {
            words.clone_into(&mut first.label);
        }
        self
    }

    pub(crate) fn kept(mut self, name: &'static str, value: &'static str) -> Self {
        self.fields.push(FilterField::Kept { name, value });
        self
    }

    pub(crate) fn check(mut self, name: &'static str, label: &'static str, on: bool) -> Self {
        self.fields.push(FilterField::Check { name, label, on });
        self
    }
}
