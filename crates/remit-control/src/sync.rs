//! Syncing an upstream: what it offers now, held against what was approved.
//!
//! Definitions are text from a server nobody vouches for. New tools come in disabled; a changed one refuses calls until a
//! person has seen what changed; names that read alike are not taken in at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use remit_books::Change;
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::FindingKind;
use remit_domain::tool::{Definition, ToolRef, ToolState};
use remit_domain::upstream::UpstreamName;
use remit_domain::{Kind, Noun, OrgId, RefusalCode, Role, Tool, Upstream};
use remit_mcp::jsonrpc::code;
use remit_mcp::tools::{RefusedTool, ToolDefinition, ToolPage, confusable, refuse_look_alikes};
use remit_ports::leases::LeaseWanted;
use remit_ports::upstreams::{Lease, UpstreamError, UpstreamRequest};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

mod methods;
mod report;

pub use report::{Offer, RefusedToolView, SyncReport};

use crate::error::not_found;
use crate::{Caller, Control, ControlError, refuse};

/// Most tools of one upstream, those that are gone included.
pub(crate) const TOOLS_MAX: usize = 1_000;
/// Most pages of one list.
const PAGES_MAX: usize = 100;
/// How long one page may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Tools read at once from an offer: as many as one page of `tools/list` may hold.
const PAGE_TOOLS: usize = remit_mcp::limits::TOOLS_PER_PAGE_MAX;

/// What becomes of one tool.
enum Step {
    Found(Tool),
    Changed(Tool),
    Restored(Tool),
    Gone(Tool),
    Unchanged,
}

impl Control {
    /// Asks an upstream for its tools and takes in what it offers.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `not-found`; `conflict` for a disabled upstream; `credential-unavailable` when
    /// its secret cannot be read; `upstream-unreachable`, `upstream-invalid` and `too-large` for its answers. Nothing changes then.
    pub async fn sync_upstream(
        &self,
        caller: &Caller,
        name: &UpstreamName,
    ) -> Result<SyncReport, ControlError> {
        let upstream = self.to_sync(caller, name)?;
        if upstream.is_cooperative() {
            let text = format!(
                "upstream `{name}` runs beside its agents, where Remit cannot reach it; run `remit mcp offer --upstream {name} -- CMD` on such a machine"
            );
            return Err(refuse(RefusalCode::Conflict, text));
        }
        if upstream.is_guarded() {
            let text = format!(
                "upstream `{name}` is behind an enforcement point, where Remit does not reach it; tell its tools with `remit upstream declare {name} -f tools.json`"
            );
            return Err(refuse(RefusalCode::Conflict, text));
        }
        let (offered, refused) = self.offered(caller, &upstream).await?;
        self.take_in(caller, name, offered, refused).await
    }

    /// Takes in what an administrator read from a wrapped server on an agent's machine, or wrote of a guarded one.
    ///
    /// # Errors
    /// As [`Self::sync_upstream`]; `conflict` for an upstream that Remit reaches itself.
    pub async fn sync_offer(
        &self,
        caller: &Caller,
        name: &UpstreamName,
        offer: Offer,
    ) -> Result<SyncReport, ControlError> {
        let upstream = self.to_sync(caller, name)?;
        if !upstream.is_told() {
            let text = format!(
                "upstream `{name}` is reached by Remit itself; only a wrapped or guarded one is told what it offers"
            );
            return Err(refuse(RefusalCode::Conflict, text));
        }
        if offer.tools.len() > TOOLS_MAX {
            let text = format!("upstream `{name}` offers more than {TOOLS_MAX} tools");
            return Err(refuse(RefusalCode::TooLarge, text));
        }
        let (mut tools, mut refused) = (Vec::new(), Vec::new());
        for chunk in offer.tools.chunks(PAGE_TOOLS) {
            let mut page = serde_json::Map::new();
            page.insert("tools".to_owned(), Value::Array(chunk.to_vec()));
            let page = ToolPage::read(page).map_err(|e| invalid(&upstream, &e.to_string()))?;
            tools.extend(page.tools);
            refused.extend(page.refused);
        }
        let (mut tools, refused) = keep(tools, refused);
        let announced = json!({ "capabilities": offer.capabilities });
        tools.extend(methods::tools(&announced, &upstream.may_ask));
        self.take_in(caller, name, tools, refused).await
    }

