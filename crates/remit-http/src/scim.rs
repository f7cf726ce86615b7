//! SCIM 2.0: the company's directory tells who is here, in which of its groups, and which agents have to stop.
//!
//! Only a client that an administrator made comes in, by a token of its own kind; it reaches people, groups and agents of its
//! organization and nothing else. What being in a group gives is mapped by administrators (`remit_control::scim`).
//!
//! | to | go to |
//! | --- | --- |
//! | know which attributes there are | [`schema`], [`resource`] |
//! | see how filters and changes of parts are read | [`filter`], [`patch`] |
//!
//! Source: RFC 7643, RFC 7644; draft-wzdk-scim-agent-resource-00 for agents.

mod answer;
mod error;
mod filter;
mod patch;
mod resource;
mod schema;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use remit_control::DirectoryCaller;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use tracing::Instrument;

use crate::bearer;
use crate::body::{self, BodyError};
use crate::site::{Place, Site};

use answer::{Answer, listed, page_of_body, page_of_query, shown};
use error::{MEDIA_TYPE, ScimError};
use resource::{Kind, Resource};

/// Where it is, below the organization.
const BASE: &str = "/scim/v2";
/// How often a change of parts that lost a race is made anew.
const TRIES: u32 = 5;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/scim/v2/{*rest}", any(handle))
}

/// A request of a directory, with nothing of its body read yet.
#[derive(Clone)]
struct Asked {
    site: Site,
    by: DirectoryCaller,
    /// Where resources are.
    base: String,
    method: Method,
    path: Vec<String>,
    query: String,
    if_match: Option<String>,
    if_none_match: Option<String>,
}

