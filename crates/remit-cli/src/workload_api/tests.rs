//! The Workload API as its clients see it, through a client that others keep.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use remit_domain::Timestamp;
use remit_domain::attestation::{Attestation, Evidence};
use remit_token::jwt_svid::{self, JwtSvidClaims};
use remit_token::wit_svid::{self, WitSvidClaims, WorkloadKey};
use remit_token::x509_svid::{self, Validity};
use remit_token::{Audience, Authority, SigningKey, SpiffeId};
use serde_json::json;
use spiffe::{TrustDomain, WorkloadApiClient};

use super::source::{Bundle, Jwt, Source, Wit, X509, private_jwk};
use super::*;

const ID: &str = "spiffe://acme.remit.example/agent/a/w/i";
const AUDIENCE: &str = "https://orders.example";

fn secret() -> Vec<u8> {
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    made.unwrap().as_ref().to_vec()
}

/// A trust domain of this test.
struct Domain {
    authority: Authority,
    jwt: SigningKey,
    wit: SigningKey,
    wit_on: Mutex<bool>,
    /// How long a certificate is good, in seconds.
    life: i64,
    refuses: Mutex<Option<u16>>,
    registered: Attestation,
}

impl Domain {
    fn new(life: i64, registered: Attestation) -> Self {
        let secret_key = secret();
        let domain = SpiffeId::parse("spiffe://acme.remit.example").unwrap();
        let der = Authority::certificate(&domain, &secret_key, &validity(86_400)).unwrap();
        Self {
            authority: Authority::open(&der, &secret_key).unwrap(),
            jwt: SigningKey::from_pkcs8(&secret()).unwrap(),
            wit: SigningKey::from_pkcs8(&secret()).unwrap(),
            wit_on: Mutex::default(),
            life,
            refuses: Mutex::default(),
            registered,
        }
    }

    /// As the server says it.
    fn stands(&self, seen: &Evidence) -> anyhow::Result<()> {
        let refuses = *self.refuses.lock().unwrap();
        let (status, code) = match (refuses, self.registered.mismatch(seen)) {
            (Some(status), _) => (status, "unauthorized_client"),
            (None, Some(_)) => (403, "attestation-mismatch"),
            (None, None) => return Ok(()),
        };
        Err(refused(status, code))
    }
}

fn refused(status: u16, code: &str) -> anyhow::Error {
    crate::exit::Refused {
        status,
        code: code.to_owned(),
        detail: "the agent is contained".to_owned(),
        errors: Vec::new(),
    }
    .into()
}

fn validity(secs: i64) -> Validity {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).unwrap();
    let now = crate::edge::now().as_secs();
    Validity {
        serial,
        not_before: now - 30,
        not_after: now + secs,
    }
}

impl Source for &'static Domain {
    async fn uid(&self) -> anyhow::Result<u32> {
        Ok(self.registered.uid)
    }

    async fn attest(&self, seen: &Evidence) -> anyhow::Result<()> {
        self.stands(seen)
    }

    async fn x509(&self, seen: &Evidence) -> anyhow::Result<X509> {
        self.stands(seen)?;
        let key = secret();
        let validity = validity(self.life);
        let id = SpiffeId::parse(ID)?;
        let request = x509_svid::request(&key)?;
        Ok(X509 {
            spiffe_id: ID.to_owned(),
            certificate: self.authority.issue(&request, &id, &validity)?,
            key,
            expires: Timestamp::from_secs(validity.not_after),
        })
    }

    async fn jwt(&self, audience: &[String], seen: &Evidence) -> anyhow::Result<Jwt> {
        self.stands(seen)?;
        let now = crate::edge::now().as_secs();
        let claims = JwtSvidClaims {
            iss: "https://remit.example".to_owned(),
            sub: SpiffeId::parse(ID)?,
            aud: serde_json::from_value::<Audience>(json!(audience))?,
            exp: now + 300,
            iat: now,
            jti: "j".to_owned(),
        };
        Ok(Jwt {
            spiffe_id: ID.to_owned(),
            token: jwt_svid::sign(&claims, &self.jwt)?,
        })
    }

    async fn wit(&self, seen: &Evidence) -> anyhow::Result<Wit> {
        self.stands(seen)?;
        if !*self.wit_on.lock().unwrap() {
            return Err(refused(403, "wit-svid-off"));
        }
        let (key, now) = (secret(), crate::edge::now().as_secs());
        let claims = WitSvidClaims {
            iss: SpiffeId::parse("spiffe://acme.remit.example")?,
            sub: SpiffeId::parse(ID)?,
            cnf: WorkloadKey(SigningKey::from_pkcs8(&key)?.public()),
            exp: now + self.life,
            iat: now,
            jti: "w".to_owned(),
        };
        Ok(Wit {
            spiffe_id: ID.to_owned(),
            token: wit_svid::sign(&claims, &self.wit)?,
            key: private_jwk(&key)?,
            expires: Timestamp::from_secs(claims.exp),
        })
    }

    async fn bundle(&self) -> anyhow::Result<Bundle> {
        let public = self.jwt.public();
        let kid = public.thumbprint().to_string();
        let mut key = serde_json::to_value(public)?;
        key["kid"] = json!(kid);
        key["use"] = json!("jwt-svid");
        let wit = json!({ "keys": [{ "use": "wit-svid", "kid": self.wit.kid() }] });
        Ok(Bundle {
            wit_jwks: self.wit_on.lock().unwrap().then(|| wit.to_string()),
            trust_domain: "acme.remit.example".to_owned(),
            x509: vec![self.authority.der().to_vec()],
            jwt: BTreeMap::from([(kid, public)]),
            jwks: serde_json::to_vec(&json!({ "keys": [key] }))?,
        })
    }
}

