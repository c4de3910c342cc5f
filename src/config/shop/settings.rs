//! One shop of the file, laid over its preset.

use std::ops::RangeInclusive;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::claims::ShopClaims;
use super::own_paths::OwnPaths;
use super::sources::RuleSources;
use super::{hsts, refusal, servers, summary};
use crate::config::fault::{Fault, SourceSpot};
use crate::config::presets::Presets;
use crate::config::reading::TomlTable;
use crate::config::route;
use crate::config::rules::base::Bases;
use crate::config::rules::{
    access, credential, error_pages, graphql, logout, paths, rate, refresh, token_endpoint,
};
use crate::config::token::settings as token;
use crate::config::upstream::NamedUpstreams;
use crate::request::{
    Allowance, Demand, Examine, GraphQlSettings, KnownLogouts, LogoutRule, PathNeighbours,
    PathPattern, PathStyle, Place, RefreshRule, RouteTable, Shop, ShopClock, ShopLimits,
    UnreadBody, Verifier,
};
use crate::revocation::ShopTag;
use crate::server::{SnapshotSettings, Upstreams};

const EXAMINE_BODIES: &[(&str, Examine)] =
    &[("all", Examine::Everything), ("rules", Examine::Routes)];

/// How far a clock of the shop may differ from ours: the default, and the bounds.
const CLOCK_OFFSET_MAX: Duration = Duration::from_mins(5);
const CLOCK_OFFSETS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// What the shops of one file share.
pub(crate) struct Surroundings<'a> {
    /// The presets.
    pub(crate) presets: &'a Presets<'a>,
    /// What every shop says that does not say otherwise.
    pub(crate) defaults: Option<TomlTable<'a>>,
    /// The logouts of the presets.
    pub(crate) known_logouts: Arc<KnownLogouts>,
    /// The folder of Doorward's own paths.
    pub(crate) prefix: String,
    /// The upstreams that have a name.
    pub(crate) upstreams: &'a NamedUpstreams,
    /// Whether customers reach the shops over TLS, here or in front.
    pub(crate) is_encrypted: bool,
    /// Whether shops are only observed that do not say otherwise.
    pub(crate) is_observed: bool,
    /// What holds for every shop; `None`: it was faulty.
    pub(crate) process: Option<&'a SnapshotSettings>,
}

/// A shop that was read.
pub(crate) struct ReadShop {
    /// For the gate.
    pub(crate) shop: Shop,
    /// For the proxy.
    pub(crate) upstreams: Arc<Upstreams>,
    /// For `check`.
    pub(crate) summary: Vec<String>,
    /// Where it is written.
    pub(crate) spot: SourceSpot,
    /// Where its rules are written.
    pub(crate) sources: RuleSources,
}

/// Reads a `[[shop]]`.
pub(crate) fn read<'a>(
    mut table: TomlTable<'a>,
    around: &Surroundings<'a>,
    claims: &mut ShopClaims,
) -> Option<ReadShop> {
    table = table.over_table(around.defaults.as_ref());
    let preset = around.presets.named_by(&mut table);
    let mut table = table.over(preset.map(|(_, document)| document));
    let name = claims.read_name(&mut table);
    let known_as = name.unwrap_or_default();
    let path_style = paths::read_style(&mut table);
    let (hosts, claimed) = claims.read_requests(&mut table, known_as, path_style);
    let host_redirect = claims.read_redirect_hosts(&mut table, known_as, &hosts, path_style);
    let transport_security = hsts::read(&mut table, around.is_encrypted);
    let upstreams = servers::read(&mut table, known_as, around.upstreams);
    let own_paths = OwnPaths::below(&around.prefix, &claimed);
    let calls = Calls::read(
        &mut table,
        known_as,
        path_style,
        (&claimed, &own_paths),
        around,
    );
    let access = access::read(&mut table);
    let error_pages = error_pages::read(&mut table, around.process.map(|all| &all.error_pages));
    let (allowance, limits, unread_body) = read_limits(&mut table, &calls.places);
    let policies = Policies::read(&mut table, around.is_observed);
    let refusals = refusal::read(&mut table, known_as);
    let unknown_hash = graphql::read_unknown_hash(&mut table);
    calls.warn_of_unruled_graphql(&table);
    calls.warn_of_unseen(&table, &claimed);
    let spot = table.spot();
    let sources = RuleSources {
        preset: preset.map(|(name, _)| name.to_owned()),
        logouts: table.count_own("logout"),
        refreshes: table.count_own("refresh"),
        token_endpoints: table.count_own("token_endpoint"),
        credentials: table.count_own("credential"),
        lines: table.lines(),
    };
    table.finish();
    let shop = Shop {
        name: name?.to_owned(),
        hosts,
        paths: claimed,
        host_redirect,
        hsts: transport_security,
        access: around
            .process
            .map(|all| all.access.clone())
            .into_iter()
            .chain([access])
            .collect(),
        error_pages,
        limits,
        tag: ShopTag::from_name(known_as),
        places: calls.places,
        verifier: calls.tokens?,
        introspection_cache: Arc::default(),
        own_logout: Arc::new(calls.own_logout),
        logouts: calls.logouts.rules,
        known_logouts: Arc::clone(&around.known_logouts),
        refreshes: calls.refreshes,
        token_endpoints: calls.token_endpoints.rules,
        on_reissue: calls.token_endpoints.on_reissue,
        own_scripts: own_paths.named("ecwid.js"),
        routes: calls.routes,
        path_style,
        refusals,
        allowance,
        clock: ShopClock::new(policies.clock_offset_max),
        likely: Arc::default(),
        seen_cookies: Arc::default(),
        graphql: GraphQlSettings {
            unknown_hash,
            unread_body,
            learnt: Arc::default(),
        },
        judged: AtomicU64::new(0),
        examine: policies.examine,
        demand: policies.demand,
        beside: Vec::new(),
        path_neighbours: PathNeighbours::default(),
        key_neighbours: Vec::new(),
        meaning: OnceLock::new(),
    };
    let upstreams = upstreams?;
    Some(ReadShop {
        summary: summary::summary(&shop, preset.map(|(name, _)| name), &upstreams),
        shop,
        upstreams,
        spot,
        sources,
    })
}

