//! The Debian package: what is in it, and what its scripts do when it is installed, upgraded, removed and purged. The package is made
//! here from the same list as by cargo-deb; `make test-install` installs the real one on a booted system.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use toml::Table;

use support::doorward;

/// Where Debian has what dpkg and the scripts call.
const SYSTEM: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

const PROGRAM: &str = env!("CARGO_BIN_EXE_doorward");

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text_of(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn told(outcome: &Output) -> String {
    let streams = [&outcome.stdout, &outcome.stderr];
    streams.map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// `[package.metadata.deb]`.
fn metadata() -> Table {
    let manifest: Table = text_of(here("Cargo.toml")).parse().unwrap();
    manifest["package"]["metadata"]["deb"]
        .as_table()
        .unwrap()
        .clone()
}

/// The manual and the completions of the program, in a new folder.
fn manual() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.arg(here("packaging/manual")).arg(PROGRAM);
    let made = command.arg(folder.path().join("made")).output().unwrap();
    assert!(made.status.success(), "{}", told(&made));
    folder
}

/// The files of a pattern, each with its path below the part of the pattern that has no `*`.
fn files_of(pattern: &str) -> Vec<(PathBuf, PathBuf)> {
    let Some((fixed, rest)) = pattern.split_once('*') else {
        let path = PathBuf::from(pattern);
        return vec![(path.clone(), path.file_name().unwrap().into())];
    };
    let base = PathBuf::from(fixed);
    let ending = rest.rsplit('*').next().unwrap();
    let mut found = Vec::new();
    let mut folders = vec![base.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && rest.starts_with('*') {
                folders.push(path);
            } else if path.is_file() && path.to_str().unwrap().ends_with(ending) {
                let name = path.strip_prefix(&base).unwrap().to_owned();
                found.push((path, name));
            }
        }
    }
    assert!(!found.is_empty(), "{pattern}");
    found
}

/// Every file of the package by its path in it, with its source and its mode.
fn contents(manual: &Path) -> Vec<(PathBuf, PathBuf, u32)> {
    let mut contents = Vec::new();
    for asset in metadata()["assets"].as_array().unwrap() {
        let [source, target, mode] = [0, 1, 2].map(|index| asset[index].as_str().unwrap());
        let pattern = match source.strip_prefix("target/package") {
            Some(rest) => format!("{}/made{rest}", manual.display()),
            None if source == "target/release/doorward" => PROGRAM.to_owned(),
            None => here(source).display().to_string(),
        };
        let mode = u32::from_str_radix(mode, 8).unwrap();
        for (file, name) in files_of(&pattern) {
            let target = PathBuf::from(target);
            let is_folder = target.as_os_str().to_str().unwrap().ends_with('/');
            let target = if is_folder { target.join(name) } else { target };
            contents.push((target, file, mode));
        }
    }
    contents
}

/// Makes a package of this version. The program in it is a stand-in: no script runs it from there.
fn package(folder: &Path, version: &str) -> PathBuf {
    let (manual, root) = (manual(), folder.join(version));
    let mut configuration = Vec::new();
    for (target, source, mode) in contents(manual.path()) {
        let path = root.join(&target);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if source == Path::new(PROGRAM) {
            fs::write(&path, "a stand-in\n").unwrap();
        } else {
            fs::copy(source, &path).unwrap();
        }
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        if target.starts_with("etc") {
            configuration.push(format!("/{}\n", target.display()));
        }
    }
    let control = root.join("DEBIAN");
    fs::create_dir(&control).unwrap();
    let deb = metadata();
    let maintainer = deb["maintainer"].as_str().unwrap();
    let fields = format!(
        "Package: doorward\nVersion: {version}\nArchitecture: all\nMaintainer: {maintainer}\nDescription: made by a test\n"
    );
    fs::write(control.join("control"), fields).unwrap();
    fs::write(control.join("conffiles"), configuration.concat()).unwrap();
    let scripts = here(deb["maintainer-scripts"].as_str().unwrap());
    for name in ["postinst", "prerm", "postrm"] {
        script(&control.join(name), &text_of(scripts.join(name)));
    }
    let file = folder.join(format!("{version}.deb"));
    let mut build = Command::new("dpkg-deb");
    build.args(["-Znone", "--root-owner-group", "--build"]);
    let outcome = build.arg(root).arg(&file).output().unwrap();
    assert!(outcome.status.success(), "{}", told(&outcome));
    file
}

