//! Finds the control socket of a running process in /proc, for its file may have changed meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};

use crate::cli::file_argument::CONFIG_FILE;

/// The control sockets of the processes with this configuration: one, unless several containers share its name.
///
/// Only processes are asked that can't be another user's: ours, and for root those that the system's service manager
/// started.
pub(super) fn control_sockets(config: &Path) -> BTreeSet<PathBuf> {
    let Ok(wanted) = absolute(config).map(|path| canonical(&path)) else {
        return BTreeSet::new();
    };
    let processes = fs::read_dir("/proc").into_iter().flatten();
    let processes = processes.filter_map(|entry| ServingProcess::from_folder(entry.ok()?.path()));
    let running = processes.filter(|one| one.config.as_deref() == Some(&*wanted));
    running
        .filter(ServingProcess::is_trusted)
        .flat_map(|one| one.listens_at())
        .collect()
}

/// A process that was started with `doorward run`.
struct ServingProcess {
    /// Its folder in /proc.
    folder: PathBuf,
    /// Its working directory, from which its paths count.
    base: PathBuf,
    /// Its configuration.
    config: Option<PathBuf>,
}

impl ServingProcess {
    fn from_folder(folder: PathBuf) -> Option<Self> {
        folder.file_name()?.to_str()?.parse::<u32>().ok()?;
        let line = fs::read(folder.join("cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0);
        words.next()?;
        (words.next()? == b"run").then_some(())?;
        let base = fs::read_link(folder.join("cwd")).ok()?;
        let config = config_in(words).map(|path| canonical(&base.join(path)));
        Some(Self {
            folder,
            base,
            config,
        })
    }

    fn is_trusted(&self) -> bool {
        let ours = rustix::process::geteuid();
        let Ok(owner) = fs::metadata(&self.folder).map(|it| it.uid()) else {
            return false;
        };
        let is_service = || {
            let groups = fs::read_to_string(self.folder.join("cgroup")).unwrap_or_default();
            groups.lines().any(|line| {
                let path = line.rsplit(':').next().unwrap_or_default();
                path.starts_with("/system.slice/")
            })
        };
        owner == ours.as_raw() || ours.is_root() && is_service()
    }

    /// The paths of the unix sockets that it listens on, as far as this command sees them.
    fn listens_at(&self) -> Vec<PathBuf> {
        let Ok(table) = fs::read_to_string(self.folder.join("net/unix")) else {
            return Vec::new();
        };
        let own = self.own_sockets();
        let listening = table.lines().filter_map(listening);
        let listening = listening.filter(|(inode, _)| own.contains(*inode));
        let paths = listening.map(|(_, path)| self.base.join(path));
        paths.filter(|path| path.exists()).collect()
    }

    /// The numbers of the sockets that it holds.
    fn own_sockets(&self) -> BTreeSet<String> {
        let descriptors = fs::read_dir(self.folder.join("fd")).into_iter().flatten();
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let sockets = targets.filter_map(|target| {
            let target = target.to_str()?.strip_prefix("socket:[")?;
            Some(target.strip_suffix(']')?.to_owned())
        });
        sockets.collect()
    }
}

/// The configuration that the arguments of `doorward run` name.
fn config_in<'w>(mut words: impl Iterator<Item = &'w [u8]>) -> Option<PathBuf> {
    let path = |bytes| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    while let Some(word) = words.next() {
        if word == b"--config" {
            return words.next().map(path);
        }
        if let Some(named) = word.strip_prefix(b"--config=") {
            return Some(path(named));
        }
    }
    Some(PathBuf::from(CONFIG_FILE))
}

/// The number and the path of a socket that listens, by its line in /proc/PID/net/unix (`proc_net(5)`).
fn listening(line: &str) -> Option<(&str, &str)> {
    /// `__SO_ACCEPTCON` of the kernel.
    const ACCEPTS: u32 = 1 << 16;
    let mut rest = line;
    let mut fields = [""; 7];
    for field in &mut fields {
        (*field, rest) = rest.trim_start().split_once(' ')?;
    }
    let flags = u32::from_str_radix(fields[3], 16).ok()?;
    (flags & ACCEPTS != 0 && !rest.starts_with('@')).then_some((fields[6], rest))
}

/// A path without links, as far as its file or its folder is there: the file may have been removed.
fn canonical(path: &Path) -> PathBuf {
    let folder_is_there = || {
        let folder = path.parent()?.canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    let whole = path.canonicalize().ok();
    whole
        .or_else(folder_is_there)
        .unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_names_a_socket_that_listens() {
        let line =
            "0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/a folder/control.sock";
        assert_eq!(
            listening(line),
            Some(("12345", "/run/a folder/control.sock"))
        );
        for other in [
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "0000000000000000: 00000003 00000000 00000000 0001 03 12345 /run/control.sock",
            "0000000000000000: 00000002 00000000 00010000 0001 01 12345 @abstract",
            "0000000000000000: 00000003 00000000 00000000 0001 03 12345",
        ] {
            assert_eq!(listening(other), None, "{other}");
        }
    }

    #[test]
    fn the_configuration_is_named_in_either_way_or_left_out() {
        let named = |words: &[&str]| {
            let words = words.iter().map(|word| word.as_bytes());
            config_in(words).unwrap()
        };
        assert_eq!(named(&["--config", "/a.toml", ""]), Path::new("/a.toml"));
        assert_eq!(named(&["--config=b.toml"]), Path::new("b.toml"));
        assert_eq!(named(&[""]), Path::new(CONFIG_FILE));
    }
}
