//! Decisions as they are answered (Authorization API 1.0 §5.5; Access Request and Approval Profile, draft 1).

use remit_domain::approval::AskSet;
use remit_domain::{Refusal, RefusalCode};
use remit_gateway::{Advice, Enforced, Refused, Verdict};
use serde_json::{Map, Value, json};

/// Reason code of a denial that a person can turn.
pub(super) const APPROVAL_REQUIRED: &str = "approval_required";

/// A decision that denies, with its reason.
pub(super) fn denied(refusal: &Refusal) -> Value {
    json!({ "decision": false, "context": reason(refusal) })
}

fn reason(refusal: &Refusal) -> Value {
    json!({ "reason": refusal.code, "reason_admin": { "en": refusal.text } })
}

/// One item of a batch that cannot be read: it is denied, and says so.
pub(super) fn unreadable(status: u16, message: &str) -> Value {
    json!({ "decision": false, "context": { "error": { "status": status, "message": message } } })
}

/// Advice as a decision. What a person would have to approve carries `access_request`, where the caller may ask for that.
///
/// - `access_request`: made for a denial that a person can turn.
pub(super) fn advised(advice: &Advice, access_request: impl FnOnce() -> Option<Value>) -> Value {
    match &advice.verdict {
        Verdict::Allow | Verdict::Approved(_) => {
            let remit = owed(advice);
            if remit.is_empty() {
                json!({ "decision": true })
            } else {
                json!({ "decision": true, "context": { "remit": remit } })
            }
        }
        Verdict::Deny(refusal) => {
            let mut context = reason(refusal);
            if let (Value::Object(context), false) = (&mut context, advice.reasons.is_empty()) {
                context.insert("reasons".to_owned(), json!(advice.reasons));
            }
            json!({ "decision": false, "context": context })
        }
        Verdict::Ask(asks, waiting) => {
            let why: Vec<&str> = advice.reasons.iter().map(|r| r.text.as_str()).collect();
            let mut context = asking(asks, &why.join("; "));
            if let Some(id) = waiting {
                context.insert("remit".to_owned(), json!({ "approval": id }));
            }
            if let Some(Value::Object(more)) = access_request() {
                context.extend(more);
            }
            json!({ "decision": false, "context": context })
        }
    }
}

/// What the caller owes when it lets the call through, and what was used.
fn owed(advice: &Advice) -> Map<String, Value> {
    let mut remit = Map::new();
    if let Verdict::Approved(id) = &advice.verdict {
        remit.insert("approval".to_owned(), json!(id));
    }
    if let Some(arguments) = &advice.arguments {
        remit.insert("arguments".to_owned(), json!(arguments));
    }
    if !advice.transforms.is_empty() {
        remit.insert("transforms".to_owned(), json!(advice.transforms));
    }
    if !advice.flags.is_empty() {
        remit.insert("flags".to_owned(), json!(advice.flags));
    }
    remit
}

fn asking(asks: &AskSet, why: &str) -> Map<String, Value> {
    let approvers: Vec<&_> = asks.iter().map(|ask| &ask.approvers).collect();
    let mut context = Map::new();
    context.insert("reason".to_owned(), json!(APPROVAL_REQUIRED));
    context.insert("reason_admin".to_owned(), json!({ "en": why }));
    context.insert("approvers".to_owned(), json!(approvers));
    context
}

/// A decision that has taken effect.
pub(super) fn enforced(done: &Enforced, outcome_endpoint: &str) -> Value {
    let mut remit = Map::new();
    remit.insert("decision".to_owned(), json!(done.decision));
    remit.insert("index".to_owned(), json!(done.index));
    remit.insert("run".to_owned(), json!(done.run));
    remit.insert("arguments".to_owned(), json!(done.arguments));
    remit.insert("outcome_endpoint".to_owned(), json!(outcome_endpoint));
    remit.insert("report_by".to_owned(), json!(done.report_by));
    if !done.transforms.is_empty() {
        remit.insert("transforms".to_owned(), json!(done.transforms));
    }
    json!({ "decision": true, "context": { "remit": remit } })
}

/// A call that was refused on its way to taking effect.
pub(super) fn refused(refused: &Refused, requests: &str) -> Value {
    let code = refused.refusal.code;
    let mut context = Map::new();
    let asks = matches!(
        code,
        RefusalCode::ApprovalRequired | RefusalCode::ApprovalPending
    );
    let word = if asks {
        json!(APPROVAL_REQUIRED)
    } else {
        json!(code)
    };
    context.insert("reason".to_owned(), word);
    context.insert(
        "reason_admin".to_owned(),
        json!({ "en": refused.refusal.text }),
    );
    let mut remit = Map::new();
    if let Some(decision) = &refused.decision {
        context.insert("evaluation_id".to_owned(), json!(decision));
        remit.insert("decision".to_owned(), json!(decision));
    }
    if let Some(approval) = &refused.approval {
        remit.insert("approval".to_owned(), json!(approval));
        remit.insert(
            "status_endpoint".to_owned(),
            json!(format!("{requests}/{approval}")),
        );
    }
    if !remit.is_empty() {
        context.insert("remit".to_owned(), Value::Object(remit));
    }
    json!({ "decision": false, "context": context })
}
