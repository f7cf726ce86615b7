//! Limits on what people write.

use remit_domain::limits::{LIST_MAX, TEXT_BYTES_MAX};

use crate::ControlError;
use crate::error::invalid;

/// A free text of at most [`TEXT_BYTES_MAX`] bytes, without control characters other than line ends and tabs.
pub(crate) fn text(field: &str, text: &str) -> Result<(), ControlError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(invalid(
            field,
            format!(
                "has {} bytes; at most {TEXT_BYTES_MAX} are permitted",
                text.len()
            ),
        ));
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
    {
        return Err(invalid(
            field,
            "holds a control character; write plain text",
        ));
    }
    Ok(())
}

/// A free text that has to say something.
pub(crate) fn said(field: &str, words: &str) -> Result<(), ControlError> {
    if words.trim().is_empty() {
        return Err(invalid(
            field,
            "is empty; say why, it is what people read later",
        ));
    }
    text(field, words)
}

/// A list of at most [`LIST_MAX`] members.
pub(crate) fn list(field: &str, len: usize) -> Result<(), ControlError> {
    if len <= LIST_MAX {
        Ok(())
    } else {
        Err(invalid(
            field,
            format!("has {len} members; at most {LIST_MAX} are permitted"),
        ))
    }
}
