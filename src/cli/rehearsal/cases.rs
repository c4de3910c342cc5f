//! A file of cases for `doorward test`: requests, and what is expected of each.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::sample_error::SampleError;
use crate::server::SampleRequest;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    /// The tokens of the requests, by the names that stand for them.
    #[serde(default)]
    pub(super) tokens: BTreeMap<String, CaseToken>,
    /// The cases.
    #[serde(default)]
    pub(super) case: Vec<Spanned<Case>>,
}

/// A token: signed with the secret of a shop, read from a file, or any text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseToken {
    /// The shop whose token it is; without it the first.
    pub(super) shop: Option<String>,
    /// Its claims. `exp`, `iat` and `nbf` may be spans from now, such as `-5m`.
    pub(super) sign: Option<toml::Table>,
    /// The file that it stands in, beside the file of cases.
    pub(super) file: Option<PathBuf>,
    /// Itself: an opaque token.
    pub(super) text: Option<String>,
}

/// Shows no token.
impl std::fmt::Debug for CaseToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CaseToken(..)")
    }
}

/// One request and what is expected of it, or several in their order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    /// The tokens that are revoked before it begins.
    #[serde(default)]
    pub(super) revoked: Vec<String>,
    request: Option<CaseRequest>,
    expect: Option<Expected>,
    #[serde(default)]
    step: Vec<CaseStep>,
}

/// One request of a case, and what is expected of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseStep {
    pub(super) request: CaseRequest,
    pub(super) expect: Expected,
}

/// A request.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseRequest {
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, HeaderLines>,
    body: Option<String>,
    client: Option<IpAddr>,
    /// Whether the shop agrees to the logout that this is, where it is asked first.
    pub(super) shop_agrees: Option<bool>,
}

impl std::fmt::Debug for CaseRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CaseRequest(..)")
    }
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum HeaderLines {
    One(String),
    Several(Vec<String>),
}

/// What is expected of a request; what is left out may be anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    pub(super) verdict: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) shop: Option<String>,
    pub(super) route: Option<String>,
    /// The upstream by its name, or one of the servers.
    pub(super) upstream: Option<String>,
    /// The path that the upstream is sent.
    pub(super) path: Option<String>,
    /// Why it would be refused, were it not only observed.
    pub(super) would: Option<String>,
}

impl Case {
    /// Its steps.
    pub(super) fn steps(&self) -> Result<Vec<CaseStep>, SampleError> {
        match (&self.request, &self.expect, self.step.is_empty()) {
            (Some(request), Some(expect), true) => Ok(vec![CaseStep {
                request: request.clone(),
                expect: expect.clone(),
            }]),
            (None, None, false) => Ok(self.step.clone()),
            (Some(_) | None, Some(_) | None, _) => Err(SampleError::new(
                "a case has `request` and `expect`, or [[case.step]] with both in each",
            )),
        }
    }
}

impl CaseRequest {
    /// The request with these tokens in the places of their names in braces.
    pub(super) fn sample(
        &self,
        tokens: &BTreeMap<String, String>,
    ) -> Result<SampleRequest, SampleError> {
        let fill = |text: &str| {
            let named = tokens.iter();
            named.fold(text.to_owned(), |text, (name, token)| {
                text.replace(&format!("{{{name}}}"), token)
            })
        };
        let mut sample = SampleRequest::get(&fill(&self.url))?;
        for (name, lines) in &self.headers {
            let lines = match lines {
                HeaderLines::One(line) => std::slice::from_ref(line),
                HeaderLines::Several(lines) => lines,
            };
            let lines = lines.iter();
            let lines = lines.map(|line| (name.clone(), fill(line).into_bytes()));
            sample.headers.extend(lines);
        }
        if let Some(body) = &self.body {
            sample.body = fill(body).into_bytes();
            "POST".clone_into(&mut sample.method);
        }
        if let Some(method) = &self.method {
            sample.method.clone_from(method);
        }
        if let Some(client) = self.client {
            sample.client = client;
        }
        Ok(sample)
    }
}

/// Reads a file of cases, with the text in which its spans are lines.
pub(super) fn read(path: &Path) -> Result<(CaseFile, String), SampleError> {
    let shown = path.display();
    let failed = |error| SampleError::new(format!("{shown} can't be read: {error}"));
    let text = fs::read_to_string(path).map_err(failed)?;
    match toml::from_str::<CaseFile>(&text) {
        Ok(cases) if cases.case.is_empty() => {
            Err(SampleError::new(format!("{shown} has no [[case]]")))
        }
        Ok(cases) => Ok((cases, text)),
        Err(error) => {
            // Not the line itself: a token may stand there.
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            Err(SampleError::new(format!(
                "{shown}:{line}: {}",
                error.message()
            )))
        }
    }
}

/// The line at which a span begins, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.matches('\n').count() + 1
}
