//! What an engine was compiled from, kept so that a decision can be taken again under the same one.

use remit_domain::{Timestamp, Tool};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::PolicyError;
use crate::except::ExceptionSource;
use crate::load::PolicySource;

/// Tools, policies and exceptions, as they were.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sources {
    /// The tools.
    pub tools: Vec<Tool>,
    /// The organization's own policies.
    pub sets: Vec<SetText>,
    /// Exceptions from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<ExceptionText>,
}

/// One named set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetText {
    /// Its name.
    pub name: String,
    /// Cedar text.
    pub text: String,
}

/// One exception; see [`ExceptionSource`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in ExceptionSource")]
pub struct ExceptionText {
    pub id: String,
    pub policy: String,
    pub agent: String,
    pub tool: Option<String>,
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Sources {
    /// Reads what [`Engine::sources`] gave.
    ///
    /// # Errors
    /// [`PolicyError::Schema`] when it is something else.
    pub fn parse(json: &[u8]) -> Result<Self, PolicyError> {
        serde_json::from_slice(json).map_err(|e| PolicyError::Schema(e.to_string()))
    }

    /// Compiles them.
    ///
    /// # Errors
    /// As [`Engine::compile`].
    pub fn compile(&self) -> Result<Engine, PolicyError> {
        let sets: Vec<_> = self.sets.iter().map(SetText::source).collect();
        self.compile_with(&sets)
    }

    /// Compiles other policies for the same tools and exceptions.
    ///
    /// # Errors
    /// As [`Engine::compile`].
    pub fn compile_with(&self, sets: &[PolicySource<'_>]) -> Result<Engine, PolicyError> {
        let mut tools: Vec<&Tool> = self.tools.iter().collect();
        tools.sort_by(|a, b| a.tool.cmp(&b.tool));
        let exceptions: Vec<_> = self.exceptions.iter().map(ExceptionText::source).collect();
        Engine::compile_with(&tools, sets, &exceptions)
    }
}

impl SetText {
    /// As an engine takes it.
    pub fn source(&self) -> PolicySource<'_> {
        PolicySource {
            name: &self.name,
            text: &self.text,
        }
    }
}

impl ExceptionText {
    /// As an engine takes it.
    pub fn source(&self) -> ExceptionSource<'_> {
        ExceptionSource {
            id: &self.id,
            policy: &self.policy,
            agent: &self.agent,
            tool: self.tool.as_deref().map(Into::into),
            from: self.from,
            until: self.until,
        }
    }
}

/// # Errors
/// [`PolicyError::Schema`] when a tool cannot be written.
pub(crate) fn write(
    tools: &[&Tool],
    sets: &[PolicySource<'_>],
    exceptions: &[ExceptionSource<'_>],
) -> Result<String, PolicyError> {
    #[derive(Serialize)]
    struct Written<'a> {
        tools: &'a [&'a Tool],
        sets: Vec<Set<'a>>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        exceptions: &'a [ExceptionSource<'a>],
    }
    #[derive(Serialize)]
    struct Set<'a> {
        name: &'a str,
        text: &'a str,
    }
    let sets = sets
        .iter()
        .map(|PolicySource { name, text }| Set { name, text })
        .collect();
    let written = Written {
        tools,
        sets,
        exceptions,
    };
    serde_json::to_string(&written).map_err(|e| PolicyError::Schema(e.to_string()))
}
