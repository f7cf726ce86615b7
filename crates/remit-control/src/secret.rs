//! Secrets of the vault: set, rolled back, disabled, deleted. Nobody reads one here: a view has no value, and nothing else
//! that people see is made of one.

mod view;

use remit_books::Change;
use remit_domain::event::EventKind;
use remit_domain::idp::{IdentityProvider, PROVIDER_KEY};
use remit_domain::name::Name;
use remit_domain::secret::{
    SECRETS_MAX, Secret, SecretState, SecretVersion, VALUE_BYTES_MAX, VALUE_BYTES_MIN,
    VALUES_KIB_MAX,
};
use remit_domain::{Kind, Noun, OrgId, RefusalCode, Role};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};

use crate::control::Before;
use crate::error::{invalid, not_found};
use crate::{Action, Caller, Control, ControlError, ListQuery, Listing, Saved, check, refuse};

pub use view::{BlastRadius, SecretVersionView, SecretView, VaultKeyView};
use view::{Reach, view};

/// Longest beginning of a canary's value, in bytes.
const PREFIX_BYTES_MAX: usize = 32;

/// Who sees what is known of secrets.
const READERS: [Role; 3] = [Role::Admin, Role::Responder, Role::Auditor];

/// A value on its way in. It is never written out, and an error never repeats it.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(transparent, extend("writeOnly" = true, "format" = "password"))]
pub struct SecretValue(#[schemars(with = "String")] SecretString);

impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer);
        let text = text.map_err(|_| {
            serde::de::Error::custom("`value` must be a string; what was sent is not repeated here")
        })?;
        Ok(Self(SecretString::from(text)))
    }
}

impl From<SecretString> for SecretValue {
    fn from(value: SecretString) -> Self {
        Self(value)
    }
}

/// A value for a secret.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// The value, 8 bytes to 64 KiB; line ends at its end are left out.
    pub value: SecretValue,
    /// What it is for; what is there stays where nothing is said.
    pub description: Option<String>,
    /// Why; people read it later.
    pub reason: String,
}

/// A canary to make.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCanary {
    /// How its value begins, so that it looks like what somebody would take: at most 32 of A-Z, a-z, 0-9, `_` and `-`.
    #[serde(default)]
    pub prefix: String,
    /// Where it is put; what is there stays where nothing is said.
    pub description: Option<String>,
    /// Why; people read it later.
    pub reason: String,
}

/// A canary that was made.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CanaryMade {
    /// Its value, shown this once: it opens nothing, and is to be put where only somebody who should not be there finds it.
    pub value: String,
    /// The canary.
    pub secret: SecretView,
}

impl Control {
    /// Secrets, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, responder or auditor.
    pub fn secrets(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<SecretView>, ControlError> {
        caller.require(&READERS)?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let reach = Reach::of(&registry, self.books.now());
        let all = registry.secrets.values();
        let all = all.map(|s| (s.key(), Noun::state(&**s), s));
        Ok(query.page(all, |s| view(&registry, &reach, s)))
    }

    /// One secret.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn secret(&self, caller: &Caller, name: &Name) -> Result<SecretView, ControlError> {
        caller.require(&READERS)?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let found = registry.secrets.get(name);
        let found = found.ok_or_else(|| not_found("secret", name))?;
        let reach = Reach::of(&registry, self.books.now());
        Ok(view(&registry, &reach, found))
    }

    /// Sets a secret: its value becomes a new version, which is the one used from now on.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request`; `conflict` when it has changed since `seen`;
    /// `limit-exceeded` when there are too many.
    pub async fn set_secret(
        &self,
        caller: &Caller,
        name: &Name,
        new: &NewSecret,
        seen: Option<u64>,
    ) -> Result<Saved<SecretView>, ControlError> {
        caller.require(&[Role::Admin])?;
        check::said("reason", &new.reason)?;
        check::text(
            "description",
            new.description.as_deref().unwrap_or_default(),
        )?;
        let value = checked(&new.value)?;
        let plan = || self.plan_set(caller, name, new, (&value, false), seen);
        let (action, _) = self.settle(&caller.org, plan).await?;
        Ok(Saved {
            action,
            view: self.secret(caller, name)?,
        })
    }

