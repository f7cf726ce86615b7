//! Limits: how much may be done in a time, by whom together, and how much of it is used.

use remit_control::LimitReport;
use remit_control::spec::LimitSpec;
use remit_domain::Role;
use remit_domain::name::Name;
use serde_json::{Value, json};

use super::{by_yaml, document, header, switch_form, told};
use crate::agents::word;
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::Fault;
use crate::ui::{
    Cell, Code, Copy, Empty, Facts, Field, Filter, Header, Input, Row, Section, Table, Tone,
};

/// A document to begin with.
const EXAMPLE: &str = "apiVersion: remit.dev/v1
kind: Limit
metadata: { name: refunds-a-day }
spec:
  measure: { sum: { arg: amount } }
  max: 2000
  over: day
  per: sponsor
  tool: orders/refund
  reason: what one team may give back in a day
";

/// What a limit is about, in words.
fn about(s: &LimitSpec) -> Vec<String> {
    let named = |what: &str, name: Option<String>| name.map(|n| format!("{what} {n}"));
    let all = [
        named("agent", s.agent.as_ref().map(ToString::to_string)),
        named("workflow", s.workflow.as_ref().map(ToString::to_string)),
        named("tool", s.tool.as_ref().map(ToString::to_string)),
        named("for", s.person.as_ref().map(ToString::to_string)),
        named("mode", s.mode.map(|m| m.as_str().to_owned())),
    ];
    let mut all: Vec<String> = all.into_iter().flatten().collect();
    all.extend(s.effects.iter().map(|e| format!("effect {}", e.as_str())));
    all
}

pub(super) async fn list(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask)?.ok()
}

fn shown(ask: &Ask) -> Result<Page, Fault> {
    let listing = ask.control().limits(&ask.caller()?, &ask.list())?;
    let rows = listing.items.iter().map(|l| {
        let spec = l.spec.as_ref();
        Row::new(
            &l.name,
            vec![
                Cell::link(ask.to(&format!("/rules/limits/{}", l.name)), &l.name),
                Cell::badge(l.state),
                spec.map(|s| Cell::text(s.measure.as_str())).into(),
                spec.map(|s| Cell::text(word(&s.max))).into(),
                spec.map(|s| Cell::text(word(&s.over))).into(),
                spec.map(|s| Cell::text(word(&s.per))).into(),
                spec.map(|s| Cell::lines(about(s))).into(),
                spec.map(|s| Cell::text(&s.reason)).into(),
            ],
        )
    });
    let empty = Empty::new(
        "No limits",
        "Nothing is counted. Grants may hold limits of their own.",
    )
    .action(
        ask.to("/help/guides/limits-and-settings"),
        "Limits and settings",
    )
    .commands(&["remit limit set --help"]);
    let head = [
        "Limit", "State", "Counts", "Most", "Over", "Whose", "Only", "Why",
    ];
    let table = Table::new("limits", "Limits", &head, empty)
        .rows(rows)
        .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/rules/limits")).select(
        "state",
        "State",
        &["active", "disabled"],
        ask.q("state"),
    );
    let copy = Copy::get("limit ls", &ask.place.base, "/limits");
    let mut page = ask.page("Limits").with(&header(ask, "/limits", &copy)).with(
        &Section::new("limits-of", "Limits")
            .note("All that are about a call hold together, across every agent and sub-agent. A denied call counts for nothing.")
            .with(&filter)
            .with(&table),
    );
    if ask.holds(Role::Admin) {
        page = page
            .with(&Section::new("set", "A new limit").with(&form(ask)))
            .with(&by_yaml(ask, EXAMPLE, "/rules/limits"));
    }
    Ok(page)
}

fn form(ask: &Ask) -> crate::ui::Form {
    let line = |name: &str, label: &str, hint: &str| {
        Field::new(name, label, Input::Line)
            .hint(hint)
            .value(ask.field(name))
    };
    let or = |name: &str, or: &'static str| match ask.field(name) {
        "" => or.to_owned(),
        typed => typed.to_owned(),
    };
    let only = "Only calls of it; of all where nothing is given.";
    ask.form("limit", "/rules/limits")
        .field(line("name", "Name", "Lower-case letters, digits and hyphens.").required())
        .field(Field::select(
            "measure",
            "Counts",
            &["calls", "concurrent", "sum"],
            &or("measure", "calls"),
        ))
        .field(line(
            "arg",
            "Argument, for a sum",
            "Path of a number: amount.",
        ))
        .field(line("max", "Most", "").required())
        .field(
            Field::select(
                "over",
                "Over",
                &["minute", "hour", "day", "run"],
                &or("over", "day"),
            )
            .hint("Not for concurrent calls."),
        )
        .field(Field::select(
            "per",
            "Whose use counts together",
            &[
                "sponsor",
                "organization",
                "person",
                "agent",
                "workflow",
                "run",
                "tool",
            ],
            &or("per", "sponsor"),
        ))
        .field(line("tool", "Tool", only))
        .field(line("agent", "Agent", only))
        .field(line("reason", "Why", "").required())
        .button("Set it", Tone::Main)
}

