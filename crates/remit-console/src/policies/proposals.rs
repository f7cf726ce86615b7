//! Proposals: made by one person, looked at with what tests and the solver found, decided by another, made live.

use remit_control::{BundleDiff, ClaimResult, NewProposal, ProposalReport, ProposalView};
use remit_domain::name::Name;
use remit_domain::{ProposalId, Role};

use super::{header, short};
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::range::Range;
use crate::text::Shown;
use crate::ui::{
    Button, Cell, Copy, Diff, Empty, Facts, Field, Filter, Header, Html, Input, Lines, Notice, Row,
    Section, Table, Tone,
};

pub(super) async fn list(ask: Ask) -> Result<Answer, Fault> {
    let range = Range::of(&ask)?;
    let listing = ask
        .control()
        .proposals(&ask.caller()?, &range.list(&ask))
        .await?;
    let rows = listing.items.iter().map(|p| {
        Row::new(
            &p.id,
            vec![
                Cell::link(ask.to(&format!("/policies/proposals/{}", p.id)), &p.title),
                Cell::badge(p.state),
                Cell::text(&p.proposed_by),
                ask.when(p.proposed_at).into(),
                p.decided_by.as_ref().map(Cell::text).into(),
                Cell::link(
                    ask.to(&format!("/policies/bundles/{}", p.bundle)),
                    short(&p.bundle),
                ),
                p.source.as_ref().map(Cell::text).into(),
            ],
        )
    });
    let empty = Empty::new(
        "No proposals",
        "Somebody proposes other policies; they are tested and proved, and somebody else approves them.",
    )
    .action(ask.to("/help/guides/policy"), "How policies change")
    .commands(&["remit policy propose DIR --title TEXT", "remit policy approve ID"]);
    let head = [
        "Proposal",
        "State",
        "By",
        "When",
        "Decided by",
        "Bundle",
        "Source",
    ];
    let table = Table::new("proposals", "Proposals, newest first", &head, empty)
        .rows(rows)
        .next(ask.next(listing.next));
    let filter = Filter::new(ask.to("/policies/proposals")).select(
        "state",
        "State",
        &["proposed", "approved", "rejected", "enforced"],
        ask.q("state"),
    );
    let filter = range.fields(&ask, filter);
    let copy = Copy::get("policy proposals", &ask.place.base, "/proposals");
    ask.page("Proposals")
        .with(&header(&ask, "/proposals", &copy))
        .with(
            &Section::new("proposals-of", "Proposals")
                .with(&filter)
                .with(&table),
        )
        .ok()
}

pub(super) async fn form(ask: Ask) -> Result<Answer, Fault> {
    shown(&ask, None).await?.ok()
}

/// As it was typed, or as the address says, or this.
fn given(ask: &Ask, name: &str, or: impl FnOnce() -> String) -> String {
    match (ask.field(name), ask.q(name)) {
        ("", None) => or(),
        ("", Some(asked)) => asked.to_owned(),
        (typed, _) => typed.to_owned(),
    }
}

async fn shown(ask: &Ask, fault: Option<&Fault>) -> Result<Page, Fault> {
    let live = ask.control().policy_bundle(&ask.caller()?, "live").await?;
    let set = given(ask, "set", String::new);
    let text = given(ask, "text", || {
        let name: Option<Name> = set.parse().ok();
        name.and_then(|n| live.sets.get(&n).cloned())
            .unwrap_or_default()
    });
    let file = given(ask, "test_file", || {
        live.tests.keys().next().cloned().unwrap_or_default()
    });
    let tests = given(ask, "tests", || {
        live.tests.get(&file).cloned().unwrap_or_default()
    });
    let form = ask
        .form("propose", "/policies/propose")
        .field(
            Field::new("title", "What it is for", Input::Line)
                .value(ask.field("title"))
                .required(),
        )
        .field(
            Field::new("source", "Where it comes from", Input::Line)
                .hint("A ticket or a commit.")
                .value(ask.field("source")),
        )
        .field(
            Field::new("set", "Set", Input::Line)
                .hint("Its name; a new one makes a new set. All other sets stay as they are.")
                .value(set)
                .required(),
        )
        .field(Field::new("text", "Cedar", Input::Area(24)).value(text))
        .field(Field::new(
            "remove",
            "Take this set away",
            Input::Check(!ask.field("remove").is_empty()),
        ))
        .field(
            Field::new("test_file", "Test file", Input::Line)
                .hint("Its name; the other test files stay as they are.")
                .value(file),
        )
        .field(Field::new("tests", "Test cases and claims (YAML)", Input::Area(10)).value(tests))
        .button("Propose it", Tone::Main);
    let header = Header::new("Policies", "Propose a change").copy(&Copy::get(
        "policy propose DIR --title TEXT",
        &ask.place.base,
        "/proposals",
    ));
    let mut page = ask.page("Propose policies");
    if let Some(fault) = fault {
        let mut notice = Notice::new("bad", capitalized(&fault.text()));
        notice.more = fault.more().iter().map(Shown::block).collect();
        page = page.notice(Some(notice)).status(fault.status());
    }
    let section = Section::new("propose-it", "The change")
        .note("Nothing goes live by proposing it. It is compiled, its tests run, the solver looks at its claims, and somebody else decides.")
        .with(&form);
    Ok(page.with(&header).with(&section))
}