    async fn plan_set(
        &self,
        caller: &Caller,
        name: &Name,
        new: &NewSecret,
        (value, canary): (&SecretString, bool),
        seen: Option<u64>,
    ) -> Result<(Action, Change), ControlError> {
        let (there, before) = self.secret_before(caller, name, seen)?;
        // One whose values are destroyed may be either.
        let living = there.as_ref().filter(|t| t.state != SecretState::Deleted);
        if living.is_some_and(|there| there.canary != canary) {
            let is = if canary {
                "is no canary"
            } else {
                "is a canary"
            };
            let text = format!("secret `{name}` {is}; take another name");
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let now = self.books.now();
        let start = there.clone().unwrap_or_else(|| Secret {
            name: name.clone(),
            description: String::new(),
            state: SecretState::Active,
            current: 0,
            last: 0,
            versions: Vec::new(),
            canary,
            reason: String::new(),
            by: caller.principal.clone(),
            at: now,
        });
        let version = start.last.saturating_add(1);
        let (mut secret, gone) = start.with_version(SecretVersion {
            version,
            by: caller.principal.clone(),
            at: now,
            reason: new.reason.clone(),
            kib: kib(value),
        });
        self.has_room(caller, &secret)?;
        if let Some(description) = &new.description {
            secret.description.clone_from(description);
        }
        secret.canary = canary;
        secret.reason.clone_from(&new.reason);
        secret.by = caller.principal.clone();
        secret.at = now;
        let sealed = self
            .books
            .seal_version(&caller.org, name, version, value)
            .await?;
        let destroyed = self
            .books
            .destroy_versions(&caller.org, name, &gone)
            .await?;
        let event = self
            .event(caller, EventKind::SecretSet)
            .about(name)
            .fact("version", version)
            .fact("destroyed", &gone)
            .fact("canary", canary)
            .content("description", &secret.description)
            .content("reason", &new.reason);
        let action = if there.is_some() {
            Action::Update
        } else {
            Action::Create
        };
        let change = before.put(&secret).event(event).and(sealed).and(destroyed);
        Ok((action, change))
    }

    /// Makes a canary: a value that opens nothing. Where it shows up in what an agent sends or gets, a finding opens.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request`; `conflict` when a secret has that name; `limit-exceeded`.
    pub async fn make_canary(
        &self,
        caller: &Caller,
        name: &Name,
        new: &NewCanary,
    ) -> Result<CanaryMade, ControlError> {
        caller.require(&[Role::Admin])?;
        check::said("reason", &new.reason)?;
        check::text(
            "description",
            new.description.as_deref().unwrap_or_default(),
        )?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if new.prefix.len() > PREFIX_BYTES_MAX || !new.prefix.bytes().all(plain) {
            let why = format!("has at most {PREFIX_BYTES_MAX} of A-Z, a-z, 0-9, `_` and `-`");
            return Err(invalid("prefix", why));
        }
        let random = hex::encode(self.books.random::<20>());
        let value = SecretString::from(format!("{}{random}", new.prefix));
        let set = NewSecret {
            value: SecretValue(value.clone()),
            description: new.description.clone(),
            reason: new.reason.clone(),
        };
        let plan = || self.plan_set(caller, name, &set, (&value, true), None);
        self.settle(&caller.org, plan).await?;
        Ok(CanaryMade {
            value: value.expose_secret().to_owned(),
            secret: self.secret(caller, name)?,
        })
    }

    /// Makes a version that is kept the one that is used.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` when it is the one already, or not kept.
    pub async fn roll_back_secret(
        &self,
        caller: &Caller,
        name: &Name,
        version: u32,
        reason: &str,
    ) -> Result<SecretView, ControlError> {
        caller.require(&[Role::Admin])?;
        self.change_secret(caller, name, reason, |secret| {
            if !secret.keeps(version) {
                let kept = secret.versions.iter().map(|v| v.version.to_string());
                let kept: Vec<_> = kept.collect();
                let text = format!(
                    "version {version} is not kept; kept are: {}",
                    kept.join(", ")
                );
                return Err(refuse(RefusalCode::Conflict, text));
            }
            if secret.current == version {
                let text = format!("version {version} is the one that is used already");
                return Err(refuse(RefusalCode::Conflict, text));
            }
            secret.current = version;
            Ok(EventKind::SecretRolledBack)
        })
        .await
    }

    /// Gives a secret to nobody any more, or to its upstreams again. A call that was decided and not sent is decided again.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator, or, to disable it, a responder; `not-found`; `conflict` when it is so
    /// already, or deleted.
    pub async fn enable_secret(
        &self,
        caller: &Caller,
        name: &Name,
        enabled: bool,
        reason: &str,
    ) -> Result<SecretView, ControlError> {
        let (to, event) = if enabled {
            caller.require(&[Role::Admin])?;
            (SecretState::Active, EventKind::SecretEnabled)
        } else {
            caller.require(&[Role::Responder, Role::Admin])?;
            (SecretState::Disabled, EventKind::SecretDisabled)
        };
        self.change_secret(caller, name, reason, |secret| {
            if secret.state == to {
                let text = format!("secret `{name}` is {} already", to.as_str());
                return Err(refuse(RefusalCode::Conflict, text));
            }
            secret.state = to;
            Ok(event)
        })
        .await
    }

    /// Destroys every value of a secret. Its name, and who set it when, stay.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` when an upstream names it, or it was deleted.
    pub async fn delete_secret(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
    ) -> Result<SecretView, ControlError> {
        caller.require(&[Role::Admin])?;
        let named = self.named_by(&caller.org, name).await?;
        if !named.is_empty() {
            let text = format!(
                "it is named by {}; give them another secret first, or disable this one",
                named.join(", ")
            );
            return Err(refuse(RefusalCode::Conflict, text));
        }
        self.change_secret(caller, name, reason, |secret| {
            secret.state = SecretState::Deleted;
            secret.versions.clear();
            Ok(EventKind::SecretDeleted)
        })
        .await
    }

    /// What names a secret, in words.
    async fn named_by(&self, org: &OrgId, name: &Name) -> Result<Vec<String>, ControlError> {
        let mut named = {
            let book = self.book(org)?;
            let reach = Reach::of(&book.registry(), self.books.now());
            let upstreams = reach.upstreams.get(name).into_iter().flatten();
            let transmitters = reach.transmitters.get(name).into_iter().flatten();
            let upstreams = upstreams.map(|u| format!("upstream {u}"));
            let transmitters = transmitters.map(|t| format!("transmitter {t}"));
            upstreams.chain(transmitters).collect::<Vec<_>>()
        };
        let provider = self.books.get::<IdentityProvider>(org, PROVIDER_KEY);
        let provider = provider.await?.map(|found| found.noun);
        let secret = provider.filter(|p| !p.removed);
        let secret = secret.and_then(|p| p.settings.client_secret);
        if secret.is_some_and(|s| s.vault() == Some(name)) {
            named.push("the OpenID provider".to_owned());
        }
        Ok(named)
    }

    /// Replaces the key that seals the organization's secrets, and seals them anew.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `conflict` when somebody else does the same now.
    pub async fn rotate_vault_key(&self, caller: &Caller) -> Result<VaultKeyView, ControlError> {
        caller.require(&[Role::Admin])?;
        let by = &caller.principal;
        let number = self.books.rotate_vault_key(&caller.org, by).await?;
        Ok(VaultKeyView { number })
    }

    /// Changes the record of a secret that was not deleted; versions that are not in it any more are destroyed. Takes a right
    /// away where it is not active afterwards.
    async fn change_secret(
        &self,
        caller: &Caller,
        name: &Name,
        reason: &str,
        change: impl Fn(&mut Secret) -> Result<EventKind, ControlError>,
    ) -> Result<SecretView, ControlError> {
        check::said("reason", reason)?;
        let change = &change;
        let plan = || async move {
            let (there, before) = self.secret_before(caller, name, None)?;
            let there = there.ok_or_else(|| not_found("secret", name))?;
            if there.state == SecretState::Deleted {
                let text = format!("secret `{name}` was deleted; set it to have it again");
                return Err(refuse(RefusalCode::Conflict, text));
            }
            let mut secret = there.clone();
            let kind = change(&mut secret)?;
            reason.clone_into(&mut secret.reason);
            secret.by = caller.principal.clone();
            secret.at = self.books.now();
            let kept = |version: &u32| secret.keeps(*version);
            let gone = there.versions.iter().map(|old| old.version);
            let gone: Vec<u32> = gone.filter(|version| !kept(version)).collect();
            let event = self
                .event(caller, kind)
                .about(name)
                .fact("version", secret.current)
                .fact("destroyed", &gone)
                .content("reason", reason);
            let destroyed = self
                .books
                .destroy_versions(&caller.org, name, &gone)
                .await?;
            let change = before.put(&secret).event(event).and(destroyed);
            let change = if secret.state == SecretState::Active {
                change
            } else {
                change.restrict()
            };
            Ok(((), change))
        };
        self.settle(&caller.org, plan).await?;
        self.secret(caller, name)
    }

    /// Refuses what would make all values together too large.
    fn has_room(&self, caller: &Caller, new: &Secret) -> Result<(), ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let others = registry.secrets.values().filter(|s| s.name != new.name);
        let kib: usize = others.map(|s| held(s)).sum();
        if kib.saturating_add(held(new)) <= VALUES_KIB_MAX {
            return Ok(());
        }
        let text = format!(
            "the values of an organization have at most {VALUES_KIB_MAX} KiB together; delete secrets that nobody uses"
        );
        Err(refuse(RefusalCode::LimitExceeded, text))
    }

