//! From event to entry to leaf, and back: sealing, receipts, offline verification. Pure.

#![warn(missing_docs)]

pub mod entry;

pub use entry::NewEntry;
