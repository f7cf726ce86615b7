//! The ledger as a C2SP log: checkpoint and key for everybody, entries and proofs for auditors unless they are published.
//!
//! Source: c2sp.org/tlog-checkpoint, c2sp.org/tlog-tiles, c2sp.org/tlog-proof, c2sp.org/signed-note.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use remit_books::{BooksError, OPERATOR_ORG, OrgBook};
use remit_domain::{RefusalCode, Role};
use remit_ports::store::EntryFilter;
use remit_tlog::{Tile, TreeError, encode_bundle};
use serde::Deserialize;

use crate::guard;
use crate::identity::{Identity, identify};
use crate::problem::Problem;
use crate::site::{Place, Site};

/// Where the operator's own ledger is.
const OPERATOR: &str = "/operator/log/";

const TEXT: &str = "text/plain; charset=utf-8";

/// The ledger of the path's organization, below `log/`.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    log("/log", site)
}

/// The operator's own ledger: which organizations were made and contained.
pub(crate) fn operator_routes(site: &Site) -> Router<Site> {
    log(OPERATOR.trim_end_matches('/'), site)
}

fn log(at: &str, site: &Site) -> Router<Site> {
    Router::new()
        .route(&format!("{at}/checkpoint"), get(checkpoint))
        .route(&format!("{at}/key"), get(key))
        .route(&format!("{at}/proof"), get(proof))
        .route(&format!("{at}/tile/{{*tile}}"), get(tile))
        .layer(from_fn_with_state(site.clone(), guard::open_endpoint))
}

/// Whose ledger.
struct Log {
    book: Arc<OrgBook>,
    /// None for the operator's.
    place: Option<Place>,
}

impl FromRequestParts<Site> for Log {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        if !parts.uri.path().starts_with(OPERATOR) {
            let place = Place::from_request_parts(parts, site).await?;
            return Ok(Self {
                book: Arc::clone(&place.book),
                place: Some(place),
            });
        }
        let org = OPERATOR_ORG
            .parse()
            .ok()
            .and_then(|org| site.app.books.org(&org));
        let book = org.ok_or_else(|| Problem::not_found("the operator's ledger is not here"))?;
        Ok(Self { book, place: None })
    }
}

impl Log {
    /// Auditors of the organization, and everybody where it publishes its ledger; the operator alone reads their own.
    async fn may_read(&self, site: &Site, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(place) = &self.place else {
            let operator = matches!(identify(site, None, headers).await?, Identity::Operator);
            let text = "the operator's ledger is read by the operator";
            return if operator {
                Ok(())
            } else {
                Err(Problem::new(RefusalCode::Forbidden, text))
            };
        };
        if site.app.publish_ledger {
            return Ok(());
        }
        match identify(site, Some(place), headers).await? {
            Identity::Person(person) if person.holds(Role::Auditor) => Ok(()),
            _ => Err(Problem::new(
                RefusalCode::Forbidden,
                "entries, tiles and proofs take the role auditor; the checkpoint is public",
            )),
        }
    }
}

async fn checkpoint(State(site): State<Site>, log: Log) -> Result<Response, Problem> {
    let (_, note) = site
        .app
        .books
        .checkpoint(&log.book.id)
        .await
        .map_err(failed)?;
    Ok(([(header::CONTENT_TYPE, TEXT)], note).into_response())
}

async fn key(State(site): State<Site>, log: Log) -> Result<Response, Problem> {
    let key = site.app.books.log_key(&log.book.id).await.map_err(failed)?;
    Ok(([(header::CONTENT_TYPE, TEXT)], format!("{key}\n")).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    index: u64,
}

async fn proof(
    State(site): State<Site>,
    log: Log,
    headers: HeaderMap,
    query: Query<Which>,
) -> Result<Response, Problem> {
    log.may_read(&site, &headers).await?;
    let proof = prove(&site, &log.book, query.index).await?;
    Ok(([(header::CONTENT_TYPE, TEXT)], proof).into_response())
}

/// Proof that an entry is in a ledger, as c2sp.org/tlog-proof text.
pub(crate) async fn prove(site: &Site, book: &OrgBook, index: u64) -> Result<String, Problem> {
    let count = site
        .app
        .books
        .store()
        .entry_count(&book.id)
        .await
        .map_err(|e| failed(e.into()))?;
    if index >= count {
        return Err(Problem::not_found(format!(
            "the ledger has {count} entries; indexes begin with 0"
        )));
    }
    Ok(site
        .app
        .books
        .prove(&book.id, index)
        .await
        .map_err(failed)?
        .encode())
}

async fn tile(
    State(site): State<Site>,
    log: Log,
    headers: HeaderMap,
    path: TilePath,
) -> Result<Response, Problem> {
    log.may_read(&site, &headers).await?;
    let tile: Tile = format!("tile/{}", path.0)
        .parse()
        .map_err(|e: remit_tlog::TileError| Problem::not_found(e.to_string()))?;
    let org = &log.book.id;
    let (size, _) = site.app.books.checkpoint(org).await.map_err(failed)?;
    if !tile.is_in(size) {
        return Err(Problem::not_found(format!(
            "`{tile}` is not in a tree of {size} leaves"
        )));
    }
    let bytes = if tile.level().is_some() {
        let reads = tile.reads(size).map_err(|e| Problem::internal(&e))?;
        let stored = site
            .app
            .books
            .hashes_at(org, &reads)
            .await
            .map_err(failed)?;
        tile.bytes(&stored, size)
            .map_err(|e| Problem::internal(&e))?
    } else {
        let filter = EntryFilter {
            from: tile.range().start,
            limit: u32::from(tile.width()),
            ..EntryFilter::default()
        };
        let entries = site
            .app
            .books
            .store()
            .entries(org, &filter)
            .await
            .map_err(|e| failed(e.into()))?;
        let leaves: Vec<_> = entries.into_iter().map(|e| e.leaf).collect();
        encode_bundle(&leaves).map_err(|e| Problem::internal(&e))?
    };
    // A full tile never changes; one that only auditors may see is kept by their own client alone.
    let scope = if site.app.publish_ledger {
        "public"
    } else {
        "private"
    };
    let keep = if tile.is_partial() {
        "no-store".to_owned()
    } else {
        format!("{scope}, max-age=31536000, immutable")
    };
    Ok((
        [
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::CACHE_CONTROL, keep),
        ],
        bytes,
    )
        .into_response())
}

/// What follows `tile/`, whether or not an organization comes before it.
struct TilePath(String);

impl FromRequestParts<Site> for TilePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Problem> {
        let params =
            Path::<std::collections::HashMap<String, String>>::from_request_parts(parts, site)
                .await;
        let found = params
            .ok()
            .and_then(|Path(mut params)| params.remove("tile"));
        found
            .map(Self)
            .ok_or_else(|| Problem::not_found("a tile is named as in c2sp.org/tlog-tiles"))
    }
}

fn failed(error: BooksError) -> Problem {
    match &error {
        BooksError::Tree(TreeError::NoSuchLeaf { .. }) => {
            Problem::not_found("the ledger has no such entry")
        }
        _ => Problem::internal(&error),
    }
}