/// A machine of its own for dpkg, below a folder. What needs a user of the machine is only noted.
struct Machine {
    folder: TempDir,
    root: PathBuf,
}

impl Machine {
    fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
        fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        let programs = folder.path().join("programs");
        fs::create_dir(&programs).unwrap();
        let notes = "#!/bin/sh\necho \"${0##*/} $*\" >>\"$NOTED\"\n";
        script(&programs.join("systemd-sysusers"), notes);
        // `install -d -o USER -g GROUP …`, without the owners.
        let install = format!("{notes}shift 5\nexec /usr/bin/install -d \"$@\"\n");
        script(&programs.join("install"), &install);
        let program = format!(
            "{notes}sed \"s|/var/lib/doorward|$DPKG_ROOT&|\" \"$3\" >\"$NOTED.toml\"\nexec {PROGRAM} \"$1\" \"$2\" \"$NOTED.toml\"\n"
        );
        script(&programs.join("doorward"), &program);
        fs::write(folder.path().join("noted"), "").unwrap();
        Self { folder, root }
    }

    fn dpkg(&self, arguments: &[&str]) -> String {
        let programs = self.folder.path().join("programs");
        let mut command = Command::new("dpkg");
        command
            .arg(format!("--root={}", self.root.display()))
            .args(["--force-script-chrootless", "--force-not-root"])
            .args(["--force-confold", "--log=/dev/null"])
            .args(arguments)
            .env("PATH", format!("{}:{SYSTEM}", programs.display()))
            .env("NOTED", self.folder.path().join("noted"));
        let outcome = command.output().unwrap();
        let told = told(&outcome);
        assert!(outcome.status.success(), "{arguments:?}: {told}");
        told
    }

    /// Installs a package of this version.
    fn installs(&self, version: &str) -> String {
        let package = package(self.folder.path(), version);
        self.dpkg(&["-i", package.to_str().unwrap()])
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// How often a program was called.
    fn calls(&self, program: &str) -> usize {
        let noted = text_of(self.folder.path().join("noted"));
        noted
            .lines()
            .filter(|line| line.starts_with(program))
            .count()
    }
}

const JOURNAL: &str = "var/lib/doorward/journal.redb";
const CONFIGURATION: &str = "etc/doorward/doorward.toml";

