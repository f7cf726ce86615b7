//! Trusted issuers: who may register one, what stands against it, and what ends with it.

use remit_domain::containment::{Containment, Level, Target};
use remit_domain::{RefusalCode, TrustedIssuer};
use serde_json::json;

use super::house::{House, code, name};
use crate::Action;
use crate::spec::TrustedIssuerSpec;

fn spec(subject: &str) -> TrustedIssuerSpec {
    serde_json::from_value(json!({
        "issuer": "https://ci.example", "algorithms": ["RS256"], "reason": "a test",
        "rules": [{ "subject": subject, "agent": "returns-bot", "workflow": "refund" }]
    }))
    .unwrap()
}

async fn put(house: &House, spec: TrustedIssuerSpec) -> Action {
    let saved = house
        .control
        .put_trusted_issuer(&house.admin(), &name("ci"), spec, None)
        .await
        .unwrap();
    saved.action
}

fn there(house: &House) -> TrustedIssuer {
    let book = house.control.books().org(&house.org).unwrap();
    let registry = book.registry();
    (**registry.trusted_issuer_named("ci").unwrap()).clone()
}

/// Suspends the agent and has it killed.
async fn kill(house: &House) {
    let bot = name("returns-bot");
    let admin = house.admin();
    let suspended = house.control.suspend_agent(&admin, &bot, "rogue");
    suspended.await.unwrap();
    let books = house.control.books();
    let kill = Containment {
        id: books.id(remit_domain::ContainmentId::from_uuid),
        target: Target::Agent(house.agent_id()),
        level: Level::Kill,
        reason: "rogue".to_owned(),
        by: remit_domain::Principal::Remit,
        at: books.now(),
        confirmation: Default::default(),
        lifted: None,
        certificates: Vec::new(),
    };
    let change = remit_books::Change::new().create(&kill);
    books.commit(&house.org, change).await.unwrap();
}

#[tokio::test]
async fn administrators_register_issuers_and_responders_only_stop_them() {
    let house = House::active().await;
    let refused = house
        .control
        .put_trusted_issuer(&house.as_("owner"), &name("ci"), spec("repo:acme/x"), None)
        .await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    assert_eq!(put(&house, spec("repo:acme/x")).await, Action::Create);
    assert_eq!(put(&house, spec("repo:acme/x")).await, Action::None);
    let again = house
        .control
        .put_trusted_issuer(&house.admin(), &name("other"), spec("repo:acme/x"), None)
        .await;
    assert_eq!(code(again), RefusalCode::Conflict);
    let before = house.epoch();
    let off = house
        .control
        .disable_trusted_issuer(&house.admin(), &name("ci"), "INC-1")
        .await
        .unwrap();
    assert_eq!(off.state, "disabled");
    assert!(house.epoch() > before, "what was given ends at once");
}

#[tokio::test]
async fn a_rule_is_another_one_when_anything_that_it_rests_on_changes() {
    let house = House::active().await;
    put(&house, spec("repo:acme/x")).await;
    let first = there(&house).rules[0].id.clone();
    let mut same = spec("repo:acme/x");
    same.description = "words for people".to_owned();
    put(&house, same).await;
    assert_eq!(there(&house).rules[0].id, first);
    for change in [
        json!({ "keys": { "jwks_uri": "https://ci.example/keys" } }),
        json!({ "audience": "https://other.example" }),
        json!({ "algorithms": ["ES256"] }),
        json!({ "issuer": "https://ci2.example" }),
        json!({ "rules": [{ "subject": "repo:acme/y", "agent": "returns-bot", "workflow": "refund" }] }),
        json!({ "rules": [{ "subject": "repo:acme/x", "claims": { "a": ["b"] }, "agent": "returns-bot", "workflow": "refund" }] }),
    ] {
        put(&house, spec("repo:acme/x")).await;
        let before = there(&house).rules[0].id.clone();
        let mut body = serde_json::to_value(spec("repo:acme/x")).unwrap();
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        put(&house, serde_json::from_value(body).unwrap()).await;
        assert_ne!(there(&house).rules[0].id, before, "{change}");
    }
}

#[tokio::test]
async fn a_killed_agent_does_not_return_by_a_rule_that_was_there_before() {
    let house = House::active().await;
    let bot = name("returns-bot");
    put(&house, spec("repo:acme/x")).await;
    kill(&house).await;
    let sponsor = house.as_("sponsor");
    let refused = house.control.activate_agent(&sponsor, &bot).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("trusted issuer `ci`"), "{refused}");
    house.clock.advance(std::time::Duration::from_secs(1));
    put(&house, spec("repo:acme/y")).await;
    house.control.activate_agent(&sponsor, &bot).await.unwrap();
}

#[tokio::test]
async fn a_killed_agent_does_not_return_by_a_metadata_document_that_was_listed_before() {
    let house = House::active().await;
    house
        .list_clients(&["https://client.example/agent.json"])
        .await;
    kill(&house).await;
    let (bot, sponsor) = (name("returns-bot"), house.as_("sponsor"));
    let refused = house.control.activate_agent(&sponsor, &bot).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("client_ids"), "{refused}");
    house.list_clients(&[]).await;
    house.control.activate_agent(&sponsor, &bot).await.unwrap();
}

