//! A document's spec, of whichever kind, and what it refers to.

use remit_books::OrgBook;
use remit_domain::name::{Email, Name};
use remit_domain::tool::ToolRef;
use serde_json::Value;

use super::{
    AgentSpec, AuthorizationServerSpec, DocumentKind, EnforcementPointSpec, FreezeSpec, LimitSpec,
    OrganizationSpec, PersonSpec, PolicySetSpec, SettingName, SettingSpec, SystemSpec, TeamSpec,
    ToolSpec, TrustedIssuerSpec, UpstreamSpec, WorkflowRef, WorkflowSpec,
};

/// Something a spec refers to by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    /// In which field.
    pub(crate) field: &'static str,
    /// What kind of thing.
    pub(crate) kind: DocumentKind,
    /// Its full name (`agent/workflow` for workflows).
    pub(crate) name: String,
}

impl Reference {
    pub(super) fn person(field: &'static str, email: &Email) -> Self {
        Self {
            field,
            kind: DocumentKind::Person,
            name: email.to_string(),
        }
    }
    pub(super) fn team(field: &'static str, name: &Name) -> Self {
        Self {
            field,
            kind: DocumentKind::Team,
            name: name.to_string(),
        }
    }
    pub(super) fn system(field: &'static str, name: &Name) -> Self {
        Self {
            field,
            kind: DocumentKind::System,
            name: name.to_string(),
        }
    }
    pub(super) fn agent(field: &'static str, name: &Name) -> Self {
        Self {
            field,
            kind: DocumentKind::Agent,
            name: name.to_string(),
        }
    }
    pub(super) fn tool(field: &'static str, tool: &ToolRef) -> Self {
        Self {
            field,
            kind: DocumentKind::Tool,
            name: tool.to_string(),
        }
    }
    pub(super) fn workflow(field: &'static str, workflow: &WorkflowRef) -> Self {
        Self {
            field,
            kind: DocumentKind::Workflow,
            name: workflow.to_string(),
        }
    }

    /// Whether it is in the registry.
    pub(crate) fn is_known(&self, book: &OrgBook) -> bool {
        let registry = book.registry();
        match self.kind {
            DocumentKind::Person => registry
                .person_named(&self.name)
                .is_some_and(|p| p.is_active()),
            DocumentKind::Team => registry.team_named(&self.name).is_some(),
            DocumentKind::System => registry.system_named(&self.name).is_some(),
            DocumentKind::Agent => registry.agent_named(&self.name).is_some(),
            DocumentKind::Upstream => registry.upstreams.keys().any(|u| u.as_str() == self.name),
            DocumentKind::Tool => self
                .name
                .parse::<ToolRef>()
                .is_ok_and(|t| registry.tools.contains_key(&t)),
            DocumentKind::Workflow => self.name.parse::<WorkflowRef>().is_ok_and(|w| {
                let agent = registry.agent_named(w.agent.as_str());
                agent.is_some_and(|a| {
                    registry
                        .workflow_named(&a.id, w.workflow.as_str())
                        .is_some()
                })
            }),
            DocumentKind::Organization
            | DocumentKind::PolicySet
            | DocumentKind::Setting
            | DocumentKind::Limit
            | DocumentKind::Freeze
            | DocumentKind::EnforcementPoint
            | DocumentKind::TrustedIssuer
            | DocumentKind::AuthorizationServer => false,
        }
    }
}

/// What a spec refers to.
pub(crate) trait References {
    /// Everything it names.
    fn references(&self) -> Vec<Reference>;
}

/// A document's name and spec.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each variant is the kind of the same name: its name and its spec"
)]
pub enum AnySpec {
    Organization(Name, OrganizationSpec),
    Team(Name, TeamSpec),
    Person(Email, PersonSpec),
    System(Name, SystemSpec),
    Upstream(remit_domain::upstream::UpstreamName, UpstreamSpec),
    Tool(ToolRef, ToolSpec),
    Agent(Name, AgentSpec),
    Workflow(WorkflowRef, WorkflowSpec),
    PolicySet(Name, PolicySetSpec),
    Setting(SettingName, SettingSpec),
    Limit(Name, LimitSpec),
    Freeze(Name, FreezeSpec),
    EnforcementPoint(Name, EnforcementPointSpec),
    TrustedIssuer(Name, TrustedIssuerSpec),
    AuthorizationServer(Name, AuthorizationServerSpec),
}

