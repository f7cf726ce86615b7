//! Credentials: the keys agents prove themselves with and the tokens they hold, how old each is, and what is wrong with it.

use std::sync::Arc;

use remit_domain::credential::{AgentKey, Svid, SvidForm, Token};
use remit_domain::name::Name;
use remit_domain::{AgentId, PersonId, Registry, RunId, Timestamp};
use remit_ports::store::Filter;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::not_found;
use crate::hygiene::material;
use crate::{Caller, Control, ControlError, CredentialView, names};

/// Age above which a key that no live token was asked with counts as not used, in days.
const KEY_IDLE_DAYS: i64 = 7;
const DAY: i64 = 86_400;

/// What agents prove themselves with.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Credentials {
    /// Keys in use, by agent.
    pub keys: Vec<KeyAge>,
    /// Tokens that have not ended.
    pub tokens: Vec<TokenAge>,
    /// SVIDs that have not ended.
    pub svids: Vec<SvidAge>,
    /// Everything else that somebody or something holds: keys with their state, tokens of people and directories, links, keys of enforcement
    /// points and of Remit itself. None of these where one agent is asked for.
    pub held: Vec<CredentialView>,
    /// Grants and delegations that outlive any task.
    pub standing: Vec<StandingAccess>,
}

/// A key and its age.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KeyAge {
    /// RFC 7638 thumbprint.
    pub thumbprint: String,
    /// Whose it is, by name.
    pub agent: String,
    /// When it was added.
    pub created: Timestamp,
    /// Age in whole days.
    pub age_days: i64,
    /// How many live tokens were asked with it.
    pub live_tokens: usize,
    /// What is wrong with it: `old`, `unused`, `agent_not_active`, `shared`.
    pub findings: Vec<&'static str>,
}

/// A live token and its age.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TokenAge {
    /// Its id.
    pub id: String,
    /// Who holds it, by name.
    pub agent: String,
    /// For which workflow, as `agent/workflow`.
    pub workflow: String,
    /// For which run.
    pub run: RunId,
    /// Address of the person it acts for.
    pub person: Option<String>,
    /// Thumbprint of the key it was asked with.
    pub key: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// Seconds until then.
    pub expires_in: i64,
}

/// A live SVID and its age.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SvidAge {
    /// Its id.
    pub id: String,
    /// Its form.
    pub form: SvidForm,
    /// Its SPIFFE ID.
    pub spiffe_id: String,
    /// Who holds it, by name.
    pub agent: String,
    /// For which workflow, as `agent/workflow`.
    pub workflow: String,
    /// The run it was asked in.
    pub run: Option<RunId>,
    /// SHA-256 of the binary that was attested, hex.
    pub attested: Option<String>,
    /// Where a JWT-SVID is good.
    pub audience: Vec<String>,
    /// Thumbprint of the key whose token asked for it.
    pub key: Option<String>,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// Seconds until then.
    pub expires_in: i64,
}

/// Something that stays open with nobody at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StandingAccess {
    /// `grant` or `delegation`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Whose, as `agent/workflow`.
    pub workflow: String,
    /// What it opens.
    pub text: String,
    /// Address of the person who answers for it.
    pub person: String,
}

impl Control {
    /// Keys and live tokens with their ages and findings, of one agent or of all.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; `not-found` for an agent that is not here.
    pub async fn credentials(
        &self,
        caller: &Caller,
        agent: Option<&Name>,
    ) -> Result<Credentials, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let (only, runs) = {
            let registry = book.registry();
            let only = match agent {
                None => None,
                Some(name) => Some(
                    registry
                        .agent_named(name.as_str())
                        .ok_or_else(|| not_found("agent", name))?
                        .id
                        .clone(),
                ),
            };
            let wanted = registry
                .runs
                .values()
                .filter(|r| only.as_ref().is_none_or(|a| r.agent == *a));
            let runs: Vec<RunId> = wanted.map(|r| r.id.clone()).collect();
            (only, runs)
        };
        let held = match agent {
            None => self.held_credentials(caller).await?,
            Some(_) => Vec::new(),
        };
        let now = self.books.now();
        let mut live = Vec::new();
        for run in runs {
            let filter = Filter {
                parent: Some(run.to_string()),
                state: Some("active".to_owned()),
                descending: true,
                limit: 1_000,
                ..Filter::default()
            };
            let (tokens, _) = self.books.list::<Token>(&caller.org, &filter).await?;
            live.extend(
                tokens
                    .into_iter()
                    .map(|t| t.noun)
                    .filter(|t| t.expires > now),
            );
        }
        let svids = self.books.live_svids(&caller.org, only.as_ref()).await?;
        let registry = book.registry();
        let mut svids: Vec<SvidAge> = svids
            .iter()
            .map(|svid| svid_age(&registry, &svid.noun, now))
            .collect();
        svids.sort_by(|a, b| (&a.agent, &a.id).cmp(&(&b.agent, &b.id)));
        let mut keys: Vec<KeyAge> = registry
            .keys
            .values()
            .filter(|k| k.removed.is_none() && only.as_ref().is_none_or(|a| k.agent == *a))
            .map(|k| key_age(&registry, k, &live, now))
            .collect();
        keys.sort_by(|a, b| (&a.agent, &a.thumbprint).cmp(&(&b.agent, &b.thumbprint)));
        let mut tokens: Vec<TokenAge> = live.iter().map(|t| token_age(&registry, t, now)).collect();
        tokens.sort_by(|a, b| (&a.agent, &a.id).cmp(&(&b.agent, &b.id)));
        Ok(Credentials {
            keys,
            tokens,
            svids,
            held,
            standing: standing(&registry, only.as_ref(), now),
        })
    }
}

