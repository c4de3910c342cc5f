//! What an operator may rely on when writing `[cluster]`.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use doorward::clock;
use doorward::cluster::{ClusterSettings, Security, StalePolicy};
use doorward::config::{self, Config};
use doorward::revocation::AckPolicy;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use support::{Authority, Edge, Identity, Shop, doorward, put, shop_table, stateless_bagisto};
use tempfile::TempDir;

/// A folder as `/etc/doorward` would be, with the certificates of node `a`.
struct Folder {
    home: TempDir,
    authority: Authority,
}

impl Folder {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("cluster")).unwrap();
        let authority = Authority::new("Doorward cluster");
        let folder = Self { home, authority };
        folder.put("jwt.secret", Shop::SECRET, 0o640);
        folder.put("cluster/ca.pem", &folder.authority.pem(), 0o644);
        folder.put_node(&folder.authority.issue(&["a"]));
        folder
    }

    fn put(&self, file: &str, text: &str, mode: u32) {
        put(self.home.path(), file, text, mode);
    }

    /// As the certificate and key of this node.
    fn put_node(&self, identity: &Identity) {
        self.put("cluster/a.pem", &identity.pem, 0o644);
        self.put("cluster/a.key", &identity.key_pem, 0o640);
    }

    fn read(&self, cluster: &str) -> (Option<Config>, String) {
        let text = around(cluster);
        match config::parse("doorward.toml", &text, self.home.path()) {
            Ok((config, warnings)) => (Some(config), warnings.to_string()),
            Err(faults) => (None, faults.to_string()),
        }
    }

    /// The cluster of a text that must load without a word.
    fn cluster(&self, cluster: &str) -> ClusterSettings {
        let (config, told) = self.read(cluster);
        assert_eq!(told, "", "{cluster}");
        config.unwrap().server.cluster.unwrap()
    }

    /// What is told of a text that must not load.
    fn faults(&self, cluster: &str) -> String {
        let (config, told) = self.read(cluster);
        assert!(config.is_none(), "it loads: {cluster}\n{told}");
        told
    }

    /// What is told of a text that must load.
    fn warnings(&self, cluster: &str) -> String {
        let (config, told) = self.read(cluster);
        assert!(config.is_some(), "{told}");
        told
    }
}

/// The shortest configuration; `[cluster]` is its fourth line.
fn around(cluster: &str) -> String {
    format!(
        r#"listen = ["10.0.0.1:8080"]
operator_listen = "127.0.0.1:8081"
data_dir = "data"
[cluster]
{cluster}
[[shop]]
name = "main"
upstream = ["127.0.0.1:8000"]
token.algorithms = ["HS256"]
token.secret_file = "jwt.secret"
"#
    )
}

const FILES: &str = r#"ca_file = "cluster/ca.pem"
cert_file = "cluster/a.pem"
key_file = "cluster/a.key"
"#;

/// A good configuration with these lines at its end, the eleventh line of the file and after.
fn with(lines: &str) -> String {
    format!("node = \"a\"\nlisten = \"10.0.0.1:7946\"\npeers = [\"10.0.0.2:7946\"]\n{FILES}{lines}")
}

const BAD: &str = r#"node = "A"
listen = "10.0.0.1"
peers = ["10.0.0.2", "b:0"]
ack = "most"
allow = ["B"]
quarantine = ["C"]
bus = "http://me:hunter2@a"
bus_ca_file = "none.pem"
bootstrap_timeout = "0s"
on_stale = "wait"
on_isolated = "no"
new_cluster = 1
lissen = 1"#;

const BAD_REPORT: &str = r#"error: missing key `ca_file`
 --> doorward.toml:4:1
  |
4 | [cluster]
  | ^^^^^^^^^ expected the certificate of the cluster's authority in PEM, as `doorward cluster init` makes it

error: missing key `cert_file`
 --> doorward.toml:4:1
  |
4 | [cluster]
  | ^^^^^^^^^ expected the certificate of this node in PEM

error: missing key `key_file`
 --> doorward.toml:4:1
  |
4 | [cluster]
  | ^^^^^^^^^ expected its private key in PEM

error: expected a name of lower-case letters, digits, dots and hyphens, such as shop-1, found `A`
 --> doorward.toml:5:8
  |
5 | node = "A"
  |        ^^^

error: expected an address with a port, such as 10.0.0.1:7946 or [::]:7946, found `10.0.0.1`
 --> doorward.toml:6:10
  |
6 | listen = "10.0.0.1"
  |          ^^^^^^^^^^

error: expected an address or name with a port, such as 10.0.0.2:7946, [2001:db8::2]:7946 or doorward.internal:7946, found `10.0.0.2`
 --> doorward.toml:7:10
  |
7 | peers = ["10.0.0.2", "b:0"]
  |          ^^^^^^^^^^

error: expected an address or name with a port, such as 10.0.0.2:7946, [2001:db8::2]:7946 or doorward.internal:7946, found `b:0`
 --> doorward.toml:7:22
  |
7 | peers = ["10.0.0.2", "b:0"]
  |                      ^^^^^

