//! JSON web keys (RFC 7517): from the members of one to a key that verifies.

use std::sync::atomic::AtomicU64;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

use super::algorithms::{algorithm, names_of, of_family};
use super::unfit_key::{UnfitKey, UnfitReason, unfit, unused};
use super::verifying_key::{VerifyingKey, check_key, without_zeros};

/// The members of a set, valid or not.
pub(super) fn members_of(set: &Value) -> Option<&Vec<Value>> {
    set.get("keys").and_then(Value::as_array)
}

/// One JWK, for those of `algorithms` that its members allow (RFC 7517 sections 4.1 to 4.5). `number`: its place in the set.
pub(super) fn parse_jwk(
    number: usize,
    member: &Value,
    algorithms: &[Algorithm],
) -> Result<VerifyingKey, UnfitKey> {
    let text = |name| member.get(name).and_then(Value::as_str);
    if member.get("use").is_some() && text("use") != Some("sig") {
        return Err(unused("use is not \"sig\"", UnfitReason::OtherUse));
    }
    if let Some(operations) = member.get("key_ops") {
        let verifies = operations
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "verify"));
        if !verifies {
            let why = "key_ops does not hold \"verify\"";
            return Err(unused(why, UnfitReason::OtherUse));
        }
    }
    if member.get("kid").is_some_and(|id| !id.is_string()) {
        return Err(unfit("kid is not a string"));
    }
    let kty = text("kty").ok_or_else(|| unfit("kty is missing"))?;
    let family = parse_family(kty)?;
    let mut fitting = of_family(algorithms, family);
    if let Some(pinned) = member.get("alg") {
        let pinned = pinned.as_str().and_then(algorithm);
        fitting.retain(|one| Some(*one) == pinned);
    }
    if fitting.is_empty() {
        let why = format!(
            "its kty and alg fit none of algorithms (kty {kty} is for {})",
            names_of(family)
        );
        // A secret in a set is an error: the operator may expect it to verify, or to stay secret.
        let is_secret = family == AlgorithmFamily::Hmac;
        let reason = if is_secret {
            UnfitReason::Broken
        } else {
            UnfitReason::OtherAlgorithm
        };
        return Err(unused(why, reason));
    }
    let key = decoding_key(family, member)?;
    check_key(&key, &mut fitting)?;
    let id = text("kid").map(str::to_owned);
    Ok(VerifyingKey {
        name: id.clone().unwrap_or_else(|| (number + 1).to_string()),
        verified: AtomicU64::new(0),
        id,
        algorithms: fitting,
        decoding: key,
    })
}

/// One JWK of a public set, where no secret may stand.
pub(super) fn parse_public_jwk(
    number: usize,
    member: &Value,
    algorithms: &[Algorithm],
) -> Result<VerifyingKey, UnfitKey> {
    if member.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err(unfit("a symmetric key: anyone who can fetch it could sign"));
    }
    parse_jwk(number, member, algorithms)
}

fn parse_family(kty: &str) -> Result<AlgorithmFamily, UnfitKey> {
    match kty {
        "oct" => Ok(AlgorithmFamily::Hmac),
        "RSA" => Ok(AlgorithmFamily::Rsa),
        "EC" => Ok(AlgorithmFamily::Ec),
        "OKP" => Ok(AlgorithmFamily::Ed),
        _ => Err(unused(
            format!("kty {kty:?} is not known: expected oct, RSA, EC or OKP"),
            UnfitReason::OtherAlgorithm,
        )),
    }
}

fn decoding_key(family: AlgorithmFamily, member: &Value) -> Result<DecodingKey, UnfitKey> {
    let text = |name: &str| {
        let text = member.get(name).and_then(Value::as_str);
        text.ok_or_else(|| unfit(format!("{name} is missing")))
    };
    let bytes = |name: &str| {
        let decoded = base64_url(text(name)?).filter(|bytes| !bytes.is_empty());
        decoded.ok_or_else(|| unfit(format!("{name} can't be decoded")))
    };
    let other_curve = |crv: &str, expected: &str| {
        let why = format!("crv {crv:?} does not fit: expected {expected}");
        unused(why, UnfitReason::OtherAlgorithm)
    };
    match family {
        AlgorithmFamily::Hmac => Ok(DecodingKey::from_secret(&bytes("k")?)),
        AlgorithmFamily::Rsa => {
            // Java writes a zero byte first where the highest bit would be taken for a sign.
            let (modulus, exponent) = (bytes("n")?, bytes("e")?);
            let (modulus, exponent) = (without_zeros(&modulus), without_zeros(&exponent));
            Ok(DecodingKey::from_rsa_raw_components(modulus, exponent))
        }
        AlgorithmFamily::Ec => {
            // RFC 7518 section 6.2.1: the curve says how long its numbers are.
            let length = match text("crv")? {
                "P-256" => 32,
                "P-384" => 48,
                crv => return Err(other_curve(crv, "P-256 or P-384")),
            };
            if [bytes("x")?.len(), bytes("y")?.len()] != [length; 2] {
                return Err(unfit(format!("x and y do not have {length} bytes each")));
            }
            let key = DecodingKey::from_ec_components(text("x")?, text("y")?);
            key.map_err(|_| unfit("its numbers can't be decoded"))
        }
        AlgorithmFamily::Ed => match text("crv")? {
            "Ed25519" => DecodingKey::from_ed_components(text("x")?)
                .map_err(|_| unfit("its numbers can't be decoded")),
            crv => Err(other_curve(crv, "Ed25519")),
        },
    }
}

fn base64_url(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()
}
