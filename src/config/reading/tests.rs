//! What the reader of tables makes of files: merged layers, and every fault at once.

use std::panic::catch_unwind;
use std::path::Path;

use super::{Loading, TomlDocument, TomlTable, TomlText};
use crate::config::fault::Faults;

const ENFORCE: &[(&str, u8)] = &[("off", 0), ("revoked", 1), ("valid", 2), ("required", 3)];

const PRESET: &str = r#"
status = 401
hosts = ["preset.example.com"]
[token]
claims = { id = "/jti", subject = "/sub" }
[[route]]
paths = "/preset/*"
"#;

const SHOP: &str = r#"
name = "main"
hosts = ["a.example.com", "b.example.com"]
keep = "90s"
[token]
secret_file = "/keys/jwt.secret"
claims.subject = "/customer"
[[route]]
paths = ["/operator/*", "/own"]
enforce = "required"
"#;

/// What a reader of shops would make of a file: each key once, in its own words.
fn read_shop(mut shop: TomlTable<'_>) -> Vec<String> {
    let mut told = Vec::new();
    let name = shop.required_string("name", "what logs call the shop");
    told.extend(name.map(|name| name.as_str().to_owned()));
    let hosts = shop.strings("hosts").unwrap_or_default();
    told.extend(hosts.iter().map(|host| host.as_str().to_owned()));
    let status = shop.integer("status", 100..=599u16);
    told.extend(status.map(|status| status.to_string()));
    let keep = shop.duration("keep");
    told.extend(keep.map(|keep| format!("{keep:?}")));
    shop.boolean("revoke_all");
    if let Some(token) = shop.table("token") {
        told.extend(read_token(token));
    }
    for route in shop.tables("route") {
        told.push(read_route(route));
    }
    shop.finish();
    told
}

fn read_token(mut token: TomlTable<'_>) -> Vec<String> {
    let secret_file = token.required_string("secret_file", "the path of a key");
    let mut told: Vec<String> = Vec::new();
    told.extend(secret_file.map(|path| path.as_str().to_owned()));
    if let Some(mut claims) = token.table("claims") {
        let names = ["id", "subject"].map(|key| claims.string(key));
        told.extend(
            names
                .into_iter()
                .flatten()
                .map(|name| name.as_str().to_owned()),
        );
        claims.finish();
    }
    token.finish();
    told
}

fn read_route(mut route: TomlTable<'_>) -> String {
    let paths = route.string_or_strings("paths").unwrap_or_default();
    let enforce = route.choice("enforce", ENFORCE);
    route.finish();
    let paths: Vec<&str> = paths.iter().map(TomlText::as_str).collect();
    format!("{} {enforce:?}", paths.join(" "))
}

fn read(shop: &str, preset: Option<&str>) -> (Vec<String>, Faults) {
    let loading = Loading::relative_to(Path::new(""));
    let told = {
        let shop = TomlDocument::parse("doorward.toml", shop, &loading);
        let preset =
            preset.map(|text| TomlDocument::parse_preset("preset bagisto", text, &loading));
        read_shop(TomlTable::root(&shop).over(preset.as_ref()))
    };
    (told, loading.into_faults())
}

fn report(shop: &str) -> String {
    read(shop, None).1.to_string()
}

#[test]
fn the_operator_overrides_the_preset_key_by_key() {
    let (told, faults) = read(SHOP, Some(PRESET));
    let expected = [
        "main",
        "a.example.com",
        "b.example.com",
        "401",
        "90s",
        "/keys/jwt.secret",
        "/jti",
        "/customer",
        "/operator/* /own Some(3)",
        "/preset/* None",
    ];
    assert_eq!(told, expected);
    assert_eq!(faults.to_string(), "");
}

#[test]
fn a_table_may_stand_in_the_preset_alone() {
    let preset = "[token]\nsecret_file = \"/a\"\n[[route]]\npaths = \"/b\"";
    let (told, faults) = read("name = \"main\"", Some(preset));
    assert_eq!(told, ["main", "/a", "/b None"]);
    assert!(faults.is_empty());
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = r#"
nam = "main"
hosts = "shop.example.com"
status = 70
keep = "soon"
[token]
claims = { id = 7 }
[[route]]
paths = ["/a", 1]
enforce = "requird"
"#;
    let expected = r#"error: missing key `name`
--> doorward.toml
 = note: expected what logs call the shop

error: unknown key `nam`
 --> doorward.toml:2:1
  |
2 | nam =
  | ^^^
  |
  = help: did you mean `name`? known: name, hosts, status, keep, revoke_all, token, route

error: wrong type for `hosts`
 --> doorward.toml:3:9
  |
3 | hosts = "shop.example.com"
  |         ^^^^^^^^^^^^^^^^^^ expected an array of strings, found string

error: `status` is out of range
 --> doorward.toml:4:10
  |
4 | status = 70
  |          ^^ expected an integer from 100 to 599

error: expected a duration such as 250ms, 90s, 10m, 1h or 7d, found `soon`
 --> doorward.toml:5:8
  |
5 | keep = "soon"
  |        ^^^^^^

error: missing key `secret_file`
 --> doorward.toml:6:1
  |
6 | [token]
  | ^^^^^^^ expected the path of a key

error: wrong type for `id`
 --> doorward.toml:7:17
  |
7 | claims = { id = 7 }
  |                 ^ expected a string, found integer

error: wrong type for `paths`
 --> doorward.toml:9:16
  |
9 | paths = ["/a", 1]
  |                ^ expected a string, found integer

error: unknown `enforce`: `requird`
  --> doorward.toml:10:11
   |
10 | enforce = "requird"
   |           ^^^^^^^^^
   |
   = help: did you mean `required`? known: off, revoked, valid, required
"#;
    assert_eq!(report(text), expected);
}

