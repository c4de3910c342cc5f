//! Certificates of clients: who gets in, what the shop is told, and what a reload and a resumed session change.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use support::encrypted::Certificates;
use support::frames::{Frames, fields_of};
use support::{Authority, Backend, Edge, Identity, Manager, PATIENCE, eventually, request};

type Tls = StreamOwned<ClientConnection, TcpStream>;
type Versions = &'static [&'static SupportedProtocolVersion];
const TLS_1_2: Versions = &[&rustls::version::TLS12];
const TLS_1_3: Versions = &[&rustls::version::TLS13];

/// A shop behind an address with TLS whose clients are asked for certificates, and one without TLS.
struct House {
    shop: Backend,
    files: Certificates,
    servers: Authority,
    clients: Authority,
    edge: Edge,
}

impl House {
    fn with(keys: &str, more: &str) -> Self {
        let (shop, files) = (Backend::saying("shop"), Certificates::default());
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let server = servers.issue(&["shop.example.com"]);
        files.write("shop.pem", &server.pem, 0o644);
        files.write("shop.key", &server.key_pem, 0o600);
        files.write("clients.pem", &clients.pem(), 0o644);
        let edge = Edge::with(&configuration(&shop, &files, keys, more));
        Self {
            shop,
            files,
            servers,
            clients,
            edge,
        }
    }

    fn encrypted(&self) -> SocketAddr {
        self.edge.addresses()[0]
    }

    /// How a client speaks TLS that has this certificate.
    fn client(
        &self,
        identity: Option<&Identity>,
        versions: Versions,
        alpn: &str,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.servers.pem().as_bytes());
        roots.add(root.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(one) => builder
                .with_client_auth_cert(one.chain.clone(), one.key.clone_key())
                .unwrap(),
        };
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Arc::new(config)
    }

    fn connect(&self, config: &Arc<ClientConfig>) -> io::Result<Tls> {
        let mut stream = TcpStream::connect(self.encrypted())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("shop.example.com").unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }

    /// The answer to a request by a client with this certificate; empty, if it gets none.
    fn ask(
        &self,
        identity: Option<&Identity>,
        versions: Versions,
        headers: &[(&str, &str)],
    ) -> String {
        let config = self.client(identity, versions, "http/1.1");
        let Ok(stream) = self.connect(&config) else {
            return String::new();
        };
        answer_of(stream, &request("GET", "/cart", &closing(headers), b""))
    }

    /// What the shop was told under a name.
    fn told(&self, name: &str) -> Vec<String> {
        let head = self.shop.heard().pop().unwrap().head;
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let named = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.to_owned()).collect()
    }

    fn reconfigure(&self, keys: &str, more: &str) {
        let text = configuration(&self.shop, &self.files, keys, more);
        self.edge.configure(&text);
        let outcome = self.edge.command(&["reload"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
}

fn closing<'a>(headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("Connection", "close")], headers].concat()
}

fn configuration(shop: &Backend, files: &Certificates, keys: &str, more: &str) -> String {
    let authority = files.path("clients.pem");
    format!(
        "listen = [{{ address = \"https://127.0.0.1:0\", client_ca_file = \"{}\"{keys} }}, \"127.0.0.1:0\"]\n{}\
         [[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n{more}",
        authority.display(),
        files.table("shop"),
        shop.address()
    )
}

fn answer_of(mut stream: Tls, bytes: &[u8]) -> String {
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// The certificate of a client called so, of an organisation called so.
fn person(authority: &Authority, name: &str, organisation: &str) -> Identity {
    let mut params = CertificateParams::new(vec![format!("{}.example.com", name.to_lowercase())]);
    let params = params.as_mut().unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organisation);
    params.distinguished_name.push(DnType::CommonName, name);
    authority.sign(params)
}

fn is_served(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("shop")
}

const SUBJECT: &str = "x-doorward-client-subject";
const FINGERPRINT: &str = "x-doorward-client-fingerprint";
const OPTIONAL: &str = ", client_certificate = \"optional\"";

#[test]
fn only_clients_with_a_certificate_of_the_authority_get_in_and_the_shop_is_told_of_them() {
    let house = House::with("", "");
    let alice = person(&house.clients, "Alice", "Example");
    let forged = [
        ("X-Doorward-Client-Subject", "CN=Root"),
        ("X_Doorward_Client_Subject", "CN=Root"),
        ("X-Doorward-Client-Fingerprint", "00"),
    ];
    let stranger = person(&Authority::new("others"), "Alice", "Example");
    let expired = house.clients.issue_expired(&["alice.example.com"]);
    let itself = Identity::of_nobody(&["alice.example.com"]);
    for versions in [TLS_1_2, TLS_1_3] {
        let answer = house.ask(Some(&alice), versions, &forged);
        assert!(is_served(&answer), "{answer}");
        assert_eq!(house.told(SUBJECT), ["CN=Alice,O=Example"]);
        let fingerprints = house.told(FINGERPRINT);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &alice.chain[0]);
        let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        assert_eq!(fingerprints, [digits.collect::<Vec<_>>().concat()]);
        assert_eq!(house.told("x_doorward_client_subject"), [""; 0]);
        let served = house.shop.heard().len();
        for refused in [None, Some(&stranger), Some(&expired), Some(&itself)] {
            assert_eq!(house.ask(refused, versions, &[]), "");
        }
        assert_eq!(house.shop.heard().len(), served);
    }
    eventually(|| {
        house
            .edge
            .metrics()
            .contains("doorward_failed_handshakes_total 8")
    });
}

