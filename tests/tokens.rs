//! What may be wrong with a token. Each flaw ends its request at the edge: nothing reaches the shop, and at the
//! logout nothing is stored.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use support::{Answer, Edge, Scene, Shop, overlaid, shop_table, stateless_bagisto};
use tempfile::TempDir;

const PROFILE: &str = "/api/shop/customers/profile";
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
const FAR: u64 = 4_000_000_000;

/// A scene in which the shop itself looks at the token of a visit; `more` are further keys of the shop.
fn scene_with(more: &str) -> Scene {
    Scene::with(more).visiting(PROFILE)
}

/// The Bagisto preset with a key that the shop itself does not know: what is admitted gets as far as the shop.
fn scene_with_key(more: &str) -> Scene {
    let shop = stateless_bagisto();
    let config_toml = format!(
        "[[shop]]\nname = \"main\"\npreset = \"bagisto\"\nanswer = \"local\"\nupstream = [\"{}\"]\n{more}",
        shop.address()
    );
    Scene::configured(shop, &config_toml).visiting(PROFILE)
}

impl Scene {
    /// Neither a visit nor a logout gets past the edge, and the logout leaves nothing behind.
    #[track_caller]
    fn refuses(&self, what: &str, token: &str) -> [Answer; 2] {
        let visit = self.turns_away(what, token);
        let logout = self.refuses_logout(what, token);
        for answer in [&visit, &logout] {
            let challenge = answer.header("www-authenticate");
            let plain = r#"Bearer realm="main", error="invalid_token""#;
            assert_eq!(challenge, Some(plain), "{what}: the flaw is not told");
        }
        [visit, logout]
    }

    #[track_caller]
    fn refuses_logout(&self, what: &str, token: &str) -> Answer {
        let stored = self.stored();
        let (answer, seen) = self.watch(|_| self.log_out(token));
        let told = || format!("{what} at the logout: {}", answer.text());
        assert_eq!(answer.status, 401, "{}", told());
        assert_eq!(seen, 0, "{what}: its logout reached the shop");
        assert_eq!(self.stored(), stored, "{what}: its logout was stored");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        answer
    }
}

/// A flaw by its name, and the token that has it.
type Flaws = Vec<(String, String)>;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Signed with the shop's secret, whatever stands before the signature.
fn signed(text: &str) -> String {
    let key = EncodingKey::from_secret(Shop::SECRET.as_bytes());
    let signature = crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{text}.{signature}")
}

/// A token of the shop with this header and payload, byte for byte.
fn token(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    signed(&format!("{}.{}", b64(header), b64(payload)))
}

/// Alice's claims, with these laid over them; `null` removes one.
fn claims(over: &Value) -> Value {
    let usual = json!({ "sub": 3, "jti": "a-1", "iat": 1_790_000_000, "exp": FAR });
    overlaid(usual, over)
}

fn with_header(header: impl AsRef<[u8]>) -> String {
    token(header, claims(&json!({})).to_string())
}

fn with_claims(over: &Value) -> String {
    token(HEADER, claims(over).to_string())
}

/// The header and the payload of a good token, encoded.
fn good_parts() -> (String, String) {
    (b64(HEADER), b64(claims(&json!({})).to_string()))
}

/// The last letter with another pattern in the bits that mean nothing; `None` where it has no such bits.
fn with_slack(text: &str, pattern: u8) -> Option<String> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let slack = match text.len() % 4 {
        2 => 0b1111,
        3 => 0b11,
        _ => return None,
    };
    let (rest, last) = text.split_at(text.len() - 1);
    let place = LETTERS
        .iter()
        .position(|letter| *letter == last.as_bytes()[0])?;
    let other = place ^ usize::from(pattern & slack);
    (other != place).then(|| format!("{rest}{}", char::from(LETTERS[other])))
}

