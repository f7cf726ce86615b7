//! The ledger: what its entries say of each refused call, and that they are in it, verified with nothing but its key.

use std::path::Path;

use anyhow::{Context as _, Result};
use remit_tlog::limits::TILE_WIDTH_MAX;
use remit_tlog::{Tile, TlogProof, VerifierKey, parse_bundle, verify_note};
use serde_json::Value;

use super::answers::Cli;
use super::stage::Stage;
use crate::client::text_of;

/// Who reads the whole ledger.
pub(super) const AUDITOR: &str = "paul@acme.example";

/// A decision whose entry has to say who, via what and why.
#[derive(Debug, Clone)]
pub(super) struct ToProve {
    pub(super) what: String,
    pub(super) decision: String,
    pub(super) agent: String,
    pub(super) person: String,
    pub(super) purpose: String,
}

/// What somebody keeps elsewhere, to notice truncation and forks.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    key: String,
    checkpoint: String,
}

/// Keeps the ledger's key and its checkpoint of now: both are public.
pub(super) async fn keep(stage: &mut Stage) -> Result<()> {
    let open = stage.admin();
    let (key, checkpoint) = (
        open.text("/log/key").await?,
        open.text("/log/checkpoint").await?,
    );
    stage.kept = Some(Kept {
        key: key.trim().to_owned(),
        checkpoint,
    });
    Ok(())
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    stage.begin("The ledger, offline");
    let kept = stage.kept.clone().context("no checkpoint was kept")?;
    let elsewhere = tempfile::NamedTempFile::new()?;
    std::fs::write(elsewhere.path(), &kept.checkpoint)?;
    let since = elsewhere.path().display().to_string();
    let dir = tempfile::Builder::new()
        .prefix("remit-demo-ledger-")
        .tempdir()?;
    let path = dir.path().display().to_string();
    let auditor = Cli::of(stage, AUDITOR)?;
    let copied = auditor.ask(&["audit", "export", "--out", &path]).await?;
    stage.expect("remit audit export", "exit 0", &copied.exit());
    let args = [
        "audit",
        "verify",
        "--dir",
        &path,
        "--key",
        &kept.key,
        "--since-checkpoint",
        &since,
    ];
    let verified = auditor.offline(&args).await?;
    stage.say.quote(&verified.text);
    let what = "remit audit verify of the copy, without the server, with the key and a checkpoint kept from before";
    stage.expect(what, "exit 0", &verified.exit());
    let damaged = damaged(&auditor, dir.path()).await?;
    stage.expect("the same copy with one byte changed", "exit 5", &damaged);
    let mut proved = copied.ok() && verified.ok() && !stage.to_prove.is_empty();
    for one in std::mem::take(&mut stage.to_prove) {
        proved &= prove(stage, dir.path(), &one).await?;
    }
    stage.ledger_verified = proved;
    Ok(())
}

/// Changes one byte of the copy's first entries, and puts it back.
async fn damaged(auditor: &Cli, dir: &Path) -> Result<String> {
    let head = head(dir)?;
    let file = dir.join(bundle_of(0, head)?.path());
    let good = std::fs::read(&file)?;
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    if let Some(byte) = bad.get_mut(middle) {
        *byte ^= 1;
    }
    std::fs::write(&file, bad)?;
    let answer = auditor
        .offline(&["audit", "verify", "--dir", &dir.display().to_string()])
        .await?;
    std::fs::write(&file, good)?;
    Ok(answer.exit())
}

/// Size of the copy.
fn head(dir: &Path) -> Result<u64> {
    Ok(verify_note(&read(dir, "checkpoint")?, &key(dir)?)?.size())
}

fn read(dir: &Path, name: &str) -> Result<String> {
    std::fs::read_to_string(dir.join(name)).with_context(|| format!("the copy has no `{name}`"))
}

fn key(dir: &Path) -> Result<VerifierKey> {
    Ok(read(dir, "key")?.trim().parse()?)
}

/// The bundle that holds entry `index` of a ledger with `size` entries.
fn bundle_of(index: u64, size: u64) -> Result<Tile> {
    let per = u64::from(TILE_WIDTH_MAX);
    let bundle = index / per;
    let width = u16::try_from((size - bundle * per).min(per))?;
    Ok(Tile::entries(bundle, width)?)
}

/// The entry's bytes as the copy has them.
fn entry(dir: &Path, index: u64) -> Result<Vec<u8>> {
    let tile = bundle_of(index, head(dir)?)?;
    let bundle = std::fs::read(dir.join(tile.path()))?;
    let entries = parse_bundle(&bundle, tile.width())?;
    let at = usize::try_from(index % u64::from(TILE_WIDTH_MAX))?;
    Ok(entries
        .get(at)
        .context("the copy ends before the entry")?
        .to_vec())
}

async fn prove(stage: &mut Stage, dir: &Path, one: &ToProve) -> Result<bool> {
    let auditor = stage.person(AUDITOR)?;
    let why = auditor
        .get(&format!("/decisions/{}/why", one.decision))
        .await?;
    let index = why
        .pointer("/decision/index")
        .and_then(Value::as_u64)
        .context("the decision names no entry")?;
    let said = [
        text_of(&why, "/decision/agent") == one.agent,
        text_of(&why, "/decision/person") == one.person,
        why.get("chain")
            .and_then(Value::as_array)
            .is_some_and(|chain| !chain.is_empty()),
        why.to_string().contains(&one.purpose),
        why.get("reasons")
            .and_then(Value::as_array)
            .is_some_and(|reasons| !reasons.is_empty()),
    ];
    let said = said.iter().all(|said| *said);
    let proof = TlogProof::parse(
        &auditor
            .text(&format!("/api/v1/audit/entries/{index}/proof"))
            .await?,
    )?;
    let included = entry(dir, index).and_then(|entry| Ok(proof.verify(&entry, &key(dir)?)?));
    let told = match (&included, said) {
        (Ok(_), true) => {
            format!("entry {index} says who, via what and why, and is proved to be in the ledger")
        }
        (Ok(_), false) => format!("entry {index} does not say who, via what and why"),
        (Err(error), _) => format!("entry {index} is not proved: {error:#}"),
    };
    let ok = included.is_ok() && said;
    stage.expect_that(
        &one.what,
        ok,
        "an entry that says who, via what and why, and its proof",
        &told,
    );
    Ok(ok)
}
