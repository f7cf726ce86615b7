//! The ungoverned pass-through: the same HTTP in and the same upstream client out, without token, policy or record.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use remit_domain::upstream::Transport;
use remit_domain::{OrgId, SystemId, Upstream};
use remit_outbound::{Outbound, OutboundConfig};
use remit_ports::Upstreams;
use remit_ports::upstreams::{Lease, UpstreamRequest};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Starts the pass-through in front of `upstream` on a free loopback port.
pub(crate) async fn start(upstream: SocketAddr) -> anyhow::Result<SocketAddr> {
    let outbound = Arc::new(Outbound::new(OutboundConfig::default()));
    let upstream = Arc::new(Upstream {
        name: "bench".parse()?,
        system: SystemId::from_uuid(uuid::Uuid::nil()),
        transport: Transport::Http {
            url: format!("http://{upstream}/mcp"),
        },
        secret: None,
        stateless: true,
        enabled: true,
        may_ask: std::collections::BTreeSet::new(),
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (outbound, upstream) = (Arc::clone(&outbound), Arc::clone(&upstream));
            let service = service_fn(move |request| {
                answer(request, Arc::clone(&outbound), Arc::clone(&upstream))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Ok(address)
}

async fn answer(
    request: Request<Incoming>,
    outbound: Arc<Outbound>,
    upstream: Arc<Upstream>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request
        .into_body()
        .collect()
        .await
        .map(|b| b.to_bytes())
        .unwrap_or_default();
    let message: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    let request = UpstreamRequest {
        org: OrgId::from_uuid(uuid::Uuid::nil()),
        upstream,
        run: None,
        method: "tools/call".to_owned(),
        params: json!({ "name": "echo", "arguments": message.pointer("/params/arguments") }),
        input_schema: Value::Null,
        lease: Lease::default(),
        cancel: CancellationToken::new(),
        notifications: None,
        questions: None,
        timeout: Duration::from_secs(30),
    };
    let text = match outbound.request(request).await {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string(),
        Err(error) => error.to_string(),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}
