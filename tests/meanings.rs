//! A change of the configuration forgets nothing: what a token was called when it was logged out is honoured as long as
//! the logout is in force, and makes no innocent a dead one.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::clock::{self, UnixTime};
use doorward::config;
use doorward::request::{Gate, Named, Refusal, Request, Target, Verdict};
use doorward::revocation::{Journal, Revocation, Revocations};
use http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::places::{OWN_LOGOUT, PAGE, get, open_shop, with_authorization};
use support::{
    Cluster, Edge, Exchange, HELLO, LiveShop, Scene, Shop, eventually, overlaid, request,
};

const FAR: u64 = 4_000_000_000;
/// Before every logout of a test.
const EARLIER: u64 = 1_780_000_000;

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token of the shop with Alice's claims and these laid over them; `null` removes one.
fn token(over: &Value) -> String {
    let usual = json!({
        "sub": 3, "uid": 30, "jti": "a", "tid": "x", "sid": "s", "lsid": "l", "iat": EARLIER, "exp": FAR,
    });
    plain(&overlaid(usual, over))
}

/// A token of the shop with these claims.
fn plain(claims: &Value) -> String {
    signed_by(Shop::SECRET, claims)
}

fn signed_by(secret: &str, claims: &Value) -> String {
    let text = format!(
        "{}.{}",
        b64(r#"{"typ":"JWT","alg":"HS256"}"#),
        b64(claims.to_string())
    );
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{text}.{signature}")
}

/// Alice's other device.
fn other_device(over: &Value) -> String {
    token(&overlaid(json!({ "jti": "a-2", "tid": "x-2" }), over))
}

/// Somebody else, whose other claims say what Alice's logout named, and who has logged in before it.
fn somebody_else(over: &Value) -> String {
    let usual = json!({ "sub": 4, "uid": 3, "jti": "b", "tid": "a", "sid": "t", "lsid": "s" });
    token(&overlaid(usual, over))
}

/// Keys and tables of a shop whose tokens are JWTs.
fn jwt(more: &str) -> String {
    format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{{shop}}\"]\n\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{{secret_file}}\"\n{more}"
    )
}

/// Keys and tables of a shop whose tokens say nothing.
fn opaque(more: &str) -> String {
    format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{{shop}}\"]\n\
         token.kind = \"opaque\"\ntoken.max_token_lifetime = \"30d\"\n{more}"
    )
}

