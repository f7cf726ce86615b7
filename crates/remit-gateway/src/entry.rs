//! The entries of a call: who, via what, what and where, why, and what came of it.

use remit_domain::Principal;
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::event::{Event, EventKind};
use remit_policy::Decision;
use remit_ports::upstreams::UpstreamError;
use serde_json::{Map, Value, json};

use crate::call::{Approved, Authorized, Consent, Recorded};
use crate::limits::POLICIES_IN_LEAF;
use crate::obligation::{flags, transforms};

/// What people had to do with it, as a word.
fn consent_word(consent: &Consent) -> &'static str {
    match consent {
        Consent::NotNeeded => "not_needed",
        Consent::Given(..) => "given",
        Consent::Asked(..) => "asked",
        Consent::Withheld(_) | Consent::Waits(..) | Consent::Spent(..) => "withheld",
    }
}

/// What is said of few calls.
fn seldom(event: Event, call: &Authorized, decision: &Decision) -> Event {
    // What every call has is not said of each: that the gateway enforces it, and that it begins with itself.
    let event = match call.resolved.upstream.is_cooperative() {
        true => event.fact("enforcement", call.resolved.upstream.enforcement()),
        false => event,
    };
    let event = match &call.resolved.received.vouched {
        Some(vouched) => event.fact("enforcement_point", &vouched.point),
        None => event,
    };
    let event = owed(event, "flagged", &flags(decision));
    let event = owed(event, "transformed", &transforms(decision));
    let event = match &call.resolved.received.continues {
        Some(before) => event.fact("continues", before),
        None => event,
    };
    let event = match &call.shadow {
        Some((bundle, shadow)) => event
            .fact("shadow", bundle)
            .fact("shadow_outcome", shadow.outcome.as_str())
            .content("shadow_decision", shadow),
        None => event,
    };
    match decision.exceptions.is_empty() {
        true => event,
        false => event.fact("exceptions", leading(&decision.exceptions)),
    }
}

/// The decision: everything that led to it, in the leaf as ids, hashes and codes, in the body whole.
///
/// - `facts`: where the slice of the registry is kept.
pub(crate) fn decided(call: &Approved, decision: &Decision, facts: &str) -> Event {
    let Authorized {
        resolved,
        id,
        dynamic,
        digest,
        ..
    } = &call.authorized;
    let standing = &resolved.standing;
    let run = &standing.run;
    let actor = Principal::Agent(run.agent.clone());
    let classification = resolved.tool.classification.as_ref();
    let chain: Vec<[&str; 2]> = standing
        .chain
        .iter()
        .map(|d| [d.to.as_str(), d.id.as_str()])
        .collect();
    let approval = match &call.consent {
        Consent::Given(approval, _) | Consent::Asked(approval, _) => Some(&approval.id),
        Consent::Waits(_, id) => Some(id),
        _ => None,
    };
    let event = Event::new(EventKind::CallDecided, dynamic.now, actor);
    let event = seldom(event, &call.authorized, decision);
    event
        .about(id)
        .agent(&run.agent)
        .run(&run.id)
        .decision(id)
        .fact("outcome", decision.outcome.as_str())
        .fact("consent", consent_word(&call.consent))
        .fact("approval", approval)
        .fact("tool", resolved.tool_ref())
        .fact("definition", &resolved.tool.definition.hash)
        .fact("effect", classification.map(|c| c.effect))
        .fact("system", &resolved.upstream.system)
        .fact(
            "environment",
            resolved.fixed().system.as_ref().map(|s| s.environment),
        )
        .fact("policies", leading(&decision.policies))
        .fact("policy_count", decision.policies.len())
        .fact("engine", resolved.engine.version())
        .fact("bundle", resolved.engine.bundle())
        .fact("fixed", facts)
        .fact("epoch", resolved.epoch)
        .fact("workflow", &run.workflow)
        .fact("mode", run.mode)
        .fact("person", &run.person)
        .fact("sponsor", &standing.agent.profile.sponsor)
        .fact("chain", chain)
        .fact("grant", &decision.grant)
        .fact("credential", &resolved.caller.credential)
        .content(
            "arguments",
            resolved.received.call.arguments.digest().to_string(),
        )
        .content("digest", digest.sha256().to_string())
        .content("decision", decision)
        .content("dynamic", dynamic)
        .content("summary", summary(call))
        .content(
            "intent",
            json!({ "purpose": run.intent.purpose, "ticket": run.intent.ticket }),
        )
        .content("trigger", run.trigger.as_deref().unwrap_or("unknown"))
        .content("provenance", provenance(call))
}

/// The settings that owe something, in the leaf; nothing where there are none.
fn owed(event: Event, fact: &str, settings: &[&str]) -> Event {
    if settings.is_empty() {
        event
    } else {
        event.fact(fact, settings)
    }
}

