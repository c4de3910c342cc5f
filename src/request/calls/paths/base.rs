//! The folders below which the paths of a rule are found.

use std::iter;
use std::sync::Arc;

use super::path::{PathStyle, collapse};
use super::segment::{PathSegments, Segment, segments_of};

/// The folders below which the paths of a rule are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(pub(super) Arc<[Folder]>);

/// A folder, whose segments may have wildcards; the root has no segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder(Vec<Segment>);

/// How deep a base may be that is not configured: a folder, a language, the entry of an application.
pub(super) const BASE_SEGMENTS_MAX: usize = 3;

impl Base {
    /// The root, and any folder of up to three segments.
    pub fn any() -> Self {
        let depths = 0..=BASE_SEGMENTS_MAX;
        let folder = |depth| Folder(iter::repeat_n(Segment::Any, depth).collect());
        Self(depths.map(folder).collect())
    }

    /// These folders.
    pub fn from_folders(folders: impl IntoIterator<Item = Folder>) -> Self {
        Self(folders.into_iter().collect())
    }

    /// These folders, and the root.
    #[must_use]
    pub fn and_root(&self) -> Self {
        let root = iter::once(Folder::default());
        Self(root.chain(self.0.iter().cloned()).collect())
    }

    /// The depth of its deepest folder.
    pub(super) fn depth_max(&self) -> usize {
        let depths = self.0.iter().map(|folder| folder.0.len());
        depths.max().unwrap_or_default()
    }

    pub(super) fn has_root(&self) -> bool {
        self.0.iter().any(|folder| folder.0.is_empty())
    }
}

impl Default for Base {
    /// The root alone.
    fn default() -> Self {
        Self::from_folders([Folder::default()])
    }
}

impl Folder {
    /// `/`, `/shop`, or `/*` for any one folder.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str =
            "a folder such as /, /shop or /*, decoded and without a slash at the end";
        let Some(path) = text.strip_prefix('/') else {
            return Err(WANTED);
        };
        let is_odd = text.contains(['?', '#', '%', ';', '\\', '{']) || collapse(text) != text;
        if is_odd || path.ends_with('/') {
            return Err(WANTED);
        }
        let segments = segments_of(path).map(Segment::parse);
        segments.collect::<Result<_, _>>().map(Self)
    }

    /// Its segments.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The segments of a path below it.
    pub(super) fn strip_from<'p>(
        &self,
        mut given: PathSegments<'p>,
        style: PathStyle,
    ) -> Option<PathSegments<'p>> {
        let mut wanted = self.0.iter();
        let fits = wanted.all(|want| {
            given
                .next()
                .is_some_and(|give| want.matches_exactly(give, style))
        });
        fits.then_some(given)
    }
}