#[test]
fn an_optional_certificate_may_be_left_out_but_not_be_wrong() {
    let house = House::with(OPTIONAL, "");
    let alice = person(&house.clients, "Alice", "Example");
    let stranger = person(&Authority::new("others"), "Alice", "Example");
    let forged = [("X-Doorward-Client-Subject", "CN=Root")];
    for versions in [TLS_1_2, TLS_1_3] {
        assert!(is_served(&house.ask(None, versions, &forged)));
        assert_eq!(house.told(SUBJECT), [""; 0]);
        assert!(is_served(&house.ask(Some(&alice), versions, &forged)));
        assert_eq!(house.told(SUBJECT), ["CN=Alice,O=Example"]);
        assert_eq!(house.ask(Some(&stranger), versions, &[]), "");
    }
    let plain = house.edge.addresses()[1];
    assert_eq!(support::raw(plain, &request("GET", "/", &forged, b"")), 200);
    assert_eq!(house.told(SUBJECT), [""; 0], "nor where there is no TLS");
}

const ROUTES: &str = r#"
[[shop.route]]
paths = ["/admin/*"]
client_certificate = ["CN=Alice,O=Example", "DNS:bob.example.com"]
headers.request.set.x-admin = "{client_cert_subject} {client_cert_fingerprint}"

[[shop.route]]
paths = ["/admin/*"]
respond = { status = 403 }

[[shop.route]]
paths = ["/guests"]
client_certificate = false
respond = { status = 404 }

[[shop.route]]
paths = ["/members"]
not = { client_certificate = true }
respond = { status = 401 }
"#;

