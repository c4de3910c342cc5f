//! One shop of the file, laid over its preset.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::config::fault::{Fault, Faults, Spot};
use crate::config::presets::Presets;
use crate::config::reading::Table;
use crate::config::rules::base::Bases;
use crate::config::rules::credential;
use crate::config::rules::graphql;
use crate::config::rules::logout;
use crate::config::rules::mint;
use crate::config::rules::refresh;
use crate::config::rules::route;
use crate::config::shop::claims::Taken;
use crate::config::shop::upstream;
use crate::config::token::settings as token;
use crate::request::{
    DeadCookiePolicy, Examine, GraphQlSettings, HostPattern, Issuer, KnownLogouts, PathPattern,
    RefusalSettings, Shape, Shop, ShopClock, UnknownToken, UnreadBody, name_of,
};
use crate::revocation::{Allowance, ShopTag};
use crate::server::{Endpoint, Upstreams};

const SHAPES: &[(&str, Shape)] = &[
    ("message", Shape::Message),
    ("wp-error", Shape::WpError),
    ("problem", Shape::Problem),
    ("graphql", Shape::GraphQl),
];

const EXAMINE: &[(&str, Examine)] = &[
    ("everything", Examine::Everything),
    ("routes", Examine::Routes),
];

const DEAD_COOKIE: &[(&str, DeadCookiePolicy)] = &[
    ("remove", DeadCookiePolicy::Remove),
    ("refuse", DeadCookiePolicy::Refuse),
];

/// How far a clock of the shop may be from ours to be believed, where the operator does not say; and what may be said.
const CLOCK_OFFSET_MAX: Duration = Duration::from_mins(5);
const CLOCK_OFFSETS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// The code of a refusal in the shape `wp-error`, where neither preset nor operator has one.
const REFUSAL_CODE: &str = "doorward_unauthorized";

/// What shops of one file share.
pub(crate) struct Home<'a> {
    /// The presets.
    pub(crate) presets: &'a Presets,
    /// What their logouts look like.
    pub(crate) known_logouts: &'a Arc<KnownLogouts>,
    /// The folder that paths of files are relative to.
    pub(crate) base_dir: &'a Path,
    /// The folder of Doorward's own paths.
    pub(crate) prefix: &'a str,
}

/// A shop that was read.
pub(crate) struct Reading {
    /// For the gate.
    pub(crate) shop: Shop,
    /// For the proxy.
    pub(crate) upstreams: Upstreams,
    /// For `check`.
    pub(crate) summary: Vec<String>,
    /// Where it stands.
    pub(crate) spot: Spot,
}

/// Tells the token domains of shops that share theirs with no other from those of shops that had their names before.
pub(crate) fn own_domains(readings: &mut [Reading]) {
    for at in 0..readings.len() {
        let name = readings[at].shop.name.clone();
        let others = readings
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        let mut issuers = others.flat_map(|(_, other)| other.shop.verifier.issuers());
        if !issuers.any(|issuer| issuer.settings().token_domain == name) {
            readings[at].shop.own_domain();
        }
    }
}

/// Tells a shop that takes what the others leave what that is.
pub(crate) fn note_neighbours(readings: &mut [Reading]) {
    let hosts = readings.iter().flat_map(|reading| &reading.shop.hosts);
    let mut hosts: Vec<_> = hosts.cloned().collect();
    hosts.sort_unstable_by_key(ToString::to_string);
    for Reading { shop, .. } in readings {
        if shop.hosts.is_empty() {
            shop.beside.clone_from(&hosts);
        }
    }
}

