//! Why a bus can't be used.

use std::fmt;

/// Why a node can't use the bus that the operator names.
#[derive(Debug)]
pub enum UnfitBus {
    /// The address is none of a Redis server.
    Address,
    /// The host is no name that a certificate can have.
    Host,
    /// The system has no authorities.
    NoAuthorities,
    /// A certificate of the operator's file can't be read.
    Authority,
    /// TLS can't be set up.
    Tls(rustls::Error),
}

impl std::error::Error for UnfitBus {}

impl fmt::Display for UnfitBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("the address of the bus does not fit"),
            Self::Host => f.write_str("the host of the bus can't be verified"),
            Self::NoAuthorities => {
                f.write_str("the system knows no authorities: name some in `bus_ca_file`")
            }
            Self::Authority => f.write_str("`bus_ca_file` has a certificate that can't be read"),
            Self::Tls(error) => write!(f, "{error}"),
        }
    }
}
