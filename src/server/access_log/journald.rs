//! The native protocol of the journal of systemd: an entry is a datagram of fields.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::access_line::AccessLine;

/// A way to the journal.
#[derive(Debug)]
pub(super) struct Journald {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journald {
    /// By this socket, which must be there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path)?;
        Ok(Self {
            socket: UnixDatagram::unbound()?,
            path: path.to_owned(),
        })
    }

    /// Makes a line an entry. The socket is not connected: the journal may be started again.
    pub(super) fn write(&self, line: &AccessLine) -> io::Result<()> {
        let AccessLine { text, priority } = line;
        let message = text.trim_end();
        let entry = format!(
            "MESSAGE={message}\nPRIORITY={}\nSYSLOG_IDENTIFIER=doorward\nSYSLOG_FACILITY=3\n",
            priority.number()
        );
        self.socket.send_to(entry.as_bytes(), &self.path)?;
        Ok(())
    }
}
