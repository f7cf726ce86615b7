//! The demo: real MCP servers to govern, data for them to be governed by, and the use-cases that are run against both.
//!
//! It talks to a running server as a stranger would, over REST, OAuth and MCP, and to the operator's own command line:
//! it links nothing that serves. [`upstreams`] knows MCP and its own small worlds; it knows nothing of agents, tokens,
//! policies or the gateway. [`seed()`] knows REST only. The driver knows what must happen, and asks both sides whether it did.

mod client;
mod driver;
mod seed;
pub mod upstreams;

pub use driver::{Counts, DemoContext, Encore, Expectation, Report, encore, run};
pub use seed::{Ready, ReadyAgent, ReadyPerson, Target, seed};
pub use upstreams::{DemoKind, serve_http, serve_stdio};
