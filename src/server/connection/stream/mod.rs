//! The stream of a customer's connection, watched: its header blocks, its HTTP/2 streams, its speed and its end.

mod head;
mod lingering_close;
mod send_rate;
mod stream_count;
pub(crate) mod watched;
