//! Recorded exchanges: what clients of a storefront send, what the shop sees of it, what comes back.
//!
//! A folder of `tests/exchanges/` is a storefront: `shop.toml` is the operator's file, every `*.http` a recording on a
//! fresh shop and a fresh edge. `{shop}` and `{answer}` stand for the shop's address and for who answers a logout.
//!
//! ```text
//! # A comment. The file may begin with `only forward` or `only stateless`.
//! sign {old token} {"sub": 3, "iat": 1}      a token with these claims
//!
//! > POST /logout                             what the client sends; Host and Content-Length are added
//! > Authorization: Bearer {token}
//! >
//! > {}
//! >> POST /logout                            what the shop sees; left out: the request as it came
//! >> -Authorization                          this header is not there
//! [local] >> nothing                         this line counts where Doorward answers
//! << 204                                     what the shop says, where the pretend one has no words for it
//! < 200                                      what the client gets
//! < Set-Cookie: session_*=; *                `*` is anything
//! <
//! < json {"token": "{new token}", "id": "*"} as JSON; a name that is not known yet is learnt. Otherwise: these bytes
//! ```
//!
//! Known from the start: `{token}` and `{earlier token}` of Alice, `{expired token}`, `{forged token}`, `{another's token}`,
//! `{key}`, `{hash}`.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::{Answer, Edge, Mood, Seen, Shop, Storefront, request};

const EXCHANGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exchanges");
const PRESETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/presets");

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

/// Who answers, and whether the shop revokes by itself.
type Way = [&'static str; 2];

fn ways(text: &str) -> Vec<Way> {
    let only: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("only "))
        .flat_map(str::split_whitespace)
        .collect();
    let allowed = |words: [&'static str; 2]| {
        let named: Vec<_> = words
            .into_iter()
            .filter(|word| only.contains(word))
            .collect();
        if named.is_empty() {
            words.to_vec()
        } else {
            named
        }
    };
    let answers = allowed(["forward", "local"]);
    let moods = allowed(["stateless", "honest"]);
    answers
        .iter()
        .flat_map(|answer| moods.iter().map(|mood| [*answer, *mood]))
        .collect()
}

fn play(folder: &Path, text: &str, way: Way) -> Result<(), String> {
    let storefront = if folder.ends_with("cocart") {
        Storefront::Cocart
    } else {
        Storefront::Bagisto // or any other: recordings of other shops bring the shop's words with them
    };
    let mood = if way.contains(&"honest") {
        Mood::Honest
    } else {
        Mood::Stateless
    };
    let shop = Shop::open(storefront, mood).unwrap();
    let config = fs::read_to_string(folder.join("shop.toml")).unwrap();
    let config = config
        .replace("{shop}", &shop.address().to_string())
        .replace("{answer}", way[0]);
    let edge = Edge::with(&config);
    let mut words = Words::of(&shop);
    for exchange in read(text, way) {
        let line = exchange.line;
        let said = |fault| {
            let log = edge.log_lines().join("\n");
            format!("line {line}: {fault}\n{log}")
        };
        if let Some(pair) = exchange.sign.strip_prefix("sign ") {
            words.sign(pair, &shop);
        } else {
            exchange.play(&shop, &edge, &mut words).map_err(said)?;
        }
    }
    Ok(())
}

/// What the names in braces stand for.
struct Words(BTreeMap<String, String>);

impl Words {
    fn of(shop: &Shop) -> Self {
        let token = shop.sign_in("alice");
        let claims = claims_of(&token);
        let with = |changes: &[(&str, Value)]| {
            let mut changed = claims.clone();
            for (name, value) in changes {
                changed[*name] = value.clone();
            }
            changed
        };
        let hour_ago = json!(claims["iat"].as_i64().unwrap() - 3600);
        let expired = shop.sign(&with(&[("exp", hour_ago)]));
        let other_claims = shop.sign(&with(&[("exp", json!(4_000_000_000_u64))]));
        let (signed, _) = other_claims.rsplit_once('.').unwrap();
        let (_, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{signature}");
        shop.set_date_offset(-10);
        let earlier = shop.sign_in("alice");
        shop.set_date_offset(0);
        let known = [
            ("token", token),
            ("earlier token", earlier),
            ("expired token", expired),
            ("forged token", forged),
            ("another's token", shop.sign_in("bob")),
            ("key", Shop::KEY.to_owned()),
            ("hash", Shop::COOKIE_HASH.to_owned()),
        ];
        Self(
            known
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect(),
        )
    }

    /// `{name} {…claims…}`
    fn sign(&mut self, pair: &str, shop: &Shop) {
        let (name, claims) = pair
            .split_once(' ')
            .map(|_| pair.split_at(pair.find('}').unwrap() + 1))
            .unwrap();
        let claims = serde_json::from_str(claims).unwrap();
        let name = name.trim_matches(['{', '}']).to_owned();
        self.0.insert(name, shop.sign(&claims));
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

fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// A request and all that is said about it; or a `sign` line.
#[derive(Default)]
struct Exchange {
    line: usize,
    sign: String,
    sent: Vec<String>,
    seen: Vec<String>,
    said: Vec<String>,
    got: Vec<String>,
}

fn read(text: &str, way: Way) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(line) = counted(line, way) else {
            continue;
        };
        let begins = |found: &[Exchange]| found.last().is_none_or(|last| !last.got.is_empty());
        let is_request = line == ">" || line.starts_with("> ");
        if line.starts_with("sign ") || is_request && begins(&exchanges) {
            exchanges.push(Exchange {
                line: number + 1,
                ..Exchange::default()
            });
        }
        let Some(exchange) = exchanges.last_mut() else {
            continue;
        };
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            ">" => exchange.sent.push(rest.to_owned()),
            ">>" => exchange.seen.push(rest.to_owned()),
            "<<" => exchange.said.push(rest.to_owned()),
            "<" => exchange.got.push(rest.to_owned()),
            "sign" => {
                line.clone_into(&mut exchange.sign);
                exchange.got.push(String::new()); // what follows is another exchange
            }
            _ => panic!("line {}: what is {line:?}?", number + 1),
        }
    }
    exchanges
}

