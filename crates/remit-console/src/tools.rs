//! Tools: what each does, as an administrator declares it, and what has changed since its definition was approved.

use remit_control::ToolView;
use remit_control::spec::ToolSpec;
use remit_domain::Role;
use remit_domain::tool::{Classification, Effect, ToolRef, ToolState};
use remit_domain::upstream::UpstreamName;
use serde_json::json;

use crate::agents::{listed, word};
use crate::answer::{Answer, Page};
use crate::ask::{Ask, segment};
use crate::fault::{Fault, capitalized};
use crate::route::{ADMIN, PERSON, Route, act, page};
use crate::text::Shown;
use crate::ui::{
    Cell, Code, Copy, Empty, Field, Filter, Form, Header, Input, Notice, Row, Section, Table, Tone,
};

/// The effects there are, from the least severe.
pub(crate) const EFFECTS: [Effect; 8] = [
    Effect::Read,
    Effect::Draft,
    Effect::Write,
    Effect::Destructive,
    Effect::External,
    Effect::Execute,
    Effect::Purchase,
    Effect::Privilege,
];

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/tools", PERSON, list),
        page("/tools/{upstream}/{tool}", PERSON, one),
        act("/tools/{upstream}/{tool}", ADMIN, put),
        act("/tools/{upstream}/{tool}/disable", ADMIN, disable),
    ]
}

/// Where a tool's page is.
pub(crate) fn address(ask: &Ask, tool: &ToolRef) -> String {
    ask.to(&format!(
        "/tools/{}/{}",
        segment(tool.upstream().as_str()),
        segment(tool.tool())
    ))
}

/// The same, of `upstream/tool`.
pub(crate) fn address_of(ask: &Ask, name: &str) -> String {
    let (upstream, tool) = name.split_once('/').unwrap_or((name, ""));
    ask.to(&format!("/tools/{}/{}", segment(upstream), segment(tool)))
}

/// Tools as a table.
pub(crate) fn table(ask: &Ask, tools: &[ToolView], next: Option<String>) -> Table {
    let rows = tools.iter().map(|t| {
        let c = t.classification.as_ref();
        let also = c
            .filter(|c| c.external || c.effect == Effect::External)
            .map(|_| Cell::text("reaches outside"));
        Row::new(
            &t.tool,
            vec![
                Cell::link(address(ask, &t.tool), &t.tool),
                Cell::badge(&word(&t.state)),
                c.map(|c| Cell::text(c.effect.as_str())).into(),
                also.into(),
                c.map(|c| Cell::lines(&c.data_classes)).into(),
            ],
        )
    });
    let empty = Empty::new(
        "No tools",
        "Read an upstream's tools first; each is refused until an administrator has classified it.",
    );
    Table::new(
        "tools",
        "Tools",
        &["Tool", "State", "Effect", "Outside", "Data classes"],
        empty,
    )
    .rows(rows)
    .next(next)
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let upstream: Option<UpstreamName> = ask.q_as("upstream")?;
    let listing = ask
        .control()
        .tools(&ask.caller()?, upstream.as_ref(), &ask.list())?;
    let next = ask.next(listing.next);
    let table = table(&ask, &listing.items, next);
    let filter = Filter::new(ask.to("/tools"))
        .search("upstream", "Upstream", ask.q("upstream"))
        .select(
            "state",
            "State",
            &["disabled", "enabled", "changed", "gone"],
            ask.q("state"),
        );
    let copy = Copy::get("tool ls", &ask.place.base, "/tools");
    let note = "Refused until classified, and again when the definition changes.";
    ask.page("Tools")
        .html(listed(
            "Tools",
            note,
            Some((ask.to("/upstreams"), "Upstreams")),
            Some(&filter),
            &table,
            &copy,
        ))
        .ok()
}

fn tool_of(ask: &Ask) -> Result<ToolRef, Fault> {
    let (upstream, tool): (UpstreamName, String) = (ask.named("upstream")?, ask.named("tool")?);
    ToolRef::new(upstream, &tool).map_err(|_| Fault::not_found())
}

async fn one(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask, None)?.ok()
}

fn shown(ask: &Ask, fault: Option<&Fault>) -> Result<Page, Fault> {
    let name = tool_of(ask)?;
    let t = ask.control().tool(&ask.caller()?, &name)?;
    let path = format!(
        "/tools/{}/{}",
        segment(name.upstream().as_str()),
        segment(name.tool())
    );
    let mut header = Header::new("Tool", &t.tool)
        .state(&word(&t.state))
        .copy(&Copy::get(
            &format!("tool show {name}"),
            &ask.place.base,
            &path,
        ));
    if let Some(c) = &t.classification {
        header = header
            .fact("Effect", Cell::text(c.effect.as_str()))
            .fact(
                "Reaches outside",
                Cell::text(if c.external || c.effect == Effect::External {
                    "yes"
                } else {
                    "no"
                }),
            )
            .fact("Data classes", Cell::lines(&c.data_classes))
            .fact(
                "Untrusted content",
                Cell::text(if c.untrusted_content { "yes" } else { "no" }),
            );
    }
    let problem = fault.map(|fault| Notice::new("bad", capitalized(&fault.text())));
    let mut page = ask.page(&name).notice(problem).with(&header);
    if let Some(fault) = fault {
        page = page.status(fault.status());
    }
    if let Some(diff) = &t.diff {
        let section = Section::new("changed", "What has changed since it was approved")
            .note("Its calls are refused until somebody has read this and approves the new definition below. A changed description is text that a model obeys.")
            .with(&Code::new("Definition, before and after", Shown::whole(diff)));
        page = page.with(&section);
    }
    page = page.with(
        &Section::new("definition", "Definition, as the upstream says it")
            .note("Nobody vouches for this text.")
            .with(&Code::new("Definition", Shown::json(&t.definition))),
    );
    if let Some(hints) = &t.hints {
        page = page.with(
            &Section::new("hints", "What the upstream hints")
                .note("Hints decide nothing.")
                .with(&Code::new("Hints", Shown::json(hints))),
        );
    }
    if ask.holds(Role::Admin) {
        page = page.with(
            &Section::new("classify", "Classify, and approve this definition")
                .with(&classify(ask, &t, &path)),
        );
        if matches!(t.state, ToolState::Enabled | ToolState::Changed) {
            let form = ask
                .form("disable", &format!("{path}/disable"))
                .field(Field::new("reason", "Why", Input::Line).required())
                .button("Take out of use", Tone::Danger);
            page = page.with(&Section::new("disable-it", "Take out of use").with(&form));
        }
    }
    Ok(page)
}

