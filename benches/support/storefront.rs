//! A shop behind a gate, and the requests that its customers send.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use doorward::clock::UnixTime;
use doorward::config;
use doorward::request::{Gate, Request, Verdict};
use doorward::revocation::Revocations;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use tokio::runtime::Builder;

use super::mint::Mint;

/// A bearer as Laravel Sanctum makes them. Nothing can be verified of it.
pub const OPAQUE: &str = "17|kW3vQ9xLr0Zb7YtNc5MdAe2HsUf8GjPiTo4lXqBw6f1c0d9e";

/// Another one, whose customer has logged out.
pub const DEAD_OPAQUE: &str = "18|Zb7YtNc5MdAe2HsUf8GjPiTo4lXqBw6fkW3vQ9xLr01c0d9e";

/// A gate in front of a Bagisto shop, made as the server makes it, with nothing verified yet.
pub fn gate(mint: &Mint, revocations: &Arc<Revocations>) -> Gate {
    gate_of(mint, revocations, r#"preset = "bagisto""#, "")
}

/// The same in front of a shop that hands out cookies, too, and refresh tokens in JSON.
pub fn gate_of_cookies(mint: &Mint, revocations: &Arc<Revocations>) -> Gate {
    let places = r#"
        [[shop.credential]]
        header = "authorization"
        schemes = ["Bearer"]
        [[shop.credential]]
        cookie = "token"
        [[shop.credential]]
        cookie = "shop_session_*"
        kind = "opaque"
        [[shop.credential]]
        body = "/refresh_token"
        kind = "opaque"
        at = ["logout", "refresh"]
        [[shop.refresh]]
        paths = ["/api/shop/refresh"]
    "#;
    gate_of(mint, revocations, "", places)
}

fn gate_of(mint: &Mint, revocations: &Arc<Revocations>, keys: &str, tables: &str) -> Gate {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_privately(&folder.path().join("key"), &mint.key_file()).expect("it takes a file");
    let text = format!(
        r#"
        listen   = ["127.0.0.1:0"]
        data_dir = "data"

        [[shop]]
        name     = "main"
        {keys}
        hosts    = ["shop.example.com"]
        upstream = ["127.0.0.1:8000"]
        token    = {{ algorithms = ["{}"], {} = "key" }}

        [[shop.route]]
        paths    = ["/api/shop/customers/*"]
        enforce  = "required"
        {tables}
        "#,
        mint.algorithm(),
        mint.key_file_setting(),
    );
    let shops = shops(&text, folder.path());
    Gate::new(
        shops.into_iter().map(Arc::new).collect(),
        Arc::clone(revocations),
    )
}

/// As secrets must be kept.
fn write_privately(path: &Path, text: &str) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file?.write_all(text.as_bytes())
}

fn shops(text: &str, folder: &Path) -> Vec<doorward::request::Shop> {
    match config::parse("a benchmark's configuration", text, folder) {
        Ok((config, _warnings)) => config.shops,
        Err(faults) => panic!("{faults}"),
    }
}

/// The same in front of a shop with these routes, and with further keys.
pub fn gate_with_routes(
    mint: &Mint,
    revocations: &Arc<Revocations>,
    keys: &str,
    routes: &str,
) -> Gate {
    gate_of(mint, revocations, keys, routes)
}

/// A browser without a token asks for this, with further headers.
pub fn guest(target: &str, more: &[(&str, &str)]) -> Parts {
    let mut head = head(Method::GET, target, "");
    head.headers.remove(AUTHORIZATION);
    for (name, value) in more {
        let name: HeaderName = name.parse().expect("the name of a header");
        let value = HeaderValue::from_str(value).expect("the value of a header");
        head.headers.append(name, value);
    }
    head
}

/// A browser asks for its customer's orders.
pub fn visit(bearer: &str) -> Parts {
    head(Method::GET, "/api/shop/customers/orders?page=1", bearer)
}

/// The same browser logs out.
pub fn logout(bearer: &str) -> Parts {
    head(Method::POST, "/api/shop/customers/logout", bearer)
}

/// The same with eight cookies, a session of the shop among them.
pub fn visit_with_cookies(bearer: &str) -> Parts {
    let mut head = visit(bearer);
    let cookies = "_ga=GA1.1.1234567890.1790000000; _fbp=fb.1.1790000000000.1234567890; \
        currency=EUR; locale=en; XSRF-TOKEN=eyJpdiI6IkJlbmNobWFyayJ9; \
        shop_session_1=kW3vQ9xLr0Zb7YtNc5MdAe2HsUf8GjPiTo4lXqBw6f1c; theme=dark; consent=1.1.0";
    head.headers
        .insert(COOKIE, HeaderValue::from_static(cookies));
    head
}

/// A customer's order, as JSON of four kilobytes.
pub fn order(bearer: &str) -> (Parts, Vec<u8>) {
    let head = head(Method::POST, "/api/shop/checkout", bearer);
    let lines = (0..24).map(|number| {
        format!(
            r#"{{"sku":"SHIRT-{number:04}-L","name":"A shirt of linen, blue","quantity":1,"price":"49.90","options":{{"size":"L","colour":"blue"}},"note":""}}"#
        )
    });
    let lines = lines.collect::<Vec<_>>().join(",");
    let address = r#"{"first_name":"Alice","last_name":"Example","street":"1 Long Road","city":"Anytown","postcode":"12345","country":"DE","email":"alice@example.com"}"#;
    let body = format!(
        r#"{{"lines":[{lines}],"shipping":{address},"billing":{address},"method":"flatrate"}}"#
    );
    (head, body.into_bytes())
}

/// What a current browser sends to a shop's API.
fn head(method: Method, target: &str, bearer: &str) -> Parts {
    let lines = [
        ("host", "shop.example.com"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        ),
        ("accept", "application/json, text/plain, */*"),
        ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        (
            "x-storefront-key",
            "pk_storefront_QmVuY2htYXJrc0FyZU5vdFNlY3JldHMx",
        ),
        ("content-type", "application/json"),
        ("origin", "https://www.example.com"),
        ("referer", "https://www.example.com/account/orders"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-site"),
        ("connection", "keep-alive"),
    ];
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in lines {
        request = request.header(name, value);
    }
    let request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
    let (head, ()) = request.body(()).expect("a fixed request").into_parts();
    head
}

/// Whether the gate lets it through.
pub fn passes(gate: &Gate, head: &Parts, now: UnixTime) -> bool {
    gate.judge(&Request::new(head, None), now).is_ok()
}

/// Whether the gate lets it through, whose body was read.
pub fn passes_with_body(gate: &Gate, head: &Parts, body: &[u8], now: UnixTime) -> bool {
    gate.judge(&Request::new(head, Some(body)), now).is_ok()
}

/// Logs this token out, as the server would.
pub fn log_out(revocations: &Revocations, gate: &Gate, token: &str, now: UnixTime) {
    let head = logout(token);
    let request = Request::new(&head, None);
    let Ok(Verdict::LogOut(leaving)) = gate.judge(&request, now) else {
        panic!("a good token logs out");
    };
    let runtime = Builder::new_current_thread().enable_time().build();
    let written = runtime
        .expect("a runtime")
        .block_on(revocations.revoke(leaving.revocations));
    assert!(written.is_ok(), "the disk takes a row");
}