async fn handle(State(site): State<Site>, request: Request) -> Response {
    let answered = answer(site, request).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(site: Site, request: Request) -> Result<Response, ScimError> {
    let (mut parts, body) = request.into_parts();
    let place = Place::from_request_parts(&mut parts, &site).await?;
    let token = bearer::of(&parts.headers);
    let token = token.as_ref().map(|t| t.expose_secret());
    let issuer = &site.app.issuer;
    let client = issuer.authenticate_directory(place.org(), token).await?;
    let header = |name: header::HeaderName| {
        let value = parts.headers.get(name).and_then(|v| v.to_str().ok());
        value.map(|v| v.trim().to_owned())
    };
    let path = parts.uri.path();
    let below = path.split_once(BASE).map_or("", |(_, below)| below);
    let asked = Asked {
        by: DirectoryCaller {
            client: client.id.clone(),
            org: place.org().clone(),
        },
        base: format!("{}{BASE}", place.base),
        method: parts.method.clone(),
        path: below
            .split('/')
            .filter(|s| !s.is_empty())
            .map(ToOwned::to_owned)
            .collect(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        if_match: header(header::IF_MATCH),
        if_none_match: header(header::IF_NONE_MATCH),
        site,
    };
    let body = if matches!(asked.method, Method::POST | Method::PUT | Method::PATCH) {
        Some(read(&parts.headers, body).await?)
    } else {
        None
    };
    let issuer = asked.site.app.issuer.clone();
    let answered = answer_to(asked, body).await;
    if let Some(code) = answered.as_ref().err().and_then(ScimError::recorded_as) {
        issuer.refused_directory(place.org(), &client, code).await;
    }
    answered
}

async fn answer_to(asked: Asked, body: Option<Value>) -> Result<Response, ScimError> {
    if asked.method == Method::GET {
        return asked.run(None).await;
    }
    // A change that was begun is ended, whether or not the client waits for it.
    let running = async move { asked.run(body.as_ref()).await };
    match tokio::spawn(running.in_current_span()).await {
        Ok(answered) => answered,
        Err(error) => Err(crate::problem::Problem::internal(&error).into()),
    }
}

async fn read(headers: &axum::http::HeaderMap, body: axum::body::Body) -> Result<Value, ScimError> {
    let bytes = body::read(body).await.map_err(|error| match error {
        BodyError::TooLarge => {
            let code = remit_domain::RefusalCode::TooLarge;
            ScimError::from(remit_domain::Refusal::new(code, error.to_string()))
        }
        BodyError::TooSlow | BodyError::Broken => {
            ScimError::bad("invalidSyntax", error.to_string())
        }
    })?;
    if !bytes.is_empty() && !body::is(headers, MEDIA_TYPE) && !body::is(headers, "application/json")
    {
        let text = "`Content-Type` must be application/scim+json";
        return Err(ScimError::bad("invalidSyntax", text));
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let value = remit_mcp::json::read(&bytes);
    value.map_err(|e| ScimError::bad("invalidSyntax", e.to_string()))
}

fn kind_at(endpoint: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|k| k.endpoint() == endpoint)
}

impl Asked {
    async fn run(&self, body: Option<&Value>) -> Result<Response, ScimError> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["ServiceProviderConfig" | "ResourceTypes" | "Schemas", ..] => self.about(&path),
            ["Me" | "Bulk" | ".search"] => Err(ScimError::not_implemented(
                "this is not supported; ServiceProviderConfig says what is",
            )),
            [endpoint] => {
                let kind = kind_at(endpoint).ok_or_else(ScimError::not_found)?;
                self.collection(kind, body).await
            }
            [endpoint, ".search"] => {
                let kind = kind_at(endpoint).ok_or_else(ScimError::not_found)?;
                let body = body.ok_or_else(ScimError::method)?;
                listed(self.all(kind)?, &page_of_body(body)?)
            }
            [endpoint, id] => {
                let kind = kind_at(endpoint).ok_or_else(ScimError::not_found)?;
                self.resource(kind, id, body).await
            }
            _ => Err(ScimError::not_found()),
        }
    }

    /// What the interface says about itself: read only.
    fn about(&self, path: &[&str]) -> Result<Response, ScimError> {
        if self.method != Method::GET {
            return Err(ScimError::method());
        }
        let of_all = |one: fn(&str, Kind) -> Value| {
            let all = Kind::ALL.into_iter().map(|k| one(&self.base, k));
            answer::list(all.collect())
        };
        match path {
            ["ServiceProviderConfig"] => Ok(error::message(
                StatusCode::OK,
                &schema::provider(&self.base),
            )),
            ["ResourceTypes"] => Ok(of_all(schema::resource_type)),
            ["Schemas"] => Ok(of_all(schema::schema)),
            ["ResourceTypes", word] => {
                let kind = Kind::ALL.into_iter().find(|k| k.word() == *word);
                let kind = kind.ok_or_else(ScimError::not_found)?;
                Ok(error::message(
                    StatusCode::OK,
                    &schema::resource_type(&self.base, kind),
                ))
            }
            ["Schemas", id] => {
                let kind = Kind::ALL.into_iter().find(|k| k.schema() == *id);
                let kind = kind.ok_or_else(ScimError::not_found)?;
                Ok(error::message(
                    StatusCode::OK,
                    &schema::schema(&self.base, kind),
                ))
            }
            _ => Err(ScimError::not_found()),
        }
    }

    async fn collection(&self, kind: Kind, body: Option<&Value>) -> Result<Response, ScimError> {
        match (&self.method, body) {
            (&Method::GET, _) => listed(self.all(kind)?, &page_of_query(&self.query)?),
            (&Method::POST, Some(body)) => {
                let known = self.told(kind, body)?;
                let made = self.make(kind, &known, body).await;
                let made = made.map_err(ScimError::uniqueness)?;
                shown(&made, &Answer::created(&self.query)?)
            }
            _ => Err(ScimError::method()),
        }
    }

    async fn resource(
        &self,
        kind: Kind,
        id: &str,
        body: Option<&Value>,
    ) -> Result<Response, ScimError> {
        match (&self.method, body) {
            (&Method::GET, _) => {
                let found = self.one(kind, id)?;
                if self
                    .if_none_match
                    .as_deref()
                    .is_some_and(|t| names(t, &found))
                {
                    let tag = [(header::ETAG, found.etag())];
                    return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
                }
                shown(&found, &Answer::ok(&self.query)?)
            }
            (&Method::PUT | &Method::PATCH, Some(body)) => {
                let changed = self.change(kind, id, body).await?;
                shown(&changed, &Answer::ok(&self.query)?)
            }
            (&Method::DELETE, _) => {
                let found = self.one(kind, id)?;
                self.matched(&found)?;
                let seen = self.if_match.is_some().then_some(found.revision);
                let deleted = self.delete(kind, id, seen).await;
                match (deleted, seen) {
                    (Err(error), Some(seen)) if self.one(kind, id)?.revision != seen => {
                        tracing::debug!(status = %error.status, "changed while it was to be deleted");
                        return Err(ScimError::changed());
                    }
                    (deleted, _) => deleted?,
                }
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            _ => Err(ScimError::method()),
        }
    }

    /// A resource is what the client saw (`If-Match`, RFC 7644 section 3.14).
    fn matched(&self, found: &Resource) -> Result<(), ScimError> {
        match &self.if_match {
            Some(tags) if !names(tags, found) => Err(ScimError::changed()),
            _ => Ok(()),
        }
    }

    /// Replaces a resource, or parts of it; made anew while somebody else changes it, unless the client named what it saw.
    async fn change(&self, kind: Kind, id: &str, body: &Value) -> Result<Resource, ScimError> {
        let mut tries = 0;
        loop {
            let found = self.one(kind, id)?;
            self.matched(&found)?;
            let known = if self.method == Method::PUT {
                self.told(kind, body)?
            } else {
                let mut state = patch::known(&found.body, kind.members())?;
                patch::apply(&mut state, body, kind.schema(), kind.members())?;
                state
            };
            let whole = (self.method == Method::PUT).then_some(body);
            match self.put(kind, id, &known, whole, found.revision).await {
                Err(error) if error.status == StatusCode::CONFLICT && tries < TRIES => {
                    if self.one(kind, id)?.revision == found.revision {
                        return Err(error);
                    }
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    /// What a directory writes of a resource, as a whole.
    fn told(&self, kind: Kind, body: &Value) -> Result<Map<String, Value>, ScimError> {
        let schemas = filter::get(body, "schemas").and_then(Value::as_array);
        let ours = |s: &Value| {
            s.as_str()
                .is_some_and(|s| s.eq_ignore_ascii_case(kind.schema()))
        };
        if !schemas.is_some_and(|all| all.iter().any(ours)) {
            let text = format!("`schemas` must name {}", kind.schema());
            return Err(ScimError::bad("invalidSyntax", text));
        }
        patch::known(body, kind.members())
    }

    /// All of a kind, each made when it is its turn: all of them at once may be a thousand times what a page holds.
    fn all(&self, kind: Kind) -> Result<Box<dyn Iterator<Item = Resource> + '_>, ScimError> {
        let (control, base) = (&self.site.app.control, &self.base);
        Ok(match kind {
            Kind::User => {
                let all = control.directory_users(&self.by)?.into_iter();
                Box::new(all.map(|u| resource::user(base, &u)))
            }
            Kind::Group => {
                let all = control.directory_groups(&self.by)?.into_iter();
                Box::new(all.map(|g| resource::group(base, &g)))
            }
            Kind::Agent => {
                let all = control.directory_agents(&self.by)?.into_iter();
                Box::new(all.map(|a| resource::agent(base, &a)))
            }
        })
    }

    fn one(&self, kind: Kind, id: &str) -> Result<Resource, ScimError> {
        let (control, base) = (&self.site.app.control, &self.base);
        Ok(match kind {
            Kind::User => resource::user(base, &control.directory_user(&self.by, id)?),
            Kind::Group => resource::group(base, &control.directory_group(&self.by, id)?),
            Kind::Agent => resource::agent(base, &control.directory_agent(&self.by, id)?),
        })
    }

    async fn make(
        &self,
        kind: Kind,
        known: &Map<String, Value>,
        body: &Value,
    ) -> Result<Resource, ScimError> {
        let (control, base) = (&self.site.app.control, &self.base);
        match kind {
            Kind::User => {
                let told = resource::user_told(known, Some(body))?;
                let made = control.make_directory_user(&self.by, &told).await?;
                Ok(resource::user(base, &made))
            }
            Kind::Group => {
                let told = resource::group_told(known)?;
                let made = control.put_directory_group(&self.by, None, &told).await?;
                Ok(resource::group(base, &made))
            }
            Kind::Agent => {
                let told = resource::agent_told(body)?;
                let made = control.make_directory_agent(&self.by, &told).await?;
                Ok(resource::agent(base, &made))
            }
        }
    }

    async fn put(
        &self,
        kind: Kind,
        id: &str,
        known: &Map<String, Value>,
        whole: Option<&Value>,
        seen: u64,
    ) -> Result<Resource, ScimError> {
        let (control, base) = (&self.site.app.control, &self.base);
        match kind {
            Kind::User => {
                let told = resource::user_told(known, whole)?;
                let put = control.put_directory_user(&self.by, id, &told, seen);
                Ok(resource::user(base, &put.await?))
            }
            Kind::Group => {
                let told = resource::group_told(known)?;
                let put = control.put_directory_group(&self.by, Some((id, seen)), &told);
                Ok(resource::group(base, &put.await?))
            }
            Kind::Agent => {
                let active = known.get("active").and_then(Value::as_bool);
                let found = control.directory_agent(&self.by, id)?;
                let named = whole.and_then(resource::agent_name);
                if named.is_some_and(|name| name != found.name.as_str()) {
                    let text = "an agent's name never changes; register another one";
                    return Err(ScimError::bad("mutability", text));
                }
                match active {
                    Some(true) if !found.active => Err(ScimError::bad(
                        "mutability",
                        "an agent is activated by people, who answer for it: `remit agent activate`",
                    )),
                    Some(false) => {
                        let stopped = control.stop_directory_agent(&self.by, id).await?;
                        Ok(resource::agent(base, &stopped))
                    }
                    _ => Ok(resource::agent(base, &found)),
                }
            }
        }
    }

    /// Whom a directory deletes has left; an agent that it deletes is stopped, and retired by people.
    async fn delete(&self, kind: Kind, id: &str, seen: Option<u64>) -> Result<(), ScimError> {
        let control = &self.site.app.control;
        match kind {
            Kind::User => control.delete_directory_user(&self.by, id, seen).await?,
            Kind::Group => control.delete_directory_group(&self.by, id, seen).await?,
            Kind::Agent => drop(control.stop_directory_agent(&self.by, id).await?),
        }
        Ok(())
    }
}

/// Whether a list of ETags names a resource as it is. Ours are weak, and compared so (RFC 7644 section 3.14).
fn names(tags: &str, found: &Resource) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.trim() == "*"
        || tags
            .split(',')
            .any(|tag| strong(tag) == strong(&found.etag()))
}
