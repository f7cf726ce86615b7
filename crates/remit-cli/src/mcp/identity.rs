//! Who the bridge is: a signed assertion for a token, a run for its calls, a new token before the old one ends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use remit_domain::Timestamp;
use remit_token::client_assertion::{self, NewAssertion};
use remit_token::{
    AccessTokenType, AuthorizationDetails, AuthorizationServerMetadata, ClientAuth,
    ClientCredentials, Scope, SigningKey, TokenRequest, TokenResponse,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Bridge;
use crate::client::{Client, bytes, is_loopback};
use crate::exit::{Refused, Usage};
use crate::proof::Prover;
use crate::value::text;
use crate::{edge, input};

/// Life of a client assertion, in seconds.
pub(crate) const ASSERTION_SECS: i64 = 60;
/// How long before its end a token is renewed, in seconds.
const RENEW_SECS: i64 = 45;
/// How far this clock and the server's may be apart, in seconds.
const CLOCKS_APART: i64 = 2;
/// Longest wait for a token.
pub(crate) const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);

/// A token in hand.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    token: SecretString,
    ends: Timestamp,
    /// Whether it is bound to the key, and used with a proof.
    bound: bool,
}

/// The run in hand.
#[derive(Debug, Clone, Default)]
struct State {
    run: Option<String>,
    workflow: Option<String>,
    held: Option<Held>,
    /// The token that opens the run, kept so that trying again does not make another one.
    opening: Option<(Held, Scope)>,
}

/// The agent.
pub(crate) struct Identity {
    client: Client,
    plain_http: bool,
    args: Bridge,
    prover: Arc<Prover>,
    intent: Value,
    state: Mutex<State>,
}

impl Identity {
    /// Reads the key and the intent; asks nothing of the server yet.
    pub(crate) fn new(client: Client, plain_http: bool, args: Bridge) -> anyhow::Result<Self> {
        if !plain_http
            && client.address().starts_with("http://")
            && !is_loopback(&client.url(&["mcp"])?)
        {
            return Err(Usage(format!(
                "{} would get tokens in clear; use its https:// address",
                client.address()
            ))
            .into());
        }
        warn_if_others_can_read(&args.key);
        let pem = input::file(&args.key, input::BYTES_MAX).with_context(|| {
            format!(
                "the agent's private key is not there; make one: remit agent key add {} --generate FILE",
                args.agent
            )
        })?;
        let pem = SecretString::from(pem);
        let key = SigningKey::from_pkcs8_pem(pem.expose_secret()).with_context(|| {
            format!(
                "`{}` is not a private key in PKCS #8 PEM, as `remit agent key add --generate` writes it",
                args.key.display()
            )
        })?;
        let intent = match (&args.intent, &args.purpose) {
            (Some(path), _) => input::document(path)?,
            (None, Some(purpose)) => json!({ "purpose": purpose }),
            (None, None) => json!({ "purpose": "" }),
        };
        let state = Mutex::new(State {
            workflow: args.workflow.clone(),
            ..State::default()
        });
        Ok(Self {
            client,
            plain_http,
            args,
            prover: Arc::new(Prover::new(key)),
            intent,
            state,
        })
    }

    /// Where messages go.
    pub(crate) fn endpoint(&self) -> anyhow::Result<url::Url> {
        match &self.args.upstream {
            Some(upstream) => self.client.url(&["mcp", upstream]),
            None => self.client.url(&["mcp"]),
        }
    }

    /// The client beneath.
    pub(crate) fn http(&self) -> &reqwest::Client {
        self.client.http()
    }

    /// A token for the run, which is opened at the first call.
    pub(crate) async fn held(&self) -> anyhow::Result<Held> {
        let mut state = self.state.lock().await;
        if let Some(held) = state
            .held
            .as_ref()
            .filter(|held| held.ends > edge::now().plus_secs(RENEW_SECS))
        {
            return Ok(held.clone());
        }
        if state.run.is_none() {
            self.open(&mut state).await?;
        }
        let held = self.request(&state).await?.0;
        state.held = Some(held.clone());
        Ok(held)
    }

    /// Sends a request with a token, proved where it is bound to the key.
    pub(crate) async fn send(
        &self,
        request: reqwest::RequestBuilder,
        held: &Held,
    ) -> anyhow::Result<reqwest::Response> {
        if held.bound {
            return self.prover.send(request, Some(&held.token)).await;
        }
        let request = request.bearer_auth(held.token.expose_secret());
        Ok(request.send().await?)
    }

