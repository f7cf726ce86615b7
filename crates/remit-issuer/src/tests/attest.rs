//! Only what the workflow declares gets its identity, in the words of an attester, and anything else is a finding.

use remit_domain::attestation::{Attestation, Evidence};
use remit_domain::credential::Svid;
use remit_domain::finding::{Finding, FindingKind};
use remit_domain::{Refusal, RefusalCode};

use super::svid::{ELSEWHERE, csr, holder};
use super::*;

pub(super) fn seen() -> Evidence {
    Evidence {
        uid: 990,
        binary: "/opt/support/bin/agent".to_owned(),
        sha256: "ab".repeat(32),
        cgroup: "/system.slice/support.service".to_owned(),
    }
}

/// The workflow declares what may run it, and the agent's key is an attester's.
pub(super) async fn declared(world: &World, holder: &Verified) {
    let seen = seen();
    let attestation = Attestation {
        uid: seen.uid,
        binary: seen.binary,
        sha256: [seen.sha256].into(),
        unit: Some("support.service".to_owned()),
        cgroup: None,
    };
    world
        .change::<Workflow>(holder.workflow.as_str(), |w| {
            w.attestation = Some(attestation.clone());
        })
        .await;
}

pub(super) async fn attester(world: &World, thumbprint: &str) {
    world
        .change::<AgentKey>(thumbprint, |key| key.attests = true)
        .await;
}

async fn both(world: &World, holder: &Verified, seen: Option<Evidence>) -> [Option<Refusal>; 2] {
    let issuer = &world.issuer;
    let x509 = issuer.x509_svid(holder, &csr(), seen.clone()).await;
    let audience = [ELSEWHERE.to_owned()];
    let jwt = issuer.jwt_svid(holder, &audience, seen).await;
    [x509.err(), jwt.err()]
}

async fn findings(world: &World) -> Vec<Finding> {
    let filter = remit_ports::store::Filter {
        limit: 100,
        ..Default::default()
    };
    let (found, _) = world
        .books
        .list::<Finding>(&world.acme, &filter)
        .await
        .unwrap();
    found.into_iter().map(|found| found.noun).collect()
}

#[tokio::test]
async fn what_was_attested_is_recorded_and_its_path_is_sealed() {
    let world = World::new().await;
    let holder = holder(&world).await;
    declared(&world, &holder).await;
    attester(&world, &world.triage.thumbprint).await;
    assert_eq!(both(&world, &holder, Some(seen())).await, [None, None]);
    assert!(world.issuer.attest(&holder, seen()).await.is_ok());
    let registered = world.issuer.attestation(&holder).await.unwrap();
    assert_eq!(registered.uid, 990);
    let live = world.books.live_svids(&world.acme, None).await.unwrap();
    assert_eq!(live.len(), 2);
    let all = |svid: &Svid| svid.attested.as_ref() == Some(&seen());
    assert!(live.iter().all(|svid| all(&svid.noun)));
    let (_, facts) = world.entries(EventKind::SvidIssued).await;
    assert_eq!(facts["binary"], json!("ab".repeat(32)));
    assert!(!facts.to_string().contains("/opt/support"), "{facts}");
    assert!(findings(&world).await.is_empty());
}

#[tokio::test]
async fn another_user_binary_digest_or_unit_gets_nothing_and_is_a_finding() {
    let world = World::new().await;
    let holder = holder(&world).await;
    declared(&world, &holder).await;
    attester(&world, &world.triage.thumbprint).await;
    let changes: [fn(&mut Evidence); 4] = [
        |s| s.uid = 0,
        |s| s.binary = "/tmp/agent".to_owned(),
        |s| s.sha256 = "cd".repeat(32),
        |s| s.cgroup = "/system.slice/other.service".to_owned(),
    ];
    for change in changes {
        let mut other = seen();
        change(&mut other);
        for refusal in both(&world, &holder, Some(other.clone())).await {
            assert_eq!(refusal.unwrap().code, RefusalCode::AttestationMismatch);
        }
        let refused = world.issuer.attest(&holder, other).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::AttestationMismatch);
    }
    assert_eq!(world.entries(EventKind::SvidIssued).await.0, 0);
    let (refused, facts) = world.refused().await;
    assert_eq!(
        (refused, &facts["code"]),
        (12, &json!("attestation-mismatch"))
    );
    let found = findings(&world).await;
    assert_eq!(found.len(), 1, "one that is counted: {found:?}");
    assert_eq!(found[0].kind, FindingKind::AttestationMismatch);
    assert_eq!(
        (found[0].seen, &found[0].subject),
        (12, &holder.workflow.to_string())
    );
    assert!(found[0].text.contains("systemd unit"), "{}", found[0].text);
}

#[tokio::test]
async fn what_an_agent_says_of_itself_is_no_attestation() {
    let world = World::new().await;
    let holder = holder(&world).await;
    let required = |refusals: [Option<Refusal>; 2]| {
        let codes = refusals.map(|refusal| refusal.unwrap().code);
        assert_eq!(codes, [RefusalCode::AttestationRequired; 2]);
    };
    // Nothing is declared, so nothing can be attested.
    required(both(&world, &holder, Some(seen())).await);
    declared(&world, &holder).await;
    // Its own key is no attester's, whether it claims something or not.
    required(both(&world, &holder, Some(seen())).await);
    required(both(&world, &holder, None).await);
    let refused = world.issuer.attestation(&holder).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::AttestationRequired);
    attester(&world, &world.triage.thumbprint).await;
    required(both(&world, &holder, None).await);
    let unsound = Evidence {
        sha256: "AB".repeat(32),
        ..seen()
    };
    for refusal in both(&world, &holder, Some(unsound)).await {
        assert_eq!(refusal.unwrap().code, RefusalCode::InvalidRequest);
    }
    assert_eq!(world.entries(EventKind::SvidIssued).await.0, 0);
    assert!(findings(&world).await.is_empty());
}
