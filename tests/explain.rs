//! `doorward explain` of a request that is not sent: it says what the running proxy does, by its gate and with its words.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use serde_json::{Value, json};
use support::{
    Customer, Edge, Outcome, Scene, Shop, opaque_shop_table, request, shop_table,
    stateless_bagisto, stateless_cocart,
};

/// Bearers, cookies, queries and bodies; routes of every kind; a host that is redirected, a client that is denied.
const MORE: &str = r#"
hosts = ["shop.example.com"]
redirect_hosts = ["www.example.com"]
deny = ["198.51.100.0/24"]
[[shop.credential]]
header = "authorization"
schemes = ["Bearer"]
[[shop.credential]]
cookie = "jwt"
[[shop.credential]]
query = "access_token"
[[shop.credential]]
body = "/token"
[[shop.logout]]
paths = ["/bye"]
methods = ["POST"]
revoke = "subject"
[[shop.logout]]
paths = ["/local-bye"]
methods = ["POST"]
answer = "local"
[[shop.refresh]]
paths = ["/renew"]
methods = ["POST"]
[[shop.route]]
name = "account"
paths = ["/account/*"]
enforce = "required"
[[shop.route]]
name = "strict"
paths = ["/strict/*"]
enforce = "valid"
dead_cookie = "refuse"
[[shop.route]]
name = "free"
paths = ["/free/*"]
enforce = "off"
[[shop.route]]
name = "moved"
paths = ["/old/*"]
redirect = { to = "https://{host}/new{path}" }
[[shop.route]]
name = "gone"
paths = ["/gone"]
respond = { status = 410 }
[[shop.route]]
name = "api"
paths = ["/api/v9/*"]
strip_prefix = "/api/v9"
headers = { request = { set = { x-from = "doorward" } } }
[[shop.route]]
name = "seen"
paths = ["/seen/*"]
enforce = "required"
observe = true
[[shop.route]]
name = "small"
paths = ["/small"]
body_limit = "8B"
"#;

