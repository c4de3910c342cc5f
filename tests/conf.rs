//! What an operator may rely on when writing a configuration.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use doorward::config::{self, Config, Faults};
use doorward::request::{AnswerBy, Carrier, IssuedAt, Scope, TokenKind};
use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

const REFERENCE: &str = include_str!("../conf/doorward.toml");
const SECRET: &str = "a secret of more than thirty-two bytes, as RFC 7518 wants it for HS256";

/// A folder as `/etc/doorward` would be.
struct Folder(TempDir);

impl Folder {
    /// With `keys/jwt.secret` in it.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.0.path().join("keys")).unwrap();
        fs::create_dir(folder.0.path().join("cluster")).unwrap();
        fs::create_dir(folder.0.path().join("conf.d")).unwrap();
        let (authority, node, node_key) = node_certificate();
        let folder = folder
            .with("cluster/ca.pem", authority.as_bytes(), 0o644)
            .with("cluster/a.pem", node.as_bytes(), 0o644)
            .with("cluster/a.key", node_key.as_bytes(), 0o640);
        let shop = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
        fs::create_dir(folder.0.path().join("pages")).unwrap();
        let page = b"<h1>{status}</h1>";
        let folder = ["refused", "failed", "sign-in"]
            .into_iter()
            .fold(folder, |folder, name| {
                folder.with(&format!("pages/{name}.html"), page, 0o644)
            });
        folder
            .with("keys/jwt.secret", SECRET.as_bytes(), 0o640)
            .with("keys/sticky.secret", SECRET.as_bytes(), 0o640)
            .with("keys/shop.pem", shop.cert.pem().as_bytes(), 0o644)
            .with(
                "keys/shop.key",
                shop.signing_key.serialize_pem().as_bytes(),
                0o640,
            )
    }

    fn with(self, file: &str, bytes: &[u8], mode: u32) -> Self {
        let path = self.0.path().join(file);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        self
    }

    /// With a copy of a fixture, as `keys/key`.
    fn with_fixture(self, name: &str) -> Self {
        self.with("keys/key", &fs::read(fixture(name)).unwrap(), 0o644)
    }

    fn with_jwks(self, keys: &str) -> Self {
        let set = format!("{{\"keys\":[{keys}]}}");
        self.with("keys/key", set.as_bytes(), 0o640)
    }

    fn read(&self, text: &str) -> Result<(Config, Faults), Faults> {
        config::parse("doorward.toml", text, self.0.path())
    }

    /// What a text that must load says; and the warnings.
    fn loaded(&self, text: &str) -> (Config, String) {
        match self.read(text) {
            Ok((config, warnings)) => (config, warnings.to_string()),
            Err(faults) => panic!("{faults}"),
        }
    }

    fn faults(&self, text: &str) -> String {
        match self.read(text) {
            Ok(_) => panic!("it loads: {text}"),
            Err(faults) => faults.to_string(),
        }
    }
}

/// The certificate of an authority; and that of node `a`, with its key.
fn node_certificate() -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let node = CertificateParams::new(["a".to_owned()]).unwrap();
    let node = node.signed_by(&key, &issuer).unwrap().pem();
    (authority, node, key.serialize_pem())
}

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys");
    folder.join(name)
}

fn jwk(name: &str) -> String {
    fs::read_to_string(fixture(&format!("{name}.jwk.json"))).unwrap()
}

/// The ten-line configuration, with these lines for the shop and for its tokens.
fn shop_with(shop: &str, token: &str) -> String {
    format!(
        r#"listen = ["127.0.0.1:0"]
data_dir = "data"
[[shop]]
name = "main"
upstream = ["127.0.0.1:8000"]
{shop}
[shop.token]
{token}
"#
    )
}

const HS256: &str = "algorithms = [\"HS256\"]\nsecret_file = \"keys/jwt.secret\"";

fn shop(lines: &str) -> String {
    shop_with(lines, HS256)
}

#[test]
fn the_reference_loads_as_it_stands() {
    let (config, warnings) = Folder::new().loaded(REFERENCE);
    assert_eq!(warnings, "");
    assert_eq!(config.server.data_dir, Path::new("/var/lib/doorward"));
    assert_eq!(
        config.server.control,
        Path::new("/var/lib/doorward/control.sock")
    );
    assert_eq!(config.log, log::LevelFilter::Info);
    assert_eq!(
        config.summary,
        [
            "shop main",
            "  preset: bagisto",
            "  keys: 1 for HS256",
            "  upstreams: http://127.0.0.1:8000",
            "  a token without an issue time: new if no node has dated it (unknown_issue_time = new): a logout does not end what was \
             never shown here",
            "  token endpoints: 1",
        ]
    );
}

