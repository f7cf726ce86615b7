//! Everything the decision looks at, in one look at the registry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use remit_books::OrgBook;
use remit_books::facts::{Situation, Who, fixed_facts};
use remit_domain::containment::Lineage;
use remit_domain::run::{Run, RunState};
use remit_domain::standing::Standing;
use remit_domain::tool::{ToolRef, ToolState};
use remit_domain::{OrgId, Refusal, RefusalCode, Registry, RunId, Tool, Upstream};
use remit_mcp::AggregatedNames;
use remit_policy::{Engine, Prepared};

use crate::call::{Action, Authenticated, Endpoint, Received, Resolved, VouchedRun};
use crate::limits::RESOLVED_MAX;
use crate::{Caller, Gateway};

/// Made at this generation of the registry, under this engine.
type Facts = (u64, Arc<Engine>, Arc<Prepared>, Arc<str>);

/// What one look finds.
type Looked = (
    Standing,
    Arc<Run>,
    Arc<Tool>,
    Arc<Upstream>,
    Arc<Prepared>,
    Arc<str>,
    Situation,
);

/// Facts and names made before, while nothing they were made from has changed.
pub(crate) struct Cache {
    facts: moka::sync::Cache<(RunId, ToolRef), Facts>,
    names: Mutex<BTreeMap<OrgId, (String, Arc<AggregatedNames>)>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            facts: moka::sync::Cache::new(RESOLVED_MAX),
            names: Mutex::default(),
        }
    }
}

fn no(code: RefusalCode, text: &str) -> Refusal {
    Refusal::new(code, text)
}

/// What could not be read is refused: nothing is decided on half a look.
pub(crate) fn unavailable(error: &impl std::fmt::Display) -> Refusal {
    tracing::error!(%error, "the books cannot be read or written");
    no(
        RefusalCode::LedgerUnavailable,
        "Remit cannot read or write its books now, so nothing is allowed; try again later",
    )
}

impl Gateway {
    pub(crate) async fn resolve(&self, call: Authenticated) -> Result<Box<Resolved>, Refusal> {
        let Authenticated { received, caller } = call;
        let book = self
            .books()
            .org(&received.org)
            .ok_or_else(|| no(RefusalCode::NotFound, "no such organization is here"))?;
        if !self.books().store().is_fresh() {
            return Err(no(
                RefusalCode::SnapshotStale,
                "this node has lost touch with the others, so nothing is allowed; try again later",
            ));
        }
        // The epoch is read before anything that depends on it: what moves afterwards is noticed at the point of effect.
        let epoch = book.epoch();
        let engine = self.engine(&book)?;
        let looked = self.look(&book, &engine, &received, &caller);
        let (standing, root, tool, upstream, prepared, fixed_hash, situation) = match looked {
            Ok(found) => found,
            Err(refusal) if refusal.code == RefusalCode::RunUnknown => {
                return Err(self.ended(&received.org, &caller).await);
            }
            Err(refusal) => return Err(refusal),
        };
        let run = &standing.run;
        let labels = self
            .tree_labels(&received.org, &run.root)
            .await
            .map_err(|e| unavailable(&e))?;
        let own = self
            .agent_labels(&received.org, &run.agent)
            .await
            .map_err(|e| unavailable(&e))?;
        let beside = if root.agent == run.agent {
            own.clone()
        } else {
            self.agent_labels(&received.org, &root.agent)
                .await
                .map_err(|e| unavailable(&e))?
        };
        let resolved = Box::new(Resolved {
            received,
            caller,
            book,
            engine,
            standing,
            tool,
            upstream,
            prepared,
            fixed_hash,
            epoch,
            labels,
            own,
            root,
            beside,
            situation,
        });
        self.holds_handles(&resolved)?;
        Ok(resolved)
    }

