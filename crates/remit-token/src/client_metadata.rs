//! Client ID metadata documents: what a client says of itself at the address that is its `client_id`.
//!
//! Source: draft-ietf-oauth-client-id-metadata-document-02 §3 and §4; RFC 7591 §2 for the members. Only clients that prove a
//! key of their own are let in, with the keys in the document itself.

use serde_json::Value;
use thiserror::Error;
use url::{Host, Url};

use crate::authorization::check_redirect_uri;
use crate::keys::{Jwks, KeyError};
use crate::limits::{
    CLIENT_KEYS_MAX, CLIENT_METADATA_BYTES_MAX, CLIENT_REDIRECTS_MAX, URI_BYTES_MAX,
};
use crate::strict_json::UniqueObject;

/// What a client says of itself, as far as it is used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMetadata {
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// The keys that it proves itself with, at least one.
    pub keys: Jwks,
}

/// Why a document is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClientMetadataError {
    /// Longer than [`CLIENT_METADATA_BYTES_MAX`].
    #[error("the client's metadata document is longer than {CLIENT_METADATA_BYTES_MAX} bytes")]
    TooLarge,
    /// Not a JSON object with each member once.
    #[error("the client's metadata document is not one JSON object with each member once")]
    Malformed,
    /// Its `client_id` is not the address that it is at, byte for byte.
    #[error("the client's metadata document is of another `client_id` than its address")]
    OtherClient,
    /// It names a shared secret, which nobody keeps who publishes it.
    #[error("the client's metadata document has a secret in it")]
    Secret,
    /// It is of a client that proves no key of its own.
    #[error("the client's `token_endpoint_auth_method` is not `private_key_jwt`")]
    Method,
    /// An address to go back to is none, or there are too many.
    #[error("the client's `redirect_uris` are not addresses of https or of this machine")]
    Redirect,
    /// There are no keys in it, or none that can be used.
    #[error("the client's metadata document has no usable public keys in `jwks`: {0}")]
    Keys(KeyError),
    /// Its keys are elsewhere, or it has none.
    #[error("the client's metadata document has no keys of its own in `jwks`")]
    NoKeys,
}

impl ClientMetadataError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "client-metadata-too-large",
            Self::Malformed => "client-metadata-malformed",
            Self::OtherClient => "client-metadata-other-client",
            Self::Secret => "client-metadata-secret",
            Self::Method => "client-metadata-method",
            Self::Redirect => "client-metadata-redirect",
            Self::Keys(_) | Self::NoKeys => "client-metadata-keys",
        }
    }
}

/// Whether a text may be the address of a client's document: `https` in normal form with a path, and without user, query or
/// fragment.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_client_id(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text)
        .ok()
        .filter(|_| text.len() <= URI_BYTES_MAX);
    let Some(url) = url else {
        return Err("is no absolute address");
    };
    if url.scheme() != "https" {
        return Err("is not https");
    }
    if url.as_str() != text || !text.bytes().all(|b| matches!(b, b'!'..=b'~')) {
        return Err(
            "is not in normal form: lower-case host, no default port, no `.` or `..` in its path",
        );
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("has a user, a query or a fragment, which no client id has");
    }
    if matches!(url.path(), "" | "/") {
        return Err("has no path: name the document itself");
    }
    match url.host() {
        Some(Host::Domain(_)) => Ok(()),
        _ => Err("has an address for a host: a name is needed, which its certificate is for"),
    }
}

impl ClientMetadata {
    /// Reads a document.
    ///
    /// - `client_id`: the address that it was fetched from.
    ///
    /// # Errors
    /// [`ClientMetadataError`].
    pub fn parse(document: &[u8], client_id: &str) -> Result<Self, ClientMetadataError> {
        if document.len() > CLIENT_METADATA_BYTES_MAX {
            return Err(ClientMetadataError::TooLarge);
        }
        let object: UniqueObject =
            serde_json::from_slice(document).map_err(|_| ClientMetadataError::Malformed)?;
        let text = |name: &str| object.0.get(name).and_then(Value::as_str);
        if text("client_id") != Some(client_id) {
            return Err(ClientMetadataError::OtherClient);
        }
        if ["client_secret", "client_secret_expires_at"]
            .iter()
            .any(|name| object.0.contains_key(*name))
        {
            return Err(ClientMetadataError::Secret);
        }
        if text("token_endpoint_auth_method") != Some("private_key_jwt") {
            return Err(ClientMetadataError::Method);
        }
        Ok(Self {
            redirect_uris: redirects(object.0.get("redirect_uris"))?,
            keys: keys(object.0.get("jwks"))?,
        })
    }
}

