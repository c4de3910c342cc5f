//! Certificates that Doorward orders itself: ordered, renewed, kept, and never ordered too often.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use doorward::revocation::Journal;
use support::encrypted::{Certificates, Hello, certificate_of};
use support::{
    AcmeServer, Connection, Edge, FakeClock, Issue, Outcome, Recorder, doorward, eventually, put,
    raw, request,
};
use tempfile::TempDir;

const HOST: &str = "shop.example.com";
const OTHER: &str = "www.example.com";
const HOUR: i64 = 3_600;

/// An authority, a shop, and how an edge between them is configured.
struct Stage {
    server: AcmeServer,
    shop: Recorder,
    folder: TempDir,
    challenge: &'static str,
}

impl Stage {
    fn with(challenge: &'static str) -> Self {
        let (server, folder) = (AcmeServer::open(), tempfile::tempdir().unwrap());
        put(folder.path(), "ca.pem", server.root(), 0o644);
        Self {
            server,
            shop: Recorder::open(),
            folder,
            challenge,
        }
    }

    /// Orders for these hosts.
    fn config(&self, hosts: &[&str]) -> String {
        self.config_with(hosts, "")
    }

    /// The same, with more tables before the shop's.
    fn config_with(&self, hosts: &[&str], tables: &str) -> String {
        let (directory, challenge) = (self.server.directory(), self.challenge);
        let authority = self.folder.path().join("ca.pem").display().to_string();
        format!(
            "listen = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\n[acme]\nemail = \"ops@example.com\"\n\
             hosts = {hosts:?}\ndirectory = \"{directory}\"\nca_file = \"{authority}\"\n\
             terms_of_service_agreed = true\nchallenge = \"{challenge}\"\n{tables}{}",
            self.shop.table()
        )
    }

    /// An edge to which the hosts lead.
    fn edge(&self, hosts: &[&str]) -> Edge {
        let edge = Edge::with(&self.config(hosts));
        self.lead_to(&edge);
        edge
    }

    /// An edge whose clock a test sets, to which the hosts lead.
    fn edge_by(&self, clock: &FakeClock, hosts: &[&str]) -> Edge {
        let mut edge = Edge::begin(&clock.environment(), &self.config(hosts));
        edge.becomes_ready().unwrap();
        self.lead_to(&edge);
        edge
    }

    fn lead_to(&self, edge: &Edge) {
        let (plain, tls) = public(edge);
        self.server.leads_to(plain, tls);
    }

    fn restart(&self, edge: &mut Edge) {
        self.server.leads_nowhere();
        edge.restart();
        self.lead_to(edge);
    }
}

/// Where customers knock: plain, and with TLS.
fn public(edge: &Edge) -> (SocketAddr, SocketAddr) {
    let addresses = edge.addresses();
    (addresses[0], addresses[1])
}

/// The certificate that a host is served with; `None`: the handshake fails.
fn served(edge: &Edge, host: &str) -> Option<Vec<u8>> {
    let hello = Hello {
        name: Some(host),
        ..Hello::default()
    };
    let stream = hello.try_to(public(edge).1).ok()?;
    Some(certificate_of(&stream))
}

fn is_served(edge: &Edge, host: &str) -> bool {
    served(edge, host).is_some()
}

fn has_logged(edge: &Edge, words: &str) -> bool {
    edge.log_lines().iter().any(|line| line.contains(words))
}

fn times_logged(edge: &Edge, words: &str) -> usize {
    let lines = edge.log_lines();
    lines.iter().filter(|line| line.contains(words)).count()
}

/// The folder of the one authority.
fn folder_of(edge: &Edge) -> PathBuf {
    let mut folders = fs::read_dir(edge.path("data/acme")).unwrap();
    let folder = folders.next().unwrap().unwrap().path();
    assert!(folders.next().is_none());
    folder
}

