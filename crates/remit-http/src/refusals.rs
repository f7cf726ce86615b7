//! The one table of refusals: what each code is in HTTP, in OAuth and in MCP.
//!
//! Source: RFC 9457, RFC 9110 §15, RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 6750 §3.1; MCP 2026-07-28 basic "Error Codes".

use axum::http::StatusCode;
use remit_domain::RefusalCode;
use remit_mcp::jsonrpc::code;
use remit_token::oauth_error::OAuthErrorCode;

/// How a refusal leaves an MCP endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum McpShape {
    /// HTTP 401 with a `WWW-Authenticate` challenge: the caller is to get a token.
    Challenge,
    /// HTTP 403 with an `insufficient_scope` challenge: the caller is to get another token.
    OtherToken,
    /// A tool result with `isError` and one line for the model. For another method, which has no such result, a
    /// JSON-RPC error whose code is the HTTP status: outside the range that JSON-RPC keeps for itself.
    Result,
    /// A JSON-RPC error: the request itself was wrong.
    Protocol(i64),
}

/// One row: what a refusal is on each wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// HTTP status of REST and OAuth answers.
    pub status: StatusCode,
    /// Title of the problem: the same for every occurrence.
    pub title: &'static str,
    /// Code at the token endpoint.
    pub oauth: OAuthErrorCode,
    /// Form at an MCP endpoint.
    pub mcp: McpShape,
    /// Whether the same request may succeed a little later, and the answer says `Retry-After`.
    pub later: bool,
}

const fn row(status: StatusCode, title: &'static str, oauth: OAuthErrorCode, mcp: McpShape) -> Row {
    Row {
        status,
        title,
        oauth,
        mcp,
        later: false,
    }
}

const fn later(status: StatusCode, title: &'static str, oauth: OAuthErrorCode) -> Row {
    Row {
        status,
        title,
        oauth,
        mcp: McpShape::Result,
        later: true,
    }
}

