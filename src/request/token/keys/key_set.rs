//! The keys of an issuer, from a secret, a PEM file or a JWK set; keys that do not fit are left out or refused.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

use super::algorithms::{algorithm_name, names_of, of_family};
use super::jwk::{members_of, parse_jwk, parse_public_jwk};
use super::unfit_key::{UnfitKey, UnfitReason, UnfitSet, unfit};
use super::verifying_key::{VerifyingKey, check_key};
use crate::request::payload::json;

/// What a key is called whose file holds no other, until it gets the name of the file.
const FIRST: &str = "1";
/// A key, without what is secret of it.
#[derive(Clone, Debug)]
pub struct KeyDescription {
    /// Its `kid`, if it has one.
    pub id: Option<String>,
    /// What operators call it: its `kid`, the file that the configuration names, or its position in a set.
    pub name: String,
    /// How many tokens it has verified; those that were in the cache are not counted again.
    pub verified: u64,
    /// What it is.
    pub kind: &'static str,
    /// The algorithms that it verifies.
    pub algorithms: Vec<&'static str>,
}

fn names_of_all(algorithms: &[Algorithm]) -> Vec<&'static str> {
    algorithms.iter().copied().map(algorithm_name).collect()
}

/// The keys of an issuer. Symmetric and asymmetric keys are never mixed: a public key must not serve as a shared secret.
#[derive(Default)]
pub struct Keys {
    keys: Vec<VerifyingKey>,
    /// The digests of the secrets, the PEM file or the set that they were read from; empty: there are no keys.
    documents: Vec<blake3::Hash>,
}

/// A key that may have signed a token.
pub(in crate::request) struct KeyCandidate<'k>(&'k VerifyingKey);

