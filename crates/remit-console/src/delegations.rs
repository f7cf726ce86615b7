//! My agents: who acts for me, until when, what they did; and taking it back with one click.

use remit_control::{
    ApprovalFilter, DelegationFilter, DelegationView, ListQuery, NewDelegation, RunView,
};
use remit_domain::authority::Authority;
use remit_domain::delegation::DelegationUse;
use remit_domain::name::Name;
use remit_domain::{DelegationId, Role};

use crate::agents::{listed, word};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::picture::{Edge, Layers, Node};
use crate::route::{PERSON, Route, act, page};
use crate::text::Shown;
use crate::ui::{
    Cell, Code, Copy, Empty, Facts, Field, Filter, Header, Html, Input, Row, Section, Table, Tone,
};

/// Runs looked through for those that were for this person.
const RUNS: usize = 500;
/// Shown of them.
const SHOWN: usize = 20;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/mine", PERSON, mine),
        act("/mine/grant", PERSON, grant),
        page("/delegations", PERSON, list),
        page("/delegations/{id}", PERSON, one),
        act("/delegations/{id}/revoke", PERSON, revoke),
    ]
}

fn withdraw(ask: &Ask, d: &DelegationView) -> Cell {
    let form = ask
        .form(
            format!("withdraw-{}", d.id),
            &format!("/delegations/{}/revoke", d.id),
        )
        .field(Field::hidden("reason", "withdrawn by the person"))
        .button("Withdraw", Tone::Danger)
        .inline();
    Cell::Html(Html::of(&form))
}

#[derive(askama::Template)]
#[template(
    source = "<h1>My agents</h1><p class=\"note\">Who acts for you, until when, and what they did. Withdrawing ends their runs within a second.</p>",
    ext = "html"
)]
struct Title;

async fn mine(ask: Ask) -> Result<Answer, Fault> {
    let (caller, control) = (ask.caller()?, ask.control());
    let filter = DelegationFilter {
        mine: true,
        state: Some("active".to_owned()),
        ..DelegationFilter::default()
    };
    let acting = control.delegations(&caller, &filter).await?;
    let rows = acting.iter().map(|d| {
        Row::new(
            &d.id,
            vec![
                Cell::link(ask.to_named("/agents", &d.agent, ""), &d.agent),
                Cell::text(&d.workflow),
                Cell::text(word(&d.kind)),
                Cell::lines(&d.narrows),
                ask.when(d.expires).with_exact().into(),
                Cell::lines(d.runs.iter().map(ToString::to_string)),
                withdraw(&ask, d),
            ],
        )
    });
    let empty = Empty::new(
        "Nobody acts for you",
        "Let an agent act for you below, for a while and within bounds.",
    )
    .commands(&["remit delegation grant --to AGENT --workflow WORKFLOW --for 8h"]);
    let table = Table::new(
        "acting",
        "Who acts for me",
        &[
            "Agent",
            "Workflow",
            "How",
            "Narrowed to",
            "Until",
            "Runs",
            "Withdraw",
        ],
        empty,
    )
    .rows(rows);
    let mut page = ask
        .page("My agents")
        .with(&Title)
        .with(&Section::new("acting-for-me", "Act for me").with(&table));
    page = page
        .with(&did(&ask).await?)
        .with(&waiting(&ask).await?)
        .with(&answer_for(&ask)?)
        .with(&let_act(&ask));
    page.ok()
}

/// What was done for this person lately.
async fn did(ask: &Ask) -> Result<Section, Fault> {
    let me = ask.session()?.person.email.to_string();
    let query = ListQuery {
        limit: Some(RUNS),
        ..ListQuery::default()
    };
    let runs = ask
        .control()
        .runs(&ask.caller()?, None, &query)
        .await?
        .items;
    let mine: Vec<&RunView> = runs
        .iter()
        .filter(|r| r.person.as_deref() == Some(me.as_str()))
        .take(SHOWN)
        .collect();
    let rows = mine.iter().map(|r| {
        Row::new(
            &r.id,
            vec![
                Cell::link(ask.to(&format!("/runs/{}", r.id)), &r.workflow),
                Cell::badge(r.state),
                Cell::text(&r.intent.purpose),
                ask.when(r.started).into(),
            ],
        )
    });
    let table = Table::new(
        "did",
        "Runs for me, newest first",
        &["Run", "State", "Purpose", "Started"],
        Empty::new("Nothing was done for you lately", ""),
    )
    .rows(rows);
    Ok(Section::new("did-for-me", "What they did").with(&table))
}

