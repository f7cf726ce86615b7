//! By which names the server may be called, and from which pages.
//!
//! Source: RFC 9110 §7.2, RFC 9112 §3.2, RFC 6454 §7; MCP 2026-07-28 basic/transports/streamable-http "Security".

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use remit_domain::RefusalCode;

use crate::problem::Problem;

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The names of this server.
#[derive(Debug)]
pub(crate) struct Names {
    /// Scheme of `public_url`.
    scheme: String,
    /// Hosts with their port; no port means any.
    hosts: Vec<(String, Option<u16>)>,
    /// Port of `public_url`.
    port: u16,
    loopback: bool,
}

impl Names {
    /// - `public_url`: an address that was checked before.
    /// - `more`: `host` or `host:port`.
    pub(crate) fn new(public_url: &str, more: &[String], loopback: bool) -> Self {
        let (scheme, rest) = public_url
            .split_once("://")
            .unwrap_or(("https", public_url));
        let default = if scheme == "http" { 80 } else { 443 };
        let public: Option<Authority> = rest.split('/').next().and_then(|a| a.parse().ok());
        let port = public
            .as_ref()
            .and_then(Authority::port_u16)
            .unwrap_or(default);
        let mut hosts: Vec<_> = public
            .iter()
            .map(|a| (a.host().to_ascii_lowercase(), Some(port)))
            .collect();
        for name in more {
            if let Ok(authority) = name.parse::<Authority>() {
                hosts.push((authority.host().to_ascii_lowercase(), authority.port_u16()));
            }
        }
        Self {
            scheme: scheme.to_owned(),
            hosts,
            port,
            loopback,
        }
    }

    /// Checks Host (or `:authority`) and Origin of a request.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        self.check_host(uri, headers)?;
        self.check_origin(headers)
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let in_header = hosts.next().map(|value| {
            value
                .to_str()
                .ok()
                .and_then(|text| text.parse::<Authority>().ok())
        });
        let named = match (uri.authority(), in_header) {
            (Some(target), None) => Some(target.clone()),
            // Two names for one request: whoever is in front may have believed the other one.
            (Some(target), Some(Some(host))) if *target == host => Some(host),
            (None, Some(Some(host))) => Some(host),
            _ => None,
        };
        let Some(named) = named.filter(|_| hosts.next().is_none()) else {
            return Err(Problem::invalid("the request must name exactly one host"));
        };
        if self.is_ours(&named) {
            return Ok(());
        }
        let text = "this server is not called by that host; use the address in its `public_url`";
        Err(Problem::new(RefusalCode::Forbidden, text).with_status(StatusCode::MISDIRECTED_REQUEST))
    }

    fn is_ours(&self, named: &Authority) -> bool {
        let host = named.host().to_ascii_lowercase();
        if named.as_str().contains('@') {
            return false;
        }
        if self.loopback && LOOPBACK.contains(&host.as_str()) {
            return true;
        }
        let default = if self.scheme == "http" { 80 } else { 443 };
        let port = named.port_u16().unwrap_or(default);
        self.hosts
            .iter()
            .any(|(ours, at)| *ours == host && at.is_none_or(|at| at == port))
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        for value in headers.get_all(header::ORIGIN) {
            if !value.to_str().is_ok_and(|origin| self.is_our_page(origin)) {
                return Err(Problem::new(
                    RefusalCode::Forbidden,
                    "requests from pages of other origins are not accepted",
                ));
            }
        }
        Ok(())
    }

    /// Only pages of this very server: its scheme, and its port also on loopback, where every port is another program.
    fn is_our_page(&self, origin: &str) -> bool {
        let Some((scheme, rest)) = origin.split_once("://") else {
            return false;
        };
        let Ok(authority) = rest.parse::<Authority>() else {
            return false;
        };
        let default = if scheme == "http" { 80 } else { 443 };
        scheme == self.scheme
            && authority.port_u16().unwrap_or(default) == self.port
            && self.is_ours(&authority)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn names(public_url: &str, loopback: bool) -> Names {
        Names::new(
            public_url,
            &["probe.internal".to_owned(), "10.0.0.7:9000".to_owned()],
            loopback,
        )
    }

    fn status(names: &Names, uri: &str, pairs: &[(header::HeaderName, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        names
            .check(&uri.parse().unwrap(), &headers)
            .err()
            .map_or(200, |p| p.status)
    }

    #[test]
    fn only_our_names_are_answered() {
        let ours = names("https://remit.example", false);
        for (host, expected) in [
            ("remit.example", 200),
            ("REMIT.example:443", 200),
            ("probe.internal:1234", 200),
            ("10.0.0.7:9000", 200),
            ("10.0.0.7:9001", 421),
            ("remit.example:8443", 421),
            ("remit.example.evil.test", 421),
            ("evil.test", 421),
            ("localhost", 421),
            ("127.0.0.1:7600", 421),
            ("user@remit.example", 421),
            ("remit.example.", 421),
            ("", 400),
            ("a b", 400),
        ] {
            assert_eq!(
                status(&ours, "/mcp", &[(header::HOST, host)]),
                expected,
                "{host}"
            );
        }
        assert_eq!(status(&ours, "/mcp", &[]), 400);
    }

    #[test]
    fn two_hosts_are_none() {
        let ours = names("https://remit.example", false);
        let twice = [(header::HOST, "remit.example"), (header::HOST, "evil.test")];
        assert_eq!(status(&ours, "/mcp", &twice), 400);
        let host = [(header::HOST, "remit.example")];
        assert_eq!(status(&ours, "https://remit.example/mcp", &host), 200);
        assert_eq!(status(&ours, "https://evil.test/mcp", &host), 400);
        assert_eq!(status(&ours, "https://remit.example/mcp", &[]), 200);
        assert_eq!(status(&ours, "https://evil.test/mcp", &[]), 421);
    }

    #[test]
    fn loopback_names_count_only_on_loopback_and_a_rebound_name_never() {
        let dev = names("http://127.0.0.1:7600", true);
        for host in ["127.0.0.1:7600", "localhost:7600", "[::1]:7600"] {
            assert_eq!(status(&dev, "/mcp", &[(header::HOST, host)]), 200, "{host}");
        }
        for host in [
            "evil.test:7600",
            "127.0.0.1.evil.test:7600",
            "localhost.evil.test",
        ] {
            assert_eq!(status(&dev, "/mcp", &[(header::HOST, host)]), 421, "{host}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let dev = names("http://127.0.0.1:7600", true);
        let host = (header::HOST, "127.0.0.1:7600");
        for (origin, expected) in [
            ("http://127.0.0.1:7600", 200),
            ("http://localhost:7600", 200),
            ("http://localhost:5173", 403),
            ("https://127.0.0.1:7600", 403),
            ("http://evil.test:7600", 403),
            ("http://127.0.0.1:7600.evil.test", 403),
            ("null", 403),
            ("", 403),
        ] {
            assert_eq!(
                status(&dev, "/mcp", &[host.clone(), (header::ORIGIN, origin)]),
                expected,
                "{origin}"
            );
        }
        let both = [
            host,
            (header::ORIGIN, "http://127.0.0.1:7600"),
            (header::ORIGIN, "http://evil.test"),
        ];
        assert_eq!(status(&dev, "/mcp", &both), 403);
    }
}
