//! Outcomes from Envoy's access log: the entry of a request that was let through says what came of it.
//!
//! An entry is believed of the decisions of its own point only, as a report to `/access/v1/outcome` is.

use std::sync::Arc;

use envoy_types::pb::envoy::data::accesslog::v3::{
    AccessLogCommon, AccessLogType, HttpAccessLogEntry,
};
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::AccessLogService;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use envoy_types::pb::google::protobuf::value::Kind;
use remit_domain::DecisionId;
use remit_gateway::Report;
use serde_json::{Map, json};
use tonic::{Request, Response, Status, Streaming};

use super::answer::DECISION;
use super::{Asker, Gate, asker};
use crate::limits::{ACCESS_LOG_WAIT, STREAM_LIFE};

/// Filter whose dynamic metadata carries the decision.
const FILTER: &str = "envoy.filters.http.ext_authz";
/// What Envoy says of an answer that came from the server, and not from itself.
const VIA_UPSTREAM: &str = "via_upstream";

#[tonic::async_trait]
impl AccessLogService for Gate {
    async fn stream_access_logs(
        &self,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let asker = asker(&request)?;
        let place = Arc::clone(&self.site.access_logs).try_acquire_owned();
        let busy = "too many access logs are told already; try again later";
        let _place = place.map_err(|_| Status::resource_exhausted(busy))?;
        let messages = request.into_inner();
        // A stream lives longer than its token, but not for ever: Envoy begins another one with a new token.
        match tokio::time::timeout(STREAM_LIFE, self.listen(asker, messages)).await {
            Ok(Err(status)) => Err(status),
            Ok(Ok(())) | Err(_) => Ok(Response::new(StreamAccessLogsResponse {})),
        }
    }
}

impl Gate {
    async fn listen(
        &self,
        asker: Asker,
        mut messages: Streaming<StreamAccessLogsMessage>,
    ) -> Result<(), Status> {
        while let Some(message) = messages.message().await? {
            let Some(LogEntries::HttpLogs(logs)) = message.log_entries else {
                continue;
            };
            let (gate, asker) = (self.clone(), asker.clone());
            // What was told is taken in, whether or not the stream goes on.
            let task = tokio::spawn(async move { gate.take_in(&asker, &logs.log_entry).await });
            task.await
                .map_err(|_| Status::internal("taking in an access log broke off"))??;
        }
        Ok(())
    }

    async fn take_in(&self, asker: &Asker, entries: &[HttpAccessLogEntry]) -> Result<(), Status> {
        let app = &self.site.app;
        let (org, point) = (asker.place.org(), &asker.point.point.id);
        for entry in entries {
            let Some(decision) = decision(entry) else {
                continue;
            };
            // At each entry: a point that was taken out of use, or whose key was, tells nothing more.
            let stands = app.issuer.point_stands(org, &asker.point);
            stands.map_err(|refusal| Status::unauthenticated(refusal.to_string()))?;
            while app.gateway.count_questions(point, 1).is_err() {
                tokio::time::sleep(ACCESS_LOG_WAIT).await;
            }
            let reported = app
                .gateway
                .report(org, point, &decision, report(entry))
                .await;
            if let Err(refused) = reported {
                tracing::debug!(%decision, refusal = %refused.refusal, "an entry of Envoy's access log reports nothing");
            }
        }
        Ok(())
    }
}

/// The decision on the request of an entry, where it is the last entry of that request.
#[expect(
    deprecated,
    reason = "an Envoy without types of entries says only this of those that are not the last"
)]
fn decision(entry: &HttpAccessLogEntry) -> Option<DecisionId> {
    let common = entry.common_properties.as_ref()?;
    let last = matches!(
        common.access_log_type(),
        AccessLogType::NotSet | AccessLogType::DownstreamEnd
    );
    if !last || common.intermediate_log_entry {
        return None;
    }
    let fields = &common
        .metadata
        .as_ref()?
        .filter_metadata
        .get(FILTER)?
        .fields;
    match fields.get(DECISION)?.kind.as_ref()? {
        Kind::StringValue(text) => text.parse().ok(),
        _ => None,
    }
}

/// What an entry says came of a request. Only the server's own answer is an answer; without one, the request may have had its
/// effect, unless nothing of it was ever sent.
fn report(entry: &HttpAccessLogEntry) -> Report {
    let response = entry.response.as_ref();
    let code = response
        .and_then(|r| r.response_code.as_ref())
        .map_or(0, |c| c.value);
    let details = response.map_or("", |r| r.response_code_details.as_str());
    let said = format!("Envoy says {code} {details}")
        .chars()
        .take(200)
        .collect();
    match code {
        _ if entry.common_properties.as_ref().is_some_and(never_sent) => Report::NotSent(said),
        1..400 if details == VIA_UPSTREAM => Report::Ok(Map::new()),
        400.. if details == VIA_UPSTREAM => {
            let mut result = Map::new();
            let status = json!({ "http_status": code });
            result.insert("structuredContent".to_owned(), status);
            Report::Error(result)
        }
        _ => Report::Unknown(said),
    }
}

/// Whether no byte of a request was sent to any server: it was tried once at most, and then there was no server, or none that a
/// connection could be made to.
fn never_sent(common: &AccessLogCommon) -> bool {
    let flags = common.response_flags.unwrap_or_default();
    let no_server = common.upstream_remote_address.is_none();
    common.time_to_first_upstream_tx_byte.is_none()
        && common.upstream_request_attempt_count <= 1
        && (no_server || flags.upstream_connection_failure)
}
