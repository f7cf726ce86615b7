//! Certificates that prove an agent in a TLS handshake: who registers them, and what is none.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use remit_domain::credential::{AgentKey, ClientCertificate};
use remit_domain::{RefusalCode, Separation};

use super::house::{House, code, name};
use crate::NewKey;

fn params(years: (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params
}

fn own(years: (i32, i32)) -> String {
    let mut params = params(years);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
}

fn authority() -> String {
    let mut params = params((2020, 2100));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
}

fn exact(pem: &str) -> NewKey {
    NewKey {
        certificate: Some(pem.to_owned()),
        ..NewKey::default()
    }
}

fn named(pem: &str, dns: &str) -> NewKey {
    NewKey {
        authority: Some(pem.to_owned()),
        tls_client_auth_san_dns: Some(dns.to_owned()),
        ..NewKey::default()
    }
}

#[tokio::test]
async fn an_authority_speaks_for_an_agent_by_an_administrators_word_and_for_one_only() {
    let house = House::new(Separation::Dual).await;
    let (bot, other) = (name("returns-bot"), name("other-bot"));
    let spec = super::agents::spec(&house);
    house
        .control
        .put_agent(&house.admin(), &other, spec, None)
        .await
        .unwrap();
    let ca = authority();
    let add = async |who: &crate::Caller, agent, key: &NewKey| {
        house.control.add_key(who, agent, key).await
    };
    // Whoever holds the authority's key could be the agent from then on: that is not the owner's to say.
    let owner = house.as_("owner");
    let refused = add(&owner, &bot, &named(&ca, "worker.acme.example")).await;
    assert_eq!(code(refused), RefusalCode::Forbidden);
    let admin = house.admin();
    let made = add(&admin, &bot, &named(&ca, "Worker.acme.example"))
        .await
        .unwrap();
    let said = made.certificate.as_deref();
    assert_eq!(said, Some("tls_client_auth_san_dns worker.acme.example"));
    // The same name by the same authority is one agent's, and nobody else's.
    let again = add(&admin, &other, &named(&ca, "worker.acme.example")).await;
    assert_eq!(code(again), RefusalCode::Conflict);
    add(&admin, &other, &named(&ca, "other.acme.example"))
        .await
        .unwrap();
    add(&admin, &other, &named(&authority(), "worker.acme.example"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_certificate_is_registered_by_the_owner_and_says_when_it_ends() {
    let house = House::new(Separation::Dual).await;
    let bot = name("returns-bot");
    let pem = own((2020, 2030));
    let made = house
        .control
        .add_key(&house.as_("owner"), &bot, &exact(&pem))
        .await;
    let made = made.unwrap();
    assert!(made.certificate.unwrap().starts_with("x5t#S256 "));
    let kept = house
        .control
        .books
        .get::<AgentKey>(&house.org, &made.thumbprint)
        .await;
    let kept = kept.unwrap().unwrap().noun;
    let Some(ClientCertificate::Exact { ends, .. }) = kept.certificate else {
        panic!("{kept:?}");
    };
    assert!(ends.to_string().starts_with("2030-01-01"), "{ends}");
    let shown = house
        .control
        .credential(&house.admin(), &made.thumbprint)
        .await;
    assert_eq!(shown.unwrap().expires, Some(ends));
    // The next one is added beside it: it is no key that another key replaces.
    let next = crate::NewCredential {
        jwk: Some(super::house::jwk(3)),
        ..Default::default()
    };
    let rotated = house
        .control
        .rotate_credential(&house.admin(), &made.thumbprint, &next)
        .await;
    assert_eq!(code(rotated), RefusalCode::Conflict);
}

#[tokio::test]
async fn what_is_no_certificate_of_a_client_is_refused() {
    let house = House::new(Separation::Dual).await;
    let bot = name("returns-bot");
    let ca = authority();
    let two_names = NewKey {
        tls_client_auth_san_uri: Some("urn:worker".to_owned()),
        ..named(&ca, "worker.acme.example")
    };
    let no_name = NewKey {
        tls_client_auth_san_dns: None,
        ..named(&ca, "x")
    };
    let attester = NewKey {
        attests: true,
        ..named(&ca, "worker.acme.example")
    };
    let both = NewKey {
        certificate: Some(own((2020, 2030))),
        ..named(&ca, "worker.acme.example")
    };
    for wrong in [
        exact("no certificate"),
        exact(&own((2020, 2021))),
        exact(&own((2090, 2100))),
        // A certificate that may sign no others vouches for nobody.
        named(&own((2020, 2030)), "worker.acme.example"),
        named(&ca, "*.acme.example"),
        named(&ca, ""),
        two_names,
        no_name,
        attester,
        both,
    ] {
        let refused = house.control.add_key(&house.admin(), &bot, &wrong).await;
        assert_eq!(code(refused), RefusalCode::InvalidRequest, "{wrong:?}");
    }
}
