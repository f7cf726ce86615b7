//! Policy sets: their text as it is live, and what is wrong with another text before it goes live.

use remit_control::spec::PolicySetSpec;
use remit_control::{PolicyProblem, PolicySetView, Validation};
use remit_domain::Role;
use remit_domain::name::Name;

use super::{header, short};
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::text::Shown;
use crate::ui::{
    Button, Cell, Code, Copy, Empty, Facts, Field, Filter, Header, Input, Notice, Row, Section,
    Table, Tone,
};

pub(super) async fn list(ask: Ask) -> Result<Answer, Fault> {
    let listing = ask
        .control()
        .policy_sets(&ask.caller()?, &ask.list())
        .await?;
    let rows = listing.items.iter().map(|p| {
        let rules = p.spec.text.matches("permit").count() + p.spec.text.matches("forbid").count();
        Row::new(
            &p.name,
            vec![
                Cell::link(ask.to(&format!("/policies/sets/{}", p.name)), &p.name),
                Cell::badge(p.state),
                Cell::number(rules),
                Cell::number(p.spec.text.lines().count()),
                Cell::text(&p.by),
                ask.when(p.at).into(),
            ],
        )
    });
    let empty = Empty::new(
        "No policies",
        "Without a policy that permits it, every call is denied.",
    )
    .action(ask.to("/help/guides/policy"), "Writing policies")
    .commands(&["remit policy apply policies/", "remit policy validate FILE"]);
    let table = Table::new(
        "policies",
        "Policy sets",
        &["Set", "State", "Rules", "Lines", "Changed by", "When"],
        empty,
    )
    .rows(rows)
    .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/policies")).select(
        "state",
        "State",
        &["enabled", "disabled"],
        ask.q("state"),
    );
    let copy = Copy::get("policy ls", &ask.place.base, "/policies");
    ask.page("Policies")
        .with(&header(&ask, "", &copy))
        .with(&live(&ask)?)
        .with(
            &Section::new("sets", "Sets")
                .note("Cedar. What does not compile never goes live; a call that no policy permits is denied.")
                .with(&filter)
                .with(&table),
        )
        .ok()
}

/// What decides now, and what is tried beside it.
fn live(ask: &Ask) -> Result<Section, Fault> {
    let stage = ask.control().policy_stage(&ask.caller()?)?;
    let bundle = |version: &str| {
        Cell::link(
            ask.to(&format!("/policies/bundles/{version}")),
            short(version),
        )
    };
    let facts = Facts::new()
        .row("Live bundle", bundle(&stage.live))
        .maybe("Since", stage.since.map(|t| ask.when(t).with_exact()))
        .maybe("Before it", stage.before.as_deref().map(bundle))
        .maybe(
            "In the shadow",
            stage.shadow.as_ref().map(|version| {
                Cell::link(
                    ask.to("/policies/shadow"),
                    format!("{}: see what differs", short(version)),
                )
            }),
        );
    Ok(Section::new("live-now", "What decides now").with(&facts))
}

pub(super) async fn schema(ask: Ask) -> Result<Answer, Fault> {
    let text = ask.control().policy_schema(&ask.caller()?)?;
    let hops = ask.control().hop_schema(&ask.caller()?)?;
    let header = Header::new("Policies", "Schema").copy(&Copy::get(
        "policy schema",
        &ask.place.base,
        "/policies/schema",
    ));
    ask.page("Policy schema")
        .with(&header)
        .with(
            &Section::new("schema", "What policies are written against")
                .with(&Code::new("Cedar schema", text)),
        )
        .with(
            &Section::new(
                "schema-hops",
                "What policies about hops are written against",
            )
            .with(&Code::new("Cedar schema of hops", hops)),
        )
        .ok()
}

pub(super) async fn one(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask, None, None).await?.ok()
}

