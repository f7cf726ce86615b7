//! Server-sent events, writing only.
//!
//! Source: WHATWG HTML "Server-sent events"; MCP 2026-07-28 streamable-http "Receiving Messages".

use crate::jsonrpc::Message;

/// A field that cannot be written without changing the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("SSE `{field}` must not hold a line break or NUL")]
pub struct SseError {
    /// `id` or `event`.
    pub field: &'static str,
}

/// One event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// Event id; only in 2025-11-25, where streams can be resumed.
    pub id: Option<&'a str>,
    /// Event type; MCP uses the default, `message`.
    pub event: Option<&'a str>,
    /// Data of any number of lines.
    pub data: &'a str,
}

impl SseEvent<'_> {
    /// The event as text.
    ///
    /// ```text
    /// id: 7␊event: message␊data: first line␊data: second line␊␊
    /// ```
    ///
    /// # Errors
    /// [`SseError`] if id or event would end their own line: a value from a peer could else forge an event.
    pub fn encode(&self) -> Result<String, SseError> {
        let mut text = String::new();
        for (field, value) in [("id", self.id), ("event", self.event)] {
            let Some(value) = value else { continue };
            if value.contains(['\r', '\n', '\0']) {
                return Err(SseError { field });
            }
            text.push_str(field);
            text.push_str(": ");
            text.push_str(value);
            text.push('\n');
        }
        // CR, LF and CR LF all end a line for a reader.
        for line in self.data.replace("\r\n", "\n").split(['\r', '\n']) {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        Ok(text)
    }
}

/// A message as an event of the default type, without id.
#[must_use]
pub fn message_event(message: Message) -> String {
    // JSON text of this crate is one line, so nothing can be refused.
    format!("data: {}\n\n", message.into_value())
}

/// A comment, which readers ignore, to keep a quiet stream open.
pub const KEEP_ALIVE: &str = ":\n\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_has_its_fields_in_order() {
        let event = SseEvent {
            id: Some("7"),
            event: Some("message"),
            data: "a\nb\r\nc\rd",
        };
        assert_eq!(
            event.encode().unwrap(),
            "id: 7\nevent: message\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
        );
        assert_eq!(SseEvent::default().encode().unwrap(), "data: \n\n");
    }

    #[test]
    fn a_field_cannot_forge_an_event() {
        for value in ["a\n\ndata: evil", "a\r", "a\0"] {
            let id = SseEvent {
                id: Some(value),
                ..SseEvent::default()
            };
            assert_eq!(id.encode(), Err(SseError { field: "id" }));
            let event = SseEvent {
                event: Some(value),
                ..SseEvent::default()
            };
            assert_eq!(event.encode(), Err(SseError { field: "event" }));
        }
    }

    proptest! {
        #[test]
        fn a_message_is_one_data_line(text in any::<String>()) {
            let params = json!({ "t": text }).as_object().unwrap().clone();
            let message = Message::notification("notifications/message", Some(params));
            let event = message_event(message.clone());
            let data = event.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
            prop_assert!(!data.contains(['\n', '\r']));
            prop_assert_eq!(Message::parse(data.as_bytes()).unwrap(), message);
        }
    }
}
