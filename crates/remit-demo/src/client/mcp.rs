//! The gateway, through rmcp's own Streamable HTTP client.

use anyhow::{Context as _, Result, bail};
use rmcp::RoleClient;
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;

/// Where a result names its decision.
const DECISION: &str = "dev.remit/decision";

/// How a call was decided, as far as a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It ran.
    Allowed,
    /// It waits for a person.
    Asked,
    /// It was refused, or came to nothing: the text says which.
    Denied,
}

impl Verdict {
    /// The verdict as a word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Asked => "asked",
            Self::Denied => "denied",
        }
    }
}

/// What came of one call.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// The first line of text, for people.
    pub(crate) text: String,
    /// The structured result; null where there is none.
    pub(crate) value: Value,
    /// Id of the decision, where there was one.
    pub(crate) decision: Option<String>,
}

impl Outcome {
    /// Id of the approval that the call waits for.
    pub(crate) fn approval(&self) -> Result<&str> {
        let found = self
            .text
            .strip_prefix("PENDING approval ")
            .and_then(|rest| rest.split(':').next());
        found.with_context(|| format!("the call does not wait for an approval: {}", self.text))
    }
}

/// An agent's connection to the gateway.
pub(crate) struct Mcp {
    client: RunningService<RoleClient, ()>,
}

impl Mcp {
    /// Connects with an access token.
    pub(crate) async fn connect(base: &str, token: &str) -> Result<Self> {
        let config =
            StreamableHttpClientTransportConfig::with_uri(format!("{base}/mcp")).auth_header(token);
        let client =
            ().serve(StreamableHttpClientTransport::from_config(config))
                .await
                .context("the gateway does not open MCP")?;
        Ok(Self { client })
    }

    /// Names of the tools the agent is shown, as `upstream/tool`.
    pub(crate) async fn tools(&self) -> Result<Vec<String>> {
        let tools = self.client.list_all_tools().await?;
        Ok(tools
            .into_iter()
            .map(|tool| tool.name.replacen("__", "/", 1))
            .collect())
    }

    /// Calls `upstream/tool`.
    pub(crate) async fn call(&self, tool: &str, args: &Value) -> Result<Outcome> {
        let Value::Object(arguments) = args.clone() else {
            bail!("arguments are an object")
        };
        let params =
            CallToolRequestParams::new(tool.replacen('/', "__", 1)).with_arguments(arguments);
        match self.client.call_tool(params).await {
            Ok(result) => Ok(outcome(result)),
            // A refusal without a tool result: the agent, its token or its run is no longer good for anything.
            Err(error @ (ServiceError::McpError(_) | ServiceError::TransportSend(_))) => {
                Ok(Outcome {
                    verdict: Verdict::Denied,
                    text: error.to_string(),
                    value: Value::Null,
                    decision: None,
                })
            }
            Err(error) => Err(error).context("the gateway broke off"),
        }
    }

    /// Closes the connection.
    pub(crate) async fn close(self) {
        // A session that is gone already needs no farewell.
        let _ = self.client.cancel().await;
    }
}

fn outcome(result: CallToolResult) -> Outcome {
    let text = result
        .content
        .iter()
        .find_map(|block| block.as_text())
        .map(|block| block.text.clone())
        .unwrap_or_default();
    let verdict = match (result.is_error, text.starts_with("PENDING ")) {
        (Some(true), true) => Verdict::Asked,
        (Some(true), false) => Verdict::Denied,
        _ => Verdict::Allowed,
    };
    let decision = result
        .meta
        .as_ref()
        .and_then(|meta| meta.0.get(DECISION))
        .and_then(Value::as_str)
        .map(str::to_owned);
    let value = result.structured_content.unwrap_or_default();
    let text = text.lines().next().unwrap_or_default().to_owned();
    Outcome {
        verdict,
        text,
        value,
        decision,
    }
}
