//! Entry bundles: up to 256 entries in a row, each after its length in two bytes.
//!
//! ```text
//! 00 05 68 65 6c 6c 6f   00 00   00 01 78
//! "hello"                ""      "x"
//! ```

use thiserror::Error;

use crate::limits::{ENTRY_BYTES_MAX, TILE_WIDTH_MAX};

/// Why entries cannot be bundled, or bytes are not a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleError {
    /// One entry is over the limit.
    #[error("an entry has at most {ENTRY_BYTES_MAX} bytes, entry {at} of the bundle has {bytes}")]
    EntryTooLarge {
        /// Position in the bundle, 0-based.
        at: usize,
        /// Its size.
        bytes: usize,
    },
    /// The number of entries is wrong.
    #[error(
        "a bundle has 1 to {TILE_WIDTH_MAX} entries, and as many as its path says: expected {expected}, got {got}"
    )]
    Count {
        /// Entries expected.
        expected: usize,
        /// Entries found; one more than expected stands for any number more.
        got: usize,
    },
    /// An entry ends after the bundle does.
    #[error("the bundle ends inside entry {at}")]
    Truncated {
        /// Position in the bundle, 0-based.
        at: usize,
    },
}

/// Writes the bytes of an entry bundle.
///
/// Source: c2sp.org/tlog-tiles, log entries.
///
/// - `entries`: 1..=256 of at most 65,535 bytes, in log order.
///
/// # Errors
/// [`BundleError::Count`]; [`BundleError::EntryTooLarge`].
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, BundleError> {
    let most = usize::from(TILE_WIDTH_MAX);
    if entries.is_empty() || entries.len() > most {
        let expected = entries.len().clamp(1, most);
        return Err(BundleError::Count {
            expected,
            got: entries.len(),
        });
    }
    let bytes = entries.iter().map(|entry| entry.as_ref().len() + 2).sum();
    let mut bundle = Vec::with_capacity(bytes);
    for (at, entry) in entries.iter().map(AsRef::as_ref).enumerate() {
        let too_large = |_| BundleError::EntryTooLarge {
            at,
            bytes: entry.len(),
        };
        let length = u16::try_from(entry.len()).map_err(too_large)?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Reads the entries of a bundle, which stay where they are.
///
/// - `width`: entries that the bundle's path promises, 1..=256.
/// - returns: exactly `width` entries. They are not verified: hash each one and compare it with the
///   log's proof or tile.
///
/// # Errors
/// [`BundleError::Count`]; [`BundleError::Truncated`].
pub fn parse_bundle(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let expected = usize::from(width);
    let mut entries = Vec::with_capacity(expected.min(TILE_WIDTH_MAX.into()));
    let mut rest = bundle;
    while !rest.is_empty() {
        let at = entries.len();
        if at == expected {
            return Err(BundleError::Count {
                expected,
                got: expected + 1,
            });
        }
        let cut = || BundleError::Truncated { at };
        let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
        let length = u16::from_be_bytes(*length).into();
        let (entry, after) = after.split_at_checked(length).ok_or_else(cut)?;
        entries.push(entry);
        rest = after;
    }
    if entries.len() != expected || !(1..=TILE_WIDTH_MAX).contains(&width) {
        return Err(BundleError::Count {
            expected,
            got: entries.len(),
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_those_of_the_module_text() {
        let bundle = encode_bundle(&["hello", "", "x"]).unwrap();
        assert_eq!(bundle, hex::decode("000568656c6c6f0000000178").unwrap());
        assert_eq!(
            parse_bundle(&bundle, 3).unwrap(),
            [b"hello".as_slice(), b"", b"x"]
        );
    }

    #[test]
    fn limits_hold() {
        assert!(encode_bundle::<&[u8]>(&[]).is_err());
        assert!(encode_bundle(&[[]; 257]).is_err());
        let full = encode_bundle(&[[]; 256]).unwrap();
        assert_eq!(parse_bundle(&full, 256).unwrap().len(), 256);

        let largest = vec![7; ENTRY_BYTES_MAX];
        assert_eq!(
            parse_bundle(&encode_bundle(&[&largest]).unwrap(), 1).unwrap(),
            [&largest]
        );
        let bytes = ENTRY_BYTES_MAX + 1;
        let error = encode_bundle(&[vec![], vec![7; bytes]]).unwrap_err();
        assert_eq!(error, BundleError::EntryTooLarge { at: 1, bytes });
    }

    #[test]
    fn a_bundle_of_another_width_or_length_is_refused() {
        let bundle = encode_bundle(&["hello", "", "x"]).unwrap();
        for width in [0, 1, 2, 4, 256, 257, u16::MAX] {
            assert!(parse_bundle(&bundle, width).is_err(), "{width}");
        }
        for end in 0..bundle.len() {
            assert!(parse_bundle(&bundle[..end], 3).is_err(), "{end}");
        }
        assert!(parse_bundle(&[], 0).is_err());
        assert_eq!(parse_bundle(&[0], 1), Err(BundleError::Truncated { at: 0 }));
        assert!(parse_bundle(&[0, 0].repeat(300), 300).is_err());
    }

    proptest! {
        #[test]
        fn bundles_round_trip(entries in prop::collection::vec(any::<Vec<u8>>(), 1..40)) {
            let bundle = encode_bundle(&entries).unwrap();
            let width = u16::try_from(entries.len()).unwrap();
            prop_assert_eq!(parse_bundle(&bundle, width).unwrap(), entries);
        }

        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>, width: u16) {
            if let Ok(entries) = parse_bundle(&bytes, width) {
                prop_assert_eq!(encode_bundle(&entries).unwrap(), bytes);
            }
        }
    }
}
