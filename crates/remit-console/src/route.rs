//! One row of the table: where, who, and what makes it.

use std::future::Future;
use std::sync::Arc;

use axum::http::Method;
use futures_util::future::BoxFuture;
use remit_domain::Role;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::fault::Fault;

/// Who may open a page. What they may do with one record is decided in control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Everybody, signed in or not.
    Everybody,
    /// Whoever is signed in here.
    Person,
    /// Whoever is signed in here with one of these roles.
    Roles(&'static [Role]),
}

impl Who {
    /// Whether a person with these roles may.
    pub(crate) fn includes(self, holds: impl Fn(Role) -> bool) -> bool {
        match self {
            Self::Everybody | Self::Person => true,
            Self::Roles(roles) => roles.iter().any(|role| holds(*role)),
        }
    }

    /// The roles, in words.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Everybody | Self::Person => "everybody who is signed in".to_owned(),
            Self::Roles(roles) => roles
                .iter()
                .map(|r| r.as_str())
                .collect::<Vec<_>>()
                .join(" or "),
        }
    }
}

pub(crate) const EVERYBODY: Who = Who::Everybody;
pub(crate) const PERSON: Who = Who::Person;
pub(crate) const ADMIN: Who = Who::Roles(&[Role::Admin]);
pub(crate) const AUDITOR: Who = Who::Roles(&[Role::Auditor]);
pub(crate) const ADMIN_AUDITOR: Who = Who::Roles(&[Role::Admin, Role::Auditor]);
pub(crate) const ADMIN_DEVELOPER: Who = Who::Roles(&[Role::Admin, Role::Developer]);
pub(crate) const RESPONDER_ADMIN: Who = Who::Roles(&[Role::Responder, Role::Admin]);
pub(crate) const RESPONDER_ADMIN_AUDITOR: Who =
    Who::Roles(&[Role::Responder, Role::Admin, Role::Auditor]);

/// What makes an answer.
pub(crate) type Handler =
    Arc<dyn Fn(Ask) -> BoxFuture<'static, Result<Answer, Fault>> + Send + Sync>;

/// One row of the table.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// With `{name}` for what varies.
    pub(crate) path: &'static str,
    pub(crate) who: Who,
    pub(crate) run: Handler,
    /// Whether pages ask it by themselves, so that it is no use of a session.
    pub(crate) is_watch: bool,
}

fn route<F, Fut>(method: Method, path: &'static str, who: Who, handler: F) -> Route
where
    F: Fn(Ask) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<Answer, Fault>> + Send + 'static,
{
    let run: Handler = Arc::new(move |ask| Box::pin(handler(ask)));
    Route {
        method,
        path,
        who,
        run,
        is_watch: false,
    }
}

/// A page.
pub(crate) fn page<F, Fut>(path: &'static str, who: Who, handler: F) -> Route
where
    F: Fn(Ask) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<Answer, Fault>> + Send + 'static,
{
    route(Method::GET, path, who, handler)
}

/// What an open page asks by itself, again and again.
pub(crate) fn watch<F, Fut>(path: &'static str, who: Who, handler: F) -> Route
where
    F: Fn(Ask) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<Answer, Fault>> + Send + 'static,
{
    Route {
        is_watch: true,
        ..page(path, who, handler)
    }
}

/// Something that changes something. The form's token was checked before the handler runs.
pub(crate) fn act<F, Fut>(path: &'static str, who: Who, handler: F) -> Route
where
    F: Fn(Ask) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<Answer, Fault>> + Send + 'static,
{
    route(Method::POST, path, who, handler)
}
