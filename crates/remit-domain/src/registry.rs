//! The registry of one organization as it is now, in memory: what `resolve` looks at, once, for each call.
//!
//! Values are shared; taking what a call needs copies pointers. Ended runs, revoked delegations and settled approvals
//! are dropped: whoever asks for one that is not here reads the store.

mod index;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use index::Index;

use crate::authorization_server::AuthorizationServer;
use crate::breaker::Breaker;
use crate::containment::{Containment, Target};
use crate::credential::AgentKey;
use crate::delegation::{Delegation, DelegationState};
use crate::directory::{DirectoryGroup, ScimClient};
use crate::enforcement_point::EnforcementPoint;
use crate::finding::Finding;
use crate::freeze::Freeze;
use crate::hygiene::CredentialUse;
use crate::limit::Limit;
use crate::name::Name;
use crate::organization::Team;
use crate::run::RunState;
use crate::secret::Secret;
use crate::setting::Setting;
use crate::signal::{SignalReceiver, SignalStream, SignalTransmitter};
use crate::system::System;
use crate::ticket::Ticket;
use crate::tool::ToolRef;
use crate::trusted_issuer::TrustedIssuer;
use crate::upstream::UpstreamName;
use crate::{
    Agent, AgentId, AuthorizationServerId, ContainmentId, DelegationId, DirectoryGroupId,
    EnforcementPointId, FindingId, Kind, Noun, OrgId, Organization, Person, PersonId, Run, RunId,
    ScimClientId, SignalReceiverId, SignalStreamId, SignalTransmitterId, SystemId, TeamId, Tool,
    TrustedIssuerId, Upstream, Workflow, WorkflowId,
};

/// A record whose body is not what its kind says: the store is inconsistent, and nothing is decided on it.
#[derive(Debug, thiserror::Error)]
#[error("record {kind} `{key}` cannot be read; restore it from a backup")]
pub struct UnreadableRecord {
    kind: &'static str,
    key: String,
    #[source]
    source: serde_json::Error,
}

/// The registry of one organization.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// Containment epoch it was read at.
    pub epoch: u64,
    /// The organization itself.
    pub organization: Option<Arc<Organization>>,
    /// Teams.
    pub teams: HashMap<TeamId, Arc<Team>>,
    /// People, departed ones included.
    pub people: HashMap<PersonId, Arc<Person>>,
    /// Systems.
    pub systems: HashMap<SystemId, Arc<System>>,
    /// Agents in every state.
    pub agents: HashMap<AgentId, Arc<Agent>>,
    /// Keys in every state, by thumbprint.
    pub keys: HashMap<String, Arc<AgentKey>>,
    /// Workflows.
    pub workflows: HashMap<WorkflowId, Arc<Workflow>>,
    /// Upstreams.
    pub upstreams: HashMap<UpstreamName, Arc<Upstream>>,
    /// Tools.
    pub tools: HashMap<ToolRef, Arc<Tool>>,
    /// Runs that have not ended.
    pub runs: HashMap<RunId, Arc<Run>>,
    /// Delegations that were not revoked.
    pub delegations: HashMap<DelegationId, Arc<Delegation>>,
    /// Containments that were not lifted.
    pub containments: HashMap<ContainmentId, Arc<Containment>>,
    /// Settings by key, removed ones included.
    pub settings: HashMap<String, Arc<Setting>>,
    /// Limits by name, disabled ones included.
    pub limits: BTreeMap<Name, Arc<Limit>>,
    /// Freezes and windows by name, disabled ones included.
    pub freezes: BTreeMap<Name, Arc<Freeze>>,
    /// Enforcement points, disabled ones included.
    pub enforcement_points: BTreeMap<EnforcementPointId, Arc<EnforcementPoint>>,
    /// Clients of the SCIM interface, revoked ones included.
    pub scim_clients: BTreeMap<ScimClientId, Arc<ScimClient>>,
    /// Issuers of other tokens that are trusted here, disabled ones included.
    pub trusted_issuers: BTreeMap<TrustedIssuerId, Arc<TrustedIssuer>>,
    /// Authorization servers of others, disabled ones included.
    pub authorization_servers: BTreeMap<AuthorizationServerId, Arc<AuthorizationServer>>,
    /// Secrets, without their values, by name; disabled and deleted ones included.
    pub secrets: BTreeMap<Name, Arc<Secret>>,
    /// Groups of directories that were not removed.
    pub directory_groups: BTreeMap<DirectoryGroupId, Arc<DirectoryGroup>>,
    /// Who hears what happens here, revoked ones included.
    pub signal_receivers: BTreeMap<SignalReceiverId, Arc<SignalReceiver>>,
    /// Streams of signals that were not deleted.
    pub signal_streams: BTreeMap<SignalStreamId, Arc<SignalStream>>,
    /// Whose signals are heard here, revoked ones included.
    pub signal_transmitters: BTreeMap<SignalTransmitterId, Arc<SignalTransmitter>>,
    /// When credentials and grants were last used, by what they are known by.
    pub uses: HashMap<String, Arc<CredentialUse>>,
    /// What is known of tickets, by id.
    pub tickets: HashMap<String, Arc<Ticket>>,
    /// The breaker, where somebody has set it.
    pub breaker: Option<Arc<Breaker>>,
    /// Findings that are open, by what they are about.
    pub findings: HashMap<String, BTreeMap<FindingId, Arc<Finding>>>,
    /// Revision of each record that `apply` saw, for content-addressed facts and ETags.
    revisions: HashMap<(Kind, String), u64>,
    names: HashMap<(Kind, String), String>,
    index: Index,
    generation: u64,
    secrets_moved: u64,
    ended: VecDeque<String>,
}

