//! Recorded exchanges: what clients of a storefront send, what the shop sees of it, what comes back.
//!
//! A folder of `tests/exchanges/` is a storefront: `shop.toml` is the operator's file, every `*.http` a recording on a
//! fresh shop and a fresh edge. `{shop}` and `{answer}` stand for the shop's address and for who answers a logout,
//! `{public_key_file}` for the key of tokens that are signed with RS256.
//!
//! Known from the start: `{token}` and `{earlier token}` of Alice, `{expired token}` where tokens say when they end,
//! `{forged token}`, `{another's token}`, `{key}`, `{hash}`, `{nonce}`; `{secret of token}` and `{secret of earlier token}`
//! where tokens have a row before it.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::recording::{Exchange, Message, Way, at_now, read, ways};
use support::rsa_signer::{public_key_file, sign_rs256};
use support::{Answer, Edge, Mood, Seen, Shop, Storefront, request};

const EXCHANGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exchanges");
const PRESETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/presets");

/// The folders whose shop is one of the pretend ones.
const SHOPS: [(&str, Storefront); 5] = [
    ("bagisto-api", Storefront::BagistoApi),
    ("bagisto-graphql", Storefront::BagistoGraphql),
    ("cocart", Storefront::Cocart),
    ("cocart-jwt", Storefront::Cocart),
    ("ecwid", Storefront::Ecwid),
];
/// Recordings of other shops bring the shop's words with them.
const ANY_SHOP: (&str, Storefront) = ("", Storefront::Bagisto);

#[test]
fn every_exchange_goes_as_recorded() {
    let folders = entries(Path::new(EXCHANGES), None);
    let failures: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = folders
            .iter()
            .map(|folder| scope.spawn(|| play_folder(folder)))
            .collect();
        runs.into_iter()
            .flat_map(|run| run.join().unwrap())
            .collect()
    });
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

#[test]
fn every_preset_has_its_recordings() {
    for preset in entries(Path::new(PRESETS), Some("toml")) {
        let folder = Path::new(EXCHANGES).join(preset.file_stem().unwrap());
        assert!(folder.join("shop.toml").is_file(), "{}", folder.display());
        let recordings = entries(&folder, Some("http"));
        assert!(!recordings.is_empty(), "{}", folder.display());
    }
}

/// The other recordings prove something only if a wrong one fails.
#[test]
fn a_wrong_recording_is_found() {
    let folder = Path::new(EXCHANGES).join("bagisto");
    let visit =
        "> GET /api/shop/products\n> X-STOREFRONT-KEY: {key}\n> Authorization: Bearer {token}\n";
    let right = ">> Authorization: Bearer {token}\n< 200\n< Content-Type: application/*\n<\n< json {\"data\": \"*\"}\n";
    let played = |rest: &str| play(&folder, &format!("{visit}{rest}"), ["forward", "stateless"]);
    assert_eq!(
        played(&format!(">> GET /api/shop/products\n{right}")),
        Ok(())
    );
    for wrong in [
        "< 401",
        "< 200\n< -Content-Type",
        "< 200\n< Content-Type: text/html",
        "< 200\n< Set-Cookie: *",
        "< 200\n<\n< nothing",
        "< 200\n<\n< {}",
        "< 200\n<\n< json {\"data\": \"*\", \"more\": \"*\"}",
        ">> nothing\n< 200",
        ">> POST /api/shop/products\n< 200",
        ">> GET /api/shop/products\n>> -Authorization\n< 200",
        ">> GET /api/shop/products\n>> Authorization: Bearer {earlier token}\n< 200",
        ">> GET /api/shop/products\n>>\n>> {}\n< 200",
    ] {
        assert!(played(wrong).is_err(), "{wrong}");
    }
    let every_way = [
        ["forward", "stateless"],
        ["forward", "honest"],
        ["local", "stateless"],
        ["local", "honest"],
    ];
    assert_eq!(ways("> GET /"), every_way);
    assert_eq!(ways("only local honest\n> GET /"), [["local", "honest"]]);
}

fn entries(folder: &Path, ending: Option<&str>) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| ending.is_none_or(|ending| path.extension() == Some(ending.as_ref())));
    paths.sort();
    paths
}