impl AnySpec {
    /// Its kind.
    pub fn kind(&self) -> DocumentKind {
        match self {
            Self::Organization(..) => DocumentKind::Organization,
            Self::Team(..) => DocumentKind::Team,
            Self::Person(..) => DocumentKind::Person,
            Self::System(..) => DocumentKind::System,
            Self::Upstream(..) => DocumentKind::Upstream,
            Self::Tool(..) => DocumentKind::Tool,
            Self::Agent(..) => DocumentKind::Agent,
            Self::Workflow(..) => DocumentKind::Workflow,
            Self::PolicySet(..) => DocumentKind::PolicySet,
            Self::Setting(..) => DocumentKind::Setting,
            Self::Limit(..) => DocumentKind::Limit,
            Self::Freeze(..) => DocumentKind::Freeze,
            Self::EnforcementPoint(..) => DocumentKind::EnforcementPoint,
            Self::TrustedIssuer(..) => DocumentKind::TrustedIssuer,
            Self::AuthorizationServer(..) => DocumentKind::AuthorizationServer,
        }
    }

    /// Its full name, unique within its kind.
    pub fn name(&self) -> String {
        match self {
            Self::Organization(n, _)
            | Self::Team(n, _)
            | Self::System(n, _)
            | Self::Agent(n, _)
            | Self::Limit(n, _)
            | Self::Freeze(n, _)
            | Self::EnforcementPoint(n, _)
            | Self::TrustedIssuer(n, _)
            | Self::AuthorizationServer(n, _)
            | Self::PolicySet(n, _) => n.to_string(),
            Self::Setting(n, _) => n.to_string(),
            Self::Person(n, _) => n.to_string(),
            Self::Upstream(n, _) => n.to_string(),
            Self::Tool(n, _) => n.to_string(),
            Self::Workflow(n, _) => n.to_string(),
        }
    }

    /// What it refers to, its own agent or upstream included.
    pub(crate) fn references(&self) -> Vec<Reference> {
        let own = |kind, name: String| Reference {
            field: "metadata",
            kind,
            name,
        };
        match self {
            Self::Organization(..) | Self::Team(..) | Self::PolicySet(..) => Vec::new(),
            Self::Setting(n, _) => n.references(),
            Self::Limit(_, s) => s.references(),
            Self::Freeze(_, s) => s.references(),
            Self::EnforcementPoint(_, s) => s.references(),
            Self::TrustedIssuer(_, s) => s.references(),
            Self::AuthorizationServer(_, s) => s.references(),
            Self::Person(_, s) => s.references(),
            Self::System(_, s) => s.references(),
            Self::Upstream(_, s) => s.references(),
            Self::Tool(n, _) => vec![own(DocumentKind::Upstream, n.upstream().to_string())],
            Self::Agent(_, s) => s.references(),
            Self::Workflow(n, s) => std::iter::once(own(DocumentKind::Agent, n.agent.to_string()))
                .chain(s.references())
                .collect(),
        }
    }

