//! Whether the user of the service may read what the configuration names, and the commands that change it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::service_user::{ALL, ENTER, READ, ServiceUser};
use crate::cli::output::{complain, print};
use crate::config::{Fault, NamedFile};

/// What keeps a user from a file.
struct Obstacle {
    /// The file itself, or a folder above it.
    path: PathBuf,
    is_folder: bool,
}

/// The files that the user of the service can't read, each as a fault.
pub(super) fn faults(files: &[NamedFile], user: &ServiceUser) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| !file.is_credential) {
        let Some(obstacle) = obstacle(&file.path, READ, user) else {
            continue;
        };
        let fault = fault(&file.path, &obstacle, user);
        faults.push(match &file.spot {
            Some(spot) => fault.at(spot),
            None => fault,
        });
    }
    faults
}

/// A data folder that the user of the service can't write, as a fault.
pub(super) fn data_folder_fault(data_dir: &Path, user: &ServiceUser) -> Option<Fault> {
    let obstacle = obstacle(data_dir, ALL, user)?;
    let (folder, name) = (shown(&obstacle.path), &user.name);
    let message = format!(
        "the user `{name}` can't write the data folder: {folder} {}",
        owner(&obstacle.path)
    );
    let help = format!("chown -R {name}:{} {}", user.group, quoted(data_dir));
    Some(Fault::error(message).help(help))
}

fn fault(file: &Path, obstacle: &Obstacle, user: &ServiceUser) -> Fault {
    let (file, at, name) = (shown(file), shown(&obstacle.path), &user.name);
    let what = owner(&obstacle.path);
    let message = if obstacle.is_folder {
        format!("the user `{name}` can't reach {file}: {at} {what}")
    } else {
        format!("the user `{name}` can't read {file}, which {what}")
    };
    Fault::error(message).help(command(obstacle, user))
}

/// What keeps a user from doing this with a file; nothing, if it is not there: that has its own fault.
fn obstacle(path: &Path, wanted: u32, user: &ServiceUser) -> Option<Obstacle> {
    let path = fs::canonicalize(path).ok()?;
    let mut folders: Vec<_> = path.ancestors().skip(1).collect();
    folders.reverse();
    let folders = folders.into_iter().map(|folder| (folder, ENTER, true));
    let mut all = folders.chain([(path.as_path(), wanted, path.is_dir())]);
    all.find_map(|(at, wanted, is_folder)| {
        let metadata = fs::metadata(at).ok()?;
        let is_open = user.may(&metadata, wanted) || has_list(at);
        (!is_open).then(|| Obstacle {
            path: at.to_owned(),
            is_folder,
        })
    })
}

/// Whether a list of access (`setfacl`) says more than the mode: what it says is not judged.
fn has_list(path: &Path) -> bool {
    let mut room = [0_u8; 4096];
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut room).is_ok()
}

fn owner(path: &Path) -> String {
    fs::metadata(path).map_or_else(
        |_| "is gone".to_owned(),
        |metadata| {
            let mode = metadata.mode() & 0o7777;
            let (uid, gid) = (metadata.uid(), metadata.gid());
            format!("belongs to {uid}:{gid} (mode {mode:04o})")
        },
    )
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn command(obstacle: &Obstacle, user: &ServiceUser) -> String {
    let mode = if obstacle.is_folder { "0750" } else { "0640" };
    change(&obstacle.path, &user.group, mode)
}

fn change(path: &Path, group: &str, mode: &str) -> String {
    let path = quoted(path);
    format!("chown root:{group} {path} && chmod {mode} {path}")
}

/// A path as a word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@%".contains(letter);
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Prints the commands that let the user of the service read every file, and no other user a secret. Nothing is changed.
pub(super) fn print_commands(files: &[NamedFile], user: Option<&ServiceUser>) {
    let group = user.map_or("doorward", |user| &user.group);
    let mut commands: Vec<String> = Vec::new();
    for file in files.iter().filter(|file| !file.is_credential) {
        let mode = fs::metadata(&file.path).map_or(0, |metadata| metadata.mode());
        if file.is_secret && mode & 0o007 != 0 {
            commands.push(change(&file.path, group, "0640"));
        }
        let obstacle = user.and_then(|user| Some((obstacle(&file.path, READ, user)?, user)));
        commands.extend(obstacle.map(|(obstacle, user)| command(&obstacle, user)));
    }
    let mut seen: Vec<String> = Vec::new();
    for command in commands {
        if !seen.contains(&command) {
            print(&format!("{command}\n"));
            seen.push(command);
        }
    }
    if seen.is_empty() {
        complain("no permission of a file needs a change");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            (
                "/etc/doorward/keys/jwt.secret",
                "/etc/doorward/keys/jwt.secret",
            ),
            ("/a b", "'/a b'"),
            ("/it's; rm -rf", r"'/it'\''s; rm -rf'"),
            ("/$HOME", "'/$HOME'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
