//! Agents that a directory registers and stops.

use remit_domain::agent::{AgentState, Tier};

use super::*;

#[tokio::test]
async fn a_directory_stops_an_agent_and_starts_none() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    let agent = id("agt", 1);
    let run = w.start(1, None, Vec::new(), None).await;
    let stopped = w.control.stop_directory_agent(&by, &agent).await.unwrap();
    assert!(!stopped.active);
    let book = w.books.org(&w.org).unwrap();
    assert!(book.registry().standing(&run.id, w.books.now()).is_err());
    let again = w.control.stop_directory_agent(&by, &agent).await.unwrap();
    assert!(!again.active);
}

fn agent(name: &str, owners: &[&str]) -> AgentTold {
    AgentTold {
        name: name.to_owned(),
        purpose: "answers".to_owned(),
        owners: owners.iter().map(|o| (*o).to_owned()).collect(),
    }
}

#[tokio::test]
async fn an_agent_that_a_directory_registers_is_a_draft_with_nothing() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    let (owner, sponsor) = (id("per", OWNER), id("per", SPONSOR));
    let told = agent("from-okta", &[&owner, &sponsor]);
    let made = w.control.make_directory_agent(&by, &told).await.unwrap();
    assert!(!made.active);
    let book = w.books.org(&w.org).unwrap();
    let kept = book.registry().agent_named("from-okta").unwrap().clone();
    assert_eq!(kept.state, AgentState::Draft);
    assert_eq!(kept.profile.tier, Tier::LOWEST);
    assert_eq!(kept.profile.owner.as_str(), owner);
    assert_eq!(kept.profile.sponsor.as_str(), sponsor);
    assert!(kept.profile.systems.is_empty() && kept.profile.data_classes.is_empty());
    assert!(book.registry().standing_agent(&kept.id).is_err());
    let again = w.control.make_directory_agent(&by, &told).await;
    assert_eq!(code(again), RefusalCode::Conflict, "a name is given once");
}

#[tokio::test]
async fn a_directory_registers_no_agent_that_nobody_here_answers_for() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    let left = made(&w, &by, "left@acme.example").await;
    let leaves = w.control.delete_directory_user(&by, left.id.as_str(), None);
    leaves.await.unwrap();
    let owner = id("per", OWNER);
    let stranger = id("per", 30);
    let gone = left.id.as_str();
    for owners in [
        &[][..],
        &[gone],
        &[&owner, &stranger],
        &[&owner, &owner, &owner],
        &["x"],
    ] {
        let told = agent("from-okta", owners);
        let answer = w.control.make_directory_agent(&by, &told).await;
        assert_eq!(code(answer), RefusalCode::InvalidRequest, "{owners:?}");
    }
    // Somebody whom another directory tells of is nobody to this one.
    let theirs = made(&w, &by, "theirs@acme.example").await;
    let admin = w.caller(ADMIN);
    let entra: Name = "entra".parse().unwrap();
    let empty = mapping(json!({}));
    let put = w.control.put_scim_client(&admin, &entra, &empty, None);
    put.await.unwrap();
    w.control.make_scim_token(&admin, &entra, 30).await.unwrap();
    let other = DirectoryCaller {
        client: w.control.scim_client(&admin, &entra).unwrap().id,
        org: w.org.clone(),
    };
    let told = agent("from-entra", &[theirs.id.as_str()]);
    let answer = w.control.make_directory_agent(&other, &told).await;
    assert_eq!(code(answer), RefusalCode::InvalidRequest);
    for name in ["", "Two Words", "../up", "remit\n"] {
        let told = agent(name, &[&owner]);
        let answer = w.control.make_directory_agent(&by, &told).await;
        assert_eq!(code(answer), RefusalCode::InvalidRequest, "{name:?}");
    }
    let admin = w.caller(ADMIN);
    w.control
        .revoke_scim_client(&admin, &name(), "over")
        .await
        .unwrap();
    let told = agent("from-okta", &[&owner]);
    let answer = w.control.make_directory_agent(&by, &told).await;
    assert_eq!(code(answer), RefusalCode::Forbidden);
}
