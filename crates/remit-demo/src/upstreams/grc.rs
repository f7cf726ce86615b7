//! Compliance: controls, the evidence for them, samples of users, and findings.

mod seed;

use std::collections::BTreeMap;

use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frame::Framed;
use super::journal::{Change, Desk, Journal};
use super::kind::DemoKind;
use super::story;

/// The register with its data.
#[derive(Debug)]
pub(crate) struct Grc(Desk<State>);

pub(crate) fn server(journal: Journal) -> Framed<Grc> {
    let server = Grc(Desk::new(seed::state(), journal.clone()));
    Framed::new(DemoKind::Grc, server, Grc::tool_router(), journal)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListControls {
    /// Only controls of this framework.
    #[serde(default)]
    framework: Framework,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Framework {
    #[default]
    Any,
    Nist80053,
    Soc2,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PullEvidence {
    /// The control, such as AC-2.
    #[schemars(regex(pattern = r"^[A-Z]{2}-?[0-9]{1,2}(\.[0-9]{1,2})?$"))]
    control: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SampleUsers {
    /// The system whose users are sampled.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{1,31}$"))]
    system: String,
    /// How many.
    #[schemars(range(min = 1, max = 25))]
    count: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OpenFinding {
    /// The control that does not hold.
    #[schemars(regex(pattern = r"^[A-Z]{2}-?[0-9]{1,2}(\.[0-9]{1,2})?$"))]
    control: String,
    /// How bad.
    severity: Severity,
    /// What was seen.
    #[schemars(length(min = 1, max = 500))]
    text: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Severity {
    Low,
    Medium,
    High,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CloseFinding {
    /// The finding, such as F-12.
    #[schemars(regex(pattern = r"^F-[0-9]{1,6}$"))]
    finding: String,
    /// Why it is closed.
    #[schemars(length(min = 1, max = 500))]
    resolution: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Control {
    control: String,
    framework: Framework,
    title: String,
    owner: String,
    findings: Vec<Finding>,
}

#[derive(Serialize, JsonSchema)]
struct Controls {
    controls: Vec<Control>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Finding {
    finding: String,
    severity: Severity,
    text: String,
    open: bool,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Evidence {
    evidence: String,
    control: String,
    collected: String,
    what: String,
}

#[derive(Serialize, JsonSchema)]
struct EvidenceList {
    evidence: Vec<Evidence>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Sampled {
    user: String,
    role: String,
    manager: String,
    last_sign_in: String,
}

#[derive(Serialize, JsonSchema)]
struct Sample {
    system: String,
    users: Vec<Sampled>,
}

#[derive(Debug)]
pub(crate) struct State {
    controls: BTreeMap<String, Control>,
    evidence: Vec<Evidence>,
    users: Vec<Sampled>,
    last_finding: u32,
}

#[tool_router]
impl Grc {
    /// Lists controls with their owners and findings.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn list_controls(
        &self,
        Parameters(p): Parameters<ListControls>,
    ) -> Result<Json<Controls>, String> {
        let controls = self.0.look(|state| {
            let wanted = |c: &&Control| p.framework == Framework::Any || p.framework == c.framework;
            state.controls.values().filter(wanted).cloned().collect()
        });
        Ok(Json(Controls { controls }))
    }

    /// Reads the evidence collected for a control.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn pull_evidence(
        &self,
        Parameters(p): Parameters<PullEvidence>,
    ) -> Result<Json<EvidenceList>, String> {
        let evidence = self.0.look(|state| {
            let known = state.controls.contains_key(&p.control);
            let of = state.evidence.iter().filter(|e| e.control == p.control);
            known.then(|| of.cloned().collect())
        });
        let evidence = evidence.ok_or_else(|| format!("no control `{}`", p.control))?;
        Ok(Json(EvidenceList { evidence }))
    }

    /// Draws users of a system, always the same ones, for an access test.
    #[tool(annotations(read_only_hint = true, idempotent_hint = true, open_world_hint = false))]
    fn sample_users(&self, Parameters(p): Parameters<SampleUsers>) -> Result<Json<Sample>, String> {
        if p.system != story::AUDITED_SYSTEM {
            return Err(format!("no system `{}` under audit", p.system));
        }
        let count = usize::try_from(p.count.clamp(1, 25)).unwrap_or(25);
        let users = self
            .0
            .look(|state| state.users.iter().take(count).cloned().collect());
        Ok(Json(Sample {
            system: p.system,
            users,
        }))
    }

    /// Opens a finding against a control; its owner must answer it.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = false,
        open_world_hint = false
    ))]
    fn open_finding(&self, Parameters(p): Parameters<OpenFinding>) -> Result<Json<Change>, String> {
        let change = self.0.act("open_finding", &p.control, |state| {
            let control = state.controls.get_mut(&p.control);
            let control = control.ok_or_else(|| format!("no control `{}`", p.control))?;
            let before = format!("{} findings", control.findings.len());
            state.last_finding += 1;
            let finding = format!("F-{}", state.last_finding);
            let after = format!("{finding} open, {:?}", p.severity);
            control.findings.push(Finding {
                finding,
                severity: p.severity,
                text: p.text,
                open: true,
            });
            Ok((before, after))
        });
        change.map(Json)
    }

    /// Closes a finding. Whoever tests a control should not be the one to do it.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn close_finding(
        &self,
        Parameters(p): Parameters<CloseFinding>,
    ) -> Result<Json<Change>, String> {
        let change = self.0.act("close_finding", &p.finding, |state| {
            let mut findings = state.controls.values_mut().flat_map(|c| &mut c.findings);
            let found = findings.find(|f| f.finding == p.finding);
            let finding = found.ok_or_else(|| format!("no finding `{}`", p.finding))?;
            let before = if finding.open { "open" } else { "closed" };
            finding.open = false;
            Ok((before.to_owned(), format!("closed: {}", p.resolution)))
        });
        change.map(Json)
    }
}
