//! The facts that policies may look at, for their authors.

use remit_policy::{FactNote, fact_table, hop_fact_table};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Caller, Control, ControlError, Listing};

/// A fact that policies may look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FactView {
    /// Which policies may look at it: those about `calls`, or those about `hops`.
    pub of: &'static str,
    /// How policies write it: `context.labels`.
    pub name: String,
    /// Its Cedar type.
    #[serde(rename = "type")]
    pub of_type: String,
    /// Where it comes from.
    pub from: &'static str,
    /// Since when it is fixed for a decision.
    pub fixed_since: &'static str,
    /// What it says.
    pub about: &'static str,
}

impl Control {
    /// Every fact that policies may look at; the Cedar schema is made of the same table.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn policy_facts(&self, caller: &Caller) -> Result<Listing<FactView>, ControlError> {
        caller.person()?;
        let view = |note: FactNote| FactView {
            of: note.of,
            name: note.name,
            of_type: note.of_type,
            from: note.from,
            fixed_since: note.fixed_since,
            about: note.about,
        };
        Ok(Listing {
            items: fact_table()
                .into_iter()
                .chain(hop_fact_table())
                .map(view)
                .collect(),
            next: None,
        })
    }
}
