//! Secrets of the vault: who may set one, that nobody reads one, and what becomes of old ones.

use std::sync::Arc;

use remit_books::VaultSecrets;
use remit_domain::upstream::SecretRef;
use remit_domain::{Kind, RefusalCode, Role};
use remit_ports::Secrets;
use remit_ports::store::{EntryFilter, Filter};
use remit_testkit::NoSecrets;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::house::{House, code, name};
use crate::{Caller, ControlError, ListQuery, NewCanary, NewSecret, Saved, SecretView};

const VALUE: &str = "s3cr3t-of-the-crm";

fn new(value: &str) -> NewSecret {
    NewSecret {
        value: SecretString::from(value).into(),
        description: None,
        reason: "a test".to_owned(),
    }
}

async fn set(house: &House, of: &str, value: &str) -> SecretView {
    let (admin, of, new) = (house.admin(), name(of), new(value));
    let saved = house.control.set_secret(&admin, &of, &new, None);
    saved.await.unwrap().view
}

async fn refused(
    house: &House,
    caller: &Caller,
    value: &str,
) -> Result<Saved<SecretView>, ControlError> {
    let (crm, new) = (name("crm"), new(value));
    house.control.set_secret(caller, &crm, &new, None).await
}

/// What the broker gets.
async fn read(house: &House, of: &str) -> Result<String, String> {
    let secrets = VaultSecrets::new(house.control.books().clone(), Arc::new(NoSecrets));
    let (org, reference) = (name("acme"), SecretRef::Vault(name(of)));
    let read = secrets.read(&org, &reference);
    let read = read.await.map_err(|error| error.to_string())?;
    Ok(read.expose_secret().to_owned())
}

async fn names_it(house: &House, of: &str) {
    let text = format!(
        "
apiVersion: remit.dev/v1
kind: Upstream
metadata: {{ name: orders }}
spec: {{ system: shop, transport: {{ type: stdio, command: orders }}, secret: {{ environment: {{ KEY: {{ vault: {of} }} }} }} }}
"
    );
    house.apply(&text).await;
}

#[tokio::test]
async fn administrators_set_secrets_and_no_view_has_a_value() {
    let house = House::active().await;
    for other in ["owner", "sponsor"] {
        let answer = refused(&house, &house.as_(other), VALUE).await;
        assert_eq!(code(answer), RefusalCode::Forbidden, "{other}");
        let seen = house
            .control
            .secrets(&house.as_(other), &ListQuery::default());
        assert_eq!(code(seen), RefusalCode::Forbidden, "{other}");
    }
    let agent = remit_domain::Principal::Agent(house.agent_id());
    let agent = house.control.caller(&house.org, agent);
    assert_eq!(
        code(refused(&house, &agent, VALUE).await),
        RefusalCode::Forbidden
    );
    set(&house, "crm", &format!("{VALUE}\r\n")).await;
    names_it(&house, "crm").await;
    assert_eq!(read(&house, "crm").await.unwrap(), VALUE);
    house.control.books().write_uses(&house.org).await.unwrap();
    let shown = house.control.secret(&house.admin(), &name("crm")).unwrap();
    assert_eq!(shown.last_used, Some(house.control.books().now()));
    let radius = serde_json::to_value(&shown.blast_radius).unwrap();
    let expected = json!({ "upstreams": ["orders"], "transmitters": [], "workflows": ["returns-bot/refund"], "agents": ["returns-bot"] });
    assert_eq!(radius, expected);
    let said = serde_json::to_string(&shown).unwrap() + &format!("{:?}", new(VALUE));
    assert!(!said.contains(VALUE), "{said}");
}

#[tokio::test]
async fn no_record_and_no_entry_holds_a_value() {
    let house = House::active().await;
    set(&house, "crm", VALUE).await;
    set(&house, "crm", "another-value-of-it").await;
    names_it(&house, "crm").await;
    read(&house, "crm").await.unwrap();
    let books = house.control.books();
    let mut all = String::new();
    for kind in Kind::ALL {
        let filter = Filter {
            limit: 1_000,
            ..Filter::default()
        };
        let page = books.store().list(&house.org, kind, &filter).await.unwrap();
        all += &format!("{:?}", page.records);
    }
    let filter = EntryFilter {
        limit: 10_000,
        ..EntryFilter::default()
    };
    let entries = books.opened_entries(&house.org, &filter).await.unwrap();
    all += &format!("{entries:?}");
    assert!(all.contains("SecretSet") && all.contains("sealed"));
    for value in [VALUE, "another-value-of-it"] {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value);
        assert!(!all.contains(value) && !all.contains(&encoded), "{value}");
    }
}

#[tokio::test]
async fn values_that_cannot_be_kept_out_of_answers_are_refused_without_repeating_them() {
    let house = House::active().await;
    for wrong in [
        "sh0rt",
        "a b c d e f g",
        "with\0a-zero-byte",
        &"x".repeat(65_537),
    ] {
        let Err(ControlError::Refused(refusal)) = refused(&house, &house.admin(), wrong).await
        else {
            panic!("it was set");
        };
        assert_eq!(refusal.code, RefusalCode::InvalidRequest);
        assert!(!refusal.to_string().contains(wrong), "{refusal}");
    }
    let wrong = json!({ "value": { "s3cr3t-of-the-crm": 1 }, "reason": "r" });
    let error = serde_json::from_value::<NewSecret>(wrong).unwrap_err();
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
    let wrong = json!({ "value": 12_345_678_901_u64, "reason": "r" });
    let error = serde_json::from_value::<NewSecret>(wrong).unwrap_err();
    assert!(!error.to_string().contains("1234567"), "{error}");
}

