//! Upstreams: the governed servers, of a system, with their secret by reference.

use std::collections::BTreeMap;

use remit_domain::authorization_server::{SCOPES_MAX, TEXT_BYTES_MAX};
use remit_domain::event::EventKind;
use remit_domain::upstream::{
    Injection, OauthClient, SecretRef, TokenGrant, Transport, UpstreamName,
};
use remit_domain::{Kind, Noun, Registry, Role, Upstream};
use remit_token::Scope;
use schemars::JsonSchema;
use serde::Serialize;

use crate::draft::Draft;
use crate::error::{invalid, not_found};
use crate::spec::UpstreamSpec;
use crate::{Action, Caller, Control, ControlError, ListQuery, Listing, Saved, resolve};

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Most tools whose scopes are named.
const TOOLS_MAX: usize = 200;
/// What every environment variable that holds a secret begins with.
const SECRET_ENV_PREFIX: &str = "REMIT_SECRET_";
/// Headers Remit writes itself, or that would change what is said to whom.
const HEADERS_REFUSED: [&str; 12] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept",
    "cookie",
    "origin",
];

/// An upstream, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UpstreamView {
    /// Its name, which is also its path `/mcp/{name}`.
    pub name: UpstreamName,
    /// `active` or `disabled`.
    pub state: &'static str,
    /// `enforced`, or `cooperative` for a server on the agent's own machine, which only its wrapper keeps to Remit.
    pub enforcement: &'static str,
    /// What is declared of it; null when its system is not known any more.
    #[serde(flatten)]
    pub spec: Option<UpstreamSpec>,
    /// How many tools it has in each state.
    pub tools: BTreeMap<&'static str, usize>,
    /// Its revision, which is also its ETag.
    pub revision: u64,
}

impl Control {
    /// Upstreams, by name.
    ///
    /// # Errors
    /// `forbidden` for anyone but people of the organization.
    pub fn upstreams(
        &self,
        caller: &Caller,
        query: &ListQuery,
    ) -> Result<Listing<UpstreamView>, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        let all = registry
            .upstreams
            .values()
            .map(|u| (u.name.to_string(), u.state(), u));
        Ok(query.page(all, |u| view(&registry, u)))
    }

    /// One upstream.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub fn upstream(
        &self,
        caller: &Caller,
        name: &UpstreamName,
    ) -> Result<UpstreamView, ControlError> {
        caller.person()?;
        let book = self.book(&caller.org)?;
        let registry = book.registry();
        Ok(view(
            &registry,
            registry
                .upstreams
                .get(name)
                .ok_or_else(|| not_found("upstream", name))?,
        ))
    }

    /// Creates or changes an upstream. Nothing of it may be called before its tools are synced and classified.
    ///
    /// # Errors
    /// `forbidden` for anyone but an administrator; `invalid-request`, naming the field; `conflict` when it has changed since `seen`.
    pub async fn put_upstream(
        &self,
        caller: &Caller,
        name: &UpstreamName,
        spec: UpstreamSpec,
        seen: Option<u64>,
    ) -> Result<Saved<UpstreamView>, ControlError> {
        let book = self.book(&caller.org)?;
        let draft = self.draft_upstream(&book.registry(), caller, name, spec, seen)?;
        let action = self.save(caller, draft).await?;
        Ok(Saved {
            action,
            view: self.upstream(caller, name)?,
        })
    }

    pub(crate) fn draft_upstream(
        &self,
        registry: &Registry,
        caller: &Caller,
        name: &UpstreamName,
        spec: UpstreamSpec,
        seen: Option<u64>,
    ) -> Result<Draft, ControlError> {
        caller.require(&[Role::Admin])?;
        check_spec(&spec)?;
        self.check_secret_places(registry, &spec)?;
        let there = registry.upstreams.get(name);
        let upstream = Upstream {
            name: name.clone(),
            system: resolve::system(registry, "system", &spec.system)?
                .id
                .clone(),
            transport: spec.transport,
            secret: spec.secret,
            stateless: spec.stateless,
            enabled: spec.enabled,
            may_ask: spec.may_ask,
        };
        let draft = Draft::over(
            registry,
            there.map(AsRef::as_ref),
            &upstream,
            seen,
            |action| {
                let kind = match action {
                    Action::Create => EventKind::UpstreamCreated,
                    _ => EventKind::UpstreamChanged,
                };
                self.event(caller, kind)
                    .about(name)
                    .fact("system", &upstream.system)
                    .fact("enabled", upstream.enabled)
                    .fact("stateless", upstream.stateless)
                    .fact("enforcement", upstream.enforcement())
                    .fact("may_ask", &upstream.may_ask)
                    .content("upstream", &upstream)
            },
        );
        Ok(draft?.restrict_update())
    }
}

