//! Claims that more than one kind of token has, and the checks on them.

use std::iter;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::TokenError;
use crate::keys::Thumbprint;
use crate::limits::{ACT_DEPTH_MAX, AUDIENCES_MAX, ID_BYTES_MAX, LEEWAY_S_MAX, URI_BYTES_MAX};

/// What a verifier expects of a token.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The only accepted `iss`, byte for byte.
    pub issuer: &'a str,
    /// The accepted `aud` values, byte for byte; the token must name one of them.
    pub audiences: &'a [&'a str],
    /// Seconds since 1970-01-01 UTC.
    pub now: i64,
    /// Clock difference allowed for, in seconds; counts as at most [`LEEWAY_S_MAX`].
    pub leeway_s: u32,
}

/// The `aud` claim: 1 to [`AUDIENCES_MAX`] values.
///
/// Source: RFC 7519 §4.1.3. Read from a string or an array; written as a string if it is one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMany", into = "OneOrMany")]
pub struct Audience(Vec<String>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// A single audience.
    #[must_use]
    pub fn one(value: impl Into<String>) -> Self {
        Self(vec![value.into()])
    }

    /// The values, at least one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The value, if there is exactly one.
    #[must_use]
    pub fn single(&self) -> Option<&str> {
        match self.0.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Whether one of the values is one of `accepted`, byte for byte.
    #[must_use]
    pub fn is_any_of(&self, accepted: &[&str]) -> bool {
        self.iter().any(|value| accepted.contains(&value))
    }
}

impl TryFrom<OneOrMany> for Audience {
    type Error = &'static str;

    fn try_from(wire: OneOrMany) -> Result<Self, Self::Error> {
        let values = match wire {
            OneOrMany::One(value) => vec![value],
            OneOrMany::Many(values) => values,
        };
        let sizes_fit = values
            .iter()
            .all(|v| !v.is_empty() && v.len() <= URI_BYTES_MAX);
        if values.is_empty() || values.len() > AUDIENCES_MAX || !sizes_fit {
            return Err("the audience is empty, too long or has too many values");
        }
        Ok(Self(values))
    }
}

impl From<Audience> for OneOrMany {
    fn from(audience: Audience) -> Self {
        match <[String; 1]>::try_from(audience.0) {
            Ok([one]) => Self::One(one),
            Err(many) => Self::Many(many),
        }
    }
}

/// Who acts: the current actor outermost, earlier ones nested.
///
/// Source: RFC 8693 §4.1. Earlier actors are information only; authority rests on `sub` and the outermost actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The actor's id at its issuer.
    pub sub: String,
    /// The actor's issuer, where it is not the token's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The actor before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

impl Actor {
    /// An actor with nobody before it.
    #[must_use]
    pub fn new(sub: impl Into<String>) -> Self {
        Self {
            sub: sub.into(),
            iss: None,
            act: None,
        }
    }

    /// This actor, acting after `prior`.
    #[must_use]
    pub fn after(mut self, prior: Option<Actor>) -> Self {
        self.act = prior.map(Box::new);
        self
    }

    /// The actors from the current one to the first.
    pub fn chain(&self) -> impl Iterator<Item = &Actor> {
        iter::successors(Some(self), |actor| actor.act.as_deref())
    }

    /// Number of actors, at least 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.chain().count()
    }

    pub(crate) fn check(&self) -> Result<(), TokenError> {
        if self.depth() > ACT_DEPTH_MAX {
            return Err(TokenError::ActorChainTooDeep { max: ACT_DEPTH_MAX });
        }
        for actor in self.chain() {
            check_uri("act", &actor.sub)?;
            actor
                .iss
                .as_deref()
                .map_or(Ok(()), |iss| check_uri("act", iss))?;
        }
        Ok(())
    }
}

