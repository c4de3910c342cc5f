//! Headers of the PROXY protocol without a socket, for fuzz/.

use std::net::SocketAddr;

use futures_util::FutureExt;
use tokio::io::AsyncReadExt;

use super::header;

/// What is read of bytes of which so many arrive first, and how many are left: the client, or why there is no header. `None`: no
/// client is named.
pub fn read_proxy_header(
    bytes: &[u8],
    first: usize,
) -> (Result<Option<SocketAddr>, &'static str>, usize) {
    let (mut first, mut second) = bytes.split_at(first.min(bytes.len()));
    let mut stream = (&mut first).chain(&mut second);
    let outcome = header::read(&mut stream).now_or_never();
    let outcome = match outcome {
        Some(Ok(client)) => Ok(client),
        Some(Err(unfit)) => Err(unfit.name()),
        None => Err("waits"), // bytes in memory are always there
    };
    (outcome, first.len() + second.len())
}