    /// The one look at the registry; nothing is waited for while it is held.
    fn look(
        &self,
        book: &OrgBook,
        engine: &Arc<Engine>,
        received: &Received,
        caller: &Caller,
    ) -> Result<Looked, Refusal> {
        let registry = book.registry();
        let standing = match received.vouched.as_ref().map(|v| &v.run) {
            Some(VouchedRun::Planned(run)) => planned(&registry, run, self.books().now())?,
            _ => standing_caller(&registry, caller, self.books().now())?,
        };
        let tool = self.tool_named(
            &registry,
            engine,
            &received.org,
            &received.endpoint,
            received.action,
            &received.call.name,
        )?;
        registry.standing_tool(&tool)?;
        let upstream = registry.upstreams.get(tool.tool.upstream()).cloned();
        let upstream =
            upstream.ok_or_else(|| no(RefusalCode::ToolUnknown, "the tool has no upstream"))?;
        if upstream.is_cooperative() {
            beside(received, &tool)?;
        }
        if upstream.is_guarded() && received.vouched.is_none() {
            let text =
                "this server is behind an enforcement point; it is called there, and nowhere else";
            return Err(no(RefusalCode::UpstreamUnreachable, text));
        }
        let who = Who::from(&standing);
        let (prepared, hash) = self.facts(&registry, engine, &who, &standing.run.id, &tool.tool)?;
        let run = &standing.run;
        let runs: &[&RunId] = if run.id == run.root {
            &[&run.id]
        } else {
            &[&run.id, &run.root]
        };
        let situation = Situation::of(&registry, &run.agent, &run.intent, runs, self.books().now());
        // A run that began by itself is its own root, one that is only planned too.
        let root = match run.id == run.root {
            true => Some(&standing.run),
            false => registry.runs.get(&run.root),
        };
        let ended = "the run that began it has ended; start another";
        let root = Arc::clone(root.ok_or_else(|| no(RefusalCode::RunEnded, ended))?);
        Ok((standing, root, tool, upstream, prepared, hash, situation))
    }

    pub(crate) fn engine(&self, book: &OrgBook) -> Result<Arc<Engine>, Refusal> {
        let text = "the organization's policies do not compile, so nothing is allowed; an administrator has to mend them";
        book.engine().ok_or_else(|| no(RefusalCode::Denied, text))
    }

    fn tool_named(
        &self,
        registry: &Registry,
        engine: &Engine,
        org: &OrgId,
        endpoint: &Endpoint,
        action: Action,
        name: &str,
    ) -> Result<Arc<Tool>, Refusal> {
        let unknown = || {
            no(
                RefusalCode::ToolUnknown,
                "no such tool is here; list the tools to see which there are",
            )
        };
        let tool = match (endpoint, action.pseudo_tool()) {
            (Endpoint::One(upstream), Some(pseudo)) => {
                ToolRef::new(upstream.clone(), pseudo).map_err(|_| unknown())?
            }
            (Endpoint::All, Some(_)) => {
                return Err(no(
                    RefusalCode::UnknownMethod,
                    "this method needs the endpoint of one upstream",
                ));
            }
            (Endpoint::One(_), None) if name.starts_with("mcp.") => return Err(unknown()),
            (Endpoint::One(upstream), None) => {
                ToolRef::new(upstream.clone(), name).map_err(|_| unknown())?
            }
            (Endpoint::All, None) => {
                let names = self.names(registry, engine, org);
                let (upstream, tool) = names.find(name).ok_or_else(unknown)?;
                ToolRef::new(upstream.parse().map_err(|_| unknown())?, tool)
                    .map_err(|_| unknown())?
            }
        };
        let tool = registry.tools.get(&tool).cloned().ok_or_else(unknown)?;
        let changed = "its definition has changed since it was approved; an administrator has to look at the change";
        match tool.state {
            ToolState::Enabled => Ok(tool),
            ToolState::Changed => Err(no(RefusalCode::ToolChanged, changed)),
            ToolState::Disabled => Err(no(
                RefusalCode::ToolDisabled,
                "the tool has not been classified; an administrator has to",
            )),
            ToolState::Gone => Err(no(
                RefusalCode::ToolDisabled,
                "its upstream no longer offers this tool",
            )),
        }
    }

