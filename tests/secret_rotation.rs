//! A shop changes its secret while customers are logged in: no login ends by it, and no logout is forgotten.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use support::places::{OWN_LOGOUT, PAGE};
use support::{Answer, Backend, Cluster, Edge, eventually, put, request};
use tempfile::TempDir;

const OLD: &str = "the secret of last year, which has more than thirty-two bytes";
const NEW: &str = "the secret of this year, which has more than thirty-two bytes";

/// The two secrets, and a shop that has one of them or both.
struct Rotation {
    folder: TempDir,
    backend: Backend,
}

impl Rotation {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "old.secret", OLD, 0o600);
        put(folder.path(), "new.secret", NEW, 0o600);
        let backend = Backend::saying("shop");
        Self { folder, backend }
    }

    /// The path of a secret.
    fn file(&self, name: &str) -> String {
        let path = self.folder.path().join(format!("{name}.secret"));
        path.to_str().unwrap().to_owned()
    }

    /// The shop with these secrets, and more keys.
    fn shop(&self, secrets: &[&str], more: &str) -> String {
        let files: Vec<_> = secrets.iter().map(|name| self.file(name)).collect();
        let key = match files.as_slice() {
            [only] => format!("secret_file = {only:?}"),
            [..] => format!("secret_files = {files:?}"),
        };
        format!(
            "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\n[shop.token]\nalgorithms = [\"HS256\"]\n{key}\n{more}",
            self.backend.address()
        )
    }
}

