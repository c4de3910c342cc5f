//! Programs that people use: curl, wrk, h2load. They must find a proxy like any other, and a token dead.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rcgen::CertifiedKey;
use support::places::{OWN_LOGOUT, PAGE};
use support::{Customer, Edge, Shop, eventually, run, shop_table, stateless_bagisto};
use tempfile::TempDir;

/// A shop, and an edge that speaks everything: HTTP/1.1 and h2c on one address, TLS on another.
struct Scene {
    shop: Shop,
    edge: Edge,
    files: TempDir,
    plain: SocketAddr,
    tls: SocketAddr,
    live: String,
    dead: String,
}

impl Scene {
    #[track_caller]
    fn open() -> Self {
        let (shop, files) = (stateless_bagisto(), tempfile::tempdir().unwrap());
        let names = vec!["shop.example.com".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        fs::write(path("shop.pem"), cert.pem()).unwrap();
        fs::write(path("shop.key"), signing_key.serialize_pem()).unwrap();
        fs::set_permissions(path("shop.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let edge = Edge::with(&format!(
            "listen = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\nh2c = true\n\
             [[certificate]]\ncert_file = \"{}\"\nkey_file = \"{}\"\n{}\
             answer = \"local\"\nclear_cookies = [{{ name = \"jwt\" }}]\n\
             [[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
             [[shop.credential]]\ncookie = \"jwt\"\n",
            path("shop.pem"),
            path("shop.key"),
            shop_table(&shop),
        ));
        let lines = edge.log_lines();
        let listening = lines.iter().filter(|line| line.contains("service=proxy"));
        let addresses: Vec<SocketAddr> = listening
            .map(|line| line.rsplit("address=").next().unwrap().parse().unwrap())
            .collect();
        let [plain, tls] = addresses[..] else {
            panic!("{addresses:?}")
        };
        shop.recite("/upload", ANSWER);
        let dead = Customer::named(&shop, "alice");
        assert_eq!(dead.log_out(&edge), 200);
        Self {
            dead: format!("Authorization: Bearer {}", dead.token()),
            live: format!("Authorization: Bearer {}", shop.sign_in("bob")),
            shop,
            edge,
            files,
            plain,
            tls,
        }
    }

    fn page(&self) -> String {
        self.url(PAGE)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.plain)
    }

    fn tls_page(&self) -> String {
        self.tls_url(PAGE)
    }

    fn tls_url(&self, path: &str) -> String {
        format!("https://shop.example.com:{}{path}", self.tls.port())
    }

    /// A body of this length, as curl's `--data-binary` takes it.
    fn body_of(&self, length: usize) -> String {
        let file = self.file("body");
        fs::write(&file, vec![b'x'; length]).unwrap();
        format!("@{file}")
    }

    /// curl, and what it wrote: by `-w`, for every answer on a line of its own.
    #[track_caller]
    fn curl(&self, arguments: &[&str]) -> String {
        let ca_file = self.file("shop.pem");
        let resolve = format!("shop.example.com:{}:127.0.0.1", self.tls.port());
        let usual = ["-sS", "--noproxy", "*", "--max-time", "60"];
        let usual = [&usual[..], &["--cacert", &ca_file, "--resolve", &resolve]].concat();
        let mut all = vec!["-q"];
        for (number, request) in arguments.split(|word| *word == "--next").enumerate() {
            all.extend((number > 0).then_some("--next")); // which forgets what was said before
            all.extend(&usual);
            all.extend(request);
        }
        run("curl", &all)
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }
}

