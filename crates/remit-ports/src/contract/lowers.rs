//! Labels that people take back: what stops it, and what a call raises after it.

use std::sync::Arc;

use remit_domain::{AgentId, Kind, OrgId};

use super::data::{admit, at, commit, org, outcome};
use crate::Store;
use crate::store::{Admit, Commit, Lower, StoreError};

pub(super) async fn all(store: &Arc<dyn Store>) {
    let store = store.as_ref();
    a_label_is_taken_back_and_raised_anew(store).await;
    a_scope_that_has_moved_stops_it(store).await;
    a_call_in_flight_stops_it(store).await;
}

fn lower(org: &OrgId, scopes: &[(&str, u64)], agents: &[AgentId]) -> Commit {
    let scopes = scopes.iter().map(|(s, n)| ((*s).to_owned(), *n));
    Commit {
        at: at(50),
        lower: Some(Lower {
            scopes: scopes.collect(),
            labels: vec!["pii".to_owned(), "nothing".to_owned()],
            agents: agents.to_vec(),
            by: "dcl_1".to_owned(),
        }),
        ..commit(org, Vec::new())
    }
}

/// A call that raises `pii`, `pii-2` and `untrusted`; its scope.
async fn raised(store: &dyn Store, org: &OrgId) -> (Admit, String) {
    let call = admit(org);
    let scope = call.labels.0.clone();
    let raise = ["pii", "pii-2", "untrusted"].map(|l| (scope.clone(), l.to_owned()));
    let call = Admit {
        raise: raise.to_vec(),
        ..call
    };
    store.admit(call.clone()).await.unwrap();
    (call, scope)
}

async fn a_label_is_taken_back_and_raised_anew(store: &dyn Store) {
    let org = org();
    let (call, scope) = raised(store, &org).await;
    store.outcome(outcome(&call)).unwrap();
    store.flush().await.unwrap();
    let labels = async || store.labels(&org, &scope).await.unwrap();
    assert_eq!(labels().await.labels["pii"].by, Some(call.decision.clone()));
    for round in 0..3_i64 {
        let before = labels().await;
        store
            .commit(lower(&org, &[(&scope, before.stamp())], &[]))
            .await
            .unwrap();
        let after = labels().await;
        let left: Vec<_> = after.labels.keys().map(String::as_str).collect();
        assert_eq!(left, ["pii-2", "untrusted"], "and nothing else");
        assert!(
            after.version() > before.version(),
            "whoever decided on it before has to look again"
        );
        let again = Admit {
            at: at(60 + round),
            labels: (scope.clone(), after.version()),
            raise: vec![(scope.clone(), "pii".to_owned())],
            sends: None,
            ..admit(&org)
        };
        let stale = Admit {
            labels: (scope.clone(), before.version()),
            ..again.clone()
        };
        store.admit(stale).await.unwrap_err();
        store.admit(again.clone()).await.unwrap();
        let raised = &labels().await.labels["pii"];
        assert_eq!(
            (raised.at, raised.by.as_ref()),
            (at(60 + round), Some(&again.decision)),
            "a later call raises it again, as its own"
        );
    }
    let Admit { raise, .. } = call;
    let late = crate::store::Outcome {
        raise,
        ..outcome(&admit(&org))
    };
    let stamp = labels().await.stamp();
    store
        .commit(lower(&org, &[(&scope, stamp)], &[]))
        .await
        .unwrap();
    store.outcome(late).unwrap();
    store.flush().await.unwrap();
    assert!(
        labels().await.labels.contains_key("pii"),
        "an outcome that is told afterwards raises it again"
    );
}

async fn a_scope_that_has_moved_stops_it(store: &dyn Store) {
    let org = org();
    let (call, scope) = raised(store, &org).await;
    store.outcome(outcome(&call)).unwrap();
    store.flush().await.unwrap();
    let stamp = store.labels(&org, &scope).await.unwrap().stamp();
    let refused = store.commit(lower(&org, &[(&scope, stamp - 1)], &[])).await;
    let conflict = StoreError::Conflict {
        kind: Kind::Declassification,
        key: scope.clone(),
    };
    assert_eq!(refused, Err(conflict));
    let labels = store.labels(&org, &scope).await.unwrap();
    assert!(labels.labels.contains_key("pii"), "nothing has changed");
    assert_eq!(store.entry_count(&org).await.unwrap(), 2);
}

async fn a_call_in_flight_stops_it(store: &dyn Store) {
    let org = org();
    let (call, scope) = raised(store, &org).await;
    let stamp = store.labels(&org, &scope).await.unwrap().stamp();
    let asked = || lower(&org, &[(&scope, stamp)], std::slice::from_ref(&call.agent));
    let conflict = StoreError::Conflict {
        kind: Kind::Declassification,
        key: call.agent.to_string(),
    };
    assert_eq!(store.commit(asked()).await, Err(conflict));
    store.outcome(outcome(&call)).unwrap();
    store.flush().await.unwrap();
    store.commit(asked()).await.unwrap();
    let labels = store.labels(&org, &scope).await.unwrap();
    assert!(!labels.labels.contains_key("pii"));
}