    /// The client for REST, as the agent.
    fn client_with(&self, held: &Held) -> anyhow::Result<Client> {
        let prover = held.bound.then(|| Arc::clone(&self.prover));
        let client = self.client.clone().with_prover(prover);
        client.with_token(held.token.clone(), self.plain_http)
    }

    /// The client for REST with a token that is good for so many seconds more, in no run in particular: the implicit one of the
    /// agent's key.
    pub(crate) async fn short_client(&self, secs: i64) -> anyhow::Result<Client> {
        let mut state = self.state.lock().await;
        let held = state.held.as_ref();
        if let Some(held) = held.filter(|held| held.ends > edge::now().plus_secs(secs)) {
            return self.client_with(held);
        }
        let asked = self.request(&state).await;
        let held = asked.map_err(|error| self.no_token(error))?.0;
        let client = self.client_with(&held);
        state.held = Some(held);
        client
    }

    /// Forgets a token that was not taken, unless another one has come meanwhile.
    pub(crate) async fn refused(&self, refused: &Held) {
        let mut state = self.state.lock().await;
        if state
            .held
            .as_ref()
            .is_some_and(|held| held.token.expose_secret() == refused.token.expose_secret())
        {
            state.held = None;
        }
    }

    /// Opens the run that every call belongs to.
    async fn open(&self, state: &mut State) -> anyhow::Result<()> {
        let asked_at = edge::now();
        let fresh = |(held, _): &(Held, Scope)| held.ends > edge::now().plus_secs(RENEW_SECS);
        let (held, scope) = match state.opening.take().filter(fresh) {
            Some(kept) => kept,
            None => self.request(state).await.map_err(|e| self.no_token(e))?,
        };
        let workflow = scope
            .values_of("workflow:")
            .next()
            .map(str::to_owned)
            .or_else(|| state.workflow.clone());
        let workflow = workflow.context(
            "the server did not say for which workflow the token is; name it with --workflow",
        )?;
        let mut body = json!({ "workflow": workflow, "mode": "api", "intent": self.intent, "provenance": self.provenance() });
        if let (Some(path), Value::Object(fields)) = (&self.args.subject_token, &mut body) {
            fields.insert("mode".to_owned(), "interactive".into());
            fields.insert(
                "subject_token".to_owned(),
                input::file(path, input::BYTES_MAX)?.trim().into(),
            );
        }
        let implicit: Vec<String> = scope.values_of("run:").map(str::to_owned).collect();
        let asked = asked_at;
        let client = self.client_with(&held)?;
        let opened = client.post(&["runs"], &body).await;
        if opened
            .as_ref()
            .err()
            .and_then(|e| e.downcast_ref::<Refused>())
            .is_some_and(|r| r.status != 401)
        {
            state.opening = Some((held, scope));
        }
        let opened = opened.context("the run could not be opened")?;
        let id = text(&opened, "id");
        if id.is_empty() {
            bail!("the server opened no run; is it a Remit of this version?");
        }
        (state.run, state.workflow) = (Some(id), Some(workflow));
        self.leave(&client, &asked, &implicit).await;
        Ok(())
    }

    /// What the agent says about itself, for the record.
    fn provenance(&self) -> Value {
        let Bridge {
            model,
            prompt_version,
            config_version,
            context_refs,
            ..
        } = &self.args;
        json!({ "model": model, "prompt": prompt_version, "configuration": config_version, "context": context_refs })
    }

    /// What to look at when a token is refused: the server tells nobody which agents exist, but an administrator sees it.
    fn no_token(&self, error: anyhow::Error) -> anyhow::Error {
        let agent = &self.args.agent;
        let refused = error.downcast_ref::<Refused>();
        let hint = match refused.map(|refused| refused.code.as_str()) {
            Some("invalid_client") => format!(
                "; somebody who is signed in sees with `remit agent show {agent}` whether it is active, and with `remit agent key ls {agent}` whether it has this key"
            ),
            Some("invalid_scope") => format!("; `remit workflow ls {agent}` names its workflows"),
            _ => String::new(),
        };
        error.context(format!(
            "agent `{agent}` got no token from {}{hint}",
            self.client.address()
        ))
    }

