//! Decisions as Envoy takes them.

use axum::http::StatusCode;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use envoy_types::pb::google::rpc::Status;
use remit_gateway::{Enforced, Refused};
use serde_json::json;
use tonic::Code;

use crate::problem::Problem;
use crate::refusals::row_of;

/// Header that carries the decision: to the server of an allowed request, to the agent of a denied one.
const DECISION_HEADER: &str = "x-remit-decision";
/// Field of the filter's dynamic metadata that carries the decision.
pub(super) const DECISION: &str = "decision";

fn header(key: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.to_owned(),
            value: value.to_owned(),
            ..HeaderValue::default()
        }),
        // What the caller sent under the name does not pass.
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

fn metadata(fields: &[(&str, &str)]) -> Option<Struct> {
    let text = |text: &str| Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    };
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), text(value)));
    Some(Struct {
        fields: fields.collect(),
    })
}

fn status(code: Code) -> Option<Status> {
    Some(Status {
        code: code.into(),
        ..Status::default()
    })
}

/// The request may go on; the agent's token goes no further.
pub(super) fn allowed(done: &Enforced) -> CheckResponse {
    let decision = done.decision.as_str();
    CheckResponse {
        status: status(Code::Ok),
        dynamic_metadata: metadata(&[(DECISION, decision), ("run", done.run.as_str())]),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers: vec![header(DECISION_HEADER, decision)],
            headers_to_remove: vec!["authorization".to_owned()],
            ..OkHttpResponse::default()
        })),
    }
}

/// The status of a denied request. The agent did not hear the server behind, so that it hears none of the server's statuses: no
/// such thing as a 404 or a 409 comes from here.
fn denial(refused: &Refused) -> StatusCode {
    match row_of(refused.refusal.code).status {
        keeps @ (StatusCode::UNAUTHORIZED
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE) => keeps,
        _ => StatusCode::FORBIDDEN,
    }
}

/// The request may not go on: problem details say why (RFC 9457), and which approval it waits for.
pub(super) fn denied(refused: &Refused) -> CheckResponse {
    let http = denial(refused);
    let mut problem = Problem::from(refused.refusal.clone());
    problem.status = http.as_u16();
    let mut body = json!(problem);
    if let serde_json::Value::Object(body) = &mut body {
        if let Some(decision) = &refused.decision {
            body.insert(DECISION.to_owned(), json!(decision));
        }
        if let Some(approval) = &refused.approval {
            body.insert("approval".to_owned(), json!(approval));
        }
    }
    let mut headers = vec![header("content-type", "application/problem+json")];
    let mut told = vec![("reason", refused.refusal.code.as_str())];
    if let Some(decision) = &refused.decision {
        headers.push(header(DECISION_HEADER, decision.as_str()));
        told.push((DECISION, decision.as_str()));
    }
    let code = match http {
        StatusCode::UNAUTHORIZED => {
            // RFC 9110 §15.5.2: a 401 names the scheme.
            headers.push(header("www-authenticate", "Bearer"));
            Code::Unauthenticated
        }
        _ => Code::PermissionDenied,
    };
    if row_of(refused.refusal.code).later {
        headers.push(header("retry-after", "1"));
    }
    CheckResponse {
        status: status(code),
        dynamic_metadata: metadata(&told),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus {
                code: i32::from(http.as_u16()),
            }),
            headers,
            body: body.to_string(),
        })),
    }
}
