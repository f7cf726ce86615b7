//! Numbers of bank accounts: IBAN (ISO 13616) with its check digits and its country's form; United States routing numbers
//! (ABA) and British sort codes, where a word nearby says so.

use iban::Iban;
use regex::Regex;

use crate::checksum::{digits, weighted};
use crate::nearby;
use crate::{Class, Finding};

/// The rules, compiled.
pub(crate) struct Bank {
    iban: Regex,
    aba: Regex,
    sort_code: Regex,
}

impl Bank {
    pub(crate) fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            iban: Regex::new(r"\b[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,60}")?,
            aba: Regex::new(r"\b[0-9]{9}\b")?,
            sort_code: Regex::new(
                r"\b[0-9]{2}-[0-9]{2}-[0-9]{2}[ ,;/:]{1,3}(?:[A-Za-z. ]{0,20}[:=]? ?)?[0-9]{8}\b",
            )?,
        })
    }

    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        let mut from = 0;
        while let Some(candidate) = self.iban.find_at(text, from) {
            from = candidate.start() + 1;
            if let Some(len) = iban_len(candidate.as_str()) {
                let at = candidate.start()..candidate.start() + len;
                from = at.end;
                found.push(Finding::new(Class::Bank, "iban", at));
            }
        }
        for candidate in self.aba.find_iter(text) {
            let digits = digits(candidate.as_str());
            let good = weighted(&digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
                && matches!(digits.iter().take(2).fold(0, |n, d| n * 10 + d), 1..=12 | 21..=32 | 61..=72 | 80);
            if good
                && nearby::says(
                    text,
                    &candidate.range(),
                    &["routing", "aba", "rtn", "transit"],
                )
            {
                found.push(Finding::new(Class::Bank, "aba-routing", candidate.range()));
            }
        }
        for candidate in self.sort_code.find_iter(text) {
            if nearby::says(
                text,
                &candidate.range(),
                &["sort code", "sort-code", "sortcode", "bacs"],
            ) {
                found.push(Finding::new(Class::Bank, "sort-code", candidate.range()));
            }
        }
    }
}

/// How many bytes of the candidate, which may run on into the next words, are a valid IBAN.
fn iban_len(candidate: &str) -> Option<usize> {
    let mut compact = String::with_capacity(34);
    let mut ends = Vec::with_capacity(34);
    for (at, c) in candidate
        .char_indices()
        .filter(|(_, c)| c.is_ascii_alphanumeric())
        .take(34)
    {
        compact.push(c.to_ascii_uppercase());
        ends.push(at + 1);
    }
    let ends_here = |end: usize| {
        let next = candidate.get(end..).and_then(|rest| rest.chars().next());
        !next.is_some_and(|c| c.is_ascii_alphanumeric())
    };
    (15..=compact.len()).rev().find_map(|len| {
        let end = *ends.get(len - 1)?;
        let valid = ends_here(end) && compact.get(..len)?.parse::<Iban>().is_ok();
        valid.then_some(end)
    })
}
