//! Limits: how much may be done in a time, by whom together, and how much has been.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{items, line, text};

/// Commands on limits.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit limit set refunds-a-day --measure sum:amount --max 500 --over day --by customer --tool orders/refund --reason 'fraud'\n  remit limit set calls --measure calls --max 600 --over minute --per agent --reason 'fair share'\n  remit limit set at-once --measure concurrent --max 4 --per tool --tool ops/deploy --reason 'one at a time per site'\n  remit limit set rows --measure rows:items --each 200 --max 5000 --over day --tool crm/find --reason 'no bulk export'\n  remit limit show refunds-a-day"
)]
pub enum LimitCommand {
    /// List limits
    #[command(alias = "list")]
    Ls,
    /// Show a limit and what is used of it now
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Create or change a limit
    Set(Box<Set>),
    /// Take a limit out of use; what was used is remembered
    Rm {
        /// Name
        name: String,
    },
}

/// A limit to write.
#[derive(Debug, Args)]
pub struct Set {
    /// Name
    name: String,
    /// calls, concurrent, sum:ARGUMENT, rows, rows:LIST or tokens
    #[arg(long)]
    measure: String,
    /// The most
    #[arg(long)]
    max: String,
    /// Most rows or tokens that one call may bring
    #[arg(long)]
    each: Option<u32>,
    /// minute, hour, day or run
    #[arg(long, default_value = "day")]
    over: String,
    /// Whose use is counted together: organization, sponsor, person, agent, workflow, run or tool
    #[arg(long, default_value = "sponsor")]
    per: String,
    /// Count apart for each value of this argument
    #[arg(long, value_name = "ARGUMENT")]
    by: Option<String>,
    /// Only calls of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only calls of this workflow
    #[arg(long, value_name = "AGENT/WORKFLOW")]
    workflow: Option<String>,
    /// Only calls of this tool
    #[arg(long, value_name = "UPSTREAM/TOOL")]
    tool: Option<String>,
    /// Only calls for this person
    #[arg(long, value_name = "EMAIL")]
    person: Option<String>,
    /// Only calls of runs of this mode
    #[arg(long)]
    mode: Option<String>,
    /// Only calls of tools of this effect; may be repeated
    #[arg(long = "effect", value_name = "EFFECT")]
    effects: Vec<String>,
    /// Why; people read it later
    #[arg(long)]
    reason: String,
}

const COLUMNS: [Column; 6] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("LIMIT", Show::With(says)),
    column("PER", Show::Text("per")),
    column("ABOUT", Show::With(about)),
    column("CHANGED", Show::When("at")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: LimitCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        LimitCommand::Ls => {
            let all = client.list(&["limits"], &[], ITEMS_MAX).await?;
            out.list(
                &all,
                &COLUMNS,
                "name",
                "No limit yet beside those of grants. `remit limit set --help` shows some.",
            )?;
        }
        LimitCommand::Show { name } => {
            let found = client.get(&["limits", &name]).await?;
            out.one(&found, "name", || page(out, &found))?;
        }
        LimitCommand::Set(set) => {
            let saved = client
                .put(&["limits", &set.name], &body(&set)?, None)
                .await?;
            let said = format!("{}: {}.", line(&set.name, 80), says(&saved));
            out.done(&saved, "name", &said)?;
        }
        LimitCommand::Rm { name } => {
            let mut there = client.get(&["limits", &name]).await?;
            let revision = there.get("revision").and_then(Value::as_u64);
            if let Value::Object(fields) = &mut there {
                for given in ["name", "state", "by_whom", "at", "revision", "usage"] {
                    fields.remove(given);
                }
                fields.insert("enabled".to_owned(), json!(false));
            }
            let saved = client.put(&["limits", &name], &there, revision).await?;
            let said = format!("{} is not in use any more.", line(&name, 80));
            out.done(&saved, "name", &said)?;
        }
    }
    Ok(OK)
}

