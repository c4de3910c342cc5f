//! `doorward config`: what is in force, and the schema by which editors complete and check a configuration.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use doorward::config;
use regex::Regex;
use serde_json::{Value, json};
use support::{doorward, put};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const REFERENCE: &str = include_str!("../conf/doorward.toml");
const SECRET: &str = "a secret of more than thirty-two bytes, as RFC 7518 wants it";

fn schema() -> Value {
    let printed = doorward(&["config", "schema"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    serde_json::from_str(&printed.stdout).unwrap()
}

#[test]
fn the_schema_beside_the_configuration_is_the_one_that_the_command_prints() {
    let printed = doorward(&["config", "schema"]).stdout;
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("doorward.schema.json");
    fs::write(&made, &printed).unwrap();
    let file = Path::new(ROOT).join("conf/doorward.schema.json");
    let is_same = fs::read_to_string(file).unwrap_or_default() == printed;
    assert!(is_same, "it is old: cp {} conf/", made.display());
    assert!(REFERENCE.starts_with("#:schema ./doorward.schema.json\n"));
}

/// What keeps a value from being what the schema says; the part of JSON Schema 2020-12 that the schema uses.
fn misfit(all: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let schema = match schema["$ref"].as_str() {
        Some(name) => all.pointer(name.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let no = |why: &str| Some(format!("{at}: {why}"));
    if let Some(ways) = schema["anyOf"].as_array() {
        let misfits: Option<Vec<_>> = ways.iter().map(|way| misfit(all, way, value, at)).collect();
        return misfits.map(|misfits| misfits.join("\n"));
    }
    if let Some(names) = schema["enum"].as_array() {
        return if names.contains(value) {
            None
        } else {
            no("not one of these")
        };
    }
    let kind = match value {
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => "null",
    };
    let is_kind = |wanted: &Value| {
        wanted == kind
            || wanted
                .as_array()
                .is_some_and(|all| all.contains(&json!(kind)))
    };
    if !is_kind(&schema["type"]) {
        return no(&format!("it is {kind}, not {}", schema["type"]));
    }
    match value {
        Value::String(text) => {
            let pattern = schema["pattern"]
                .as_str()
                .map(|pattern| Regex::new(pattern).unwrap());
            let fits = pattern.is_none_or(|pattern| pattern.is_match(text));
            if fits { None } else { no("not of the pattern") }
        }
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            let least = schema["minimum"].as_i64().unwrap_or(i64::MIN);
            let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
            if (least..=most).contains(&number) {
                None
            } else {
                no("out of range")
            }
        }
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(number, item)| {
                misfit(all, &schema["items"], item, &format!("{at}[{number}]"))
            })
        }
        Value::Object(table) => table.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            match schema["properties"].get(key) {
                Some(property) => misfit(all, property, value, &at),
                None if schema["additionalProperties"] == false => Some(format!("{at}: not known")),
                None => None,
            }
        }),
        Value::Null | Value::Bool(_) => None,
    }
}

fn parsed(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap();
    serde_json::to_value(table).unwrap()
}

#[test]
fn the_schema_takes_the_reference_with_every_key_and_refuses_what_the_reader_refuses() {
    let schema = schema();
    let misfit = |text: &str| misfit(&schema, &schema, &parsed(text), "");
    assert_eq!(misfit(REFERENCE), None);
    let full = REFERENCE.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with([' ', ':']) => key,
        Some(_) | None => line,
    });
    assert_eq!(misfit(&full.collect::<Vec<_>>().join("\n")), None);
    for (text, why) in [
        ("lgo = \"info\"", ".lgo: not known"),
        ("log = \"verbose\"", ".log: not one of these"),
        ("h2c = 1", ".h2c: it is integer"),
        ("listen = \"a\"", ".listen: it is string"),
        ("limits.streams = 0", ".limits.streams: out of range"),
        ("drain.delay = \"soon\"", ".drain.delay: not of the pattern"),
        ("[[shop]]\ntoken.laeway = \"1s\"", "token.laeway: not known"),
        (
            "[[shop]]\nroute = [{ enforce = \"requird\" }]",
            "enforce: not one of these",
        ),
        (
            "[defaults.shop]\nanswr = \"local\"",
            ".defaults.shop.answr: not known",
        ),
        ("[shop]\nname = \"a\"", ".shop: it is object"),
    ] {
        let told = misfit(text).unwrap_or_else(|| panic!("it fits: {text}"));
        assert!(told.contains(why), "{why}\n{told}");
    }
}

