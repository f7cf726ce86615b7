//! Trusted issuers: whose tokens make a workload an agent here.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ITEMS_MAX;
use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::input;
use crate::output::Out;
use crate::table::{Column, Page, Show, column};
use crate::value::{count, items, line, text};

/// Commands on trusted issuers.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "`remit explain trustedissuer` lists the fields as a document.\n\nExamples:\n  remit trusted-issuer set github --issuer https://token.actions.githubusercontent.com --algorithm RS256 --rules rules.yaml --reason 'releases run in GitHub Actions'\n  remit trusted-issuer set cluster --issuer https://kubernetes.default.svc --jwks jwks.json --algorithm RS256 --rules rules.yaml --reason 'agents run as service accounts'\n  remit trusted-issuer set prod --issuer spiffe://prod.acme.example --bundle https://spire.acme.example:8443/bundle --endpoint-id spiffe://prod.acme.example/spire/server --endpoint-bundle bundle.json --algorithm ES256 --rules rules.yaml --reason 'the indexer runs there'\n  remit trusted-issuer test github\n  remit trusted-issuer disable github --reason 'INC-9: its keys were taken'\n\nrules.yaml:\n  - subject: repo:acme/shop:ref:refs/heads/main\n    claims: {environment: [production]}\n    agent: releaser\n    workflow: release"
)]
pub enum TrustedIssuerCommand {
    /// List trusted issuers
    #[command(alias = "list")]
    Ls,
    /// Show one, with its rules
    #[command(alias = "get")]
    Show {
        /// Name
        name: String,
    },
    /// Register one, or change its keys and its rules
    Set(Box<Set>),
    /// Ask one for its keys now
    Test {
        /// Name
        name: String,
    },
    /// Trust one no longer, at once
    Disable {
        /// Name
        name: String,
        /// Why; people read it later
        #[arg(long)]
        reason: String,
    },
}

/// A trusted issuer to write. What is not said stays.
#[derive(Debug, Args)]
pub struct Set {
    /// Name
    name: String,
    /// Its `iss`, exactly as its tokens have it
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Its keys are at this address, not at the one that its metadata names
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    jwks_uri: Option<String>,
    /// It is a SPIFFE trust domain (`--issuer spiffe://NAME`), and its bundle is at this address (`https_web`)
    #[arg(long, value_name = "URL", conflicts_with_all = ["jwks", "jwks_uri"])]
    bundle: Option<String>,
    /// Its bundle endpoint proves itself with an X.509-SVID of this SPIFFE ID (`https_spiffe`), not with a certificate of the web
    #[arg(long, value_name = "ID", requires_all = ["bundle", "endpoint_bundle"])]
    endpoint_id: Option<String>,
    /// The bundle of that SPIFFE ID's trust domain, by which the endpoint is believed the first time; `-` for standard input
    #[arg(long, value_name = "FILE", requires = "endpoint_id")]
    endpoint_bundle: Option<PathBuf>,
    /// Its keys, where it cannot be reached: a JWK set; `-` for standard input
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// What its tokens have as their one `aud`; this organization's issuer without it
    #[arg(long)]
    audience: Option<String>,
    /// How its tokens may be signed: RS256, PS256, ES256, ES384 or EdDSA; may be repeated
    #[arg(long = "algorithm", value_name = "ALG")]
    algorithms: Vec<String>,
    /// Longest remaining life of a token, in seconds
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<i64>,
    /// Which workloads are which agents: a YAML or JSON list; `-` for standard input
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Whom it may let agents act for, by identity assertions (ID-JAG): `people` (subject to address) and `workflows`; `-` for
    /// standard input
    #[arg(long, value_name = "FILE")]
    identities: Option<PathBuf>,
    /// What it is
    #[arg(long)]
    description: Option<String>,
    /// Why; people read it later
    #[arg(long)]
    reason: String,
}

const COLUMNS: [Column; 5] = [
    column("NAME", Show::Text("name")),
    column("STATE", Show::State("state")),
    column("ISSUER", Show::Text("issuer")),
    column("AGENTS", Show::With(agents)),
    column("REASON", Show::Text("reason")),
];

