//! Nothing that could be used to pose as a customer, or as the shop, is ever written down or printed.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use support::{
    Answer, Edge, Mood, Nobody, Outcome, PATIENCE, Shop, Storefront, doorward, eventually, request,
    stateless_bagisto, try_raw,
};
use tempfile::TempDir;

/// What must not be found, under the names that a failure shows.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// The text, and either half of it.
    fn add(&mut self, name: &str, text: &str) -> String {
        let (begin, end) = text.split_at(text.len() / 2);
        for (part, text) in [("", text), (", its beginning", begin), (", its end", end)] {
            assert!(text.len() >= 8, "{name} is too short to be searched for");
            self.0.push((format!("{name}{part}"), text.to_owned()));
        }
        text.to_owned()
    }

    /// As `add`, and every part that says something by itself.
    fn add_token(&mut self, name: &str, token: &str) -> String {
        if let Some((signed, signature)) = token.rsplit_once('.') {
            self.add(&format!("{name}, what was signed"), signed);
            self.add(&format!("{name}, the signature"), signature);
            let (_, payload) = signed.split_once('.').unwrap();
            self.add(&format!("{name}, the payload"), payload);
        }
        if let Some((_, random)) = token.split_once('|') {
            self.add(&format!("{name}, after the row"), random);
        }
        self.add(name, token)
    }

    /// The names of those that are there.
    fn found_in(&self, text: &[u8]) -> Vec<&str> {
        let found = self
            .0
            .iter()
            .filter(|(_, secret)| holds(text, secret.as_bytes()));
        found.map(|(name, _)| name.as_str()).collect()
    }

    #[track_caller]
    fn not_in(&self, place: &str, text: &[u8]) {
        let found = self.found_in(text);
        assert!(
            found.is_empty(),
            "{place} holds {found:?}:\n{}",
            String::from_utf8_lossy(text)
        );
    }
}

fn holds(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|part| part == wanted)
}

/// The bytes of every file below a folder.
fn files_below(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let bytes = entries.map(|entry| {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_below(&entry.path())
        } else if kind.is_file() {
            fs::read(entry.path()).unwrap()
        } else {
            Vec::new() // the control socket
        }
    });
    bytes.collect::<Vec<_>>().concat()
}

/// Every place for a credential, on a shop that is there, one on `WordPress`, and one that is not there.
fn config(bagisto: &Shop, cocart: &Shop, nobody: &Nobody) -> String {
    let places = r#"
[[shop.credential]]
header  = "authorization"
schemes = ["Bearer"]

[[shop.credential]]
header = "x-pass"

[[shop.credential]]
query = "token"

[[shop.credential]]
cookie = "shop_session"
kind   = "opaque"

[[shop.credential]]
body = "/token"

[[shop.route]]
paths   = ["/account/*"]
enforce = "required"

[shop.limits]
unverified_per_client_minute = 6
"#;
    let shop = |name: &str, preset: &str, upstream: std::net::SocketAddr| {
        format!(
            "[[shop]]\nname = \"{name}\"\nhosts = [\"{name}.example.com\"]\npreset = \"{preset}\"\n\
             upstream = [\"{upstream}\"]\ntoken.algorithms = [\"HS256\"]\n\
             token.secret_file = \"{{secret_file}}\"\ndead_cookie = \"refuse\"\n"
        )
    };
    [
        "log = \"debug\"\naccess_log = { to = \"{home}/access.log\" }\n".to_owned(),
        shop("shop", "bagisto", bagisto.address()),
        places.to_owned(),
        shop("local", "bagisto", bagisto.address()),
        "answer = \"local\"\n".to_owned(),
        places.to_owned(),
        shop("wp", "cocart", cocart.address()),
        shop("gone", "bagisto", nobody.address()),
        places.to_owned(),
    ]
    .concat()
}

struct Stage<'a> {
    edge: &'a Edge,
    host: &'a str,
}

impl Stage<'_> {
    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let host = format!("{}.example.com", self.host);
        let fixed = [("Host", host.as_str()), ("X-STOREFRONT-KEY", Shop::KEY)];
        let headers = [&fixed, headers].concat();
        self.edge
            .raw(&request(method, target, &headers, body.as_bytes()))
    }

    fn with_bearer(&self, method: &str, target: &str, token: &str) -> Answer {
        self.ask(
            method,
            target,
            &[("Authorization", &format!("Bearer {token}"))],
            "",
        )
    }
}