/// Warns of shops that look like one to a token and share no logouts, and of one that takes what the others leave.
pub(crate) fn warn_of_neighbours(readings: &[Reading], faults: &mut Faults) {
    for (at, one) in readings.iter().enumerate() {
        for earlier in &readings[..at] {
            let (first, second) = (&earlier.shop, &one.shop);
            let servers = one.upstreams.endpoints().iter();
            let mut servers =
                servers.filter(|server| earlier.upstreams.endpoints().contains(server));
            let common = if second.shares_keys_only(first) {
                "have a key in common, and share no logouts"
            } else if servers.next().is_some() && !second.shares_domain(first) {
                "have a server in common, and share no logouts"
            } else {
                continue;
            };
            let fault = Fault::warning(format!(
                "shops `{}` and `{}` {common}",
                first.name, second.name
            ));
            let help = "a token that is dead at one lives on at the other: give both the same token.token_domain, \
                        unless they are different shops";
            faults.push(fault.at(&one.spot).help(help));
        }
        let is_left = one.shop.hosts.is_empty() && readings.len() > 1;
        if is_left
            && !readings
                .iter()
                .all(|other| other.shop.shares_domain(&one.shop))
        {
            let fault = Fault::warning(format!(
                "shop `{}` takes every host that no other shop names",
                one.shop.name
            ));
            let help = "name its hosts: with a made-up Host a token that is dead at another shop comes here";
            faults.push(fault.at(&one.spot).help(help));
        }
    }
}

/// Reads a `[[shop]]`.
pub(crate) fn read<'a>(
    mut table: Table<'a>,
    home: &Home<'a>,
    taken: &mut Taken,
    faults: &mut Faults,
) -> Option<Reading> {
    let preset = home.presets.named_by(&mut table, faults);
    let mut table = table.over(preset.map(|(_, document)| document));
    let name = read_name(&mut table, taken, faults);
    let known_as = name.unwrap_or_default();
    let hosts = read_hosts(&mut table, known_as, taken, faults);
    let upstreams = upstream::read(&mut table, known_as, home.base_dir, faults);
    let bases = Bases::read(&mut table, faults);
    let mints = mint::read(&mut table, &bases, faults);
    let tokens = token::read(&mut table, (known_as, mints.unknown), home.base_dir, faults);
    let mut places = credential::read(&mut table, tokens.as_ref(), faults);
    let logouts = logout::read(&mut table, &bases, &places, faults);
    let own_logout = Arc::new(logouts.own(home.prefix, &places));
    let refreshes = refresh::read(&mut table, &bases, &places, faults);
    places.extend(credential::of_paths(
        &logouts.rules,
        &refreshes,
        tokens.as_ref(),
    ));
    let own_script = PathPattern::parse(&format!("{}/ecwid.js", home.prefix));
    let routes = route::read(&mut table, &bases, faults);
    let examine = table.choice("examine", EXAMINE, faults);
    let clock_offset_max = read_clock_offset_max(&mut table, faults);
    let dead_cookie = table.choice("dead_cookie", DEAD_COOKIE, faults);
    let path_style = route::read_style(&mut table, faults);
    let refusals = read_refusals(&mut table, known_as, faults);
    let unknown_hash = graphql::read_unknown_hash(&mut table, faults);
    let (allowance, unread_body) = read_limits(&mut table, faults);
    let unread = unread_body.0;
    graphql::warn_of_unread(unread_body, &places, faults);
    let calls = logouts
        .rules
        .iter()
        .map(|rule| &rule.call)
        .chain(refreshes.iter().map(|rule| &rule.call));
    graphql::warn_of_unruled(&table, &places, calls, faults);
    let spot = table.spot();
    table.finish(faults);
    let verifier = tokens?;
    let shop = Shop {
        name: name?.to_owned(),
        hosts,
        tag: ShopTag::of(known_as),
        places,
        verifier,
        confirmations: Arc::default(),
        logouts: logouts.rules,
        own_logout,
        known_logouts: Arc::clone(home.known_logouts),
        refreshes,
        mints: mints.rules,
        on_reissue: mints.on_reissue,
        own_script: own_script.expect("the prefix is a path, and so is what is below it"),
        routes,
        path_style,
        refusals,
        allowance,
        clock: ShopClock::new(clock_offset_max),
        likely: Arc::default(),
        seen_cookies: Arc::default(),
        graphql: GraphQlSettings {
            unknown_hash,
            unread_body: unread,
            learnt: Arc::default(),
        },
        judged: AtomicU64::new(0),
        examine: examine.unwrap_or_default(),
        dead_cookie: dead_cookie.unwrap_or_default(),
        beside: Vec::new(),
        meaning: OnceLock::new(),
    };
    let upstreams = upstreams?;
    let summary = summary(&shop, preset.map(|(name, _)| name), &upstreams);
    Some(Reading {
        shop,
        upstreams,
        summary,
        spot,
    })
}

