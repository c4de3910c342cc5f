//! What is refused before it is judged, because two servers could read it differently.

pub(crate) mod framing;
pub(crate) mod target;
