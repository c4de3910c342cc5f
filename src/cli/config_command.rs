//! `doorward config`: the configuration that is in force, and its schema.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::exit::{CommandError, Exit};
use super::faults::print_faults;
use super::file_argument::FileArgument;
use super::output::print;
use crate::config::{self, EffectiveKey, KeyOrigin};

/// What is asked of the configuration.
#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every key that is in force, with the place that it comes from; what may be a secret is not printed
    Show(ShowArguments),
    /// Print the JSON Schema of the configuration, with which editors complete and check it
    Schema,
}

/// How the configuration is shown.
#[derive(Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    file: FileArgument,
    /// Also print the keys that are left out, with their defaults
    #[arg(long)]
    effective: bool,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: ShownFormat,
}

/// How the configuration is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ShownFormat {
    /// As a configuration, with a comment behind each key
    #[default]
    Toml,
    /// One object for each key
    Json,
}

/// Prints what is asked for.
pub(super) fn run(command: &ConfigCommand) -> Result<(), CommandError> {
    match command {
        ConfigCommand::Show(arguments) => show(arguments),
        ConfigCommand::Schema => {
            print(&format!("{:#}\n", config::schema()));
            Ok(())
        }
    }
}

fn show(arguments: &ShowArguments) -> Result<(), CommandError> {
    let keys = config::effective(&arguments.file.config).map_err(|faults| {
        print_faults(&faults);
        CommandError::printed(Exit::Config)
    })?;
    let is_told = |key: &&EffectiveKey| match key.origin {
        KeyOrigin::Written(..) | KeyOrigin::Hidden(..) => true,
        KeyOrigin::Default | KeyOrigin::LeftOut => arguments.effective,
    };
    let keys: Vec<_> = keys.iter().filter(is_told).collect();
    match arguments.format {
        ShownFormat::Toml => print(&as_toml(&keys)),
        ShownFormat::Json => {
            let keys: Vec<_> = keys.into_iter().map(as_json).collect();
            print(&format!("{:#}\n", json!(keys)));
        }
    }
    Ok(())
}

/// The configuration in force without what may be a secret; `None`: it has faults.
pub(super) fn in_force(path: &Path) -> Option<String> {
    let keys = config::effective(path).ok()?;
    let keys: Vec<_> = keys.iter().collect();
    Some(as_toml(&keys))
}

fn as_toml(keys: &[&EffectiveKey]) -> String {
    let mut out = String::new();
    let mut table = "";
    for key in keys {
        if key.table != table {
            table = &key.table;
            let _ = write!(out, "\n{}\n", header(table));
        }
        let name = quoted(&key.key);
        let _ = match (&key.value, &key.origin) {
            (_, KeyOrigin::Hidden(file, line)) => {
                writeln!(
                    out,
                    "# {name} is not shown, for it may be a secret: {file}:{line}"
                )
            }
            (Some(value), KeyOrigin::Written(file, line)) => {
                writeln!(out, "{name} = {value} # {file}:{line}")
            }
            (Some(value), KeyOrigin::Default | KeyOrigin::LeftOut) => {
                writeln!(out, "{name} = {value} # default")
            }
            (None, _) => writeln!(out, "# {name} is left out"),
        };
    }
    out
}

/// The header of a table: `[[shop.route]]` for `shop[0].route[1]`.
fn header(table: &str) -> String {
    let is_item = table.ends_with(']');
    let mut names = String::new();
    for (at, part) in table.split('[').enumerate() {
        let rest = part.split_once(']').filter(|_| at > 0);
        names.push_str(rest.map_or(part, |(_, rest)| rest));
    }
    if is_item {
        format!("[[{names}]]")
    } else {
        format!("[{names}]")
    }
}

/// A key as it must be written.
fn quoted(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !key.is_empty() && key.bytes().all(is_bare) {
        key.to_owned()
    } else {
        toml::Value::String(key.to_owned()).to_string()
    }
}

fn as_json(key: &EffectiveKey) -> Value {
    let (origin, file, line) = match &key.origin {
        KeyOrigin::Written(file, line) => ("written", Some(file), Some(line)),
        KeyOrigin::Hidden(file, line) => ("hidden", Some(file), Some(line)),
        KeyOrigin::Default => ("default", None, None),
        KeyOrigin::LeftOut => ("left_out", None, None),
    };
    json!({
        "table": key.table,
        "key": key.key,
        "value": key.value,
        "origin": origin,
        "file": file,
        "line": line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_headed_as_it_is_written() {
        for (table, shown) in [
            ("limits", "[limits]"),
            ("shop[0]", "[[shop]]"),
            ("shop[1].token", "[shop.token]"),
            ("shop[1].route[10]", "[[shop.route]]"),
            ("shop[1].route[10].limit", "[shop.route.limit]"),
        ] {
            assert_eq!(header(table), shown);
        }
        assert_eq!(quoted("data_dir"), "data_dir");
        assert_eq!(quoted("4xx a"), "\"4xx a\"");
    }
}
