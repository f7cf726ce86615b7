//! One certificate of an authority that vouches for an agent: stopped by itself, while the authority goes on.
//!
//! It is known by the SHA-256 of it (`x5t#S256`, RFC 8705 §3.1), which its tokens and the ledger name. It becomes a record only when it
//! is stopped: an authority may sign any number of them.

use remit_books::Change;
use remit_domain::containment::Target;
use remit_domain::credential::{AgentKey, ClientCertificate, Token};
use remit_domain::event::EventKind;
use remit_domain::limits::ACCESS_TOKEN_SECS;
use remit_domain::{AgentId, OrgId, RefusalCode, Role};
use remit_ports::store::Filter;
use serde_json::Value;

use crate::credential::Found;
use crate::key::keeper;
use crate::{Caller, Control, ControlError, refuse};

/// Length of a SHA-256 in base64url.
const THUMBPRINT_BYTES: usize = 43;

fn is_thumbprint(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    text.len() == THUMBPRINT_BYTES && text.bytes().all(fits)
}

impl Control {
    /// The credential that a containment names, and whose it is: by its id, or a certificate.
    pub(crate) async fn credential_target(
        &self,
        org: &OrgId,
        text: &str,
    ) -> Result<Option<(Target, AgentId)>, ControlError> {
        let target = Target::Credential(text.to_owned());
        match self.agent_of(org, &target).await {
            Ok(agent) => Ok(agent.map(|agent| (target, agent))),
            Err(error) if error.code() == Some(RefusalCode::NotFound) => {
                self.certificate_target(org, text).await
            }
            Err(error) => Err(error),
        }
    }

    /// What a certificate is here, and whose: the registered key or the SVID that it is of, or itself where an authority vouches for it.
    ///
    /// - `text`: its SHA-256 in base64url; of one that was not used lately, after the name of its agent and a slash.
    pub(crate) async fn certificate_target(
        &self,
        org: &OrgId,
        text: &str,
    ) -> Result<Option<(Target, AgentId)>, ControlError> {
        let (agent, shown) = match text.split_once('/') {
            Some((agent, shown)) => (Some(agent), shown),
            None => (None, text),
        };
        if !is_thumbprint(shown) {
            return Ok(None);
        }
        let itself = Target::Credential(shown.to_owned());
        let book = self.book(org)?;
        {
            let registry = book.registry();
            if let Some(key) = registry.keys.get(shown) {
                return Ok(Some((itself, key.agent.clone())));
            }
            let is_it = |key: &AgentKey| matches!(&key.certificate, Some(ClientCertificate::Exact { thumbprint, .. }) if thumbprint == shown);
            if let Some(key) = registry.keys.values().find(|key| is_it(key)) {
                let target = Target::Credential(key.thumbprint.clone());
                return Ok(Some((target, key.agent.clone())));
            }
        }
        let live = self.books.live_svids(org, None).await?;
        let svid = live.into_iter().map(|found| found.noun);
        let mut of_it = svid.filter(|svid| svid.certificate.as_deref() == Some(shown));
        if let Some(svid) = of_it.next() {
            return Ok(Some((Target::Credential(svid.id.to_string()), svid.agent)));
        }
        if let Some(name) = agent {
            let registry = book.registry();
            let named = registry.agent_named(name).and_then(|agent| {
                let vouched = |key: &&std::sync::Arc<AgentKey>| {
                    matches!(key.certificate, Some(ClientCertificate::Named { .. }))
                };
                let vouched = registry.keys_of(&agent.id).iter().any(vouched);
                vouched.then(|| agent.id.clone())
            });
            return Ok(named.map(|agent| (itself, agent)));
        }
        let agent = self.lately_shown(org, shown).await?;
        Ok(agent.map(|agent| (itself, agent)))
    }

