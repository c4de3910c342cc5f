//! Checks the header block of an HTTP/1 request while it arrives: before Pingora has gathered a megabyte of it,
//! and before it percent-encodes bytes that a target must not hold.

use memchr::memchr;

use crate::request::Refusal;
use crate::server::proxy::checks::target::is_target_byte;

/// How far a header block has arrived.
#[derive(Debug, Default)]
pub(super) struct HeadScanner {
    bytes: usize,
    stage: Stage,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Before the request line: empty lines are skipped (RFC 9112 section 2.2).
    #[default]
    Before,
    /// In the request line.
    Line { words: usize, word_bytes: usize },
    /// In the field lines; how many bytes of this one, and whether they are all carriage returns.
    Fields { line_bytes: usize, blank: bool },
    /// What follows is the body.
    Over,
}

/// How long the parts of a header block may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    pub(super) header_bytes: usize,
    pub(super) target_bytes: usize,
}

impl HeadScanner {
    /// Whether anything of it has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.bytes > 0
    }

    /// Reads the next bytes. Bytes after the block are not examined.
    pub(super) fn feed(&mut self, mut bytes: &[u8], limits: HeadLimits) -> Result<(), Refusal> {
        while let Some(&first) = bytes.first() {
            let taken = match self.stage {
                Stage::Over => return Ok(()),
                Stage::Before => self.begin(first),
                Stage::Line { words, word_bytes } => {
                    self.take_line(bytes, words, word_bytes, limits)?
                }
                Stage::Fields { line_bytes, blank } => self.take_field(bytes, line_bytes, blank),
            };
            self.bytes += taken;
            if self.bytes > limits.header_bytes {
                return Err(Refusal::HeadTooLong);
            }
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn begin(&mut self, first: u8) -> usize {
        if matches!(first, b'\r' | b'\n') {
            return 1;
        }
        self.stage = Stage::Line {
            words: 0,
            word_bytes: 0,
        };
        0
    }

    /// `method SP request-target SP HTTP-version`; of the words only the second is judged here.
    fn take_line(
        &mut self,
        bytes: &[u8],
        mut words: usize,
        mut word_bytes: usize,
        limits: HeadLimits,
    ) -> Result<usize, Refusal> {
        const TARGET: usize = 1;
        for (place, &byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' => {
                    self.stage = Stage::Fields {
                        line_bytes: 0,
                        blank: true,
                    };
                    return Ok(place + 1);
                }
                b' ' => {
                    words += 1;
                    word_bytes = 0;
                    if words > 2 {
                        return Err(Refusal::BadTarget);
                    }
                }
                _ if words == TARGET => {
                    word_bytes += 1;
                    if !is_target_byte(byte) {
                        return Err(Refusal::BadTarget);
                    }
                    if word_bytes > limits.target_bytes {
                        return Err(Refusal::TargetTooLong);
                    }
                }
                _ => {}
            }
        }
        self.stage = Stage::Line { words, word_bytes };
        Ok(bytes.len())
    }

    fn take_field(&mut self, bytes: &[u8], line_bytes: usize, blank: bool) -> usize {
        let end = memchr(b'\n', bytes);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        let line_bytes = line_bytes + line.len();
        let blank = blank && line_bytes <= 1 && line.iter().all(|byte| *byte == b'\r');
        self.stage = match end {
            Some(_) if blank => Stage::Over,
            Some(_) => Stage::Fields {
                line_bytes: 0,
                blank: true,
            },
            None => Stage::Fields { line_bytes, blank },
        };
        line.len() + usize::from(end.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        header_bytes: 100,
        target_bytes: 20,
    };

    /// What becomes of a block that arrives in pieces of every size.
    fn judged(block: &[u8]) -> Result<Stage, Refusal> {
        let whole = judged_in(block, block.len().max(1));
        for size in 1..block.len() {
            assert_eq!(judged_in(block, size), whole, "in pieces of {size}");
        }
        whole
    }

    fn judged_in(block: &[u8], size: usize) -> Result<Stage, Refusal> {
        let mut head = HeadScanner::default();
        for piece in block.chunks(size) {
            head.feed(piece, LIMITS)?;
        }
        Ok(head.stage)
    }

    #[test]
    fn a_block_ends_at_its_empty_line_and_the_body_is_not_counted() {
        let long = [b'x'; 500];
        for block in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /?a={b}|c^\"d\\ HTTP/1.1\r\n\r\n",
        ] {
            let block = [block.as_bytes(), &long].concat();
            assert_eq!(judged(&block), Ok(Stage::Over), "{}", block.escape_ascii());
        }
    }

    #[test]
    fn a_long_block_is_431_and_a_long_target_414_standards_116() {
        let block = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(90));
        assert_eq!(judged(block.as_bytes()), Err(Refusal::HeadTooLong));
        let many = "GET / HTTP/1.1\r\n".to_owned() + &"A: b\r\n".repeat(20);
        assert_eq!(judged(many.as_bytes()), Err(Refusal::HeadTooLong));
        let target = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20));
        assert_eq!(judged(target.as_bytes()), Err(Refusal::TargetTooLong));
        let empty_lines = "\r\n".repeat(60);
        assert_eq!(judged(empty_lines.as_bytes()), Err(Refusal::HeadTooLong));
        let no_line_end = "G".repeat(200);
        assert_eq!(judged(no_line_end.as_bytes()), Err(Refusal::HeadTooLong));
    }

    #[test]
    fn a_byte_that_no_target_may_hold_is_refused_standards_103() {
        for byte in (0..=0x20).chain(0x7f..=0xff).chain([b'#']) {
            if byte == b'\n' {
                continue;
            }
            let block = [b"GET /a", &[byte][..], b"b HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(judged(&block), Err(Refusal::BadTarget), "{byte:#x}");
        }
    }
}
