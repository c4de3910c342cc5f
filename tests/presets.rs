//! Every preset tells an operator what it does: a page of fixed sections, with a configuration that is good as it stands,
//! and a recording of a customer's whole life.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use doorward::revocation::Journal;
use support::rsa_signer::public_key_file;
use support::{Customer, Edge, Mood, Shop, Storefront, doorward, request};
use toml::{Table, Value};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const SECTIONS: [&str; 5] = [
    "## What the shop does by itself",
    "## What Doorward adds",
    "## Configuration",
    "## What cannot be done",
    "## Sources",
];

fn presets() -> Vec<String> {
    let files = fs::read_dir(Path::new(ROOT).join("conf/presets")).unwrap();
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> = files.map(|file| stem(file.unwrap().path())).collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn page_of(preset: &str) -> String {
    let path = format!("{ROOT}/docs/shops/{preset}.md");
    fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

#[test]
fn every_preset_has_a_page_of_the_same_sections() {
    for preset in presets() {
        let page = page_of(&preset);
        let prose = page.split("```").step_by(2);
        let headings: Vec<_> = prose
            .flat_map(str::lines)
            .filter(|line| line.starts_with('#'))
            .collect();
        assert!(headings[0].starts_with("# "), "{preset}");
        assert_eq!(headings[1..], SECTIONS, "{preset}");
    }
}

#[test]
fn every_preset_is_in_the_index() {
    let index = page_of("README");
    for preset in presets() {
        let link = format!("]({preset}.md)");
        assert_eq!(index.matches(&link).count(), 1, "{link}");
    }
}

#[test]
fn every_preset_has_the_recording_of_a_life() {
    for preset in presets() {
        let path = format!("{ROOT}/tests/exchanges/{preset}/life.http");
        let life = fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"));
        assert!(life.contains(">> nothing"), "{path}");
    }
}

#[test]
fn the_configuration_of_every_page_is_good() {
    for preset in presets() {
        let page = page_of(&preset);
        let (block, rest) = configuration_in(&page);
        assert!(!rest.contains("```toml"), "{preset}: one block is enough");
        assert!(block.contains(&format!("\"{preset}\"")), "{preset}");
        passes(&preset, block);
    }
}

#[test]
fn the_configuration_of_the_readme_is_good() {
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    passes("README.md", configuration_in(&readme).0);
}

/// The first configuration of a page, and what follows it.
fn configuration_in(page: &str) -> (&str, &str) {
    let (_, block) = page.split_once("```toml\n").unwrap();
    block.split_once("\n```").unwrap()
}

/// `doorward check` has no word against a configuration.
#[track_caller]
fn passes(page: &str, block: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut config: Table = block.parse().unwrap();
    config.insert("listen".to_owned(), vec!["127.0.0.1:0"].into());
    furnish(&mut config, home.path());
    let path = home.path().join("doorward.toml");
    fs::write(&path, config.to_string()).unwrap();
    let outcome = doorward(&["check", "--config", path.to_str().unwrap()]);
    let said = format!("{page}: {}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code, Some(0), "{said}");
    assert!(!said.contains("warning"), "{said}");
}

/// Makes the files and folders that a configuration names, and names them instead.
fn furnish(table: &mut Table, home: &Path) {
    for (key, value) in table.iter_mut() {
        match value {
            Value::Table(inner) => furnish(inner, home),
            Value::Array(items) => {
                let tables = items.iter_mut().filter_map(Value::as_table_mut);
                tables.for_each(|inner| furnish(inner, home));
            }
            Value::String(path) if key == "data_dir" || key.ends_with("_file") => {
                let made = home.join(key);
                match key.as_str() {
                    "data_dir" => assert!(Journal::init(&made).unwrap()),
                    "secret_file" => fs::write(&made, "s".repeat(64)).unwrap(),
                    _ => drop(fs::copy(public_key_file(), &made).unwrap()),
                }
                fs::set_permissions(&made, fs::Permissions::from_mode(0o700)).unwrap();
                made.to_str().unwrap().clone_into(path);
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => {}
        }
    }
}

/// What the page of bagisto-api says of introspection, which none of its recordings has.
#[test]
fn bagisto_can_be_asked_whose_its_tokens_are() {
    let shop = Shop::open(Storefront::BagistoApi, Mood::Stateless).unwrap();
    let edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\npreset = \"bagisto-api\"\nupstream = [\"{}\"]\nrevoke = \"subject\"\n\
         token.introspection.enabled = true\n",
        shop.address()
    ));
    let [phone, tablet] = [(); 2].map(|()| Customer::signed_in(&shop));
    let bob = Customer::named(&shop, "bob");
    let profile = "/api/shop/customer-profile";
    for customer in [&phone, &tablet, &bob] {
        assert_eq!(customer.visit(&edge, profile), 200);
    }
    let asked = &shop.seen()[0];
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/api/shop/verify-tokens")
    );
    assert_eq!(asked.header("x-storefront-key"), Some(Shop::KEY));
    let logout = "/api/shop/customer/logout";
    assert_eq!(phone.send(&edge, "POST", logout, b"{}"), 201);
    let visits = shop.visits();
    assert_eq!(phone.visit(&edge, profile), 401);
    assert_eq!(tablet.visit(&edge, profile), 401);
    assert_eq!(shop.visits(), visits);
    assert_eq!(bob.visit(&edge, profile), 200);
    assert_eq!(Customer::signed_in(&shop).visit(&edge, profile), 200);
}

/// What the page of cocart-jwt says of `cart = "clear"`, which none of its recordings has.
#[test]
fn cocart_that_may_know_who_logs_out_destroys_cart_and_refresh_tokens_itself() {
    let shop = Shop::open(Storefront::Cocart, Mood::Honest).unwrap();
    let edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\npreset = \"cocart-jwt\"\nupstream = [\"{}\"]\ncart = \"clear\"\n\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{{secret_file}}\"\n",
        shop.address()
    ));
    let post = |path: &str, authorization: &str, body: &str| {
        let headers = [
            ("Authorization", authorization),
            ("Content-Type", "application/json"),
        ];
        edge.raw(&request("POST", path, &headers, body.as_bytes()))
    };
    let basic = "Basic YWxpY2VAZXhhbXBsZS5jb206c2VjcmV0"; // alice@example.com, secret
    let [phone, tablet] =
        [(); 2].map(|()| post("/wp-json/cocart/v2/login", basic, "").json()["extras"].clone());
    let bearer = format!("Bearer {}", phone["jwt_token"].as_str().unwrap());
    let answer = post("/wp-json/cocart/v2/logout", &bearer, "");
    assert_eq!((answer.status, answer.text().as_str()), (200, "true"));
    assert_eq!(
        shop.seen().last().unwrap().header("authorization"),
        Some(bearer.as_str())
    );
    assert!(shop.cart_deleted());
    let refresh = format!(r#"{{"refresh_token":{}}}"#, tablet["jwt_refresh"]);
    let refused = post("/wp-json/cocart/jwt/refresh-token", "", &refresh);
    assert_eq!(refused, 403, "in the shop's own words");
}
