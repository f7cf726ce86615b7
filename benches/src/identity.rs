//! Identity: what a token, an SVID, a look at a token and a revocation cost, beside the signatures they are made of and beside
//! another issuer's tokens, in the same run.

mod house;
mod inside;
mod provider;
mod signatures;

use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::load::{self, Figures, Path};
use crate::report::Report;
use crate::server::Place;
use crate::{echo, machine};
use house::House;
use provider::Provider;
use signatures::Signatures;

const GROUP: &str = "Identity (ES256, 16 connections; Remit records every token durably on SQLite, the other keeps its own in memory)";
const CONNECTIONS: usize = 16;
/// Requests of one round that are made beforehand, for each second that it is to last: more than any of these issuers answers.
const PER_SECOND: f64 = 4_000.0;
/// Revocations that are timed.
const REVOCATIONS: usize = 200;

/// A sort of request: how many signatures it makes and verifies, and what its rounds came to.
struct Sort {
    what: &'static str,
    verifies: u32,
    signs: u32,
    figures: Vec<Figures>,
    cpu_us: Vec<f64>,
}

impl Sort {
    fn new(what: &'static str, verifies: u32, signs: u32) -> Self {
        Self {
            what,
            verifies,
            signs,
            figures: Vec::new(),
            cpu_us: Vec::new(),
        }
    }

    /// One round: every request once, and what the process spent on each.
    async fn round(&mut self, paths: Vec<Path>, pid: u32) -> anyhow::Result<()> {
        let before = machine::cpu_seconds(pid)?;
        let figures = load::each(paths, CONNECTIONS).await;
        let figures = figures.with_context(|| self.what.to_owned())?;
        let spent = machine::cpu_seconds(pid)? - before;
        self.cpu_us.push(spent * 1e6 / figures.calls.max(1) as f64);
        self.figures.push(figures);
        Ok(())
    }

    /// The rate of the middle round, and its CPU time for one in microseconds.
    fn tell(mut self, report: &mut Report) -> (f64, f64) {
        let (figures, cpu) = (
            load::middle(self.figures),
            machine::median(&mut self.cpu_us),
        );
        let said = format!(
            "{:.0} /s, p50 {:.2} ms, p99 {:.2} ms; {cpu:.0} µs CPU; verifies {}, signs {}",
            figures.per_second, figures.p50_ms, figures.p99_ms, self.verifies, self.signs
        );
        report.note(GROUP, self.what, said);
        (figures.per_second, cpu)
    }
}

pub(crate) async fn measure(
    remit: &FilePath,
    report: &mut Report,
    load: (f64, usize),
    tokens: usize,
    node: Option<(&FilePath, &FilePath)>,
) -> anyhow::Result<()> {
    let upstream = echo::start().await?;
    let house = House::start(remit, report, Place::Disk, upstream).await?;
    let signatures = Signatures::measure(report)?;
    inside::measure(report, &signatures).await?;
    let provider = Provider::start(&house, node)?;
    rates(report, &house, provider.as_ref(), &signatures, load).await?;
    revocations(report, &house).await?;
    drop(house);
    memory(remit, report, tokens).await
}

