//! Settings: what the organization makes of calls, from everybody's to one person's with one tool.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{DENIED, Done, OK, Usage};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, items, line, text};

/// Commands on settings.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "A setting is named by the calls it is about:\n  organization, mode:background, tool:orders/refund, person:maria@acme.example,\n  person:maria@acme.example/tool:orders/refund\n\nThe most specific one wins; a locked one at a wider level holds too. A setting never permits: allow only lifts a deny.\n\nExamples:\n  remit setting set mode:background deny --locked --reason 'nobody watches at night'\n  remit setting set tool:orders/refund rate --calls 10 --per minute --reason 'the till is slow'\n  remit setting set tool:crm/find transform --result customer.iban=mask --reason 'bank data stays there'\n  remit setting set organization transform --class secret=redact --class payment-card=mask --reason 'agents need none'\n  remit setting explain --tool orders/refund --person maria@acme.example"
)]
pub enum SettingCommand {
    /// List settings
    #[command(alias = "list")]
    Ls {
        /// active or removed
        #[arg(long, default_value = "active")]
        state: String,
    },
    /// Show one setting
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Create or change a setting; nobody writes their own
    Set(Box<Set>),
    /// Remove a setting
    Rm {
        /// Name
        name: String,
    },
    /// What the settings about a call come to, and which level decided; exits with 3 when one denies
    Explain {
        /// UPSTREAM/TOOL
        #[arg(long)]
        tool: String,
        /// Person whom the agent acts for
        #[arg(long, value_name = "EMAIL")]
        person: Option<String>,
        /// Mode of the run: interactive, subagent, api or background
        #[arg(long)]
        mode: Option<String>,
    },
}

/// What a setting does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Lifts the deny of a wider setting; permits nothing
    Allow,
    /// Lets it through, writes it into the decision and opens a finding
    Flag,
    /// Denies
    Deny,
    /// At most --calls in any --per
    Rate,
    /// Masks or leaves out --arg and --result paths
    Transform,
}

/// A setting to write.
#[derive(Debug, Args)]
pub struct Set {
    /// Name
    name: String,
    /// What it does
    value: What,
    /// Nothing narrower takes it away
    #[arg(long)]
    locked: bool,
    /// Why; people read it later
    #[arg(long)]
    reason: String,
    /// Most calls, for a rate
    #[arg(long)]
    calls: Option<u32>,
    /// minute, hour or day, for a rate
    #[arg(long)]
    per: Option<String>,
    /// PATH=mask or PATH=redact of an argument, for a transform; may be repeated
    #[arg(long = "arg", value_name = "PATH=HOW")]
    args: Vec<String>,
    /// PATH=mask or PATH=redact of a result field, for a transform; may be repeated
    #[arg(long = "result", value_name = "PATH=HOW")]
    results: Vec<String>,
    /// CLASS=mask or CLASS=redact of content that is found anywhere in the result, such as payment-card=mask; may be repeated
    #[arg(long = "class", value_name = "CLASS=HOW")]
    classes: Vec<String>,
}

const COLUMNS: [Column; 6] = [
    column("NAME", Show::Text("name")),
    column("VALUE", Show::With(value)),
    column("LOCKED", Show::Text("locked")),
    column("REASON", Show::Text("reason")),
    column("BY", Show::Text("by")),
    column("CHANGED", Show::When("at")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: SettingCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        SettingCommand::Ls { state } => {
            let all = client
                .list(&["settings"], &[("state", &state)], ITEMS_MAX)
                .await?;
            out.list(
                &all,
                &COLUMNS,
                "name",
                "No setting yet: nothing is denied, flagged, slowed or masked by one.",
            )?;
        }
        SettingCommand::Show { name } => {
            let found = client.get(&["settings", &name]).await?;
            out.one(&found, "name", || page(out, &found))?;
        }
        SettingCommand::Set(set) => {
            let body = body(&set)?;
            let saved = client.put(&["settings", &set.name], &body, None).await?;
            let said = format!("{} is {}.", line(&set.name, 200), value(&saved));
            out.done(&saved, "name", &said)?;
        }
        SettingCommand::Rm { name } => {
            let removed = client.delete(&["settings", &name]).await?;
            let said = format!("{} is removed.", line(&name, 200));
            out.done(&removed, "name", &said)?;
        }
        SettingCommand::Explain { tool, person, mode } => {
            let (person, mode) = (person.unwrap_or_default(), mode.unwrap_or_default());
            let query = [
                ("tool", tool.as_str()),
                ("person", &person),
                ("mode", &mode),
            ];
            let query: Vec<_> = query.into_iter().filter(|(_, v)| !v.is_empty()).collect();
            let found = client.get_with(&["settings", "explain"], &query).await?;
            out.one(&found, "outcome", || explained(out, &tool, &found))?;
            return Ok(if text(&found, "outcome") == "deny" {
                DENIED
            } else {
                OK
            });
        }
    }
    Ok(OK)
}

