//! Whoever answers in place of a server that proves itself with an X.509-SVID, over real TLS.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use remit_domain::OrgId;
use remit_ports::Web;
use remit_ports::web::{SpiffeServer, WebError, WebRequest, WebResponse};
use remit_token::SpiffeId;
use remit_token::client_certificate::CertificateError;
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::HttpWeb;

const ID: &str = "spiffe://acme.example/remit/bundle";
const YEARS: (i32, i32) = (2020, 2100);

struct Domain {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

fn domain(years: (i32, i32)) -> Domain {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let issuer = Issuer::new(params, key);
    Domain { der, issuer }
}

fn uri(id: &str) -> SanType {
    SanType::URI(id.try_into().unwrap())
}

/// A certificate with these names, and its key.
fn leaf(by: &Domain, names: Vec<SanType>, years: (i32, i32)) -> (Vec<u8>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.subject_alt_names = names;
    let made = params.signed_by(&key, &by.issuer).unwrap();
    (made.der().to_vec(), key)
}

/// Shows this certificate to one client and answers it; gives the address.
async fn serve((der, key): (Vec<u8>, KeyPair), answer: &'static [u8]) -> String {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.into()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/spiffe/bundle", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (peer, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let Ok(mut peer) = acceptor.accept(peer).await else {
            return;
        };
        let mut asked = [0; 4096];
        let _ = peer.read(&mut asked).await;
        let _ = peer.write_all(answer).await;
        let _ = peer.shutdown().await;
    });
    url
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

async fn ask(web: &HttpWeb, url: &str, authorities: Vec<Vec<u8>>) -> Result<WebResponse, WebError> {
    let request = WebRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let id = SpiffeId::parse(ID).unwrap();
    let server = SpiffeServer { id, authorities };
    let org = OrgId::from_uuid(uuid::Uuid::nil());
    web.request_spiffe(&org, request, server).await
}

#[tokio::test]
async fn the_server_of_that_spiffe_id_is_heard_whatever_its_address() {
    let (acme, other) = (domain(YEARS), domain(YEARS));
    let url = serve(leaf(&acme, vec![uri(ID)], YEARS), OK).await;
    let web = HttpWeb::new(true, false);
    let answer = ask(&web, &url, vec![other.der, acme.der]).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
}

#[tokio::test]
async fn whoever_else_answers_is_not_heard() {
    let (acme, other, over) = (domain(YEARS), domain(YEARS), domain((2020, 2021)));
    let known = || vec![acme.der.clone()];
    let sibling = "spiffe://acme.example/agent/a/w/r";
    let address = SanType::IpAddress([127, 0, 0, 1].into());
    let dns = SanType::DnsName("acme.example".try_into().unwrap());
    let attacks = [
        (
            leaf(&acme, vec![uri(sibling)], YEARS),
            known(),
            CertificateError::NameOther,
        ),
        (
            leaf(
                &acme,
                vec![uri("spiffe://other.example/remit/bundle")],
                YEARS,
            ),
            known(),
            CertificateError::NameOther,
        ),
        (
            leaf(&other, vec![uri(ID)], YEARS),
            known(),
            CertificateError::Untrusted,
        ),
        // As the web has them: the name of the address, and no SPIFFE ID.
        (
            leaf(&acme, vec![address, dns], YEARS),
            known(),
            CertificateError::NoSpiffeId,
        ),
        (
            leaf(&acme, vec![uri(ID), uri(sibling)], YEARS),
            known(),
            CertificateError::NoSpiffeId,
        ),
        (
            leaf(&acme, vec![uri(ID)], (2020, 2021)),
            known(),
            CertificateError::Expired,
        ),
        (
            leaf(&acme, vec![uri(ID)], (2090, 2100)),
            known(),
            CertificateError::Expired,
        ),
        (
            leaf(&over, vec![uri(ID)], YEARS),
            vec![over.der.clone()],
            CertificateError::Expired,
        ),
        (
            leaf(&acme, vec![uri(ID)], YEARS),
            Vec::new(),
            CertificateError::Untrusted,
        ),
    ];
    let web = HttpWeb::new(true, false);
    for (shown, authorities, why) in attacks {
        let url = serve(shown, OK).await;
        let answer = ask(&web, &url, authorities).await;
        assert_eq!(answer.unwrap_err(), WebError::Untrusted(why));
    }
}

/// The certificate is public: who has it and not its key proves nothing.
#[tokio::test]
async fn a_certificate_without_its_key_is_not_heard() {
    let acme = domain(YEARS);
    let (_, key) = leaf(&acme, vec![uri(ID)], YEARS);
    let (der, _) = leaf(&acme, vec![uri(ID)], YEARS);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let der_key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = provider.key_provider.load_private_key(der_key).unwrap();
    let stolen = rustls::sign::CertifiedKey::new(vec![der.into()], signing);
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(stolen));
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (peer, _) = listener.accept().await.unwrap();
        let _ = tokio_rustls::TlsAcceptor::from(Arc::new(config))
            .accept(peer)
            .await;
    });
    let answer = ask(&HttpWeb::new(true, false), &url, vec![acme.der]).await;
    assert!(
        matches!(answer, Err(WebError::Unreachable(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn the_rules_for_addresses_and_redirects_are_those_of_every_request() {
    let acme = domain(YEARS);
    let web = HttpWeb::new(true, false);
    for url in [
        "https://169.254.169.254/spiffe/bundle",
        "https://10.0.0.1/spiffe/bundle",
        "http://127.0.0.1:1/spiffe/bundle",
        "http://acme.example/spiffe/bundle",
    ] {
        let answer = ask(&web, url, vec![acme.der.clone()]).await;
        assert!(
            matches!(answer, Err(WebError::Refused(_))),
            "{url}: {answer:?}"
        );
    }
    let elsewhere =
        b"HTTP/1.1 302 Found\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let url = serve(leaf(&acme, vec![uri(ID)], YEARS), elsewhere).await;
    let answer = ask(&web, &url, vec![acme.der]).await;
    assert_eq!(answer.unwrap_err(), WebError::Redirect);
}
