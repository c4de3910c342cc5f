//! Keys that verify, vetted when they are loaded: what does not fit its algorithm never gets to a token.

use std::fmt;

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

use super::json;

/// The keys of a shop. All of one family: a public key must never serve as a shared secret.
#[derive(Default)]
pub struct Keys(Vec<Key>);

/// One key and what it may verify.
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

/// Why a key can't be used; says what was expected.
#[derive(Debug, PartialEq, Eq)]
pub struct UnfitKey(String);

impl fmt::Display for UnfitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

/// The algorithms that can be pinned, by their names in RFC 7518, RFC 8037 and RFC 9864. ES512 and ES256K are
/// not among them: jsonwebtoken has neither.
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

/// The algorithm of that name, compared letter by letter (RFC 7515 section 4.1.1).
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    let known = ALGORITHMS.iter().find(|(known, _)| *known == name);
    known.map(|(_, algorithm)| *algorithm)
}

/// The first name of an algorithm.
pub fn name_of(algorithm: Algorithm) -> &'static str {
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

impl Keys {
    /// A shared secret for the HMAC algorithms among `algorithms`.
    pub fn from_secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, UnfitKey> {
        let fitting = of_family(algorithms, AlgorithmFamily::Hmac);
        if fitting.is_empty() {
            return Err(unfit(
                "a secret verifies HS256, HS384 and HS512 only; algorithms names none of them",
            ));
        }
        if secret.is_empty() {
            return Err(unfit("the secret is empty"));
        }
        Ok(Self(vec![Key {
            id: None,
            algorithms: fitting,
            decoding: DecodingKey::from_secret(secret),
        }]))
    }

    /// A public key in PEM for the asymmetric algorithms among `algorithms`.
    pub fn from_pem(pem: &[u8], algorithms: &[Algorithm]) -> Result<Self, UnfitKey> {
        type Read = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;
        let readers: [(AlgorithmFamily, Read); 3] = [
            (AlgorithmFamily::Rsa, DecodingKey::from_rsa_pem),
            (AlgorithmFamily::Ec, DecodingKey::from_ec_pem),
            (AlgorithmFamily::Ed, DecodingKey::from_ed_pem),
        ];
        for (family, read) in readers {
            if let Ok(key) = read(pem) {
                let mut fitting = of_family(algorithms, family);
                if fitting.is_empty() {
                    return Err(unfit(format!(
                        "this is a key for {}; algorithms names none of them",
                        names_of(family)
                    )));
                }
                vet(&key, &mut fitting)?;
                let id = None;
                return Ok(Self(vec![Key {
                    id,
                    algorithms: fitting,
                    decoding: key,
                }]));
            }
        }
        Err(unfit(
            "expected a public key in PEM (RSA, EC P-256 or P-384, Ed25519)",
        ))
    }

    /// A JWK set (RFC 7517 section 5). Every key that does not fit is named.
    pub fn from_jwks(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, Vec<UnfitKey>> {
        let set = json::parse(text)
            .ok_or_else(|| vec![unfit("expected a JWK set in JSON, without repeated names")])?;
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err(vec![unfit(
                "expected a JWK set: an object with an array named keys",
            )]);
        };
        let mut keys: Vec<Key> = Vec::new();
        let mut faults = Vec::new();
        for (number, member) in members.iter().enumerate() {
            match key_of(member, algorithms) {
                Ok(key) if key.id.is_some() && keys.iter().any(|known| known.id == key.id) => {
                    faults.push(unfit(format!(
                        "{}: this kid stands twice",
                        name(number, member)
                    )));
                }
                Ok(key) => keys.push(key),
                Err(UnfitKey(why)) => {
                    faults.push(unfit(format!("{}: {why}", name(number, member))));
                }
            }
        }
        let secrets = keys
            .iter()
            .filter(|key| key.decoding.family() == AlgorithmFamily::Hmac);
        let secrets = secrets.count();
        if secrets > 0 && secrets < keys.len() {
            faults.push(unfit(
                "symmetric and asymmetric keys are mixed: who knows the public key could sign",
            ));
        }
        if keys.is_empty() && faults.is_empty() {
            faults.push(unfit("the set holds no key"));
        }
        if faults.is_empty() {
            Ok(Self(keys))
        } else {
            Err(faults)
        }
    }

