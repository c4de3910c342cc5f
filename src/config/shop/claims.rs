//! What one shop only may have: its name, and each of its hosts.

use crate::config::fault::{Fault, Faults, Spot};
use crate::request::HostPattern;

/// What the shops read so far have taken.
#[derive(Default)]
pub(crate) struct Taken {
    names: Vec<(String, Spot)>,
    hosts: Vec<Claim>,
}

/// What a shop claims, and where that is written.
struct Claim {
    /// `None`: every host.
    host: Option<HostPattern>,
    shop: String,
    spot: Spot,
}

impl Taken {
    /// Reports a name that another shop has already.
    pub(crate) fn take_name(&mut self, name: &str, spot: &Spot, faults: &mut Faults) {
        if let Some((_, first)) = self.names.iter().find(|(taken, _)| taken == name) {
            let fault = Fault::error(format!("two shops are called `{name}`")).at(spot);
            faults.push(fault.label(place_of(first)));
        }
        self.names.push((name.to_owned(), spot.clone()));
    }

    /// Reports a host for which an earlier shop is asked; `None` claims every host.
    pub(crate) fn take_host(
        &mut self,
        host: Option<&HostPattern>,
        shop: &str,
        spot: &Spot,
        faults: &mut Faults,
    ) {
        let earlier = self.hosts.iter().find(|claim| claim.leaves_nothing(host));
        if let Some(earlier) = earlier {
            faults.push(earlier.fault(host).at(spot));
        }
        self.hosts.push(Claim {
            host: host.cloned(),
            shop: shop.to_owned(),
            spot: spot.clone(),
        });
    }
}

fn place_of(spot: &Spot) -> String {
    match spot.line() {
        Some(line) => format!("the first one is in line {line}"),
        None => "the first one is above".to_owned(),
    }
}

impl Claim {
    /// Whether no host is left for a later shop that claims `host`.
    fn leaves_nothing(&self, host: Option<&HostPattern>) -> bool {
        match (&self.host, host) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(ours), Some(HostPattern::Exact(name))) => ours.claims(name),
            (Some(ours), Some(HostPattern::Below(domain))) => {
                *ours == HostPattern::Below(domain.clone())
                    || matches!(ours, HostPattern::Below(_)) && ours.claims(domain)
            }
        }
    }

    fn fault(&self, host: Option<&HostPattern>) -> Fault {
        let shop = &self.shop;
        let fault = match (&self.host, host) {
            (None, None) => Fault::error("two shops claim every host"),
            (Some(ours), Some(host)) if ours == host => Fault::error("two shops claim this host"),
            (None | Some(_), _) => Fault::error("this host never gets here")
                .help("the first shop that claims a host has it: put this shop above that one"),
        };
        let line = self.spot.line().map(|line| format!(" in line {line}"));
        let line = line.unwrap_or_default();
        fault.label(format!("shop `{shop}` claims it{line}"))
    }
}
