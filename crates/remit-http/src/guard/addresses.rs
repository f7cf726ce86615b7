//! From which address a request comes, for limits only.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};

/// How to tell the client's address.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// Whether the peer is a proxy of ours.
    pub(crate) behind_proxy: bool,
}

impl Addresses {
    /// The address that limits count for. Behind our proxy it is the one that the proxy itself saw, the last of
    /// `X-Forwarded-For`: those before it are the client's own words.
    pub(crate) fn of(&self, request: &Request) -> IpAddr {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        let forwarded = || {
            let last = request
                .headers()
                .get_all("x-forwarded-for")
                .iter()
                .next_back()?;
            last.to_str()
                .ok()?
                .rsplit(',')
                .next()?
                .trim()
                .parse::<IpAddr>()
                .ok()
        };
        let found = if self.behind_proxy {
            forwarded().or(peer)
        } else {
            peer
        };
        network(found.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)))
    }
}

/// One subscriber has a whole /64 of IPv6, so that is what is counted.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn seen(behind_proxy: bool, forwarded: &str) -> String {
        let mut request = Request::builder()
            .header("x-forwarded-for", forwarded)
            .body(Body::empty())
            .unwrap();
        let peer: SocketAddr = "192.0.2.1:4000".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        Addresses { behind_proxy }.of(&request).to_string()
    }

    #[test]
    fn a_client_cannot_choose_its_address() {
        assert_eq!(seen(false, "203.0.113.9"), "192.0.2.1");
        assert_eq!(seen(true, "203.0.113.9, 198.51.100.4"), "198.51.100.4");
        assert_eq!(seen(true, "not an address"), "192.0.2.1");
    }

    #[test]
    fn one_ipv6_network_counts_as_one() {
        assert_eq!(seen(true, "2001:db8::1"), seen(true, "2001:db8::ffff:1"));
        assert_ne!(seen(true, "2001:db8::1"), seen(true, "2001:db8:0:1::1"));
        assert_eq!(seen(true, "::ffff:192.0.2.9"), "192.0.2.9");
    }
}
