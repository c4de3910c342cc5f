//! Frames read from bytes.
//!
//! Kinds that a node does not know it skips, and what stands behind the fields that it knows of a body it skips, too:
//! that is how a later version adds to either.

use bytes::{Buf, Bytes};

use super::kind::{
    ACK, CERTIFICATES, COMPARE_SETS, DATED_DELTA, DELTA, DIFFERENCES, FETCH, GOODBYE, HELLO,
    NEGOTIATE, PING, PONG, REQUEST_ROWS, ROWS, SEND_ALL, SUMMARIES, UNNUMBERED,
};
use super::message::{
    CHAINS_MAX, Frame, Goodbye, Heartbeat, Hello, InvalidFrame, Ping, ReconcileStep,
};
use crate::clock::UnixTime;
use crate::cluster::protocol::membership::Chain;
use crate::revocation::{
    Bucket, DateKind, NodeName, Origin, Row, Sum, Summary, SyncPhase, VersionVector, Window,
};

/// How many origins and nodes a frame may name: beyond that it is no cluster that we could be in.
const NAMES_MAX: usize = 4096;

/// How far anything is counted; a greater number is read as this one. A node that revokes a million tokens a second
/// comes to it after a thousand years.
const NUMBER_MAX: u64 = 1 << 55;

/// How many certificates a chain may have, and how long each may be, in bytes.
const CHAIN_MAX: usize = 4;
const CERTIFICATE_BYTES_MAX: usize = 8 << 10;

impl Frame {
    /// Reads a frame; `None`: one of a kind that this version does not know.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Option<Self>, InvalidFrame> {
        let mut body = bytes.clone();
        let frame = match number(&mut body, Bytes::get_u8, 1)? {
            HELLO => Self::Hello(Hello {
                version: number(&mut body, Bytes::get_u16_le, 2)?,
                node: take_name(&mut body)?,
                origin: take_origin(&mut body)?,
                ping: take_ping(&mut body)?,
            }),
            PING => Self::Ping(take_ping(&mut body)?),
            PONG => Self::Pong {
                asked_ms: take_u64(&mut body)?,
                now_ms: take_u64(&mut body)?,
                stamp_ms: take_stamp(&mut body)?,
            },
            kind @ (DELTA | DATED_DELTA) => Self::Delta {
                origin: take_origin(&mut body)?,
                first: take_number(&mut body)?,
                at_ms: if kind == DATED_DELTA {
                    take_u64(&mut body)?
                } else {
                    0
                },
                rows: take_rows(&mut body)?,
            },
            UNNUMBERED => Self::Unnumbered(take_rows(&mut body)?),
            ACK => Self::Ack {
                origin: take_origin(&mut body)?,
                reached: take_number(&mut body)?,
            },
            REQUEST_ROWS => Self::RequestRows {
                origin: take_origin(&mut body)?,
                after: take_number(&mut body)?,
            },
            COMPARE_SETS => Self::CompareSets,
            kind @ (SUMMARIES | DIFFERENCES | SEND_ALL | NEGOTIATE | FETCH | ROWS) => {
                Self::Reconcile {
                    number: take_u32(&mut body)?,
                    step: take_step(kind, body)?,
                }
            }
            GOODBYE => Self::Goodbye(Goodbye::from_number(number(&mut body, Bytes::get_u8, 1)?)),
            CERTIFICATES => Self::Certificates(take_chains(&mut body)?),
            _ => return Ok(None),
        };
        Ok(Some(frame))
    }
}

