//! Content at rest: what names, quotes or explains is sealed in a record as it is in an entry, under the data key of what
//! it belongs to, so that destroying that key leaves nothing to read anywhere, copies of the database included.
//!
//! ```text
//! record  body = { …, "content": { "scope": scope, "box": base64(nonce | AES-256-GCM) } }    the members of CONTENT left out
//! blob    body = nonce | AES-256-GCM, under the hash of these bytes
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use remit_domain::{Kind, OrgId};
use remit_ledger::DataKey;
use remit_ports::store::{Blob, Put, Record};
use serde_json::{Map, Value, json};

use crate::{Books, BooksError};

/// Member of a record that holds the others.
const SEALED: &str = "content";

/// What of a record is content, with what stands in its place once its key is destroyed.
fn content(kind: Kind) -> &'static [(&'static str, Gone)] {
    match kind {
        Kind::Run => &[
            ("intent", Gone::Object),
            ("trigger", Gone::Null),
            ("provenance", Gone::Object),
            ("measures", Gone::Absent),
        ],
        Kind::Approval => &[
            ("args", Gone::Null),
            ("reasons", Gone::Array),
            ("verdicts", Gone::Array),
            ("notes", Gone::Array),
            ("edited", Gone::Absent),
            ("for_run", Gone::Absent),
        ],
        Kind::Delegation => &[("authority", Gone::Object), ("ticket", Gone::Null)],
        _ => &[],
    }
}

/// What stands in the place of content that is gone.
#[derive(Debug, Clone, Copy)]
enum Gone {
    Null,
    Object,
    Array,
    Absent,
}

/// Keys opened for one reading, by scope; none for one that was destroyed. Not kept longer: another node may destroy one.
pub(crate) type Keys = HashMap<String, Option<Arc<DataKey>>>;

/// The shred scope a record's content belongs to: the run it is part of, or else the person.
fn scope(kind: Kind, body: &Map<String, Value>) -> Option<String> {
    let named = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    match kind {
        Kind::Run => named("id"),
        Kind::Approval => named("run"),
        Kind::Delegation => named("run").or_else(|| named("person")),
        _ => None,
    }
}

/// What a sealed record is bound to, so that no box opens in another record.
fn context(org: &OrgId, kind: Kind, key: &str) -> String {
    format!("remit/record/1/{org}/{}/{key}", kind.as_str())
}

impl Books {
    /// Records as they are written: their content sealed. For whoever hands records to the store itself.
    ///
    /// # Errors
    /// When a key cannot be had, or was destroyed.
    pub async fn sealed_puts(&self, org: &OrgId, puts: Vec<Put>) -> Result<Vec<Put>, BooksError> {
        let mut sealed = Vec::with_capacity(puts.len());
        for put in puts {
            sealed.push(self.sealed_put(org, put).await?);
        }
        Ok(sealed)
    }

    async fn sealed_put(&self, org: &OrgId, mut put: Put) -> Result<Put, BooksError> {
        let members = content(put.kind);
        let Value::Object(body) = &mut put.body else {
            return Ok(put);
        };
        let Some(scope) = scope(put.kind, body).filter(|_| !members.is_empty()) else {
            return Ok(put);
        };
        let key = match self.data_key(org, &scope).await {
            Ok(key) => Some(key),
            // What is written of it after its content was destroyed holds none.
            Err(BooksError::Shredded) => None,
            Err(error) => return Err(error),
        };
        let mut inside = Map::new();
        for (name, _) in members {
            if let Some(value) = body.remove(*name) {
                inside.insert((*name).to_owned(), value);
            }
        }
        let sealed = match key {
            Some(key) => {
                let plain = serde_json::to_vec(&inside)?;
                let context = context(org, put.kind, &put.key);
                STANDARD.encode(key.seal(&plain, context.as_bytes(), self.random())?)
            }
            None => String::new(),
        };
        body.insert(SEALED.to_owned(), json!({ "scope": scope, "box": sealed }));
        Ok(put)
    }

    /// A record with its content opened. Where the key was destroyed, its content is empty; none when such a record would still
    /// count, since what bounds it is gone.
    ///
    /// # Errors
    /// When the key cannot be had, or the box was not sealed in this record.
    pub(crate) async fn opened_record(
        &self,
        org: &OrgId,
        mut record: Record,
        keys: &mut Keys,
    ) -> Result<Option<Record>, BooksError> {
        if content(record.kind).is_empty() {
            return Ok(Some(record));
        }
        let Some(body) = record.body.as_object_mut() else {
            return Ok(Some(record));
        };
        let Some(sealed) = body.get(SEALED) else {
            return Ok(Some(record));
        };
        let named = |name: &str| sealed.get(name).and_then(Value::as_str);
        let scope = named("scope").unwrap_or_default().to_owned();
        let sealed = STANDARD
            .decode(named("box").unwrap_or_default())
            .map_err(|_| BooksError::BadKey(scope.clone()))?;
        body.remove(SEALED);
        if !keys.contains_key(&scope) {
            let key = match self.opened(org, &scope).await {
                Ok(Some(key)) => Some(Arc::new(key)),
                Ok(None) => return Err(BooksError::BadKey(scope)),
                Err(BooksError::Shredded) => None,
                Err(error) => return Err(error),
            };
            keys.insert(scope.clone(), key);
        }
        match keys.get(&scope).cloned().flatten() {
            Some(key) => {
                let context = context(org, record.kind, &record.key);
                let plain = key.open(&sealed, context.as_bytes())?;
                body.extend(serde_json::from_slice::<Map<String, Value>>(&plain)?);
                Ok(Some(record))
            }
            None => {
                for (name, gone) in content(record.kind) {
                    let value = match gone {
                        Gone::Null => Value::Null,
                        Gone::Object => json!({}),
                        Gone::Array => json!([]),
                        Gone::Absent => continue,
                    };
                    body.insert((*name).to_owned(), value);
                }
                let counts = matches!(record.kind, Kind::Run | Kind::Delegation)
                    && body.get("state").and_then(Value::as_str) == Some("active");
                if counts {
                    tracing::error!(%org, kind = record.kind.as_str(), key = record.key, "a record that still counts has lost its content: it is left out");
                }
                Ok((!counts).then_some(record))
            }
        }
    }

    /// Content to be kept by its hash, sealed under the data key of `scope`.
    ///
    /// # Errors
    /// When the key cannot be had, or was destroyed.
    pub async fn seal_blob(
        &self,
        org: &OrgId,
        scope: &str,
        plain: &[u8],
    ) -> Result<Blob, BooksError> {
        let key = self.data_key(org, scope).await?;
        let body = key.seal(plain, blob_context(org, scope).as_bytes(), self.random())?;
        Ok(Blob {
            hash: sha256(&body),
            body,
        })
    }

    /// Content that was kept with [`Self::seal_blob`] under `scope`; none when nothing is there.
    ///
    /// # Errors
    /// `Shredded` when its key was destroyed; when it was changed, or sealed for another scope.
    pub async fn open_blob(
        &self,
        org: &OrgId,
        scope: &str,
        hash: &str,
    ) -> Result<Option<Vec<u8>>, BooksError> {
        let Some(body) = self.store().blob(org, hash).await? else {
            return Ok(None);
        };
        let key = self.opened(org, scope).await?;
        let key = key.ok_or_else(|| BooksError::BadKey(scope.to_owned()))?;
        let context = blob_context(org, scope);
        Ok(Some(key.open(&body, context.as_bytes())?))
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn blob_context(org: &OrgId, scope: &str) -> String {
    format!("remit/blob/1/{org}/{scope}")
}
