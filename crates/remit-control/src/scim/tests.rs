//! Attacks by a directory, then what has to work.

use remit_domain::directory::Given;
use remit_domain::name::Name;
use serde_json::json;

use super::*;
use crate::fixture::{ADMIN, ADMIN_TOO, CLERK, NOBODY, OWNER, SPONSOR, World, id};

mod agents;

fn name() -> Name {
    "okta".parse().unwrap()
}

fn mapping(groups: serde_json::Value) -> ScimClientSpec {
    serde_json::from_value(json!({ "groups": groups })).unwrap()
}

/// A directory that an administrator made, with this mapping.
async fn directory(w: &World, groups: serde_json::Value) -> DirectoryCaller {
    let admin = w.caller(ADMIN);
    w.control
        .put_scim_client(&admin, &name(), &mapping(groups), None)
        .await
        .unwrap();
    w.control
        .make_scim_token(&admin, &name(), 30)
        .await
        .unwrap();
    DirectoryCaller {
        client: w.control.scim_client(&admin, &name()).unwrap().id,
        org: w.org.clone(),
    }
}

fn user(user_name: &str) -> UserTold {
    UserTold {
        user_name: user_name.to_owned(),
        external_id: None,
        display_name: "Somebody".to_owned(),
        active: true,
    }
}

fn group(display_name: &str, members: &[&str]) -> GroupTold {
    GroupTold {
        display_name: display_name.to_owned(),
        external_id: None,
        members: members.iter().map(|m| (*m).to_owned()).collect(),
    }
}

async fn made(w: &World, by: &DirectoryCaller, email: &str) -> UserView {
    let told = user(email);
    w.control.make_directory_user(by, &told).await.unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, ControlError>) -> RefusalCode {
    result.unwrap_err().code().unwrap()
}

fn person(w: &World, id: &str) -> Arc<Person> {
    let book = w.books.org(&w.org).unwrap();
    book.registry().people[&id.parse().unwrap()].clone()
}

#[tokio::test]
async fn whom_a_directory_makes_may_nothing_and_is_related_to_who_set_it_up() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    let new = made(&w, &by, "New@acme.example").await;
    let person = person(&w, new.id.as_str());
    assert_eq!(person.email.as_str(), "new@acme.example");
    assert!(person.roles.is_empty() && person.teams.is_empty() && person.entitlements.is_empty());
    let admin: PersonId = id("per", ADMIN).parse().unwrap();
    assert_eq!(person.created_by, Some(admin.clone()));
    let book = w.books.org(&w.org).unwrap();
    assert!(remit_domain::vouch::are_related(
        &book.registry(),
        &admin,
        &person.id
    ));
    for (told, refused) in [
        (user("new@acme.example"), RefusalCode::Conflict),
        (user("no address"), RefusalCode::InvalidRequest),
        (
            UserTold {
                active: false,
                ..user("gone@acme.example")
            },
            RefusalCode::InvalidRequest,
        ),
        (
            UserTold {
                display_name: "x".repeat(300),
                ..user("long@acme.example")
            },
            RefusalCode::InvalidRequest,
        ),
    ] {
        assert_eq!(
            code(w.control.make_directory_user(&by, &told).await),
            refused
        );
    }
}

