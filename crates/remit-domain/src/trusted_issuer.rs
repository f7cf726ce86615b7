//! Trusted issuers: who else's tokens say what a workload is, and which agent and workflow it is here.
//!
//! A rule is closed: the issuer, one audience, a subject pattern and required claims; what no rule fits gets nothing. Rules
//! are the organization's own, and nothing in a token chooses among them but what its issuer has signed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::credential::Federated;
use crate::name::Name;
use crate::{
    AgentId, Kind, Noun, PersonId, Principal, RecordId, Registry, Timestamp, TrustedIssuerId,
    WorkflowId,
};

/// Most trusted issuers of one organization.
pub const ISSUERS_MAX: usize = 50;
/// Most rules of one issuer.
pub const RULES_MAX: usize = 200;
/// Most claims that one rule requires.
pub const CLAIMS_MAX: usize = 16;
/// Most values that one claim may have.
pub const VALUES_MAX: usize = 32;
/// Longest value of a claim, in bytes.
pub const VALUE_BYTES_MAX: usize = 512;
/// Longest subject pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 512;
/// Longest subject that is looked at, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 2_048;
/// Longest name or path of a claim, in bytes.
pub const CLAIM_BYTES_MAX: usize = 256;
/// Most people that one issuer speaks for.
pub const PEOPLE_MAX: usize = 2_000;
/// Longest address, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 512;
/// Longest remaining life of a token that may be accepted, in seconds (one day).
pub const LIFETIME_SECS_MAX: i64 = 86_400;
/// The same where nothing is said: an hour, as Kubernetes and CI systems give.
pub const LIFETIME_SECS: i64 = 3_600;

/// A signature algorithm that an issuer may use (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[expect(missing_docs, reason = "each variant is the algorithm of that name")]
pub enum SignatureAlgorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SignatureAlgorithm {
    /// The `alg` name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KeySource {
    /// From the metadata at its well-known address (OpenID Connect Discovery 1.0 §4), which has to name the same issuer.
    Discovery {},
    /// From this address.
    JwksUri(String),
    /// From this bundle endpoint of a SPIFFE trust domain, which is the issuer (`spiffe://` and its name), by the profile `https_web`
    /// (SPIFFE Federation §5.2.1).
    SpiffeBundle(String),
    /// From a bundle endpoint that proves itself with an X.509-SVID, by the profile `https_spiffe` (SPIFFE Federation §5.2.2).
    HttpsSpiffe(Box<SpiffeEndpoint>),
    /// From here: a JWK set (RFC 7517 §5), for an issuer that cannot be reached. Somebody has to change it when its keys change.
    Jwks(Value),
}

/// A bundle endpoint of the profile `https_spiffe` (SPIFFE Federation §5.2.2.2). The issuer is the trust domain whose bundle it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpiffeEndpoint {
    /// Its address: https.
    pub url: String,
    /// Its SPIFFE ID, whole: its certificate names this one and no other.
    pub endpoint_spiffe_id: String,
    /// The bundle of the trust domain of that SPIFFE ID, as somebody brought it here by another way. An endpoint of the issuer's own trust
    /// domain is believed by it once, and by what it then gave from there on; an endpoint of another one always by this.
    pub bundle: Value,
}

/// What an endpoint of its own trust domain is believed by from now on: of the bundle that it gave last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenBundle {
    /// The certificates of its authorities for X.509-SVIDs, each in DER and base64.
    pub x509: Vec<String>,
    /// Its `spiffe_sequence`: a bundle with a lower one is an old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}

/// A pattern of subjects: text in which `*` stands for one or more characters that are no separator (`:` or `/`), at most once
/// between two separators. Its first two parts are text: many share an issuer, and those say whose a subject is.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct SubjectPattern(String);

const SEPARATORS: [char; 2] = [':', '/'];

impl SubjectPattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it fits a subject, whole. What it costs grows with the subject's length only.
    pub fn fits(&self, subject: &str) -> bool {
        if subject.len() > SUBJECT_BYTES_MAX {
            return false;
        }
        let mut given = subject.split_inclusive(SEPARATORS);
        let all = self.0.split_inclusive(SEPARATORS).all(|part| {
            given.next().is_some_and(|text| match part.split_once('*') {
                None => part == text,
                Some((before, after)) => text
                    .strip_prefix(before)
                    .and_then(|rest| rest.strip_suffix(after))
                    .is_some_and(|rest| !rest.is_empty() && !rest.contains(SEPARATORS)),
            })
        });
        all && given.next().is_none()
    }
}

