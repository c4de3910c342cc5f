//! The configuration: from a file to the typed parts of the program, or to every fault of it at once.
//!
//! What is written twice merges everywhere in the same way: a key of the operator's overrides the same key
//! of the preset, sub-tables merge key by key, arrays of tables are concatenated, the operator's first.

mod append;
mod cluster;
mod fault;
mod outline;
mod presets;
mod process;
mod reading;
mod rules;
mod shop;
mod token;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::LevelFilter;

pub use append::{NotAppended, append};
pub use cluster::written::ClusterTable;
pub use fault::{Fault, Faults, Severity, Source, Spot};

use crate::request::Shop;
use crate::server::Settings;
use presets::Presets;
use reading::{Document, Table};
use shop::claims::Taken;
use shop::settings::{self as shop_settings, Home};

/// Everything that a configuration file says.
pub struct Config {
    /// The shops, in the order in which they are asked for a host.
    pub shops: Vec<Shop>,
    /// What the server needs to know.
    pub server: Settings,
    /// What is logged.
    pub log: LevelFilter,
    /// What `check` prints of the cluster and the shops, line by line.
    pub summary: Vec<String>,
}

/// Reads a configuration file. What comes along are warnings.
///
/// # Errors
///
/// Every fault of the file.
pub fn load(path: &Path) -> Result<(Config, Faults), Faults> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => parse(&name, &text, path.parent().unwrap_or(Path::new(""))),
        Err(error) => {
            let fault = Fault::error(format!("{name} can't be read: {error}"));
            let mut faults = Faults::default();
            faults.push(fault.help("write it, or name another with --config"));
            Err(faults)
        }
    }
}

/// Where the control socket is by a configuration that may be half edited: the keys around are not judged. `None`: it can't
/// be read, or says neither `control` nor `data_dir`.
pub fn control_of(path: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(path).ok()?;
    let document = Document::parse("", &text, &mut Faults::default());
    let base_dir = path.parent().unwrap_or(Path::new(""));
    process::settings::control_of(Table::root(&document), base_dir)
}

/// Reads the text of a configuration. Reports call it `name`; files that it names are relative to
/// `base_dir`.
///
/// # Errors
///
/// Every fault of the text and of the key files that it names.
pub fn parse(name: &str, text: &str, base_dir: &Path) -> Result<(Config, Faults), Faults> {
    let mut faults = Faults::default();
    let presets = Presets::parse(&mut faults);
    let document = Document::parse(name, text, &mut faults);
    let config = read(Table::root(&document), &presets, base_dir, &mut faults);
    match config {
        Some(mut config) if !faults.is_fatal() => {
            config.server.outline = outline::of(text, base_dir);
            Ok((config, faults))
        }
        Some(_) | None => Err(faults),
    }
}

fn read<'a>(
    mut root: Table<'a>,
    presets: &'a Presets,
    base_dir: &Path,
    faults: &mut Faults,
) -> Option<Config> {
    let process = process::settings::read(&mut root, base_dir, faults);
    let prefix = process::settings::read_prefix(&mut root, faults);
    let known_logouts = Arc::new(presets.known_logouts(faults));
    let home = Home {
        presets,
        known_logouts: &known_logouts,
        base_dir,
        prefix: &prefix,
    };
    let mut taken = Taken::default();
    let tables = root.tables("shop", faults).into_iter();
    let shops: Vec<_> = tables
        .map(|table| shop_settings::read(table, &home, &mut taken, faults))
        .collect();
    if shops.is_empty() {
        root.missing("shop", "at least one shop, under [[shop]]", faults);
    }
    root.finish(faults);
    let mut shops: Option<Vec<_>> = shops.into_iter().collect();
    if let Some(shops) = &mut shops {
        shop_settings::own_domains(shops);
        shop_settings::note_neighbours(shops);
        shop_settings::warn_of_neighbours(shops, faults);
    }
    Some(process?.with(shops?))
}
