//! A configuration of several files, with what every shop inherits, and paths that name variables.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::places::PAGE;
use support::{Backend, Edge, Outcome, doorward, put, request};
use tempfile::TempDir;

/// A folder as `/etc/doorward` would be.
struct Folder(TempDir);

impl Folder {
    /// With this as `doorward.toml`, behind the keys that every file needs.
    fn with(text: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        folder.and(
            "doorward.toml",
            &format!("listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{text}"),
        )
    }

    fn and(self, name: &str, text: &str) -> Self {
        fs::write(self.path().join(name), text).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join("doorward.toml")
    }

    fn check(&self, more: &[&str]) -> Outcome {
        let file = self.file();
        let config = ["check", "--config", file.to_str().unwrap()];
        doorward(&[&config[..], more].concat())
    }

    /// Checks a configuration that must be good.
    #[track_caller]
    fn loads(&self, more: &[&str]) -> String {
        let checked = self.check(more);
        assert_eq!(checked.code, Some(0), "{checked:?}");
        checked.stdout
    }

    /// Checks one that must not be, and whose faults say all of this; `{home}` is the folder.
    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        let checked = self.check(&[]);
        assert_eq!(checked.code, Some(78), "{checked:?}");
        for word in words {
            let word = word.replace("{home}", self.path().to_str().unwrap());
            assert!(checked.stderr.contains(&word), "{word}\n{}", checked.stderr);
        }
    }
}

const INCLUDE: &str = "include = [\"conf.d/*.toml\"]\n";

/// A shop of opaque tokens.
fn shop(name: &str, more: &str) -> String {
    format!(
        "[[shop]]\nname = \"{name}\"\nhosts = [\"{name}.example.com\"]\nupstream = [\"127.0.0.1:8000\"]\n\
         token.kind = \"opaque\"\n{more}"
    )
}

#[test]
fn included_files_are_read_in_the_order_of_their_names_and_everything_says_so() {
    let folder = Folder::with(&format!("{INCLUDE}{}", shop("first", "")))
        .and("conf.d/20-b.toml", &shop("b", ""))
        .and(
            "conf.d/10-a.toml",
            &format!("log = \"debug\"\n{}", shop("a", "")),
        )
        .and("conf.d/30-limits.toml", "[limits]\nstreams = 50\n")
        .and("conf.d/.hidden.toml", "nonsense")
        .and("conf.d/a.toml.bak", "nonsense");
    let told = folder.loads(&[]);
    let at = |word: &str| told.find(word).unwrap_or_else(|| panic!("{word}\n{told}"));
    assert!(at("shop first") < at("shop a") && at("shop a") < at("shop b"));
    assert!(at("conf.d/10-a.toml") < at("conf.d/20-b.toml"));
    assert!(!told.contains("hidden") && !told.contains(".bak"));
    let explained = folder.loads(&["--explain"]);
    assert!(explained.contains("b.example.com -> shop b"), "{explained}");
}

#[test]
fn a_pattern_may_fit_no_file_and_a_file_must_be_there() {
    let good = shop("main", "");
    Folder::with(&format!("{INCLUDE}{good}")).loads(&[]);
    let with = |include: &str| Folder::with(&format!("include = {include}\n{good}"));
    for (include, words) in [
        ("[\"none.toml\"]", "none.toml can't be read"),
        ("[\"none.d/*.toml\"]", "none.d can't be read"),
        ("[\"conf.d\"]", "it is not a file"),
        (
            "[\"*/a.toml\"]",
            "`*` can stand in the last part of the path only",
        ),
        ("[\"*.toml\"]", "the configuration includes itself"),
        ("[\"doorward.toml\"]", "the configuration includes itself"),
        ("\"conf.d/*.toml\"", "wrong type for `include`"),
        (
            "[\"$NOT_SET_ANYWHERE/a.toml\"]",
            "the variable `NOT_SET_ANYWHERE` is not set",
        ),
    ] {
        with(include).refuses(&[words, "doorward.toml:3:"]);
    }
    let twice = with("[\"conf.d/a.toml\", \"conf.d/*.toml\"]").and("conf.d/a.toml", "h2c = true\n");
    twice.refuses(&["conf.d/a.toml is included twice", "doorward.toml:3:29"]);
    let nested = with("[\"conf.d/*.toml\"]").and("conf.d/a.toml", INCLUDE);
    nested.refuses(&[
        "an included file includes more",
        "{home}/conf.d/a.toml:1:11",
    ]);
}