const LOGOUT: &str = "/api/shop/customers/logout";
const PROFILE: &str = "/api/shop/customers/profile";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A customer's claims, which are nobody's business either.
fn claims(secrets: &mut Secrets, name: &str) -> serde_json::Value {
    let email = secrets.add(
        "an address",
        &format!("{name}.{name}@customers.example.org"),
    );
    let id = secrets.add("an id claim", &format!("id-claim-of-{name}-5e1f0c77"));
    let subject = secrets.add("a subject", &format!("subject-{name}-c0ffee42"));
    let session = secrets.add("a session", &format!("session-{name}-77aa88bb"));
    json!({"jti": id, "sub": subject, "sid": session, "email": email, "iat": 1_790_000_000, "exp": 4_000_000_000_u64})
}

/// Logouts and visits of every kind, in every place a token may travel.
fn live(edge: &Edge, shop: &Shop, secrets: &mut Secrets) {
    for host in ["shop", "local", "gone"] {
        let stage = Stage { edge, host };
        let mut fresh = |what: &str| {
            let name = format!("{host}{what}");
            let claims = claims(secrets, &name);
            secrets.add_token(&name, &shop.sign(&claims))
        };
        for path in [
            LOGOUT,
            "/api/customers/logout",
            "/api/shop/customer/logout",
            "/_doorward/logout",
        ] {
            let token = fresh(&path.replace('/', "-"));
            stage.with_bearer("GET", PROFILE, &token);
            let answer = stage.with_bearer("POST", path, &token);
            assert!(
                [200, 201, 401].contains(&answer.status),
                "{host} {path} {answer:?}"
            );
            assert_eq!(stage.with_bearer("GET", PROFILE, &token), 401);
            assert_eq!(stage.ask("GET", &format!("/p?token={token}"), &[], ""), 401);
            assert_eq!(stage.ask("GET", "/p", &[("X-Pass", &token)], ""), 401);
            let body = json!({ "token": token }).to_string();
            assert_eq!(stage.ask("POST", "/p", &[JSON], &body), 401);
        }
        let told = fresh("told");
        let (referer, agent) = (
            format!("https://{told}@x/{told}?{told}"),
            format!("app/1 ({told})"),
        );
        let told = [
            ("Referer", referer.as_str()),
            ("User-Agent", agent.as_str()),
        ];
        stage.ask("GET", "/p", &told, "");
        let query = fresh("query");
        stage.ask("GET", &format!("/p?a=b&token={query}"), &[], "");
        stage.ask("POST", &format!("{LOGOUT}?token={query}"), &[], "");
        assert_eq!(stage.ask("GET", &format!("/p?token={query}"), &[], ""), 401);
        let sanctum = format!("{}7|{}{}", host.len(), "Zq9".repeat(14), "a1b2c3");
        let sanctum = secrets.add_token("an opaque token", &sanctum);
        stage.with_bearer("POST", "/api/shop/customer/logout", &sanctum);
        assert_eq!(stage.with_bearer("GET", PROFILE, &sanctum), 401);
        let cookie = secrets.add("a cookie", &format!("cookie-of-{host}-f00dfeed1234"));
        let cookie = ("Cookie", format!("shop_session={cookie}"));
        let cookie = (cookie.0, cookie.1.as_str());
        assert_eq!(
            stage.ask(
                "POST",
                "/_doorward/logout",
                &[cookie, ("Sec-Fetch-Site", "same-origin")],
                ""
            ),
            200
        );
        assert_eq!(stage.ask("GET", "/p", &[cookie], ""), 401);
    }
}

/// Tokens of a customer that are refused for one reason or another.
fn bad_tokens(shop: &Shop, secrets: &mut Secrets) -> [String; 6] {
    let future = 4_000_000_000_u64;
    [
        ("good-token", json!({})),
        ("other-token", json!({})),
        ("expired", json!({"exp": 1_600_000_000})),
        ("early-token", json!({ "nbf": future })),
        ("of-the-future", json!({"iat": future - 1})),
        ("odd-claims", json!({"exp": "never-ever"})),
    ]
    .map(|(what, changes)| {
        let mut claims = claims(secrets, what);
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        secrets.add_token(what, &shop.sign(&claims))
    })
}

