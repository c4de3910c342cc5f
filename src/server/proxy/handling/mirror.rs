//! Which requests are mirrored: a copy of them goes to another upstream, too.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use pingora::http::RequestHeader;
use pingora_proxy::Session;

use super::copy::{BODY_BYTES_MAX, CopyState, CopyTarget};
use crate::server::proxy::context::Context;
use crate::server::proxy::forwarding::host_asked;
use crate::server::proxy::service::Proxy;
use crate::server::proxy::stream;

impl Proxy {
    /// Begins the copy of a request whose head is complete, if its route mirrors. A request without a body is copied at once.
    pub(crate) fn begin_copy(
        &self,
        session: &mut Session,
        context: &mut Context,
        head: &RequestHeader,
    ) {
        match &mut context.copy {
            CopyState::Unwanted => return,
            CopyState::Wanted => context.copy = CopyState::Unwanted,
            CopyState::Begun(copy) => {
                copy.begin_anew();
                return;
            }
        }
        let Some(to) = target_of(session, context) else {
            return;
        };
        if is_long(session) {
            self.copies.note_left_out(&to.upstream, "long_body");
            return;
        }
        let mut head = head.clone();
        let is_renamed = context
            .attempts()
            .is_ok_and(|one| one.upstreams().host().is_some());
        if is_renamed
            && let Some(host) = host_asked(session.req_header())
            && head.insert_header(HOST, host).is_err()
        {
            return;
        }
        let from = context.snapshot.forwarding.ends_of(session);
        self.reread_tokens(session); // for what is revoked before the copy is sent
        let Some(copy) = self.copies.begin(to, head, from) else {
            return;
        };
        if session.is_body_empty() {
            self.copies.send(copy, session.req_header());
        } else {
            context.copy = CopyState::Begun(copy);
        }
    }

    /// Adds a part of the body to the copy, which is sent at the end.
    pub(crate) fn copy_body(
        &self,
        session: &Session,
        context: &mut Context,
        part: Option<&Bytes>,
        is_end: bool,
    ) {
        let CopyState::Begun(copy) = &mut context.copy else {
            return;
        };
        let added = copy.add(part.map_or(&[], |part| part));
        if let Err(why) = added {
            self.copies.note_left_out(copy.upstream(), why);
        } else if !is_end {
            return;
        }
        let done = std::mem::replace(&mut context.copy, CopyState::Unwanted);
        if let (CopyState::Begun(copy), Ok(())) = (done, added) {
            self.copies.send(copy, session.req_header());
        }
    }
}

/// Where the copy of a request goes, if there is one. A stream is not copied.
fn target_of(session: &Session, context: &Context) -> Option<CopyTarget> {
    let mirror = context.handling()?.mirror.as_ref()?;
    if stream::is_wanted(session.req_header()) || session.is_upgrade_req() {
        return None;
    }
    if !mirror.rate.includes(drawn()) {
        return None;
    }
    let upstreams = context.snapshot.pools.named.get(&mirror.upstream)?;
    Some(CopyTarget {
        upstream: mirror.upstream.clone(),
        upstreams: Arc::clone(upstreams),
    })
}

fn is_long(session: &Session) -> bool {
    let length = session.req_header().headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length > BODY_BYTES_MAX)
}

/// A number that may be guessed: what a fresh key of the standard library makes of nothing.
fn drawn() -> u64 {
    RandomState::new().build_hasher().finish()
}