    /// The agent that has got a token with a certificate, of those that have not ended: newest first, and no further back.
    async fn lately_shown(
        &self,
        org: &OrgId,
        shown: &str,
    ) -> Result<Option<AgentId>, ControlError> {
        // None lives longer: what was issued before that has ended, and so has everything before it.
        let oldest = self.books.now().plus_secs(-ACCESS_TOKEN_SECS);
        let mut filter = Filter {
            state: Some("active".to_owned()),
            descending: true,
            limit: 1_000,
            ..Filter::default()
        };
        loop {
            let (page, next) = self.books.list::<Token>(org, &filter).await?;
            let over = page.last().is_none_or(|last| last.noun.issued < oldest);
            let mut tokens = page.into_iter().map(|found| found.noun);
            let bound = tokens.find(|token| token.certificate.as_deref() == Some(shown));
            match (bound, next) {
                (Some(token), _) => return Ok(Some(token.agent)),
                (None, Some(next)) if !over => filter.after = Some(next),
                (None, _) => return Ok(None),
            }
        }
    }

    /// That a certificate is the agent's to stop: the agent has shown it lately, or whoever stops it stops everybody's. Else an owner
    /// could stop what others prove themselves with, by naming it as their own.
    async fn is_its_own(
        &self,
        caller: &Caller,
        agent: &AgentId,
        thumbprint: &str,
    ) -> Result<(), ControlError> {
        {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let points = registry.enforcement_points.values();
            let mut keys = points.flat_map(|point| &point.keys);
            if keys.any(|key| key.thumbprint == thumbprint) {
                let text = "that is the key of an enforcement point; take it out with `remit enforcement-point set`";
                return Err(refuse(RefusalCode::Conflict, text));
            }
        }
        if caller.require(&[Role::Admin, Role::Responder]).is_ok() {
            return Ok(());
        }
        match self.lately_shown(&caller.org, thumbprint).await? {
            Some(shown) if shown == *agent => Ok(()),
            _ => {
                let text = "the agent has got no token with that certificate lately; an administrator or a responder stops what was not seen";
                Err(refuse(RefusalCode::Forbidden, text))
            }
        }
    }

    /// The credential that a certificate is.
    pub(crate) async fn find_certificate(
        &self,
        caller: &Caller,
        target: Target,
        agent: AgentId,
    ) -> Result<Found, ControlError> {
        let Target::Credential(id) = target else {
            return Err(refuse(RefusalCode::NotFound, "no such credential is here"));
        };
        let book = self.book(&caller.org)?;
        if book.registry().keys.contains_key(&id) || id.starts_with("crd_") {
            return Box::pin(self.find_credential(caller, &id)).await;
        }
        let registry = book.registry();
        Ok(crate::credential::certificate(
            &registry,
            agent,
            id,
            self.books.now(),
        ))
    }

    /// Keeps a certificate of an authority, so that it can be contained and removed like a key.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, or the owner where the agent has shown it lately.
    pub(crate) async fn withhold(
        &self,
        caller: &Caller,
        agent: &AgentId,
        thumbprint: &str,
    ) -> Result<(), ControlError> {
        let person = caller.person()?;
        {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let found = registry.agents.get(agent);
            let found = found.ok_or_else(|| crate::error::not_found("agent", agent))?;
            keeper(person, found)?;
        }
        self.keep_withheld(caller, agent, thumbprint).await
    }

    /// The same before a containment, where the target is a certificate that is no record yet.
    pub(crate) async fn withhold_unknown(
        &self,
        caller: &Caller,
        target: &Target,
        agent: &AgentId,
    ) -> Result<(), ControlError> {
        let Target::Credential(id) = target else {
            return Ok(());
        };
        match self.agent_of(&caller.org, target).await {
            Err(error) if error.code() == Some(RefusalCode::NotFound) => {
                self.keep_withheld(caller, agent, id).await
            }
            other => other.map(drop),
        }
    }

    async fn keep_withheld(
        &self,
        caller: &Caller,
        agent: &AgentId,
        thumbprint: &str,
    ) -> Result<(), ControlError> {
        self.is_its_own(caller, agent, thumbprint).await?;
        let kept = AgentKey {
            thumbprint: thumbprint.to_owned(),
            agent: agent.clone(),
            jwk: Value::Null,
            certificate: Some(ClientCertificate::Withheld),
            attests: false,
            created: self.books.now(),
            retires: None,
            removed: None,
        };
        let event = self
            .event(caller, EventKind::ClientCertificateWithheld)
            .about(thumbprint)
            .agent(agent);
        let change = Change::new().create(&kept).event(event);
        self.books.commit(&caller.org, change).await?;
        Ok(())
    }
}