#[tokio::test]
async fn a_group_gives_what_was_mapped_and_nothing_else() {
    let w = World::new().await;
    let by = directory(&w, json!({ "Approvers": { "roles": ["approver"] } })).await;
    let new = made(&w, &by, "new@acme.example").await;
    let id = new.id.as_str();
    // Names that nobody mapped give nothing, whatever they are called.
    for unmapped in ["admin", "approvers", "Approvers ", "responder"] {
        let told = group(unmapped, &[id]);
        w.control
            .put_directory_group(&by, None, &told)
            .await
            .unwrap();
        assert!(person(&w, id).roles.is_empty(), "{unmapped}");
    }
    let told = group("Approvers", &[id]);
    let kept = w
        .control
        .put_directory_group(&by, None, &told)
        .await
        .unwrap();
    assert_eq!(person(&w, id).roles, BTreeSet::from([Role::Approver]));
    let epoch = w.books.org(&w.org).unwrap().epoch();
    let at = Some((kept.id.as_str(), kept.revision));
    let renamed = group("Others", &[id]);
    w.control
        .put_directory_group(&by, at, &renamed)
        .await
        .unwrap();
    assert!(person(&w, id).roles.is_empty(), "renaming takes it back");
    assert!(w.books.org(&w.org).unwrap().epoch() > epoch);
    let stale = w.control.put_directory_group(&by, at, &told).await;
    assert_eq!(code(stale), RefusalCode::Conflict);
    // The mapping itself counts at once for who is in the group.
    let map = |given: Given| ScimClientSpec {
        groups: BTreeMap::from([("Others".to_owned(), given)]),
    };
    let auditor = Given {
        roles: BTreeSet::from([Role::Auditor]),
        ..Given::default()
    };
    let admin = w.caller(ADMIN_TOO);
    w.control
        .put_scim_client(&admin, &name(), &map(auditor), None)
        .await
        .unwrap();
    assert_eq!(person(&w, id).roles, BTreeSet::from([Role::Auditor]));
    w.control
        .delete_directory_group(&by, kept.id.as_str(), None)
        .await
        .unwrap();
    assert!(person(&w, id).roles.is_empty(), "so does the group's end");
}

#[tokio::test]
async fn nobody_gives_themselves_anything_by_a_directory_they_set_up() {
    let w = World::new().await;
    let by = directory(&w, json!({ "Approvers": { "roles": ["approver"] } })).await;
    let own = id("per", ADMIN);
    let told = group("Approvers", &[&own]);
    let refused = w.control.put_directory_group(&by, None, &told).await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    // Nor by somebody who could have acted as them.
    w.vouch(ADMIN, CLERK).await;
    let told = group("Approvers", &[&id("per", CLERK)]);
    let refused = w.control.put_directory_group(&by, None, &told).await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    // Nor by the order of things: first the group, then the mapping.
    let told = group("Later", &[&own]);
    w.control
        .put_directory_group(&by, None, &told)
        .await
        .unwrap();
    let admin = w.caller(ADMIN);
    let spec = mapping(json!({ "Later": { "roles": ["approver"] } }));
    let refused = w
        .control
        .put_scim_client(&admin, &name(), &spec, None)
        .await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    assert!(!person(&w, &own).roles.contains(&Role::Approver));
}

#[tokio::test]
async fn a_directory_never_takes_the_last_administrator_nor_a_break_glass_account() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    let own = id("per", ADMIN);
    let glass = id("per", NOBODY);
    w.change_person(NOBODY, |p| p.break_glass = true).await;
    let view = w.control.directory_user(&by, &glass).unwrap();
    let gone = UserTold {
        active: false,
        ..view.told.clone()
    };
    let refused = w
        .control
        .put_directory_user(&by, &glass, &gone, view.revision)
        .await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    assert_eq!(
        code(w.control.delete_directory_user(&by, &glass, None).await),
        RefusalCode::Forbidden
    );
    w.control
        .delete_directory_user(&by, &id("per", ADMIN_TOO), None)
        .await
        .unwrap();
    assert_eq!(
        code(w.control.delete_directory_user(&by, &own, None).await),
        RefusalCode::Conflict
    );
    assert!(person(&w, &own).is_active());
}

