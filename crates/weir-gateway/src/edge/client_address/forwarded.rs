//! Request headers that list the proxies of a request: `Forwarded` (RFC 7239) and
//! `X-Forwarded-For`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

pub(super) use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

/// De facto standard header, written by most proxies.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Iterates over the addresses in `Forwarded`, the nearest first; `None` for an element without
/// one.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    hops(headers, FORWARDED, |line| {
        let elements = elements(line, ',')?.into_iter();
        Some(elements.filter(is_filled).map(forwarded_for).collect())
    })
}

/// Iterates over the addresses in `X-Forwarded-For`, the nearest first; `None` for an element
/// without one.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    hops(headers, X_FORWARDED_FOR, |line| {
        Some(line.split(',').filter(is_filled).map(address).collect())
    })
}

/// Iterates over the elements of a list header from its end. Several lines are one list (RFC 9110,
/// section 5.3). A line that cannot be parsed yields one element without an address.
fn hops<'a>(
    headers: &'a HeaderMap,
    header: HeaderName,
    read: impl Fn(&'a str) -> Option<Vec<Option<IpAddr>>> + 'a,
) -> impl Iterator<Item = Option<IpAddr>> + 'a {
    let lines = headers.get_all(header).iter().rev();
    lines.flat_map(move |line| {
        let elements = line.to_str().ok().and_then(&read);
        elements.unwrap_or_else(|| vec![None]).into_iter().rev()
    })
}

/// Splits a list at separators outside of quoted strings (RFC 9110, section 5.6.4). Returns `None` if
/// a quoted string is not terminated: it could hide what a proxy has appended.
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

/// Whether an element is not empty: recipients ignore empty elements (RFC 9110, section 5.6.1.2).
fn is_filled(element: &&str) -> bool {
    !element.trim().is_empty()
}

/// Parses the `for` parameter of an element of `Forwarded` (RFC 7239, section 4). Returns `None`
/// for obfuscated identifiers and `unknown`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut nodes = elements(element, ';')?.into_iter().filter_map(|pair| {
        let (parameter, value) = pair.split_once('=')?;
        let is_for = parameter.trim().eq_ignore_ascii_case("for");
        is_for.then(|| value.trim())
    });
    let node = nodes.next()?;
    // Section 4: each parameter occurs at most once.
    if nodes.next().is_some() {
        return None;
    }
    match node.strip_prefix('"') {
        Some(quoted) => address(&quoted.strip_suffix('"')?.replace('\\', "")),
        None => address(node),
    }
}

/// Parses an address with an optional port; IPv6 addresses may be in brackets.
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
    // RFC 7239, section 6.3: the port may be obfuscated.
    let (address, port) = text.split_once(':')?;
    let address = address.parse::<IpAddr>().ok()?;
    is_port(port).then_some(address)
}

/// Whether `text` is a port or an obfuscated port (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
        || text.strip_prefix('_').is_some_and(|rest| {
            let named = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !rest.is_empty() && rest.chars().all(named)
        })
}
