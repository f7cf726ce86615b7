//! What lists and dialogs show: a time range in the address, what stopping cuts off, how far a verification is.

use axum::body::Body;
use axum::http::Request;

use super::house::House;

#[tokio::test]
async fn lists_of_what_happened_keep_to_the_times_in_their_address() {
    let house = House::new().await;
    let entries = |text: &str| text.contains("data-key=\"e0\"");
    for (query, shown) in [
        ("range=1h&order=oldest+first", true),
        (
            "since=2026-11-22T07:59&until=2026-11-22T08:01&order=oldest+first",
            true,
        ),
        ("until=2026-11-22&order=oldest+first", false),
        ("since=2026-11-22T09:00:00Z", false),
    ] {
        let page = house.open(&format!("/audit?{query}"), "auditor").await;
        assert_eq!((page.status, entries(&page.text)), (200, shown), "{query}");
    }
    for path in [
        "/runs",
        "/containments",
        "/findings",
        "/approvals?view=decided",
        "/labels",
        "/policies/proposals",
        "/agents/returns-bot/activity",
        "/agents/returns-bot/history",
        "/audit",
    ] {
        let mark = if path.contains('?') { '&' } else { '?' };
        let good = house
            .open(
                &format!("{path}{mark}since=2026-11-20T10:30&range=7d"),
                "admin",
            )
            .await;
        assert_eq!(good.status, 200, "{path}");
        let kept = "name=\"since\" value=\"2026-11-20T10:30\"";
        assert!(
            good.text.contains(kept),
            "{path}: the filter says what it is"
        );
        for wrong in ["since=%3Cb%3E", "range=9y"] {
            let refused = house.open(&format!("{path}{mark}{wrong}"), "admin").await;
            assert_eq!(refused.status, 400, "{path} {wrong}");
        }
    }
    let before = house
        .open(
            "/agents/returns-bot/history?until=2026-11-22T08:00",
            "nobody",
        )
        .await;
    assert!(
        before.text.contains("Nothing happened here"),
        "{}",
        before.text
    );
}

#[tokio::test]
async fn whoever_stops_an_agent_sees_first_what_it_reaches() {
    let house = House::new().await;
    for (path, who) in [
        ("/stop?agent=returns-bot", "responder"),
        ("/stop?workflow=returns-bot/refund&level=kill", "responder"),
        ("/agents/returns-bot/suspend", "nobody"),
    ] {
        let page = house.open(path, who).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        let at = |text: &str| {
            page.text
                .find(text)
                .unwrap_or_else(|| panic!("{path}: {text}"))
        };
        let reaches = at("What it reaches until then");
        let form = at("name=\"reason\"");
        assert!(reaches < form, "the impact stands before the order");
        at("id=\"impact-of\"");
    }
}

#[tokio::test]
async fn a_verification_goes_on_by_itself_and_tells_only_who_asked() {
    let house = House::new().await;
    assert_eq!(
        house.post("/audit/verify", "responder", &[]).await.status,
        403
    );
    let begun = house.post("/audit/verify", "auditor", &[]).await;
    let told = (begun.status, begun.header("location"));
    assert_eq!(told, (303, "/audit/verify/now"));
    let now = house.open("/audit/verify/now", "auditor").await;
    assert!(now.text.contains("Intact: "), "{}", now.text);
    assert!(now.text.contains("<html") && !now.text.contains("http-equiv=\"refresh\""));
    let cookie = house.cookie("acme", "acme", "auditor");
    let part = Request::get("/audit/verify/now")
        .header("cookie", &cookie)
        .header("hx-request", "true")
        .body(Body::empty())
        .unwrap();
    let part = house.send(part).await;
    assert!(part.text.contains("Intact: ") && !part.text.contains("<html"));
    let other = house.cookie("globex", "globex", "auditor");
    let other = house.get("/t/globex/audit/verify/now", &other).await;
    let told = (other.status, other.header("location"));
    assert_eq!(told, (303, "/t/globex/audit/verify"));
    let wrong = house
        .post("/audit/verify", "auditor", &[("kept", "<b>no note</b>")])
        .await;
    assert_eq!(wrong.status, 303);
    let now = house.open("/audit/verify/now", "auditor").await;
    assert!(now.text.contains("is not one of this ledger") && !now.text.contains("<b>no"));
}

#[tokio::test]
async fn an_agents_page_tells_its_risk_and_its_decisions() {
    let house = House::new().await;
    let page = house.open("/agents/returns-bot", "nobody").await.text;
    assert!(page.contains("<dt>Risk</dt>"), "{page}");
    for part in ["id=\"total-allow\"", "id=\"hours\"", "Hour from (UTC)"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(
        house
            .open("/", "auditor")
            .await
            .text
            .contains("id=\"hours\"")
    );
}
