//! The body of a request as it is judged: read ahead if it could carry a credential, and decoded.

use bytes::Bytes;
use pingora::Result;
use pingora_proxy::Session;

use super::budget::BodyShare;
use super::encoding::{self, Encoding};
use super::read_ahead::{self, Body, ReadAhead};
use crate::clock;
use crate::request::{BodyNeed, BodyPlan, Refusal, Refused};
use crate::server::proxy::context::Context;
use crate::server::proxy::incoming::request_of;
use crate::server::proxy::service::Proxy;
use crate::server::snapshot::Snapshot;

/// A body that was read to its end.
pub(crate) struct ExaminedBody {
    /// As received, for the shop.
    pub(crate) sent: Bytes,
    /// As it is judged; `None`: it can't be examined, and passes all the same.
    pub(crate) examined: Option<Bytes>,
}

impl Proxy {
    /// Reads the body of a request that could carry a credential there, and keeps it for the shop; a refusal, if the head is
    /// refused already, or if the body can't be examined and may not pass unread.
    pub(crate) async fn read_ahead<'s>(
        &self,
        session: &mut Session,
        context: &mut Context,
        snapshot: &'s Snapshot,
    ) -> Result<Result<Option<ExaminedBody>, Refused<'s>>> {
        if session.is_body_empty() {
            return Ok(Ok(None));
        }
        let request = request_of(session, snapshot, None);
        let arrived = snapshot.gate.arrive(&request);
        let plan = match arrived.and_then(|arrived| arrived.body_plan(clock::now())) {
            Ok(plan) => plan,
            Err(refused) => return Ok(Err(refused)),
        };
        let (need, passes_unread) = (plan.need, plan.passes_unread);
        context.is_counted = plan.is_counted;
        if need == BodyNeed::None {
            return Ok(Ok(None));
        }
        let encoding = Encoding::from_headers(&session.req_header().headers);
        // Without a rule about the body it is swept as received, because many shops ignore its encoding.
        let is_swept = need == BodyNeed::Sweep;
        if encoding == Encoding::Unknown && !is_swept {
            return Ok(if passes_unread {
                note_unread(context, &plan, Refusal::EncodedBody);
                Ok(None)
            } else {
                Err(plan.refuse(Refusal::EncodedBody))
            });
        }
        let share = context
            .body_share
            .insert(self.body_share(session, snapshot));
        let how = ReadAhead {
            silence_max: snapshot.limits.body_timeout,
            share,
            passes_unread,
        };
        let sent = match read_ahead::read_body(session, how).await? {
            Body::Whole(body) => body,
            // At its end, Pingora would send nothing of it.
            Body::Unreadable(Refusal::UnreadableBody, read)
                if passes_unread && !session.is_body_done() =>
            {
                context.read_ahead = read;
                note_unread(context, &plan, Refusal::UnreadableBody);
                return Ok(Ok(None));
            }
            Body::Unreadable(refusal, _) => return Ok(Err(plan.refuse(refusal))),
        };
        let examined = match decoded(encoding, &sent, share) {
            Ok(examined) => Some(examined),
            Err(Refusal::EncodedBody) if is_swept => Some(sent.clone()),
            Err(refusal @ (Refusal::UnreadableBody | Refusal::EncodedBody)) if passes_unread => {
                note_unread(context, &plan, refusal);
                None
            }
            Err(refusal) => return Ok(Err(plan.refuse(refusal))),
        };
        Ok(Ok(Some(ExaminedBody { sent, examined })))
    }
}

/// Notes that a body passes unread only because its request is only observed.
fn note_unread(context: &mut Context, plan: &BodyPlan<'_>, refusal: Refusal) {
    context.unread = plan.is_observed.then_some(refusal);
}

/// The body without its coding. An unknown coding only comes here where the body is swept as received.
fn decoded(encoding: Encoding, sent: &Bytes, share: &BodyShare) -> Result<Bytes, Refusal> {
    match encoding {
        Encoding::Identity | Encoding::Unknown => Ok(sent.clone()),
        Encoding::Gzip => encoding::decode_gzip(sent, share),
    }
}