#[test]
fn the_package_has_what_an_installation_needs() {
    let manual = manual();
    let contents = contents(manual.path());
    let has = |path: &str| {
        contents
            .iter()
            .any(|(target, ..)| target == Path::new(path))
    };
    for path in [
        "usr/bin/doorward",
        "etc/doorward/doorward.toml",
        "usr/lib/sysusers.d/doorward.conf",
        "usr/share/doorward/default.toml",
        "usr/share/doorward/doorward.toml",
        "usr/share/man/man8/doorward.8",
        "usr/share/man/man8/doorward-check.8",
        "usr/share/man/man8/doorward-cluster-join.8",
        "usr/share/bash-completion/completions/doorward",
        "usr/share/zsh/vendor-completions/_doorward",
        "usr/share/fish/vendor_completions.d/doorward.fish",
        "usr/share/doc/doorward/README.md",
        "usr/share/doc/doorward/docs/install.md",
    ] {
        assert!(has(path), "{path}");
    }
    for (folder, target) in [
        ("systemd", "usr/lib/systemd/system"),
        ("conf", "usr/share/doorward"),
        ("conf/presets", "usr/share/doorward/presets"),
    ] {
        for entry in fs::read_dir(here(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{target}/{}", entry.file_name().into_string().unwrap());
            assert!(entry.path().is_dir() || has(&path), "{path}");
        }
    }
}

#[test]
fn the_configuration_of_the_package_loads_and_says_what_to_fill_in() {
    let folder = tempfile::tempdir().unwrap();
    let text = text_of(here("packaging/doorward.toml"));
    let begins = |line: &str| line.starts_with("# FILL IN:") || line.starts_with("# FILL IN,");
    assert_eq!(text.lines().filter(|line| begins(line)).count(), 3);
    let state = folder.path().display().to_string();
    let file = folder.path().join("doorward.toml");
    fs::write(&file, text.replace("/var/lib/doorward", &state)).unwrap();
    let checked = doorward(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let commented = text.replace("#token.", "token.");
    fs::write(&file, commented.replace("/var/lib/doorward", &state)).unwrap();
    let checked = doorward(&["check", "--config", file.to_str().unwrap()]);
    assert!(!checked.stderr.contains("unknown key"), "{checked:?}");
    for line in ["listen = [", "operator_listen = "] {
        assert!(text.lines().any(|one| one.starts_with(line)), "{line}");
    }
}

#[test]
fn a_first_installation_makes_the_journal_and_no_later_one_does() {
    let machine = Machine::bare();
    let told = machine.installs("1");
    assert!(told.contains("installed and not started"), "{told}");
    assert_eq!(machine.calls("systemd-sysusers"), 1);
    let journal = machine.path(JOURNAL).metadata().unwrap().ino();
    let told = machine.installs("2");
    assert!(!told.contains("not started"), "{told}");
    let after = machine.path(JOURNAL).metadata().unwrap().ino();
    assert_eq!(after, journal, "an upgrade");
    fs::remove_file(machine.path(JOURNAL)).unwrap();
    machine.installs("3");
    assert!(!machine.path(JOURNAL).exists(), "one that was lost");
    assert_eq!(machine.calls("doorward init"), 1);
}

#[test]
fn a_state_that_is_there_already_stays_as_it_is() {
    let machine = Machine::bare();
    fs::create_dir_all(machine.path("var/lib/doorward")).unwrap();
    fs::write(machine.path("var/lib/doorward/journal.mark"), "a mark").unwrap();
    machine.installs("1");
    assert_eq!(machine.calls("doorward init"), 0);
    assert!(!machine.path(JOURNAL).exists());
}

#[test]
fn an_upgrade_keeps_what_the_operator_wrote() {
    let machine = Machine::bare();
    machine.installs("1");
    fs::write(machine.path(CONFIGURATION), "# mine\n").unwrap();
    machine.installs("2");
    assert_eq!(text_of(machine.path(CONFIGURATION)), "# mine\n");
}

#[test]
fn a_removal_keeps_the_state_and_a_purge_says_that_it_deletes_it() {
    let machine = Machine::bare();
    machine.installs("1");
    fs::write(machine.path("etc/doorward/keys/jwt.secret"), "a secret").unwrap();
    let told = machine.dpkg(&["-r", "doorward"]);
    assert!(told.contains("/var/lib/doorward stays"), "{told}");
    assert!(machine.path(JOURNAL).exists() && machine.path(CONFIGURATION).exists());
    assert!(!machine.path("usr/bin/doorward").exists());
    machine.installs("2");
    assert_eq!(machine.calls("doorward init"), 1, "installed again");
    machine.dpkg(&["-r", "doorward"]);
    let told = machine.dpkg(&["-P", "doorward"]);
    assert!(told.contains("deleting /var/lib/doorward"), "{told}");
    assert!(told.contains("/etc/doorward stays"), "{told}");
    assert!(!machine.path("var/lib/doorward").exists());
    assert!(!machine.path(CONFIGURATION).exists());
    assert!(machine.path("etc/doorward/keys/jwt.secret").exists());
}

/// The names of the commands in the help of a command.
fn commands_of(words: &[&str]) -> Vec<String> {
    let help = doorward(&[words, &["--help"]].concat()).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| line.starts_with("  "));
    let names = listed.filter_map(|line| line.split_whitespace().next());
    let names = names.filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_page_and_every_shell_completes_it() {
    let manual = manual();
    let made = manual.path().join("made");
    let mut commands = commands_of(&[]);
    assert!(commands.len() > 8, "{commands:?}");
    let mut inner = Vec::new();
    for command in &commands {
        let below = commands_of(&[command]);
        inner.extend(below.into_iter().map(|name| (command.clone(), name)));
    }
    assert!(inner.len() > 3, "{inner:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = text_of(made.join(format!("doorward.{shell}")));
        for name in commands.iter().chain(inner.iter().map(|(_, name)| name)) {
            assert!(script.contains(name.as_str()), "{shell} {name}");
        }
    }
    let inner = inner
        .iter()
        .map(|(command, name)| format!("{command}-{name}"));
    commands.extend(inner.collect::<Vec<_>>());
    for name in &commands {
        let page = text_of(made.join(format!("man/doorward-{name}.8")));
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    let pages = fs::read_dir(made.join("man")).unwrap().count();
    assert_eq!(pages, commands.len() + 1, "hidden commands have no page");
}
