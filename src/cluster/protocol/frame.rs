//! What nodes say to each other, in bytes.
//!
//! A frame is its kind (one byte) and its body; the transport tells where it ends. Numbers are little endian. Kinds
//! that a node does not know it skips, and what stands behind the fields that it knows of a body it skips, too:
//! that is how a later version adds to either.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::membership::Chain;
use crate::clock::UnixTime;
use crate::revocation::{
    DateKind, Item, NodeName, Origin, Row, Section, State, Sum, Summary, Vector, Window,
};

/// What this version speaks. A peer with another one is understood as far as the frames are.
pub(crate) const VERSION: u16 = 1;

/// How many rows travel in one frame at the most: 270 KB.
pub(crate) const ROWS_MAX: usize = 8192;

/// How many origins and nodes a frame may name: beyond that it is no cluster that we could be in.
const NAMES_MAX: usize = 4096;

/// How far anything is counted; a greater number is read as this one. A node that revokes a million tokens a second
/// comes to it after a thousand years.
const NUMBER_MAX: u64 = 1 << 55;

/// How many certificates of nodes travel in one frame, how many a chain may have, and how long each may be, in bytes.
pub(crate) const CHAINS_MAX: usize = 32;
const CHAIN_MAX: usize = 4;
const CERTIFICATE_BYTES_MAX: usize = 8 << 10;

/// What one node says to another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// Who is there: the first word of both sides.
    Hello(Hello),
    /// I am alive; twice a second.
    Ping(Ping),
    /// The answer to a ping, by which both clocks are compared.
    Pong {
        /// The stamp of the ping; where it had none, the time of day in it.
        asked_ms: u64,
        /// The time of day there, in milliseconds since the epoch.
        now_ms: u64,
        /// The stamp of the answer, by the clock of the one who answers; 0: an earlier version answers.
        stamp_ms: u64,
    },
    /// Rows of one origin, in their order.
    Delta {
        /// Which.
        origin: Origin,
        /// The number of the first one.
        first: u64,
        /// When the oldest of them was on the disk of the origin, as a [`Ping`]'s stamp; 0: not known.
        at_ms: u64,
        /// The rows.
        rows: Vec<Row>,
    },
    /// Rows without a number: not on the sender's disk yet, or what the receiver was found to lack.
    Loose(Vec<Row>),
    /// Everything of the receiver's own up to this number is in force here.
    Ack {
        /// Which origin the receiver was when it sent that.
        origin: Origin,
        /// The number.
        reached: u64,
    },
    /// Send me what you have of an origin.
    Want {
        /// Which.
        origin: Origin,
        /// After this number.
        after: u64,
    },
    /// I do not have all of that any more: compare sets with me.
    Gone,
    /// Compare this with your set.
    Digests {
        /// The number of the comparison, counted by the one who began it.
        round: u32,
        /// Only what is kept beyond this moment.
        beyond: UnixTime,
        /// What the sender holds.
        summaries: Vec<Summary>,
    },
    /// These sections are not the same.
    Differ {
        /// Of which comparison.
        round: u32,
        /// What the sender knew when it compared.
        vector: Vector,
        /// The sections in which the two differ, as the sender has them; empty ones are there, too.
        summaries: Vec<Summary>,
    },
    /// Send me all of a section.
    Take {
        /// Of which comparison.
        round: u32,
        /// Which section.
        section: Section,
    },
    /// A message of the reconciliation of one section.
    Reconcile {
        /// Of which comparison.
        round: u32,
        /// Which section.
        section: Section,
        /// In negentropy's own bytes.
        message: Bytes,
    },
    /// Send me these of a section.
    Fetch {
        /// Of which comparison.
        round: u32,
        /// Which section.
        section: Section,
        /// Which entries.
        items: Vec<Item>,
    },
    /// What was asked for of a section.
    Rows {
        /// Of which comparison.
        round: u32,
        /// Which section.
        section: Section,
        /// The rows.
        rows: Vec<Row>,
        /// Whether there are no more.
        is_last: bool,
    },
    /// This is the last word here.
    Goodbye(Goodbye),
    /// The certificates of nodes: of the sender first, then of those that it knows.
    Certificates(Vec<Chain>),
}

/// Who is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hello {
    /// What the sender speaks.
    pub(crate) version: u16,
    /// What it is called.
    pub(crate) node: NodeName,
    /// Which origin it is.
    pub(crate) origin: Origin,
    /// Where it stands, and what it knows.
    pub(crate) ping: Ping,
}

