//! An access token for an enforcement point, for adapters without an OAuth library and for Envoy, which reads it from a file.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use remit_token::client_assertion::{self, NewAssertion};
use remit_token::{
    AuthorizationDetails, ClientAuth, ClientCredentials, Scope, SigningKey, TokenRequest,
    TokenResponse,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::client::bytes;
use crate::connection::Connection;
use crate::mcp::identity::{ASSERTION_SECS, TOKEN_TIMEOUT, metadata, warn_if_others_can_read};
use crate::{edge, input};

/// How long before its end a token is replaced, in seconds.
const RENEW_SECS: u32 = 60;
/// How long to wait after a token could not be had.
const AGAIN: Duration = Duration::from_secs(5);

/// A token to get.
#[derive(Debug, Args)]
pub struct Token {
    /// Client id of the point, `pep_…`; or its name, which is looked up with your own token
    point: String,
    /// Its private key (PKCS #8 PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Write it to this file (mode 0600) as an Envoy secret (SDS) instead of printing it
    #[arg(long, value_name = "FILE")]
    sds: Option<PathBuf>,
    /// Go on, and replace the file before each token ends
    #[arg(long, requires = "sds")]
    watch: bool,
}

/// Gets it.
pub(crate) async fn run(connection: &Connection, args: Token) -> anyhow::Result<()> {
    warn_if_others_can_read(&args.key);
    let pem = SecretString::from(input::file(&args.key, input::BYTES_MAX)?);
    let key = SigningKey::from_pkcs8_pem(pem.expose_secret()).with_context(|| {
        format!(
            "`{}` is not a private key in PKCS #8 PEM",
            args.key.display()
        )
    })?;
    let id = match args.point.starts_with("pep_") {
        true => args.point.clone(),
        false => {
            let found = connection
                .client()?
                .get(&["enforcement-points", &args.point])
                .await?;
            crate::value::text(&found, "id")
        }
    };
    let Some(file) = &args.sds else {
        let token = get(connection, &id, &key).await?;
        crate::print::print(token.access_token.expose_secret());
        return Ok(());
    };
    loop {
        let wait = match get(connection, &id, &key).await {
            Ok(token) => {
                write(file, &token.access_token)?;
                let left = token.expires_in.saturating_sub(RENEW_SECS).max(1);
                Duration::from_secs(u64::from(left))
            }
            Err(error) if args.watch => {
                crate::print::print_error(&error);
                AGAIN
            }
            Err(error) => return Err(error),
        };
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(wait).await;
    }
}

async fn get(connection: &Connection, id: &str, key: &SigningKey) -> anyhow::Result<TokenResponse> {
    let client = connection.anonymous()?;
    let metadata = metadata(&client).await?;
    let assertion = client_assertion::sign(
        &NewAssertion {
            client_id: id,
            issuer: &metadata.issuer,
            jti: &edge::unique()?,
            iat: edge::now().as_secs(),
            ttl_s: ASSERTION_SECS,
        },
        key,
    )?;
    let request = TokenRequest::ClientCredentials(ClientCredentials {
        authorization_details: AuthorizationDetails::default(),
        client: ClientAuth::private_key_jwt(assertion),
        scope: Scope::default(),
        resource: vec![format!("{}/access/v1", metadata.issuer)],
    });
    let sent = client
        .http()
        .post(&metadata.token_endpoint)
        .timeout(TOKEN_TIMEOUT)
        .form(&request.to_form())
        .send()
        .await;
    let answer = bytes(
        sent.map_err(reqwest::Error::without_url)
            .context("the token endpoint cannot be reached")?,
    )
    .await?;
    serde_json::from_slice(&answer).context("the token endpoint's answer cannot be read")
}

/// Replaces the file in one step: whoever reads it sees the old token or the new one, whole.
fn write(file: &Path, token: &SecretString) -> anyhow::Result<()> {
    let secret = json!({ "resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "remit",
        "generic_secret": { "secret": { "inline_string": format!("Bearer {}", token.expose_secret()) } },
    }] });
    let scratch = file.with_extension("new");
    let _ = std::fs::remove_file(&scratch);
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&scratch);
    let mut made = made.with_context(|| format!("`{}` cannot be made", scratch.display()))?;
    made.write_all(serde_json::to_string(&secret)?.as_bytes())?;
    made.sync_all()?;
    std::fs::rename(&scratch, file)
        .with_context(|| format!("`{}` cannot be written", file.display()))
}
