//! Clients that show a certificate: which one proves whom, and tokens that are worth nothing without it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer as Signer,
    KeyPair, KeyUsagePurpose, SanType,
};
use remit_domain::attestation::Trust;
use remit_domain::credential::ClientCertificate;
use remit_token::client_certificate::{public_key, thumbprint};
use remit_token::{AccessTokenType, JwtBearer};
use time::OffsetDateTime;

use super::attest::{attester, declared, seen};
use super::federation::{Cluster, bearer};
use super::svid::csr;
use super::*;
use crate::Proved;
use OAuthErrorCode::InvalidClient;

const NAME: &str = "worker.acme.example";

struct Authority {
    der: Vec<u8>,
    signer: Signer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Acme");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let signer = Signer::new(params, key);
    Authority { der, signer }
}

fn params(world: &World, secs: i64, name: &str) -> CertificateParams {
    let at = |secs| OffsetDateTime::from_unix_timestamp(secs).unwrap();
    let now = world.books.now().as_secs();
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (at(now - 60), at(now + secs));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
    params
}

fn signed(world: &World, by: &Authority, secs: i64, name: &str) -> Vec<u8> {
    signed_as(by, params(world, secs, name))
}

fn signed_as(by: &Authority, params: CertificateParams) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, &by.signer).unwrap().der().to_vec()
}

/// One that is good in a minute from now.
fn too_early(world: &World, by: &Authority) -> Vec<u8> {
    let now = world.books.now().as_secs();
    let from = OffsetDateTime::from_unix_timestamp(now + 60).unwrap();
    let mut params = params(world, 600, NAME);
    params.not_before = from;
    signed_as(by, params)
}

fn self_signed(world: &World, secs: i64) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let made = params(world, secs, NAME).self_signed(&key);
    made.unwrap().der().to_vec()
}

/// Registers a certificate of the agent, or a name in those of an authority.
async fn register(world: &World, org: &OrgId, actor: &Actor, certificate: ClientCertificate) {
    let key = AgentKey {
        thumbprint: format!("certificate-{}", world.jti.fetch_add(1, Ordering::SeqCst)),
        agent: actor.id.clone(),
        jwk: Value::Null,
        certificate: Some(certificate),
        attests: false,
        created: world.books.now(),
        retires: None,
        removed: None,
    };
    put(&world.books, org, &key).await;
}

fn exact(der: &[u8]) -> ClientCertificate {
    ClientCertificate::Exact {
        thumbprint: thumbprint(der),
        ends: Timestamp::from_secs(0),
    }
}

fn named(by: &Authority) -> ClientCertificate {
    ClientCertificate::Named {
        authority: STANDARD.encode(&by.der),
        parameter: "tls_client_auth_san_dns".to_owned(),
        value: NAME.to_owned(),
    }
}

async fn ask_at(
    world: &World,
    org: &OrgId,
    client_id: &str,
    chain: Vec<Vec<u8>>,
) -> Result<TokenResponse, OAuthError> {
    let request = TokenRequest::ClientCredentials(ClientCredentials {
        authorization_details: Default::default(),
        client: ClientAuth::certificate(client_id, ClientChain::new(chain)),
        scope: Scope::parse("workflow:answer").unwrap(),
        resource: Vec::new(),
    });
    world.issuer.token(org, &request).await
}

async fn ask(world: &World, chain: Vec<Vec<u8>>) -> Result<TokenResponse, OAuthError> {
    ask_at(world, &world.acme, world.triage.id.as_str(), chain).await
}

/// An assertion of an agent, on a connection that shows a certificate.
fn asserted(world: &World, actor: &Actor, client_id: Option<&str>, leaf: &[u8]) -> TokenRequest {
    let mut request = credentials(world.assertion(actor), "workflow:answer", &[]);
    request.on_connection(ClientChain::new(vec![leaf.to_vec()]));
    let TokenRequest::ClientCredentials(asked) = &mut request else {
        panic!("another grant");
    };
    asked.client.client_id = client_id.map(str::to_owned);
    request
}

fn with(certificate: &str) -> Proved<'_> {
    Proved {
        key: None,
        certificate: Some(certificate),
    }
}

async fn recorded(world: &World) -> String {
    let (_, facts) = world.refused().await;
    facts["code"].as_str().unwrap().to_owned()
}

