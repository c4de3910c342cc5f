//! Which media types are meant, such as `text/*`.

/// A media type, or a pattern with one `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPattern {
    before: String,
    /// What follows the `*`, if there is one.
    after: Option<String>,
}

const WANTED: &str = "a media type such as text/html, text/* or application/*+json";

impl MediaPattern {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte);
        let (kind, name) = text.split_once('/').ok_or(WANTED)?;
        let is_fit = [kind, name]
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(is_name));
        if !is_fit || kind.contains('*') || name.matches('*').count() > 1 {
            return Err(WANTED);
        }
        let lowered = text.to_ascii_lowercase();
        Ok(match lowered.split_once('*') {
            Some((before, after)) => Self {
                before: before.to_owned(),
                after: Some(after.to_owned()),
            },
            None => Self {
                before: lowered,
                after: None,
            },
        })
    }

    /// Whether it means this media type, which has no parameters.
    pub(super) fn means(&self, kind: &str) -> bool {
        let (kind, before) = (kind.as_bytes(), self.before.as_bytes());
        let Some(after) = self.after.as_deref().map(str::as_bytes) else {
            return kind.eq_ignore_ascii_case(before);
        };
        kind.len() >= before.len() + after.len()
            && kind[..before.len()].eq_ignore_ascii_case(before)
            && kind[kind.len() - after.len()..].eq_ignore_ascii_case(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_a_part_of_the_name() {
        let means = |pattern: &str, kind: &str| MediaPattern::parse(pattern).unwrap().means(kind);
        assert!(means("text/html", "Text/HTML") && !means("text/html", "text/htm"));
        assert!(means("text/*", "text/css") && !means("text/*", "textual/css"));
        assert!(means("application/*+json", "application/problem+json"));
        assert!(!means("application/*+json", "application/json"));
        assert!(!means("application/*+json", "application/+jso"));
        for unfit in [
            "",
            "text",
            "*/*",
            "text/",
            "/html",
            "text/*/*",
            "text/**",
            "text/html; charset=utf-8",
            "a b/c",
        ] {
            assert!(MediaPattern::parse(unfit).is_err(), "{unfit}");
        }
    }
}
