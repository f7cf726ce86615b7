//! The issuer: who you are. It authenticates agents and people, issues and exchanges tokens, opens and ends runs.
//!
//! Knows the books, the nouns and the token formats; no HTTP, no adapter, no other service. Every credential that it
//! gives out is a record and a ledger entry first, in one commit with whatever single-use proof paid for it. Every
//! refusal leaves by one door, which records it and keeps anybody from filling the ledger with refusals.
//!
//! Specifications: RFC 6749, RFC 7009, RFC 7523, RFC 7636, RFC 7662, RFC 8414, RFC 8693, RFC 8707, RFC 9068, RFC 9126, RFC 9207, RFC 9396, RFC 9449, RFC 9728.
//!
//! | to | go to |
//! | --- | --- |
//! | answer the token endpoint | [`Issuer::token`] |
//! | check an access token | [`Issuer::prove_key`], [`Issuer::verify_access`] |
//! | check a person's or the operator's token | [`Issuer::authenticate_person`], [`Issuer::authenticate_operator`] |
//! | open, spawn or end a run | [`Issuer::open_run`], [`Issuer::spawn`], [`Issuer::end_run`] |
//! | let people sign in with a browser | [`Issuer::check_session`], [`Issuer::sign_in_with_link`] |
//! | see whether a trusted issuer can be reached | [`Issuer::test_trusted_issuer`] |
//! | let a delegation be used | [`Issuer::assertion`] |
//! | let a client ask a person | [`Issuer::authorize`], [`Issuer::push`], [`Issuer::consent_given`] |
//! | attest a workload | [`Issuer::attestation`], [`Issuer::attest`] |
//! | issue SVIDs, publish their bundle | [`Issuer::x509_svid`], [`Issuer::jwt_svid`], [`Issuer::bundle`] |
//! | publish keys and metadata | [`Issuer::jwks`], [`Issuer::authorization_server`], [`Issuer::protected_resource`] |
//! | begin | [`Issuer::init_operator`], [`Issuer::create_first_admin`] |

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

mod address;
mod assert_identity;
mod assertion;
mod attest;
mod authorize;
mod below;
mod bootstrap;
mod break_glass;
mod bundle_endpoint;
mod check;
mod client;
mod denial;
mod details;
mod document;
mod door;
mod dpop;
mod enforcement_point;
mod enrolment;
mod exchange;
mod federation;
mod hop;
mod id_jag;
mod idle;
mod introspect;
mod keys;
mod lease;
pub mod limits;
mod metadata;
mod mint;
mod narrow;
mod operator;
mod origin;
mod passkey;
mod person;
mod person_token;
mod person_token_at_agent;
mod refusal;
mod revoke;
mod run;
mod run_end;
mod scim;
mod scope;
mod session;
mod sign_in;
mod signal;
mod spawn;
mod spent;
mod subject;
mod svid;
#[cfg(test)]
mod tests;
mod token;
mod trust_domain;
mod verified;
mod verify;

use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use remit_books::{Books, OrgBook};
use remit_domain::name::Name;
use remit_domain::{OrgId, Refusal, RefusalCode, RunId};
use remit_ports::Signer;
use remit_ports::signer::InProcess;
use remit_token::MetadataError;
use remit_token::metadata::well_known_url;

pub use address::Resource;
pub use assertion::SubjectToken;
pub use authorize::{Asked, NotAsked, Pushed};
pub use bundle_endpoint::EndpointSvid;
pub use denial::{BoundDenial, Unbound};
pub use dpop::{ProofRefused, ProofShown};
pub use enforcement_point::VerifiedPoint;
pub use enrolment::{Enrolled, Redeemed};
pub use federation::TrustedIssuerReport;
pub use introspect::{Asker, Introspection};
pub use keys::IssuerKey;
pub use passkey::Ceremony;
pub use person::PersonIdentity;
pub use refusal::oauth_error;
pub use run::{Caller, RunRequest};
pub use run_end::RunEndRequest;
pub use session::{NewSession, OpenSession, PersonSession};
pub use sign_in::{CookieAttributes, OidcAnswer, OidcStart, ProviderReport, Welcome};
pub use signal::{
    DeliveryAsked, DeliveryShown, Heard, HeardError, POLL, PUSH, PollRequest, PollResponse,
    SetError, StatusAsked, StatusShown, StreamAsked, StreamShown, SubjectAsked,
    TransmitterMetadata, VerificationAsked,
};
pub use spawn::{SpawnRequest, Spawned};
pub use svid::{JwtSvid, X509Svid};
pub use verified::{AccessRefused, Proved, Verified};

/// The issuer. One for each process, cheap to clone.
#[derive(Clone)]
pub struct Issuer {
    inner: Arc<Inner>,
}

