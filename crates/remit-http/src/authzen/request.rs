//! Asking people for what was denied, and what became of it (AuthZEN Access Request and Approval Profile, draft 1).
//!
//! A denial that a person can turn carries a token that binds a request to it. The request opens an approval of exactly that
//! call; its task is the approval. An approval lets nothing through: the same evaluation is made again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use remit_domain::approval::{Approval, ApprovalState};
use remit_domain::{Refusal, RefusalCode};
use remit_gateway::{Advice, Question, Requested};
use remit_issuer::Unbound;
use remit_mcp::Sha256Digest;
use remit_mcp::json::JsonObject;
use serde_json::{Value, json};

use super::entity::{object, text};
use super::read::Evaluation;
use super::words::APPROVAL_REQUIRED;
use super::{Asker, NotAnswered};
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_SECS};
use crate::site::Site;

/// Start of the types of this profile's problems.
const PROBLEM: &str = "urn:openid:authzen:access-request:error:";

/// Bodies that were sent under a key: the same key with another body is refused.
pub(crate) struct Keys(moka::sync::Cache<String, Arc<str>>);

impl Default for Keys {
    fn default() -> Self {
        Self(
            moka::sync::Cache::builder()
                .max_capacity(IDEMPOTENCY_KEYS_MAX)
                .time_to_live(std::time::Duration::from_secs(IDEMPOTENCY_SECS))
                .build(),
        )
    }
}

/// A request for access that is refused: a problem of the profile, or a message like everywhere here.
pub(super) enum NotRequested {
    Problem(&'static str, StatusCode, String),
    Other(NotAnswered),
}

impl From<NotAnswered> for NotRequested {
    fn from(not: NotAnswered) -> Self {
        Self::Other(not)
    }
}

impl From<Refusal> for NotRequested {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal.into())
    }
}

impl IntoResponse for NotRequested {
    fn into_response(self) -> Response {
        match self {
            Self::Other(not) => not.into_response(),
            Self::Problem(name, status, detail) => {
                let body = json!({
                    "type": format!("{PROBLEM}{name}"), "status": status.as_u16(), "detail": detail,
                    "title": name.replace('_', " "),
                });
                let kind = [(header::CONTENT_TYPE, "application/problem+json")];
                (status, kind, body.to_string()).into_response()
            }
        }
    }
}

fn problem(name: &'static str, status: StatusCode, detail: &str) -> NotRequested {
    NotRequested::Problem(name, status, detail.to_owned())
}

/// SHA-256 (hex) over what was asked: the same for the same question.
fn digest(question: &Question) -> String {
    let asked = json!([
        question.agent,
        question.workflow,
        question.run,
        question.tool,
        question.arguments.digest().to_string()
    ]);
    Sha256Digest::of(asked.to_string().as_bytes()).to_string()
}

/// What a denial says that a person can turn; none when it cannot be bound.
pub(super) async fn offer(asker: &Asker, question: &Question, advice: &Advice) -> Option<Value> {
    let issuer = &asker.site.app.issuer;
    let org = asker.place.org();
    let point = &asker.point.point.id;
    let bound = issuer
        .bind_denial(org, point, &digest(question))
        .await
        .ok()?;
    let endpoint = format!("{}/requests", issuer.decision_point_url(org).ok()?);
    Some(json!({
        "evaluation_id": bound.evaluation,
        "evaluated_at": advice.at,
        "access_request": {
            "endpoint": endpoint, "expires_at": bound.expires, "binding_token": bound.token,
        },
    }))
}

