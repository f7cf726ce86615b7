//! Every bound on what the nouns may hold, with its reason.

/// Longest free text (purpose, reason, ticket), in bytes: enough for a paragraph, too little to hide a document in.
pub const TEXT_BYTES_MAX: usize = 2_000;
/// Most members of any list in a noun (grants of a workflow, systems of an agent).
pub const LIST_MAX: usize = 256;
/// Deepest chain of delegations. A call checks every link, so depth is also a cost.
pub const CHAIN_DEPTH_MAX: usize = 8;
/// Most live children of one run.
pub const RUN_CHILDREN_MAX: usize = 64;
/// Most runs of one tree that go on at a time: the first, and every run below it.
pub const RUN_TREE_MAX: usize = 256;
/// Longest run, in seconds (30 days).
pub const RUN_SECS_MAX: i64 = 30 * 86_400;
/// Longest idle time of a run, in seconds (7 days).
pub const RUN_IDLE_SECS_MAX: i64 = 7 * 86_400;
/// Idle time after which an implicit run ends, in seconds (design: 30 minutes).
pub const IMPLICIT_RUN_IDLE_SECS: i64 = 30 * 60;
/// Longest delegation of a person, in seconds (90 days).
pub const DELEGATION_SECS_MAX: i64 = 90 * 86_400;
/// How long an access token lives, in seconds.
pub const ACCESS_TOKEN_SECS: i64 = 300;
/// How long an X.509-SVID lives, in seconds: whoever believes it elsewhere does so that long after it was withdrawn.
pub const X509_SVID_SECS: i64 = 900;
/// How long a WIT-SVID lives, in seconds.
pub const WIT_SVID_SECS: i64 = 300;
/// How long a JWT-SVID lives, in seconds.
pub const JWT_SVID_SECS: i64 = 300;
/// How long an approval waits by default, in seconds.
pub const APPROVAL_SECS: i64 = 3_600;
/// How long labels follow an agent into runs it opens itself, in seconds.
pub const LABEL_CARRY_SECS: i64 = 86_400;
/// A label is raised again when it was last raised this long ago, in seconds: its 24 hours count from the last touch, and not
/// every call writes.
pub const LABEL_REFRESH_SECS: i64 = 600;
/// Most keys an agent may hold at once.
pub const AGENT_KEYS_MAX: usize = 4;
/// Longest life of a person's API token, in seconds (90 days).
pub const PERSON_TOKEN_SECS_MAX: i64 = 90 * 86_400;
