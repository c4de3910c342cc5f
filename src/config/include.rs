//! `include`: further files of the configuration.

use std::fs;
use std::path::{Path, PathBuf};

use super::fault::Fault;
use super::reading::file::FILE_BYTES_MAX;
use super::reading::{Loading, TomlDocument, TomlTable, TomlText};

/// How many files may be included.
const FILES_MAX: usize = 1000;

/// A file that was included.
pub(crate) struct IncludedFile {
    /// Its path, as reports name it.
    pub(crate) name: String,
    /// Its content.
    pub(crate) text: String,
}

/// Reads the files that the first document includes, in the order in which it names them; those of a pattern by their names.
/// `name`: the path of the document itself.
pub(crate) fn read(first: &TomlDocument<'_>, name: &str) -> Vec<IncludedFile> {
    let mut root = TomlTable::root(first);
    let texts = root.strings("include").unwrap_or_default();
    drop(root); // its other keys are read later
    let mut seen: Vec<PathBuf> = fs::canonicalize(name).into_iter().collect();
    let is_first_known = !seen.is_empty();
    let mut files = Vec::new();
    for text in &texts {
        for path in paths_of(text).unwrap_or_default() {
            let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            match seen.iter().position(|one| *one == real) {
                Some(0) if is_first_known => {
                    let fault = Fault::error("the configuration includes itself");
                    text.report(
                        fault.help("name other files, or a folder of their own: conf.d/*.toml"),
                    );
                }
                Some(_) => {
                    let message = format!("{} is included twice", path.display());
                    text.report(Fault::error(message));
                }
                None if files.len() == FILES_MAX => {
                    text.report(Fault::error(format!(
                        "more than {FILES_MAX} files are included"
                    )));
                    return files;
                }
                None => {
                    seen.push(real);
                    files.extend(read_file(text, &path));
                }
            }
        }
    }
    files
}

/// The included files as documents. None of them may include more.
pub(crate) fn parse<'t>(files: &'t [IncludedFile], loading: &'t Loading) -> Vec<TomlDocument<'t>> {
    let files = files.iter();
    let documents = files.map(|file| TomlDocument::parse(&file.name, &file.text, loading));
    let documents: Vec<_> = documents.collect();
    for document in &documents {
        let root = TomlTable::root(document);
        let fault = Fault::error("an included file includes more");
        root.report_at("include", fault.help("name every file in the first one"));
        drop(root); // its keys are read with those of the other files
    }
    documents
}

/// The files that a text names: one, or those of a folder that fit its pattern.
fn paths_of(text: &TomlText<'_>) -> Option<Vec<PathBuf>> {
    let path = text.path()?;
    let (folder, pattern) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    );
    let (Some(folder), Some(pattern)) = (folder, pattern) else {
        text.report(Fault::error(
            "expected the path of a file, or a pattern such as conf.d/*.toml",
        ));
        return None;
    };
    if folder.to_string_lossy().contains('*') {
        let fault = Fault::error("`*` can stand in the last part of the path only");
        text.report(fault.help("name each folder: include = [\"a/*.toml\", \"b/*.toml\"]"));
        return None;
    }
    if !pattern.contains('*') {
        return Some(vec![path]);
    }
    match names_in(folder) {
        Ok(names) => {
            let names = names.into_iter().filter(|name| fits(pattern, name));
            Some(names.map(|name| folder.join(name)).collect())
        }
        Err(error) => {
            let fault = Fault::error(format!("{} can't be read: {error}", folder.display()));
            text.report(fault.help("create the folder, or leave this out"));
            None
        }
    }
}

/// The names of what is in a folder, sorted byte by byte. Hidden files are left out: editors write them.
fn names_in(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a name fits a pattern, in which every `*` stands for any letters.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(first) else {
        return false;
    };
    let mut tails = name.char_indices().map(|(at, _)| &name[at..]);
    tails.any(|tail| fits(rest, tail)) || fits(rest, "")
}

fn read_file(text: &TomlText<'_>, path: &Path) -> Option<IncludedFile> {
    let name = path.display().to_string();
    let unreadable = |why: &str| {
        let fault = Fault::error(format!("{name} can't be read: {why}"));
        text.report(fault.help("paths are relative to the folder of the first file"));
    };
    text.note_file(path);
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error.to_string()));
    let metadata = metadata.ok()?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        unreadable("it is not a file of at most 1 MiB");
        return None;
    }
    let read = fs::read_to_string(path).map_err(|error| unreadable(&error.to_string()));
    let text = read.ok()?;
    Some(IncludedFile { name, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters_of_a_name() {
        for (pattern, name, is_fit) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", true),
            ("*.toml", "a.toml.bak", false),
            ("*.toml", "a.tomm", false),
            ("shop-*.toml", "shop-a.toml", true),
            ("shop-*.toml", "a-shop-.toml", false),
            ("*-*.toml", "10-é.toml", true),
            ("*-*.toml", "10.toml", false),
            ("*", "anything", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
        ] {
            assert_eq!(fits(pattern, name), is_fit, "{pattern} {name}");
        }
    }
}
