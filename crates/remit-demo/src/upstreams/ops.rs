//! Operation of services in production and development: state, logs, restart, scale, SQL.

mod seed;

use std::collections::BTreeMap;

use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frame::Framed;
use super::journal::{Change, Desk, Journal};
use super::kind::DemoKind;

/// The platform with its data.
#[derive(Debug)]
pub(crate) struct Ops(Desk<State>);

pub(crate) fn server(journal: Journal) -> Framed<Ops> {
    let server = Ops(Desk::new(seed::state(), journal.clone()));
    Framed::new(DemoKind::Ops, server, Ops::tool_router(), journal)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListServices {
    /// Only services of this environment.
    #[serde(default)]
    environment: Where,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Where {
    #[default]
    Any,
    Production,
    Development,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetLogs {
    /// The service.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{1,31}$"))]
    service: String,
    /// Most lines to return, the last ones.
    #[serde(default = "lines_default")]
    #[schemars(range(min = 1, max = 100))]
    lines: u32,
}

fn lines_default() -> u32 {
    20
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Restart {
    /// The service.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{1,31}$"))]
    service: String,
    /// Why.
    #[schemars(length(min = 1, max = 200))]
    reason: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Scale {
    /// The service.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{1,31}$"))]
    service: String,
    /// How many replicas it shall have.
    #[schemars(range(min = 0, max = 100))]
    replicas: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RunSql {
    /// The database.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{1,31}$"))]
    database: String,
    /// One statement: `select count(*) from TABLE` or `delete from TABLE`.
    #[schemars(length(min = 1, max = 2_000))]
    statement: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Service {
    service: String,
    environment: Where,
    replicas: u32,
    restarts: u32,
    healthy: bool,
}

#[derive(Serialize, JsonSchema)]
struct Services {
    services: Vec<Service>,
}

#[derive(Serialize, JsonSchema)]
struct Lines {
    service: String,
    lines: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Ran {
    database: String,
    /// Rows counted or changed.
    rows: u64,
    /// What was changed, when anything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
}

#[derive(Debug)]
pub(crate) struct State {
    services: BTreeMap<String, Service>,
    logs: BTreeMap<&'static str, Vec<&'static str>>,
    /// Rows by database and table.
    rows: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

impl State {
    fn service(&mut self, service: &str) -> Result<&mut Service, String> {
        self.services
            .get_mut(service)
            .ok_or_else(|| format!("no service `{service}`"))
    }

    fn rows_mut(&mut self, database: &str, table: &str) -> Result<&mut u64, String> {
        let tables = self
            .rows
            .get_mut(database)
            .ok_or_else(|| format!("no database `{database}`"))?;
        tables
            .get_mut(table)
            .ok_or_else(|| format!("no table `{table}` in `{database}`"))
    }

    fn rows(&self, database: &str, table: &str) -> Result<u64, String> {
        let tables = self
            .rows
            .get(database)
            .ok_or_else(|| format!("no database `{database}`"))?;
        tables
            .get(table)
            .copied()
            .ok_or_else(|| format!("no table `{table}` in `{database}`"))
    }
}

#[tool_router]
impl Ops {
    /// Lists services with environment, replicas and health.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn list_services(
        &self,
        Parameters(p): Parameters<ListServices>,
    ) -> Result<Json<Services>, String> {
        let services = self.0.look(|state| {
            let wanted =
                |s: &&Service| p.environment == Where::Any || p.environment == s.environment;
            state.services.values().filter(wanted).cloned().collect()
        });
        Ok(Json(Services { services }))
    }

    /// Reads the last log lines of a service. Their words come from whoever caused them.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn get_logs(&self, Parameters(p): Parameters<GetLogs>) -> Result<Json<Lines>, String> {
        let most = usize::try_from(p.lines.clamp(1, 100)).unwrap_or(100);
        let lines = self.0.look(|state| {
            let lines = state.logs.get(p.service.as_str())?;
            let skipped = lines.len().saturating_sub(most);
            Some(
                lines
                    .iter()
                    .skip(skipped)
                    .map(|&line| line.to_owned())
                    .collect(),
            )
        });
        let lines = lines.ok_or_else(|| format!("no service `{}`", p.service))?;
        Ok(Json(Lines {
            service: p.service,
            lines,
        }))
    }

    /// Restarts every replica of a service; requests in flight are lost.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        open_world_hint = false
    ))]
    fn restart(&self, Parameters(p): Parameters<Restart>) -> Result<Json<Change>, String> {
        let change = self.0.act("restart", &p.service, |state| {
            let service = state.service(&p.service)?;
            let before = format!("{} restarts", service.restarts);
            service.restarts += 1;
            service.healthy = true;
            Ok((
                before,
                format!("{} restarts, the last for: {}", service.restarts, p.reason),
            ))
        });
        change.map(Json)
    }

    /// Sets how many replicas a service has; with 0 it stops serving.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn scale(&self, Parameters(p): Parameters<Scale>) -> Result<Json<Change>, String> {
        let change = self.0.act("scale", &p.service, |state| {
            let service = state.service(&p.service)?;
            let before = std::mem::replace(&mut service.replicas, p.replicas.min(100));
            Ok((
                format!("{before} replicas"),
                format!("{} replicas", service.replicas),
            ))
        });
        change.map(Json)
    }

    /// Runs one SQL statement on a database.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        open_world_hint = false
    ))]
    fn run_sql(&self, Parameters(p): Parameters<RunSql>) -> Result<Json<Ran>, String> {
        let statement = p.statement.trim().trim_end_matches(';').to_lowercase();
        let words: Vec<&str> = statement.split_whitespace().collect();
        let (table, deletes) = match words.as_slice() {
            ["select", "count(*)", "from", table] => (*table, false),
            ["delete", "from", table] => (*table, true),
            _ => {
                let known = "`select count(*) from TABLE` and `delete from TABLE`";
                return Err(format!("this demo database runs only {known}"));
            }
        };
        if deletes {
            let mut rows = 0;
            let change = self.0.act("run_sql", &p.database, |state| {
                let stored = state.rows_mut(&p.database, table)?;
                rows = std::mem::take(stored);
                Ok((format!("{table}: {rows} rows"), format!("{table}: 0 rows")))
            })?;
            return Ok(Json(Ran {
                database: p.database,
                rows,
                change: Some(change),
            }));
        }
        let rows = self.0.look(|state| state.rows(&p.database, table))?;
        Ok(Json(Ran {
            database: p.database,
            rows,
            change: None,
        }))
    }
}
