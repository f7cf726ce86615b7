//! The rules over a JSON document: every string, every number that could be one of the numbers, and names of fields.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::email::is_list;
use crate::limits::{DEPTH_MAX, FINDINGS_MAX};
use crate::scan::{TooMuch, settle};
use crate::{Class, Classifier, Finding};

/// Names of members shorter than this hold nothing of what is looked for.
const NAME_MIN: usize = 9;

/// One thing found in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFinding {
    /// What it is.
    pub class: Class,
    /// The rule that found it.
    pub rule: &'static str,
    /// The string or number that holds it, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// Whether it is in the member's name rather than in its value.
    pub in_name: bool,
}

/// How what was found is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// Nothing of it is left: `[redacted payment-card]`.
    Redact,
    /// The last four characters of a card or account number are left, to tell one from another; anything else is redacted.
    Mask,
}

/// Why a document could not be looked at whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unscannable {
    /// A string in it is too long, or too much was found.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// It is nested deeper than [`DEPTH_MAX`].
    #[error("the document is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// The name of a member holds what should be covered, and names cannot be covered.
    #[error("a member's name in the document holds a {0}, and names cannot be covered")]
    InName(Class),
}

impl Classifier {
    /// Everything found in a document. Never a part of it: more than [`FINDINGS_MAX`] is [`TooMuch`].
    ///
    /// # Errors
    /// [`Unscannable`]: what it holds is not known.
    pub fn scan_value(&self, value: &Value) -> Result<Vec<ValueFinding>, Unscannable> {
        let mut walk = Walk {
            rules: self,
            found: Vec::new(),
            addresses: Vec::new(),
        };
        walk.value(value, None, &mut String::new(), 0)?;
        let Walk {
            mut found,
            addresses,
            ..
        } = walk;
        if is_list(addresses.iter().map(|(address, _)| address.as_str())) {
            let holders: BTreeSet<String> =
                addresses.into_iter().map(|(_, pointer)| pointer).collect();
            found.extend(holders.into_iter().map(|pointer| ValueFinding {
                class: Class::EmailList,
                rule: "email-list",
                pointer,
                in_name: false,
            }));
        }
        Ok(found)
    }

    /// Covers what is of these classes in a document, and says how many places were covered.
    ///
    /// # Errors
    /// [`Unscannable`]: nothing was changed, and the document must not be passed on.
    pub fn cover_value(
        &self,
        value: &mut Value,
        classes: &BTreeSet<Class>,
        how: Cover,
    ) -> Result<usize, Unscannable> {
        let found = self.scan_value(value)?;
        if let Some(finding) = found
            .iter()
            .find(|finding| finding.in_name && classes.contains(&finding.class))
        {
            return Err(Unscannable::InName(finding.class));
        }
        let listed = found
            .iter()
            .any(|finding| finding.class == Class::EmailList);
        let pointers: BTreeSet<&String> = found
            .iter()
            .filter(|finding| classes.contains(&finding.class))
            .map(|finding| &finding.pointer)
            .collect();
        let mut covered = 0;
        for pointer in pointers {
            let Some(place) = value.pointer_mut(pointer) else {
                continue;
            };
            let field = pointer.rsplit('/').next().filter(|name| !name.is_empty());
            covered += self.cover_leaf(place, field, classes, how, listed)?;
        }
        Ok(covered)
    }

    /// Covers what is of these classes in a text, and says how many places were covered.
    ///
    /// # Errors
    /// [`TooMuch`]: the text must not be passed on.
    pub fn cover(
        &self,
        text: &str,
        classes: &BTreeSet<Class>,
        how: Cover,
    ) -> Result<(String, usize), TooMuch> {
        let found = self.scan(text)?;
        Ok(cover_all(
            text,
            found
                .iter()
                .filter(|finding| classes.contains(&finding.class)),
            how,
        ))
    }

    fn cover_leaf(
        &self,
        place: &mut Value,
        field: Option<&str>,
        classes: &BTreeSet<Class>,
        how: Cover,
        listed: bool,
    ) -> Result<usize, TooMuch> {
        let text = match place {
            Value::String(text) => std::mem::take(text),
            Value::Number(number) => number.to_string(),
            _ => return Ok(0),
        };
        let (found, addresses) = self.parts(&text)?;
        let mut found = found;
        if listed {
            found.extend(
                addresses
                    .into_iter()
                    .map(|(_, at)| Finding::new(Class::EmailList, "email-list", at)),
            );
        }
        if field.is_some_and(|field| self.secret.in_field(field, &text)) {
            found.push(Finding::new(Class::Secret, "secret-field", 0..text.len()));
        }
        if let Some(field) = field {
            found.extend(self.with_field(field, &text)?);
        }
        let found = settle(found);
        let (covered, count) = cover_all(
            &text,
            found
                .iter()
                .filter(|finding| classes.contains(&finding.class)),
            how,
        );
        *place = Value::String(covered);
        Ok(count)
    }

