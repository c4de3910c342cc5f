//! `name`, `hosts` and `paths`, which only one shop may have.

use crate::config::fault::{Fault, SourceSpot};
use crate::config::reading::{TomlTable, TomlText};
use crate::request::{HostPattern, HostRedirect, PathPattern, PathStyle};

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
    paths: PathClaims,
    /// Its requests are redirected: a pattern leaves alone what others name more closely.
    is_redirected: bool,
    shop: String,
    spot: SourceSpot,
}

/// The paths that a shop claims of its hosts, and how it compares them; none: every path.
#[derive(Clone)]
struct PathClaims {
    paths: Vec<PathPattern>,
    style: PathStyle,
}

impl ShopClaims {
    /// Reads `name`, which no other shop may have.
    pub(super) fn read_name<'a>(&mut self, shop: &mut TomlTable<'a>) -> Option<&'a str> {
        let text = shop.required_string("name", "what logs and commands call the shop")?;
        let name = text.parse_as(name)?;
        if let Some((_, first)) = self.names.iter().find(|(taken, _)| taken == name) {
            let fault = Fault::error(format!("two shops are called `{name}`"));
            text.report(fault.label(format!(
                "the first one is {}",
                first.place_beside(text.spot())
            )));
        }
        self.names.push((name.to_owned(), text.spot().clone()));
        Some(name)
    }

    /// Reads `hosts` and `paths`, of which an earlier shop must leave something. A shop without hosts claims every host, one
    /// without paths every path.
    pub(super) fn read_requests(
        &mut self,
        shop: &mut TomlTable<'_>,
        name: &str,
        style: PathStyle,
    ) -> (Vec<HostPattern>, Vec<PathPattern>) {
        let paths = read_paths(shop);
        let claimed = PathClaims::new(&paths, style);
        let earlier = self.hosts.len();
        let hosts = self.read_hosts(shop, name, &claimed);
        let every_host = hosts.is_empty().then_some(None).into_iter();
        let of_hosts: Vec<_> = every_host.chain(hosts.iter().map(Some)).collect();
        let earlier = &self.hosts[..earlier];
        let taken = |path: &PathPattern| {
            let claim_of = |host: Option<&HostPattern>| {
                let mut earlier = earlier.iter();
                earlier.find(|claim| claim.takes(host, Some(path), style))
            };
            let of_each: Option<Vec<_>> = of_hosts.iter().copied().map(claim_of).collect();
            of_each?.into_iter().next()
        };
        let is_in_vain = paths.iter().all(|(path, _)| taken(path).is_some()); // each host has its fault
        for (path, text) in paths.iter().filter(|_| !is_in_vain) {
            if let Some(claim) = taken(path) {
                let fault = Fault::warning("no request for this path gets here");
                text.report(fault.label(claim.label(text.spot())));
            }
        }
        (hosts, claimed.paths)
    }

    fn read_hosts(
        &mut self,
        shop: &mut TomlTable<'_>,
        name: &str,
        paths: &PathClaims,
    ) -> Vec<HostPattern> {
        let texts = shop.strings("hosts");
        if shop.lacks("hosts") {
            let spot = shop.spot();
            if let Some(fault) = self.claim(None, paths, name, &spot) {
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
                if let Some(fault) = self.claim(Some(&host), paths, name, text.spot()) {
                    text.report(fault);
                }
                hosts.push(host);
            }
        }
        hosts
    }

    /// Reads `redirect_hosts`, from which requests are redirected to the first of `hosts`.
    pub(super) fn read_redirect_hosts(
        &mut self,
        shop: &mut TomlTable<'_>,
        name: &str,
        hosts: &[HostPattern],
        style: PathStyle,
    ) -> Option<HostRedirect> {
        let texts = shop.string_or_strings("redirect_hosts")?;
        let every_path = PathClaims::new(&[], style);
        let mut from = Vec::new();
        for text in &texts {
            if let Some(host) = text.parse_as(HostPattern::parse) {
                if let Some(fault) = self.claim(Some(&host), &every_path, name, text.spot()) {
                    text.report(fault);
                }
                if let Some(claim) = self.hosts.last_mut() {
                    claim.is_redirected = true;
                }
                from.push(host);
            }
        }
        match hosts.first() {
            Some(HostPattern::Exact(to)) => Some(HostRedirect {
                from,
                to: to.clone(),
            }),
            Some(HostPattern::Below(_)) | None => {
                let fault = Fault::error("`redirect_hosts` leads nowhere")
                    .help("name the host of the shop first in `hosts`");
                shop.report_at("redirect_hosts", fault);
                None
            }
        }
    }

    /// Claims paths of a host, `None` for every host; a fault, if earlier shops leave nothing of them.
    fn claim(
        &mut self,
        host: Option<&HostPattern>,
        paths: &PathClaims,
        shop: &str,
        spot: &SourceSpot,
    ) -> Option<Fault> {
        let fault = paths.taken_by(&self.hosts, host);
        let fault = fault.map(|first| first.fault(host, paths, spot));
        self.hosts.push(HostClaim {
            host: host.cloned(),
            paths: paths.clone(),
            is_redirected: false,
            shop: shop.to_owned(),
            spot: spot.clone(),
        });
        fault
    }
}

