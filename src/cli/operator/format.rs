//! In which form a command prints what a process answers.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::cli::output::print;

/// In which form a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// For commands that print for people where nothing else is said.
#[derive(Args)]
pub(in crate::cli) struct TextFormat {
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(in crate::cli) format: Format,
}

/// For commands that print for programs where nothing else is said.
#[derive(Args)]
pub(in crate::cli) struct JsonFormat {
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(in crate::cli) format: Format,
}

/// Prints an answer.
pub(super) fn print_value(value: &Value, format: Format) {
    match format {
        Format::Json => print(&format!("{value:#}\n")),
        Format::Text => print(&lines_of(value)),
    }
}

/// An answer as lines `key  value`, what belongs to a key indented below it.
pub(super) fn lines_of(value: &Value) -> String {
    let mut text = String::new();
    write_below(&mut text, value, 0);
    text
}

fn write_below(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if is_nested(value) {
                    let _ = writeln!(text, "{indent}{key}"); // a String takes everything
                    write_below(text, value, depth + 1);
                } else {
                    let _ = writeln!(text, "{indent}{key}  {}", plain(value));
                }
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                if is_nested(item) {
                    let _ = writeln!(text, "{indent}{}.", number + 1);
                    write_below(text, item, depth + 1);
                } else {
                    let _ = writeln!(text, "{indent}{}", plain(item));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = writeln!(text, "{indent}{}", plain(value));
        }
    }
}

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A value in one line. What clients wrote may hold characters that would steer the terminal.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => harmless(text),
        Value::Array(_) | Value::Object(_) => "none".to_owned(),
    }
}

/// A text without characters that would steer the terminal.
pub(super) fn harmless(text: &str) -> String {
    let is_plain = |character: &char| !character.is_control();
    text.chars()
        .map(|character| if is_plain(&character) { character } else { '?' })
        .collect()
}

/// Colours, on a terminal whose user did not switch them off (<https://no-color.org>).
#[derive(Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    /// For standard output.
    pub(super) fn for_stdout() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb)
    }

    /// Without colours.
    #[cfg(test)]
    pub(super) const fn off() -> Self {
        Self(false)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn odd(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with("31;1", text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_told_line_by_line_and_steers_no_terminal() {
        let answer = json!({ "a": 1, "b": [], "c": { "d": null }, "e": [true, "x\u{1b}[2Jy"] });
        let lines = lines_of(&answer);
        assert_eq!(lines, "a  1\nb  none\nc\n  d  -\ne\n  yes\n  x?[2Jy\n");
    }
}
