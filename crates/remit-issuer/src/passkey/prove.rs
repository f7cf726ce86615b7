//! Using a passkey: to sign in, and to prove for one digest that it is still them (step-up).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_books::{BooksError, Change, Versioned};
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::FindingKind;
use remit_domain::idp::PasskeySignIn;
use remit_domain::passkey::{Passkey, StepUpProof};
use remit_domain::session::Proved;
use remit_domain::{
    OrgId, Person, PersonId, Principal, Refusal, RefusalCode, Session, SessionId, SignedInBy,
};
use remit_ports::store::{Once, StoreError};
use serde_json::{Value, json};
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, PasskeyAuthentication, PublicKeyCredential,
    WebauthnError,
};

use super::Ceremony;
use super::party::handle;
use crate::Issuer;
use crate::refusal::{from_books, no};
use crate::session::{NewSession, OpenSession, PersonSession};
use crate::sign_in::cannot_sign_in;
use crate::sign_in::ceremony::{Purpose, stale};

type Key = webauthn_rs::prelude::Passkey;

fn read_answer(credential: Value) -> Result<PublicKeyCredential, Refusal> {
    serde_json::from_value(credential)
        .map_err(|error| no(RefusalCode::InvalidRequest, format!("the answer: {error}")))
}

impl Issuer {
    /// Begins signing in with a passkey that the browser finds by itself.
    ///
    /// # Errors
    /// `invalid-request` where passkeys cannot be used.
    pub fn begin_passkey_sign_in(&self, org: &OrgId) -> Result<Ceremony, Refusal> {
        self.tenant(org)?;
        let (mut options, state) = self
            .party()?
            .start_discoverable_authentication()
            .map_err(|_| cannot_sign_in())?;
        // The page decides how it asks.
        options.mediation = None;
        let state = self.new_ceremony(serde_json::to_value(state).map_err(|_| stale())?);
        Ok(Ceremony {
            ceremony: self.seal_ceremony(org, Purpose::SignIn, &state)?,
            options: serde_json::to_value(options).map_err(|_| stale())?,
        })
    }

    /// Ends signing in with a passkey. Success and refusal are recorded; a passkey of which there are two, or that was
    /// removed, becomes a finding.
    ///
    /// - `credential`: what `navigator.credentials.get` gave, as JSON (WebAuthn Level 3 §5.1, `toJSON`).
    /// - `browser`: what the browser calls itself; shortened.
    ///
    /// # Errors
    /// `unauthenticated`; `forbidden` when people here sign in with the company's provider; `proof-invalid` for a ceremony
    /// that is over; `invalid-request`, `ledger-unavailable`.
    pub async fn sign_in_with_passkey(
        &self,
        org: &OrgId,
        ceremony: &str,
        credential: Value,
        browser: &str,
    ) -> Result<NewSession, Refusal> {
        let signed_in = self.passkey_sign_in(org, ceremony, credential, browser);
        match signed_in.await {
            Err(refusal) if refusal.code != RefusalCode::LedgerUnavailable => Err(self
                .refuse(org, "sign_in_passkey", None, None, refusal)
                .await),
            other => other,
        }
    }

    async fn passkey_sign_in(
        &self,
        org: &OrgId,
        ceremony: &str,
        credential: Value,
        browser: &str,
    ) -> Result<NewSession, Refusal> {
        let state = self.open_ceremony(org, Purpose::SignIn, ceremony)?;
        let answer = read_answer(credential)?;
        let party = self.party()?;
        let (user, id) = party
            .identify_discoverable_authentication(&answer)
            .map_err(|_| cannot_sign_in())?;
        let (found, key) = self.passkey_by_id(org, id).await?;
        let person = self.active_person(org, &found.noun.person)?;
        if handle(org, &person) != user {
            return Err(cannot_sign_in());
        }
        let begun: DiscoverableAuthentication =
            serde_json::from_value(state.inner.clone()).map_err(|_| stale())?;
        let result = party.finish_discoverable_authentication_v2(&answer, begun, &key);
        let used = self.judged(org, found, key, result, state.once()).await?;
        self.may_sign_in(org, &person).await?;
        let open = OpenSession {
            person: person.id.clone(),
            how: SignedInBy::Passkey,
            browser: browser.to_owned(),
            roles_max: None,
        };
        self.open_session_with(org, open, used.once(state.once()))
            .await
    }

    /// Whether a person may sign in with a passkey here.
    async fn may_sign_in(&self, org: &OrgId, person: &Person) -> Result<(), Refusal> {
        let Some(provider) = self.provider(org).await? else {
            return Ok(());
        };
        if person.break_glass {
            return Ok(());
        }
        let settings = &provider.noun.settings;
        if provider.noun.is_in_use() && settings.passkeys == PasskeySignIn::BreakGlass {
            return Err(no(
                RefusalCode::Forbidden,
                "people here sign in with the company's OpenID provider; use that",
            ));
        }
        Ok(())
    }

