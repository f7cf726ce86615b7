//! Everything Remit reaches outside its own process: upstreams, the master key, secrets, the clock.
//!
//! Implements the ports [`remit_ports::Upstreams`], [`remit_ports::Web`], [`remit_ports::Vault`], [`remit_ports::Secrets`],
//! [`remit_ports::Clock`] and [`remit_ports::Entropy`]. It must not know agents, policies, decisions or the ledger: it
//! sends what it is given, at most once, and says exactly whether an effect may have happened.
//!
//! Start at [`Outbound`]; the two transports are [`stdio`] and [`http`].
//!
//! | module | rule it keeps |
//! |---|---|
//! | [`stdio`] | commands only from the operator's allowlist, a clean environment, a process group that ends with its run |
//! | [`http`] | both revisions of Streamable HTTP, no redirects, no metadata addresses, at most one message held |
//! | [`vault`] | keys at rest under one master key that nobody else can read |
//! | [`secrets`] | secrets read anew each time, only from where the operator allows |
//! | [`clock`] | the only place that reads a clock or draws randomness |
//!
//! Specifications: MCP 2026-07-28 and 2025-11-25 (basic/lifecycle, basic/transports), JSON-RPC 2.0, RFC 9110,
//! WHATWG HTML (server-sent events), NIST SP 800-38D (GCM).

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

pub mod clock;
mod counters;
mod flight;
mod greeting;
pub mod http;
pub mod limits;
mod outbound;
mod outgoing;
mod redact;
mod route;
pub mod secrets;
mod slots;
pub mod stdio;
pub mod vault;

pub use clock::{SystemClock, SystemEntropy};
pub use counters::Counters;
pub use http::{HttpWeb, Roots};
pub use outbound::{Outbound, OutboundConfig};
pub use secrets::SystemSecrets;
pub use stdio::{AllowedCommand, Allowlist, AllowlistError, StdioLimits};
pub use vault::{FileVault, MasterKeyError};
