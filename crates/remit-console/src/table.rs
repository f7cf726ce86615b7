//! Every route there is. The authorization tests walk this table.

use crate::route::Route;
use crate::{
    access, agents, approvals, audit, connect, consent, containment, decisions, delegations,
    findings, help, home, labels, live, policies, rules, runs, search, settings, sign_in, tools,
    upstreams,
};

/// The table.
pub(crate) fn all() -> Vec<Route> {
    [
        sign_in::routes(),
        home::routes(),
        approvals::routes(),
        agents::routes(),
        runs::routes(),
        labels::routes(),
        decisions::routes(),
        containment::routes(),
        findings::routes(),
        audit::routes(),
        upstreams::routes(),
        tools::routes(),
        policies::routes(),
        rules::routes(),
        access::routes(),
        delegations::routes(),
        connect::routes(),
        consent::routes(),
        settings::routes(),
        search::routes(),
        help::routes(),
        live::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
