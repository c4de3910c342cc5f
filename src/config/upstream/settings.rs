//! Servers: addresses, balancing, health checks, timeouts, TLS.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, PathAndQuery};

use super::servers;
use super::sticky;
use crate::config::fault::Fault;
use crate::config::reading::file::File;
use crate::config::reading::{TextOrTable, TomlTable};
use crate::config::rules::agreement;
use crate::config::rules::cookie_name::cookie_name;
use crate::config::rules::header::header_name;
use crate::server::{
    Balance, Check, HashBy, HealthSettings, HttpCheck, ProxyProtocol, ServerSettings, Sticky,
    Timeouts, UnfitTls, UpstreamLimits, UpstreamOwner, UpstreamSettings, UpstreamTls, Upstreams,
};

/// How often names are looked up.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// How many requests wait for servers that are full, and how long.
const QUEUE: usize = 100;
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// The bounds of every timeout and interval: shorter or longer ones are typing errors.
pub(crate) const WAITS: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_hours(24);

#[derive(Clone, Copy)]
enum BalanceAlgorithm {
    RoundRobin,
    LeastConnections,
    Hash,
}

const BALANCE_ALGORITHMS: &[(&str, BalanceAlgorithm)] = &[
    ("round-robin", BalanceAlgorithm::RoundRobin),
    ("least-connections", BalanceAlgorithm::LeastConnections),
    ("hash", BalanceAlgorithm::Hash),
];

/// What they were called before.
const FORMER_BALANCE_ALGORITHMS: &[(&str, &str)] =
    &[("turn", "round-robin"), ("least", "least-connections")];

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