fn body(set: &Set) -> anyhow::Result<Value> {
    let value = match set.value {
        What::Allow => json!("allow"),
        What::Flag => json!("flag"),
        What::Deny => json!("deny"),
        What::Rate => {
            let (Some(calls), Some(per)) = (set.calls, &set.per) else {
                return Err(Usage("a rate needs --calls and --per".to_owned()).into());
            };
            json!({ "rate": { "calls": calls, "per": per } })
        }
        What::Transform => {
            json!({ "transform": { "args": paths(&set.args)?, "result": paths(&set.results)?, "classes": paths(&set.classes)? } })
        }
    };
    Ok(json!({ "value": value, "locked": set.locked, "reason": set.reason }))
}

fn paths(given: &[String]) -> anyhow::Result<Value> {
    let mut paths = Map::new();
    for one in given {
        let Some((path, how)) = one.split_once('=') else {
            let text = format!("`{}` is not PATH=mask or PATH=redact", line(one, 100));
            return Err(Usage(text).into());
        };
        paths.insert(path.to_owned(), json!(how));
    }
    Ok(Value::Object(paths))
}

/// What a setting does, in one line.
fn value(setting: &Value) -> String {
    match at(setting, "value") {
        Some(Value::String(word)) => line(word, 40),
        Some(value) if value.get("rate").is_some() => format!(
            "at most {} calls in any {}",
            text(value, "rate.calls"),
            text(value, "rate.per")
        ),
        Some(value) => {
            let named = |at_: &str| {
                let paths = at(value, at_).and_then(Value::as_object).cloned();
                let paths = paths.unwrap_or_default();
                paths
                    .iter()
                    .map(|(path, how)| format!("{} {path}", crate::value::plain(how)))
                    .collect::<Vec<_>>()
            };
            let mut all = named("transform.args");
            all.extend(
                named("transform.result")
                    .into_iter()
                    .map(|p| format!("{p} of the result")),
            );
            let classes = named("transform.classes").into_iter();
            all.extend(classes.map(|c| format!("{c} wherever it is found")));
            line(&all.join(", "), 200)
        }
        None => String::new(),
    }
}

fn page(out: Out, setting: &Value) -> String {
    Page::new(out, &text(setting, "name"))
        .at("State", setting, "state")
        .field("Does", value(setting))
        .at("Locked", setting, "locked")
        .at("Reason", setting, "reason")
        .at("Changed by", setting, "by")
        .when("Changed", setting, "at")
        .at("In decisions", setting, "id")
        .text()
}

fn explained(out: Out, tool: &str, found: &Value) -> String {
    let columns = [
        column("LEVEL", Show::Text("level")),
        column("SETTING", Show::Text("name")),
        column("VALUE", Show::With(value)),
        column("LOCKED", Show::Text("locked")),
        column("HOLDS", Show::Text("holds")),
        column(
            "BECAUSE",
            Show::With(|s| text(s, "standing").replace('_', " ")),
        ),
    ];
    let heading = match text(found, "outcome").as_str() {
        "deny" => format!("DENY  {tool}"),
        _ => format!("no setting denies  {tool}"),
    };
    Page::new(out, &heading)
        .at("Decided by", found, "decided_by")
        .at("Why", found, "why")
        .table("From wide to narrow", items(found, "settings"), &columns)
        .text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;

    #[test]
    fn an_explanation_says_which_level_decided() {
        let found = json!({
            "outcome": "deny", "decided_by": "mode:background", "why": "mode:background denies, and is locked: nothing narrower lifts it",
            "settings": [
                {"name": "organization", "level": "organization", "value": {"rate": {"calls": 10, "per": "minute"}}, "locked": false, "holds": true, "standing": "rate"},
                {"name": "mode:background", "level": "mode", "value": "deny", "locked": true, "holds": true, "standing": "locked"},
                {"name": "tool:orders/refund", "level": "tool", "value": {"transform": {"args": {"note": "redact"}, "result": {"iban": "mask"}}}, "locked": false, "holds": false, "standing": "overridden"},
                {"name": "person:maria@acme.example", "level": "person", "value": "allow", "locked": false, "holds": true, "standing": "most_specific"},
            ]
        });
        insta::assert_snapshot!(explained(out(), "orders/refund", &found));
    }

    #[test]
    fn a_rate_without_its_numbers_is_a_usage_error() {
        let set = Set {
            classes: Vec::new(),
            name: "organization".to_owned(),
            value: What::Rate,
            locked: false,
            reason: "r".to_owned(),
            calls: Some(3),
            per: None,
            args: Vec::new(),
            results: vec!["iban".to_owned()],
        };
        assert!(body(&set).is_err());
        let wrong = Set {
            value: What::Transform,
            ..set
        };
        assert!(body(&wrong).is_err());
    }
}