/// What stands before a word: the 2000 of `2000 succeeded`.
#[track_caller]
fn count(report: &str, word: &str) -> u64 {
    let mut words = report
        .split([' ', ',', '\n'])
        .filter(|word| !word.is_empty());
    let mut before = "";
    words
        .find_map(|found| {
            let number = (found == word).then(|| before.parse().ok()).flatten();
            before = found;
            number
        })
        .unwrap_or_else(|| panic!("no number before {word:?} in\n{report}"))
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const TOLD: [&str; 4] = [
    "-o",
    "/dev/null",
    "-w",
    "%{http_code} %{http_version} %{num_connects}\n",
];

#[test]
fn curl_keeps_one_connection_through_answers_and_refusals() {
    let scene = Scene::open();
    let page = scene.page();
    let (live, dead) = (scene.live.as_str(), scene.dead.as_str());
    let request = |header| [&TOLD[..], &["-H", header, page.as_str()]].concat();
    let requests = [
        request(live),
        request(dead),
        request(live),
        [&request(dead)[..], &["-d", "some=body"]].concat(),
        [&request(dead)[..], &["-I"]].concat(),
        request(live),
    ];
    let visits = scene.shop.visits();
    let told = scene.curl(&requests.join(&"--next"));
    assert_eq!(
        told,
        "200 1.1 1\n401 1.1 0\n200 1.1 0\n401 1.1 0\n401 1.1 0\n200 1.1 0\n"
    );
    assert_eq!(scene.shop.visits(), visits + 3);
}

#[test]
fn curl_speaks_http_2_over_tls_and_in_the_clear() {
    let scene = Scene::open();
    let (page, tls_page) = (scene.page(), scene.tls_page());
    for (version, url, told_version) in [
        ("--http2", &tls_page, "2"),
        ("--http1.1", &tls_page, "1.1"),
        ("--http2", &page, "1.1"), // asks to upgrade to h2c, which is obsolete (RFC 9113 section 3.1)
        ("--http1.1", &page, "1.1"),
    ] {
        let request = |header| [&TOLD[..], &[version, "-H", header, url.as_str()]].concat();
        let visits = scene.shop.visits();
        let requests = [
            request(scene.live.as_str()),
            request(scene.dead.as_str()),
            request(scene.live.as_str()),
        ];
        let told = scene.curl(&requests.join(&"--next"));
        let wanted = format!("200 {told_version} 1\n401 {told_version} 0\n200 {told_version} 0\n");
        assert_eq!(told, wanted, "{version} {url}");
        assert_eq!(scene.shop.visits(), visits + 2, "{version} {url}");
    }
    for (header, wanted) in [(&scene.live, "200 2 1\n"), (&scene.dead, "401 2 1\n")] {
        // One request a run: curl 7.88 can't use such a connection twice.
        let request = ["--http2-prior-knowledge", "-H", header, &page];
        assert_eq!(scene.curl(&[&TOLD[..], &request].concat()), wanted);
    }
}

#[test]
fn curl_that_does_not_know_the_certificate_goes_no_further() {
    let scene = Scene::open();
    let url = format!("https://127.0.0.1:{}{PAGE}", scene.tls.port());
    let visits = scene.shop.visits();
    let output = Command::new("curl")
        .args(["-q", "-sS", "--noproxy", "*", "-H", &scene.live, &url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(60), "{output:?}");
    assert_eq!(scene.shop.visits(), visits);
}

#[test]
fn curl_waits_for_100_before_a_large_upload_and_spares_it_after_a_refusal() {
    const LENGTH: usize = 4 << 20;
    let scene = Scene::open();
    let (body, target) = (scene.body_of(LENGTH), scene.url("/upload"));
    let upload = |header: &str| {
        let told = [
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{size_upload}",
            "-H",
            header,
        ];
        let waits = ["-H", "Expect: 100-continue", "--expect100-timeout", "50"];
        scene.curl(&[&told[..], &waits, &["--data-binary", &body, &target]].concat())
    };
    assert_eq!(upload(&scene.live), format!("200 {LENGTH}"));
    assert_eq!(scene.shop.seen().last().unwrap().body.len(), LENGTH);
    let visits = scene.shop.visits();
    assert_eq!(upload(&scene.dead), "401 0", "not a byte of it was sent");
    assert_eq!(scene.shop.visits(), visits);
}

/// The refusal comes while the body is on its way; a stream that is reset too early hides it from curl.
#[test]
fn curl_hears_why_its_upload_by_http_2_is_refused() {
    let scene = Scene::open();
    let (target, tls_target) = (scene.url("/upload"), scene.tls_url("/upload"));
    for length in [10, 10_000, 100_000, 4_000_000] {
        let body = scene.body_of(length);
        for (version, url) in [
            ("--http2-prior-knowledge", &target),
            ("--http2", &tls_target),
        ] {
            for expect in ["Expect:", "Expect: 100-continue"] {
                let upload = |header| {
                    let told = ["-o", "/dev/null", "-w", "%{http_code} %{http_version}"];
                    let head = [version, "-H", header, "-H", expect];
                    scene.curl(&[&told[..], &head, &["--data-binary", &body, url]].concat())
                };
                let visits = scene.shop.visits();
                assert_eq!(
                    upload(scene.dead.as_str()),
                    "401 2",
                    "{length} {version} {expect}"
                );
                assert_eq!(scene.shop.visits(), visits);
                if expect == "Expect:" {
                    assert_eq!(upload(scene.live.as_str()), "200 2", "{length} {version}");
                    assert_eq!(scene.shop.seen().last().unwrap().body.len(), length);
                }
            }
        }
    }
}

/// As nginx does, which speaks HTTP/1.0 unless it is told otherwise: a connection that is reset too early hides the answer.
#[test]
fn a_client_that_reads_nothing_before_all_is_sent_hears_why_its_upload_is_refused() {
    const LENGTH: usize = 8 << 20;
    let scene = Scene::open();
    let visits = scene.shop.visits();
    let dead = scene.dead.as_str();
    for (version, more, length) in [
        ("1.1", "", LENGTH),
        ("1.1", "Connection: close\r\n", LENGTH),
        ("1.1", "Connection: close\r\n", 60_000),
        ("1.0", "", LENGTH),
        ("1.0", "", 60_000),
    ] {
        let head = format!(
            "POST /upload HTTP/{version}\r\nHost: shop.example.com\r\n{dead}\r\n{more}Content-Length: {length}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(scene.plain).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        for part in vec![b'x'; length].chunks(64 << 10) {
            let sent = stream.write_all(part);
            assert!(sent.is_ok(), "{version} {more} {length}: {sent:?}");
        }
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let told = String::from_utf8_lossy(&answer);
        assert!(
            read.is_ok() && told.contains(" 401 "),
            "{version} {more}: {read:?} {told}"
        );
    }
    assert_eq!(scene.shop.visits(), visits);
}

#[test]
fn curl_asks_for_heads_and_unpacks_bodies() {
    const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xd7\x51\x48\xce\xcf\x2d\x28\x4a\x2d\x2e\x4e\x4d\xe1\x02\x00\xa5\x6e\x16\xc1\x12\x00\x00\x00";
    let scene = Scene::open();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        PACKED.len()
    )
    .into_bytes();
    answer.extend(PACKED);
    scene.shop.recite("/packed", answer);
    let packed = scene.url("/packed");
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(
            scene.curl(&[version, "--compressed", &packed]),
            "hello, compressed\n"
        );
        let head = scene.curl(&[version, "-I", "-H", &scene.dead, &scene.page()]);
        let lines: Vec<_> = head.lines().map(str::to_ascii_lowercase).collect();
        assert!(lines[0].contains(" 401"), "{head}");
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("www-authenticate: bearer"))
        );
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("content-length: "))
        );
        let head = scene.curl(&[version, "-I", "-H", &scene.live, &scene.page()]);
        assert!(head.lines().next().unwrap().contains(" 200"), "{head}");
    }
}

