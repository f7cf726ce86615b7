//! Envoy's own protocol, spoken by its generated client over a socket.

mod outcome;
mod reading;
mod who;

use std::collections::HashMap;
use std::net::SocketAddr;

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{
    HttpRequest, Peer, Request as Asked,
};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::house::{House, URL};

/// An agent's name in a certificate.
const NAMED: &str = "spiffe://acme.example/returns";

struct Gateway {
    house: House,
    channel: Channel,
    point: String,
    agent: String,
}

/// A house with a point that Envoy asks as.
async fn gateway() -> Gateway {
    gateway_of(House::new().await, true).await
}

async fn gateway_of(house: House, enforce: bool) -> Gateway {
    let subject = json!({ "type": "spiffe", "id": NAMED });
    let spec = json!({
        "agents": [{ "agent": "returns-bot", "subject": subject }], "enforce": enforce,
        "routes": [
            { "method": "POST", "host": "shop.example", "path": "/refunds", "body": "json", "tool": "orders/refund" },
            { "method": "POST", "path": "/refunds/{amount}", "query": ["note"], "tool": "orders/refund" },
            { "method": "GET", "path": "/status/{region}", "tool": "orders/status" },
        ],
    });
    let point = house.point("acme", "envoy", spec).await;
    let point = house.point_token(&point).await;
    let agent = house.token("acme", "/mcp").await;
    let channel = channel(&house).await;
    Gateway {
        house,
        channel,
        point,
        agent,
    }
}

/// A connection to the house, by its own name.
async fn channel(house: &House) -> Channel {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let service = house.router.clone();
    let service = service.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let endpoint = Channel::from_shared(at).unwrap();
    endpoint
        .origin(URL.parse().unwrap())
        .connect()
        .await
        .unwrap()
}

/// A request as Envoy shows it.
fn request(method: &str, path: &str, body: &str) -> HttpRequest {
    let mut headers: HashMap<String, String> = [
        (":method", method),
        (":path", path),
        (":authority", "shop.example"),
        (":scheme", "https"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if !body.is_empty() {
        for (name, value) in [
            ("content-type", "application/json"),
            ("content-length", &body.len().to_string()),
            ("x-envoy-auth-partial-body", "false"),
        ] {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        host: "shop.example".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        size: i64::try_from(body.len()).unwrap(),
        raw_body: body.as_bytes().to_vec(),
        headers,
        ..HttpRequest::default()
    }
}

fn with(mut http: HttpRequest, name: &str, value: &str) -> HttpRequest {
    http.headers.insert(name.to_owned(), value.to_owned());
    http
}

impl Gateway {
    /// Asks with this token about a request over a connection of that name.
    async fn ask(
        &self,
        token: &str,
        http: Option<HttpRequest>,
        principal: &str,
    ) -> Result<CheckResponse, tonic::Status> {
        let attributes = AttributeContext {
            source: Some(Peer {
                principal: principal.to_owned(),
                ..Peer::default()
            }),
            request: Some(Asked {
                http,
                ..Asked::default()
            }),
            ..AttributeContext::default()
        };
        let check = CheckRequest {
            attributes: Some(attributes),
        };
        let mut call = tonic::Request::new(check);
        let value = format!("Bearer {token}").parse().unwrap();
        call.metadata_mut().insert("authorization", value);
        let mut client = AuthorizationClient::new(self.channel.clone());
        client.check(call).await.map(tonic::Response::into_inner)
    }

    /// Asks about a request that shows the agent's token, unless it shows another one.
    async fn check(&self, mut http: HttpRequest) -> (u16, CheckResponse) {
        http.headers
            .entry("authorization".to_owned())
            .or_insert_with(|| format!("Bearer {}", self.agent));
        let answer = self.ask(&self.point, Some(http), "").await.unwrap();
        (status(&answer), answer)
    }
}

/// The status that the agent gets; 200 where its request goes on.
fn status(answer: &CheckResponse) -> u16 {
    let status = match answer.http_response.as_ref().unwrap() {
        HttpResponse::OkResponse(_) => 200,
        HttpResponse::DeniedResponse(denied) | HttpResponse::ErrorResponse(denied) => {
            u16::try_from(denied.status.as_ref().unwrap().code).unwrap()
        }
    };
    let code = answer.status.as_ref().unwrap().code;
    assert_eq!(code == 0, status == 200, "both say the same: {answer:?}");
    status
}

/// The body that a denied agent gets.
fn body(answer: &CheckResponse) -> Value {
    match answer.http_response.as_ref().unwrap() {
        HttpResponse::DeniedResponse(denied) => serde_json::from_str(&denied.body).unwrap(),
        _ => Value::Null,
    }
}

/// The decision, as the server behind gets it.
fn decision(answer: &CheckResponse) -> String {
    let Some(HttpResponse::OkResponse(ok)) = &answer.http_response else {
        panic!("{answer:?}")
    };
    let header = ok.headers[0].header.as_ref().unwrap();
    assert_eq!(header.key, "x-remit-decision");
    header.value.clone()
}