fn read_name<'a>(table: &mut Table<'a>, taken: &mut Taken, faults: &mut Faults) -> Option<&'a str> {
    let text = table.string("name", faults);
    table.missing("name", "what logs and commands call the shop", faults);
    let text = text?;
    let name = text.parse_as(name, faults)?;
    taken.take_name(name, text.spot(), faults);
    Some(name)
}

/// It stands in logs, metrics, commands and, as the realm, between quotes in a header.
fn name(text: &str) -> Result<&str, &'static str> {
    let fits = |byte| is_quotable(byte) && byte != b'\'';
    let is_fit = (1..=64).contains(&text.len()) && text.bytes().all(fits);
    is_fit
        .then_some(text)
        .ok_or("1 to 64 letters, digits and signs without space, quotes and \\")
}

fn is_quotable(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

fn read_hosts(
    table: &mut Table<'_>,
    shop: &str,
    taken: &mut Taken,
    faults: &mut Faults,
) -> Vec<HostPattern> {
    let texts = table.strings("hosts", faults);
    if table.lacks("hosts") {
        taken.take_host(None, shop, &table.spot(), faults);
        return Vec::new();
    }
    if texts.as_ref().is_some_and(Vec::is_empty)
        && let Some(spot) = table.spot_of("hosts")
    {
        let fault = Fault::error("`hosts` names no host").at(&spot);
        faults.push(fault.help("leave `hosts` out for a shop that claims every host"));
    }
    let mut hosts = Vec::new();
    for text in texts.unwrap_or_default() {
        if let Some(host) = text.parse_as(HostPattern::parse, faults) {
            taken.take_host(Some(&host), shop, text.spot(), faults);
            hosts.push(host);
        }
    }
    hosts
}

fn read_refusals(table: &mut Table<'_>, name: &str, faults: &mut Faults) -> RefusalSettings {
    let mut settings = RefusalSettings {
        shape: Shape::default(),
        realm: name.to_owned(),
        code: REFUSAL_CODE.to_owned(),
    };
    let Some(mut table) = table.table("refusal", faults) else {
        return settings;
    };
    let shape = table.choice("shape", SHAPES, faults);
    settings.shape = shape.unwrap_or_default();
    let realm = table.string("realm", faults);
    if let Some(realm) = realm.and_then(|text| text.parse_as(quotable, faults)) {
        realm.clone_into(&mut settings.realm);
    }
    let code = table.string("code", faults);
    if let Some(code) = code.and_then(|text| text.parse_as(self::code, faults)) {
        code.clone_into(&mut settings.code);
    }
    table.finish(faults);
    settings
}

fn quotable(text: &str) -> Result<&str, &'static str> {
    let is_fit = !text.is_empty() && text.bytes().all(|byte| byte == b' ' || is_quotable(byte));
    is_fit
        .then_some(text)
        .ok_or("letters, digits, spaces and signs without \" and \\")
}

fn code(text: &str) -> Result<&str, &'static str> {
    let is_fit = !text.is_empty() && text.bytes().all(is_quotable);
    is_fit
        .then_some(text)
        .ok_or("a code such as rest_forbidden")
}

