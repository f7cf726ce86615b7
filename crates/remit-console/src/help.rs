//! Help: the guides and the reference of this version, and the REST interface, inside the binary.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use askama::Template;
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use rust_embed::Embed;
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;
use crate::route::{EVERYBODY, Route, page};
use crate::text::Shown;
use crate::ui::{Cell, Code, Empty, Facts, Filter, Html, Row, Section, Table};

/// Requests of the REST interface shown on a page.
const REQUESTS: usize = 400;

#[derive(Embed)]
#[folder = "../../docs"]
struct Docs;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/help", EVERYBODY, home),
        page("/help/api", EVERYBODY, api),
        page("/help/{group}/{name}", EVERYBODY, read),
    ]
}

/// One document: its title and its text.
struct Document {
    title: String,
    text: String,
}

/// Documents by group and name.
static ALL: LazyLock<BTreeMap<(String, String), Document>> = LazyLock::new(|| {
    let mut all = BTreeMap::new();
    for path in Docs::iter() {
        let Some((group, file)) = path.split_once('/') else {
            continue;
        };
        let Some(name) = file.strip_suffix(".md").filter(|n| !n.contains('/')) else {
            continue;
        };
        let Some(found) = Docs::get(&path) else {
            continue;
        };
        let text = String::from_utf8_lossy(&found.data).into_owned();
        let title = text
            .lines()
            .find_map(|l| l.strip_prefix("# "))
            .unwrap_or(name)
            .replace('`', "");
        all.insert(
            (group.to_owned(), name.to_owned()),
            Document { title, text },
        );
    }
    all
});

/// Groups in the order in which people need them.
const GROUPS: [(&str, &str); 5] = [
    ("guides", "Guides"),
    ("concepts", "Words"),
    ("operations", "Operations"),
    ("reference", "Reference"),
    ("decisions", "Decisions about the design"),
];

#[derive(Template)]
#[template(path = "help.html")]
struct Index {
    at: String,
    groups: Vec<(&'static str, Vec<(String, String)>)>,
}

async fn home(ask: Ask) -> Result<Answer, Fault> {
    let groups = GROUPS
        .into_iter()
        .map(|(group, words)| {
            let of_group = ALL.iter().filter(|((g, _), _)| g == group);
            let links = of_group
                .map(|((_, name), d)| (ask.to(&format!("/help/{group}/{name}")), d.title.clone()))
                .collect();
            (words, links)
        })
        .collect();
    ask.page("Help")
        .with(&Index {
            at: ask.place.at.clone(),
            groups,
        })
        .ok()
}

async fn read(ask: Ask) -> Result<Answer, Fault> {
    let (group, name): (String, String) = (ask.named("group")?, ask.named("name")?);
    let document = ALL
        .get(&(group.clone(), name))
        .ok_or_else(Fault::not_found)?;
    let body = Reading {
        at: ask.place.at.clone(),
        body: rendered(&ask, &group, &document.text),
    };
    ask.page(&document.title).with(&body).ok()
}

#[derive(Template)]
#[template(
    source = "<nav aria-label=\"Where\"><a href=\"{{ at }}/help\">Help</a></nav><article class=\"document\">{{ body }}</article>",
    ext = "html"
)]
struct Reading {
    at: String,
    body: Html,
}

/// A document of ours as HTML. HTML inside of it is shown as text, links to other documents lead to their pages here, and
/// headings can be linked to.
fn rendered(ask: &Ask, group: &str, text: &str) -> Html {
    let options = Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut events: Vec<Event<'_>> = Vec::new();
    for event in Parser::new_ext(text, options) {
        events.push(match event {
            Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => Event::Start(Tag::Link {
                link_type,
                dest_url: here(ask, group, &dest_url).into(),
                title,
                id,
            }),
            // Pictures are not in the binary; their words are.
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => continue,
            other => other,
        });
    }
    number(&mut events);
    let mut out = String::new();
    html::push_html(&mut out, events.into_iter());
    Html::of_our_document(reachable(&out))
}

/// What is wider than its page scrolls by itself, and is reached by keyboard. Only our own tags look like these: text is escaped.
fn reachable(html: &str) -> String {
    html.replace("<pre><code", "<pre tabindex=\"0\"><code")
        .replace(
            "<table>",
            "<div class=\"scroll\" role=\"group\" aria-label=\"Table\" tabindex=\"0\"><table><caption class=\"sr\">Table</caption>",
        )
        .replace("</table>", "</table></div>")
}

/// Where a link of a document leads from here.
fn here(ask: &Ask, group: &str, link: &str) -> String {
    let (path, mark) = link
        .split_once('#')
        .map_or((link, String::new()), |(p, m)| (p, format!("#{m}")));
    if path.is_empty() || path.contains("://") || !path.ends_with(".md") {
        return link.to_owned();
    }
    let mut parts: Vec<&str> = vec![group];
    for part in path.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." => {}
            part => parts.push(part),
        }
    }
    match parts.as_slice() {
        [group, file] => {
            let name = file.trim_end_matches(".md");
            let known = ALL.contains_key(&((*group).to_owned(), name.to_owned()));
            if known {
                ask.to(&format!("/help/{group}/{name}{mark}"))
            } else {
                ask.to("/help")
            }
        }
        _ => ask.to("/help"),
    }
}

