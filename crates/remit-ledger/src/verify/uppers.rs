//! What the tiles above level 0 must hold: 32 bytes for each full tile below.

use remit_tlog::limits::TILE_WIDTH_MAX;
use remit_tlog::{Frontier, Hash, TreeError};

const WIDTH: usize = TILE_WIDTH_MAX as usize;

/// Roots of full tiles, by level from 1.
#[derive(Debug, Default)]
pub(super) struct Uppers(Vec<Vec<Hash>>);

impl Uppers {
    /// Takes the hashes of the next level 0 tile. One that is not full has no place above.
    pub(super) fn grow(&mut self, hashes: &[Hash]) -> Result<(), TreeError> {
        let mut below = hashes.to_vec();
        for level in 0.. {
            if below.len() < WIDTH {
                break;
            }
            let mut tree = Frontier::new();
            for hash in &below {
                tree.append(*hash)?;
            }
            if self.0.len() == level {
                self.0.push(Vec::new());
            }
            let Some(above) = self.0.get_mut(level) else {
                break;
            };
            above.push(tree.root());
            if !above.len().is_multiple_of(WIDTH) {
                break;
            }
            below = above
                .get(above.len() - WIDTH..)
                .unwrap_or_default()
                .to_vec();
        }
        Ok(())
    }

    /// What the tile of `level` (from 1) at `index` with `width` hashes must hold.
    pub(super) fn bytes(&self, level: u8, index: u64, width: u16) -> Vec<u8> {
        let level = usize::from(level).checked_sub(1);
        let hashes = level.and_then(|l| self.0.get(l));
        let start = usize::try_from(index)
            .unwrap_or(usize::MAX)
            .saturating_mul(WIDTH);
        let all = hashes.into_iter().flatten().skip(start);
        all.take(usize::from(width))
            .flat_map(|h| *h.as_bytes())
            .collect()
    }
}
