//! Policies: what they say, whether they are valid, and what they would decide.

mod bundle;
mod files;
mod page;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::{Client, ITEMS_MAX};
use crate::connection::Connection;
use crate::exit::{DENIED, Done, ERROR, OK, WAITING};
use crate::input;
use crate::output::Out;
use crate::print::print;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, items, line, lines, text};

/// Commands on policies.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  remit policy validate -f refund.cedar\n  remit policy explain --agent support --workflow refund --tool orders/refund --args '{\"amount\": 480}'"
)]
pub enum PolicyCommand {
    /// List policy sets
    #[command(alias = "list")]
    Ls,
    /// Show a policy set
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    #[command(flatten)]
    Bundle(bundle::BundleCommand),
    /// Indent Cedar files as everybody would; with --check only exits with 2 when one is not
    Fmt {
        /// Cedar files; a folder's *.cedar
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Change nothing
        #[arg(long)]
        check: bool,
    },
    /// Check the policies of a folder against the live tools and the other live policies; exits with 1 when they are not valid
    Check {
        /// Folder, or one Cedar file
        path: PathBuf,
    },
    /// Check Cedar text without changing anything; exits with 1 when it is not valid
    Validate {
        /// Cedar file; `-` for standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Name of the set that it is to be
        #[arg(long, default_value = "draft")]
        name: String,
    },
    /// What would be decided about a call, and why; nothing is done. Exits with 0 allow, 3 deny, 4 ask
    Explain(Box<Explain>),
    /// The Cedar schema that policies are written against
    Schema {
        /// The one of policies about hops
        #[arg(long)]
        hops: bool,
    },
    /// Every fact that policies may look at: its type, where it comes from, since when it is fixed
    Facts,
}

/// A call that nobody makes.
#[derive(Debug, Args)]
pub struct Explain {
    /// Agent
    #[arg(long)]
    agent: String,
    /// Workflow
    #[arg(long)]
    workflow: String,
    /// UPSTREAM/TOOL
    #[arg(long)]
    tool: String,
    /// Arguments as JSON, or @FILE
    #[arg(long, default_value = "{}", value_name = "JSON")]
    args: String,
    /// Person whom the agent would act for
    #[arg(long, value_name = "EMAIL")]
    person: Option<String>,
    /// Declared intent as JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    intent: Option<String>,
    /// Label that the run would carry; may be repeated
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// How well the caller would have proved what it is; as well as the workflow can where absent
    #[arg(long, value_parser = ["none", "key", "attested"])]
    trust: Option<String>,
}

const COLUMNS: [Column; 5] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column(
        "LINES",
        Show::With(|s| text(s, "text").lines().count().to_string()),
    ),
    column("BY", Show::Text("by")),
    column("CHANGED", Show::When("at")),
];

