//! The company's OpenID provider: set, shown and taken away by administrators. The issuer signs people in with it.

use std::net::IpAddr;

use remit_books::{Change, Versioned};
use remit_domain::event::EventKind;
use remit_domain::idp::{
    IdentityProvider, MAPPED_BYTES_MAX, MAPPED_MAX, PROVIDER_KEY, ProviderSettings, SetBy,
};
use remit_domain::{OrgId, Organization, RefusalCode, Role};
use schemars::JsonSchema;
use serde::Serialize;
use url::{Host, Url};

use crate::control::Before;
use crate::error::invalid;
use crate::{Action, Caller, Control, ControlError, Saved, refuse};

/// Longest address of an issuer, in bytes.
const ISSUER_BYTES_MAX: usize = 500;

/// The OpenID provider, as administrators see it. The client's secret is a reference, never the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProviderView {
    /// `active` or `disabled`.
    pub state: &'static str,
    /// Its settings.
    #[serde(flatten)]
    pub settings: ProviderSettings,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// The OpenID provider.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found` when there is none; when the store cannot be read.
    pub async fn provider(&self, caller: &Caller) -> Result<ProviderView, ControlError> {
        caller.require(&[Role::Admin])?;
        let found = self.provider_record(&caller.org).await?;
        found
            .filter(|found| !found.noun.removed)
            .map(|found| view(found.noun, found.revision))
            .ok_or_else(none)
    }

    /// Sets the OpenID provider. Sessions that it opened go on; the next sign-in is by these settings.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request`; `conflict` when it has changed since `seen`.
    pub async fn put_provider(
        &self,
        caller: &Caller,
        settings: ProviderSettings,
        seen: Option<u64>,
    ) -> Result<Saved<ProviderView>, ControlError> {
        let admin = caller.require(&[Role::Admin])?.id.clone();
        check(&settings)?;
        if let Some(reference) = &settings.client_secret {
            let org = self.org_name(&caller.org)?;
            self.secrets
                .may_name(&org, reference)
                .map_err(|error| invalid("client_secret", error))?;
        }
        let there = self.provider_record(&caller.org).await?;
        let before = Before::of(there.as_ref().map(|found| found.revision), seen)?;
        let by = SetBy {
            person: admin,
            at: self.books.now(),
        };
        let before_now = there.as_ref().map(|found| &found.noun);
        let provider = IdentityProvider::set(settings, before_now, &by);
        if let Some(found) = there.as_ref().filter(|found| found.noun == provider) {
            return Ok(Saved {
                action: Action::None,
                view: view(provider, found.revision),
            });
        }
        self.keeps_narrow(caller, before_now, &provider)?;
        let action = match there {
            Some(found) if !found.noun.removed => Action::Update,
            _ => Action::Create,
        };
        self.write_provider(caller, before, provider)
            .await
            .map(|view| Saved { action, view })
    }

    /// Takes the OpenID provider away: people sign in with passkeys and links.
    ///
    /// # Errors
    /// As [`Self::provider`]; `conflict` when it has changed since `seen`.
    pub async fn remove_provider(
        &self,
        caller: &Caller,
        seen: Option<u64>,
    ) -> Result<ProviderView, ControlError> {
        caller.require(&[Role::Admin])?;
        let found = self.provider_record(&caller.org).await?;
        let found = found.filter(|found| !found.noun.removed).ok_or_else(none)?;
        let before = Before::of(Some(found.revision), seen)?;
        let removed = IdentityProvider {
            removed: true,
            ..found.noun.clone()
        };
        self.keeps_narrow(caller, Some(&found.noun), &removed)?;
        self.write_provider(caller, before, removed).await
    }

    async fn write_provider(
        &self,
        caller: &Caller,
        before: Before,
        provider: IdentityProvider,
    ) -> Result<ProviderView, ControlError> {
        let event = self
            .event(caller, EventKind::IdentityProviderChanged)
            .about(PROVIDER_KEY)
            .fact("in_use", provider.is_in_use())
            .fact("removed", provider.removed)
            .fact("passkeys", provider.settings.passkeys)
            .content("settings", &provider.settings);
        let change = before.put(&provider).event(event).restrict();
        let change = change.and(self.narrowing(caller, &provider).await?);
        let committed = self.books.commit(&caller.org, change).await?;
        let revision = committed.revisions.first().copied().unwrap_or(0);
        Ok(view(provider, revision))
    }

    /// That nobody whom its groups narrow loosens them by changing it: what they took would come back by their own hand.
    fn keeps_narrow(
        &self,
        caller: &Caller,
        before: Option<&IdentityProvider>,
        after: &IdentityProvider,
    ) -> Result<(), ControlError> {
        let person = caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let narrowed = registry
            .people
            .get(&person.id)
            .is_some_and(|whole| !whole.roles.is_subset(&person.roles));
        if narrowed && before.is_some_and(|b| b.looks_at_groups() && !after.is_as_narrow_as(b)) {
            let text = "the provider's groups narrow what you may, so somebody else has to loosen them: an administrator whom they do not narrow, or a break-glass account";
            return Err(refuse(RefusalCode::Forbidden, text));
        }
        Ok(())
    }

    /// The change that says in the organization whether the provider's groups count now.
    async fn narrowing(
        &self,
        caller: &Caller,
        provider: &IdentityProvider,
    ) -> Result<Change, ControlError> {
        let found = self
            .books
            .get::<Organization>(&caller.org, caller.org.as_str())
            .await?;
        let groups_narrow = provider.looks_at_groups();
        Ok(match found {
            Some(found) if found.noun.groups_narrow != groups_narrow => {
                let new = Organization {
                    groups_narrow,
                    ..found.noun
                };
                Change::new().update(&new, found.revision)
            }
            _ => Change::new(),
        })
    }

    async fn provider_record(
        &self,
        org: &OrgId,
    ) -> Result<Option<Versioned<IdentityProvider>>, ControlError> {
        self.book(org)?;
        Ok(self.books.get(org, PROVIDER_KEY).await?)
    }
}

