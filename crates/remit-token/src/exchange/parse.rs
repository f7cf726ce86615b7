//! Reading a token request from its form parameters.
//!
//! Every parameter but `resource` and `audience` may occur once, known or not (RFC 6749 §3.2): of two values, one
//! reader could check the first and another use the second. An empty value counts as absent (same place).

use std::collections::BTreeMap;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{
    AuthorizationCode, CLIENT_ASSERTION_JWT_BEARER, CLIENT_ASSERTION_JWT_SPIFFE, ClientAuth,
    ClientChain, ClientCredentials, ClientProof, GRANT_CLIENT_CREDENTIALS, GRANT_JWT_BEARER,
    GRANT_TOKEN_EXCHANGE, JwtBearer, TokenExchange, TokenRequest, TokenType,
};
use crate::authorization::GRANT_AUTHORIZATION_CODE;
use crate::authorization_details::AuthorizationDetails;
use crate::limits::{
    FORM_BYTES_MAX, FORM_NAME_BYTES_MAX, FORM_PARAMETERS_MAX, TARGETS_MAX, TOKEN_BYTES_MAX,
    URI_BYTES_MAX,
};
use crate::oauth_error::OAuthErrorCode::{
    InvalidAuthorizationDetails, InvalidClient, InvalidRequest, InvalidScope, InvalidTarget,
    UnsupportedGrantType,
};
use crate::oauth_error::{OAuthError, OAuthErrorCode};
use crate::scope::Scope;

impl TokenRequest {
    /// Reads an `application/x-www-form-urlencoded` body.
    ///
    /// - `body`: at most [`FORM_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// As [`Self::from_pairs`]; `invalid_request` if the body is too large.
    pub fn from_form(body: &[u8]) -> Result<Self, OAuthError> {
        if body.len() > FORM_BYTES_MAX {
            return refuse(InvalidRequest, "the request body is too large");
        }
        Self::from_pairs(url::form_urlencoded::parse(body))
    }

    /// Reads decoded parameters, in any order.
    ///
    /// # Errors
    /// `invalid_request` for a repeated, missing, malformed or too long parameter; `unsupported_grant_type`;
    /// `invalid_client` without a client assertion, or with a secret; `invalid_scope`; `invalid_target`.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, OAuthError> {
        let form = Form::collect(pairs)?;
        let grant = form.required("grant_type")?;
        match grant {
            GRANT_CLIENT_CREDENTIALS => {
                if !form.audience.is_empty() {
                    return refuse(
                        InvalidRequest,
                        "this grant has no 'audience'; use 'resource'",
                    );
                }
                Ok(Self::ClientCredentials(ClientCredentials {
                    client: form.client()?,
                    authorization_details: form.details()?,
                    scope: form.scope()?,
                    resource: form.resources()?,
                }))
            }
            GRANT_AUTHORIZATION_CODE => Ok(Self::AuthorizationCode(Box::new(form.code()?))),
            GRANT_TOKEN_EXCHANGE => Ok(Self::TokenExchange(Box::new(form.exchange()?))),
            GRANT_JWT_BEARER => Ok(Self::JwtBearer(Box::new(form.jwt_bearer()?))),
            _ => refuse(
                UnsupportedGrantType,
                "use 'client_credentials', 'authorization_code', the token exchange of RFC 8693 or the JWT bearer grant of RFC 7523",
            ),
        }
    }
}

/// The parameters of one request, each within its limits.
#[derive(Default)]
struct Form {
    // Wiped on drop: some of these are tokens.
    once: BTreeMap<String, Zeroizing<String>>,
    resource: Vec<String>,
    audience: Vec<String>,
}

impl Form {
    fn collect<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, OAuthError> {
        let mut form = Self::default();
        for (count, (name, value)) in pairs.into_iter().enumerate() {
            let (name, value) = (name.as_ref(), value.as_ref());
            if count >= FORM_PARAMETERS_MAX {
                return refuse(InvalidRequest, "the request has too many parameters");
            }
            if name.len() > FORM_NAME_BYTES_MAX || value.len() > TOKEN_BYTES_MAX {
                return refuse(InvalidRequest, "a parameter of the request is too long");
            }
            match name {
                "resource" => add_target(&mut form.resource, value)?,
                "audience" => add_target(&mut form.audience, value)?,
                _ => {
                    let value = Zeroizing::new(value.to_owned());
                    if form.once.insert(name.to_owned(), value).is_some() {
                        return refuse(InvalidRequest, format!("'{name}' is given more than once"));
                    }
                }
            }
        }
        Ok(form)
    }

