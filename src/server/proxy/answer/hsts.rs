//! `Strict-Transport-Security` (RFC 6797), on whatever is answered to a request over TLS: by the shop or by Doorward.

use std::any::Any;

use async_trait::async_trait;
use http::header::{HeaderValue, STRICT_TRANSPORT_SECURITY};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::modules::http::{HttpModule, HttpModuleBuilder, Module};
use pingora_proxy::Session;

use crate::request::Request;
use crate::server::snapshot::Snapshot;

/// Makes one for each request.
pub(crate) struct HstsBuilder;

/// The header of the answer to one request.
#[derive(Default)]
struct Hsts(Option<HeaderValue>);

/// The answer to this request gets the header that the shop of its host wants. Over plain HTTP there is none (section 7.2).
pub(crate) fn prepare(session: &mut Session, snapshot: &Snapshot) {
    if !snapshot.has_hsts || !snapshot.forwarding.is_encrypted(session) {
        return;
    }
    let request = Request::new(session.req_header(), None);
    let value = snapshot.gate.hsts_of(&request).cloned();
    if let Some(module) = session.downstream_modules_ctx.get_mut::<Hsts>() {
        module.0 = value;
    }
}

impl HttpModuleBuilder for HstsBuilder {
    fn init(&self) -> Module {
        Box::new(Hsts::default())
    }
}

#[async_trait]
impl HttpModule for Hsts {
    async fn response_header_filter(&mut self, head: &mut ResponseHeader, _: bool) -> Result<()> {
        match &self.0 {
            Some(value) if !head.status.is_informational() => {
                head.insert_header(STRICT_TRANSPORT_SECURITY, value.clone())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
