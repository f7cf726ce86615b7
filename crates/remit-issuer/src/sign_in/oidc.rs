//! Signing in with the company's OpenID provider: authorization code, PKCE, nonce and state.
//!
//! Source: OpenID Connect Core 1.0 §3.1, RFC 7636, RFC 9207, RFC 9700 §2.1. What a visit needs is sealed in a cookie:
//! an answer counts only in the browser that was sent, once, within five minutes, and only from the issuer it was sent to.

use openidconnect::core::{
    CoreAuthenticationFlow, CoreGenderClaim, CoreJwsSigningAlgorithm as Alg,
};
use openidconnect::{
    AccessToken, AuthorizationCode, CsrfToken, IdTokenVerifier, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, Scope, TokenResponse as _,
};
use remit_books::Change;
use remit_domain::idp::ProviderSettings;
use remit_domain::name::Email;
use remit_domain::{OrgId, PersonId, Refusal, RefusalCode, SignedInBy};
use remit_ports::store::StoreError;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cannot_sign_in;
use super::ceremony::{Purpose, stale};
use super::provider::{Metadata, MoreClaims, Party, unreachable};
use crate::Issuer;
use crate::limits::{ANSWER_BYTES_MAX, ID_TOKEN_AGE_SECS, NEXT_BYTES_MAX, NODE_LEEWAY_SECS};
use crate::refusal::{from_books, no};
use crate::session::{NewSession, OpenSession};

/// Signatures that are believed: made with a private key. A shared secret would make the client able to sign, too.
const ALGORITHMS: [Alg; 7] = [
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
    Alg::EdDsa,
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPkcs1V15Sha384,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha384,
];

/// Where a browser is sent, and what it keeps meanwhile.
#[derive(Debug)]
pub struct OidcStart {
    /// At the provider.
    pub url: String,
    /// The sealed state, for the cookie of the visit.
    pub visit: SecretString,
}

/// What a browser brings back, as it stands in the query.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OidcAnswer {
    /// The code.
    #[serde(default)]
    pub code: Option<String>,
    /// The state.
    #[serde(default)]
    pub state: Option<String>,
    /// Whose answer it is (RFC 9207).
    #[serde(default)]
    pub iss: Option<String>,
    /// Why there is no code.
    #[serde(default)]
    pub error: Option<String>,
}

/// Somebody who has signed in, and where they were going.
#[derive(Debug)]
pub struct Welcome {
    /// Their session.
    pub session: NewSession,
    /// An address within this site: a path, perhaps with a query.
    pub next: String,
}

/// What a visit needs, sealed in the browser's cookie.
#[derive(Serialize, Deserialize)]
struct Visit {
    issuer: String,
    client_id: String,
    state: String,
    nonce: String,
    verifier: String,
    next: String,
}

type Claims = openidconnect::IdTokenClaims<MoreClaims, CoreGenderClaim>;

/// What a provider says of somebody.
struct Named {
    subject: String,
    email: Option<String>,
    /// Whether the provider has verified the address.
    verified: bool,
    /// None where nothing was said of groups.
    groups: Option<Vec<String>>,
}

impl Issuer {
    /// Begins signing in with the company's provider.
    ///
    /// - `next`: where to go on within this site; anything but a plain path of this site becomes the organization's home.
    ///
    /// # Errors
    /// `not-found` when there is no provider, `upstream-unreachable`, `credential-unavailable`, `ledger-unavailable`.
    pub async fn begin_oidc(&self, org: &OrgId, next: &str) -> Result<OidcStart, Refusal> {
        let settings = self.provider_in_use(org).await?.settings;
        let metadata = self.metadata(org, &settings, false).await?;
        let party = self.relying_party(org, &settings, &metadata).await?;
        let visit = Visit {
            issuer: settings.issuer.clone(),
            client_id: settings.client_id.clone(),
            state: self.random_text(),
            nonce: self.random_text(),
            verifier: self.random_text(),
            next: self.local_address(org, next)?,
        };
        let verifier = PkceCodeVerifier::new(visit.verifier.clone());
        let (state, nonce) = (visit.state.clone(), visit.nonce.clone());
        let mut request = party.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        for scope in &settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let (url, _, _) = request.set_pkce_challenge(challenge).url();
        if !matches!(url.scheme(), "https" | "http") {
            return Err(cannot_sign_in());
        }
        let inner = serde_json::to_value(&visit).map_err(|_| stale())?;
        let sealed = self.seal_ceremony(org, Purpose::Oidc, &self.new_ceremony(inner))?;
        Ok(OidcStart {
            url: url.to_string(),
            visit: SecretString::from(sealed),
        })
    }

    /// Ends signing in with the company's provider. Success and refusal are recorded.
    ///
    /// - `visit`: the sealed state from the browser's cookie.
    /// - `answer`: the query that the browser came back with.
    ///
    /// # Errors
    /// `proof-invalid` when the answer is not to what this browser was sent with; `unauthenticated` when the provider or its
    /// token do not name a person here; `upstream-unreachable`, `ledger-unavailable`.
    pub async fn finish_oidc(
        &self,
        org: &OrgId,
        visit: &str,
        answer: &OidcAnswer,
        browser: &str,
    ) -> Result<Welcome, Refusal> {
        match self.finish_oidc_inner(org, visit, answer, browser).await {
            Err(refusal) if refusal.code != RefusalCode::LedgerUnavailable => {
                Err(self.refuse(org, "sign_in_oidc", None, None, refusal).await)
            }
            other => other,
        }
    }

