//! Pages of the operator in the place of refusals, for those who would rather read HTML.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;

use http::Request;
use support::{Answer, Backend, Deed, Edge, PATIENCE, UPGRADE, eventually, request};
use tempfile::TempDir;

const BROWSER: (&str, &str) = (
    "Accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
);

const ELSEWHERE: (&str, &str) = ("X-Forwarded-For", "192.0.2.1");

/// A folder of pages, each of which says its name.
fn pages() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["top", "shop", "gone", "down"] {
        let page = format!("<h1>{name} {{status}}</h1><p title=\"{{request_id}}\">");
        fs::write(folder.path().join(name), page).unwrap();
    }
    folder
}

fn table(server: &Backend, folder: &TempDir) -> String {
    let folder = folder.path().display();
    format!(
        "h2c = true\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [error_pages]\n\"4xx\" = \"{folder}/top\"\n\"5xx\" = \"{folder}/down\"\n\
         [[shop]]\nname = \"main\"\nhosts = [\"shop.example.com\"]\nupstream = [\"{}\"]\n\
         token.kind = \"opaque\"\ntoken.max_token_lifetime = \"1d\"\n\
         [shop.error_pages]\n401 = \"{folder}/shop\"\n404 = \"{folder}/gone\"\n\
         [[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
         [[shop.route]]\npaths = [\"/account\"]\nenforce = \"required\"\n\
         [[shop.route]]\npaths = [\"/closed\"]\nrespond = {{ status = 404 }}\n\
         [[shop.route]]\npaths = [\"/said\"]\nrespond = {{ status = 404, body = \"mine\" }}\n\
         [[shop.route]]\npaths = [\"/limited\"]\nlimit = {{ rate = \"1/h\" }}\n",
        server.address()
    )
}

fn ask(edge: &Edge, method: &str, path: &str, lines: &[(&str, &str)]) -> Answer {
    edge.raw(&request(method, path, lines, b""))
}

fn is_page(answer: &Answer, text: &str) -> bool {
    answer.header("content-type") == Some("text/html; charset=utf-8")
        && answer.text().starts_with(text)
}

#[test]
fn a_browser_gets_the_page_and_an_api_its_own_format() {
    let (server, folder) = (Backend::saying("ok"), pages());
    let edge = Edge::with(&table(&server, &folder));
    let page = ask(&edge, "GET", "/account", &[BROWSER]);
    assert_eq!(page.status, 401);
    assert!(is_page(&page, "<h1>shop 401</h1>"), "{}", page.text());
    let api = ask(&edge, "GET", "/account", &[("Accept", "*/*")]);
    assert_eq!(api.json()["message"], "Authentication is required");
    let without = ask(&edge, "GET", "/account", &[]);
    assert_eq!(without.json(), api.json());
    for answer in [&page, &api, &without] {
        assert_eq!(answer.headers_named("vary"), ["Accept"]);
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"main\"")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let crossing = ask(
        &edge,
        "GET",
        "/account",
        &[BROWSER, ("Origin", "https://a.example")],
    );
    assert_eq!(crossing.headers_named("vary"), ["Origin", "Accept"]);
    assert_eq!(
        crossing.header("access-control-allow-origin"),
        Some("https://a.example")
    );

    let head = ask(&edge, "HEAD", "/account", &[BROWSER]);
    assert_eq!((head.status, head.body.len()), (401, 0));
    assert_eq!(head.header("content-length"), page.header("content-length"));
    let socket = [&UPGRADE[..], &[BROWSER]].concat();
    assert!(is_page(
        &ask(&edge, "GET", "/account", &socket),
        "<h1>shop 401</h1>"
    ));

    assert_eq!(
        ask(&edge, "GET", "/limited", &[BROWSER, ELSEWHERE]).status,
        200
    );
    let limited = ask(&edge, "GET", "/limited", &[BROWSER, ELSEWHERE]);
    assert!(
        is_page(&limited, "<h1>top 429</h1>"),
        "beneath those of the shop"
    );
    assert!(limited.header("retry-after").is_some());
    let ambiguous = ask(&edge, "GET", "/x/%252e%252e/account", &[BROWSER]);
    assert!(
        is_page(&ambiguous, "<h1>top 400</h1>"),
        "{}",
        ambiguous.status
    );
}

#[test]
fn requests_without_a_shop_and_shops_that_fail_have_pages() {
    let (server, folder) = (Backend::saying("ok"), pages());
    let edge = Edge::with(&table(&server, &folder));
    let elsewhere = ask(&edge, "GET", "/", &[BROWSER, ("Host", "other.example.com")]);
    assert_eq!(elsewhere.status, 421);
    assert!(is_page(&elsewhere, "<h1>top 421</h1>"));
    let trace = ask(&edge, "TRACE", "/", &[BROWSER]);
    assert!(is_page(&trace, "<h1>top 405</h1>"));
    assert!(trace.header("allow").is_some());
    server.does(Deed::HangUp);
    let failed = ask(&edge, "POST", "/", &[BROWSER]);
    assert_eq!(failed.status, 502);
    assert!(is_page(&failed, "<h1>down 502</h1>"));
    assert_eq!(
        ask(&edge, "POST", "/", &[]).json()["message"],
        "The shop can't be reached"
    );
}

#[test]
fn what_the_shop_or_a_route_says_itself_stays() {
    let (server, folder) = (Backend::saying("ok"), pages());
    server.does(Deed::Say(
        b"HTTP/1.1 404 Gone\r\nContent-Length: 4\r\n\r\nshop".to_vec(),
    ));
    let edge = Edge::with(&table(&server, &folder));
    let theirs = ask(&edge, "GET", "/nowhere", &[BROWSER]);
    assert_eq!((theirs.status, theirs.text().as_str()), (404, "shop"));
    assert_eq!(theirs.header("vary"), None);
    assert_eq!(ask(&edge, "GET", "/said", &[BROWSER]).text(), "mine");
    assert!(is_page(
        &ask(&edge, "GET", "/closed", &[BROWSER]),
        "<h1>gone 404</h1>"
    ));
    assert_eq!(ask(&edge, "GET", "/closed", &[]).text(), "");
}

#[test]
fn what_comes_from_the_request_is_escaped() {
    let (server, folder) = (Backend::saying("ok"), pages());
    let edge = Edge::with(&table(&server, &folder));
    let lines = [BROWSER, ("X-Request-Id", "\"><script>alert('1')&")];
    let page = ask(&edge, "GET", "/account", &lines).text();
    let escaped = "title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&amp;\">";
    assert!(page.contains(escaped), "{page}");
}

#[tokio::test]
async fn over_http_2_a_browser_gets_the_page_as_well() {
    let (server, folder) = (Backend::saying("ok"), pages());
    let edge = Edge::with(&table(&server, &folder));
    let socket = tokio::net::TcpStream::connect(edge.address())
        .await
        .unwrap();
    let (mut requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let head = Request::get("http://shop.example.com/account").header("accept", BROWSER.1);
    let (answer, _) = requests.send_request(head.body(()).unwrap(), true).unwrap();
    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let mut body = answer.into_body();
    let page = tokio::time::timeout(PATIENCE, body.data())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(page.starts_with(b"<h1>shop 401</h1>"));
}

#[test]
fn a_reload_reads_the_pages_anew_and_a_lost_one_changes_nothing() {
    let (server, folder) = (Backend::saying("ok"), pages());
    let edge = Edge::with(&table(&server, &folder));
    fs::write(folder.path().join("shop"), "new {status}").unwrap();
    edge.signal("HUP");
    eventually(|| ask(&edge, "GET", "/account", &[BROWSER]).text() == "new 401");
    fs::remove_file(folder.path().join("gone")).unwrap();
    edge.signal("HUP");
    eventually(|| edge.log_lines().join("\n").contains("reload failed"));
    assert_eq!(ask(&edge, "GET", "/account", &[BROWSER]).text(), "new 401");
}

#[test]
fn a_page_that_can_not_be_sent_is_a_fault() {
    let (server, folder) = (Backend::saying("ok"), pages());
    fs::write(folder.path().join("long"), "x".repeat(200_000)).unwrap();
    fs::write(folder.path().join("latin"), b"\xe4").unwrap();
    for (line, told) in [
        ("\"200\" = \"top\"", "no status of an error: `200`"),
        ("\"6xx\" = \"top\"", "no status of an error: `6xx`"),
        ("\"404\" = \"nowhere\"", "`nowhere` can't be read"),
        ("\"404\" = \"PATH/long\"", "it is longer than 128 KiB"),
        ("\"404\" = \"PATH/latin\"", "it is not UTF-8"),
        ("\"404\" = 5", "expected a string"),
    ] {
        let line = line.replace("PATH", &folder.path().display().to_string());
        let table =
            table(&server, &folder).replace("[shop.error_pages]\n404", "[shop.error_pages]\n#");
        let written = table.replace(
            "[shop.error_pages]\n401",
            &format!("[shop.error_pages]\n{line}\n401"),
        );
        let written = written.replace("\n404 =", "\n410 =");
        let refused = Edge::try_start(&written).err().unwrap();
        assert!(refused.stderr.contains(told), "{line}: {}", refused.stderr);
    }
}
