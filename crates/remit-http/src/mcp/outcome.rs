//! What came of a call, as a message.
//!
//! A refused tool call is a tool result with `isError` and one line that a model can use: several clients turn a JSON-RPC
//! error into a generic text, or end the run.

use remit_domain::{DecisionId, Refusal, RefusalCode};
use remit_gateway::{Answer, Refused};
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::{LogLevel, meta};
use remit_mcp::{ErrorObject, Id, Message, Method, ResultType, Revision, results};
use serde_json::{Value, json};

use super::Object;
use super::answer::error_of;
use super::approval::Told;
use super::describe;
use crate::ops::Counted;
use crate::refusals::{McpShape, row_of};

/// What has to be known of a request when its answer comes.
pub(super) struct Asked {
    pub(super) id: Id,
    pub(super) method: Method,
    pub(super) revision: Revision,
    /// Whether the client takes an event stream.
    pub(super) streams: bool,
    /// Whether a refusal may have structured content.
    pub(super) structured: bool,
    pub(super) progress_token: Option<Id>,
    /// How a call that waits for a person is told, where the client can be sent to one.
    pub(super) told: Option<Told>,
    /// From which level on log messages pass; none, and none does.
    pub(super) log_level: Option<LogLevel>,
}

impl Asked {
    /// A request that is answered at once.
    pub(super) fn plain(id: Id, method: Method, revision: Revision) -> Self {
        Self {
            id,
            method,
            revision,
            streams: false,
            structured: false,
            progress_token: None,
            told: None,
            log_level: None,
        }
    }

    /// The answer to a call.
    pub(super) fn message(&self, outcome: Result<Answer, Refused>) -> Message {
        match outcome {
            Ok(answer) => self.answered(answer),
            Err(refused) => self.refused(&refused),
        }
    }

    fn answered(&self, answer: Answer) -> Message {
        if let Some(error) = answer.error {
            return self.told(error, answer.decision);
        }
        let mut result = answer.result;
        match ResultType::of(&result) {
            Some(ResultType::Complete) => {}
            Some(ResultType::InputRequired) if self.revision.is_stateless() => {}
            _ => {
                let text = "the upstream answered in a way that this protocol version cannot say; use 2026-07-28";
                let refusal = Refusal::new(RefusalCode::UpstreamInvalid, text);
                return self.refused(&Refused {
                    refusal,
                    decision: Some(answer.decision),
                    approval: None,
                });
            }
        }
        results::finish(
            self.revision,
            self.method,
            &mut result,
            &describe::server(),
            0,
        );
        Message::Response {
            id: self.id.clone(),
            result,
        }
    }

    /// The upstream's own error, in the words of this revision.
    fn told(&self, mut error: ErrorObject, decision: DecisionId) -> Message {
        let stateless = self.revision.is_stateless();
        if error.code == code::MISSING_CLIENT_CAPABILITY && !stateless {
            let text = "the upstream would have to ask something, which this protocol version cannot pass on; use 2026-07-28";
            return self.refused(&Refused {
                refusal: Refusal::new(RefusalCode::UpstreamInvalid, text),
                decision: Some(decision),
                approval: None,
            });
        }
        if error.code == code::RESOURCE_NOT_FOUND_2025 && stateless {
            error.code = code::INVALID_PARAMS;
        }
        if let Some(Value::Object(data)) = &mut error.data {
            data.insert("decision".to_owned(), json!(decision));
        }
        Message::Error {
            id: Some(self.id.clone()),
            error,
        }
    }

    fn refused(&self, refused: &Refused) -> Message {
        if let Some(message) = self
            .told
            .as_ref()
            .and_then(|t| t.message(&self.id, refused))
        {
            return message;
        }
        let refusal = &refused.refusal;
        let decision = refused.decision.as_ref().map(|id| json!(id));
        let mut data = Object::new();
        decision
            .iter()
            .for_each(|id| drop(data.insert("decision".to_owned(), id.clone())));
        refused
            .approval
            .iter()
            .for_each(|id| drop(data.insert("approval".to_owned(), json!(id))));
        let as_result = self.method == Method::ToolsCall
            && matches!(row_of(refusal.code).mcp, McpShape::Result);
        if !as_result {
            return Message::Error {
                id: Some(self.id.clone()),
                error: error_of(refusal, data),
            };
        }
        let found_meta: Object = decision
            .into_iter()
            .map(|id| (meta::DECISION.to_owned(), id))
            .collect();
        data.insert("code".to_owned(), json!(refusal.code));
        let structured = self.structured.then_some(data);
        let mut result =
            results::refused_text(&super::words::line(refusal), structured, found_meta);
        results::finish(
            self.revision,
            self.method,
            &mut result,
            &describe::server(),
            0,
        );
        Message::Response {
            id: self.id.clone(),
            result,
        }
    }

    /// The answer to a call whose task broke off.
    pub(super) fn broken(&self) -> Message {
        let text =
            "the call broke off inside the server; find out what became of it before repeating";
        let error = ErrorObject::new(code::INTERNAL_ERROR, text);
        Message::Error {
            id: Some(self.id.clone()),
            error,
        }
    }

    /// A notification of the upstream as this client may see it: progress it asked for, under its own token, and log lines.
    pub(super) fn notification(&self, mut value: Value) -> Option<Value> {
        let method = value.get("method").and_then(Value::as_str);
        if method == Some(Method::LogMessage.as_str()) {
            let level = LogLevel::read(value.get("params")?.get("level")?)?;
            return (level >= self.log_level?).then_some(value);
        }
        if method != Some(Method::Progress.as_str()) {
            return None;
        }
        let token = self.progress_token.as_ref()?.to_value();
        let params = value.get_mut("params").and_then(Value::as_object_mut)?;
        params.insert(meta::PROGRESS_TOKEN.to_owned(), token);
        Some(value)
    }
}

