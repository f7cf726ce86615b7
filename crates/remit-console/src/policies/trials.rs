//! Policies tried without any effect: on test cases, on calls of the past, and by the solver on every call there can be.

use remit_control::{Simulated, Simulation, TestReport, TestRun};
use remit_domain::Role;

use super::{header, place_of, proposals, short};
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::picture::Coverage;
use crate::ui::{
    Cell, Copy, Empty, Facts, Field, Filter, Input, Lines, Notice, Row, Section, Table, Tone,
};

const DAY: i64 = 86_400;

pub(super) async fn tests(ask: Ask) -> Result<Answer, Fault> {
    let days: i64 = ask.q_as("days")?.unwrap_or(0);
    let run = TestRun {
        traffic_secs: days.clamp(0, 90) * DAY,
        dead: ask.q("dead").is_some(),
        ..TestRun::default()
    };
    let report = ask.control().test_policies(&ask.caller()?, run).await?;
    let filter = Filter::new(ask.to("/policies/tests"))
        .select(
            "days",
            "Decisions of the last days, too",
            &["1", "7", "30"],
            ask.q("days"),
        )
        .otherwise("none")
        .check(
            "dead",
            "Ask the solver which could go (slow)",
            ask.q("dead").is_some(),
        );
    let copy = Copy::post("policy test", &ask.place.base, "/bundles/test", "{}");
    ask.page("Tests and coverage")
        .with(&header(&ask, "/tests", &copy))
        .with(&coverage(&ask, &report, &filter))
        .with(&cases(&report))
        .ok()
}

fn coverage(ask: &Ask, report: &TestReport, filter: &Filter) -> Section {
    let rows = report.coverage.iter().map(|c| {
        Row::new(
            &c.policy,
            vec![
                Cell::link(place_of(ask, &c.policy, c.line), &c.policy),
                Cell::number(c.line),
                Cell::number(c.cases),
                c.decisions.map(Cell::number).into(),
                c.standing.map(Cell::badge).into(),
            ],
        )
    });
    let table = Table::new(
        "coverage",
        "Policies, and what ever made them decide",
        &["Policy", "Line", "Test cases", "Decisions", "Solver"],
        Empty::new("No policies", ""),
    )
    .rows(rows);
    let picture = Coverage::new(&report.coverage, |c| place_of(ask, &c.policy, c.line));
    Section::new("coverage-of", "Coverage")
        .note(format!(
            "{} percent of the policies decided a test case.",
            report.coverage_percent
        ))
        .with(filter)
        .with(&picture)
        .with(&table)
}

fn cases(report: &TestReport) -> Section {
    let rows = report.cases.iter().map(|c| {
        Row::new(
            &c.name,
            vec![
                Cell::text(&c.name),
                Cell::badge(if c.passed { "ok" } else { "failed" }),
                Cell::badge(c.expected),
                Cell::badge(&c.found),
                Cell::lines(c.problems.iter().chain(&c.policies)),
            ],
        )
    });
    let empty = Empty::new(
        "No test cases",
        "Propose a change with a test file; on your machine a command runs them.",
    )
    .commands(&["remit policy test DIR"]);
    let table = Table::new(
        "cases",
        "Test cases",
        &[
            "Case",
            "State",
            "Expected",
            "Decided",
            "By, or what is wrong",
        ],
        empty,
    )
    .rows(rows);
    Section::new("cases-of", "Test cases").with(&table)
}

fn simulate_form(ask: &Ask) -> Section {
    let value = |name: &str| match ask.field(name) {
        "" => ask.q(name).unwrap_or_default().to_owned(),
        typed => typed.to_owned(),
    };
    let days = value("days");
    let days = if days.is_empty() { "7" } else { &days };
    let form = ask
        .form("simulate", "/policies/simulate")
        .field(
            Field::new("bundle", "Bundle", Input::Line)
                .hint("Its version; the live one where nothing is given.")
                .value(value("bundle")),
        )
        .field(Field::select(
            "days",
            "Calls of the last days",
            &["1", "7", "30", "90"],
            days,
        ))
        .button("Simulate", Tone::Main);
    Section::new("simulate-it", "Simulate")
        .note("Recorded decisions are taken again, on their exact inputs, under the policies of their own time and under these. Nothing is guessed, and nothing is done.")
        .with(&form)
}

