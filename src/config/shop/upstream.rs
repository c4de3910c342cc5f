//! The servers of a shop: addresses, how requests are spread over them, health, patience, TLS.

use std::path::Path;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue};

use crate::config::fault::{Fault, Faults};
use crate::config::reading::file::{read_file, read_secret_file};
use crate::config::reading::{Table, Text, TextOrTable};
use crate::config::rules::agreement;
use crate::server::{
    Balance, Check, Endpoint, HashBy, Health, HttpCheck, Timeouts, UnfitTls, UpstreamSettings,
    UpstreamTls, Upstreams,
};

/// How often names are looked up.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// What may be written for something that is waited for. Shorter is a slip of the pen, longer is for ever.
const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_hours(24);

#[derive(Clone, Copy)]
enum By {
    Turn,
    Least,
    Hash,
}

const METHODS: &[(&str, By)] = &[("turn", By::Turn), ("least", By::Least), ("hash", By::Hash)];

#[derive(Clone, Copy)]
enum CheckBy {
    None,
    Tcp,
    Http,
}

const CHECKS: &[(&str, CheckBy)] = &[
    ("none", CheckBy::None),
    ("tcp", CheckBy::Tcp),
    ("http", CheckBy::Http),
];

/// Reads all that a shop says of its servers.
pub(crate) fn read(
    shop: &mut Table<'_>,
    name: &str,
    base_dir: &Path,
    faults: &mut Faults,
) -> Option<Upstreams> {
    let endpoints = read_endpoints(shop, faults);
    let host = shop.string("upstream_host", faults);
    let host = host.and_then(|text| text.parse_as(host_name, faults));
    let http2 = shop.boolean("upstream_http2", faults);
    let (balance, resolve_every) = read_balance(shop, faults);
    let health = read_health(shop, host.as_ref(), faults);
    let timeouts = read_timeouts(shop, faults);
    let tls = read_tls(shop, endpoints.as_deref(), base_dir, faults);
    let endpoints = endpoints.filter(|endpoints| !endpoints.is_empty())?;
    Some(Upstreams::new(UpstreamSettings {
        shop: name.to_owned(),
        endpoints,
        host,
        balance,
        health,
        timeouts,
        tls,
        http2: http2.unwrap_or_default(),
        resolve_every,
    }))
}

fn read_endpoints(shop: &mut Table<'_>, faults: &mut Faults) -> Option<Vec<Endpoint>> {
    let texts = shop.string_or_strings("upstream", faults);
    shop.missing("upstream", "addresses such as [\"127.0.0.1:8000\"]", faults);
    let texts = texts?;
    if texts.is_empty()
        && let Some(spot) = shop.spot_of("upstream")
    {
        faults.push(Fault::error("`upstream` names no address").at(&spot));
    }
    let endpoints = texts.iter().filter_map(|text| read_endpoint(text, faults));
    Some(endpoints.collect())
}

/// Standards 12: a bearer token in the clear is anybody's.
fn read_endpoint(text: &Text<'_>, faults: &mut Faults) -> Option<Endpoint> {
    let endpoint = text.parse_as(Endpoint::parse, faults)?;
    if endpoint.is_exposed() {
        let fault = Fault::warning("tokens travel to this upstream in the clear");
        let help = "write https:// before the address (RFC 6750 section 5.2)";
        faults.push(fault.at(text.spot()).help(help));
    }
    Some(endpoint)
}

fn read_balance(shop: &mut Table<'_>, faults: &mut Faults) -> (Balance, Duration) {
    let Some(mut table) = shop.table("balance", faults) else {
        return (Balance::default(), RESOLVE_EVERY);
    };
    let by = table.choice("by", METHODS, faults);
    let hash = read_hash(&mut table, faults);
    let resolve_every = wait(&mut table, "resolve_every", RESOLVE_EVERY, faults);
    let balance = match by {
        Some(By::Hash) => Balance::Hash(hash.unwrap_or(HashBy::Client)),
        Some(By::Least) => Balance::Least,
        Some(By::Turn) | None => Balance::Turn,
    };
    if !matches!(by, Some(By::Hash)) && table.spot_of("by").is_some() == by.is_some() {
        refuse(&table, &["hash"], "by = \"hash\"", faults);
    }
    table.finish(faults);
    (balance, resolve_every)
}