/// A file with a key, as private as it has to be.
fn put_key(file: &Path, key: &str) {
    fs::write(file, key).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// How a token travels.
#[derive(Clone)]
enum Way {
    Bearer(String),
    Cookie(String),
    At(&'static str, String),
}

impl Way {
    fn request(&self, method: &str, target: &str) -> Vec<u8> {
        let bearer = |token: &str| format!("Bearer {token}");
        match self {
            Self::Bearer(token) => {
                request(method, target, &[("Authorization", &bearer(token))], b"")
            }
            Self::Cookie(line) => {
                let headers = [("Cookie", line.as_str()), ("Sec-Fetch-Site", "same-origin")];
                request(method, target, &headers, b"")
            }
            Self::At(host, token) => {
                let headers = [("Host", *host), ("Authorization", &bearer(token))];
                request(method, target, &headers, b"")
            }
        }
    }
}

/// One change of a configuration.
struct Change {
    what: &'static str,
    before: String,
    after: String,
    /// Who logs out before it.
    leaves: Way,
    /// Who is out from then on.
    out: Vec<Way>,
    /// Who is not.
    in_: Vec<Way>,
}

impl Change {
    /// A bearer token's logout.
    fn of(what: &'static str, before: String, after: String, dead: &[String]) -> Self {
        let dead: Vec<_> = dead.iter().cloned().map(Way::Bearer).collect();
        Self {
            what,
            before,
            after,
            leaves: dead[0].clone(),
            out: dead,
            in_: vec![Way::Bearer(somebody_else(&json!({})))],
        }
    }

    fn sparing(mut self, innocent: &[String]) -> Self {
        self.in_.extend(innocent.iter().cloned().map(Way::Bearer));
        self
    }

    #[track_caller]
    fn visits(&self, when: &str, edge: &Edge) {
        for (ways, status) in [(&self.out, 401), (&self.in_, 200)] {
            for (number, way) in ways.iter().enumerate() {
                let answer = edge.raw(&way.request("GET", PAGE));
                let what = self.what;
                assert_eq!(
                    answer,
                    status,
                    "{what}: number {number}, {when}: {}",
                    answer.text()
                );
            }
        }
    }

    /// The change by a reload, and then a restart; and by a restart alone.
    #[track_caller]
    fn forgets_nothing(&self) {
        let shop = open_shop();
        let said = |text: &str| text.replace("{shop}", &shop.address().to_string());
        for by_reload in [true, false] {
            let mut edge = Edge::with(&said(&self.before));
            for way in self.out.iter().chain(&self.in_) {
                assert_eq!(edge.raw(&way.request("GET", PAGE)), 200, "{}", self.what);
            }
            let left = edge.raw(&self.leaves.request("POST", OWN_LOGOUT));
            assert_eq!(left, 200, "{}: {}", self.what, left.text());
            self.visits("before the change", &edge);
            edge.configure(&said(&self.after));
            if by_reload {
                let reloaded = edge.command(&["reload"]);
                assert_eq!(reloaded.code, Some(0), "{}: {reloaded:?}", self.what);
                self.visits("after the reload", &edge);
            }
            edge.restart();
            self.visits("after the restart", &edge);
            edge.configure(&said(&self.before));
            assert_eq!(edge.command(&["reload"]).code, Some(0), "{}", self.what);
            self.visits("changed back", &edge);
        }
    }
}

/// With this scope of Doorward's own logout.
fn reaching(scope: &str, more: &str) -> String {
    format!("own_logout.revoke = \"{scope}\"\n{more}")
}

#[test]
fn other_claims_forget_nothing_and_no_other_claim_is_taken_for_them_attacks_a8() {
    // By another claim they are newer than any logout.
    let newer = json!({ "auth": clock::now().seconds() + 3_600 });
    let both = [token(&newer), other_device(&newer)];
    let one = &both[..1];
    let changes = [
        ("id", "token", "claims.id = \"/tid\"", one),
        ("subject", "subject", "claims.subject = \"/uid\"", &both[..]),
        (
            "session",
            "session",
            "claims.session = \"/lsid\"",
            &both[..],
        ),
        ("end", "token", "claims.expires_at = \"/end\"", one),
        (
            "issue",
            "subject",
            "claims.issued_at = \"/auth\"",
            &both[..],
        ),
        (
            "parts",
            "subject",
            "claims.subject = [\"/prv\", \"/sub\"]",
            &both[..],
        ),
    ];
    for (what, scope, said, dead) in changes {
        let before = jwt(&reaching(scope, ""));
        let after = jwt(&reaching(scope, &format!("token.{said}\n")));
        let spared = (scope == "token").then(|| both[1].clone());
        Change::of(what, before.clone(), after.clone(), dead)
            .sparing(spared.as_slice())
            .forgets_nothing();
    }
}

#[test]
fn another_kind_of_token_forgets_nothing_attacks_a8() {
    for (scope, dead) in [
        ("token", vec![token(&json!({}))]),
        ("subject", vec![token(&json!({})), other_device(&json!({}))]),
    ] {
        let read = jwt(&reaching(scope, ""));
        let unread = opaque(&reaching(scope, ""));
        Change::of("auto to opaque", read.clone(), unread.clone(), &dead).forgets_nothing();
        let only = jwt(&reaching(scope, "token.kind = \"jwt\"\n"));
        Change::of("jwt to opaque", only, unread, &dead).forgets_nothing();
    }
    let dead = [token(&json!({}))];
    let unread = opaque("");
    Change::of("opaque to auto", unread.clone(), jwt(""), &dead).forgets_nothing();
    let only = jwt("token.kind = \"jwt\"\n");
    Change::of("opaque to jwt", unread.clone(), only, &dead).forgets_nothing();
    let nameless = [token(&json!({ "jti": null }))];
    Change::of("opaque to auto, without id", unread, jwt(""), &nameless).forgets_nothing();
}

#[test]
fn another_name_or_token_domain_forgets_nothing_attacks_a8() {
    let dead = [token(&json!({})), other_device(&json!({}))];
    let before = jwt(&reaching("subject", ""));
    let renamed = before.replace("\"main\"", "\"store\"");
    let shared = jwt(&reaching("subject", "token.token_domain = \"all\"\n"));
    let other_claims = renamed.clone() + "token.claims.subject = \"/uid\"\n";
    let unread = opaque("").replace("\"main\"", "\"store\"");
    for (what, after) in [
        ("renamed", renamed),
        ("another domain", shared),
        ("renamed, with other claims", other_claims),
        ("renamed, of another kind", unread),
    ] {
        Change::of(what, before.clone(), after, &dead).forgets_nothing();
    }
    let one = ["0123456789abcdef0123456789abcdef".to_owned()];
    let renamed = opaque("").replace("\"main\"", "\"store\"");
    Change::of("renamed, opaque", opaque(""), renamed, &one).forgets_nothing();
}

#[test]
fn pinning_an_issuer_or_adding_one_forgets_nothing_attacks_a8() {
    let iss = json!({ "iss": "https://a.example" });
    let dead = [token(&iss), other_device(&iss)];
    let unpinned = jwt(&reaching("subject", ""));
    let pinned = jwt(&reaching(
        "subject",
        "token.issuer = \"https://a.example\"\n",
    ));
    let of_issuer = |change: Change| Change {
        in_: vec![Way::Bearer(somebody_else(&iss))],
        ..change
    };
    let change = Change::of("pinned", unpinned.clone(), pinned.clone(), &dead);
    of_issuer(change).forgets_nothing();
    let change = Change::of("unpinned", pinned.clone(), unpinned.clone(), &dead);
    of_issuer(change).forgets_nothing();
    let moved = pinned + "token.claims.subject = \"/uid\"\n";
    of_issuer(Change::of("pinned, other claims", unpinned, moved, &dead)).forgets_nothing();
}

#[test]
fn other_names_of_an_opaque_token_forget_nothing_attacks_a8() {
    let secret = "|0123456789abcdef0123456789abcdef";
    let dead = [format!("17{secret}")];
    let parted = opaque("token.opaque_pattern = '[0-9]+\\|(?<token>[0-9a-f]+)'\n");
    let whole = opaque("");
    let other = "18|fedcba9876543210fedcba9876543210".to_owned();
    for (what, before, after) in [
        ("no part any more", parted.clone(), whole.clone()),
        ("a part", whole, parted.clone()),
        (
            "a part in another domain",
            parted.clone(),
            parted + "token.token_domain = \"all\"\n",
        ),
    ] {
        let change = Change::of(what, before, after, &dead).sparing(std::slice::from_ref(&other));
        change.forgets_nothing();
    }
}

/// A shop whose tokens come in a cookie, under these keys of the place.
fn cookie(of: &dyn Fn(&str) -> String, said: &str) -> String {
    of(&format!(
        "dead_cookie = \"refuse\"\n[[shop.credential]]\n{said}\n"
    ))
}

#[test]
fn other_spellings_of_a_place_forget_nothing_attacks_a8() {
    const PLAIN: &str = "cookie = \"session\"";
    let text = "0123456789abcdef0123456789abcdef";
    let wrapped = format!("session=%22{text}%22");
    let signed = format!("session={text}--0f0f0f");
    let parted = format!("session=alice|{text}");
    let upper = format!("session={}", text.to_uppercase());
    let plain = format!("session={text}");
    for (what, before, after, line) in [
        (
            "decode",
            "cookie = \"session\"\ndecode = \"json\"",
            PLAIN,
            &wrapped,
        ),
        (
            "no decode",
            PLAIN,
            "cookie = \"session\"\ndecode = \"json\"",
            &wrapped,
        ),
        (
            "signed",
            "cookie = \"session\"\ndecode = \"signed\"",
            PLAIN,
            &signed,
        ),
        (
            "pattern",
            "cookie = \"session\"\npattern = '[a-z]+\\|(?<token>[0-9a-f]+)'",
            PLAIN,
            &parted,
        ),
        (
            "fold",
            "cookie = \"session\"\nfold = \"case\"",
            PLAIN,
            &upper,
        ),
        ("another cookie", PLAIN, "cookie = \"other\"", &plain),
        ("a header", PLAIN, "header = \"x-token\"", &plain),
        (
            "a JWT place",
            PLAIN,
            "cookie = \"session\"\nkind = \"opaque\"",
            &plain,
        ),
    ] {
        let of = |said: &str| cookie(&opaque, said);
        let dead = Way::Cookie(line.clone());
        Change {
            what,
            before: of(before),
            after: of(after),
            leaves: dead.clone(),
            out: vec![dead],
            in_: vec![Way::Cookie(line.replace("0123", "3210"))],
        }
        .forgets_nothing();
    }
    let jwt_cookie = format!("session=%22{}%22", token(&json!({})));
    let innocent = format!("session=%22{}%22", somebody_else(&json!({})));
    for (what, after) in [
        ("a JWT that is decoded no more", PLAIN),
        (
            "a JWT in a place that is none any more",
            "header = \"x-token\"",
        ),
        (
            "a JWT that is opaque now",
            "cookie = \"session\"\nkind = \"opaque\"",
        ),
    ] {
        let dead = Way::Cookie(jwt_cookie.clone());
        Change {
            what,
            before: cookie(&jwt, "cookie = \"session\"\ndecode = \"json\""),
            after: cookie(&jwt, after),
            leaves: dead.clone(),
            out: vec![dead],
            in_: vec![Way::Cookie(innocent.clone())],
        }
        .forgets_nothing();
    }
    let halves = token(&json!({}));
    let (first, rest) = halves.split_at(halves.len() / 2);
    let dead = Way::Cookie(format!("a={first}; b={rest}"));
    let other = somebody_else(&json!({}));
    let (first, rest) = other.split_at(other.len() / 2);
    Change {
        what: "join",
        before: cookie(&jwt, "cookie = \"a\"\njoin = [\"b\"]"),
        after: cookie(&jwt, "cookie = \"c\""),
        leaves: dead.clone(),
        out: vec![dead],
        in_: vec![Way::Cookie(format!("a={first}; b={rest}"))],
    }
    .forgets_nothing();
}

#[test]
fn splitting_and_merging_shops_forgets_nothing_attacks_a8() {
    let dead = token(&json!({}));
    let at = |host| Way::At(host, dead.clone());
    let innocent = |host| Way::At(host, somebody_else(&json!({})));
    let named = |name: &str, hosts: &str| {
        let text = jwt(&reaching("subject", ""));
        text.replace("\"main\"\n", &format!("\"{name}\"\nhosts = [{hosts}]\n"))
    };
    let whole = named("main", "\"a.test\", \"b.test\"");
    let split = named("one", "\"a.test\"") + &named("two", "\"b.test\"");
    let rest = named("main", "\"a.test\"") + &named("two", "\"b.test\"");
    for (what, before, after) in [
        ("split", whole.clone(), split.clone()),
        ("split off", whole.clone(), rest),
        ("split, of another kind", whole, {
            let kind = |name: &str, host: &str| {
                let said = format!("\"{name}\"\nhosts = [\"{host}\"]\n");
                opaque("").replace("\"main\"\n", &said)
            };
            kind("one", "a.test") + &kind("two", "b.test")
        }),
    ] {
        Change {
            what,
            before,
            after,
            leaves: at("a.test"),
            out: vec![at("a.test"), at("b.test")],
            in_: vec![innocent("a.test"), innocent("b.test")],
        }
        .forgets_nothing();
    }
    Change {
        what: "merged",
        before: split,
        after: named("main", "\"a.test\", \"b.test\""),
        leaves: at("a.test"),
        out: vec![at("a.test")],
        in_: vec![innocent("a.test"), innocent("b.test")],
    }
    .forgets_nothing();
}

/// Two shops with one key and a token domain each: a logout at one is none at the other, whatever changes at the first.
#[test]
fn what_a_neighbour_forgets_nothing_of_is_alive_here_attacks_a8() {
    let named = |name: &str, hosts: &str, more: &str| {
        let text = jwt(&reaching("subject", more));
        let hosts = if hosts.is_empty() {
            String::new()
        } else {
            format!("hosts = [{hosts}]\n")
        };
        text.replace("\"main\"\n", &format!("\"{name}\"\n{hosts}"))
    };
    let claims = "token.claims.subject = \"/uid\"\n";
    let neighbour = named("two", "\"b.test\"", "");
    let dead = token(&json!({}));
    for (what, hosts) in [("two hosts", "\"a.test\""), ("beside all that is left", "")] {
        Change {
            what,
            before: neighbour.clone() + &named("one", hosts, ""),
            after: neighbour.clone() + &named("one", hosts, claims),
            leaves: Way::At("a.test", dead.clone()),
            out: vec![Way::At("a.test", dead.clone())],
            in_: vec![Way::At("b.test", dead.clone())],
        }
        .forgets_nothing();
    }
    Change {
        what: "a host of its own, out of all that was left",
        before: named("one", "", ""),
        after: neighbour + &named("one", "", ""),
        leaves: Way::At("b.test", dead.clone()),
        out: vec![Way::At("a.test", dead.clone()), Way::At("b.test", dead)],
        in_: vec![Way::At("b.test", somebody_else(&json!({})))],
    }
    .forgets_nothing();
}

/// A shop of JWTs on a host of its own, with this key.
fn table_with_key(shop: &Shop, name: &str, key: &str) -> String {
    let said = format!("\"{name}\"\nhosts = [\"{name}.test\"]\n");
    let text = jwt(&reaching("subject", "")).replace("\"main\"\n", &said);
    let text = text.replace("{secret_file}", key);
    text.replace("{shop}", &shop.address().to_string())
}

/// Tokens follow their key to the shop that has it now, and their logouts follow them.
#[test]
fn shops_that_exchange_their_keys_forget_nothing_attacks_a8() {
    const KEY: &str = "another key of more than thirty-two bytes";
    let shop = open_shop();
    let table = |name: &str, key: &str| table_with_key(&shop, name, key);
    let keys = [
        "{secret_file}",
        "{home}/other.secret",
        "{home}/third.secret",
    ];
    let shops =
        |of_one: usize, of_two: usize| table("one", keys[of_one]) + &table("two", keys[of_two]);
    let (dead, other) = (token(&json!({})), other_device(&json!({})));
    let alive = somebody_else(&json!({}));
    for (what, after) in [("exchanged", shops(1, 0)), ("taken over", shops(2, 0))] {
        let mut edge = Edge::with(&table("one", keys[0]));
        for name in ["other", "third"] {
            let key = if name == "other" {
                KEY.to_owned()
            } else {
                KEY.to_uppercase()
            };
            put_key(&edge.path(&format!("{name}.secret")), &key);
        }
        edge.configure(&shops(0, 1));
        assert_eq!(edge.command(&["reload"]).code, Some(0), "{what}");
        let at = |host, token: &str| Way::At(host, token.to_owned());
        let out = at("one.test", &dead).request("POST", OWN_LOGOUT);
        assert_eq!(edge.raw(&out), 200, "{what}");
        edge.configure(&after);
        assert_eq!(edge.command(&["reload"]).code, Some(0), "{what}");
        for when in ["after the reload", "after the restart"] {
            for (token, status) in [(&dead, 401), (&other, 401), (&alive, 200)] {
                let visit = at("two.test", token).request("GET", PAGE);
                assert_eq!(edge.raw(&visit), status, "{what} {when}");
            }
            edge.restart();
        }
    }
}

/// Two shops with one key are neighbours still when one of them gets another key.
#[test]
fn a_neighbours_logouts_stay_its_own_when_its_key_is_replaced_attacks_a8() {
    let shop = open_shop();
    let table = |name: &str, key: &str| table_with_key(&shop, name, key);
    let mut edge = Edge::with(&(table("one", "{secret_file}") + &table("two", "{secret_file}")));
    put_key(
        &edge.path("other.secret"),
        "another key of more than thirty-two bytes",
    );
    let token = token(&json!({}));
    let out = Way::At("one.test", token.clone()).request("POST", OWN_LOGOUT);
    assert_eq!(edge.raw(&out), 200);
    edge.configure(&(table("one", "{home}/other.secret") + &table("two", "{secret_file}")));
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    for _ in 0..2 {
        let visit = Way::At("two.test", token.clone()).request("GET", PAGE);
        assert_eq!(edge.raw(&visit), 200);
        edge.restart();
    }
}

/// Tokens that no key verifies any more, or of which more is demanded, and that the shop is to judge.
#[test]
fn another_key_or_demand_forgets_nothing_where_the_shop_judges_attacks_a8() {
    const KEY: &str = "another key of more than thirty-two bytes";
    let shop = open_shop();
    let before = jwt(&reaching("token", ""));
    let forward = "token.unverifiable = \"forward\"\n";
    let changes = [
        (
            "key",
            jwt(forward).replace("{secret_file}", "{home}/other.secret"),
        ),
        (
            "audience",
            jwt(&format!("{forward}token.audience = \"z\"\n")),
        ),
        ("algorithm", jwt(forward).replace("HS256", "HS384")),
        (
            "issuer",
            jwt(&format!("{forward}token.issuer = \"https://z.example\"\n")),
        ),
    ];
    for (what, after) in changes {
        let said = |text: &str| text.replace("{shop}", &shop.address().to_string());
        let mut edge = Edge::with(&said(&before));
        put_key(&edge.path("other.secret"), KEY);
        let of = |over: Value| Way::Bearer(token(&over));
        let dead = [of(json!({})), of(json!({ "jti": null }))];
        for one in &dead {
            assert_eq!(edge.raw(&one.request("POST", OWN_LOGOUT)), 200, "{what}");
        }
        let alive = of(json!({ "jti": "c" }));
        edge.configure(&said(&after));
        assert_eq!(edge.command(&["reload"]).code, Some(0), "{what}");
        for when in ["after the reload", "after the restart"] {
            for one in &dead {
                assert_eq!(edge.raw(&one.request("GET", PAGE)), 401, "{what} {when}");
            }
            assert_eq!(edge.raw(&alive.request("GET", PAGE)), 200, "{what} {when}");
            edge.restart();
        }
    }
}

/// A name that was another shop's, with other keys and hosts, makes no heir.
#[test]
fn the_name_of_a_shop_that_is_no_more_refuses_nobody_attacks_a8() {
    const KEY: &str = "another key of more than thirty-two bytes";
    let shop = open_shop();
    let at = shop.address();
    let mut edge = Edge::with(&jwt("").replace("{shop}", &at.to_string()));
    put_key(&edge.path("other.secret"), KEY);
    let table = |name: &str, host: &str, key: &str| {
        jwt(&reaching("session", ""))
            .replace("\"main\"\n", &format!("\"{name}\"\nhosts = [\"{host}\"]\n"))
            .replace("{secret_file}", key)
            .replace("{shop}", &at.to_string())
    };
    let old = table("old", "old.test", "{secret_file}");
    edge.configure(&(old + &table("new", "new.test", "{home}/other.secret")));
    edge.restart();
    let ended = Way::At("old.test", token(&json!({})));
    assert_eq!(edge.raw(&ended.request("POST", OWN_LOGOUT)), 200);
    let theirs = Way::At(
        "new.test",
        signed_by(
            KEY,
            &json!({
                "sub": 3, "jti": "a", "sid": "s", "iat": EARLIER, "exp": FAR,
            }),
        ),
    );
    let page = theirs.request("GET", PAGE);
    assert_eq!(edge.raw(&page), 200);
    for name in ["new", "old"] {
        edge.configure(&table(name, "new.test", "{home}/other.secret"));
        assert_eq!(edge.command(&["reload"]).code, Some(0));
        assert_eq!(edge.raw(&page), 200, "{name}");
    }
    edge.restart();
    assert_eq!(edge.raw(&page), 200);
}

#[test]
fn another_issuer_beside_the_first_is_not_taken_for_it_attacks_a8() {
    const KEY: &str = "another key of more than thirty-two bytes";
    let shop = open_shop();
    let said = |text: &str| text.replace("{shop}", &shop.address().to_string());
    let of = |issuer: &str, over: Value| overlaid(json!({ "iss": issuer }), &over);
    let dead = Way::Bearer(token(&of("https://a.example", json!({}))));
    let innocent = of(
        "https://b.example",
        json!({ "sub": 3, "jti": "c", "iat": EARLIER, "exp": FAR }),
    );
    let innocent = Way::Bearer(signed_by(KEY, &innocent));
    let mut edge = Edge::with(&said(&jwt(&reaching("subject", ""))));
    assert_eq!(edge.raw(&dead.request("POST", OWN_LOGOUT)), 200);
    let file = edge.path("other.secret");
    put_key(&file, KEY);
    let file = file.display();
    edge.configure(&said(&format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{{shop}}\"]\nown_logout.revoke = \"subject\"\n\
         [[shop.token]]\nalgorithms = [\"HS256\"]\nissuer = \"https://a.example\"\n\
         secret_file = \"{{secret_file}}\"\n\
         [[shop.token]]\nalgorithms = [\"HS256\"]\nissuer = \"https://b.example\"\nsecret_file = \"{file}\"\n",
    )));
    let reloaded = edge.command(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    for when in ["after the reload", "after the restart"] {
        assert_eq!(edge.raw(&dead.request("GET", PAGE)), 401, "{when}");
        assert_eq!(edge.raw(&innocent.request("GET", PAGE)), 200, "{when}");
        edge.restart();
    }
}

#[test]
fn moving_between_presets_forgets_nothing_attacks_a8() {
    let dead = [
        token(&json!({ "prv": "p" })),
        other_device(&json!({ "prv": "p" })),
    ];
    let of = |preset: &str| {
        let text = jwt("own_logout.revoke = \"subject\"\n");
        text.replace("token.alg", &format!("{preset}token.alg"))
    };
    let innocent = [somebody_else(&json!({ "prv": "p" }))];
    for (what, before, after) in [
        ("into a preset", of(""), of("preset = \"bagisto\"\n")),
        ("out of it", of("preset = \"bagisto\"\n"), of("")),
        (
            "to another",
            of("preset = \"bagisto\"\n"),
            of("preset = \"cocart-jwt\"\n"),
        ),
    ] {
        let change = Change::of(what, before, after, &dead);
        Change {
            in_: innocent.iter().cloned().map(Way::Bearer).collect(),
            ..change
        }
        .forgets_nothing();
    }
}

#[test]
fn what_is_honoured_is_listed_with_its_end_and_counted_attacks_a8() {
    let shop = open_shop();
    let said = |text: &str| text.replace("{shop}", &shop.address().to_string());
    let mut edge = Edge::with(&said(&jwt("token.max_token_lifetime = \"30d\"\n")));
    let changed = said(&jwt(
        "token.max_token_lifetime = \"30d\"\ntoken.claims.id = \"/tid\"\n",
    ));
    let (was, listed) = (
        said(&jwt("")),
        "note  shop main honours the former claims until 2",
    );
    let is_listed = |edge: &Edge, command: &str| {
        let told = edge.command(&[command]);
        assert_eq!(told.code, Some(0), "{told:?}");
        told.stdout.contains(listed)
    };
    edge.configure(&changed);
    assert!(!is_listed(&edge, "check"), "there was no logout");
    edge.configure(&was);
    let soon = clock::now().seconds() + 3_600;
    let dead = Way::Bearer(token(&json!({ "exp": soon })));
    assert_eq!(edge.raw(&dead.request("POST", OWN_LOGOUT)), 200);
    assert!(!is_listed(&edge, "check"), "nothing has changed");
    edge.configure(&changed);
    assert!(is_listed(&edge, "check"), "by the running process");
    assert!(is_listed(&edge, "reload"));
    let metrics = edge.metrics();
    assert!(
        metrics.contains("doorward_former_meanings{shop=\"main\"} 1"),
        "{metrics}"
    );
    let logged = edge.log_lines();
    assert!(
        logged
            .iter()
            .any(|line| line.contains("honours the former claims"))
    );
    edge.kill_dash_nine();
    assert!(is_listed(&edge, "check"), "by the journal");
    edge.restart();
    assert_eq!(edge.raw(&dead.request("GET", PAGE)), 401);
}

#[test]
fn nodes_that_are_reloaded_one_after_the_other_forget_nothing_attacks_a8() {
    let shop = open_shop();
    let table = jwt("own_logout.revoke = \"token\"\n");
    let table = table.replace("{shop}", &shop.address().to_string());
    let plan = Cluster::of(&["a", "b"]).serving(table);
    let mut cluster = plan.start();
    let out = |cluster: &Cluster, node: &str, token: &str| {
        eventually(|| {
            cluster[node].raw(&Way::Bearer(token.to_owned()).request("GET", PAGE)) == 401
        });
    };
    let change = |cluster: &Cluster, node: &str| {
        let file = cluster[node].path("doorward.toml");
        let text = fs::read_to_string(file).unwrap();
        cluster[node].configure(&(text + "token.claims.id = \"/tid\"\n"));
    };
    let ends = |cluster: &Cluster, node: &str, token: &str| {
        let bytes = Way::Bearer(token.to_owned()).request("POST", OWN_LOGOUT);
        assert_eq!(cluster[node].raw(&bytes), 200);
    };
    let [first, second, third] =
        ["1", "2", "3"].map(|n| token(&json!({ "jti": format!("j{n}"), "tid": format!("t{n}") })));
    // Whose ids by either claim are those of the dead by the other.
    let innocent = token(&json!({ "jti": "t1", "tid": "j2" }));
    change(&cluster, "a");
    assert_eq!(cluster["a"].command(&["reload"]).code, Some(0));
    ends(&cluster, "a", &first);
    out(&cluster, "b", &first);
    ends(&cluster, "b", &second);
    out(&cluster, "a", &second);
    change(&cluster, "b");
    cluster.kill("b");
    cluster.lose_journal("b");
    cluster.start(&["b"]);
    cluster.form(&["a", "b"]);
    ends(&cluster, "b", &third);
    for node in ["a", "b"] {
        for token in [&first, &second, &third] {
            out(&cluster, node, token);
        }
        let answer = cluster[node].raw(&Way::Bearer(innocent.clone()).request("GET", PAGE));
        assert_eq!(answer, 200, "{node}: {}", answer.text());
    }
}

/// What a shop says of its tokens, in all that a change could be about.
#[derive(Clone, Debug)]
struct Said {
    name: &'static str,
    domain: Option<&'static str>,
    id: &'static str,
    subject: &'static str,
    session: &'static str,
    kind: &'static str,
    is_pinned: bool,
}

impl Said {
    fn any() -> impl Strategy<Value = Self> {
        (
            prop_oneof![Just("main"), Just("store")],
            prop_oneof![Just(None), Just(Some("all"))],
            prop_oneof![Just("jti"), Just("tid")],
            prop_oneof![Just("sub"), Just("uid")],
            prop_oneof![Just("sid"), Just("lsid")],
            prop_oneof![Just("auto"), Just("jwt"), Just("opaque")],
            any::<bool>(),
        )
            .prop_map(
                |(name, domain, id, subject, session, kind, is_pinned)| Self {
                    name,
                    domain,
                    id,
                    subject,
                    session,
                    kind,
                    is_pinned,
                },
            )
    }

    fn gate(&self, scope: &str, home: &Path, revocations: &Arc<Revocations>) -> Gate {
        let Self {
            name,
            id,
            subject,
            session,
            kind,
            ..
        } = self;
        let domain = self
            .domain
            .map(|domain| format!("token.token_domain = \"{domain}\"\n"));
        let pinned = self
            .is_pinned
            .then_some("token.issuer = \"https://a.example\"\n");
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[[shop]]\nname = \"{name}\"\n\
             hosts = [\"shop.test\"]\nupstream = [\"127.0.0.1:9\"]\nown_logout.revoke = \"{scope}\"\n\
             token.algorithms = [\"HS256\"]\ntoken.secret_file = \"jwt.secret\"\ntoken.kind = \"{kind}\"\n\
             token.claims.id = \"/{id}\"\ntoken.claims.subject = \"/{subject}\"\n\
             token.claims.session = \"/{session}\"\n{}{}",
            domain.unwrap_or_default(),
            pinned.unwrap_or_default(),
        );
        // Another shop has the other name, the same claims and keys of its own: its customers never log out.
        let other = text[text.find("[[shop]]").unwrap()..]
            .replace(
                &format!("name = \"{name}\""),
                &format!("name = \"{}\"", self.other_name()),
            )
            .replace("jwt.secret", "other.secret")
            .replace(
                "token.token_domain = \"all\"",
                "token.token_domain = \"apart\"",
            )
            + "hosts = [\"b.test\"]\n";
        let other = other.replace("hosts = [\"shop.test\"]\n", "");
        let parsed = config::parse("doorward.toml", &(text + &other), home);
        let (config, _) = parsed.unwrap_or_else(|faults| panic!("{faults}"));
        let shops = config.shops.into_iter().map(Arc::new).collect();
        Gate::new(shops, Arc::clone(revocations))
    }

    fn other_name(&self) -> &'static str {
        if self.name == "main" { "store" } else { "main" }
    }

    /// Which tokens a logout of this one ends: what names they have in common by what is said now.
    fn reach<'c>(&self, scope: &str, customers: &'c [Value], leaver: &Value) -> Vec<&'c Value> {
        let is_alike = |one: &&Value| {
            if one == &leaver {
                return true;
            }
            match (self.kind, scope) {
                ("opaque", _) | (_, "token") => false,
                (_, "session") => one[self.session] == leaver[self.session],
                (_, _) => one[self.subject] == leaver[self.subject],
            }
        };
        customers.iter().filter(is_alike).collect()
    }
}

