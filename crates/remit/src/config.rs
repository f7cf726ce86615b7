//! The server's configuration: file, then environment, then flags; each setting knows where it comes from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use remit_domain::name::Name;
use remit_outbound::AllowedCommand;
use serde::{Deserialize, Serialize};

/// Flags of the server; each has a setting of the same name in the file and `REMIT_<NAME>` in the environment.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub(crate) struct Flags {
    /// Configuration file (TOML)
    #[arg(long, env = "REMIT_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Directory of the embedded database, keys and checkpoints
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// PostgreSQL instead of the embedded database
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    /// Address to listen on
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// URL by which everybody reaches this server; issuer, audiences and links come only from it
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    /// Name of the organization served at the root [default: the first one made]; others are at /t/NAME
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    default_org: Option<String>,
    /// TLS certificate chain (PEM); read again when it changes
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<PathBuf>,
    /// TLS private key (PEM)
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,
    /// Let clients show a certificate in the TLS handshake, to prove themselves with it (RFC 8705)
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificates: bool,
    /// Address to serve the SPIFFE bundle at by the profile https_spiffe, with TLS by an X.509-SVID of the trust domain [default: not served so]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_bundle_listen: Option<SocketAddr>,
    /// A proxy in front ends TLS: permits plain HTTP off loopback
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    behind_tls_proxy: bool,
    /// File of the master key that seals every other key (32 bytes); made when missing
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    master_key: Option<PathBuf>,
    /// Directory outside the data directory where signed checkpoints are written too
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoints: Option<PathBuf>,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// One line of text an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// The settings in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    #[serde(default)]
    pub(crate) database_url: Option<String>,
    pub(crate) listen: SocketAddr,
    #[serde(default)]
    pub(crate) public_url: Option<String>,
    #[serde(default)]
    pub(crate) default_org: Option<String>,
    #[serde(default)]
    pub(crate) tls_cert: Option<PathBuf>,
    #[serde(default)]
    pub(crate) tls_key: Option<PathBuf>,
    #[serde(default)]
    pub(crate) tls_client_certificates: bool,
    #[serde(default)]
    pub(crate) spiffe_bundle_listen: Option<SocketAddr>,
    pub(crate) behind_tls_proxy: bool,
    #[serde(default)]
    pub(crate) master_key: Option<PathBuf>,
    #[serde(default)]
    pub(crate) checkpoints: Option<PathBuf>,
    /// More hosts by which the server may be called, such as the address of a health probe.
    pub(crate) hosts: Vec<String>,
    pub(crate) publish_ledger: bool,
    pub(crate) log_format: LogFormat,
    /// Commands that stdio upstreams may run. Only the operator's configuration has these.
    pub(crate) commands: BTreeMap<Name, AllowedCommand>,
    /// Directories that secrets may be read from.
    pub(crate) secret_dirs: Vec<PathBuf>,
    /// Whether HTTP upstreams may be on this machine.
    pub(crate) loopback_upstreams: bool,
    /// Authorities (PEM) that are trusted for outgoing TLS, besides those of this machine.
    #[serde(default)]
    pub(crate) outgoing_ca: Option<PathBuf>,
    /// Whether OpenID providers may be in private networks.
    pub(crate) idp_private: bool,
    /// How long a call that waits for a person is held before it is answered with `PENDING`, in milliseconds, at most 3,000.
    pub(crate) approval_hold_ms: u64,
    /// Set by `remit dev` alone: marks the ledger's origin.
    #[serde(skip)]
    pub(crate) dev: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: PathBuf::from("remit-data"),
            database_url: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 7600)),
            public_url: None,
            default_org: None,
            tls_cert: None,
            tls_key: None,
            tls_client_certificates: false,
            spiffe_bundle_listen: None,
            behind_tls_proxy: false,
            master_key: None,
            checkpoints: None,
            hosts: Vec::new(),
            publish_ledger: false,
            log_format: LogFormat::Text,
            commands: BTreeMap::new(),
            secret_dirs: Vec::new(),
            loopback_upstreams: true,
            outgoing_ca: None,
            idp_private: false,
            approval_hold_ms: 0,
            dev: false,
        }
    }
}

