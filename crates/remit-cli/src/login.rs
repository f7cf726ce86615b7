//! Signing in and out, and who one is.
//!
//! A person makes their own token with a link that works once; nobody else ever holds it. It is kept in a file only its
//! owner can read.

mod kept;

use std::path::Path;

use anyhow::Context;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::client::{Client, ITEMS_MAX};
use crate::connection::{Connection, address};
use crate::contexts::{Contexts, Entry};
use crate::exit::{Done, OK, Refused, Usage};
use crate::print::note;
use crate::table::Page;
use crate::value::text;
use crate::{ask, edge, input};

pub(crate) use kept::{ContextCommand, TokenCommand};
pub(crate) use kept::{contexts, tokens};

/// How every enrolment code begins.
const CODE: &str = "rmt_enr_";

/// How to sign in.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  remit login 'https://remit.example/enrol#rmt_enr_…'    with the link you were given\n  remit login                                           asks for the link or code\n  remit login --token-stdin < token                     with a token you have"
)]
pub struct Login {
    /// Enrolment link, or the code in it; asked for, or read from standard input, when left out
    link: Option<String>,
    /// Enrolment code; it works once
    #[arg(long, conflicts_with = "link")]
    code: Option<String>,
    /// Read a token from standard input instead
    #[arg(long, conflicts_with_all = ["link", "code"])]
    token_stdin: bool,
    /// What to call this context
    #[arg(long, default_value = "default")]
    name: String,
    /// How long the new token is to live, in days
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=90))]
    days: Option<u16>,
    /// What to call the new token
    #[arg(long, default_value = "remit login")]
    label: String,
}

/// Where a link leads: address, organization, code.
#[derive(Debug)]
struct Link {
    server: Option<(Url, Option<String>)>,
    code: SecretString,
}

fn link(given: &str) -> anyhow::Result<Link> {
    let given = given.trim();
    let wrong = || {
        Usage("that is not an enrolment link or code; it holds `rmt_enr_`, and an administrator makes it with `remit person enrol EMAIL`".to_owned())
    };
    if given.starts_with(CODE) {
        return Ok(Link {
            server: None,
            code: given.into(),
        });
    }
    let mut url = Url::parse(given).map_err(|_| wrong())?;
    let code = url
        .fragment()
        .filter(|f| f.starts_with(CODE))
        .ok_or_else(wrong)?
        .to_owned();
    url.set_fragment(None);
    url.set_query(None);
    let path: Vec<String> = url
        .path_segments()
        .map(|s| s.map(str::to_owned).collect())
        .unwrap_or_default();
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let (base, org) = match parts.as_slice() {
        [base @ .., "t", org, "enrol"] => (base.join("/"), Some((*org).to_owned())),
        [base @ .., "enrol"] => (base.join("/"), None),
        _ => return Err(wrong().into()),
    };
    url.set_path(&base);
    Ok(Link {
        server: Some((address(url.as_str())?, org)),
        code: code.into(),
    })
}

/// Signs in.
pub(crate) async fn login(connection: &Connection, args: Login) -> Done {
    let (mut addr, mut org) = (connection.address()?, connection.organization()?);
    let token = if args.token_stdin {
        SecretString::from(input::stdin(65_536)?.trim().to_owned())
    } else {
        let given = match args.link.clone().or(args.code.clone()) {
            Some(given) => given,
            None => ask::line("Enrolment link or code: ")?,
        };
        let link = link(&given)?;
        if let Some((link_addr, link_org)) = link.server {
            (addr, org) = (link_addr, link_org);
        }
        redeem(&Client::new(&addr, org.as_deref())?, &link.code, &args).await?
    };
    let client =
        Client::new(&addr, org.as_deref())?.with_token(token.clone(), connection.plain_http)?;
    let who = client
        .get(&["whoami"])
        .await
        .context("the token was not accepted, so it is not kept")?;
    let dir = edge::config_dir()?;
    let before = Contexts::load(&dir)?;
    keep(
        &dir,
        &args.name,
        Entry {
            addr: addr.to_string(),
            org,
            who: text(&who, "name"),
            token: Some(token),
        },
    )?;
    let out = connection.out();
    out.done(
        &who,
        "name",
        &format!(
            "Signed in to {} as {}. Kept as context `{}` in {}.{}",
            client.address(),
            text(&who, "name"),
            args.name,
            dir.display(),
            switched(&before, &args.name)
        ),
    )?;
    Ok(OK)
}

async fn redeem(
    client: &Client,
    code: &SecretString,
    args: &Login,
) -> anyhow::Result<SecretString> {
    let mut body = json!({ "code": code.expose_secret(), "label": args.label });
    if let (Value::Object(fields), Some(days)) = (&mut body, args.days) {
        fields.insert("days".to_owned(), days.into());
    }
    let made = client
        .post(&["enrolments", "redeem"], &body)
        .await
        .map_err(not_taken)?;
    Some(text(&made, "token"))
        .filter(|t| !t.is_empty())
        .map(Into::into)
        .context("the server gave no token; is it a Remit of this version?")
}

/// Who signs in is not told to sign in: the code was not taken, and the server says why.
fn not_taken(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(refused) => anyhow::anyhow!(refused.detail),
        Err(error) => error,
    }
}

