//! The main job, as a stranger runs it.

use std::process::Command;

use crate::server::binary;

#[tokio::test]
async fn the_demo_proves_its_five_use_cases() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(binary())
        .arg("demo")
        .env("TMPDIR", dir.path())
        .env("REMIT_LOG", "warn")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let closing = text
        .lines()
        .rev()
        .find(|l| l.starts_with("demo: "))
        .unwrap_or_default();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(closing.starts_with("demo: 5 use-cases, "), "{closing}");
    assert!(
        closing.ends_with(" denied, ledger verified, residual access 0"),
        "{closing}"
    );
}
