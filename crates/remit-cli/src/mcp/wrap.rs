//! `remit mcp wrap`: a server beside its agent, called only with what Remit decided.
//!
//! The wrapper is to Remit what the bridge is, and one thing more: Remit hands each decided call back to it, on the stream of
//! that call, and it runs it on the server and answers with what came of it. So the call goes through the same rooms as
//! every other: the decision is durable before the server sees the call, the outcome is recorded before the agent sees it,
//! and a call whose outcome never came is a gap. Whatever is not answered by Remit is not called.

use std::sync::Arc;

use anyhow::Context;
use remit_mcp::protocol::meta;
use remit_mcp::{ErrorObject, Id, JsonObject, Message, Method};
use serde_json::{Value, json};

use super::beside::Beside;
use super::{Offer, Wrap, bridge};
use crate::connection::Connection;
use crate::exit::{CHANGES, Done, OK, Usage};

/// What Remit asks a wrapper with: to run one decided call.
pub(crate) const EXECUTE: &str = "dev.remit/execute";

/// Methods that Remit may hand back: what an upstream can be called with.
const RUN: [Method; 7] = [
    Method::ToolsCall,
    Method::ResourcesList,
    Method::ResourceTemplatesList,
    Method::ResourcesRead,
    Method::PromptsList,
    Method::PromptsGet,
    Method::Complete,
];

/// Runs the wrapper until the client closes its side.
pub(crate) async fn run(connection: &Connection, args: Wrap) -> Done {
    if args.bridge.upstream.is_none() {
        let text = "name the upstream that the server is registered as, with --upstream";
        return Err(Usage(text.to_owned()).into());
    }
    let (beside, _) = Beside::start(&args.server).await?;
    beside.tools().await?;
    bridge::wrapping(connection, args.bridge, Wrapped { beside }).await
}

/// Tells Remit what the server offers.
pub(crate) async fn offer(connection: &Connection, args: Offer) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let (beside, said) = Beside::start(&args.server).await?;
    let tools = beside.tools().await?;
    let offer = json!({ "tools": tools, "capabilities": said.get("capabilities").cloned().unwrap_or_default() });
    let report = client
        .post(&["upstreams", &args.upstream, "offer"], &offer)
        .await;
    let report = report.context("Remit did not take in what the server offers")?;
    out.one(&report, "found", || {
        crate::upstream::synced(&args.upstream, &report)
    })?;
    Ok(if crate::upstream::changed(&report) {
        CHANGES
    } else {
        OK
    })
}

/// The server behind the wrapper.
pub(crate) struct Wrapped {
    beside: Arc<Beside>,
}

impl Wrapped {
    /// A message of the client as Remit gets it: the handshake says what this is, a call says how the server describes the tool.
    pub(crate) async fn said(&self, message: Message) -> Message {
        let Message::Request(mut request) = message else {
            return message;
        };
        let params = request.params.get_or_insert_default();
        if request.method == Method::Initialize.as_str() {
            within(params, "capabilities", |capabilities| {
                within(capabilities, "experimental", |more| {
                    more.insert(EXECUTE.to_owned(), json!({}));
                });
            });
        }
        if request.method == Method::ToolsCall.as_str() {
            let name = params
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let hash = self.beside.hash_of(name).await;
            within(params, "_meta", |found| {
                found.remove(meta::DEFINITION);
                hash.map(|hash| found.insert(meta::DEFINITION.to_owned(), json!(hash)));
            });
        }
        Message::Request(request)
    }

    /// Runs what Remit decided, and says what came of it.
    pub(crate) async fn execute(&self, id: Id, params: Option<JsonObject>) -> Message {
        let mut params = params.unwrap_or_default();
        let method = params
            .get("method")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let known = RUN.iter().any(|m| m.as_str() == method);
        let call = match params.remove("params") {
            Some(Value::Object(mut call)) if known => {
                // Nobody hears of progress here.
                call.remove("_meta");
                call
            }
            _ => {
                let text = "a wrapper does not run this";
                let error = ErrorObject::new(remit_mcp::jsonrpc::code::METHOD_NOT_FOUND, text);
                let error = error.with_data(json!({ "sent": false }));
                return Message::Error {
                    id: Some(id),
                    error,
                };
            }
        };
        match self.beside.ask(&method, Some(call)).await {
            Ok(result) => Message::Response { id, result },
            Err(error) => Message::Error {
                id: Some(id),
                error,
            },
        }
    }
}

/// Lets `change` see a member as an object, whatever it was.
fn within(object: &mut JsonObject, key: &str, change: impl FnOnce(&mut JsonObject)) {
    let mut inner = match object.remove(key) {
        Some(Value::Object(inner)) => inner,
        _ => JsonObject::new(),
    };
    change(&mut inner);
    object.insert(key.to_owned(), Value::Object(inner));
}
