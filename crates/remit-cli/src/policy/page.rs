//! Pages on policies: what people read of proposals, proofs, simulations and tests.

use serde_json::Value;

use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, items, line, lines, plain, text};

const COVERAGE: [Column; 4] = [
    column("POLICY", Show::Text("policy")),
    column("CASES", Show::Text("cases")),
    column("DECISIONS", Show::Text("decisions")),
    column("STANDING", Show::Text("standing")),
];

pub(super) fn short(version: &str) -> String {
    version.chars().take(12).collect()
}

pub(super) fn proposal(out: Out, found: &Value) -> String {
    let id = text(found, "id");
    let page = Page::new(
        out,
        &format!(
            "{}  {}  {id}",
            text(found, "state").to_uppercase(),
            text(found, "title")
        ),
    )
    .at("Bundle", found, "bundle")
    .at("Would replace", found, "base")
    .at("Proposed by", found, "proposed_by")
    .when("Proposed", found, "proposed_at")
    .at("From", found, "source")
    .at("Decided by", found, "decided_by")
    .at("Comment", found, "comment");
    let waits = text(found, "state") == "proposed";
    let next = format!(
        "remit policy diff live {}\nremit policy simulate --bundle {}\nremit policy stage {id}\nremit policy approve {id}   (somebody else)",
        text(found, "bundle"),
        text(found, "bundle"),
    );
    let empty = Value::Null;
    report(page, at(found, "report").unwrap_or(&empty))
        .section("Next", if waits { &next } else { "" })
        .text()
}

pub(super) fn report(page: Page, report: &Value) -> Page {
    let solver = text(report, "solver");
    let proving = report.get("proving") == Some(&Value::Bool(true));
    let claims: Vec<String> = items(report, "claims")
        .iter()
        .chain(at(report, "within_live").filter(|w| w.is_object()))
        .flat_map(claim)
        .collect();
    page.field(
        "Tests",
        format!(
            "{} run, {} failed",
            text(report, "tests"),
            text(report, "tests_failed")
        ),
    )
    .field(
        "Solver",
        match solver.as_str() {
            _ if proving => "at work: nobody approves it until it has ended",
            "" => "none: nothing is proved. Install cvc5 on the server",
            solver => solver,
        },
    )
    .lines("Failed", items(report, "failures"))
    .lines("Decide no test", items(report, "untested"))
    .lines("Odd", items(report, "warnings"))
    .section("Claims", &claims.join("\n"))
}

/// A claim in a line, and its counterexample below.
pub(super) fn claim(found: &Value) -> Vec<String> {
    let result = text(found, "result");
    let head = format!(
        "{:9} {}: {}",
        result,
        text(found, "id"),
        line(&text(found, "text"), 200)
    );
    let shows = matches!(result.as_str(), "fails" | "undecided");
    let example = items(found, "example").iter().filter(|_| shows);
    std::iter::once(head)
        .chain(example.map(|e| format!("            {}", line(&plain(e), 200))))
        .collect()
}

pub(super) fn stage(out: Out, found: &Value) -> String {
    Page::new(out, "Policies")
        .at("Live", found, "live")
        .when("Since", found, "since")
        .at("Before", found, "before")
        .at("In the shadow", found, "shadow")
        .at("Proposal", found, "shadow_proposal")
        .text()
}

pub(super) fn differ(found: &Value) -> String {
    let all = at(found, "differ").and_then(Value::as_object);
    let lines: Vec<String> = all
        .into_iter()
        .flatten()
        .map(|(sort, n)| format!("{n:>8}  {sort}"))
        .collect();
    lines.join("\n")
}

pub(super) fn shadow(out: Out, found: &Value) -> String {
    let flips: Vec<String> = items(found, "flips")
        .iter()
        .map(|f| {
            format!(
                "{}  {} -> {}  {}",
                text(f, "decision"),
                text(f, "live"),
                text(f, "shadow"),
                text(f, "tool")
            )
        })
        .collect();
    Page::new(out, &format!("Shadow {}", short(&text(found, "bundle"))))
        .when("Since", found, "since")
        .at("Decisions", found, "decisions")
        .at("Agree", found, "agree")
        .section("Differ", &differ(found))
        .section("Newest", &flips.join("\n"))
        .text()
}

