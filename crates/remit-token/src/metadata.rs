//! What a server says about itself: authorization-server and protected-resource metadata.
//!
//! Source: RFC 8414 §2 and §3.1, RFC 9728 §2 and §3.1, RFC 9207 §3, MCP 2026-07-28 basic/authorization. Addresses are
//! made from the issuer that the caller configured, never from a request.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use crate::authorization::GRANT_AUTHORIZATION_CODE;
use crate::authorization_details::TYPE_TOOL;
use crate::dpop;
use crate::exchange::{
    GRANT_CLIENT_CREDENTIALS, GRANT_JWT_BEARER, GRANT_TOKEN_EXCHANGE, TokenType,
};
use crate::foreign::GRANT_PROFILE_ID_JAG;
use crate::limits::URI_BYTES_MAX;
use crate::scope::Scope;

/// Well-known suffix of RFC 8414 §3.
pub const WELL_KNOWN_AUTHORIZATION_SERVER: &str = "oauth-authorization-server";
/// Well-known suffix of OpenID Connect Discovery 1.0 §4.
pub const WELL_KNOWN_OPENID_CONFIGURATION: &str = "openid-configuration";
/// Well-known suffix of RFC 9728 §3.
pub const WELL_KNOWN_PROTECTED_RESOURCE: &str = "oauth-protected-resource";

/// How clients prove themselves (RFC 7523 §2.2, draft-ietf-oauth-spiffe-client-auth).
pub const CLIENT_AUTH_METHODS: [&str; 2] = ["private_key_jwt", "spiffe_jwt"];
/// The same, where the server's TLS takes certificates of clients (RFC 8705 §2, draft-ietf-oauth-spiffe-client-auth).
pub const CERTIFICATE_AUTH_METHODS: [&str; 3] = [
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "spiffe_x509",
];

/// Why metadata was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Not a usable issuer or resource identifier.
    #[error(
        "the address is not an `https` or `http` URL in normal form without user, query, fragment or trailing slash; correct `public_url`"
    )]
    Address,
}

/// Authorization-server metadata (RFC 8414 §2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationServerMetadata {
    /// The issuer, byte for byte as in tokens.
    pub issuer: String,
    /// Where a client sends a person to let it act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// Where a client pushes its request beforehand (RFC 9126 §5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_authorization_request_endpoint: Option<String>,
    /// Where tokens are issued.
    pub token_endpoint: String,
    /// Where the issuer's keys are.
    pub jwks_uri: String,
    /// RFC 7662.
    pub introspection_endpoint: String,
    /// RFC 7009.
    pub revocation_endpoint: String,
    /// Scopes worth asking for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// `code`.
    pub response_types_supported: Vec<String>,
    /// The grants of [`crate::exchange`].
    pub grant_types_supported: Vec<String>,
    /// How clients prove themselves.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// Algorithms of client assertions.
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// As for the token endpoint.
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// As for the token endpoint.
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// `S256`; clients of MCP stop if it is absent.
    pub code_challenge_methods_supported: Vec<String>,
    /// Algorithms of proofs of possession (RFC 9449 §5.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// Types of authorization details (RFC 9396 §10).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types_supported: Vec<String>,
    /// Whether clients may be known by the address of their metadata document.
    #[serde(default)]
    pub client_id_metadata_document_supported: bool,
    /// RFC 9207 §3.
    pub authorization_response_iss_parameter_supported: bool,
    /// What an exchange of tokens gives besides access tokens (draft-ietf-oauth-identity-assertion-authz-grant-04 §7.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity_chaining_requested_token_types_supported: Vec<String>,
    /// What assertions besides plain ones are taken as grants (draft-ietf-oauth-identity-assertion-authz-grant-04 §7.2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_grant_profiles_supported: Vec<String>,
    /// Whether tokens are bound to the certificate of a client that shows one (RFC 8705 §3.3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// Where people read on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_documentation: Option<String>,
}

