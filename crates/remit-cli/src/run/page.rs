//! A run as a page, and an event as a line.

use serde_json::Value;

use super::events;
use crate::output::Out;
use crate::table::Page;
use crate::value::{at, count, items, line, plain, text};

/// A run, with its story where there is one.
pub(super) fn page(out: Out, run: &Value, story: &Value) -> String {
    let heading = format!(
        "{}  {}  {}  {}",
        text(run, "id"),
        text(run, "state").to_uppercase(),
        text(run, "workflow"),
        text(run, "mode")
    );
    let said: Vec<String> = events(story).iter().map(event_line).collect();
    let open = items(story, "without_outcome").len() as u64;
    let open = if open == 0 {
        String::new()
    } else {
        format!(
            "{} without outcome: the call may have had its effect",
            count(open, "decision")
        )
    };
    let over = run.get("ended").is_some_and(|e| !e.is_null());
    Page::new(out, &heading)
        .at("Purpose", run, "intent.purpose")
        .at("Ticket", run, "intent.ticket")
        .field(
            "Bounded by",
            at(run, "intent.authority")
                .filter(|a| a.as_object().is_some_and(|o| !o.is_empty()))
                .map(ToString::to_string)
                .unwrap_or_default(),
        )
        .at("For", run, "person")
        .at("Sponsor", run, "sponsor")
        .at("Trigger", run, "trigger")
        .at("Parent", run, "parent")
        .field("Says it acts by", provenance(run))
        .when("Started", run, "started")
        .when("Ends by", run, if over { "" } else { "deadline" })
        .when("Ended", run, "ended.at")
        .field("Outcome", outcome(run))
        .field("Open", open)
        .section("Chain", &chain(story))
        .lines("Touched", &labels(story))
        .section("Approved for the run", &approved(story))
        .section("What happened", &said.join("\n"))
        .text()
}

/// What people approved beyond one call, one a line.
fn approved(story: &Value) -> String {
    let one = |a: &Value| {
        let said = format!(
            "{}  {}  {} of {} used, until {}  {}",
            text(a, "approval"),
            text(a, "tool"),
            text(a, "used"),
            text(a, "count"),
            text(a, "until"),
            text(a, "text")
        );
        line(&said, 600)
    };
    let all = items(story, "approved");
    all.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// What the agent said of itself when it opened the run.
fn provenance(run: &Value) -> String {
    let said = ["model", "prompt", "configuration", "context"].map(|what| {
        let said = text(run, &format!("provenance.{what}"));
        let said = if said.is_empty() { "unknown" } else { &said };
        format!("{what} {said}")
    });
    let mark = match at(run, "provenance.unattested") {
        Some(Value::Bool(true)) => "  (unattested: its own word)",
        _ => "",
    };
    format!("{}{mark}", said.join(" · "))
}

/// The chain, one hop a line.
fn chain(story: &Value) -> String {
    let hop = |d: &Value| {
        format!(
            "{} -> {}  {}",
            text(d, "from"),
            text(d, "workflow"),
            text(d, "narrows")
        )
    };
    items(story, "chain")
        .iter()
        .map(hop)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What the run has touched, one label a line, with the call that raised it.
fn labels(story: &Value) -> Vec<Value> {
    let line = |l: &Value| Value::String(crate::declassification::label_line(l));
    items(story, "labels").iter().map(line).collect()
}

fn outcome(run: &Value) -> String {
    let told = |e: &Value| {
        format!(
            "{} ({} by {})",
            text(e, "outcome"),
            text(e, "cause"),
            text(e, "by")
        )
    };
    at(run, "ended").map(told).unwrap_or_default()
}

/// What is known of an event that has no words of its own.
fn facts(event: &Value) -> String {
    let mut said: Vec<String> = Some(text(event, "agent"))
        .filter(|a| !a.is_empty())
        .into_iter()
        .collect();
    let facts = at(event, "facts")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    said.extend(
        facts
            .filter(|(_, v)| !v.is_null())
            .map(|(name, value)| format!("{name}={}", plain(value))),
    );
    said.join(" ")
}

/// One event: `#12  08:00:01.123  call.decided  ALLOW orders/refund …`.
pub(crate) fn event_line(event: &Value) -> String {
    let time = text(event, "at");
    let clock: String = time
        .split_once('T')
        .map(|(_, t)| t.trim_end_matches('Z').chars().take(12).collect())
        .unwrap_or_default();
    let (told, kind) = (text(event, "text"), text(event, "kind"));
    let told = if told.is_empty() || told == kind {
        facts(event)
    } else {
        told
    };
    let shredded = if event.get("shredded") == Some(&Value::Bool(true)) {
        "  (content destroyed)"
    } else {
        ""
    };
    format!(
        "#{:<6} {clock:12}  {:22} {}{shredded}",
        text(event, "index"),
        text(event, "kind"),
        line(&told, 300)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;
    use serde_json::json;

    #[test]
    fn a_run_is_told_in_order() {
        let run = json!({
            "id": "run_1", "state": "ended", "agent": "support", "workflow": "support/refund", "mode": "interactive", "person": "maria@acme.example", "sponsor": "omar@acme.example",
            "intent": {"purpose": "Lamp arrived broken", "ticket": "INC-1", "authority": {}}, "started": "2026-11-22T07:58:00Z", "deadline": "2026-11-22T08:58:00Z",
            "ended": {"at": "2026-11-22T07:59:00Z", "by": "support", "cause": "agent", "outcome": "done"},
            "provenance": {"model": "large-1", "prompt": null, "configuration": null, "context": ["kb:12", "kb:14"], "unattested": true},
        });
        let story = json!({
            "chain": [{"from": "maria@acme.example", "agent": "support", "workflow": "support/refund", "narrows": []}],
            "events": [
                {"index": 41, "at": "2026-11-22T07:58:00.000123Z", "kind": "run.started", "text": "interactive, for maria"},
                {"index": 42, "at": "2026-11-22T07:58:02.5Z", "kind": "call.decided", "text": "ask orders/refund amount=480\u{202e}"},
            ],
            "without_outcome": ["dec_1"],
        });
        insta::assert_snapshot!(page(out(), &run, &story));
    }
}
