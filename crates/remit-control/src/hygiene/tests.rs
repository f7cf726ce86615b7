//! Findings about credentials open when a rule is passed and settle when it is kept again; and what may be done about them.

use remit_books::Change;
use remit_domain::credential::{AgentKey, PersonToken};
use remit_domain::{Agent, Kind, Organization, RefusalCode};
use serde_json::json;

use super::*;
use crate::fixture::{ADMIN, ADMIN_TOO, AUDITOR, CLERK, NOBODY, OWNER, RESPONDER, World, id, noun};
use crate::{CredentialKind, ListQuery, NewCredential, Rotated};

const KEY: &str = "thumb-1";

async fn look(w: &World) -> BTreeSet<(FindingKind, String)> {
    w.books.write_uses(&w.org).await.unwrap();
    w.control.look_at_credentials(&w.org).await.unwrap();
    w.control.open_findings(&w.org).await.unwrap()
}

fn about(open: &BTreeSet<(FindingKind, String)>, subject: &str) -> Vec<FindingKind> {
    let of = open.iter().filter(|(_, s)| s == subject);
    of.map(|(kind, _)| *kind).collect()
}

fn days(w: &World, days: u64) {
    w.pass(days * 86_400);
}

async fn rule(w: &World, change: impl Fn(&mut Hygiene)) {
    let found = w.books.get::<Organization>(&w.org, w.org.as_str()).await;
    let mut found = found.unwrap().unwrap();
    change(&mut found.noun.hygiene);
    let change = Change::new().update(&found.noun, found.revision);
    w.books.commit(&w.org, change).await.unwrap();
}

async fn give_token(w: &World, n: u8, digest: &str, lives_days: i64) -> String {
    let digest = digest.repeat(32);
    let now = w.books.now();
    let token = PersonToken {
        digest: digest.clone(),
        person: id("per", n).parse().unwrap(),
        label: "laptop".to_owned(),
        created: now,
        expires: now.plus_secs(lives_days * DAY),
        revoked: None,
    };
    let change = Change::new().create(&token);
    w.books.commit(&w.org, change).await.unwrap();
    digest
}

fn next_key() -> NewCredential {
    noun(json!({ "jwk": crate::tests::house::jwk(9) }))
}

#[tokio::test]
async fn a_key_is_due_then_overdue_and_settled_when_it_was_replaced() {
    let w = World::new().await;
    assert!(look(&w).await.is_empty());
    days(&w, 91);
    w.books.note_use(&w.org, KEY);
    assert_eq!(about(&look(&w).await, KEY), [FindingKind::RotationDue]);
    let all = Default::default();
    let found = w.control.findings(&w.caller(NOBODY), &all).await;
    let found = found.unwrap().items;
    let due = found.iter().find(|f| f.subject == KEY).unwrap();
    assert_eq!(
        due.owner.as_deref(),
        Some("p3@acme.example"),
        "its owner hears of it"
    );
    days(&w, 14);
    w.books.note_use(&w.org, KEY);
    assert_eq!(about(&look(&w).await, KEY), [FindingKind::RotationOverdue]);
    let owner = w.caller(OWNER);
    let rotated = w.control.rotate_credential(&owner, KEY, &next_key()).await;
    let Rotated::Key { new, old } = rotated.unwrap() else {
        panic!("a key was replaced")
    };
    assert_eq!((old.state, new.state), ("retiring", "active"));
    assert_eq!(old.expires, Some(w.books.now().plus_secs(86_400)));
    let open = look(&w).await;
    assert!(about(&open, KEY).is_empty() && about(&open, &new.id).is_empty());
    let again = w.control.rotate_credential(&owner, KEY, &next_key()).await;
    assert_eq!(again.unwrap_err().code(), Some(RefusalCode::Conflict));
}

#[tokio::test]
async fn a_replaced_key_is_good_until_its_time_and_takes_what_it_got_with_it() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let token = w.token(&run).await;
    let next = NewCredential {
        overlap_s: Some(120),
        ..next_key()
    };
    let owner = w.caller(OWNER);
    w.control
        .rotate_credential(&owner, KEY, &next)
        .await
        .unwrap();
    let key = |w: &World| w.books.org(&w.org).unwrap().registry().keys[KEY].clone();
    w.pass(119);
    w.control.tick(&w.org).await.unwrap();
    assert!(key(&w).is_good(w.books.now()));
    w.pass(1);
    assert!(!key(&w).is_good(w.books.now()), "before anybody has swept");
    assert_eq!(w.control.tick(&w.org).await.unwrap().keys, 1);
    assert!(key(&w).removed.is_some());
    let seen = w
        .control
        .credential(&w.caller(NOBODY), token.id.as_str())
        .await;
    assert_eq!(seen.unwrap().state, "revoked");
    assert_eq!(w.control.tick(&w.org).await.unwrap().keys, 0);
}

