//! Making an access token: one commit with its record, its entry, the run it may start and the proofs that paid for it.

mod child;
mod implicit;

use std::sync::Arc;

use remit_books::Change;
use remit_books::hop::HopKind;
use remit_domain::authority::Authority;
use remit_domain::credential::Token;
use remit_domain::delegation::Delegation;
use remit_domain::event::{Event, EventKind};
use remit_domain::limits::ACCESS_TOKEN_SECS;
use remit_domain::run::{Intent, Mode};
use remit_domain::standing::Standing;
use remit_domain::{
    CredentialId, OrgId, PersonId, Principal, Refusal, RefusalCode, Run, RunId, Timestamp, Workflow,
};
use remit_ports::store::{Filter, Once};
use remit_token::{
    AccessTokenClaims, AccessTokenType, Actor, Audience, Confirmation, OAuthErrorCode, Scope,
    TokenResponse, TokenType,
};
use secrecy::SecretString;

use crate::below::{PLACES_TRIED_MAX, Place};
use crate::client::{Client, permitted};
use crate::door::Denied;
use crate::hop::{is_exchange, token_hop};
use crate::refusal::no;
use crate::spent::{PLACE_LOST, STARTED_ELSEWHERE};
use crate::{Issuer, Resource, details};
use implicit::{is_implicit, start_of};

/// What a token is asked for, by a client that has proved who it is.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) client: Client,
    pub(crate) workflow: Arc<Workflow>,
    pub(crate) resource: Resource,
    /// What it consumes besides the client's assertion.
    pub(crate) once: Vec<Once>,
    /// When it ends at the latest, where something sets an end.
    pub(crate) not_after: Option<Timestamp>,
    /// The token that it is exchanged for.
    pub(crate) from: Option<CredentialId>,
    /// How it comes about.
    pub(crate) kind: HopKind,
    /// What it is narrowed to, where the client asks for that (RFC 9396).
    pub(crate) details: Option<Authority>,
}

/// For whom an implicit run is, and within which bounds.
pub(crate) struct ActingFor {
    person: Option<PersonId>,
    chain: Vec<Arc<Delegation>>,
    /// The run that this one is narrowed from.
    parent: Option<Arc<Run>>,
    /// What it is narrowed to.
    authority: Authority,
}

impl ActingFor {
    /// A run of its own, for this person.
    pub(crate) fn person(person: Option<PersonId>, chain: Vec<Arc<Delegation>>) -> Self {
        Self {
            person,
            chain,
            parent: None,
            authority: Authority::default(),
        }
    }

    /// What a run that begins is for.
    fn intent(&self) -> Intent {
        let Some(parent) = &self.parent else {
            return Intent {
                ticket: self.chain.last().and_then(|link| link.ticket.clone()),
                authority: self.authority.clone(),
                ..Intent::default()
            };
        };
        Intent {
            // It looks around within what is left of the run above.
            discovery: None,
            authority: self.authority.clone(),
            ..parent.intent.clone()
        }
    }

    fn mode(&self) -> Mode {
        match (&self.parent, &self.person) {
            (Some(parent), _) => parent.mode,
            (None, Some(_)) => Mode::Interactive,
            (None, None) => Mode::Api,
        }
    }

    /// When a run that begins ends at the latest, where anything says so.
    fn ends_by(&self) -> Option<Timestamp> {
        let above = self.parent.iter().map(|run| run.deadline);
        self.chain
            .iter()
            .map(|link| link.expires)
            .chain(above)
            .min()
    }
}

/// Who acts, from the last agent of a chain back to the first (RFC 8693 §4.1).
pub(crate) fn actors(chain: &[Arc<Delegation>]) -> Option<Actor> {
    chain.iter().fold(None, |before, link| {
        Some(Actor::new(link.to.as_str()).after(before))
    })
}

impl Issuer {
    /// Issues a token in a run that goes on, when it is one of this client and workflow; in a run narrowed from it, where the
    /// client asks for less.
    pub(crate) async fn issue_in(
        &self,
        org: &OrgId,
        run: &RunId,
        ask: Ask,
    ) -> Result<TokenResponse, Denied> {
        let standing = self.own_standing(org, run, &ask).await?;
        let authority = self.narrowed_to(org, &standing, &ask)?;
        let have = &standing.run.intent.authority;
        if authority == *have {
            let (run, chain) = ((*standing.run).clone(), &standing.chain);
            return self.issue(org, run, chain, ask, Change::new()).await;
        }
        let acting = ActingFor {
            person: standing.run.person.clone(),
            chain: standing.chain,
            parent: Some(standing.run),
            authority,
        };
        self.issue_narrowed(org, acting, ask).await
    }