/// A step of a shop's life.
#[derive(Clone, Debug)]
enum Step {
    Change(Said, bool),
    Visit(usize),
    LogOut(usize, &'static str),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change =
        (Said::any(), any::<bool>()).prop_map(|(said, restart)| Step::Change(said, restart));
    let scope = prop_oneof![Just("token"), Just("session"), Just("subject")];
    let logout = (0..CUSTOMERS, scope).prop_map(|(who, scope)| Step::LogOut(who, scope));
    let visit = (0..CUSTOMERS).prop_map(Step::Visit);
    prop::collection::vec(prop_oneof![change, visit, logout], 2..12)
}

const CUSTOMERS: usize = 24;

/// Each token has names of its own by either claim; a name by one claim is somebody else's by the other. Every third does not
/// say when it was issued.
fn customers() -> Vec<Value> {
    let customer = |n: usize| {
        let issued_at = (!n.is_multiple_of(3)).then_some(EARLIER);
        json!({
            "iss": "https://a.example", "iat": issued_at, "exp": FAR,
            "jti": format!("{n}"), "tid": format!("{}", (n + 7) % CUSTOMERS),
            "sub": n / 3, "uid": (n + 10) % CUSTOMERS / 3,
            "sid": format!("s{}", n / 2), "lsid": format!("s{}", (n + 8) % CUSTOMERS / 2),
        })
    };
    (0..CUSTOMERS).map(customer).collect()
}

fn head(method: &str, target: &str, token: &str) -> http::request::Parts {
    head_at("shop.test", method, target, token)
}

fn head_at(host: &str, method: &str, target: &str, token: &str) -> http::request::Parts {
    let request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", host)
        .header(AUTHORIZATION, format!("Bearer {token}"));
    request.body(()).unwrap().into_parts().0
}

/// Whether a visit with this token gets to the shop; otherwise the token is dead.
fn passes(gate: &Gate, token: &str) -> bool {
    passes_at("shop.test", gate, token)
}

fn passes_at(host: &str, gate: &Gate, token: &str) -> bool {
    let head = head_at(host, "GET", PAGE, token);
    match gate.judge(&Request::new(&head, None), clock::now()) {
        Ok(Verdict::Forward { .. }) => true,
        Ok(_) => panic!("neither forwarded nor refused"),
        Err(refused) => {
            let is_dead = matches!(refused.refusal, Refusal::Revoked { .. });
            assert!(is_dead, "{}", refused.refusal.name());
            false
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// No sequence of changes forgets a logout, and none makes an innocent a dead one.
    #[test]
    fn whatever_changes_the_dead_stay_dead_and_the_living_alive_attacks_a8(
        first in Said::any(),
        steps in steps(),
    ) {
        let home = home();
        let data = home.path().join("data");
        Journal::init(&data).unwrap();
        let mut revocations = Arc::new(Revocations::open(&data).unwrap());
        let (mut said, customers) = (first, customers());
        let (mut dead, mut seen): (Vec<&Value>, Vec<&Value>) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Change(new, is_restart) => {
                    said = new;
                    if is_restart {
                        revocations.close();
                        drop(revocations);
                        revocations = Arc::new(Revocations::open(&data).unwrap());
                    }
                    continue;
                }
                Step::Visit(who) => {
                    let gate = said.gate("token", home.path(), &revocations);
                    let is_dead = dead.contains(&&customers[who]);
                    prop_assert_eq!(passes(&gate, &plain(&customers[who])), !is_dead);
                    // An opaque token says nothing of whose it is, and is not dated.
                    seen.extend((said.kind != "opaque").then_some(&customers[who]));
                    continue;
                }
                Step::LogOut(who, scope) => {
                    let gate = said.gate(scope, home.path(), &revocations);
                    if log_out(&gate, said.name, &customers[who]) {
                        let is_known = |one: &&Value| {
                            scope != "subject" || !one["iat"].is_null() || seen.contains(one) || one == &&customers[who]
                        };
                        let reached = said.reach(scope, &customers, &customers[who]).into_iter();
                        dead.extend(reached.filter(is_known));
                    } else {
                        prop_assert!(dead.contains(&&customers[who]), "it could not log out");
                    }
                }
            }
            let gate = said.gate("token", home.path(), &revocations);
            for customer in &customers {
                let is_dead = dead.contains(&customer);
                prop_assert_eq!(passes(&gate, &plain(customer)), !is_dead, "{} {:?}", customer, said);
                // The second time by what is remembered of it.
                prop_assert_eq!(passes(&gate, &plain(customer)), !is_dead, "{} {:?}", customer, said);
                let stranger = signed_by(OTHER_SECRET, customer);
                prop_assert!(passes_at("b.test", &gate, &stranger), "{} {:?}", customer, said);
                seen.extend((said.kind != "opaque").then_some(customer));
            }
        }
    }
}

const OTHER_SECRET: &str = "the key of another shop, of more than 32 bytes";

/// A folder with the keys of both shops.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, key) in [("jwt.secret", Shop::SECRET), ("other.secret", OTHER_SECRET)] {
        let secret = home.path().join(name);
        fs::write(&secret, key).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    }
    home
}