#[tokio::test]
async fn an_agent_says_how_often_its_own_keys_are_replaced() {
    let w = World::new().await;
    let found = w.books.get::<Agent>(&w.org, &id("agt", 1)).await.unwrap();
    let mut found = found.unwrap();
    found.noun.profile.rotate_days = Some(7);
    let change = Change::new().update(&found.noun, found.revision);
    w.books.commit(&w.org, change).await.unwrap();
    days(&w, 8);
    assert_eq!(about(&look(&w).await, KEY), [FindingKind::RotationDue]);
}

#[tokio::test]
async fn what_nobody_uses_is_found_and_a_use_settles_it() {
    let w = World::new().await;
    look(&w).await;
    let grant = id("grt", 3);
    days(&w, 31);
    assert_eq!(about(&look(&w).await, KEY), [FindingKind::UnusedCredential]);
    w.books.note_use(&w.org, KEY);
    assert!(about(&look(&w).await, KEY).is_empty());
    assert!(about(&look(&w).await, &grant).is_empty());
    days(&w, 60);
    assert_eq!(about(&look(&w).await, &grant), [FindingKind::OverScoped]);
    w.books.note_use(&w.org, &grant);
    assert!(about(&look(&w).await, &grant).is_empty());
}

#[tokio::test]
async fn nothing_counts_as_unused_before_uses_were_noted() {
    let w = World::new().await;
    days(&w, 80);
    assert!(about(&look(&w).await, KEY).is_empty());
    days(&w, 29);
    assert!(!about(&look(&w).await, KEY).contains(&FindingKind::UnusedCredential));
}

#[tokio::test]
async fn one_key_at_two_agents_is_found_until_it_is_removed() {
    let w = World::new().await;
    let there = w.books.org(&w.org).unwrap().registry().keys[KEY].clone();
    let twin = AgentKey {
        thumbprint: "thumb-2".to_owned(),
        agent: id("agt", 2).parse().unwrap(),
        ..AgentKey::clone(&there)
    };
    let change = Change::new().create(&twin);
    w.books.commit(&w.org, change).await.unwrap();
    let open = look(&w).await;
    assert_eq!(about(&open, KEY), [FindingKind::SharedKey]);
    let reason = "it is at two agents";
    let revoked = w
        .control
        .revoke_credential(&w.caller(ADMIN), KEY, reason)
        .await;
    assert_eq!(revoked.unwrap().state, "removed");
    assert!(about(&look(&w).await, KEY).is_empty());
}

#[tokio::test]
async fn a_persons_token_at_an_agent_stays_found_until_it_is_revoked() {
    let w = World::new().await;
    let digest = give_token(&w, CLERK, "c1", 30).await;
    let kind = FindingKind::PersonTokenAtAgent;
    let change = crate::finding_change(&w.books, &w.org, kind, &digest, "seen").await;
    w.books.commit(&w.org, change.unwrap()).await.unwrap();
    assert_eq!(about(&look(&w).await, &digest), [kind]);
    let reason = "an agent had it";
    let clerk = w.caller(CLERK);
    for other in [NOBODY, AUDITOR] {
        let refused = w
            .control
            .revoke_credential(&w.caller(other), &digest, reason)
            .await;
        let code = refused.unwrap_err().code().unwrap();
        // Those who do not see other people's tokens do not learn that there is one.
        assert!(matches!(
            code,
            RefusalCode::NotFound | RefusalCode::Forbidden
        ));
    }
    let revoked = w
        .control
        .revoke_credential(&clerk, "c1c1c1c1c1c1c1c1", reason)
        .await;
    assert_eq!(revoked.unwrap().state, "revoked");
    assert!(about(&look(&w).await, &digest).is_empty());
}

#[tokio::test]
async fn tokens_that_live_long_and_administrators_who_keep_them_are_found() {
    let w = World::new().await;
    look(&w).await;
    let digest = give_token(&w, ADMIN, "a1", 120).await;
    let other = give_token(&w, CLERK, "c1", 90).await;
    let open = look(&w).await;
    assert_eq!(about(&open, &digest), [FindingKind::LongLived]);
    assert!(about(&open, &other).is_empty());
    rule(&w, |h| h.long_lived_days = 30).await;
    assert_eq!(about(&look(&w).await, &other), [FindingKind::LongLived]);
    days(&w, 31);
    let (admin, admin_too) = (id("per", ADMIN), id("per", ADMIN_TOO));
    for person in [&admin, &admin_too] {
        w.books.note_use(&w.org, person);
    }
    let open = look(&w).await;
    assert_eq!(about(&open, &admin), [FindingKind::StandingAdmin]);
    assert!(
        about(&open, &admin_too).is_empty(),
        "it keeps none, and was here"
    );
    let revoke = w
        .control
        .revoke_credential(&w.caller(RESPONDER), &digest, "not needed")
        .await;
    revoke.unwrap();
    assert!(about(&look(&w).await, &admin).is_empty());
    days(&w, 31);
    assert_eq!(
        about(&look(&w).await, &admin_too),
        [FindingKind::StandingAdmin]
    );
}