/// Runs one.
pub(crate) async fn run(connection: &Connection, command: TrustedIssuerCommand) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    match command {
        TrustedIssuerCommand::Ls => {
            let all = client.list(&["trusted-issuers"], &[], ITEMS_MAX).await?;
            out.list(&all, &COLUMNS, "name", "No other issuer is trusted here.")?;
        }
        TrustedIssuerCommand::Show { name } => {
            let found = client.get(&["trusted-issuers", &name]).await?;
            out.one(&found, "name", || page(out, &found))?;
        }
        TrustedIssuerCommand::Set(set) => put(connection, &set).await?,
        TrustedIssuerCommand::Test { name } => {
            let path = ["trusted-issuers", &name, "test"];
            let found = client.post(&path, &json!({})).await?;
            let said = format!(
                "{} can be used: {} of its keys{}.",
                line(&name, 80),
                text(&found, "keys"),
                match text(&found, "jwks_uri") {
                    at if at.is_empty() => " in its document".to_owned(),
                    at => format!(" at {}", line(&at, 200)),
                }
            );
            out.done(&found, "issuer", &said)?;
        }
        TrustedIssuerCommand::Disable { name, reason } => {
            let path = ["trusted-issuers", &name, "disable"];
            let off = client.post(&path, &json!({ "reason": reason })).await?;
            let said = format!(
                "{} is trusted no longer; what its tokens gave has ended.",
                line(&name, 80)
            );
            out.done(&off, "name", &said)?;
        }
    }
    Ok(OK)
}

async fn put(connection: &Connection, set: &Set) -> anyhow::Result<()> {
    let (client, out) = (connection.client()?, connection.out());
    let path = ["trusted-issuers", set.name.as_str()];
    let there = match client.get(&path).await {
        Ok(there) => Some(there),
        Err(error) if crate::client::is_not_found(&error) => None,
        Err(error) => return Err(error),
    };
    let body = body(set, there.as_ref())?;
    let revision = there.as_ref().and_then(|t| t.get("revision")?.as_u64());
    let saved = client.put(&path, &body, revision).await?;
    let said = format!(
        "Tokens of {} make workloads {}; it speaks for {}. See that its keys can be had: remit trusted-issuer test {}",
        line(&text(&saved, "issuer"), 200),
        match agents(&saved) {
            none if none.is_empty() => "nobody".to_owned(),
            agents => agents,
        },
        speaks_for(&saved),
        line(&set.name, 80),
    );
    out.done(&saved, "name", &said)
}

