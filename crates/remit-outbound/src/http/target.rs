//! Where a request may go. URLs are written by administrators of organizations, so they must not lead to places that
//! only this machine can reach: its cloud's metadata service, its links, and (if the operator says so) its loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use remit_ports::upstreams::UpstreamError;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use crate::limits::URL_BYTES_MAX;
use crate::outgoing::reason;

/// A checked URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) uri: Uri,
}

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TargetError {
    #[error("its URL `{0}` is not one that can be called")]
    Form(String),
    #[error(
        "its URL holds a user name or password, give the credential as a secret of the upstream"
    )]
    Credentials,
    #[error("its URL has the scheme `{0}`, use https")]
    Scheme(String),
    #[error("plain http is only for loopback addresses such as http://127.0.0.1:8080, use https")]
    Plain,
    #[error("its address {address} is refused: {why}")]
    Address { address: IpAddr, why: &'static str },
}

impl Target {
    /// Reads a URL.
    ///
    /// - `loopback`: whether this machine's loopback addresses are allowed.
    ///
    /// # Errors
    /// [`TargetError`]. Names are checked later, when they are resolved.
    pub(super) fn read(text: &str, loopback: bool) -> Result<Self, TargetError> {
        let form = || TargetError::Form(reason(text));
        if text.len() > URL_BYTES_MAX {
            return Err(form());
        }
        let url = Url::parse(text).map_err(|_| form())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            other => return Err(TargetError::Scheme(reason(other))),
        };
        let literal = match url.host().ok_or_else(form)? {
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
            Host::Domain(_) => None,
        };
        if let Some(address) = literal
            && let Some(why) = refused(address, loopback)
        {
            return Err(TargetError::Address { address, why });
        }
        if plain && !literal.is_some_and(|ip| ip.to_canonical().is_loopback()) {
            return Err(TargetError::Plain);
        }
        if url.fragment().is_some() {
            return Err(form());
        }
        // The text of the checked reading, so that no second parser sees another host.
        let uri = Uri::try_from(url.as_str()).map_err(|_| form())?;
        Ok(Self { uri })
    }

    /// The same place, with parameters that are lent.
    ///
    /// # Errors
    /// `Unreachable` when they do not fit.
    pub(super) fn with(self, lent: &[(String, SecretString)]) -> Result<Self, UpstreamError> {
        if lent.is_empty() {
            return Ok(self);
        }
        let unfit = || {
            let text = "the secret does not fit into its URL, use a header";
            UpstreamError::Unreachable(text.to_owned())
        };
        let mut url = Url::parse(&self.uri.to_string()).map_err(|_| unfit())?;
        for (name, value) in lent {
            // What the URL says under that name would be another credential.
            let others: Vec<(String, String)> = url
                .query_pairs()
                .filter(|(other, _)| other != name)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            let mut pairs = url.query_pairs_mut();
            pairs.clear().extend_pairs(others);
            pairs.append_pair(name, value.expose_secret());
        }
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(unfit());
        }
        let uri = Uri::try_from(url.as_str()).map_err(|_| unfit())?;
        Ok(Self { uri })
    }

    /// Whether it names an address of a private network outright.
    pub(super) fn is_private(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse().is_ok_and(is_private)
    }
}

/// Whether an address is of a private network (RFC 1918, RFC 4193, RFC 6598).
pub(super) fn is_private(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    match address {
        IpAddr::V4(v4) => {
            let shared = matches!(v4.octets(), [100, 64..=127, ..]);
            v4.is_private() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// Why an address may not be connected to; `None` when it may.
pub(super) fn refused(address: IpAddr, loopback: bool) -> Option<&'static str> {
    const METADATA: &str = "it is a cloud metadata service";
    const METADATA_V4: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    const METADATA_V6: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
        Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
    ];
    let address = match address {
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    let special = match address {
        IpAddr::V4(v4) if METADATA_V4.contains(&v4) => Some(METADATA),
        IpAddr::V4(v4) if v4.is_link_local() => {
            Some("it is link-local, where metadata services are")
        }
        IpAddr::V4(v4) if v4.octets().first() == Some(&0) => Some("it means this machine"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("it is a broadcast address"),
        IpAddr::V6(v6) if METADATA_V6.contains(&v6) => Some(METADATA),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("it is link-local"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("it means this machine"),
        _ => None,
    };
    match special {
        None if address.is_multicast() => Some("it is a multicast address"),
        None if address.is_loopback() && !loopback => {
            Some("the operator does not allow loopback addresses")
        }
        other => other,
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped and compatible (RFC 4291 section 2.5.5), NAT64
/// (RFC 6052 section 2.1), 6to4 (RFC 3056 section 2).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = || {
        let [.., a, b, c, d] = v6.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last()),
        [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_urls_are_read() {
        for url in [
            "https://mcp.example.com/mcp",
            "https://10.1.2.3:8443/mcp?x=1",
            "https://[2001:db8::1]/mcp",
            "http://127.0.0.1:8080/mcp",
            "http://[::1]:8080/mcp",
        ] {
            assert_eq!(Target::read(url, true).unwrap().uri.to_string(), url);
        }
        assert!(Target::read("http://127.0.0.1:8080/mcp", false).is_err());
        assert!(Target::read("https://[::1]/", false).is_err());
    }

    #[test]
    fn dangerous_urls_are_refused() {
        for url in [
            "http://mcp.example.com/mcp",
            "http://localhost:8080/",
            "http://10.0.0.1/",
            "https://user@example.com/",
            "https://user:pass@example.com/",
            "https://:pass@example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "unix:/run/x",
            "//example.com/",
            "https://",
            "https://example.com/#frag",
            "https://169.254.169.254/latest/meta-data",
            "https://169.254.169.254./",
            "https://2852039166/",
            "https://0xa9.0xfe.0xa9.0xfe/",
            "https://0251.0376.0251.0376/",
            "https://[::ffff:169.254.169.254]/",
            "https://[::169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://0.0.0.0/",
            "http://0.0.0.0:8080/",
            "https://[::]/",
            "https://100.100.100.200/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
        ] {
            assert!(Target::read(url, true).is_err(), "{url}");
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
        assert!(Target::read(&long, true).is_err());
    }
}
