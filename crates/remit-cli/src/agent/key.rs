//! Keys of agents: made here, registered there; the private half never leaves this machine.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use remit_token::SigningKey;
use serde_json::{Value, json};

use crate::ask;
use crate::client::{Client, ITEMS_MAX};
use crate::exit::{Refused, Usage};
use crate::input;
use crate::output::Out;
use crate::table::{Column, Show, column};
use crate::value::text;

/// Commands on keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Register a public key of an agent
    Add {
        /// Name of the agent
        agent: String,
        /// Public key: PEM or JWK; `-` for standard input
        #[arg(required_unless_present_any = ["generate", "certificate", "authority"])]
        file: Option<PathBuf>,
        /// Make a new key pair, keep the private half in this new file (mode 0600), register the public one
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        generate: Option<PathBuf>,
        /// Certificate (PEM) that proves the agent in a TLS handshake: this very one
        #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "generate"])]
        certificate: Option<PathBuf>,
        /// Certificate (PEM) of an authority that signs certificates for the agent, under the one name that is given
        #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "generate", "certificate"], requires = "name")]
        authority: Option<PathBuf>,
        #[command(flatten)]
        name: Box<Named>,
        /// An attester (`remit workload-api`) holds it: what it says of a workload is believed. Never for a key that the workload can read
        #[arg(long)]
        attests: bool,
    },
    /// List keys
    #[command(alias = "list")]
    Ls {
        /// Name of the agent
        agent: String,
    },
    /// Remove a key: tokens that were got with it end
    Rm {
        /// Name of the agent
        agent: String,
        /// RFC 7638 thumbprint
        #[arg(allow_hyphen_values = true)]
        thumbprint: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// The one name by which an authority's certificates name the agent.
#[derive(Debug, Clone, Args)]
#[group(id = "name", multiple = false, requires = "authority")]
pub struct Named {
    /// Name: the whole subject, as RFC 4514 writes it
    #[arg(long, value_name = "DN")]
    subject_dn: Option<String>,
    /// Name: a DNS name
    #[arg(long, value_name = "NAME")]
    san_dns: Option<String>,
    /// Name: a URI
    #[arg(long, value_name = "URI")]
    san_uri: Option<String>,
    /// Name: an IP address
    #[arg(long, value_name = "IP")]
    san_ip: Option<String>,
    /// Name: a mail address
    #[arg(long, value_name = "EMAIL")]
    san_email: Option<String>,
}

impl Named {
    fn body(self, authority: &Path) -> anyhow::Result<Value> {
        let authority = input::file(authority, input::BYTES_MAX)?;
        let mut body = json!({ "authority": authority });
        let names = [
            ("tls_client_auth_subject_dn", self.subject_dn),
            ("tls_client_auth_san_dns", self.san_dns),
            ("tls_client_auth_san_uri", self.san_uri),
            ("tls_client_auth_san_ip", self.san_ip),
            ("tls_client_auth_san_email", self.san_email),
        ];
        if let Some(fields) = body.as_object_mut() {
            let given = names
                .into_iter()
                .filter_map(|(n, v)| Some((n.to_owned(), v?.into())));
            fields.extend(given);
        }
        Ok(body)
    }
}

/// Columns of keys.
pub(crate) const COLUMNS: [Column; 5] = [
    column("THUMBPRINT", Show::Text("thumbprint")),
    column("STATE", Show::State("state")),
    column("CERTIFICATE", Show::Text("certificate")),
    column("ATTESTER", Show::With(attester)),
    column("AGE", Show::When("created")),
];

fn attester(key: &Value) -> String {
    let attests = key.get("attests").and_then(Value::as_bool);
    if attests.unwrap_or(false) { "yes" } else { "" }.to_owned()
}

/// Runs one.
pub(crate) async fn run(client: &Client, out: Out, command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Add {
            agent,
            file,
            generate,
            certificate,
            authority,
            name,
            attests,
        } => {
            let mut body = match (&generate, &file, &certificate, &authority) {
                (Some(path), ..) => json!({ "jwk": generated(path)? }),
                (None, Some(path), ..) => public(&input::file_or_stdin(path)?)?,
                (None, None, Some(path), _) => {
                    json!({ "certificate": input::file(path, input::BYTES_MAX)? })
                }
                (None, None, None, Some(path)) => name.body(path)?,
                (None, None, None, None) => {
                    return Err(Usage("name the key's file".to_owned()).into());
                }
            };
            if let (true, Some(body)) = (attests, body.as_object_mut()) {
                body.insert("attests".to_owned(), true.into());
            }
            let added = match client.post(&["agents", &agent, "keys"], &body).await {
                Ok(added) => added,
                Err(error) => return Err(not_registered(error, generate.as_deref())),
            };
            out.done(
                &added,
                "thumbprint",
                &format!("{agent} has the key {}.", text(&added, "thumbprint")),
            )
        }
        KeyCommand::Ls { agent } => {
            let keys = client
                .list(&["agents", &agent, "keys"], &[], ITEMS_MAX)
                .await?;
            let empty = format!(
                "{agent} has no key, so it gets no credential. Make one: remit agent key add {agent} --generate {agent}.pem"
            );
            out.list(&keys, &COLUMNS, "thumbprint", &empty)
        }
        KeyCommand::Rm {
            agent,
            thumbprint,
            yes,
        } => {
            ask::confirm(
                &format!("The key {thumbprint} and every token got with it end now. Go on?"),
                yes,
            )?;
            let removed = client
                .delete(&["agents", &agent, "keys", &thumbprint])
                .await?;
            out.done(
                &removed,
                "thumbprint",
                &format!("{agent} has the key {thumbprint} no more."),
            )
        }
    }
}

