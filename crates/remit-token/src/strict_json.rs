//! A JSON object in which every member name occurs once.
//!
//! `serde_json`'s own map keeps the last of two members of one name. Two readers of one JOSE header or one key
//! could then see different values, so here the second one is an error (RFC 8725 §2.4, RFC 7515 §4).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// Most members that a header or a key may have.
const MEMBERS_MAX: usize = 32;

/// A JSON object with unique member names, at its top level; of at most `MAX` members.
#[derive(Debug)]
pub(crate) struct UniqueObject<const MAX: usize = MEMBERS_MAX>(pub(crate) BTreeMap<String, Value>);

impl<const MAX: usize> UniqueObject<MAX> {
    /// The text value of `name`: `Ok(None)` if absent, `Err(())` if it is not a string.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, ()> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(()),
        }
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for UniqueObject<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<const MAX: usize>;

        impl<'de, const MAX: usize> Visitor<'de> for Members<MAX> {
            type Value = UniqueObject<MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<UniqueObject<MAX>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.len() >= MAX {
                        return Err(A::Error::custom("too many members"));
                    }
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member occurs twice"));
                    }
                }
                Ok(UniqueObject(members))
            }
        }

        deserializer.deserialize_map(Members::<MAX>)
    }
}
