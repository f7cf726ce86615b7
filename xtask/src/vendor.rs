//! Files of others that the console serves: fetched from their npm package by its own client, kept with their licence.
//!
//! `npm pack` checks what it fetched against the registry's digest. What is kept is listed in `VENDORED` with its SHA-256;
//! a test of the console holds the files to that list.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::say;

/// The package, pinned: a newer one is a change that somebody looks at.
const PACKAGE: &str = "htmx.org@4.0.1";

/// Files of the package, and their names here.
const FILES: [(&str, &str); 3] = [
    ("dist/htmx.min.js", "htmx.min.js"),
    ("dist/ext/hx-sse.min.js", "hx-sse.min.js"),
    ("LICENSE", "LICENSE"),
];

/// Fetches the package and writes its files and their list.
pub(crate) fn run(root: &Path) -> Result<()> {
    let scratch = tempdir(root)?;
    let packed = Command::new("npm")
        .args([
            "pack",
            PACKAGE,
            "--ignore-scripts",
            "--silent",
            "--pack-destination",
        ])
        .arg(&scratch)
        .output()
        .context("npm cannot be run; install it")?;
    if !packed.status.success() {
        bail!(
            "npm pack failed: {}",
            String::from_utf8_lossy(&packed.stderr)
        );
    }
    let name = String::from_utf8(packed.stdout)?;
    let archive = scratch.join(name.lines().last().unwrap_or_default().trim());
    done(
        Command::new("tar")
            .arg("-xzf")
            .arg(&archive)
            .arg("-C")
            .arg(&scratch),
        "tar",
    )?;
    let to = root.join("crates/remit-console/assets/vendor");
    fs::create_dir_all(&to)?;
    let mut list = format!(
        "# {PACKAGE}, from the npm registry by `cargo xtask vendor`; 0BSD, see LICENSE. SHA-256 and name.\n"
    );
    for (from, name) in FILES {
        fs::copy(scratch.join("package").join(from), to.join(name))
            .with_context(|| format!("{PACKAGE} has no `{from}`"))?;
        let summed = Command::new("sha256sum")
            .arg(name)
            .current_dir(&to)
            .output()
            .context("sha256sum cannot be run")?;
        list.push_str(&String::from_utf8(summed.stdout)?);
    }
    fs::write(to.join("VENDORED"), list)?;
    fs::remove_dir_all(&scratch)?;
    say(&format!("{PACKAGE} is in {}", to.display()));
    Ok(())
}

fn tempdir(root: &Path) -> Result<std::path::PathBuf> {
    let dir = root.join("target").join("vendor");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn done(command: &mut Command, what: &str) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{what} cannot be run"))?;
    if !status.success() {
        bail!("{what} failed");
    }
    Ok(())
}
