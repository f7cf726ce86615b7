//! The MCP headers of a request, picked out of all its headers.

use super::HeaderError;
use crate::limits::{HEADER_VALUE_BYTES_MAX, PARAM_HEADERS_MAX};
use crate::protocol::header;
use crate::text::one_line;

/// The MCP headers of one HTTP request, each at most once, as visible ASCII.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct McpHeaders {
    pub(super) protocol_version: Option<String>,
    pub(super) method: Option<String>,
    pub(super) name: Option<String>,
    session_id: Option<String>,
    /// (lowercase name after the prefix, value), in order of arrival.
    params: Vec<(String, String)>,
}

impl McpHeaders {
    /// Picks the MCP headers out of a request's headers.
    ///
    /// - `headers`: (name in any case, raw value) of every header line.
    ///
    /// # Errors
    /// `Repeated` if one comes twice, `Malformed` if a value is not visible ASCII with spaces and tabs, is longer
    /// than [`HEADER_VALUE_BYTES_MAX`], or if there are more than [`PARAM_HEADERS_MAX`] `Mcp-Param-*`.
    pub fn collect<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, HeaderError> {
        let mut found = Self::default();
        for (name, value) in headers {
            let lower = name.to_ascii_lowercase();
            let slot = match lower.as_str() {
                "mcp-protocol-version" => &mut found.protocol_version,
                "mcp-method" => &mut found.method,
                "mcp-name" => &mut found.name,
                "mcp-session-id" => &mut found.session_id,
                other => {
                    if let Some(param) = other.strip_prefix("mcp-param-") {
                        found.push_param(param, value)?;
                    }
                    continue;
                }
            };
            if slot.replace(visible(&lower, value)?).is_some() {
                return Err(HeaderError::Repeated { header: lower });
            }
        }
        Ok(found)
    }

    fn push_param(&mut self, param: &str, value: &[u8]) -> Result<(), HeaderError> {
        let header = format!("{}{param}", header::PARAM_PREFIX);
        if self.params.len() >= PARAM_HEADERS_MAX {
            return Err(HeaderError::Malformed {
                header: format!("{}*", header::PARAM_PREFIX),
            });
        }
        if self.params.iter().any(|(name, _)| name == param) {
            return Err(HeaderError::Repeated {
                header: one_line(&header, 100),
            });
        }
        let value = visible(&header, value)?;
        self.params.push((param.to_owned(), value));
        Ok(())
    }

    /// The protocol version header.
    #[must_use]
    pub fn protocol_version(&self) -> Option<&str> {
        self.protocol_version.as_deref()
    }

    /// The session id of a 2025-11-25 client. Meaningless in 2026-07-28.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    pub(super) fn param(&self, lower: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(name, _)| name == lower)
            .map(|(_, value)| value.as_str())
    }
}

fn visible(header: &str, value: &[u8]) -> Result<String, HeaderError> {
    let allowed = |b: &u8| b.is_ascii_graphic() || matches!(b, b' ' | b'\t');
    if value.len() > HEADER_VALUE_BYTES_MAX || !value.iter().all(allowed) {
        return Err(HeaderError::Malformed {
            header: one_line(header, 100),
        });
    }
    // Leading and trailing white space is not part of a field value (RFC 9110 §5.5).
    Ok(value
        .iter()
        .copied()
        .map(char::from)
        .collect::<String>()
        .trim_matches([' ', '\t'])
        .to_owned())
}
