//! Envoy's external authorization: a request that a gateway holds back until its call is decided.
//!
//! Envoy asks with the token of an enforcement point; the request it asks about carries the agent's own access token, or comes
//! over a connection whose certificate names the agent. The point's routes say which request is which call; what no route fits
//! is denied, and so is everything of which not the whole was seen. An allowed request is a decision that took effect: its
//! outcome comes with Envoy's access log, or to `/access/v1/outcome`, and is a gap otherwise.
//!
//! | to | go to |
//! | --- | --- |
//! | know how a request is read | [`read`], and `by_route.rs` |
//! | see what is answered | [`answer`] |
//! | take in outcomes | [`log`] |
//!
//! Source: Envoy API v3, `envoy.service.auth.v3.Authorization` and `envoy.service.accesslog.v3.AccessLogService`, as generated in
//! the crate `envoy-types`.

mod answer;
mod log;
mod read;

use axum::Router;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response as HttpResponse;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::AccessLogServiceServer;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{
    Authorization, AuthorizationServer,
};
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use remit_domain::{AgentId, Refusal, RefusalCode, RunId, WorkflowId};
use remit_gateway::{Caller, NotLetIn, Passes, Presented, Question, Refused};
use remit_issuer::VerifiedPoint;
use tonic::{Code, Request, Response, Status};

use crate::authzen;
use crate::guard::in_time;
use crate::limits::ENVOY_MESSAGE_BYTES_MAX;
use crate::problem::Problem;
use crate::site::{Place, Site};

use read::{Call, Seen};

/// This door, in records.
const DOOR: &str = "envoy";
/// Type of a subject that is named by the certificate of its connection.
const SPIFFE: &str = "spiffe";
/// Metadata that names the organization; it is the default one where there is none. A path of gRPC has no place for it.
const ORGANIZATION: HeaderName = HeaderName::from_static("remit-organization");

/// The gRPC services for Envoy, at the paths that gRPC gives them.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    let gate = Gate { site: site.clone() };
    let checks =
        AuthorizationServer::new(gate.clone()).max_decoding_message_size(ENVOY_MESSAGE_BYTES_MAX);
    let logs = AccessLogServiceServer::new(gate).max_decoding_message_size(ENVOY_MESSAGE_BYTES_MAX);
    let checks = Router::new()
        .route_service("/envoy.service.auth.v3.Authorization/Check", checks)
        .layer(from_fn(in_time));
    let logs = Router::new().route_service(
        "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
        logs,
    );
    checks
        .merge(logs)
        .layer(from_fn_with_state(site.clone(), known))
}

/// The point that asks, and where.
#[derive(Clone)]
struct Asker {
    place: Place,
    point: VerifiedPoint,
}

/// Lets in who has proved to be an enforcement point. Nothing else of a message is looked at before, not even its form.
async fn known(State(site): State<Site>, mut request: HttpRequest, next: Next) -> HttpResponse {
    match who_asks(&site, request.headers()).await {
        Ok(asker) => {
            request.extensions_mut().insert(asker);
            next.run(request).await
        }
        Err(problem) => turned_away(&problem),
    }
}

/// An answer without a message, with the status of HTTP as well, by which refused credentials are counted.
fn turned_away(problem: &Problem) -> HttpResponse {
    let code = match problem.status() {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ => Code::PermissionDenied,
    };
    let mut response = Status::new(code, problem.detail.clone()).into_http();
    *response.status_mut() = problem.status();
    response
}

async fn who_asks(site: &Site, headers: &HeaderMap) -> Result<Asker, Problem> {
    let named = headers.get(&ORGANIZATION);
    let unknown = |_| Problem::not_found("`remit-organization` is no name of an organization");
    let named = named
        .map(|name| name.to_str())
        .transpose()
        .map_err(unknown)?;
    let place = Place::named(site, named)?;
    let point = authzen::point(site, &place, headers, DOOR).await?;
    Ok(Asker { place, point })
}

