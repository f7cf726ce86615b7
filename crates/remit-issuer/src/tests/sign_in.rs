//! Sessions: what opens one, what ends one, and what never counts.

use remit_domain::{Role, Session, SessionId, SignedInBy};

use super::*;
use crate::limits::{REFUSALS_PER_MINUTE, SESSIONS_MAX};
use crate::{NewSession, OpenSession, PersonSession};

impl World {
    pub(super) async fn opened(&self, person: &PersonId, how: SignedInBy) -> NewSession {
        let open = OpenSession {
            person: person.clone(),
            how,
            browser: "Firefox/142 \u{202e}evil\n".to_owned(),
            roles_max: None,
        };
        self.issuer.open_session(&self.acme, open).await.unwrap()
    }

    pub(super) async fn checked(&self, new: &NewSession) -> Result<PersonSession, &'static str> {
        let secret = new.secret.expose_secret();
        let checked = self.issuer.check_session(&self.acme, secret).await;
        checked.map_err(|refusal| refusal.code.as_str())
    }

    async fn link(&self, person: &PersonId) -> SecretString {
        let admin = self.sign_in(&self.owner).await;
        let made = self.issuer.create_enrolment(&self.acme, &admin, person);
        made.await.unwrap().code
    }

    pub(super) fn person(&self, id: &PersonId) -> Arc<Person> {
        self.books.org(&self.acme).unwrap().registry().people[id].clone()
    }
}

#[tokio::test]
async fn a_session_opens_its_own_organization_and_only_its_digest_is_kept() {
    let world = World::new().await;
    let new = world.opened(&world.maria, SignedInBy::Oidc).await;
    let session = world.checked(&new).await.unwrap();
    assert_eq!(session.person.id, world.maria);
    let secret = new.secret.expose_secret();
    let elsewhere = world.issuer.check_session(&world.globex, secret).await;
    assert_eq!(elsewhere.unwrap_err().code.as_str(), "unauthenticated");
    let stored = world.issuer.sessions(&world.acme, None).await.unwrap();
    assert_eq!(stored[0].browser, "Firefox/142 evil");
    assert!(!serde_json::to_string(&stored).unwrap().contains(secret));
    // A session is no token, and a token no session.
    let as_token = world.issuer.authenticate_person(&world.acme, secret).await;
    assert!(as_token.is_err());
    let facts = world.entries(EventKind::SessionOpened).await.1;
    assert_eq!(facts["how"], "oidc");
}

#[tokio::test]
async fn a_link_signs_in_once_also_at_once() {
    let world = World::new().await;
    let code = world.link(&world.maria).await;
    let tries = (0..20).map(|_| {
        let (issuer, org, code) = (world.issuer.clone(), world.acme.clone(), code.clone());
        tokio::spawn(async move {
            issuer
                .sign_in_with_link(&org, code.expose_secret(), "x")
                .await
        })
    });
    let mut good = 0;
    for answer in tries.collect::<Vec<_>>() {
        good += usize::from(answer.await.unwrap().is_ok());
    }
    assert_eq!(good, 1);
    let token = world
        .issuer
        .redeem_enrolment(&world.acme, code.expose_secret(), "laptop", None)
        .await;
    assert!(token.is_err(), "nor does it make a token any more");
    assert!(world.refused().await.0 <= REFUSALS_PER_MINUTE as usize);
    assert!(world.refused().await.0 >= 19);
}

#[tokio::test]
async fn idle_time_and_life_end_a_session() {
    let world = World::new().await;
    let idle = world.opened(&world.maria, SignedInBy::Oidc).await;
    world.advance(29 * 60);
    world.checked(&idle).await.unwrap();
    world.advance(29 * 60);
    world.checked(&idle).await.unwrap();
    world.advance(30 * 60);
    assert_eq!(world.checked(&idle).await.unwrap_err(), "unauthenticated");
    let used = world.opened(&world.maria, SignedInBy::Oidc).await;
    for _ in 0..35 {
        world.advance(20 * 60);
        world.checked(&used).await.unwrap();
    }
    world.advance(20 * 60);
    assert_eq!(world.checked(&used).await.unwrap_err(), "unauthenticated");
}

