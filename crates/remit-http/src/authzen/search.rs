//! Subject, Resource and Action Search (Authorization API 1.0 §8).
//!
//! A subject search goes through the agents assigned to the point; a resource search through the tools in use, or the
//! objects that grants name; an action search through the tools of an upstream. Each candidate is evaluated as if it had
//! been asked about: a search finds nothing that an evaluation would deny. Tools without arguments in the context are found
//! as lists of tools show them: when they are not surely denied.

use axum::Json;
use axum::extract::{Request, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_domain::enforcement_point::AGENT;
use remit_gateway::{Advice, Verdict};
use remit_mcp::CanonicalArgs;
use remit_mcp::Sha256Digest;
use remit_mcp::json::JsonObject;
use serde_json::{Value, json};

use super::entity::{Action, Entity, object, text};
use super::read::{CALL, Evaluation, TOOL, tool_of};
use super::{Asker, NotAnswered};
use crate::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::site::Site;

/// Which page: how many, and after which result.
struct Page {
    limit: usize,
    after: Option<String>,
    /// What the token is good for: the same question and nothing else.
    of: String,
}

impl Page {
    fn read(body: &JsonObject) -> Result<Self, NotAnswered> {
        let wrong = || {
            NotAnswered::invalid(
                "`page.token` is not one that this search gave; begin again without it",
            )
        };
        let page = object(body, "", "page")?;
        let limit = match page.and_then(|p| p.get("limit")) {
            None | Some(Value::Null) => u64::from(PAGE_DEFAULT),
            Some(limit) => limit.as_u64().ok_or_else(|| {
                NotAnswered::invalid("`page.limit` must be a whole number, not negative")
            })?,
        };
        let limit = usize::try_from(limit.clamp(1, u64::from(PAGE_MAX))).unwrap_or(1);
        let mut asked = body.clone();
        asked.remove("page");
        let of = remit_mcp::canonical::jcs_object(&asked)
            .map_err(|e| NotAnswered::invalid(e.to_string()))?;
        let of = Sha256Digest::of(of.as_bytes()).to_string();
        let token = match page {
            Some(page) => text(page, "page.", "token")?,
            None => None,
        };
        let after = match token {
            None => None,
            Some(token) => {
                let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
                let plain = String::from_utf8(bytes).map_err(|_| wrong())?;
                let (question, after) = plain.split_once(' ').ok_or_else(wrong)?;
                if question != of {
                    return Err(wrong());
                }
                Some(after.to_owned())
            }
        };
        Ok(Self { limit, after, of })
    }

    /// The results after the last page, and where the next one begins.
    fn answer(&self, found: Vec<(String, Value)>) -> Json<Value> {
        let after = self.after.as_deref();
        let left = found
            .into_iter()
            .filter(|(key, _)| after.is_none_or(|a| key.as_str() > a));
        let mut left: Vec<_> = left.collect();
        let more = left.len() > self.limit;
        left.truncate(self.limit);
        let next = left
            .last()
            .filter(|_| more)
            .map(|(key, _)| URL_SAFE_NO_PAD.encode(format!("{} {key}", self.of)));
        let page = json!({ "next_token": next.unwrap_or_default(), "count": left.len() });
        let results: Vec<Value> = left.into_iter().map(|(_, value)| value).collect();
        Json(json!({ "page": page, "results": results }))
    }
}

fn permits(advice: &Advice) -> bool {
    matches!(advice.verdict, Verdict::Allow | Verdict::Approved(_))
}

/// `POST /access/v1/search/subject`.
pub(super) async fn subject(
    state: State<Site>,
    request: Request,
) -> Result<Json<Value>, NotAnswered> {
    let (asker, _, body) = Asker::with_body(state, request).await?;
    let body = body.as_object().cloned().unwrap_or_default();
    let page = Page::read(&body)?;
    let kind = Entity::read(&body, "subject", true)?;
    let (action, resource) = (
        Action::read(&body)?,
        Entity::read(&body, "resource", false)?,
    );
    let context = object(&body, "", "context")?.cloned().unwrap_or_default();
    let candidates = asker.subjects(&kind);
    asker.count(candidates.len().max(1))?;
    let mut found = Vec::new();
    for id in candidates {
        let evaluation = Evaluation {
            subject: Entity {
                id: Some(id.clone()),
                ..kind.clone()
            },
            action: action.clone(),
            resource: resource.clone(),
            context: context.clone(),
        };
        if asker.permitted(&evaluation).await {
            found.push((id.clone(), json!({ "type": kind.kind, "id": id })));
        }
    }
    Ok(page.answer(found))
}

/// `POST /access/v1/search/resource`.
pub(super) async fn resource(
    state: State<Site>,
    request: Request,
) -> Result<Json<Value>, NotAnswered> {
    let (asker, _, body) = Asker::with_body(state, request).await?;
    let body = body.as_object().cloned().unwrap_or_default();
    let page = Page::read(&body)?;
    let kind = Entity::read(&body, "resource", true)?;
    let (subject, action) = (Entity::read(&body, "subject", false)?, Action::read(&body)?);
    let context = object(&body, "", "context")?.cloned().unwrap_or_default();
    let candidates = if kind.kind == TOOL {
        let tools = asker.site.app.gateway.tools_in_use(asker.place.org(), None);
        tools.iter().map(ToString::to_string).collect()
    } else {
        asker.objects(&subject, &kind.kind, &action.name)
    };
    asker.count(candidates.len().max(1))?;
    let mut found = Vec::new();
    for id in candidates {
        let evaluation = Evaluation {
            subject: subject.clone(),
            action: action.clone(),
            resource: Entity {
                id: Some(id.clone()),
                ..kind.clone()
            },
            context: context.clone(),
        };
        if asker.permitted(&evaluation).await {
            found.push((id.clone(), json!({ "type": kind.kind, "id": id })));
        }
    }
    Ok(page.answer(found))
}

/// `POST /access/v1/search/action`.
pub(super) async fn action(
    state: State<Site>,
    request: Request,
) -> Result<Json<Value>, NotAnswered> {
    let (asker, _, body) = Asker::with_body(state, request).await?;
    let body = body.as_object().cloned().unwrap_or_default();
    let page = Page::read(&body)?;
    let subject = Entity::read(&body, "subject", false)?;
    let resource = Entity::read(&body, "resource", false)?;
    let context = object(&body, "", "context")?.cloned().unwrap_or_default();
    let candidates: Vec<String> = if resource.kind == TOOL {
        vec![CALL.to_owned()]
    } else {
        let upstream = resource.kind.parse().ok();
        let tools = upstream.map(|u| {
            asker
                .site
                .app
                .gateway
                .tools_in_use(asker.place.org(), Some(&u))
        });
        tools
            .iter()
            .flatten()
            .map(|t| t.tool().to_owned())
            .collect()
    };
    asker.count(candidates.len().max(1))?;
    let mut found = Vec::new();
    for name in candidates {
        let evaluation = Evaluation {
            subject: subject.clone(),
            action: Action {
                name: name.clone(),
                properties: JsonObject::new(),
            },
            resource: resource.clone(),
            context: context.clone(),
        };
        if asker.permitted(&evaluation).await {
            found.push((name.clone(), json!({ "name": name })));
        }
    }
    Ok(page.answer(found))
}

impl Asker {
    /// The point's agents by names of that sort, ordered.
    fn subjects(&self, kind: &Entity) -> Vec<String> {
        let registry = self.place.book.registry();
        let agents = self.point.point.agents.iter();
        let mut ids: Vec<String> = if kind.kind == AGENT {
            let named = agents.filter_map(|a| registry.agents.get(&a.agent));
            named.map(|a| a.name.to_string()).collect()
        } else {
            let subjects = agents.filter_map(|a| a.subject.as_ref());
            let of_kind = subjects.filter(|s| s.kind == kind.kind);
            of_kind.map(|s| s.id.clone()).collect()
        };
        ids.sort();
        ids
    }

    /// The objects of an upstream that grants of the subject name, for that action.
    fn objects(&self, subject: &Entity, kind: &str, action: &str) -> Vec<String> {
        let registry = self.place.book.registry();
        let Some(tool) = tool_of(kind, action) else {
            return Vec::new();
        };
        let question = self.agent(&registry, subject).ok().and_then(|agent| {
            let none = CanonicalArgs::empty().ok()?;
            self.about(&registry, agent, subject, tool, none).ok()
        });
        drop(registry);
        let gateway = &self.site.app.gateway;
        question
            .map(|q| gateway.granted_objects(&q))
            .unwrap_or_default()
    }

    /// Whether an evaluation permits. What is not this point's is not found, and nothing more is said of it.
    async fn permitted(&self, evaluation: &Evaluation) -> bool {
        let Ok(question) = self.question(evaluation) else {
            return false;
        };
        let gateway = &self.site.app.gateway;
        if evaluation.resource.kind == TOOL && !evaluation.context.contains_key("arguments") {
            return gateway.could(&question).await;
        }
        gateway
            .advise(&question)
            .await
            .is_ok_and(|advice| permits(&advice))
    }
}