/// The configurations of a page: what stands in blocks of TOML and has a shop.
fn configurations_in(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let blocks = text.split("```toml\n").skip(1);
    let blocks = blocks.filter_map(|rest| Some(rest.split_once("\n```")?.0.to_owned()));
    blocks
        .filter(|block| block.contains("[[shop]]") && block.parse::<toml::Table>().is_ok())
        .collect()
}

fn pages_below(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|ending| ending == "md"))
        .collect()
}

#[test]
fn the_schema_takes_every_configuration_of_the_recipes_and_presets() {
    let schema = schema();
    let mut count = 0;
    for folder in [
        "docs/recipes",
        "docs/shops",
        "docs/behind",
        "docs/coming-from",
        "docs",
    ] {
        for page in pages_below(folder) {
            for text in configurations_in(&page) {
                let told = misfit(&schema, &schema, &parsed(&text), "");
                assert_eq!(told, None, "{}\n{text}", page.display());
                count += 1;
            }
        }
    }
    assert!(count > 15, "only {count} configurations were found");
    for file in fs::read_dir(Path::new(ROOT).join("conf/presets")).unwrap() {
        let file = file.unwrap().path();
        let preset = parsed(&fs::read_to_string(&file).unwrap());
        let told = misfit(&schema, &json!({ "$ref": "#/$defs/shop" }), &preset, "");
        assert_eq!(told, None, "{}", file.display());
    }
}

#[test]
fn the_schema_says_of_each_key_what_the_reference_says() {
    let schema = schema();
    let said = |path: &str| {
        let found = schema.pointer(path).unwrap_or_else(|| panic!("{path}"));
        found["description"].as_str().unwrap_or_default().to_owned()
    };
    assert!(said("/properties/data_dir").contains("The folder of the journal"));
    assert!(said("/$defs/shop/properties/hosts").contains("The hosts of the shop"));
    assert!(said("/properties/limits/properties/header_bytes").contains("431"));
    let duration = &schema["properties"]["drain"]["properties"]["delay"];
    assert_eq!(duration["type"], "string");
    let level = &schema["properties"]["log"]["enum"];
    assert_eq!(*level, json!(["error", "warn", "info", "debug"]));
}

fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "jwt.secret", SECRET, 0o600);
    let top = "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n";
    fs::write(folder.path().join("doorward.toml"), format!("{top}{text}")).unwrap();
    folder
}

const SHOP: &str = "[defaults.shop]\ntimeouts.read = \"7s\"\n\
    [[shop]]\nname = \"main\"\nhosts = [\"a\"]\npreset = \"bagisto\"\nupstream = [\"127.0.0.1:8000\"]\n\
    token.algorithms = [\"HS256\"]\ntoken.secret_file = \"jwt.secret\"\n\
    [[shop.route]]\nname = \"staff\"\npaths = [\"/staff\"]\nheaders = { x-staff = \"hunter2\" }\nenforce = \"required\"\n\
    [[shop]]\nname = \"other\"\nhosts = [\"b\"]\nupstream = [\"127.0.0.1:8001\"]\ntoken.kind = \"opaque\"\n\
    [cluster]\nnode = \"a\"\nlisten = \"127.0.0.1:7946\"\ninsecure = true\nbus = \"redis://:hunter2@127.0.0.1\"\n";