/// What has the shape of a JWT and is none, though the shop's key signed it wherever it could.
fn misshapen() -> Flaws {
    let (header, payload) = good_parts();
    let good = signed(&format!("{header}.{payload}"));
    let signature = good.rsplit_once('.').unwrap().1;
    let slack = |text: &str| {
        (1..16)
            .find_map(|pattern| with_slack(text, pattern))
            .unwrap()
    };
    // Three bytes more or less move the end of the text, so that there is slack in it.
    let slack_header = slack(&b64(r#"{"typ":"JWT","alg":"HS256" }"#));
    let uneven = claims(&json!({ "pad": "" })).to_string();
    let pad = (0..3)
        .map(|more| uneven.replace(r#""pad":"""#, &format!(r#""pad":"{}""#, "x".repeat(more))));
    let slack_payload = slack(&pad.map(b64).find(|text| text.len() % 4 > 1).unwrap());
    let wide = b64(json!({ "sub": 3, "x": "\u{3ff}\u{fff}?>~~~???" }).to_string());
    let flaws = [
        ("an empty signature", format!("{header}.{payload}.")),
        ("an empty payload, signed", signed(&format!("{header}."))),
        ("four parts", format!("{good}.{signature}")),
        (
            "four parts, signed",
            signed(&format!("{header}.{payload}.{payload}")),
        ),
        ("an empty fourth part", format!("{good}.")),
        (
            "a JWE",
            format!("{}.a.b.c.d", b64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#)),
        ),
        (
            "five parts, signed",
            signed(&format!("{header}.{payload}.{payload}.{payload}")),
        ),
        ("padding after the signature", format!("{good}=")),
        (
            "padding in the header, signed",
            signed(&format!("{header}=.{payload}")),
        ),
        (
            "padding in the payload, signed",
            signed(&format!("{header}.{payload}==")),
        ),
        ("padding as a percent code", format!("{good}%3D")),
        (
            "slack bits in the signature",
            format!("{header}.{payload}.{}", slack(signature)),
        ),
        (
            "slack bits in the header, signed",
            signed(&format!("{slack_header}.{payload}")),
        ),
        (
            "slack bits in the payload, signed",
            signed(&format!("{header}.{slack_payload}")),
        ),
        (
            "the other base64 alphabet, signed",
            signed(&format!("{header}.{wide}+/")),
        ),
        (
            "a letter that is none, signed",
            signed(&format!("{header}.{payload}!")),
        ),
        ("quotes around it", format!("\"{good}\"")),
        ("a brace before it", format!("{{{good}}}")),
        ("a semicolon after it", format!("{good};")),
        (
            "a letter less in the signature",
            good[..good.len() - 1].to_owned(),
        ),
        ("a letter more in the signature", format!("{good}A")),
        (
            "another signature",
            format!("{header}.{payload}.{}", b64([7; 32])),
        ),
        (
            "a signature of nothing",
            format!("{header}.{payload}.{}", b64([])),
        ),
    ];
    let flaws = flaws.map(|(name, token)| (name.to_owned(), token));
    flaws
        .into_iter()
        .chain(bad_headers())
        .chain(bad_payloads())
        .collect()
}

/// Headers that begin like an object and are not one.
fn bad_headers() -> Flaws {
    let headers: [(&str, &[u8]); 9] = [
        ("trailing letters", br#"{"alg":"HS256"}x"#),
        ("a second object", br#"{"alg":"HS256"}{"alg":"none"}"#),
        ("a trailing comma", br#"{"alg":"HS256",}"#),
        ("a trailing NUL", b"{\"alg\":\"HS256\"}\0"),
        ("half an object", br#"{"alg":"HS256""#),
        (
            "bytes that are no UTF-8",
            b"{\"alg\":\"HS256\",\"x\":\"\xff\"}",
        ),
        (
            "an overlong slash",
            b"{\"alg\":\"HS256\",\"x\":\"\xc0\xaf\"}",
        ),
        ("a comment", br#"{"alg":"HS256"/**/}"#),
        ("single quotes", br"{'alg':'HS256'}"),
    ];
    headers
        .map(|(name, header)| (format!("{name} in the header"), with_header(header)))
        .into()
}

/// Payloads that are no object (standards 49), or none that can be read.
fn bad_payloads() -> Flaws {
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    let payloads: [(&str, &[u8]); 13] = [
        (
            "five claims in an array",
            br#"["https://shop.example.com",3,"a-1",1790000000,4000000000]"#,
        ),
        ("an object in an array", br#"[{"sub":3}]"#),
        ("a string", br#""sub""#),
        ("a number", b"3"),
        ("null", b"null"),
        ("nothing", b""),
        ("trailing letters", br#"{"sub":3}x"#),
        ("a second object", br#"{"sub":3}{"sub":4}"#),
        ("bytes that are no UTF-8", b"{\"sub\":3,\"jti\":\"\xff\"}"),
        ("a lone surrogate", br#"{"sub":3,"jti":"\ud800"}"#),
        ("a byte order mark", b"\xef\xbb\xbf{\"sub\":3}"),
        ("a number without end", br#"{"sub":3,"x":1e999}"#),
        ("a thousand brackets", deep.as_bytes()),
    ];
    payloads
        .map(|(name, payload)| (format!("{name} as payload"), token(HEADER, payload)))
        .into()
}

/// What no parser takes for a JWT.
fn shapeless() -> Flaws {
    let (header, payload) = good_parts();
    let flaws = [
        ("two parts", format!("{header}.{payload}")),
        ("one part", header.clone()),
        ("dots alone", "..".to_owned()),
        ("no header", format!(".{payload}.")),
        ("an array as header", with_header("[]")),
        ("a string as header", with_header(r#""HS256""#)),
        ("a number as header", with_header("5")),
        ("null as header", with_header("null")),
        ("nothing as header", with_header("")),
        ("UTF-16 as header", with_header(b"\xfe\xff\0{\0}")),
    ];
    flaws.map(|(name, token)| (name.to_owned(), token)).into()
}

#[test]
fn what_is_no_jws_is_refused_standards_27_28_29_37_49() {
    let scene = scene_with("token.kind = \"jwt\"\n");
    for (flaw, token) in misshapen().iter().chain(&shapeless()) {
        scene.refuses(flaw, token);
    }
    assert_eq!(scene.visit(&with_claims(&json!({}))), 200);
}

#[test]
fn where_tokens_may_be_opaque_what_looks_like_a_jwt_must_still_be_one_standards_27_28_29_37_49() {
    let scene = scene_with("");
    for (flaw, token) in &misshapen() {
        scene.refuses(flaw, token);
    }
    for (flaw, token) in &shapeless() {
        scene.admits(flaw, token);
        scene.refuses_logout(flaw, token);
    }
    assert_eq!(scene.visit(&with_claims(&json!({}))), 200);
}

#[test]
fn a_token_with_another_algorithm_is_refused_standards_30_35_39() {
    let scene = scene_with("");
    let names = [
        "\"none\"",
        "\"None\"",
        "\"NONE\"",
        "\"nOnE\"",
        "\"\"",
        "\"hs256\"",
        "\"Hs256\"",
        "\"HS256 \"",
        "\" HS256\"",
        "\"HS256\\u0000\"",
        "\"HS384\"",
        "\"HS512\"",
        "\"RS256\"",
        "\"ES256\"",
        "\"EdDSA\"",
        "\"HMAC\"",
        "5",
        "null",
        "true",
        "[\"HS256\"]",
        "{\"HS256\":1}",
    ];
    for name in names {
        let header = format!("{{\"alg\":{name}}}");
        scene.refuses(&header, &with_header(&header));
        let signed = with_header(&header);
        let unsigned = &signed[..=signed.rfind('.').unwrap()];
        scene.refuses(&format!("{header} unsigned"), unsigned);
    }
    scene.refuses("no algorithm but a type", &with_header(r#"{"typ":"JWT"}"#));
    for (name, algorithm) in [("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)] {
        let text = format!(
            "{}.{}",
            b64(format!("{{\"alg\":\"{name}\"}}")),
            good_parts().1
        );
        let key = EncodingKey::from_secret(Shop::SECRET.as_bytes());
        let signature = crypto::sign(text.as_bytes(), &key, algorithm).unwrap();
        scene.refuses(
            &format!("{name} by the right key"),
            &format!("{text}.{signature}"),
        );
    }
    let escaped = with_header(r#"{"alg":"\u0048S256"}"#);
    assert_eq!(scene.visit(&escaped), 200, "an escape is the same name");
}

/// A shop that takes an unsigned token, as some did (standards 39), must not get it as an opaque one.
#[test]
fn a_jwt_is_known_by_its_header_however_short_or_far_that_is_standards_30_39() {
    let scene = scene_with("");
    for header in [
        "{}".to_owned(),
        "{ }".to_owned(),
        format!("{}{{\"alg\":\"none\"}}", " \n".repeat(30)),
    ] {
        let token = with_header(&header);
        scene.refuses(&header, &token);
        let unsigned = &token[..=token.rfind('.').unwrap()];
        scene.refuses(&format!("{header} unsigned"), unsigned);
    }
}

#[test]
fn a_token_with_crit_is_refused_standards_31_32() {
    let scene = scene_with("");
    for member in [
        r#""crit":["x-unknown"],"x-unknown":1"#,
        r#""crit":["exp"],"exp":4000000000"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":["b64"],"b64":true"#,
        r#""crit":[]"#,
        r#""crit":null"#,
        r#""crit":"b64""#,
        r#""\u0063rit":["x-unknown"]"#,
        r#""b64":false"#,
    ] {
        scene.refuses(
            member,
            &with_header(format!("{{\"alg\":\"HS256\",{member}}}")),
        );
    }
}

#[test]
fn a_repeated_name_is_refused_standards_29_50() {
    let scene = scene_with("");
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256","x":{"a":1,"a":2}}"#,
    ] {
        scene.refuses(header, &with_header(header));
    }
    for payload in [
        r#"{"sub":3,"jti":"a-1","jti":"a-2"}"#,
        r#"{"sub":3,"jti":"a-1","jti":"a-1"}"#,
        r#"{"sub":3,"jti":"a-1","\u006ati":"a-2"}"#,
        r#"{"sub":3,"sub":4}"#,
        r#"{"sub":3,"exp":4000000000,"exp":4000000001}"#,
        r#"{"sub":3,"data":{"user":{"id":1,"id":2}}}"#,
        r#"{"sub":3,"data":[{"a":1,"\u0061":1}]}"#,
    ] {
        scene.refuses(payload, &token(HEADER, payload));
    }
    let cousins = r#"{"sub":3,"data":{"jti":"x"},"jti":"y","JTI":"z"}"#;
    assert_eq!(
        scene.visit(&token(HEADER, cousins)),
        200,
        "the same name elsewhere is another"
    );
}

/// A key that the shop does not know, and what an edge is told of it.
struct Key {
    private: EncodingKey,
    algorithm: Algorithm,
    /// As an operator gets it: in PEM.
    public: String,
    /// The two numbers of a point, for a JWK.
    point: Vec<u8>,
    folder: TempDir,
}

impl Key {
    fn es256() -> Self {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
        let public = pair.public_key().as_der().unwrap();
        Self {
            private: EncodingKey::from_ec_der(pkcs8.as_ref()),
            algorithm: Algorithm::ES256,
            public: pem("PUBLIC KEY", public.as_ref()),
            point: pair.public_key().as_ref()[1..].to_vec(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn rs256() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key().as_der().unwrap();
        let private = pem("PRIVATE KEY", pair.as_der().unwrap().as_ref());
        Self {
            private: EncodingKey::from_rsa_pem(private.as_bytes()).unwrap(),
            algorithm: Algorithm::RS256,
            public: pem("PUBLIC KEY", public.as_ref()),
            point: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The keys of a shop that signs with it.
    fn config(&self) -> String {
        let file = self.folder.path().join("public.pem");
        fs::write(&file, &self.public).unwrap();
        format!(
            "token.algorithms = [\"{:?}\"]\ntoken.public_key_file = \"{}\"\n",
            self.algorithm,
            file.display()
        )
    }

    fn jwk(&self, id: &str) -> Value {
        let (x, y) = self.point.split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": b64(x), "y": b64(y) })
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let mut header = header.clone();
        header["alg"] = json!(format!("{:?}", self.algorithm));
        let text = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = crypto::sign(text.as_bytes(), &self.private, self.algorithm).unwrap();
        format!("{text}.{signature}")
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

#[test]
fn a_public_key_is_no_shared_secret_standards_43() {
    for key in [Key::rs256(), Key::es256()] {
        let scene = scene_with_key(&key.config());
        let (payload, der) = (
            good_parts().1,
            key.public.lines().filter(|line| !line.starts_with('-')),
        );
        let der = STANDARD.decode(der.collect::<String>()).unwrap();
        let text = format!("{}.{payload}", b64(HEADER));
        let spellings: [(&str, &[u8]); 4] = [
            ("the file", key.public.as_bytes()),
            (
                "the file without its last line end",
                key.public.trim_end().as_bytes(),
            ),
            ("the key in DER", &der),
            ("the point", &key.point),
        ];
        for (spelling, secret) in spellings {
            let secret = EncodingKey::from_secret(secret);
            let signature = crypto::sign(text.as_bytes(), &secret, Algorithm::HS256).unwrap();
            scene.refuses(spelling, &format!("{text}.{signature}"));
        }
        scene.refuses("the shop's own secret", &with_claims(&json!({})));
        scene.admits(
            "the private key",
            &key.token(&json!({}), &claims(&json!({}))),
        );
    }
}

/// A set of keys named "one" and "two".
fn key_set(keys: &[Key; 2]) -> String {
    let [one, two] = keys;
    let file = one.folder.path().join("jwks.json");
    let set = json!({ "keys": [one.jwk("one"), two.jwk("two")] });
    fs::write(&file, set.to_string()).unwrap();
    format!(
        "token.algorithms = [\"ES256\"]\ntoken.jwks_file = \"{}\"\n",
        file.display()
    )
}

#[test]
fn a_key_id_is_a_string_and_names_a_key_standards_34() {
    let keys = [Key::es256(), Key::es256()];
    let scene = scene_with_key(&key_set(&keys));
    let [one, two] = &keys;
    let claims = claims(&json!({}));
    for id in [
        json!(1),
        json!(true),
        json!(["one"]),
        json!({"one": 1}),
        json!("three"),
        json!("ONE"),
        json!("one "),
        json!(""),
        json!("two"),
        json!("../keys/one"),
        json!("one' OR '1'='1"),
    ] {
        let token = one.token(&json!({ "kid": id }), &claims);
        scene.refuses(&id.to_string(), &token);
    }
    scene.admits(
        "the right id",
        &one.token(&json!({ "kid": "one" }), &claims),
    );
    scene.admits(
        "the other right id",
        &two.token(&json!({ "kid": "two" }), &claims),
    );
    scene.admits("no id", &two.token(&json!({}), &claims));
    scene.admits("null is none", &two.token(&json!({ "kid": null }), &claims));
}

#[test]
fn where_there_is_one_key_any_string_may_name_it_and_nothing_else_standards_34() {
    let scene = scene_with("");
    for id in ["5", "[\"a\"]", "{}", "false"] {
        scene.refuses(
            id,
            &with_header(format!("{{\"alg\":\"HS256\",\"kid\":{id}}}")),
        );
    }
    for id in ["a", "", "../../etc/passwd", "http://example.com/key"] {
        let token = with_header(format!("{{\"alg\":\"HS256\",\"kid\":\"{id}\"}}"));
        assert_eq!(scene.visit(&token), 200, "{id}");
    }
}

#[test]
fn a_key_that_the_token_brings_or_names_is_ignored_and_nothing_is_fetched_standards_33() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let address = elsewhere.local_addr().unwrap();
    let keys = [Key::es256(), Key::es256()];
    let scene = scene_with_key(&key_set(&keys));
    let stranger = Key::es256();
    let brought = stranger.jwk("one");
    for header in [
        json!({ "jku": format!("http://{address}/keys.json") }),
        json!({ "x5u": format!("http://{address}/cert.pem") }),
        json!({ "jku": 5, "x5u": [], "x5t": "AA" }),
        json!({ "jwk": brought }),
        json!({ "jwk": brought, "kid": "one" }),
        json!({ "x5c": [STANDARD.encode(&stranger.point)] }),
    ] {
        let claims = claims(&json!({}));
        scene.refuses(&header.to_string(), &stranger.token(&header, &claims));
        scene.admits(&header.to_string(), &keys[0].token(&header, &claims));
    }
    let knock = elsewhere.accept().unwrap_err();
    assert_eq!(
        knock.kind(),
        ErrorKind::WouldBlock,
        "nobody asked for a key"
    );
}

#[test]
fn a_token_for_something_else_is_refused_standards_36_62() {
    let scene = scene_with("");
    let typed = |kind: &Value| with_header(json!({ "alg": "HS256", "typ": kind }).to_string());
    for kind in [
        json!("logout+jwt"),
        json!("LOGOUT+JWT"),
        json!("application/logout+jwt"),
        json!("secevent+jwt"),
        json!("Application/SecEvent+JWT"),
        json!("statuslist+jwt"),
        json!("dpop+jwt"),
        json!("application/at+jwt+jwt"),
        json!(5),
        json!(["at+jwt"]),
        json!({}),
    ] {
        scene.refuses(&kind.to_string(), &typed(&kind));
    }
    for kind in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", ""] {
        assert_eq!(scene.visit(&typed(&json!(kind))), 200, "{kind}");
    }
    assert_eq!(
        scene.visit(&with_header(r#"{"alg":"HS256"}"#)),
        200,
        "no type"
    );
}

#[test]
fn times_are_numbers_that_can_be_times_standards_54_55() {
    let scene = scene_with("");
    for name in ["exp", "nbf", "iat"] {
        for value in [
            "\"1790000000\"",
            "\"\"",
            "-1",
            "-1790000000",
            "-0.5",
            "1e300",
            "-1e300",
            "1e13",
            "18446744073709551615",
            "340282366920938463463374607431768211456",
            "true",
            "[1790000000]",
            "{}",
        ] {
            let is_large = value.parse::<f64>().is_ok_and(|number| number > 1e12);
            if name == "exp" && is_large {
                continue; // far ahead, and so for everybody
            }
            let payload = format!("{{\"sub\":3,\"jti\":\"a-1\",\"{name}\":{value}}}");
            scene.refuses(&payload, &token(HEADER, &payload));
        }
    }
    for over in [
        json!({ "exp": 4_000_000_000.5 }),
        json!({ "iat": 1_790_000_000.999 }),
        json!({ "nbf": 1_790_000_000.25 }),
        json!({ "exp": 4.0e9 }),
        json!({ "exp": null }),
        json!({ "iat": null }),
        json!({ "iat": 0 }),
        json!({ "nbf": 0 }),
    ] {
        assert_eq!(scene.visit(&with_claims(&over)), 200, "{over}");
    }
    let payload = r#"{"sub":3,"jti":"a-1","exp":null,"iat":null,"nbf":null}"#;
    assert_eq!(scene.visit(&token(HEADER, payload)), 200, "null is none");
}

#[test]
fn the_issuer_is_there_and_exact_where_it_is_pinned_standards_57() {
    let scene =
        scene_with("token.issuer = [\"https://shop.example.com\", \"https://old.example.com\"]\n");
    for issuer in [
        json!(null),
        json!(5),
        json!(""),
        json!("https://evil.example.com"),
        json!("https://shop.example.com/"),
        json!("HTTPS://shop.example.com"),
        json!("https://shop.example.com\u{0}"),
        json!(" https://shop.example.com"),
        json!(["https://shop.example.com"]),
        json!(["https://evil.example.com", "https://shop.example.com"]),
        json!({ "https://shop.example.com": true }),
    ] {
        scene.refuses(&issuer.to_string(), &with_claims(&json!({ "iss": issuer })));
    }
    for issuer in ["https://shop.example.com", "https://old.example.com"] {
        assert_eq!(
            scene.visit(&with_claims(&json!({ "iss": issuer }))),
            200,
            "{issuer}"
        );
    }
}

#[test]
fn the_audience_names_us_where_it_is_pinned_standards_56() {
    let scene = scene_with("token.audience = [\"storefront\", \"app\"]\n");
    for audience in [
        json!(null),
        json!(5),
        json!(""),
        json!([]),
        json!("other"),
        json!("Storefront"),
        json!("storefront,app"),
        json!(["other"]),
        json!(["storefront", 5]),
        json!([["storefront"]]),
        json!({ "aud": "storefront" }),
    ] {
        scene.refuses(
            &audience.to_string(),
            &with_claims(&json!({ "aud": audience })),
        );
    }
    for audience in [
        json!("storefront"),
        json!("app"),
        json!(["other", "app"]),
        json!(["storefront"]),
    ] {
        assert_eq!(
            scene.visit(&with_claims(&json!({ "aud": audience }))),
            200,
            "{audience}"
        );
    }
}

#[test]
fn a_customer_and_a_session_are_names_or_numbers_standards_58() {
    let scene = scene_with("");
    for name in ["sub", "sid"] {
        for value in [json!({ "id": 3 }), json!([3]), json!(true), json!(5.5)] {
            let what = format!("{name} {value}");
            scene.refuses(&what, &with_claims(&json!({ name: value })));
        }
    }
    for over in [
        json!({ "sub": "3" }),
        json!({ "sub": 3 }),
        json!({ "sid": 5 }),
        json!({ "sid": "s" }),
    ] {
        assert_eq!(scene.visit(&with_claims(&over)), 200, "{over}");
    }
}

#[test]
fn a_token_whose_id_is_no_name_can_still_be_revoked_standards_59_60_trap_6() {
    let scene = scene_with("revoke = \"token\"\n");
    let strange = [
        json!(null),
        json!(""),
        json!(5),
        json!(-7),
        json!(5.5),
        json!(u64::MAX),
        json!(true),
        json!({ "a": 1 }),
        json!([1]),
        json!(" "),
        json!("\u{0}"),
        json!("é"),
        json!("x".repeat(5000)),
    ];
    for id in strange {
        let text = id.to_string();
        let what = &text[..text.len().min(20)];
        let [dead, live] =
            ["here", "there"].map(|device| with_claims(&json!({ "jti": id, "device": device })));
        assert_eq!(scene.visit(&dead), 200, "{what}");
        let stored = scene.stored();
        assert_eq!(scene.log_out(&dead), 200, "{what}");
        assert_eq!(scene.stored(), stored + 1, "{what}");
        scene.turns_away(what, &dead);
        let named = id.is_u64() || id.is_i64() || id.as_str().is_some_and(|id| !id.is_empty());
        if named {
            scene.turns_away(what, &live);
        } else {
            assert_eq!(
                scene.visit(&live),
                200,
                "{what}: another token without a name"
            );
        }
    }
    scene.turns_away(
        "5 and \"5\" are one id",
        &with_claims(&json!({ "jti": "5", "device": "third" })),
    );
}

/// Every spelling of the same signature that a lenient reader would take.
fn respelled(token: &str) -> Vec<String> {
    let (text, signature) = token.rsplit_once('.').unwrap();
    let slack = (1..16).filter_map(|pattern| with_slack(signature, pattern));
    let padded = ["=", "==", "%3D", ".", "A"].map(|end| format!("{signature}{end}"));
    let other_alphabet = signature.replace('-', "+").replace('_', "/");
    let cut = signature[..signature.len() - 1].to_owned();
    let mut spellings: Vec<_> = slack.chain(padded).chain([other_alphabet, cut]).collect();
    spellings.retain(|spelling| spelling != signature);
    spellings.sort();
    spellings.dedup();
    spellings
        .iter()
        .map(|signature| format!("{text}.{signature}"))
        .collect()
}

#[test]
fn a_respelled_signature_does_not_bring_a_token_back_trap_7() {
    let scene = scene_with("revoke = \"token\"\n");
    for over in [
        json!({ "jti": "a-7" }),
        json!({ "jti": null, "device": "seven" }),
    ] {
        let token = with_claims(&over);
        assert_eq!(scene.log_out(&token), 200);
        let spellings = respelled(&token);
        assert!(spellings.len() > 5, "{spellings:?}");
        for spelling in &spellings {
            scene.refuses(spelling, spelling);
        }
        scene.turns_away("as it was", &token);
    }
}

/// The other valid signature of the same text: `s` becomes `n - s`.
fn mirrored(token: &str) -> String {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&ORDER[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let (text, signature) = token.rsplit_once('.').unwrap();
    let mut signature = unb64(signature);
    let mut borrow = 0;
    for at in (0..32).rev() {
        let rest = i16::from(order[at]) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(rest < 0);
        signature[32 + at] = u8::try_from(rest.rem_euclid(256)).unwrap();
    }
    format!("{text}.{}", b64(signature))
}

#[test]
fn a_mirrored_signature_does_not_bring_a_token_back_trap_7() {
    let key = Key::es256();
    let scene = scene_with_key(&format!("revoke = \"token\"\n{}", key.config()));
    for over in [json!({ "jti": "a-8" }), json!({ "jti": null })] {
        for seen_before in [true, false] {
            let over = over.as_object().unwrap().clone();
            let mut claims = claims(&Value::Object(over));
            claims["seen_before"] = json!(seen_before);
            if claims.get("jti").is_some() {
                claims["jti"] = json!(format!("a-{seen_before}"));
            }
            let token = key.token(&json!({}), &claims);
            if seen_before {
                scene.admits("mirrored", &mirrored(&token));
            }
            assert_eq!(scene.log_out(&token), 200);
            let answer = scene.turns_away("mirrored", &mirrored(&token));
            assert!(answer.text().contains("revoked"), "{}", answer.text());
            for spelling in respelled(&mirrored(&token)) {
                scene.refuses(&spelling, &spelling);
            }
        }
    }
}

const FORWARD: &str = "token.unverifiable = \"forward\"\n";

#[test]
fn where_unverifiable_tokens_are_forwarded_a_dead_one_stays_dead_in_every_spelling_trap_7() {
    let scene = scene_with(&format!("revoke = \"token\"\n{FORWARD}"));
    let forged = format!("{}.{}", good_parts().0, good_parts().1);
    scene.admits("a forged one", &format!("{forged}.{}", b64([7; 32])));
    scene.admits(
        "one for something else",
        &with_header(r#"{"alg":"HS256","typ":"logout+jwt"}"#),
    );
    for over in [
        json!({ "jti": "a-9" }),
        json!({ "jti": null, "device": "nine" }),
    ] {
        let token = with_claims(&over);
        let (text, _) = token.rsplit_once('.').unwrap();
        for spelling in respelled(&token) {
            scene.admits("before the logout", &spelling);
        }
        assert_eq!(scene.log_out(&token), 200);
        let empty = [format!("{text}."), format!("{text}.{}", b64([7; 32]))];
        for spelling in respelled(&token).iter().chain(&empty) {
            if spelling.matches('.').count() == 2 {
                scene.turns_away(spelling, spelling);
            }
        }
        scene.turns_away("as it was", &token);
    }
}

#[test]
fn a_forged_token_revokes_only_itself_standards_128_trap_25() {
    let shop = stateless_bagisto();
    let config_toml = format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\nrevoke = \"subject\"\nanswer = \"local\"\n{FORWARD}\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{{secret_file}}\"\n\
         [[shop.logout]]\npaths = [\"/api/shop/customers/logout\"]\n",
        shop.address()
    );
    let scene = Scene::configured(shop, &config_toml).visiting(PROFILE);
    let alice = with_claims(&json!({ "sid": "s-1" }));
    let forged = with_claims(&json!({ "sid": "s-1", "iat": 1_700_000_000 }));
    let forged = format!("{}.{}", forged.rsplit_once('.').unwrap().0, b64([7; 32]));
    assert_eq!(scene.log_out(&forged), 200);
    assert_eq!(scene.stored(), 1, "its own digest");
    scene.turns_away("the forged one", &forged);
    assert_eq!(scene.visit(&alice), 200, "the customer that it named");
}

/// What a customer can see of an answer, apart from when it was given.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut headers = answer.headers.clone();
    let differs = ["date", "x-request-id"];
    headers.retain(|(name, _)| !differs.contains(&name.to_lowercase().as_str()));
    (answer.status, headers, answer.body.clone())
}

#[test]
fn every_flaw_has_the_same_answer_standards_20_38() {
    let scene = scene_with("token.issuer = \"https://shop.example.com\"\n");
    let (header, payload) = good_parts();
    let flaws = [
        (
            "a bad signature",
            format!("{header}.{payload}.{}", b64([7; 32])),
        ),
        (
            "a short signature",
            format!("{header}.{payload}.{}", b64([7; 31])),
        ),
        ("no signature", format!("{header}.{payload}.")),
        ("another algorithm", with_header(r#"{"alg":"none"}"#)),
        (
            "a critical extension",
            with_header(r#"{"alg":"HS256","crit":["x"]}"#),
        ),
        ("a bad key id", with_header(r#"{"alg":"HS256","kid":5}"#)),
        (
            "another type",
            with_header(r#"{"alg":"HS256","typ":"logout+jwt"}"#),
        ),
        (
            "another issuer",
            with_claims(&json!({ "iss": "<script>alert(1)</script>" })),
        ),
        ("a bad claim", with_claims(&json!({ "exp": "never" }))),
        ("too long", with_claims(&json!({ "x": "x".repeat(20_000) }))),
        (
            "issued in the future",
            with_claims(&json!({ "iat": FAR, "iss": "https://shop.example.com" })),
        ),
    ];
    let [visit, logout] = scene.refuses("nothing but letters", "eyJ9.e30.AA");
    for (flaw, token) in &flaws {
        let [other_visit, other_logout] = scene.refuses(flaw, token);
        assert_eq!(seen(&other_visit), seen(&visit), "{flaw}");
        assert_eq!(seen(&other_logout), seen(&logout), "{flaw}");
    }
    assert_eq!(visit.json(), json!({ "message": "The token is invalid" }));
    assert_eq!(
        logout.json(),
        json!({ "message": "Only authenticated customers can log out" })
    );
}

/// A good token of exactly that length.
fn long(bytes: usize) -> String {
    let header = b64(HEADER);
    let payload_letters = bytes - header.len() - 43 - 2;
    let payload_bytes = payload_letters * 3 / 4;
    let bare = claims(&json!({ "pad": "" })).to_string().len();
    let token = with_claims(&json!({ "pad": "x".repeat(payload_bytes - bare) }));
    assert_eq!(token.len(), bytes);
    token
}

#[test]
fn a_token_of_16_kib_is_read_and_a_longer_one_is_refused() {
    let scene = scene_with("");
    let longest = long(16 << 10);
    assert_eq!(scene.visit(&longest), 200);
    scene.refuses("a letter more", &long((16 << 10) + 1));
    scene.refuses(
        "far too long",
        &with_claims(&json!({ "pad": "x".repeat(20_000) })),
    );
    scene.refuses("far too long and no JWT", &"x".repeat(20_000));
    assert_eq!(scene.log_out(&longest), 200);
    scene.turns_away("the longest", &longest);
}

#[test]
fn what_no_header_can_carry_is_refused_in_a_query_standards_28() {
    let shop = stateless_bagisto();
    let config = format!(
        "{}[[shop.credential]]\nquery = \"token\"\nkind = \"jwt\"\n",
        shop_table(&shop)
    );
    let edge = Edge::with(&config);
    let good = with_claims(&json!({}));
    let visits = shop.visits();
    for broken in [
        good.replacen('.', ".%20", 1),
        good.replacen('.', "%0D%0A.", 1),
        good.replace('.', "%2E%2E"),
    ] {
        let target = format!("/cart?token={broken}");
        let answer = edge.raw(&support::request("GET", &target, &[], b""));
        assert_eq!(answer, 401, "{broken}");
        assert_eq!(shop.visits(), visits, "{broken}");
    }
    // What stands around a whole token hides neither a dead one nor a living one.
    let dead = with_claims(&json!({"jti": "d-1"}));
    let revoke = ["revoke", "--shop", "main", "--token", "-"];
    assert_eq!(
        edge.command_with_input(&revoke, dead.as_bytes()).code,
        Some(0)
    );
    let around = ["T%0A", "%20T", "T%00", "T%FF", "%EF%BB%BFT", "T%C2%A0"];
    for (number, respelled) in around.into_iter().enumerate() {
        let ask = |token: &str| {
            let target = format!("/cart?token={}", respelled.replace('T', token));
            edge.raw(&support::request("GET", &target, &[], b""))
        };
        assert_eq!(ask(&dead), 401, "{respelled}");
        ask(&good);
        assert_eq!(shop.visits(), visits + number + 1, "{respelled}");
    }
    let visits = shop.visits();
    let target = format!("/cart?token={}", good.replace('.', "%2e"));
    edge.raw(&support::request("GET", &target, &[], b""));
    assert_eq!(shop.visits(), visits + 1, "the same token in percent codes");
}
