//! Security event tokens: what has happened to somebody, signed by who says so.
//!
//! Source: RFC 8417 §2, RFC 9493 (subject identifiers), OpenID Shared Signals Framework 1.0 §4: `typ` is `secevent+jwt`, the subject is
//! in `sub_id`, there is one event, and neither `sub` nor `exp`, so that no event passes for a token of another sort.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::claims::{Audience, NumericDate, check_id, check_uri};
use crate::error::TokenError;
use crate::foreign::{self, ForeignAlgorithm, ForeignJwks};
use crate::jws;
use crate::keys::SigningKey;
use crate::limits::{LEEWAY_S_MAX, URI_BYTES_MAX};
use crate::strict_json::UniqueObject;

/// The `typ` of a security event token (RFC 8417 §2.3).
pub const TYP: &str = "secevent+jwt";
/// Its media type.
pub const MEDIA_TYPE: &str = "application/secevent+jwt";
/// Most identifiers of one subject.
const ALIASES_MAX: usize = 16;
/// Most events of a token that are looked at, to say that it has more than one.
const EVENTS_READ_MAX: usize = 8;

/// Who or what an event is about (RFC 9493 §3.2, SSF 1.0 §3.2 and §3.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "snake_case")]
pub enum SubjectId {
    /// An account at an issuer.
    Account {
        /// `acct:` URI.
        uri: String,
    },
    /// By an address.
    Email {
        /// The address.
        email: String,
    },
    /// By an issuer's own name of it.
    IssSub {
        /// The issuer.
        iss: String,
        /// Its name there.
        sub: String,
    },
    /// By an id that both sides know.
    Opaque {
        /// The id.
        id: String,
    },
    /// By a number.
    PhoneNumber {
        /// The number.
        phone_number: String,
    },
    /// By a decentralised identifier.
    Did {
        /// DID URL.
        url: String,
    },
    /// By a URI, such as a SPIFFE ID.
    Uri {
        /// The URI.
        uri: String,
    },
    /// By a JWT.
    JwtId {
        /// Its issuer.
        iss: String,
        /// Its `jti`.
        jti: String,
    },
    /// The same one by several identifiers.
    Aliases {
        /// The identifiers.
        identifiers: Vec<SubjectId>,
    },
    /// Several that belong together: a session of a user at a tenant.
    Complex(Box<Complex>),
}

/// The members of a complex subject (SSF 1.0 §3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complex {
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<SubjectId>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SubjectId>,
    /// The device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<SubjectId>,
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<SubjectId>,
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<SubjectId>,
    /// The part of the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_unit: Option<SubjectId>,
    /// The group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<SubjectId>,
}

impl SubjectId {
    /// Checks that no text is empty or too long, and that subjects are not put into each other without end.
    ///
    /// # Errors
    /// `ClaimInvalid`.
    pub fn check(&self) -> Result<(), TokenError> {
        self.check_within(false)
    }

    fn check_within(&self, inside: bool) -> Result<(), TokenError> {
        let invalid = |problem| TokenError::ClaimInvalid {
            name: "sub_id",
            problem,
        };
        let texts: &[&String] = match self {
            Self::Account { uri } | Self::Uri { uri } => &[uri],
            Self::Email { email } => &[email],
            Self::IssSub { iss, sub } => &[iss, sub],
            Self::Opaque { id } => &[id],
            Self::PhoneNumber { phone_number } => &[phone_number],
            Self::Did { url } => &[url],
            Self::JwtId { iss, jti } => &[iss, jti],
            Self::Aliases { identifiers } => {
                if inside || !(1..=ALIASES_MAX).contains(&identifiers.len()) {
                    return Err(invalid("has too many aliases, or aliases in each other"));
                }
                return identifiers
                    .iter()
                    .try_for_each(|one| one.check_within(true));
            }
            Self::Complex(all) => {
                if inside {
                    return Err(invalid("has subjects in each other"));
                }
                let all = [
                    &all.user,
                    &all.session,
                    &all.device,
                    &all.application,
                    &all.tenant,
                    &all.org_unit,
                    &all.group,
                ];
                return all
                    .into_iter()
                    .flatten()
                    .try_for_each(|one| one.check_within(true));
            }
        };
        let fits = |text: &&String| {
            (1..=URI_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        if texts.iter().all(fits) {
            Ok(())
        } else {
            Err(invalid("has an empty or too long identifier"))
        }
    }
}

/// The claims of a security event token. Times are seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetClaims {
    /// Who says so.
    pub iss: String,
    /// When it was said.
    pub iat: i64,
    /// Its id, unique at the issuer.
    pub jti: String,
    /// Who is to hear it.
    pub aud: String,
    /// What it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txn: Option<String>,
    /// Who or what it is about.
    pub sub_id: SubjectId,
    /// The event, by its URI.
    pub events: BTreeMap<String, Value>,
}

/// What a verifier expects of a security event token.
#[derive(Debug, Clone, Copy)]
pub struct ExpectSet<'a> {
    /// The only accepted `iss`, byte for byte.
    pub issuer: &'a str,
    /// The audience that it has to name, byte for byte.
    pub audience: &'a str,
    /// The accepted algorithms.
    pub algorithms: &'a [ForeignAlgorithm],
    /// Greatest age, in seconds.
    pub age_s_max: i64,
    /// Seconds since 1970-01-01 UTC.
    pub now: i64,
    /// Clock difference allowed for, in seconds; counts as at most [`LEEWAY_S_MAX`].
    pub leeway_s: u32,
}