/// Ended runs whose last revision is remembered.
const ENDED_KEPT: usize = 50_000;

impl Registry {
    /// Takes in one record as it is now.
    ///
    /// # Errors
    /// [`UnreadableRecord`] when the body is not of its kind; the registry is unchanged then.
    pub fn apply(
        &mut self,
        kind: Kind,
        key: &str,
        revision: u64,
        body: &Value,
    ) -> Result<(), UnreadableRecord> {
        let seen = self.revisions.get(&(kind, key.to_owned()));
        if seen.is_some_and(|seen| *seen >= revision) {
            return Ok(());
        }
        let taken = self.take(kind, body).map_err(|source| UnreadableRecord {
            kind: kind.as_str(),
            key: key.to_owned(),
            source,
        })?;
        if taken {
            let passing = matches!(
                kind,
                Kind::Run
                    | Kind::Delegation
                    | Kind::Containment
                    | Kind::AgentKey
                    | Kind::Ticket
                    | Kind::Breaker
                    | Kind::EnforcementPoint
                    | Kind::TrustedIssuer
                    | Kind::AuthorizationServer
                    | Kind::ScimClient
                    | Kind::DirectoryGroup
                    | Kind::CredentialUse
                    | Kind::SignalReceiver
                    | Kind::SignalStream
                    | Kind::SignalTransmitter
                    | Kind::Secret
            );
            self.generation += u64::from(!passing);
            self.secrets_moved += u64::from(kind == Kind::Secret);
            self.revisions.insert((kind, key.to_owned()), revision);
        }
        Ok(())
    }

    /// Takes in a body; says whether records of its kind are kept here.
    fn take(&mut self, kind: Kind, body: &Value) -> Result<bool, serde_json::Error> {
        macro_rules! keep {
            ($map:ident, $($key:ident).+: $noun:ty) => {{
                let noun: Arc<$noun> = self.named(body)?;
                self.$map.insert(noun.$($key).+.clone(), noun);
            }};
        }
        match kind {
            Kind::Organization => self.organization = Some(read(body)?),
            Kind::Team => keep!(teams, id: Team),
            Kind::Person => keep!(people, id: Person),
            Kind::System => keep!(systems, id: System),
            Kind::Agent => {
                let agent = self.named(body)?;
                self.take_agent(agent);
            }
            Kind::AgentKey => {
                let key: Arc<AgentKey> = self.named(body)?;
                self.index.key(&key.agent, &key.thumbprint);
                self.keys.insert(key.thumbprint.clone(), key);
            }
            Kind::Workflow => {
                let workflow = self.named(body)?;
                self.take_workflow(workflow);
            }
            Kind::Upstream => keep!(upstreams, name: Upstream),
            Kind::Tool => keep!(tools, tool: Tool),
            Kind::Run => self.take_run(read(body)?),
            Kind::Delegation => self.take_delegation(read(body)?),
            Kind::Containment => self.take_containment(read(body)?),
            Kind::Setting => self.take_setting(read(body)?),
            Kind::Limit => keep!(limits, quota.name: Limit),
            Kind::Freeze => keep!(freezes, time.name: Freeze),
            Kind::Ticket => keep!(tickets, id: Ticket),
            Kind::EnforcementPoint => keep!(enforcement_points, id: EnforcementPoint),
            Kind::AuthorizationServer => keep!(authorization_servers, id: AuthorizationServer),
            Kind::TrustedIssuer => keep!(trusted_issuers, id: TrustedIssuer),
            Kind::Secret => keep!(secrets, name: Secret),
            Kind::ScimClient => keep!(scim_clients, id: ScimClient),
            Kind::DirectoryGroup => self.take_group(read(body)?),
            Kind::CredentialUse => keep!(uses, id: CredentialUse),
            Kind::SignalReceiver => keep!(signal_receivers, id: SignalReceiver),
            Kind::SignalTransmitter => keep!(signal_transmitters, id: SignalTransmitter),
            Kind::SignalStream => self.take_stream(read(body)?),
            Kind::Breaker => self.breaker = Some(read(body)?),
            Kind::Finding => self.take_finding(read(body)?),
            Kind::Token
            | Kind::Svid
            | Kind::PersonToken
            | Kind::Enrolment
            | Kind::Approval
            | Kind::PolicySet
            | Kind::PolicyBundle
            | Kind::PolicyProposal
            | Kind::PolicyStage
            | Kind::PolicyException
            | Kind::Declassification
            | Kind::SigningKey
            | Kind::ShredKey
            | Kind::SignalProgress
            | Kind::DeadSignal
            | Kind::SealedSecret
            | Kind::VaultKey
            | Kind::Lease
            | Kind::RefreshTurn
            | Kind::Session
            | Kind::Passkey
            | Kind::IdentityProvider => return Ok(false),
        }
        Ok(true)
    }