/// What is to be there: what is said, over what is there.
fn body(set: &Set, there: Option<&Value>) -> anyhow::Result<Value> {
    let needed = |what: &str| Usage(format!("name {what}: there is no such trusted issuer yet"));
    let mut body = serde_json::Map::from_iter([("reason".to_owned(), json!(set.reason))]);
    let kept = [
        "description",
        "issuer",
        "keys",
        "audience",
        "algorithms",
        "lifetime_secs_max",
        "rules",
        "identities",
    ];
    for name in kept {
        if let Some(value) = there.and_then(|t| t.get(name)) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    let mut say = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    say("issuer", set.issuer.clone().map(Value::from));
    say("description", set.description.clone().map(Value::from));
    say("audience", set.audience.clone().map(Value::from));
    say("lifetime_secs_max", set.lifetime.map(Value::from));
    say(
        "keys",
        set.jwks_uri.as_ref().map(|uri| json!({ "jwks_uri": uri })),
    );
    if let Some(uri) = &set.bundle {
        let source = match (&set.endpoint_id, &set.endpoint_bundle) {
            (Some(id), Some(file)) => {
                let bundle = input::document(file)?;
                json!({ "https_spiffe": { "url": uri, "endpoint_spiffe_id": id, "bundle": bundle } })
            }
            _ => json!({ "spiffe_bundle": uri }),
        };
        say("keys", Some(source));
    }
    if let Some(file) = &set.jwks {
        say("keys", Some(json!({ "jwks": input::document(file)? })));
    }
    if !set.algorithms.is_empty() {
        say("algorithms", Some(json!(set.algorithms)));
    }
    if let Some(file) = &set.rules {
        say("rules", Some(input::document(file)?));
    }
    if let Some(file) = &set.identities {
        say("identities", Some(input::document(file)?));
    }
    if body.get("issuer").is_none() {
        return Err(needed("its --issuer").into());
    }
    if body.get("algorithms").is_none() {
        return Err(needed("each --algorithm that it signs with").into());
    }
    Ok(Value::Object(body))
}

fn agents(issuer: &Value) -> String {
    let named = |rule: &Value| format!("{}/{}", text(rule, "agent"), text(rule, "workflow"));
    let mut all: Vec<_> = items(issuer, "rules").iter().map(named).collect();
    all.dedup();
    line(&all.join(", "), 200)
}

fn keys(issuer: &Value) -> String {
    let of = |name: &str| issuer.get("keys").and_then(|keys| keys.get(name));
    if let Some(there) = of("https_spiffe") {
        let (url, id) = (text(there, "url"), text(there, "endpoint_spiffe_id"));
        return format!("{}, which is {}", line(&url, 500), line(&id, 500));
    }
    match (of("jwks_uri").or_else(|| of("spiffe_bundle")), of("jwks")) {
        (Some(uri), _) => line(uri.as_str().unwrap_or_default(), 500),
        (None, Some(set)) => format!("{} in its document", items(set, "keys").len()),
        (None, None) => "where its metadata says".to_owned(),
    }
}

fn rule(rule: &Value) -> String {
    let claims = rule.get("claims").and_then(Value::as_object);
    let claims = claims.into_iter().flatten().map(|(name, values)| {
        let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
        let values: Vec<_> = values
            .iter()
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .collect();
        format!(" with {name} {}", values.join(" or "))
    });
    let mut claims: Vec<String> = claims.collect();
    claims.sort();
    let claims = claims.concat();
    format!(
        "{}{claims} is {}/{}",
        text(rule, "subject"),
        text(rule, "agent"),
        text(rule, "workflow")
    )
}

fn speaks_for(issuer: &Value) -> String {
    let Some(identities) = issuer.get("identities").filter(|i| i.is_object()) else {
        return "nobody".to_owned();
    };
    let people = identities.get("people").and_then(Value::as_object);
    let workflows: Vec<_> = items(identities, "workflows")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    format!(
        "{} in {}",
        count(
            people.map_or(0, |p| u64::try_from(p.len()).unwrap_or(0)),
            "subject"
        ),
        line(&workflows.join(", "), 500)
    )
}

fn page(out: Out, issuer: &Value) -> String {
    let rules = items(issuer, "rules").iter().map(rule);
    let rules: Vec<_> = rules.map(|rule| line(&rule, 1_000)).collect();
    Page::new(out, &text(issuer, "name"))
        .at("State", issuer, "state")
        .at("Issuer", issuer, "issuer")
        .at("Description", issuer, "description")
        .field("Keys", keys(issuer))
        .at("Audience", issuer, "audience")
        .at("Algorithms", issuer, "algorithms")
        .at("Lifetime", issuer, "lifetime_secs_max")
        .field("Rules", rules.join("; "))
        .field("Speaks for", speaks_for(issuer))
        .at("Reason", issuer, "reason")
        .at("Changed by", issuer, "by")
        .when("Changed", issuer, "at")
        .text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Set {
        Set {
            name: "github".to_owned(),
            issuer: None,
            jwks_uri: None,
            bundle: None,
            endpoint_id: None,
            endpoint_bundle: None,
            jwks: None,
            audience: None,
            algorithms: Vec::new(),
            lifetime: None,
            rules: None,
            identities: None,
            description: None,
            reason: "why".to_owned(),
        }
    }

    #[test]
    fn what_is_not_said_stays() {
        let there = json!({
            "name": "github", "issuer": "https://a.example", "algorithms": ["RS256"], "revision": 3,
            "rules": [{ "subject": "repo:acme/x", "agent": "a", "workflow": "w" }], "by": "x"
        });
        let mut said = set();
        said.audience = Some("https://remit.example".to_owned());
        let body = body(&said, Some(&there)).unwrap();
        assert_eq!(body["rules"], there["rules"]);
        assert_eq!(body["audience"], "https://remit.example");
        assert!(body.get("by").is_none() && body.get("revision").is_none());
        assert!(super::body(&set(), None).is_err());
    }

    #[test]
    fn a_rule_is_told_in_words() {
        let said = json!({
            "subject": "repo:acme/x:*", "agent": "a", "workflow": "w",
            "claims": { "environment": ["prod", "live"], "attempt": [1] }
        });
        assert_eq!(
            rule(&said),
            "repo:acme/x:* with attempt 1 with environment prod or live is a/w"
        );
    }
}
