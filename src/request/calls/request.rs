//! A request: its head, and its body if that was read.

use http::request::Parts;

use crate::clients::Peer;
use crate::request::client_certificate::ClientCertificate;

/// A request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its head.
    pub head: &'a Parts,
    /// Its body, if [`Arrived::body_plan`](crate::request::Arrived::body_plan) asked for it.
    pub body: Option<&'a [u8]>,
    /// The host that the customer requested, if a trusted proxy reports another one.
    pub(in crate::request) forwarded_host: Option<&'a str>,
    /// The client, as far as proxies that are trusted report it.
    pub(in crate::request) client: Option<Peer>,
    /// The certificate that the client has shown.
    pub(in crate::request) certificate: Option<&'a ClientCertificate>,
}

impl<'a> Request<'a> {
    /// A request with this head, and with its body if that was read.
    pub fn new(head: &'a Parts, body: Option<&'a [u8]>) -> Self {
        Self {
            head,
            body,
            forwarded_host: None,
            client: None,
            certificate: None,
        }
    }

    /// The same request, of a client that has shown this certificate.
    #[must_use]
    pub fn showing(self, certificate: Option<&'a ClientCertificate>) -> Self {
        Self {
            certificate,
            ..self
        }
    }

    /// The same request, of this client.
    #[must_use]
    pub fn of_client(self, client: impl Into<Peer>) -> Self {
        Self {
            client: Some(client.into()),
            ..self
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