impl<'k> KeyCandidate<'k> {
    /// Its bytes, if it is a secret.
    pub(in crate::request) fn secret(&self) -> Option<&'k [u8]> {
        let key = &self.0.decoding;
        let is_secret = key.family() == AlgorithmFamily::Hmac;
        is_secret.then(|| key.try_get_as_bytes().ok()).flatten()
    }

    /// Whether it signed this. What it did sign is counted.
    pub(in crate::request) fn verifies(
        &self,
        signed: &str,
        signature: &str,
        algorithm: Algorithm,
    ) -> bool {
        let key = self.0;
        let verified =
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.decoding, algorithm);
        let is_good = verified.unwrap_or_default();
        if is_good {
            key.verified.fetch_add(1, Ordering::Relaxed);
        }
        is_good
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.count())
    }
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
            name: FIRST.to_owned(),
            verified: AtomicU64::new(0),
            algorithms: fitting,
            decoding: DecodingKey::from_secret(secret),
        };
        Ok(Self::from_document(secret, vec![key]))
    }

    /// The same key under the name that operators know it by.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        for key in &mut self.keys {
            name.clone_into(&mut key.name);
        }
        self
    }

    /// All of these keys, in this order: a token is verified by any of them.
    pub fn joined(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for set in sets {
            all.keys.extend(set.keys);
            all.documents.extend(set.documents);
        }
        all
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
                check_key(&key, &mut fitting)?;
                let key = VerifyingKey {
                    id: None,
                    name: FIRST.to_owned(),
                    verified: AtomicU64::new(0),
                    algorithms: fitting,
                    decoding: key,
                };
                return Ok(Self::from_document(pem, vec![key]));
            }
        }
        Err(unfit(
            "expected a public key in PEM (RSA, EC P-256 or P-384, Ed25519)",
        ))
    }

    /// A JWK set in a file (RFC 7517 section 5), and its keys for other algorithms, which are not used. Keys for other uses
    /// are passed over silently. A set is refused if a key claims to verify and can't, or if no key is left.
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
            match parse_jwk(number, member, algorithms) {
                Ok(key) if key.id.is_some() && keys.iter().any(|known| known.id == key.id) => {
                    unfit_keys.push(unfit("this kid stands twice").at_position(number, member));
                }
                Ok(key) => keys.push(key),
                Err(why) => unfit_keys.push(why.at_position(number, member)),
            }
        }
        let secrets = keys
            .iter()
            .filter(|key| key.decoding.family() == AlgorithmFamily::Hmac);
        let secrets = secrets.count();
        if secrets > 0 && secrets < keys.len() {
            unfit_keys.push(unfit(
                "symmetric and asymmetric keys are mixed: anyone with the public key could sign",
            ));
        }
        if keys.is_empty() {
            if unfit_keys.is_empty() {
                unfit_keys.push(unfit("the set holds no key"));
            }
            return Err(unfit_keys);
        }
        if unfit_keys
            .iter()
            .any(|one| one.reason == UnfitReason::Broken)
        {
            unfit_keys.retain(|one| one.reason == UnfitReason::Broken);
            return Err(unfit_keys);
        }
        unfit_keys.retain(|one| one.reason == UnfitReason::OtherAlgorithm);
        Ok((Self::from_document(text, keys), unfit_keys))
    }

    /// A fetched JWK set: the keys that fit, and why others do not.
    ///
    /// Identity providers publish more keys than one shop needs, also of unknown kinds: those are passed over (RFC 7517
    /// section 5). So are symmetric keys, because any client that fetches the set could sign with them. A set is refused
    /// if two different keys share a `kid` and an algorithm: it does not say which one is meant (RFC 7517 section 4.5).
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
            let mut pass_over = |why: UnfitKey| unfit_keys.push(why.at_position(number, member));
            let key = match parse_public_jwk(number, member, algorithms) {
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
        Ok((Self::from_document(text, keys), unfit_keys))
    }

    fn from_document(document: &[u8], keys: Vec<VerifyingKey>) -> Self {
        Self {
            keys,
            documents: vec![blake3::hash(document)],
        }
    }

    /// The digests of what they were read from; empty: there are no keys.
    pub(in crate::request) fn documents(&self) -> &[blake3::Hash] {
        &self.documents
    }

    /// Whether both were read from the same bytes.
    pub(in crate::request) fn is_same_document(&self, other: &Self) -> bool {
        self.documents == other.documents
    }

    /// Whether one was read from bytes that another was read from, too.
    pub fn repeats(&self, other: &Self) -> bool {
        self.documents
            .iter()
            .any(|one| other.documents.contains(one))
    }

    /// The name of each key, and how many tokens it has verified.
    pub fn verified(&self) -> impl Iterator<Item = (&str, u64)> {
        let keys = self.keys.iter();
        keys.map(|key| (key.name.as_str(), key.verified.load(Ordering::Relaxed)))
    }

    /// Counts on where these keys had come to, name by name.
    pub(in crate::request) fn count_on(&self, old: &Self) {
        for key in &self.keys {
            if let Some((_, count)) = old.verified().find(|(name, _)| *name == key.name) {
                key.verified.store(count, Ordering::Relaxed);
            }
        }
    }

    /// The keys that may have signed a token with this algorithm and `kid`.
    ///
    /// A `kid` selects among the keys that have one; a key without a `kid` is tried for every token.
    pub(in crate::request) fn candidates(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> impl Iterator<Item = KeyCandidate<'_>> {
        let fits = move |key: &&VerifyingKey| {
            let named = match (&key.id, id) {
                (Some(known), Some(given)) => known == given,
                (None, _) | (_, None) => true,
            };
            named && key.algorithms.contains(&algorithm)
        };
        self.keys.iter().filter(fits).map(KeyCandidate)
    }

    /// Whether a key has this `kid`.
    pub(in crate::request) fn has_key(&self, id: &str) -> bool {
        let mut ids = self.keys.iter().filter_map(|key| key.id.as_deref());
        ids.any(|known| known == id)
    }

    /// The keys, without what is secret of them.
    pub fn described(&self) -> Vec<KeyDescription> {
        let describe = |key: &VerifyingKey| KeyDescription {
            id: key.id.clone(),
            name: key.name.clone(),
            verified: key.verified.load(Ordering::Relaxed),
            kind: match key.decoding.family() {
                AlgorithmFamily::Hmac => "secret",
                AlgorithmFamily::Rsa => "RSA",
                AlgorithmFamily::Ec => "EC",
                AlgorithmFamily::Ed => "Ed25519",
            },
            algorithms: names_of_all(&key.algorithms),
        };
        self.keys.iter().map(describe).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }
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
    fn two_keys_with_one_kid_refuse_the_set_if_they_can_be_confused_standards_45() {
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
