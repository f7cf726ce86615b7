//! The relying party: who browsers and authenticators are told that we are, from `public_url` alone.

use std::time::Duration;

use remit_domain::{OrgId, Person, Refusal, RefusalCode};
use url::Url;
use uuid::Uuid;
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::Issuer;
use crate::limits::CEREMONY_SECS;
use crate::refusal::no;

impl Issuer {
    /// Whether people can have passkeys here: that takes a name in `public_url`, and https or `localhost`.
    ///
    /// Source: WebAuthn Level 3 §5.1.2 and §13.4.9: an id of a relying party is a domain, never an address.
    #[must_use]
    pub fn has_passkeys(&self) -> bool {
        self.party().is_ok()
    }

    /// The relying party.
    ///
    /// # Errors
    /// `invalid-request` where `public_url` is such that no browser makes a passkey for it.
    pub(crate) fn party(&self) -> Result<Webauthn, Refusal> {
        let unusable = || {
            no(
                RefusalCode::InvalidRequest,
                "passkeys need a host name in `public_url` (https, or http://localhost); this instance has none",
            )
        };
        let origin = Url::parse(&self.inner.public_url).map_err(|_| unusable())?;
        let host = origin.domain().ok_or_else(unusable)?;
        if origin.scheme() != "https" && host != "localhost" {
            return Err(unusable());
        }
        let builder = WebauthnBuilder::new(host, &origin).map_err(|_| unusable())?;
        builder
            .rp_name("Remit")
            .allow_subdomains(false)
            .allow_any_port(false)
            .timeout(Duration::from_secs(CEREMONY_SECS.unsigned_abs()))
            .build()
            .map_err(|_| unusable())
    }
}

/// The user handle of a person (WebAuthn Level 3 §5.4.3): opaque, the same each time, different in each organization.
pub(super) fn handle(org: &OrgId, person: &Person) -> Uuid {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(b"remit-user-handle:");
    context.update(org.as_str().as_bytes());
    context.update(person.id.as_str().as_bytes());
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Uuid::from_bytes(bytes)
}
