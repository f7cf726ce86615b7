//! People, teams and systems.

use clap::Subcommand;
use remit_domain::Timestamp;
use serde_json::{Value, json};

use crate::ask;
use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, count, items, line, text};
use crate::when::parse_span;

/// Commands on people.
#[derive(Debug, Subcommand)]
pub enum PersonCommand {
    /// List people
    #[command(alias = "list")]
    Ls {
        /// Only people in this state
        #[arg(long, value_parser = ["active", "suspended", "left"])]
        state: Option<String>,
    },
    /// Show one person
    #[command(alias = "get")]
    Show {
        /// E-mail address
        email: String,
    },
    /// Make a link with which a person makes their own token, once
    #[command(
        after_help = "Give the link to that person only, over a channel that is theirs. They use it with:\n  remit login LINK"
    )]
    Enrol {
        /// E-mail address
        email: String,
    },
    /// A person may do nothing until resumed: their delegations, runs, tokens and sessions end, and runs of agents that they own or sponsor
    Suspend {
        /// E-mail address
        email: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: String,
    },
    /// A suspended person may act again; what ended stays ended
    Resume {
        /// E-mail address
        email: String,
        /// Why; goes into the ledger
        #[arg(long)]
        reason: String,
    },
    /// A person leaves: their delegations, runs and tokens end, their agents go to a deputy or are suspended
    Leave {
        /// E-mail address
        email: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

const COLUMNS: [Column; 6] = [
    column("EMAIL", Show::Text("email")),
    column("NAME", Show::Text("display_name")),
    column("STATE", Show::State("state")),
    column("ROLES", Show::Text("roles")),
    column("TEAMS", Show::Text("teams")),
    column("MANAGER", Show::Text("manager")),
];

const EMPTY: &str = "Nobody yet. Write a document of kind Person and run `remit apply -f FILE`; `remit explain person` lists its fields.";

/// Runs one.
pub(crate) async fn run(at: &Connection, command: PersonCommand) -> Done {
    let (client, out) = (at.client()?, at.out());
    match command {
        PersonCommand::Ls { state } => {
            let people = client
                .list(
                    &["people"],
                    &[("state", state.as_deref().unwrap_or_default())],
                    ITEMS_MAX,
                )
                .await?;
            out.list(&people, &COLUMNS, "email", EMPTY)?;
        }
        PersonCommand::Show { email } => {
            let person = client.get(&["people", &email]).await?;
            out.one(&person, "email", || {
                Page::new(
                    out,
                    &format!(
                        "{}  {}",
                        text(&person, "email"),
                        text(&person, "state").to_uppercase()
                    ),
                )
                .at("Name", &person, "display_name")
                .at("Roles", &person, "roles")
                .at("Teams", &person, "teams")
                .at("Entitlements", &person, "entitlements")
                .at("Manager", &person, "manager")
                .at("Id", &person, "id")
                .text()
            })?;
        }
        PersonCommand::Enrol { email } => {
            let made = client
                .post(&["people", &email, "enrolments"], &json!({}))
                .await?;
            out.one(&made, "link", || {
                Page::new(
                    out,
                    &format!("A link for {email}, good once. It is shown only now."),
                )
                .at("Link", &made, "link")
                .when("Ends", &made, "expires")
                .text()
            })?;
        }
        PersonCommand::Leave { email, yes } => {
            ask::confirm(
                &format!("{email} leaves: everything that rests on them ends now. Go on?"),
                yes,
            )?;
            let left = client
                .post(&["people", &email, "leave"], &json!({}))
                .await?;
            out.one(&left, "person", || departure(&email, "has left", &left))?;
        }
        PersonCommand::Suspend { email, reason } => {
            let path = ["people", &email, "suspend"];
            let done = client.post(&path, &json!({ "reason": reason })).await?;
            out.one(&done, "person", || departure(&email, "is suspended", &done))?;
        }
        PersonCommand::Resume { email, reason } => {
            let path = ["people", &email, "resume"];
            let resumed = client.post(&path, &json!({ "reason": reason })).await?;
            out.done(&resumed, "email", &format!("{email} may act again."))?;
        }
    }
    Ok(OK)
}

fn departure(email: &str, became: &str, left: &Value) -> String {
    let n = |path: &str, noun: &str| count(items(left, path).len() as u64, noun);
    let number = |path: &str, noun: &str| {
        count(
            left.get(path).and_then(Value::as_u64).unwrap_or_default(),
            noun,
        )
    };
    let mut lines = vec![format!(
        "{email} {became}. Ended: {}, {}, {}, {} of agents, {} of their own.",
        n("delegations", "delegation"),
        n("runs", "run"),
        number("approvals", "approval"),
        number("tokens", "token"),
        number("personal_tokens", "token"),
    )];
    for (path, what) in [
        ("transferred", "went to their deputy"),
        ("suspended", "suspended"),
        ("orphaned", "without an owner or sponsor now"),
    ] {
        let agents = text(left, path);
        if !agents.is_empty() {
            lines.push(format!("Agents {what}: {agents}"));
        }
    }
    lines.join("\n")
}

/// Commands on teams.
#[derive(Debug, Subcommand)]
pub enum TeamCommand {
    /// List teams, and who is on call
    #[command(alias = "list")]
    Ls,
    /// Show one: its people, who takes turns, who stands in
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Say who takes turns being on call; without people, nobody does, and `oncall:TEAM` means the whole team
    OnCall {
        /// Name
        name: String,
        /// Address; may be repeated, in the order of turns
        #[arg(long = "person", value_name = "EMAIL")]
        people: Vec<String>,
        /// How long a turn is
        #[arg(long, default_value = "7d", value_parser = parse_span, value_name = "SPAN")]
        turn: i64,
        /// When the first one's turn begins; now where it is left out
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
    },
    /// Somebody of the team stands in for whoever is on call, until a time
    Cover {
        /// Name
        name: String,
        /// Address of who stands in
        #[arg(long, value_name = "EMAIL")]
        person: String,
        /// For how long: 4h, 2d; 0s ends it
        #[arg(long = "for", value_parser = parse_span, value_name = "SPAN")]
        span: i64,
    },
}

/// Runs one.
pub(crate) async fn teams(at: &Connection, command: TeamCommand) -> Done {
    let (client, out) = (at.client()?, at.out());
    match command {
        TeamCommand::Ls => {
            let teams = client.list(&["teams"], &[], ITEMS_MAX).await?;
            let columns = [
                column("NAME", Show::Text("name")),
                column("ON CALL", Show::Text("on_call.now")),
                column("PEOPLE", Show::Text("people")),
            ];
            out.list(
                &teams,
                &columns,
                "name",
                "No team yet. Write a document of kind Team and run `remit apply -f FILE`.",
            )?;
        }
        TeamCommand::Show { name } => {
            let team = client.get(&["teams", &name]).await?;
            out.one(&team, "name", || team_page(out, &team))?;
        }
        TeamCommand::OnCall {
            name,
            people,
            turn,
            since,
        } => {
            let there = client.get(&["teams", &name]).await?;
            let since = since.unwrap_or(out.now);
            let spec = if people.is_empty() {
                json!({})
            } else {
                json!({ "on_call": { "people": people, "turn_secs": turn, "since": since } })
            };
            let revision = there.get("revision").and_then(Value::as_u64);
            let saved = client.put(&["teams", &name], &spec, revision).await?;
            out.done(&saved, "name", &on_call(&name, &saved))?;
        }
        TeamCommand::Cover { name, person, span } => {
            let until = out.now.plus_secs(span);
            let spec = json!({ "person": person, "until": until });
            let saved = client.post(&["teams", &name, "cover"], &spec).await?;
            out.done(&saved, "name", &on_call(&name, &saved))?;
        }
    }
    Ok(OK)
}

fn on_call(name: &str, team: &Value) -> String {
    let said = line(&text(team, "on_call.text"), 200);
    format!("{}: {said}.", line(name, 80))
}

fn team_page(out: Out, team: &Value) -> String {
    Page::new(out, &text(team, "name"))
        .at("On call", team, "on_call.text")
        .at("Turns", team, "on_call.turns.people")
        .field(
            "A turn is",
            at(team, "on_call.turns.turn_secs")
                .and_then(Value::as_i64)
                .map(crate::when::span)
                .unwrap_or_default(),
        )
        .at("Since", team, "on_call.turns.since")
        .at("Stands in", team, "on_call.cover")
        .when("Until", team, "on_call.cover_until")
        .lines("People", items(team, "people"))
        .text()
}

/// Commands on systems.
#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// List systems
    #[command(alias = "list")]
    Ls,
}

/// Runs one.
pub(crate) async fn systems(at: &Connection, command: SystemCommand) -> Done {
    let SystemCommand::Ls = command;
    let systems = at.client()?.list(&["systems"], &[], ITEMS_MAX).await?;
    let columns = [
        column("NAME", Show::Text("name")),
        column("OWNER", Show::Text("owner")),
        column("ENVIRONMENT", Show::Text("environment")),
        column("CRITICALITY", Show::Text("criticality")),
    ];
    at.out().list(
        &systems,
        &columns,
        "name",
        "No system yet. Write a document of kind System and run `remit apply -f FILE`.",
    )?;
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_departure_says_what_ended_and_what_needs_somebody() {
        let left = json!({
            "transferred": ["support-triage"], "suspended": [], "orphaned": ["hr-bot"], "delegations": ["dlg_1"],
            "runs": ["run_1", "run_2"], "tokens": 3, "approvals": 0, "personal_tokens": 1,
        });
        insta::assert_snapshot!(departure("maria@acme.example", "has left", &left));
    }
}
