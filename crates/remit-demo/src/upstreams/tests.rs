//! Every server, driven by a real client.

use std::collections::BTreeSet;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResult, ClientConfig, ProtocolVersion, Tool};
use rmcp::service::{ClientLifecycleMode, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientServiceExt as _, RoleClient, ServiceExt as _};
use serde_json::{Value, json};

use remit_domain::tool::Effect;

use super::*;

type Client = RunningService<RoleClient, ClientConfig>;

/// Enough for a loaded machine; a pass takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

async fn connect(upstream: &Upstream) -> Client {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let upstream = upstream.clone();
    tokio::spawn(async move { upstream.serve(theirs).await });
    ClientConfig::default().serve(ours).await.unwrap()
}

async fn call(client: &Client, tool: &'static str, args: &Value) -> CallToolResult {
    let args = args.as_object().unwrap().clone();
    let params = CallToolRequestParams::new(tool).with_arguments(args);
    client.call_tool(params).await.unwrap()
}

async fn log(client: &Client) -> EffectsLog {
    let result = call(client, EFFECTS_LOG, &json!({})).await;
    serde_json::from_value(result.structured_content.unwrap()).unwrap()
}

#[expect(clippy::too_many_lines, reason = "a table")]
/// A call of each tool that works on fresh data, and the object it changes, if any.
fn one_of_each(kind: DemoKind) -> Vec<(&'static str, Value, Option<&'static str>)> {
    let (user, ticket) = (story::REQUESTER, story::TICKET);
    let (order, alert) = (story::ORDER, story::ALERT);
    let service = story::DEVELOPMENT_SERVICE;
    match kind {
        DemoKind::Itsm => vec![
            ("find_user", json!({ "query": "sales" }), None),
            ("get_ticket", json!({ "ticket": ticket }), None),
            ("get_lockout", json!({ "user": user }), None),
            (
                "unlock_account",
                json!({ "user": user, "ticket": ticket }),
                Some(user),
            ),
            (
                "reset_password",
                json!({ "user": user, "ticket": ticket, "channel": "registered_phone" }),
                Some(user),
            ),
            (
                "reset_mfa",
                json!({ "user": user, "ticket": ticket }),
                Some(user),
            ),
            (
                "add_to_group",
                json!({ "user": user, "group": "vpn-users", "ticket": ticket }),
                Some(user),
            ),
        ],
        DemoKind::Orders => vec![
            ("order_status", json!({ "order": order }), None),
            (
                "customer_lookup",
                json!({ "customer": story::CUSTOMER }),
                None,
            ),
            (
                "refund",
                json!({ "order": order, "amount": 480.00, "card": story::ORDER_CARD, "reason": "damaged" }),
                Some(order),
            ),
            (
                "change_address",
                json!({ "order": order, "street": "Seeweg 2", "city": "Thun", "country": "CH" }),
                Some(order),
            ),
            (
                "send_mail",
                json!({ "to": "ada@mail.example", "subject": "your order", "body": "it is on its way" }),
                Some("ada@mail.example"),
            ),
        ],
        DemoKind::Siem => vec![
            ("get_alert", json!({ "alert": alert }), None),
            ("search_logs", json!({ "query": story::ATTACKER_IP }), None),
            (
                "isolate_host",
                json!({ "host": story::HOST, "alert": alert }),
                Some(story::HOST),
            ),
            (
                "disable_user",
                json!({ "user": story::SUSPECT, "alert": alert }),
                Some(story::SUSPECT),
            ),
            (
                "block_ip",
                json!({ "ip": story::ATTACKER_IP, "alert": alert }),
                Some(story::ATTACKER_IP),
            ),
        ],
        DemoKind::Ops => vec![
            (
                "list_services",
                json!({ "environment": "development" }),
                None,
            ),
            ("get_logs", json!({ "service": service, "lines": 2 }), None),
            (
                "restart",
                json!({ "service": service, "reason": "queue stuck" }),
                Some(service),
            ),
            (
                "scale",
                json!({ "service": service, "replicas": 2 }),
                Some(service),
            ),
            (
                "run_sql",
                json!({ "database": story::DEVELOPMENT_DATABASE, "statement": "DELETE FROM jobs;" }),
                Some(story::DEVELOPMENT_DATABASE),
            ),
        ],
        DemoKind::Grc => vec![
            ("list_controls", json!({}), None),
            ("pull_evidence", json!({ "control": story::CONTROL }), None),
            (
                "sample_users",
                json!({ "system": story::AUDITED_SYSTEM, "count": 3 }),
                None,
            ),
            (
                "open_finding",
                json!({ "control": story::CONTROL, "severity": "high", "text": "A leaver signed in." }),
                Some(story::CONTROL),
            ),
            (
                "close_finding",
                json!({ "finding": story::FINDING, "resolution": "accounts removed" }),
                Some(story::FINDING),
            ),
        ],
    }
}

async fn listed(kind: DemoKind) -> Vec<Tool> {
    connect(&Upstream::new(kind))
        .await
        .list_all_tools()
        .await
        .unwrap()
}

