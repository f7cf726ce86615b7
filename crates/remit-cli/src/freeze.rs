//! Change freezes and time windows.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{items, line, text};

/// Commands on freezes and windows.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "A freeze denies nothing by itself: policies look at `context.frozen`, `context.freezes` and `context.windows`.\n\nExamples:\n  remit freeze set year-end --from 2026-12-20T00:00:00Z --until 2027-01-04T00:00:00Z --environment production --reason 'nobody is here'\n  remit freeze set maintenance --window --days 6,7 --from 22:00 --until 06:00 --reason 'quiet hours'"
)]
pub enum FreezeCommand {
    /// List freezes and windows
    #[command(alias = "list")]
    Ls,
    /// Show one
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Create or change one
    Set(Box<Set>),
    /// Take one out of use
    Rm {
        /// Name
        name: String,
    },
}

/// A freeze to write.
#[derive(Debug, Args)]
pub struct Set {
    /// Name
    name: String,
    /// A time in which something may be done, not one in which nothing should change
    #[arg(long)]
    window: bool,
    /// From then: a time, or HH:MM with --days
    #[arg(long)]
    from: String,
    /// Until then, not included
    #[arg(long)]
    until: String,
    /// Each week on these days, 1 Monday to 7 Sunday
    #[arg(long, value_delimiter = ',', value_name = "DAYS")]
    days: Vec<u8>,
    /// Minutes by which HH:MM is ahead of UTC
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    utc_offset_minutes: i16,
    /// Only tools of systems in this environment; may be repeated
    #[arg(long = "environment", value_name = "ENVIRONMENT")]
    environments: Vec<String>,
    /// Only tools of this system; may be repeated
    #[arg(long = "system", value_name = "SYSTEM")]
    systems: Vec<String>,
    /// Why; people read it later
    #[arg(long)]
    reason: String,
}

const COLUMNS: [Column; 6] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("MEANS", Show::Text("means")),
    column("HOLDS NOW", Show::Text("holds_now")),
    column("WHEN", Show::With(when)),
    column("REASON", Show::Text("reason")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: FreezeCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        FreezeCommand::Ls => {
            let all = client.list(&["freezes"], &[], ITEMS_MAX).await?;
            out.list(
                &all,
                &COLUMNS,
                "name",
                "No freeze and no window is declared.",
            )?;
        }
        FreezeCommand::Show { name } => {
            let found = client.get(&["freezes", &name]).await?;
            out.one(&found, "name", || page(out, &found))?;
        }
        FreezeCommand::Set(set) => {
            let saved = client
                .put(&["freezes", &set.name], &body(&set), None)
                .await?;
            let said = format!("{}: {}.", line(&set.name, 80), when(&saved));
            out.done(&saved, "name", &said)?;
        }
        FreezeCommand::Rm { name } => {
            let mut there = client.get(&["freezes", &name]).await?;
            let revision = there.get("revision").and_then(Value::as_u64);
            if let Value::Object(fields) = &mut there {
                for given in ["name", "state", "holds_now", "by", "at", "revision"] {
                    fields.remove(given);
                }
                fields.insert("enabled".to_owned(), json!(false));
            }
            let saved = client.put(&["freezes", &name], &there, revision).await?;
            let said = format!("{} is not in use any more.", line(&name, 80));
            out.done(&saved, "name", &said)?;
        }
    }
    Ok(OK)
}

fn body(set: &Set) -> Value {
    let span = if set.days.is_empty() {
        json!({ "once": { "from": set.from, "until": set.until } })
    } else {
        json!({ "weekly": { "days": set.days, "from": set.from, "until": set.until, "utc_offset_minutes": set.utc_offset_minutes } })
    };
    json!({
        "means": if set.window { "window" } else { "freeze" }, "spans": [span],
        "environments": set.environments, "systems": set.systems, "reason": set.reason,
    })
}

/// Its times, in words.
fn when(freeze: &Value) -> String {
    let span = |span: &Value| match span.get("weekly") {
        Some(weekly) => format!(
            "days {} from {} until {}",
            text(weekly, "days"),
            text(weekly, "from"),
            text(weekly, "until")
        ),
        None => format!(
            "from {} until {}",
            text(span, "once.from"),
            text(span, "once.until")
        ),
    };
    let spans: Vec<_> = items(freeze, "spans").iter().map(span).collect();
    line(&spans.join("; "), 200)
}

fn page(out: Out, freeze: &Value) -> String {
    Page::new(out, &text(freeze, "name"))
        .at("State", freeze, "state")
        .at("Means", freeze, "means")
        .at("Holds now", freeze, "holds_now")
        .field("When", when(freeze))
        .at("Environments", freeze, "environments")
        .at("Systems", freeze, "systems")
        .at("Reason", freeze, "reason")
        .at("Changed by", freeze, "by")
        .when("Changed", freeze, "at")
        .text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_words() {
        let freeze = json!({"spans": [
            {"once": {"from": "2026-12-20T00:00:00Z", "until": "2027-01-04T00:00:00Z"}},
            {"weekly": {"days": [6, 7], "from": "22:00", "until": "06:00", "utc_offset_minutes": 0}},
        ]});
        assert_eq!(
            when(&freeze),
            "from 2026-12-20T00:00:00Z until 2027-01-04T00:00:00Z; days 6, 7 from 22:00 until 06:00"
        );
    }
}
