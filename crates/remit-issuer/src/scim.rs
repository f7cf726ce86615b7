//! Directories: the token of a client of the SCIM interface, checked by digest.

use std::sync::Arc;

use remit_domain::directory::ScimClient;
use remit_domain::{OrgId, Refusal, RefusalCode};
use remit_token::{OpaqueSecret, SecretKind};

use crate::Issuer;
use crate::refusal::no;

impl Issuer {
    /// Checks the token of a client of the SCIM interface (`rmt_scm_…`). A refusal is recorded.
    ///
    /// # Errors
    /// `unauthenticated`; `not-found` for an organization that is not here; `snapshot-stale`.
    pub async fn authenticate_directory(
        &self,
        org: &OrgId,
        token: Option<&str>,
    ) -> Result<Arc<ScimClient>, Refusal> {
        match self.directory_of(org, token) {
            Err(refusal) if refusal.code == RefusalCode::Unauthenticated => {
                Err(self.refuse(org, "scim", None, None, refusal).await)
            }
            other => other,
        }
    }

    /// Records that a directory was refused something that no honest one sends by mistake twice: a filter or a change that costs
    /// too much to look at, or cannot be read.
    ///
    /// - `code`: a word of ours.
    pub async fn refused_directory(&self, org: &OrgId, client: &ScimClient, code: &'static str) {
        let about = Some(client.id.as_str());
        self.record_refusal(org, "scim", code, about, None, None)
            .await;
    }

    fn directory_of(&self, org: &OrgId, token: Option<&str>) -> Result<Arc<ScimClient>, Refusal> {
        let book = self.tenant(org)?;
        if !self.books().store().is_fresh() {
            let text = "changes of other nodes do not arrive; nobody is let in until they do";
            return Err(no(RefusalCode::SnapshotStale, text));
        }
        let not_good = || {
            let text = "the token is not known here, or has expired or been revoked; make one with `remit scim token`";
            no(RefusalCode::Unauthenticated, text)
        };
        let token = token.ok_or_else(|| {
            let text = "send `Authorization: Bearer` with the token of a SCIM client";
            no(RefusalCode::Unauthenticated, text)
        })?;
        let secret = OpaqueSecret::parse_kind(token, SecretKind::Scim)
            .map_err(|error| no(RefusalCode::Unauthenticated, error.to_string()))?;
        // What is compared is a digest of 256 random bits: how long that takes says nothing of them.
        let digest = hex::encode(secret.digest().as_bytes());
        let registry = book.registry();
        let now = self.books().now();
        let mut clients = registry.scim_clients.values();
        let found = clients.find(|client| client.accepts(&digest, now));
        let found = found.cloned().ok_or_else(not_good)?;
        self.books().note_use(org, found.id.as_str());
        Ok(found)
    }
}
