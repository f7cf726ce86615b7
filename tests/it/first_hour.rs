//! The first hour: what `remit init` prints works when it is pasted, and the first administrator can look at everything.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::server::{binary, free_port};

/// A shell in which `remit` is the binary under test, with a home of its own.
fn shell(home: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!(
            "remit() {{ '{}' \"$@\"; }}\n{line}",
            binary().display()
        ))
        .current_dir(home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("HOME", home)
        .env("NO_COLOR", "1")
        .env_remove("REMIT_ADDR")
        .env_remove("REMIT_TOKEN")
        .env("REMIT_LOG", "warn");
    command
}

fn said(home: &Path, line: &str) -> (i32, String) {
    let output = shell(home, line).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap_or(-1), text)
}

/// Ends the server however the test ends.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the server accepts connections and answers.
async fn ready(port: u16) {
    for _ in 0..3_000 {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await;
        if answer.is_ok_and(|r| r.status().is_success()) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the server did not get ready");
}

#[tokio::test]
async fn what_init_prints_works_when_it_is_pasted() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let port = free_port();
    let mut config = std::fs::File::create(home.join("my remit.toml")).unwrap();
    writeln!(config, "listen = \"127.0.0.1:{port}\"").unwrap();
    let (exit, text) = said(
        home,
        "remit init --config 'my remit.toml' --data ./data --org acme --admin you@acme.example",
    );
    assert_eq!(exit, 0, "{text}");
    let printed = |start: &str| {
        let line = text.lines().map(str::trim).find(|l| l.starts_with(start));
        line.unwrap_or_else(|| panic!("no `{start}` in:\n{text}"))
            .to_owned()
    };
    assert!(text.contains("auditor"), "{text}");
    let serve = printed("remit serve");
    assert!(
        serve.contains("--config 'my remit.toml' --data ./data"),
        "{serve}"
    );
    let serve = serve.replacen("remit", &format!("exec '{}'", binary().display()), 1);
    let _serving = Serving(shell(home, &serve).stdout(Stdio::null()).spawn().unwrap());
    ready(port).await;
    let (exit, login) = said(home, &printed("remit login 'http"));
    assert_eq!(exit, 0, "{login}");
    // The organization that was made is the one at the root, and its first administrator may verify its ledger.
    let (exit, who) = said(home, "remit whoami");
    assert!(exit == 0 && who.contains("you@acme.example"), "{who}");
    let (exit, organization) = said(home, "remit organization show");
    assert!(exit == 0 && organization.contains("acme"), "{organization}");
    let (exit, verified) = said(home, "remit audit verify");
    assert_eq!(exit, 0, "{verified}");
    let (exit, doctor) = said(home, "remit doctor");
    assert!(exit == 0 && doctor.contains("migrations"), "{doctor}");
    let (exit, kinds) = said(home, "remit explain");
    assert!(exit == 0 && kinds.contains("PolicySet"), "{kinds}");
    // A key that cannot be registered leaves no file behind.
    let (exit, refused) = said(home, "remit agent key add nobody --generate nobody.pem");
    assert!(exit == 1 && !home.join("nobody.pem").exists(), "{refused}");
    // Signing in once more says which context is in use now, and how to go back.
    let (_, link) = said(home, "remit person enrol you@acme.example -o json");
    let link: serde_json::Value = serde_json::from_str(&link).unwrap_or_default();
    let again = format!(
        "remit login --name second '{}'",
        link["link"].as_str().unwrap_or_default()
    );
    let (exit, again) = said(home, &again);
    assert!(
        exit == 0 && again.contains("remit context use default"),
        "{again}"
    );
}
