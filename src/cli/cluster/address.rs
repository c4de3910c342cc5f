//! The address of this machine, and the command by which another machine joins it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use crate::cli::exit::CommandError;
use crate::clock;
use crate::cluster::{Authority, GOSSIP_PORT, Invitation};
use crate::revocation::NodeName;

/// The address of this machine: the one from which it would connect to others.
pub(super) fn own_place() -> Result<SocketAddr, CommandError> {
    let address = own_address().ok_or_else(|| {
        CommandError::failed("can't find out the address of this machine\n  help: give the address that other nodes connect to: --listen ADDRESS:PORT")
    })?;
    Ok(SocketAddr::new(address, GOSSIP_PORT))
}

/// Asks the routes, and sends nothing. The addresses asked for are those of documentation (RFC 5737, RFC 3849).
fn own_address() -> Option<IpAddr> {
    let towards = |from: &str, to: &str| {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        let address = socket.local_addr().ok()?.ip();
        Some(address).filter(|address| !address.is_loopback() && !address.is_unspecified())
    };
    towards("0.0.0.0", "192.0.2.1").or_else(|| towards("::", "2001:db8::1"))
}

/// The command by which another machine joins.
pub(super) fn join_line(
    listen: SocketAddr,
    data_dir: &Path,
    authority: &Authority,
    replace: Option<&NodeName>,
) -> Result<String, CommandError> {
    let invitation = Invitation::make(data_dir, authority, replace, clock::now());
    let invitation = invitation.map_err(|error| {
        let help = "run this as root or as the user of the service";
        CommandError::failed(format!(
            "can't store the invitation in {}: {error}\n  help: {help}",
            data_dir.display()
        ))
    })?;
    let is_place = !listen.ip().is_unspecified() && listen.port() != 0;
    let address = if is_place {
        Some(listen.ip())
    } else {
        own_address()
    };
    let address = match (address, listen.port()) {
        (Some(address), 1..) => SocketAddr::new(address, listen.port()).to_string(),
        (Some(_) | None, _) => "ADDRESS:PORT".to_owned(),
    };
    let node = replace.map_or_else(String::new, |node| format!(" --node {node}"));
    Ok(format!(
        "doorward cluster join {address}{node} --invite {}",
        invitation.text()
    ))
}
