//! SVIDs are believed elsewhere until they end.

use std::collections::BTreeSet;

use remit_domain::containment::{Containment, Target};
use remit_domain::credential::{Svid, SvidForm};

use crate::containment::scope::Scope;

use super::*;

#[tokio::test]
async fn svids_are_bounded_until_they_end_and_only_then_is_the_certificate_final() {
    let w = World::new().await;
    let svid: Svid = noun(json!({
        "id": id("crd", 7), "form": "x509", "agent": id("agt", 1), "workflow": id("wf", 1), "instance": "i",
        "spiffe_id": "spiffe://acme.example/agent/a/w/i", "run": null, "attested": null, "audience": [],
        "certificate": "c", "thumbprint": "t", "issued": w.books.now(), "expires": w.books.now().plus_secs(600),
        "withdrawn": null
    }));
    assert_eq!(svid.form, SvidForm::X509);
    let made = Change::new().create(&svid);
    w.books.commit(&w.org, made).await.unwrap();
    let preview = w
        .control
        .preview_containment(&w.caller(RESPONDER), &agent_target(), Level::Kill)
        .await
        .unwrap();
    assert!(
        preview
            .items
            .iter()
            .any(|i| i.kind == "svid" && i.becomes.starts_with("withdrawn"))
    );
    let shown = w
        .control
        .credentials(&w.caller(RESPONDER), None)
        .await
        .unwrap();
    assert_eq!(shown.svids.len(), 1);
    let contained = contain(&w, Level::Kill).await;
    let found = status(&contained, "svid");
    assert!(matches!(found[..], [ItemStatus::Bounded { until, .. }] if *until == svid.expires));
    assert!(!contained.certificate.unwrap().certificate.is_final);
    assert!(get::<Svid>(&w, svid.id.as_str()).await.withdrawn.is_some());
    let shown = w
        .control
        .credentials(&w.caller(RESPONDER), None)
        .await
        .unwrap();
    assert!(shown.svids.is_empty());
    w.pass(601);
    w.control.finalize_due(&w.org).await.unwrap();
    let last = w
        .control
        .containment(&w.caller(RESPONDER), &contained.id)
        .await
        .unwrap();
    assert!(status(&last, "svid").iter().all(|s| is_stopped(s)));
}

#[tokio::test]
async fn containing_a_token_or_its_key_reaches_what_was_asked_for_with_it() {
    for target in ["token", "key it is bound to", "another token"] {
        let w = World::new().await;
        let (_, _, run, _) = w.chain().await;
        let token = id("crd", 8);
        let bound_to = "b".repeat(43);
        let other = id("crd", 99);
        let svid: Svid = noun(json!({
            "id": id("crd", 7), "form": "jwt", "agent": run.agent, "workflow": run.workflow, "instance": "i",
            "spiffe_id": "spiffe://acme.example/agent/a/w/i", "run": run.id, "attested": null, "audience": ["a"],
            "certificate": null, "thumbprint": "t", "token": token, "bound_to": bound_to,
            "issued": w.books.now(), "expires": w.books.now().plus_secs(300), "withdrawn": null
        }));
        let book = w.books.org(&w.org).unwrap();
        let scope = Scope {
            target: Target::Credential(match target {
                "token" => token,
                "another token" => other,
                _ => bound_to,
            }),
            agent: Some(run.agent.clone()),
            runs: BTreeSet::new(),
            keys: BTreeSet::new(),
            delegations: BTreeSet::new(),
        };
        assert_eq!(
            scope.holds_svid(&book.registry(), &svid),
            target != "another token",
            "{target}"
        );
    }
}

#[tokio::test]
async fn what_was_issued_beside_a_kill_is_found_though_its_run_has_ended() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    let name = noun(json!({ "type": "run", "id": run.id }));
    let responder = w.caller(RESPONDER);
    let killed = w.control.contain(&responder, &name, Level::Kill, "test");
    let killed = killed.await.unwrap();
    let svid: Svid = noun(json!({
        "id": id("crd", 7), "form": "jwt", "agent": run.agent, "workflow": run.workflow, "instance": "i",
        "spiffe_id": "spiffe://acme.example/agent/a/w/i", "run": run.id, "attested": null, "audience": ["a"],
        "certificate": null, "thumbprint": "t", "issued": w.books.now(), "expires": w.books.now().plus_secs(300),
        "withdrawn": null
    }));
    w.books
        .commit(&w.org, Change::new().create(&svid))
        .await
        .unwrap();
    let containment: Containment = get(&w, killed.id.as_str()).await;
    let book = w.books.org(&w.org).unwrap();
    let scope = Scope::of(&book.registry(), &containment.target, Some(&run.agent));
    let ended = BTreeSet::from([run.id.clone()]);
    for ended in [ended, BTreeSet::new()] {
        let found = w.control.svids_of(&w.org, &scope, &ended).await.unwrap();
        assert_eq!(found.len(), 1);
    }
}