fn key_age(registry: &Registry, key: &AgentKey, live: &[Token], now: Timestamp) -> KeyAge {
    let live_tokens = live
        .iter()
        .filter(|t| t.thumbprint == key.thumbprint)
        .count();
    let age_days = now.secs_since(key.created) / DAY;
    let mut findings = Vec::new();
    let rules = registry.organization.as_ref().map(|o| o.hygiene);
    let rules = rules.unwrap_or_default();
    let agents = registry.agents.get(&key.agent);
    let days = agents.and_then(|a| a.profile.rotate_days);
    if age_days > i64::from(days.unwrap_or(rules.rotate_days)) {
        findings.push("old");
    }
    if live_tokens == 0 && age_days >= KEY_IDLE_DAYS {
        findings.push("unused");
    }
    if registry.standing_agent(&key.agent).is_err() {
        findings.push("agent_not_active");
    }
    if same_key(registry, key).is_some() {
        findings.push("shared");
    }
    KeyAge {
        thumbprint: key.thumbprint.clone(),
        agent: names::agent(registry, &key.agent),
        created: key.created,
        age_days,
        live_tokens,
        findings,
    }
}

/// Another agent with the same public key. Registration refuses that; what is found here came another way.
fn same_key<'a>(registry: &'a Registry, key: &AgentKey) -> Option<&'a AgentId> {
    let own = material(key)?;
    let other = |k: &&Arc<AgentKey>| {
        k.removed.is_none() && k.agent != key.agent && material(k).as_ref() == Some(&own)
    };
    registry.keys.values().find(other).map(|k| &k.agent)
}

fn token_age(registry: &Registry, token: &Token, now: Timestamp) -> TokenAge {
    TokenAge {
        id: token.id.to_string(),
        agent: names::agent(registry, &token.agent),
        workflow: names::workflow(registry, &token.workflow),
        run: token.run.clone(),
        person: token.person.as_ref().map(|p| names::person(registry, p)),
        key: token.thumbprint.clone(),
        issued: token.issued,
        expires: token.expires,
        expires_in: token.expires.secs_since(now),
    }
}

fn svid_age(registry: &Registry, svid: &Svid, now: Timestamp) -> SvidAge {
    SvidAge {
        id: svid.id.to_string(),
        form: svid.form,
        spiffe_id: svid.spiffe_id.clone(),
        agent: names::agent(registry, &svid.agent),
        workflow: names::workflow(registry, &svid.workflow),
        run: svid.run.clone(),
        attested: svid.attested.as_ref().map(|seen| seen.sha256.clone()),
        audience: svid.audience.clone(),
        key: svid.thumbprint.clone(),
        issued: svid.issued,
        expires: svid.expires,
        expires_in: svid.expires.secs_since(now),
    }
}

/// Grants without an end and standing delegations: access that waits for nobody.
pub(crate) fn standing(
    registry: &Registry,
    only: Option<&AgentId>,
    now: Timestamp,
) -> Vec<StandingAccess> {
    let mut out = Vec::new();
    let person = |id: &PersonId| names::person(registry, id);
    for workflow in registry
        .workflows
        .values()
        .filter(|w| w.enabled && only.is_none_or(|a| w.agent == *a))
    {
        for grant in workflow.grants.iter().filter(|g| g.expires.is_none()) {
            out.push(StandingAccess {
                kind: "grant",
                id: grant.id.to_string(),
                workflow: names::workflow(registry, &workflow.id),
                text: format!("{} without an end", grant.tool),
                person: person(&grant.granted_by),
            });
        }
    }
    let of = |d: &&std::sync::Arc<remit_domain::delegation::Delegation>| {
        d.kind == remit_domain::delegation::DelegationUse::Standing
            && d.is_live(now)
            && only.is_none_or(|a| d.to == *a)
    };
    for delegation in registry.delegations.values().filter(of) {
        out.push(StandingAccess {
            kind: "delegation",
            id: delegation.id.to_string(),
            workflow: names::workflow(registry, &delegation.workflow),
            text: format!("runs on events and schedules until {}", delegation.expires),
            person: person(&delegation.person),
        });
    }
    out.sort_by(|a, b| (a.kind, &a.workflow, &a.id).cmp(&(b.kind, &b.workflow, &b.id)));
    out
}
