//! The demo: real MCP servers to govern, and the use-cases that are run against them.
//!
//! [`upstreams`] knows MCP and its own small worlds; it knows nothing of agents, tokens, policies or the gateway.

pub mod upstreams;