#[test]
fn routes_tell_clients_apart_by_their_certificates() {
    let house = House::with(OPTIONAL, ROUTES);
    let alice = person(&house.clients, "Alice", "Example");
    let bob = person(&house.clients, "Bob", "Example");
    let sly = person(&house.clients, "Alice,O=Example", "Example");
    let other = person(&house.clients, "Alice", "Elsewhere");
    let status = |who: Option<&Identity>, method: &str, path: &str| {
        let config = house.client(who, TLS_1_3, "http/1.1");
        let stream = house.connect(&config).unwrap();
        let body: &[u8] = if method == "POST" { b"a=b" } else { b"" };
        let answer = answer_of(stream, &request(method, path, &closing(&[]), body));
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    for method in ["GET", "POST"] {
        for (who, admin, guests, members) in [
            (None, "403", "404", "401"),
            (Some(&alice), "200", "200", "200"),
            (Some(&bob), "200", "200", "200"),
            (Some(&sly), "403", "200", "200"),
            (Some(&other), "403", "200", "200"),
        ] {
            assert_eq!(status(who, method, "/admin/x"), admin, "{method}");
            assert_eq!(status(who, method, "/guests"), guests, "{method}");
            assert_eq!(status(who, method, "/members"), members, "{method}");
        }
        assert_eq!(status(Some(&bob), method, "/admin/x"), "200");
        let told = house.told("x-admin").remove(0);
        assert!(told.starts_with("CN=Bob,O=Example "), "{told}");
        assert_eq!(told.len(), "CN=Bob,O=Example ".len() + 64);
    }
    status(Some(&sly), "GET", "/");
    assert_eq!(house.told(SUBJECT), [r"CN=Alice\,O\=Example,O=Example"]);
}

#[test]
fn http2_knows_the_certificate_on_every_stream() {
    let house = House::with("", ROUTES);
    let alice = person(&house.clients, "Alice", "Example");
    let config = house.client(Some(&alice), TLS_1_3, "h2");
    let mut frames = Frames::over(house.connect(&config).unwrap());
    for _ in 0..3 {
        let reply = frames.ask(&fields_of("GET", "/admin/x", &[]), None);
        assert_eq!(reply.status, 200);
        assert_eq!(house.told(SUBJECT), ["CN=Alice,O=Example"]);
    }
    let bob = person(&house.clients, "Carol", "Example");
    let config = house.client(Some(&bob), TLS_1_3, "h2");
    let mut frames = Frames::over(house.connect(&config).unwrap());
    assert_eq!(
        frames.ask(&fields_of("GET", "/admin/x", &[]), None).status,
        403
    );
}

#[test]
fn a_resumed_session_has_the_certificate_of_its_first_connection_while_that_counts() {
    for versions in [TLS_1_2, TLS_1_3] {
        let house = House::with("", "");
        let alice = person(&house.clients, "Alice", "Example");
        let config = house.client(Some(&alice), versions, "http/1.1");
        let ask = request("GET", "/cart", &closing(&[]), b"");
        assert!(is_served(&answer_of(house.connect(&config).unwrap(), &ask)));
        let resumed = house.connect(&config).unwrap();
        assert_eq!(resumed.conn.handshake_kind(), Some(HandshakeKind::Resumed));
        assert!(is_served(&answer_of(resumed, &ask)));
        assert_eq!(house.told(SUBJECT), ["CN=Alice,O=Example"]);
        let served = house.shop.heard().len();
        let others = Authority::new("others");
        house.files.write("clients.pem", &others.pem(), 0o644);
        house.reconfigure("", "");
        if let Ok(resumed) = house.connect(&config) {
            assert_eq!(answer_of(resumed, &ask), "", "by a session from before");
        }
        assert_eq!(house.shop.heard().len(), served);
    }
}

#[test]
fn a_reload_exchanges_the_authorities_for_open_connections_too() {
    let house = House::with("", "");
    let alice = person(&house.clients, "Alice", "Example");
    let config = house.client(Some(&alice), TLS_1_3, "http/1.1");
    let mut kept = house.connect(&config).unwrap();
    let ask = request("GET", "/cart", &[], b"");
    let read = |stream: &mut Tls| {
        stream.write_all(&ask).unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).map(|()| begin)
    };
    assert_eq!(&read(&mut kept).unwrap(), b"HTTP/1.1 200");
    house.reconfigure("", "hsts = \"1d\"\n");
    let mut rest = [0; 4096];
    drop(kept.read(&mut rest));
    assert_eq!(
        &read(&mut kept).unwrap(),
        b"HTTP/1.1 200",
        "nothing changed"
    );
    drop(kept.read(&mut rest));
    let others = Authority::new("others");
    house.files.write("clients.pem", &others.pem(), 0o644);
    house.reconfigure("", "");
    assert!(read(&mut kept).is_err(), "it ends at its next request");
    assert_eq!(house.ask(Some(&alice), TLS_1_3, &[]), "");
    let dora = person(&others, "Dora", "Example");
    assert!(is_served(&house.ask(Some(&dora), TLS_1_3, &[])));
    assert_eq!(house.told(SUBJECT), ["CN=Dora,O=Example"]);
    let config = house.client(Some(&dora), TLS_1_3, "http/1.1");
    let mut kept = house.connect(&config).unwrap();
    assert_eq!(&read(&mut kept).unwrap(), b"HTTP/1.1 200");
    let text = configuration(&house.shop, &house.files, "", "");
    let (begin, end) = (
        text.find(", client_ca_file").unwrap(),
        text.find(" }, ").unwrap(),
    );
    house
        .edge
        .configure(&format!("{}{}", &text[..begin], &text[end..]));
    assert_eq!(house.edge.command(&["reload"]).code, Some(0));
    assert!(
        is_served(&house.ask(None, TLS_1_3, &[])),
        "no client is asked any more"
    );
    assert_eq!(house.told(SUBJECT), [""; 0]);
}

