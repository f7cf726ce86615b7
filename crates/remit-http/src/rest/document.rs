//! Documents: what would change, changing it, and their schemas.

use axum::http::Method;
use remit_control::{Applied, DocumentKind, Plan, schema};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::table::{ADMIN, ANYBODY};
use super::{Ask, Reply, Route, route};
use crate::problem::Problem;

#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/plan", ADMIN, "What documents would change", plan),
        route(Method::POST, "/apply", ADMIN, "Change what documents say", apply),
        route(Method::GET, "/schemas", ANYBODY, "Kinds of documents", kinds),
        route(Method::GET, "/schemas/{kind}", ANYBODY, "JSON Schema of a kind of document, such as `agent.json`", json_schema),
    ]
}

/// Documents.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Documents {
    /// YAML, one or more documents.
    documents: String,
    /// Always false: nothing is removed because a file no longer has it.
    #[serde(default)]
    prune: bool,
    /// Hash of the plan that was looked at; what has changed since is refused.
    #[serde(default)]
    expect: Option<String>,
}

impl Documents {
    fn check(&self) -> Result<(), Problem> {
        let text =
            "`prune` is not offered: records are never removed; retire, disable or suspend them";
        if self.prune {
            Err(Problem::invalid(text))
        } else {
            Ok(())
        }
    }
}

async fn plan(ask: Ask<Documents>) -> Result<Reply<Plan>, Problem> {
    ask.body.check()?;
    Ok(ask
        .site
        .app
        .control
        .plan(&ask.caller()?, &ask.body.documents)?
        .into())
}

async fn apply(ask: Ask<Documents>) -> Result<Reply<Applied>, Problem> {
    ask.body.check()?;
    let expect = ask.body.expect.as_deref();
    Ok(ask
        .site
        .app
        .control
        .apply(&ask.caller()?, &ask.body.documents, expect)
        .await?
        .into())
}

/// A kind of document.
#[derive(serde::Serialize, JsonSchema)]
struct KindView {
    /// The kind, as documents write it.
    kind: &'static str,
    /// What it is, in a line.
    about: String,
}

/// Every kind there is.
#[derive(serde::Serialize, JsonSchema)]
struct Kinds {
    /// The kinds, in the order in which they depend on each other.
    items: Vec<KindView>,
}

async fn kinds(_: Ask) -> Result<Reply<Kinds>, Problem> {
    let view = |kind: DocumentKind| {
        let schema = schema(kind).to_value();
        let spec = schema
            .pointer("/properties/spec/$ref")
            .and_then(Value::as_str);
        let spec = spec.and_then(|at| schema.pointer(at.trim_start_matches('#')));
        let about = spec
            .and_then(|s| s.get("description"))
            .and_then(Value::as_str);
        let about = about.unwrap_or_default().split("\n\n").next();
        KindView {
            kind: kind.as_str(),
            about: about.unwrap_or_default().replace('\n', " "),
        }
    };
    let items = DocumentKind::ALL.into_iter().map(view).collect();
    Ok(Kinds { items }.into())
}

async fn json_schema(ask: Ask) -> Result<Reply<Value>, Problem> {
    let named: String = ask.named("kind")?;
    let kind = DocumentKind::parse(named.strip_suffix(".json").unwrap_or(&named));
    let kind = kind.ok_or_else(|| {
        let kinds: Vec<_> = DocumentKind::ALL.iter().map(|k| k.as_str()).collect();
        Problem::not_found(format!(
            "no such kind of document is here; there are: {}",
            kinds.join(", ")
        ))
    })?;
    Ok(schema(kind).to_value().into())
}
