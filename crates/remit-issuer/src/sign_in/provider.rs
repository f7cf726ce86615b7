//! The company's OpenID provider: its settings, its metadata and keys, and how it is reached.

use std::sync::Arc;

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AdditionalProviderMetadata, Client, ClientId, ClientSecret,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IdTokenFields, IssuerUrl, ProviderMetadata, RedirectUrl, StandardErrorResponse,
    StandardTokenResponse,
};
use remit_books::Versioned;
use remit_domain::idp::{IdentityProvider, PROVIDER_KEY, ProviderSettings};
use remit_domain::name::Name;
use remit_domain::{OrgId, Refusal, RefusalCode};
use remit_ports::web::{WebError, WebRequest};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Outside;
use crate::Issuer;
use crate::refusal::{from_books, no};

/// What a provider says besides what every one says.
///
/// Source: RFC 9207 §3.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MoreMetadata {
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for MoreMetadata {}

/// Claims of an ID token besides the standard ones: groups are among them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MoreClaims(pub(crate) Map<String, Value>);

impl AdditionalClaims for MoreClaims {}

pub(crate) type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Tokens = StandardTokenResponse<
    IdTokenFields<
        MoreClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

pub(crate) type Party = Client<
    MoreClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What was found at an OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProviderReport {
    /// Its issuer, as it calls itself.
    pub issuer: String,
    /// Where people are sent.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: Option<String>,
    /// How many keys it signs with.
    pub keys: usize,
    /// Whether its answers say whose they are (RFC 9207).
    pub iss_in_answers: bool,
    /// What has to be registered there as the redirect address of this instance.
    pub redirect_uri: String,
}

impl Issuer {
    /// The OpenID provider of an organization, as it was set; none when there is none, or it was taken away.
    ///
    /// # Errors
    /// `not-found`, `ledger-unavailable`.
    pub async fn provider(
        &self,
        org: &OrgId,
    ) -> Result<Option<Versioned<IdentityProvider>>, Refusal> {
        self.tenant(org)?;
        let found = self
            .books()
            .get::<IdentityProvider>(org, PROVIDER_KEY)
            .await
            .map_err(from_books)?;
        Ok(found.filter(|found| !found.noun.removed))
    }

    /// The provider that people sign in with now.
    pub(crate) async fn provider_in_use(&self, org: &OrgId) -> Result<IdentityProvider, Refusal> {
        let found = self.provider(org).await?;
        found
            .filter(|found| found.noun.is_in_use())
            .map(|found| found.noun)
            .ok_or_else(|| {
                no(
                    RefusalCode::NotFound,
                    "no OpenID provider is set here; an administrator sets one with `remit idp set`",
                )
            })
    }

    /// Asks a provider for its metadata and keys, and reads the client's secret: what signing in needs.
    ///
    /// # Errors
    /// `not-found` when none is set; `upstream-unreachable` or `credential-unavailable` with what is wrong.
    pub async fn test_provider(&self, org: &OrgId) -> Result<ProviderReport, Refusal> {
        let found = self.provider(org).await?;
        let settings = found
            .map(|found| found.noun.settings)
            .ok_or_else(|| no(RefusalCode::NotFound, "no OpenID provider is set here"))?;
        let metadata = self.metadata(org, &settings, true).await?;
        self.client_secret(org, &settings).await?;
        Ok(ProviderReport {
            issuer: metadata.issuer().to_string(),
            authorization_endpoint: metadata.authorization_endpoint().to_string(),
            token_endpoint: metadata.token_endpoint().map(ToString::to_string),
            keys: metadata.jwks().keys().len(),
            iss_in_answers: metadata
                .additional_metadata()
                .authorization_response_iss_parameter_supported,
            redirect_uri: self.oidc_redirect(org)?,
        })
    }

    /// Where the provider sends people back to: below `public_url`, never what a request says.
    pub(crate) fn oidc_redirect(&self, org: &OrgId) -> Result<String, Refusal> {
        Ok(format!("{}/sign-in/oidc/callback", self.issuer_url(org)?))
    }

    pub(crate) fn organization_name(&self, org: &OrgId) -> Result<Name, Refusal> {
        let book = self.tenant(org)?;
        let registry = book.registry();
        let name = registry.organization.as_ref().map(|o| o.name.clone());
        name.ok_or_else(|| no(RefusalCode::NotFound, "no such organization is here"))
    }

