//! X.509-SVIDs: the authority of a trust domain, and the certificates that it signs.
//!
//! Source: X509-SVID §2 (one URI name), §4 (constraints on leaves and authorities), §5.2 (the authority's own name). A
//! leaf says nothing that its requester chose but the public key, whose private half it proved to hold (RFC 2986).

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use time::OffsetDateTime;

use crate::keys::PublicJwk;
use crate::limits::{CSR_BYTES_MAX, X509_SVID_TTL_S_MAX};
use crate::spiffe_id::SpiffeId;

/// Why a certificate could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum X509Error {
    /// The request is no PKCS #10 request in DER, or too large.
    #[error(
        "the request cannot be read; give a PKCS #10 request in DER of at most {CSR_BYTES_MAX} bytes"
    )]
    RequestMalformed,
    /// The request is not signed with the key that it names.
    #[error("the request is not signed with the key that it asks for")]
    RequestUnproved,
    /// The certificate cannot be read, or does not name exactly one SPIFFE ID.
    #[error("the certificate cannot be read, or does not name exactly one SPIFFE ID")]
    CertificateMalformed,
    /// The key is not on P-256.
    #[error("the key of the request is not supported; use an EC key on P-256")]
    KeyUnsupported,
    /// The certificate would be for no workload, or live longer than the authority or its kind may.
    #[error("the certificate would be for no workload, or would live too long")]
    Refused,
    /// The authority's own certificate or key cannot be used.
    #[error("the authority of the trust domain cannot be used; see `remit doctor`")]
    Authority,
}

impl X509Error {
    /// The stable kebab-case code of this refusal.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::RequestMalformed => "csr-malformed",
            Self::RequestUnproved => "csr-unproved",
            Self::CertificateMalformed => "certificate-malformed",
            Self::KeyUnsupported => "csr-key-unsupported",
            Self::Refused => "svid-refused",
            Self::Authority => "authority-unusable",
        }
    }
}

/// From when to when a certificate is good, and its serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// 16 bytes that were never used before.
    pub serial: [u8; 16],
    /// Seconds since 1970-01-01 UTC.
    pub not_before: i64,
    /// Seconds since 1970-01-01 UTC.
    pub not_after: i64,
}

/// The authority of a trust domain: it signs X.509-SVIDs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn pair(secret: &[u8]) -> Result<KeyPair, X509Error> {
    let der = PrivatePkcs8KeyDer::from(secret);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|_| X509Error::Authority)
}

fn date(secs: i64) -> Result<OffsetDateTime, X509Error> {
    OffsetDateTime::from_unix_timestamp(secs).map_err(|_| X509Error::Refused)
}