impl AuthorizationServerMetadata {
    /// The metadata of the server at `issuer`, with its endpoints under `{issuer}/oauth2/`.
    ///
    /// - `issuer`: `https://host[:port][/path]`, no trailing slash; `http` for loopback is for the caller to judge.
    ///
    /// # Errors
    /// `Address`.
    pub fn new(issuer: &str, scopes: &Scope) -> Result<Self, MetadataError> {
        check_address(issuer)?;
        let endpoint = |name: &str| format!("{issuer}/oauth2/{name}");
        let methods = texts(&CLIENT_AUTH_METHODS);
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: Some(endpoint("authorize")),
            pushed_authorization_request_endpoint: Some(endpoint("par")),
            token_endpoint: endpoint("token"),
            jwks_uri: endpoint("jwks"),
            introspection_endpoint: endpoint("introspect"),
            revocation_endpoint: endpoint("revoke"),
            scopes_supported: scopes.iter().map(str::to_owned).collect(),
            response_types_supported: texts(&["code"]),
            grant_types_supported: texts(&[
                GRANT_AUTHORIZATION_CODE,
                GRANT_CLIENT_CREDENTIALS,
                GRANT_TOKEN_EXCHANGE,
                GRANT_JWT_BEARER,
            ]),
            token_endpoint_auth_methods_supported: methods.clone(),
            token_endpoint_auth_signing_alg_values_supported: texts(&["ES256", "EdDSA"]),
            introspection_endpoint_auth_methods_supported: methods.clone(),
            revocation_endpoint_auth_methods_supported: methods,
            code_challenge_methods_supported: texts(&["S256"]),
            dpop_signing_alg_values_supported: texts(&dpop::ALGORITHMS),
            authorization_details_types_supported: texts(&[TYPE_TOOL]),
            client_id_metadata_document_supported: true,
            authorization_response_iss_parameter_supported: true,
            identity_chaining_requested_token_types_supported: texts(&[TokenType::IdJag.urn()]),
            authorization_grant_profiles_supported: texts(&[GRANT_PROFILE_ID_JAG]),
            tls_client_certificate_bound_access_tokens: false,
            service_documentation: None,
        })
    }

    /// The same of a server whose TLS takes certificates of clients (RFC 8705).
    #[must_use]
    pub fn with_client_certificates(mut self) -> Self {
        let methods = texts(&CERTIFICATE_AUTH_METHODS);
        for supported in [
            &mut self.token_endpoint_auth_methods_supported,
            &mut self.introspection_endpoint_auth_methods_supported,
            &mut self.revocation_endpoint_auth_methods_supported,
        ] {
            supported.extend(methods.iter().cloned());
        }
        self.tls_client_certificate_bound_access_tokens = true;
        self
    }
}

/// The same as served at `openid-configuration`, where clients of MCP look second. It adds what OpenID Connect
/// Discovery 1.0 §3 requires; no ID tokens are issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenIdConfiguration {
    /// Everything of RFC 8414.
    #[serde(flatten)]
    pub server: AuthorizationServerMetadata,
    /// `public`.
    pub subject_types_supported: Vec<String>,
    /// `ES256`.
    pub id_token_signing_alg_values_supported: Vec<String>,
}

impl From<AuthorizationServerMetadata> for OpenIdConfiguration {
    fn from(server: AuthorizationServerMetadata) -> Self {
        Self {
            server,
            subject_types_supported: texts(&["public"]),
            id_token_signing_alg_values_supported: texts(&["ES256"]),
        }
    }
}

/// Protected-resource metadata (RFC 9728 §2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedResourceMetadata {
    /// The resource identifier: what a token's `aud` says.
    pub resource: String,
    /// Issuers whose tokens are good here; at least one.
    pub authorization_servers: Vec<String>,
    /// Scopes worth asking for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// `header`: never in a query or a body.
    pub bearer_methods_supported: Vec<String>,
    /// Algorithms of proofs of possession (RFC 9728 §2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// Types of authorization details (RFC 9728 §2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types_supported: Vec<String>,
    /// Whether tokens that are bound to a certificate are good here (RFC 9728 §2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// Where people read on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
}

impl ProtectedResourceMetadata {
    /// The metadata of `resource`, whose tokens come from `issuer`.
    ///
    /// # Errors
    /// `Address`.
    pub fn new(resource: &str, issuer: &str, scopes: &Scope) -> Result<Self, MetadataError> {
        check_address(resource)?;
        check_address(issuer)?;
        Ok(Self {
            resource: resource.to_owned(),
            authorization_servers: vec![issuer.to_owned()],
            scopes_supported: scopes.iter().map(str::to_owned).collect(),
            bearer_methods_supported: texts(&["header"]),
            dpop_signing_alg_values_supported: texts(&dpop::ALGORITHMS),
            authorization_details_types_supported: texts(&[TYPE_TOOL]),
            tls_client_certificate_bound_access_tokens: false,
            resource_name: None,
            resource_documentation: None,
        })
    }

    /// The same of a server whose TLS takes certificates of clients.
    #[must_use]
    pub fn with_client_certificates(mut self) -> Self {
        self.tls_client_certificate_bound_access_tokens = true;
        self
    }
}