/// What the caller said of model, prompt, configuration and context, with this call or else when its run was opened;
/// `unknown` where it did not.
fn provenance(call: &Approved) -> Value {
    let resolved = &call.authorized.resolved;
    let of_run = &resolved.standing.run.provenance;
    let none = remit_mcp::Said::default();
    let of_call = resolved.received.call.meta.said.as_ref().unwrap_or(&none);
    let said = |call: &Option<String>, run: &Option<String>| {
        let said = call.as_deref().or(run.as_deref());
        said.unwrap_or("unknown").to_owned()
    };
    let context = match (of_call.context.as_slice(), of_run.context.as_slice()) {
        ([], []) => json!("unknown"),
        ([], context) | (context, _) => json!(context),
    };
    json!({
        "model": said(&of_call.model, &of_run.model),
        "prompt": said(&of_call.prompt, &of_run.prompt),
        "configuration": said(&of_call.configuration, &of_run.configuration),
        "context": context,
    })
}

/// The arguments as people may see them in lists: values only where the tool allows, otherwise names and types.
fn summary(call: &Approved) -> Value {
    let resolved = &call.authorized.resolved;
    let shown = |path: &str| {
        resolved
            .tool
            .classification
            .as_ref()
            .is_some_and(|c| c.show.iter().any(|p| p.as_str() == path))
    };
    let members = resolved.received.call.arguments.value().iter();
    let shown: Map<String, Value> = members
        .map(|(name, value)| {
            (
                name.clone(),
                if shown(name) {
                    value.clone()
                } else {
                    json!(kind_of(value))
                },
            )
        })
        .collect();
    Value::Object(shown)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// An approval was asked for, used, or turned out otherwise.
pub(crate) fn approval(
    kind: EventKind,
    approval: &Approval,
    state: ApprovalState,
    at: remit_domain::Timestamp,
) -> Event {
    let policies = approval.asks.iter().take(POLICIES_IN_LEAF);
    let policies: Vec<&str> = policies.map(|a| a.policy.as_str()).collect();
    Event::new(kind, at, Principal::Agent(approval.agent.clone()))
        .about(&approval.id)
        .agent(&approval.agent)
        .run(&approval.run)
        .decision(&approval.decision)
        .fact("state", state)
        .content("digest", &approval.digest)
        .fact("policies", policies)
        .fact("expires", approval.expires)
        .content("asks", &approval.asks)
        .content("reasons", &approval.reasons)
}

/// What came of a call that was to be sent.
pub(crate) fn completed(
    call: &Recorded,
    result: &Result<Map<String, Value>, UpstreamError>,
    now: remit_domain::Timestamp,
) -> Event {
    let resolved = &call.authorized.resolved;
    let run = &resolved.standing.run;
    let (digest, reference) = match result {
        Ok(map) => (
            remit_mcp::canonical::jcs_object(map)
                .ok()
                .map(|t| remit_mcp::Sha256Digest::of(t.as_bytes()).to_string()),
            reference(map),
        ),
        Err(_) => (None, None),
    };
    let error = result.as_ref().err().map(ToString::to_string);
    Event::new(
        EventKind::CallCompleted,
        now,
        Principal::Agent(run.agent.clone()),
    )
    .about(&call.authorized.id)
    .agent(&run.agent)
    .run(&run.id)
    .decision(&call.authorized.id)
    .fact("status", status(result))
    .fact("decided_at", call.index)
    .content("result", digest)
    .fact(
        "micros",
        now.as_micros()
            .saturating_sub(call.authorized.dynamic.now.as_micros()),
    )
    .content(
        "reference",
        reference.unwrap_or_else(|| "unknown".to_owned()),
    )
    .content("error", error)
}

/// The upstream's own id of what it did, where it says so.
fn reference(result: &Map<String, Value>) -> Option<String> {
    let structured = result.get("structuredContent")?.as_object()?;
    let named = ["reference", "id"]
        .iter()
        .find_map(|name| structured.get(*name)?.as_str())?;
    Some(named.chars().take(200).collect())
}

/// What came of a call, as a word.
pub(crate) fn status(result: &Result<Map<String, Value>, UpstreamError>) -> &'static str {
    match result {
        Ok(map) if map.get("isError") == Some(&Value::Bool(true)) => "tool_error",
        Ok(_) => "ok",
        Err(UpstreamError::Unreachable(_) | UpstreamError::Unauthorized(_)) => "not_sent",
        Err(UpstreamError::Ambiguous(_)) => "ambiguous",
        Err(UpstreamError::Cancelled) => "cancelled",
        Err(UpstreamError::Invalid(_)) => "invalid",
        Err(UpstreamError::TooLarge(_)) => "too_large",
        Err(UpstreamError::Rpc { .. }) => "error",
    }
}

/// The first of the determining policies: a leaf is small, and the sealed decision names all.
fn leading(policies: &[String]) -> Vec<&String> {
    policies.iter().take(POLICIES_IN_LEAF).collect()
}