#[tokio::test]
async fn shorter_limits_count_at_once() {
    let world = World::new().await;
    let new = world.opened(&world.maria, SignedInBy::Oidc).await;
    world.advance(120);
    world.checked(&new).await.unwrap();
    world.advance(119);
    world
        .change::<Organization>(world.acme.as_str(), |o| {
            o.sessions.idle_s = 60;
            o.sessions.life_s = 300;
        })
        .await;
    assert!(world.checked(&new).await.is_err());
}

#[tokio::test]
async fn who_leaves_is_signed_out_and_roles_are_those_of_now() {
    let world = World::new().await;
    let new = world.opened(&world.owner, SignedInBy::Oidc).await;
    assert!(world.checked(&new).await.unwrap().person.holds(Role::Admin));
    world
        .change::<Person>(world.owner.as_str(), |p| p.roles.clear())
        .await;
    assert!(!world.checked(&new).await.unwrap().person.holds(Role::Admin));
    world.leaves(&world.owner).await;
    assert_eq!(world.checked(&new).await.unwrap_err(), "unauthenticated");
    let open = OpenSession {
        person: world.owner.clone(),
        how: SignedInBy::Oidc,
        browser: String::new(),
        roles_max: None,
    };
    assert!(world.issuer.open_session(&world.acme, open).await.is_err());
}

#[tokio::test]
async fn a_session_has_no_more_roles_than_it_was_opened_with_nor_than_the_person() {
    let world = World::new().await;
    let open = |person: &PersonId| OpenSession {
        person: person.clone(),
        how: SignedInBy::Oidc,
        browser: String::new(),
        roles_max: Some(BTreeSet::from([Role::Auditor])),
    };
    for (person, roles) in [(&world.owner, 0), (&world.maria, 0)] {
        let new = world.issuer.open_session(&world.acme, open(person)).await;
        let session = world.checked(&new.unwrap()).await.unwrap();
        assert_eq!(session.person.roles.len(), roles);
        assert!(!session.identity().holds(Role::Admin));
    }
}

#[tokio::test]
async fn people_end_their_own_sessions_and_administrators_everybodys() {
    let world = World::new().await;
    let (maria, owner) = (world.person(&world.maria), world.person(&world.owner));
    let hers = world.opened(&world.maria, SignedInBy::Oidc).await;
    let his = world.opened(&world.owner, SignedInBy::Oidc).await;
    let end = |by: Arc<Person>, id: SessionId| {
        let world = &world;
        async move { world.issuer.end_session(&world.acme, &by, &id).await }
    };
    let not_hers = end(maria.clone(), his.id.clone()).await.unwrap_err();
    assert_eq!(not_hers.code.as_str(), "not-found");
    world.checked(&his).await.unwrap();
    world.checked(&hers).await.unwrap();
    end(owner.clone(), hers.id.clone()).await.unwrap();
    assert!(world.checked(&hers).await.is_err());
    end(owner.clone(), hers.id.clone()).await.unwrap();
    assert_eq!(world.entries(EventKind::SessionEnded).await.0, 1);
    let again = world.opened(&world.maria, SignedInBy::Oidc).await;
    let not_his = world
        .issuer
        .end_sessions(&world.acme, &maria, &owner.id, None);
    assert_eq!(not_his.await.unwrap_err().code.as_str(), "forbidden");
    let but = world.opened(&world.maria, SignedInBy::Oidc).await;
    let ended = world
        .issuer
        .end_sessions(&world.acme, &maria, &maria.id, Some(&but.id));
    assert_eq!(ended.await.unwrap(), 1);
    assert!(world.checked(&again).await.is_err());
    world.checked(&but).await.unwrap();
}

#[tokio::test]
async fn nobody_fills_the_store_with_sessions() {
    let world = World::new().await;
    let first = world.opened(&world.maria, SignedInBy::Oidc).await;
    for _ in 0..SESSIONS_MAX {
        world.advance(1);
        world.opened(&world.maria, SignedInBy::Oidc).await;
    }
    let live: Vec<Session> = world.issuer.sessions(&world.acme, None).await.unwrap();
    assert_eq!(live.len(), SESSIONS_MAX);
    assert!(world.checked(&first).await.is_err());
}
