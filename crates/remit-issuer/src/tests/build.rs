//! What the world is made of.

use super::*;

/// Keeps nothing secret: only the store of this test sees it. A run's first entry seals its key in the middle of the
/// commit: there something else can be made to happen.
#[derive(Default)]
pub(super) struct OpenVault {
    pub(super) meanwhile: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Vault for OpenVault {
    fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, VaultError> {
        let meanwhile = if context.contains("run_") {
            self.meanwhile.lock().unwrap().take()
        } else {
            None
        };
        if let Some(happen) = meanwhile {
            // On a thread of its own: this one is busy with the commit.
            std::thread::spawn(happen).join().unwrap();
        }
        Ok([context.as_bytes(), b"|", plain].concat())
    }

    fn unseal(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, VaultError> {
        let prefix = [context.as_bytes(), b"|"].concat();
        sealed
            .strip_prefix(prefix.as_slice())
            .map(<[u8]>::to_vec)
            .ok_or(VaultError::Sealed)
    }
}

pub(super) fn key() -> SigningKey {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = aws_lc_rs::rand::SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    SigningKey::from_pkcs8(made.as_ref()).unwrap()
}

pub(super) async fn organization(books: &Books, name: &str) -> OrgId {
    let id = books.id(OrgId::from_uuid);
    let noun = Organization::new(id.clone(), name.parse().unwrap(), Default::default());
    books
        .create_organization(&noun, Principal::Operator)
        .await
        .unwrap();
    id
}

pub(super) async fn put<N: Noun>(books: &Books, org: &OrgId, noun: &N) {
    books.commit(org, Change::new().create(noun)).await.unwrap();
}

pub(super) async fn person(books: &Books, org: &OrgId, email: &str, roles: &[Role]) -> PersonId {
    let id = books.id(PersonId::from_uuid);
    let noun = Person {
        id: id.clone(),
        email: email.parse().unwrap(),
        display_name: email.to_owned(),
        teams: BTreeSet::new(),
        roles: roles.iter().copied().collect(),
        entitlements: BTreeSet::new(),
        manager: None,
        created_by: None,
        vouched_by: Default::default(),
        groups_roles: None,
        directory: None,
        break_glass: false,
        state: PersonState::Active,
    };
    put(books, org, &noun).await;
    id
}

pub(super) async fn agent(
    books: &Books,
    org: &OrgId,
    name: &str,
    (owner, sponsor): (&PersonId, &PersonId),
) -> Actor {
    let id = books.id(AgentId::from_uuid);
    let noun: Agent = serde_json::from_value(json!({
        "id": id, "name": name, "owner": owner, "sponsor": sponsor, "deputy": null, "responsible_team": null,
        "platform_team": null, "purpose": "", "business_process": "", "model": "", "provider": "", "runtime": "",
        "environment": "production", "data_classes": [], "systems": [], "expected_actions": [], "tier": 3,
        "review_cadence_days": 90, "next_review": null, "enforcement": "gateway", "registered_by": owner,
        "state": "active", "state_reason": null
    }))
    .unwrap();
    put(books, org, &noun).await;
    let key = key();
    let thumbprint = key.kid().as_str().to_owned();
    let stored = AgentKey {
        thumbprint: thumbprint.clone(),
        agent: id.clone(),
        jwk: serde_json::to_value(key.public()).unwrap(),
        certificate: None,
        attests: false,
        created: books.now(),
        retires: None,
        removed: None,
    };
    put(books, org, &stored).await;
    Actor {
        id,
        key,
        thumbprint,
        workflows: BTreeMap::new(),
    }
}

pub(super) async fn workflow(
    books: &Books,
    org: &OrgId,
    actor: &mut Actor,
    name: &'static str,
    more: Value,
) -> WorkflowId {
    let id = books.id(WorkflowId::from_uuid);
    let mut body = json!({
        "id": id, "agent": actor.id, "name": name, "purpose": "", "data_classes": [], "run_secs_max": 7_200,
        "run_idle_secs_max": 3_600, "spawnable": [], "enabled": true,
        "grants": [{ "id": books.id(remit_domain::GrantId::from_uuid), "tool": "orders/read", "expires": null,
            "granted_by": books.id(PersonId::from_uuid), "granted_at": books.now() }]
    });
    for (member, value) in more.as_object().unwrap() {
        body[member] = value.clone();
    }
    put(
        books,
        org,
        &serde_json::from_value::<Workflow>(body).unwrap(),
    )
    .await;
    actor.workflows.insert(name, id.clone());
    id
}

pub(super) async fn contain(books: &Books, org: &OrgId, target: Value) {
    let held = serde_json::from_value::<remit_domain::containment::Containment>(json!({
        "id": books.id(remit_domain::ContainmentId::from_uuid), "target": target, "level": "quarantine",
        "reason": "odd", "by": { "type": "remit" }, "at": books.now(), "lifted": null, "certificates": []
    }))
    .unwrap();
    books
        .commit(org, Change::new().create(&held).restrict())
        .await
        .unwrap();
}
