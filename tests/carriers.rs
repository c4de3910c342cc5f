//! Where requests carry tokens, and how they write them: a dead one is found, a living one and words that are none pass.
//! A dead cookie is refused here rather than taken out, so that it is seen to be found.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use support::places::{FORM, JSON, MULTIPART, OWN_LOGOUT, PAGE};
use support::{Answer, Edge, Recorder, Shop, request, said, stateless_bagisto};

type Headers<'a> = &'a [(&'a str, &'a str)];
type Lines<'a> = Vec<(&'a str, &'a str)>;

/// A shop that answers everything with 200, and an edge in front of it.
struct Scene {
    shop: Recorder,
    edge: Edge,
}

impl Scene {
    /// Without preset; `more` are further keys and tables of the shop.
    #[track_caller]
    fn with(more: &str) -> Self {
        let shop = Recorder::open();
        let table = shop.table();
        let edge = Edge::with(&format!("{table}dead_cookie = \"refuse\"\n{more}"));
        Self { shop, edge }
    }

    #[track_caller]
    fn of(preset: &str, more: &str) -> Self {
        Self::with(&format!("preset = \"{preset}\"\n{more}"))
    }

    /// The answer, and whether the shop has seen the request.
    #[track_caller]
    fn send(&self, method: &str, target: &str, headers: Headers<'_>, body: &str) -> (Answer, bool) {
        let visits = self.shop.visits();
        let answer = self
            .edge
            .raw(&request(method, target, headers, body.as_bytes()));
        (answer, self.shop.visits() > visits)
    }

