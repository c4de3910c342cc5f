//! Tokens as a shop signs them, with keys made for one run.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use aws_lc_rs::{hmac, signature};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorward::clock::UnixTime;
use jsonwebtoken::DecodingKey;
use serde_json::json;

use super::crowd::LIFETIME;

/// 48 letters, more than HS256 asks for.
const SECRET: &str = "a-shop-in-a-benchmark-keeps-this-secret-48-bytes";

/// Signs tokens with one algorithm and one key.
pub struct Mint {
    algorithm: &'static str,
    key: Key,
}

enum Key {
    Secret,
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Mint {
    /// The algorithms that storefronts use.
    pub const ALGORITHMS: [&str; 4] = ["HS256", "RS256", "ES256", "EdDSA"];

    /// A mint with a fresh key; with a secret where the algorithm is not one of the asymmetric.
    pub fn new(algorithm: &'static str) -> Self {
        const WHY: &str = "the library makes keys";
        let key = match algorithm {
            "RS256" => Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect(WHY)),
            "ES256" => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
                Key::Ec(pair.expect(WHY))
            }
            "EdDSA" => Key::Ed(Ed25519KeyPair::generate().expect(WHY)),
            _ => Key::Secret,
        };
        Self { algorithm, key }
    }

    /// The name of its algorithm, in a token's header and in the configuration.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// A customer's token as Bagisto documents it, half-way through its life.
    pub fn token(&self, number: u64, now: UnixTime) -> String {
        let header = json!({"typ": "JWT", "alg": self.algorithm});
        let issued_at = now.minus(LIFETIME / 2);
        let claims = json!({
            "iss": "https://shop.example.com/api/shop/customers/login",
            "sub": (10_000 + number).to_string(),
            "iat": issued_at.seconds(),
            "nbf": issued_at.seconds(),
            "exp": issued_at.plus(LIFETIME).seconds(),
            "jti": format!("{number:016x}"),
            "prv": "23bd5c8949f600adb39e701c400872db7a5976f7",
        });
        let part = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        const WHY: &str = "a fresh key signs";
        let random = SystemRandom::new();
        match &self.key {
            Key::Secret => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &random,
                    message,
                    &mut signature,
                )
                .expect(WHY);
                signature
            }
            Key::Ec(pair) => pair.sign(&random, message).expect(WHY).as_ref().to_vec(),
            Key::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// What stands in the file that the operator names: the secret, or the public key in PEM.
    pub fn key_file(&self) -> String {
        let Some(der) = self.public_key() else {
            return SECRET.to_owned();
        };
        let base64 = STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n")
    }

    /// Under which key of the configuration that file is named.
    pub fn key_file_setting(&self) -> &'static str {
        match &self.key {
            Key::Secret => "secret_file",
            Key::Rsa(_) | Key::Ec(_) | Key::Ed(_) => "public_key_file",
        }
    }

    /// The key as the rival takes it.
    pub fn decoding_key(&self) -> DecodingKey {
        let file = self.key_file();
        let pem = file.as_bytes();
        match &self.key {
            Key::Secret => Ok(DecodingKey::from_secret(pem)),
            Key::Rsa(_) => DecodingKey::from_rsa_pem(pem),
            Key::Ec(_) => DecodingKey::from_ec_pem(pem),
            Key::Ed(_) => DecodingKey::from_ed_pem(pem),
        }
        .expect("a fresh key is read")
    }

    fn public_key(&self) -> Option<PublicKeyX509Der<'static>> {
        let der = match &self.key {
            Key::Secret => return None,
            Key::Rsa(pair) => pair.public_key().as_der(),
            Key::Ec(pair) => pair.public_key().as_der(),
            Key::Ed(pair) => pair.public_key().as_der(),
        };
        Some(der.expect("a fresh key is written"))
    }
}
