//! The certificate that a client showed when it connected. Whoever ends TLS puts it beside each request of the connection; a
//! header says nothing here, whoever sent it.

use std::sync::Arc;

use axum::http::Extensions;
use remit_token::ClientChain;
use remit_token::client_certificate::thumbprint;

/// The certificate of a connection, whose key the handshake proved.
#[derive(Debug, Clone)]
pub struct ClientCertificate(Arc<Shown>);

#[derive(Debug)]
struct Shown {
    chain: ClientChain,
    thumbprint: String,
}

impl ClientCertificate {
    /// Of a chain in DER, the client's own first; none of an empty one.
    pub fn new(chain: Vec<Vec<u8>>) -> Option<Self> {
        let thumbprint = thumbprint(chain.first()?);
        let chain = ClientChain::new(chain);
        Some(Self(Arc::new(Shown { chain, thumbprint })))
    }
}

/// The chain of the connection that a request came on; empty where it showed none.
pub(crate) fn chain(extensions: &Extensions) -> ClientChain {
    let shown = extensions.get::<ClientCertificate>();
    shown.map(|shown| shown.0.chain.clone()).unwrap_or_default()
}

/// SHA-256 of the certificate of that connection, base64url.
pub(crate) fn shown(extensions: &Extensions) -> Option<String> {
    let shown = extensions.get::<ClientCertificate>();
    shown.map(|shown| shown.0.thumbprint.clone())
}