pub(super) fn simulated(out: Out, found: &Value) -> String {
    let flips: Vec<String> = items(found, "flips")
        .iter()
        .flat_map(|f| {
            let head = format!(
                "{}  {} -> {}  {} -> {}",
                text(f, "decision"),
                text(f, "agent"),
                text(f, "tool"),
                text(f, "before"),
                text(f, "after")
            );
            let because = items(f, "because")
                .iter()
                .map(|b| format!("    {}", line(&plain(b), 200)));
            std::iter::once(head).chain(because).collect::<Vec<_>>()
        })
        .collect();
    Page::new(out, &format!("Simulated {}", short(&text(found, "bundle"))))
        .when("Since", found, "since")
        .at("Decisions", found, "decisions")
        .at("Come out the same", found, "same")
        .at("Reproduced", found, "reproduced")
        .at("Not comparable", found, "not_comparable")
        .at("Not replayable", found, "not_replayable")
        .at("A second", found, "decisions_per_second")
        .lines("NOT reproduced", items(found, "not_reproduced"))
        .section("Differ", &differ(found))
        .section("Which", &flips.join("\n"))
        .text()
}

pub(super) fn tested(out: Out, found: &Value) -> String {
    let cases: Vec<String> = items(found, "cases")
        .iter()
        .flat_map(|c| {
            let passed = c.get("passed") == Some(&Value::Bool(true));
            let head = format!(
                "{}  {}",
                if passed { "ok  " } else { "FAIL" },
                line(&text(c, "name"), 160)
            );
            let problems = items(c, "problems")
                .iter()
                .map(|p| format!("      {}", line(&plain(p), 400)));
            std::iter::once(head).chain(problems).collect::<Vec<_>>()
        })
        .collect();
    let page = Page::new(
        out,
        if found.get("passed") == Some(&Value::Bool(true)) {
            "Passed"
        } else {
            "Failed"
        },
    );
    page.field(
        "Covered",
        format!("{} % of the policies", text(found, "coverage_percent")),
    )
    .section("Cases", &cases.join("\n"))
    .table("Coverage", items(found, "coverage"), &COVERAGE)
    .text()
}

pub(super) fn diff(found: &Value) -> String {
    let told = |set: &Value| {
        let ids = |what: &str, sign: &str| -> Vec<String> {
            items(set, what)
                .iter()
                .map(|id| format!("{sign} {}", plain(id)))
                .collect()
        };
        let all = [ids("added", "+"), ids("removed", "-"), ids("changed", "~")].concat();
        format!(
            "{}\n{}\n{}",
            text(set, "set"),
            all.join("\n"),
            lines(&text(set, "text"))
        )
    };
    let sets: Vec<String> = items(found, "sets").iter().map(told).collect();
    if sets.is_empty() {
        return "Nothing differs.".to_owned();
    }
    let tightens = if found.get("only_tightens") == Some(&Value::Bool(true)) {
        "It only adds policies that forbid or ask."
    } else {
        "It takes policies away or changes them: `remit policy prove` says whether it lets more through."
    };
    format!("{}\n{tightens}", sets.join("\n"))
}

pub(super) fn suggested(found: &Value) -> String {
    let changes: Vec<String> = items(found, "changes")
        .iter()
        .map(|c| line(&plain(c), 240))
        .collect();
    if changes.is_empty() {
        return "Nothing to narrow: every grant was used, and its arguments are bounded or vary."
            .to_owned();
    }
    let narrows = found.get("only_narrows") == Some(&Value::Bool(true));
    let breaks = items(found, "breaks").len();
    format!(
        "# {} from {} calls; {}; {} calls decided again, {breaks} come out otherwise\n# {}\n{}",
        text(found, "workflow"),
        text(found, "calls"),
        if narrows { "only narrows" } else { "WIDENS" },
        text(found, "replayed"),
        changes.join("\n# "),
        serde_saphyr::to_string(at(found, "spec").unwrap_or(&Value::Null)).unwrap_or_default(),
    )
}