    fn secret_before(
        &self,
        caller: &Caller,
        name: &Name,
        seen: Option<u64>,
    ) -> Result<(Option<Secret>, Before), ControlError> {
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let there = registry.secrets.get(name);
        if there.is_none() && registry.secrets.len() >= SECRETS_MAX {
            let text = format!("an organization has at most {SECRETS_MAX} secrets");
            return Err(refuse(RefusalCode::LimitExceeded, text));
        }
        let revision = there.and_then(|_| registry.revision(Kind::Secret, name.as_str()));
        let before = Before::of(revision, seen)?;
        Ok((there.map(|secret| (**secret).clone()), before))
    }
}

fn held(secret: &Secret) -> usize {
    secret.versions.iter().map(|v| usize::from(v.kib)).sum()
}

fn kib(value: &SecretString) -> u16 {
    let kib = value.expose_secret().len().div_ceil(1_024);
    u16::try_from(kib).unwrap_or(u16::MAX)
}

/// A value within its limits. What is wrong is said without it.
fn checked(value: &SecretValue) -> Result<SecretString, ControlError> {
    let text = value.0.expose_secret().trim_end_matches(['\r', '\n']);
    let own = text.bytes().filter(|b| !b.is_ascii_whitespace()).count();
    if own < VALUE_BYTES_MIN {
        let why = format!(
            "has fewer than {VALUE_BYTES_MIN} bytes beside white space: it could be guessed, and not be kept out of answers"
        );
        return Err(invalid("value", why));
    }
    if text.len() > VALUE_BYTES_MAX {
        return Err(invalid(
            "value",
            format!("has more than {VALUE_BYTES_MAX} bytes"),
        ));
    }
    if text.contains('\0') {
        return Err(invalid("value", "holds a zero byte"));
    }
    Ok(SecretString::from(text))
}