/// Every recording of a folder, in every way that makes sense. What went wrong comes back.
fn play_folder(folder: &Path) -> Vec<String> {
    let mut failures = Vec::new();
    for file in entries(folder, Some("http")) {
        let text = fs::read_to_string(&file).unwrap();
        for way in ways(&text) {
            if let Err(failure) = play(folder, &text, way) {
                let name = file.strip_prefix(EXCHANGES).unwrap().display();
                failures.push(format!("{name} ({}): {failure}", way.join(", ")));
            }
        }
    }
    failures
}

fn play(folder: &Path, text: &str, way: Way) -> Result<(), String> {
    let mut stage = Stage::set(folder, way);
    for exchange in read(text, way) {
        let played = if exchange.sign.is_empty() {
            stage.play(&exchange)
        } else {
            stage.words.sign(&exchange.sign, &stage.shop);
            Ok(())
        };
        played.map_err(|fault| {
            let log = stage.edge.log_lines().join("\n");
            format!("line {}: {fault}\n{log}", exchange.line)
        })?;
    }
    Ok(())
}

/// A fresh shop, an edge in front of it, and what the names in braces stand for.
struct Stage {
    shop: Shop,
    edge: Edge,
    words: Words,
}

impl Stage {
    fn set(folder: &Path, way: Way) -> Self {
        let named = |(name, _): &&(&str, Storefront)| folder.ends_with(name);
        let (_, storefront) = SHOPS.iter().find(named).unwrap_or(&ANY_SHOP);
        let mood = if way.contains(&"honest") {
            Mood::Honest
        } else {
            Mood::Stateless
        };
        let shop = Shop::open(*storefront, mood).unwrap();
        let config = fs::read_to_string(folder.join("shop.toml")).unwrap();
        let config = config
            .replace("{shop}", &shop.address().to_string())
            .replace("{public_key_file}", &public_key_file().to_string_lossy())
            .replace("{answer}", way[0]);
        Self {
            words: Words::of(&shop),
            edge: Edge::with(&config),
            shop,
        }
    }

    fn message(&self, lines: &[String]) -> Message {
        Message::of(lines, |line| self.words.put_into(line))
    }

    fn play(&mut self, exchange: &Exchange) -> Result<(), String> {
        let sent = self.message(&exchange.sent);
        let (method, target) = sent.first.split_once(' ').unwrap();
        if !exchange.said.is_empty() {
            let (path, _) = target.split_once('?').unwrap_or((target, ""));
            let said = self.message(&exchange.said);
            self.shop.recite(path, said.as_answer());
        }
        let asked = self.message(&exchange.asked);
        let inquiries = usize::from(!exchange.asked.is_empty());
        if let Some((_, path)) = asked.first.split_once(' ') {
            let told = self.message(&exchange.told);
            self.shop.recite_once(path, told.as_answer());
        }
        let visits = self.shop.visits();
        let bytes = request(method, target, &sent.pairs(), sent.bytes_of_body());
        let answer = self.edge.raw(&bytes);
        let seen = self.shop.seen().split_off(visits);
        let got = self.message(&exchange.got);
        self.check_answer(&got, &answer)?;
        let (inquiry, seen) = seen.split_at(inquiries.min(seen.len()));
        if inquiries > 0 {
            check_seen(&asked, &sent, inquiry)?;
        }
        let wanted = self.message(&exchange.seen);
        check_seen(&wanted, &sent, seen)
    }

    fn check_answer(&mut self, got: &Message, answer: &Answer) -> Result<(), String> {
        let (status, text) = (answer.status, answer.text());
        if got.first != status.to_string() {
            let wanted = &got.first;
            return Err(format!("the answer was {status}, not {wanted}: {text}"));
        }
        if let Some(fault) = got.fault_of(&answer.headers) {
            return Err(fault);
        }
        let fits = match got.body.as_deref() {
            None => true,
            Some("nothing") => answer.body.is_empty(),
            Some(body) => match body.strip_prefix("json ") {
                None => body == text,
                Some(json) => {
                    let wanted = serde_json::from_str(json).unwrap();
                    self.words.fits(&wanted, &answer.json())
                }
            },
        };
        if fits {
            Ok(())
        } else {
            Err(format!("the body was {text:?}, not {:?}", got.body))
        }
    }
}