/// Whether a customer could log out.
fn log_out(gate: &Gate, shop: &str, customer: &Value) -> bool {
    let head = head("POST", OWN_LOGOUT, &plain(customer));
    let Ok(Verdict::LogOut(logout)) = gate.judge(&Request::new(&head, None), clock::now()) else {
        return false;
    };
    in_force(gate, shop, logout.revocations.clone());
    true
}

fn in_force(gate: &Gate, shop: &str, revocations: Vec<Revocation>) {
    let shop = gate.shop_named(shop).unwrap();
    let meant = gate.meanings_before(shop, &revocations, clock::now());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let written = gate.revocations().revoke_now(meant, revocations);
    runtime.block_on(written).unwrap();
}

const SAID: Said = Said {
    name: "main",
    domain: None,
    id: "jti",
    subject: "sub",
    session: "sid",
    kind: "auto",
    is_pinned: false,
};

/// By every change of one thing.
fn changes() -> Vec<Said> {
    vec![
        Said {
            name: "store",
            ..SAID
        },
        Said {
            domain: Some("all"),
            ..SAID
        },
        Said { id: "tid", ..SAID },
        Said {
            subject: "uid",
            ..SAID
        },
        Said {
            session: "lsid",
            ..SAID
        },
        Said {
            is_pinned: true,
            ..SAID
        },
    ]
}