/// How far a clock of the shop may be from ours to be believed.
fn read_clock_offset_max(table: &mut Table<'_>, faults: &mut Faults) -> Duration {
    let written = table.duration("clock_offset_max", faults);
    if let (Some(written), Some(spot)) = (written, table.spot_of("clock_offset_max"))
        && !CLOCK_OFFSETS.contains(&written)
    {
        let fault = Fault::error("`clock_offset_max` is out of range").at(&spot);
        faults.push(fault.label("expected 1s to 24h"));
    }
    written.unwrap_or(CLOCK_OFFSET_MAX)
}

/// Reads `[shop.limits]`.
fn read_limits(
    table: &mut Table<'_>,
    faults: &mut Faults,
) -> (Allowance, (UnreadBody, Option<Spot>)) {
    let mut allowance = Allowance::default();
    let Some(mut table) = table.table("limits", faults) else {
        return (allowance, (UnreadBody::default(), None));
    };
    let unread_body = graphql::read_unread_body(&mut table, faults);
    let per_minute = table.integer("unverified_per_client_minute", 0..=1_000_000, faults);
    let entries = table.integer("unverified_entries", 0..=1_000_000_000, faults);
    table.finish(faults);
    allowance.per_client_minute = per_minute.unwrap_or(allowance.per_client_minute);
    allowance.per_shop = entries.unwrap_or(allowance.per_shop);
    (allowance, unread_body)
}

/// The keys of an issuer, and what they are for.
fn keys_of(issuer: &Issuer) -> String {
    let algorithms = issuer.settings().algorithms.iter();
    let algorithms: Vec<_> = algorithms.map(|one| name_of(*one)).collect();
    match (algorithms.is_empty(), issuer.source()) {
        (true, _) => "none: tokens are opaque".to_owned(),
        (false, Some(source)) => format!("from {} for {}", source.url, algorithms.join(", ")),
        (false, None) => format!("{} for {}", issuer.key_count(), algorithms.join(", ")),
    }
}

/// By what the tokens of an issuer are told from those of others.
fn marks_of(issuer: &Issuer) -> String {
    let settings = issuer.settings();
    let named = |what: &str, names: &[String]| match names {
        [] => format!("any {what}"),
        [..] => format!("{what} {}", names.join(", ")),
    };
    let (issuers, key_ids) = (&settings.issuers, &settings.key_ids);
    let domain = &settings.token_domain;
    format!(
        "{}, {}, token domain {domain}",
        named("iss", issuers),
        named("kid", key_ids)
    )
}

fn summary(shop: &Shop, preset: Option<&str>, upstreams: &Upstreams) -> Vec<String> {
    let issuers = shop.verifier.issuers();
    let keys = issuers
        .iter()
        .enumerate()
        .map(|(place, issuer)| match issuers {
            [_] => format!("  keys: {}", keys_of(issuer)),
            [..] => format!(
                "  issuer {}: {}; keys: {}",
                place + 1,
                marks_of(issuer),
                keys_of(issuer)
            ),
        });
    let upstreams = upstreams.endpoints().iter().map(Endpoint::to_string);
    let inquiry = shop.verifier.settings().inquiry.as_ref();
    let asked = inquiry.map(|inquiry| {
        format!(
            "  opaque tokens: the shop is asked, {} {}",
            inquiry.method, inquiry.path
        )
    });
    let undated = match shop.verifier.settings().unknown {
        UnknownToken::New => {
            "new if no node has dated it (mint = partial): a logout does not end what was never shown here"
        }
        UnknownToken::Old => {
            "old if no node has dated it (mint = complete): after a logout, a login that does not pass here is refused"
        }
    };
    let mut lines = vec![
        format!("shop {}", shop.name),
        format!("  preset: {}", preset.unwrap_or("none")),
    ];
    lines.extend(keys);
    let upstreams: Vec<_> = upstreams.collect();
    lines.push(format!("  upstreams: {}", upstreams.join(", ")));
    lines.extend(asked);
    lines.push(format!("  a token without a time of issue: {undated}"));
    let mints = shop.mints.len();
    lines.push(format!("  calls that hand out tokens: {mints}"));
    lines
}
