//! Whether a right may be handed on now: the facts of a hop from the registry, and the live policies' word on them.
//!
//! What is asked is bound to the containment epoch, which every change of policies raises: a commit with the answer in it is
//! written at that epoch or not at all, on whichever node the change was made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use remit_domain::attestation::Trust;
use remit_domain::authority::Authority;
use remit_domain::delegation::Delegation;
use remit_domain::event::Event;
use remit_domain::run::Intent;
use remit_domain::standing::Standing;
use remit_domain::tool::ToolRef;
use remit_domain::{
    Agent, OrgId, Person, PersonId, Principal, Refusal, RefusalCode, Registry, Run, RunId,
    Timestamp, Workflow,
};
use remit_policy::hop::{Gives, HandsOn, HopFacts};
use remit_policy::{Decision, Engine};
pub use remit_policy::{HopAction, HopKind};
use remit_ports::store::StoreError;

use crate::facts::{Situation, acting_facts, person_facts, workflow_facts};
use crate::labels::{agent_scope, carried};
use crate::{Books, BooksError, Change, OrgBook};

/// How often what is decided anew, since something was taken away meanwhile, is tried before whoever asks is told to ask again.
pub const HOP_TRIES: usize = 8;
/// How long a node waits for what another has taken away. It hears of it within milliseconds, or has lost touch.
const HEARD_WITHIN: Duration = Duration::from_millis(250);

/// A hop, as whoever is about to make it knows it.
#[derive(Debug, Clone)]
pub struct Hop<'a> {
    /// What is done.
    pub action: HopAction,
    /// How it comes about.
    pub kind: HopKind,
    /// Who receives.
    pub agent: Arc<Agent>,
    /// For which workflow.
    pub workflow: &'a Workflow,
    /// The person at the root of the chain.
    pub person: Option<&'a PersonId>,
    /// Every link, this hop's included.
    pub chain: Vec<&'a Delegation>,
    /// Bounds of the run it is for, besides the links.
    pub intent: Option<&'a Intent>,
    /// The run that hands on, or that a token is for: whose labels count.
    pub run: Option<&'a Run>,
    /// The ticket it is for.
    pub ticket: Option<&'a str>,
    /// When what is given ends.
    pub expires: Timestamp,
    /// How well whoever asks has proved what it is.
    pub trust: Option<Trust>,
}

/// What the policies said of a hop.
#[derive(Debug, Clone)]
pub struct HopAnswer {
    /// At which containment epoch they were asked.
    at_epoch: u64,
    /// The decision, where any policy is about hops.
    said: Option<Said>,
}

#[derive(Debug, Clone)]
struct Said {
    bundle: String,
    decision: Decision,
    facts: HopFacts,
}

impl HopAnswer {
    /// Puts the decision into the entry of what is issued or granted: its outcome and the bundle in clear, and what it was
    /// decided on beside it, sealed.
    #[must_use]
    pub fn recorded(&self, event: Event) -> Event {
        let Some(said) = &self.said else { return event };
        event
            .fact("hop", said.decision.outcome.as_str())
            .fact("bundle", &said.bundle)
            .fact("policies", &said.decision.policies)
            .content("hop", &said.facts)
    }

    /// Binds a change to what was asked.
    #[must_use]
    pub fn binds(&self, change: Change) -> Change {
        change.decided_at(self.at_epoch)
    }

    /// The refusal, where a policy forbids it, and which do.
    pub fn refused(&self) -> Option<HopRefused> {
        let said = self.said.as_ref()?;
        if !said.decision.is_deny() {
            return None;
        }
        let reasons = said.decision.reasons.iter();
        let texts: BTreeSet<_> = reasons.map(|reason| reason.text.as_str()).collect();
        let texts: Vec<_> = texts.into_iter().collect();
        Some(HopRefused {
            refusal: Refusal::new(RefusalCode::Denied, texts.join("; ")),
            policies: said.decision.policies.clone(),
            bundle: said.bundle.clone(),
        })
    }
}

/// A hop that a policy forbids.
#[derive(Debug, Clone)]
pub struct HopRefused {
    /// `denied`, with what the policies say.
    pub refusal: Refusal,
    /// Which policies, ordered.
    pub policies: Vec<String>,
    /// Of which bundle.
    pub bundle: String,
}

impl HopRefused {
    /// Says in an entry which policies forbid it, and of which bundle.
    #[must_use]
    pub fn recorded(&self, event: Event) -> Event {
        event
            .fact("policies", &self.policies)
            .fact("bundle", &self.bundle)
    }
}

impl Books {
    /// Asks the live policies about a hop that everything else permits. Where none is about hops, nothing is gathered.
    ///
    /// # Errors
    /// When the labels cannot be read.
    pub async fn ask_hop(&self, org: &OrgId, hop: &Hop<'_>) -> Result<HopAnswer, BooksError> {
        let book = self
            .org(org)
            .ok_or_else(|| BooksError::NoOrganization(org.to_string()))?;
        // Before anything that depends on it: what moves afterwards is noticed by the commit.
        let at_epoch = book.epoch();
        let Some(engine) = book.engine() else {
            return Err(BooksError::NoPolicies);
        };
        if !engine.has_hop_policies() {
            // Bound all the same: the first such policy may come meanwhile.
            return Ok(HopAnswer {
                at_epoch,
                said: None,
            });
        }
        let labels = self.labels_of(org, &book, hop.run).await?;
        let facts = {
            let registry = book.registry();
            facts(&registry, hop, labels, self.now())
        };
        Ok(HopAnswer {
            at_epoch,
            said: Some(said(&engine, facts)),
        })
    }

