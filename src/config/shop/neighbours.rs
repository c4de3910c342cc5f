//! Compares the shops of one configuration.

use super::settings::ReadShop;
use crate::config::fault::Fault;
use crate::request::{NamePattern, PathNeighbours, PathPattern, Shop};

/// Tells the token domains of shops that share theirs with no other from those of shops that had their names before.
pub(crate) fn own_domains(shops: &mut [ReadShop]) {
    for at in 0..shops.len() {
        let name = shops[at].shop.name.clone();
        let others = shops.iter().enumerate().filter(|(other, _)| *other != at);
        let mut issuers = others.flat_map(|(_, other)| other.shop.verifier.issuers());
        if !issuers.any(|issuer| issuer.settings().token_domain == name) {
            shops[at].shop.own_domain();
        }
    }
}

/// Tells shops which others have a key of theirs and share no logouts.
pub(crate) fn note_key_neighbours(shops: &mut [ReadShop]) {
    for at in 0..shops.len() {
        let own = &shops[at].shop;
        let others = shops.iter().map(|read| &read.shop);
        let others = others.filter(|other| own.shares_keys_only(other));
        let issuers = others.flat_map(|other| other.verifier.issuers());
        let domains = issuers.map(|issuer| issuer.settings().token_domain.clone());
        shops[at].shop.key_neighbours = domains.collect();
    }
}

/// Tells shops what the others claim: a shop of all remaining hosts which hosts these are not, and shops on the same hosts
/// which paths.
pub(crate) fn note_neighbours(shops: &mut [ReadShop]) {
    let whole = shops.iter().filter(|read| read.shop.paths.is_empty());
    let hosts = whole.flat_map(|read| &read.shop.hosts);
    let mut hosts: Vec<_> = hosts.cloned().collect();
    hosts.sort_unstable_by_key(ToString::to_string);
    for at in 0..shops.len() {
        let neighbours = path_neighbours(shops, at);
        let shop = &mut shops[at].shop;
        if shop.hosts.is_empty() {
            shop.beside.clone_from(&hosts);
        }
        shop.path_neighbours = neighbours;
    }
}

/// The paths that other shops claim of the hosts of the shop at this place.
fn path_neighbours(shops: &[ReadShop], at: usize) -> PathNeighbours {
    let own = &shops[at].shop;
    let others = shops.iter().map(|read| &read.shop).enumerate();
    let others = others.filter(|(other, shop)| *other != at && is_on_host_of(own, shop));
    let mut neighbours = PathNeighbours::default();
    for (other, shop) in others {
        neighbours.is_any |= !own.paths.is_empty() || !shop.paths.is_empty();
        let every = shop.hosts.is_empty().then(String::new).into_iter();
        let hosts = every.chain(shop.hosts.iter().map(ToString::to_string));
        let hosts = hosts.filter(|_| other < at);
        let meets_ours = |path: &&PathPattern| {
            own.paths.is_empty() || own.paths.iter().any(|ours| ours.may_meet(path))
        };
        let taken = hosts.flat_map(|host| {
            let paths = shop.paths.iter().filter(meets_ours);
            paths.map(move |path| format!("{host}{path}"))
        });
        neighbours.before.extend(taken);
    }
    neighbours
}

/// Whether both claim a host.
fn is_on_host_of(one: &Shop, other: &Shop) -> bool {
    let mut ours = one.hosts.iter();
    one.hosts.is_empty()
        || other.hosts.is_empty()
        || ours.any(|host| other.hosts.iter().any(|theirs| theirs.may_meet(host)))
}

/// Warns of shops that accept the same tokens and share no logouts, of shops of one host with the same cookie, and of a shop that
/// claims the remaining hosts.
pub(crate) fn faults(shops: &[ReadShop]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, one) in shops.iter().enumerate() {
        let earlier = shops[..at].iter();
        faults.extend(earlier.filter_map(|earlier| unshared(earlier, one)));
        faults.extend(
            shops[..at]
                .iter()
                .filter_map(|earlier| common_cookie(earlier, one)),
        );
        let shares = |other: &ReadShop| other.shop.shares_domain(&one.shop);
        let others_name_hosts = shops.iter().any(|other| !other.shop.hosts.is_empty());
        if one.shop.hosts.is_empty() && others_name_hosts && !shops.iter().all(shares) {
            let message = format!(
                "shop `{}` takes every host that no other shop names",
                one.shop.name
            );
            let help = "list its hosts: with a made-up Host, this shop gets a token that another shop has revoked";
            faults.push(Fault::warning(message).at(&one.spot).help(help));
        }
    }
    faults
}

/// Warns of two shops that have a key or a server in common and share no logouts.
fn unshared(earlier: &ReadShop, one: &ReadShop) -> Option<Fault> {
    let (first, second) = (&earlier.shop, &one.shop);
    let common = if second.shares_keys_only(first) {
        "have a key in common, and share no logouts"
    } else if one.upstreams.meets(&earlier.upstreams) && !second.shares_domain(first) {
        "have a server in common, and share no logouts"
    } else {
        return None;
    };
    let message = format!("shops `{}` and `{}` {common}", first.name, second.name);
    let help = "a token that one has revoked stays valid at the other: give both the same token.token_domain, \
                unless they are different shops";
    Some(Fault::warning(message).at(&one.spot).help(help))
}

/// Warns of two shops that read the same cookie on one host, because browsers send each the cookies of both.
fn common_cookie(earlier: &ReadShop, one: &ReadShop) -> Option<Fault> {
    let (first, second) = (&earlier.shop, &one.shop);
    let has_paths = !first.paths.is_empty() || !second.paths.is_empty();
    if !has_paths || !is_on_host_of(first, second) || first.shares_domain(second) {
        return None;
    }
    let is_same = |one: &&NamePattern, other: &NamePattern| {
        let is_meant = |one: &NamePattern, other: &NamePattern| {
            one.exact().is_some_and(|name| other.matches(name))
        };
        *one == other || is_meant(one, other) || is_meant(other, one)
    };
    let cookies = |shop: &'_ Shop| -> Vec<NamePattern> {
        let places = shop.places.iter();
        places
            .flat_map(|place| place.carrier.cookies().cloned())
            .collect()
    };
    let theirs = cookies(first);
    let ours = cookies(second);
    let common = ours
        .iter()
        .find(|one| theirs.iter().any(|other| is_same(one, other)))?;
    let message = format!(
        "shops `{}` and `{}` read the cookie `{common}` on the same host",
        first.name, second.name
    );
    let help = "give each shop a cookie of its own: a browser that has both sends both, and which is whose can't be told";
    Some(Fault::warning(message).at(&one.spot).help(help))
}