async fn good(world: &World, token: &str, proved: Proved<'_>) -> Result<Arc<Verified>, String> {
    let at = Resource::Mcp;
    let judged = world.issuer.verify_access(&world.acme, token, proved, &at);
    judged
        .await
        .map_err(|refused| refused.refusal.code.as_str().to_owned())
}

#[tokio::test]
async fn a_token_is_bound_to_the_certificate_that_asked() {
    let world = World::new().await;
    let (ours, own) = (authority(), self_signed(&world, 600));
    register(&world, &world.acme, &world.triage, named(&ours)).await;
    register(&world, &world.acme, &world.triage, exact(&own)).await;
    for leaf in [signed(&world, &ours, 600, NAME), own] {
        let response = ask(&world, vec![leaf.clone()]).await.unwrap();
        assert_eq!(response.token_type, AccessTokenType::Bearer);
        let token = secret(&response);
        let shown = thumbprint(&leaf);
        let verified = good(&world, &token, with(&shown)).await.unwrap();
        let cnf = verified.claims.cnf.as_ref().unwrap();
        assert_eq!(cnf.x5t_s256.as_ref(), Some(&shown));
        assert_eq!(verified.trust, Trust::Key);
        // Stolen: without the certificate, with another one, with a key in its stead.
        let other = thumbprint(b"another");
        for wrong in [
            Proved::default(),
            with(&other),
            Proved::from(Some(shown.as_str())),
        ] {
            let refused = good(&world, &token, wrong).await.unwrap_err();
            assert_eq!(refused, "proof-invalid");
        }
        let asked = world.sign_in(&world.owner).await;
        let asker = crate::Asker::Person(&asked);
        let told = world.issuer.introspect(&world.acme, asker, &token).await;
        let told = serde_json::to_value(told.unwrap()).unwrap();
        assert_eq!(told["cnf"]["x5t#S256"], json!(shown));
        assert_eq!(told["token_type"], "Bearer");
        // Nor does a thief make another token of it.
        let stolen = exchange(
            world.assertion(&world.triage),
            &token,
            TokenType::AccessToken,
            "",
        );
        let stolen = world.issuer.token(&world.acme, &stolen).await;
        assert!(stolen.is_err());
        assert_eq!(recorded(&world).await, "certificate-other");
        // Nor by showing a certificate of its own with a good assertion.
        let mut stolen = exchange(
            world.assertion(&world.triage),
            &token,
            TokenType::AccessToken,
            "",
        );
        let thief = signed(&world, &authority(), 600, "thief.example");
        stolen.on_connection(ClientChain::new(vec![thief]));
        assert!(world.issuer.token(&world.acme, &stolen).await.is_err());
        assert_eq!(recorded(&world).await, "certificate-other");
    }
}

#[tokio::test]
async fn a_token_ends_with_its_certificate() {
    let world = World::new().await;
    let ours = authority();
    register(&world, &world.acme, &world.triage, named(&ours)).await;
    let leaf = signed(&world, &ours, 40, NAME);
    let response = ask(&world, vec![leaf.clone()]).await.unwrap();
    assert_eq!(response.expires_in, 40);
    let shown = thumbprint(&leaf);
    world.advance(41);
    let refused = good(&world, &secret(&response), with(&shown)).await;
    assert_eq!(refused.unwrap_err(), "unauthenticated");
}

