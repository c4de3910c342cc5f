//! The first byte of a frame.

pub(super) const HELLO: u8 = 1;
pub(super) const PING: u8 = 2;
pub(super) const PONG: u8 = 3;
pub(super) const DELTA: u8 = 4;
pub(super) const UNNUMBERED: u8 = 5;
pub(super) const ACK: u8 = 6;
pub(super) const REQUEST_ROWS: u8 = 7;
pub(super) const COMPARE_SETS: u8 = 8;
pub(super) const SUMMARIES: u8 = 9;
pub(super) const DIFFERENCES: u8 = 10;
pub(super) const SEND_ALL: u8 = 11;
pub(super) const NEGOTIATE: u8 = 12;
pub(super) const FETCH: u8 = 13;
pub(super) const ROWS: u8 = 14;
pub(super) const GOODBYE: u8 = 15;
pub(super) const CERTIFICATES: u8 = 16;
pub(super) const DATED_DELTA: u8 = 17;