/// What a token says whose signature, issuer, audience and time hold.
#[derive(Debug, Clone, PartialEq)]
pub struct SecurityEvent {
    /// Its id, unique at the issuer.
    pub jti: String,
    /// When it was said.
    pub iat: i64,
    /// Who or what it is about.
    pub subject: SubjectId,
    /// The URI of the event.
    pub event: String,
    /// What the event says.
    pub claims: Value,
}

#[derive(Deserialize)]
struct Wire {
    iss: String,
    iat: NumericDate,
    jti: String,
    aud: Audience,
    #[serde(default)]
    sub: Option<Value>,
    #[serde(default)]
    exp: Option<Value>,
    sub_id: Value,
    events: UniqueObject<EVENTS_READ_MAX>,
}

/// Signs a security event token with ES256.
///
/// # Errors
/// `ClaimInvalid`, `TooLarge`, `SigningFailed`.
pub fn sign(claims: &SetClaims, key: &SigningKey) -> Result<String, TokenError> {
    check_uri("iss", &claims.iss)?;
    check_uri("aud", &claims.aud)?;
    check_id("jti", &claims.jti)?;
    claims.sub_id.check()?;
    one_event(claims.events.len())?;
    jws::seal(TYP, claims, key)
}

fn one_event(events: usize) -> Result<(), TokenError> {
    if events == 1 {
        return Ok(());
    }
    Err(TokenError::ClaimInvalid {
        name: "events",
        problem: "not exactly one",
    })
}

/// Verifies a security event token with its issuer's keys.
///
/// # Errors
/// `TooLarge`, `OpaqueSecret`, `Malformed`, `HeaderRefused`, `TypeRefused`, `AlgorithmRefused`, `KeyUnknown`, `SignatureInvalid`, `IssuerWrong`,
/// `AudienceWrong`, `ClaimInvalid`, `NotYetValid`, `Expired` for one that is too old.
pub fn verify(
    token: &str,
    keys: &ForeignJwks,
    expect: &ExpectSet<'_>,
) -> Result<SecurityEvent, TokenError> {
    let wire: Wire = foreign::open_as(token, TYP, keys, expect.algorithms)?;
    if wire.iss != expect.issuer {
        return Err(TokenError::IssuerWrong);
    }
    if !wire.aud.iter().any(|aud| aud == expect.audience) {
        return Err(TokenError::AudienceWrong);
    }
    check_id("jti", &wire.jti)?;
    for (name, given) in [("sub", &wire.sub), ("exp", &wire.exp)] {
        if given.is_some() {
            let problem = "not in a security event";
            return Err(TokenError::ClaimInvalid { name, problem });
        }
    }
    let leeway = i64::from(expect.leeway_s.min(LEEWAY_S_MAX));
    if wire.iat.0 > expect.now.saturating_add(leeway) {
        return Err(TokenError::NotYetValid);
    }
    if expect.now.saturating_sub(wire.iat.0) > expect.age_s_max {
        return Err(TokenError::Expired);
    }
    let subject: SubjectId =
        serde_json::from_value(wire.sub_id).map_err(|_| TokenError::ClaimInvalid {
            name: "sub_id",
            problem: "of no known format",
        })?;
    subject.check()?;
    one_event(wire.events.0.len())?;
    let (event, claims) = wire.events.0.into_iter().next().unwrap_or_default();
    if !claims.is_object() {
        return Err(TokenError::ClaimInvalid {
            name: "events",
            problem: "not of its form",
        });
    }
    Ok(SecurityEvent {
        jti: wire.jti,
        iat: wire.iat.0,
        subject,
        event,
        claims,
    })
}
