//! How good the rules are, on the committed corpora.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that tells its figures"
)]

use std::collections::BTreeMap;

use remit_classify::{Class, Classifier};

#[derive(serde::Deserialize)]
struct Sample {
    text: String,
    class: Option<String>,
}

#[derive(Default)]
struct Score {
    hit: u32,
    missed: u32,
    wrong: u32,
}

impl Score {
    fn precision(&self) -> f64 {
        f64::from(self.hit) / f64::from((self.hit + self.wrong).max(1))
    }
    fn recall(&self) -> f64 {
        f64::from(self.hit) / f64::from((self.hit + self.missed).max(1))
    }
}

fn measure(corpus: &str, classes: &[Class]) -> BTreeMap<Class, Score> {
    let classifier = Classifier::new().unwrap();
    let mut scores = BTreeMap::new();
    for line in corpus.lines() {
        let sample: Sample = serde_json::from_str(line).unwrap();
        let found = classifier.scan(&sample.text).unwrap();
        for class in classes {
            let is = sample.class.as_deref() == Some(class.as_str());
            let said = found.iter().any(|finding| finding.class == *class);
            let score: &mut Score = scores.entry(*class).or_default();
            match (is, said) {
                (true, true) => score.hit += 1,
                (true, false) => score.missed += 1,
                (false, true) => score.wrong += 1,
                (false, false) => {}
            }
            if is != said {
                println!(
                    "{} {class}: {}",
                    if is { "missed" } else { "wrong" },
                    sample.text
                );
            }
        }
    }
    for (class, score) in &scores {
        println!(
            "{class}: precision {:.3}, recall {:.3} ({} hits, {} missed, {} wrong)",
            score.precision(),
            score.recall(),
            score.hit,
            score.missed,
            score.wrong
        );
    }
    scores
}

#[test]
fn structured_classes_are_found_with_095_precision_and_recall() {
    let corpus = include_str!("../../../fixtures/classifiers/structured.jsonl");
    let classes = [Class::Secret, Class::Card, Class::Bank, Class::NationalId];
    for (class, score) in measure(corpus, &classes) {
        assert!(
            score.precision() >= 0.95 && score.recall() >= 0.95,
            "{class}"
        );
    }
}

// Our own sentences, so the figures flatter; they are there to see a rule get worse.
#[test]
fn injection_markers_do_not_get_worse() {
    let corpus = include_str!("../../../fixtures/classifiers/injection.jsonl");
    for score in measure(corpus, &[Class::Injection]).values() {
        assert!(score.precision() >= 0.94 && score.recall() >= 0.90);
    }
}
