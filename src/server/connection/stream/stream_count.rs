//! The streams that a client of HTTP/2 opens (RFC 9113 section 4.1), counted as they arrive.
//!
//! Streams that the HTTP/2 library or Pingora refuses by itself (malformed fields, header lists that are too long) reach
//! no code of ours: streams opened but never served are counted for them.

/// Counts the streams in the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct StreamCounter {
    /// The preface comes before the first frame.
    preface: usize,
    header: [u8; HEADER_BYTES],
    gathered: usize,
    payload_left: usize,
    last: u32,
    opened: usize,
}

const PREFACE_BYTES: usize = 24;
const HEADER_BYTES: usize = 9;
const HEADERS: u8 = 1;

impl StreamCounter {
    /// How many were opened.
    pub(super) fn opened(&self) -> usize {
        self.opened
    }

    /// Reads the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        let preface = bytes.len().min(PREFACE_BYTES - self.preface);
        self.preface += preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            let payload = bytes.len().min(self.payload_left);
            self.payload_left -= payload;
            bytes = &bytes[payload..];
            let wanted = bytes.len().min(HEADER_BYTES - self.gathered);
            self.header[self.gathered..self.gathered + wanted].copy_from_slice(&bytes[..wanted]);
            self.gathered += wanted;
            bytes = &bytes[wanted..];
            if self.gathered == HEADER_BYTES {
                self.begin_frame();
            }
        }
    }

    /// The same number again is the trailers of a stream.
    fn begin_frame(&mut self) {
        let [a, b, c, kind, _flags, stream @ ..] = self.header;
        self.gathered = 0;
        self.payload_left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        if kind == HEADERS && stream > self.last {
            self.last = stream;
            self.opened += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, 0];
        [&head[..], &stream.to_be_bytes(), &vec![HEADERS; payload]].concat()
    }

    #[test]
    fn streams_are_counted_in_pieces_of_every_size() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for (kind, stream, payload) in [
            (4, 0, 18),
            (HEADERS, 1, 30),
            (0, 1, 70_000),
            (HEADERS, 3, 0),
            (HEADERS, 1, 5), // trailers
            (9, 3, 10),
            (HEADERS, 7, 1),
        ] {
            bytes.extend(frame(kind, stream, payload));
        }
        for size in [1, 2, 8, 9, 10, 23, 24, 25, 1000, bytes.len()] {
            let mut streams = StreamCounter::default();
            bytes.chunks(size).for_each(|piece| streams.feed(piece));
            assert_eq!(streams.opened(), 3, "in pieces of {size}");
        }
    }
}