fn redirects(value: Option<&Value>) -> Result<Vec<String>, ClientMetadataError> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let all = value.as_array().ok_or(ClientMetadataError::Redirect)?;
    if all.len() > CLIENT_REDIRECTS_MAX {
        return Err(ClientMetadataError::Redirect);
    }
    let each = all.iter().map(|uri| {
        let uri = uri.as_str().filter(|uri| check_redirect_uri(uri).is_ok());
        uri.map(str::to_owned).ok_or(ClientMetadataError::Redirect)
    });
    each.collect()
}

fn keys(value: Option<&Value>) -> Result<Jwks, ClientMetadataError> {
    let value = value.ok_or(ClientMetadataError::NoKeys)?;
    let keys = Jwks::from_json(&value.to_string()).map_err(ClientMetadataError::Keys)?;
    match keys.iter().count() {
        0 => Err(ClientMetadataError::NoKeys),
        n if n > CLIENT_KEYS_MAX => Err(ClientMetadataError::Keys(KeyError::TooManyKeys)),
        _ => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::signing_key;
    use serde_json::json;

    const ID: &str = "https://client.example/oauth/remit.json";

    fn document() -> Value {
        json!({
            "client_id": ID, "client_name": "A client", "redirect_uris": ["https://client.example/back"],
            "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [signing_key().public()] }
        })
    }

    fn with(name: &str, value: Value) -> Result<ClientMetadata, ClientMetadataError> {
        let mut document = document();
        document[name] = value;
        ClientMetadata::parse(document.to_string().as_bytes(), ID)
    }

    #[test]
    fn a_document_is_read_with_its_keys_and_addresses() {
        let key = signing_key();
        let mut document = document();
        document["jwks"]["keys"] = json!([key.public()]);
        let read = ClientMetadata::parse(document.to_string().as_bytes(), ID).unwrap();
        assert_eq!(read.redirect_uris, ["https://client.example/back"]);
        assert!(read.keys.find(key.kid().as_str()).is_some());
    }

    #[test]
    fn what_a_document_may_not_say_is_refused() {
        use ClientMetadataError as E;
        for (name, value, error) in [
            (
                "client_id",
                json!("https://client.example/oauth/remit.json/"),
                E::OtherClient,
            ),
            (
                "client_id",
                json!("https://evil.example/oauth/remit.json"),
                E::OtherClient,
            ),
            ("client_id", json!(7), E::OtherClient),
            ("client_secret", json!("s"), E::Secret),
            ("client_secret_expires_at", json!(0), E::Secret),
            ("token_endpoint_auth_method", json!("none"), E::Method),
            (
                "token_endpoint_auth_method",
                json!("client_secret_basic"),
                E::Method,
            ),
            (
                "redirect_uris",
                json!(["http://evil.example/back"]),
                E::Redirect,
            ),
            ("redirect_uris", json!(["javascript:alert(1)"]), E::Redirect),
            (
                "redirect_uris",
                json!("https://client.example/back"),
                E::Redirect,
            ),
            (
                "redirect_uris",
                json!(vec!["https://client.example/back"; 33]),
                E::Redirect,
            ),
            ("jwks", json!({ "keys": [] }), E::NoKeys),
        ] {
            assert_eq!(with(name, value.clone()), Err(error), "{name} {value}");
        }
        for keys in [json!({}), json!({ "keys": [{ "kty": "oct", "k": "AA" }] })] {
            assert!(matches!(with("jwks", keys), Err(E::Keys(_))));
        }
        let mut document = document();
        document.as_object_mut().unwrap().remove("jwks");
        document["jwks_uri"] = json!("https://evil.example/keys");
        let elsewhere = ClientMetadata::parse(document.to_string().as_bytes(), ID);
        assert_eq!(elsewhere, Err(E::NoKeys));
        let twice = format!(r#"{{"client_id":"{ID}","client_id":"{ID}"}}"#);
        assert_eq!(
            ClientMetadata::parse(twice.as_bytes(), ID),
            Err(E::Malformed)
        );
        let long = with("client_name", json!("x".repeat(CLIENT_METADATA_BYTES_MAX)));
        assert_eq!(long, Err(E::TooLarge));
    }

    #[test]
    fn an_id_is_one_address_in_one_form() {
        assert_eq!(check_client_id(ID), Ok(()));
        for bad in [
            "http://client.example/x",
            "https://client.example",
            "https://client.example/",
            "https://CLIENT.example/x",
            "https://client.example:443/x",
            "https://client.example/a/../x",
            "https://client.example/x?y",
            "https://client.example/x#y",
            "https://u@client.example/x",
            "https://127.0.0.1/x",
            "https://[::1]/x",
            "https://169.254.169.254/x",
            "client.example/x",
            "",
        ] {
            assert!(check_client_id(bad).is_err(), "{bad}");
        }
    }
}
