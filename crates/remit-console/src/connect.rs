//! Connect: an upstream, a client, an agent of one's own, with texts that hold this server's own addresses.

use askama::Template;
use remit_control::ListQuery;
use remit_domain::Role;
use remit_domain::name::Name;
use serde_json::{Value, json};

use crate::agents::yaml_text;
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::fault::{Fault, capitalized};
use crate::route::{ADMIN, PERSON, Route, act, page};
use crate::text::Shown;
use crate::ui::{Cell, Code, Copy, Facts, Field, Filter, Input, Lines, Notice, Section, Tone};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        page("/connect", PERSON, home),
        page("/connect/upstream", ADMIN, upstream),
        act("/connect/upstream", ADMIN, make_upstream),
        page("/connect/client", PERSON, client),
    ]
}

#[derive(Template)]
#[template(path = "connect.html")]
struct Home {
    at: String,
    admin: bool,
    may_register: bool,
    addresses: Facts,
    copy: Copy,
}

fn addresses(ask: &Ask) -> Facts {
    let base = &ask.place.base;
    let to = |path: &str| Cell::code(format!("{base}{path}"));
    Facts::new()
        .row("MCP, all granted tools", to("/mcp"))
        .row("MCP, one upstream", to("/mcp/UPSTREAM"))
        .row("Token endpoint", to("/oauth2/token"))
        .row("Issuer", Cell::code(base))
        .row("REST", to("/api/v1"))
        .row("OpenAPI", to("/api/v1/openapi.json"))
        .row("Ledger checkpoint", to("/log/checkpoint"))
}

async fn home(ask: Ask) -> Result<Answer, Fault> {
    let home = Home {
        at: ask.place.at.clone(),
        admin: ask.holds(Role::Admin),
        may_register: ask.holds_any(&[Role::Admin, Role::Developer]),
        addresses: addresses(&ask),
        copy: Copy::get("connect --help", &ask.place.base, "/whoami"),
    };
    ask.page("Connect").with(&home).ok()
}

#[derive(Template)]
#[template(
    source = "<h1>Connect an upstream</h1><p class=\"note\">An MCP server whose tools agents are to use through Remit. Its tools are refused until you have classified them.</p>",
    ext = "html"
)]
struct UpstreamTitle;

async fn upstream(ask: Ask) -> Result<Answer, Fault> {
    upstream_form(&ask, None).ok()
}

fn upstream_form(ask: &Ask, fault: Option<&Fault>) -> Page {
    let line = |name: &str, label: &str, hint: &str| {
        Field::new(name, label, Input::Line)
            .hint(hint)
            .value(ask.field(name))
    };
    let form = ask
        .form("upstream", "/connect/upstream")
        .field(line("name", "Name", "Lower-case letters, digits and hyphens, at most 20: it begins the names of its tools.").required())
        .field(line("system", "System", "Name of the system it belongs to; made if it is not here.").required())
        .field(Field::select("environment", "Environment of the system", &["development", "staging", "production"], "development"))
        .field(Field::select("transport", "Reached by", &["http", "stdio"], "http"))
        .field(line("address", "Address, or name of the allowed command", "https://… of its MCP endpoint; for stdio the name of an entry of the operator's configuration.").required())
        .button("Connect it, and read its tools", Tone::Main);
    let mut page = ask.page("Connect an upstream").with(&UpstreamTitle);
    if let Some(fault) = fault {
        let mut notice = Notice::new("bad", capitalized(&fault.text()));
        notice.more = fault.more().iter().map(Shown::block).collect();
        page = page.notice(Some(notice)).status(fault.status());
    }
    page.with(&Section::new("upstream-form", "The server").with(&form))
}

