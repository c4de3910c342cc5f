//! Keys that verify, vetted when they are loaded: what does not fit its algorithm never gets to a token.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey};
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

use crate::request::payload::json;

/// The keys of a shop. All of one family: a public key must never serve as a shared secret.
#[derive(Default)]
pub struct Keys {
    keys: Vec<VerifyingKey>,
    /// The digest of the document that they were read from; `None`: there is none.
    document: Option<blake3::Hash>,
}

/// One key and what it may verify.
pub(in crate::request) struct VerifyingKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

/// Why a JWK set that was fetched can't be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitSet {
    /// It is no JWK set (RFC 7517 section 5).
    NotASet,
    /// Two of its keys have the same `kid` for the same algorithm.
    RepeatedKid,
    /// None of its keys may verify.
    NoUsableKey,
}

impl UnfitSet {
    /// The word for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotASet => "not_a_key_set",
            Self::RepeatedKid => "repeated_kid",
            Self::NoUsableKey => "no_usable_key",
        }
    }
}

/// Why a key is not used; says what was expected.
#[derive(Debug, PartialEq, Eq)]
pub struct UnfitKey {
    why: String,
    fate: Fate,
}

/// What a key that is not used means for the others of its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is there for something else than signatures: nothing.
    OtherUse,
    /// It is for an algorithm that is not pinned: nothing, though it may be a slip.
    OtherAlgorithm,
    /// It says that it verifies and does not: a set in a file is not read without it.
    Broken,
}

impl UnfitKey {
    /// The same, of this key of a set.
    fn of(self, number: usize, member: &Value) -> Self {
        Self {
            why: format!("{}: {}", name(number, member), self.why),
            ..self
        }
    }
}

impl fmt::Display for UnfitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.count())
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

/// Signature algorithms of the JOSE registry that no key here can verify: what they sign may be good all the same.
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