/// What a node says of itself again and again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ping {
    /// The time of day there, in milliseconds since the epoch.
    pub(crate) now_ms: u64,
    /// When this was said, in milliseconds of a clock that never goes back: on a connection the sender's uptime; on
    /// the bus the time of its server, which is later rather than earlier than this says. 0: an earlier version says
    /// nothing of it, and what it knows is never young.
    pub(crate) stamp_ms: u64,
    /// Where it stands.
    pub(crate) state: State,
    /// Whether its journal was ever known to be complete.
    pub(crate) is_complete: bool,
    /// What it knows of everybody.
    pub(crate) vector: Vector,
    /// Which other nodes it heard, directly or from others, and how long ago.
    pub(crate) heard: Vec<Heard>,
}

/// When a node was last heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Which.
    pub(crate) node: NodeName,
    /// How long ago, in milliseconds.
    pub(crate) ago_ms: u32,
    /// It said goodbye then.
    pub(crate) has_left: bool,
}

/// Why a node hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goodbye {
    /// It stops.
    Leaving,
    /// There is another connection between the two.
    Duplicate,
    /// It is the same node.
    Myself,
    /// The other one is not listened to.
    Quarantine,
}

/// The bytes are none that a node would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbled(pub(crate) &'static str);

impl std::error::Error for Garbled {}

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame that can't be read: {}", self.0)
    }
}

const HELLO: u8 = 1;
const PING: u8 = 2;
const PONG: u8 = 3;
const DELTA: u8 = 4;
const LOOSE: u8 = 5;
const ACK: u8 = 6;
const WANT: u8 = 7;
const GONE: u8 = 8;
const DIGESTS: u8 = 9;
const DIFFER: u8 = 10;
const TAKE: u8 = 11;
const RECONCILE: u8 = 12;
const FETCH: u8 = 13;
const ROWS: u8 = 14;
const GOODBYE: u8 = 15;
const CERTIFICATES: u8 = 16;
const DATED_DELTA: u8 = 17;