/// The rest of a step of a comparison.
fn take_step(kind: u8, mut body: Bytes) -> Result<ReconcileStep, InvalidFrame> {
    let step = match kind {
        SUMMARIES => ReconcileStep::Summaries {
            beyond: UnixTime::from_seconds(take_u64(&mut body)?),
            summaries: take_summaries(&mut body)?,
        },
        DIFFERENCES => ReconcileStep::Differences {
            vector: take_vector(&mut body)?,
            summaries: take_summaries(&mut body)?,
        },
        SEND_ALL => ReconcileStep::SendAll {
            bucket: take_bucket(&mut body)?,
        },
        NEGOTIATE => ReconcileStep::Negotiate {
            bucket: take_bucket(&mut body)?,
            message: body,
        },
        FETCH => ReconcileStep::Fetch {
            bucket: take_bucket(&mut body)?,
            items: body
                .chunks_exact(32)
                .filter_map(|item| item.try_into().ok())
                .collect(),
        },
        ROWS => ReconcileStep::Rows {
            bucket: take_bucket(&mut body)?,
            is_last: number(&mut body, Bytes::get_u8, 1)? != 0,
            rows: take_rows(&mut body)?,
        },
        _ => return Err(InvalidFrame("it is no step of a comparison")),
    };
    Ok(step)
}

fn number<T>(body: &mut Bytes, get: fn(&mut Bytes) -> T, bytes: usize) -> Result<T, InvalidFrame> {
    if body.len() < bytes {
        return Err(InvalidFrame("it is too short"));
    }
    Ok(get(body))
}

fn take_u32(body: &mut Bytes) -> Result<u32, InvalidFrame> {
    number(body, Bytes::get_u32_le, 4)
}

fn take_u64(body: &mut Bytes) -> Result<u64, InvalidFrame> {
    number(body, Bytes::get_u64_le, 8)
}

/// A number of a row, as far as it may be one.
fn take_number(body: &mut Bytes) -> Result<u64, InvalidFrame> {
    Ok(take_u64(body)?.min(NUMBER_MAX))
}

fn take_chains(body: &mut Bytes) -> Result<Vec<Chain>, InvalidFrame> {
    let count = take_length(body, 1)?;
    if count > CHAINS_MAX {
        return Err(InvalidFrame("it shows too many certificates"));
    }
    let mut chains = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::from(number(body, Bytes::get_u8, 1)?);
        if length > CHAIN_MAX {
            return Err(InvalidFrame("it shows too long a chain of certificates"));
        }
        let mut chain = Chain::new();
        for _ in 0..length {
            let bytes = take_length(body, 1)?;
            if bytes > CERTIFICATE_BYTES_MAX {
                return Err(InvalidFrame("it shows too large a certificate"));
            }
            chain.push(body.split_to(bytes));
        }
        chains.push(chain);
    }
    Ok(chains)
}

/// How many of something follow, each of which has at least so many bytes.
fn take_length(body: &mut Bytes, bytes_each: usize) -> Result<usize, InvalidFrame> {
    let length = take_u32(body)? as usize;
    if body.len() / bytes_each < length {
        return Err(InvalidFrame("it is too short"));
    }
    Ok(length)
}

fn take_name(body: &mut Bytes) -> Result<NodeName, InvalidFrame> {
    let length = usize::from(number(body, Bytes::get_u8, 1)?);
    if body.len() < length {
        return Err(InvalidFrame("it is too short"));
    }
    let bytes = body.split_to(length);
    let name = std::str::from_utf8(&bytes).ok();
    name.and_then(|name| NodeName::parse(name).ok())
        .ok_or(InvalidFrame("it has no name of a node"))
}

fn take_origin(body: &mut Bytes) -> Result<Origin, InvalidFrame> {
    let mut origin = [0; 16];
    if body.len() < origin.len() {
        return Err(InvalidFrame("it is too short"));
    }
    body.copy_to_slice(&mut origin);
    Ok(Origin::from_bytes(origin))
}

fn take_ping(body: &mut Bytes) -> Result<Ping, InvalidFrame> {
    let now_ms = take_u64(body)?;
    let state = SyncPhase::from_number(number(body, Bytes::get_u8, 1)?);
    let is_complete = number(body, Bytes::get_u8, 1)? != 0;
    let vector = take_vector(body)?;
    let length = take_length(body, 7)?;
    if length > NAMES_MAX {
        return Err(InvalidFrame("it names too many nodes"));
    }
    let mut heartbeats = Vec::with_capacity(length);
    for _ in 0..length {
        heartbeats.push(Heartbeat {
            node: take_name(body)?,
            ago_ms: take_u32(body)?,
            has_left: number(body, Bytes::get_u8, 1)? != 0,
        });
    }
    let stamp_ms = take_stamp(body)?;
    Ok(Ping {
        now_ms,
        stamp_ms,
        state,
        is_complete,
        vector,
        heartbeats,
    })
}

