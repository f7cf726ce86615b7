//! A real PostgreSQL for the length of a test process: a cluster of its own in a temporary directory, reached through a
//! socket in it, and a fresh database for each test.
//!
//! The server belongs to a shell that waits for the end of its input: when the last database is dropped, or the test
//! process dies in whatever way, the shell stops the server and removes the directory.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The environment variable that names the folder of `initdb` and `postgres`.
const BIN: &str = "REMIT_TEST_PG_BIN";

/// Where Debian's packages put one folder per version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Arguments: folder of the programs, folder for temporary files. Says where the cluster is once it answers. Not durable,
/// since nobody survives it.
const SCRIPT: &str = r#"
set -eu
bin=$1
dir=$(mktemp -d "$2/remit-pg.XXXXXX")
cd "$dir"
trap 'rm -rf "$dir"' EXIT
trap '' INT TERM HUP PIPE
"$bin/initdb" -D data -U remit -A trust -E UTF8 --locale=C --no-sync > init.log 2>&1 || { cat init.log >&2; exit 1; }
cat >> data/postgresql.conf <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
fsync = off
full_page_writes = off
max_connections = 200
shared_buffers = 32MB
CONF
"$bin/pg_ctl" -D data -l server.log -s -w -t 60 start 1>&2 || { cat server.log >&2; exit 1; }
echo "$dir" || true
read -r _ || true
"$bin/pg_ctl" -D data -s -m immediate stop > /dev/null 2>&1 || true
"#;

/// The cluster that this process has, while anybody uses it.
static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A running server.
struct Cluster {
    shell: Child,
    bin: PathBuf,
    dir: String,
}

impl Cluster {
    fn shared() -> Arc<Self> {
        let mut shared = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Self::start());
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    fn start() -> Self {
        let bin = programs();
        let mut shell = as_postgres(Path::new("sh"));
        shell
            .args(["-c", SCRIPT, "remit-pg"])
            .arg(&bin)
            .arg(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut shell = shell.spawn().expect("`sh` cannot be started");
        let mut dir = String::new();
        let said = shell.stdout.take().expect("piped");
        BufReader::new(said).read_line(&mut dir).expect("a line");
        let dir = dir.trim_end().to_owned();
        if dir.is_empty() {
            let mut why = String::new();
            let said = shell.stderr.take().expect("piped");
            BufReader::new(said).read_to_string(&mut why).expect("text");
            panic!("postgres from `{}` did not start: {why}", bin.display());
        }
        Self { shell, bin, dir }
    }

    fn control(&self, arguments: &[&str]) {
        let status = as_postgres(&self.bin.join("pg_ctl"))
            .args(["-D", &format!("{0}/data", self.dir), "-s", "-w"])
            .args(["-l", &format!("{0}/server.log", self.dir)])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "pg_ctl {arguments:?}"
        );
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let done = Command::new(self.bin.join(program))
            .args(["-h", &self.dir, "-U", "remit"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("`{program}` cannot be started: {error}"));
        let why = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{program} {arguments:?}: {why}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input is the shell's sign to stop the server.
        drop(self.shell.stdin.take());
        let _status = self.shell.wait();
    }
}

/// A database of its own on a real server. Dropping the last one of a process stops the server.
pub struct TestDatabase {
    cluster: Arc<Cluster>,
    name: String,
}

impl TestDatabase {
    /// A fresh database, with nothing in it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start: what was not tested must not look tested.
    pub fn create() -> Self {
        let cluster = Cluster::shared();
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        cluster.run("createdb", &["-T", "template0", &name]);
        Self { cluster, name }
    }

    /// How to reach it: `postgres:///test_1?host=/tmp/…&user=remit`.
    pub fn url(&self) -> String {
        format!(
            "postgres:///{}?host={}&user=remit",
            self.name, self.cluster.dir
        )
    }

    /// Stops the whole server as a power cut would, for every database of this process.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop_server(&self) {
        self.cluster.control(&["-m", "immediate", "stop"]);
    }

    /// Starts the server again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_server(&self) {
        self.cluster.control(&["start"]);
    }

    /// Whether a text is in any file of the whole server, its log included, once what it holds in memory is written.
    ///
    /// # Panics
    /// When the files cannot be searched.
    pub fn holds(&self, text: &str) -> bool {
        self.sql("CHECKPOINT");
        let found = Command::new("grep")
            .args(["-r", "-l", "-a", "-F", "-e", text])
            .arg(&self.cluster.dir)
            .stdin(Stdio::null())
            .output()
            .expect("`grep` cannot be started");
        // Files may go while they are looked for, which is no find.
        !found.stdout.is_empty()
    }

    /// Runs SQL on it, as an administrator would.
    ///
    /// # Panics
    /// When it fails.
    pub fn sql(&self, sql: &str) {
        let arguments = ["-q", "-v", "ON_ERROR_STOP=1", "-d", &self.name, "-c", sql];
        self.cluster.run("psql", &arguments);
    }
}

impl fmt::Debug for TestDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

/// PostgreSQL refuses to run as root, so that root becomes the package's user for it.
fn as_postgres(program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output();
    let root = root.is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

/// Folder of `initdb` and `postgres`: as told, from the path, or the newest of Debian's.
fn programs() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test machine says where its server is"
    )]
    let (told, path) = (std::env::var_os(BIN), std::env::var_os("PATH"));
    if let Some(told) = told {
        return PathBuf::from(told);
    }
    let on_path: Vec<PathBuf> = path
        .iter()
        .flat_map(std::env::split_paths)
        .filter_map(|dir| dir.join("initdb").canonicalize().ok())
        .filter_map(|initdb| initdb.parent().map(Path::to_path_buf))
        .collect();
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut debian: Vec<(u32, PathBuf)> = versions
        .filter_map(|dir| {
            Some((
                dir.file_name().to_str()?.parse().ok()?,
                dir.path().join("bin"),
            ))
        })
        .collect();
    debian.sort();
    let newest_first = debian.into_iter().rev().map(|(_, bin)| bin);
    let complete = |bin: &PathBuf| {
        ["initdb", "postgres", "pg_ctl", "createdb"]
            .iter()
            .all(|p| bin.join(p).exists())
    };
    on_path
        .into_iter()
        .chain(newest_first)
        .find(complete)
        .unwrap_or_else(|| panic!("no PostgreSQL was found: install Debian's `postgresql`, or set {BIN} to the folder of `initdb`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_starts_serves_and_leaves_nothing() {
        let (one, two) = (TestDatabase::create(), TestDatabase::create());
        one.sql("CREATE TABLE t (n INT, word TEXT)");
        one.sql("INSERT INTO t VALUES (1, 'a-needle')");
        assert!(one.holds("a-needle") && !one.holds(&["no", "needle"].join("-")));
        two.sql("CREATE TABLE t (n INT)");
        let dir = PathBuf::from(&one.cluster.dir);
        assert_eq!(one.cluster.dir, two.cluster.dir, "one server for a process");
        drop(one);
        two.sql("INSERT INTO t VALUES (1)");
        drop(two);
        assert!(!dir.exists(), "`{}` was left behind", dir.display());
    }
}
