//! Loads a configuration: into the typed parts of the program, or with every fault at once.

use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::LevelFilter;

use super::cluster;
use super::fault::{Fault, Faults, lines_without_secrets};
use super::include;
use super::loops;
use super::outline;
use super::own_cookies;
use super::presets::Presets;
use super::process::{self, acme};
use super::reading::{Loading, NamedFile, SourceLines, TomlDocument, TomlTable, report_conflicts};
use super::route;
use super::shop::{self, ReadShop, RuleSources, ShopClaims, Surroundings, neighbours};
use super::upstream;
use crate::request::Shop;
use crate::server::Settings;

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
    /// The files that it names.
    pub files: Vec<NamedFile>,
    /// Where the rules of each shop are written.
    pub sources: Vec<RuleSources>,
    /// Where the keys of the process are written.
    pub lines: SourceLines,
}

/// Reads a configuration file. What comes along are warnings.
///
/// # Errors
///
/// Every fault of the file.
pub fn load(path: &Path) -> Result<(Config, Faults), Faults> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => parse(&name, &text, folder_of(path)),
        Err(error) => {
            let fault = Fault::error(format!("{name} can't be read: {error}"));
            let mut faults = Faults::default();
            faults.push(fault.help("write it, or name another with --config"));
            Err(faults)
        }
    }
}

/// The folder that the files of a configuration are relative to.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The control socket of a configuration that may be half edited: the keys around are not judged. `None`: the file can't
/// be read, or has neither `control` nor `data_dir`.
pub fn control_of(path: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(path).ok()?;
    with_root(path, &text, process::control_of)
}

/// The files that a configuration consists of and names, and its data folder, as far as they can be told: it may be faulty.
pub fn files_of(path: &Path) -> (Vec<NamedFile>, Option<PathBuf>) {
    let mut files = vec![NamedFile::unnamed(path)];
    let Ok(text) = fs::read_to_string(path) else {
        return (files, None);
    };
    let loading = Loading::relative_to(folder_of(path));
    drop(read(&path.display().to_string(), &text, &loading)); // its files are noted on the way
    files.extend(loading.take_files());
    (files, with_root(path, &text, process::data_dir_of))
}