/// The stamp at the end; earlier versions have none.
fn take_stamp(body: &mut Bytes) -> Result<u64, InvalidFrame> {
    if body.is_empty() {
        return Ok(0);
    }
    take_u64(body)
}

fn take_vector(body: &mut Bytes) -> Result<VersionVector, InvalidFrame> {
    let length = take_length(body, 24)?;
    if length > NAMES_MAX {
        return Err(InvalidFrame("it names too many origins"));
    }
    let mut vector = VersionVector::new();
    for _ in 0..length {
        vector.insert(take_origin(body)?, take_number(body)?);
    }
    Ok(vector)
}

fn take_rows(body: &mut Bytes) -> Result<Vec<Row>, InvalidFrame> {
    if !body.len().is_multiple_of(Row::BYTES) {
        return Err(InvalidFrame("it ends in the middle of a row"));
    }
    let rows = body.chunks_exact(Row::BYTES);
    let rows = rows
        .filter_map(|row| row.try_into().ok())
        .map(Row::from_bytes);
    Ok(rows.collect())
}

fn take_summaries(body: &mut Bytes) -> Result<Vec<Summary>, InvalidFrame> {
    let length = take_length(body, 37)?;
    let mut summaries = Vec::with_capacity(length);
    for _ in 0..length {
        summaries.push(Summary {
            bucket: take_bucket(body)?,
            count: take_u64(body)?,
            sum: Sum(take_u64(body)?, take_u64(body)?),
            until: UnixTime::from_seconds(take_u64(body)?),
        });
    }
    Ok(summaries)
}

