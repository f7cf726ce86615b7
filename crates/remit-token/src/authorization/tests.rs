use super::*;

// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn pairs() -> Vec<(&'static str, String)> {
    [
        ("response_type", "code"),
        ("client_id", "triage"),
        ("redirect_uri", "http://127.0.0.1:5000/cb"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "s"),
        ("unknown", "x"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn with(name: &'static str, value: &str) -> Result<AuthorizationRequest, OAuthError> {
    let mut pairs: Vec<_> = pairs().into_iter().filter(|(n, _)| *n != name).collect();
    pairs.push((name, value.to_owned()));
    AuthorizationParameters::from_pairs(pairs)?.read()
}

#[test]
fn the_example_of_the_rfc_verifies() {
    assert!(verifies(VERIFIER, CHALLENGE));
    for wrong in [
        "",
        "x",
        &VERIFIER[1..],
        &format!("{VERIFIER}A"),
        CHALLENGE,
        &"é".repeat(43),
    ] {
        assert!(!verifies(wrong, CHALLENGE), "{wrong}");
    }
    assert!(!verifies(VERIFIER, VERIFIER), "plain is not offered");
}

#[test]
fn a_request_is_read_and_its_faults_have_their_codes() {
    let read = AuthorizationParameters::from_pairs(pairs())
        .unwrap()
        .read()
        .unwrap();
    assert_eq!(
        (read.state.as_deref(), read.code_challenge.as_str()),
        (Some("s"), CHALLENGE)
    );
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("dpop_jkt", "x", "invalid_request"),
        ("request", "a.b.c", "invalid_request"),
        ("scope", "a\"b", "invalid_scope"),
        ("state", &"x".repeat(257), "invalid_request"),
        ("state", "a\r\nb", "invalid_request"),
    ] {
        let found = with(name, value).unwrap_err();
        assert_eq!(found.error.as_str(), error, "{name}={value}");
    }
    let mut twice = pairs();
    twice.push(("redirect_uri", "https://evil.example".to_owned()));
    assert!(AuthorizationParameters::from_pairs(twice).is_err());
}

#[test]
fn a_redirect_address_is_compared_byte_for_byte_but_for_the_port_on_this_machine() {
    for (asked, registered, same) in [
        ("https://a.example/cb", "https://a.example/cb", true),
        ("https://a.example/cb/", "https://a.example/cb", false),
        ("https://a.example/cb?x=1", "https://a.example/cb", false),
        ("https://A.example/cb", "https://a.example/cb", false),
        ("https://a.example:444/cb", "https://a.example/cb", false),
        (
            "https://a.example.evil.example/cb",
            "https://a.example/cb",
            false,
        ),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1/cb", true),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1:6000/cb", true),
        ("http://[::1]:5000/cb", "http://[::1]/cb", true),
        ("http://localhost:1/cb", "http://localhost/cb", true),
        ("http://localhost:1/cb", "http://127.0.0.1/cb", false),
        ("http://127.0.0.1:5000/other", "http://127.0.0.1/cb", false),
        ("https://127.0.0.1:5000/cb", "http://127.0.0.1/cb", false),
        ("http://u@127.0.0.1:5000/cb", "http://127.0.0.1/cb", false),
        ("http://127.0.0.1:5000/cb#x", "http://127.0.0.1/cb", false),
        (
            "http://127.0.0.1.evil.example:5000/cb",
            "http://127.0.0.1/cb",
            false,
        ),
    ] {
        assert_eq!(
            is_redirect_uri(asked, registered),
            same,
            "{asked} {registered}"
        );
    }
    for good in [
        "https://a.example/cb",
        "http://127.0.0.1/cb",
        "http://localhost:8080/",
    ] {
        assert!(check_redirect_uri(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "/cb",
        "http://a.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://a.example/cb#x",
        "https://u:p@a.example/cb",
        "https://a.example/c b",
        "myapp://cb",
    ] {
        assert!(check_redirect_uri(bad).is_err(), "{bad}");
    }
}