/// The row of a code.
#[must_use]
#[rustfmt::skip]
pub const fn row_of(refusal: RefusalCode) -> Row {
    use McpShape::{Challenge, OtherToken, Protocol, Result};
    use OAuthErrorCode as O;
    use RefusalCode as C;
    use StatusCode as S;
    match refusal {
        C::Unauthenticated => row(S::UNAUTHORIZED, "No valid credential", O::InvalidClient, Challenge),
        C::ProofInvalid => row(S::UNAUTHORIZED, "Proof of possession not valid", O::InvalidClient, Challenge),
        C::Forbidden => row(S::FORBIDDEN, "Not allowed", O::UnauthorizedClient, OtherToken),
        C::NotFound => row(S::NOT_FOUND, "Not found", O::InvalidTarget, Result),
        C::Conflict => row(S::CONFLICT, "Changed meanwhile", O::InvalidGrant, Result),
        C::InvalidRequest => row(S::BAD_REQUEST, "Request not valid", O::InvalidRequest, Protocol(code::INVALID_PARAMS)),
        C::AgentNotActive => row(S::FORBIDDEN, "Agent not active", O::UnauthorizedClient, Result),
        C::NoAccountablePerson => row(S::FORBIDDEN, "No accountable person", O::UnauthorizedClient, Result),
        C::WorkflowUnknown => row(S::FORBIDDEN, "Workflow unknown", O::InvalidScope, Result),
        C::RunUnknown => row(S::NOT_FOUND, "Run unknown", O::InvalidScope, Result),
        C::RunEnded => row(S::CONFLICT, "Run ended", O::InvalidScope, Result),
        C::AttestationRequired => row(S::FORBIDDEN, "Attestation required", O::UnauthorizedClient, Result),
        C::AttestationMismatch => row(S::FORBIDDEN, "Not the registered workload", O::UnauthorizedClient, Result),
        C::WitSvidOff => row(S::FORBIDDEN, "WIT-SVIDs are off", O::UnauthorizedClient, Result),
        C::ChainBroken => row(S::FORBIDDEN, "Delegation not in force", O::InvalidGrant, Result),
        C::ChainTooDeep => row(S::FORBIDDEN, "Delegation too deep", O::InvalidGrant, Result),
        C::DelegationLoop => row(S::FORBIDDEN, "Delegation in a loop", O::InvalidGrant, Result),
        C::Wider => row(S::FORBIDDEN, "Wider than its parent", O::InvalidScope, Result),
        C::Contained => row(S::FORBIDDEN, "Contained", O::UnauthorizedClient, Result),
        C::SnapshotStale => later(S::SERVICE_UNAVAILABLE, "Registry not current", O::TemporarilyUnavailable),
        C::UnknownMethod => row(S::NOT_FOUND, "Method unknown", O::InvalidRequest, Protocol(code::METHOD_NOT_FOUND)),
        C::ToolUnknown => row(S::NOT_FOUND, "Tool unknown", O::InvalidRequest, Result),
        C::ToolDisabled => row(S::FORBIDDEN, "Tool disabled", O::InvalidRequest, Result),
        C::ToolChanged => row(S::FORBIDDEN, "Tool changed since approval", O::InvalidRequest, Result),
        C::ArgumentsInvalid => row(S::UNPROCESSABLE_ENTITY, "Arguments not valid", O::InvalidRequest, Result),
        C::Denied => row(S::FORBIDDEN, "Denied by policy", O::UnauthorizedClient, Result),
        C::ApprovalRequired => row(S::FORBIDDEN, "Approval required", O::InvalidRequest, Result),
        C::ApprovalPending => row(S::FORBIDDEN, "Approval pending", O::InvalidRequest, Result),
        C::ApprovalDenied => row(S::FORBIDDEN, "Approval denied", O::InvalidRequest, Result),
        C::ApprovalExpired => row(S::FORBIDDEN, "Approval expired", O::InvalidRequest, Result),
        C::ApprovalCancelled => row(S::FORBIDDEN, "Approval cancelled", O::InvalidRequest, Result),
        C::ApprovalStale => row(S::FORBIDDEN, "Approval stale", O::InvalidRequest, Result),
        C::ApprovalUsed => row(S::FORBIDDEN, "Approval used", O::InvalidRequest, Result),
        C::ApprovalWithdrawn => row(S::FORBIDDEN, "Approval taken back", O::InvalidRequest, Result),
        C::Ambiguous => row(S::BAD_GATEWAY, "Outcome not known", O::InvalidRequest, Result),
        C::LimitExceeded => row(S::FORBIDDEN, "Limit exceeded", O::TemporarilyUnavailable, Result),
        C::Limited => later(S::TOO_MANY_REQUESTS, "Too many requests", O::TemporarilyUnavailable),
        C::LedgerUnavailable => later(S::SERVICE_UNAVAILABLE, "Ledger not available", O::TemporarilyUnavailable),
        C::CredentialUnavailable => row(S::BAD_GATEWAY, "Upstream credential not available", O::TemporarilyUnavailable, Result),
        C::UpstreamUnreachable => row(S::BAD_GATEWAY, "Upstream not reachable", O::InvalidRequest, Result),
        C::UpstreamInvalid => row(S::BAD_GATEWAY, "Upstream answer not valid", O::InvalidRequest, Result),
        C::TooLarge => row(S::PAYLOAD_TOO_LARGE, "Too large", O::InvalidRequest, Result),
        C::Timeout => row(S::GATEWAY_TIMEOUT, "No answer in time", O::TemporarilyUnavailable, Result),
        C::Cancelled => row(S::CONFLICT, "Cancelled", O::InvalidRequest, Result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_as_published() {
        let rows: Vec<String> = RefusalCode::ALL
            .into_iter()
            .map(|refusal| {
                let row = row_of(refusal);
                let later = if row.later { " later" } else { "" };
                let (status, oauth) = (row.status.as_u16(), row.oauth.as_str());
                format!(
                    "{refusal:24} {status} {oauth:24} {:?}{later} | {}",
                    row.mcp, row.title
                )
            })
            .collect();
        insta::assert_snapshot!(rows.join("\n"));
    }

    #[test]
    fn no_refusal_looks_like_success_and_only_credentials_are_challenged() {
        for refusal in RefusalCode::ALL {
            let row = row_of(refusal);
            assert!(
                row.status.is_client_error() || row.status.is_server_error(),
                "{refusal}"
            );
            assert_eq!(
                row.status == StatusCode::UNAUTHORIZED,
                row.mcp == McpShape::Challenge,
                "{refusal}"
            );
            assert_eq!(
                row.later,
                matches!(row.status.as_u16(), 429 | 503),
                "{refusal}"
            );
        }
    }

    #[test]
    fn the_token_endpoint_says_what_the_table_says() {
        for refusal in RefusalCode::ALL {
            let said = remit_issuer::oauth_error(&remit_domain::Refusal::new(refusal, "x"));
            assert_eq!(said.error, row_of(refusal).oauth, "{refusal}");
        }
    }

    #[test]
    fn protocol_errors_have_codes_that_json_rpc_defines() {
        for refusal in RefusalCode::ALL {
            if let McpShape::Protocol(found) = row_of(refusal).mcp {
                assert!(
                    [code::INVALID_PARAMS, code::METHOD_NOT_FOUND].contains(&found),
                    "{refusal}"
                );
            }
        }
    }
}
