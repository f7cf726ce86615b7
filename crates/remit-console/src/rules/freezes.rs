//! Change freezes and time windows, which policies may look at.

use remit_control::spec::FreezeSpec;
use remit_domain::Role;
use remit_domain::name::Name;
use serde_json::json;

use super::{by_yaml, document, header, switch_form, told};
use crate::agents::word;
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::Fault;
use crate::ui::{Cell, Code, Copy, Empty, Field, Filter, Header, Input, Row, Section, Table, Tone};

/// A document to begin with.
const EXAMPLE: &str = "apiVersion: remit.dev/v1
kind: Freeze
metadata: { name: nights }
spec:
  spans:
    - weekly: { days: [1, 2, 3, 4, 5], from: '22:00', until: '06:00', utc_offset_minutes: 60 }
  environments: [production]
  reason: nobody is awake to put it right
";

pub(super) async fn list(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask)?.ok()
}

/// Its spans, one line each.
fn spans(s: &FreezeSpec) -> Vec<String> {
    s.spans.iter().map(word).collect()
}

fn shown(ask: &Ask) -> Result<Page, Fault> {
    let listing = ask.control().freezes(&ask.caller()?, &ask.list())?;
    let rows = listing.items.iter().map(|f| {
        let spec = f.spec.as_ref();
        Row::new(
            &f.name,
            vec![
                Cell::link(ask.to(&format!("/rules/freezes/{}", f.name)), &f.name),
                Cell::badge(f.state),
                Cell::badge(if f.holds_now { "holds now" } else { "not now" }),
                spec.map(|s| Cell::text(word(&s.means))).into(),
                spec.map(|s| Cell::lines(spans(s))).into(),
                spec.map(|s| {
                    Cell::lines(
                        s.environments
                            .iter()
                            .map(word)
                            .chain(s.systems.iter().map(ToString::to_string)),
                    )
                })
                .into(),
                spec.map(|s| Cell::text(&s.reason)).into(),
            ],
        )
    });
    let empty = Empty::new("No freezes or windows", "Changes are possible at any time.")
        .action(
            ask.to("/help/guides/limits-and-settings"),
            "Limits and settings",
        )
        .commands(&["remit freeze set --help"]);
    let head = ["Name", "State", "Now", "Means", "When", "Only for", "Why"];
    let table = Table::new("freezes", "Freezes and windows", &head, empty)
        .rows(rows)
        .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/rules/freezes")).select(
        "state",
        "State",
        &["active", "disabled"],
        ask.q("state"),
    );
    let copy = Copy::get("freeze ls", &ask.place.base, "/freezes");
    let mut page = ask
        .page("Freezes and windows")
        .with(&header(ask, "/freezes", &copy))
        .with(
            &Section::new("freezes-of", "Freezes and windows")
                .with(&filter)
                .with(&table),
        );
    if ask.holds(Role::Admin) {
        page = page
            .with(&Section::new("set", "A new freeze").with(&form(ask)))
            .with(&by_yaml(ask, EXAMPLE, "/rules/freezes"));
    }
    Ok(page)
}

fn form(ask: &Ask) -> crate::ui::Form {
    let line = |name: &str, label: &str, hint: &str| {
        Field::new(name, label, Input::Line)
            .hint(hint)
            .value(ask.field(name))
    };
    let time = "As 2026-12-24T12:00:00Z.";
    ask.form("freeze", "/rules/freezes")
        .field(line("name", "Name", "Lower-case letters, digits and hyphens.").required())
        .field(line("from", "From", time).required())
        .field(line("until", "Until", time).required())
        .field(Field::select(
            "environment",
            "Only for tools of systems in",
            &["", "production", "staging", "development"],
            ask.field("environment"),
        ))
        .field(line("reason", "Why", "").required())
        .button("Set it", Tone::Main)
}

fn spec(ask: &Ask) -> Result<FreezeSpec, Fault> {
    let environments: Vec<String> = ask.given("environment").into_iter().collect();
    let spec = json!({
        "spans": [{ "once": { "from": ask.field("from").trim(), "until": ask.field("until").trim() } }],
        "environments": environments,
        "reason": ask.field("reason").trim(),
    });
    serde_json::from_value(spec)
        .map_err(|e| Fault::invalid(format!("the form cannot be read: {e}")))
}

pub(super) async fn put(ask: Ask) -> Result<Answer, Fault> {
    let saved = async {
        let name: Name = ask.field_as("name")?;
        let (caller, spec) = (ask.caller()?, spec(&ask)?);
        ask.control()
            .put_freeze(&caller, &name, spec, None)
            .await
            .map_err(Fault::from)
    };
    match saved.await {
        Ok(_) => ask.done("/rules/freezes", "saved"),
        Err(fault) if fault.is_correctable() => told(shown(&ask)?, &fault).ok(),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn one(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    let f = ask.control().freeze(&ask.caller()?, &name)?;
    let mut header = Header::new("Freeze or window", &f.name)
        .state(f.state)
        .fact(
            "Now",
            Cell::badge(if f.holds_now { "holds now" } else { "not now" }),
        )
        .fact("By", Cell::text(&f.by))
        .fact("When", ask.when(f.at).with_exact());
    let mut copy = Copy::get(
        &format!("freeze show {name}"),
        &ask.place.base,
        &format!("/freezes/{name}"),
    );
    let text = f
        .spec
        .as_ref()
        .map(|s| document("Freeze", name.as_str(), s));
    if let Some(s) = &f.spec {
        header = header
            .fact("Means", Cell::text(word(&s.means)))
            .fact("Times", Cell::lines(spans(s)))
            .fact("Why", Cell::text(&s.reason));
    }
    if let Some(text) = &text {
        copy = copy.yaml(text);
    }
    let mut page = ask.page(format!("Freeze {name}")).with(&header.copy(&copy));
    let Some(text) = text else {
        return page.ok();
    };
    if ask.holds(Role::Admin) {
        let path = format!("/rules/freezes/{name}");
        page = page.with(&by_yaml(&ask, &text, "/rules/freezes")).with(
            &Section::new("switch-it", "On or off").with(&switch_form(
                &ask,
                &path,
                f.state == "active",
            )),
        );
    } else {
        page = page.with(&Code::new("YAML", text));
    }
    page.ok()
}

pub(super) async fn switch(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    let caller = ask.caller()?;
    let f = ask.control().freeze(&caller, &name)?;
    let spec = f
        .spec
        .ok_or_else(|| Fault::invalid("a system that it names is not here any more"))?;
    let spec = FreezeSpec {
        enabled: !spec.enabled,
        ..spec
    };
    ask.control()
        .put_freeze(&caller, &name, spec, Some(f.revision))
        .await?;
    ask.done(&format!("/rules/freezes/{name}"), "switched")
}
