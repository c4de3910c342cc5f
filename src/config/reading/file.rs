//! Files that a configuration names.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::text::TomlText;
use crate::config::fault::Fault;

/// The largest file that is read: a JWK set of a thousand keys.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file that was read, and where the configuration names it.
pub(crate) struct File<'t, 'a> {
    named: &'t TomlText<'a>,
    path: PathBuf,
    bytes: Vec<u8>,
    mode: u32,
}

impl<'t, 'a> File<'t, 'a> {
    /// Reads the file that a text names.
    pub(crate) fn read(named: &'t TomlText<'a>) -> Option<Self> {
        let unreadable = |why: String| {
            let name = named.as_str().escape_debug();
            Fault::error(format!("`{name}` can't be read: {why}"))
        };
        let path = named.path()?;
        named.note_file(&path);
        let metadata = fs::metadata(&path).map_err(|error| {
            let fault = unreadable(error.to_string());
            named.report(fault.help("paths are relative to the folder of the configuration"));
        });
        let metadata = metadata.ok()?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            named.report(unreadable("it is not a file of at most 1 MiB".to_owned()));
            return None;
        }
        match fs::read(&path) {
            Ok(bytes) => Some(Self {
                named,
                path,
                bytes,
                mode: metadata.permissions().mode() & 0o777,
            }),
            Err(error) => {
                let fault = unreadable(error.to_string());
                named.report(fault.help(remedy(named.as_str())));
                None
            }
        }
    }

    /// Reads a file that other users of the machine must not be able to use.
    pub(crate) fn read_secret(named: &'t TomlText<'a>) -> Option<Self> {
        let file = Self::read(named)?;
        file.refuse_open();
        Some(file)
    }

    /// The content.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content, without the file.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A fault of the content, to be reported with [`File::report`].
    pub(crate) fn error(&self, message: impl Display) -> Fault {
        Fault::error(self.with_name(message))
    }

    /// The same, where the configuration can be used nevertheless.
    pub(crate) fn warning(&self, message: impl Display) -> Fault {
        Fault::warning(self.with_name(message))
    }

    fn with_name(&self, message: impl Display) -> String {
        format!("`{}`: {message}", self.named.as_str().escape_debug())
    }

    /// Reports a fault where the configuration names the file.
    pub(crate) fn report(&self, fault: Fault) {
        self.named.report(fault);
    }

    /// Reports a file that every user of the machine may use: it holds a secret.
    pub(crate) fn refuse_open(&self) {
        self.named.note_secret(&self.path);
        if self.mode & 0o007 != 0 {
            let message = format!(
                "every user of this machine may use it (mode {:04o})",
                self.mode
            );
            self.report(self.error(message).help(remedy(self.named.as_str())));
        }
    }
}

fn remedy(file: &str) -> String {
    let file = file.escape_debug();
    format!("chown root:doorward {file} && chmod 0640 {file}")
}
