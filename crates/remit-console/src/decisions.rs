//! One decision: what, why, on which facts, and what would change it.

use remit_control::{DecisionView, Why};
use remit_domain::{DecisionId, Role};

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::route::{AUDITOR, PERSON, Route, act, page};
use crate::text::Shown;
use crate::ui::{Cell, Code, Copy, Empty, Facts, Header, Lines, Notice, Section, Tone};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/decisions/{id}", PERSON, show),
        act("/decisions/{id}/replay", AUDITOR, replay),
    ]
}

async fn show(ask: Ask) -> Result<Answer, Fault> {
    let id: DecisionId = ask.named("id")?;
    shown(&ask, &id, None).await
}

async fn shown(ask: &Ask, id: &DecisionId, notice: Option<Notice>) -> Result<Answer, Fault> {
    let why = ask.control().why(&ask.caller()?, id).await?;
    let d = &why.decision;
    let header = header(ask, d);
    let mut reasons = Section::new("why", "Why").with(&Lines::new(&why.reasons));
    for policy in &why.policies {
        let sort = if policy.asks {
            "asks"
        } else if policy.forbids {
            "forbids"
        } else {
            "permits"
        };
        let label = Shown::line(format!(
            "{} ({sort}, line {}): {}",
            policy.id, policy.line, policy.text
        ));
        reasons = reasons.with(&Code::new(label.to_string(), &policy.source));
    }
    let change = if why.would_change.is_empty() {
        Section::new("change", "What would change it").with(&Empty::new(
            "Nothing about the call",
            "The decision rests on a permit; only another policy would change it.",
        ))
    } else {
        Section::new("change", "What would change it").with(&Lines::new(&why.would_change))
    };
    let mut inputs = inputs(ask, &why);
    let mut page = ask
        .page(format!("{} {}", d.outcome, d.tool))
        .notice(notice)
        .with(&header)
        .with(&reasons)
        .with(&change);
    if ask.holds(Role::Auditor) {
        let form = ask
            .form("replay", &format!("/decisions/{id}/replay"))
            .button("Decide it again from the record", Tone::Plain)
            .inline();
        inputs = inputs.with(&form);
    }
    page = page.with(&inputs);
    page.ok()
}

fn header(ask: &Ask, d: &DecisionView) -> Header {
    let id = &d.id;
    Header::new("Decision", &d.tool)
        .id(&d.id)
        .state(&d.outcome)
        .fact(
            "Agent",
            d.agent
                .as_ref()
                .map(|a| Cell::link(ask.to_named("/agents", a, ""), a)),
        )
        .fact("Workflow", Cell::text(&d.workflow))
        .fact("When", ask.when(d.at).with_exact())
        .fact(
            "Run",
            d.run
                .as_ref()
                .map(|r| Cell::link(ask.to(&format!("/runs/{r}")), r)),
        )
        .fact("Outcome", d.result.as_ref().map(|r| Cell::badge(r)))
        .copy(&Copy::get(
            &format!("decision why {id}"),
            &ask.place.base,
            &format!("/decisions/{id}/why"),
        ))
}

/// Everything it was decided on, as far as this person may read it.
fn inputs(ask: &Ask, why: &Why) -> Section {
    let d = &why.decision;
    let facts = Facts::new()
        .maybe("For", d.person.as_ref().map(Cell::text))
        .maybe("Sponsor", d.sponsor.as_ref().map(Cell::text))
        .maybe("Effect", d.effect.as_ref().map(Cell::text))
        .maybe("System", d.system.as_ref().map(Cell::text))
        .row("Consent", Cell::text(d.consent.replace('_', " ")))
        .row("Via", Cell::lines(&why.chain))
        .row("Entry", entry(ask, d.index));
    let mut inputs = Section::new("inputs", "What it was decided on")
        .with(&facts)
        .with(&Code::new(
            "Arguments, as far as the tool lets them be shown",
            Shown::json(&d.summary),
        ));
    if d.shredded {
        inputs = inputs
            .note("What was sealed with it was destroyed; what is left is in the ledger's leaf.");
    }
    if let Some(call) = &why.call {
        inputs = inputs.with(&Code::new("The call, whole", Shown::json(call)));
    }
    if let Some(fixed) = &why.facts {
        inputs = inputs.with(&Code::new("Facts of the registry", Shown::json(fixed)));
    }
    inputs
}

/// The entry, with a link for those who may read the ledger.
fn entry(ask: &Ask, index: u64) -> Cell {
    let words = format!("#{index}");
    if ask.holds_any(&[Role::Admin, Role::Auditor]) {
        Cell::link(ask.to(&format!("/audit/{index}")), words)
    } else {
        Cell::text(words)
    }
}

async fn replay(ask: Ask) -> Result<Answer, Fault> {
    let id: DecisionId = ask.named("id")?;
    let replayed = ask.control().replay(&ask.caller()?, &id).await?;
    let notice = if replayed.same {
        Notice::new(
            "good",
            format!(
                "Decided again from what was recorded, by the policies of then ({}): the same.",
                replayed.engine
            ),
        )
    } else {
        let mut notice = Notice::new("bad", "Decided again from what was recorded: not the same.");
        notice.more = replayed
            .differences
            .iter()
            .chain(&replayed.note)
            .map(Shown::block)
            .collect();
        notice
    };
    shown(&ask, &id, Some(notice)).await
}
