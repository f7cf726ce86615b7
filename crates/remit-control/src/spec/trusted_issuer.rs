//! Trusted issuers.

use std::collections::{BTreeMap, BTreeSet};

use remit_domain::Registry;
use remit_domain::name::{Email, Name};
use remit_domain::trusted_issuer::{
    Identities, KeySource, LIFETIME_SECS, RequiredClaims, SignatureAlgorithm, SubjectPattern,
    TrustedIssuer,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::any::{Reference, References};
use super::workflow::WorkflowRef;

/// A trusted issuer: whose tokens say what a workload is, and which agent and workflow it is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuerSpec {
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
    /// Its `iss`, exactly as its tokens have it: https, without query or fragment.
    pub issuer: String,
    /// Where its keys come from: `discovery: {}` (its metadata), `jwks_uri: URL`, `jwks: {keys: [...]}` (from here), `spiffe_bundle: URL`
    /// or `https_spiffe: {url, endpoint_spiffe_id, bundle}` (the bundle of a SPIFFE trust domain).
    #[serde(default = "discovery")]
    pub keys: KeySource,
    /// What its tokens have as their one `aud`; this organization's issuer where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// How its tokens may be signed.
    pub algorithms: BTreeSet<SignatureAlgorithm>,
    /// Longest remaining life of a token, in seconds; an hour where absent.
    #[serde(default = "lifetime")]
    pub lifetime_secs_max: i64,
    /// Which workloads are which agents; nobody where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<WorkloadRuleSpec>,
    /// Whom it may let agents act for, by identity assertions (ID-JAG); nobody where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<IdentitiesSpec>,
    /// Why, for people.
    pub reason: String,
    /// Whether it is trusted now.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

/// Which workloads are which agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRuleSpec {
    /// Their subjects (`sub`): text in which `*` stands for one or more characters without `:` and `/`.
    pub subject: SubjectPattern,
    /// Claims that all of them have, each with the values it may have. A name that begins with `/` is a JSON Pointer.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub claims: RequiredClaims,
    /// The agent that they are.
    pub agent: Name,
    /// In which of its workflows.
    pub workflow: Name,
}

/// Whom an identity provider may let agents act for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentitiesSpec {
    /// Which people its subjects (`sub`) are, by address.
    pub people: BTreeMap<String, Email>,
    /// In which workflows, as `agent/workflow`.
    pub workflows: BTreeSet<WorkflowRef>,
}

fn discovery() -> KeySource {
    KeySource::Discovery {}
}

fn lifetime() -> i64 {
    LIFETIME_SECS
}

impl TrustedIssuerSpec {
    /// As it is now; none when an agent or workflow it names is not known any more.
    pub fn of(registry: &Registry, issuer: &TrustedIssuer) -> Option<Self> {
        let rules = issuer.rules.iter().map(|rule| {
            Some(WorkloadRuleSpec {
                subject: rule.subject.clone(),
                claims: rule.claims.clone(),
                agent: registry.agents.get(&rule.agent)?.name.clone(),
                workflow: registry.workflows.get(&rule.workflow)?.name.clone(),
            })
        });
        Some(Self {
            description: issuer.description.clone(),
            issuer: issuer.issuer.clone(),
            keys: issuer.keys.clone(),
            audience: issuer.audience.clone(),
            algorithms: issuer.algorithms.clone(),
            lifetime_secs_max: issuer.lifetime_secs_max,
            rules: rules.collect::<Option<_>>()?,
            identities: match &issuer.identities {
                Some(identities) => Some(IdentitiesSpec::of(registry, identities)?),
                None => None,
            },
            reason: issuer.reason.clone(),
            enabled: issuer.enabled,
        })
    }
}

impl IdentitiesSpec {
    fn of(registry: &Registry, identities: &Identities) -> Option<Self> {
        let people = identities.people.iter();
        let people =
            people.map(|(sub, id)| Some((sub.clone(), registry.people.get(id)?.email.clone())));
        let workflows = identities.workflows.iter().map(|id| {
            let workflow = registry.workflows.get(id)?;
            Some(WorkflowRef {
                agent: registry.agents.get(&workflow.agent)?.name.clone(),
                workflow: workflow.name.clone(),
            })
        });
        Some(Self {
            people: people.collect::<Option<_>>()?,
            workflows: workflows.collect::<Option<_>>()?,
        })
    }
}

impl References for TrustedIssuerSpec {
    fn references(&self) -> Vec<Reference> {
        let rules = self.rules.iter().map(|rule| {
            let workflow = WorkflowRef {
                agent: rule.agent.clone(),
                workflow: rule.workflow.clone(),
            };
            Reference::workflow("rules", &workflow)
        });
        let identities = self.identities.iter();
        let identities = identities.flat_map(|i| {
            let people = i.people.values();
            let people = people.map(|email| Reference::person("identities", email));
            let workflows = i.workflows.iter();
            people.chain(workflows.map(|w| Reference::workflow("identities", w)))
        });
        rules.chain(identities).collect()
    }
}