/// Refusals of every kind, each with a token somewhere.
fn be_refused(edge: &Edge, shop: &Shop, secrets: &mut Secrets) {
    let [good, other, expired, early, late, odd] = bad_tokens(shop, secrets);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let long = "L0ngT0ken".repeat(2_000);
    secrets.add("a long token", &long[..64]);
    let guess = secrets.add("a guess", "a-word-that-is-only-a-guess-90210");
    let cookie = secrets.add("a cookie from elsewhere", "cross-site-cookie-0001");
    let bearer = format!("Authorization: Bearer {good}");
    let stage = Stage { edge, host: "shop" };
    for case in [
        format!("400 GET /p | {bearer}, Bearer {other}"),
        format!("400 GET /p | {bearer} | {bearer}"),
        format!("400 GET /p | {bearer} | X_Pass: {other} | X-Pass: {good}"),
        format!("400 GET /p?token={other} | {bearer}"),
        format!("400 GET /p | Authorization: Basic x Bearer {good}"),
        format!("400 GET /p | {bearer} | Connection: authorization"),
        format!("400 POST /api%2fshop/customers/logout?token={good}"),
        format!(
            "401 GET /p | {}",
            bearer.replace(signature, &"A".repeat(43))
        ),
        format!("401 GET /p | {}", bearer.replace(signature, "")),
        format!("401 GET /p | {}", bearer.replace(header, "eyJhIjoxfQ")),
        format!("401 GET /p | {}", bearer.replace(payload, "eyJhIjoxfQ")),
        format!("401 GET /p | Authorization: Bearer {long}"),
        format!("401 GET /p | Authorization: Bearer {late}"),
        format!("401 GET /p | Authorization: Bearer {odd}"),
        format!("401 GET /account/p | Authorization: Bearer {expired}"),
        format!("401 GET /account/p | Authorization: Bearer {early}"),
        "401 GET /account/p".to_owned(),
        format!("401 POST {LOGOUT} | Authorization: Bearer {guess}"),
        format!("401 POST {LOGOUT} | {bearer} | X-STOREFRONT-KEY: twice"),
        format!("405 TRACE /p | {bearer}"),
        format!("405 GET /_doorward/logout | {bearer}"),
        format!("403 POST /_doorward/logout | Cookie: shop_session={cookie} | Origin: null"),
    ] {
        let mut parts = case.split(" | ");
        let line: Vec<_> = parts.next().unwrap().split(' ').collect();
        let headers: Vec<_> = parts.map(|part| part.split_once(": ").unwrap()).collect();
        let answer = stage.ask(line[1], line[2], &headers, "");
        assert_eq!(answer.status.to_string(), line[0], "{case}");
    }
    let (_, value) = bearer.split_once(": ").unwrap();
    be_misled(edge, ("Authorization", value), &good);
    let body = json!({"token": good, "filling": "x".repeat(70_000)}).to_string();
    assert_eq!(stage.ask("POST", "/p", &[JSON], &body), 413);
    assert_eq!(stage.ask("POST", "/p", &[JSON], &body[..60_000]), 400);
    be_limited(&stage, secrets);
}

/// A host that is not served, a shop that is not there, a client key that is none.
fn be_misled(edge: &Edge, authorization: (&str, &str), token: &str) {
    let query = format!("/p?x={token}");
    for (status, host) in [
        (400, ""),
        (421, "nobody.example.com"),
        (502, "gone.example.com"),
    ] {
        let headers = [("Host", host), authorization];
        assert_eq!(edge.raw(&request("GET", &query, &headers, b"")), status);
    }
    let host = ("Host", "shop.example.com");
    let bad_key = ("X-STOREFRONT-KEY", "pk_no");
    for (status, headers) in [
        (401, vec![host, authorization]),
        (403, vec![host, bad_key, authorization]),
    ] {
        assert_eq!(edge.raw(&request("POST", LOGOUT, &headers, b"")), status);
    }
}

/// More opaque tokens than one client may log out in a minute.
fn be_limited(stage: &Stage<'_>, secrets: &mut Secrets) {
    let many = |number: u32| {
        let token = format!("{number}|{}{number:08}", "Many".repeat(10));
        let token = secrets.add_token("one of many", &token);
        stage
            .with_bearer("POST", "/api/shop/customer/logout", &token)
            .status
    };
    assert!((0..20).map(many).any(|status| status == 429));
}

