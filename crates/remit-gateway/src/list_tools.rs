//! The smaller walk of `tools/list`, and the one tool that is the gateway's own.

use remit_books::facts::{Who, fixed_facts};
use remit_domain::approval::Approval;
use remit_domain::attestation::Trust;
use remit_domain::standing::Standing;
use remit_domain::tool::ToolState;
use remit_domain::{OrgId, Refusal, RefusalCode, Registry};
use remit_mcp::AggregatedNames;
use remit_policy::{Dynamic, Engine, Facts};
use serde_json::{Value, json};

use crate::call::{Answer, Authenticated, Endpoint, Forwarded, Recorded};
use crate::refuse::Refused;
use crate::resolve::{standing_caller, unavailable};
use crate::{APPROVAL_STATUS_TOOL, Caller, Gateway, Presented};

/// Who asks for a list, and where.
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// Which organization's endpoint.
    pub org: OrgId,
    /// Which endpoint.
    pub endpoint: Endpoint,
    /// The token.
    pub presented: Presented,
    /// The resource the token must be good for.
    pub resource: String,
}

/// A tool as listed.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedTool {
    /// Its name at this endpoint.
    pub name: String,
    /// Its approved definition, with that name.
    pub definition: Value,
}

impl Gateway {
    /// The tools a caller may see: granted, in use, and not surely denied whatever the arguments.
    ///
    /// # Errors
    /// [`Refused`], recorded.
    pub async fn list_tools(&self, request: ListRequest) -> Result<Vec<ListedTool>, Refused> {
        let presented = &request.presented;
        let caller = match self
            .caller(&request.org, presented, &request.resource)
            .await
        {
            Ok(caller) => caller,
            Err(not) => return Err(self.turn_away(&request.org, "tools/list", not).await),
        };
        self.in_time(&request.org, &caller)?;
        match self.list(&request, &caller) {
            Ok(tools) => Ok(tools),
            Err(refusal) => Err(self
                .refuse(&request.org, Some(&caller), "tools/list", refusal)
                .await),
        }
    }

    fn list(&self, request: &ListRequest, caller: &Caller) -> Result<Vec<ListedTool>, Refusal> {
        let book = self.books().org(&request.org);
        let book = book
            .ok_or_else(|| Refusal::new(RefusalCode::NotFound, "no such organization is here"))?;
        let engine = self.engine(&book)?;
        let registry = book.registry();
        let standing = standing_caller(&registry, caller, self.books().now())?;
        let names = self.names(&registry, &engine, &request.org);
        let mut listed = visible(
            &registry,
            &engine,
            &standing,
            &request.endpoint,
            &names,
            caller.trust,
            self.books().now(),
        );
        listed.push(approval_status_tool());
        Ok(listed)
    }

    /// Answers `remit_approval_status`: what became of an approval of the caller's own agent.
    pub(crate) async fn approval_status(&self, call: Authenticated) -> Result<Answer, Refused> {
        let org = &call.received.org;
        let id = call
            .received
            .call
            .arguments
            .value()
            .get("approval_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let found = match self.books().get::<Approval>(org, id).await {
            Ok(found) => {
                found.filter(|a| a.noun.agent == call.caller.agent && a.noun.run == call.caller.run)
            }
            Err(error) => return Err(unavailable(&error).into()),
        };
        let Some(approval) = found.map(|a| a.noun) else {
            let refusal = Refusal::new(
                RefusalCode::NotFound,
                "no such approval was asked for in this run",
            );
            return Err(self
                .refuse(org, Some(&call.caller), APPROVAL_STATUS_TOOL, refusal)
                .await);
        };
        let line = format!("approval {} is {}", approval.id, approval.state.as_str());
        let structured = json!({ "approval_id": approval.id, "state": approval.state, "expires": approval.expires, "tool": approval.tool });
        let structured = structured.as_object().cloned();
        let result = remit_mcp::results::tool_text(&line, structured, Default::default());
        Ok(Answer {
            decision: approval.decision,
            index: 0,
            result,
            error: None,
        })
    }

    /// A call that was recorded and then had no credential: it was not sent, and its outcome says so.
    pub(crate) async fn not_equipped(
        &self,
        recorded: Recorded,
        refusal: Refusal,
    ) -> Result<Answer, Refused> {
        let id = recorded.authorized.id.clone();
        let result = Err(remit_ports::upstreams::UpstreamError::Unreachable(
            refusal.text.clone(),
        ));
        let _ = self
            .record_outcome(Forwarded::silent(recorded, result))
            .await;
        Err(Refused {
            refusal,
            decision: Some(id),
            approval: None,
        })
    }
}

fn visible(
    registry: &Registry,
    engine: &Engine,
    standing: &Standing,
    endpoint: &Endpoint,
    names: &AggregatedNames,
    trust: Trust,
    now: remit_domain::Timestamp,
) -> Vec<ListedTool> {
    let who = Who::from(standing);
    let dynamic = Dynamic {
        trust,
        ..Dynamic::at(now)
    };
    let mut listed = Vec::new();
    for (tool, found) in &registry.tools {
        let here = match endpoint {
            Endpoint::All => true,
            Endpoint::One(upstream) => upstream == tool.upstream(),
        };
        let callable = here
            && found.state == ToolState::Enabled
            && registry.standing_tool(found).is_ok()
            && !tool.tool().starts_with("mcp.")
            && standing.workflow.grants_of(tool, now).next().is_some();
        if !callable
            || fixed_facts(registry, &who, tool).is_none_or(|fixed| {
                engine.surely_denied(Facts {
                    fixed: &fixed,
                    dynamic: &dynamic,
                })
            })
        {
            continue;
        }
        let name = match endpoint {
            Endpoint::All => names
                .name_of(tool.upstream().as_str(), tool.tool())
                .map(str::to_owned),
            Endpoint::One(_) => Some(tool.tool().to_owned()),
        };
        if let Some(name) = name {
            let mut definition = found.definition.body.clone();
            if let Value::Object(map) = &mut definition {
                map.insert("name".to_owned(), json!(name));
            }
            listed.push(ListedTool { name, definition });
        }
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    listed
}

fn approval_status_tool() -> ListedTool {
    let definition = json!({
        "name": APPROVAL_STATUS_TOOL,
        "title": "Approval status",
        "description": "Tells what became of an approval that a call of this run is waiting for. After it is approved, make the \
                        same call again with the same arguments.",
        "inputSchema": {
            "type": "object",
            "properties": { "approval_id": { "type": "string", "description": "The id from the pending result, apr_…" } },
            "required": ["approval_id"],
            "additionalProperties": false
        },
        "annotations": { "readOnlyHint": true, "openWorldHint": false }
    });
    ListedTool {
        name: APPROVAL_STATUS_TOOL.to_owned(),
        definition,
    }
}