    async fn passkey_by_id(
        &self,
        org: &OrgId,
        id: &[u8],
    ) -> Result<(Versioned<Passkey>, Key), Refusal> {
        let found = self
            .books()
            .find::<Passkey>(org, &URL_SAFE_NO_PAD.encode(id))
            .await
            .map_err(from_books)?
            .ok_or_else(cannot_sign_in)?;
        let key = serde_json::from_value(found.noun.credential.clone());
        let key = key.map_err(|_| cannot_sign_in())?;
        Ok((found, key))
    }

    fn active_person(&self, org: &OrgId, id: &PersonId) -> Result<std::sync::Arc<Person>, Refusal> {
        let book = self.tenant(org)?;
        let person = book.registry().people.get(id).cloned();
        person.filter(|p| p.is_active()).ok_or_else(cannot_sign_in)
    }

    /// What follows from the library's verdict: the passkey as it is now, or a refusal with a finding. A finding takes a
    /// signature of that very key, and an answer that was not used before: nobody else can make one.
    async fn judged(
        &self,
        org: &OrgId,
        found: Versioned<Passkey>,
        mut key: Key,
        result: Result<AuthenticationResult, WebauthnError>,
        once: Once,
    ) -> Result<Change, Refusal> {
        let now = self.books().now();
        match result {
            Ok(result) if found.noun.is_good() => {
                key.update_credential(&result);
                let used = Passkey {
                    credential: serde_json::to_value(&key).map_err(|_| cannot_sign_in())?,
                    used: Some(now),
                    ..found.noun
                };
                Ok(Change::new().update(&used, found.revision))
            }
            Ok(_) => {
                let text = format!(
                    "removed passkey {} was used again: look for whoever has that authenticator",
                    found.noun.id
                );
                let kind = FindingKind::RemovedPasskeyUsed;
                let change = self
                    .finding(org, kind, found.noun.id.as_str(), text)
                    .await?;
                let change = change.once(once);
                self.books().commit(org, change).await.map_err(from_books)?;
                Err(cannot_sign_in())
            }
            Err(WebauthnError::CredentialPossibleCompromise) => {
                self.clone_found(org, found, once).await?;
                Err(cannot_sign_in())
            }
            Err(error) => {
                tracing::debug!(%error, "a passkey was refused");
                Err(cannot_sign_in())
            }
        }
    }

    /// The counter of a passkey went back: there are two of it, and neither is believed from now on.
    async fn clone_found(
        &self,
        org: &OrgId,
        found: Versioned<Passkey>,
        once: Once,
    ) -> Result<(), Refusal> {
        let id = found.noun.id.clone();
        let text = format!(
            "the counter of passkey {id} went back, so it was probably copied; it is refused from now on"
        );
        let finding = self
            .finding(org, FindingKind::PasskeyCloned, id.as_str(), text)
            .await?;
        let mut change = finding.once(once);
        if found.noun.cloned.is_none() {
            let now = self.books().now();
            let event = Event::new(EventKind::PasskeyCloned, now, Principal::Remit)
                .about(&id)
                .fact("person", &found.noun.person);
            let cloned = Passkey {
                cloned: Some(now),
                ..found.noun
            };
            change = change
                .update(&cloned, found.revision)
                .event(event)
                .restrict();
        }
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(())
    }