/// The reference with every `#key` switched on.
fn full_reference() -> String {
    let lines = REFERENCE.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with([' ', ':']) => key,
        Some(_) | None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_loads_with_every_key_switched_on() {
    let (config, warnings) = Folder::new().loaded(&full_reference());
    assert_eq!(config.shops.len(), 2);
    assert_eq!(warnings.matches("warning: ").count(), 5, "{warnings}");
    assert!(warnings.contains("have a key in common"), "{warnings}");
    assert_eq!(warnings.matches("uses the certificates").count(), 2);
    assert!(warnings.contains("no certificate is ordered for"));
    assert!(warnings.contains("`cart` changes nothing"), "{warnings}");
    let cluster = config.server.cluster.unwrap();
    assert_eq!((cluster.peers.len(), cluster.quarantine.len()), (2, 1));
    assert!(cluster.bus.is_some());
    let other = &config.shops[1];
    assert_eq!(other.places.len(), 12);
    assert_eq!(other.logouts.len(), 2);
    assert!(other.logouts[0].missing.is_some() && other.logouts[0].invalid.is_some());
}

/// Every key that the reader knows, told by the faults of a file that has an unknown one in every table.
fn known_keys() -> BTreeSet<String> {
    let text = "\
x = 1
listen = [{ x = 1 }]
[limits]
x = 1
[access_log]
x = 1
[[certificate]]
x = 1
[cluster]
x = 1
[[shop]]
x = 1
[shop.token]
x = 1
claims = { x = 1, issued_at = { x = 1 } }
[shop.client_key]
missing = { x = 1 }
x = 1
[shop.path_style]
x = 1
[shop.refusal]
x = 1
[shop.limits]
x = 1
logouts = { x = 1 }
[shop.graphql]
x = 1
[shop.balance]
x = 1
hash = { x = 1 }
sticky = { x = 1 }
[shop.health]
x = 1
[shop.timeouts]
x = 1
[shop.upstream_tls]
x = 1
[[shop.credential]]
x = 1
[[shop.route]]
x = 1
limit = { x = 1, by = { x = 1 } }
[[shop.logout]]
x = 1
clear_cookies = [{ x = 1 }]
errors = { x = 1 }
";
    let report = Folder::new().faults(text);
    let lists = report.lines().filter_map(|line| line.split_once("known: "));
    let keys = lists.flat_map(|(_, list)| list.split(", "));
    let keys: BTreeSet<_> = keys.map(str::to_owned).collect();
    let tables = text.matches("x = 1").count();
    assert_eq!(
        report.matches("unknown key `x`").count(),
        tables,
        "{report}"
    );
    keys
}

#[test]
fn the_reference_mentions_every_key() {
    let keys = known_keys();
    assert!(keys.len() > 50, "{keys:?}");
    for key in keys {
        let mentions = |line: &str| {
            let line = line.trim_start_matches(['#', ' ']);
            let table = line.trim_matches(['[', ']']);
            let is_table = table.len() < line.len() && table.split('.').any(|part| part == key);
            let value = format!("{key} = ");
            is_table || line.starts_with(&value) || line.contains(&format!(" {value}"))
        };
        assert!(REFERENCE.lines().any(mentions), "{key}");
    }
}

fn presets() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/presets");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.map(read).collect()
}

#[test]
fn every_preset_loads_alone_in_the_ten_line_configuration() {
    let presets = presets();
    assert!(presets.len() >= 2);
    for (name, preset) in presets {
        let text = format!(
            r#"
listen          = ["0.0.0.0:8080"]
data_dir        = "/var/lib/doorward"
operator_listen = "127.0.0.1:8081"

[[shop]]
name     = "main"
hosts    = ["shop.example.com"]
preset   = "{name}"
upstream = ["127.0.0.1:8000"]

[shop.token]
algorithms  = ["HS256"]
secret_file = "keys/jwt.secret"
"#
        );
        let (config, warnings) = Folder::new().loaded(&text);
        assert_eq!(warnings, "", "{name}");
        let has_logout = !config.shops[0].logouts.is_empty();
        // A shop that has none says whose its storefronts call.
        assert!(has_logout || preset.contains("/_doorward/logout"), "{name}");
    }
}

#[test]
fn no_preset_names_a_key_or_an_algorithm() {
    for (name, text) in presets() {
        for key in ["secret_file", "public_key_file", "jwks_", "algorithms"] {
            let is_written = |line: &str| line.trim_start().starts_with(key);
            assert!(!text.lines().any(is_written), "{name}: {key}");
        }
    }
}

#[test]
fn a_configuration_that_is_not_there_says_what_to_do() {
    let path = Path::new("/nowhere/doorward.toml");
    let faults = config::load(path).err().unwrap().to_string();
    let expected = "\
error: /nowhere/doorward.toml can't be read: No such file or directory (os error 2)
 |
 = help: write it, or name another with --config
";
    assert_eq!(faults, expected);
}

#[test]
fn files_are_found_beside_the_configuration() {
    let folder = Folder::new();
    let path = folder.0.path().join("doorward.toml");
    fs::write(&path, shop("")).unwrap();
    let Ok((config, _)) = config::load(&path) else {
        panic!("it does not load");
    };
    assert_eq!(config.server.data_dir, folder.0.path().join("data"));
}

const BAD: &str = r#"listen = ["0.0.0.0"]
operater_listen = "127.0.0.1:8081"
trusted_proxies = ["10.0.0.0/33"]
log = "verbose"

[[shop]]
name = "main shop"
hosts = ["shop.example.com:8080"]
preset = "bagist"
upstream = ["shop.internal"]

[shop.token]
algorithms = ["HS256", "none", "RS256"]
secret_file = "keys/none.secret"
leeway = "1h"
claims = { subject = "sub" }

[[shop.credential]]
header = "authorization"
cookie = "token"

[[shop.credential]]
header = "authorization"
schemes = []

[[shop.logout]]
methods = ["post"]
paths = ["logout"]
revoke = "all"
status = 500
answer_body = "bye"
query = { action = 1 }

[[shop.route]]
paths = ["/account/*"]
enforce = "requird"
"#;

const BAD_REPORT: &str = r#"error: missing key `data_dir`
--> doorward.toml
 = note: expected a folder such as "/var/lib/doorward"

