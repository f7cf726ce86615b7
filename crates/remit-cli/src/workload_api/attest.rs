//! Attestation: who connects, by the kernel's word, and what they run.
//!
//! The kernel keeps with the socket who connected it (`SO_PEERCRED`). The binary is read through the process itself, so that it
//! is the one that runs and not what lies at its path by now. A process that ended and whose number went to another is noticed by
//! when it started. Processes of one user can always act as each other: the user is what keeps identities apart.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};
use remit_domain::attestation::Evidence;
use tokio::net::UnixStream;

/// Largest binary that is looked at, in bytes.
const BINARY_BYTES_MAX: u64 = 4 * 1_024 * 1_024 * 1_024;
/// Largest file of the kernel about a process, in bytes.
const ABOUT_BYTES_MAX: u64 = 64 * 1_024;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    /// When the process started, in the kernel's ticks.
    pub(crate) started: u64,
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
    pub(crate) fn look(&self) -> io::Result<Evidence> {
        let link = format!("/proc/{}/exe", self.pid);
        let binary = std::fs::read_link(&link)?;
        let sha256 = hash(std::fs::File::open(&link)?)?;
        let groups = about(self.pid, "cgroup")?;
        if started(self.pid)? != self.started || std::fs::read_link(&link)? != binary {
            return Err(io::Error::other("the process is another one by now"));
        }
        let binary = binary.into_os_string().into_string();
        Ok(Evidence {
            uid: self.uid,
            binary: binary.map_err(|_| io::Error::other("the binary's path is no UTF-8"))?,
            sha256,
            cgroup: unified(&groups).to_owned(),
        })
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
}
