//! What a synchronization takes and tells.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a wrapped server offers, read on the machine it runs on. Left out for a server that Remit reaches itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Its tools, as `tools/list` gives them.
    #[serde(default)]
    pub tools: Vec<Value>,
    /// Its capabilities, as it announces them.
    #[serde(default)]
    pub capabilities: Value,
}

/// What a sync found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SyncReport {
    /// Tools that are new (or still unclassified and offered otherwise), disabled until classified.
    pub found: Vec<String>,
    /// Approved tools whose definition changed: refused until approved again.
    pub changed: Vec<String>,
    /// Tools that are offered again exactly as they were approved.
    pub restored: Vec<String>,
    /// Tools that are no longer offered.
    pub gone: Vec<String>,
    /// How many are as they were.
    pub unchanged: usize,
    /// Tools that are not taken in, with the reason.
    pub refused: Vec<RefusedToolView>,
}

/// A tool that is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RefusedToolView {
    /// Its name, made safe to show.
    pub name: String,
    /// Why.
    pub reason: String,
}
