//! Requests that no hook of the proxy sees: refused while their header block arrives, or by the HTTP library.

use std::fmt;
use std::sync::Arc;

use crate::clients::Peer;
use crate::clock;
use crate::request::Refusal;
use crate::server::access_log::record::{RecordedVerdict, RequestRecord};
use crate::server::operator::recorder::Recorder;
use crate::server::proxy::request_id::RequestIds;
use crate::server::snapshot::SharedSnapshot;

/// Takes such requests down.
#[derive(Clone)]
pub(crate) struct UnreadRequests {
    pub(crate) snapshot: SharedSnapshot,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) ids: Arc<RequestIds>,
}

/// What is known of one.
#[derive(Default)]
pub(crate) struct UnreadRequest {
    pub(crate) is_encrypted: bool,
    pub(crate) method: &'static str,
    pub(crate) protocol: &'static str,
    /// `None`: it got no answer.
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
}

impl fmt::Debug for UnreadRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnreadRequests")
    }
}

impl UnreadRequests {
    /// A request was refused. Returns its id.
    pub(crate) fn note(&self, peer: Peer, refusal: Refusal, request: UnreadRequest) -> String {
        let id = self.ids.next();
        let record = RequestRecord {
            at_ms: clock::now_ms(),
            request: id.clone(),
            client: peer.address(),
            method: request.method.into(),
            scheme: if request.is_encrypted {
                "https"
            } else {
                "http"
            },
            protocol: request.protocol,
            status: request.status,
            verdict: RecordedVerdict::Refused,
            refusal: Some(refusal),
            error: request.error,
            ..RequestRecord::default()
        };
        let snapshot = self.snapshot.load();
        self.recorder
            .record(record, snapshot.access_log.as_ref(), None);
        id
    }
}
