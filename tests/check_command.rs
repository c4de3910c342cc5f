//! `doorward check`: for programs, with a look around, and for the user that the service runs as.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;
#[allow(
    dead_code,
    reason = "key rotation needs every word of it, these tests a key set"
)]
#[path = "support/identity_provider.rs"]
mod identity_provider;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use identity_provider::{IdentityProvider, Reply, SigningKey, key_set};
use serde_json::{Value, json};
use support::{
    Authority, Backend, Customer, Deed, Edge, Outcome, doorward, put, said, shop_table,
    stateless_bagisto,
};
use tempfile::TempDir;

const SECRET: &str = "a secret of more than thirty-two bytes, as RFC 7518 wants it";

/// A folder that every user may enter, with this as `doorward.toml`.
fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    put(folder.path(), "doorward.toml", text, 0o644);
    folder
}

fn check(folder: &Path, more: &[&str]) -> Outcome {
    let file = folder.join("doorward.toml");
    let config = ["check", "--config", file.to_str().unwrap()];
    doorward(&[&config[..], more].concat())
}

fn json_of(outcome: &Outcome) -> Value {
    assert_eq!(outcome.stderr, "", "everything is in the object");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|fault| panic!("{fault}: {outcome:?}"))
}

const TOP: &str = "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n";
const OPAQUE: &str =
    "[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:8000\"]\ntoken.kind = \"opaque\"\n";

