//! People: their personal tokens, checked by digest.

use std::sync::Arc;

use remit_domain::credential::PersonToken;
use remit_domain::{OrgId, Person, PersonId, Refusal, RefusalCode, Role, Timestamp};
use remit_token::{OpaqueSecret, SecretKind};

use crate::Issuer;
use crate::refusal::{from_books, no};

/// A person who has proved who they are.
#[derive(Debug, Clone)]
pub struct PersonIdentity {
    /// The person, as they are now.
    pub person: Arc<Person>,
    /// Digest of the token they used, hex.
    pub token: String,
    /// When that token ends.
    pub expires: Timestamp,
}

impl PersonIdentity {
    /// Whether the person holds a role now.
    #[must_use]
    pub fn holds(&self, role: Role) -> bool {
        self.person.holds(role)
    }

    /// The person's id.
    #[must_use]
    pub fn id(&self) -> &PersonId {
        &self.person.id
    }
}

/// A personal token that was looked up, and the epoch at which.
pub(crate) struct Known {
    token: PersonToken,
    epoch: u64,
}

/// The same for everything that is not good, so that nothing is learned of tokens that were.
pub(crate) fn not_good() -> Refusal {
    no(
        RefusalCode::Unauthenticated,
        "the token is not known here, or has expired or been revoked; enrol again",
    )
}

impl Issuer {
    /// Checks a personal token (`rmt_pat_…`). A refusal is recorded.
    ///
    /// # Errors
    /// `unauthenticated`, `not-found` for an organization that is not here, `ledger-unavailable`.
    pub async fn authenticate_person(
        &self,
        org: &OrgId,
        token: &str,
    ) -> Result<PersonIdentity, Refusal> {
        match self.authenticate_person_inner(org, token).await {
            Err(refusal) if refusal.code == RefusalCode::Unauthenticated => {
                Err(self.refuse(org, "person", None, None, refusal).await)
            }
            other => other,
        }
    }

    async fn authenticate_person_inner(
        &self,
        org: &OrgId,
        token: &str,
    ) -> Result<PersonIdentity, Refusal> {
        let book = self.tenant(org)?;
        if !self.books().store().is_fresh() {
            let text = "changes of other nodes do not arrive; nobody is let in until they do";
            return Err(no(RefusalCode::SnapshotStale, text));
        }
        let token = self
            .known_token(org, token, SecretKind::PersonalToken)
            .await?;
        let registry = book.registry();
        let person = registry.people.get(&token.person).cloned();
        let person = person
            .filter(|person| person.is_active())
            .ok_or_else(not_good)?;
        self.books().note_use(org, &token.digest);
        self.books().note_use(org, person.id.as_str());
        Ok(PersonIdentity {
            person: registry.narrowed(person),
            token: token.digest,
            expires: token.expires,
        })
    }

    /// The record of an opaque token that counts now. Remembered until something is restricted.
    pub(crate) async fn known_token(
        &self,
        org: &OrgId,
        text: &str,
        kind: SecretKind,
    ) -> Result<PersonToken, Refusal> {
        let secret = OpaqueSecret::parse_kind(text, kind)
            .map_err(|error| no(RefusalCode::Unauthenticated, error.to_string()))?;
        let book = self.books().org(org).ok_or_else(not_good)?;
        let digest = *secret.digest().as_bytes();
        let key = cache_key(org, &digest);
        let epoch = book.epoch();
        let known = match self
            .inner
            .people
            .get(&key)
            .filter(|known| known.epoch == epoch)
        {
            Some(known) => known,
            None => {
                let found = self
                    .books()
                    .get::<PersonToken>(org, &hex::encode(digest))
                    .await
                    .map_err(from_books)?;
                let token = found.ok_or_else(not_good)?.noun;
                let known = Arc::new(Known { token, epoch });
                self.inner.people.insert(key, Arc::clone(&known));
                known
            }
        };
        let good = known.token.revoked.is_none() && self.books().now() < known.token.expires;
        if good {
            Ok(known.token.clone())
        } else {
            Err(not_good())
        }
    }
}

pub(crate) fn cache_key(org: &OrgId, digest: &[u8; 32]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(org.as_str().as_bytes());
    context.update(digest);
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}