/// Settings that the environment may hold, as `REMIT_<NAME>`. Other variables of that prefix belong to the commands, to
/// secrets of upstreams, or to whoever runs the tests.
const IN_ENVIRONMENT: [&str; 20] = [
    "data",
    "database_url",
    "listen",
    "public_url",
    "default_org",
    "tls_cert",
    "tls_key",
    "tls_client_certificates",
    "spiffe_bundle_listen",
    "behind_tls_proxy",
    "master_key",
    "checkpoints",
    "hosts",
    "publish_ledger",
    "log_format",
    "secret_dirs",
    "approval_hold_ms",
    "idp_private",
    "outgoing_ca",
    "loopback_upstreams",
];

fn figment(flags: &Flags) -> anyhow::Result<Figment> {
    let mut figment = Figment::from(Serialized::defaults(Settings::default()));
    if let Some(file) = &flags.config {
        if !file.is_file() {
            bail!(
                "configuration file `{}` is not there; leave --config away to use none",
                file.display()
            );
        }
        figment = figment.merge(Toml::file_exact(file));
    }
    let env = Env::prefixed("REMIT_").only(&IN_ENVIRONMENT);
    Ok(figment.merge(env).merge(Serialized::from(flags, "default")))
}

impl Flags {
    /// The flags as they were given, for a command that goes with this one. What a URL of a database may hold is not
    /// written out: it is named by its variable.
    pub(crate) fn given(&self) -> String {
        let path = |p: &Option<PathBuf>| p.as_ref().map(|p| p.display().to_string());
        let texts = [
            ("--config", path(&self.config)),
            ("--data", path(&self.data)),
            ("--listen", self.listen.map(|l| l.to_string())),
            ("--public-url", self.public_url.clone()),
            ("--default-org", self.default_org.clone()),
            ("--tls-cert", path(&self.tls_cert)),
            ("--tls-key", path(&self.tls_key)),
            (
                "--spiffe-bundle-listen",
                self.spiffe_bundle_listen.map(|l| l.to_string()),
            ),
            ("--master-key", path(&self.master_key)),
            ("--checkpoints", path(&self.checkpoints)),
        ];
        let mut out = String::new();
        for (flag, value) in texts {
            if let Some(value) = value {
                out.push_str(&format!(" {flag} {}", quoted(&value)));
            }
        }
        if self.database_url.is_some() {
            out.push_str(" --database-url \"$REMIT_DATABASE_URL\"");
        }
        if self.tls_client_certificates {
            out.push_str(" --tls-client-certificates");
        }
        if self.behind_tls_proxy {
            out.push_str(" --behind-tls-proxy");
        }
        out
    }
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

impl Settings {
    /// The settings in force, checked.
    pub(crate) fn load(flags: &Flags) -> anyhow::Result<Self> {
        let settings: Self = figment(flags)?
            .extract()
            .context("the configuration cannot be used")?;
        settings.check()?;
        Ok(settings)
    }