fn spec(ask: &Ask) -> Result<LimitSpec, Fault> {
    let measure = match ask.field("measure") {
        "sum" => json!({ "sum": { "arg": ask.field("arg").trim() } }),
        other => json!(other),
    };
    let max: serde_json::Number = ask
        .field("max")
        .trim()
        .parse()
        .map_err(|_| Fault::invalid("the most is not a number"))?;
    let mut spec = json!({
        "measure": measure,
        "max": max,
        "per": ask.field("per"),
        "over": ask.field("over"),
        "reason": ask.field("reason").trim(),
    });
    if let Some(all) = spec.as_object_mut() {
        for name in ["tool", "agent"] {
            if let Some(value) = ask.given(name) {
                all.insert(name.to_owned(), Value::from(value));
            }
        }
    }
    serde_json::from_value(spec)
        .map_err(|e| Fault::invalid(format!("the form cannot be read: {e}")))
}

pub(super) async fn put(ask: Ask) -> Result<Answer, Fault> {
    let saved = async {
        let name: Name = ask.field_as("name")?;
        let (caller, spec) = (ask.caller()?, spec(&ask)?);
        ask.control()
            .put_limit(&caller, &name, spec, None)
            .await
            .map_err(Fault::from)
    };
    match saved.await {
        Ok(_) => ask.done("/rules/limits", "saved"),
        Err(fault) if fault.is_correctable() => told(shown(&ask)?, &fault).ok(),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn one(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    let report = ask.control().limit(&ask.caller()?, &name).await?;
    let l = &report.limit;
    let mut header = Header::new("Limit", &l.name)
        .state(l.state)
        .fact("By", Cell::text(&l.by_whom))
        .fact("When", ask.when(l.at).with_exact());
    let mut copy = Copy::get(
        &format!("limit show {name}"),
        &ask.place.base,
        &format!("/limits/{name}"),
    );
    let text = l.spec.as_ref().map(|s| document("Limit", name.as_str(), s));
    if let Some(s) = &l.spec {
        header = header
            .fact("Counts", Cell::text(s.measure.as_str()))
            .fact("Most", Cell::text(word(&s.max)))
            .fact("Over", Cell::text(word(&s.over)))
            .fact("Whose", Cell::text(word(&s.per)))
            .fact("Only", Cell::lines(about(s)));
    }
    if let Some(text) = &text {
        copy = copy.yaml(text);
    }
    let mut page = ask
        .page(format!("Limit {name}"))
        .with(&header.copy(&copy))
        .with(&usage(&report));
    let Some(text) = text else {
        return page
            .with(&Facts::new().row("About", "what it is about is not here any more"))
            .ok();
    };
    if ask.holds(Role::Admin) {
        let path = format!("/rules/limits/{name}");
        page = page.with(&by_yaml(&ask, &text, "/rules/limits")).with(
            &Section::new("switch-it", "On or off")
                .note("What was used before counts on.")
                .with(&switch_form(&ask, &path, l.state == "active")),
        );
    } else {
        page = page.with(&Code::new("YAML", text));
    }
    page.ok()
}

fn usage(report: &LimitReport) -> Section {
    let rows = report.usage.iter().map(|u| {
        Row::new(
            format!("{} {:?} {:?}", u.whose, u.by, u.over),
            vec![
                Cell::text(&u.whose),
                u.over.as_ref().map(Cell::text).into(),
                u.by.as_ref().map(Cell::code).into(),
                Cell::number(&u.used),
                Cell::number(&u.left),
                Cell::number(&u.max),
            ],
        )
    });
    let table = Table::new(
        "usage",
        "What is used of it now",
        &["Whose", "In", "By", "Used", "Left", "Most"],
        Empty::new("Nothing is used of it now", ""),
    )
    .rows(rows);
    Section::new("usage-of", "Used now")
        .note("What is reserved for calls under way is in it.")
        .with(&table)
}

pub(super) async fn switch(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    let caller = ask.caller()?;
    let l = ask.control().limit(&caller, &name).await?.limit;
    let spec = l
        .spec
        .ok_or_else(|| Fault::invalid("what it is about is not here any more"))?;
    let spec = LimitSpec {
        enabled: !spec.enabled,
        ..spec
    };
    ask.control()
        .put_limit(&caller, &name, spec, Some(l.revision))
        .await?;
    ask.done(&format!("/rules/limits/{name}"), "switched")
}