/// A token that does not say when it was issued was seen before the change; its customer logs out after it, with another.
#[test]
fn dates_under_former_names_count_attacks_a6_a8() {
    for is_changed_back in [false, true] {
        for said in changes() {
            let home = home();
            let revocations = Arc::new(Revocations::open(&init(home.path())).unwrap());
            let customer = |jti: &str, sub: u64| {
                json!({
                    "iss": "https://a.example", "exp": FAR, "jti": jti, "tid": format!("t{jti}"),
                    "sub": sub, "uid": sub, "sid": jti, "lsid": jti,
                })
            };
            let (seen, leaver, new) = (customer("1", 3), customer("2", 3), customer("3", 3));
            let before = SAID.gate("subject", home.path(), &revocations);
            assert!(passes(&before, &plain(&seen)), "{said:?}");
            let mut after = said.gate("subject", home.path(), &revocations);
            let mut name = said.name;
            if is_changed_back {
                // Seen under the later one, and logged out under the first.
                assert!(passes(&after, &plain(&customer("4", 3))), "{said:?}");
                after = SAID.gate("subject", home.path(), &revocations);
                name = SAID.name;
            }
            assert!(log_out(&after, name, &leaver), "{said:?}");
            for gate in [&after, &before] {
                assert!(!passes(gate, &plain(&seen)), "{said:?}");
                assert!(passes(gate, &plain(&new)), "a new login: {said:?}");
                let other = customer("9", 4);
                assert!(passes(gate, &plain(&other)), "another customer: {said:?}");
                if is_changed_back {
                    assert!(!passes(gate, &plain(&customer("4", 3))), "{said:?}");
                }
            }
        }
    }
}

