//! Upstreams from outside: real processes and real sockets, honest and lying.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod fake_http;
mod http_modern;
mod http_refusals;
mod http_stateful;
mod stdio_lies;
mod stdio_processes;
mod support;
