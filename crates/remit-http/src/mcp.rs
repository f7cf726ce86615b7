//! The MCP endpoints: `/mcp` with every granted tool, `/mcp/{upstream}` with one upstream's own.
//!
//! Both revisions are served at the same address, told apart by each message. 2026-07-28 keeps nothing between requests.
//! 2025-11-25 gets a session id at `initialize`, which is sealed and carries everything about itself, so that any node
//! can serve it; it permits nothing, since every request brings its own token. Only such a session has a stream beside its
//! calls (GET), on which it hears of the resources that it subscribed to.
//!
//! Source: MCP 2026-07-28 and 2025-11-25, basic/transports/streamable-http, basic/lifecycle, basic/authorization.

mod answer;
mod approval;
mod call;
mod describe;
mod door;
mod list;
mod news;
mod outcome;
mod params;
mod question;
mod read;
mod session;
mod stream;
mod words;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use remit_gateway::{Action, Caller, Can, Endpoint, NotLetIn, Presented};
use remit_mcp::jsonrpc::code;
use remit_mcp::protocol::{LogLevel, header as mcp_header};
use remit_mcp::{ErrorObject, Id, Message, Method, MethodKind, Notification, Sender, results};
use remit_ports::upstreams::NotAnswered;
use serde_json::Value;

use crate::limits::DISCOVER_TTL_MS;
use crate::problem::Problem;
use crate::site::Site;

pub(crate) use session::Sessions;

use answer::{Reply, refused, result, rpc_error};
use call::Call;
use door::Door;
use outcome::Asked;
use read::Incoming;

/// The endpoints, for the organization of the path.
pub(crate) fn routes() -> Router<Site> {
    let endpoint = || routing::post(post).get(news::listen).delete(end);
    Router::new()
        .route("/mcp", endpoint())
        .route("/mcp/{upstream}", endpoint())
}

/// One message, and who sent it.
struct Turn {
    site: Site,
    door: Door,
    presented: Presented,
    caller: Caller,
    incoming: Incoming,
    /// What the client said that it can do, at the beginning of its session.
    can: Can,
}

async fn post(State(site): State<Site>, door: Door, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // Who sends nothing to be known by learns where to get a token, and nothing else.
    let presented = match door.token(&site, &parts).await {
        Ok(presented) => presented,
        Err(away) => return away,
    };
    let incoming = match read::incoming(&parts.headers, body).await {
        Ok(incoming) => incoming,
        Err(reply) => return reply.into_response(),
    };
    let caller = match site
        .app
        .gateway
        .caller(door.place.org(), &presented, &door.resource)
        .await
    {
        Ok(caller) => caller,
        Err(not) => {
            return not_let_in(&site, &door, &incoming, not)
                .await
                .into_response();
        }
    };
    let mut turn = Turn {
        site,
        door,
        presented,
        caller,
        incoming,
        can: Can::default(),
    };
    let reply = match turn.session_in_force() {
        Ok(can) => {
            turn.can = can;
            turn.serve().await
        }
        Err(reply) => reply,
    };
    reply.into_response()
}

/// Who is refused at the door: the gateway records it, within its limit, and a tool call is answered as one.
async fn not_let_in(site: &Site, door: &Door, incoming: &Incoming, not: NotLetIn) -> Reply {
    let asked = incoming.message.method().unwrap_or("an answer");
    let gateway = &site.app.gateway;
    let refusal = gateway
        .turn_away(door.place.org(), asked, not)
        .await
        .refusal;
    match (&incoming.message, door.refused(&refusal)) {
        (_, Some(challenge)) => challenge.into(),
        (Message::Request(request), None) if request.method == Method::ToolsCall.as_str() => {
            let asked = Asked::plain(request.id.clone(), Method::ToolsCall, incoming.revision);
            Reply::message(StatusCode::OK, asked.message(Err(refusal.into())))
        }
        _ => refused(door, incoming, &refusal),
    }
}

