//! What a server does with a token that it has seen, and with a proof: in this process, without HTTP.

use std::sync::Arc;

use anyhow::anyhow;
use remit_books::{Books, Change, Parts};
use remit_domain::credential::AgentKey;
use remit_domain::{Agent, Noun, OrgId, Organization, Person, Principal, Upstream, Workflow};
use remit_issuer::{Issuer, Resource};
use remit_outbound::{FileVault, SystemClock, SystemEntropy};
use remit_ports::Clock;
use remit_store_sqlite::SqliteStore;
use remit_token::dpop::{self, ExpectProof, NewProof};
use remit_token::{ClientAuth, ClientCredentials, Scope, SigningKey, TokenRequest};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::GROUP;
use super::signatures::{Signatures, median_us};
use crate::report::Report;
use crate::server::{assertion, new_key};

const URL: &str = "https://bench.example";
const TIMES: usize = 20_000;

pub(super) async fn measure(report: &mut Report, signatures: &Signatures) -> anyhow::Result<()> {
    proof(report, signatures)?;
    cached(report).await
}

/// A DPoP proof: key, signature, method, address, token and time.
fn proof(report: &mut Report, signatures: &Signatures) -> anyhow::Result<()> {
    let (key, token) = (new_key()?, "x".repeat(900));
    let iat = SystemClock::new().now().as_secs();
    let new = NewProof {
        method: "POST",
        url: "https://bench.example/mcp",
        access_token: Some(&token),
        nonce: Some("bm9uY2U"),
        jti: "one",
        iat,
    };
    let signed = dpop::sign(&new, &key)?;
    let expect = ExpectProof {
        method: "POST",
        url: "https://bench.example/mcp",
        access_token: Some(&token),
        now: iat,
        leeway_s: 0,
    };
    let took = median_us(TIMES / 4, || dpop::verify(&signed, &expect).map(drop))?;
    report.note(GROUP, "DPoP check", format!("{took:.1} µs"));
    let what = "DPoP check ÷ one verify";
    report.at_most(GROUP, what, took / signatures.verify_us, 1.5, "×");
    Ok(())
}

/// A token that was verified before.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
async fn cached(report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(".")?;
    let clock = Arc::new(SystemClock::new());
    let store = SqliteStore::open(dir.path(), clock.clone())?;
    let vault = FileVault::open(&dir.path().join("master.key"), true)?;
    let books = Books::open(Parts {
        store: Arc::new(store),
        clock,
        entropy: Arc::new(SystemEntropy),
        vault: Arc::new(vault),
        origin: "bench.example/log".to_owned(),
        node: "bench".to_owned(),
    })
    .await?;
    let (org, agent, key) = furnish(&books).await?;
    let issuer = Issuer::new(books, URL, "acme".parse()?)?;
    let assertion = assertion(URL, agent.id.as_str(), &key)?;
    let request = TokenRequest::ClientCredentials(ClientCredentials {
        client: ClientAuth::private_key_jwt(assertion),
        authorization_details: Default::default(),
        scope: Scope::default(),
        resource: Vec::new(),
    });
    let given = issuer.token(&org, &request).await?;
    let token = given.access_token.expose_secret();
    let mut took = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = std::time::Instant::now();
        let checked = issuer
            .verify_access(&org, token, None, &Resource::Mcp)
            .await;
        checked.map_err(|refused| anyhow!("{}", refused.refusal))?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let took = crate::machine::median(&mut took);
    report.at_most(GROUP, "a cached token check", took, 10.0, "µs");
    Ok(())
}

fn noun<N: DeserializeOwned>(value: Value) -> anyhow::Result<N> {
    Ok(serde_json::from_value(value)?)
}

async fn put<N: Noun>(books: &Books, org: &OrgId, noun: &N) -> anyhow::Result<()> {
    books.commit(org, Change::new().create(noun)).await?;
    Ok(())
}

/// One agent that may act, with its key.
async fn furnish(books: &Books) -> anyhow::Result<(OrgId, Agent, SigningKey)> {
    let org = books.id(OrgId::from_uuid);
    let organization = Organization::new(org.clone(), "acme".parse()?, Default::default());
    books
        .create_organization(&organization, Principal::Operator)
        .await?;
    let person = books.id(remit_domain::PersonId::from_uuid);
    let somebody: Person = noun(
        json!({ "id": person, "email": "p@acme.example", "display_name": "P", "teams": [], "roles": [],
        "entitlements": [], "manager": null, "created_by": null, "state": "active" }),
    )?;
    put(books, &org, &somebody).await?;
    let id = books.id(remit_domain::AgentId::from_uuid);
    let agent: Agent = noun(
        json!({ "id": id, "name": "bench", "owner": person, "sponsor": person, "deputy": null,
        "responsible_team": null, "platform_team": null, "purpose": "", "business_process": "", "model": "", "provider": "",
        "runtime": "", "environment": "production", "data_classes": [], "systems": [], "expected_actions": [], "tier": 3,
        "review_cadence_days": 90, "next_review": null, "enforcement": "gateway", "registered_by": person, "state": "active",
        "state_reason": null }),
    )?;
    put(books, &org, &agent).await?;
    let workflow: Workflow = noun(
        json!({ "id": books.id(remit_domain::WorkflowId::from_uuid), "agent": id, "name": "answer",
        "purpose": "", "data_classes": [], "run_secs_max": 7_200, "run_idle_secs_max": 3_600, "spawnable": [], "enabled": true,
        "grants": [] }),
    )?;
    put(books, &org, &workflow).await?;
    let upstream: Upstream = noun(
        json!({ "name": "bench", "system": books.id(remit_domain::SystemId::from_uuid),
        "transport": { "type": "http", "url": "http://127.0.0.1:1/mcp" }, "secret": null, "stateless": true, "enabled": true }),
    )?;
    put(books, &org, &upstream).await?;
    let key = new_key()?;
    let stored: AgentKey = noun(
        json!({ "thumbprint": key.kid(), "agent": id, "jwk": key.public(), "created": books.now(),
        "removed": null }),
    )?;
    put(books, &org, &stored).await?;
    Ok((org, agent, key))
}