/// The first name of an algorithm.
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
        let key = VerifyingKey {
            id: None,
            algorithms: fitting,
            decoding: DecodingKey::from_secret(secret),
        };
        Ok(Self::read_from(secret, vec![key]))
    }

    /// A public key in PEM for the asymmetric algorithms among `algorithms`.
    pub fn from_pem(pem: &[u8], algorithms: &[Algorithm]) -> Result<Self, UnfitKey> {
        type ReadDecodingKey = fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>;
        let readers: [(AlgorithmFamily, ReadDecodingKey); 3] = [
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
                let key = VerifyingKey {
                    id: None,
                    algorithms: fitting,
                    decoding: key,
                };
                return Ok(Self::read_from(pem, vec![key]));
            }
        }
        Err(unfit(
            "expected a public key in PEM (RSA, EC P-256 or P-384, Ed25519)",
        ))
    }

    /// A JWK set (RFC 7517 section 5), and why others of its keys are not used. Keys for something else than
    /// signatures are passed over without a word, keys for other algorithms are named, and a key that claims to verify
    /// and can't, or a set of which nothing remains, is refused.
    pub fn from_jwks(
        text: &[u8],
        algorithms: &[Algorithm],
    ) -> Result<(Self, Vec<UnfitKey>), Vec<UnfitKey>> {
        let set = json::parse(text)
            .ok_or_else(|| vec![unfit("expected a JWK set in JSON, without repeated names")])?;
        let members = members_of(&set).ok_or_else(|| {
            let expected = "expected a JWK set: an object with an array named keys";
            vec![unfit(expected)]
        })?;
        let mut keys: Vec<VerifyingKey> = Vec::new();
        let mut unfit_keys = Vec::new();
        for (number, member) in members.iter().enumerate() {
            match key_of(member, algorithms) {
                Ok(key) if key.id.is_some() && keys.iter().any(|known| known.id == key.id) => {
                    unfit_keys.push(unfit("this kid stands twice").of(number, member));
                }
                Ok(key) => keys.push(key),
                Err(why) => unfit_keys.push(why.of(number, member)),
            }
        }
        let secrets = keys
            .iter()
            .filter(|key| key.decoding.family() == AlgorithmFamily::Hmac);
        let secrets = secrets.count();
        if secrets > 0 && secrets < keys.len() {
            unfit_keys.push(unfit(
                "symmetric and asymmetric keys are mixed: who knows the public key could sign",
            ));
        }
        if keys.is_empty() {
            if unfit_keys.is_empty() {
                unfit_keys.push(unfit("the set holds no key"));
            }
            return Err(unfit_keys);
        }
        if unfit_keys.iter().any(|one| one.fate == Fate::Broken) {
            unfit_keys.retain(|one| one.fate == Fate::Broken);
            return Err(unfit_keys);
        }
        unfit_keys.retain(|one| one.fate == Fate::OtherAlgorithm);
        Ok((Self::read_from(text, keys), unfit_keys))
    }

    /// A JWK set that was fetched: the keys that fit, and why others do not.
    ///
    /// An identity provider publishes more than one shop needs, and keys of kinds that are yet to come: those are
    /// passed over (RFC 7517 section 5). So are symmetric ones, with which any client that fetches them could sign. Two
    /// different keys with one `kid` for one algorithm are another matter: which of them it means is only a
    /// guess, so that the set is refused (RFC 7517 section 4.5).
    pub fn from_fetched(
        text: &[u8],
        algorithms: &[Algorithm],
    ) -> Result<(Self, Vec<UnfitKey>), UnfitSet> {
        let set = json::parse(text).ok_or(UnfitSet::NotASet)?;
        let members = members_of(&set).ok_or(UnfitSet::NotASet)?;
        let mut keys: Vec<VerifyingKey> = Vec::new();
        let mut written: Vec<&Value> = Vec::new();
        let mut unfit_keys = Vec::new();
        for (number, member) in members.iter().enumerate() {
            let mut pass_over = |why: UnfitKey| unfit_keys.push(why.of(number, member));
            let key = match public_key_of(member, algorithms) {
                Ok(key) => key,
                Err(why) => {
                    pass_over(why);
                    continue;
                }
            };
            match keys.iter().position(|known| known.is_confused_with(&key)) {
                None => {
                    keys.push(key);
                    written.push(member);
                }
                Some(known) if written[known] == member => pass_over(unfit("it stands twice")),
                Some(_) => return Err(UnfitSet::RepeatedKid),
            }
        }
        if keys.is_empty() {
            return Err(UnfitSet::NoUsableKey);
        }
        Ok((Self::read_from(text, keys), unfit_keys))
    }

    fn read_from(document: &[u8], keys: Vec<VerifyingKey>) -> Self {
        Self {
            keys,
            document: Some(blake3::hash(document)),
        }
    }

    /// The digest of what they were read from; `None`: there are none.
    pub(in crate::request) fn document(&self) -> Option<blake3::Hash> {
        self.document
    }

    /// Whether both were read from the same bytes.
    pub(in crate::request) fn is_same_document(&self, other: &Self) -> bool {
        self.document == other.document
    }

    /// Those that may have signed a token with this algorithm and key id.
    ///
    /// A `kid` chooses among keys that have one; a key without id is tried for every token.
    pub fn candidates(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> impl Iterator<Item = &DecodingKey> {
        let fits = move |key: &&VerifyingKey| {
            let named = match (&key.id, id) {
                (Some(known), Some(given)) => known == given,
                (None, _) | (_, None) => true,
            };
            named && key.algorithms.contains(&algorithm)
        };
        self.keys.iter().filter(fits).map(|key| &key.decoding)
    }

    /// Whether one of them has this id.
    pub(in crate::request) fn know(&self, id: &str) -> bool {
        let mut ids = self.keys.iter().filter_map(|key| key.id.as_deref());
        ids.any(|known| known == id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }
}

impl VerifyingKey {
    /// Whether a token could mean either, by its `kid` and algorithm.
    fn is_confused_with(&self, other: &Self) -> bool {
        let mut shared = self.algorithms.iter();
        self.id.is_some() && self.id == other.id && shared.any(|one| other.algorithms.contains(one))
    }
}

/// The keys of a set, whatever they are.
fn members_of(set: &Value) -> Option<&Vec<Value>> {
    set.get("keys").and_then(Value::as_array)
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
    unused(why, Fate::Broken)
}

fn unused(why: impl Into<String>, fate: Fate) -> UnfitKey {
    UnfitKey {
        why: why.into(),
        fate,
    }
}

/// How a fault names a key: its place in the set, and its kid if it has one.
fn name(number: usize, member: &Value) -> String {
    match member.get("kid").and_then(Value::as_str) {
        Some(id) => format!("keys[{number}] (kid {id:?})"),
        None => format!("keys[{number}]"),
    }
}

/// One JWK, as far as its members allow it to verify (RFC 7517 sections 4.1 to 4.5).
fn key_of(member: &Value, algorithms: &[Algorithm]) -> Result<VerifyingKey, UnfitKey> {
    let text = |name| member.get(name).and_then(Value::as_str);
    if member.get("use").is_some() && text("use") != Some("sig") {
        return Err(unused("use is not \"sig\"", Fate::OtherUse));
    }
    if let Some(operations) = member.get("key_ops") {
        let verifies = operations
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "verify"));
        if !verifies {
            let why = "key_ops does not hold \"verify\"";
            return Err(unused(why, Fate::OtherUse));
        }
    }
    if member.get("kid").is_some_and(|id| !id.is_string()) {
        return Err(unfit("kid is not a string"));
    }
    let kty = text("kty").ok_or_else(|| unfit("kty is missing"))?;
    let family = family_of(kty)?;
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
        // A secret among public keys is an error: the operator may expect it to verify, or to stay secret.
        let is_secret = family == AlgorithmFamily::Hmac;
        let fate = if is_secret {
            Fate::Broken
        } else {
            Fate::OtherAlgorithm
        };
        return Err(unused(why, fate));
    }
    let key = decoding_key(family, member)?;
    vet(&key, &mut fitting)?;
    Ok(VerifyingKey {
        id: text("kid").map(str::to_owned),
        algorithms: fitting,
        decoding: key,
    })
}

