//! What an upstream says of itself, in either revision.

use std::collections::BTreeSet;

use remit_domain::upstream::MayAsk;
use remit_mcp::JsonObject;
use remit_mcp::protocol::{Revision, meta};
use remit_ports::upstreams::UpstreamError;
use serde_json::{Value, json};

use crate::outgoing::{client_info, reason};

/// Versions of the stateful protocol that a server may choose. What Remit sends of them (lists, calls, reads, pings)
/// has the same form in all.
const STATEFUL: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// An upstream as it introduced itself.
#[derive(Debug, Clone)]
pub(crate) struct Greeting {
    /// How it is talked to.
    pub(crate) revision: Revision,
    /// The exact version that was agreed.
    pub(crate) version: &'static str,
    /// Its capabilities, instructions and software.
    info: JsonObject,
}

impl Greeting {
    /// Parameters of `initialize`. Only what the server may ask for is declared; whether a question is put to the agent's
    /// side is decided each time.
    ///
    /// Source: MCP 2025-11-25 basic/lifecycle "Initialization".
    pub(crate) fn initialize_params(may_ask: &BTreeSet<MayAsk>) -> JsonObject {
        let mut params = JsonObject::new();
        params.insert("protocolVersion".to_owned(), json!(Revision::R20251125));
        let capability = |kind: &MayAsk| {
            let modes = match kind {
                MayAsk::Elicitation => json!({ "form": {}, "url": {} }),
                MayAsk::Sampling | MayAsk::Roots => json!({}),
            };
            (kind.capability().to_owned(), modes)
        };
        let capabilities: JsonObject = may_ask.iter().map(capability).collect();
        params.insert("capabilities".to_owned(), Value::Object(capabilities));
        params.insert("clientInfo".to_owned(), client_info());
        params
    }

    /// Reads the result of `initialize`.
    ///
    /// # Errors
    /// `Unreachable` for a version that is not spoken here.
    pub(crate) fn of_initialize(info: JsonObject) -> Result<Self, UpstreamError> {
        let said = info
            .get("protocolVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let version = STATEFUL
            .into_iter()
            .find(|known| *known == said)
            .ok_or_else(|| {
                UpstreamError::Unreachable(format!(
                    "it speaks protocol version `{}`, which is not spoken here",
                    reason(said)
                ))
            })?;
        Ok(Self {
            revision: Revision::R20251125,
            version,
            info,
        })
    }

    /// Reads the result of `server/discover`; `None` when the stateless revision is not among its versions.
    pub(crate) fn of_discover(info: JsonObject) -> Option<Self> {
        let revision = Revision::R20260728;
        let versions = info.get("supportedVersions")?.as_array()?;
        let spoken = versions
            .iter()
            .any(|version| version.as_str() == Some(revision.as_str()));
        spoken.then_some(Self {
            revision,
            version: revision.as_str(),
            info,
        })
    }

    /// A stateful server's introduction in the form of a `server/discover` result, so that callers have one form.
    ///
    /// Source: MCP 2026-07-28 server/discover.
    pub(crate) fn discover_result(&self) -> Value {
        let mut result = JsonObject::new();
        result.insert("resultType".to_owned(), json!("complete"));
        result.insert("supportedVersions".to_owned(), json!([self.version]));
        for key in ["capabilities", "instructions"] {
            if let Some(value) = self.info.get(key) {
                result.insert(key.to_owned(), value.clone());
            }
        }
        if let Some(server) = self.info.get("serverInfo") {
            result.insert("_meta".to_owned(), json!({ meta::SERVER_INFO: server }));
        }
        Value::Object(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> JsonObject {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_spoken_versions_are_accepted() {
        for version in STATEFUL {
            let greeting =
                Greeting::of_initialize(object(json!({"protocolVersion": version}))).unwrap();
            assert_eq!(
                (greeting.version, greeting.revision),
                (version, Revision::R20251125)
            );
        }
        for version in [json!("2026-07-28"), json!("1"), json!(1), Value::Null] {
            assert!(Greeting::of_initialize(object(json!({"protocolVersion": version}))).is_err());
        }
        assert!(
            Greeting::of_discover(object(json!({"supportedVersions": ["2025-11-25"]}))).is_none()
        );
        assert!(
            Greeting::of_discover(object(json!({"supportedVersions": ["2026-07-28"]}))).is_some()
        );
        assert!(Greeting::of_discover(object(json!({}))).is_none());
    }

    #[test]
    fn both_introductions_have_one_form() {
        let greeting = Greeting::of_initialize(object(json!({
            "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "s"}, "instructions": "i", "other": 1,
        })))
        .unwrap();
        assert_eq!(
            greeting.discover_result(),
            json!({
                "resultType": "complete", "supportedVersions": ["2025-11-25"], "capabilities": {"tools": {}},
                "instructions": "i", "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s"}},
            })
        );
    }
}
