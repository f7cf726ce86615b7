//! The calls of the Workload API.
//!
//! Each is refused without its metadata, and before anything else the workload is looked at; a stream looks anew before each of
//! its messages, and ends when the workload is another one or Remit says no.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use remit_domain::Timestamp;
use remit_domain::attestation::Evidence;
use remit_token::jwt_svid::{self, ExpectSvid};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::server::Grpc;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::attest::Peer;
use super::source::{Bundle, Source};
use super::wire;
use crate::edge;
use crate::exit::Refused;
use crate::print::note;

/// Metadata that every caller sends (SPIFFE Workload Endpoint §3.3), so that no browser is made to call.
const HEADER: &str = "workload.spiffe.io";
/// Largest request: a JWT-SVID and its audience.
const MESSAGE_BYTES_MAX: usize = 64 * 1_024;
/// Open streams at the same time.
const STREAMS_MAX: usize = 1_024;
/// How often the bundle is looked at for whoever listens to it, in seconds.
const BUNDLE_SECS: u64 = 60;
/// How long to wait when Remit cannot be reached, in seconds.
const RETRY_SECS: u64 = 5;
/// Clock difference allowed for with Remit, in seconds.
const LEEWAY_SECS: u32 = 30;

type Answer = http::Response<tonic::body::Body>;
type Messages<T> = ReceiverStream<Result<T, Status>>;

/// What answers workloads.
pub(crate) struct Service<S> {
    source: S,
    streams: Arc<Semaphore>,
}

impl<S: Source> Service<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            source,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }

    /// Answers one call of one workload.
    pub(crate) async fn answer(
        self: Arc<Self>,
        peer: Peer,
        request: http::Request<Incoming>,
    ) -> Answer {
        let marked = request.headers().get(HEADER).is_some_and(|v| v == "true");
        if !marked {
            let text = "send the metadata `workload.spiffe.io: true`";
            return Status::invalid_argument(text).into_http();
        }
        let path = request.uri().path().to_owned();
        let call = Call {
            service: self,
            peer,
        };
        match path.strip_prefix("/SpiffeWorkloadAPI/") {
            Some("FetchX509SVID") => call.stream(request, Call::x509_svids).await,
            Some("FetchX509Bundles") => call.stream(request, Call::x509_bundles).await,
            Some("FetchJWTBundles") => call.stream(request, Call::jwt_bundles).await,
            Some("FetchWITSVID") => call.stream(request, Call::wit_svids).await,
            Some("FetchWITBundles") => call.stream(request, Call::wit_bundles).await,
            Some("FetchJWTSVID") => call.unary(request, Call::jwt_svid).await,
            Some("ValidateJWTSVID") => call.unary(request, Call::validate).await,
            _ => Status::unimplemented("there is no such call here").into_http(),
        }
    }
}

/// One call.
struct Call<S> {
    service: Arc<Service<S>>,
    peer: Peer,
}

impl<S> Clone for Call<S> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            peer: self.peer.clone(),
        }
    }
}

/// The next message of a stream, and how long it holds.
type Next<T> = Result<(T, Duration), Status>;

impl<S: Source> Call<S> {
    async fn unary<M, T>(
        self,
        request: http::Request<Incoming>,
        answer: impl Fn(Self, M, Evidence) -> BoxFuture<'static, Result<T, Status>>
        + Clone
        + Send
        + Sync
        + 'static,
    ) -> Answer
    where
        M: prost::Message + Default + Send + 'static,
        T: prost::Message + Send + 'static,
    {
        let service = service_fn(move |request: Request<M>| {
            let (call, answer) = (self.clone(), answer.clone());
            async move {
                let seen = call.look().await?;
                answer(call, request.into_inner(), seen)
                    .await
                    .map(Response::new)
            }
        });
        Grpc::new(ProstCodec::<T, M>::default())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .unary(service, request)
            .await
    }

    async fn stream<M, T>(
        self,
        request: http::Request<Incoming>,
        next: impl Fn(Self, M, Evidence) -> BoxFuture<'static, Next<T>> + Clone + Send + Sync + 'static,
    ) -> Answer
    where
        M: prost::Message + Default + Clone + Send + Sync + 'static,
        T: prost::Message + PartialEq + Clone + Send + Sync + 'static,
    {
        let service = service_fn(move |request: Request<M>| {
            let (call, next) = (self.clone(), next.clone());
            let asked = request.into_inner();
            let next = move |call, seen| next(call, asked.clone(), seen);
            async move { call.messages(next).await.map(Response::new) }
        });
        Grpc::new(ProstCodec::<T, M>::default())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .server_streaming(service, request)
            .await
    }

