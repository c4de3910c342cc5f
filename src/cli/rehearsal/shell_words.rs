//! The words of a command line as a POSIX shell, or bash for `$'…'`, reads them. Nothing is expanded.

use std::iter::Peekable;
use std::str::Chars;

use super::sample_error::SampleError;

/// The words of a line.
pub(super) fn words(line: &str) -> Result<Vec<String>, SampleError> {
    let mut rest = line.chars().peekable();
    let mut words = Vec::new();
    while let Some(word) = next_word(&mut rest)? {
        words.push(word);
    }
    Ok(words)
}

fn next_word(rest: &mut Peekable<Chars<'_>>) -> Result<Option<String>, SampleError> {
    let mut word: Option<String> = None;
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' if word.is_some() => return Ok(word),
            ' ' | '\t' | '\r' | '\n' => {}
            '\\' => match rest.next() {
                Some('\n') => {}
                Some('\r') => drop(rest.next_if_eq(&'\n')),
                Some(other) => word.get_or_insert_default().push(other),
                None => return Err(SampleError::new("the line ends with a backslash")),
            },
            '\'' => single_quoted(rest, word.get_or_insert_default())?,
            '"' => double_quoted(rest, word.get_or_insert_default())?,
            '$' if rest.peek() == Some(&'\'') => {
                rest.next();
                ansi_quoted(rest, word.get_or_insert_default())?;
            }
            '|' | ';' | '&' | '<' | '>' | '`' => {
                let why = format!("`{c}` outside of quotes: give the curl command alone");
                return Err(SampleError::new(why));
            }
            '^' => {
                let why = "`^` outside of quotes: this line is for cmd.exe; copy it as cURL (bash)";
                return Err(SampleError::new(why));
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    Ok(word)
}

fn unclosed() -> SampleError {
    SampleError::new("a quote is not closed: is the line whole?")
}

fn single_quoted(rest: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), SampleError> {
    for c in rest {
        match c {
            '\'' => return Ok(()),
            other => word.push(other),
        }
    }
    Err(unclosed())
}

fn double_quoted(rest: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), SampleError> {
    while let Some(c) = rest.next() {
        match c {
            '"' => return Ok(()),
            '\\' => match rest.next() {
                Some('\n') => {}
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(other) => word.extend(['\\', other]),
                None => return Err(unclosed()),
            },
            other => word.push(other),
        }
    }
    Err(unclosed())
}

/// `$'…'`, as browsers write texts with quotes and other letters.
fn ansi_quoted(rest: &mut Peekable<Chars<'_>>, word: &mut String) -> Result<(), SampleError> {
    while let Some(c) = rest.next() {
        match c {
            '\'' => return Ok(()),
            '\\' => match rest.next() {
                Some('n') => word.push('\n'),
                Some('r') => word.push('\r'),
                Some('t') => word.push('\t'),
                Some('u') => word.push(code(rest, 4)?),
                Some('U') => word.push(code(rest, 8)?),
                Some('x') => word.push(code(rest, 2)?),
                Some(c @ ('\'' | '"' | '\\' | '?')) => word.push(c),
                Some(other) => word.extend(['\\', other]),
                None => return Err(unclosed()),
            },
            other => word.push(other),
        }
    }
    Err(unclosed())
}

/// A character by at most this many hexadecimal digits.
fn code(rest: &mut Peekable<Chars<'_>>, most: usize) -> Result<char, SampleError> {
    let mut number = 0;
    for _ in 0..most {
        let Some(digit) = rest.peek().and_then(|c| c.to_digit(16)) else {
            break;
        };
        number = number * 16 + digit;
        rest.next();
    }
    let found = char::from_u32(number);
    found.ok_or_else(|| SampleError::new("a \\u in $'…' is no character"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (line, wanted) in [
            ("curl 'a b'  \"c \\\" d\"", vec!["curl", "a b", "c \" d"]),
            ("a \\\n  -b", vec!["a", "-b"]),
            ("x'y'\"z\" ''", vec!["xyz", ""]),
            (r"$'it\'s \u0021\n'", vec!["it's !\n"]),
            (r#""\a" \b"#, vec!["\\a", "b"]),
        ] {
            assert_eq!(words(line).unwrap(), wanted, "{line}");
        }
        for unfit in ["'a", "a | b", "curl ^\"x^\"", "a\\", "$'\\uD800'"] {
            assert!(words(unfit).is_err(), "{unfit}");
        }
    }
}
