//! An HTTP request that a gateway asks about, by the routes of the enforcement point.
//!
//! The action is the method, the resource's id path and query, its property `host` the host, and `context.body` the body as JSON.

use remit_domain::enforcement_point::{Body, EnforcementPoint};
use remit_domain::tool::ToolRef;
use remit_domain::{Refusal, RefusalCode, Registry};
use remit_mcp::json::JsonObject;
use serde_json::Value;

use super::read::Evaluation;
use crate::by_route::{Routed, deny};

/// Type of a resource that is an HTTP request.
pub(super) const HTTP: &str = "http";

/// The call, by the first route that fits.
pub(super) fn call(
    registry: &Registry,
    point: &EnforcementPoint,
    asked: &Evaluation,
) -> Result<(ToolRef, JsonObject), Refusal> {
    let host = asked.resource.properties.get("host");
    let host = host.and_then(Value::as_str).unwrap_or_default();
    let routed = Routed::of(point, &asked.action.name, host, asked.resource.id())?;
    let body = body(routed.body(), asked.context.get("body"))?;
    routed.call(registry, body)
}

fn body(read: Body, body: Option<&Value>) -> Result<JsonObject, Refusal> {
    match (read, body) {
        (Body::None, None | Some(Value::Null)) => Ok(JsonObject::new()),
        (Body::None, Some(_)) => Err(deny("the request has a body, and its route declares none")),
        (Body::Json, Some(Value::Object(object))) => Ok(object.clone()),
        (Body::Json, _) => Err(Refusal::new(
            RefusalCode::ArgumentsInvalid,
            "`context.body` must be the whole body, a JSON object",
        )),
    }
}
