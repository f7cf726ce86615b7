use proptest::prelude::*;

use super::*;
use crate::limits::{FORM_BYTES_MAX, FORM_PARAMETERS_MAX, TARGETS_MAX, TOKEN_BYTES_MAX};
use crate::oauth_error::OAuthErrorCode;

const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

fn credentials() -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", GRANT_CLIENT_CREDENTIALS.into()),
        ("scope", "workflow:refund run:r1".into()),
        ("resource", "https://remit.example/mcp".into()),
        ("client_assertion_type", CLIENT_ASSERTION_JWT_BEARER.into()),
        ("client_assertion", "a.b.c".into()),
    ]
}

fn exchange() -> Vec<(&'static str, String)> {
    let mut form = credentials();
    form[0].1 = GRANT_TOKEN_EXCHANGE.into();
    form.push(("subject_token", "s.s.s".into()));
    form.push(("subject_token_type", JWT.into()));
    form
}

fn code(form: Vec<(&'static str, String)>) -> OAuthErrorCode {
    TokenRequest::from_pairs(form).unwrap_err().error
}

fn without(mut form: Vec<(&'static str, String)>, name: &str) -> Vec<(&'static str, String)> {
    form.retain(|(have, _)| *have != name);
    form
}

fn and(
    mut form: Vec<(&'static str, String)>,
    name: &'static str,
    value: &str,
) -> Vec<(&'static str, String)> {
    form.push((name, value.to_owned()));
    form
}

#[test]
fn a_client_credentials_body_is_read() {
    let body = b"grant_type=client_credentials&scope=workflow%3Arefund+run%3Ar1&resource=https%3A%2F%2Fremit.example%2Fmcp\
        &client_id=triage&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
        &client_assertion=a.b.c&later_extension=x";
    let TokenRequest::ClientCredentials(request) = TokenRequest::from_form(body).unwrap() else {
        panic!("wrong grant");
    };
    assert_eq!(request.scope.to_string(), "workflow:refund run:r1");
    assert_eq!(request.resource, ["https://remit.example/mcp"]);
    assert_eq!(request.client.client_id.as_deref(), Some("triage"));
    let ClientProof::PrivateKeyJwt(assertion) = &request.client.proof else {
        panic!("{:?}", request.client);
    };
    assert_eq!(assertion.expose_secret(), "a.b.c");
}

#[test]
fn an_exchange_is_read() {
    let form = and(and(exchange(), "audience", "orders"), "audience", "siem");
    let form = and(and(form, "actor_token", "x.y.z"), "actor_token_type", JWT);
    let TokenRequest::TokenExchange(request) = TokenRequest::from_pairs(form).unwrap() else {
        panic!("wrong grant");
    };
    assert_eq!(request.subject_token_type, TokenType::Jwt);
    assert_eq!(request.audience, ["orders", "siem"]);
    assert_eq!(request.actor_token.unwrap().0.expose_secret(), "x.y.z");
}

#[test]
fn every_repeated_parameter_is_refused_but_the_targets() {
    for (name, value) in exchange() {
        let result = TokenRequest::from_pairs(and(exchange(), name, &value));
        if name == "resource" {
            assert!(result.is_ok());
        } else {
            assert_eq!(
                result.unwrap_err().error,
                OAuthErrorCode::InvalidRequest,
                "{name}"
            );
        }
    }
    let unknown = and(and(credentials(), "x", "1"), "x", "2");
    assert_eq!(code(unknown), OAuthErrorCode::InvalidRequest);
    // An empty first value does not make room for a second one.
    assert_eq!(
        code(and(and(credentials(), "client_id", ""), "client_id", "a")),
        OAuthErrorCode::InvalidRequest
    );
}

#[test]
fn empty_values_count_as_absent() {
    let form = and(
        and(without(credentials(), "scope"), "scope", ""),
        "client_id",
        "",
    );
    let request = TokenRequest::from_pairs(form).unwrap();
    assert!(request.scope().is_empty() && request.client().unwrap().client_id.is_none());
    let empty = and(without(exchange(), "subject_token"), "subject_token", "");
    assert_eq!(code(empty), OAuthErrorCode::InvalidRequest);
}

#[test]
fn a_client_must_use_an_assertion() {
    assert_eq!(
        code(without(credentials(), "client_assertion")),
        OAuthErrorCode::InvalidClient
    );
    assert_eq!(
        code(without(credentials(), "client_assertion_type")),
        OAuthErrorCode::InvalidClient
    );
    assert_eq!(
        code(and(credentials(), "client_secret", "s3cret")),
        OAuthErrorCode::InvalidClient
    );
    let mut saml = credentials();
    saml[3].1 = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer".into();
    assert_eq!(code(saml), OAuthErrorCode::InvalidClient);
}

#[test]
fn grants_and_types_that_are_not_offered_are_refused() {
    for grant in ["password", "CLIENT_CREDENTIALS", "implicit"] {
        let mut form = credentials();
        form[0].1 = grant.into();
        assert_eq!(code(form), OAuthErrorCode::UnsupportedGrantType, "{grant}");
    }
    assert_eq!(
        code(without(credentials(), "grant_type")),
        OAuthErrorCode::InvalidRequest
    );
    assert_eq!(
        code(and(credentials(), "audience", "x")),
        OAuthErrorCode::InvalidRequest
    );
    assert_eq!(
        code(without(exchange(), "subject_token_type")),
        OAuthErrorCode::InvalidRequest
    );
    assert_eq!(
        code(and(exchange(), "requested_token_type", "urn:x")),
        OAuthErrorCode::InvalidRequest
    );
    assert_eq!(
        code(and(exchange(), "actor_token", "a.b.c")),
        OAuthErrorCode::InvalidRequest
    );
    assert_eq!(
        code(and(exchange(), "actor_token_type", JWT)),
        OAuthErrorCode::InvalidRequest
    );
}

#[test]
fn resources_are_absolute_uris_without_fragment() {
    for bad in [
        "/mcp",
        "https://a.example/#x",
        "not a uri",
        "https://a.example/\u{0}",
    ] {
        let form = and(without(credentials(), "resource"), "resource", bad);
        assert_eq!(code(form), OAuthErrorCode::InvalidTarget, "{bad}");
    }
}

#[test]
fn limits_hold() {
    let mut many = credentials();
    many.extend((0..TARGETS_MAX).map(|_| ("resource", "https://a.example".to_owned())));
    assert_eq!(code(many), OAuthErrorCode::InvalidTarget);
    let long = and(credentials(), "client_id", &"x".repeat(TOKEN_BYTES_MAX + 1));
    assert_eq!(code(long), OAuthErrorCode::InvalidRequest);
    let names: Vec<(String, &str)> = (0..=FORM_PARAMETERS_MAX)
        .map(|n| (format!("p{n}"), "x"))
        .collect();
    let error = TokenRequest::from_pairs(names).unwrap_err();
    assert_eq!(
        error.error_description,
        "the request has too many parameters"
    );
    let body = vec![b'a'; FORM_BYTES_MAX + 1];
    assert_eq!(
        TokenRequest::from_form(&body).unwrap_err().error,
        OAuthErrorCode::InvalidRequest
    );
    assert_eq!(
        code(and(without(credentials(), "scope"), "scope", "a  b")),
        OAuthErrorCode::InvalidScope
    );
}

#[test]
fn debug_output_holds_no_token() {
    let form = and(
        and(exchange(), "actor_token", "x.y.z"),
        "actor_token_type",
        JWT,
    );
    let shown = format!("{:?}", TokenRequest::from_pairs(form).unwrap());
    for secret in ["a.b.c", "s.s.s", "x.y.z"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let response = TokenResponse {
        authorization_details: AuthorizationDetails::default(),
        access_token: "q.w.e".into(),
        issued_token_type: Some(TokenType::AccessToken),
        token_type: AccessTokenType::Bearer,
        expires_in: 300,
        scope: Scope::parse("run:r1").unwrap(),
    };
    assert!(!format!("{response:?}").contains("q.w.e"));
    assert_eq!(
        serde_json::to_value(&response).unwrap(),
        serde_json::json!({"access_token": "q.w.e", "token_type": "Bearer", "expires_in": 300, "scope": "run:r1",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})
    );
}

#[test]
fn a_request_that_is_written_is_read_back() {
    for form in [
        credentials(),
        and(
            and(exchange(), "actor_token", "x.y.z"),
            "actor_token_type",
            JWT,
        ),
    ] {
        let written = TokenRequest::from_pairs(form.clone()).unwrap().to_form();
        let mut expected = form;
        let mut again = written.clone();
        expected.sort();
        again.sort();
        assert_eq!(again, expected);
        assert!(TokenRequest::from_pairs(written).is_ok());
    }
}

proptest! {
    #[test]
    fn any_body_gives_a_request_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = TokenRequest::from_form(&body);
    }

    #[test]
    fn any_value_gives_an_answer_that_fits_a_header(name in "\\PC{0,80}", value in "\\PC{0,80}") {
        let mut form: Vec<(String, String)> =
            exchange().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        form.push((name.clone(), value));
        form.push((name, String::new()));
        if let Err(error) = TokenRequest::from_pairs(form) {
            prop_assert!(error.error_description.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"'));
        }
    }
}

#[test]
fn an_assertion_of_another_issuer_needs_no_client() {
    let grant = format!("grant_type={GRANT_JWT_BEARER}&assertion=a.b.c");
    let read = |more: &str| TokenRequest::from_form(format!("{grant}{more}").as_bytes());
    let TokenRequest::JwtBearer(request) = read("&scope=workflow:a&client_id=x").unwrap() else {
        panic!("another grant");
    };
    assert!(request.client.is_none());
    assert_eq!(request.client_id.as_deref(), Some("x"));
    let sent = TokenRequest::JwtBearer(request).to_form();
    let again = TokenRequest::from_pairs(sent).unwrap();
    assert_eq!(again.scope().to_string(), "workflow:a");
    for wrong in [
        "&client_secret=s",
        "&client_assertion=a.b.c",
        "&audience=x",
        "&assertion=a.b.c",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    let missing = format!("grant_type={GRANT_JWT_BEARER}");
    assert!(TokenRequest::from_form(missing.as_bytes()).is_err());
}
