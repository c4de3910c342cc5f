//! Which requests a shop and a former one both get: by the hosts and paths that they claim.

use super::shop_meaning::ShopMeaning;
use crate::request::calls::PathPattern;
use crate::request::site::HostPattern;

impl ShopMeaning {
    /// Whether both get requests for the same host and path. Two shops that claim every host share all that no other claims.
    pub(super) fn shares_requests(&self, other: &Self) -> bool {
        let both_everywhere = self.hosts.is_empty() && other.hosts.is_empty();
        let everywhere = both_everywhere.then_some("").into_iter();
        let common = self.hosts.iter().filter(|host| other.hosts.contains(host));
        let mut common = common.map(String::as_str).chain(everywhere);
        common.any(|host| self.shares_paths(other, host))
    }

    /// Whether it is that shop at other paths of its hosts: none that claims paths has those now. What is left there is the
    /// business of the shop that claims the rest.
    pub(super) fn has_moved_from(&self, said: &Self, others: &[Self]) -> bool {
        let has_paths = |shop: &Self| !shop.paths.is_empty();
        let is_one_host =
            self.hosts == said.hosts || self.hosts.iter().any(|host| said.hosts.contains(host));
        let is_there = |other: &Self| has_paths(other) && other.shares_requests(said);
        self.shop == said.shop
            && has_paths(self)
            && has_paths(said)
            && is_one_host
            && !others.iter().any(is_there)
    }

    /// Whether it claims all remaining hosts, and gets requests that another one got for one of its hosts.
    pub(super) fn has_hosts_left_by(&self, other: &Self) -> bool {
        let is_left = |host: &&String| !self.beside.contains(host);
        let mut left = other.hosts.iter().filter(is_left);
        self.hosts.is_empty() && left.any(|host| self.shares_paths(other, host))
    }

    /// Whether both get a path of this host; `""` is every host.
    fn shares_paths(&self, other: &Self, host: &str) -> bool {
        let (ours, theirs) = (self.patterns(), other.patterns());
        let both = |one: &PathPattern, two: &PathPattern| {
            one.may_meet(two) && !other.has_lost(host, one) && !self.has_lost(host, two)
        };
        let mut ours = ours.iter();
        ours.any(|one| theirs.iter().any(|two| both(one, two)))
    }

    /// The paths that it claims. What can't be read counts as every path: rather one meaning more is honoured.
    fn patterns(&self) -> Vec<PathPattern> {
        let parse = |text: &String| PathPattern::parse(text);
        let every = || PathPattern::parse("/*").into_iter().collect();
        let read: Result<Vec<_>, _> = self.paths.iter().map(parse).collect();
        read.ok()
            .filter(|paths| !paths.is_empty())
            .unwrap_or_else(every)
    }

    /// Whether a shop before it had taken all of a path of this host.
    fn has_lost(&self, host: &str, path: &PathPattern) -> bool {
        self.taken.iter().any(|taken| {
            let (by, of) = taken.split_at(taken.find('/').unwrap_or(taken.len()));
            let is_of_host = by.is_empty()
                || by == host
                || HostPattern::parse(by).is_ok_and(|pattern| pattern.claims(host));
            is_of_host && PathPattern::parse(of).is_ok_and(|of| of.covers(path))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::request::meaning::shop_meaning::ShopMeaning;

    fn shop(hosts: &[&str], paths: &[&str], taken: &[&str], beside: &[&str]) -> ShopMeaning {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        ShopMeaning {
            hosts: texts(hosts),
            paths: texts(paths),
            taken: texts(taken),
            beside: texts(beside),
            ..ShopMeaning::from_issuers((&[], 0), &[])
        }
    }

    #[test]
    fn shops_of_one_host_share_no_path_that_one_has_taken() {
        let whole = shop(&["a"], &[], &[], &[]);
        let admin = shop(&["a"], &["/admin", "/admin/*"], &[], &[]);
        let rest = shop(&["a"], &[], &["a/admin", "a/admin/*"], &[]);
        let other = shop(&["b"], &["/admin/*"], &[], &[]);
        let blog = shop(&["a"], &["/blog/*"], &[], &[]);
        for (one, two, shares) in [
            (&whole, &admin, true),
            (&whole, &rest, true),
            (&rest, &admin, false),
            (&other, &admin, false),
            (&blog, &admin, false),
            (&blog, &rest, true),
        ] {
            assert_eq!(
                one.shares_requests(two),
                shares,
                "{:?} {:?}",
                one.paths,
                two.paths
            );
            assert_eq!(
                two.shares_requests(one),
                shares,
                "{:?} {:?}",
                two.paths,
                one.paths
            );
        }
    }

    #[test]
    fn a_shop_of_all_remaining_hosts_gets_what_others_leave_of_theirs() {
        let admin = shop(&["a"], &["/admin/*"], &[], &[]);
        let remaining = shop(&[], &[], &["a/admin/*"], &["b"]);
        let whole = shop(&["a"], &[], &[], &[]);
        assert!(!remaining.has_hosts_left_by(&admin));
        assert!(
            remaining.has_hosts_left_by(&whole),
            "it gets the rest of its paths"
        );
        assert!(!remaining.has_hosts_left_by(&shop(&["b"], &[], &[], &[])));
        let everywhere = shop(&[], &["/admin/*"], &[], &[]);
        let rest = shop(&[], &[], &["/admin/*"], &[]);
        assert!(!rest.shares_requests(&everywhere));
        assert!(rest.shares_requests(&shop(&[], &[], &[], &[])));
    }
}