#[tokio::test]
async fn whoever_a_directory_says_has_left_has_left_at_once_and_for_good() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    let (first, second, run, child) = w.chain().await;
    let clerk = id("per", CLERK);
    let view = w.control.directory_user(&by, &clerk).unwrap();
    let gone = UserTold {
        active: false,
        ..view.told.clone()
    };
    let other_address = UserTold {
        user_name: "me@evil.example".to_owned(),
        ..view.told.clone()
    };
    let refused = w
        .control
        .put_directory_user(&by, &clerk, &other_address, view.revision);
    assert_eq!(code(refused.await), RefusalCode::InvalidRequest);
    let epoch = w.books.org(&w.org).unwrap().epoch();
    let left = w
        .control
        .put_directory_user(&by, &clerk, &gone, view.revision)
        .await;
    let left = left.unwrap();
    assert!(!left.told.active);
    let book = w.books.org(&w.org).unwrap();
    assert!(book.epoch() > epoch);
    for run in [&run, &child] {
        assert!(book.registry().standing(&run.id, w.books.now()).is_err());
    }
    for link in [&first, &second] {
        assert!(!book.registry().delegations.contains_key(&link.id));
    }
    let back = UserTold {
        active: true,
        ..view.told.clone()
    };
    let refused = w
        .control
        .put_directory_user(&by, &clerk, &back, left.revision);
    assert_eq!(code(refused.await), RefusalCode::Conflict);
    let entries = remit_ports::store::EntryFilter {
        kinds: vec![remit_domain::event::EventKind::PersonLeft],
        ..Default::default()
    };
    let entries = w.books.opened_entries(&w.org, &entries).await.unwrap();
    assert_eq!(
        entries[0].leaf.actor,
        Principal::Directory(by.client.clone()),
        "the entry says who told"
    );
    w.control
        .delete_directory_user(&by, &clerk, None)
        .await
        .unwrap();
    assert_eq!(
        code(w.control.directory_user(&by, &clerk)),
        RefusalCode::NotFound
    );
}

#[tokio::test]
async fn the_deputy_takes_over_in_the_commit_in_which_the_directory_says_so() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    for gone in [OWNER, SPONSOR] {
        w.control
            .delete_directory_user(&by, &id("per", gone), None)
            .await
            .unwrap();
    }
    let book = w.books.org(&w.org).unwrap();
    let registry = book.registry();
    let agents: Vec<_> = registry.agents.values().collect();
    assert!(!agents.is_empty());
    for agent in agents {
        // The deputy answers from the owner's departure on; nobody was named for the sponsor's, so then it stopped.
        assert_eq!(agent.profile.owner.as_str(), id("per", ADMIN));
        assert_eq!(agent.state, remit_domain::agent::AgentState::Suspended);
    }
}

#[tokio::test]
async fn another_directory_reaches_nothing_of_the_first_and_a_revoked_one_nothing_at_all() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    let new = made(&w, &by, "new@acme.example").await;
    let told = group("Ours", &[new.id.as_str()]);
    let ours = w
        .control
        .put_directory_group(&by, None, &told)
        .await
        .unwrap();
    let admin = w.caller(ADMIN);
    let second: Name = "entra".parse().unwrap();
    let spec = mapping(json!({}));
    w.control
        .put_scim_client(&admin, &second, &spec, None)
        .await
        .unwrap();
    let other = DirectoryCaller {
        client: w.control.scim_client(&admin, &second).unwrap().id,
        org: w.org.clone(),
    };
    let gone = w
        .control
        .delete_directory_user(&other, new.id.as_str(), None)
        .await;
    assert_eq!(code(gone), RefusalCode::NotFound);
    let gone = w
        .control
        .delete_directory_group(&other, ours.id.as_str(), None)
        .await;
    assert_eq!(code(gone), RefusalCode::NotFound);
    let told = group("Theirs", &[new.id.as_str()]);
    let joined = w.control.put_directory_group(&other, None, &told).await;
    assert_eq!(code(joined), RefusalCode::InvalidRequest);
    w.control
        .revoke_scim_client(&admin, &name(), "it was stolen")
        .await
        .unwrap();
    let told = user("later@acme.example");
    let late = w.control.make_directory_user(&by, &told).await;
    assert_eq!(code(late), RefusalCode::Forbidden);
    assert_eq!(code(w.control.directory_users(&by)), RefusalCode::Forbidden);
    assert_eq!(
        code(w.control.make_scim_token(&admin, &name(), 1).await),
        RefusalCode::Conflict
    );
}

