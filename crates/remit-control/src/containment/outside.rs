//! What Remit did not issue: the credentials of upstreams that a contained agent could reach through the gateway. Stopping the agent
//! stops none of them.

use std::collections::BTreeSet;

use remit_books::{BooksError, Change};
use remit_domain::containment::{Containment, Outside, Target};
use remit_domain::finding::FindingKind;
use remit_domain::upstream::{SecretRef, UpstreamName};
use remit_domain::{OrgId, Registry, WorkflowId};

use crate::Control;
use crate::finding::finding_for;

/// The credentials of every upstream that the workflows could call, or that the target itself is.
pub(super) fn outside(
    registry: &Registry,
    target: &Target,
    workflows: &BTreeSet<WorkflowId>,
) -> BTreeSet<Outside> {
    let granted = workflows.iter().filter_map(|id| registry.workflows.get(id));
    let granted = granted.flat_map(|w| w.grants.iter().map(|g| g.tool.upstream().clone()));
    let held = registry.tools.values().filter(|tool| {
        let of = remit_domain::containment::Lineage::of_tool(tool);
        target.is_of_tools() && target.holds(&of)
    });
    let upstreams: BTreeSet<UpstreamName> = held
        .map(|tool| tool.tool.upstream().clone())
        .chain(granted)
        .collect();
    let upstreams = upstreams.iter().filter_map(|n| registry.upstreams.get(n));
    let mut found = BTreeSet::new();
    for upstream in upstreams {
        let system = registry.systems.get(&upstream.system);
        let secrets = upstream.secret.iter().flat_map(|s| s.references());
        found.extend(secrets.map(|secret| {
            let (kind, id) = match secret {
                SecretRef::Vault(name) => ("vault", name.to_string()),
                SecretRef::File(path) => ("file", path.display().to_string()),
                SecretRef::Env(name) => ("environment", name.clone()),
            };
            Outside {
                kind: kind.to_owned(),
                id,
                of: upstream.name.clone(),
                owner: system.map(|s| s.owner.clone()),
            }
        }));
    }
    found
}

impl Control {
    /// A task for whoever answers for each system: nobody but them knows whether what was lent has got out.
    pub(super) async fn tasks_outside(
        &self,
        org: &OrgId,
        containment: &Containment,
        outside: &BTreeSet<Outside>,
    ) -> Result<Change, BooksError> {
        let mut change = Change::new();
        let of: BTreeSet<_> = outside.iter().map(|o| (&o.of, &o.owner)).collect();
        for (upstream, owner) in of {
            let text = format!(
                "{} was contained ({}, {}) and could reach upstream {upstream} with a credential that Remit did not issue and does not stop: replace it where it may have got out",
                containment.target,
                containment.level.as_str(),
                containment.id
            );
            let kind = (FindingKind::OutsideCredential, upstream.as_str());
            let task = finding_for(&self.books, org, kind, text, owner.clone()).await?;
            change = change.and(task);
        }
        Ok(change)
    }
}