/// Requests in progress: what agents asked in this person's name.
async fn waiting(ask: &Ask) -> Result<Section, Fault> {
    let me = ask.session()?.person.email.to_string();
    let filter = ApprovalFilter {
        limit: Some(200),
        ..ApprovalFilter::default()
    };
    let all = ask
        .control()
        .approvals(&ask.caller()?, &filter)
        .await?
        .items;
    let rows = all
        .iter()
        .filter(|a| a.person.as_deref() == Some(me.as_str()))
        .take(SHOWN)
        .map(|a| {
            Row::new(
                &a.id,
                vec![
                    Cell::link(ask.to(&format!("/approvals/{}", a.id)), &a.opens),
                    Cell::badge(a.state.as_str()),
                    Cell::text(&a.agent),
                    ask.when(a.requested).into(),
                ],
            )
        });
    let table = Table::new(
        "requests",
        "Requests in my name",
        &["Request", "State", "Agent", "Asked"],
        Empty::new("No requests in your name", ""),
    )
    .rows(rows);
    Ok(Section::new("requests-of-mine", "Requests in progress").with(&table))
}

/// Agents that this person owns or sponsors.
fn answer_for(ask: &Ask) -> Result<Section, Fault> {
    let me = ask.session()?.person.id.clone();
    let registry = ask.place.book.registry();
    let own = registry.answered_by(&me);
    let rows = own.iter().take(200).map(|a| {
        let part = match (a.profile.owner == me, a.profile.sponsor == me) {
            (true, true) => "owner and sponsor",
            (true, false) => "owner",
            _ => "sponsor",
        };
        Row::new(
            &a.id,
            vec![
                Cell::link(ask.to_named("/agents", a.name.as_str(), ""), &a.name),
                Cell::badge(a.state.as_str()),
                Cell::text(part),
                Cell::link(
                    ask.to_named("/agents", a.name.as_str(), "/activity"),
                    "calls and denials, with what would change them",
                ),
            ],
        )
    });
    let table = Table::new(
        "own",
        "Agents I answer for",
        &["Agent", "State", "I am its", "Look"],
        if ask.holds_any(&[Role::Admin, Role::Developer]) {
            Empty::new("You answer for no agent", "").action(ask.to("/agents/new"), "Register one")
        } else {
            Empty::new("You answer for no agent", "")
        },
    )
    .rows(rows);
    Ok(Section::new("answer-for", "I answer for").with(&table))
}

fn let_act(ask: &Ask) -> Section {
    let form = ask
        .form("grant", "/mine/grant")
        .field(Field::new("agent", "Agent", Input::Line).value(ask.q("agent").unwrap_or_default()).required())
        .field(Field::new("workflow", "Workflow", Input::Line).value(ask.q("workflow").unwrap_or_default()).required())
        .field(Field::select("hours", "For", &["1 hour", "4 hours", "8 hours", "24 hours"], "8 hours"))
        .field(Field::new("ticket", "Ticket", Input::Line))
        .field(Field::new("authority", "Narrowed to (JSON)", Input::Area(4)).hint("Nothing means: whatever the workflow is granted. Example: {\"effects\": [\"read\"]}"))
        .button("Let it act for me", Tone::Main);
    Section::new("let-act", "Let an agent act for me")
        .note("It can do at most what you may and what it is granted, and only until then.")
        .with(&form)
}

async fn grant(ask: Ask) -> Result<Answer, Fault> {
    let hours: i64 = ask
        .field("hours")
        .split(' ')
        .next()
        .and_then(|h| h.parse().ok())
        .ok_or_else(|| Fault::invalid("say for how long"))?;
    let authority: Authority = match ask.given("authority") {
        None => Authority::default(),
        Some(text) => serde_json::from_str(&text)
            .map_err(|e| Fault::invalid(format!("what it is narrowed to cannot be read: {e}")))?,
    };
    let new = NewDelegation {
        agent: ask.field_as::<Name>("agent")?,
        workflow: ask.field_as::<Name>("workflow")?,
        kind: DelegationUse::Interactive,
        for_secs: hours.clamp(1, 24) * 3_600,
        ticket: ask.given("ticket"),
        authority,
        depth: None,
    };
    ask.control().grant_delegation(&ask.caller()?, new).await?;
    ask.done("/mine", "granted")
}

async fn list(ask: Ask) -> Result<Answer, Fault> {
    let filter = DelegationFilter {
        agent: ask.q_as("agent")?,
        state: ask.q("state").map(ToOwned::to_owned),
        ..DelegationFilter::default()
    };
    let all = ask.control().delegations(&ask.caller()?, &filter).await?;
    let rows = all.iter().take(500).map(|d| {
        Row::new(
            &d.id,
            vec![
                Cell::link(ask.to(&format!("/delegations/{}", d.id)), &d.id),
                Cell::badge(d.state),
                Cell::text(&d.person),
                Cell::text(&d.from),
                Cell::link(ask.to_named("/agents", &d.agent, ""), &d.workflow),
                Cell::lines(&d.narrows),
                ask.when(d.expires).into(),
            ],
        )
    });
    let table = Table::new(
        "delegations",
        "Delegations",
        &[
            "Delegation",
            "State",
            "For",
            "From",
            "Workflow",
            "Narrowed to",
            "Until",
        ],
        Empty::new("No delegations", ""),
    )
    .rows(rows);
    let bar = Filter::new(ask.to("/delegations"))
        .search("agent", "Agent", ask.q("agent"))
        .select(
            "state",
            "State",
            &["active", "revoked", "expired"],
            ask.q("state"),
        );
    let copy = Copy::get("delegation ls", &ask.place.base, "/delegations");
    ask.page("Delegations")
        .html(listed(
            "Delegations",
            "Who lets whom act, and how far.",
            Some((ask.to("/mine"), "Mine")),
            Some(&bar),
            &table,
            &copy,
        ))
        .ok()
}

