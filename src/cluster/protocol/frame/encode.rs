//! Frames as bytes.
//!
//! A frame is its kind (one byte) and its body; the transport tells where it ends. Numbers are little endian.

use bytes::{BufMut, Bytes, BytesMut};

use super::kind::{
    ACK, CERTIFICATES, COMPARE_SETS, DATED_DELTA, DELTA, DIFFERENCES, FETCH, GOODBYE, HELLO,
    NEGOTIATE, PING, PONG, REQUEST_ROWS, ROWS, SEND_ALL, SUMMARIES, UNNUMBERED,
};
use super::message::{Frame, Ping, ReconcileStep};
use crate::cluster::protocol::membership::Chain;
use crate::revocation::{Bucket, NodeName, Row, Summary, VersionVector};

impl Frame {
    /// Its bytes.
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
            Self::Unnumbered(rows) => {
                out.put_u8(UNNUMBERED);
                put_rows(&mut out, rows);
            }
            Self::Ack { origin, reached } => {
                out.put_u8(ACK);
                out.put_slice(origin.bytes());
                out.put_u64_le(*reached);
            }
            Self::RequestRows { origin, after } => {
                out.put_u8(REQUEST_ROWS);
                out.put_slice(origin.bytes());
                out.put_u64_le(*after);
            }
            Self::CompareSets => out.put_u8(COMPARE_SETS),
            Self::Reconcile { number, step } => put_step(&mut out, *number, step),
            Self::Goodbye(why) => {
                out.put_u8(GOODBYE);
                out.put_u8(*why as u8);
            }
            Self::Certificates(chains) => {
                out.put_u8(CERTIFICATES);
                put_chains(&mut out, chains);
            }
        }
        out.freeze()
    }
}

fn put_step(out: &mut BytesMut, number: u32, step: &ReconcileStep) {
    match step {
        ReconcileStep::Summaries { beyond, summaries } => {
            put_step_head(out, SUMMARIES, number);
            out.put_u64_le(beyond.seconds());
            put_summaries(out, summaries);
        }
        ReconcileStep::Differences { vector, summaries } => {
            put_step_head(out, DIFFERENCES, number);
            put_vector(out, vector);
            put_summaries(out, summaries);
        }
        ReconcileStep::SendAll { bucket } => put_section_head(out, SEND_ALL, number, *bucket),
        ReconcileStep::Negotiate { bucket, message } => {
            put_section_head(out, NEGOTIATE, number, *bucket);
            out.put_slice(message);
        }
        ReconcileStep::Fetch { bucket, items } => {
            put_section_head(out, FETCH, number, *bucket);
            for item in items {
                out.put_slice(item);
            }
        }
        ReconcileStep::Rows {
            bucket,
            rows,
            is_last,
        } => {
            put_section_head(out, ROWS, number, *bucket);
            out.put_u8(u8::from(*is_last));
            put_rows(out, rows);
        }
    }
}

fn put_chains(out: &mut BytesMut, chains: &[Chain]) {
    put_length(out, chains.len());
    for chain in chains {
        out.put_u8(u8::try_from(chain.len()).unwrap_or(u8::MAX));
        for certificate in chain {
            put_length(out, certificate.len());
            out.put_slice(certificate);
        }
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
    put_length(out, ping.heartbeats.len());
    for heard in &ping.heartbeats {
        put_name(out, &heard.node);
        out.put_u32_le(heard.ago_ms);
        out.put_u8(u8::from(heard.has_left));
    }
    out.put_u64_le(ping.stamp_ms);
}

fn put_vector(out: &mut BytesMut, vector: &VersionVector) {
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
        put_bucket(out, summary.bucket);
        out.put_u64_le(summary.count);
        out.put_u64_le(summary.sum.0);
        out.put_u64_le(summary.sum.1);
        out.put_u64_le(summary.until.seconds());
    }
}

fn put_step_head(out: &mut BytesMut, kind: u8, number: u32) {
    out.put_u8(kind);
    out.put_u32_le(number);
}

fn put_section_head(out: &mut BytesMut, kind: u8, number: u32, bucket: Bucket) {
    put_step_head(out, kind, number);
    put_bucket(out, bucket);
}

fn put_bucket(out: &mut BytesMut, bucket: Bucket) {
    let (kind, number) = match bucket {
        Bucket::Window(window) => (0, window.number()),
        Bucket::Undated(number) => (1, u32::from(number)),
        Bucket::Cutoffs(number) => (2, u32::from(number)),
        Bucket::Dates(kind, number) => (2 + kind as u8, u32::from(number)),
    };
    out.put_u8(kind);
    out.put_u32_le(number);
}

fn put_length(out: &mut BytesMut, length: usize) {
    out.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
}
