//! A node's certificates and keys on disk, readable by the service only.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown,
};
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

use super::authority::{CERTIFICATE_FILE, KEY_FILE};
use crate::revocation::NodeName;

/// Where a node's certificates and keys are.
pub struct CertificateFiles {
    folder: PathBuf,
    /// The authority's certificate.
    pub ca_file: PathBuf,
    /// The authority's key; only where it was made.
    pub ca_key_file: PathBuf,
    /// The node's certificate, and the authority's after it: an invited machine compares its digest.
    pub cert_file: PathBuf,
    /// The node's key.
    pub key_file: PathBuf,
}

/// Who reads the files: the user that runs the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// The user that writes them.
    Ourselves,
    /// This group, which reads the configuration, too.
    Group(u32),
    /// This user, and no group.
    User(u32, u32),
}

impl CertificateFiles {
    /// The files of a node in a folder.
    ///
    /// # Errors
    ///
    /// Says why this can't be the name of a node.
    pub fn of(node: &NodeName, folder: &Path) -> Result<Self, &'static str> {
        let files = Self {
            folder: folder.to_owned(),
            ca_file: folder.join(CERTIFICATE_FILE),
            ca_key_file: folder.join(KEY_FILE),
            cert_file: folder.join(format!("{node}.pem")),
            key_file: folder.join(format!("{node}.key")),
        };
        if files.cert_file == files.ca_file {
            return Err(
                "the files of a node `ca` would be those of the authority: choose another name",
            );
        }
        Ok(files)
    }

    /// The first of the files that is there already.
    pub fn existing(&self) -> Option<&Path> {
        let files = [
            &self.ca_file,
            &self.ca_key_file,
            &self.cert_file,
            &self.key_file,
        ];
        let mut files = files.into_iter().map(PathBuf::as_path);
        files.find(|file| file.symlink_metadata().is_ok())
    }

    /// Makes the folder, unless it is there.
    ///
    /// # Errors
    ///
    /// When it can't be made, or can't be given to its readers.
    pub fn prepare(&self, readers: Readers) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        let named = |error| with_path(&self.folder, &error);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&self.folder).map_err(named)?;
        match readers {
            Readers::Ourselves => Ok(()),
            Readers::Group(group) => chown(&self.folder, None, Some(group))
                .and_then(|()| fs::set_permissions(&self.folder, Permissions::from_mode(0o750))),
            Readers::User(user, group) => chown(&self.folder, Some(user), Some(group)),
        }
        .map_err(named)
    }

    /// Writes these texts to these files: all of them, or none. Nothing is overwritten.
    ///
    /// # Errors
    ///
    /// When one can't be written.
    pub fn write(&self, files: &[(&Path, &str)], readers: Readers) -> io::Result<()> {
        self.prepare(readers)?;
        for (index, (path, text)) in files.iter().enumerate() {
            if let Err(error) = write_new(path, text, readers) {
                let written = files.iter().take(index);
                written.for_each(|(path, _)| drop(fs::remove_file(path)));
                return Err(with_path(path, &error));
            }
        }
        File::open(&self.folder)?.sync_all()
    }
}