    /// Those that may have signed a token with this algorithm and key id.
    ///
    /// A `kid` chooses among keys that have one; a key without id is tried for every token.
    pub fn candidates(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> impl Iterator<Item = &DecodingKey> {
        let fits = move |key: &&Key| {
            let named = match (&key.id, id) {
                (Some(known), Some(given)) => known == given,
                (None, _) | (_, None) => true,
            };
            named && key.algorithms.contains(&algorithm)
        };
        self.0.iter().filter(fits).map(|key| &key.decoding)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

fn of_family(algorithms: &[Algorithm], family: AlgorithmFamily) -> Vec<Algorithm> {
    let fitting = algorithms.iter().copied();
    fitting.filter(|one| one.family() == family).collect()
}

fn names_of(family: AlgorithmFamily) -> &'static str {
    match family {
        AlgorithmFamily::Hmac => "HS256, HS384, HS512",
        AlgorithmFamily::Rsa => "RS256, RS384, RS512, PS256, PS384, PS512",
        AlgorithmFamily::Ec => "ES256, ES384",
        AlgorithmFamily::Ed => "EdDSA",
    }
}

fn unfit(why: impl Into<String>) -> UnfitKey {
    UnfitKey(why.into())
}

/// How a fault names a key: its place in the set, and its kid if it has one.
fn name(number: usize, member: &Value) -> String {
    match member.get("kid").and_then(Value::as_str) {
        Some(id) => format!("keys[{number}] (kid {id:?})"),
        None => format!("keys[{number}]"),
    }
}

/// One JWK, as far as its members allow it to verify (RFC 7517 sections 4.1 to 4.5).
fn key_of(member: &Value, algorithms: &[Algorithm]) -> Result<Key, UnfitKey> {
    let text = |name| member.get(name).and_then(Value::as_str);
    if member.get("use").is_some() && text("use") != Some("sig") {
        return Err(unfit("use is not \"sig\""));
    }
    if let Some(operations) = member.get("key_ops") {
        let verifies = operations
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "verify"));
        if !verifies {
            return Err(unfit("key_ops does not hold \"verify\""));
        }
    }
    if member.get("kid").is_some_and(|id| !id.is_string()) {
        return Err(unfit("kid is not a string"));
    }
    let kty = text("kty").ok_or_else(|| unfit("kty is missing"))?;
    let (family, key) = decoding_key(kty, member)?;
    let mut fitting = of_family(algorithms, family);
    if let Some(pinned) = member.get("alg") {
        let pinned = pinned.as_str().and_then(algorithm);
        fitting.retain(|one| Some(*one) == pinned);
    }
    if fitting.is_empty() {
        return Err(unfit(format!(
            "its kty and alg fit none of algorithms (kty {kty} is for {})",
            names_of(family)
        )));
    }
    vet(&key, &mut fitting)?;
    Ok(Key {
        id: text("kid").map(str::to_owned),
        algorithms: fitting,
        decoding: key,
    })
}

fn decoding_key(kty: &str, member: &Value) -> Result<(AlgorithmFamily, DecodingKey), UnfitKey> {
    let part = |name: &str| {
        let text = member.get(name).and_then(Value::as_str);
        text.ok_or_else(|| unfit(format!("{name} is missing")))
    };
    let curve = |fitting: &[&str]| match part("crv")? {
        crv if fitting.contains(&crv) => Ok(()),
        crv => Err(unfit(format!(
            "crv {crv:?} does not fit: expected {}",
            fitting.join(" or ")
        ))),
    };
    let read = |key: jsonwebtoken::errors::Result<DecodingKey>| {
        key.map_err(|_| unfit("its numbers can't be decoded"))
    };
    match kty {
        "oct" => {
            let secret = base64_url(part("k")?).filter(|secret| !secret.is_empty());
            let secret = secret.ok_or_else(|| unfit("k can't be decoded"))?;
            Ok((AlgorithmFamily::Hmac, DecodingKey::from_secret(&secret)))
        }
        "RSA" => Ok((
            AlgorithmFamily::Rsa,
            read(DecodingKey::from_rsa_components(part("n")?, part("e")?))?,
        )),
        "EC" => {
            curve(&["P-256", "P-384"])?;
            Ok((
                AlgorithmFamily::Ec,
                read(DecodingKey::from_ec_components(part("x")?, part("y")?))?,
            ))
        }
        "OKP" => {
            curve(&["Ed25519"])?;
            Ok((
                AlgorithmFamily::Ed,
                read(DecodingKey::from_ed_components(part("x")?))?,
            ))
        }
        _ => Err(unfit(format!(
            "kty {kty:?} is not known: expected oct, RSA, EC or OKP"
        ))),
    }
}

fn base64_url(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()
}

/// Checks the size of a key, and leaves of `algorithms` those that it fits.
fn vet(key: &DecodingKey, algorithms: &mut Vec<Algorithm>) -> Result<(), UnfitKey> {
    match key.family() {
        AlgorithmFamily::Hmac => vet_secret(key, algorithms),
        AlgorithmFamily::Rsa => vet_modulus(key),
        AlgorithmFamily::Ec => {
            // An uncompressed point: 65 bytes on P-256, 97 on P-384 (RFC 7518 section 3.4).
            let curve = match key.try_get_as_bytes().map_or(0, <[u8]>::len) {
                65 => Algorithm::ES256,
                97 => Algorithm::ES384,
                _ => return Err(unfit("expected a key on P-256 or P-384")),
            };
            algorithms.retain(|one| *one == curve);
            if algorithms.is_empty() {
                return Err(unfit(format!(
                    "its curve is for {}; algorithms does not name it",
                    name_of(curve)
                )));
            }
            Ok(())
        }
        AlgorithmFamily::Ed => match key.try_get_as_bytes().map_or(0, <[u8]>::len) {
            32 => Ok(()),
            _ => Err(unfit("expected an Ed25519 key of 32 bytes")),
        },
    }
}

/// A secret in a JWK set has no excuse to be short: nobody types it.
fn vet_secret(key: &DecodingKey, algorithms: &[Algorithm]) -> Result<(), UnfitKey> {
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

/// RFC 7518 sections 3.3 and 3.5: at least 2048 bits.
fn vet_modulus(key: &DecodingKey) -> Result<(), UnfitKey> {
    let modulus = match key.kind() {
        jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => n.clone(),
        jsonwebtoken::DecodingKeyKind::SecretOrDer(der) => {
            (DEFAULT_PROVIDER
                .key_utils
                .rsa_pub_components_from_public_key)(der)
            .map_err(|_| unfit("its RSA numbers can't be read"))?
            .0
        }
    };
    let first = modulus.iter().position(|byte| *byte != 0);
    let bits = first.map_or(0, |first| {
        (modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize
    });
    if bits < 2048 {
        return Err(unfit(format!(
            "its RSA modulus has {bits} bits: 2048 are needed (RFC 7518 section 3.3)"
        )));
    }
    Ok(())
}
