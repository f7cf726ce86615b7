//! What surrounds every page: where one is, where one can go, who one is, and how to stop something.

use askama::Template;
use axum::http::HeaderMap;
use remit_domain::Role;
use remit_issuer::PersonSession;

use crate::answer::Page;
use crate::ask::Ask;
use crate::assets;
use crate::cookie::Preferences;
use crate::done;
use crate::live::Counts;
use crate::route::{ADMIN_AUDITOR, PERSON, RESPONDER_ADMIN, RESPONDER_ADMIN_AUDITOR, Who};
use crate::site::{Place, Site};
use crate::text::Shown;
use crate::ui::{Html, Notice};

/// A place to go to.
struct Entry {
    path: &'static str,
    words: &'static str,
    who: Who,
    /// Which count stands beside it.
    count: Option<fn(&Counts) -> usize>,
    /// Key after `g` that goes there.
    key: &'static str,
}

const fn entry(path: &'static str, words: &'static str, who: Who, key: &'static str) -> Entry {
    Entry {
        path,
        words,
        who,
        count: None,
        key,
    }
}

const fn counted(
    path: &'static str,
    words: &'static str,
    who: Who,
    key: &'static str,
    count: fn(&Counts) -> usize,
) -> Entry {
    Entry {
        path,
        words,
        who,
        count: Some(count),
        key,
    }
}

const GROUPS: [(&str, &[Entry]); 4] = [
    (
        "Operate",
        &[
            entry("/", "Home", PERSON, "h"),
            counted("/approvals", "Approvals", PERSON, "a", |c| c.waiting),
            entry("/runs", "Runs", PERSON, "r"),
            counted(
                "/containments",
                "Containment",
                RESPONDER_ADMIN_AUDITOR,
                "i",
                |c| c.contained,
            ),
            entry("/mine", "My agents", PERSON, "m"),
        ],
    ),
    (
        "Govern",
        &[
            entry("/agents", "Agents", PERSON, "g"),
            entry("/access", "Access", PERSON, "x"),
            entry("/policies", "Policies", PERSON, "p"),
            entry("/rules", "Limits", PERSON, "l"),
            counted("/findings", "Findings", PERSON, "f", |c| c.findings),
        ],
    ),
    ("Observe", &[entry("/audit", "Audit", ADMIN_AUDITOR, "u")]),
    (
        "Set up",
        &[
            entry("/connect", "Connect", PERSON, "c"),
            entry("/upstreams", "Upstreams", PERSON, "t"),
            entry("/settings", "Settings", PERSON, "s"),
        ],
    ),
];

/// One entry, as it is shown.
struct Link {
    href: String,
    words: &'static str,
    here: bool,
    /// Id of the count, for live updates; empty where there is none.
    count_id: String,
    count: usize,
    key: &'static str,
}

/// What surrounds a page, taken from its request.
pub(crate) struct Around {
    site: Site,
    pub(crate) place: Place,
    session: Option<PersonSession>,
    pub(crate) csrf: String,
    preferences: Preferences,
    here: String,
    pub(crate) part: bool,
    done: Option<String>,
    /// Other organizations this browser is signed in to.
    others: Vec<String>,
}

#[derive(Template)]
#[template(path = "layout.html")]
struct Layout<'a> {
    title: Shown,
    untitled: bool,
    org: &'a str,
    at: &'a str,
    theme: &'static str,
    keys: bool,
    dev: bool,
    csrf: &'a str,
    groups: Vec<(&'static str, Vec<Link>)>,
    /// Address of the person; none where nobody is signed in.
    person: Option<Shown>,
    roles: String,
    may_stop: bool,
    others: &'a [String],
    notices: Vec<Notice>,
    parts: &'a [Html],
    files: assets::Files,
    again: Option<u8>,
}

#[derive(Template)]
#[template(path = "bare.html")]
struct Bare {
    title: &'static str,
    body: Html,
    files: assets::Files,
}

/// A page of no organization.
pub(crate) fn bare(title: &'static str, body: Html) -> String {
    Html::of(&Bare {
        title,
        body,
        files: assets::Files::new(),
    })
    .to_string()
}

