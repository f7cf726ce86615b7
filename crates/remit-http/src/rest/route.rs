//! One row of the table: where, who, what in, what out, and what does it.

use std::any::TypeId;
use std::future::Future;
use std::sync::Arc;

use axum::http::Method;
use axum::response::Response;
use futures_util::future::BoxFuture;
use remit_domain::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ask::{Ask, Nothing, RawAsk, Reply};
use crate::identity::Identity;
use crate::problem::Problem;

/// Who may call a route. A route names all that may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Everybody, without a credential.
    Everybody,
    /// Any person of the organization.
    Person,
    /// A person of the organization with that role.
    Role(Role),
    /// An agent of the organization, with its own access token.
    Agent,
    /// The operator of the instance.
    Operator,
}

impl Who {
    /// Whether somebody is one of these.
    pub(crate) fn includes(self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Everybody, _)
            | (Self::Agent, Identity::Agent(_))
            | (Self::Operator, Identity::Operator) => true,
            (Self::Person, Identity::Person(_)) => true,
            (Self::Role(role), Identity::Person(person)) => person.holds(role),
            _ => false,
        }
    }

    /// In words, for the document and for whoever may not.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::Person => "any person",
            Self::Role(role) => role.as_str(),
            Self::Agent => "agent",
            Self::Operator => "operator",
        }
    }
}

/// Adds a type to the document.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What does it, with everything about its types forgotten.
pub(crate) type Handler =
    Arc<dyn Fn(RawAsk) -> BoxFuture<'static, Result<Response, Problem>> + Send + Sync>;

/// One row of the table.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Below the base, with `{name}` for what varies.
    pub(crate) path: &'static str,
    /// One line for whoever reads the document.
    pub(crate) summary: &'static str,
    pub(crate) who: &'static [Who],
    pub(crate) body: Option<SchemaOf>,
    pub(crate) query: Option<SchemaOf>,
    pub(crate) answer: Option<SchemaOf>,
    pub(crate) run: Handler,
}

impl Route {
    /// Whether it takes no credential.
    pub(crate) fn is_open(&self) -> bool {
        self.who.contains(&Who::Everybody)
    }

    /// Names of what varies in the path.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| {
            part.split_once('{')?
                .1
                .split_once('}')
                .map(|(name, _)| name)
        })
    }
}

fn schema_of<T: JsonSchema + 'static>() -> Option<SchemaOf> {
    let nothing = TypeId::of::<T>() == TypeId::of::<Nothing>();
    (!nothing).then_some(|generator: &mut SchemaGenerator| generator.subschema_for::<T>())
}

/// A row. Its schemas are those of the handler's own types, so that the document cannot say anything else.
pub(crate) fn route<B, Q, O, F, Fut>(
    method: Method,
    path: &'static str,
    who: &'static [Who],
    summary: &'static str,
    handler: F,
) -> Route
where
    B: DeserializeOwned + JsonSchema + Send + 'static,
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema + 'static,
    F: Fn(Ask<B, Q>) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply<O>, Problem>> + Send + 'static,
{
    let run: Handler = Arc::new(move |raw: RawAsk| {
        Box::pin(async move {
            let ask = raw.read::<B, Q>()?;
            handler(ask).await?.into_response()
        })
    });
    Route {
        method,
        path,
        summary,
        who,
        body: schema_of::<B>(),
        query: schema_of::<Q>(),
        answer: schema_of::<O>(),
        run,
    }
}