    /// A run that goes on, when it is one of this client and workflow and was not idle for too long.
    async fn own_standing(&self, org: &OrgId, run: &RunId, ask: &Ask) -> Result<Standing, Denied> {
        let agent = ask.client.agent.id.clone();
        let by = |refusal: Refusal| Denied::from(refusal).by(&agent);
        let standing = self
            .standing_run(org, run, Some(&agent))
            .await
            .map_err(by)?;
        if standing.run.agent != agent || standing.run.workflow != ask.workflow.id {
            // The same words for another agent's run as for none at all.
            return Err(by(no(
                RefusalCode::RunUnknown,
                "no such run of this agent and workflow goes on here",
            )));
        }
        if self.end_if_idle(org, &standing.run).await.map_err(by)? {
            return Err(by(no(
                RefusalCode::RunEnded,
                "the run was idle for too long and has ended; start another",
            )));
        }
        Ok(standing)
    }

    /// Issues a token in a run that goes on, whose bounds are those that were asked for.
    async fn issue_going_on(
        &self,
        org: &OrgId,
        run: &RunId,
        ask: Ask,
    ) -> Result<TokenResponse, Denied> {
        let standing = self.own_standing(org, run, &ask).await?;
        let (run, chain) = ((*standing.run).clone(), &standing.chain);
        self.issue(org, run, chain, ask, Change::new()).await
    }

    /// Issues a token in the implicit run of (agent, workflow, person, chain, key, details), which starts when there is none.
    pub(crate) async fn issue_implicit(
        &self,
        org: &OrgId,
        acting: ActingFor,
        ask: Ask,
    ) -> Result<TokenResponse, Denied> {
        let acting = match &ask.details {
            None => acting,
            Some(asked) => {
                let held = acting.chain.iter().map(|link| &link.authority);
                let who = (&ask.client.agent, &ask.workflow);
                self.withheld(org, who, acting.person.as_ref(), asked)
                    .and_then(|withheld| {
                        let now = self.books().now();
                        details::not_wider(asked, &ask.workflow, held, &withheld, now)
                    })
                    .map_err(|denied| denied.by(&ask.client.agent.id))?;
                ActingFor {
                    authority: asked.clone(),
                    ..acting
                }
            }
        };
        self.issue_narrowed(org, acting, ask).await
    }

    async fn issue_narrowed(
        &self,
        org: &OrgId,
        acting: ActingFor,
        ask: Ask,
    ) -> Result<TokenResponse, Denied> {
        if let Some(run) = self.implicit_run(org, &acting, &ask).await? {
            return self.issue_going_on(org, &run, ask).await;
        }
        // Two requests at once must join one run: here by the lock, across nodes by the key that a start uses up.
        let lock = self.lock_of(org, &ask);
        let _turn = lock.lock().await;
        if let Some(run) = self.implicit_run(org, &acting, &ask).await? {
            return self.issue_going_on(org, &run, ask).await;
        }
        let new = acting.new_run(&ask);
        self.runs_within_limit(org, &ask.client.agent.id)?;
        let mut after = None;
        // Runs may end at once, one after the other, and places be taken: then it is left to the client to ask again.
        for _ in 0..PLACES_TRIED_MAX {
            let place = self.place_for(org, &acting, &ask).await?;
            let (run, change) = self.books().plan_run(org, &ask.workflow, new.clone());
            let change = change.once(start_of(&run, after.as_ref()));
            let change = place
                .iter()
                .fold(change, |change, place| change.and(place.change.clone()));
            match self
                .issue(org, run, &acting.chain, ask.clone(), change)
                .await
            {
                Err(denied) if denied.code == STARTED_ELSEWHERE => {}
                Err(denied) if denied.code == PLACE_LOST => continue,
                other => return other,
            }
            // Another node has started it.
            match self.newest_implicit(org, &acting, &ask).await? {
                Some(run) if run.is_live(self.books().now()) => {
                    return self.join(org, run, &acting.chain, ask).await;
                }
                // The one before has ended: the next start is the one after it.
                Some(run) if after.as_ref() != Some(&run.id) => after = Some(run.id),
                _ => break,
            }
        }
        let text = "another node is starting this run; ask again";
        Err(Denied::from(no(RefusalCode::SnapshotStale, text)).by(&ask.client.agent.id))
    }

