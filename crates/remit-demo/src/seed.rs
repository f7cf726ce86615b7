//! Demo data: who and what there is before the use-cases begin, loaded the way an administrator would load it.

mod documents;
mod ready;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::client::{AgentKey, Rest, text_of};
use crate::upstreams::{DemoKind, catalog};

pub use ready::{Ready, ReadyAgent, ReadyPerson};

/// The server to load, and as whom.
#[derive(Clone)]
pub struct Target {
    /// Where it serves, without a slash at the end.
    pub base_url: String,
    /// An administrator's token.
    pub admin_token: String,
}

/// Upstreams, and which server each is: development and production of one server are governed apart.
const UPSTREAMS: [(&str, DemoKind); 6] = [
    ("itsm", DemoKind::Itsm),
    ("orders", DemoKind::Orders),
    ("siem", DemoKind::Siem),
    ("ops", DemoKind::Ops),
    ("ops-dev", DemoKind::Ops),
    ("grc", DemoKind::Grc),
];

/// Loads the demo data.
///
/// - `upstream_urls`: of every kind of demo server, its MCP address.
/// - `keys_dir`: made where it is missing; gets one private key file an agent, mode 0600, none of which may be there yet.
///
/// # Errors
/// When the server refuses anything: the data are complete or the demo does not begin.
pub async fn seed(
    target: &Target,
    upstream_urls: BTreeMap<DemoKind, String>,
    keys_dir: &Path,
) -> Result<Ready> {
    let open = Rest::anonymous(&target.base_url)?;
    let admin = open.with(&target.admin_token);
    apply(&admin, documents::PEOPLE).await.context("people")?;
    apply(&admin, &documents::upstreams(&upstream_urls)?)
        .await
        .context("upstreams")?;
    // All the rest at once: policies are compiled when tools or policies change, and that takes longest.
    let tools = classified(&admin).await?;
    let rest = [
        tools.as_str(),
        documents::POLICIES,
        documents::AGENTS,
        &documents::workflows()?,
    ];
    apply(&admin, &rest.join("\n---\n"))
        .await
        .context("tools, policies, agents and workflows")?;
    let people = enrol(&open, &admin).await?;
    let agents = activate(&open, &admin, &people, keys_dir).await?;
    Ok(Ready {
        base_url: target.base_url.clone(),
        admin_token: target.admin_token.clone(),
        people,
        agents,
    })
}

async fn apply(admin: &Rest, documents: &str) -> Result<()> {
    admin
        .post("/apply", &json!({ "documents": documents }))
        .await
        .map(|_| ())
}

/// Brings the tools in; gives the documents that declare each one, for exactly the definition that was found.
async fn classified(admin: &Rest) -> Result<String> {
    let mut tools = Vec::new();
    for (upstream, kind) in UPSTREAMS {
        admin
            .post(&format!("/upstreams/{upstream}/sync"), &json!({}))
            .await?;
        let declared = catalog(kind)?;
        let found = admin.items(&format!("/tools?upstream={upstream}")).await?;
        for tool in &found {
            let name = text_of(tool, "/tool");
            // Resources, prompts and completions have names of their own, which nobody is granted here.
            let Some(classification) = name
                .split_once('/')
                .and_then(|(_, tool)| declared.get(tool))
            else {
                continue;
            };
            let mut spec = serde_json::to_value(classification)?;
            let fields = spec
                .as_object_mut()
                .context("a classification is an object")?;
            fields.insert(
                "definition_hash".to_owned(),
                json!(text_of(tool, "/definition_hash")),
            );
            // JSON is YAML.
            let document = json!({ "apiVersion": "remit.dev/v1", "kind": "Tool", "metadata": { "name": name }, "spec": spec });
            tools.push(document.to_string());
        }
        let missing: Vec<_> = declared
            .keys()
            .filter(|tool| {
                !found
                    .iter()
                    .any(|f| text_of(f, "/tool") == format!("{upstream}/{tool}"))
            })
            .collect();
        ensure!(
            missing.is_empty(),
            "upstream `{upstream}` does not offer {missing:?}"
        );
    }
    Ok(tools.join("\n---\n"))
}

/// Every person makes their own token, through their own link.
async fn enrol(open: &Rest, admin: &Rest) -> Result<BTreeMap<String, ReadyPerson>> {
    let whoami = text_of(&admin.get("/whoami").await?, "/name");
    let mut people = BTreeMap::new();
    for person in admin.items("/people").await? {
        let email = text_of(&person, "/email");
        // Whom nobody created came with the organization, and has a link of their own: whoever made them another could act as
        // them.
        if email == whoami || person.get("created_by").is_none_or(Value::is_null) {
            continue;
        }
        let link = admin
            .post(&format!("/people/{email}/enrolments"), &json!({}))
            .await?;
        let code = text_of(&link, "/code");
        let made = open
            .post(
                "/enrolments/redeem",
                &json!({ "code": code, "label": "demo", "days": 1 }),
            )
            .await?;
        people.insert(
            email,
            ReadyPerson {
                token: text_of(&made, "/token"),
            },
        );
    }
    Ok(people)
}

/// Each agent gets a key of its own, and is activated by its sponsor.
async fn activate(
    open: &Rest,
    admin: &Rest,
    people: &BTreeMap<String, ReadyPerson>,
    keys_dir: &Path,
) -> Result<BTreeMap<String, ReadyAgent>> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(keys_dir)?;
    let mut agents = BTreeMap::new();
    for agent in admin.items("/agents").await? {
        let name = text_of(&agent, "/name");
        let key = AgentKey::generate()?;
        let file = keys_dir.join(format!("{name}.pem"));
        key.write(&file)
            .with_context(|| format!("the key of `{name}` cannot be written"))?;
        admin
            .post(
                &format!("/agents/{name}/keys"),
                &json!({ "jwk": key.jwk() }),
            )
            .await?;
        let sponsor = people
            .get(&text_of(&agent, "/sponsor"))
            .with_context(|| format!("`{name}` has no sponsor here"))?;
        open.with(&sponsor.token)
            .post(&format!("/agents/{name}/activate"), &json!({}))
            .await?;
        let workflows = admin.items(&format!("/agents/{name}/workflows")).await?;
        let workflows = workflows.iter().map(|w| text_of(w, "/name")).collect();
        agents.insert(
            name,
            ReadyAgent {
                client_id: text_of(&agent, "/id"),
                key_file: file.display().to_string(),
                workflows,
            },
        );
    }
    Ok(agents)
}
