//! The one line that a model gets of a refusal: it begins with what the model has to do, whatever room said no.

use remit_domain::{Refusal, RefusalCode};

/// What a line can begin with. `INSTRUCTIONS` of an endpoint tell models what each means.
const WORDS: [&str; 8] = [
    "DENIED",
    "PENDING",
    "AMBIGUOUS",
    "CANCELLED",
    "EXPIRED",
    "STALE",
    "UNAVAILABLE",
    "FAILED",
];

/// The first word of a refusal, and what to do about it.
const fn table(code: RefusalCode) -> (&'static str, &'static str) {
    use RefusalCode as C;
    match code {
        C::Contained | C::AgentNotActive | C::NoAccountablePerson => (
            "DENIED",
            "Do not retry; nothing is allowed until a person lifts this. Tell the person",
        ),
        C::RunEnded | C::RunUnknown => (
            "DENIED",
            "Do not retry in this run; tell the person that it is over",
        ),
        C::ApprovalRequired | C::ApprovalPending => (
            "PENDING",
            "Call again with the same arguments after it is approved",
        ),
        C::ApprovalExpired => ("EXPIRED", "Call again to ask anew"),
        C::ApprovalStale => ("STALE", "Call again to ask anew"),
        C::ApprovalCancelled | C::Cancelled => ("CANCELLED", "Do not retry; tell the person"),
        C::Ambiguous => ("AMBIGUOUS", "Do not retry it; find out first"),
        C::SnapshotStale | C::Limited | C::LedgerUnavailable | C::Timeout => {
            ("UNAVAILABLE", "Nothing was sent; wait, and try again later")
        }
        C::UpstreamUnreachable | C::CredentialUnavailable => {
            ("UNAVAILABLE", "Nothing was sent; tell the person")
        }
        C::UpstreamInvalid | C::TooLarge => {
            ("FAILED", "Do not repeat it before finding out what it did")
        }
        C::ArgumentsInvalid | C::InvalidRequest => {
            ("DENIED", "Nothing was sent; mend the arguments")
        }
        _ => ("DENIED", "Do not retry the same call"),
    }
}

/// The line. What already says both is left as it is.
pub(super) fn line(refusal: &Refusal) -> String {
    let text = refusal.text.trim_end_matches('.');
    if WORDS.iter().any(|word| text.starts_with(word)) {
        return text.to_owned();
    }
    let (word, then) = table(refusal.code);
    format!("{word}: {text}. {then}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_begins_with_a_word_and_is_one_line() {
        for code in RefusalCode::ALL {
            let line = line(&Refusal::new(code, "the run is suspended"));
            let word = line.split(':').next().unwrap();
            assert!(WORDS.contains(&word), "{line}");
            assert!(!line.contains('\n') && line.len() < 300, "{line}");
            assert!(line.contains("the run is suspended"), "{line}");
        }
    }

    #[test]
    fn what_says_it_already_is_not_said_twice() {
        let text = "DENIED by policy: 500 > 100 (cap). Do not retry the same call";
        assert_eq!(line(&Refusal::new(RefusalCode::Denied, text)), text);
        let text = "PENDING approval apr_1: waits";
        assert_eq!(
            line(&Refusal::new(RefusalCode::ApprovalPending, text)),
            text
        );
    }

    #[test]
    fn an_agent_that_was_stopped_is_told_to_stop() {
        let line = line(&Refusal::new(
            RefusalCode::Contained,
            "agent bot is contained (kill): leak",
        ));
        assert!(
            line.starts_with("DENIED: agent bot is contained (kill): leak. Do not retry"),
            "{line}"
        );
    }
}
