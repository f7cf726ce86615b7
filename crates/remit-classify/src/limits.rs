//! Limits of what is looked at.

/// Longest text scanned in one piece, in bytes; a longer one is [`crate::scan::TooMuch`], never half looked at.
pub const TEXT_MAX: usize = 4 * 1024 * 1024;
/// Most findings in one text or value; with more it counts as what cannot be scanned.
pub const FINDINGS_MAX: usize = 10_000;
/// Depth of a JSON value that is walked.
pub const DEPTH_MAX: usize = 128;
/// Distinct addresses that make a list of people out of a few correspondents.
pub const EMAIL_LIST: usize = 5;
/// How far from a number a word that explains it is looked for, in bytes.
pub const NEARBY: usize = 48;
