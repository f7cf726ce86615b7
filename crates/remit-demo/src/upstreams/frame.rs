//! The frame around each server: counts every call that arrives, adds `effects_log`, and answers the protocol.

use std::sync::Arc;

use rmcp::handler::server::router::tool::{ToolRoute, ToolRouter};
use rmcp::handler::server::tool::{ToolCallContext, schema_for_output};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, ServerCapabilities,
    ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool_handler};
use serde_json::{Map, json};

use super::journal::{EffectsLog, Journal};
use super::kind::DemoKind;

/// The tool that every server has: what really happened there.
pub const EFFECTS_LOG: &str = "effects_log";

/// One server with its tools; clones share the state.
#[derive(Debug)]
pub(crate) struct Framed<S> {
    kind: DemoKind,
    server: Arc<S>,
    router: Arc<ToolRouter<S>>,
    journal: Journal,
}

impl<S> Clone for Framed<S> {
    fn clone(&self) -> Self {
        Self {
            kind: self.kind,
            server: Arc::clone(&self.server),
            router: Arc::clone(&self.router),
            journal: self.journal.clone(),
        }
    }
}

impl<S: Send + Sync + 'static> Framed<S> {
    pub(crate) fn new(kind: DemoKind, server: S, router: ToolRouter<S>, journal: Journal) -> Self {
        let router = router.with_route(effects_log(journal.clone()));
        Self {
            kind,
            server: Arc::new(server),
            router: Arc::new(router),
            journal,
        }
    }
}

#[tool_handler(router = self.router)]
impl<S: Send + Sync + 'static> ServerHandler for Framed<S> {
    fn get_info(&self) -> ServerConfig {
        let name = format!("remit-demo-{}", self.kind);
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(name, env!("CARGO_PKG_VERSION")))
            .with_instructions(self.kind.instructions())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // Names that are no tool are not counted: a caller must not be able to grow the log.
        if request.name != EFFECTS_LOG && self.router.get(&request.name).is_some() {
            self.journal.arrived(&request.name);
        }
        let call = ToolCallContext::new(self.server.as_ref(), request, context);
        self.router.call(call).await
    }
}

fn effects_log<S: Send + Sync + 'static>(journal: Journal) -> ToolRoute<S> {
    let about = "Lists the calls that arrived here and the effects that really happened.";
    let no_arguments = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), json!({})),
        ("additionalProperties".to_owned(), json!(false)),
    ]);
    let tool = Tool::new(EFFECTS_LOG, about, no_arguments)
        .with_raw_output_schema(schema_for_output::<EffectsLog>())
        .with_annotations(ToolAnnotations::new().read_only(true).open_world(false));
    ToolRoute::new_dyn(tool, move |_| {
        let result = serde_json::to_value(journal.read())
            .map(|log| CallToolResult::structured(log).into())
            .map_err(|e| ErrorData::internal_error(format!("cannot write the log: {e}"), None));
        Box::pin(std::future::ready(result))
    })
}