fn init(home: &Path) -> std::path::PathBuf {
    let data = home.join("data");
    Journal::init(&data).unwrap();
    data
}

/// The operator knows a name from before the change: older tokens are known by it.
#[test]
fn orders_by_hand_reach_former_names_attacks_a1_a8() {
    let named = |name: &str| Named {
        name: name.to_owned(),
        issuer: None,
    };
    for (said, target, what) in [
        (Said { id: "tid", ..SAID }, Target::Jti(named("5")), "jti"),
        (
            Said {
                subject: "uid",
                ..SAID
            },
            Target::Subject(named("1")),
            "sub",
        ),
        (
            Said {
                session: "lsid",
                ..SAID
            },
            Target::Session(named("s2")),
            "sid",
        ),
        (
            Said {
                is_pinned: true,
                ..SAID
            },
            Target::Jti(named("5")),
            "jti",
        ),
        (
            Said {
                name: "store",
                ..SAID
            },
            Target::Subject(named("1")),
            "sub",
        ),
        (
            Said {
                kind: "opaque",
                ..SAID
            },
            Target::Session(named("s2")),
            "sid",
        ),
    ] {
        let home = home();
        let revocations = Arc::new(Revocations::open(&init(home.path())).unwrap());
        let customers = customers();
        let before = SAID.gate("token", home.path(), &revocations);
        assert!(log_out(&before, SAID.name, &customers[23]));
        let after = said.gate("token", home.path(), &revocations);
        after.honour_meanings(clock::now());
        let shop = after.shop_named(said.name).unwrap();
        let order = shop.operator_order(&target, &revocations, clock::now());
        let order = order.unwrap_or_else(|why| panic!("{said:?}: {why}"));
        in_force(&after, said.name, order.revocations);
        let value = match target {
            Target::Jti(_) => json!("5"),
            Target::Session(_) => json!("s2"),
            Target::Token(_) | Target::Subject(_) | Target::AllBefore(_) => json!(1),
        };
        let restored = said.gate("token", home.path(), &revocations);
        for gate in [&after, &restored] {
            let meant = customers.iter().filter(|one| one[what] == value);
            let meant: Vec<_> = meant.filter(|one| !one["iat"].is_null()).collect();
            assert!(!meant.is_empty(), "{said:?}");
            for customer in meant {
                assert!(!passes(gate, &plain(customer)), "{said:?} {customer}");
            }
        }
    }
}

