//! One entry of the stream: its sender, its receiver and its frame.
//!
//! `from` is the node's name, `origin` its origin (16 bytes), `session` a number that it draws for each of its
//! connections to the bus (8 bytes, little endian), `to` the session of the receiver, if the entry is
//! not for all nodes, and `frame` the message. Unknown fields are skipped. An entry without a frame carries no message:
//! its sender uses it as a marker in the stream.

use bytes::Bytes;

use crate::cluster::protocol::bus::{BusAddress, BusSender, EntryId, SessionId};
use crate::cluster::protocol::frame::Frame;
use crate::cluster::transport::FRAME_BYTES_MAX;
use crate::revocation::{NodeName, Origin};

/// An entry of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BusEntry {
    pub(super) from: NodeName,
    pub(super) sender: BusSender,
    /// `None`: for all nodes.
    pub(super) to: Option<SessionId>,
    /// `None`: nothing.
    pub(super) frame: Option<Bytes>,
}

/// What is said to one node.
pub(super) struct DirectMessage {
    pub(super) to: BusAddress,
    pub(super) frame: Frame,
}

/// A field of an entry, as the stream has it.
pub(super) type EntryField = (Vec<u8>, Vec<u8>);

/// An entry as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundEntry {
    pub(super) id: EntryId,
    /// It lay in this node's own mailbox.
    pub(super) is_ours: bool,
    pub(super) fields: Vec<EntryField>,
}

impl BusEntry {
    /// Reads an entry; `None`: no node has written it.
    pub(super) fn parse(fields: Vec<EntryField>) -> Option<Self> {
        let (mut from, mut origin, mut session_id, mut to, mut frame) =
            (None, None, None, None, None);
        for (name, value) in fields {
            match name.as_slice() {
                b"from" => from = Some(std::str::from_utf8(&value).ok()?.to_owned()),
                b"origin" => origin = Some(<[u8; 16]>::try_from(value).ok()?),
                b"session" => session_id = Some(<[u8; 8]>::try_from(value).ok()?),
                b"to" => to = Some(<[u8; 8]>::try_from(value).ok()?),
                b"frame" if value.len() <= FRAME_BYTES_MAX => frame = Some(Bytes::from(value)),
                b"frame" => return None,
                _ => {} // of a later version
            }
        }
        Some(Self {
            from: NodeName::parse(&from?).ok()?,
            sender: BusSender {
                origin: Origin::from_bytes(origin?),
                session_id: SessionId::from_le_bytes(session_id?),
            },
            to: to.map(SessionId::from_le_bytes),
            frame,
        })
    }

    /// Its fields.
    pub(super) fn fields(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut fields = vec![
            ("from", self.from.as_str().into()),
            ("origin", self.sender.origin.bytes().into()),
            ("session", self.sender.session_id.to_le_bytes().into()),
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

    fn found(fields: &[(&str, Vec<u8>)]) -> Vec<EntryField> {
        let field = |(name, value): &(&str, Vec<u8>)| (name.as_bytes().to_vec(), value.clone());
        fields.iter().map(field).collect()
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_is_written(
            origin: [u8; 16],
            session_id: u64,
            to: Option<u64>,
            frame: Option<Vec<u8>>,
        ) {
            let entry = BusEntry {
                from: NodeName::parse("shop-1").unwrap(),
                sender: BusSender { origin: Origin::from_bytes(origin), session_id },
                to,
                frame: frame.map(Bytes::from),
            };
            let mut fields = found(&entry.fields());
            prop_assert_eq!(BusEntry::parse(fields.clone()), Some(entry.clone()));
            fields.insert(0, (b"mood".to_vec(), vec![255]));
            prop_assert_eq!(BusEntry::parse(fields), Some(entry));
        }

        #[test]
        fn no_fields_are_a_surprise(
            fields in proptest::collection::vec(
                ("from|origin|voice|to|frame|.{0,3}", any::<Vec<u8>>()),
                0..7,
            ),
        ) {
            let fields = fields.into_iter().map(|(name, value)| (name.into_bytes(), value));
            let _ = BusEntry::parse(fields.collect());
        }
    }

    #[test]
    fn what_no_node_has_written_is_none() {
        let entry = BusEntry {
            from: NodeName::parse("a").unwrap(),
            sender: BusSender {
                origin: Origin::from_bytes([1; 16]),
                session_id: 1,
            },
            to: None,
            frame: Some(Bytes::from_static(b"x")),
        };
        for missing in ["from", "origin", "session"] {
            let mut fields = entry.fields();
            fields.retain(|(name, _)| *name != missing);
            assert_eq!(BusEntry::parse(found(&fields)), None, "without {missing}");
        }
        for (name, value) in [
            ("from", b"no name".to_vec()),
            ("from", vec![0xff]),
            ("origin", vec![1; 15]),
            ("session", vec![1; 9]),
            ("to", Vec::new()),
            ("frame", vec![0; FRAME_BYTES_MAX + 1]),
        ] {
            let mut fields = found(&entry.fields());
            fields.push((name.as_bytes().to_vec(), value));
            assert_eq!(BusEntry::parse(fields), None, "another {name}");
        }
    }
}
