//! Files that pages need: inside the binary, named by their content, kept by browsers for ever.

use std::collections::BTreeMap;
use std::sync::LazyLock;

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
    bytes: &'static [u8],
    kind: &'static str,
}

/// Addresses and what is there. Only these files are served.
struct All {
    served: BTreeMap<String, Asset>,
    names: BTreeMap<&'static str, String>,
}

const FILES: [(&str, &str); 7] = [
    ("console.css", "text/css; charset=utf-8"),
    ("console.js", "text/javascript; charset=utf-8"),
    ("enrol.js", "text/javascript; charset=utf-8"),
    ("passkey.js", "text/javascript; charset=utf-8"),
    ("vendor/htmx.min.js", "text/javascript; charset=utf-8"),
    ("vendor/hx-sse.min.js", "text/javascript; charset=utf-8"),
    ("icon.svg", "image/svg+xml"),
];

static ALL: LazyLock<All> = LazyLock::new(|| {
    let mut all = All {
        served: BTreeMap::new(),
        names: BTreeMap::new(),
    };
    for (path, kind) in FILES {
        let Some(file) = Assets::get(path) else {
            continue;
        };
        let mark: String = file
            .metadata
            .sha256_hash()
            .iter()
            .map(|b| format!("{b:02x}"))
            .take(MARK / 2)
            .collect();
        let plain = path.rsplit('/').next().unwrap_or(path);
        let (stem, extension) = plain.rsplit_once('.').unwrap_or((plain, ""));
        let name = format!("{stem}-{mark}.{extension}");
        let bytes = match file.data {
            std::borrow::Cow::Borrowed(bytes) => bytes,
            std::borrow::Cow::Owned(bytes) => bytes.leak(),
        };
        all.names.insert(path, format!("/assets/{name}"));
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
    pub(crate) sse: &'static str,
    pub(crate) icon: &'static str,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            css: address("console.css"),
            js: address("console.js"),
            htmx: address("vendor/htmx.min.js"),
            sse: address("vendor/hx-sse.min.js"),
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
    dress((headers, asset.bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_there_under_a_name_of_its_content() {
        for (path, _) in FILES {
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
