//! What an administrator declares of each tool, in the shape of [`Classification`].
//!
//! The servers' own annotations are hints; this is the statement that Remit decides on.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, anyhow};
use remit_domain::tool::{Classification, Effect};

use super::kind::DemoKind;

#[derive(Debug, Clone, Copy)]
struct Row {
    tool: &'static str,
    effect: Effect,
    classes: &'static [&'static str],
    untrusted: bool,
    entitlements: &'static [&'static str],
    targets: &'static [(&'static str, &'static str)],
    show: &'static [&'static str],
}

type Pairs = &'static [(&'static str, &'static str)];
type Words = &'static [&'static str];

const fn row(tool: &'static str, effect: Effect) -> Row {
    Row {
        tool,
        effect,
        classes: &[],
        untrusted: false,
        entitlements: &[],
        targets: &[],
        show: &[],
    }
}

impl Row {
    /// Data classes a call touches.
    const fn data(mut self, classes: Words) -> Self {
        self.classes = classes;
        self
    }

    /// The result carries words of people nobody vouches for.
    const fn untrusted(mut self) -> Self {
        self.untrusted = true;
        self
    }

    /// The person behind the agent must hold these.
    const fn entitled(mut self, entitlements: Words) -> Self {
        self.entitlements = entitlements;
        self
    }

    /// Arguments that name objects, with the objects' kinds.
    const fn on(mut self, targets: Pairs) -> Self {
        self.targets = targets;
        self
    }

    /// Arguments that summaries may show.
    const fn show(mut self, show: Words) -> Self {
        self.show = show;
        self
    }
}

const LOG: Row = row("effects_log", Effect::Read);

const ITSM: &[Row] = &[
    row("find_user", Effect::Read).data(&["employee-pii"]),
    row("get_ticket", Effect::Read)
        .data(&["employee-pii"])
        .untrusted()
        .on(&[("ticket", "ticket")])
        .show(&["ticket"]),
    row("get_lockout", Effect::Read)
        .data(&["employee-pii"])
        .on(&[("user", "person")])
        .show(&["user"]),
    row("unlock_account", Effect::Write)
        .data(&["employee-pii"])
        .on(&[("user", "person"), ("ticket", "ticket")])
        .show(&["user", "ticket"]),
    row("reset_password", Effect::Privilege)
        .data(&["employee-pii"])
        .on(&[("user", "person"), ("ticket", "ticket")])
        .show(&["user", "ticket", "channel"]),
    row("reset_mfa", Effect::Privilege)
        .data(&["employee-pii"])
        .on(&[("user", "person"), ("ticket", "ticket")])
        .show(&["user", "ticket"]),
    row("add_to_group", Effect::Privilege)
        .data(&["employee-pii"])
        .on(&[("user", "person"), ("ticket", "ticket")])
        .show(&["user", "group", "ticket"]),
    LOG,
];

const ORDERS: &[Row] = &[
    row("order_status", Effect::Read)
        .data(&["payment-data"])
        .untrusted()
        .on(&[("order", "order")])
        .show(&["order"]),
    row("customer_lookup", Effect::Read)
        .data(&["customer-pii"])
        .on(&[("customer", "customer")])
        .show(&["customer"]),
    row("refund", Effect::Purchase)
        .data(&["payment-data"])
        .entitled(&["refunds"])
        .on(&[("order", "order")])
        .show(&["order", "amount", "card", "reason"]),
    row("change_address", Effect::Write)
        .data(&["customer-pii"])
        .on(&[("order", "order")])
        .show(&["order", "country"]),
    row("send_mail", Effect::External)
        .on(&[("to", "address")])
        .show(&["to", "subject"]),
    LOG,
];