/// All that `be_refused` and its like were refused for, as the metrics have it.
const REASONS: [&str; 20] = [
    "bad_host",
    "unknown_host",
    "ambiguous_path",
    "trace",
    "two_credentials",
    "malformed_credential",
    "nominated_credential",
    "unreadable_body",
    "unverifiable",
    "expired",
    "not_yet_valid",
    "revoked",
    "no_credential",
    "no_client_key",
    "bad_client_key",
    "cross_site",
    "method_not_allowed",
    "too_many_logouts",
    "not_durable",
    "forwarded",
];

/// What no parser takes for a request, with tokens in it.
fn be_malformed(edge: &Edge, secrets: &mut Secrets) {
    let token = secrets.add_token(
        "malformed",
        "bWFsZm9ybWVk.dG9rZW4tb2YtYS1iYWQ.cmVxdWVzdC1zaWduYXR1cmU",
    );
    let host = "Host: shop.example.com\r\n";
    for bytes in [
        format!("GET / HTTP/1.1\r\n{host}Authorization : Bearer {token}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}Authorization: Bearer\r\n {token}\r\n\r\n"),
        format!("GET /?token={token} HTTP/9.9\r\n{host}\r\n"),
        format!("GET /?token={token}\r\n{host}\r\n"),
        format!("GET /?token={token}\0 HTTP/1.1\r\n{host}\r\n"),
        format!(
            "POST / HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\nContent-Length: {token}\r\n\r\n"
        ),
        format!(
            "POST / HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
        ),
        format!(
            "POST / HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\nxyz{token}\r\n"
        ),
        format!(
            "POST / HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\nTransfer-Encoding: {token}\r\n\r\n"
        ),
        format!("CONNECT {token}:443 HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\n\r\n"),
        format!("GET http://{token}/ HTTP/1.1\r\n{host}\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {token}@shop.example.com\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}{token}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}Connection: {token}\r\n\r\n"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{token}"),
        format!("{token}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}Authorization: Bearer {token}"),
    ] {
        let mut connection = support::Connection::open(edge.address());
        connection.send(bytes.as_bytes());
        connection.finish_sending();
        drop(connection.try_answer());
    }
}

/// By hand: what the commands print, in one piece.
fn revoke_and_inspect(edge: &Edge, shop: &Shop, secrets: &mut Secrets) -> String {
    let named = claims(secrets, "by-hand");
    let token = secrets.add_token("by hand", &shop.sign(&named));
    let text = |name: &str| named[name].as_str().unwrap().to_owned();
    let (id, subject, session) = (text("jti"), text("sub"), text("sid"));
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "B".repeat(43));
    let mut printed = String::new();
    for (command, input) in [
        (
            vec!["inspect", "--shop", "shop", "--token", "-"],
            token.as_str(),
        ),
        (
            vec!["revoke", "--shop", "shop", "--token", "-"],
            token.as_str(),
        ),
        (
            vec!["inspect", "--shop", "shop", "--token", "-"],
            token.as_str(),
        ),
        (
            vec!["revoke", "--shop", "shop", "--token", "-"],
            forged.as_str(),
        ),
        (
            vec!["inspect", "--shop", "shop", "--token", "-"],
            forged.as_str(),
        ),
        (
            vec!["revoke", "--shop", "nobody", "--token", "-"],
            token.as_str(),
        ),
        (vec!["revoke", "--shop", "shop", "--jti", &id], ""),
        (vec!["revoke", "--shop", "shop", "--subject", &subject], ""),
        (vec!["revoke", "--shop", "shop", "--session", &session], ""),
        (vec!["inspect"], ""),
        (vec!["check"], ""),
    ] {
        let Outcome { stdout, stderr, .. } = edge.command_with_input(&command, input.as_bytes());
        printed += &(stdout + &stderr);
    }
    printed
}

