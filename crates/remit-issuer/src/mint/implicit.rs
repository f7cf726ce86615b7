//! Runs that nobody opened: they start with the first token, and every token that is asked for alike joins the same one.

use remit_domain::authority::Authority;
use remit_domain::{DelegationId, PersonId, Run, RunId};
use remit_ports::store::Once;

use super::{ActingFor, Ask};
use crate::limits::START_REMEMBERED_SECS;
use crate::spent::START;

/// Whether a run is the implicit one of (agent, workflow, person, chain, key, details).
pub(super) fn is_implicit(run: &Run, acting: &ActingFor, ask: &Ask) -> bool {
    run.implicit_key.as_deref() == Some(ask.client.thumbprint.as_str())
        && run.agent == ask.client.agent.id
        && run.workflow == ask.workflow.id
        && run.person == acting.person
        && run.parent.as_ref() == acting.parent.as_ref().map(|parent| &parent.id)
        && run.intent.authority == acting.authority
        && run
            .chain
            .iter()
            .eq(acting.chain.iter().map(|link| &link.id))
}

/// The key that the start of an implicit run uses up: the same on every node that would start the same one.
///
/// - `after`: the one before it, where that is known to have ended.
pub(super) fn start_of(run: &Run, after: Option<&RunId>) -> Once {
    let key = format!(
        "{START}{}:{}:{}:{}:{}:{}",
        run.agent,
        run.workflow,
        run.person.as_ref().map_or("-", PersonId::as_str),
        run.chain.last().map_or("-", DelegationId::as_str),
        run.implicit_key.as_deref().unwrap_or_default(),
        after.map_or("-", RunId::as_str),
    );
    let key = match (&run.parent, &run.intent.authority) {
        (None, authority) if *authority == Authority::default() => key,
        (parent, authority) => format!(
            "{key}:{}:{}",
            parent.as_ref().map_or("-", RunId::as_str),
            digest_of(authority)
        ),
    };
    Once {
        key,
        until: run.started.plus_secs(START_REMEMBERED_SECS),
    }
}

/// What bounds are told apart by.
fn digest_of(authority: &Authority) -> String {
    let text = serde_json::to_vec(authority).unwrap_or_default();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, digest)
}