    /// What a value is when the name of its field explains it, as in `"bsn": "111222333"`.
    fn with_field(&self, field: &str, text: &str) -> Result<Vec<Finding>, TooMuch> {
        if text.len() > 64 || !text.contains(|c: char| c.is_ascii_digit()) {
            return Ok(Vec::new());
        }
        let lead = format!("{}: ", field.replace(['_', '-', '.'], " "));
        let (found, _) = self.parts(&format!("{lead}{text}"))?;
        let inside = found
            .into_iter()
            .filter(|finding| finding.at.start >= lead.len());
        Ok(inside
            .map(|finding| {
                Finding::new(
                    finding.class,
                    finding.rule,
                    finding.at.start - lead.len()..finding.at.end - lead.len(),
                )
            })
            .collect())
    }
}

fn cover_all<'a>(
    text: &str,
    found: impl Iterator<Item = &'a Finding>,
    how: Cover,
) -> (String, usize) {
    let mut covered = String::with_capacity(text.len());
    let mut from = 0;
    let mut count = 0;
    for finding in found {
        if finding.at.start < from {
            // A marker may overlap what is covered already; the rest of it goes too.
            from = from.max(finding.at.end);
            continue;
        }
        covered.push_str(text.get(from..finding.at.start).unwrap_or_default());
        covered.push_str(&cover_text(
            text.get(finding.at.clone()).unwrap_or_default(),
            finding.class,
            how,
        ));
        from = finding.at.end;
        count += 1;
    }
    covered.push_str(text.get(from..).unwrap_or_default());
    (covered, count)
}

fn cover_text(text: &str, class: Class, how: Cover) -> String {
    let numbered = matches!(class, Class::Card | Class::Bank);
    let rest: Vec<char> = text.chars().filter(char::is_ascii_alphanumeric).collect();
    match rest.len().checked_sub(4).and_then(|from| rest.get(from..)) {
        Some(last) if numbered && how == Cover::Mask => {
            format!("[{class} ending {}]", last.iter().collect::<String>())
        }
        _ => format!("[redacted {class}]"),
    }
}

struct Walk<'a> {
    rules: &'a Classifier,
    found: Vec<ValueFinding>,
    addresses: Vec<(String, String)>,
}

