//! Numbers that states give to people. A number with a form of its own and a check stands by itself; bare digits count
//! only where a word nearby says what they are.

use std::ops::Range;

use regex::Regex;

use crate::checksum::{day, digits, luhn, mod11_10, number, verhoeff, weighted};
use crate::nearby;
use crate::{Class, Finding};

/// One country's rule.
struct Rule {
    name: &'static str,
    form: Regex,
    check: fn(&str) -> bool,
    /// Words of which one must be nearby; empty when the form and the check are enough.
    words: &'static [&'static str],
}

/// The rules, compiled.
pub(crate) struct NationalId(Vec<Rule>);

type Raw = (
    &'static str,
    &'static str,
    fn(&str) -> bool,
    &'static [&'static str],
);

/// Name, form, check, words.
const RULES: [Raw; 22] = [
    ("us-ssn", r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", us_ssn, &[]),
    (
        "us-ssn",
        r"\b[0-9]{9}\b",
        us_ssn,
        &["ssn", "social security", "itin"],
    ),
    (
        "ca-sin",
        r"\b[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{3}\b",
        ca_sin,
        &["sin", "social insurance"],
    ),
    (
        "uk-nino",
        r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]\b",
        uk_nino,
        &[],
    ),
    (
        "de-idnr",
        r"\b[1-9][0-9]{1}[ ]?[0-9]{3}[ ]?[0-9]{3}[ ]?[0-9]{3}\b",
        de_idnr,
        &[
            "steuer-id",
            "steuerid",
            "idnr",
            "steueridentifikationsnummer",
            "steuer",
            "tax id",
            "tin",
            "national id",
            "id number",
        ],
    ),
    (
        "fr-nir",
        r"\b[12] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}\b",
        fr_nir,
        &[],
    ),
    (
        "es-dni",
        r"\b(?:[0-9]{8}|[XYZ][0-9]{7})-?[A-HJ-NP-TV-Z]\b",
        es_dni,
        &[],
    ),
    (
        "it-cf",
        r"\b[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]\b",
        it_cf,
        &[],
    ),
    (
        "nl-bsn",
        r"\b[0-9]{9}\b",
        nl_bsn,
        &[
            "bsn",
            "burgerservicenummer",
            "sofinummer",
            "sofi",
            "national id",
            "id number",
        ],
    ),
    (
        "be-nn",
        r"\b[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}\b",
        be_nn,
        &[],
    ),
    (
        "be-nn",
        r"\b[0-9]{11}\b",
        be_nn,
        &[
            "rijksregister",
            "registre national",
            "national number",
            "national id",
            "nrn",
            "insz",
            "niss",
            "id number",
        ],
    ),
    (
        "ch-ahv",
        r"\b756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}\b",
        ch_ahv,
        &[],
    ),
    (
        "pl-pesel",
        r"\b[0-9]{11}\b",
        pl_pesel,
        &["pesel", "national id", "id number"],
    ),
    (
        "se-pnr",
        r"\b(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}\b",
        se_pnr,
        &[],
    ),
    ("no-fnr", r"\b[0-9]{6} ?[0-9]{5}\b", no_fnr, &[]),
    (
        "fi-hetu",
        r"\b[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]\b",
        fi_hetu,
        &[],
    ),
    (
        "dk-cpr",
        r"\b[0-9]{6}-[0-9]{4}\b",
        dk_cpr,
        &["cpr", "personnummer", "national id", "id number"],
    ),
    ("cz-rc", r"\b[0-9]{6}/[0-9]{3,4}\b", cz_rc, &[]),
    (
        "br-cpf",
        r"\b[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b",
        br_cpf,
        &[],
    ),
    (
        "br-cpf",
        r"\b[0-9]{11}\b",
        br_cpf,
        &["cpf", "national id", "id number"],
    ),
    (
        "in-aadhaar",
        r"\b[2-9][0-9]{3} [0-9]{4} [0-9]{4}\b",
        in_aadhaar,
        &[],
    ),
    (
        "in-aadhaar",
        r"\b[2-9][0-9]{11}\b",
        in_aadhaar,
        &["aadhaar", "aadhar", "uidai", "national id", "id number"],
    ),
];

