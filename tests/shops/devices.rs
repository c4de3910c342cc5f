//! Two devices of a customer, each by its own node: what a logout ends on both nodes, after restarts as well, and what
//! it leaves alone.

use support::{Cluster, Name};

use super::*;

const NODES: [Name; 2] = ["a", "b"];

/// What the two devices send differently.
#[derive(Clone, Copy)]
pub(super) enum Device {
    Phone,
    Browser,
}

/// The account of a customer at a real shop.
pub(super) trait Account {
    fn log_in(&self, address: SocketAddr, device: Device) -> Credential;

    /// Whether the customer is served with it, rather than a guest.
    fn is_served(&self, address: SocketAddr, credential: &Credential) -> bool;

    /// Logs this device out. Whether the shop itself ends its session.
    fn log_out(&self, address: SocketAddr, credential: &Credential) -> bool;

    /// Logs every other device out. Whether the shop itself ends their sessions.
    fn log_out_elsewhere(&self, address: SocketAddr, credential: &Credential) -> bool;

    /// Logs every device out. Whether the shop itself ends their sessions.
    fn log_out_everywhere(&self, address: SocketAddr, credential: &Credential) -> bool;
}

/// What a token counts as that no node has dated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnknownIssueTime {
    New,
    Old,
}

struct Walk<'a, A> {
    shop: SocketAddr,
    account: &'a A,
    cluster: Cluster,
    /// What logouts have ended.
    dead: Vec<Credential>,
}

/// `more` are keys and sub-tables of a `[[shop]]` with the name "main", whose server is this shop.
pub(super) fn walk(
    account: &impl Account,
    shop: SocketAddr,
    unknown: UnknownIssueTime,
    more: &str,
) {
    let word = match unknown {
        UnknownIssueTime::New => "new",
        UnknownIssueTime::Old => "old",
    };
    let table = format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{shop}\"]\ntoken.unknown_issue_time = \"{word}\"\n{more}\n"
    );
    let plan = Cluster::of(&NODES).everywhere("ack", "\"all\"");
    let mut walk = Walk {
        shop,
        account,
        cluster: plan.serving(table).start(),
        dead: Vec::new(),
    };
    walk.all_devices(unknown);
    walk.one_device();
    walk.all_other_devices();
}

