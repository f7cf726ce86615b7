//! Which policies can matter to which call: decided once, by their scopes, when an engine is compiled.
//!
//! Cedar evaluates every policy it is given. A policy is left out only where its scope cannot match, which Cedar would
//! find out again each time; what remains is given to Cedar unchanged, scope included.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cedar_policy::{
    ActionConstraint, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use remit_domain::tool::{Classification, ToolRef};

use crate::entities::Types;
use crate::load::Loaded;
use crate::schema::groups;

/// Policies that are evaluated together.
#[derive(Debug)]
pub(crate) struct Slice {
    /// All of them.
    pub(crate) all: Chosen,
    /// Those that do not look at the arguments.
    pub(crate) without_args: Chosen,
    /// Whether there are others.
    pub(crate) mentions_args: bool,
}

/// Policies by position in the list of them.
#[derive(Debug)]
pub(crate) struct Chosen {
    at: Vec<usize>,
    /// Made when it is first needed: most calls never need it.
    full: OnceLock<Option<PolicySet>>,
}

impl Chosen {
    fn of(at: Vec<usize>) -> Self {
        let full = OnceLock::new();
        Self { at, full }
    }

    /// With these besides.
    fn and(&self, more: &Self) -> Self {
        Self::of(self.at.iter().chain(&more.at).copied().collect())
    }

    /// All of them, as Cedar takes them. None where it does not take them together, which the engine they come from rules out.
    pub(crate) fn full(&self, policies: &[Loaded]) -> Option<&PolicySet> {
        let chosen = self.at.iter().filter_map(|at| policies.get(*at));
        let made = || PolicySet::from_policies(chosen.map(|l| l.policy.clone())).ok();
        self.full.get_or_init(made).as_ref()
    }

    /// Where they are, in the list of policies.
    pub(crate) fn positions(&self) -> &[usize] {
        &self.at
    }
}

impl Slice {
    fn of(policies: &[Loaded], at: Vec<usize>) -> Self {
        let looks = |at: &usize| policies.get(*at).is_some_and(|l| l.mentions_args);
        let without_args = at.iter().copied().filter(|at| !looks(at)).collect();
        Self {
            mentions_args: at.iter().any(looks),
            without_args: Chosen::of(without_args),
            all: Chosen::of(at),
        }
    }

    fn and(&self, more: &Self) -> Self {
        Self {
            all: self.all.and(&more.all),
            without_args: self.without_args.and(&more.without_args),
            mentions_args: self.mentions_args || more.mentions_args,
        }
    }
}

/// The policies of one tool.
#[derive(Debug)]
pub(crate) struct ToolSlice {
    /// Those for every agent.
    shared: Arc<Slice>,
    /// Those for one agent or workflow more, by position in the list of policies.
    scoped: HashMap<EntityUid, Vec<usize>>,
}

impl ToolSlice {
    /// What is evaluated for that agent in that workflow.
    pub(crate) fn select(
        &self,
        policies: &[Loaded],
        agent: &EntityUid,
        workflow: &EntityUid,
    ) -> Arc<Slice> {
        let extra = |uid: &EntityUid| self.scoped.get(uid).map_or(&[][..], Vec::as_slice);
        let own = [extra(agent), extra(workflow)].concat();
        match own.is_empty() {
            true => Arc::clone(&self.shared),
            false => Arc::new(self.shared.and(&Slice::of(policies, own))),
        }
    }
}

/// What a policy's scope says of the call, read once.
struct Scope {
    action: ActionConstraint,
    resource: ResourceConstraint,
    principal: PrincipalConstraint,
}

/// Makes slices; tools that the same policies are about share one, but for the policies that are about one tool alone.
pub(crate) struct Slicer<'a> {
    policies: &'a [Loaded],
    types: &'a Types,
    scopes: Vec<Scope>,
    made: HashMap<Vec<usize>, Arc<Slice>>,
}

impl<'a> Slicer<'a> {
    pub(crate) fn new(policies: &'a [Loaded], types: &'a Types) -> Self {
        let scope = |loaded: &Loaded| Scope {
            action: loaded.policy.action_constraint(),
            resource: loaded.policy.resource_constraint(),
            principal: loaded.policy.principal_constraint(),
        };
        Self {
            policies,
            types,
            scopes: policies.iter().map(scope).collect(),
            made: HashMap::new(),
        }
    }

    pub(crate) fn tool(
        &mut self,
        tool: &ToolRef,
        classification: Option<&Classification>,
    ) -> ToolSlice {
        let action = self.types.action(&tool.to_string());
        let mut actions: Vec<_> = groups(classification)
            .iter()
            .map(|id| self.types.action(id))
            .collect();
        actions.push(action.clone());
        let (resource, upstream) = (self.types.tool(tool), self.types.upstream(tool));
        let within =
            |uid: &EntityUid| *uid == resource || *uid == upstream || self.types.is_system(uid);
        let (mut wide, mut of_tool) = (Vec::new(), Vec::new());
        let mut scoped = HashMap::<_, Vec<_>>::new();
        for (at, scope) in self.scopes.iter().enumerate() {
            let acts = match &scope.action {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(uid) => *uid == action,
                ActionConstraint::In(uids) => uids.iter().any(|uid| actions.contains(uid)),
            };
            let reaches = match &scope.resource {
                ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
                ResourceConstraint::Eq(uid) => *uid == resource,
                ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => within(uid),
            };
            if !(acts && reaches) {
                continue;
            }
            let is_of_tool = matches!(scope.action, ActionConstraint::Eq(_))
                || matches!(scope.resource, ResourceConstraint::Eq(_));
            match &scope.principal {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) if is_of_tool => {
                    of_tool.push(at);
                }
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => wide.push(at),
                PrincipalConstraint::Eq(uid)
                | PrincipalConstraint::In(uid)
                | PrincipalConstraint::IsIn(_, uid) => {
                    scoped.entry(uid.clone()).or_default().push(at);
                }
            }
        }
        let wide = self
            .made
            .entry(wide)
            .or_insert_with_key(|wide| Arc::new(Slice::of(self.policies, wide.clone())));
        ToolSlice {
            shared: match of_tool.is_empty() {
                true => Arc::clone(wide),
                false => Arc::new(wide.and(&Slice::of(self.policies, of_tool))),
            },
            scoped,
        }
    }
}
