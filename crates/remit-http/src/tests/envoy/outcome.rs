//! What came of requests, from Envoy's access log.

use envoy_types::pb::envoy::config::core::v3::{Address, Metadata};
use envoy_types::pb::envoy::data::accesslog::v3::{
    AccessLogCommon, AccessLogType, HttpAccessLogEntry, HttpResponseProperties, ResponseFlags,
};
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_client::AccessLogServiceClient;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::{
    HttpAccessLogEntries, LogEntries,
};
use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use envoy_types::pb::google::protobuf::{Duration, UInt32Value};
use remit_domain::event::EventKind;
use serde_json::json;

use super::{Gateway, decision, gateway, request};

/// The entry of a request that the server answered.
fn entry(answer: &CheckResponse, code: u32) -> HttpAccessLogEntry {
    let metadata = answer.dynamic_metadata.clone().unwrap();
    let filter = "envoy.filters.http.ext_authz".to_owned();
    HttpAccessLogEntry {
        common_properties: Some(AccessLogCommon {
            metadata: Some(Metadata {
                filter_metadata: [(filter, metadata)].into(),
                ..Metadata::default()
            }),
            upstream_remote_address: Some(Address::default()),
            time_to_first_upstream_tx_byte: Some(Duration::default()),
            upstream_request_attempt_count: 1,
            access_log_type: AccessLogType::DownstreamEnd.into(),
            ..AccessLogCommon::default()
        }),
        response: Some(HttpResponseProperties {
            response_code: Some(UInt32Value { value: code }),
            response_code_details: "via_upstream".to_owned(),
            ..HttpResponseProperties::default()
        }),
        ..HttpAccessLogEntry::default()
    }
}

/// The same with something of it changed.
fn but(
    mut entry: HttpAccessLogEntry,
    change: impl FnOnce(&mut AccessLogCommon, &mut HttpResponseProperties),
) -> HttpAccessLogEntry {
    change(
        entry.common_properties.as_mut().unwrap(),
        entry.response.as_mut().unwrap(),
    );
    entry
}

fn message(entries: Vec<HttpAccessLogEntry>) -> StreamAccessLogsMessage {
    StreamAccessLogsMessage {
        log_entries: Some(LogEntries::HttpLogs(HttpAccessLogEntries {
            log_entry: entries,
        })),
        ..StreamAccessLogsMessage::default()
    }
}

impl Gateway {
    async fn tell(&self, token: &str, entries: Vec<HttpAccessLogEntry>) -> Result<(), tonic::Code> {
        let mut call = tonic::Request::new(tokio_stream::once(message(entries)));
        let value = format!("Bearer {token}").parse().unwrap();
        call.metadata_mut().insert("authorization", value);
        let mut client = AccessLogServiceClient::new(self.channel.clone());
        let told = client.stream_access_logs(call).await;
        told.map(drop).map_err(|status| status.code())
    }

    /// One request that is let through.
    async fn let_through(&self) -> CheckResponse {
        let (status, answer) = self.check(request("POST", "/refunds/5", "")).await;
        assert_eq!(status, 200, "{answer:?}");
        answer
    }

    /// The statuses of what was told, in order.
    async fn ended(&self) -> Vec<String> {
        let completed = self.house.told(EventKind::CallCompleted).await;
        let status =
            |e: &remit_books::OpenedEntry| e.leaf.facts["status"].as_str().unwrap().to_owned();
        completed.iter().map(status).collect()
    }
}

#[tokio::test]
async fn an_allowed_request_carries_its_decision_and_its_outcome_comes_with_the_log() {
    let gateway = gateway().await;
    let answer = gateway.let_through().await;
    let decided = gateway.house.told(EventKind::CallDecided).await;
    let stored = decided[0].stored.decision.as_ref().unwrap();
    assert_eq!(decision(&answer), stored.as_str());
    gateway
        .tell(&gateway.point, vec![entry(&answer, 200)])
        .await
        .unwrap();
    assert_eq!(gateway.ended().await, ["ok"]);
    // It is told once.
    gateway
        .tell(&gateway.point, vec![entry(&answer, 500)])
        .await
        .unwrap();
    assert_eq!(gateway.ended().await, ["ok"]);
}

/// What Envoy says of a request, and what that is.
struct Case {
    code: u32,
    details: &'static str,
    sent: bool,
    server: bool,
    refused: bool,
    tries: u32,
    is: &'static str,
}

/// A request that was sent once.
const SENT: Case = Case {
    code: 200,
    details: "via_upstream",
    sent: true,
    server: true,
    refused: false,
    tries: 1,
    is: "ok",
};
/// A request to a server that took no connection.
const REFUSED: Case = Case {
    code: 503,
    details: "upstream_reset_before_response_started{remote_connection_failure}",
    sent: false,
    refused: true,
    is: "not_sent",
    ..SENT
};