fn data_classes(c: Option<&Classification>) -> Field {
    let classes = c.map(|c| c.data_classes.iter().map(ToString::to_string));
    let classes: Vec<String> = classes.into_iter().flatten().collect();
    Field::new("data_classes", "Data classes", Input::Line)
        .hint("Names, separated by spaces.")
        .value(classes.join(" "))
}

fn customer(c: Option<&Classification>) -> Field {
    let path = c.and_then(|c| c.customer.as_ref());
    Field::new("customer", "Customer", Input::Line)
        .hint("The argument that names the customer whose data a call touches; empty where none does.")
        .value(path.map(ToString::to_string).unwrap_or_default())
}

fn entitlements(c: Option<&Classification>) -> Field {
    let label = "Entitlements that the person must hold";
    let names: Vec<String> = c
        .map(|c| c.entitlements.iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    Field::new("entitlements", label, Input::Line)
        .hint("Names, separated by spaces.")
        .value(names.join(" "))
}

fn classify(ask: &Ask, t: &ToolView, path: &str) -> Form {
    let c = t.classification.as_ref();
    let words: Vec<&str> = EFFECTS.iter().map(|e| e.as_str()).collect();
    let hash = t.pending_hash.as_ref().unwrap_or(&t.definition_hash);
    let list = |all: Vec<String>| all.join(" ");
    let targets = c
        .map(|c| serde_json::to_string(&c.targets).unwrap_or_default())
        .unwrap_or_else(|| "{}".to_owned());
    ask.form("tool", path)
        .field(Field::hidden("definition_hash", hash))
        .field(Field::hidden("revision", t.revision))
        .field(
            Field::select(
                "effect",
                "Effect",
                &words,
                c.map_or("read", |c| c.effect.as_str()),
            )
            .hint("What a call does. When in doubt, the more severe one."),
        )
        .field(Field::new(
            "external",
            "A call also reaches outside the organization",
            Input::Check(c.is_some_and(|c| c.external)),
        ))
        .field(Field::new(
            "untrusted_content",
            "A result carries content nobody vouches for",
            Input::Check(c.is_some_and(|c| c.untrusted_content)),
        ))
        .field(Field::new(
            "metadata",
            "A result holds nothing but metadata",
            Input::Check(c.is_some_and(|c| c.metadata)),
        ))
        .field(customer(c))
        .field(data_classes(c))
        .field(entitlements(c))
        .field(
            Field::new(
                "show",
                "Arguments whose values may be shown in summaries",
                Input::Line,
            )
            .hint("Paths, separated by spaces.")
            .value(list(
                c.map(|c| c.show.iter().map(ToString::to_string).collect())
                    .unwrap_or_default(),
            )),
        )
        .field(
            Field::new(
                "targets",
                "Arguments that name what is acted on (JSON: path to kind)",
                Input::Line,
            )
            .value(targets),
        )
        .button("Classify and approve", Tone::Main)
}

fn spec(ask: &Ask) -> Result<ToolSpec, Fault> {
    let words = |name: &str| {
        ask.field(name)
            .split([' ', ','])
            .filter(|w| !w.is_empty())
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    let targets = ask.given("targets").unwrap_or_else(|| "{}".to_owned());
    let targets: serde_json::Value =
        serde_json::from_str(&targets).map_err(|e| Fault::invalid(format!("targets: {e}")))?;
    let spec = json!({
        "definition_hash": ask.field("definition_hash"),
        "effect": ask.field("effect"),
        "external": !ask.field("external").is_empty(),
        "untrusted_content": !ask.field("untrusted_content").is_empty(),
        "data_classes": words("data_classes"),
        "entitlements": words("entitlements"),
        "show": words("show"),
        "targets": targets,
        "metadata": !ask.field("metadata").is_empty(),
        "customer": Some(ask.field("customer").trim()).filter(|path| !path.is_empty()),
    });
    serde_json::from_value(spec)
        .map_err(|e| Fault::invalid(format!("the form cannot be read: {e}")))
}

async fn put(ask: Ask) -> Result<Answer, Fault> {
    let name = tool_of(&ask)?;
    let saved = async {
        let seen = ask.given_as("revision")?;
        ask.control()
            .put_tool(&ask.caller()?, &name, spec(&ask)?, seen)
            .await
            .map_err(Fault::from)
    };
    match saved.await {
        Ok(_) => Ok(Answer::See(format!(
            "{}?done=approved_tool",
            address(&ask, &name)
        ))),
        Err(fault) if fault.is_correctable() => shown(&ask, Some(&fault))?.ok(),
        Err(fault) => Err(fault),
    }
}

async fn disable(ask: Ask) -> Result<Answer, Fault> {
    let name = tool_of(&ask)?;
    ask.control()
        .disable_tool(&ask.caller()?, &name, ask.field("reason"))
        .await?;
    Ok(Answer::See(format!(
        "{}?done=disabled",
        address(&ask, &name)
    )))
}
