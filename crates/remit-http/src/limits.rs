//! Every bound of this crate, with its reason.

use std::time::Duration;

/// Largest request body, on every surface: 1 MiB, which is also the largest MCP message.
pub const BODY_BYTES_MAX: usize = remit_mcp::limits::MESSAGE_BYTES_MAX;

/// Longest a request body may take to come: a slow sender holds no buffer for long.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(20);

/// Bytes of a body that is too large which are read and thrown away, so that its sender hears the answer.
pub const DRAINED_BYTES_MAX: usize = 16 << 20;

/// Longest that a body which is too large is heard out.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Longest an answer of a REST, OAuth or ledger endpoint may take. Long polls end by themselves before it.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(75);

/// Longest a long poll waits, in seconds, whatever the caller asked for.
pub const WAIT_S_MAX: u64 = 60;

/// Requests in work at once; above it the answer is 503 at once rather than a growing queue.
pub const REQUESTS_AT_ONCE_MAX: usize = 4096;

/// Requests that need no credential, and requests of clients that are refused, for each client address: a burst, refilled within
/// ten seconds.
pub const OPEN_REQUESTS_BURST: u32 = 2_000;

/// Refused credentials for each client address: a burst, refilled within a minute. Above it the answer is 429, so that
/// guessing is slow and cheap to refuse.
pub const REFUSED_CREDENTIALS_BURST: u32 = 300;

/// Attempts at single-use codes for each client address, refilled within a minute.
pub const CODE_ATTEMPTS_BURST: u32 = 120;

/// Client addresses remembered by one limiter before those that have recovered are forgotten.
pub const ADDRESSES_MAX: usize = 100_000;

/// Notifications of one call that wait for a slow client. A full channel slows the upstream down.
pub const NOTIFICATIONS_WAITING_MAX: usize = 8;

/// Time without a word after which a call's answer becomes an event stream with keep-alives, so that proxies keep it open.
pub const QUIET_BEFORE_STREAM: Duration = Duration::from_secs(15);

/// Time between keep-alives of a quiet event stream.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Tools on one page of `tools/list`: many clients read one page only.
pub const TOOLS_PER_PAGE: usize = 1000;

/// How long a client may keep a list, in milliseconds: grants and policies change at any time.
pub const LIST_TTL_MS: u64 = 5_000;

/// How long a client may keep the description of an endpoint, in milliseconds.
pub const DISCOVER_TTL_MS: u64 = 60_000;

/// Calls in work of one MCP session, for cancellation by request id.
pub const SESSION_CALLS_MAX: usize = 256;

/// Subscriptions of one MCP session.
pub const SESSION_SUBSCRIPTIONS_MAX: usize = 64;

/// Questions of one call that wait to be put to its client, beside the one that is put.
pub const QUESTIONS_WAITING_MAX: usize = 1;

/// MCP sessions with calls in work, or ended before their time, that one node remembers.
pub const SESSIONS_MAX: u64 = 100_000;

/// How long an MCP session id is good.
pub const SESSION_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Items on one page of a REST list when the caller does not say.
pub const PAGE_DEFAULT: u32 = 100;

/// Items on one page of a REST list.
pub const PAGE_MAX: u32 = 1_000;

/// Longest bearer credential.
pub const BEARER_BYTES_MAX: usize = remit_token::limits::TOKEN_BYTES_MAX;

/// Longest request id of a caller that is given back.
pub const REQUEST_ID_BYTES_MAX: usize = 200;

/// Longest type, id or name in an AuthZEN request.
pub const ENTITY_BYTES_MAX: usize = 1_024;

/// Evaluations of one AuthZEN batch: a page of anything, decided in a few milliseconds.
pub const EVALUATIONS_MAX: usize = 1_000;

/// Evaluations of a batch after which others have their turn.
pub const EVALUATIONS_TURN: usize = 64;

/// Longest idempotency key of an access request.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Idempotency keys remembered.
pub const IDEMPOTENCY_KEYS_MAX: u64 = 100_000;

/// How long an idempotency key is remembered, in seconds.
pub const IDEMPOTENCY_SECS: u64 = 24 * 60 * 60;

/// Those who may listen to decisions at once, on one node.
pub const LISTENERS_MAX: usize = 256;

/// Entries read at once for one who listens.
pub const STREAM_EVENTS: u32 = 200;

/// How often the ledger is looked at for one who listens.
pub const STREAM_EVERY: Duration = Duration::from_millis(250);

/// How long one stream goes on; whoever listens then begins again where it ended.
pub const STREAM_LIFE: Duration = Duration::from_secs(60 * 60);

/// Largest message of Envoy: a body of the greatest size, and as much again for headers and attributes.
pub const ENVOY_MESSAGE_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;

/// Streams of access logs at once, on one node: one for each worker of each Envoy. Each holds the place of a request.
pub const ACCESS_LOGS_MAX: usize = 1_024;

/// How long an entry of an access log waits where its point asks and tells too much, before it is looked at again.
pub const ACCESS_LOG_WAIT: Duration = Duration::from_millis(50);