#[tokio::test]
async fn another_certificate_proves_nobody() {
    let world = World::new().await;
    let (ours, other) = (authority(), authority());
    let own = self_signed(&world, 600);
    register(&world, &world.acme, &world.triage, named(&ours)).await;
    register(&world, &world.acme, &world.triage, exact(&own)).await;
    let expired = signed(&world, &ours, -1, NAME);
    let cases = [
        (Vec::new(), "certificate-missing"),
        (
            vec![signed(&world, &other, 600, NAME)],
            "certificate-untrusted",
        ),
        (
            vec![signed(&world, &other, 600, NAME), other.der.clone()],
            "certificate-untrusted",
        ),
        (vec![self_signed(&world, 600)], "certificate-untrusted"),
        (vec![expired], "certificate-expired"),
        (vec![too_early(&world, &ours)], "certificate-expired"),
        (
            vec![signed(
                &world,
                &ours,
                600,
                "worker.acme.example.attacker.example",
            )],
            "certificate-name-other",
        ),
        // The authority itself is no client.
        (vec![ours.der.clone()], "certificate-untrusted"),
        (vec![b"no certificate".to_vec()], "certificate-malformed"),
    ];
    for (chain, code) in cases {
        assert_refused(ask(&world, chain).await, InvalidClient, "");
        assert_eq!(recorded(&world).await, code);
    }
    // Registered for one agent, it proves no other; in one organization, nobody of another.
    let searcher = world.searcher.id.as_str();
    let refused = ask_at(&world, &world.acme, searcher, vec![own.clone()]).await;
    assert_refused(refused, InvalidClient, "");
    let triage = world.triage.id.as_str();
    let refused = ask_at(&world, &world.globex, triage, vec![own.clone()]).await;
    assert_refused(refused, InvalidClient, "");
    world.advance(601);
    assert_refused(ask(&world, vec![own]).await, InvalidClient, "");
    assert_eq!(recorded(&world).await, "certificate-expired");
}

#[tokio::test]
async fn no_authority_brings_back_a_certificate_whose_key_was_removed_or_is_anothers() {
    let world = World::new().await;
    let ours = authority();
    let leaf = signed(&world, &ours, 600, NAME);
    register(&world, &world.acme, &world.triage, named(&ours)).await;
    assert!(ask(&world, vec![leaf.clone()]).await.is_ok());
    let key = |of: &Actor, leaf: &[u8], removed| AgentKey {
        thumbprint: public_key(leaf).unwrap().thumbprint().to_string(),
        agent: of.id.clone(),
        jwk: Value::Null,
        certificate: Some(exact(leaf)),
        attests: false,
        created: world.books.now(),
        retires: None,
        removed,
    };
    let gone = key(&world.triage, &leaf, Some(world.books.now()));
    put(&world.books, &world.acme, &gone).await;
    assert_refused(ask(&world, vec![leaf]).await, InvalidClient, "");
    assert_eq!(recorded(&world).await, "certificate-untrusted");
    let theirs = signed(&world, &ours, 600, NAME);
    put(
        &world.books,
        &world.acme,
        &key(&world.searcher, &theirs, None),
    )
    .await;
    assert_refused(ask(&world, vec![theirs]).await, InvalidClient, "");
    // The next certificate of that name is as good as it was.
    let next = signed(&world, &ours, 600, NAME);
    assert!(ask(&world, vec![next]).await.is_ok());
}

#[tokio::test]
async fn a_certificate_beside_an_assertion_proves_nobody_and_binds() {
    let world = World::new().await;
    let ours = authority();
    register(&world, &world.acme, &world.triage, named(&ours)).await;
    let leaf = signed(&world, &ours, 600, NAME);
    let token_of = async |request: &TokenRequest| world.issuer.token(&world.acme, request).await;

    // A good certificate does not mend an assertion that is not: used before, or for another client than is named.
    let request = asserted(&world, &world.triage, None, &leaf);
    token_of(&request).await.unwrap();
    assert_refused(token_of(&request).await, InvalidClient, "");
    assert_eq!(recorded(&world).await, "assertion-replayed");
    let triage = Some(world.triage.id.as_str());
    let request = asserted(&world, &world.searcher, triage, &leaf);
    assert_refused(token_of(&request).await, InvalidClient, "");
    assert_eq!(recorded(&world).await, "client-id-other");
    // Nor is one that has ended let pass because the assertion is good.
    let ended = signed(&world, &ours, -1, NAME);
    let request = asserted(&world, &world.triage, None, &ended);
    assert_refused(token_of(&request).await, InvalidClient, "");
    assert_eq!(recorded(&world).await, "certificate-expired");

    // Who is proved is whom the assertion proves, and the token is worth nothing without that certificate.
    let foreign = signed(&world, &authority(), 600, "other.example");
    let request = asserted(&world, &world.triage, None, &foreign);
    let token = secret(&token_of(&request).await.unwrap());
    assert_eq!(
        good(&world, &token, Proved::default()).await.unwrap_err(),
        "proof-invalid"
    );
    let shown = thumbprint(&foreign);
    let verified = good(&world, &token, with(&shown)).await.unwrap();
    assert_eq!(verified.agent, world.triage.id);
    assert_eq!(verified.thumbprint, world.triage.thumbprint);
}