    /// Begins a proof, by the person of a session, for one digest: what they are about to do.
    ///
    /// - `digest`: SHA-256, 64 hex digits; part of the challenge that the passkey signs.
    ///
    /// # Errors
    /// `not-found` when the person has no passkey, `invalid-request`, `ledger-unavailable`.
    pub async fn step_up_begin(
        &self,
        org: &OrgId,
        session: &PersonSession,
        digest: &str,
    ) -> Result<Ceremony, Refusal> {
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(no(
                RefusalCode::InvalidRequest,
                "the digest is SHA-256, 64 hex digits",
            ));
        }
        let held = self.passkeys(org, &session.person.id).await?;
        let keys: Vec<Key> = held
            .into_iter()
            .filter_map(|passkey| serde_json::from_value(passkey.credential).ok())
            .collect();
        if keys.is_empty() {
            return Err(no(
                RefusalCode::NotFound,
                "you have no passkey yet; add one in your settings",
            ));
        }
        let (mut options, state) = self
            .party()?
            .start_passkey_authentication(&keys)
            .map_err(|_| not_proved())?;
        let nonce = hex::encode(self.books().random::<32>());
        let challenge = challenge(org, &session.id, digest, &nonce);
        options.public_key.challenge = challenge.to_vec();
        let mut state = serde_json::to_value(state).map_err(|_| stale())?;
        let slot = state.pointer_mut("/ast/challenge").ok_or_else(stale)?;
        *slot = json!(URL_SAFE_NO_PAD.encode(challenge));
        let mut state = self.new_ceremony(state);
        state.session = Some(session.id.clone());
        state.person = Some(session.person.id.clone());
        state.digest = Some(digest.to_ascii_lowercase());
        state.nonce = Some(nonce);
        Ok(Ceremony {
            ceremony: self.seal_ceremony(org, Purpose::StepUp, &state)?,
            options: serde_json::to_value(options).map_err(|_| stale())?,
        })
    }

    /// Ends a proof. It is in the ledger with what the passkey signed, so that it can be checked again.
    ///
    /// - `digest`: the one that the proof is needed for; another one's proof is refused.
    ///
    /// # Errors
    /// `proof-invalid`, `invalid-request`, `ledger-unavailable`. A refusal is recorded.
    pub async fn step_up_finish(
        &self,
        org: &OrgId,
        session: &PersonSession,
        digest: &str,
        ceremony: &str,
        credential: Value,
    ) -> Result<StepUpProof, Refusal> {
        let proved = self.step_up(org, session, digest, ceremony, credential);
        match proved.await {
            Err(refusal) if refusal.code != RefusalCode::LedgerUnavailable => {
                Err(self.refuse(org, "step_up", None, None, refusal).await)
            }
            other => other,
        }
    }

    async fn step_up(
        &self,
        org: &OrgId,
        session: &PersonSession,
        digest: &str,
        ceremony: &str,
        credential: Value,
    ) -> Result<StepUpProof, Refusal> {
        let state = self.open_ceremony(org, Purpose::StepUp, ceremony)?;
        let digest = digest.to_ascii_lowercase();
        let (Some(for_digest), Some(nonce)) = (&state.digest, &state.nonce) else {
            return Err(stale());
        };
        if state.session.as_ref() != Some(&session.id) || *for_digest != digest {
            return Err(stale());
        }
        let answer = read_answer(credential.clone())?;
        let (found, key) = self
            .passkey_by_id(org, answer.raw_id.as_slice())
            .await
            .map_err(|_| not_proved())?;
        if found.noun.person != session.person.id {
            return Err(not_proved());
        }
        let passkey = found.noun.id.clone();
        let begun: PasskeyAuthentication =
            serde_json::from_value(state.inner.clone()).map_err(|_| stale())?;
        let result = self.party()?.finish_passkey_authentication(&answer, &begun);
        let used = self.judged(org, found, key, result, state.once()).await;
        let used = used.map_err(|refusal| match refusal.code {
            RefusalCode::Unauthenticated => not_proved(),
            _ => refusal,
        })?;
        let proof = StepUpProof {
            person: session.person.id.clone(),
            session: session.id.clone(),
            passkey,
            digest,
            at: self.books().now(),
        };
        let by = Principal::Person(proof.person.clone());
        let event = Event::new(EventKind::SessionSteppedUp, proof.at, by)
            .about(&session.id)
            .fact("passkey", &proof.passkey)
            .fact("digest", &proof.digest)
            .fact("nonce", nonce)
            .content("assertion", credential);
        let change = used.event(event).once(state.once());
        self.record_step_up(org, &proof, change).await?;
        Ok(proof)
    }

    /// The session's record may move at the same moment because it is in use: then once more.
    async fn record_step_up(
        &self,
        org: &OrgId,
        proof: &StepUpProof,
        change: Change,
    ) -> Result<(), Refusal> {
        for _ in 0..3 {
            let found = self
                .books()
                .get::<Session>(org, proof.session.as_str())
                .await
                .map_err(from_books)?
                .filter(|found| found.noun.ended.is_none())
                .ok_or_else(not_proved)?;
            let session = Session {
                stepped_up: Some(proof.at),
                proved: Some(Proved {
                    digest: proof.digest.clone(),
                    passkey: proof.passkey.clone(),
                    at: proof.at,
                }),
                ..found.noun
            };
            let both = change.clone().update(&session, found.revision);
            match self.books().commit(org, both).await {
                Ok(_) => {
                    self.forget_session(org, &session.digest);
                    return Ok(());
                }
                Err(BooksError::Store(StoreError::Conflict { .. })) => {}
                Err(BooksError::Store(StoreError::Replayed { .. })) => return Err(stale()),
                Err(error) => return Err(from_books(error)),
            }
        }
        Err(not_proved())
    }
}

fn not_proved() -> Refusal {
    no(
        RefusalCode::ProofInvalid,
        "the passkey did not prove that it is you; try again",
    )
}

/// The challenge of a proof: whoever has the signed one sees that it was for this digest, in this session.
///
/// ```text
/// SHA-256( "remit-step-up:" org ":" session ":" digest ":" nonce ), texts as they are, digest and nonce in hex
/// ```
fn challenge(org: &OrgId, session: &SessionId, digest: &str, nonce: &str) -> [u8; 32] {
    let digest = digest.to_ascii_lowercase();
    let text = format!("remit-step-up:{org}:{session}:{digest}:{nonce}");
    let mut out = [0; 32];
    // SHA-256 has 32 bytes.
    out.copy_from_slice(
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref(),
    );
    out
}
