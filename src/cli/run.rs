//! `doorward run`: serves.

use std::path::Path;

use super::exit::{CommandError, Exit};
use super::faults::{load, report};
use super::logging;
use crate::cluster::NodeError;
use crate::config;
use crate::revocation::JournalError;
use crate::server::{self, FaultReport, Load, Loaded, StartError};

/// Serves until the process is told to stop.
pub(super) fn run(path: &Path) -> Result<(), CommandError> {
    let config = load(path)?;
    logging::start(config.log);
    let served = server::run(config.server, config.shops, loader(path));
    served.map_err(|error| CommandError::new(exit_of(&error), error))
}

fn exit_of(error: &StartError) -> Exit {
    match error {
        StartError::Sockets(_) | StartError::Cluster(NodeError::Bind(..)) => Exit::Unavailable,
        StartError::Journal(
            JournalError::Missing(..) | JournalError::Dangling(..) | JournalError::Copied(_),
        ) => Exit::Config,
        StartError::Journal(_) | StartError::Cluster(_) | StartError::System(..) => Exit::Failed,
    }
}

/// Reads the same file again, in the same way.
fn loader(path: &Path) -> Load {
    let path = path.to_owned();
    Box::new(move || match config::load(&path) {
        Ok((mut config, warnings)) => Ok(Loaded {
            outline: std::mem::take(&mut config.server.outline),
            server: config.server,
            shops: config.shops,
            log: config.log,
            warnings: report(&warnings, false),
        }),
        Err(faults) => Err(FaultReport(report(&faults, false))),
    })
}
