//! SVIDs are believed elsewhere until they end.

use remit_domain::credential::{Svid, SvidForm};

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
