//! Attestation: who connects, by the kernel's word, and what they run.
//!
//! The kernel keeps with the socket who connected it (`SO_PEERCRED`). The binary is read through the process itself, so that it
//! is the one that runs and not what lies at its path by now. The kernel also gives a handle of the process that connected
//! (`SO_PEERPIDFD`, Linux 6.5): as long as that one has not ended, its number is nobody else's. Before, a process that ended and whose
//! number went to another is noticed by when it started. Processes of one user can always act as each other: the user is what keeps identities apart.

use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use remit_domain::attestation::Evidence;
use tokio::net::UnixStream;

/// Largest binary that is looked at, in bytes.
const BINARY_BYTES_MAX: u64 = 4 * 1_024 * 1_024 * 1_024;
/// Largest file of the kernel about a process, in bytes.
const ABOUT_BYTES_MAX: u64 = 64 * 1_024;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    /// When the process started, in the kernel's ticks.
    pub(crate) started: u64,
    /// A handle of the process, where the kernel gives one.
    held: Option<Arc<OwnedFd>>,
}

impl Peer {
    /// Who connected.
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let pid = credentials
            .pid()
            .ok_or_else(|| io::Error::other("the kernel does not say which process it is"))?;
        let peer = Self {
            pid,
            uid: credentials.uid(),
            started: started(pid)?,
            held: held(stream)?,
        };
        peer.is_there()?;
        Ok(peer)
    }

    /// Whether the process that connected has not ended, as far as the kernel says.
    fn is_there(&self) -> io::Result<()> {
        let Some(held) = &self.held else {
            return Ok(());
        };
        let mut ended = [PollFd::new(held.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ended, PollTimeout::ZERO)? {
            0 => Ok(()),
            _ => Err(io::Error::other("the process that connected has ended")),
        }
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
        // Last: what was read is of this process only if it has not ended meanwhile.
        self.is_there()?;
        let binary = binary.into_os_string().into_string();
        Ok(Evidence {
            uid: self.uid,
            binary: binary.map_err(|_| io::Error::other("the binary's path is no UTF-8"))?,
            sha256,
            cgroup: unified(&groups).to_owned(),
        })
    }
}

/// A handle of the process at the other end; none where the kernel knows no such thing.
fn held(stream: &UnixStream) -> io::Result<Option<Arc<OwnedFd>>> {
    match getsockopt(stream, sockopt::PeerPidfd) {
        Ok(held) => Ok(Some(Arc::new(held))),
        Err(Errno::ENOPROTOOPT) => Ok(None),
        Err(error) => Err(error.into()),
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

    const SOCKET: &str = "peer-of-a-test.sock";

    /// The other process of the next test: connects where it is started, and ends when it is told something.
    #[test]
    fn another_process() {
        if let Ok(mut stream) = std::os::unix::net::UnixStream::connect(SOCKET) {
            let _ = stream.read(&mut [0]);
        }
    }

    #[tokio::test]
    async fn a_process_that_has_ended_is_nobody_whoever_has_its_number_now() {
        let dir = tempfile::tempdir().unwrap();
        let listener = tokio::net::UnixListener::bind(dir.path().join(SOCKET)).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "workload_api::attest::tests::another_process"])
            .current_dir(dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let peer = Peer::of(&stream).unwrap();
        assert_eq!(u32::try_from(peer.pid).unwrap(), child.id());
        peer.look().unwrap();
        stream.writable().await.unwrap();
        stream.try_write(&[1]).unwrap();
        child.wait().unwrap();
        // As if its number were this process's by now: what would be read is sound, and of somebody else.
        let own = i32::try_from(std::process::id()).unwrap();
        let reused = Peer {
            pid: own,
            started: started(own).unwrap(),
            ..peer.clone()
        };
        if peer.held.is_some() {
            let refused = reused.look().unwrap_err();
            assert!(refused.to_string().contains("has ended"), "{refused}");
        }
        assert!(peer.look().is_err());
        assert!(Peer::of(&stream).is_err());
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