impl Around {
    pub(crate) fn of(ask: &Ask, headers: &HeaderMap) -> Self {
        Self {
            site: ask.site.clone(),
            session: ask.session.clone(),
            csrf: ask.csrf.clone(),
            preferences: ask.preferences,
            here: ask.here.clone(),
            part: ask.part,
            done: ask.q("done").map(ToOwned::to_owned),
            others: others(&ask.site, headers, &ask.place.name),
            place: ask.place.clone(),
        }
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        self.session.is_some()
    }

    fn holds(&self, role: Role) -> bool {
        self.session.as_ref().is_some_and(|s| s.person.holds(role))
    }

    /// The whole page.
    pub(crate) async fn page(&self, page: Page) -> String {
        let counts = match &self.session {
            Some(_) => self.site.live.counts(&self.site, &self.place).await,
            None => Counts::default(),
        };
        let done = self
            .done
            .as_deref()
            .and_then(|word| done::notice(word, &self.here, &self.place.at, &self.csrf));
        let notices = done.into_iter().chain(page.notices).collect();
        // A page that is made of parts alone still says what it is.
        let untitled = !page.parts.iter().any(|part| part.has_title());
        let layout = Layout {
            title: Shown::line(&page.title),
            untitled,
            org: &self.place.name,
            at: &self.place.at,
            theme: self.preferences.theme,
            keys: self.preferences.keys,
            dev: self.site.console.dev,
            csrf: &self.csrf,
            groups: self.groups(&counts),
            person: self.session.as_ref().map(|s| Shown::line(&s.person.email)),
            roles: self
                .session
                .iter()
                .flat_map(|s| s.person.roles.iter().map(|r| r.as_str()))
                .collect::<Vec<_>>()
                .join(", "),
            may_stop: RESPONDER_ADMIN.includes(|role| self.holds(role)),
            others: &self.others,
            notices,
            parts: &page.parts,
            files: assets::Files::new(),
            again: page.again,
        };
        Html::of(&layout).to_string()
    }

    fn groups(&self, counts: &Counts) -> Vec<(&'static str, Vec<Link>)> {
        let Some(session) = &self.session else {
            return Vec::new();
        };
        let link = |entry: &Entry| Link {
            href: format!("{}{}", self.place.at, entry.path),
            words: entry.words,
            here: self.here == entry.path
                || (entry.path != "/" && self.here.starts_with(&format!("{}/", entry.path))),
            count_id: entry
                .count
                .map(|_| format!("count-{}", entry.path.trim_start_matches('/')))
                .unwrap_or_default(),
            count: entry.count.map_or(0, |count| count(counts)),
            key: entry.key,
        };
        GROUPS
            .iter()
            .map(|(name, entries)| {
                let may = |e: &&Entry| e.who.includes(|role| session.person.holds(role));
                (
                    *name,
                    entries.iter().filter(may).map(link).collect::<Vec<_>>(),
                )
            })
            .filter(|(_, links)| !links.is_empty())
            .collect()
    }
}

/// Counts that stand in the navigation, by the id of their element.
pub(crate) fn count_ids(counts: &Counts) -> Vec<(String, usize)> {
    GROUPS
        .iter()
        .flat_map(|(_, entries)| entries.iter())
        .filter_map(|e| {
            Some((
                format!("count-{}", e.path.trim_start_matches('/')),
                e.count?(counts),
            ))
        })
        .collect()
}

/// Organizations whose cookies this browser sends beside this one's: nothing else says where somebody is signed in.
fn others(site: &Site, headers: &HeaderMap, here: &str) -> Vec<String> {
    let prefix = if site.secure {
        "__Host-remit-"
    } else {
        "remit-"
    };
    let mut names: Vec<String> = crate::cookie::headers(headers)
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| {
            pair.trim()
                .split_once('=')?
                .0
                .strip_prefix(prefix)
                .map(ToOwned::to_owned)
        })
        .filter(|name| {
            name != here && name != "look" && site.console.books.org_named(name).is_some()
        })
        .collect();
    names.sort();
    names.dedup();
    names.truncate(20);
    names
}
