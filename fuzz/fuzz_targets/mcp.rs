//! MCP messages and framing: never a panic, and what is read canonically reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remit_mcp::{CanonicalArgs, LineFramer, Message};

fuzz_target!(|data: &[u8]| {
    let _ = Message::parse(data);
    if let Ok(args) = CanonicalArgs::parse(data) {
        let again = CanonicalArgs::parse(args.text().as_bytes()).expect("canonical text reads");
        assert_eq!(args.text(), again.text());
    }
    let mut framer = LineFramer::default();
    let mut lines = Vec::new();
    for piece in data.chunks(7) {
        if framer.push(piece, &mut lines).is_err() {
            return;
        }
    }
});
