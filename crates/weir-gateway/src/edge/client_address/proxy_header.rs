//! Reads PROXY protocol headers, versions 1 and 2 (HAProxy's `doc/proxy-protocol.txt`).

use std::{io, net::SocketAddr};

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Start of a version 2 header.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Start of a version 1 header.
const PREFIX: &[u8] = b"PROXY ";

/// Maximum length of a version 1 header (section 2.1).
const MAX_LINE: usize = 107;

/// Length of a version 2 header without addresses and TLVs.
const FIXED_BYTES: usize = 16;

/// Maximum length of the addresses and TLVs of a version 2 header. Proxies should stay below 536
/// bytes (section 2.2), but TLVs with certificates may be longer.
const MAX_VARIABLE_BYTES: usize = 4096;

/// Version 2 with the command LOCAL: a connection of the proxy itself, such as a health check.
const LOCAL: u8 = 0x20;

/// Reads a header and not a byte beyond it. Returns the client's address, or `None` for the proxy's
/// own connection (`LOCAL`) or an unknown client (`UNKNOWN`).
///
/// # Errors
/// `InvalidData` if the header is missing or malformed, and any error of the stream.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        read_binary(stream, header).await
    } else if header.starts_with(PREFIX) {
        read_line(stream, header).await
    } else {
        Err(malformed())
    }
}

async fn read_binary(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    header.resize(FIXED_BYTES, 0);
    stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if length > MAX_VARIABLE_BYTES {
        return Err(malformed());
    }
    header.resize(FIXED_BYTES + length, 0);
    stream.read_exact(&mut header[FIXED_BYTES..]).await?;
    if header[12] == LOCAL {
        // Section 2.2: the addresses must be ignored.
        return Ok(None);
    }
    let header = v2::Header::try_from(header.as_slice()).map_err(|_| malformed())?;
    Ok(match header.addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    })
}

async fn read_line(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    while !header.ends_with(b"\r\n") {
        // The minimum that can be missing, so that no byte of the request is read.
        let missing = if header.ends_with(b"\r") { 1 } else { 2 };
        let read = header.len();
        if read + missing > MAX_LINE {
            return Err(malformed());
        }
        header.resize(read + missing, 0);
        stream.read_exact(&mut header[read..]).await?;
        // A line feed ends the header, and must follow a carriage return.
        if header[read..].contains(&b'\n') && !header.ends_with(b"\r\n") {
            return Err(malformed());
        }
    }
    let header = v1::Header::try_from(header.as_slice()).map_err(|_| malformed())?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "missing or malformed PROXY protocol header",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    /// Returns the parsed header and the unread rest.
    fn outcome(header: &[u8]) -> (io::Result<Option<String>>, Vec<u8>) {
        let bytes = [header, REQUEST].concat();
        let mut stream = bytes.as_slice();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let said = runtime.expect("a runtime").block_on(read(&mut stream));
        let said = said.map(|address| address.map(|address| address.to_string()));
        (said, stream.to_vec())
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("a length").to_be_bytes();
        [SIGNATURE, &[0x20 | command, family][..], &length, rest].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

    #[test]
    fn both_versions_carry_the_client_address() {
        let mut ipv6 = [0; 36];
        ipv6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        ipv6[15] = 1;
        ipv6[32..].copy_from_slice(&[0x12, 0x67, 0, 80]);
        // A TLV of an unknown type.
        let with_more = [&IPV4[..], &[0xe0, 0, 3, 1, 2, 3]].concat();
        for (header, expected) in [
            (
                b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
                Some("192.0.2.1:4711"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 fd00::1 4711 80\r\n".to_vec(),
                Some("[2001:db8::1]:4711"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (
                b"PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n".to_vec(),
                None,
            ),
            (binary(1, 0x11, &IPV4), Some("192.0.2.1:4711")),
            (binary(1, 0x11, &with_more), Some("192.0.2.1:4711")),
            (binary(1, 0x21, &ipv6), Some("[2001:db8::1]:4711")),
            (binary(1, 0x31, &[b'/'; 216]), None),
            (binary(1, 0, &[]), None),
            // Health checks, whose addresses are ignored.
            (binary(0, 0, &[]), None),
            (binary(0, 0x11, &IPV4), None),
            (binary(0, 0xff, &[7; 3]), None),
        ] {
            let (said, left) = outcome(&header);
            assert_eq!(said.expect("good").as_deref(), expected, "{header:?}");
            assert_eq!(left, REQUEST, "{header:?}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for header in [
            b"".to_vec(),
            b"PROXY\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n".to_vec(),
            b"PROXY TCP4 192.0.2.256 10.0.0.1 4711 80\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 10.0.0.1 4711 80\r\n".to_vec(),
            [&b"PROXY UNKNOWN "[..], &[b'x'; 200], b"\r\n"].concat(),
            // Shorter than its addresses.
            binary(1, 0x11, &IPV4[..8]),
            binary(1, 0x11, &[0; MAX_VARIABLE_BYTES + 1]),
            binary(2, 0x11, &IPV4),
            [SIGNATURE, &[0x11, 0x11, 0, 0][..]].concat(),
        ] {
            assert!(outcome(&header).0.is_err(), "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), kind in 0..3_u8) {
            let header = match kind {
                0 => bytes,
                1 => [PREFIX, &bytes].concat(),
                _ => [&SIGNATURE[..], &bytes].concat(),
            };
            let _ = outcome(&header);
        }
    }
}
