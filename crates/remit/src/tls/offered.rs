//! Certificates that clients offer. The handshake proves that a client holds the key of what it shows, and nothing more: whose it
//! is, and by whose word, is judged by whoever it is shown to, since each organization has authorities of its own.

use std::sync::Arc;

use anyhow::Context;
use remit_http::ClientCertificate;
use remit_token::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATES_MAX};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConnection,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

/// Asks for a certificate and takes any, or none.
#[derive(Debug)]
struct Offered(Arc<CryptoProvider>);

/// What judges handshakes.
///
/// # Errors
/// When the process has no provider of cryptography.
pub(super) fn verifier() -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let provider = CryptoProvider::get_default().context("no provider of cryptography is set")?;
    Ok(Arc::new(Offered(Arc::clone(provider))))
}

/// What a client showed; none where it showed nothing.
pub(super) fn shown(connection: &ServerConnection) -> Option<ClientCertificate> {
    let chain = connection.peer_certificates()?;
    ClientCertificate::new(chain.iter().map(|der| der.to_vec()).collect())
}

impl ClientCertVerifier for Offered {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let small = |der: &CertificateDer<'_>| der.len() <= CERTIFICATE_BYTES_MAX;
        if between.len() >= CERTIFICATES_MAX || !small(leaf) || !between.iter().all(small) {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
