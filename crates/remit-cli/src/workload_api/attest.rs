//! Attestation: who connects, by the kernel's word, and what they run.
//!
//! The kernel keeps with the socket who connected it (`SO_PEERCRED`). The binary is read through the process itself, so that it
//! is the one that runs and not what lies at its path by now. A process that ended and whose number went to another is noticed by
//! when it started. Processes of one user can always act as each other: the user is what keeps identities apart.

use std::io::{self, Read};
use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};
use clap::Args;
use tokio::net::UnixStream;

/// Largest binary that is looked at, in bytes.
const BINARY_BYTES_MAX: u64 = 4 * 1_024 * 1_024 * 1_024;
/// Largest file of the kernel about a process, in bytes.
const ABOUT_BYTES_MAX: u64 = 64 * 1_024;

/// What a workload has to be.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct Selectors {
    /// Number of the user it runs as
    #[arg(long)]
    pub(crate) uid: u32,
    /// Path of the binary it runs
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: PathBuf,
    /// SHA-256 of that binary, hex
    #[arg(long, value_name = "HEX", value_parser = digest)]
    pub(crate) sha256: String,
    /// systemd unit it belongs to
    #[arg(long, value_name = "NAME")]
    pub(crate) unit: Option<String>,
    /// Control group it is in: the last part of its path, such as the id of a container
    #[arg(long, value_name = "NAME")]
    pub(crate) cgroup: Option<String>,
}

fn digest(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    match hex::decode(&text) {
        Ok(bytes) if bytes.len() == 32 => Ok(text),
        _ => Err("a SHA-256 digest has 64 hex digits, as sha256sum prints it".to_owned()),
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    /// When the process started, in the kernel's ticks.
    pub(crate) started: u64,
}

/// What a process runs, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) uid: u32,
    pub(crate) binary: PathBuf,
    pub(crate) sha256: String,
    /// Path of its control group.
    pub(crate) cgroup: String,
}

impl Peer {
    /// Who connected.
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let pid = credentials
            .pid()
            .ok_or_else(|| io::Error::other("the kernel does not say which process it is"))?;
        Ok(Self {
            pid,
            uid: credentials.uid(),
            started: started(pid)?,
        })
    }

    /// Looks at the process now. Blocks.
    ///
    /// # Errors
    /// When it is gone, or may not be looked at.
    pub(crate) fn look(&self) -> io::Result<Seen> {
        let link = format!("/proc/{}/exe", self.pid);
        let binary = std::fs::read_link(&link)?;
        let sha256 = hash(std::fs::File::open(&link)?)?;
        let groups = about(self.pid, "cgroup")?;
        if started(self.pid)? != self.started || std::fs::read_link(&link)? != binary {
            return Err(io::Error::other("the process is another one by now"));
        }
        Ok(Seen {
            uid: self.uid,
            binary,
            sha256,
            cgroup: unified(&groups).to_owned(),
        })
    }
}

impl Selectors {
    /// What does not match, in words; none where everything does.
    pub(crate) fn mismatch(&self, seen: &Seen) -> Option<&'static str> {
        let named = |name: &str| seen.cgroup.rsplit('/').next() == Some(name);
        let within = |unit: &str| seen.cgroup.split('/').any(|part| part == unit);
        if seen.uid != self.uid {
            Some("another user")
        } else if seen.binary != self.binary {
            Some("another binary")
        } else if seen.sha256 != self.sha256 {
            Some("another digest of the binary")
        } else if self.unit.as_deref().is_some_and(|unit| !within(unit)) {
            Some("another systemd unit")
        } else if self.cgroup.as_deref().is_some_and(|name| !named(name)) {
            Some("another control group")
        } else {
            None
        }
    }
}

fn about(pid: i32, what: &str) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(format!("/proc/{pid}/{what}"))?
        .take(ABOUT_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}

fn started(pid: i32) -> io::Result<u64> {
    since(&about(pid, "stat")?)
        .ok_or_else(|| io::Error::other("the kernel does not say when it started"))
}

/// Field 22 of `/proc/PID/stat`. The name of the program, the second, may hold anything, so fields are counted from its end.
fn since(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// The path in the unified hierarchy, from `/proc/PID/cgroup`; empty where there is none.
fn unified(groups: &str) -> &str {
    let line = groups.lines().find_map(|line| line.strip_prefix("0::"));
    line.unwrap_or_default()
}

fn hash(file: std::fs::File) -> io::Result<String> {
    if file.metadata()?.len() > BINARY_BYTES_MAX {
        return Err(io::Error::other("the binary is too large to look at"));
    }
    let mut file = file.take(BINARY_BYTES_MAX);
    let mut digest = Context::new(&SHA256);
    let mut chunk = vec![0_u8; 256 * 1_024];
    loop {
        let read = file.read(&mut chunk)?;
        match chunk.get(..read) {
            Some([]) | None => return Ok(hex::encode(digest.finish())),
            Some(bytes) => digest.update(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            uid: 990,
            binary: "/opt/agent".into(),
            sha256: "ab".repeat(32),
            cgroup: "/system.slice/support.service/worker".to_owned(),
        }
    }

    fn selectors() -> Selectors {
        Selectors {
            uid: 990,
            binary: "/opt/agent".into(),
            sha256: "ab".repeat(32),
            unit: Some("support.service".to_owned()),
            cgroup: Some("worker".to_owned()),
        }
    }

    #[test]
    fn every_selector_has_to_match() {
        assert_eq!(selectors().mismatch(&seen()), None);
        type Change = (fn(&mut Seen), &'static str);
        let changes: [Change; 6] = [
            (|s| s.uid = 0, "another user"),
            (|s| s.binary = "/tmp/agent".into(), "another binary"),
            // What the kernel says of a file that was replaced while it runs.
            (
                |s| s.binary = "/opt/agent (deleted)".into(),
                "another binary",
            ),
            (
                |s| s.sha256 = "cd".repeat(32),
                "another digest of the binary",
            ),
            (
                |s| s.cgroup = "/system.slice/other.service/worker".to_owned(),
                "another systemd unit",
            ),
            (
                |s| s.cgroup = "/system.slice/support.service/x".to_owned(),
                "another control group",
            ),
        ];
        for (change, expected) in changes {
            let mut seen = seen();
            change(&mut seen);
            assert_eq!(selectors().mismatch(&seen), Some(expected));
        }
    }

    #[test]
    fn a_program_cannot_pretend_another_start_by_its_name() {
        let fields = (3..22).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = format!("7 (a) 1 2 3 (x) {fields} 4242 0 0");
        assert_eq!(since(&stat), Some(4242));
        assert_eq!(since("7 (a) S 1"), None);
        assert_eq!(since(""), None);
    }

    #[test]
    fn groups_are_those_of_the_unified_hierarchy() {
        assert_eq!(
            unified("1:name=systemd:/evil.service\n0::/system.slice/a.service\n"),
            "/system.slice/a.service"
        );
        assert_eq!(unified("1:cpu:/a\n"), "");
    }

    #[test]
    fn digests_have_their_length() {
        assert_eq!(digest(&"AB".repeat(32)), Ok("ab".repeat(32)));
        assert!(digest("ab").is_err() && digest(&"zz".repeat(32)).is_err());
    }
}
