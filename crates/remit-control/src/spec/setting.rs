//! Settings.

use std::fmt;
use std::str::FromStr;

use remit_domain::Registry;
use remit_domain::name::Email;
use remit_domain::run::Mode;
use remit_domain::setting::{Scope, Setting, Value};
use remit_domain::tool::ToolRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::any::{Reference, References};

/// What a setting is called: `organization`, `mode:background`, `tool:orders/refund`, `person:maria@acme.example` or
/// `person:maria@acme.example/tool:orders/refund`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingName {
    /// Every call.
    Organization,
    /// Calls of runs of one mode.
    Mode(Mode),
    /// Calls of one tool.
    Tool(ToolRef),
    /// Calls for one person.
    Person(Email),
    /// Calls of one tool for one person.
    PersonTool(Email, ToolRef),
}

impl FromStr for SettingName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            let text: String = text.chars().take(160).collect();
            format!(
                "`{text}` names no setting ({why}): write organization, mode:background, tool:UPSTREAM/TOOL, person:EMAIL or person:EMAIL/tool:UPSTREAM/TOOL"
            )
        };
        if text == "organization" {
            return Ok(Self::Organization);
        }
        let tool = |t: &str| t.parse::<ToolRef>().map_err(|e| wrong(&e.to_string()));
        let email = |t: &str| t.parse::<Email>().map_err(|e| wrong(&e.to_string()));
        match text.split_once(':') {
            Some(("mode", mode)) => {
                let modes = [
                    Mode::Interactive,
                    Mode::Subagent,
                    Mode::Api,
                    Mode::Background,
                ];
                let found = modes.into_iter().find(|m| m.as_str() == mode);
                found
                    .map(Self::Mode)
                    .ok_or_else(|| wrong("modes are interactive, subagent, api, background"))
            }
            Some(("tool", rest)) => Ok(Self::Tool(tool(rest)?)),
            Some(("person", rest)) => match rest.split_once("/tool:") {
                Some((person, rest)) => Ok(Self::PersonTool(email(person)?, tool(rest)?)),
                None => Ok(Self::Person(email(rest)?)),
            },
            _ => Err(wrong("it begins with none of the words")),
        }
    }
}

impl fmt::Display for SettingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organization => f.write_str("organization"),
            Self::Mode(mode) => write!(f, "mode:{}", mode.as_str()),
            Self::Tool(tool) => write!(f, "tool:{tool}"),
            Self::Person(email) => write!(f, "person:{email}"),
            Self::PersonTool(email, tool) => write!(f, "person:{email}/tool:{tool}"),
        }
    }
}

impl SettingName {
    /// The name of a scope; none when its person is not known any more.
    pub fn of(registry: &Registry, scope: &Scope) -> Option<Self> {
        let email = |id| registry.people.get(id).map(|p| p.email.clone());
        Some(match scope {
            Scope::Organization => Self::Organization,
            Scope::Mode { mode } => Self::Mode(*mode),
            Scope::Tool { tool } => Self::Tool(tool.clone()),
            Scope::Person { person } => Self::Person(email(person)?),
            Scope::PersonTool { person, tool } => Self::PersonTool(email(person)?, tool.clone()),
        })
    }

    /// The scope that has this name; none when nobody has the address.
    pub fn scope(&self, registry: &Registry) -> Option<Scope> {
        let person = |email: &Email| registry.person_named(email.as_str()).map(|p| p.id.clone());
        Some(match self {
            Self::Organization => Scope::Organization,
            Self::Mode(mode) => Scope::Mode { mode: *mode },
            Self::Tool(tool) => Scope::Tool { tool: tool.clone() },
            Self::Person(email) => Scope::Person {
                person: person(email)?,
            },
            Self::PersonTool(email, tool) => Scope::PersonTool {
                person: person(email)?,
                tool: tool.clone(),
            },
        })
    }
}

impl References for SettingName {
    fn references(&self) -> Vec<Reference> {
        match self {
            Self::Organization | Self::Mode(_) => Vec::new(),
            Self::Tool(tool) => vec![Reference::tool("metadata.name", tool)],
            Self::Person(email) => vec![Reference::person("metadata.name", email)],
            Self::PersonTool(email, tool) => vec![
                Reference::person("metadata.name", email),
                Reference::tool("metadata.name", tool),
            ],
        }
    }
}

/// A setting: what becomes of the calls its name says. It never permits; `allow` only lifts a wider setting's deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingSpec {
    /// What it does.
    pub value: Value,
    /// Whether nothing narrower takes it away.
    #[serde(default)]
    pub locked: bool,
    /// Why, for people.
    pub reason: String,
    /// Whether it counts.
    #[serde(default = "super::yes")]
    pub enabled: bool,
}

impl SettingSpec {
    /// As it is now.
    pub fn of(setting: &Setting) -> Self {
        Self {
            value: setting.value.clone(),
            locked: setting.locked,
            reason: setting.reason.clone(),
            enabled: setting.enabled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_they_are_written() {
        for name in [
            "organization",
            "mode:background",
            "tool:orders/refund",
            "person:maria@acme.example",
            "person:maria@acme.example/tool:orders/refund",
        ] {
            assert_eq!(name.parse::<SettingName>().unwrap().to_string(), name);
        }
        for wrong in [
            "",
            "mode:",
            "mode:other",
            "tool:x",
            "person:maria",
            "agent:x",
            "organization:",
        ] {
            assert!(wrong.parse::<SettingName>().is_err(), "{wrong}");
        }
    }
}
