//! The views of one agent.

use remit_control::{
    AccessRow, AgentView, DelegationFilter, ListQuery, StoryQuery, Uses, WorkflowView,
};
use remit_domain::agent::AgentState;
use remit_domain::event::EventKind;

use super::{May, missing, with_header};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::audit::event_table;
use crate::fault::Fault;
use crate::picture::Decisions;
use crate::range::Range;
use crate::ui::{
    Cell, Code, Empty, Facts, Field, Filter, Html, Input, Lines, Notice, Row, Section, Table, Tone,
};

pub(super) async fn overview(ask: Ask) -> Result<Answer, Fault> {
    let (agent, mut page) = with_header(&ask, "")?;
    let caller = ask.caller()?;
    let may = May::of(&ask, &agent);
    let completeness = ask.control().completeness(&caller, &agent.name)?;
    if let Some(reason) = &agent.state_reason {
        page.notices.push(Notice::new(
            "warn",
            format!("{}: {reason}", agent.state.as_str()),
        ));
    }
    if agent.state == AgentState::Draft {
        let lines = missing(&completeness);
        let mut notice = Notice::new(
            "warn",
            if lines.is_empty() {
                "A draft, complete: its sponsor activates it."
            } else {
                "A draft: this is missing before it can be active."
            },
        );
        notice.more = lines.iter().map(crate::text::Shown::block).collect();
        notice.undo = (completeness.complete && may.sponsor)
            .then(|| button(&ask, &agent, "activate", "Activate"));
        page.notices.push(notice);
    }
    if agent.state == AgentState::Suspended && (may.answers || may.admin) {
        let form = ask
            .form("resume", &format!("/agents/{}/resume", agent.name))
            .field(Field::new("reason", "Why it may go on", Input::Line).required())
            .button("Resume", Tone::Main);
        page = page.with(&Section::new("resume-it", "Resume").with(&form));
    }
    let activity = ask.control().activity_of(&caller, &agent.id).await?;
    let calls = format!(
        "/agents/{}/activity",
        crate::ask::segment(agent.name.as_str())
    );
    let decisions = Decisions::new(&ask, &activity, &calls);
    let page = page
        .with(&Section::new("decisions", "Decisions, last 24 hours").with(&decisions))
        .with(&declared(&agent))
        .with(&workflows(&ask, &agent)?)
        .with(&keys(&ask, &agent, &may)?)
        .with(&delegations(&ask, &agent).await?);
    page.ok()
}

fn button(ask: &Ask, agent: &AgentView, verb: &str, words: &str) -> crate::ui::Form {
    ask.form(verb, &format!("/agents/{}/{verb}", agent.name))
        .button(words, Tone::Main)
        .inline()
}

fn declared(agent: &AgentView) -> Section {
    let Some(s) = &agent.spec else {
        return Section::new("declared", "Declared").with(&Lines::new([
            "Somebody who is named in it is not here any more.",
        ]));
    };
    let facts = Facts::new()
        .row("Purpose", Cell::block(&s.purpose))
        .row("Business process", Cell::text(&s.business_process))
        .row(
            "Model",
            Cell::text(format!("{} by {}", s.model, s.provider)),
        )
        .row("Runtime", Cell::text(&s.runtime))
        .maybe("Deputy", s.deputy.as_ref().map(Cell::text))
        .maybe("Team of deputies", s.deputy_team.as_ref().map(Cell::text))
        .maybe(
            "Responsible team",
            s.responsible_team.as_ref().map(Cell::text),
        )
        .maybe("Platform team", s.platform_team.as_ref().map(Cell::text))
        .row("Systems", Cell::lines(&s.systems))
        .row("Data classes", Cell::lines(&s.data_classes))
        .row(
            "Expected actions",
            Cell::lines(s.expected_actions.iter().map(|e| e.as_str())),
        )
        .row(
            "Reviewed every",
            Cell::text(format!("{} days", s.review_cadence_days)),
        )
        .row("Registered by", Cell::text(&agent.registered_by));
    Section::new("declared", "Declared").with(&facts)
}

