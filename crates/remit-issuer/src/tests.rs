//! What attackers, and honest clients, get from the issuer: over a store in memory and a clock that stands still.

mod assert_identity;
mod attenuation;
mod attest;
mod authorize;
mod below;
mod build;
mod bundle_endpoint;
mod cascade;
mod certificate;
mod children;
mod client;
mod client_document;
mod contained;
mod details;
mod door;
mod dpop;
mod exchange;
mod federation;
mod hops;
mod id_jag;
mod keys;
mod leases;
mod oidc;
mod once;
#[cfg(feature = "passkeys")]
mod passkeys;
mod people;
mod refused_tokens;
mod runs;
mod sign_in;
mod signals;
mod signals_heard;
mod spawn;
mod spiffe_client;
mod svid;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use remit_books::{Books, Change, Parts};
use remit_domain::agent::AgentState;
use remit_domain::credential::AgentKey;
use remit_domain::delegation::{Delegation, DelegationState, DelegationUse};
use remit_domain::event::EventKind;
use remit_domain::person::PersonState;
use remit_domain::{
    Agent, AgentId, DelegationId, Noun, OrgId, Organization, Person, PersonId, Principal, Role,
    Timestamp, Upstream, Workflow, WorkflowId,
};
use remit_ports::store::EntryFilter;
use remit_ports::vault::{Vault, VaultError};
use remit_testkit::{FakeStore, SeededEntropy, SimClock};
use remit_token::client_assertion::{NewAssertion, sign};
use remit_token::{
    Audience, ClientAuth, ClientChain, ClientCredentials, OAuthError, OAuthErrorCode, Scope,
    SigningKey, TokenExchange, TokenRequest, TokenResponse, TokenType,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{Issuer, PersonIdentity, Resource, Verified};
use build::{OpenVault, agent, contain, key, organization, person, put, workflow};

const URL: &str = "https://remit.example";

/// An agent of the world, with its key.
pub(super) struct Actor {
    pub(super) id: AgentId,
    pub(super) key: SigningKey,
    pub(super) thumbprint: String,
    pub(super) workflows: BTreeMap<&'static str, WorkflowId>,
}

/// Two organizations, three agents and their people.
pub(super) struct World {
    pub(super) store: Arc<FakeStore>,
    pub(super) clock: Arc<SimClock>,
    vault: Arc<OpenVault>,
    pub(super) books: Books,
    pub(super) issuer: Issuer,
    pub(super) acme: OrgId,
    pub(super) globex: OrgId,
    pub(super) maria: PersonId,
    pub(super) owner: PersonId,
    pub(super) sponsor: PersonId,
    /// Workflows `answer` and `refund`; `answer` may spawn `searcher/search`.
    pub(super) triage: Actor,
    /// Workflow `search`, which may spawn `indexer/index`.
    pub(super) searcher: Actor,
    /// Workflow `index`.
    pub(super) indexer: Actor,
    jti: AtomicU64,
}

impl World {
    pub(super) async fn new() -> Self {
        let store = Arc::new(FakeStore::new());
        let clock = Arc::new(SimClock::at("2026-11-22T08:00:00Z"));
        let vault = Arc::new(OpenVault::default());
        let books = Books::open(Parts {
            store: store.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
            vault: vault.clone(),
            origin: "remit.example/log".to_owned(),
            node: "test".to_owned(),
        })
        .await
        .unwrap();
        let acme = organization(&books, "acme").await;
        let globex = organization(&books, "globex").await;
        let maria = person(&books, &acme, "maria@acme.example", &[]).await;
        let owner = person(&books, &acme, "owner@acme.example", &[Role::Admin]).await;
        let sponsor = person(&books, &acme, "sponsor@acme.example", &[]).await;
        let by = (&owner, &sponsor);
        let mut triage = agent(&books, &acme, "triage", by).await;
        let mut searcher = agent(&books, &acme, "searcher", by).await;
        let mut indexer = agent(&books, &acme, "indexer", by).await;
        let index = workflow(&books, &acme, &mut indexer, "index", json!({})).await;
        let search = json!({ "spawnable": [index] });
        let search = workflow(&books, &acme, &mut searcher, "search", search).await;
        let answer = json!({ "spawnable": [search] });
        workflow(&books, &acme, &mut triage, "answer", answer).await;
        workflow(&books, &acme, &mut triage, "refund", json!({})).await;
        let upstream: Upstream = serde_json::from_value(json!({
            "name": "orders", "system": books.id(remit_domain::SystemId::from_uuid),
            "transport": { "type": "http", "url": "https://orders.example/mcp" },
            "secret": null, "stateless": true, "enabled": true
        }))
        .unwrap();
        put(&books, &acme, &upstream).await;
        let issuer = Issuer::new(books.clone(), URL, "acme".parse().unwrap()).unwrap();
        let jti = AtomicU64::new(0);
        Self {
            store,
            clock,
            vault,
            books,
            issuer,
            acme,
            globex,
            maria,
            owner,
            sponsor,
            triage,
            searcher,
            indexer,
            jti,
        }
    }

    pub(super) fn assertion(&self, actor: &Actor) -> String {
        self.assertion_to(actor, &actor.key, URL)
    }

    pub(super) fn assertion_to(&self, actor: &Actor, key: &SigningKey, aud: &str) -> String {
        self.assertion_as(actor.id.as_str(), key, aud)
    }

    pub(super) fn name_of(&self, actor: &Actor) -> String {
        let book = self.books.org(&self.acme).unwrap();
        let registry = book.registry();
        registry.agents[&actor.id].name.to_string()
    }

    pub(super) fn assertion_as(&self, client_id: &str, key: &SigningKey, aud: &str) -> String {
        let jti = format!("jti-{}", self.jti.fetch_add(1, Ordering::Relaxed));
        let iat = self.books.now().as_secs();
        let new = NewAssertion {
            client_id,
            issuer: aud,
            jti: &jti,
            iat,
            ttl_s: 60,
        };
        sign(&new, key).unwrap()
    }

    pub(super) async fn credentials(
        &self,
        actor: &Actor,
        scope: &str,
    ) -> Result<TokenResponse, OAuthError> {
        self.credentials_at(actor, scope, &[]).await
    }

    pub(super) async fn credentials_at(
        &self,
        actor: &Actor,
        scope: &str,
        resource: &[&str],
    ) -> Result<TokenResponse, OAuthError> {
        self.issuer
            .token(
                &self.acme,
                &credentials(self.assertion(actor), scope, resource),
            )
            .await
    }

    pub(super) async fn token(&self, actor: &Actor, scope: &str) -> String {
        secret(&self.credentials(actor, scope).await.unwrap())
    }

    pub(super) async fn exchange(
        &self,
        actor: &Actor,
        subject: &str,
        scope: &str,
    ) -> Result<TokenResponse, OAuthError> {
        self.issuer
            .token(
                &self.acme,
                &exchange(self.assertion(actor), subject, TokenType::Jwt, scope),
            )
            .await
    }

    pub(super) async fn verify(&self, token: &str) -> Result<Arc<Verified>, crate::AccessRefused> {
        self.issuer
            .verify_access(&self.acme, token, None, &Resource::Mcp)
            .await
    }

    pub(super) async fn good_at(&self, token: &str, at: &Resource) -> bool {
        self.issuer
            .verify_access(&self.acme, token, None, at)
            .await
            .is_ok()
    }

    /// A delegation by maria.
    pub(super) async fn delegate(
        &self,
        to: &Actor,
        workflow: &str,
        kind: DelegationUse,
        depth_left: u8,
    ) -> Delegation {
        self.delegate_by(&self.maria, to, workflow, kind, depth_left)
            .await
    }

    pub(super) async fn delegate_by(
        &self,
        person: &PersonId,
        to: &Actor,
        workflow: &str,
        kind: DelegationUse,
        depth_left: u8,
    ) -> Delegation {
        let now = self.books.now();
        let link = Delegation {
            id: self.books.id(DelegationId::from_uuid),
            person: person.clone(),
            from: Principal::Person(person.clone()),
            to: to.id.clone(),
            workflow: to.workflows[workflow].clone(),
            kind,
            authority: Default::default(),
            ticket: None,
            depth_left,
            parent: None,
            run: None,
            token: None,
            federated: None,
            created: now,
            expires: now.plus_secs(3_600),
            state: DelegationState::Active,
        };
        put(&self.books, &self.acme, &link).await;
        link
    }

    pub(super) async fn subject(&self, link: &Delegation) -> String {
        let made = self
            .issuer
            .assertion(&self.acme, &link.id, &link.person)
            .await
            .unwrap();
        made.token.expose_secret().to_owned()
    }

    /// A token of an agent that acts for maria.
    pub(super) async fn acting(&self, actor: &Actor, workflow: &str, depth_left: u8) -> String {
        let link = self
            .delegate(actor, workflow, DelegationUse::Interactive, depth_left)
            .await;
        let subject = self.subject(&link).await;
        secret(&self.exchange(actor, &subject, "").await.unwrap())
    }

    pub(super) async fn change<N: Noun>(&self, key: &str, change: impl FnOnce(&mut N)) {
        let mut found = self.books.get::<N>(&self.acme, key).await.unwrap().unwrap();
        change(&mut found.noun);
        let change = Change::new().update(&found.noun, found.revision).restrict();
        self.books.commit(&self.acme, change).await.unwrap();
    }

    pub(super) async fn set_state(&self, actor: &Actor, state: AgentState) {
        self.change::<Agent>(actor.id.as_str(), |agent| agent.state = state)
            .await;
    }

    pub(super) async fn leaves(&self, person: &PersonId) {
        let at = self.books.now();
        self.change::<Person>(person.as_str(), |person| {
            person.state = PersonState::Left { at }
        })
        .await;
    }

    pub(super) async fn contain(&self, target: Value) {
        contain(&self.books, &self.acme, target).await;
    }

    /// Contains `target` while the next run is being committed.
    pub(super) fn contain_meanwhile(&self, target: Value) {
        let (books, org) = (self.books.clone(), self.acme.clone());
        *self.vault.meanwhile.lock().unwrap() = Some(Box::new(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(contain(&books, &org, target));
        }));
    }

    pub(super) fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// How many entries of a kind there are, and the facts of the last.
    pub(super) async fn entries(&self, kind: EventKind) -> (usize, Value) {
        let filter = EntryFilter {
            limit: 10_000,
            ..EntryFilter::default()
        };
        let all = self
            .books
            .opened_entries(&self.acme, &filter)
            .await
            .unwrap();
        let found: Vec<_> = all.iter().filter(|entry| entry.leaf.kind == kind).collect();
        let facts = found
            .last()
            .map(|entry| json!(entry.leaf.facts))
            .unwrap_or_default();
        (found.len(), facts)
    }

    pub(super) async fn refused(&self) -> (usize, Value) {
        self.entries(EventKind::AuthenticationRefused).await
    }

    /// Somebody signed in.
    pub(super) async fn sign_in(&self, person: &PersonId) -> PersonIdentity {
        let admin = PersonIdentity {
            person: self.books.org(&self.acme).unwrap().registry().people[&self.owner].clone(),
            token: String::new(),
            expires: Timestamp::from_secs(i64::MAX / 2_000_000),
        };
        let link = self
            .issuer
            .create_enrolment(&self.acme, &admin, person)
            .await
            .unwrap();
        let made = self
            .issuer
            .redeem_enrolment(&self.acme, link.code.expose_secret(), "laptop", None)
            .await
            .unwrap();
        self.issuer
            .authenticate_person(&self.acme, made.token.expose_secret())
            .await
            .unwrap()
    }
}

