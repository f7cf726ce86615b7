//! People and the operator: who makes which token, and how often.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_link_makes_one_token_also_at_once() {
    let world = World::new().await;
    let admin = world.sign_in(&world.owner).await;
    let link = world
        .issuer
        .create_enrolment(&world.acme, &admin, &world.maria)
        .await
        .unwrap();
    assert!(
        link.link
            .expose_secret()
            .starts_with("https://remit.example/enrol#rmt_enr_")
    );
    let tries = (0..20).map(|_| {
        let (issuer, org, code) = (world.issuer.clone(), world.acme.clone(), link.code.clone());
        tokio::spawn(async move {
            issuer
                .redeem_enrolment(&org, code.expose_secret(), "laptop", Some(7))
                .await
        })
    });
    let mut made = Vec::new();
    for answer in tries.collect::<Vec<_>>() {
        made.extend(answer.await.unwrap().ok());
    }
    assert_eq!(made.len(), 1);
    let token = made[0].token.expose_secret();
    let maria = world
        .issuer
        .authenticate_person(&world.acme, token)
        .await
        .unwrap();
    assert_eq!(maria.id(), &world.maria);
    // Only its digest is kept.
    let stored = world
        .issuer
        .person_tokens(&world.acme, &world.maria)
        .await
        .unwrap();
    assert!(!serde_json::to_string(&stored).unwrap().contains(token));
    assert!(
        world
            .issuer
            .authenticate_person(&world.globex, token)
            .await
            .is_err()
    );
    world.advance(7 * 86_400);
    assert!(
        world
            .issuer
            .authenticate_person(&world.acme, token)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn only_an_administrator_makes_links_and_only_for_those_who_are_here() {
    let world = World::new().await;
    let maria = world.sign_in(&world.maria).await;
    let refused = world
        .issuer
        .create_enrolment(&world.acme, &maria, &world.owner)
        .await
        .unwrap_err();
    assert_eq!(refused.code.as_str(), "forbidden");
    let admin = world.sign_in(&world.owner).await;
    world.leaves(&world.sponsor).await;
    let gone = world
        .issuer
        .create_enrolment(&world.acme, &admin, &world.sponsor)
        .await
        .unwrap_err();
    assert_eq!(gone.code.as_str(), "not-found");
    // A link that was made before does not bring anybody back, nor does one whose time has passed.
    let link = world
        .issuer
        .create_enrolment(&world.acme, &admin, &world.maria)
        .await
        .unwrap();
    world.advance(86_400);
    assert!(
        world
            .issuer
            .redeem_enrolment(&world.acme, link.code.expose_secret(), "x", None)
            .await
            .is_err()
    );
    let link = world
        .issuer
        .create_enrolment(&world.acme, &admin, &world.maria)
        .await
        .unwrap();
    world.leaves(&world.maria).await;
    assert!(
        world
            .issuer
            .redeem_enrolment(&world.acme, link.code.expose_secret(), "x", None)
            .await
            .is_err()
    );
    for days in [0, 91] {
        let link = world
            .issuer
            .create_enrolment(&world.acme, &admin, &world.owner)
            .await
            .unwrap();
        let refused = world
            .issuer
            .redeem_enrolment(&world.acme, link.code.expose_secret(), "x", Some(days))
            .await
            .unwrap_err();
        assert_eq!(refused.code.as_str(), "invalid-request");
    }
}

#[tokio::test]
async fn a_token_ends_with_its_person_and_by_its_person() {
    let world = World::new().await;
    let maria = world.sign_in(&world.maria).await;
    let again = world.sign_in(&world.maria).await;
    let owner = world.sign_in(&world.owner).await;
    let prefix: String = maria.token.chars().take(12).collect();
    let other = world
        .issuer
        .revoke_person_token(&world.acme, &owner, &prefix)
        .await
        .unwrap_err();
    assert_eq!(other.code.as_str(), "not-found");
    assert!(
        world
            .issuer
            .revoke_person_token(&world.acme, &maria, "")
            .await
            .is_err()
    );
    world
        .issuer
        .revoke_person_token(&world.acme, &maria, &prefix)
        .await
        .unwrap();
    let left = world
        .issuer
        .person_tokens(&world.acme, &world.maria)
        .await
        .unwrap();
    assert_eq!(
        left.iter().map(|token| &token.digest).collect::<Vec<_>>(),
        [&again.token]
    );
    assert_eq!(world.entries(EventKind::PersonTokenRevoked).await.0, 1);
}

#[tokio::test]
async fn a_departed_person_is_nobody_at_once_also_where_remembered() {
    let world = World::new().await;
    let admin = world.sign_in(&world.owner).await;
    let link = world
        .issuer
        .create_enrolment(&world.acme, &admin, &world.maria)
        .await
        .unwrap();
    let made = world
        .issuer
        .redeem_enrolment(&world.acme, link.code.expose_secret(), "x", None)
        .await
        .unwrap();
    let token = made.token.expose_secret();
    assert!(
        world
            .issuer
            .authenticate_person(&world.acme, token)
            .await
            .is_ok()
    );
    world.leaves(&world.maria).await;
    let refused = world
        .issuer
        .authenticate_person(&world.acme, token)
        .await
        .unwrap_err();
    assert_eq!(refused.code.as_str(), "unauthenticated");
    assert_eq!(world.refused().await.1["door"], "person");
}

#[tokio::test]
async fn one_kind_of_secret_does_not_pass_for_another() {
    let world = World::new().await;
    let operator = world.issuer.init_operator().await.unwrap().unwrap();
    let admin = world.sign_in(&world.owner).await;
    let link = world
        .issuer
        .create_enrolment(&world.acme, &admin, &world.maria)
        .await
        .unwrap();
    let agent = world.token(&world.indexer, "").await;
    for text in [
        operator.expose_secret(),
        link.code.expose_secret(),
        agent.as_str(),
        "",
    ] {
        assert!(
            world
                .issuer
                .authenticate_person(&world.acme, text)
                .await
                .is_err()
        );
    }
    let pat = world
        .issuer
        .redeem_enrolment(&world.acme, link.code.expose_secret(), "x", None)
        .await
        .unwrap();
    for text in [pat.token.expose_secret(), link.code.expose_secret(), ""] {
        assert!(world.issuer.authenticate_operator(text).await.is_err());
    }
}

#[tokio::test]
async fn the_operator_is_made_once_and_reset_on_the_machine() {
    let world = World::new().await;
    let first = world.issuer.init_operator().await.unwrap().unwrap();
    assert!(world.issuer.init_operator().await.unwrap().is_none());
    world
        .issuer
        .authenticate_operator(first.expose_secret())
        .await
        .unwrap();
    let second = world.issuer.reset_operator().await.unwrap();
    assert!(
        world
            .issuer
            .authenticate_operator(first.expose_secret())
            .await
            .is_err()
    );
    world
        .issuer
        .authenticate_operator(second.expose_secret())
        .await
        .unwrap();
    assert!(world.issuer.init_operator().await.unwrap().is_none());
}

#[tokio::test]
async fn the_operator_names_an_organizations_first_administrator_and_no_second() {
    let world = World::new().await;
    let email = "boss@globex.example".parse().unwrap();
    let link = world
        .issuer
        .create_first_admin(&world.globex, &email)
        .await
        .unwrap();
    assert!(
        link.link
            .expose_secret()
            .starts_with("https://remit.example/t/globex/enrol#")
    );
    let second = world
        .issuer
        .create_first_admin(&world.globex, &"x@globex.example".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(second.code.as_str(), "forbidden");
    let made = world
        .issuer
        .redeem_enrolment(&world.globex, link.code.expose_secret(), "x", None)
        .await
        .unwrap();
    let boss = world
        .issuer
        .authenticate_person(&world.globex, made.token.expose_secret())
        .await
        .unwrap();
    assert!(boss.holds(Role::Admin));
    // The code of one organization is nothing in another.
    let admin = world.sign_in(&world.owner).await;
    let link = world
        .issuer
        .create_enrolment(&world.acme, &admin, &world.maria)
        .await
        .unwrap();
    assert!(
        world
            .issuer
            .redeem_enrolment(&world.globex, link.code.expose_secret(), "x", None)
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_first_administrators_at_once_are_one() {
    let world = World::new().await;
    let tries = (0..8).map(|n| {
        let (issuer, org) = (world.issuer.clone(), world.globex.clone());
        let email = format!("boss{n}@globex.example").parse().unwrap();
        tokio::spawn(async move { issuer.create_first_admin(&org, &email).await.is_ok() })
    });
    let mut made = 0;
    for answer in tries.collect::<Vec<_>>() {
        made += usize::from(answer.await.unwrap());
    }
    assert_eq!(made, 1);
}

impl World {
    /// Who is written down as able to act as a person.
    pub(super) fn behind(&self, person: &PersonId) -> Vec<PersonId> {
        self.person(person).vouched_by.keys().cloned().collect()
    }
}

/// An administrator who uses the link they made for somebody is written into that person's record before the first session
/// or token is there: whatever is done with it, they never count as somebody else for that person.
#[tokio::test]
async fn who_made_the_link_that_was_used_is_written_down_in_the_person_and_the_ledger() {
    let world = World::new().await;
    let admin = world.sign_in(&world.owner).await;
    let link = async |person: &PersonId| {
        let made = world.issuer.create_enrolment(&world.acme, &admin, person);
        made.await.unwrap().code
    };
    assert!(world.behind(&world.maria).is_empty());
    let code = link(&world.maria).await;
    assert!(world.behind(&world.maria).is_empty(), "nobody has used it");
    world
        .issuer
        .redeem_enrolment(&world.acme, code.expose_secret(), "x", None)
        .await
        .unwrap();
    assert_eq!(
        world.behind(&world.maria),
        std::slice::from_ref(&world.owner)
    );
    let (count, facts) = world.entries(EventKind::PersonVouched).await;
    assert_eq!((count, &facts["by"]), (1, &json!(world.owner)));
    // The same for a sign-in with a browser, and once is enough.
    let code = link(&world.sponsor).await;
    world
        .issuer
        .sign_in_with_link(&world.acme, code.expose_secret(), "x")
        .await
        .unwrap();
    assert_eq!(
        world.behind(&world.sponsor),
        std::slice::from_ref(&world.owner)
    );
    assert_eq!(world.entries(EventKind::PersonVouched).await.0, 2);
    let own = link(&world.owner).await;
    world
        .issuer
        .redeem_enrolment(&world.acme, own.expose_secret(), "x", None)
        .await
        .unwrap();
    assert!(
        world.behind(&world.owner).is_empty(),
        "nobody vouches for themselves"
    );
}

#[tokio::test]
async fn first_administrators_are_named_together_and_nobody_stands_behind_them() {
    let world = World::new().await;
    let emails: Vec<remit_domain::name::Email> = ["a@globex.example", "b@globex.example"]
        .map(|email| email.parse().unwrap())
        .into();
    for wrong in [vec![], vec![emails[0].clone(); 2]] {
        let refused = world
            .issuer
            .create_first_admins(&world.globex, &wrong)
            .await;
        assert_eq!(refused.unwrap_err().code.as_str(), "invalid-request");
    }
    let links = world
        .issuer
        .create_first_admins(&world.globex, &emails)
        .await
        .unwrap();
    for (link, email) in links.iter().zip(&emails) {
        let made = world
            .issuer
            .redeem_enrolment(&world.globex, link.code.expose_secret(), "x", None)
            .await
            .unwrap();
        let token = made.token.expose_secret();
        let who = world.issuer.authenticate_person(&world.globex, token).await;
        let who = who.unwrap().person;
        assert!(who.email == *email && who.holds(Role::Admin));
        assert!(who.vouched_by.is_empty() && who.created_by.is_none());
    }
}
