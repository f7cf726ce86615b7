//! Certificates of clients: whose they are, and by whose word.
//!
//! Source: RFC 8705 §2.1 (a name that a registered authority vouches for), §2.2 (one registered certificate), §3.1 (`x5t#S256`),
//! RFC 5280 §6.1. That a client holds the certificate's key is proved by the TLS handshake, before anything here.

use core::net::IpAddr;

use rustls_pki_types::{CertificateDer, UnixTime};
use thiserror::Error;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::der::Decode;
use x509_parser::extensions::GeneralName;

use crate::keys::PublicJwk;
use crate::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATES_MAX, URI_BYTES_MAX};

/// Why a certificate proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// It cannot be read, is too large, or comes with too many others.
    #[error(
        "the certificate cannot be read; give one in PEM or DER of at most {CERTIFICATE_BYTES_MAX} bytes"
    )]
    Malformed,
    /// Its key is of no kind that is used here.
    #[error("the certificate's key is not supported; use an EC key on P-256 or an Ed25519 key")]
    KeyUnsupported,
    /// It is not good yet, or no more.
    #[error("the certificate is not good yet, or has expired")]
    Expired,
    /// The registered authority did not sign it, or not for clients.
    #[error("the certificate is not one of the registered authority for clients")]
    Untrusted,
    /// It names somebody else.
    #[error("the certificate names somebody else")]
    NameOther,
    /// It names no SPIFFE ID of a workload, or several (X509-SVID §2, §5.2).
    #[error("the certificate does not name exactly one SPIFFE ID of a workload")]
    NoSpiffeId,
    /// It, or one between it and its authority, is for something else (X509-SVID §4).
    #[error("a certificate of the chain is for another use than an X.509-SVID or its signer")]
    UsageOther,
    /// The registered name cannot be one.
    #[error("the name is not one that a certificate can have")]
    NameMalformed,
}

impl CertificateError {
    /// The stable kebab-case code of this refusal.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "certificate-malformed",
            Self::KeyUnsupported => "certificate-key-unsupported",
            Self::Expired => "certificate-expired",
            Self::Untrusted => "certificate-untrusted",
            Self::NameOther | Self::NameMalformed => "certificate-name-other",
            Self::NoSpiffeId => "certificate-no-spiffe-id",
            Self::UsageOther => "certificate-usage-other",
        }
    }
}

/// Names of a client in the certificates of its authority, as a registration calls them (RFC 8705 §2.1.2).
pub const NAME_PARAMETERS: [&str; 5] = [
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
];

/// The one name by which a client is known in the certificates of its authority (RFC 8705 §2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// The whole subject, as RFC 4514 writes it.
    Subject(String),
    /// A DNS name, exactly; no wildcards.
    Dns(String),
    /// A URI, exactly.
    Uri(String),
    /// An IP address.
    Ip(IpAddr),
    /// A mail address, exactly.
    Email(String),
}

impl Name {
    fn read(parameter: &str, value: &str) -> Result<Self, CertificateError> {
        let malformed = CertificateError::NameMalformed;
        let printable = value.bytes().all(|b| matches!(b, b'!'..=b'~'));
        if !(1..=URI_BYTES_MAX).contains(&value.len()) {
            return Err(malformed);
        }
        match parameter {
            "tls_client_auth_subject_dn" => {
                let name: x509_cert::name::Name = value.parse().map_err(|_| malformed)?;
                let some = !name.is_empty();
                some.then(|| Self::Subject(name.to_string()))
                    .ok_or(malformed)
            }
            "tls_client_auth_san_ip" => Ok(Self::Ip(value.parse().map_err(|_| malformed)?)),
            _ if !printable => Err(malformed),
            "tls_client_auth_san_dns" if !value.contains('*') => {
                Ok(Self::Dns(value.to_ascii_lowercase()))
            }
            "tls_client_auth_san_uri" => Ok(Self::Uri(value.to_owned())),
            "tls_client_auth_san_email" if value.contains('@') => Ok(Self::Email(value.to_owned())),
            _ => Err(malformed),
        }
    }

    /// The same in the one form that is compared.
    fn normal(self) -> String {
        match self {
            Self::Subject(text) | Self::Dns(text) | Self::Uri(text) | Self::Email(text) => text,
            Self::Ip(ip) => ip.to_string(),
        }
    }
}

/// A registered name in the one form that is compared.
///
/// - `parameter`: one of [`NAME_PARAMETERS`].
///
/// # Errors
/// `NameMalformed`.
pub fn normal_name(parameter: &str, value: &str) -> Result<String, CertificateError> {
    Ok(Name::read(parameter, value)?.normal())
}

/// SHA-256 of a certificate in DER, base64url: what a token is bound to (RFC 8705 §3.1).
pub use crate::x509_svid::thumbprint;

/// Reads one certificate in PEM; in DER.
///
/// # Errors
/// `Malformed`.
pub fn from_pem(text: &str) -> Result<Vec<u8>, CertificateError> {
    use rustls_pki_types::pem::PemObject;
    if text.len() > CERTIFICATE_BYTES_MAX.saturating_mul(2) {
        return Err(CertificateError::Malformed);
    }
    let read = CertificateDer::from_pem_slice(text.as_bytes());
    let der = read.map_err(|_| CertificateError::Malformed)?.to_vec();
    parsed(&der)?;
    Ok(der)
}

