//! What came of a call that an enforcement point let through. An extension of ours: the standard ends with the decision.

use axum::Json;
use axum::extract::{Request, State};
use remit_domain::{DecisionId, RefusalCode};
use remit_gateway::Report;
use remit_mcp::json::JsonObject;
use serde_json::{Value, json};

use super::entity::{object, text};
use super::{Asker, NotAnswered};
use crate::site::Site;

/// `POST /access/v1/outcome`: `decision`, `status` (`ok`, `error`, `not_sent`, `unknown`), and `result` or `detail`.
pub(super) async fn report(
    state: State<Site>,
    request: Request,
) -> Result<Json<Value>, NotAnswered> {
    let (asker, _, body) = Asker::with_body(state, request).await?;
    let body = body.as_object().cloned().unwrap_or_default();
    let (decision, report) = read(&body)?;
    asker.count(1)?;
    let gateway = asker.site.app.gateway.clone();
    let (org, point) = (asker.place.org().clone(), asker.point.point.id.clone());
    // What was begun is ended, whether or not the caller waits for it.
    let task = tokio::spawn(async move { gateway.report(&org, &point, &decision, report).await });
    let broke = |_| {
        remit_domain::Refusal::new(
            RefusalCode::LedgerUnavailable,
            "the report broke off; send it again",
        )
    };
    let reported = task.await.map_err(broke)?;
    let reported = reported.map_err(|refused| NotAnswered::from(refused.refusal))?;
    let withheld = reported.withheld.as_ref();
    let withheld = withheld.map(|w| json!({ "reason": w.code, "text": w.text }));
    Ok(Json(json!({
        "decision": reported.decision, "in_time": reported.in_time,
        "result": reported.result, "withheld": withheld,
    })))
}

fn read(body: &JsonObject) -> Result<(DecisionId, Report), NotAnswered> {
    let missing = |name: &str| NotAnswered::invalid(format!("`{name}` is missing"));
    let decision = text(body, "", "decision")?.ok_or_else(|| missing("decision"))?;
    let decision = decision.parse().map_err(|_| {
        NotAnswered::invalid("`decision` is the id that the evaluation gave, `dec_…`")
    })?;
    let result = object(body, "", "result")?.cloned().unwrap_or_default();
    let detail =
        text(body, "", "detail")?.unwrap_or_else(|| "the enforcement point says so".to_owned());
    let status = text(body, "", "status")?.ok_or_else(|| missing("status"))?;
    let report = match status.as_str() {
        "ok" => Report::Ok(result),
        "error" => Report::Error(result),
        "not_sent" => Report::NotSent(detail),
        "unknown" => Report::Unknown(detail),
        _ => {
            return Err(NotAnswered::invalid(
                "`status` is ok, error, not_sent or unknown",
            ));
        }
    };
    Ok((decision, report))
}
