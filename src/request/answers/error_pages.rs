//! The pages of the operator, for people whose request Doorward refuses.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue, VARY};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::accept::prefers_html;
use super::answer::Answer;

/// The pages of a shop, and of requests that have none.
#[derive(Clone, Debug, Default)]
pub struct ErrorPages {
    /// For these statuses.
    pub exact: Vec<(StatusCode, ErrorPage)>,
    /// For every other one of 400 to 499.
    pub client: Option<ErrorPage>,
    /// For every other one of 500 to 599.
    pub server: Option<ErrorPage>,
    /// Where there is none here.
    pub beneath: Option<Arc<Self>>,
}

/// A page: HTML with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage(Vec<PagePart>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PagePart {
    Text(String),
    Status,
    RequestId,
}

const PLACEHOLDERS: [(&str, PagePart); 2] = [
    ("{status}", PagePart::Status),
    ("{request_id}", PagePart::RequestId),
];

impl ErrorPages {
    /// Puts a page in the place of the body of an error, where there is one and the client would rather have HTML. The other
    /// headers stay.
    pub fn put(&self, answer: &mut Answer, head: &Parts, request_id: &str) {
        let Some(page) = self.page(answer.status) else {
            return;
        };
        vary_by_accept(&mut answer.headers);
        if prefers_html(&head.headers) {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            answer.headers.insert(CONTENT_TYPE, html);
            answer.body = page.text(answer.status, request_id).into();
        }
    }

    fn page(&self, status: StatusCode) -> Option<&ErrorPage> {
        let exact = self.exact.iter().find(|(one, _)| *one == status);
        let class = || {
            if status.is_server_error() {
                self.server.as_ref()
            } else {
                self.client.as_ref().filter(|_| status.is_client_error())
            }
        };
        let page = exact.map(|(_, page)| page).or_else(class);
        page.or_else(|| self.beneath.as_ref()?.page(status))
    }
}

impl ErrorPage {
    /// Reads a page.
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        let next = |rest: &str| {
            let found = PLACEHOLDERS.iter().filter_map(|(name, part)| {
                let at = rest.find(name)?;
                Some((at, at + name.len(), part.clone()))
            });
            found.min_by_key(|(at, ..)| *at)
        };
        while let Some((begin, end, part)) = next(rest) {
            parts.push(PagePart::Text(rest[..begin].to_owned()));
            parts.push(part);
            rest = &rest[end..];
        }
        parts.push(PagePart::Text(rest.to_owned()));
        Self(parts)
    }

    fn text(&self, status: StatusCode, request_id: &str) -> String {
        let parts = self.0.iter().map(|part| match part {
            PagePart::Text(text) => text.clone(),
            PagePart::Status => status.as_str().to_owned(),
            PagePart::RequestId => escaped(request_id),
        });
        parts.collect()
    }
}

/// A text that means nothing in HTML, in quotes or outside of them.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '`' => escaped.push_str("&#96;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Another client may get another body.
fn vary_by_accept(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("Accept"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_escaped() {
        let page = ErrorPage::parse("<h1>{status}</h1>{request_id}{status}{else}{");
        let text = page.text(StatusCode::NOT_FOUND, "a<b>&\"'`");
        assert_eq!(
            text,
            "<h1>404</h1>a&lt;b&gt;&amp;&quot;&#39;&#96;404{else}{"
        );
        assert_eq!(ErrorPage::parse("").text(StatusCode::OK, "x"), "");
    }

    #[test]
    fn the_most_exact_page_is_taken() {
        let page = |text: &str| ErrorPage::parse(text);
        let beneath = ErrorPages {
            exact: vec![(StatusCode::NOT_FOUND, page("their 404"))],
            server: Some(page("their 5xx")),
            ..ErrorPages::default()
        };
        let pages = ErrorPages {
            exact: vec![(StatusCode::FORBIDDEN, page("403"))],
            client: Some(page("4xx")),
            beneath: Some(Arc::new(beneath)),
            ..ErrorPages::default()
        };
        let taken = |status| {
            let status = StatusCode::from_u16(status).unwrap();
            pages.page(status).map(|page| page.text(status, ""))
        };
        for (status, text) in [
            (403, Some("403")),
            (404, Some("4xx")),
            (502, Some("their 5xx")),
            (302, None),
            (200, None),
        ] {
            assert_eq!(taken(status).as_deref(), text, "{status}");
        }
    }
}
