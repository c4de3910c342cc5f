//! Listeners on unix sockets: who may connect, whose requests they are, and what becomes of the file.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::frames::{Frames, fields_of};
use support::{Backend, Edge, Manager, PATIENCE, eventually, request};

/// A shop behind a unix socket.
struct Local {
    shop: Backend,
    edge: Edge,
}

impl Local {
    fn with(keys: &str, top: &str, more: &str) -> Self {
        let shop = Backend::saying("shop");
        let edge = Edge::with(&configuration(&shop, keys, top, more));
        Self { shop, edge }
    }

    fn path(&self) -> PathBuf {
        self.edge.path("http.sock")
    }

    /// The answer to a request on a connection of its own.
    fn ask(&self, headers: &[(&str, &str)]) -> String {
        ask_at(&self.path(), headers)
    }

    /// `X-Forwarded-For` of the last request that the shop was sent.
    fn forwarded_for(&self) -> Option<String> {
        let head = self.shop.heard().pop().unwrap().head;
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let mut lines = lines.filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"));
        lines.next().map(|(_, value)| value.to_owned())
    }
}

fn configuration(shop: &Backend, keys: &str, top: &str, more: &str) -> String {
    format!(
        "listen = [{{ address = \"unix:{{home}}/http.sock\"{keys} }}]\n{top}\n\
         [[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n{more}",
        shop.address()
    )
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask_at(path: &Path, headers: &[(&str, &str)]) -> String {
    let headers = [&[("Connection", "close")], headers].concat();
    let mut stream = connect(path);
    drop(stream.write_all(&request("GET", "/cart", &headers, b"")));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("shop")
}

#[test]
fn a_shop_is_served_by_a_unix_socket() {
    let local = Local::with("", "h2c = true", "");
    let answer = local.ask(&[]);
    assert!(is_ok(&answer), "{answer}");
    let mut frames = Frames::over(connect(&local.path()));
    assert_eq!(
        frames.ask(&fields_of("GET", "/cart", &[]), None).status,
        200
    );
    let mode = fs::metadata(local.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "its owner and its group");
    let open = Local::with(", mode = \"0666\"", "", "");
    let mode = fs::metadata(open.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
}

#[test]
fn the_file_is_removed_at_the_end_and_replaced_where_a_process_died() {
    let mut local = Local::with("", "", "");
    local.edge.kill_dash_nine();
    assert!(local.path().exists(), "it was not removed");
    local.edge.restart();
    assert!(is_ok(&local.ask(&[])));
    assert_eq!(local.edge.stop(), Some(0));
    assert!(!local.path().exists());
}

#[test]
fn a_file_that_is_no_socket_and_a_socket_in_use_end_the_start() {
    let shop = Backend::saying("shop");
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("http.sock");
    let table = configuration(&shop, "", "", "").replace("{home}", home.path().to_str().unwrap());
    fs::write(&path, "precious").unwrap();
    let refused = Edge::try_start(&table).err().unwrap();
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("not a socket"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    let refused = Edge::try_start(&table).err().unwrap();
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("another process listens"),
        "{}",
        refused.stderr
    );
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
}

#[test]
fn a_client_by_a_socket_is_meant_by_its_own_word_and_by_no_network() {
    for (lists, is_served) in [
        ("", true),
        ("deny = [\"0.0.0.0/0\", \"::/0\"]\n", true),
        ("deny = [\"unix:\"]\n", false),
        ("allow = [\"0.0.0.0/0\", \"::/0\"]\n", false),
        ("allow = [\"10.0.0.0/8\", \"unix:\"]\n", true),
    ] {
        for (top, shop) in [(lists, ""), ("", lists)] {
            let local = Local::with("", top, shop);
            let answer = local.ask(&[]);
            let begin = if is_served {
                "HTTP/1.1 200 "
            } else {
                "HTTP/1.1 403 "
            };
            assert!(answer.starts_with(begin), "{lists} {answer}");
        }
    }
    let routes = "[[shop.route]]\nfrom = [\"0.0.0.0/0\", \"::/0\"]\nrespond = { status = 410, body = \"net\" }\n\
                  [[shop.route]]\nfrom = [\"unix:\"]\nrespond = { status = 200, body = \"unix\" }\n";
    let answer = Local::with("", "", routes).ask(&[]);
    assert!(answer.ends_with("unix"), "{answer}");
}

#[test]
fn what_a_local_process_says_of_its_clients_counts_where_it_is_trusted() {
    let told = [
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
    ];
    let route =
        "[[shop.route]]\nfrom = [\"192.0.2.0/24\"]\nheaders.request.set.x-from = \"{client}\"\n";
    let trusted = Local::with("", "trusted_proxies = [\"unix:\"]", route);
    assert!(is_ok(&trusted.ask(&told)));
    assert_eq!(trusted.forwarded_for().as_deref(), Some("192.0.2.7"));
    let head = trusted
        .shop
        .heard()
        .pop()
        .unwrap()
        .head
        .to_ascii_lowercase();
    assert!(head.contains("x-from: 192.0.2.7"), "{head}");
    assert!(head.contains("x-forwarded-proto: https"), "{head}");
    let other = Local::with("", "trusted_proxies = [\"0.0.0.0/0\", \"::/0\"]", route);
    assert!(is_ok(&other.ask(&told)));
    assert_eq!(other.forwarded_for(), None, "a socket has no address");
    let head = other.shop.heard().pop().unwrap().head.to_ascii_lowercase();
    assert!(!head.contains("192.0.2.7"), "{head}");
    assert!(
        head.contains("x-forwarded-proto: http\r\n") || head.ends_with("x-forwarded-proto: http"),
        "{head}"
    );
}

#[test]
fn the_proxy_protocol_works_there_too() {
    let local = Local::with(", proxy_protocol = [\"unix:\"]", "", "");
    let mut stream = connect(&local.path());
    let header = b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\n";
    let ask = request("GET", "/cart", &[("Connection", "close")], b"");
    stream.write_all(&[&header[..], &ask].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(is_ok(&answer), "{answer}");
    assert_eq!(local.forwarded_for().as_deref(), Some("192.0.2.7"));
    assert_eq!(local.ask(&[]), "", "without a header");
}

#[test]
fn the_self_probe_gets_through_however_many_connections_there_are() {
    let shop = Backend::saying("shop");
    let manager = Arc::new(Manager::new().watching(std::time::Duration::from_millis(200)));
    let limits = "[limits]\nconnections = 2\nheader_timeout = \"1m\"\n";
    let edge = Edge::under(&manager, &configuration(&shop, "", limits, ""));
    manager.is_told("READY=1", 1);
    let path = edge.path("http.sock");
    let status = manager.status();
    let served = format!("serving 1 shop on unix:{}; ", path.display());
    assert!(status.starts_with(&served), "{status}");
    let open = [connect(&path), connect(&path)];
    eventually(|| edge.metrics().contains("doorward_connections 2\n"));
    assert!(ask_at(&path, &[]).is_empty());
    let fed = manager.count("WATCHDOG=1");
    manager.is_told("WATCHDOG=1", fed + 2);
    assert!(ask_at(&path, &[]).is_empty(), "there is still no room");
    drop(open);
    eventually(|| is_ok(&ask_at(&path, &[])));
}

#[test]
fn a_reload_that_changes_the_path_or_the_mode_names_what_needs_a_restart() {
    let local = Local::with("", "", "");
    let text = configuration(&local.shop, ", mode = \"0600\"", "", "");
    local.edge.configure(&text);
    let refused = local.edge.command(&["reload"]);
    assert_ne!(refused.code, Some(0));
    assert!(
        refused.stderr.contains("`listen` needs a restart"),
        "{refused:?}"
    );
    assert!(is_ok(&local.ask(&[])));
}

#[test]
fn what_can_not_be_meant_is_a_fault_of_the_configuration() {
    let long = format!("unix:/{}", "x".repeat(107));
    for (keys, said) in [
        ("address = \"unix:http.sock\"", "expected an absolute path"),
        ("address = \"unix:\"", "expected an absolute path"),
        (
            &format!("address = \"{long}\""),
            "expected an absolute path of at most 107 bytes",
        ),
        (
            "address = \"unix:/x.sock\", mode = \"rw\"",
            "expected the mode of a file in octal",
        ),
        (
            "address = \"unix:/x.sock\", mode = \"1777\"",
            "expected the mode of a file in octal",
        ),
        (
            "address = \"127.0.0.1:0\", mode = \"0660\"",
            "`mode` is for unix sockets",
        ),
        (
            "address = \"https+unix:/x.sock\"",
            "expected an address with a port",
        ),
        (
            "address = \"unix:/x.sock\" }, { address = \"unix:/x.sock\"",
            "listed twice",
        ),
    ] {
        let text = format!(
            "listen = [{{ {keys} }}]\n[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:1\"]\ntoken.kind = \"opaque\"\n"
        );
        let refused = Edge::try_start(&text).err().unwrap();
        assert!(refused.stderr.contains(said), "{keys}: {}", refused.stderr);
    }
}