    fn to_sync(&self, caller: &Caller, name: &UpstreamName) -> Result<Arc<Upstream>, ControlError> {
        caller.require(&[Role::Admin])?;
        let book = self.book(&caller.org)?;
        let upstream = book
            .registry()
            .upstreams
            .get(name)
            .cloned()
            .ok_or_else(|| not_found("upstream", name))?;
        if !upstream.enabled {
            return Err(refuse(
                RefusalCode::Conflict,
                format!("upstream `{name}` is disabled; enable it first"),
            ));
        }
        Ok(upstream)
    }

    async fn take_in(
        &self,
        caller: &Caller,
        name: &UpstreamName,
        offered: Vec<ToolDefinition>,
        refused: Vec<RefusedToolView>,
    ) -> Result<SyncReport, ControlError> {
        let book = self.book(&caller.org)?;
        let (report, _) = self
            .settle(&caller.org, || async {
                let steps = {
                    let registry = book.registry();
                    let known: BTreeMap<_, _> = registry
                        .tools
                        .values()
                        .filter(|t| t.tool.upstream() == name)
                        .map(|t| {
                            (
                                t.tool.clone(),
                                (
                                    Arc::clone(t),
                                    registry.revision(Kind::Tool, &t.key()).unwrap_or(0),
                                ),
                            )
                        })
                        .collect();
                    compare(name, &known, &offered)
                };
                let (mut report, change) = self.plan_sync(caller, steps).await?;
                report.refused.extend(refused.iter().cloned());
                Ok((
                    report.clone(),
                    change.event(synced(
                        self.event(caller, EventKind::UpstreamSynced),
                        name,
                        &report,
                    )),
                ))
            })
            .await?;
        Ok(report)
    }

    async fn offered(
        &self,
        caller: &Caller,
        upstream: &Arc<Upstream>,
    ) -> Result<(Vec<ToolDefinition>, Vec<RefusedToolView>), ControlError> {
        let lease = self.lease(&caller.org, upstream).await?;
        let (mut tools, mut refused) = (Vec::new(), Vec::new());
        let (mut cursor, mut seen) = (None, BTreeSet::new());
        for _ in 0..PAGES_MAX {
            let page = self
                .page(caller, upstream, lease.clone(), cursor.as_deref())
                .await?;
            refused.extend(page.refused);
            tools.extend(page.tools);
            if tools.len().saturating_add(refused.len()) > TOOLS_MAX {
                let text = format!(
                    "upstream `{}` offers more than {TOOLS_MAX} tools",
                    upstream.name
                );
                return Err(refuse(RefusalCode::TooLarge, text));
            }
            let Some(next) = page.next_cursor else {
                let (mut tools, refused) = keep(tools, refused);
                tools.extend(self.methods(caller, upstream, lease).await?);
                return Ok((tools, refused));
            };
            if !seen.insert(next.clone()) {
                break;
            }
            cursor = Some(next);
        }
        let text = format!(
            "upstream `{}` gives a list of tools that does not end",
            upstream.name
        );
        Err(refuse(RefusalCode::UpstreamInvalid, text))
    }

    async fn page(
        &self,
        caller: &Caller,
        upstream: &Arc<Upstream>,
        lease: Lease,
        cursor: Option<&str>,
    ) -> Result<ToolPage, ControlError> {
        let params = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
        match self
            .ask(caller, upstream, lease, "tools/list", params)
            .await
        {
            Ok(Value::Object(result)) => {
                ToolPage::read(result).map_err(|e| invalid(upstream, &e.to_string()))
            }
            Ok(_) => Err(invalid(
                upstream,
                "answered tools/list with something other than an object",
            )),
            Err(error) => Err(failed(upstream, &error)),
        }
    }

    /// What the upstream offers beside its tools. One that cannot say offers nothing else.
    async fn methods(
        &self,
        caller: &Caller,
        upstream: &Arc<Upstream>,
        lease: Lease,
    ) -> Result<Vec<ToolDefinition>, ControlError> {
        match self
            .ask(caller, upstream, lease, "server/discover", Value::Null)
            .await
        {
            Ok(discovered) => Ok(methods::tools(&discovered, &upstream.may_ask)),
            Err(UpstreamError::Rpc {
                code: code::METHOD_NOT_FOUND,
                ..
            }) => Ok(methods::tools(&Value::Null, &upstream.may_ask)),
            Err(error) => Err(failed(upstream, &error)),
        }
    }

