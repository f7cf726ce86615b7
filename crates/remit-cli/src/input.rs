//! Files and standard input, bounded.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::exit::Usage;

/// Largest JSON argument or small file, in bytes.
pub(crate) const BYTES_MAX: usize = 1_048_576;

fn bounded(reader: impl Read, name: &str, max: usize) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut reader = reader.take(max as u64 + 1);
    reader
        .read_to_string(&mut text)
        .with_context(|| format!("`{name}` cannot be read as text"))?;
    if text.len() > max {
        bail!("`{name}` has more than {max} bytes");
    }
    Ok(text)
}

/// Standard input, whole.
pub(crate) fn stdin(max: usize) -> anyhow::Result<String> {
    bounded(std::io::stdin().lock(), "standard input", max)
}

/// A file, whole.
pub(crate) fn file(path: &Path, max: usize) -> anyhow::Result<String> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path).with_context(|| format!("`{name}` cannot be opened"))?;
    bounded(file, &name, max)
}

/// A file, or standard input for `-`.
pub(crate) fn file_or_stdin(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        stdin(BYTES_MAX)
    } else {
        file(path, BYTES_MAX)
    }
}

/// JSON of an argument: itself, `@FILE`, or `-` for standard input.
pub(crate) fn json(argument: &str) -> anyhow::Result<Value> {
    let text = match argument.strip_prefix('@') {
        Some(path) => file_or_stdin(Path::new(path))?,
        None if argument == "-" => stdin(BYTES_MAX)?,
        None => argument.to_owned(),
    };
    serde_json::from_str(&text).map_err(|e| Usage(format!("that is not JSON: {e}")).into())
}

/// One YAML or JSON document of a file, as JSON.
pub(crate) fn document(path: &Path) -> anyhow::Result<Value> {
    let text = file_or_stdin(path)?;
    serde_saphyr::from_str(&text)
        .with_context(|| format!("`{}` is not one YAML or JSON document", path.display()))
}
