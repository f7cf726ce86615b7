//! Bundles: what was ever proposed or live, who accepted it, what decides in the shadow, and the way back.

use remit_domain::Role;

use super::{header, proposals, short};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::text::Shown;
use crate::ui::{
    Cell, Code, Copy, Empty, Facts, Field, Header, Input, Lines, Row, Section, Table, Tone,
};

pub(super) async fn list(ask: Ask) -> Result<Answer, Fault> {
    let listing = ask
        .control()
        .policy_bundles(&ask.caller()?, &ask.list())
        .await?;
    let rows = listing.items.iter().map(|b| {
        let last = b.accepted.last();
        Row::new(
            &b.version,
            vec![
                Cell::link(
                    ask.to(&format!("/policies/bundles/{}", b.version)),
                    short(&b.version),
                ),
                Cell::badge(b.state),
                Cell::number(b.sets.len()),
                Cell::number(b.tests.len()),
                last.map(|a| Cell::text(&a.approved_by)).into(),
                ask.when(b.created).into(),
            ],
        )
    });
    let empty = Empty::new(
        "No bundles kept yet",
        "The first proposal, or the first change of a set, keeps one.",
    );
    let table = Table::new(
        "bundles",
        "Bundles",
        &[
            "Bundle",
            "State",
            "Sets",
            "Test files",
            "Accepted by",
            "Seen",
        ],
        empty,
    )
    .rows(rows)
    .next(ask.next(listing.next));
    let copy = Copy::get("policy bundles", &ask.place.base, "/bundles");
    let mut section = Section::new("bundles-of", "Bundles")
        .note("A bundle is what its text says: its name is the hash of it, and every decision names its bundle.")
        .with(&table);
    if ask.holds(Role::Admin) {
        section = section.with(&Empty {
            action: Some((ask.to("/policies/rollback"), "Roll back".to_owned())),
            ..Empty::default()
        });
    }
    ask.page("Policy bundles")
        .with(&header(&ask, "/bundles", &copy))
        .with(&section)
        .ok()
}

pub(super) async fn one(ask: Ask) -> Result<Answer, Fault> {
    let version: String = ask.named("version")?;
    let (caller, control) = (ask.caller()?, ask.control());
    let b = control.policy_bundle(&caller, &version).await?;
    let header = Header::new("Policy bundle", short(&b.version))
        .id(&b.version)
        .state(b.state)
        .fact("Seen first", ask.when(b.created).with_exact())
        .action(
            ask.holds(Role::Admin) && b.state == "accepted",
            ask.to(&format!("/policies/rollback?to={}", b.version)),
            "Go back to it",
            false,
        )
        .copy(&Copy::get(
            &format!("policy diff live {}", b.version),
            &ask.place.base,
            &format!("/bundles/{}", b.version),
        ));
    let rows = b.accepted.iter().map(|a| {
        Row::new(
            a.at,
            vec![
                Cell::text(a.how),
                Cell::text(&a.proposed_by),
                Cell::text(&a.approved_by),
                ask.when(a.at).with_exact().into(),
                Cell::badge(if a.signature_is_valid { "ok" } else { "failed" }),
            ],
        )
    });
    let accepted = Table::new(
        "accepted",
        "Who accepted it",
        &["How", "Proposed by", "Approved by", "When", "Signature"],
        Empty::new("Nobody yet", ""),
    )
    .rows(rows);
    let mut page = ask
        .page(format!("Policy bundle {}", short(&b.version)))
        .with(&header)
        .with(&Section::new("accepted-by", "Accepted").with(&accepted));
    if b.state != "live"
        && let Ok(diff) = control.policy_diff(&caller, "live", &b.version).await
    {
        page = page.with(&proposals::difference(&diff));
    }
    for (name, text) in &b.sets {
        page = page.with(&Code::new(format!("{name}.cedar"), text));
    }
    for (name, text) in &b.tests {
        page = page.with(&Code::new(Shown::line(name).to_string(), text));
    }
    page.ok()
}

