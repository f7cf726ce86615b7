//! What a containment would stop, and the certificate of what it did.

use serde_json::Value;

use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{at, count, items, line, text};

/// What would stop.
pub(super) fn previewed(out: Out, preview: &Value) -> String {
    let all = items(preview, "items");
    let columns = [
        column("KIND", Show::Text("kind")),
        column("ID", Show::Text("id")),
        column("WHAT", Show::Text("label")),
        column("BECOMES", Show::Text("becomes")),
    ];
    let mut kinds: Vec<(String, u64)> = Vec::new();
    for item in all {
        let kind = text(item, "kind");
        match kinds.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, n)) => *n += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let impact = kinds
        .iter()
        .map(|(kind, n)| count(*n, kind))
        .collect::<Vec<_>>()
        .join(" · ");
    let impact = if impact.is_empty() {
        "nothing runs from it now".to_owned()
    } else {
        impact
    };
    Page::new(
        out,
        &format!(
            "Impact of {} on {}: {impact}",
            text(preview, "level"),
            text(preview, "target")
        ),
    )
    .table("What stops", all, &columns)
    .table(
        "Outside Remit: not stopped by it",
        items(preview, "outside"),
        &outside_columns(),
    )
    .lines("People it concerns", items(preview, "people"))
    .lines("Afterwards", items(preview, "effect"))
    .text()
}

/// What would stop in every organization, in numbers.
pub(super) fn previewed_all(out: Out, preview: &Value) -> String {
    let columns = [
        column("ORGANIZATION", Show::Text("organization")),
        column("RUNS", Show::Text("stops.run")),
        column("TOKENS", Show::Text("stops.token")),
        column("SVIDS", Show::Text("stops.svid")),
        column("KEYS", Show::Text("stops.key")),
        column("DELEGATIONS", Show::Text("stops.delegation")),
        column("APPROVALS", Show::Text("stops.approval")),
        column("CALLS", Show::Text("stops.call")),
        column("PEOPLE", Show::Text("people")),
    ];
    let heading = format!("Impact of {} on everything", text(preview, "level"));
    Page::new(out, &heading)
        .table("What stops", items(preview, "organizations"), &columns)
        .lines("Afterwards", items(preview, "effect"))
        .text()
}

/// A containment with its newest certificate.
pub(super) fn page(out: Out, contained: &Value) -> String {
    let heading = format!(
        "{}  {}  {} of {}",
        text(contained, "id"),
        text(contained, "state").to_uppercase(),
        text(contained, "level"),
        text(contained, "target_name")
    );
    let certificate = at(contained, "certificate").cloned().unwrap_or_default();
    let residual = at(&certificate, "residual")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let is_final = certificate.get("is_final") == Some(&Value::Bool(true));
    let residual_text = match (residual, is_final) {
        (0, true) => "0: everything has stopped; this is the final certificate".to_owned(),
        (n, _) => format!(
            "{n} not stopped yet; a final certificate follows when the last bound has passed"
        ),
    };
    let columns = [
        column("STATUS", Show::State("status")),
        column("KIND", Show::Text("kind")),
        column("ID", Show::Text("id")),
        column("WHAT", Show::Text("label")),
        column("HOW", Show::With(how)),
    ];
    let mut page = Page::new(out, &heading)
        .at("Reason", contained, "reason")
        .at("By", contained, "by")
        .when("When", contained, "at")
        .when("Confirm by", contained, "confirm_by")
        .at("Confirmed by", contained, "confirmed_by")
        .field(
            "Lifted",
            at(contained, "lifted")
                .map(|l| format!("by {} at {}", text(l, "by"), text(l, "at")))
                .unwrap_or_default(),
        );
    if certificate.is_object() {
        let number = |word: &str| {
            items(&certificate, "items")
                .iter()
                .filter(|i| text(i, "status") == word)
                .count()
        };
        page = page
            .at("Epoch", &certificate, "epoch")
            .field(
                "Counted",
                format!(
                    "{} stopped · {} bounded · {} not proved",
                    number("stopped"),
                    number("bounded"),
                    number("not_proved")
                ),
            )
            .field("Residual", residual_text)
            .when("Last bound", &certificate, "last_bound")
            .table("Certificate", items(&certificate, "items"), &columns)
            .table(
                "Outside Remit: not stopped by it",
                items(&certificate, "outside"),
                &outside_columns(),
            );
    }
    page.section("Next", &next(contained, residual)).text()
}

/// What is to be done about a containment.
fn next(contained: &Value, residual: u64) -> String {
    let id = text(contained, "id");
    let everything = match at(contained, "target.type").and_then(Value::as_str) {
        Some("everything") => " --everything",
        _ => "",
    };
    match (text(contained, "state").as_str(), residual) {
        ("waiting", _) => format!(
            "nothing is contained yet; another administrator confirms it: remit containment confirm {id}{everything}"
        ),
        (_, 0) => String::new(),
        _ => format!("remit containment show {id}{everything}"),
    }
}

/// Columns of what Remit did not issue.
pub(super) fn outside_columns() -> [Column; 4] {
    [
        column("KIND", Show::Text("kind")),
        column("ID", Show::Text("id")),
        column("OF UPSTREAM", Show::Text("of")),
        column("TASK OF", Show::Text("owner")),
    ]
}

pub(super) fn how(item: &Value) -> String {
    let until = text(item, "until");
    let told = text(item, "verified|why");
    if until.is_empty() {
        told
    } else {
        line(&format!("until {until}: {told}"), 120)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;
    use serde_json::json;

    #[test]
    fn the_certificate_says_what_did_not_stop() {
        let contained = json!({
            "id": "cnt_1", "state": "active", "level": "kill", "target_name": "agent kb-bot", "reason": "reads link-local hosts", "by": "ana@acme.example", "at": "2026-11-22T07:59:59Z",
            "certificate": {"epoch": 7, "at": "2026-11-22T08:00:00Z", "is_final": false, "residual": 2, "last_bound": "2026-11-22T08:05:00Z", "items": [
                {"kind": "run", "id": "run_1", "label": "answer for maria", "status": "stopped", "verified": "ended in the store"},
                {"kind": "token", "id": "crd_1", "label": "of run_1", "status": "bounded", "until": "2026-11-22T08:05:00Z", "why": "validators outside may still take it"},
                {"kind": "call", "id": "dec_1", "label": "fetch/fetch", "status": "not_proved", "why": "sent and not answered"},
            ]},
        });
        insta::assert_snapshot!(page(out(), &contained));
    }

    #[test]
    fn the_preview_counts_and_warns() {
        let preview = json!({"target": "agent kb-bot", "level": "suspend", "effect": ["lifting restores the agent, never its tokens"], "items": [
            {"kind": "run", "id": "run_1", "label": "answer", "becomes": "suspended"},
            {"kind": "run", "id": "run_2", "label": "answer", "becomes": "suspended"},
            {"kind": "token", "id": "crd_1", "label": "of run_1", "becomes": "revoked"},
        ]});
        insta::assert_snapshot!(previewed(out(), &preview));
    }
}
