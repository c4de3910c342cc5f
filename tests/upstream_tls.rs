//! TLS to the servers of a shop: nothing is sent to whoever can't prove to be one.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::path::Path;

use doorward::config;
use rustls::ServerConfig;
use serde_json::json;
use support::{
    Answer, Authority, Backend, Customer, Echo, Edge, Identity, eventually, put, request,
    shop_table_at, stateless_bagisto,
};
use tempfile::TempDir;

/// A folder for certificates and keys.
fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A shop behind this port; `tls` are the lines of its `[shop.upstream_tls]`.
fn table(upstream: &str, tls: &str) -> String {
    format!(
        "[[shop]]\nname = \"main\"\nupstream = \"{upstream}\"\ntoken.kind = \"opaque\"\n[shop.upstream_tls]\n{tls}\n"
    )
}

fn get(edge: &Edge) -> Answer {
    edge.raw(&request("GET", "/", &[("Cookie", "a=1")], b""))
}

/// A server with TLS as told, asked for as `host`, and the authority that the shop believes.
struct Scene {
    edge: Edge,
    server: Backend,
    _folder: TempDir,
}

impl Scene {
    fn with(tls: ServerConfig, host: &str, authority_pem: &str, more: &str) -> Self {
        let folder = folder();
        let server = Backend::with_tls("here", tls);
        let ca_file = put(folder.path(), "ca.pem", authority_pem, 0o644);
        let upstream = format!("https://{host}:{}", server.address().port());
        let edge = Edge::with(&table(
            &upstream,
            &format!("ca_file = \"{ca_file}\"\n{more}"),
        ));
        Self {
            edge,
            server,
            _folder: folder,
        }
    }

    fn is_served(&self) {
        assert_eq!(get(&self.edge).text(), "here");
        assert_eq!(get(&self.edge), 200, "on the same connection");
    }

    fn is_refused(&self, why: &str) {
        let answer = get(&self.edge);
        assert_eq!(answer, 502);
        assert_eq!(
            answer.json(),
            json!({"message": "The shop can't be reached"})
        );
        assert_eq!(self.server.heard().len(), 0, "nothing was sent");
        eventually(|| {
            let logged = self.edge.log_lines();
            logged.iter().any(|line| line.contains(why))
        });
    }
}

#[test]
fn a_server_that_our_authority_vouches_for_is_served_from() {
    let ours = Authority::new("ours");
    let identity = ours.issue(&["localhost", "127.0.0.1"]);
    Scene::with(identity.server(), "localhost", &ours.pem(), "").is_served();
    Scene::with(identity.server(), "127.0.0.1", &ours.pem(), "").is_served();
}

#[test]
fn one_that_another_authority_vouches_for_is_not() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let identity = theirs.issue(&["localhost"]);
    Scene::with(identity.server(), "localhost", &ours.pem(), "").is_refused("UnknownIssuer");
}

#[test]
fn one_that_vouches_for_itself_is_not_unless_it_is_believed_by_name() {
    let ours = Authority::new("ours");
    let itself = Identity::of_nobody(&["localhost"]);
    Scene::with(itself.server(), "localhost", &ours.pem(), "").is_refused("TLSHandshakeFailure");
    Scene::with(itself.server(), "localhost", &itself.pem, "").is_served();
}

#[test]
fn one_whose_certificate_is_over_is_not() {
    let ours = Authority::new("ours");
    let identity = ours.issue_expired(&["localhost"]);
    Scene::with(identity.server(), "localhost", &ours.pem(), "").is_refused("xpired");
}

#[test]
fn one_with_a_certificate_for_another_name_is_not_unless_that_is_the_name() {
    let ours = Authority::new("ours");
    let identity = ours.issue(&["shop.internal"]);
    let other = Scene::with(identity.server(), "localhost", &ours.pem(), "");
    other.is_refused("not valid for name");
    let named = "server_name = \"shop.internal\"";
    Scene::with(identity.server(), "localhost", &ours.pem(), named).is_served();
}

/// Pingora verifies nothing where there is no name; an address is one.
#[test]
fn an_address_is_verified_like_a_name() {
    let ours = Authority::new("ours");
    for names in [&["localhost"][..], &["127.0.0.2"], &["localhost", "::1"]] {
        let identity = ours.issue(names);
        let scene = Scene::with(identity.server(), "127.0.0.1", &ours.pem(), "");
        scene.is_refused("not valid for name");
    }
    let identity = ours.issue(&["localhost"]);
    let named = "server_name = \"localhost\"";
    Scene::with(identity.server(), "127.0.0.1", &ours.pem(), named).is_served();
    let identity = ours.issue(&["127.0.0.9"]);
    let named = "server_name = \"127.0.0.9\"";
    Scene::with(identity.server(), "127.0.0.1", &ours.pem(), named).is_served();
}

