//! Tiles: a log's hashes and entries as files of 256 that never change once full.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use thiserror::Error;

use crate::limits::{TILE_LEVEL_MAX, TILE_PATH_BYTES_MAX, TILE_WIDTH_MAX, TREE_SIZE_MAX};
use crate::source::{self, within};
use crate::{HashSource, TreeError};

/// Tree levels in a tile (c2sp.org/tlog-tiles).
const HEIGHT: u8 = 8;

/// Which tile: of hashes at a level, or of entries; its index there; and how many of 256 it holds.
///
/// Source: c2sp.org/tlog-tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile(tlog_tiles::Tile);

/// Why there is no such tile.
#[derive(Debug, Error)]
pub enum TileError {
    /// The numbers name no tile.
    #[error(
        "no tile has level {level}, index {index} and width {width}: need a level up to {TILE_LEVEL_MAX}, a width of 1 to {TILE_WIDTH_MAX} and leaves up to {TREE_SIZE_MAX}"
    )]
    Range {
        /// Level asked for; 0 for entries.
        level: u8,
        /// Index asked for.
        index: u64,
        /// Width asked for.
        width: u16,
    },
    /// The text is not a tile path in its one form.
    #[error(
        "`{path}` is not a tile path, expected for example `tile/0/x001/x234/067` or `tile/entries/000.p/5`"
    )]
    Path {
        /// The refused path, cut to 64 characters.
        path: String,
    },
    /// A tree of that size does not fill the tile so far.
    #[error("`{path}` is not in a tree of {size} leaves")]
    NotInTree {
        /// Path of the tile.
        path: String,
        /// Size of the tree, in leaves.
        size: u64,
    },
    /// An entry bundle was asked for its hashes.
    #[error("`{path}` holds entries, not hashes")]
    NotHashes {
        /// Path of the bundle.
        path: String,
    },
    /// The stored hashes could not be read.
    #[error("the tile could not be built")]
    Tree(#[from] TreeError),
}

/// Path of a hash tile, for example `tile/0/x001/x234/067` or, partial, `tile/1/000.p/17`.
///
/// - `level`: 0..=63; `index`: position in the level; `width`: 1..=256 hashes.
///
/// # Errors
/// [`TileError::Range`].
pub fn tile_path(level: u8, index: u64, width: u16) -> Result<String, TileError> {
    Ok(Tile::hashes(level, index, width)?.path())
}

impl Tile {
    /// Names the tile of `width` hashes (1..=256) at `index` of `level` (0..=63).
    ///
    /// # Errors
    /// [`TileError::Range`].
    pub fn hashes(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        Self::checked(level, index, width, false)
    }

    /// Names the bundle of `width` entries (1..=256) at `index`.
    ///
    /// # Errors
    /// [`TileError::Range`].
    pub fn entries(index: u64, width: u16) -> Result<Self, TileError> {
        Self::checked(0, index, width, true)
    }

    fn checked(level: u8, index: u64, width: u16, is_data: bool) -> Result<Self, TileError> {
        let width_fits = (1..=TILE_WIDTH_MAX).contains(&width);
        if !width_fits || level > TILE_LEVEL_MAX || index > TREE_SIZE_MAX >> HEIGHT {
            return Err(TileError::Range {
                level,
                index,
                width,
            });
        }
        let width = width.into();
        Ok(Self(tlog_tiles::Tile::new(
            HEIGHT, level, index, width, is_data,
        )))
    }

    /// Every hash tile and entry bundle to write when a log grew from `old` to `new` leaves, in the
    /// order in which a reader may need them.
    ///
    /// # Errors
    /// [`TreeError::TooLarge`]; [`TreeError::NotEarlier`].
    pub fn grown(old: u64, new: u64) -> Result<Vec<Self>, TreeError> {
        within(new)?;
        if old > new {
            return Err(TreeError::NotEarlier { old, new });
        }
        let hashes = tlog_tiles::Tile::new_tiles(HEIGHT, old, new);
        let bundles = hashes.iter().filter(|tile| tile.level() == 0).map(|tile| {
            let mut bundle = *tile;
            bundle.set_is_data();
            bundle
        });
        Ok(bundles.chain(hashes.iter().copied()).map(Self).collect())
    }

