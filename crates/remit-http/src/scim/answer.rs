//! Answers: one resource or a page of them, with the attributes that were asked for (RFC 7644 sections 3.4.2 and 3.9).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::error::{ScimError, message};
use super::filter::{self, Filter};
use super::resource::Resource;
use super::schema::PAGE_MAX;

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// Most attributes that are named in one request.
const NAMED_MAX: usize = 64;

/// Which attributes are wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    only: Vec<String>,
    without: Vec<String>,
}

/// What one resource is answered with.
pub(super) struct Answer {
    status: StatusCode,
    wanted: Wanted,
}

impl Answer {
    pub(super) fn ok(query: &str) -> Result<Self, ScimError> {
        Ok(Self {
            status: StatusCode::OK,
            wanted: page_of_query(query)?.wanted,
        })
    }

    pub(super) fn created(query: &str) -> Result<Self, ScimError> {
        Ok(Self {
            status: StatusCode::CREATED,
            ..Self::ok(query)?
        })
    }
}

/// Which resources, from which on, and what of them.
#[derive(Debug, Default)]
pub(super) struct Page {
    filter: Option<Filter>,
    start: usize,
    count: usize,
    wanted: Wanted,
}

fn number(name: &str, text: &str) -> Result<usize, ScimError> {
    // Less than one is one (RFC 7644 section 3.4.2.4), and a negative count is none.
    let found = text.parse::<i64>();
    let found =
        found.map_err(|_| ScimError::bad("invalidValue", format!("`{name}` must be a number")))?;
    Ok(usize::try_from(found).unwrap_or(0))
}

fn names(texts: impl Iterator<Item = String>) -> Result<Vec<String>, ScimError> {
    let all: Vec<String> = texts.take(NAMED_MAX + 1).collect();
    if all.len() > NAMED_MAX {
        let text = format!("at most {NAMED_MAX} attributes are named at once");
        return Err(ScimError::bad("tooMany", text));
    }
    // A schema in front, and a part behind, are left away: attributes are given whole.
    let short = |text: &String| {
        let name = text.trim().rsplit(':').next().unwrap_or_default();
        name.split('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    Ok(all.iter().map(short).filter(|n| !n.is_empty()).collect())
}

fn filter_of(text: &str) -> Result<Filter, ScimError> {
    filter::read(text).map_err(|why| ScimError::bad("invalidFilter", why))
}

pub(super) fn page_of_query(query: &str) -> Result<Page, ScimError> {
    let mut page = Page {
        start: 1,
        count: PAGE_MAX,
        ..Page::default()
    };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let list = || value.split(',').map(ToOwned::to_owned);
        match &*name {
            "filter" => page.filter = Some(filter_of(&value)?),
            "startIndex" => page.start = number("startIndex", &value)?,
            "count" => page.count = number("count", &value)?,
            "attributes" => page.wanted.only = names(list())?,
            "excludedAttributes" => page.wanted.without = names(list())?,
            _ => {}
        }
    }
    Ok(page)
}

pub(super) fn page_of_body(body: &Value) -> Result<Page, ScimError> {
    let list = |name: &str| {
        let found = filter::get(body, name).and_then(Value::as_array);
        let texts = found.into_iter().flatten().filter_map(Value::as_str);
        names(texts.map(ToOwned::to_owned))
    };
    let count = |name: &str, default: usize| match filter::get(body, name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => number(name, &value.to_string()),
    };
    let text = filter::get(body, "filter").and_then(Value::as_str);
    Ok(Page {
        filter: text.map(filter_of).transpose()?,
        start: count("startIndex", 1)?,
        count: count("count", PAGE_MAX)?,
        wanted: Wanted {
            only: list("attributes")?,
            without: list("excludedAttributes")?,
        },
    })
}

impl Wanted {
    fn of(&self, body: &Value) -> Value {
        let Value::Object(members) = body else {
            return body.clone();
        };
        let wanted = |name: &str| {
            let name = name.to_ascii_lowercase();
            let always = matches!(name.as_str(), "id" | "schemas");
            let only = self.only.is_empty() || self.only.contains(&name);
            always || (only && !self.without.contains(&name))
        };
        let kept = members.iter().filter(|(name, _)| wanted(name));
        Value::Object(kept.map(|(n, v)| (n.clone(), v.clone())).collect())
    }
}

/// One resource, with its ETag and address.
pub(super) fn shown(found: &Resource, answer: &Answer) -> Result<Response, ScimError> {
    let mut response = message(answer.status, &answer.wanted.of(&found.body));
    let headers = response.headers_mut();
    let location = found.body.pointer("/meta/location");
    let location = location.and_then(Value::as_str).unwrap_or_default();
    for (name, value) in [
        (header::ETAG, found.etag().as_str()),
        (header::LOCATION, location),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// A page of those that fit the filter.
pub(super) fn listed(
    all: impl Iterator<Item = Resource>,
    page: &Page,
) -> Result<Response, ScimError> {
    let start = page.start.max(1);
    let count = page.count.min(PAGE_MAX);
    let (mut total, mut shown) = (0, Vec::new());
    let holds = |r: &Resource| page.filter.as_ref().is_none_or(|f| f.holds(&r.body));
    for found in all.filter(holds) {
        total += 1;
        if total >= start && shown.len() < count {
            shown.push(page.wanted.of(&found.body));
        }
    }
    let body = json!({ "schemas": [LIST], "totalResults": total, "startIndex": start,
        "itemsPerPage": shown.len(), "Resources": shown });
    Ok(message(StatusCode::OK, &body))
}

/// All of a few.
pub(super) fn list(all: Vec<Value>) -> Response {
    let body = json!({ "schemas": [LIST], "totalResults": all.len(), "startIndex": 1,
        "itemsPerPage": all.len(), "Resources": all });
    message(StatusCode::OK, &body)
}
