//! Forms of ours, told from forms of others: each form carries a token that only the session's own pages know.
//!
//! The token on the page is masked with fresh random bytes in each answer, so that compressed pages do not give it away
//! piece by piece (BREACH). Beside it, the surface below checks Origin, and the cookie is SameSite.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_books::Books;
use subtle::ConstantTimeEq as _;

/// The token of this session, masked for one answer. Shape: base64url of 32 random bytes, then the key's bytes under them.
///
/// - `form_key`: hex, from the session.
pub(crate) fn token(books: &Books, form_key: &str) -> String {
    let mask: [u8; 32] = books.random();
    let key = digest(form_key);
    let masked = key.iter().zip(mask).map(|(k, m)| k ^ m);
    URL_SAFE_NO_PAD.encode(mask.into_iter().chain(masked).collect::<Vec<_>>())
}

/// Whether a form carries this session's token.
pub(crate) fn is_good(form_key: &str, sent: &str) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(sent) else {
        return false;
    };
    let Some((mask, masked)) = bytes.split_at_checked(32) else {
        return false;
    };
    let key: Vec<u8> = masked.iter().zip(mask).map(|(k, m)| k ^ m).collect();
    masked.len() == 32 && bool::from(key.ct_eq(&digest(form_key)))
}

/// The key's 32 bytes.
fn digest(form_key: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (at, byte) in out.iter_mut().enumerate() {
        let pair = form_key.get(at * 2..at * 2 + 2).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(form_key: &str, mask: [u8; 32]) -> String {
        let masked = digest(form_key).into_iter().zip(mask).map(|(k, m)| k ^ m);
        URL_SAFE_NO_PAD.encode(mask.into_iter().chain(masked).collect::<Vec<_>>())
    }

    #[test]
    fn only_this_sessions_token_is_good() {
        let (mine, theirs) = ("ab".repeat(32), "cd".repeat(32));
        for mask in [[0; 32], [7; 32], [255; 32]] {
            assert!(is_good(&mine, &masked(&mine, mask)));
            assert!(!is_good(&theirs, &masked(&mine, mask)));
        }
        let whole = masked(&mine, [9; 32]);
        for wrong in [
            "",
            "x",
            &whole[1..],
            &whole[..40],
            &format!("{whole}AA"),
            &mine,
        ] {
            assert!(!is_good(&mine, wrong), "{wrong}");
        }
    }
}