fn workflows(ask: &Ask, agent: &AgentView) -> Result<Section, Fault> {
    let all = ask
        .control()
        .workflows(&ask.caller()?, &agent.name, &ListQuery::default())?
        .items;
    let mut section = Section::new("workflows", "Workflows and grants")
        .note("Granted is not reached: the Access view says what policies leave of it.");
    if all.is_empty() {
        section = section.with(
            &Empty::new(
                "No workflow",
                "An agent without a workflow gets no credential. Add one with YAML.",
            )
            .commands(&["remit apply -f workflow.yaml"]),
        );
    }
    if !all.is_empty() {
        section = section.with(&grants(ask, &all));
    }
    Ok(section)
}

fn grants(ask: &Ask, workflows: &[WorkflowView]) -> Table {
    let mut rows = Vec::new();
    for w in workflows {
        if w.spec.grants.is_empty() {
            rows.push(Row::new(
                &w.id,
                vec![
                    Cell::text("nothing granted"),
                    Cell::text(&w.name),
                    Cell::badge(w.state),
                ],
            ));
        }
        for (grant, id) in w.spec.grants.iter().zip(w.grant_ids.iter()) {
            rows.push(Row::new(
                id,
                vec![
                    Cell::link(crate::tools::address(ask, &grant.tool), &grant.tool),
                    Cell::text(&w.name),
                    Cell::badge(w.state),
                    Cell::lines(bounds(&grant.bounds)),
                    grant.expires.map(|t| ask.when(t)).into(),
                ],
            ));
        }
    }
    Table::new(
        "grants",
        "Grants of each workflow",
        &["Tool", "Workflow", "State", "Bounds", "Ends"],
        Empty::default(),
    )
    .rows(rows)
}

/// One line an argument.
fn bounds(bounds: &impl serde::Serialize) -> Vec<String> {
    let value = serde_json::to_value(bounds).unwrap_or_default();
    let all = value.as_object().into_iter().flatten();
    all.map(|(path, bound)| format!("{path}: {bound}"))
        .collect()
}

fn keys(ask: &Ask, agent: &AgentView, may: &May) -> Result<Section, Fault> {
    let keys = ask.control().keys(&ask.caller()?, &agent.name)?;
    let empty = Empty::new(
        "No key",
        "The agent's owner adds its public key; the private one never leaves the agent.",
    )
    .commands(&["remit agent key add AGENT --generate agent.pem"]);
    let rows = keys.iter().map(|k| {
        let remove = (k.state == "active" && (may.answers || may.admin)).then(|| {
            let form = ask
                .form(
                    format!("remove-{}", k.thumbprint),
                    &format!(
                        "/agents/{}/keys/{}/remove",
                        agent.name,
                        crate::ask::segment(&k.thumbprint)
                    ),
                )
                .button("Remove", Tone::Danger)
                .inline();
            Cell::Html(Html::of(&form))
        });
        Row::new(
            &k.thumbprint,
            vec![
                Cell::code(&k.thumbprint),
                Cell::badge(k.state),
                ask.when(k.created).into(),
                remove.into(),
            ],
        )
    });
    let table = Table::new(
        "keys",
        "Keys",
        &["Thumbprint", "State", "Added", "Remove"],
        empty,
    )
    .rows(rows);
    Ok(Section::new("keys-of", "Keys").with(&table))
}

