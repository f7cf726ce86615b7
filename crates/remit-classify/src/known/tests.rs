use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECRET: &str = "s3cr3t/Token+Value=\"9\" \u{e9}";

fn known() -> Known {
    Known::new([SECRET, "another-secret"])
}

/// No eight characters of a written secret are left.
fn gone(clean: &str, written: &str) {
    let chars: Vec<char> = written.chars().filter(|c| !c.is_whitespace()).collect();
    let clean: String = clean.chars().filter(|c| !c.is_whitespace()).collect();
    for part in chars.windows(8) {
        let part: String = part.iter().collect();
        assert!(!clean.contains(&part), "{part} of {written} in {clean}");
    }
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    let known = known();
    let percent = |upper: bool| {
        let way = |b: u8| {
            if upper {
                format!("%{b:02X}")
            } else {
                format!("%{b:02x}")
            }
        };
        SECRET.bytes().map(way).collect::<String>()
    };
    let ways = [
        SECRET.to_owned(),
        serde_json::to_string(SECRET).unwrap(),
        SECRET.bytes().map(|b| format!("{b:02x}")).collect(),
        SECRET.bytes().map(|b| format!("{b:02X}")).collect(),
        "s3cr3t%2FToken%2BValue%3D%229%22%20%C3%A9".to_owned(),
        "s3cr3t%2fToken%2bValue%3d%229%22%20%c3%a9".to_owned(),
        "s3cr3t%2FToken%2BValue%3D%229%22+%C3%A9".to_owned(),
        "s3cr3t/Token%2BValue%3D%229%22%20%C3%A9".to_owned(),
        "s3cr3t/Token+Value=%229%22%20%C3%A9".to_owned(),
        "s3cr3t/Token+Value=\\\"9\\\" \\u00e9".to_owned(),
        "s3cr3t\\/Token+Value=\\\"9\\\" \u{e9}".to_owned(),
        "s3cr3t/Token+Value=&quot;9&quot; \u{e9}".to_owned(),
        serde_json::to_string(&serde_json::to_string(SECRET).unwrap()).unwrap(),
        percent(true),
        percent(false),
    ];
    for way in &ways {
        let clean = known.text(way).into_owned();
        assert!(clean.contains(MARK), "{way}");
        gone(&clean, way);
        // In the middle of something else.
        let clean = known.text(&format!("x{way}y")).into_owned();
        assert!(clean.starts_with('x') && clean.ends_with('y') && clean.contains(MARK));
    }
}

#[test]
fn base64_is_found_at_each_place_and_over_lines() {
    let known = known();
    for before in ["", "u", "us", "use", "user", "user:"] {
        for after in ["", "x", "xy", "xyz"] {
            let plain = format!("{before}{SECRET}{after}");
            for written in [STANDARD.encode(&plain), URL_SAFE.encode(&plain)] {
                let clean = known.text(&written).into_owned();
                assert!(clean.contains(MARK), "{plain}: {written}");
                let lines: Vec<String> = written
                    .as_bytes()
                    .chunks(5)
                    .map(|c| String::from_utf8_lossy(c).into_owned())
                    .collect();
                let wrapped = lines.join("\r\n");
                assert!(known.text(&wrapped).contains(MARK), "{wrapped}");
            }
        }
    }
}

#[test]
fn parts_names_and_numbers_are_looked_at() {
    let known = Known::new([SECRET, "another-secret", "12345678901"]);
    let mut value = json!({
        "content": [
            { "type": "text", "text": "it is s3cr3t/Token" },
            { "type": "text", "text": "+Value=\"9\"" },
            { "type": "text", "text": " \u{e9} and more" },
        ],
        "another-secret": { "n": 12_345_678_901_u64, "m": 12_345 },
        "list": ["anot", "her-", "secret"],
    });
    let found = known.value(&mut value);
    assert_eq!(found, Found::from([0, 1, 2]));
    let text = value.to_string();
    for part in ["s3cr3t", "Value", "another-secret", "her-", "12345678901"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
    assert_eq!(value["content"][0]["text"], format!("it is {MARK}"));
    assert_eq!(value["content"][2]["text"], format!("{MARK} and more"));
}

#[test]
fn secrets_that_overlap_leave_no_rest() {
    let known = Known::new(["abcdefghij", "ghijklmnop", "abcdefghijkl-long"]);
    assert_eq!(known.text("<abcdefghijklmnop>"), format!("<{MARK}>"));
    assert_eq!(known.text("<abcdefghijkl-long>"), format!("<{MARK}>"));
    assert_eq!(
        known.text("<abcdefghijkl-shor>"),
        format!("<{MARK}kl-shor>")
    );
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    let known = known();
    let text = "s3cr3t/Token is a prefix, another-secre, too;\n  spaces   stay";
    assert!(matches!(known.text(text), Cow::Borrowed(_)));
    let value = json!({ "a": ["x", 1, null, true], "b": { "c": text } });
    let mut same = value.clone();
    assert!(known.value(&mut same).is_empty());
    assert_eq!(same, value);
    assert!(Known::new(["short", "a b c d e"]).is_empty());
    assert!(!format!("{known:?}").contains("s3cr3t"));
}

fn stream(known: &Known, texts: &[&str], last: &str) -> (Vec<String>, String) {
    let mut pieces = Pieces::default();
    let mut shown = Vec::new();
    for text in texts {
        let mut value = json!({ "level": "info", "data": { "chunk": text } });
        known.piece(&mut pieces, &mut value);
        shown.push(value["data"]["chunk"].as_str().unwrap().to_owned());
    }
    let mut end = json!({ "content": [{ "type": "text", "text": last }] });
    known.last(&pieces, &mut end);
    (
        shown,
        end["content"][0]["text"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_secret_in_pieces_is_not_put_together() {
    let known = Known::new(["another-secret"]);
    let letters: Vec<String> = "<another-secret>".chars().map(String::from).collect();
    let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
    let (shown, _) = stream(&known, &letters, "done");
    assert_eq!(shown.concat(), format!("<ano{MARK}>"));
    let (shown, last) = stream(&known, &["it is another-", "secret, see"], "done");
    assert_eq!(shown.concat(), format!("it is {MARK}, see"));
    assert_eq!(last, "done");
    // What was none comes with the next piece.
    let (shown, _) = stream(&known, &["look at another-", "one"], "done");
    assert_eq!(shown.concat(), "look at another-one");
    // The rest of it is in the result.
    let (shown, last) = stream(&known, &["it is another-"], "secret was the rest");
    assert_eq!(shown.concat(), "it is ");
    assert_eq!(last, format!("{MARK} was the rest"));
}

proptest! {
    #[test]
    fn a_secret_anywhere_is_found(
        before in "\\PC{0,60}", after in "\\PC{0,60}", secret in "[!-~]{8,60}", other in "[!-~]{8,20}",
    ) {
        let known = Known::new([other.as_str(), secret.as_str()]);
        let text = format!("{before}{secret}{after}");
        let clean = known.text(&text).into_owned();
        prop_assert!(!clean.contains(&secret) || MARK.contains(&secret));
    }

    #[test]
    fn pieces_show_no_secret(cuts in prop::collection::vec(0usize..40, 0..6), secret in "[a-z]{8,30}") {
        let known = Known::new([secret.as_str()]);
        let text = format!("before {secret} after");
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let parts: Vec<&str> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
        let (shown, _) = stream(&known, &parts, "");
        let shown = shown.concat();
        prop_assert!(!shown.contains(&secret[..5]) || "before after".contains(&secret[..5]), "{shown}");
    }
}
