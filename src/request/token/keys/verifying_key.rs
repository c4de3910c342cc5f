//! A key that verifies, and the checks that it passes before it does.

use std::sync::atomic::AtomicU64;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use super::algorithms::{algorithm_name, secret_bytes_min};
use super::unfit_key::{UnfitKey, UnfitReason, unfit, unused};

/// A key and the algorithms that it may verify.
pub(super) struct VerifyingKey {
    pub(super) id: Option<String>,
    /// What operators call it: its `kid`, the file that the configuration names, or its position in a set.
    pub(super) name: String,
    /// How many tokens it has verified; those that were in the cache are not counted again.
    pub(super) verified: AtomicU64,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) decoding: DecodingKey,
}

impl VerifyingKey {
    /// Whether a token's `kid` and algorithm could mean either key.
    pub(super) fn is_confused_with(&self, other: &Self) -> bool {
        let mut shared = self.algorithms.iter();
        self.id.is_some() && self.id == other.id && shared.any(|one| other.algorithms.contains(one))
    }
}

/// Checks that a key can verify at all, and removes from `algorithms` those that it does not fit.
pub(super) fn check_key(
    key: &DecodingKey,
    algorithms: &mut Vec<Algorithm>,
) -> Result<(), UnfitKey> {
    let bytes = key.try_get_as_bytes().unwrap_or_default();
    match key.family() {
        AlgorithmFamily::Hmac => check_secret(key, algorithms),
        AlgorithmFamily::Rsa => check_rsa(key),
        AlgorithmFamily::Ec => {
            // An uncompressed point: 65 bytes on P-256, 97 on P-384 (RFC 7518 section 3.4).
            let (curve, verifier) = match bytes.len() {
                65 => (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED),
                97 => (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED),
                _ => return Err(unfit("expected a key on P-256 or P-384")),
            };
            if ParsedPublicKey::new(verifier, bytes).is_err() {
                return Err(unfit("its point is not on its curve"));
            }
            algorithms.retain(|one| *one == curve);
            if algorithms.is_empty() {
                let name = algorithm_name(curve);
                let why = format!("its curve is for {name}; algorithms does not name it");
                return Err(unused(why, UnfitReason::OtherAlgorithm));
            }
            Ok(())
        }
        AlgorithmFamily::Ed if bytes.len() != 32 => {
            Err(unfit("expected an Ed25519 key of 32 bytes"))
        }
        AlgorithmFamily::Ed if is_of_small_order(bytes) => {
            Err(unfit("its point is of small order: anyone could sign"))
        }
        AlgorithmFamily::Ed => Ok(()),
    }
}

/// The points of edwards25519 whose order divides 8, also in their non-canonical encodings, without the sign bit. A signature
/// that verifies under one of them can be made without a private key.
const SMALL_ORDER: [(u8, [u8; 30], u8); 7] = {
    const FIRST: [u8; 30] = [
        0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
        0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc,
    ];
    const SECOND: [u8; 30] = [
        0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
        0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03,
    ];
    [
        (0x00, [0x00; 30], 0x00),
        (0x01, [0x00; 30], 0x00),
        (0x26, FIRST, 0x05),
        (0xc7, SECOND, 0x7a),
        (0xec, [0xff; 30], 0x7f),
        (0xed, [0xff; 30], 0x7f),
        (0xee, [0xff; 30], 0x7f),
    ]
};

fn is_of_small_order(point: &[u8]) -> bool {
    SMALL_ORDER.iter().any(|(first, middle, last)| {
        point[0] == *first && point[1..31] == *middle && point[31] & 0x7f == *last
    })
}

/// A secret in a JWK set must be long: it is generated, not typed.
fn check_secret(key: &DecodingKey, algorithms: &[Algorithm]) -> Result<(), UnfitKey> {
    let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    let wanted = algorithms
        .iter()
        .filter_map(|one| secret_bytes_min(*one))
        .max();
    match wanted {
        Some(wanted) if bytes < wanted => Err(unfit(format!(
            "its secret has {bytes} bytes: {wanted} are needed (RFC 7518 section 3.2)"
        ))),
        _ => Ok(()),
    }
}

/// RFC 7518 sections 3.3 and 3.5: at least 2048 bits. The other limits are those of valid RSA keys, and of the library.
fn check_rsa(key: &DecodingKey) -> Result<(), UnfitKey> {
    let (modulus, exponent) = match key.kind() {
        jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, e } => (n.clone(), e.clone()),
        jsonwebtoken::DecodingKeyKind::SecretOrDer(der) => {
            (DEFAULT_PROVIDER
                .key_utils
                .rsa_pub_components_from_public_key)(der)
            .map_err(|_| unfit("its RSA numbers can't be read"))?
        }
    };
    let bits = bits_of(&modulus);
    if bits < 2048 {
        return Err(unfit(format!(
            "its RSA modulus has {bits} bits: 2048 are needed (RFC 7518 section 3.3)"
        )));
    }
    if bits > 8192 {
        return Err(unfit(format!(
            "its RSA modulus has {bits} bits: 8192 are the most"
        )));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    if !is_odd(&modulus) {
        return Err(unfit("its RSA modulus is even"));
    }
    if !is_odd(&exponent) || !(2..=33).contains(&bits_of(&exponent)) {
        let expected = "expected an odd number from 3 to 33 bits, usually 65537";
        return Err(unfit(format!("its RSA exponent does not fit: {expected}")));
    }
    Ok(())
}

fn bits_of(number: &[u8]) -> usize {
    let number = without_zeros(number);
    let first = number.first();
    first.map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// A number without leading zeros.
pub(super) fn without_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0);
    &number[first.unwrap_or(number.len())..]
}