#[tokio::test]
async fn a_token_that_is_bound_twice_needs_both() {
    let world = World::new().await;
    let ours = authority();
    register(&world, &world.acme, &world.triage, named(&ours)).await;
    let leaf = signed(&world, &ours, 600, NAME);
    let key = key();
    let request = TokenRequest::ClientCredentials(ClientCredentials {
        authorization_details: Default::default(),
        client: ClientAuth::certificate(
            world.triage.id.as_str(),
            ClientChain::new(vec![leaf.clone()]),
        ),
        scope: Scope::parse("workflow:answer").unwrap(),
        resource: Vec::new(),
    });
    let proof = world.proof_at(&key, super::dpop::ENDPOINT, None, "both");
    let answer = world
        .issuer
        .token_with_proof(&world.acme, &request, Some(&proof));
    let token = secret(&answer.await.unwrap());
    let (shown, jkt) = (thumbprint(&leaf), key.kid().as_str());
    let both = Proved {
        key: Some(jkt),
        certificate: Some(&shown),
    };
    assert!(good(&world, &token, both).await.is_ok());
    for wrong in [Proved::from(Some(jkt)), with(&shown), Proved::default()] {
        assert_eq!(
            good(&world, &token, wrong).await.unwrap_err(),
            "proof-invalid"
        );
    }
}

#[tokio::test]
async fn a_workload_token_is_bound_to_the_certificate_of_its_connection() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let leaf = signed(world, &authority(), 600, NAME);
    let mut request = bearer(&cluster.token(), "");
    request.on_connection(ClientChain::new(vec![leaf.clone()]));
    let answer = world.issuer.token(&world.acme, &request).await.unwrap();
    let token = secret(&answer);
    assert_eq!(
        good(world, &token, Proved::default()).await.unwrap_err(),
        "proof-invalid"
    );
    assert!(good(world, &token, with(&thumbprint(&leaf))).await.is_ok());
}

#[tokio::test]
async fn an_identity_assertion_is_redeemed_by_the_client_that_its_certificate_proves() {
    let cluster = Cluster::new().await;
    let world = &cluster.world;
    let ours = authority();
    register(world, &world.acme, &world.triage, named(&ours)).await;
    let redeem = async |leaf: Option<Vec<u8>>| {
        let mut request = TokenRequest::JwtBearer(Box::new(JwtBearer {
            client_id: Some(world.triage.id.to_string()),
            ..match bearer(&cluster.jag_token(), "workflow:refund") {
                TokenRequest::JwtBearer(request) => *request,
                _ => panic!("another grant"),
            }
        }));
        request.on_connection(ClientChain::new(leaf.into_iter().collect()));
        world.issuer.token(&world.acme, &request).await
    };
    assert_refused(redeem(None).await, InvalidClient, "");
    let foreign = signed(world, &authority(), 600, NAME);
    assert_refused(redeem(Some(foreign)).await, InvalidClient, "");
    assert_eq!(recorded(world).await, "certificate-untrusted");
    let leaf = signed(world, &ours, 600, NAME);
    let token = secret(&redeem(Some(leaf.clone())).await.unwrap());
    let verified = good(world, &token, with(&thumbprint(&leaf))).await.unwrap();
    assert_eq!(verified.person.as_ref(), Some(&world.maria));
    assert!(good(world, &token, Proved::default()).await.is_err());
}

#[tokio::test]
async fn a_certificate_of_its_own_is_no_key_that_signs_assertions() {
    let world = World::new().await;
    let certificate = exact(b"x");
    world
        .change::<AgentKey>(&world.triage.thumbprint, |key| {
            key.certificate = Some(certificate);
        })
        .await;
    let refused = world.credentials(&world.triage, "workflow:answer").await;
    assert_refused(refused, InvalidClient, "");
}