    /// The same name with the spec that is there now; none where there is none.
    pub(crate) fn current(&self, book: &OrgBook) -> Option<Self> {
        let registry = book.registry();
        Some(match self {
            Self::Organization(n, _) => {
                let organization = registry.organization.as_ref().filter(|o| o.name == *n)?;
                Self::Organization(n.clone(), OrganizationSpec::of(organization))
            }
            Self::Team(n, _) => registry
                .team_named(n.as_str())
                .map(|team| Self::Team(n.clone(), TeamSpec::of(team)))?,
            Self::Person(n, _) => Self::Person(
                n.clone(),
                PersonSpec::of(&registry, registry.person_named(n.as_str())?),
            ),
            Self::System(n, _) => Self::System(
                n.clone(),
                SystemSpec::of(&registry, registry.system_named(n.as_str())?)?,
            ),
            Self::Upstream(n, _) => Self::Upstream(
                n.clone(),
                UpstreamSpec::of(&registry, registry.upstreams.get(n)?)?,
            ),
            Self::Tool(n, _) => Self::Tool(n.clone(), ToolSpec::of(registry.tools.get(n)?)?),
            Self::Agent(n, _) => Self::Agent(
                n.clone(),
                AgentSpec::of(&registry, registry.agent_named(n.as_str())?)?,
            ),
            Self::Workflow(n, _) => {
                let agent = registry.agent_named(n.agent.as_str())?;
                let workflow = registry.workflow_named(&agent.id, n.workflow.as_str())?;
                Self::Workflow(n.clone(), WorkflowSpec::of(&registry, workflow))
            }
            Self::Setting(n, _) => {
                let key = n.scope(&registry)?.key();
                let setting = registry.settings.get(&key)?;
                Self::Setting(n.clone(), SettingSpec::of(setting))
            }
            Self::Limit(n, _) => {
                let limit = registry.limits.get(n)?;
                Self::Limit(n.clone(), LimitSpec::of(&registry, limit)?)
            }
            Self::Freeze(n, _) => {
                let freeze = registry.freezes.get(n)?;
                Self::Freeze(n.clone(), FreezeSpec::of(&registry, freeze)?)
            }
            Self::EnforcementPoint(n, _) => {
                let point = registry.enforcement_point_named(n.as_str())?;
                Self::EnforcementPoint(n.clone(), EnforcementPointSpec::of(&registry, point)?)
            }
            Self::AuthorizationServer(n, _) => {
                let server = registry.authorization_server_named(n.as_str())?;
                Self::AuthorizationServer(
                    n.clone(),
                    AuthorizationServerSpec::of(&registry, server)?,
                )
            }
            Self::TrustedIssuer(n, _) => {
                let issuer = registry.trusted_issuer_named(n.as_str())?;
                Self::TrustedIssuer(n.clone(), TrustedIssuerSpec::of(&registry, issuer)?)
            }
            Self::PolicySet(n, _) => {
                let sets = book.policy_sets();
                Self::PolicySet(
                    n.clone(),
                    PolicySetSpec::of(sets.iter().find(|s| s.name == *n)?),
                )
            }
        })
    }

    /// With what nobody says left as it is, and what is implied said: what would be there after writing it.
    #[must_use]
    pub(crate) fn settled(self, current: Option<&Self>) -> Self {
        match (self, current) {
            (Self::Agent(n, s), Some(Self::Agent(_, now))) => Self::Agent(n, s.settled(Some(now))),
            (Self::Tool(n, s), _) => Self::Tool(n, s.settled()),
            (other, _) => other,
        }
    }

    /// The spec as JSON, for comparing field by field.
    pub(crate) fn body(&self) -> Value {
        let body = match self {
            Self::Organization(_, s) => serde_json::to_value(s),
            Self::Team(_, s) => serde_json::to_value(s),
            Self::Person(_, s) => serde_json::to_value(s),
            Self::System(_, s) => serde_json::to_value(s),
            Self::Upstream(_, s) => serde_json::to_value(s),
            Self::Tool(_, s) => serde_json::to_value(s),
            Self::Agent(_, s) => serde_json::to_value(s),
            Self::Workflow(_, s) => serde_json::to_value(s),
            Self::PolicySet(_, s) => serde_json::to_value(s),
            Self::Setting(_, s) => serde_json::to_value(s),
            Self::Limit(_, s) => serde_json::to_value(s),
            Self::Freeze(_, s) => serde_json::to_value(s),
            Self::EnforcementPoint(_, s) => serde_json::to_value(s),
            Self::TrustedIssuer(_, s) => serde_json::to_value(s),
            Self::AuthorizationServer(_, s) => serde_json::to_value(s),
        };
        // A spec has string keys and finite numbers only, which always are JSON.
        body.unwrap_or(Value::Null)
    }
}