const FACTS: [Column; 6] = [
    column("OF", Show::Text("of")),
    column("FACT", Show::Text("name")),
    column("TYPE", Show::Text("type")),
    column("FROM", Show::Text("from")),
    column("FIXED SINCE", Show::Text("fixed_since")),
    column("SAYS", Show::Text("about")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: PolicyCommand) -> Done {
    // Files are indented, and tested offline, without a server.
    let command = match command {
        PolicyCommand::Fmt { files, check } => return format(&files, check),
        PolicyCommand::Bundle(bundle::BundleCommand::Test {
            path: Some(path),
            offline: true,
            ..
        }) => return bundle::test_here(connection.out(), &path),
        other => other,
    };
    let (client, out) = (connection.client()?, connection.out());
    match command {
        PolicyCommand::Ls => {
            let sets = client.list(&["policies"], &[], ITEMS_MAX).await?;
            out.list(&sets, &COLUMNS, "name", "No policy set yet, so everything is denied. Write a document of kind PolicySet and run `remit apply -f FILE`.")?;
        }
        PolicyCommand::Show { name } => {
            let set = client.get(&["policies", &name]).await?;
            out.one(&set, "name", || {
                let head = format!(
                    "// {}, {}, by {} at {}",
                    text(&set, "name"),
                    text(&set, "state"),
                    text(&set, "by"),
                    text(&set, "at")
                );
                format!("{}\n{}", line(&head, 400), lines(&text(&set, "text")))
            })?;
        }
        PolicyCommand::Bundle(command) => return bundle::run(&client, out, command).await,
        PolicyCommand::Fmt { .. } => {}
        PolicyCommand::Check { path } => return check(&client, out, &path).await,
        PolicyCommand::Validate { file, name } => {
            return validate(
                &client,
                out,
                &input::file_or_stdin(&file)?,
                &name,
                &file.display().to_string(),
            )
            .await;
        }
        PolicyCommand::Explain(explain) => return explained(&client, out, *explain).await,
        PolicyCommand::Facts => {
            let facts = client.list(&["policies", "facts"], &[], ITEMS_MAX).await?;
            out.list(&facts, &FACTS, "name", "There are no facts.")?;
        }
        PolicyCommand::Schema { hops } => {
            let path = ["policies", "schema", "hops"];
            let path = if hops { &path[..] } else { &path[..2] };
            print(&lines(&client.text(path).await?));
        }
    }
    Ok(OK)
}

async fn validate(client: &Client, out: Out, cedar: &str, name: &str, file: &str) -> Done {
    let found = client
        .post(
            &["policies", "validate"],
            &json!({ "name": name, "text": cedar }),
        )
        .await?;
    let valid = found.get("valid") == Some(&Value::Bool(true));
    out.one(&found, "name", || {
        let told = |what: &str, sort: &str| problems(file, cedar, sort, items(&found, what));
        let mut all = told("problems", "error");
        all.extend(told("warnings", "warning"));
        all.push(if valid {
            format!("{file} is valid.")
        } else {
            format!("{file} is not valid.")
        });
        all.join("\n")
    })?;
    Ok(if valid { OK } else { ERROR })
}

/// Problems, each once: one that is the same for many actions is told for the first.
fn problems(file: &str, cedar: &str, sort: &str, all: &[Value]) -> Vec<String> {
    let mut told: Vec<(String, String, u64)> = Vec::new();
    for found in all {
        let text = problem(file, cedar, sort, found);
        let same = without_action(&text);
        match told.iter_mut().find(|(seen, ..)| *seen == same) {
            Some((.., more)) => *more += 1,
            None => told.push((same, text, 0)),
        }
    }
    let line = |(_, text, more): (String, String, u64)| match more {
        0 => text,
        n => format!(
            "{text} (the same for {})",
            crate::value::count(n, "other action")
        ),
    };
    told.into_iter().map(line).collect()
}

fn without_action(text: &str) -> String {
    const START: &str = "Action::\"";
    match text.split_once(START) {
        Some((before, after)) => {
            let rest = after.split_once('"').map_or("", |(_, rest)| rest);
            format!("{before}{START}{rest}")
        }
        None => text.to_owned(),
    }
}

fn problem(file: &str, cedar: &str, sort: &str, problem: &Value) -> String {
    let number = |name: &str| text(problem, name).parse().unwrap_or(0);
    let help = text(problem, "help");
    let place = files::Place {
        file,
        source: Some(cedar),
    };
    let message = line(&text(problem, "message"), 600);
    let help = (!help.is_empty()).then_some(help.as_str());
    place.tell(sort, number("line"), number("column"), &message, help)
}

/// Checks every set of a folder, each beside the other live ones.
async fn check(client: &Client, out: Out, path: &std::path::Path) -> Done {
    let files = files::Files::read(path)?;
    let mut worst = OK;
    for (name, cedar) in &files.sets {
        let code = validate(client, out, cedar, name, &files.file(name)).await?;
        worst = worst.max(code);
    }
    Ok(worst)
}

/// Indents files in place.
fn format(paths: &[PathBuf], check: bool) -> Done {
    let mut differ = false;
    for path in paths {
        let files = files::Files::read(path)?;
        for (set, cedar) in &files.sets {
            let file = files.file(set);
            let pretty = remit_policy::format(set, cedar)
                .map_err(|e| anyhow::anyhow!("{file} cannot be formatted: {e}"))?;
            if pretty == *cedar {
                continue;
            }
            differ = true;
            print(&lines(&file));
            if !check {
                std::fs::write(&file, pretty)?;
            }
        }
    }
    Ok(if differ && check {
        crate::exit::CHANGES
    } else {
        OK
    })
}

async fn explained(client: &Client, out: Out, explain: Explain) -> Done {
    let mut body = json!({
        "agent": explain.agent, "workflow": explain.workflow, "tool": explain.tool,
        "args": input::json(&explain.args)?, "labels": explain.labels,
    });
    if let Value::Object(fields) = &mut body {
        fields.extend(explain.person.map(|p| ("person".to_owned(), p.into())));
        fields.extend(explain.trust.map(|t| ("trust".to_owned(), t.into())));
        if let Some(intent) = &explain.intent {
            fields.insert("intent".to_owned(), input::json(intent)?);
        }
    }
    let answer = client.post(&["policies", "explain"], &body).await?;
    let heading = format!("{} -> {}", explain.agent, explain.tool);
    out.one(&answer, "outcome", || page(out, &heading, &answer))?;
    Ok(match text(&answer, "outcome").as_str() {
        "allow" => OK,
        "ask" => WAITING,
        _ => DENIED,
    })
}

fn page(out: Out, call: &str, answer: &Value) -> String {
    let policies: Vec<String> = items(answer, "explanation.policies")
        .iter()
        .map(policy_line)
        .collect();
    Page::new(
        out,
        &format!("{}  {call}", text(answer, "outcome").to_uppercase()),
    )
    .field("Nothing was done", "this is what would be decided now")
    .at("Stands otherwise", answer, "standing")
    .at("Asks", answer, "approvers")
    .lines("Because", items(answer, "reasons"))
    .lines("Arguments", items(answer, "argument_problems"))
    .section("Policies that decided", &policies.join("\n"))
    .lines("Would change it", items(answer, "would_change"))
    .text()
}

/// A policy in one line: `forbid  refunds/cap  (line 12 of the text of policy set refunds)  text`.
pub(crate) fn policy_line(policy: &Value) -> String {
    policy_line_at(policy, None)
}

/// The same, at a place in a file where that is known.
pub(crate) fn policy_line_at(policy: &Value, place: Option<String>) -> String {
    let flag = |name: &str| at(policy, name) == Some(&Value::Bool(true));
    let sort = if flag("asks") {
        "ask"
    } else if flag("forbids") {
        "forbid"
    } else {
        "permit"
    };
    let id = text(policy, "id");
    let place = match (place, id.split_once('/')) {
        (Some(place), _) => place,
        (None, Some(("guardrail", _))) => "built in".to_owned(),
        (None, set) => format!(
            "line {} of the text of policy set {}",
            text(policy, "line"),
            line(set.map_or(id.as_str(), |(set, _)| set), 80)
        ),
    };
    format!(
        "{sort:7} {}  ({place})  {}",
        line(&id, 120),
        line(&text(policy, "text"), 200)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;

    #[test]
    fn an_explanation_says_why_and_what_would_change_it() {
        let answer = json!({
            "outcome": "ask", "reasons": ["a refund above 50 needs the support lead"], "argument_problems": [], "approvers": ["team:support-leads"],
            "explanation": {"policies": [{"id": "refunds/cap", "line": 12, "forbids": true, "asks": true, "text": "refunds above 50 are asked"}]},
            "would_change": ["amount at most 50"], "standing": null,
        });
        insta::assert_snapshot!(page(out(), "support -> orders/refund", &answer));
    }

    #[test]
    fn what_is_the_same_for_many_actions_is_told_once() {
        let found = |action: &str| json!({"line": 1, "column": 2, "message": format!("attribute `nope` in context for Action::\"{action}\" not found")});
        let other = json!({"line": 2, "column": 2, "message": "unknown type"});
        let told = problems(
            "-",
            "",
            "error",
            &[found("a/b"), found("c/d"), other, found("e/f")],
        );
        assert_eq!(told.len(), 2);
        assert_eq!(
            told[0],
            "-:1:2: error: attribute `nope` in context for Action::\"a/b\" not found (the same for 2 other actions)"
        );
    }

    #[test]
    fn a_problem_is_told_as_compilers_tell_it() {
        let told = problem(
            "refund.cedar",
            "",
            "error",
            &json!({"set": "draft", "line": 3, "column": 9, "message": "unknown attribute `amont`"}),
        );
        assert_eq!(told, "refund.cedar:3:9: error: unknown attribute `amont`");
    }
}