fn reload(edge: &Edge, config: &str) {
    edge.configure(config);
    let reloaded = edge.command(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
}

#[test]
fn the_first_certificate_is_ordered_while_the_process_serves() {
    let stage = Stage::with("http-01");
    stage.server.refuses_nonces(1);
    let edge = Edge::with(&stage.config(&[HOST]));
    let (plain, tls) = public(&edge);
    assert_eq!(raw(plain, &request("GET", "/", &[], b"")), 200, "it serves");
    assert!(!is_served(&edge, HOST), "until there is one");
    let nameless = Hello {
        name: None,
        ..Hello::default()
    };
    let placeholder = certificate_of(&nameless.to(tls));
    stage.server.leads_to(plain, tls);
    eventually(|| is_served(&edge, HOST));
    assert_ne!(served(&edge, HOST).unwrap(), placeholder);
    assert_eq!(Some(certificate_of(&nameless.to(tls))), served(&edge, HOST));
    assert!(!is_served(&edge, "nobody.example.org"));
    assert_eq!(stage.server.orders(), [HOST]);
    assert_eq!(stage.server.refused_nonces(), 1, "and it came again");
    let contact = serde_json::json!([["mailto:ops@example.com"]]);
    assert_eq!(serde_json::json!(stage.server.contacts()), contact);
    eventually(|| {
        has_logged(
            &edge,
            "INFO  certificate ordered host=shop.example.com until=",
        )
    });
    let metrics = edge.metrics();
    for line in [
        "doorward_certificate_orders_total{outcome=\"issued\"} 1\n",
        "doorward_certificate_orders_total{outcome=\"failed\"} 0\n",
        "doorward_certificate_not_after_timestamp_seconds{certificate=\"shop.example.com\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn what_is_stored_is_for_the_owner_alone_and_is_logged_nowhere() {
    let stage = Stage::with("http-01");
    let edge = stage.edge(&[HOST]);
    eventually(|| has_logged(&edge, "certificate ordered"));
    let folder = folder_of(&edge);
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files = || {
        fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().path())
    };
    eventually(|| files().count() == 2); // the attempt is forgotten with the success
    let mut names: Vec<_> = files()
        .inspect(|path| assert_eq!(mode(path), 0o600, "{path:?}"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["account.json", "shop.example.com.pem"]);
    let pem = fs::read_to_string(folder.join("shop.example.com.pem")).unwrap();
    let account = fs::read_to_string(folder.join("account.json")).unwrap();
    let account: serde_json::Value = serde_json::from_str(&account).unwrap();
    let secret = account["credentials"]["key_pkcs8"].as_str().unwrap();
    let key = pem.lines().nth(1).unwrap();
    let log = edge.log_lines().join("\n");
    assert!(!log.contains(secret) && !log.contains(key) && !log.contains("PRIVATE"));
}

#[test]
fn tls_alpn_01_is_answered_on_the_listener_of_the_customers() {
    let stage = Stage::with("tls-alpn-01");
    let edge = Edge::with(&stage.config(&[HOST, OTHER]));
    let (plain, tls) = public(&edge);
    eventually(|| !stage.server.orders().is_empty());
    // While a challenge is pending every hello is examined, and others are served as always.
    let nameless = Hello {
        name: None,
        ..Hello::default()
    };
    for _ in 0..3 {
        nameless.to(tls);
        assert!(!is_served(&edge, HOST));
    }
    stage.server.leads_to(plain, tls);
    eventually(|| is_served(&edge, HOST) && is_served(&edge, OTHER));
    assert_eq!(stage.server.orders(), [HOST, OTHER]);
    let challenge = Hello {
        name: Some(HOST),
        alpn: &["acme-tls/1"],
        ..Hello::default()
    };
    assert!(challenge.try_to(tls).is_err(), "no challenge is pending");
}

#[test]
fn a_challenge_of_another_client_reaches_the_shop() {
    let stage = Stage::with("http-01");
    let edge = stage.edge(&[HOST]);
    eventually(|| is_served(&edge, HOST));
    assert_eq!(stage.shop.visits(), 0, "our own did not");
    let path = "/.well-known/acme-challenge/of-certbot";
    assert_eq!(raw(public(&edge).0, &request("GET", path, &[], b"")), 200);
    assert!(stage.shop.last().starts_with(&format!("GET {path} ")));
}

#[test]
fn a_restart_serves_what_is_stored_without_an_order() {
    let stage = Stage::with("http-01");
    let mut edge = stage.edge(&[HOST]);
    eventually(|| has_logged(&edge, "certificate ordered"));
    let first = served(&edge, HOST);
    stage.restart(&mut edge);
    assert_eq!(served(&edge, HOST), first, "from the first handshake on");
    reload(&edge, &stage.config(&[HOST, OTHER]));
    eventually(|| is_served(&edge, OTHER));
    assert_eq!(served(&edge, HOST), first, "and over a reload");
    assert_eq!(stage.server.orders(), [HOST, OTHER]);
    assert_eq!(stage.server.accounts(), 1);
}

#[test]
fn a_certificate_is_renewed_and_no_connection_is_touched() {
    let stage = Stage::with("http-01");
    stage.server.certificates_last(6);
    let edge = stage.edge(&[HOST]);
    eventually(|| is_served(&edge, HOST));
    let (first, hello) = (served(&edge, HOST), Hello::default());
    let mut open = hello.to(public(&edge).1);
    stage.server.certificates_last(90 * 24 * 3_600);
    eventually(|| served(&edge, HOST) != first);
    assert!(is_served(&edge, HOST), "there was one all the time");
    eventually(|| {
        has_logged(
            &edge,
            "INFO  certificate renewed host=shop.example.com until=",
        )
    });
    let closing = request("GET", "/", &[("Connection", "close")], b"");
    std::io::Write::write_all(&mut open, &closing).unwrap();
    let mut answer = String::new();
    drop(std::io::Read::read_to_string(&mut open, &mut answer));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(stage.server.orders(), [HOST, HOST]);
}

#[test]
fn a_failure_is_not_repeated_for_an_hour_not_even_after_a_restart() {
    let stage = Stage::with("http-01");
    let clock = FakeClock::in_folder(stage.folder.path(), "edge");
    stage.server.refuses(true);
    let mut edge = stage.edge_by(&clock, &[HOST]);
    let failed = "no certificate was issued, and there is no valid one; port 80 of this name must lead to this node";
    eventually(|| has_logged(&edge, failed));
    assert!(has_logged(&edge, "reason=not_validated"));
    assert!(
        has_logged(&edge, "connection refused"),
        "what the authority says"
    );
    stage.server.refuses(false);
    // The hosts are looked at in order: when the second has its certificate, the first was passed over.
    reload(&edge, &stage.config(&[HOST, "a.example.com"]));
    eventually(|| is_served(&edge, "a.example.com"));
    stage.restart(&mut edge);
    reload(&edge, &stage.config(&[HOST, "b.example.com"]));
    eventually(|| is_served(&edge, "b.example.com"));
    clock.is_off_by(HOUR - 60);
    reload(&edge, &stage.config(&[HOST, "c.example.com"]));
    eventually(|| is_served(&edge, "c.example.com"));
    let others = ["a.example.com", "b.example.com", "c.example.com"];
    assert_eq!(stage.server.orders(), [&[HOST], &others[..]].concat());
    clock.is_off_by(HOUR + 1);
    eventually(|| is_served(&edge, HOST));
    FakeClock::sweep_after(edge.pid());
}

#[test]
fn a_host_that_leads_elsewhere_is_told_with_what_the_authority_found() {
    for (challenge, port) in [("http-01", 80), ("tls-alpn-01", 443)] {
        let stage = Stage::with(challenge);
        let edge = Edge::with(&stage.config(&[HOST]));
        let without_tls = "127.0.0.1:1".parse().unwrap(); // tcpmux: nothing listens there
        stage.server.leads_to(stage.shop.address(), without_tls);
        let help =
            format!("there is no valid one; port {port} of this name must lead to this node");
        eventually(|| has_logged(&edge, &help));
        assert!(has_logged(
            &edge,
            "reason=not_validated detail=\"API error: "
        ));
    }
}

#[test]
fn a_crash_in_the_middle_of_an_order_is_no_way_to_order_again_at_once() {
    let stage = Stage::with("http-01");
    let mut edge = Edge::with(&stage.config(&[HOST]));
    eventually(|| !stage.server.orders().is_empty());
    edge.kill_dash_nine();
    edge.restart();
    stage.lead_to(&edge);
    reload(&edge, &stage.config(&[HOST, OTHER]));
    eventually(|| is_served(&edge, OTHER));
    assert_eq!(stage.server.orders(), [HOST, OTHER]);
    assert!(!is_served(&edge, HOST));
}

#[test]
fn an_order_in_flight_holds_up_no_stop() {
    let stage = Stage::with("http-01");
    let mut edge = Edge::with(&stage.config(&[HOST]));
    eventually(|| !stage.server.orders().is_empty());
    assert_eq!(edge.stop(), Some(0), "the authority still verifies");
    let told = fs::read_to_string(folder_of(&edge).join("shop.example.com.attempts.json"));
    assert!(told.unwrap().contains("\"failures\":0"), "it did not fail");
}

#[test]
fn retry_after_is_respected_for_every_host_and_over_a_restart() {
    let stage = Stage::with("http-01");
    let clock = FakeClock::in_folder(stage.folder.path(), "edge");
    stage.server.limits(Some("10800"));
    let mut edge = stage.edge_by(&clock, &[HOST, OTHER]);
    eventually(|| has_logged(&edge, "reason=rate_limited"));
    stage.server.limits(None);
    clock.is_off_by(3 * HOUR - 60);
    stage.restart(&mut edge);
    let config = stage.config(&["a.example.com", HOST, OTHER]);
    for _ in 0..2 {
        reload(&edge, &config);
    }
    assert_eq!(stage.server.orders(), [HOST]);
    clock.is_off_by(3 * HOUR + 1);
    eventually(|| is_served(&edge, OTHER) && is_served(&edge, HOST));
    assert_eq!(
        stage.server.orders(),
        [HOST, "a.example.com", HOST, OTHER],
        "nothing before the three hours were over"
    );
    FakeClock::sweep_after(edge.pid());
}

#[test]
fn damaged_files_are_replaced() {
    let stage = Stage::with("http-01");
    let mut edge = stage.edge(&[HOST]);
    eventually(|| has_logged(&edge, "certificate ordered"));
    edge.stop();
    let folder = folder_of(&edge);
    let pem = fs::read_to_string(folder.join("shop.example.com.pem")).unwrap();
    fs::write(folder.join("shop.example.com.pem"), &pem[..pem.len() / 3]).unwrap();
    fs::write(folder.join("account.json"), "{").unwrap();
    fs::write(folder.join("www.example.com.attempts.json"), "{").unwrap();
    edge.configure(&stage.config(&[OTHER, HOST]));
    stage.restart(&mut edge);
    eventually(|| is_served(&edge, HOST));
    assert!(has_logged(
        &edge,
        "WARN  the stored certificate can't be used"
    ));
    assert!(has_logged(&edge, "WARN  the stored account can't be read"));
    assert_eq!(
        stage.server.orders(),
        [HOST, HOST],
        "what is unknown may be a failure"
    );
    assert_eq!(stage.server.accounts(), 2);
    // A certificate under the name of another host is none.
    edge.stop();
    let whole = folder.join("shop.example.com.pem");
    fs::copy(&whole, folder.join("c.example.com.pem")).unwrap();
    edge.configure(&stage.config(&["c.example.com"]));
    stage.restart(&mut edge);
    eventually(|| is_served(&edge, "c.example.com"));
    assert!(has_logged(&edge, "it is for another name"));
}

#[test]
fn a_wrong_answer_of_the_authority_leaves_the_old_certificate() {
    for issue in [
        Issue::ForAnotherKey,
        Issue::ForAnotherName,
        Issue::Ended,
        Issue::Garbage,
    ] {
        let stage = Stage::with("http-01");
        stage.server.certificates_last(3);
        let edge = stage.edge(&[HOST]);
        eventually(|| is_served(&edge, HOST));
        let old = served(&edge, HOST);
        stage.server.issues(issue);
        eventually(|| has_logged(&edge, "reason=unfit_certificate"));
        assert_eq!(served(&edge, HOST), old, "{issue:?}");
        let orders = stage.server.orders();
        assert_eq!(orders.len(), 2, "{issue:?}: {orders:?}");
    }
}

#[test]
fn a_certificate_that_is_due_at_once_is_not_ordered_again_at_once() {
    let stage = Stage::with("http-01");
    let clock = FakeClock::in_folder(stage.folder.path(), "edge");
    clock.is_off_by(70 * 24 * HOUR); // of the 90 days of the certificate
    let edge = stage.edge_by(&clock, &[HOST, OTHER]);
    eventually(|| is_served(&edge, HOST) && is_served(&edge, OTHER));
    assert_eq!(stage.server.orders(), [HOST, OTHER]);
    assert!(has_logged(&edge, "is due for renewal already"));
    FakeClock::sweep_after(edge.pid());
}

#[test]
fn a_host_that_a_reload_takes_away_is_not_served_any_more() {
    let stage = Stage::with("http-01");
    let edge = stage.edge(&[HOST, OTHER]);
    eventually(|| is_served(&edge, HOST) && is_served(&edge, OTHER));
    let first = served(&edge, HOST);
    reload(&edge, &stage.config(&[HOST]));
    assert!(!is_served(&edge, OTHER));
    assert_eq!(served(&edge, HOST), first);
    reload(&edge, &stage.config(&[OTHER, HOST]));
    assert!(is_served(&edge, OTHER));
    assert_eq!(stage.server.orders(), [HOST, OTHER], "it is still there");
}

#[test]
fn the_operators_certificates_win_for_their_names() {
    let stage = Stage::with("http-01");
    let files = Certificates::default();
    let own = files.issue("own", &[HOST]);
    let config = stage.config_with(&[HOST, OTHER], &files.table("own"));
    let edge = Edge::with(&config);
    stage.lead_to(&edge);
    eventually(|| is_served(&edge, OTHER));
    assert_eq!(served(&edge, HOST).as_ref(), Some(&own));
    assert_eq!(served(&edge, "nobody.example.org"), Some(own), "the first");
    assert_eq!(stage.server.orders(), [OTHER]);
    assert!(
        edge.command(&["check"])
            .stderr
            .contains("a [[certificate]] is for it")
    );
}

#[test]
fn an_authority_that_is_down_costs_no_order_and_is_asked_again() {
    let stage = Stage::with("http-01");
    let clock = FakeClock::in_folder(stage.folder.path(), "edge");
    let config = stage.config(&[HOST]);
    let nowhere = config.replace("localhost", "127.0.0.1"); // its certificate is for localhost
    let mut edge = Edge::begin(&clock.environment(), &nowhere);
    edge.becomes_ready().unwrap();
    let words =
        "the authority for certificates can't be asked; see whether `directory` and `ca_file`";
    eventually(|| has_logged(&edge, words));
    assert!(has_logged(&edge, "reason=unreachable"));
    clock.is_off_by(61);
    eventually(|| times_logged(&edge, words) == 2);
    assert!(stage.server.orders().is_empty());
    FakeClock::sweep_after(edge.pid());
}

#[test]
fn an_account_that_the_authority_has_forgotten_is_opened_anew() {
    let stage = Stage::with("http-01");
    let clock = FakeClock::in_folder(stage.folder.path(), "edge");
    let edge = stage.edge_by(&clock, &[HOST]);
    eventually(|| has_logged(&edge, "certificate ordered"));
    stage.server.forgets_accounts();
    reload(&edge, &stage.config(&[HOST, OTHER]));
    eventually(|| has_logged(&edge, "reason=no_account"));
    clock.is_off_by(HOUR + 1);
    eventually(|| is_served(&edge, OTHER));
    FakeClock::sweep_after(edge.pid());
}

#[test]
fn another_address_for_mail_is_told_to_the_authority() {
    let stage = Stage::with("http-01");
    let edge = stage.edge(&[HOST]);
    eventually(|| has_logged(&edge, "certificate ordered"));
    let config = stage.config(&[HOST, OTHER]);
    reload(&edge, &config.replace("ops@", "new@"));
    eventually(|| is_served(&edge, OTHER));
    let told = serde_json::json!([["mailto:ops@example.com"], ["mailto:new@example.com"]]);
    assert_eq!(serde_json::json!(stage.server.contacts()), told);
    assert_eq!(stage.server.accounts(), 1);
}

#[test]
fn a_challenge_is_answered_where_everything_else_is_redirected() {
    let stage = Stage::with("http-01");
    let plain = "listen = [\"127.0.0.1:0\"";
    let moved = "listen = [{ address = \"127.0.0.1:0\", redirect = \"https\" }";
    let edge = Edge::with(&stage.config(&[HOST]).replace(plain, moved));
    stage.lead_to(&edge);
    eventually(|| is_served(&edge, HOST));
    assert_eq!(raw(public(&edge).0, &request("GET", "/", &[], b"")), 308);
}

#[test]
fn a_challenge_is_answered_over_http_2_and_whatever_the_host() {
    let stage = Stage::with("http-01");
    let edge = Edge::with(
        &stage
            .config(&[HOST])
            .replace("listen", "h2c = true\nlisten"),
    );
    let (plain, tls) = public(&edge);
    eventually(|| !stage.server.orders().is_empty());
    let path = stage.server.challenge_path();
    // It is pending as soon as the authority was told so.
    eventually(|| {
        raw(plain, &request("GET", &path, &[], b""))
            .text()
            .contains('.')
    });
    let mut connection = Connection::open(plain);
    let foreign = [("Host", "nobody.example.org")];
    let answer = connection.ask(&request("GET", &path, &foreign, b""));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(
        connection.ask(&request("HEAD", &path, &foreign, b"")).body,
        b""
    );
    let stream = std::net::TcpStream::connect(plain).unwrap();
    let fields = support::frames::get_fields(&path, &[]);
    let reply = support::frames::Frames::over(stream).ask(&fields, None);
    assert_eq!(reply.status, 200);
    stage.server.leads_to(plain, tls);
    eventually(|| is_served(&edge, HOST));
    assert_eq!(
        raw(plain, &request("GET", &path, &[], b"")).text(),
        "ok",
        "the shop's"
    );
}

const BOTH: &str = "\"127.0.0.1:80\", \"https://127.0.0.1:443\"";
const PLAIN: &str = "\"127.0.0.1:80\"";
const TLS: &str = "\"https://127.0.0.1:443\"";
const AGREED: &str = "terms_of_service_agreed = true\n";
const CLAIMS: &str = "hosts = [\"shop.example.com\", \"*.example.net\"]";

/// What `check` says of this `[acme]` table.
fn checked(listen: &str, acme: &str, hosts: &str) -> Outcome {
    checked_beside("", listen, acme, hosts)
}

/// The same behind this shop.
fn checked_beside(shop: &str, listen: &str, acme: &str, hosts: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let secret = "a secret of at least thirty-two bytes";
    put(folder.path(), "jwt.secret", secret, 0o600);
    let config = format!(
        "listen = [{listen}]\ndata_dir = \"data\"\n[acme]\n{acme}\n{shop}[[shop]]\nname = \"main\"\n{hosts}\n\
         upstream = [\"127.0.0.1:9\"]\ntoken.algorithms = [\"HS256\"]\ntoken.secret_file = \"jwt.secret\"\n"
    );
    let path = put(folder.path(), "doorward.toml", &config, 0o644);
    assert!(Journal::init(&folder.path().join("data")).unwrap());
    doorward(&["check", "--config", &path])
}

/// `check` ends so, and says this.
#[track_caller]
fn says(outcome: &Outcome, code: i32, said: &str) {
    assert_eq!(outcome.code, Some(code), "{outcome:?}");
    assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
    assert!(!said.is_empty() || outcome.stderr.is_empty(), "{outcome:?}");
}

#[test]
fn check_says_for_which_hosts_certificates_are_ordered() {
    let good = checked(BOTH, AGREED, CLAIMS);
    says(&good, 0, "");
    let summary =
        "acme: certificates for 1 host by http-01 from https://acme-v02.api.letsencrypt.org\n";
    assert!(good.stdout.contains(summary), "{good:?}");
    let www = format!("{CLAIMS}\nredirect_hosts = [\"www.example.com\"]");
    let both = checked(BOTH, AGREED, &www);
    says(&both, 0, "");
    assert!(
        both.stdout.contains("acme: certificates for 2 hosts by "),
        "{both:?}"
    );
    let named = format!("{AGREED}hosts = [\"www.example.com\"]");
    says(&checked(BOTH, &named, &www), 0, "");
}

#[test]
fn a_host_that_shops_share_by_its_paths_is_ordered_once() {
    let api = "[[shop]]\nname = \"api\"\nhosts = [\"b.example.com\", \"a.example.com\"]\npaths = [\"/api/*\"]\n\
               upstream = [\"127.0.0.1:8\"]\n[shop.token]\nkind = \"opaque\"\nmax_token_lifetime = \"30d\"\n";
    let hosts = "hosts = [\"a.example.com\", \"c.example.com\"]";
    let outcome = checked_beside(api, BOTH, AGREED, hosts);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome
            .stdout
            .contains("acme: certificates for 3 hosts by "),
        "{outcome:?}"
    );
}

#[test]
fn check_says_what_orders_lack() {
    let agreed = "error: the terms of the authority are not agreed to";
    says(&checked(BOTH, "", CLAIMS), 78, agreed);
    let declined = checked(BOTH, "terms_of_service_agreed = false", CLAIMS);
    says(&declined, 78, agreed);
    let alpn = format!("{AGREED}challenge = \"tls-alpn-01\"");
    for (listen, acme, code, said) in [
        (
            TLS,
            AGREED,
            78,
            "error: `listen` has no address without TLS, where http-01 could be answered",
        ),
        (
            PLAIN,
            AGREED,
            0,
            "warning: no address of `listen` uses the certificates",
        ),
        (
            PLAIN,
            &alpn,
            78,
            "error: `listen` has no https:// address, where tls-alpn-01 could be answered",
        ),
        (TLS, &alpn, 0, ""),
    ] {
        says(&checked(listen, acme, CLAIMS), code, said);
    }
    let nobody = "error: no shop has a host that a certificate could be ordered for";
    says(&checked(BOTH, AGREED, ""), 78, nobody);
    let wild = "hosts = [\"*.example.com\"]";
    says(&checked(BOTH, AGREED, wild), 78, nobody);
}

#[test]
fn check_says_what_is_wrong_with_a_key_of_orders() {
    const NAME: &str = "error: expected a name of the DNS";
    for (key, code, said) in [
        (
            "challenge = \"dns-01\"",
            78,
            "unknown `challenge`: `dns-01`",
        ),
        (
            "hosts = [\"*.example.com\"]",
            78,
            "error: no certificate can be ordered for a wildcard",
        ),
        ("hosts = [\"192.0.2.1\"]", 78, NAME),
        ("hosts = [\"localhost\"]", 78, NAME),
        ("hosts = [\"a..example.com\"]", 78, "expected a host name"),
        ("hosts = [\"../etc\"]", 78, "expected a host name"),
        ("hosts = []", 78, "error: `hosts` names no host"),
        (
            "hosts = [\"a.example.com\"]",
            0,
            "warning: no shop claims a.example.com, for which a certificate is ordered",
        ),
        ("hosts = [\"a.example.net\"]", 0, ""),
        (
            "hosts = [\"shop.example.com\", \"SHOP.example.com.\"]",
            0,
            "warning: this host is listed twice",
        ),
        ("email = \"ops\"", 78, "expected an address for mail"),
        (
            "directory = \"http://ca.example.com/\"",
            78,
            "expected https://",
        ),
        (
            "ca_file = \"jwt.secret\"",
            78,
            "there is no certificate in it",
        ),
        ("host = []", 78, "did you mean `hosts`?"),
    ] {
        says(
            &checked(BOTH, &format!("{AGREED}{key}"), CLAIMS),
            code,
            said,
        );
    }
    says(
        &checked(BOTH, &format!("{AGREED}hosts = [\"a.example.com\"]"), ""),
        0,
        "",
    );
}
