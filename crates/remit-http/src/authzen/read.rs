//! From an evaluation as it was sent to the call it is about.
//!
//! Three ways to name a call:
//!
//! - resource `{ "type": "tool", "id": "orders/refund" }`, action `tools/call`, arguments in `context.arguments`;
//! - resource `{ "type": UPSTREAM, "id": OBJECT }`, action `TOOL`: the object is the argument `id`, and properties of resource and
//!   action are arguments too, as far as the tool declares any of that name;
//! - resource `{ "type": "http", "id": "/refunds/7?note=x" }`, action the HTTP method: the routes of the point say which call it is.
//!
//! A subject is an agent by its name or id (type `agent`), or by the other name that its assignment gives it. What else is
//! said of it is not believed: what Remit knows of an agent is in its registry.

use remit_domain::enforcement_point::AGENT;
use remit_domain::tool::ToolRef;
use remit_domain::{AgentId, Refusal, RefusalCode, Registry, WorkflowId};
use remit_gateway::{OBJECT, Passes, Question};
use remit_mcp::CanonicalArgs;
use remit_mcp::json::JsonObject;
use serde_json::Value;

use super::entity::{Action, Entity, object};
use super::http::HTTP;
use super::{Asker, NotAnswered, http};

/// Type of a resource that is a tool itself.
pub(super) const TOOL: &str = "tool";
/// Name of the action that calls a tool.
pub(super) const CALL: &str = "tools/call";

/// One evaluation, read and not yet understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evaluation {
    pub(super) subject: Entity,
    pub(super) action: Action,
    pub(super) resource: Entity,
    pub(super) context: JsonObject,
}

impl Evaluation {
    /// Reads one.
    pub(super) fn read(of: &JsonObject) -> Result<Self, NotAnswered> {
        Ok(Self {
            subject: Entity::read(of, "subject", false)?,
            action: Action::read(of)?,
            resource: Entity::read(of, "resource", false)?,
            context: object(of, "", "context")?.cloned().unwrap_or_default(),
        })
    }

    /// Whether the decision is to take effect.
    pub(super) fn enforce(&self) -> Result<bool, NotAnswered> {
        let remit = object(&self.context, "context.", "remit")?;
        match remit.and_then(|remit| remit.get("enforce")) {
            None => Ok(false),
            Some(Value::Bool(enforce)) => Ok(*enforce),
            Some(_) => Err(NotAnswered::invalid(
                "`context.remit.enforce` must be true or false",
            )),
        }
    }
}

fn no(code: RefusalCode, text: impl Into<String>) -> Refusal {
    Refusal::new(code, text)
}

/// The same words whether there is no such agent, or it is another point's.
fn nobody() -> Refusal {
    no(
        RefusalCode::Forbidden,
        "no such subject is assigned to this enforcement point; an administrator can assign it",
    )
}

impl Asker {
    /// The call that an evaluation is about.
    ///
    /// # Errors
    /// Why it is about none: `forbidden` for a subject that is not this point's, `tool-unknown`, `arguments-invalid`.
    pub(super) fn question(&self, evaluation: &Evaluation) -> Result<Question, Refusal> {
        let registry = self.place.book.registry();
        let agent = self.agent(&registry, &evaluation.subject)?;
        let http = evaluation.resource.kind == HTTP;
        let (tool, arguments) = match http {
            true => http::call(&registry, &self.point.point, evaluation)?,
            false => call(&registry, evaluation)?,
        };
        let arguments = CanonicalArgs::from_object(arguments)
            .map_err(|e| no(RefusalCode::ArgumentsInvalid, e.to_string()))?;
        let question = self.about(&registry, agent, &evaluation.subject, tool, arguments)?;
        Ok(Question {
            // A gateway passes a request on as it came.
            passes: if http {
                Passes::Received
            } else {
                Passes::Decided
            },
            ..question
        })
    }

    /// A question about an agent of this point and a tool.
    pub(super) fn about(
        &self,
        registry: &Registry,
        agent: AgentId,
        subject: &Entity,
        tool: ToolRef,
        arguments: CanonicalArgs,
    ) -> Result<Question, Refusal> {
        let workflow = workflow(registry, &agent, subject)?;
        let run = match said(subject, "run")? {
            None => None,
            Some(run) => {
                let wrong = "no such run of this agent and workflow goes on here";
                Some(
                    run.parse()
                        .map_err(|_| no(RefusalCode::RunUnknown, wrong))?,
                )
            }
        };
        Ok(Question {
            org: self.place.org().clone(),
            point: std::sync::Arc::clone(&self.point.point),
            key: self.point.thumbprint.clone(),
            agent,
            workflow,
            run,
            tool,
            arguments,
            passes: Passes::Decided,
        })
    }