    fn named<N: Noun>(&mut self, body: &Value) -> Result<Arc<N>, serde_json::Error> {
        let noun: Arc<N> = read(body)?;
        if let Some(name) = noun.name() {
            self.names.insert((N::KIND, name), noun.key());
        }
        Ok(noun)
    }

    fn take_setting(&mut self, setting: Arc<Setting>) {
        self.settings.insert(setting.key(), setting);
    }

    fn take_workflow(&mut self, workflow: Arc<Workflow>) {
        self.index
            .workflow(&workflow.agent, &workflow.name, &workflow.id);
        self.workflows.insert(workflow.id.clone(), workflow);
    }

    fn take_agent(&mut self, agent: Arc<Agent>) {
        let before = self.agents.get(&agent.id);
        self.index.agent(before.map(AsRef::as_ref), &agent);
        self.agents.insert(agent.id.clone(), agent);
    }

    fn take_run(&mut self, run: Arc<Run>) {
        if !matches!(run.state, RunState::Ended { .. }) {
            self.runs.insert(run.id.clone(), run);
            return;
        }
        // Its revision is kept for a while, so that a late look at how it was does not bring it back.
        self.runs.remove(&run.id);
        self.ended.push_back(run.id.to_string());
        if self.ended.len() > ENDED_KEPT
            && let Some(oldest) = self.ended.pop_front()
        {
            self.revisions.remove(&(Kind::Run, oldest));
        }
    }

    fn take_delegation(&mut self, delegation: Arc<Delegation>) {
        if delegation.state == DelegationState::Active {
            self.delegations.insert(delegation.id.clone(), delegation);
        } else {
            self.delegations.remove(&delegation.id);
        }
    }

    fn take_group(&mut self, group: Arc<DirectoryGroup>) {
        if group.removed.is_none() {
            self.directory_groups.insert(group.id.clone(), group);
        } else {
            self.directory_groups.remove(&group.id);
        }
    }

    fn take_stream(&mut self, stream: Arc<SignalStream>) {
        if stream.deleted.is_none() {
            self.signal_streams.insert(stream.id.clone(), stream);
        } else {
            self.signal_streams.remove(&stream.id);
        }
    }

    fn take_finding(&mut self, finding: Arc<Finding>) {
        let about = self.findings.entry(finding.subject.clone()).or_default();
        if finding.closed.is_none() {
            about.insert(finding.id.clone(), finding);
            return;
        }
        about.remove(&finding.id);
        let none = about.is_empty();
        if none {
            self.findings.remove(&finding.subject);
        }
    }

    fn take_containment(&mut self, containment: Arc<Containment>) {
        if containment.lifted.is_none() {
            self.containments
                .insert(containment.id.clone(), containment);
        } else {
            self.containments.remove(&containment.id);
        }
    }

    /// Moves whenever anything changes that the facts of a call in a given run are made of.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Moves whenever a secret changes.
    pub fn secrets_moved(&self) -> u64 {
        self.secrets_moved
    }

