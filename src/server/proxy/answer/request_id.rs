//! `X-Request-Id` on every answer: a customer can name it, and the operator finds what was decided.

use std::any::Any;

use async_trait::async_trait;
use http::header::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::modules::http::{HttpModule, HttpModuleBuilder, Module};
use pingora_proxy::Session;

/// The header.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes one for each request.
pub(crate) struct RequestIdBuilder;

/// The header of the answer to one request.
#[derive(Default)]
struct RequestIdHeader(Option<HeaderValue>);

/// The answer to this request, the shop's or Doorward's own, names the request by this id.
pub(crate) fn prepare(session: &mut Session, id: &str) {
    set(session, HeaderValue::from_str(id).ok());
}

/// The shop's answer to this request is passed on without: the request is only observed, and no answer may change.
pub(crate) fn withhold(session: &mut Session) {
    set(session, None);
}

fn set(session: &mut Session, id: Option<HeaderValue>) {
    if let Some(module) = session.downstream_modules_ctx.get_mut::<RequestIdHeader>() {
        module.0 = id;
    }
}

impl HttpModuleBuilder for RequestIdBuilder {
    fn init(&self) -> Module {
        Box::new(RequestIdHeader::default())
    }
}

#[async_trait]
impl HttpModule for RequestIdHeader {
    async fn response_header_filter(&mut self, head: &mut ResponseHeader, _: bool) -> Result<()> {
        match &self.0 {
            Some(id) if !head.status.is_informational() => {
                head.insert_header(X_REQUEST_ID, id.clone())
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