#[test]
fn programs_read_faults_with_their_places_and_what_was_understood() {
    let faulty = folder(&format!(
        "{TOP}lgo = \"info\"\nbus = \"hunter2\"\n{OPAQUE}timeouts.read = \"never\"\n"
    ));
    let outcome = check(faulty.path(), &["--format", "json"]);
    assert_eq!(outcome.code, Some(78));
    let told = json_of(&outcome);
    assert_eq!(
        (&told["exit_code"], &told["errors"]),
        (&json!(78), &json!(3))
    );
    let fault = &told["faults"][0];
    let file = faulty.path().join("doorward.toml");
    assert_eq!(fault["severity"], "error");
    assert_eq!(fault["message"], "unknown key `lgo`");
    assert_eq!(fault["file"], json!(file));
    assert_eq!((&fault["line"], &fault["column"]), (&json!(3), &json!(1)));
    assert!(
        fault["help"][0]
            .as_str()
            .unwrap()
            .contains("known: include, listen")
    );
    assert_eq!(told["understood"], json!([]));
    assert!(!outcome.stdout.contains("hunter2"), "{outcome:?}");

    let good = folder(&format!("{TOP}{OPAQUE}"));
    let outcome = check(good.path(), &["--format", "json"]);
    assert_eq!(outcome.code, Some(0));
    let told = json_of(&outcome);
    assert_eq!(
        (&told["exit_code"], &told["errors"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(told["understood"][0], "shop main");
    let explained = json_of(&check(good.path(), &["--format", "json", "--explain"]));
    assert_eq!(explained["explanation"][0], "listeners");

    let missing = json_of(&check(&good.path().join("nowhere"), &["--format", "json"]));
    assert_eq!(missing["exit_code"], 78);
    assert_eq!(missing["faults"][0]["file"], Value::Null);
}

#[test]
fn github_marks_the_line_of_each_fault() {
    let faulty = folder(&format!("{TOP}lgo = \"info\"\n{OPAQUE}observe = true\n"));
    let outcome = check(faulty.path(), &["--format", "github"]);
    assert_eq!(outcome.code, Some(78));
    let file = faulty.path().join("doorward.toml");
    let error = format!(
        "::error file={},line=3,col=1,title=doorward::unknown key `lgo`%0Ahelp: ",
        file.display()
    );
    assert!(outcome.stdout.contains(&error), "{outcome:?}");
    let warning = format!(
        "::warning file={},line=8,col=11,title=doorward::this shop is only observed",
        file.display()
    );
    assert!(outcome.stdout.contains(&warning), "{outcome:?}");
    assert_eq!(outcome.stderr, "");
}

/// What is said of a probe whose subject contains this, and whether it is good.
#[track_caller]
fn probed(told: &Value, what: &str) -> (bool, String) {
    let mut probes = told["probes"].as_array().unwrap().iter();
    let found = probes.find(|one| one["what"].as_str().unwrap().contains(what));
    let found = found.unwrap_or_else(|| panic!("{what}: {told:#}"));
    (
        found["ok"].as_bool().unwrap(),
        found["said"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_probe_asks_servers_logouts_key_sets_and_addresses() {
    let shop = Backend::saying("shop");
    shop.does(Deed::Say(said(401, "{}").into_bytes()));
    let authority = Authority::new("a test");
    let identity = authority.issue(&["127.0.0.1"]);
    let encrypted = Backend::with_tls("secure", identity.server());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let key = SigningKey::named("one");
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&key])));
    let text = format!(
        "listen = [\"{}\"]\noperator_listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\n\
         [[upstream]]\nname = \"trusted\"\nservers = [\"https://{tls}\"]\ntls.ca_file = \"ca.pem\"\n\
         [[upstream]]\nname = \"distrusted\"\nservers = [\"https://{tls}\"]\n\
         [[upstream]]\nname = \"down\"\nservers = [\"{free}\", \"no.such.host.invalid:80\"]\n\
         [[shop]]\nname = \"main\"\npreset = \"bagisto\"\nupstream = [\"{}\"]\n\
         token.algorithms = [\"ES256\"]\ntoken.jwks_url = \"{}\"\n\
         [[shop.route]]\npaths = [\"/a\"]\nupstream = \"trusted\"\n\
         [[shop.route]]\npaths = [\"/b\"]\nupstream = \"distrusted\"\n\
         [[shop.route]]\npaths = [\"/c\"]\nupstream = \"down\"\n",
        taken.local_addr().unwrap(),
        shop.address(),
        provider.url(),
        tls = encrypted.address(),
    );
    let folder = folder(&text);
    put(folder.path(), "ca.pem", &authority.pem(), 0o644);
    let outcome = check(folder.path(), &["--probe", "--format", "json"]);
    assert_eq!(outcome.code, Some(69), "{outcome:?}");
    let told = json_of(&outcome);
    let (is_good, said) = probed(&told, &format!("shop main: http://{}", shop.address()));
    assert!(is_good && said.starts_with("connected in "), "{said}");
    let (is_good, said) = probed(&told, "shop main: logout ");
    assert!(is_good && said == "401", "{said}");
    let (is_good, said) = probed(&told, "upstream trusted: ");
    assert!(is_good && said.ends_with(", with TLS"), "{said}");
    assert!(!probed(&told, "upstream distrusted: ").0, "{told:#}");
    assert!(!probed(&told, &format!("upstream down: http://{free}")).0);
    let (is_good, said) = probed(&told, "no.such.host.invalid");
    assert!(!is_good && said.contains("can't be resolved"), "{said}");
    assert_eq!(
        probed(&told, "keys at "),
        (true, "1 usable, 0 passed over".to_owned())
    );
    let (is_good, said) = probed(&told, &format!("address {}", taken.local_addr().unwrap()));
    assert!(!is_good && said.contains("in use"), "{said}");
    assert!(probed(&told, "address 127.0.0.1:0").0);
    let requests = shop.heard();
    let logout = requests
        .iter()
        .find(|one| one.head.starts_with("POST"))
        .unwrap();
    let head = logout.head.to_ascii_lowercase();
    assert!(
        !head.contains("authorization") && !head.contains("cookie"),
        "{head}"
    );
    let text = check(folder.path(), &["--probe"]).stdout;
    assert!(text.contains("ok  probe shop main: logout"), "{text}");
    assert!(text.contains("failed  probe upstream down"), "{text}");
}

#[test]
fn a_probe_of_a_running_process_finds_its_addresses_in_use_by_itself() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let config = shop_table(&shop);
    edge.configure(&format!(
        "listen = [\"{}\"]\noperator_listen = \"{}\"\n{config}",
        edge.address(),
        edge.operator()
    ));
    let outcome = edge.command(&["check", "--probe", "--format", "json"]);
    let told = json_of(&outcome);
    let address = format!("address {}", edge.address());
    assert_eq!(
        probed(&told, &address),
        (true, "in use by the running process".to_owned())
    );
    assert_eq!(outcome.code, Some(0), "{told:#}");
}

#[test]
fn a_logout_that_the_shop_does_not_know_fails_the_probe() {
    let shop = Backend::saying("shop");
    shop.does(Deed::Say(said(404, "").into_bytes()));
    let folder = folder(&format!(
        "{TOP}[[shop]]\nname = \"main\"\npreset = \"bagisto\"\nupstream = [\"{}\"]\n\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"jwt.secret\"\n",
        shop.address()
    ));
    put(folder.path(), "jwt.secret", SECRET, 0o600);
    let outcome = check(folder.path(), &["--probe"]);
    assert_eq!(outcome.code, Some(69), "{outcome:?}");
    assert!(
        outcome
            .stdout
            .contains("404: the shop does not know this call"),
        "{outcome:?}"
    );
}

/// A configuration whose secret only its owner may read.
fn with_private_secret() -> TempDir {
    let folder = folder(&format!(
        "{TOP}[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:8000\"]\n\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"jwt.secret\"\n"
    ));
    put(folder.path(), "jwt.secret", SECRET, 0o600);
    folder
}

#[test]
fn a_secret_that_the_user_of_the_service_cannot_read_is_a_fault_for_root_too() {
    let folder = with_private_secret();
    assert_eq!(check(folder.path(), &[]).code, Some(0));
    let outcome = check(folder.path(), &["--as-user", "nobody"]);
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    for words in [
        "the user `nobody` can't read ",
        "jwt.secret, which belongs to ",
        "(mode 0600)",
        "doorward.toml:7:",
        "help: chown root:nogroup ",
    ] {
        assert!(
            outcome.stderr.contains(words),
            "{words}\n{}",
            outcome.stderr
        );
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let outcome = check(folder.path(), &["--as-user", "nobody"]);
    assert!(
        outcome.stderr.contains("the user `nobody` can't reach "),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("chmod 0750"), "{outcome:?}");
    let unknown = check(folder.path(), &["--as-user", "no-such-user"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}

#[test]
fn root_checks_for_the_owner_of_the_data_folder() {
    if !rustix::process::geteuid().is_root() {
        return; // no other user may give a folder away
    }
    let folder = with_private_secret();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    chown(&data, Some(65_534), Some(65_534)).unwrap();
    let outcome = check(folder.path(), &[]);
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(
        outcome.stderr.contains("the user `nobody` can't read "),
        "{outcome:?}"
    );
    chown(folder.path().join("jwt.secret"), Some(0), Some(65_534)).unwrap();
    fs::set_permissions(
        folder.path().join("jwt.secret"),
        Permissions::from_mode(0o640),
    )
    .unwrap();
    let outcome = check(folder.path(), &[]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    fs::set_permissions(&data, Permissions::from_mode(0o500)).unwrap();
    let outcome = check(folder.path(), &[]);
    assert!(
        outcome.stderr.contains("can't write the data folder"),
        "{outcome:?}"
    );
}

#[test]
fn the_commands_that_mend_permissions_are_printed_and_nothing_is_changed() {
    let folder = with_private_secret();
    put(folder.path(), "open.secret", SECRET, 0o644);
    let other = "[[shop]]\nname = \"b\"\nhosts = [\"b\"]\nupstream = [\"127.0.0.1:8000\"]\n\
                token.algorithms = [\"HS256\"]\ntoken.secret_file = \"open.secret\"\n";
    let text = fs::read_to_string(folder.path().join("doorward.toml")).unwrap() + other;
    put(folder.path(), "doorward.toml", &text, 0o644);
    assert_eq!(check(folder.path(), &[]).code, Some(78), "a secret is open");
    let outcome = check(folder.path(), &["--fix-permissions", "--as-user", "nobody"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let line = |file: &str| {
        let file = folder.path().join(file).display().to_string();
        format!("chown root:nogroup {file} && chmod 0640 {file}\n")
    };
    assert_eq!(outcome.stdout, line("jwt.secret") + &line("open.secret"));
    let mode = |file: &str| {
        let mode = fs::metadata(folder.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        mode & 0o777
    };
    assert_eq!((mode("jwt.secret"), mode("open.secret")), (0o600, 0o644));
    let fine = check(
        self::folder(&format!("{TOP}{OPAQUE}")).path(),
        &["--fix-permissions"],
    );
    assert_eq!((fine.code, fine.stdout.as_str()), (Some(0), ""), "{fine:?}");
}

#[test]
fn a_route_that_is_never_taken_is_named_and_no_warning_says_that_it_lets_customers_in() {
    let text = format!(
        "{TOP}{OPAQUE}[[shop.route]]\nname = \"all\"\npaths = [\"/*\"]\nenforce = \"valid\"\n\
         [[shop.route]]\nname = \"assets\"\npaths = [\"/assets/*\"]\nenforce = \"off\"\n\
         [[shop.route]]\nname = \"beta\"\npaths = [\"/beta/*\"]\nobserve = true\n"
    );
    let outcome = check(folder(&text).path(), &[]);
    assert_eq!(
        outcome.stderr.matches("this route is never taken").count(),
        2,
        "{outcome:?}"
    );
    for words in ["still has access here", "it protects nothing"] {
        assert!(!outcome.stderr.contains(words), "{outcome:?}");
    }
    let first = text.replace(
        "/*\"]\nenforce = \"valid\"",
        "/shop/*\"]\nenforce = \"valid\"",
    );
    let outcome = check(folder(&first).path(), &[]);
    for words in ["still has access here", "it protects nothing"] {
        assert!(outcome.stderr.contains(words), "{outcome:?}");
    }
}

#[test]
fn the_help_for_a_corrupt_journal_leads_to_a_start() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    assert_eq!(Customer::signed_in(&shop).log_out(&edge), 200);
    edge.stop();
    let (journal, mark) = (
        edge.path("data/journal.redb"),
        edge.path("data/journal.mark"),
    );
    let copy = fs::read(&journal).unwrap();
    edge.restart();
    assert_eq!(Customer::named(&shop, "bob").log_out(&edge), 200);
    edge.stop();
    fs::write(&journal, b"nonsense").unwrap();
    let refused = edge.try_restart().unwrap_err();
    for words in [
        "is corrupt",
        "newest copy",
        "journal.mark beside it still stops the start",
        "doorward init",
    ] {
        assert!(
            refused.stderr.contains(words),
            "{words}\n{}",
            refused.stderr
        );
    }
    let checked = edge.command(&["check"]);
    assert_eq!(checked.code, Some(78));
    assert!(
        checked
            .stderr
            .contains("journal.mark beside it still stops the start"),
        "{checked:?}"
    );
    fs::write(&journal, &copy).unwrap();
    assert!(edge.try_restart().is_err(), "the mark stops it");
    fs::remove_file(&mark).unwrap();
    edge.restart();
    let cut = edge.command(&["revoke", "--shop", "main", "--all-before", "now", "--yes"]);
    assert_eq!(cut.code, Some(0), "{cut:?}");
    // Without a copy.
    edge.stop();
    fs::write(&journal, b"nonsense").unwrap();
    for file in [&journal, &mark] {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(edge.command(&["init"]).code, Some(0));
    edge.restart();
}
