//! Orders on the control socket, each in a file of its own.

mod backup;
mod entry;
mod facts;
mod inspect;
mod list;
mod pieces;
mod steer;

pub(super) use pieces::LongAnswer;