/// What signing in changed of the contexts that were there: which one is in use now, and how to go back.
fn switched(before: &Contexts, name: &str) -> String {
    let who = |name: &str| {
        before
            .contexts
            .get(name)
            .map(|e| format!("{} at {}", e.who, e.addr.trim_end_matches('/')))
    };
    match before.current.as_deref() {
        Some(current) if current != name => format!(
            "\nCommands use `{name}` now. Back to `{current}` ({}): remit context use {current}    All of them: remit context ls",
            who(current).unwrap_or_default()
        ),
        _ => match who(name) {
            Some(who) => format!("\nIt replaces what `{name}` was ({who}); --name keeps several."),
            None => String::new(),
        },
    }
}

fn keep(dir: &Path, name: &str, entry: Entry) -> anyhow::Result<()> {
    let mut contexts = Contexts::load(dir)?;
    contexts.contexts.insert(name.to_owned(), entry);
    contexts.current = Some(name.to_owned());
    contexts.save(dir)
}

/// How to sign out.
#[derive(Debug, Args)]
pub struct Logout {
    /// Keep the token good on the server
    #[arg(long)]
    local: bool,
}

/// Signs out: the token is revoked, and forgotten.
pub(crate) async fn logout(connection: &Connection, args: Logout) -> Done {
    let dir = edge::config_dir()?;
    let mut contexts = Contexts::load(&dir)?;
    let name = connection
        .context
        .clone()
        .or_else(|| contexts.current.clone());
    let name = name.ok_or_else(|| Usage("nobody is signed in".to_owned()))?;
    let entry = contexts
        .contexts
        .get_mut(&name)
        .ok_or_else(|| Usage(format!("there is no context `{name}`")))?;
    if let Some(token) = entry.token.take().filter(|_| !args.local) {
        let client =
            Client::new(&address(&entry.addr)?, entry.org.as_deref())?.with_token(token, true)?;
        if let Err(error) = revoke_current(&client).await {
            note(&format!(
                "The token could not be revoked on the server ({error:#}); it ends by itself."
            ));
        }
    }
    contexts.save(&dir)?;
    connection.out().done(
        &json!({ "context": name }),
        "context",
        &format!("Signed out of `{name}`."),
    )?;
    Ok(OK)
}

async fn revoke_current(client: &Client) -> anyhow::Result<()> {
    let tokens = client.list(&["me", "tokens"], &[], ITEMS_MAX).await?;
    let current = tokens
        .iter()
        .find(|t| t.get("current") == Some(&Value::Bool(true)))
        .context("the server does not know it")?;
    client
        .delete(&["me", "tokens", &text(current, "digest")])
        .await
        .map(|_| ())
}

/// `whoami` has no options of its own.
#[derive(Debug, Args)]
pub struct Whoami {}

/// Says who one is.
pub(crate) async fn whoami(connection: &Connection) -> Done {
    let (client, out) = (connection.client()?, connection.out());
    let who = client.get(&["whoami"]).await?;
    out.one(&who, "name", || {
        Page::new(
            out,
            &format!("{}  ({})", text(&who, "name"), text(&who, "type")),
        )
        .at("Roles", &who, "roles")
        .at("Organization", &who, "organization")
        .field("Server", client.address())
        .at("Id", &who, "id")
        .text()
    })?;
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_where_and_with_what() {
        let at = |given: &str| {
            link(given).map(|l| {
                (
                    l.server.map(|(u, o)| (u.to_string(), o)),
                    l.code.expose_secret().to_owned(),
                )
            })
        };
        assert_eq!(at("rmt_enr_x").unwrap(), (None, "rmt_enr_x".to_owned()));
        let (server, code) = at("https://remit.example/enrol#rmt_enr_x").unwrap();
        assert_eq!(
            (server, code.as_str()),
            (
                Some(("https://remit.example/".to_owned(), None)),
                "rmt_enr_x"
            )
        );
        let (server, _) = at("https://remit.example/base/t/acme/enrol#rmt_enr_x").unwrap();
        assert_eq!(
            server,
            Some((
                "https://remit.example/base".to_owned(),
                Some("acme".to_owned())
            ))
        );
        for wrong in [
            "",
            "x",
            "https://remit.example/enrol",
            "https://remit.example/#rmt_enr_x",
            "https://u:p@x/enrol#rmt_enr_x",
            "https://x/enrol#rmt_pat_x",
        ] {
            assert!(link(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_new_context_is_used_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let entry = |who: &str| Entry {
            addr: "https://x.example".to_owned(),
            org: None,
            who: who.to_owned(),
            token: Some("rmt_pat_x".into()),
        };
        keep(dir.path(), "a", entry("maria")).unwrap();
        keep(dir.path(), "b", entry("omar")).unwrap();
        let contexts = Contexts::load(dir.path()).unwrap();
        let said = switched(&contexts, "c");
        assert!(said.contains("remit context use b") && said.contains("omar at https://x.example"));
        assert!(switched(&contexts, "b").contains("replaces"));
        assert_eq!(switched(&Contexts::default(), "a"), "");
        assert_eq!(contexts.pick(None).unwrap().unwrap().who, "omar");
        assert_eq!(contexts.pick(Some("a")).unwrap().unwrap().who, "maria");
    }
}