#[tokio::test]
async fn what_was_turned_off_counts_for_nothing_when_it_is_turned_on_again() {
    let house = House::active().await;
    put(&house, spec("repo:acme/x")).await;
    let before = there(&house).rules[0].id.clone();
    let off = house
        .control
        .disable_trusted_issuer(&house.admin(), &name("ci"), "INC-1")
        .await;
    off.unwrap();
    put(&house, spec("repo:acme/x")).await;
    assert_ne!(there(&house).rules[0].id, before);
}

fn speaking(house: &House) -> TrustedIssuerSpec {
    let mut body = serde_json::to_value(spec("repo:acme/x")).unwrap();
    body["rules"] = json!([]);
    body["identities"] = json!({
        "people": { "maria": house.as_("sponsor").person().unwrap().email },
        "workflows": ["returns-bot/refund"],
    });
    serde_json::from_value(body).unwrap()
}

#[tokio::test]
async fn whoever_set_the_keys_stands_behind_the_people_that_another_maps_later() {
    let house = House::active().await;
    let mut keys = spec("repo:acme/x");
    keys.rules.clear();
    put(&house, keys).await;
    house.make_admin("deputy").await;
    let (first, second) = (house.admin(), house.as_("deputy"));
    let mapped = speaking(&house);
    let put = house
        .control
        .put_trusted_issuer(&second, &name("ci"), mapped, None)
        .await;
    put.unwrap();
    let behind = there(&house).identities.unwrap().behind;
    for caller in [first, second] {
        assert!(behind.contains_key(&caller.person().unwrap().id));
    }
}

#[tokio::test]
async fn nobody_lets_an_agent_of_their_own_in_by_another_issuer_or_out_to_another_server() {
    let house = House::active().await;
    house.make_admin("owner").await;
    let owner = house.as_("owner");
    for spec in [spec("repo:acme/x"), speaking(&house)] {
        let put = house
            .control
            .put_trusted_issuer(&owner, &name("ci"), spec, None)
            .await;
        assert_eq!(code(put), RefusalCode::Forbidden);
    }
    let server: crate::spec::AuthorizationServerSpec = serde_json::from_value(json!({
        "issuer": "https://auth.chat.example", "reason": "a test",
        "clients": [{ "agent": "returns-bot", "workflow": "refund", "client_id": "f5", "scopes": ["chat.read"] }]
    }))
    .unwrap();
    let put = |caller| {
        let server = server.clone();
        let house = &house;
        async move {
            house
                .control
                .put_authorization_server(&caller, &name("chat"), server, None)
                .await
        }
    };
    assert_eq!(code(put(owner).await), RefusalCode::Forbidden);
    put(house.admin()).await.unwrap();
}

/// A document of a bundle endpoint of the profile `https_spiffe`.
fn by_spiffe(url: &str, endpoint: &str, authority: Option<&str>) -> TrustedIssuerSpec {
    let keys = authority.map(|der| json!({ "kty": "EC", "use": "x509-svid", "x5c": [der] }));
    let mut spec = spec("spiffe://prod.example/ns/it/sa/x");
    spec.issuer = "spiffe://prod.example".to_owned();
    spec.keys = serde_json::from_value(json!({ "https_spiffe": {
        "url": url, "endpoint_spiffe_id": endpoint, "bundle": { "keys": keys.into_iter().collect::<Vec<_>>() }
    } }))
    .unwrap();
    spec
}

fn authority() -> String {
    use base64::Engine as _;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let made = params.self_signed(&key).unwrap();
    base64::engine::general_purpose::STANDARD.encode(made.der())
}

#[tokio::test]
async fn an_endpoint_can_be_believed_the_first_time_and_is_followed_from_there() {
    const AT: &str = "https://prod.example/spiffe/bundle";
    const ID: &str = "spiffe://prod.example/remit/bundle";
    let house = House::active().await;
    let der = authority();
    for (url, id, der) in [
        ("http://127.0.0.1:1/spiffe/bundle", ID, Some(der.as_str())),
        ("https://user@prod.example/", ID, Some(der.as_str())),
        (AT, "spiffe://prod.example", Some(der.as_str())),
        (AT, "https://prod.example/x", Some(der.as_str())),
        (AT, ID, None),
        (AT, ID, Some("AAAA")),
    ] {
        let refused = house
            .control
            .put_trusted_issuer(&house.admin(), &name("ci"), by_spiffe(url, id, der), None)
            .await;
        assert_eq!(code(refused), RefusalCode::InvalidRequest, "{url} {id}");
    }
    put(&house, by_spiffe(AT, ID, Some(&der))).await;
    let books = house.control.books();
    let mut kept = there(&house);
    let id = kept.id.to_string();
    let found = books.get::<TrustedIssuer>(&house.org, &id).await.unwrap();
    kept.seen = serde_json::from_value(json!({ "x509": [authority()], "sequence": 7 })).unwrap();
    let change = remit_books::Change::new().update(&kept, found.unwrap().revision);
    books.commit(&house.org, change).await.unwrap();
    // What the endpoint gave last stays when something else is written, and goes when the endpoint is set up anew.
    let mut other = by_spiffe(AT, ID, Some(&der));
    other.description = "production".to_owned();
    put(&house, other).await;
    assert_eq!(there(&house).seen, kept.seen);
    put(&house, by_spiffe(AT, ID, Some(&authority()))).await;
    assert_eq!(there(&house).seen, None);
}
