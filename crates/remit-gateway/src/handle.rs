//! Handles of an upstream reach the caller sealed to (organization, agent, run, upstream), and come back only from there.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_domain::{Refusal, RefusalCode};
use serde_json::{Map, Value, json};

use crate::Gateway;
use crate::call::{Action, Resolved};

const STATE: &str = "requestState";
const CURSOR: &str = "cursor";
const NEXT_CURSOR: &str = "nextCursor";

impl Gateway {
    /// A result whose handles are sealed. A handle that cannot be sealed does not pass.
    pub(crate) fn sealed(
        &self,
        resolved: &Resolved,
        mut result: Map<String, Value>,
    ) -> Map<String, Value> {
        // What the caller's side answered holds no handle.
        if matches!(resolved.received.action, Action::Ask(_)) {
            return result;
        }
        // A member of that name in a tool's result is the tool's own.
        let lists = resolved.received.action != Action::Tool;
        let handles = [
            (STATE, context(resolved)),
            (NEXT_CURSOR, cursor_context(resolved)),
        ];
        for (key, context) in handles.into_iter().take(if lists { 2 } else { 1 }) {
            if let Some(Value::String(handle)) = result.remove(key)
                && let Ok(sealed) = self.books().vault().seal(handle.as_bytes(), &context)
            {
                result.insert(key.to_owned(), json!(URL_SAFE_NO_PAD.encode(sealed)));
            }
        }
        result
    }

    /// Refuses a call with a handle that was not given to this run by this upstream, for this.
    pub(crate) fn holds_handles(&self, resolved: &Resolved) -> Result<(), Refusal> {
        let call = &resolved.received.call;
        let cursor = page(resolved);
        let wrong = match (call.request_state.as_deref(), cursor) {
            (Some(state), _) if self.open_handle(resolved, state).is_none() => STATE,
            (_, Some(cursor)) if self.open_cursor(resolved, cursor).is_none() => CURSOR,
            _ => return Ok(()),
        };
        let text = format!("`{wrong}` was not given to this run by this upstream");
        Err(Refusal::new(RefusalCode::InvalidRequest, text))
    }

    /// The upstream's own state behind a sealed handle; none when it was sealed for anyone else.
    pub(crate) fn open_handle(&self, resolved: &Resolved, handle: &str) -> Option<String> {
        self.open(handle, &context(resolved))
    }

    /// The parameters of a method that is no tool call, with the upstream's own cursor in place of the sealed one.
    pub(crate) fn opened(&self, resolved: &Resolved) -> Map<String, Value> {
        let mut params = resolved.received.call.arguments.value().clone();
        if let Some(cursor) = page(resolved) {
            match self.open_cursor(resolved, cursor) {
                Some(cursor) => params.insert(CURSOR.to_owned(), json!(cursor)),
                None => params.remove(CURSOR),
            };
        }
        params
    }

    fn open_cursor(&self, resolved: &Resolved, cursor: &str) -> Option<String> {
        self.open(cursor, &cursor_context(resolved))
    }

    fn open(&self, handle: &str, context: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(handle).ok()?;
        let plain = self.books().vault().unseal(&sealed, context).ok()?;
        String::from_utf8(plain).ok()
    }
}

/// The page a list is asked for. An argument of that name in a tool call is the tool's own.
fn page(resolved: &Resolved) -> Option<&str> {
    let received = &resolved.received;
    let cursor = received.call.arguments.value().get(CURSOR)?.as_str()?;
    (received.action != Action::Tool).then_some(cursor)
}

/// What a cursor is sealed to: the list it belongs to. Its arguments differ from page to page, by the cursor.
fn cursor_context(resolved: &Resolved) -> String {
    let (received, run) = (&resolved.received, &resolved.standing.run);
    let (upstream, method) = (&resolved.upstream.name, received.action.method());
    format!(
        "cursor/{}/{}/{}/{upstream}/{method}",
        received.org, run.agent, run.id
    )
}

/// What a handle is sealed to: beside where it came from, the tool and the arguments, so that a state of one call never
/// resumes under the approval of another (MCP 2026-07-28 basic/patterns/mrtr: a retry repeats method and arguments).
fn context(resolved: &Resolved) -> String {
    let run = &resolved.standing.run;
    format!(
        "handle/{}/{}/{}/{}/{}",
        resolved.received.org,
        run.agent,
        run.id,
        resolved.tool_ref(),
        resolved.received.call.arguments.digest()
    )
}
