//! Whether a stream of the process leads to the journal of systemd, which then reads the priority of each line.

use std::os::fd::AsFd;

/// Whether it does: `JOURNAL_STREAM` names the device and the inode of the stream (systemd.exec(5)). A line then begins with its
/// priority, `<4>` for a warning (sd-daemon(3)).
pub fn is_journal(stream: impl AsFd) -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else {
        return false; // systemd sets it; it is no setting
    };
    let Ok(status) = rustix::fs::fstat(stream) else {
        return false;
    };
    let own = format!("{}:{}", status.st_dev, status.st_ino);
    named.to_str() == Some(&own)
}
