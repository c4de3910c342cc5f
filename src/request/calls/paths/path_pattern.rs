//! The paths of a rule: segments with wildcards, below the folders of a base.

use std::fmt;

use super::base::{Base, Folder};
use super::path::{PathStyle, collapse};
use super::segment::{
    Leniency, PathSegments, Segment, SegmentStart, is_blank, is_front_controller, segments_of,
};

/// The paths of a rule.
///
/// `*` matches one segment, at the end all that follow, and inside a segment any letters; `{token}` matches the token that
/// the path carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    base: Base,
    segments: Vec<Segment>,
    /// The position of the segment with `{token}`.
    token_at: Option<usize>,
    /// It ends in `/*`, and matches everything below.
    is_open: bool,
    /// It ends in a slash, which counts only where the shop says so.
    ends_in_slash: bool,
}

/// How a path fits a rule; the later, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Not at all.
    No,
    /// For a server that ignores something, or an application in another folder.
    Leniently,
    /// As the rule is written.
    AsWritten,
}

impl Fit {
    /// How a request fits that must not fit.
    pub(in crate::request) fn opposite(self) -> Self {
        match self {
            Self::No => Self::AsWritten,
            Self::Leniently => Self::Leniently,
            Self::AsWritten => Self::No,
        }
    }
}

/// As it is written.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            write!(f, "/{segment}")?;
        }
        let is_root = self.segments.is_empty() && !self.is_open;
        f.write_str(match (self.is_open, self.ends_in_slash || is_root) {
            (true, _) => "/*",
            (false, true) => "/",
            (false, false) => "",
        })
    }
}

