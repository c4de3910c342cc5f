//! TLS: the certificate that fits the name, the versions and protocols that are spoken, and what an operator is told
//! of files that do not fit.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use support::encrypted::{Certificates, Encrypted, Hello, certificate_of};
use support::frames::{Frames, get_fields};
use support::{Edge, Outcome, PATIENCE, Recorder, doorward, eventually, request};

type Versions = &'static [&'static rustls::SupportedProtocolVersion];
const TLS_1_2: Versions = &[&rustls::version::TLS12];
const TLS_1_3: Versions = &[&rustls::version::TLS13];

/// An edge with TLS and these certificates.
fn encrypted(tables: &str) -> (Recorder, Edge) {
    let shop = Recorder::open();
    let edge = Edge::with(&format!(
        "listen = [\"https://127.0.0.1:0\"]\n{tables}{}",
        shop.table()
    ));
    (shop, edge)
}

/// The answer to a request that ends its connection.
fn answer_to(stream: &mut Encrypted, bytes: &[u8]) -> String {
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn closing(more: &[(&str, &str)]) -> Vec<u8> {
    request(
        "GET",
        "/",
        &[&[("Connection", "close")], more].concat(),
        b"",
    )
}

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let files = Certificates::default();
    let first = files.issue("first", &["shop.example.com", "www.example.com"]);
    let wild = files.issue("wild", &["*.wild.example.com"]);
    let exact = files.issue("exact", &["one.wild.example.com", "last.example.com"]);
    let tables = ["first", "wild", "exact"].map(|name| files.table(name));
    let (_shop, edge) = encrypted(&tables.concat());
    for (name, expected) in [
        (Some("shop.example.com"), &first),
        (Some("SHOP.example.COM"), &first),
        (Some("www.example.com"), &first),
        (Some("a.wild.example.com"), &wild),
        (Some("last.example.com"), &exact),
        (Some("one.wild.example.com"), &wild), // the first that fits
        (Some("a.b.wild.example.com"), &first),
        (Some("wild.example.com"), &first),
        (Some("nobody.example.org"), &first),
        (None, &first),
    ] {
        let hello = Hello {
            name,
            ..Hello::default()
        };
        for versions in [TLS_1_2, TLS_1_3] {
            let hello = Hello {
                versions,
                ..hello.clone()
            };
            let mut stream = hello.to(edge.address());
            assert_eq!(certificate_of(&stream), *expected, "{name:?}");
            let answer = answer_to(&mut stream, &closing(&[]));
            assert!(answer.starts_with("HTTP/1.1 200 "), "{name:?}: {answer}");
        }
    }
}

#[test]
fn http_2_is_spoken_to_who_offers_it_and_http_1_to_everybody_else() {
    let files = Certificates::default();
    files.issue("shop", &["shop.example.com"]);
    let (shop, edge) = encrypted(&files.table("shop"));
    for (alpn, agreed) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let hello = Hello {
            alpn,
            ..Hello::default()
        };
        let mut stream = hello.to(edge.address());
        let spoken = stream.conn.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(spoken.as_deref(), agreed.map(str::as_bytes), "{alpn:?}");
        let via = if agreed == Some("h2") {
            let reply = Frames::over(stream).ask(&get_fields("/", &[]), None);
            assert_eq!(reply.status, 200);
            "2.0"
        } else {
            assert!(answer_to(&mut stream, &closing(&[])).starts_with("HTTP/1.1 200 "));
            "1.1"
        };
        let seen = shop.last().to_ascii_lowercase();
        assert!(seen.starts_with("get / http/1.1\r\n"), "{seen}");
        assert!(
            seen.contains(&format!("\r\nvia: {via} doorward\r\n")),
            "{seen}"
        );
        assert!(seen.contains("\r\nhost: shop.example.com\r\n"), "{seen}");
    }
    let foreign = Hello {
        alpn: &["spdy/3"],
        ..Hello::default()
    };
    assert!(
        foreign.try_to(edge.address()).is_err(),
        "RFC 7301 section 3.2"
    );
}