#[test]
fn a_fault_of_an_included_file_names_that_file_and_its_line() {
    let folder = Folder::with(&format!("{INCLUDE}{}", shop("main", "")));
    let folder = folder
        .and("conf.d/a.toml", "\nlgo = \"info\"\n[limits]\nstreams = 0\n")
        .and("conf.d/b.toml", "h2c = \n")
        .and(
            "conf.d/c.toml",
            "[[shop]]\nname = \"c\"\nhosts = [\"c\"]\ntoken.kind = \"opaque\"\n",
        );
    folder.refuses(&[
        "{home}/conf.d/a.toml:2:1",
        "unknown key `lgo`",
        "{home}/conf.d/a.toml:4:11",
        "{home}/conf.d/b.toml:1:",
        "{home}/conf.d/c.toml:1:1",
        "missing key `upstream`",
    ]);
}

#[test]
fn what_two_files_say_is_a_fault_that_names_both_places() {
    let folder = |main: &str, other: &str| {
        let folder = Folder::with(&format!("{INCLUDE}{main}{}", shop("main", "")));
        folder.and("conf.d/a.toml", other)
    };
    for (main, other, message) in [
        (
            "log = \"info\"\n",
            "log = \"info\"\n",
            "`log` is written in two files",
        ),
        (
            "",
            "listen = [{ address = \"127.0.0.1:1\" }]\n",
            "`listen` is written in two files",
        ),
        (
            "[drain]\ndelay = \"1s\"\n",
            "drain = { delay = \"2s\" }\n",
            "`delay` is written in two files",
        ),
        (
            "",
            "[[shop]]\nname = \"main\"\n",
            "two shops are called `main`",
        ),
        (
            "",
            "[[shop]]\nname = \"other\"\nhosts = [\"main.example.com\"]\n",
            "two shops claim this host",
        ),
    ] {
        folder(main, other).refuses(&[message, "{home}/conf.d/a.toml:", "of {home}/doorward.toml"]);
    }
    // Tables are one, key by key.
    folder("[drain]\ndelay = \"1s\"\n", "[drain]\ntimeout = \"2s\"\n").loads(&[]);
}

