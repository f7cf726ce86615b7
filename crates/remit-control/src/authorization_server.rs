//! Authorization servers of others: to which of them agents may carry the word that they act for a person.

use std::collections::BTreeSet;

use remit_domain::authorization_server::{
    AuthorizationServer, CLIENTS_MAX, ClientThere, SCOPES_MAX, SERVERS_MAX, TEXT_BYTES_MAX,
};
use remit_domain::event::EventKind;
use remit_domain::name::Name;
use remit_domain::{AuthorizationServerId, Kind, Noun, RefusalCode, Registry, Role, Timestamp};
use remit_token::Scope;
use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::may_widen;
use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::{AuthorizationServerSpec, ClientThereSpec, WorkflowRef};
use crate::{
    Caller, Control, ControlError, ListQuery, Listing, Saved, check, idp, names, refuse, resolve,
};

/// An authorization server, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuthorizationServerView {
    /// Its id.
    pub id: AuthorizationServerId,
    /// Its name.
    pub name: Name,
    /// `active` or `disabled`.
    pub state: &'static str,
    /// What it says; null when an agent it names is not known any more.
    #[serde(flatten)]
    pub spec: Option<AuthorizationServerSpec>,
    /// Who changed it last, by name.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Authorization servers of others, by id.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn authorization_servers(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<AuthorizationServerView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry.authorization_servers.values();
        let all = all.map(|s| (s.key(), Noun::state(&**s), s));
        Ok(query.page(all, |s| view(&registry, s)))
    }

    /// One authorization server.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn authorization_server(
        &self,
        caller: &Caller,
        name: &Name,
    ) -> Result<AuthorizationServerView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let found = registry.authorization_server_named(name.as_str());
        let found = found.ok_or_else(|| not_found("authorization server", name))?;
        Ok(view(&registry, found))
    }

    /// Lists or changes an authorization server.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request`; `conflict` when another one has the same issuer;
    /// `limit-exceeded` when there are too many.
    pub async fn put_authorization_server(
        &self,
        caller: &Caller,
        name: &Name,
        spec: AuthorizationServerSpec,
        seen: Option<u64>,
    ) -> Result<Saved<AuthorizationServerView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_authorization_server(&book.registry(), caller, name, &spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.authorization_server(caller, name)?,
        })
    }

    /// Nothing is asserted to a server any more, from now on.
    ///
    /// # Errors
    /// `forbidden` for anyone but a responder or an administrator; `not-found`; `conflict` when it is disabled already.
    pub async fn disable_authorization_server(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<AuthorizationServerView, ControlError> {
        caller.require(&[Role::Responder, Role::Admin])?;
        check::said("reason", reason)?;
        let book = self.book(&caller.org)?;
        let draft = {
            let registry = book.registry();
            let there = registry.authorization_server_named(name.as_str());
            let there = there.ok_or_else(|| not_found("authorization server", name))?;
            if !there.enabled {
                let text = format!("authorization server `{name}` is disabled already");
                return Err(refuse(RefusalCode::Conflict, text));
            }
            let off = AuthorizationServer {
                enabled: false,
                reason: reason.to_owned(),
                by: caller.principal.clone(),
                at: self.books.now(),
                ..(**there).clone()
            };
            let event = self
                .event(caller, EventKind::AuthorizationServerDisabled)
                .about(&off.id)
                .content("reason", reason);
            Draft::over(&registry, Some(&**there), &off, None, |_| event)?
        };
        self.save(caller, draft).await?;
        self.authorization_server(caller, name)
    }

    pub(crate) fn draft_authorization_server(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &Name,
        spec: &AuthorizationServerSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        caller.require(&[Role::Admin])?;
        check::text("description", &spec.description)?;
        check::said("reason", &spec.reason)?;
        idp::issuer(&spec.issuer)?;
        let there = registry.authorization_server_named(name.as_str());
        if there.is_none() && registry.authorization_servers.len() >= SERVERS_MAX {
            let text = format!("an organization has at most {SERVERS_MAX} authorization servers");
            return Err(refuse(RefusalCode::LimitExceeded, text));
        }
        let mut all = registry.authorization_servers.values();
        let same_issuer =
            |s: &&std::sync::Arc<AuthorizationServer>| s.issuer == spec.issuer && s.name != *name;
        if let Some(other) = all.find(same_issuer) {
            let text = format!(
                "authorization server `{}` has the same `issuer`; add the clients there",
                other.name
            );
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let same =
            there.filter(|t| AuthorizationServerSpec::of(registry, t).as_ref() == Some(spec));
        let server = AuthorizationServer {
            id: there.map_or_else(
                || self.books.id(AuthorizationServerId::from_uuid),
                |t| t.id.clone(),
            ),
            name: name.clone(),
            description: spec.description.clone(),
            issuer: spec.issuer.clone(),
            clients: clients(registry, spec)?,
            share_email: spec.share_email,
            enabled: spec.enabled,
            reason: spec.reason.clone(),
            by: same.map_or_else(|| caller.principal.clone(), |s| s.by.clone()),
            at: same.map_or_else(|| self.books.now(), |s| s.at),
        };
        let same_server = there.filter(|t| t.enabled && t.issuer == server.issuer);
        let had = |client| same_server.is_some_and(|t| t.clients.contains(client));
        for client in server.clients.iter().filter(|c| server.enabled && !had(c)) {
            if let Some(agent) = registry.agents.get(&client.agent) {
                may_widen(registry, caller.person()?, agent)?;
            }
        }
        Draft::over(registry, there.map(AsRef::as_ref), &server, seen, |_| {
            self.event(caller, EventKind::AuthorizationServerChanged)
                .about(&server.id)
                .fact("clients", server.clients.len())
                .fact("share_email", server.share_email)
                .fact("enabled", server.enabled)
                .content("server", &server)
                .content("before", there)
        })
    }
}

/// The clients, one for each workflow.
fn clients(
    registry: &Registry,
    spec: &AuthorizationServerSpec,
) -> Result<Vec<ClientThere>, ControlError> {
    if spec.clients.len() > CLIENTS_MAX {
        let why = format!(
            "has {} members; at most {CLIENTS_MAX} are permitted",
            spec.clients.len()
        );
        return Err(invalid("clients", why));
    }
    let mut workflows = BTreeSet::new();
    let mut all = Vec::with_capacity(spec.clients.len());
    for said in &spec.clients {
        check_client(said)?;
        let named = WorkflowRef {
            agent: said.agent.clone(),
            workflow: said.workflow.clone(),
        };
        let agent = registry
            .agent_named(said.agent.as_str())
            .ok_or_else(|| invalid("clients", format!("no agent `{}` is here", said.agent)))?;
        let workflow = resolve::workflow(registry, "clients", &named)?;
        if !workflows.insert(workflow.clone()) {
            return Err(invalid("clients", format!("`{named}` is there twice")));
        }
        all.push(ClientThere {
            agent: agent.id.clone(),
            workflow,
            client_id: said.client_id.clone(),
            scopes: said.scopes.clone(),
            resources: said.resources.clone(),
        });
    }
    Ok(all)
}

fn check_client(client: &ClientThereSpec) -> Result<(), ControlError> {
    let texts = [&client.client_id]
        .into_iter()
        .chain(&client.scopes)
        .chain(&client.resources);
    for text in texts {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            let why = format!("a client id, scope or resource has 1 to {TEXT_BYTES_MAX} bytes");
            return Err(invalid("clients", why));
        }
    }
    if client.scopes.len() > SCOPES_MAX || client.resources.len() > SCOPES_MAX {
        let why = format!("at most {SCOPES_MAX} scopes and resources are listed");
        return Err(invalid("clients", why));
    }
    Scope::from_tokens(client.scopes.iter().cloned()).map_err(|e| invalid("clients", e))?;
    client
        .resources
        .iter()
        .try_for_each(|uri| idp::address("clients", uri))
}

fn view(registry: &Registry, server: &AuthorizationServer) -> AuthorizationServerView {
    AuthorizationServerView {
        id: server.id.clone(),
        name: server.name.clone(),
        state: Noun::state(server),
        spec: AuthorizationServerSpec::of(registry, server),
        by: names::principal(registry, &server.by),
        at: server.at,
        revision: registry
            .revision(Kind::AuthorizationServer, server.id.as_str())
            .unwrap_or(0),
    }
}