fn check_seen(wanted: &Message, sent: &Message, seen: &[Seen]) -> Result<(), String> {
    let first = match wanted.first.as_str() {
        "nothing" if seen.is_empty() => return Ok(()),
        "" => &sent.first,
        first => first,
    };
    let [seen] = seen else {
        return Err(format!("the shop saw {seen:?}, not {first}"));
    };
    let line = format!("{} {}", seen.method, seen.target);
    if *first != line {
        return Err(format!("the shop saw {line}, not {first}"));
    }
    if let Some(fault) = wanted.fault_of(&seen.headers) {
        return Err(format!("at the shop, {fault}"));
    }
    let body = wanted.body.as_ref();
    let body = body.map_or(sent.bytes_of_body(), String::as_bytes);
    if seen.body != body {
        return Err("the shop got another body".to_owned());
    }
    Ok(())
}

/// What the names in braces stand for.
struct Words(BTreeMap<String, String>);

impl Words {
    fn of(shop: &Shop) -> Self {
        let token = shop.sign_in("alice");
        let others = shop.sign_in("bob");
        shop.set_date_offset(-10);
        let earlier = shop.sign_in("alice");
        shop.set_date_offset(0);
        let mut words = Self(BTreeMap::new());
        if token.contains('.') {
            words.know("expired token", &expired(shop, &token));
            words.know("forged token", &forged_jwt(shop, &token));
        } else {
            words.know("forged token", &forged_row(&token, &others));
            words.know("secret of token", secret_of(&token));
            words.know("secret of earlier token", secret_of(&earlier));
        }
        words.know("token", &token);
        words.know("earlier token", &earlier);
        words.know("another's token", &others);
        words.know("key", Shop::KEY);
        words.know("hash", Shop::COOKIE_HASH);
        words.know("nonce", Shop::LOGOUT_NONCE);
        words
    }

    fn know(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// `{name} {…claims…}`, perhaps behind the name of an algorithm.
    fn sign(&mut self, line: &str, shop: &Shop) {
        let (algorithm, pair) = line.split_at(line.find('{').unwrap());
        let (name, claims) = pair.split_at(pair.find('}').unwrap() + 1);
        let claims = serde_json::from_str(&at_now(claims)).unwrap();
        let token = match algorithm.trim() {
            "" | "HS256" => shop.sign(&claims),
            "RS256" => sign_rs256(&claims),
            other => panic!("nobody signs with {other}"),
        };
        let name = name.trim_matches(['{', '}']).to_owned();
        self.0.insert(name, token);
    }

    fn put_into(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }

    /// Whether a value is what was expected; learns the names that are not known yet.
    fn fits(&mut self, expected: &Value, given: &Value) -> bool {
        match (expected, given) {
            (Value::String(text), _) if text == "*" => true,
            (Value::String(text), Value::String(given)) => {
                let text = self.put_into(text);
                let name = text
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'));
                match name {
                    Some(name) => {
                        self.0.insert(name.to_owned(), given.clone());
                        true
                    }
                    None => text == *given,
                }
            }
            (Value::Array(expected), Value::Array(given)) => {
                let pairs = expected.iter().zip(given);
                expected.len() == given.len()
                    && pairs.fold(true, |so, (a, b)| self.fits(a, b) && so)
            }
            (Value::Object(expected), Value::Object(given)) => {
                let named = |name| given.get(name).unwrap_or(&Value::Null);
                let pairs = expected.iter().map(|(name, value)| (value, named(name)));
                expected.len() == given.len()
                    && pairs.fold(true, |so, (a, b)| self.fits(a, b) && so)
            }
            _ => expected == given,
        }
    }
}

/// The same token, an hour after its end.
fn expired(shop: &Shop, token: &str) -> String {
    let mut claims = claims_of(token);
    claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 3600);
    shop.sign(&claims)
}

/// Other claims under the signature of this token.
fn forged_jwt(shop: &Shop, token: &str) -> String {
    let mut claims = claims_of(token);
    claims["exp"] = json!(4_000_000_000_u64);
    let other = shop.sign(&claims);
    let (signed, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = token.rsplit_once('.').unwrap();
    format!("{signed}.{signature}")
}

/// The row of this token with the secret of another: of the right shape, and nobody's.
fn forged_row(token: &str, others: &str) -> String {
    let (row, _) = token.split_once('|').unwrap();
    let (_, secret) = others.split_once('|').unwrap();
    format!("{row}|{secret}")
}

/// An opaque token of Sanctum without its row.
fn secret_of(token: &str) -> &str {
    token.split_once('|').unwrap().1
}

fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