#[test]
fn the_shop_is_told_that_a_request_came_over_tls_d10() {
    let files = Certificates::default();
    files.issue("shop", &["shop.example.com"]);
    let (shop, edge) = encrypted(&files.table("shop"));
    let mut stream = Hello::default().to(edge.address());
    let lies = [
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "evil.example.com"),
        ("X_Forwarded_Proto", "http"),
    ];
    answer_to(&mut stream, &closing(&lies));
    let h2 = Hello {
        alpn: &["h2"],
        ..Hello::default()
    };
    let lies = lies.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let lies: Vec<_> = lies
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    Frames::over(h2.to(edge.address())).ask(&get_fields("/", &lies), None);
    for seen in shop.connections() {
        let seen = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        assert_eq!(
            seen.matches("x-forwarded-proto: https\r\n").count(),
            1,
            "{seen}"
        );
        assert_eq!(seen.matches("forwarded-proto").count(), 1, "{seen}");
        assert!(
            seen.contains("\r\nx-forwarded-host: shop.example.com\r\n"),
            "{seen}"
        );
        assert!(
            !seen.contains("evil") && !seen.contains("x_forwarded"),
            "{seen}"
        );
    }
    assert_eq!(shop.visits(), 2);
}

/// A hello of a client that knows nothing later than this version (RFC 5246 section 7.4.1.2), with ciphers of its day
/// and of ours.
fn old_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![3, minor];
    hello.extend([7; 32]);
    hello.push(0); // no session
    hello.extend([
        0, 10, 0xc0, 0x13, 0xc0, 0x09, 0x00, 0x2f, 0xc0, 0x2b, 0xc0, 0x2f,
    ]);
    hello.extend([1, 0]); // no compression
    let extensions = [
        0, 10, 0, 4, 0, 2, 0, 23, // P-256
        0, 11, 0, 2, 1, 0, // uncompressed points
        0, 13, 0, 6, 0, 4, 4, 3, 2, 3, // ECDSA with SHA-256 and SHA-1
    ];
    hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend(extensions);
    let mut message = vec![1, 0, 0, u8::try_from(hello.len()).unwrap()];
    message.extend(hello);
    let mut record = vec![22, 3, 1, 0, u8::try_from(message.len()).unwrap()];
    record.extend(message);
    record
}

/// What comes back for bytes that are sent as they are.
fn raw(edge: &Edge, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    answer
}

#[test]
fn nothing_older_than_tls_1_2_is_spoken() {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    const PROTOCOL_VERSION: u8 = 70;
    let files = Certificates::default();
    files.issue("shop", &["shop.example.com"]);
    let (_shop, edge) = encrypted(&files.table("shop"));
    for minor in [0, 1, 2] {
        let answer = raw(&edge, &old_hello(minor));
        assert_eq!(answer.first(), Some(&ALERT), "3.{minor}: {answer:?}");
        assert_eq!(
            answer.get(6),
            Some(&PROTOCOL_VERSION),
            "3.{minor}: {answer:?}"
        );
    }
    assert_eq!(
        raw(&edge, &old_hello(3)).first(),
        Some(&HANDSHAKE),
        "TLS 1.2"
    );
}

