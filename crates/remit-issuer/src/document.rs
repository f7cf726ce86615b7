//! Clients that are known by the address of their metadata document (draft-ietf-oauth-client-id-metadata-document).
//!
//! Only an address that a workflow lists is ever fetched, by the one way outside that checks where it connects to, follows no
//! redirect and reads a bounded answer. What it says counts for a bounded time, whatever its server says of that; that it
//! cannot be had counts too, for a short while, so that nobody can make us ask all the time.

use std::sync::Arc;
use std::time::Duration;

use remit_domain::OrgId;
use remit_ports::web::{WebError, WebRequest};
use remit_token::client_metadata::ClientMetadata;

use crate::Issuer;
use crate::door::Denied;
use crate::limits::{
    CLIENT_DOCUMENT_FAILED_SECS, CLIENT_DOCUMENT_SECS, CLIENT_DOCUMENT_SECS_MAX,
    CLIENT_DOCUMENT_SECS_MIN,
};

/// Start of an address of a document: no other client id has it.
const SCHEME: &str = "https://";
/// The document cannot be had.
const UNREACHABLE: &str = "client-metadata-unreachable";
/// The document's address may not be asked, or sends elsewhere.
const REFUSED: &str = "client-metadata-address-refused";
/// It is no JSON, or no success.
const NOT_JSON: &str = "client-metadata-not-json";

/// What a document said, or why it did not, and until when that counts.
#[derive(Clone)]
pub(crate) struct Kept {
    said: Result<Arc<ClientMetadata>, &'static str>,
    until: Duration,
}

/// The address of a document, where a client id is one.
pub(crate) fn address(client_id: &str) -> Option<&str> {
    client_id.starts_with(SCHEME).then_some(client_id)
}

impl Issuer {
    /// What the document of a client says that some workflow lists.
    pub(crate) async fn client_document(
        &self,
        org: &OrgId,
        url: &str,
    ) -> Result<Arc<ClientMetadata>, Denied> {
        let key = (org.clone(), url.to_owned());
        let fresh = |kept: &Kept| self.books().clock().monotonic() < kept.until;
        let known = self.inner.documents.get(&key).filter(fresh);
        let kept = match known {
            Some(kept) => kept,
            None => {
                let lock = format!("client-document:{org}:{url}");
                let lock = self.inner.locks.get_with(lock, Arc::default);
                let _one_at_a_time = lock.lock().await;
                match self.inner.documents.get(&key).filter(fresh) {
                    Some(kept) => kept,
                    None => {
                        let kept = self.fetch_document(org, url).await;
                        self.inner.documents.insert(key, kept.clone());
                        kept
                    }
                }
            }
        };
        kept.said.map_err(Denied::client)
    }

    async fn fetch_document(&self, org: &OrgId, url: &str) -> Kept {
        let (said, secs) = match self.ask_document(org, url).await {
            Ok((said, max_age)) => {
                let secs = max_age.unwrap_or(CLIENT_DOCUMENT_SECS);
                let secs = secs.clamp(CLIENT_DOCUMENT_SECS_MIN, CLIENT_DOCUMENT_SECS_MAX);
                (Ok(Arc::new(said)), secs)
            }
            Err(code) => (Err(code), CLIENT_DOCUMENT_FAILED_SECS),
        };
        let now = self.books().clock().monotonic();
        Kept {
            said,
            until: now.saturating_add(Duration::from_secs(secs)),
        }
    }

    async fn ask_document(
        &self,
        org: &OrgId,
        url: &str,
    ) -> Result<(ClientMetadata, Option<u64>), &'static str> {
        let web = self.web().map_err(|_| UNREACHABLE)?;
        let request = WebRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: vec![("accept".to_owned(), "application/json".to_owned())],
            body: Vec::new(),
        };
        let answer = web.request(org, request).await.map_err(|error| {
            tracing::warn!(%org, url, %error, "a client's metadata document cannot be had");
            match error {
                // Somebody leads us to where nobody is to be led.
                WebError::Refused(_) | WebError::Redirect => REFUSED,
                _ => UNREACHABLE,
            }
        })?;
        let kind = answer.content_type.as_deref().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let json = kind == "application/json"
            || (kind.starts_with("application/") && kind.ends_with("+json"));
        if answer.status != 200 || !json {
            return Err(NOT_JSON);
        }
        let said = ClientMetadata::parse(&answer.body, url).map_err(|error| error.code())?;
        Ok((said, answer.max_age_s))
    }
}
