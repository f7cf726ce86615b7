//! Attacks with access tokens: each is refused with its own reason, and recorded with that and with whose it is where our
//! signature says so.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_domain::CredentialId;
use remit_token::AccessTokenClaims;

/// What an attacker writes into the claims.
type Forged<'a> = &'a dyn Fn(&mut AccessTokenClaims);

impl World {
    /// Uses a token at the MCP door of an organization; the reason that was recorded, and the agent.
    async fn reason_at(&self, org: &OrgId, token: &str) -> (String, Value) {
        let used = self.issuer.verify_access(org, token, None, &Resource::Mcp);
        let refused = used.await.unwrap_err();
        let before = self.refused_at(org).await.len();
        self.issuer.refuse_access(org, "mcp", refused).await;
        let entries = self.refused_at(org).await;
        assert_eq!(entries.len(), before + 1, "it is recorded");
        entries.last().unwrap().clone()
    }

    async fn reason(&self, token: &str) -> String {
        self.reason_at(&self.acme, token).await.0
    }

    async fn refused_at(&self, org: &OrgId) -> Vec<(String, Value)> {
        let filter = EntryFilter {
            kinds: vec![EventKind::AuthenticationRefused],
            limit: 10_000,
            ..EntryFilter::default()
        };
        let all = self.books.opened_entries(org, &filter).await.unwrap();
        let told = |entry: &remit_books::OpenedEntry| {
            let code = json!(entry.leaf.facts)["code"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            (code, json!(entry.leaf.agent))
        };
        all.iter().map(told).collect()
    }

    /// A token with our signature, whose claims were changed first.
    async fn signed(&self, change: impl FnOnce(&mut AccessTokenClaims)) -> String {
        let good = self.acting(&self.triage, "answer", 2).await;
        let mut claims = self.verify(&good).await.unwrap().claims.clone();
        change(&mut claims);
        let keys = self.issuer.org_keys(&self.acme).await.unwrap();
        remit_token::access_token::sign(&claims, keys.signing().unwrap()).unwrap()
    }

    /// A good token under another header, with the signature that it had.
    async fn under(&self, header: Value) -> String {
        let good = self.acting(&self.triage, "answer", 2).await;
        let mut parts = good.split('.');
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        parts.next();
        format!(
            "{header}.{}.{}",
            parts.next().unwrap(),
            parts.next().unwrap()
        )
    }

    async fn kid(&self) -> String {
        let keys = self.issuer.org_keys(&self.acme).await.unwrap();
        keys.signing().unwrap().public().thumbprint().to_string()
    }
}

#[tokio::test]
async fn no_header_chooses_how_a_token_is_checked() {
    let world = World::new().await;
    let kid = world.kid().await;
    let jwk = json!(key().public());
    for (header, reason) in [
        (
            json!({ "alg": "none", "typ": "at+jwt", "kid": kid }),
            "token-algorithm-refused",
        ),
        (
            json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid }),
            "token-algorithm-refused",
        ),
        (
            json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid }),
            "token-algorithm-refused",
        ),
        (
            json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid, "jwk": jwk }),
            "token-header-refused",
        ),
        (
            json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid, "jku": "https://evil.example/keys" }),
            "token-header-refused",
        ),
        (
            json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid, "x5u": "https://evil.example/x5" }),
            "token-header-refused",
        ),
        (
            json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid, "crit": ["exp"] }),
            "token-header-refused",
        ),
        (
            json!({ "alg": "ES256", "typ": "JWT", "kid": kid }),
            "token-type-refused",
        ),
        (
            json!({ "alg": "ES256", "typ": "at+jwt" }),
            "token-key-id-missing",
        ),
        (
            json!({ "alg": "ES256", "typ": "at+jwt", "kid": "another" }),
            "token-key-unknown",
        ),
        // The same header, written otherwise: the signature is over the text.
        (
            json!({ "alg": "ES256", "kid": kid, "typ": "at+jwt" }),
            "token-signature-invalid",
        ),
    ] {
        let token = world.under(header.clone()).await;
        assert_eq!(world.reason(&token).await, reason, "{header}");
    }
    let text = "x".repeat(20_000);
    for (text, reason) in [
        ("", "token-too-large"),
        (text.as_str(), "token-too-large"),
        ("a.b.c", "token-malformed"),
        ("rmt_pat_x", "token-opaque-secret"),
    ] {
        assert_eq!(world.reason(text).await, reason);
    }
}