/// `POST /access/v1/requests`.
pub(super) async fn submit(state: State<Site>, request: Request) -> Result<Response, NotRequested> {
    let (asker, headers, body) = Asker::with_body(state, request).await?;
    let body = body.as_object().cloned().unwrap_or_default();
    asker.count(1)?;
    asker.once(&headers, &body)?;
    if body.contains_key("items") {
        let text = "several at once are not taken; send a request for each";
        return Err(NotAnswered::invalid(text).into());
    }
    let evaluation = Evaluation::read(&body)?;
    let question = asker.question(&evaluation)?;
    asker.bound(&question, &body).await?;
    let gateway = asker.site.app.gateway.clone();
    // What was begun is ended, whether or not the caller waits for it.
    let task = tokio::spawn(async move { gateway.request_access(&question).await });
    let broke = |_| {
        Refusal::new(
            RefusalCode::LedgerUnavailable,
            "the request broke off; send it again",
        )
    };
    let requested = task.await.map_err(broke)?;
    match requested {
        Ok(Requested { approval, new }) => {
            let status = if new {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            Ok((status, Json(asker.task(&approval)?)).into_response())
        }
        Err(refused) => Err(match refused.refusal.code {
            RefusalCode::InvalidRequest | RefusalCode::Denied | RefusalCode::ApprovalDenied => {
                let text = refused.refusal.text;
                NotRequested::Problem("not_requestable", StatusCode::BAD_REQUEST, text)
            }
            _ => refused.refusal.into(),
        }),
    }
}

/// `GET /access/v1/requests/{id}`.
pub(super) async fn status(
    State(site): State<Site>,
    Path(path): Path<std::collections::BTreeMap<String, String>>,
    request: Request,
) -> Result<Json<Value>, NotRequested> {
    let (asker, _, _) = Asker::of(site, request).await?;
    asker.count(1)?;
    let id = path.get("id").map(String::as_str).unwrap_or_default();
    let (org, point) = (asker.place.org(), &asker.point.point);
    let found = asker.site.app.gateway.point_approval(org, point, id).await;
    Ok(Json(asker.task(&found.map_err(unknown)?)?))
}

/// `POST /access/v1/requests/{id}/cancel`.
pub(super) async fn cancel(
    State(site): State<Site>,
    Path(path): Path<std::collections::BTreeMap<String, String>>,
    request: Request,
) -> Result<Json<Value>, NotRequested> {
    let (asker, _, _) = Asker::of(site, request).await?;
    asker.count(1)?;
    let id = path.get("id").map(String::as_str).unwrap_or_default();
    let (org, point) = (asker.place.org(), &asker.point.point);
    let cancelled = asker.site.app.gateway.cancel_request(org, point, id).await;
    let cancelled = cancelled.map_err(|refusal| match refusal.code {
        RefusalCode::Conflict => {
            NotRequested::Problem("invalid_task_state", StatusCode::CONFLICT, refusal.text)
        }
        _ => unknown(refusal),
    })?;
    Ok(Json(asker.task(&cancelled)?))
}

fn unknown(refusal: Refusal) -> NotRequested {
    match refusal.code {
        RefusalCode::NotFound => {
            NotRequested::Problem("unknown_task", StatusCode::NOT_FOUND, refusal.text)
        }
        _ => refusal.into(),
    }
}

impl Asker {
    /// The same key is the same request.
    fn once(&self, headers: &HeaderMap, body: &JsonObject) -> Result<(), NotRequested> {
        let Some(key) = headers.get("idempotency-key") else {
            return Ok(());
        };
        let key = key
            .to_str()
            .ok()
            .filter(|k| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&k.len()));
        let key = key.ok_or_else(|| {
            NotAnswered::invalid(format!(
                "`Idempotency-Key` has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable characters"
            ))
        })?;
        let text = remit_mcp::canonical::jcs_object(body)
            .map_err(|e| NotAnswered::invalid(e.to_string()))?;
        let sent: Arc<str> = Sha256Digest::of(text.as_bytes()).to_string().into();
        let of = format!("{} {} {key}", self.place.org(), self.point.point.id);
        let first = self.site.requests.0.get_with(of, || Arc::clone(&sent));
        if first == sent {
            return Ok(());
        }
        let text = "this `Idempotency-Key` was sent with another body; a new request has a new key";
        Err(problem("duplicate_request", StatusCode::CONFLICT, text))
    }

    /// Whether the request follows from a denial of exactly this.
    async fn bound(&self, question: &Question, body: &JsonObject) -> Result<(), NotRequested> {
        let denial = object(body, "", "denial")?;
        let invalid = || {
            let text = "`denial.binding_token` is the one that the denied evaluation gave, for the same subject, action, resource and arguments";
            problem("invalid_denial_binding", StatusCode::BAD_REQUEST, text)
        };
        let denial = denial.ok_or_else(invalid)?;
        let token = text(denial, "denial.", "binding_token").ok().flatten();
        let token = token.ok_or_else(invalid)?;
        let issuer = &self.site.app.issuer;
        let (org, point) = (self.place.org(), &self.point.point.id);
        let bound = issuer
            .bound_denial(org, point, &digest(question), &token)
            .await;
        let evaluation = bound.map_err(|unbound| match unbound {
            Unbound::Expired => problem(
                "expired_denial",
                StatusCode::GONE,
                "the denial is too long ago; evaluate again",
            ),
            Unbound::Invalid => invalid(),
        })?;
        match text(denial, "denial.", "evaluation_id")? {
            Some(said) if said != evaluation => Err(invalid()),
            _ => Ok(()),
        }
    }

    /// An approval as the profile's task.
    fn task(&self, approval: &Approval) -> Result<Value, NotAnswered> {
        let at = self.site.app.issuer.decision_point_url(self.place.org())?;
        let endpoint = format!("{at}/requests/{}", approval.id);
        let now = self.site.app.books.now();
        let status = word(
            approval,
            approval.state == ApprovalState::Pending && now >= approval.expires,
        );
        let mut task = json!({
            "id": approval.id, "status": status, "status_endpoint": endpoint,
            "expires_at": approval.expires, "reason": APPROVAL_REQUIRED,
        });
        if let (Value::Object(task), "pending") = (&mut task, status) {
            task.insert(
                "links".to_owned(),
                json!({ "cancel": format!("{endpoint}/cancel") }),
            );
        }
        let mut body = json!({ "task": task });
        if let (Value::Object(body), ApprovalState::Approved) = (&mut body, approval.state) {
            let approval = json!({ "id": approval.id, "approved_until": approval.expires });
            body.insert(
                "result".to_owned(),
                json!({ "mode": "reevaluate", "approval": approval }),
            );
        }
        Ok(body)
    }
}

/// The profile's word for a state. What is not one of its words is not approved.
fn word(approval: &Approval, late: bool) -> &'static str {
    match approval.state {
        _ if late => "expired",
        ApprovalState::Pending => "pending",
        ApprovalState::Approved => "approved",
        ApprovalState::Denied => "denied",
        ApprovalState::Cancelled => "cancelled",
        // It was good once, and is over.
        ApprovalState::Expired
        | ApprovalState::Stale
        | ApprovalState::Used
        | ApprovalState::Withdrawn => "expired",
        ApprovalState::Ambiguous => "failed",
    }
}
