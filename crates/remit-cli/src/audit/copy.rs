//! A copied ledger on disk: files in, faults out.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use remit_ledger::{Report, Verifier};
use remit_tlog::{Tile, VerifierKey};

use crate::exit::NotVerified;
use crate::input;
use crate::print::progress;

/// Name of the checkpoint's file.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Name of the key's file.
pub(crate) const KEY: &str = "key";

/// Largest file of a copy: a bundle of 256 records of the largest size.
const FILE_BYTES_MAX: u64 = 256 * (65_535 + 2);
/// Bundles between two words on how far it is.
const EVERY: u64 = 64;

/// The copy's own key.
pub(crate) fn key(dir: &Path) -> anyhow::Result<VerifierKey> {
    let path = dir.join(KEY);
    let text = input::file(&path, input::BYTES_MAX)?;
    text.trim()
        .parse()
        .map_err(|e| NotVerified(format!("`{}` is not a verifier key: {e}", path.display())).into())
}

/// A file of the copy; none when it is not there.
fn file(dir: &Path, tile: &Tile) -> anyhow::Result<Option<Vec<u8>>> {
    let path = dir.join(tile.path());
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("`{}` cannot be read", path.display()));
        }
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok(Some(bytes))
}

/// Verifies a copy.
///
/// - `earlier`: a checkpoint that was kept elsewhere.
pub(crate) fn verify(
    dir: &Path,
    key: &VerifierKey,
    earlier: Option<&str>,
) -> anyhow::Result<Report> {
    let note = input::file(&dir.join(CHECKPOINT), input::BYTES_MAX)?;
    let began = Verifier::new(&note, key, earlier);
    let mut verifier =
        began.map_err(|error| NotVerified(format!("{:#}", anyhow::Error::from(error))))?;
    let mut read = 0;
    while let Some((bundle, tile)) = verifier.next()? {
        if read % EVERY == 0 {
            progress(
                &format!(
                    "verifying record {} of {}",
                    bundle.range().start,
                    verifier.size()
                ),
                false,
            );
        }
        verifier.read(file(dir, &bundle)?.as_deref(), file(dir, &tile)?.as_deref())?;
        read += 1;
    }
    for tile in verifier.upper_tiles()? {
        verifier.read_upper(&tile, file(dir, &tile)?.as_deref());
    }
    progress(&format!("verified {} records", verifier.size()), true);
    Ok(verifier.finish())
}