    /// The revision of a record, where the registry has seen it.
    pub fn revision(&self, kind: Kind, key: &str) -> Option<u64> {
        self.revisions.get(&(kind, key.to_owned())).copied()
    }

    /// The organization's id, once its own record was applied.
    pub fn org(&self) -> Option<&OrgId> {
        self.organization.as_ref().map(|o| &o.id)
    }

    /// The key of the record of that kind and name.
    pub fn key_of(&self, kind: Kind, name: &str) -> Option<&str> {
        self.names.get(&(kind, name.to_owned())).map(String::as_str)
    }

    /// The agent of that name.
    pub fn agent_named(&self, name: &str) -> Option<&Arc<Agent>> {
        self.agents
            .get(&self.key_of(Kind::Agent, name)?.parse::<AgentId>().ok()?)
    }

    /// The person of that address.
    pub fn person_named(&self, email: &str) -> Option<&Arc<Person>> {
        self.people
            .get(&self.key_of(Kind::Person, email)?.parse::<PersonId>().ok()?)
    }

    /// A person with no more roles than the OpenID provider's groups named when they last signed in with it, while its groups
    /// count here: a passkey, a link or a token gives back nothing that the provider took. A break-glass account is for when
    /// the provider is wrong, and raises an alarm each time.
    #[must_use]
    pub fn narrowed(&self, person: Arc<Person>) -> Arc<Person> {
        let counts = self.organization.as_ref().is_some_and(|o| o.groups_narrow);
        match person.groups_roles.clone() {
            Some(most) if counts && !person.break_glass => person.with_at_most(&most),
            _ => person,
        }
    }

    /// The client of the SCIM interface of that name.
    pub fn scim_client_named(&self, name: &str) -> Option<&Arc<ScimClient>> {
        let key = self.key_of(Kind::ScimClient, name)?;
        self.scim_clients.get(&key.parse().ok()?)
    }

    /// The receiver of signals of that name.
    pub fn signal_receiver_named(&self, name: &str) -> Option<&Arc<SignalReceiver>> {
        let key = self.key_of(Kind::SignalReceiver, name)?;
        self.signal_receivers.get(&key.parse().ok()?)
    }

    /// The transmitter of signals of that name.
    pub fn signal_transmitter_named(&self, name: &str) -> Option<&Arc<SignalTransmitter>> {
        let key = self.key_of(Kind::SignalTransmitter, name)?;
        self.signal_transmitters.get(&key.parse().ok()?)
    }

    /// The enforcement point of that name.
    pub fn enforcement_point_named(&self, name: &str) -> Option<&Arc<EnforcementPoint>> {
        let key = self.key_of(Kind::EnforcementPoint, name)?;
        self.enforcement_points.get(&key.parse().ok()?)
    }

    /// The authorization server of that name.
    pub fn authorization_server_named(&self, name: &str) -> Option<&Arc<AuthorizationServer>> {
        let key = self.key_of(Kind::AuthorizationServer, name)?;
        self.authorization_servers.get(&key.parse().ok()?)
    }

    /// The trusted issuer of that name.
    pub fn trusted_issuer_named(&self, name: &str) -> Option<&Arc<TrustedIssuer>> {
        let key = self.key_of(Kind::TrustedIssuer, name)?;
        self.trusted_issuers.get(&key.parse().ok()?)
    }

    /// The team of that name.
    pub fn team_named(&self, name: &str) -> Option<&Arc<Team>> {
        self.teams
            .get(&self.key_of(Kind::Team, name)?.parse::<TeamId>().ok()?)
    }

    /// The system of that name.
    pub fn system_named(&self, name: &str) -> Option<&Arc<System>> {
        self.systems
            .get(&self.key_of(Kind::System, name)?.parse::<SystemId>().ok()?)
    }

    /// The workflow of that name of an agent.
    pub fn workflow_named(&self, agent: &AgentId, name: &str) -> Option<&Arc<Workflow>> {
        let key = self.key_of(Kind::Workflow, &format!("{agent}/{name}"))?;
        self.workflows.get(&key.parse::<WorkflowId>().ok()?)
    }

    /// The workflows of an agent, ordered by name.
    pub fn workflows_of(&self, agent: &AgentId) -> Vec<&Arc<Workflow>> {
        let ids = self.index.workflows_of(agent);
        ids.filter_map(|id| self.workflows.get(id)).collect()
    }