#[test]
fn without_an_authority_of_its_own_a_shop_believes_whom_the_system_believes() {
    let identity = Authority::new("nobody knows it").issue(&["localhost"]);
    let server = Backend::with_tls("here", identity.server());
    let upstream = format!("https://localhost:{}", server.address().port());
    let edge = Edge::with(&table(&upstream, ""));
    assert_eq!(get(&edge), 502);
    assert_eq!(server.heard().len(), 0);
}

#[test]
fn a_server_in_the_clear_is_not_spoken_to_where_tls_is_wanted() {
    let shop = stateless_bagisto();
    let upstream = format!("https://{}", shop.address());
    let edge = Edge::with(&table(&upstream, "server_name = \"localhost\""));
    assert_eq!(get(&edge), 502);
    assert_eq!(shop.visits(), 0);
}

#[test]
fn a_server_that_keeps_a_handshake_waiting_is_504() {
    let server = Backend::saying("reads for ever");
    let edge = Edge::with(&format!(
        "{}[shop.timeouts]\nconnect = \"300ms\"\n",
        table(
            &format!("https://{}", server.address()),
            "server_name = \"localhost\"",
        )
    ));
    assert_eq!(get(&edge), 504);
}

#[test]
fn a_server_that_wants_our_certificate_gets_it() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("of clients"));
    let identity = ours.issue(&["localhost"]);
    let keys = folder();
    let put_identity = |name: &str, identity: &Identity| {
        let certificate = put(keys.path(), &format!("{name}.pem"), &identity.pem, 0o644);
        let key = put(
            keys.path(),
            &format!("{name}.key"),
            &identity.key_pem,
            0o600,
        );
        format!("cert_file = \"{certificate}\"\nkey_file = \"{key}\"")
    };
    let doorward = put_identity("doorward", &clients.issue(&["doorward"]));
    let stranger = put_identity("stranger", &ours.issue(&["doorward"]));
    let server = || identity.server_for_clients_of(&clients);
    Scene::with(server(), "localhost", &ours.pem(), &doorward).is_served();
    for more in ["", stranger.as_str()] {
        let scene = Scene::with(server(), "localhost", &ours.pem(), more);
        assert_eq!(get(&scene.edge), 502);
        assert_eq!(scene.server.heard().len(), 0);
    }
}

/// A connection that was verified for one shop proves nothing to another.
#[test]
fn shops_with_other_authorities_share_no_connection() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = Backend::with_tls("here", ours.issue(&["localhost"]).server());
    let files = folder();
    let shop = |name: &str, authority: &Authority| {
        let file = put(files.path(), name, &authority.pem(), 0o644);
        let upstream = format!("https://localhost:{}", server.address().port());
        table(&upstream, &format!("ca_file = \"{file}\"")).replace(
            "name = \"main\"",
            &format!("name = \"{name}\"\nhosts = [\"{name}.example.com\"]"),
        )
    };
    let edge = Edge::with(&[shop("one", &ours), shop("other", &theirs)].concat());
    let ask = |host| edge.raw(&request("GET", "/", &[("Host", host)], b""));
    for _ in 0..3 {
        assert_eq!(ask("one.example.com"), 200);
        assert_eq!(ask("other.example.com"), 502);
    }
    assert_eq!(server.heard().len(), 3);
}

#[test]
fn checks_verify_as_requests_do() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    for check in ["tcp", "http"] {
        let more = format!("[shop.health]\ncheck = \"{check}\"\ninterval = \"50ms\"\n");
        let good = ours.issue(&["localhost"]);
        let scene = Scene::with(good.server(), "localhost", &ours.pem(), &more);
        scene.is_served();
        let bad = theirs.issue(&["localhost"]);
        let scene = Scene::with(bad.server(), "localhost", &ours.pem(), &more);
        scene.is_refused("the server is unhealthy");
        scene.is_refused("UnknownIssuer");
    }
}

#[test]
fn a_logout_is_told_to_nobody_who_can_not_prove_to_be_the_shop() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    for (authority, heard) in [(&ours, 1), (&theirs, 0)] {
        let files = folder();
        let shop = stateless_bagisto();
        let server = Backend::with_tls(
            "{\"said\":\"bye\"}",
            authority.issue(&["localhost"]).server(),
        );
        let upstream = format!("[\"https://localhost:{}\"]", server.address().port());
        let ca_file = put(files.path(), "ca.pem", &ours.pem(), 0o644);
        let table = shop_table_at(&shop, &[]).replace("[]", &upstream);
        let edge = Edge::with(&format!(
            "{table}[shop.upstream_tls]\nca_file = \"{ca_file}\"\n"
        ));
        let alice = Customer::signed_in(&shop);
        let answer = alice.log_out(&edge);
        assert_eq!(answer, 200);
        assert_eq!(answer.json().get("said").is_some(), heard == 1);
        assert_eq!(server.heard().len(), heard);
        assert_eq!(alice.visit(&edge, "/cart"), 401);
    }
}

// --- HTTP/2 ----------------------------------------------------------------------------------------------

