//! Access Evaluation and Access Evaluations (Authorization API 1.0 §6 and §7).

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use remit_domain::{Refusal, RefusalCode};
use remit_mcp::json::JsonObject;
use serde_json::{Value, json};

use super::entity::object;
use super::read::Evaluation;
use super::{Asker, NotAnswered, request, words};
use crate::limits::{EVALUATIONS_MAX, EVALUATIONS_TURN};
use crate::site::Site;

/// What ends a batch early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Semantic {
    All,
    FirstDeny,
    FirstPermit,
}

impl Semantic {
    fn read(of: &JsonObject) -> Result<Self, NotAnswered> {
        let options = object(of, "", "options")?;
        match options.and_then(|o| o.get("evaluations_semantic")) {
            None | Some(Value::Null) => Ok(Self::All),
            Some(Value::String(word)) if word == "execute_all" => Ok(Self::All),
            Some(Value::String(word)) if word == "deny_on_first_deny" => Ok(Self::FirstDeny),
            Some(Value::String(word)) if word == "permit_on_first_permit" => Ok(Self::FirstPermit),
            Some(_) => Err(NotAnswered::invalid(
                "`options.evaluations_semantic` is execute_all, deny_on_first_deny or permit_on_first_permit",
            )),
        }
    }

    /// Whether a decision is the last one.
    fn ends(self, decision: bool) -> bool {
        match self {
            Self::All => false,
            Self::FirstDeny => !decision,
            Self::FirstPermit => decision,
        }
    }
}

/// `POST /access/v1/evaluation`.
pub(super) async fn one(state: State<Site>, request: Request) -> Result<Json<Value>, NotAnswered> {
    let (asker, _, body) = Asker::with_body(state, request).await?;
    let evaluation = Evaluation::read(whole(&body)?)?;
    single(&asker, &evaluation).await
}

async fn single(asker: &Asker, evaluation: &Evaluation) -> Result<Json<Value>, NotAnswered> {
    asker.count(1)?;
    if evaluation.enforce()? {
        // What was begun is ended, whether or not the caller waits for it.
        let (asker, evaluation) = (asker.clone(), evaluation.clone());
        let task = tokio::spawn(async move { asker.enforce(&evaluation).await });
        let broke = || {
            Refusal::new(
                RefusalCode::LedgerUnavailable,
                "the decision broke off; ask again",
            )
        };
        let decided = task.await.map_err(|_| broke())?;
        return decided.map(Json);
    }
    Ok(Json(asker.advise(evaluation).await))
}

fn whole(body: &Value) -> Result<&JsonObject, NotAnswered> {
    let wrong = || NotAnswered::invalid("the body must be a JSON object");
    body.as_object().ok_or_else(wrong)
}

/// `POST /access/v1/evaluations`.
pub(super) async fn many(state: State<Site>, request: Request) -> Result<Json<Value>, NotAnswered> {
    let (asker, _, body) = Asker::with_body(state, request).await?;
    let body = whole(&body)?;
    let items = match body.get("evaluations") {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(items)) => items.as_slice(),
        Some(_) => return Err(NotAnswered::invalid("`evaluations` must be an array")),
    };
    let semantic = Semantic::read(body)?;
    if items.is_empty() {
        // §7.1: without evaluations of its own, it is a single one.
        return single(&asker, &Evaluation::read(body)?).await;
    }
    if items.len() > EVALUATIONS_MAX {
        let text = format!(
            "`evaluations` has {} members; at most {EVALUATIONS_MAX} are answered at once: send several batches",
            items.len()
        );
        return Err(NotAnswered::from(Refusal::new(RefusalCode::TooLarge, text))
            .with_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    asker.count(items.len())?;
    let mut decisions = Vec::with_capacity(items.len());
    for (n, item) in items.iter().enumerate() {
        if n % EVALUATIONS_TURN == EVALUATIONS_TURN - 1 {
            // Others have their turn in the middle of a long batch.
            tokio::task::yield_now().await;
        }
        let decision = asker.item(body, item).await;
        let permits = decision.get("decision") == Some(&Value::Bool(true));
        decisions.push(decision);
        if semantic.ends(permits) {
            break;
        }
    }
    Ok(Json(json!({ "evaluations": decisions })))
}

impl Asker {
    /// One of a batch, with what the batch says of all. What is wrong with it is its own affair.
    async fn item(&self, defaults: &JsonObject, item: &Value) -> Value {
        let Value::Object(own) = item else {
            return words::unreadable(400, "each evaluation must be an object");
        };
        let mut merged = JsonObject::new();
        for name in ["subject", "action", "resource", "context"] {
            if let Some(value) = own.get(name).or_else(|| defaults.get(name)) {
                merged.insert(name.to_owned(), value.clone());
            }
        }
        let read = Evaluation::read(&merged).and_then(|e| Ok((e.enforce()?, e)));
        match read {
            Ok((false, evaluation)) => self.advise(&evaluation).await,
            Ok((true, _)) => words::unreadable(
                400,
                "a batch is advice; a decision that takes effect is asked for by itself",
            ),
            Err(NotAnswered(refusal, _)) => words::unreadable(400, &refusal.text),
        }
    }

    /// What would be decided. Nothing is consumed.
    async fn advise(&self, evaluation: &Evaluation) -> Value {
        let question = match self.question(evaluation) {
            Ok(question) => question,
            Err(refusal) => return words::denied(&self.turn_away(evaluation, refusal).await),
        };
        match self.site.app.gateway.advise(&question).await {
            Ok(advice) => {
                let offer = || request::offer(self, &question, &advice);
                let bound = match &advice.verdict {
                    remit_gateway::Verdict::Ask(..) => offer().await,
                    _ => None,
                };
                words::advised(&advice, || bound)
            }
            Err(refused) => words::denied(&refused.refusal),
        }
    }

    /// A question about somebody else's agent is recorded; one that names nothing is not.
    async fn turn_away(&self, evaluation: &Evaluation, refusal: Refusal) -> Refusal {
        if refusal.code != RefusalCode::Forbidden {
            return refusal;
        }
        let named = format!("{} {}", evaluation.subject.kind, evaluation.subject.id());
        let (org, point) = (self.place.org(), &self.point.point.id);
        let gateway = &self.site.app.gateway;
        gateway
            .refuse_point(org, point, &named, refusal)
            .await
            .refusal
    }

    /// Decides so that it takes effect.
    async fn enforce(&self, evaluation: &Evaluation) -> Result<Value, NotAnswered> {
        let base = self.site.app.issuer.decision_point_url(self.place.org())?;
        let question = match self.question(evaluation) {
            Ok(question) => question,
            Err(refusal) => return Ok(words::denied(&self.turn_away(evaluation, refusal).await)),
        };
        Ok(match self.site.app.gateway.enforce(&question).await {
            Ok(enforced) => words::enforced(&enforced, &format!("{base}/outcome")),
            Err(refused) => words::refused(&refused, &format!("{base}/requests")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_where_its_semantic_says() {
        let read = |word: Value| {
            let body = json!({ "options": { "evaluations_semantic": word } });
            Semantic::read(body.as_object().unwrap())
        };
        let ends = |word: &str| {
            let semantic = read(json!(word)).map_err(|_| ()).unwrap();
            (semantic.ends(true), semantic.ends(false))
        };
        assert_eq!(ends("execute_all"), (false, false));
        assert_eq!(ends("deny_on_first_deny"), (false, true));
        assert_eq!(ends("permit_on_first_permit"), (true, false));
        assert!(read(json!("any")).is_err());
        assert!(read(json!(1)).is_err());
    }
}
