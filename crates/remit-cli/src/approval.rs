//! Approvals: what waits for a person, shown as it will run, and the verdict.

mod page;
mod talk;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::ask;
use crate::client::{Client, ITEMS_MAX};
use crate::connection::Connection;
use crate::exit::{DENIED, Done, OK, WAITING};
use crate::input;
use crate::output::{Format, Out};
use crate::print::{note, print};
use crate::table::{Column, Show, column};
use crate::value::{at, items, line, text, visible};
use crate::when::{Between, parse_span, span};

use page::page;

/// How long one long-poll lasts, in seconds.
const POLL_SECS: &str = "55";

/// Commands on approvals.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit approval ls --mine\n  remit approval approve apr_01JD… --reason \"checked with the customer\"\n  remit approval watch"
)]
pub enum ApprovalCommand {
    /// List approvals, those that wait first asked
    #[command(alias = "list")]
    Ls {
        /// In which state
        #[arg(long, default_value = "pending", value_parser = ["pending", "approved", "denied", "expired", "cancelled", "stale", "used", "ambiguous", "withdrawn", "all"])]
        state: String,
        /// Only what you may decide
        #[arg(long)]
        mine: bool,
        #[command(flatten)]
        between: Between,
    },
    /// Show one: the exact call, why it is asked, who may decide
    #[command(alias = "get")]
    Show {
        /// Id
        id: String,
        /// Wait until it is decided, at most a minute; exits with 4 if it still waits, 3 if it is denied
        #[arg(long)]
        wait: bool,
    },
    /// Let this one call go on, once; with --for-run, others like it in its run, too
    Approve {
        /// Id
        id: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: Option<String>,
        /// Do not show it and ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        for_run: ForRun,
    },
    /// Refuse this call
    Deny {
        /// Id
        id: String,
        /// Why; the agent is told, and it goes into the ledger
        #[arg(long)]
        reason: Option<String>,
    },
    /// Refuse this call as it was asked, and propose other arguments; a call with them is asked for anew
    Edit {
        /// Id
        id: String,
        /// The arguments that would do, as JSON, or @FILE
        #[arg(long, value_name = "JSON")]
        args: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: Option<String>,
    },
    /// Ask whoever answers for the call something about it; it waits on
    Ask {
        /// Id
        id: String,
        /// What you want to know
        text: String,
    },
    /// Answer what was asked about a call that you answer for
    Answer {
        /// Id
        id: String,
        /// The answer
        text: String,
    },
    /// Say that you look into it, for ten minutes; the others see it, and may decide it all the same
    Claim {
        /// Id
        id: String,
    },
    /// Say that you look into it no more
    Release {
        /// Id
        id: String,
    },
    /// Take back a yes that was not used up; what it would have let pass asks anew
    Withdraw {
        /// Id
        id: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: Option<String>,
    },
    /// Hand it to somebody who may approve it, too
    Give {
        /// Id
        id: String,
        /// To whom
        #[arg(long, value_name = "EMAIL")]
        to: String,
    },
    /// What became of approvals lately, and how long people took
    Funnel {
        /// How far back: 7d, 24h
        #[arg(long, default_value = "7d")]
        since: String,
    },
    /// Show what is asked as it is asked; ends with ctrl-C
    Watch {
        /// End after the first
        #[arg(long)]
        once: bool,
    },
}

/// A yes that holds for others like it in the run.
#[derive(Debug, clap::Args)]
pub struct ForRun {
    /// Also for later calls of the same tool in the same run, where every policy that asks lets it
    #[arg(long, requires = "count")]
    for_run: bool,
    /// How many calls, this one included
    #[arg(long, requires = "for_run", value_name = "N")]
    count: Option<u32>,
    /// For how long: 30m, 2h; at most 8h, and no longer than the run
    #[arg(long = "until", requires = "for_run", value_name = "SPAN", value_parser = parse_span, default_value = "30m")]
    until: i64,
    /// What arguments may be, as JSON or @FILE: {"amount": [{"decimal": {"max": 50}}]}. Those that are not named stay exactly as shown
    #[arg(long, requires = "for_run", value_name = "JSON")]
    bounds: Option<String>,
}

impl ForRun {
    /// The terms; none for one call.
    fn terms(&self) -> anyhow::Result<Option<Value>> {
        let Some(count) = self.count else {
            return Ok(None);
        };
        let bounds = match &self.bounds {
            Some(given) => input::json(given)?,
            None => json!({}),
        };
        Ok(Some(
            json!({ "count": count, "secs": self.until, "bounds": bounds }),
        ))
    }
}

