//! Consent: the agent's client has sent somebody here, who reads in plain words what the agent would do for them, and lets it
//! or not. What they let it is a delegation like any other.
//!
//! Source: RFC 6749 §4.1.1 and §10.2, RFC 9700 §4.16. The browser goes on by a page of ours, not by a redirect of the form:
//! forms of ours lead nowhere else (`form-action 'self'`).

use std::collections::BTreeMap;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use remit_books::entitled::{ActsFor, Withheld};
use remit_control::NewDelegation;
use remit_domain::authority::Authority;
use remit_domain::bounds::{ArgPath, Bound, Bounds};
use remit_domain::delegation::DelegationUse;
use remit_domain::tool::ToolRef;
use remit_domain::{Agent, Refusal, RefusalCode, Workflow};
use remit_issuer::Asked;

use crate::agents::word;
use crate::answer::{Answer, html};
use crate::ask::Ask;
use crate::fault::Fault;
use crate::layout;
use crate::route::{PERSON, Route, act, page};
use crate::text::Shown;
use crate::ui::{Cell, Empty, Facts, Field, Header, Html, Row, Section, Table, Tone};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/consent", PERSON, show),
        act("/consent/allow", PERSON, allow),
        act("/consent/deny", PERSON, deny),
    ]
}

/// The agent and workflow that are asked about, as they are now.
fn known(ask: &Ask, asked: &Asked) -> Result<(Agent, Workflow), Fault> {
    let registry = ask.place.book.registry();
    let agent = registry.standing_agent(&asked.agent)?;
    let workflow = registry.standing_workflow(&asked.agent, &asked.workflow)?;
    Ok(((*agent).clone(), (*workflow).clone()))
}

/// The request, when it is one that counts now.
fn asked(ask: &Ask, sealed: &str) -> Result<Asked, Fault> {
    let found = ask.issuer().consent_asked(ask.place.org(), sealed);
    found.map_err(begin_again)
}

/// The request, used up.
async fn decided(ask: &Ask) -> Result<Asked, Fault> {
    let sealed = ask.field("request");
    let decided = ask.issuer().decide_consent(ask.place.org(), sealed).await;
    decided.map_err(begin_again)
}

fn begin_again(refusal: Refusal) -> Fault {
    match refusal.code {
        RefusalCode::ProofInvalid | RefusalCode::Unauthenticated => Fault::invalid(
            "what the agent asked for has ended or was answered already; begin again where you came from",
        ),
        _ => refusal.into(),
    }
}

async fn show(ask: Ask) -> Result<Answer, Fault> {
    let request = ask.q("request").unwrap_or_default().to_owned();
    let asked = asked(&ask, &request)?;
    let (agent, workflow) = known(&ask, &asked)?;
    let not_let = withheld(&ask, &asked, &all_of(&asked, &workflow))?;
    let header = Header::new("Consent", format!("Let {} act for you?", agent.name));
    let goes = format!(
        "{} asks to act in your name, in its workflow {}. Your answer goes to {}.",
        agent.name, workflow.name, asked.redirect_uri
    );
    let email = |id| {
        let registry = ask.place.book.registry();
        registry.people.get(id).map(|p| p.email.to_string())
    };
    let facts = Facts::new()
        .row("You are", Cell::text(&ask.session()?.person.email))
        .row("Agent", Cell::text(&agent.name))
        .row("What the agent is for", Cell::text(&agent.profile.purpose))
        .row("Workflow", Cell::text(&workflow.name))
        .row("What the workflow is for", Cell::text(&workflow.purpose))
        .maybe(
            "Answers for the agent",
            email(&agent.profile.sponsor).map(Cell::text),
        )
        .row(
            "Data it may touch",
            Cell::lines(workflow.data_classes.iter().map(ToString::to_string)),
        )
        .maybe("Its client", asked.client.as_ref().map(Cell::text))
        .row("The answer goes to", Cell::text(&asked.redirect_uri));
    let yes = ask
        .form("allow", "/consent/allow")
        .field(Field::hidden("request", &request))
        .field(Field::select(
            "hours",
            "For how long",
            &["1 hour", "4 hours", "8 hours", "24 hours"],
            "1 hour",
        ))
        .field(Field::select(
            "effects",
            "What it may do",
            &["everything in the list", "only read"],
            "everything in the list",
        ))
        .button("Let it act for me", Tone::Main);
    let no = ask
        .form("deny", "/consent/deny")
        .field(Field::hidden("request", &request))
        .button("Do not", Tone::Danger);
    ask.page("Let an agent act for you?")
        .with(&header)
        .with(&Section::new("who", "Who asks").note(goes).with(&facts))
        .with(&what(&asked, &not_let).with(&tools(&ask, &workflow, &asked, &not_let)))
        .with(
            &Section::new("decide", "Your answer")
                .note(
                    "At each call it can do at most what you may and what its workflow may then: above is how that is now. It passes nothing on to \
                     other agents, and it ends at that time. You take it back at any time under My agents. \
                     If you did not begin this yourself just now, do not let it.",
                )
                .with(&yes)
                .with(&no),
        )
        .ok()
}

