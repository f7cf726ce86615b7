//! How a secret may be written.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::stripped;

/// What else than letters, digits, `-`, `.` and `_` different encoders leave as it is: none of it, a path (Python), a component and
/// an address (ECMA-262 §19.2.6).
const LEFT: [&[u8]; 4] = [b"~", b"~/", b"~!'()*", b"~!'()*;,/?:@&=+$#"];

/// Every way to write a secret that is looked for, without white space; some may be the same.
pub(super) fn of(secret: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let bytes = secret.as_bytes();
    let mut ways = vec![secret.to_owned(), markup(secret)];
    let once = json(secret);
    ways.extend([
        json(&once),
        once.replace('/', "\\/"),
        unicode(&once, |c| !c.is_ascii()),
        unicode(&once, |c| matches!(c, '<' | '>' | '&')),
        once,
    ]);
    for digits in [LOWER, UPPER] {
        ways.push(hex(bytes, "", digits));
        ways.push(hex(bytes, "%", digits));
        ways.push(percent(secret, digits, b"*", "+"));
        ways.extend(LEFT.map(|left| percent(secret, digits, left, "%20")));
    }
    for place in 0..3 {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            ways.push(base64_at(engine, bytes, place));
        }
    }
    let ways = ways.into_iter().map(Zeroizing::new);
    ways.map(|way| stripped(&way)).collect()
}

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// As a JSON string has it, without the quotes (RFC 8259 §7).
fn json(secret: &str) -> String {
    let quoted = serde_json::Value::from(secret).to_string();
    let inside = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"'));
    inside.unwrap_or(secret).to_owned()
}

/// With some characters as JSON escapes of their UTF-16 code units, as encoders write that keep to ASCII, or out of markup.
fn unicode(json: &str, escaped: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str("\\u");
                out.push_str(&hex(&unit.to_be_bytes(), "", LOWER));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// As text of HTML.
fn markup(secret: &str) -> String {
    let escaped = secret.replace('&', "&amp;").replace('<', "&lt;");
    let escaped = escaped.replace('>', "&gt;").replace('"', "&quot;");
    escaped.replace('\'', "&#39;")
}

fn digit(digits: &[u8; 16], value: u8) -> char {
    digits
        .get(usize::from(value))
        .copied()
        .map_or('0', char::from)
}

fn hex(bytes: &[u8], before: &str, digits: &[u8; 16]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2 + before.len()));
    for byte in bytes {
        out.push_str(before);
        out.push(digit(digits, byte >> 4));
        out.push(digit(digits, byte & 15));
    }
    out
}

/// Percent-encoded (RFC 3986 §2.1), what is in `left` left as it is.
fn percent(secret: &str, digits: &[u8; 16], left: &[u8], space: &str) -> String {
    let mut out = String::with_capacity(secret.len());
    for byte in secret.bytes() {
        match byte {
            b' ' => out.push_str(space),
            b if b.is_ascii_alphanumeric() || b"-._".contains(&b) || left.contains(&b) => {
                out.push(char::from(b));
            }
            b => out.push_str(&hex(&[b], "%", digits)),
        }
    }
    out
}

/// What of base64 is the same whatever stands around the secret, when it begins at byte `place` of three.
fn base64_at(engine: &impl Engine, bytes: &[u8], place: usize) -> String {
    let mut padded = Zeroizing::new(vec![0; place]);
    padded.extend_from_slice(bytes);
    let written = Zeroizing::new(engine.encode(padded.as_slice()));
    // A character has six bits: those that hold a bit of what is around are left out.
    let first = (place * 8).div_ceil(6);
    let last = padded.len().saturating_mul(8) / 6;
    written.get(first..last).unwrap_or_default().to_owned()
}