    /// Labels of the tree of a run, with those that its agent brought along.
    async fn labels_of(
        &self,
        org: &OrgId,
        book: &OrgBook,
        run: Option<&Run>,
    ) -> Result<BTreeSet<String>, BooksError> {
        let Some(run) = run else {
            return Ok(BTreeSet::new());
        };
        let root = book.registry().runs.get(&run.root).cloned();
        let of_tree = self.store().labels(org, run.root.as_str()).await?;
        let mut labels: BTreeSet<String> = of_tree.labels.into_keys().collect();
        let root = root.as_deref().unwrap_or(run);
        let own = self.store().labels(org, &agent_scope(&root.agent)).await?;
        labels.extend(carried(root, &own, self.now()));
        Ok(labels)
    }

    /// Whether a commit lost because something was taken away since it was decided; this node has then heard of it, or has had
    /// the time to.
    pub async fn decided_too_early(&self, org: &OrgId, error: &BooksError) -> bool {
        let BooksError::Store(StoreError::EpochMoved(epoch)) = error else {
            return false;
        };
        if let Some(book) = self.org(org) {
            let mut heard = book.watch_epoch();
            let there = heard.wait_for(|known| known >= epoch);
            // Whatever it comes to, it is decided anew: by what is known then.
            let _ = tokio::time::timeout(HEARD_WITHIN, there).await;
        }
        true
    }
}

fn said(engine: &Engine, facts: HopFacts) -> Said {
    Said {
        bundle: engine.bundle().to_owned(),
        decision: engine.decide_hop(&facts),
        facts,
    }
}

fn facts(registry: &Registry, hop: &Hop<'_>, labels: BTreeSet<String>, now: Timestamp) -> HopFacts {
    let intent = Intent {
        ticket: hop.ticket.map(str::to_owned),
        ..Intent::default()
    };
    let run = hop.run.map(|run| &run.id);
    let runs: Vec<&RunId> = run.into_iter().collect();
    let situation = Situation::of(registry, &hop.agent.id, &intent, &runs, now);
    let person = hop.person.and_then(|id| registry.people.get(id));
    HopFacts {
        action: hop.action,
        kind: hop.kind,
        agent: acting_facts(registry, &hop.agent),
        workflow: workflow_facts(hop.workflow, Vec::new()),
        person: person.map(|person: &Arc<Person>| person_facts(registry, person)),
        from: hands_on(registry, hop),
        depth: hop.chain.len(),
        depth_left: hop.chain.last().map_or(0, |link| link.depth_left),
        gives: gives(registry, hop, now),
        secs: hop.expires.secs_since(now),
        labels,
        regulated: registry
            .organization
            .as_ref()
            .map(|o| o.regulated.clone())
            .unwrap_or_default(),
        ticket: situation.ticket,
        risk: situation.risk,
        findings: situation.findings,
        trust: hop.trust,
        now,
    }
}

fn hands_on(registry: &Registry, hop: &Hop<'_>) -> HandsOn {
    match hop.chain.last().map(|link| &link.from) {
        Some(Principal::Agent(agent)) => registry
            .agents
            .get(agent)
            .map_or(HandsOn::Itself, |agent| HandsOn::Agent(agent.name.clone())),
        Some(_) => HandsOn::Person,
        None => HandsOn::Itself,
    }
}

/// The tools that whoever receives can use: granted, and named by every link and by the intent.
fn gives(registry: &Registry, hop: &Hop<'_>, now: Timestamp) -> Gives {
    let links = hop.chain.iter().map(|link| &link.authority);
    let within: Vec<&Authority> = links.chain(hop.intent.map(|i| &i.authority)).collect();
    let named = |tool: &ToolRef| {
        let mut lists = within.iter().filter_map(|a| a.tools.as_ref());
        lists.all(|tools| tools.contains_key(tool))
    };
    let mut gives = Gives::default();
    let granted: BTreeSet<&ToolRef> = hop
        .workflow
        .grants
        .iter()
        .filter(|grant| grant.expires.is_none_or(|end| now < end))
        .map(|grant| &grant.tool)
        .collect();
    for tool in granted.into_iter().filter(|tool| named(tool)) {
        let classification = registry.tools.get(tool);
        let classification = classification.and_then(|t| t.classification.as_ref());
        let effect = classification.map(|c| c.effect);
        let mut lists = within.iter().filter_map(|a| a.effects.as_ref());
        if !lists.all(|effects| effect.is_some_and(|e| effects.contains(&e))) {
            continue;
        }
        let upstream = registry.upstreams.get(tool.upstream());
        let system = upstream.and_then(|u| registry.systems.get(&u.system));
        gives.take(tool, classification, system.map(|s| &s.name));
    }
    for classes in within.iter().filter_map(|a| a.data_classes.as_ref()) {
        gives.data_classes.retain(|class| classes.contains(class));
    }
    gives
}

/// Of a run that stands: the hop of a token in it.
impl<'a> Hop<'a> {
    /// A token for this run.
    pub fn of_token(standing: &'a Standing, kind: HopKind, expires: Timestamp) -> Self {
        Self {
            action: HopAction::Issue,
            kind,
            agent: Arc::clone(&standing.agent),
            workflow: &standing.workflow,
            person: standing.run.person.as_ref(),
            chain: standing.chain.iter().map(AsRef::as_ref).collect(),
            intent: Some(&standing.run.intent),
            run: Some(&standing.run),
            ticket: standing.run.intent.ticket.as_deref(),
            expires,
            trust: None,
        }
    }
}