/// What the form says, as documents: connecting by hand and by file are the same.
fn documents(ask: &Ask) -> Result<String, Fault> {
    let system: Name = ask.field_as("system")?;
    let me = ask.session()?.person.email.to_string();
    let address = ask.field("address").trim();
    let transport = match ask.field("transport") {
        "stdio" => json!({ "type": "stdio", "command": address }),
        _ => json!({ "type": "http", "url": address }),
    };
    let document = |kind: &str, name: &str, spec: Value| json!({ "apiVersion": "remit.dev/v1", "kind": kind, "metadata": { "name": name }, "spec": spec });
    let mut all = Vec::new();
    if ask.control().system(&ask.caller()?, &system).is_err() {
        let spec = json!({ "owner": me, "environment": ask.field("environment"), "criticality": "medium" });
        all.push(document("System", system.as_str(), spec));
    }
    all.push(document(
        "Upstream",
        ask.field("name").trim(),
        json!({ "system": system.as_str(), "transport": transport }),
    ));
    Ok(all.iter().map(yaml_text).collect::<Vec<_>>().join("---\n"))
}

async fn make_upstream(ask: Ask) -> Result<Answer, Fault> {
    let made = async {
        let text = documents(&ask)?;
        crate::agents::apply(&ask, &text).await?;
        let name = ask.field_as("name")?;
        ask.control()
            .sync_upstream(&ask.caller()?, &name)
            .await
            .map_err(Fault::from)
    };
    match made.await {
        Ok(_) => ask.done(
            &format!("/upstreams/{}", ask.field("name").trim()),
            "synced",
        ),
        Err(fault) if fault.is_correctable() => upstream_form(&ask, Some(&fault)).ok(),
        Err(fault) => Err(fault),
    }
}

#[derive(Template)]
#[template(
    source = "<h1>Connect a client</h1><p class=\"note\">Choose an agent; every text below is for it and for this server. The private key stays where the agent runs.</p>",
    ext = "html"
)]
struct ClientTitle;

/// One text to copy: what it is for, and the text.
pub(crate) struct Snippet {
    pub(crate) label: &'static str,
    pub(crate) text: String,
}

async fn client(ask: Ask) -> Result<Answer, Fault> {
    let caller = ask.caller()?;
    let filter = Filter::new(ask.to("/connect/client"))
        .search("agent", "Agent", ask.q("agent"))
        .search("workflow", "Workflow", ask.q("workflow"))
        .search("key", "Key file", ask.q("key"));
    let mut page = ask
        .page("Connect a client")
        .with(&ClientTitle)
        .with(&filter);
    let Some(name) = ask.q_as::<Name>("agent")? else {
        let active = ListQuery {
            limit: Some(12),
            state: Some("active".to_owned()),
            ..ListQuery::default()
        };
        let agents = ask.control().agents(&caller, &active)?.items;
        let facts = agents.iter().fold(Facts::new(), |facts, a| {
            facts.row(
                a.name.as_str(),
                Cell::link(
                    ask.to(&format!("/connect/client?agent={}", a.name)),
                    "connect it",
                ),
            )
        });
        return page
            .with(&Section::new("choose", "Active agents").with(&facts))
            .ok();
    };
    let agent = ask.control().agent(&caller, &name)?;
    let workflow = ask
        .q("workflow")
        .map(ToOwned::to_owned)
        .or_else(|| agent.workflows.first().map(ToString::to_string))
        .unwrap_or_else(|| "WORKFLOW".to_owned());
    let key = ask
        .q("key")
        .map_or_else(|| format!("/path/to/{name}.pem"), ToOwned::to_owned);
    let steps = Lines::new([
        format!("1. Once, where the agent runs: remit agent key add {name} --generate {key}"),
        "2. Copy what your client needs.".to_owned(),
        format!(
            "3. Look at its calls: {}/agents/{name}/activity",
            ask.place.base
        ),
    ]);
    page = page.with(
        &Section::new(
            "steps",
            format!("{name}, workflow {}", Shown::line(&workflow)),
        )
        .with(&steps),
    );
    for snippet in snippets(
        &ask.place.base,
        agent.id.as_str(),
        name.as_str(),
        &workflow,
        &key,
        &ask.place.name,
        ask.place.at.is_empty(),
    ) {
        page = page.with(&Code::new(snippet.label, snippet.text));
    }
    page.ok()
}

