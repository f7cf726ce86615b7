//! Certificates are public: whoever shows one has to hold its key.

use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_ecdsa_type};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use rustls_pki_types::PrivateKeyDer;

use super::*;

const NAME: &str = "remit.example";

/// A client that shows what it is told to, whatever key it has.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn made() -> Made<rcgen::KeyPair> {
    generate_simple_self_signed([NAME.to_owned()]).unwrap()
}

fn private(of: &Made<rcgen::KeyPair>) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(of.signing_key.serialize_der()).unwrap()
}

/// Shakes hands with a client that shows `certificate` and signs with `key`; whether the server has it then.
fn shaken(
    version: &'static SupportedProtocolVersion,
    certificate: &Made<rcgen::KeyPair>,
    key: &Made<rcgen::KeyPair>,
) -> Result<bool, Error> {
    let _set_before = default_provider().install_default();
    let own = made();
    let server = ServerConfig::builder()
        .with_client_cert_verifier(verifier().unwrap())
        .with_single_cert(vec![own.cert.der().clone()], private(&own))
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let signer = any_ecdsa_type(&private(key)).unwrap();
    let shows = CertifiedKey::new(vec![certificate.cert.der().clone()], signer);
    let client = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Shows(Arc::new(shows))));
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), NAME.try_into().unwrap()).unwrap();
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut sent = wire.as_slice();
        while !sent.is_empty() {
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut sent = wire.as_slice();
        while !sent.is_empty() {
            client.read_tls(&mut sent).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    Ok(shown(&server).is_some())
}

#[test]
fn somebody_elses_certificate_is_of_no_use_without_its_key() {
    let (victim, thief) = (made(), made());
    for version in [&TLS12, &TLS13] {
        assert_eq!(shaken(version, &victim, &victim), Ok(true));
        let stolen = shaken(version, &victim, &thief).unwrap_err();
        let signature = Error::InvalidCertificate(CertificateError::BadSignature);
        assert_eq!(stolen, signature, "{version:?}");
    }
}
