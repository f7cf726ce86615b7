//! A client's request, the page that shows it, and what a yes and a no become.

use remit_token::authorization::AuthorizationParameters;
use serde_json::json;

use super::house::{Answer, House, URL};

const BACK: &str = "http://127.0.0.1:5000/back";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The house with its agent in use, whose client may ask people.
async fn house() -> House {
    let house = House::new().await;
    let admin = house.caller("acme", "admin").await;
    let name = "returns-bot".parse().unwrap();
    // The public key of RFC 7515 appendix A.3.
    let key = json!({ "jwk": { "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" } });
    let key = serde_json::from_value(key).unwrap();
    house.control.add_key(&admin, &name, &key).await.unwrap();
    let sponsor = house.caller("acme", "nobody").await;
    house.control.activate_agent(&sponsor, &name).await.unwrap();
    let workflow = "returns-bot/refund".parse().unwrap();
    let found = house.control.workflow(&admin, &workflow).unwrap();
    let mut spec = found.spec;
    spec.redirect_uris = ["http://127.0.0.1/back".to_owned()].into();
    let saved = house.control.put_workflow(&admin, &workflow, spec, None);
    saved.await.unwrap();
    house
}

async fn asked(house: &House) -> String {
    let pairs = [
        ("response_type", "code"),
        ("client_id", "returns-bot"),
        ("redirect_uri", BACK),
        ("state", "s-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let parameters = AuthorizationParameters::from_pairs(pairs).unwrap();
    let org = house.org("acme");
    house.issuer.authorize(&org, &parameters).await.unwrap()
}

/// Where the page sends the browser on.
fn on(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let to = answer.header("refresh").strip_prefix("0; url=").unwrap();
    assert!(
        answer.text.contains("id=\"on\""),
        "a link for whoever has to go by hand"
    );
    assert!(to.starts_with(BACK), "{to}");
    to.to_owned()
}

#[tokio::test]
async fn the_page_shows_who_asks_for_what_and_a_yes_is_a_delegation() {
    let house = house().await;
    let request = asked(&house).await;
    let page = house
        .open(&format!("/consent?request={request}"), "auditor")
        .await;
    assert_eq!(page.status, 200, "{}", page.text);
    for shown in [
        "returns-bot",
        "refund",
        "orders/status",
        "orders/refund",
        BACK,
        "auditor@acme.example",
    ] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(
        !page.text.contains("<script>alert"),
        "hostile purposes stay text"
    );
    let form = [
        ("request", request.as_str()),
        ("hours", "4 hours"),
        ("effects", "only read"),
    ];
    // Without the session's own token nothing happens.
    let cookie = house.cookie("acme", "acme", "auditor");
    let foreign = house
        .send(House::form("/consent/allow", &cookie, &form))
        .await;
    assert!(foreign.header("refresh").is_empty(), "{}", foreign.text);
    let to = on(&house.post("/consent/allow", "auditor", &form).await);
    for said in ["code=", "state=s-1", "iss=https%3A%2F%2Fremit.test"] {
        assert!(to.contains(said), "{to}");
    }
    let caller = house.caller("acme", "auditor").await;
    let mine = remit_control::DelegationFilter {
        mine: true,
        ..Default::default()
    };
    let made = house.control.delegations(&caller, &mine).await.unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].workflow, "returns-bot/refund");
    assert_eq!(made[0].narrows, ["effects read"]);
    let life = made[0].expires.as_secs() - made[0].created.as_secs();
    assert_eq!(life, 4 * 3_600);
    // It was answered: neither again nor differently.
    for path in ["/consent/allow", "/consent/deny"] {
        let again = house.post(path, "auditor", &form).await;
        assert_eq!(again.status, 400, "{}", again.text);
    }
    assert_eq!(
        house
            .control
            .delegations(&caller, &mine)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(URL.starts_with("https"));
}

#[tokio::test]
async fn a_no_is_told_and_lets_nothing() {
    let house = house().await;
    let request = asked(&house).await;
    let to = on(&house
        .post("/consent/deny", "auditor", &[("request", &request)])
        .await);
    assert!(
        to.contains("error=access_denied") && to.contains("state=s-1"),
        "{to}"
    );
    let caller = house.caller("acme", "auditor").await;
    let all = remit_control::DelegationFilter::default();
    assert!(
        house
            .control
            .delegations(&caller, &all)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn whoever_is_not_signed_in_signs_in_first_and_comes_back() {
    let house = house().await;
    let request = asked(&house).await;
    let answer = house.get(&format!("/consent?request={request}"), "").await;
    assert_eq!(answer.status, 303);
    let to = answer.header("location");
    assert!(
        to.starts_with("/sign-in?next=%2Fconsent%3Frequest%3D"),
        "{to}"
    );
    for wrong in [
        "",
        "?request=",
        "?request=x",
        &format!("?request={request}x"),
    ] {
        let page = house.open(&format!("/consent{wrong}"), "auditor").await;
        assert_eq!(page.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_one_tool_is_let_that_one_only_within_its_bounds() {
    let house = house().await;
    let details = r#"[{"type":"remit_tool","tool":"orders/refund","bounds":{"order":[{"one_of":["A-118"]}]}}]"#;
    let pairs = [
        ("response_type", "code"),
        ("client_id", "returns-bot"),
        ("redirect_uri", BACK),
        ("state", "s-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("authorization_details", details),
    ];
    let parameters = AuthorizationParameters::from_pairs(pairs).unwrap();
    let org = house.org("acme");
    let request = house.issuer.authorize(&org, &parameters).await.unwrap();
    let page = house
        .open(&format!("/consent?request={request}"), "auditor")
        .await;
    assert_eq!(page.status, 200, "{}", page.text);
    for shown in ["orders/refund", "order is one of A-118", "these tools only"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(!page.text.contains("orders/status"), "{}", page.text);
    let form = [
        ("request", request.as_str()),
        ("hours", "1 hour"),
        ("effects", "everything in the list"),
    ];
    on(&house.post("/consent/allow", "auditor", &form).await);
    let caller = house.caller("acme", "auditor").await;
    let mine = remit_control::DelegationFilter {
        mine: true,
        ..Default::default()
    };
    let made = house.control.delegations(&caller, &mine).await.unwrap();
    assert_eq!(
        made[0].narrows,
        [r#"tool orders/refund with order one of "A-118""#]
    );
}