error: unknown `ack`: `most`
 --> doorward.toml:8:7
  |
8 | ack = "most"
  |       ^^^^^^
  |
  = help: known: local, one, all

error: expected a name of lower-case letters, digits, dots and hyphens, such as shop-1, found `B`
 --> doorward.toml:9:10
  |
9 | allow = ["B"]
  |          ^^^

error: expected a name of lower-case letters, digits, dots and hyphens, such as shop-1, found `C`
  --> doorward.toml:10:15
   |
10 | quarantine = ["C"]
   |               ^^^

error: `bus` does not fit
--> doorward.toml:11:7
 = note: expected rediss://user:password@host:6380/0, or redis:// without TLS

error: `none.pem` can't be read: No such file or directory (os error 2)
  --> doorward.toml:12:15
   |
12 | bus_ca_file = "none.pem"
   |               ^^^^^^^^^^
   |
   = help: paths are relative to the folder of the configuration

error: `bootstrap_timeout` is out of range
  --> doorward.toml:13:21
   |
13 | bootstrap_timeout = "0s"
   |                     ^^^^ expected 1s to 10m

error: unknown `on_stale`: `wait`
  --> doorward.toml:14:12
   |
14 | on_stale = "wait"
   |            ^^^^^^
   |
   = help: known: serve, refuse

error: unknown `on_isolated`: `no`
  --> doorward.toml:15:15
   |
15 | on_isolated = "no"
   |               ^^^^
   |
   = help: known: serve, refuse

error: wrong type for `new_cluster`
  --> doorward.toml:16:15
   |
16 | new_cluster = 1
   |               ^ expected a boolean, found integer

error: unknown key `lissen`
  --> doorward.toml:17:1
   |
17 | lissen =
   | ^^^^^^
   |
   = help: did you mean `listen`? known: node, listen, peers, insecure, ca_file, cert_file, key_file, allow, bus, bus_ca_file, ack, new_cluster, on_stale, on_isolated, bootstrap_timeout, quarantine
"#;

#[test]
fn every_fault_of_a_cluster_is_reported_at_once() {
    assert_eq!(Folder::new().faults(BAD), BAD_REPORT);
}

#[test]
fn a_cluster_that_says_nothing_is_told_what_it_lacks() {
    let expected = r#"error: missing key `node`
 --> doorward.toml:4:1
  |
4 | [cluster]
  | ^^^^^^^^^ expected the name of this node, such as "a"

error: missing key `listen`
 --> doorward.toml:4:1
  |
4 | [cluster]
  | ^^^^^^^^^ expected an address such as "10.0.0.1:7946"

error: missing key `ca_file`
 --> doorward.toml:4:1
  |
4 | [cluster]
  | ^^^^^^^^^ expected the certificate of the cluster's authority in PEM, as `doorward cluster init` makes it

error: missing key `cert_file`
 --> doorward.toml:4:1
  |
4 | [cluster]
  | ^^^^^^^^^ expected the certificate of this node in PEM

error: missing key `key_file`
 --> doorward.toml:4:1
  |
4 | [cluster]
  | ^^^^^^^^^ expected its private key in PEM
"#;
    assert_eq!(Folder::new().faults(""), expected);
}

#[test]
fn a_good_cluster_loads_and_its_defaults_are_safe() {
    let cluster = Folder::new().cluster(&with(""));
    assert_eq!(cluster.node.as_str(), "a");
    assert_eq!(cluster.listen.to_string(), "10.0.0.1:7946");
    assert_eq!(cluster.peers[0].to_string(), "10.0.0.2:7946");
    assert_eq!(cluster.ack, AckPolicy::One);
    assert!(!cluster.new_cluster);
    assert_eq!(cluster.on_stale, StalePolicy::Serve);
    assert_eq!(cluster.on_isolated, StalePolicy::Refuse);
    assert_eq!(cluster.bootstrap_timeout, Duration::from_secs(30));
    assert!(cluster.quarantine.is_empty() && cluster.bus.is_none());
    let Security::Certificates(certificates) = cluster.security else {
        panic!("there are certificates");
    };
    assert_eq!(certificates.authorities.len(), 1);
    assert_eq!(certificates.chain.len(), 1);
    assert!(certificates.allow.is_empty());
    assert!(!format!("{certificates:?}").contains("key"));
}

#[test]
fn every_key_is_taken_over() {
    let folder = Folder::new();
    let cluster = folder.cluster(&with(
        r#"allow = ["b", "c"]
ack = "all"
on_stale = "refuse"
on_isolated = "serve"
bootstrap_timeout = "10m"
quarantine = ["c", "d"]
bus = "rediss://me:hunter2@redis.internal:6380/2"
bus_ca_file = "cluster/ca.pem""#,
    ));
    assert_eq!(cluster.ack, AckPolicy::All);
    assert_eq!(cluster.on_stale, StalePolicy::Refuse);
    assert_eq!(cluster.on_isolated, StalePolicy::Serve);
    assert_eq!(cluster.bootstrap_timeout, Duration::from_mins(10));
    assert_eq!(cluster.quarantine.len(), 2);
    let bus = cluster.bus.unwrap();
    assert_eq!(bus.url, "rediss://me:hunter2@redis.internal:6380/2");
    assert_eq!(bus.to_string(), "redis.internal:6380");
    assert_eq!(
        bus.authorities_pem,
        Some(folder.authority.pem().into_bytes())
    );
    let Security::Certificates(certificates) = cluster.security else {
        panic!("there are certificates");
    };
    let allow: Vec<_> = certificates.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["b", "c"]);
}