/// What this very process is, by which it is attested.
fn this() -> Attestation {
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let seen = Peer::of(&UnixStream::from_std(one).unwrap())
        .unwrap()
        .look()
        .unwrap();
    Attestation {
        uid: seen.uid,
        binary: seen.binary,
        sha256: [seen.sha256].into(),
        unit: None,
        cgroup: None,
    }
}

fn start(dir: &Path, domain: &'static Domain) -> String {
    let path = dir.join("api.sock");
    let listener = listen(&path).unwrap();
    tokio::spawn(serve(listener, Arc::new(Service::new(domain))));
    format!("unix://{}", path.display())
}

fn domain(life: i64, registered: Attestation) -> &'static Domain {
    Box::leak(Box::new(Domain::new(life, registered)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_others_gets_svids_and_bundles_that_it_can_check() {
    let dir = tempfile::tempdir().unwrap();
    let address = start(dir.path(), domain(600, this()));
    let client = WorkloadApiClient::connect_to(&address).await.unwrap();
    let context = client.fetch_x509_context().await.unwrap();
    let svid = context.default_svid().unwrap();
    assert_eq!(svid.spiffe_id().to_string(), ID);
    let trust_domain = TrustDomain::try_from("acme.remit.example").unwrap();
    assert!(context.bundle_set().get(&trust_domain).is_some());
    let svid = client.fetch_jwt_svid([AUDIENCE], None).await.unwrap();
    assert_eq!(svid.spiffe_id().to_string(), ID);
    let bundles = client.fetch_jwt_bundles().await.unwrap();
    assert!(bundles.get(&trust_domain).is_some());
    let token = svid.token().to_owned();
    client.validate_jwt_token(AUDIENCE, &token).await.unwrap();
    assert!(
        client
            .validate_jwt_token("https://elsewhere.example", &token)
            .await
            .is_err()
    );
    assert!(client.validate_jwt_token(AUDIENCE, "a.b.c").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_binary_user_or_digest_gets_nothing() {
    let changes: [fn(&mut Attestation); 4] = [
        |s| s.sha256 = ["00".repeat(32)].into(),
        |s| s.binary = "/bin/sh".into(),
        |s| s.uid += 1,
        |s| s.unit = Some("support.service".to_owned()),
    ];
    for change in changes {
        let dir = tempfile::tempdir().unwrap();
        let mut registered = this();
        change(&mut registered);
        let address = start(dir.path(), domain(600, registered));
        let client = WorkloadApiClient::connect_to(&address).await.unwrap();
        let refused = client.fetch_jwt_svid([AUDIENCE], None).await.unwrap_err();
        assert!(
            format!("{refused:?}").contains("PermissionDenied"),
            "{refused:?}"
        );
        assert!(client.fetch_x509_context().await.is_err());
        assert!(client.fetch_jwt_bundles().await.is_err());
        assert!(client.validate_jwt_token(AUDIENCE, "a.b.c").await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_rotates_and_ends_when_remit_says_no() {
    let dir = tempfile::tempdir().unwrap();
    let domain = domain(4, this());
    let address = start(dir.path(), domain);
    let client = WorkloadApiClient::connect_to(&address).await.unwrap();
    let mut stream = client.stream_x509_contexts().await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    let second = stream.next().await.unwrap().unwrap();
    let leaf = |context: &spiffe::X509Context| {
        context.default_svid().unwrap().cert_chain()[0]
            .as_bytes()
            .to_vec()
    };
    assert_ne!(leaf(&first), leaf(&second));
    // As the token endpoint says it (RFC 6749 §5.2).
    *domain.refuses.lock().unwrap() = Some(400);
    let ended = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break format!("{error:?}"),
            None => break "closed".to_owned(),
        }
    };
    assert!(ended.contains("PermissionDenied"), "{ended}");
    assert!(client.fetch_jwt_svid([AUDIENCE], None).await.is_err());
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

/// A client that knows only HTTP/2: what others keep has no calls for WIT-SVIDs yet.
async fn plain(dir: &Path) -> Sender {
    let stream = UnixStream::connect(dir.join("api.sock")).await.unwrap();
    let (send, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    send
}

/// A message in its frame (gRPC over HTTP/2, "Length-Prefixed-Message").
fn framed(message: &impl prost::Message) -> Bytes {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), &body].concat().into()
}

async fn call(
    send: &mut Sender,
    path: &str,
    marked: Option<&str>,
    message: &impl prost::Message,
) -> http::Response<hyper::body::Incoming> {
    let mut request = http::Request::post(format!("http://localhost/SpiffeWorkloadAPI/{path}"))
        .header("content-type", "application/grpc");
    if let Some(marked) = marked {
        request = request.header("workload.spiffe.io", marked);
    }
    let request = request.body(Full::new(framed(message))).unwrap();
    send.send_request(request).await.unwrap()
}

/// The next message of a stream, or the status that it ends with.
async fn next<M: prost::Message + Default>(
    answer: &mut http::Response<hyper::body::Incoming>,
) -> Result<M, String> {
    let mut bytes = Vec::new();
    while let Some(frame) = answer.body_mut().frame().await {
        match frame.unwrap().into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(trailers) => {
                let trailers = trailers.into_trailers().unwrap();
                return Err(trailers["grpc-status"].to_str().unwrap().to_owned());
            }
        }
        if bytes.len() >= 5 {
            let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
            let end = 5 + usize::try_from(length).unwrap();
            if bytes.len() >= end {
                return Ok(M::decode(&bytes[5..end]).unwrap());
            }
        }
    }
    Err(answer.headers()["grpc-status"].to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_metadata_a_call_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), domain(600, this()));
    let mut send = plain(dir.path()).await;
    for (marked, path, status) in [
        (None, "FetchJWTBundles", "3"),
        (Some("false"), "FetchJWTBundles", "3"),
        (None, "FetchWITSVID", "3"),
        (Some("true"), "FetchSecrets", "12"),
    ] {
        let answer = call(&mut send, path, marked, &wire::Nothing {}).await;
        assert_eq!(answer.headers()["grpc-status"], status, "{marked:?} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wit_svids_come_with_their_key_rotate_and_are_unimplemented_while_they_are_off() {
    let dir = tempfile::tempdir().unwrap();
    let domain = domain(4, this());
    start(dir.path(), domain);
    let mut send = plain(dir.path()).await;
    let any = wire::WitSvidRequest::default();
    for path in ["FetchWITSVID", "FetchWITBundles"] {
        let mut off = call(&mut send, path, Some("true"), &any).await;
        let told = next::<wire::WitBundlesResponse>(&mut off).await;
        assert_eq!(told.unwrap_err(), "12", "{path}");
    }
    *domain.wit_on.lock().unwrap() = true;
    let mut bundles = call(&mut send, "FetchWITBundles", Some("true"), &any).await;
    let told: wire::WitBundlesResponse = next(&mut bundles).await.unwrap();
    assert!(told.bundles["spiffe://acme.remit.example"].contains("wit-svid"));
    let mut stream = call(&mut send, "FetchWITSVID", Some("true"), &any).await;
    let first: wire::WitSvidResponse = next(&mut stream).await.unwrap();
    let [svid] = first.svids.as_slice() else {
        panic!("one identity: {first:?}")
    };
    assert_eq!(svid.spiffe_id, ID);
    // The key is the one that it is bound to, and signs.
    let key: serde_json::Value = serde_json::from_str(&svid.wit_svid_key).unwrap();
    let body = svid.wit_svid.split('.').nth(1).unwrap();
    let body = URL_SAFE_NO_PAD.decode(body).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let bound = &claims["cnf"]["jwk"];
    assert_eq!((&key["x"], &key["alg"]), (&bound["x"], &bound["alg"]));
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], part("x"), part("y")].concat();
    let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
    assert!(EcdsaKeyPair::from_private_key_and_public_key(curve, &part("d"), &point).is_ok());
    let second: wire::WitSvidResponse = next(&mut stream).await.unwrap();
    assert_ne!(second.svids[0].wit_svid_key, svid.wit_svid_key);
    let other = wire::WitSvidRequest {
        spiffe_id: "spiffe://acme.remit.example/agent/other".to_owned(),
    };
    let mut other = call(&mut send, "FetchWITSVID", Some("true"), &other).await;
    let told = next::<wire::WitSvidResponse>(&mut other).await;
    assert_eq!(told.unwrap_err(), "7");
    // Contained: the stream ends.
    *domain.refuses.lock().unwrap() = Some(403);
    let ended = loop {
        match next::<wire::WitSvidResponse>(&mut stream).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(ended, "7");
}

#[test]
fn only_a_socket_that_nobody_listens_at_is_replaced() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let first = listen(&path).unwrap();
    assert!(listen(&path).is_err(), "somebody listens");
    drop(first);
    assert!(listen(&path).is_ok());
    let file = dir.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    assert!(listen(&file).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
    assert!(listen(Path::new("api.sock")).is_err());
}
