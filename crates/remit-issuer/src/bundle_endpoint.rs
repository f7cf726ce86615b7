//! Our own bundle endpoint by the profile `https_spiffe` (SPIFFE Federation §5.2.2.3): the X.509-SVID by which it proves itself.
//!
//! Each node makes its key in memory and has it signed by the trust domain's authority when somebody connects; after half of its
//! life, or with another authority, it makes the next one.

use std::sync::Arc;

use remit_domain::event::{Event, EventKind};
use remit_domain::limits::X509_SVID_SECS;
use remit_domain::{OrgId, Principal, Refusal, RefusalCode, Timestamp};
use remit_token::SpiffeId;
use remit_token::x509_svid::{self, Validity};
use zeroize::Zeroizing;

use crate::Issuer;
use crate::keys::generated;
use crate::limits::{FOREIGN_KEYRINGS_MAX, SVID_BACKDATE_SECS};
use crate::refusal::{from_books, no};

/// What the SPIFFE ID of the endpoint has after the trust domain.
const PATH: [&str; 2] = ["remit", "bundle"];

/// The X.509-SVID of a bundle endpoint, with its key.
pub struct EndpointSvid {
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The certificate, in DER. The authority that signed it is in the bundle.
    pub certificate: Vec<u8>,
    /// Its private key: PKCS #8 in DER.
    pub key: Zeroizing<Vec<u8>>,
    /// SHA-256 of the authority that signed it.
    authority: String,
    /// When the next one is made.
    renew: Timestamp,
}

impl std::fmt::Debug for EndpointSvid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointSvid")
            .field("spiffe_id", &self.spiffe_id)
            .finish_non_exhaustive()
    }
}

pub(crate) type EndpointSvids = moka::sync::Cache<OrgId, Arc<EndpointSvid>>;

impl Issuer {
    /// The SPIFFE ID of an organization's bundle endpoint: `spiffe://{trust domain}/remit/bundle`.
    ///
    /// # Errors
    /// As [`Self::trust_domain`].
    pub fn bundle_endpoint_id(&self, org: &OrgId) -> Result<SpiffeId, Refusal> {
        let domain = self.trust_domain(org)?;
        SpiffeId::from_segments(domain.trust_domain(), PATH)
            .map_err(|error| no(RefusalCode::InvalidRequest, error.to_string()))
    }

    /// Whose bundle endpoint a client means: of the organization whose trust domain it named in the TLS handshake (RFC 6066 §3), else of the
    /// one at the root.
    #[must_use]
    pub fn bundle_endpoint_of(&self, named: Option<&str>) -> Option<OrgId> {
        let books = self.books();
        let of_domain = |name: &str| {
            let (org, _) = name.split_once('.')?;
            let book = books.org_named(org)?;
            let domain = self.trust_domain(&book.id).ok()?;
            (domain.trust_domain() == name).then(|| book.id.clone())
        };
        let root = || Some(books.org_named(self.inner.default_org.as_str())?.id.clone());
        named.and_then(of_domain).or_else(root)
    }

    /// The SVID by which the bundle endpoint of an organization proves itself now.
    ///
    /// # Errors
    /// `not-found`, `credential-unavailable`, `ledger-unavailable`, `snapshot-stale`.
    pub async fn bundle_endpoint_svid(&self, org: &OrgId) -> Result<Arc<EndpointSvid>, Refusal> {
        if let Some(svid) = self.endpoint_svid_now(org).await? {
            return Ok(svid);
        }
        let lock = self
            .inner
            .locks
            .get_with(format!("bundle-endpoint:{org}"), Arc::default);
        let _one_at_a_time = lock.lock().await;
        if let Some(svid) = self.endpoint_svid_now(org).await? {
            return Ok(svid);
        }
        let made = Arc::new(self.make_endpoint_svid(org).await?);
        self.inner
            .endpoint_svids
            .insert(org.clone(), Arc::clone(&made));
        Ok(made)
    }

    /// The one that is there, where it needs no follower.
    async fn endpoint_svid_now(&self, org: &OrgId) -> Result<Option<Arc<EndpointSvid>>, Refusal> {
        let keys = self.domain_keys(org).await?;
        let authority = x509_svid::thumbprint(keys.authority.der());
        let now = self.books().now();
        let found = self.inner.endpoint_svids.get(org);
        Ok(found.filter(|svid| svid.authority == authority && now < svid.renew))
    }

    async fn make_endpoint_svid(&self, org: &OrgId) -> Result<EndpointSvid, Refusal> {
        self.svid_fresh()?;
        let keys = self.domain_keys(org).await?;
        let spiffe_id = self.bundle_endpoint_id(org)?;
        let unusable =
            |error: x509_svid::X509Error| no(RefusalCode::CredentialUnavailable, error.to_string());
        let (key, _) = generated()?;
        let request = x509_svid::request(&key).map_err(unusable)?;
        let now = self.books().now();
        let validity = Validity {
            serial: self.books().random(),
            not_before: now.plus_secs(-SVID_BACKDATE_SECS).as_secs(),
            not_after: now.plus_secs(X509_SVID_SECS).as_secs(),
        };
        let certificate = keys
            .authority
            .issue(&request, &spiffe_id, &validity)
            .map_err(unusable)?;
        let event = Event::new(EventKind::SvidIssued, now, Principal::Remit)
            .about(org)
            .fact("form", remit_domain::credential::SvidForm::X509)
            .fact("endpoint", PATH.join("/"))
            .fact("certificate", x509_svid::thumbprint(&certificate))
            .fact("expires", Timestamp::from_secs(validity.not_after));
        let change = remit_books::Change::new().event(event);
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(EndpointSvid {
            spiffe_id,
            certificate,
            key,
            authority: x509_svid::thumbprint(keys.authority.der()),
            renew: now.plus_secs(X509_SVID_SECS / 2),
        })
    }
}

pub(crate) fn endpoint_svids() -> EndpointSvids {
    moka::sync::Cache::new(FOREIGN_KEYRINGS_MAX)
}