impl PathPattern {
    /// Parses a pattern: absolute, normalised, without query.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with('/') || text.contains(['?', '#', '%', ';', '\\']) {
            return Err("a path such as /logout or /account/*, decoded and without query");
        }
        if collapse(text) != text {
            return Err("a path without doubled slashes and dot segments");
        }
        let (text, is_open) = match text.strip_suffix("/*") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let path = text.strip_prefix('/').unwrap_or(text);
        let (path, ends_in_slash) = without_slash(path);
        let segments = segments_of(path).map(Segment::parse);
        let segments: Vec<_> = segments.collect::<Result<_, _>>()?;
        if segments.iter().filter(|one| one.is_token()).count() > 1 {
            return Err("a path with one {token}");
        }
        Ok(Self {
            base: Base::default(),
            token_at: segments.iter().position(Segment::is_token),
            segments,
            is_open,
            ends_in_slash,
        })
    }

    /// The same pattern below these folders.
    #[must_use]
    pub fn below(self, base: &Base) -> Self {
        Self {
            base: base.clone(),
            ..self
        }
    }

    /// Whether it has a `{token}`.
    pub fn has_token(&self) -> bool {
        self.token_at.is_some()
    }

    /// Whether it matches every path.
    pub fn is_everything(&self) -> bool {
        self.is_open && self.segments.is_empty()
    }

    /// Whether it matches a normalised path for the laxest server.
    pub fn matches(&self, path: &str, style: PathStyle) -> bool {
        self.fit(path, style, Leniency::Call) != Fit::No
    }

    /// The token in a normalised path, if the pattern matches and has a `{token}`.
    pub fn capture<'p>(&self, path: &'p str, style: PathStyle) -> Option<&'p str> {
        let at = self.token_at?;
        let given = self
            .segments_below_base(path, style, Leniency::Call)?
            .nth(at)?;
        let is_last = at + 1 == self.segments.len() && !self.is_open;
        let format = is_last.then(|| Leniency::Page.without_format(given));
        let named = format
            .flatten()
            .and_then(|stem| self.segments[at].token(stem, style));
        named.or_else(|| self.segments[at].token(given, style))
    }

    /// How a path fits.
    pub(in crate::request) fn fit(&self, path: &str, style: PathStyle, leniency: Leniency) -> Fit {
        if self.is_everything() || self.is_written(path, style) {
            Fit::AsWritten
        } else if self.segments_below_base(path, style, leniency).is_some() {
            Fit::Leniently
        } else {
            Fit::No
        }
    }

    /// Whether it matches a path exactly, at the root.
    pub(in crate::request) fn is_written(&self, path: &str, style: PathStyle) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (path, ends_in_slash) = without_slash(path);
        let has_slash = self.is_open || !style.exact_slash || ends_in_slash == self.ends_in_slash;
        has_slash
            && self.base.has_root()
            && self.fits_segments(segments_of(path), |want, give, _| {
                want.matches_exactly(give, style)
            })
    }

    /// How its segments begin, below a folder of its base.
    pub(in crate::request) fn starts(&self) -> impl Iterator<Item = SegmentStart<'_>> {
        self.segments.iter().map(Segment::start)
    }

    /// How many segments may stand before it.
    pub(in crate::request) fn folders_max(&self) -> usize {
        self.base.depth_max()
    }

    /// Whether every path that another pattern means is meant here, as both are written.
    pub fn covers(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.segments.len(), other.segments.len());
        let is_below = if self.is_open {
            theirs > ours || theirs == ours && other.is_open
        } else {
            theirs == ours && !other.is_open && self.ends_in_slash == other.ends_in_slash
        };
        let mut both = self.segments.iter().zip(&other.segments);
        self.is_everything() || is_below && both.all(|(one, other)| one.covers(other))
    }

    /// Whether both could mean the same path, as they are written or in another case.
    pub fn may_meet(&self, other: &Self) -> bool {
        self.may_meet_below(&[], other)
    }

    /// Whether a path that is meant below the folders of its base could be one that another pattern means.
    pub fn may_be_in(&self, other: &Self) -> bool {
        let mut folders = self.base.0.iter();
        folders.any(|folder| self.may_meet_below(folder.segments(), other))
    }

    fn may_meet_below(&self, folder: &[Segment], other: &Self) -> bool {
        if self.is_everything() && folder.is_empty() || other.is_everything() {
            return true;
        }
        let (ours, theirs) = (folder.len() + self.segments.len(), other.segments.len());
        let can_be_as_long = match (self.is_open, other.is_open) {
            (true, true) => true,
            (true, false) => theirs > ours,
            (false, true) => ours > theirs,
            (false, false) => ours == theirs,
        };
        let mut both = folder.iter().chain(&self.segments).zip(&other.segments);
        can_be_as_long && both.all(|(one, other)| one.may_meet(other))
    }

    /// The folder below which it means everything, as it is written; `None`: it means no folder.
    pub fn folder(&self) -> Option<String> {
        let text = self.to_string();
        text.strip_suffix("/*").map(str::to_owned)
    }

    /// Whether all below is meant.
    pub(in crate::request) fn is_open(&self) -> bool {
        self.is_open
    }

    /// The last segment, where it is a name.
    pub(in crate::request) fn last_name(&self) -> Option<&str> {
        match self.segments.last()? {
            Segment::Name(name) if !self.is_open => Some(name),
            Segment::Name(_) | Segment::Any | Segment::Parts(_) | Segment::Token { .. } => None,
        }
    }

    /// The segments of a path below the base, if they match.
    fn segments_below_base<'p>(
        &self,
        path: &'p str,
        style: PathStyle,
        leniency: Leniency,
    ) -> Option<PathSegments<'p>> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = if style.exact_slash {
            path.trim_end_matches(is_blank)
        } else {
            path.trim_end_matches(|letter| letter == '/' || is_blank(letter))
        };
        let (path, ends_in_slash) = without_slash(path);
        if style.exact_slash && !self.is_open && ends_in_slash != self.ends_in_slash {
            return None;
        }
        let is = |want: &Segment, give: &str, is_last| {
            want.matches_leniently(give, style, leniency, is_last)
        };
        // Most paths differ in the last segment, which is cheaper to compare than the base.
        if let (Some(last), false) = (self.segments.last(), self.is_open)
            && !is(last, path.rsplit('/').next().unwrap_or_default(), true)
        {
            return None;
        }
        let behind = |folder: &Folder| {
            let mut given = folder.strip_from(segments_of(path), style)?;
            let begin = given.clone();
            if self.fits_segments(begin.clone(), is) {
                return Some(begin);
            }
            let has_entry = given.next().is_some_and(is_front_controller);
            (has_entry && self.fits_segments(given.clone(), is)).then_some(given)
        };
        self.base.0.iter().find_map(behind)
    }

    fn fits_segments(
        &self,
        mut given: PathSegments<'_>,
        is: impl Fn(&Segment, &str, bool) -> bool,
    ) -> bool {
        let last = self.segments.len().checked_sub(1).filter(|_| !self.is_open);
        for (at, want) in self.segments.iter().enumerate() {
            let fits = |give| is(want, give, last == Some(at));
            if !given.next().is_some_and(fits) {
                return false;
            }
        }
        match given.next() {
            Some(next) => self.is_open && (!next.is_empty() || given.next().is_some()),
            None => !self.is_open,
        }
    }
}

