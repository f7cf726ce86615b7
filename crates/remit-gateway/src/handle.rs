//! Handles of an upstream reach the caller sealed to (organization, agent, run, upstream), and come back only from there.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::Gateway;
use crate::call::Resolved;

const STATE: &str = "requestState";

impl Gateway {
    /// A result whose handles are sealed. A handle that cannot be sealed does not pass.
    pub(crate) fn sealed(
        &self,
        resolved: &Resolved,
        mut result: Map<String, Value>,
    ) -> Map<String, Value> {
        if let Some(Value::String(state)) = result.remove(STATE)
            && let Ok(sealed) = self
                .books()
                .vault()
                .seal(state.as_bytes(), &context(resolved))
        {
            result.insert(STATE.to_owned(), json!(URL_SAFE_NO_PAD.encode(sealed)));
        }
        result
    }

    /// The upstream's own state behind a sealed handle; none when it was sealed for anyone else.
    pub(crate) fn open_handle(&self, resolved: &Resolved, handle: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(handle).ok()?;
        let plain = self
            .books()
            .vault()
            .unseal(&sealed, &context(resolved))
            .ok()?;
        String::from_utf8(plain).ok()
    }
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
