//! What an upstream asks of the caller's side in the middle of a call: its model (sampling), its person (elicitation), its
//! host (roots).
//!
//! Each question is a call of the pseudo tool of its kind: decided, recorded, and refused unless an administrator classified
//! and somebody granted it. An answer is an input response of the call that it was asked in: before the upstream gets it,
//! the call is decided again with the answer in its digest (invariant 6). That is so whether the upstream asks with a
//! request of its own (MCP 2025-11-25) or with its result (MCP 2026-07-28), and whichever of both the caller speaks.
//!
//! Source: MCP 2025-11-25 client/sampling, client/elicitation, client/roots; MCP 2026-07-28 basic/patterns/mrtr.

use remit_domain::upstream::MayAsk;
use remit_domain::{DecisionId, Refusal, RefusalCode};
use remit_mcp::jsonrpc::code;
use remit_mcp::{CanonicalArgs, RequestMeta, ResultType, ToolCall};
use remit_ports::upstreams::{NotAnswered, Question};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::Gateway;
use crate::call::{Action, Answer, Authorized, Endpoint, Forwarded, Received, Recorded};
use crate::limits::{QUESTIONS_MAX, QUESTIONS_WAITING_MAX, ROUNDS_MAX};
use crate::line::BoxFuture;
use crate::refuse::Refused;
use crate::transform;

/// The call that questions belong to.
#[derive(Clone)]
pub(crate) struct Origin {
    received: Received,
    upstream: remit_domain::upstream::UpstreamName,
    tool: String,
    decision: DecisionId,
}

impl Origin {
    /// None for a call in which nothing may be asked.
    pub(crate) fn of(recorded: &Recorded) -> Option<Self> {
        let resolved = &recorded.authorized.resolved;
        if resolved.upstream.may_ask.is_empty()
            || matches!(resolved.received.action, Action::Ask(_))
        {
            return None;
        }
        Some(Self {
            received: (*resolved.received).clone(),
            upstream: resolved.upstream.name.clone(),
            tool: resolved.tool.tool.tool().to_owned(),
            decision: recorded.authorized.id.clone(),
        })
    }

    /// The question as a call of its pseudo tool. What is decided names the tool in whose call it comes, and holds all of it.
    fn question(&self, kind: MayAsk, params: &Map<String, Value>) -> Result<Received, NotAnswered> {
        let no = |why: &dyn std::fmt::Display| {
            NotAnswered::new(
                code::INVALID_PARAMS,
                format!("the question is refused: {why}"),
            )
        };
        let mut whole = params.clone();
        whole.remove("_meta");
        let whole = CanonicalArgs::from_object(whole).map_err(|e| no(&e))?;
        let mut args = Map::new();
        let mut put = |key: &str, value: Option<&Value>| {
            value.map(|value| args.insert(key.to_owned(), value.clone()))
        };
        match kind {
            MayAsk::Sampling => {
                put("max_tokens", params.get("maxTokens"));
                put("system_prompt", params.get("systemPrompt"));
            }
            MayAsk::Elicitation => {
                put("mode", Some(params.get("mode").unwrap_or(&json!("form"))));
                put("message", params.get("message"));
                put("url", params.get("url"));
            }
            MayAsk::Roots => {}
        }
        put("tool", Some(&json!(self.tool)));
        put("detail", Some(&json!(whole.text())));
        let call = ToolCall {
            name: String::new(),
            arguments: CanonicalArgs::from_object(args).map_err(|e| no(&e))?,
            input_responses: None,
            request_state: None,
            meta: RequestMeta::default(),
        };
        Ok(Received {
            endpoint: Endpoint::One(self.upstream.clone()),
            action: Action::Ask(kind),
            call,
            cancel: self.received.cancel.child_token(),
            notifications: None,
            continues: Some(self.decision.clone()),
            ..self.received.clone()
        })
    }

    /// The same call with answers in it.
    fn with(&self, answers: Map<String, Value>) -> Result<Received, NotAnswered> {
        let mut next = self.received.clone();
        let mut all = next
            .call
            .input_responses
            .as_ref()
            .map(|r| r.value().clone())
            .unwrap_or_default();
        all.extend(answers);
        let all = CanonicalArgs::from_object(all).map_err(|e| {
            NotAnswered::new(code::INVALID_PARAMS, format!("the answer is refused: {e}"))
        })?;
        next.call.input_responses = Some(all);
        next.continues = Some(self.decision.clone());
        Ok(next)
    }
}