#[tokio::test]
async fn a_directorys_token_is_due_before_it_ends_and_replaced_in_one_step() {
    let w = World::new().await;
    let (admin, name) = (w.caller(ADMIN), "okta".parse().unwrap());
    let spec = Default::default();
    w.control
        .put_scim_client(&admin, &name, &spec, None)
        .await
        .unwrap();
    w.control.make_scim_token(&admin, &name, 366).await.unwrap();
    let client = w.control.scim_client(&admin, &name).unwrap().id.to_string();
    assert_eq!(about(&look(&w).await, &client), [FindingKind::LongLived]);
    let refused = w
        .control
        .rotate_credential(&w.caller(OWNER), &client, &Default::default())
        .await;
    assert_eq!(refused.unwrap_err().code(), Some(RefusalCode::Forbidden));
    let days_20 = NewCredential {
        days: Some(20),
        ..NewCredential::default()
    };
    let rotated = w
        .control
        .rotate_credential(&admin, &client, &days_20)
        .await
        .unwrap();
    assert!(matches!(rotated, Rotated::Token { .. }));
    assert!(about(&look(&w).await, &client).is_empty());
    days(&w, 7);
    assert_eq!(about(&look(&w).await, &client), [FindingKind::RotationDue]);
    days(&w, 14);
    assert_eq!(
        about(&look(&w).await, &client),
        [FindingKind::RotationOverdue]
    );
    let revoked = w
        .control
        .revoke_credential(&admin, &client, "gone")
        .await
        .unwrap();
    assert_eq!(revoked.state, "revoked");
    assert!(about(&look(&w).await, &client).is_empty());
    assert_eq!(
        w.control.scim_client(&admin, &name).unwrap().state,
        "without_token"
    );
}

#[tokio::test]
async fn credentials_of_every_sort_are_listed_and_found_by_the_start_of_their_id() {
    let w = World::new().await;
    let run = w.start(1, None, Vec::new(), None).await;
    let token = w.token(&run).await;
    give_token(&w, CLERK, "c1", 30).await;
    give_token(&w, OWNER, "c2", 30).await;
    let kinds = |held: &[crate::CredentialView]| held.iter().map(|c| c.kind).collect::<Vec<_>>();
    let held = w.control.held_credentials(&w.caller(ADMIN)).await.unwrap();
    let (key, pat) = (CredentialKind::AgentKey, CredentialKind::PersonToken);
    assert_eq!(kinds(&held), [key, pat, pat]);
    let held = w.control.held_credentials(&w.caller(CLERK)).await.unwrap();
    assert_eq!(kinds(&held), [key, pat], "only their own");
    let short = w
        .control
        .credential(&w.caller(CLERK), "c1c1c1c1")
        .await
        .unwrap();
    assert_eq!(
        (short.kind, short.holder.as_str()),
        (pat, "p4@acme.example")
    );
    for (asked, code) in [
        ("c1c1", RefusalCode::InvalidRequest),
        ("c2c2c2c2", RefusalCode::NotFound),
    ] {
        let refused = w.control.credential(&w.caller(CLERK), asked).await;
        assert_eq!(refused.unwrap_err().code(), Some(code), "{asked}");
    }
    let revoke = async |n| {
        let id = token.id.as_str();
        w.control.revoke_credential(&w.caller(n), id, "gone").await
    };
    let Err(refused) = revoke(NOBODY).await else {
        panic!("nobody revokes another's token")
    };
    assert_eq!(refused.code(), Some(RefusalCode::Forbidden));
    let epoch = w.books.org(&w.org).unwrap().epoch();
    assert_eq!(revoke(OWNER).await.unwrap().state, "revoked");
    assert!(w.books.org(&w.org).unwrap().epoch() > epoch);
    let again = revoke(OWNER).await;
    assert_eq!(again.unwrap_err().code(), Some(RefusalCode::Conflict));
}

