//! WIT-SVIDs: off until they are turned on, bound to the key that is proved with the request itself, and to no other.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_domain::credential::{Svid, SvidForm};
use remit_domain::{Organization, Refusal, RefusalCode};
use remit_token::PublicJwk;

use super::attest::{attester, declared, seen};
use super::keys::second_node;
use super::*;
use crate::{ProofShown, WitSvid};

const AT: &str = "https://remit.example/api/v1/svids/wit";

/// An agent with a token, and a key of a workload.
struct Place {
    world: World,
    token: String,
    holder: Arc<Verified>,
    workload: SigningKey,
}

async fn turn(world: &World, on: bool) {
    let org = world.acme.clone();
    world
        .change::<Organization>(org.as_str(), |o| o.wit_svids = o.wit_svids.turned(on))
        .await;
}

impl Place {
    async fn new() -> Self {
        let world = World::new().await;
        turn(&world, true).await;
        let token = world.token(&world.triage, "workflow:answer").await;
        let holder = world.verify(&token).await.unwrap();
        Self {
            world,
            token,
            holder,
            workload: key(),
        }
    }

    fn proof(&self, jti: &str) -> String {
        let token = Some(self.token.as_str());
        self.world.proof_at(&self.workload, AT, token, jti)
    }

    async fn ask(&self, proof: &str) -> Result<WitSvid, Refusal> {
        self.ask_at(&self.world.issuer, proof, None).await
    }

    async fn ask_at(
        &self,
        issuer: &Issuer,
        proof: &str,
        attested: Option<remit_domain::attestation::Evidence>,
    ) -> Result<WitSvid, Refusal> {
        let shown = ProofShown {
            proof: Some(proof),
            method: "POST",
            path: "/api/v1/svids/wit",
        };
        let holder = &self.holder;
        issuer.wit_svid(holder, &self.token, &shown, attested).await
    }

    async fn live(&self) -> Vec<Svid> {
        let live = self.world.books.live_svids(&self.world.acme, None).await;
        live.unwrap().into_iter().map(|svid| svid.noun).collect()
    }

    async fn published(&self) -> Vec<PublicJwk> {
        let bundle = self.world.issuer.bundle(&self.world.acme).await;
        bundle.unwrap().wit
    }
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn signed_by(token: &str, key: &PublicJwk) -> bool {
    let jwk = serde_json::to_value(key).unwrap();
    let of = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], of("x"), of("y")].concat();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(message.as_bytes(), &signature)
        .is_ok()
}

#[tokio::test]
async fn it_names_the_workload_and_its_key_and_is_recorded_as_what_it_is() {
    let place = Place::new().await;
    let made = place.ask(&place.proof("one")).await.unwrap();
    let holder = &place.holder;
    let path = format!("/agent/{}/{}/{}", holder.agent, holder.workflow, holder.run);
    let claims = part(&made.token, 1);
    let id = format!("spiffe://acme.remit.example{path}");
    assert_eq!(
        (&claims["sub"], &made.spiffe_id.to_string()),
        (&json!(id), &id)
    );
    assert_eq!(claims["iss"], "spiffe://acme.remit.example");
    assert!(claims.get("aud").is_none());
    let mut own = serde_json::to_value(place.workload.public()).unwrap();
    own["alg"] = json!("ES256");
    assert_eq!(claims["cnf"]["jwk"], own);
    assert!(made.expires <= holder.expires);
    let published = place.published().await;
    let [key] = published.as_slice() else {
        panic!("one key: {published:?}")
    };
    assert!(signed_by(&made.token, key));
    assert_eq!(part(&made.token, 0)["kid"], key.thumbprint().as_str());
    let bundle = place.world.issuer.bundle(&place.world.acme).await.unwrap();
    assert!(!bundle.jwt.contains(key), "each use has its own key");
    let live = place.live().await;
    let [svid] = live.as_slice() else {
        panic!("one record: {live:?}")
    };
    let jkt = place.workload.kid().to_string();
    assert_eq!((svid.form, svid.key.as_ref()), (SvidForm::Wit, Some(&jkt)));
    assert_eq!(claims["jti"], svid.id.as_str());
    let (_, facts) = place.world.entries(EventKind::SvidIssued).await;
    assert_eq!(
        (&facts["form"], &facts["bound_to"]),
        (&json!("wit"), &json!(jkt))
    );
}