fn params(id: &SpiffeId, name: &str, validity: &Validity) -> Result<CertificateParams, X509Error> {
    if validity.not_after <= validity.not_before {
        return Err(X509Error::Refused);
    }
    let mut params = CertificateParams::default();
    params.not_before = date(validity.not_before)?;
    params.not_after = date(validity.not_after)?;
    // RFC 5280 §4.1.2.2: positive, at most 20 bytes.
    let mut serial = validity.serial;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Remit");
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let uri = id.to_string().try_into().map_err(|_| X509Error::Refused)?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

impl Authority {
    /// Makes the certificate of a new authority, signed by itself, in DER.
    ///
    /// - `secret`: its private key on P-256, PKCS #8 in DER.
    ///
    /// # Errors
    /// `Authority` for a key that cannot be used; `Refused` for another id than that of a trust domain.
    pub fn certificate(
        trust_domain: &SpiffeId,
        secret: &[u8],
        validity: &Validity,
    ) -> Result<Vec<u8>, X509Error> {
        if !trust_domain.path().is_empty() {
            return Err(X509Error::Refused);
        }
        let pair = pair(secret)?;
        let mut params = params(trust_domain, "SPIFFE authority", validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params
            .self_signed(&pair)
            .map_err(|_| X509Error::Authority)?;
        Ok(made.der().to_vec())
    }

    /// Opens an authority: its certificate in DER, and its private key (PKCS #8 in DER).
    ///
    /// # Errors
    /// `Authority`.
    pub fn open(certificate: &[u8], secret: &[u8]) -> Result<Self, X509Error> {
        let certificate = CertificateDer::from(certificate.to_vec());
        let issuer = Issuer::from_ca_cert_der(&certificate, pair(secret)?)
            .map_err(|_| X509Error::Authority)?;
        Ok(Self {
            issuer,
            certificate,
        })
    }

    /// Its certificate, in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// Signs an X.509-SVID for whoever holds the key of `request`; the certificate in DER.
    ///
    /// - `request`: a PKCS #10 request in DER; of what it asks for, only the key counts.
    /// - `id`: of a workload, in the authority's own trust domain.
    ///
    /// # Errors
    /// `RequestMalformed`, `RequestUnproved`, `KeyUnsupported`, `Refused`, `Authority`.
    pub fn issue(
        &self,
        request: &[u8],
        id: &SpiffeId,
        validity: &Validity,
    ) -> Result<Vec<u8>, X509Error> {
        let life = validity.not_after.saturating_sub(validity.not_before);
        if id.path().is_empty() || life > X509_SVID_TTL_S_MAX {
            return Err(X509Error::Refused);
        }
        let key = requested_key(request)?;
        let mut params = params(id, "workload", validity)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let made = params.signed_by(&key, &self.issuer);
        Ok(made.map_err(|_| X509Error::Authority)?.der().to_vec())
    }
}

/// The key that a request asks a certificate for, and proves to hold.
fn requested_key(request: &[u8]) -> Result<impl PublicKeyData + use<>, X509Error> {
    if request.len() > CSR_BYTES_MAX {
        return Err(X509Error::RequestMalformed);
    }
    let der = CertificateSigningRequestDer::from(request);
    let read = CertificateSigningRequestParams::from_der(&der).map_err(|error| match error {
        rcgen::Error::InvalidCertificationRequestSignature => X509Error::RequestUnproved,
        rcgen::Error::UnsupportedSignatureAlgorithm => X509Error::KeyUnsupported,
        _ => X509Error::RequestMalformed,
    })?;
    let on_p256 = PublicKeyData::algorithm(&read.public_key) == &rcgen::PKCS_ECDSA_P256_SHA256
        && PublicJwk::from_p256_point(read.public_key.der_bytes()).is_ok();
    if on_p256 {
        Ok(read.public_key)
    } else {
        Err(X509Error::KeyUnsupported)
    }
}

/// A request for a certificate for the key `secret` (PKCS #8 in DER), in DER; for workloads and whoever asks for them.
///
/// # Errors
/// `Authority` when the key cannot be used.
pub fn request(secret: &[u8]) -> Result<Vec<u8>, X509Error> {
    let pair = pair(secret)?;
    let made = CertificateParams::default().serialize_request(&pair);
    Ok(made.map_err(|_| X509Error::Authority)?.der().to_vec())
}

/// Reads a PEM block `CERTIFICATE REQUEST`; the request in DER.
///
/// # Errors
/// `RequestMalformed`.
pub fn request_from_pem(text: &str) -> Result<Vec<u8>, X509Error> {
    use rustls_pki_types::pem::PemObject;
    if text.len() > CSR_BYTES_MAX.saturating_mul(2) {
        return Err(X509Error::RequestMalformed);
    }
    let read = CertificateSigningRequestDer::from_pem_slice(text.as_bytes());
    Ok(read.map_err(|_| X509Error::RequestMalformed)?.to_vec())
}

/// A request in DER, as PEM.
#[must_use]
pub fn request_pem(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der))
}

/// The SPIFFE ID that a certificate in DER names. Nothing is verified.
///
/// # Errors
/// `CertificateMalformed` when it does not name exactly one (X509-SVID §2).
pub fn name(certificate: &[u8]) -> Result<SpiffeId, X509Error> {
    use x509_parser::extensions::GeneralName;
    let malformed = X509Error::CertificateMalformed;
    let (_, read) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| X509Error::CertificateMalformed)?;
    let names = read.subject_alternative_name().ok().flatten();
    let names = &names.ok_or(malformed)?.value.general_names;
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => SpiffeId::parse(uri).map_err(|_| malformed),
        _ => Err(malformed),
    }
}

/// A certificate in DER, as PEM.
#[must_use]
pub fn certificate_pem(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE", der))
}

/// SHA-256 of a certificate in DER, base64url: how people and records name it (RFC 8705 §3.1).
#[must_use]
pub fn thumbprint(certificate: &[u8]) -> String {
    use base64::Engine;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests;
mod verify;

pub use verify::{shape, verify, verify_as};