/// Who may become the actor (RFC 8693 §4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MayAct {
    /// The one agent that may act.
    pub sub: String,
    /// The one workflow in which it may act.
    #[serde(
        rename = "remit_workflow",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub workflow: Option<String>,
}

impl MayAct {
    /// Whether exactly this agent, in exactly this workflow, is named. A missing workflow names none.
    #[must_use]
    pub fn names(&self, agent: &str, workflow: &str) -> bool {
        self.sub == agent && self.workflow.as_deref() == Some(workflow)
    }

    pub(crate) fn check(&self) -> Result<(), TokenError> {
        check_uri("may_act", &self.sub)?;
        self.workflow
            .as_deref()
            .map_or(Ok(()), |name| check_id("may_act", name))
    }
}

/// What the bearer must prove to hold (RFC 7800 §3.1): all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Thumbprint of a key (RFC 9449 §6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jkt: Option<Thumbprint>,
    /// SHA-256 of a certificate, base64url (RFC 8705 §3.1).
    #[serde(default, rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    pub x5t_s256: Option<String>,
}

impl Confirmation {
    /// Of what was proved when a token was asked for; none where nothing was.
    pub fn of(jkt: Option<Thumbprint>, x5t_s256: Option<String>) -> Option<Self> {
        (jkt.is_some() || x5t_s256.is_some()).then_some(Self { jkt, x5t_s256 })
    }

    /// What records name it by: the key, and the certificate where there is no key.
    pub fn name(&self) -> Option<String> {
        let key = self.jkt.as_ref().map(ToString::to_string);
        key.or_else(|| self.x5t_s256.clone())
    }
}

/// The time claims of a token, in seconds since 1970-01-01 UTC.
pub(crate) struct Times {
    pub(crate) iat: Option<i64>,
    pub(crate) nbf: Option<i64>,
    pub(crate) exp: i64,
    /// Longest remaining life at `now`.
    pub(crate) ttl_s_max: i64,
}

impl Times {
    /// Whether the token is valid at `now`. `exp` itself is already too late (RFC 7519 §4.1.4).
    pub(crate) fn check(&self, now: i64, leeway_s: u32) -> Result<(), TokenError> {
        let leeway = i64::from(leeway_s.min(LEEWAY_S_MAX));
        if now >= self.exp.saturating_add(leeway) {
            return Err(TokenError::Expired);
        }
        let latest = now.saturating_add(leeway);
        if self.iat.is_some_and(|iat| iat > latest) || self.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(TokenError::NotYetValid);
        }
        if self.exp > latest.saturating_add(self.ttl_s_max) {
            return Err(TokenError::LifetimeTooLong {
                max_s: self.ttl_s_max,
            });
        }
        Ok(())
    }
}

/// Whether `iat` to `exp` is a positive span of at most `max_s` seconds; for tokens that we sign.
pub(crate) fn check_span(iat: i64, exp: i64, max_s: i64) -> Result<(), TokenError> {
    if iat < 0 || exp <= iat {
        return Err(TokenError::ClaimInvalid {
            name: "exp",
            problem: "not after `iat`",
        });
    }
    if exp.saturating_sub(iat) > max_s {
        return Err(TokenError::LifetimeTooLong { max_s });
    }
    Ok(())
}

/// An opaque id: 1 to [`ID_BYTES_MAX`] bytes without control characters.
pub(crate) fn check_id(name: &'static str, value: &str) -> Result<(), TokenError> {
    check_text(name, value, ID_BYTES_MAX)
}

/// An identifier that may be a URI: 1 to [`URI_BYTES_MAX`] bytes without control characters.
pub(crate) fn check_uri(name: &'static str, value: &str) -> Result<(), TokenError> {
    check_text(name, value, URI_BYTES_MAX)
}

fn check_text(name: &'static str, value: &str, bytes_max: usize) -> Result<(), TokenError> {
    let problem = if value.is_empty() {
        "empty"
    } else if value.len() > bytes_max {
        "too long"
    } else if value.chars().any(char::is_control) {
        "not printable"
    } else {
        return Ok(());
    };
    Err(TokenError::ClaimInvalid { name, problem })
}

