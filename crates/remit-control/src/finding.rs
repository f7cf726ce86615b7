//! Findings: opened once for each (kind, subject), counted when seen again, closed by a person or by what settles them.

use remit_books::{Books, BooksError, Change, Versioned};
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::{Finding, FindingKind};
use remit_domain::vouch::stands_behind;
use remit_domain::{FindingId, OrgId, PersonId, Principal, Registry, Role, Timestamp};
use remit_ports::store::Filter;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::not_found;
use crate::{Caller, Control, ControlError, ListQuery, Listing, check, names, newest, refuse};

/// Most findings read at once.
const SCAN: u32 = 1_000;

/// A finding, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FindingView {
    /// Its id.
    pub id: FindingId,
    /// What sort.
    pub kind: FindingKind,
    /// `open` or `closed`.
    pub state: &'static str,
    /// What it is about (an id).
    pub subject: String,
    /// One line for people.
    pub text: String,
    /// Address of who has to do something about it.
    pub owner: Option<String>,
    /// When it was first seen.
    pub opened: Timestamp,
    /// How often it was seen.
    pub seen: u32,
    /// When it was settled.
    pub closed: Option<Timestamp>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

/// The change that opens a finding, or counts it again where it is open already.
///
/// # Errors
/// When the store cannot be read.
pub async fn finding_change(
    books: &Books,
    org: &OrgId,
    kind: FindingKind,
    subject: &str,
    text: impl Into<String>,
) -> Result<Change, BooksError> {
    finding_by(books, org, (kind, subject), text.into(), &[]).await
}

/// The same, with who has to do something about it.
pub(crate) async fn finding_for(
    books: &Books,
    org: &OrgId,
    (kind, subject): (FindingKind, &str),
    text: String,
    owner: Option<PersonId>,
) -> Result<Change, BooksError> {
    let of = (kind, subject);
    finding_of(books, org, of, text, (&[], owner)).await
}

/// The same for what is the doing of these people, who do not close it.
async fn finding_by(
    books: &Books,
    org: &OrgId,
    (kind, subject): (FindingKind, &str),
    text: String,
    by: &[&PersonId],
) -> Result<Change, BooksError> {
    finding_of(books, org, (kind, subject), text, (by, None)).await
}

async fn finding_of(
    books: &Books,
    org: &OrgId,
    (kind, subject): (FindingKind, &str),
    text: String,
    (by, owner): (&[&PersonId], Option<PersonId>),
) -> Result<Change, BooksError> {
    let by = by.iter().map(|id| (*id).clone());
    if let Some(Versioned { noun, revision }) = open_one(books, org, kind, subject).await? {
        let again = Finding {
            seen: noun.seen.saturating_add(1),
            text,
            owner: owner.or(noun.owner),
            by: noun.by.into_iter().chain(by).collect(),
            ..noun
        };
        return Ok(Change::new().update(&again, revision));
    }
    let now = books.now();
    let finding = Finding {
        id: books.id(FindingId::from_uuid),
        kind,
        subject: subject.to_owned(),
        text,
        opened: now,
        seen: 1,
        owner,
        by: by.collect(),
        closed: None,
    };
    let event = Event::new(EventKind::FindingOpened, now, Principal::Remit)
        .about(&finding.id)
        .fact("kind", kind)
        .fact("of", subject)
        .content("text", &finding.text);
    let event = match &finding.owner {
        Some(owner) => event.fact("owner", owner),
        None => event,
    };
    Ok(Change::new().create(&finding).event(event))
}

/// The change that closes the open finding of that kind and subject; empty where there is none.
///
/// # Errors
/// When the store cannot be read.
pub async fn settle_finding(
    books: &Books,
    org: &OrgId,
    kind: FindingKind,
    subject: &str,
    by: &Principal,
    reason: &str,
) -> Result<Change, BooksError> {
    let found = open_one(books, org, kind, subject).await?;
    Ok(found.map_or_else(Change::new, |found| closing(books, found, by, reason).1))
}

fn closing(
    books: &Books,
    found: Versioned<Finding>,
    by: &Principal,
    reason: &str,
) -> (Finding, Change) {
    let closed = Finding {
        closed: Some(books.now()),
        ..found.noun
    };
    let event = Event::new(EventKind::FindingClosed, books.now(), by.clone())
        .about(&closed.id)
        .fact("kind", closed.kind)
        .fact("of", &closed.subject)
        .content("reason", reason);
    let change = Change::new().update(&closed, found.revision).event(event);
    (closed, change)
}

async fn open_one(
    books: &Books,
    org: &OrgId,
    kind: FindingKind,
    subject: &str,
) -> Result<Option<Versioned<Finding>>, BooksError> {
    let filter = Filter {
        parent: Some(subject.to_owned()),
        state: Some("open".to_owned()),
        limit: SCAN,
        ..Filter::default()
    };
    let (found, _) = books.list::<Finding>(org, &filter).await?;
    Ok(found.into_iter().find(|f| f.noun.kind == kind))
}

