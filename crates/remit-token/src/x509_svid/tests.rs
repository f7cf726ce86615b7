use super::*;
use crate::test_support::{NOW, pkcs8};

fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).unwrap()
}

fn validity(secs: i64) -> Validity {
    Validity {
        serial: [7; 16],
        not_before: NOW,
        not_after: NOW + secs,
    }
}

fn authority() -> Authority {
    let secret = pkcs8();
    let domain = id("spiffe://acme.remit.example");
    let der = Authority::certificate(&domain, &secret, &validity(86_400)).unwrap();
    Authority::open(&der, &secret).unwrap()
}

#[test]
fn an_svid_is_a_leaf_with_one_name() {
    let authority = authority();
    let workload = id("spiffe://acme.remit.example/agent/a/w/i");
    let leaf = authority
        .issue(&request(&pkcs8()).unwrap(), &workload, &validity(900))
        .unwrap();
    let read = |der: &[u8]| {
        let (rest, read) = x509_parser::parse_x509_certificate(der).unwrap();
        assert!(rest.is_empty());
        let names = read.subject_alternative_name().unwrap().unwrap();
        let names: Vec<String> = names
            .value
            .general_names
            .iter()
            .map(|n| format!("{n}"))
            .collect();
        let usage = read.key_usage().unwrap().unwrap();
        let basic = read.basic_constraints().unwrap().unwrap();
        let signs = usage.value.key_cert_sign();
        (
            names,
            basic.value.ca,
            usage.critical,
            usage.value.digital_signature(),
            signs,
        )
    };
    let (names, ca, critical, signature, signs) = read(&leaf);
    assert_eq!(names, [format!("URI({workload})")]);
    assert!(!ca && critical && signature && !signs);
    let (names, ca, critical, signature, signs) = read(authority.der());
    assert_eq!(names, ["URI(spiffe://acme.remit.example)"]);
    assert!(ca && critical && !signature && signs);
}

#[test]
fn what_a_request_asks_for_beside_its_key_is_not_given() {
    let authority = authority();
    let secret = pkcs8();
    let pair = pair(&secret).unwrap();
    let mut params = CertificateParams::default();
    let uri = "spiffe://acme.remit.example/agent/other/w/i"
        .try_into()
        .unwrap();
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let request = params.serialize_request(&pair).unwrap();
    let workload = id("spiffe://acme.remit.example/agent/a/w/i");
    let leaf = authority
        .issue(request.der(), &workload, &validity(900))
        .unwrap();
    let text = String::from_utf8_lossy(&leaf).into_owned();
    assert!(!text.contains("/other/"));
    assert!(text.contains("/agent/a/w/i"));
    let (_, read) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    assert!(!read.basic_constraints().unwrap().unwrap().value.ca);
}

#[test]
fn a_request_that_is_not_proved_is_refused() {
    let authority = authority();
    let workload = id("spiffe://acme.remit.example/agent/a/w/i");
    let good = request(&pkcs8()).unwrap();
    let issue = |request: &[u8]| authority.issue(request, &workload, &validity(900));
    let mut tampered = good.clone();
    *tampered.last_mut().unwrap() ^= 1;
    assert_eq!(issue(&tampered), Err(X509Error::RequestUnproved));
    assert_eq!(issue(b"no request"), Err(X509Error::RequestMalformed));
    assert_eq!(
        issue(&vec![0; CSR_BYTES_MAX + 1]),
        Err(X509Error::RequestMalformed)
    );
    let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ed = CertificateParams::default().serialize_request(&ed).unwrap();
    assert_eq!(issue(ed.der()), Err(X509Error::KeyUnsupported));
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = CertificateParams::default()
        .serialize_request(&p384)
        .unwrap();
    assert_eq!(issue(p384.der()), Err(X509Error::KeyUnsupported));
}

#[test]
fn an_svid_is_for_a_workload_and_for_a_while() {
    let authority = authority();
    let request = request(&pkcs8()).unwrap();
    let domain = id("spiffe://acme.remit.example");
    let workload = id("spiffe://acme.remit.example/agent/a/w/i");
    let issue = |id: &SpiffeId, secs| authority.issue(&request, id, &validity(secs)).map(|_| ());
    assert_eq!(issue(&domain, 900), Err(X509Error::Refused));
    assert_eq!(
        issue(&workload, X509_SVID_TTL_S_MAX + 1),
        Err(X509Error::Refused)
    );
    assert_eq!(issue(&workload, 0), Err(X509Error::Refused));
    assert_eq!(issue(&workload, 900), Ok(()));
    let secret = pkcs8();
    assert_eq!(
        Authority::certificate(&workload, &secret, &validity(900)),
        Err(X509Error::Refused)
    );
}
