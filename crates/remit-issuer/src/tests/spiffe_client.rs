//! An attested workload proves itself with its SVID, and what it gets never outlives or outgrows that.

use remit_domain::attestation::Trust;
use remit_domain::credential::Svid;
use remit_domain::{CredentialId, RefusalCode};
use remit_token::jwt_svid::{self, JwtSvidClaims};
use remit_token::{Audience, SpiffeId};

use super::attest::{attester, declared, seen};
use super::svid::ELSEWHERE;
use super::*;
use OAuthErrorCode::{InvalidClient, InvalidScope};

const LOOK_ALIKE: &str = "spiffe://acme.remit.example.attacker.example/agent/a";

/// A workflow that declares what may run it, and its attester, whose token is bound to its key.
struct Place {
    world: World,
    holder: Arc<Verified>,
}

impl Place {
    async fn new() -> Self {
        let world = World::new().await;
        let token = world.bound(&world.triage.key).await;
        let at = Resource::Mcp;
        let key = Some(world.triage.thumbprint.as_str());
        let holder = world.issuer.verify_access(&world.acme, &token, key, &at);
        let holder = holder.await.unwrap();
        declared(&world, &holder).await;
        attester(&world, &world.triage.thumbprint).await;
        Self { world, holder }
    }

    async fn svid(&self, audience: &str) -> String {
        let audience = [audience.to_owned()];
        let issued = self
            .world
            .issuer
            .jwt_svid(&self.holder, &audience, Some(seen()));
        issued.await.unwrap().token.expose_secret().to_owned()
    }

    async fn ask(&self, svid: &str, scope: &str) -> Result<TokenResponse, OAuthError> {
        self.ask_as(ClientAuth::jwt_svid(svid), scope).await
    }

    async fn ask_as(&self, client: ClientAuth, scope: &str) -> Result<TokenResponse, OAuthError> {
        let request = TokenRequest::ClientCredentials(ClientCredentials {
            authorization_details: Default::default(),
            client,
            scope: Scope::parse(scope).unwrap(),
            resource: Vec::new(),
        });
        self.world.issuer.token(&self.world.acme, &request).await
    }

    /// What a JWT-SVID of the workload says that was never issued.
    fn claims(&self) -> JwtSvidClaims {
        let now = self.world.books.now().as_secs();
        let path = format!("/agent/{}/{}/i", self.holder.agent, self.holder.workflow);
        JwtSvidClaims {
            iss: URL.to_owned(),
            sub: SpiffeId::parse(&format!("spiffe://acme.remit.example{path}")).unwrap(),
            aud: Audience::one(URL.to_owned()),
            exp: now + 60,
            iat: now,
            jti: "crd_00000000000000000000000001".to_owned(),
        }
    }