async fn one(ask: Ask) -> Result<Answer, Fault> {
    let id: DelegationId = ask.named("id")?;
    let d = ask.control().delegation(&ask.caller()?, &id).await?;
    let header = Header::new("Delegation", format!("{} → {}", d.from, d.workflow))
        .id(&d.id)
        .state(d.state)
        .fact("For", Cell::text(&d.person))
        .fact(
            "Agent",
            Cell::link(ask.to_named("/agents", &d.agent, ""), &d.agent),
        )
        .fact("Until", ask.when(d.expires).with_exact())
        .copy(&Copy::get(
            &format!("delegation show {id}"),
            &ask.place.base,
            &format!("/delegations/{id}"),
        ));
    let about = about(&ask, &d);
    let drawn = chain(&ask, std::slice::from_ref(&d));
    let mut page = ask.page("Delegation").with(&header);
    if let Some(drawn) = drawn {
        page = page.with(&Section::new("hop", "Who lets whom act").with(&drawn));
    }
    page = page.with(&about);
    if d.state == "active" {
        let form = ask
            .form("revoke", &format!("/delegations/{id}/revoke"))
            .field(Field::new("reason", "Why", Input::Line).required())
            .button("Take it back", Tone::Danger);
        page = page.with(
            &Section::new("revoke-it", "Take it back")
                .note("Its runs, tokens and what was handed on end with it.")
                .with(&form),
        );
    }
    page.ok()
}

fn about(ask: &Ask, d: &DelegationView) -> Section {
    let facts = Facts::new()
        .row("How", Cell::text(word(&d.kind)))
        .maybe("Ticket", d.ticket.as_ref().map(Cell::text))
        .row("Narrows", Cell::lines(&d.narrows))
        .row(
            "May be handed on",
            Cell::text(format!("{} times", d.depth_left)),
        )
        .maybe(
            "Rests on",
            d.parent
                .as_ref()
                .map(|p| Cell::link(ask.to(&format!("/delegations/{p}")), p)),
        )
        .row("Made", ask.when(d.created).with_exact())
        .maybe(
            "Taken back",
            d.revoked.as_ref().map(|r| {
                Cell::text(format!(
                    "{} by {}: {}",
                    ask.when(r.at).exact,
                    r.by,
                    r.reason
                ))
            }),
        );
    let runs = d
        .runs
        .iter()
        .map(|r| Row::new(r, vec![Cell::link(ask.to(&format!("/runs/{r}")), r)]));
    let table = Table::new(
        "runs",
        "Runs that rest on it",
        &["Run"],
        Empty::new("No run rests on it", ""),
    )
    .rows(runs);
    Section::new("about", "About")
        .with(&facts)
        .with(&Code::new(
            "Narrowed to, exactly",
            Shown::json(&d.authority),
        ))
        .with(&table)
}

/// A chain of delegations as a picture: from person to agent to agent, with what each hop narrowed. None for no chain.
pub(crate) fn chain(ask: &Ask, hops: &[DelegationView]) -> Option<Layers> {
    let first = hops.first()?;
    let mut nodes = vec![Node {
        layer: 0,
        name: first.person.clone(),
        under: "person".to_owned(),
        href: ask.to(&format!("/delegations/{}", first.id)),
        class: "good",
    }];
    let mut edges = Vec::new();
    for (at, hop) in hops.iter().enumerate() {
        let mut words = vec![format!("until {}", ask.when(hop.expires).relative)];
        words.extend(hop.narrows.iter().cloned());
        if hop.narrows.is_empty() {
            words.push("not narrowed".to_owned());
        }
        edges.push(Edge {
            from: at,
            to: at + 1,
            weight: 2,
            words,
        });
        nodes.push(Node {
            layer: at + 1,
            name: hop.agent.clone(),
            under: format!("{} · {}", hop.workflow, hop.state),
            href: ask.to_named("/agents", &hop.agent, ""),
            class: if hop.state == "active" {
                "plain"
            } else {
                "bad"
            },
        });
    }
    Some(Layers::new(
        "chain-drawn",
        "Who let whom act",
        "On each line: until when, and what that hop narrowed. The table below says the same, whole.",
        &nodes,
        &edges,
    ))
}

async fn revoke(ask: Ask) -> Result<Answer, Fault> {
    let id: DelegationId = ask.named("id")?;
    ask.control()
        .revoke_delegation(&ask.caller()?, &id, ask.field("reason"))
        .await?;
    ask.done("/mine", "withdrawn")
}
