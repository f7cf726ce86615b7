//! Every bound of the issuer, with its reason. Times are seconds unless the name says otherwise.

/// How long a subject token lives: it is used at once, and once only (design: five minutes).
pub const SUBJECT_TOKEN_SECS: i64 = 300;
/// Clock difference allowed for with clients, whose clocks are their own.
pub const CLIENT_LEEWAY_SECS: u32 = 30;
/// Clock difference allowed for between nodes of this instance; never past a token's end.
pub const NODE_LEEWAY_SECS: u32 = 5;
/// How long a code of a person's consent waits for its client, in seconds.
pub const CODE_SECS: i64 = 60;
/// Longest sealed authorization request, in characters: it has to fit into the address to go on to after signing in.
pub const REQUEST_CHARS_MAX: usize = 3_800;
/// Longest authorization details in a token, in bytes: the token travels in a header.
pub const DETAILS_BYTES_MAX: usize = 6 * 1024;
/// How long the nonce of a proof of possession is accepted, in seconds.
pub const NONCE_SECS: i64 = 300;
/// How long a node gives out one nonce before it makes another, in seconds: whoever keeps the newest is asked again only after
/// a pause.
pub const NONCE_FRESH_SECS: u64 = 60;
/// Longest nonce that is looked at, in characters; ours are near 60.
pub const NONCE_CHARS_MAX: usize = 256;
/// How long a single-use key is remembered past the end of what it belongs to: no verifier allows for more.
pub const ONCE_MARGIN_SECS: i64 = 120;
/// How long the start of an implicit run is remembered against a second one: longer than a node goes on serving that has not
/// heard of it.
pub const START_REMEMBERED_SECS: i64 = 60;
/// Requests of one agent, proved to be its own, in a minute: far more than tokens of five minutes need.
pub const CLIENT_REQUESTS_PER_MINUTE: u32 = 600;
/// Refusals of one organization that are recorded one by one in a minute; the rest are recorded as counts.
pub const REFUSALS_PER_MINUTE: u32 = 60;
/// Most kinds of refusal that are counted apart; the codes are ours, so this is never reached by accident.
pub const REFUSAL_CODES_MAX: usize = 64;
/// Most access tokens whose check is remembered: each is near 2 KiB.
pub const VERIFIED_MAX: u64 = 100_000;
/// How long a check is remembered at most; tokens do not live longer.
pub const VERIFIED_SECS: u64 = 600;
/// Most personal tokens whose look-up is remembered.
pub const PEOPLE_MAX: u64 = 10_000;
/// Most runs whose last activity is remembered; a run that is forgotten counts from its newest token.
pub const ACTIVITY_MAX: u64 = 1_000_000;
/// Most locks for starting implicit runs; one that is forgotten while held costs a conflict in the store.
pub const LOCKS_MAX: u64 = 100_000;
/// How often, at most, keys are read again because a token names one that is not known.
pub const KEYS_RELOAD_SECS: u64 = 10;
/// How old the published key set may be.
pub const KEYS_FRESH_SECS: u64 = 60;
/// Most live runs of one agent: a leaked token cannot fill the store.
pub const RUNS_LIVE_MAX: usize = 1_000;
/// How long an enrolment link waits (one day).
pub const ENROLMENT_SECS: i64 = 86_400;
/// Most live personal tokens of one person.
pub const PERSON_TOKENS_MAX: usize = 16;
/// Shortest prefix of a digest that names a personal token, in hex digits.
pub const DIGEST_PREFIX_MIN: usize = 8;
/// Longest label of a personal token, in bytes.
pub const LABEL_BYTES_MAX: usize = 100;
/// Most live sessions of one person; the one that was used longest ago ends when another is opened.
pub const SESSIONS_MAX: usize = 16;
/// Most sessions whose look-up is remembered.
pub const SESSIONS_KNOWN_MAX: u64 = 10_000;
/// Most clients' metadata documents that are remembered.
pub const CLIENT_DOCUMENTS_MAX: u64 = 1_000;
/// How long a client's metadata document counts that says nothing of it, in seconds.
pub const CLIENT_DOCUMENT_SECS: u64 = 300;
/// Shortest time for which one counts, in seconds, whatever it says: nobody makes us ask all the time.
pub const CLIENT_DOCUMENT_SECS_MIN: u64 = 60;
/// Longest time for which one counts, in seconds, whatever it says: a key that is taken out of it is soon worth nothing.
pub const CLIENT_DOCUMENT_SECS_MAX: u64 = 600;
/// How long it counts that one could not be had, in seconds.
pub const CLIENT_DOCUMENT_FAILED_SECS: u64 = 15;
/// How long the two halves of a passkey ceremony, or of a visit to an OpenID provider, may be apart, in seconds.
pub const CEREMONY_SECS: i64 = 300;
/// Longest sealed state of a ceremony, in characters: it lists a person's passkeys.
pub const CEREMONY_BYTES_MAX: usize = 64 * 1024;
/// How long after signing in with a link or a provider a passkey can be made, in seconds.
pub const ENROL_FRESH_SECS: i64 = 15 * 60;
/// How long after a proof with a passkey another one can be made, in seconds.
pub const STEP_UP_FRESH_SECS: i64 = 300;
/// Most OpenID providers whose metadata and keys are remembered.
pub const PROVIDERS_KNOWN_MAX: u64 = 1_000;
/// How long an OpenID provider's metadata and keys are remembered, in seconds: a key that it changes counts soon.
pub const PROVIDER_FRESH_SECS: u64 = 60;
/// How long keys of a trusted issuer are used before they are looked at again, in seconds: a key that it takes away counts no
/// longer than that, while it can be reached.
pub const FOREIGN_KEYS_FRESH_SECS: u64 = 300;
/// How long keys of a trusted issuer are used while it cannot be reached, in seconds; then its tokens are refused.
pub const FOREIGN_KEYS_STALE_SECS: u64 = 3_600;
/// How often, at most, a trusted issuer is asked for its keys, in seconds: neither tokens that name unknown keys nor its own
/// outage make more requests.
pub const FOREIGN_KEYS_RETRY_SECS: u64 = 10;
/// Most trusted issuers whose keys are remembered.
pub const FOREIGN_KEYRINGS_MAX: u64 = 10_000;
/// Longest address within this site to which a person goes on after signing in, in bytes.
pub const NEXT_BYTES_MAX: usize = 4_096;
/// Longest parameter of an answer that comes through the browser, in bytes.
pub const ANSWER_BYTES_MAX: usize = 4_096;
/// Oldest ID token that is believed, in seconds: it is fetched the moment it was made.
pub const ID_TOKEN_AGE_SECS: i64 = 300;
/// How often, at most, it is written down that a session is in use, in seconds.
pub const SESSION_SEEN_SECS: i64 = 60;
/// Longest name of a browser that is kept, in characters.
pub const BROWSER_CHARS_MAX: usize = 120;
/// How long the operator's token lives: it is replaced on the machine itself, so that it may be long.
pub const OPERATOR_TOKEN_SECS: i64 = 365 * 86_400;
/// Most measures that end a run.
pub const MEASURES_MAX: usize = 32;
/// Longest name of a measure, in bytes.
pub const MEASURE_NAME_BYTES_MAX: usize = 64;
/// Longest text of a measure, in bytes.
pub const MEASURE_TEXT_BYTES_MAX: usize = 256;
/// First administrators of an organization, all named at once: enough that two are there when one is away.
pub const FIRST_ADMINS_MAX: usize = 5;
/// How long an authority or a key for JWT-SVIDs is published before it signs: five times what others are told to wait between
/// two looks at the bundle.
pub const SVID_KEY_PREPARE_SECS: i64 = 300;
/// Age at which an authority, or a key for JWT-SVIDs, is replaced by itself (30 days).
pub const SVID_KEY_SECS: i64 = 30 * 86_400;
/// How long the certificate of an authority is good: twice as long as it signs.
pub const AUTHORITY_SECS: i64 = 60 * 86_400;
/// How often whoever checks SVIDs is told to look at the bundle.
pub const BUNDLE_REFRESH_SECS: u64 = 60;
/// How far a certificate begins in the past, for clocks that are behind.
pub const SVID_BACKDATE_SECS: i64 = 30;
/// Most audiences of one JWT-SVID.
pub const AUDIENCES_MAX: usize = 8;
/// Longest audience, in bytes.
pub const AUDIENCE_BYTES_MAX: usize = 2_048;
/// Most tokens of upstreams' own authorization servers that this node lends; one that is forgotten is asked for anew, and swept.
pub const LEASES_HELD_MAX: u64 = 10_000;
/// How long such a token stays in memory at most, in seconds: none is lent for longer.
pub const LEASE_HELD_SECS: u64 = 3_600;
/// How long such a token is lent where its server does not say when it ends, in seconds.
pub const LEASE_SECS: i64 = 300;
/// How long it is lent at most, in seconds: a run has to show again that it may have one.
pub const LEASE_SECS_MAX: i64 = 3_600;
/// How much of its life a token has left at least when it is lent, in seconds.
pub const LEASE_LEFT_SECS_MIN: i64 = 10;
/// How long a token that an administrator's look needed is kept, in seconds.
pub const LEASE_ADMIN_SECS: i64 = 60;
/// Longest life that a server may say of a token, in seconds (a year).
pub const LEASE_ANSWER_SECS_MAX: i64 = 31_536_000;
/// Shortest token: what is shorter cannot be kept out of what the upstream says.
pub const LEASE_TOKEN_BYTES_MIN: usize = remit_domain::secret::VALUE_BYTES_MIN;
/// Longest token, in bytes.
pub const LEASE_TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How long what Remit signs for an upstream's authorization server is good, in seconds.
pub const LEASE_ASSERTION_SECS: i64 = 60;
/// How long a revocation may take until another node takes it up, in seconds.
pub const LEASE_CLAIM_SECS: i64 = 30;
/// First pause before a revocation is tried again, in seconds; each next one is twice as long.
pub const LEASE_PAUSE_SECS: i64 = 1;
/// Longest pause, in seconds.
pub const LEASE_PAUSE_SECS_MAX: i64 = 300;
/// Most leases of one state that one sweep looks at.
pub const LEASES_SWEPT_MAX: usize = 1_000;
/// How long one node may refresh with a refresh token until another one may, in seconds: longer than an answer may take.
pub const REFRESH_TURN_SECS: i64 = 30;
/// How often it is looked whether the turn has come.
pub const REFRESH_LOOKS_MAX: u32 = 60;
/// Pause between two looks, in milliseconds.
pub const REFRESH_PAUSE_MS: u64 = 250;
