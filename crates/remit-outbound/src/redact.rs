//! Takes secrets out of whatever an upstream says: one that was lent to it, or any other that the organization is known to
//! have, never reaches an agent, a log or an error, even if the server prints it.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use remit_classify::known::Found;
use remit_classify::{Known, Pieces};
use remit_ports::upstreams::{Lease, Seen, UpstreamError};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::slots::lock;

/// The secrets to keep out of what is said in one request, and what was said of it until now.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    /// Every known one, taken out where it stands whole.
    known: Arc<Known>,
    /// Those that were lent, of which beginnings are kept back too. Kept back of the others, they would be told, letter by
    /// letter, to whoever has a server say guesses.
    own: Arc<Known>,
    pieces: Mutex<Pieces>,
    seen: Seen,
    /// Whether what was lent is not among the known ones: a token that was got for this run.
    fresh: bool,
}

impl Redactor {
    pub(crate) fn of(lease: &Lease) -> Arc<Self> {
        let own = lent(lease);
        let known = lease.known.clone().unwrap_or_else(|| Arc::clone(&own));
        Arc::new(Self {
            known,
            own,
            pieces: Mutex::default(),
            seen: lease.seen.clone(),
            fresh: lease.token.is_some(),
        })
    }

    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let clean = self.known.text(text);
        if !self.fresh {
            return clean;
        }
        match self.own.text(&clean) {
            Cow::Borrowed(_) => clean,
            Cow::Owned(cleaner) => Cow::Owned(cleaner),
        }
    }

    /// Of what stands by itself.
    pub(crate) fn value(&self, value: &mut Value) {
        self.seen.add(self.known.value(value));
        if self.fresh {
            self.own.value(value);
        }
    }

    /// Of one of several messages, which may have a secret between them.
    pub(crate) fn piece(&self, value: &mut Value) {
        self.value(value);
        let mut pieces = lock(&self.pieces);
        self.note_own(self.own.piece(&mut pieces, value));
    }

    /// Of the answer, which comes after every message.
    pub(crate) fn answer(&self, value: &mut Value) {
        self.value(value);
        let pieces = lock(&self.pieces);
        self.note_own(self.own.last(&pieces, value));
    }

    /// What was found is numbered by where it was looked for.
    fn note_own(&self, found: Found) {
        if Arc::ptr_eq(&self.known, &self.own) {
            self.seen.add(found);
        }
    }

    pub(crate) fn error(&self, error: UpstreamError) -> UpstreamError {
        error.rewritten(|value| self.answer(value))
    }
}

/// The secrets of a lease by themselves: of a header, also without its scheme.
fn lent(lease: &Lease) -> Arc<Known> {
    let headers = lease.headers.iter().flat_map(|(_, value)| {
        let value = value.expose_secret();
        // `Authorization: Bearer x`: a server that echoes its token echoes `x`.
        let bare = value.split_once(' ').map(|(_, rest)| rest.trim());
        [Some(value), bare].into_iter().flatten()
    });
    let others = lease.query.iter().chain(&lease.environment);
    let others = others.map(|(_, value)| value.expose_secret());
    Arc::new(Known::new(headers.chain(others)))
}

#[cfg(test)]
mod tests {
    use remit_classify::known::MARK;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_back_tells_nobody_how_secrets_begin_that_were_not_lent() {
        let known = Known::new(["s3cr3t-token", "an-others-value"]);
        let lease = Lease {
            headers: vec![("authorization".into(), "Bearer s3cr3t-token".into())],
            known: Some(Arc::new(known)),
            ..Lease::default()
        };
        let redactor = Redactor::of(&lease);
        // Guesses at how each may begin, plain and in hexadecimal.
        let guesses = json!({"a": "an-oth", "b": "an-other", "c": "616e2d6f", "d": "xyzxyz"});
        let mut said = guesses.clone();
        redactor.piece(&mut said);
        assert_eq!(said, guesses);
        let mut whole = json!({"e": "it is an-others-value"});
        redactor.piece(&mut whole);
        assert_eq!(whole, json!({"e": format!("it is {MARK}")}));
        let mut lent = json!({"f": "it is s3cr3t-"});
        redactor.piece(&mut lent);
        assert_eq!(lent, json!({"f": "it is "}));
    }

    #[test]
    fn a_token_that_was_got_for_the_run_is_taken_out_although_nobody_else_knows_it() {
        let mut lease = Lease {
            known: Some(Arc::new(Known::new(["a-static-secret"]))),
            ..Lease::default()
        };
        lease.bearer(&remit_ports::leases::LentToken {
            lease: remit_domain::LeaseId::from_uuid(uuid::Uuid::from_u128(1)),
            token: "token-of-this-run".into(),
        });
        let redactor = Redactor::of(&lease);
        let mut said = json!([
            "token-of-this-run",
            "Bearer token-of-this-run",
            "a-static-secret"
        ]);
        redactor.value(&mut said);
        assert_eq!(said, json!([MARK, MARK, MARK]));
        assert_eq!(
            redactor.text("it was token-of-this-run"),
            format!("it was {MARK}")
        );
        let error = redactor.error(UpstreamError::Unauthorized("no token-of-this-run".into()));
        assert_eq!(error, UpstreamError::Unauthorized(format!("no {MARK}")));
    }

    #[test]
    fn secrets_are_found_in_values_keys_and_errors() {
        let lease = Lease {
            headers: vec![("authorization".into(), "Bearer s3cr3t-token".into())],
            query: vec![("key".into(), "in-the-address".into())],
            environment: vec![
                ("KEY".into(), "line one\nline two".into()),
                ("SHORT".into(), "abc".into()),
            ],
            ..Lease::default()
        };
        let redactor = Redactor::of(&lease);
        let mut value = json!({
            "a": ["you sent Bearer s3cr3t-token", "or s3cr3t-token at in-the-address", "abc"],
            "s3cr3t-token": {"pem": "line one\nline two"},
        });
        redactor.value(&mut value);
        assert_eq!(
            value,
            json!({
                "a": [format!("you sent {MARK}"), format!("or {MARK} at {MARK}"), "abc"],
                MARK: {"pem": MARK},
            })
        );
        let error = UpstreamError::Rpc {
            code: 1,
            message: "bad s3cr3t-token".into(),
            data: Some(json!(["s3cr3t-token"])),
        };
        assert!(!format!("{:?}", redactor.error(error)).contains("s3cr3t"));
        assert!(!format!("{redactor:?}").contains("s3cr3t"));
        assert!(!lease.seen.all().is_empty());
    }
}
