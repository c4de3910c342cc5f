//! The servers of all shops, and of the upstreams that have a name.

use std::collections::HashMap;
use std::sync::Arc;

use super::server::UpstreamServer;
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

    /// The servers to which a route of a shop leads; without one, or where it leads to none, those of the shop. `held_by`: the
    /// upstream that holds the client, if the route splits.
    pub(crate) fn of_route(
        &self,
        shop: &str,
        route: Option<&Route>,
        held_by: Option<&UpstreamName>,
    ) -> Option<&Arc<Upstreams>> {
        match route.map(|route| &route.target) {
            Some(RouteTarget::Upstream(name)) => self.named.get(name),
            Some(RouteTarget::Split(_)) => self.named.get(held_by?),
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

    /// The cookies by which clients stay with one of them.
    pub(crate) fn sticky_cookies(&self) -> Vec<String> {
        let names = self.all().filter_map(|(_, _, one)| one.sticky_cookie());
        names.map(str::to_owned).collect()
    }

    /// Goes on with the servers of the former configuration, each of which at most one of these takes over: first those under
    /// the same name, then those that moved or were renamed. A server is the same if its endpoint and address are.
    pub(crate) fn inherit(&self, old: &Self) {
        let former: Vec<_> = old.all().collect();
        let mut left: Vec<Vec<Arc<UpstreamServer>>> = Vec::new();
        left.extend(former.iter().map(|(_, _, one)| one.all_servers()));
        let ours: Vec<_> = self.all().collect();
        let mut kept: Vec<Vec<Arc<UpstreamServer>>> = vec![Vec::new(); ours.len()];
        for ((shop, upstream, one), kept) in ours.iter().zip(&mut kept) {
            for (_, _, other) in &former {
                one.inherit_names(other);
            }
            let names = former.iter().zip(&mut left);
            let mut same = names.filter(|((a, b, _), _)| (a, b) == (shop, upstream));
            if let Some(((_, _, other), left)) = same.next() {
                one.inherit_names(other);
                one.inherit_queue(other);
                one.claim(left, kept);
            }
        }
        for ((_, _, one), mut kept) in ours.into_iter().zip(kept) {
            for left in &mut left {
                one.claim(left, &mut kept);
            }
            one.continue_with(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::super::upstreams::tests::{begin, choose, fail_often, upstreams, upstreams_of};
    use super::*;
    use crate::request::Share;

    /// The upstreams of a configuration, each with the numbers of its servers.
    type Layout = BTreeMap<u8, Vec<u8>>;

    fn layout() -> impl Strategy<Value = Layout> {
        btree_map(0_u8..4, vec(1_u8..6, 1..4), 1..4)
    }

    /// The first two are shops' own, the others have names; a server that stands in an odd place is a heavy backup.
    fn pools(layout: &Layout) -> Pools {
        let mut pools = Pools::default();
        for (name, numbers) in layout {
            let one = Arc::new(upstreams_of(numbers));
            if *name < 2 {
                pools.shops.insert(format!("shop-{name}"), one);
            } else {
                let name = UpstreamName::parse(&format!("upstream-{name}")).unwrap();
                pools.named.insert(name, one);
            }
        }
        pools
    }

    /// Every server, with the name of its upstream.
    fn servers(pools: &Pools) -> Vec<(String, Arc<UpstreamServer>)> {
        let all = pools.all();
        let servers = all.flat_map(|(shop, upstream, one)| {
            let name = format!("{shop}{upstream}");
            let servers = one.all_servers().into_iter();
            servers.map(move |server| (name.clone(), server))
        });
        servers.collect()
    }

    fn count(servers: &[(String, Arc<UpstreamServer>)], of: &UpstreamServer) -> usize {
        let same = servers
            .iter()
            .filter(|(_, one)| one.is_at(&of.endpoint, &of.address));
        same.count()
    }

    proptest! {
        #[test]
        fn a_server_that_stays_is_the_same_wherever_it_stands(before in layout(), after in layout()) {
            let (old, new) = (pools(&before), pools(&after));
            new.inherit(&old);
            let (former, now) = (servers(&old), servers(&new));
            for (at, (name, server)) in now.iter().enumerate() {
                let twice = now[..at].iter().any(|(_, other)| Arc::ptr_eq(other, server));
                prop_assert!(!twice, "two upstreams share the state of {server:?}");
                let own = former.iter().filter(|(owner, one)| {
                    owner == name && one.is_at(&server.endpoint, &server.address)
                });
                let mine = now.iter().filter(|(owner, one)| {
                    owner == name && one.is_at(&server.endpoint, &server.address)
                });
                if own.clone().count() == mine.count() {
                    let kept = own.clone().any(|(_, one)| Arc::ptr_eq(one, server));
                    prop_assert!(kept, "it stands where it stood");
                }
            }
            for (_, server) in &former {
                let kept = now.iter().filter(|(_, one)| {
                    one.is_at(&server.endpoint, &server.address)
                        && former.iter().any(|(_, old)| Arc::ptr_eq(old, one))
                });
                let most = count(&former, server).min(count(&now, server));
                prop_assert_eq!(kept.count(), most, "as many as there can be");
            }
        }
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_servers_that_stay() {
        let old = upstreams(&["10.0.0.1:80", "10.0.0.2:80", "shop.invalid:80"]);
        let guard = choose(&old, &[]).unwrap();
        fail_often(&old, guard.server());
        let mut before = old.servers();
        let new = upstreams(&[
            "shop.invalid:80",
            "10.0.0.2:80",
            "10.0.0.1:80",
            "10.0.0.9:80",
        ]);
        let of_shop = |one: Upstreams| Pools {
            shops: HashMap::from([("main".to_owned(), Arc::new(one))]),
            ..Pools::default()
        };
        let (old, new) = (of_shop(old), of_shop(new));
        new.inherit(&old);
        let new = &new.shops["main"];
        let mut after = new.servers();
        assert_eq!(after.pop().unwrap().failures, 0);
        before.reverse();
        assert_eq!(before, after);
        let busy = after
            .iter()
            .filter(|state| state.in_flight == 1 && state.ejected);
        assert_eq!(busy.count(), 1);
        drop(guard);
        assert!(new.servers().iter().all(|state| state.in_flight == 0));
    }

    #[test]
    fn a_reload_brings_no_retry_back() {
        let layout = Layout::from([(0, vec![1]), (2, vec![1])]);
        let (old, new) = (pools(&layout), pools(&layout));
        let none = Share::parse("0%").unwrap();
        let spent = &old.shops["shop-0"];
        assert_eq!((0..20).filter(|_| spent.take_retry(none)).count(), 10);
        new.inherit(&old);
        assert!(!new.shops["shop-0"].take_retry(none));
        let (_, other) = new.named.iter().next().unwrap();
        assert!(
            other.take_retry(none),
            "every upstream has a budget of its own"
        );
    }

    #[test]
    fn requests_in_flight_move_with_their_server() {
        let old = pools(&Layout::from([(0, vec![1]), (2, vec![2, 3])]));
        let guards: Vec<_> = servers(&old)
            .iter()
            .map(|(_, server)| begin(server))
            .collect();
        let new = pools(&Layout::from([(3, vec![3, 1]), (1, vec![2])]));
        new.inherit(&old);
        assert!(servers(&new).iter().all(|(_, one)| one.in_flight() == 1));
        drop(guards);
        assert!(servers(&new).iter().all(|(_, one)| one.in_flight() == 0));
    }
}