#[test]
fn syntax_faults_are_all_reported_and_hide_what_they_may_have_caused() {
    let text = r"
name = main
hosts = [1
]
status 200
[token
";
    let expected = r"error: string values must be quoted
 --> doorward.toml:2:8
  |
2 | name = main
  |        ^^^^ expected literal string

error: wrong type for `hosts`
 --> doorward.toml:3:10
  |
3 | hosts = [1
  |          ^ expected a string, found integer

error: key with no value
 --> doorward.toml:5:8
  |
5 | status 200
  |        ^ expected `=`

error: unclosed table
 --> doorward.toml:6:7
  |
6 | [token
  |       ^ expected `]`
";
    assert_eq!(report(text), expected);
}

#[test]
fn a_preset_is_checked_like_a_file() {
    let (_, faults) = read(SHOP, Some("stauts = 200"));
    let expected = "\
error: unknown key `stauts`
 --> preset bagisto:1:1
  |
1 | stauts =
  | ^^^^^^
  |
  = help: did you mean `status`? known: name, hosts, status, keep, revoke_all, token, route
";
    assert_eq!(faults.to_string(), expected);
}

#[test]
fn tables_and_values_are_not_taken_for_one_another() {
    let text = "name = { first = 1 }\ntoken = 1\nroute = [\"a\"]";
    let faults = read(text, None).1;
    assert_eq!(faults.errors(), 3, "{faults}");
    let faults = read("name = \"main\"\n[route]", None).1.to_string();
    assert!(faults.contains("expected an array of tables, each under [[route]], found table"));
}

#[test]
fn an_inline_secret_is_not_shown() {
    let expected = "\
error: unknown key `secret`
 --> doorward.toml:4:1
  |
4 | secret =
  | ^^^^^^
  |
  = help: did you mean `secret_file`? known: secret_file, claims
";
    let text = "name = \"main\"\n[token]\nsecret_file = \"a\"\nsecret = \"hunter2\"";
    assert_eq!(report(text), expected);
}

#[test]
fn a_secret_that_does_not_fit_is_not_quoted() {
    let loading = Loading::relative_to(Path::new(""));
    {
        let document = TomlDocument::parse("doorward.toml", "secret = \"hunter2\"", &loading);
        let mut root = TomlTable::root(&document);
        assert_eq!(root.choice("secret", ENFORCE), None);
        assert_eq!(root.duration("secret"), None);
    }
    let faults = loading.into_faults();
    assert_eq!(faults.errors(), 2, "{faults}");
    assert!(!faults.to_string().contains("hunter2"), "{faults}");
}

#[test]
fn a_text_keeps_its_place_for_later_faults() {
    let loading = Loading::relative_to(Path::new(""));
    let document = TomlDocument::parse("doorward.toml", SHOP, &loading);
    let mut root = TomlTable::root(&document);
    let name = root.string("name").unwrap();
    assert_eq!(name.spot().line(), Some(2));
    assert_eq!(name.spot().source_name(), "doorward.toml");
    assert_eq!(root.spot_of("name").as_ref(), Some(name.spot()));
}

/// The same numbers for the same seed, so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 1_000_003).unwrap() % sides
    }
}

const CRUMBS: [&str; 18] = [
    "\"", "'", "\"\"\"", "=", "[", "]", "[[", "]]", "{", "}", ",", ".", "\n", "\r", "#", "é",
    "\u{1b}", "a.b",
];

fn mangle(text: &str, dice: &mut Dice) -> String {
    let mut chars: Vec<String> = text.chars().map(String::from).collect();
    for _ in 0..=dice.roll(6) {
        let at = dice.roll(chars.len());
        let crumb = CRUMBS[dice.roll(CRUMBS.len())].to_owned();
        match dice.roll(3) {
            0 => chars.insert(at, crumb),
            1 => chars[at] = crumb,
            _ => drop(chars.drain(at..(at + dice.roll(12)).min(chars.len()))),
        }
    }
    chars.concat()
}

#[test]
fn no_text_makes_the_reader_panic_or_tell_a_secret() {
    const SECRET: &str = "\nsecret = \"hunter2\"\n";
    for seed in 1..500 {
        let mut dice = Dice(seed);
        let shop = mangle(SHOP, &mut dice) + SECRET + &mangle(PRESET, &mut dice);
        let told = catch_unwind(|| read(&shop, Some(PRESET)).1.to_string());
        let told = told.unwrap_or_else(|_| panic!("seed {seed}: {shop}"));
        assert!(!told.contains("hunter2"), "seed {seed}: {told}");
    }
}