impl NationalId {
    pub(crate) fn new() -> Result<Self, regex::Error> {
        let compiled = RULES.iter().map(|(name, form, check, words)| {
            Ok(Rule {
                name,
                form: Regex::new(form)?,
                check: *check,
                words,
            })
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        for rule in &self.0 {
            for candidate in rule.form.find_iter(text) {
                let at = candidate.range();
                let explained = rule.words.is_empty() || nearby::says(text, &at, rule.words);
                if explained && alone(text, &at) && (rule.check)(candidate.as_str()) {
                    found.push(Finding::new(Class::NationalId, rule.name, at));
                }
            }
        }
    }
}

/// Whether it stands alone: not a part of a longer number with dots or dashes, such as a version or a phone number.
fn alone(text: &str, at: &Range<usize>) -> bool {
    let before = text
        .get(..at.start)
        .and_then(|text| text.chars().next_back());
    let mut after = text.get(at.end..).unwrap_or_default().chars();
    let next = after.next();
    let digit_follows = after.next().is_some_and(|c| c.is_ascii_digit());
    let joined = text
        .get(at.clone())
        .is_some_and(|number| number.contains(' '))
        && ((next == Some(' ') && digit_follows)
            || text.get(..at.start).is_some_and(|text| {
                text.ends_with(' ') && text.trim_end().ends_with(|c: char| c.is_ascii_digit())
            }));
    let part_of = matches!(next, Some('.' | '-' | '/')) && digit_follows;
    !joined && !part_of && next != Some('_') && !matches!(before, Some('.' | '-' | '+' | '/' | '_'))
}

fn part(digits: &[u32], from: usize, len: usize) -> u32 {
    digits
        .iter()
        .skip(from)
        .take(len)
        .fold(0, |n, digit| n * 10 + digit)
}

/// Social Security Administration: no area 000 or 666, no group 00, no serial 0000; 900 to 999 are tax numbers (ITIN).
fn us_ssn(text: &str) -> bool {
    let d = digits(text);
    let (area, group, serial) = (part(&d, 0, 3), part(&d, 3, 2), part(&d, 5, 4));
    let itin = area >= 900 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99);
    area != 0 && area != 666 && group != 0 && serial != 0 && (area < 900 || itin)
}

fn ca_sin(text: &str) -> bool {
    let d = digits(text);
    !matches!(d.first(), Some(0 | 8)) && luhn(&d)
}

/// HMRC's prefixes that are not given out.
fn uk_nino(text: &str) -> bool {
    !matches!(
        text.get(..2),
        Some("BG" | "GB" | "KN" | "NK" | "NT" | "TN" | "ZZ") | None
    )
}

/// Abgabenordnung § 139b: ISO 7064 MOD 11,10; of the first ten digits one occurs twice or three times.
fn de_idnr(text: &str) -> bool {
    let d = digits(text);
    let most = (0..10)
        .map(|n| d.iter().take(10).filter(|digit| **digit == n).count())
        .max();
    d.len() == 11 && matches!(most, Some(2 | 3)) && mod11_10(&d)
}

/// INSEE: key = 97 - n mod 97, Corsica's 2A and 2B as 19 and 18.
fn fr_nir(text: &str) -> bool {
    let compact: String = text.chars().filter(|c| *c != ' ').collect();
    let d = digits(&compact.replace("2A", "19").replace("2B", "18"));
    let month = part(&d, 3, 2);
    d.len() == 15
        && matches!(month, 1..=12 | 20..=42 | 50..=99)
        && 97 - number(d.get(..13).unwrap_or_default()) % 97 == u64::from(part(&d, 13, 2))
}

/// Real Decreto 1553/2005: the letter is the number mod 23; X, Y, Z stand for 0, 1, 2.
fn es_dni(text: &str) -> bool {
    const LETTERS: &[u8] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let Some(letter) = text.bytes().last() else {
        return false;
    };
    let lead = match text.bytes().next() {
        Some(b'X') => "0",
        Some(b'Y') => "1",
        Some(b'Z') => "2",
        _ => "",
    };
    let n = number(&digits(&format!("{lead}{text}")));
    LETTERS.get(usize::try_from(n % 23).unwrap_or(usize::MAX)) == Some(&letter)
}

/// DM 23 dicembre 1976: places 1, 3, 5 … have weights of their own, the others count as they are; mod 26.
fn it_cf(text: &str) -> bool {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let place = |c: char| c.to_digit(36).map(|n| if n < 10 { n } else { n - 10 });
    let sum: Option<u32> = text
        .chars()
        .take(15)
        .enumerate()
        .map(|(at, c)| {
            let place = place(c)?;
            if at % 2 == 0 {
                ODD.get(place as usize).copied()
            } else {
                Some(place)
            }
        })
        .sum();
    let check = text.chars().nth(15).and_then(place);
    sum.map(|sum| sum % 26) == check && check.is_some()
}

/// Wet algemene bepalingen burgerservicenummer: the eleven test, with -1 for the last digit.
fn nl_bsn(text: &str) -> bool {
    let d = digits(text);
    let sum = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]);
    let last = d.last().copied().unwrap_or_default();
    part(&d, 0, 9) != 0 && sum >= last && (sum - last).is_multiple_of(11)
}

