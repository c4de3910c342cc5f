//! Tokens as the field really has them: good ones that were refused, keys that come and go, several issuers for one
//! host. `field.md` and `attacks.md` number the cases; the names of the tests say which one they hold.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{CertificateParams, CustomExtension, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use support::{Edge, Scene, Shop, eventually, overlaid, stateless_bagisto};
use tempfile::TempDir;

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
fn half_a_character_in_an_unused_claim_does_no_harm_attacks_s5() {
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

const KEYS: [&str; 2] = [
    "the first key of more than thirty-two bytes",
    "the other key of more than thirty-two bytes",
];

/// Tables of tokens of two issuers, each with its key and these further lines, in a folder that must outlive them.
fn two_issuers(more: [&str; 2]) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let tables = [0, 1].map(|number: usize| {
        let file = folder.path().join(format!("{number}.secret"));
        fs::write(&file, KEYS[number]).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        format!(
            "[[shop.token]]\nalgorithms = [\"HS256\"]\nsecret_file = \"{}\"\n{}",
            file.display(),
            more[number]
        )
    });
    (folder, tables.concat())
}

fn scene_of(shop: Shop, tables: &str) -> Scene {
    let config_toml = format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\nanswer = \"local\"\nrevoke = \"subject\"\n\
         {tables}[[shop.logout]]\npaths = [\"/api/shop/customers/logout\"]\n",
        shop.address()
    );
    Scene::configured(shop, &config_toml).visiting(PROFILE)
}

#[test]
fn several_issuers_each_have_their_keys_claims_and_domain_field_f8() {
    let (_folder, tables) = two_issuers([
        "issuer = \"https://a.example\"\n",
        "issuer = \"https://b.example\"\ntoken_domain = \"b\"\nclaims.subject = \"/uid\"\n",
    ]);
    let mut scene = scene_of(stateless_bagisto(), &tables);
    let of = |number: usize, over: Value| {
        let issuer = ["https://a.example", "https://b.example"][number];
        let over = overlaid(json!({ "iss": issuer, "uid": 3 }), &over);
        token_by(KEYS[number], HEADER, &claims(&over))
    };
    let [ours, theirs] = [0, 1].map(|number| of(number, json!({ "jti": "same" })));
    scene.admits("of the first", &ours);
    scene.admits("of the second", &theirs);
    for (what, iss, key) in [
        ("another issuer's key", json!("https://a.example"), KEYS[1]),
        ("the other way round", json!("https://b.example"), KEYS[0]),
        (
            "an issuer that is none",
            json!("https://c.example"),
            KEYS[0],
        ),
        ("no issuer", json!(null), KEYS[0]),
        (
            "several",
            json!(["https://a.example", "https://b.example"]),
            KEYS[0],
        ),
    ] {
        let payload = claims(&json!({ "iss": iss, "jti": "b-1" }));
        scene.turns_away(what, &token_by(key, HEADER, &payload));
    }
    assert_eq!(scene.log_out(&theirs), 200);
    scene.turns_away("after its logout", &theirs);
    let other_device = of(1, json!({ "jti": "b-2", "sub": 99 }));
    scene.turns_away("the customer's other one", &other_device);
    scene.admits("the same number and id of another issuer", &ours);
    scene.edge.restart();
    scene.turns_away("after a restart", &other_device);
    scene.admits("after a restart", &ours);
    assert_eq!(scene.log_out(&ours), 200);
    scene.turns_away("after its logout", &ours);
}

#[test]
fn several_issuers_are_told_apart_by_their_key_ids_field_f8() {
    let (_folder, tables) = two_issuers(["kid = [\"a\", \"aa\"]\n", "kid = \"b\"\n"]);
    let scene = scene_of(stateless_bagisto(), &tables);
    let of = |number: usize, header: &str, id: &str| {
        token_by(KEYS[number], header, &claims(&json!({ "jti": id })))
    };
    let header = |kid: &str| format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
    scene.admits("the first", &of(0, &header("a"), "1"));
    scene.admits("its other name", &of(0, &header("aa"), "1"));
    scene.admits("the second", &of(1, &header("b"), "1"));
    scene.turns_away("another's key", &of(1, &header("a"), "1"));
    scene.turns_away("a name of neither", &of(0, &header("c"), "1"));
    scene.turns_away("no name", &of(0, HEADER, "1"));
    assert_eq!(scene.log_out(&of(1, &header("b"), "2")), 200);
    scene.turns_away("one domain, one customer", &of(0, &header("a"), "3"));
}

#[test]
fn two_issuers_that_could_claim_one_token_are_a_fault_field_f8() {
    let unfit = [
        ["", ""],
        ["issuer = \"https://a.example\"\n", ""],
        ["issuer = [\"x\", \"y\"]\n", "issuer = [\"y\", \"z\"]\n"],
        ["kid = \"a\"\n", "issuer = \"x\"\n"],
    ];
    for more in unfit {
        let (_folder, tables) = two_issuers(more);
        let shop = stateless_bagisto();
        let config_toml = format!(
            "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\n{tables}",
            shop.address()
        );
        let outcome = Edge::try_start(&config_toml).err().unwrap();
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains("a token could belong to two"), "{said}");
    }
}

