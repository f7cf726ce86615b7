//! What the person whom an agent acts for is not entitled to: by the guardrail that denies it at each call, asked beforehand.

use std::collections::BTreeSet;
use std::sync::Arc;

use remit_domain::authority::Authority;
use remit_domain::run::{Intent, Mode};
use remit_domain::tool::{DataClass, ToolRef};
use remit_domain::{Agent, Person, Registry, RunId, Timestamp, Workflow};
use remit_policy::Engine;

use crate::facts::{Who, fixed_facts};

/// Who would act, in which workflow and for whom.
#[derive(Debug, Clone, Copy)]
pub struct ActsFor<'a> {
    /// The agent.
    pub agent: &'a Arc<Agent>,
    /// Its workflow.
    pub workflow: &'a Arc<Workflow>,
    /// The person; none where it acts for itself.
    pub person: Option<&'a Arc<Person>>,
}

/// What of an authority is never let, since the person is not entitled to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Tools that it names.
    pub tools: BTreeSet<ToolRef>,
    /// Data classes that it names, which no tool gives that the person is entitled to, though some are granted.
    pub data_classes: BTreeSet<DataClass>,
}

impl Withheld {
    /// What `authority` names. Where there is no engine, everything is withheld.
    pub fn of(
        registry: &Registry,
        engine: Option<&Engine>,
        who: ActsFor<'_>,
        authority: &Authority,
        now: Timestamp,
    ) -> Self {
        let is_withheld = |tool: &ToolRef| lacks(registry, engine, who, tool, now);
        let classes = authority.data_classes.iter().flatten();
        let classes = classes.filter(|class| {
            let mut gives = who
                .workflow
                .grants
                .iter()
                .filter(|grant| grant.expires.is_none_or(|end| now < end))
                .map(|grant| &grant.tool)
                .filter(|tool| touches(registry, tool, class))
                .peekable();
            gives.peek().is_some() && gives.all(is_withheld)
        });
        let tools = authority.tools.iter().flat_map(|tools| tools.keys());
        Self {
            data_classes: classes.cloned().collect(),
            tools: tools.filter(|tool| is_withheld(tool)).cloned().collect(),
        }
    }

    /// Whether nothing is withheld.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.data_classes.is_empty()
    }

    /// One line for each, for whoever asked for more than there is.
    pub fn lines(&self) -> Vec<String> {
        let tools = self.tools.iter().map(|tool| format!("tool {tool}"));
        let classes = self.data_classes.iter();
        tools
            .chain(classes.map(|class| format!("data class {class}")))
            .map(|what| {
                format!("{what} (it asks for an entitlement that the person does not hold)")
            })
            .collect()
    }

    /// Takes it out of an authority that names it.
    pub fn take_from(&self, authority: &mut Authority) {
        if let Some(tools) = &mut authority.tools {
            tools.retain(|tool, _| !self.tools.contains(tool));
        }
        if let Some(classes) = &mut authority.data_classes {
            classes.retain(|class| !self.data_classes.contains(class));
        }
    }
}

fn touches(registry: &Registry, tool: &ToolRef, class: &DataClass) -> bool {
    let found = registry.tools.get(tool);
    let classification = found.and_then(|tool| tool.classification.as_ref());
    classification.is_some_and(|c| c.data_classes.contains(class))
}

/// Whether the guardrail stands against every call of the tool.
fn lacks(
    registry: &Registry,
    engine: Option<&Engine>,
    who: ActsFor<'_>,
    tool: &ToolRef,
    now: Timestamp,
) -> bool {
    let Some(engine) = engine else { return true };
    let found = registry.tools.get(tool);
    let classification = found.and_then(|tool| tool.classification.as_ref());
    if classification.is_none_or(|c| c.entitlements.is_empty()) {
        // Nothing is asked of anybody: not worth a decision.
        return false;
    }
    let who = Who {
        agent: Arc::clone(who.agent),
        workflow: Arc::clone(who.workflow),
        person: who.person.cloned(),
        chain: Vec::new(),
        root: RunId::from_uuid(uuid::Uuid::nil()),
        intent: Intent::default(),
        mode: Mode::Api,
        deadline: now,
        run: None,
    };
    fixed_facts(registry, &who, tool).is_some_and(|fixed| engine.lacks_entitlement(&fixed, now))
}
