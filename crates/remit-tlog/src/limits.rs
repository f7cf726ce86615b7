//! Every bound of this crate, each with its reason.

/// Greatest number of leaves of a tree: the tile arithmetic of `tlog_tiles` shifts by eight bits a
/// level and is defined for seven levels.
pub const TREE_SIZE_MAX: u64 = (1 << 56) - 1;

/// Greatest number of hashes in a proof; the same bound as a witness sets
/// (c2sp.org/tlog-witness, `add-checkpoint`).
pub const PROOF_HASHES_MAX: usize = 63;

/// Greatest size of a signed note in bytes: room for a checkpoint with 16 post-quantum cosignatures.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// Greatest size of a key name, and so of an origin that we sign, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// Greatest size of an encoded verifier key: name, 8 hexadecimal digits, 44 base64 characters and
/// two plus signs.
pub const VERIFIER_KEY_BYTES_MAX: usize = NAME_BYTES_MAX + 8 + 44 + 2;

/// Greatest size of a log entry in bytes: its length is written in 16 bits
/// (c2sp.org/tlog-tiles, log entries).
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// Hashes in a full tile and entries in a full bundle (c2sp.org/tlog-tiles).
pub const TILE_WIDTH_MAX: u16 = 256;

/// Greatest tile level in a path (c2sp.org/tlog-tiles).
pub const TILE_LEVEL_MAX: u8 = 63;

/// Greatest length of a tile path that is looked at: the longest index has seven elements.
pub const TILE_PATH_BYTES_MAX: usize = 64;

/// Greatest size of the extra data of a proof file, in bytes before base64.
pub const PROOF_EXTRA_BYTES_MAX: usize = 64 * 1024;

/// Greatest size of a proof file in bytes: note, extra data in base64, and the lines around them.
pub const PROOF_FILE_BYTES_MAX: usize = NOTE_BYTES_MAX + PROOF_EXTRA_BYTES_MAX * 4 / 3 + 4096;