/// The next snapshot of the dashboard, and the explanation of each decision that it lists.
fn shown_on_dashboard(edge: &Edge) -> String {
    let mut stream = TcpStream::connect(edge.operator()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let lines = BufReader::new(stream).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line == "event: snapshot"));
    let line = lines.next().unwrap();
    let told: serde_json::Value =
        serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
    let decisions = &told["decisions"];
    let listed = ["others", "forwarded"].map(|kind| decisions[kind].as_array().unwrap());
    let explained = listed.into_iter().flatten().map(|one| {
        let id = one["request"].as_str().unwrap();
        edge.ask_operator(&format!("/explain?request={id}")).text()
    });
    let explained: Vec<_> = explained.collect();
    assert!(explained.len() >= 50, "{line}");
    assert!(
        explained
            .iter()
            .any(|one| one.contains("\"reason\":\"revoked\""))
    );
    line + &explained.concat()
}

#[test]
fn no_credential_is_ever_written_down() {
    let shop = stateless_bagisto();
    let cocart = Shop::open(Storefront::Cocart, Mood::Honest).unwrap();
    let nobody = Nobody::at_home();
    let mut edge = Edge::with(&config(&shop, &cocart, &nobody));
    let mut secrets = Secrets::default();
    secrets.add("the shop's secret", Shop::SECRET);
    live(&edge, &shop, &mut secrets);
    be_refused(&edge, &shop, &mut secrets);
    be_malformed(&edge, &mut secrets);
    let printed = revoke_and_inspect(&edge, &shop, &mut secrets);

    // A password and an address on their way to the shop, and a logout of WordPress with all that it brings.
    let password = secrets.add("a password", "correct-horse-battery-staple");
    let address = secrets.add("an address in a body", "mallory.in.the.middle@example.net");
    let stage = Stage {
        edge: &edge,
        host: "shop",
    };
    let login = json!({"email": address, "password": password}).to_string();
    assert_eq!(
        stage.ask("POST", "/api/shop/customers/login", &[JSON], &login),
        401
    );
    let wp = Stage {
        edge: &edge,
        host: "wp",
    };
    let token = secrets.add_token("of WordPress", &cocart.sign_in("alice"));
    let cookie = secrets.add("a cookie of WordPress", "alice%7C1790000000%7Cdeadbeefcafe");
    let cookie = format!("wordpress_logged_in_{}={cookie}", Shop::COOKIE_HASH);
    let headers = [
        ("Authorization", format!("Bearer {token}")),
        ("Cookie", cookie),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(
        wp.ask("POST", "/wp-json/cocart/v1/logout", &headers, ""),
        200
    );
    assert_eq!(
        wp.ask("POST", "/wp-json/cocart/jwt/validate-token", &headers, ""),
        401
    );

    // The disk is full: the logout is refused, and said to be.
    edge.limit("--fsize=0");
    let unlucky = claims(&mut secrets, "unlucky");
    let unlucky = secrets.add_token("unlucky", &shop.sign(&unlucky));
    assert_eq!(stage.with_bearer("POST", LOGOUT, &unlucky), 503);

    let metrics = edge.metrics();
    for reason in REASONS {
        assert!(
            metrics.contains(&format!("verdict=\"{reason}\"")),
            "{reason}:\n{metrics}"
        );
    }
    let shown = shown_on_dashboard(&edge);
    edge.restart();
    assert_eq!(
        Stage {
            edge: &edge,
            host: "wp"
        }
        .with_bearer("POST", "/wp-json/cocart/v1/logout", &token),
        401
    );
    edge.stop();
    secrets.not_in("the log", edge.log_lines().join("\n").as_bytes());
    let lines = fs::read(edge.path("access.log")).unwrap();
    assert!(holds(&lines, b"\"user_agent\":\"app/1 ({redacted})\""));
    assert!(holds(&lines, b"\"referer\":\"https://x/{redacted}\""));
    secrets.not_in("the access log", &lines);
    secrets.not_in("the dashboard", shown.as_bytes());
    secrets.not_in("a metric", metrics.as_bytes());
    secrets.not_in("what commands print", printed.as_bytes());
    secrets.not_in("the journal", &files_below(&edge.path("data")));
}

/// Some APIs name a token in the path: `DELETE /oauth/tokens/{token}`.
#[test]
fn a_token_in_a_path_is_never_written_down_attacks_c3() {
    let shop = stateless_bagisto();
    let cocart = Shop::open(Storefront::Cocart, Mood::Honest).unwrap();
    let nobody = Nobody::at_home();
    let mut edge = Edge::with(&config(&shop, &cocart, &nobody));
    let mut secrets = Secrets::default();
    let jwt = secrets.add_token("a token", &shop.sign_in("alice"));
    let tokens = [
        jwt.clone(),
        secrets.add("hex", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"),
        secrets.add("a UUID", "0b5f1c62-7d1e-4c7a-9f1e-2f6d1c3b8a90"),
        secrets.add("base64url", "Zm9vYmFy-c2VjcmV0_dG9rZW4xMjM0NTY3ODkw"),
        secrets.add("of Sanctum", "17%7CqWhdKjasHdkjAhsdKjahSdkjqWe"),
        secrets.add("letters", "kdjfhgkjdhfgkjshdfgkjhsdfkjg"),
        secrets.add("a session", "JSESSIONID.1A530637289A03B07199A44E8D53"),
    ];
    for token in &tokens {
        for target in [
            format!("/oauth/tokens/{token}"),
            format!("/authentication/{token}/x;v={token}"),
            format!("/a%2f{token}"),
            format!("/b;jsessionid={token}?q=1"),
            format!("/account/{token}"),
        ] {
            for (host, method) in [
                ("shop", "DELETE"),
                ("shop", "TRACE"),
                ("nowhere", "GET"),
                ("gone", "GET"),
            ] {
                let headers = [("Authorization", "Bearer e30.e30.x")];
                let stage = Stage { edge: &edge, host };
                let answer = stage.ask(method, &target, &headers, "");
                assert!(answer.status >= 400, "{host} {method} {target}");
            }
            let stage = Stage {
                edge: &edge,
                host: "gone",
            };
            stage.ask("GET", &target, &[], "");
        }
    }
    edge.stop();
    let log = edge.log_lines().join("\n");
    secrets.not_in("the log", log.as_bytes());
    let lines = fs::read(edge.path("access.log")).unwrap();
    assert!(holds(&lines, b"\"path\":\"/oauth/tokens/{redacted}\""));
    secrets.not_in("the access log", &lines);
    assert!(log.contains("path=/oauth/tokens/{redacted}"), "{log}");
    assert!(
        log.contains("path=/authentication/{redacted}/{redacted}"),
        "{log}"
    );
}

/// What a rule names as the token is one, however much it looks like words.
#[test]
fn a_token_that_a_rule_names_in_a_path_is_never_written_down_attacks_c3() {
    let nobody = Nobody::at_home();
    let mut edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.algorithms = [\"HS256\"]\n\
         token.secret_file = \"{{secret_file}}\"\n\
         [[shop.logout]]\nmethods = [\"DELETE\"]\npaths = [\"/oauth/t/{{token}}\"]\n",
        nobody.address()
    ));
    let mut secrets = Secrets::default();
    let token = secrets.add("made of words", "blue-horse-runs-home");
    let target = format!("/oauth/t/{token}");
    for method in ["GET", "DELETE", "TRACE", "DELETE", "GET"] {
        edge.raw(&request(method, &target, &[], b""));
    }
    edge.stop();
    let log = edge.log_lines().join("\n");
    secrets.not_in("the log", log.as_bytes());
    assert!(log.contains("path=/oauth/t/{redacted}"), "{log}");
}

/// The search above means something only if it finds what is there.
#[test]
fn what_is_written_down_is_found() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "log = \"debug\"\naccess_log = {{ to = \"{{home}}/access.log\" }}\n{}",
        support::shop_table(&shop)
    ));
    let mut secrets = Secrets::default();
    let planted = secrets.add("planted", "planted-in-the-path-4711");
    drop(try_raw(
        edge.address(),
        &request("TRACE", &format!("/{planted}"), &[], b""),
    ));
    let log = || edge.log_lines().join("\n");
    eventually(|| !secrets.found_in(log().as_bytes()).is_empty());
    let lines = || fs::read(edge.path("access.log")).unwrap_or_default();
    eventually(|| secrets.found_in(&lines()).len() == 3);
    fs::write(edge.path("data/planted"), format!("\0\u{1}{planted}\0")).unwrap();
    assert_eq!(secrets.found_in(&files_below(&edge.path("data"))).len(), 3);
    assert_eq!(
        secrets.found_in(&planted.as_bytes()[..14]),
        ["planted, its beginning"]
    );
    assert!(secrets.found_in(b"planted").is_empty());
    assert!(secrets.found_in(edge.metrics().as_bytes()).is_empty());
}