#[test]
fn what_is_no_tls_is_turned_away_and_the_next_client_is_served() {
    let files = Certificates::default();
    files.issue("shop", &["shop.example.com"]);
    let (shop, edge) = encrypted(&files.table("shop"));
    let plain = request("GET", "/plain", &[], b"");
    let mut truncated = old_hello(3);
    truncated.truncate(30);
    let long = [&[22, 3, 1, 0xff, 0xff][..], &vec![1; 70_000]].concat();
    let garbage = [
        &plain[..],
        b"",
        b"\0",
        &[0x80; 100],
        &truncated,
        &long,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for (times, bytes) in (1..).zip(garbage) {
        let answer = raw(&edge, bytes);
        assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
        let line = format!("doorward_failed_handshakes_total {times}\n");
        eventually(|| edge.metrics().contains(&line));
    }
    assert_eq!(shop.visits(), 0);
    let mut stream = Hello::default().to(edge.address());
    assert!(answer_to(&mut stream, &closing(&[])).starts_with("HTTP/1.1 200 "));
    eventually(|| edge.metrics().contains("doorward_connections 0\n"));
}

#[test]
fn what_a_client_says_in_its_hello_is_written_nowhere() {
    let files = Certificates::default();
    files.issue("shop", &["shop.example.com"]);
    let (_shop, edge) = encrypted(&files.table("shop"));
    let hello = Hello {
        name: Some("a-name-of-its-own.example.org"),
        ..Hello::default()
    };
    answer_to(
        &mut hello.to(edge.address()),
        &closing(&[("Host", "shop.example.com")]),
    );
    assert!(!edge.metrics().contains("a-name-of-its-own"));
    assert!(!edge.log_lines().join("\n").contains("a-name-of-its-own"));
}

#[test]
fn one_process_listens_with_and_without_tls() {
    let files = Certificates::default();
    files.issue("shop", &["shop.example.com"]);
    let shop = Recorder::open();
    let edge = Edge::with(&format!(
        "listen = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\n{}{}",
        files.table("shop"),
        shop.table()
    ));
    assert_eq!(edge.raw(&closing(&[])), 200);
    assert!(shop.has_heard("x-forwarded-proto: http\r\n"));
    let mut addresses = edge.log_lines().into_iter().filter_map(|line| {
        let at = line.split_once("service=proxy address=")?.1;
        at.split_whitespace().next()?.parse().ok()
    });
    let mut stream = Hello::default().to(addresses.nth(1).unwrap());
    assert!(answer_to(&mut stream, &closing(&[])).starts_with("HTTP/1.1 200 "));
    assert!(shop.has_heard("x-forwarded-proto: https\r\n"));
}

/// What `check` says of these certificate tables, with the folder cut out.
fn checked(files: &Certificates, tables: &str) -> Outcome {
    files.write("jwt.secret", "a secret of at least thirty-two bytes", 0o600);
    let config = format!(
        "listen = [\"https://127.0.0.1:0\"]\ndata_dir = \"data\"\n{tables}[[shop]]\nname = \"main\"\n\
         upstream = [\"127.0.0.1:9\"]\ntoken.algorithms = [\"HS256\"]\ntoken.secret_file = \"jwt.secret\"\n"
    );
    files.write("doorward.toml", &config, 0o644);
    let path = files.path("doorward.toml");
    let mut outcome = doorward(&["check", "--config", path.to_str().unwrap()]);
    let folder = format!("{}/", path.parent().unwrap().display());
    outcome.stderr = outcome.stderr.replace(&folder, "");
    outcome.stdout = outcome.stdout.replace(&folder, "");
    outcome
}

/// `check` ends with these faults, and says this.
#[track_caller]
fn is_faulty(files: &Certificates, tables: &str, said: &[&str]) {
    let outcome = checked(files, tables);
    let text = outcome.stdout + &outcome.stderr;
    assert_eq!(outcome.code, Some(78), "{text}");
    for words in said {
        assert!(text.contains(words), "{words:?} is not said:\n{text}");
    }
    assert!(!text.contains("PRIVATE KEY"), "{text}");
}

#[test]
fn check_says_what_is_wrong_with_certificates() {
    let files = Certificates::default();
    files.issue("good", &["shop.example.com"]);
    files.issue("other", &["other.example.com"]);
    let table = |cert: &str, key: &str| {
        format!("[[certificate]]\ncert_file = \"{cert}\"\nkey_file = \"{key}\"\n")
    };
    let outcome = checked(&files, &table("good.pem", "good.key"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);

    is_faulty(
        &files,
        &table("good.pem", "other.key"),
        &["error: `good.pem`: the private key does not fit the certificate: "],
    );
    is_faulty(
        &files,
        &table("none.pem", "none.key"),
        &[
            "error: `none.pem` can't be read: No such file or directory (os error 2)",
            "error: `none.key` can't be read: No such file or directory (os error 2)",
            "help: paths are relative to the folder of the configuration",
        ],
    );
    is_faulty(
        &files,
        &table("good.key", "good.key"),
        &["error: `good.key`: there is no certificate in PEM"],
    );
    is_faulty(
        &files,
        &table("good.pem", "good.pem"),
        &["error: `good.pem`: there is no private key in PEM (PKCS#8, PKCS#1 or SEC1)"],
    );
    for (name, text) in [
        ("empty.pem", String::new()),
        ("text.pem", "hello\n".to_owned()),
    ] {
        files.write(name, &text, 0o644);
        is_faulty(
            &files,
            &table(name, "good.key"),
            &[&format!("error: `{name}`: there is no certificate in PEM")],
        );
    }
    let whole = fs::read_to_string(files.path("good.pem")).unwrap();
    files.write("half.pem", &whole[..whole.len() / 2], 0o644);
    is_faulty(
        &files,
        &table("half.pem", "good.key"),
        &["error: `half.pem`: "],
    );
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    files.write("hollow.pem", hollow, 0o644);
    is_faulty(
        &files,
        &table("hollow.pem", "good.key"),
        &["error: `hollow.pem`: the first certificate is not one of a server"],
    );
    is_faulty(&files, "", &["certificate", "https://"]);
    is_faulty(&files, "[[certificate]]\n", &["`cert_file`", "`key_file`"]);
}

#[test]
fn check_refuses_a_private_key_that_everybody_may_read() {
    let files = Certificates::default();
    files.issue("good", &["shop.example.com"]);
    let key = fs::read_to_string(files.path("good.key")).unwrap();
    let table = "[[certificate]]\ncert_file = \"good.pem\"\nkey_file = \"good.key\"\n";
    for mode in [0o644, 0o604, 0o602, 0o777] {
        files.write("good.key", &key, mode);
        let message =
            format!("error: `good.key`: every user of this machine may use it (mode {mode:04o})");
        let help = "help: chown root:doorward good.key && chmod 0640 good.key";
        is_faulty(&files, table, &[&message, help]);
    }
    for mode in [0o600, 0o640, 0o400] {
        files.write("good.key", &key, mode);
        assert_eq!(checked(&files, table).code, Some(0), "{mode:o}");
    }
}

#[test]
fn a_certificate_is_renewed_by_a_reload_and_no_connection_is_touched() {
    let files = Certificates::default();
    let old = files.issue("shop", &["shop.example.com"]);
    let (_shop, edge) = encrypted(&files.table("shop"));
    let mut open = Hello::default().to(edge.address());
    assert_eq!(certificate_of(&open), old);
    let new = files.issue("shop", &["shop.example.com"]);
    assert_ne!(new, old);
    assert_eq!(
        certificate_of(&Hello::default().to(edge.address())),
        old,
        "nobody was told"
    );
    let reloaded = edge.command(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert_eq!(certificate_of(&Hello::default().to(edge.address())), new);
    let answer = answer_to(&mut open, &closing(&[]));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_not_taken_at_a_reload() {
    let files = Certificates::default();
    let good = files.issue("shop", &["shop.example.com"]);
    files.issue("other", &["shop.example.com"]);
    let (_shop, edge) = encrypted(&files.table("shop"));
    let stray = fs::read_to_string(files.path("other.key")).unwrap();
    files.write("shop.key", &stray, 0o600);
    let refused = edge.command(&["reload"]);
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.stderr.contains("does not fit"), "{refused:?}");
    edge.signal("HUP");
    eventually(|| {
        let lines = edge.log_lines();
        lines.iter().any(|line| line.contains("reload failed"))
    });
    assert_eq!(certificate_of(&Hello::default().to(edge.address())), good);
}

#[test]
fn a_certificate_that_has_ended_fails_a_check_and_no_start_and_its_end_is_measured() {
    let files = Certificates::default();
    files.issue_ended("old", "shop.example.com");
    let outcome = checked(
        &files,
        "[[certificate]]\ncert_file = \"old.pem\"\nkey_file = \"old.key\"\n",
    );
    assert_eq!(outcome.code, Some(78), "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .contains("error: `old.pem`: the certificate ended at 2020-01-01T00:00:00Z"),
        "{}",
        outcome.stderr
    );
    let (_shop, edge) = encrypted(&files.table("old"));
    let reloaded = edge.command(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert!(reloaded.stderr.contains("warning: `"), "{reloaded:?}");
    let metrics = edge.metrics();
    let measured = metrics.lines().find(|line| {
        line.starts_with("doorward_certificate_not_after_timestamp_seconds{certificate=")
    });
    let measured = measured.unwrap_or_else(|| panic!("{metrics}"));
    assert!(measured.ends_with("old.pem\"} 1577836800"), "{measured}");
}
