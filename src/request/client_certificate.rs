//! What the verified certificate of a client says of it.

/// A certificate that the client of a request has shown, and that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject (RFC 4514), such as `CN=Alice,O=Example`.
    pub subject: String,
    /// Its alternative names, such as `DNS:alice.example.com`, `email:alice@example.com` or `URI:spiffe://example.com/alice`.
    pub names: Vec<String>,
    /// SHA-256 of the whole, in hexadecimal digits.
    pub fingerprint: String,
}