fn read_hash(table: &mut Table<'_>, faults: &mut Faults) -> Option<HashBy> {
    match table.string_or_table("hash", faults)? {
        TextOrTable::Text(text) => text
            .choose("hash", &[("client", ())], faults)
            .map(|()| HashBy::Client),
        TextOrTable::Table(mut table) => {
            let header = table.string("header", faults);
            let header = header.and_then(|text| text.parse_as(header_name, faults));
            let cookie = table.string("cookie", faults);
            let cookie = cookie.and_then(|text| text.parse_as(cookie_name, faults));
            let spot = table.spot();
            let is_written = ["header", "cookie"].map(|key| !table.lacks(key));
            table.finish(faults);
            if is_written[0] == is_written[1] {
                let fault = Fault::error("either a header or a cookie is hashed").at(&spot);
                faults.push(fault.help("hash = { cookie = \"cart\" }"));
                return None;
            }
            header.map(HashBy::Header).or(cookie.map(HashBy::Cookie))
        }
    }
}

fn header_name(text: &str) -> Result<HeaderName, &'static str> {
    text.parse().map_err(|_| "the name of a header")
}

fn cookie_name(text: &str) -> Result<String, &'static str> {
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
    let is_fit = !text.is_empty() && text.bytes().all(is_token);
    is_fit
        .then(|| text.to_owned())
        .ok_or("the name of a cookie")
}

fn read_health(shop: &mut Table<'_>, host: Option<&HeaderValue>, faults: &mut Faults) -> Health {
    let mut health = Health::default();
    let Some(mut table) = shop.table("health", faults) else {
        return health;
    };
    let by = table.choice("check", CHECKS, faults);
    let http = read_http_check(&mut table, host, faults);
    health.interval = wait(&mut table, "interval", health.interval, faults);
    health.timeout = wait(&mut table, "timeout", health.timeout, faults);
    let thresholds = &mut health.thresholds;
    for (key, threshold) in [
        ("healthy_after", &mut thresholds.healthy_after),
        ("unhealthy_after", &mut thresholds.unhealthy_after),
    ] {
        *threshold = table.integer(key, 1..=1000, faults).unwrap_or(*threshold);
    }
    let ejection = &mut health.ejection;
    let eject_after = table.integer("eject_after", 0..=1_000_000, faults);
    ejection.after = eject_after.unwrap_or(ejection.after);
    ejection.lasts = wait(&mut table, "eject_for", ejection.lasts, faults);
    if !matches!(by, Some(CheckBy::Http)) && table.spot_of("check").is_some() == by.is_some() {
        refuse(
            &table,
            &["path", "host", "status"],
            "check = \"http\"",
            faults,
        );
    }
    table.finish(faults);
    health.check = match by {
        Some(CheckBy::Http) => Check::Http(http),
        Some(CheckBy::Tcp) => Check::Tcp,
        Some(CheckBy::None) | None => Check::None,
    };
    health
}

fn read_http_check(
    table: &mut Table<'_>,
    shop_host: Option<&HeaderValue>,
    faults: &mut Faults,
) -> HttpCheck {
    let mut check = HttpCheck::default();
    let path = table.string("path", faults);
    if let Some(path) = path.and_then(|text| text.parse_as(check_path, faults)) {
        check.path = path;
    }
    let host = table.string("host", faults);
    let host = host.and_then(|text| text.parse_as(host_name, faults));
    check.host = host.or_else(|| shop_host.cloned());
    if let Some(statuses) = agreement::read_statuses(table, faults) {
        check.expected = statuses;
    }
    check
}

fn check_path(text: &str) -> Result<PathAndQuery, &'static str> {
    let path = text.parse().ok();
    path.filter(|_| text.starts_with('/'))
        .ok_or("a path such as /healthz")
}

fn host_name(text: &str) -> Result<HeaderValue, &'static str> {
    let parsed = text.parse::<Authority>().ok();
    let fit = parsed.filter(|parsed| !parsed.host().is_empty() && !text.contains('@'));
    fit.and_then(|_| HeaderValue::from_str(text).ok())
        .ok_or("a host such as shop.example.com")
}

