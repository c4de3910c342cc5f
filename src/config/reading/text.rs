//! A string of a document.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::loading::{Loading, NamedFile};
use super::named_path::{self, UnfitPath};
use crate::config::fault::{Fault, SourceSpot};

/// Where a variable gets its value. Its name is quoted, its value never.
fn remedy_for(variable: &str) -> String {
    match variable {
        "CREDENTIALS_DIRECTORY" => {
            "systemd sets it for the service: LoadCredential=NAME:FILE in the unit; elsewhere, set it to the folder of the files".to_owned()
        }
        _ => format!("set it for the service (Environment={variable}=… in the unit) and for this command"),
    }
}

/// A string of a document, with the place it is written at.
#[derive(Clone)]
pub(crate) struct TomlText<'a> {
    value: &'a str,
    spot: SourceSpot,
    loading: &'a Loading,
}

impl<'a> TomlText<'a> {
    pub(super) fn new(value: &'a str, spot: SourceSpot, loading: &'a Loading) -> Self {
        Self {
            value,
            spot,
            loading,
        }
    }

    /// What is written.
    pub(crate) fn as_str(&self) -> &'a str {
        self.value
    }

    /// Where it is written.
    pub(crate) fn spot(&self) -> &SourceSpot {
        &self.spot
    }

    /// The path that it names, from the folder of the configuration. A variable in it that is not set is a fault here.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match named_path::expanded(self.value) {
            Ok(path) => Some(self.loading.base_dir().join(path)),
            Err(UnfitPath::Unset(name)) => {
                let fault = Fault::error(format!("the variable `{name}` is not set"));
                self.report(fault.help(remedy_for(&name)));
                None
            }
            Err(UnfitPath::Malformed) => {
                let fault = Fault::error("`$` begins the name of a variable in a path");
                self.report(fault.help("write ${NAME}; or $$ for a `$`"));
                None
            }
        }
    }

    /// Notes the file that it names.
    pub(crate) fn note_file(&self, path: &Path) {
        self.loading.note_file(NamedFile {
            spot: Some(self.spot.clone()),
            is_credential: self.value.contains("CREDENTIALS_DIRECTORY"),
            ..NamedFile::unnamed(path)
        });
    }

    /// Notes that the file is a secret.
    pub(super) fn note_secret(&self, path: &Path) {
        self.loading.note_secret(path);
    }

    /// Reports a fault here.
    pub(crate) fn report(&self, fault: Fault) {
        self.loading.report(fault.at(&self.spot));
    }

    /// Reports a fault without showing the line.
    pub(crate) fn report_unshown(&self, fault: Fault) {
        self.loading.report(fault);
    }

    /// Makes the text a type; the reason it cannot be one becomes a fault here.
    pub(crate) fn parse<T, E: Display>(
        &self,
        read: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        read(self.value)
            .map_err(|reason| self.report(self.unfit(&reason)))
            .ok()
    }

    /// The same, where the reason only says what is wanted.
    pub(crate) fn parse_as<T>(
        &self,
        read: impl FnOnce(&'a str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let unfit = |wanted| {
            let found = self.value.escape_debug();
            let message = if self.spot.is_secret() {
                format!("expected {wanted}")
            } else {
                format!("expected {wanted}, found `{found}`")
            };
            self.report(Fault::error(message));
        };
        read(self.value).map_err(unfit).ok()
    }

    /// What the name stands for; `key` says of what it is one.
    pub(crate) fn choose<T: Copy>(&self, key: &str, names: &[(&str, T)]) -> Option<T> {
        let chosen = names.iter().find(|(name, _)| *name == self.value);
        if chosen.is_none() {
            let unknown = if self.spot.is_secret() {
                format!("unknown `{key}`")
            } else {
                format!("unknown `{key}`: `{}`", self.value.escape_debug())
            };
            let known = names.iter().map(|(name, _)| *name);
            self.report(Fault::error(unknown).suggest(self.value, known));
        }
        chosen.map(|(_, value)| *value)
    }

    /// Reports that the name is a former one, and which it is now.
    fn warn_of_former(&self, now: &str) {
        let former = self.value.escape_debug();
        let fault = Fault::warning(format!("`{former}` is now called `{now}`"));
        let help = format!("write \"{now}\": the next release does not read the former name");
        self.report(fault.help(help));
    }

    /// As `choose`, where some names had another one before: the former name, and the name.
    pub(crate) fn choose_renamed<T: Copy>(
        &self,
        key: &str,
        names: &[(&str, T)],
        renamed: &[(&str, &str)],
    ) -> Option<T> {
        let Some((_, now)) = renamed.iter().find(|(former, _)| *former == self.value) else {
            return self.choose(key, names);
        };
        self.warn_of_former(now);
        let chosen = names.iter().find(|(name, _)| name == now);
        chosen.map(|(_, value)| *value)
    }

    /// The reason may quote the value, so the reason of what may be a secret is not shown.
    fn unfit(&self, reason: &dyn Display) -> Fault {
        if self.spot.is_secret() {
            Fault::error("this value does not fit; it is not shown, for it may be a secret")
        } else {
            Fault::error(reason.to_string())
        }
    }
}
