//! Findings that follow from the use of passkeys.

use remit_books::{Change, Versioned};
use remit_domain::event::{Event, EventKind};
use remit_domain::finding::{Finding, FindingKind};
use remit_domain::{FindingId, OrgId, PersonId, Principal, Refusal};
use remit_ports::store::Filter;

use crate::Issuer;
use crate::refusal::from_books;

impl Issuer {
    /// The change that opens a finding, or counts it again where it is open already.
    pub(crate) async fn finding(
        &self,
        org: &OrgId,
        kind: FindingKind,
        subject: &str,
        text: String,
    ) -> Result<Change, Refusal> {
        self.finding_for(org, (kind, subject), text, None).await
    }

    /// The same, with who has to do something about it.
    pub(crate) async fn finding_for(
        &self,
        org: &OrgId,
        (kind, subject): (FindingKind, &str),
        text: String,
        owner: Option<PersonId>,
    ) -> Result<Change, Refusal> {
        let filter = Filter {
            parent: Some(subject.to_owned()),
            state: Some("open".to_owned()),
            limit: 1_000,
            ..Filter::default()
        };
        let (found, _) = self
            .books()
            .list::<Finding>(org, &filter)
            .await
            .map_err(from_books)?;
        let open = found.into_iter().find(|f| f.noun.kind == kind);
        if let Some(Versioned { noun, revision }) = open {
            let seen = noun.seen.saturating_add(1);
            return Ok(Change::new().update(&Finding { seen, text, ..noun }, revision));
        }
        let now = self.books().now();
        let finding = Finding {
            id: self.books().id(FindingId::from_uuid),
            kind,
            subject: subject.to_owned(),
            text,
            opened: now,
            seen: 1,
            owner,
            by: Default::default(),
            closed: None,
        };
        let event = Event::new(EventKind::FindingOpened, now, Principal::Remit)
            .about(&finding.id)
            .fact("kind", kind)
            .fact("of", subject)
            .content("text", &finding.text);
        Ok(Change::new().create(&finding).event(event))
    }
}
