//! Policies: what is live, what is proposed, what tests, traffic and the solver say of it, and what is excepted for a while.

mod bundles;
mod exceptions;
mod proposals;
mod sets;
mod trials;

use crate::ask::Ask;
use crate::route::{ADMIN, ADMIN_DEVELOPER, PERSON, Route, act, page};
use crate::text::Shown;
use crate::ui::{Copy, Header};

/// Characters of a bundle's version that name it in a line.
const VERSION_CHARS: usize = 12;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/policies", PERSON, sets::list),
        page("/policies/schema", PERSON, sets::schema),
        page("/policies/sets/{name}", PERSON, sets::one),
        act("/policies/sets/{name}", ADMIN, sets::put),
        act("/policies/sets/{name}/check", PERSON, sets::check),
        page("/policies/propose", ADMIN_DEVELOPER, proposals::form),
        act("/policies/propose", ADMIN_DEVELOPER, proposals::propose),
        page("/policies/proposals", PERSON, proposals::list),
        page("/policies/proposals/{id}", PERSON, proposals::one),
        act(
            "/policies/proposals/{id}/approve",
            ADMIN,
            proposals::approve,
        ),
        act("/policies/proposals/{id}/reject", PERSON, proposals::reject),
        act("/policies/proposals/{id}/stage", ADMIN, proposals::stage),
        act(
            "/policies/proposals/{id}/enforce",
            ADMIN,
            proposals::enforce,
        ),
        page("/policies/bundles", PERSON, bundles::list),
        page("/policies/bundles/{version}", PERSON, bundles::one),
        page("/policies/shadow", PERSON, bundles::shadow),
        act("/policies/unstage", ADMIN, bundles::unstage),
        page("/policies/rollback", ADMIN, bundles::rollback_page),
        act("/policies/rollback", ADMIN, bundles::rollback),
        page("/policies/tests", PERSON, trials::tests),
        page("/policies/simulate", PERSON, trials::simulate_page),
        act("/policies/simulate", PERSON, trials::simulate),
        page("/policies/prove", PERSON, trials::prove_page),
        act("/policies/prove", PERSON, trials::prove),
        page("/policies/exceptions", PERSON, exceptions::list),
        act("/policies/exceptions", PERSON, exceptions::request),
        act(
            "/policies/exceptions/{id}/approve",
            ADMIN,
            exceptions::approve,
        ),
        act(
            "/policies/exceptions/{id}/revoke",
            PERSON,
            exceptions::revoke,
        ),
    ]
}

/// The header that all of them share.
fn header(ask: &Ask, here: &str, copy: &Copy) -> Header {
    let mut header = Header::new("Govern", "Policies").copy(copy).action(
        ask.holds_any(&[remit_domain::Role::Admin, remit_domain::Role::Developer]),
        ask.to("/policies/propose"),
        "Propose a change",
        false,
    );
    for (after, words) in [
        ("", "Live"),
        ("/proposals", "Proposals"),
        ("/bundles", "Bundles"),
        ("/tests", "Tests and coverage"),
        ("/simulate", "Simulate"),
        ("/prove", "Prove"),
        ("/exceptions", "Exceptions"),
    ] {
        header = header.tab(ask.to(&format!("/policies{after}")), words, after == here);
    }
    header.tab(ask.to("/access/explain"), "Explain", false)
}

/// A version short enough for a line: it still names the bundle.
fn short(version: &str) -> Shown {
    Shown::line(version.chars().take(VERSION_CHARS).collect::<String>())
}

/// Where a policy `SET/NAME` stands in the live text.
fn place_of(ask: &Ask, policy: &str, line: usize) -> String {
    match policy.split_once('/') {
        Some((set, _)) if set != "guardrail" => {
            format!("{}#L{line}", ask.to_named("/policies/sets", set, ""))
        }
        _ => ask.to("/help/reference/guardrails"),
    }
}
