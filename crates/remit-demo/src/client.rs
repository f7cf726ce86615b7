//! Clients of a running server, as a stranger would write them: REST, OAuth and MCP.

mod mcp;
mod oauth;
mod rest;

pub(crate) use mcp::{Mcp, Outcome, Verdict};
pub(crate) use oauth::{AgentKey, OAuth, now_secs};
pub(crate) use rest::{Rest, text_of};