/// The address of a metadata document: the suffix goes between host and path.
///
/// Source: RFC 8414 §3.1, RFC 9728 §3.1.
///
/// - `identifier`: issuer or resource, such as `https://remit.example/t/acme`.
/// - returns: such as `https://remit.example/.well-known/oauth-authorization-server/t/acme`.
///
/// # Errors
/// `Address`.
pub fn well_known_url(identifier: &str, suffix: &str) -> Result<String, MetadataError> {
    let mut url = check_address(identifier)?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("/.well-known/{suffix}{path}"));
    Ok(url.into())
}

/// An identifier is compared byte for byte by everybody, so only the normal form is let in.
fn check_address(identifier: &str) -> Result<Url, MetadataError> {
    let url = Url::parse(identifier).map_err(|_| MetadataError::Address)?;
    let plain = matches!(url.scheme(), "https" | "http")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let normal = url.as_str().strip_suffix('/').unwrap_or(url.as_str()) == identifier;
    if !plain || !normal || identifier.len() > URI_BYTES_MAX {
        return Err(MetadataError::Address);
    }
    Ok(url)
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_goes_between_host_and_path() {
        for (identifier, expected) in [
            (
                "https://remit.example",
                "https://remit.example/.well-known/x",
            ),
            (
                "https://remit.example/t/acme",
                "https://remit.example/.well-known/x/t/acme",
            ),
            (
                "http://127.0.0.1:7600/mcp",
                "http://127.0.0.1:7600/.well-known/x/mcp",
            ),
        ] {
            assert_eq!(well_known_url(identifier, "x").unwrap(), expected);
        }
    }

    #[test]
    fn only_the_normal_form_of_an_address_is_let_in() {
        for bad in [
            "https://remit.example/",
            "https://remit.example/t/acme/",
            "https://REMIT.example",
            "https://remit.example:443",
            "https://remit.example/a/../b",
            "https://u:p@remit.example",
            "https://remit.example?x",
            "https://remit.example#x",
            "ftp://remit.example",
            "remit.example",
            "",
        ] {
            let made = AuthorizationServerMetadata::new(bad, &Scope::default());
            assert_eq!(made, Err(MetadataError::Address), "{bad}");
        }
    }

    #[test]
    fn server_metadata_says_what_is_offered() {
        let scopes = Scope::parse("tools:call").unwrap();
        let made =
            AuthorizationServerMetadata::new("https://remit.example/t/acme", &scopes).unwrap();
        let auth = ["private_key_jwt", "spiffe_jwt"];
        assert_eq!(
            serde_json::to_value(&made).unwrap(),
            serde_json::json!({
                "issuer": "https://remit.example/t/acme",
                "authorization_endpoint": "https://remit.example/t/acme/oauth2/authorize",
                "pushed_authorization_request_endpoint": "https://remit.example/t/acme/oauth2/par",
                "token_endpoint": "https://remit.example/t/acme/oauth2/token",
                "jwks_uri": "https://remit.example/t/acme/oauth2/jwks",
                "introspection_endpoint": "https://remit.example/t/acme/oauth2/introspect",
                "revocation_endpoint": "https://remit.example/t/acme/oauth2/revoke",
                "scopes_supported": ["tools:call"],
                "response_types_supported": ["code"],
                "grant_types_supported":
                    ["authorization_code", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange",
                        "urn:ietf:params:oauth:grant-type:jwt-bearer"],
                "token_endpoint_auth_methods_supported": auth,
                "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA"],
                "introspection_endpoint_auth_methods_supported": auth,
                "revocation_endpoint_auth_methods_supported": auth,
                "code_challenge_methods_supported": ["S256"],
                "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
                "authorization_details_types_supported": ["remit_tool"],
                "client_id_metadata_document_supported": true,
                "authorization_response_iss_parameter_supported": true,
                "identity_chaining_requested_token_types_supported": ["urn:ietf:params:oauth:token-type:id-jag"],
                "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"],
            })
        );
        let openid = serde_json::to_value(OpenIdConfiguration::from(made)).unwrap();
        assert_eq!(
            openid["subject_types_supported"],
            serde_json::json!(["public"])
        );
        assert_eq!(openid["issuer"], "https://remit.example/t/acme");
    }

    #[test]
    fn resource_metadata_names_its_issuer() {
        let scopes = Scope::default();
        let made =
            ProtectedResourceMetadata::new("https://r.example/mcp", "https://r.example", &scopes);
        assert_eq!(
            serde_json::to_value(made.unwrap()).unwrap(),
            serde_json::json!({
                "resource": "https://r.example/mcp",
                "authorization_servers": ["https://r.example"],
                "bearer_methods_supported": ["header"],
                "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
                "authorization_details_types_supported": ["remit_tool"],
            })
        );
    }
}
