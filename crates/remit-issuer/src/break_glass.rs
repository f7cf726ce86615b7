//! The alarm that goes off when a break-glass account signs in, by whatever way.

use remit_books::Change;
use remit_domain::finding::FindingKind;
use remit_domain::{OrgId, PersonId, Refusal};

use crate::Issuer;

impl Issuer {
    /// The alarm that goes into the change which lets a person in; nothing where their account is not for breaking glass.
    ///
    /// - `how`: how they proved who they are, in words.
    ///
    /// # Errors
    /// `ledger-unavailable`: without the alarm nobody is let in.
    pub(crate) async fn alarm_of(
        &self,
        org: &OrgId,
        person: &PersonId,
        how: &str,
    ) -> Result<Change, Refusal> {
        let glass = {
            let book = self.tenant(org)?;
            let registry = book.registry();
            registry.people.get(person).is_some_and(|p| p.break_glass)
        };
        if !glass {
            return Ok(Change::new());
        }
        tracing::warn!(%org, %person, how, "a break-glass account signed in");
        let text = format!(
            "{person} signed in with {how}, for breaking glass: find out whether that had to be"
        );
        self.finding(org, FindingKind::BreakGlassUsed, person.as_str(), text)
            .await
    }
}
