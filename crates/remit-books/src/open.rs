//! Opening the books: reading every organization into memory, and following what other nodes change.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use remit_domain::event::{Event, EventKind};
use remit_domain::organization::Organization;
use remit_domain::{Kind, Noun, OrgId, Principal};
use remit_ports::store::{Changed, Commit, Expect, Filter, Put};
use tokio::sync::broadcast::error::RecvError;

use crate::{Books, BooksError, Inner, OPERATOR_ORG, OrgBook, Parts};

/// What the registry keeps in memory.
const KEPT: [Kind; 31] = [
    Kind::Organization,
    Kind::Team,
    Kind::Person,
    Kind::System,
    Kind::Agent,
    Kind::AgentKey,
    Kind::Workflow,
    Kind::Upstream,
    Kind::Tool,
    Kind::Run,
    Kind::Delegation,
    Kind::Containment,
    Kind::PolicySet,
    Kind::PolicyStage,
    Kind::PolicyException,
    Kind::Setting,
    Kind::Limit,
    Kind::Freeze,
    Kind::Ticket,
    Kind::Breaker,
    Kind::EnforcementPoint,
    Kind::TrustedIssuer,
    Kind::AuthorizationServer,
    Kind::Secret,
    Kind::ScimClient,
    Kind::DirectoryGroup,
    Kind::CredentialUse,
    Kind::SignalReceiver,
    Kind::SignalStream,
    Kind::SignalTransmitter,
    Kind::Finding,
];

/// How long after a failure everything is read again.
const READ_AGAIN_AFTER: std::time::Duration = std::time::Duration::from_millis(500);

/// Most values of secrets kept opened at once.
const SECRETS_OPENED_MAX: u64 = 20_000;
/// How long one is kept that nobody uses.
const SECRET_IDLE: std::time::Duration = std::time::Duration::from_secs(600);

/// Most data keys kept opened at once.
const DATA_KEYS_MAX: u64 = 100_000;

impl Books {
    /// Opens the books: reads every organization, and creates the operator's where there is none.
    ///
    /// # Errors
    /// [`BooksError`]: nothing is served from books that cannot be read whole.
    pub async fn open(parts: Parts) -> Result<Self, BooksError> {
        let data_keys = moka::sync::Cache::new(DATA_KEYS_MAX);
        let secrets = moka::sync::Cache::builder()
            .max_capacity(SECRETS_OPENED_MAX)
            .time_to_idle(SECRET_IDLE)
            .build();
        // Listening begins before reading: nothing falls between.
        let before = parts.store.given_out();
        let changes = parts.store.changes();
        let books = Self {
            inner: Arc::new(Inner {
                parts,
                orgs: RwLock::new(HashMap::new()),
                data_keys,
                secrets,
                known: Default::default(),
                in_flight: Default::default(),
                uses: Default::default(),
                changes: tokio::sync::Mutex::new(Some(changes)),
            }),
        };
        for record in books.store().organizations().await? {
            let organization: Organization = serde_json::from_value(record.body)?;
            books.load(&organization.id).await?;
        }
        books.store().taken_in(before);
        if let Ok(id) = OPERATOR_ORG.parse::<OrgId>()
            && books.org(&id).is_none()
            && let Ok(name) = "operator".parse()
        {
            books
                .create_organization(
                    &Organization::new(id, name, Default::default()),
                    Principal::Operator,
                )
                .await?;
        }
        Ok(books)
    }

    /// Creates an organization, with its ledger and keys.
    ///
    /// # Errors
    /// `Store(NameTaken)` or `Store(Conflict)` when it is there already.
    pub async fn create_organization(
        &self,
        organization: &Organization,
        by: Principal,
    ) -> Result<(), BooksError> {
        if self.org_named(organization.name.as_str()).is_some() {
            let name = organization.name.to_string();
            return Err(remit_ports::store::StoreError::NameTaken {
                kind: Kind::Organization,
                name,
            }
            .into());
        }
        let book = Arc::new(OrgBook::new(organization.id.clone()));
        let put = Put::new(organization, Expect::Absent);
        let first = Commit {
            org: organization.id.clone(),
            at: self.now(),
            puts: vec![put.clone()],
            entries: Vec::new(),
            blobs: Vec::new(),
            once: Vec::new(),
            raise_epoch: false,
            lower: None,
            at_epoch: None,
        };
        let event = Event::new(EventKind::OrganizationCreated, self.now(), by)
            .about(&organization.id)
            .content("organization", organization);
        // The key that seals the first entry is a record of the organization, so it is written first; an organization
        // without its own record is not one, whatever keys it has.
        let entry = self.seal(&organization.id, &event).await?;
        let committed = self
            .store()
            .commit(Commit {
                entries: vec![entry],
                ..first
            })
            .await?;
        book.take(std::slice::from_ref(&put), &committed, None, false)?;
        book.compile(self.now())?;
        self.inner
            .orgs
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(organization.id.clone(), book);
        Ok(())
    }

    /// Reads one organization into memory, from the beginning.
    async fn load(&self, org: &OrgId) -> Result<(), BooksError> {
        if let Some(book) = self.org(org) {
            return self.refresh(&book).await;
        }
        let book = Arc::new(OrgBook::new(org.clone()));
        self.refresh(&book).await?;
        // Whoever creates it on this node may have put it there meanwhile, and has it newer than it was read here.
        self.orgs_mut().entry(org.clone()).or_insert(book);
        Ok(())
    }