    /// The code of the refusal that was recorded last.
    async fn recorded(&self) -> String {
        let (_, facts) = self.world.refused().await;
        facts["code"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_attested_workload_gets_a_token_of_that_trust_which_ends_with_its_svid() {
    let place = Place::new().await;
    place.world.advance(60);
    let svid = place.svid(URL).await;
    let token = secret(&place.ask(&svid, "workflow:answer").await.unwrap());
    let verified = place.world.verify(&token).await.unwrap();
    assert_eq!(verified.trust, Trust::Attested);
    assert_eq!(
        verified.expires, place.holder.expires,
        "no later than what bought the SVID"
    );
    let (_, facts) = place.world.entries(EventKind::TokenIssued).await;
    assert_eq!(facts["trust"], "attested");
    let by_key = place
        .world
        .token(&place.world.triage, "workflow:answer")
        .await;
    assert_eq!(place.world.verify(&by_key).await.unwrap().trust, Trust::Key);
    // Once.
    let again = place.ask(&svid, "workflow:answer").await;
    assert_refused(again, InvalidClient, "");
    assert_eq!(place.recorded().await, "assertion-replayed");
}

#[tokio::test]
async fn what_was_got_with_an_svid_buys_no_other() {
    let place = Place::new().await;
    let svid = place.svid(URL).await;
    let token = secret(&place.ask(&svid, "workflow:answer").await.unwrap());
    let workload = place.world.verify(&token).await.unwrap();
    // The workload says itself what it is, with the attester's thumbprint behind its token.
    let csr = super::svid::csr();
    let own = place.world.issuer.x509_svid(&workload, &csr, Some(seen()));
    assert_eq!(
        own.await.unwrap_err().code,
        RefusalCode::AttestationRequired
    );
    let audience = ["https://else.example".to_owned()];
    let own = place
        .world
        .issuer
        .jwt_svid(&workload, &audience, Some(seen()));
    assert_eq!(
        own.await.unwrap_err().code,
        RefusalCode::AttestationRequired
    );
}

#[tokio::test]
async fn the_client_may_be_named_by_its_spiffe_id_or_its_own_id_and_no_other() {
    let place = Place::new().await;
    let agent = place.holder.agent.to_string();
    let name = place.world.name_of(&place.world.triage);
    let spiffe_id = format!(
        "spiffe://acme.remit.example/agent/{agent}/{}/{}",
        place.holder.workflow, place.holder.run
    );
    for said in [spiffe_id, agent, name] {
        let client = ClientAuth {
            client_id: Some(said.clone()),
            ..ClientAuth::jwt_svid(place.svid(URL).await)
        };
        assert!(place.ask_as(client, "").await.is_ok(), "{said}");
    }
    let other = ClientAuth {
        client_id: Some(place.world.searcher.id.to_string()),
        ..ClientAuth::jwt_svid(place.svid(URL).await)
    };
    assert_refused(place.ask_as(other, "").await, InvalidClient, "");
    assert_eq!(place.recorded().await, "client-id-other");
}

#[tokio::test]
async fn what_is_no_svid_for_this_issuer_alone_proves_nothing() {
    let place = Place::new().await;
    let elsewhere = place.svid(ELSEWHERE).await;
    let signed = async |org: &OrgId, change: fn(&mut JwtSvidClaims)| {
        let keys = place.world.issuer.domain_keys(org).await.unwrap();
        let mut claims = place.claims();
        change(&mut claims);
        jwt_svid::sign(&claims, &keys.jwt).unwrap()
    };
    let (acme, globex) = (&place.world.acme, &place.world.globex);
    let access = place
        .world
        .token(&place.world.triage, "workflow:answer")
        .await;
    let cases = [
        (elsewhere, "token-audience-wrong"),
        (
            signed(acme, |c| {
                c.aud = serde_json::from_value(json!([URL, ELSEWHERE])).unwrap();
            })
            .await,
            "token-audience-wrong",
        ),
        (
            signed(acme, |c| {
                c.aud = Audience::one(format!("{URL}/oauth2/token"))
            })
            .await,
            "token-audience-wrong",
        ),
        // Signed by our key, and never issued.
        (signed(acme, |_| ()).await, "svid-unknown"),
        (
            signed(acme, |c| c.jti = "x".to_owned()).await,
            "svid-unknown",
        ),
        (
            signed(acme, |c| c.sub = SpiffeId::parse(LOOK_ALIKE).unwrap()).await,
            "token-issuer-wrong",
        ),
        (signed(globex, |_| ()).await, "token-key-unknown"),
        (access, "token-type-refused"),
    ];
    for (token, code) in cases {
        assert_refused(place.ask(&token, "").await, InvalidClient, "");
        assert_eq!(place.recorded().await, code);
    }
    let svid = place.svid(URL).await;
    place.world.advance(331);
    assert_refused(place.ask(&svid, "").await, InvalidClient, "");
    assert_eq!(place.recorded().await, "token-expired");
    // An assertion of the other kind is none of this one.
    let assertion = place.world.assertion(&place.world.triage);
    assert_refused(place.ask(&assertion, "").await, InvalidClient, "");
}

#[tokio::test]
async fn a_stolen_token_buys_no_proof_towards_remit() {
    let place = Place::new().await;
    let issuer = &place.world.issuer;
    let own = [URL.to_owned()];
    // One that is bound to no key, of the attester itself: what was seen is easily said again.
    let bearer = place
        .world
        .token(&place.world.triage, "workflow:answer")
        .await;
    let bearer = place.world.verify(&bearer).await.unwrap();
    let refused = issuer
        .jwt_svid(&bearer, &own, Some(seen()))
        .await
        .unwrap_err();
    assert_eq!(refused.code, RefusalCode::InvalidRequest);
    // An SVID that nobody attested, of a workflow that declares nothing.
    place
        .world
        .change::<Workflow>(place.holder.workflow.as_str(), |w| w.attestation = None)
        .await;
    let refused = issuer
        .jwt_svid(&place.holder, &own, None)
        .await
        .unwrap_err();
    assert_eq!(refused.code, RefusalCode::InvalidRequest);
    let both = [URL.to_owned(), ELSEWHERE.to_owned()];
    let refused = issuer
        .jwt_svid(&place.holder, &both, None)
        .await
        .unwrap_err();
    assert_eq!(refused.code, RefusalCode::InvalidRequest);
}

#[tokio::test]
async fn it_is_for_the_workflow_that_was_attested() {
    let place = Place::new().await;
    let svid = place.svid(URL).await;
    let other = place.ask(&svid, "workflow:refund").await;
    assert_refused(other, InvalidScope, "the SVID is for another workflow");
    assert_eq!(place.recorded().await, "svid-workflow-other");
}

async fn svid_id(place: &Place) -> CredentialId {
    let live = place.world.books.live_svids(&place.world.acme, None).await;
    live.unwrap().pop().unwrap().noun.id
}

#[tokio::test]
async fn a_token_falls_with_its_svid_its_attester_and_what_was_attested() {
    for case in ["svid", "token", "key", "run", "attestation", "attester"] {
        let place = Place::new().await;
        let world = &place.world;
        let svid = place.svid(URL).await;
        let unused = place.svid(URL).await;
        let id = svid_id(&place).await;
        let token = secret(&place.ask(&svid, "workflow:answer").await.unwrap());
        assert!(world.verify(&token).await.is_ok());
        match case {
            "svid" => {
                let at = Some(world.books.now());
                for svid in world.books.live_svids(&world.acme, None).await.unwrap() {
                    world
                        .change::<Svid>(svid.noun.id.as_str(), |svid| svid.withdrawn = at)
                        .await;
                }
            }
            "token" => {
                let at = Some(world.books.now());
                world
                    .change::<remit_domain::credential::Token>(
                        place.holder.token.as_str(),
                        |token| token.revoked = at,
                    )
                    .await;
            }
            "key" => {
                world
                    .contain(json!({ "type": "credential", "id": world.triage.thumbprint }))
                    .await;
            }
            "run" => {
                world
                    .contain(json!({ "type": "run", "id": place.holder.run }))
                    .await;
            }
            // Another version is registered: the one that runs is not it any more.
            "attestation" => {
                world
                    .change::<Workflow>(place.holder.workflow.as_str(), |w| {
                        let attestation = w.attestation.as_mut().unwrap();
                        attestation.sha256 = ["ef".repeat(32)].into();
                    })
                    .await;
            }
            _ => {
                world
                    .change::<AgentKey>(&world.triage.thumbprint, |key| key.attests = false)
                    .await;
            }
        }
        assert!(world.verify(&token).await.is_err(), "{case} {id}");
        assert!(
            place.ask(&unused, "workflow:answer").await.is_err(),
            "{case}"
        );
    }
}