fn none() -> ControlError {
    refuse(
        RefusalCode::NotFound,
        "no OpenID provider is set here; set one with `remit idp set`",
    )
}

fn view(provider: IdentityProvider, revision: u64) -> ProviderView {
    use remit_domain::Noun as _;
    ProviderView {
        state: if provider.removed {
            "removed"
        } else {
            provider.state()
        },
        settings: provider.settings,
        revision,
    }
}

fn check(settings: &ProviderSettings) -> Result<(), ControlError> {
    issuer(&settings.issuer)?;
    short("client_id", &settings.client_id)?;
    let mapped = [
        settings.groups.len(),
        settings.subjects.len(),
        settings.scopes.len(),
    ];
    if mapped.into_iter().any(|count| count > MAPPED_MAX) {
        let text = format!("at most {MAPPED_MAX} of each are mapped");
        return Err(invalid("groups", text));
    }
    for (field, texts) in [
        ("groups", settings.groups.keys().collect::<Vec<_>>()),
        ("subjects", settings.subjects.keys().collect()),
        ("scopes", settings.scopes.iter().collect()),
        ("groups_claim", settings.groups_claim.iter().collect()),
    ] {
        texts.into_iter().try_for_each(|text| short(field, text))?;
    }
    if settings.scopes.iter().any(|scope| scope.contains(' ')) {
        return Err(invalid(
            "scopes",
            "a scope has no spaces; list each by itself",
        ));
    }
    if settings.groups_claim.is_none() && !settings.groups.is_empty() {
        return Err(invalid(
            "groups",
            "name the `groups_claim` that they are in",
        ));
    }
    if !settings.verified_email && settings.subjects.is_empty() {
        let text = "nobody could sign in: map subjects, or let verified addresses count";
        return Err(invalid("verified_email", text));
    }
    Ok(())
}

fn short(field: &str, text: &str) -> Result<(), ControlError> {
    if text.is_empty() || text.len() > MAPPED_BYTES_MAX || text.chars().any(char::is_control) {
        let text = format!("1 to {MAPPED_BYTES_MAX} bytes without control characters");
        return Err(invalid(field, text));
    }
    Ok(())
}

/// Source: OpenID Connect Discovery 1.0 §3: https, no query, no fragment. Plain http is for loopback, in tests.
pub(crate) fn issuer(text: &str) -> Result<(), ControlError> {
    let plain = |url: &Url| url.query().is_none();
    if is_address(text, plain) {
        return Ok(());
    }
    Err(invalid(
        "issuer",
        "give the provider's issuer exactly as it calls itself: https, without query or fragment",
    ))
}

/// Where something is fetched from: as an issuer, but with a query where it has one.
pub(crate) fn address(field: &str, text: &str) -> Result<(), ControlError> {
    if is_address(text, |_| true) {
        return Ok(());
    }
    let why = format!(
        "is an https address without user and fragment, of at most {ISSUER_BYTES_MAX} bytes"
    );
    Err(invalid(field, why))
}

fn is_address(text: &str, more: impl Fn(&Url) -> bool) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        _ => false,
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    scheme && plain && more(&url) && url.host().is_some() && text.len() <= ISSUER_BYTES_MAX
}
