//! The states of one call, from received to answered. Each room takes one and makes the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use remit_books::facts::Situation;
use remit_books::{KnownSecrets, OrgBook};
use remit_domain::approval::{Approval, AskSet};
use remit_domain::name::Name;
use remit_domain::standing::Standing;
use remit_domain::tool::ToolRef;
use remit_domain::upstream::{MayAsk, UpstreamName};
use remit_domain::{
    AgentId, ApprovalId, DecisionId, EnforcementPointId, OrgId, Run, RunId, Tool, Upstream,
    WorkflowId,
};
use remit_mcp::calls::ToolCall;
use remit_mcp::{CallDigest, ErrorObject};
use remit_policy::{Decision, Dynamic, Engine, Fixed, Prepared};
use remit_ports::store::{LabelState, Reserve};
use remit_ports::upstreams::Lease;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Caller, Line, Presented};

/// Which MCP endpoint a message came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `/mcp`: every granted tool, under aggregated names.
    All,
    /// `/mcp/{upstream}`: one upstream, under its own names.
    One(UpstreamName),
}

/// What a call does. Everything but a tool call is decided as a call of the upstream's pseudo tool of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `tools/call`.
    Tool,
    /// `resources/read`, decided as tool `mcp.resources.read`.
    ReadResource,
    /// `prompts/get`, decided as tool `mcp.prompts.get`.
    GetPrompt,
    /// `completion/complete`, decided as tool `mcp.completion.complete`.
    Complete,
    /// `resources/list`, decided as tool `mcp.resources.list`.
    ListResources,
    /// `resources/templates/list`, decided as tool `mcp.resources.list`.
    ListResourceTemplates,
    /// `prompts/list`, decided as tool `mcp.prompts.list`.
    ListPrompts,
    /// `resources/subscribe`, decided as tool `mcp.resources.subscribe`.
    Subscribe,
    /// A question of the upstream to the caller's side, in the middle of a call; decided as the tool of its kind.
    Ask(MayAsk),
}

impl Action {
    /// The MCP method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tool => "tools/call",
            Self::ReadResource => "resources/read",
            Self::GetPrompt => "prompts/get",
            Self::Complete => "completion/complete",
            Self::ListResources => "resources/list",
            Self::ListResourceTemplates => "resources/templates/list",
            Self::ListPrompts => "prompts/list",
            Self::Subscribe => "resources/subscribe",
            Self::Ask(kind) => kind.method(),
        }
    }

    /// The pseudo tool that grants are given for; none for a tool call.
    pub const fn pseudo_tool(self) -> Option<&'static str> {
        match self {
            Self::Tool => None,
            Self::ReadResource => Some("mcp.resources.read"),
            Self::GetPrompt => Some("mcp.prompts.get"),
            Self::Complete => Some("mcp.completion.complete"),
            Self::ListResources | Self::ListResourceTemplates => Some("mcp.resources.list"),
            Self::ListPrompts => Some("mcp.prompts.list"),
            Self::Subscribe => Some("mcp.resources.subscribe"),
            Self::Ask(kind) => Some(kind.pseudo_tool()),
        }
    }
}

/// A call as received: parsed and canonical, nothing believed yet.
#[derive(Debug, Clone)]
pub struct Received {
    /// Which organization's endpoint.
    pub org: OrgId,
    /// Which endpoint.
    pub endpoint: Endpoint,
    /// The token.
    pub presented: Presented,
    /// The resource the token must be good for (RFC 8707).
    pub resource: String,
    /// What it does.
    pub action: Action,
    /// The call; for another action than a tool call, its parameters as arguments and no name.
    pub call: ToolCall,
    /// Fires when the caller has left.
    pub cancel: CancellationToken,
    /// Where the upstream's notifications go.
    pub notifications: Option<mpsc::Sender<Value>>,
    /// How the caller's side is asked while the call is in work, where it can be.
    pub line: Option<Line>,
    /// Who calls, where an enforcement point says so in place of a token of the agent's own.
    pub vouched: Option<Vouched>,
    /// The decision on the call that this one goes on with: the same call, now with an answer in it. None for a call that
    /// came from a caller.
    pub continues: Option<DecisionId>,
}

impl Received {
    /// How the call and its result are passed on: as decided, unless an enforcement point does it another way.
    pub(crate) fn passes(&self) -> Passes {
        self.vouched.as_ref().map_or(Passes::Decided, |v| v.passes)
    }
}

/// Who calls, in the words of an enforcement point that has proved which one it is. Looked at again at each step of a walk.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// The point.
    pub point: EnforcementPointId,
    /// Thumbprint of the key it proved itself with.
    pub key: String,
    /// The agent.
    pub agent: AgentId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// Its run.
    pub run: VouchedRun,
    /// How the point passes the call on.
    pub passes: Passes,
}

