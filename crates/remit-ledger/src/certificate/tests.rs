//! A certificate that says anything else than the ledger has proves nothing.

use remit_domain::containment::Item;
use remit_domain::event::Event;
use remit_domain::{AgentId, OrgId};
use remit_tlog::{Checkpoint, SigningKey, Tree, leaf_hash, sign_checkpoint};

use super::*;
use crate::{DataKey, seal};

const ORIGIN: &str = "log.example/acme";

fn id<T: std::str::FromStr>(prefix: &str, n: u8) -> T
where
    T::Err: std::fmt::Debug,
{
    format!("{prefix}_{n:026}").parse().unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32], ORIGIN).unwrap()
}

fn contained(n: u8) -> Contained {
    Contained {
        id: id("con", n),
        target: Target::Agent(id::<AgentId>("agt", 1)),
        level: Level::Kill,
        by: Principal::Operator,
        at: Timestamp::from_secs(1_000),
    }
}

fn certificate() -> Certificate {
    let at = Timestamp::from_secs(1_001);
    let item = |kind: &str, status| Item {
        kind: kind.to_owned(),
        id: format!("{kind}-1"),
        label: "x".to_owned(),
        status,
    };
    let stopped = ItemStatus::Stopped {
        verified: "seen".to_owned(),
    };
    let open = ItemStatus::NotProved {
        why: "sent".to_owned(),
    };
    Certificate::new(7, at, vec![item("run", stopped), item("call", open)])
}

fn entry(kind: EventKind, subject: &Contained, digest: &str) -> Vec<u8> {
    let event = Event::new(kind, Timestamp::from_secs(1_002), Principal::Remit)
        .about(&subject.id)
        .fact(DIGEST, digest);
    let org: OrgId = id("org", 0);
    let data = DataKey::new(&[1; 32]).unwrap();
    seal(&org, &event, &data, [2; 32], [3; 12]).unwrap().leaf
}

/// The proof of the second entry of a ledger.
fn proof(record: &[u8], signed_by: &SigningKey) -> String {
    let mut tree = Tree::new();
    for entry in [b"first".as_slice(), record, b"third"] {
        tree.append(leaf_hash(entry)).unwrap();
    }
    let head = Checkpoint::new(ORIGIN, 3, tree.root()).unwrap();
    let note = sign_checkpoint(signed_by, &head).unwrap();
    let hashes = tree.prove_inclusion(1, 3).unwrap();
    let proof = TlogProof::new(1, hashes, note, record.to_vec());
    proof.unwrap().encode()
}

fn file(containment: &Contained, certificate: &Certificate, proof: String) -> Value {
    let file = CertificateFile {
        format: FORMAT,
        containment: containment.clone(),
        certificate: certificate.clone(),
        proof,
    };
    serde_json::to_value(file).unwrap()
}

fn good() -> Value {
    let (said, certified) = (contained(1), certificate());
    let record = entry(
        EventKind::ContainmentCertified,
        &said,
        &digest(&said, &certified).unwrap(),
    );
    file(&said, &certified, proof(&record, &key(7)))
}

fn verified(file: &Value) -> Result<Proved, CertificateError> {
    verify(&file.to_string(), key(7).verifier())
}

#[test]
fn what_the_ledger_has_is_proved() {
    let proved = verified(&good()).unwrap();
    assert_eq!((proved.entry, proved.size), (1, 3));
    assert_eq!(proved.certificate, certificate());
    assert_eq!(proved.containment, contained(1));
}

#[test]
fn anything_that_was_changed_is_found() {
    let changes: [fn(&mut Value); 9] = [
        |f| f["certificate"]["items"][1]["status"] = json!("stopped"),
        |f| f["certificate"]["items"] = json!([]),
        |f| f["certificate"]["residual"] = json!(0),
        |f| f["certificate"]["is_final"] = json!(true),
        |f| f["certificate"]["epoch"] = json!(8),
        |f| f["certificate"]["more"] = json!(1),
        |f| f["containment"]["level"] = json!("suspend"),
        |f| f["containment"]["target"]["id"] = json!(id::<AgentId>("agt", 2)),
        |f| f["containment"]["by"] = json!({ "type": "remit" }),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut file = good();
        change(&mut file);
        assert!(verified(&file).is_err(), "change {n}");
    }
}

#[test]
fn a_ledger_that_signs_numbers_which_do_not_agree_is_not_believed() {
    for lie in [
        |c: &mut Certificate| c.residual = 0,
        |c: &mut Certificate| c.is_final = true,
    ] {
        let (said, mut certified) = (contained(1), certificate());
        lie(&mut certified);
        let digest = digest(&said, &certified).unwrap();
        let record = entry(EventKind::ContainmentCertified, &said, &digest);
        let file = file(&said, &certified, proof(&record, &key(7)));
        assert!(matches!(verified(&file), Err(CertificateError::Changed(_))));
    }
}

#[test]
fn a_proof_of_something_else_proves_nothing() {
    let (said, certified) = (contained(1), certificate());
    let right = digest(&said, &certified).unwrap();
    let certified_as = |kind, about: &Contained| {
        let record = entry(kind, about, &right);
        verified(&file(&said, &certified, proof(&record, &key(7))))
    };
    assert!(certified_as(EventKind::ContainmentCertified, &said).is_ok());
    for (kind, about) in [
        (EventKind::Contained, said.clone()),
        (EventKind::ContainmentCertified, contained(2)),
    ] {
        let refused = certified_as(kind, &about);
        assert!(matches!(refused, Err(CertificateError::OtherEntry(_))));
    }
    let record = entry(EventKind::ContainmentCertified, &said, &right);
    let forged = file(&said, &certified, proof(&record, &key(8)));
    assert!(matches!(
        verified(&forged),
        Err(CertificateError::Unproved(_))
    ));
    let mut other = good();
    other["format"] = json!("another");
    assert!(matches!(
        verified(&other),
        Err(CertificateError::Malformed(_))
    ));
    assert!(matches!(
        verify("[]", key(7).verifier()),
        Err(CertificateError::Malformed(_))
    ));
}
