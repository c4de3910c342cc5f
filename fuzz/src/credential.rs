//! Credentials: a dead one gets past the gate in no place and under no decoration, and a living one is never taken for
//! a dead one.
//!
//! An input is a request as text: `GET /path?query`, lines of headers, an empty line, a body. In it, some letters that
//! no request can have stand for what no fuzzer could guess: see [`spelled`].

use std::sync::LazyLock;

use doorward::clock::UnixTime;
use doorward::demo::shop::PretendShop as Shop;
use doorward::request::{Gate, Refusal, Request, Verdict};
use doorward::revocation::Revocation;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Uri};
use serde_json::{Value, json};

use super::bare_gate::bare_gate;
use super::percent;

/// Every kind of place at once; dead cookies are refused, so that they are seen to be found.
const PLACES: &str = r#"
dead_cookie = "refuse"
[[shop.credential]]
header = "authorization"
schemes = ["Bearer", "JWT"]
[[shop.credential]]
header = "cart-token"
[[shop.credential]]
cookie = "jwt"
[[shop.credential]]
cookie = "session_*"
kind = "opaque"
[[shop.credential]]
query = "access_token"
[[shop.credential]]
body = "/token"
[[shop.credential]]
form = "token"
[[shop.logout]]
methods = ["POST"]
paths = ["/logout"]
revoke = "token"
"#;

const NOW: UnixTime = UnixTime::from_seconds(1_790_000_100);

/// As Laravel Sanctum makes them, with a letter in it that cookies and forms spell otherwise.
const DEAD_OPAQUE: &str = "17|kW3vQ9xLr0Zb7YtNc5MdAe2HsUf8+GjPiTo4lXqBw6f1c0d9e";
const LIVE_OPAQUE: &str = "18|aW3vQ9xLr0Zb7YtNc5MdAe2HsUf8+GjPiTo4lXqBw6f1c0d9e";

static LIVE: LazyLock<String> = LazyLock::new(|| token("live"));
static DEAD: LazyLock<String> = LazyLock::new(|| token("dead"));

/// The gate of a shop that reads tokens everywhere, where two of them were logged out.
static GATE: LazyLock<Gate> = LazyLock::new(|| {
    let (gate, _home) = bare_gate(PLACES);
    for dead in [&DEAD, DEAD_OPAQUE] {
        log_out(&gate, dead);
    }
    gate
});