pub(super) async fn shadow(ask: Ask) -> Result<Answer, Fault> {
    let r = ask.control().shadow_report(&ask.caller()?).await?;
    let header = Header::new("Policy bundle in the shadow", short(&r.bundle))
        .id(&r.bundle)
        .state("shadow")
        .fact("Since", ask.when(r.since).with_exact())
        .fact("Calls both decided", Cell::number(r.decisions))
        .fact("Agree", Cell::number(r.agree))
        .copy(&Copy::get(
            "policy shadow",
            &ask.place.base,
            "/bundles/shadow",
        ));
    let sorts: Vec<String> = r
        .differ
        .iter()
        .map(|(what, n)| format!("{what}: {n}"))
        .collect();
    let rows = r.flips.iter().map(|f| {
        let link = match &f.decision {
            Some(id) => Cell::link(ask.to(&format!("/decisions/{id}")), id),
            None => Cell::Nothing,
        };
        Row::new(
            f.at,
            vec![
                link,
                ask.when(f.at).into(),
                Cell::text(&f.tool),
                Cell::badge(&f.live),
                Cell::badge(&f.shadow),
            ],
        )
    });
    let table = Table::new(
        "flips",
        "Calls that it would have decided otherwise",
        &["Decision", "When", "Tool", "Was", "Would be"],
        Empty::new(
            "No difference so far",
            "It decides beside every call, without any effect.",
        ),
    )
    .rows(rows);
    let mut section = Section::new("shadow", "What differs")
        .with(&Lines::new(sorts))
        .with(&table);
    if ask.holds(Role::Admin) {
        let form = ask
            .form("unstage", "/policies/unstage")
            .button("Take it out of the shadow", Tone::Plain)
            .inline();
        section = section.with(&form);
    }
    ask.page("In the shadow").with(&header).with(&section).ok()
}

pub(super) async fn unstage(ask: Ask) -> Result<Answer, Fault> {
    ask.control().unstage(&ask.caller()?).await?;
    ask.done("/policies", "unstaged")
}

/// What going back changes, before it is done.
pub(super) async fn rollback_page(ask: Ask) -> Result<Answer, Fault> {
    let (caller, control) = (ask.caller()?, ask.control());
    let stage = control.policy_stage(&caller)?;
    let to = ask.q("to").map(ToOwned::to_owned).or(stage.before);
    let page = ask
        .page("Roll back")
        .with(&Header::new("Policies", "Roll back"));
    let Some(to) = to else {
        return page
            .with(
                &Section::new("rollback-it", "Nothing to go back to").with(&Empty::new(
                    "Nothing was live before this bundle",
                    "The first change of policies keeps what was there before.",
                )),
            )
            .ok();
    };
    let diff = control.policy_diff(&caller, "live", &to).await?;
    let form = ask
        .form("rollback", "/policies/rollback")
        .field(
            Field::new("to", "Bundle", Input::Line)
                .value(&to)
                .required(),
        )
        .button("Make this bundle live again", Tone::Danger);
    let facts = Facts::new()
        .row("Live now", Cell::code(&stage.live))
        .row("Back to", Cell::code(&to));
    page.with(&proposals::difference(&diff))
        .with(
            &Section::new("rollback-it", "Go back")
                .note("It was accepted when it was live; its signature is looked at again. Every call from then on is decided by it.")
                .with(&facts)
                .with(&form),
        )
        .ok()
}

pub(super) async fn rollback(ask: Ask) -> Result<Answer, Fault> {
    let to = ask.given("to");
    let back = ask
        .control()
        .roll_back(&ask.caller()?, to.as_deref())
        .await?;
    match back.proposal {
        // It takes policies away, or changes them: somebody else looks at it first.
        Some(waits) => ask.done(&format!("/policies/proposals/{}", waits.id), "proposed"),
        None => ask.done("/policies", "rolled_back"),
    }
}
