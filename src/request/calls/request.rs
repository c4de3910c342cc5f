//! A request: its head, and its body if that was read.

use http::request::Parts;

/// A request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its head.
    pub head: &'a Parts,
    /// Its body, if [`Arrived::body_plan`](crate::request::Arrived::body_plan) asked for it.
    pub body: Option<&'a [u8]>,
    /// The host that the customer requested, if a trusted proxy reports another one.
    pub(in crate::request) forwarded_host: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A request with this head, and with its body if that was read.
    pub fn new(head: &'a Parts, body: Option<&'a [u8]>) -> Self {
        Self {
            head,
            body,
            forwarded_host: None,
        }
    }

    /// The same request, sent to this host as a trusted proxy reports.
    #[must_use]
    pub fn forwarded_as(self, host: Option<&'a str>) -> Self {
        Self {
            forwarded_host: host,
            ..self
        }
    }
}
