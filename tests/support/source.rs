//! The crate's own source, parsed: which file names what of which other one.
//!
//! Tests that stand inside a file are left out: they may name what they test and what it is tested with.

#![allow(unreachable_pub, reason = "a test exports nothing")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// The crate's `src`.
pub const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// A path of modules and names, without `crate`.
type Names = Vec<String>;

/// One file of the crate.
pub struct SourceFile {
    /// Below `src`, with `/`.
    pub place: String,
    /// Whether it only declares modules and names what they have.
    pub only_declares: bool,
    /// The types that it defines.
    pub types: Vec<String>,
    module: Names,
    paths: Paths,
    /// What it lends to those who name it: a name, and where it comes from.
    lent: Vec<(String, Names)>,
}

impl SourceFile {
    fn parse(place: String, text: &str) -> Self {
        let File { mut items, .. } = syn::parse_file(text).unwrap();
        items.retain(|item| {
            let is_folder = matches!(item, Item::Mod(ItemMod { content: None, .. }));
            is_folder || !is_for_tests(attributes_of(item))
        });
        let only_declares = items.iter().all(|item| {
            matches!(
                item,
                Item::Mod(ItemMod { content: None, .. }) | Item::Use(_)
            )
        });
        let mut paths = Paths::default();
        let mut lent = Vec::new();
        for item in &items {
            paths.visit_item(item);
            if let Item::Use(item) = item
                && (only_declares || !matches!(item.vis, Visibility::Inherited))
            {
                lent.extend(
                    leaves(&item.tree)
                        .into_iter()
                        .map(|(path, name)| (name, path)),
                );
            }
        }
        Self {
            module: module_of(&place),
            place,
            only_declares,
            types: items.iter().filter_map(type_of).collect(),
            paths,
            lent,
        }
    }

    pub fn is_module_root(&self) -> bool {
        self.place.ends_with("mod.rs") || self.place == "lib.rs"
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "no other item defines a type"
)]
fn type_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Enum(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// All files of the crate but `main.rs`, and files that are tests only.
pub struct Crate {
    pub files: Vec<SourceFile>,
    by_module: BTreeMap<Names, usize>,
    /// What a module passes on: a name there, and where it comes from.
    passed_on: BTreeMap<(Names, String), Names>,
}

/// The Rust files below a path, or the one it is.
pub fn files_below(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap();
    let mut found: Vec<_> = entries
        .flat_map(|entry| files_below(&entry.unwrap().path()))
        .collect();
    found.retain(|file| file.extension().is_some_and(|ending| ending == "rs"));
    found.sort();
    found
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the others stand for no code of ours"
)]
fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn module_of(place: &str) -> Names {
    let stem = place.trim_end_matches(".rs");
    let mut names: Names = stem.split('/').map(str::to_owned).collect();
    if names
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        names.pop();
    }
    names
}

