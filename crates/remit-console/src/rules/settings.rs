//! Settings: the narrowest wins, unless a wider one is locked; they never permit anything.

use remit_control::spec::{SettingName, SettingSpec};
use remit_control::{SettingQuery, SettingsExplained};
use remit_domain::Role;
use serde_json::json;

use super::{by_yaml, document, header, told};
use crate::answer::{Answer, Page};
use crate::ask::{Ask, segment};
use crate::fault::Fault;
use crate::ui::{
    Cell, Code, Copy, Empty, Facts, Field, Filter, Header, Input, Notice, Row, Section, Table, Tone,
};

/// A document to begin with.
const EXAMPLE: &str = "apiVersion: remit.dev/v1
kind: Setting
metadata: { name: 'tool:orders/refund' }
spec:
  value: { transform: { classes: { payment-card: mask } } }
  reason: card numbers stay out of transcripts
";

/// A value in words: `rate: 10 calls a minute`.
fn words(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value).unwrap_or_default() {
        serde_json::Value::String(word) => word,
        other => other.to_string(),
    }
}

pub(super) async fn list(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask)?.ok()
}

fn shown(ask: &Ask) -> Result<Page, Fault> {
    let listing = ask.control().settings(&ask.caller()?, &ask.list())?;
    let rows = listing.items.iter().map(|s| {
        Row::new(
            &s.id,
            vec![
                Cell::link(
                    ask.to(&format!("/rules/setting?name={}", segment(&s.name))),
                    &s.name,
                ),
                Cell::text(crate::agents::word(&s.level).replace('_', " ")),
                Cell::badge(s.spec.value.as_str()),
                Cell::text(words(&s.spec.value)),
                Cell::text(if s.spec.locked { "locked" } else { "" }),
                Cell::text(&s.spec.reason),
                Cell::text(&s.by),
                ask.when(s.at).into(),
            ],
        )
    });
    let empty = Empty::new(
        "No settings",
        "Calls are decided by guardrails, grants and policies alone.",
    )
    .action(
        ask.to("/help/guides/limits-and-settings"),
        "Limits and settings",
    )
    .commands(&["remit setting set tool:UPSTREAM/TOOL --deny --reason TEXT"]);
    let head = [
        "Setting", "Level", "Does", "Exactly", "Locked", "Why", "By", "When",
    ];
    let table = Table::new("settings", "Settings", &head, empty)
        .rows(rows)
        .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/rules")).select(
        "state",
        "State",
        &["active", "removed"],
        ask.q("state"),
    );
    let copy = Copy::get("setting ls", &ask.place.base, "/settings");
    let mut page = ask
        .page("Settings of calls")
        .with(&header(ask, "", &copy))
        .with(
            &Section::new("settings-of", "Settings")
                .note("From the whole organization to one person with one tool. The narrowest counts, unless a wider one is locked. A setting never permits.")
                .with(&filter)
                .with(&table),
        );
    if ask.holds(Role::Admin) {
        page = page
            .with(&Section::new("set", "Set one").with(&form(ask)))
            .with(&by_yaml(ask, EXAMPLE, "/rules"));
    }
    Ok(page)
}

fn form(ask: &Ask) -> crate::ui::Form {
    let line = |name: &str, label: &str, hint: &str| {
        Field::new(name, label, Input::Line)
            .hint(hint)
            .value(ask.field(name))
    };
    let value = match ask.field("value") {
        "" => "flag",
        typed => typed,
    };
    let window = match ask.field("window") {
        "" => "minute",
        typed => typed,
    };
    ask.form("setting", "/rules")
        .field(
            line(
                "name",
                "Which calls",
                "organization, mode:background, tool:UPSTREAM/TOOL, person:EMAIL, or person:EMAIL/tool:UPSTREAM/TOOL",
            )
            .required(),
        )
        .field(
            Field::select("value", "What it does", &["flag", "deny", "allow", "rate"], value)
                .hint("allow only lifts a wider deny."),
        )
        .field(line("calls", "Calls, for a rate", ""))
        .field(Field::select(
            "window",
            "In any, for a rate",
            &["minute", "hour", "day"],
            window,
        ))
        .field(
            Field::new("locked", "Locked", Input::Check(!ask.field("locked").is_empty()))
                .hint("Nothing narrower takes it away."),
        )
        .field(line("reason", "Why", "People read it in decisions.").required())
        .button("Set it", Tone::Main)
}

fn spec(ask: &Ask) -> Result<SettingSpec, Fault> {
    let value = match ask.field("value") {
        "rate" => {
            json!({ "rate": { "calls": ask.field_as::<u32>("calls")?, "window": ask.field("window") } })
        }
        word => json!(word),
    };
    let spec = json!({
        "value": value,
        "locked": !ask.field("locked").is_empty(),
        "reason": ask.field("reason").trim(),
    });
    serde_json::from_value(spec)
        .map_err(|e| Fault::invalid(format!("the form cannot be read: {e}")))
}

