//! Tokens that are bound to a key, from outside: what a client is told, and what Host cannot change.

use axum::http::{HeaderValue, Method};
use remit_token::SigningKey;
use remit_token::dpop::{NewProof, sign};
use serde_json::json;

use super::house::{Answer, House, URL, new_key};
use super::mcp::modern;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that proves its key.
struct Prover<'a> {
    house: &'a House,
    key: SigningKey,
    nonce: String,
}

impl Prover<'_> {
    fn proof(&self, method: &str, url: &str, token: Option<&str>, jti: &str) -> HeaderValue {
        let iat = remit_ports::Clock::now(&*self.house.clock).as_secs();
        let nonce = Some(self.nonce.as_str()).filter(|nonce| !nonce.is_empty());
        let access_token = token;
        let new = NewProof {
            method,
            url,
            access_token,
            nonce,
            jti,
            iat,
        };
        HeaderValue::from_str(&sign(&new, &self.key).unwrap()).unwrap()
    }

    async fn ask(&self, org: &str, resource: &str, proofs: &[HeaderValue]) -> Answer {
        let at = if org == "acme" {
            String::new()
        } else {
            format!("/t/{org}")
        };
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &self.house.assertion(org)),
            ("resource", &format!("{URL}{at}{resource}")),
        ];
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        let uri = format!("{at}/oauth2/token");
        let mut request = House::request(Method::POST, &uri, "", None);
        *request.body_mut() = body.into();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert("content-type", form);
        for proof in proofs {
            request.headers_mut().append("dpop", proof.clone());
        }
        self.house.send(request).await
    }

    /// A bound token, by way of the nonce that the first answer brings.
    async fn token(&mut self, org: &str, resource: &str) -> String {
        let endpoint = match org {
            "acme" => format!("{URL}/oauth2/token"),
            other => format!("{URL}/t/{other}/oauth2/token"),
        };
        let first = self.proof("POST", &endpoint, None, &format!("1{org}{resource}"));
        let answer = self.ask(org, resource, &[first]).await;
        if self.nonce.is_empty() {
            assert_eq!(
                (answer.status, answer.json()["error"].as_str()),
                (400, Some("use_dpop_nonce"))
            );
            self.nonce = answer.header("dpop-nonce").to_owned();
        }
        let second = self.proof("POST", &endpoint, None, &format!("2{org}{resource}"));
        let answer = self.ask(org, resource, &[second]).await.good().json();
        assert_eq!(answer["token_type"], "DPoP");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn list(&self, at: &str, token: &str, proofs: &[HeaderValue]) -> Answer {
        let mut request = modern(at, "", "tools/list", json!({}));
        let shown = HeaderValue::from_str(&format!("DPoP {token}")).unwrap();
        request.headers_mut().insert("authorization", shown);
        for proof in proofs {
            request.headers_mut().append("dpop", proof.clone());
        }
        self.house.send(request).await
    }
}

#[tokio::test]
async fn a_bound_token_works_at_mcp_with_its_proof_only() {
    let house = House::new().await;
    let mut prover = Prover {
        house: &house,
        key: new_key(),
        nonce: String::new(),
    };
    for (org, at) in [("acme", "/mcp"), ("globex", "/t/globex/mcp")] {
        let token = prover.token(org, "/mcp").await;
        let url = format!("{URL}{at}");
        let good = prover.proof("POST", &url, Some(&token), &format!("a{org}"));
        let answer = prover
            .list(at, &token, std::slice::from_ref(&good))
            .await
            .good();
        assert!(!answer.header("dpop-nonce").is_empty());
        let challenged = |answer: Answer, error: &str| {
            assert_eq!(answer.status, 401, "{}", answer.text);
            let value = answer.header("www-authenticate");
            assert!(value.starts_with("DPoP resource_metadata="), "{value}");
            assert!(value.contains(&format!("error=\"{error}\"")), "{value}");
            assert!(value.contains("algs=\"ES256 EdDSA\""), "{value}");
            assert!(answer.text.contains("proof-invalid"), "{}", answer.text);
        };
        // Again, without one, two of them, for what Host says, and for another endpoint.
        challenged(
            prover.list(at, &token, std::slice::from_ref(&good)).await,
            "invalid_dpop_proof",
        );
        challenged(prover.list(at, &token, &[]).await, "invalid_dpop_proof");
        let two = [
            prover.proof("POST", &url, Some(&token), "b"),
            prover.proof("POST", &url, Some(&token), "c"),
        ];
        challenged(prover.list(at, &token, &two).await, "invalid_dpop_proof");
        for elsewhere in [
            "http://evil.example/mcp",
            &format!("{URL}/mcp/orders"),
            &format!("{URL}/other"),
        ] {
            let proof = prover.proof("POST", elsewhere, Some(&token), "d");
            challenged(
                prover.list(at, &token, &[proof]).await,
                "invalid_dpop_proof",
            );
        }
        let bare = Prover {
            house: &house,
            key: new_key(),
            nonce: String::new(),
        };
        let other = Prover {
            nonce: prover.nonce.clone(),
            ..bare
        };
        let stolen = other.proof("POST", &url, Some(&token), "e");
        challenged(prover.list(at, &token, &[stolen]).await, "invalid_token");
        // As a bearer token it is worth nothing.
        let bearer = house
            .send(modern(at, &token, "tools/list", json!({})))
            .await;
        challenged(bearer, "invalid_token");
    }
}

