//! Enrolment: a person makes their own token, through a link that works once. Nobody else ever holds it.

use remit_books::{BooksError, Change, Versioned};
use remit_domain::credential::{Enrolment, PersonToken};
use remit_domain::event::{Event, EventKind};
use remit_domain::limits::PERSON_TOKEN_SECS_MAX;
use remit_domain::{OrgId, PersonId, Principal, Refusal, RefusalCode, Role, Timestamp};
use remit_ports::store::{Once, StoreError};
use remit_token::{OpaqueSecret, SecretKind};
use secrecy::{ExposeSecret, SecretString};

use crate::limits::{ENROLMENT_SECS, LABEL_BYTES_MAX, ONCE_MARGIN_SECS};
use crate::person_token::short;
use crate::refusal::{from_books, no};
use crate::{Issuer, PersonIdentity, check};

/// A link for one person, to be given to that person only.
#[derive(Debug)]
pub struct Enrolled {
    /// The code, `rmt_enr_…`.
    pub code: SecretString,
    /// The link; the code is in its fragment, which browsers send to nobody.
    pub link: SecretString,
    /// When it ends.
    pub expires: Timestamp,
}

/// A person's new token, shown once.
#[derive(Debug)]
pub struct Redeemed {
    /// The token, `rmt_pat_…`.
    pub token: SecretString,
    /// Whose it is.
    pub person: PersonId,
    /// When it ends.
    pub expires: Timestamp,
}

/// The same for everything that is not good.
fn not_good() -> Refusal {
    no(
        RefusalCode::Unauthenticated,
        "the code is not known here, was used already or has expired; ask for a new link",
    )
}

impl Issuer {
    /// Makes an enrolment link for a person. Who makes it is kept with it: they cannot approve what this person asks for.
    ///
    /// # Errors
    /// `forbidden` unless `by` is an administrator, `not-found` unless the person is here, `ledger-unavailable`.
    pub async fn create_enrolment(
        &self,
        org: &OrgId,
        by: &PersonIdentity,
        person: &PersonId,
    ) -> Result<Enrolled, Refusal> {
        if !by.holds(Role::Admin) {
            return Err(no(
                RefusalCode::Forbidden,
                "only an administrator makes enrolment links",
            ));
        }
        let here = self
            .tenant(org)?
            .registry()
            .people
            .get(person)
            .is_some_and(|person| person.is_active());
        if !here {
            return Err(no(
                RefusalCode::NotFound,
                "no such person is here; create them first, and only those who have not left",
            ));
        }
        let (enrolled, change) = self.plan_enrolment(
            org,
            person,
            Some(by.id().clone()),
            Principal::Person(by.id().clone()),
        )?;
        self.books().commit(org, change).await.map_err(from_books)?;
        Ok(enrolled)
    }

    /// The change that makes a link.
    pub(crate) fn plan_enrolment(
        &self,
        org: &OrgId,
        person: &PersonId,
        created_by: Option<PersonId>,
        by: Principal,
    ) -> Result<(Enrolled, Change), Refusal> {
        let secret = self.new_secret(SecretKind::Enrolment);
        let now = self.books().now();
        let expires = now.plus_secs(ENROLMENT_SECS);
        let enrolment = Enrolment {
            digest: secret.digest,
            person: person.clone(),
            created_by,
            created: now,
            expires,
            used: None,
        };
        let event = Event::new(EventKind::PersonEnrolled, now, by)
            .about(person)
            .fact("enrolment", short(&enrolment.digest))
            .fact("step", "link_created")
            .fact("expires", expires);
        let link = format!(
            "{}/enrol#{}",
            self.issuer_url(org)?,
            secret.text.expose_secret()
        );
        let enrolled = Enrolled {
            code: secret.text,
            link: SecretString::from(link),
            expires,
        };
        Ok((enrolled, Change::new().create(&enrolment).event(event)))
    }

    /// Makes a token for the person whom the code names. Works once, also when it is tried many times at once.
    ///
    /// - `label`: what the person calls the token, at most 100 bytes.
    /// - `days`: how long it lives, 1 to 90; 90 where none is given.
    ///
    /// # Errors
    /// `unauthenticated` when the code is not good, `invalid-request`, `limited`, `ledger-unavailable`.
    pub async fn redeem_enrolment(
        &self,
        org: &OrgId,
        code: &str,
        label: &str,
        days: Option<u16>,
    ) -> Result<Redeemed, Refusal> {
        match self.redeem_inner(org, code, label, days).await {
            Err(refusal) if refusal.code == RefusalCode::Unauthenticated => {
                Err(self.refuse(org, "enrolment", None, None, refusal).await)
            }
            other => other,
        }
    }

    async fn redeem_inner(
        &self,
        org: &OrgId,
        code: &str,
        label: &str,
        days: Option<u16>,
    ) -> Result<Redeemed, Refusal> {
        check::text("label", label, LABEL_BYTES_MAX)?;
        let secs = i64::from(days.unwrap_or(90)).saturating_mul(86_400);
        if !(1..=PERSON_TOKEN_SECS_MAX).contains(&secs) {
            return Err(no(
                RefusalCode::InvalidRequest,
                "a token lives 1 to 90 days",
            ));
        }
        let found = self.enrolment_of(org, code).await?;
        let now = self.books().now();
        let person = found.noun.person.clone();
        self.room_for_token(org, &person).await?;
        self.enrolled(org, &found.noun).await?;
        let new = self.new_secret(SecretKind::PersonalToken);
        let expires = now.plus_secs(secs);
        let by = Principal::Person(person.clone());
        let label = label.to_owned();
        let token = PersonToken {
            digest: new.digest,
            person: person.clone(),
            label,
            created: now,
            expires,
            revoked: None,
        };
        let used = Enrolment {
            used: Some(now),
            ..found.noun
        };
        let event = Event::new(EventKind::PersonEnrolled, now, by.clone())
            .about(&person)
            .fact("enrolment", short(&used.digest))
            .fact("step", "redeemed")
            .fact("created_by", &used.created_by);
        let once = Once {
            key: format!("enrolment:{}", used.digest),
            until: used.expires.plus_secs(ONCE_MARGIN_SECS),
        };
        let change = Change::new()
            .update(&used, found.revision)
            .event(event)
            .once(once)
            .and(self.alarm_of(org, &person, "an enrolment link").await?)
            .and(self.plan_token(&token, by));
        match self.books().commit(org, change).await {
            Ok(_) => Ok(Redeemed {
                token: new.text,
                person,
                expires,
            }),
            Err(BooksError::Store(StoreError::Conflict { .. } | StoreError::Replayed { .. })) => {
                Err(not_good())
            }
            Err(error) => Err(from_books(error)),
        }
    }

    /// The enrolment that a code opens, when it is good now.
    pub(crate) async fn enrolment_of(
        &self,
        org: &OrgId,
        code: &str,
    ) -> Result<Versioned<Enrolment>, Refusal> {
        let book = self.tenant(org)?;
        let secret = OpaqueSecret::parse_kind(code, SecretKind::Enrolment)
            .map_err(|error| no(RefusalCode::Unauthenticated, error.to_string()))?;
        let digest = hex::encode(secret.digest().as_bytes());
        let found = self
            .books()
            .get::<Enrolment>(org, &digest)
            .await
            .map_err(from_books)?;
        let found = found.ok_or_else(not_good)?;
        let here = book
            .registry()
            .people
            .get(&found.noun.person)
            .is_some_and(|p| p.is_active());
        let good = found.noun.used.is_none() && self.books().now() < found.noun.expires && here;
        if good { Ok(found) } else { Err(not_good()) }
    }
}
