//! Which process a call reaches, what it is given, and how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use remit_domain::upstream::Transport;
use remit_outbound::{AllowedCommand, Allowlist, Outbound, OutboundConfig, StdioLimits};
use remit_ports::Upstreams as _;
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};

use crate::support::{Ask, org, run, unreachable, until};

/// The interpreter itself, not a wrapper that would need an environment.
pub(crate) fn python() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let found = std::process::Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .expect("python3 is needed for these tests");
        PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
    };
    PATH.get_or_init(find).clone()
}

pub(crate) fn server(flags: &[&str]) -> AllowedCommand {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/server.py");
    // -I and -S: no site packages, which only makes it start faster.
    let args = ["-I", "-S", script]
        .into_iter()
        .chain(flags.iter().copied());
    AllowedCommand {
        secret_env: BTreeSet::from(["TOKEN".to_owned()]),
        ..AllowedCommand::new(python(), args)
    }
}

pub(crate) fn outbound_of(command: AllowedCommand, stdio: StdioLimits) -> Outbound {
    let commands = BTreeMap::from([("fake".parse().unwrap(), command)]);
    Outbound::new(OutboundConfig {
        allowlist: Allowlist::new(commands).unwrap(),
        stdio,
        ..OutboundConfig::default()
    })
}

pub(crate) fn outbound(flags: &[&str]) -> Outbound {
    outbound_of(server(flags), StdioLimits::default())
}

pub(crate) fn ask(tool: &str) -> Ask {
    Ask::new(
        Transport::Stdio {
            command: "fake".parse().unwrap(),
        },
        tool,
    )
}

async fn pid(outbound: &Outbound, ask: Ask) -> i64 {
    ask.of(outbound).await.unwrap()["pid"].as_i64().unwrap()
}

