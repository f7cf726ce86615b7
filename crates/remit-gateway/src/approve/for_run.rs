//! Approvals that people gave for the run: whether one lets a later call of it pass.

use remit_books::{BooksError, Versioned};
use remit_domain::approval::{Approval, ApprovalState, AskSet, LaterCall, NotCovered, counter};
use remit_domain::tool::ToolRef;
use remit_domain::{OrgId, Registry};
use remit_ports::store::Reserve;

use crate::Gateway;
use crate::call::Authorized;

/// Whether an approval for the run lets the call pass, and why those that there are do not.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) covers: Option<Versioned<Approval>>,
    pub(super) why_not: Vec<String>,
}

/// Most approvals for the run that are named where another one is asked for.
const WHY_NOT_MAX: usize = 3;
/// How long the count of an approval for the run is kept after it ended, in seconds: nothing counts anew while anything could.
const COUNT_KEPT_SECS: i64 = 3_600;

impl Gateway {
    /// Of the approvals that people gave for the run, one that lets this call pass, or why those of this tool do not.
    pub(super) async fn standing(
        &self,
        call: &Authorized,
        asks: &AskSet,
        for_run: Vec<Versioned<Approval>>,
    ) -> Result<Standing, BooksError> {
        let resolved = &call.resolved;
        // An answer to a question is nothing that anybody was shown.
        if for_run.is_empty() || resolved.received.call.input_responses.is_some() {
            return Ok(Standing::default());
        }
        let later = LaterCall {
            run: &resolved.standing.run.id,
            tool: resolved.tool_ref(),
            definition_hash: &resolved.tool.definition.hash,
            classification: resolved.tool.classification.as_ref(),
            args: &call.dynamic.args,
            asks,
        };
        let now = self.books().now();
        let mut standing = Standing::default();
        // A doubt about one is a doubt about all of the tool: it may be this very call that was sent.
        if let Some(doubt) = for_run
            .iter()
            .find(|one| is_in_doubt(&one.noun, later.tool))
        {
            let text = format!(
                "a call that approval {} for this run let pass got no answer; find out what it did before anything is repeated",
                doubt.noun.id
            );
            standing.why_not.push(text);
            return Ok(standing);
        }
        for found in for_run {
            let why = match found.noun.covers(&later, now) {
                Err(NotCovered::Other | NotCovered::NotHeld) => continue,
                Err(why) => why.to_string(),
                Ok(()) if !stand_by(&resolved.book.registry(), &found.noun) => {
                    "somebody who approved it is not here any more".to_owned()
                }
                Ok(()) if self.is_used_up(&resolved.received.org, &found.noun).await? => {
                    "the calls it lets pass are used up".to_owned()
                }
                Ok(()) => {
                    standing.covers = Some(found);
                    return Ok(standing);
                }
            };
            let text = format!(
                "approval {} for this run does not cover it: {why}",
                found.noun.id
            );
            standing.why_not.push(text);
        }
        standing.why_not.truncate(WHY_NOT_MAX);
        Ok(standing)
    }

    async fn is_used_up(&self, org: &OrgId, approval: &Approval) -> Result<bool, BooksError> {
        let keys = [counter(&approval.id)];
        let used = self.books().store().counters(org, &keys).await?;
        let count = approval.for_run.as_ref().map_or(0, |terms| terms.count);
        Ok(used.first().copied().unwrap_or(0) >= i64::from(count))
    }
}

/// Whether a call of this tool that it let pass was sent and got no answer.
fn is_in_doubt(approval: &Approval, tool: &ToolRef) -> bool {
    approval.state == ApprovalState::Ambiguous && approval.tool == *tool
}

/// Whether everybody who said yes is still here.
fn stand_by(registry: &Registry, approval: &Approval) -> bool {
    let mut yes = approval.verdicts.iter().filter(|v| v.approve);
    yes.all(|v| {
        let person = registry.people.get(&v.person);
        person.is_some_and(|p| p.is_active())
    })
}

/// One call of those that an approval for the run lets pass; the store counts them as it admits them.
pub(super) fn counted(approval: &Approval) -> Option<Reserve> {
    let terms = approval.for_run.as_ref()?;
    Some(Reserve {
        key: counter(&approval.id),
        amount: 1,
        max: terms.count.into(),
        until: approval.expires.plus_secs(COUNT_KEPT_SECS),
        also: Vec::new(),
        held: false,
    })
}