impl FromStr for SubjectPattern {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(80).collect();
        if text.is_empty() || text.len() > PATTERN_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(format!(
                "`{shown}` is no subject pattern: it has 1 to {PATTERN_BYTES_MAX} bytes without control characters"
            ));
        }
        let mut parts = text.split(SEPARATORS).filter(|part| !part.is_empty());
        let open = |part: Option<&str>| part.is_some_and(|part| part.contains('*'));
        let (first, second) = (parts.next(), parts.next());
        if text.starts_with('*') || open(second) || (second.is_some() && open(first)) {
            return Err(format!(
                "`{shown}` has `*` among its first two parts: many share an issuer, so begin with whose the subjects are, such as `repo:acme/*`"
            ));
        }
        let twice = |part: &str| part.bytes().filter(|b| *b == b'*').count() > 1;
        if text.split(SEPARATORS).any(twice) {
            return Err(format!(
                "`{shown}` has `*` twice between two separators (`:` or `/`); once is permitted"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SubjectPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SubjectPattern> for String {
    fn from(pattern: SubjectPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a rule requires of claims: by the name of a claim, or, beginning with `/`, by a JSON Pointer into one (RFC 6901), the
/// values of which it has to have one. A list has to hold one of them.
pub type RequiredClaims = BTreeMap<String, Vec<Value>>;

/// Which workloads are which agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadRule {
    /// Its id, which changes when anything of it changes, or of how the issuer signs: what was given by it then ends.
    pub id: RecordId,
    /// Their subjects.
    pub subject: SubjectPattern,
    /// Their claims, all of which are required.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: RequiredClaims,
    /// The agent that they are.
    pub agent: AgentId,
    /// In which of its workflows.
    pub workflow: WorkflowId,
    /// Since when it has its id.
    pub since: Timestamp,
}

impl WorkloadRule {
    /// Whether a workload with this subject and these claims is meant.
    pub fn fits(&self, subject: &str, claims: &BTreeMap<String, Value>) -> bool {
        self.subject.fits(subject)
            && self
                .claims
                .iter()
                .all(|(at, wanted)| found(claims, at).is_some_and(|is| is_one_of(is, wanted)))
    }
}

fn found<'a>(claims: &'a BTreeMap<String, Value>, at: &str) -> Option<&'a Value> {
    let Some(path) = at.strip_prefix('/') else {
        return claims.get(at);
    };
    let (first, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    let first = first.replace("~1", "/").replace("~0", "~");
    claims.get(&first)?.pointer(rest)
}

fn is_one_of(is: &Value, wanted: &[Value]) -> bool {
    match is {
        Value::Array(all) => all.iter().any(|one| wanted.contains(one)),
        one => wanted.contains(one),
    }
}

/// Whether the claims that a rule requires can be looked for at all.
///
/// # Errors
/// What is wrong.
pub fn check_claims(claims: &RequiredClaims) -> Result<(), String> {
    if claims.len() > CLAIMS_MAX {
        return Err(format!("a rule requires at most {CLAIMS_MAX} claims"));
    }
    for (at, values) in claims {
        if at.is_empty() || at.len() > CLAIM_BYTES_MAX || at.chars().any(char::is_control) {
            return Err(format!(
                "the name of a claim has 1 to {CLAIM_BYTES_MAX} bytes without control characters"
            ));
        }
        if values.is_empty() || values.len() > VALUES_MAX {
            return Err(format!("claim `{at}` has 1 to {VALUES_MAX} values"));
        }
        let plain = |value: &Value| match value {
            Value::String(text) => text.len() <= VALUE_BYTES_MAX,
            Value::Bool(_) => true,
            Value::Number(n) => n.is_i64(),
            _ => false,
        };
        if !values.iter().all(plain) {
            return Err(format!(
                "claim `{at}`: a value is a text of at most {VALUE_BYTES_MAX} bytes, an integer, `true` or `false`"
            ));
        }
    }
    Ok(())
}

/// Whom an identity provider may let agents act for, by its identity assertions (ID-JAG).
///
/// Source: draft-ietf-oauth-identity-assertion-authz-grant-04 §4.4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identities {
    /// An id, which changes when anything here changes, or of how the issuer signs: what was given by it then ends.
    pub id: RecordId,
    /// Which people its subjects are.
    pub people: BTreeMap<String, PersonId>,
    /// In which workflows: in no other is anybody acted for by its word.
    pub workflows: BTreeSet<WorkflowId>,
    /// Everybody who has set any of this, and when last: they could have it say whatever they like of these people.
    pub behind: BTreeMap<PersonId, Timestamp>,
}

/// An issuer whose tokens say what a workload is, or for whom an agent may act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedIssuer {
    /// Its id.
    pub id: TrustedIssuerId,
    /// Its name here.
    pub name: Name,
    /// What it is, for people.
    pub description: String,
    /// Its `iss`, byte for byte.
    pub issuer: String,
    /// Where its keys come from.
    pub keys: KeySource,
    /// What its tokens have as their one `aud`; the organization's own issuer where nothing is said.
    pub audience: Option<String>,
    /// How they may be signed.
    pub algorithms: BTreeSet<SignatureAlgorithm>,
    /// Longest remaining life of a token, in seconds.
    pub lifetime_secs_max: i64,
    /// Which workloads are which agents.
    pub rules: Vec<WorkloadRule>,
    /// Whom it may let agents act for; nobody where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<Identities>,
    /// What its bundle endpoint is believed by, where that has changed since the document was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<SeenBundle>,
    /// Whether it is trusted now.
    pub enabled: bool,
    /// Everybody who has set how it signs, and when: they can sign as anybody whom it speaks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_by: BTreeMap<PersonId, Timestamp>,
    /// Why, for people.
    pub reason: String,
    /// Who changed it last.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl TrustedIssuer {
    /// The trust that a token rests on which is given by a rule.
    pub fn federated(&self, rule: &WorkloadRule) -> Federated {
        Federated {
            issuer: self.id.clone(),
            rule: rule.id.clone(),
        }
    }

    /// The trust that a delegation rests on which is made by its word.
    pub fn says(&self, identities: &Identities) -> Federated {
        Federated {
            issuer: self.id.clone(),
            rule: identities.id.clone(),
        }
    }

    /// Whether it still is the trust that a token was given by.
    pub fn stands_for(&self, federated: &Federated) -> bool {
        self.enabled
            && self.id == federated.issuer
            && (self.rules.iter().any(|rule| rule.id == federated.rule)
                || self
                    .identities
                    .as_ref()
                    .is_some_and(|i| i.id == federated.rule))
    }

    /// Whether it signs as another one does: by the same `iss`, keys, algorithms and audience.
    pub fn signs_as(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.keys == other.keys
            && self.audience == other.audience
            && self.algorithms == other.algorithms
    }

    /// The rules of an agent.
    pub fn rules_of<'a>(&'a self, agent: &'a AgentId) -> impl Iterator<Item = &'a WorkloadRule> {
        self.rules.iter().filter(move |rule| rule.agent == *agent)
    }
}

impl Registry {
    /// The trusted issuer of that `iss`, disabled or not.
    pub fn trusted_issuer_of(&self, iss: &str) -> Option<&std::sync::Arc<TrustedIssuer>> {
        self.trusted_issuers.values().find(|t| t.issuer == iss)
    }

    /// Whether the trust that a token was given by is as it was.
    pub fn trusts(&self, federated: &Federated) -> bool {
        let issuer = self.trusted_issuers.get(&federated.issuer);
        issuer.is_some_and(|issuer| issuer.stands_for(federated))
    }
}

impl Noun for TrustedIssuer {
    const KIND: Kind = Kind::TrustedIssuer;
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn name(&self) -> Option<String> {
        Some(self.name.to_string())
    }
    fn state(&self) -> &'static str {
        if self.enabled { "active" } else { "disabled" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fits(pattern: &str, subject: &str) -> bool {
        pattern.parse::<SubjectPattern>().unwrap().fits(subject)
    }

    #[test]
    fn a_star_stays_between_two_separators() {
        let pattern = "repo:acme/*:ref:refs/heads/release-*";
        assert!(fits(pattern, "repo:acme/shop:ref:refs/heads/release-1"));
        for wrong in [
            "repo:acme/shop:ref:refs/heads/release-",
            "repo:acme/shop:ref:refs/heads/release-1/x",
            "repo:acme/shop:ref:refs/heads/main",
            "repo:acme/shop:pull_request:ref:refs/heads/release-1",
            "repo:acme/shop/x:ref:refs/heads/release-1",
            "repo:evil/acme/shop:ref:refs/heads/release-1",
            "repo:acme/:ref:refs/heads/release-1",
            "xrepo:acme/shop:ref:refs/heads/release-1",
            "repo:acme/shop:ref:refs/heads/release-1:environment:x",
        ] {
            assert!(!fits(pattern, wrong), "{wrong}");
        }
        let account = "system:serviceaccount:agents:triage";
        assert!(fits(account, account) && !fits(account, "system:serviceaccount:agents:triage2"));
        assert!(fits(
            "spiffe://prod/ns/*/sa/triage",
            "spiffe://prod/ns/a/sa/triage"
        ));
        assert!(!fits(
            "spiffe://prod/ns/*/sa/triage",
            "spiffe://prod/ns/a/b/sa/triage"
        ));
        assert!(!fits("a*", &"a".repeat(SUBJECT_BYTES_MAX + 1)));
    }

    #[test]
    fn no_pattern_fits_everything() {
        for wrong in [
            "",
            "*",
            "*:acme",
            "**",
            "repo:**",
            "repo:a*b*c",
            "a\nb",
            "repo:*",
            "repo:*/*:ref:x",
            "re*:acme/x",
            "spiffe://*/ns/x",
            "repo:acme/a*b*c",
        ] {
            assert!(wrong.parse::<SubjectPattern>().is_err(), "{wrong:?}");
        }
        for good in [
            "repo:acme/*",
            "deploy-*",
            "spiffe://prod/*",
            "system:serviceaccount:agents:*",
        ] {
            assert!(good.parse::<SubjectPattern>().is_ok(), "{good}");
        }
        assert!(
            "r".repeat(PATTERN_BYTES_MAX + 1)
                .parse::<SubjectPattern>()
                .is_err()
        );
    }

    #[test]
    fn every_required_claim_has_to_be_there() {
        let claims = json!({
            "environment": "production", "ref_protected": "true", "groups": ["a", "b"], "attempt": 1,
            "kubernetes.io": { "namespace": "agents", "serviceaccount": { "name": "triage" } }
        });
        let claims: BTreeMap<String, Value> = serde_json::from_value(claims).unwrap();
        let fits = |wanted: Value| {
            let claims_of: RequiredClaims = serde_json::from_value(wanted).unwrap();
            check_claims(&claims_of).unwrap();
            let rule = WorkloadRule {
                id: RecordId::from_uuid(uuid::Uuid::nil()),
                subject: "a".parse().unwrap(),
                claims: claims_of,
                agent: AgentId::from_uuid(uuid::Uuid::nil()),
                workflow: WorkflowId::from_uuid(uuid::Uuid::nil()),
                since: Timestamp::from_secs(0),
            };
            rule.fits("a", &claims)
        };
        assert!(fits(json!({})));
        assert!(fits(json!({ "environment": ["staging", "production"] })));
        assert!(fits(
            json!({ "/kubernetes.io/serviceaccount/name": ["triage"] })
        ));
        assert!(fits(json!({ "groups": ["b"], "attempt": [1] })));
        for wrong in [
            json!({ "environment": ["prod"] }),
            json!({ "Environment": ["production"] }),
            json!({ "missing": ["x"] }),
            json!({ "ref_protected": [true] }),
            json!({ "attempt": ["1"] }),
            json!({ "kubernetes.io": ["agents"] }),
            json!({ "/kubernetes.io/namespace/x": ["agents"] }),
            json!({ "environment": ["production"], "groups": ["c"] }),
        ] {
            assert!(!fits(wrong.clone()), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_compared_cannot_be_required() {
        for wrong in [
            json!({ "a": [] }),
            json!({ "": ["x"] }),
            json!({ "a": [null] }),
            json!({ "a": [1.5] }),
            json!({ "a": [{}] }),
        ] {
            let claims: RequiredClaims = serde_json::from_value(wrong.clone()).unwrap();
            assert!(check_claims(&claims).is_err(), "{wrong}");
        }
    }
}