    /// The tile's path below the log's address.
    #[must_use]
    pub fn path(&self) -> String {
        // The library writes the older form, with the height and with `data` for entries.
        let path = self.0.path();
        let tail = path.strip_prefix("tile/8/").unwrap_or_default();
        match tail.strip_prefix("data/") {
            Some(tail) => format!("tile/entries/{tail}"),
            None => format!("tile/{tail}"),
        }
    }

    /// Level of a hash tile, `None` for an entry bundle.
    #[must_use]
    pub fn level(&self) -> Option<u8> {
        (!self.0.is_data()).then(|| self.0.level())
    }

    /// Position in its level.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.0.level_index()
    }

    /// Number of hashes or entries, 1..=256.
    #[must_use]
    pub fn width(&self) -> u16 {
        // INVARIANT: `checked` and the height of 8 bound it.
        u16::try_from(self.0.width()).unwrap_or(TILE_WIDTH_MAX)
    }

    /// Whether it holds fewer than 256 and will be followed by a fuller one.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.width() < TILE_WIDTH_MAX
    }

    /// Positions in its level, so for a bundle the indexes of its entries.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        let start = self.index() << HEIGHT;
        start..start + u64::from(self.width())
    }

    /// Whether a tree of `size` leaves fills the tile as far as its width.
    #[must_use]
    pub fn is_in(&self, size: u64) -> bool {
        let shift = u32::from(self.0.level()) * u32::from(HEIGHT);
        size <= TREE_SIZE_MAX && self.range().end <= size.checked_shr(shift).unwrap_or(0)
    }

    /// Builds the bytes of a hash tile: 32 for each hash, at most 8 KiB.
    ///
    /// - `size`: leaves of the tree whose hashes `stored` holds.
    ///
    /// # Errors
    /// [`TileError::NotInTree`]; [`TileError::NotHashes`]; [`TileError::Tree`] with the hash that is
    /// missing.
    pub fn bytes<S: HashSource + ?Sized>(
        &self,
        stored: &S,
        size: u64,
    ) -> Result<Vec<u8>, TileError> {
        self.readable(size)?;
        Ok(source::read(stored, |reader| self.0.read_data(reader))?)
    }

    /// Stored indexes that [`Tile::bytes`] reads, ascending.
    ///
    /// # Errors
    /// [`TileError::NotInTree`]; [`TileError::NotHashes`].
    pub fn reads(&self, size: u64) -> Result<Vec<u64>, TileError> {
        self.readable(size)?;
        Ok(source::rehearse(|recorder| self.0.read_data(recorder))?)
    }

    fn readable(&self, size: u64) -> Result<(), TileError> {
        if self.0.is_data() {
            return Err(TileError::NotHashes { path: self.path() });
        }
        if !self.is_in(size) {
            return Err(TileError::NotInTree {
                path: self.path(),
                size,
            });
        }
        Ok(())
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl FromStr for Tile {
    type Err = TileError;

    /// Reads what [`Tile::path`] writes and nothing else.
    fn from_str(path: &str) -> Result<Self, TileError> {
        parse(path).ok_or_else(|| TileError::Path {
            path: path.chars().take(TILE_PATH_BYTES_MAX).collect(),
        })
    }
}

fn parse(path: &str) -> Option<Tile> {
    if path.len() > TILE_PATH_BYTES_MAX {
        return None;
    }
    let (level, tail) = path.strip_prefix("tile/")?.split_once('/')?;
    // The library's parser panics at a level over 63 and at width 0, so neither gets to it.
    let (level, kind) = match level {
        "entries" => (0, "data"),
        level => (level.parse().ok()?, level),
    };
    let width: u16 = match tail.split_once(".p/") {
        Some((_, width)) => width.parse().ok()?,
        None => TILE_WIDTH_MAX,
    };
    Tile::hashes(level, 0, width).ok()?;
    let tile = tlog_tiles::Tile::from_path(&format!("tile/8/{kind}/{tail}")).ok()?;
    Tile::checked(level, tile.level_index(), width, tile.is_data()).ok()
}

#[cfg(test)]
mod tests;
