//! Trusted proxies, and the addresses of clients behind them.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use http::HeaderMap;
use ipnet::IpNet;
use parking_lot::Mutex;

use super::forwarded::{FORWARDED, X_FORWARDED_FOR, forwarded, x_forwarded_for};
use crate::{
    config::{ProxyProtocol, ServerConfig},
    edge::accept::connection::Source,
};

/// Capacity of the table of headers that proxies write.
const TABLE_CAPACITY: usize = 4_096;

/// Set of trusted proxies, which report their clients' addresses. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Proxies {
    trusted: Arc<[IpNet]>,
    protocol: ProxyProtocol,
    /// Guards the header that each proxy writes, learned from requests that have only one of the
    /// two.
    written: Arc<Mutex<HashMap<IpAddr, Written>>>,
}

/// Header that a proxy writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Forwarded,
    XForwardedFor,
    /// Both were seen alone: the proxy was replaced, or it writes neither.
    Ambiguous,
}

impl Proxies {
    pub(crate) fn new(server: &ServerConfig) -> Self {
        Self {
            trusted: server.trusted_proxies.as_slice().into(),
            protocol: server.proxy_protocol,
            written: Arc::default(),
        }
    }

    /// Whether `address` belongs to a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|range| range.contains(&address))
    }

    /// Whether a connection from `address` must start with a PROXY protocol header.
    pub(crate) fn requires_header(&self, address: IpAddr) -> bool {
        self.protocol == ProxyProtocol::Required && self.trusts(address)
    }

    /// Returns the address of the client that sent a request with these headers.
    pub(crate) fn client_address(&self, source: Source, headers: &HeaderMap) -> IpAddr {
        match source {
            Source::Client(client) => client.to_canonical(),
            Source::Proxy(proxy) => self.reported_client(proxy, headers),
        }
    }

    /// Returns the address of the client that sent a request with these headers through `peer`.
    ///
    /// Each proxy appends the address that it received the request from. The list is walked from
    /// the right, skipping trusted proxies; the first other address is the client's. An element
    /// that is not an address ends the walk, and the last proxy counts as the client.
    ///
    /// A proxy writes `Forwarded` or `X-Forwarded-For`, and may forward the client's copy of the
    /// other one. If both are present and disagree, the one counts that the proxy is known to write.
    /// While that is unknown, neither is trusted and `peer` is returned.
    fn reported_client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let by_forwarded = headers
            .contains_key(FORWARDED)
            .then(|| self.walk(peer, forwarded(headers)));
        let by_x_forwarded_for = headers
            .contains_key(&X_FORWARDED_FOR)
            .then(|| self.walk(peer, x_forwarded_for(headers)));
        match (by_forwarded, by_x_forwarded_for) {
            (Some(one), Some(other)) if one != other => match self.written(peer) {
                Some(Written::Forwarded) => one,
                Some(Written::XForwardedFor) => other,
                Some(Written::Ambiguous) | None => peer,
            },
            (Some(client), Some(_)) => client,
            (Some(client), None) => {
                self.learn(peer, Written::Forwarded);
                client
            }
            (None, Some(client)) => {
                self.learn(peer, Written::XForwardedFor);
                client
            }
            (None, None) => peer,
        }
    }

    /// Records that a request of `proxy` had only this header. A client cannot cause that: a proxy
    /// writes its own header into every request.
    fn learn(&self, proxy: IpAddr, header: Written) {
        let mut written = self.written.lock();
        let is_full = written.len() >= TABLE_CAPACITY;
        match written.get_mut(&proxy) {
            Some(known) if *known != header => *known = Written::Ambiguous,
            Some(_) => {}
            None if is_full => {}
            None => drop(written.insert(proxy, header)),
        }
    }

    /// Returns the header that `proxy` writes, if that is known.
    fn written(&self, proxy: IpAddr) -> Option<Written> {
        self.written.lock().get(&proxy).copied()
    }

    /// Returns the first address that is not a trusted proxy's; `hops` are the nearest first.
    fn walk(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut nearest = peer;
        for hop in hops {
            let Some(address) = hop else { break };
            nearest = address;
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn proxies() -> Proxies {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"];
        let trusted = trusted.map(|range| range.parse().expect("a range"));
        Proxies {
            trusted: trusted.into(),
            protocol: ProxyProtocol::Off,
            written: Arc::default(),
        }
    }

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        client_through(&proxies(), peer, headers)
    }

    fn client_through(proxies: &Proxies, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a value");
            map.append(*name, value);
        }
        let peer = peer.parse().expect("an address");
        proxies
            .client_address(Source::Proxy(peer), &map)
            .to_string()
    }

    #[test]
    fn rightmost_untrusted_address_is_the_client() {
        for (list, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            (" 192.0.2.1 , 10.1.1.1 ,10.2.2.2", "192.0.2.1"),
            // The client's own entries precede the one that the proxy appended.
            ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
            ("10.9.9.9, 192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 10.9.9.9, 192.0.2.1, 10.1.1.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, ::ffff:10.1.1.1", "192.0.2.1"),
            ("192.0.2.1, fd12::1", "192.0.2.1"),
            // Empty elements.
            ("192.0.2.1,", "192.0.2.1"),
            (",192.0.2.1, ,10.1.1.1,,", "192.0.2.1"),
            // A client inside the trusted ranges: the farthest known hop.
            ("10.3.3.3", "10.3.3.3"),
            ("10.3.3.3, 10.1.1.1", "10.3.3.3"),
            // Not addresses.
            ("", "127.0.0.1"),
            ("unknown", "127.0.0.1"),
            ("6.6.6.6, unknown", "127.0.0.1"),
            ("6.6.6.6, garbage, 10.1.1.1", "10.1.1.1"),
            ("192.0.2.1:port", "127.0.0.1"),
            ("192.0.2.256", "127.0.0.1"),
            ("[192.0.2.1]", "127.0.0.1"),
            ("[2001:db8::1", "127.0.0.1"),
            ("[2001:db8::1]x", "127.0.0.1"),
        ] {
            let found = client("127.0.0.1", &[("x-forwarded-for", list)]);
            assert_eq!(found, expected, "{list:?}");
        }
    }

    #[test]
    fn forwarded_is_parsed_as_in_rfc_7239() {
        for (list, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            (
                "For=\"192.0.2.1:4711\";proto=https;by=10.0.0.1",
                "192.0.2.1",
            ),
            ("proto=https; for=192.0.2.1", "192.0.2.1"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]\", for=10.1.1.1", "2001:db8::1"),
            ("for=\"192.0.2.1:_hidden\"", "192.0.2.1"),
            ("for=6.6.6.6, for=192.0.2.1", "192.0.2.1"),
            // A comma within a quoted string is not a separator.
            ("for=192.0.2.1;host=\"a,for=6.6.6.6\"", "192.0.2.1"),
            ("for=192.0.2.1;host=\"a\\\",for=6.6.6.6\"", "192.0.2.1"),
            ("for=_hidden", "127.0.0.1"),
            ("for=unknown", "127.0.0.1"),
            ("for=6.6.6.6, for=unknown, for=10.1.1.1", "10.1.1.1"),
            ("for=", "127.0.0.1"),
            ("proto=https", "127.0.0.1"),
            ("for=6.6.6.6;for=192.0.2.1", "127.0.0.1"),
            ("for=\"192.0.2.1", "127.0.0.1"),
            ("192.0.2.1", "127.0.0.1"),
        ] {
            let found = client("127.0.0.1", &[("forwarded", list)]);
            assert_eq!(found, expected, "{list:?}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "10.1.1.1, 10.2.2.2"),
        ];
        assert_eq!(client("127.0.0.1", &lines), "192.0.2.1");
        let lines = [("forwarded", "for=6.6.6.6"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(client("127.0.0.1", &lines), "192.0.2.1");
    }

    #[test]
    fn headers_of_untrusted_peers_are_ignored() {
        for peer in ["192.0.2.7", "127.0.0.2", "::ffff:192.0.2.7"] {
            let headers = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")];
            let own = peer.trim_start_matches("::ffff:");
            assert_eq!(client(peer, &headers), own);
        }
        let mapped = client("::ffff:127.0.0.1", &[("x-forwarded-for", "192.0.2.1")]);
        assert_eq!(mapped, "192.0.2.1", "an IPv4 proxy at an IPv6 listener");
    }

    #[test]
    fn disagreeing_headers_are_ignored() {
        let forged = [
            ("forwarded", "for=6.6.6.6"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        assert_eq!(client("127.0.0.1", &forged), "127.0.0.1");
        let same = [
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-for", "6.6.6.6, 192.0.2.1"),
        ];
        assert_eq!(client("127.0.0.1", &same), "192.0.2.1");
    }

    #[test]
    fn unterminated_quoted_string_hides_nothing() {
        let forged = "for=6.6.6.6;x=\", for=192.0.2.1";
        assert_eq!(client("127.0.0.1", &[("forwarded", forged)]), "127.0.0.1");
        let lines = [
            ("forwarded", "for=6.6.6.6;x=\""),
            ("forwarded", "for=\"[2001:db8::1]\""),
        ];
        assert_eq!(client("127.0.0.1", &lines), "2001:db8::1");
    }

    #[test]
    fn header_that_the_proxy_writes_wins_once_it_is_known() {
        let forged = [
            ("forwarded", "for=6.6.6.6"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        for (honest, expected) in [
            (("x-forwarded-for", "192.0.2.9"), "192.0.2.1"),
            (("forwarded", "for=192.0.2.9"), "6.6.6.6"),
        ] {
            let proxies = proxies();
            let through = |peer, headers: &[_]| client_through(&proxies, peer, headers);
            assert_eq!(through("127.0.0.1", &forged), "127.0.0.1");
            assert_eq!(through("127.0.0.1", &[honest]), "192.0.2.9");
            assert_eq!(through("127.0.0.1", &forged), expected);
            // Of another proxy nothing is known.
            assert_eq!(through("10.0.0.1", &forged), "10.0.0.1");
            // Requests without either say nothing.
            through("127.0.0.1", &[]);
            assert_eq!(through("127.0.0.1", &forged), expected);
            // Once both were seen alone, neither is trusted against the other.
            through("127.0.0.1", &[("forwarded", "for=192.0.2.9")]);
            through("127.0.0.1", &[("x-forwarded-for", "192.0.2.9")]);
            assert_eq!(through("127.0.0.1", &forged), "127.0.0.1");
        }
    }

    proptest! {
        #[test]
        fn clients_cannot_forge_their_address(
            written in "([ -~]|for=|6\\.6\\.6\\.6|[\";,\\\\]){0,20}",
            forwarded in any::<bool>(),
            joined in any::<bool>(),
        ) {
            let (header, own) = if forwarded {
                ("forwarded", "for=192.0.2.1")
            } else {
                ("x-forwarded-for", "192.0.2.1")
            };
            // Proxies add a header line, or extend the one that they received.
            let line = format!("{written}, {own}");
            let lines = [(header, written.as_str()), (header, own)];
            let found = if joined {
                client("127.0.0.1", &[(header, &line)])
            } else {
                client("127.0.0.1", &lines)
            };
            let unreadable = joined && forwarded && written.contains('"');
            prop_assert!(found == "192.0.2.1" || unreadable && found == "127.0.0.1", "{}", found);
        }
    }
}