/// Reads `paths`, unless they are the former name of `path_style`.
fn read_paths<'a>(shop: &mut TomlTable<'a>) -> Vec<(PathPattern, TomlText<'a>)> {
    if shop.has_table("paths") {
        return Vec::new();
    }
    let texts = shop.string_or_strings("paths");
    if texts.as_ref().is_some_and(Vec::is_empty) {
        let fault = Fault::error("`paths` names no path");
        let help = "leave `paths` out for a shop that claims every path";
        shop.report_at("paths", fault.help(help));
    }
    let read = |text: TomlText<'a>| Some((text.parse_as(claimed_path)?, text));
    let texts = texts.unwrap_or_default().into_iter();
    texts.filter_map(read).collect()
}

fn claimed_path(text: &str) -> Result<PathPattern, &'static str> {
    let path = PathPattern::parse(text)?;
    if path.has_token() {
        return Err("a path such as /admin/*, without {token}");
    }
    Ok(path)
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

impl PathClaims {
    /// These paths; one that means every path means as much as none.
    fn new(paths: &[(PathPattern, TomlText<'_>)], style: PathStyle) -> Self {
        let is_whole = paths.iter().any(|(path, _)| path.is_everything());
        let paths = paths.iter().filter(|_| !is_whole);
        Self {
            paths: paths.map(|(path, _)| path.clone()).collect(),
            style,
        }
    }

    /// The first of the earlier claims that leave nothing of these paths of a host.
    fn taken_by<'c>(
        &self,
        earlier: &'c [HostClaim],
        host: Option<&HostPattern>,
    ) -> Option<&'c HostClaim> {
        let claim_of = |path: Option<&PathPattern>| {
            let mut earlier = earlier.iter();
            earlier.find(|claim| claim.takes(host, path, self.style))
        };
        if self.paths.is_empty() {
            return claim_of(None);
        }
        let of_each: Option<Vec<_>> = self.paths.iter().map(|path| claim_of(Some(path))).collect();
        of_each?.into_iter().next()
    }
}

impl HostClaim {
    /// Whether a later shop that compares paths like this gets nothing of a path of a host; `None`: of every path.
    fn takes(
        &self,
        host: Option<&HostPattern>,
        path: Option<&PathPattern>,
        style: PathStyle,
    ) -> bool {
        let ours = &self.paths;
        let is_laxer = style.ignore_case && !ours.style.ignore_case
            || ours.style.exact_slash && !style.exact_slash;
        let takes_path =
            |path: &PathPattern| !is_laxer && ours.paths.iter().any(|own| own.covers(path));
        self.leaves_no_host(host) && (ours.paths.is_empty() || path.is_some_and(takes_path))
    }

    /// Whether it claims all that a later shop claims with `host`.
    fn leaves_no_host(&self, host: Option<&HostPattern>) -> bool {
        if self.is_redirected {
            return self.host.as_ref() == host;
        }
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

    fn fault(&self, host: Option<&HostPattern>, paths: &PathClaims, spot: &SourceSpot) -> Fault {
        let is_whole = self.paths.paths.is_empty();
        let is_same = self.paths.paths == paths.paths;
        let what = match (self.host.as_ref(), host) {
            (None, None) if is_same && is_whole => "two shops claim every host",
            (Some(ours), Some(host)) if ours == host && is_same && is_whole => {
                "two shops claim this host"
            }
            (ours, host) if ours == host && is_same => "two shops claim the same paths of a host",
            (None | Some(_), _) => "no request for this host gets here",
        };
        let fault = Fault::error(what).label(self.label(spot));
        let is_order = !is_same || self.host.as_ref() != host;
        if is_order {
            fault.help("the first shop that claims a host has it: put this shop above that one")
        } else {
            fault
        }
    }

    /// Who claims it, for a reader who looks at `spot`.
    fn label(&self, spot: &SourceSpot) -> String {
        let (shop, place) = (&self.shop, self.spot.place_beside(spot));
        format!("shop `{shop}` claims it {place}")
    }
}
