//! Form bodies, read once and strictly.

use axum::extract::Request;
use remit_token::exchange::{ClientAuth, ClientChain, GRANT_CLIENT_CREDENTIALS, TokenRequest};
use remit_token::limits::{FORM_BYTES_MAX, TOKEN_BYTES_MAX};
use remit_token::oauth_error::OAuthError;
use secrecy::zeroize::Zeroizing;

use super::invalid;
use crate::{body, client_certificate};

const FORM: &str = "application/x-www-form-urlencoded";

/// A form body, and the certificates of the connection that it came on. It holds secrets, so it is wiped when it goes.
pub(super) struct Form {
    body: Zeroizing<Vec<u8>>,
    chain: ClientChain,
}

impl Form {
    pub(super) async fn read(request: Request) -> Result<Self, OAuthError> {
        let (parts, body) = request.into_parts();
        if !body::is(&parts.headers, FORM) {
            return Err(invalid(
                "the body must be application/x-www-form-urlencoded",
            ));
        }
        // Parameters in the address would end up in the traces of whoever stands between (RFC 6749 §2.3.1).
        if parts.uri.query().is_some() {
            return Err(invalid(
                "parameters go into the body, never into the address",
            ));
        }
        let bytes = body::read(body)
            .await
            .map_err(|_| invalid("the body is too large or broke off"))?;
        if bytes.len() > FORM_BYTES_MAX {
            return Err(invalid("the body is too large"));
        }
        Ok(Self {
            body: Zeroizing::new(bytes),
            chain: client_certificate::chain(&parts.extensions),
        })
    }

    /// Every parameter, decoded.
    pub(super) fn pairs(
        &self,
    ) -> impl Iterator<Item = (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)> {
        url::form_urlencoded::parse(&self.body)
    }

    /// The whole as a token request.
    pub(super) fn token_request(&self) -> Result<TokenRequest, OAuthError> {
        let mut request = TokenRequest::from_pairs(self.pairs())?;
        request.on_connection(self.chain.clone());
        Ok(request)
    }

    /// The client, by the same reading as at the token endpoint.
    pub(super) fn client(&self) -> Result<ClientAuth, OAuthError> {
        let others = self
            .pairs()
            .filter(|(name, _)| !matches!(name.as_ref(), "token" | "token_type_hint"));
        let grant = [("grant_type".into(), GRANT_CLIENT_CREDENTIALS.into())];
        let mut request = TokenRequest::from_pairs(others.chain(grant))?;
        request.on_connection(self.chain.clone());
        let client = request.client().cloned();
        client.ok_or_else(|| invalid("the client has to prove itself"))
    }

    /// The token that is asked about (RFC 7662 §2.1, RFC 7009 §2.1).
    pub(super) fn token(&self) -> Result<Zeroizing<String>, OAuthError> {
        let mut found = self
            .pairs()
            .filter(|(name, _)| name == "token")
            .map(|(_, value)| value);
        match (found.next(), found.next()) {
            (Some(token), None) if !token.is_empty() && token.len() <= TOKEN_BYTES_MAX => {
                Ok(Zeroizing::new(token.into_owned()))
            }
            (Some(_), None) => Err(invalid("'token' is empty or too long")),
            (None, _) => Err(invalid("'token' is missing")),
            _ => Err(invalid("'token' is given more than once")),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn read(uri: &str, kind: &str, body: &str) -> Result<Form, OAuthError> {
        let request = Request::builder()
            .uri(uri)
            .header("content-type", kind)
            .body(Body::from(body.to_owned()))
            .unwrap();
        Form::read(request).await
    }

    #[tokio::test]
    async fn only_forms_are_read_and_nothing_from_the_address() {
        assert!(read("/", FORM, "token=a").await.is_ok());
        assert!(read("/", "application/json", "{}").await.is_err());
        assert!(read("/?token=a", FORM, "token=a").await.is_err());
    }

    #[tokio::test]
    async fn one_token_is_asked_about() {
        for (body, good) in [
            ("token=a&x=y", true),
            ("token=a&token=b", false),
            ("token=", false),
            ("x=y", false),
        ] {
            assert_eq!(
                read("/", FORM, body).await.unwrap().token().is_ok(),
                good,
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn a_client_is_read_as_at_the_token_endpoint() {
        let with = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=a.b.c";
        assert!(
            read("/", FORM, &format!("token=t&{with}"))
                .await
                .unwrap()
                .client()
                .is_ok()
        );
        for wrong in [
            "token=t",
            "token=t&client_id=a&client_secret=b",
            &format!("{with}&client_assertion=x"),
            &format!("grant_type=x&{with}"),
        ] {
            assert!(
                read("/", FORM, wrong).await.unwrap().client().is_err(),
                "{wrong}"
            );
        }
    }
}