fn take_bucket(body: &mut Bytes) -> Result<Bucket, InvalidFrame> {
    let kind = number(body, Bytes::get_u8, 1)?;
    let place = take_u32(body)?;
    match (kind, u8::try_from(place).ok()) {
        (0, _) => Ok(Bucket::Window(Window::from_number(place))),
        (1, Some(part)) => Ok(Bucket::Undated(part)),
        (2, Some(part)) => Ok(Bucket::Cutoffs(part)),
        (kind @ 3.., Some(part)) => DateKind::from_number(kind - 2)
            .map(|kind| Bucket::Dates(kind, part))
            .ok_or(InvalidFrame("it names no bucket")),
        (_, _) => Err(InvalidFrame("it names no bucket")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::protocol::frame::VERSION;
    use proptest::prelude::*;

    fn frames() -> Vec<Frame> {
        let node = NodeName::parse("shop-1.eu").unwrap();
        let origin = Origin::from_bytes([7; 16]);
        let rows = vec![
            Row::from_bytes([1; Row::BYTES]),
            Row::from_bytes([2; Row::BYTES]),
        ];
        let vector = VersionVector::from([(origin, 9), (Origin::from_bytes([8; 16]), NUMBER_MAX)]);
        let ping = Ping {
            now_ms: 1_790_000_000_123,
            stamp_ms: 123_456,
            state: SyncPhase::Stale,
            is_complete: true,
            vector: vector.clone(),
            heartbeats: vec![Heartbeat {
                node: node.clone(),
                ago_ms: 700,
                has_left: true,
            }],
        };
        let mut frames = vec![
            Frame::Hello(Hello {
                version: VERSION,
                node,
                origin,
                ping: ping.clone(),
            }),
            Frame::Ping(ping),
            Frame::Pong {
                asked_ms: 1,
                stamp_ms: 3,
                now_ms: 2,
            },
            Frame::Delta {
                origin,
                first: 77,
                at_ms: 123_400,
                rows: rows.clone(),
            },
            Frame::Unnumbered(rows.clone()),
            Frame::Ack {
                origin,
                reached: 78,
            },
            Frame::RequestRows { origin, after: 3 },
            Frame::CompareSets,
            Frame::Goodbye(Goodbye::Leaving),
            Frame::Certificates(vec![
                vec![Bytes::from_static(b"leaf"), Bytes::from_static(b"between")],
                Vec::new(),
            ]),
        ];
        frames.extend(steps_of_a_comparison(rows, vector));
        frames
    }

    fn steps_of_a_comparison(rows: Vec<Row>, vector: VersionVector) -> impl Iterator<Item = Frame> {
        let bucket = Bucket::Window(Window::from_number(5));
        let summary = |bucket| Summary {
            bucket,
            count: 3,
            sum: Sum(4, u64::MAX),
            until: UnixTime::FOREVER,
        };
        let of_all = [
            bucket,
            Bucket::Undated(15),
            Bucket::Cutoffs(0),
            Bucket::Dates(DateKind::Seen, 9),
            Bucket::Dates(DateKind::Ended, 255),
        ]
        .map(summary);
        let steps = [
            ReconcileStep::Summaries {
                beyond: UnixTime::from_seconds(60),
                summaries: of_all.to_vec(),
            },
            ReconcileStep::Differences {
                vector,
                summaries: Vec::new(),
            },
            ReconcileStep::SendAll { bucket },
            ReconcileStep::Negotiate {
                bucket,
                message: Bytes::from_static(b"abc"),
            },
            ReconcileStep::Fetch {
                bucket,
                items: vec![[3; 32], [4; 32]],
            },
            ReconcileStep::Rows {
                bucket,
                rows,
                is_last: true,
            },
        ];
        let number = 4;
        steps
            .into_iter()
            .map(move |step| Frame::Reconcile { number, step })
    }

    #[test]
    fn what_is_said_is_understood() {
        for frame in frames() {
            assert_eq!(Frame::decode(&frame.encode()), Ok(Some(frame)));
        }
    }

    #[test]
    fn nothing_is_counted_beyond_what_could_be() {
        let origin = Origin::from_bytes([7; 16]);
        let want = |after| Frame::RequestRows { origin, after };
        let read = Frame::decode(&want(u64::MAX).encode());
        assert_eq!(read, Ok(Some(want(NUMBER_MAX))));
    }

    #[test]
    fn a_kind_that_is_not_known_is_skipped() {
        assert_eq!(
            Frame::decode(&Bytes::from_static(&[200, 1, 2, 3])),
            Ok(None)
        );
        assert!(Frame::decode(&Bytes::new()).is_err());
    }

    #[test]
    fn a_ping_of_an_earlier_version_has_no_stamp() {
        for frame in frames() {
            let (Frame::Hello(Hello { ping, .. }) | Frame::Ping(ping)) = &frame else {
                continue;
            };
            let bytes = frame.encode();
            let stamped = bytes.len() - size_of_val(&ping.stamp_ms);
            let read = Frame::decode(&bytes.slice(..stamped)).unwrap();
            let Some(Frame::Hello(Hello { ping: read, .. }) | Frame::Ping(read)) = read else {
                panic!("{frame:?}");
            };
            assert_eq!((read.stamp_ms, &read.heartbeats), (0, &ping.heartbeats));
        }
    }

    #[test]
    fn half_a_frame_is_garbled_and_no_panic() {
        for frame in frames() {
            let bytes = frame.encode();
            for end in 0..bytes.len() {
                let _ = Frame::decode(&bytes.slice(..end));
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(kind in 0u8..18, body: Vec<u8>) {
            let mut bytes = vec![kind];
            bytes.extend(body);
            if let Ok(Some(frame)) = Frame::decode(&Bytes::from(bytes)) {
                prop_assert_eq!(Frame::decode(&frame.encode()), Ok(Some(frame)));
            }
        }
    }
}
