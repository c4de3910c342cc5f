//! `doorward preset`: the presets that are built in.

use clap::Subcommand;
use serde_json::json;

use super::exit::{CommandError, Exit};
use super::output::print;
use crate::config::{preset_text, presets};

/// What is asked of the presets.
#[derive(Subcommand)]
pub(super) enum PresetCommand {
    /// Print the name of every preset, and what it is for
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what a preset says, as `[[shop]]` could say it
    Show {
        /// The name of the preset
        name: String,
    },
}

/// Prints what is asked for.
pub(super) fn run(command: &PresetCommand) -> Result<(), CommandError> {
    match command {
        PresetCommand::List { json } => list(*json),
        PresetCommand::Show { name } => {
            let Some(text) = preset_text(name) else {
                let names: Vec<_> = presets().map(|(name, _)| name).collect();
                let why = format!(
                    "no preset is called {name}\n  help: known: {}",
                    names.join(", ")
                );
                return Err(CommandError::new(Exit::Usage, why));
            };
            print(text);
        }
    }
    Ok(())
}

fn list(as_json: bool) {
    let all = presets().map(|(name, text)| (name, title_of(text)));
    if as_json {
        let all = all.map(|(name, title)| json!({ "name": name, "title": title }));
        let all: Vec<_> = all.collect();
        print(&format!("{:#}\n", json!(all)));
        return;
    }
    for (name, title) in all {
        print(&format!("{name:20} {title}\n"));
    }
}

/// The first sentence of a preset, which says what it is for.
fn title_of(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches(['#', ' ']).trim_end_matches('.')
}