fn http2_edge(port: u16, authority: &Authority, folder: &TempDir) -> Edge {
    let ca_file = put(folder.path(), "ca.pem", &authority.pem(), 0o644);
    let upstream = format!("https://localhost:{port}");
    let table = table(&upstream, &format!("ca_file = \"{ca_file}\""));
    let with_http2 = "upstream_http2 = true\n[shop.upstream_tls]";
    Edge::with(&table.replace("[shop.upstream_tls]", with_http2))
}

#[test]
fn a_server_with_tls_is_spoken_to_in_http_2_where_it_offers_it() {
    let (ours, folder) = (Authority::new("ours"), folder());
    let identity = ours.issue(&["localhost"]);
    let echo = Echo::with_tls(identity.server());
    let edge = http2_edge(echo.address().port(), &ours, &folder);
    for round in 1..=3 {
        let answer = edge.raw(&request("POST", "/order", &[], b"one kettle"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "one kettle"));
        let heard = echo.heard();
        assert_eq!(heard.len(), round);
        assert_eq!(heard[0].uri, "https://shop.example.com/order");
    }
    let old = Backend::with_tls("old", identity.server());
    let edge = http2_edge(old.address().port(), &ours, &folder);
    for _ in 0..3 {
        assert_eq!(get(&edge).text(), "old");
    }
}

#[test]
fn a_websocket_is_asked_for_in_http_1_whatever_the_server_could() {
    let (ours, folder) = (Authority::new("ours"), folder());
    let mut both = ours.issue(&["localhost"]).server();
    both.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let server = Backend::with_tls("", both);
    server.says(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let edge = http2_edge(server.address().port(), &ours, &folder);
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert_eq!(edge.raw(&request("GET", "/chat", &headers, b"")), 101);
    let heard = server.heard().pop().unwrap();
    assert!(
        heard
            .head
            .to_ascii_lowercase()
            .contains("\r\nupgrade: websocket\r\n")
    );
}

// --- What the configuration says of it -------------------------------------------------------------------

fn faults(folder: &Path, upstream: &str, tls: &str) -> String {
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{}",
        table(upstream, tls)
    );
    match config::parse("doorward.toml", &text, folder) {
        Ok((_, warnings)) => warnings.to_string(),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn certificates_and_keys_that_can_not_be_used_are_faults() {
    let folder = folder();
    let at = folder.path();
    let ours = Authority::new("ours");
    let (one, other) = (ours.issue(&["one"]), ours.issue(&["other"]));
    put(at, "one.pem", &one.pem, 0o644);
    put(at, "one.key", &one.key_pem, 0o640);
    put(at, "open.key", &one.key_pem, 0o644);
    put(at, "other.key", &other.key_pem, 0o600);
    put(at, "empty.pem", "", 0o644);
    let rubbish = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    put(at, "rubbish.pem", rubbish, 0o644);
    for (tls, fault) in [
        (
            "ca_file = \"one.pem\"\ncert_file = \"one.pem\"\nkey_file = \"one.key\"",
            "",
        ),
        ("ca_file = \"nowhere.pem\"", "can't be read: No such file"),
        ("ca_file = \"empty.pem\"", "there is no certificate in it"),
        ("ca_file = \"one.key\"", "there is no certificate in it"),
        (
            "ca_file = \"rubbish.pem\"",
            "a certificate in it can't be read",
        ),
        (
            "cert_file = \"rubbish.pem\"\nkey_file = \"one.key\"",
            "a certificate in it can't be read",
        ),
        (
            "cert_file = \"one.pem\"\nkey_file = \"one.pem\"",
            "there is no private key in it",
        ),
        (
            "cert_file = \"one.pem\"\nkey_file = \"other.key\"",
            "the key does not belong to",
        ),
        (
            "cert_file = \"one.pem\"\nkey_file = \"open.key\"",
            "every user of this machine",
        ),
        ("cert_file = \"one.pem\"", "`cert_file` without `key_file`"),
        ("key_file = \"one.key\"", "`key_file` without `cert_file`"),
        ("server_name = \"\"", "expected the name or address"),
        (
            "server_name = \"my_shop.internal\"",
            "expected the name or address",
        ),
        ("insecure = true", "unknown key `insecure`"),
    ] {
        let found = faults(at, "https://shop.internal", tls);
        assert!(found.contains(fault), "{tls}: {found}");
        assert_eq!(fault.is_empty(), found.is_empty(), "{tls}: {found}");
        assert!(!found.contains("PRIVATE KEY"), "{found}");
    }
    let found = faults(at, "127.0.0.1:8000", "ca_file = \"one.pem\"");
    assert!(
        found.contains("no upstream of this shop is https://"),
        "{found}"
    );
    let found = faults(at, "https://my_shop.internal", "");
    assert!(
        found.contains("no certificate can be issued for"),
        "{found}"
    );
    let named = "server_name = \"shop.internal\"";
    assert_eq!(faults(at, "https://my_shop.internal", named), "");
}
