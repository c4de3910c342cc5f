//! Which process takes an order, and where it listens.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::running;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::file_argument::CONFIG_FILE;
use crate::config;

/// Which process is meant.
#[derive(Args)]
pub(in crate::cli) struct ProcessArguments {
    /// The configuration that the process was started with; it may be half edited, or gone
    #[arg(long, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// The control socket; left out: that of the running process, or what `control` and `data_dir` of the file say
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

impl ProcessArguments {
    /// The configuration.
    pub(in crate::cli) fn config(&self) -> &Path {
        &self.config
    }
}

/// The control socket of the running process. What the process itself shows counts: its file may be half edited.
pub(in crate::cli) fn socket_of(process: &ProcessArguments) -> Result<PathBuf, CommandError> {
    if let Some(control) = &process.control {
        return Ok(control.clone());
    }
    let running = running::control_sockets(&process.config);
    if let (1, Some(only)) = (running.len(), running.first()) {
        return Ok(only.clone());
    }
    let written = config::control_of(&process.config);
    if let Some(written) = written.filter(|one| running.is_empty() || running.contains(one)) {
        return Ok(written);
    }
    let file = process.config.display();
    let why = if running.is_empty() {
        format!(
            "no process with the configuration {file} was found, and the file says neither `control` nor `data_dir`\n  \
             help: is it running, and are you its user? Name its socket with --control"
        )
    } else {
        let sockets = running.iter().map(|path| path.display().to_string());
        let sockets: Vec<_> = sockets.collect();
        format!(
            "several processes use {file}: choose one with --control\n  help: {}",
            sockets.join(", ")
        )
    };
    Err(CommandError::new(Exit::Unavailable, why))
}

/// Why no answer came from the control socket: nothing listens there, it is closed to this user, or it answers too late.
pub(in crate::cli) fn no_answer(socket: &Path, error: &io::Error) -> CommandError {
    let help = if error.kind() == io::ErrorKind::TimedOut {
        "the process takes connections, but it is stopped, or hangs: look at its log, and continue or restart it, and \
         give the order again. It may still carry this one out when it goes on; an order that is given twice does no harm"
    } else {
        "is it running, and are you its user?"
    };
    let why = format!(
        "no Doorward process answers at {}: {error}\n  help: {help}",
        socket.display()
    );
    CommandError::new(Exit::Unavailable, why)
}