fn read_timeouts(shop: &mut Table<'_>, faults: &mut Faults) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let Some(mut table) = shop.table("timeouts", faults) else {
        return timeouts;
    };
    for (key, timeout) in [
        ("connect", &mut timeouts.connect),
        ("silence", &mut timeouts.silence),
        ("write", &mut timeouts.write),
        ("idle", &mut timeouts.idle),
    ] {
        *timeout = wait(&mut table, key, *timeout, faults);
    }
    table.finish(faults);
    timeouts
}

fn wait(table: &mut Table<'_>, key: &str, default: Duration, faults: &mut Faults) -> Duration {
    let Some(written) = table.duration(key, faults) else {
        return default;
    };
    if (WAIT_MIN..=WAIT_MAX).contains(&written) {
        return written;
    }
    if let Some(spot) = table.spot_of(key) {
        let fault = Fault::error(format!("`{key}` is out of range")).at(&spot);
        faults.push(fault.label("expected 10ms to 24h"));
    }
    default
}

/// Keys that mean nothing without another one: who writes them wants something that would not happen.
fn refuse(table: &Table<'_>, keys: &[&str], without: &str, faults: &mut Faults) {
    for key in keys {
        if let Some(spot) = table.spot_of(key) {
            let fault = Fault::error(format!("`{key}` means nothing without {without}"));
            faults.push(fault.at(&spot));
        }
    }
}

fn read_tls(
    shop: &mut Table<'_>,
    endpoints: Option<&[Endpoint]>,
    base_dir: &Path,
    faults: &mut Faults,
) -> UpstreamTls {
    let mut tls = UpstreamTls::default();
    let with_tls = endpoints
        .unwrap_or_default()
        .iter()
        .filter(|one| one.is_tls());
    let with_tls: Vec<_> = with_tls.collect();
    if let Some(mut table) = shop.table("upstream_tls", faults) {
        read_tls_table(&mut table, &mut tls, base_dir, faults);
        if endpoints.is_some_and(|endpoints| !endpoints.is_empty()) && with_tls.is_empty() {
            let fault = Fault::error("no upstream of this shop is https://").at(&table.spot());
            faults.push(fault.help("write https:// before its address"));
        }
        table.finish(faults);
    }
    let unnamed = with_tls
        .into_iter()
        .find(|endpoint| !endpoint.is_verifiable(&tls));
    if let (Some(endpoint), Some(spot)) = (unnamed, shop.spot_of("upstream")) {
        let fault = Fault::error(format!("no certificate can be issued for {endpoint}")).at(&spot);
        let help =
            "say which name stands in it: [shop.upstream_tls] server_name = \"shop.internal\"";
        faults.push(fault.help(help));
    }
    tls
}

fn read_tls_table(
    table: &mut Table<'_>,
    tls: &mut UpstreamTls,
    base_dir: &Path,
    faults: &mut Faults,
) {
    if let Some(named) = table.string("ca_file", faults)
        && let Some(pem) = read_file(&named, base_dir, faults)
        && let Err(unfit) = tls.trust(&pem)
    {
        faults.push(unfit_file(&named, unfit));
    }
    let certificate = table.string("cert_file", faults);
    let key = table.string("key_file", faults);
    for (key, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if let (Some(spot), true) = (table.spot_of(key), table.lacks(other)) {
            faults.push(Fault::error(format!("`{key}` without `{other}`")).at(&spot));
        }
    }
    if let (Some(certificate), Some(key)) = (certificate, key) {
        let pem = read_file(&certificate, base_dir, faults);
        let secret = read_secret_file(&key, base_dir, faults);
        if let (Some(pem), Some(secret)) = (pem, secret)
            && let Err(unfit) = tls.identify(&pem, &secret)
        {
            let named = match unfit {
                UnfitTls::NoCertificate | UnfitTls::BadCertificate => &certificate,
                UnfitTls::NoKey | UnfitTls::BadKey => &key,
            };
            faults.push(unfit_file(named, unfit));
        }
    }
    if let Some(name) = table.string("server_name", faults) {
        name.parse_as(|name| tls.expect(name), faults);
    }
}

fn unfit_file(named: &Text<'_>, unfit: UnfitTls) -> Fault {
    let name = named.as_str().escape_debug();
    Fault::error(format!("`{name}`: {unfit}")).at(named.spot())
}
