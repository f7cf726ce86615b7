//! Whose X.509-SVID a chain of certificates is, by the authorities of its trust domain.
//!
//! Source: X509-SVID §2 (one name), §4 (constraints), §5 (validation). That its holder has its key is proved by the TLS handshake.

use webpki::KeyUsage;
use x509_parser::certificate::X509Certificate;

use super::name;
use crate::client_certificate::{CertificateError, is_current, parsed, trusted};
use crate::limits::CERTIFICATES_MAX;
use crate::spiffe_id::SpiffeId;

/// Whether a chain has the form of an X.509-SVID; the SPIFFE ID that its leaf names. No signature and no time is looked at.
///
/// - `chain`: in DER, its leaf first.
///
/// # Errors
/// `Malformed`, `NoSpiffeId`, `UsageOther`.
pub fn shape(chain: &[Vec<u8>]) -> Result<SpiffeId, CertificateError> {
    let [leaf, between @ ..] = chain else {
        return Err(CertificateError::Malformed);
    };
    if between.len() >= CERTIFICATES_MAX {
        return Err(CertificateError::Malformed);
    }
    let read = parsed(leaf)?;
    let usage = usage_of(&read)?;
    if read.is_ca() || !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign() {
        return Err(CertificateError::UsageOther);
    }
    for signer in between {
        let read = parsed(signer)?;
        if !read.is_ca() || !usage_of(&read)?.key_cert_sign() {
            return Err(CertificateError::UsageOther);
        }
    }
    // X509-SVID §5.2: a leaf names a workload, not the trust domain.
    name(leaf)
        .ok()
        .filter(|id| !id.path().is_empty())
        .ok_or(CertificateError::NoSpiffeId)
}

/// X509-SVID §4.3: every certificate says what its key is for.
fn usage_of(
    read: &X509Certificate<'_>,
) -> Result<x509_parser::extensions::KeyUsage, CertificateError> {
    let found = read.key_usage().map_err(|_| CertificateError::Malformed)?;
    found
        .map(|found| *found.value)
        .ok_or(CertificateError::UsageOther)
}

/// Whose X.509-SVID this chain is, as a server shows it.
///
/// - `chain`: in DER, its leaf first.
/// - `authorities`: of one trust domain, in DER. That the SPIFFE ID is of that trust domain is for the caller to look at.
/// - `now`: seconds since 1970-01-01 UTC.
///
/// # Errors
/// `Malformed`, `NoSpiffeId`, `UsageOther`, `Expired`, `Untrusted`.
pub fn verify(
    chain: &[Vec<u8>],
    authorities: &[Vec<u8>],
    now: i64,
) -> Result<SpiffeId, CertificateError> {
    let id = shape(chain)?;
    // An authority that is over vouches for nobody.
    let current: Vec<&[u8]> = authorities
        .iter()
        .map(Vec::as_slice)
        .filter(|der| is_current(der, now).is_ok())
        .collect();
    if current.is_empty() {
        return Err(match authorities {
            [] => CertificateError::Untrusted,
            _ => CertificateError::Expired,
        });
    }
    trusted(chain, &current, KeyUsage::server_auth(), now)?;
    Ok(id)
}

/// Whether this chain is the X.509-SVID of that one workload, as a server shows it.
///
/// - `chain`, `authorities`, `now`: as [`verify`] takes them; the authorities are those of the trust domain of `id`.
///
/// # Errors
/// As [`verify`]; `NameOther` when it names another SPIFFE ID.
pub fn verify_as(
    chain: &[Vec<u8>],
    authorities: &[Vec<u8>],
    id: &SpiffeId,
    now: i64,
) -> Result<(), CertificateError> {
    let found = verify(chain, authorities, now)?;
    (found == *id)
        .then_some(())
        .ok_or(CertificateError::NameOther)
}
