//! Copying a ledger: checkpoint first, then everything it covers, and the copy is verified before it is called one.

use std::path::Path;

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use remit_ledger::Report;
use remit_tlog::limits::TILE_WIDTH_MAX;
use remit_tlog::{Tile, VerifierKey, encode_bundle, parse_bundle, verify_note};

use super::copy::{self, CHECKPOINT, KEY};
use crate::client::{Client, is_not_found};
use crate::exit::NotVerified;
use crate::input;
use crate::print::progress;

/// Files fetched at the same time.
const AT_ONCE: usize = 8;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// Copies, and verifies the copy. One that was there before must be continued.
pub(crate) async fn run(client: &Client, dir: &Path, operator: bool) -> anyhow::Result<Report> {
    let log = Log {
        client,
        base: if operator {
            &["operator", "log"]
        } else {
            &["log"]
        },
    };
    let key_text = log.text(&[KEY]).await?;
    let note = log.text(&[CHECKPOINT]).await?;
    let key: VerifierKey = key_text
        .trim()
        .parse()
        .context("the server's key is not a verifier key")?;
    let head = verify_note(&note, &key).map_err(|e| {
        NotVerified(format!(
            "the server's checkpoint is not signed by its key: {e}"
        ))
    })?;
    let earlier = earlier(dir, &key)?;
    std::fs::create_dir_all(dir).with_context(|| format!("`{}` cannot be made", dir.display()))?;

    let tiles = Tile::grown(0, head.size())?;
    let total = tiles.len();
    // A full tile never changes, so one that is there is kept; whether it is right, verifying says.
    let missing: Vec<Tile> = tiles
        .into_iter()
        .filter(|t| t.is_partial() || !dir.join(t.path()).is_file())
        .collect();
    let kept = total - missing.len();
    let mut done = 0_usize;
    let mut fetched =
        stream::iter(missing.into_iter().map(|tile| log.fetch(tile))).buffer_unordered(AT_ONCE);
    while let Some((tile, bytes)) = fetched.try_next().await? {
        write(dir, &tile.path(), &bytes)?;
        done += 1;
        progress(
            &format!("copied {} of {total} files", kept + done),
            kept + done == total,
        );
    }
    // Until they are whole, an earlier copy stays what it was.
    write(dir, KEY, format!("{}\n", key_text.trim()).as_bytes())?;
    write(dir, CHECKPOINT, note.as_bytes())?;
    copy::verify(dir, &key, earlier.as_deref())
}

/// The checkpoint of an earlier copy, of the same log.
fn earlier(dir: &Path, key: &VerifierKey) -> anyhow::Result<Option<String>> {
    if !dir.join(CHECKPOINT).is_file() {
        return Ok(None);
    }
    let before = copy::key(dir)?;
    if before.to_string() != key.to_string() {
        let text = format!(
            "`{}` holds a copy of another ledger, `{}`; this one is `{}`",
            dir.display(),
            before.name(),
            key.name()
        );
        return Err(NotVerified(text).into());
    }
    input::file(&dir.join(CHECKPOINT), input::BYTES_MAX).map(Some)
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(name);
    let failed = || format!("`{}` cannot be written", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(failed)?;
    }
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).with_context(failed)?;
    std::fs::rename(&new, &path).with_context(failed)
}

/// The ledger on the server.
pub(crate) struct Log<'a> {
    pub(crate) client: &'a Client,
    pub(crate) base: &'a [&'a str],
}

impl Log<'_> {
    async fn bytes(&self, path: &[&str]) -> anyhow::Result<Vec<u8>> {
        self.client.file(&[self.base, path].concat()).await
    }

    pub(crate) async fn text(&self, path: &[&str]) -> anyhow::Result<String> {
        String::from_utf8(self.bytes(path).await?).context("the server's answer is not text")
    }

    pub(crate) async fn fetch(&self, tile: Tile) -> anyhow::Result<(Tile, Vec<u8>)> {
        let path = tile.path();
        let parts: Vec<&str> = path.split('/').collect();
        match self.bytes(&parts).await {
            Ok(bytes) => Ok((tile, bytes)),
            // The log grew meanwhile, and a full tile took the place of a partial one.
            Err(error) if is_not_found(&error) && tile.is_partial() => {
                let full = full(&tile)?.path();
                let bytes = self.bytes(&full.split('/').collect::<Vec<_>>()).await?;
                let bytes = cut(&tile, &bytes)?;
                Ok((tile, bytes))
            }
            Err(error) => Err(error).with_context(|| format!("`{path}` cannot be copied")),
        }
    }
}

fn full(tile: &Tile) -> anyhow::Result<Tile> {
    Ok(match tile.level() {
        Some(level) => Tile::hashes(level, tile.index(), TILE_WIDTH_MAX)?,
        None => Tile::entries(tile.index(), TILE_WIDTH_MAX)?,
    })
}

/// The first part of a full tile.
fn cut(tile: &Tile, full: &[u8]) -> anyhow::Result<Vec<u8>> {
    let width = usize::from(tile.width());
    if tile.level().is_some() {
        let Some(part) = full.get(..width * HASH_BYTES) else {
            bail!("`{}` is shorter than its hashes", tile.path())
        };
        return Ok(part.to_vec());
    }
    let entries = parse_bundle(full, TILE_WIDTH_MAX)?;
    Ok(encode_bundle(entries.get(..width).unwrap_or_default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_tile_is_the_start_of_the_full_one() {
        let entries: Vec<Vec<u8>> = (0..=255_u8).map(|n| vec![n; 3]).collect();
        let bundle = encode_bundle(&entries).unwrap();
        let part = cut(&Tile::entries(0, 3).unwrap(), &bundle).unwrap();
        assert_eq!(part, encode_bundle(&entries[..3]).unwrap());
        let hashes = vec![7_u8; 256 * 32];
        assert_eq!(
            cut(&Tile::hashes(0, 0, 5).unwrap(), &hashes).unwrap().len(),
            160
        );
        assert!(cut(&Tile::hashes(0, 0, 5).unwrap(), &[0; 10]).is_err());
    }
}