impl Control {
    /// Refuses a spec that names a secret which is not the organization's own (invariant 10). The broker looks again at every
    /// call.
    pub(crate) fn check_secret_places(
        &self,
        registry: &Registry,
        spec: &UpstreamSpec,
    ) -> Result<(), ControlError> {
        let (Some(secret), Some(organization)) = (&spec.secret, &registry.organization) else {
            return Ok(());
        };
        let org = organization.name.clone();
        for reference in secret.references() {
            let checked = self.secrets.may_name(&org, reference);
            checked.map_err(|why| invalid("secret", why))?;
        }
        Ok(())
    }
}

/// What stands against a spec by itself.
pub(crate) fn check_spec(spec: &UpstreamSpec) -> Result<(), ControlError> {
    check_transport(&spec.transport)?;
    spec.secret
        .as_ref()
        .map_or(Ok(()), |secret| check_secret(&spec.transport, secret))
}

fn check_transport(transport: &Transport) -> Result<(), ControlError> {
    let Transport::Http { url } = transport else {
        return Ok(());
    };
    check_url(url).map_err(|why| invalid("transport", why))
}

/// Why an address is not one that may be called.
fn check_url(url: &str) -> Result<(), &'static str> {
    let wrong = |why: &'static str| Err(why);
    if url.len() > URL_BYTES_MAX {
        return wrong("the URL is longer than 2048 bytes");
    }
    let Ok(parsed) = url::Url::parse(url) else {
        return wrong("`url` is not a URL such as https://host/mcp");
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return wrong("the URL holds a user name or password; name a `secret` instead");
    }
    if parsed.fragment().is_some() {
        return wrong("the URL holds a fragment, which is never sent");
    }
    let loopback = match parsed.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => return wrong("the URL has no host"),
    };
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => wrong("plain http is for loopback only; use https"),
        _ => wrong("the URL must be https, or http on loopback"),
    }
}

fn check_secret(transport: &Transport, secret: &Injection) -> Result<(), ControlError> {
    let wrong = |why: String| Err(invalid("secret", why));
    match (transport, secret) {
        (Transport::Http { .. }, Injection::Bearer(reference)) => check_reference(reference),
        (Transport::Http { .. }, Injection::Header { name, secret }) => {
            let is_token = !name.is_empty()
                && name.len() <= 64
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            let lower = name.to_ascii_lowercase();
            if !is_token || HEADERS_REFUSED.contains(&lower.as_str()) || lower.starts_with("mcp-") {
                let name: String = name.chars().take(80).collect();
                return wrong(format!("`{name}` cannot be the header of a secret"));
            }
            check_reference(secret)
        }
        (Transport::Http { .. }, Injection::Query { name, secret }) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
                let name: String = name.chars().take(80).collect();
                return wrong(format!("`{name}` cannot be the parameter of a secret"));
            }
            check_reference(secret)
        }
        (Transport::Http { .. }, Injection::Basic { user, secret }) => {
            let plain = |c: char| c.is_ascii() && !c.is_ascii_control() && c != ':';
            if user.is_empty() || user.len() > 128 || !user.chars().all(plain) {
                return wrong(
                    "`user` has 1 to 128 ASCII characters without `:` (RFC 7617)".to_owned(),
                );
            }
            check_reference(secret)
        }
        (Transport::Http { .. }, Injection::Oauth(client)) => check_client(client),
        (Transport::Stdio { .. }, Injection::Environment(variables)) => {
            for (name, reference) in variables {
                let ok = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
                    && name.len() <= 128
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
                // These make a process load or run something else.
                let loads = name.starts_with("LD_")
                    || ["PATH", "NODE_OPTIONS", "PYTHONPATH", "BASH_ENV", "ENV"]
                        .contains(&name.as_str());
                if !ok || loads {
                    let name: String = name.chars().take(80).collect();
                    return wrong(format!(
                        "`{name}` cannot be the environment variable of a secret"
                    ));
                }
                check_reference(reference)?;
            }
            Ok(())
        }
        (Transport::Http { .. }, Injection::Environment(_)) => {
            wrong("an HTTP server takes `bearer`, `header`, `basic`, `query` or `oauth`".to_owned())
        }
        (Transport::Stdio { .. }, _) => wrong("a process takes `environment`".to_owned()),
        (Transport::Guarded, _) => {
            wrong("a server behind an enforcement point gets no secret from Remit".to_owned())
        }
        (Transport::Wrapped, _) => {
            wrong("a wrapped server is beside its agent and gets no secret from Remit".to_owned())
        }
    }
}

