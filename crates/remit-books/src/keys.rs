//! Keys of Remit itself: made once, sealed under the master key, opened when needed.

use std::sync::Arc;

use remit_domain::event::{Event, EventKind};
use remit_domain::key::{KeyUse, ShredKey, SigningKey};
use remit_domain::{Kind, OrgId, Principal, RecordId};
use remit_ledger::DataKey;
use remit_ports::store::{Commit, Expect, Filter, Once, Put, StoreError};

use crate::{Books, BooksError, Change};

impl Books {
    /// The data key of a shred scope, made when it is not there yet.
    pub(crate) async fn data_key(
        &self,
        org: &OrgId,
        scope: &str,
    ) -> Result<Arc<DataKey>, BooksError> {
        let at = (org.clone(), scope.to_owned());
        if let Some(key) = self.inner.data_keys.get(&at) {
            return Ok(key);
        }
        let key = match self.opened(org, scope).await? {
            Some(key) => key,
            None => self.make_data_key(org, scope).await?,
        };
        let key = Arc::new(key);
        self.inner.data_keys.insert(at, Arc::clone(&key));
        Ok(key)
    }

    /// The data key of a shred scope, where there is one.
    ///
    /// # Errors
    /// `Shredded` when it was destroyed.
    pub(crate) async fn opened(
        &self,
        org: &OrgId,
        scope: &str,
    ) -> Result<Option<DataKey>, BooksError> {
        let Some(record) = self.store().get(org, Kind::ShredKey, scope).await? else {
            return Ok(None);
        };
        if record.body.is_null() {
            return Err(BooksError::Shredded);
        }
        let key: ShredKey = serde_json::from_value(record.body)?;
        let bytes = self.unseal(&key.sealed, &context(org, scope))?;
        let bytes: [u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| BooksError::BadKey(scope.to_owned()))?;
        Ok(Some(DataKey::new(&bytes)?))
    }

    async fn make_data_key(&self, org: &OrgId, scope: &str) -> Result<DataKey, BooksError> {
        let bytes: [u8; 32] = self.random();
        let sealed = self.seal_bytes(&bytes, &context(org, scope))?;
        let key = ShredKey {
            scope: scope.to_owned(),
            sealed,
            created: self.now(),
        };
        let commit = Commit {
            org: org.clone(),
            at: self.now(),
            puts: vec![Put::new(&key, Expect::Absent)],
            entries: Vec::new(),
            blobs: Vec::new(),
            once: Vec::new(),
            raise_epoch: false,
            lower: None,
            at_epoch: None,
        };
        match self.store().commit(commit).await {
            Ok(_) => Ok(DataKey::new(&bytes)?),
            // Another node, or another call, made it first: theirs counts.
            Err(StoreError::Conflict { .. }) => self
                .opened(org, scope)
                .await?
                .ok_or_else(|| BooksError::BadKey(scope.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets an opened data key: after it was destroyed.
    pub(crate) fn forget(&self, org: &OrgId, scope: &str) {
        self.inner
            .data_keys
            .invalidate(&(org.clone(), scope.to_owned()));
    }

    /// The signing keys of a use, newest last, retired ones included; the secret half opened.
    ///
    /// # Errors
    /// When they cannot be read or opened.
    pub async fn signing_keys(
        &self,
        org: &OrgId,
        usage: KeyUse,
    ) -> Result<Vec<(SigningKey, Vec<u8>)>, BooksError> {
        let filter = Filter {
            parent: Some(usage.as_str().to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let (keys, _) = self.list::<SigningKey>(org, &filter).await?;
        keys.into_iter()
            .map(|key| {
                let secret = self.unseal(&key.noun.sealed, &context(org, key.noun.id.as_str()))?;
                Ok((key.noun, secret))
            })
            .collect()
    }

    /// Keeps a new signing key: `public` as published, `secret` sealed; with `once`, only one ever.
    ///
    /// # Errors
    /// When it cannot be sealed or committed.
    pub async fn add_signing_key(
        &self,
        org: &OrgId,
        usage: KeyUse,
        public: String,
        secret: &[u8],
        once: Option<Once>,
    ) -> Result<SigningKey, BooksError> {
        let (key, mut change) =
            self.new_signing_key(org, usage, public, secret, Principal::Remit)?;
        if let Some(once) = once {
            change = change.once(once);
        }
        self.commit(org, change).await?;
        Ok(key)
    }

    /// Replaces the signing key of a use in one commit: those before it sign nothing from now on.
    ///
    /// # Errors
    /// `Store(Conflict)` when another one was made meanwhile; when it cannot be sealed or committed.
    pub async fn replace_signing_key(
        &self,
        org: &OrgId,
        usage: KeyUse,
        public: String,
        secret: &[u8],
        by: Principal,
    ) -> Result<SigningKey, BooksError> {
        let (key, mut change) = self.new_signing_key(org, usage, public, secret, by.clone())?;
        let filter = Filter {
            parent: Some(usage.as_str().to_owned()),
            state: Some("active".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let (before, _) = self.list::<SigningKey>(org, &filter).await?;
        for old in before {
            let event = Event::new(EventKind::SigningKeyRetired, self.now(), by.clone())
                .about(&old.noun.id)
                .fact("use", usage)
                .fact("public", &old.noun.public);
            let retired = SigningKey {
                retired: Some(self.now()),
                ..old.noun
            };
            change = change.update(&retired, old.revision).event(event);
        }
        self.commit(org, change).await?;
        Ok(key)
    }

    fn new_signing_key(
        &self,
        org: &OrgId,
        usage: KeyUse,
        public: String,
        secret: &[u8],
        by: Principal,
    ) -> Result<(SigningKey, Change), BooksError> {
        let id = self.id(RecordId::from_uuid);
        let sealed = self.seal_bytes(secret, &context(org, id.as_str()))?;
        let key = SigningKey {
            id: id.clone(),
            usage,
            public,
            sealed,
            created: self.now(),
            retired: None,
        };
        let event = Event::new(EventKind::SigningKeyCreated, self.now(), by)
            .about(&id)
            .fact("use", usage)
            .fact("public", &key.public);
        let change = Change::new().create(&key).event(event);
        Ok((key, change))
    }

    /// Seals a secret that others gave, to be stored; base64.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn seal_secret(&self, secret: &[u8], context: &str) -> Result<String, BooksError> {
        self.seal_bytes(secret, context)
    }

    /// Opens what [`Self::seal_secret`] made for the same context.
    ///
    /// # Errors
    /// When it was not sealed here, for another context, or was changed.
    pub fn open_secret(&self, sealed: &str, context: &str) -> Result<Vec<u8>, BooksError> {
        self.unseal(sealed, context)
    }

    fn seal_bytes(&self, plain: &[u8], context: &str) -> Result<String, BooksError> {
        use base64::Engine;
        Ok(base64::engine::general_purpose::STANDARD.encode(self.vault().seal(plain, context)?))
    }

    fn unseal(&self, sealed: &str, context: &str) -> Result<Vec<u8>, BooksError> {
        use base64::Engine;
        let sealed = base64::engine::general_purpose::STANDARD
            .decode(sealed)
            .map_err(|_| BooksError::BadKey(context.to_owned()))?;
        Ok(self.vault().unseal(&sealed, context)?)
    }
}

fn context(org: &OrgId, what: &str) -> String {
    format!("remit/{org}/{what}")
}