/// Members of a question that are an upstream's words; the others say how it is to be answered.
const PUT_AS_WORDS: [&str; 4] = ["message", "messages", "systemPrompt", "url"];

/// The question of a decided call, as it is put: the canonical text that was decided, never what was received, and as the
/// settings about it leave it. What it holds has raised its labels with the decision.
pub(crate) fn put_as(call: &Authorized) -> Value {
    let detail = call.resolved.received.call.arguments.value().get("detail");
    let whole = detail
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str(text).ok());
    let mut whole = whole.unwrap_or_else(|| json!({}));
    if let Value::Object(parts) = &mut whole {
        for (name, part) in parts.iter_mut() {
            if PUT_AS_WORDS.contains(&name.as_str()) {
                transform::words(&call.decision, part);
            }
        }
    }
    whole
}

impl Gateway {
    /// Where an upstream's questions in the middle of a call go; none where nothing may be asked.
    pub(crate) fn questions(
        &self,
        recorded: &Recorded,
    ) -> (Option<mpsc::Sender<Question>>, BoxFuture<'static, ()>) {
        let asked = Origin::of(recorded).filter(|origin| origin.received.line.is_some());
        let Some(origin) = asked else {
            return (None, Box::pin(std::future::pending()));
        };
        let (to, from) = mpsc::channel(QUESTIONS_WAITING_MAX);
        (Some(to), self.serve_questions(origin, from))
    }