/// What is live, with this change in it.
async fn changed(ask: &Ask) -> Result<NewProposal, Fault> {
    let live = ask.control().policy_bundle(&ask.caller()?, "live").await?;
    let (mut sets, mut tests) = (live.sets, live.tests);
    let name: Name = ask.field_as("set")?;
    if ask.field("remove").is_empty() {
        sets.insert(name, ask.field("text").replace("\r\n", "\n"));
    } else {
        sets.remove(&name);
    }
    if let Some(file) = ask.given("test_file") {
        match ask.given("tests") {
            Some(_) => {
                tests.insert(file, ask.field("tests").replace("\r\n", "\n"));
            }
            None => {
                tests.remove(&file);
            }
        }
    }
    Ok(NewProposal {
        title: ask.field("title").trim().to_owned(),
        sets,
        tests,
        source: ask.given("source"),
    })
}

pub(super) async fn propose(ask: Ask) -> Result<Answer, Fault> {
    let made = async {
        let new = changed(&ask).await?;
        let caller = ask.caller()?;
        ask.control()
            .propose_policies(&caller, new)
            .await
            .map_err(Fault::from)
    };
    match made.await {
        Ok(proposal) => ask.done(&format!("/policies/proposals/{}", proposal.id), "proposed"),
        Err(fault) if fault.is_correctable() => shown(&ask, Some(&fault)).await?.ok(),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn one(ask: Ask) -> Result<Answer, Fault> {
    let id: ProposalId = ask.named("id")?;
    let (caller, control) = (ask.caller()?, ask.control());
    let p = control.proposal(&caller, &id).await?;
    let report: ProposalReport = serde_json::from_value(p.report.clone()).unwrap_or_default();
    let diff = control.policy_diff(&caller, &p.base, &p.bundle).await;
    let mut page = ask
        .page(format!("Proposal: {}", p.title))
        .with(&object(&ask, &p));
    if !p.is_current && matches!(p.state, "proposed" | "approved") {
        page = page.notice(Some(Notice::new(
            "warn",
            "Other policies went live since it was proposed: it has to be proposed again.",
        )));
    }
    if p.proof == "running" && p.state == "proposed" {
        page = page.notice(Some(Notice::new(
            "warn",
            "The solver is still at work on its claims, and nobody approves it until it has ended. Look at this page again in a moment.",
        )));
    }
    page = match diff {
        Ok(diff) => page.with(&difference(&diff)),
        // The base is from before bundles were kept.
        Err(_) => page.with(&Section::new("difference", "Difference").note(
            "What was live when it was proposed is not kept, so the difference cannot be shown.",
        )),
    };
    page.with(&found(&report)).with(&decide(&ask, &p)).ok()
}

fn object(ask: &Ask, p: &ProposalView) -> Header {
    Header::new("Proposal", &p.title)
        .id(&p.id)
        .state(p.state)
        .fact("By", Cell::text(&p.proposed_by))
        .fact("When", ask.when(p.proposed_at).with_exact())
        .fact("Proof", Cell::badge(p.proof))
        .fact(
            "Bundle",
            Cell::link(
                ask.to(&format!("/policies/bundles/{}", p.bundle)),
                short(&p.bundle),
            ),
        )
        .fact("Source", p.source.as_ref().map(Cell::text))
        .fact("Decided by", p.decided_by.as_ref().map(Cell::text))
        .fact("Said", p.comment.as_ref().map(Cell::text))
        .copy(&Copy::get(
            &format!("policy proposal {}", p.id),
            &ask.place.base,
            &format!("/proposals/{}", p.id),
        ))
}

/// What differs, set by set.
pub(super) fn difference(diff: &BundleDiff) -> Section {
    let note = if diff.only_tightens {
        "It only adds policies that forbid or ask: nothing is allowed by it that was not."
    } else {
        "It takes policies away or changes them: look at what it lets through."
    };
    let mut section = Section::new("difference", "Difference").note(note);
    if diff.sets.is_empty() {
        section = section.with(&Empty::new("Nothing differs", ""));
    }
    for set in &diff.sets {
        let names = |words: &str, ids: &[String]| {
            (!ids.is_empty()).then(|| format!("{words} {}", ids.join(", ")))
        };
        let told: Vec<String> = [
            names("new:", &set.added),
            names("gone:", &set.removed),
            names("changed:", &set.changed),
        ]
        .into_iter()
        .flatten()
        .collect();
        section = section.with(&Diff::new(
            format!("{}: {}", set.set, told.join("; ")),
            &set.text,
        ));
    }
    section
}

/// What tests and the solver said.
pub(super) fn found(report: &ProposalReport) -> Section {
    let tests = format!(
        "{} passed, {} failed",
        report.tests.saturating_sub(report.tests_failed),
        report.tests_failed
    );
    let mut facts = Facts::new().row("Test cases", Cell::text(tests)).row(
        "Solver",
        Cell::text(match &report.solver {
            _ if report.proving => "at work",
            Some(solver) => solver,
            None => "none here, so nothing is proved",
        }),
    );
    if !report.untested.is_empty() {
        facts = facts.row("Decide no test case", Cell::lines(&report.untested));
    }
    if !report.warnings.is_empty() {
        facts = facts.row("Odd, says Cedar", Cell::lines(&report.warnings));
    }
    let mut section = Section::new("found", "What tests and proofs say").with(&facts);
    if !report.failures.is_empty() {
        section = section.with(&Lines::new(&report.failures));
    }
    let all: Vec<&ClaimResult> = report.claims.iter().chain(&report.within_live).collect();
    section.with(&claims(&all))
}

/// Claims with their counterexamples, one line a fact.
fn claims(all: &[&ClaimResult]) -> Table {
    let rows = all.iter().map(|c| {
        Row::new(
            &c.id,
            vec![
                Cell::text(&c.text),
                Cell::badge(&c.result),
                if c.example.is_empty() {
                    Cell::Nothing
                } else {
                    Cell::Html(Html::of(&Lines::new(&c.example)))
                },
                Cell::code(&c.id),
            ],
        )
    });
    let empty = Empty::new(
        "No claims",
        "Claims stand in the test files, under `never`.",
    );
    Table::new(
        "claims",
        "Claims, and what the solver says",
        &["Claim", "Says", "A call that shows it, or why not", "Name"],
        empty,
    )
    .rows(rows)
}

/// What can be done with it now, by whom.
fn decide(ask: &Ask, p: &ProposalView) -> Section {
    let at = |verb: &str| format!("/policies/proposals/{}/{verb}", p.id);
    let mut section = Section::new("decide", "Decide");
    let admin = ask.holds(Role::Admin);
    let mine = ask
        .session
        .as_ref()
        .is_some_and(|s| s.person.email.to_string() == p.proposed_by);
    if p.state == "proposed" && (admin || mine) {
        let mut form = ask
            .form("decide-proposal", &at("approve"))
            .field(Field::new("comment", "Comment", Input::Line));
        if admin && p.proof != "running" {
            form = form.with(Button::new("Approve", Tone::Main));
        }
        let reject = if mine { "Take it back" } else { "Reject" };
        form = form.with(Button::new(reject, Tone::Danger).to(ask.to(&at("reject"))));
        section = section
            .note("Who proposed it does not approve it, unless the organization lets one person do both. Approving makes nothing live.")
            .with(&form);
    }
    if admin && matches!(p.state, "proposed" | "approved") && p.is_current {
        let form = ask
            .form("stage", &at("stage"))
            .button("Try it in the shadow", Tone::Plain)
            .inline();
        section = section.with(&form);
    }
    if admin && p.state == "approved" && p.is_current {
        let form = ask
            .form("enforce", &at("enforce"))
            .button("Make it live", Tone::Main)
            .inline();
        section = section.with(&form);
    }
    let simulate = (
        ask.to(&format!("/policies/simulate?bundle={}", p.bundle)),
        "Simulate it on past calls".to_owned(),
    );
    section.with(&Empty {
        action: Some(simulate),
        ..Empty::default()
    })
}

pub(super) async fn approve(ask: Ask) -> Result<Answer, Fault> {
    let id: ProposalId = ask.named("id")?;
    let (caller, comment) = (ask.caller()?, ask.given("comment"));
    ask.control()
        .approve_proposal(&caller, &id, comment)
        .await?;
    ask.done(&format!("/policies/proposals/{id}"), "approved_policies")
}

pub(super) async fn reject(ask: Ask) -> Result<Answer, Fault> {
    let id: ProposalId = ask.named("id")?;
    let (caller, comment) = (ask.caller()?, ask.given("comment"));
    ask.control().reject_proposal(&caller, &id, comment).await?;
    ask.done(&format!("/policies/proposals/{id}"), "rejected")
}

pub(super) async fn stage(ask: Ask) -> Result<Answer, Fault> {
    let id: ProposalId = ask.named("id")?;
    ask.control().stage_proposal(&ask.caller()?, &id).await?;
    ask.done("/policies/shadow", "staged")
}

pub(super) async fn enforce(ask: Ask) -> Result<Answer, Fault> {
    let id: ProposalId = ask.named("id")?;
    ask.control().enforce_proposal(&ask.caller()?, &id).await?;
    ask.done("/policies", "enforced")
}
