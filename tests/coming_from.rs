//! The same tasks, given to Caddy, `HAProxy` and Doorward in the files of `docs/coming-from/`: clients get the same answers, and
//! servers the same requests.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use support::{
    Answer, Backend, Connection, Deed, Edge, Peer, Program, WebHost, caddy_options, free_address,
    request,
};

/// A task: its file's name, its title, and what it asks for.
type Task = (&'static str, &'static str, &'static str);

const TASKS: [Task; 11] = [
    (
        "paths",
        "Front end, API and admin on one host",
        "The admin's paths go to the admin, the API's to the API, all others to the front end.",
    ),
    (
        "prefix",
        "An API that does not know its folder",
        "`/api/v1/products` is `/products` for the API.",
    ),
    (
        "rewrite",
        "Addresses that people can read",
        "`/p/4711-blue-kettle` is `/products/4711` for the shop.",
    ),
    (
        "redirects",
        "Pages that have moved",
        "`/catalog/…` is `/shop/…` now, and the blog has a host of its own; the query is kept.",
    ),
    (
        "https",
        "Everything by https",
        "Requests by http are redirected, with the query; the shop is told that the customer came by https.",
    ),
    (
        "maintenance",
        "A maintenance page",
        "Customers get 503 and a page, search engines a `robots.txt`, colleagues with a cookie the shop.",
    ),
    (
        "methods",
        "Webhooks",
        "Signed POSTs of the payment provider go to a worker of their own; nothing else is there.",
    ),
    (
        "preview",
        "A preview",
        "Customers with a cookie, and links with a parameter, get the next front end.",
    ),
    (
        "canary",
        "A canary",
        "5 % of the customers get the new version, and stay with it.",
    ),
    (
        "headers",
        "Headers",
        "The shop is told its name and spared a header; its answers get two headers and lose one.",
    ),
    (
        "office",
        "An admin for the office only",
        "Other networks get 403.",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proxy {
    Caddy,
    Haproxy,
    Doorward,
}

/// What a proxy leaves in requests and answers that says who it is, and by which way a request came to it.
const OF_THE_WAY: [&str; 11] = [
    "accept-encoding", // Caddy unpacks for clients that can't
    "cache-control",   // HAProxy and Doorward: of answers that are their own
    "connection",
    "date",
    "forwarded",
    "server",
    "transfer-encoding",
    "via",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

/// A request, and what becomes of it: the server that gets it, and its target there, or the status of the proxy's own
/// answer, and its `Location`.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

/// What a client was told, and what a server was sent.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    sent: Vec<Sent>,
}

#[derive(Debug, PartialEq, Eq)]
struct Sent {
    server: String,
    line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Outcome {
    /// In the words of a case.
    fn told(&self) -> String {
        let location = self.headers.iter().find(|(name, _)| name == "location");
        match (self.sent.as_slice(), location) {
            ([sent], _) => {
                let target = sent.line.split(' ').nth(1).unwrap();
                format!("{} {target}", sent.server)
            }
            ([], Some((_, location))) => format!("{} {location}", self.status),
            ([], None) => self.status.to_string(),
            (several, _) => panic!("{several:?}"),
        }
    }
}

impl Proxy {
    const ALL: [Self; 3] = [Self::Caddy, Self::Haproxy, Self::Doorward];

    fn folder(self) -> &'static str {
        match self {
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Doorward => "doorward",
        }
    }

    /// Its configuration of a task.
    fn file(self, task: &str) -> String {
        let ending = match self {
            Self::Caddy => "Caddyfile",
            Self::Haproxy => "cfg",
            Self::Doorward => "toml",
        };
        page(&format!("{}/{task}.{ending}", self.folder()))
    }
}

fn page(name: &str) -> String {
    let path = format!("{}/docs/coming-from/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// Lines that say something.
fn lines_of(file: &str) -> usize {
    let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    file.lines().filter(says).count()
}

// --- The proxies and their servers -----------------------------------------------------------------------

/// The servers that the files name by these ports of the loopback.
struct Servers(Vec<(&'static str, &'static str, Backend)>);

impl Servers {
    fn open() -> Self {
        let all = [("front", "3000"), ("second", "9000"), ("admin", "9100")];
        let open = |(name, port)| {
            let (server, length) = (Backend::saying(name), name.len());
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
            let words = format!("{head}Content-Length: {length}\r\n\r\n{name}");
            server.does(Deed::Say(words.into_bytes()));
            (name, port, server)
        };
        Self(all.map(open).into())
    }

    fn each(&self) -> impl Iterator<Item = &Backend> {
        self.0.iter().map(|(_, _, server)| server)
    }

    fn named(&self, name: &str) -> &Backend {
        let mut all = self.0.iter();
        &all.find(|(known, _, _)| *known == name).unwrap().2
    }

    /// A file with their addresses.
    fn fill_in(&self, file: &str) -> String {
        let mut text = file.to_owned();
        for (_, port, server) in &self.0 {
            text = text.replace(&format!("127.0.0.1:{port}"), &server.address().to_string());
        }
        text
    }

    /// How many requests each has heard.
    fn counts(&self) -> Vec<usize> {
        self.each().map(|server| server.heard().len()).collect()
    }

    /// The requests since then.
    fn sent_since(&self, counts: &[usize]) -> Vec<Sent> {
        let new = self
            .0
            .iter()
            .zip(counts)
            .flat_map(|((name, _, server), count)| {
                let heard = server.heard().split_off(*count);
                heard.into_iter().map(move |request| {
                    let (line, headers) = request.head.split_once("\r\n").unwrap();
                    let headers = headers.lines().filter_map(|line| line.split_once(": "));
                    Sent {
                        server: (*name).to_owned(),
                        line: line.to_owned(),
                        headers: relevant(headers),
                        body: String::from_utf8(request.body).unwrap(),
                    }
                })
            });
        new.collect()
    }
}

fn relevant<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> Vec<(String, String)> {
    let lines = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let mut lines: Vec<_> = lines
        .filter(|(name, _)| !OF_THE_WAY.contains(&name.as_str()))
        .collect();
    lines.sort();
    lines
}

/// A proxy that does a task.
struct Running {
    address: SocketAddr,
    /// Kept until its end.
    _process: Process,
}

enum Process {
    Peer { _peer: Peer },
    Edge { _edge: Edge },
}

impl Running {
    /// The file, with the addresses of this machine.
    fn with(proxy: Proxy, file: &str, servers: &Servers) -> Self {
        let file = servers.fill_in(file);
        let address = free_address();
        let put = |old: &str, new: &str| {
            assert_eq!(file.matches(old).count(), 1, "{old} in\n{file}");
            file.replace(old, new)
        };
        let peer = |program, text: String| Self {
            address,
            _process: Process::Peer {
                _peer: Peer::run(program, &text, &[address]),
            },
        };
        match proxy {
            Proxy::Caddy => {
                let (ip, port) = (address.ip(), address.port());
                peer(
                    Program::Caddy,
                    put(":8080 {\n", &format!(":{port} {{\n\tbind {ip}\n")),
                )
            }
            Proxy::Haproxy => peer(
                Program::Haproxy,
                put("bind :8080", &format!("bind {address}")),
            ),
            Proxy::Doorward => {
                let text =
                    put("0.0.0.0:8080", "127.0.0.1:0").replace("/var/lib/doorward", "{home}/data");
                let edge = Edge::with(&text);
                Self {
                    address: edge.address(),
                    _process: Process::Edge { _edge: edge },
                }
            }
        }
    }

    fn ask(&self, line: &str, headers: &[(&str, &str)], servers: &Servers) -> Outcome {
        let (method, target) = line.split_once(' ').unwrap();
        let body: &[u8] = if method == "POST" { b"paid=yes" } else { b"" };
        let before = servers.counts();
        let answer = Connection::open(self.address).ask(&request(method, target, headers, body));
        Outcome {
            status: answer.status,
            headers: relevant(pairs_of(&answer)),
            body: answer.text(),
            sent: servers.sent_since(&before),
        }
    }
}

fn pairs_of(answer: &Answer) -> impl Iterator<Item = (&str, &str)> {
    let lines = answer.headers.iter();
    lines.map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Every proxy does the task, by its file in which this was replaced: the cases come true, and no difference is seen.
#[track_caller]
fn all_do(task: &str, servers: &Servers, fill_in: (&str, &str), cases: &[Case]) {
    let mut outcomes: BTreeMap<&str, Vec<Outcome>> = BTreeMap::new();
    for proxy in Proxy::ALL {
        let file = proxy.file(task).replace(fill_in.0, fill_in.1);
        let running = Running::with(proxy, &file, servers);
        for (line, headers, wanted) in cases {
            let outcome = running.ask(line, headers, servers);
            assert_eq!(outcome.told(), *wanted, "{proxy:?}: {line} {headers:?}");
            outcomes.entry(proxy.folder()).or_default().push(outcome);
        }
    }
    for peer in ["caddy", "haproxy"] {
        for ((case, own), other) in cases.iter().zip(&outcomes["doorward"]).zip(&outcomes[peer]) {
            assert_eq!(own, other, "Doorward and {peer}: {case:?}");
        }
    }
}

// --- The tasks -------------------------------------------------------------------------------------------

const NOTHING: (&str, &str) = ("", "");

#[test]
fn paths_lead_to_the_same_servers() {
    let servers = Servers::open();
    all_do(
        "paths",
        &servers,
        NOTHING,
        &[
            ("GET /", &[], "front /"),
            (
                "GET /cart?page=2",
                &[("Cookie", "a=b")],
                "front /cart?page=2",
            ),
            (
                "GET /api/products?page=2&sort=%2Fx",
                &[],
                "second /api/products?page=2&sort=%2Fx",
            ),
            (
                "POST /api/carts",
                &[("Content-Type", "text/plain")],
                "second /api/carts",
            ),
            ("GET /api", &[], "front /api"),
            ("GET /apis", &[], "front /apis"),
            ("GET /admin", &[], "admin /admin"),
            ("GET /admin/", &[], "admin /admin/"),
            ("GET /administrator", &[], "front /administrator"),
            ("DELETE /api/admin/users/7", &[], "admin /api/admin/users/7"),
            ("HEAD /api/products", &[], "second /api/products"),
        ],
    );
}

#[test]
fn a_folder_is_stripped_alike() {
    let servers = Servers::open();
    all_do(
        "prefix",
        &servers,
        NOTHING,
        &[
            (
                "GET /api/v1/products?page=2",
                &[],
                "second /products?page=2",
            ),
            ("POST /api/v1/a%20b/%C3%A9", &[], "second /a%20b/%C3%A9"),
            ("GET /api/v2/products", &[], "front /api/v2/products"),
            ("GET /", &[], "front /"),
        ],
    );
}

#[test]
fn a_path_is_rewritten_alike() {
    let servers = Servers::open();
    all_do(
        "rewrite",
        &servers,
        NOTHING,
        &[
            ("GET /p/4711-blue-kettle", &[], "front /products/4711"),
            (
                "GET /p/4711?size=2%20l",
                &[],
                "front /products/4711?size=2%20l",
            ),
            ("GET /p/kettles", &[], "front /p/kettles"),
            ("GET /x/p/4711", &[], "front /x/p/4711"),
        ],
    );
}

#[test]
fn redirects_lead_to_the_same_pages() {
    let servers = Servers::open();
    all_do(
        "redirects",
        &servers,
        NOTHING,
        &[
            ("GET /catalog/kettles/4711", &[], "301 /shop/kettles/4711"),
            (
                "GET /catalog/a%20b?page=2&sort=up",
                &[],
                "301 /shop/a%20b?page=2&sort=up",
            ),
            (
                "GET /blog/tea?lang=en",
                &[],
                "308 https://blog.example.com/blog/tea?lang=en",
            ),
            (
                "POST /blog/tea",
                &[],
                "308 https://blog.example.com/blog/tea",
            ),
            ("GET /catalogue", &[], "front /catalogue"),
        ],
    );
}

/// A file that listens at 80 and at 443.
fn with_https(
    proxy: Proxy,
    host: &WebHost,
    servers: &Servers,
) -> (SocketAddr, SocketAddr, Process) {
    let file = host.fill_in(&servers.fill_in(&proxy.file("https")));
    let (plain, tls) = (host.plain, host.tls);
    let peer = |program, text: &str| {
        let peer = Peer::run(program, text, &[plain, tls]);
        (plain, tls, Process::Peer { _peer: peer })
    };
    match proxy {
        Proxy::Caddy => peer(Program::Caddy, &(caddy_options(plain, tls) + &file)),
        Proxy::Haproxy => {
            let text = file.replace("bind :80\n", &format!("bind {plain}\n"));
            peer(
                Program::Haproxy,
                &text.replace("bind :443", &format!("bind {tls}")),
            )
        }
        Proxy::Doorward => {
            let text = file
                .replace("0.0.0.0:443", "127.0.0.1:0")
                .replace("0.0.0.0:80", "127.0.0.1:0")
                .replace(
                    "redirect = \"https\"",
                    "redirect = \"https\", redirect_port = 443",
                )
                .replace("/var/lib/doorward", "{home}/data");
            let edge = Edge::with(&text);
            let [tls, plain] = edge.addresses()[..] else {
                panic!("two listeners")
            };
            (plain, tls, Process::Edge { _edge: edge })
        }
    }
}

#[test]
fn customers_are_led_to_https_alike() {
    for proxy in Proxy::ALL {
        let servers = Servers::open();
        let mut host = WebHost::new();
        let (plain, tls, _process) = with_https(proxy, &host, &servers);
        (host.plain, host.tls) = (plain, tls);
        for method in ["GET", "POST"] {
            let mut connection = Connection::open(plain);
            let answer = connection.ask(&request(method, "/a%20b?c=d", &[], b""));
            let told = (answer.status, answer.header("location"));
            let wanted = (308, Some("https://shop.example.com/a%20b?c=d"));
            assert_eq!(told, wanted, "{proxy:?}: {method}");
        }
        assert_eq!(servers.counts(), [0, 0, 0], "{proxy:?}");
        for version in ["--http1.1", "--http2"] {
            let told = ["-w", " %{http_code}", version, "-A", "", "-H", "Accept:"];
            let url = "https://shop.example.com/cart?page=2";
            let told = host.curl(&[&told[..], &["-H", "X-Forwarded-Proto: http", url]].concat());
            assert_eq!(told, "front 200", "{proxy:?} {version}");
            let head = servers.named("front").heard().pop().unwrap().head;
            assert!(
                head.starts_with("GET /cart?page=2 HTTP/1.1\r\n"),
                "{proxy:?}: {head}"
            );
            for line in [
                "host: shop.example.com",
                "x-forwarded-proto: https",
                "x-forwarded-for: 127.0.0.1",
            ] {
                let mut lines = head.lines();
                let is_there = lines.any(|given| given.eq_ignore_ascii_case(line));
                assert!(is_there, "{proxy:?} {version}: {line} in\n{head}");
            }
            let protos = head
                .to_ascii_lowercase()
                .matches("x-forwarded-proto:")
                .count();
            assert_eq!(protos, 1, "{proxy:?}: {head}");
        }
    }
}

#[test]
fn customers_get_the_same_maintenance_page() {
    let servers = Servers::open();
    all_do(
        "maintenance",
        &servers,
        NOTHING,
        &[
            ("GET /", &[], "503"),
            ("GET /", &[("Cookie", "preview=no")], "503"),
            ("POST /api/carts", &[("Cookie", "xpreview=yes")], "503"),
            ("GET /robots.txt", &[], "200"),
            (
                "GET /cart",
                &[("Cookie", "a=b; preview=yes")],
                "front /cart",
            ),
        ],
    );
}

#[test]
fn webhooks_reach_the_same_worker() {
    let servers = Servers::open();
    let signed: &[_] = &[("X-Signature", "t=1,v1=5257a869e7")];
    all_do(
        "methods",
        &servers,
        NOTHING,
        &[
            (
                "POST /webhooks/payments",
                signed,
                "second /webhooks/payments",
            ),
            ("POST /webhooks/payments", &[], "404"),
            ("GET /webhooks/payments", signed, "404"),
            ("POST /checkout", signed, "front /checkout"),
        ],
    );
}

#[test]
fn a_cookie_and_a_parameter_lead_to_the_same_preview() {
    let servers = Servers::open();
    all_do(
        "preview",
        &servers,
        NOTHING,
        &[
            ("GET /", &[("Cookie", "beta=yes")], "second /"),
            ("GET /", &[("Cookie", "a=b; beta=yes; c=d")], "second /"),
            ("GET /", &[("Cookie", "beta=no; xbeta=yes")], "front /"),
            ("GET /?preview=1", &[], "second /?preview=1"),
            ("GET /x?a=b&preview=", &[], "second /x?a=b&preview="),
            ("GET /x?previews=1", &[], "front /x?previews=1"),
            ("GET /preview=1", &[], "front /preview=1"),
        ],
    );
}

#[test]
fn a_canary_keeps_its_customers_alike() {
    const CUSTOMERS: usize = 600;
    for proxy in Proxy::ALL {
        let servers = Servers::open();
        let running = Running::with(proxy, &proxy.file("canary"), &servers);
        let mut connection = Connection::open(running.address);
        let mut visit = |cookie: Option<&str>| {
            let headers: Vec<_> = cookie
                .map(|cookie| ("Cookie", cookie))
                .into_iter()
                .collect();
            let answer = connection.ask(&request("GET", "/", &headers, b""));
            assert_eq!(answer, 200, "{proxy:?}");
            answer
        };
        let mut canary = 0;
        for _ in 0..CUSTOMERS {
            let first = visit(None);
            let cookie = first.header("set-cookie").unwrap();
            let (cookie, _) = cookie.split_once(';').unwrap();
            assert!(cookie.starts_with("side="), "{proxy:?}: {cookie}");
            for _ in 0..2 {
                assert_eq!(visit(Some(cookie)).text(), first.text(), "{proxy:?}");
            }
            canary += usize::from(first.text() == "second");
        }
        assert!(
            (6..=60).contains(&canary),
            "{proxy:?}: {canary} of {CUSTOMERS}"
        );
    }
}

#[test]
fn headers_are_changed_alike() {
    let servers = Servers::open();
    servers.named("front").does(Deed::Say(
        b"HTTP/1.1 200 OK\r\nX-Powered-By: PHP/8.2\r\nVary: Origin\r\nSet-Cookie: a=b; Path=/\r\n\
          Set-Cookie: c=d\r\nContent-Type: text/html\r\nETag: \"x\"\r\nContent-Length: 2\r\n\r\nok"
            .to_vec(),
    ));
    all_do(
        "headers",
        &servers,
        NOTHING,
        &[
            (
                "GET /",
                &[("X-Debug", "1"), ("X-Shop", "forged"), ("Accept", "*/*")],
                "front /",
            ),
            (
                "POST /cart",
                &[("X-Tag", "a"), ("X-Tag", "b"), ("User-Agent", "till/2")],
                "front /cart",
            ),
        ],
    );
}

#[test]
fn other_networks_are_refused_alike() {
    let servers = Servers::open();
    let office = "10.0.0.0/8";
    all_do(
        "office",
        &servers,
        NOTHING,
        &[
            ("GET /admin", &[], "403"),
            (
                "GET /admin/users",
                &[("X-Forwarded-For", "10.1.2.3")],
                "403",
            ),
            ("GET /administrator", &[], "front /administrator"),
        ],
    );
    all_do(
        "office",
        &servers,
        (office, "127.0.0.0/8"),
        &[
            ("GET /admin", &[], "admin /admin"),
            ("GET /admin/users", &[], "admin /admin/users"),
            ("GET /", &[], "front /"),
        ],
    );
}

/// What the pages name as different.
#[test]
fn paths_in_which_the_proxies_differ_are_those_that_the_pages_name() {
    let servers = Servers::open();
    for (line, wanted) in [
        ("GET /%61dmin/x", ["admin", "front", "admin"]),
        ("GET /x/../admin/x", ["admin", "front", "admin"]),
        ("GET /api/", ["second", "second", "front"]),
        ("GET /admin%2Fx", ["admin", "front", "400"]),
    ] {
        for (proxy, wanted) in Proxy::ALL.into_iter().zip(wanted) {
            let running = Running::with(proxy, &proxy.file("paths"), &servers);
            let told = running.ask(line, &[], &servers).told();
            let told = told.split(' ').next().unwrap();
            assert_eq!(told, wanted, "{proxy:?}: {line}");
        }
    }
}

// --- The pages -------------------------------------------------------------------------------------------

/// The part of a page that is written from the files.
fn side_by_side(peer: Proxy, name: &str, language: &str) -> String {
    let mut text = format!("## The tasks\n\n| task | {name} | Doorward |\n|---|---|---|\n");
    let mut sums = [0, 0];
    for (task, title, _) in TASKS {
        let anchor = title.to_lowercase().replace(',', "").replace(' ', "-");
        let lines = [
            lines_of(&peer.file(task)),
            lines_of(&Proxy::Doorward.file(task)),
        ];
        writeln!(
            text,
            "| [{title}](#{anchor}) | {} | {} |",
            lines[0], lines[1]
        )
        .unwrap();
        sums = [sums[0] + lines[0], sums[1] + lines[1]];
    }
    writeln!(text, "| all | {} | {} |", sums[0], sums[1]).unwrap();
    for (task, title, words) in TASKS {
        let (theirs, own) = (peer.file(task), Proxy::Doorward.file(task));
        write!(
            text,
            "\n### {title}\n\n{words}\n\n{name}:\n\n```{language}\n{theirs}```\n\nDoorward:\n\n```toml\n{own}```\n"
        )
        .unwrap();
    }
    text
}

#[test]
fn the_pages_show_what_is_run_here_and_count_its_lines() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("coming-from");
    fs::create_dir_all(&folder).unwrap();
    let mut old = Vec::new();
    for (peer, name, language) in [
        (Proxy::Caddy, "Caddy", "caddyfile"),
        (Proxy::Haproxy, "HAProxy", "haproxy"),
    ] {
        let file = format!("{}.md", peer.folder());
        let written = page(&file);
        let (by_hand, _) = written.split_once("## The tasks\n").unwrap();
        let expected = format!("{by_hand}{}", side_by_side(peer, name, language));
        fs::write(folder.join(&file), &expected).unwrap();
        if written != expected {
            old.push(file);
        }
    }
    let at = folder.display();
    assert!(
        old.is_empty(),
        "{old:?} are old: cp {at}/*.md docs/coming-from/"
    );
}
