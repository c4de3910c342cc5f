//! Everything that is listened on, bound before anything is started.

use std::os::unix::net::UnixListener;

use log::info;

use super::inherited::Inherited;
use super::listen::{Bound, Listen};
use crate::server::operator::control_socket;
use crate::server::start::{Settings, StartError};

/// The sockets of a process.
pub(crate) struct Sockets {
    pub(crate) public: Vec<Bound>,
    pub(crate) operator: Vec<Bound>,
    pub(crate) control: UnixListener,
}

impl Sockets {
    /// Takes what is handed over, and binds the rest.
    pub(crate) fn bind(settings: &Settings, mut inherited: Inherited) -> Result<Self, StartError> {
        let sockets = Self {
            public: bind_all("proxy", &settings.listen, &mut inherited)?,
            operator: bind_all("operator", settings.operator.as_slice(), &mut inherited)?,
            control: control_socket::bind(&settings.control)
                .map_err(|error| StartError::Bind(settings.control.display().to_string(), error))?,
        };
        match inherited.unclaimed() {
            None => Ok(sockets),
            Some(address) => Err(StartError::Unclaimed(address)),
        }
    }

    /// Where customers come to, for people to read.
    pub(crate) fn addresses(&self) -> String {
        let public = self.public.iter();
        let addresses: Vec<_> = public.map(|bound| bound.at.as_str()).collect();
        addresses.join(", ")
    }
}

fn bind_all(
    service: &'static str,
    addresses: &[Listen],
    inherited: &mut Inherited,
) -> Result<Vec<Bound>, StartError> {
    let bind = |listen: &Listen| {
        let cannot = |error| StartError::Bind(listen.address.to_string(), error);
        let bound = Bound::tcp(*listen, inherited).map_err(cannot)?;
        info!(service, address = bound.at.as_str(); "listening");
        Ok(bound)
    };
    addresses.iter().map(bind).collect()
}
