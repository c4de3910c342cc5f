//! Laws of the gate on its own: what shops in the field would find dead is never forwarded.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::sync::LazyLock;

use doorward::clock::{self, UnixTime};
use doorward::request::{Gate, Request, Verdict};
use form_urlencoded::parse as parse_form;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde_json::json;
use support::places::{EVERYWHERE, OWN_LOGOUT};
use support::readers::python_value;
use support::{Shop, bare_gate};

/// The gate of a shop that reads tokens everywhere, without a server round it.
struct Bare {
    gate: Gate,
    now: UnixTime,
    dead: String,
    live: String,
    _home: tempfile::TempDir,
}

/// Of this cookie's owner nothing else is known.
const DEAD_COOKIE: &str = "alice|s+t";

static BARE: LazyLock<Bare> = LazyLock::new(Bare::open);

impl Bare {
    fn open() -> Self {
        let (gate, home) = bare_gate(EVERYWHERE);
        let bare = Self {
            gate,
            now: clock::now(),
            dead: token("a-1"),
            live: token("b-1"),
            _home: home,
        };
        let bearer = format!("Bearer {}", bare.dead);
        bare.log_out(&head("POST", OWN_LOGOUT, &[(AUTHORIZATION, bearer.as_bytes())]).unwrap());
        let cookie = format!("session_1={DEAD_COOKIE}");
        let site = (
            HeaderName::from_static("sec-fetch-site"),
            &b"same-origin"[..],
        );
        bare.log_out(&head("POST", OWN_LOGOUT, &[(COOKIE, cookie.as_bytes()), site]).unwrap());
        bare
    }