/// Texts for this server. They are what `remit connect` writes, so that both mean the same.
pub(crate) fn snippets(
    base: &str,
    agent: &str,
    name: &str,
    workflow: &str,
    key: &str,
    org: &str,
    is_default: bool,
) -> Vec<Snippet> {
    let server = base.split("/t/").next().unwrap_or(base);
    let mut args: Vec<String> = [
        "mcp",
        "bridge",
        "--agent",
        agent,
        "--key",
        key,
        "--workflow",
        workflow,
        "--addr",
        server,
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    if !is_default {
        args.extend(["--org".to_owned(), org.to_owned()]);
    }
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let entry = json!({ "command": "remit", "args": args });
    let shell = args.iter().map(|a| quoted(a)).collect::<Vec<_>>().join(" ");
    let python = format!(
        "# pip install mcp\nimport asyncio\nfrom mcp import ClientSession, StdioServerParameters\nfrom mcp.client.stdio import stdio_client\n\nserver = StdioServerParameters(command=\"remit\", args={})\n\nasync def main():\n    async with stdio_client(server) as (read, write):\n        async with ClientSession(read, write) as session:\n            await session.initialize()\n            print([tool.name for tool in (await session.list_tools()).tools])\n\nasyncio.run(main())\n",
        serde_json::to_string(&args).unwrap_or_default()
    );
    let typescript = format!(
        "// npm install @modelcontextprotocol/sdk\nimport {{ Client }} from \"@modelcontextprotocol/sdk/client/index.js\";\nimport {{ StdioClientTransport }} from \"@modelcontextprotocol/sdk/client/stdio.js\";\n\nconst transport = new StdioClientTransport({{ command: \"remit\", args: {} }});\nconst client = new Client({{ name: \"{name}\", version: \"1\" }});\nawait client.connect(transport);\nconsole.log((await client.listTools()).tools.map((tool) => tool.name));\n",
        serde_json::to_string(&args).unwrap_or_default()
    );
    let token = format!(
        "POST {base}/oauth2/token\ngrant_type=client_credentials\nscope=workflow:{workflow}\nresource={base}/mcp\nclient_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer\nclient_assertion=JWT signed with the agent's key (iss and sub {agent}, aud {base}, a fresh jti, at most 60 seconds)"
    );
    vec![
        Snippet {
            label: "Claude Code",
            text: format!("claude mcp add remit -- remit {shell}"),
        },
        Snippet {
            label: "Claude Code, for the whole project (.mcp.json)",
            text: pretty(&json!({ "mcpServers": { "remit": entry } })),
        },
        Snippet {
            label: "Cursor (.cursor/mcp.json)",
            text: pretty(&json!({ "mcpServers": { "remit": entry } })),
        },
        Snippet {
            label: "VS Code (.vscode/mcp.json)",
            text: pretty(
                &json!({ "servers": { "remit": { "type": "stdio", "command": "remit", "args": args } } }),
            ),
        },
        Snippet {
            label: "Python (MCP SDK)",
            text: python,
        },
        Snippet {
            label: "TypeScript (MCP SDK)",
            text: typescript,
        },
        Snippet {
            label: "Any OAuth client (RFC 7523)",
            text: token,
        },
    ]
}

/// One word of a shell.
fn quoted(word: &str) -> String {
    let plain = word
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_./:@%+=".contains(&b));
    if plain && !word.is_empty() {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_into_a_shell_or_a_file_stays_one_word() {
        let evil = "x'; rm -rf / #\"\n";
        let all = snippets(
            "https://remit.test/t/globex",
            "agt_1",
            "bot",
            evil,
            "a b.pem",
            "globex",
            false,
        );
        let shell = &all.iter().find(|s| s.label == "Claude Code").unwrap().text;
        assert!(
            shell.contains("'x'\\''; rm -rf / #\"\n'") && shell.contains("'a b.pem'"),
            "{shell}"
        );
        assert!(
            shell.ends_with("--addr https://remit.test --org globex"),
            "{shell}"
        );
        let json: Value = serde_json::from_str(
            &all.iter()
                .find(|s| s.label.starts_with("Cursor"))
                .unwrap()
                .text,
        )
        .unwrap();
        assert_eq!(json["mcpServers"]["remit"]["args"][7], evil);
    }
}