#[test]
fn a_chain_of_certificates_is_kept_and_may_bear_several_names() {
    let folder = Folder::new();
    let node = folder.authority.issue(&["b", "a", "a.internal"]);
    let chain = node.pem.clone() + &folder.authority.pem();
    folder.put_node(&node);
    folder.put("cluster/a.pem", &chain, 0o644);
    let Security::Certificates(certificates) = folder.cluster(&with("")).security else {
        panic!("there are certificates");
    };
    assert_eq!(certificates.chain.len(), 2);
}

#[test]
fn a_logout_is_acknowledged_alike_with_peers_and_without_attacks_a14() {
    let folder = Folder::new();
    let alone = with("").replace("peers = [\"10.0.0.2:7946\"]\n", "");
    assert_eq!(folder.cluster(&alone).ack, AckPolicy::One);
    assert_eq!(
        folder.cluster(&with("ack = \"local\"")).ack,
        AckPolicy::Local
    );
    let bus = format!("{alone}bus = \"redis://127.0.0.1\"\n");
    assert_eq!(folder.cluster(&bus).ack, AckPolicy::One);
    folder.cluster(&format!("{bus}ack = \"all\""));
    assert_eq!(
        folder.cluster(&format!("{alone}ack = \"all\"")).ack,
        AckPolicy::All
    );
}

#[test]
fn a_node_bears_the_name_of_its_certificate() {
    let folder = Folder::new();
    let other = with("").replace("node = \"a\"", "node = \"b\"");
    let expected = r#"error: the certificate is not made out for `b`
 --> doorward.toml:5:8
  |
5 | node = "b"
  |        ^^^ it contains a
  |
  = help: `node` must be one of its subject alternative names (DNS)
"#;
    assert_eq!(folder.faults(&other), expected);
    let names = ["*.shop.internal", "shop.internal", "10.0.0.1"];
    folder.put_node(&folder.authority.issue(&names));
    let other = other.replace("\"b\"", "\"b.shop.internal\"");
    let told = folder.faults(&other);
    let borne = "^ it contains *.shop.internal, shop.internal\n";
    assert!(told.contains(borne), "{told}");
    folder.put_node(&folder.authority.issue(&[]));
    let told = folder.faults(&other);
    assert!(told.contains("^ it contains no DNS name\n"), "{told}");
}

#[test]
fn a_certificate_that_is_over_is_an_error() {
    let folder = Folder::new();
    folder.put_node(&folder.authority.issue_expired(&["a"]));
    let expected = r#"error: `cluster/a.pem`: the certificate ended at 2001-01-01T00:00:00Z
 --> doorward.toml:9:13
  |
9 | cert_file = "cluster/a.pem"
  |             ^^^^^^^^^^^^^^^
  |
  = help: let the cluster's authority sign another one for this node, and reload
"#;
    assert_eq!(folder.faults(&with("")), expected);
}