/// Every sort of request, its rounds interleaved with those of the others.
async fn rates(
    report: &mut Report,
    house: &House,
    provider: Option<&Provider>,
    signatures: &Signatures,
    (seconds, rounds): (f64, usize),
) -> anyhow::Result<()> {
    let many = (seconds * PER_SECOND) as usize;
    let pid = house.server.pid();
    let mut plain = Sort::new("token issue, private_key_jwt", 1, 1);
    let mut bound = Sort::new("token issue, private_key_jwt and DPoP", 2, 1);
    let mut exchange = Sort::new(
        "token exchange within a chain of three, private_key_jwt",
        1,
        1,
    );
    let mut introspection = Sort::new("introspection by a client, private_key_jwt", 1, 0);
    let mut jwt_svid = Sort::new("JWT-SVID issue", 0, 1);
    let mut x509_svid = Sort::new("X.509-SVID issue", 1, 1);
    let mut other = Sort::new("npm oidc-provider: token issue, private_key_jwt", 1, 1);
    for _ in 0..rounds {
        plain.round(house.tokens(many).await?, pid).await?;
        if let Some(provider) = provider {
            // It answers fewer, so that it is given fewer.
            other
                .round(provider.tokens(house, many / 2)?, provider.pid())
                .await?;
        }
        bound.round(house.bound_tokens(many).await?, pid).await?;
        exchange
            .round(house.exchanges(many / 2).await?, pid)
            .await?;
        introspection
            .round(house.introspections(many).await?, pid)
            .await?;
        jwt_svid.round(house.jwt_svids(many).await?, pid).await?;
        x509_svid.round(house.x509_svids(many).await?, pid).await?;
    }
    let (rate, _) = plain.tell(report);
    bound.tell(report);
    let exchange_cost = f64::from(exchange.verifies) * signatures.verify_us
        + f64::from(exchange.signs) * signatures.sign_us;
    let (_, cpu) = exchange.tell(report);
    introspection.tell(report);
    jwt_svid.tell(report);
    x509_svid.tell(report);
    let what = "CPU of an exchange ÷ its signatures alone";
    report.at_most(GROUP, what, cpu / exchange_cost, 2.0, "×");
    if provider.is_some() {
        let (theirs, _) = other.tell(report);
        let what = "tokens/s ÷ tokens/s of npm oidc-provider";
        report.at_least(GROUP, what, rate / theirs.max(1.0), 3.0, "×");
    } else {
        let why = "not measured: say --node and --node-modules, as scripts/bench.sh does";
        report.note(GROUP, "npm oidc-provider", why);
    }
    Ok(())
}

/// From sending a revocation to the first call that is refused for it, while another connection calls all the time.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
async fn revocations(report: &mut Report, house: &House) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for n in 0..REVOCATIONS {
        let (call, revoke) = house.revocable(n).await?;
        load::once(&call).await?.good(&call)?;
        let sent = Instant::now();
        let calls = tokio::spawn(async move {
            loop {
                let answer = load::once(&call).await?;
                if answer.status == 401 {
                    return anyhow::Ok(sent.elapsed());
                }
                if sent.elapsed() > Duration::from_secs(10) {
                    bail!("a revoked token went on: {}", answer.text);
                }
            }
        });
        load::once(&revoke).await?.good(&revoke)?;
        took.push(calls.await??.as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let p99 = took
        .get(REVOCATIONS * 99 / 100)
        .copied()
        .unwrap_or_default();
    let what = "revocation sent to first refused call, p99 of 200 (one node)";
    report.at_most(GROUP, what, p99, 50.0, "ms");
    Ok(())
}

/// The server's memory with many tokens that live, each looked at once, and as many SVIDs, half of each form.
async fn memory(remit: &FilePath, report: &mut Report, tokens: usize) -> anyhow::Result<()> {
    let upstream = echo::start().await?;
    let house = House::start(remit, report, Place::Memory, upstream).await?;
    let before = machine::resident_mib(house.server.pid())?;
    let given = load::answers(house.tokens(tokens).await?, CONNECTIONS).await?;
    let looks = house.looks(&given)?;
    load::each(looks, CONNECTIONS).await?;
    load::each(house.jwt_svids(tokens / 2).await?, CONNECTIONS).await?;
    load::each(house.x509_svids(tokens / 2).await?, CONNECTIONS).await?;
    let resident = machine::resident_mib(house.server.pid())?;
    report.note(
        GROUP,
        "resident before the first token",
        format!("{before:.0} MiB"),
    );
    let what = format!("resident with {tokens} live tokens, each looked at, and {tokens} SVIDs");
    report.at_most(GROUP, &what, resident, 500.0, "MiB");
    Ok(())
}