#[tokio::test]
async fn a_directory_gives_nothing_to_whom_another_took_over() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    let clerk = id("per", CLERK);
    let told = group("Ours", &[&clerk]);
    w.control
        .put_directory_group(&by, None, &told)
        .await
        .unwrap();
    let admin = w.caller(ADMIN_TOO);
    let second: Name = "entra".parse().unwrap();
    let spec = mapping(json!({ "Theirs": { "roles": ["auditor"] } }));
    w.control
        .put_scim_client(&admin, &second, &spec, None)
        .await
        .unwrap();
    let other = DirectoryCaller {
        client: w.control.scim_client(&admin, &second).unwrap().id,
        org: w.org.clone(),
    };
    let told = group("Theirs", &[&clerk]);
    w.control
        .put_directory_group(&other, None, &told)
        .await
        .unwrap();
    assert!(person(&w, &clerk).roles.contains(&Role::Auditor));
    let spec = mapping(json!({ "Ours": { "roles": ["responder"] } }));
    let okta = name();
    w.control
        .put_scim_client(&admin, &okta, &spec, None)
        .await
        .unwrap();
    let clerk = person(&w, &clerk);
    assert!(clerk.roles.contains(&Role::Auditor) && !clerk.roles.contains(&Role::Responder));
    assert_eq!(clerk.directory.as_ref().unwrap().client, other.client);
}

#[tokio::test]
async fn only_administrators_make_directories() {
    let w = World::new().await;
    let spec = mapping(json!({}));
    for n in [OWNER, SPONSOR, CLERK, NOBODY] {
        let caller = w.caller(n);
        let put = w
            .control
            .put_scim_client(&caller, &name(), &spec, None)
            .await;
        assert_eq!(code(put), RefusalCode::Forbidden);
    }
    directory(&w, json!({})).await;
    let agent = w.agent_caller();
    let token = w.control.make_scim_token(&agent, &name(), 1).await;
    assert_eq!(code(token), RefusalCode::Forbidden);
    let unknown_team = mapping(json!({ "X": { "teams": ["nobody-made-it"] } }));
    let admin = w.caller(ADMIN);
    let okta = name();
    let put = w
        .control
        .put_scim_client(&admin, &okta, &unknown_team, None);
    assert_eq!(code(put.await), RefusalCode::InvalidRequest);
    let long = w.control.make_scim_token(&admin, &name(), 367).await;
    assert_eq!(code(long), RefusalCode::InvalidRequest);
}

#[tokio::test]
async fn two_groups_at_once_do_not_leave_what_both_gave() {
    let w = World::new().await;
    let gives = json!({ "roles": ["approver"] });
    let by = directory(&w, json!({ "One": gives, "Two": gives })).await;
    let new = made(&w, &by, "new@acme.example").await;
    let id = new.id.as_str();
    let mut plans = Vec::new();
    for name in ["One", "Two"] {
        let told = group(name, &[id]);
        let kept = w.control.put_directory_group(&by, None, &told).await;
        plans.push((name, kept.unwrap()));
    }
    // Both are planned while the other group still gives it.
    let planned: Vec<_> = plans
        .iter()
        .map(|(name, kept)| {
            let at = Some((kept.id.as_str(), kept.revision));
            w.control.plan_group(&by, at, &group(name, &[])).unwrap().1
        })
        .collect();
    let mut committed = Vec::new();
    for change in planned {
        committed.push(w.books.commit(&w.org, change).await.is_ok());
    }
    assert_eq!(committed, [true, false], "the second is planned anew");
    let (name, kept) = &plans[1];
    let at = Some((kept.id.as_str(), kept.revision));
    let empty = group(name, &[]);
    let again = w.control.put_directory_group(&by, at, &empty).await;
    again.unwrap();
    assert!(person(&w, id).roles.is_empty());
}