/// A request, as it is sent and as it is explained.
struct Sample {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Sample {
    fn of(line: &str) -> Self {
        let (method, target) = line.split_once(' ').unwrap();
        Self {
            method: method.to_owned().leak(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, kind: &str, body: impl Into<String>) -> Self {
        self.headers.push(("Content-Type", kind.to_owned()));
        self.body = body.into();
        self
    }

    /// What the running proxy does with it: by its own word about the id of its answer.
    fn judged_by_the_proxy(&self, edge: &Edge) -> Value {
        let headers = self.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = edge.raw(&request(
            self.method,
            &self.target,
            &headers,
            self.body.as_bytes(),
        ));
        let id = answer.header("x-request-id");
        // What is only observed is passed on without the id.
        let told = id.map(|id| edge.command(&["explain", "--request-id", id]));
        let mut told: Value = told.map_or(
            json!({ "decisions": [{
            "verdict": "forwarded", "route": "seen", "shop": "main" }] }),
            |told| serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}")),
        );
        told["decisions"][0].take()
    }

    /// What `explain` says of it.
    fn explained(&self, edge: &Edge, more: &[&str]) -> Value {
        let told = self.explain(edge, &[&["--format", "json"], more].concat());
        assert_eq!(told.code, Some(0), "{told:?}");
        serde_json::from_str(&told.stdout).unwrap()
    }

    fn explain(&self, edge: &Edge, more: &[&str]) -> Outcome {
        let url = format!("http://shop.example.com{}", self.target);
        let headers = self.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let mut arguments = vec!["explain", "--url", &url, "--method", self.method];
        for header in &headers {
            arguments.extend(["--header", header]);
        }
        if !self.body.is_empty() {
            arguments.extend(["--data", &self.body]);
        }
        arguments.extend(more);
        edge.command(&arguments)
    }
}

/// Requests of every kind, with tokens that nothing has revoked.
fn samples(scene: &Scene) -> Vec<Sample> {
    let live = scene.shop.sign_in("bob");
    let forged = format!("{}AAAA", &live[..live.len() - 4]);
    let expired = scene.shop.sign(&json!({ "sub": 9, "iat": 1, "exp": 2 }));
    let bearer = |token: &str| format!("Bearer {token}");
    let json = "application/json";
    let mut samples: Vec<_> = [
        "GET /",
        "GET /account/me",
        "GET /strict/x",
        "GET /free/x",
        "GET /old/page?a=b",
        "GET /gone",
        "HEAD /gone",
        "GET /api/v9/carts",
        "GET /seen/x",
        "TRACE /",
        "GET /%2e%2e/account/x",
        "GET /account%2fx",
        "GET /_doorward/logout",
        "POST /bye",
        "POST /local-bye",
        "POST /account/logout",
        "DELETE /account/1",
        "GET /x?access_token=",
        "POST /_doorward/logout",
    ]
    .map(Sample::of)
    .into();
    for line in [
        "GET /account/me",
        "GET /strict/x",
        "GET /free/x",
        "GET /",
        "GET /seen/x",
        "GET /old/x",
        "GET /gone",
    ] {
        for token in [&live, &forged, &expired] {
            samples.push(Sample::of(line).with("Authorization", bearer(token)));
            samples.push(Sample::of(line).with("Cookie", format!("a=b; jwt={token}")));
            samples.push(Sample::of(&format!("{line}?access_token={token}")));
        }
    }
    samples.extend([
        Sample::of("GET /")
            .with("Authorization", bearer(&live))
            .with("Authorization", bearer(&forged)),
        Sample::of(&format!("GET /?access_token={live}")).with("Authorization", bearer(&expired)),
        Sample::of("GET /")
            .with("Connection", "authorization")
            .with("Authorization", bearer(&live)),
        Sample::of("GET /").with("Connection", "x-forwarded-for"),
        Sample::of("GET /").with("Host", "other.example.com"),
        Sample::of("GET /page").with("Host", "www.example.com"),
        Sample::of("GET /").with("Host", "a").with("Host", "b"),
        Sample::of("POST /x").body(json, format!("{{\"token\":\"{live}\"}}")),
        Sample::of("POST /x").body(json, format!("{{\"token\":\"{forged}\"}}")),
        Sample::of("POST /x").body(json, "{"),
        Sample::of("POST /account/x").body(json, format!("{{\"token\":\"{live}\"}}")),
        Sample::of("POST /x").body(json, format!("{{\"a\":\"{}\"}}", "b".repeat(70_000))),
        Sample::of("POST /small").body("text/plain", "more than eight bytes"),
        Sample::of("POST /x")
            .with("Transfer-Encoding", "gzip")
            .with("Content-Length", "0"),
        Sample::of("POST /x")
            .with("Content-Encoding", "br")
            .body(json, "{}"),
        Sample::of("POST /renew").with("Authorization", bearer(&live)),
        Sample::of("POST /renew").with("Authorization", bearer(&forged)),
        Sample::of("POST /bye").with("Authorization", bearer(&forged)),
        Sample::of("GET /").with("X-Long", "x".repeat(100_000)),
        Sample::of("GET /").with("Via", "1.1 doorward, ".repeat(8) + "1.1 doorward"),
        Sample::of(&format!("GET /{}", "x".repeat(20_000))),
    ]);
    // The logouts come last: what they revoke is revoked in the process alone.
    for line in ["POST /local-bye", "POST /bye", "POST /_doorward/logout"] {
        let token = scene
            .shop
            .sign_in(line.trim_matches(|c: char| !c.is_alphabetic()));
        let logout = Sample::of(line).with("Authorization", bearer(&token));
        samples.push(logout.with("X-STOREFRONT-KEY", Shop::KEY));
    }
    samples
}

/// The verdict of `explain`, which is that of the running proxy.
#[track_caller]
fn agreed(edge: &Edge, sample: &Sample) -> String {
    let short: String = sample.target.chars().take(40).collect();
    let names: Vec<_> = sample.headers.iter().map(|(name, _)| name).collect();
    let what = format!("{} {short} {names:?}", sample.method);
    let told = sample.explained(edge, &[]);
    let done = sample.judged_by_the_proxy(edge);
    for key in ["verdict", "reason", "detail", "shop", "route", "place"] {
        let (told_key, done_key) = (&told[key], &done[key]);
        assert_eq!(told_key, done_key, "{key} of {what}\n{told:#}\n{done:#}");
    }
    told["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn the_verdict_is_that_of_the_running_proxy() {
    let scene = Scene::with(MORE);
    let samples = samples(&scene);
    let verdicts: Vec<_> = samples
        .iter()
        .map(|sample| agreed(&scene.edge, sample))
        .collect();
    for verdict in ["forwarded", "refused", "logout", "redirected", "answered"] {
        assert!(verdicts.iter().any(|one| one == verdict), "{verdict}");
    }
}

#[test]
fn the_verdict_is_the_same_behind_a_trusted_proxy_and_for_another_preset() {
    let shop = stateless_cocart();
    let table = shop_table(&shop);
    let scene = Scene::configured(
        shop,
        &format!("trusted_proxies = [\"127.0.0.0/8\"]\n{table}deny = [\"198.51.100.0/24\"]\n"),
    );
    let token = scene.shop.sign_in("hanna");
    let bearer = || format!("Bearer {token}");
    let cart = "GET /wp-json/cocart/v2/cart";
    for (sample, verdict) in [
        (
            Sample::of(cart).with("Authorization", bearer()),
            "forwarded",
        ),
        (
            Sample::of(cart).with("Authorization", bearer() + "x"),
            "refused",
        ),
        (
            Sample::of(cart).with("X-Forwarded-For", "198.51.100.9"),
            "refused",
        ),
        (
            Sample::of(cart).with("X-Forwarded-For", "198.51.100.9, 192.0.2.1"),
            "forwarded",
        ),
        (
            Sample::of("POST /wp-json/cocart/v1/logout").with("Authorization", bearer()),
            "logout",
        ),
    ] {
        assert_eq!(agreed(&scene.edge, &sample), verdict, "{:?}", sample.target);
    }
}

#[test]
fn each_decision_has_the_line_that_made_it_and_no_credential_is_shown() {
    let scene = Scene::with(MORE);
    let token = scene.shop.sign_in("carol");
    let config = fs::read_to_string(scene.edge.path("doorward.toml")).unwrap();
    let line_of = |text: &str| {
        let before = config.split(text).next().unwrap();
        format!("doorward.toml:{}", before.matches('\n').count() + 1)
    };
    let sample = Sample::of("GET /account/me")
        .with("Authorization", format!("Bearer {token}"))
        .with("Cookie", "jwt=notatoken; a=secretvalue");
    let told = sample.explained(&scene.edge, &[]);
    let station = |name: &str| {
        let stations = told["stations"].as_array().unwrap();
        let found = stations.iter().find(|one| one["station"] == name);
        found
            .unwrap_or_else(|| panic!("{name} in {told:#}"))
            .clone()
    };
    let ends = |name: &str, line: &str| {
        let at = station(name)["at"].as_str().unwrap().to_owned();
        assert!(at.ends_with(line), "{name} at {at}, not {line}");
    };
    ends("shop", &line_of("hosts ="));
    ends("route", &line_of("[[shop.route]]\nname = \"account\""));
    ends("demand", &line_of("[[shop.route]]\nname = \"account\""));
    ends("credential", &line_of("[[shop.credential]]\nheader"));
    assert!(
        station("listener")["at"]
            .as_str()
            .unwrap()
            .contains("doorward.toml:")
    );
    let logout = Sample::of("POST /bye").with("Authorization", format!("Bearer {token}"));
    let told = logout.explained(&scene.edge, &[]);
    let stations = told["stations"].as_array().unwrap();
    let rule = stations
        .iter()
        .find(|one| one["station"] == "rule")
        .unwrap();
    assert!(
        rule["at"]
            .as_str()
            .unwrap()
            .ends_with(&line_of("[[shop.logout]]\npaths = [\"/bye\"]")),
        "{rule}"
    );
    for sample in [sample, logout] {
        for more in [&[][..], &["--format", "json"]] {
            let told = sample.explain(&scene.edge, more);
            let signature = token.rsplit('.').next().unwrap();
            for secret in [signature, "secretvalue", "notatoken"] {
                assert!(!told.stdout.contains(secret), "{}", told.stdout);
                assert!(!told.stderr.contains(secret), "{}", told.stderr);
            }
        }
    }
    assert_eq!(scene.shop.seen().len(), 0, "nothing is sent");
}

#[test]
fn a_line_of_a_browser_and_an_entry_of_a_har_file_are_read() {
    let scene = Scene::with(MORE);
    let token = scene.shop.sign_in("dora");
    let line = format!(
        "curl 'http://shop.example.com/account/me' \\\n  -H 'accept: */*' \\\n  -H 'authorization: Bearer {token}' --compressed"
    );
    let arguments = ["explain", "--curl", "-", "--format", "json"];
    let told = scene.edge.command_with_input(&arguments, line.as_bytes());
    let told: Value = serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"));
    assert_eq!(
        (&told["verdict"], &told["route"]),
        (&json!("forwarded"), &json!("account"))
    );
    let unknown = scene.edge.command(&[
        "explain",
        "--curl",
        "curl --proxy x http://shop.example.com/",
    ]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("--proxy"), "{unknown:?}");
    let entry = |url: &str, cookie: &str| json!({ "request": { "method": "GET", "url": url, "headers": [{ "name": "cookie", "value": cookie }] } });
    let har = json!({ "log": { "entries": [
        entry("http://shop.example.com/gone", ""),
        entry("http://shop.example.com/account/me", &format!("jwt={token}")),
    ] } });
    let file = scene.edge.path("saved.har");
    fs::write(&file, har.to_string()).unwrap();
    let file = file.to_str().unwrap();
    for (entry, verdict) in [("1", "answered"), ("2", "forwarded")] {
        let told = scene.edge.command(&[
            "explain", "--har", file, "--entry", entry, "--format", "json",
        ]);
        let told: Value = serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"));
        assert_eq!(told["verdict"], verdict);
    }
    let beyond = scene
        .edge
        .command(&["explain", "--har", file, "--entry", "3"]);
    assert_eq!(beyond.code, Some(2));
    assert!(beyond.stderr.contains("2 entries"), "{beyond:?}");
}

#[test]
fn the_running_process_is_asked_whether_a_token_is_revoked() {
    let scene = Scene::with(MORE);
    let erin = Customer::named(&scene.shop, "erin");
    let sample =
        Sample::of("GET /account/me").with("Authorization", format!("Bearer {}", erin.token()));
    let told = sample.explained(&scene.edge, &["--running"]);
    assert_eq!(told["verdict"], "forwarded");
    assert!(
        told["revoked"][0].as_str().unwrap().ends_with("no"),
        "{told:#}"
    );
    assert_eq!(erin.log_out(&scene.edge).status, 200);
    let told = sample.explained(&scene.edge, &["--running"]);
    assert_eq!(
        (&told["verdict"], &told["reason"]),
        (&json!("refused"), &json!("revoked"))
    );
    let told = sample.explained(&scene.edge, &[]);
    assert_eq!(told["verdict"], "forwarded");
    assert!(
        told["revoked"][0].as_str().unwrap().contains("not asked"),
        "{told:#}"
    );
}

#[test]
fn a_client_on_a_list_is_denied_and_an_unknown_id_stays_one() {
    let scene = Scene::with(MORE);
    let told = Sample::of("GET /").explained(&scene.edge, &["--client", "198.51.100.7"]);
    assert_eq!(
        (&told["verdict"], &told["reason"]),
        (&json!("refused"), &json!("access_denied"))
    );
    let nothing = scene.edge.command(&["explain"]);
    assert_eq!(nothing.code, Some(2));
    let both = scene
        .edge
        .command(&["explain", "--request-id", "x", "--url", "http://x/"]);
    assert_eq!(both.code, Some(2));
}

fn checked(edge: &Edge, token: &str, more: &[&str]) -> Outcome {
    let arguments = [&["check", "--token", "-"], more].concat();
    let told = edge.command_with_input(&arguments, token.as_bytes());
    let signature = token.trim().rsplit('.').next().unwrap();
    assert!(!told.stdout.contains(signature), "{}", told.stdout);
    told
}

#[test]
fn a_token_that_would_pass_says_what_it_is_and_one_that_would_not_why() {
    let scene = Scene::with("");
    let token = scene.shop.sign_in("frida");
    let told = checked(&scene.edge, &token, &["--shop", "main"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    for words in [
        "shop main: passes",
        "HS256",
        "expires in",
        "its name in logs",
    ] {
        assert!(told.stdout.contains(words), "{words}: {}", told.stdout);
    }
    let told = checked(
        &scene.edge,
        &format!("Authorization: Bearer {token}\n"),
        &[],
    );
    assert_eq!(told.code, Some(0), "{told:?}");
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let told = checked(&scene.edge, &forged, &[]);
    assert_eq!(told.code, Some(1));
    for words in [
        "refused: unverifiable signature",
        "what to do: ",
        "not the one that signed it",
    ] {
        assert!(told.stdout.contains(words), "{words}: {}", told.stdout);
    }
    let told = checked(&scene.edge, &token, &["--shop", "nobody's"]);
    assert_eq!(told.code, Some(2));
}

#[test]
fn the_usual_mistakes_are_named() {
    let scene = Scene::with("");
    let token = scene.shop.sign_in("gina");
    let secret = fs::read(scene.edge.path("jwt.secret")).unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode(&secret);
    let edge = Edge::with(&opaque_shop_table(&stateless_bagisto()));
    let other = edge.path("other.secret");
    let shop = |secret: &str, more: &str| {
        fs::write(&other, secret).unwrap();
        edge.configure(&format!(
            "[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:9\"]\n[shop.token]\nalgorithms = [\"HS256\"]\n\
             secret_file = \"{}\"\n{more}",
            other.display()
        ));
        let told = checked(&edge, &token, &[]);
        assert!(!told.stdout.contains(secret), "{}", told.stdout);
        told.stdout
    };
    fs::write(&other, "").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    let told = shop(&encoded, "");
    assert!(told.contains("decoded from base64"), "{told}");
    let secret = String::from_utf8(secret).unwrap();
    let told = shop(&secret, "issuer = \"https://login.example.com\"\n");
    assert!(
        told.contains("`iss`: expected https://login.example.com"),
        "{told}"
    );
    let told = shop(&secret, "audience = \"storefront\"\n");
    assert!(told.contains("`aud`: expected storefront"), "{told}");
}