/// The tokens of a shop, the places they travel in, and the calls that its rules are about.
struct Calls {
    tokens: Option<Verifier>,
    places: Vec<Place>,
    logouts: logout::Logouts,
    own_logout: LogoutRule,
    refreshes: Vec<RefreshRule>,
    token_endpoints: token_endpoint::TokenEndpoints,
    routes: RouteTable,
}

impl Calls {
    fn read(
        shop: &mut TomlTable<'_>,
        name: &str,
        style: PathStyle,
        (claimed, own_paths): (&[PathPattern], &OwnPaths),
        around: &Surroundings<'_>,
    ) -> Self {
        let bases = Bases::read(shop);
        let token_endpoints = token_endpoint::read(shop, &bases);
        let tokens = token::read(shop, name);
        let mut places = credential::read(shop, tokens.as_ref());
        let logouts = logout::read(shop, &bases, &places);
        let own_logout = logouts.own(own_paths.named("logout"), &places);
        let refreshes = refresh::read(shop, &bases, &places);
        let of_paths = credential::of_paths(&logouts.rules, &refreshes, tokens.as_ref());
        places.extend(of_paths);
        Self {
            routes: route::read(shop, &bases, (style, claimed), around.upstreams, &places),
            tokens,
            places,
            logouts,
            own_logout,
            refreshes,
            token_endpoints,
        }
    }

    /// Warns of calls that never get to a shop of these paths: a logout that is not seen revokes nothing.
    fn warn_of_unseen(&self, shop: &TomlTable<'_>, claimed: &[PathPattern]) {
        let logouts = self.logouts.rules.iter().map(|rule| ("logout", &rule.call));
        let refreshes = self.refreshes.iter().map(|rule| ("refresh", &rule.call));
        let endpoints = self.token_endpoints.rules.iter();
        let endpoints = endpoints.map(|rule| ("token endpoint", &rule.call));
        let all = logouts.chain(refreshes).chain(endpoints);
        let is_unseen = |path: &&PathPattern| !claimed.iter().any(|one| path.may_be_in(one));
        let unseen = all.flat_map(|(what, call)| {
            let paths = call.paths.iter().filter(is_unseen);
            paths.map(move |path| format!("{what} {path}"))
        });
        let unseen: Vec<_> = unseen.collect();
        if claimed.is_empty() || unseen.is_empty() {
            return;
        }
        let fault = Fault::warning("calls of this shop are at paths that it does not claim");
        let label = format!("never seen: {}", unseen.join(", "));
        let help = "write their paths as customers send them, or name the folder of the application with `base`";
        shop.report_at("paths", fault.label(label).help(help));
    }

    fn warn_of_unruled_graphql(&self, shop: &TomlTable<'_>) {
        let logouts = self.logouts.rules.iter().map(|rule| &rule.call);
        let refreshes = self.refreshes.iter().map(|rule| &rule.call);
        graphql::warn_of_unruled(shop, &self.places, logouts.chain(refreshes));
    }
}

/// The policies that are no rules.
struct Policies {
    examine: Examine,
    demand: Demand,
    clock_offset_max: Duration,
}

impl Policies {
    fn read(shop: &mut TomlTable<'_>, is_observed: bool) -> Self {
        shop.renamed("examine_bodies", "examine");
        let former = [("everything", "all"), ("routes", "rules")];
        let examine = shop.choice_renamed("examine_bodies", EXAMINE_BODIES, &former);
        let demand = route::read_demand_of_shop(shop, is_observed);
        let clock_offset_max = shop.duration_within("clock_offset_max", CLOCK_OFFSETS, "1s to 24h");
        Self {
            examine: examine.unwrap_or_default(),
            demand,
            clock_offset_max: clock_offset_max.unwrap_or(CLOCK_OFFSET_MAX),
        }
    }
}

/// Reads `[shop.limits]`.
fn read_limits(shop: &mut TomlTable<'_>, places: &[Place]) -> (Allowance, ShopLimits, UnreadBody) {
    let mut allowance = Allowance::default();
    let Some(mut table) = shop.table("limits") else {
        return (allowance, ShopLimits::default(), UnreadBody::default());
    };
    let unread_body = graphql::read_unread_body(&mut table, places);
    let per_minute = table.integer("unverified_per_client_minute", 0..=1_000_000);
    let entries = table.integer("unverified_entries", 0..=1_000_000_000);
    let limits = ShopLimits {
        logouts: rate::read_named(&mut table, "logouts"),
        failed_verifications: rate::read_named(&mut table, "failed_verifications"),
        own_paths: rate::read_named(&mut table, "own_paths"),
    };
    table.finish();
    allowance.per_client_minute = per_minute.unwrap_or(allowance.per_client_minute);
    allowance.per_shop = entries.unwrap_or(allowance.per_shop);
    (allowance, limits, unread_body)
}
