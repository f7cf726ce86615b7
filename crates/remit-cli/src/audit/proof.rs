//! Proofs of single records: a file that anybody can verify with the ledger's key, without asking anybody.

use std::path::Path;

use anyhow::{Context, bail};
use remit_ledger::Leaf;
use remit_tlog::limits::TILE_WIDTH_MAX;
use remit_tlog::{Tile, TlogProof, VerifierKey, parse_bundle, verify_note};
use serde_json::json;

use super::export::Log;
use crate::client::Client;
use crate::exit::{Done, NotVerified, OK};
use crate::input;
use crate::output::Out;
use crate::print::print;

const WIDTH: u64 = TILE_WIDTH_MAX as u64;

/// Gets a proof and puts the record into it, once it proves that record.
pub(crate) async fn prove(client: &Client, out: Out, entry: u64, file: Option<&Path>) -> Done {
    let log = Log {
        client,
        base: &["log"],
    };
    let key: VerifierKey = log
        .text(&["key"])
        .await?
        .trim()
        .parse()
        .context("the server's key is not a verifier key")?;
    let text = client
        .text(&["audit", "entries", &entry.to_string(), "proof"])
        .await?;
    let proof = TlogProof::parse(&text).context("the server's answer is not a proof")?;
    let head = verify_note(proof.checkpoint_note(), &key).map_err(|e| {
        NotVerified(format!(
            "the proof's checkpoint is not signed by the ledger's key: {e}"
        ))
    })?;
    let record = record(&log, entry, head.size()).await?;
    let whole = TlogProof::new(
        entry,
        proof.hashes().to_vec(),
        proof.checkpoint_note().to_owned(),
        record.clone(),
    )?;
    whole.verify(&record, &key).map_err(|e| {
        NotVerified(format!(
            "the server's proof does not prove record {entry}: {e}"
        ))
    })?;
    let text = whole.encode();
    let Some(file) = file else {
        print(&text);
        return Ok(OK);
    };
    std::fs::write(file, &text)
        .with_context(|| format!("`{}` cannot be written", file.display()))?;
    let made = json!({ "file": file, "entry": entry, "key": key.to_string() });
    out.done(&made, "file", &format!("{} proves record {entry}. Whoever has the key verifies it without this server:\n  remit audit verify-proof {} --key '{key}'", file.display(), file.display()))?;
    Ok(OK)
}

/// The record's bytes, from its bundle.
async fn record(log: &Log<'_>, entry: u64, size: u64) -> anyhow::Result<Vec<u8>> {
    let start = entry - entry % WIDTH;
    let Some(left) = size.checked_sub(start).filter(|_| entry < size) else {
        bail!("record {entry} is not in the ledger yet; it has {size}")
    };
    let width = u16::try_from(left.min(WIDTH))?;
    let (tile, bytes) = log.fetch(Tile::entries(entry / WIDTH, width)?).await?;
    let entries = parse_bundle(&bytes, tile.width())?;
    let at = usize::try_from(entry % WIDTH)?;
    entries
        .get(at)
        .map(|e| e.to_vec())
        .context("the bundle lacks the record")
}

/// Verifies a proof.
pub(crate) fn verify(out: Out, file: &Path, key: &VerifierKey, entry: Option<&Path>) -> Done {
    let not = |what: String| NotVerified(what);
    let proof = TlogProof::parse(&input::file(file, input::BYTES_MAX)?)
        .map_err(|e| not(format!("this is no proof: {e}")))?;
    let record = match entry {
        Some(path) => input::file(path, input::BYTES_MAX)?.into_bytes(),
        None => proof.extra().to_vec(),
    };
    if record.is_empty() {
        return Err(crate::exit::Usage(
            "the proof does not hold the record; give it with --entry".to_owned(),
        )
        .into());
    }
    let head = proof.verify(&record, key).map_err(|e| {
        not(format!(
            "it does not prove the record: {:#}",
            anyhow::Error::from(e)
        ))
    })?;
    let leaf = Leaf::parse(&record)
        .map_err(|e| not(format!("what it proves is not a record of Remit: {e}")))?;
    let shown = json!({ "entry": proof.index(), "origin": head.origin(), "size": head.size(), "leaf": leaf });
    out.one(&shown, "entry", || {
        let leaf = serde_json::to_string_pretty(&leaf).unwrap_or_default();
        format!(
            "PROVED  record #{} of {}, under a checkpoint over {} records\n\n{}",
            proof.index(),
            crate::value::line(head.origin(), 200),
            head.size(),
            crate::value::lines(&leaf)
        )
    })?;
    Ok(OK)
}
