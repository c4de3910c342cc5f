//! The body of a request as it is judged: read ahead where it could carry a credential, and decoded.

use std::sync::Arc;

use bytes::Bytes;
use pingora::Result;
use pingora_proxy::Session;

use super::encoding::{self, Encoding};
use super::read_ahead::{self, Body, ReadAhead};
use crate::request::{BodyNeed, Refusal};
use crate::server::proxy::context::Context;
use crate::server::proxy::service::Proxy;

/// A body that was read whole.
pub(crate) struct Examined {
    /// As it came, for the shop.
    pub(crate) sent: Bytes,
    /// As it is judged; `None`: it can't be examined, and passes all the same.
    pub(crate) examined: Option<Bytes>,
}

impl Proxy {
    /// Reads the body of a request that could carry a credential there, and keeps it for the shop; a refusal, if it can't be
    /// examined and may not pass unread.
    pub(crate) async fn read_ahead(
        &self,
        session: &mut Session,
        context: &mut Context,
    ) -> Result<Result<Option<Examined>, Refusal>> {
        let site = Arc::clone(&context.site);
        let head = session.req_header();
        if site.gate.needs_body(head) == BodyNeed::None || session.is_body_empty() {
            return Ok(Ok(None));
        }
        let head = session.req_header();
        let encoding = Encoding::of(&head.headers);
        let passes_unread = site.gate.passes_unread(head);
        // Where no rule is about the body it is looked through as it came, for many a shop ignores its encoding.
        let is_swept = site.gate.needs_body(head) == BodyNeed::Sweep;
        if encoding == Encoding::Unknown && !is_swept {
            return Ok(if passes_unread {
                Ok(None)
            } else {
                Err(Refusal::EncodedBody)
            });
        }
        let share = context.body_share.insert(self.body_share(session, &site));
        let how = ReadAhead {
            silence_max: site.limits.body_timeout,
            share,
            passes_unread,
        };
        let sent = match read_ahead::read(session, how).await? {
            Body::Whole(body) => body,
            // At its end, Pingora would send nothing of it.
            Body::Unreadable(Refusal::UnreadableBody, read)
                if passes_unread && !session.is_body_done() =>
            {
                context.read_ahead = read;
                return Ok(Ok(None));
            }
            Body::Unreadable(refusal, _) => return Ok(Err(refusal)),
        };
        let examined = match encoding {
            Encoding::Identity | Encoding::Unknown => Ok(sent.clone()),
            Encoding::Gzip => encoding::decode_gzip(&sent, share),
        };
        Ok(match examined {
            Ok(examined) => Ok(Some(Examined {
                sent,
                examined: Some(examined),
            })),
            Err(Refusal::EncodedBody) if is_swept => {
                let examined = Some(sent.clone());
                Ok(Some(Examined { sent, examined }))
            }
            Err(Refusal::UnreadableBody | Refusal::EncodedBody) if passes_unread => {
                Ok(Some(Examined {
                    sent,
                    examined: None,
                }))
            }
            Err(refusal) => Err(refusal),
        })
    }
}