fn token(id: &str) -> String {
    let claims = json!({ "sub": id, "jti": id, "iat": 1_790_000_000, "exp": 4_000_000_000_u64 });
    let key = jsonwebtoken::EncodingKey::from_secret(Shop::SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

fn log_out(gate: &Gate, token: &str) {
    let order = Ask::parse(format!("POST /logout\nauthorization: Bearer {token}").as_bytes());
    let head = order.and_then(|order| order.head(str::to_owned)).unwrap();
    let request = Request::new(&head, None);
    let Ok(Verdict::LogOut(logout)) = gate.judge(&request, NOW) else {
        panic!("a good token logs out");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let written = runtime
        .unwrap()
        .block_on(gate.revocations().revoke(logout.revocations));
    assert!(written.is_ok(), "the disk takes a row");
}

/// What became of a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Forwarded,
    LoggedOut(Vec<Revocation>),
    Preflight,
    Script,
    Refused(Refusal),
}

impl Outcome {
    /// The credentials were found good. A logout may bring dead ones beside a living one.
    fn is_admitted(&self) -> bool {
        match self {
            Self::Forwarded => true,
            Self::LoggedOut(_) | Self::Preflight | Self::Script | Self::Refused(_) => false,
        }
    }
}

/// A request as the fuzzer wrote it.
struct Ask {
    method: String,
    target: Vec<u8>,
    lines: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Ask {
    /// The request that `text` spells, if it begins like one.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut rest = text;
        let first = take_line(&mut rest);
        let space = first.iter().position(|byte| *byte == b' ')?;
        let (method, target) = (&first[..space], &first[space + 1..]);
        let mut lines = Vec::new();
        while !rest.is_empty() {
            let line = take_line(&mut rest);
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let value = value.strip_prefix(b" ").unwrap_or(value);
            lines.push((String::from_utf8(name.to_vec()).ok()?, spelled(value)));
        }
        Some(Self {
            method: String::from_utf8(method.to_vec()).ok()?,
            target: spelled(target),
            lines,
            body: spelled(rest),
        })
    }

    /// Its head, if a server would take it, with its headers renamed.
    fn head(&self, rename: impl Fn(&str) -> String) -> Option<Parts> {
        let uri = Uri::try_from(self.target.as_slice()).ok()?;
        let mut request = http::Request::builder()
            .method(self.method.as_str())
            .uri(uri)
            .header("host", "shop.example.com");
        for (name, value) in &self.lines {
            let name = HeaderName::from_bytes(rename(name).as_bytes()).ok()?;
            request = request.header(name, HeaderValue::from_bytes(value).ok()?);
        }
        Some(request.body(()).ok()?.into_parts().0)
    }

    fn with(&self, name: &str, value: &str) -> Self {
        let line = (name.to_owned(), value.as_bytes().to_vec());
        Self {
            method: self.method.clone(),
            target: self.target.clone(),
            lines: self.lines.iter().cloned().chain([line]).collect(),
            body: self.body.clone(),
        }
    }

    /// A plain visit with the lines that carry no credential and say nothing of one.
    fn innocent(&self) -> Self {
        let matters = [
            "authorization",
            "cart-token",
            "cookie",
            "connection",
            "host",
        ];
        let is_other = |name: &str| !matters.contains(&plain_name(name).as_str());
        let lines = self.lines.iter().filter(|(name, _)| is_other(name));
        let visit = Self {
            method: "GET".to_owned(),
            target: b"/page".to_vec(),
            lines: lines.cloned().collect(),
            body: Vec::new(),
        };
        visit.with("Authorization", &format!("Bearer {}", *LIVE))
    }

    fn judged(&self) -> Option<Outcome> {
        self.head(str::to_owned)
            .map(|head| judge(&head, &self.body))
    }
}

fn take_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let line = parts.next().unwrap_or_default();
    *rest = parts.next().unwrap_or_default();
    line
}

fn judge(head: &Parts, body: &[u8]) -> Outcome {
    let body = (!body.is_empty()).then_some(body);
    match GATE.judge(&Request::new(head, body), NOW) {
        Ok(Verdict::Forward { .. }) => Outcome::Forwarded,
        Ok(Verdict::LogOut(logout)) => Outcome::LoggedOut(logout.revocations),
        Ok(Verdict::Preflight) => Outcome::Preflight,
        Ok(Verdict::Introspect(_, _)) => unreachable!("the shop is not to be asked"),
        Ok(Verdict::Script) => Outcome::Script,
        Err(refused) => Outcome::Refused(refused.refusal),
    }
}

/// With the tokens in their places: \1 a dead JWT, \2 a living one, \3 a dead opaque token, \4 a living one. Before
/// these, \5 spells them in percents, \6 in the octal numbers of quoted cookies and \7 in the escapes of JSON.
fn spelled(text: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(text.len());
    let mut manner = 0;
    for byte in text {
        let token = match byte {
            1 => DEAD.as_str(),
            2 => LIVE.as_str(),
            3 => DEAD_OPAQUE,
            4 => LIVE_OPAQUE,
            5..=7 => {
                manner = *byte;
                continue;
            }
            _ => {
                full.push(*byte);
                continue;
            }
        };
        for letter in token.bytes() {
            let letter = match manner {
                5 => format!("%{letter:02x}"),
                6 => format!("\\{letter:03o}"),
                7 => format!("\\u{letter:04x}"),
                _ => char::from(letter).to_string(),
            };
            full.extend(letter.bytes());
        }
        manner = 0;
    }
    full
}

/// A dead credential is never admitted, a living one never taken for dead, and a verdict depends on nothing else.
pub fn credential(bytes: &[u8]) {
    let Some(ask) = Ask::parse(bytes) else { return };
    let Some(outcome) = ask.judged() else { return };
    if a_shop_finds_a_dead_one(&ask) {
        assert!(!outcome.is_admitted(), "a dead credential: {outcome:?}");
    }
    assert_eq!(ask.judged(), Some(outcome), "judged again");
    let shouted = ask
        .head(str::to_ascii_uppercase)
        .map(|head| judge(&head, &ask.body));
    assert_eq!(shouted, ask.judged(), "the case of a header's name counts");

    for (name, value) in [
        ("authorization", format!("Bearer {}", *DEAD)),
        ("Cart-Token", DEAD_OPAQUE.to_owned()),
        ("cookie", format!("session_x={DEAD_OPAQUE}")),
        ("cookie", format!("jwt={}", *DEAD)),
    ] {
        let outcome = ask.with(name, &value).judged();
        let admitted = outcome.as_ref().is_some_and(Outcome::is_admitted);
        assert!(!admitted, "with a dead {name}: {outcome:?}");
    }

    let visit = ask.innocent().judged();
    assert_eq!(visit, Some(Outcome::Forwarded), "other headers count");
    let revived: Vec<_> = bytes
        .iter()
        .map(|byte| if let 1 | 3 = byte { byte + 1 } else { *byte })
        .collect();
    let outcome = Ask::parse(&revived).and_then(|ask| ask.judged());
    let refused_as_dead = matches!(outcome, Some(Outcome::Refused(Refusal::Revoked { .. })));
    assert!(!refused_as_dead, "nothing in it is dead");
}

/// Whether some shop in the field would find a dead token in a place where tokens travel.
fn a_shop_finds_a_dead_one(ask: &Ask) -> bool {
    let lines = |wanted: &'static str| {
        let named = ask
            .lines
            .iter()
            .filter(move |(name, _)| plain_name(name) == wanted);
        named.map(|(_, value)| String::from_utf8_lossy(value))
    };
    let target = ask
        .target
        .split(|byte| *byte == b'#')
        .next()
        .unwrap_or_default();
    let query = target
        .splitn(2, |byte| *byte == b'?')
        .nth(1)
        .unwrap_or_default();
    let content_type = lines("content-type")
        .collect::<String>()
        .to_ascii_lowercase();
    let is_form = content_type.is_empty() || content_type.contains("x-www-form-urlencoded");
    lines("authorization").any(|line| is_dead_line(&line))
        || lines("cart-token").any(|line| line.split(',').any(|one| is_dead(one.trim())))
        || lines("cookie").any(|line| line.split(';').any(is_dead_cookie))
        || has_dead_pair("access_token", query)
        || (is_form && has_dead_pair("token", &ask.body))
        || is_dead_json(&ask.body)
}