/// The jar is emptied by the logout's answer; a copy of it is worth nothing any more.
#[test]
fn curls_cookie_jar_logs_in_and_out() {
    let scene = Scene::open();
    let token = scene.shop.sign_in("carol");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nSet-Cookie: jwt={token}; Path=/; HttpOnly\r\nContent-Length: 0\r\n\r\n"
    );
    scene.shop.recite("/login", answer);
    scene.shop.recite("/public", ANSWER);
    let (jar, copy) = (scene.file("jar"), scene.file("copy"));
    let with = |jar: &str, more: &[&str]| {
        let request = [
            &TOLD[..2],
            &["-w", "%{http_code}", "-b", jar, "-c", jar],
            more,
        ]
        .concat();
        scene.curl(&request)
    };
    let came_with_cookie = || {
        let seen = scene.shop.seen();
        seen.last().unwrap().header("cookie").is_some()
    };
    let (page, logout) = (scene.url("/public"), scene.url(OWN_LOGOUT));
    assert_eq!(with(&jar, &[&scene.url("/login")]), "200");
    assert_eq!(with(&jar, &[&page]), "200");
    assert!(came_with_cookie());
    fs::copy(&jar, &copy).unwrap();
    let origin = format!("Origin: http://{}", scene.plain);
    assert_eq!(with(&jar, &["-H", &origin, "-X", "POST", &logout]), "200");
    assert_eq!(with(&jar, &[&page]), "200");
    assert!(!came_with_cookie(), "the jar is empty");
    assert_eq!(with(&copy, &[&page]), "200");
    assert!(!came_with_cookie(), "to the shop its holder is a guest");
}