    #[track_caller]
    fn passes(&self, method: &str, target: &str, headers: Headers<'_>, body: &str) {
        let (answer, seen) = self.send(method, target, headers, body);
        let told = format!(
            "{method} {target} {headers:?} {body}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(seen && answer == 200, "an innocent is refused: {told}");
    }

    #[track_caller]
    fn stops(&self, method: &str, target: &str, headers: Headers<'_>, body: &str) {
        let (answer, seen) = self.send(method, target, headers, body);
        let told = format!(
            "{method} {target} {headers:?} {body}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(
            !seen && matches!(answer.status, 400 | 401),
            "a dead token passes: {told}"
        );
    }

    /// A visit with this line is refused if that has a dead token in it, and reaches the shop otherwise.
    #[track_caller]
    fn judges(&self, line: &Line, is_dead: bool) {
        if is_dead {
            self.stops("GET", PAGE, &[line.pair()], "");
        } else {
            self.passes("GET", PAGE, &[line.pair()], "");
        }
    }

    /// Whether a visit with this bearer reaches the shop.
    fn admits(&self, token: &str) -> bool {
        self.send("GET", PAGE, &[bearer(token).pair()], "").1
    }

    /// Doorward's own logout succeeds.
    #[track_caller]
    fn log_out(&self, headers: Headers<'_>, body: &str) {
        let headers = [&[("Sec-Fetch-Site", "same-origin")], headers].concat();
        let (answer, _) = self.send("POST", OWN_LOGOUT, &headers, body);
        assert_eq!(answer.status, 200, "{headers:?} {body}: {}", answer.text());
    }
}

/// A header line that is made.
struct Line(&'static str, String);

impl Line {
    fn pair(&self) -> (&str, &str) {
        (self.0, &self.1)
    }
}

fn bearer(token: &str) -> Line {
    Line("Authorization", format!("Bearer {token}"))
}

fn cookie(text: impl Into<String>) -> Line {
    Line("Cookie", text.into())
}

fn jwt(id: &str) -> String {
    signed(id, Algorithm::HS256)
}

fn signed(id: &str, algorithm: Algorithm) -> String {
    let now = doorward::clock::now_ms() / 1000;
    let claims = json!({ "sub": id, "jti": id, "iat": now - 5, "exp": now + 3000 });
    let key = EncodingKey::from_secret(Shop::SECRET.repeat(2).as_bytes());
    let usual = EncodingKey::from_secret(Shop::SECRET.as_bytes());
    let key = if algorithm == Algorithm::HS256 {
        usual
    } else {
        key
    };
    jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap()
}

/// A multipart body of one field.
fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--b--\r\n")
}

const BEARER: &str = "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n";
const OPAQUE: &str = "8xLOxBtZp8-of-alice-0123456789";
const OTHER: &str = "8xLOxBtZp8-of-bob-0123456789ab";

// --- what a logout ends -------------------------------------------------------------------------

#[test]
fn a_logout_with_a_dead_token_ends_the_living_one_beside_it_field_f1() {
    let scene = Scene::of("generic-oauth", "");
    for (number, refresh) in [OPAQUE.to_owned(), jwt("r-1")].iter().enumerate() {
        let access = jwt(&format!("a-{number}"));
        let line = bearer(&access);
        let revoke = |body: &str| {
            scene
                .send("POST", "/oauth/revoke", &[line.pair(), FORM], body)
                .0
        };
        assert_eq!(revoke(&format!("token={access}")), 200);
        assert!(!scene.admits(&access));
        let body = format!("token={refresh}&token_type_hint=refresh_token");
        assert_eq!(revoke(&body), 200);
        let mint = format!("grant_type=refresh_token&refresh_token={refresh}");
        scene.stops("POST", "/oauth/token", &[FORM], &mint);
    }
}

#[test]
fn a_refresh_token_ends_at_a_logout_whose_bearer_is_dead_in_every_preset_that_has_one_field_f1() {
    for (preset, logout, refresh, token) in [
        (
            "cocart-jwt",
            OWN_LOGOUT,
            "/wp-json/cocart/jwt/refresh-token",
            "0a".repeat(64),
        ),
        (
            "spree",
            "/api/v3/store/auth/logout",
            "/api/v3/store/auth/refresh",
            "rt_of-alice-1".to_owned(),
        ),
    ] {
        let scene = Scene::of(preset, "");
        let access = jwt("a-1");
        scene.log_out(&[bearer(&access).pair()], "");
        let body = json!({ "refresh_token": token }).to_string();
        scene.passes("POST", refresh, &[JSON], &body);
        let line = bearer(&access);
        scene.send("POST", logout, &[line.pair(), JSON], &body);
        scene.stops("POST", refresh, &[JSON], &body);
        assert!(!scene.admits(&access), "{preset}");
    }
}

const BESIDE_A_COOKIE: &str = "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
     [[shop.credential]]\ncookie = \"jwt\"\n[[shop.logout]]\npaths = [\"/logout\"]\nanswer = \"forward\"\n";

#[test]
fn a_dead_or_unreadable_cookie_beside_a_living_bearer_hinders_no_logout_attacks_b7() {
    let scene = Scene::with(BESIDE_A_COOKIE);
    let dead = jwt("dead");
    scene.log_out(&[bearer(&dead).pair()], "");
    let forged = format!("{}AAAA", &dead[..dead.len() - 4]);
    for (number, value) in [dead.as_str(), &forged, "junk", "a.b.c"].iter().enumerate() {
        for logout in [OWN_LOGOUT, "/logout"] {
            let living = jwt(&format!("b7-{number}-{logout}"));
            let (line, beside) = (bearer(&living), cookie(format!("jwt={value}")));
            let headers = [
                line.pair(),
                beside.pair(),
                ("Sec-Fetch-Site", "same-origin"),
            ];
            let (answer, _) = scene.send("POST", logout, &headers, "");
            assert_eq!(answer.status, 200, "{value} at {logout}: {}", answer.text());
            assert!(!scene.admits(&living), "{value} at {logout}");
        }
    }
}

#[test]
fn a_logout_revokes_a_token_whose_key_is_not_published_and_is_forwarded_attacks_s0() {
    let scene = Scene::of("generic-oauth", "");
    let token = signed("hs512", Algorithm::HS512);
    let mint = format!("grant_type=refresh_token&refresh_token={token}");
    scene.passes("POST", "/oauth/token", &[FORM], &mint);
    let (answer, seen) = scene.send("POST", "/oauth/revoke", &[FORM], &format!("token={token}"));
    assert!(answer == 200 && seen, "the shop may know it");
    scene.stops("POST", "/oauth/token", &[FORM], &mint);
    scene.stops(
        "POST",
        "/oauth/token",
        &[FORM],
        &mint.replace('=', "=%20").replacen("=%20", "=", 1),
    );
    let other = signed("another", Algorithm::HS512);
    scene.passes(
        "POST",
        "/oauth/token",
        &[FORM],
        &format!("refresh_token={other}"),
    );
}

const ASKED: &str = "token.kind = \"opaque\"\ntoken.max_token_lifetime = \"forever\"\n\
     token.introspection = { path = \"/who\", active = { json = { \"/id\" = \"*\" } }, subject = \"/id\" }\n\
     [[shop.logout]]\npaths = [\"/bye\"]\nanswer = \"local\"\n";

#[test]
fn a_logout_ends_the_token_whatever_the_shop_says_of_it_attacks_a5() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\n{ASKED}",
        shop.address()
    ));
    let ask = |method: &str, path: &str, token: &str| {
        edge.raw(&request(method, path, &[bearer(token).pair()], b""))
            .status
    };
    shop.recite(PAGE, said(200, "{}"));
    for (number, (status, body)) in [
        (403, ""),
        (302, ""),
        (404, "not here"),
        (401, "{}"),
        (200, "<html>back soon</html>"),
        (
            200,
            r#"{"errors":[{"message":"down"}],"data":{"activeCustomer":null}}"#,
        ),
        (200, r#"{"id":null}"#),
    ]
    .into_iter()
    .enumerate()
    {
        let token = format!("opaque-0123456789-{number:04}");
        shop.recite("/who", said(status, body));
        assert_eq!(ask("POST", "/bye", &token), 200, "{status} {body}");
        shop.recite("/who", said(200, r#"{"id":"7"}"#));
        let visits = shop.visits();
        assert_eq!(ask("GET", PAGE, &token), 401, "{status} {body}");
        assert_eq!(shop.visits(), visits, "{status} {body}");
    }
    assert_eq!(ask("GET", PAGE, "opaque-0123456789-other"), 200);
}

// --- carriers ------------------------------------------------------------------------------------

#[test]
fn a_dead_refresh_token_mints_nothing_where_query_and_form_are_merged_field_f3() {
    let scene = Scene::of("generic-oauth", "");
    let (access, second) = (jwt("a-1"), jwt("r-2"));
    let line = bearer(&access);
    let revoke = format!("/oauth/revoke?token={second}");
    assert_eq!(scene.send("POST", &revoke, &[line.pair()], "").0, 200);
    for token in [&second, OPAQUE] {
        assert_eq!(
            scene
                .send("POST", "/oauth/revoke", &[FORM], &format!("token={token}"))
                .0,
            200
        );
        let query = format!("/oauth/token?grant_type=refresh_token&refresh_token={token}");
        scene.stops("POST", &query, &[], "");
        scene.stops("POST", &query, &[FORM], "client_id=1");
        scene.stops(
            "POST",
            "/oauth/token?grant_type=refresh_token",
            &[FORM],
            &format!("refresh_token={token}"),
        );
        scene.stops(
            "POST",
            "/oauth/token",
            &[JSON],
            &json!({ "refresh_token": token }).to_string(),
        );
        scene.stops(
            "POST",
            "/oauth/token",
            &[MULTIPART],
            &part("refresh_token", token),
        );
    }
    scene.passes(
        "POST",
        &format!("/oauth/token?refresh_token={OTHER}"),
        &[],
        "",
    );
}

#[test]
fn a_logout_that_names_its_token_in_the_query_ends_that_one_field_f3() {
    let scene = Scene::of("generic-oauth", "");
    let (access, named) = (jwt("a-1"), jwt("r-2"));
    for (query, dead) in [
        (format!("token={named}"), named.as_str()),
        (format!("token={OPAQUE}"), OPAQUE),
    ] {
        let line = bearer(&access);
        assert_eq!(
            scene
                .send(
                    "POST",
                    &format!("/oauth/revoke?{query}"),
                    &[line.pair()],
                    ""
                )
                .0,
            200
        );
        scene.stops(
            "POST",
            "/oauth/token",
            &[FORM],
            &format!("refresh_token={dead}"),
        );
    }
    assert!(!scene.admits(&named));
}

#[test]
fn a_switch_in_the_query_is_no_token_field_f3() {
    let scene = Scene::with(&format!("{BEARER}[[shop.credential]]\nquery = \"token\"\n"));
    let living = jwt("a-1");
    let line = bearer(&living);
    for word in ["true", "false", "null", "undefined", "", "%20true%20"] {
        scene.passes("GET", &format!("{PAGE}?token={word}"), &[line.pair()], "");
        scene.passes("GET", &format!("{PAGE}?token={word}"), &[], "");
    }
    let target = format!("{OWN_LOGOUT}?token=true");
    assert_eq!(scene.send("POST", &target, &[line.pair()], "").0, 200);
    assert!(!scene.admits(&living));
    assert_eq!(
        scene.send("POST", &target, &[], "").0,
        401,
        "it carries no token"
    );
    let other = jwt("b-1");
    scene.passes(
        "GET",
        &format!("{PAGE}?token=true"),
        &[bearer(&other).pair()],
        "",
    );
}

#[test]
fn bagistos_switch_is_no_token_and_its_other_tokens_are_none_field_f3_attacks_a10() {
    let scene = Scene::of("bagisto", "");
    let living = jwt("a-1");
    let line = bearer(&living);
    scene.passes("GET", "/api/customer/get?token=true", &[line.pair()], "");
    for other in [
        "/reset?token=abc",
        "/reset?token=0123456789abcdef0123456789abcdef0123456789abcdef",
    ] {
        scene.passes("GET", other, &[], "");
        scene.passes("GET", other, &[line.pair()], "");
    }
    scene.passes(
        "POST",
        PAGE,
        &[FORM],
        "token=0123456789abcdef&email=a%40example.com",
    );
    scene.passes("GET", PAGE, &[cookie("token=0123456789abcdef").pair()], "");
}

#[test]
fn a_dead_jwt_is_found_where_bagistos_library_reads_it_attacks_a10() {
    let scene = Scene::of("bagisto", "");
    let (dead, living) = (jwt("a-1"), jwt("b-1"));
    scene.log_out(&[bearer(&dead).pair()], "");
    for (token, is_dead) in [(&dead, true), (&living, false)] {
        let json = json!({ "token": token }).to_string();
        let form = format!("a=b&token={token}");
        let in_cookie = cookie(format!("a=b; token={token}"));
        let query = format!("/api/customer/get?token={token}");
        let requests: [(&str, &str, Lines<'_>, &str); 5] = [
            ("GET", &query, vec![], ""),
            ("GET", "/api/customer/get", vec![in_cookie.pair()], ""),
            ("POST", "/api/checkout/cart", vec![FORM], &form),
            ("POST", "/api/checkout/cart", vec![JSON], &json),
            (
                "POST",
                "/api/checkout/cart",
                vec![MULTIPART],
                &part("token", token),
            ),
        ];
        for (method, target, headers, body) in &requests {
            if is_dead {
                scene.stops(method, target, headers, body);
            } else {
                scene.passes(method, target, headers, body);
            }
        }
    }
    // And one of these places logs it out.
    scene.log_out(&[FORM], &format!("token={living}"));
    assert!(!scene.admits(&living));
}

const SESSION_HEADER: &str = "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
     [[shop.credential]]\nheader = \"woocommerce-session\"\nschemes = [\"Session\"]\n";

#[test]
fn a_session_header_beside_a_bearer_is_normal_field_f3() {
    let scene = Scene::with(SESSION_HEADER);
    let (access, session, other) = (jwt("a-1"), jwt("s-1"), jwt("s-2"));
    let line = bearer(&access);
    let with = |session: &str| format!("Session {session}");
    for session in [&session, &other] {
        scene.passes(
            "GET",
            PAGE,
            &[line.pair(), ("woocommerce-session", &with(session))],
            "",
        );
    }
    for word in ["false", "null", "undefined", "true", ""] {
        scene.passes(
            "GET",
            PAGE,
            &[line.pair(), ("woocommerce-session", &with(word))],
            "",
        );
        scene.passes("GET", PAGE, &[("woocommerce-session", &with(word))], "");
    }
    scene.log_out(&[line.pair(), ("woocommerce-session", &with(&session))], "");
    scene.stops("GET", PAGE, &[line.pair()], "");
    scene.stops("GET", PAGE, &[("woocommerce-session", &with(&session))], "");
    scene.passes("GET", PAGE, &[("woocommerce-session", &with(&other))], "");
}

#[test]
fn a_bare_jwt_counts_in_a_header_of_schemes_field_f3() {
    let scene = Scene::with("");
    for (number, write) in [
        (|token: &str| token.to_owned()) as fn(&str) -> String,
        |token| format!("JWT {token}"),
        |token| format!("Token token=\"{token}\""),
        |token| format!("Bearer {token}"),
    ]
    .into_iter()
    .enumerate()
    {
        let token = jwt(&format!("a-{number}"));
        let line = write(&token);
        scene.passes("GET", PAGE, &[("Authorization", &line)], "");
        scene.log_out(&[("Authorization", &line)], "");
        scene.stops("GET", PAGE, &[("Authorization", &line)], "");
        scene.stops("GET", PAGE, &[("Authorization", &token)], "");
        assert!(!scene.admits(&token), "{line}");
    }
}

#[test]
fn schemes_and_a_bare_token_may_share_a_header_field_f3() {
    let scene = Scene::with(&format!(
        "token.kind = \"opaque\"\n{BEARER}[[shop.credential]]\nheader = \"authorization\"\n"
    ));
    scene.log_out(&[("Authorization", OPAQUE)], "");
    scene.stops("GET", PAGE, &[("Authorization", OPAQUE)], "");
    scene.stops("GET", PAGE, &[bearer(OPAQUE).pair()], "");
    for other in [
        OTHER,
        "Bearer",
        "Bearer ",
        "Bearer 8xLOxBtZp8-of-bob-0123456789ab",
    ] {
        scene.passes("GET", PAGE, &[("Authorization", other)], "");
    }
    let (answer, _) = scene.send("POST", OWN_LOGOUT, &[("Authorization", "Bearer")], "");
    assert_eq!(answer.status, 401, "a scheme is no token");
    scene.passes("GET", PAGE, &[("Authorization", "Bearer")], "");
}

#[test]
fn an_empty_bearer_is_a_guest_field_f3() {
    for scene in [
        Scene::with(""),
        Scene::with("token.kind = \"opaque\"\n"),
        Scene::of("medusa", ""),
    ] {
        for line in [
            "Bearer",
            "Bearer ",
            "bearer   ",
            "Bearer null",
            "Bearer undefined",
        ] {
            scene.passes("GET", PAGE, &[("Authorization", line)], "");
        }
    }
}

const WRAPPED: &str = "[[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n\
     [[shop.credential]]\ncookie = \"auth\"\ndecode = [\"base64\", \"json\"]\n\
     [[shop.credential]]\ncookie = \"cc-at\"\njoin = [\"cc-at_2\"]\n";

#[test]
fn a_dead_jwt_is_found_in_a_cookie_whatever_is_wrapped_around_it_field_f3() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let scene = Scene::with(WRAPPED);
    let (dead, living) = (jwt("a-1"), jwt("b-1"));
    scene.log_out(&[bearer(&dead).pair()], "");
    for (token, is_dead) in [(&dead, true), (&living, false)] {
        let (start, end) = token.split_at(token.len() / 2);
        let session = json!({ "access_token": token, "expires_in": 3600, "user": {} }).to_string();
        for text in [
            format!("auth={token}"),
            format!("auth=Bearer%20{token}"),
            format!("auth=Bearer {token}"),
            format!("auth=Bearer+{token}"),
            format!("auth=\"Bearer {token}\""),
            format!("auth=s%3A{token}.0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"),
            format!("auth=j%3A%7B%22token%22%3A%22{token}%22%7D"),
            format!("auth=%22{token}%22"),
            format!("auth=\"{token}"),
            format!("auth=base64-{}", STANDARD_NO_PAD.encode(&session)),
            format!("cc-at={start}; x=y; cc-at_2={end}"),
            format!("cc-at_2={end}; cc-at={start}"),
        ] {
            scene.judges(&cookie(text), is_dead);
        }
    }
}

#[test]
fn words_for_a_missing_token_are_not_revoked_field_f3() {
    let scene = Scene::with(
        "token.kind = \"opaque\"\n[[shop.credential]]\nheader = \"session\"\nschemes = [\"Session\"]\n\
         [[shop.credential]]\nheader = \"x-token\"\n[[shop.credential]]\ncookie = \"sid\"\n\
         [[shop.credential]]\nquery = \"token\"\n[[shop.credential]]\nbody = \"/token\"\n",
    );
    for word in ["false", "true", "null", "undefined", "[object Object]"] {
        let (scheme, sid) = (format!("Session {word}"), cookie(format!("sid={word}")));
        let escaped = word
            .replace(' ', "%20")
            .replace('[', "%5B")
            .replace(']', "%5D");
        let query = format!("?token={escaped}");
        let json = json!({ "token": word }).to_string();
        let carried: [(Lines<'_>, &str, &str); 5] = [
            (vec![("Session", &scheme)], "", ""),
            (vec![("X-Token", word)], "", ""),
            (vec![sid.pair()], "", ""),
            (vec![], &query, ""),
            (vec![JSON], "", &json),
        ];
        let is_plain = |headers: &[(&str, &str)]| !word.contains(' ') || headers.len() != 1;
        for (headers, query, body) in carried.iter().filter(|(headers, ..)| is_plain(headers)) {
            let all = [&[("Sec-Fetch-Site", "same-origin")], headers.as_slice()].concat();
            let (answer, _) = scene.send("POST", &format!("{OWN_LOGOUT}{query}"), &all, body);
            assert_eq!(answer.status, 401, "{word} {headers:?} {query} {body}");
            scene.passes("POST", &format!("{PAGE}{query}"), headers, body);
        }
    }
}

#[test]
fn a_multipart_body_logs_out_and_refreshes_field_f3() {
    let scene = Scene::of("generic-oauth", "");
    let access = jwt("a-1");
    for (token, mint) in [
        (OPAQUE, "refresh_token"),
        (access.as_str(), "refresh_token"),
    ] {
        scene.passes("POST", "/oauth/token", &[MULTIPART], &part(mint, token));
        let (answer, _) = scene.send("POST", "/oauth/revoke", &[MULTIPART], &part("token", token));
        assert_eq!(answer.status, 200, "{}", answer.text());
        scene.stops("POST", "/oauth/token", &[MULTIPART], &part(mint, token));
        scene.stops("POST", "/elsewhere", &[MULTIPART], &part("note", token));
    }
    scene.passes(
        "POST",
        "/oauth/token",
        &[MULTIPART],
        &part("refresh_token", OTHER),
    );
}

#[test]
fn an_expired_hint_ends_what_it_names_field_f7() {
    let scene = Scene::of("generic-oauth", "revoke = \"session\"\n");
    let claims = json!({ "sub": "7", "sid": "s-1", "jti": "hint", "iat": 1_600_000_000, "exp": 1_600_000_600 });
    let key = EncodingKey::from_secret(Shop::SECRET.as_bytes());
    let hint = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
    let claims = json!({ "sub": "7", "sid": "s-1", "jti": "a-1", "iat": 1_600_000_000, "exp": 4_000_000_000_u64 });
    let access = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
    assert!(scene.admits(&access));
    scene.log_out(&[FORM], &format!("id_token_hint={hint}"));
    assert!(!scene.admits(&access));
}

// --- spellings -----------------------------------------------------------------------------------

const SECRET_PART: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

#[test]
fn a_wordpress_refresh_token_is_dead_whatever_number_stands_before_it_attacks_a2() {
    let scene = Scene::of("wordpress-jwt", "");
    let dead = cookie(format!("refresh_token=1.{SECRET_PART}"));
    scene.log_out(&[dead.pair()], "");
    for user in ["1", "01", "1x", "+1", "1e0", "%201", "1%20", "0001", "1 "] {
        let line = cookie(format!("refresh_token={user}.{SECRET_PART}"));
        scene.stops("POST", "/wp-json/jwt-auth/v1/token", &[line.pair()], "");
        scene.stops(
            "POST",
            "/?rest.route=/jwt-auth/v1/token",
            &[line.pair()],
            "",
        );
        scene.stops(
            "POST",
            "/",
            &[line.pair(), FORM],
            "rest_route=/jwt-auth/v1/token",
        );
        scene.stops("POST", "/blog/any", &[line.pair()], "");
    }
    let other = cookie(format!("refresh_token=1.{}", "ab".repeat(32)));
    scene.passes("POST", "/wp-json/jwt-auth/v1/token", &[other.pair()], "");
}

#[test]
fn a_cocart_refresh_token_is_dead_in_every_spelling_that_mysql_takes_for_it_attacks_a3() {
    let scene = Scene::of("cocart-jwt", "");
    let token = "0a1b2c3d4e5f6789".repeat(8);
    scene.log_out(&[JSON], &json!({ "refresh_token": token }).to_string());
    let refresh = "/wp-json/cocart/jwt/refresh-token";
    let mixed = format!("{}{}", token[..20].to_uppercase(), &token[20..]);
    for spelling in [
        token.clone(),
        token.to_uppercase(),
        mixed,
        format!("{token} "),
        format!("{token}\t"),
        format!("{} ", token.to_uppercase()),
        format!("{token}\u{200b}"),
        token.replace('a', "\u{e1}"),
        token.replace('a', "\u{ff41}"),
    ] {
        let escaped: String = form_urlencoded::byte_serialize(spelling.as_bytes()).collect();
        let (json, form) = (
            json!({ "refresh_token": spelling }).to_string(),
            format!("refresh_token={escaped}"),
        );
        for path in [
            refresh,
            "/wp-json/cocart/jwt/refresh-token%20",
            "/elsewhere",
        ] {
            scene.stops("POST", path, &[JSON], &json);
            scene.stops("POST", path, &[FORM], &form);
            scene.stops("POST", &format!("{path}?{form}"), &[], "");
        }
    }
    let other = "0a1b2c3d4e5f6780".repeat(8);
    scene.passes(
        "POST",
        refresh,
        &[JSON],
        &json!({ "refresh_token": other }).to_string(),
    );
    // Names of people are no tokens, in whatever letters.
    scene.passes(
        "POST",
        "/checkout",
        &[JSON],
        &json!({ "name": "J\u{fc}rgen", "city": "\u{6771}\u{4eac}" }).to_string(),
    );
    scene.passes(
        "POST",
        "/checkout",
        &[FORM],
        "name=J%C3%BCrgenJ%C3%BCrgenJ%C3%BCrgen",
    );
}

#[test]
fn a_dead_token_is_found_where_frameworks_trim_merge_and_take_formats_attacks_a4() {
    let scene = Scene::of("generic-oauth", "");
    let access = jwt("a-1");
    for token in [OPAQUE, &access] {
        assert_eq!(
            scene
                .send("POST", "/oauth/revoke", &[FORM], &format!("token={token}"))
                .0,
            200
        );
        for space in [
            "%20",
            "+",
            "%09",
            "%0A",
            "%0D%0A",
            "%00",
            "%C2%A0",
            "%E2%80%8B",
            "%EF%BB%BF",
        ] {
            for value in [format!("{token}{space}"), format!("{space}{token}")] {
                let pair = format!("refresh_token={value}");
                scene.stops("POST", "/oauth/token", &[FORM], &pair);
                scene.stops("POST", &format!("/oauth/token?{pair}"), &[], "");
                scene.stops("POST", &format!("/oauth/token.json?{pair}"), &[], "");
                scene.stops("POST", "/oauth/token.json", &[FORM], &pair);
            }
        }
        let json = json!({ "refresh_token": format!(" {token}\n") }).to_string();
        scene.stops("POST", "/oauth/token.json", &[JSON], &json);
        scene.stops("POST", "/oauth/token", &[JSON], &json);
        for name in [
            "refresh_token%5B%5D",
            "%5Brefresh_token%5D",
            "refresh_token%5D",
            "refresh.token",
        ] {
            scene.stops("POST", &format!("/oauth/token?{name}={token}"), &[], "");
            scene.stops("POST", "/oauth/token", &[FORM], &format!("{name}={token}"));
        }
    }
    scene.passes(
        "POST",
        "/oauth/token.json",
        &[FORM],
        &format!("refresh_token={OTHER}%20"),
    );
}

#[test]
fn a_logout_of_a_token_with_white_space_around_ends_the_token_attacks_a4() {
    let scene = Scene::of("generic-oauth", "");
    assert_eq!(
        scene
            .send(
                "POST",
                "/oauth/revoke",
                &[FORM],
                &format!("token={OPAQUE}%20")
            )
            .0,
        200
    );
    for value in [
        OPAQUE.to_owned(),
        format!("{OPAQUE}%20"),
        format!("%0A{OPAQUE}"),
    ] {
        scene.stops(
            "POST",
            "/oauth/token",
            &[FORM],
            &format!("refresh_token={value}"),
        );
    }
    scene.passes(
        "POST",
        "/oauth/token",
        &[FORM],
        &format!("refresh_token={OTHER}"),
    );
}

const SESSION_COOKIE: &str = "token.kind = \"opaque\"\n[[shop.credential]]\ncookie = \"session\"\n";

#[test]
fn a_dead_cookie_is_found_with_unbalanced_quotes_and_odd_separators_attacks_a9() {
    let scene = Scene::with(SESSION_COOKIE);
    let line = cookie(format!("session={OPAQUE}"));
    scene.log_out(&[line.pair()], "");
    for text in [
        format!("session=\"{OPAQUE}x"),
        format!("session=\"{OPAQUE}\""),
        format!("session=\"{OPAQUE}"),
        format!("session={OPAQUE}\""),
        format!("session=\"{OPAQUE}\"x"),
        format!("a=b; session=\"{OPAQUE}\\"),
        format!("a=b, session={OPAQUE}"),
        format!("a=b,session=\"{OPAQUE}\",c=d"),
        format!("a=b session={OPAQUE}"),
        format!("a=b session = {OPAQUE} c=d"),
        format!("$Version=1; session=\"{OPAQUE}\"; $Path=\"/\""),
        format!("SESSION={OPAQUE}"),
        format!("session={OPAQUE}%20"),
        format!("session=%u0038{}", &OPAQUE[1..]),
        format!("session=%2538{}", &OPAQUE[1..]),
    ] {
        scene.stops("GET", PAGE, &[cookie(text).pair()], "");
    }
    for text in [
        format!("session=\"{OTHER}x"),
        format!("session=\"{OTHER}"),
        format!("a=b, session={OTHER}"),
        format!("session=%22{OTHER}"),
        "session=\"".to_owned(),
    ] {
        scene.passes("GET", PAGE, &[cookie(text).pair()], "");
    }
}

#[test]
fn a_dead_session_is_found_where_servers_merge_cookies_with_the_query_and_the_path_attacks_a4() {
    let scene = Scene::with(SESSION_COOKIE);
    scene.log_out(&[cookie(format!("session={OPAQUE}")).pair()], "");
    for (token, is_dead) in [(OPAQUE, true), (OTHER, false)] {
        for target in [
            format!("{PAGE}?session={token}"),
            format!("{PAGE}?a=b&SESSION={token}"),
            format!("{PAGE};session={token}"),
            format!("/a;x=y;Session={token}/b"),
        ] {
            if is_dead {
                scene.stops("GET", &target, &[], "");
            } else {
                scene.passes("GET", &target, &[], "");
            }
        }
    }
    // And a parameter in a cookie.
    let scene = Scene::of("generic-oauth", "");
    assert_eq!(
        scene
            .send("POST", "/oauth/revoke", &[FORM], &format!("token={OPAQUE}"))
            .0,
        200
    );
    scene.stops(
        "POST",
        "/oauth/token",
        &[cookie(format!("refresh_token={OPAQUE}")).pair()],
        "",
    );
    scene.passes(
        "POST",
        "/oauth/token",
        &[cookie(format!("refresh_token={OTHER}")).pair()],
        "",
    );
    scene.passes(
        "POST",
        "/oauth/token",
        &[cookie("token=csrf; refresh_token=true").pair()],
        "",
    );
}

#[test]
fn a_body_in_a_foreign_charset_is_refused_where_bodies_carry_tokens_attacks_a2() {
    let scene = Scene::of("generic-oauth", "");
    for charset in ["utf-7", "UTF-7", "ibm037", "cp500", "iso-2022-jp"] {
        let kind = format!("application/json; charset={charset}");
        scene.stops(
            "POST",
            "/elsewhere",
            &[("Content-Type", &kind)],
            "{\"a\":\"+AGEAYgBj-\"}",
        );
    }
    for charset in [
        "utf-8",
        "\"UTF-8\"",
        "iso-8859-1",
        "windows-1252",
        "us-ascii",
    ] {
        let kind = format!("application/x-www-form-urlencoded; charset={charset}");
        scene.passes("POST", "/elsewhere", &[("Content-Type", &kind)], "a=b");
    }
    let plain = Scene::with("");
    plain.passes(
        "POST",
        "/elsewhere",
        &[("Content-Type", "text/plain; charset=utf-7")],
        "a",
    );
}

/// What is wrapped around a token, or which part of it counts, may be said later.
#[test]
fn what_was_revoked_as_it_was_sent_stays_dead_when_a_place_says_how_it_is_written_attacks_a8() {
    let wrapped = "s%3Aone-0123456789abcdef.c2lnbmF0dXJl";
    for more in [
        "decode = \"signed\"\n",
        "fold = [\"case\", \"trim\"]\n",
        "decode = [\"percent\", \"signed\"]\npattern = '.{8,}'\n",
    ] {
        let scene = Scene::with(SESSION_COOKIE);
        let line = cookie(format!("session={wrapped}"));
        scene.log_out(&[line.pair()], "");
        let table = scene.shop.table();
        scene.edge.configure(&format!(
            "{table}dead_cookie = \"refuse\"\n{SESSION_COOKIE}{more}"
        ));
        assert_eq!(scene.edge.command(&["reload"]).code, Some(0));
        scene.stops("GET", PAGE, &[line.pair()], "");
        scene.passes(
            "GET",
            PAGE,
            &[cookie("session=s%3Atwo-0123456789abcdef.c2ln").pair()],
            "",
        );
    }
}

#[test]
fn a_signed_session_is_dead_under_every_signature_attacks_a9() {
    let scene = Scene::of("medusa", "");
    scene.log_out(
        &[cookie("connect.sid=s%3Aone-0123456789.c2lnbmF0dXJl").pair()],
        "",
    );
    for text in [
        "connect.sid=s%3Aone-0123456789.c2lnbmF0dXJl",
        "connect.sid=s:one-0123456789.b3RoZXI",
        "connect.sid=\"s:one-0123456789.b3RoZXI=\"",
        "connect.sid=\"s:one-0123456789.b3RoZXIx",
    ] {
        scene.stops("GET", PAGE, &[cookie(text).pair()], "");
    }
    scene.passes(
        "GET",
        PAGE,
        &[cookie("connect.sid=s%3Atwo-0123456789.c2lnbmF0dXJl").pair()],
        "",
    );
}

// --- other members of the kinds -----------------------------------------------------------------

#[test]
fn a_wrapped_session_is_dead_by_itself_and_takes_no_other_along_field_f3() {
    let more = format!(
        "{BEARER}[[shop.credential]]\ncookie = \"js\"\nkind = \"opaque\"\ndecode = [\"json\"]\n"
    );
    let scene = Scene::with(&more);
    let session = |token: &str| cookie(format!("js=j:{{\"t\":\"{token}\",\"type\":\"bearer\"}}"));
    scene.log_out(&[session(OPAQUE).pair()], "");
    scene.stops("GET", PAGE, &[session(OPAQUE).pair()], "");
    scene.passes("GET", PAGE, &[session(OTHER).pair()], "");
    let fields = (0..20).map(|number| format!("\"f{number}\":\"a value of {number}\""));
    let fields = fields.collect::<Vec<_>>().join(",");
    scene.passes(
        "GET",
        PAGE,
        &[cookie(format!("js=j:{{{fields}}}")).pair()],
        "",
    );
}

#[test]
fn json_behind_j_is_a_reading_of_every_cookie_attacks_a9() {
    let more = format!("{BEARER}[[shop.credential]]\ncookie = \"opq\"\nkind = \"opaque\"\n");
    let scene = Scene::with(&more);
    scene.log_out(&[cookie(format!("opq={OPAQUE}")).pair()], "");
    for (token, is_dead) in [(OPAQUE, true), (OTHER, false)] {
        for text in [
            format!("opq=j:\"{token}\""),
            format!("opq=j%3A%22{token}%22"),
        ] {
            scene.judges(&cookie(text), is_dead);
        }
    }
}

#[test]
fn a_pattern_is_matched_before_letters_are_folded_attacks_a3() {
    let more = format!(
        "{BEARER}[[shop.credential]]\ncookie = \"sid\"\nkind = \"opaque\"\nfold = [\"case\"]\n\
         pattern = '(?<token>[A-Z0-9]{{20,}})'\n"
    );
    let scene = Scene::with(&more);
    let token = "ABCDEFGHIJ0123456789K";
    scene.log_out(&[cookie(format!("sid={token}")).pair()], "");
    scene.stops("GET", PAGE, &[cookie(format!("sid={token}")).pair()], "");
    scene.passes(
        "GET",
        PAGE,
        &[cookie("sid=ZBCDEFGHIJ0123456789K").pair()],
        "",
    );
}

#[test]
fn a_joined_token_is_found_whichever_of_several_cookies_a_server_takes_field_f3() {
    let scene = Scene::with(WRAPPED);
    let dead = jwt("a-1");
    scene.log_out(&[bearer(&dead).pair()], "");
    let (start, end) = dead.split_at(dead.len() / 2);
    for text in [
        format!("cc-at=x; cc-at={start}; cc-at_2={end}"),
        format!("cc-at={start}; CC-AT=x; cc-at_2={end}"),
        format!("CC-AT=x; cc-at={start}; cc-at_2={end}"),
        format!("a=b,cc-at={start}; cc-at_2={end}"),
    ] {
        scene.stops("GET", PAGE, &[cookie(text).pair()], "");
    }
}

#[test]
fn a_body_in_an_encoding_that_is_not_undone_hides_nothing_attacks_a2() {
    let scene = Scene::of("cocart-jwt", "");
    let refresh = "0123456789abcdef".repeat(8);
    let body = format!("refresh_token={refresh}");
    scene.log_out(&[FORM], &body);
    for encoding in ["br", "foo", "gzip", "deflate"] {
        let headers = [FORM, ("Content-Encoding", encoding)];
        scene.stops("POST", "/elsewhere", &headers, &body);
    }
}

#[test]
fn a_dead_token_of_a_path_is_dead_for_every_method_field_f8() {
    let more = format!(
        "{BEARER}[[shop.logout]]\nmethods = [\"DELETE\"]\npaths = [\"/sess/{{token}}\"]\nanswer = \"local\"\n"
    );
    let scene = Scene::with(&more);
    let dead = jwt("a-1");
    scene.log_out(&[bearer(&dead).pair()], "");
    scene.stops("GET", &format!("/sess/{dead}"), &[], "");
    scene.passes("GET", &format!("/sess/{}", jwt("b-1")), &[], "");
}

#[test]
fn innocents_of_a_second_look_field_f7() {
    let more = format!("{BEARER}[[shop.credential]]\nquery = \"token\"\nkind = \"jwt\"\n");
    let scene = Scene::with(&more);
    scene.passes("GET", "/reset?token=abc", &[], "");
    scene.passes("GET", "/filter?token=a&token=b", &[], "");
    let many = vec![jwt("a-1"); 20];
    let more = format!("{BEARER}[[shop.credential]]\nbody = \"/t\"\nat = [\"logout\"]\n");
    let scene = Scene::with(&more);
    scene.passes("POST", PAGE, &[JSON], &json!(many).to_string());
}

#[test]
fn no_deletion_takes_a_living_cookie_of_the_same_name_along_field_f5() {
    let shop = Recorder::open();
    let more = format!("{BEARER}[[shop.credential]]\ncookie = \"sid\"\nkind = \"opaque\"\n");
    let scene = Scene {
        edge: Edge::with(&format!("{}{more}", shop.table())),
        shop,
    };
    scene.log_out(&[cookie(format!("sid={OPAQUE}")).pair()], "");
    for (text, deletes) in [
        (format!("sid={OPAQUE}; sid={OTHER}"), false),
        (format!("sid={OTHER}; sid={OPAQUE}"), false),
        (format!("sid={OPAQUE}"), true),
    ] {
        let (answer, seen) = scene.send("GET", PAGE, &[cookie(text.clone()).pair()], "");
        assert!(seen, "{text}");
        assert_eq!(answer.header("set-cookie").is_some(), deletes, "{text}");
        assert!(!scene.shop.has_heard(OPAQUE), "{text}");
    }
}
