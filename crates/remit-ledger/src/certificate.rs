//! Certificates of containments as files, verified with the ledger's key and without any server.
//!
//! The entry of a certificate holds the SHA-256 of what the file says, in JSON canonical form (RFC 8785); the file carries the
//! proof that this entry is in the ledger, with the entry in it.

use remit_domain::containment::{Certificate, Containment, ItemStatus, Level, Target};
use remit_domain::event::EventKind;
use remit_domain::{ContainmentId, Principal, Timestamp};
use remit_mcp::Sha256Digest;
use remit_mcp::canonical::{EncodeError, jcs_value};
use remit_tlog::{TlogProof, VerifierKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Leaf;

/// What the first member of a file says.
pub const FORMAT: &str = "remit.dev/containment-certificate/v1";
/// The fact of an entry that holds the digest.
pub const DIGEST: &str = "statement";

/// What was contained, as a file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contained {
    /// The containment's id.
    pub id: ContainmentId,
    /// What.
    pub target: Target,
    /// How far.
    pub level: Level,
    /// By whom.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
}

impl From<&Containment> for Contained {
    fn from(c: &Containment) -> Self {
        Self {
            id: c.id.clone(),
            target: c.target.clone(),
            level: c.level,
            by: c.by.clone(),
            at: c.at,
        }
    }
}

/// A certificate that proves itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CertificateFile {
    /// [`FORMAT`].
    pub format: &'static str,
    /// What was contained.
    pub containment: Contained,
    /// What stopped, and what did not.
    pub certificate: Certificate,
    /// c2sp.org/tlog-proof of its entry, with the entry in it.
    pub proof: String,
}

/// A file that proved what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Proved {
    /// What was contained.
    pub containment: Contained,
    /// What stopped, and what did not.
    pub certificate: Certificate,
    /// Index of its entry.
    pub entry: u64,
    /// Name of the ledger.
    pub origin: String,
    /// Size of the ledger at the checkpoint.
    pub size: u64,
    /// When it was entered.
    pub entered: Timestamp,
}

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It has another form.
    #[error("it is no certificate of a containment: {0}")]
    Malformed(String),
    /// The proof does not hold.
    #[error("its entry is not proved by this key: {0}")]
    Unproved(#[source] remit_tlog::TlogProofError),
    /// The proof is of another entry.
    #[error("what its proof proves is {0}")]
    OtherEntry(String),
    /// The text was changed.
    #[error("its text is not what the ledger has: {0} was changed, or it is another's proof")]
    Changed(&'static str),
}

/// The digest that the ledger holds of a certificate.
///
/// # Errors
/// When it has no canonical form.
pub fn digest(containment: &Contained, certificate: &Certificate) -> Result<String, EncodeError> {
    let value = |v: serde_json::Result<Value>| v.unwrap_or_default();
    of_values(
        &value(serde_json::to_value(containment)),
        &value(serde_json::to_value(certificate)),
    )
}

fn of_values(containment: &Value, certificate: &Value) -> Result<String, EncodeError> {
    let said = json!({ "certificate": certificate, "containment": containment });
    Ok(Sha256Digest::of(jcs_value(&said)?.as_bytes()).to_string())
}

/// Verifies a file: its entry is in the ledger of that key, and holds exactly what the file says, in numbers that agree.
///
/// # Errors
/// [`CertificateError`], saying what is wrong.
pub fn verify(text: &str, key: &VerifierKey) -> Result<Proved, CertificateError> {
    let malformed = |why: String| CertificateError::Malformed(why);
    let file: Value = serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
    let part = |name: &str| file.get(name).cloned().unwrap_or_default();
    if part("format") != FORMAT {
        return Err(malformed(format!("`format` is not `{FORMAT}`")));
    }
    let (said, certified) = (part("containment"), part("certificate"));
    let proof = part("proof");
    let proof = proof.as_str().unwrap_or_default();
    let proof = TlogProof::parse(proof).map_err(CertificateError::Unproved)?;
    let record = proof.extra().to_vec();
    let head = proof
        .verify(&record, key)
        .map_err(CertificateError::Unproved)?;
    let other = |what: &str| CertificateError::OtherEntry(what.to_owned());
    let leaf = Leaf::parse(&record).map_err(|_| other("no entry of Remit"))?;
    if leaf.kind != EventKind::ContainmentCertified {
        return Err(other("another sort of entry"));
    }
    let containment: Contained =
        serde_json::from_value(said.clone()).map_err(|e| malformed(e.to_string()))?;
    let certificate: Certificate =
        serde_json::from_value(certified.clone()).map_err(|e| malformed(e.to_string()))?;
    if leaf.subject.as_deref() != Some(containment.id.as_str()) {
        return Err(other("of another containment"));
    }
    let digest = of_values(&said, &certified).map_err(|e| malformed(e.to_string()))?;
    if leaf.facts.get(DIGEST).and_then(Value::as_str) != Some(digest.as_str()) {
        return Err(CertificateError::Changed("it"));
    }
    agrees(&certificate)?;
    Ok(Proved {
        containment,
        certificate,
        entry: proof.index(),
        origin: head.origin().to_owned(),
        size: head.size(),
        entered: leaf.at,
    })
}

/// That the numbers of a certificate are those of its items: whoever signed it is not believed beyond what it lists.
fn agrees(certificate: &Certificate) -> Result<(), CertificateError> {
    let open = certificate.items.iter();
    let open = open.filter(|i| !matches!(i.status, ItemStatus::Stopped { .. }));
    let open = open.count();
    if usize::try_from(certificate.residual) != Ok(open) {
        return Err(CertificateError::Changed("its residual"));
    }
    if certificate.is_final != (open == 0) {
        return Err(CertificateError::Changed("that it is final"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