/// What stands against Remit as a client of an upstream's authorization server.
fn check_client(client: &OauthClient) -> Result<(), ControlError> {
    let wrong = |why: &str| Err(invalid("secret", why));
    let endpoints = [
        Some(&client.issuer),
        Some(&client.token_endpoint),
        client.revocation_endpoint.as_ref(),
        client.introspection_endpoint.as_ref(),
    ];
    for url in endpoints.into_iter().flatten() {
        let shown: String = url.chars().take(80).collect();
        check_url(url).map_err(|why| invalid("secret", format!("`{shown}`: {why}")))?;
    }
    let sets = client.tools.values().chain([&client.scopes]);
    let named = [Some(&client.client_id), client.resource.as_ref()];
    let texts = named.into_iter().flatten();
    for text in texts
        .chain(sets.clone().flatten())
        .chain(client.tools.keys())
    {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            let why =
                format!("a client id, resource, scope or tool has 1 to {TEXT_BYTES_MAX} bytes");
            return Err(invalid("secret", why));
        }
    }
    let is_scope = |scope: &String| Scope::parse(scope).is_ok_and(|s| s.iter().count() == 1);
    for scopes in sets {
        if scopes.len() > SCOPES_MAX || !scopes.iter().all(is_scope) {
            let why = format!("has at most {SCOPES_MAX} scopes, each one word (RFC 6749 §3.3)");
            return Err(invalid("secret", why));
        }
    }
    if client.tools.len() > TOOLS_MAX {
        return wrong("names the scopes of at most 200 tools");
    }
    match (&client.refresh_token, client.grant) {
        (Some(SecretRef::Vault(_)), TokenGrant::RefreshToken) | (None, _) => {}
        (Some(_), TokenGrant::RefreshToken) => {
            return wrong("a refresh token is in the vault, where its next one is kept");
        }
        (Some(_), _) => return wrong("`refresh_token` is for the grant `refresh_token`"),
    }
    if client.refresh_token.is_none() && client.grant == TokenGrant::RefreshToken {
        return wrong("name the `refresh_token`: { vault: NAME }");
    }
    client
        .references()
        .into_iter()
        .try_for_each(check_reference)
}

fn check_reference(reference: &SecretRef) -> Result<(), ControlError> {
    match reference {
        SecretRef::File(path) if !path.is_absolute() => {
            Err(invalid("secret", "the file's path must be absolute"))
        }
        SecretRef::File(path)
            if path
                .components()
                .any(|c| c == std::path::Component::ParentDir) =>
        {
            Err(invalid("secret", "the file's path must not hold `..`"))
        }
        SecretRef::Env(name) if !name.starts_with(SECRET_ENV_PREFIX) || name.len() > 128 => {
            Err(invalid(
                "secret",
                format!("the variable's name must begin with {SECRET_ENV_PREFIX}"),
            ))
        }
        SecretRef::File(_) | SecretRef::Env(_) | SecretRef::Vault(_) => Ok(()),
    }
}

fn view(registry: &Registry, upstream: &Upstream) -> UpstreamView {
    let mut tools = BTreeMap::new();
    for tool in registry
        .tools
        .values()
        .filter(|t| *t.tool.upstream() == upstream.name)
    {
        *tools.entry(tool.state.as_str()).or_insert(0) += 1;
    }
    UpstreamView {
        name: upstream.name.clone(),
        state: upstream.state(),
        enforcement: upstream.enforcement(),
        spec: UpstreamSpec::of(registry, upstream),
        tools,
        revision: registry
            .revision(Kind::Upstream, &upstream.key())
            .unwrap_or(0),
    }
}
