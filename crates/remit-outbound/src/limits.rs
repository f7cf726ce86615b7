//! Every bound of this crate, with its reason.

use std::time::Duration;

pub use remit_mcp::limits::MESSAGE_BYTES_MAX;

/// Most stdio processes of one organization: each may hold tens of MiB, and a fork bomb by runs must end somewhere.
pub const PROCESSES_PER_ORG_MAX: usize = 64;

/// Most 2025-11-25 sessions and known servers held for one organization. Each is a few hundred bytes.
pub const LINKS_PER_ORG_MAX: usize = 4096;

/// How long a process or session may be without a call before it is ended.
pub const IDLE: Duration = Duration::from_secs(600);

/// Time between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(2);

/// Longest start of a process up to the end of its handshake: package runners may have to unpack first.
pub const HANDSHAKE: Duration = Duration::from_secs(30);

/// Longest wait for `server/discover` before a server counts as one of the stateful revision.
pub const DISCOVER: Duration = Duration::from_secs(10);

/// Longest TCP connect and TLS handshake.
pub const CONNECT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept. Below five seconds, at which common servers close theirs: a call written to
/// a connection that is just being closed would be ambiguous.
pub const CONNECTION_IDLE: Duration = Duration::from_secs(4);

/// How long a server's revision is believed before it is asked again.
pub const REVISION_BELIEVED: Duration = Duration::from_secs(3600);

/// How long a stateful session may be quiet before it is probed with a ping ahead of the next call, so that a lost
/// session is noticed before a call is sent that could not be repeated.
pub const SESSION_QUIET: Duration = Duration::from_secs(60);

/// Longest farewell: ending a session, or telling a server that a call was cancelled.
pub const FAREWELL: Duration = Duration::from_secs(3);

/// Most lines that are not MCP before a server's first answer (banners) that are skipped.
pub const BANNER_LINES_MAX: usize = 64;

/// Frames that wait for a process to read them. Each belongs to a waiting call or is a few bytes.
pub const QUEUE_MAX: usize = 32;

/// How long a run that was ended refuses new processes and sessions: longer than any call that had already passed
/// the gateway's checks needs to get here.
pub const ENDED_HOLD: Duration = Duration::from_secs(5);

/// Most ended runs remembered for [`ENDED_HOLD`].
pub const ENDED_MAX: usize = 8192;

/// Most times one answer's stream is resumed (2025-11-25 servers may close and resume a stream).
pub const RESUMES_MAX: usize = 16;

/// Longest wait before a stream is resumed, whatever the server asks for.
pub const RESUME_WAIT_MAX: Duration = Duration::from_secs(5);

/// Most requests of a server to its client that are answered during one call.
pub const SERVER_REQUESTS_MAX: usize = 64;

/// Largest question of a server to its client. Three at most are held for one call, below the 1 MiB that a call may hold.
pub const QUESTION_BYTES_MAX: usize = 256 * 1024;

/// Most questions of one process that are open at the same time.
pub const QUESTIONS_OPEN_MAX: usize = 3;

/// Largest notification that is passed on; with the bound on how many wait, a call holds less than 1 MiB of them.
pub const NOTIFICATION_BYTES_MAX: usize = 64 * 1024;

/// How often the stream of one subscription is asked for again: some hours' worth.
pub const STREAM_RESTARTS_MAX: usize = 4096;

/// Most subscriptions on one connection to a server.
pub const SUBSCRIPTIONS_MAX: usize = 256;

/// Largest body of an HTTP error that is read for its reason.
pub const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest URL of an upstream.
pub const URL_BYTES_MAX: usize = 2048;

/// Longest session id of an upstream that is sent back.
pub const SESSION_ID_BYTES_MAX: usize = 1024;

/// Longest message of an upstream's error that is kept, in characters.
pub const RPC_MESSAGE_CHARS_MAX: usize = 2000;

/// Longest reason in an error of this crate, in characters.
pub const REASON_CHARS_MAX: usize = 500;

/// Largest secret.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Longest line of a process's standard error that is kept, in bytes; and in characters when it is shown.
pub const STDERR_LINE_BYTES_MAX: usize = 4096;
/// See [`STDERR_LINE_BYTES_MAX`].
pub const STDERR_LINE_CHARS_MAX: usize = 300;

/// Lines of standard error shown per [`STDERR_WINDOW`].
pub const STDERR_LINES_MAX: usize = 20;
/// See [`STDERR_LINES_MAX`].
pub const STDERR_WINDOW: Duration = Duration::from_secs(10);
/// Longest wait for a whole answer from an OpenID provider: a person is waiting.
pub const WEB: Duration = Duration::from_secs(10);
/// Longest answer of an OpenID provider, in bytes: metadata, keys and tokens are a few KiB.
pub const WEB_BYTES_MAX: usize = 256 * 1024;