pub(crate) fn parsed(
    der: &[u8],
) -> Result<x509_parser::certificate::X509Certificate<'_>, CertificateError> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(CertificateError::Malformed);
    }
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], read)) => Ok(read),
        _ => Err(CertificateError::Malformed),
    }
}

/// The public key of a certificate in DER.
///
/// # Errors
/// `Malformed`, `KeyUnsupported`.
pub fn public_key(der: &[u8]) -> Result<PublicJwk, CertificateError> {
    let read = parsed(der)?;
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", read.public_key().raw));
    PublicJwk::from_pem(&pem).map_err(|_| CertificateError::KeyUnsupported)
}

/// Whether a certificate in DER is good at this time; nothing else is looked at. Gives its end.
///
/// - `now`: seconds since 1970-01-01 UTC, as is the end.
///
/// # Errors
/// `Malformed`, `Expired`.
pub fn is_current(der: &[u8], now: i64) -> Result<i64, CertificateError> {
    let read = parsed(der)?;
    let validity = read.validity();
    let ends = validity.not_after.timestamp();
    if (validity.not_before.timestamp()..=ends).contains(&now) {
        Ok(ends)
    } else {
        Err(CertificateError::Expired)
    }
}

/// Whether a certificate can be an authority: one that may sign others.
///
/// # Errors
/// `Malformed`, `Untrusted`.
pub fn is_authority(der: &[u8]) -> Result<(), CertificateError> {
    let read = parsed(der)?;
    let der = CertificateDer::from(der);
    anchor_from_trusted_cert(&der).map_err(|_| CertificateError::Malformed)?;
    let is_ca = read.is_ca();
    is_ca.then_some(()).ok_or(CertificateError::Untrusted)
}

/// Whether the registered authority vouches for a client of that name.
///
/// - `chain`: as the client sent it, its own certificate first.
/// - `authority`: the registered one, in DER. No other is trusted, whatever the client sent.
/// - `name`: parameter and value, as [`normal_name`] takes them.
/// - `now`: seconds since 1970-01-01 UTC.
///
/// # Errors
/// [`CertificateError`].
pub fn verify(
    chain: &[Vec<u8>],
    authority: &[u8],
    name: (&str, &str),
    now: i64,
) -> Result<(), CertificateError> {
    let name = Name::read(name.0, name.1)?;
    // An authority that is over vouches for nobody: who verifies the chain does not look at its end.
    is_current(authority, now)?;
    let leaf = trusted(chain, &[authority], KeyUsage::client_auth(), now)?;
    named(leaf, &name)
}

/// Whether one of these authorities vouches for a chain, for that use; gives its leaf. Their own ends are for the caller to look at.
pub(crate) fn trusted<'a>(
    chain: &'a [Vec<u8>],
    authorities: &[&[u8]],
    usage: KeyUsage,
    now: i64,
) -> Result<&'a [u8], CertificateError> {
    let [leaf, between @ ..] = chain else {
        return Err(CertificateError::Malformed);
    };
    if between.len() >= CERTIFICATES_MAX {
        return Err(CertificateError::Malformed);
    }
    parsed(leaf)?;
    let ders: Vec<_> = authorities
        .iter()
        .map(|der| CertificateDer::from(*der))
        .collect();
    let anchors = ders.iter().map(anchor_from_trusted_cert);
    let anchors = anchors
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| CertificateError::Untrusted)?;
    let der = CertificateDer::from(leaf.as_slice());
    let leaf_read = EndEntityCert::try_from(&der).map_err(|_| CertificateError::Malformed)?;
    let between: Vec<CertificateDer<'_>> = between
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let secs = u64::try_from(now).map_err(|_| CertificateError::Expired)?;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
    let verified = leaf_read.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &between,
        at,
        usage,
        None,
        None,
    );
    match verified {
        Ok(_) => Ok(leaf),
        Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {
            Err(CertificateError::Expired)
        }
        Err(_) => Err(CertificateError::Untrusted),
    }
}

/// Whether a certificate has a name, compared whole.
fn named(der: &[u8], name: &Name) -> Result<(), CertificateError> {
    let read = parsed(der)?;
    let alternatives = read
        .subject_alternative_name()
        .map_err(|_| CertificateError::Malformed)?;
    let alternatives = alternatives.map_or(&[][..], |found| &found.value.general_names);
    let any = |is: &dyn Fn(&GeneralName<'_>) -> bool| alternatives.iter().any(is);
    let found = match name {
        Name::Subject(dn) => subject(der)? == *dn,
        Name::Dns(dns) => {
            any(&|n| matches!(n, GeneralName::DNSName(found) if found.eq_ignore_ascii_case(dns)))
        }
        Name::Uri(uri) => any(&|n| matches!(n, GeneralName::URI(found) if found == uri)),
        Name::Email(mail) => any(&|n| matches!(n, GeneralName::RFC822Name(found) if found == mail)),
        Name::Ip(ip) => {
            let bytes = match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            any(&|n| matches!(n, GeneralName::IPAddress(found) if *found == bytes))
        }
    };
    found.then_some(()).ok_or(CertificateError::NameOther)
}

/// The subject, as RFC 4514 writes it.
fn subject(der: &[u8]) -> Result<String, CertificateError> {
    let read = x509_cert::Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    Ok(read.tbs_certificate().subject().to_string())
}

#[cfg(test)]
mod tests;
