//! The bundle of a trust domain: the keys by which its SVIDs are checked, as a JWK set.
//!
//! Source: SPIFFE Trust Domain and Bundle §4 (format), §5 (`spiffe_sequence`, `spiffe_refresh_hint`), X509-SVID §6.1,
//! JWT-SVID §6.1, WIT-SVID §6.1.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::keys::PublicJwk;

/// The bundle of one trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiffeBundle {
    /// Authorities of X.509-SVIDs: each certificate in DER, and its key.
    pub x509: Vec<(Vec<u8>, PublicJwk)>,
    /// Keys of JWT-SVIDs.
    pub jwt: Vec<PublicJwk>,
    /// Keys of WIT-SVIDs; none where none are issued.
    pub wit: Vec<PublicJwk>,
    /// Grows whenever the keys change.
    pub sequence: u64,
    /// How often to look for a change, in seconds.
    pub refresh_hint_s: u64,
}

impl Serialize for SpiffeBundle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("keys", &Keys(self))?;
        map.serialize_entry("spiffe_sequence", &self.sequence)?;
        map.serialize_entry("spiffe_refresh_hint", &self.refresh_hint_s)?;
        map.end()
    }
}

impl SpiffeBundle {
    /// The keys of JWT-SVIDs alone, as the Workload API gives them out.
    pub fn jwt_only(&self) -> impl Serialize + '_ {
        JwtOnly(self)
    }
}

struct JwtOnly<'a>(&'a SpiffeBundle);

impl Serialize for JwtOnly<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys: Vec<_> = self.0.jwt.iter().map(|key| TokenKey(key, JWT)).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("keys", &keys)?;
        map.end()
    }
}

struct Keys<'a>(&'a SpiffeBundle);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut keys = serializer.serialize_seq(None)?;
        for (certificate, key) in &self.0.x509 {
            keys.serialize_element(&X509Key(certificate, key))?;
        }
        for key in &self.0.jwt {
            keys.serialize_element(&TokenKey(key, JWT))?;
        }
        for key in &self.0.wit {
            keys.serialize_element(&TokenKey(key, WIT))?;
        }
        keys.end()
    }
}

/// No `kid`: an authority is found by what it signed.
struct X509Key<'a>(&'a [u8], &'a PublicJwk);

impl Serialize for X509Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.1.write_members(&mut map)?;
        map.serialize_entry("use", "x509-svid")?;
        map.serialize_entry("x5c", &[STANDARD.encode(self.0)])?;
        map.end()
    }
}

/// A key that signs tokens, and what sort of them.
struct TokenKey<'a>(&'a PublicJwk, &'static str);

const JWT: &str = "jwt-svid";
const WIT: &str = "wit-svid";

impl Serialize for TokenKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.write_members(&mut map)?;
        map.serialize_entry("use", self.1)?;
        map.serialize_entry("alg", self.0.algorithm().as_str())?;
        map.serialize_entry("kid", &self.0.thumbprint())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::signing_key;
    use serde_json::json;

    #[test]
    fn a_bundle_has_the_members_of_the_specification() {
        let (ca, jwt) = (signing_key().public(), signing_key().public());
        let wit = signing_key().public();
        let bundle = SpiffeBundle {
            x509: vec![(b"der".to_vec(), ca)],
            jwt: vec![jwt],
            wit: vec![wit],
            sequence: 7,
            refresh_hint_s: 60,
        };
        let wire = serde_json::to_value(&bundle).unwrap();
        assert_eq!(wire["spiffe_sequence"], 7);
        assert_eq!(wire["spiffe_refresh_hint"], 60);
        let (x509, other) = (&wire["keys"][0], &wire["keys"][1]);
        assert_eq!(x509["use"], "x509-svid");
        assert_eq!(x509["x5c"], json!(["ZGVy"]));
        assert!(x509.get("kid").is_none());
        assert_eq!(other["use"], "jwt-svid");
        assert_eq!(other["kid"], jwt.thumbprint().as_str());
        assert_eq!(wire["keys"][2]["use"], "wit-svid");
        assert_eq!(wire["keys"][2]["kid"], wit.thumbprint().as_str());
        assert_eq!(wire["keys"].as_array().map(Vec::len), Some(3));
        let alone = serde_json::to_value(bundle.jwt_only()).unwrap();
        assert_eq!(alone, json!({ "keys": [other] }));
    }
}
