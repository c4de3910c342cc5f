//! The algorithms that can be pinned, and what each needs of a key.

use jsonwebtoken::{Algorithm, AlgorithmFamily};

/// The algorithms that can be pinned, by their names in RFC 7518, RFC 8037 and RFC 9864. jsonwebtoken has neither ES512
/// nor ES256K.
pub const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("Ed25519", Algorithm::EdDSA),
];

/// Signature algorithms of the JOSE registry that can't be verified here. A token that they sign may be valid to its shop.
const OTHER_ALGORITHMS: &[&str] = &[
    "ES512",
    "ES256K",
    "Ed448",
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
];

/// Whether a token can be signed with an algorithm of that name.
pub(in crate::request) fn is_signature_algorithm(name: &str) -> bool {
    algorithm(name).is_some() || OTHER_ALGORITHMS.contains(&name)
}

/// The algorithm of that name, compared letter by letter (RFC 7515 section 4.1.1).
pub(in crate::request) fn algorithm(name: &str) -> Option<Algorithm> {
    let known = ALGORITHMS.iter().find(|(known, _)| *known == name);
    known.map(|(_, algorithm)| *algorithm)
}

/// The name of an algorithm; of several, the first.
pub fn algorithm_name(algorithm: Algorithm) -> &'static str {
    let known = ALGORITHMS.iter().find(|(_, known)| *known == algorithm);
    known.map_or("?", |(name, _)| name)
}

/// How many bytes a shared secret needs at least for an algorithm (RFC 7518 section 3.2); `None`: it takes none.
pub fn secret_bytes_min(algorithm: Algorithm) -> Option<usize> {
    let needs = [
        (Algorithm::HS256, 32),
        (Algorithm::HS384, 48),
        (Algorithm::HS512, 64),
    ];
    let need = needs.iter().find(|(known, _)| *known == algorithm);
    need.map(|(_, bytes)| *bytes)
}

pub(super) fn of_family(algorithms: &[Algorithm], family: AlgorithmFamily) -> Vec<Algorithm> {
    let fitting = algorithms.iter().copied();
    fitting.filter(|one| one.family() == family).collect()
}

pub(super) fn names_of(family: AlgorithmFamily) -> &'static str {
    match family {
        AlgorithmFamily::Hmac => "HS256, HS384, HS512",
        AlgorithmFamily::Rsa => "RS256, RS384, RS512, PS256, PS384, PS512",
        AlgorithmFamily::Ec => "ES256, ES384",
        AlgorithmFamily::Ed => "EdDSA",
    }
}