#[tokio::test]
async fn a_flood_of_uses_writes_once_an_hour() {
    let w = World::new().await;
    let revision = |w: &World| {
        let book = w.books.org(&w.org).unwrap();
        let registry = book.registry();
        registry.revision(Kind::CredentialUse, KEY)
    };
    for _ in 0..100 {
        w.books.note_use(&w.org, KEY);
        w.books.write_uses(&w.org).await.unwrap();
        w.pass(30);
    }
    assert_eq!(revision(&w), Some(1));
    w.pass(3_600);
    w.books.note_use(&w.org, KEY);
    w.books.write_uses(&w.org).await.unwrap();
    assert_eq!(revision(&w), Some(2));
}

/// Tokens that others were given are looked at alike, whoever they are.
#[tokio::test]
async fn a_token_of_a_receiver_or_a_transmitter_is_looked_at_as_a_directorys() {
    let w = World::new().await;
    look(&w).await;
    let now = w.books.now();
    let lives = |days: i64| now.plus_secs(days * DAY);
    let receiver: remit_domain::signal::SignalReceiver = noun(json!({
        "id": id("sgr", 1), "name": "siem", "audience": "https://siem.example", "digest": "ab".repeat(32), "made": now,
        "expires": lives(120), "made_by": id("per", ADMIN), "revoked": null
    }));
    let change = Change::new().create(&receiver);
    w.books.commit(&w.org, change).await.unwrap();
    let subject = receiver.id.to_string();
    assert_eq!(
        about(&look(&w).await, &subject),
        [FindingKind::LongLived],
        "it lives longer than the rule says"
    );
    days(&w, 110);
    w.books.note_use(&w.org, &subject);
    let found = about(&look(&w).await, &subject);
    assert!(found.contains(&FindingKind::RotationDue), "{found:?}");
    let own = async |n: u8| {
        let caller = w.caller(n);
        let found = w.control.own_findings(&caller, &ListQuery::default()).await;
        let found = found.unwrap().items;
        found.iter().any(|f| f.subject == subject)
    };
    assert!(own(ADMIN).await, "who made it hears of it");
    assert!(!own(CLERK).await, "others do not");
    days(&w, 11);
    let found = about(&look(&w).await, &subject);
    assert!(found.contains(&FindingKind::RotationOverdue), "{found:?}");
    let found = w
        .books
        .get::<remit_domain::signal::SignalReceiver>(&w.org, &subject);
    let mut found = found.await.unwrap().unwrap();
    found.noun.revoked = Some(w.books.now());
    let change = Change::new().update(&found.noun, found.revision);
    w.books.commit(&w.org, change).await.unwrap();
    assert!(about(&look(&w).await, &subject).is_empty());
}

#[tokio::test]
async fn a_certificate_is_found_when_it_lives_long_and_before_it_ends() {
    let w = World::new().await;
    look(&w).await;
    let now = w.books.now();
    let certificate = |days: i64| remit_domain::credential::ClientCertificate::Exact {
        thumbprint: "x5t-1".to_owned(),
        ends: now.plus_secs(days * DAY),
    };
    let set = async |days: i64| {
        let found = w.books.get::<AgentKey>(&w.org, KEY).await.unwrap();
        let mut found = found.unwrap();
        found.noun.certificate = Some(certificate(days));
        let change = Change::new().update(&found.noun, found.revision);
        w.books.commit(&w.org, change).await.unwrap();
        about(&look(&w).await, KEY)
    };
    assert_eq!(set(3_650).await, [FindingKind::LongLived]);
    assert_eq!(set(20).await, []);
    assert_eq!(set(10).await, [FindingKind::RotationDue]);
    assert_eq!(set(0).await, [FindingKind::RotationOverdue]);
}

/// The token has ended by itself long ago, but the sub-agent that was started with it goes on: it falls with the key too.
#[tokio::test]
async fn a_removed_key_takes_with_it_the_ended_token_that_started_a_sub_agent() {
    let w = World::new().await;
    let (_, link, run, _) = w.chain().await;
    let token = w.token(&run).await;
    let found = w
        .books
        .get::<remit_domain::delegation::Delegation>(&w.org, link.id.as_str())
        .await;
    let mut found = found.unwrap().unwrap();
    found.noun.token = Some(token.id.clone());
    let change = Change::new().update(&found.noun, found.revision);
    w.books.commit(&w.org, change).await.unwrap();
    w.pass(400);
    let name = "support".parse().unwrap();
    w.control
        .remove_key(&w.caller(OWNER), &name, KEY)
        .await
        .unwrap();
    let after = w
        .books
        .get::<remit_domain::credential::Token>(&w.org, token.id.as_str())
        .await;
    assert!(after.unwrap().unwrap().noun.revoked.is_some());
}
