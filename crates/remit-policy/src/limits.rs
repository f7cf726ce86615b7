//! Every bound on what this crate reads, with its reason.

/// Most policy sets of one organization.
pub const SETS_MAX: usize = 64;
/// Most policies over all sets: validation is linear in policies times tools, and takes seconds at this many.
pub const POLICIES_MAX: usize = 20_000;
/// Most test cases and claims of one file.
pub const CASES_MAX: usize = 1_000;
/// Most problems reported at once: nobody reads more, and a broken file can have one a byte.
pub const PROBLEMS_MAX: usize = 50;
/// Most approvers one policy names.
pub const APPROVERS_MAX: usize = 16;
/// Greatest quorum: more people than this for one call is a committee.
pub const QUORUM_MAX: u8 = 16;
/// Largest input schema of a tool, in bytes of canonical JSON.
pub const TOOL_SCHEMA_BYTES_MAX: usize = 256 * 1_024;
/// Deepest part of an input schema that policies may name. Deeper arguments are validated, not typed.
pub const ARG_DEPTH_MAX: usize = 6;
/// Most members of one object of an input schema that policies may name.
pub const ARG_MEMBERS_MAX: usize = 256;
/// Most typed members over one whole input schema: references make a small schema large.
pub const ARG_NODES_MAX: usize = 2_048;
/// Largest compiled pattern of an input schema, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_024 * 1_024;
/// Most errors listed for one set of arguments.
pub const ARG_ERRORS_MAX: usize = 8;
/// Longest message about one argument, in characters.
pub const ARG_ERROR_CHARS_MAX: usize = 300;
