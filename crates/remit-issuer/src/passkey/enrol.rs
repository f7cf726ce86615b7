//! Making a passkey: by a person who has just proved who they are, in a session of theirs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remit_books::{BooksError, Change};
use remit_domain::event::EventKind;
use remit_domain::passkey::{PASSKEYS_MAX, Passkey};
use remit_domain::{OrgId, PasskeyId, Refusal, RefusalCode, Session, SignedInBy};
use remit_ports::store::StoreError;
use serde_json::{Value, json};
use webauthn_rs::prelude::{PasskeyRegistration, RegisterPublicKeyCredential};

use super::Ceremony;
use super::party::handle;
use crate::limits::{ENROL_FRESH_SECS, LABEL_BYTES_MAX, STEP_UP_FRESH_SECS};
use crate::refusal::{from_books, no};
use crate::sign_in::ceremony::{Purpose, stale};
use crate::{Issuer, PersonSession, check};

impl Issuer {
    /// Begins to make a passkey for the person of a session, who signed in a moment ago with a link or the company's
    /// provider, or has just proved with another passkey. Whoever has a passkey needs it to make another one, or a new link.
    ///
    /// # Errors
    /// `forbidden` when the person has to prove first who they are, `limited` when they have as many as they may,
    /// `invalid-request` where passkeys cannot be used, `ledger-unavailable`.
    pub async fn begin_passkey(
        &self,
        org: &OrgId,
        session: &PersonSession,
    ) -> Result<Ceremony, Refusal> {
        let party = self.party()?;
        let held = self.passkeys(org, &session.person.id).await?;
        self.may_enrol(org, session, !held.is_empty()).await?;
        if held.len() >= PASSKEYS_MAX {
            return Err(no(
                RefusalCode::Limited,
                format!("you have {PASSKEYS_MAX} passkeys; remove one first"),
            ));
        }
        let exclude = held
            .iter()
            .filter_map(|passkey| URL_SAFE_NO_PAD.decode(&passkey.credential_id).ok())
            .collect();
        let person = &session.person;
        let (options, state) = party
            .start_passkey_registration(
                handle(org, person),
                person.email.as_str(),
                &person.display_name,
                Some(exclude),
            )
            .map_err(|error| not_made(&error))?;
        let mut options = serde_json::to_value(options).map_err(|_| stale())?;
        // People sign in without saying first who they are: the authenticator has to find the key by itself.
        if let Some(selection) = options.pointer_mut("/publicKey/authenticatorSelection") {
            selection["residentKey"] = json!("required");
            selection["requireResidentKey"] = json!(true);
        }
        let mut state = self.new_ceremony(serde_json::to_value(state).map_err(|_| stale())?);
        state.session = Some(session.id.clone());
        state.person = Some(person.id.clone());
        Ok(Ceremony {
            ceremony: self.seal_ceremony(org, Purpose::Enrol, &state)?,
            options,
        })
    }

    /// Ends making a passkey. Recorded.
    ///
    /// - `credential`: what `navigator.credentials.create` gave, as JSON (WebAuthn Level 3 §5.1, `toJSON`).
    /// - `label`: what the person calls it, at most 100 bytes.
    ///
    /// # Errors
    /// `proof-invalid` when the ceremony or the answer is not good; `conflict` when that passkey is known already;
    /// `ledger-unavailable`.
    pub async fn finish_passkey(
        &self,
        org: &OrgId,
        session: &PersonSession,
        ceremony: &str,
        credential: Value,
        label: &str,
    ) -> Result<Passkey, Refusal> {
        check::text("label", label, LABEL_BYTES_MAX)?;
        let state = self.open_ceremony(org, Purpose::Enrol, ceremony)?;
        if state.session.as_ref() != Some(&session.id)
            || state.person.as_ref() != Some(&session.person.id)
        {
            return Err(stale());
        }
        let begun: PasskeyRegistration =
            serde_json::from_value(state.inner.clone()).map_err(|_| stale())?;
        let answer: RegisterPublicKeyCredential = serde_json::from_value(credential)
            .map_err(|error| no(RefusalCode::InvalidRequest, format!("the answer: {error}")))?;
        let made = self
            .party()?
            .finish_passkey_registration(&answer, &begun)
            .map_err(|error| not_made(&error))?;
        let passkey = Passkey {
            id: self.books().id(PasskeyId::from_uuid),
            credential_id: URL_SAFE_NO_PAD.encode(made.cred_id()),
            person: session.person.id.clone(),
            label: label.to_owned(),
            credential: serde_json::to_value(&made).map_err(|_| stale())?,
            created: self.books().now(),
            used: None,
            removed: None,
            cloned: None,
        };
        let event = self
            .passkey_event(EventKind::PasskeyAdded, &session.person, &passkey)
            .fact("session", &session.id)
            .fact("how", session.how);
        let change = Change::new()
            .create(&passkey)
            .event(event)
            .once(state.once());
        match self.books().commit(org, change).await {
            Ok(_) => Ok(passkey),
            Err(BooksError::Store(StoreError::NameTaken { .. })) => Err(no(
                RefusalCode::Conflict,
                "this passkey is known here already; a removed one cannot come back either",
            )),
            Err(BooksError::Store(StoreError::Replayed { .. })) => Err(stale()),
            Err(error) => Err(from_books(error)),
        }
    }

    /// Whether a session is fresh enough to make a passkey: whoever finds an open browser must not.
    async fn may_enrol(
        &self,
        org: &OrgId,
        session: &PersonSession,
        has_passkey: bool,
    ) -> Result<(), Refusal> {
        let now = self.books().now();
        let found = self
            .books()
            .get::<Session>(org, session.id.as_str())
            .await
            .map_err(from_books)?;
        let proved = found.and_then(|found| found.noun.stepped_up);
        let proved = proved.is_some_and(|at| now.secs_since(at) < STEP_UP_FRESH_SECS);
        let fresh = now.secs_since(session.created) < ENROL_FRESH_SECS;
        let signed_in = match session.how {
            // An administrator's link is also how a person goes on who has lost every passkey.
            SignedInBy::Link => fresh,
            SignedInBy::Oidc => fresh && !has_passkey,
            SignedInBy::Passkey => false,
        };
        if proved || signed_in {
            return Ok(());
        }
        Err(no(
            RefusalCode::Forbidden,
            "prove first that it is you: with a passkey that you have, or with a new link from an administrator",
        ))
    }
}

fn not_made(error: &webauthn_rs::prelude::WebauthnError) -> Refusal {
    tracing::debug!(%error, "a passkey was not made");
    no(
        RefusalCode::ProofInvalid,
        "the passkey could not be made; try again on this page, with another authenticator if need be",
    )
}