    /// A place below the run that one is narrowed from, where it is.
    async fn place_for(
        &self,
        org: &OrgId,
        acting: &ActingFor,
        ask: &Ask,
    ) -> Result<Option<Place>, Denied> {
        let Some(parent) = &acting.parent else {
            return Ok(None);
        };
        let place = self.place_below(org, &parent.id).await;
        let place = place.map_err(|refusal| Denied::from(refusal).by(&ask.client.agent.id))?;
        Ok(Some(place))
    }

    /// Issues a token in a run that another node has just started: what answers for it is looked at here as for any other.
    async fn join(
        &self,
        org: &OrgId,
        run: Run,
        chain: &[Arc<Delegation>],
        ask: Ask,
    ) -> Result<TokenResponse, Denied> {
        self.books()
            .take_in(org, remit_domain::Kind::Run, run.id.as_str())
            .await?;
        self.issue(org, run, chain, ask, Change::new()).await
    }

    /// The newest implicit run of (agent, workflow, person, chain, key) in the store, whatever its state.
    async fn newest_implicit(
        &self,
        org: &OrgId,
        acting: &ActingFor,
        ask: &Ask,
    ) -> Result<Option<Run>, Denied> {
        let filter = Filter {
            parent: Some(ask.client.agent.id.to_string()),
            limit: 1_000,
            descending: true,
            ..Filter::default()
        };
        let (runs, _) = self.books().list::<Run>(org, &filter).await?;
        let mut own = runs.into_iter().map(|found| found.noun);
        Ok(own.find(|run| is_implicit(run, acting, ask)))
    }

