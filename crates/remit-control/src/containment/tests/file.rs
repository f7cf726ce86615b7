//! Certificates that prove themselves, and what they do not count as stopped.

use remit_domain::finding::{Finding, FindingKind};
use remit_ledger::certificate::{CertificateError, verify};

use super::*;

async fn with_secret(w: &World) {
    let found = w
        .books
        .get::<remit_domain::Upstream>(&w.org, "orders")
        .await
        .unwrap()
        .unwrap();
    let mut upstream = found.noun;
    upstream.secret = noun(json!({ "bearer": { "vault": "orders-key" } }));
    let change = Change::new().update(&upstream, found.revision);
    w.books.commit(&w.org, change).await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_verified_without_the_server() {
    let w = World::new().await;
    let (_, _, run, _) = w.chain().await;
    w.token(&run).await;
    let view = contain(&w, Level::Kill).await;
    for n in [NOBODY, CLERK] {
        let file = w.control.certificate_file(&w.caller(n), &view.id).await;
        assert_eq!(code(file), RefusalCode::Forbidden);
    }
    let file = w
        .control
        .certificate_file(&w.caller(AUDITOR), &view.id)
        .await
        .unwrap();
    let key = w.books.log_key(&w.org).await.unwrap();
    let text = serde_json::to_string_pretty(&file).unwrap();
    let proved = verify(&text, &key).unwrap();
    assert_eq!(proved.containment.id, view.id);
    assert_eq!(proved.certificate, view.certificate.unwrap().certificate);
    let forged = text.replace("\"kill\"", "\"suspend\"");
    assert!(matches!(
        verify(&forged, &key),
        Err(CertificateError::Changed(_))
    ));
}

#[tokio::test]
async fn what_remit_did_not_issue_is_never_called_stopped_and_is_somebodys_task() {
    let w = World::new().await;
    with_secret(&w).await;
    w.start(1, None, Vec::new(), None).await;
    let by = w.caller(RESPONDER);
    let preview = w
        .control
        .preview_containment(&by, &agent_target(), Level::Kill)
        .await
        .unwrap();
    let view = contain(&w, Level::Kill).await;
    let certificate = view.certificate.unwrap().certificate;
    let outside = &certificate.outside;
    assert_eq!(outside.len(), 1);
    assert_eq!(
        preview.outside.iter().cloned().collect::<Vec<_>>(),
        *outside
    );
    assert_eq!(
        (outside[0].kind.as_str(), outside[0].id.as_str()),
        ("vault", "orders-key")
    );
    assert!(certificate.items.iter().all(|i| i.id != "orders-key"));
    let (found, _) = w
        .books
        .list::<Finding>(&w.org, &Default::default())
        .await
        .unwrap();
    let tasks: Vec<_> = found
        .iter()
        .map(|f| &f.noun)
        .filter(|f| f.kind == FindingKind::OutsideCredential)
        .collect();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].owner, Some(id("per", ADMIN).parse().unwrap()));
}