    async fn finish_oidc_inner(
        &self,
        org: &OrgId,
        visit: &str,
        answer: &OidcAnswer,
        browser: &str,
    ) -> Result<Welcome, Refusal> {
        let ceremony = self.open_ceremony(org, Purpose::Oidc, visit)?;
        let visit: Visit = serde_json::from_value(ceremony.inner.clone()).map_err(|_| stale())?;
        let provider = self.provider_in_use(org).await?;
        let settings = &provider.settings;
        if settings.issuer != visit.issuer || settings.client_id != visit.client_id {
            return Err(stale());
        }
        let metadata = self.metadata(org, settings, false).await?;
        let code = code_of(answer, &visit, &metadata)?;
        // Before anything is asked for with it: an answer is looked at once.
        let once = Change::new().once(ceremony.once());
        self.books().commit(org, once).await.map_err(|error| {
            let replayed = matches!(
                error,
                remit_books::BooksError::Store(StoreError::Replayed { .. })
            );
            if replayed { stale() } else { from_books(error) }
        })?;
        let party = self.relying_party(org, settings, &metadata).await?;
        let named = self
            .named(org, settings, &metadata, &party, code, &visit)
            .await?;
        let open = OpenSession {
            person: self.person_of(org, settings, &named)?,
            how: SignedInBy::Oidc,
            browser: browser.to_owned(),
            roles_max: settings.roles_of(named.groups.as_deref().unwrap_or_default()),
        };
        let subject = settings.subjects.contains_key(&named.subject);
        let subject = subject.then_some(named.subject.as_str());
        let groups = open.roles_max.as_ref();
        self.named_by_provider(org, &open.person, &provider, subject, groups)
            .await?;
        Ok(Welcome {
            session: self.open_session(org, open).await?,
            next: visit.next,
        })
    }

    /// Whom the provider names for a code: by its ID token, and where that is silent by its UserInfo endpoint, which is asked
    /// with the token that came along and has to speak of the same subject (OpenID Connect Core 1.0 §5.3.2, §5.4).
    async fn named(
        &self,
        org: &OrgId,
        settings: &ProviderSettings,
        metadata: &Metadata,
        party: &Party,
        code: &str,
        visit: &Visit,
    ) -> Result<Named, Refusal> {
        let (claims, access) = self
            .id_claims(org, settings, metadata, party, code, visit)
            .await?;
        let mut named = Named {
            subject: claims.subject().to_string(),
            email: claims.email().map(|email| email.to_string()),
            verified: claims.email_verified() == Some(true),
            groups: groups_of(settings, claims.additional_claims()),
        };
        let address_missing = settings.verified_email
            && named.email.is_none()
            && !settings.subjects.contains_key(&named.subject);
        let groups_missing = settings.groups_claim.is_some() && named.groups.is_none();
        if !address_missing && !groups_missing {
            return Ok(named);
        }
        let Ok(request) = party.user_info(access, Some(claims.subject().clone())) else {
            return Ok(named);
        };
        let http = self.http(org)?;
        let more: openidconnect::UserInfoClaims<MoreClaims, CoreGenderClaim> =
            request.request_async(&http).await.map_err(|error| {
                tracing::info!(%org, %error, "the OpenID provider said nothing more of somebody");
                cannot_sign_in()
            })?;
        if named.email.is_none() {
            named.email = more.email().map(|email| email.to_string());
            named.verified = more.email_verified() == Some(true);
        }
        if named.groups.is_none() {
            named.groups = groups_of(settings, more.additional_claims());
        }
        Ok(named)
    }

