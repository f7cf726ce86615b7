//! Connections: how many, how long they wait, and what they promise.

use std::str::FromStr;
use std::time::Duration;

use remit_ports::store::StoreError;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::error::unavailable;

/// Connections for reads and the writer.
const CONNECTIONS: u32 = 12;

/// How long a caller waits for a free connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// A server-side end to whatever hangs. A node that dies within a transaction must not hold its organizations' rows.
/// Where the server confirms commits before they are durable, this connection asks for better; it never asks for less.
const SESSION: &str = "
    SET statement_timeout = '15s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30s';
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off';
";

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(|e| unavailable(&e))?;
    Ok(options.application_name("remit"))
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .after_connect(|db, _| {
            Box::pin(async move {
                use sqlx::Executor as _;
                db.execute(SESSION).await.map(|_| ())
            })
        })
}

/// For reads and the writer; fails when the server cannot be reached now.
pub(crate) async fn work(url: &str) -> Result<PgPool, StoreError> {
    let connected = pool(CONNECTIONS).connect_with(options(url)?).await;
    connected.map_err(|e| unavailable(&e))
}

/// One connection to listen on, which is never swapped for another behind its user's back.
pub(crate) fn listening(url: &str) -> Result<PgPool, StoreError> {
    let one = pool(1).max_lifetime(None).idle_timeout(None);
    Ok(one.connect_lazy_with(options(url)?))
}