impl Turn {
    /// A session that is named must be this caller's, at this endpoint. None has to be named: each request brings its token.
    fn session_in_force(&self) -> Result<Can, Reply> {
        let initialize = self.incoming.message.method() == Some(Method::Initialize.as_str());
        let Some(id) = self.incoming.session().filter(|_| !initialize) else {
            return Ok(Can::default());
        };
        let sessions = &self.site.sessions;
        let opened = sessions.open(&self.site.app.books, id, &self.session_of());
        opened.ok_or_else(|| {
            let error = ErrorObject::new(
                code::INVALID_REQUEST,
                "this session is not known; begin again with initialize",
            );
            rpc_error(&self.incoming, error).with_status(StatusCode::NOT_FOUND)
        })
    }

    fn session_of(&self) -> session::Bound {
        session::Bound::new(self.door.place.org(), &self.caller, &self.door.resource)
    }

    async fn serve(self) -> Reply {
        let revision = self.incoming.revision;
        let request = match &self.incoming.message {
            Message::Request(request) => request,
            Message::Notification(notification) => return self.notified(notification),
            Message::Response { id, result } => {
                return self.answered(Some(id), Ok(Value::Object(result.clone())));
            }
            Message::Error { id, error } => {
                let ErrorObject {
                    code,
                    message,
                    data,
                } = error.clone();
                let no = NotAnswered {
                    code,
                    message,
                    data,
                };
                return self.answered(id.as_ref(), Err(no));
            }
        };
        let Some(method) = Method::sent_by(
            revision,
            Sender::Client,
            MethodKind::Request,
            &request.method,
        ) else {
            return self.unknown_method();
        };
        match method {
            Method::Initialize => self.initialize(),
            Method::Discover => self.discover(),
            Method::Ping => result(&self.incoming, method, Object::new(), 0),
            Method::LoggingSetLevel => self.set_level(),
            Method::ResourcesSubscribe if self.at_one() => self.subscribe().await,
            Method::ResourcesUnsubscribe if self.at_one() => self.unsubscribe(),
            Method::ToolsList => self.list_tools().await,
            Method::ToolsCall => match Call::tool(&self) {
                Ok(call) => self.call(method, call).await,
                Err(error) => rpc_error(&self.incoming, error),
            },
            method => match self.action(method) {
                Some(action) => match Call::action(&self, action) {
                    Ok(call) => self.call(method, call).await,
                    Err(error) => rpc_error(&self.incoming, error),
                },
                None => self.unknown_method(),
            },
        }
    }

    /// What is neither a tool call nor answered here is decided as a call of a pseudo tool, at one upstream's endpoint only.
    fn action(&self, method: Method) -> Option<Action> {
        let action = match method {
            Method::ResourcesRead => Action::ReadResource,
            Method::ResourcesList => Action::ListResources,
            Method::ResourceTemplatesList => Action::ListResourceTemplates,
            Method::PromptsList => Action::ListPrompts,
            Method::PromptsGet => Action::GetPrompt,
            Method::Complete => Action::Complete,
            _ => return None,
        };
        self.at_one().then_some(action)
    }

    fn at_one(&self) -> bool {
        matches!(self.door.endpoint, Endpoint::One(_))
    }

    /// An answer to a question that the client was asked. One without a question is accepted, as 2025-11-25 wants it, and
    /// goes nowhere.
    fn answered(&self, id: Option<&Id>, answer: Result<Value, NotAnswered>) -> Reply {
        if let (Some(session), Some(id)) = (self.incoming.session(), id) {
            self.site.sessions.questions.answered(session, id, answer);
        }
        Reply::accepted()
    }

    fn unknown_method(&self) -> Reply {
        let error = ErrorObject::new(code::METHOD_NOT_FOUND, "this method is not offered here");
        rpc_error(&self.incoming, error)
    }

    /// Which log messages of calls a session wants to see. Without a session there is nothing to keep it with.
    fn set_level(&self) -> Reply {
        let params = self.incoming.message.params();
        let Some(level) = params.and_then(|p| p.get("level")).and_then(LogLevel::read) else {
            let error = ErrorObject::new(code::INVALID_PARAMS, "`level` must be a log level");
            return rpc_error(&self.incoming, error);
        };
        if let Some(session) = self.incoming.session() {
            self.site.sessions.set_level(session, level);
        }
        result(&self.incoming, Method::LoggingSetLevel, Object::new(), 0)
    }

