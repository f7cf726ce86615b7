//! Security operations: alerts and logs, and what isolating, disabling and blocking do.

mod seed;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frame::Framed;
use super::journal::{Change, Desk, Journal};
use super::kind::DemoKind;

/// The console with its data.
#[derive(Debug)]
pub(crate) struct Siem(Desk<State>);

pub(crate) fn server(journal: Journal) -> Framed<Siem> {
    let server = Siem(Desk::new(seed::state(), journal.clone()));
    Framed::new(DemoKind::Siem, server, Siem::tool_router(), journal)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetAlert {
    /// The alert, such as AL-7.
    #[schemars(regex(pattern = r"^AL-[0-9]{1,6}$"))]
    alert: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchLogs {
    /// A text that lines contain: a login, a host, an address or a word.
    #[schemars(length(min = 2, max = 128))]
    query: String,
    /// Most lines to return.
    #[serde(default = "lines_default")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

fn lines_default() -> u32 {
    20
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IsolateHost {
    /// The host, such as h-22.
    #[schemars(regex(pattern = r"^[a-z]{1,8}-[0-9]{1,6}$"))]
    host: String,
    /// The alert that this answers.
    #[schemars(regex(pattern = r"^AL-[0-9]{1,6}$"))]
    alert: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DisableUser {
    /// Login of the person.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9.-]{1,31}$"))]
    user: String,
    /// The alert that this answers.
    #[schemars(regex(pattern = r"^AL-[0-9]{1,6}$"))]
    alert: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BlockIp {
    /// The IPv4 address.
    #[schemars(regex(pattern = r"^([0-9]{1,3}\.){3}[0-9]{1,3}$"))]
    ip: Ipv4,
    /// The alert that this answers.
    #[schemars(regex(pattern = r"^AL-[0-9]{1,6}$"))]
    alert: String,
    /// For how long.
    #[serde(default = "hours_default")]
    #[schemars(range(min = 1, max = 168))]
    hours: u32,
}

/// An address as a string in the schema, and as an address in the code.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
struct Ipv4(#[schemars(with = "String")] Ipv4Addr);

fn hours_default() -> u32 {
    24
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Alert {
    alert: String,
    severity: String,
    opened: String,
    person: String,
    host: String,
    ip: String,
    summary: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Line {
    time: String,
    host: String,
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Lines {
    lines: Vec<Line>,
}

#[derive(Debug)]
pub(crate) struct State {
    alerts: BTreeMap<String, Alert>,
    lines: Vec<Line>,
    hosts: BTreeMap<String, &'static str>,
    users: BTreeMap<String, &'static str>,
    blocked: BTreeMap<Ipv4Addr, u32>,
}

impl State {
    fn answers(&self, alert: &str) -> Result<(), String> {
        if self.alerts.contains_key(alert) {
            Ok(())
        } else {
            Err(format!("no alert `{alert}`"))
        }
    }
}

/// Sets the state of `key`, and tells the one before and the one now.
fn set(
    of: &mut BTreeMap<String, &'static str>,
    kind: &str,
    key: &str,
    now: &'static str,
) -> Result<(String, String), String> {
    let state = of
        .get_mut(key)
        .ok_or_else(|| format!("no {kind} `{key}`"))?;
    let before = std::mem::replace(state, now);
    Ok((before.to_owned(), now.to_owned()))
}

#[tool_router]
impl Siem {
    /// Reads an alert: whom and what it is about.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn get_alert(&self, Parameters(p): Parameters<GetAlert>) -> Result<Json<Alert>, String> {
        let found = self.0.look(|state| state.alerts.get(&p.alert).cloned());
        found
            .map(Json)
            .ok_or_else(|| format!("no alert `{}`", p.alert))
    }

    /// Finds log lines that contain a text. Their words come from whoever caused them.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn search_logs(&self, Parameters(p): Parameters<SearchLogs>) -> Result<Json<Lines>, String> {
        let limit = usize::try_from(p.limit.clamp(1, 100)).unwrap_or(100);
        let lines = self.0.look(|state| {
            let hits = state
                .lines
                .iter()
                .filter(|l| l.text.contains(&p.query) || l.host == p.query);
            hits.take(limit).cloned().collect()
        });
        Ok(Json(Lines { lines }))
    }

    /// Cuts a host off the network, but for the security team.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn isolate_host(&self, Parameters(p): Parameters<IsolateHost>) -> Result<Json<Change>, String> {
        let change = self.0.act("isolate_host", &p.host, |state| {
            state.answers(&p.alert)?;
            set(&mut state.hosts, "host", &p.host, "isolated")
        });
        change.map(Json)
    }

    /// Disables a person's account everywhere and ends their sign-ins.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn disable_user(&self, Parameters(p): Parameters<DisableUser>) -> Result<Json<Change>, String> {
        let change = self.0.act("disable_user", &p.user, |state| {
            state.answers(&p.alert)?;
            set(&mut state.users, "person", &p.user, "disabled")
        });
        change.map(Json)
    }

    /// Blocks an address at the edge for some hours.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = false,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn block_ip(&self, Parameters(p): Parameters<BlockIp>) -> Result<Json<Change>, String> {
        let ip = p.ip.0;
        let hours = p.hours.clamp(1, 168);
        let change = self.0.act("block_ip", &ip.to_string(), |state| {
            state.answers(&p.alert)?;
            let before = state.blocked.insert(ip, hours);
            let words = |hours: u32| format!("blocked for {hours} h");
            Ok((
                before.map_or_else(|| "open".to_owned(), words),
                words(hours),
            ))
        });
        change.map(Json)
    }
}
