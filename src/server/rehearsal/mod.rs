//! Requests that are judged and not sent: by the proxy itself, whose connection is a piece of memory, and whose revocations are its
//! own.

mod judge;
mod memory_stream;
mod proxy;
mod rehearsed;
mod sample;

pub use judge::Rehearsal;
pub use rehearsed::{Rehearsed, RehearsedLogout, RehearsedVerdict, SentRequest};
pub use sample::{SampleRequest, UnfitSample};