    fn initialize(&self) -> Reply {
        let capabilities = describe::capabilities(&self.door, self.incoming.revision);
        let body = results::initialize(
            capabilities,
            Some(describe::INSTRUCTIONS),
            &describe::server(),
        );
        let reply = result(&self.incoming, Method::Initialize, body, 0);
        let said = self.incoming.message.params();
        let said = said.and_then(|p| p.get("capabilities")?.as_object());
        let can = Can::read(said);
        let sessions = &self.site.sessions;
        match sessions.mint(&self.site.app.books, &self.session_of(), can) {
            Some(id) => reply.with_header(mcp_header::SESSION_ID, &id),
            // Without a session everything still works, but for cancelling by request id.
            None => reply,
        }
    }

    fn discover(&self) -> Reply {
        let capabilities = describe::capabilities(&self.door, self.incoming.revision);
        let body = results::discover(
            capabilities,
            Some(describe::INSTRUCTIONS),
            &describe::server(),
            DISCOVER_TTL_MS,
        );
        result(&self.incoming, Method::Discover, body, DISCOVER_TTL_MS)
    }

    fn notified(&self, notification: &Notification) -> Reply {
        let known = Method::sent_by(
            self.incoming.revision,
            Sender::Client,
            MethodKind::Notification,
            &notification.method,
        );
        match known {
            None => {
                let error = ErrorObject::new(
                    code::METHOD_NOT_FOUND,
                    "this notification is not known here",
                );
                rpc_error(&self.incoming, error).with_status(StatusCode::BAD_REQUEST)
            }
            Some(Method::Cancelled) => {
                let id = notification
                    .params
                    .as_ref()
                    .and_then(|p| p.get("requestId"))
                    .and_then(remit_mcp::Id::read);
                if let (Some(session), Some(id)) = (self.incoming.session(), id) {
                    self.site.sessions.cancel(session, &id);
                }
                Reply::accepted()
            }
            Some(_) => Reply::accepted(),
        }
    }
}

/// No stream outside of an answer (2025-11-25 permits 405 here, 2026-07-28 demands it).
async fn no_stream() -> Response {
    let problem = Problem::invalid("this endpoint is called with POST")
        .with_status(StatusCode::METHOD_NOT_ALLOWED);
    (
        [(header::ALLOW, HeaderValue::from_static("POST, GET, DELETE"))],
        problem,
    )
        .into_response()
}

/// Ends a 2025-11-25 session.
async fn end(State(site): State<Site>, door: Door, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let presented = match door.token(&site, &parts).await {
        Ok(presented) => presented,
        Err(away) => return away,
    };
    let headers = &parts.headers;
    let caller = match site
        .app
        .gateway
        .caller(door.place.org(), &presented, &door.resource)
        .await
    {
        Ok(caller) => caller,
        Err(not) => {
            let away = site
                .app
                .gateway
                .turn_away(door.place.org(), "session/end", not);
            let refusal = away.await.refusal;
            return door
                .refused(&refusal)
                .unwrap_or_else(|| Problem::from(refusal).into_response());
        }
    };
    let stateless = headers
        .get(mcp_header::PROTOCOL_VERSION)
        .is_some_and(|v| v == "2026-07-28");
    let id = headers
        .get(mcp_header::SESSION_ID)
        .and_then(|v| v.to_str().ok())
        .filter(|_| !stateless);
    let bound = session::Bound::new(door.place.org(), &caller, &door.resource);
    match id {
        None => no_stream().await,
        Some(id) if site.sessions.end(&site.app.books, id, &bound) => {
            StatusCode::NO_CONTENT.into_response()
        }
        Some(_) => Problem::not_found("this session is not known").into_response(),
    }
}

/// A JSON object, as the methods of this room pass it on.
type Object = serde_json::Map<String, Value>;
