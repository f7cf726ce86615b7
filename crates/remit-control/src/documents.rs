//! Reading documents: YAML with a budget, one spec a kind, every mistake with its line.

use std::collections::BTreeSet;
use std::fmt;

use remit_domain::name::Name;
use schemars::JsonSchema;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_saphyr::{
    DefaultMessageFormatter, DuplicateKeyPolicy, Location, MergeKeyPolicy, MessageFormatter,
    Options, Spanned,
};

use crate::spec::{
    API_VERSION, AgentSpec, AnySpec, AuthorizationServerSpec, DocumentKind, EnforcementPointSpec,
    FreezeSpec, LimitSpec, OrganizationSpec, PersonSpec, PolicySetSpec, SettingSpec, SystemSpec,
    TeamSpec, ToolSpec, TrustedIssuerSpec, UpstreamSpec, WorkflowRef, WorkflowSpec,
};

/// Largest text of documents, in bytes.
pub const DOCUMENTS_BYTES_MAX: usize = 1_048_576;
/// Most documents of one text.
pub const DOCUMENTS_MAX: usize = 1_000;
/// Deepest nesting; a bound on an argument is about six deep.
const DEPTH_MAX: usize = 24;
/// Most anchors and, separately, aliases: convenience, not a programming language.
const ANCHORS_MAX: usize = 100;

/// Something wrong in the documents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct DocumentProblem {
    /// Line, from 1; 0 where the text as a whole is meant.
    pub line: u64,
    /// Column in characters, from 1; 0 as above.
    pub column: u64,
    /// What, why, what to do.
    pub message: String,
}

impl fmt::Display for DocumentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.message)
        } else {
            write!(
                f,
                "line {}, column {}: {}",
                self.line, self.column, self.message
            )
        }
    }
}

/// One document, and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) spec: AnySpec,
    pub(crate) at: (u64, u64),
}

impl Document {
    /// A problem of this document.
    pub(crate) fn problem(&self, why: impl fmt::Display) -> DocumentProblem {
        let message = format!(
            "{} `{}`: {why}",
            self.spec.kind().as_str(),
            self.spec.name()
        );
        DocumentProblem {
            line: self.at.0,
            column: self.at.1,
            message,
        }
    }
}

