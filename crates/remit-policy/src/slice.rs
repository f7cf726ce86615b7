//! Which policies can matter to which call: decided once, by their scopes, when an engine is compiled.
//!
//! Cedar evaluates every policy it is given. A policy is left out only where its scope cannot match, which Cedar would
//! find out again each time; what remains is given to Cedar unchanged, scope included.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use remit_domain::tool::{Classification, ToolRef};

use crate::entities::Types;
use crate::error::PolicyError;
use crate::load::Loaded;
use crate::quick::Quick;
use crate::schema::groups;

/// Policies that are evaluated together.
#[derive(Debug)]
pub(crate) struct Slice {
    /// All of them.
    pub(crate) all: Pair,
    /// Those that do not look at the arguments.
    pub(crate) without_args: Pair,
    /// Whether there are others.
    pub(crate) mentions_args: bool,
}

/// The same policies, one by one and with their forbids as one.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) full: PolicySet,
    pub(crate) quick: Option<Quick>,
}

impl Slice {
    pub(crate) fn of<'a>(
        policies: impl Iterator<Item = &'a Loaded> + Clone,
    ) -> Result<Self, PolicyError> {
        let pair = |policies: Vec<&'a Loaded>| {
            let full = PolicySet::from_policies(policies.iter().map(|l| l.policy.clone()));
            let full = full.map_err(|e| PolicyError::Schema(e.to_string()))?;
            Ok(Pair {
                full,
                quick: Quick::of(policies.into_iter()),
            })
        };
        Ok(Self {
            all: pair(policies.clone().collect())?,
            without_args: pair(policies.clone().filter(|l| !l.mentions_args).collect())?,
            mentions_args: policies.clone().any(|l| l.mentions_args),
        })
    }
}

/// The policies of one tool.
#[derive(Debug)]
pub(crate) struct ToolSlice {
    /// Those for every agent, by position in the list of policies.
    base: Vec<usize>,
    shared: Arc<Slice>,
    /// Those for one agent or workflow more.
    scoped: HashMap<EntityUid, Vec<usize>>,
}

impl ToolSlice {
    /// What is evaluated for that agent in that workflow.
    pub(crate) fn select(
        &self,
        policies: &[Loaded],
        agent: &EntityUid,
        workflow: &EntityUid,
    ) -> Result<Arc<Slice>, PolicyError> {
        let extra = |uid: &EntityUid| self.scoped.get(uid).map_or(&[][..], Vec::as_slice);
        let (agent, workflow) = (extra(agent), extra(workflow));
        if agent.is_empty() && workflow.is_empty() {
            return Ok(Arc::clone(&self.shared));
        }
        let chosen = self
            .base
            .iter()
            .chain(agent)
            .chain(workflow)
            .filter_map(|at| policies.get(*at));
        Slice::of(chosen).map(Arc::new)
    }
}

/// Makes slices; tools with the same policies share one.
pub(crate) struct Slicer<'a> {
    policies: &'a [Loaded],
    types: &'a Types,
    made: HashMap<Vec<usize>, Arc<Slice>>,
}

impl<'a> Slicer<'a> {
    pub(crate) fn new(policies: &'a [Loaded], types: &'a Types) -> Self {
        Self {
            policies,
            types,
            made: HashMap::new(),
        }
    }

    pub(crate) fn tool(
        &mut self,
        tool: &ToolRef,
        classification: Option<&Classification>,
    ) -> Result<ToolSlice, PolicyError> {
        let action = self.types.action(&tool.to_string());
        let mut actions: Vec<_> = groups(classification)
            .iter()
            .map(|id| self.types.action(id))
            .collect();
        actions.push(action.clone());
        let (resource, upstream) = (self.types.tool(tool), self.types.upstream(tool));
        let (mut base, mut scoped) = (Vec::new(), HashMap::<_, Vec<_>>::new());
        for (at, loaded) in self.policies.iter().enumerate() {
            let policy = &loaded.policy;
            let acts = match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(uid) => uid == action,
                ActionConstraint::In(uids) => uids.iter().any(|uid| actions.contains(uid)),
            };
            let within =
                |uid: &EntityUid| *uid == resource || *uid == upstream || self.types.is_system(uid);
            let reaches = match policy.resource_constraint() {
                ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
                ResourceConstraint::Eq(uid) => uid == resource,
                ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => within(&uid),
            };
            if !(acts && reaches) {
                continue;
            }
            match policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => base.push(at),
                PrincipalConstraint::Eq(uid)
                | PrincipalConstraint::In(uid)
                | PrincipalConstraint::IsIn(_, uid) => {
                    scoped.entry(uid).or_default().push(at);
                }
            }
        }
        let shared = match self.made.get(&base) {
            Some(made) => Arc::clone(made),
            None => {
                let slice = Arc::new(Slice::of(
                    base.iter().filter_map(|at| self.policies.get(*at)),
                )?);
                self.made.insert(base.clone(), Arc::clone(&slice));
                slice
            }
        };
        Ok(ToolSlice {
            base,
            shared,
            scoped,
        })
    }
}