/// Gives headings the names that links of other documents use.
fn number(events: &mut [Event<'_>]) {
    let mut at = 0;
    while at < events.len() {
        let words = match events.get(at) {
            Some(Event::Start(Tag::Heading { id: None, .. })) => {
                heading(events.get(at + 1..).unwrap_or_default())
            }
            _ => None,
        };
        if let (Some(words), Some(Event::Start(Tag::Heading { id, level, .. }))) =
            (words, events.get_mut(at))
            && *level != HeadingLevel::H1
        {
            *id = Some(CowStr::from(words));
        }
        at += 1;
    }
}

fn heading(after: &[Event<'_>]) -> Option<String> {
    let mut words = String::new();
    for event in after {
        match event {
            Event::Text(text) | Event::Code(text) => words.push_str(text),
            Event::End(TagEnd::Heading(_)) => break,
            _ => {}
        }
    }
    let id: String = words
        .to_lowercase()
        .chars()
        .filter_map(|c| {
            if c == ' ' {
                Some('-')
            } else {
                (c.is_alphanumeric() || c == '-' || c == '_').then_some(c)
            }
        })
        .collect();
    (!id.is_empty()).then_some(id)
}

/// The OpenAPI document of this version.
static OPENAPI: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../api/openapi.json")).unwrap_or_default()
});

/// The REST interface, from its own document: no script, no second copy.
async fn api(ask: Ask) -> Result<Answer, Fault> {
    let wanted = ask.q("q").unwrap_or_default().to_lowercase();
    let filter = Filter::new(ask.to("/help/api")).search("q", "Path or words", ask.q("q"));
    if let Some(chosen) = ask.q("at") {
        return request(&ask, chosen);
    }
    let mut rows = Vec::new();
    for (path, methods) in OPENAPI
        .get("paths")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let summary = operation
                .get("summary")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if !wanted.is_empty()
                && !path.to_lowercase().contains(&wanted)
                && !summary.to_lowercase().contains(&wanted)
            {
                continue;
            }
            let key = format!("{method} {path}");
            let href: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
            rows.push(Row::new(
                &key,
                vec![
                    Cell::link(ask.to(&format!("/help/api?at={href}")), path),
                    Cell::code(method.to_uppercase()),
                    Cell::text(summary),
                ],
            ));
        }
    }
    rows.truncate(REQUESTS);
    let table = Table::new(
        "requests",
        "Requests",
        &["Path", "Method", "What it does"],
        Empty::new("No request has that in it", ""),
    )
    .rows(rows);
    let section = Section::new("rest", "REST interface")
        .note("OpenAPI 3.1, as this server serves it. Addresses are below the base.")
        .with(
            &Facts::new()
                .row("Base", Cell::code(format!("{}/api/v1", ask.place.base)))
                .row(
                    "Document",
                    Cell::link(ask.to("/api/v1/openapi.json"), "openapi.json"),
                ),
        )
        .with(&filter)
        .with(&table);
    ask.page("REST interface").with(&section).ok()
}

fn request(ask: &Ask, chosen: &str) -> Result<Answer, Fault> {
    let (method, path) = chosen.split_once(' ').ok_or_else(Fault::not_found)?;
    let operation = OPENAPI
        .get("paths")
        .and_then(|p| p.get(path))
        .and_then(|m| m.get(method))
        .ok_or_else(Fault::not_found)?;
    let summary = operation
        .get("summary")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut section = Section::new(
        "request",
        format!("{} {}", method.to_uppercase(), Shown::line(path)),
    )
    .note(summary);
    section = section.with(&parameters(operation));
    let body = operation.pointer("/requestBody/content/application~1json/schema");
    if let Some(schema) = body {
        section = section.with(&Code::new("Body", Shown::json(&resolved(schema))));
    }
    for (status, answer) in operation
        .get("responses")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let Some(schema) = answer.pointer("/content/application~1json/schema") {
            section = section.with(&Code::new(
                format!("Answer {status}"),
                Shown::json(&resolved(schema)),
            ));
        }
    }
    let curl = format!(
        "curl -X {} -H \"Authorization: Bearer $REMIT_TOKEN\" '{}{path}'",
        method.to_uppercase(),
        ask.place.base
    );
    section = section.with(&Code::new("curl", curl));
    ask.page(format!("{} {path}", method.to_uppercase()))
        .with(&section)
        .ok()
}

/// What stands in a request's path and query.
fn parameters(operation: &Value) -> Table {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let rows = parameters.into_iter().flatten().map(|p| {
        let text = |name: &str| {
            p.get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Row::new(
            text("name"),
            vec![
                Cell::code(text("name")),
                Cell::text(text("in")),
                Cell::text(if p.get("required") == Some(&Value::Bool(true)) {
                    "yes"
                } else {
                    "no"
                }),
                Cell::block(text("description")),
            ],
        )
    });
    let head = ["Name", "In", "Required", "What"];
    Table::new(
        "parameters",
        "Parameters",
        &head,
        Empty::new("No parameters", ""),
    )
    .rows(rows)
}

/// A schema with what it refers to in its place, one level deep.
fn resolved(schema: &Value) -> Value {
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.strip_prefix('#'))
        .and_then(|p| OPENAPI.pointer(p));
    target.unwrap_or(schema).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_and_the_interface_are_here() {
        assert!(ALL.contains_key(&("guides".to_owned(), "first-agent".to_owned())));
        assert!(ALL.values().all(|d| !d.title.is_empty()));
        assert!(
            OPENAPI
                .get("paths")
                .and_then(Value::as_object)
                .is_some_and(|p| p.len() > 20)
        );
    }
}
