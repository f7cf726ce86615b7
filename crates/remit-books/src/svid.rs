//! SVIDs that have not ended, and withdrawing them. Remit takes a withdrawn one no more; whoever believes signatures
//! elsewhere may, until it ends.

use remit_domain::credential::Svid;
use remit_domain::event::{Event, EventKind};
use remit_domain::limits::X509_SVID_SECS;
use remit_domain::{AgentId, OrgId, Principal};
use remit_ports::store::Filter;

use crate::{Books, BooksError, Change, Versioned};

impl Books {
    /// SVIDs that have neither ended nor been withdrawn, newest first.
    ///
    /// - `agent`: only of this one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn live_svids(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
    ) -> Result<Vec<Versioned<Svid>>, BooksError> {
        let now = self.now();
        // None lives longer: what was issued before that has ended, and so has everything before it.
        let oldest = now.plus_secs(-X509_SVID_SECS);
        let mut filter = Filter {
            parent: agent.map(ToString::to_string),
            state: Some("active".to_owned()),
            descending: true,
            limit: 1_000,
            ..Filter::default()
        };
        let mut live = Vec::new();
        loop {
            let (page, next) = self.list::<Svid>(org, &filter).await?;
            let over = page.last().is_none_or(|last| last.noun.issued < oldest);
            live.extend(page.into_iter().filter(|svid| svid.noun.expires > now));
            match next {
                Some(next) if !over => filter.after = Some(next),
                _ => return Ok(live),
            }
        }
    }

    /// The change that withdraws these SVIDs.
    pub fn plan_withdrawal(&self, svids: Vec<Versioned<Svid>>, by: &Principal) -> Change {
        svids.into_iter().fold(Change::new(), |change, svid| {
            let Versioned { noun, revision } = svid;
            let event = Event::new(EventKind::SvidWithdrawn, self.now(), by.clone())
                .about(&noun.id)
                .agent(&noun.agent)
                .fact("form", noun.form)
                .fact("expires", noun.expires);
            let withdrawn = Svid {
                withdrawn: Some(self.now()),
                ..noun
            };
            change.update(&withdrawn, revision).event(event)
        })
    }
}
