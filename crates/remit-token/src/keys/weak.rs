//! Ed25519 points that are no good as a public key.

/// Whether `x` encodes a point of small order, or encodes its point in a second way.
///
/// Under a point of small order anybody can make signatures that verify, so its owner could deny everything
/// signed with it. RFC 8032 §5.1.3 refuses y >= p; the five y below are all those of order 1, 2, 4 and 8.
pub(super) fn is_weak_ed25519(x: &[u8; 32]) -> bool {
    const SMALL_ORDER_Y: [[u8; 32]; 5] = [
        [0; 32],
        first_byte(1, 0, 0),
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
        first_byte(0xec, 0xff, 0x7f),
    ];
    let mut y = *x;
    // The highest bit is the sign of the other coordinate.
    y[31] &= 0x7f;
    let not_reduced =
        y[31] == 0x7f && y[0] >= 0xed && y.iter().skip(1).take(30).all(|byte| *byte == 0xff);
    not_reduced || SMALL_ORDER_Y.contains(&y)
}

/// `first`, then 30 times `middle`, then `last`.
pub(super) const fn first_byte(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}