/// Reads something of a configuration that may be faulty.
fn with_root<T>(path: &Path, text: &str, read: impl FnOnce(TomlTable<'_>) -> T) -> T {
    let name = path.display().to_string();
    let loading = Loading::relative_to(folder_of(path));
    let first = TomlDocument::parse(&name, text, &loading);
    let files = include::read(&first, &name);
    let included = include::parse(&files, &loading);
    read(TomlTable::roots(&first, &included))
}

/// The text of a configuration without the lines that may hold a secret.
pub fn without_secrets(path: &Path) -> io::Result<String> {
    Ok(lines_without_secrets(&fs::read_to_string(path)?))
}

/// Reads the text of a configuration. Reports call it `name`; files that it names are relative to
/// `base_dir`.
///
/// # Errors
///
/// Every fault of the text and of the key files that it names.
pub fn parse(name: &str, text: &str, base_dir: &Path) -> Result<(Config, Faults), Faults> {
    let loading = Loading::relative_to(base_dir);
    let config = read(name, text, &loading);
    let files = loading.take_files();
    let faults = loading.into_faults();
    match config {
        Some(config) if !faults.is_fatal() => Ok((Config { files, ..config }, faults)),
        Some(_) | None => Err(faults),
    }
}

/// Reads the text of a configuration, and the files that it includes; its faults are noted.
pub(super) fn read(name: &str, text: &str, loading: &Loading) -> Option<Config> {
    let presets = Presets::parse(loading);
    let first = TomlDocument::parse(name, text, loading);
    let files = include::read(&first, name);
    let included = include::parse(&files, loading);
    let all: Vec<_> = iter::once(&first).chain(&included).collect();
    report_conflicts(&all);
    let mut root = TomlTable::roots(&first, &included);
    root.ignore("include");
    let mut config = read_root(root, &presets, loading)?;
    let texts = iter::once(text).chain(files.iter().map(|file| file.text.as_str()));
    config.server.outline = outline::digest_keys(texts, loading.base_dir());
    let names = files.iter().map(|file| format!("included {}", file.name));
    config.summary.splice(0..0, names);
    Some(config)
}

fn read_root(mut root: TomlTable<'_>, presets: &Presets<'_>, loading: &Loading) -> Option<Config> {
    let mut process = process::read(&mut root);
    let upstreams = upstream::read(&mut root);
    let around = Surroundings {
        presets,
        defaults: read_defaults(&mut root),
        known_logouts: Arc::new(presets.known_logouts()),
        prefix: process::read_prefix(&mut root),
        is_observed: route::read_observe_of_process(&mut root),
        upstreams: &upstreams,
        is_encrypted: process
            .as_ref()
            .is_none_or(|read| read.server.is_encrypted()),
        process: process.as_ref().map(|process| &process.server.site),
    };
    let tables = root.tables("shop");
    if tables.is_empty() {
        root.missing("shop", "at least one shop, under [[shop]]");
    }
    let mut shops = read_shops(tables, &around);
    if let Some(shops) = &mut shops {
        neighbours::note_neighbours(shops);
        neighbours::own_domains(shops);
        neighbours::note_key_neighbours(shops);
        for fault in neighbours::faults(shops) {
            root.report(fault);
        }
    }
    for fault in own_cookies::faults(shops.as_deref().unwrap_or_default(), &upstreams) {
        root.report(fault);
    }
    upstreams.warn_of_unused(&root);
    if let (Some(process), Some(shops)) = (&mut process, &shops)
        && let Some(settings) = &mut process.server.site.acme
    {
        acme::complete(&root, settings, shops.iter().map(|read| &read.shop));
    }
    let lines = root.lines();
    root.finish();
    let process = process?;
    for fault in loops::faults(&process.server, shops.as_deref()?, &upstreams) {
        loading.report(fault);
    }
    let mut server = process.server;
    let summary = upstreams.summary();
    server.site.pools.named = upstreams.into_servers();
    Some(Config {
        lines,
        ..assembled(server, process.log, summary, shops?)
    })
}

/// What every shop says that does not say otherwise: `[defaults.shop]`.
fn read_defaults<'a>(root: &mut TomlTable<'a>) -> Option<TomlTable<'a>> {
    let mut defaults = root.table("defaults")?;
    let shop = defaults.table("shop");
    defaults.finish();
    if let Some(shop) = &shop {
        let fault = Fault::error("every shop would have the same name");
        shop.report_at("name", fault.help("write `name` in each [[shop]]"));
    }
    shop
}

/// Reads every `[[shop]]`; `None`: one of them has a fault.
fn read_shops<'a>(tables: Vec<TomlTable<'a>>, around: &Surroundings<'a>) -> Option<Vec<ReadShop>> {
    let mut claims = ShopClaims::default();
    let shops = tables.into_iter();
    let shops: Vec<_> = shops
        .map(|table| shop::read(table, around, &mut claims))
        .collect();
    shops.into_iter().collect()
}

fn assembled(
    mut server: Settings,
    log: LevelFilter,
    upstreams: Vec<String>,
    read: Vec<ReadShop>,
) -> Config {
    let cluster = server.cluster.as_ref();
    let mut summary: Vec<_> = cluster
        .map(|cluster| cluster::summary(cluster, &server.data_dir))
        .into_iter()
        .chain(server.site.acme.as_ref().map(acme::summary))
        .collect();
    summary.extend(upstreams);
    let (mut shops, mut sources) = (Vec::new(), Vec::new());
    for one in read {
        let name = one.shop.name.clone();
        server.site.pools.shops.insert(name, one.upstreams);
        summary.extend(one.summary);
        shops.push(one.shop);
        sources.push(one.sources);
    }
    Config {
        shops,
        server,
        log,
        summary,
        files: Vec::new(),
        sources,
        lines: SourceLines::default(),
    }
}