impl<A: Account> Walk<'_, A> {
    /// A logout of everything on one device, and the logins after it.
    fn all_devices(&mut self, unknown: UnknownIssueTime) {
        let (phone, browser) = (
            self.log_in("a", Device::Phone),
            self.log_in("b", Device::Browser),
        );
        assert!(self.is_served("a", &phone) && self.is_served("b", &browser));
        let mut old = vec![phone.clone(), browser];
        old.extend(self.log_in_past_the_nodes(unknown));
        self.dates_are_known();
        let shop_ends = self.account.log_out_everywhere(self.address("a"), &phone);
        self.ended(old, shop_ends);
        self.dead_stay_dead();
        self.cluster.stop("b");
        self.come_back(&["b"]);
        self.dead_stay_dead();
        let mut new = vec![
            self.log_in("a", Device::Phone),
            self.log_in("b", Device::Browser),
        ];
        new.extend(self.log_in_past_the_nodes(unknown));
        self.all_live(&new);
        self.no_login_was_missed();
        self.cluster.kill("a");
        self.come_back(&["a"]);
        self.all_live(&new);
        self.dead_stay_dead();
    }

    /// A logout on one of two devices.
    fn one_device(&mut self) {
        let (phone, browser) = (
            self.log_in("a", Device::Phone),
            self.log_in("b", Device::Browser),
        );
        let other = [browser];
        self.all_live(&other);
        assert!(self.is_served("a", &phone));
        let shop_ends = self.account.log_out(self.address("b"), &phone);
        self.ended(vec![phone], shop_ends);
        self.dead_stay_dead();
        self.all_live(&other);
        self.cluster.kill("b");
        self.come_back(&["b"]);
        self.dead_stay_dead();
        self.all_live(&other);
    }

    /// A logout of all devices but one.
    fn all_other_devices(&mut self) {
        let (phone, browser) = (
            self.log_in("a", Device::Phone),
            self.log_in("b", Device::Browser),
        );
        assert!(self.is_served("a", &phone) && self.is_served("b", &browser));
        self.dates_are_known();
        let shop_ends = self.account.log_out_elsewhere(self.address("a"), &phone);
        self.ended(vec![browser], shop_ends);
        let spared = [phone, self.log_in("b", Device::Browser)];
        self.dead_stay_dead();
        self.all_live(&spared);
        // No node is left that could tell another one what was ended.
        self.cluster.kill("a");
        self.cluster.stop("b");
        self.come_back(&NODES);
        self.dead_stay_dead();
        self.all_live(&spared);
    }

    fn address(&self, node: Name) -> SocketAddr {
        self.cluster[node].address()
    }

    fn log_in(&self, node: Name, device: Device) -> Credential {
        self.account.log_in(self.address(node), device)
    }

    /// As a front-end server does by an internal address; then the device is seen by one node.
    fn log_in_past_the_nodes(&self, unknown: UnknownIssueTime) -> Option<Credential> {
        if unknown == UnknownIssueTime::Old {
            return None;
        }
        let credential = self.account.log_in(self.shop, Device::Phone);
        assert!(self.is_served("b", &credential));
        Some(credential)
    }

    fn is_served(&self, node: Name, credential: &Credential) -> bool {
        self.account.is_served(self.address(node), credential)
    }

    /// Waits until each node knows of what another one has dated: no request waits for that before a logout.
    #[track_caller]
    fn dates_are_known(&self) {
        let dates = |node| {
            let of = |kind| format!("doorward_revocations{{kind=\"{kind}\"}}");
            let kinds = ["seen", "issued"].map(of);
            kinds.map(|sample| self.cluster.metric(node, &sample).to_string())
        };
        support::eventually(|| dates("a") == dates("b"));
    }

    /// What a logout has ended, and whether the shop itself would go on with it.
    #[track_caller]
    fn ended(&mut self, credentials: Vec<Credential>, shop_ends: bool) {
        for credential in &credentials {
            let shop_takes_it = self.account.is_served(self.shop, credential);
            assert_eq!(shop_takes_it, !shop_ends, "asked past the nodes");
        }
        self.dead.extend(credentials);
    }

    #[track_caller]
    fn dead_stay_dead(&self) {
        for node in NODES {
            let served = |credential: &&Credential| self.is_served(node, credential);
            assert_eq!(self.dead.iter().filter(served).count(), 0, "at {node}");
        }
    }

    #[track_caller]
    fn all_live(&self, credentials: &[Credential]) {
        for node in NODES {
            let served = credentials.iter().map(|one| self.is_served(node, one));
            let served: Vec<_> = served.collect();
            assert!(served.iter().all(|served| *served), "{served:?} at {node}");
        }
    }

    /// The same data folders, other processes.
    #[track_caller]
    fn come_back(&mut self, nodes: &[Name]) {
        self.cluster.start(nodes);
        self.cluster.form(&NODES);
    }

    /// Each node has read the answer to a login, and none of them handed out a dead token.
    #[track_caller]
    fn no_login_was_missed(&self) {
        for node in NODES {
            let answers = |outcome: &str| {
                let sample = format!(
                    "doorward_token_endpoint_answers_total{{shop=\"main\",outcome=\"{outcome}\"}}"
                );
                self.cluster.metric(node, &sample) > 0.5
            };
            assert_eq!(
                (answers("dated"), answers("unread")),
                (true, false),
                "{node}"
            );
            let reissued = self.cluster.metric(node, "doorward_reissued_tokens_total");
            assert!(reissued < 0.5, "{reissued} at {node}");
        }
    }
}
