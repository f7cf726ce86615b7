//! How answers are shown: a table or page for people, JSON and YAML as the server said it, names for scripts.

use clap::ValueEnum;
use remit_domain::Timestamp;
use serde_json::Value;

use crate::print::print;
use crate::table::{Column, table};
use crate::value::{line, text};

/// How to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people: times relative, columns aligned
    #[default]
    Table,
    /// As the server said it, times absolute
    Json,
    /// The same as YAML
    Yaml,
    /// One name or id a line, for scripts
    Name,
}

/// Where output goes and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    pub(crate) format: Format,
    pub(crate) now: Timestamp,
    pub(crate) colours: bool,
}

impl Out {
    /// A list.
    ///
    /// - `name`: where the name of an item is, for `-o name`.
    /// - `empty`: what to say, and what to do next, when there is nothing.
    pub(crate) fn list(
        self,
        items: &[Value],
        columns: &[Column],
        name: &str,
        empty: &str,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Table if items.is_empty() => print(empty),
            Format::Table => print(&table(items, columns, self)),
            Format::Name => self.names(items, name),
            _ => print(&self.data(&Value::Array(items.to_vec()))?),
        }
        Ok(())
    }

    /// One thing; `page` makes the text for people.
    pub(crate) fn one(
        self,
        value: &Value,
        name: &str,
        page: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Table => print(&page()),
            Format::Name => self.names(std::slice::from_ref(value), name),
            _ => print(&self.data(value)?),
        }
        Ok(())
    }

    /// Something that was done: one line for people.
    pub(crate) fn done(self, value: &Value, name: &str, said: &str) -> anyhow::Result<()> {
        self.one(value, name, || said.to_owned())
    }

    fn names(self, items: &[Value], name: &str) {
        let names: Vec<String> = items
            .iter()
            .map(|i| line(&text(i, name), usize::MAX))
            .filter(|n| !n.is_empty())
            .collect();
        if !names.is_empty() {
            print(&names.join("\n"));
        }
    }

    fn data(self, value: &Value) -> anyhow::Result<String> {
        Ok(match self.format {
            Format::Yaml => serde_saphyr::to_string(value)?,
            _ => serde_json::to_string_pretty(value)?,
        })
    }
}

#[cfg(test)]
pub(crate) mod test {
    use super::{Format, Out};

    /// Output as tests see it: a fixed time, no colours.
    pub(crate) fn out() -> Out {
        Out {
            format: Format::Table,
            now: "2026-11-22T08:00:00Z".parse().unwrap(),
            colours: false,
        }
    }
}
