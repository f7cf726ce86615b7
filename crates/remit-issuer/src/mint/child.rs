//! Sub-agents within the client's own process: each gets a run of its own below the client's, with the client's own key, and
//! nobody joins it unasked.

use remit_books::NewRun;
use remit_domain::authority::Authority;
use remit_domain::limits::IMPLICIT_RUN_IDLE_SECS;
use remit_domain::run::Provenance;
use remit_domain::standing::Standing;
use remit_domain::{OrgId, RefusalCode, RunId};
use remit_token::TokenResponse;

use super::{ActingFor, Ask};
use crate::below::PLACES_TRIED_MAX;
use crate::door::Denied;
use crate::refusal::no;
use crate::spent::PLACE_LOST;
use crate::{Issuer, details, narrow};

impl Issuer {
    /// The bounds of a run, within what the client asks for.
    ///
    /// # Errors
    /// `wider` where it asks for more than there is.
    pub(super) fn narrowed_to(
        &self,
        org: &OrgId,
        standing: &Standing,
        ask: &Ask,
    ) -> Result<Authority, Denied> {
        let have = &standing.run.intent.authority;
        let Some(asked) = &ask.details else {
            return Ok(have.clone());
        };
        let links = standing.chain.iter().map(|link| &link.authority);
        let held = links.chain([have]);
        let who = (&standing.agent, &standing.workflow);
        self.withheld(org, who, standing.run.person.as_ref(), asked)
            .and_then(|withheld| {
                let now = self.books().now();
                details::not_wider(asked, &ask.workflow, held, &withheld, now)
            })
            .map_err(|denied| denied.by(&ask.client.agent.id))?;
        Ok(narrow::meet(have, asked))
    }

    /// Issues a token in a run of its own below one that goes on: a new one each time, within the bounds of the one above and
    /// whatever the client asks for, with its chain and its labels. It ends with the one above.
    pub(crate) async fn issue_child(
        &self,
        org: &OrgId,
        run: &RunId,
        ask: Ask,
    ) -> Result<TokenResponse, Denied> {
        let agent = ask.client.agent.id.clone();
        let by = |denied: Denied| denied.by(&agent);
        let standing = self.own_standing(org, run, &ask).await?;
        let authority = self.narrowed_to(org, &standing, &ask)?;
        let acting = ActingFor {
            person: standing.run.person.clone(),
            chain: standing.chain,
            parent: Some(standing.run),
            authority,
        };
        let apart: [u8; 8] = self.books().random();
        let apart = u64::from_be_bytes(apart);
        let new = NewRun {
            // Its own, so that no request for the same joins it.
            implicit_key: Some(format!("{}+{apart:016x}", ask.client.thumbprint)),
            ..acting.new_run(&ask)
        };
        self.runs_within_limit(org, &agent)
            .map_err(|refusal| by(refusal.into()))?;
        for _ in 0..PLACES_TRIED_MAX {
            let place = self.place_for(org, &acting, &ask).await?;
            let (run, change) = self.books().plan_run(org, &ask.workflow, new.clone());
            let change = place
                .iter()
                .fold(change, |change, place| change.and(place.change.clone()));
            let issued = self.issue(org, run, &acting.chain, ask.clone(), change);
            match issued.await {
                Err(denied) if denied.code == PLACE_LOST => {}
                other => return other,
            }
        }
        let text = "other runs are starting below this one; ask again";
        Err(by(no(RefusalCode::SnapshotStale, text).into()))
    }
}

impl ActingFor {
    /// The run that begins.
    pub(super) fn new_run(&self, ask: &Ask) -> NewRun {
        NewRun {
            agent: ask.client.agent.id.clone(),
            mode: self.mode(),
            trigger: None,
            intent: self.intent(),
            person: self.person.clone(),
            chain: self.chain.iter().map(|link| link.id.clone()).collect(),
            parent: self.parent.as_ref().map(|run| run.id.clone()),
            implicit_key: Some(ask.client.thumbprint.clone()),
            provenance: Provenance::default(),
            idle_secs_max: Some(IMPLICIT_RUN_IDLE_SECS.min(ask.workflow.run_idle_secs_max)),
            ends_by: self.ends_by(),
        }
    }
}