impl Control {
    /// The change that opens a finding here, or counts it again.
    pub(crate) async fn opening(
        &self,
        caller: &Caller,
        kind: FindingKind,
        subject: &str,
        text: String,
    ) -> Result<Change, ControlError> {
        self.opening_by(caller, (kind, subject), text, &[]).await
    }

    /// The same, which is the doing of these people too.
    pub(crate) async fn opening_by(
        &self,
        caller: &Caller,
        of: (FindingKind, &str),
        text: String,
        with: &[&PersonId],
    ) -> Result<Change, ControlError> {
        let own = matches!(
            of.0,
            FindingKind::SelfActivated
                | FindingKind::SelfApprovedPolicy
                | FindingKind::SeparationLoosened
        );
        let mut by = with.to_vec();
        by.extend(caller.principal.person().filter(|_| own));
        Ok(finding_by(&self.books, &caller.org, of, text, &by).await?)
    }

    /// The change that closes a finding here, because of what the caller does.
    pub(crate) async fn settling(
        &self,
        caller: &Caller,
        kind: FindingKind,
        subject: &str,
        why: &str,
    ) -> Result<Change, ControlError> {
        Ok(settle_finding(
            &self.books,
            &caller.org,
            kind,
            subject,
            &caller.principal,
            why,
        )
        .await?)
    }

    /// Findings, newest first.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization; when the store cannot be read.
    pub async fn findings(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<FindingView>, ControlError> {
        caller.person()?;
        let (found, next) = newest::page(
            &self.books,
            &caller.org,
            query,
            None,
            |id| FindingId::from_uuid(id).to_string(),
            |one: &Finding| one.opened,
        )
        .await?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(Listing {
            items: found.into_iter().map(|f| view(&registry, f)).collect(),
            next,
        })
    }

    /// The findings that the caller has to do something about, newest first. A page may hold fewer than fit: `next` says whether
    /// there are more.
    ///
    /// # Errors
    /// As [`Control::findings`].
    pub async fn own_findings(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<FindingView>, ControlError> {
        let own = caller.person()?.email.to_string();
        let mut all = self.findings(caller, query).await?;
        all.items.retain(|f| f.owner.as_ref() == Some(&own));
        Ok(all)
    }

    /// Closes a finding by hand. A self-activation stays open until someone other than the owner looks at it.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator or reviewer, and for the owner of a self-activated agent; `not-found`;
    /// `conflict` when it is closed.
    pub async fn close_finding(
        &self,
        caller: &Caller,
        id: &FindingId,
        reason: &str,
    ) -> Result<FindingView, ControlError> {
        let person = caller.require(&[Role::Admin, Role::Reviewer])?;
        check::said("reason", reason)?;
        let found = self.books.get::<Finding>(&caller.org, id.as_str()).await?;
        let found = found.ok_or_else(|| not_found("finding", id))?;
        if let Some(at) = found.noun.closed {
            return Err(refuse(
                remit_domain::RefusalCode::Conflict,
                format!("the finding was closed at {at} already"),
            ));
        }
        if found.noun.kind == FindingKind::SelfActivated {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let owner = registry
                .agents
                .values()
                .find(|a| a.id.as_str() == found.noun.subject)
                .map(|a| a.profile.owner.clone());
            if owner.is_some_and(|o| o == person.id) {
                let text = "you activated your own agent; someone else has to close this finding";
                return Err(refuse(remit_domain::RefusalCode::Forbidden, text));
            }
        }
        {
            let book = self.book(&caller.org)?;
            let registry = book.registry();
            let own = |by: &PersonId| *by == person.id || stands_behind(&registry, by, &person.id);
            if found.noun.by.iter().any(own) {
                let text = "it is what you did yourself, or whoever created or enrolled you; someone else has to close this finding";
                return Err(refuse(remit_domain::RefusalCode::Forbidden, text));
            }
        }
        let (closed, change) = closing(&self.books, found, &caller.principal, reason);
        let committed = self.books.commit(&caller.org, change).await?;
        let closed = Versioned {
            noun: closed,
            revision: committed.revisions.first().copied().unwrap_or(0),
        };
        Ok(view(&self.book(&caller.org)?.registry(), closed))
    }
}

fn view(registry: &Registry, found: Versioned<Finding>) -> FindingView {
    let Versioned { noun, revision } = found;
    FindingView {
        state: if noun.closed.is_some() {
            "closed"
        } else {
            "open"
        },
        id: noun.id,
        kind: noun.kind,
        subject: noun.subject,
        text: noun.text,
        owner: noun.owner.map(|id| names::person(registry, &id)),
        opened: noun.opened,
        seen: noun.seen,
        closed: noun.closed,
        revision,
    }
}
