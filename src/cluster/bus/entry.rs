//! What stands in an entry of the stream: who says what, and to whom.
//!
//! `from` is the node's name, `origin` its origin (16 bytes), `voice` a number that it draws for each of its
//! connections to the bus (8 bytes, little endian), `to` the voice of the one who is spoken to, where it is not
//! everybody, and `frame` what is said. Fields that are not known are skipped. An entry without a frame says nothing:
//! whoever wrote it wants to find it again.

use bytes::Bytes;

use super::position::EntryId;
use crate::cluster::protocol::frame::Frame;
use crate::cluster::transport::FRAME_BYTES_MAX;
use crate::revocation::{NodeName, Origin};

/// A node's number on the bus, for one of its connections to it.
pub(super) type Voice = u64;

/// Who speaks. Another voice, or another origin, has another memory of what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Speaker {
    pub(super) origin: Origin,
    pub(super) voice: Voice,
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) from: NodeName,
    pub(super) speaker: Speaker,
    /// `None`: to everybody.
    pub(super) to: Option<Voice>,
    /// `None`: nothing.
    pub(super) frame: Option<Bytes>,
}

/// What is said to one node.
pub(super) struct Letter {
    pub(super) to: NodeName,
    pub(super) voice: Voice,
    pub(super) frame: Frame,
}

/// A field of an entry, as the stream has it.
pub(super) type Field = (Vec<u8>, Vec<u8>);

/// An entry as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: EntryId,
    /// It lay in this node's own mailbox.
    pub(super) is_ours: bool,
    pub(super) fields: Vec<Field>,
}

impl Entry {
    /// Reads an entry; `None`: no node has written it.
    pub(super) fn read(fields: Vec<Field>) -> Option<Self> {
        let (mut from, mut origin, mut voice, mut to, mut frame) = (None, None, None, None, None);
        for (name, value) in fields {
            match name.as_slice() {
                b"from" => from = Some(std::str::from_utf8(&value).ok()?.to_owned()),
                b"origin" => origin = Some(<[u8; 16]>::try_from(value).ok()?),
                b"voice" => voice = Some(<[u8; 8]>::try_from(value).ok()?),
                b"to" => to = Some(<[u8; 8]>::try_from(value).ok()?),
                b"frame" if value.len() <= FRAME_BYTES_MAX => frame = Some(Bytes::from(value)),
                b"frame" => return None,
                _ => {} // of a later version
            }
        }
        Some(Self {
            from: NodeName::parse(&from?).ok()?,
            speaker: Speaker {
                origin: Origin::from_bytes(origin?),
                voice: Voice::from_le_bytes(voice?),
            },
            to: to.map(Voice::from_le_bytes),
            frame,
        })
    }

    /// Its fields.
    pub(super) fn fields(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut fields = vec![
            ("from", self.from.as_str().into()),
            ("origin", self.speaker.origin.bytes().into()),
            ("voice", self.speaker.voice.to_le_bytes().into()),
        ];
        fields.extend(self.to.map(|to| ("to", to.to_le_bytes().into())));
        fields.extend(self.frame.as_ref().map(|frame| ("frame", frame.to_vec())));
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(fields: &[(&str, Vec<u8>)]) -> Vec<Field> {
        let field = |(name, value): &(&str, Vec<u8>)| (name.as_bytes().to_vec(), value.clone());
        fields.iter().map(field).collect()
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_is_written(
            origin: [u8; 16],
            voice: u64,
            to: Option<u64>,
            frame: Option<Vec<u8>>,
        ) {
            let entry = Entry {
                from: NodeName::parse("shop-1").unwrap(),
                speaker: Speaker { origin: Origin::from_bytes(origin), voice },
                to,
                frame: frame.map(Bytes::from),
            };
            let mut fields = found(&entry.fields());
            prop_assert_eq!(Entry::read(fields.clone()), Some(entry.clone()));
            fields.insert(0, (b"mood".to_vec(), vec![255]));
            prop_assert_eq!(Entry::read(fields), Some(entry));
        }

        #[test]
        fn no_fields_are_a_surprise(
            fields in proptest::collection::vec(
                ("from|origin|voice|to|frame|.{0,3}", any::<Vec<u8>>()),
                0..7,
            ),
        ) {
            let fields = fields.into_iter().map(|(name, value)| (name.into_bytes(), value));
            let _ = Entry::read(fields.collect());
        }
    }

    #[test]
    fn what_no_node_has_written_is_none() {
        let entry = Entry {
            from: NodeName::parse("a").unwrap(),
            speaker: Speaker {
                origin: Origin::from_bytes([1; 16]),
                voice: 1,
            },
            to: None,
            frame: Some(Bytes::from_static(b"x")),
        };
        for missing in ["from", "origin", "voice"] {
            let mut fields = entry.fields();
            fields.retain(|(name, _)| *name != missing);
            assert_eq!(Entry::read(found(&fields)), None, "without {missing}");
        }
        for (name, value) in [
            ("from", b"no name".to_vec()),
            ("from", vec![0xff]),
            ("origin", vec![1; 15]),
            ("voice", vec![1; 9]),
            ("to", Vec::new()),
            ("frame", vec![0; FRAME_BYTES_MAX + 1]),
        ] {
            let mut fields = found(&entry.fields());
            fields.push((name.as_bytes().to_vec(), value));
            assert_eq!(Entry::read(fields), None, "another {name}");
        }
    }
}
