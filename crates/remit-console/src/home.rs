//! Home: what needs this person, how things are, what was decided, what to look at.

mod parts;

use askama::Template;
use remit_control::{ApprovalFilter, ApprovalView, ListQuery};
use remit_domain::Role;
use remit_domain::agent::AgentState;
use remit_domain::approval::ApprovalState;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::picture::Decisions;
use crate::route::{PERSON, Route, page};
use crate::text::Shown;
use crate::time::left;
use crate::ui::{Badge, Cell, Empty, Facts, Html, Row, Section, Table};

/// Things that need somebody, shown at most.
const NEEDS_MAX: usize = 12;
/// Findings shown at most.
const FINDINGS_MAX: usize = 8;

pub(crate) fn routes() -> Vec<Route> {
    vec![page("/", PERSON, home), page("/health", PERSON, health)]
}

/// Something that needs this person.
struct Need {
    href: String,
    sign: &'static str,
    what: Shown,
    who: Shown,
    left: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    at: String,
    needs: Vec<Need>,
    empty: Empty,
    decisions: Decisions,
    health: Facts,
    findings: Html,
    parts: Vec<Html>,
    may_see_health: bool,
    may_register: bool,
    agents: Vec<(Badge, usize, String)>,
}

async fn home(ask: Ask) -> Result<Answer, Fault> {
    let (caller, control) = (ask.caller()?, ask.control());
    // Who only approves has one thing to do here.
    let roles = &ask.session()?.person.roles;
    if roles.len() == 1 && roles.contains(&Role::Approver) {
        return Ok(Answer::See(ask.to("/approvals")));
    }
    let activity = control.activity(&caller).await?;
    let home = Home {
        at: ask.place.at.clone(),
        needs: needs(&ask).await?,
        empty: Empty::new(
            "Nothing needs you",
            "Approvals you may decide, agents you answer for and findings come here.",
        )
        .action(ask.to("/connect"), "Connect an agent")
        .commands(&["remit agent ls", "remit approval ls --mine", "remit doctor"]),
        decisions: Decisions::new(
            &ask,
            &activity,
            if ask.holds_any(&[Role::Admin, Role::Auditor]) {
                "/audit?kind=call.decided"
            } else {
                "/runs"
            },
        ),
        health: state(&ask).await?,
        findings: findings(&ask).await?,
        parts: parts::of(&ask).await?,
        may_see_health: ask.holds_any(&[Role::Admin, Role::Auditor]),
        may_register: ask.holds_any(&[Role::Admin, Role::Developer]),
        agents: agents(&ask),
    };
    ask.page("Home").with(&home).ok()
}

async fn needs(ask: &Ask) -> Result<Vec<Need>, Fault> {
    let (caller, control) = (ask.caller()?, ask.control());
    let filter = ApprovalFilter {
        state: Some(ApprovalState::Pending),
        mine: true,
        limit: Some(100),
        ..ApprovalFilter::default()
    };
    let mut approvals = control.approvals(&caller, &filter).await?.items;
    approvals.sort_by_key(|a| a.expires);
    let mut needs: Vec<Need> = approvals.iter().map(|a| of_approval(ask, a)).collect();
    let labels = crate::labels::waiting(ask).await?;
    let owned = owned(ask).await?;
    let me = &ask.session()?.person.id;
    let registry = ask.place.book.registry();
    let drafts: Vec<_> = registry
        .answered_by(me)
        .into_iter()
        .filter(|a| a.state == AgentState::Draft)
        .take(NEEDS_MAX)
        .map(|a| Need {
            href: ask.to_named("/agents", a.name.as_str(), ""),
            sign: "◔",
            what: Shown::line(format!("{} is a draft", a.name)),
            who: Shown::line(if a.profile.sponsor == *me {
                "you are its sponsor: activate it"
            } else {
                "complete it; its sponsor activates it"
            }),
            left: String::new(),
        })
        .collect();
    needs.extend(labels.iter().map(|d| Need {
        href: ask.to(&format!("/labels/{}", d.id)),
        sign: "?",
        what: Shown::line(format!("take labels back from a run of {}", d.agent)),
        who: Shown::line(&d.reason),
        left: String::new(),
    }));
    needs.extend(drafts);
    needs.extend(owned);
    needs.truncate(NEEDS_MAX);
    Ok(needs)
}

