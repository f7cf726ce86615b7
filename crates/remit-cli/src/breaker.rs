//! The circuit breaker for agents that loop.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::output::Out;
use crate::table::Page;
use crate::value::text;

/// Commands on the circuit breaker.
#[derive(Debug, Subcommand)]
pub enum BreakerCommand {
    /// Show when it trips
    #[command(alias = "get")]
    Show,
    /// Change when it trips; begin with dry_run and look at the findings
    Set {
        /// off, dry_run or enforce
        #[arg(long)]
        mode: Option<String>,
        /// Over how many seconds it looks
        #[arg(long, value_name = "SECONDS")]
        window: Option<i64>,
        /// How often the same call may be refused or fail
        #[arg(long, value_name = "TIMES")]
        repeats: Option<u32>,
        /// Which share of an agent's calls may be refused or fail
        #[arg(long, value_name = "PERCENT")]
        failure_percent: Option<u8>,
        /// From how many calls on that share counts
        #[arg(long, value_name = "CALLS")]
        failure_calls: Option<u32>,
        /// How many calls an agent may make in that time, however they end
        #[arg(long, value_name = "CALLS")]
        rate_calls: Option<u32>,
        /// Whether an agent that sends a canary is quarantined at once
        #[arg(long, value_name = "true|false")]
        canary: Option<bool>,
    },
}

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: BreakerCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let there = client.get(&["breaker"]).await?;
    let BreakerCommand::Set {
        mode,
        window,
        repeats,
        failure_percent,
        failure_calls,
        rate_calls,
        canary,
    } = command
    else {
        out.one(&there, "mode", || page(out, &there))?;
        return Ok(OK);
    };
    let given = [
        ("mode", mode.map(|v| json!(v))),
        ("window_secs", window.map(|v| json!(v))),
        ("repeats", repeats.map(|v| json!(v))),
        ("failure_percent", failure_percent.map(|v| json!(v))),
        ("failure_calls", failure_calls.map(|v| json!(v))),
        ("rate_calls", rate_calls.map(|v| json!(v))),
        ("canary", canary.map(|v| json!(v))),
    ];
    if given.iter().all(|(_, value)| value.is_none()) {
        return Err(Usage("say what is to change".to_owned()).into());
    }
    let revision = there.get("revision").and_then(Value::as_u64);
    let body: Map<String, Value> = given
        .into_iter()
        .map(|(name, value)| {
            let now = there.get(name).cloned().unwrap_or_default();
            (name.to_owned(), value.unwrap_or(now))
        })
        .collect();
    let seen = revision.filter(|r| *r > 0);
    let saved = client.put(&["breaker"], &Value::Object(body), seen).await?;
    out.one(&saved, "mode", || page(out, &saved))?;
    Ok(OK)
}

fn page(out: Out, breaker: &Value) -> String {
    let does = match text(breaker, "mode").as_str() {
        "off" => "off: nothing is looked at",
        "enforce" => "quarantines an agent that loops, and opens a finding",
        _ => "dry run: opens a finding for an agent that loops, which goes on",
    };
    let looks = format!(
        "the same call refused or failed {} times, or {} % of at least {} calls, within {} s",
        text(breaker, "repeats"),
        text(breaker, "failure_percent"),
        text(breaker, "failure_calls"),
        text(breaker, "window_secs")
    );
    Page::new(out, "Circuit breaker")
        .field("Does", does)
        .field("Trips on", looks)
        .field("Or on", also(breaker))
        .at("Changed by", breaker, "by")
        .when("Changed", breaker, "at")
        .text()
}

/// What else trips it.
fn also(breaker: &Value) -> String {
    let mut also = Vec::new();
    if let Some(most) = breaker.get("rate_calls").and_then(Value::as_u64) {
        also.push(format!("more than {most} calls in that time"));
    }
    if breaker.get("canary") == Some(&Value::Bool(true)) {
        also.push("a canary that an agent sends, which quarantines it in any mode".to_owned());
    }
    also.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;

    #[test]
    fn a_breaker_says_what_it_does() {
        let breaker = json!({"mode": "dry_run", "window_secs": 60, "repeats": 20, "failure_percent": 90, "failure_calls": 100, "by": null, "at": null, "revision": 0});
        insta::assert_snapshot!(page(out(), &breaker));
    }
}
