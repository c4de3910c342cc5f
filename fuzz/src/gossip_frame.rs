//! What a peer says in the cluster: whatever it is, no logout is forgotten, nothing is invented, and a quarantine leaves
//! nothing of it.
//!
//! An input is frames, each behind its length (2 bytes, little endian). A length beyond 0xff00 is no frame: so many
//! times a tenth of a second passes as its lower byte says.

use doorward::cluster::FuzzNode;

/// The kind of the frame after which nothing counts.
const GOODBYE: u8 = 15;

/// One frame of any kind, before and after the peer has said who it is, and in the middle of a comparison.
pub fn gossip_frame(bytes: &[u8]) {
    let mut node = FuzzNode::begin();
    node.hears(bytes);
    node.is_sound();
    let all = FuzzNode::frames();
    node.hears(&all[0]);
    node.hears(bytes);
    node.is_sound();
    node.passes(600); // a comparison is due
    node.hears(bytes);
    node.is_sound();
    node.quarantines();
}

/// All that a peer says, one frame after the other.
pub fn gossip_talk(bytes: &[u8]) {
    let mut node = FuzzNode::begin();
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = u16::from_le_bytes(*length);
        if length > 0xff00 {
            node.passes(u64::from(length & 0xff) * 100);
            rest = behind;
        } else {
            let end = behind.len().min(usize::from(length));
            node.hears(&behind[..end]);
            rest = &behind[end..];
        }
        node.is_sound();
    }
    node.quarantines();
}

/// Good inputs of both: every frame by itself, and all of them on one connection.
pub fn gossip_seeds() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let frames = FuzzNode::frames();
    let last = |frame: &&Vec<u8>| frame[0] == GOODBYE;
    let (goodbyes, others): (Vec<_>, Vec<_>) = frames.iter().partition(last);
    let mut talk = Vec::new();
    for frame in others.iter().chain(&goodbyes) {
        let length = u16::try_from(frame.len()).unwrap();
        talk.extend(length.to_le_bytes());
        talk.extend(*frame);
        talk.extend(0xff03_u16.to_le_bytes());
    }
    let pairs = frames[1..].iter().map(|frame| {
        let both = [&frames[0], frame];
        let behind_lengths = both.map(|frame| {
            let length = u16::try_from(frame.len()).unwrap();
            [&length.to_le_bytes()[..], frame].concat()
        });
        behind_lengths.concat()
    });
    let talks = pairs.chain([talk]).collect();
    (frames, talks)
}
