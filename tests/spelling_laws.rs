//! Laws of spellings: what is found dead where it belongs is refused in every spelling that a known server reads as the
//! same token, and what lives passes in all of them. The servers are modelled in `support::readers`.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::sync::LazyLock;

use doorward::clock::{self, UnixTime};
use doorward::request::{Gate, Request, Verdict};
use http::header::{CONTENT_TYPE, COOKIE, HeaderName, HeaderValue};
use http::request::Parts;
use proptest::prelude::*;
use serde_json::json;
use support::places::OWN_LOGOUT;
use support::readers::{self, Reader, values_of};
use support::{Shop, bare_gate};

/// How a shop writes its tokens, in every carrier alike.
struct Style {
    name: &'static str,
    /// Of every place.
    spelling: &'static str,
    is_jwt: bool,
    /// What the shop makes of a value that was read: the form in which it compares tokens.
    key: fn(&str) -> Option<String>,
    /// What clients send for a token.
    write: fn(&str) -> String,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "other styles find no token in some texts"
)]
fn as_it_is(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn trimmed(text: &str) -> Option<String> {
    let pair = vec![(String::new(), text.to_owned())];
    readers::laravel_trimmed(pair).pop().map(|(_, value)| value)
}

fn secret_part(text: &str) -> Option<String> {
    // usefulteam/jwt-auth: `explode('.')`, two parts, `intval` of the first.
    let (user, secret) = text.split_once('.')?;
    (!user.trim().is_empty() && !secret.contains('.')).then(|| secret.to_owned())
}

const STYLES: [Style; 6] = [
    Style {
        name: "opaque",
        spelling: "kind = \"opaque\"\n",
        is_jwt: false,
        key: as_it_is,
        write: str::to_owned,
    },
    Style {
        name: "trimmed",
        spelling: "kind = \"opaque\"\n",
        is_jwt: false,
        key: trimmed,
        write: str::to_owned,
    },
    Style {
        name: "JWT",
        spelling: "kind = \"jwt\"\n",
        is_jwt: true,
        key: trimmed,
        write: str::to_owned,
    },
    Style {
        name: "MySQL",
        spelling: "kind = \"opaque\"\nfold = [\"case\", \"trim\"]\n",
        is_jwt: false,
        key: |text| Some(readers::mysql_key(text)),
        write: str::to_owned,
    },
    Style {
        name: "user and secret",
        spelling: "kind = \"opaque\"\npattern = '[^.]*\\.(?<token>[^.]+)'\n",
        is_jwt: false,
        key: secret_part,
        write: |token| format!("7.{token}"),
    },
    Style {
        name: "signed",
        spelling: "kind = \"opaque\"\ndecode = \"signed\"\n",
        is_jwt: false,
        key: readers::signed_value,
        write: |token| format!("s:{token}.c2lnbmF0dXJl"),
    },
];

/// The gate of a shop of one style, with one token dead and one alive.
struct Bare {
    gate: Gate,
    now: UnixTime,
    dead: String,
    live: String,
    style: &'static Style,
    _home: tempfile::TempDir,
}

static SHOPS: LazyLock<Vec<Bare>> = LazyLock::new(|| STYLES.iter().map(Bare::open).collect());

impl Bare {
    fn open(style: &'static Style) -> Self {
        let place = |carrier: &str| format!("[[shop.credential]]\n{carrier}\n{}", style.spelling);
        let places = [
            "cookie = \"sid\"",
            "query = \"token\"",
            "form = \"token\"",
            "body = \"/token\"",
        ];
        let places: String = places.into_iter().map(place).collect();
        let (gate, home) = bare_gate(&format!("dead_cookie = \"refuse\"\n{places}"));
        let token = |opaque: &str| {
            if style.is_jwt {
                jwt(opaque)
            } else {
                (style.write)(opaque)
            }
        };
        let bare = Self {
            gate,
            now: clock::now(),
            dead: token("dead0123456789abcdefDEAD"),
            live: token("live0123456789abcdefLIVE"),
            style,
            _home: home,
        };
        let cookie = format!("sid={}", bare.dead);
        let site = (
            HeaderName::from_static("sec-fetch-site"),
            "same-origin".to_owned(),
        );
        let head = head("POST", OWN_LOGOUT, &[(COOKIE, cookie), site]).unwrap();
        let judged = bare.gate.judge(&Request::new(&head, None), bare.now);
        let Ok(Verdict::LogOut(logout)) = judged else {
            panic!("{}: a good cookie logs out", style.name);
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime
            .block_on(bare.gate.revocations().revoke(logout.revocations))
            .unwrap();
        bare
    }

    fn forwards(&self, head: &Parts, body: Option<&str>) -> bool {
        let request = Request::new(head, body.map(str::as_bytes));
        matches!(
            self.gate.judge(&request, self.now),
            Ok(Verdict::Forward { .. })
        )
    }

    /// Whether the shop would take one of these values for the dead token.
    fn is_dead(&self, values: &[String]) -> bool {
        let dead = (self.style.key)(&self.dead);
        values
            .iter()
            .any(|value| dead.is_some() && (self.style.key)(value) == dead)
    }

    /// The same, where any of the servers reads them.
    fn reads_dead(&self, readers: &[Reader], text: &str, names: &[&str]) -> Option<&'static str> {
        readers.iter().find_map(|(server, read)| {
            let pairs = read(text);
            let mut values = names.iter().map(|name| values_of(&pairs, name));
            values
                .any(|values| self.is_dead(&values))
                .then_some(*server)
        })
    }
}

fn jwt(id: &str) -> String {
    let claims = json!({ "sub": id, "jti": id, "iat": 1_790_000_000, "exp": 4_000_000_000_u64 });
    let key = jsonwebtoken::EncodingKey::from_secret(Shop::SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// A request with these lines; none where they could not be sent.
fn head(method: &str, target: &str, lines: &[(HeaderName, String)]) -> Option<Parts> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "shop.example.com");
    for (name, value) in lines {
        request = request.header(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// How one letter may be written.
#[derive(Clone, Copy, Debug)]
enum CharSpelling {
    Plain,
    Percent,
    PercentTwice,
    Unicode,
    Octal,
    OtherCase,
}

impl CharSpelling {
    fn write(self, letter: char, into: &mut String) {
        let code = u32::from(letter);
        let written = match self {
            Self::Plain => letter.to_string(),
            Self::Percent => format!("%{code:02x}"),
            Self::PercentTwice => format!("%25{code:02X}"),
            Self::Unicode => format!("%u{code:04x}"),
            Self::Octal => format!("\\{code:03o}"),
            Self::OtherCase if letter.is_ascii_lowercase() => letter.to_uppercase().to_string(),
            Self::OtherCase => letter.to_lowercase().to_string(),
        };
        into.push_str(&written);
    }
}

/// A way to write a token: letters by their place, and what stands before and behind.
#[derive(Clone, Debug)]
struct Writing {
    letters: Vec<(usize, CharSpelling)>,
    before: &'static str,
    behind: &'static str,
}

impl Writing {
    fn write(&self, token: &str) -> String {
        let mut text = self.before.to_owned();
        for (at, letter) in token.chars().enumerate() {
            let odd = self
                .letters
                .iter()
                .find(|(place, _)| *place % token.len() == at);
            odd.map_or(CharSpelling::Plain, |(_, odd)| *odd)
                .write(letter, &mut text);
        }
        text + self.behind
    }
}

fn writings() -> impl Strategy<Value = Writing> {
    let letter = prop::sample::select(vec![
        CharSpelling::Plain,
        CharSpelling::Percent,
        CharSpelling::PercentTwice,
        CharSpelling::Unicode,
        CharSpelling::Octal,
        CharSpelling::OtherCase,
    ]);
    let around = vec![
        "", "", "", " ", "%20", "+", "%09", "\"", "%22", "x", "0", "\\", "%0a", "%C2%A0", ",", ";",
    ];
    (
        prop::collection::vec((0usize..200, letter), 0..4),
        prop::sample::select(around.clone()),
        prop::sample::select(around),
    )
        .prop_map(|(letters, before, behind)| Writing {
            letters,
            before,
            behind,
        })
}

const NAMES: &[&str] = &[
    "sid",
    "sid",
    "SID",
    "%73id",
    "sid[]",
    "sid ",
    " sid",
    "token",
    "token",
    "Token",
    "[token]",
    "token[]",
    "token%5B0%5D",
    "%20token",
    "tok%65n",
    "token]",
    "x",
    "sid.0",
    "tokens",
];

const BETWEEN_COOKIES: &[&str] = &[
    "; ",
    ";",
    ", ",
    ",",
    " ",
    "; a=b; ",
    "; $Path=/; ",
    "; x=\"",
    "\t",
];

const BETWEEN_PAIRS: &[&str] = &["&", ";", "&a=b&", "&&", ";x;", "&sid=&"];

/// A name, whether a dead token stands behind it, and how it is written.
type Pair = (&'static str, bool, Writing);

/// The shop, and a line of pairs with the token of one kind in some of them.
fn lines(
    between: &'static [&'static str],
) -> impl Strategy<Value = (usize, Vec<Pair>, Vec<&'static str>)> {
    (
        0..STYLES.len(),
        prop::collection::vec(
            (prop::sample::select(NAMES), any::<bool>(), writings()),
            1..4,
        ),
        prop::collection::vec(prop::sample::select(between), 3),
    )
}

fn line(
    bare: &Bare,
    pairs: &[(&str, bool, Writing)],
    between: &[&str],
    may_be_dead: bool,
) -> String {
    let mut text = String::new();
    for (at, (name, is_dead, writing)) in pairs.iter().enumerate() {
        if at > 0 {
            text += between[at - 1];
        }
        let token = if *is_dead && may_be_dead {
            &bare.dead
        } else {
            &bare.live
        };
        text += name;
        text.push('=');
        text += writing.write(token).as_str();
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_cookie_that_a_server_reads_as_a_dead_token_is_forwarded_attacks_a9(
        (shop, pairs, between) in lines(BETWEEN_COOKIES),
    ) {
        let bare = &SHOPS[shop];
        let text = line(bare, &pairs, &between, true);
        if let Some(head) = head("GET", "/", &[(COOKIE, text.clone())])
            && let Some(server) = bare.reads_dead(&readers::COOKIES, &text, &["sid", "token"])
        {
            prop_assert!(!bare.forwards(&head, None), "{} of {}: {text}", server, bare.style.name);
        }
    }

    #[test]
    fn no_parameter_that_a_server_reads_as_a_dead_token_is_forwarded_attacks_a4(
        (shop, pairs, between) in lines(BETWEEN_PAIRS),
    ) {
        let bare = &SHOPS[shop];
        let text = line(bare, &pairs, &between, true).replace(' ', "%20").replace('"', "%22").replace('\\', "%5C");
        let Some(server) = bare.reads_dead(&readers::PARAMETERS, &text, &["sid", "token"]) else { return Ok(()) };
        let told = format!("{server} of {}: {text}", bare.style.name);
        if let Some(head) = head("POST", &format!("/?{text}"), &[]) {
            prop_assert!(!bare.forwards(&head, None), "query, {told}");
        }
        for kind in ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8", ""] {
            let head = head("POST", "/", &[(CONTENT_TYPE, kind.to_owned())]).unwrap();
            prop_assert!(!bare.forwards(&head, Some(&text)), "form, {told}");
        }
    }

    #[test]
    fn no_path_in_which_a_servlet_reads_a_dead_session_is_forwarded_attacks_a4(
        shop in 0..STYLES.len(),
        name in prop::sample::select(vec!["sid", "SID", "x"]),
        writing in writings(),
        behind in prop::sample::select(vec!["", "/b", ";x=y", ";x=y/c"]),
    ) {
        let bare = &SHOPS[shop];
        let text = writing.write(&bare.dead).replace(' ', "%20").replace('"', "%22").replace('\\', "%5C");
        let path = format!("/a;{name}={text}{behind}");
        if let Some(head) = head("GET", &path, &[])
            && bare.is_dead(&values_of(&readers::servlet_path(&path), "sid"))
        {
            prop_assert!(!bare.forwards(&head, None), "{}: {path}", bare.style.name);
        }
    }

    #[test]
    fn no_living_token_is_refused_in_any_spelling_attacks_b1(
        (shop, pairs, between) in lines(BETWEEN_COOKIES),
        text in "[ -~]{0,30}",
    ) {
        let bare = &SHOPS[shop];
        let one = &pairs[..1];
        let written = line(bare, one, &between, false);
        for cookies in [written.clone(), format!("{written}; x={text}"), format!("x={text}; {written}"), line(bare, &pairs, &between, false)] {
            if let Some(head) = head("GET", "/", &[(COOKIE, cookies.clone())]) && !bare.style.is_jwt {
                prop_assert!(bare.forwards(&head, None), "{}: {cookies}", bare.style.name);
            }
        }
        let written = written.replace(' ', "%20").replace('"', "%22").replace('\\', "%5C");
        let plain = Writing { letters: vec![], before: "", behind: "" }.write(&bare.live);
        let query = format!("/?token={plain}&sid={text}", text = text.replace(|letter: char| !letter.is_ascii_alphanumeric(), "%20"));
        let head_of = |target: &str| head("GET", target, &[]);
        if let Some(head) = head_of(&query) {
            prop_assert!(bare.forwards(&head, None), "{}: {query}", bare.style.name);
        }
        if !bare.style.is_jwt && let Some(head) = head_of(&format!("/?{written}")) {
            prop_assert!(bare.forwards(&head, None), "{}: {written}", bare.style.name);
        }
    }
}

#[test]
fn the_shops_tell_the_dead_from_the_living_where_tokens_belong() {
    for bare in SHOPS.iter() {
        for (token, passes) in [(&bare.live, true), (&bare.dead, false)] {
            let style = bare.style.name;
            let cookie = head("GET", "/", &[(COOKIE, format!("sid={token}"))]).unwrap();
            assert_eq!(bare.forwards(&cookie, None), passes, "{style}, cookie");
            let query = head("GET", &format!("/?token={token}"), &[]).unwrap();
            assert_eq!(bare.forwards(&query, None), passes, "{style}, query");
            let form = head(
                "POST",
                "/",
                &[(CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned())],
            )
            .unwrap();
            assert_eq!(
                bare.forwards(&form, Some(&format!("token={token}"))),
                passes,
                "{style}, form"
            );
            let json = head(
                "POST",
                "/",
                &[(CONTENT_TYPE, "application/json".to_owned())],
            )
            .unwrap();
            let body = json!({ "token": token }).to_string();
            assert_eq!(bare.forwards(&json, Some(&body)), passes, "{style}, JSON");
            assert!(
                bare.is_dead(std::slice::from_ref(&bare.dead))
                    && !bare.is_dead(std::slice::from_ref(&bare.live))
            );
        }
    }
}