/// What heads the tools: all of the workflow's, or those of them that the client asks for.
fn what(asked: &Asked, not_let: &Withheld) -> Section {
    let section = Section::new("what", "What it may do");
    let section = match not_let.tools.is_empty() {
        true => section,
        false => {
            let names: Vec<String> = not_let.tools.iter().map(ToString::to_string).collect();
            section.note(format!(
                "Not in the list, since you do not hold what they ask for: {}. Your answer does not let it use them.",
                names.join(", ")
            ))
        }
    };
    match asked.tools {
        None => section,
        Some(_) => section.note(
            "It asks for these tools only, out of those of its workflow, and only where all that is said of their arguments holds.",
        ),
    }
}

/// The tools that are asked for: all of the workflow's where none are named.
fn all_of(asked: &Asked, workflow: &Workflow) -> BTreeMap<ToolRef, Bounds> {
    asked.tools.clone().unwrap_or_else(|| {
        let granted = workflow.grants.iter();
        let free = granted.map(|grant| (grant.tool.clone(), Bounds::default()));
        free.collect()
    })
}

/// What of these tools the person who is asked is not entitled to.
fn withheld(
    ask: &Ask,
    asked: &Asked,
    tools: &BTreeMap<ToolRef, Bounds>,
) -> Result<Withheld, Fault> {
    let engine = ask.place.book.engine();
    let registry = ask.place.book.registry();
    let agent = registry.standing_agent(&asked.agent)?;
    let workflow = registry.standing_workflow(&asked.agent, &asked.workflow)?;
    let who = ActsFor {
        agent: &agent,
        workflow: &workflow,
        person: registry.people.get(&ask.session()?.person.id),
    };
    let authority = Authority {
        tools: Some(tools.clone()),
        ..Authority::default()
    };
    Ok(Withheld::of(
        &registry,
        engine.as_deref(),
        who,
        &authority,
        ask.now(),
    ))
}

/// The tools of the workflow, or those of them that are asked for; what each does, and within which bounds.
fn tools(ask: &Ask, workflow: &Workflow, asked: &Asked, not_let: &Withheld) -> Table {
    let asked = asked.tools.as_ref();
    let registry = ask.place.book.registry();
    let now = ask.now();
    let live = |end: Option<remit_domain::Timestamp>| end.is_none_or(|end| now < end);
    let does = |tool: &ToolRef| {
        let known = registry.tools.get(tool)?.classification.as_ref()?;
        let data = known.data_classes.iter().map(ToString::to_string);
        Some((word(&known.effect), data.collect::<Vec<_>>()))
    };
    let rows = workflow
        .grants
        .iter()
        .filter(|g| live(g.expires) && asked.is_none_or(|asked| asked.contains_key(&g.tool)))
        .filter(|g| !not_let.tools.contains(&g.tool))
        .map(|grant| {
            let own = asked.and_then(|asked| asked.get(&grant.tool));
            let (effect, data) = does(&grant.tool).unwrap_or_default();
            Row::new(
                &grant.id,
                vec![
                    Cell::text(&grant.tool),
                    Cell::text(effect),
                    Cell::lines(data),
                    Cell::lines(bounds(&grant.bounds, own)),
                ],
            )
        });
    Table::new(
        "tools",
        "Tools",
        &["Tool", "What it does", "Data", "Only where"],
        Empty::new("It may call no tool", ""),
    )
    .rows(rows)
}