pub(super) async fn put(ask: Ask) -> Result<Answer, Fault> {
    let saved = async {
        let name: SettingName = ask.field_as("name")?;
        let (caller, spec) = (ask.caller()?, spec(&ask)?);
        ask.control()
            .put_setting(&caller, &name, spec, None)
            .await
            .map_err(Fault::from)
    };
    match saved.await {
        Ok(_) => ask.done("/rules", "saved"),
        Err(fault) if fault.is_correctable() => told(shown(&ask)?, &fault).ok(),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn one(ask: Ask) -> Result<Answer, Fault> {
    let name: SettingName = ask.q_as("name")?.ok_or_else(Fault::not_found)?;
    let s = ask.control().setting(&ask.caller()?, &name)?;
    let text = document("Setting", &s.name, &s.spec);
    let path = segment(&s.name);
    let header = Header::new("Setting", &s.name)
        .id(&s.id)
        .state(s.state)
        .fact("Does", Cell::badge(s.spec.value.as_str()))
        .fact(
            "Locked",
            Cell::text(if s.spec.locked { "yes" } else { "no" }),
        )
        .fact("Why", Cell::text(&s.spec.reason))
        .fact("By", Cell::text(&s.by))
        .fact("When", ask.when(s.at).with_exact())
        .copy(
            &Copy::get(
                &format!("setting show {}", s.name),
                &ask.place.base,
                &format!("/settings/{path}"),
            )
            .yaml(&text),
        );
    let mut page = ask.page(format!("Setting {}", s.name)).with(&header);
    if ask.holds(Role::Admin) {
        page = page.with(&by_yaml(&ask, &text, "/rules"));
        if s.state == "active" {
            let form = ask
                .form("remove", "/rules/setting/remove")
                .field(Field::hidden("name", &s.name))
                .button("Remove it", Tone::Danger)
                .inline();
            page = page.with(
                &Section::new("remove-it", "Remove")
                    .note("It counts no more, and stays in the records.")
                    .with(&form),
            );
        }
    } else {
        page = page.with(&Code::new("YAML", &text));
    }
    page.ok()
}

pub(super) async fn remove(ask: Ask) -> Result<Answer, Fault> {
    let name: SettingName = ask.field_as("name")?;
    ask.control().remove_setting(&ask.caller()?, &name).await?;
    ask.done("/rules", "saved")
}

pub(super) async fn explain(ask: Ask) -> Result<Answer, Fault> {
    let filter = Filter::new(ask.to("/rules/explain"))
        .search("tool", "Tool (upstream/tool)", ask.q("tool"))
        .search("person", "For (e-mail address)", ask.q("person"))
        .select(
            "mode",
            "Mode of the run",
            &["interactive", "subagent", "api", "background"],
            ask.q("mode"),
        );
    let copy = Copy::get(
        "setting explain --tool UPSTREAM/TOOL",
        &ask.place.base,
        "/settings/explain?tool=UPSTREAM/TOOL",
    );
    let page = ask
        .page("Explain settings")
        .with(&header(&ask, "/explain", &copy));
    let section = Section::new("explain-it", "What settings make of a call").with(&filter);
    let Some(tool) = ask.q("tool") else {
        return page
            .with(&section.with(&Empty::new("Name a tool", "As upstream/tool.")))
            .ok();
    };
    let mode = ask
        .q("mode")
        .and_then(|m| serde_json::from_value(m.into()).ok());
    let query = SettingQuery {
        tool: tool.to_owned(),
        mode,
        person: ask.q_as("person")?,
    };
    match ask
        .control()
        .explain_settings(&ask.caller()?, &query)
        .map_err(Fault::from)
    {
        Ok(e) => {
            let class = if e.outcome == "deny" { "bad" } else { "good" };
            page.notice(Some(Notice::new(class, &e.why)))
                .with(&levels(section, &e))
                .ok()
        }
        Err(fault) if fault.is_correctable() => told(page.with(&section), &fault).ok(),
        Err(fault) => Err(fault),
    }
}

/// Every setting about the call, from wide to narrow.
fn levels(section: Section, e: &SettingsExplained) -> Section {
    let rows = e.settings.iter().map(|s| {
        Row::new(
            &s.setting.id,
            vec![
                Cell::text(&s.setting.name),
                Cell::badge(s.setting.spec.value.as_str()),
                Cell::badge(if s.holds { "holds" } else { "does not hold" }),
                Cell::text(crate::agents::word(&s.standing).replace('_', " ")),
                Cell::text(&s.setting.spec.reason),
            ],
        )
    });
    let table = Table::new(
        "levels",
        "From wide to narrow",
        &["Setting", "Does", "Holds", "Because", "Why it is there"],
        Empty::new("No setting is about this call", ""),
    )
    .rows(rows);
    let decided = e.decided_by.as_ref().map(Cell::text);
    section
        .with(&Facts::new().maybe("Decided by", decided))
        .with(&table)
}