#[tokio::test]
async fn a_resource_gives_its_nonce_in_a_challenge() {
    let house = House::new().await;
    let mut prover = Prover {
        house: &house,
        key: new_key(),
        nonce: String::new(),
    };
    let token = prover.token("acme", "/mcp").await;
    let bare = Prover {
        house: &house,
        nonce: String::new(),
        key: new_key(),
    };
    let proof = Prover {
        key: prover.key,
        ..bare
    };
    let url = format!("{URL}/mcp");
    let first = proof.proof("POST", &url, Some(&token), "f");
    let answer = proof.list("/mcp", &token, &[first]).await;
    assert_eq!(answer.status, 401);
    assert!(
        answer
            .header("www-authenticate")
            .contains("error=\"use_dpop_nonce\"")
    );
    let proof = Prover {
        nonce: answer.header("dpop-nonce").to_owned(),
        ..proof
    };
    let second = proof.proof("POST", &url, Some(&token), "f");
    proof.list("/mcp", &token, &[second]).await.good();
}

#[tokio::test]
async fn the_api_takes_a_bound_token_with_its_proof_only() {
    let house = House::new().await;
    let mut prover = Prover {
        house: &house,
        key: new_key(),
        nonce: String::new(),
    };
    for (org, at) in [("acme", ""), ("globex", "/t/globex")] {
        let token = prover.token(org, "/api/v1").await;
        let run = |proof: Option<HeaderValue>, scheme: &str| {
            let uri = format!("{at}/api/v1/runs?state=active");
            let mut request = House::request(Method::GET, &uri, "", None);
            let shown = HeaderValue::from_str(&format!("{scheme} {token}")).unwrap();
            request.headers_mut().insert("authorization", shown);
            if let Some(proof) = proof {
                request.headers_mut().insert("dpop", proof);
            }
            house.send(request)
        };
        let url = format!("{URL}{at}/api/v1/runs");
        let proof = prover.proof("GET", &url, Some(&token), &format!("g{org}"));
        let answer = run(Some(proof.clone()), "DPoP").await;
        assert_ne!(answer.status, 401, "{}", answer.text);
        for (proof, scheme) in [(Some(proof), "DPoP"), (None, "DPoP"), (None, "Bearer")] {
            let answer = run(proof, scheme).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (401, Some("proof-invalid"))
            );
            assert!(answer.header("www-authenticate").starts_with("DPoP "));
        }
    }
}

#[tokio::test]
async fn the_token_endpoint_takes_one_proof_of_its_own_address() {
    let house = House::new().await;
    let mut prover = Prover {
        house: &house,
        key: new_key(),
        nonce: String::new(),
    };
    prover.token("acme", "/mcp").await;
    let url = format!("{URL}/oauth2/token");
    let two = [
        prover.proof("POST", &url, None, "h"),
        prover.proof("POST", &url, None, "i"),
    ];
    for proofs in [
        two.as_slice(),
        &[prover.proof("POST", &format!("{URL}/t/globex/oauth2/token"), None, "j")],
        &[prover.proof("GET", &url, None, "k")],
        &[HeaderValue::from_static("x")],
    ] {
        let answer = prover.ask("acme", "/mcp", proofs).await;
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (400, Some("invalid_dpop_proof")),
            "{}",
            answer.text
        );
    }
}
