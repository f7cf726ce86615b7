//! Labels: what a call brings into its run (information flow).
//!
//! One label set per root run, shared by its children. It only grows, but for what people declassify. A rule such as "no
//! external send once customer data was read" is one policy over `context.labels` and `resource.external`.
//!
//! A tool that declares which argument names the customer raises a label of that customer too, as a digest: who it is stays
//! out of what is kept in clear. Two customers are told apart; where there are more, that there are is all that is kept.

use std::collections::BTreeSet;

use remit_domain::tool::{Classification, Effect};
use serde_json::Value;

use crate::schema::is_external;

/// The label of content nobody vouches for.
pub const UNTRUSTED: &str = "untrusted";
/// The label of text that speaks to a model, as classifiers find it: no data, so nothing private.
const INJECTION: &str = "injection-marker";
/// What labels of customers begin with.
pub const CUSTOMER: &str = "customer:";
/// The label of a run that has touched more customers than are told apart, or nobody knows which.
pub const SEVERAL: &str = "customer:several";
/// Most customers of one run that are told apart: with two, a call for one of them already mixes.
const APART: usize = 2;

/// The labels that a call of a tool so classified raises when it is admitted: its data classes, `untrusted` where its
/// results carry such content, and the customer whose data it touches. Findings in a result come on top before the result
/// is released.
///
/// - `known`: the labels the run has before.
pub fn raised(
    classification: &Classification,
    args: &Value,
    known: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut out = kinds(classification);
    for customer in customers(classification, args) {
        let apart = known
            .union(&out)
            .filter(|l| l.starts_with(CUSTOMER))
            .count();
        if known.contains(&customer) || apart < APART {
            out.insert(customer);
        } else {
            out.insert(SEVERAL.to_owned());
        }
    }
    out
}

/// The labels that every call of a tool so classified raises, whatever its arguments.
pub fn kinds(classification: &Classification) -> BTreeSet<String> {
    let classes = classification.data_classes.iter().map(ToString::to_string);
    classes
        .chain(
            classification
                .untrusted_content
                .then(|| UNTRUSTED.to_owned()),
        )
        .collect()
}

/// Whether a label says that the run has seen data that is somebody's: anything but where content comes from.
pub fn is_private(label: &str) -> bool {
    label != UNTRUSTED && label != INJECTION
}

/// The customers a call touches, as labels; none where its tool does not say which argument names them.
fn customers(classification: &Classification, args: &Value) -> BTreeSet<String> {
    let Some(path) = &classification.customer else {
        return BTreeSet::new();
    };
    let named: Vec<&Value> = match path.find(args) {
        Some(Value::Array(several)) => several.iter().collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one],
    };
    // A call that may name its customer and does not is about any of them.
    let labels: Option<BTreeSet<String>> = named.into_iter().map(label_of).collect();
    match labels {
        Some(labels) if !labels.is_empty() => labels,
        _ => BTreeSet::from([SEVERAL.to_owned()]),
    }
}

fn label_of(value: &Value) -> Option<String> {
    let digest = crate::digest::canonical(value).ok()?;
    Some(format!("{CUSTOMER}{}", digest.get(..32)?))
}

/// Why a call mixes customers, in one line: it acts on one, or sends to one, in a run that has touched another.
pub(crate) fn mixes(
    classification: &Classification,
    args: &Value,
    known: &BTreeSet<String>,
) -> Option<String> {
    let harmless = matches!(classification.effect, Effect::Read | Effect::Draft)
        && !is_external(classification);
    if harmless || classification.customer.is_none() {
        return None;
    }
    let before: BTreeSet<&str> = known
        .iter()
        .filter(|l| l.starts_with(CUSTOMER))
        .map(String::as_str)
        .collect();
    if before.is_empty() {
        return None;
    }
    let own = customers(classification, args);
    let alone = own.len() == 1
        && before.len() == 1
        && !before.contains(SEVERAL)
        && own.iter().all(|l| before.contains(l.as_str()));
    (!alone).then(|| {
        "the run has touched data of another customer than the call names: open a run for each customer".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn classified(json: Value) -> Classification {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_call_raises_its_data_classes_and_untrusted_content() {
        let read = classified(
            json!({ "effect": "read", "data_classes": ["customer-pii"], "untrusted_content": true }),
        );
        let raised = raised(&read, &json!({}), &BTreeSet::new());
        assert_eq!(
            raised.into_iter().collect::<Vec<_>>(),
            ["customer-pii", "untrusted"]
        );
    }

    #[test]
    fn acting_on_one_customer_after_touching_another_mixes() {
        let read = classified(json!({ "effect": "read", "customer": "id" }));
        let act = classified(json!({ "effect": "write", "customer": "customer.id" }));
        let send = classified(json!({ "effect": "read", "external": true, "customer": "to" }));
        let (a, b) = (json!({ "id": "A" }), json!({ "id": "B" }));
        let seen = raised(&read, &a, &BTreeSet::new());
        assert!(
            seen.iter()
                .all(|l| !l.contains("\"A\"") && l.len() == 9 + 32)
        );
        let on = |id: &str| json!({ "customer": { "id": id } });
        assert_eq!(mixes(&act, &on("A"), &seen), None);
        assert!(mixes(&act, &on("B"), &seen).is_some());
        assert!(mixes(&act, &json!({}), &seen).is_some(), "names nobody");
        assert!(mixes(&send, &json!({ "to": ["A", "B"] }), &seen).is_some());
        assert_eq!(mixes(&read, &b, &seen), None, "reading mixes nothing yet");
        let both: BTreeSet<_> = seen.union(&raised(&read, &b, &seen)).cloned().collect();
        assert!(mixes(&act, &on("A"), &both).is_some());
        assert_eq!(mixes(&act, &on("A"), &BTreeSet::new()), None);
    }

    #[test]
    fn a_run_over_many_customers_keeps_few_labels() {
        let read = classified(json!({ "effect": "read", "customer": "id" }));
        let mut seen = BTreeSet::new();
        for n in 0..1_000 {
            seen.extend(raised(&read, &json!({ "id": n }), &seen));
        }
        assert_eq!(seen.len(), 3);
        assert!(seen.contains(SEVERAL));
        let act = classified(json!({ "effect": "write", "customer": "id" }));
        seen.retain(|l| l == SEVERAL);
        assert!(mixes(&act, &json!({ "id": 1 }), &seen).is_some());
    }

    proptest! {
        /// Whatever is called, in whatever order: what was raised stays, and declared classes are raised always.
        #[test]
        fn labels_only_grow(calls in proptest::collection::vec(
            (0u8..5, proptest::option::of(0u8..4), any::<bool>()), 1..20,
        )) {
            let mut seen = BTreeSet::new();
            for (class, customer, untrusted) in calls {
                let tool = classified(json!({
                    "effect": "read", "data_classes": [format!("class-{class}")], "untrusted_content": untrusted, "customer": "id",
                }));
                let args = customer.map_or(json!({}), |c| json!({ "id": c }));
                let before = seen.clone();
                seen.extend(raised(&tool, &args, &before));
                prop_assert!(seen.is_superset(&before));
                let class = format!("class-{class}");
                prop_assert!(seen.contains(&class));
                prop_assert!(!untrusted || seen.contains(UNTRUSTED));
                prop_assert!(seen.iter().any(|l| l.starts_with(CUSTOMER)));
            }
        }
    }
}