const PROXY_PROTOCOLS: &[(&str, ProxyProtocol)] =
    &[("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)];

/// What the keys are called: those of a shop stand among others.
pub(crate) struct UpstreamKeys {
    /// The addresses.
    pub(crate) servers: &'static str,
    /// The `Host` header.
    pub(crate) host: &'static str,
    /// Whether to use HTTP/2.
    pub(crate) http2: &'static str,
    /// The PROXY header that connections begin with.
    pub(crate) proxy_protocol: &'static str,
    /// The table about the requests in flight.
    pub(crate) limits: &'static str,
    /// The table about TLS.
    pub(crate) tls: &'static str,
    /// That table, as an operator would write it.
    pub(crate) tls_table: &'static str,
    /// The fault of that table, where no server speaks TLS.
    pub(crate) without_tls: &'static str,
}

impl UpstreamKeys {
    /// In `[[upstream]]`.
    pub(crate) const NAMED: Self = Self {
        servers: "servers",
        host: "host",
        http2: "http2",
        proxy_protocol: "proxy_protocol",
        limits: "limits",
        tls: "tls",
        tls_table: "[upstream.tls]",
        without_tls: "no server of this upstream is https://",
    };
    /// In `[[shop]]`.
    pub(crate) const OF_SHOP: Self = Self {
        servers: "upstream",
        host: "upstream_host",
        http2: "upstream_http2",
        proxy_protocol: "upstream_proxy_protocol",
        limits: "upstream_limits",
        tls: "upstream_tls",
        tls_table: "[shop.upstream_tls]",
        without_tls: "no upstream of this shop is https://",
    };
    /// The tables that are called the same in both.
    pub(crate) const TABLES: [&'static str; 3] = ["balance", "health", "timeouts"];
}

/// Reads every key about servers. Those without an owner have a faulty name.
pub(crate) fn read_settings(
    table: &mut TomlTable<'_>,
    keys: &UpstreamKeys,
    owner: Option<UpstreamOwner>,
) -> Option<Upstreams> {
    let servers = servers::read(table, keys.servers);
    let host = table.string_as(keys.host, host_name);
    let http2 = table.boolean(keys.http2);
    let proxy_protocol = table.choice(keys.proxy_protocol, PROXY_PROTOCOLS);
    let balance = read_balance(table);
    let limits = read_limits(table, keys);
    let health = read_health(table, host.as_ref());
    let timeouts = read_timeouts(table);
    let tls = read_tls(table, keys, servers.as_deref());
    let servers = servers.filter(|servers| !servers.is_empty())?;
    Some(Upstreams::new(UpstreamSettings {
        owner: owner?,
        servers,
        host,
        balance: balance.balance,
        sticky: balance.sticky,
        slow_start: balance.slow_start,
        limits,
        health,
        timeouts,
        tls,
        http2: http2.unwrap_or_default(),
        proxy_protocol,
        resolve_every: balance.resolve_every,
    }))
}

/// Reads the limit of requests in flight, and the queue behind it.
fn read_limits(upstream: &mut TomlTable<'_>, keys: &UpstreamKeys) -> Option<UpstreamLimits> {
    let mut table = upstream.table(keys.limits)?;
    let connections = table.integer("connections", 1..=1_000_000);
    let queue = table.integer("queue", 0..=1_000_000);
    let queue_timeout = wait(&mut table, "queue_timeout", QUEUE_TIMEOUT);
    if table.lacks("connections") {
        refuse(&table, &["queue", "queue_timeout"], "`connections`");
    }
    table.finish();
    Some(UpstreamLimits {
        connections: connections?,
        queue: queue.unwrap_or(QUEUE),
        queue_timeout,
    })
}

/// What the table about balancing says.
struct BalanceTable {
    balance: Balance,
    sticky: Option<Sticky>,
    slow_start: Option<Duration>,
    resolve_every: Duration,
}

fn read_balance(shop: &mut TomlTable<'_>) -> BalanceTable {
    let Some(mut table) = shop.table("balance") else {
        return BalanceTable {
            balance: Balance::default(),
            sticky: None,
            slow_start: None,
            resolve_every: RESOLVE_EVERY,
        };
    };
    table.renamed("algorithm", "by");
    let algorithm =
        table.choice_renamed("algorithm", BALANCE_ALGORITHMS, FORMER_BALANCE_ALGORITHMS);
    let hash = read_hash(&mut table);
    let sticky = sticky::read(&mut table);
    let resolve_every = wait(&mut table, "resolve_every", RESOLVE_EVERY);
    let slow_start = table.duration_within("slow_start", WAITS, "10ms to 24h");
    let balance = match algorithm {
        Some(BalanceAlgorithm::Hash) => Balance::Hash(hash.unwrap_or(HashBy::Client)),
        Some(BalanceAlgorithm::LeastConnections) => Balance::Least,
        Some(BalanceAlgorithm::RoundRobin) | None => Balance::Turn,
    };
    let is_read = table.spot_of("algorithm").is_some() == algorithm.is_some();
    if !matches!(algorithm, Some(BalanceAlgorithm::Hash)) && is_read {
        refuse(&table, &["hash"], "algorithm = \"hash\"");
    }
    table.finish();
    BalanceTable {
        balance,
        sticky,
        slow_start,
        resolve_every,
    }
}

fn read_hash(table: &mut TomlTable<'_>) -> Option<HashBy> {
    match table.string_or_table("hash")? {
        TextOrTable::Text(text) => text
            .choose("hash", &[("client", ())])
            .map(|()| HashBy::Client),
        TextOrTable::Table(mut table) => {
            let header = table.string_as("header", header_name);
            let cookie = table.string_as("cookie", cookie_name);
            let is_written = ["header", "cookie"].map(|key| !table.lacks(key));
            if is_written[0] == is_written[1] {
                let fault = Fault::error("either a header or a cookie is hashed");
                table.report_here(fault.help("hash = { cookie = \"cart\" }"));
            }
            table.finish();
            if is_written[0] == is_written[1] {
                return None;
            }
            header.map(HashBy::Header).or(cookie.map(HashBy::Cookie))
        }
    }
}

fn read_health(shop: &mut TomlTable<'_>, host: Option<&HeaderValue>) -> HealthSettings {
    let mut health = HealthSettings::default();
    let Some(mut table) = shop.table("health") else {
        return health;
    };
    let by = table.choice("check", CHECKS);
    let http = read_http_check(&mut table, host);
    health.interval = wait(&mut table, "interval", health.interval);
    health.timeout = wait(&mut table, "timeout", health.timeout);
    let thresholds = &mut health.thresholds;
    for (key, threshold) in [
        ("healthy_after", &mut thresholds.healthy_after),
        ("unhealthy_after", &mut thresholds.unhealthy_after),
    ] {
        *threshold = table.integer(key, 1..=1000).unwrap_or(*threshold);
    }
    let ejection = &mut health.ejection;
    let eject_after = table.integer("eject_after", 0..=1_000_000);
    ejection.after = eject_after.unwrap_or(ejection.after);
    ejection.lasts = wait(&mut table, "eject_for", ejection.lasts);
    if !matches!(by, Some(CheckBy::Http)) && table.spot_of("check").is_some() == by.is_some() {
        refuse(&table, &["path", "host", "status"], "check = \"http\"");
    }
    table.finish();
    health.check = match by {
        Some(CheckBy::Http) => Check::Http(http),
        Some(CheckBy::Tcp) => Check::Tcp,
        Some(CheckBy::None) | None => Check::None,
    };
    health
}

fn read_http_check(table: &mut TomlTable<'_>, shop_host: Option<&HeaderValue>) -> HttpCheck {
    let mut check = HttpCheck::default();
    let path = table.string("path");
    if let Some(path) = path.and_then(|text| text.parse_as(check_path)) {
        check.path = path;
    }
    let host = table.string_as("host", host_name);
    check.host = host.or_else(|| shop_host.cloned());
    if let Some(statuses) = agreement::read_statuses(table) {
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

fn read_timeouts(shop: &mut TomlTable<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let Some(mut table) = shop.table("timeouts") else {
        return timeouts;
    };
    table.renamed("read", "silence");
    for (key, timeout) in [
        ("connect", &mut timeouts.connect),
        ("read", &mut timeouts.silence),
        ("write", &mut timeouts.write),
        ("idle", &mut timeouts.idle),
    ] {
        *timeout = wait(&mut table, key, *timeout);
    }
    table.finish();
    timeouts
}

fn wait(table: &mut TomlTable<'_>, key: &str, default: Duration) -> Duration {
    let written = table.duration_within(key, WAITS, "10ms to 24h");
    written.unwrap_or(default)
}

/// Refuses keys that have no effect without another one.
fn refuse(table: &TomlTable<'_>, keys: &[&str], without: &str) {
    for key in keys {
        let fault = Fault::error(format!("`{key}` means nothing without {without}"));
        table.report_at(key, fault);
    }
}

fn read_tls(
    upstream: &mut TomlTable<'_>,
    keys: &UpstreamKeys,
    servers: Option<&[ServerSettings]>,
) -> UpstreamTls {
    let mut tls = UpstreamTls::default();
    let endpoints = servers.unwrap_or_default().iter().map(|one| &one.endpoint);
    let with_tls = endpoints.filter(|endpoint| endpoint.is_tls());
    let with_tls: Vec<_> = with_tls.collect();
    if let Some(mut table) = upstream.table(keys.tls) {
        read_tls_table(&mut table, &mut tls);
        if servers.is_some_and(|servers| !servers.is_empty()) && with_tls.is_empty() {
            let fault = Fault::error(keys.without_tls);
            table.report_here(fault.help("write https:// before its address"));
        }
        table.finish();
    }
    let unnamed = with_tls
        .into_iter()
        .find(|endpoint| !endpoint.is_verifiable(&tls));
    if let Some(endpoint) = unnamed {
        let fault = Fault::error(format!("no certificate can be issued for {endpoint}"));
        let table = keys.tls_table;
        let help = format!("say which name stands in it: {table} server_name = \"shop.internal\"");
        upstream.report_at(keys.servers, fault.help(help));
    }
    tls
}

fn read_tls_table(table: &mut TomlTable<'_>, tls: &mut UpstreamTls) {
    if let Some(named) = table.string("ca_file")
        && let Some(file) = File::read(&named)
        && let Err(unfit) = tls.trust(file.bytes())
    {
        file.report(file.error(unfit));
    }
    let certificate = table.string("cert_file");
    let key = table.string("key_file");
    for (key, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if table.lacks(other) {
            table.report_at(key, Fault::error(format!("`{key}` without `{other}`")));
        }
    }
    if let (Some(certificate), Some(key)) = (certificate, key) {
        let certificate = File::read(&certificate);
        let key = File::read_secret(&key);
        if let (Some(certificate), Some(key)) = (certificate, key)
            && let Err(unfit) = tls.identify(certificate.bytes(), key.bytes())
        {
            let file = match unfit {
                UnfitTls::NoCertificate | UnfitTls::BadCertificate => &certificate,
                UnfitTls::NoKey | UnfitTls::BadKey => &key,
            };
            file.report(file.error(unfit));
        }
    }
    if let Some(name) = table.string("server_name") {
        name.parse_as(|name| tls.expect(name));
    }
}
