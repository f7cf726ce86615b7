//! A call that waits for a person, told so that the client can show where: as a question by address, to clients that can be
//! sent to one. Everyone else gets the pending result.
//!
//! What is asked is to look, not to answer: the verdict is made where people are known, and a client that says *accept*
//! only says that its person was told. Nothing of the arguments is in the message or the address.
//!
//! Source: MCP 2026-07-28 basic/patterns/mrtr, client/elicitation "URL mode"; MCP 2025-11-25 client/elicitation "URL
//! Elicitation Required Error".

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_books::Books;
use remit_domain::{ApprovalId, RefusalCode};
use remit_gateway::{Can, Refused};
use remit_mcp::jsonrpc::code;
use remit_mcp::limits::HANDLE_BYTES_MAX;
use remit_mcp::{CanonicalArgs, ErrorObject, Id, Message, Method, ToolCall, results};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Object, Turn, describe};

/// The one question that this product asks by itself.
const KEY: &str = "dev.remit/approval";

/// What a state of ours holds: what the caller had said to the upstream, which is the call that was decided.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    approval: ApprovalId,
    state: Option<String>,
    responses: Option<Object>,
}

/// How a client is told to send its person to an approval.
pub(super) struct Told {
    books: Books,
    base: String,
    context: String,
    /// 2026-07-28: with the result. Otherwise with an error.
    stateless: bool,
    state: Option<String>,
    responses: Option<Object>,
}

/// Takes a state of ours back out of a call: what is left is the call that was decided. Whether there was one.
pub(super) fn take_back(turn: &Turn, call: &mut ToolCall) -> Result<bool, ErrorObject> {
    let Some(sealed) = call.request_state.as_deref() else {
        return Ok(false);
    };
    let Some(kept) = open(&turn.site.app.books, sealed, &context(turn, call)) else {
        // An upstream's own, which the gateway opens.
        return Ok(false);
    };
    call.request_state = kept.state;
    call.input_responses = match kept.responses {
        None => None,
        Some(responses) => Some(CanonicalArgs::from_object(responses).map_err(|e| {
            ErrorObject::new(code::INVALID_PARAMS, &format!("`requestState`: {e}"))
        })?),
    };
    Ok(true)
}

fn open(books: &Books, sealed: &str, context: &str) -> Option<Kept> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let plain = books.vault().unseal(&sealed, context).ok()?;
    serde_json::from_slice(&plain).ok()
}

/// What a state is sealed to: one exact call of one run.
fn context(turn: &Turn, call: &ToolCall) -> String {
    format!(
        "remit/ask/{}/{}/{}/{}/{}",
        turn.door.place.org(),
        turn.caller.run,
        turn.door.resource,
        call.name,
        call.arguments.digest()
    )
}

impl Told {
    /// None for a client that cannot be sent anywhere, or was sent already with this call.
    pub(super) fn of(turn: &Turn, call: &ToolCall, again: bool) -> Option<Self> {
        let stateless = turn.incoming.revision.is_stateless();
        let can = match stateless {
            true => Can::read(call.meta.client_capabilities.as_ref()),
            false => turn.can,
        };
        (can.url && !again).then(|| Self {
            books: turn.site.app.books.clone(),
            base: turn.door.place.base.clone(),
            context: context(turn, call),
            stateless,
            state: call.request_state.clone(),
            responses: call.input_responses.as_ref().map(|r| r.value().clone()),
        })
    }

    /// The message in place of the pending result; none for another refusal.
    pub(super) fn message(&self, id: &Id, refused: &Refused) -> Option<Message> {
        let approval = refused.approval.as_ref().filter(|_| {
            matches!(
                refused.refusal.code,
                RefusalCode::ApprovalRequired | RefusalCode::ApprovalPending
            )
        })?;
        let url = format!("{}/approvals/{approval}", self.base);
        let message = format!(
            "This call waits for a person: approval {approval}. Whoever may approve it does so at this address, or with `remit approval approve {approval}`."
        );
        if !self.stateless {
            let error =
                ErrorObject::new(code::URL_ELICITATION_REQUIRED_2025, &refused.refusal.text);
            let elicitation =
                json!({ "mode": "url", "elicitationId": approval, "url": url, "message": message });
            let data = json!({ "elicitations": [elicitation], "approval": approval, "decision": refused.decision });
            return Some(Message::Error {
                id: Some(id.clone()),
                error: error.with_data(data),
            });
        }
        let kept = Kept {
            approval: approval.clone(),
            state: self.state.clone(),
            responses: self.responses.clone(),
        };
        let plain = serde_json::to_vec(&kept).ok()?;
        let sealed = URL_SAFE_NO_PAD.encode(self.books.vault().seal(&plain, &self.context).ok()?);
        if sealed.len() > HANDLE_BYTES_MAX {
            return None;
        }
        let params = json!({ "mode": "url", "message": message, "url": url });
        let mut requests = Object::new();
        requests.insert(
            KEY.to_owned(),
            json!({ "method": Method::ElicitationCreate.as_str(), "params": params }),
        );
        let mut result = results::input_required(requests, Some(&sealed));
        let decision = json!({ remit_mcp::protocol::meta::DECISION: refused.decision });
        result.insert("_meta".to_owned(), decision);
        let revision = remit_mcp::Revision::R20260728;
        results::finish(
            revision,
            Method::ToolsCall,
            &mut result,
            &describe::server(),
            0,
        );
        let id = id.clone();
        Some(Message::Response { id, result })
    }
}
