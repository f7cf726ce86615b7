//! What an ask may say of who approves, and when more may.

use super::tests::engine;

#[test]
fn an_ask_says_properly_who_approves() {
    let ask = r"forbid (principal, action, resource) unless { context.approved };";
    let plain = r"forbid (principal, action, resource);";
    for (annotations, policy, why) in [
        ("", ask, "needs `@approvers"),
        (r#"@approvers("")"#, ask, "names no approvers"),
        (r#"@approvers("role:king")"#, ask, "names no approvers"),
        (
            r#"@approvers("sponsor") @quorum("0")"#,
            ask,
            "is not a number",
        ),
        (
            r#"@approvers("sponsor") @quorum("2")"#,
            ask,
            "can never be met",
        ),
        (
            r#"@approvers("sponsor") @standing("no")"#,
            ask,
            "takes no value",
        ),
        (
            r#"@approvers("sponsor") @quorun("2")"#,
            ask,
            "is not an annotation",
        ),
        (
            r#"@escalate("10m role:admin")"#,
            plain,
            "means nothing without",
        ),
        (r#"@approvers("sponsor")"#, plain, "means nothing without"),
        (r#"@quorum("2")"#, plain, "means nothing without"),
    ] {
        let error = engine(&[&format!("{annotations} {policy}")])
            .unwrap_err()
            .to_string();
        assert!(error.contains(why), "{annotations}: {error}");
    }
}

#[test]
fn an_escalation_says_properly_when_and_who() {
    let ask = r"forbid (principal, action, resource) unless { context.approved };";
    for (annotations, policy, why) in [
        (
            r#"@approvers("sponsor") @escalate("10m")"#,
            ask,
            "names no time, or nobody",
        ),
        (
            r#"@approvers("sponsor") @escalate("0m role:admin")"#,
            ask,
            "not minutes or hours",
        ),
        (
            r#"@approvers("sponsor") @escalate("1h role:admin")"#,
            ask,
            "comes too late",
        ),
        (
            r#"@approvers("sponsor") @escalate("10m role:admin; 10m owner")"#,
            ask,
            "not in the order of time",
        ),
        (
            r#"@approvers("sponsor") @escalate("10m sponsor")"#,
            ask,
            "adds nobody",
        ),
        (
            r#"@approvers("sponsor") @escalate("10m role:king")"#,
            ask,
            "names no approvers",
        ),
        (
            r#"@approvers("sponsor") @escalate("1m owner; 2m manager; 3m role:admin; 4m role:auditor; 5m role:responder")"#,
            ask,
            "more than 4 steps",
        ),
        (
            r#"@approvers("sponsor") @quorum("3") @escalate("1m owner")"#,
            ask,
            "can never be met",
        ),
    ] {
        let error = engine(&[&format!("{annotations} {policy}")])
            .unwrap_err()
            .to_string();
        assert!(error.contains(why), "{annotations}: {error}");
    }
}