/// Rijksregister: 97 - n mod 97, with a 2 in front of n for those born from 2000 on.
fn be_nn(text: &str) -> bool {
    let d = digits(text);
    let n = number(d.get(..9).unwrap_or_default());
    let check = u64::from(part(&d, 9, 2));
    let dated = matches!(part(&d, 2, 2), 0..=12 | 20..=32 | 40..=52) && part(&d, 4, 2) <= 31;
    d.len() == 11 && dated && (97 - n % 97 == check || 97 - (2_000_000_000 + n) % 97 == check)
}

/// Thirteen digits with the check of EAN-13.
fn ch_ahv(text: &str) -> bool {
    let d = digits(text);
    d.len() == 13 && weighted(&d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// Weights 1 3 7 9; the century is in the month.
fn pl_pesel(text: &str) -> bool {
    let d = digits(text);
    day(part(&d, 2, 2) % 20, part(&d, 4, 2))
        && weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

/// Skatteverket SKV 704: Luhn over ten digits; the day has 60 added in a coordination number.
fn se_pnr(text: &str) -> bool {
    let d = digits(text);
    let ten = d.get(d.len().saturating_sub(10)..).unwrap_or_default();
    let born = part(ten, 4, 2);
    day(part(ten, 2, 2), if born > 60 { born - 60 } else { born }) && luhn(ten)
}

/// Skatteetaten: two check digits modulo 11.
fn no_fnr(text: &str) -> bool {
    let d = digits(text);
    day(part(&d, 2, 2), part(&d, 0, 2) % 40)
        && weighted(&d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Digital and Population Data Services Agency: nine digits modulo 31 choose the last character.
fn fi_hetu(text: &str) -> bool {
    const CHECK: &[u8] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let body: String = text.chars().take(10).collect();
    let d = digits(
        &body
            .chars()
            .enumerate()
            .filter(|(at, _)| *at != 6)
            .map(|(_, c)| c)
            .collect::<String>(),
    );
    let n = usize::try_from(number(&d) % 31).unwrap_or(usize::MAX);
    d.len() == 9
        && day(part(&d, 2, 2), part(&d, 0, 2))
        && CHECK.get(n).copied() == text.bytes().last()
}

/// A date and a serial; its old check has not been kept up since 2007.
fn dk_cpr(text: &str) -> bool {
    let d = digits(text);
    day(part(&d, 2, 2), part(&d, 0, 2))
}

/// Zákon 133/2000: divisible by 11 since 1954, nine digits without a check before; the month has 50 added for women, 20 when numbers ran out.
fn cz_rc(text: &str) -> bool {
    let d = digits(text);
    let month = part(&d, 2, 2) % 50;
    let dated = day(if month > 20 { month - 20 } else { month }, part(&d, 4, 2));
    dated
        && (if d.len() == 10 {
            number(&d).is_multiple_of(11)
        } else {
            part(&d, 0, 2) < 54 && part(&d, 6, 3) != 0
        })
}

/// Receita Federal: two check digits modulo 11; a number of one digit only is not given out.
fn br_cpf(text: &str) -> bool {
    let d = digits(text);
    let check = |n: usize| {
        let sum: u32 = d
            .iter()
            .take(n)
            .zip((2..=11_u32).take(n).collect::<Vec<_>>().iter().rev())
            .map(|(digit, weight)| digit * weight)
            .sum();
        let rest = sum * 10 % 11 % 10;
        d.get(n) == Some(&rest)
    };
    d.len() == 11 && d.iter().any(|digit| Some(digit) != d.first()) && check(9) && check(10)
}

/// UIDAI: Verhoeff over twelve digits.
fn in_aadhaar(text: &str) -> bool {
    verhoeff(&digits(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        NationalId::new().unwrap().find(text, &mut found);
        found.into_iter().map(|finding| finding.rule).collect()
    }

    // Examples that the authorities themselves print.
    #[test]
    fn examples_of_each_country_are_found() {
        for (rule, text) in [
            ("us-ssn", "219-09-9999"),
            (
                "uk-nino",
                "QQ 12 34 56 C is not given out, but AB 12 34 56 C is",
            ),
            ("de-idnr", "IdNr 86095742719"),
            ("fr-nir", "2 55 08 14 168 025 38"),
            ("es-dni", "12345678Z"),
            ("it-cf", "RSSMRA85T10A562S"),
            ("nl-bsn", "BSN: 111222333"),
            ("be-nn", "85.07.30-033.28"),
            ("ch-ahv", "756.9217.0769.85"),
            ("pl-pesel", "PESEL 44051401359"),
            ("se-pnr", "811218-9876"),
            ("fi-hetu", "131052-308T"),
            ("br-cpf", "111.444.777-35"),
        ] {
            assert_eq!(found(text), [rule], "{text}");
        }
    }

    #[test]
    fn a_wrong_check_or_no_word_nearby_is_nothing() {
        for text in [
            "111222333",
            "IdNr 86095742718",
            "12345678A",
            "756.9217.0769.86",
            "811218-9877",
            "000-12-3456",
            "1.219-09-9999",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
    }
}