/// What answers Envoy.
#[derive(Clone)]
struct Gate {
    site: Site,
}

/// The point behind a call, put there by [`known`].
fn asker<T>(request: &Request<T>) -> Result<Asker, Status> {
    let found = request.extensions().get::<Asker>().cloned();
    found.ok_or_else(|| Status::unauthenticated("no enforcement point has proved itself"))
}

#[tonic::async_trait]
impl Authorization for Gate {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let asker = asker(&request)?;
        let (gate, request) = (self.clone(), request.into_inner());
        // What was begun is ended, whether or not Envoy waits for it.
        let task = tokio::spawn(async move { gate.answer(&asker, &request).await });
        let answer = task
            .await
            .map_err(|_| Status::internal("the check broke off"))?;
        Ok(Response::new(answer))
    }
}

impl Gate {
    async fn answer(&self, asker: &Asker, request: &CheckRequest) -> CheckResponse {
        let gateway = &self.site.app.gateway;
        if let Err(refusal) = gateway.count_questions(&asker.point.point.id, 1) {
            return answer::denied(&refusal.into());
        }
        let question = match self.question(asker, request).await {
            Ok(question) => question,
            Err(refused) => return answer::denied(&refused),
        };
        match gateway.enforce(&question).await {
            Ok(enforced) => answer::allowed(&enforced),
            Err(refused) => answer::denied(&refused),
        }
    }

    /// What Envoy asks. What is not understood whole is refused, and recorded.
    async fn question(&self, asker: &Asker, request: &CheckRequest) -> Result<Question, Refused> {
        let gateway = &self.site.app.gateway;
        let (org, point) = (asker.place.org(), &asker.point.point);
        let read = || {
            let seen = Seen::of(request)?;
            let call = Call::of(&asker.place.book.registry(), point, &seen)?;
            Ok((seen, call))
        };
        let named = read::named(request);
        let (seen, call) = match read() {
            Ok(read) => read,
            Err(refusal) => {
                return Err(gateway.refuse_point(org, &point.id, &named, refusal).await);
            }
        };
        let who = match self.who(asker, &seen, &call).await {
            Ok(who) => who,
            Err(not) => return Err(gateway.turn_away(org, &named, not).await),
        };
        Ok(Question {
            org: org.clone(),
            point: std::sync::Arc::clone(point),
            key: asker.point.thumbprint.clone(),
            agent: who.agent,
            workflow: who.workflow,
            run: who.run,
            tool: call.tool,
            arguments: call.arguments,
            // Envoy passes the body on as it came, and the answer as it comes.
            passes: Passes::Unseen,
        })
    }

    /// The agent: by its own token, which goes no further, or else by the certificate that Envoy has verified.
    async fn who(&self, asker: &Asker, seen: &Seen<'_>, call: &Call) -> Result<Who, NotLetIn> {
        if let Some(token) = &seen.bearer {
            let upstream = call.tool.upstream();
            let resource = format!("{}/mcp/{upstream}", asker.place.base);
            let gateway = &self.site.app.gateway;
            let caller = gateway
                .caller(
                    asker.place.org(),
                    &Presented::bearer(token.clone()),
                    &resource,
                )
                .await?;
            return Ok(Who::from(caller));
        }
        let point = &asker.point.point;
        let known = seen.principal.and_then(|id| point.known_as(SPIFFE, id));
        let known = known.ok_or_else(|| {
            let text = "the request names no agent: it needs `Authorization: Bearer` with the agent's access token";
            Refusal::new(RefusalCode::Unauthenticated, text)
        })?;
        Ok(Who {
            agent: known.agent.clone(),
            workflow: known.workflow.clone(),
            run: None,
        })
    }
}

/// Who calls.
struct Who {
    agent: AgentId,
    workflow: Option<WorkflowId>,
    run: Option<RunId>,
}

impl From<Caller> for Who {
    fn from(caller: Caller) -> Self {
        Self {
            agent: caller.agent,
            workflow: Some(caller.workflow),
            run: Some(caller.run),
        }
    }
}
