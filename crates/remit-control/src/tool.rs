//! Tools: classified by an administrator for exactly one definition, approved again from a shown diff when it changes.

use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::FindingKind;
use remit_domain::tool::{Classification, Definition, ToolRef, ToolState};
use remit_domain::upstream::UpstreamName;
use remit_domain::{Agent, Kind, Noun, RefusalCode, Registry, Role, Tool};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use crate::agent::may_widen;
use crate::draft::{Draft, Later};
use crate::error::{invalid, no_tool};
use crate::spec::ToolSpec;
use crate::{Caller, Control, ControlError, ListQuery, Listing, Saved, check, refuse};

/// A tool, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ToolView {
    /// Which tool, as `upstream/tool`.
    pub tool: ToolRef,
    /// Where it stands.
    pub state: ToolState,
    /// What an administrator declared; null while disabled.
    pub classification: Option<Classification>,
    /// Hash of the approved definition (or, while disabled, of the one found).
    pub definition_hash: String,
    /// That definition, an MCP `Tool` object.
    pub definition: Value,
    /// Hash of the definition that waits for approval.
    pub pending_hash: Option<String>,
    /// What changed from the approved definition to the one that waits, as a unified diff of their JSON.
    pub diff: Option<String>,
    /// What the server says of itself. Hints: they decide nothing.
    pub hints: Option<Value>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Tools, by name; of one upstream where one is given.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn tools(
        &self,
        caller: &Caller,
        upstream: Option<&UpstreamName>,
        query: &ListQuery,
    ) -> Result<Listing<ToolView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let wanted = registry
            .tools
            .values()
            .filter(|t| upstream.is_none_or(|u| t.tool.upstream() == u));
        Ok(query.page(wanted.map(|t| (t.key(), t.state(), t)), |t| {
            view(&registry, t)
        }))
    }

    /// One tool, with the diff when its definition changed.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn tool(&self, caller: &Caller, name: &ToolRef) -> Result<ToolView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(view(
            &registry,
            registry
                .tools
                .get(name)
                .ok_or_else(|| no_tool(&registry, name))?,
        ))
    }

    /// Classifies a tool and approves exactly the definition whose hash is named: the one found, or the pending one.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` when another definition is offered or the tool is gone,
    /// and when it has changed since `seen`; `invalid-request`, naming the field.
    pub async fn put_tool(
        &self,
        caller: &Caller,
        name: &ToolRef,
        spec: ToolSpec,
        seen: Option<u64>,
    ) -> Result<Saved<ToolView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_tool(&book.registry(), caller, name, &spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.tool(caller, name)?,
        })
    }

    pub(crate) fn draft_tool(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &ToolRef,
        spec: &ToolSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        let admin = caller.require(&[Role::Admin])?;
        let tool = registry.tools.get(name);
        let tool = tool.ok_or_else(|| no_tool(registry, name))?;
        check_spec(tool, spec)?;
        let declared = spec.classification();
        if tool
            .classification
            .as_ref()
            .is_some_and(|was| loosens(was, &declared))
        {
            for agent in granted(registry, name) {
                may_widen(registry, admin, agent)?;
            }
        }
        let next = Tool {
            tool: name.clone(),
            definition: approved(tool, &spec.definition_hash)?,
            pending: None,
            classification: Some(spec.classification()),
            state: ToolState::Enabled,
        };
        let draft = Draft::over(registry, Some(tool.as_ref()), &next, seen, |_| {
            self.classified(caller, tool, &next)
        });
        // Calls decided under what was declared before are decided again.
        let mut draft = draft?.restrict_if(tool.state != ToolState::Disabled);
        if tool.state == ToolState::Changed {
            let why = "the changed definition was approved";
            draft
                .later
                .push(Later::Settle(FindingKind::ToolChanged, next.key(), why));
        }
        Ok(draft)
    }

    /// The event that tells what a tool is now declared to be.
    fn classified(&self, caller: &Caller, tool: &Tool, next: &Tool) -> Event {
        let again = tool.state == ToolState::Changed;
        let kind = if again {
            EventKind::ToolApproved
        } else {
            EventKind::ToolClassified
        };
        let c = next.classification.as_ref();
        self.event(caller, kind)
            .about(&next.tool)
            .fact("definition_hash", &next.definition.hash)
            .fact("effect", c.map(|c| c.effect))
            .fact("external", c.is_some_and(|c| c.external))
            .content("classification", c)
            .content("before", &tool.classification)
    }

    /// Disables a tool: it is refused at once, and has to be classified anew.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` when it is not in use.
    pub async fn disable_tool(
        &self,
        caller: &Caller,
        name: &ToolRef,
        reason: &str,
    ) -> Result<ToolView, ControlError> {
        caller.require(&[Role::Admin])?;
        check::said("reason", reason)?;
        let book = self.book(&caller.org)?;
        self.settle(&caller.org, || async {
            let (tool, revision) = {
                let registry = book.registry();
                let tool = registry
                    .tools
                    .get(name)
                    .cloned()
                    .ok_or_else(|| no_tool(&registry, name))?;
                let revision = registry.revision(Kind::Tool, &tool.key()).unwrap_or(0);
                (tool, revision)
            };
            let next = disabled(&tool)?;
            let event = self
                .event(caller, EventKind::ToolDisabled)
                .about(name)
                .fact("definition_hash", &next.definition.hash)
                .content("reason", reason)
                .content("before", &tool.classification);
            let why = "the tool was disabled";
            let settled = self
                .settling(caller, FindingKind::ToolChanged, &next.key(), why)
                .await?;
            Ok((
                (),
                Change::new()
                    .update(&next, revision)
                    .event(event)
                    .and(settled)
                    .restrict(),
            ))
        })
        .await?;
        self.tool(caller, name)
    }
}