    fn orgs_mut(&self) -> RwLockWriteGuard<'_, HashMap<OrgId, Arc<OrgBook>>> {
        self.inner
            .orgs
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads everything of an organization again, into the book that calls in flight hold. Newer records stay: what is
    /// committed here meanwhile is not undone.
    pub(crate) async fn refresh(&self, book: &OrgBook) -> Result<(), BooksError> {
        // The epoch is read first: records may be newer than it, never older.
        let epoch = self.store().epoch(&book.id).await?;
        let before = book.passing();
        for kind in KEPT {
            let states: &[Option<&str>] = match kind {
                Kind::Run => &[Some("active"), Some("suspended")],
                Kind::Delegation | Kind::Containment => &[Some("active")],
                Kind::Finding => &[Some("open")],
                _ => &[None],
            };
            for state in states {
                self.load_kind(book, kind, *state).await?;
            }
        }
        // What was there and may have ended is not in those lists.
        for (kind, key) in before {
            if let Some(record) = self.record(&book.id, kind, &key).await? {
                book.apply(kind, &key, record.revision, &record.body)?;
            }
        }
        let compiled = {
            let _turn = book.compiling.lock().await;
            book.compile(self.now())
        };
        if let Err(error) = compiled {
            tracing::error!(org = %book.id, %error, "policies do not compile: every call of this organization is denied");
            book.drop_engine();
        }
        book.raise_to(epoch);
        Ok(())
    }

    async fn load_kind(
        &self,
        book: &OrgBook,
        kind: Kind,
        state: Option<&str>,
    ) -> Result<(), BooksError> {
        let mut filter = Filter {
            state: state.map(str::to_owned),
            limit: 1_000,
            ..Filter::default()
        };
        loop {
            let page = self.store().list(&book.id, kind, &filter).await?;
            let mut keys = Default::default();
            for record in page.records {
                if let Some(record) = self.opened_record(&book.id, record, &mut keys).await? {
                    book.apply(kind, &record.key, record.revision, &record.body)?;
                }
            }
            match page.next {
                Some(next) => filter.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Follows what other nodes change, until the store closes. Run it beside the server.
    pub async fn follow(&self) {
        let heard = self.inner.changes.lock().await.take();
        let (Some(mut changes), true) = (heard, self.store().has_other_nodes()) else {
            return std::future::pending().await;
        };
        // Whether something was missed and could not be read again. Until it is, nothing counts as taken in, so that a
        // store with other nodes goes stale and nothing is decided.
        let mut behind = false;
        loop {
            let given = self.store().given_out();
            if !behind && changes.is_empty() {
                self.store().taken_in(given);
            }
            let heard = if behind {
                tokio::time::timeout(READ_AGAIN_AFTER, changes.recv()).await
            } else {
                Ok(changes.recv().await)
            };
            let result = match heard {
                Ok(Ok(changed)) if !behind => self.take_changed(&changed).await,
                Ok(Err(RecvError::Closed)) => return,
                Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => self.reload().await,
            };
            if let Err(error) = result {
                tracing::error!(%error, "a change of another node could not be read; reading everything again");
                behind = true;
            } else {
                behind = false;
            }
        }
    }

    async fn take_changed(&self, changed: &Changed) -> Result<(), BooksError> {
        let Some(book) = self.org(&changed.org) else {
            return self.load(&changed.org).await;
        };
        // No keys: the feed has lost its place. A step missing: so have we.
        if changed.keys.is_empty() || changed.epoch > book.epoch().saturating_add(1) {
            return self.refresh(&book).await;
        }
        let mut compiles = false;
        for (kind, key) in changed.keys.iter().filter(|(kind, _)| KEPT.contains(kind)) {
            if let Some(record) = self.record(&changed.org, *kind, key).await? {
                compiles |= crate::policies::compiles(*kind);
                book.apply(*kind, key, record.revision, &record.body)?;
            }
        }
        if compiles {
            let _turn = book.compiling.lock().await;
            book.compile(self.now())?;
        }
        book.raise_to(changed.epoch);
        Ok(())
    }

    async fn reload(&self) -> Result<(), BooksError> {
        for record in self.store().organizations().await? {
            self.load(
                &record
                    .key
                    .parse()
                    .map_err(|_| BooksError::NoOrganization(record.key))?,
            )
            .await?;
        }
        Ok(())
    }
}

impl OrgBook {
    /// Whether this is the operator's own.
    pub fn is_operator(&self) -> bool {
        self.id.as_str() == OPERATOR_ORG
    }

    /// The organization's name.
    pub fn name(&self) -> String {
        self.registry()
            .organization
            .as_ref()
            .and_then(|o| o.name())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Two;

    /// What a node hears of a change names the epoch it led to. A step that is missing, or a feed that has lost its place, is
    /// read again: otherwise a containment would stay unknown for ever under an epoch that says it is taken in.
    #[tokio::test]
    async fn what_the_feed_has_left_out_is_read_again() {
        let two = Two::new().await;
        let missed = two.contain(&two.other).await;
        let heard = two.contain(&two.other).await;
        let epoch = two.other.store().epoch(&two.org).await.unwrap();
        let changed = Changed {
            org: two.org.clone(),
            keys: vec![(Kind::Containment, heard.to_string())],
            epoch,
        };
        two.one.take_changed(&changed).await.unwrap();
        assert!(two.knows(&two.one, &heard));
        assert!(two.knows(&two.one, &missed), "the step before it is lost");
        let third = two.contain(&two.other).await;
        let epoch = two.other.store().epoch(&two.org).await.unwrap();
        let lost = Changed {
            org: two.org.clone(),
            keys: Vec::new(),
            epoch,
        };
        two.one.take_changed(&lost).await.unwrap();
        assert!(two.knows(&two.one, &third), "a feed that lost its place");
        assert_eq!(two.one.org(&two.org).unwrap().epoch(), epoch);
    }
}