    async fn ask(
        &self,
        caller: &Caller,
        upstream: &Arc<Upstream>,
        lease: Lease,
        method: &str,
        params: Value,
    ) -> Result<Value, UpstreamError> {
        let request = UpstreamRequest {
            org: caller.org.clone(),
            upstream: Arc::clone(upstream),
            run: None,
            method: method.to_owned(),
            params,
            input_schema: Value::Null,
            lease,
            cancel: CancellationToken::new(),
            notifications: None,
            questions: None,
            timeout: TIMEOUT,
        };
        self.upstreams.request(request).await
    }

    /// The credential an upstream of the organization needs, for one call.
    pub(crate) async fn lease(
        &self,
        org: &OrgId,
        upstream: &Upstream,
    ) -> Result<Lease, ControlError> {
        let book = self.book(org)?;
        let lease = self
            .books
            .lease(&*self.secrets, &book, upstream.secret.as_ref())
            .await;
        let unavailable = |error: &dyn std::fmt::Display| {
            let text = format!("upstream `{}`: {error}", upstream.name);
            refuse(RefusalCode::CredentialUnavailable, text)
        };
        let (mut lease, _) = lease.map_err(|error| unavailable(&error))?;
        let wanted = LeaseWanted {
            org,
            upstream,
            tool: None,
            run: None,
            refused: None,
        };
        if let Some(lent) = self
            .leases
            .lend(wanted)
            .await
            .map_err(|e| unavailable(&e))?
        {
            lease.bearer(&lent);
        }
        Ok(lease)
    }

    async fn plan_sync(
        &self,
        caller: &Caller,
        steps: Steps,
    ) -> Result<(SyncReport, Change), ControlError> {
        let Steps { steps, refused } = steps;
        let mut report = SyncReport {
            refused,
            ..SyncReport::default()
        };
        let mut change = Change::new();
        for (step, revision) in steps {
            let put = |tool: &Tool| match revision {
                None => Change::new().create(tool),
                Some(revision) => Change::new().update(tool, revision),
            };
            match step {
                Step::Unchanged => report.unchanged += 1,
                Step::Found(tool) => {
                    change = change
                        .and(put(&tool))
                        .event(told(self.event(caller, EventKind::ToolFound), &tool));
                    report.found.push(tool.key());
                }
                Step::Changed(tool) => {
                    let text = format!(
                        "tool {} is offered with another definition than was approved; read the diff and approve or disable it",
                        tool.tool
                    );
                    let finding = self
                        .opening(caller, FindingKind::ToolChanged, &tool.key(), text)
                        .await?;
                    change = change
                        .and(put(&tool))
                        .event(told(self.event(caller, EventKind::ToolChanged), &tool))
                        .and(finding)
                        .restrict();
                    report.changed.push(tool.key());
                }
                Step::Restored(tool) => {
                    let why = "offered again as it was approved";
                    let settled = self
                        .settling(caller, FindingKind::ToolChanged, &tool.key(), why)
                        .await?;
                    change = change
                        .and(put(&tool))
                        .event(told(self.event(caller, EventKind::ToolChanged), &tool))
                        .and(settled);
                    report.restored.push(tool.key());
                }
                Step::Gone(tool) => {
                    change = change
                        .and(put(&tool))
                        .event(told(self.event(caller, EventKind::ToolChanged), &tool))
                        .restrict();
                    report.gone.push(tool.key());
                }
            }
        }
        Ok((report, change))
    }
}

/// The tools that can be taken in, and those that cannot: names that read alike, or that stand for MCP's own methods.
fn keep(
    mut tools: Vec<ToolDefinition>,
    mut refused: Vec<RefusedTool>,
) -> (Vec<ToolDefinition>, Vec<RefusedToolView>) {
    refused.extend(refuse_look_alikes(&mut tools));
    let mut refused: Vec<_> = refused
        .into_iter()
        .map(|r| RefusedToolView {
            name: r.name,
            reason: r.error.to_string(),
        })
        .collect();
    tools.retain(|tool| match methods::taken(&tool.name) {
        None => true,
        Some(reason) => {
            refused.push(RefusedToolView {
                name: tool.name.clone(),
                reason: reason.to_owned(),
            });
            false
        }
    });
    (tools, refused)
}

/// What becomes of each tool, with the revision it is at.
struct Steps {
    steps: Vec<(Step, Option<u64>)>,
    refused: Vec<RefusedToolView>,
}

