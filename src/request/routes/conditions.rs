//! The conditions of a route: what must hold of a request.

use std::fmt;

use http::Method;

use super::certificate_condition::CertificateCondition;
use crate::clients::Peers;
use crate::request::calls::{Condition, ConditionPlace, Fit, Leniency, PathPattern, RequestView};

/// What must hold of a request. Without any condition, everything does.
#[derive(Debug, Default)]
pub struct RouteConditions {
    /// Its path is one of these; none: every path.
    pub paths: Vec<PathPattern>,
    /// Its method is one of these, where GET includes HEAD; none: every method.
    pub methods: Vec<Method>,
    /// All of these hold of its headers, its query, its cookies and its body.
    pub values: Vec<Condition>,
    /// The client is one of these; none: every client.
    pub from: Peers,
    /// This holds of the client's certificate.
    pub certificate: Option<CertificateCondition>,
    /// None of these holds.
    pub not: Vec<Self>,
}

impl RouteConditions {
    /// Whether they hold under this reading of the path. A value holds if a server could read it so: of a header or a
    /// parameter that stands twice, either counts.
    pub(super) fn hold(&self, reading: &str, view: &RequestView<'_>) -> bool {
        self.are_written(reading, view)
            && self.has_method(view)
            && self.is_from(view)
            && self.has_certificate(view)
            && self
                .values
                .iter()
                .all(|one| one.fit(&view.request, view.style) != Fit::No)
            && !self.not.iter().any(|not| not.hold(reading, view))
    }

    /// How a request fits under this reading of its path: to the letter only if no server could see it otherwise.
    pub(super) fn fit(&self, reading: &str, view: &RequestView<'_>) -> Fit {
        let path = self.fit_of_path(reading, view);
        if path == Fit::No {
            return path;
        }
        let values = self.values.iter();
        let values = values.map(|one| one.fit(&view.request, view.style));
        let nots = self.not.iter().map(|not| not.fit(reading, view).opposite());
        let fits = values.chain(nots).chain([
            self.fit_of_method(view),
            fit_if(self.is_from(view)),
            fit_if(self.has_certificate(view)),
        ]);
        fits.min().map_or(path, |worst| path.min(worst))
    }

    /// Whether this reading of the path could be meant.
    pub(super) fn are_at(&self, reading: &str, view: &RequestView<'_>) -> bool {
        self.fit_of_path(reading, view) != Fit::No
    }

    /// Whether they ask for something in the body.
    pub(super) fn read_body(&self) -> bool {
        let reads = |one: &Condition| matches!(one.at, ConditionPlace::Body(_));
        self.values.iter().any(reads) || self.not.iter().any(Self::read_body)
    }

    fn are_written(&self, reading: &str, view: &RequestView<'_>) -> bool {
        let mut paths = self.paths.iter();
        self.paths.is_empty()
            || paths.any(|path| path.is_everything() || path.is_written(reading, view.style))
    }

    fn fit_of_path(&self, reading: &str, view: &RequestView<'_>) -> Fit {
        if self.paths.is_empty() {
            return Fit::AsWritten;
        }
        let fits = self
            .paths
            .iter()
            .map(|path| path.fit(reading, view.style, Leniency::Page));
        fits.max().unwrap_or(Fit::No)
    }

    /// The method of the request line: what an upstream makes of another one that a header names is its business.
    fn has_method(&self, view: &RequestView<'_>) -> bool {
        let method = &view.request.head.method;
        self.methods.is_empty()
            || self.methods.contains(method)
            || *method == Method::HEAD && self.methods.contains(&Method::GET)
    }

    /// A request that names another method could be either to a server.
    fn fit_of_method(&self, view: &RequestView<'_>) -> Fit {
        if self.methods.is_empty() {
            Fit::AsWritten
        } else if view.names_method()
            && (view.has_method(&self.methods) || view.can_be_overridden(&self.methods))
        {
            Fit::Leniently
        } else {
            fit_if(self.has_method(view))
        }
    }

    fn has_certificate(&self, view: &RequestView<'_>) -> bool {
        let certificate = view.request.certificate;
        let condition = self.certificate.as_ref();
        condition.is_none_or(|condition| condition.holds(certificate))
    }

    fn is_from(&self, view: &RequestView<'_>) -> bool {
        let client = view.request.client;
        self.from.is_empty() || client.is_some_and(|client| self.from.contains(client))
    }
}

/// The conditions in one line.
impl fmt::Display for RouteConditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            paths,
            methods,
            values,
            from,
            certificate,
            not,
        } = self;
        let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
        let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
        match (methods.as_slice(), paths.as_slice()) {
            ([], []) => f.write_str("every path")?,
            ([], paths) => f.write_str(&paths.join(", "))?,
            (methods, []) => write!(f, "{} of every path", methods.join(", "))?,
            (methods, paths) => write!(f, "{} {}", methods.join(", "), paths.join(", "))?,
        }
        let is_all =
            values.is_empty() && from.is_empty() && certificate.is_none() && not.is_empty();
        if !is_all {
            f.write_str(" with conditions")?;
        }
        Ok(())
    }
}

fn fit_if(holds: bool) -> Fit {
    if holds { Fit::AsWritten } else { Fit::No }
}
