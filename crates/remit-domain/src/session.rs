//! Sessions: a person who has signed in with a browser, until they sign out, stay away, or leave.
//!
//! A session is the person's, never more: roles are read from the registry each time, and what the provider's groups
//! say can only narrow them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Kind, Noun, PasskeyId, PersonId, Role, SessionId, Timestamp};

/// Shortest and longest idle time of a session, in seconds: shorter cannot be worked with, longer is no limit.
pub const SESSION_IDLE_S: std::ops::RangeInclusive<u32> = 60..=86_400;
/// Shortest and longest life of a session, in seconds.
pub const SESSION_LIFE_S: std::ops::RangeInclusive<u32> = 300..=7 * 86_400;

/// How long people of an organization stay signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionLimits {
    /// Seconds without a request after which a session ends, 60 to 86,400; 1,800 where absent.
    pub idle_s: u32,
    /// Seconds after which a session ends whatever happens, 300 to 604,800; 43,200 where absent.
    pub life_s: u32,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle_s: 30 * 60,
            life_s: 12 * 3_600,
        }
    }
}

impl SessionLimits {
    /// Whether both are within their ranges, and idle time is no longer than life.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        SESSION_IDLE_S.contains(&self.idle_s)
            && SESSION_LIFE_S.contains(&self.life_s)
            && self.idle_s <= self.life_s
    }
}

/// How a person signed in.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SignedInBy {
    /// With a link that works once.
    Link,
    /// With the company's OpenID provider.
    Oidc,
    /// With a passkey.
    Passkey,
}

impl SignedInBy {
    /// The way as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Oidc => "oidc",
            Self::Passkey => "passkey",
        }
    }

    /// The way in words, as the end of "signed in with …".
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Link => "a link",
            Self::Oidc => "the OpenID provider",
            Self::Passkey => "a passkey",
        }
    }
}

/// A person's session with one browser. Its secret is in that browser's cookie; here is only a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: SessionId,
    /// SHA-256 of the secret, hex.
    pub digest: String,
    /// Whose it is.
    pub person: PersonId,
    /// How they signed in.
    pub how: SignedInBy,
    /// The roles it has at most; none means: all that the person has.
    pub roles_max: Option<BTreeSet<Role>>,
    /// What the browser calls itself, shortened; for the person to recognise it, and never decided on.
    pub browser: String,
    /// When they signed in.
    pub created: Timestamp,
    /// When it was last used, to about a minute.
    pub seen: Timestamp,
    /// When it ends whatever happens.
    pub expires: Timestamp,
    /// When the person last proved with a passkey, in this session, that it is still them.
    pub stepped_up: Option<Timestamp>,
    /// What they proved then, where it was over a digest rather than by signing in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<Proved>,
    /// When it was ended.
    pub ended: Option<Timestamp>,
}

/// What a person proved with a passkey in a session: that it was them, over one digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    /// SHA-256, 64 lower-case hex digits, of what they were about to do.
    pub digest: String,
    /// With which passkey.
    pub passkey: PasskeyId,
    /// When.
    pub at: Timestamp,
}

impl Session {
    /// When it ends if it is not used any more.
    #[must_use]
    pub fn idle_end(&self, limits: SessionLimits) -> Timestamp {
        let idle = self.seen.plus_secs(i64::from(limits.idle_s));
        let life = self.created.plus_secs(i64::from(limits.life_s));
        idle.min(life).min(self.expires)
    }

    /// Whether it counts at `now`. A session from the future (a clock that was set back) counts until its own end.
    #[must_use]
    pub fn is_live(&self, limits: SessionLimits, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.idle_end(limits)
    }
}

impl Noun for Session {
    const KIND: Kind = Kind::Session;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.digest.clone())
    }
    fn parent(&self) -> Option<String> {
        Some(self.person.to_string())
    }
    fn state(&self) -> &'static str {
        if self.ended.is_some() {
            "ended"
        } else {
            "active"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn session(created: i64, seen: i64) -> Session {
        Session {
            id: SessionId::from_uuid(uuid::Uuid::nil()),
            digest: String::new(),
            person: PersonId::from_uuid(uuid::Uuid::nil()),
            how: SignedInBy::Passkey,
            roles_max: None,
            browser: String::new(),
            created: Timestamp::from_secs(created),
            seen: Timestamp::from_secs(seen),
            expires: Timestamp::from_secs(created + 43_200),
            stepped_up: None,
            proved: None,
            ended: None,
        }
    }

    proptest! {
        #[test]
        fn no_session_outlives_its_idle_time_its_life_or_a_shortened_limit(
            used in 0i64..100_000, after in 0i64..100_000, idle in 60u32..86_400, life in 300u32..604_800,
        ) {
            let limits = SessionLimits { idle_s: idle, life_s: life };
            let session = session(0, used);
            let now = used + after;
            if session.is_live(limits, Timestamp::from_secs(now)) {
                prop_assert!(after < i64::from(idle));
                prop_assert!(now < i64::from(life) && now < 43_200);
            }
        }
    }

    #[test]
    fn an_ended_session_is_over_at_once() {
        let mut session = session(0, 0);
        let now = Timestamp::from_secs(1);
        assert!(session.is_live(SessionLimits::default(), now));
        session.ended = Some(now);
        assert!(!session.is_live(SessionLimits::default(), now));
    }
}