fn compare(
    upstream: &UpstreamName,
    known: &BTreeMap<ToolRef, (Arc<Tool>, u64)>,
    offered: &[ToolDefinition],
) -> Steps {
    let mut out = Steps {
        steps: Vec::new(),
        refused: Vec::new(),
    };
    let mut here = BTreeSet::new();
    let mut room = TOOLS_MAX.saturating_sub(known.len());
    for definition in offered {
        let refused = |reason: String| RefusedToolView {
            name: definition.name.clone(),
            reason,
        };
        let tool = match ToolRef::new(upstream.clone(), &definition.name) {
            Ok(tool) => tool,
            Err(error) => {
                out.refused.push(refused(error.to_string()));
                continue;
            }
        };
        let now = Definition {
            hash: definition.definition_hash().to_string(),
            body: Value::Object(definition.hashed_part()),
        };
        if let Some((before, revision)) = known.get(&tool) {
            here.insert(tool);
            out.steps.push((again(before, now), Some(*revision)));
            continue;
        }
        // Somebody may have approved a name that is not offered now; one that reads like it must not take its place.
        if let Some(alike) = known
            .keys()
            .find(|k| confusable(k.tool(), &definition.name))
        {
            out.refused.push(refused(format!(
                "name looks like that of tool `{alike}`, which was here before"
            )));
        } else if room == 0 {
            out.refused.push(refused(format!(
                "the upstream has had {TOOLS_MAX} tools already"
            )));
        } else {
            room -= 1;
            let found = Tool {
                tool,
                definition: now,
                pending: None,
                classification: None,
                state: ToolState::Disabled,
            };
            out.steps.push((Step::Found(found), None));
        }
    }
    for (tool, revision) in known
        .iter()
        .filter(|(name, _)| !here.contains(*name))
        .map(|(_, found)| found)
    {
        let step = if tool.state == ToolState::Gone {
            Step::Unchanged
        } else {
            Step::Gone(Tool {
                state: ToolState::Gone,
                ..Tool::clone(tool)
            })
        };
        out.steps.push((step, Some(*revision)));
    }
    out
}

/// What becomes of a known tool that is offered as `now`. A classification is there exactly while a definition is approved.
fn again(before: &Tool, now: Definition) -> Step {
    let same = before.definition.hash == now.hash;
    let next = before.clone();
    match (before.state, before.classification.is_some()) {
        (ToolState::Enabled | ToolState::Disabled, _) if same => Step::Unchanged,
        (_, false) => Step::Found(Tool {
            definition: now,
            pending: None,
            state: ToolState::Disabled,
            ..next
        }),
        (_, true) if same => Step::Restored(Tool {
            pending: None,
            state: ToolState::Enabled,
            ..next
        }),
        (ToolState::Changed, true)
            if before.pending.as_ref().is_some_and(|p| p.hash == now.hash) =>
        {
            Step::Unchanged
        }
        (_, true) => Step::Changed(Tool {
            pending: Some(now),
            state: ToolState::Changed,
            ..next
        }),
    }
}

fn told(event: Event, tool: &Tool) -> Event {
    event
        .about(tool.key())
        .fact("state", tool.state)
        .fact("definition_hash", &tool.definition.hash)
        .fact("pending_hash", tool.pending.as_ref().map(|p| &p.hash))
        .content(
            "definition",
            tool.pending.as_ref().unwrap_or(&tool.definition),
        )
}

fn synced(event: Event, name: &UpstreamName, report: &SyncReport) -> Event {
    event
        .about(name)
        .fact("found", report.found.len())
        .fact("changed", report.changed.len())
        .fact("restored", report.restored.len())
        .fact("gone", report.gone.len())
        .fact("unchanged", report.unchanged)
        .fact("refused", report.refused.len())
        .content("refused", &report.refused)
}

fn invalid(upstream: &Upstream, why: &str) -> ControlError {
    let text = format!("upstream `{}`: {why}", upstream.name);
    refuse(RefusalCode::UpstreamInvalid, text)
}

fn failed(upstream: &Upstream, error: &UpstreamError) -> ControlError {
    let text = format!("upstream `{}`: {error}", upstream.name);
    refuse(code_of(error), text)
}

fn code_of(error: &UpstreamError) -> RefusalCode {
    match error {
        UpstreamError::Unauthorized(_) => RefusalCode::CredentialUnavailable,
        UpstreamError::Unreachable(_) | UpstreamError::Ambiguous(_) => {
            RefusalCode::UpstreamUnreachable
        }
        UpstreamError::Cancelled => RefusalCode::Cancelled,
        UpstreamError::Invalid(_) | UpstreamError::Rpc { .. } => RefusalCode::UpstreamInvalid,
        UpstreamError::TooLarge(_) => RefusalCode::TooLarge,
    }
}