#[tokio::test]
async fn every_tool_answers_and_every_effect_is_counted_once() {
    for kind in DemoKind::ALL {
        let upstream = Upstream::new(kind);
        let client = connect(&upstream).await;
        let calls = one_of_each(kind);
        let names: BTreeSet<&str> = calls.iter().map(|c| c.0).chain([EFFECTS_LOG]).collect();
        let tools = client.list_all_tools().await.unwrap();
        assert_eq!(
            tools
                .iter()
                .map(|t| t.name.as_ref())
                .collect::<BTreeSet<_>>(),
            names
        );

        for (n, (tool, args, _)) in calls.iter().enumerate() {
            let result = call(&client, tool, args).await;
            assert_ne!(result.is_error, Some(true), "{kind}/{tool}: {result:?}");
            let text = result.content[0].as_text().unwrap().text.clone();
            let structured = result.structured_content.unwrap();
            assert_eq!(
                serde_json::from_str::<Value>(&text).unwrap(),
                structured,
                "{kind}/{tool}"
            );
            assert_eq!(log(&client).await.calls.len(), n + 1, "{kind}/{tool}");
        }
        let log = log(&client).await;
        assert!(
            log.calls.values().all(|&n| n == 1),
            "{kind}: {:?}",
            log.calls
        );
        let want: Vec<_> = calls
            .iter()
            .filter_map(|(t, _, o)| o.map(|o| (*t, o)))
            .collect();
        let got: Vec<_> = log
            .effects
            .iter()
            .map(|e| (e.tool.as_str(), e.object.as_str()))
            .collect();
        assert_eq!(got, want);
        assert_eq!(log.effects_total, want.len() as u64);
        assert_eq!(log, upstream.effects());
    }
}

#[tokio::test]
async fn data_and_definitions_are_the_same_each_time() {
    for kind in DemoKind::ALL {
        let (a, b) = (Upstream::new(kind), Upstream::new(kind));
        let (a, b) = (connect(&a).await, connect(&b).await);
        let both = (
            a.list_all_tools().await.unwrap(),
            b.list_all_tools().await.unwrap(),
        );
        assert_eq!(both.0, both.1);
        for (tool, args, _) in one_of_each(kind) {
            let both = (call(&a, tool, &args).await, call(&b, tool, &args).await);
            assert_eq!(both.0, both.1, "{kind}/{tool}");
        }
    }
}

/// Without Remit each attack of the story succeeds, so what stops it in the demo is Remit.
#[tokio::test]
async fn ungoverned_attacks_succeed() {
    let ticket = story::TICKET;
    let attacks = [
        (
            DemoKind::Itsm,
            "reset_password",
            json!({ "user": story::CEO, "ticket": ticket, "channel": "registered_email" }),
            story::CEO,
        ),
        (
            DemoKind::Orders,
            "refund",
            json!({ "order": story::ORDER, "amount": 5_000, "card": story::OTHER_CARD, "reason": "goodwill" }),
            story::ORDER,
        ),
        (
            DemoKind::Siem,
            "disable_user",
            json!({ "user": story::SOC_LEAD, "alert": story::ALERT }),
            story::SOC_LEAD,
        ),
        (
            DemoKind::Ops,
            "restart",
            json!({ "service": story::PRODUCTION_SERVICE, "reason": "hint in a log" }),
            story::PRODUCTION_SERVICE,
        ),
        (
            DemoKind::Grc,
            "close_finding",
            json!({ "finding": story::FINDING, "resolution": "fine" }),
            story::FINDING,
        ),
    ];
    for (kind, tool, args, object) in attacks {
        let upstream = Upstream::new(kind);
        let client = connect(&upstream).await;
        assert!(!upstream.effects().touched(object));
        call(&client, tool, &args).await;
        assert!(upstream.effects().touched(object), "{kind}/{tool}");
        assert_eq!(upstream.effects().effects_of(tool).count(), 1);
    }
}

#[tokio::test]
async fn the_planted_instructions_are_there() {
    let plants = [
        (
            DemoKind::Itsm,
            "get_ticket",
            json!({ "ticket": story::TICKET }),
            story::CEO,
        ),
        (
            DemoKind::Siem,
            "search_logs",
            json!({ "query": story::ATTACKER_IP }),
            story::SOC_LEAD,
        ),
        (
            DemoKind::Ops,
            "get_logs",
            json!({ "service": story::DEVELOPMENT_SERVICE }),
            story::PRODUCTION_SERVICE,
        ),
    ];
    for (kind, tool, args, named) in plants {
        let client = connect(&Upstream::new(kind)).await;
        let result = call(&client, tool, &args).await.structured_content.unwrap();
        assert!(result.to_string().contains(named), "{kind}/{tool}");
    }
}

