//! What a request is, and what it is not.

use envoy_types::pb::envoy::config::core::v3::HeaderMap;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use remit_domain::event::EventKind;
use serde_json::json;

use super::{body, gateway, request, with};

fn refund() -> HttpRequest {
    request("POST", "/refunds", r#"{"amount":5}"#)
}

fn without(mut http: HttpRequest, name: &str) -> HttpRequest {
    assert!(http.headers.remove(name).is_some(), "{name}");
    http
}

/// The request with something of it changed.
fn but(change: impl FnOnce(&mut HttpRequest)) -> HttpRequest {
    let mut http = refund();
    change(&mut http);
    http
}

/// Requests of which not the whole is here.
fn in_parts() -> Vec<(&'static str, HttpRequest)> {
    vec![
        (
            "a part of the body",
            with(refund(), "x-envoy-auth-partial-body", "true"),
        ),
        (
            "a body of which nothing says that it is whole",
            without(refund(), "x-envoy-auth-partial-body"),
        ),
        (
            "none of a body",
            but(|http| {
                http.raw_body.clear();
                http.headers
                    .insert("x-envoy-auth-partial-body".to_owned(), "true".to_owned());
            }),
        ),
        (
            "a body that was not sent along",
            but(|http| {
                http.raw_body.clear();
                http.size = 0;
            }),
        ),
        (
            "a shorter body than its header says",
            but(|http| {
                http.raw_body.truncate(5);
                http.size = 5;
            }),
        ),
        ("another size", but(|http| http.size = 400)),
        (
            "a length that is no number",
            with(refund(), "content-length", "0x0c"),
        ),
        ("two lengths", with(refund(), "content-length", "12,12")),
        (
            "a body as a string",
            but(|http| {
                http.body = String::from_utf8(std::mem::take(&mut http.raw_body)).unwrap();
            }),
        ),
        (
            "two bodies",
            but(|http| http.body = r#"{"amount":1}"#.to_owned()),
        ),
        ("headers that are left out", without(refund(), ":path")),
        (
            "another path in its headers",
            with(refund(), ":path", "/other"),
        ),
        (
            "another host in its headers",
            with(refund(), ":authority", "other.example"),
        ),
        (
            "headers in another form",
            but(|http| http.header_map = Some(HeaderMap::default())),
        ),
    ]
}

/// Requests whose head says that they are others.
#[rustfmt::skip]
fn with_another_head() -> Vec<(&'static str, HttpRequest)> {
    let get = || request("GET", "/status/eu", "");
    vec![
        ("another method", with(refund(), "x-http-method-override", "DELETE")),
        ("another address", with(refund(), "x-original-url", "/other")),
        ("another protocol afterwards", with(get(), "upgrade", "websocket")),
        ("another protocol inside", with(get(), ":protocol", "websocket")),
        ("a packed body", with(refund(), "content-encoding", "gzip")),
        ("a form", with(refund(), "content-type", "application/x-www-form-urlencoded")),
        ("two types", with(refund(), "content-type", "application/json,text/xml")),
        ("another character set", with(refund(), "content-type", "application/json; charset=utf-7")),
    ]
}

/// Bodies that somebody could read in another way.
#[rustfmt::skip]
fn with_another_body() -> Vec<(&'static str, HttpRequest)> {
    let json = |body: &str| request("POST", "/refunds", body);
    vec![
        ("a key twice", json(r#"{"amount":5,"amount":500}"#)),
        ("a key twice, escaped", json(r#"{"amount":5,"\u0061mount":500}"#)),
        ("a key that only capitals tell from another", json(r#"{"amount":5,"Amount":500}"#)),
        ("a key in capitals", json(r#"{"AMOUNT":500}"#)),
        ("no object", json("[5]")),
        ("no JSON", json("{'amount':5}")),
        ("no UTF-8", but(|http| http.raw_body = b"{\"amount\":\xff5}".to_vec())),
        ("half a pair of surrogates", json(r#"{"amount":5,"x":"\ud800"}"#)),
        ("a deep body", json(&format!(r#"{{"amount":5,"x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000)))),
        ("a number beyond all numbers", json(r#"{"amount":1e400}"#)),
        ("a number as a text", json(r#"{"amount":"5"}"#)),
        ("a body where there is none", request("POST", "/refunds/5", "{}")),
    ]
}

/// Addresses that somebody could read in another way.
#[rustfmt::skip]
fn with_another_address() -> Vec<(&'static str, HttpRequest)> {
    let get = |path: &str| request("GET", path, "");
    let post = |path: &str| request("POST", path, "");
    vec![
        ("a query that is not declared", post("/refunds/5?amount=500")),
        ("a parameter twice", post("/refunds/5?note=a&note=b")),
        ("another separator", post("/refunds/5?note=a;amount=500")),
        ("a space or a plus", post("/refunds/5?note=a+b")),
        ("a broken escape", post("/refunds/5?note=%zz")),
        ("an end of a text", post("/refunds/5?note=a%00b")),
        ("an encoded slash", get("/status/a%2fb")),
        ("an encoded percent", get("/status/a%252fb")),
        ("an encoded query", get("/status/a%3fb")),
        ("a step back", get("/status/%2e%2e")),
        ("a step back within", get("/status/../refunds")),
        ("a parameter of the path", get("/status/a;b")),
        ("a fragment", get("/status/a#b")),
        ("an encoded letter", get("/%73tatus/eu")),
        ("a slash too many", get("//status/eu")),
        ("a number in another form", post("/refunds/5e0")),
        ("a number with a sign", post("/refunds/+5")),
    ]
}

#[tokio::test]
async fn what_is_not_declared_seen_whole_or_read_in_one_way_is_denied() {
    let gateway = gateway().await;
    let undeclared = vec![
        ("no route", request("POST", "/other", "")),
        (
            "another method",
            request("DELETE", "/refunds", r#"{"amount":5}"#),
        ),
        (
            "another host",
            with(
                but(|http| http.host = "other.example".to_owned()),
                ":authority",
                "other.example",
            ),
        ),
        (
            "no body where there is one",
            request("POST", "/refunds", ""),
        ),
    ];
    let all = undeclared
        .into_iter()
        .chain(in_parts())
        .chain(with_another_head())
        .chain(with_another_body())
        .chain(with_another_address());
    let mut denied = 0;
    for (what, http) in all {
        let (status, answer) = gateway.check(http).await;
        assert_eq!(status, 403, "{what}: {answer:?}");
        assert!(
            !body(&answer)["detail"].as_str().unwrap().is_empty(),
            "{what}"
        );
        denied += 1;
    }
    let large = format!(r#"{{"amount":5,"x":"{}"}}"#, "x".repeat(1 << 20));
    let (status, answer) = gateway.check(request("POST", "/refunds", &large)).await;
    assert_eq!((status, &body(&answer)["code"]), (413, &json!("too-large")));
    let nothing = gateway.ask(&gateway.point, None, "").await.unwrap();
    assert_eq!(super::status(&nothing), 403);
    assert_eq!(gateway.house.told(EventKind::CallDecided).await.len(), 0);
    let refused = gateway.house.told(EventKind::CallRefused).await.len();
    assert!(
        refused > denied / 2,
        "refusals are recorded: {refused} of {denied}"
    );
}

#[tokio::test]
async fn a_message_beyond_all_bounds_is_not_read() {
    let gateway = gateway().await;
    let huge = "x".repeat(3 << 20);
    let asked = gateway.ask(&gateway.point, Some(request("POST", "/refunds", &huge)), "");
    assert_eq!(asked.await.unwrap_err().code(), tonic::Code::OutOfRange);
}

#[tokio::test]
async fn a_declared_request_is_the_call_of_its_tool() {
    let gateway = gateway().await;
    for (http, arguments) in [
        (refund(), json!({ "amount": 5 })),
        (
            with(refund(), "content-type", "Application/JSON; charset=UTF-8"),
            json!({ "amount": 5 }),
        ),
        // HTTP/2 says no length.
        (
            without(
                request("POST", "/refunds", r#"{ "amount": 7.5 }"#),
                "content-length",
            ),
            json!({ "amount": 7.5 }),
        ),
        (
            request("POST", "/refunds/7.5?note=so%20be%20it%2B", ""),
            json!({ "amount": 7.5, "note": "so be it+" }),
        ),
        (
            with(request("POST", "/refunds/8", ""), "content-length", "0"),
            json!({ "amount": 8 }),
        ),
    ] {
        let (status, answer) = gateway.check(http).await;
        assert_eq!(status, 200, "{answer:?}");
        let decided = gateway.house.told(EventKind::CallDecided).await;
        let last = decided.last().unwrap();
        let dynamic = json!(last.body.as_ref().unwrap().content["dynamic"]);
        assert_eq!(dynamic["args"], arguments, "{dynamic}");
        assert_eq!(last.leaf.facts["tool"], "orders/refund");
    }
}
