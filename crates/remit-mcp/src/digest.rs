//! Digests: SHA-256 over RFC 8785 text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::json;
use std::fmt;
use std::str::FromStr;

use crate::canonical::{CanonicalArgs, EncodeError, jcs_value};

/// A SHA-256 digest (FIPS 180-4). Text form: 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// Digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// Digest of the concatenation of `parts`.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }

    /// A digest that was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

/// Text that is not 64 lowercase hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digest must be 64 lowercase hex digits")]
pub struct DigestError;

impl FromStr for Sha256Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        // Only one spelling, so that a digest compared as text is compared as a value.
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(DigestError);
        }
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| DigestError)?;
        Ok(Self(digest))
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// One link of the chain of a call, outermost actor last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChainLink<'a> {
    /// Id of the person or agent.
    pub principal: &'a str,
    /// Id of the delegation by which the principal acts; empty for a root that acts by itself.
    pub delegation: &'a str,
}

/// Everything that makes one call this call and no other. All text fields are ids, opaque here.
#[derive(Debug, Clone, Copy)]
pub struct CallBinding<'a> {
    /// Organization id.
    pub organization: &'a str,
    /// Agent id.
    pub agent: &'a str,
    /// Workflow id.
    pub workflow: &'a str,
    /// Run id.
    pub run: &'a str,
    /// Upstream id.
    pub upstream: &'a str,
    /// Tool name as the upstream has it, never the aggregated name.
    pub tool: &'a str,
    /// [`crate::ToolDefinition::definition_hash`] of the definition that was approved for use.
    pub definition_hash: Sha256Digest,
    /// Chain in order.
    pub chain: &'a [ChainLink<'a>],
    /// Arguments.
    pub arguments: &'a CanonicalArgs,
    /// Answers to a server's input requests; `None` when the call carries none, which differs from `{}`.
    pub input_responses: Option<&'a CanonicalArgs>,
}

/// Digest of one exact call. An approval holds for the call with this digest and for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallDigest(Sha256Digest);

/// Separates call digests from every other SHA-256 in the product.
pub const CALL_DOMAIN: &str = "remit-call-v1";

impl CallDigest {
    /// Computes the digest.
    ///
    /// ```text
    /// SHA-256( "remit-call-v1" || 0x0A || JCS({agent, arguments_sha256, chain: [{delegation, principal}…],
    ///          definition_sha256, input_responses_sha256 | null, organization, run, tool, upstream, workflow}) )
    /// ```
    ///
    /// Arguments and input responses enter as the SHA-256 of their canonical text, so a stored binding can be
    /// checked without the arguments.
    ///
    /// # Errors
    /// [`EncodeError`] if the JCS writer refuses, which no text field can cause.
    pub fn of(call: &CallBinding<'_>) -> Result<Self, EncodeError> {
        let body = jcs_value(&json!({
            "organization": call.organization,
            "agent": call.agent,
            "workflow": call.workflow,
            "run": call.run,
            "upstream": call.upstream,
            "tool": call.tool,
            "definition_sha256": call.definition_hash,
            "chain": call.chain,
            "arguments_sha256": call.arguments.digest(),
            "input_responses_sha256": call.input_responses.map(CanonicalArgs::digest),
        }))?;
        Ok(Self(Sha256Digest::of_parts(&[
            CALL_DOMAIN.as_bytes(),
            b"\n",
            body.as_bytes(),
        ])))
    }

    /// The plain digest.
    #[must_use]
    pub const fn sha256(&self) -> &Sha256Digest {
        &self.0
    }

    /// A digest that was stored.
    #[must_use]
    pub const fn from_sha256(digest: Sha256Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CallDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Fields = (Vec<String>, Vec<(String, String)>, u8, u32, Option<u32>);

    fn digest((ids, chain, definition, arguments, responses): &Fields) -> CallDigest {
        let chain: Vec<_> = chain
            .iter()
            .map(|(principal, delegation)| ChainLink {
                principal,
                delegation,
            })
            .collect();
        let args = |n: &u32| CanonicalArgs::from_value(json!({ "n": n })).unwrap();
        let responses = responses.as_ref().map(args);
        CallDigest::of(&CallBinding {
            organization: &ids[0],
            agent: &ids[1],
            workflow: &ids[2],
            run: &ids[3],
            upstream: &ids[4],
            tool: &ids[5],
            definition_hash: Sha256Digest::of(&[*definition]),
            chain: &chain,
            arguments: &args(arguments),
            input_responses: responses.as_ref(),
        })
        .unwrap()
    }

    fn fields() -> impl Strategy<Value = Fields> {
        (
            prop::collection::vec("[ -~]{0,8}", 6),
            prop::collection::vec(("[a-c]{0,2}", "[a-c]{0,2}"), 0..4),
            any::<u8>(),
            any::<u32>(),
            any::<Option<u32>>(),
        )
    }

    proptest! {
        #[test]
        fn digests_are_equal_exactly_when_the_calls_are(a in fields(), b in fields()) {
            prop_assert_eq!(digest(&a) == digest(&b), a == b);
            prop_assert_eq!(digest(&a), digest(&a.clone()));
        }

        #[test]
        fn any_field_changes_the_digest(call in fields(), field in 0_usize..6) {
            let before = digest(&call);
            let mut other = call.clone();
            other.0[field].push('x');
            prop_assert_ne!(digest(&other), before);
            let mut other = call.clone();
            other.1.push(("p".into(), "d".into()));
            prop_assert_ne!(digest(&other), before);
            let mut other = call.clone();
            other.2 = call.2.wrapping_add(1);
            prop_assert_ne!(digest(&other), before);
            let mut other = call.clone();
            other.3 = call.3.wrapping_add(1);
            prop_assert_ne!(digest(&other), before);
            let mut other = call.clone();
            other.4 = call.4.map_or(Some(0), |_| None);
            prop_assert_ne!(digest(&other), before);
        }
    }

    fn sample() -> Fields {
        (
            ["o", "a", "w", "r", "u", "t"].map(str::to_owned).to_vec(),
            Vec::new(),
            1,
            2,
            None,
        )
    }

    #[test]
    fn text_cannot_move_between_fields_and_the_chain_has_an_order() {
        let mut one = sample();
        let mut two = sample();
        one.0[0] = "ab".into();
        one.0[1] = "c".into();
        two.0[0] = "a".into();
        two.0[1] = "bc".into();
        assert_ne!(digest(&one), digest(&two));
        let (x, y) = (
            ("p1".to_owned(), "d1".to_owned()),
            ("p2".to_owned(), "d2".to_owned()),
        );
        one = sample();
        two = sample();
        one.1 = vec![x.clone(), y.clone()];
        two.1 = vec![y, x];
        assert_ne!(digest(&one), digest(&two));
    }

    #[test]
    fn the_encoding_does_not_move() {
        // Recomputed outside this crate: python3 hashlib over the text in the doc of `CallDigest::of`.
        assert_eq!(
            digest(&sample()).to_string(),
            "4cac6a733ba8ef00d252c39d15eb444fb3257b55b33e15de537cf3c20c7707fc"
        );
    }

    #[test]
    fn hex_reads_back_in_one_spelling_only() {
        let digest = Sha256Digest::of(b"");
        assert_eq!(
            digest.to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for wrong in [
            "",
            "e3",
            &digest.to_string().to_uppercase(),
            &format!("{digest}00"),
        ] {
            assert_eq!(wrong.parse::<Sha256Digest>(), Err(DigestError));
        }
    }
}
