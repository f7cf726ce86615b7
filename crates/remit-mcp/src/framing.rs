//! stdio framing: one message per line.
//!
//! Source: MCP 2026-07-28 basic/transports/stdio: messages are UTF-8, separated by line feeds, and hold none.

use crate::jsonrpc::Message;
use crate::limits::LINE_BYTES_MAX;

/// Why a stream can no longer be framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A line is longer than the limit. Where the next message begins is not known, so the stream is of no use.
    #[error("line is longer than {max} bytes, close the stream")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The stream ended inside a line.
    #[error("stream ended inside a message of {bytes} bytes so far")]
    Unfinished {
        /// Bytes after the last line end.
        bytes: usize,
    },
}

/// Splits a byte stream into lines, holding at most one line.
#[derive(Debug)]
pub struct LineFramer {
    partial: Vec<u8>,
    bytes_max: usize,
    broken: bool,
}

impl Default for LineFramer {
    fn default() -> Self {
        Self::new(LINE_BYTES_MAX)
    }
}

impl LineFramer {
    /// A framer for lines of at most `bytes_max` bytes without their end.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            partial: Vec::new(),
            bytes_max,
            broken: false,
        }
    }

    /// Takes the next bytes of the stream and appends every line that they complete to `lines`, without line end
    /// (LF or CR LF). Empty lines are skipped.
    ///
    /// # Errors
    /// `TooLong`, also on every later call. Lines completed before the long one are still in `lines`; the long one is
    /// dropped, not held.
    pub fn push(&mut self, mut bytes: &[u8], lines: &mut Vec<Vec<u8>>) -> Result<(), FramingError> {
        if self.broken {
            return Err(FramingError::TooLong {
                max: self.bytes_max,
            });
        }
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.extend(line, 1)?;
            bytes = rest.get(1..).unwrap_or_default();
            let mut line = std::mem::take(&mut self.partial);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.len() > self.bytes_max {
                return self.give_up();
            }
            if !line.is_empty() {
                lines.push(line);
            }
        }
        self.extend(bytes, 1)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// `Unfinished` if bytes without a line end remain; they are not a message. `TooLong` as before.
    pub fn finish(self) -> Result<(), FramingError> {
        match (self.broken, self.partial.len()) {
            (true, _) => Err(FramingError::TooLong {
                max: self.bytes_max,
            }),
            (false, 0) => Ok(()),
            (false, bytes) => Err(FramingError::Unfinished { bytes }),
        }
    }

    /// - `slack`: one byte more, for a CR that may turn out to belong to the line end.
    fn extend(&mut self, bytes: &[u8], slack: usize) -> Result<(), FramingError> {
        let held = self.partial.len().saturating_add(bytes.len());
        if held > self.bytes_max.saturating_add(slack) {
            return self.give_up();
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn give_up(&mut self) -> Result<(), FramingError> {
        self.broken = true;
        self.partial = Vec::new();
        Err(FramingError::TooLong {
            max: self.bytes_max,
        })
    }
}

/// A message as a line with its end, for writing to a stdio peer.
///
/// # Errors
/// `TooLong` beyond [`LINE_BYTES_MAX`], which the peer would refuse too.
pub fn line(message: Message) -> Result<Vec<u8>, FramingError> {
    // JSON text escapes line feeds inside strings and this writer puts none between.
    let mut bytes = message.into_bytes();
    if bytes.len() > LINE_BYTES_MAX {
        return Err(FramingError::TooLong {
            max: LINE_BYTES_MAX,
        });
    }
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn frame(chunks: &[&[u8]], max: usize) -> (Vec<Vec<u8>>, Result<(), FramingError>) {
        let mut framer = LineFramer::new(max);
        let mut lines = Vec::new();
        for chunk in chunks {
            if let Err(error) = framer.push(chunk, &mut lines) {
                return (lines, Err(error));
            }
        }
        (lines, framer.finish())
    }

    #[test]
    fn lines_end_with_lf_or_crlf() {
        let (lines, end) = frame(&[b"a\r", b"\nbb\n\n\r\n", b"c\rd\n"], 10);
        assert_eq!(
            (lines, end),
            (
                vec![b"a".to_vec(), b"bb".to_vec(), b"c\rd".to_vec()],
                Ok(())
            )
        );
        assert_eq!(
            frame(&[b"a\nbc"], 10).1,
            Err(FramingError::Unfinished { bytes: 2 })
        );
    }

    #[test]
    fn a_long_line_breaks_the_stream_and_is_not_held() {
        let mut framer = LineFramer::new(4);
        let mut lines = Vec::new();
        assert_eq!(framer.push(b"ok\n1234\r\n12345", &mut lines), Ok(()));
        assert_eq!(lines, [b"ok".to_vec(), b"1234".to_vec()]);
        let error = Err(FramingError::TooLong { max: 4 });
        assert_eq!(framer.push(b"6", &mut lines), error);
        assert_eq!(framer.partial.capacity(), 0);
        assert_eq!(framer.push(b"\nok\n", &mut lines), error);
        assert_eq!(lines.len(), 2);
        assert_eq!(framer.finish(), error);
        assert_eq!(frame(&[b"12345\n"], 4).1, error);
        assert_eq!(
            frame(&[b"1234\r", b"\n"], 4),
            (vec![b"1234".to_vec()], Ok(()))
        );
    }

    #[test]
    fn ten_megabytes_without_a_line_end_hold_one() {
        let mut framer = LineFramer::default();
        let chunk = [b'x'; 64 * 1024];
        let mut lines = Vec::new();
        let failed = (0..160).position(|_| framer.push(&chunk, &mut lines).is_err());
        assert_eq!(failed, Some(16));
    }

    #[test]
    fn a_message_is_one_line() {
        let params = json!({"text": "a\nb\r\n\u{2028}"})
            .as_object()
            .unwrap()
            .clone();
        let message = Message::notification("notifications/message", Some(params));
        let line = line(message.clone()).unwrap();
        let (lines, end) = frame(&[&line], LINE_BYTES_MAX);
        assert_eq!((lines.len(), end), (1, Ok(())));
        assert_eq!(Message::parse(&lines[0]).unwrap(), message);
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_does_not_matter(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x')], 0..60),
            cuts in prop::collection::vec(0_usize..60, 0..8),
            max in 0_usize..12,
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut start = 0;
            for cut in cuts {
                chunks.push(&bytes[start..cut]);
                start = cut;
            }
            chunks.push(&bytes[start..]);
            let (lines, end) = frame(&chunks, max);
            let (whole_lines, whole_end) = frame(&[&bytes], max);
            prop_assert_eq!(&lines, &whole_lines);
            prop_assert_eq!(end.is_ok(), whole_end.is_ok());
            prop_assert!(lines.iter().all(|line| line.len() <= max && !line.contains(&b'\n')));
        }
    }
}
