//! Addresses: every one comes from `public_url`, never from a request.

use remit_domain::upstream::UpstreamName;
use remit_domain::{OrgId, Refusal, RefusalCode};

use crate::Issuer;
use crate::refusal::no;

/// Where a token is good (RFC 8707 §2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `{issuer}/mcp`: all granted tools, each upstream's own endpoint, and the agent's own calls of the API.
    Mcp,
    /// `{issuer}/mcp/{upstream}`: that endpoint, nothing else.
    Upstream(UpstreamName),
    /// `{issuer}/api/v1`: the agent's own calls of the API, nothing else.
    Api,
}

impl Resource {
    /// Whether a token for this resource is good at `at`: the wide one at the narrow one, never the reverse.
    #[must_use]
    pub fn covers(&self, at: &Self) -> bool {
        *self == Self::Mcp || self == at
    }

    /// The path below the issuer.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Mcp => "/mcp".to_owned(),
            Self::Upstream(name) => format!("/mcp/{name}"),
            Self::Api => "/api/v1".to_owned(),
        }
    }
}

impl Issuer {
    /// The issuer's address for an organization: `public_url`, with `/t/{name}` for all but the default one.
    ///
    /// # Errors
    /// `not-found` when there is no such organization, or it is the operator's own.
    pub fn issuer_url(&self, org: &OrgId) -> Result<String, Refusal> {
        let book = self.tenant(org)?;
        let name = book.name();
        if name.is_empty() {
            return Err(no(RefusalCode::NotFound, "no such organization is here"));
        }
        let root = &self.inner.public_url;
        Ok(if name == self.inner.default_org.as_str() {
            root.clone()
        } else {
            format!("{root}/t/{name}")
        })
    }

    /// The address of the token endpoint, which is also the audience of subject tokens.
    ///
    /// # Errors
    /// As [`Self::issuer_url`].
    pub fn token_endpoint(&self, org: &OrgId) -> Result<String, Refusal> {
        Ok(format!("{}/oauth2/token", self.issuer_url(org)?))
    }

    /// The address of a resource, which is the `aud` of its tokens.
    ///
    /// # Errors
    /// As [`Self::issuer_url`].
    pub fn resource_url(&self, org: &OrgId, resource: &Resource) -> Result<String, Refusal> {
        Ok(format!("{}{}", self.issuer_url(org)?, resource.path()))
    }

    /// The resource of an address of ours, compared byte for byte.
    pub(crate) fn resource_at(&self, org: &OrgId, url: &str) -> Result<Option<Resource>, Refusal> {
        let issuer = self.issuer_url(org)?;
        let Some(path) = url.strip_prefix(issuer.as_str()) else {
            return Ok(None);
        };
        Ok(match path {
            "/mcp" => Some(Resource::Mcp),
            "/api/v1" => Some(Resource::Api),
            _ => path
                .strip_prefix("/mcp/")
                .and_then(|name| name.parse().ok())
                .map(Resource::Upstream),
        })
    }

    /// The resource that is asked for: none means `{issuer}/mcp`; an upstream has to be registered.
    pub(crate) fn resource_asked(
        &self,
        org: &OrgId,
        asked: &[String],
    ) -> Result<Resource, Refusal> {
        let wrong = || {
            no(
                RefusalCode::NotFound,
                "the resource is not one of this issuer; see its protected-resource metadata",
            )
        };
        let resource = match asked {
            [] => Resource::Mcp,
            [one] => self.resource_at(org, one)?.ok_or_else(wrong)?,
            _ => {
                return Err(no(
                    RefusalCode::NotFound,
                    "a token is good at one resource; ask for one",
                ));
            }
        };
        match &resource {
            Resource::Upstream(name)
                if !self.tenant(org)?.registry().upstreams.contains_key(name) =>
            {
                Err(wrong())
            }
            _ => Ok(resource),
        }
    }
}