/// How an enforcement point passes a call and its result on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// The call as it was decided; the result, if the point reports it first, as Remit gives it back.
    Decided,
    /// The call as it was received: then nothing of it may be masked.
    Received,
    /// The call as it was received, and its result to the agent before anybody could look into it.
    Unseen,
}

/// The run that a call is made in, or would be.
#[derive(Debug, Clone)]
pub enum VouchedRun {
    /// One that goes on.
    Live(RunId),
    /// None yet: as it would start now. Good for advice only.
    Planned(Arc<Run>),
}

/// Authenticated: who calls. The call itself is boxed, like what is resolved: a call is moved from room to room.
pub(crate) struct Authenticated {
    pub(crate) received: Box<Received>,
    pub(crate) caller: Caller,
}

/// Resolved: everything the decision looks at, in one look.
pub(crate) struct Resolved {
    pub(crate) received: Box<Received>,
    pub(crate) caller: Caller,
    pub(crate) book: Arc<OrgBook>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) standing: Standing,
    pub(crate) tool: Arc<Tool>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) fixed_hash: Arc<str>,
    pub(crate) epoch: u64,
    pub(crate) labels: LabelState,
    /// Labels the agent has raised, whatever the run.
    pub(crate) own: LabelState,
    /// The first run of the tree, whose agent may bring labels along.
    pub(crate) root: Arc<Run>,
    /// Labels that agent has raised, whatever the run.
    pub(crate) beside: LabelState,
    /// What is known of the run's ticket and found about the agent.
    pub(crate) situation: Situation,
}

impl Resolved {
    pub(crate) fn fixed(&self) -> &Arc<Fixed> {
        self.prepared.fixed()
    }

    pub(crate) fn tool_ref(&self) -> &ToolRef {
        &self.tool.tool
    }
}

/// Authorized: decided, not yet permitted to go on.
pub(crate) struct Authorized {
    pub(crate) resolved: Box<Resolved>,
    pub(crate) id: DecisionId,
    pub(crate) dynamic: Dynamic,
    pub(crate) decision: Decision,
    /// What the bundle in the shadow would decide; it has no effect.
    pub(crate) shadow: Option<(String, Box<Decision>)>,
    pub(crate) digest: CallDigest,
}

/// What people have to do with it.
pub(crate) enum Consent {
    /// Nobody has to.
    NotNeeded,
    /// People have approved exactly this call.
    Given(Box<Approval>, u64),
    /// People have been asked now.
    Asked(Box<Approval>, AskSet),
    /// No: the approval there was is stale or came too late, and is recorded as that.
    Spent(remit_domain::Refusal, Box<Approval>, u64),
    /// No: people were asked before, and have not said yet.
    Waits(remit_domain::Refusal, ApprovalId),
    /// No: denied, or an approval that does not let it pass.
    Withheld(remit_domain::Refusal),
}

/// Approved, or about to be recorded as not.
pub(crate) struct Approved {
    pub(crate) authorized: Authorized,
    pub(crate) consent: Consent,
    pub(crate) reserve: Vec<Reserve>,
}

/// Recorded: the decision is durable, and the call may be sent.
pub(crate) struct Recorded {
    pub(crate) authorized: Authorized,
    pub(crate) consent: Consent,
    pub(crate) reserve: Vec<Reserve>,
    pub(crate) index: u64,
}

/// Equipped with a credential.
pub(crate) struct Equipped {
    pub(crate) recorded: Recorded,
    pub(crate) lease: Lease,
    /// Every secret that has to be kept out of the answer.
    pub(crate) known: KnownSecrets,
}

/// Answered, or not.
pub(crate) struct Forwarded {
    pub(crate) recorded: Recorded,
    pub(crate) result: Result<Map<String, Value>, remit_ports::upstreams::UpstreamError>,
    /// Notifications that raise labels, held back until those are durable.
    pub(crate) held: Vec<Value>,
    /// Canaries that the upstream gave out; they are taken out already, like every known secret.
    pub(crate) canaries: BTreeSet<Name>,
}

impl Forwarded {
    /// Of a call in which nothing was said before its answer.
    pub(crate) fn silent(
        recorded: Recorded,
        result: Result<Map<String, Value>, remit_ports::upstreams::UpstreamError>,
    ) -> Self {
        Self {
            recorded,
            result,
            held: Vec::new(),
            canaries: BTreeSet::new(),
        }
    }
}

/// The answer to a call that was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The decision, which is also the call.
    pub decision: DecisionId,
    /// Index of its entry in the organization's ledger.
    pub index: u64,
    /// The upstream's result: parsed, its handles sealed, with the decision in `_meta`.
    pub result: Map<String, Value>,
    /// The upstream's own error in its place, where its caller can do something about it.
    pub error: Option<ErrorObject>,
}