impl Readers {
    /// The readers of what this configuration names. The service runs as the owner of its data folder; where that
    /// does not exist yet, the group that may read the configuration is used.
    ///
    /// # Errors
    ///
    /// When one of them can't be looked at.
    pub fn of(config: &Path, data_dir: &Path) -> io::Result<Self> {
        let data_dir = match fs::metadata(data_dir) {
            Ok(metadata) => Some((metadata.uid(), metadata.gid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(with_path(data_dir, &error)),
        };
        let config: Metadata = fs::metadata(config).map_err(|error| with_path(config, &error))?;
        let reads = config.permissions().mode() & 0o040 != 0;
        let ourselves = (geteuid().as_raw(), getegid().as_raw());
        Ok(Self::among(
            ourselves,
            reads.then_some(config.gid()),
            data_dir,
        ))
    }

    /// Of this user, the group that reads the configuration, and user and group of the service.
    fn among(ourselves: (u32, u32), reading: Option<u32>, service: Option<(u32, u32)>) -> Self {
        match (service, reading) {
            (Some((user, _)), _) if user == ourselves.0 => Self::Ourselves,
            (Some((_, group)), Some(reading)) if group == reading => Self::Group(group),
            (Some((user, group)), _) => Self::User(user, group),
            (None, Some(reading)) if reading != ourselves.1 => Self::Group(reading),
            (None, _) => Self::Ourselves,
        }
    }
}

fn write_new(path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = match readers {
        Readers::Ourselves => Ok(()),
        Readers::Group(group) => fchown(&file, None, Some(group))
            .and_then(|()| file.set_permissions(Permissions::from_mode(0o640))),
        Readers::User(user, group) => fchown(&file, Some(user), Some(group)),
    }
    .and_then(|()| file.write_all(text.as_bytes()))
    .and_then(|()| file.sync_all());
    if written.is_err() {
        drop(fs::remove_file(path));
    }
    written
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    let help = if error.kind() == io::ErrorKind::PermissionDenied {
        "\n  help: run this as root"
    } else {
        ""
    };
    io::Error::new(error.kind(), format!("{}: {error}{help}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> CertificateFiles {
        CertificateFiles::of(&NodeName::parse("a").unwrap(), folder).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_service_reads_the_files_and_nobody_else_does() {
        const ROOT: (u32, u32) = (0, 0);
        const SERVICE: Option<(u32, u32)> = Some((990, 991));
        let readers = Readers::among;
        assert_eq!(readers(ROOT, Some(991), SERVICE), Readers::Group(991));
        for reading in [None, Some(0), Some(100)] {
            assert_eq!(readers(ROOT, reading, SERVICE), Readers::User(990, 991));
        }
        for reading in [None, Some(0), Some(991)] {
            assert_eq!(readers((990, 991), reading, SERVICE), Readers::Ourselves);
            assert_eq!(readers(ROOT, reading, Some((0, 0))), Readers::Ourselves);
        }
        assert_eq!(readers(ROOT, Some(991), None), Readers::Group(991));
        for reading in [None, Some(0)] {
            assert_eq!(readers(ROOT, reading, None), Readers::Ourselves);
        }
    }

    #[test]
    fn files_are_out_of_everybodys_reach() {
        let home = tempfile::tempdir().unwrap();
        let group = getegid().as_raw();
        for (name, readers, of_folder, of_file) in [
            ("ours", Readers::Ourselves, 0o700, 0o600),
            ("group", Readers::Group(group), 0o750, 0o640),
            (
                "user",
                Readers::User(geteuid().as_raw(), group),
                0o700,
                0o600,
            ),
        ] {
            let files = files(&home.path().join("etc").join(name));
            files.write(&[(&files.key_file, "key")], readers).unwrap();
            assert_eq!(mode(&files.folder), of_folder, "{name}");
            assert_eq!(mode(&files.key_file), of_file, "{name}");
        }
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_left_by_halves() {
        let home = tempfile::tempdir().unwrap();
        let files = files(home.path());
        assert_eq!(files.existing(), None);
        fs::write(&files.key_file, "old").unwrap();
        assert_eq!(files.existing(), Some(&*files.key_file));
        let texts = [(&*files.ca_file, "ca"), (&*files.key_file, "new")];
        let error = files.write(&texts, Readers::Ourselves).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("a.key"), "{error}");
        assert_eq!(fs::read_to_string(&files.key_file).unwrap(), "old");
        assert!(!files.ca_file.exists());
    }

    #[test]
    fn no_node_is_called_as_the_authority() {
        let ca = NodeName::parse("ca").unwrap();
        assert!(CertificateFiles::of(&ca, Path::new("/etc/doorward/cluster")).is_err());
    }
}
