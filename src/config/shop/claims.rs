//! `name` and `hosts`, which only one shop may have.

use crate::config::fault::{Fault, SourceSpot};
use crate::config::reading::TomlTable;
use crate::request::HostPattern;

/// The names and hosts of the shops read so far.
#[derive(Default)]
pub(crate) struct ShopClaims {
    names: Vec<(String, SourceSpot)>,
    hosts: Vec<HostClaim>,
}

/// A host that a shop claims, and where that is written.
struct HostClaim {
    /// `None`: every host.
    host: Option<HostPattern>,
    shop: String,
    spot: SourceSpot,
}

impl ShopClaims {
    /// Reads `name`, which no other shop may have.
    pub(super) fn read_name<'a>(&mut self, shop: &mut TomlTable<'a>) -> Option<&'a str> {
        let text = shop.required_string("name", "what logs and commands call the shop")?;
        let name = text.parse_as(name)?;
        if let Some((_, first)) = self.names.iter().find(|(taken, _)| taken == name) {
            let fault = Fault::error(format!("two shops are called `{name}`"));
            text.report(fault.label(place_of(first)));
        }
        self.names.push((name.to_owned(), text.spot().clone()));
        Some(name)
    }

    /// Reads `hosts`, none of which an earlier shop may have; a shop without them claims every host.
    pub(super) fn read_hosts(&mut self, shop: &mut TomlTable<'_>, name: &str) -> Vec<HostPattern> {
        let texts = shop.strings("hosts");
        if shop.lacks("hosts") {
            let spot = shop.spot();
            if let Some(fault) = self.claim(None, name, &spot) {
                shop.report(fault.at(&spot));
            }
            return Vec::new();
        }
        if texts.as_ref().is_some_and(Vec::is_empty) {
            let fault = Fault::error("`hosts` names no host");
            let help = "leave `hosts` out for a shop that claims every host";
            shop.report_at("hosts", fault.help(help));
        }
        let mut hosts = Vec::new();
        for text in texts.unwrap_or_default() {
            if let Some(host) = text.parse_as(HostPattern::parse) {
                if let Some(fault) = self.claim(Some(&host), name, text.spot()) {
                    text.report(fault);
                }
                hosts.push(host);
            }
        }
        hosts
    }

    /// Claims a host, `None` for every host; a fault, if an earlier shop leaves nothing of it.
    fn claim(
        &mut self,
        host: Option<&HostPattern>,
        shop: &str,
        spot: &SourceSpot,
    ) -> Option<Fault> {
        let mut earlier = self.hosts.iter();
        let fault = earlier.find_map(|claim| claim.leaves_nothing(host).then(|| claim.fault(host)));
        self.hosts.push(HostClaim {
            host: host.cloned(),
            shop: shop.to_owned(),
            spot: spot.clone(),
        });
        fault
    }
}

/// A name stands in logs, metrics, commands and, as the realm, between quotes in a header.
fn name(text: &str) -> Result<&str, &'static str> {
    let fits = |byte| is_quotable(byte) && byte != b'\'';
    let is_fit = (1..=64).contains(&text.len()) && text.bytes().all(fits);
    is_fit
        .then_some(text)
        .ok_or("1 to 64 letters, digits and signs without space, quotes and \\")
}

/// Whether a byte may stand in a quoted string without an escape.
pub(super) fn is_quotable(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

fn place_of(spot: &SourceSpot) -> String {
    match spot.line() {
        Some(line) => format!("the first one is in line {line}"),
        None => "the first one is above".to_owned(),
    }
}

impl HostClaim {
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
            (None | Some(_), _) => Fault::error("no request for this host gets here")
                .help("the first shop that claims a host has it: put this shop above that one"),
        };
        let line = self.spot.line().map(|line| format!(" in line {line}"));
        let line = line.unwrap_or_default();
        fault.label(format!("shop `{shop}` claims it{line}"))
    }
}
