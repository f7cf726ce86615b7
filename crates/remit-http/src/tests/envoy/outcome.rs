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

#[tokio::test]
async fn only_what_was_surely_not_sent_is_given_back() {
    let gateway = gateway().await;
    let connect = "upstream_reset_before_response_started{remote_connection_failure}";
    let mut told = Vec::new();
    let mut expected = Vec::new();
    type Change = Box<dyn FnOnce(&mut AccessLogCommon, &mut HttpResponseProperties)>;
    let changes: Vec<(&str, u32, Change)> = vec![
        ("ok", 204, Box::new(|_, _| {})),
        ("tool_error", 409, Box::new(|_, _| {})),
        ("tool_error", 503, Box::new(|_, _| {})),
        (
            "ambiguous",
            504,
            Box::new(|_, r| r.response_code_details = "response_timeout".to_owned()),
        ),
        (
            "ambiguous",
            0,
            Box::new(|_, r| r.response_code_details = "downstream_remote_disconnect".to_owned()),
        ),
        // Whatever Envoy made of it, it had sent something.
        (
            "ambiguous",
            200,
            Box::new(|_, r| r.response_code_details = "direct_response".to_owned()),
        ),
        (
            "not_sent",
            503,
            Box::new(move |c, r| {
                c.time_to_first_upstream_tx_byte = None;
                c.response_flags = Some(ResponseFlags {
                    upstream_connection_failure: true,
                    ..ResponseFlags::default()
                });
                r.response_code_details = connect.to_owned();
            }),
        ),
        (
            "not_sent",
            503,
            Box::new(|c, r| {
                c.time_to_first_upstream_tx_byte = None;
                c.upstream_remote_address = None;
                c.upstream_request_attempt_count = 0;
                r.response_code_details = "no_healthy_upstream".to_owned();
            }),
        ),
        // Tried twice: the first try may have been sent.
        (
            "ambiguous",
            503,
            Box::new(move |c, r| {
                c.time_to_first_upstream_tx_byte = None;
                c.upstream_request_attempt_count = 2;
                c.response_flags = Some(ResponseFlags {
                    upstream_connection_failure: true,
                    ..ResponseFlags::default()
                });
                r.response_code_details = connect.to_owned();
            }),
        ),
    ];
    for (status, code, change) in changes {
        let answer = gateway.let_through().await;
        told.push(but(entry(&answer, code), change));
        expected.push(status);
    }
    gateway.tell(&gateway.point, told).await.unwrap();
    assert_eq!(gateway.ended().await, expected);
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
