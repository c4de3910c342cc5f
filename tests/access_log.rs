//! The access log: one line for each request, wherever it goes, and none that holds a request up.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{
    Connection, Customer, Edge, Failure, Shop, eventually, request, shop_table, stateless_bagisto,
    try_raw,
};

const FIELDS: &str = "[\"request\", \"client\", \"method\", \"host\", \"path\", \"protocol\", \"status\", \"bytes\", \"duration_ms\", \
    \"shop\", \"verdict\", \"reason\", \"detail\", \"place\", \"token\", \"referer\", \"user_agent\", \"trace_id\"]";

/// A shop, and an edge whose access log is this table.
fn scene(shop: &Shop, table: &str) -> Edge {
    Edge::with(&format!("access_log = {{ {table} }}\n{}", shop_table(shop)))
}

fn lines_of(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The lines of a log in JSON, once there are so many.
#[track_caller]
fn objects_of(file: &Path, count: usize) -> Vec<Value> {
    eventually(|| lines_of(file).len() >= count);
    let lines = lines_of(file);
    assert_eq!(lines.len(), count, "{lines:#?}");
    let read = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    lines.iter().map(read).collect()
}

#[test]
fn each_request_has_one_line_that_says_what_became_of_it() {
    let shop = stateless_bagisto();
    let edge = scene(
        &shop,
        &format!("format = \"json\", to = \"{{home}}/log\", fields = {FIELDS}"),
    );
    let alice = Customer::signed_in(&shop);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("User-Agent", "shop-app/1"),
        ("Referer", "https://shop.example.com/cart?x=1"),
        ("Traceparent", trace),
        ("Tracestate", "vendor=1"),
    ];
    assert_eq!(edge.raw(&request("GET", "/?token=x", &headers, b"")), 200);
    // A line follows its answer: those of two connections come in any order.
    let wait_for = |count: usize| drop(objects_of(&edge.path("log"), count));
    wait_for(1);
    let seen = shop.seen().pop().unwrap();
    let sent = |name: &str| {
        let mut lines = seen.headers.iter();
        let line = lines.find(|(given, _)| given.eq_ignore_ascii_case(name));
        line.map(|(_, value)| value.clone())
    };
    assert_eq!(sent("traceparent").as_deref(), Some(trace));
    assert_eq!(sent("tracestate").as_deref(), Some("vendor=1"));
    alice.log_out(&edge);
    wait_for(2);
    let refused = alice.visit(&edge, "/api/shop/customers/profile");
    assert_eq!(refused.status, 401);
    wait_for(3);
    drop(try_raw(
        edge.address(),
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    ));
    drop(try_raw(edge.address(), b"\x16\x03\x01 no request\r\n\r\n"));
    wait_for(5);
    assert_eq!(edge.raw(&request("TRACE", "/x", &[], b"")), 405);
    let lines = objects_of(&edge.path("log"), 6);
    let said = |line: usize, field: &str| lines[line][field].to_string().replace('"', "");
    assert_eq!(said(0, "client"), "127.0.0.1");
    assert_eq!(said(0, "host"), "shop.example.com");
    assert_eq!(said(0, "path"), "/");
    assert_eq!(said(0, "protocol"), "HTTP/1.1");
    assert_eq!(said(0, "verdict"), "forwarded");
    assert_eq!(said(0, "status"), "200");
    assert_eq!(said(0, "shop"), "main");
    assert_eq!(said(0, "user_agent"), "shop-app/1");
    assert_eq!(said(0, "referer"), "https://shop.example.com/cart");
    assert_eq!(said(0, "trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(lines[0]["duration_ms"].as_f64().unwrap() > 0.0);
    assert!(lines[0]["bytes"].as_u64().unwrap() > 0);
    assert!(lines[0].get("reason").is_none());
    assert_eq!(said(1, "verdict"), "logout");
    assert_eq!(said(2, "verdict"), "refused");
    assert_eq!(said(2, "reason"), "revoked");
    assert_eq!(said(2, "detail"), "token");
    assert_eq!(said(2, "place"), "header authorization Bearer");
    assert_eq!(refused.header("x-request-id"), lines[2]["request"].as_str());
    for malformed in [3, 4] {
        assert_eq!(said(malformed, "reason"), "malformed");
        assert_eq!(said(malformed, "status"), "400");
        assert_eq!(said(malformed, "client"), "127.0.0.1");
    }
    assert_eq!(said(5, "reason"), "trace");
    let log = edge.log_lines().join("\n");
    let token = format!("token={}", said(2, "token"));
    assert!(log.contains(&token), "{token} {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_http2_have_a_line_too() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "h2c = true\naccess_log = {{ to = \"{{home}}/log\" }}\n{}",
        shop_table(&shop)
    ));
    let socket = tokio::net::TcpStream::connect(edge.address())
        .await
        .unwrap();
    let (mut requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    for (method, uri) in [
        ("GET", "http://shop.example.com/a"),
        ("CONNECT", "shop.example.com:1"),
    ] {
        let head = http::Request::builder()
            .method(method)
            .uri(uri)
            .body(())
            .unwrap();
        let (answer, _) = requests.send_request(head, true).unwrap();
        let answer = answer.await.unwrap();
        assert!(answer.headers().contains_key("x-request-id"), "{answer:?}");
    }
    let lines = objects_of(&edge.path("log"), 2);
    let of = |method: &str| lines.iter().find(|line| line["method"] == *method).unwrap();
    assert_eq!(of("GET")["protocol"], "HTTP/2.0");
    assert_eq!(of("GET")["host"], "shop.example.com");
    assert_eq!(of("CONNECT")["reason"], "method_not_allowed");
}

#[test]
fn combined_lines_are_those_of_apache_and_nginx() {
    let shop = stateless_bagisto();
    let edge = scene(
        &shop,
        "format = \"combined\", to = \"stdout\", fields = [\"shop\", \"reason\"]",
    );
    edge.raw(&request(
        "GET",
        "/a\"b?c",
        &[("User-Agent", "a\"b\\c")],
        b"",
    ));
    edge.raw(&request("TRACE", "/", &[], b""));
    let file = edge.path("stdout");
    eventually(|| lines_of(&file).len() == 2);
    let lines = lines_of(&file);
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{}", lines[0]);
    let ending = " \"-\" \"a\\x22b\\x5Cc\" shop=\"main\"";
    assert!(lines[0].ends_with(ending), "{}", lines[0]);
    assert!(
        lines[1].contains("\"TRACE / HTTP/1.1\" 405 "),
        "{}",
        lines[1]
    );
    assert!(lines[1].contains(" reason=\"trace\""), "{}", lines[1]);
}

#[test]
fn the_file_is_opened_anew_when_it_was_renamed_and_by_a_reload() {
    let shop = stateless_bagisto();
    let edge = scene(&shop, "to = \"{home}/log\"");
    let visit = || assert_eq!(edge.raw(&request("GET", "/", &[], b"")), 200);
    let (log, old) = (edge.path("log"), edge.path("log.1"));
    visit();
    eventually(|| lines_of(&log).len() == 1);
    fs::rename(&log, &old).unwrap();
    eventually(|| {
        visit();
        !lines_of(&log).is_empty()
    });
    fs::rename(&log, &old).unwrap();
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    visit();
    eventually(|| lines_of(&log).len() == 1);

    let there = "access_log = { to = \"{home}/other\", format = \"combined\" }\n";
    edge.configure(&format!("{there}{}", shop_table(&shop)));
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    visit();
    eventually(|| lines_of(&edge.path("other")).len() == 1);
    let nowhere = "access_log = { to = \"{home}/no/folder/log\" }\n";
    edge.configure(&format!("{nowhere}{}", shop_table(&shop)));
    let reload = edge.command(&["reload"]);
    assert_eq!(reload.code, Some(78), "{reload:?}");
    visit();
    eventually(|| lines_of(&edge.path("other")).len() == 2);
    edge.configure(&shop_table(&shop));
    assert_eq!(edge.command(&["reload"]).code, Some(0));
    visit();
    assert_eq!(lines_of(&edge.path("other")).len(), 2);
}

#[test]
fn the_lines_that_are_left_are_written_at_the_end() {
    let shop = stateless_bagisto();
    let mut edge = scene(&shop, "to = \"{home}/log\"");
    for _ in 0..100 {
        edge.raw(&request("GET", "/cart", &[], b""));
    }
    assert_eq!(edge.stop(), Some(0));
    assert_eq!(lines_of(&edge.path("log")).len(), 100);
}

#[test]
fn entries_of_the_journal_have_their_priority() {
    let shop = stateless_bagisto();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let edge = scene(
        &shop,
        &format!(
            "to = \"journald:{}\", fields = [\"status\"]",
            path.display()
        ),
    );
    let mut bytes = [0; 4096];
    let mut entry = || {
        let length = journal.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    edge.raw(&request("GET", "/", &[], b""));
    let said = entry();
    assert!(
        said.starts_with("MESSAGE={\"status\":200}\nPRIORITY=6\n"),
        "{said}"
    );
    edge.raw(&request("TRACE", "/", &[], b""));
    assert!(entry().starts_with("MESSAGE={\"status\":405}\nPRIORITY=5\n"));
    shop.fail(Failure::Status(502));
    edge.raw(&request("GET", "/cart", &[], b""));
    assert!(entry().starts_with("MESSAGE={\"status\":502}\nPRIORITY=4\n"));
}

#[test]
fn a_sample_leaves_out_visits_and_nothing_else() {
    let shop = stateless_bagisto();
    let edge = scene(&shop, "to = \"{home}/log\", sample = \"0%\"");
    let alice = Customer::signed_in(&shop);
    for _ in 0..10 {
        edge.raw(&request("GET", "/cart", &[], b""));
    }
    alice.log_out(&edge);
    assert_eq!(alice.visit(&edge, "/cart"), 401);
    let lines = objects_of(&edge.path("log"), 2);
    assert_eq!(lines[0]["verdict"], "logout");
    assert_eq!(lines[1]["verdict"], "refused");
}

#[test]
fn a_log_that_nothing_reads_holds_no_request_up() {
    let shop = stateless_bagisto();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut how = File::options();
    let nonblock = 0o4000; // O_NONBLOCK
    let reader = how.read(true).custom_flags(nonblock).open(&pipe).unwrap();
    let edge = scene(&shop, &format!("to = \"{}\"", pipe.display()));
    let dropped = || {
        let metrics = edge.metrics();
        let begins = "doorward_access_log_dropped_total{reason=\"not_written\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(begins));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    eventually(|| {
        assert_eq!(edge.raw(&request("TRACE", "/", &[], b"")), 405);
        dropped() > 0
    });
    let is_told = |line: &String| line.contains(" WARN  the access log can't be written");
    eventually(|| edge.log_lines().iter().any(is_told));
    drop(reader);
}

#[test]
fn a_wrong_table_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doorward.toml");
    let faults = |table: &str| {
        fs::write(&file, format!("access_log = {{ {table} }}\n")).unwrap();
        support::doorward(&["check", "--config", file.to_str().unwrap()]).stderr
    };
    for (table, said) in [
        ("to = \"stderr\"", "expected \"stdout\", \"journald\""),
        (
            "format = \"xml\", to = \"stdout\"",
            "unknown `format`: `xml`",
        ),
        (
            "to = \"stdout\", fields = [\"cookie\"]",
            "unknown `fields`: `cookie`",
        ),
        (
            "to = \"stdout\", fields = [\"path\", \"path\"]",
            "the field stands twice",
        ),
        ("to = \"stdout\", sample = 0.1", "`sample`"),
        ("format = \"json\"", "`to`"),
        ("to = \"no/such/folder/log\"", "there is no folder"),
    ] {
        let report = faults(table);
        assert!(report.contains(said), "{table}\n{report}");
    }
}

#[test]
fn a_client_that_hangs_up_is_no_warning() {
    let shop = stateless_bagisto();
    let edge = scene(&shop, "to = \"{home}/log\"");
    let body = "POST /api/shop/products HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 100000\r\n\r\nhalf";
    for _ in 0..3 {
        let mut connection = Connection::open(edge.address());
        connection.send(body.as_bytes());
        drop(connection);
    }
    let lines = objects_of(&edge.path("log"), 3);
    let is_client = |line: &Value| {
        line["error"]
            .as_str()
            .is_some_and(|it| it.starts_with("client: "))
    };
    assert!(lines.iter().all(is_client), "{lines:#?}");
    let log = edge.log_lines().join("\n");
    assert!(!log.contains(" WARN ") && !log.contains(" ERROR "), "{log}");
}

/// `sh` gives the process a stream of which it says that it leads to the journal.
fn under_the_journal(folder: &Path, config: &str) -> Vec<String> {
    let (file, out) = (folder.join("doorward.toml"), folder.join("err"));
    fs::write(&file, config).unwrap();
    let script = "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2); exec \"$0\" \"$@\"";
    let binary = env!("CARGO_BIN_EXE_doorward");
    let mut process = Command::new("sh")
        .args(["-c", script, binary, "run", "--config"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&out).unwrap())
        .spawn()
        .unwrap();
    eventually(|| {
        let is_over = process.try_wait().unwrap().is_some();
        is_over || lines_of(&out).iter().any(|line| line.contains(" ready"))
    });
    drop(process.kill());
    process.wait().unwrap();
    lines_of(&out)
}

#[test]
fn every_line_to_the_journal_has_its_priority() {
    let shop = stateless_bagisto();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(doorward::revocation::Journal::init(&data).unwrap());
    fs::write(folder.path().join("secret"), Shop::SECRET).unwrap();
    let secret = folder.path().join("secret");
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = format!(
        "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{}",
        shop_table(&shop).replace("{secret_file}", "secret")
    );
    let lines = under_the_journal(folder.path(), &config);
    assert!(
        lines.iter().any(|line| line.contains(" ready")),
        "{lines:#?}"
    );
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("<6>") || line.starts_with("<4>")),
        "{lines:#?}"
    );
    let lines = under_the_journal(folder.path(), "liste = 1\n");
    assert!(!lines.is_empty());
    assert!(
        lines.iter().all(|line| line.starts_with("<3>")),
        "{lines:#?}"
    );
}
