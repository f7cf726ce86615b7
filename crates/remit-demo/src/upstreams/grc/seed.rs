//! Controls, evidence and users as the register starts with them.

use super::super::story;
use super::{Control, Evidence, Finding, Framework, Sampled, Severity, State};

/// Number of [`story::FINDING`].
const LAST_FINDING: u32 = 12;

pub(super) fn state() -> State {
    let mut account_management = control(
        story::CONTROL,
        Framework::Nist80053,
        "Account management",
        "s.okafor",
    );
    account_management.findings.push(Finding {
        finding: story::FINDING.to_owned(),
        severity: Severity::High,
        text: "Two accounts of people who left in August can still sign in.".to_owned(),
        open: true,
    });
    let controls = [
        account_management,
        control("AC-6", Framework::Nist80053, "Least privilege", "s.okafor"),
        control(
            "AU-9",
            Framework::Nist80053,
            "Protection of audit information",
            "h.lind",
        ),
        control("CC6.1", Framework::Soc2, "Logical access", "h.lind"),
    ];
    State {
        controls: controls.map(|c| (c.control.clone(), c)).into(),
        evidence: vec![
            evidence("E-301", story::CONTROL, "export of erp accounts, 412 rows"),
            evidence("E-302", story::CONTROL, "list of leavers from HR, 9 rows"),
            evidence("E-310", "AC-6", "role matrix of erp, signed"),
            evidence("E-322", "AU-9", "ledger checkpoint kept by the auditor"),
            evidence("E-340", "CC6.1", "access review Q3, report"),
        ],
        users: vec![
            sampled(story::REQUESTER, "sales", story::MANAGER, "2026-11-19"),
            sampled(story::MANAGER, "finance-approver", story::CEO, "2026-11-20"),
            sampled("k.rossi", "payables", story::MANAGER, "2026-08-14"),
            sampled("t.brandt", "payables", story::MANAGER, "2026-08-02"),
            sampled(story::SUSPECT, "marketing", story::CEO, "2026-11-20"),
            sampled(
                story::DOMAIN_ADMIN,
                "erp-admin",
                story::SOC_LEAD,
                "2026-11-18",
            ),
        ],
        last_finding: LAST_FINDING,
    }
}

fn control(control: &str, framework: Framework, title: &str, owner: &str) -> Control {
    Control {
        control: control.to_owned(),
        framework,
        title: title.to_owned(),
        owner: owner.to_owned(),
        findings: Vec::new(),
    }
}

fn evidence(evidence: &str, control: &str, what: &str) -> Evidence {
    Evidence {
        evidence: evidence.to_owned(),
        control: control.to_owned(),
        collected: "2026-11-12".to_owned(),
        what: what.to_owned(),
    }
}

fn sampled(user: &str, role: &str, manager: &str, last_sign_in: &str) -> Sampled {
    Sampled {
        user: user.to_owned(),
        role: role.to_owned(),
        manager: manager.to_owned(),
        last_sign_in: last_sign_in.to_owned(),
    }
}