/// The line, where it says anything and counts in this way of playing.
fn counted(line: &str, way: Way) -> Option<&str> {
    let says = !line.is_empty() && !line.starts_with('#') && !line.starts_with("only ");
    let line = Some(line).filter(|_| says)?;
    let Some(tagged) = line.strip_prefix('[') else {
        return Some(line);
    };
    let (tags, rest) = tagged.split_once(']').unwrap();
    let counts = tags.split_whitespace().all(|tag| way.contains(&tag));
    counts.then(|| rest.trim_start())
}

/// The lines of a message: the first, the headers, the body.
struct Message {
    first: String,
    headers: Vec<String>,
    body: Option<String>,
}

impl Message {
    fn of(lines: &[String], words: &Words) -> Self {
        let mut lines = lines.iter().map(|line| words.put_into(line));
        let first = lines.next().unwrap_or_default();
        let headers = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let body: Vec<String> = lines.collect();
        Self {
            first,
            headers,
            body: (!body.is_empty()).then(|| body.join("\n")),
        }
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        let pairs = self.headers.iter().filter_map(|line| line.split_once(": "));
        pairs.collect()
    }

    fn bytes_of_body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default().as_bytes()
    }

    /// What is wrong about these headers.
    fn fault_of(&self, given: &[(String, String)]) -> Option<String> {
        let values = |name: &str| {
            let named = given
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        self.headers.iter().find_map(|line| {
            if let Some(absent) = line.strip_prefix('-') {
                let values = values(absent);
                return (!values.is_empty()).then(|| format!("{absent} is there: {values:?}"));
            }
            let (name, pattern) = line.split_once(": ").unwrap();
            let values = values(name);
            let there = values.iter().any(|value| globs(pattern, value));
            (!there).then(|| format!("{name} is {values:?}, not {pattern:?}"))
        })
    }
}

/// Whether `*` in a pattern can be filled so that the text comes out.
fn globs(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.into_iter().any(|at| globs(rest, &text[at..]))
        }),
    }
}

impl Exchange {
    fn play(&self, shop: &Shop, edge: &Edge, words: &mut Words) -> Result<(), String> {
        let sent = Message::of(&self.sent, words);
        let (method, target) = sent.first.split_once(' ').unwrap();
        if !self.said.is_empty() {
            let (path, _) = target.split_once('?').unwrap_or((target, ""));
            shop.recite(path, words_of_shop(&Message::of(&self.said, words)));
        }
        let visits = shop.visits();
        let answer = edge.raw(&request(
            method,
            target,
            &sent.pairs(),
            sent.bytes_of_body(),
        ));
        let seen = shop.seen().split_off(visits);
        self.check_answer(&answer, words)?;
        self.check_seen(&sent, &seen, words)
    }

    fn check_answer(&self, answer: &Answer, words: &mut Words) -> Result<(), String> {
        let got = Message::of(&self.got, words);
        let text = answer.text();
        if got.first != answer.status.to_string() {
            let status = answer.status;
            return Err(format!(
                "the answer was {status}, not {}: {text}",
                got.first
            ));
        }
        if let Some(fault) = got.fault_of(&answer.headers) {
            return Err(fault);
        }
        let fits = match got.body.as_deref() {
            None => true,
            Some("nothing") => answer.body.is_empty(),
            Some(body) => match body.strip_prefix("json ") {
                None => body == text,
                Some(json) => words.fits(&serde_json::from_str(json).unwrap(), &answer.json()),
            },
        };
        if fits {
            Ok(())
        } else {
            Err(format!("the body was {text:?}, not {:?}", got.body))
        }
    }

    fn check_seen(&self, sent: &Message, seen: &[Seen], words: &Words) -> Result<(), String> {
        let wanted = Message::of(&self.seen, words);
        let first = match wanted.first.as_str() {
            "nothing" if seen.is_empty() => return Ok(()),
            "" => &sent.first,
            first => first,
        };
        let [seen] = seen else {
            return Err(format!("the shop saw {seen:?}, not {first}"));
        };
        if *first != format!("{} {}", seen.method, seen.target) {
            return Err(format!(
                "the shop saw {} {}, not {first}",
                seen.method, seen.target
            ));
        }
        if let Some(fault) = wanted.fault_of(&seen.headers) {
            return Err(format!("at the shop, {fault}"));
        }
        let body = wanted
            .body
            .as_ref()
            .map_or(sent.bytes_of_body(), |body| body.as_bytes());
        if seen.body != body {
            return Err("the shop got another body".to_owned());
        }
        Ok(())
    }
}

fn words_of_shop(said: &Message) -> Vec<u8> {
    let body = said.bytes_of_body();
    let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", said.first);
    if said.first != "204" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    for line in &said.headers {
        head += line;
        head += "\r\n";
    }
    let mut bytes = (head + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
