//! Regular expressions as an operator writes them.

use std::fmt;

use regex::{Error, Regex, RegexBuilder};

/// How large a compiled expression may become. What shops call a key or token needs a thousandth.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// An expression that must match the whole of a text.
///
/// # Errors
///
/// Says what is wrong, for the operator to read.
pub(crate) fn parse(text: &str) -> Result<Regex, NotAPattern> {
    compile(text)?; // by itself: `a)|(b` would only fit between our brackets
    compile(&format!("^(?:{text})$"))
}

fn compile(text: &str) -> Result<Regex, NotAPattern> {
    RegexBuilder::new(text)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| NotAPattern(reason(&error)))
}

/// Syntax errors come as a picture whose last line says what is wrong.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// A text that is no regular expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAPattern(String);

impl fmt::Display for NotAPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a regular expression: {}", self.0)
    }
}

impl std::error::Error for NotAPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_must_match() {
        let pattern = parse("a|bc").unwrap();
        assert!(pattern.is_match("a") && pattern.is_match("bc"));
        assert!(!pattern.is_match("ab") && !pattern.is_match("bc\n"));
    }

    #[test]
    fn no_expression_leaves_its_brackets() {
        for text in ["a)|(b", "(", "a{1000}{1000}{1000}"] {
            let told = parse(text).unwrap_err().to_string();
            assert!(
                told.starts_with("expected a regular expression: "),
                "{told}"
            );
            assert!(!told.contains('\n'), "{told}");
        }
    }
}