/// A NumericDate of a foreign token, which may have a fraction (RFC 7519 §2); whole seconds, rounded down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumericDate(pub(crate) i64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        if let Some(whole) = number.as_i64() {
            return Ok(Self(whole));
        }
        // Beyond 2^53 a double has no whole seconds.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "finite and within 2^53")]
            Some(real) if real.abs() < EXACT => Ok(Self(real.floor() as i64)),
            _ => Err(serde::de::Error::custom("the date is out of range")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_read_from_both_forms_and_one_is_written_as_text() {
        let one: Audience = serde_json::from_str(r#"["a"]"#).unwrap();
        assert_eq!(serde_json::to_string(&one).unwrap(), r#""a""#);
        let two: Audience = serde_json::from_str(r#"["a","b"]"#).unwrap();
        assert_eq!(serde_json::to_string(&two).unwrap(), r#"["a","b"]"#);
        assert_eq!(two.single(), None);
        assert!(two.is_any_of(&["b"]) && !two.is_any_of(&["B", "ab"]));
        for bad in ["[]", r#""""#, "null", "7", r#"["a",7]"#, r#"["","a"]"#] {
            assert!(serde_json::from_str::<Audience>(bad).is_err(), "{bad}");
        }
        let many = serde_json::to_string(&vec!["a"; AUDIENCES_MAX + 1]).unwrap();
        assert!(serde_json::from_str::<Audience>(&many).is_err());
    }

    #[test]
    fn a_chain_runs_from_the_current_actor_to_the_first() {
        let chain = Actor::new("child").after(Some(Actor::new("parent").after(None)));
        assert_eq!(
            chain.chain().map(|a| a.sub.as_str()).collect::<Vec<_>>(),
            ["child", "parent"]
        );
        assert_eq!(
            serde_json::to_value(&chain).unwrap(),
            serde_json::json!({"sub": "child", "act": {"sub": "parent"}})
        );
    }

    #[test]
    fn may_act_without_a_workflow_names_nobody() {
        let open = MayAct {
            sub: "a".into(),
            workflow: None,
        };
        assert!(!open.names("a", "") && !open.names("a", "w"));
        let one = MayAct {
            sub: "a".into(),
            workflow: Some("w".into()),
        };
        assert!(one.names("a", "w") && !one.names("a", "x") && !one.names("b", "w"));
    }

    #[test]
    fn time_arithmetic_does_not_wrap() {
        let times = |exp| Times {
            iat: None,
            nbf: None,
            exp,
            ttl_s_max: 300,
        };
        assert_eq!(
            times(i64::MIN).check(i64::MAX, 60),
            Err(TokenError::Expired)
        );
        assert!(times(i64::MAX).check(0, 60).is_err());
        assert!(times(0).check(i64::MIN, 0).is_err());
        assert!(check_span(i64::MIN, i64::MAX, 300).is_err());
        assert!(check_span(0, i64::MAX, 300).is_err());
    }

    #[test]
    fn the_leeway_has_a_limit() {
        let times = Times {
            iat: None,
            nbf: None,
            exp: 1000,
            ttl_s_max: 300,
        };
        assert!(times.check(1059, 10_000).is_ok());
        assert_eq!(times.check(1060, 10_000), Err(TokenError::Expired));
    }

    #[test]
    fn dates_may_have_a_fraction() {
        let read = |text| serde_json::from_str::<NumericDate>(text).map(|date| date.0);
        assert_eq!(read("1800000000.9").unwrap(), 1_800_000_000);
        assert_eq!(read("-0.5").unwrap(), -1);
        assert!(
            read("1e300").is_err()
                && read("\"1\"").is_err()
                && read("18446744073709551615").is_err()
        );
    }
}
