//! Files that a configuration names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::fault::{Fault, Faults};
use crate::config::reading::Text;

/// The largest file that is read: a JWK set of a thousand keys.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file that was read, and where the configuration names it.
pub(crate) struct File<'t, 'a> {
    pub(crate) named: &'t Text<'a>,
    pub(crate) bytes: Vec<u8>,
    mode: u32,
}

impl<'t, 'a> File<'t, 'a> {
    pub(crate) fn read(named: &'t Text<'a>, base_dir: &Path, faults: &mut Faults) -> Option<Self> {
        let told = |why: String| {
            let name = named.as_str().escape_debug();
            Fault::error(format!("`{name}` can't be read: {why}")).at(named.spot())
        };
        let path = base_dir.join(named.as_str());
        let metadata = fs::metadata(&path);
        let metadata = metadata.map_err(|error| {
            let fault = told(error.to_string());
            faults.push(fault.help("paths are relative to the folder of the configuration"));
        });
        let metadata = metadata.ok()?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            faults.push(told("it is no file of at most 1 MiB".to_owned()));
            return None;
        }
        match fs::read(&path) {
            Ok(bytes) => Some(Self {
                named,
                bytes,
                mode: metadata.permissions().mode() & 0o777,
            }),
            Err(error) => {
                let fault = told(error.to_string());
                faults.push(fault.help(remedy(named.as_str())));
                None
            }
        }
    }

    /// What is in it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Something is wrong with what is in it.
    pub(crate) fn fault(&self, message: &str) -> Fault {
        let name = self.named.as_str().escape_debug();
        Fault::error(format!("`{name}`: {message}")).at(self.named.spot())
    }

    /// Whoever knows a shared secret can sign as any customer.
    pub(crate) fn refuse_open(&self, faults: &mut Faults) {
        if self.mode & 0o007 != 0 {
            let message = format!(
                "everybody on this machine may use it (mode {:04o})",
                self.mode
            );
            faults.push(self.fault(&message).help(remedy(self.named.as_str())));
        }
    }
}

/// Reads a file that is no secret.
pub(crate) fn read_file(named: &Text<'_>, base_dir: &Path, faults: &mut Faults) -> Option<Vec<u8>> {
    Some(File::read(named, base_dir, faults)?.bytes)
}

/// Reads a file that must be out of everybody's reach.
pub(crate) fn read_secret_file(
    named: &Text<'_>,
    base_dir: &Path,
    faults: &mut Faults,
) -> Option<Vec<u8>> {
    let file = File::read(named, base_dir, faults)?;
    file.refuse_open(faults);
    Some(file.bytes)
}

pub(crate) fn remedy(file: &str) -> String {
    let file = file.escape_debug();
    format!("chown root:doorward {file} && chmod 0640 {file}")
}
