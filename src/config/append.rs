//! Adds a table to the operator's file: the file is as good as before afterwards, or untouched.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use super::load::{Config, parse};
use crate::config::fault::Faults;

/// Why nothing was added.
pub enum NotAppended {
    /// There is such a table already.
    There,
    /// The file has faults, or would have them with the table.
    Faulty(Faults),
    /// It can't be read or written.
    Unwritable(io::Error),
}

/// Adds a table of this name at the end of a configuration; `text` is all of it, with its header.
///
/// The file is exchanged as one, with the owner and mode that it had. A link to it stays a link.
///
/// # Errors
///
/// Says why not; the file is untouched then.
pub fn append(path: &Path, name: &str, text: &str) -> Result<(), NotAppended> {
    let before = fs::read_to_string(path).map_err(NotAppended::Unwritable)?;
    if read(path, &before)?.server.outline.has(name) {
        return Err(NotAppended::There);
    }
    let end = if before.ends_with('\n') { "" } else { "\n" };
    let after = format!("{before}{end}\n{text}");
    read(path, &after)?;
    replace(path, &after).map_err(NotAppended::Unwritable)
}

fn read(path: &Path, text: &str) -> Result<Config, NotAppended> {
    let name = path.display().to_string();
    let base_dir = path.parent().unwrap_or(Path::new(""));
    match parse(&name, text, base_dir) {
        Ok((config, _)) => Ok(config),
        Err(faults) => Err(NotAppended::Faulty(faults)),
    }
}

/// Written to another file and renamed: a reader sees the old file or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let old = fs::metadata(&path)?;
    let mut aside = tempfile::Builder::new()
        .prefix(".doorward-")
        .tempfile_in(folder)?;
    aside.write_all(text.as_bytes())?;
    let file = aside.as_file();
    fchown(file, Some(old.uid()), Some(old.gid()))?;
    file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    file.sync_all()?;
    aside.persist(&path).map_err(|failed| failed.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    const GOOD: &str = "listen = [\"127.0.0.1:8080\"]\ndata_dir = \"data\"\n\n[[shop]]\nname = \"main\"\n\
                        upstream = [\"127.0.0.1:8000\"]\ntoken.kind = \"opaque\" # the last line";
    const TABLE: &str = "[drain]\ndelay = \"1s\"\n";

    fn written(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("doorward.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        path
    }

    fn text_of(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_table_stands_at_the_end_and_the_rest_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), GOOD);
        let link = folder.path().join("link.toml");
        symlink(&path, &link).unwrap();
        assert!(append(&link, "drain", TABLE).is_ok());
        assert_eq!(text_of(&path), format!("{GOOD}\n\n{TABLE}"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "nothing is left aside"
        );
        let again = append(&path, "drain", TABLE);
        assert!(matches!(again, Err(NotAppended::There)));
        assert_eq!(text_of(&path), format!("{GOOD}\n\n{TABLE}"));
    }

    #[test]
    fn a_file_with_faults_before_or_after_is_untouched() {
        let folder = tempfile::tempdir().unwrap();
        for (before, table) in [
            ("listen = [", TABLE),
            (&format!("nonsense = 1\n{GOOD}"), TABLE),
            (GOOD, "[drain]\ndelay = 1\n"),
            (GOOD, "[drain\n"),
        ] {
            let path = written(folder.path(), before);
            let outcome = append(&path, "drain", table);
            assert!(
                matches!(outcome, Err(NotAppended::Faulty(_))),
                "{before}{table}"
            );
            assert_eq!(text_of(&path), before);
        }
        let missing = folder.path().join("missing.toml");
        let outcome = append(&missing, "drain", TABLE);
        assert!(matches!(outcome, Err(NotAppended::Unwritable(_))));
        assert!(!missing.exists());
    }
}