/// Gone, or dead and only waiting to be collected by whoever inherited it.
fn is_gone(pid: i64) -> bool {
    let raw = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    if test_kill_process(raw).is_err() {
        return true;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

#[tokio::test]
async fn a_process_gets_a_clean_environment() {
    assert!(
        std::env::vars().any(|(name, _)| name == "CARGO_PKG_NAME"),
        "the parent has variables of its own"
    );
    let mut command = server(&[]);
    command.env = BTreeMap::from([("MODE".to_owned(), "test".to_owned())]);
    let outbound = outbound_of(command, StdioLimits::default());
    let seen = ask("env")
        .environment(&[("TOKEN", "secret value")])
        .of(&outbound)
        .await
        .unwrap();
    let expected = json!({"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MODE": "test", "TOKEN": "[redacted by remit]"});
    assert_eq!(seen["env"], expected);
    assert_eq!(seen["cwd"], "/");
}

#[tokio::test]
async fn a_lent_secret_comes_back_nowhere() {
    let outbound = outbound(&[]);
    let (to, mut seen) = tokio::sync::mpsc::channel(8);
    let lent = |tool| ask(tool).environment(&[("TOKEN", "s3cr3t-value")]);
    let error = lent("error").of(&outbound).await.unwrap_err();
    let result = lent("notify").listening(to).of(&outbound).await.unwrap();
    let mut said = format!("{error:?} {error} {result}");
    while let Ok(notification) = seen.try_recv() {
        said.push_str(&notification.to_string());
    }
    assert!(said.contains("[redacted by remit]"), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[tokio::test]
async fn every_run_has_its_own_process() {
    let outbound = outbound(&[]);
    let first = pid(&outbound, ask("pid")).await;
    assert_eq!(pid(&outbound, ask("pid")).await, first);
    let second = pid(&outbound, ask("pid").run(2)).await;
    let mut admin = ask("pid");
    admin.request.run = None;
    let admin = pid(&outbound, admin).await;
    let other_org = pid(&outbound, ask("pid").org(2)).await;
    let all = BTreeSet::from([first, second, admin, other_org]);
    assert_eq!(all.len(), 4);
}

#[tokio::test]
async fn a_stateless_upstream_is_shared_within_one_organization_only() {
    let outbound = outbound(&[]);
    let shared = |org, run| ask("pid").stateless().org(org).run(run);
    let first = pid(&outbound, shared(1, 1)).await;
    assert_eq!(pid(&outbound, shared(1, 2)).await, first);
    assert_ne!(pid(&outbound, shared(2, 1)).await, first);
    // A secret belongs to somebody: from then on, runs do not share.
    let lent = |run| shared(1, run).environment(&[("TOKEN", "secret value")]);
    let one = pid(&outbound, lent(1)).await;
    assert_ne!(one, first);
    assert_ne!(pid(&outbound, lent(2)).await, one);
}

#[tokio::test]
async fn calls_that_arrive_together_start_one_process() {
    let outbound = outbound(&[]);
    let (a, b, c) = tokio::join!(
        ask("pid").of(&outbound),
        ask("pid").of(&outbound),
        ask("pid").of(&outbound)
    );
    assert_eq!(a, b);
    assert_eq!(b, c);
    assert_eq!(
        outbound
            .counters()
            .processes_started
            .load(Ordering::Relaxed),
        1
    );
}

#[tokio::test]
async fn another_secret_gets_another_process() {
    let outbound = outbound(&[]);
    let with = |value| ask("pid").environment(&[("TOKEN", value)]);
    let old = pid(&outbound, with("first secret")).await;
    let new = pid(&outbound, with("second secret")).await;
    assert_ne!(old, new);
    until("the old process ends", || is_gone(old)).await;
    assert!(!is_gone(new));
}

#[tokio::test]
async fn the_end_of_a_run_ends_its_whole_group_and_nothing_else() {
    let stdio = StdioLimits {
        grace: Duration::from_millis(50),
        ..StdioLimits::default()
    };
    let outbound = outbound_of(server(&["ignore-term"]), stdio);
    let seen = ask("pid").of(&outbound).await.unwrap();
    let leader = seen["pid"].as_i64().unwrap();
    assert_eq!(seen["group"], leader, "it leads a group of its own");
    let stubborn = pid(&outbound, ask("grandchild")).await;
    let other_run = pid(&outbound, ask("pid").run(2)).await;
    let other_org = pid(&outbound, ask("pid").org(2)).await;
    let waiting = ask("silent").of(&outbound);
    let (ended, waiting) = tokio::join!(
        async {
            until("the call is sent", || {
                outbound
                    .counters()
                    .processes_started
                    .load(Ordering::Relaxed)
                    == 3
            })
            .await;
            outbound.end_run(&org(1), &run(1)).await
        },
        waiting
    );
    assert_eq!(ended, [format!("stdio itsm pid {leader}")]);
    assert!(waiting.is_err(), "{waiting:?}");
    assert!(is_gone(leader));
    until("the grandchild is gone", || is_gone(stubborn)).await;
    assert!(!is_gone(other_run));
    assert!(!is_gone(other_org));
    assert!(unreachable(ask("pid").of(&outbound).await).contains("run has ended"));
    assert_eq!(
        outbound.end_run(&org(1), &run(1)).await,
        Vec::<String>::new()
    );
    assert_eq!(outbound.shutdown().await.len(), 2);
    assert!(is_gone(other_run) && is_gone(other_org));
}

#[tokio::test]
async fn dropping_everything_ends_the_processes() {
    let outbound = outbound(&[]);
    let leader = pid(&outbound, ask("pid")).await;
    let inside = pid(&outbound, ask("grandchild")).await;
    drop(outbound);
    until("both are gone", || is_gone(leader) && is_gone(inside)).await;
}

#[tokio::test]
async fn what_a_dead_leader_leaves_behind_is_ended() {
    let outbound = outbound(&[]);
    let inside = pid(&outbound, ask("grandchild")).await;
    let died = ask("die").of(&outbound).await;
    assert!(
        matches!(
            died,
            Err(remit_ports::upstreams::UpstreamError::Ambiguous(_))
        ),
        "{died:?}"
    );
    until("the grandchild is gone", || is_gone(inside)).await;
    // The next call finds a fresh process.
    assert!(ask("pid").of(&outbound).await.is_ok());
}

#[tokio::test]
async fn idle_processes_are_ended() {
    let stdio = StdioLimits {
        idle: Duration::from_millis(400),
        ..StdioLimits::default()
    };
    let outbound = outbound_of(server(&[]), stdio);
    let first = pid(&outbound, ask("pid")).await;
    until("it is ended", || {
        outbound.counters().processes_ended.load(Ordering::Relaxed) == 1
    })
    .await;
    assert!(is_gone(first));
    assert_ne!(pid(&outbound, ask("pid")).await, first);
}

#[tokio::test]
async fn an_organization_has_a_limit_of_its_own() {
    let stdio = StdioLimits {
        processes_per_org: 2,
        ..StdioLimits::default()
    };
    let outbound = outbound_of(server(&[]), stdio);
    ask("pid").run(1).of(&outbound).await.unwrap();
    ask("pid").run(2).of(&outbound).await.unwrap();
    assert!(
        unreachable(ask("pid").run(3).of(&outbound).await)
            .contains("already has 2 stdio processes")
    );
    ask("pid").org(2).run(3).of(&outbound).await.unwrap();
    outbound.end_run(&org(1), &run(1)).await;
    ask("pid").run(3).of(&outbound).await.unwrap();
}

#[tokio::test]
async fn only_what_the_operator_allowed_is_started() {
    let outbound = outbound(&[]);
    let mut other = ask("pid");
    let mut upstream = (*other.request.upstream).clone();
    upstream.transport = Transport::Stdio {
        command: "other".parse().unwrap(),
    };
    other.request.upstream = upstream.into();
    assert!(unreachable(other.of(&outbound).await).contains("not in the operator's allowlist"));
    let injected = ask("pid").environment(&[("LD_PRELOAD", "/lib/evil.so")]);
    assert!(unreachable(injected.of(&outbound).await).contains("secret_env"));
    assert_eq!(
        outbound
            .counters()
            .processes_started
            .load(Ordering::Relaxed),
        0
    );
}

#[tokio::test]
async fn a_changed_program_is_not_started() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("server");
    std::fs::copy("/bin/sh", &program).unwrap();
    let outbound = outbound_of(
        AllowedCommand {
            sha256: Some("0".repeat(64)),
            ..AllowedCommand::new(&program, ["-c", "exit"])
        },
        StdioLimits::default(),
    );
    assert!(unreachable(ask("pid").of(&outbound).await).contains("was changed"));
    assert_eq!(
        outbound
            .counters()
            .processes_started
            .load(Ordering::Relaxed),
        0
    );
    let missing = outbound_of(
        AllowedCommand::new("/nowhere/server", ["x"]),
        StdioLimits::default(),
    );
    assert!(unreachable(ask("pid").of(&missing).await).contains("cannot be read"));
}

#[tokio::test]
async fn notifications_come_with_the_callers_token() {
    let outbound = outbound(&[]);
    let (to, mut seen) = tokio::sync::mpsc::channel(8);
    let result = ask("notify").listening(to).of(&outbound).await.unwrap();
    assert_ne!(
        result["token"], "mine",
        "the token is rewritten for the connection"
    );
    let mut all: Vec<Value> = Vec::new();
    while let Some(notification) = seen.recv().await {
        all.push(notification);
    }
    let methods: Vec<_> = all.iter().map(|n| n["method"].as_str().unwrap()).collect();
    assert_eq!(
        methods,
        [
            "notifications/message",
            "notifications/progress",
            "notifications/progress"
        ]
    );
    assert_eq!(
        all[2]["params"],
        json!({"progressToken": "mine", "progress": 2})
    );
}

#[tokio::test]
async fn what_is_sent_is_rebuilt() {
    let outbound = outbound(&[]);
    let meta = json!({"progressToken": 5, "traceparent": "00-a", "com.example/x": "y"});
    let params = json!({"name": "echo", "arguments": {"a": [1, "\n"]}, "_meta": meta});
    let seen = ask("echo")
        .method("tools/call", params)
        .of(&outbound)
        .await
        .unwrap();
    assert_eq!(
        seen["params"],
        json!({"name": "echo", "arguments": {"a": [1, "\n"]}, "_meta": {"traceparent": "00-a"}})
    );
    let discovered = ask("")
        .method("server/discover", Value::Null)
        .of(&outbound)
        .await
        .unwrap();
    assert_eq!(discovered["supportedVersions"], json!(["2025-11-25"]));
    assert_eq!(discovered["capabilities"], json!({"tools": {}}));
}
