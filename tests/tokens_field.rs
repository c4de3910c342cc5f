//! Tokens as the field really has them: good ones that were refused, keys that come and go, several issuers for one
//! host. `field.md` and `attacks.md` number the cases; the names of the tests say which one they hold.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use support::{Scene, Shop, eventually, overlaid};

const PROFILE: &str = "/api/shop/customers/profile";
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
const FAR: u64 = 4_000_000_000;

/// A shop whose logouts are answered here; what is admitted gets as far as the shop.
fn scene_with(more: &str) -> Scene {
    Scene::with(&format!("answer = \"local\"\n{more}")).visiting(PROFILE)
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with this header and payload, signed with this secret.
fn token_by(secret: &str, header: &str, payload: &str) -> String {
    let text = format!("{}.{}", b64(header), b64(payload));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{text}.{signature}")
}

/// The same, of the shop.
fn token(header: &str, payload: &str) -> String {
    token_by(Shop::SECRET, header, payload)
}

/// Alice's claims, with these laid over them; `null` removes one.
fn claims(over: &Value) -> String {
    let usual = json!({ "sub": 3, "jti": "a-1", "iat": 1_790_000_000, "exp": FAR });
    overlaid(usual, over).to_string()
}

fn with_claims(over: &Value) -> String {
    token(HEADER, &claims(over))
}

impl Scene {
    /// A token is good, and dead after its logout.
    #[track_caller]
    fn ends_with_its_logout(&self, what: &str, token: &str) {
        self.admits(what, token);
        assert_eq!(self.log_out(token), 200, "{what}");
        let answer = self.turns_away(what, token);
        assert!(
            answer.text().contains("revoked"),
            "{what}: {}",
            answer.text()
        );
    }
}

#[test]
fn an_end_far_ahead_is_an_end_attacks_s5() {
    let mut scene = scene_with("revoke = \"token\"\n");
    let ends = [
        "9223372036854775",
        "9007199254740991",
        "253402300799999",
        "2576980376400",
        "2576980376401",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "1e20",
        "1.7976931348623157e308",
    ];
    for (number, end) in ends.iter().enumerate() {
        let payload = format!(
            r#"{{"sub":{},"jti":"far-{number}","exp":{end}}}"#,
            40 + number
        );
        scene.ends_with_its_logout(end, &token(HEADER, &payload));
        let nameless = format!(r#"{{"sub":{},"exp":{end}}}"#, 60 + number);
        scene.ends_with_its_logout(end, &token(HEADER, &nameless));
    }
    scene.edge.restart();
    let payload = r#"{"sub":40,"jti":"far-0","exp":9223372036854775}"#;
    scene.turns_away("it is remembered", &token(HEADER, payload));
}

#[test]
fn an_empty_name_is_no_name_attacks_s5_field_f7() {
    for (name, scope) in [("sub", "subject"), ("sid", "session")] {
        let scene = scene_with(&format!("revoke = \"{scope}\"\n"));
        for empty in [json!(""), json!(false), json!([]), json!({})] {
            let over = |jti: &str| json!({ name: empty, "jti": jti });
            let [one, other] = [&empty.to_string(), "other"].map(|jti| with_claims(&over(jti)));
            scene.ends_with_its_logout(&format!("{name} {empty}"), &one);
            scene.admits("another nameless one", &other);
        }
    }
}

#[test]
fn half_a_character_in_a_claim_that_nobody_asks_for_does_no_harm_attacks_s5() {
    let scene = scene_with("revoke = \"token\"\n");
    let good = [
        r#"{"sub":3,"jti":"s-1","name":"\ud800"}"#,
        r#"{"sub":3,"jti":"s-2","name":"a\uDFFFb","more":["\ud83d","\ud83d\ude00"]}"#,
        r#"{"sub":3,"name":{"first":"\udc00\ud800"}}"#,
    ];
    for payload in good {
        scene.ends_with_its_logout(payload, &token(HEADER, payload));
    }
    let header = r#"{"alg":"HS256","x":"\ud800"}"#;
    scene.ends_with_its_logout(header, &token(header, r#"{"sub":3,"jti":"s-3"}"#));
    for payload in [
        r#"{"sub":3,"jti":"\ud800"}"#,
        r#"{"sub":"\ud800","jti":"a"}"#,
        r#"{"sub":3,"sid":"a\udc00","jti":"a"}"#,
        r#"{"sub":3,"iss":"\ud800","jti":"a"}"#,
        r#"{"sub":3,"jti":"a","jti":"b","x":"\ud800"}"#,
        r#"{"sub":3,"jti":"a","\u006ati":"b","x":"\ud800"}"#,
        r#"{"sub":3,"jti":"a","jti\ud800":"b"}"#,
        r#"{"sub":3,"jti":"a","x":{"\ud800":1}}"#,
        r#"{"sub":3,"jti":"a","x":"\ud800"}{}"#,
    ] {
        scene.turns_away(payload, &token(HEADER, payload));
    }
    let header = r#"{"alg":"HS256","kid":"\ud800"}"#;
    scene.turns_away(header, &token(header, r#"{"sub":3,"jti":"a"}"#));
}

#[test]
fn a_member_of_the_header_that_is_null_is_absent_attacks_s5() {
    let scene = scene_with("revoke = \"token\"\n");
    let headers = [
        r#"{"alg":"HS256","typ":null}"#,
        r#"{"alg":"HS256","kid":null}"#,
        r#"{"alg":"HS256","kid":null,"typ":null,"cty":null,"jku":null}"#,
    ];
    for (number, header) in headers.iter().enumerate() {
        let payload = json!({ "sub": 3, "jti": number, "sid": null, "nbf": null, "aud": null });
        scene.ends_with_its_logout(header, &token(header, &payload.to_string()));
    }
}

#[test]
fn the_log_says_which_claim_can_not_be_read_field_f7() {
    let scene = scene_with("");
    for (over, claim, found) in [
        (json!({ "exp": "4000000000" }), "expires_at", "text"),
        (json!({ "nbf": true }), "nbf", "boolean"),
        (
            json!({ "iat": 1_790_000_000_000_u64 }),
            "issued_at",
            "milliseconds",
        ),
        (json!({ "iat": -1 }), "issued_at", "negative"),
        (json!({ "sub": { "id": 987_654 } }), "subject", "object"),
        (json!({ "sid": [987_654] }), "session", "array"),
    ] {
        let what = over.to_string();
        scene.turns_away(&what, &with_claims(&over));
        let told = format!("claim={claim} found={found}");
        eventually(|| {
            scene
                .edge
                .log_lines()
                .iter()
                .any(|line| line.contains(&told))
        });
    }
    let log = scene.edge.log_lines().join("\n");
    assert!(!log.contains("987654"), "no value is told");
}

#[test]
fn times_in_another_unit_can_be_configured_field_f7() {
    let scene = scene_with(
        "revoke = \"subject\"\n[shop.token.claims]\n\
         expires_at = { claim = \"/exp\", unit = \"milliseconds\" }\n\
         issued_at = { claim = \"/iat\", unit = \"milliseconds\" }\n",
    );
    let at = |iat: Value, exp: Value| with_claims(&json!({ "iat": iat, "exp": exp, "jti": null }));
    let number = at(json!(1_790_000_000_000_u64), json!(FAR * 1000));
    let text = at(json!("1790000000001"), json!("4000000000000"));
    scene.admits("in quotes", &text);
    scene.ends_with_its_logout("a number", &number);
    scene.turns_away("the customer's other one", &text);
    scene.turns_away("no number", &at(json!("soon"), json!(FAR * 1000)));
}
