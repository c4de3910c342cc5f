//! `jwks_url`: the URL of a shop's key set, and how it is fetched.

use std::ops::RangeInclusive;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily};

use crate::config::fault::Fault;
use crate::config::process::certificate::authorities_in;
use crate::config::reading::file::File;
use crate::config::reading::{TomlTable, TomlText};
use crate::request::{FetchUrl, JwksSource, algorithm_name};

/// How long keys count as fresh by default, if the answer has no `Cache-Control`.
const REFRESH: Duration = Duration::from_mins(10);
/// How long to wait, by default, between two fetches that unknown key ids cause.
const COOLDOWN: Duration = Duration::from_secs(30);
/// Keys are fetched at most once a second, and at least once a day.
const PACE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// How `jwks_url` is fetched.
pub(crate) struct FetchSettings<'a> {
    ca_file: Option<TomlText<'a>>,
    refresh: Duration,
    cooldown: Duration,
}

/// Reads the keys that have no effect without `jwks_url`.
pub(crate) fn read_terms<'a>(token: &mut TomlTable<'a>) -> FetchSettings<'a> {
    let terms = FetchSettings {
        ca_file: token.string("jwks_ca_file"),
        refresh: read_pace(token, "jwks_refresh", REFRESH),
        cooldown: read_pace(token, "jwks_cooldown", COOLDOWN),
    };
    for key in ["jwks_ca_file", "jwks_refresh", "jwks_cooldown"] {
        if token.lacks("jwks_url") {
            let message = format!("`{key}` means nothing without `jwks_url`");
            token.report_at(key, Fault::error(message));
        }
    }
    terms
}

fn read_pace(token: &mut TomlTable<'_>, key: &str, usual: Duration) -> Duration {
    let pace = token.duration_within(key, PACE, "1s to 24h");
    pace.unwrap_or(usual)
}

/// Reads `jwks_url` itself. Nothing is fetched here.
pub(crate) fn read(
    text: &TomlText<'_>,
    terms: &FetchSettings<'_>,
    algorithms: &[Algorithm],
) -> Option<JwksSource> {
    if names_user(text.as_str()) {
        // Without the line, which contains a password.
        let (file, line) = (text.spot().source_name(), text.spot().line());
        let line = line.unwrap_or_default();
        let message = format!("{file}:{line}: `jwks_url` holds a user name or a password");
        text.report_unshown(Fault::error(message).help("a key set is public: leave them out"));
        return None;
    }
    let secret = |one: &&Algorithm| one.family() == AlgorithmFamily::Hmac;
    if let Some(secret) = algorithms.iter().find(secret) {
        let name = algorithm_name(*secret);
        let fault = Fault::error(format!("{name} takes a secret, and `jwks_url` has none"));
        let help = "a set that can be fetched holds public keys only; for a secret: secret_file";
        text.report(fault.help(help));
    }
    let url = text.parse_as(FetchUrl::parse);
    let authorities = match &terms.ca_file {
        None => Some(Vec::new()),
        Some(named) => read_authorities(named),
    };
    let url = url?;
    if let Some(named) = terms.ca_file.as_ref().filter(|_| !url.tls) {
        let fault = Fault::error("`jwks_ca_file` means nothing for http://");
        named.report(fault);
    }
    Some(JwksSource {
        url,
        authorities: authorities?,
        refresh: terms.refresh,
        cooldown: terms.cooldown,
    })
}

fn names_user(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next();
    authority.is_some_and(|authority| authority.contains('@'))
}

/// The certificates of a private authority.
fn read_authorities(named: &TomlText<'_>) -> Option<Vec<Vec<u8>>> {
    let file = File::read(named)?;
    let certificates = authorities_in(&file)?;
    Some(certificates.iter().map(|one| one.to_vec()).collect())
}