/// What has to hold of the arguments: what the grant says, and what is asked for, without what the other implies.
fn bounds(granted: &Bounds, asked: Option<&Bounds>) -> Vec<String> {
    let mut all = granted.clone();
    for (path, bounds) in asked.iter().flat_map(|asked| &asked.0) {
        all.0
            .entry(path.clone())
            .or_default()
            .extend(bounds.iter().cloned());
    }
    let all = all.essential();
    let line = |(path, bounds): (&ArgPath, &Vec<Bound>)| match bounds.as_slice() {
        [] => vec![format!("{path} is given")],
        bounds => bounds
            .iter()
            .map(|bound| format!("{path} is {bound}"))
            .collect(),
    };
    all.0.iter().flat_map(line).collect()
}

async fn allow(ask: Ask) -> Result<Answer, Fault> {
    let hours: i64 = ask
        .field("hours")
        .split(' ')
        .next()
        .and_then(|h| h.parse().ok())
        .ok_or_else(|| Fault::invalid("say for how long"))?;
    let only_read = match ask.field("effects") {
        "only read" => true,
        "everything in the list" => false,
        _ => return Err(Fault::invalid("say what it may do")),
    };
    let (org, issuer) = (ask.place.org().clone(), ask.issuer().clone());
    let asked = asked(&ask, ask.field("request"))?;
    let (agent, workflow) = known(&ask, &asked)?;
    let mut authority = Authority {
        tools: asked.tools.clone(),
        ..Authority::default()
    };
    if let Some(tools) = &asked.tools {
        withheld(&ask, &asked, tools)?.take_from(&mut authority);
    }
    if authority.tools.as_ref().is_some_and(BTreeMap::is_empty) {
        return Err(Fault::invalid(
            "you hold nothing of what it asks for, so there is nothing to let; do not",
        ));
    }
    if only_read {
        authority.effects = Some([remit_domain::tool::Effect::Read].into());
    }
    let new = NewDelegation {
        agent: agent.name.clone(),
        workflow: workflow.name,
        kind: DelegationUse::Interactive,
        for_secs: hours.clamp(1, 24) * 3_600,
        ticket: None,
        authority,
        // Nothing on the page names sub-agents: the person's authority goes to nobody else.
        depth: Some(0),
    };
    // First it is used up, then it counts: of two answers sent at once one is too late.
    let asked = decided(&ask).await?;
    let made = ask
        .control()
        .consent_delegation(&ask.caller()?, new)
        .await?;
    let by = ask.session()?.person.id.clone();
    let to = issuer.consent_given(&org, asked, &made.id, &by)?;
    Ok(on(&agent.name, &to))
}

async fn deny(ask: Ask) -> Result<Answer, Fault> {
    let (org, issuer) = (ask.place.org().clone(), ask.issuer().clone());
    let asked = decided(&ask).await?;
    let named = {
        let registry = ask.place.book.registry();
        let agent = registry.agents.get(&asked.agent);
        agent.map_or_else(String::new, |agent| agent.name.to_string())
    };
    let to = issuer.consent_denied(&org, asked).await?;
    Ok(on(&named, &to))
}

#[derive(Template)]
#[template(
    source = "<h1>Back to {{ agent }}</h1><p>Your answer is on its way. If nothing happens, <a id=\"on\" rel=\"noreferrer\" href=\"{{ to }}\">go on to the client</a>.</p>",
    ext = "html"
)]
struct On<'a> {
    agent: Shown,
    to: &'a str,
}

/// The way back to the client: by itself, or by the person's own hand.
fn on(agent: &impl std::fmt::Display, to: &str) -> Answer {
    let body = Html::of(&On {
        agent: Shown::line(agent),
        to,
    });
    let mut response = html(StatusCode::OK, layout::bare("Back to the client", body));
    if let Ok(value) = HeaderValue::from_str(&format!("0; url={to}")) {
        response.headers_mut().insert(header::REFRESH, value);
    }
    Answer::Raw(response)
}
