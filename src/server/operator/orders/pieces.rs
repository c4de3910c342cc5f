//! A long answer, sent piece by piece while it is made.

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How large a piece is, about.
const PIECE_BYTES: usize = 64 << 10;

/// How many pieces wait for the client at the most.
const WAITING_MAX: usize = 4;

/// A long answer.
pub(crate) struct LongAnswer {
    /// Its media type.
    pub(crate) kind: &'static str,
    /// Its pieces. The answer itself says where it ends.
    pub(crate) pieces: Receiver<Bytes>,
}

/// Makes a long answer on a thread that may wait for the client.
pub(super) struct PieceWriter {
    /// What is not sent yet.
    pub(super) buffer: Vec<u8>,
    pieces: Sender<Bytes>,
}

impl LongAnswer {
    /// An answer of this type that `write` makes.
    pub(super) fn made_by(
        kind: &'static str,
        write: impl FnOnce(&mut PieceWriter) + Send + 'static,
    ) -> Self {
        let (sender, pieces) = channel(WAITING_MAX);
        tokio::task::spawn_blocking(move || {
            let mut writer = PieceWriter {
                buffer: Vec::with_capacity(PIECE_BYTES),
                pieces: sender,
            };
            write(&mut writer);
            writer.send();
        });
        Self { kind, pieces }
    }
}

impl PieceWriter {
    /// Sends what is there if it is enough for a piece. False: the client is gone.
    pub(super) fn goes_on(&mut self) -> bool {
        self.buffer.len() < PIECE_BYTES || self.send()
    }

    fn send(&mut self) -> bool {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        piece.is_empty() || self.pieces.blocking_send(piece.into()).is_ok()
    }
}