    /// The agent that a subject is, where it is one of this point.
    pub(super) fn agent(&self, registry: &Registry, subject: &Entity) -> Result<AgentId, Refusal> {
        let point = &self.point.point;
        if subject.kind != AGENT {
            let known = point.known_as(&subject.kind, subject.id());
            return known.map(|a| a.agent.clone()).ok_or_else(nobody);
        }
        let by_name = registry.agent_named(subject.id()).map(|a| a.id.clone());
        let agent = by_name.or_else(|| subject.id().parse().ok());
        agent
            .filter(|agent| point.assigned(agent).is_some())
            .ok_or_else(nobody)
    }
}

/// A property of a subject that is a text.
fn said<'a>(subject: &'a Entity, name: &str) -> Result<Option<&'a str>, Refusal> {
    match subject.properties.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(no(
            RefusalCode::InvalidRequest,
            format!("`subject.properties.{name}` must be a string"),
        )),
    }
}

fn workflow(
    registry: &Registry,
    agent: &AgentId,
    subject: &Entity,
) -> Result<Option<WorkflowId>, Refusal> {
    let Some(name) = said(subject, "workflow")? else {
        return Ok(None);
    };
    let found = registry.workflow_named(agent, name).map(|w| w.id.clone());
    let unknown = || {
        no(
            RefusalCode::WorkflowUnknown,
            "the agent has no such workflow in use",
        )
    };
    found.map(Some).ok_or_else(unknown)
}

/// The tool, and its arguments.
fn call(registry: &Registry, asked: &Evaluation) -> Result<(ToolRef, JsonObject), Refusal> {
    let unknown = || no(RefusalCode::ToolUnknown, "no such tool is here");
    if asked.resource.kind == TOOL {
        if asked.action.name != CALL {
            return Err(no(
                RefusalCode::UnknownMethod,
                format!("a tool has one action, `{CALL}`"),
            ));
        }
        let tool = asked.resource.id().parse().map_err(|_| unknown())?;
        return match asked.context.get("arguments") {
            None | Some(Value::Null) => Ok((tool, JsonObject::new())),
            Some(Value::Object(arguments)) => Ok((tool, arguments.clone())),
            Some(_) => Err(no(
                RefusalCode::ArgumentsInvalid,
                "`context.arguments` must be an object",
            )),
        };
    }
    let tool = tool_of(&asked.resource.kind, &asked.action.name).ok_or_else(unknown)?;
    let arguments = arguments(registry, &tool, asked)?;
    Ok((tool, arguments))
}

/// The tool that an action on a resource of an upstream's type is.
pub(super) fn tool_of(kind: &str, action: &str) -> Option<ToolRef> {
    ToolRef::new(kind.parse().ok()?, action).ok()
}

/// The arguments that are said of a resource and an action, as far as the tool declares them. One that is said twice, and
/// differently, is no argument at all.
fn arguments(
    registry: &Registry,
    tool: &ToolRef,
    asked: &Evaluation,
) -> Result<JsonObject, Refusal> {
    let declared = registry
        .tools
        .get(tool)
        .and_then(|t| t.input_schema().get("properties")?.as_object());
    let takes = |name: &str| declared.is_some_and(|d| d.contains_key(name));
    let mut arguments = JsonObject::new();
    if takes(OBJECT) {
        arguments.insert(
            OBJECT.to_owned(),
            Value::String(asked.resource.id().to_owned()),
        );
    }
    let said = asked
        .resource
        .properties
        .iter()
        .chain(&asked.action.properties);
    for (name, value) in said.filter(|(name, _)| takes(name)) {
        if arguments.get(name).is_some_and(|before| before != value) {
            return Err(no(
                RefusalCode::ArgumentsInvalid,
                format!(
                    "`{}` is said twice, and differently",
                    name.chars().take(80).collect::<String>()
                ),
            ));
        }
        arguments.insert(name.clone(), value.clone());
    }
    Ok(arguments)
}
