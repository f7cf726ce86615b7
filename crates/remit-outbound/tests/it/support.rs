//! Requests as the gateway makes them.

use std::sync::Arc;
use std::time::Duration;

use remit_domain::upstream::Transport;
use remit_domain::{OrgId, RunId, SystemId, Upstream};
use remit_outbound::Outbound;
use remit_ports::Upstreams as _;
use remit_ports::upstreams::{Lease, UpstreamError, UpstreamRequest};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) fn org(n: u128) -> OrgId {
    OrgId::from_uuid(uuid::Uuid::from_u128(n))
}

pub(crate) fn run(n: u128) -> RunId {
    RunId::from_uuid(uuid::Uuid::from_u128(n))
}

pub(crate) fn secret(pairs: &[(&str, &str)]) -> Vec<(String, SecretString)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
        .collect()
}

/// One call, with the members that a test wants to change.
pub(crate) struct Ask {
    pub(crate) request: UpstreamRequest,
}

impl Ask {
    /// A call of `tool` in run 1 of organization 1.
    pub(crate) fn new(transport: Transport, tool: &str) -> Self {
        let upstream = Upstream {
            name: "itsm".parse().unwrap(),
            system: SystemId::from_uuid(uuid::Uuid::from_u128(1)),
            transport,
            secret: None,
            stateless: false,
            enabled: true,
            may_ask: std::collections::BTreeSet::new(),
        };
        Self {
            request: UpstreamRequest {
                org: org(1),
                upstream: Arc::new(upstream),
                run: Some(run(1)),
                method: "tools/call".to_owned(),
                params: json!({ "name": tool, "arguments": {} }),
                input_schema: Value::Null,
                lease: Lease::default(),
                cancel: CancellationToken::new(),
                notifications: None,
                questions: None,
                timeout: Duration::from_secs(20),
            },
        }
    }

    pub(crate) fn org(mut self, n: u128) -> Self {
        self.request.org = org(n);
        self
    }

    pub(crate) fn run(mut self, n: u128) -> Self {
        self.request.run = Some(run(n));
        self
    }

    pub(crate) fn stateless(mut self) -> Self {
        let mut upstream = (*self.request.upstream).clone();
        upstream.stateless = true;
        self.request.upstream = Arc::new(upstream);
        self
    }

    pub(crate) fn method(mut self, method: &str, params: Value) -> Self {
        method.clone_into(&mut self.request.method);
        self.request.params = params;
        self
    }

    pub(crate) fn arguments(mut self, arguments: Value) -> Self {
        self.request.params["arguments"] = arguments;
        self
    }

    pub(crate) fn environment(mut self, pairs: &[(&str, &str)]) -> Self {
        self.request.lease.environment = secret(pairs);
        self
    }

    pub(crate) fn headers(mut self, pairs: &[(&str, &str)]) -> Self {
        self.request.lease.headers = secret(pairs);
        self
    }

    pub(crate) fn within(mut self, millis: u64) -> Self {
        self.request.timeout = Duration::from_millis(millis);
        self
    }

    /// Asks for progress under the token `mine`.
    pub(crate) fn listening(mut self, to: mpsc::Sender<Value>) -> Self {
        self.request.notifications = Some(to);
        self.request.params["_meta"] = json!({ "progressToken": "mine" });
        self
    }

    pub(crate) fn cancel(&self) -> CancellationToken {
        self.request.cancel.clone()
    }

    pub(crate) async fn of(self, outbound: &Outbound) -> Result<Value, UpstreamError> {
        outbound.request(self.request).await
    }
}

/// Waits for something that happens by itself soon; fails after ten seconds.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

pub(crate) fn unreachable(answer: Result<Value, UpstreamError>) -> String {
    match answer {
        Err(UpstreamError::Unreachable(why)) => why,
        other => panic!("expected unreachable, got {other:?}"),
    }
}
