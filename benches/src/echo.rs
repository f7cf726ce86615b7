//! A fast MCP upstream: answers 2026-07-28 and 2025-11-25 with what it was sent.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Starts the upstream on a free loopback port.
pub(crate) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer)),
            );
        }
    });
    Ok(address)
}

fn tool() -> Value {
    json!({ "name": "echo", "description": "Echoes", "inputSchema": {
        "type": "object",
        "properties": { "text": { "type": "string" }, "amount": { "type": "number" } },
        "required": ["text", "amount"], "additionalProperties": false } })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request
        .into_body()
        .collect()
        .await
        .map(|b| b.to_bytes())
        .unwrap_or_default();
    let message: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    let result = match message.get("method").and_then(Value::as_str) {
        Some("server/discover") => {
            json!({ "resultType": "complete", "supportedVersions": ["2026-07-28", "2025-11-25"],
            "capabilities": { "tools": {} }, "ttlMs": 60000, "cacheScope": "public" })
        }
        Some("initialize") => {
            json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "echo", "version": "1" } })
        }
        Some("tools/list") => {
            json!({ "resultType": "complete", "tools": [tool()], "ttlMs": 60000, "cacheScope": "public" })
        }
        Some("tools/call") => {
            json!({ "resultType": "complete", "content": [{ "type": "text", "text": "ok" }] })
        }
        _ if id.is_null() => return Ok(empty()),
        _ => json!({}),
    };
    let text = json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

fn empty() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
