//! The circuit breaker: when an agent that loops or keeps failing is stopped.

use remit_control::BreakerView;
use remit_domain::Role;
use serde_json::json;

use super::{header, told};
use crate::agents::word;
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::Fault;
use crate::ui::{Cell, Copy, Facts, Field, Input, Section, Tone};

pub(super) async fn show(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask)?.ok()
}

fn shown(ask: &Ask) -> Result<Page, Fault> {
    let b = ask.control().breaker(&ask.caller()?)?;
    let t = &b.thresholds;
    let facts = Facts::new()
        .row("Mode", Cell::badge(&word(&t.mode)))
        .row(
            "Looks at the last",
            Cell::text(format!("{} s", t.window_secs)),
        )
        .row(
            "Trips when the same call is refused or fails",
            Cell::text(format!("{} times", t.repeats)),
        )
        .row(
            "or when of at least",
            Cell::text(format!(
                "{} calls {} percent are refused or fail",
                t.failure_calls, t.failure_percent
            )),
        )
        .maybe(
            "or when more calls are made than",
            t.rate_calls.map(|most| Cell::text(most.to_string())),
        )
        .row(
            "Quarantines whoever sends a canary",
            Cell::text(if t.canary { "yes, in any mode" } else { "no" }),
        )
        .maybe("Changed by", b.by.as_ref().map(Cell::text))
        .maybe("When", b.at.map(|at| ask.when(at).with_exact()));
    let copy = Copy::get("breaker show", &ask.place.base, "/breaker");
    let mut page = ask
        .page("Circuit breaker")
        .with(&header(ask, "/breaker", &copy))
        .with(
            &Section::new("breaker", "Circuit breaker")
                .note("An agent that keeps making the same refused call, or whose calls keep failing, is quarantined, with a finding and a certificate.")
                .with(&facts),
        );
    if ask.holds(Role::Admin) {
        page = page.with(&Section::new("change", "Change").with(&form(ask, &b)));
    }
    Ok(page)
}

fn form(ask: &Ask, b: &BreakerView) -> crate::ui::Form {
    let t = &b.thresholds;
    let number = |name: &str, label: &str, hint: &str, now: String| {
        let typed = ask.field(name);
        Field::new(name, label, Input::Line)
            .hint(hint)
            .value(if typed.is_empty() {
                now
            } else {
                typed.to_owned()
            })
            .required()
    };
    ask.form("breaker-form", "/rules/breaker")
        .field(Field::hidden("revision", b.revision))
        .field(
            Field::select(
                "mode",
                "When it trips",
                &["off", "dry_run", "enforce"],
                &word(&t.mode),
            )
            .hint("dry run opens a finding; enforce also quarantines the agent."),
        )
        .field(number(
            "window_secs",
            "Seconds it looks at",
            "10 to 3,600",
            t.window_secs.to_string(),
        ))
        .field(number(
            "repeats",
            "The same call refused or failed",
            "3 to 1,000 times",
            t.repeats.to_string(),
        ))
        .field(number(
            "failure_calls",
            "From how many calls the share counts",
            "10 to 1,000",
            t.failure_calls.to_string(),
        ))
        .field(number(
            "failure_percent",
            "Share of calls refused or failed",
            "1 to 100 percent",
            t.failure_percent.to_string(),
        ))
        .field(
            Field::new(
                "rate_calls",
                "Calls an agent may make in that time",
                Input::Line,
            )
            .hint("10 to 1,000; empty looks at none")
            .value(match ask.field("rate_calls") {
                "" => t.rate_calls.map(|n| n.to_string()).unwrap_or_default(),
                typed => typed.to_owned(),
            }),
        )
        .field(Field::select(
            "canary",
            "Quarantine whoever sends a canary",
            &["no", "yes"],
            if t.canary { "yes" } else { "no" },
        ))
        .button("Save", Tone::Main)
}

pub(super) async fn put(ask: Ask) -> Result<Answer, Fault> {
    let saved = async {
        let whole = |name: &str| ask.field_as::<i64>(name);
        let thresholds = json!({
            "mode": ask.field("mode"),
            "window_secs": whole("window_secs")?,
            "repeats": whole("repeats")?,
            "failure_percent": whole("failure_percent")?,
            "failure_calls": whole("failure_calls")?,
            "rate_calls": ask.given_as::<u32>("rate_calls")?,
            "canary": ask.field("canary") == "yes",
        });
        let thresholds = serde_json::from_value(thresholds)
            .map_err(|e| Fault::invalid(format!("the form cannot be read: {e}")))?;
        // Nobody has changed it before where there is no revision.
        let seen = ask.given_as::<u64>("revision")?.filter(|r| *r > 0);
        ask.control()
            .put_breaker(&ask.caller()?, thresholds, seen)
            .await
            .map_err(Fault::from)
    };
    match saved.await {
        Ok(_) => ask.done("/rules/breaker", "saved"),
        Err(fault) if fault.is_correctable() => told(shown(&ask)?, &fault).ok(),
        Err(fault) => Err(fault),
    }
}
