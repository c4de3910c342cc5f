//! Recorded exchanges as text: who says what to whom.
//!
//! ```text
//! # A comment. The file may begin with `only forward` or `only stateless`.
//! sign {old token} {"sub": 3, "iat": 1}      a token with these claims; `sign RS256 {…} {…}` with the RSA key
//! sign {token} {"iat": {now-10}}             the time of this line, in seconds, and some more or less
//!
//! > POST /logout                             what the client sends; Host and Content-Length are added
//! > Authorization: Bearer {token}
//! >
//! > {}
//! >> POST /logout                            what the shop sees; left out: the request as it came
//! >> -Authorization                          this header is not there
//! [local] >> nothing                         this line counts where Doorward answers
//! >? GET /who                                what the shop is asked about a token before that, and what it says
//! <? 200
//! << 204                                     what the shop says, where the pretend one has no words for it
//! < 200                                      what the client gets
//! < Set-Cookie: session_*=; *                `*` is anything
//! <
//! < json {"token": "{new token}", "id": "*"} as JSON; a name that is not known yet is learnt. Otherwise: these bytes
//! ```
//!

use doorward::clock;
use regex::{Captures, Regex};

/// Who answers, and whether the shop revokes by itself.
pub type Way = [&'static str; 2];

pub fn ways(text: &str) -> Vec<Way> {
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

/// A request and all that is said about it; or a `sign` line.
#[derive(Default)]
pub struct Exchange {
    pub line: usize,
    pub sign: String,
    pub sent: Vec<String>,
    pub asked: Vec<String>,
    pub told: Vec<String>,
    pub seen: Vec<String>,
    pub said: Vec<String>,
    pub got: Vec<String>,
}

pub fn read(text: &str, way: Way) -> Vec<Exchange> {
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
            ">?" => exchange.asked.push(rest.to_owned()),
            "<?" => exchange.told.push(rest.to_owned()),
            ">>" => exchange.seen.push(rest.to_owned()),
            "<<" => exchange.said.push(rest.to_owned()),
            "<" => exchange.got.push(rest.to_owned()),
            "sign" => {
                rest.clone_into(&mut exchange.sign);
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

/// `{now}`, `{now+3600}` and `{now-10}` as numbers.
pub fn at_now(text: &str) -> String {
    let now = i64::try_from(clock::now().seconds()).unwrap();
    let word = Regex::new(r"\{now([+-]\d+)?\}").unwrap();
    let number = |found: &Captures<'_>| {
        let more = found
            .get(1)
            .map_or(0, |more| more.as_str().parse().unwrap());
        (now + more).to_string()
    };
    word.replace_all(text, number).into_owned()
}

/// The lines of a message: the first, the headers, the body.
pub struct Message {
    pub first: String,
    pub headers: Vec<String>,
    pub body: Option<String>,
}

impl Message {
    pub fn of(lines: &[String], put_in: impl Fn(&str) -> String) -> Self {
        let mut lines = lines.iter().map(|line| put_in(line));
        let first = lines.next().unwrap_or_default();
        let headers = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let body: Vec<String> = lines.collect();
        Self {
            first,
            headers,
            body: (!body.is_empty()).then(|| body.join("\n")),
        }
    }

    pub fn pairs(&self) -> Vec<(&str, &str)> {
        let pairs = self.headers.iter().filter_map(|line| line.split_once(": "));
        pairs.collect()
    }

    pub fn bytes_of_body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default().as_bytes()
    }

    /// The bytes that a shop says it with.
    pub fn as_answer(&self) -> Vec<u8> {
        let mut lines = vec![format!("HTTP/1.1 {} Said", self.first)];
        lines.push("Connection: close".to_owned());
        lines.extend(self.headers.iter().cloned());
        if self.first != "204" {
            lines.push(format!("Content-Length: {}", self.bytes_of_body().len()));
        }
        let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
        bytes.extend_from_slice(self.bytes_of_body());
        bytes
    }

    /// What is wrong about these headers.
    pub fn fault_of(&self, given: &[(String, String)]) -> Option<String> {
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
