//! Decisions as a service: evaluations over HTTP, one at a time and in batches.

use std::path::Path as FilePath;

use anyhow::Context;
use remit_token::SigningKey;
use serde_json::{Value, json};

use crate::load::{self, Path};
use crate::report::Report;
use crate::server::{Governed, Place, Server, new_key, token};
use crate::{echo, machine};

const GROUP: &str =
    "AuthZEN over HTTP, 16 connections (token, policy on arguments; advice, nothing recorded)";
const CONNECTIONS: usize = 16;
/// Evaluations of one batch.
const BATCH: usize = 100;

pub(crate) async fn measure(
    remit: &FilePath,
    report: &mut Report,
    seconds: f64,
    rounds: usize,
) -> anyhow::Result<()> {
    let upstream = echo::start().await?;
    let governed = Governed::start(remit, report, Place::Memory, upstream).await?;
    let server = &governed.server;
    let key = new_key()?;
    let id = register(server, &key).await?;
    let (mut single, mut batch, mut cpu) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        let token = token(server, &id, &key).await?;
        let path = |end: &str, body: Value| asked(server, &token, end, &body);
        let before = machine::cpu_seconds(server.pid())?;
        let figures =
            load::closed(&path("evaluation", evaluation())?, CONNECTIONS, seconds).await?;
        cpu.push(
            (machine::cpu_seconds(server.pid())? - before) * 1e6 / figures.calls.max(1) as f64,
        );
        single.push(figures.per_second);
        let mut body = evaluation();
        if let Value::Object(body) = &mut body {
            body.insert("evaluations".to_owned(), json!(vec![json!({}); BATCH]));
        }
        let figures = load::closed(&path("evaluations", body)?, CONNECTIONS, seconds).await?;
        batch.push(figures.per_second * BATCH as f64);
    }
    let single = machine::median(&mut single);
    report.at_least(GROUP, "evaluations, one at a time", single, 6_000.0, "/s");
    let cpu = machine::median(&mut cpu);
    report.note(GROUP, "server CPU time for one", format!("{cpu:.0} µs"));
    let batch = machine::median(&mut batch);
    report.at_least(GROUP, "evaluations, 100 in a batch", batch, 20_000.0, "/s");
    Ok(())
}

/// Registers an enforcement point for the agent of the server; its client id.
async fn register(server: &Server, key: &SigningKey) -> anyhow::Result<String> {
    let body = json!({
        "keys": [serde_json::to_value(key.public())?], "agents": [{ "agent": "bench-0" }], "reason": "a measurement",
    });
    let admin = server.admin().to_owned();
    let made = server
        .ask(
            reqwest::Method::PUT,
            "/enforcement-points/bench",
            &admin,
            Some(body),
        )
        .await?;
    let id = made.get("id").and_then(Value::as_str);
    id.map(str::to_owned)
        .context("no id of the enforcement point")
}

fn evaluation() -> Value {
    json!({
        "subject": { "type": "agent", "id": "bench-0" },
        "action": { "name": "tools/call" },
        "resource": { "type": "tool", "id": "bench/echo" },
        "context": { "arguments": { "text": "a line of text as agents send it", "amount": 12.5 } },
    })
}

fn asked(server: &Server, token: &str, end: &str, body: &Value) -> anyhow::Result<Path> {
    Ok(Path {
        address: server.base().trim_start_matches("http://").parse()?,
        uri: format!("/access/v1/{end}"),
        headers: vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("authorization".to_owned(), format!("Bearer {token}")),
        ],
        body: body.to_string(),
        expect: "\"decision\":true",
    })
}
