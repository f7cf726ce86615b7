//! What one start needs: the operator's command, the lent secrets that it allows, and a digest of both.

use aws_lc_rs::digest::{Context, SHA256};
use remit_domain::name::Name;
use remit_domain::upstream::{MayAsk, UpstreamName};
use remit_ports::upstreams::{UpstreamError, UpstreamRequest};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::allowlist::{AllowedCommand, Allowlist};
use crate::redact::Redactor;

/// A checked start.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) upstream: UpstreamName,
    pub(super) command: AllowedCommand,
    pub(super) secrets: Vec<(String, SecretString)>,
    pub(super) redactor: Arc<Redactor>,
    /// What it may ask for.
    pub(super) may_ask: BTreeSet<MayAsk>,
    /// Another command, another secret, or something else to ask for needs another process.
    pub(super) fingerprint: [u8; 32],
}

impl Launch {
    /// # Errors
    /// `Unreachable` when the command or a variable is not the operator's.
    pub(super) fn new(
        allowlist: &Allowlist,
        command: &Name,
        request: &UpstreamRequest,
        redactor: &Arc<Redactor>,
    ) -> Result<Self, UpstreamError> {
        let allowed = allowlist.get(command).ok_or_else(|| {
            UpstreamError::Unreachable(format!(
                "command `{command}` is not in the operator's allowlist, add it to the server's configuration"
            ))
        })?;
        for (name, value) in &request.lease.environment {
            if !allowed.secret_env.contains(name) {
                return Err(UpstreamError::Unreachable(format!(
                    "variable `{}` is not one that command `{command}` may get, add it to its `secret_env`",
                    crate::outgoing::reason(name)
                )));
            }
            if value.expose_secret().contains('\0') {
                return Err(UpstreamError::Unreachable(format!(
                    "the secret for variable `{name}` holds a NUL"
                )));
            }
        }
        Ok(Self {
            upstream: request.upstream.name.clone(),
            command: allowed.clone(),
            secrets: request.lease.environment.clone(),
            redactor: Arc::clone(redactor),
            may_ask: request.upstream.may_ask.clone(),
            fingerprint: fingerprint(
                command,
                &request.upstream.may_ask,
                &request.lease.environment,
            ),
        })
    }
}

fn fingerprint(
    command: &Name,
    may_ask: &BTreeSet<MayAsk>,
    secrets: &[(String, SecretString)],
) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(bytes);
    };
    part(command.as_str().as_bytes());
    let kinds: Vec<_> = may_ask.iter().map(|kind| kind.capability()).collect();
    part(kinds.join(" ").as_bytes());
    for (name, value) in secrets {
        part(name.as_bytes());
        part(value.expose_secret().as_bytes());
    }
    let mut out = [0u8; 32];
    out.iter_mut()
        .zip(context.finish().as_ref())
        .for_each(|(to, from)| *to = *from);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_secret_or_command_is_another_fingerprint() {
        let of = |command: &str, pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(n, v)| ((*n).to_owned(), SecretString::from(*v)))
                .collect();
            fingerprint(&command.parse().unwrap(), &BTreeSet::new(), &pairs)
        };
        assert_eq!(of("a", &[("K", "v")]), of("a", &[("K", "v")]));
        let all = [
            of("a", &[]),
            of("b", &[]),
            of("a", &[("K", "v")]),
            of("a", &[("K", "w")]),
            of("a", &[("Kv", "")]),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|other| other != one), "{i}");
        }
    }
}