#[rustfmt::skip]
const CASES: [Case; 10] = [
    Case { code: 204, ..SENT },
    Case { code: 409, is: "tool_error", ..SENT },
    Case { code: 503, is: "tool_error", ..SENT },
    Case { code: 504, details: "response_timeout", is: "ambiguous", ..SENT },
    Case { code: 0, details: "downstream_remote_disconnect", is: "ambiguous", ..SENT },
    // Whatever Envoy made of it, it had sent something.
    Case { details: "direct_response", is: "ambiguous", ..SENT },
    REFUSED,
    Case { server: false, refused: false, tries: 0, details: "no_healthy_upstream", ..REFUSED },
    // The first of two tries may have been sent.
    Case { tries: 2, is: "ambiguous", ..REFUSED },
    // There was a server, and nothing says that it took no connection.
    Case { refused: false, is: "ambiguous", ..REFUSED },
];

#[tokio::test]
async fn only_what_was_surely_not_sent_is_given_back() {
    let gateway = gateway().await;
    let mut told = Vec::new();
    for case in &CASES {
        let answer = gateway.let_through().await;
        told.push(but(entry(&answer, case.code), |common, response| {
            response.response_code_details = case.details.to_owned();
            common.time_to_first_upstream_tx_byte = case.sent.then(Duration::default);
            common.upstream_remote_address = case.server.then(Address::default);
            common.upstream_request_attempt_count = case.tries;
            common.response_flags = Some(ResponseFlags {
                upstream_connection_failure: case.refused,
                ..ResponseFlags::default()
            });
        }));
    }
    gateway.tell(&gateway.point, told).await.unwrap();
    assert_eq!(gateway.ended().await, CASES.map(|case| case.is));
}

#[tokio::test]
async fn an_entry_that_is_no_outcome_tells_none() {
    let gateway = gateway().await;
    let answer = gateway.let_through().await;
    let mut elsewhere = entry(&answer, 200);
    let common = elsewhere.common_properties.as_mut().unwrap();
    let metadata = common.metadata.as_mut().unwrap();
    let own = metadata.filter_metadata.drain().next().unwrap().1;
    metadata.filter_metadata.insert("other".to_owned(), own);
    let begun = but(entry(&answer, 0), |c, _| {
        c.access_log_type = AccessLogType::DownstreamStart.into();
    });
    let upstream = but(entry(&answer, 200), |c, _| {
        c.access_log_type = AccessLogType::UpstreamEnd.into();
    });
    gateway
        .tell(
            &gateway.point,
            vec![elsewhere, begun, upstream, HttpAccessLogEntry::default()],
        )
        .await
        .unwrap();
    assert_eq!(gateway.ended().await.len(), 0);
}

#[tokio::test]
async fn an_outcome_is_believed_of_the_point_that_asked() {
    let gateway = gateway().await;
    let house = &gateway.house;
    let answer = gateway.let_through().await;
    for token in ["", &gateway.agent, house.person("admin")] {
        let refused = gateway.tell(token, vec![entry(&answer, 200)]).await;
        assert_eq!(refused, Err(tonic::Code::Unauthenticated));
    }
    let spec = json!({ "agents": [{ "agent": "returns-bot" }], "enforce": true });
    let second = house.point("acme", "second", spec).await;
    let second = house.point_token(&second).await;
    gateway
        .tell(&second, vec![entry(&answer, 200)])
        .await
        .unwrap();
    assert_eq!(gateway.ended().await.len(), 0);
    gateway
        .tell(&gateway.point, vec![entry(&answer, 200)])
        .await
        .unwrap();
    assert_eq!(gateway.ended().await, ["ok"]);
}

#[tokio::test]
async fn a_stream_ends_with_its_point() {
    let gateway = gateway().await;
    let (first, second) = (gateway.let_through().await, gateway.let_through().await);
    let (to, from) = tokio::sync::mpsc::channel(1);
    let mut call = tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(from));
    let value = format!("Bearer {}", gateway.point).parse().unwrap();
    call.metadata_mut().insert("authorization", value);
    let mut client = AccessLogServiceClient::new(gateway.channel.clone());
    let stream = tokio::spawn(async move { client.stream_access_logs(call).await });
    to.send(message(vec![entry(&first, 200)])).await.unwrap();
    while gateway.ended().await.is_empty() {
        tokio::task::yield_now().await;
    }
    let admin = gateway.house.person("admin").to_owned();
    let uri = "/api/v1/enforcement-points/envoy/disable";
    gateway
        .house
        .post(uri, &admin, json!({ "reason": "taken over" }))
        .await
        .good();
    to.send(message(vec![entry(&second, 200)])).await.unwrap();
    let ended = stream.await.unwrap().unwrap_err();
    assert_eq!(ended.code(), tonic::Code::Unauthenticated);
    assert_eq!(gateway.ended().await, ["ok"]);
}