    /// Starts a stream. Its first message is made before it starts, so that a refusal is the answer to the call.
    async fn messages<T>(
        self,
        next: impl Fn(Self, Evidence) -> BoxFuture<'static, Next<T>> + Send + Sync + 'static,
    ) -> Result<Messages<T>, Status>
    where
        T: PartialEq + Clone + Send + Sync + 'static,
    {
        // Whoever gets no identity takes no place from those who do.
        let seen = self.look().await?;
        let place = Arc::clone(&self.service.streams).try_acquire_owned();
        let place = place.map_err(|_| Status::resource_exhausted("too many streams are open"))?;
        let (first, mut wait) = next(self.clone(), seen).await?;
        let (sender, messages) = mpsc::channel(1);
        tokio::spawn(async move {
            let _place = place;
            let mut last = first.clone();
            if sender.send(Ok(first)).await.is_err() {
                return;
            }
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                let made = match self.look().await {
                    Ok(seen) => next(self.clone(), seen).await,
                    Err(status) => Err(status),
                };
                match made {
                    Ok((message, holds)) => {
                        wait = holds;
                        if message != last {
                            last = message.clone();
                            if sender.send(Ok(message)).await.is_err() {
                                return;
                            }
                        }
                    }
                    // What was sent is good until it ends.
                    Err(status) if status.code() == Code::Unavailable => {
                        wait = Duration::from_secs(RETRY_SECS);
                    }
                    Err(status) => {
                        let _ = sender.send(Err(status)).await;
                        return;
                    }
                }
            }
        });
        Ok(ReceiverStream::new(messages))
    }

    /// What the workload is now. Remit judges that, when it is asked for something.
    async fn look(&self) -> Result<Evidence, Status> {
        // Known since it connected: for another user nothing is read, and nothing told each time.
        if self.peer.uid != self.service.source.uid().await.map_err(status)? {
            return Err(denied());
        }
        let peer = self.peer.clone();
        let seen = tokio::task::spawn_blocking(move || peer.look()).await;
        let wrong = match seen {
            Ok(Ok(seen)) => return Ok(seen),
            Ok(Err(error)) => format!(": {error}"),
            Err(_) => String::new(),
        };
        let pid = self.peer.pid;
        note(&format!("denied: process {pid} cannot be looked at{wrong}"));
        Err(denied())
    }

    /// The bundle, for a workload that is what was registered.
    async fn bundle(&self, seen: &Evidence) -> Result<Bundle, Status> {
        let source = &self.service.source;
        source.attest(seen).await.map_err(status)?;
        source.bundle().await.map_err(status)
    }

    fn x509_svids(
        self,
        _: wire::Nothing,
        seen: Evidence,
    ) -> BoxFuture<'static, Next<wire::X509SvidResponse>> {
        Box::pin(async move {
            let source = &self.service.source;
            let svid = source.x509(&seen).await.map_err(status)?;
            let bundle = source.bundle().await.map_err(status)?;
            let wait = half_of(svid.expires);
            let response = wire::X509SvidResponse {
                svids: vec![wire::X509Svid {
                    spiffe_id: svid.spiffe_id,
                    x509_svid: svid.certificate,
                    x509_svid_key: svid.key,
                    bundle: bundle.x509.concat(),
                    hint: String::new(),
                }],
                ..wire::X509SvidResponse::default()
            };
            Ok((response, wait))
        })
    }

    fn x509_bundles(
        self,
        _: wire::Nothing,
        seen: Evidence,
    ) -> BoxFuture<'static, Next<wire::X509BundlesResponse>> {
        Box::pin(async move {
            let bundle = self.bundle(&seen).await?;
            let response = wire::X509BundlesResponse {
                bundles: [(of(&bundle), bundle.x509.concat())].into(),
                ..wire::X509BundlesResponse::default()
            };
            Ok((response, Duration::from_secs(BUNDLE_SECS)))
        })
    }

    fn jwt_bundles(
        self,
        _: wire::Nothing,
        seen: Evidence,
    ) -> BoxFuture<'static, Next<wire::JwtBundlesResponse>> {
        Box::pin(async move {
            let bundle = self.bundle(&seen).await?;
            let response = wire::JwtBundlesResponse {
                bundles: [(of(&bundle), bundle.jwks)].into(),
            };
            Ok((response, Duration::from_secs(BUNDLE_SECS)))
        })
    }

    fn wit_svids(
        self,
        asked: wire::WitSvidRequest,
        seen: Evidence,
    ) -> BoxFuture<'static, Next<wire::WitSvidResponse>> {
        Box::pin(async move {
            let svid = self.service.source.wit(&seen).await.map_err(status)?;
            its_own(&asked.spiffe_id, &svid.spiffe_id)?;
            let wait = half_of(svid.expires);
            let svid = wire::WitSvid {
                spiffe_id: svid.spiffe_id,
                wit_svid: svid.token,
                wit_svid_key: svid.key,
                hint: String::new(),
            };
            Ok((wire::WitSvidResponse { svids: vec![svid] }, wait))
        })
    }

    fn wit_bundles(
        self,
        _: wire::Nothing,
        seen: Evidence,
    ) -> BoxFuture<'static, Next<wire::WitBundlesResponse>> {
        Box::pin(async move {
            let bundle = self.bundle(&seen).await?;
            let domain = of(&bundle);
            let keys = bundle.wit_jwks.ok_or_else(no_wit)?;
            let response = wire::WitBundlesResponse {
                bundles: [(domain, keys)].into(),
            };
            Ok((response, Duration::from_secs(BUNDLE_SECS)))
        })
    }

    fn jwt_svid(
        self,
        asked: wire::JwtSvidRequest,
        seen: Evidence,
    ) -> BoxFuture<'static, Result<wire::JwtSvidResponse, Status>> {
        Box::pin(async move {
            if asked.audience.is_empty() {
                return Err(Status::invalid_argument("name at least one audience"));
            }
            let svid = self.service.source.jwt(&asked.audience, &seen).await;
            let svid = svid.map_err(status)?;
            its_own(&asked.spiffe_id, &svid.spiffe_id)?;
            let svid = wire::JwtSvid {
                spiffe_id: svid.spiffe_id,
                svid: svid.token,
                hint: String::new(),
            };
            Ok(wire::JwtSvidResponse { svids: vec![svid] })
        })
    }

    fn validate(
        self,
        asked: wire::ValidateJwtSvidRequest,
        seen: Evidence,
    ) -> BoxFuture<'static, Result<wire::ValidateJwtSvidResponse, Status>> {
        Box::pin(async move {
            if asked.audience.is_empty() || asked.svid.is_empty() {
                return Err(Status::invalid_argument("name the audience and the SVID"));
            }
            let bundle = self.bundle(&seen).await?;
            let expect = ExpectSvid {
                trust_domain: &bundle.trust_domain,
                audience: &asked.audience,
                sole_audience: false,
                now: edge::now().as_secs(),
                leeway_s: LEEWAY_SECS,
            };
            let find = |kid: &str| bundle.jwt.get(kid).copied();
            let claims = jwt_svid::verify(&asked.svid, find, &expect)
                .map_err(|error| Status::invalid_argument(error.to_string()))?;
            let fields = serde_json::to_value(&claims).unwrap_or_default();
            Ok(wire::ValidateJwtSvidResponse {
                spiffe_id: claims.sub.to_string(),
                claims: match protobuf(&fields).kind {
                    Some(prost_types::value::Kind::StructValue(fields)) => Some(fields),
                    _ => None,
                },
            })
        })
    }
}

