//! The console: where people see, decide and stop. Pages made on the server, from the same services as REST and CLI.
//!
//! It has no logic of its own: who may do what is decided in `remit-control`, by the same [`Caller`](remit_control::Caller)
//! as everywhere. It knows no store, no adapter and no other surface. Everything works without scripts, except passkeys and
//! live updates.
//!
//! | to | go to |
//! | --- | --- |
//! | serve | [`router`] over a [`Console`] |
//! | add a page | a file named after its noun with a `routes()`, listed in `table.rs`; its parts come from `ui.rs` |
//! | know who may open what | `table.rs` and the `who` of each route |
//! | change how everything looks | `assets/console.css` |
//! | know what every answer carries | `answer.rs` (headers), `csrf.rs`, `cookie.rs` |
//!
//! Specifications: WCAG 2.2 AA, CSP Level 3, RFC 6265bis (cookies), HTML (server-sent events).

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        reason = "tests"
    )
)]

mod access;
mod agents;
mod answer;
mod approvals;
mod ask;
mod assets;
mod audit;
mod connect;
mod consent;
mod containment;
mod cookie;
mod csrf;
mod decisions;
mod delegations;
mod dispatch;
mod done;
mod fault;
mod findings;
mod help;
mod home;
mod labels;
mod layout;
mod limits;
mod live;
mod picture;
mod policies;
mod range;
mod route;
mod rules;
mod runs;
mod search;
mod settings;
mod sign_in;
mod site;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod tools;
mod ui;
mod upstreams;

use axum::Router;
use axum::routing::get;
use tower_http::compression::CompressionLayer;

pub use site::Console;

use site::Site;

/// The pages of the default organization at the root, and of every other one at `/t/{org}`.
///
/// The surface that it is merged into checks Host and Origin before.
pub fn router(console: Console) -> Router {
    let site = Site::new(console);
    dispatch::routes()
        .route("/assets/{name}", get(assets::serve))
        .layer(CompressionLayer::new().gzip(true).br(true))
        .with_state(site)
}
