//! Variables of the environment in the paths of a configuration: `${CREDENTIALS_DIRECTORY}/jwt.secret`.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// Why a path can't be made of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UnfitPath {
    /// A variable is not set, or is empty.
    Unset(String),
    /// A `$` begins no name of a variable.
    Malformed,
}

/// A path with its variables replaced by their values. `$$` stands for `$`.
pub(crate) fn expanded(text: &str) -> Result<PathBuf, UnfitPath> {
    with_variables(text, |name| env::var_os(name))
}

fn with_variables(
    text: &str,
    value_of: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, UnfitPath> {
    let mut path = OsString::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        path.push(before);
        if let Some(behind) = behind.strip_prefix('$') {
            path.push("$");
            rest = behind;
            continue;
        }
        let (name, behind) = variable(behind).ok_or(UnfitPath::Malformed)?;
        let value = value_of(name).filter(|value| !value.is_empty());
        path.push(value.ok_or_else(|| UnfitPath::Unset(name.to_owned()))?);
        rest = behind;
    }
    path.push(rest);
    Ok(PathBuf::from(path))
}

/// The name of a variable, in braces or without, and what stands behind it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let (name, behind) = match text.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => text.split_at(
            text.find(|letter| !is_of_name(letter))
                .unwrap_or(text.len()),
        ),
    };
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    (begins && name.chars().all(is_of_name)).then_some((name, behind))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<PathBuf, UnfitPath> {
        with_variables(text, |name| match name {
            "DIR" => Some("/run/credentials".into()),
            "_2" => Some("two".into()),
            "EMPTY" => Some(OsString::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_stand_anywhere_in_a_path_with_braces_or_without() {
        for (text, path) in [
            ("keys/jwt.secret", "keys/jwt.secret"),
            ("${DIR}/jwt.secret", "/run/credentials/jwt.secret"),
            ("$DIR/jwt.secret", "/run/credentials/jwt.secret"),
            ("keys/${_2}.pem", "keys/two.pem"),
            ("keys/$_2.pem", "keys/two.pem"),
            ("${DIR}${_2}", "/run/credentialstwo"),
            ("keys/a$$b.pem", "keys/a$b.pem"),
            ("$$DIR", "$DIR"),
            ("", ""),
        ] {
            assert_eq!(read(text).as_deref(), Ok(Path::new(path)), "{text}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_or_empty_is_no_path() {
        for (text, name) in [("$NONE/a", "NONE"), ("a/${EMPTY}", "EMPTY")] {
            assert_eq!(read(text), Err(UnfitPath::Unset(name.to_owned())), "{text}");
        }
        for text in [
            "a$", "$/a", "${DIR", "${}", "$2", "${A-b}", "${ DIR }", "$(DIR)",
        ] {
            assert_eq!(read(text), Err(UnfitPath::Malformed), "{text}");
        }
    }
}
