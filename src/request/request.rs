//! A request as it is judged.

use std::cell::OnceCell;

use http::request::Parts;

use super::graphql;

/// A request as it is judged.
pub struct Request<'a> {
    /// Its head, as it came.
    pub head: &'a Parts,
    /// Its body, where [`Gate::needs_body`] asked for it.
    pub body: Option<&'a [u8]>,
    /// The host that the customer asked for, where a trusted proxy says that it was another one.
    pub(super) forwarded_host: Option<&'a str>,
    /// Its GraphQL, once it was read.
    pub(super) graphql: OnceCell<graphql::Reading>,
}

impl<'a> Request<'a> {
    /// A request with this head, and its body where [`Gate::needs_body`] asked for it.
    pub fn new(head: &'a Parts, body: Option<&'a [u8]>) -> Self {
        let graphql = OnceCell::new();
        Self {
            head,
            body,
            forwarded_host: None,
            graphql,
        }
    }

    /// The same, asked for under this host as a trusted proxy says.
    #[must_use]
    pub fn forwarded_as(self, host: Option<&'a str>) -> Self {
        Self {
            forwarded_host: host,
            ..self
        }
    }
}
