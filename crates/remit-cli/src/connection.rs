//! Which server, which organization, as whom: flags and environment first, then the context in use.

use clap::Args;
use secrecy::SecretString;
use url::Url;

use crate::client::Client;
use crate::contexts::{Contexts, Entry};
use crate::exit::Usage;
use crate::output::{Format, Out};
use crate::{edge, print};

/// Where a server listens if nobody says.
pub(crate) const DEFAULT_ADDR: &str = "http://127.0.0.1:7600";

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Connection {
    /// How to show the answer
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) output: Format,
    /// Address of the server [default: the context in use, else http://127.0.0.1:7600]
    #[arg(long, global = true, env = "REMIT_ADDR", value_name = "URL")]
    pub(crate) addr: Option<String>,
    /// Organization, where it is not the server's default one
    #[arg(long, global = true, env = "REMIT_ORG", value_name = "NAME")]
    pub(crate) org: Option<String>,
    /// Context to use, by the name `remit login` gave it
    #[arg(long, global = true, env = "REMIT_CONTEXT", value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Send the token over plain HTTP to a host that is not this machine
    #[arg(long, global = true, env = "REMIT_PLAIN_HTTP", hide = true)]
    pub(crate) plain_http: bool,
    /// The token. Never a flag: arguments are visible to every process
    #[arg(skip = token())]
    pub(crate) token: Option<SecretString>,
}

/// The token of the environment.
fn token() -> Option<SecretString> {
    edge::token()
}

impl Connection {
    /// Where output goes.
    pub(crate) fn out(&self) -> Out {
        Out {
            format: self.output,
            now: edge::now(),
            colours: print::takes_colours(),
        }
    }

    /// Signed in, as the environment or the context says.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let client = self.anonymous()?;
        let token = match &self.token {
            Some(token) => Some(token.clone()),
            None => self.entry()?.and_then(|entry| entry.token),
        };
        let token = token.ok_or_else(|| {
            anyhow::anyhow!(
                "nobody is signed in to {}: sign in with `remit login`, or set REMIT_TOKEN",
                client.address()
            )
        })?;
        client.with_token(token, self.plain_http)
    }

    /// Without a token.
    pub(crate) fn anonymous(&self) -> anyhow::Result<Client> {
        Client::new(&self.address()?, self.organization()?.as_deref())
    }

    /// The server's address.
    pub(crate) fn address(&self) -> anyhow::Result<Url> {
        let said = match &self.addr {
            Some(addr) => Some(addr.clone()),
            None => self.entry()?.map(|entry| entry.addr),
        };
        let text = said.as_deref().unwrap_or(DEFAULT_ADDR);
        address(text)
    }

    /// The organization; none for the server's default one.
    pub(crate) fn organization(&self) -> anyhow::Result<Option<String>> {
        match (&self.org, &self.addr) {
            (Some(org), _) => Ok(Some(org.clone()).filter(|org| !org.is_empty())),
            // An address of its own does not go with another server's organization.
            (None, Some(_)) => Ok(None),
            (None, None) => Ok(self.entry()?.and_then(|entry| entry.org)),
        }
    }

    /// The context that applies. One that was made for another server never lends its token.
    fn entry(&self) -> anyhow::Result<Option<Entry>> {
        let contexts = Contexts::load(&edge::config_dir()?)?;
        let found = contexts.pick(self.context.as_deref())?.cloned();
        let fits = |entry: &Entry| {
            self.addr
                .as_ref()
                .is_none_or(|addr| same_server(addr, &entry.addr))
        };
        Ok(found.filter(fits))
    }
}

fn same_server(a: &str, b: &str) -> bool {
    matches!((address(a), address(b)), (Ok(a), Ok(b)) if a == b)
}

/// Reads an address: http or https, nothing behind the path.
pub(crate) fn address(text: &str) -> anyhow::Result<Url> {
    let wrong = |why: &str| {
        Usage(format!(
            "the address `{text}` is not usable: {why}; give one such as https://remit.example"
        ))
    };
    let mut url = Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("it must begin with https:// or http://").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must not hold a password").into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("nothing may follow its path").into());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// A noun: its commands, with the options of every command.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Noun<C: clap::Subcommand> {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: C,
}

/// A command without a noun, with the options of every command.
#[derive(Debug, Args)]
pub struct Verb<A: Args> {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) args: A,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_they_seem() {
        assert_eq!(
            address("https://remit.example/").unwrap().as_str(),
            "https://remit.example/"
        );
        assert_eq!(
            address("http://127.0.0.1:7600/base/").unwrap().as_str(),
            "http://127.0.0.1:7600/base"
        );
        for wrong in [
            "remit.example",
            "ftp://x",
            "https://u:p@x",
            "https://x/?a",
            "https://x/#a",
            "",
            "file:///etc/passwd",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_context_lends_its_token_to_its_own_server_only() {
        assert!(same_server(
            "https://remit.example",
            "https://remit.example/"
        ));
        assert!(!same_server(
            "https://evil.example",
            "https://remit.example"
        ));
        assert!(!same_server(
            "http://remit.example",
            "https://remit.example"
        ));
    }
}