    /// Ends the run that the first token came with, unless it was there before: it has done what it was for.
    async fn leave(&self, client: &Client, asked: &Timestamp, implicit: &[String]) {
        for run in implicit {
            let Ok(found) = client.get(&["runs", run]).await else {
                continue;
            };
            let started = text(&found, "started").parse::<Timestamp>();
            if started.is_ok_and(|at| at.plus_secs(CLOCKS_APART) >= *asked) {
                let body = json!({ "outcome": "done", "measures": {} });
                // One that cannot be ended ends by itself, idle.
                let _ = client.post(&["runs", run, "end"], &body).await;
            }
        }
    }

    /// Ends the run, if one was opened.
    pub(crate) async fn end(&self, outcome: &str) -> anyhow::Result<()> {
        if self.state.lock().await.run.is_none() {
            return Ok(());
        }
        let held = self.held().await?;
        let Some(run) = self.state.lock().await.run.clone() else {
            return Ok(());
        };
        let client = self.client_with(&held)?;
        client
            .post(
                &["runs", &run, "end"],
                &json!({ "outcome": outcome, "measures": {} }),
            )
            .await
            .map(|_| ())
    }

    async fn request(&self, state: &State) -> anyhow::Result<(Held, Scope)> {
        let metadata = metadata(&self.client).await?;
        let workflow = state.workflow.iter().map(|w| format!("workflow:{w}"));
        let scope =
            Scope::from_tokens(workflow.chain(state.run.iter().map(|r| format!("run:{r}"))))?;
        let asked = edge::now();
        let assertion = client_assertion::sign(
            &NewAssertion {
                client_id: self.args.agent.as_str(),
                issuer: &metadata.issuer,
                jti: &edge::unique()?,
                iat: asked.as_secs(),
                ttl_s: ASSERTION_SECS,
            },
            self.prover.key(),
        )?;
        let request = TokenRequest::ClientCredentials(ClientCredentials {
            authorization_details: AuthorizationDetails::default(),
            client: ClientAuth::private_key_jwt(assertion),
            scope,
            resource: vec![format!("{}/mcp", metadata.issuer)],
        });
        let request = self
            .http()
            .post(&metadata.token_endpoint)
            .timeout(TOKEN_TIMEOUT)
            .form(&request.to_form());
        let alg = self.prover.key().public().algorithm();
        let proves = metadata
            .dpop_signing_alg_values_supported
            .iter()
            .any(|named| named == alg.as_str());
        let sent = if proves {
            self.prover.send(request, None).await
        } else {
            request.send().await.map_err(anyhow::Error::from)
        };
        let answer = bytes(
            sent.map_err(crate::proof::without_url)
                .context("the token endpoint cannot be reached")?,
        )
        .await?;
        let granted: TokenResponse = serde_json::from_slice(&answer)
            .context("the token endpoint's answer cannot be read")?;
        let ends = asked.plus_secs(i64::from(granted.expires_in));
        Ok((
            Held {
                token: granted.access_token,
                ends,
                bound: granted.token_type == AccessTokenType::DPoP,
            },
            granted.scope,
        ))
    }
}

/// The issuer is the address that was configured and nothing else: otherwise a server could have an assertion signed
/// that is good at another one (RFC 8414 §3.3).
pub(crate) async fn metadata(client: &Client) -> anyhow::Result<AuthorizationServerMetadata> {
    let base = client.url(&[])?;
    let mut url = base.clone();
    url.set_path(&format!(
        "/.well-known/oauth-authorization-server{}",
        base.path().trim_end_matches('/')
    ));
    let sent = client.http().get(url).timeout(TOKEN_TIMEOUT).send().await;
    let sent = sent.map_err(reqwest::Error::without_url);
    let answer = bytes(sent.with_context(|| {
        format!(
            "{} cannot be reached; is the server running there?",
            client.address()
        )
    })?)
    .await?;
    let metadata: AuthorizationServerMetadata =
        serde_json::from_slice(&answer).context("the server's OAuth metadata cannot be read")?;
    if metadata.issuer != client.address()
        || !metadata
            .token_endpoint
            .starts_with(&format!("{}/", metadata.issuer))
    {
        bail!(
            "the server at {} calls itself {}; use that address (REMIT_ADDR), if it is the one you mean",
            client.address(),
            metadata.issuer
        );
    }
    Ok(metadata)
}

/// Whoever can read the key is the agent. It is said, not refused: a mounted secret may have no other mode.
pub(crate) fn warn_if_others_can_read(key: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::metadata(key).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    if open {
        crate::print::note(&format!(
            "warning: others can read the key; run: chmod 600 {}",
            key.display()
        ));
    }
}
