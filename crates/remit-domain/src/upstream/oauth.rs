//! What Remit is at the authorization server of an upstream, and how it asks for a token there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::SecretRef;

/// How a token is asked for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TokenGrant {
    /// For Remit itself (RFC 6749 §4.4): the upstream sees Remit, and nobody else.
    #[default]
    ClientCredentials,
    /// With a refresh token of the vault (RFC 6749 §6); where the server gives another one, it becomes the next version.
    RefreshToken,
    /// For whoever the run acts for (RFC 8693): Remit signs who that is, the person and the agent, and the server makes a token of
    /// it.
    TokenExchange,
    /// The same, as an identity assertion (ID-JAG) by the JWT bearer grant (RFC 7523 §2.1). The run has to act for a person.
    JwtBearer,
}

impl TokenGrant {
    /// The grant as its stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
            Self::TokenExchange => "token_exchange",
            Self::JwtBearer => "jwt_bearer",
        }
    }
}

/// What Remit is at the authorization server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OauthClient {
    /// The server's issuer: whom everything that Remit signs is for, and nobody else.
    pub issuer: String,
    /// Its token endpoint.
    pub token_endpoint: String,
    /// Its revocation endpoint (RFC 7009). Without one, a token outlives its run until it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// Its introspection endpoint (RFC 7662), which proves that a token was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// Remit's client id there.
    pub client_id: String,
    /// Remit's password there (`client_secret_basic`, RFC 6749 §2.3.1). Without one, Remit signs who it is with the organization's
    /// key (`private_key_jwt`, RFC 7523 §2.2), and the server finds that at `/oauth2/jwks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// How a token is asked for.
    #[serde(default)]
    pub grant: TokenGrant,
    /// The refresh token, in the vault, for the grant that needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<SecretRef>,
    /// Scopes that are asked for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<String>,
    /// Scopes that are asked for instead where one of these tools is called.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, BTreeSet<String>>,
    /// Where the token is to be good (RFC 8707).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

impl OauthClient {
    /// Every secret it names.
    #[must_use]
    pub fn references(&self) -> Vec<&SecretRef> {
        let both = [&self.client_secret, &self.refresh_token];
        both.into_iter().flatten().collect()
    }

    /// What is asked for where that tool is called.
    #[must_use]
    pub fn scopes_for(&self, tool: Option<&str>) -> &BTreeSet<String> {
        tool.and_then(|tool| self.tools.get(tool))
            .unwrap_or(&self.scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_named_asks_for_its_own_scopes_alone() {
        let client: OauthClient = serde_json::from_value(serde_json::json!({
            "issuer": "https://a.example", "token_endpoint": "https://a.example/token", "client_id": "remit",
            "scopes": ["read", "write"], "tools": { "look": ["read"] },
        }))
        .unwrap();
        let asked = |tool| -> Vec<_> { client.scopes_for(tool).iter().collect() };
        assert_eq!(asked(Some("look")), ["read"]);
        assert_eq!(asked(Some("other")), ["read", "write"]);
        assert_eq!(asked(None), ["read", "write"]);
    }
}