#[tokio::test]
async fn two_administrators_do_not_leave_at_once() {
    let w = World::new().await;
    let caller = w.caller(ADMIN);
    let mut planned = Vec::new();
    for who in [ADMIN, ADMIN_TOO] {
        let email = person(&w, &id("per", who)).email.clone();
        let plan = w.control.plan_departure(&caller, &email, None).await;
        planned.push(plan.unwrap().1);
    }
    let mut committed = Vec::new();
    for change in planned {
        committed.push(w.books.commit(&w.org, change).await.is_ok());
    }
    assert_eq!(committed, [true, false]);
    let last = person(&w, &id("per", ADMIN_TOO)).email.clone();
    let leaving = w.control.plan_departure(&caller, &last, None).await;
    assert_eq!(code(leaving.map(drop)), RefusalCode::Conflict);
}

#[tokio::test]
async fn the_next_directory_takes_over_whom_a_revoked_one_told_of() {
    let w = World::new().await;
    let old = directory(&w, json!({ "Approvers": { "roles": ["approver"] } })).await;
    let new = made(&w, &old, "new@acme.example").await;
    let id = new.id.as_str();
    let told = group("Approvers", &[id]);
    w.control
        .put_directory_group(&old, None, &told)
        .await
        .unwrap();
    let admin = w.caller(ADMIN);
    let entra: Name = "entra".parse().unwrap();
    let spec = mapping(json!({}));
    w.control
        .put_scim_client(&admin, &entra, &spec, None)
        .await
        .unwrap();
    let next = DirectoryCaller {
        client: w.control.scim_client(&admin, &entra).unwrap().id,
        org: w.org.clone(),
    };
    let unseen = w.control.directory_user(&next, id);
    assert_eq!(
        code(unseen),
        RefusalCode::NotFound,
        "while the other stands"
    );
    let revoked = w
        .control
        .revoke_scim_client(&admin, &name(), "replaced")
        .await;
    revoked.unwrap();
    // What the old one's groups gave goes with the first group that the new one puts them in.
    let all = group("All", &[id]);
    w.control
        .put_directory_group(&next, None, &all)
        .await
        .unwrap();
    assert!(person(&w, id).roles.is_empty());
    w.control
        .delete_directory_user(&next, id, None)
        .await
        .unwrap();
    assert!(!person(&w, id).is_active());
}

#[tokio::test]
async fn what_was_given_by_hand_stays_though_a_group_gave_the_same() {
    let w = World::new().await;
    let by = directory(&w, json!({ "Approvers": { "roles": ["approver"] } })).await;
    let new = made(&w, &by, "new@acme.example").await;
    let (id, admin) = (new.id.as_str(), w.caller(ADMIN));
    let registry = w.books.org(&w.org).unwrap();
    let by_hand = Person {
        roles: BTreeSet::from([Role::Approver]),
        ..Person::clone(&person(&w, id))
    };
    let change = w
        .control
        .person_change(&admin, &registry.registry(), &by_hand);
    w.books.commit(&w.org, change).await.unwrap();
    let told = group("Approvers", &[id]);
    let kept = w
        .control
        .put_directory_group(&by, None, &told)
        .await
        .unwrap();
    let gone = w
        .control
        .delete_directory_group(&by, kept.id.as_str(), Some(kept.revision));
    gone.await.unwrap();
    assert_eq!(person(&w, id).roles, BTreeSet::from([Role::Approver]));
}

#[tokio::test]
async fn what_has_changed_since_it_was_seen_is_not_deleted() {
    let w = World::new().await;
    let by = directory(&w, json!({})).await;
    let new = made(&w, &by, "new@acme.example").await;
    let stale = Some(new.revision + 1);
    let deleted = w.control.delete_directory_user(&by, new.id.as_str(), stale);
    assert_eq!(code(deleted.await), RefusalCode::Conflict);
    assert!(person(&w, new.id.as_str()).is_active());
}