/// Open findings that this person has to do something about: a key that is due to be replaced, for instance.
async fn owned(ask: &Ask) -> Result<Vec<Need>, Fault> {
    let query = ListQuery {
        state: Some("open".to_owned()),
        limit: Some(1_000),
        ..ListQuery::default()
    };
    let found = ask.control().own_findings(&ask.caller()?, &query).await?;
    let need = |f: &remit_control::FindingView| Need {
        href: ask.to("/findings?mine=1"),
        sign: "!",
        what: Shown::line(&f.text),
        who: Shown::line(f.kind.as_str()),
        left: String::new(),
    };
    Ok(found.items.iter().take(NEEDS_MAX).map(need).collect())
}

fn of_approval(ask: &Ask, approval: &ApprovalView) -> Need {
    Need {
        href: ask.to(&format!("/approvals?id={}", approval.id)),
        sign: "?",
        what: Shown::line(&approval.opens),
        who: Shown::line(&approval.agent),
        left: left(approval.expires.secs_since(ask.now())),
    }
}

/// How things are, as far as it is known without asking anybody.
async fn state(ask: &Ask) -> Result<Facts, Fault> {
    let store = ask.site.console.books.store();
    let broken = |_| Fault::Failed;
    let entries = store.entry_count(ask.place.org()).await.map_err(broken)?;
    let signed = store.checkpoint(ask.place.org()).await.map_err(broken)?;
    let upstreams = ask
        .control()
        .upstreams(&ask.caller()?, &ListQuery::default())?
        .items;
    let on = upstreams
        .iter()
        .filter(|u| u.state == "enabled" || u.state == "active")
        .count();
    let changed: usize = upstreams
        .iter()
        .filter_map(|u| u.tools.get("changed"))
        .sum();
    let (runs, contained) = {
        let registry = ask.place.book.registry();
        (registry.runs.len(), registry.containments.len())
    };
    let signed = signed.map_or_else(
        || "none yet".to_owned(),
        |(size, _)| format!("signed up to #{size}"),
    );
    Ok(Facts::new()
        .row("Ledger", Cell::text(format!("{entries} entries, {signed}")))
        .row(
            "Upstreams",
            Cell::link(
                ask.to("/upstreams"),
                format!("{on} of {} in use", upstreams.len()),
            ),
        )
        .row(
            "Changed tools",
            Cell::link(ask.to("/tools?state=changed"), changed),
        )
        .row(
            "Runs going on",
            Cell::link(ask.to("/runs?state=active"), runs),
        )
        .row("Contained", Cell::text(contained))
        .row(
            "Other nodes",
            Cell::text(if store.is_fresh() {
                "changes arrive"
            } else {
                "changes do not arrive: everything is denied"
            }),
        ))
}

async fn findings(ask: &Ask) -> Result<Html, Fault> {
    let query = ListQuery {
        limit: Some(FINDINGS_MAX),
        state: Some("open".to_owned()),
        ..ListQuery::default()
    };
    let found = ask.control().findings(&ask.caller()?, &query).await?.items;
    let empty = Empty::new(
        "No open findings",
        "Orphans, stale access, changed tools and policy errors come here by themselves.",
    );
    let table = Table::new(
        "findings",
        "Open findings, newest first",
        &["Finding", "What", "Seen", "First"],
        empty,
    )
    .rows(found.iter().map(|f| {
        let text = Cell::link(ask.to(&format!("/findings#{}", f.id)), &f.text);
        Row::new(
            &f.id,
            vec![
                Cell::badge(f.kind.as_str()),
                text,
                Cell::number(format!("{}×", f.seen)),
                ask.when(f.opened).into(),
            ],
        )
    }));
    Ok(Html::of(&table))
}

fn agents(ask: &Ask) -> Vec<(Badge, usize, String)> {
    let registry = ask.place.book.registry();
    registry
        .agent_states()
        .into_iter()
        .map(|(state, n)| {
            (
                Badge::new(state),
                n,
                ask.to(&format!("/agents?state={state}")),
            )
        })
        .collect()
}

/// The doctor asks upstreams, which takes time; Home shows it when it has answered.
async fn health(ask: Ask) -> Result<Answer, Fault> {
    let checks = ask.control().doctor(&ask.caller()?).await?;
    let rows = checks.iter().map(|c| {
        Row::new(
            &c.name,
            vec![
                Cell::text(&c.name),
                Cell::badge(if c.ok { "ok" } else { "failed" }),
                Cell::block(&c.detail),
                Cell::block(&c.fix),
            ],
        )
    });
    let table = Table::new(
        "health",
        "Health checks",
        &["Check", "State", "Found", "What to do"],
        Empty::default(),
    )
    .rows(rows);
    if ask.part {
        return Ok(Answer::Part(Html::of(&table)));
    }
    let section = Section::new("checks", "Health")
        .note("The same as remit doctor: every check says what it looked at.")
        .with(&table);
    ask.page("Health").with(&section).ok()
}
