//! What an upstream's words hold, whatever its tool was declared to hold: looked for before anybody sees them. That goes for
//! results, and as much for errors, progress, log messages and questions.
//!
//! What is found raises labels on the run and on its agent, and they are durable before the result is released. What cannot
//! be looked into is withheld where its tool touches regulated data. Nothing here permits anything.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use remit_books::labels::agent_scope;
use remit_classify::{Class, Classifier};
use remit_domain::name::Name;
use remit_domain::{Refusal, RefusalCode};
use remit_policy::labels::UNTRUSTED;
use remit_ports::upstreams::UpstreamError;
use serde_json::{Map, Value, json};

use crate::call::{Authorized, Recorded, Resolved};
use crate::runs::is_due;

/// The rules; none when they do not compile, which its tests would show: then nothing can be looked into.
static RULES: LazyLock<Option<Classifier>> = LazyLock::new(|| {
    Classifier::new()
        .inspect_err(|error| tracing::error!(%error, "the classifiers do not compile"))
        .ok()
});

/// The rules, where there are any.
pub(crate) fn rules() -> Option<&'static Classifier> {
    RULES.as_ref()
}

/// What was seen in a result.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    classes: BTreeSet<Class>,
    /// Whether a part of it could not be looked into: pictures and other binary content, what is too deep or too long.
    blind: bool,
}

/// Looks into a result.
pub(crate) fn look(result: &Map<String, Value>) -> Seen {
    look_at(result.values())
}

/// Looks into what an upstream says with an error.
pub(crate) fn look_at_error(error: &UpstreamError) -> Seen {
    match error {
        UpstreamError::Rpc { message, data, .. } => {
            look_at(std::iter::once(&json!(message)).chain(data))
        }
        UpstreamError::Invalid(why)
        | UpstreamError::Unreachable(why)
        | UpstreamError::Unauthorized(why)
        | UpstreamError::Ambiguous(why) => look_at([&json!(why)]),
        UpstreamError::Cancelled | UpstreamError::TooLarge(_) => Seen::default(),
    }
}

/// Looks into what an upstream says in the middle of a call. The token that ties it to the call is not its own words.
pub(crate) fn look_at_notice(notice: &Value) -> Seen {
    let params = notice.get("params").and_then(Value::as_object);
    let words = params.into_iter().flatten();
    look_at(
        words
            .filter(|(name, _)| *name != "progressToken")
            .map(|(_, value)| value),
    )
}

fn look_at<'a>(parts: impl IntoIterator<Item = &'a Value>) -> Seen {
    let parts: Vec<&Value> = parts.into_iter().collect();
    let found = rules().map(|rules| {
        let parts = parts.iter().map(|part| rules.scan_value(part));
        parts.collect::<Result<Vec<_>, _>>()
    });
    let Some(Ok(found)) = found else {
        return Seen {
            classes: BTreeSet::new(),
            blind: true,
        };
    };
    Seen {
        classes: found
            .into_iter()
            .flatten()
            .map(|finding| finding.class)
            .collect(),
        blind: parts.into_iter().any(has_binary),
    }
}

/// Whether content of MCP's binary kinds is in it: `data` of a picture or sound, `blob` of a resource. Neither needs to say
/// what it is.
fn has_binary(value: &Value) -> bool {
    match value {
        Value::Array(parts) => parts.iter().any(has_binary),
        Value::Object(map) => {
            let text = |name: &str| map.get(name).is_some_and(Value::is_string);
            let kind = map.get("type").and_then(Value::as_str);
            let media = matches!(kind, Some("image" | "audio")) || text("mimeType");
            (media && text("data"))
                || (text("blob") && (text("uri") || text("mimeType")))
                || map.values().any(has_binary)
        }
        _ => false,
    }
}