    async fn implicit_run(
        &self,
        org: &OrgId,
        acting: &ActingFor,
        ask: &Ask,
    ) -> Result<Option<RunId>, Denied> {
        let now = self.books().now();
        let found = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            let is_it = |run: &&Arc<Run>| {
                // One that is suspended is it too: it is refused, not replaced.
                is_implicit(run, acting, ask) && now < run.deadline
            };
            registry.runs.values().find(is_it).cloned()
        };
        match found {
            Some(run) if !self.end_if_idle(org, &run).await? => Ok(Some(run.id.clone())),
            _ => Ok(None),
        }
    }

    fn lock_of(&self, org: &OrgId, ask: &Ask) -> Arc<tokio::sync::Mutex<()>> {
        let key = format!(
            "{org}/{}/{}/{}",
            ask.client.agent.id, ask.workflow.id, ask.client.thumbprint
        );
        self.inner.locks.get_with(key, Arc::default)
    }

    /// Signs, asks the policies, commits, and looks once more: what was contained meanwhile gets nothing. `decided-early` where
    /// something was taken away since they were asked.
    pub(crate) async fn issue_once(
        &self,
        org: &OrgId,
        run: &Run,
        chain: &[Arc<Delegation>],
        ask: &Ask,
        change: Change,
    ) -> Result<TokenResponse, Denied> {
        let agent = ask.client.agent.id.clone();
        permitted(&ask.client, &ask.workflow, self.bound_only(org)?)
            .map_err(|denied| denied.by(&agent))?;
        let keys = self.org_keys(org).await?;
        let claims = self
            .claims(org, run, chain, ask)
            .map_err(|denied| denied.by(&agent))?;
        let unavailable =
            |code, text: String| Denied::new(OAuthErrorCode::TemporarilyUnavailable, code, text);
        let signed = remit_token::access_token::sign(&claims, keys.signing()?)
            .map_err(|error| unavailable(error.code(), error.to_string()))?;
        let id = claims.jti.parse();
        let token = Token {
            id: id.map_err(|_| unavailable("id-invalid", "no id could be made".to_owned()))?,
            agent: run.agent.clone(),
            workflow: run.workflow.clone(),
            run: run.id.clone(),
            person: run.person.clone(),
            delegation: run.chain.last().cloned(),
            thumbprint: ask.client.thumbprint.clone(),
            bound_to: claims.cnf.as_ref().and_then(Confirmation::name),
            certificate: claims.cnf.as_ref().and_then(|cnf| cnf.x5t_s256.clone()),
            from: ask.from.clone(),
            outside: None,
            federated: ask.client.federated.clone(),
            trust: ask.client.trust,
            svid: ask.client.svid.as_ref().map(|svid| svid.id.clone()),
            client_id: ask.client.document.clone(),
            issued: Timestamp::from_secs(claims.iat),
            expires: Timestamp::from_secs(claims.exp),
            revoked: None,
        };
        let hop = token_hop(run, chain, ask, token.expires);
        let answer = (self.may_hop(org, &hop).await).map_err(|denied| denied.by(&agent))?;
        let event = answer.recorded(issued_event(self.books().now(), &token, run, ask));
        let mut change = answer.binds(change.create(&token).event(event));
        for once in ask
            .once
            .iter()
            .chain(&ask.client.once)
            .chain(ask.client.bound.iter().map(|bound| &bound.once))
        {
            change = change.once(once.clone());
        }
        if let Err(error) = self.books().commit(org, change).await {
            return Err(self.lost(org, error).await.by(&agent));
        }
        if let Err(refusal) = self.stands_still(org, &token).await {
            self.withdraw(org, &token.id).await;
            return Err(Denied::from(refusal).by(&agent));
        }
        self.touch(&run.id);
        Ok(TokenResponse {
            access_token: SecretString::from(signed),
            issued_token_type: is_exchange(ask.kind).then_some(TokenType::AccessToken),
            token_type: if ask.client.bound.is_some() {
                AccessTokenType::DPoP
            } else {
                AccessTokenType::Bearer
            },
            expires_in: u32::try_from(claims.exp.saturating_sub(claims.iat)).unwrap_or(0),
            scope: claims.scope,
            authorization_details: claims.authorization_details,
        })
    }

    fn claims(
        &self,
        org: &OrgId,
        run: &Run,
        chain: &[Arc<Delegation>],
        ask: &Ask,
    ) -> Result<AccessTokenClaims, Denied> {
        let now = self.books().now();
        let ends = chain
            .iter()
            .map(|link| link.expires)
            .chain([run.deadline])
            .chain(ask.not_after)
            .chain(ask.client.svid.as_ref().map(|svid| svid.expires))
            .chain(ask.client.certificate.as_ref().map(|shown| shown.ends));
        let exp = ends
            .fold(now.plus_secs(ACCESS_TOKEN_SECS), Timestamp::min)
            .as_secs();
        if exp <= now.as_secs() {
            let text = "the run or its delegation ends now; start another";
            return Err(no(RefusalCode::RunEnded, text).into());
        }
        let scope = [
            format!("workflow:{}", ask.workflow.name),
            format!("run:{}", run.id),
        ];
        let act = actors(chain);
        Ok(AccessTokenClaims {
            iss: self.issuer_url(org)?,
            sub: run
                .person
                .as_ref()
                .map_or_else(|| run.agent.to_string(), ToString::to_string),
            aud: Audience::one(self.resource_url(org, &ask.resource)?),
            exp,
            iat: now.as_secs(),
            jti: self.books().id(CredentialId::from_uuid).to_string(),
            client_id: run.agent.to_string(),
            scope: Scope::from_tokens(scope)
                .map_err(|error| no(RefusalCode::InvalidRequest, error.to_string()))?,
            txn: Some(run.root.to_string()),
            act,
            may_act: None,
            cnf: Confirmation::of(
                ask.client.bound.as_ref().map(|bound| bound.jkt.clone()),
                ask.client
                    .certificate
                    .as_ref()
                    .map(|shown| shown.thumbprint.clone()),
            ),
            org: org.to_string(),
            agent: run.agent.to_string(),
            workflow: run.workflow.to_string(),
            run: run.id.to_string(),
            authorization_details: details::of_token(
                &ask.workflow,
                run,
                chain,
                ask.details.is_some(),
                |all| {
                    let who = (&ask.client.agent, &ask.workflow);
                    self.withheld(org, who, run.person.as_ref(), all)
                },
                now,
            )?,
            delegations: run.chain.iter().map(ToString::to_string).collect(),
        })
    }
}

fn issued_event(now: Timestamp, token: &Token, run: &Run, ask: &Ask) -> Event {
    let kind = if is_exchange(ask.kind) {
        EventKind::TokenExchanged
    } else {
        EventKind::TokenIssued
    };
    Event::new(kind, now, Principal::Agent(token.agent.clone()))
        .about(&token.id)
        .agent(&token.agent)
        .run(&token.run)
        .fact("workflow", &token.workflow)
        .fact("root", &run.root)
        .fact("from", &token.from)
        .fact("mode", run.mode)
        .fact("person", &token.person)
        .fact("chain", &run.chain)
        .fact("key", &token.thumbprint)
        .fact("bound_to", &token.bound_to)
        .fact(
            "trusted_issuer",
            token.federated.as_ref().map(|f| &f.issuer),
        )
        .fact("trust", token.trust)
        .fact("svid", &token.svid)
        .fact("resource", ask.resource.path())
        .fact("expires", token.expires)
}