async fn delegations(ask: &Ask, agent: &AgentView) -> Result<Section, Fault> {
    let filter = DelegationFilter {
        agent: Some(agent.name.clone()),
        state: Some("active".to_owned()),
        ..DelegationFilter::default()
    };
    let all = ask.control().delegations(&ask.caller()?, &filter).await?;
    let rows = all.iter().map(|d| {
        Row::new(
            &d.id,
            vec![
                Cell::link(ask.to(&format!("/delegations/{}", d.id)), &d.person),
                Cell::text(&d.from),
                Cell::text(&d.workflow),
                Cell::lines(&d.narrows),
                ask.when(d.expires).into(),
            ],
        )
    });
    let empty = Empty::new(
        "Acts for nobody",
        "A person lets it act for them under My agents, or with the command line.",
    )
    .commands(&["remit delegation grant --to AGENT --workflow WORKFLOW --for 8h"]);
    let table = Table::new(
        "delegations",
        "Who it acts for",
        &["For", "From", "Workflow", "Narrowed to", "Until"],
        empty,
    )
    .rows(rows);
    Ok(Section::new("acts-for", "Acts for").with(&table))
}

pub(super) async fn access(ask: Ask) -> Result<Answer, Fault> {
    let (agent, page) = with_header(&ask, "/access")?;
    let asks = ask.q("asks").is_some();
    let rows = ask.control().access(&ask.caller()?, &agent.name, asks)?;
    let uses = ask
        .control()
        .uses(&ask.caller()?, std::slice::from_ref(&agent.id))
        .await?;
    let table = reach(&ask, &agent, asks, &rows, &uses);
    let filter = Filter::new(ask.to_named("/agents", agent.name.as_str(), "/access")).check(
        "asks",
        "Only what has to wait for people",
        asks,
    );
    let explain = ask.to(&format!("/access/explain?agent={}", agent.name));
    let mut section = Section::new("effective", "Effective access")
        .note("Computed now, with arguments unknown. Ask “what if” with arguments under Access → Explain.")
        .with(&filter);
    if let Some(picture) = super::reach::picture(&ask, "reach", &agent, &rows, &uses) {
        section = section.with(&picture);
    }
    let section = section.with(&table).with(&Empty {
        action: Some((explain, "Explain a call".to_owned())),
        ..Empty::default()
    });
    page.with(&section).ok()
}

/// What the agent reaches, and how much of it is used.
pub(crate) fn reach(
    ask: &Ask,
    agent: &AgentView,
    asks: bool,
    rows: &[AccessRow],
    uses: &Uses,
) -> Table {
    let empty = Empty::new(
        if asks {
            "Nothing waits for people"
        } else {
            "It can reach nothing"
        },
        "Without a grant, and a policy that permits it, every call is denied.",
    );
    Table::new(
        "access",
        "What it can reach, as the policies in force decide it",
        &[
            "Tool",
            "Workflow",
            "Effect",
            "Decision",
            "Why and on what condition",
            "Who may approve",
            "Used (30 d)",
            "Last",
            "Ends",
        ],
        empty,
    )
    .rows(rows.iter().map(|r| {
        let used = uses
            .by
            .get(&(agent.id.clone(), r.tool.clone()))
            .copied()
            .unwrap_or_default();
        let (upstream, tool) = r.tool.split_once('/').unwrap_or((r.tool.as_str(), ""));
        let used_cell = if used.calls == 0 {
            Cell::text("never")
        } else {
            Cell::text(used.calls)
        };
        Row::new(
            format!("{} {}", r.workflow, r.tool),
            vec![
                Cell::link(
                    ask.to(&format!(
                        "/tools/{}/{}",
                        crate::ask::segment(upstream),
                        crate::ask::segment(tool)
                    )),
                    &r.tool,
                ),
                Cell::text(&r.workflow),
                r.effect.map(Cell::text).into(),
                Cell::badge(r.decision),
                Cell::lines(r.reasons.iter().chain(&r.conditions).chain(&r.policies)),
                Cell::lines(&r.approvers),
                used_cell,
                used.last.map(|t| ask.when(t)).into(),
                r.expires.map(|t| ask.when(t)).into(),
            ],
        )
    }))
}