/// The tool out of use.
fn disabled(tool: &Tool) -> Result<Tool, ControlError> {
    Ok(match (tool.state, &tool.classification) {
        (ToolState::Enabled, _) => Tool {
            classification: None,
            state: ToolState::Disabled,
            ..Tool::clone(tool)
        },
        // What it is offered as now is what may be classified next.
        (ToolState::Changed, _) => Tool {
            definition: tool
                .pending
                .clone()
                .unwrap_or_else(|| tool.definition.clone()),
            pending: None,
            classification: None,
            state: ToolState::Disabled,
            tool: tool.tool.clone(),
        },
        // Gone and once approved: if it is offered again, it comes back disabled.
        (ToolState::Gone, Some(_)) => Tool {
            classification: None,
            pending: None,
            ..Tool::clone(tool)
        },
        (ToolState::Disabled | ToolState::Gone, _) => {
            return Err(refuse(
                RefusalCode::Conflict,
                format!(
                    "tool `{}` is {}, not in use",
                    tool.tool,
                    tool.state.as_str()
                ),
            ));
        }
    })
}

/// The definition with that hash, where it is one that may be approved now.
fn approved(tool: &Tool, hash: &str) -> Result<Definition, ControlError> {
    let name = &tool.tool;
    let offered = match tool.state {
        ToolState::Gone => {
            let text = format!("tool `{name}` is no longer offered by its upstream; sync it first");
            return Err(refuse(RefusalCode::Conflict, text));
        }
        ToolState::Changed => tool.pending.as_ref().unwrap_or(&tool.definition),
        ToolState::Disabled | ToolState::Enabled => &tool.definition,
    };
    if offered.hash == hash {
        return Ok(offered.clone());
    }
    let hash: String = hash.chars().take(80).collect();
    let text = format!(
        "tool `{name}` is offered with definition {}, not `{hash}`; read it and name that hash",
        offered.hash
    );
    Err(refuse(RefusalCode::Conflict, text))
}

/// Whether a tool counts as less than before: guardrails and policies ask for less then, of every agent that is granted it.
fn loosens(was: &Classification, now: &Classification) -> bool {
    was.effect != now.effect
        || (was.external && !now.external)
        || (was.untrusted_content && !now.untrusted_content)
        || !was.data_classes.is_subset(&now.data_classes)
        || !was.entitlements.is_subset(&now.entitlements)
        || was
            .targets
            .iter()
            .any(|(path, kind)| now.targets.get(path) != Some(kind))
}

/// Agents that are granted a tool.
fn granted<'a>(registry: &'a Registry, tool: &ToolRef) -> impl Iterator<Item = &'a Agent> {
    let grants = registry
        .workflows
        .values()
        .filter(|w| w.grants.iter().any(|g| g.tool == *tool))
        .map(|w| &w.agent)
        .collect::<std::collections::BTreeSet<_>>();
    grants
        .into_iter()
        .filter_map(|id| registry.agents.get(id).map(AsRef::as_ref))
}

/// What stands against classifying `tool` so.
pub(crate) fn check_spec(tool: &Tool, spec: &ToolSpec) -> Result<(), ControlError> {
    check::list("data_classes", spec.data_classes.len())?;
    check::list("entitlements", spec.entitlements.len())?;
    check::list("targets", spec.targets.len())?;
    check::list("show", spec.show.len())?;
    check_paths(&approved(tool, &spec.definition_hash)?, spec)
}

/// Arguments that a classification names have to be arguments the tool has, where it lists them: a mistyped target would
/// refuse every call that changes something.
fn check_paths(definition: &Definition, spec: &ToolSpec) -> Result<(), ControlError> {
    let schema = definition.body.get("inputSchema");
    let open = schema
        .and_then(|s| s.get("additionalProperties"))
        .is_some_and(|a| *a != Value::Bool(false));
    let Some(properties) = schema
        .and_then(|s| s.get("properties"))
        .and_then(Value::as_object)
    else {
        return Ok(());
    };
    let named = spec
        .targets
        .keys()
        .map(|p| ("targets", p))
        .chain(spec.show.iter().map(|p| ("show", p)));
    for (field, path) in named {
        let first = path.as_str().split('.').next().unwrap_or_default();
        if !open && !properties.contains_key(first) {
            return Err(invalid(field, format!("the tool has no argument `{path}`")));
        }
    }
    Ok(())
}

fn view(registry: &Registry, tool: &Tool) -> ToolView {
    ToolView {
        tool: tool.tool.clone(),
        state: tool.state,
        classification: tool.classification.clone(),
        definition_hash: tool.definition.hash.clone(),
        definition: tool.definition.body.clone(),
        pending_hash: tool.pending.as_ref().map(|p| p.hash.clone()),
        diff: tool
            .pending
            .as_ref()
            .map(|pending| diff(&tool.definition, pending)),
        hints: tool
            .pending
            .as_ref()
            .unwrap_or(&tool.definition)
            .body
            .get("annotations")
            .cloned(),
        revision: registry.revision(Kind::Tool, &tool.key()).unwrap_or(0),
    }
}

/// A unified diff of two definitions' JSON, keys in one order.
fn diff(old: &Definition, new: &Definition) -> String {
    let text = |d: &Definition| format!("{:#}\n", d.body);
    let (before, after) = (text(old), text(new));
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(3)
        .header(
            &format!("approved {}", old.hash),
            &format!("offered {}", new.hash),
        )
        .to_string()
}