/// What wrk is to count: answers after which a connection is closed.
const SCRIPT: &str = r#"
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() closing = 0; other = 0; wanted = tonumber(os.getenv("WANTED")) end
function response(status, headers)
  for name, value in pairs(headers) do
    if name:lower() == "connection" and value:lower() == "close" then closing = closing + 1 end
  end
  if status ~= wanted then other = other + 1 end
end
function done(summary)
  local closing, other, errors = 0, 0, summary.errors
  for _, thread in ipairs(threads) do
    closing = closing + thread:get("closing")
    other = other + thread:get("other")
  end
  io.write(string.format("\n%d requests\n%d closing\n%d other\n%d broken\n", summary.requests, closing, other,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"#;

#[test]
fn wrk_finds_every_connection_kept() {
    let scene = Scene::open();
    let script = scene.file("count.lua");
    fs::write(&script, SCRIPT).unwrap();
    let tls_page = format!("https://127.0.0.1:{}{PAGE}", scene.tls.port());
    for (header, wanted, url) in [
        (&scene.live, "200", scene.page()),
        (&scene.dead, "401", scene.page()),
        (&scene.dead, "401", tls_page),
    ] {
        let mut requests = 0;
        eventually(|| {
            requests += answered_by_wrk(&script, header, wanted, &url);
            requests > 100 // a busy machine takes more than one second for them
        });
        eprintln!("wrk, {wanted}, {url}: {requests} requests");
    }
}

/// Asks for a second, on sixteen connections; how many requests were answered, each as it is wanted and on a connection that stays.
#[track_caller]
fn answered_by_wrk(script: &str, header: &str, wanted: &str, url: &str) -> u64 {
    let output = Command::new("wrk")
        .env("WANTED", wanted)
        // By itself it counts an answer after two seconds as broken, which says how busy the machine is.
        .args([
            "-t",
            "2",
            "-c",
            "16",
            "-d",
            "1s",
            "--timeout",
            "60s",
            "-s",
            script,
        ])
        .args(["-H", header, url])
        .output();
    let output = output.unwrap_or_else(|fault| panic!("wrk: {fault}; see .ci/setup"));
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(!report.contains("Socket errors"), "{report}");
    for word in ["closing", "other", "broken"] {
        assert_eq!(report_of(&report, word), 0, "{word} of {wanted}:\n{report}");
    }
    count(&report, "requests")
}

/// The count on a line of our own script's.
#[track_caller]
fn report_of(report: &str, word: &str) -> u64 {
    let own = report
        .lines()
        .rev()
        .find(|line| line.ends_with(&format!(" {word}")));
    own.and_then(|line| line.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no {word}:\n{report}"))
}

#[test]
fn h2load_finds_every_request_answered() {
    let scene = Scene::open();
    let header = |line: &str| line.replacen("Authorization", "authorization", 1);
    let tls_page = format!("https://127.0.0.1:{}{PAGE}", scene.tls.port());
    for url in [tls_page, scene.page()] {
        let load = |line: &str| {
            let load = ["-n", "1000", "-c", "5", "-m", "20", "-H", line, &url];
            let report = run("h2load", &load);
            assert_eq!(count(&report, "done"), 1000, "{report}");
            for word in ["errored", "timeout"] {
                assert_eq!(count(&report, word), 0, "{word}:\n{report}");
            }
            report
        };
        let visits = scene.shop.visits();
        let report = load(&header(&scene.live));
        assert_eq!(count(&report, "succeeded"), 1000, "{report}");
        assert_eq!(count(&report, "2xx"), 1000, "{report}");
        assert_eq!(scene.shop.visits(), visits + 1000);
        let report = load(&header(&scene.dead));
        assert_eq!(count(&report, "4xx"), 1000, "{report}");
        assert_eq!(scene.shop.visits(), visits + 1000, "{url}");
    }
    let metrics = scene.edge.metrics();
    let refused =
        "doorward_decisions_total{shop=\"main\",verdict=\"revoked\",detail=\"token\"} 2000\n";
    assert!(metrics.contains(refused), "{metrics}");
}
