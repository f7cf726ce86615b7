//! Personal tokens: made, listed and revoked.

use remit_books::Change;
use remit_domain::credential::PersonToken;
use remit_domain::event::{Event, EventKind};
use remit_domain::{OrgId, PersonId, Principal, Refusal, RefusalCode, Timestamp};
use remit_ports::store::Filter;
use remit_token::{OpaqueSecret, SecretKind};
use secrecy::SecretString;

use crate::limits::{DIGEST_PREFIX_MIN, PERSON_TOKENS_MAX};
use crate::refusal::{from_books, no};
use crate::{Issuer, PersonIdentity};

/// A secret that was just made, and the record of it.
pub(crate) struct NewSecret {
    /// To be shown once.
    pub(crate) text: SecretString,
    /// Digest, hex: what is stored.
    pub(crate) digest: String,
}

/// What an entry calls a token: the start of its digest, enough to find it.
pub(crate) fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}

impl Issuer {
    /// Makes a secret of 256 random bits.
    pub(crate) fn new_secret(&self, kind: SecretKind) -> NewSecret {
        let secret = OpaqueSecret::new(kind, self.books().random());
        let digest = hex::encode(secret.digest().as_bytes());
        NewSecret {
            text: SecretString::from(secret.format().as_str()),
            digest,
        }
    }

    /// The change that makes a token.
    pub(crate) fn plan_token(&self, token: &PersonToken, by: Principal) -> Change {
        let event = Event::new(EventKind::PersonTokenCreated, self.books().now(), by)
            .about(&token.person)
            .fact("token", short(&token.digest))
            .fact("expires", token.expires)
            .content("label", &token.label);
        Change::new().create(token).event(event)
    }

    /// A person's tokens that count, newest last. Their digests are no secrets, and open nothing.
    ///
    /// # Errors
    /// `ledger-unavailable`.
    pub async fn person_tokens(
        &self,
        org: &OrgId,
        person: &PersonId,
    ) -> Result<Vec<PersonToken>, Refusal> {
        let now = self.books().now();
        let mut tokens: Vec<PersonToken> = self
            .tokens_of(org, person)
            .await?
            .into_iter()
            .map(|found| found.noun)
            .collect();
        tokens.retain(|token| now < token.expires);
        tokens.sort_by_key(|token| token.created);
        Ok(tokens)
    }

    async fn tokens_of(
        &self,
        org: &OrgId,
        person: &PersonId,
    ) -> Result<Vec<remit_books::Versioned<PersonToken>>, Refusal> {
        let mut filter = Filter {
            parent: Some(person.to_string()),
            state: Some("active".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let mut tokens = Vec::new();
        loop {
            let (page, next) = self
                .books()
                .list::<PersonToken>(org, &filter)
                .await
                .map_err(from_books)?;
            tokens.extend(page);
            match next {
                Some(next) => filter.after = Some(next),
                None => return Ok(tokens),
            }
        }
    }

    pub(crate) async fn room_for_token(
        &self,
        org: &OrgId,
        person: &PersonId,
    ) -> Result<(), Refusal> {
        if self.person_tokens(org, person).await?.len() >= PERSON_TOKENS_MAX {
            return Err(no(
                RefusalCode::Limited,
                format!("you have {PERSON_TOKENS_MAX} tokens; revoke one first"),
            ));
        }
        Ok(())
    }

    /// Revokes one of a person's own tokens, named by the start of its digest.
    ///
    /// # Errors
    /// `not-found`, `invalid-request` when the prefix is short or names several, `ledger-unavailable`.
    pub async fn revoke_person_token(
        &self,
        org: &OrgId,
        by: &PersonIdentity,
        prefix: &str,
    ) -> Result<PersonToken, Refusal> {
        self.tenant(org)?;
        if prefix.len() < DIGEST_PREFIX_MIN || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            let text =
                format!("give at least {DIGEST_PREFIX_MIN} hex digits of the token's digest");
            return Err(no(RefusalCode::InvalidRequest, text));
        }
        let prefix = prefix.to_ascii_lowercase();
        let mut matching = self
            .tokens_of(org, by.id())
            .await?
            .into_iter()
            .filter(|token| token.noun.digest.starts_with(&prefix));
        let token = match (matching.next(), matching.next()) {
            (Some(token), None) => token,
            (None, _) => return Err(no(RefusalCode::NotFound, "you have no such token")),
            _ => {
                return Err(no(
                    RefusalCode::InvalidRequest,
                    "several of your tokens start so; give more digits",
                ));
            }
        };
        let next = PersonToken {
            revoked: Some(self.books().now()),
            ..token.noun
        };
        let change = self.plan_token_revocation(
            &next,
            token.revision,
            Principal::Person(by.id().clone()),
            self.books().now(),
        );
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(next)
    }

    /// The change that revokes a token. It raises the epoch: what is remembered of the token ends with it.
    pub(crate) fn plan_token_revocation(
        &self,
        token: &PersonToken,
        revision: u64,
        by: Principal,
        now: Timestamp,
    ) -> Change {
        let event = Event::new(EventKind::PersonTokenRevoked, now, by)
            .about(&token.person)
            .fact("token", short(&token.digest));
        Change::new()
            .update(token, revision)
            .event(event)
            .restrict()
    }
}
