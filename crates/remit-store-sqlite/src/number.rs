//! SQLite's one integer type, and ours.

/// Bits of an entry's id that hold its index in the ledger; the rest is the organization's number.
const INDEX_BITS: u32 = 40;

/// Bits of an entry's id that say where in its block it is.
const BLOCK_BITS: u32 = 10;

/// For storing. Counts never come near 2^63; one that did is stored as the largest and fails its next check.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// From storage, where negative counts are kept out by construction.
pub(crate) fn nat(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The id of the entry with this index, in the organization with this number.
pub(crate) fn entry_id(no: i64, index: u64) -> i64 {
    (no << INDEX_BITS) | (int(index) & ((1 << INDEX_BITS) - 1))
}

/// Which 1,024 entries an entry is one of.
pub(crate) fn entry_block(id: i64) -> i64 {
    id >> BLOCK_BITS
}

/// The first and the last id of a block.
pub(crate) fn block_ids(block: i64) -> (i64, i64) {
    let first = block << BLOCK_BITS;
    (first, first | ((1 << BLOCK_BITS) - 1))
}

/// The index that an entry's id holds.
pub(crate) fn entry_index(id: i64) -> u64 {
    nat(id & ((1 << INDEX_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_ids_keep_organizations_apart_and_indexes_in_order() {
        assert!(entry_id(1, 0) > entry_id(0, (1 << INDEX_BITS) - 1));
        assert!(entry_id(3, 7) < entry_id(3, 8));
        assert_eq!(entry_index(entry_id(3, 7)), 7);
    }
}
