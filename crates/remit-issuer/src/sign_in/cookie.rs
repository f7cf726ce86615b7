//! Cookies: which one holds the session of an organization, and how it is written.
//!
//! Source: RFC 6265bis §4.1.3 (the prefix `__Host-`), §5.5.7 (SameSite).

use cookie::{Cookie, SameSite};
use remit_domain::{OrgId, Refusal};

use crate::Issuer;

/// How cookies of an organization are called and set. Each organization has its own, so that one browser may be signed
/// in to several, and what one is given is never sent as another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieAttributes {
    session: String,
    visit: String,
    secure: bool,
}

impl CookieAttributes {
    /// The session's secret among the values of the `Cookie` headers of a request. Of two, none is believed.
    #[must_use]
    pub fn session<'a>(&self, headers: impl IntoIterator<Item = &'a str>) -> Option<String> {
        one(headers, &self.session)
    }

    /// The sealed state of a visit to the OpenID provider, likewise.
    #[must_use]
    pub fn visit<'a>(&self, headers: impl IntoIterator<Item = &'a str>) -> Option<String> {
        one(headers, &self.visit)
    }

    /// `Set-Cookie` for a session. It ends with the browser; the server ends it earlier.
    #[must_use]
    pub fn set_session(&self, secret: &str) -> String {
        self.set(&self.session, secret)
    }

    /// `Set-Cookie` that takes the session away.
    #[must_use]
    pub fn clear_session(&self) -> String {
        self.clear(&self.session)
    }

    /// `Set-Cookie` for a visit to the OpenID provider.
    #[must_use]
    pub fn set_visit(&self, sealed: &str) -> String {
        self.set(&self.visit, sealed)
    }

    /// `Set-Cookie` that ends a visit.
    #[must_use]
    pub fn clear_visit(&self) -> String {
        self.clear(&self.visit)
    }

    fn set(&self, name: &str, value: &str) -> String {
        self.build(name, value).to_string()
    }

    fn clear(&self, name: &str) -> String {
        format!("{}; Max-Age=0", self.build(name, ""))
    }

    fn build(&self, name: &str, value: &str) -> Cookie<'static> {
        Cookie::build((name.to_owned(), value.to_owned()))
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax)
            .build()
    }
}

fn one<'a>(headers: impl IntoIterator<Item = &'a str>, name: &str) -> Option<String> {
    let mut found = headers
        .into_iter()
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .filter(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned());
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

impl Issuer {
    /// How cookies of an organization are called and set: `__Host-remit-{org}` over https, which no other host and
    /// no plain connection can set; `remit-{org}` over plain http, which only loopback is.
    ///
    /// # Errors
    /// `not-found` when there is no such organization.
    pub fn cookies(&self, org: &OrgId) -> Result<CookieAttributes, Refusal> {
        let base = self.issuer_url(org)?;
        let secure = base.starts_with("https://");
        let org = self.tenant(org)?.name();
        let prefix = if secure { "__Host-" } else { "" };
        Ok(CookieAttributes {
            session: format!("{prefix}remit-{org}"),
            // No name of an organization has a dot: no organization's session is called like another's visit.
            visit: format!("{prefix}remit.visit-{org}"),
            secure,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(secure: bool) -> CookieAttributes {
        CookieAttributes {
            session: "__Host-remit-acme".to_owned(),
            visit: "__Host-remit.visit-acme".to_owned(),
            secure,
        }
    }

    #[test]
    fn a_cookie_is_for_this_host_alone_and_for_no_script() {
        assert_eq!(
            cookies(true).set_session("rmt_ses_x"),
            "__Host-remit-acme=rmt_ses_x; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
        assert_eq!(
            cookies(false).clear_session(),
            "__Host-remit-acme=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn of_two_cookies_with_one_name_none_is_believed() {
        let c = cookies(true);
        assert_eq!(
            c.session(["a=b; __Host-remit-acme=x"]).as_deref(),
            Some("x")
        );
        assert_eq!(
            c.session(["__Host-remit-acme=x; __Host-remit-acme=y"]),
            None
        );
        assert_eq!(
            c.session(["__Host-remit-acme=x", "__Host-remit-acme=x"]),
            None
        );
        assert_eq!(c.session(["remit-acme=x; xx__Host-remit-acme=y"]), None);
        assert_eq!(c.session([]), None);
    }
}
