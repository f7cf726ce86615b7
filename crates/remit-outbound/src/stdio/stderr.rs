//! Standard error of a process: always read, so that it never blocks; shown at debug level, little of it, without
//! the secrets that it was lent.

use std::sync::Arc;

use remit_mcp::text::one_line;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::Instant;

use crate::limits::{
    STDERR_LINE_BYTES_MAX, STDERR_LINE_CHARS_MAX, STDERR_LINES_MAX, STDERR_WINDOW,
};
use crate::redact::Redactor;

/// Reads until the end.
pub(super) async fn drain(
    mut errors: impl AsyncRead + Unpin,
    label: String,
    redactor: Arc<Redactor>,
) {
    let mut lines = Lines::new();
    let mut buffer = vec![0u8; 8 * 1024];
    while let Ok(n @ 1..) = errors.read(&mut buffer).await {
        for byte in buffer.get(..n).unwrap_or_default() {
            if let Some(shown) = lines.push(*byte, &redactor) {
                tracing::debug!(process = %label, "{shown}");
            }
        }
    }
}

struct Lines {
    line: Vec<u8>,
    window: Instant,
    shown: usize,
    dropped: usize,
}

impl Lines {
    fn new() -> Self {
        Self {
            line: Vec::new(),
            window: Instant::now(),
            shown: 0,
            dropped: 0,
        }
    }

    fn push(&mut self, byte: u8, redactor: &Redactor) -> Option<String> {
        if byte != b'\n' {
            if self.line.len() < STDERR_LINE_BYTES_MAX {
                self.line.push(byte);
            }
            return None;
        }
        let line = std::mem::take(&mut self.line);
        if self.window.elapsed() >= STDERR_WINDOW {
            self.window = Instant::now();
            self.shown = 0;
        }
        if self.shown >= STDERR_LINES_MAX {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        self.shown = self.shown.saturating_add(1);
        // Redacted before it is cut, so that no half of a secret is left at the end.
        let text = String::from_utf8_lossy(&line);
        let text = one_line(&redactor.text(&text), STDERR_LINE_CHARS_MAX);
        let dropped = std::mem::take(&mut self.dropped);
        Some(if dropped == 0 {
            text
        } else {
            format!("({dropped} lines not shown) {text}")
        })
    }
}

#[cfg(test)]
mod tests {
    use remit_ports::upstreams::Lease;

    use super::*;

    #[test]
    fn lines_are_cut_limited_and_without_secrets() {
        let lease = Lease {
            environment: vec![("K".into(), "s3cr3t-value".into())],
            ..Lease::default()
        };
        let redactor = Redactor::of(&lease);
        let mut lines = Lines::new();
        let mut say = |text: &str| {
            text.bytes()
                .chain([b'\n'])
                .filter_map(|byte| lines.push(byte, &redactor))
                .next()
        };
        assert_eq!(
            say("key is s3cr3t-value\u{7}").unwrap(),
            "key is [redacted by remit] "
        );
        assert!(say(&"x".repeat(100_000)).unwrap().chars().count() <= STDERR_LINE_CHARS_MAX);
        let shown = (0..1000).filter(|_| say("again").is_some()).count();
        assert_eq!(shown, STDERR_LINES_MAX - 2);
    }
}