    /// The value of `name`, absent if empty; printable ASCII only (RFC 6749 §A).
    fn optional(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let Some(value) = self.once.get(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        if !is_printable(value) {
            return refuse(
                InvalidRequest,
                format!("'{name}' has characters that are not allowed"),
            );
        }
        Ok(Some(value.as_str()))
    }

    fn required(&self, name: &str) -> Result<&str, OAuthError> {
        match self.optional(name)? {
            Some(value) => Ok(value),
            None => refuse(InvalidRequest, format!("'{name}' is missing")),
        }
    }

    fn client(&self) -> Result<ClientAuth, OAuthError> {
        if self.optional("client_secret")?.is_some() {
            let text = "client secrets are not accepted; authenticate with 'private_key_jwt'";
            return refuse(InvalidClient, text);
        }
        let client_id = self.optional("client_id")?;
        if client_id.is_some_and(|id| id.len() > URI_BYTES_MAX) {
            return refuse(InvalidRequest, "'client_id' is too long");
        }
        let proof = match (
            self.optional("client_assertion_type")?,
            self.optional("client_assertion")?,
        ) {
            (Some(CLIENT_ASSERTION_JWT_BEARER), Some(assertion)) => {
                ClientProof::PrivateKeyJwt(assertion.into())
            }
            (Some(CLIENT_ASSERTION_JWT_SPIFFE), Some(svid)) => ClientProof::JwtSvid(svid.into()),
            // Nothing in the body: the connection proves it (RFC 8705 §2).
            (None, None) if client_id.is_some() => ClientProof::Certificate,
            (Some(_), Some(_)) => {
                return refuse(
                    InvalidClient,
                    "the 'client_assertion_type' is not supported; use jwt-bearer or jwt-spiffe",
                );
            }
            _ => {
                return refuse(
                    InvalidClient,
                    "authenticate with 'client_assertion_type' and 'client_assertion' (private_key_jwt), or with a certificate and 'client_id'",
                );
            }
        };
        Ok(ClientAuth {
            client_id: client_id.map(str::to_owned),
            proof,
            chain: ClientChain::default(),
        })
    }

    fn scope(&self) -> Result<Scope, OAuthError> {
        let text = self.optional("scope")?.unwrap_or("");
        Scope::parse(text).or_else(|error| refuse(InvalidScope, error.to_string()))
    }

    /// JSON, which is read with its own rules for characters.
    fn details(&self) -> Result<AuthorizationDetails, OAuthError> {
        match self
            .once
            .get("authorization_details")
            .filter(|text| !text.is_empty())
        {
            None => Ok(AuthorizationDetails::default()),
            Some(text) => AuthorizationDetails::parse(text)
                .or_else(|error| refuse(InvalidAuthorizationDetails, error.to_string())),
        }
    }

    fn resources(&self) -> Result<Vec<String>, OAuthError> {
        for resource in &self.resource {
            let absolute = url::Url::parse(resource).is_ok_and(|url| url.fragment().is_none());
            if !absolute {
                return refuse(
                    InvalidTarget,
                    "'resource' is not an absolute URI without fragment",
                );
            }
        }
        Ok(self.resource.clone())
    }

    fn code(&self) -> Result<AuthorizationCode, OAuthError> {
        if !self.audience.is_empty() {
            let text = "this grant has no 'audience'; use 'resource'";
            return refuse(InvalidRequest, text);
        }
        let redirect_uri = self.optional("redirect_uri")?;
        Ok(AuthorizationCode {
            client: self.client()?,
            authorization_details: self.details()?,
            code: SecretString::from(self.required("code")?),
            redirect_uri: redirect_uri.map(str::to_owned),
            code_verifier: SecretString::from(self.required("code_verifier")?),
            scope: self.scope()?,
            resource: self.resources()?,
        })
    }

    fn jwt_bearer(&self) -> Result<JwtBearer, OAuthError> {
        if !self.audience.is_empty() {
            let text = "this grant has no 'audience'; use 'resource'";
            return refuse(InvalidRequest, text);
        }
        let proves = self.optional("client_assertion")?.is_some()
            || self.optional("client_assertion_type")?.is_some()
            || self.optional("client_secret")?.is_some();
        let client_id = self.optional("client_id")?;
        if client_id.is_some_and(|id| id.len() > URI_BYTES_MAX) {
            return refuse(InvalidRequest, "'client_id' is too long");
        }
        Ok(JwtBearer {
            assertion: SecretString::from(self.required("assertion")?),
            client: if proves { Some(self.client()?) } else { None },
            client_id: client_id.map(str::to_owned),
            chain: ClientChain::default(),
            scope: self.scope()?,
            resource: self.resources()?,
            authorization_details: self.details()?,
        })
    }

    fn exchange(&self) -> Result<TokenExchange, OAuthError> {
        let actor_token = match (
            self.optional("actor_token")?,
            self.token_type("actor_token_type")?,
        ) {
            (Some(token), Some(kind)) => Some((SecretString::from(token), kind)),
            (None, None) => None,
            _ => {
                let text = "'actor_token' and 'actor_token_type' go together";
                return refuse(InvalidRequest, text);
            }
        };
        let subject_token = SecretString::from(self.required("subject_token")?);
        let Some(subject_token_type) = self.token_type("subject_token_type")? else {
            return refuse(InvalidRequest, "'subject_token_type' is missing");
        };
        Ok(TokenExchange {
            client: self.client()?,
            authorization_details: self.details()?,
            subject_token,
            subject_token_type,
            actor_token,
            resource: self.resources()?,
            audience: self.audience.clone(),
            scope: self.scope()?,
            requested_token_type: self.token_type("requested_token_type")?,
        })
    }

    fn token_type(&self, name: &str) -> Result<Option<TokenType>, OAuthError> {
        let Some(urn) = self.optional(name)? else {
            return Ok(None);
        };
        match TokenType::from_urn(urn) {
            Some(kind) => Ok(Some(kind)),
            None => refuse(
                InvalidRequest,
                format!("'{name}' is not a known token type"),
            ),
        }
    }
}

fn add_target(targets: &mut Vec<String>, value: &str) -> Result<(), OAuthError> {
    if value.is_empty() {
        return Ok(());
    }
    if targets.len() >= TARGETS_MAX {
        return refuse(InvalidTarget, "too many targets are asked for at once");
    }
    if value.len() > URI_BYTES_MAX || !is_printable(value) {
        return refuse(
            InvalidTarget,
            "a target is too long or has characters that are not allowed",
        );
    }
    targets.push(value.to_owned());
    Ok(())
}

fn is_printable(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn refuse<T>(
    code: OAuthErrorCode,
    description: impl Into<std::borrow::Cow<'static, str>>,
) -> Result<T, OAuthError> {
    Err(OAuthError::new(code, description))
}