/// What the shop was seen to accept under a former name needs no other word when it is logged out.
#[test]
fn what_was_accepted_under_a_former_name_stays_so_attacks_a8() {
    let home = home();
    let revocations = Arc::new(Revocations::open(&init(home.path())).unwrap());
    let of = |name| Said {
        name,
        kind: "opaque",
        ..SAID
    };
    let text = "an-opaque-token-of-a-customer";
    let token = |gate: &Gate| {
        let head = head("GET", PAGE, text);
        let judged = gate.judge(&Request::new(&head, None), clock::now());
        let Ok(Verdict::Forward { tokens, .. }) = judged else {
            panic!("not forwarded");
        };
        tokens[0].identity().clone()
    };
    let before = of("main").gate("token", home.path(), &revocations);
    let until = UnixTime::from_seconds(FAR);
    let shop = before.shop_named("main").unwrap();
    revocations.note_accepted(&token(&before).id, until, shop.meaning());
    eventually(|| revocations.was_accepted(&token(&before)));
    let after = of("store").gate("token", home.path(), &revocations);
    assert!(revocations.was_accepted(&token(&after)));
}

#[test]
fn only_an_off_that_every_reading_is_under_lets_a_dead_token_pass_attacks_a11() {
    let scene = Scene::of(
        open_shop(),
        "answer = \"local\"\n[[shop.route]]\npaths = [\"/static/*\"]\nenforce = \"off\"\n",
    );
    let token = scene.shop.sign_in("alice");
    assert_eq!(scene.log_out(&token), 200);
    let line = format!("Bearer {token}");
    scene.passes(&request(
        "GET",
        "/static/x",
        &[("Authorization", &line)],
        b"",
    ));
    for path in [
        "/account/../static/x",
        "/static/../account/x",
        "/static/%2e%2e/account",
        "//static/../cart",
        "/cart/..;/static/x",
    ] {
        let answer = scene
            .edge
            .raw(&request("GET", path, &[("Authorization", &line)], b""));
        assert!(answer != 200, "{path}: {}", answer.text());
    }
    assert_eq!(scene.edge.raw(&with_authorization(&line)), 401);
    assert_eq!(scene.edge.raw(&get(&[])), 200);
}