#[tokio::test]
async fn an_attested_workload_proves_itself_with_the_very_svid_it_was_given() {
    let world = World::new().await;
    let token = world.bound(&world.triage.key).await;
    let key = Proved::from(Some(world.triage.thumbprint.as_str()));
    let holder = good(&world, &token, key).await.unwrap();
    // One that nobody attested, of before the workflow said what may run it.
    let issuer = &world.issuer;
    let unattested = issuer.x509_svid(&holder, &csr(), None).await.unwrap();
    declared(&world, &holder).await;
    attester(&world, &world.triage.thumbprint).await;
    let svid = issuer
        .x509_svid(&holder, &csr(), Some(seen()))
        .await
        .unwrap();
    let id = svid.spiffe_id.to_string();
    let org = &world.acme;
    let response = ask_at(&world, org, &id, vec![svid.certificate.clone()]).await;
    let token = secret(&response.unwrap());
    let shown = thumbprint(&svid.certificate);
    let verified = good(&world, &token, with(&shown)).await.unwrap();
    assert_eq!(verified.trust, Trust::Attested);
    assert!(verified.expires <= svid.expires);
    assert_eq!(
        good(&world, &token, Proved::default()).await.unwrap_err(),
        "proof-invalid"
    );

    let refused = ask_at(&world, org, &id, vec![unattested.certificate]).await;
    assert_refused(refused, InvalidClient, "attestation-required");
    // Of the same name, by somebody else.
    let mut forged = params(&world, 600, NAME);
    forged.subject_alt_names = vec![SanType::URI(id.as_str().try_into().unwrap())];
    let forged = forged.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let refused = ask_at(&world, org, &id, vec![forged.der().to_vec()]).await;
    assert_refused(refused, InvalidClient, "");
    assert_eq!(recorded(&world).await, "certificate-untrusted");
    // In another organization the name is of no trust domain, and no authority vouches for it.
    let refused = ask_at(&world, &world.globex, &id, vec![svid.certificate.clone()]).await;
    assert_refused(refused, InvalidClient, "");
    world
        .contain(json!({ "type": "run", "id": holder.run }))
        .await;
    assert!(
        ask_at(&world, org, &id, vec![svid.certificate])
            .await
            .is_err()
    );
    assert!(good(&world, &token, with(&shown)).await.is_err());
}

#[tokio::test]
async fn one_certificate_of_an_authority_is_withheld_and_the_others_are_not() {
    let world = World::new().await;
    let ours = authority();
    register(&world, &world.acme, &world.triage, named(&ours)).await;
    let leaves = [(); 2].map(|()| signed(&world, &ours, 600, NAME));
    let [taken, other] = leaves.each_ref();
    let mut tokens = Vec::new();
    for leaf in &leaves {
        let response = ask(&world, vec![leaf.clone()]).await.unwrap();
        tokens.push(secret(&response));
    }
    let mut withheld = AgentKey {
        thumbprint: thumbprint(taken),
        agent: world.triage.id.clone(),
        jwk: Value::Null,
        certificate: Some(ClientCertificate::Withheld),
        attests: false,
        created: world.books.now(),
        retires: None,
        removed: None,
    };
    // By itself it says nothing, and proves nobody.
    put(&world.books, &world.acme, &withheld).await;
    ask(&world, vec![taken.clone()]).await.unwrap();
    let stranger = signed(&world, &authority(), 600, NAME);
    withheld.thumbprint = thumbprint(&stranger);
    put(&world.books, &world.acme, &withheld).await;
    assert!(ask(&world, vec![stranger]).await.is_err());
    assert_eq!(recorded(&world).await, "certificate-untrusted");
    // Removed, it is good for nothing: not as a proof, not beside one, and what it got is over.
    let removed = AgentKey {
        thumbprint: thumbprint(taken),
        removed: Some(world.books.now()),
        ..withheld
    };
    let change = Change::new().update(&removed, 1).restrict();
    world.books.commit(&world.acme, change).await.unwrap();
    assert!(ask(&world, vec![taken.clone()]).await.is_err());
    assert_eq!(recorded(&world).await, "certificate-revoked");
    let beside = asserted(&world, &world.triage, None, taken);
    assert!(world.issuer.token(&world.acme, &beside).await.is_err());
    assert_eq!(recorded(&world).await, "certificate-revoked");
    let shown = thumbprint(taken);
    let used = good(&world, &tokens[0], with(&shown)).await;
    assert_eq!(used.unwrap_err(), "unauthenticated");
    let shown = thumbprint(other);
    good(&world, &tokens[1], with(&shown)).await.unwrap();
    ask(&world, vec![other.clone()]).await.unwrap();
}
