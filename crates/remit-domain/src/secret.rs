//! Secrets of upstreams that Remit keeps itself: a name, and versions of a value that only the broker opens.
//!
//! What people and the registry know of a secret is its [`Secret`] record, which holds no value. Each value is a
//! [`SealedSecret`], sealed under the vault key of its organization, which is sealed under the master key in turn. Neither a
//! [`SealedSecret`] nor a [`VaultKey`] is in the registry, and no view is made of one.

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::{Kind, Noun, Principal, Timestamp};

/// Most secrets of one organization, deleted ones included.
pub const SECRETS_MAX: usize = 2_000;
/// Most versions that are kept of one secret; the value of the oldest is destroyed when another one comes.
pub const VERSIONS_MAX: usize = 10;
/// Fewest bytes of a value: what is shorter cannot be found in a text without finding it everywhere.
pub const VALUE_BYTES_MIN: usize = 8;
/// Most bytes of a value.
pub const VALUE_BYTES_MAX: usize = 65_536;
/// Most KiB of all values of one organization, those of older versions included: all of them are looked for in what upstreams
/// say.
pub const VALUES_KIB_MAX: usize = 8_192;

/// Whether a secret may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretState {
    /// It is given to the upstreams that name it.
    Active,
    /// It is kept, and given to nobody.
    Disabled,
    /// Its values are destroyed.
    Deleted,
}

impl SecretState {
    /// The state as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }
}

/// What is known of one version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVersion {
    /// Its number, from 1; never given twice.
    pub version: u32,
    /// Who set it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// How large its value is, in KiB, rounded up.
    pub kib: u16,
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name, which is also its id.
    pub name: Name,
    /// What it is for, for people.
    pub description: String,
    /// Whether it may be used.
    pub state: SecretState,
    /// The version that is used.
    pub current: u32,
    /// The highest number that was given.
    pub last: u32,
    /// Versions whose values are kept, oldest first.
    pub versions: Vec<SecretVersion>,
    /// Whether it opens nothing, and is there to be found by whoever takes what is not theirs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// Why it is as it is, for people.
    pub reason: String,
    /// Who changed it last.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl Secret {
    /// Whether the value of that version is kept.
    #[must_use]
    pub fn keeps(&self, version: u32) -> bool {
        self.versions.iter().any(|kept| kept.version == version)
    }

    /// The secret with another version, which is the one used from now on; and the versions that are kept no longer. One that was
    /// taken out of use stays so until somebody puts it back.
    #[must_use]
    pub fn with_version(mut self, new: SecretVersion) -> (Self, Vec<u32>) {
        self.current = new.version;
        self.last = new.version;
        if self.state == SecretState::Deleted {
            self.state = SecretState::Active;
        }
        self.versions.push(new);
        let over = self.versions.len().saturating_sub(VERSIONS_MAX);
        let gone = self.versions.drain(..over).map(|old| old.version).collect();
        (self, gone)
    }

    /// What its use is noted under.
    #[must_use]
    pub fn use_key(&self) -> String {
        format!("secret/{}", self.name)
    }
}

impl Noun for Secret {
    const KIND: Kind = Kind::Secret;
    fn key(&self) -> String {
        self.name.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
    fn state(&self) -> &'static str {
        self.state.as_str()
    }
}

/// The value of one version, sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Whose value.
    pub name: Name,
    /// Which version.
    pub version: u32,
    /// The vault key that it is sealed under.
    pub vault_key: u32,
    /// `nonce | AES-256-GCM` in base64, bound to organization, name, version and vault key; none once it is destroyed.
    pub sealed: Option<String>,
}

/// A sealed value is not printed either.
impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedSecret({} version {})", self.name, self.version)
    }
}

impl SealedSecret {
    /// The key of its record.
    #[must_use]
    pub fn key_of(name: &Name, version: u32) -> String {
        format!("{name}/{version}")
    }
}

impl Noun for SealedSecret {
    const KIND: Kind = Kind::SealedSecret;
    fn key(&self) -> String {
        Self::key_of(&self.name, self.version)
    }
    fn parent(&self) -> Option<String> {
        Some(self.vault_key.to_string())
    }
    fn state(&self) -> &'static str {
        if self.sealed.is_some() {
            "sealed"
        } else {
            "destroyed"
        }
    }
}

/// The key that seals the secrets of one organization. Destroying it destroys what it sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultKey {
    /// Its number, from 1.
    pub number: u32,
    /// The key, sealed under the master key; base64. None once it is destroyed.
    pub sealed: Option<String>,
    /// How many values it has sealed.
    pub seals: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When another one took its place.
    pub retired: Option<Timestamp>,
}

/// A sealed key is not printed either.
impl std::fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VaultKey({})", self.number)
    }
}

impl Noun for VaultKey {
    const KIND: Kind = Kind::VaultKey;
    fn key(&self) -> String {
        self.number.to_string()
    }
    fn state(&self) -> &'static str {
        match (&self.sealed, self.retired) {
            (None, _) => "destroyed",
            (Some(_), Some(_)) => "retired",
            (Some(_), None) => "active",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_versions_go_and_numbers_never_come_back() {
        let mut secret = Secret {
            name: "crm".parse().unwrap(),
            description: String::new(),
            state: SecretState::Disabled,
            current: 0,
            last: 0,
            versions: Vec::new(),
            canary: false,
            reason: String::new(),
            by: Principal::Remit,
            at: Timestamp::from_micros(0),
        };
        for version in 1..=12 {
            let new = SecretVersion {
                version,
                by: Principal::Remit,
                at: Timestamp::from_micros(0),
                reason: String::new(),
                kib: 1,
            };
            let (with, gone) = secret.with_version(new);
            let expected: Vec<u32> = version
                .checked_sub(10)
                .filter(|n| *n > 0)
                .into_iter()
                .collect();
            assert_eq!(gone, expected);
            secret = with;
        }
        assert_eq!((secret.current, secret.last), (12, 12));
        assert_eq!(
            secret.state,
            SecretState::Disabled,
            "a value puts nothing back into use"
        );
        assert!(secret.keeps(3) && !secret.keeps(2));
    }
}
