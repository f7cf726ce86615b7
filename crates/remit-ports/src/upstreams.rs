//! The governed servers, reached with canonical calls only.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use remit_classify::Known;
use remit_classify::known::Found;
use remit_domain::name::Name;
use remit_domain::upstream::Injection;
use remit_domain::{LeaseId, OrgId, RunId, Upstream};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::Secrets;
use crate::leases::LentToken;
use crate::vault::VaultError;

/// A brokered credential, for one call; the agent never sees it.
#[derive(Debug, Clone, Default)]
pub struct Lease {
    /// Headers to add (name, value), for HTTP upstreams.
    pub headers: Vec<(String, SecretString)>,
    /// Parameters to add to the address (name, value), for HTTP upstreams.
    pub query: Vec<(String, SecretString)>,
    /// Variables to set at spawn, for stdio upstreams.
    pub environment: Vec<(String, SecretString)>,
    /// Every secret that the organization is known to have, those of this lease included. Without it, those of this lease are
    /// kept out of what the upstream says, and no others.
    pub known: Option<Arc<Known>>,
    /// Which of them the upstream has given back.
    pub seen: Seen,
    /// Of the token among the headers that was got for this run and is not among `known`: whose lease it is.
    pub token: Option<LeaseId>,
}

/// Which of the known secrets were found in what an upstream said.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Found>>);

impl Seen {
    /// Adds those that were found.
    pub fn add(&self, found: Found) {
        if !found.is_empty() {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(found);
        }
    }

    /// All that were found until now.
    #[must_use]
    pub fn all(&self) -> Found {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Lease {
    /// The credential that an upstream of an organization needs, read now; an empty one where it needs none.
    ///
    /// # Errors
    /// [`VaultError`] when a secret it names cannot be had.
    pub async fn of(
        secrets: &dyn Secrets,
        org: &Name,
        injection: Option<&Injection>,
    ) -> Result<Self, VaultError> {
        let mut lease = Self::default();
        match injection {
            // A token is asked for, and added with `bearer`.
            None | Some(Injection::Oauth(_)) => {}
            Some(Injection::Bearer(reference)) => {
                let secret = secrets.read(org, reference).await?;
                let value = SecretString::from(format!("Bearer {}", secret.expose_secret()));
                lease.headers.push(("authorization".to_owned(), value));
            }
            Some(Injection::Header { name, secret }) => {
                let value = secrets.read(org, secret).await?;
                lease.headers.push((name.clone(), value));
            }
            Some(Injection::Query { name, secret }) => {
                let value = secrets.read(org, secret).await?;
                lease.query.push((name.clone(), value));
            }
            Some(Injection::Basic { user, secret }) => {
                let secret = secrets.read(org, secret).await?;
                let both = Zeroizing::new(format!("{user}:{}", secret.expose_secret()));
                let value = SecretString::from(format!("Basic {}", STANDARD.encode(&*both)));
                lease.headers.push(("authorization".to_owned(), value));
            }
            Some(Injection::Environment(variables)) => {
                for (name, reference) in variables {
                    let value = secrets.read(org, reference).await?;
                    lease.environment.push((name.clone(), value));
                }
            }
        }
        Ok(lease)
    }

    /// Adds a token that was got for this run.
    pub fn bearer(&mut self, lent: &LentToken) {
        let value = Zeroizing::new(format!("Bearer {}", lent.token.expose_secret()));
        let value = SecretString::from(value.as_str());
        self.headers.retain(|(name, _)| name != "authorization");
        self.headers.push(("authorization".to_owned(), value));
        self.token = Some(lent.lease.clone());
    }

    /// Whether a secret is lent with it.
    #[must_use]
    pub fn lends(&self) -> bool {
        !(self.headers.is_empty() && self.query.is_empty() && self.environment.is_empty())
    }
}

/// One request to an upstream.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// Whose request: processes and sessions are never shared between organizations.
    pub org: OrgId,
    /// Which server.
    pub upstream: Arc<Upstream>,
    /// Which run; none for what an administrator does (listing tools).
    pub run: Option<RunId>,
    /// MCP method, such as `tools/call`.
    pub method: String,
    /// Parameters, re-serialised by Remit: never received bytes.
    pub params: Value,
    /// The tool's input schema, for deriving `Mcp-Param-*` headers; null otherwise.
    pub input_schema: Value,
    /// The credential.
    pub lease: Lease,
    /// Fires when the caller left or the run was contained; the upstream is told and the connection closed.
    pub cancel: CancellationToken,
    /// Where the upstream's notifications for this request go (progress, log messages), parsed. A full channel slows the
    /// upstream down rather than hold more.
    pub notifications: Option<mpsc::Sender<Value>>,
    /// Where the upstream's own requests to its client go (sampling, elicitation, roots), when it may ask any. Each is
    /// answered through its `reply`; a full channel refuses the question, rather than hold more.
    pub questions: Option<mpsc::Sender<Question>>,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// A request from the other side while a call is in work (MCP 2025-11-25), parsed, with its parameters as received.
#[derive(Debug)]
pub struct Question {
    /// MCP method, such as `elicitation/create`.
    pub method: String,
    /// Its parameters.
    pub params: Value,
    /// Takes the answer. Dropped without one when nobody answers any more.
    pub reply: oneshot::Sender<Result<Value, NotAnswered>>,
}

/// Why a question got no answer: told to who asked, as a JSON-RPC error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct NotAnswered {
    /// JSON-RPC code.
    pub code: i64,
    /// One line.
    pub message: String,
    /// Data.
    pub data: Option<Value>,
}

impl NotAnswered {
    /// A refusal of the question.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }
}

/// Called with the address of a resource that has changed. Must not block.
pub type Updated = Arc<dyn Fn(&str) + Send + Sync>;

/// A subscription at an upstream; dropping it ends it there.
pub trait Subscribed: Send + Sync + std::fmt::Debug {}

/// Why an upstream gave no usable answer. The caller must know whether an effect may have happened.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum UpstreamError {
    /// Nothing was sent: no effect is possible.
    #[error("upstream cannot be reached: {0}")]
    Unreachable(String),
    /// It refused the credential (HTTP 401), which says that nothing was done (RFC 9110 §15.5.2): no effect is possible.
    #[error("upstream refused the credential: {0}")]
    Unauthorized(String),
    /// It was sent and no answer came: an effect is possible, and nobody knows. Never resent.
    #[error("the call was sent and no answer came: {0}")]
    Ambiguous(String),
    /// It was sent, then cancelled: an effect is possible.
    #[error("the call was cancelled after it was sent")]
    Cancelled,
    /// It answered with something that is not MCP (wrong id, invalid JSON): an effect is possible.
    #[error("upstream answered with something that is not MCP: {0}")]
    Invalid(String),
    /// Its answer is larger than Remit holds: an effect is possible.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It answered with a JSON-RPC error.
    #[error("upstream answered error {code}: {message}")]
    Rpc {
        /// JSON-RPC code.
        code: i64,
        /// Message, at most 2,000 characters.
        message: String,
        /// Data.
        data: Option<Value>,
    },
}