/// A customer or an administrator of Laravel.
fn of_laravel(prv: &Value, id: &str) -> String {
    with_claims(&json!({ "prv": prv, "jti": id }))
}

#[test]
fn an_administrator_of_the_same_number_logs_no_customer_out_attacks_b12() {
    let mut scene = scene_with("");
    let (customer, admin) = (
        json!("23bd5c8949f600adb39e701c400872db7a5976f7"),
        json!("ab"),
    );
    let phone = of_laravel(&customer, "phone");
    scene.ends_with_its_logout("an administrator", &of_laravel(&admin, "desk"));
    scene.turns_away("its other one", &of_laravel(&admin, "laptop"));
    scene.admits("the customer", &phone);
    scene.admits("without a population", &of_laravel(&json!(null), "none"));
    scene.ends_with_its_logout("the customer", &of_laravel(&customer, "tablet"));
    scene.turns_away("the customer's other one", &phone);
    scene.ends_with_its_logout("without a population", &of_laravel(&json!(null), "nil"));
    scene.turns_away("another one without", &of_laravel(&json!(null), "none"));
    let bob = with_claims(&json!({ "prv": "c", "sub": 4, "jti": "bob" }));
    scene.admits("another customer", &bob);
    let revoke = ["revoke", "--shop", "main", "--subject", "4"];
    assert_eq!(scene.edge.command(&revoke).code, Some(0));
    scene.turns_away("by hand, in every population", &bob);
    scene.edge.restart();
    scene.turns_away("after a restart", &phone);
}

#[test]
fn a_logout_of_before_populations_were_told_apart_is_remembered_attacks_a8_b12() {
    let shop = stateless_bagisto();
    let table = support::shop_table(&shop);
    let former = format!("{table}answer = \"local\"\n[shop.token.claims]\nsubject = \"/sub\"\n");
    let mut scene = Scene::configured(shop, &former).visiting(PROFILE);
    let phone = of_laravel(&json!("c"), "phone");
    assert_eq!(scene.log_out(&of_laravel(&json!("c"), "tablet")), 200);
    scene.turns_away("before", &phone);
    scene
        .edge
        .configure(&format!("{table}answer = \"local\"\n"));
    scene.edge.restart();
    scene.turns_away("after", &phone);
}

#[test]
fn tokens_of_dpop_are_tokens_attacks_s6() {
    let shop = stateless_bagisto();
    let config_toml = format!(
        "[[shop]]\nname = \"main\"\npreset = \"generic-oauth\"\nupstream = [\"{}\"]\n\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{{secret_file}}\"\n\
         [[shop.route]]\npaths = [\"/account\"]\nenforce = \"required\"\n",
        shop.address()
    );
    let scene = Scene::configured(shop, &config_toml);
    let with = |scheme: &str, token: &str, method: &str, path: &str| {
        let line = format!("{scheme} {token}");
        support::request(method, path, &[("Authorization", &line)], b"")
    };
    let token = with_claims(&json!({ "jti": "dpop" }));
    for scheme in ["DPoP", "dpop", "Bearer"] {
        scene.passes(&with(scheme, &token, "GET", "/account"));
    }
    let expired = with_claims(&json!({ "exp": 1_700_000_000, "jti": "old" }));
    scene.stops(401, &with("DPoP", &expired, "GET", "/account"));
    scene.stops(200, &with("DPoP", &token, "POST", "/_doorward/logout"));
    for scheme in ["DPoP", "Bearer"] {
        scene.stops(401, &with(scheme, &token, "GET", "/account"));
    }
}

#[test]
fn a_certificate_that_demands_stapling_is_warned_of_attacks_s8() {
    let check = |extensions: Vec<CustomExtension>| {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(["shop.example.com".to_owned()]).unwrap();
        parameters.not_after = date_time_ymd(2400, 1, 1);
        parameters.custom_extensions = extensions;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, pem: String| {
            let file = folder.path().join(name);
            fs::write(&file, pem).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            file.display().to_string()
        };
        let cert_file = write("cert.pem", parameters.self_signed(&key).unwrap().pem());
        let key_file = write("key.pem", key.serialize_pem());
        let config_toml = format!(
            "listen = [\"https://127.0.0.1:0\"]\ndata_dir = \"{}\"\n\
             [[certificate]]\ncert_file = \"{cert_file}\"\nkey_file = \"{key_file}\"\n\
             [[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:9\"]\ntoken.kind = \"opaque\"\n",
            folder.path().display()
        );
        let file = write("doorward.toml", config_toml);
        let outcome = support::doorward(&["check", "--config", &file]);
        format!("{}{}", outcome.stdout, outcome.stderr)
    };
    let feature =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![48, 3, 2, 1, 5]);
    let said = check(vec![feature]);
    assert!(said.contains("must-staple"), "{said}");
    let said = check(Vec::new());
    assert!(
        !said.contains("must-staple") && said.contains("shop main"),
        "{said}"
    );
}

#[test]
fn the_former_name_of_a_token_domain_is_read_with_a_warning() {
    let shop = stateless_bagisto();
    let former = format!("{}token.realm = \"group\"\n", support::shop_table(&shop));
    let edge = Edge::with(&former);
    let outcome = edge.command(&["check"]);
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code, Some(0), "{said}");
    assert!(said.contains("is now called `token_domain`"), "{said}");
}