    fn log_out(&self, head: &Parts) {
        let Ok(Verdict::LogOut(logout)) = self.gate.judge(&Request::new(head, None), self.now)
        else {
            panic!("a good credential logs out");
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime
            .block_on(self.gate.revocations().revoke(logout.revocations))
            .unwrap();
    }

    fn forwards(&self, head: &Parts, body: Option<&[u8]>) -> bool {
        matches!(
            self.gate.judge(&Request::new(head, body), self.now),
            Ok(Verdict::Forward { .. })
        )
    }

    /// Text with the tokens in their places.
    fn fill(&self, fragments: &[&str]) -> String {
        fragments
            .concat()
            .replace("DEAD", &self.dead)
            .replace("LIVE", &self.live)
    }
}

fn token(id: &str) -> String {
    let claims = json!({ "sub": id, "jti": id, "iat": 1_790_000_000, "exp": 4_000_000_000_u64 });
    let key = jsonwebtoken::EncodingKey::from_secret(Shop::SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// A request with these lines; none where they could not be sent.
fn head(method: &str, target: &str, lines: &[(HeaderName, &[u8])]) -> Option<Parts> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "shop.example.com");
    for (name, value) in lines {
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// What shops in the field take for the bearer of an `Authorization` line.
fn read_bearers(line: &str) -> Vec<String> {
    let small = line.to_ascii_lowercase();
    let before_comma = |rest: &str| rest.split(',').next().unwrap_or_default().trim().to_owned();
    let mut words = line.split_whitespace();
    let scheme = words.next().unwrap_or_default();
    [
        // RFC 6750, without case.
        (scheme.eq_ignore_ascii_case("bearer"))
            .then(|| words.next().unwrap_or_default().to_owned()),
        // PHP-Open-Source-Saver/jwt-auth: the last "bearer", wherever it stands.
        small
            .rfind("bearer")
            .map(|at| before_comma(&line[at + 6..])),
        // Laravel: the last "bearer " with its space.
        small
            .rfind("bearer ")
            .map(|at| before_comma(&line[at + 7..])),
        // tymon/jwt-auth and many others: /bearer\s*(\S+)/i.
        small
            .find("bearer")
            .and_then(|at| line[at + 6..].split_whitespace().next().map(str::to_owned)),
        // Spree: the last word behind "Bearer ".
        line.starts_with("Bearer ")
            .then(|| line.split(' ').next_back().unwrap_or_default().to_owned()),
        // Many a shop on Node: the second word, the last, or what is left without "Bearer ".
        line.split(' ').nth(1).map(str::to_owned),
        line.split(' ').next_back().map(str::to_owned),
        Some(line.replacen("Bearer ", "", 1)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What PHP makes of a name: spaces before it go, a NUL ends it, and what no variable can have is an underscore.
/// `None`: it is an array.
fn php_name(name: &str) -> Option<String> {
    let name = name.trim_start_matches(' ').split('\0').next()?;
    let is_array = name
        .split_once('[')
        .is_some_and(|(_, index)| index.contains(']'));
    (!is_array).then(|| name.replace([' ', '.', '['], "_"))
}

/// The parameters that PHP reads, and those that Rack 2 reads.
fn read_parameters(text: &[u8]) -> Vec<(String, String)> {
    let parted: Vec<_> = text.split(|byte| *byte == b';').collect();
    let both = parse_form(text).chain(parted.into_iter().flat_map(parse_form));
    both.filter_map(|(name, value)| Some((php_name(&name)?, value.into_owned())))
        .collect()
}

/// The cookies that PHP reads; before 7.4.11 it decoded their names too. And those that Django reads.
fn read_cookies(line: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(line);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut read = Vec::new();
    for (name, value) in text.split(';').filter_map(|pair| pair.split_once('=')) {
        let in_php = php_name(&decoded(&name.replace('+', " ")));
        read.extend(in_php.map(|name| (name, decoded(value.trim()))));
        read.push((name.trim().to_owned(), python_value(value.trim())));
    }
    read
}

/// Pieces in any order, some of them more often.
fn pieces(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(of), 0..8)
}

const BEARER_PIECES: &[&str] = &[
    "Bearer DEAD",
    "Bearer",
    "Bearer ",
    "bearer ",
    "BEARER",
    "Basic ",
    "foo ",
    "DEAD",
    "DEAD",
    "LIVE",
    " ",
    "  ",
    "\t",
    ",",
    ", ",
    ";",
    "=",
    ":",
    "\"",
    "x",
    "17|",
    ".",
];

const COOKIE_PIECES: &[&str] = &[
    "session_1=\"",
    "\\141",
    "lice|s+t",
    "lice|s+t\"",
    "\\",
    "\u{a0}",
    "session_1=alice|s+t",
    "jwt=DEAD",
    "session_1",
    "session.1",
    "session%5F1",
    "session[1",
    "jwt",
    "=",
    "=",
    "; ",
    ";",
    ",",
    " ",
    "%20",
    "+",
    "\"",
    "alice|s+t",
    "alice%7Cs%2Bt",
    "DEAD",
    "LIVE",
    "bob",
    "%",
    "x=y",
    "\u{e9}",
];

const PARAMETER_PIECES: &[&str] = &[
    "access_token=DEAD",
    "token=DEAD",
    "access_token",
    "access.token",
    "access%5ftoken",
    "token",
    "[]",
    "[",
    "=",
    "=",
    "&",
    "&",
    ";",
    "+",
    "%20",
    "%00",
    "DEAD",
    "DEAD",
    "LIVE",
    "x",
    "%",
    "%ff",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_line_in_which_a_shop_would_find_a_dead_bearer_is_forwarded_trap_4(
        lines in prop::collection::vec(pieces(BEARER_PIECES), 1..3),
    ) {
        let lines: Vec<_> = lines.iter().map(|pieces| BARE.fill(pieces)).collect();
        let sent: Vec<_> = lines.iter().map(|line| (AUTHORIZATION, line.as_bytes())).collect();
        let found = lines.iter().flat_map(|line| read_bearers(line)).any(|token| token == BARE.dead);
        if let Some(head) = head("GET", "/", &sent) {
            prop_assert!(!found || !BARE.forwards(&head, None));
        }
    }

    #[test]
    fn no_line_in_which_a_shop_would_find_a_dead_cookie_is_forwarded_d1(
        lines in prop::collection::vec(pieces(COOKIE_PIECES), 1..3),
    ) {
        let lines: Vec<_> = lines.iter().map(|pieces| BARE.fill(pieces)).collect();
        let sent: Vec<_> = lines.iter().map(|line| (COOKIE, line.as_bytes())).collect();
        let is_dead = |(name, value): &(String, String)| {
            (name == "jwt" && *value == BARE.dead) || (name.starts_with("session_") && value == DEAD_COOKIE)
        };
        let found = lines.iter().flat_map(|line| read_cookies(line.as_bytes())).any(|pair| is_dead(&pair));
        if let Some(head) = head("GET", "/", &sent) {
            prop_assert!(!found || !BARE.forwards(&head, None));
        }
    }

    #[test]
    fn no_query_or_form_in_which_a_shop_would_find_a_dead_token_is_forwarded_d1(
        pieces in pieces(PARAMETER_PIECES),
    ) {
        let text = BARE.fill(&pieces);
        let found = |name: &str| read_parameters(text.as_bytes()).iter().any(|pair| *pair == (name.to_owned(), BARE.dead.clone()));
        if let Some(head) = head("GET", &format!("/?{text}"), &[]) {
            prop_assert!(!found("access_token") || !BARE.forwards(&head, None));
        }
        let kind = (http::header::CONTENT_TYPE, &b"application/x-www-form-urlencoded"[..]);
        let head = head("POST", "/", &[kind]).unwrap();
        prop_assert!(!found("token") || !BARE.forwards(&head, Some(text.as_bytes())));
    }

    #[test]
    fn no_request_panics_d12(
        target in "/[ -~]{0,40}",
        lines in prop::collection::vec((0usize..5, prop::collection::vec(any::<u8>(), 0..60)), 0..4),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
    ) {
        let names = ["authorization", "cookie", "cart-token", "connection", "content-type"].map(HeaderName::from_static);
        let sent: Vec<_> = lines.iter().map(|(name, value)| (names[*name].clone(), value.as_slice())).collect();
        if let Some(head) = head("POST", &target, &sent) {
            let _ = BARE.forwards(&head, body.as_deref());
        }
    }
}

#[test]
fn the_bare_gate_tells_the_dead_from_the_living() {
    for (token, passes) in [(&BARE.live, true), (&BARE.dead, false)] {
        let bearer = format!("Bearer {token}");
        let head = head("GET", "/", &[(AUTHORIZATION, bearer.as_bytes())]).unwrap();
        assert_eq!(BARE.forwards(&head, None), passes);
        assert_eq!(read_bearers(&bearer), [token.as_str(); 8]);
    }
    for (cookie, passes) in [
        ("session_1=bob", true),
        ("session_1=alice%7Cs%2Bt", false),
        ("session_1=\"alice|s+t\\\"", false),
        ("session_1=\"bob\\\"", true),
    ] {
        let head = head("GET", "/", &[(COOKIE, cookie.as_bytes())]).unwrap();
        assert_eq!(BARE.forwards(&head, None), passes);
    }
    assert_eq!(
        read_cookies(b"a=b; session.1=alice%7Cs%2Bt")[2],
        ("session_1".to_owned(), DEAD_COOKIE.to_owned())
    );
}
