//! Servers that prove themselves with an X.509-SVID: by the authorities of one trust domain and one SPIFFE ID, whatever name the
//! address has, and by no other authority.

use std::sync::{Arc, OnceLock};

use remit_ports::web::SpiffeServer;
use remit_token::client_certificate::CertificateError;
use remit_token::x509_svid::verify_as;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// The judge of one connection.
#[derive(Debug)]
pub(super) struct OneServer {
    server: SpiffeServer,
    provider: Arc<CryptoProvider>,
    refused: OnceLock<CertificateError>,
}

impl OneServer {
    pub(super) fn new(server: SpiffeServer) -> Self {
        Self {
            server,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            refused: OnceLock::new(),
        }
    }

    /// What connects to that server alone.
    pub(super) fn config(self: Arc<Self>) -> ClientConfig {
        let provider = Arc::clone(&self.provider);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap_or_else(|_| ClientConfig::builder());
        builder
            .dangerous()
            .with_custom_certificate_verifier(self)
            .with_no_client_auth()
    }

    /// Why the certificate was refused; none where it was not, or there was none.
    pub(super) fn refused(&self) -> Option<CertificateError> {
        self.refused.get().copied()
    }
}

impl ServerCertVerifier for OneServer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<Vec<u8>> = std::iter::once(leaf)
            .chain(between)
            .map(|der| der.to_vec())
            .collect();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let server = &self.server;
        match verify_as(&chain, &server.authorities, &server.id, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(why) => {
                let _ = self.refused.set(why);
                Err(Error::InvalidCertificate(rustls::CertificateError::Other(
                    OtherError(Arc::new(why)),
                )))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests;
