//! Every bound of this crate, with its reason. Sizes are bytes, times are seconds.

/// Longest JWT that is looked at at all; ours are near 1 KiB, and common proxies stop at 16 KiB of header.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest decoded JOSE header; ours is near 90 bytes.
pub const HEADER_BYTES_MAX: usize = 2 * 1024;
/// Longest `kid` that a client may use for its own key; ours is a 43-byte thumbprint.
pub const KID_BYTES_MAX: usize = 256;
/// Longest JSON text of one public key, with room for members that we ignore.
pub const JWK_BYTES_MAX: usize = 4 * 1024;
/// Most keys of another issuer that are kept; large providers publish near ten.
pub const FOREIGN_KEYS_MAX: usize = 64;
/// Longest key set of another issuer.
pub const FOREIGN_JWKS_BYTES_MAX: usize = 256 * 1024;
/// Most claims of a token of another issuer; those of GitHub Actions have near 35.
pub const FOREIGN_CLAIMS_MAX: usize = 128;
/// Longest remaining life of a token of another issuer that a document may accept (one day): it is remembered that long.
pub const FOREIGN_TTL_S_MAX: i64 = 24 * 60 * 60;
/// Longest life of an identity assertion that we make: it is brought to its server at once.
pub const ID_JAG_TTL_S_MAX: i64 = 5 * 60;
/// Longest PEM text of one key; a P-256 key is near 200 bytes.
pub const PEM_BYTES_MAX: usize = 4 * 1024;
/// Most keys in one key set: a few of ours during rotation, a few per client.
pub const JWKS_KEYS_MAX: usize = 32;
/// Most keys of one client that are tried when its assertion names none of them.
pub const CLIENT_KEYS_MAX: usize = 8;

/// Deepest `act` nesting. The audit of a longer chain could not be read by a person.
pub const ACT_DEPTH_MAX: usize = 10;
/// Most delegations named in one token: one for each hop.
pub const DELEGATIONS_MAX: usize = ACT_DEPTH_MAX;
/// Most audiences in a received `aud` array.
pub const AUDIENCES_MAX: usize = 8;
/// Most scope tokens in one `scope`.
pub const SCOPE_TOKENS_MAX: usize = 64;
/// Longest single scope token.
pub const SCOPE_TOKEN_BYTES_MAX: usize = 256;
/// Longest opaque id (`jti`, `txn`, run, workflow, delegation, organization, agent).
pub const ID_BYTES_MAX: usize = 128;
/// Longest value that may be a URI (`iss`, `sub`, `aud`, `client_id`, `resource`); as the SPIFFE ID limit.
pub const URI_BYTES_MAX: usize = 2048;

/// Greatest clock difference that a caller may allow for; more would hide a broken clock.
pub const LEEWAY_S_MAX: u32 = 60;
/// Longest life of an access token (the issuer's own default is five minutes).
pub const ACCESS_TOKEN_TTL_S_MAX: i64 = 60 * 60;
/// Longest life of a delegation assertion: it is used at once, and once only.
pub const SUBJECT_TOKEN_TTL_S_MAX: i64 = 5 * 60;
/// Longest life of a token of an enforcement point.
pub const POINT_TOKEN_TTL_S_MAX: i64 = 5 * 60;
/// Longest life of a binding token of a denial: what was denied is asked for soon, or evaluated again.
pub const DENIAL_TOKEN_TTL_S_MAX: i64 = 10 * 60;
/// Longest remaining life of a client assertion, which bounds the replay cache.
pub const CLIENT_ASSERTION_TTL_S_MAX: i64 = 5 * 60;

/// Longest proof of possession; one with an access token's hash and a nonce is near 700 bytes.
pub const PROOF_BYTES_MAX: usize = 4 * 1024;
/// Oldest proof of possession that is believed: it is made for one request, and this bounds the replay cache.
pub const PROOF_AGE_S_MAX: i64 = 60;

/// Longest `authorization_details` of a request, in bytes: sixteen tools with a few bounds each.
pub const AUTHORIZATION_DETAILS_BYTES_MAX: usize = 8 * 1024;
/// Most objects in one `authorization_details`: more is a workflow of its own.
pub const AUTHORIZATION_DETAILS_MAX: usize = 16;

/// Longest client ID metadata document; a few keys and addresses are near 2 KiB.
pub const CLIENT_METADATA_BYTES_MAX: usize = 8 * 1024;
/// Most redirect addresses in one client ID metadata document.
pub const CLIENT_REDIRECTS_MAX: usize = 32;

/// Longest redirect address.
pub const REDIRECT_BYTES_MAX: usize = 512;
/// Longest `state` of an authorization request: it travels sealed with the rest of it, in addresses.
pub const STATE_BYTES_MAX: usize = 256;

/// Longest token request body: three tokens of the greatest size, and room for the rest.
pub const FORM_BYTES_MAX: usize = 64 * 1024;
/// Most parameters in one token request.
pub const FORM_PARAMETERS_MAX: usize = 32;
/// Longest parameter name.
pub const FORM_NAME_BYTES_MAX: usize = 64;
/// Most `resource` and, separately, `audience` parameters in one token request.
pub const TARGETS_MAX: usize = 8;
/// Longest `error_description`.
pub const ERROR_DESCRIPTION_BYTES_MAX: usize = 512;
/// Longest `WWW-Authenticate` value.
pub const CHALLENGE_BYTES_MAX: usize = 4 * 1024;

/// Longest SPIFFE ID (SPIFFE-ID §2.3).
pub const SPIFFE_ID_BYTES_MAX: usize = 2048;
/// Longest trust domain name (SPIFFE-ID §2.1).
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;
/// Longest life of a JWT-SVID: it cannot be taken back where it is believed, and a workload fetches another at any time.
pub const JWT_SVID_TTL_S_MAX: i64 = 60 * 60;
/// Longest life of a WIT-SVID, for the same reason.
pub const WIT_SVID_TTL_S_MAX: i64 = 60 * 60;
/// Longest life of an X.509-SVID, for the same reason.
pub const X509_SVID_TTL_S_MAX: i64 = 24 * 60 * 60;
/// Longest request for a certificate, in DER; one on P-256 is near 250 bytes.
pub const CSR_BYTES_MAX: usize = 8 * 1024;
/// Longest certificate of a client, in DER; one with a chain of names is near 2 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Most certificates in a client's chain, its own included.
pub const CERTIFICATES_MAX: usize = 4;