#[test]
fn ready_is_said_where_every_client_must_show_one() {
    let (shop, files) = (Backend::saying("shop"), Certificates::default());
    files.issue("shop", &["shop.example.com"]);
    files.write("clients.pem", &Authority::new("clients").pem(), 0o644);
    let manager = Arc::new(Manager::new());
    let edge = Edge::under(&manager, &configuration(&shop, &files, "", ""));
    manager.is_told("READY=1", 1);
    let metrics = edge.metrics();
    assert!(
        metrics.contains("doorward_failed_handshakes_total 0"),
        "{metrics}"
    );
}

#[test]
fn what_can_not_be_meant_is_a_fault_of_the_configuration() {
    let files = Certificates::default();
    files.issue("shop", &["shop.example.com"]);
    files.write("clients.pem", &Authority::new("clients").pem(), 0o644);
    files.write("none.pem", "nothing", 0o644);
    let path = |name: &str| files.path(name).display().to_string();
    let (authority, none) = (path("clients.pem"), path("none.pem"));
    for (listen, route, said) in [
        (
            format!("{{ address = \"127.0.0.1:0\", client_ca_file = \"{authority}\" }}"),
            "",
            "clients show certificates over TLS only",
        ),
        (
            "{ address = \"https://127.0.0.1:0\", client_certificate = \"optional\" }".to_owned(),
            "",
            "`client_certificate` without `client_ca_file`",
        ),
        (
            format!("{{ address = \"https://127.0.0.1:0\", client_ca_file = \"{none}\" }}"),
            "",
            "expected certificates of authorities in PEM",
        ),
        (
            format!(
                "{{ address = \"https://127.0.0.1:0\", client_ca_file = \"{authority}\", client_certificate = \"maybe\" }}"
            ),
            "",
            "unknown `client_certificate`: `maybe`",
        ),
        (
            "\"https://127.0.0.1:0\"".to_owned(),
            "[[shop.route]]\nclient_certificate = \"Alice\"\nenforce = \"valid\"\n",
            "expected a subject such as CN=Alice,O=Example",
        ),
    ] {
        let text = format!(
            "listen = [{listen}]\n{}[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:1\"]\ntoken.kind = \"opaque\"\n{route}",
            files.table("shop")
        );
        let refused = Edge::try_start(&text).err().unwrap();
        assert!(
            refused.stderr.contains(said),
            "{listen}: {}",
            refused.stderr
        );
    }
}

#[test]
fn the_explanation_of_check_says_where_clients_must_show_one() {
    for (keys, must) in [
        ("", "required"),
        (", client_certificate = \"optional\"", "optional"),
    ] {
        let house = House::with(keys, "");
        let explained = house.edge.command(&["check", "--explain"]).stdout;
        let told = format!(": customers, with TLS, client certificate {must}\n");
        assert!(explained.contains(&told), "{explained}");
    }
}