fn simulate_base(ask: &Ask) -> Page {
    let copy = Copy::post(
        "policy simulate --since 7d",
        &ask.place.base,
        "/bundles/simulate",
        "{\"since_secs\":604800}",
    );
    let page = ask
        .page("Simulate policies")
        .with(&header(ask, "/simulate", &copy));
    if ask.holds_any(&[Role::Admin, Role::Auditor, Role::Developer]) {
        page.with(&simulate_form(ask))
    } else {
        page.with(&Section::new("simulate-it", "Simulate").with(&Empty::new(
            "For administrators, auditors and developers",
            "Past calls of everybody are looked at.",
        )))
    }
}

pub(super) async fn simulate_page(ask: Ask) -> Result<Answer, Fault> {
    simulate_base(&ask).ok()
}

pub(super) async fn simulate(ask: Ask) -> Result<Answer, Fault> {
    let days: i64 = ask.given_as("days")?.unwrap_or(7);
    let asked = Simulation {
        since_secs: Some(days.clamp(1, 400) * DAY),
        sets: None,
        bundle: ask.given("bundle"),
    };
    let simulated = ask.control().simulate(&ask.caller()?, asked).await;
    match simulated.map_err(Fault::from) {
        Ok(s) => simulate_base(&ask).with(&flips(&ask, &s)).ok(),
        Err(fault) if fault.is_correctable() => simulate_base(&ask)
            .notice(Some(Notice::new("bad", capitalized(&fault.text()))))
            .status(fault.status())
            .ok(),
        Err(fault) => Err(fault),
    }
}

fn flips(ask: &Ask, s: &Simulated) -> Section {
    let differ: Vec<String> = s
        .differ
        .iter()
        .map(|(what, n)| format!("{what}: {n}"))
        .collect();
    let facts = Facts::new()
        .row("Bundle", Cell::text(short(&s.bundle)))
        .row("Since", ask.when(s.since).with_exact())
        .row("Decisions taken again", Cell::number(s.decisions))
        .row("The same", Cell::number(s.same))
        .row("Otherwise", Cell::lines(differ))
        .row(
            "Reproduced",
            Cell::text(format!(
                "{} came out as recorded, {} did not, {} cannot be taken again",
                s.reproduced,
                s.not_reproduced.len(),
                s.not_replayable
            )),
        )
        .row("Not comparable", Cell::number(s.not_comparable));
    let rows = s.flips.iter().map(|f| {
        Row::new(
            &f.decision,
            vec![
                Cell::link(ask.to(&format!("/decisions/{}", f.decision)), &f.tool),
                Cell::link(ask.to_named("/agents", &f.agent, ""), &f.agent),
                Cell::badge(&f.before),
                Cell::badge(&f.after),
                Cell::lines(&f.because),
                ask.when(f.at).into(),
            ],
        )
    });
    let table = Table::new(
        "flips",
        "Calls that would be decided otherwise",
        &["Call", "Agent", "Was", "Would be", "Because", "When"],
        Empty::new("Every call would be decided the same", ""),
    )
    .rows(rows);
    let mut section = Section::new("simulated", "What would change").with(&facts);
    if !s.not_reproduced.is_empty() {
        section = section.with(&Lines::new(
            s.not_reproduced
                .iter()
                .map(|id| format!("not as recorded, which must not be: {id}")),
        ));
    }
    section.with(&table)
}

fn prove_base(ask: &Ask) -> Page {
    let copy = Copy::post("policy prove", &ask.place.base, "/bundles/prove", "{}");
    let form = ask
        .form("prove", "/policies/prove")
        .button("Prove the live policies", Tone::Main);
    ask.page("Prove policies")
        .with(&header(ask, "/prove", &copy))
        .with(
            &Section::new("prove-it", "Prove")
                .note("The solver looks at every call there can be, not at examples. Where a claim is wrong, it shows a call that breaks it. It takes some seconds.")
                .with(&form),
        )
}

pub(super) async fn prove_page(ask: Ask) -> Result<Answer, Fault> {
    prove_base(&ask).ok()
}

pub(super) async fn prove(ask: Ask) -> Result<Answer, Fault> {
    let report = ask.control().prove_policies(&ask.caller()?, None).await?;
    prove_base(&ask).with(&proposals::found(&report)).ok()
}