    pub(crate) fn outside(&self) -> Result<&Outside, Refusal> {
        self.inner.sign_in.outside.get().ok_or_else(|| {
            no(
                RefusalCode::UpstreamUnreachable,
                "this process has no way to an OpenID provider",
            )
        })
    }

    /// The way outside.
    pub(crate) fn web(&self) -> Result<Arc<dyn remit_ports::Web>, Refusal> {
        Ok(Arc::clone(&self.outside()?.web))
    }

    /// A provider's metadata and keys.
    ///
    /// - `anew`: whether what is remembered does not count.
    pub(crate) async fn metadata(
        &self,
        org: &OrgId,
        settings: &ProviderSettings,
        anew: bool,
    ) -> Result<Arc<Metadata>, Refusal> {
        let key = (org.clone(), settings.issuer.clone());
        if !anew && let Some(known) = self.inner.sign_in.providers.get(&key) {
            return Ok(known);
        }
        let issuer = IssuerUrl::new(settings.issuer.clone())
            .map_err(|error| unreachable(&settings.issuer, &error))?;
        let http = self.http(org)?;
        let found = Metadata::discover_async(issuer, &http)
            .await
            .map_err(|error| unreachable(&settings.issuer, &error))?;
        let found = Arc::new(found);
        self.inner.sign_in.providers.insert(key, Arc::clone(&found));
        Ok(found)
    }

    /// This instance as a client of the provider.
    pub(crate) async fn relying_party(
        &self,
        org: &OrgId,
        settings: &ProviderSettings,
        metadata: &Metadata,
    ) -> Result<Party, Refusal> {
        let secret = self.client_secret(org, settings).await?;
        let client_id = ClientId::new(settings.client_id.clone());
        let redirect = RedirectUrl::new(self.oidc_redirect(org)?)
            .map_err(|error| unreachable(&settings.issuer, &error))?;
        Ok(
            Party::from_provider_metadata(metadata.clone(), client_id, secret)
                .set_redirect_uri(redirect),
        )
    }

    async fn client_secret(
        &self,
        org: &OrgId,
        settings: &ProviderSettings,
    ) -> Result<Option<ClientSecret>, Refusal> {
        let Some(reference) = &settings.client_secret else {
            return Ok(None);
        };
        let name = self.organization_name(org)?;
        let secret = self.outside()?.secrets.read(&name, reference).await;
        let secret = secret.map_err(|error| {
            no(
                RefusalCode::CredentialUnavailable,
                format!("the client's secret at the OpenID provider: {error}"),
            )
        })?;
        Ok(Some(ClientSecret::new(secret.expose_secret().to_owned())))
    }

    /// The way to the provider, in the form that the library calls.
    pub(crate) fn http(&self, org: &OrgId) -> Result<Http, Refusal> {
        Ok(Http {
            web: Arc::clone(&self.outside()?.web),
            org: org.clone(),
        })
    }
}

/// The way to the provider, in the form that the library calls.
pub(crate) struct Http {
    web: Arc<dyn remit_ports::Web>,
    org: OrgId,
}

type Answering<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, WebError>> + Send + 'a>>;

impl<'a> openidconnect::AsyncHttpClient<'a> for Http {
    type Error = WebError;
    type Future = Answering<'a>;

    fn call(&'a self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let headers = parts
                .headers
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
                })
                .collect();
            let request = WebRequest {
                method: parts.method.as_str().to_owned(),
                url: parts.uri.to_string(),
                headers,
                body,
            };
            let answer = self.web.request(&self.org, request).await?;
            let mut response = http::Response::builder().status(answer.status);
            if let Some(kind) = answer.content_type {
                response = response.header(http::header::CONTENT_TYPE, kind);
            }
            response
                .body(answer.body)
                .map_err(|error| WebError::Unreachable(error.to_string()))
        })
    }
}

/// A provider that cannot be asked, with the chain of reasons: an administrator has to mend it.
pub(crate) fn unreachable(issuer: &str, error: &dyn std::error::Error) -> Refusal {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    no(
        RefusalCode::UpstreamUnreachable,
        format!("the OpenID provider `{issuer}` cannot be used: {text}"),
    )
}