    /// Aggregated names of every tool of the organization, made anew when tools or policies have changed.
    pub(crate) fn names(
        &self,
        registry: &Registry,
        engine: &Engine,
        org: &OrgId,
    ) -> Arc<AggregatedNames> {
        let mut names = self
            .inner
            .resolved
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match names.get(org) {
            Some((version, known)) if version == engine.version() => Arc::clone(known),
            _ => {
                let pairs = registry
                    .tools
                    .keys()
                    .filter(|t| !t.tool().starts_with("mcp."));
                let made = Arc::new(AggregatedNames::build(
                    pairs.map(|t| (t.upstream().as_str(), t.tool())),
                ));
                names.insert(
                    org.clone(),
                    (engine.version().to_owned(), Arc::clone(&made)),
                );
                made
            }
        }
    }

    fn facts(
        &self,
        registry: &Registry,
        engine: &Arc<Engine>,
        who: &Who,
        run: &RunId,
        tool: &ToolRef,
    ) -> Result<(Arc<Prepared>, Arc<str>), Refusal> {
        let key = (run.clone(), tool.clone());
        if let Some((generation, under, prepared, hash)) = self.inner.resolved.facts.get(&key)
            && generation == registry.generation()
            && Arc::ptr_eq(&under, engine)
        {
            return Ok((prepared, hash));
        }
        let fixed = fixed_facts(registry, who, tool)
            .ok_or_else(|| no(RefusalCode::ToolUnknown, "the tool has no upstream"))?;
        let hash: Arc<str> = fixed.hash().map_err(|e| unavailable(&e))?.into();
        let prepared = Arc::new(engine.prepare(Arc::new(fixed)));
        let made = (
            registry.generation(),
            Arc::clone(engine),
            Arc::clone(&prepared),
            Arc::clone(&hash),
        );
        self.inner.resolved.facts.insert(key, made);
        Ok((prepared, hash))
    }

    /// The run is not in the registry: it has ended, or it never was. A call after its end is a finding.
    async fn ended(&self, org: &OrgId, caller: &Caller) -> Refusal {
        match self.books().get::<Run>(org, caller.run.as_str()).await {
            Ok(Some(run)) if matches!(run.noun.state, RunState::Ended { .. }) => {
                no(RefusalCode::RunEnded, "the run has ended; start another")
            }
            Ok(_) => no(RefusalCode::RunUnknown, "no such run goes on here"),
            Err(error) => unavailable(&error),
        }
    }
}

/// Whether a call of a server that runs beside its agent comes from the wrapper there, with the definition that was approved.
fn beside(received: &Received, tool: &Tool) -> Result<(), Refusal> {
    if !received.line.as_ref().is_some_and(|line| line.can.wraps) {
        let text = "this server runs beside its agent; it is called through `remit mcp wrap` there, and nowhere else";
        return Err(no(RefusalCode::UpstreamUnreachable, text));
    }
    let said = received.call.meta.definition.as_deref();
    if received.action == Action::Tool && said != Some(tool.definition.hash.as_str()) {
        let text = "the server beside the agent describes this tool in another way than was approved; an administrator has to look at it with `remit mcp offer`";
        return Err(no(RefusalCode::ToolChanged, text));
    }
    Ok(())
}

/// Everything that would answer for a call in a run that has not started.
fn planned(
    registry: &Registry,
    run: &Arc<Run>,
    now: remit_domain::Timestamp,
) -> Result<Standing, Refusal> {
    Ok(Standing {
        agent: registry.standing_agent(&run.agent)?,
        workflow: registry.standing_workflow(&run.agent, &run.workflow)?,
        person: None,
        chain: registry.standing_chain(None, &[], now)?,
        run: Arc::clone(run),
    })
}

/// Who calls, with everything that answers for it, when the token and the run still belong together.
pub(crate) fn standing_caller(
    registry: &Registry,
    caller: &Caller,
    now: remit_domain::Timestamp,
) -> Result<remit_domain::standing::Standing, Refusal> {
    registry.not_held(|| Lineage::of_credentials([caller.credential.as_str()]))?;
    let standing = registry.standing(&caller.run, now)?;
    let same = standing.agent.id == caller.agent
        && standing.workflow.id == caller.workflow
        && standing.run.person.as_ref() == caller.person.as_ref();
    if same {
        Ok(standing)
    } else {
        Err(no(
            RefusalCode::ProofInvalid,
            "the token does not belong to this run",
        ))
    }
}
