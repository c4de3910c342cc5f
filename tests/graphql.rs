//! GraphQL: a logout is known by the mutation that is executed, and a dead token is found in every argument.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde_json::{Value, json};
use support::places::{FORM, JSON, PAGE, chunked, noise};
use support::{Answer, Failure, PATIENCE, Scene, request, shop_table, stateless_bagisto};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATH: &str = "/graphql";

/// A shop that speaks GraphQL beside its own API.
const GRAPHQL: &str = r#"
revoke = "token"
[[shop.logout]]
paths = ["/graphql"]
graphql = ["customerLogout", "tokenDelete"]
persisted = ["logout-v1"]
client_key = false
answer = "local"
answer_body = '{"data":{"customerLogout":{"success":true}}}'
[[shop.credential]]
header = "authorization"
schemes = ["Bearer"]
[[shop.credential]]
graphql = "accessToken"
"#;

/// The same, where the shop answers.
fn forwarding() -> String {
    GRAPHQL.replace("\"local\"", "\"forward\"")
}

fn post(token: &str, kind: &str, body: &str) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let headers = [("Content-Type", kind), ("Authorization", &bearer)];
    request("POST", PATH, &headers, body.as_bytes())
}

fn post_json(token: &str, body: &Value) -> Vec<u8> {
    post(token, "application/json", &body.to_string())
}

fn get(token: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    let bearer = format!("Bearer {token}");
    let target = format!("{PATH}?{}", form(pairs));
    request("GET", &target, &[("Authorization", &bearer)], b"")
}

fn form(pairs: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs).finish()
}

fn hash(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}