#[test]
fn a_certificate_that_ends_within_a_month_is_a_warning() {
    let folder = Folder::new();
    let issue = |days: u64| {
        let mut params = CertificateParams::new(["a".to_owned()]).unwrap();
        let now = Duration::from_secs(clock::now().seconds());
        params.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_hours(24 * days);
        folder.put_node(&folder.authority.sign(&params));
    };
    issue(29);
    let told = folder.warnings(&with(""));
    let expected = "warning: `cluster/a.pem`: the certificate ends at 20";
    assert!(told.starts_with(expected), "{told}");
    let help = "= help: let the cluster's authority sign another one for this node, and reload";
    assert!(told.contains(help), "{told}");
    issue(31);
    folder.cluster(&with(""));
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_an_error() {
    let folder = Folder::new();
    let mut params = CertificateParams::new(["a".to_owned()]).unwrap();
    params.not_before = date_time_ymd(3000, 1, 1);
    folder.put_node(&folder.authority.sign(&params));
    let expected = r#"error: `cluster/a.pem`: the certificate is not valid before 3000-01-01T00:00:00Z
 --> doorward.toml:9:13
  |
9 | cert_file = "cluster/a.pem"
  |             ^^^^^^^^^^^^^^^
  |
  = help: is the clock of this machine right?
"#;
    assert_eq!(folder.faults(&with("")), expected);
}

#[test]
fn a_certificate_of_another_authority_is_an_error() {
    let expected = r#"error: `cluster/a.pem`: no authority of `cluster/ca.pem` has signed it
 --> doorward.toml:9:13
  |
9 | cert_file = "cluster/a.pem"
  |             ^^^^^^^^^^^^^^^
  |
  = help: cert_file holds the node's certificate, and those between it and the authority
"#;
    let folder = Folder::new();
    for stranger in ["Somebody", "Doorward cluster"] {
        folder.put_node(&Authority::new(stranger).issue(&["a"]));
        assert_eq!(folder.faults(&with("")), expected);
    }
    folder.put_node(&Identity::of_nobody(&["a"]));
    assert_eq!(folder.faults(&with("")), expected);
}

#[test]
fn the_certificate_of_the_authority_is_nobodys() {
    let folder = Folder::new();
    let mut params = CertificateParams::new(["a".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    folder.put("cluster/ca.pem", &pem, 0o644);
    folder.put("cluster/a.pem", &pem, 0o644);
    folder.put("cluster/a.key", &key.serialize_pem(), 0o640);
    let expected = r#"error: `cluster/a.pem`: this is the certificate of an authority, not of a node
 --> doorward.toml:9:13
  |
9 | cert_file = "cluster/a.pem"
  |             ^^^^^^^^^^^^^^^
  |
  = help: ca_file holds the authority's, cert_file the node's
"#;
    assert_eq!(folder.faults(&with("")), expected);
}

#[test]
fn a_node_is_a_server_and_a_client() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let folder = Folder::new();
    let issue = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = CertificateParams::new(["a".to_owned()]).unwrap();
        params.extended_key_usages = usages.to_vec();
        folder.put_node(&folder.authority.sign(&params));
    };
    let lacks = |usage: &str| {
        format!(
            r#"error: `cluster/a.pem`: its extended key usage lacks {usage}
 --> doorward.toml:9:13
  |
9 | cert_file = "cluster/a.pem"
  |             ^^^^^^^^^^^^^^^
  |
  = help: nodes are servers and clients to each other: both, or no such extension
"#
        )
    };
    issue(&[ServerAuth]);
    assert_eq!(folder.faults(&with("")), lacks("clientAuth"));
    issue(&[ClientAuth]);
    assert_eq!(folder.faults(&with("")), lacks("serverAuth"));
    issue(&[ExtendedKeyUsagePurpose::CodeSigning]);
    let both = format!("{}\n{}", lacks("serverAuth"), lacks("clientAuth"));
    assert_eq!(folder.faults(&with("")), both);
    issue(&[ServerAuth, ClientAuth]);
    folder.cluster(&with(""));
}

#[test]
fn a_key_of_another_certificate_is_an_error() {
    let folder = Folder::new();
    let other = folder.authority.issue(&["a"]);
    folder.put("cluster/a.key", &other.key_pem, 0o640);
    let expected = r#"error: `cluster/a.pem`: the private key does not fit the certificate: keys may not be consistent: KeyMismatch
 --> doorward.toml:9:13
  |
9 | cert_file = "cluster/a.pem"
  |             ^^^^^^^^^^^^^^^
"#;
    assert_eq!(folder.faults(&with("")), expected);
}

#[test]
fn a_key_that_everybody_may_read_is_an_error() {
    let folder = Folder::new();
    let node = folder.authority.issue(&["a"]);
    folder.put_node(&node);
    folder.put("cluster/a.key", &node.key_pem, 0o644);
    let expected = r#"error: `cluster/a.key`: every user of this machine may use it (mode 0644)
  --> doorward.toml:10:12
   |
10 | key_file = "cluster/a.key"
   |            ^^^^^^^^^^^^^^^
   |
   = help: chown root:doorward cluster/a.key && chmod 0640 cluster/a.key
"#;
    assert_eq!(folder.faults(&with("")), expected);
}

#[test]
fn files_that_are_not_there_or_hold_something_else_are_all_told() {
    let folder = Folder::new();
    for file in ["ca.pem", "a.pem", "a.key"] {
        fs::remove_file(folder.home.path().join("cluster").join(file)).unwrap();
    }
    let expected = r#"error: `cluster/ca.pem` can't be read: No such file or directory (os error 2)
 --> doorward.toml:8:11
  |
8 | ca_file = "cluster/ca.pem"
  |           ^^^^^^^^^^^^^^^^
  |
  = help: paths are relative to the folder of the configuration

error: `cluster/a.pem` can't be read: No such file or directory (os error 2)
 --> doorward.toml:9:13
  |
9 | cert_file = "cluster/a.pem"
  |             ^^^^^^^^^^^^^^^
  |
  = help: paths are relative to the folder of the configuration

error: `cluster/a.key` can't be read: No such file or directory (os error 2)
  --> doorward.toml:10:12
   |
10 | key_file = "cluster/a.key"
   |            ^^^^^^^^^^^^^^^
   |
   = help: paths are relative to the folder of the configuration
"#;
    assert_eq!(folder.faults(&with("")), expected);
    folder.put("cluster/ca.pem", "hello", 0o644);
    folder.put("cluster/a.pem", "hello", 0o644);
    folder.put("cluster/a.key", "hello", 0o640);
    let expected = r#"error: `cluster/ca.pem`: expected certificates of authorities in PEM
 --> doorward.toml:8:11
  |
8 | ca_file = "cluster/ca.pem"
  |           ^^^^^^^^^^^^^^^^

error: `cluster/a.pem`: there is no certificate in PEM
 --> doorward.toml:9:13
  |
9 | cert_file = "cluster/a.pem"
  |             ^^^^^^^^^^^^^^^
"#;
    assert_eq!(folder.faults(&with("")), expected);
    folder.put("cluster/ca.pem", &folder.authority.pem(), 0o644);
    folder.put("cluster/a.pem", &folder.authority.issue(&["a"]).pem, 0o644);
    let told = folder.faults(&with(""));
    let expected =
        "error: `cluster/a.pem`: there is no private key in PEM (PKCS#8, PKCS#1 or SEC1)";
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn without_a_certificate_the_others_are_still_looked_at() {
    let folder = Folder::new();
    let lines = with("").replace("cert_file = \"cluster/a.pem\"\n", "");
    folder.put("cluster/ca.pem", "hello", 0o644);
    let told = folder.faults(&lines);
    assert!(told.contains("missing key `cert_file`"), "{told}");
    assert!(
        told.contains("`cluster/ca.pem`: expected certificates of authorities"),
        "{told}"
    );
}

#[test]
fn an_empty_list_of_nodes_is_no_list() {
    let expected = r"error: `allow` names no node
  --> doorward.toml:11:9
   |
11 | allow = []
   |         ^^
   |
   = help: leave it out for every node that the authority certified
";
    assert_eq!(Folder::new().faults(&with("allow = []")), expected);
}

#[test]
fn nodes_come_to_an_address_of_their_own() {
    let folder = Folder::new();
    let clash = |address: &str, who: &str| {
        let carets = "^".repeat(address.len() + 2);
        format!(
            r#"error: the cluster's listener needs an address of its own
 --> doorward.toml:6:10
  |
6 | listen = "{address}"
  |          {carets} this address is for {who}
  |
  = help: this listener is for nodes only: choose another port, such as 7946
"#
        )
    };
    let at = |address: &str| with("").replace("10.0.0.1:7946", address);
    for (address, who) in [
        ("10.0.0.1:8080", "customers"),
        ("0.0.0.0:8080", "customers"),
        ("[::]:8080", "customers"),
        ("127.0.0.1:8081", "operators"),
        ("0.0.0.0:8081", "operators"),
    ] {
        assert_eq!(folder.faults(&at(address)), clash(address, who));
    }
    for address in [
        "0.0.0.0:7946",
        "[::]:7946",
        "10.0.0.2:8080",
        "[::1]:8081",
        "0.0.0.0:0",
    ] {
        folder.cluster(&at(address));
    }
    let public = around(&at("10.0.0.1:7946")).replace("10.0.0.1:8080", "0.0.0.0:7946");
    let faults = config::parse("doorward.toml", &public, folder.home.path()).err();
    assert_eq!(
        faults.unwrap().to_string(),
        clash("10.0.0.1:7946", "customers")
    );
}

#[test]
fn a_peer_stands_once_and_is_another_node() {
    let folder = Folder::new();
    let peers = |list: &str| with("").replace("[\"10.0.0.2:7946\"]", list);
    let expected = r#"error: this peer is listed twice
 --> doorward.toml:7:46
  |
7 | peers = ["b.internal:7946", "10.0.0.2:7946", "B.internal:7946"]
  |                                              ^^^^^^^^^^^^^^^^^
"#;
    let twice = peers(r#"["b.internal:7946", "10.0.0.2:7946", "B.internal:7946"]"#);
    assert_eq!(folder.faults(&twice), expected);
    let expected = r#"warning: this node is no peer of itself
 --> doorward.toml:7:10
  |
7 | peers = ["10.0.0.1:7946", "10.0.0.2:7946"]
  |          ^^^^^^^^^^^^^^^ it listens here
  |
  = help: leave it out
"#;
    let own = peers(r#"["10.0.0.1:7946", "10.0.0.2:7946"]"#);
    assert_eq!(folder.warnings(&own), expected);
    folder.cluster(&peers(
        r#"["10.0.0.2:7946", "10.0.0.2:7947", "10.0.0.1:7947"]"#,
    ));
}

/// A cluster without certificates.
const INSECURE: &str = r#"node = "a"
listen = "127.0.0.1:0"
peers = ["127.0.0.1:7946", "[::1]:7946", "localhost:7947"]
insecure = true
"#;

#[test]
fn plain_text_stays_on_this_machine() {
    let folder = Folder::new();
    let cluster = folder.cluster(INSECURE);
    assert!(matches!(cluster.security, Security::Loopback));
    assert_eq!(cluster.peers.len(), 3);
    let outside = r#"node = "a"
listen = "0.0.0.0:7946"
peers = ["10.0.0.2:7946", "127.0.0.1:7946", "b.internal:7946"]
insecure = true"#;
    let expected = r#"error: insecure = true is for nodes of one machine
 --> doorward.toml:6:10
  |
6 | listen = "0.0.0.0:7946"
  |          ^^^^^^^^^^^^^^ expected 127.0.0.1, [::1] or, for a peer, localhost
  |
  = help: `doorward cluster init` makes certificates

error: insecure = true is for nodes of one machine
 --> doorward.toml:7:10
  |
7 | peers = ["10.0.0.2:7946", "127.0.0.1:7946", "b.internal:7946"]
  |          ^^^^^^^^^^^^^^^ expected 127.0.0.1, [::1] or, for a peer, localhost
  |
  = help: `doorward cluster init` makes certificates

error: insecure = true is for nodes of one machine
 --> doorward.toml:7:45
  |
7 | peers = ["10.0.0.2:7946", "127.0.0.1:7946", "b.internal:7946"]
  |                                             ^^^^^^^^^^^^^^^^^ expected 127.0.0.1, [::1] or, for a peer, localhost
  |
  = help: `doorward cluster init` makes certificates
"#;
    assert_eq!(folder.faults(outside), expected);
}

#[test]
fn plain_text_needs_no_certificates() {
    let expected = r#"error: `ca_file` means nothing with insecure = true
 --> doorward.toml:9:11
  |
9 | ca_file = "cluster/ca.pem"
  |           ^^^^^^^^^^^^^^^^

error: `cert_file` means nothing with insecure = true
  --> doorward.toml:10:13
   |
10 | cert_file = "cluster/a.pem"
   |             ^^^^^^^^^^^^^^^

error: `key_file` means nothing with insecure = true
  --> doorward.toml:11:12
   |
11 | key_file = "cluster/a.key"
   |            ^^^^^^^^^^^^^^^

error: `allow` means nothing with insecure = true
  --> doorward.toml:12:9
   |
12 | allow = ["b"]
   |         ^^^^^
"#;
    let text = format!("{INSECURE}{FILES}allow = [\"b\"]");
    assert_eq!(Folder::new().faults(&text), expected);
}

#[test]
fn an_insecure_that_is_no_boolean_brings_no_other_faults_about() {
    for files in ["", FILES] {
        let text = INSECURE.replace("true", "\"yes\"") + files;
        let told = Folder::new().faults(&text);
        assert!(
            told.starts_with("error: wrong type for `insecure`"),
            "{told}"
        );
        assert_eq!(told.matches("error: ").count(), 1, "{told}");
    }
}

#[test]
fn a_node_is_not_in_its_own_quarantine() {
    let expected = r#"error: a node can't be in its own quarantine
  --> doorward.toml:11:20
   |
11 | quarantine = ["b", "a"]
   |                    ^^^
   |
   = help: name it in the configurations of the others, and stop it
"#;
    let text = with("quarantine = [\"b\", \"a\"]");
    assert_eq!(Folder::new().faults(&text), expected);
}

#[test]
fn the_first_start_is_warned_of() {
    let folder = Folder::new();
    let expected = r"warning: `new_cluster` is for the first start of the first node only
  --> doorward.toml:11:15
   |
11 | new_cluster = true
   |               ^^^^ a lost journal would not be noticed
   |
   = help: remove it as soon as the node is ready, for its next start
";
    assert_eq!(folder.warnings(&with("new_cluster = true")), expected);
    let (config, _) = folder.read(&with("new_cluster = true"));
    assert!(config.unwrap().server.cluster.unwrap().new_cluster);
    assert!(!folder.cluster(&with("new_cluster = false")).new_cluster);
}

#[test]
fn a_start_waits_from_a_second_to_ten_minutes() {
    let folder = Folder::new();
    for (wait, seconds) in [("1s", 1), ("10m", 600)] {
        let cluster = folder.cluster(&with(&format!("bootstrap_timeout = \"{wait}\"")));
        assert_eq!(cluster.bootstrap_timeout, Duration::from_secs(seconds));
    }
    for wait in ["999ms", "601s"] {
        let told = folder.faults(&with(&format!("bootstrap_timeout = \"{wait}\"")));
        assert!(
            told.starts_with("error: `bootstrap_timeout` is out of range"),
            "{told}"
        );
        assert!(told.contains("^ expected 1s to 10m"), "{told}");
    }
}

#[test]
fn a_bus_in_the_clear_is_a_warning() {
    let folder = Folder::new();
    for url in [
        "redis://127.0.0.1",
        "redis://localhost:6379/1",
        "redis://[::1]:1",
    ] {
        folder.cluster(&with(&format!("bus = \"{url}\"")));
    }
    let expected = r"warning: passwords and revocations travel to the bus in the clear
--> doorward.toml:11:7
 = help: turn on TLS there, and write rediss://
";
    let exposed = with("bus = \"redis://10.0.0.9:6379\"");
    assert_eq!(folder.warnings(&exposed), expected);
}

#[test]
fn a_bus_must_be_verifiable() {
    let folder = Folder::new();
    let expected = r"error: `bus` does not fit
--> doorward.toml:11:7
 = note: expected rediss:// without #insecure: the server's certificate is verified
";
    let blind = with("bus = \"rediss://10.0.0.9:6379#insecure\"");
    assert_eq!(folder.faults(&blind), expected);
    let expected = r#"error: `bus_ca_file` means nothing without rediss://
  --> doorward.toml:12:15
   |
12 | bus_ca_file = "cluster/ca.pem"
   |               ^^^^^^^^^^^^^^^^
"#;
    let plain = with("bus = \"redis://127.0.0.1\"\nbus_ca_file = \"cluster/ca.pem\"");
    assert_eq!(folder.faults(&plain), expected);
    let expected = r#"error: `bus_ca_file` means nothing without `bus`
  --> doorward.toml:11:15
   |
11 | bus_ca_file = "cluster/ca.pem"
   |               ^^^^^^^^^^^^^^^^
"#;
    let alone = with("bus_ca_file = \"cluster/ca.pem\"");
    assert_eq!(folder.faults(&alone), expected);
    let expected = r#"error: `cluster/a.key`: expected certificates of authorities in PEM
  --> doorward.toml:12:15
   |
12 | bus_ca_file = "cluster/a.key"
   |               ^^^^^^^^^^^^^^^
"#;
    let key = with("bus = \"rediss://10.0.0.9\"\nbus_ca_file = \"cluster/a.key\"");
    assert_eq!(folder.faults(&key), expected);
}

#[test]
fn the_password_of_a_bus_is_never_told() {
    let folder = Folder::new();
    for lines in [
        "bus = \"redis://me:hunter2@10.0.0.9\"",
        "bus = \"http://me:hunter2@10.0.0.9\"",
        "bus = \"redis://me:hunter/2@10.0.0.9/x/hunter2\"",
        "bus = \"me:hunter2@10.0.0.9\"",
        "bus = [\"redis://me:hunter2@10.0.0.9\"]",
        "bus = redis://me:hunter2@10.0.0.9",
        "bus = \"redis://me:hunter2@10.0.0.9",
        "bus = \"\"\"\nredis://me:hunter2@10.0.0.9",
        "redis = \"redis://me:hunter2@10.0.0.9\"",
        "allow = [\"X\"]\nbus = { x = 1, url = \"redis://me:hunter2@10.0.0.9\" }",
    ] {
        let (_, told) = folder.read(&with(lines));
        assert!(!told.is_empty(), "{lines}");
        assert!(!told.contains("hunter2"), "{lines}: {told}");
    }
    let inline = around("").replace(
        "[cluster]\n",
        "cluster = { nod = \"a\", bus = \"redis://me:hunter2@10.0.0.9\" }\n",
    );
    let told = config::parse("doorward.toml", &inline, folder.home.path()).err();
    let told = told.unwrap().to_string();
    assert!(told.contains("unknown key `nod`"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let cluster = folder.cluster(&with("bus = \"rediss://me:hunter2@10.0.0.9\""));
    assert!(!format!("{cluster:?}").contains("hunter2"));
}

/// What `check` prints of this cluster, which must be good.
fn checked(cluster: &str) -> String {
    let folder = Folder::new();
    let text = around(cluster);
    folder.put("doorward.toml", &text, 0o644);
    let file = folder.home.path().join("doorward.toml");
    let outcome = doorward(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout.lines().next().unwrap().to_owned()
}

#[test]
fn check_sums_a_cluster_up_in_one_line() {
    let peers = r#"["10.0.0.2:7946", "doorward.internal:7946"]"#;
    let two = with("").replace(r#"["10.0.0.2:7946"]"#, peers);
    assert_eq!(
        checked(&two),
        "ok  cluster: node a on 10.0.0.1:7946, 2 peers, acknowledged by one"
    );
    assert_eq!(
        checked(&with(
            "ack = \"all\"\nbus = \"rediss://me:hunter2@[fd00::9]:6380/0\""
        )),
        "ok  cluster: node a on 10.0.0.1:7946, 1 peer, a bus at [fd00::9]:6380, acknowledged by all"
    );
    assert_eq!(
        checked("node = \"a\"\nlisten = \"[::1]:7946\"\ninsecure = true"),
        "ok  cluster: node a on [::1]:7946 in plain text, no peers, \
         acknowledged by one as soon as there is another node"
    );
    assert_eq!(
        checked("node = \"a\"\nlisten = \"[::1]:7946\"\ninsecure = true\nack = \"local\""),
        "ok  cluster: node a on [::1]:7946 in plain text, no peers, acknowledged by the own disk"
    );
}

/// What stands in the place of `insecure` where node `a` has certificates in this folder.
fn certified(home: &Path) -> String {
    let authority = Authority::new("Doorward cluster");
    let node = authority.issue(&["a"]);
    let ca_file = put(home, "ca.pem", &authority.pem(), 0o644);
    let cert_file = put(home, "a.pem", &node.pem, 0o644);
    let key_file = put(home, "a.key", &node.key_pem, 0o600);
    format!("ca_file = {ca_file:?}\ncert_file = {cert_file:?}\nkey_file = {key_file:?}\n")
}

/// The address of customers, which would else be taken for written already.
const PUBLIC: &str = "listen = [\"127.0.0.1:0\"]\n";

/// The first lines of a cluster without peers, on any port.
const ALONE: &str = "[cluster]\nnode = \"a\"\nlisten = \"127.0.0.1:0\"\ninsecure = true\n";

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_reloaded() {
    let shop = stateless_bagisto();
    let authority = Authority::new("Redis");
    let text = |cluster: &str| format!("{PUBLIC}{cluster}{}", shop_table(&shop));
    let bus = "bus = \"rediss://127.0.0.1:1\"\nbus_ca_file = \"{home}/bus.pem\"\n";
    let cluster = format!("{ALONE}{bus}new_cluster = true\nbootstrap_timeout = \"1s\"\n");
    let folder = tempfile::tempdir().unwrap();
    let files = certified(folder.path());
    put(folder.path(), "bus.pem", &authority.pem(), 0o644);
    let cluster = cluster.replace("{home}", folder.path().to_str().unwrap());
    let edge = Edge::with(&text(&cluster));
    let reload = || {
        let control = edge.path("data/control.sock");
        let outcome = edge.command(&["reload", "--control", control.to_str().unwrap()]);
        (outcome.code, outcome.stderr)
    };
    let refused = |changed: &str, keys: &str| {
        edge.configure(&text(changed));
        let told = format!("error: {keys} a restart, and nothing of the file is applied\n");
        let (code, said) = reload();
        assert_eq!(code, Some(1), "{changed}");
        let rest = said
            .strip_prefix(&told)
            .unwrap_or_else(|| panic!("{changed}: {said}"));
        // Nothing has changed in the file where another one that it names has.
        let is_named = rest.starts_with("  note: changed since the last reload: ");
        assert!(is_named || rest.is_empty(), "{changed}: {rest}");
    };
    refused(
        &cluster.replace("node = \"a\"", "node = \"b\""),
        "`cluster.node` needs",
    );
    refused(
        &cluster.replace("127.0.0.1:0", "127.0.0.1:7946"),
        "`cluster.listen` needs",
    );
    refused(
        &cluster.replace("insecure = true\n", &files),
        "`cluster.insecure` needs",
    );
    refused(
        &cluster.replace("127.0.0.1:1", "127.0.0.1:2"),
        "`cluster.bus` needs",
    );
    refused(
        &cluster
            .replace("node = \"a\"", "node = \"b\"")
            .replace("127.0.0.1:0", "[::1]:0"),
        "`cluster.node`, `cluster.listen` need",
    );
    refused("", "`cluster` needs");
    put(
        folder.path(),
        "bus.pem",
        &Authority::new("Redis 2").pem(),
        0o644,
    );
    refused(&cluster, "`cluster.bus_ca_file` needs");
    put(folder.path(), "bus.pem", &authority.pem(), 0o644);
    let rest = "peers = [\"127.0.0.1:1\"]\nack = \"local\"\non_stale = \"refuse\"\n\
                on_isolated = \"serve\"\nquarantine = [\"c\"]\n";
    let rest = cluster.replace("bootstrap_timeout = \"1s\"\n", rest);
    edge.configure(&text(&rest));
    let (code, told) = reload();
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("`new_cluster` is for the first start"),
        "{told}"
    );
}

#[test]
fn a_cluster_begins_with_a_restart() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    edge.configure(&format!("{PUBLIC}{ALONE}{}", shop_table(&shop)));
    let control = edge.path("data/control.sock");
    let refused = edge.command(&["reload", "--control", control.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .stderr
            .starts_with("error: `cluster` needs a restart"),
        "{refused:?}"
    );
}

#[test]
fn certificates_are_renewed_by_a_reload() {
    let shop = stateless_bagisto();
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::new("Doorward cluster");
    let issue = |identity: Identity| {
        put(home.path(), "ca.pem", &authority.pem(), 0o644);
        put(home.path(), "a.pem", &identity.pem, 0o644);
        put(home.path(), "a.key", &identity.key_pem, 0o600);
    };
    let cluster = |rest: &str| {
        let home = home.path().display();
        format!(
            "{PUBLIC}[cluster]\nnode = \"a\"\nlisten = \"127.0.0.1:0\"\nnew_cluster = true\n\
             ca_file = \"{home}/ca.pem\"\ncert_file = \"{home}/a.pem\"\n\
             key_file = \"{home}/a.key\"\n{rest}{}",
            shop_table(&shop)
        )
    };
    issue(authority.issue(&["a"]));
    let edge = Edge::with(&cluster(""));
    let control = edge.path("data/control.sock");
    let reload = || edge.command(&["reload", "--control", control.to_str().unwrap()]);
    issue(authority.issue(&["a"]));
    edge.configure(&cluster("allow = [\"b\"]\n"));
    assert_eq!(reload().code, Some(0));
    issue(authority.issue_expired(&["a"]));
    let refused = reload();
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("the certificate ended at 2001-01-01"),
        "{refused:?}"
    );
}
