//! What every request passes, the ledger, and what operators look at.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use super::house::{HOST, House};

/// One address of each surface.
const SURFACES: [(&str, Method); 9] = [
    ("/", Method::GET),
    ("/mcp", Method::POST),
    ("/oauth2/token", Method::POST),
    ("/.well-known/oauth-authorization-server", Method::GET),
    ("/api/v1/agents", Method::GET),
    ("/log/checkpoint", Method::GET),
    ("/livez", Method::GET),
    ("/metrics", Method::GET),
    ("/nothing", Method::GET),
];

#[tokio::test]
async fn host_and_origin_are_checked_on_every_surface() {
    let house = House::new().await;
    for (uri, method) in SURFACES {
        let request = |host: &str, origin: Option<&str>| {
            let mut builder = Request::builder()
                .method(method.clone())
                .uri(uri)
                .header("host", host);
            if let Some(origin) = origin {
                builder = builder.header("origin", origin);
            }
            builder.body(Body::empty()).unwrap()
        };
        assert_eq!(
            house.send(request("evil.test", None)).await.status,
            421,
            "{uri}"
        );
        assert_eq!(
            house
                .send(request(HOST, Some("https://evil.test")))
                .await
                .status,
            403,
            "{uri}"
        );
        assert_eq!(
            house.send(request(HOST, Some("null"))).await.status,
            403,
            "{uri}"
        );
        let fine = house.send(request(HOST, Some("https://remit.test"))).await;
        assert!(![403, 421].contains(&fine.status), "{uri}: {}", fine.status);
    }
}

#[tokio::test]
async fn every_answer_is_dressed() {
    let house = House::new().await;
    for (uri, method) in SURFACES {
        let mut request = House::request(method, uri, "", None);
        request
            .headers_mut()
            .insert("x-request-id", "chosen-by-client".parse().unwrap());
        let answer = house.send(request).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{uri}");
        assert_eq!(
            answer.header("strict-transport-security"),
            "max-age=31536000",
            "{uri}"
        );
        assert!(
            answer
                .header("content-security-policy")
                .contains("frame-ancestors 'none'"),
            "{uri}"
        );
        assert_eq!(answer.header("x-request-id").len(), 16, "{uri}");
        assert!(!answer.header("cache-control").is_empty(), "{uri}");
        if answer.status == 401 {
            assert!(
                answer.header("www-authenticate").starts_with("Bearer"),
                "{uri}"
            );
        }
    }
}

#[tokio::test]
async fn one_address_is_slowed_down_when_it_guesses() {
    let house = House::new().await;
    let guess = || async {
        let mut request = House::request(Method::GET, "/api/v1/agents", "rmt_pat_wrong", None);
        request.headers_mut().insert("host", HOST.parse().unwrap());
        use tower::ServiceExt;
        house
            .router
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let mut seen = Vec::new();
    for _ in 0..crate::limits::REFUSED_CREDENTIALS_BURST + 20 {
        seen.push(guess().await);
    }
    assert!(seen.contains(&401) && seen.contains(&429));
    // Others are not slowed down.
    assert_eq!(
        house
            .get("/api/v1/agents", house.person("nobody"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_checkpoint_is_public_and_entries_are_the_auditors() {
    let house = House::new().await;
    let checkpoint = house.get("/log/checkpoint", "").await.good();
    let mut lines = checkpoint.text.lines();
    assert!(
        lines.next().unwrap().starts_with("remit.test/log/org_"),
        "{}",
        checkpoint.text
    );
    let size: u64 = lines.next().unwrap().parse().unwrap();
    let key = house.get("/log/key", "").await.good().text;
    let key: remit_tlog::VerifierKey = key.trim_end().parse().unwrap();
    let head = remit_tlog::verify_note(&checkpoint.text, &key).unwrap();
    assert_eq!(head.size(), size);
    for uri in [
        "/log/proof?index=0",
        "/log/tile/entries/000.p/1",
        "/log/tile/0/000.p/1",
    ] {
        assert_eq!(house.get(uri, "").await.status, 401, "{uri}");
        assert_eq!(
            house.get(uri, house.person("admin")).await.status,
            403,
            "{uri}"
        );
        assert_eq!(house.get(uri, &house.operator).await.status, 403, "{uri}");
        let other = &house.people[&("globex", "auditor")];
        assert_eq!(house.get(uri, other).await.status, 401, "{uri}");
        assert_eq!(
            house.get(uri, house.person("auditor")).await.status,
            200,
            "{uri}"
        );
    }
    for uri in [
        "/log/proof?index=100000",
        "/log/tile/0/999",
        "/log/tile/x",
        "/log/tile/../../etc/passwd",
    ] {
        assert_eq!(
            house.get(uri, house.person("auditor")).await.status,
            404,
            "{uri}"
        );
    }
}

#[tokio::test]
async fn a_tile_and_its_entries_give_the_signed_root() {
    let house = House::new().await;
    let auditor = house.person("auditor");
    let checkpoint = house.get("/log/checkpoint", "").await.good().text;
    let size: u64 = checkpoint.lines().nth(1).unwrap().parse().unwrap();
    let width = size.min(256);
    let uri = if width == 256 {
        "/log/tile/0/000".to_owned()
    } else {
        format!("/log/tile/0/000.p/{width}")
    };
    let request = House::request(Method::GET, &uri, auditor, None);
    let raw = {
        use http_body_util::BodyExt;
        use tower::ServiceExt;
        house
            .router
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
    };
    assert_eq!(raw.len() as u64, 32 * width);
    let proof = house.get("/log/proof?index=0", auditor).await.good().text;
    assert!(remit_tlog::TlogProof::parse(&proof).is_ok(), "{proof}");
}

#[tokio::test]
async fn the_operators_ledger_is_the_operators() {
    let house = House::new().await;
    let checkpoint = house.get("/operator/log/checkpoint", "").await.good().text;
    assert!(
        checkpoint.starts_with("remit.test/log/org_00000000000000000000000000\n"),
        "{checkpoint}"
    );
    assert_eq!(
        house.get("/operator/log/proof?index=0", "").await.status,
        401
    );
    assert_eq!(
        house
            .get("/operator/log/proof?index=0", house.person("auditor"))
            .await
            .status,
        401
    );
    assert_eq!(
        house
            .get("/operator/log/proof?index=0", &house.operator)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn readiness_and_metrics_tell_no_secret() {
    let house = House::new().await;
    assert_eq!(
        house.get("/readyz", "").await.good().json()["ready"],
        json!(true)
    );
    let token = house.token("acme", "/mcp").await;
    house
        .get("/api/v1/people/nobody@acme.example", house.person("admin"))
        .await
        .good();
    let metrics = house.get("/metrics", "").await.good().text;
    assert!(
        metrics.contains("remit_http_requests_total{surface=\"rest\",status=\"200\"}"),
        "{metrics}"
    );
    for secret in ["acme", "globex", "returns-bot", "@", "rmt_", token.as_str()] {
        assert!(!metrics.contains(secret), "{secret}");
    }
}