impl Walk<'_> {
    fn value(
        &mut self,
        value: &Value,
        field: Option<&str>,
        pointer: &mut String,
        depth: usize,
    ) -> Result<(), Unscannable> {
        if depth > DEPTH_MAX {
            return Err(Unscannable::TooDeep);
        }
        let len = pointer.len();
        match value {
            Value::String(text) => self.leaf(text, field, pointer)?,
            Value::Number(number) => {
                let text = number.to_string();
                if text.len() >= 9 {
                    self.leaf(&text, field, pointer)?;
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    pointer.push_str(&format!("/{at}"));
                    self.value(item, field, pointer, depth + 1)?;
                    pointer.truncate(len);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    pointer.push('/');
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    if name.len() >= NAME_MIN {
                        self.name(name, pointer)?;
                    }
                    self.value(member, Some(name), pointer, depth + 1)?;
                    pointer.truncate(len);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
        Ok(())
    }

    fn name(&mut self, name: &str, pointer: &str) -> Result<(), TooMuch> {
        let (found, addresses) = self.rules.parts(name)?;
        let told = self.with_room(settle(found))?;
        self.found
            .extend(told.into_iter().map(|finding| ValueFinding {
                class: finding.class,
                rule: finding.rule,
                pointer: pointer.to_owned(),
                in_name: true,
            }));
        self.addresses.extend(
            addresses
                .into_iter()
                .map(|(address, _)| (address, pointer.to_owned())),
        );
        Ok(())
    }

    /// The findings, if they are not too many with those there are: what is not told would not be covered.
    fn with_room(&self, found: Vec<Finding>) -> Result<Vec<Finding>, TooMuch> {
        let all = self
            .found
            .len()
            .saturating_add(self.addresses.len())
            .saturating_add(found.len());
        if all > FINDINGS_MAX {
            Err(TooMuch::Found)
        } else {
            Ok(found)
        }
    }

    fn leaf(&mut self, text: &str, field: Option<&str>, pointer: &str) -> Result<(), TooMuch> {
        let (mut found, addresses) = self.rules.parts(text)?;
        if let Some(field) = field {
            if self.rules.secret.in_field(field, text) {
                found.push(Finding::new(Class::Secret, "secret-field", 0..text.len()));
            }
            found.extend(self.rules.with_field(field, text)?);
        }
        let told = self.with_room(settle(found))?;
        self.found
            .extend(told.into_iter().map(|finding| ValueFinding {
                class: finding.class,
                rule: finding.rule,
                pointer: pointer.to_owned(),
                in_name: false,
            }));
        self.addresses.extend(
            addresses
                .into_iter()
                .map(|(address, _)| (address, pointer.to_owned())),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    static RULES: std::sync::LazyLock<Classifier> =
        std::sync::LazyLock::new(|| Classifier::new().unwrap());

    fn covered(mut value: Value, how: Cover) -> Value {
        let classes = Class::ALL.into_iter().collect();
        RULES.cover_value(&mut value, &classes, how).unwrap();
        value
    }

    #[test]
    fn what_is_found_is_covered_where_it_stands_and_nothing_else() {
        let value = json!({
            "customer": { "name": "Ana", "bsn": "111222333", "pan": 4_111_111_111_111_111_u64 },
            "note": "pay DE44 5001 0517 5407 3249 31 today",
            "login": { "clientSecret": "kX9#mQ2$vL7pR4" },
            "total": 12.5,
        });
        let expected = json!({
            "customer": { "name": "Ana", "bsn": "[redacted national-id]", "pan": "[payment-card ending 1111]" },
            "note": "pay [bank-account ending 4931] today",
            "login": { "clientSecret": "[redacted secret]" },
            "total": 12.5,
        });
        assert_eq!(covered(value, Cover::Mask), expected);
    }

    #[test]
    fn addresses_spread_over_a_document_are_a_list() {
        let people: Vec<Value> = (0..5)
            .map(|n| json!({ "mail": format!("p{n}@acme.example") }))
            .collect();
        assert_eq!(
            covered(json!(people), Cover::Redact)[4]["mail"],
            "[redacted email-list]"
        );
        let few = json!(["a@acme.example", "b@acme.example"]);
        assert_eq!(covered(few.clone(), Cover::Redact), few);
    }

    #[test]
    fn a_number_hidden_in_wide_digits_or_marks_is_found() {
        let hidden = json!("\u{ff14}111 1111\u{200b} 1111 1111");
        assert_eq!(covered(hidden, Cover::Redact), "[redacted payment-card]");
    }

    #[test]
    fn a_flood_of_findings_does_not_let_the_rest_through() {
        let many = "4111111111111111 x ".repeat(FINDINGS_MAX + 1);
        let classes = [Class::Card].into_iter().collect();
        for mut value in [
            json!(many),
            json!(vec!["4111111111111111"; FINDINGS_MAX + 1]),
        ] {
            let refused = RULES.cover_value(&mut value, &classes, Cover::Redact);
            assert_eq!(refused, Err(Unscannable::TooMuch(TooMuch::Found)));
        }
    }

    #[test]
    fn a_name_that_cannot_be_covered_and_depth_are_refused() {
        let classifier = &*RULES;
        let classes = Class::ALL.into_iter().collect();
        let mut named = json!({ "4111111111111111": true });
        let refused = classifier.cover_value(&mut named, &classes, Cover::Redact);
        assert_eq!(refused, Err(Unscannable::InName(Class::Card)));
        let deep = (0..200).fold(json!("x"), |inner, _| json!([inner]));
        assert_eq!(classifier.scan_value(&deep), Err(Unscannable::TooDeep));
    }

    proptest::proptest! {
        #[test]
        fn covered_text_holds_nothing_more(text in "(\\PC|4111111111111111|DE44500105175407324931| ){0,12}") {
            let classifier = &*RULES;
            let classes = [Class::Card, Class::Bank].into_iter().collect();
            let (covered, _) = classifier.cover(&text, &classes, Cover::Redact).unwrap();
            let left = classifier.scan(&covered).unwrap();
            proptest::prop_assert!(!left.iter().any(|finding| classes.contains(&finding.class)));
        }
    }
}
