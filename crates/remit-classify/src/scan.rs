//! All rules over one text.

use std::ops::Range;

use crate::bank::Bank;
use crate::email::{Email, is_list};
use crate::injection::{Injection, hidden};
use crate::limits::{FINDINGS_MAX, TEXT_MAX};
use crate::national_id::NationalId;
use crate::reading::Reading;
use crate::secret::Secret;
use crate::{Class, Finding, card};

/// There is more than is looked at: nothing is half looked at, and it counts as what cannot be scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// The text is longer than [`TEXT_MAX`] bytes.
    #[error(
        "the text has {0} bytes and at most {TEXT_MAX} can be classified; ask for less at once"
    )]
    Long(usize),
    /// More than [`FINDINGS_MAX`] places hold what is looked for.
    #[error("more than {FINDINGS_MAX} places hold what is looked for; ask for less at once")]
    Found,
}

/// Findings of a text but for lists of addresses, and its addresses with their places.
pub(crate) type Parts = (Vec<Finding>, Vec<(String, Range<usize>)>);

/// The rules, compiled once; cheap to share, not to make.
pub struct Classifier {
    pub(crate) secret: Secret,
    bank: Bank,
    national_id: NationalId,
    pub(crate) email: Email,
    injection: Injection,
}

impl std::fmt::Debug for Classifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Classifier")
    }
}

impl Classifier {
    /// Compiles the rules.
    ///
    /// # Errors
    /// [`regex::Error`] when a rule does not compile: a defect of this crate, which its tests would show.
    pub fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            secret: Secret::new()?,
            bank: Bank::new()?,
            national_id: NationalId::new()?,
            email: Email::new()?,
            injection: Injection::new()?,
        })
    }

    /// Everything found in a text, in the order of its places; where two overlap, the stricter class stays.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn scan(&self, text: &str) -> Result<Vec<Finding>, TooMuch> {
        let (mut found, addresses) = self.parts(text)?;
        if is_list(addresses.iter().map(|(address, _)| address.as_str())) {
            let list = addresses
                .into_iter()
                .map(|(_, at)| Finding::new(Class::EmailList, "email-list", at));
            found.extend(list);
        }
        Ok(settle(found))
    }

    pub(crate) fn parts(&self, text: &str) -> Result<Parts, TooMuch> {
        if text.len() > TEXT_MAX {
            return Err(TooMuch::Long(text.len()));
        }
        let reading = Reading::of(text);
        let mut found = Vec::new();
        self.secret.find(&reading.text, &mut found);
        card::find(&reading.text, &mut found);
        self.bank.find(&reading.text, &mut found);
        self.national_id.find(&reading.text, &mut found);
        self.injection.find(&reading.text, &mut found);
        for finding in &mut found {
            finding.at = reading.place(&finding.at);
        }
        hidden(text, &mut found);
        let mut addresses = self.email.find(&reading.text);
        for (_, at) in &mut addresses {
            *at = reading.place(at);
        }
        if found.len().saturating_add(addresses.len()) > FINDINGS_MAX {
            return Err(TooMuch::Found);
        }
        Ok((found, addresses))
    }
}

/// In order of place, without overlaps within what is covered: the earlier class of [`Class`] wins. Markers of injection
/// are kept whatever they overlap.
pub(crate) fn settle(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by_key(|finding| {
        (
            finding.class,
            finding.at.start,
            std::cmp::Reverse(finding.at.end),
        )
    });
    let mut kept: Vec<Finding> = Vec::with_capacity(found.len().min(FINDINGS_MAX));
    for finding in found {
        let overlaps = |other: &Finding| {
            (other.class == finding.class || finding.class != Class::Injection)
                && other.at.start < finding.at.end
                && finding.at.start < other.at.end
        };
        if !kept.iter().rev().take(64).any(overlaps) {
            kept.push(finding);
        }
    }
    kept.sort_by_key(|finding| (finding.at.start, finding.at.end));
    kept
}