impl Seen {
    /// With what else was seen of the same call.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.classes.extend(other.classes);
        self.blind |= other.blind;
        self
    }

    /// Labels of what was seen.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &'static str> {
        // What nobody has looked into is content that nobody vouches for.
        let injected =
            (self.blind || self.classes.contains(&Class::Injection)).then_some(UNTRUSTED);
        let classes: Vec<_> = self.classes.iter().map(|class| class.as_str()).collect();
        classes.into_iter().chain(injected)
    }

    /// Names of what was found, for the entry of the outcome.
    pub(crate) fn names(&self) -> Option<Vec<&'static str>> {
        (!self.classes.is_empty())
            .then(|| self.classes.iter().map(|class| class.as_str()).collect())
    }

    /// Every label of what was found, on these scopes.
    pub(crate) fn labels_on(&self, scopes: &[String]) -> Vec<(String, String)> {
        let labels: Vec<_> = self.labels().collect();
        let on = |scope: &String| {
            let labels = labels.iter();
            labels
                .map(|label| (scope.clone(), (*label).to_owned()))
                .collect::<Vec<_>>()
        };
        scopes.iter().flat_map(on).collect()
    }

    /// Labels to raise, by scope: those that are new, or were raised too long ago.
    pub(crate) fn raise(&self, call: &Authorized) -> Vec<(String, String)> {
        let labels: Vec<&str> = self.labels().collect();
        let run = &call.resolved.standing.run;
        let scopes = [
            (run.root.to_string(), &call.resolved.labels),
            (agent_scope(&run.agent), &call.resolved.own),
        ];
        let due = |(scope, known): (String, _)| {
            let due = labels
                .iter()
                .filter(move |label| is_due(known, label, call.dynamic.now));
            due.map(move |label| (scope.clone(), (*label).to_owned()))
                .collect::<Vec<_>>()
        };
        scopes.into_iter().flat_map(due).collect()
    }

    /// Why the result is not released, if it is not.
    pub(crate) fn withheld(&self, call: &Recorded) -> Option<Refusal> {
        let class = self.unseen(&call.authorized)?;
        let text = format!(
            "WITHHELD: a part of the result cannot be looked into (binary, too deep or too long), and the tool touches {class}. The call has had its effect; ask for text"
        );
        Some(Refusal::new(RefusalCode::Denied, text))
    }

    /// Whether it is not passed on: it cannot be looked into, and its tool touches regulated data.
    pub(crate) fn is_withheld(&self, call: &Authorized) -> bool {
        self.unseen(call).is_some()
    }

    /// The regulated class of the tool whose words cannot be looked into.
    fn unseen<'a>(&self, call: &'a Authorized) -> Option<&'a Name> {
        regulated(&call.resolved).filter(|_| self.blind)
    }

    /// Of what nobody looks into.
    pub(crate) fn nothing() -> Self {
        Self {
            blind: true,
            ..Self::default()
        }
    }
}

/// A regulated class that the tool of a call touches.
pub(crate) fn regulated(call: &Resolved) -> Option<&Name> {
    let fixed = call.fixed();
    let classes = &call.tool.classification.as_ref()?.data_classes;
    classes
        .iter()
        .find(|class| fixed.is_regulated(class.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(result: &Value) -> Seen {
        look(result.as_object().unwrap())
    }

    #[test]
    fn every_form_of_content_is_looked_into_and_binary_is_not_passed_over() {
        for result in [
            json!({ "content": [{ "type": "text", "text": "pay DE44500105175407324931" }] }),
            json!({ "structuredContent": { "rows": [{ "iban": "DE44500105175407324931" }] } }),
            json!({ "contents": [{ "uri": "a:b", "text": "DE44500105175407324931" }] }),
            json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "DE44500105175407324931" } }] }),
        ] {
            let seen = seen(&result);
            assert_eq!(seen.names(), Some(vec!["bank-account"]), "{result}");
            assert!(!seen.blind);
        }
        for result in [
            json!({ "content": [{ "type": "image", "mimeType": "image/png", "data": "AAAA" }] }),
            json!({ "contents": [{ "uri": "a:b", "mimeType": "application/pdf", "blob": "AAAA" }] }),
            json!({ "contents": [{ "uri": "a:b", "blob": "AAAA" }] }),
            json!({ "content": [{ "type": "audio", "data": "AAAA" }] }),
        ] {
            assert!(seen(&result).blind, "{result}");
        }
        let meta = json!({ "content": [], "_meta": { "x": "DE44500105175407324931" } });
        assert_eq!(seen(&meta).names(), Some(vec!["bank-account"]));
    }
}
