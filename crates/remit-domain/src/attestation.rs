//! Attestation: what may run a workflow, what was seen of a process that asks for its identity, and the trust that earns.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Most digests of one binary that are permitted at the same time: those of the versions between which it is being replaced.
pub const DIGESTS_MAX: usize = 16;
/// Longest path or name of a selector, in bytes.
pub const SELECTOR_BYTES_MAX: usize = 4_096;

/// How well whoever calls has proved what it is. Ordered: a system asks for at least one of them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Nothing of its own: somebody else says who it is.
    #[default]
    None,
    /// It holds a registered key.
    Key,
    /// Besides, an attester saw the registered binary of the registered user run.
    Attested,
}

impl Trust {
    /// That of whoever holds a registered key: what credentials of before there were levels have.
    pub const fn key() -> Self {
        Self::Key
    }

    /// The level as its stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Key => "key",
            Self::Attested => "attested",
        }
    }

    /// The level as policies compare it: 0 to 2.
    pub const fn rank(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Key => 1,
            Self::Attested => 2,
        }
    }
}

/// What may run a workflow: a process has to match all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Number of the user it runs as.
    pub uid: u32,
    /// Absolute path of the binary it runs.
    pub binary: String,
    /// SHA-256 of that binary, hex; 1 to 16, so that one version can follow another.
    pub sha256: BTreeSet<String>,
    /// systemd unit it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Control group it is in: the last part of its path, or the id of its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
}

/// What an attester saw of a process.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Number of the user it runs as.
    pub uid: u32,
    /// Path of the binary it runs.
    pub binary: String,
    /// SHA-256 of that binary, hex.
    pub sha256: String,
    /// Path of its control group; empty where the machine has no unified hierarchy.
    #[serde(default)]
    pub cgroup: String,
}

/// What of a process is not as it was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the selector of the same name")]
pub enum Mismatch {
    User,
    Binary,
    Digest,
    Unit,
    Cgroup,
}

impl Mismatch {
    /// What it is, for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "another user",
            Self::Binary => "another binary",
            Self::Digest => "another digest of the binary",
            Self::Unit => "another systemd unit",
            Self::Cgroup => "another control group",
        }
    }
}

impl Attestation {
    /// The first thing about a process that is not as registered; none where all is.
    pub fn mismatch(&self, seen: &Evidence) -> Option<Mismatch> {
        let within = |unit: &str| seen.cgroup.split('/').any(|part| part == unit);
        let named = |name: &str| {
            let last = seen.cgroup.rsplit('/').next().unwrap_or_default();
            last == name || container_of(last) == Some(name)
        };
        if seen.uid != self.uid {
            Some(Mismatch::User)
        } else if seen.binary != self.binary {
            Some(Mismatch::Binary)
        } else if !self.sha256.contains(&seen.sha256) {
            Some(Mismatch::Digest)
        } else if self.unit.as_deref().is_some_and(|unit| !within(unit)) {
            Some(Mismatch::Unit)
        } else if self.cgroup.as_deref().is_some_and(|name| !named(name)) {
            Some(Mismatch::Cgroup)
        } else {
            None
        }
    }

    /// Why it cannot be, in one line.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self) -> Result<(), String> {
        let fits = |text: &str| (1..=SELECTOR_BYTES_MAX).contains(&text.len());
        if !self.binary.starts_with('/') || !fits(&self.binary) {
            return Err(format!(
                "`binary`: must be an absolute path of at most {SELECTOR_BYTES_MAX} bytes"
            ));
        }
        if !(1..=DIGESTS_MAX).contains(&self.sha256.len()) || !self.sha256.iter().all(is_digest) {
            return Err(format!(
                "`sha256`: give 1 to {DIGESTS_MAX} digests of 64 lower-case hex digits, as sha256sum prints them"
            ));
        }
        for (field, name) in [("unit", &self.unit), ("cgroup", &self.cgroup)] {
            if name
                .as_deref()
                .is_some_and(|name| !fits(name) || name.contains('/'))
            {
                return Err(format!(
                    "`{field}`: must be one part of a control group's path, without `/`"
                ));
            }
        }
        Ok(())
    }
}

