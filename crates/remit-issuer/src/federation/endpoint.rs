//! Bundle endpoints that prove themselves with an X.509-SVID (SPIFFE Federation §5.2.2.4): who has to answer, and what is believed of
//! the next one.
//!
//! An endpoint of the issuer's own trust domain is believed first by the bundle that an administrator brought, then by the one it gave
//! last. That is part of the issuer's record, so every node has it, also after a start.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use remit_books::{Change, Versioned};
use remit_domain::event::{Event, EventKind};
use remit_domain::trusted_issuer::{KeySource, SeenBundle, SpiffeEndpoint, TrustedIssuer};
use remit_domain::{OrgId, Principal, TrustedIssuerId};
use remit_ports::web::SpiffeServer;
use remit_token::{ForeignBundle, SpiffeId, x509_svid};

use super::keys::{KeysOf, Unhad, called, of};
use crate::Issuer;

/// Who has to answer at an endpoint.
pub(super) fn server(whose: &KeysOf<'_>, there: &SpiffeEndpoint) -> Result<SpiffeServer, Unhad> {
    let id = SpiffeId::parse(&there.endpoint_spiffe_id)
        .map_err(|_| whose.bundle_refused(&"its endpoint has no SPIFFE ID"))?;
    let authorities = match whose.seen.filter(|_| serves_itself(whose, &id)) {
        Some(seen) => {
            let all = seen.x509.iter().map(|der| STANDARD.decode(der));
            let read: Result<Vec<_>, _> = all.collect();
            read.map_err(|_| whose.bundle_refused(&"what was kept of it cannot be read"))?
        }
        None => given(whose, there)?.authorities,
    };
    if authorities.is_empty() {
        let why = "no authority for X.509-SVIDs is known by which its endpoint could be believed";
        return Err(whose.bundle_refused(&why));
    }
    Ok(SpiffeServer { id, authorities })
}

/// What an endpoint is believed by after it gave this; none where that stays as it is.
///
/// A bundle that is older than the one that is known, or after which nobody could be believed, is not taken.
pub(super) fn seen(
    whose: &KeysOf<'_>,
    there: &SpiffeEndpoint,
    text: &str,
) -> Result<Option<SeenBundle>, Unhad> {
    let own = SpiffeId::parse(&there.endpoint_spiffe_id).is_ok_and(|id| serves_itself(whose, &id));
    if !own {
        return Ok(None);
    }
    let read = ForeignBundle::from_json(text).map_err(|error| whose.bundle_refused(&error))?;
    if read.authorities.is_empty() {
        let why = "its bundle has no authority for X.509-SVIDs, so its endpoint could not be believed any more";
        return Err(whose.bundle_refused(&why));
    }
    let known = match whose.seen {
        Some(seen) => seen.clone(),
        None => kept(&given(whose, there)?),
    };
    if older(read.sequence, known.sequence) {
        let why = "its bundle is older than the one that is known (`spiffe_sequence`)";
        return Err(whose.bundle_refused(&why));
    }
    let now = kept(&read);
    Ok((now != known).then_some(now))
}

/// Whether the endpoint is of the trust domain whose bundle it serves.
fn serves_itself(whose: &KeysOf<'_>, id: &SpiffeId) -> bool {
    whose.issuer.strip_prefix("spiffe://") == Some(id.trust_domain())
}

fn given(whose: &KeysOf<'_>, there: &SpiffeEndpoint) -> Result<ForeignBundle, Unhad> {
    let text = there.bundle.to_string();
    ForeignBundle::from_json(&text).map_err(|error| whose.bundle_refused(&error))
}

fn kept(bundle: &ForeignBundle) -> SeenBundle {
    let all = bundle.authorities.iter();
    SeenBundle {
        x509: all.map(|der| STANDARD.encode(der)).collect(),
        sequence: bundle.sequence,
    }
}

/// One that counts no more is older than one that counted: else leaving the number out would bring old keys back.
fn older(now: Option<u64>, known: Option<u64>) -> bool {
    match (now, known) {
        (Some(now), Some(known)) => now < known,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// How records name the authorities.
fn thumbprints(seen: &SeenBundle) -> Vec<String> {
    let all = seen.x509.iter().filter_map(|der| STANDARD.decode(der).ok());
    all.map(|der| x509_svid::thumbprint(&der)).collect()
}

impl Issuer {
    /// Looks for what has changed at the bundle endpoints that are believed by what they gave last: who looks too seldom would miss
    /// a change of authorities, and be told of no other.
    pub async fn follow_bundles(&self) {
        let mut all = Vec::new();
        for book in self.books().orgs() {
            let registry = book.registry();
            let issuers = registry.trusted_issuers.values();
            let live = issuers.filter(|t| t.enabled && matches!(t.keys, KeySource::HttpsSpiffe(_)));
            all.extend(live.map(|t| (book.id.clone(), std::sync::Arc::clone(t))));
        }
        let each = all.iter().map(|(org, issuer)| async move {
            let called = called(issuer);
            // What is wrong is logged where it is found.
            let _ = self.keys_of(org, &of(issuer, &called), None).await;
        });
        futures_util::future::join_all(each).await;
    }

    /// Keeps what an endpoint is believed by. Where that fails, the next one is believed by what was known before.
    pub(super) async fn keep_seen(&self, org: &OrgId, whose: &KeysOf<'_>, seen: SeenBundle) {
        let kept = self
            .books()
            .retrying(org, async || {
                let found = self.books().get::<TrustedIssuer>(org, whose.id).await?;
                Ok((
                    (),
                    found.and_then(|found| self.to_keep(whose, found, &seen)),
                ))
            })
            .await;
        if let Err(error) = kept {
            tracing::error!(%org, issuer = whose.called, %error, "the bundle of a trust domain could not be kept");
        }
    }

    /// What is to be written; none where the issuer is another one meanwhile, or somebody else wrote it.
    fn to_keep(
        &self,
        whose: &KeysOf<'_>,
        found: Versioned<TrustedIssuer>,
        seen: &SeenBundle,
    ) -> Option<Change> {
        let Versioned { noun, revision } = found;
        let known = noun.seen.as_ref();
        if noun.issuer != whose.issuer
            || noun.keys != *whose.source
            || known.is_some_and(|known| known == seen || older(seen.sequence, known.sequence))
        {
            return None;
        }
        let id: &TrustedIssuerId = &noun.id;
        let event = Event::new(
            EventKind::TrustedIssuerBundleChanged,
            self.books().now(),
            Principal::Remit,
        )
        .about(id)
        .fact("sequence", seen.sequence)
        .fact("authorities", thumbprints(seen));
        let noun = TrustedIssuer {
            seen: Some(seen.clone()),
            ..noun
        };
        Some(Change::new().update(&noun, revision).event(event))
    }
}

#[cfg(test)]
mod tests {
    use super::older;

    #[test]
    fn no_bundle_goes_back_also_not_by_counting_no_more() {
        assert!(older(Some(1), Some(2)) && older(None, Some(2)));
        assert!(!older(Some(2), Some(2)) && !older(Some(3), Some(2)));
        assert!(!older(Some(1), None) && !older(None, None));
    }
}
