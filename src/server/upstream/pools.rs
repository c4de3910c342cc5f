//! The servers of all shops, and of the upstreams that have a name.

use std::collections::HashMap;
use std::sync::Arc;

use super::upstreams::Upstreams;
use crate::request::{Route, RouteTarget, UpstreamName};

/// The servers of all shops, and of the upstreams that have a name.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    /// By the name of the shop. A shop may be in front of an upstream that has a name.
    pub shops: HashMap<String, Arc<Upstreams>>,
    /// By their own name.
    pub named: HashMap<UpstreamName, Arc<Upstreams>>,
}

impl Pools {
    /// The servers of a shop.
    pub(crate) fn of_shop(&self, shop: &str) -> Option<&Arc<Upstreams>> {
        self.shops.get(shop)
    }

    /// The servers to which a route of a shop leads; without one, or where it leads to none, those of the shop.
    pub(crate) fn of_route(&self, shop: &str, route: Option<&Route>) -> Option<&Arc<Upstreams>> {
        match route.map(|route| &route.target) {
            Some(RouteTarget::Upstream(name)) => self.named.get(name),
            Some(RouteTarget::Shop | RouteTarget::Redirect(_) | RouteTarget::Respond(_)) | None => {
                self.of_shop(shop)
            }
        }
    }

    /// All of them, each once, with the name of the shop or of the upstream; the other name is empty.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str, &Arc<Upstreams>)> {
        let named = self.named.iter();
        let named = named.map(|(name, one)| ("", name.as_str(), one));
        let is_named =
            |one: &Arc<Upstreams>| self.named.values().any(|named| Arc::ptr_eq(named, one));
        let shops = self.shops.iter().filter(move |(_, one)| !is_named(one));
        named.chain(shops.map(|(name, one)| (name.as_str(), "", one)))
    }

    /// Takes over what is known of servers that both have, by the names under which they are configured.
    pub(crate) fn inherit(&self, old: &Self) {
        for (shop, upstream, one) in self.all() {
            let mut known = old.all();
            let former = known.find(|(name, named, _)| (*name, *named) == (shop, upstream));
            // A shop whose servers got a name keeps their state.
            let former = former
                .map(|(_, _, former)| former)
                .or_else(|| old.of_shop(shop));
            if let Some(former) = former {
                one.inherit(former);
            }
        }
    }
}
