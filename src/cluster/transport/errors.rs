//! What went wrong between two nodes, in the words of an operator.

use std::io::{self, ErrorKind};

pub(super) const NO_TLS13: &str = "it does not speak TLS 1.3";
pub(super) const NO_PROTOCOL: &str =
    "it speaks another version of the protocol between nodes, or none (ALPN)";

/// What rustls says in the names of its types, and what it means here.
const MEANINGS: [(&str, &str); 12] = [
    (
        "received fatal alert: UnknownCA",
        "it does not know the authority of our certificate",
    ),
    (
        "received fatal alert: CertificateExpired",
        "our certificate has ended or not begun, by its clock",
    ),
    (
        "received fatal alert: AccessDenied",
        "our certificate bears no name that it lets in",
    ),
    (
        "received fatal alert: UnsupportedCertificate",
        "our certificate may not be used in this direction (extended key usage)",
    ),
    ("received fatal alert: ProtocolVersion", NO_TLS13),
    ("received fatal alert: NoApplicationProtocol", NO_PROTOCOL),
    ("received fatal alert", "it refuses us"),
    ("Tls12NotOffered", NO_TLS13),
    ("SupportedVersionsExtensionRequired", NO_TLS13),
    ("any known protocol", NO_PROTOCOL),
    ("InvalidContentType", "it does not speak TLS"),
    (
        "tls handshake eof",
        "it left in the middle of the handshake",
    ),
];

/// An error with what it means, where that is known.
pub(super) fn explained(error: &io::Error) -> io::Error {
    let text = error.to_string();
    let known = MEANINGS.iter().find(|(name, _)| text.contains(name));
    match known {
        Some((_, meaning)) => io::Error::new(error.kind(), format!("{meaning} ({text})")),
        None => io::Error::new(error.kind(), text),
    }
}

pub(super) fn closed() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the peer closed the connection")
}

pub(super) fn timed_out(what: &str) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, what)
}
