//! Headers of the PROXY protocol: what is read is one header and not a byte behind it, and the client is the one that it names.
//!
//! An input is the first bytes of a connection.

use std::net::{IpAddr, SocketAddr};

use doorward::server::read_proxy_header;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header that is read.
const HEADER_BYTES_MAX: usize = 16 + (4 << 10);

/// Neither what stands behind a header nor how its bytes arrive changes what is read.
pub fn proxy_header(bytes: &[u8]) {
    let (outcome, left) = read_proxy_header(bytes, bytes.len());
    assert_ne!(outcome, Err("waits"));
    let header = &bytes[..bytes.len() - left];
    assert!(header.len() <= HEADER_BYTES_MAX, "{} bytes", header.len());
    for first in [0, 1, 12, 13, 16, header.len().saturating_sub(1)] {
        assert_eq!(
            read_proxy_header(bytes, first),
            (outcome, left),
            "{first} bytes first"
        );
    }
    let Ok(client) = outcome else {
        return;
    };
    assert_eq!(read_proxy_header(header, header.len()), (outcome, 0));
    let other_rest = [header, b"\r\n\0anything"].concat();
    assert_eq!(read_proxy_header(&other_rest, header.len()), (outcome, 11));
    let cut = &header[..header.len() - 1];
    assert_eq!(read_proxy_header(cut, cut.len()).0, Err("truncated"));
    assert_eq!(client, client_of(header), "{}", header.escape_ascii());
}

/// The client of a header that is whole, by the words of the specification (sections 2.1 and 2.2).
fn client_of(header: &[u8]) -> Option<SocketAddr> {
    if let Some(rest) = header.strip_prefix(SIGNATURE) {
        return client_of_version_2(rest);
    }
    if header.starts_with(b"PROXY UNKNOWN") {
        return None; // whatever stands behind it
    }
    let line = std::str::from_utf8(header).unwrap();
    let words: Vec<&str> = line.strip_suffix("\r\n").unwrap().split(' ').collect();
    match words[..] {
        ["PROXY", "TCP4" | "TCP6", source, _, port, _] => {
            let source: IpAddr = source.parse().unwrap();
            assert_eq!(source.is_ipv4(), words[1] == "TCP4");
            Some(SocketAddr::new(source, port.parse().unwrap()))
        }
        _ => panic!("{line} is no header"),
    }
}

fn client_of_version_2(rest: &[u8]) -> Option<SocketAddr> {
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    match (rest[0], rest[1]) {
        (0x21, 0x11) => {
            let source: [u8; 4] = rest[4..8].try_into().unwrap();
            Some(SocketAddr::new(source.into(), port(12)))
        }
        (0x21, 0x21) => {
            let source: [u8; 16] = rest[4..20].try_into().unwrap();
            Some(SocketAddr::new(source.into(), port(36)))
        }
        (0x20 | 0x21, _) => None,
        _ => panic!("{} is no header", rest.escape_ascii()),
    }
}