/// Whether a workload that asks for one identity has that one.
fn its_own(asked: &str, has: &str) -> Result<(), Status> {
    if asked.is_empty() || asked == has {
        return Ok(());
    }
    let text = "this workload does not have the identity that it asks for";
    Err(Status::permission_denied(text))
}

/// What a server says that has no WIT-SVIDs (SPIFFE Workload API §7).
fn no_wit() -> Status {
    Status::unimplemented("WIT-SVIDs are off in this organization")
}

fn of(bundle: &Bundle) -> String {
    format!("spiffe://{}", bundle.trust_domain)
}

/// How long to wait before the next one: half of what is left, so that a workload has time to take it up.
fn half_of(expires: Timestamp) -> Duration {
    let left = expires.secs_since(edge::now()).max(2);
    Duration::from_secs(u64::try_from(left).unwrap_or(2) / 2)
}

fn denied() -> Status {
    Status::permission_denied("no identity is issued to this workload")
}

/// What Remit refuses is denied; what cannot be reached is tried again.
fn status(error: anyhow::Error) -> Status {
    match error.downcast_ref::<Refused>() {
        Some(refused) if refused.status < 500 && refused.status != 429 => {
            note(&format!("denied by Remit: {error:#}"));
            if refused.code == "wit-svid-off" {
                return no_wit();
            }
            if refused.code == "invalid-request" {
                return Status::invalid_argument("Remit does not take what was asked for");
            }
            denied()
        }
        _ => {
            note(&format!("Remit cannot be asked: {error:#}"));
            Status::unavailable("no identity can be issued now; try again")
        }
    }
}

/// JSON as Protobuf has it.
fn protobuf(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(bool) => Kind::BoolValue(*bool),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => Kind::ListValue(prost_types::ListValue {
            values: values.iter().map(protobuf).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(prost_types::Struct {
            fields: fields
                .iter()
                .map(|(name, value)| (name.clone(), protobuf(value)))
                .collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}
