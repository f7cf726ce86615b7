//! Labels: what a call brings into its run (information flow).
//!
//! One label set per root run, shared by its children, only growing. A rule such as "no external send once customer
//! data was read" is one policy over `context.labels` and `resource.external`.

use std::collections::BTreeSet;

use remit_domain::tool::Classification;

/// The label of content nobody vouches for.
pub const UNTRUSTED: &str = "untrusted";

/// The labels that a call of a tool so classified raises when it is admitted: its data classes, and `untrusted` where
/// its results carry such content. Findings in a result come on top before the result is released.
pub fn raised(classification: &Classification) -> BTreeSet<String> {
    let classes = classification.data_classes.iter().map(ToString::to_string);
    classes
        .chain(
            classification
                .untrusted_content
                .then(|| UNTRUSTED.to_owned()),
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_raises_its_data_classes_and_untrusted_content() {
        let json = serde_json::json!({ "effect": "read", "data_classes": ["customer-pii"], "untrusted_content": true });
        let raised = raised(&serde_json::from_value(json).unwrap());
        assert_eq!(
            raised.into_iter().collect::<Vec<_>>(),
            ["customer-pii", "untrusted"]
        );
    }
}
