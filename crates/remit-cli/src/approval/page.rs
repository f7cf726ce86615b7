//! An approval as a page: the exact call, why it is asked, who may decide.

use serde_json::Value;

use crate::output::Out;
use crate::table::Page;
use crate::value::{at, items, line, lines, text, visible};

/// An approval. Nothing of what would run is left out, and nothing in it can hide.
pub(super) fn page(out: Out, asked: &Value) -> String {
    let heading = format!(
        "{}  {}  {}",
        text(asked, "id"),
        text(asked, "state").to_uppercase(),
        text(asked, "opens")
    );
    // Every argument is shown whole, and what would hide in it is seen.
    let call = at(asked, "args")
        .map(|a| serde_json::to_string_pretty(a).unwrap_or_default())
        .unwrap_or_default();
    let asks: Vec<String> = items(asked, "asks").iter().map(ask_line).collect();
    let verdicts: Vec<String> = items(asked, "verdicts").iter().map(verdict_line).collect();
    let notes: Vec<String> = items(asked, "notes").iter().map(note_line).collect();
    let edited = at(asked, "edited")
        .map(|a| visible(&serde_json::to_string_pretty(a).unwrap_or_default()))
        .unwrap_or_default();
    let may: Vec<String> = at(asked, "may_approve")
        .and_then(Value::as_object)
        .map(|m| {
            m.iter()
                .map(|(who, why)| format!("{who}  ({})", crate::value::plain(why)))
                .collect()
        })
        .unwrap_or_default();
    Page::new(out, &heading)
        .field("Agent", text(asked, "workflow"))
        .at("For", asked, "person")
        .at("Purpose", asked, "intent.purpose")
        .at("Ticket", asked, "intent.ticket")
        .at("Tool", asked, "tool")
        .at("Effect", asked, "effect")
        .at("System", asked, "system")
        .at("Run", asked, "run")
        .at("Decision", asked, "decision")
        .at("Digest", asked, "digest")
        .when("Asked", asked, "requested")
        .when("Ends", asked, "expires")
        .field(
            "Four eyes",
            if asked.get("four_eyes") == Some(&Value::Bool(true)) {
                "whom it acts for cannot approve it"
            } else {
                ""
            },
        )
        .at("You may not", asked, "you_may_not")
        .at("Handed to", asked, "given_to")
        .at("Looked into by", asked, "claimed_by")
        .field("For the run", for_run(asked))
        .lines("On call", items(asked, "routing"))
        .section("Will do, exactly", &visible(&call))
        .lines("Asked because", items(asked, "reasons"))
        .section("Asks", &asks.join("\n"))
        .section("May decide", &lines(&may.join("\n")))
        .section("Verdicts", &verdicts.join("\n"))
        .section("Proposed instead", &edited)
        .section("Said so far", &notes.join("\n"))
        .section("Next", &next(asked))
        .text()
}

/// What it lets pass beyond this call, and how much of that is used.
fn for_run(asked: &Value) -> String {
    let Some(terms) = at(asked, "for_run").filter(|t| t.is_object()) else {
        return String::new();
    };
    let said = format!(
        "{} of {} used; {}",
        text(terms, "used"),
        text(terms, "count"),
        text(terms, "text")
    );
    line(&said, 600)
}

/// What whoever reads it may do next.
fn next(asked: &Value) -> String {
    let id = text(asked, "id");
    if text(asked, "state") == "pending" && text(asked, "you_may_not").is_empty() {
        let stands = match asked.get("may_stand") {
            Some(Value::Bool(true)) => {
                format!("remit approval approve {id} --for-run --count 5 --until 30m\n")
            }
            _ => String::new(),
        };
        format!(
            "remit approval approve {id} --reason …\n{stands}remit approval claim {id}\nremit approval deny {id} --reason …\nremit approval edit {id} --args …\nremit approval ask {id} \"…\"\nremit approval give {id} --to EMAIL"
        )
    } else if asked.get("you_may_answer") == Some(&Value::Bool(true)) {
        format!("remit approval answer {id} \"…\"")
    } else {
        String::new()
    }
}

fn note_line(note: &Value) -> String {
    let said = format!(
        "{}  {}  {}",
        text(note, "kind"),
        text(note, "person"),
        text(note, "text")
    );
    line(&said, 2_100)
}

fn ask_line(ask: &Value) -> String {
    let done = if ask.get("satisfied") == Some(&Value::Bool(true)) {
        "done"
    } else {
        "open"
    };
    let by = text(ask, "approved_by");
    let by = if by.is_empty() {
        String::new()
    } else {
        format!(", approved by {by}")
    };
    let later: Vec<String> = items(ask, "escalates")
        .iter()
        .filter(|step| step.get("is_due") == Some(&Value::Bool(false)))
        .map(|step| format!(", {} from {}", text(step, "approvers"), text(step, "at")))
        .collect();
    line(
        &format!(
            "{done}  {}  {} of {}{by}{}",
            text(ask, "policy"),
            text(ask, "quorum"),
            text(ask, "approvers"),
            later.concat()
        ),
        500,
    )
}

fn verdict_line(verdict: &Value) -> String {
    let what = if verdict.get("approve") == Some(&Value::Bool(true)) {
        "approved"
    } else {
        "denied"
    };
    let for_run = text(verdict, "for_run");
    let for_run = if for_run.is_empty() {
        String::new()
    } else {
        format!("  for the run: {for_run}")
    };
    line(
        &format!(
            "{}  {what}  {}{for_run}",
            text(verdict, "person"),
            text(verdict, "reason")
        ),
        900,
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::output::test::out;
    use serde_json::json;

    pub(crate) fn asked() -> Value {
        json!({
            "id": "apr_1", "state": "pending", "opens": "this one call, once, until 08:10", "digest": "9f3c", "decision": "dec_1", "agent": "support",
            "workflow": "support/refund", "run": "run_1", "person": "maria@acme.example", "intent": {"purpose": "Lamp arrived broken", "ticket": "INC-1"},
            "tool": "orders/refund", "effect": "purchase", "system": "orders", "args": {"order": "A-118", "amount": 480, "note": "ok\u{202e}\u{1b}[2K"},
            "reasons": ["a refund above 50 needs the support lead"],
            "asks": [{"policy": "refunds/cap", "approvers": ["team:support-leads"], "quorum": 1, "approved_by": [], "satisfied": false}],
            "four_eyes": true, "may_approve": {"omar@acme.example": "member of support-leads"}, "you_may_not": null,
            "requested": "2026-11-22T07:58:00Z", "expires": "2026-11-22T08:10:00Z", "verdicts": [],
        })
    }

    #[test]
    fn what_is_approved_is_shown_whole_and_cannot_hide() {
        let page = page(out(), &asked());
        assert!(!page.contains(['\u{202e}', '\u{1b}']));
        insta::assert_snapshot!(page);
    }
}
