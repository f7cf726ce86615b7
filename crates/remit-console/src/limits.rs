//! Every bound of this crate, with its reason.

use std::time::Duration;

/// Largest form that is read: an agent's document fits many times, and nothing larger is typed by hand.
pub(crate) const FORM_BYTES_MAX: usize = 256 * 1024;

/// Longest a form may take to come: a slow sender holds no buffer for long.
pub(crate) const FORM_TIME_MAX: Duration = Duration::from_secs(20);

/// Fields in one form: the registration form has 20, and bulk actions name at most a page of records.
pub(crate) const FORM_FIELDS_MAX: usize = 256;

/// Longest query string of a page: filters are short.
pub(crate) const QUERY_BYTES_MAX: usize = 4 * 1024;

/// Rows on one page of a list.
pub(crate) const ROWS: usize = 50;

/// Characters of a foreign text shown in a line of a table.
pub(crate) const LINE_CHARS_MAX: usize = 160;

/// Characters of a foreign text shown where it has room.
pub(crate) const BLOCK_CHARS_MAX: usize = 4_000;

/// Characters of a document of ours, such as a policy, or of an exact argument that somebody approves.
pub(crate) const DOCUMENT_CHARS_MAX: usize = 200_000;

/// Event streams that one person keeps open: a window each on a few screens, and no more.
pub(crate) const STREAMS_PER_PERSON_MAX: usize = 12;

/// Event streams of the whole instance.
pub(crate) const STREAMS_MAX: usize = 4_096;

/// Time between keep-alives of a quiet event stream, below what proxies cut off.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long an event stream lives before the browser has to come again, so that an ended browser session is noticed.
pub(crate) const STREAM_LIFE: Duration = Duration::from_secs(10 * 60);

/// Changes that come together are told together.
pub(crate) const LIVE_PAUSE: Duration = Duration::from_millis(100);

/// Verifications of ledgers that go on or are told of, of the whole instance: each reads a whole ledger.
pub(crate) const VERIFICATIONS_MAX: usize = 64;

/// How long what a verification found waits for whoever asked, from its begin on.
pub(crate) const VERIFICATION_KEPT_SECS: i64 = 60 * 60;

/// How long a form waits for a verification, so that a small ledger needs no second page.
pub(crate) const VERIFICATION_WAIT: Duration = Duration::from_secs(1);

/// Agents and tools in the heat map: what one looks at is a part, and the filter chooses it.
pub(crate) const MAP_AGENTS: usize = 30;

/// Columns of the heat map.
pub(crate) const MAP_TOOLS: usize = 24;