    /// The keys of an agent, in every state, ordered by thumbprint.
    pub fn keys_of(&self, agent: &AgentId) -> Vec<&Arc<AgentKey>> {
        let all = self.index.keys_of(agent);
        all.filter_map(|thumbprint| self.keys.get(thumbprint))
            .collect()
    }

    /// Agents after a name, ordered by name, at most `limit`; in one state where one is given. What it costs does not grow with
    /// how many there are.
    pub fn agents_after(
        &self,
        state: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Arc<Agent>> {
        self.index.agents_after(state, after, limit)
    }

    /// How many agents are in each state.
    pub fn agent_states(&self) -> BTreeMap<&'static str, usize> {
        self.index.agent_states()
    }

    /// Agents that a person owns or sponsors, ordered by name.
    pub fn answered_by(&self, person: &PersonId) -> Vec<&Arc<Agent>> {
        let names = self.index.answered_by(person);
        names
            .filter_map(|name| self.agent_named(name.as_str()))
            .collect()
    }

    /// The containment that holds any of these targets, where there is one.
    pub fn containment_of(&self, targets: &[Target]) -> Option<&Arc<Containment>> {
        if self.containments.is_empty() {
            return None;
        }
        self.containments
            .values()
            .find(|c| targets.contains(&c.target))
    }
}

fn read<N: Noun>(body: &Value) -> Result<Arc<N>, serde_json::Error> {
    N::deserialize(body).map(Arc::new)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn agent() -> Agent {
        let per = PersonId::from_uuid(uuid::Uuid::nil());
        serde_json::from_value(json!({
            "id": AgentId::from_uuid(uuid::Uuid::nil()), "name": "support-triage", "owner": per, "sponsor": per,
            "deputy": null, "responsible_team": null, "platform_team": null, "purpose": "", "business_process": "",
            "model": "", "provider": "", "runtime": "", "environment": "production", "data_classes": [], "systems": [],
            "expected_actions": [], "tier": 3, "review_cadence_days": 90, "next_review": null, "enforcement": "gateway",
            "registered_by": per, "state": "draft", "state_reason": null
        }))
        .unwrap()
    }

    #[test]
    fn an_older_revision_never_overwrites_a_newer_one() {
        let mut registry = Registry::default();
        let draft = agent();
        let active = draft
            .transition(crate::agent::AgentState::Active, None)
            .unwrap();
        let body = |a: &Agent| serde_json::to_value(a).unwrap();
        registry
            .apply(Kind::Agent, draft.id.as_str(), 2, &body(&active))
            .unwrap();
        registry
            .apply(Kind::Agent, draft.id.as_str(), 1, &body(&draft))
            .unwrap();
        assert_eq!(
            registry.agent_named("support-triage").unwrap().state,
            crate::agent::AgentState::Active
        );
    }

    #[test]
    fn lists_come_in_the_order_of_names_whatever_becomes_of_agents() {
        let mut registry = Registry::default();
        let put = |registry: &mut Registry, n: u128, name: &str, state: &str, revision| {
            let mut body = serde_json::to_value(agent()).unwrap();
            body["id"] = json!(AgentId::from_uuid(uuid::Uuid::from_u128(n)));
            body["name"] = json!(name);
            body["state"] = json!(state);
            let key = body["id"].as_str().unwrap().to_owned();
            registry.apply(Kind::Agent, &key, revision, &body).unwrap();
        };
        for (n, name) in [(1, "c"), (2, "a"), (3, "b"), (4, "d")] {
            put(&mut registry, n, name, "active", 1);
        }
        put(&mut registry, 3, "b", "suspended", 2);
        let names = |state: Option<&str>, after: Option<&str>, limit| {
            let found = registry.agents_after(state, after, limit);
            found.iter().map(|a| a.name.to_string()).collect::<String>()
        };
        assert_eq!(names(None, None, 10), "abcd");
        assert_eq!(names(None, Some("a"), 2), "bc");
        assert_eq!(names(Some("active"), None, 10), "acd");
        assert_eq!(names(Some("suspended"), Some("a"), 10), "b");
        // A text that is no name is a place in the order all the same.
        assert_eq!(names(None, Some("b\u{10ffff}"), 10), "cd");
        assert_eq!(registry.agent_states()["active"], 3);
        let owner = agent().profile.owner;
        assert_eq!(registry.answered_by(&owner).len(), 4);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_an_error_not_an_absence() {
        let mut registry = Registry::default();
        assert!(
            registry
                .apply(Kind::Agent, "x", 1, &json!({ "id": 1 }))
                .is_err()
        );
    }
}
