//! The header of the PROXY protocol, versions 1 and 2: a proxy says with it, before the first byte of a connection, for
//! which client it opened the connection.

use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The first bytes of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The first bytes of version 1.
const GREETING: &[u8] = b"PROXY ";
/// The part of version 2 that ends with the length of the rest.
const FIXED_BYTES: usize = 16;
/// The longest header of version 1, with its line end.
const LINE_BYTES_MAX: usize = 107;
/// The longest rest of version 2 that is read. Addresses take 216 bytes at most; fields after them can hold a certificate.
const REST_BYTES_MAX: usize = 4 << 10;

/// Why a connection has no header that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnfitProxyHeader {
    /// The peer may send none.
    Peer,
    /// The first bytes are not those of one.
    Missing,
    /// It says nothing that can be understood.
    Malformed,
    /// It is longer than is read.
    TooLong,
    /// The connection ended within it.
    Truncated,
    /// It did not arrive in time.
    Late,
}

impl UnfitProxyHeader {
    /// Its name in the log and in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Truncated => "truncated",
            Self::Late => "late",
        }
    }
}

/// Reads a header, and not one byte behind it. `None`: the proxy speaks for itself, or does not know the client.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
) -> Result<Option<SocketAddr>, UnfitProxyHeader> {
    let mut header = Vec::with_capacity(LINE_BYTES_MAX);
    loop {
        let missing = missing_bytes(&header)?;
        if missing == 0 {
            return client_in(&header);
        }
        let begun = header.len();
        header.resize(begun + missing, 0);
        let arrived = stream.read_exact(&mut header[begun..]).await;
        arrived.map_err(|_| UnfitProxyHeader::Truncated)?;
    }
}

/// How many more bytes surely belong to a header that begins like this.
fn missing_bytes(header: &[u8]) -> Result<usize, UnfitProxyHeader> {
    if header.len() < SIGNATURE.len() {
        return Ok(SIGNATURE.len() - header.len()); // the shortest header of either version is longer
    }
    if header.starts_with(SIGNATURE) {
        return missing_of_version_2(header);
    }
    if !header.starts_with(GREETING) {
        return Err(UnfitProxyHeader::Missing);
    }
    let line_end = header.iter().position(|byte| *byte == b'\n');
    match line_end {
        Some(at) if at + 1 < header.len() || header[at - 1] != b'\r' => {
            Err(UnfitProxyHeader::Malformed)
        }
        Some(_) => Ok(0),
        None if header.len() >= LINE_BYTES_MAX => Err(UnfitProxyHeader::TooLong),
        None if header.ends_with(b"\r") || header.len() + 1 == LINE_BYTES_MAX => Ok(1),
        None => Ok(2),
    }
}

fn missing_of_version_2(header: &[u8]) -> Result<usize, UnfitProxyHeader> {
    let Some([high, low]) = header.get(FIXED_BYTES - 2..FIXED_BYTES) else {
        return Ok(FIXED_BYTES - header.len());
    };
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    if rest > REST_BYTES_MAX {
        return Err(UnfitProxyHeader::TooLong);
    }
    Ok((FIXED_BYTES + rest).saturating_sub(header.len()))
}

