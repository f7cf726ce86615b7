//! What goes on beside serving: following other nodes, ending what has run out, signing and publishing checkpoints.

use std::path::{Path, PathBuf};
use std::time::Duration;

use remit_domain::OrgId;
use remit_gateway::Trip;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Settings;
use crate::wiring::House;

/// How often what has run out is ended.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often checkpoints are signed and written.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// Starts what goes on beside serving; it ends when `stop` fires.
pub(crate) fn start(house: &House, settings: &Settings, stop: &CancellationToken) -> TaskTracker {
    let tasks = TaskTracker::new();
    let books = house.books.clone();
    let stopped = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = books.follow() => {}
            () = stopped.cancelled() => {}
        }
    });
    tasks.spawn(sweep(
        house.books.clone(),
        house.control.clone(),
        house.gateway.clone(),
        house.issuer.clone(),
        stop.clone(),
    ));
    tasks.spawn(quarantine(
        house.control.clone(),
        house.gateway.clone(),
        stop.clone(),
    ));
    let dirs = checkpoint_dirs(settings);
    tasks.spawn(checkpoints(house.books.clone(), dirs, stop.clone()));
    tasks.close();
    tasks
}

async fn sweep(
    books: remit_books::Books,
    control: remit_control::Control,
    gateway: remit_gateway::Gateway,
    issuer: remit_issuer::Issuer,
    stop: CancellationToken,
) {
    while tokio::time::timeout(SWEEP_EVERY, stop.cancelled())
        .await
        .is_err()
    {
        for book in books.orgs() {
            if let Err(error) = control.tick(&book.id).await {
                tracing::error!(%error, org = %book.id, "what has run out could not be ended; trying again");
            }
        }
        issuer.tick().await;
        gateway.close_ended_runs().await;
        gateway.forget_unreported();
        if let Err(error) = gateway.record_counted_refusals().await {
            tracing::error!(%error, "counted refusals could not be recorded; trying again");
        }
    }
}

/// Takes out the agents for which the breaker trips.
async fn quarantine(
    control: remit_control::Control,
    gateway: remit_gateway::Gateway,
    stop: CancellationToken,
) {
    while let Some(Some(trip)) = stop.run_until_cancelled(gateway.next_trip()).await {
        let Trip {
            org,
            agent,
            cause,
            enforce,
        } = &trip;
        if let Err(error) = control.trip(org, agent, cause, *enforce).await {
            tracing::error!(%error, %org, %agent, "the breaker tripped and it could not be written; it trips again when the agent goes on");
        }
    }
}

/// Where checkpoints are written: beside the data, and outside of it, so that a truncated or forked ledger is noticed.
fn checkpoint_dirs(settings: &Settings) -> Vec<PathBuf> {
    let outside = settings.checkpoints.clone().unwrap_or_else(|| {
        let name = settings
            .data
            .file_name()
            .map_or_else(|| "remit".to_owned(), |n| n.to_string_lossy().into_owned());
        settings.data.with_file_name(format!("{name}-checkpoints"))
    });
    vec![settings.data.join("checkpoints"), outside]
}

async fn checkpoints(books: remit_books::Books, dirs: Vec<PathBuf>, stop: CancellationToken) {
    let mut written = std::collections::HashMap::new();
    loop {
        let stopping = tokio::time::timeout(CHECKPOINT_EVERY, stop.cancelled())
            .await
            .is_ok();
        for book in books.orgs() {
            match books.checkpoint(&book.id).await {
                Ok((size, note)) if written.get(&book.id) != Some(&size) => {
                    let result = dirs
                        .iter()
                        .try_for_each(|dir| write_checkpoint(dir, &book.id, size, &note));
                    match result {
                        Ok(()) => {
                            written.insert(book.id.clone(), size);
                        }
                        Err(error) => {
                            tracing::error!(%error, "a checkpoint could not be written; trying again")
                        }
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, org = %book.id, "no checkpoint could be signed; trying again")
                }
            }
        }
        if stopping {
            return;
        }
    }
}

/// Writes the newest checkpoint, and adds it to the history that nothing overwrites.
fn write_checkpoint(dir: &Path, org: &OrgId, size: u64, note: &str) -> std::io::Result<()> {
    use std::io::Write;
    std::fs::create_dir_all(dir)?;
    let newest = dir.join(format!("{org}.checkpoint"));
    let scratch = dir.join(format!("{org}.checkpoint.new"));
    std::fs::write(&scratch, note)?;
    std::fs::rename(&scratch, &newest)?;
    let mut history = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join(format!("{org}.history")))?;
    writeln!(history, "{size}\n{note}")
}