/// The same for a public set.
fn public_key_of(member: &Value, algorithms: &[Algorithm]) -> Result<VerifyingKey, UnfitKey> {
    if member.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err(unfit("a symmetric key: who can fetch it could sign"));
    }
    key_of(member, algorithms)
}

fn family_of(kty: &str) -> Result<AlgorithmFamily, UnfitKey> {
    match kty {
        "oct" => Ok(AlgorithmFamily::Hmac),
        "RSA" => Ok(AlgorithmFamily::Rsa),
        "EC" => Ok(AlgorithmFamily::Ec),
        "OKP" => Ok(AlgorithmFamily::Ed),
        _ => Err(unused(
            format!("kty {kty:?} is not known: expected oct, RSA, EC or OKP"),
            Fate::OtherAlgorithm,
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
        unused(why, Fate::OtherAlgorithm)
    };
    match family {
        AlgorithmFamily::Hmac => Ok(DecodingKey::from_secret(&bytes("k")?)),
        AlgorithmFamily::Rsa => {
            // Java's numbers begin with a zero byte where the first bit would be taken for a sign.
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

/// A number without the zeros before it.
fn without_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0);
    &number[first.unwrap_or(number.len())..]
}

fn base64_url(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()
}

/// Checks that a key can verify at all, and leaves of `algorithms` those that it fits.
fn vet(key: &DecodingKey, algorithms: &mut Vec<Algorithm>) -> Result<(), UnfitKey> {
    let bytes = key.try_get_as_bytes().unwrap_or_default();
    match key.family() {
        AlgorithmFamily::Hmac => vet_secret(key, algorithms),
        AlgorithmFamily::Rsa => vet_rsa(key),
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
                return Err(unused(why, Fate::OtherAlgorithm));
            }
            Ok(())
        }
        AlgorithmFamily::Ed if bytes.len() != 32 => {
            Err(unfit("expected an Ed25519 key of 32 bytes"))
        }
        AlgorithmFamily::Ed if is_of_small_order(bytes) => {
            Err(unfit("its point is of small order: anybody could sign"))
        }
        AlgorithmFamily::Ed => Ok(()),
    }
}

/// The points of edwards25519 whose order divides 8, and the other spellings of their numbers, without the sign bit:
/// signatures that verify under them can be made without a private key.
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

/// RFC 7518 sections 3.3 and 3.5: at least 2048 bits. The rest is what no RSA key has, and what no library here would
/// verify with.
fn vet_rsa(key: &DecodingKey) -> Result<(), UnfitKey> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ES256: &[Algorithm] = &[Algorithm::ES256];

    /// The example of RFC 7517 appendix A.1, under this name.
    fn ec(id: &str) -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "kid": id,
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        })
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    fn fetched(keys: &Value) -> Result<(usize, usize), UnfitSet> {
        let text = json!({ "keys": keys }).to_string();
        let fetched = Keys::from_fetched(text.as_bytes(), ES256);
        fetched.map(|(keys, passed_over)| (keys.count(), passed_over.len()))
    }

    #[test]
    fn what_does_not_fit_is_passed_over_in_a_fetched_set_standards_44_45() {
        let passed_over = [
            json!({ "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "o" }),
            json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }),
            json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
            json!({ "crv": "P-256" }),
            json!("a key"),
            json!(null),
            with(ec("enc"), "use", json!("enc")),
            with(ec("alg"), "alg", json!("ES384")),
            with(ec("ops"), "key_ops", json!(["sign"])),
            with(ec("kid"), "kid", json!(5)),
        ];
        for one in &passed_over {
            assert_eq!(fetched(&json!([one, ec("good")])), Ok((1, 1)), "{one}");
            assert_eq!(fetched(&json!([one])), Err(UnfitSet::NoUsableKey), "{one}");
        }
        let unknown = json!({ "keys": [ec("a")], "and": { "more": 1 } }).to_string();
        assert!(Keys::from_fetched(unknown.as_bytes(), ES256).is_ok());
    }

    #[test]
    fn a_symmetric_key_is_not_fetched_whatever_is_pinned_standards_45() {
        let secret = json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" }] });
        let fetched = Keys::from_fetched(secret.to_string().as_bytes(), &[Algorithm::HS256]);
        assert_eq!(fetched.err(), Some(UnfitSet::NoUsableKey));
    }

    #[test]
    fn two_keys_of_one_name_refuse_the_set_unless_nobody_could_mix_them_up_standards_45() {
        let other = with(
            ec("a"),
            "y",
            json!("H7SaFdupJnh0rUyGQgQq4ReWEOHwOaSZppakkzH36Nw"), // the mirrored point
        );
        let twice = json!([ec("a"), ec("b"), other]);
        assert_eq!(fetched(&twice), Err(UnfitSet::RepeatedKid));
        let word_for_word = json!([ec("a"), ec("b"), ec("a")]);
        assert_eq!(fetched(&word_for_word), Ok((2, 1)));
        let other_use = json!([ec("a"), with(ec("a"), "use", json!("enc"))]);
        assert_eq!(fetched(&other_use), Ok((1, 1)));
        let mut nameless = ec("a");
        nameless.as_object_mut().unwrap().remove("kid");
        assert_eq!(fetched(&json!([nameless, nameless])), Ok((2, 0)));
    }

    #[test]
    fn a_key_that_can_verify_nothing_is_refused_attacks_s3_s4() {
        let p384 = |key: Value| with(key, "crv", json!("P-384"));
        let rsa = |n: &[u8], e: &[u8]| {
            use base64::Engine;
            let b64 = |bytes| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
            json!({ "kty": "RSA", "n": b64(n), "e": b64(e) })
        };
        let odd = [&[0x80][..], &[0; 254], &[1]].concat();
        let even = [&[0x80][..], &[0; 255]].concat();
        let padded = [&[0][..], &odd].concat();
        let ed = |x: &str| json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let all = &[
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::RS256,
            Algorithm::EdDSA,
        ];
        let refused = [
            p384(ec("curve")),
            with(ec("point"), "y", ec("point")["x"].clone()),
            with(ec("zero"), "x", json!("A".repeat(43))),
            with(ec("short"), "x", json!("MKBCTA")),
            rsa(&odd, &[1]),
            rsa(&odd, &[2]),
            rsa(&odd, &[1, 0, 0]),
            rsa(&odd, &[0]),
            rsa(&odd, &[1; 9]),
            rsa(&even, &[1, 0, 1]),
            rsa(&odd[128..], &[1, 0, 1]),
            rsa(&[0xff; 1025], &[1, 0, 1]),
            ed(&format!("AQ{}", "A".repeat(41))),
            ed(&"A".repeat(43)),
            ed("AQ"),
        ];
        for one in &refused {
            let set = json!({ "keys": [one] }).to_string();
            let read = Keys::from_jwks(set.as_bytes(), all);
            assert!(read.is_err(), "{one}");
            let beside_good = json!({ "keys": [one, ec("good")] }).to_string();
            assert!(
                Keys::from_jwks(beside_good.as_bytes(), all).is_err(),
                "{one}"
            );
            let (keys, passed_over) = Keys::from_fetched(beside_good.as_bytes(), all).unwrap();
            assert_eq!((keys.count(), passed_over.len()), (1, 1), "{one}");
        }
        for one in [
            rsa(&odd, &[1, 0, 1]),
            rsa(&padded, &[0, 3]),
            rsa(&odd, &[3]),
        ] {
            let set = json!({ "keys": [one] }).to_string();
            assert!(Keys::from_jwks(set.as_bytes(), all).is_ok(), "{one}");
        }
    }

    #[test]
    fn keys_for_something_else_are_passed_over_in_a_file_field_f7() {
        let read = |more: Value| {
            let set = json!({ "keys": [more, ec("good")] }).to_string();
            let read = Keys::from_jwks(set.as_bytes(), ES256);
            read.map(|(keys, named)| (keys.count(), named.len()))
        };
        assert_eq!(read(with(ec("enc"), "use", json!("enc"))), Ok((1, 0)));
        assert_eq!(
            read(with(ec("ops"), "key_ops", json!(["deriveKey"]))),
            Ok((1, 0))
        );
        let other = json!({ "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AA", "e": "AA" });
        assert_eq!(read(other), Ok((1, 0)));
        assert_eq!(read(with(ec("alg"), "alg", json!("ES384"))), Ok((1, 1)));
        assert_eq!(
            read(json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" })),
            Ok((1, 1))
        );
        assert!(read(json!({ "kty": "oct", "k": "AAAA" })).is_err());
        assert!(read(json!("a key")).is_err());
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [
            "",
            "<html>",
            "{}",
            "[]",
            "null",
            r#"{"keys":{}}"#,
            r#"{"keys":[],"keys":[]}"#,
            r#"{"keys":[]} and more"#,
        ] {
            let fetched = Keys::from_fetched(text.as_bytes(), ES256);
            assert_eq!(fetched.err(), Some(UnfitSet::NotASet), "{text}");
        }
        assert_eq!(fetched(&json!([])), Err(UnfitSet::NoUsableKey));
    }
}
