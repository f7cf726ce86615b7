//! Every route there is.

use remit_domain::Role;

use super::route::{Route, Who};
use super::{
    agent, approval, authorization_server, breaker, containment, credential, delegation, document,
    enforcement_point, evidence, freeze, key, limit, organization, person, policy, run, scim,
    secret, session, setting, ticket, tool, trusted_issuer, upstream,
};

/// Any person, agent or operator: whoever has proved who they are.
pub(super) const ANYBODY: &[Who] = &[Who::Person, Who::Agent, Who::Operator];
/// Any person. Where it stands on a change, control decides by what the person is to the record.
pub(super) const PERSON: &[Who] = &[Who::Person];
pub(super) const ADMIN: &[Who] = &[Who::Role(Role::Admin)];
pub(super) const AUDITOR: &[Who] = &[Who::Role(Role::Auditor)];
pub(super) const ADMIN_AUDITOR: &[Who] = &[Who::Role(Role::Admin), Who::Role(Role::Auditor)];
pub(super) const RESPONDER_ADMIN_AUDITOR: &[Who] = &[
    Who::Role(Role::Responder),
    Who::Role(Role::Admin),
    Who::Role(Role::Auditor),
];
pub(super) const RESPONDER_ADMIN: &[Who] = &[Who::Role(Role::Responder), Who::Role(Role::Admin)];
pub(super) const ADMIN_DEVELOPER: &[Who] = &[Who::Role(Role::Admin), Who::Role(Role::Developer)];
pub(super) const PERSON_AGENT: &[Who] = &[Who::Person, Who::Agent];
pub(super) const AGENT: &[Who] = &[Who::Agent];
pub(super) const OPERATOR: &[Who] = &[Who::Operator];
pub(super) const EVERYBODY: &[Who] = &[Who::Everybody];

/// The table.
pub(crate) fn all() -> Vec<Route> {
    [
        organization::routes(),
        person::routes(),
        agent::routes(),
        upstream::routes(),
        tool::routes(),
        policy::routes(),
        super::bundle::routes(),
        setting::routes(),
        limit::routes(),
        freeze::routes(),
        enforcement_point::routes(),
        trusted_issuer::routes(),
        authorization_server::routes(),
        scim::routes(),
        secret::routes(),
        super::lease::routes(),
        ticket::routes(),
        breaker::routes(),
        document::routes(),
        delegation::routes(),
        run::routes(),
        approval::routes(),
        containment::routes(),
        credential::routes(),
        evidence::routes(),
        session::routes(),
        key::routes(),
        super::svid::routes(),
        super::signal::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