    /// Refuses what is not safe to serve.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            bail!("tls_cert and tls_key belong together; set both or none");
        }
        if self.tls_client_certificates && self.tls_cert.is_none() {
            bail!(
                "tls_client_certificates needs TLS of our own: set tls_cert and tls_key; what a proxy says of certificates is not believed"
            );
        }
        if self.tls_client_certificates && self.behind_tls_proxy {
            bail!(
                "tls_client_certificates and behind_tls_proxy do not go together: a certificate that the proxy shows would prove everybody behind it"
            );
        }
        let longest = remit_gateway::HOLD_MAX.as_millis();
        if u128::from(self.approval_hold_ms) > longest {
            bail!(
                "approval_hold_ms is {}, and at most {longest} are good: clients give a call up soon after",
                self.approval_hold_ms
            );
        }
        let plain = self.tls_cert.is_none();
        if plain && !self.listen.ip().is_loopback() && !self.behind_tls_proxy {
            bail!(
                "plain HTTP on {} would show tokens to the network; set tls_cert and tls_key, or behind_tls_proxy when a proxy ends TLS",
                self.listen
            );
        }
        if !self.listen.ip().is_loopback() && self.public_url.is_none() {
            bail!(
                "set public_url to the address by which everybody reaches this server; it is never taken from a request"
            );
        }
        Ok(())
    }

    /// Whether the server speaks at the address it is reached at, so that commands on this machine find it by themselves.
    pub(crate) fn is_at_default(&self, url: &str) -> bool {
        url == format!("http://{}", Self::default().listen)
    }

    /// The URL by which everybody reaches this server, given the address it came to listen on.
    pub(crate) fn url(&self, listening: SocketAddr) -> String {
        let scheme = if self.tls_cert.is_some() {
            "https"
        } else {
            "http"
        };
        self.public_url
            .clone()
            .unwrap_or_else(|| format!("{scheme}://{listening}"))
            .trim_end_matches('/')
            .to_owned()
    }
}

/// The settings as text, one a line, secrets left out.
pub(crate) fn shown(flags: &Flags, origin: bool) -> anyhow::Result<String> {
    let figment = figment(flags)?;
    let settings: Settings = figment
        .extract()
        .context("the configuration cannot be used")?;
    let serde_json::Value::Object(values) = serde_json::to_value(&settings)? else {
        bail!("settings are not a table")
    };
    let mut lines = Vec::new();
    for (name, value) in values {
        let value = if name == "database_url" && !value.is_null() {
            "(set; not shown)".to_owned()
        } else {
            value.to_string()
        };
        let from = figment.find_metadata(&name).map_or_else(
            || "default".to_owned(),
            |m| match &m.source {
                Some(source) => format!("{} ({source})", m.name),
                None if m.name.contains("environment") => format!("REMIT_{}", name.to_uppercase()),
                None => m.name.to_string(),
            },
        );
        let from = if from.contains("Settings") {
            "default".to_owned()
        } else {
            from
        };
        lines.push(if origin {
            format!("{name} = {value}   # {from}")
        } else {
            format!("{name} = {value}")
        });
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut Settings)) -> anyhow::Result<()> {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check()
    }

    #[test]
    fn plain_http_off_loopback_is_refused() {
        let off = SocketAddr::from(([0, 0, 0, 0], 7600));
        assert!(settings(|s| s.listen = off).is_err());
        assert!(
            settings(|s| {
                s.listen = off;
                s.behind_tls_proxy = true;
            })
            .is_err()
        );
        assert!(
            settings(|s| {
                s.listen = off;
                s.behind_tls_proxy = true;
                s.public_url = Some("https://remit.acme.example".to_owned());
            })
            .is_ok()
        );
    }

    #[test]
    fn a_proxy_lends_its_certificate_to_nobody() {
        let own = |s: &mut Settings| {
            s.tls_cert = Some("cert.pem".into());
            s.tls_key = Some("key.pem".into());
            s.tls_client_certificates = true;
        };
        assert!(settings(own).is_ok());
        assert!(
            settings(|s| {
                own(s);
                s.behind_tls_proxy = true;
            })
            .is_err()
        );
    }

    #[test]
    fn the_flags_given_can_be_pasted() {
        let flags = Flags {
            config: Some("my remit.toml".into()),
            data: Some("/var/lib/remit".into()),
            database_url: Some("postgres://u:secret@h/d".to_owned()),
            ..Flags::default()
        };
        assert_eq!(
            flags.given(),
            " --config 'my remit.toml' --data /var/lib/remit --database-url \"$REMIT_DATABASE_URL\""
        );
        assert_eq!(Flags::default().given(), "");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }

    #[test]
    fn a_certificate_needs_its_key() {
        assert!(settings(|s| s.tls_cert = Some("cert.pem".into())).is_err());
    }
}
