//! Configurations: a text is loaded, the same way every time, or refused with a reason; and no report tells a secret.
//!
//! An input is the text of a configuration. A letter that no TOML has, \1, stands for a secret written into the file.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;

use doorward::config::{self, Config, Faults};
use tempfile::TempDir;

/// What stands in the file of a secret, and in the files that hold something else.
const IN_A_FILE: &str = "kept-in-a-file-and-never-told-kept-in-a-file";
/// What stands in the configuration itself, where it does not belong.
const IN_THE_TEXT: &str = "kept-in-the-text-and-never-told";

/// A folder as `/etc/doorward` would be. It is left behind, as the process has no end that could remove it.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    let jwks = format!(r#"{{"keys":[{{"kty":"oct","alg":"HS256","k":"{IN_A_FILE}"}}]}}"#);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{IN_A_FILE}\n-----END PUBLIC KEY-----\n");
    for (name, text) in [
        ("jwt.secret", IN_A_FILE),
        ("jwt.pem", &pem),
        ("jwks.json", &jwks),
    ] {
        let file = folder.path().join("keys").join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    }
    folder
});

/// A text is loaded, every time the same way, or refused with a reason; and no report tells a secret.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let text = with_secret_lines(text);
    let read = || config::parse("doorward.toml", &text, FOLDER.path());
    let outcome = read();
    let loads = outcome.is_ok();
    let picture = picture_of(outcome);
    for secret in [IN_A_FILE, IN_THE_TEXT] {
        assert!(!picture.contains(secret), "told {secret}: {picture}");
    }
    if loads {
        assert_eq!(picture_of(read()), picture, "read again");
    }
}

/// Every \1 begins a line that gives a secret; what follows in its place begins another.
fn with_secret_lines(text: &str) -> String {
    text.replace('\u{1}', &format!("\nsecret = \"{IN_THE_TEXT}\"\n"))
}

/// All that was read or told.
fn picture_of(outcome: Result<(Config, Faults), Faults>) -> String {
    match outcome {
        Ok((config, warnings)) => {
            assert!(!warnings.is_fatal(), "loaded with errors: {warnings}");
            told(&warnings) + &all_of(&config)
        }
        Err(faults) => {
            assert!(faults.is_fatal(), "refused without a reason: {faults}");
            told(&faults)
        }
    }
}

fn told(faults: &Faults) -> String {
    format!(
        "{faults}\n{}\n{faults:?}\n{}\n",
        faults.coloured(),
        faults.summary()
    )
}

fn all_of(config: &Config) -> String {
    let server = &config.server;
    let servers = server.site.pools.shops.iter();
    let mut upstreams: Vec<_> = servers
        .map(|(shop, all)| (shop, all.configured()))
        .collect();
    upstreams.sort_by_key(|(shop, _)| *shop);
    let process = (
        &server.listen,
        &server.operator,
        &server.control,
        &server.data_dir,
        &server.h2c,
        &server.site.trusted_proxies,
        &server.site.limits,
        &server.cluster,
    );
    let summary = (&config.summary, config.log);
    let mut all = format!("{process:?} {upstreams:?} {summary:?}");
    for shop in &config.shops {
        let rules = (
            &shop.logouts,
            &shop.own_logout,
            &shop.refreshes,
            &shop.routes,
            shop.path_style,
        );
        let tokens = (
            &shop.places,
            shop.verifier.settings(),
            shop.verifier.key_count(),
        );
        let rest = (
            &shop.name,
            &shop.hosts,
            shop.tag,
            &shop.refusals,
            shop.allowance,
        );
        let _ = write!(all, "\n{rest:?} {tokens:?} {rules:?}");
    }
    all
}