async fn shown(ask: &Ask, typed: Option<&str>, notice: Option<Notice>) -> Result<Page, Fault> {
    let name: Name = ask.named("name")?;
    let p = ask.control().policy_set(&ask.caller()?, &name).await?;
    let text = typed.unwrap_or(&p.spec.text);
    let mut page = ask
        .page(format!("Policies: {name}"))
        .notice(notice)
        .with(&head(ask, &name, &p))
        .with(&File::new(&p.spec.text));
    // Whoever may not change it may still try: Enter does what the only button does.
    let action = if ask.holds(Role::Admin) {
        format!("/policies/sets/{name}")
    } else {
        format!("/policies/sets/{name}/check")
    };
    let mut form = ask
        .form("policy", &action)
        .field(Field::hidden("revision", p.revision))
        .field(
            Field::new("text", "Cedar", Input::Area(24))
                .value(text)
                .required(),
        )
        .with(
            Button::new("Check", Tone::Plain).to(ask.to(&format!("/policies/sets/{name}/check"))),
        );
    if ask.holds_any(&[Role::Admin, Role::Developer]) {
        form = form
            .field(
                Field::new("title", "What the change is for", Input::Line)
                    .hint("One line; needed to propose it."),
            )
            .with(Button::new("Propose it", Tone::Main).to(ask.to("/policies/propose")));
    }
    if ask.holds(Role::Admin) {
        form = form
            .field(Field::new(
                "enabled",
                "In use",
                Input::Check(p.spec.enabled),
            ))
            .with(Button::new("Make it live now", Tone::Plain));
    }
    let note = "Checking changes nothing. A proposal is compiled, tested and proved, and somebody else approves it. One administrator alone may make live what only forbids or asks more.";
    page = page.with(
        &Section::new(
            "edit",
            if ask.holds_any(&[Role::Admin, Role::Developer]) {
                "Change"
            } else {
                "Try another text"
            },
        )
        .note(note)
        .with(&form),
    );
    Ok(page)
}

fn head(ask: &Ask, name: &Name, p: &PolicySetView) -> Header {
    let path = format!("/policies/{name}");
    let copy = Copy::get(&format!("policy show {name}"), &ask.place.base, &path);
    Header::new("Policy set", &p.name)
        .state(p.state)
        .fact("Changed by", Cell::text(&p.by))
        .fact("When", ask.when(p.at).with_exact())
        .fact("Revision", Cell::text(p.revision))
        .action(true, ask.to("/policies/schema"), "Schema", false)
        .copy(&copy.yaml(&yaml(name, &p.spec)))
}

/// The text with the numbers of its lines, so that a reason's line can be linked to.
#[derive(askama::Template)]
#[template(path = "file.html")]
struct File {
    lines: Vec<(usize, Shown)>,
}

impl File {
    fn new(text: &str) -> Self {
        Self {
            lines: text
                .lines()
                .enumerate()
                .map(|(at, line)| (at + 1, Shown::block(line)))
                .collect(),
        }
    }
}

fn yaml(name: &Name, spec: &PolicySetSpec) -> String {
    let body = serde_json::json!({ "apiVersion": "remit.dev/v1", "kind": "PolicySet", "metadata": { "name": name.as_str() }, "spec": spec });
    crate::agents::yaml_text(&body)
}

fn told(p: &PolicyProblem) -> Shown {
    let policy = p
        .policy
        .as_ref()
        .map(|p| format!("{p}: "))
        .unwrap_or_default();
    Shown::block(format!(
        "line {}, column {}: {policy}{}",
        p.line, p.column, p.message
    ))
}

fn said(v: &Validation) -> Notice {
    let mut notice = match (v.valid, v.warnings.is_empty()) {
        (true, true) => Notice::new("good", "It compiles. Nothing was changed."),
        (true, false) => Notice::new("warn", "It compiles, with warnings. Nothing was changed."),
        (false, _) => Notice::new("bad", "It does not compile. Nothing was changed."),
    };
    notice.more = v.problems.iter().chain(&v.warnings).map(told).collect();
    notice
}

pub(super) async fn check(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    let text = ask.field("text").replace("\r\n", "\n");
    let validation = ask
        .control()
        .validate_policies(&ask.caller()?, &name, &text)?;
    shown(&ask, Some(&text), Some(said(&validation)))
        .await?
        .ok()
}

pub(super) async fn put(ask: Ask) -> Result<Answer, Fault> {
    let name: Name = ask.named("name")?;
    let text = ask.field("text").replace("\r\n", "\n");
    let spec = PolicySetSpec {
        text: text.clone(),
        enabled: !ask.field("enabled").is_empty(),
    };
    let seen = ask.given_as("revision")?;
    match ask
        .control()
        .put_policy_set(&ask.caller()?, &name, spec, seen)
        .await
        .map_err(Fault::from)
    {
        Ok(_) => ask.done(&format!("/policies/sets/{name}"), "saved"),
        Err(fault) if fault.is_correctable() => {
            let mut notice = Notice::new("bad", capitalized(&fault.text()));
            notice.more = fault.more().iter().map(Shown::block).collect();
            shown(&ask, Some(&text), Some(notice))
                .await?
                .status(fault.status())
                .ok()
        }
        Err(fault) => Err(fault),
    }
}