struct Inner {
    books: Books,
    public_url: String,
    default_org: Name,
    /// Makes and holds the keys that sign tokens.
    signer: Arc<dyn Signer>,
    /// Whether clients may prove themselves with a certificate, since our own TLS asks for one.
    client_certificates: std::sync::atomic::AtomicBool,
    keys: RwLock<HashMap<OrgId, Arc<keys::OrgKeys>>>,
    /// Keys of the trust domains.
    domain_keys: RwLock<HashMap<OrgId, Arc<trust_domain::DomainKeys>>>,
    loading_keys: tokio::sync::Mutex<()>,
    verified: moka::sync::Cache<[u8; 32], Arc<verify::Seen>>,
    /// Tokens of enforcement points whose signature was checked.
    points: moka::sync::Cache<[u8; 32], Arc<remit_token::PointClaims>>,
    /// Documents of clients, and those that could not be had.
    documents: moka::sync::Cache<(OrgId, String), document::Kept>,
    people: moka::sync::Cache<[u8; 32], Arc<person::Known>>,
    activity: moka::sync::Cache<RunId, Arc<AtomicI64>>,
    refusals: Mutex<HashMap<OrgId, door::Window>>,
    /// Requests of each client that proved itself, in the minute that began then.
    rates: Mutex<HashMap<String, (Duration, u32)>>,
    /// Locks under which implicit runs start, so that two requests at once join one run.
    locks: moka::sync::Cache<String, Arc<tokio::sync::Mutex<()>>>,
    /// The nonce that proofs are to answer with, and when it was made.
    nonce: Mutex<Option<(String, Duration)>>,
    sign_in: sign_in::SignIn,
    /// Tokens of upstreams' own authorization servers.
    leases: lease::HeldLeases,
    lease_sweeps: lease::Sweeps,
    /// Keys of trusted issuers.
    foreign_keys: federation::Keyrings,
    /// SVIDs of our own bundle endpoints.
    endpoint_svids: bundle_endpoint::EndpointSvids,
}

impl Issuer {
    /// An issuer over these books.
    ///
    /// - `public_url`: where everybody reaches this instance, such as `https://remit.example`; without trailing slash.
    /// - `default_org`: name of the organization that is at the root of `public_url`; every other is at `/t/{name}`.
    ///
    /// # Errors
    /// `Address` when `public_url` is not an address in normal form.
    pub fn new(books: Books, public_url: &str, default_org: Name) -> Result<Self, MetadataError> {
        Self::signing_by(books, public_url, default_org, Arc::new(InProcess))
    }

    /// The same, with somebody else who makes and holds the keys that sign tokens. Keys of trust domains stay in the process.
    ///
    /// # Errors
    /// As [`Issuer::new`].
    pub fn signing_by(
        books: Books,
        public_url: &str,
        default_org: Name,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, MetadataError> {
        well_known_url(public_url, "remit")?;
        let inner = Inner {
            books,
            public_url: public_url.to_owned(),
            default_org,
            signer,
            client_certificates: std::sync::atomic::AtomicBool::new(false),
            keys: RwLock::default(),
            domain_keys: RwLock::default(),
            loading_keys: tokio::sync::Mutex::default(),
            verified: moka::sync::Cache::builder()
                .max_capacity(limits::VERIFIED_MAX)
                .time_to_live(Duration::from_secs(limits::VERIFIED_SECS))
                .build(),
            points: moka::sync::Cache::builder()
                .max_capacity(limits::PEOPLE_MAX)
                .time_to_live(Duration::from_secs(limits::VERIFIED_SECS))
                .build(),
            documents: moka::sync::Cache::new(limits::CLIENT_DOCUMENTS_MAX),
            people: moka::sync::Cache::builder()
                .max_capacity(limits::PEOPLE_MAX)
                .time_to_live(Duration::from_secs(limits::VERIFIED_SECS))
                .build(),
            activity: moka::sync::Cache::new(limits::ACTIVITY_MAX),
            refusals: Mutex::default(),
            rates: Mutex::default(),
            locks: moka::sync::Cache::builder()
                .max_capacity(limits::LOCKS_MAX)
                .time_to_idle(Duration::from_secs(limits::VERIFIED_SECS))
                .build(),
            nonce: Mutex::default(),
            sign_in: sign_in::SignIn::new(),
            leases: moka::sync::Cache::builder()
                .max_capacity(limits::LEASES_HELD_MAX)
                .time_to_live(Duration::from_secs(limits::LEASE_HELD_SECS))
                .build(),
            lease_sweeps: lease::Sweeps::default(),
            foreign_keys: federation::keyrings(),
            endpoint_svids: bundle_endpoint::endpoint_svids(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Says that our own TLS asks clients for a certificate; from then on the metadata says so too.
    pub fn takes_client_certificates(&self) {
        let takes = &self.inner.client_certificates;
        takes.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn with_client_certificates(&self) -> bool {
        let takes = &self.inner.client_certificates;
        takes.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The books it writes to.
    pub fn books(&self) -> &Books {
        &self.inner.books
    }

    /// The organization, when it is one that may have agents: the operator's own may not.
    pub(crate) fn tenant(&self, org: &OrgId) -> Result<Arc<OrgBook>, Refusal> {
        self.books()
            .org(org)
            .filter(|book| !book.is_operator())
            .ok_or_else(|| Refusal::new(RefusalCode::NotFound, "no such organization is here"))
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("public_url", &self.inner.public_url)
            .finish_non_exhaustive()
    }
}
