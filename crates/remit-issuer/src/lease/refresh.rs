//! Tokens by a refresh token of the vault. Servers that rotate take one that is used twice for stolen, so that one node at a time
//! uses it, and what comes back is kept before anything is done with it.

use std::time::Duration;

use remit_books::{BooksError, Change};
use remit_domain::event::{Event, EventKind};
use remit_domain::lease::RefreshTurn;
use remit_domain::name::Name;
use remit_domain::secret::{Secret, SecretState, SecretVersion};
use remit_domain::upstream::SecretRef;
use remit_domain::{OrgId, Principal};
use remit_ports::leases::NoToken;
use secrecy::{ExposeSecret as _, SecretString};

use super::answer::Given;
use super::{Wanted, none, revoke};
use crate::Issuer;
use crate::limits::{REFRESH_LOOKS_MAX, REFRESH_PAUSE_MS, REFRESH_TURN_SECS};

impl Issuer {
    pub(super) async fn refreshed(&self, wanted: &Wanted) -> Result<Given, NoToken> {
        let reference = wanted.client.refresh_token.as_ref();
        let secret = reference.and_then(SecretRef::vault);
        let secret = secret.ok_or_else(|| none("no refresh token of the vault is named"))?;
        let org = &wanted.org;
        self.take_turn(org, secret).await?;
        let given = self.refreshed_alone(wanted, secret).await;
        self.leave_turn(org, secret).await;
        given
    }

    async fn refreshed_alone(&self, wanted: &Wanted, secret: &Name) -> Result<Given, NoToken> {
        // From the store: another node may have put a new one there just now.
        let found = self
            .books()
            .get::<Secret>(&wanted.org, secret.as_str())
            .await;
        let found = found.map_err(none)?.map(|found| found.noun);
        let found = found.filter(|s| s.state == SecretState::Active && !s.canary);
        let found = found.ok_or_else(|| none(format!("secret `{secret}` may not be used")))?;
        let opened = self
            .books()
            .open_version(&wanted.org, secret, found.current);
        let token = opened.await.map_err(none)?;
        self.books().note_use(&wanted.org, &found.use_key());
        let form = vec![
            ("grant_type", SecretString::from("refresh_token")),
            ("refresh_token", token.clone()),
        ];
        let given = self.given(wanted, form).await?;
        if let Some(next) = &given.refresh_token
            && next.expose_secret() != token.expose_secret()
        {
            self.keep_next(&wanted.org, secret, next).await?;
        }
        Ok(given)
    }

    /// The new refresh token becomes the version that is used from now on.
    async fn keep_next(
        &self,
        org: &OrgId,
        name: &Name,
        next: &SecretString,
    ) -> Result<(), NoToken> {
        let kept = self.books().retrying(org, || async {
            let found = self.books().get::<Secret>(org, name.as_str()).await?;
            let found = found.ok_or(BooksError::Shredded)?;
            let now = self.books().now();
            let version = found.noun.last.saturating_add(1);
            let kib = next.expose_secret().len().div_ceil(1024);
            let (mut secret, gone) = found.noun.with_version(SecretVersion {
                version,
                by: Principal::Remit,
                at: now,
                reason: "rotated by its server".to_owned(),
                kib: u16::try_from(kib).unwrap_or(u16::MAX),
            });
            secret.by = Principal::Remit;
            secret.at = now;
            let sealed = self.books().seal_version(org, name, version, next).await?;
            let destroyed = self.books().destroy_versions(org, name, &gone).await?;
            let event = Event::new(EventKind::SecretSet, now, Principal::Remit)
                .about(name)
                .fact("version", version)
                .fact("destroyed", &gone)
                .content("reason", "rotated by its server");
            let change = Change::new().update(&secret, found.revision).event(event);
            Ok(((), Some(change.and(sealed).and(destroyed))))
        });
        kept.await.map_err(|error| {
            tracing::error!(%org, secret = %name, %error, "a refresh token was rotated and the new one could not be kept; set it anew");
            none("the refresh token was rotated, and the new one could not be kept")
        })
    }

    /// Waits until nobody else refreshes with it.
    async fn take_turn(&self, org: &OrgId, secret: &Name) -> Result<(), NoToken> {
        for _ in 0..REFRESH_LOOKS_MAX {
            let now = self.books().now();
            let turn = RefreshTurn {
                secret: secret.clone(),
                until: now.plus_secs(REFRESH_TURN_SECS),
            };
            let found = self.books().get::<RefreshTurn>(org, secret.as_str()).await;
            let change = match found.map_err(none)? {
                None => Some(Change::new().create(&turn)),
                Some(found) if found.noun.until <= now => {
                    Some(Change::new().update(&turn, found.revision))
                }
                Some(_) => None,
            };
            if let Some(change) = change {
                match self.books().commit(org, change).await {
                    Ok(_) => return Ok(()),
                    Err(error) if revoke::is_conflict(&error) => {}
                    Err(error) => return Err(none(error)),
                }
            }
            tokio::time::sleep(Duration::from_millis(REFRESH_PAUSE_MS)).await;
        }
        Err(none(
            "others refresh with the same refresh token; try again",
        ))
    }

    async fn leave_turn(&self, org: &OrgId, secret: &Name) {
        let left = self.books().retrying(org, || async {
            let found = self
                .books()
                .get::<RefreshTurn>(org, secret.as_str())
                .await?;
            let change = found.map(|mut found| {
                found.noun.until = self.books().now();
                Change::new().update(&found.noun, found.revision)
            });
            Ok(((), change))
        });
        if let Err(error) = left.await {
            tracing::warn!(%org, %secret, %error, "a turn to refresh could not be given back; it ends by itself");
        }
    }
}