pub(super) async fn activity(ask: Ask) -> Result<Answer, Fault> {
    let (agent, page) = with_header(&ask, "/activity")?;
    let range = Range::of(&ask)?;
    let query = StoryQuery {
        kind: Some(EventKind::CallDecided),
        before: ask.q_as("after")?,
        since: range.between.since,
        until: range.between.until,
        limit: None,
    };
    let listing = ask
        .control()
        .agent_story(&ask.caller()?, &agent.name, &query)
        .await?;
    let next = ask.next(listing.next);
    let table = event_table(&ask, "calls", "Calls, newest first", &listing.items, next);
    let runs = ask.to(&format!("/runs?agent={}", agent.name));
    let filter = range.fields(
        &ask,
        Filter::new(ask.to_named("/agents", agent.name.as_str(), "/activity")),
    );
    let section = Section::new("calls-of", "Calls")
        .with(&filter)
        .with(&table)
        .with(&Empty {
            action: Some((runs, "Its runs".to_owned())),
            ..Empty::default()
        });
    page.with(&section).ok()
}

pub(super) async fn history(ask: Ask) -> Result<Answer, Fault> {
    let (agent, page) = with_header(&ask, "/history")?;
    let range = Range::of(&ask)?;
    let query = StoryQuery {
        before: ask.q_as("after")?,
        since: range.between.since,
        until: range.between.until,
        ..StoryQuery::default()
    };
    let listing = ask
        .control()
        .agent_story(&ask.caller()?, &agent.name, &query)
        .await?;
    let next = ask.next(listing.next);
    let table = event_table(
        &ask,
        "history",
        "Everything, newest first",
        &listing.items,
        next,
    );
    let filter = range.fields(
        &ask,
        Filter::new(ask.to_named("/agents", agent.name.as_str(), "/history")),
    );
    page.with(
        &Section::new("history-of", "History")
            .note("Every entry of the ledger that is about this agent.")
            .with(&filter)
            .with(&table),
    )
    .ok()
}

/// The agent as a document.
pub(super) fn document(agent: &AgentView) -> String {
    let spec = agent
        .spec
        .as_ref()
        .and_then(|s| serde_json::to_value(s).ok())
        .unwrap_or_default();
    let body = serde_json::json!({
        "apiVersion": "remit.dev/v1",
        "kind": "Agent",
        "metadata": { "name": agent.name.as_str() },
        "spec": spec,
    });
    yaml_text(&body)
}

/// A value as YAML. Where a text in it would hide something, as JSON, which is YAML too and has escapes for that: what is
/// copied from here and applied again is the same, and nothing of it is unseen.
pub(crate) fn yaml_text(value: &serde_json::Value) -> String {
    let text = serde_saphyr::to_string(value).unwrap_or_default();
    if crate::text::hides(&text) {
        crate::text::escaped_json(value)
    } else {
        text
    }
}

pub(super) async fn yaml(ask: Ask) -> Result<Answer, Fault> {
    let (agent, page) = with_header(&ask, "/yaml")?;
    yaml_page(&ask, page, &agent.name.to_string(), &document(&agent), None).ok()
}

/// The document, and a form that changes it where the person may.
pub(super) fn yaml_page(
    ask: &Ask,
    page: crate::answer::Page,
    name: &str,
    text: &str,
    problem: Option<Notice>,
) -> crate::answer::Page {
    let may = ask.holds_any(&[remit_domain::Role::Admin, remit_domain::Role::Developer]);
    let mut section = Section::new("document", "Document")
        .note("The same as remit apply reads. What is checked here is what is checked there.");
    if may {
        let form = ask
            .form("yaml", &format!("/agents/{name}/yaml"))
            .field(
                Field::new("document", "YAML", Input::Area(28))
                    .value(text)
                    .required(),
            )
            .button("Apply", Tone::Main);
        section = section.with(&form);
    } else {
        section = section.with(&Code::new("YAML", text));
    }
    page.notice(problem).with(&section)
}