    /// The claims of the ID token that the code is good for, with everything about it checked, and the token beside it.
    async fn id_claims(
        &self,
        org: &OrgId,
        settings: &ProviderSettings,
        metadata: &Metadata,
        party: &Party,
        code: &str,
        visit: &Visit,
    ) -> Result<(Claims, AccessToken), Refusal> {
        let http = self.http(org)?;
        let request = party
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| unreachable(&settings.issuer, &error))?
            .set_pkce_verifier(PkceCodeVerifier::new(visit.verifier.clone()));
        let tokens = request.request_async(&http).await.map_err(|error| {
            tracing::info!(%org, %error, "the OpenID provider gave no tokens for a code");
            cannot_sign_in()
        })?;
        let token = tokens.id_token().ok_or_else(cannot_sign_in)?;
        let nonce = Nonce::new(visit.nonce.clone());
        let verified = match token.claims(&self.verifier(party.id_token_verifier()), &nonce) {
            // A key that the provider has just changed to.
            Err(openidconnect::ClaimsVerificationError::SignatureVerification(
                openidconnect::SignatureVerificationError::NoMatchingKey,
            )) => {
                let again = self.metadata(org, settings, true).await?;
                if again.jwks() == metadata.jwks() {
                    return Err(cannot_sign_in());
                }
                let party = self.relying_party(org, settings, &again).await?;
                token
                    .claims(&self.verifier(party.id_token_verifier()), &nonce)
                    .cloned()
            }
            verified => verified.cloned(),
        };
        let claims = verified.map_err(|error| {
            tracing::info!(%org, %error, "the OpenID provider's token is not good");
            cannot_sign_in()
        })?;
        Ok((claims, tokens.access_token().clone()))
    }

    fn verifier<'a>(
        &self,
        verifier: IdTokenVerifier<'a, openidconnect::core::CoreJsonWebKey>,
    ) -> IdTokenVerifier<'a, openidconnect::core::CoreJsonWebKey> {
        let now = self.books().now();
        let leeway = i64::from(NODE_LEEWAY_SECS);
        verifier
            .set_allowed_algs(ALGORITHMS)
            .set_other_audience_verifier_fn(|_| false)
            .set_time_fn(move || {
                chrono::DateTime::from_timestamp(now.as_secs(), 0).unwrap_or_default()
            })
            .set_issue_time_verifier_fn(move |issued| {
                let age = now.as_secs().saturating_sub(issued.timestamp());
                if (-leeway..=ID_TOKEN_AGE_SECS).contains(&age) {
                    Ok(())
                } else {
                    Err(format!("it was issued {age} s ago"))
                }
            })
    }

    /// The person that a token names: by its subject where that is mapped, else by its verified address.
    fn person_of(
        &self,
        org: &OrgId,
        settings: &ProviderSettings,
        named: &Named,
    ) -> Result<PersonId, Refusal> {
        let mapped = settings.subjects.get(&named.subject);
        let address = match mapped {
            Some(address) => address.clone(),
            None if settings.verified_email && named.verified => named
                .email
                .as_ref()
                .and_then(|email| email.to_ascii_lowercase().parse::<Email>().ok())
                .ok_or_else(cannot_sign_in)?,
            None => return Err(cannot_sign_in()),
        };
        let book = self.tenant(org)?;
        let registry = book.registry();
        registry
            .person_named(address.as_str())
            .filter(|person| person.is_active())
            .map(|person| person.id.clone())
            .ok_or_else(cannot_sign_in)
    }

    /// Where to go on after signing in: `next` where it is a path of this organization, else its home. No other site,
    /// however it is written.
    ///
    /// # Errors
    /// `not-found` when there is no such organization.
    pub fn local_address(&self, org: &OrgId, next: &str) -> Result<String, Refusal> {
        let base = self.issuer_url(org)?;
        let prefix = base
            .strip_prefix(self.inner.public_url.as_str())
            .unwrap_or_default();
        let path = next.strip_prefix(prefix).filter(|rest| {
            rest.starts_with('/')
                && !rest.starts_with("//")
                && next.len() <= NEXT_BYTES_MAX
                && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        });
        let inside = path.is_some() && !next.starts_with("//");
        Ok(if inside {
            next.to_owned()
        } else {
            format!("{prefix}/")
        })
    }

    /// 256 random bits, as 64 hex digits: also a good PKCE verifier (RFC 7636 §4.1).
    fn random_text(&self) -> String {
        hex::encode(self.books().random::<32>())
    }
}

/// The code of an answer to this visit.
fn code_of<'a>(
    answer: &'a OidcAnswer,
    visit: &Visit,
    metadata: &Metadata,
) -> Result<&'a str, Refusal> {
    let parts = [&answer.code, &answer.state, &answer.iss, &answer.error];
    if parts
        .into_iter()
        .flatten()
        .any(|part| part.len() > ANSWER_BYTES_MAX)
    {
        return Err(stale());
    }
    let state = answer.state.as_deref().unwrap_or_default();
    let same =
        aws_lc_rs::constant_time::verify_slices_are_equal(state.as_bytes(), visit.state.as_bytes());
    if same.is_err() {
        return Err(stale());
    }
    // RFC 9207 §2.4: an answer of another issuer is nobody's; a provider that says so always names itself.
    let named = metadata
        .additional_metadata()
        .authorization_response_iss_parameter_supported;
    match &answer.iss {
        Some(iss) if *iss != visit.issuer => return Err(stale()),
        None if named => return Err(stale()),
        _ => {}
    }
    if let Some(error) = &answer.error {
        let code: String = error
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .take(60)
            .collect();
        return Err(no(
            RefusalCode::Unauthenticated,
            format!("the OpenID provider did not sign you in ({code}); try again"),
        ));
    }
    answer.code.as_deref().ok_or_else(stale)
}

/// The groups that a token or an answer names; none where the claim is not there.
fn groups_of(settings: &ProviderSettings, claims: &MoreClaims) -> Option<Vec<String>> {
    let named = claims.0.get(settings.groups_claim.as_ref()?)?;
    Some(match named {
        Value::String(group) => vec![group.clone()],
        Value::Array(groups) => groups
            .iter()
            .filter_map(|group| group.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    })
}
