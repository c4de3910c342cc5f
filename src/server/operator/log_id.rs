//! The id of a token in the log: a short keyed hash of its digest, meaningless without the key.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use log::warn;
use tempfile::NamedTempFile;

use crate::revocation::Id;

/// The key by which tokens are named: that of the cluster, or of the data folder. So a token has one name in the logs of all nodes,
/// before and after a restart.
#[derive(Clone)]
pub(crate) struct LogKey([u8; 32]);

/// A token's id in the log.
pub(crate) struct LogId([u8; 8]);

/// The file of the key in the data folder.
const FILE: &str = "log.key";

impl LogKey {
    /// The key of a cluster.
    pub(crate) const fn of_cluster(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The key in a data folder, which is made once.
    pub(crate) fn kept_in(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        match read(&path) {
            Ok(Some(key)) => return Ok(Self(key)),
            Ok(None) => {
                warn!(path:% = path.display(); "the key for the names of tokens in logs is damaged; a new one is made");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let fresh = Self::random()?;
        let mut file = NamedTempFile::new_in(data_dir)?; // of mode 0600
        file.write_all(&fresh.0)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|failed| failed.error)?;
        Ok(fresh)
    }

    /// The key in a data folder; `None`: there is none that can be read. Nothing is written.
    pub(crate) fn found_in(data_dir: &Path) -> Option<Self> {
        read(&data_dir.join(FILE)).ok().flatten().map(Self)
    }

    /// A key of this process alone.
    pub(crate) fn random() -> io::Result<Self> {
        let mut key = [0; 32];
        let filled = aws_lc_rs::rand::fill(&mut key);
        filled.map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
        Ok(Self(key))
    }

    /// The log id of a token.
    pub(crate) fn name(&self, id: &Id) -> LogId {
        let hash = blake3::keyed_hash(&self.0, id.bytes());
        let mut name = [0; 8];
        name.copy_from_slice(&hash.as_bytes()[..8]);
        LogId(name)
    }
}

/// The key in a file; `None`: it is no key.
fn read(path: &Path) -> io::Result<Option<[u8; 32]>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(33).read_to_end(&mut bytes)?;
    Ok(bytes.try_into().ok())
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_has_one_name_for_each_data_folder() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let token = Id::from_bytes([7; 16]);
        let name = |folder: &Path| LogKey::kept_in(folder).unwrap().name(&token).to_string();
        let first = name(folder.path());
        assert_eq!(name(folder.path()), first);
        assert_ne!(name(other.path()), first);
        let file = folder.path().join(FILE);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&file, b"short").unwrap();
        assert_ne!(name(folder.path()), first);
        assert_eq!(fs::read(&file).unwrap().len(), 32);
    }
}