impl Frame {
    /// About how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Delta { rows, .. } | Self::Loose(rows) | Self::Rows { rows, .. } => {
                rows.len() * Row::BYTES
            }
            Self::Reconcile { message, .. } => message.len(),
            Self::Certificates(chains) => chains.iter().flatten().map(Bytes::len).sum(),
            Self::Fetch { items, .. } => items.len() * size_of::<Item>(),
            Self::Digests { summaries, .. } | Self::Differ { summaries, .. } => {
                summaries.len() * size_of::<Summary>()
            }
            Self::Hello(_)
            | Self::Ping(_)
            | Self::Pong { .. }
            | Self::Ack { .. }
            | Self::Want { .. }
            | Self::Gone
            | Self::Take { .. }
            | Self::Goodbye(_) => 0,
        }
    }

    /// The number of the last of its rows; `None`: it has none, or they have none.
    pub(crate) fn last_number(&self) -> Option<u64> {
        if let Self::Delta { first, rows, .. } = self
            && !rows.is_empty()
        {
            return Some(first.saturating_add(rows.len() as u64) - 1);
        }
        None
    }

    /// Its bytes.
    #[expect(clippy::too_many_lines, reason = "a table: one row a frame")]
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Hello(hello) => {
                out.put_u8(HELLO);
                out.put_u16_le(hello.version);
                put_name(&mut out, &hello.node);
                out.put_slice(hello.origin.bytes());
                put_ping(&mut out, &hello.ping);
            }
            Self::Ping(ping) => {
                out.put_u8(PING);
                put_ping(&mut out, ping);
            }
            Self::Pong {
                asked_ms,
                stamp_ms,
                now_ms,
            } => {
                out.put_u8(PONG);
                out.put_u64_le(*asked_ms);
                out.put_u64_le(*now_ms);
                out.put_u64_le(*stamp_ms);
            }
            Self::Delta {
                origin,
                first,
                at_ms,
                rows,
            } => {
                out.put_u8(if *at_ms > 0 { DATED_DELTA } else { DELTA });
                out.put_slice(origin.bytes());
                out.put_u64_le(*first);
                if *at_ms > 0 {
                    out.put_u64_le(*at_ms);
                }
                put_rows(&mut out, rows);
            }
            Self::Loose(rows) => {
                out.put_u8(LOOSE);
                put_rows(&mut out, rows);
            }
            Self::Ack { origin, reached } => {
                out.put_u8(ACK);
                out.put_slice(origin.bytes());
                out.put_u64_le(*reached);
            }
            Self::Want { origin, after } => {
                out.put_u8(WANT);
                out.put_slice(origin.bytes());
                out.put_u64_le(*after);
            }
            Self::Gone => out.put_u8(GONE),
            Self::Digests {
                round,
                beyond,
                summaries,
            } => {
                out.put_u8(DIGESTS);
                out.put_u32_le(*round);
                out.put_u64_le(beyond.seconds());
                put_summaries(&mut out, summaries);
            }
            Self::Differ {
                round,
                vector,
                summaries,
            } => {
                out.put_u8(DIFFER);
                out.put_u32_le(*round);
                put_vector(&mut out, vector);
                put_summaries(&mut out, summaries);
            }
            Self::Take { round, section } => put_section_head(&mut out, TAKE, *round, *section),
            Self::Reconcile {
                round,
                section,
                message,
            } => {
                put_section_head(&mut out, RECONCILE, *round, *section);
                out.put_slice(message);
            }
            Self::Fetch {
                round,
                section,
                items,
            } => {
                put_section_head(&mut out, FETCH, *round, *section);
                for item in items {
                    out.put_slice(item);
                }
            }
            Self::Rows {
                round,
                section,
                rows,
                is_last,
            } => {
                put_section_head(&mut out, ROWS, *round, *section);
                out.put_u8(u8::from(*is_last));
                put_rows(&mut out, rows);
            }
            Self::Goodbye(why) => {
                out.put_u8(GOODBYE);
                out.put_u8(*why as u8);
            }
            Self::Certificates(chains) => {
                out.put_u8(CERTIFICATES);
                put_length(&mut out, chains.len());
                for chain in chains {
                    out.put_u8(u8::try_from(chain.len()).unwrap_or(u8::MAX));
                    for certificate in chain {
                        put_length(&mut out, certificate.len());
                        out.put_slice(certificate);
                    }
                }
            }
        }
        out.freeze()
    }

    /// Reads a frame; `None`: one of a kind that this version does not know.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Option<Self>, Garbled> {
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
            LOOSE => Self::Loose(take_rows(&mut body)?),
            ACK => Self::Ack {
                origin: take_origin(&mut body)?,
                reached: take_number(&mut body)?,
            },
            WANT => Self::Want {
                origin: take_origin(&mut body)?,
                after: take_number(&mut body)?,
            },
            GONE => Self::Gone,
            DIGESTS => Self::Digests {
                round: take_u32(&mut body)?,
                beyond: UnixTime::from_seconds(take_u64(&mut body)?),
                summaries: take_summaries(&mut body)?,
            },
            DIFFER => Self::Differ {
                round: take_u32(&mut body)?,
                vector: take_vector(&mut body)?,
                summaries: take_summaries(&mut body)?,
            },
            TAKE => Self::Take {
                round: take_u32(&mut body)?,
                section: take_section(&mut body)?,
            },
            RECONCILE => Self::Reconcile {
                round: take_u32(&mut body)?,
                section: take_section(&mut body)?,
                message: body,
            },
            FETCH => Self::Fetch {
                round: take_u32(&mut body)?,
                section: take_section(&mut body)?,
                items: body
                    .chunks_exact(32)
                    .filter_map(|item| item.try_into().ok())
                    .collect(),
            },
            ROWS => Self::Rows {
                round: take_u32(&mut body)?,
                section: take_section(&mut body)?,
                is_last: number(&mut body, Bytes::get_u8, 1)? != 0,
                rows: take_rows(&mut body)?,
            },
            GOODBYE => Self::Goodbye(Goodbye::from_number(number(&mut body, Bytes::get_u8, 1)?)),
            CERTIFICATES => Self::Certificates(take_chains(&mut body)?),
            _ => return Ok(None),
        };
        Ok(Some(frame))
    }
}

impl Goodbye {
    /// Who hangs up for a reason that is not known does not stop: it must be listened for.
    fn from_number(number: u8) -> Self {
        let known = [Self::Leaving, Self::Duplicate, Self::Myself];
        let of = |one: &Self| *one as u8 == number;
        known.into_iter().find(of).unwrap_or(Self::Quarantine)
    }
}

fn put_name(out: &mut BytesMut, name: &NodeName) {
    let name = name.as_str().as_bytes();
    out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.put_slice(name);
}

fn put_ping(out: &mut BytesMut, ping: &Ping) {
    out.put_u64_le(ping.now_ms);
    out.put_u8(ping.state as u8);
    out.put_u8(u8::from(ping.is_complete));
    put_vector(out, &ping.vector);
    put_length(out, ping.heard.len());
    for heard in &ping.heard {
        put_name(out, &heard.node);
        out.put_u32_le(heard.ago_ms);
        out.put_u8(u8::from(heard.has_left));
    }
    out.put_u64_le(ping.stamp_ms);
}

