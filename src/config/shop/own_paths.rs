//! Doorward's own paths at a shop.

use crate::request::PathPattern;

/// The folders of Doorward's own paths: `/_doorward`, and the same in every folder that the shop claims.
pub(super) struct OwnPaths(Vec<String>);

impl OwnPaths {
    /// The folders of a shop that claims these paths; `prefix`: the folder at the root.
    pub(super) fn below(prefix: &str, claimed: &[PathPattern]) -> Self {
        let mut folders = vec![prefix.to_owned()];
        let claimed = claimed.iter().filter_map(PathPattern::folder);
        folders.extend(claimed.map(|folder| format!("{folder}{prefix}")));
        Self(folders)
    }

    /// The paths of this name.
    pub(super) fn named(&self, name: &str) -> Vec<PathPattern> {
        let path = |folder: &String| {
            let path = PathPattern::parse(&format!("{folder}/{name}"));
            path.expect("the prefix is a path, and so is what is below it and below a folder")
        };
        self.0.iter().map(path).collect()
    }
}