    /// Answers questions one after the other, until dropped.
    fn serve_questions(
        &self,
        origin: Origin,
        mut from: mpsc::Receiver<Question>,
    ) -> BoxFuture<'static, ()> {
        let gateway = self.clone();
        Box::pin(async move {
            let mut answers = Map::new();
            for n in 0.. {
                let Some(question) = from.recv().await else {
                    return std::future::pending().await;
                };
                let answer = if n < QUESTIONS_MAX {
                    gateway
                        .answer(&origin, &question.method, &question.params, &mut answers)
                        .await
                } else {
                    Err(NotAnswered::new(
                        code::INVALID_REQUEST,
                        "too many questions in one call",
                    ))
                };
                // Who asked may have given up.
                let _ = question.reply.send(answer);
            }
        })
    }

    /// Puts one question, and decides the call again with the answer before it is passed on.
    async fn answer(
        &self,
        origin: &Origin,
        method: &str,
        params: &Value,
        answers: &mut Map<String, Value>,
    ) -> Result<Value, NotAnswered> {
        let unknown = || NotAnswered::new(code::METHOD_NOT_FOUND, "this is not offered here");
        let kind = MayAsk::of_method(method).ok_or_else(unknown)?;
        let params = params.as_object().ok_or_else(unknown)?;
        let answer = Value::Object(self.put(origin.clone(), kind, params.clone()).await?);
        answers.insert(format!("{} {method}", answers.len()), answer.clone());
        let next = origin.with(answers.clone())?;
        let canonical = next.call.input_responses.as_ref().and_then(|r| {
            r.value()
                .get(&format!("{} {method}", answers.len().saturating_sub(1)))
                .cloned()
        });
        let recorded = self
            .decided(Box::new(next))
            .await
            .map_err(|refused| NotAnswered::new(code::INVALID_REQUEST, refused.refusal.text))?;
        let result = Ok(Map::new());
        let _ = self
            .record_outcome(Forwarded::silent(recorded, result))
            .await;
        Ok(canonical.unwrap_or(answer))
    }

    /// Decides a question, puts it to the caller's side, and records what came of it.
    fn put(
        &self,
        origin: Origin,
        kind: MayAsk,
        params: Map<String, Value>,
    ) -> BoxFuture<'static, Result<Map<String, Value>, NotAnswered>> {
        let gateway = self.clone();
        // Boxed, since a question is sent like the call in which it is asked.
        Box::pin(async move {
            let can = origin.received.line.as_ref().map(|line| line.can);
            if !can.is_some_and(|can| can.answer(kind, &params)) {
                let text = format!("the agent's side cannot be asked for {}", kind.capability());
                return Err(NotAnswered::new(code::METHOD_NOT_FOUND, text));
            }
            let question = origin.question(kind, &params)?;
            let _ends = question.cancel.clone().drop_guard();
            let no =
                |refused: Refused| NotAnswered::new(code::INVALID_REQUEST, refused.refusal.text);
            let recorded = gateway.decided(Box::new(question)).await.map_err(no)?;
            let answer = gateway.send(recorded).await.map_err(no)?;
            match answer.error {
                Some(error) => Err(NotAnswered::new(error.code, error.message)),
                None => Ok(without_decision(answer.result)),
            }
        })
    }

    /// Decides a question that goes to the caller with the result of its call.
    async fn show(
        &self,
        origin: &Origin,
        kind: MayAsk,
        params: &Map<String, Value>,
    ) -> Result<(), Refused> {
        let question = origin.question(kind, params).map_err(invalid)?;
        let recorded = self.decided(Box::new(question)).await?;
        let result = Ok(Map::new());
        self.record_outcome(Forwarded::silent(recorded, result))
            .await
            .map(drop)
    }

    /// Sends a call. While the upstream answers with questions: decides them, and puts them to a caller that can be asked
    /// while it waits; another one gets them as the result.
    pub(crate) async fn converse(&self, recorded: Recorded) -> Result<Answer, Refused> {
        let origin = Origin::of(&recorded);
        let mut answer = self.send(recorded).await?;
        for _ in 0..ROUNDS_MAX {
            if answer.error.is_some()
                || ResultType::of(&answer.result) != Some(ResultType::InputRequired)
            {
                return Ok(answer);
            }
            let asked = asked(&answer.result);
            let Some(origin) = origin
                .as_ref()
                .filter(|_| asked.iter().all(|(_, kind, _)| kind.is_some()))
            else {
                let text = "the upstream asks for something that it may not ask for; an administrator can list it in the upstream's `may_ask`, and grant it";
                return Err(may_not(text, &answer));
            };
            let mut answers = Map::new();
            for (key, kind, params) in asked {
                let Some(kind) = kind else { continue };
                if origin.received.line.is_none() {
                    self.show(origin, kind, &params).await?;
                    continue;
                }
                let put = self.put(origin.clone(), kind, params).await;
                answers.insert(
                    key,
                    Value::Object(put.map_err(|no| may_not(&no.message, &answer))?),
                );
            }
            if origin.received.line.is_none() {
                return Ok(answer);
            }
            let mut next = origin.with(answers).map_err(invalid)?;
            next.continues = None;
            let state = answer.result.get("requestState").and_then(Value::as_str);
            next.call.request_state = state.map(str::to_owned);
            answer = self.send(self.decided(Box::new(next)).await?).await?;
        }
        Err(may_not(
            "the upstream asks again and again, and comes to no end",
            &answer,
        ))
    }
}

/// Questions of a result: their keys, kinds and parameters.
fn asked(result: &Map<String, Value>) -> Vec<(String, Option<MayAsk>, Map<String, Value>)> {
    let requests = result.get("inputRequests").and_then(Value::as_object);
    let read = |(key, request): (&String, &Value)| {
        let kind = request
            .get("method")
            .and_then(Value::as_str)
            .and_then(MayAsk::of_method);
        let params = request.get("params").and_then(Value::as_object).cloned();
        (key.clone(), kind, params.unwrap_or_default())
    };
    requests.into_iter().flatten().map(read).collect()
}

fn may_not(text: &str, answer: &Answer) -> Refused {
    Refused {
        refusal: Refusal::new(RefusalCode::UpstreamInvalid, text),
        decision: Some(answer.decision.clone()),
        approval: None,
    }
}

fn invalid(no: NotAnswered) -> Refused {
    Refusal::new(RefusalCode::UpstreamInvalid, no.message).into()
}

/// An answer of the caller's side as it gave it: the decision on the question is nothing that the upstream gets.
fn without_decision(mut result: Map<String, Value>) -> Map<String, Value> {
    result.remove("_meta");
    result
}