/// To a CGI shop an underscore is a dash.
fn plain_name(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn is_dead(text: &str) -> bool {
    text == *DEAD || text == DEAD_OPAQUE
}

/// A JWT may stand anywhere in the line; of other tokens nobody knows where they begin, so they stand behind a scheme.
fn is_dead_line(line: &str) -> bool {
    let mut words = line.split(|letter: char| letter.is_whitespace() || ",;\"=".contains(letter));
    let spaced: Vec<_> = line.split_whitespace().collect();
    let small = line.to_ascii_lowercase();
    let mut behind = small
        .match_indices("bearer")
        .map(|(at, word)| line[at + word.len()..].trim_start());
    words.any(|word| word == *DEAD)
        || matches!(spaced.as_slice(), [_, token] if is_dead(token))
        || behind.any(|rest| {
            rest.split([' ', '\t', ',', ';'])
                .next()
                .is_some_and(is_dead)
        })
}

fn is_dead_cookie(pair: &str) -> bool {
    let Some((name, value)) = pair.split_once('=') else {
        return false;
    };
    let names = [
        name.trim().to_owned(),
        php_name(&decoded(name.trim().as_bytes())),
    ];
    let quoted = value
        .trim()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let bare = quoted.unwrap_or(value.trim());
    let values = [
        value.trim().to_owned(),
        bare.to_owned(),
        percents_decoded(bare.as_bytes()),
        octals_decoded(bare)
            .filter(|_| quoted.is_some())
            .unwrap_or_default(),
    ];
    let is_called = |fits: fn(&String) -> bool| names.iter().any(fits);
    let has = |fits: fn(&String) -> bool| values.iter().any(fits);
    // To a shop whose sessions are opaque a JWT is none of them.
    (is_called(|name| name == "jwt") && has(|value| is_dead(value)))
        || (is_called(|name| name.starts_with("session_")) && has(|value| value == DEAD_OPAQUE))
}

/// In a query or form, parted as most shops do or as some do.
fn has_dead_pair(wanted: &str, text: &[u8]) -> bool {
    let parted = |separators: &'static [u8]| text.split(move |byte| separators.contains(byte));
    parted(b"&").chain(parted(b"&;")).any(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let name = php_name(&decoded(parts.next().unwrap_or_default()));
        name.eq_ignore_ascii_case(wanted) && is_dead(&decoded(parts.next().unwrap_or_default()))
    })
}

fn is_dead_json(body: &[u8]) -> bool {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let token = value
        .as_ref()
        .and_then(|value| value.get("token")?.as_str());
    token.is_some_and(is_dead)
}

/// What PHP makes of a name: spaces before it go, a NUL ends it, and what no variable can have is an underscore.
fn php_name(name: &str) -> String {
    let name = name
        .trim_start_matches(' ')
        .split('\0')
        .next()
        .unwrap_or_default();
    name.replace(['.', ' '], "_")
}

/// As in forms.
fn decoded(text: &[u8]) -> String {
    let spaced: Vec<_> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percents_decoded(&spaced)
}

fn percents_decoded(text: &[u8]) -> String {
    String::from_utf8_lossy(&percent::decoded(text)).into_owned()
}

/// `\101` as Python's cookies have it; none where something else is escaped.
fn octals_decoded(text: &str) -> Option<String> {
    let mut pieces = text.split('\\');
    let mut plain = pieces.next()?.to_owned();
    for piece in pieces {
        let code = u8::from_str_radix(piece.get(..3)?, 8).ok()?;
        plain.push(char::from(code));
        plain.push_str(&piece[3..]);
    }
    Some(plain)
}
