//! What the comments of an enum say of its variants.

#![allow(unreachable_pub, reason = "a test exports nothing")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use syn::{Attribute, Expr, ExprLit, File, ImplItem, Item, Lit, Meta, Pat, Type};

use super::source::{SRC, files_below};

/// The file of the crate that defines this enum.
fn file_of(name: &str) -> File {
    let defined = format!("pub enum {name} {{");
    let texts = files_below(Path::new(SRC)).into_iter();
    let mut texts = texts.map(|file| fs::read_to_string(file).unwrap());
    let text = texts.find(|text| text.contains(&defined));
    syn::parse_file(&text.unwrap_or_else(|| panic!("no {defined}"))).unwrap()
}

/// The variants of an enum, each with what its comment says.
pub fn variants_of(name: &str) -> Vec<(String, String)> {
    let file = file_of(name);
    let found = file.items.iter().find_map(|item| match item {
        Item::Enum(found) if found.ident == name => Some(found),
        _ => None,
    });
    let variants = found.unwrap().variants.iter();
    let named = variants.map(|one| (one.ident.to_string(), comment_of(&one.attrs)));
    named.collect()
}

/// What a comment of the documentation says, without links into the code and without a full stop.
fn comment_of(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => string_in(&pair.value),
            _ => None,
        });
    let text = lines.collect::<Vec<_>>().join(" ");
    let mut said = String::new();
    let mut rest = text.trim();
    while let Some((before, link)) = rest.split_once("[`") {
        let (name, behind) = link.split_once("`]").unwrap();
        write!(said, "{before}`{name}`").unwrap();
        let target = behind
            .strip_prefix('(')
            .and_then(|target| target.split_once(')'));
        rest = target.map_or(behind, |(_, behind)| behind);
    }
    said.push_str(rest);
    said.trim_end_matches('.').to_owned()
}

/// The text that an expression is, if it is one.
pub fn string_in(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}

/// The words of an enum: its variants in the order of its function `name`, with the word and the comment of each.
pub fn words_of(name: &str) -> Vec<(String, String)> {
    let file = file_of(name);
    let comments: BTreeMap<_, _> = variants_of(name).into_iter().collect();
    let is_of_it = |of: &Type| matches!(of, Type::Path(path) if path.path.is_ident(name));
    let methods = file.items.iter().filter_map(|item| match item {
        Item::Impl(block) if block.trait_.is_none() && is_of_it(&block.self_ty) => {
            Some(&block.items)
        }
        _ => None,
    });
    let body = methods.flatten().find_map(|item| match item {
        ImplItem::Fn(method) if method.sig.ident == "name" => Some(&method.block),
        _ => None,
    });
    let syn::Stmt::Expr(Expr::Match(matched), _) = &body.unwrap().stmts[0] else {
        panic!("{name}::name is no match");
    };
    let arms = matched.arms.iter().map(|arm| {
        let path = match &arm.pat {
            Pat::Path(pattern) => &pattern.path,
            Pat::TupleStruct(pattern) => &pattern.path,
            Pat::Struct(pattern) => &pattern.path,
            _ => panic!("{name}::name has an arm of several"),
        };
        let variant = path.segments.last().unwrap().ident.to_string();
        (string_in(&arm.body).unwrap(), comments[&variant].clone())
    });
    arms.collect()
}