fn by_hash(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

trait Stories {
    /// A request of somebody who is logged out by it, without the shop; the answer.
    fn ends_for(&self, bytes: &dyn Fn(&str) -> Vec<u8>) -> Answer;
    /// A request that reaches the shop, and after which its customer is as welcome as before.
    fn means_nothing(&self, bytes: &dyn Fn(&str) -> Vec<u8>);
}

impl Stories for Scene {
    #[track_caller]
    fn ends_for(&self, bytes: &dyn Fn(&str) -> Vec<u8>) -> Answer {
        let token = self.shop.sign_in("alice");
        let answer = self.stops(200, &bytes(&token));
        self.turns_away("after the logout", &token);
        answer
    }

    #[track_caller]
    fn means_nothing(&self, bytes: &dyn Fn(&str) -> Vec<u8>) {
        let token = self.shop.sign_in("alice");
        self.passes(&bytes(&token));
        self.admits("no logout", &token);
    }
}

/// What executes a logout.
const LOGOUTS: [&str; 17] = [
    "mutation { customerLogout { success message } }",
    "mutation Bye { customerLogout { success } }",
    "mutation { bye: customerLogout { success } }",
    "mutation { bye,:,customerLogout { success } }",
    "mutation { tokenDelete(id: 1) { ok } }",
    "mutation { addToCart(id: 1) { id } customerLogout { success } }",
    "mutation { ...F } fragment F on Mutation { customerLogout { success } }",
    "fragment A on Mutation { ...B } fragment B on Mutation { x: customerLogout { ok } } mutation { ...A }",
    "mutation { ...A } fragment A on Mutation { ...B } fragment B on Mutation { ...A customerLogout { ok } }",
    "mutation { ... on Mutation { ... @include(if: true) { customerLogout { ok } } } }",
    "mutation { customerLogout @skip(if: true) { success } }",
    "mutation($a: Int = 1) @x { customerLogout { success } }",
    "\u{feff}# query { a }\r# more\nmutation{customerLogout{success}}",
    "mutation # }\r { customerLogout { success } }",
    "mutation { a(b: \"\"\"\n } \\\"\"\" { \"\"\") customerLogout { success } }",
    "query Other { cart { id } } mutation { customerLogout { success } }",
    "\"Ends it all\" mutation Bye(\"\"\" a { \"\"\" $a: String = \"b\" \"c\" $d: Int) { customerLogout { success } }",
];

/// What has the word in it, and executes none.
const OTHERS: [&str; 14] = [
    "query { customerLogout { success } }",
    "{ customerLogout }",
    "subscription { customerLogout }",
    "mutation { cart { customerLogout { success } } }",
    "mutation { customerLogout: addToCart(id: 1) { id } }",
    "mutation { add(note: \"mutation { customerLogout { success } }\") { id } }",
    "mutation { add(note: \"\"\"} mutation { customerLogout }\"\"\") { id } }",
    "mutation { add(customerLogout: 1) { id } } # mutation { customerLogout }",
    "mutation customerLogout { add { id } }",
    "mutation { customerLogouts { id } CustomerLogout { id } }",
    "mutation { add { id } } fragment F on Mutation { customerLogout { ok } }",
    "mutation { add @customerLogout { id } }",
    "mutation customerLogout($customerLogout: Int) { add(id: $customerLogout) { id } }",
    "query { a ...F } fragment F on Query { customerLogout { ok } }",
];

#[test]
fn a_logout_is_known_by_the_root_field_of_the_mutation_that_is_executed() {
    let scene = Scene::with(&forwarding());
    let mut scene = scene;
    for text in LOGOUTS {
        let token = scene.shop.sign_in("alice");
        let seen = scene.passes(&post_json(&token, &json!({ "query": text })));
        assert!(String::from_utf8_lossy(&seen.body).contains("mutation"));
        scene.turns_away(text, &token);
    }
    scene = Scene::with(GRAPHQL);
    for text in &LOGOUTS[..5] {
        scene.ends_for(&|token| post_json(token, &json!({ "query": text })));
    }
}

#[test]
fn the_word_alone_is_no_logout() {
    let scene = Scene::with(GRAPHQL);
    for text in OTHERS {
        scene.means_nothing(&|token| post_json(token, &json!({ "query": text })));
    }
    let other = |token: &str| {
        let body = json!({ "query": LOGOUTS[0] }).to_string();
        let bearer = format!("Bearer {token}");
        request(
            "POST",
            "/other",
            &[JSON, ("Authorization", &bearer)],
            body.as_bytes(),
        )
    };
    scene.means_nothing(&other);
}

#[test]
fn of_several_operations_the_named_one_is_executed() {
    let scene = Scene::with(GRAPHQL);
    let text = "mutation Bye { customerLogout { ok } } mutation Buy { add(id: 1) { id } } query C { cart { id } }";
    let named = |name: Value| json!({ "query": text, "operationName": name });
    for other in ["Buy", "C", "Nobody", "bye"] {
        scene.means_nothing(&|token| post_json(token, &named(json!(other))));
    }
    for executed in [json!("Bye"), json!(null), json!("")] {
        let token = scene.shop.sign_in("alice");
        scene.edge.raw(&post_json(&token, &named(executed)));
        scene.turns_away("it may have been executed", &token);
    }
    let answer = scene.ends_for(&|token| post_json(token, &named(json!("Bye"))));
    assert_eq!(
        answer.json(),
        json!({ "data": { "customerLogout": { "success": true } } })
    );
}

#[test]
fn a_logout_is_found_wherever_graphql_may_stand_in_a_request() {
    let scene = Scene::with(GRAPHQL);
    let text = LOGOUTS[0];
    scene.ends_for(&|token| get(token, &[("query", text)]));
    scene.ends_for(&|token| {
        post(
            token,
            FORM.1,
            &form(&[("query", text), ("variables", "{}")]),
        )
    });
    scene.ends_for(&|token| post(token, "application/graphql", text));
    scene.ends_for(&|token| post(token, "application/graphql; charset=utf-8", text));
    let body = json!({ "query": text }).to_string();
    for kind in ["text/plain", "application/vnd.api+json", "", FORM.1] {
        scene.ends_for(&|token| post(token, kind, &body));
    }
    scene.ends_for(&|token| post(token, JSON.1, &format!("\u{feff}{body}")));
    scene.ends_for(&|token| {
        post(
            token,
            JSON.1,
            &body.replace("customerLogout", "customer\\u004cogout"),
        )
    });
    scene.ends_for(&|token| post_json(token, &json!({ "Query": text })));
    scene.ends_for(&|token| post_json(token, &json!([{ "query": text }])));
    let in_the_query = |token: &str| {
        let bearer = format!("Bearer {token}");
        let target = format!("{PATH}?{}", form(&[("query", text)]));
        request("POST", &target, &[JSON, ("Authorization", &bearer)], b"{}")
    };
    scene.ends_for(&in_the_query);
    let token = scene.shop.sign_in("alice");
    let bearer = format!("Bearer {token}");
    scene.stops(
        200,
        &chunked(
            PATH,
            &[JSON, ("Authorization", &bearer)],
            body.as_bytes(),
            7,
        ),
    );
    scene.turns_away("in chunks", &token);
}

#[test]
fn a_logout_in_a_batch_is_found_and_the_shop_executes_the_rest() {
    let scene = Scene::with(GRAPHQL);
    let token = scene.shop.sign_in("alice");
    let batch = json!([{ "query": "{ cart { id } }" }, { "query": "mutation { bye: customerLogout { success } }" }]);
    let seen = scene.passes(&post_json(&token, &batch));
    assert_eq!(seen.body, batch.to_string().as_bytes());
    scene.turns_away("in a batch", &token);
    let pure = json!([{ "query": LOGOUTS[0] }, { "query": LOGOUTS[2] }]);
    let answer = scene.ends_for(&|token| post_json(token, &pure));
    let success = json!({ "success": true });
    assert_eq!(
        answer.json(),
        json!([{ "data": { "customerLogout": success } }, { "data": { "bye": success } }])
    );
}

#[test]
fn an_answer_of_ours_bears_the_keys_that_the_client_gave() {
    let scene = Scene::with(GRAPHQL);
    let success = json!({ "success": true });
    let two = "mutation { a: customerLogout { success } ...F } fragment F on Mutation { b: customerLogout { success } }";
    let answer = scene.ends_for(&|token| post_json(token, &json!({ "query": two })));
    assert_eq!(
        answer.json(),
        json!({ "data": { "a": success, "b": success } })
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mixed = "mutation { add(id: 1) { id } bye: customerLogout { success } }";
    let token = scene.shop.sign_in("alice");
    scene.passes(&post_json(&token, &json!({ "query": mixed })));
    scene.turns_away("beside something else", &token);
    scene.shop.fail(Failure::Status(503));
    let token = scene.shop.sign_in("alice");
    let answer = scene
        .edge
        .raw(&post_json(&token, &json!({ "query": mixed })));
    assert_eq!(answer, 200, "{}", answer.text());
    let message = "The shop can't be reached";
    assert_eq!(
        answer.json(),
        json!({
            "data": { "add": null, "bye": success },
            "errors": [{ "message": message, "path": ["add"] }],
        })
    );
}

#[test]
fn the_shop_answers_its_own_logout() {
    let scene = Scene::with(&forwarding());
    scene
        .shop
        .recite(PATH, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let token = scene.shop.sign_in("alice");
    let answer = scene
        .edge
        .raw(&post_json(&token, &json!({ "query": LOGOUTS[0] })));
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    scene.turns_away("after the logout", &token);
}

/// What a shop says under an alias is what it says.
#[test]
fn the_shops_word_is_read_under_the_clients_alias() {
    let agreed = "revoke_when = \"shop-agreed\"\nagreed = { json = { \"/data/customerLogout/success\" = true } }\n[[shop.credential]]";
    let more = forwarding().replacen("[[shop.credential]]", agreed, 1);
    let scene = Scene::with(&more);
    let says = |body: &str| {
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        scene.shop.recite(PATH, answer);
    };
    let aliased = json!({ "query": "mutation { bye: customerLogout { success } }" });
    let token = scene.shop.sign_in("alice");
    says(r#"{"data":{"bye":{"success":false}}}"#);
    scene.passes(&post_json(&token, &aliased));
    scene.admits("the shop said no", &token);
    says(r#"{"data":{"bye":{"success":true}}}"#);
    scene.passes(&post_json(&token, &aliased));
    scene.turns_away("the shop said yes", &token);
    let token = scene.shop.sign_in("alice");
    says(r#"[{"data":{"cart":{}}},{"data":{"bye":{"success":true}}}]"#);
    let cart = json!({ "query": "{ cart { id } }" });
    scene.passes(&post_json(&token, &json!([cart, aliased])));
    scene.turns_away("the shop said yes in a batch", &token);
}

/// Requests with this token in an argument, and nowhere else.
fn with_argument(token: &str) -> Vec<(String, Vec<u8>)> {
    let literal = format!("{{ me(accessToken: \"{token}\") {{ id }} }}");
    let escaped = format!(
        "{{ me(accessToken: \"\\u{:04x}{}\") {{ id }} }}",
        token.as_bytes()[0],
        &token[1..]
    );
    let variable = "query($t: String!) { me(accessToken: $t) { id } }";
    let field = "mutation($i: Input!) { update(input: $i) { id } }";
    let bodies = [
        json!({ "query": literal }),
        json!({ "query": escaped }),
        json!({ "query": format!("{{ me(accessToken: \"\"\"\n  {token}\n  \"\"\") {{ id }} }}") }),
        json!({ "query": format!("{{ a {{ b {{ c(x: {{y: [{{accessToken: \"{token}\"}}]}}) }} }} }}") }),
        json!({ "query": format!("{{ me(accessToken,:,[\"{token}\"]) {{ id }} }}") }),
        json!({ "query": format!("{{ ...F }} fragment F on Query {{ me(accessToken: \"{token}\") {{ id }} }}") }),
        json!({ "query": format!("query A {{ cart }} query B {{ me(accessToken: \"{token}\") {{ id }} }}"), "operationName": "A" }),
        json!({ "query": format!("query($t: String = \"{token}\") {{ me(accessToken: $t) {{ id }} }}") }),
        json!({ "query": variable, "variables": { "t": token } }),
        json!({ "query": variable, "variables": json!({ "t": token }).to_string() }),
        json!({ "query": variable, "Variables": { "t": [token] } }),
        json!({ "query": field, "variables": { "i": { "deep": [{ "accessToken": token }] } } }),
        json!([{ "query": "{ cart { id } }" }, { "query": variable, "variables": { "t": token } }]),
        json!({ "query": format!("{{ me @with(accessToken: \"{token}\") {{ id }} }}") }),
    ];
    let in_bodies = bodies.map(|body| {
        let body = body.to_string();
        let bytes = request("POST", PATH, &[JSON], body.as_bytes());
        (body, bytes)
    });
    let variables = json!({ "t": token }).to_string();
    let pairs = form(&[("query", variable), ("variables", &variables)]);
    let nested = form(&[("query", variable), ("variables[t]", token)]);
    let mut all = in_bodies.to_vec();
    for pairs in [pairs, nested] {
        all.push((
            format!("GET {pairs}"),
            request("GET", &format!("{PATH}?{pairs}"), &[], b""),
        ));
        all.push((
            format!("form {pairs}"),
            request("POST", PATH, &[FORM], pairs.as_bytes()),
        ));
    }
    let both = json!({ "variables": { "t": token } }).to_string();
    let target = format!("{PATH}?{}", form(&[("query", variable)]));
    all.push((
        "both".to_owned(),
        request("POST", &target, &[JSON], both.as_bytes()),
    ));
    let text = request(
        "POST",
        PATH,
        &[("Content-Type", "application/graphql")],
        literal.as_bytes(),
    );
    all.push(("text".to_owned(), text));
    all
}

#[test]
fn a_dead_token_is_found_in_every_argument() {
    let scene = Scene::with(GRAPHQL);
    let dead = scene.shop.sign_in("alice");
    scene
        .edge
        .raw(&post_json(&dead, &json!({ "query": LOGOUTS[0] })));
    let live = scene.shop.sign_in("bob");
    for ((told, bytes), (_, fine)) in with_argument(&dead).into_iter().zip(with_argument(&live)) {
        let answer = scene.ends(&bytes);
        assert_eq!(answer, 401, "{told}: {}", answer.text());
        assert_eq!(
            answer.json()["errors"][0]["extensions"]["code"],
            "UNAUTHENTICATED"
        );
        assert!(answer.header("www-authenticate").is_some());
        scene.passes(&fine);
    }
}

/// A shop may speak GraphQL beside another API.
#[test]
fn a_client_of_graphql_is_refused_in_graphql() {
    let scene = Scene::with(GRAPHQL);
    let token = scene.shop.sign_in("alice");
    scene
        .edge
        .raw(&post_json(&token, &json!({ "query": LOGOUTS[0] })));
    let answer = scene.stops(
        401,
        &post_json(&token, &json!({ "query": "{ cart { id } }" })),
    );
    let code = json!({ "code": "UNAUTHENTICATED" });
    let error = json!({ "message": "The token was revoked", "extensions": code });
    assert_eq!(answer.json(), json!({ "errors": [error] }));
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    let elsewhere = scene.visit(&token);
    assert_eq!(
        elsewhere.json(),
        json!({ "message": "The token was revoked" })
    );
    scene.shop.fail(Failure::HangUp);
    let query = json!({ "query": "{ cart { id } }" }).to_string();
    let answer = scene
        .edge
        .raw(&request("POST", PATH, &[JSON], query.as_bytes()));
    assert_eq!(answer, 502);
    assert_eq!(
        answer.json()["errors"][0]["extensions"]["code"],
        "INTERNAL_SERVER_ERROR"
    );
}

#[test]
fn nobody_has_as_many_tokens_in_one_request() {
    let scene = Scene::with(GRAPHQL);
    let send = |count: usize| {
        let tokens: Vec<_> = (0..count).map(|_| scene.shop.sign_in("alice")).collect();
        let text = "query($t: [String]) { me(accessToken: $t) { id } }";
        let body = json!({ "query": text, "variables": { "t": tokens } });
        request("POST", PATH, &[JSON], body.to_string().as_bytes())
    };
    scene.passes(&send(16));
    scene.stops(400, &send(17));
}

#[test]
fn a_logout_revokes_the_tokens_in_its_arguments() {
    let scene = Scene::with(GRAPHQL);
    let (alice, bob) = (scene.shop.sign_in("alice"), scene.shop.sign_in("bob"));
    let text = "mutation($t: String!) { tokenDelete(accessToken: $t) { ok } }";
    let one = |token: &str| json!({ "query": text, "variables": { "t": token } });
    let batch = json!([one(&alice), one(&bob)]).to_string();
    scene.stops(200, &request("POST", PATH, &[JSON], batch.as_bytes()));
    scene.turns_away("by the first", &alice);
    scene.turns_away("by the second", &bob);
}

#[test]
fn what_two_servers_could_read_differently_is_refused() {
    let scene = Scene::with(GRAPHQL);
    let post =
        |kind: &str, body: &str| request("POST", PATH, &[("Content-Type", kind)], body.as_bytes());
    for body in [
        r#"{"query":"{ a }","query":"{ b }"}"#,
        r#"{"query":"{ a }","variables":{"t":1,"t":2}}"#,
        r#"{"query":"{ a }","variables":"{\"t\":1,\"t\":2}"}"#,
        r#"{"query":"{ a }""#,
    ] {
        scene.stops(400, &post(JSON.1, body));
    }
    scene.stops(400, &post(FORM.1, "query={a}&query={b}"));
    scene.stops(
        400,
        &request(
            "GET",
            &format!("{PATH}?query=%7Ba%7D&query%00=%7Bb%7D"),
            &[],
            b"",
        ),
    );
    // What only our parser does not understand could hide a dead token.
    scene.stops(400, &post(JSON.1, r#"{"query":"mutation { a("}"#));
    // Elsewhere it is none of our business.
    let search = request(
        "GET",
        &format!("{PAGE}?query=shoes&id[]=1&id[]=2"),
        &[],
        b"",
    );
    scene.passes(&search);
    let body = br#"{"query":"shoes (red"}"#;
    scene.passes(&request("POST", PAGE, &[JSON], body));
}

#[test]
fn text_that_is_no_document_is_the_shops_to_refuse_where_no_token_can_hide_in_it() {
    let more = GRAPHQL.replace("[[shop.credential]]\ngraphql = \"accessToken\"\n", "");
    let scene = Scene::with(&more);
    for text in [
        "mutation { customerLogout",
        "customerLogout",
        "}",
        "mutation { customerLogout } ?",
    ] {
        scene.means_nothing(&|token| post_json(token, &json!({ "query": text })));
    }
    let body = "mutation { customerLogout }".as_bytes();
    scene.passes(&request(
        "POST",
        PAGE,
        &[("Content-Type", "application/graphql")],
        body,
    ));
}

/// Bodies that can't be examined.
fn unreadable(token: &str) -> Vec<(&'static str, Vec<u8>)> {
    let deep = format!(
        "mutation {{ {} customerLogout {}",
        "a { ".repeat(5000),
        "} ".repeat(5001)
    );
    let lists = format!("{{ a(b: {}1{}) }}", "[".repeat(20_000), "]".repeat(20_000));
    let tokens = format!("{{ {} }}", "a ".repeat(15_000));
    let long = format!("mutation {{ customerLogout {{ {} }} }}", "a".repeat(70_000));
    let fragments: Vec<_> = (0..150)
        .map(|at| format!("query Q{at} {{ ...F }} "))
        .collect();
    let fragments = fragments.concat();
    let spread = format!(
        "{fragments} fragment F on Query {{ {} }}",
        "a ".repeat(2000)
    );
    let batch: Vec<_> = (0..300).map(|_| json!({ "query": "{ a }" })).collect();
    let bearer = format!("Bearer {token}");
    let multipart =
        "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{}\r\n--b--\r\n";
    let packed = [
        JSON,
        ("Content-Encoding", "gzip"),
        ("Authorization", bearer.as_str()),
    ];
    vec![
        ("depth", post_json(token, &json!({ "query": deep }))),
        ("lists", post_json(token, &json!({ "query": lists }))),
        ("tokens", post_json(token, &json!({ "query": tokens }))),
        ("spread", post_json(token, &json!({ "query": spread }))),
        ("batch", post_json(token, &json!(batch))),
        ("length", post_json(token, &json!({ "query": long }))),
        (
            "multipart",
            post(token, "multipart/form-data; boundary=b", multipart),
        ),
        ("encoding", request("POST", PATH, &packed, b"\x1f\x8b\x08")),
        (
            "chunks",
            chunked(
                PATH,
                &[JSON, ("Authorization", &bearer)],
                json!({ "query": long }).to_string().as_bytes(),
                9999,
            ),
        ),
    ]
}

/// What is sent there in chunks.
fn told_in_chunks() -> Vec<u8> {
    let long = format!("mutation {{ customerLogout {{ {} }} }}", "a".repeat(70_000));
    json!({ "query": long }).to_string().into_bytes()
}

#[test]
fn a_body_that_cant_be_examined_is_refused() {
    let scene = Scene::with(GRAPHQL);
    let token = scene.shop.sign_in("alice");
    for (told, bytes) in unreadable(&token) {
        let answer = scene.ends(&bytes);
        let status = if told == "encoding" { 415 } else { 413 };
        assert_eq!(answer, status, "{told}: {}", answer.text());
    }
    scene.admits("it was no logout", &token);
}

#[test]
fn a_body_that_cant_be_examined_is_passed_where_the_operator_says_so() {
    let more = format!("{GRAPHQL}[shop.limits]\nunread_body = \"forward\"\n");
    let more = more.replace("[[shop.credential]]\ngraphql = \"accessToken\"\n", "");
    let scene = Scene::with(&more);
    let token = scene.shop.sign_in("alice");
    for (told, bytes) in unreadable(&token) {
        let seen = scene.passes(&bytes);
        let head = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        if told == "chunks" {
            let sent = told_in_chunks();
            assert!(seen.body == sent, "{told}: {} bytes", seen.body.len());
        } else {
            assert!(seen.body == bytes[head + 4..], "{told}");
        }
    }
    scene.admits("it was no logout that was seen", &token);
    scene
        .edge
        .raw(&post_json(&token, &json!({ "query": LOGOUTS[0] })));
    for (told, bytes) in unreadable(&token) {
        let answer = scene.ends(&bytes);
        assert_eq!(answer, 401, "{told}: the bearer is dead");
    }
}

/// Over HTTP/2 a body may come without its length, so that some of it is read before it is too long.
#[tokio::test]
async fn a_long_body_of_http2_is_passed_byte_for_byte() {
    let more = format!("{GRAPHQL}[shop.limits]\nunread_body = \"forward\"\n");
    let shop = stateless_bagisto();
    let table = format!("h2c = true\n{}{more}", shop_table(&shop));
    let scene = Scene::configured(shop, &table);
    let socket = TcpStream::connect(scene.edge.address()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    for length in [65_537, 100_000, 1_000_000] {
        for is_announced in [false, true] {
            requests = requests.ready().await.unwrap();
            let mut head = http::Request::builder()
                .method("POST")
                .uri(format!("http://shop.example.com{PATH}"))
                .header("content-type", "application/json");
            if is_announced {
                head = head.header("content-length", length);
            }
            let sent = requests.send_request(head.body(()).unwrap(), false);
            let (answer, mut stream) = sent.unwrap();
            let body = noise(length);
            for part in body.chunks(16_000) {
                stream.send_data(part.to_vec().into(), false).unwrap();
            }
            stream.send_data(Bytes::new(), true).unwrap();
            let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
            let told = format!(
                "{length} bytes, announced: {is_announced}: {}",
                answer.status()
            );
            let seen = scene.shop.seen().pop().unwrap_or_else(|| panic!("{told}"));
            assert!(seen.body == body, "{told}: {}", seen.body.len());
        }
    }
    // Where it ends with what is too much of it, nothing would be sent on: that one is refused.
    requests = requests.ready().await.unwrap();
    let head = http::Request::builder()
        .method("POST")
        .uri(format!("http://shop.example.com{PATH}"));
    let sent = requests.send_request(head.body(()).unwrap(), false);
    let (answer, mut stream) = sent.unwrap();
    let visits = scene.shop.visits();
    for _ in 0..4 {
        stream.send_data(noise(16_000).into(), false).unwrap();
    }
    stream.send_data(noise(2000).into(), true).unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(
        (answer.status().as_u16(), scene.shop.visits()),
        (413, visits)
    );
}

#[test]
fn the_text_of_an_unknown_hash_is_asked_for_once() {
    let mut scene = Scene::with(GRAPHQL);
    let text = LOGOUTS[2];
    let only = json!({ "extensions": by_hash(&hash(text)) });
    let asked = json!({ "message": "PersistedQueryNotFound", "extensions": { "code": "PERSISTED_QUERY_NOT_FOUND" } });
    let asked = json!({ "errors": [asked] });
    let token = scene.shop.sign_in("alice");
    let answer = scene.stops(200, &post_json(&token, &only));
    assert_eq!(answer.json(), asked);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let extensions = by_hash(&hash(text)).to_string();
    let answer = scene.stops(200, &get(&token, &[("extensions", &extensions)]));
    assert_eq!(answer.json(), asked);
    let answer = scene.stops(
        200,
        &post_json(&token, &json!([only, { "query": "{ a }" }])),
    );
    assert_eq!(answer.json(), json!([asked, asked]));
    scene.admits("nothing was executed", &token);
    scene.ends_for(&|token| {
        post_json(
            token,
            &json!({ "query": text, "extensions": by_hash(&hash(text)) }),
        )
    });
    scene.ends_for(&|token| post_json(token, &only));
    scene.ends_for(&|token| get(token, &[("extensions", &extensions)]));
    scene.ends_for(&|token| {
        post_json(
            token,
            &json!({ "documentId": format!("sha256:{}", hash(text).to_uppercase()) }),
        )
    });
    // A wrong pairing teaches nothing.
    let innocent = "{ cart { id } }";
    let other = "mutation { customerLogout { other } }";
    let paired = json!({ "query": innocent, "extensions": by_hash(&hash(other)) });
    assert_eq!(scene.stops(200, &post_json(&token, &paired)).json(), asked);
    let only_other = json!({ "extensions": by_hash(&hash(other)) });
    assert_eq!(
        scene.stops(200, &post_json(&token, &only_other)).json(),
        asked
    );
    // And a known hash counts beside an innocent text.
    scene.ends_for_mixed(&json!({ "query": innocent, "extensions": by_hash(&hash(text)) }));
    scene.edge.restart();
    let token = scene.shop.sign_in("alice");
    assert_eq!(scene.stops(200, &post_json(&token, &only)).json(), asked);
}

trait Mixed {
    fn ends_for_mixed(&self, body: &Value);
}

impl Mixed for Scene {
    #[track_caller]
    fn ends_for_mixed(&self, body: &Value) {
        let token = self.shop.sign_in("alice");
        self.passes(&post_json(&token, body));
        self.turns_away("by its hash", &token);
    }
}

#[test]
fn what_was_learnt_of_a_hash_outlives_a_reload() {
    let scene = Scene::with(GRAPHQL);
    let text = LOGOUTS[0];
    scene.ends_for(&|token| {
        post_json(
            token,
            &json!({ "query": text, "extensions": by_hash(&hash(text)) }),
        )
    });
    assert_eq!(scene.edge.command(&["reload"]).code, Some(0));
    scene.ends_for(&|token| post_json(token, &json!({ "extensions": by_hash(&hash(text)) })));
}

#[test]
fn a_dead_token_is_found_behind_a_hash() {
    let scene = Scene::with(GRAPHQL);
    let (dead, live) = (scene.shop.sign_in("alice"), scene.shop.sign_in("bob"));
    scene
        .edge
        .raw(&post_json(&dead, &json!({ "query": LOGOUTS[0] })));
    let text = "query($t: String!) { me(accessToken: $t) { id } }";
    let send = |body: Value| request("POST", PATH, &[JSON], body.to_string().as_bytes());
    let known = |token: &str| {
        send(json!({ "variables": { "t": token }, "extensions": by_hash(&hash(text)) }))
    };
    scene.stops(200, &known(&dead));
    scene.passes(&send(json!({
        "query": text, "variables": { "t": live }, "extensions": by_hash(&hash(text)),
    })));
    scene.stops(401, &known(&dead));
    scene.passes(&known(&live));
    // The token may stand in the document itself.
    let literal = format!("{{ me(accessToken: \"{live}\") {{ id }} }}");
    let extensions = by_hash(&hash(&literal));
    scene.passes(&send(json!({ "query": literal, "extensions": extensions })));
    scene.passes(&send(json!({ "extensions": extensions })));
    scene
        .edge
        .raw(&post_json(&live, &json!({ "query": LOGOUTS[0] })));
    scene.stops(401, &send(json!({ "extensions": extensions })));
}

#[test]
fn a_stored_document_is_a_logout_by_its_name() {
    let more = format!("{GRAPHQL}[shop.graphql]\nunknown_hash = \"forward\"\n");
    let scene = Scene::with(&more);
    for body in [
        json!({ "documentId": "logout-v1" }),
        json!({ "id": "logout-v1", "variables": {} }),
        json!({ "doc_id": "logout-v1" }),
        json!({ "extensions": by_hash("logout-v1") }),
    ] {
        let answer = scene.ends_for(&|token| post_json(token, &body));
        let success = json!({ "success": true });
        assert_eq!(
            answer.json(),
            json!({ "data": { "customerLogout": success } })
        );
    }
    scene.ends_for(&|token| get(token, &[("documentId", "logout-v1")]));
    scene.means_nothing(&|token| post_json(token, &json!({ "documentId": "cart-v1" })));
    scene.means_nothing(&|token| post_json(token, &json!({ "extensions": by_hash(&hash("x")) })));
    let dead = scene.shop.sign_in("alice");
    scene
        .edge
        .raw(&post_json(&dead, &json!({ "documentId": "logout-v1" })));
    let unknown =
        json!({ "documentId": "cart-v1", "variables": { "a": [{ "accessToken": dead }] } });
    scene.stops(
        401,
        &request("POST", PATH, &[JSON], unknown.to_string().as_bytes()),
    );
}

#[test]
fn a_refresh_by_graphql_is_known_by_its_mutation() {
    let more = GRAPHQL.replacen(
        "[[shop.credential]]",
        "[[shop.refresh]]\npaths = [\"/graphql\"]\ngraphql = \"refresh\"\n\
         [[shop.credential]]\ngraphql = \"refreshToken\"\nkind = \"opaque\"\nat = [\"logout\", \"refresh\"]\n\
         [[shop.credential]]",
        1,
    );
    let scene = Scene::with(&more);
    let token = scene.shop.sign_in("alice");
    let refresh_token = "r-0123456789abcdef0123456789abcdef";
    let body = |text: &str| json!({ "query": text, "variables": { "r": refresh_token } });
    let text = "mutation($r: String!) { refresh(refreshToken: $r) { token } }";
    let send = |body: &Value| request("POST", PATH, &[JSON], body.to_string().as_bytes());
    scene.passes(&send(&body(text)));
    let logout = "mutation($r: String!) { customerLogout(refreshToken: $r) { success } }";
    scene.stops(200, &post_json(&token, &body(logout)));
    scene.turns_away("after the logout", &token);
    scene.stops(401, &send(&body(text)));
    // Elsewhere it is no credential, and dead all the same.
    let other = "query($r: String!) { other(refreshToken: $r) { id } }";
    scene.stops(401, &send(&body(other)));
    let living =
        json!({ "query": other, "variables": { "r": "s-0123456789abcdef0123456789abcdef" } });
    scene.passes(&send(&living));
}