#[test]
fn check_warns_of_shops_that_share_tokens_and_no_logouts_attacks_a12() {
    let shop = open_shop();
    let address = shop.address().to_string();
    let named = |name: &str, hosts: &str, more: &str| {
        let text = jwt(more).replace("{shop}", &address);
        text.replace("\"main\"\n", &format!("\"{name}\"\n{hosts}"))
    };
    let one = named("one", "hosts = [\"a.test\"]\n", "");
    let edge = Edge::with(&one);
    let warned = |text: &str| {
        edge.configure(text);
        let told = edge.command(&["check"]);
        assert_eq!(told.code, Some(0), "{told:?}");
        told.stderr
    };
    let other = named("two", "hosts = [\"b.test\"]\n", "");
    let told = warned(&(one.clone() + &other));
    assert!(
        told.contains("`one` and `two` have a key in common, and share no logouts"),
        "{told}"
    );
    let unread = opaque("").replace("{shop}", &address);
    let unread = unread.replace("\"main\"\n", "\"two\"\nhosts = [\"b.test\"]\n");
    let told = warned(&(one.clone() + &unread));
    assert!(
        told.contains("`one` and `two` have a server in common"),
        "{told}"
    );
    let rest = named("rest", "", "");
    let told = warned(&(one + &rest));
    assert!(
        told.contains("`rest` takes every host that no other shop names"),
        "{told}"
    );
    let domain = "token.token_domain = \"all\"\n";
    let shared = named("one", "hosts = [\"a.test\"]\n", domain) + &named("two", "", domain);
    assert_eq!(warned(&shared), "");
}

/// A shop that is asked whose its opaque tokens are, and is asked otherwise later.
#[test]
fn another_place_of_the_customer_in_what_a_shop_says_forgets_nothing_attacks_a8() {
    let shop = open_shop();
    let table = |subject: &str| {
        opaque("").replace("{shop}", &shop.address().to_string())
            + &format!(
                "token.opaque_pattern = \"[a-z0-9-]{{20,}}\"\n\
                 own_logout.revoke = \"subject\"\n[shop.token.introspection]\npath = \"/who\"\n\
                 active = {{ json = {{ \"/good\" = true }} }}\nsubject = \"{subject}\"\n"
            )
    };
    // The number of one is the name of the other.
    let [alice, bob] = [("5", "6"), ("7", "5")].map(|(id, number)| {
        let said = json!({ "good": true, "id": id, "number": number }).to_string();
        support::said(200, &said)
    });
    let [phone, tablet, other] =
        ["phone", "tablet", "bobs"].map(|name| Way::Bearer(format!("{name}-0123456789abcdef0")));
    let edge = Edge::with(&table("/id"));
    let visit = |way: &Way, who: &String| {
        shop.recite("/who", who.clone());
        edge.raw(&way.request("GET", PAGE)).status
    };
    for (way, who) in [(&phone, &alice), (&tablet, &alice), (&other, &bob)] {
        assert_eq!(visit(way, who), 200);
    }
    shop.recite("/who", alice.clone());
    assert_eq!(edge.raw(&phone.request("POST", OWN_LOGOUT)), 200);
    for subject in ["/id", "/number", "/id"] {
        edge.configure(&table(subject));
        assert_eq!(edge.command(&["reload"]).code, Some(0));
        assert_eq!(visit(&tablet, &alice), 401, "{subject}");
        assert_eq!(visit(&other, &bob), 200, "{subject}");
    }
}

/// What was opened under one configuration ends with a logout under another, whichever was first.
#[test]
fn a_stream_ends_with_a_logout_under_another_configuration_attacks_a8() {
    let live = LiveShop::beside(open_shop());
    let upstream = live.table();
    let mut upstream = upstream.lines().filter(|line| line.starts_with("upstream"));
    let upstream = upstream.next().unwrap();
    let table =
        |more: &str| jwt(&reaching("token", more)).replace("upstream = [\"{shop}\"]", upstream);
    let edge = Edge::with(&table(""));
    let (first, second) = (token(&json!({})), other_device(&json!({})));
    for (name, of, before, after) in [
        ("one", &first, "", "token.claims.id = \"/tid\"\n"),
        (
            "two",
            &second,
            "token.claims.id = \"/tid\"\n",
            "token.token_domain = \"other\"\n",
        ),
    ] {
        edge.configure(&table(before));
        assert_eq!(edge.command(&["reload"]).code, Some(0));
        let bearer = format!("Bearer {of}");
        let headers = [("Authorization", bearer.as_str())];
        let innocent = format!("Bearer {}", somebody_else(&json!({})));
        let mut streams = Vec::new();
        for (kind, authorization) in [
            ("events", &bearer),
            ("ticker", &bearer),
            ("events", &innocent),
        ] {
            let target = format!("/{kind}/{name}{}", streams.len());
            let mut stream =
                Exchange::of(edge.address(), &target, &[("Authorization", authorization)]);
            stream.hears(HELLO);
            streams.push(stream);
        }
        edge.configure(&table(after));
        assert_eq!(edge.command(&["reload"]).code, Some(0));
        assert_eq!(edge.raw(&request("POST", OWN_LOGOUT, &headers, b"")), 200);
        let spared = streams.pop().unwrap();
        for stream in streams {
            stream.ends().join().unwrap();
        }
        assert!(
            live.gone(&format!("{name}2")).is_none(),
            "an innocent stream ended"
        );
        drop(spared);
    }
}
