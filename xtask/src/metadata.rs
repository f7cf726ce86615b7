//! The workspace as cargo sees it: crates, floors and what each depends on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The floor of the binary: nothing is above it.
const FLOOR_MAX: u8 = 7;

/// When a dependency is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// One line of a manifest's dependencies.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// One crate of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Folder from the root, with `/`.
    pub(crate) folder: String,
    /// 0 (formats) to [`FLOOR_MAX`] (the binary); none for what stands beside the house.
    pub(crate) floor: Option<u8>,
    pub(crate) dependencies: Vec<Dependency>,
}

impl Package {
    /// Whether it is a room of the house, and not a tool or a test beside it.
    pub(crate) fn in_house(&self) -> bool {
        self.folder.starts_with("crates/")
    }
}

/// Asks cargo for the crates of the workspace at `root`.
///
/// # Errors
/// When cargo fails, or answers in a form that is not its format version 1.
pub(crate) fn read(root: &Path) -> Result<Vec<Package>> {
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root)
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let answer: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    parse(&answer, root)
}

fn parse(answer: &Value, root: &Path) -> Result<Vec<Package>> {
    let packages = answer
        .get("packages")
        .and_then(Value::as_array)
        .context("cargo metadata has no packages")?;
    packages.iter().map(|p| package(p, root)).collect()
}

fn package(value: &Value, root: &Path) -> Result<Package> {
    let name = text(value, "name")?;
    let manifest = text(value, "manifest_path")?;
    let folder = Path::new(&manifest)
        .parent()
        .and_then(|p| p.strip_prefix(root).ok())
        .and_then(Path::to_str)
        .with_context(|| format!("`{manifest}` is outside the repository"))?
        .to_owned();
    let floor = match value.pointer("/metadata/floor") {
        None | Some(Value::Null) => None,
        Some(number) => Some(
            number
                .as_u64()
                .and_then(|n| u8::try_from(n).ok())
                .filter(|n| *n <= FLOOR_MAX)
                .with_context(|| format!("{name}: the floor `{number}` is not 0 to {FLOOR_MAX}"))?,
        ),
    };
    let dependencies = value
        .get("dependencies")
        .and_then(Value::as_array)
        .with_context(|| format!("{name}: no dependencies in cargo metadata"))?
        .iter()
        .map(dependency)
        .collect::<Result<_>>()?;
    Ok(Package {
        name,
        folder,
        floor,
        dependencies,
    })
}

fn dependency(value: &Value) -> Result<Dependency> {
    let kind = match value.get("kind").and_then(Value::as_str) {
        None => Kind::Normal,
        Some("build") => Kind::Build,
        Some("dev") => Kind::Dev,
        Some(other) => bail!("unknown kind of dependency `{other}`"),
    };
    Ok(Dependency {
        name: text(value, "name")?,
        kind,
    })
}

fn text(value: &Value, field: &str) -> Result<String> {
    value
        .get(field)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("cargo metadata has no `{field}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(floor: Value) -> Value {
        json!({"packages": [{
            "name": "remit-mcp",
            "manifest_path": "/r/crates/remit-mcp/Cargo.toml",
            "metadata": {"floor": floor},
            "dependencies": [{"name": "serde", "kind": null}, {"name": "proptest", "kind": "dev"}],
        }]})
    }

    #[test]
    fn reads_floor_folder_and_kinds() {
        let packages = parse(&answer(json!(0)), Path::new("/r")).unwrap();
        let package = &packages[0];
        assert_eq!(package.folder, "crates/remit-mcp");
        assert_eq!(package.floor, Some(0));
        assert!(package.in_house());
        let kinds: Vec<Kind> = package.dependencies.iter().map(|d| d.kind).collect();
        assert_eq!(kinds, [Kind::Normal, Kind::Dev]);
    }

    #[test]
    fn a_floor_outside_the_house_is_an_error() {
        for floor in [json!(FLOOR_MAX + 1), json!(-1), json!("0")] {
            assert!(parse(&answer(floor), Path::new("/r")).is_err());
        }
    }
}