// --- Key files -------------------------------------------------------------------------------------------

/// What `check` and `run` print of a configuration with this `[shop.token]`, where `key` holds these bytes.
fn printed_with(token: &str, key: &[u8], mode: u32) -> String {
    let home = TempDir::new().unwrap();
    let config = home.path().join("doorward.toml");
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[[shop]]\nname = \"main\"\n\
         upstream = [\"127.0.0.1:1\"]\n[shop.token]\n{token}\n"
    );
    fs::write(&config, text).unwrap();
    fs::write(home.path().join("key"), key).unwrap();
    fs::set_permissions(home.path().join("key"), fs::Permissions::from_mode(mode)).unwrap();
    let path = config.to_str().unwrap();
    let check = doorward(&["check", "--config", path]);
    let run = match check.code {
        Some(0) => String::new(), // it would stay
        _ => doorward(&["run", "--config", path]).stderr,
    };
    check.stdout + &check.stderr + &run
}

#[test]
fn check_never_shows_what_is_in_a_key_file() {
    let secret = "Kq7-this-is-what-the-shop-signs-with-and-nobody-else-Zx3";
    let short = "Kq7-short-Zx3";
    let private = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nKq7PrivateKq7Zx3\n-----END PRIVATE KEY-----\n";
    let public = "-----BEGIN PUBLIC KEY-----\nKq7NotAKeyAtAllZx3Zx3\n-----END PUBLIC KEY-----\n";
    let set = r#"{"keys":[{"kty":"oct","alg":"HS256","k":"S3E3LXNob3J0LVp4Mw"},{"kty":"odd","k":"Kq7-value-Zx3"}]}"#;
    let broken = r#"{"keys":[{"kty":"oct","k":"Kq7-value-Zx3"#;
    let long = format!("{secret}\n").repeat(30_000);
    for (token, key) in [
        ("algorithms = [\"HS256\"]\nsecret_file = \"key\"", secret),
        ("algorithms = [\"HS256\"]\nsecret_file = \"key\"", short),
        (
            "algorithms = [\"HS256\"]\nsecret_file = \"key\"",
            long.as_str(),
        ),
        ("algorithms = [\"HS512\"]\nsecret_file = \"key\"", secret),
        ("algorithms = [\"RS256\"]\nsecret_file = \"key\"", secret),
        (
            "algorithms = [\"RS256\"]\npublic_key_file = \"key\"",
            secret,
        ),
        (
            "algorithms = [\"RS256\"]\npublic_key_file = \"key\"",
            private,
        ),
        (
            "algorithms = [\"RS256\"]\npublic_key_file = \"key\"",
            public,
        ),
        (
            "algorithms = [\"ES256\"]\npublic_key_file = \"key\"",
            public,
        ),
        ("algorithms = [\"HS256\"]\njwks_file = \"key\"", secret),
        ("algorithms = [\"HS256\"]\njwks_file = \"key\"", set),
        ("algorithms = [\"HS256\"]\njwks_file = \"key\"", broken),
        (
            "algorithms = [\"HS256\"]\njwks_file = \"key\"",
            "\"Kq7-value-Zx3\"",
        ),
        (
            "algorithms = [\"HS256\"]\nsecret_file = \"key\"\njwks_file = \"key\"",
            secret,
        ),
    ] {
        for mode in [0o600, 0o644, 0o666] {
            let printed = printed_with(token, key.as_bytes(), mode);
            for piece in ["Kq7", "Zx3", "MIIEvQ", "S3E3LXNob3J0"] {
                assert!(!printed.contains(piece), "{token}\n{printed}");
            }
            assert!(
                printed.contains("key") || printed.contains("ok  shop main"),
                "{printed}"
            );
        }
    }
}

/// Whoever writes `secret` for `secret_file` hears of it without reading the secret in the service's log.
#[test]
fn check_does_not_repeat_a_secret_that_stands_in_the_configuration() {
    for line in [
        "secret = \"Kq7-pasted-here-Zx3\"",
        "jwt_secret = \"Kq7-pasted-here-Zx3\"",
    ] {
        let token = format!("algorithms = [\"HS256\"]\nsecret_file = \"key\"\n{line}");
        let printed = printed_with(&token, b"a-secret-of-more-than-32-bytes-for-hs256", 0o600);
        assert!(printed.contains("error"), "{printed}");
        assert!(!printed.contains("Kq7"), "{printed}");
    }
}
