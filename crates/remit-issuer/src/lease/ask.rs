//! How a token is asked for: who Remit is at the authorization server, and for whom it asks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use remit_domain::standing::Standing;
use remit_domain::upstream::{OauthClient, SecretRef, TokenGrant};
use remit_domain::{CredentialId, OrgId, Timestamp};
use remit_ports::leases::NoToken;
use remit_ports::web::{WebRequest, WebResponse};
use remit_token::client_assertion::{self, NewAssertion};
use remit_token::{Actor, IdJagClaims, Scope, id_jag};
use secrecy::{ExposeSecret as _, SecretString};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::answer::{self, Given};
use super::{Wanted, none};
use crate::Issuer;
use crate::limits::LEASE_ASSERTION_SECS;
use crate::mint::actors;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Parameters of a request, in order.
pub(super) type Form = Vec<(&'static str, SecretString)>;

impl Issuer {
    /// Asks for a token, for whoever the run acts for.
    pub(super) async fn asked_for(
        &self,
        wanted: &Wanted,
        who: Option<&Standing>,
    ) -> Result<Given, NoToken> {
        // What administrators do, such as listing tools, is done for nobody.
        let grant = match (wanted.client.grant, who) {
            (TokenGrant::TokenExchange | TokenGrant::JwtBearer, None) => {
                TokenGrant::ClientCredentials
            }
            (grant, _) => grant,
        };
        let plain = |text: &str| SecretString::from(text);
        let form: Form = match (grant, who) {
            (TokenGrant::RefreshToken, _) => return self.refreshed(wanted).await,
            (TokenGrant::TokenExchange, Some(who)) => vec![
                ("grant_type", plain(TOKEN_EXCHANGE)),
                ("subject_token", self.word_for(wanted, who).await?),
                ("subject_token_type", plain(JWT_TYPE)),
                ("requested_token_type", plain(ACCESS_TOKEN_TYPE)),
            ],
            (TokenGrant::JwtBearer, Some(who)) => {
                if who.person.is_none() {
                    return Err(none(
                        "the run acts for nobody; a person has to delegate first",
                    ));
                }
                vec![
                    ("grant_type", plain(JWT_BEARER)),
                    ("assertion", self.word_for(wanted, who).await?),
                ]
            }
            _ => vec![("grant_type", plain("client_credentials"))],
        };
        self.given(wanted, form).await
    }

    /// Sends a request for a token, with the scopes and the resource that are wanted.
    pub(super) async fn given(&self, wanted: &Wanted, mut form: Form) -> Result<Given, NoToken> {
        if !wanted.scopes.is_empty() {
            let scopes: Vec<_> = wanted.scopes.iter().map(String::as_str).collect();
            form.push(("scope", SecretString::from(scopes.join(" "))));
        }
        if let Some(resource) = &wanted.client.resource {
            form.push(("resource", SecretString::from(resource.as_str())));
        }
        let client = &wanted.client;
        let answer = self
            .post(&wanted.org, client, &client.token_endpoint, form)
            .await?;
        answer::read(&answer, &wanted.scopes)
    }

    /// Posts a form to an endpoint of the authorization server, with Remit's own proof.
    pub(super) async fn post(
        &self,
        org: &OrgId,
        client: &OauthClient,
        endpoint: &str,
        mut form: Form,
    ) -> Result<WebResponse, NoToken> {
        let mut headers = vec![
            (
                "content-type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            ),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        match &client.client_secret {
            Some(reference) => {
                let password = self.upstream_secret(org, reference).await?;
                headers.push((
                    "authorization".to_owned(),
                    basic(&client.client_id, &password),
                ));
            }
            None => {
                form.push(("client_id", SecretString::from(client.client_id.as_str())));
                form.push(("client_assertion_type", SecretString::from(ASSERTION_TYPE)));
                form.push((
                    "client_assertion",
                    self.client_assertion(org, client).await?,
                ));
            }
        }
        let request = WebRequest {
            method: "POST".to_owned(),
            url: endpoint.to_owned(),
            headers,
            body: encoded(&form),
        };
        let web = self.web().map_err(none)?;
        web.request(org, request).await.map_err(none)
    }

    /// A secret that the organization may name.
    pub(super) async fn upstream_secret(
        &self,
        org: &OrgId,
        reference: &SecretRef,
    ) -> Result<SecretString, NoToken> {
        let name = self.tenant(org).map_err(none)?.name();
        let name = name.parse().map_err(none)?;
        let outside = self.outside().map_err(none)?;
        outside.secrets.read(&name, reference).await.map_err(none)
    }

    /// Who Remit is there, signed (RFC 7523 §2.2).
    async fn client_assertion(
        &self,
        org: &OrgId,
        client: &OauthClient,
    ) -> Result<SecretString, NoToken> {
        let keys = self.org_keys(org).await.map_err(none)?;
        let jti = self.books().id(CredentialId::from_uuid).to_string();
        let new = NewAssertion {
            client_id: &client.client_id,
            issuer: &client.issuer,
            jti: &jti,
            iat: self.books().now().as_secs(),
            ttl_s: LEASE_ASSERTION_SECS,
        };
        let signed = client_assertion::sign(&new, keys.signing().map_err(none)?).map_err(none)?;
        Ok(SecretString::from(signed))
    }

    /// For whom the run acts, signed for that authorization server and Remit's client there, and for nobody else: the person, or the
    /// agent where there is none, and who acts.
    async fn word_for(&self, wanted: &Wanted, who: &Standing) -> Result<SecretString, NoToken> {
        let now = self.books().now();
        let ends = who.chain.iter().map(|link| link.expires);
        let ends = ends.chain([who.run.deadline]);
        let exp = ends.fold(now.plus_secs(LEASE_ASSERTION_SECS), Timestamp::min);
        let agent = who.agent.id.as_str();
        let person = who.person.as_ref().map(|person| person.id.to_string());
        let scopes: Vec<_> = wanted.scopes.iter().map(String::as_str).collect();
        let claims = IdJagClaims {
            iss: self.issuer_url(&wanted.org).map_err(none)?,
            sub: person.unwrap_or_else(|| agent.to_owned()),
            aud: wanted.client.issuer.clone(),
            client_id: wanted.client.client_id.clone(),
            jti: self.books().id(CredentialId::from_uuid).to_string(),
            iat: now.as_secs(),
            exp: exp.as_secs(),
            scope: Scope::parse(&scopes.join(" ")).map_err(none)?,
            resource: wanted.client.resource.clone(),
            act: actors(&who.chain).unwrap_or_else(|| Actor::new(agent)),
            email: None,
        };
        let keys = self.org_keys(&wanted.org).await.map_err(none)?;
        let signed = id_jag::sign(&claims, keys.signing().map_err(none)?).map_err(none)?;
        Ok(SecretString::from(signed))
    }
}

fn encoded(form: &Form) -> Vec<u8> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form {
        body.append_pair(name, value.expose_secret());
    }
    body.finish().into_bytes()
}

/// RFC 6749 §2.3.1: both encoded as of a form.
fn basic(client_id: &str, password: &SecretString) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let password = Zeroizing::new(encoded(password.expose_secret()));
    let both = Zeroizing::new(format!("{}:{}", encoded(client_id), *password));
    format!("Basic {}", STANDARD.encode(both.as_bytes()))
}
