//! An upstream that does what a test tells it, and counts what really reached it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use remit_domain::name::Name;
use remit_domain::upstream::SecretRef;
use remit_domain::{OrgId, RunId};
use remit_ports::upstreams::{UpstreamError, UpstreamRequest, Upstreams};
use remit_ports::vault::{Secrets, Vault, VaultError};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// What the fake upstream does with one request.
#[derive(Debug, Clone)]
pub enum Script {
    /// Answers.
    Answer(Value),
    /// Fails.
    Fail(UpstreamError),
    /// Waits until it is cancelled, then says so.
    Hang,
    /// Waits until [`FakeUpstreams::let_go`], then answers.
    Wait(Value),
    /// Waits until [`FakeUpstreams::let_go`], then fails.
    WaitThenFail(UpstreamError),
    /// Sends these notifications, waits until [`FakeUpstreams::let_go`], then answers.
    Say(Vec<Value>, Value),
}

/// An upstream for tests. Without a script it answers `{"content":[]}`.
#[derive(Debug, Default)]
pub struct FakeUpstreams {
    scripts: Mutex<VecDeque<Script>>,
    reached: Mutex<Vec<Value>>,
    arrived: Notify,
    go: Notify,
}

impl FakeUpstreams {
    /// What the next request without a script before it meets.
    pub fn script(&self, script: Script) {
        self.scripts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(script);
    }

    /// Parameters of every request that reached it.
    pub fn reached(&self) -> Vec<Value> {
        self.reached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until a request has arrived that nobody waited for yet.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Lets one waiting request go on.
    pub fn let_go(&self) {
        self.go.notify_one();
    }
}

#[async_trait]
impl Upstreams for FakeUpstreams {
    async fn request(&self, request: UpstreamRequest) -> Result<Value, UpstreamError> {
        // What it is asked about itself meets no script, and it announces nothing but tools.
        if request.method == "server/discover" {
            return Ok(json!({ "capabilities": { "tools": {} } }));
        }
        let script = self
            .scripts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        if let Some(Script::Fail(UpstreamError::Unreachable(why))) = script {
            return Err(UpstreamError::Unreachable(why));
        }
        self.reached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.params.clone());
        self.arrived.notify_one();
        match script {
            None => Ok(json!({ "content": [] })),
            Some(Script::Answer(value)) => Ok(value),
            Some(Script::Fail(error)) => Err(error),
            Some(Script::Hang) => {
                request.cancel.cancelled().await;
                Err(UpstreamError::Cancelled)
            }
            Some(Script::Say(notices, value)) => {
                for notice in notices {
                    if let Some(to) = &request.notifications {
                        let _ = to.send(notice).await;
                    }
                }
                self.go.notified().await;
                Ok(value)
            }
            Some(Script::WaitThenFail(error)) => {
                self.go.notified().await;
                Err(error)
            }
            Some(Script::Wait(value)) => {
                self.go.notified().await;
                Ok(value)
            }
        }
    }

    async fn end_run(&self, _org: &OrgId, _run: &RunId) -> Vec<String> {
        Vec::new()
    }
}

/// A vault that keeps nothing secret, and still refuses another context.
#[derive(Debug, Default)]
pub struct FakeVault;

impl Vault for FakeVault {
    fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, VaultError> {
        let mut sealed = format!("{}:{context}:", context.len()).into_bytes();
        sealed.extend_from_slice(plain);
        Ok(sealed)
    }

    fn unseal(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, VaultError> {
        let start = format!("{}:{context}:", context.len());
        sealed
            .strip_prefix(start.as_bytes())
            .map(<[u8]>::to_vec)
            .ok_or(VaultError::Sealed)
    }
}

/// Secrets that are not there.
#[derive(Debug, Default)]
pub struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    fn may_name(&self, _org: &Name, _reference: &SecretRef) -> Result<(), VaultError> {
        Ok(())
    }

    async fn read(&self, _org: &Name, reference: &SecretRef) -> Result<SecretString, VaultError> {
        Err(VaultError::Unreadable {
            reference: format!("{reference:?}"),
            why: "this test has no secrets".to_owned(),
        })
    }
}

/// One secret for each organization, behind variables whose names begin with `REMIT_SECRET_{ORGANIZATION}__`.
#[derive(Debug, Default)]
pub struct FakeSecrets;

#[async_trait]
impl Secrets for FakeSecrets {
    fn may_name(&self, org: &Name, reference: &SecretRef) -> Result<(), VaultError> {
        let own = format!("REMIT_SECRET_{}__", org.as_str().to_ascii_uppercase());
        match reference {
            SecretRef::Env(name) if name.starts_with(&own) => Ok(()),
            other => Err(VaultError::Unreadable {
                reference: format!("{other:?}"),
                why: "it is not this organization's".to_owned(),
            }),
        }
    }

    async fn read(&self, org: &Name, reference: &SecretRef) -> Result<SecretString, VaultError> {
        self.may_name(org, reference)?;
        Ok(SecretString::from(format!("secret of {org}")))
    }
}
