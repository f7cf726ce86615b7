//! The command line, as people type it.

use clap::{CommandFactory, Parser};

use super::*;
use crate::output::Format;

#[derive(Debug, Parser)]
#[command(name = "remit")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn parsed(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(std::iter::once("remit").chain(line.split_whitespace()))
        .map(|cli| cli.command)
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn what_people_type_is_understood() {
    let lines = [
        "login https://remit.example/enrol#rmt_enr_x --name prod",
        "login --code rmt_enr_x --days 30",
        "whoami -o json",
        "person enrol maria@acme.example",
        "agent ls --state active -o name",
        "agent get triage",
        "agent register triage --owner a@x.example --sponsor b@x.example --environment production --tier 1 --system orders",
        "agent register -f agent.yaml",
        "agent key add triage --generate triage.pem",
        "agent suspend triage --reason wrong",
        "access show triage --asks",
        "upstream sync orders",
        "tool classify orders/refund --effect purchase --target order_id=order --show amount --yes",
        "policy explain --agent a --workflow w --tool u/t --args {} --label customer_pii",
        "plan -f docs/",
        "apply -f - --yes",
        "delegation grant --to a --workflow w --for 8h --ticket INC-1",
        "delegation tree --person maria@acme.example",
        "run end run_1 --outcome corrected --measure minutes=12",
        "run tail run_1 --follow",
        "approval approve apr_1 --reason checked --yes",
        "approval watch --once",
        "decision why dec_1",
        "contain agent kb-bot --level kill --reason exfiltration --yes",
        "contain workflow support/refund --level suspend --reason x",
        "audit search --agent support --kind call.decided --limit 5",
        "audit verify --dir ledger --key vkey.txt --since-checkpoint kept.txt",
        "audit export --out ledger",
        "audit verify-proof entry.proof --key vkey.txt",
        "mcp bridge --agent agt_01JD8M3W7Q4X5Y6Z7A8B9C0D1E --key k.pem --workflow answer",
        "connect claude-code --agent support --key k.pem --write",
        "api get /agents?limit=5",
        "completion bash",
        "explain workflow.grants",
        "doctor --addr https://remit.example --org acme",
    ];
    for line in lines {
        assert!(
            parsed(line).is_ok(),
            "{line}: {}",
            parsed(line).unwrap_err()
        );
    }
}

#[test]
fn what_would_do_harm_by_mistake_is_refused() {
    let lines = [
        // Nothing is stopped or ended without a reason.
        "contain agent kb-bot --level kill",
        "agent suspend triage",
        "delegation revoke dlg_1",
        // A level is never guessed.
        "contain agent kb-bot --reason x",
        "contain agent kb-bot --level destroy --reason x",
        "delegation grant --agent a --workflow w --for forever",
        "audit verify --key vkey.txt",
        "audit verify-proof entry.proof",
        "mcp bridge --agent Support --key k.pem",
        // A token is not an argument.
        "whoami --token rmt_pat_x",
        "login --code rmt_enr_x --token-stdin",
    ];
    for line in lines {
        let error = parsed(line).expect_err(line);
        assert!(error.use_stderr(), "{line}");
    }
}

#[test]
fn options_of_every_command_may_stand_anywhere() {
    for line in ["agent ls -o yaml", "agent -o yaml ls"] {
        let Ok(Command::Agent(noun)) = parsed(line) else {
            panic!("{line}")
        };
        assert_eq!(noun.connection.output, Format::Yaml, "{line}");
    }
}

#[test]
fn every_command_says_what_it_is_for() {
    fn check(command: &clap::Command, path: &str) {
        for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
            let path = format!("{path} {}", inner.get_name());
            assert!(inner.get_about().is_some(), "{path} has no help");
            for argument in inner
                .get_arguments()
                .filter(|a| !a.is_hide_set() && a.get_id() != "help")
            {
                assert!(
                    argument.get_help().is_some(),
                    "{path} {} has no help",
                    argument.get_id()
                );
            }
            check(inner, &path);
        }
    }
    check(&Cli::command(), "remit");
}
