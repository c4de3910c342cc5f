//! Compares the shops of one configuration.

use super::settings::ReadShop;
use crate::config::fault::Fault;

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

/// Tells a shop that takes what the others leave what that is.
pub(crate) fn note_neighbours(shops: &mut [ReadShop]) {
    let hosts = shops.iter().flat_map(|read| &read.shop.hosts);
    let mut hosts: Vec<_> = hosts.cloned().collect();
    hosts.sort_unstable_by_key(ToString::to_string);
    for ReadShop { shop, .. } in shops {
        if shop.hosts.is_empty() {
            shop.beside.clone_from(&hosts);
        }
    }
}

/// Warns of shops that accept the same tokens and share no logouts, and of a shop that claims the remaining hosts.
pub(crate) fn faults(shops: &[ReadShop]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, one) in shops.iter().enumerate() {
        let earlier = shops[..at].iter();
        faults.extend(earlier.filter_map(|earlier| unshared(earlier, one)));
        let shares = |other: &ReadShop| other.shop.shares_domain(&one.shop);
        if one.shop.hosts.is_empty() && shops.len() > 1 && !shops.iter().all(shares) {
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
