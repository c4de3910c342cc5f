//! Encodes a body in parts, each of which can be decoded when it arrives.
//!
//! Pingora's own module is not used: it ignores the weights of `Accept-Encoding`, has a fixed list of types, never ends a
//! stream of Brotli, and holds parts back that a shop sends one by one.

use std::io::{self, Write};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::request::ContentCoding;

/// Encodes a body.
pub(crate) enum BodyEncoder {
    /// gzip.
    Gzip(GzEncoder<Vec<u8>>),
    /// Brotli.
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    /// Zstandard. It can't be shared between threads, which a request is never.
    Zstd(Mutex<ZstdEncoder<'static, Vec<u8>>>),
}

/// The buffer and the window of Brotli, in bytes and as a power of two: a window of 512 KiB holds nearly every page.
const BROTLI_BUFFER: usize = 4096;
const BROTLI_WINDOW: u32 = 19;

impl BodyEncoder {
    /// For a coding with this effort; without one, as much as answers that are made on the way usually get.
    pub(crate) fn new(coding: ContentCoding, level: Option<u8>) -> io::Result<Self> {
        let level = |usual: u32| level.map_or(usual, u32::from);
        Ok(match coding {
            ContentCoding::Gzip => {
                let level = flate2::Compression::new(level(5));
                Self::Gzip(GzEncoder::new(Vec::new(), level))
            }
            ContentCoding::Brotli => Self::Brotli(Box::new(CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER,
                level(4),
                BROTLI_WINDOW,
            ))),
            ContentCoding::Zstd => {
                let level = i32::try_from(level(3)).unwrap_or_default();
                Self::Zstd(Mutex::new(ZstdEncoder::new(Vec::new(), level)?))
            }
        })
    }

    /// A part of the body, encoded as far as a client needs to read it.
    pub(crate) fn encode(&mut self, part: &[u8]) -> io::Result<Bytes> {
        let encoded = match self {
            Self::Gzip(encoder) => {
                encoder.write_all(part)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Brotli(encoder) => {
                encoder.write_all(part)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                let encoder = encoder.get_mut();
                encoder.write_all(part)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
        };
        Ok(encoded.into())
    }

    /// The last part of the body, and the end.
    pub(crate) fn finish(self, part: &[u8]) -> io::Result<Bytes> {
        let encoded = match self {
            Self::Gzip(mut encoder) => {
                encoder.write_all(part)?;
                encoder.finish()?
            }
            Self::Brotli(mut encoder) => {
                encoder.write_all(part)?;
                encoder.into_inner()
            }
            Self::Zstd(encoder) => {
                let mut encoder = encoder.into_inner();
                encoder.write_all(part)?;
                encoder.finish()?
            }
        };
        Ok(encoded.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn decoded(coding: ContentCoding, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        match coding {
            ContentCoding::Gzip => {
                flate2::bufread::GzDecoder::new(bytes).read_to_end(&mut plain)?;
            }
            ContentCoding::Brotli => {
                brotli::Decompressor::new(bytes, 4096).read_to_end(&mut plain)?;
            }
            ContentCoding::Zstd => {
                zstd::Decoder::new(bytes)?.read_to_end(&mut plain)?;
            }
        }
        Ok(plain)
    }

    fn coding() -> impl Strategy<Value = ContentCoding> {
        prop_oneof![
            Just(ContentCoding::Gzip),
            Just(ContentCoding::Brotli),
            Just(ContentCoding::Zstd)
        ]
    }

    proptest! {
        #[test]
        fn every_body_is_decoded_to_what_it_was(
            coding in coding(),
            level in prop::option::of(1_u8..=9),
            parts in prop::collection::vec(prop::collection::vec(0_u8..4, 0..3000), 0..6),
            end in prop::collection::vec(any::<u8>(), 0..500),
        ) {
            let mut encoder = BodyEncoder::new(coding, level).unwrap();
            let (mut sent, mut body) = (Vec::new(), Vec::new());
            for part in &parts {
                sent.extend_from_slice(&encoder.encode(part).unwrap());
                body.extend_from_slice(part);
            }
            sent.extend_from_slice(&encoder.finish(&end).unwrap());
            body.extend_from_slice(&end);
            prop_assert_eq!(decoded(coding, &sent).unwrap(), body);
            prop_assert!(decoded(coding, &sent[..sent.len() - 1]).is_err(), "the end is marked");
        }
    }

    #[test]
    fn a_part_can_be_read_before_the_next_one_is_written() {
        for coding in [
            ContentCoding::Gzip,
            ContentCoding::Brotli,
            ContentCoding::Zstd,
        ] {
            let mut encoder = BodyEncoder::new(coding, None).unwrap();
            let sent = encoder
                .encode(b"<h1>the first part of a page</h1>")
                .unwrap();
            let mut plain = [0; 33];
            match coding {
                ContentCoding::Gzip => {
                    flate2::bufread::GzDecoder::new(&*sent).read_exact(&mut plain)
                }
                ContentCoding::Brotli => {
                    brotli::Decompressor::new(&*sent, 4096).read_exact(&mut plain)
                }
                ContentCoding::Zstd => zstd::Decoder::new(&*sent).unwrap().read_exact(&mut plain),
            }
            .unwrap();
            assert_eq!(&plain, b"<h1>the first part of a page</h1>", "{coding:?}");
        }
    }
}