#[test]
fn what_is_in_force_is_shown_with_its_origin_and_without_secrets() {
    let folder = folder(SHOP);
    let file = folder.path().join("doorward.toml");
    let show = |more: &[&str]| {
        let shown = doorward(
            &[
                &["config", "show", "--config", file.to_str().unwrap()],
                more,
            ]
            .concat(),
        );
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert!(
            !shown.stdout.contains("hunter2") && !shown.stdout.contains(SECRET),
            "{shown:?}"
        );
        shown.stdout
    };
    let all: Value = serde_json::from_str(&show(&["--effective", "--format", "json"])).unwrap();
    let of = |table: &str, key: &str| {
        let mut all = all.as_array().unwrap().iter();
        let found = all.find(|one| one["table"] == table && one["key"] == key);
        found
            .cloned()
            .unwrap_or_else(|| panic!("{table} {key}\n{all:?}"))
    };
    let line_of = |one: &Value| one["line"].as_u64();
    let read = of("shop[0].timeouts", "read");
    assert_eq!(
        (&read["value"], line_of(&read)),
        (&json!("7s"), Some(4)),
        "{read}"
    );
    assert_eq!(
        of("shop[1].timeouts", "read")["value"],
        "7s",
        "it is inherited"
    );
    let write = of("shop[0].timeouts", "write");
    assert_eq!(
        (&write["value"], &write["origin"]),
        (&json!("1m"), &json!("default"))
    );
    assert_eq!(of("", "log")["value"], "info");
    assert_eq!(of("limits", "streams")["value"], 100);
    assert_eq!(of("", "operator_listen")["origin"], "left_out");
    let answer = of("shop[0].logout[0]", "paths");
    assert_eq!(answer["file"], "preset bagisto", "{answer}");
    assert_eq!(of("cluster", "bus")["origin"], "hidden");
    assert_eq!(of("shop[0].token", "secret_file")["value"], "jwt.secret");

    let written = show(&[]);
    assert!(
        !written.contains("# default") && written.contains("[[shop.route]]"),
        "{written}"
    );
    let effective = show(&["--effective"]);
    assert!(
        effective.contains("log = \"info\" # default"),
        "{effective}"
    );
    let reparsed: toml::Table = effective
        .parse()
        .unwrap_or_else(|fault| panic!("{fault}\n{effective}"));
    assert_eq!(reparsed["shop"].as_array().unwrap().len(), 2);
    let faulty = self::folder("lgo = 1\n");
    let file = faulty.path().join("doorward.toml");
    let shown = doorward(&["config", "show", "--config", file.to_str().unwrap()]);
    assert_eq!(shown.code, Some(78), "{shown:?}");
    assert!(shown.stderr.contains("unknown key `lgo`"), "{shown:?}");
}

/// What a configuration of one shop comes to, as far as it can be compared.
fn come_to(text: &str, folder: &Path) -> String {
    let Ok((config, _)) = config::parse("doorward.toml", text, folder) else {
        return format!("it does not load: {text}");
    };
    let (site, shop) = (&config.server.site, &config.shops[0]);
    let mut told = String::new();
    let level = (config.log, config.server.h2c);
    write!(told, "{:?} {:?} {level:?} ", site.limits, site.drain).unwrap();
    write!(
        told,
        "{:?} {:?} ",
        shop.verifier.settings(),
        site.pools.shops["main"]
    )
    .unwrap();
    write!(
        told,
        "{:?} {:?} {:?} ",
        shop.allowance, shop.clock, shop.demand
    )
    .unwrap();
    write!(
        told,
        "{:?} {:?} {:?} ",
        shop.examine, shop.path_style, shop.on_reissue
    )
    .unwrap();
    write!(
        told,
        "{:?} {:?} {:?}",
        shop.graphql,
        config.summary,
        config.explanation()
    )
    .unwrap();
    told
}

#[test]
fn a_default_that_is_shown_changes_nothing_when_it_is_written() {
    let folder = folder("");
    let with = |top: &str, shop: &str, token: &str, tables: &str| {
        format!(
            "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{top}[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:8000\"]\n{shop}\
             [shop.token]\nalgorithms = [\"HS256\"]\nsecret_file = \"jwt.secret\"\n{token}{tables}"
        )
    };
    let usual = come_to(&with("", "", "", ""), folder.path());
    let defaults = config::defaults();
    assert!(defaults.len() > 40, "{defaults:?}");
    let mut wrong = Vec::new();
    for ((table, key), value) in defaults {
        let line = format!("{key} = {value}\n");
        let text = match table.as_str() {
            "" => with(&line, "", "", ""),
            "shop" => with("", &line, "", ""),
            "shop.token" => with("", "", &line, ""),
            _ => with("", "", "", &format!("[{table}]\n{line}")),
        };
        if come_to(&text, folder.path()) != usual {
            wrong.push(format!("[{table}] {line}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
