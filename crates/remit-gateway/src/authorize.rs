//! The decision. Pure but for the time and the carried labels it is given.

use std::collections::BTreeSet;

use remit_books::labels::carried;
use remit_domain::name::Name;
use remit_domain::{DecisionId, OrgId, Refusal, RefusalCode};
use remit_mcp::canonical::CanonicalArgs;
use remit_mcp::{CallBinding, CallDigest, ChainLink, Sha256Digest};
use remit_policy::{Dynamic, Facts, Outcome};
use serde_json::Value;

use crate::Gateway;
use crate::call::{Authorized, Passes, Resolved};
use crate::content;
use crate::obligation::transforms;
use crate::transform;

impl Gateway {
    pub(crate) fn authorize(&self, resolved: Box<Resolved>) -> Result<Authorized, Refusal> {
        let now = self.books().now();
        let passes = resolved.received.passes();
        let resolved = transformed(resolved)?;
        let args = Value::Object(resolved.received.call.arguments.value().clone());
        resolved
            .engine
            .validate_args(resolved.tool_ref(), &args)
            .map_err(|e| Refusal::new(RefusalCode::ArgumentsInvalid, e.to_string()))?;
        let mut labels: BTreeSet<String> = resolved.labels.labels.keys().cloned().collect();
        let org = &resolved.received.org;
        labels.extend(carried(&resolved.root, &resolved.beside, now));
        let situation = resolved.situation.clone();
        let dynamic = Dynamic {
            args,
            labels,
            ticket: situation.ticket,
            findings: situation.findings,
            risk: situation.risk,
            trust: resolved.caller.trust,
            ..Dynamic::at(now)
        };
        let decision = resolved
            .engine
            .decide_prepared(&resolved.prepared, &dynamic);
        if passes != Passes::Decided && !transforms(&decision).is_empty() {
            return Err(Refusal::new(RefusalCode::Denied, AS_RECEIVED));
        }
        if let (Passes::Unseen, Some(class), true) = (
            passes,
            content::regulated(&resolved),
            decision.outcome != Outcome::Deny,
        ) {
            return Err(unseen(class));
        }
        let shadow = resolved.book.shadow().map(|shadow| {
            let facts = Facts {
                fixed: resolved.fixed(),
                dynamic: &dynamic,
            };
            let decision = shadow.engine.decide(facts);
            (shadow.bundle.clone(), Box::new(decision))
        });
        let digest = digest(org, &resolved)?;
        let id = self.books().id(DecisionId::from_uuid);
        Ok(Authorized {
            resolved,
            id,
            dynamic,
            decision,
            shadow,
            digest,
        })
    }
}

/// Why a call is refused that goes on as it came, where something of it would have to be masked.
const AS_RECEIVED: &str = "DENIED: a setting masks something of this call or of its result, and the gateway before the server passes both on as they are. Call it through Remit";

/// Why a call is refused whose result nobody could look into: it would be withheld, and cannot be.
fn unseen(class: &Name) -> Refusal {
    let text = format!(
        "DENIED: the tool touches {class}, and the gateway before the server gives its result to the agent before anybody has looked into it. Call it through Remit"
    );
    Refusal::new(RefusalCode::Denied, text)
}

/// The call with the arguments that settings leave of it: what is decided is what is sent.
fn transformed(resolved: Box<Resolved>) -> Result<Box<Resolved>, Refusal> {
    let left = {
        let given = resolved.received.call.arguments.value();
        transform::args(&resolved.fixed().settings, given)
    };
    let Some(left) = left else {
        return Ok(resolved);
    };
    let mut resolved = resolved;
    resolved.received.call.arguments = CanonicalArgs::from_object(left)
        .map_err(|e| Refusal::new(RefusalCode::ArgumentsInvalid, e.to_string()))?;
    Ok(resolved)
}

/// The digest that an approval is bound to (invariant 6).
fn digest(org: &OrgId, resolved: &Resolved) -> Result<CallDigest, Refusal> {
    let chain: Vec<ChainLink<'_>> = resolved
        .standing
        .chain
        .iter()
        .map(|d| ChainLink {
            principal: d.to.as_str(),
            delegation: d.id.as_str(),
        })
        .collect();
    let root = resolved
        .standing
        .person
        .as_ref()
        .map_or("", |p| p.id.as_str());
    let mut links = vec![ChainLink {
        principal: root,
        delegation: "",
    }];
    links.extend(chain);
    let wrong = |_| {
        Refusal::new(
            RefusalCode::ToolChanged,
            "the tool's definition hash cannot be read; sync its upstream",
        )
    };
    let definition_hash: Sha256Digest = resolved.tool.definition.hash.parse().map_err(wrong)?;
    let call = &resolved.received.call;
    CallDigest::of(&CallBinding {
        organization: org.as_str(),
        agent: resolved.standing.agent.id.as_str(),
        workflow: resolved.standing.workflow.id.as_str(),
        run: resolved.standing.run.id.as_str(),
        upstream: resolved.upstream.name.as_str(),
        tool: resolved.tool.tool.tool(),
        definition_hash,
        chain: &links,
        arguments: &call.arguments,
        input_responses: call.input_responses.as_ref(),
    })
    .map_err(|e| Refusal::new(RefusalCode::ArgumentsInvalid, e.to_string()))
}