#[tokio::test]
async fn no_claim_makes_a_token_good_here_and_now() {
    let world = World::new().await;
    let now = world.books.now().as_secs();
    let signed = async |change: &dyn Fn(&mut AccessTokenClaims)| world.signed(change).await;
    let other = world.books.id(CredentialId::from_uuid).to_string();
    let link = world
        .delegate(&world.triage, "answer", DelegationUse::Interactive, 2)
        .await;
    let indexer = world.indexer.id.to_string();
    let searcher = world.searcher.id.to_string();
    let longer = |c: &mut AccessTokenClaims| {
        c.act = c
            .act
            .take()
            .map(|act| act.after(Some(remit_token::Actor::new(&searcher))))
    };
    let cases: [(Forged<'_>, &str); 11] = [
        (
            &|c| c.iss = "https://evil.example".to_owned(),
            "token-issuer-wrong",
        ),
        (
            &|c| c.aud = Audience::one("https://other.example/mcp"),
            "token-audience-wrong",
        ),
        (
            &|c| (c.iat, c.exp) = (now - 700, now - 600),
            "token-expired",
        ),
        (
            &|c| (c.iat, c.exp) = (now + 600, now + 700),
            "token-not-yet-valid",
        ),
        // It was never issued.
        (&|c| c.jti = other.clone(), "token-unrecorded"),
        // It is not what was issued: another agent, another organization, another person.
        (&|c| c.org = world.globex.to_string(), "token-claim-invalid"),
        (&|c| c.agent = indexer.clone(), "token-claim-invalid"),
        (&|c| c.act = None, "token-claim-invalid"),
        (&|c| c.sub = world.owner.to_string(), "token-record-differs"),
        // A chain that somebody wrote into it.
        (&longer, "token-record-differs"),
        (
            &|c| c.delegations = vec![link.id.to_string()],
            "token-record-differs",
        ),
    ];
    for (change, reason) in cases {
        let token = signed(change).await;
        assert_eq!(world.reason(&token).await, reason);
    }
}

#[tokio::test]
async fn what_was_taken_away_is_told_apart_and_names_its_agent() {
    let world = World::new().await;
    let agent = json!(world.triage.id);
    let (now, token) = (
        world.books.now(),
        world.acting(&world.triage, "answer", 1).await,
    );
    let elsewhere = world.reason_at(&world.globex, &token).await;
    assert_eq!(elsewhere, ("token-key-unknown".to_owned(), json!(null)));
    world
        .change::<AgentKey>(&world.triage.thumbprint, |key| key.removed = Some(now))
        .await;
    let removed = world.reason_at(&world.acme, &token).await;
    assert_eq!(removed, ("token-key-removed".to_owned(), agent.clone()));
    world
        .change::<AgentKey>(&world.triage.thumbprint, |key| key.removed = None)
        .await;
    let id = world.verify(&token).await.unwrap().token.clone();
    let revoked = |t: &mut remit_domain::credential::Token| t.revoked = Some(now);
    world
        .change::<remit_domain::credential::Token>(id.as_str(), revoked)
        .await;
    let refused = world.reason_at(&world.acme, &token).await;
    assert_eq!(refused, ("token-revoked".to_owned(), agent));
}

/// Whatever an agent's state but active, a token that it still has is good for nothing.
#[tokio::test]
async fn a_token_of_an_agent_that_is_not_active_is_good_for_nothing() {
    let world = World::new().await;
    let token = world.acting(&world.triage, "answer", 1).await;
    for state in [
        AgentState::Draft,
        AgentState::Suspended,
        AgentState::Quarantined,
        AgentState::Retired,
    ] {
        world.set_state(&world.triage, state).await;
        assert_eq!(world.reason(&token).await, "agent-not-active");
        let none = world.credentials(&world.triage, "workflow:answer").await;
        assert_refused(none, OAuthErrorCode::InvalidClient, "agent-not-active");
        let (_, facts) = world.refused().await;
        assert_eq!(facts["code"], "agent-not-active");
    }
    world.set_state(&world.triage, AgentState::Active).await;
    world.verify(&token).await.unwrap();
    world.leaves(&world.sponsor).await;
    assert_eq!(world.reason(&token).await, "no-accountable-person");
    let none = world.credentials(&world.triage, "workflow:answer").await;
    assert_refused(none, OAuthErrorCode::InvalidClient, "no-accountable-person");
}