fn without_slash(path: &str) -> (&str, bool) {
    match path.strip_suffix('/') {
        Some(path) => (path, true),
        None => (path, false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::base::BASE_SEGMENTS_MAX;
    use super::super::path::Path;
    use super::*;
    use proptest::prelude::*;

    const LOOSE: PathStyle = PathStyle {
        ignore_case: false,
        exact_slash: false,
        get_override: false,
    };

    fn normal(raw: &str) -> String {
        Path::parse(raw).normal().to_owned()
    }

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    fn matches(text: &str, path: &str) -> bool {
        pattern(text).matches(&normal(path), LOOSE)
    }

    fn fit(text: &str, path: &str) -> Fit {
        pattern(text).fit(&normal(path), LOOSE, Leniency::Page)
    }

    #[test]
    fn a_star_is_one_segment_and_at_the_end_all_that_follow() {
        assert!(matches("/shop/*", "/shop/a"));
        assert!(matches("/shop/*", "/shop/a/b"));
        assert!(!matches("/shop/*", "/shop"));
        assert!(!matches("/shop/*", "/shop/"));
        assert!(!matches("/shop/*", "/shopping/a"));
        assert!(matches("/shop/*/cart", "/shop/1/cart"));
        assert!(!matches("/shop/*/cart", "/shop/1/2/cart"));
        assert!(matches("/*", "/"));
    }

    #[test]
    fn a_star_inside_a_segment_is_any_letters_field_f8() {
        for (text, path, fits) in [
            ("/api/trpc/auth.*", "/api/trpc/auth.logout", true),
            ("/api/trpc/auth.*", "/api/trpc/auth.", true),
            ("/api/trpc/auth.*", "/api/trpc/author", false),
            ("/api/trpc/auth.*", "/api/trpc/auth.logout/x", false),
            ("/api/*.json", "/api/logout.json", true),
            ("/api/*.json", "/api/logout.xml", false),
            ("/api/log*out", "/api/log-out", true),
            ("/api/log*out", "/api/logout", true),
            ("/api/log*o*t", "/api/logo", false),
            ("/a*b*b", "/aXbb", true),
            ("/a*b*b", "/aXb", false),
            ("/v*/logout", "/v12/logout", true),
            ("/v*/logout", "/x/logout", false),
        ] {
            assert_eq!(matches(text, path), fits, "{text} {path}");
        }
    }

    #[test]
    fn a_procedure_is_found_in_a_batch_field_f8() {
        for (text, path, fits) in [
            (
                "/api/trpc/auth.logout",
                "/api/trpc/auth.logout,cart.get",
                true,
            ),
            (
                "/api/trpc/auth.logout",
                "/api/trpc/cart.get,auth.logout",
                true,
            ),
            (
                "/api/trpc/auth.logout",
                "/api/trpc/cart.get%2Cauth.logout",
                true,
            ),
            (
                "/api/trpc/auth.log*",
                "/api/trpc/cart.get,auth.logout,a",
                true,
            ),
            ("/api/trpc/*.logout", "/api/trpc/auth.logout,cart.get", true),
            (
                "/api/trpc/auth.logout",
                "/api/trpc/cart.get,auth.login",
                false,
            ),
            (
                "/api/trpc/auth.logout",
                "/api/trpc/xauth.logout,cart.get",
                false,
            ),
        ] {
            assert_eq!(matches(text, path), fits, "{text} {path}");
        }
    }

    #[test]
    fn a_path_names_the_token_that_it_carries_field_f8() {
        let captured = |text: &str, path: &str| {
            let path = normal(path);
            pattern(text).capture(&path, LOOSE).map(str::to_owned)
        };
        for (text, path, token) in [
            ("/oauth/tokens/{token}", "/oauth/tokens/abc", Some("abc")),
            ("/oauth/tokens/{token}", "/oauth/tokens/abc/", Some("abc")),
            (
                "/oauth/tokens/{token}",
                "/oauth/tokens/abc.json",
                Some("abc"),
            ),
            ("/oauth/tokens/{token}", "/oauth/tokens/abc%20", Some("abc")),
            (
                "/oauth/tokens/{token}",
                "/index.php/oauth/tokens/abc",
                Some("abc"),
            ),
            (
                "/authentication/{token}",
                "/authentication/eyJ.eyJ9.c2ln",
                Some("eyJ.eyJ9.c2ln"),
            ),
            (
                "/tokens/{token}/revoke",
                "/tokens/1%7Cabc/revoke",
                Some("1|abc"),
            ),
            ("/t/id-{token}.x", "/t/id-abc.x", Some("abc")),
            ("/t/id-{token}.x", "/t/id-.x", None),
            ("/t/{token}/*", "/t/abc/d", Some("abc")),
            ("/oauth/tokens/{token}", "/oauth/tokens/", None),
            ("/oauth/tokens/{token}", "/oauth/tokens/a/b", None),
            ("/oauth/tokens/*", "/oauth/tokens/a", None),
        ] {
            assert_eq!(captured(text, path).as_deref(), token, "{text} {path}");
        }
        let below = pattern("/tokens/{token}").below(&Base::any());
        assert_eq!(below.capture("/a/b/tokens/c", LOOSE), Some("c"));
    }

    #[test]
    fn case_and_last_slash_count_as_the_shop_says() {
        let pattern = pattern("/wp-json/log*");
        let strict = PathStyle {
            ignore_case: false,
            exact_slash: true,
            get_override: false,
        };
        let loose = PathStyle {
            ignore_case: true,
            exact_slash: false,
            get_override: false,
        };
        assert!(pattern.matches("/WP-JSON/Logout/", loose));
        assert!(!pattern.matches("/WP-JSON/logout", strict));
        assert!(!pattern.matches("/wp-json/logout/", strict));
        let slash = PathPattern::parse("/wp-json/").unwrap();
        assert!(slash.matches("/wp-json/", strict) && !slash.matches("/wp-json", strict));
        assert!(slash.matches("/wp-json", loose));
    }

    #[test]
    fn what_a_server_overlooks_is_overlooked_attacks_a4() {
        for path in [
            "/oauth/token",
            "/oauth/token%20",
            "/oauth/token%0a",
            "/oauth/token%0d%0a",
            "/oauth/token%09/",
            "/oauth/token/%20",
            "/oauth/token%c2%a0",
            "/oauth/token.json",
            "/oauth/token.xml",
            "/oauth/token.JSON",
            "/oauth/token.any%20",
            "/index.php/oauth/token",
            "/app_dev.php/oauth/token.json",
            "/INDEX.PHP/oauth/token",
        ] {
            assert!(matches("/oauth/token", path), "{path}");
        }
        for path in [
            "/oauth/token.",
            "/oauth/.token",
            "/oauth/token.a-b",
            "/oauth/tokens",
            "/oauth/ token",
            "/.php/oauth/token",
            "/index.php/x/oauth/token",
            "/x/oauth/token",
        ] {
            assert!(!matches("/oauth/token", path), "{path}");
        }
    }

    #[test]
    fn only_the_letters_of_a_rule_are_the_rule_attacks_a11() {
        assert_eq!(fit("/static/*", "/static/x"), Fit::AsWritten);
        assert_eq!(fit("/health", "/health/"), Fit::AsWritten);
        for (text, path) in [
            ("/static/*", "/index.php/static/x"),
            ("/health", "/health%20"),
            ("/health", "/health.json"),
            ("/health", "/health,cart"),
        ] {
            assert_eq!(fit(text, path), Fit::Leniently, "{path}");
        }
        assert_eq!(fit("/cart", "/cart.js"), Fit::No);
        let below = pattern("/health").below(&Base::any());
        assert_eq!(
            below.fit("/shop/health", LOOSE, Leniency::Page),
            Fit::Leniently
        );
        assert_eq!(below.fit("/health", LOOSE, Leniency::Page), Fit::AsWritten);
    }

    #[test]
    fn a_rule_is_found_below_any_folder_of_three_segments_field_f2() {
        let logout = pattern("/api/logout").below(&Base::any());
        for path in [
            "/api/logout",
            "/de/api/logout",
            "/bagisto/public/api/logout",
            "/bagisto/public/index.php/api/logout",
            "/a/b/c/api/logout",
            "/a/b/c/index.php/api/logout",
            "/shop/api/logout.json",
        ] {
            assert!(logout.matches(path, LOOSE), "{path}");
        }
        for path in [
            "/a/b/c/d/api/logout",
            "/xapi/logout",
            "/a/api/x/logout",
            "/a/logout",
        ] {
            assert!(!logout.matches(path, LOOSE), "{path}");
        }
    }

    #[test]
    fn a_base_narrows_where_a_rule_is_found_field_f2() {
        let folders = ["/shop", "/*/public", "/v*"].map(|text| Folder::parse(text).unwrap());
        let logout = pattern("/logout").below(&Base::from_folders(folders));
        for path in [
            "/shop/logout",
            "/a/public/logout",
            "/v2/logout",
            "/shop/index.php/logout",
        ] {
            assert!(logout.matches(path, LOOSE), "{path}");
        }
        for path in [
            "/logout",
            "/index.php/logout",
            "/x/logout",
            "/shop/x/logout",
            "/public/logout",
        ] {
            assert!(!logout.matches(path, LOOSE), "{path}");
        }
        assert_eq!(Folder::parse("/"), Ok(Folder::default()));
        for unfit in ["", "shop", "/shop/", "/a//b", "/a?b", "/{token}", "/a%20"] {
            assert!(Folder::parse(unfit).is_err(), "{unfit}");
        }
    }

    #[test]
    fn a_pattern_that_no_path_could_match_is_refused() {
        for unfit in [
            "logout",
            "/a//b",
            "/a/../b",
            "/a?b",
            "/a;b",
            "/a%20b",
            "/a**",
            "/{id}",
            "/{token",
            "/{token}/{token}",
            "/{token}*",
            "",
        ] {
            assert!(PathPattern::parse(unfit).is_err(), "{unfit}");
        }
    }

    proptest! {
        /// The model: a path is meant if it is some folder of the base, perhaps a front controller, and the rule.
        #[test]
        fn a_rule_is_found_behind_its_base_and_nowhere_else_field_f2(
            rule in "(/[ab]){1,3}", base in "(/[ab]){0,4}", entry in "(/i\\.php)?", end in "(%20|\\.json|/)?",
        ) {
            let logout = pattern(&rule).below(&Base::any());
            let path = normal(&format!("{base}{entry}{rule}{end}"));
            let plain = path.trim_end_matches([' ', '/']);
            let plain = plain.strip_suffix(".json").unwrap_or(plain);
            let is_meant = plain.strip_suffix(&rule).is_some_and(|rest| {
                let rest = rest.strip_suffix("/i.php").unwrap_or(rest);
                rest.matches('/').count() <= BASE_SEGMENTS_MAX
            });
            prop_assert_eq!(logout.matches(&path, LOOSE), is_meant);
        }

        #[test]
        fn stars_inside_a_segment_are_read_as_a_regular_expression_reads_them(
            text in "[ab]{0,2}\\*[ab]{0,2}(\\*[ab]{1,2})?", path in "[ab]{1,6}",
        ) {
            let expression = regex::Regex::new(&format!("^{}$", text.replace('*', ".*"))).unwrap();
            prop_assume!(!text.contains("**") && text != "*");
            let fits = matches(&format!("/x/{text}/y"), &format!("/x/{path}/y"));
            prop_assert_eq!(fits, expression.is_match(&path));
        }

        #[test]
        fn no_path_panics(text in "/[a*{}token/.]{0,12}", path in "\\PC{0,20}") {
            if let Ok(pattern) = PathPattern::parse(&text) {
                let pattern = pattern.below(&Base::any());
                let path = normal(&path);
                prop_assert!(pattern.capture(&path, LOOSE).is_none() || pattern.matches(&path, LOOSE));
            }
        }
    }
}