pub(super) fn secret(response: &TokenResponse) -> String {
    response.access_token.expose_secret().to_owned()
}

pub(super) fn auth(assertion: String) -> ClientAuth {
    ClientAuth::private_key_jwt(assertion)
}

pub(super) fn credentials(assertion: String, scope: &str, resource: &[&str]) -> TokenRequest {
    TokenRequest::ClientCredentials(ClientCredentials {
        authorization_details: Default::default(),
        client: auth(assertion),
        scope: Scope::parse(scope).unwrap(),
        resource: resource.iter().map(|uri| (*uri).to_owned()).collect(),
    })
}

pub(super) fn exchange(
    assertion: String,
    subject: &str,
    kind: TokenType,
    scope: &str,
) -> TokenRequest {
    TokenRequest::TokenExchange(Box::new(TokenExchange {
        authorization_details: Default::default(),
        client: auth(assertion),
        subject_token: SecretString::from(subject),
        subject_token_type: kind,
        actor_token: None,
        resource: Vec::new(),
        audience: Vec::new(),
        scope: Scope::parse(scope).unwrap(),
        requested_token_type: None,
    }))
}

/// Asserts an OAuth error, and that its description begins so.
pub(super) fn assert_refused(
    answer: Result<TokenResponse, OAuthError>,
    code: OAuthErrorCode,
    begins: &str,
) {
    let error = answer.map(|_| ()).unwrap_err();
    assert_eq!(error.error, code, "{error}");
    assert!(error.error_description.starts_with(begins), "{error}");
}