/// Reads documents.
///
/// # Errors
/// The first problem of form, or every problem of names.
pub(crate) fn read(text: &str) -> Result<Vec<Document>, Vec<DocumentProblem>> {
    let whole = |message: String| {
        vec![DocumentProblem {
            line: 0,
            column: 0,
            message,
        }]
    };
    if text.len() > DOCUMENTS_BYTES_MAX {
        return Err(whole(format!(
            "the documents have {} bytes; at most {DOCUMENTS_BYTES_MAX} are permitted; split them",
            text.len()
        )));
    }
    let raw: Vec<Spanned<Raw>> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|e| vec![problem(&e)])?;
    let mut documents = Vec::with_capacity(raw.len());
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for Spanned {
        value, referenced, ..
    } in raw
    {
        match value.named() {
            Ok(spec) => {
                let document = Document {
                    spec,
                    at: place(referenced),
                };
                if seen.insert((document.spec.kind(), document.spec.name())) {
                    documents.push(document);
                } else {
                    problems.push(document.problem("is there twice; keep one"));
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(documents)
    } else {
        Err(problems)
    }
}

/// Reads documents as `plan` does before it looks at anything that is registered; says how many there are.
///
/// # Errors
/// Every [`DocumentProblem`], with its place.
pub fn check_documents(text: &str) -> Result<usize, Vec<DocumentProblem>> {
    read(text).map(|documents| documents.len())
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: DOCUMENTS_MAX,
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_anchors: ANCHORS_MAX,
            max_aliases: ANCHORS_MAX,
            max_recorded_anchor_events: 10_000,
            max_recorded_anchor_bytes: DOCUMENTS_BYTES_MAX,
            max_events: 200_000,
            max_nodes: 100_000,
            max_inclusion_depth: 0,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    }
}

fn place(location: Location) -> (u64, u64) {
    (location.line(), location.column())
}

fn problem(error: &serde_saphyr::Error) -> DocumentProblem {
    let (line, column) = error.location().map_or((0, 0), place);
    let message = DefaultMessageFormatter.format_message(error.without_snippet());
    // A message may quote what was given: one line, and not all of it.
    let message: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(600)
        .collect();
    DocumentProblem {
        line,
        column,
        message,
    }
}

/// A document as written.
struct Raw {
    metadata: Metadata,
    spec: RawSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: Spanned<String>,
    #[serde(default)]
    agent: Option<Spanned<String>>,
}

enum RawSpec {
    Organization(OrganizationSpec),
    Team(TeamSpec),
    Person(PersonSpec),
    System(SystemSpec),
    Upstream(UpstreamSpec),
    Tool(ToolSpec),
    Agent(AgentSpec),
    Workflow(WorkflowSpec),
    PolicySet(PolicySetSpec),
    Setting(SettingSpec),
    Limit(LimitSpec),
    Freeze(FreezeSpec),
    EnforcementPoint(EnforcementPointSpec),
    TrustedIssuer(TrustedIssuerSpec),
    AuthorizationServer(AuthorizationServerSpec),
}

impl RawSpec {
    fn read<'de, A: MapAccess<'de>>(kind: DocumentKind, map: &mut A) -> Result<Self, A::Error> {
        Ok(match kind {
            DocumentKind::Organization => Self::Organization(map.next_value()?),
            DocumentKind::Team => Self::Team(map.next_value()?),
            DocumentKind::Person => Self::Person(map.next_value()?),
            DocumentKind::System => Self::System(map.next_value()?),
            DocumentKind::Upstream => Self::Upstream(map.next_value()?),
            DocumentKind::Tool => Self::Tool(map.next_value()?),
            DocumentKind::Agent => Self::Agent(map.next_value()?),
            DocumentKind::Workflow => Self::Workflow(map.next_value()?),
            DocumentKind::PolicySet => Self::PolicySet(map.next_value()?),
            DocumentKind::Setting => Self::Setting(map.next_value()?),
            DocumentKind::Limit => Self::Limit(map.next_value()?),
            DocumentKind::Freeze => Self::Freeze(map.next_value()?),
            DocumentKind::EnforcementPoint => Self::EnforcementPoint(map.next_value()?),
            DocumentKind::TrustedIssuer => Self::TrustedIssuer(map.next_value()?),
            DocumentKind::AuthorizationServer => Self::AuthorizationServer(map.next_value()?),
        })
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    ApiVersion,
    Kind,
    Metadata,
    Spec,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document with apiVersion, kind, metadata and spec")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let (mut version, mut kind, mut metadata, mut spec) = (None::<String>, None, None, None);
        while let Some(field) = map.next_key::<Field>()? {
            match field {
                Field::ApiVersion => version = Some(map.next_value()?),
                Field::Kind => kind = Some(map.next_value::<DocumentKind>()?),
                Field::Metadata => metadata = Some(map.next_value()?),
                Field::Spec => {
                    let kind = kind.ok_or_else(|| {
                        A::Error::custom("write `kind` before `spec`: it says what a spec holds")
                    })?;
                    spec = Some(RawSpec::read(kind, &mut map)?);
                }
            }
        }
        if version.as_deref() != Some(API_VERSION) {
            return Err(A::Error::custom(format!(
                "`apiVersion` must be {API_VERSION}"
            )));
        }
        if kind.is_none() {
            return Err(A::Error::missing_field("kind"));
        }
        Ok(Raw {
            metadata: metadata.ok_or_else(|| A::Error::missing_field("metadata"))?,
            spec: spec.ok_or_else(|| A::Error::missing_field("spec"))?,
        })
    }
}

impl Raw {
    fn named(self) -> Result<AnySpec, DocumentProblem> {
        let Metadata { name, agent } = self.metadata;
        if let (Some(agent), false) = (&agent, matches!(self.spec, RawSpec::Workflow(_))) {
            return Err(at(
                agent.referenced,
                "`metadata.agent` is for workflows only",
            ));
        }
        Ok(match self.spec {
            RawSpec::Organization(s) => AnySpec::Organization(parsed(&name)?, s),
            RawSpec::Team(s) => AnySpec::Team(parsed(&name)?, s),
            RawSpec::Person(s) => AnySpec::Person(parsed(&name)?, s),
            RawSpec::System(s) => AnySpec::System(parsed(&name)?, s),
            RawSpec::Upstream(s) => AnySpec::Upstream(parsed(&name)?, s),
            RawSpec::Tool(s) => AnySpec::Tool(parsed(&name)?, s),
            RawSpec::Agent(s) => AnySpec::Agent(parsed(&name)?, s),
            RawSpec::PolicySet(s) => AnySpec::PolicySet(parsed(&name)?, s),
            RawSpec::Setting(s) => AnySpec::Setting(parsed(&name)?, s),
            RawSpec::Limit(s) => AnySpec::Limit(parsed(&name)?, s),
            RawSpec::Freeze(s) => AnySpec::Freeze(parsed(&name)?, s),
            RawSpec::EnforcementPoint(s) => AnySpec::EnforcementPoint(parsed(&name)?, s),
            RawSpec::TrustedIssuer(s) => AnySpec::TrustedIssuer(parsed(&name)?, s),
            RawSpec::AuthorizationServer(s) => AnySpec::AuthorizationServer(parsed(&name)?, s),
            RawSpec::Workflow(s) => {
                let Some(agent) = &agent else {
                    return Err(at(
                        name.referenced,
                        "`metadata.agent` is missing: name the agent whose workflow it is",
                    ));
                };
                let (agent, workflow): (Name, Name) = (parsed(agent)?, parsed(&name)?);
                AnySpec::Workflow(WorkflowRef { agent, workflow }, s)
            }
        })
    }
}

fn parsed<T: std::str::FromStr<Err: fmt::Display>>(
    text: &Spanned<String>,
) -> Result<T, DocumentProblem> {
    text.value
        .parse()
        .map_err(|e: T::Err| at(text.referenced, &e.to_string()))
}

fn at(location: Location, message: &str) -> DocumentProblem {
    let (line, column) = place(location);
    DocumentProblem {
        line,
        column,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
