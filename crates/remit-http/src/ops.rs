//! What those who run the server look at: is it alive, is it ready, what does it do.
//!
//! Label sets are closed: no organization, agent, person, path or other word of a caller ever becomes a label.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use remit_domain::RefusalCode;
use serde_json::json;

use crate::site::Site;

/// Part of the outside contract that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Surface {
    Mcp,
    OAuth,
    Rest,
    Ledger,
    AuthZen,
    Envoy,
    Operations,
    Other,
}

impl Surface {
    /// The surface of a route.
    pub(crate) fn of(route: &str) -> Self {
        let route = route.strip_prefix("/t/{org}").unwrap_or(route);
        let within = |prefix: &str| {
            route
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match route {
            _ if within("/mcp") => Self::Mcp,
            _ if within("/oauth2") || within("/.well-known") => Self::OAuth,
            _ if within("/api/v1") => Self::Rest,
            _ if within("/log") => Self::Ledger,
            _ if within("/access/v1") => Self::AuthZen,
            _ if route.starts_with("/envoy.") => Self::Envoy,
            "/livez" | "/readyz" | "/metrics" => Self::Operations,
            _ => Self::Other,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::OAuth => "oauth",
            Self::Rest => "rest",
            Self::Ledger => "ledger",
            Self::AuthZen => "authzen",
            Self::Envoy => "envoy",
            Self::Operations => "operations",
            Self::Other => "other",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answers {
    surface: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Word {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

/// What came of a call, as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It was allowed and answered.
    Allowed,
    /// People are asked.
    Asked(RefusalCode),
    /// The answer is no.
    Denied(RefusalCode),
    /// It was allowed, and then did not succeed.
    Failed(RefusalCode),
    /// It was refused before it came to a decision.
    Refused(RefusalCode),
}

/// The counters.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answers, Counter>,
    decisions: Family<Word, Counter>,
    refusals: Family<Code, Counter>,
    admits: Counter,
    durations: Histogram,
    in_flight: Gauge,
    in_work: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("remit");
        let requests = Family::<Answers, Counter>::default();
        let decisions = Family::<Word, Counter>::default();
        let refusals = Family::<Code, Counter>::default();
        let admits = Counter::default();
        // 0.5 ms to 16 s.
        let durations = Histogram::new(exponential_buckets(0.000_5, 2.0, 16));
        let in_flight = Gauge::default();
        let in_work = Gauge::default();
        registry.register("http_requests", "Answered requests", requests.clone());
        registry.register(
            "decisions",
            "Decisions on calls, by what they came to",
            decisions.clone(),
        );
        registry.register(
            "refusals",
            "Calls that were refused, by refusal code",
            refusals.clone(),
        );
        registry.register(
            "admits",
            "Decisions that were durably recorded and answered",
            admits.clone(),
        );
        registry.register_with_unit(
            "call_duration",
            "Time from a call's arrival to its answer",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register(
            "calls_in_flight",
            "Calls sent to upstreams and not answered yet, on this node",
            in_flight.clone(),
        );
        registry.register(
            "calls_in_work",
            "Calls received and not answered yet, on this node",
            in_work.clone(),
        );
        Self {
            registry,
            requests,
            decisions,
            refusals,
            admits,
            durations,
            in_flight,
            in_work,
        }
    }

    pub(crate) fn answered(&self, surface: Surface, status: u16) {
        self.requests
            .get_or_create(&Answers {
                surface: surface.as_str(),
                status,
            })
            .inc();
    }

    /// A call has come; counted as in work until the guard goes.
    pub(crate) fn call(&self) -> InWork {
        self.in_work.inc();
        InWork(self.in_work.clone())
    }

    /// A call was answered.
    pub(crate) fn call_answered(&self, counted: Counted, took: std::time::Duration) {
        self.durations.observe(took.as_secs_f64());
        let (outcome, code) = match counted {
            Counted::Allowed => (Some("allow"), None),
            Counted::Asked(code) => (Some("ask"), Some(code)),
            Counted::Denied(code) => (Some("deny"), Some(code)),
            Counted::Failed(code) => (Some("allow"), Some(code)),
            Counted::Refused(code) => (None, Some(code)),
        };
        if let Some(outcome) = outcome {
            self.decisions.get_or_create(&Word { outcome }).inc();
            self.admits.inc();
        }
        if let Some(code) = code {
            self.refusals
                .get_or_create(&Code {
                    code: code.as_str(),
                })
                .inc();
        }
    }
}

/// Counts a call as in work until it goes.
pub(crate) struct InWork(Gauge);

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The endpoints.
pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route(
            "/livez",
            routing::get(|| async { Json(json!({ "live": true })) }),
        )
        .route("/readyz", routing::get(ready))
        .route("/metrics", routing::get(metrics))
}

/// Ready: the store answers, and changes of other nodes arrive. Otherwise every decision would be no.
async fn ready(State(site): State<Site>) -> Response {
    let store = site.app.books.store();
    let checks = [
        ("store", store.ping().await.is_ok()),
        ("feed", store.is_fresh()),
    ];
    let ready = checks.iter().all(|(_, ok)| *ok);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({ "ready": ready, "checks": checks.iter().map(|(name, ok)| json!({ "name": name, "ok": ok })).collect::<Vec<_>>() });
    (status, Json(body)).into_response()
}

async fn metrics(State(site): State<Site>) -> Response {
    let in_flight = i64::try_from(site.app.books.in_flight().count()).unwrap_or(i64::MAX);
    site.metrics.in_flight.set(in_flight);
    let mut text = String::new();
    match encode(&mut text, &site.metrics.registry) {
        Ok(()) => (
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => crate::problem::Problem::internal(&error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_fall_into_a_closed_set_of_surfaces() {
        for (route, surface) in [
            ("/mcp", Surface::Mcp),
            ("/t/{org}/mcp/{upstream}", Surface::Mcp),
            ("/mcpx", Surface::Other),
            ("/oauth2/token", Surface::OAuth),
            (
                "/.well-known/oauth-authorization-server/t/{org}",
                Surface::OAuth,
            ),
            ("/t/{org}/api/v1/agents/{name}", Surface::Rest),
            ("/log/{*path}", Surface::Ledger),
            ("/livez", Surface::Operations),
            ("other", Surface::Other),
        ] {
            assert_eq!(Surface::of(route), surface, "{route}");
        }
    }

    #[test]
    fn metrics_are_text_with_closed_labels() {
        let metrics = Metrics::new();
        metrics.answered(Surface::Mcp, 200);
        metrics.call_answered(
            Counted::Denied(RefusalCode::Denied),
            std::time::Duration::from_millis(3),
        );
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        assert!(
            text.contains("remit_http_requests_total{surface=\"mcp\",status=\"200\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("remit_decisions_total{outcome=\"deny\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("remit_refusals_total{code=\"denied\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("remit_call_duration_seconds_bucket"),
            "{text}"
        );
    }
}
