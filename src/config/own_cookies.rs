//! Names the cookies by which clients stay with a server, where something else has a cookie of that name.

use std::sync::Arc;

use super::fault::{Fault, SourceSpot};
use super::shop::ReadShop;
use super::upstream::NamedUpstreams;
use crate::request::{Place, Shop};
use crate::server::Upstreams;

/// Refuses a cookie that holds clients of two upstreams, or that a shop has for something else: no server is sent it.
pub(crate) fn faults(shops: &[ReadShop], upstreams: &NamedUpstreams) -> Vec<Fault> {
    let named: Vec<_> = upstreams.each().map(|(_, one, spot)| (one, spot)).collect();
    let is_named = |own: &Arc<Upstreams>| named.iter().any(|(one, _)| Arc::ptr_eq(one, own));
    let own = shops.iter().map(|read| (&read.upstreams, &read.spot));
    let own: Vec<_> = own.filter(|(one, _)| !is_named(one)).collect();
    let all = named.iter().chain(&own);
    let cookies = all.filter_map(|(one, spot)| Some((one.sticky_cookie()?, *spot)));
    let cookies: Vec<(&str, &SourceSpot)> = cookies.collect();
    let mut faults = Vec::new();
    for (at, (cookie, spot)) in cookies.iter().enumerate() {
        let mut earlier = cookies[..at].iter();
        let mut shops = shops.iter().map(|read| &read.shop);
        let message = if earlier.any(|(other, _)| other == cookie) {
            format!("the servers of two upstreams are named by the cookie `{cookie}`")
        } else if let Some(shop) = shops.find(|shop| has_cookie(shop, cookie)) {
            let shop = &shop.name;
            format!("the cookie `{cookie}` has another meaning in the shop `{shop}`")
        } else {
            continue;
        };
        let help = "write another name in `sticky`: the cookie holds clients of this upstream only";
        faults.push(Fault::error(message).at(spot).help(help));
    }
    faults
}

/// Whether it is a credential of the shop, or holds clients of its splits.
fn has_cookie(shop: &Shop, name: &str) -> bool {
    let is_credential = |place: &Place| place.carrier.cookies().any(|one| one.matches(name));
    shop.places.iter().any(is_credential)
        || shop.routes.split_cookies().iter().any(|one| one == name)
}