#[test]
fn a_reload_reads_every_file_and_names_what_changed() {
    let backend = Backend::saying("shop");
    let shop = |name: &str, more: &str| {
        shop(name, more).replace("127.0.0.1:8000", &backend.address().to_string())
    };
    let main = |more: &str| format!("{more}{}", shop("main", ""));
    let edge = Edge::with(&main(""));
    let status = |host: &str| {
        edge.raw(&request("GET", PAGE, &[("Host", host)], b""))
            .status
    };
    assert_eq!(status("late.example.com"), 421);
    fs::create_dir(edge.path("conf.d")).unwrap();
    fs::write(edge.path("conf.d/late.toml"), shop("late", "")).unwrap();
    edge.configure(&main(INCLUDE));
    let reloaded = edge.command(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert!(
        reloaded.stderr.contains("changed: shop late: hosts"),
        "{reloaded:?}"
    );
    assert_eq!(status("late.example.com"), 200);
    fs::write(edge.path("conf.d/late.toml"), shop("late", "lgoout = 1\n")).unwrap();
    let refused = edge.command(&["reload"]);
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(
        refused.stderr.contains("conf.d/late.toml:6:1"),
        "{refused:?}"
    );
    assert_eq!(
        status("late.example.com"),
        200,
        "the old configuration serves on"
    );
    fs::write(edge.path("conf.d/late.toml"), "h2c = true\n").unwrap();
    let refused = edge.command(&["reload"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("h2c"), "{refused:?}");
}

#[test]
fn commands_find_the_data_folder_in_an_included_file() {
    let folder = Folder::with(&shop("main", ""));
    let text = format!("listen = [\"127.0.0.1:0\"]\n{INCLUDE}{}", shop("main", ""));
    let folder = folder
        .and("doorward.toml", &text)
        .and("conf.d/data.toml", "data_dir = \"elsewhere\"\n");
    let told = folder.loads(&[]);
    assert!(told.contains("ok  shop main"), "{told}");
    let file = folder.file();
    let made = doorward(&["init", "--config", file.to_str().unwrap()]);
    assert!(made.stdout.contains("elsewhere"), "{made:?}");
    let asked = doorward(&["reload", "--config", file.to_str().unwrap()]);
    assert_eq!(asked.code, Some(69));
    assert!(asked.stderr.contains("elsewhere/control.sock"), "{asked:?}");
}

#[test]
fn a_shop_inherits_what_it_does_not_say_itself() {
    let secret = "a secret of more than thirty-two bytes, as RFC 7518 wants it";
    let folder = Folder::with(
        "[defaults.shop]\npreset = \"bagisto\"\nupstream = [\"127.0.0.1:8000\"]\n\
         [defaults.shop.token]\nalgorithms = [\"HS256\"]\nsecret_file = \"jwt.secret\"\nleeway = \"9s\"\n\
         [[defaults.shop.route]]\nname = \"inherited\"\npaths = [\"/*\"]\nenforce = \"valid\"\n\
         [[shop]]\nname = \"a\"\nhosts = [\"a.example.com\"]\n\
         [[shop.route]]\nname = \"own\"\npaths = [\"/own\"]\nenforce = \"required\"\n\
         [[shop]]\nname = \"b\"\nhosts = [\"b.example.com\"]\nupstream = [\"127.0.0.1:9000\"]\npreset = \"cocart\"\n\
         token.algorithms = [\"HS512\"]\ntoken.allow_short_secret = true\n",
    );
    put(folder.path(), "jwt.secret", secret, 0o600);
    let told = folder.loads(&["--explain"]);
    let (a, b) = told.split_once("\nshop b\n").unwrap();
    let (own, inherited) = (a.find("own").unwrap(), a.find("inherited").unwrap());
    assert!(own < inherited, "the shop's own come first: {told}");
    assert!(
        a.contains("preset: bagisto") && a.contains("127.0.0.1:8000"),
        "{a}"
    );
    assert!(
        b.contains("preset: cocart") && b.contains("127.0.0.1:9000"),
        "{b}"
    );
    assert!(b.contains("inherited") && !b.contains("own /own"), "{b}");
    let told = folder.loads(&[]);
    assert!(
        told.contains("keys: 1 for HS256") && told.contains("keys: 1 for HS512"),
        "{told}"
    );
}

#[test]
fn a_fault_of_what_shops_inherit_is_told_once_where_it_is_written() {
    let shops = format!("{}{}", shop("a", ""), shop("b", ""));
    let with = |defaults: &str| Folder::with(&format!("{defaults}{shops}"));
    let folder = with("[defaults.shop]\nansewr = \"local\"\ntimeouts.read = \"0\"\n");
    folder.refuses(&[
        "doorward.toml:4:1",
        "did you mean `answer`?",
        "doorward.toml:5:17",
    ]);
    let told = folder.check(&[]).stderr;
    assert_eq!(told.matches("unknown key `ansewr`").count(), 1, "{told}");
    with("[defaults.shop]\nname = \"x\"\n").refuses(&["every shop would have the same name"]);
    with("[defaults]\nshp = 1\n").refuses(&["unknown key `shp`", "did you mean `shop`?"]);
    with("[defaults.shop.token]\njwks_file = \"a\"\n").refuses(&["`a` can't be read"]);
    let elsewhere = with(INCLUDE).and("conf.d/d.toml", "[defaults.shop]\ndead_cookie = \"keep\"\n");
    elsewhere.refuses(&["{home}/conf.d/d.toml:2:15", "unknown `dead_cookie`: `keep`"]);
}

/// Runs `doorward check` with a variable.
fn check_with(folder: &Folder, variable: &str, value: &str) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(["check", "--config"])
        .arg(folder.file())
        .env(variable, value)
        .output()
        .unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn every_path_may_name_variables_and_no_other_text_does() {
    let shops = "[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:8000\"]\n\
                 token.algorithms = [\"HS256\"]\ntoken.secret_file = \"${CREDENTIALS_DIRECTORY}/jwt.secret\"\n\
                 [[shop.route]]\nname = \"page\"\npaths = [\"/$CREDENTIALS_DIRECTORY\"]\n\
                 respond = { status = 200, file = \"$CREDENTIALS_DIRECTORY/page.html\" }\n\
                 [shop.error_pages]\n\"401\" = \"${CREDENTIALS_DIRECTORY}/page.html\"\n\
                 [shop.balance]\nsticky = { cookie = \"s\", secret_file = \"${CREDENTIALS_DIRECTORY}/jwt.secret\" }\n";
    let folder = Folder::with(shops);
    let credentials = folder.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    let secret = "a secret of more than thirty-two bytes, as RFC 7518 wants it";
    put(&credentials, "jwt.secret", secret, 0o400);
    put(&credentials, "page.html", "<h1>{status}</h1>", 0o444);
    let value = credentials.to_str().unwrap();
    let good = check_with(&folder, "CREDENTIALS_DIRECTORY", value);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(
        good.stdout.contains("/$CREDENTIALS_DIRECTORY"),
        "only paths of files: {good:?}"
    );
    let unset = folder.check(&[]);
    assert_eq!(unset.code, Some(78));
    let times = unset
        .stderr
        .matches("the variable `CREDENTIALS_DIRECTORY` is not set")
        .count();
    assert_eq!(times, 4, "{}", unset.stderr);
    assert!(unset.stderr.contains("LoadCredential="), "{}", unset.stderr);
    let wrong = check_with(&folder, "CREDENTIALS_DIRECTORY", "/nowhere/hunter2");
    assert_eq!(wrong.code, Some(78));
    assert!(
        !wrong.stderr.contains("hunter2"),
        "a value is never quoted: {}",
        wrong.stderr
    );
    let data = Folder::with(&shop("main", "")).and(
        "doorward.toml",
        &format!(
            "listen = [\"127.0.0.1:0\"]\ndata_dir = \"$STATE_DIRECTORY/journal\"\n{}",
            shop("main", "")
        ),
    );
    let told = check_with(&data, "STATE_DIRECTORY", "/var/lib/somewhere");
    assert!(
        told.stderr.contains("/var/lib/somewhere/journal"),
        "{told:?}"
    );
}

#[test]
fn a_running_process_reads_its_variables_at_a_reload_too() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "jwt.secret", support::Shop::SECRET, 0o600);
    let config = |leeway: &str| {
        format!(
            "[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:8000\"]\ntoken.algorithms = [\"HS256\"]\n\
             token.secret_file = \"${{KEYS}}/jwt.secret\"\ntoken.leeway = \"{leeway}\"\n"
        )
    };
    let keys = folder.path().to_str().unwrap().to_owned();
    let mut edge = Edge::begin(&[("KEYS".to_owned(), keys)], &config("1s"));
    edge.becomes_ready().unwrap();
    edge.configure(&config("2s"));
    let reloaded = edge.command(&["reload"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert_eq!(
        edge.command(&["check"]).code,
        Some(78),
        "this command has no such variable"
    );
}
