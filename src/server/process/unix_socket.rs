//! A unix socket that is listened on: bound where no process listens, and removed at the end.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use log::warn;
use rustix::fs::{Mode, OFlags};
use socket2::{Domain, SockAddr, Socket, Type};

/// How many connections wait to be accepted; as the standard library has it.
const BACKLOG: i32 = 128;

/// The file of a socket; dropping it removes the file, unless another socket has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The file itself, which is not opened for anything: while it is here, no other file gets its number.
    file: File,
}

/// Listens on a path as [`listen`] does; the file is removed at the end.
pub(crate) fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let listener = listen(path, mode)?;
    let file = SocketFile::at(path)?;
    Ok((listener, file))
}

/// Listens on a path, for the processes that the mode lets connect. A socket that a dead process left there is replaced; anything
/// else that is there stays, and is an error.
pub(crate) fn listen(path: &Path, mode: u32) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?; // before that, no process can connect, whatever the umask was
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Removes a socket on which no process listens.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        let why = "there is a file that is not a socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?; // a full queue would make it wait
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => {
            let why = "another process listens on this socket";
            Err(io::Error::new(io::ErrorKind::AddrInUse, why))
        }
    }
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            path: path.to_owned(),
            file: file.into(),
        })
    }

    fn is_still_there(&self) -> bool {
        let number = |of: Metadata| (of.dev(), of.ino());
        let found = fs::symlink_metadata(&self.path).map(number);
        let own = self.file.metadata().map(number);
        found.is_ok_and(|found| own.is_ok_and(|own| own == found))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_still_there()
            && let Err(error) = fs::remove_file(&self.path)
        {
            let path = self.path.display();
            warn!(path:%; "the socket can't be removed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: u32 = 0o660;

    #[test]
    fn a_socket_is_replaced_only_where_no_process_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/http.sock");
        let (listener, file) = bind(&path, MODE).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let taken = bind(&path, MODE).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let (_listener, replaced) = bind(&path, MODE).unwrap();
        drop(file);
        assert!(path.exists(), "it is another one's by now");
        drop(replaced);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        fs::write(&path, "precious").unwrap();
        let error = bind(&path, MODE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let link = folder.path().join("link.sock");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(bind(&link, MODE).is_err());
        assert!(link.exists() && path.exists());
    }
}