const COLUMNS: [Column; 8] = [
    column("ID", Show::Text("id")),
    column("STATE", Show::State("state")),
    column("EFFECT", Show::Text("effect")),
    column("AGENT", Show::Text("agent")),
    column("TOOL", Show::Text("tool")),
    column("ASK", Show::With(|a| args(a, 50))),
    column("FOR", Show::Text("person")),
    column("LEFT", Show::Left("expires")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: ApprovalCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        ApprovalCommand::Ls {
            state,
            mine,
            between,
        } => {
            let state = if state == "all" { "" } else { &state };
            let mine = if mine { "true" } else { "" };
            let [since, until] = between.query(out.now);
            let query = [
                ("state", state),
                ("mine", mine),
                ("since", &since),
                ("until", &until),
            ];
            let all = client.list(&["approvals"], &query, ITEMS_MAX).await?;
            out.list(&all, &COLUMNS, "id", "Nothing waits for you. What would pause for a human: remit access show AGENT --asks")?;
        }
        ApprovalCommand::Show { id, wait } => return show(&client, out, &id, wait).await,
        ApprovalCommand::Approve {
            id,
            reason,
            yes,
            for_run,
        } => {
            let terms = for_run.terms()?;
            if !yes {
                let asked = client.get(&["approvals", &id]).await?;
                note(&page(out, &asked));
                ask::confirm(&question(terms.as_ref()), false)?;
            }
            let mut body = because(reason);
            if let (Value::Object(body), Some(terms)) = (&mut body, terms) {
                body.insert("for_run".to_owned(), terms);
            }
            let settled = client.post(&["approvals", &id, "approve"], &body).await?;
            out.done(&settled, "id", &verdict(&id, &settled))?;
        }
        ApprovalCommand::Deny { id, reason } => {
            let settled = client
                .post(&["approvals", &id, "deny"], &because(reason))
                .await?;
            out.done(&settled, "id", &verdict(&id, &settled))?;
        }
        ApprovalCommand::Watch { once } => watch(&client, out, once).await?,
        other => talk::run(&client, out, other).await?,
    }
    Ok(OK)
}

fn question(terms: Option<&Value>) -> String {
    let Some(terms) = terms else {
        return "\nLet this call go on, once, exactly as shown?".to_owned();
    };
    let secs = terms.get("secs").and_then(Value::as_i64).unwrap_or(0);
    let bounds = at(terms, "bounds").map(|b| visible(&b.to_string()));
    format!(
        "\nLet {} calls of this tool go on in this run, for {}, with the arguments as shown but for {}?",
        text(terms, "count"),
        span(secs),
        bounds
            .filter(|b| b != "{}")
            .unwrap_or_else(|| "none".to_owned())
    )
}

fn because(reason: Option<String>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

fn verdict(id: &str, settled: &Value) -> String {
    match text(settled, "state").as_str() {
        "approved" if at(settled, "for_run").is_some_and(Value::is_object) => format!(
            "{id} is approved for its run, until {}: {}. `remit approval withdraw {id}` takes it back.",
            text(settled, "expires"),
            line(&text(settled, "for_run.text"), 600)
        ),
        "approved" => format!(
            "{id} is approved: the agent may make this call once, until {}.",
            text(settled, "expires")
        ),
        "pending" => format!(
            "{id} has your verdict and waits for others: {}.",
            waits_for(settled)
        ),
        state => format!("{id} is {state}."),
    }
}

fn waits_for(approval: &Value) -> String {
    let open = items(approval, "asks")
        .iter()
        .filter(|a| a.get("satisfied") != Some(&Value::Bool(true)));
    open.map(|a| text(a, "approvers"))
        .collect::<Vec<_>>()
        .join("; ")
}

async fn show(client: &Client, out: Out, id: &str, wait: bool) -> Done {
    let found = if wait {
        client
            .get_with(&["approvals", id, "wait"], &[("timeout_s", POLL_SECS)])
            .await?
    } else {
        client.get(&["approvals", id]).await?
    };
    out.one(&found, "id", || page(out, &found))?;
    if !wait {
        return Ok(OK);
    }
    Ok(match text(&found, "state").as_str() {
        "approved" | "used" => OK,
        "pending" => WAITING,
        _ => DENIED,
    })
}

async fn watch(client: &Client, out: Out, once: bool) -> anyhow::Result<()> {
    let mut after = String::new();
    if out.format == Format::Table {
        note("Watching for approvals; ctrl-C ends it.");
    }
    loop {
        let query = [("after", after.as_str()), ("timeout_s", POLL_SECS)];
        let news = client.get_with(&["approvals", "watch"], &query).await?;
        for asked in items(&news, "items") {
            match out.format {
                Format::Table => print(&format!("{}\n", page(out, asked))),
                Format::Name => print(&line(&text(asked, "id"), 100)),
                _ => print(&asked.to_string()),
            }
        }
        if once && !items(&news, "items").is_empty() {
            return Ok(());
        }
        if let Some(next) = news.get("next").and_then(Value::as_str) {
            next.clone_into(&mut after);
        }
    }
}

/// Arguments in short: `order=A-118 amount=480`.
fn args(approval: &Value, chars_max: usize) -> String {
    let Some(Value::Object(args)) = at(approval, "args") else {
        return String::new();
    };
    let said: Vec<String> = args
        .iter()
        .map(|(name, value)| format!("{name}={}", short(value)))
        .collect();
    line(&visible(&said.join(" ")), chars_max)
}

fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::page::tests::asked;
    use super::*;
    use crate::output::test::out;

    #[test]
    fn the_list_is_short() {
        insta::assert_snapshot!(crate::table::table(&[asked()], &COLUMNS, out()));
    }

    #[test]
    fn verdicts_say_what_follows() {
        assert!(verdict("apr_1", &json!({"state": "approved", "expires": "t"})).contains("once"));
        assert!(verdict("apr_1", &asked()).contains("waits for others: team:support-leads"));
        assert_eq!(
            verdict("apr_1", &json!({"state": "denied"})),
            "apr_1 is denied."
        );
    }
}