fn put_vector(out: &mut BytesMut, vector: &Vector) {
    put_length(out, vector.len());
    for (origin, reached) in vector {
        out.put_slice(origin.bytes());
        out.put_u64_le(*reached);
    }
}

fn put_rows(out: &mut BytesMut, rows: &[Row]) {
    out.reserve(rows.len() * Row::BYTES);
    for row in rows {
        out.put_slice(row.bytes());
    }
}

fn put_summaries(out: &mut BytesMut, summaries: &[Summary]) {
    put_length(out, summaries.len());
    for summary in summaries {
        put_section(out, summary.section);
        out.put_u64_le(summary.count);
        out.put_u64_le(summary.sum.0);
        out.put_u64_le(summary.sum.1);
        out.put_u64_le(summary.until.seconds());
    }
}

fn put_section_head(out: &mut BytesMut, kind: u8, round: u32, section: Section) {
    out.put_u8(kind);
    out.put_u32_le(round);
    put_section(out, section);
}

fn put_section(out: &mut BytesMut, section: Section) {
    let (kind, number) = match section {
        Section::Window(window) => (0, window.number()),
        Section::Undated(number) => (1, u32::from(number)),
        Section::Cutoffs(number) => (2, u32::from(number)),
        Section::Dates(kind, number) => (2 + kind as u8, u32::from(number)),
    };
    out.put_u8(kind);
    out.put_u32_le(number);
}

fn put_length(out: &mut BytesMut, length: usize) {
    out.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
}

fn number<T>(body: &mut Bytes, get: fn(&mut Bytes) -> T, bytes: usize) -> Result<T, Garbled> {
    if body.len() < bytes {
        return Err(Garbled("it is too short"));
    }
    Ok(get(body))
}

fn take_u32(body: &mut Bytes) -> Result<u32, Garbled> {
    number(body, Bytes::get_u32_le, 4)
}

fn take_u64(body: &mut Bytes) -> Result<u64, Garbled> {
    number(body, Bytes::get_u64_le, 8)
}

/// A number of a row, as far as it may be one.
fn take_number(body: &mut Bytes) -> Result<u64, Garbled> {
    Ok(take_u64(body)?.min(NUMBER_MAX))
}

fn take_chains(body: &mut Bytes) -> Result<Vec<Chain>, Garbled> {
    let count = take_length(body, 1)?;
    if count > CHAINS_MAX {
        return Err(Garbled("it shows too many certificates"));
    }
    let mut chains = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::from(number(body, Bytes::get_u8, 1)?);
        if length > CHAIN_MAX {
            return Err(Garbled("it shows too long a chain of certificates"));
        }
        let mut chain = Chain::new();
        for _ in 0..length {
            let bytes = take_length(body, 1)?;
            if bytes > CERTIFICATE_BYTES_MAX {
                return Err(Garbled("it shows too large a certificate"));
            }
            chain.push(body.split_to(bytes));
        }
        chains.push(chain);
    }
    Ok(chains)
}

/// How many of something follow, each of which has at least so many bytes.
fn take_length(body: &mut Bytes, bytes_each: usize) -> Result<usize, Garbled> {
    let length = take_u32(body)? as usize;
    if body.len() / bytes_each < length {
        return Err(Garbled("it is too short"));
    }
    Ok(length)
}

fn take_name(body: &mut Bytes) -> Result<NodeName, Garbled> {
    let length = usize::from(number(body, Bytes::get_u8, 1)?);
    if body.len() < length {
        return Err(Garbled("it is too short"));
    }
    let bytes = body.split_to(length);
    let name = std::str::from_utf8(&bytes).ok();
    name.and_then(|name| NodeName::parse(name).ok())
        .ok_or(Garbled("it has no name of a node"))
}

fn take_origin(body: &mut Bytes) -> Result<Origin, Garbled> {
    let mut origin = [0; 16];
    if body.len() < origin.len() {
        return Err(Garbled("it is too short"));
    }
    body.copy_to_slice(&mut origin);
    Ok(Origin::from_bytes(origin))
}