fn token(secret: &str, over: &Value) -> String {
    let usual = json!({ "sub": 3, "jti": "a", "iat": 1_780_000_000, "exp": 4_000_000_000_u64 });
    let claims = support::overlaid(usual, over);
    let b64 = |text: String| URL_SAFE_NO_PAD.encode(text);
    let text = format!(
        "{}.{}",
        b64(r#"{"typ":"JWT","alg":"HS256"}"#.to_owned()),
        b64(claims.to_string())
    );
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{text}.{signature}")
}

fn ask(edge: &Edge, method: &str, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    edge.raw(&request(method, path, &[("Authorization", &bearer)], b""))
}

fn visit(edge: &Edge, token: &str) -> u16 {
    ask(edge, "GET", PAGE, token).status
}

#[track_caller]
fn log_out(edge: &Edge, token: &str) {
    assert_eq!(ask(edge, "POST", OWN_LOGOUT, token), 200);
}

#[track_caller]
fn reload(edge: &Edge, config: &str) {
    edge.configure(config);
    let reloaded = edge.command(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
}

#[test]
fn a_rotation_from_one_secret_to_the_next_ends_no_login_and_forgets_no_logout() {
    let rotation = Rotation::new();
    let of_old = |id: &str| token(OLD, &json!({ "jti": id }));
    let of_new = |id: &str| token(NEW, &json!({ "jti": id }));
    let nameless = token(OLD, &json!({ "jti": null, "sub": 5 }));
    let edge = Edge::with(&rotation.shop(&["old"], ""));
    log_out(&edge, &of_old("early"));
    log_out(&edge, &nameless);
    assert_eq!(visit(&edge, &of_old("stays")), 200);
    assert_eq!(visit(&edge, &of_new("stays")), 401, "it is not known yet");

    for both in [["old", "new"], ["new", "old"]] {
        reload(&edge, &rotation.shop(&both, ""));
        assert_eq!(visit(&edge, &of_old("stays")), 200, "{both:?}");
        assert_eq!(visit(&edge, &of_new("comes")), 200, "{both:?}");
        assert_eq!(visit(&edge, &of_old("early")), 401, "{both:?}");
        assert_eq!(
            visit(&edge, &of_new("early")),
            401,
            "one id, one token: {both:?}"
        );
        assert_eq!(visit(&edge, &nameless), 401, "{both:?}");
    }
    log_out(&edge, &of_new("late"));

    reload(&edge, &rotation.shop(&["new"], ""));
    assert_eq!(visit(&edge, &of_new("comes")), 200);
    assert_eq!(visit(&edge, &of_old("stays")), 401, "its secret is gone");
    for dead in ["early", "late"] {
        assert_eq!(visit(&edge, &of_new(dead)), 401, "{dead}");
    }

    // The shop goes back to the secret that it had.
    let mut edge = edge;
    edge.configure(&rotation.shop(&["old"], ""));
    edge.restart();
    assert_eq!(visit(&edge, &of_old("stays")), 200);
    for dead in ["early", "late"] {
        assert_eq!(visit(&edge, &of_old(dead)), 401, "{dead}");
    }
    assert_eq!(visit(&edge, &nameless), 401);
}

#[test]
fn a_dead_token_whose_secret_is_gone_stays_dead_where_unverifiable_tokens_are_forwarded() {
    let rotation = Rotation::new();
    let forward = "unverifiable = \"forward\"\n";
    let edge = Edge::with(&rotation.shop(&["old", "new"], forward));
    let (dead, alive) = (
        token(OLD, &json!({ "jti": "dead" })),
        token(OLD, &json!({ "jti": "alive" })),
    );
    log_out(&edge, &dead);
    reload(&edge, &rotation.shop(&["new"], forward));
    assert_eq!(visit(&edge, &dead), 401);
    assert_eq!(visit(&edge, &alive), 200, "the shop judges it");
}

/// The claims move with the secret: only the former meaning finds the logout then.
#[test]
fn a_logout_is_found_under_its_former_name_while_the_secret_changes() {
    let rotation = Rotation::new();
    let moved = "claims = { id = \"/tid\" }\n";
    for (before, after) in [
        (vec!["old"], vec!["old", "new"]),
        (vec!["old"], vec!["new", "old"]),
        (vec!["old", "new"], vec!["new"]),
        (vec!["new", "old"], vec!["new"]),
    ] {
        let edge = Edge::with(&rotation.shop(&before, ""));
        let both =
            |secret: &str, id: &str| token(secret, &json!({ "jti": id, "tid": format!("t-{id}") }));
        let secret = if before.contains(&"new") { NEW } else { OLD };
        log_out(&edge, &both(secret, "dead"));
        reload(&edge, &rotation.shop(&after, moved));
        assert_eq!(
            visit(&edge, &both(secret, "dead")),
            401,
            "{before:?} {after:?}"
        );
        assert_eq!(
            visit(&edge, &both(secret, "alive")),
            200,
            "{before:?} {after:?}"
        );
        let checked = edge.command(&["check"]);
        assert!(checked.stdout.contains("keys: "), "{checked:?}");
    }
}

/// The value of a series; 0 where there is none.
fn counted(edge: &Edge, key: &str) -> u64 {
    let series = format!("doorward_tokens_verified_total{{shop=\"main\",key=\"{key}\"}} ");
    let metrics = edge.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn the_operator_sees_which_secret_still_verifies_tokens() {
    let rotation = Rotation::new();
    let edge = Edge::with(&rotation.shop(&["old", "new"], ""));
    let (old, new) = (rotation.file("old"), rotation.file("new"));
    assert_eq!((counted(&edge, &old), counted(&edge, &new)), (0, 0));
    assert!(
        edge.metrics().contains(&format!("key=\"{new}\"}} 0")),
        "born at zero"
    );
    for id in ["a", "b", "c"] {
        visit(&edge, &token(OLD, &json!({ "jti": id })));
    }
    let again = token(NEW, &json!({ "jti": "d" }));
    for _ in 0..5 {
        visit(&edge, &again);
    }
    visit(
        &edge,
        &token(
            "neither of the two, although it has thirty-two bytes",
            &json!({}),
        ),
    );
    assert_eq!((counted(&edge, &old), counted(&edge, &new)), (3, 1));
    // A count never goes back, although the other secret is gone.
    reload(&edge, &rotation.shop(&["new"], ""));
    assert_eq!(counted(&edge, &new), 1);
    let metrics = edge.metrics();
    assert!(
        !metrics.contains(OLD) && !metrics.contains(NEW),
        "{metrics}"
    );
}

#[test]
fn what_can_be_no_rotation_is_a_fault() {
    let rotation = Rotation::new();
    let edge = Edge::with(&rotation.shop(&["old"], ""));
    put(rotation.folder.path(), "copy.secret", OLD, 0o600);
    put(rotation.folder.path(), "open.secret", NEW, 0o644);
    put(rotation.folder.path(), "short.secret", "short", 0o600);
    let one = format!("secret_file = {:?}\n", rotation.file("old"));
    for (secrets, more, words) in [
        (&[][..], "", "`secret_files` names 0 files"),
        (
            &["old", "copy"],
            "",
            "this secret stands in a file before it, too",
        ),
        (
            &["old", "open"],
            "",
            "every user of this machine may use it (mode 0644)",
        ),
        (
            &["old", "short"],
            "",
            "the secret has 5 bytes, 32 are needed",
        ),
        (&["old", "none"], "", "can't be read"),
        (
            &["old", "new"],
            &one,
            "`secret_file` and `secret_files` can't both be given",
        ),
    ] {
        edge.configure(&rotation.shop(secrets, more));
        let checked = edge.command(&["check"]);
        assert_eq!(checked.code, Some(78), "{words}");
        assert!(
            checked.stderr.contains(words),
            "{words}\n{}",
            checked.stderr
        );
        assert!(
            !checked.stderr.contains("of last year"),
            "{}",
            checked.stderr
        );
    }
}

/// Nodes are rotated one after the other: what one has revoked by its secrets, the others refuse by theirs.
#[test]
fn a_logout_reaches_a_node_that_has_other_secrets_of_the_shop() {
    let rotation = Rotation::new();
    let plan = Cluster::of(&["a", "b"]).serving(rotation.shop(&["old"], ""));
    let mut cluster = plan.start();
    cluster.serves(rotation.shop(&["old", "new"], ""));
    cluster.configure("b", &[]);
    assert_eq!(cluster["b"].command(&["reload"]).code, Some(0));
    let [here, there] = ["here", "there"].map(|id| token(OLD, &json!({ "jti": id })));
    log_out(&cluster["a"], &here);
    log_out(&cluster["b"], &there);
    for node in ["a", "b"] {
        eventually(|| visit(&cluster[node], &here) == 401 && visit(&cluster[node], &there) == 401);
        assert_eq!(
            visit(&cluster[node], &token(OLD, &json!({ "jti": "alive" }))),
            200
        );
    }
}
