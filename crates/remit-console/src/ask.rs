//! What a page is asked: by whom, of which organization, with which path, query and form.

use std::str::FromStr;

use remit_control::{Caller, Control, ListQuery};
use remit_domain::{Principal, RefusalCode, Role, Timestamp};
use remit_issuer::{Issuer, PersonSession};

use crate::answer::{Answer, Page};
use crate::cookie::Preferences;
use crate::fault::Fault;
use crate::limits::ROWS;
use crate::site::{Place, Site};
use crate::time::When;
use crate::ui::Form;

/// Names and values, in the order they came.
pub(crate) type Pairs = Vec<(String, String)>;

/// One request, whose sender may make it.
pub(crate) struct Ask {
    pub(crate) site: Site,
    pub(crate) place: Place,
    /// None where nobody has to be signed in.
    pub(crate) session: Option<PersonSession>,
    /// The token for the forms of this answer.
    pub(crate) csrf: String,
    pub(crate) preferences: Preferences,
    /// Path of the request below the organization's own.
    pub(crate) here: String,
    pub(crate) path: Pairs,
    pub(crate) query: Pairs,
    pub(crate) form: Pairs,
    /// What the browser calls itself.
    pub(crate) browser: String,
    /// Where an event stream goes on.
    pub(crate) last_event: Option<String>,
    /// Whether htmx asks for a part of a page.
    pub(crate) part: bool,
}

fn first<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

impl Ask {
    pub(crate) fn control(&self) -> &Control {
        &self.site.console.control
    }

    pub(crate) fn issuer(&self) -> &Issuer {
        &self.site.console.issuer
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.site.now()
    }

    pub(crate) fn when(&self, at: Timestamp) -> When {
        When::new(at, self.now())
    }

    /// The person who is signed in. A page that everybody may open has to be ready for nobody.
    pub(crate) fn session(&self) -> Result<&PersonSession, Fault> {
        self.session.as_ref().ok_or(Fault::SignedOut)
    }

    /// Who asks, for control: the person with the roles that their browser session has.
    pub(crate) fn caller(&self) -> Result<Caller, Fault> {
        let session = self.session()?;
        Ok(Caller {
            principal: Principal::Person(session.person.id.clone()),
            person: Some(session.person.clone()),
            org: self.place.org().clone(),
        })
    }

    pub(crate) fn holds(&self, role: Role) -> bool {
        self.session.as_ref().is_some_and(|s| s.person.holds(role))
    }

    pub(crate) fn holds_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.holds(*role))
    }

    /// What stands in the path at that name.
    pub(crate) fn named<T: FromStr>(&self, name: &str) -> Result<T, Fault> {
        let text = first(&self.path, name).unwrap_or_default();
        text.parse().map_err(|_| {
            Fault::refused(
                RefusalCode::NotFound,
                "there is nothing of that name; check the address",
            )
        })
    }

    /// A filter of the address; nothing where it is empty.
    pub(crate) fn q(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// A filter of the address, read.
    pub(crate) fn q_as<T: FromStr>(&self, name: &str) -> Result<Option<T>, Fault> {
        self.q(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Fault::invalid(format!("the filter `{name}` cannot be read; change it"))
                })
            })
            .transpose()
    }

    /// A field of the form, as typed.
    pub(crate) fn field(&self, name: &str) -> &str {
        first(&self.form, name).unwrap_or_default()
    }

    /// A field of the form; nothing where it is empty.
    pub(crate) fn given(&self, name: &str) -> Option<String> {
        Some(self.field(name).trim())
            .filter(|value| !value.is_empty())
            .map(ToOwned::to_owned)
    }

    /// A field of the form, read.
    pub(crate) fn field_as<T: FromStr>(&self, name: &str) -> Result<T, Fault>
    where
        T::Err: std::fmt::Display,
    {
        self.field(name)
            .trim()
            .parse()
            .map_err(|e: T::Err| Fault::invalid(format!("{}: {e}", name.replace('_', " "))))
    }

    /// A field that may be left out, read.
    pub(crate) fn given_as<T: FromStr>(&self, name: &str) -> Result<Option<T>, Fault>
    where
        T::Err: std::fmt::Display,
    {
        self.given(name).map(|_| self.field_as(name)).transpose()
    }

    /// The page of a list that the address asks for.
    pub(crate) fn list(&self) -> ListQuery {
        ListQuery {
            limit: Some(ROWS),
            after: self.q("after").map(ToOwned::to_owned),
            state: self.q("state").map(ToOwned::to_owned),
            ..ListQuery::default()
        }
    }

    /// The address of this page with another place to go on.
    pub(crate) fn next(&self, after: Option<String>) -> Option<String> {
        let after = after?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self
            .query
            .iter()
            .filter(|(name, value)| name != "after" && !value.is_empty())
        {
            query.append_pair(name, value);
        }
        query.append_pair("after", &after);
        Some(format!("{}{}?{}", self.place.at, self.here, query.finish()))
    }

    /// An address of a page of this organization.
    pub(crate) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.place.at)
    }

    /// The same, of something whose name somebody else chose.
    pub(crate) fn to_named(&self, before: &str, name: &str, after: &str) -> String {
        format!("{}{before}/{}{after}", self.place.at, segment(name))
    }

    /// A form that changes something here.
    pub(crate) fn form(&self, id: impl Into<String>, path: &str) -> Form {
        Form::new(id, self.to(path), &self.csrf)
    }

    /// The same for an address that is whole already.
    pub(crate) fn form_to(&self, id: impl Into<String>, address: String) -> Form {
        Form::new(id, address, &self.csrf)
    }

    pub(crate) fn page(&self, title: impl std::fmt::Display) -> Page {
        Page::new(title)
    }

    /// Back to a page, which says what was done.
    pub(crate) fn done(&self, path: &str, what: &str) -> Result<Answer, Fault> {
        let mark = if path.contains('?') { '&' } else { '?' };
        Ok(Answer::See(format!(
            "{}{path}{mark}done={what}",
            self.place.at
        )))
    }
}

/// A name as one part of a path (RFC 3986 §3.3).
pub(crate) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    // `.` and `..` are resolved by browsers before anything is sent.
    if out == "." || out == ".." {
        out.replace('.', "%2E")
    } else {
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_part_of_the_path() {
        assert_eq!(segment("refund"), "refund");
        assert_eq!(segment("a/b?c#d\"<e>&'"), "a%2Fb%3Fc%23d%22%3Ce%3E%26%27");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("\u{202e}x"), "%E2%80%AEx");
    }
}
