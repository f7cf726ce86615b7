//! Files that pages need: inside the binary, named by their content, kept by browsers for ever.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use crate::answer::dress;

/// Characters of the content's hash in a name.
const MARK: usize = 16;

#[derive(Embed)]
#[folder = "assets"]
struct Assets;

struct Asset {
    bytes: Bytes,
    kind: &'static str,
}

/// Addresses and what is there. Only these files are served.
struct All {
    served: BTreeMap<String, Asset>,
    names: BTreeMap<&'static str, String>,
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// What is served, by name, and the files it is made of, in their order.
///
/// htmx and its extension are one: by itself, htmx begins as soon as it is there, and what comes after that adds nothing to
/// it, so that a page would now and then not be live.
const FILES: [(&str, &[&str], &str); 6] = [
    ("console.css", &["console.css"], CSS),
    ("console.js", &["console.js"], JS),
    ("enrol.js", &["enrol.js"], JS),
    ("passkey.js", &["passkey.js"], JS),
    (
        "htmx.js",
        &["vendor/htmx.min.js", "vendor/hx-sse.min.js"],
        JS,
    ),
    ("icon.svg", &["icon.svg"], "image/svg+xml"),
];

static ALL: LazyLock<All> = LazyLock::new(|| {
    let mut all = All {
        served: BTreeMap::new(),
        names: BTreeMap::new(),
    };
    for (plain, parts, kind) in FILES {
        let files: Option<Vec<_>> = parts.iter().map(|path| Assets::get(path)).collect();
        let Some(files) = files else { continue };
        let mark: String = files
            .iter()
            .flat_map(|file| {
                file.metadata
                    .sha256_hash()
                    .into_iter()
                    .take(MARK / 2 / files.len())
            })
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (stem, extension) = plain.rsplit_once('.').unwrap_or((plain, ""));
        let name = format!("{stem}-{mark}.{extension}");
        // A script that does not end its last line must not join the next.
        let bytes = files
            .iter()
            .map(|file| &*file.data)
            .collect::<Vec<_>>()
            .join(&b'\n')
            .into();
        all.names.insert(plain, format!("/assets/{name}"));
        all.served.insert(name, Asset { bytes, kind });
    }
    all
});

/// The address of a file; empty for one that is not there, which a test notices.
pub(crate) fn address(path: &str) -> &'static str {
    ALL.names.get(path).map_or("", String::as_str)
}

/// Addresses of the files that every page needs.
pub(crate) struct Files {
    pub(crate) css: &'static str,
    pub(crate) js: &'static str,
    pub(crate) htmx: &'static str,
    pub(crate) icon: &'static str,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            css: address("console.css"),
            js: address("console.js"),
            htmx: address("htmx.js"),
            icon: address("icon.svg"),
        }
    }
}

/// Serves one of them.
pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let Some(asset) = ALL.served.get(&name) else {
        return dress(StatusCode::NOT_FOUND.into_response());
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        ),
    ];
    dress((headers, asset.bytes.clone()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_there_under_a_name_of_its_content() {
        for (path, _, _) in FILES {
            let address = address(path);
            assert!(
                address.starts_with("/assets/") && address.len() > 24,
                "{path}: {address}"
            );
        }
        assert_eq!(ALL.served.len(), FILES.len());
    }

    #[test]
    fn what_is_vendored_is_what_the_list_says() {
        let list = Assets::get("vendor/VENDORED").unwrap();
        let list = std::str::from_utf8(&list.data).unwrap().to_owned();
        let mut files = 0;
        for line in list
            .lines()
            .filter(|l| !l.starts_with('#') && !l.is_empty())
        {
            let (hash, name) = line.split_once("  ").unwrap();
            let file = Assets::get(&format!("vendor/{name}"))
                .unwrap_or_else(|| panic!("{name} is not there"));
            let is: String = file
                .metadata
                .sha256_hash()
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(
                is, hash,
                "{name} is not as it was vendored; run `cargo xtask vendor`"
            );
            files += 1;
        }
        let there = Assets::iter()
            .filter(|path| path.starts_with("vendor/") && path != "vendor/VENDORED")
            .count();
        assert_eq!(files, there, "a file beside those of the list");
        assert!(list.contains("LICENSE"));
    }
}
