//! An organization's policies in memory, and the engines that are made of them: the live one, and one in the shadow.

use std::collections::BTreeMap;
use std::sync::Arc;

use remit_domain::bundle::Stage;
use remit_domain::exception::{EXCEPTIONS_MAX, Exception};
use remit_domain::policy_set::PolicySet;
use remit_domain::{Kind, Timestamp, Tool};
use remit_policy::{Engine, ExceptionSource, PolicySource};
use serde::Deserialize;
use serde_json::Value;

use crate::{BooksError, Change};

/// Tools by their key.
pub(crate) type Tools = BTreeMap<String, Arc<Tool>>;

/// What policies an engine is made of, each with the revision it was read at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies {
    pub(crate) sets: BTreeMap<String, (u64, PolicySet)>,
    pub(crate) exceptions: BTreeMap<String, (u64, Exception)>,
    pub(crate) stage: Option<(u64, Stage)>,
}

/// The bundle in the shadow, compiled.
pub struct ShadowEngine {
    /// Which bundle it is.
    pub bundle: String,
    /// What decides.
    pub engine: Engine,
}

/// Both engines.
pub(crate) struct Engines {
    pub(crate) live: Engine,
    pub(crate) shadow: Option<ShadowEngine>,
}

/// Whether an engine is made of records of that kind.
pub(crate) const fn compiles(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Tool | Kind::PolicySet | Kind::PolicyStage | Kind::PolicyException
    )
}

impl Policies {
    /// Takes a record in, unless a newer one is here.
    pub(crate) fn take(
        &mut self,
        kind: Kind,
        key: &str,
        revision: u64,
        body: &Value,
    ) -> Result<(), BooksError> {
        match kind {
            Kind::PolicySet if is_newer(self.sets.get(key), revision) => {
                let set = PolicySet::deserialize(body)?;
                self.sets.insert(key.to_owned(), (revision, set));
            }
            Kind::PolicyException if is_newer(self.exceptions.get(key), revision) => {
                let exception = Exception::deserialize(body)?;
                self.exceptions
                    .insert(key.to_owned(), (revision, exception));
            }
            Kind::PolicyStage if is_newer(self.stage.as_ref(), revision) => {
                self.stage = Some((revision, Stage::deserialize(body)?));
            }
            _ => {}
        }
        Ok(())
    }

    /// Compiles them for these tools, with the exceptions that hold at `now` or will. A bundle in the shadow that does not
    /// compile is not evaluated; it stops nobody.
    pub(crate) fn compile(&self, tools: &Tools, now: Timestamp) -> Result<Engines, BooksError> {
        let tools: Vec<&Tool> = tools.values().map(Arc::as_ref).collect();
        let exceptions = self.exceptions_at(now);
        let sets: Vec<PolicySource<'_>> = self
            .sets
            .values()
            .filter(|(_, set)| set.enabled)
            .map(|(_, set)| PolicySource {
                name: set.name.as_str(),
                text: &set.text,
            })
            .collect();
        let live = Engine::compile_with(&tools, &sets, &exceptions)?;
        let staged = self.stage.as_ref().and_then(|(_, s)| s.shadow.as_ref());
        let shadow = staged.and_then(|shadow| {
            let sets: Vec<PolicySource<'_>> = shadow
                .sets
                .iter()
                .map(|(name, text)| PolicySource {
                    name: name.as_str(),
                    text,
                })
                .collect();
            match Engine::compile_with(&tools, &sets, &exceptions) {
                Ok(engine) => Some(ShadowEngine {
                    bundle: shadow.bundle.clone(),
                    engine,
                }),
                Err(error) => {
                    tracing::warn!(bundle = %shadow.bundle, %error, "the bundle in the shadow does not compile any more");
                    None
                }
            }
        });
        Ok(Engines { live, shadow })
    }

    fn exceptions_at(&self, now: Timestamp) -> Vec<ExceptionSource<'_>> {
        let source = |e: &'_ Exception| -> Option<(Timestamp, Timestamp)> {
            let (from, until) = (e.from?, e.until?);
            let holds = e.state == remit_domain::exception::ExceptionState::Approved;
            (holds && now < until).then_some((from, until))
        };
        let mut all: Vec<ExceptionSource<'_>> = self
            .exceptions
            .values()
            .filter_map(|(_, e)| {
                let (from, until) = source(e)?;
                Some((e, from, until))
            })
            .map(|(e, from, until)| ExceptionSource {
                id: e.id.as_str(),
                policy: &e.policy,
                agent: e.agent.as_str(),
                tool: e.tool.as_ref().map(|t| t.to_string().into()),
                from,
                until,
            })
            .collect();
        all.truncate(EXCEPTIONS_MAX);
        all
    }
}

fn is_newer<T>(there: Option<&(u64, T)>, revision: u64) -> bool {
    there.is_none_or(|(seen, _)| *seen < revision)
}

impl Change {
    /// The policy sets that it writes.
    ///
    /// # Errors
    /// When a record is not what its kind says.
    pub fn policy_sets(&self) -> Result<Vec<PolicySet>, BooksError> {
        let sets = self.puts.iter().filter(|p| p.kind == Kind::PolicySet);
        sets.map(|p| Ok(PolicySet::deserialize(&p.body)?)).collect()
    }
}