fn take_ping(body: &mut Bytes) -> Result<Ping, Garbled> {
    let now_ms = take_u64(body)?;
    let state = State::from_number(number(body, Bytes::get_u8, 1)?);
    let is_complete = number(body, Bytes::get_u8, 1)? != 0;
    let vector = take_vector(body)?;
    let length = take_length(body, 7)?;
    if length > NAMES_MAX {
        return Err(Garbled("it names too many nodes"));
    }
    let mut heard = Vec::with_capacity(length);
    for _ in 0..length {
        heard.push(Heard {
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
        heard,
    })
}

/// The stamp at the end; earlier versions have none.
fn take_stamp(body: &mut Bytes) -> Result<u64, Garbled> {
    if body.is_empty() {
        return Ok(0);
    }
    take_u64(body)
}

fn take_vector(body: &mut Bytes) -> Result<Vector, Garbled> {
    let length = take_length(body, 24)?;
    if length > NAMES_MAX {
        return Err(Garbled("it names too many origins"));
    }
    let mut vector = Vector::new();
    for _ in 0..length {
        vector.insert(take_origin(body)?, take_number(body)?);
    }
    Ok(vector)
}

fn take_rows(body: &mut Bytes) -> Result<Vec<Row>, Garbled> {
    if !body.len().is_multiple_of(Row::BYTES) {
        return Err(Garbled("it ends in the middle of a row"));
    }
    let rows = body.chunks_exact(Row::BYTES);
    let rows = rows
        .filter_map(|row| row.try_into().ok())
        .map(Row::from_bytes);
    Ok(rows.collect())
}

fn take_summaries(body: &mut Bytes) -> Result<Vec<Summary>, Garbled> {
    let length = take_length(body, 37)?;
    let mut summaries = Vec::with_capacity(length);
    for _ in 0..length {
        summaries.push(Summary {
            section: take_section(body)?,
            count: take_u64(body)?,
            sum: Sum(take_u64(body)?, take_u64(body)?),
            until: UnixTime::from_seconds(take_u64(body)?),
        });
    }
    Ok(summaries)
}

fn take_section(body: &mut Bytes) -> Result<Section, Garbled> {
    let kind = number(body, Bytes::get_u8, 1)?;
    let place = take_u32(body)?;
    match (kind, u8::try_from(place).ok()) {
        (0, _) => Ok(Section::Window(Window::from_number(place))),
        (1, Some(part)) => Ok(Section::Undated(part)),
        (2, Some(part)) => Ok(Section::Cutoffs(part)),
        (kind @ 3.., Some(part)) => DateKind::from_number(kind - 2)
            .map(|kind| Section::Dates(kind, part))
            .ok_or(Garbled("it names no section")),
        (_, _) => Err(Garbled("it names no section")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> Vec<Frame> {
        let node = NodeName::parse("shop-1.eu").unwrap();
        let origin = Origin::from_bytes([7; 16]);
        let section = Section::Window(Window::from_number(5));
        let rows = vec![
            Row::from_bytes([1; Row::BYTES]),
            Row::from_bytes([2; Row::BYTES]),
        ];
        let vector = Vector::from([(origin, 9), (Origin::from_bytes([8; 16]), NUMBER_MAX)]);
        let ping = Ping {
            now_ms: 1_790_000_000_123,
            stamp_ms: 123_456,
            state: State::Stale,
            is_complete: true,
            vector: vector.clone(),
            heard: vec![Heard {
                node: node.clone(),
                ago_ms: 700,
                has_left: true,
            }],
        };
        let summary = |section| Summary {
            section,
            count: 3,
            sum: Sum(4, u64::MAX),
            until: UnixTime::FOREVER,
        };
        let of_all = [
            section,
            Section::Undated(15),
            Section::Cutoffs(0),
            Section::Dates(DateKind::Seen, 9),
            Section::Dates(DateKind::Ended, 255),
        ]
        .map(summary);
        vec![
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
            Frame::Loose(rows.clone()),
            Frame::Ack {
                origin,
                reached: 78,
            },
            Frame::Want { origin, after: 3 },
            Frame::Gone,
            Frame::Digests {
                round: 4,
                beyond: UnixTime::from_seconds(60),
                summaries: of_all.to_vec(),
            },
            Frame::Differ {
                round: 4,
                vector,
                summaries: Vec::new(),
            },
            Frame::Take { round: 4, section },
            Frame::Reconcile {
                round: 4,
                section,
                message: Bytes::from_static(b"abc"),
            },
            Frame::Fetch {
                round: 4,
                section,
                items: vec![[3; 32], [4; 32]],
            },
            Frame::Rows {
                round: 4,
                section,
                rows,
                is_last: true,
            },
            Frame::Goodbye(Goodbye::Leaving),
            Frame::Certificates(vec![
                vec![Bytes::from_static(b"leaf"), Bytes::from_static(b"between")],
                Vec::new(),
            ]),
        ]
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
        let want = |after| Frame::Want { origin, after };
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
            assert_eq!((read.stamp_ms, &read.heard), (0, &ping.heard));
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