impl UpstreamError {
    /// The same error, with each text and value of it as `rewrite` leaves it.
    #[must_use]
    pub fn rewritten(self, mut rewrite: impl FnMut(&mut Value)) -> Self {
        let mut text = |text: String| {
            let mut value = Value::String(text);
            rewrite(&mut value);
            match value {
                Value::String(text) => text,
                _ => String::new(),
            }
        };
        match self {
            Self::Unreachable(why) => Self::Unreachable(text(why)),
            Self::Unauthorized(why) => Self::Unauthorized(text(why)),
            Self::Ambiguous(why) => Self::Ambiguous(text(why)),
            Self::Invalid(why) => Self::Invalid(text(why)),
            Self::Rpc {
                code,
                message,
                data,
            } => {
                let message = text(message);
                let data = data.map(|mut data| {
                    rewrite(&mut data);
                    data
                });
                Self::Rpc {
                    code,
                    message,
                    data,
                }
            }
            Self::Cancelled | Self::TooLarge(_) => self,
        }
    }
}

/// The governed servers.
///
/// Contract: a request is sent at most once. [`UpstreamError::Unreachable`] is returned only when no byte of the request can
/// have been acted on. Dropping the future counts as cancelling. A process or stateful session is keyed by (organization,
/// upstream, run) unless the upstream is stateless; it starts in a clean environment, and its whole process group ends with
/// the run.
#[async_trait]
pub trait Upstreams: Send + Sync + 'static {
    /// Sends one request and waits for its result.
    ///
    /// # Errors
    /// [`UpstreamError`], which says whether an effect is possible.
    async fn request(&self, request: UpstreamRequest) -> Result<Value, UpstreamError>;

    /// Subscribes to the resource that `request` (of method `resources/subscribe`) names; `updated` hears of its changes
    /// until the result is dropped or the run ends.
    ///
    /// # Errors
    /// [`UpstreamError`]; `Rpc` with code -32601 where updates cannot be had.
    async fn subscribe(
        &self,
        request: UpstreamRequest,
        updated: Updated,
    ) -> Result<Box<dyn Subscribed>, UpstreamError> {
        drop((request, updated));
        Err(UpstreamError::Rpc {
            code: -32601,
            message: "this upstream tells of no changes".to_owned(),
            data: None,
        })
    }

    /// Ends every process and session of a run; returns the labels of those that ended (`stdio itsm pid 4711`).
    async fn end_run(&self, org: &OrgId, run: &RunId) -> Vec<String>;
}
