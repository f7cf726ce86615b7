//! Keeping known secrets out of what upstreams say: how much text is looked through in a second.

use std::time::Instant;

use anyhow::ensure;
use remit_classify::Known;
use serde_json::{Value, json};

use crate::report::Report;

const GROUP: &str = "Redaction of known secrets";
/// Secrets that an organization has.
const SECRETS: usize = 1_000;
/// Bytes of text of one result.
const RESULT_BYTES: usize = 1 << 20;
/// How often each result is looked through.
const ROUNDS: usize = 200;

/// The next of a row of numbers that look random and are the same each time (Knuth's MMIX generator).
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn token(state: &mut u64) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..40)
        .map(|_| {
            let at = usize::try_from(next(state)).unwrap_or(0) % alphabet.len();
            alphabet.get(at).copied().map_or('x', char::from)
        })
        .collect()
}

/// A result as tools give them: prose, or lines of base64.
fn result(state: &mut u64, prose: bool) -> Value {
    let words = [
        "the",
        "order",
        "was",
        "delivered",
        "customer",
        "refund",
        "of",
        "12.50",
        "EUR",
        "status:",
        "open,",
        "since",
        "2026-11-27",
    ];
    let mut text = String::with_capacity(RESULT_BYTES + 64);
    while text.len() < RESULT_BYTES {
        if prose {
            let at = usize::try_from(next(state)).unwrap_or(0) % words.len();
            text.push_str(words.get(at).copied().unwrap_or("x"));
            text.push(' ');
        } else {
            text.push_str(&token(state));
            text.push('\n');
        }
    }
    json!({ "content": [{ "type": "text", "text": text }] })
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let mut state = 7;
    let secrets: Vec<String> = (0..SECRETS)
        .map(|_| format!("sk-{}", token(&mut state)))
        .collect();
    let began = Instant::now();
    let known = Known::new(secrets.iter().map(String::as_str));
    let built = began.elapsed();
    report.note(
        GROUP,
        format!("{SECRETS} secrets put together, each time one changes"),
        format!("{:.0} ms", built.as_secs_f64() * 1e3),
    );
    for (what, prose) in [("prose", true), ("base64 of other things", false)] {
        let mut value = result(&mut state, prose);
        let before = value.clone();
        let began = Instant::now();
        for _ in 0..ROUNDS {
            ensure!(
                known.value(&mut value).is_empty(),
                "nothing is there to be found"
            );
        }
        let took = began.elapsed().as_secs_f64();
        ensure!(value == before, "nothing was to be changed");
        let speed = (ROUNDS * RESULT_BYTES) as f64 / took / 1e6;
        let what = format!("{what}, with {SECRETS} secrets in each of their encodings");
        report.at_least(GROUP, &what, speed, 500.0, "MB/s");
    }
    // What is there is found: a measurement of nothing would be fast too.
    let last = secrets.last().map_or("", String::as_str);
    ensure!(known.text(&format!("x {last} y")) == "x [redacted by remit] y");
    Ok(())
}