/// The body for a public key. A private one is not sent anywhere.
pub(crate) fn public(given: &str) -> anyhow::Result<Value> {
    let secret =
        || Usage("this is a private key; register its public half, and keep this one".to_owned());
    if given.contains("PRIVATE KEY-----") {
        return Err(secret().into());
    }
    if !given.trim_start().starts_with('{') {
        return Ok(json!({ "pem": given }));
    }
    let jwk: Value = serde_json::from_str(given).context("the key is neither PEM nor JSON")?;
    if ["d", "p", "q", "k"]
        .iter()
        .any(|secret| jwk.get(secret).is_some())
    {
        return Err(secret().into());
    }
    Ok(json!({ "jwk": jwk }))
}

/// A new P-256 key pair: private half into the file, public half as JWK.
pub(crate) fn generated(path: &Path) -> anyhow::Result<Value> {
    let pair = EcdsaKeyPair::generate_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &aws_lc_rs::rand::SystemRandom::new(),
    );
    let pair = pair.map_err(|_| anyhow!("no key could be made"))?;
    let jwk = serde_json::to_value(SigningKey::from_pkcs8(pair.as_ref())?.public())?;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = file.with_context(|| {
        format!(
            "`{}` cannot be made; an existing key is not written over",
            path.display()
        )
    })?;
    file.write_all(pem(pair.as_ref()).as_bytes())?;
    file.sync_all()?;
    Ok(jwk)
}

/// A key that was made and surely not registered goes again: nothing of it is left to be mistaken for the agent's.
pub(crate) fn not_registered(error: anyhow::Error, made: Option<&Path>) -> anyhow::Error {
    let Some(path) = made else { return error };
    let surely = error.chain().any(|e| {
        e.is::<Refused>()
            || e.downcast_ref::<reqwest::Error>()
                .is_some_and(reqwest::Error::is_connect)
    });
    let path_shown = path.display();
    if !surely {
        return error.context(format!(
            "whether the key was registered is not known: `remit agent key ls` tells; `{path_shown}` is kept"
        ));
    }
    match std::fs::remove_file(path) {
        Ok(()) => error.context(format!(
            "the key was not registered, and `{path_shown}` is removed again"
        )),
        Err(_) => error.context(format!(
            "the key was not registered; remove `{path_shown}`, it is nobody's key"
        )),
    }
}

/// RFC 7468 §10.
pub(crate) fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for (at, c) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_made_key_is_private_and_can_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("triage.pem");
        let jwk = generated(&path).unwrap();
        assert!(jwk.get("d").is_none());
        let kept = SigningKey::from_pkcs8_pem(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(serde_json::to_value(kept.public()).unwrap(), jwk);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(generated(&path).is_err(), "an existing key must stay");
    }

    #[test]
    fn a_key_that_was_not_registered_does_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        generated(&path).unwrap();
        let refused = Refused {
            status: 404,
            code: "not-found".to_owned(),
            detail: "no agent `a` is here".to_owned(),
            errors: Vec::new(),
        };
        let error = not_registered(refused.into(), Some(&path));
        assert!(!path.exists());
        assert!(format!("{error:#}").contains("no agent `a`"), "{error:#}");
        assert_eq!(crate::exit::code_of(&error), 1);
        // An answer that never came may have been a yes: the only copy of the private half stays.
        generated(&path).unwrap();
        let error = not_registered(anyhow!("the answer broke off"), Some(&path));
        assert!(path.exists());
        assert!(format!("{error:#}").contains("is kept"), "{error:#}");
    }

    #[test]
    fn a_private_key_is_never_sent() {
        for secret in [
            "-----BEGIN PRIVATE KEY-----\nx",
            "-----BEGIN EC PRIVATE KEY-----",
            r#"{"kty":"EC","d":"x"}"#,
        ] {
            assert!(public(secret).is_err(), "{secret}");
        }
        assert_eq!(
            public("-----BEGIN PUBLIC KEY-----").unwrap()["pem"],
            "-----BEGIN PUBLIC KEY-----"
        );
        assert_eq!(public(r#"{"kty":"EC"}"#).unwrap()["jwk"]["kty"], "EC");
    }
}