const SIEM: &[Row] = &[
    row("get_alert", Effect::Read)
        .data(&["security-logs"])
        .on(&[("alert", "alert")])
        .show(&["alert"]),
    row("search_logs", Effect::Read)
        .data(&["security-logs"])
        .untrusted()
        .show(&["limit"]),
    row("isolate_host", Effect::Destructive)
        .data(&["security-logs"])
        .entitled(&["incident-response"])
        .on(&[("host", "host"), ("alert", "alert")])
        .show(&["host", "alert"]),
    row("disable_user", Effect::Privilege)
        .data(&["security-logs"])
        .entitled(&["incident-response"])
        .on(&[("user", "person"), ("alert", "alert")])
        .show(&["user", "alert"]),
    row("block_ip", Effect::Write)
        .data(&["security-logs"])
        .on(&[("ip", "ip"), ("alert", "alert")])
        .show(&["ip", "alert", "hours"]),
    LOG,
];

const OPS: &[Row] = &[
    row("list_services", Effect::Read).show(&["environment"]),
    row("get_logs", Effect::Read)
        .data(&["operational-logs"])
        .untrusted()
        .on(&[("service", "service")])
        .show(&["service", "lines"]),
    row("restart", Effect::Execute)
        .on(&[("service", "service")])
        .show(&["service"]),
    row("scale", Effect::Execute)
        .on(&[("service", "service")])
        .show(&["service", "replicas"]),
    row("run_sql", Effect::Destructive)
        .data(&["application-data"])
        .entitled(&["database-change"])
        .on(&[("database", "database")])
        .show(&["database"]),
    LOG,
];

const GRC: &[Row] = &[
    row("list_controls", Effect::Read)
        .data(&["audit-evidence"])
        .show(&["framework"]),
    row("pull_evidence", Effect::Read)
        .data(&["audit-evidence"])
        .on(&[("control", "control")])
        .show(&["control"]),
    row("sample_users", Effect::Read)
        .data(&["employee-pii"])
        .on(&[("system", "system")])
        .show(&["system", "count"]),
    row("open_finding", Effect::Write)
        .data(&["audit-evidence"])
        .on(&[("control", "control")])
        .show(&["control", "severity"]),
    row("close_finding", Effect::Destructive)
        .data(&["audit-evidence"])
        .entitled(&["finding-closure"])
        .on(&[("finding", "finding")])
        .show(&["finding"]),
    LOG,
];

const fn rows(kind: DemoKind) -> &'static [Row] {
    match kind {
        DemoKind::Itsm => ITSM,
        DemoKind::Orders => ORDERS,
        DemoKind::Siem => SIEM,
        DemoKind::Ops => OPS,
        DemoKind::Grc => GRC,
    }
}

/// The classification of every tool of `kind`, by the tool's name.
///
/// # Errors
/// When a word of the table is not a name, which its test rules out.
pub fn catalog(kind: DemoKind) -> Result<BTreeMap<&'static str, Classification>> {
    let one = |row: &Row| {
        let declared = classification(row);
        declared
            .map(|c| (row.tool, c))
            .with_context(|| format!("in the catalog row of `{}`", row.tool))
    };
    rows(kind).iter().map(one).collect()
}

/// Every data class that the tools of `kind` touch.
pub fn data_classes(kind: DemoKind) -> BTreeSet<&'static str> {
    rows(kind)
        .iter()
        .flat_map(|row| row.classes)
        .copied()
        .collect()
}

/// Every entitlement that the tools of `kind` ask of the person behind an agent.
pub fn entitlements(kind: DemoKind) -> BTreeSet<&'static str> {
    rows(kind)
        .iter()
        .flat_map(|row| row.entitlements)
        .copied()
        .collect()
}

fn classification(row: &Row) -> Result<Classification> {
    let path = |text: &str| text.parse().map_err(|e: String| anyhow!(e));
    let names = |words: Words| words.iter().map(|w| Ok(w.parse()?)).collect::<Result<_>>();
    Ok(Classification {
        effect: row.effect,
        external: false,
        data_classes: names(row.classes)?,
        untrusted_content: row.untrusted,
        metadata: false,
        customer: None,
        entitlements: names(row.entitlements)?,
        targets: row
            .targets
            .iter()
            .map(|(at, kind)| Ok((path(at)?, kind.parse()?)))
            .collect::<Result<_>>()?,
        show: row.show.iter().map(|at| path(at)).collect::<Result<_>>()?,
    })
}