#[tokio::test]
async fn where_they_are_off_there_is_none_and_no_key_is_published() {
    let place = Place::new().await;
    let first = place.world.issuer.bundle(&place.world.acme).await.unwrap();
    turn(&place.world, false).await;
    let refused = place.ask(&place.proof("one")).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::WitSvidOff);
    let (count, facts) = place.world.refused().await;
    assert_eq!((count, &facts["code"]), (1, &json!("wit-svid-off")));
    let second = place.world.issuer.bundle(&place.world.acme).await.unwrap();
    assert_eq!((first.wit.len(), second.wit.len()), (1, 0));
    assert!(second.sequence > first.sequence);
    turn(&place.world, true).await;
    assert!(place.ask(&place.proof("two")).await.is_ok());
    let third = place.world.issuer.bundle(&place.world.acme).await.unwrap();
    assert_eq!(third.wit, first.wit);
    assert!(third.sequence > second.sequence);
    // Nobody who has turned nothing on has any.
    let other = place.world.issuer.bundle(&place.world.globex).await;
    assert!(other.unwrap().wit.is_empty());
}

#[tokio::test]
async fn proofs_of_anything_else_are_refused_each_with_its_reason() {
    let place = Place::new().await;
    let world = &place.world;
    let token = Some(place.token.as_str());
    let other = world.token(&world.triage, "workflow:answer").await;
    let elsewhere = "https://remit.example/api/v1/svids/jwt";
    let by_other = world.proof_at(&key(), AT, token, "a");
    let (header, rest) = by_other.split_once('.').unwrap();
    let own = place.proof("b");
    // Another's proof under one's own key, and the other way round.
    let (own_header, own_rest) = own.split_once('.').unwrap();
    for (proof, reason) in [
        (format!("{own_header}.{rest}"), "dpop-signature-invalid"),
        (format!("{header}.{own_rest}"), "dpop-signature-invalid"),
        (
            world.proof_at(&place.workload, AT, Some(&other), "c"),
            "dpop-ath-other",
        ),
        (
            world.proof_at(&place.workload, AT, None, "d"),
            "dpop-ath-other",
        ),
        (
            world.proof_at(&place.workload, elsewhere, token, "e"),
            "dpop-htu-other",
        ),
        ("a.b.c".to_owned(), "dpop-malformed"),
    ] {
        let refused = place.ask(&proof).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::ProofInvalid, "{reason}");
        let (_, facts) = world.refused().await;
        assert_eq!(facts["code"], reason);
    }
    let old = place.proof("f");
    world.advance(120);
    assert!(place.ask(&old).await.is_err(), "it is too old");
    assert!(place.live().await.is_empty());
}

#[tokio::test]
async fn a_proof_is_good_once_on_whichever_node() {
    let place = Place::new().await;
    let second = second_node(&place.world).await;
    let proof = place.proof("one");
    place.ask(&proof).await.unwrap();
    for issuer in [&place.world.issuer, &second] {
        let refused = place.ask_at(issuer, &proof, None).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::ProofInvalid);
        let (_, facts) = place.world.refused().await;
        assert_eq!(facts["code"], "dpop-replayed");
    }
    assert_eq!(place.live().await.len(), 1);
    let proof = place.proof("two");
    assert!(place.ask_at(&second, &proof, None).await.is_ok());
}

#[tokio::test]
async fn what_is_contained_gets_none_and_neither_does_a_contained_key() {
    for case in ["agent", "workflow", "token", "key"] {
        let place = Place::new().await;
        let (world, holder) = (&place.world, &place.holder);
        place.ask(&place.proof("before")).await.unwrap();
        let target = match case {
            "agent" => json!({ "type": "agent", "id": holder.agent }),
            "workflow" => json!({ "type": "workflow", "id": holder.workflow }),
            "token" => json!({ "type": "credential", "id": holder.token }),
            _ => json!({ "type": "credential", "id": place.workload.kid().to_string() }),
        };
        world.contain(target).await;
        let refused = place.ask(&place.proof("after")).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Contained, "{case}");
        assert_eq!(world.entries(EventKind::SvidIssued).await.0, 1, "{case}");
    }
}

#[tokio::test]
async fn of_a_workflow_that_says_what_may_run_it_only_that_gets_one() {
    let place = Place::new().await;
    let (world, issuer) = (&place.world, &place.world.issuer);
    declared(world, &place.holder).await;
    let refused = place.ask(&place.proof("one")).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::AttestationRequired);
    attester(world, &world.triage.thumbprint).await;
    let mut other = seen();
    other.sha256 = "cd".repeat(32);
    let proof = place.proof("two");
    let refused = place.ask_at(issuer, &proof, Some(other)).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::AttestationMismatch);
    let proof = place.proof("three");
    let made = place.ask_at(issuer, &proof, Some(seen())).await.unwrap();
    let workflow = format!("/{}/", place.holder.workflow);
    assert!(made.spiffe_id.to_string().contains(&workflow));
    // Another workflow of the same agent has none of it.
    world
        .change::<Workflow>(place.holder.workflow.as_str(), |w| w.enabled = false)
        .await;
    let proof = place.proof("four");
    let refused = place
        .ask_at(issuer, &proof, Some(seen()))
        .await
        .unwrap_err();
    assert_eq!(refused.code, RefusalCode::WorkflowUnknown);
}
