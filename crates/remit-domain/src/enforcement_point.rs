//! Enforcement points: gateways of the organization's own that ask for decisions and enforce them (AuthZEN's PEP).
//!
//! A point is no agent and no person: it decides nothing, approves nothing, and asks only about the agents that are assigned
//! to it. It proves itself with keys of its own, which no agent and no other point ever held.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::name::Name;
use crate::tool::ToolRef;
use crate::{AgentId, EnforcementPointId, Kind, Noun, Principal, Timestamp, WorkflowId};

/// Most enforcement points of one organization.
pub const POINTS_MAX: usize = 200;
/// Most agents assigned to one point.
pub const AGENTS_MAX: usize = 1_000;
/// Most keys in use of one point: the one in use, and the one that follows it.
pub const KEYS_MAX: usize = 2;
/// Most routes of one point.
pub const ROUTES_MAX: usize = 500;
/// Longest type or id of a subject, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// Longest path of a route, in bytes.
pub const PATH_BYTES_MAX: usize = 512;
/// Most parts of a route's path.
pub const PATH_PARTS_MAX: usize = 32;

/// A public key that a point proves itself with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointKey {
    /// RFC 7638 thumbprint, base64url.
    pub thumbprint: String,
    /// The public JWK (RFC 7517).
    pub jwk: Value,
    /// When it was added; none of keys that were there before that was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Timestamp>,
}

/// A subject in the words of whoever asks: `user` `alice` (AuthZEN Authorization API 1.0 §5.1).
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Sort of subject.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id, unique within the sort.
    pub id: String,
}

impl Subject {
    /// Whether both are 1 to [`SUBJECT_BYTES_MAX`] bytes without control characters, and the sort is not ours.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        for (name, text) in [("type", &self.kind), ("id", &self.id)] {
            let fits = (1..=SUBJECT_BYTES_MAX).contains(&text.len());
            if !fits || text.chars().any(char::is_control) {
                return Err(format!(
                    "`{name}` of a subject has 1 to {SUBJECT_BYTES_MAX} bytes and no control characters"
                ));
            }
        }
        if self.kind == AGENT {
            return Err(
                "a subject of type `agent` is named by the agent itself; leave `subject` out"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// The sort of subject that an agent is by its own name or id.
pub const AGENT: &str = "agent";

/// An agent that a point may ask about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assigned {
    /// Which agent.
    pub agent: AgentId,
    /// In which workflow, where a question names none.
    pub workflow: Option<WorkflowId>,
    /// By what other name the point knows it.
    pub subject: Option<Subject>,
}

/// How the body of a request is read.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// There is none; a request that has one is denied.
    #[default]
    None,
    /// A JSON object, whose members are arguments.
    Json,
}

/// The path of a route: `/orders/{order}/refund`. A part in braces is an argument of that name.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PathTemplate(String);

/// One part of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Exactly this.
    Is(&'a str),
    /// Anything, as the argument of that name.
    Argument(&'a str),
}

impl PathTemplate {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.0.split('/').skip(1).map(part)
    }

    /// Names of the arguments in it.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.parts().filter_map(|part| match part {
            Part::Argument(name) => Some(name),
            Part::Is(_) => None,
        })
    }
}

fn part(text: &str) -> Part<'_> {
    match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        Some(name) => Part::Argument(name),
        None => Part::Is(text),
    }
}

/// Whether a text can name an argument that comes from an address.
pub fn is_argument_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

impl FromStr for PathTemplate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is no path of a route: write `/` and 1 to {PATH_PARTS_MAX} parts of A-Z a-z 0-9 - . _ ~, or `{{argument}}` for what varies",
                text.chars().take(80).collect::<String>()
            )
        };
        let template = Self(text.to_owned());
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let good = |part: Part<'_>| match part {
            Part::Argument(name) => is_argument_name(name),
            Part::Is(text) => text.bytes().all(plain) && !matches!(text, "." | ".."),
        };
        let sized = text.len() <= PATH_BYTES_MAX && template.parts().count() <= PATH_PARTS_MAX;
        if !text.starts_with('/') || !sized || !template.parts().all(good) {
            return Err(wrong());
        }
        let names: Vec<&str> = template.arguments().collect();
        if names.iter().collect::<BTreeSet<_>>().len() != names.len() {
            return Err(format!("`{text}` names an argument twice"));
        }
        Ok(template)
    }
}

impl TryFrom<String> for PathTemplate {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PathTemplate> for String {
    fn from(path: PathTemplate) -> Self {
        path.0
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which HTTP requests are calls of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpRoute {
    /// Host (and port) of the request, in small letters; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Method, in capitals.
    pub method: String,
    /// Path; a part in braces is an argument.
    pub path: PathTemplate,
    /// Parameters of the query that are arguments; any other is denied.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub query: BTreeSet<String>,
    /// How the body is read.
    #[serde(default)]
    pub body: Body,
    /// The tool that is called.
    pub tool: ToolRef,
}

impl HttpRoute {
    /// Whether it can be matched at all.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let method = (1..=16).contains(&self.method.len())
            && self.method.bytes().all(|b| b.is_ascii_uppercase());
        if !method {
            return Err("`method` is 1 to 16 capital letters".to_owned());
        }
        let host = |h: &String| {
            (1..=255).contains(&h.len())
                && h.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]".contains(&b))
        };
        if !self.host.as_ref().is_none_or(host) {
            return Err(
                "`host` is a host name in small letters, with its port where it has one".to_owned(),
            );
        }
        let taken: BTreeSet<&str> = self.path.arguments().collect();
        match self
            .query
            .iter()
            .find(|name| !is_argument_name(name) || taken.contains(name.as_str()))
        {
            Some(name) => Err(format!(
                "`query`: `{}` is no name of an argument, or is in the path already",
                name.chars().take(80).collect::<String>()
            )),
            None => Ok(()),
        }
    }

