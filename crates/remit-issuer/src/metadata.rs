//! What the issuer says about itself (RFC 8414, RFC 9728).

use remit_domain::{OrgId, Refusal, RefusalCode};
use remit_token::metadata::{
    WELL_KNOWN_AUTHORIZATION_SERVER, WELL_KNOWN_OPENID_CONFIGURATION,
    WELL_KNOWN_PROTECTED_RESOURCE, well_known_url,
};
use remit_token::{
    AuthorizationServerMetadata, MetadataError, OpenIdConfiguration, ProtectedResourceMetadata,
    Scope,
};

use crate::refusal::no;
use crate::{Issuer, Resource};

fn address(_: MetadataError) -> Refusal {
    no(
        RefusalCode::InvalidRequest,
        "the address is not one that can be published; correct `public_url`",
    )
}

impl Issuer {
    /// Authorization-server metadata.
    ///
    /// # Errors
    /// `not-found`.
    pub fn authorization_server(
        &self,
        org: &OrgId,
    ) -> Result<AuthorizationServerMetadata, Refusal> {
        let issuer = self.issuer_url(org)?;
        let metadata =
            AuthorizationServerMetadata::new(&issuer, &Scope::default()).map_err(address)?;
        Ok(match self.with_client_certificates() {
            true => metadata.with_client_certificates(),
            false => metadata,
        })
    }

    /// The same for clients that look for an OpenID configuration; no ID tokens are issued.
    ///
    /// # Errors
    /// `not-found`.
    pub fn openid_configuration(&self, org: &OrgId) -> Result<OpenIdConfiguration, Refusal> {
        Ok(self.authorization_server(org)?.into())
    }

    /// Protected-resource metadata, alike for every upstream of a well-formed name: whether one is registered is not told to
    /// whoever asks without a credential.
    ///
    /// # Errors
    /// `not-found` when there is no such organization.
    pub fn protected_resource(
        &self,
        org: &OrgId,
        resource: &Resource,
    ) -> Result<ProtectedResourceMetadata, Refusal> {
        let url = self.resource_url(org, resource)?;
        let issuer = self.issuer_url(org)?;
        let metadata =
            ProtectedResourceMetadata::new(&url, &issuer, &Scope::default()).map_err(address)?;
        Ok(match self.with_client_certificates() {
            true => metadata.with_client_certificates(),
            false => metadata,
        })
    }

    /// Where a resource's metadata is: what a challenge names as `resource_metadata`.
    ///
    /// # Errors
    /// `not-found`.
    pub fn resource_metadata_url(
        &self,
        org: &OrgId,
        resource: &Resource,
    ) -> Result<String, Refusal> {
        well_known_url(
            &self.resource_url(org, resource)?,
            WELL_KNOWN_PROTECTED_RESOURCE,
        )
        .map_err(address)
    }

    /// Where the server's metadata is, in both of its forms (RFC 8414, OpenID).
    ///
    /// # Errors
    /// `not-found`.
    pub fn server_metadata_urls(&self, org: &OrgId) -> Result<[String; 2], Refusal> {
        let issuer = self.issuer_url(org)?;
        Ok([
            well_known_url(&issuer, WELL_KNOWN_AUTHORIZATION_SERVER).map_err(address)?,
            well_known_url(&issuer, WELL_KNOWN_OPENID_CONFIGURATION).map_err(address)?,
        ])
    }
}
