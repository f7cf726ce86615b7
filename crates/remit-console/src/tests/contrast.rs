//! The colours of the stylesheet, held to WCAG 2.2 (1.4.3 text 4.5:1, 1.4.11 other signs 3:1), in both themes.

use std::collections::BTreeMap;

const CSS: &str = include_str!("../../assets/console.css");

/// Text and what it stands on.
const TEXT: [(&str, &str); 21] = [
    ("text", "ground"),
    ("text", "panel"),
    ("text", "raised"),
    ("muted", "ground"),
    ("muted", "panel"),
    ("muted", "raised"),
    ("link", "ground"),
    ("link", "panel"),
    ("link", "raised"),
    ("on-main", "main"),
    ("on-stop", "stop"),
    ("good", "good-ground"),
    ("warn", "warn-ground"),
    ("bad", "bad-ground"),
    ("bad", "panel"),
    ("warn", "panel"),
    ("text", "shade-1"),
    ("text", "shade-2"),
    ("text", "shade-3"),
    ("text", "shade-4"),
    ("good", "panel"),
];

/// Signs that say something, and what they stand on.
const SIGNS: [(&str, &str); 6] = [
    ("edge", "panel"),
    ("edge", "ground"),
    ("focus", "ground"),
    ("focus", "panel"),
    ("main", "panel"),
    ("stop", "panel"),
];

fn tokens(block: &str) -> BTreeMap<&str, [f64; 3]> {
    let lines = block
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
    lines
        .map(|(name, hex)| {
            let part =
                |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            (name, [part(0), part(2), part(4)])
        })
        .collect()
}

/// Relative luminance (WCAG 2.2, definition).
fn luminance(colour: [f64; 3]) -> f64 {
    let linear = |c: f64| {
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_pair_can_be_read_in_both_themes() {
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 0.01);
    let block = |start: &str| CSS.split_once(start).unwrap().1.split_once('}').unwrap().0;
    let themes = [
        block(":root {"),
        block(":root:not([data-theme=\"light\"]) {"),
        block(":root[data-theme=\"dark\"] {"),
    ];
    for theme in themes {
        let tokens = tokens(theme);
        for (pairs, least) in [(TEXT.as_slice(), 4.5), (SIGNS.as_slice(), 3.0)] {
            for (on, ground) in pairs {
                let is = contrast(tokens[on], tokens[ground]);
                assert!(
                    is >= least,
                    "--{on} on --{ground} has {is:.2}:1, not {least}:1"
                );
            }
        }
    }
    assert_eq!(
        tokens(themes[1]),
        tokens(themes[2]),
        "dark by choice and dark by system are the same"
    );
}