/// What is counted of it.
pub(super) fn counted(outcome: &Result<Answer, Refused>) -> Counted {
    use RefusalCode as C;
    match outcome {
        Ok(_) => Counted::Allowed,
        Err(Refused {
            refusal,
            decision: None,
            ..
        }) => Counted::Refused(refusal.code),
        Err(Refused { refusal, .. }) => match refusal.code {
            C::ApprovalRequired | C::ApprovalPending => Counted::Asked(refusal.code),
            C::UpstreamUnreachable
            | C::UpstreamInvalid
            | C::Ambiguous
            | C::Cancelled
            | C::TooLarge
            | C::Timeout => Counted::Failed(refusal.code),
            C::CredentialUnavailable => Counted::Failed(refusal.code),
            code => Counted::Denied(code),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, revision: Revision, structured: bool) -> Asked {
        let progress_token = Some(Id::Text("mine".to_owned()));
        Asked {
            id: Id::Number(7),
            method,
            revision,
            streams: true,
            structured,
            progress_token,
            told: None,
            log_level: Some(LogLevel::Warning),
        }
    }

    fn no(code: RefusalCode) -> Refused {
        let decision = "dec_0000000000000000000000000A"
            .parse::<DecisionId>()
            .unwrap();
        Refused {
            refusal: Refusal::new(code, "DENIED by policy cap: 500 > 100"),
            decision: Some(decision),
            approval: None,
        }
    }

    #[test]
    fn a_refused_tool_call_is_a_result_and_names_its_decision() {
        let asked = asked(Method::ToolsCall, Revision::R20260728, true);
        insta::assert_json_snapshot!(asked.message(Err(no(RefusalCode::Denied))).into_value());
    }

    #[test]
    fn a_declared_output_is_not_contradicted() {
        let asked = asked(Method::ToolsCall, Revision::R20251125, false);
        let value = asked
            .message(Err(no(RefusalCode::ApprovalRequired)))
            .into_value();
        assert_eq!(value["result"].get("structuredContent"), None);
        assert_eq!(value["result"]["isError"], json!(true));
        assert_eq!(
            value["result"]["_meta"]["dev.remit/decision"],
            "dec_0000000000000000000000000A"
        );
    }

    #[test]
    fn another_method_is_refused_with_an_error_outside_the_reserved_codes() {
        let asked = asked(Method::ResourcesRead, Revision::R20260728, false);
        for code in RefusalCode::ALL {
            let value = asked.message(Err(no(code))).into_value();
            let found = value["error"]["code"].as_i64().unwrap();
            assert!(
                found > 0 || [-32601, -32602].contains(&found),
                "{code}: {found}"
            );
            assert_eq!(value["error"]["data"]["code"], json!(code));
        }
    }

    #[test]
    fn what_an_old_client_cannot_be_told_is_refused() {
        let result = results::input_required(Object::new(), Some("sealed"));
        let answer = || Answer {
            decision: "dec_0000000000000000000000000A".parse().unwrap(),
            index: 1,
            result: result.clone(),
            error: None,
        };
        let old = asked(Method::ToolsCall, Revision::R20251125, true)
            .message(Ok(answer()))
            .into_value();
        assert_eq!(old["result"]["isError"], json!(true));
        assert_eq!(old["result"].get("requestState"), None);
        let new = asked(Method::ToolsCall, Revision::R20260728, true)
            .message(Ok(answer()))
            .into_value();
        assert_eq!(new["result"]["resultType"], "input_required");
    }

    #[test]
    fn an_upstreams_own_error_is_told_in_the_words_of_the_revision() {
        let told = |method, revision, code| {
            let answer = Answer {
                decision: "dec_0000000000000000000000000A".parse().unwrap(),
                index: 1,
                result: Object::new(),
                error: Some(ErrorObject::new(code, "no").with_data(json!({"uri": "a:b"}))),
            };
            asked(method, revision, true)
                .message(Ok(answer))
                .into_value()
        };
        let (old, new) = (Revision::R20251125, Revision::R20260728);
        let read = Method::ResourcesRead;
        assert_eq!(told(read, old, -32002)["error"]["code"], -32002);
        let error = &told(read, new, -32002)["error"];
        assert_eq!(
            (&error["code"], &error["data"]["uri"]),
            (&json!(-32602), &json!("a:b"))
        );
        assert_eq!(
            told(Method::ToolsCall, new, -32021)["error"]["code"],
            -32021
        );
        assert_eq!(
            told(Method::ToolsCall, old, -32021)["result"]["isError"],
            json!(true)
        );
    }

    #[test]
    fn notifications_are_the_callers_own() {
        let asked = asked(Method::ToolsCall, Revision::R20251125, true);
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 0, "progress": 1}});
        assert_eq!(
            asked.notification(progress.clone()).unwrap()["params"]["progressToken"],
            "mine"
        );
        assert_eq!(
            asked.notification(json!({"method": "notifications/tools/list_changed"})),
            None
        );
        let log = |level: &str| json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "data": 1}});
        assert_eq!(asked.notification(log("error")), Some(log("error")));
        assert_eq!(asked.notification(log("info")), None);
        assert_eq!(asked.notification(log("loud")), None);
        let nobody = Asked {
            log_level: None,
            progress_token: None,
            ..asked
        };
        assert_eq!(nobody.notification(progress), None);
        assert_eq!(nobody.notification(log("emergency")), None);
    }
}
