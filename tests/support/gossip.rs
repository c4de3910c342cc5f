//! What nodes say to each other, byte by byte: written down a second time, so that it can't change unnoticed.

use doorward::clock;

/// Which origin somebody is.
pub type Origin = [u8; 16];

const HELLO: u8 = 1;
const PING: u8 = 2;
const DELTA: u8 = 4;
const LOOSE: u8 = 5;
const ACK: u8 = 6;
const GOODBYE: u8 = 15;

const READY: u8 = 3;

/// The moment that never comes.
pub const FOREVER: u64 = u64::MAX;

/// The first word: a version, a name, an origin, and what follows in a ping.
pub fn hello(version: u16, name: &str, origin: Origin, knows: &[(Origin, u64)]) -> Vec<u8> {
    let version = version.to_le_bytes();
    let length = u8::try_from(name.len()).unwrap();
    let head = [&[HELLO], &version[..], &[length], name.as_bytes(), &origin];
    [head.concat(), standing(knows)].concat()
}

/// The same, by somebody who has heard these nodes so many milliseconds ago.
pub fn hello_naming(name: &str, origin: Origin, heard: &[(&str, u32)]) -> Vec<u8> {
    let mut bytes = hello(1, name, origin, &[]);
    bytes.truncate(bytes.len() - 4); // that nobody was heard
    bytes.extend(u32::try_from(heard.len()).unwrap().to_le_bytes());
    for (node, ago_ms) in heard {
        bytes.push(u8::try_from(node.len()).unwrap());
        bytes.extend(node.as_bytes());
        bytes.extend(ago_ms.to_le_bytes());
        bytes.push(0);
    }
    bytes
}

/// An origin of the node with that name.
pub fn origin_for(name: &str, number: u64) -> Origin {
    let random = number.to_le_bytes();
    let mut hasher = blake3::Hasher::new();
    for part in [&b"doorward origin 1"[..], &random, name.as_bytes()] {
        hasher.update(part);
    }
    let digest = *hasher.finalize().as_bytes();
    let halves = [&random[..], &digest[..8]];
    halves.concat().try_into().unwrap()
}

/// A sign of life of somebody who is ready.
pub fn ping(knows: &[(Origin, u64)]) -> Vec<u8> {
    [vec![PING], standing(knows)].concat()
}

/// Rows of an origin, the first of them with this number.
pub fn delta(origin: Origin, first: u64, rows: &[[u8; 33]]) -> Vec<u8> {
    [&[DELTA], &origin[..], &first.to_le_bytes(), &rows.concat()].concat()
}

/// Rows without numbers.
pub fn loose(rows: &[[u8; 33]]) -> Vec<u8> {
    [&[LOOSE], rows.concat().as_slice()].concat()
}

/// That somebody stops.
pub fn goodbye() -> Vec<u8> {
    vec![GOODBYE, 0]
}

/// What everybody is cut off by whose token is older than that moment.
pub fn cutoff(id: &[u8; 16], not_before: u64, until: u64) -> [u8; 33] {
    row(2, id, not_before, until)
}

/// A row of any kind.
pub fn row(kind: u8, id: &[u8; 16], first: u64, second: u64) -> [u8; 33] {
    let bytes = [
        &[kind],
        &id[..],
        &first.to_le_bytes(),
        &second.to_le_bytes(),
    ]
    .concat();
    bytes.try_into().unwrap()
}

/// The origin of who said hello like this.
pub fn origin_of(hello: &[u8]) -> Origin {
    assert_eq!(hello[0], HELLO);
    let name = usize::from(hello[3]);
    hello[4 + name..][..16].try_into().unwrap()
}

/// Up to which number of this origin a frame acknowledges, if it does.
pub fn acknowledged(frame: &[u8], origin: Origin) -> Option<u64> {
    let reached = frame.strip_prefix(&[ACK])?.strip_prefix(&origin)?;
    Some(u64::from_le_bytes(reached.try_into().unwrap()))
}

/// The time, the state, whether the journal is complete, what is known of whom, and who was heard: nobody.
fn standing(knows: &[(Origin, u64)]) -> Vec<u8> {
    let mut bytes = clock::now_ms().to_le_bytes().to_vec();
    bytes.extend([READY, 1]);
    bytes.extend(u32::try_from(knows.len()).unwrap().to_le_bytes());
    for (origin, reached) in knows {
        bytes.extend(origin);
        bytes.extend(reached.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    bytes
}