#[tokio::test]
async fn versions_go_back_and_old_ones_are_destroyed() {
    let house = House::active().await;
    for version in 1..=11 {
        set(&house, "crm", &format!("value number {version}")).await;
    }
    let (admin, crm) = (house.admin(), name("crm"));
    let back = async |version| {
        let back = house
            .control
            .roll_back_secret(&admin, &crm, version, "it is refused");
        back.await
    };
    assert_eq!(
        code(back(1).await),
        RefusalCode::Conflict,
        "it is kept no longer"
    );
    assert_eq!(
        code(back(11).await),
        RefusalCode::Conflict,
        "it is used already"
    );
    assert_eq!(back(2).await.unwrap().version, 2);
    assert_eq!(read(&house, "crm").await.unwrap(), "value number 2");
    let books = house.control.books();
    assert!(books.open_version(&house.org, &crm, 1).await.is_err());
    let number = house.control.rotate_vault_key(&admin).await.unwrap().number;
    assert_eq!(number, 2);
    assert_eq!(read(&house, "crm").await.unwrap(), "value number 2");
}

#[tokio::test]
async fn a_disabled_secret_is_given_to_nobody_and_a_deleted_one_is_gone() {
    let house = House::active().await;
    set(&house, "crm", VALUE).await;
    names_it(&house, "crm").await;
    let (admin, crm) = (house.admin(), name("crm"));
    let before = house.epoch();
    let off = house
        .control
        .enable_secret(&admin, &crm, false, "INC-1")
        .await;
    assert_eq!(off.unwrap().state, "disabled");
    assert!(
        house.epoch() > before,
        "calls that were decided are decided again"
    );
    assert!(read(&house, "crm").await.unwrap_err().contains("disabled"));
    let on = house
        .control
        .enable_secret(&admin, &crm, true, "it was nothing")
        .await;
    assert_eq!(on.unwrap().state, "active");
    let used = house.control.delete_secret(&admin, &crm, "gone").await;
    assert_eq!(code(used), RefusalCode::Conflict, "an upstream names it");
    set(&house, "other", "another-value-here").await;
    names_it(&house, "other").await;
    let gone = house
        .control
        .delete_secret(&admin, &crm, "gone")
        .await
        .unwrap();
    assert_eq!((gone.state, gone.versions.len()), ("deleted", 0));
    assert!(read(&house, "crm").await.is_err());
    let books = house.control.books();
    assert!(books.open_version(&house.org, &crm, 1).await.is_err());
    // Its numbers go on.
    assert_eq!(set(&house, "crm", "a new beginning").await.version, 2);
}

#[tokio::test]
async fn another_organization_reaches_none_of_them() {
    let house = House::active().await;
    set(&house, "crm", VALUE).await;
    let operator = house.control.operator().unwrap();
    let globex = name("globex");
    let made = house
        .control
        .create_organization(&operator, globex.clone(), Default::default());
    made.await.unwrap();
    let secrets = VaultSecrets::new(house.control.books().clone(), Arc::new(NoSecrets));
    let reference = SecretRef::Vault(name("crm"));
    assert!(secrets.may_name(&globex, &reference).is_err());
    assert!(secrets.read(&globex, &reference).await.is_err());
    assert!(secrets.may_name(&name("acme"), &reference).is_ok());
}

#[tokio::test]
async fn a_canary_is_shown_once_and_given_to_no_upstream() {
    let house = House::active().await;
    let bait = NewCanary {
        prefix: "AKIA".to_owned(),
        description: Some("in the wiki".to_owned()),
        reason: "bait".to_owned(),
    };
    let (admin, wiki) = (house.admin(), name("wiki"));
    let made = house
        .control
        .make_canary(&admin, &wiki, &bait)
        .await
        .unwrap();
    assert!(made.value.starts_with("AKIA") && made.value.len() == 44);
    let shown = house.control.secret(&admin, &wiki).unwrap();
    assert!(shown.canary && !serde_json::to_string(&shown).unwrap().contains(&made.value));
    let secrets = VaultSecrets::new(house.control.books().clone(), Arc::new(NoSecrets));
    let reference = SecretRef::Vault(wiki.clone());
    assert!(secrets.may_name(&name("acme"), &reference).is_err());
    assert!(read(&house, "wiki").await.is_err());
    let as_secret = house
        .control
        .set_secret(&admin, &wiki, &new(VALUE), None)
        .await;
    assert_eq!(code(as_secret), RefusalCode::Conflict);
    set(&house, "crm", VALUE).await;
    let over = house.control.make_canary(&admin, &name("crm"), &bait).await;
    assert_eq!(code(over), RefusalCode::Conflict);
    let developer = house.as_("owner");
    assert!(developer.require(&[Role::Developer]).is_ok());
    let by = house.control.make_canary(&developer, &wiki, &bait).await;
    assert_eq!(code(by), RefusalCode::Forbidden);
}
