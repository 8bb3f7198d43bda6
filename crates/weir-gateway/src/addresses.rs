//! The address of a client, behind however many proxies it is.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, header::FORWARDED};
use ipnet::IpNet;

use crate::config::{ProxyProtocol, Server};

/// The header that most proxies write.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word on their clients is believed. Clones are of the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Proxies {
    trusted: Arc<[IpNet]>,
    protocol: ProxyProtocol,
}

impl Proxies {
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            trusted: server.trusted_proxies.as_slice().into(),
            protocol: server.proxy_protocol,
        }
    }

    /// Whether this address is a trusted proxy's.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|range| range.contains(&address))
    }

    /// Whether a connection from this address must begin with a header of the PROXY protocol.
    pub(crate) fn announces(&self, address: IpAddr) -> bool {
        self.protocol == ProxyProtocol::Required && self.trusts(address)
    }

    /// The client whose request came from `peer` with these headers.
    ///
    /// A trusted proxy names the one from which it has the request, to the right of what it was told
    /// itself. So the names are followed from the right for as long as they are trusted proxies'; the
    /// first that is none is the client. Where that ends early, because a name is no address, the
    /// last proxy counts as the client.
    ///
    /// A proxy writes `Forwarded` or `X-Forwarded-For` and may pass on what a client wrote into the
    /// other. Where both are there and do not agree, neither is believed.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let forwarded = headers.contains_key(FORWARDED).then(|| {
            let names = names(headers, &FORWARDED, |line| {
                let elements = elements(line, ',')?;
                Some(elements.into_iter().map(forwarded_for).collect())
            });
            self.follow(peer, names)
        });
        let x_forwarded_for = headers.contains_key(&X_FORWARDED_FOR).then(|| {
            let names = names(headers, &X_FORWARDED_FOR, |line| {
                Some(line.split(',').map(address).collect())
            });
            self.follow(peer, names)
        });
        match (forwarded, x_forwarded_for) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => peer,
        }
    }

    /// The first of these names, the nearest first, that is no trusted proxy's.
    fn follow(&self, peer: IpAddr, names: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut nearest = peer;
        for name in names {
            let Some(address) = name else { break };
            nearest = address;
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }
}

/// What the lines of a header name, which are one list (RFC 9110, section 5.3), from its end. A line
/// that cannot be read is a name that is no address.
fn names<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
    read: impl Fn(&'a str) -> Option<Vec<Option<IpAddr>>> + 'a,
) -> impl Iterator<Item = Option<IpAddr>> + 'a {
    let lines = headers.get_all(header).iter().rev();
    lines.flat_map(move |line| {
        let names = line.to_str().ok().and_then(&read);
        names.unwrap_or_else(|| vec![None]).into_iter().rev()
    })
}

/// The parts of a list between separators that are not within a quoted string (RFC 9110, section
/// 5.6.4). None where such a string has no end: it could hide what a proxy has written behind it.
fn elements(list: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in list.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if character == separator && !quoted => {
                parts.push(&list[start..at]);
                start = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    (!quoted).then_some(parts)
}

/// The address of an element of `Forwarded` (RFC 7239, section 4), unless it is hidden.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut nodes = elements(element, ';')?.into_iter().filter_map(|pair| {
        let (parameter, value) = pair.split_once('=')?;
        let is_for = parameter.trim().eq_ignore_ascii_case("for");
        is_for.then(|| value.trim())
    });
    let node = nodes.next()?;
    // Each parameter once (section 4); who says it twice says nothing.
    if nodes.next().is_some() {
        return None;
    }
    match node.strip_prefix('"') {
        Some(quoted) => address(&quoted.strip_suffix('"')?.replace('\\', "")),
        None => address(node),
    }
}

/// An address as proxies write it: bare or, if it is IPv6, in brackets, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    if let Some((bracketed, after)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let port = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        let address = bracketed.parse::<Ipv6Addr>().ok().filter(|_| port)?;
        return Some(IpAddr::V6(address).to_canonical());
    }
    // RFC 7239, section 6.3: a port may be hidden, too.
    let (address, port) = text.split_once(':')?;
    let address = address.parse::<IpAddr>().ok()?;
    is_port(port).then_some(address)
}

/// A port, or a name that hides it (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
        || text.strip_prefix('_').is_some_and(|rest| {
            let named = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !rest.is_empty() && rest.chars().all(named)
        })
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
        }
    }

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a value");
            map.append(*name, value);
        }
        let peer = peer.parse().expect("an address");
        proxies().client(peer, &map).to_string()
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxys_is_the_client() {
        for (list, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            (" 192.0.2.1 , 10.1.1.1 ,10.2.2.2", "192.0.2.1"),
            // What the client has written itself stands to the left of what the proxy has.
            ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
            ("10.9.9.9, 192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 10.9.9.9, 192.0.2.1, 10.1.1.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, ::ffff:10.1.1.1", "192.0.2.1"),
            ("192.0.2.1, fd12::1", "192.0.2.1"),
            // A client within: the farthest that is known.
            ("10.3.3.3", "10.3.3.3"),
            ("10.3.3.3, 10.1.1.1", "10.3.3.3"),
            // No addresses.
            ("", "127.0.0.1"),
            ("unknown", "127.0.0.1"),
            ("6.6.6.6, unknown", "127.0.0.1"),
            ("6.6.6.6, garbage, 10.1.1.1", "10.1.1.1"),
            ("6.6.6.6,", "127.0.0.1"),
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
    fn forwarded_is_read_as_the_rfc_says() {
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
            // A comma in a quoted string separates nothing.
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
    fn lines_of_one_header_are_one_list() {
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
    fn a_stranger_is_not_believed() {
        for peer in ["192.0.2.7", "127.0.0.2", "::ffff:192.0.2.7"] {
            let headers = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")];
            let own = peer.trim_start_matches("::ffff:");
            assert_eq!(client(peer, &headers), own);
        }
        let mapped = client("::ffff:127.0.0.1", &[("x-forwarded-for", "192.0.2.1")]);
        assert_eq!(mapped, "192.0.2.1", "an IPv4 proxy at an IPv6 listener");
    }

    #[test]
    fn headers_that_do_not_agree_are_not_believed() {
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
    fn a_string_without_an_end_hides_nothing() {
        let forged = "for=6.6.6.6;x=\", for=192.0.2.1";
        assert_eq!(client("127.0.0.1", &[("forwarded", forged)]), "127.0.0.1");
        let lines = [
            ("forwarded", "for=6.6.6.6;x=\""),
            ("forwarded", "for=\"[2001:db8::1]\""),
        ];
        assert_eq!(client("127.0.0.1", &lines), "2001:db8::1");
    }

    proptest! {
        #[test]
        fn nothing_that_a_client_writes_changes_its_address(
            written in "([ -~]|for=|6\\.6\\.6\\.6|[\";,\\\\]){0,20}",
            forwarded in any::<bool>(),
            joined in any::<bool>(),
        ) {
            let (header, own) = if forwarded {
                ("forwarded", "for=192.0.2.1")
            } else {
                ("x-forwarded-for", "192.0.2.1")
            };
            // A proxy adds a line, or to the line that it has got.
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
