//! Folders of which a route means all that is below, but not the folder itself.

use super::route::Route;
use super::table::RouteTable;
use crate::request::calls::PathPattern;

impl RouteTable {
    /// The folders of a route, such as `/admin` for `/admin/*`, that neither it nor another route names.
    pub fn folders_left_out(&self, route: &Route) -> Vec<String> {
        let routes = self.routes().iter();
        let named = routes.flat_map(|route| &route.conditions.paths);
        let named: Vec<_> = named.collect();
        folders_beside(&route.conditions.paths, &named)
    }
}

/// The folders of these paths that none of the named ones means.
pub fn folders_beside(paths: &[PathPattern], named: &[&PathPattern]) -> Vec<String> {
    let is_named = |folder: &String| {
        let folder = PathPattern::parse(folder);
        folder.is_ok_and(|folder| named.iter().any(|path| path.covers(&folder)))
    };
    let folders = paths.iter().filter_map(PathPattern::folder);
    let folders = folders.filter(|folder| !folder.is_empty());
    folders.filter(|folder| !is_named(folder)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_no_path_names_is_left_out() {
        let patterns = |texts: &[&str]| -> Vec<_> {
            let texts = texts.iter();
            texts
                .map(|text| PathPattern::parse(text).unwrap())
                .collect()
        };
        for (paths, named, left) in [
            (&["/admin/*"][..], &["/admin/*"][..], &["/admin"][..]),
            (&["/admin", "/admin/*"], &["/admin", "/admin/*"], &[]),
            (&["/admin/*"], &["/admin/*", "/*"], &[]),
            (&["/a/b/*", "/c/*"], &["/a/*", "/c"], &[]),
            (&["/*"], &["/*"], &[]),
            (&["/cart"], &["/cart"], &[]),
        ] {
            let (paths, named) = (patterns(paths), patterns(named));
            let named: Vec<_> = named.iter().collect();
            assert_eq!(folders_beside(&paths, &named), left);
        }
    }
}
