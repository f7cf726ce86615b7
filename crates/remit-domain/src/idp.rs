//! The company's OpenID provider: where people of an organization sign in, and whom its claims name.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::name::Email;
use crate::upstream::SecretRef;
use crate::{Kind, Noun, PersonId, Role, Timestamp};

/// The key of the one provider of an organization.
pub const PROVIDER_KEY: &str = "default";
/// Most groups and subjects that are mapped.
pub const MAPPED_MAX: usize = 1_000;
/// Longest text of a mapping (a group, a subject, a claim's name), in bytes.
pub const MAPPED_BYTES_MAX: usize = 255;

/// Who may sign in with a passkey while there is a provider.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PasskeySignIn {
    /// Only people marked break-glass, and each time is an alarm.
    #[default]
    BreakGlass,
    /// Everybody who has one.
    Everybody,
}

/// What a provider is asked for, and what is believed of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its issuer, exactly as it calls itself, such as `https://login.acme.example`.
    pub issuer: String,
    /// How it knows this instance.
    pub client_id: String,
    /// The client's secret, by reference; none for a public client (PKCE is always used).
    #[serde(default)]
    pub client_secret: Option<SecretRef>,
    /// What is asked for besides `openid`; `email` where absent.
    #[serde(default = "default_scopes")]
    pub scopes: BTreeSet<String>,
    /// Whether a verified e-mail address names the person with that address.
    #[serde(default = "yes")]
    pub verified_email: bool,
    /// Subjects of the provider, and the address of the person here whom each names. Looked at before the address.
    #[serde(default)]
    pub subjects: BTreeMap<String, Email>,
    /// The claim that holds the person's groups; none means that groups are not looked at.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// The roles that each group may hold in a session. They narrow what the person has, never widen it.
    #[serde(default)]
    pub groups: BTreeMap<String, BTreeSet<Role>>,
    /// Who may sign in with a passkey instead.
    #[serde(default)]
    pub passkeys: PasskeySignIn,
    /// Whether it is in use.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn default_scopes() -> BTreeSet<String> {
    BTreeSet::from(["email".to_owned()])
}

const fn yes() -> bool {
    true
}

/// Who set something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBy {
    /// Who.
    pub person: PersonId,
    /// When.
    pub at: Timestamp,
}

/// Who set what decides whom a provider's answer names: each of them could have signed in as somebody by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Which provider is believed.
    #[serde(default)]
    pub issuer: Option<SetBy>,
    /// That verified addresses name people.
    #[serde(default)]
    pub verified_email: Option<SetBy>,
    /// Whom each subject names.
    #[serde(default)]
    pub subjects: BTreeMap<String, SetBy>,
}

/// The OpenID provider of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityProvider {
    /// Its settings.
    #[serde(flatten)]
    pub settings: ProviderSettings,
    /// Whether it was taken away; then it is as if there were none.
    #[serde(default)]
    pub removed: bool,
    /// Who set what decides whom it names.
    #[serde(default)]
    pub behind: Behind,
}

impl IdentityProvider {
    /// Whether people sign in with it now.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.settings.enabled && !self.removed
    }

    /// Whether the groups it names narrow what people may.
    #[must_use]
    pub fn looks_at_groups(&self) -> bool {
        self.is_in_use() && self.settings.groups_claim.is_some()
    }

    /// Whether nobody has more by the groups of this one than by those of `before`.
    #[must_use]
    pub fn is_as_narrow_as(&self, before: &Self) -> bool {
        let (now, was) = (&self.settings, &before.settings);
        let no_role_more = |(group, roles): (&String, &BTreeSet<Role>)| {
            roles.is_empty() || was.groups.get(group).is_some_and(|w| roles.is_subset(w))
        };
        self.looks_at_groups()
            && now.issuer == was.issuer
            && now.groups_claim == was.groups_claim
            && now.subjects == was.subjects
            && now.groups.iter().all(no_role_more)
    }

    /// A provider with these settings, set by `by` over what was there. What stays as it was keeps who set it; a provider
    /// that was taken away is set anew as a whole.
    #[must_use]
    pub fn set(settings: ProviderSettings, before: Option<&Self>, by: &SetBy) -> Self {
        let before = before.filter(|b| !b.removed);
        let kept = |same: fn(&ProviderSettings, &ProviderSettings) -> bool, was: &Option<SetBy>| {
            let same = before.is_some_and(|b| same(&b.settings, &settings));
            was.clone().filter(|_| same).unwrap_or_else(|| by.clone())
        };
        let was = before.map(|b| b.behind.clone()).unwrap_or_default();
        let issuer = kept(|a, b| a.issuer == b.issuer, &was.issuer);
        let verified = kept(
            |a, b| a.verified_email == b.verified_email,
            &was.verified_email,
        );
        let subjects = settings.subjects.iter().map(|(subject, email)| {
            let same = before.is_some_and(|b| b.settings.subjects.get(subject) == Some(email));
            let was = was.subjects.get(subject).filter(|_| same);
            (subject.clone(), was.unwrap_or(by).clone())
        });
        let behind = Behind {
            subjects: subjects.collect(),
            issuer: Some(issuer),
            verified_email: Some(verified),
        };
        Self {
            settings,
            removed: false,
            behind,
        }
    }

    /// Who could have signed in as a person whom it names by this mapped subject, or by their verified address.
    #[must_use]
    pub fn behind(&self, subject: Option<&str>) -> Vec<&SetBy> {
        let named = match subject {
            Some(subject) => self.behind.subjects.get(subject),
            None => self.behind.verified_email.as_ref(),
        };
        self.behind.issuer.iter().chain(named).collect()
    }
}

impl ProviderSettings {
    /// The roles a session may have at most, from the groups that the provider names; none where groups are not looked at.
    #[must_use]
    pub fn roles_of(&self, groups: &[String]) -> Option<BTreeSet<Role>> {
        self.groups_claim.as_ref()?;
        let mapped = groups.iter().filter_map(|group| self.groups.get(group));
        Some(mapped.flatten().copied().collect())
    }
}

impl Noun for IdentityProvider {
    const KIND: Kind = Kind::IdentityProvider;
    fn key(&self) -> String {
        PROVIDER_KEY.to_owned()
    }
    fn state(&self) -> &'static str {
        if self.is_in_use() {
            "active"
        } else {
            "disabled"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_nobody_mapped_give_nothing() {
        let mut settings: ProviderSettings = serde_json::from_value(serde_json::json!({
            "issuer": "https://login.acme.example", "client_id": "remit",
            "groups": { "sec": ["responder"] }
        }))
        .unwrap();
        assert_eq!(settings.roles_of(&["sec".to_owned()]), None);
        settings.groups_claim = Some("groups".to_owned());
        assert_eq!(
            settings.roles_of(&["sec".to_owned(), "other".to_owned()]),
            Some(BTreeSet::from([Role::Responder]))
        );
        assert_eq!(settings.roles_of(&[]), Some(BTreeSet::new()));
    }
}
