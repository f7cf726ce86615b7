//! The console: what a page costs with many agents, what the first one weighs, how soon an open page hears of a request, and
//! what a thousand open pages hold.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::header::{ACCEPT_ENCODING, COOKIE, SET_COOKIE};
use serde_json::{Value, json};

use crate::report::Report;
use crate::server::{Place, Server, document, furnish, mcp_headers, token};
use crate::{echo, machine};

const GROUP: &str = "The console";

/// How large a house is, and how long its pages may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) agents: usize,
    pub(crate) entries: usize,
    pub(crate) page_ms: f64,
}

/// Times each page is opened.
const TIMES: usize = 200;
/// Open event streams, and how many of them one person may have.
const STREAMS: usize = 1_000;
const STREAMS_OF_ONE: usize = 12;

const PAGES: [&str; 16] = [
    "/",
    "/approvals",
    "/agents",
    "/agents?q=bench-77",
    "/agents?state=draft",
    "/agents/bench-42",
    "/agents/bench-42/access",
    "/access",
    "/runs",
    "/runs?range=24h",
    "/audit",
    "/audit?kind=call.decided",
    "/audit?range=24h",
    "/audit?until=2020-01-01",
    "/policies",
    "/rules",
];

/// Asks for anything above 300, so that a call waits for people.
const ASKS: &str = "@id(\"large\") @approvers(\"role:approver\") forbid (principal, action == Action::\"bench/echo\", resource) when { context.args.amount.greaterThan(decimal(\"300.0\")) } unless { context.approved };";

pub(crate) async fn measure(
    remit: &Path,
    report: &mut Report,
    sizes: &[Size],
) -> anyhow::Result<()> {
    for size in sizes {
        large(remit, report, *size).await?;
    }
    open_pages(remit, report).await
}

/// What pages take in a house of that size.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
async fn large(remit: &Path, report: &mut Report, size: Size) -> anyhow::Result<()> {
    let upstream = echo::start().await?;
    let mut server = Server::serve(remit).await?;
    furnish(&server, upstream).await?;
    people(&server, 1).await?;
    server.stop()?;
    let began = Instant::now();
    let host = server.base.trim_start_matches("http://");
    crate::fill::fill(&server.data(), host, size.agents, size.entries).await?;
    let took = began.elapsed().as_secs_f64();
    let Size {
        agents, entries, ..
    } = size;
    let what = format!("filling in {agents} agents and {entries} entries");
    report.note(GROUP, what, format!("{took:.0} s"));
    server.again(remit).await?;
    let cookie = signed_in(&server, "viewer-0@acme.example").await?;
    pages(&server, &cookie, report, size).await?;
    if size.agents <= 10_000 {
        weight(&server, &cookie, report).await?;
    }
    let resident = machine::resident_mib(server.pid())?;
    report.note(
        GROUP,
        format!("resident with {agents} agents and {entries} entries"),
        format!("{resident:.0} MiB"),
    );
    Ok(())
}

/// What a thousand open pages hold, and how soon one hears of a request.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
async fn open_pages(remit: &Path, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start(remit, report, Place::Memory).await?;
    let upstream = echo::start().await?;
    let callers = furnish(&server, upstream).await?;
    let caller = callers.first().context("no agent was registered")?;
    let asks = document(
        "PolicySet",
        "asks",
        None,
        &json!({ "enabled": true, "text": ASKS }),
    );
    server.apply(&asks).await?;
    let viewers = STREAMS.div_ceil(STREAMS_OF_ONE);
    people(&server, viewers).await?;
    let before = machine::resident_mib(server.pid())?;
    let mut streams = Vec::with_capacity(STREAMS);
    for n in 0..viewers {
        let cookie = signed_in(&server, &format!("viewer-{n}@acme.example")).await?;
        for _ in 0..STREAMS_OF_ONE.min(STREAMS - streams.len()) {
            streams.push(stream(&server, &cookie).await?);
        }
    }
    let after = machine::resident_mib(server.pid())?;
    let what = format!("memory that {} open pages hold", streams.len());
    report.at_most(GROUP, &what, after - before, 100.0, "MiB");
    let access = token(&server, &caller.id, &caller.key).await?;
    let mut heard = streams.pop().context("no stream")?;
    let asked = Instant::now();
    ask(&server, &access).await?;
    let told = asked.elapsed();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), heard.chunk());
        let chunk = next.await.context("the page heard nothing")??;
        let chunk = chunk.context("the stream ended")?;
        if String::from_utf8_lossy(&chunk).contains("data-waiting=\"1\"") {
            break;
        }
    }
    let took = asked.elapsed().saturating_sub(told).as_secs_f64() * 1e3;
    report.at_most(
        GROUP,
        "from the answer to an ask to the open page",
        took,
        200.0,
        "ms",
    );
    Ok(())
}

