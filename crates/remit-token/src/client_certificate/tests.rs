//! Who is taken for a client by their certificate, and who only looks like one.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use super::*;

const NOW: i64 = 1_800_000_000;
const DNS: (&str, &str) = ("tls_client_auth_san_dns", "worker.acme.example");

fn at(secs: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(secs).unwrap()
}

struct Ca {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

fn ca(name: &str) -> Ca {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Ca {
        der,
        issuer: Issuer::new(params, key),
    }
}

#[test]
fn an_authority_that_is_over_vouches_for_nobody() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_after = at(NOW + 10);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let ours = Ca {
        der,
        issuer: Issuer::new(params, key),
    };
    let good = leaf(&ours, |_| {});
    let judge = |now| verify(std::slice::from_ref(&good), &ours.der, DNS, now);
    assert_eq!(judge(NOW), Ok(()));
    assert_eq!(judge(NOW + 11), Err(CertificateError::Expired));
}

fn leaf(ca: &Ca, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.not_before = at(NOW - 60);
    params.not_after = at(NOW + 60);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![SanType::DnsName(DNS.1.try_into().unwrap())];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, &ca.issuer).unwrap().der().to_vec()
}

fn subject(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in parts {
        name.push(kind.clone(), *value);
    }
    name
}

#[test]
fn a_name_counts_only_from_its_own_authority_whole_and_in_time() {
    let (ours, other) = (ca("ours"), ca("ours"));
    let good = leaf(&ours, |_| {});
    let judge = |leaf: &[u8]| verify(&[leaf.to_vec()], &ours.der, DNS, NOW);
    assert_eq!(judge(&good), Ok(()));
    // Another authority of the same name, and one that comes along with the client.
    let foreign = leaf(&other, |_| {});
    assert_eq!(judge(&foreign), Err(CertificateError::Untrusted));
    let brought = [foreign, other.der.clone()];
    let judged = verify(&brought, &ours.der, DNS, NOW);
    assert_eq!(judged, Err(CertificateError::Untrusted));
    for look_alike in [
        "worker.acme.example.attacker.example",
        "xworker.acme.example",
        "*.acme.example",
        "acme.example",
    ] {
        let named = leaf(&ours, |p| {
            p.subject_alt_names = vec![SanType::DnsName(look_alike.try_into().unwrap())];
        });
        assert_eq!(
            judge(&named),
            Err(CertificateError::NameOther),
            "{look_alike}"
        );
    }
    // The same text as another sort of name, or in the subject, is another name.
    let uri = leaf(&ours, |p| {
        p.subject_alt_names = vec![SanType::URI(DNS.1.try_into().unwrap())];
        p.distinguished_name = subject(&[(DnType::CommonName, DNS.1)]);
    });
    assert_eq!(judge(&uri), Err(CertificateError::NameOther));
    for (from, to) in [(NOW - 120, NOW - 1), (NOW + 1, NOW + 120)] {
        let late = leaf(&ours, |p| (p.not_before, p.not_after) = (at(from), at(to)));
        assert_eq!(judge(&late), Err(CertificateError::Expired));
        assert_eq!(is_current(&late, NOW), Err(CertificateError::Expired));
    }
    let server = leaf(&ours, |p| {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(judge(&server), Err(CertificateError::Untrusted));
    assert_eq!(judge(b"no certificate"), Err(CertificateError::Malformed));
    assert_eq!(
        verify(&[], &ours.der, DNS, NOW),
        Err(CertificateError::Malformed)
    );
}

#[test]
fn a_subject_is_compared_as_a_name_and_not_as_text() {
    let ours = ca("ours");
    let parts = [
        (DnType::OrganizationName, "Acme"),
        (DnType::CommonName, "worker"),
    ];
    let good = leaf(&ours, |p| p.distinguished_name = subject(&parts));
    let dn = ("tls_client_auth_subject_dn", "CN=worker,O=Acme");
    assert_eq!(verify(&[good], &ours.der, dn, NOW), Ok(()));
    for parts in [
        vec![(DnType::CommonName, "worker,O=Acme")],
        vec![(DnType::CommonName, "worker")],
        vec![
            (DnType::CommonName, "worker"),
            (DnType::OrganizationName, "Acme"),
        ],
    ] {
        let other = leaf(&ours, |p| p.distinguished_name = subject(&parts));
        let judged = verify(&[other], &ours.der, dn, NOW);
        assert_eq!(judged, Err(CertificateError::NameOther), "{parts:?}");
    }
}

#[test]
fn names_have_one_form() {
    assert_eq!(
        normal_name("tls_client_auth_san_dns", "A.Example").as_deref(),
        Ok("a.example")
    );
    assert_eq!(
        normal_name("tls_client_auth_san_ip", "::0001").as_deref(),
        Ok("::1")
    );
    for (parameter, value) in [
        ("tls_client_auth_san_dns", "*.example"),
        ("tls_client_auth_san_dns", ""),
        ("tls_client_auth_san_dns", "a b"),
        ("tls_client_auth_san_ip", "300.1.1.1"),
        ("tls_client_auth_san_email", "nobody"),
        ("tls_client_auth_subject_dn", "no name"),
        ("san_dns", "a.example"),
    ] {
        assert!(
            normal_name(parameter, value).is_err(),
            "{parameter} {value}"
        );
    }
}

#[test]
fn only_an_authority_is_one() {
    let ours = ca("ours");
    assert_eq!(is_authority(&ours.der), Ok(()));
    assert!(is_authority(&leaf(&ours, |_| {})).is_err());
    assert!(is_authority(b"x").is_err());
}