error: expected an address with a port, such as 127.0.0.1:8080, [::]:8080 or https://0.0.0.0:443, found `0.0.0.0`
 --> doorward.toml:1:11
  |
1 | listen = ["0.0.0.0"]
  |           ^^^^^^^^^

error: unknown key `operater_listen`
 --> doorward.toml:2:1
  |
2 | operater_listen =
  | ^^^^^^^^^^^^^^^
  |
  = help: did you mean `operator_listen`? known: include, listen, operator_listen, health, data_dir, control, trusted_proxies, operator_hosts, drain, cluster, log, access_log, traces, h2c, limits, certificate, allow, deny, error_pages, acme, upstream, defaults, prefix, observe, shop

error: expected an address or network such as 192.0.2.7 or 10.0.0.0/8, found `10.0.0.0/33`
 --> doorward.toml:3:20
  |
3 | trusted_proxies = ["10.0.0.0/33"]
  |                    ^^^^^^^^^^^^^

error: unknown `log`: `verbose`
 --> doorward.toml:4:7
  |
4 | log = "verbose"
  |       ^^^^^^^^^
  |
  = help: known: error, warn, info, debug

error: expected 1 to 64 letters, digits and signs without space, quotes and \, found `main shop`
 --> doorward.toml:7:8
  |
7 | name = "main shop"
  |        ^^^^^^^^^^^

error: expected a host name such as shop.example.com or *.example.com, without port, found `shop.example.com:8080`
 --> doorward.toml:8:10
  |
8 | hosts = ["shop.example.com:8080"]
  |          ^^^^^^^^^^^^^^^^^^^^^^^

error: unknown `preset`: `bagist`
 --> doorward.toml:9:10
  |
9 | preset = "bagist"
  |          ^^^^^^^^
  |
  = help: did you mean `bagisto`? known: {presets}

error: expected an address such as 127.0.0.1:8000, shop.internal:8000, https://shop.internal or unix:/run/shop.sock, found `shop.internal`
  --> doorward.toml:10:13
   |
10 | upstream = ["shop.internal"]
   |             ^^^^^^^^^^^^^^^

error: symmetric and asymmetric algorithms are mixed
  --> doorward.toml:13:14
   |
13 | algorithms = ["HS256", "none", "RS256"]
   |              ^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: anyone who knows the public key could sign (RFC 8725 section 2.1)

error: unknown `algorithms`: `none`
  --> doorward.toml:13:24
   |
13 | algorithms = ["HS256", "none", "RS256"]
   |                        ^^^^^^
   |
   = help: known: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, Ed25519

error: `keys/none.secret` can't be read: No such file or directory (os error 2)
  --> doorward.toml:14:15
   |
14 | secret_file = "keys/none.secret"
   |               ^^^^^^^^^^^^^^^^^^
   |
   = help: paths are relative to the folder of the configuration

error: `leeway` is out of range
  --> doorward.toml:15:10
   |
15 | leeway = "1h"
   |          ^^^^ expected at most 10m

error: expected a JSON pointer such as /sub or /data/user/id, found `sub`
  --> doorward.toml:16:22
   |
16 | claims = { subject = "sub" }
   |                      ^^^^^

error: `header` and `cookie` can't both be given
  --> doorward.toml:20:10
   |
20 | cookie = "token"
   |          ^^^^^^^
   |
   = help: write a [[shop.credential]] for each

error: `schemes` names no scheme
  --> doorward.toml:24:11
   |
24 | schemes = []
   |           ^^
   |
   = help: leave `schemes` out where the whole value is the credential

error: unknown `methods`: `post`
  --> doorward.toml:27:12
   |
27 | methods = ["post"]
   |            ^^^^^^
   |
   = help: did you mean `POST`? known: POST, GET, DELETE, PUT, PATCH, HEAD