    /// The arguments in a path, where it is one of this route's: names and texts, still percent-encoded.
    pub fn matches<'a>(
        &'a self,
        method: &str,
        host: &str,
        path: &'a str,
    ) -> Option<Vec<(&'a str, &'a str)>> {
        if method != self.method
            || self
                .host
                .as_deref()
                .is_some_and(|h| !h.eq_ignore_ascii_case(host))
        {
            return None;
        }
        let mut found = Vec::new();
        let mut given = path.strip_prefix('/')?.split('/');
        for part in self.path.parts() {
            let text = given.next()?;
            match part {
                Part::Is(same) if same == text => {}
                Part::Argument(name) if !text.is_empty() => found.push((name, text)),
                _ => return None,
            }
        }
        given.next().is_none().then_some(found)
    }
}

/// A gateway that asks for decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforcementPoint {
    /// Its id, which is also its OAuth client id.
    pub id: EnforcementPointId,
    /// Its name.
    pub name: Name,
    /// What it is, for people.
    pub description: String,
    /// The keys it proves itself with.
    pub keys: Vec<PointKey>,
    /// Thumbprints of keys it had: none of them returns.
    pub removed_keys: BTreeSet<String>,
    /// The agents it may ask about.
    pub agents: Vec<Assigned>,
    /// Whether it may have a decision take effect, whose outcome it then reports; otherwise it is only advised.
    pub enforce: bool,
    /// Which HTTP requests are which calls, for Envoy.
    pub routes: Vec<HttpRoute>,
    /// Whether it may ask at all.
    pub enabled: bool,
    /// Why it is as it is, for people.
    pub reason: String,
    /// Who changed it last.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl EnforcementPoint {
    /// The assignment of an agent.
    pub fn assigned(&self, agent: &AgentId) -> Option<&Assigned> {
        self.agents.iter().find(|a| a.agent == *agent)
    }

    /// The assignment of a subject in the point's own words.
    pub fn known_as(&self, kind: &str, id: &str) -> Option<&Assigned> {
        let same = |s: &Subject| s.kind == kind && s.id == id;
        self.agents
            .iter()
            .find(|a| a.subject.as_ref().is_some_and(same))
    }

    /// Whether it proves itself with this key now.
    pub fn holds(&self, thumbprint: &str) -> bool {
        self.keys.iter().any(|key| key.thumbprint == thumbprint)
    }
}

impl Noun for EnforcementPoint {
    const KIND: Kind = Kind::EnforcementPoint;
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

    fn route(method: &str, path: &str) -> HttpRoute {
        HttpRoute {
            host: Some("api.example".to_owned()),
            method: method.to_owned(),
            path: path.parse().unwrap(),
            query: BTreeSet::new(),
            body: Body::None,
            tool: "orders/refund".parse().unwrap(),
        }
    }

    #[test]
    fn a_route_is_matched_whole_or_not_at_all() {
        let route = route("POST", "/orders/{order}/refund");
        assert_eq!(
            route.matches("POST", "API.example", "/orders/7/refund"),
            Some(vec![("order", "7")])
        );
        for (method, host, path) in [
            ("GET", "api.example", "/orders/7/refund"),
            ("post", "api.example", "/orders/7/refund"),
            ("POST", "other.example", "/orders/7/refund"),
            ("POST", "api.example", "/orders/7/refund/"),
            ("POST", "api.example", "/orders//refund"),
            ("POST", "api.example", "/orders/7/refund/now"),
            ("POST", "api.example", "//orders/7/refund"),
            ("POST", "api.example", "/orders/7"),
            ("POST", "api.example", "orders/7/refund"),
        ] {
            assert_eq!(
                route.matches(method, host, path),
                None,
                "{method} {host} {path}"
            );
        }
    }

    #[test]
    fn paths_of_routes_are_read_strictly() {
        for wrong in [
            "", "orders", "/a/../b", "/./b", "/{a}/{a}", "/{}", "/a b", "/a%2Fb", "/{a.b}", "/a?b",
        ] {
            assert!(wrong.parse::<PathTemplate>().is_err(), "{wrong}");
        }
        assert_eq!("/".parse::<PathTemplate>().unwrap().parts().count(), 1);
        assert!(
            "/a".repeat(PATH_PARTS_MAX + 1)
                .parse::<PathTemplate>()
                .is_err()
        );
    }

    #[test]
    fn an_argument_comes_from_one_place() {
        let mut twice = route("GET", "/orders/{order}");
        twice.query.insert("order".to_owned());
        assert!(twice.check().is_err());
        let mut lower = route("GET", "/orders/{order}");
        lower.method = "get".to_owned();
        assert!(lower.check().is_err());
    }

    #[test]
    fn nobody_is_known_by_the_name_of_another_agent() {
        let subject = Subject {
            kind: AGENT.to_owned(),
            id: "other-agent".to_owned(),
        };
        assert!(subject.check().is_err());
    }
}