impl Crate {
    /// Reads and parses `src`.
    pub fn read() -> Self {
        let root = Path::new(SRC);
        let mut files = Vec::new();
        for path in files_below(root) {
            let place = path.strip_prefix(root).unwrap().display().to_string();
            if place == "main.rs" || place.ends_with("tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            files.push(SourceFile::parse(place, &text));
        }
        let numbered = files.iter().enumerate();
        let by_module = numbered
            .map(|(at, file)| (file.module.clone(), at))
            .collect();
        let mut read = Self {
            files,
            by_module,
            passed_on: BTreeMap::new(),
        };
        read.passed_on = read.find_passed_on();
        read
    }

    fn find_passed_on(&self) -> BTreeMap<(Names, String), Names> {
        let mut passed_on = BTreeMap::new();
        for file in &self.files {
            for (name, path) in &file.lent {
                if let Some(absolute) = self.absolute(&file.module, path) {
                    passed_on.insert((file.module.clone(), name.clone()), absolute);
                }
            }
        }
        passed_on
    }

    /// A path as it stands in a module, from the root of the crate; `None` outside of the crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Names> {
        let mut here = module.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => return Some(rest[1..].to_vec()),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    here.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                here.push(child.to_owned());
                if !self.by_module.contains_key(&here) {
                    return None;
                }
                rest = &rest[1..];
            }
        }
        here.extend(rest.iter().cloned());
        Some(here)
    }

    /// The file that has what a path from the root names, through everything that passes it on.
    fn file_of(&self, path: &[String]) -> Option<usize> {
        let mut module = Names::new();
        for (at, name) in path.iter().enumerate() {
            let mut deeper = module.clone();
            deeper.push(name.clone());
            if self.by_module.contains_key(&deeper) {
                module = deeper;
                continue;
            }
            if let Some(origin) = self.passed_on.get(&(module.clone(), name.clone())) {
                let mut further = origin.clone();
                further.extend(path[at + 1..].iter().cloned());
                return self.file_of(&further);
            }
            break;
        }
        self.by_module.get(&module).copied()
    }

    /// The files that each file names something of.
    pub fn imports(&self) -> Vec<BTreeSet<usize>> {
        let numbered = self.files.iter().enumerate();
        numbered
            .map(|(number, file)| {
                let found = file.paths.found.iter().filter_map(|path| {
                    let through = file.paths.local.get(&path[0]).filter(|_| path.len() > 1);
                    let full = through.map(|start| [start, &path[1..]].concat());
                    let absolute = self.absolute(&file.module, full.as_ref().unwrap_or(path))?;
                    self.file_of(&absolute)
                });
                let mut named: BTreeSet<_> = found.collect();
                named.remove(&number);
                named.retain(|other| !self.files[*other].only_declares);
                named
            })
            .collect()
    }
}

/// Every path of a use tree, and the name that it gets.
fn leaves(tree: &UseTree) -> Vec<(Names, String)> {
    match tree {
        UseTree::Path(path) => {
            let name = path.ident.to_string();
            let mut below = leaves(&path.tree);
            for (path, local) in &mut below {
                if local == "self" {
                    local.clone_from(&name);
                    path.pop();
                }
                path.insert(0, name.clone());
            }
            below
        }
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(rename) => {
            vec![(vec![rename.ident.to_string()], rename.rename.to_string())]
        }
        UseTree::Glob(_) => Vec::new(),
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

/// Every path of two names and more in a file, in macros, too, and what its imports are called.
#[derive(Default)]
struct Paths {
    found: BTreeSet<Names>,
    local: BTreeMap<String, Names>,
}

impl Paths {
    fn look_into(&mut self, tokens: TokenStream) {
        let mut path = Names::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end_of(&mut path);
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end_of(&mut path);
                    colons = 0;
                    self.look_into(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.end_of(&mut path);
                    colons = 0;
                }
            }
        }
        self.end_of(&mut path);
    }

    fn end_of(&mut self, path: &mut Names) {
        if path.len() > 1 {
            self.found.insert(path.clone());
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for (path, name) in leaves(&item.tree) {
            self.found.insert(path.clone());
            self.local.insert(name, path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if names.len() > 1 {
            self.found.insert(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.look_into(called.tokens.clone());
    }
}

/// The circles: files that name each other directly or by way of others.
pub fn circles(imports: &[BTreeSet<usize>]) -> Vec<BTreeSet<usize>> {
    let reach: Vec<BTreeSet<usize>> = (0..imports.len())
        .map(|from| reached(imports, from))
        .collect();
    let mut found = Vec::new();
    for from in 0..imports.len() {
        let circle: BTreeSet<usize> = reach[from]
            .iter()
            .copied()
            .filter(|to| reach[*to].contains(&from))
            .collect();
        if !circle.is_empty() && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

fn reached(imports: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<usize> = imports[from].iter().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(imports[file].iter().copied());
        }
    }
    reached
}
