//! Routes that no request takes, and prefixes that no path has.

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::request::{PathPattern, PathPrefix, Route, RouteTable};

/// Reports a prefix with which no path of the route begins: nothing would be stripped.
pub(super) fn report_unstripped(route: &TomlTable<'_>, prefix: &PathPrefix, paths: &[PathPattern]) {
    let inside = prefix.patterns();
    let may_begin = |path: &PathPattern| inside.iter().any(|one| path.may_be_in(one));
    if !paths.is_empty() && !paths.iter().any(may_begin) {
        let fault = Fault::error("no path of this route begins with `strip_prefix`");
        let help = "write `paths` as customers send them, with the prefix";
        route.report_at("strip_prefix", fault.help(help));
    }
}

/// Why a route is never taken, as far as it can be told; `claimed`: the paths that its shop claims, none for every path.
pub(super) fn fault(table: &RouteTable, route: &Route, claimed: &[PathPattern]) -> Option<Fault> {
    let fault = || Fault::warning("this route is never taken");
    if route.conditions.exclude_themselves() {
        let label = "`not` excludes every request that the other conditions mean";
        return Some(fault().label(label));
    }
    let paths = &route.conditions.paths;
    let is_claimed = |path: &PathPattern| claimed.iter().any(|one| path.may_be_in(one));
    if !claimed.is_empty() && !paths.is_empty() && !paths.iter().any(is_claimed) {
        let fault = fault().label("its paths are none of those that the shop claims");
        return Some(fault.help("write the paths as customers send them"));
    }
    let earlier = table.shadowing(route);
    let names: Vec<_> = earlier.iter().map(|one| one.name.as_str()).collect();
    let label = match names.as_slice() {
        [] => return None,
        [one] => format!("route {one} takes every request first"),
        [..] => format!("routes {} take every request first", names.join(", ")),
    };
    Some(
        fault()
            .label(label)
            .help("put the narrower route above the wider one"),
    )
}
