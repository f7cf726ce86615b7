//! A cookie of our own: how a person likes pages to look in this browser. The session's cookie is the issuer's.
//!
//! Source: RFC 6265bis §5.5.7 (SameSite).

use axum::http::{HeaderMap, HeaderValue, header};

use crate::site::Site;

/// Longest value that is looked at.
const VALUE_BYTES_MAX: usize = 512;

/// How pages look and behave for this browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// `auto`, `light` or `dark`.
    pub(crate) theme: &'static str,
    /// Whether single keys do something (WCAG 2.1.4).
    pub(crate) keys: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            theme: "auto",
            keys: true,
        }
    }
}

impl Preferences {
    /// The themes there are.
    pub(crate) const THEMES: [&'static str; 3] = ["auto", "light", "dark"];

    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let value = value(headers, "remit-look").unwrap_or_default();
        let mut words = value.split('.');
        let theme = words
            .next()
            .and_then(|word| Self::THEMES.into_iter().find(|t| *t == word));
        Self {
            theme: theme.unwrap_or("auto"),
            keys: words.next() != Some("nokeys"),
        }
    }

    /// The header that keeps them for a year.
    pub(crate) fn set(self, site: &Site) -> Option<HeaderValue> {
        let keys = if self.keys { "keys" } else { "nokeys" };
        let secure = if site.secure { "; Secure" } else { "" };
        let text = format!(
            "remit-look={}.{keys}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}",
            self.theme
        );
        HeaderValue::from_str(&text).ok()
    }
}

/// The values of the `Cookie` headers.
pub(crate) fn headers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
}

/// A `Set-Cookie` header that no log writes down.
pub(crate) fn header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = self::headers(headers)
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = found.next()?;
    (found.next().is_none() && value.len() <= VALUE_BYTES_MAX).then_some(value)
}