/// The client that a whole header names.
fn client_in(header: &[u8]) -> Result<Option<SocketAddr>, UnfitProxyHeader> {
    /// The command LOCAL of version 2, whose addresses are to be ignored.
    const LOCAL: u8 = 0x20;
    if header.starts_with(SIGNATURE) && header.get(SIGNATURE.len()) == Some(&LOCAL) {
        return Ok(None);
    }
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    let (parsed, length) =
        ProxyHeader::parse(header, config).map_err(|_| UnfitProxyHeader::Malformed)?;
    if length != header.len() {
        return Err(UnfitProxyHeader::Malformed);
    }
    match parsed.proxied_address() {
        Some(addresses) if addresses.protocol == Protocol::Stream => Ok(Some(addresses.source)),
        Some(_) => Err(UnfitProxyHeader::Malformed), // of datagrams
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Outcome = Result<Option<SocketAddr>, UnfitProxyHeader>;

    /// What is read of these bytes, and how many are left.
    fn read_in(bytes: &[u8]) -> (Outcome, usize) {
        let mut rest = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let outcome = runtime.block_on(read(&mut rest));
        (outcome, rest.len())
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    const V4: &[u8] = &[192, 0, 2, 1, 10, 0, 0, 1, 0x9c, 0x40, 0, 80];
    const HTTP: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    fn is_read(header: &[u8], client: Option<&str>) {
        let client = client.map(|client| client.parse().unwrap());
        let whole = [header, HTTP].concat();
        assert_eq!(read_in(&whole), (Ok(client), HTTP.len()), "{header:?}");
        for end in 0..header.len() {
            let cut = read_in(&header[..end]).0;
            assert_eq!(cut, Err(UnfitProxyHeader::Truncated), "{end} of {header:?}");
        }
    }

    #[test]
    fn the_client_is_read_and_no_byte_behind_the_header() {
        let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..]; 2].concat();
        let v6 = [&v6[..], &[0, 1, 0, 2]].concat();
        let fields = [V4, &[4, 0, 5, 0, 0, 0, 0, 0]].concat();
        for (header, client) in [
            (
                &b"PROXY TCP4 192.0.2.1 10.0.0.1 40000 80\r\n"[..],
                Some("192.0.2.1:40000"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n",
                Some("[2001:db8::7]:1"),
            ),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
            (&version_2(0x21, 0x11, V4), Some("192.0.2.1:40000")),
            (&version_2(0x21, 0x11, &fields), Some("192.0.2.1:40000")),
            (&version_2(0x21, 0x21, &v6), Some("[2001:db8::7]:1")),
            (&version_2(0x21, 0x00, b""), None),
            (&version_2(0x21, 0x31, &[0; 216]), None),
            (&version_2(0x20, 0x00, b""), None),
            (&version_2(0x20, 0x11, V4), None),
            (&version_2(0x20, 0xff, b"whatever"), None),
            (
                &version_2(0x21, 0x11, &[V4, &[0; 4000]].concat()),
                Some("192.0.2.1:40000"),
            ),
        ] {
            is_read(header, client);
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE_BYTES_MAX - 16));
        is_read(longest.as_bytes(), None);
    }

    #[test]
    fn what_is_no_header_is_told_apart() {
        use UnfitProxyHeader::{Malformed, Missing, TooLong};
        for (bytes, why) in [
            (HTTP, Missing),
            (
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00",
                Missing,
            ),
            (b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", Missing),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", Malformed),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", Malformed),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", Malformed),
            (b"PROXY TCP4 ::1 ::2 1 2\r\n", Malformed),
            (b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n", Malformed),
            (b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", Malformed),
            (b"PROXY UNKNOWN \r x\r\n", Malformed),
            (&[b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(), TooLong),
            (&version_2(0x11, 0x11, V4), Malformed),
            (&version_2(0x22, 0x11, V4), Malformed),
            (&version_2(0x21, 0x12, V4), Malformed),
            (&version_2(0x21, 0x41, V4), Malformed),
            (&version_2(0x21, 0x11, &V4[1..]), Malformed),
            (&version_2(0x21, 0x31, &[0; 215]), Malformed),
            (&version_2(0x21, 0x11, &[0; REST_BYTES_MAX + 1]), TooLong),
        ] {
            let sent = [bytes, HTTP].concat();
            assert_eq!(read_in(&sent).0, Err(why), "{}", bytes.escape_ascii());
        }
    }

    /// Bytes that begin like a header, or like anything.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let begins = prop_oneof![
            Just(Vec::new()),
            Just(GREETING.to_vec()),
            Just(b"PROXY TCP4 ".to_vec()),
            Just(b"PROXY UNKNOWN".to_vec()),
            Just(SIGNATURE.to_vec()),
            Just([SIGNATURE, &[0x21, 0x11, 0]].concat()),
            Just([SIGNATURE, &[0x21, 0x21, 0]].concat()),
            Just([SIGNATURE, &[0x21, 0x31, 0]].concat()),
        ];
        let rest = prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(&b" \r\n1.:x"[..])],
            0..400,
        );
        (begins, rest).prop_map(|(begin, rest)| [begin, rest].concat())
    }

    proptest! {
        /// What was read is a header by itself, and what is left is what stood behind it.
        #[test]
        fn no_bytes_panic_or_take_more_than_the_header(bytes in any_bytes()) {
            let (outcome, left) = read_in(&bytes);
            let header = &bytes[..bytes.len() - left];
            prop_assert!(header.len() <= FIXED_BYTES + REST_BYTES_MAX);
            if outcome.is_ok() {
                prop_assert_eq!(read_in(header), (outcome, 0));
                let other_rest = [header, b"\r\n\0anything"].concat();
                prop_assert_eq!(read_in(&other_rest), (outcome, 11));
            }
        }

        #[test]
        fn every_address_comes_back(
            (source, destination) in prop_oneof![
                (any::<([u8; 4], u16)>(), any::<([u8; 4], u16)>())
                    .prop_map(|(one, other)| (SocketAddr::from(one), SocketAddr::from(other))),
                (any::<([u8; 16], u16)>(), any::<([u8; 16], u16)>())
                    .prop_map(|(one, other)| (SocketAddr::from(one), SocketAddr::from(other))),
            ]
        ) {
            let header = ProxyHeader::with_address(
                proxy_header::ProxiedAddress::stream(source, destination),
            );
            let mut bytes = [0; 300];
            let length = header.encode_to_slice_v1(&mut bytes).unwrap();
            prop_assert_eq!(read_in(&bytes[..length]), (Ok(Some(source)), 0));
            let length = header.encode_to_slice_v2(&mut bytes).unwrap();
            prop_assert_eq!(read_in(&bytes[..length]), (Ok(Some(source)), 0));
        }
    }
}