#[tokio::test]
async fn a_wrong_call_arrives_but_changes_nothing() {
    let upstream = Upstream::new(DemoKind::Orders);
    let client = connect(&upstream).await;
    let good = json!({ "order": story::ORDER, "amount": 10.5, "card": story::ORDER_CARD, "reason": "late" });
    let wrong = [
        ("order", json!("Z-999")),
        ("amount", json!(0)),
        ("amount", json!(-5)),
        ("amount", json!(1.234)),
        ("amount", json!("10")),
        ("reason", json!("because")),
        ("more", json!(1)),
    ];
    for (member, value) in wrong {
        let mut args = good.clone();
        args[member] = value;
        let result = call(&client, "refund", &args).await;
        assert_eq!(result.is_error, Some(true), "{args}");
    }
    assert_eq!(upstream.effects().effects_total, 0);
    assert_eq!(upstream.effects().calls_of("refund"), 7);

    let unknown = client
        .call_tool(CallToolRequestParams::new("drop_table"))
        .await;
    assert!(unknown.is_err());
    assert_eq!(
        upstream.effects().calls.len(),
        1,
        "an unknown name must not grow the log"
    );
}

/// What Remit is told of each tool fits what the server offers.
#[tokio::test]
async fn the_catalog_fits_the_servers() {
    for kind in DemoKind::ALL {
        let catalog = catalog(kind).unwrap();
        let tools = listed(kind).await;
        let names: BTreeSet<&str> = tools.iter().map(|t| t.name.as_ref()).collect();
        assert_eq!(catalog.keys().copied().collect::<BTreeSet<_>>(), names);
        for tool in tools {
            let declared = &catalog[tool.name.as_ref()];
            let schema = Value::Object(tool.input_schema.as_ref().clone());
            for path in declared.targets.keys().chain(&declared.show) {
                let found = &schema["properties"][path.as_str()];
                assert!(
                    found.is_object(),
                    "{kind}/{}: no argument {path}",
                    tool.name
                );
            }
            let reads = tool.annotations.as_ref().unwrap().read_only_hint == Some(true);
            assert_eq!(
                reads,
                declared.effect == Effect::Read,
                "{kind}/{}",
                tool.name
            );
            assert!(
                reads || !declared.targets.is_empty(),
                "{kind}/{}",
                tool.name
            );
        }
        let classes: BTreeSet<_> = catalog.values().flat_map(|c| &c.data_classes).collect();
        assert_eq!(classes.len(), data_classes(kind).len());
        let asked: BTreeSet<_> = catalog.values().flat_map(|c| &c.entitlements).collect();
        assert_eq!(asked.len(), entitlements(kind).len());
    }
}

/// Schemas are closed and flat: a policy schema can be made from them, and no unknown argument passes.
#[tokio::test]
async fn input_schemas_are_closed_and_flat() {
    for kind in DemoKind::ALL {
        for tool in listed(kind).await {
            let schema = Value::Object(tool.input_schema.as_ref().clone());
            assert!(tool.output_schema.is_some(), "{kind}/{}", tool.name);
            assert!(tool.description.is_some(), "{kind}/{}", tool.name);
            assert_eq!(
                schema["additionalProperties"],
                json!(false),
                "{kind}/{}",
                tool.name
            );
            for (name, property) in schema["properties"].as_object().unwrap() {
                let at = format!("{kind}/{}.{name}: {property}", tool.name);
                assert!(property["type"].is_string(), "{at}");
                let bounded = ["enum", "pattern", "maxLength", "maximum"];
                assert!(bounded.iter().any(|word| !property[word].is_null()), "{at}");
            }
        }
    }
}

#[tokio::test]
async fn http_serves_both_revisions_on_one_state_and_stops_when_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}{MCP_PATH}", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let upstream = Upstream::new(DemoKind::Ops);
    let serving = tokio::spawn({
        let (upstream, cancel) = (upstream.clone(), cancel.clone());
        async move { upstream.serve_http(listener, cancel).await }
    });

    let restart = json!({ "service": story::DEVELOPMENT_SERVICE, "reason": "test" });
    let mut clients = Vec::new();
    for version in [ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2026_07_28] {
        let transport = StreamableHttpClientTransport::from_uri(uri.as_str());
        let lifecycle = if version == ProtocolVersion::V_2025_11_25 {
            ClientLifecycleMode::Initialize
        } else {
            ClientLifecycleMode::Discover {
                preferred_versions: vec![version.clone()],
            }
        };
        let client = ClientConfig::default()
            .serve_with_lifecycle(transport, lifecycle)
            .await
            .unwrap();
        assert_eq!(client.list_all_tools().await.unwrap().len(), 6);
        assert_ne!(
            call(&client, "restart", &restart).await.is_error,
            Some(true)
        );
        clients.push(client);
    }
    assert_eq!(
        log(&clients[0]).await.effects_total,
        2,
        "both clients change one world"
    );

    cancel.cancel();
    tokio::time::timeout(PATIENCE, serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn http_refuses_to_leave_loopback() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = serve_http(DemoKind::Itsm, listener, CancellationToken::new()).await;
    assert!(refused.unwrap_err().to_string().contains("loopback only"));
}
