//! Asking the web for what is no tool call: the metadata, keys and tokens of a company's OpenID provider.

use async_trait::async_trait;
use remit_domain::OrgId;
use remit_token::SpiffeId;
use remit_token::client_certificate::CertificateError;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Headers, none of which says where to or how long.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

/// Who has to answer, where a SPIFFE ID says it and not the name in the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiffeServer {
    /// Its SPIFFE ID, the only one that its certificate may name.
    pub id: SpiffeId,
    /// The authorities of its trust domain, in DER.
    pub authorities: Vec<Vec<u8>>,
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebResponse {
    /// Status, never one that sends elsewhere.
    pub status: u16,
    /// What the body is.
    pub content_type: Option<String>,
    /// For how long it says that it keeps, in seconds; 0 where it is not to be kept, none where it says nothing.
    pub max_age_s: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer. Never carries what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// The address is not one that may be asked.
    #[error("the address is refused: {0}")]
    Refused(String),
    /// It could not be reached, or its answer cannot be read.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// Who answers does not prove to be whom it is to be: its certificate is refused.
    #[error("who answers there is not whom it is to be: {}", refused(*.0))]
    Untrusted(CertificateError),
    /// The answer is longer than is read.
    #[error("its answer is longer than {0} bytes")]
    TooLarge(usize),
    /// There was no whole answer in time.
    #[error("it did not answer in time")]
    Timeout,
    /// It sends elsewhere, which is not followed.
    #[error("it sends elsewhere, which is not followed; give the address that it sends to")]
    Redirect,
}

/// Why the certificate of a server is refused.
fn refused(why: CertificateError) -> String {
    match why {
        CertificateError::Expired => "its certificate, or its authority, is not good now",
        CertificateError::Untrusted => {
            "no known authority of its trust domain signed its certificate"
        }
        CertificateError::NameOther => "its certificate names another SPIFFE ID",
        CertificateError::NoSpiffeId => "its certificate does not name exactly one SPIFFE ID",
        other => return other.to_string(),
    }
    .to_owned()
}

/// Asks the web.
///
/// Contract: https, or plain http to a loopback address where the operator allows loopback; never an address of a metadata
/// service, of a link, or of a private network unless the operator allows that, whatever a name resolves to; no redirect is
/// followed; answers are limited in size and time; nothing is shared between organizations.
#[async_trait]
pub trait Web: Send + Sync + 'static {
    /// Sends one request, once.
    ///
    /// # Errors
    /// [`WebError`].
    async fn request(&self, org: &OrgId, request: WebRequest) -> Result<WebResponse, WebError>;

    /// Sends one request, once, over https to a server that proves itself with an X.509-SVID (X509-SVID §5): the rules for addresses, time
    /// and size are the same, the name in the address proves nothing, and no connection is used again. Who knows no such way refuses.
    ///
    /// # Errors
    /// [`WebError`]; `Untrusted` when the certificate is not one of `server`.
    async fn request_spiffe(
        &self,
        org: &OrgId,
        request: WebRequest,
        server: SpiffeServer,
    ) -> Result<WebResponse, WebError> {
        let _ = (org, request, server);
        let why = "there is no way to a server that proves itself with an SVID";
        Err(WebError::Refused(why.to_owned()))
    }
}