/// People who look: they may approve, and read everything else.
async fn people(server: &Server, viewers: usize) -> anyhow::Result<()> {
    let spec = json!({ "display_name": "V", "teams": [], "roles": ["approver", "auditor"], "entitlements": [] });
    let documents: String = (0..viewers)
        .map(|n| document("Person", &format!("viewer-{n}@acme.example"), None, &spec))
        .collect();
    server.apply(&documents).await
}

/// The cookie of a browser in which that person is signed in.
async fn signed_in(server: &Server, email: &str) -> anyhow::Result<String> {
    let path = format!("/people/{email}/enrolments");
    let link = server.post(&path, json!({})).await?;
    let code = link
        .get("code")
        .and_then(Value::as_str)
        .context("no code")?;
    let answer = reqwest::Client::new()
        .post(format!("{}/sign-in/code", server.base))
        .header("origin", &server.base)
        .header("sec-fetch-site", "same-origin")
        .json(&json!({ "code": code, "next": "/" }))
        .send()
        .await?;
    let cookie = answer.headers().get(SET_COOKIE).context("no cookie")?;
    let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
    Ok(cookie.to_owned())
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
async fn pages(
    server: &Server,
    cookie: &str,
    report: &mut Report,
    size: Size,
) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    // What is counted once is counted by the first looks.
    loop {
        let home = client
            .get(format!("{}/", server.base))
            .header(COOKIE, cookie);
        if !home.send().await?.text().await?.contains("Still counting") {
            break;
        }
    }
    for page in PAGES {
        let mut took = Vec::with_capacity(TIMES);
        // The first look counts what is counted once.
        for n in 0..=TIMES {
            let began = Instant::now();
            let request = client
                .get(format!("{}{page}", server.base))
                .header(COOKIE, cookie);
            let answer = request.send().await?;
            if !answer.status().is_success() {
                bail!("{page}: {}", answer.status());
            }
            answer.bytes().await?;
            if n > 0 {
                took.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        took.sort_by(f64::total_cmp);
        let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or(0.0);
        report.at_most(
            GROUP,
            &format!("{page} with {} agents, p99 over loopback", size.agents),
            p99,
            size.page_ms,
            "ms",
        );
    }
    Ok(())
}

/// Everything that the first page needs, as it comes over the wire.
async fn weight(server: &Server, cookie: &str, report: &mut Report) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let plain = client
        .get(format!("{}/", server.base))
        .header(COOKIE, cookie)
        .send()
        .await?
        .text()
        .await?;
    let mut paths: Vec<&str> = plain
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    paths.push("/");
    let mut total = 0usize;
    for path in paths {
        let answer = client
            .get(format!("{}{path}", server.base))
            .header(COOKIE, cookie)
            .header(ACCEPT_ENCODING, "gzip")
            .send()
            .await?;
        total += answer.bytes().await?.len();
    }
    let kib = f64::from(u32::try_from(total)?) / 1024.0;
    report.at_most(
        GROUP,
        "the first page with everything it needs",
        kib,
        60.0,
        "KiB",
    );
    Ok(())
}

/// An open page's events, after the first.
async fn stream(server: &Server, cookie: &str) -> anyhow::Result<reqwest::Response> {
    let mut answer = reqwest::Client::new()
        .get(format!("{}/live", server.base))
        .header(COOKIE, cookie)
        .send()
        .await?;
    if !answer.status().is_success() {
        bail!("/live: {}", answer.status());
    }
    answer.chunk().await?.context("no first event")?;
    Ok(answer)
}

/// A call that waits for a person.
async fn ask(server: &Server, access: &str) -> anyhow::Result<()> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "echo", "arguments": { "text": "more than may pass alone", "amount": 350.0 },
        "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} } } });
    let mut request = reqwest::Client::new()
        .post(format!("{}/mcp/bench", server.base))
        .bearer_auth(access)
        .body(body.to_string());
    for (name, value) in mcp_headers() {
        request = request.header(name, value);
    }
    let text = request.send().await?.text().await?;
    if !text.contains("PENDING") {
        bail!("the call did not wait: {text}");
    }
    Ok(())
}
