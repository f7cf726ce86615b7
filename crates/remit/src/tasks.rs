//! What goes on beside serving: following other nodes, ending what has run out, signing and publishing checkpoints.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
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
/// How often proofs are looked for whose node has gone.
const PROOFS_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked at what there is to tell others.
const SIGNALS_EVERY: Duration = Duration::from_secs(1);
/// How often those are asked who tell when they are asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked at whether a trust domain's bundle is to be fetched again.
const BUNDLES_EVERY: Duration = Duration::from_secs(10);
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
    tasks.spawn(proofs(
        house.books.clone(),
        house.control.clone(),
        stop.clone(),
    ));
    tasks.spawn(signals(house.issuer.clone(), stop.clone()));
    tasks.spawn(bundles(house.issuer.clone(), stop.clone()));
    tasks.spawn(asking(
        house.issuer.clone(),
        house.control.clone(),
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

/// Tells others what has happened.
async fn signals(issuer: remit_issuer::Issuer, stop: CancellationToken) {
    while tokio::time::timeout(SIGNALS_EVERY, stop.cancelled())
        .await
        .is_err()
    {
        if stop
            .run_until_cancelled(issuer.tell_signals())
            .await
            .is_none()
        {
            return;
        }
    }
}

/// Follows the bundles of other trust domains.
async fn bundles(issuer: remit_issuer::Issuer, stop: CancellationToken) {
    while tokio::time::timeout(BUNDLES_EVERY, stop.cancelled())
        .await
        .is_err()
    {
        let followed = stop.run_until_cancelled(issuer.follow_bundles());
        if followed.await.is_none() {
            return;
        }
    }
}

/// Asks those for signals who do not send them: side by side, so that nobody waits for one that hangs.
async fn asking(
    issuer: remit_issuer::Issuer,
    control: remit_control::Control,
    stop: CancellationToken,
) {
    while tokio::time::timeout(ASK_EVERY, stop.cancelled())
        .await
        .is_err()
    {
        let mut all = Vec::new();
        for book in control.books().orgs() {
            let asked = issuer.asked_transmitters(&book.id);
            all.extend(
                asked
                    .into_iter()
                    .map(|t| ask(&issuer, &control, book.id.clone(), t)),
            );
        }
        let asked = stop.run_until_cancelled(futures_util::future::join_all(all));
        if asked.await.is_none() {
            return;
        }
    }
}

async fn ask(
    issuer: &remit_issuer::Issuer,
    control: &remit_control::Control,
    org: remit_domain::OrgId,
    transmitter: std::sync::Arc<remit_domain::signal::SignalTransmitter>,
) {
    let (org, transmitter) = (&org, &transmitter);
    let take = |heard| async move {
        let taken = remit_http::take_signal(issuer, control, org, transmitter, heard).await;
        if let Err(error) = &taken {
            tracing::error!(%org, transmitter = %transmitter.name, %error, "a signal could not be taken; it is asked for again");
        }
        taken.is_ok()
    };
    if let Err(refusal) = issuer.ask_transmitter(org, transmitter, take).await {
        tracing::warn!(%org, transmitter = %transmitter.name, %refusal, "a transmitter cannot be asked; trying again");
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
            canary,
        } = &trip;
        if let Err(error) = control.trip(org, agent, cause, (*enforce, *canary)).await {
            tracing::error!(%error, %org, %agent, "the breaker tripped and it could not be written; it trips again when the agent goes on");
        }
    }
}

/// Takes up proofs of proposals that another node began, or this one before it was started.
async fn proofs(
    books: remit_books::Books,
    control: remit_control::Control,
    stop: CancellationToken,
) {
    while tokio::time::timeout(PROOFS_EVERY, stop.cancelled())
        .await
        .is_err()
    {
        for book in books.orgs() {
            let taken = stop.run_until_cancelled(control.take_up_proofs(&book.id));
            if let Some(Err(error)) = taken.await {
                tracing::error!(%error, org = %book.id, "unfinished proofs could not be looked for; trying again");
            }
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
    let mut written = Written::default();
    loop {
        let stopping = tokio::time::timeout(CHECKPOINT_EVERY, stop.cancelled())
            .await
            .is_ok();
        for book in books.orgs() {
            match books.checkpoint(&book.id).await {
                Ok((size, note)) => written.copy(&dirs, &book.id, size, &note),
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

/// Size of the checkpoint that each directory has of each organization.
#[derive(Default)]
struct Written(HashMap<(PathBuf, OrgId), u64>);

impl Written {
    /// Writes a checkpoint to every directory that does not have it. One that cannot be written keeps no other from it.
    fn copy(&mut self, dirs: &[PathBuf], org: &OrgId, size: u64, note: &str) {
        for dir in dirs {
            let has = self.0.entry((dir.clone(), org.clone()));
            if matches!(&has, Entry::Occupied(has) if *has.get() == size) {
                continue;
            }
            match write_checkpoint(dir, org, size, note) {
                Ok(()) => {
                    has.insert_entry(size);
                }
                Err(error) => tracing::error!(
                    %error, dir = %dir.display(),
                    "a checkpoint could not be written there; trying again (`checkpoints` names another directory)"
                ),
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_kept_outside_of_the_data_and_one_that_fails_keeps_no_other_from_it() {
        let root = tempfile::tempdir().unwrap();
        let settings = Settings {
            data: root.path().join("data"),
            ..Settings::default()
        };
        let dirs = checkpoint_dirs(&settings);
        assert!(
            dirs.iter().any(|dir| !dir.starts_with(&settings.data)),
            "{dirs:?}"
        );
        let [inside, outside] = dirs.as_slice() else {
            panic!("{dirs:?}")
        };
        // In the way of the first one is a file.
        std::fs::create_dir(&settings.data).unwrap();
        std::fs::write(inside, "").unwrap();
        let org: OrgId = "org_01JD8M3W7Q4X5Y6Z7A8B9C0D1E".parse().unwrap();
        let mut written = Written::default();
        for (size, note) in [(1, "one"), (1, "one"), (2, "two")] {
            written.copy(&dirs, &org, size, note);
        }
        let read =
            |dir: &Path, name: &str| std::fs::read_to_string(dir.join(format!("{org}.{name}")));
        assert_eq!(read(outside, "checkpoint").unwrap(), "two");
        assert_eq!(read(outside, "history").unwrap(), "1\none\n2\ntwo\n");
        std::fs::remove_file(inside).unwrap();
        written.copy(&dirs, &org, 2, "two");
        assert_eq!(read(inside, "history").unwrap(), "2\ntwo\n");
        assert_eq!(read(outside, "history").unwrap(), "1\none\n2\ntwo\n");
    }
}