fn measure(set: &Set) -> anyhow::Result<Value> {
    let each = || {
        let needed =
            || Usage("rows and tokens need --each: the most that one call may bring".to_owned());
        set.each.ok_or_else(needed)
    };
    Ok(match set.measure.split_once(':') {
        None if set.measure == "rows" => json!({ "rows": { "each": each()? } }),
        None if set.measure == "tokens" => json!({ "tokens": { "each": each()? } }),
        None => json!(set.measure),
        Some(("sum", arg)) => json!({ "sum": { "arg": arg } }),
        Some(("rows", at)) => json!({ "rows": { "at": at, "each": each()? } }),
        Some(_) => {
            let text = format!("`{}` is no measure", line(&set.measure, 80));
            return Err(Usage(text).into());
        }
    })
}

fn body(set: &Set) -> anyhow::Result<Value> {
    let mut body = Map::new();
    body.insert("measure".to_owned(), measure(set)?);
    for (name, value) in [
        ("max", &set.max),
        ("over", &set.over),
        ("per", &set.per),
        ("reason", &set.reason),
    ] {
        body.insert(name.to_owned(), json!(value));
    }
    for (name, value) in [
        ("by", &set.by),
        ("agent", &set.agent),
        ("workflow", &set.workflow),
        ("tool", &set.tool),
        ("person", &set.person),
        ("mode", &set.mode),
    ] {
        if let Some(value) = value {
            body.insert(name.to_owned(), json!(value));
        }
    }
    body.insert("effects".to_owned(), json!(set.effects));
    Ok(Value::Object(body))
}

/// A limit in words: `at most 500 of amount a day for each customer`.
fn says(limit: &Value) -> String {
    let measure = limit.get("measure").cloned().unwrap_or_default();
    let over = match text(limit, "over").as_str() {
        "day" => "a day".to_owned(),
        "run" => "a run".to_owned(),
        other => format!("in any {other}"),
    };
    let what = match &measure {
        Value::String(word) if word == "concurrent" => {
            return format!("at most {} calls at once", text(limit, "max"));
        }
        Value::String(word) => word.clone(),
        other if other.get("sum").is_some() => format!("of {}", text(other, "sum.arg")),
        other => {
            let kind = if other.get("rows").is_some() {
                "rows"
            } else {
                "tokens"
            };
            let each = text(other, &format!("{kind}.each"));
            format!("{kind} (at most {each} a call)")
        }
    };
    let by = match text(limit, "by").as_str() {
        "" => String::new(),
        by => format!(" for each {by}"),
    };
    line(
        &format!("at most {} {what} {over}{by}", text(limit, "max")),
        200,
    )
}

/// Which calls it is about.
fn about(limit: &Value) -> String {
    let named = ["agent", "workflow", "tool", "person", "mode", "effects"]
        .into_iter()
        .map(|name| (name, text(limit, name)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name} {value}"));
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        "every call".to_owned()
    } else {
        named.join(", ")
    }
}

fn page(out: Out, limit: &Value) -> String {
    let columns = [
        column("WHOSE", Show::Text("whose")),
        column(
            "APART FOR",
            Show::With(|u| text(u, "by").chars().take(24).collect()),
        ),
        column("IN", Show::Text("over")),
        column("USED", Show::Text("used")),
        column("MOST", Show::Text("max")),
        column("LEFT", Show::Text("left")),
    ];
    let usage = items(limit, "usage");
    let page = Page::new(out, &text(limit, "name"))
        .at("State", limit, "state")
        .field("Limit", says(limit))
        .at("Per", limit, "per")
        .field("About", about(limit))
        .at("Reason", limit, "reason")
        .at("Changed by", limit, "by_whom")
        .when("Changed", limit, "at");
    if usage.is_empty() {
        page.field("Used", "nothing now").text()
    } else {
        page.table("Used now", usage, &columns).text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;

    #[test]
    fn a_limit_says_what_is_left() {
        let limit = json!({
            "name": "refunds-a-day", "state": "active", "measure": {"sum": {"arg": "amount"}}, "max": "500", "over": "day", "per": "sponsor",
            "by": "customer", "tool": "orders/refund", "reason": "fraud", "by_whom": "ann@acme.example", "at": "2026-11-22T07:00:00Z",
            "usage": [{"whose": "sponsor:maria@acme.example", "by": "customer=ab12", "over": "day 2026-11-22", "used": "480", "max": "500", "left": "20"}]
        });
        insta::assert_snapshot!(page(out(), &limit));
    }
}
