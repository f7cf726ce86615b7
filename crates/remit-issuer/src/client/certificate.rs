//! Clients that show a certificate in the TLS handshake, which proves that they hold its key (RFC 8705 §2).
//!
//! Three sorts: a certificate that is registered itself, one whose registered authority vouches for a registered name, and an
//! X.509-SVID of ours whose workload was attested. A client that proves itself otherwise may show one too. Tokens are bound to
//! whichever it was (RFC 8705 §3), and end with it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use remit_domain::attestation::Trust;
use remit_domain::containment::Lineage;
use remit_domain::credential::{AgentKey, ClientCertificate, SvidForm};
use remit_domain::{AgentId, OrgId, Registry, Timestamp};
use remit_token::client_certificate::{
    CertificateError, is_current, public_key, thumbprint, verify,
};
use remit_token::{ClientAuth, ClientChain, SpiffeId, x509_svid};

use super::Client;
use crate::Issuer;
use crate::door::Denied;

/// A certificate that a connection shows.
#[derive(Debug, Clone)]
pub(crate) struct CertificateShown {
    /// SHA-256 of it, base64url.
    pub(crate) thumbprint: String,
    /// When it ends.
    pub(crate) ends: Timestamp,
}

impl Issuer {
    /// The certificate that a connection shows, whoever it proves; one that is not good now is no certificate to bind a token to, and
    /// neither is one that was revoked or is contained by itself.
    pub(crate) fn certificate_shown(
        &self,
        org: &OrgId,
        chain: &ClientChain,
    ) -> Result<Option<CertificateShown>, Denied> {
        let Some(leaf) = chain.certificates().first() else {
            return Ok(None);
        };
        let ends = is_current(leaf, self.books().now().as_secs())
            .map_err(|error| Denied::client(error.code()))?;
        let thumbprint = thumbprint(leaf);
        let book = self.tenant(org)?;
        let registry = book.registry();
        registry
            .not_held(|| Lineage::of_credentials([thumbprint.as_str()]))
            .map_err(Denied::proved)?;
        if registry
            .keys
            .get(&thumbprint)
            .is_some_and(|k| k.removed.is_some())
        {
            return Err(Denied::client("certificate-revoked"));
        }
        Ok(Some(CertificateShown {
            thumbprint,
            ends: Timestamp::from_secs(ends),
        }))
    }

    /// Authenticates a client by the certificates of its connection, its own first.
    pub(super) async fn by_certificate(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
    ) -> Result<Client, Denied> {
        let chain = auth.chain.certificates();
        let (Some(leaf), Some(said)) = (chain.first(), auth.client_id.as_deref()) else {
            return Err(Denied::client("certificate-missing"));
        };
        let domain = self.trust_domain(org)?;
        if let Ok(id) = x509_svid::name(leaf)
            && id.trust_domain() == domain.trust_domain()
        {
            return self.by_x509_svid(org, auth, &id).await;
        }
        let id = self.client_called(org, said)?;
        let now = self.books().now();
        let key = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            let proved = proved(registry.keys_of(&id).into_iter(), chain, leaf, now);
            proved.and_then(|key| match spent(&registry, &id, leaf) {
                true => Err(CertificateError::Untrusted),
                false => Ok(key),
            })
        };
        let key = key.map_err(|error| Denied::client(error.code()).by(&id))?;
        let agent = self
            .standing_client(org, &id, &key)
            .map_err(|refusal| Denied::proved(refusal).by(&id))?;
        self.within_rate(id.as_str())
            .map_err(|refusal| Denied::from(refusal).by(&id))?;
        self.books().note_use(org, &key);
        Ok(Client {
            agent,
            thumbprint: key,
            once: None,
            bound: None,
            certificate: None,
            federated: None,
            document: None,
            trust: Trust::Key,
            svid: None,
        })
    }

    /// The client of an X.509-SVID: exactly one that we issued, since its record names it by its digest.
    async fn by_x509_svid(
        &self,
        org: &OrgId,
        auth: &ClientAuth,
        id: &SpiffeId,
    ) -> Result<Client, Denied> {
        let unknown = || Denied::client("svid-unknown");
        let chain = auth.chain.certificates();
        self.of_trust_domain(org, id, chain).await?;
        let mut path = id.path().split('/').skip(1);
        let (Some("agent"), Some(agent)) = (path.next(), path.next()) else {
            return Err(unknown());
        };
        let agent: AgentId = agent.parse().map_err(|_| unknown())?;
        let shown = chain.first().map(|leaf| thumbprint(leaf));
        self.within_rate(&format!("svid/{agent}"))
            .map_err(|refusal| Denied::from(refusal).by(&agent))?;
        let live = self.books().live_svids(org, Some(&agent)).await?;
        let found = live
            .into_iter()
            .map(|svid| svid.noun)
            .find(|svid| svid.form == SvidForm::X509 && svid.certificate == shown);
        self.by_svid(org, auth, found.ok_or_else(unknown)?, None)
            .await
    }

    /// Whether a published authority of the trust domain signed a certificate of that name; only then is anything looked up.
    async fn of_trust_domain(
        &self,
        org: &OrgId,
        id: &SpiffeId,
        chain: &[Vec<u8>],
    ) -> Result<(), Denied> {
        let keys = self.domain_keys(org).await?;
        let (id, now) = (id.to_string(), self.books().now().as_secs());
        let mut why = CertificateError::Untrusted;
        for (authority, _) in &keys.bundle.x509 {
            match verify(chain, authority, ("tls_client_auth_san_uri", &id), now) {
                Ok(()) => return Ok(()),
                Err(CertificateError::Untrusted) => {}
                Err(closer) => why = closer,
            }
        }
        Err(Denied::client(why.code()))
    }
}

/// Whether the key in a certificate was registered by itself, and is good no more, is held back, or is another agent's: then no
/// authority brings it back.
fn spent(registry: &Registry, agent: &AgentId, leaf: &[u8]) -> bool {
    let own = public_key(leaf).map(|key| key.thumbprint().to_string());
    let Some(key) = own.ok().and_then(|own| registry.keys.get(&own)) else {
        return false;
    };
    let held = registry.held(&Lineage::of_credentials([key.thumbprint.as_str()]));
    key.agent != *agent || key.removed.is_some() || held.is_some()
}

/// The registered key that a certificate proves; why none, where it is none.
fn proved<'a>(
    keys: impl Iterator<Item = &'a Arc<AgentKey>>,
    chain: &[Vec<u8>],
    leaf: &[u8],
    now: Timestamp,
) -> Result<String, CertificateError> {
    let (shown, secs) = (thumbprint(leaf), now.as_secs());
    let mut why = CertificateError::Untrusted;
    for key in keys.filter(|key| key.is_good(now)) {
        let judged = match &key.certificate {
            None | Some(ClientCertificate::Withheld) => continue,
            Some(ClientCertificate::Exact { thumbprint, .. }) if *thumbprint == shown => {
                is_current(leaf, secs).map(drop)
            }
            Some(ClientCertificate::Exact { .. }) => Err(CertificateError::Untrusted),
            Some(ClientCertificate::Named {
                authority,
                parameter,
                value,
            }) => match STANDARD.decode(authority) {
                Ok(authority) => verify(chain, &authority, (parameter, value), secs),
                Err(_) => Err(CertificateError::Untrusted),
            },
        };
        match judged {
            Ok(()) => return Ok(key.thumbprint.clone()),
            // Of several reasons the one that came closest is told to the ledger.
            Err(CertificateError::Untrusted) => {}
            Err(closer) => why = closer,
        }
    }
    Err(why)
}