impl Evidence {
    /// Whether it is what an attester of this version sends.
    pub fn is_sound(&self) -> bool {
        is_digest(&self.sha256)
            && self.binary.len() <= SELECTOR_BYTES_MAX
            && self.cgroup.len() <= SELECTOR_BYTES_MAX
    }
}

fn is_digest(text: impl AsRef<str>) -> bool {
    let text = text.as_ref();
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The id of a container in the name that its engine gives a control group: `docker-{id}.scope`, `libpod-{id}.scope`,
/// `crio-{id}.scope`, `cri-containerd-{id}.scope`.
fn container_of(group: &str) -> Option<&str> {
    let name = group.strip_suffix(".scope")?;
    let (_, id) = name.rsplit_once('-')?;
    is_digest(id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Evidence {
        Evidence {
            uid: 990,
            binary: "/opt/agent".to_owned(),
            sha256: "ab".repeat(32),
            cgroup: "/system.slice/support.service/worker".to_owned(),
        }
    }

    fn registered() -> Attestation {
        Attestation {
            uid: 990,
            binary: "/opt/agent".to_owned(),
            sha256: ["ab".repeat(32), "ef".repeat(32)].into(),
            unit: Some("support.service".to_owned()),
            cgroup: Some("worker".to_owned()),
        }
    }

    #[test]
    fn every_selector_has_to_match() {
        assert_eq!(registered().mismatch(&seen()), None);
        type Change = (fn(&mut Evidence), Mismatch);
        let changes: [Change; 7] = [
            (|s| s.uid = 0, Mismatch::User),
            (|s| s.binary = "/tmp/agent".to_owned(), Mismatch::Binary),
            // What the kernel says of a file that was replaced while it runs.
            (|s| s.binary.push_str(" (deleted)"), Mismatch::Binary),
            (|s| s.sha256 = "cd".repeat(32), Mismatch::Digest),
            (
                |s| s.cgroup = "/system.slice/other.service/worker".to_owned(),
                Mismatch::Unit,
            ),
            (
                |s| s.cgroup = "/system.slice/support.service/x".to_owned(),
                Mismatch::Cgroup,
            ),
            (|s| s.cgroup = String::new(), Mismatch::Unit),
        ];
        for (change, expected) in changes {
            let mut seen = seen();
            change(&mut seen);
            assert_eq!(registered().mismatch(&seen), Some(expected));
        }
    }

    #[test]
    fn a_container_is_known_by_its_id() {
        let id = "0f".repeat(32);
        let registered = Attestation {
            unit: None,
            cgroup: Some(id.clone()),
            ..registered()
        };
        for (cgroup, matches) in [
            (format!("/system.slice/docker-{id}.scope"), true),
            (format!("/machine.slice/libpod-{id}.scope"), true),
            (format!("/docker/{id}"), true),
            (format!("/system.slice/docker-{id}.scope/child"), false),
            (
                format!("/system.slice/docker-{}.scope", "1f".repeat(32)),
                false,
            ),
        ] {
            let seen = Evidence { cgroup, ..seen() };
            assert_eq!(registered.mismatch(&seen).is_none(), matches, "{seen:?}");
        }
    }

    #[test]
    fn what_cannot_be_registered_says_why() {
        assert_eq!(registered().check(), Ok(()));
        let changes: [fn(&mut Attestation); 6] = [
            |a| a.binary = "agent".to_owned(),
            |a| a.sha256.clear(),
            |a| a.sha256 = ["AB".repeat(32)].into(),
            |a| a.sha256 = (10..27).map(|n| format!("{n}").repeat(32)).collect(),
            |a| a.unit = Some(String::new()),
            |a| a.cgroup = Some("a/b".to_owned()),
        ];
        for change in changes {
            let mut changed = registered();
            change(&mut changed);
            assert!(changed.check().is_err(), "{changed:?}");
        }
    }
}