error: expected a path such as /logout or /account/*, decoded and without query, found `logout`
  --> doorward.toml:28:10
   |
28 | paths = ["logout"]
   |          ^^^^^^^^

error: unknown `revoke`: `all`
  --> doorward.toml:29:10
   |
29 | revoke = "all"
   |          ^^^^^
   |
   = help: known: token, session, subject, others

error: `status` is out of range
  --> doorward.toml:30:10
   |
30 | status = 500
   |          ^^^ expected an integer from 200 to 299

error: expected JSON, found `bye`
  --> doorward.toml:31:15
   |
31 | answer_body = "bye"
   |               ^^^^^

error: wrong type for `action`
--> doorward.toml:32:20
 = note: expected a string or an array of strings, found integer

error: unknown `enforce`: `requird`
  --> doorward.toml:36:11
   |
36 | enforce = "requird"
   |           ^^^^^^^^^
   |
   = help: did you mean `required`? known: off, revoked, valid, required
"#;

#[test]
fn every_fault_of_a_file_is_reported_at_once() {
    let mut presets: Vec<_> = presets().into_iter().map(|(name, _)| name).collect();
    presets.sort();
    let report = BAD_REPORT.replace("{presets}", &presets.join(", "));
    assert_eq!(Folder::new().faults(BAD), report);
}

#[test]
fn a_shop_without_tokens_is_told_what_it_lacks() {
    let text = "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[[shop]]\nname = \"main\"\n\
                upstream = \"127.0.0.1:1\"\n";
    let expected = "\
error: missing key `token`
 --> doorward.toml:3:1
  |
3 | [[shop]]
  | ^^^^^^^^ expected [shop.token] with algorithms and a key
";
    assert_eq!(Folder::new().faults(text), expected);
    let expected = "\
error: missing key `token.algorithms`
 --> doorward.toml:3:1
  |
3 | [[shop]]
  | ^^^^^^^^ expected what the shop signs with, such as [\"HS256\"]

error: missing key `token.secret_file`
 --> doorward.toml:3:1
  |
3 | [[shop]]
  | ^^^^^^^^ expected the path of a key; or secret_files, public_key_file, jwks_file or jwks_url
";
    let text = format!("{text}preset = \"bagisto\"\n");
    assert_eq!(Folder::new().faults(&text), expected);
}

#[test]
fn a_syntax_fault_brings_no_others_about() {
    let text = shops(&["hosts = a.example", "hosts = b.example"]);
    let faults = Folder::new().read(&text).err().unwrap();
    assert_eq!(faults.errors(), 2, "{faults}");
}

#[test]
fn the_time_of_issue_may_follow_from_the_end() {
    let derived = "[shop.token.claims]\nexpires_at = \"/until\"\n\
                   issued_at = { from = \"expires_at\", minus = \"1h\" }\n";
    let text = format!("{}{derived}", shop(""));
    let (config, _) = Folder::new().loaded(&text);
    let claims = &config.shops[0].verifier.settings().claims;
    let IssuedAt::Before(from, minus) = &claims.issued_at else {
        panic!("derived");
    };
    assert_eq!((from, minus.as_secs()), (&claims.expires_at, 3600));
}

#[test]
fn a_file_without_shops_is_a_fault() {
    let faults = Folder::new().faults("listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"");
    assert!(faults.contains("missing key `shop`"), "{faults}");
}

#[test]
fn a_secret_shorter_than_its_hash_is_refused() {
    let folder = Folder::new().with("keys/jwt.secret", b"hunter2hunter2\r\n", 0o640);
    let expected = "\
error: `keys/jwt.secret`: the secret has 14 bytes, 32 are needed
 --> doorward.toml:9:15
  |
9 | secret_file = \"keys/jwt.secret\"
  |               ^^^^^^^^^^^^^^^^^
  |
  = help: a short secret can be guessed from any token (RFC 7518 section 3.2)
  = help: if the shop can't have a longer one: allow_short_secret = true
";
    assert_eq!(folder.faults(&shop("")), expected);
}

#[test]
fn the_longest_hash_decides_how_long_a_secret_must_be() {
    let folder = Folder::new().with("keys/jwt.secret", &[b'x'; 63], 0o640);
    let token = "algorithms = [\"HS256\", \"HS512\"]\nsecret_file = \"keys/jwt.secret\"";
    let faults = folder.faults(&shop_with("", token));
    assert!(faults.contains("63 bytes, 64 are needed"), "{faults}");
}

#[test]
fn allow_short_secret_lets_it_pass_with_a_warning() {
    let folder = Folder::new().with("keys/jwt.secret", b"hunter2\n", 0o640);
    let token = format!("{HS256}\nallow_short_secret = true");
    let (_, warnings) = folder.loaded(&shop_with("", &token));
    assert!(
        warnings.starts_with("warning: `keys/jwt.secret`: the secret has 7 bytes, 32 are needed"),
        "{warnings}"
    );
    let folder = folder.with("keys/jwt.secret", b"\n", 0o640);
    let faults = folder.faults(&shop_with("", &token));
    assert!(faults.contains("the secret is empty"), "{faults}");
}

#[test]
fn a_secret_that_everybody_may_read_is_refused() {
    let folder = Folder::new().with("keys/jwt.secret", SECRET.as_bytes(), 0o644);
    let expected = "\
error: `keys/jwt.secret`: every user of this machine may use it (mode 0644)
 --> doorward.toml:9:15
  |
9 | secret_file = \"keys/jwt.secret\"
  |               ^^^^^^^^^^^^^^^^^
  |
  = help: chown root:doorward keys/jwt.secret && chmod 0640 keys/jwt.secret
";
    assert_eq!(folder.faults(&shop("")), expected);
    let set =
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA\"}]}";
    let token = "algorithms = [\"HS256\"]\njwks_file = \"keys/key\"";
    let folder = folder.with("keys/key", set.as_bytes(), 0o640);
    folder.loaded(&shop_with("", token));
    let folder = folder.with("keys/key", set.as_bytes(), 0o604);
    let faults = folder.faults(&shop_with("", token));
    assert!(faults.contains("(mode 0604)"), "{faults}");
}

#[test]
fn no_report_shows_what_a_key_file_holds() {
    let folder = Folder::new().with("keys/jwt.secret", b"hunter2", 0o666);
    assert!(!folder.faults(&shop("")).contains("hunter2"));
    let folder = folder.with("keys/key", b"-----BEGIN hunter2 PUBLIC", 0o640);
    for key in ["public_key_file", "jwks_file"] {
        let token = format!("algorithms = [\"RS256\"]\n{key} = \"keys/key\"");
        let faults = folder.faults(&shop_with("", &token));
        assert!(!faults.contains("hunter2"), "{faults}");
    }
}

#[test]
fn one_key_file_is_enough() {
    let token = format!("{HS256}\njwks_file = \"keys/jwks.json\"");
    let faults = Folder::new().faults(&shop_with("", &token));
    assert!(
        faults.starts_with("error: `secret_file` and `jwks_file` can't both be given"),
        "{faults}"
    );
}

#[test]
fn keys_can_be_fetched_over_https_or_from_this_machine_standards_46() {
    let folder = Folder::new().with_fixture("rsa-2048.pem");
    for (url, origin) in [
        (
            "https://login.example.com/jwks.json",
            "https://login.example.com",
        ),
        ("https://10.0.0.1:8443/", "https://10.0.0.1:8443"),
        (
            "http://127.0.0.1:9000/jwks.json?a=b",
            "http://127.0.0.1:9000",
        ),
        ("http://[::1]/", "http://[::1]"),
    ] {
        let token = format!("algorithms = [\"RS256\"]\njwks_url = \"{url}\"");
        let (config, warnings) = folder.loaded(&shop_with("", &token));
        assert_eq!(warnings, "", "{url}");
        let keys = format!("  keys: from {origin} for RS256");
        assert!(config.summary.contains(&keys), "{:?}", config.summary);
        assert!(
            !config.shops[0].verifier.has_keys(),
            "nothing is fetched here"
        );
    }
    for (lines, why) in [
        (
            "jwks_url = \"http://login.example.com/\"",
            "http:// is for an address of the loopback interface only",
        ),
        (
            "jwks_url = \"http://localhost/\"",
            "http:// is for an address of the loopback interface only",
        ),
        (
            "jwks_url = \"https://login.example.com/#a\"",
            "a URL without fragment",
        ),
        ("jwks_url = \"login.example.com\"", "expected a URL such as"),
        (
            "jwks_url = \"https://a.example/\"\npublic_key_file = \"keys/key\"",
            "can't both be given",
        ),
        (
            "jwks_url = \"https://a.example/\"\njwks_refresh = \"500ms\"",
            "`jwks_refresh` is out of range",
        ),
        (
            "jwks_url = \"https://a.example/\"\njwks_cooldown = \"2d\"",
            "`jwks_cooldown` is out of range",
        ),
        (
            "jwks_url = \"https://a.example/\"\njwks_ca_file = \"keys/none\"",
            "can't be read",
        ),
        (
            "jwks_url = \"https://a.example/\"\njwks_ca_file = \"keys/key\"",
            "expected certificates of authorities in PEM",
        ),
        (
            "public_key_file = \"keys/key\"\njwks_refresh = \"5m\"",
            "`jwks_refresh` means nothing without `jwks_url`",
        ),
    ] {
        let faults = folder.faults(&shop_with(
            "",
            &format!("algorithms = [\"RS256\"]\n{lines}"),
        ));
        assert!(faults.contains(why), "{lines}: {faults}");
    }
}

#[test]
fn a_secret_is_never_fetched_standards_45() {
    let token = "algorithms = [\"HS256\"]\njwks_url = \"https://login.example.com/\"";
    let faults = Folder::new().faults(&shop_with("", token));
    assert!(
        faults.contains("HS256 takes a secret, and `jwks_url` has none"),
        "{faults}"
    );
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    for url in [
        "https://me:hunter2@login.example.com/",
        "http://hunter2@127.0.0.1/#x",
    ] {
        let token = format!("algorithms = [\"RS256\"]\njwks_url = \"{url}\"");
        let faults = Folder::new().faults(&shop_with("", &token));
        assert!(
            faults.contains("doorward.toml:9: `jwks_url` holds a user name or a password"),
            "{faults}"
        );
        assert!(!faults.contains("hunter2"), "{faults}");
    }
}

#[test]
fn symmetric_and_asymmetric_algorithms_are_not_mixed() {
    let token = "algorithms = [\"HS256\", \"RS256\"]\nsecret_file = \"keys/jwt.secret\"";
    let faults = Folder::new().faults(&shop_with("", token));
    assert!(
        faults.starts_with("error: symmetric and asymmetric algorithms are mixed"),
        "{faults}"
    );
}

fn pem(algorithm: &str) -> String {
    let token = format!("algorithms = [\"{algorithm}\"]\npublic_key_file = \"keys/key\"");
    shop_with("", &token)
}

#[test]
fn every_kind_of_public_key_is_read() {
    for (file, algorithm) in [
        ("rsa-2048.pem", "RS256"),
        ("rsa-2048.pem", "PS512"),
        ("ec-p256.pem", "ES256"),
        ("ed25519.pem", "EdDSA"),
    ] {
        let (config, _) = Folder::new().with_fixture(file).loaded(&pem(algorithm));
        assert_eq!(config.shops[0].verifier.key_count(), 1, "{file}");
    }
}

#[test]
fn a_public_key_that_does_not_fit_is_refused() {
    for (file, algorithm, why) in [
        (
            "rsa-1024.pem",
            "RS256",
            "its RSA modulus has 1024 bits: 2048 are needed",
        ),
        ("rsa-2048.pem", "ES256", "this is a key for RS256"),
        ("ec-p256.pem", "ES384", "its curve is for ES256"),
        ("ec-p521.pem", "ES256", "expected a"),
        ("rsa-2048.pem", "HS256", "algorithms names none of them"),
    ] {
        let faults = Folder::new().with_fixture(file).faults(&pem(algorithm));
        assert!(faults.contains(why), "{file}: {faults}");
        assert!(faults.contains("9 | public_key_file"), "{file}: {faults}");
    }
}

#[test]
fn a_private_key_is_refused() {
    let begin = "-----BEGIN PRIVATE KEY-----\n";
    let folder = Folder::new().with("keys/key", begin.as_bytes(), 0o640);
    let faults = folder.faults(&pem("RS256"));
    assert!(faults.contains("this is a private key"), "{faults}");
}

fn jwks(algorithms: &str) -> String {
    let token = format!("algorithms = [{algorithms}]\njwks_file = \"keys/key\"");
    shop_with("", &token)
}

#[test]
fn a_set_of_keys_is_read_whole() {
    let keys = [jwk("rsa"), jwk("ec"), jwk("ed25519")].join(",");
    let folder = Folder::new().with_jwks(&keys);
    let (config, _) = folder.loaded(&jwks("\"RS256\", \"ES256\", \"EdDSA\""));
    assert_eq!(config.shops[0].verifier.key_count(), 3);
}

#[test]
fn a_jwk_that_may_not_verify_is_refused_standards_44() {
    let rsa = jwk("rsa");
    let ec = jwk("ec");
    for (keys, why) in [
        (rsa.replace("\"sig\"", "\"enc\""), "use is not \"sig\""),
        (
            rsa.replace("\"use\": \"sig\"", "\"key_ops\": [\"sign\"]"),
            "key_ops does not hold \"verify\"",
        ),
        (
            rsa.replace("\"RS256\"", "\"ES256\""),
            "its kty and alg fit none",
        ),
        (ec.replace("P-256", "P-521"), "crv \"P-521\" does not fit"),
        (format!("{rsa},{rsa}"), "this kid stands twice"),
        (jwk("rsa-1024"), "its RSA modulus has 1024 bits"),
        (
            format!("{rsa},{{\"kty\":\"oct\",\"k\":\"{}\"}}", "c2Vj".repeat(16)),
            "its kty and alg fit none",
        ),
        (String::new(), "the set holds no key"),
    ] {
        let faults = Folder::new()
            .with_jwks(&keys)
            .faults(&jwks("\"RS256\", \"ES256\""));
        assert!(faults.contains(why), "{why}: {faults}");
    }
}

#[test]
fn every_unfit_key_of_a_set_is_reported() {
    let keys = format!(
        "{},{}",
        jwk("rsa-1024"),
        jwk("ec").replace("P-256", "P-521")
    );
    let folder = Folder::new().with_jwks(&keys);
    let faults = folder.faults(&jwks("\"RS256\", \"ES256\""));
    assert!(faults.contains("keys[0] (kid \"small\")"), "{faults}");
    assert!(faults.contains("keys[1] (kid \"ec\")"), "{faults}");
}

#[test]
fn opaque_tokens_need_no_key() {
    let (config, _) = Folder::new().loaded(&shop_with("", "kind = \"opaque\""));
    assert_eq!(config.shops[0].places[0].kind, TokenKind::Opaque);
    assert_eq!(config.summary[2], "  keys: none: tokens are opaque");
    let jwt = "[[shop.credential]]\nheader = \"x-token\"\nkind = \"jwt\"";
    let text = format!("{}{jwt}", shop_with("", "kind = \"opaque\""));
    let faults = Folder::new().faults(&text);
    assert!(faults.contains("no JWT can be verified"), "{faults}");
}

#[test]
fn without_credentials_it_is_the_bearer() {
    let (config, _) = Folder::new().loaded(&shop(""));
    let [place] = config.shops[0].places.as_slice() else {
        panic!("one place");
    };
    let Carrier::Schemed { name, schemes } = &place.carrier else {
        panic!("a header with schemes");
    };
    assert_eq!(
        (name.as_str(), schemes.join(" ").as_str()),
        ("authorization", "Bearer")
    );
}

#[test]
fn the_operators_credential_overrides_the_presets() {
    let own = "[[shop.credential]]\nheader = \"Authorization\"\nschemes = [\"JWT\"]\n";
    let text = format!("{}{own}", shop("preset = \"cocart\""));
    let (config, _) = Folder::new().loaded(&text);
    let places = &config.shops[0].places;
    assert_eq!(places.len(), 2);
    assert!(matches!(&places[0].carrier, Carrier::Schemed { schemes, .. } if schemes == &["JWT"]));
    assert!(matches!(&places[1].carrier, Carrier::Cookie { .. }));
    let faults = Folder::new().faults(&format!("{text}{own}"));
    assert!(
        faults.contains("header `authorization` with the scheme `jwt` is given twice"),
        "{faults}"
    );
}

#[test]
fn what_stands_on_the_shop_overrides_the_presets_logouts() {
    let (config, _) = Folder::new().loaded(&shop("preset = \"bagisto\""));
    let rule = &config.shops[0].logouts[0];
    assert_eq!(rule.revoke, Scope::Subject);
    let with_credentials = AnswerBy::Shop {
        with_credentials: true,
    };
    assert_eq!(rule.answer, with_credentials);
    assert_eq!(config.shops[0].own_logout.revoke, Scope::Subject);

    let lines = "preset = \"bagisto\"\nrevoke = \"token\"\nanswer = \"local\"";
    let own = "[[shop.logout]]\npaths = [\"/bye\"]\nrevoke = \"session\"\nanswer = \"forward\"\n";
    let (config, _) = Folder::new().loaded(&format!("{}{own}", shop(lines)));
    let [own, preset, ..] = config.shops[0].logouts.as_slice() else {
        panic!("two logouts");
    };
    assert_eq!((own.revoke, own.answer), (Scope::Session, with_credentials));
    assert_eq!(
        (preset.revoke, preset.answer),
        (Scope::Token, AnswerBy::Doorward)
    );
    assert_eq!(config.shops[0].own_logout.revoke, Scope::Token);

    for (preset, more, scope) in [
        ("saleor", "", Scope::Token),
        ("saleor", "revoke = \"session\"\n", Scope::Session),
        (
            "saleor",
            "own_logout.revoke = \"subject\"\n",
            Scope::Subject,
        ),
        (
            "bagisto",
            "revoke = \"token\"\nown_logout.revoke = \"session\"\n",
            Scope::Session,
        ),
    ] {
        let (config, _) = Folder::new().loaded(&shop(&format!("preset = \"{preset}\"\n{more}")));
        assert_eq!(config.shops[0].own_logout.revoke, scope, "{preset} {more}");
    }
}

#[test]
fn cart_decides_whether_the_shop_learns_who_logs_out() {
    let answer = |lines: &str| {
        let lines = format!("preset = \"cocart\"\n{lines}");
        let (config, warnings) = Folder::new().loaded(&shop(&lines));
        (config.shops[0].logouts[0].answer, warnings)
    };
    let keeping = AnswerBy::Shop {
        with_credentials: false,
    };
    let clearing = AnswerBy::Shop {
        with_credentials: true,
    };
    assert_eq!(answer(""), (keeping, String::new()));
    assert_eq!(answer("cart = \"keep\""), (keeping, String::new()));
    assert_eq!(answer("cart = \"clear\""), (clearing, String::new()));
    let (by, warnings) = answer("cart = \"clear\"\nanswer = \"local\"");
    assert_eq!(by, AnswerBy::Doorward);
    assert!(
        warnings.starts_with("warning: the cart stays: the shop does not get the logout"),
        "{warnings}"
    );
}

#[test]
fn doorwards_own_logout_deletes_what_the_shop_knows_a_customer_by() {
    let cookie = "[[shop.credential]]\ncookie = \"session\"\nkind = \"opaque\"\n";
    let text = format!("prefix = \"/-\"\n{}{cookie}", shop("preset = \"cocart\""));
    let (config, _) = Folder::new().loaded(&text);
    let own = &config.shops[0].own_logout;
    let names: Vec<_> = own
        .clear_cookies
        .iter()
        .map(|cookie| &cookie.name)
        .collect();
    assert_eq!(names[0], "session");
    assert!(
        names
            .iter()
            .any(|name| *name == "wordpress_logged_in_{hash}")
    );
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(own.call.paths[0].matches("/-/logout", config.shops[0].path_style));
    assert!(own.same_origin && own.client_key.is_none());
    assert_eq!(
        own.missing.as_ref().unwrap().status,
        StatusCode::UNAUTHORIZED
    );
}

#[test]
fn a_logout_demands_the_client_key_unless_it_says_otherwise() {
    let own = "[[shop.logout]]\npaths = [\"/bye\"]\nclient_key = false\n";
    let text = format!("{}{own}", shop("preset = \"bagisto\""));
    let (config, _) = Folder::new().loaded(&text);
    let logouts = &config.shops[0].logouts;
    assert!(logouts[0].client_key.is_none());
    let key = logouts[1].client_key.as_ref().unwrap();
    assert_eq!(key.header, "x-storefront-key");
    assert!(
        key.pattern
            .is_match(&format!("pk_storefront_{}", "a1B2".repeat(8)))
    );
    assert!(
        !key.pattern
            .is_match(&format!("xpk_storefront_{}", "a1B2".repeat(8)))
    );
}

fn shops(hosts: &[&str]) -> String {
    let shop = |(number, hosts): (usize, &&str)| {
        format!(
            "[[shop]]\nname = \"{number}\"\n{hosts}\nupstream = \"127.0.0.1:1\"\n\
             [shop.token]\nkind = \"opaque\"\ntoken_domain = \"all\"\n"
        )
    };
    let shops = hosts.iter().enumerate().map(shop);
    let head = "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n".to_owned();
    head + &shops.collect::<String>()
}

#[test]
fn a_host_belongs_to_one_shop() {
    for (hosts, why) in [
        (
            ["hosts = [\"a.example\"]", "hosts = [\"A.example\"]"],
            "two shops claim this host",
        ),
        (["", ""], "two shops claim every host"),
        (
            ["", "hosts = [\"a.example\"]"],
            "no request for this host gets here",
        ),
        (
            ["hosts = [\"*.example\"]", "hosts = [\"a.example\"]"],
            "no request for this host gets here",
        ),
        (
            ["hosts = [\"*.example\"]", "hosts = [\"*.a.example\"]"],
            "no request for this host gets here",
        ),
    ] {
        let faults = Folder::new().faults(&shops(&hosts));
        assert!(faults.starts_with(&format!("error: {why}")), "{faults}");
        assert!(faults.contains("shop `0` claims it in line"), "{faults}");
    }
    for hosts in [
        ["hosts = [\"a.example\"]", ""],
        ["hosts = [\"a.example\"]", "hosts = [\"*.example\"]"],
        ["hosts = [\"*.a.example\"]", "hosts = [\"a.example\"]"],
    ] {
        Folder::new().loaded(&shops(&hosts));
    }
}

#[test]
fn what_makes_no_sense_is_told() {
    let long = format!("control = \"/{}\"", "x".repeat(107));
    for (top, why) in [
        ("listen = []", "`listen` names no address"),
        (
            "listen = [\"[::]:80\", \"[::]:80\"]",
            "this address is listed twice",
        ),
        (
            "listen = [\"[::1]:80\"]\noperator_listen = \"[::1]:80\"",
            "needs an address of its own",
        ),
        (
            "prefix = \"/-/\"",
            "expected an absolute path without slash",
        ),
        ("prefix = \"/*\"", "expected an absolute path without slash"),
        (long.as_str(), "longer than 107 bytes"),
    ] {
        let mut text = shop("");
        if top.starts_with("listen") {
            text = text.replace("listen = [\"127.0.0.1:0\"]\n", "");
        }
        let faults = Folder::new().faults(&format!("{top}\n{text}"));
        assert!(faults.contains(why), "{faults}");
    }
    for (lines, why) in [
        (
            "[[shop.credential]]\nheader = \"cookie\"",
            "cookies are listed one by one",
        ),
        (
            "[[shop.credential]]\nquery = \"t\"\n[[shop.credential]]\nquery = \"t\"",
            "query `t` is given twice",
        ),
        (
            "[[shop.credential]]\nquery = \"t\"\nschemes = [\"x\"]",
            "`schemes` makes no sense with `query`",
        ),
        (
            "[[shop.credential]]\nheader = \"x\"\njoin = [\"y\"]",
            "`join` makes no sense without `cookie`",
        ),
        (
            "[[shop.credential]]\nheader = \"x\"\ndecode = [\"rot13\"]",
            "percent, json, base64, signed",
        ),
        (
            "[[shop.credential]]\nheader = \"x\"\nfold = [\"accents\"]",
            "case, trim",
        ),
        (
            "[[shop.credential]]\nheader = \"x\"\n[[shop.credential]]\nheader = \"X\"",
            "header `x` is given twice",
        ),
        (
            "[[shop.credential]]\ncookie = \"x\"\nkind = \"opaque\"\npattern = \"(\"",
            "expected a regular expression",
        ),
        (
            "[[shop.credential]]\nkind = \"jwt\"",
            "expected one of header, cookie, query, body, form",
        ),
        (
            "[[shop.logout]]\npaths = \"/x\"\nclear_cookies = [{ name = \"x_{hash}\" }]",
            "no key says where {hash} comes from",
        ),
        (
            "[[shop.logout]]\npaths = \"/x\"\nhash_from = [\"x\"]",
            "expected a cookie's name with one * in it",
        ),
        (
            "[[shop.logout]]\npaths = \"/x\"\nstatus = 204\nanswer_body = \"1\"",
            "an answer 204 has no body",
        ),
        (
            "[[shop.logout]]\npaths = \"/x\"\n\
             errors.missing = { status = 400, message = \"x\", body = \"1\" }",
            "`body` and `message` can't both be given",
        ),
        (
            "[[shop.logout]]\npaths = \"/x\"\nclient_key = true",
            "the shop has no client key",
        ),
        (
            "[shop.client_key]\npattern = \"(\"",
            "expected a regular expression: unclosed group",
        ),
        (
            "[shop.refusal]\nrealm = 'a\"b'",
            "expected letters, digits, spaces and signs",
        ),
        (
            "[[shop.route]]\npaths = []\nenforce = \"valid\"",
            "`paths` names no path",
        ),
        (
            "[shop.token.claims]\nissued_at = { from = \"exp\", minus = \"1h\" }",
            "expected expires_at or a JSON pointer such as /exp, found `exp`",
        ),
        (
            "[shop.token.claims]\nissued_at = { from = \"/exp\" }",
            "missing key `minus`",
        ),
    ] {
        let faults = Folder::new().faults(&format!("{}{lines}", shop("")));
        assert!(faults.contains(why), "{lines}: {faults}");
    }
}

#[test]
fn a_damaged_file_loads_or_says_why() {
    let folder = Folder::new();
    let text = full_reference();
    let lines: Vec<_> = text.lines().collect();
    for at in 0..lines.len() {
        let (above, below) = lines.split_at(at);
        let cut = above.join("\n");
        let without = format!("{cut}\n{}", below[1..].join("\n"));
        let twice = format!("{cut}\n{}\n{}", below[0], below.join("\n"));
        let unquoted = format!("{cut}\n{}", below.join("\n").replacen('"', "", 1));
        for damaged in [cut, without, twice, unquoted] {
            if let Err(faults) = folder.read(&damaged) {
                assert!(faults.is_fatal(), "{damaged}");
            }
        }
    }
}

#[test]
fn two_shops_have_two_names() {
    let text = shops(&["hosts = [\"a.example\"]", "hosts = [\"b.example\"]"]);
    let faults = Folder::new().faults(&text.replace("name = \"1\"", "name = \"0\""));
    assert!(
        faults.starts_with("error: two shops are called `0`"),
        "{faults}"
    );
}

#[test]
fn what_is_risky_is_a_warning() {
    let route = "[[shop.route]]\npaths = [\"/open/*\"]\nenforce = \"off\"\n";
    let text = shop("").replace("127.0.0.1:8000", "10.0.0.1:8000");
    let text = format!("operator_listen = \"0.0.0.0:8081\"\n{text}{route}");
    let (_, warnings) = Folder::new().loaded(&text);
    for warning in [
        "warning: the operator listener can be reached from the network",
        "warning: tokens travel to this upstream in the clear",
        "warning: a customer who logged out still has access here",
    ] {
        assert!(warnings.contains(warning), "{warnings}");
    }
    assert_eq!(warnings.matches("warning: ").count(), 3, "{warnings}");
}
