//! Why a request was refused: its id, the one name of its token, and what the process remembers of it.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use serde_json::Value;
use support::places::OWN_LOGOUT;
use support::{
    Cluster, Customer, Edge, Exchange, HELLO, LiveShop, Outcome, Scene, eventually, request,
    shop_table, stateless_bagisto, stateless_cocart,
};

const PROFILE: &str = "/api/shop/customers/profile";

fn explained(edge: &Edge, id: &str) -> Value {
    let Outcome { code, stdout, .. } = edge.command(&["explain", "--request-id", id]);
    assert_eq!(code, Some(0), "{stdout}");
    let mut told: Value = serde_json::from_str(&stdout).unwrap();
    told["decisions"][0].take()
}

/// The token's name in the last line of this edge that refused it.
fn name_in_log(edge: &Edge) -> String {
    let find = || {
        let mut lines = edge.log_lines().into_iter().rev();
        lines.find(|line| line.contains("reason=revoked"))
    };
    eventually(|| find().is_some());
    let line = find().unwrap();
    let rest = line.split_once(" token=").unwrap().1;
    rest.split(' ').next().unwrap().to_owned()
}

#[test]
fn every_answer_names_its_request() {
    let scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    let mut ids = Vec::new();
    for answer in [
        scene.edge.raw(&request("GET", "/", &[], b"")),
        alice.visit(&scene.edge, PROFILE),
        alice.log_out(&scene.edge),
        alice.visit(&scene.edge, PROFILE),
        scene.edge.raw(&request("TRACE", "/", &[], b"")),
        scene.edge.raw(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
        scene.edge.raw(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let given = answer.headers_named("x-request-id");
        assert_eq!(given.len(), 1, "{answer:?}");
        ids.push(given[0].to_owned());
    }
    let seen = scene.shop.seen();
    let of_shop = seen[0].headers.iter();
    let mut of_shop = of_shop.filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id"));
    assert_eq!(of_shop.next().unwrap().1, ids[0]);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 7);
}

#[test]
fn a_refused_request_is_explained_by_its_id() {
    let scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    let logout = alice.log_out(&scene.edge);
    let refused = alice.visit(&scene.edge, PROFILE);
    assert_eq!(refused.status, 401);
    let told = explained(&scene.edge, refused.header("x-request-id").unwrap());
    assert_eq!(told["verdict"], "refused");
    assert_eq!(told["reason"], "revoked");
    assert_eq!(told["detail"], "token");
    assert_eq!(told["place"], "header authorization Bearer");
    assert_eq!(told["path"], PROFILE);
    assert_eq!(told["status"], 401);
    assert_eq!(told["token"], *name_in_log(&scene.edge));
    assert!(
        told["what_to_do"]
            .as_str()
            .unwrap()
            .contains("log in again")
    );
    let revoked = &told["revoked"];
    assert_eq!(revoked["request"].as_str(), logout.header("x-request-id"));
    assert_eq!(revoked["rule"], "POST /api/shop/customers/logout");
    assert!(revoked["at"].as_str().unwrap().starts_with("20"));
    let log = scene.edge.log_lines().join("\n");
    let id = logout.header("x-request-id").unwrap();
    assert!(log.contains(&format!("revoked_by={id}")), "{log}");
    assert!(
        log.contains("place=\"header authorization Bearer\""),
        "{log}"
    );

    let passed = scene.edge.raw(&request("GET", "/", &[], b""));
    let told = explained(&scene.edge, passed.header("x-request-id").unwrap());
    assert_eq!(told["verdict"], "forwarded");
    let unknown = scene.edge.command(&["explain", "--request-id", "nothing"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stdout.contains("10000"), "{unknown:?}");
}

#[test]
fn what_an_operator_revoked_is_explained_too() {
    let scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    let order = ["revoke", "--shop", "main", "--token", "-"];
    let done = scene
        .edge
        .command_with_input(&order, alice.token().as_bytes());
    assert_eq!(done.code, Some(0), "{done:?}");
    let refused = alice.visit(&scene.edge, PROFILE);
    let told = explained(&scene.edge, refused.header("x-request-id").unwrap());
    assert_eq!(told["revoked"]["rule"], "doorward revoke: token");
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(told["log_name"], *name_in_log(&scene.edge));
    let looked = ["inspect", "--shop", "main", "--token", "-"];
    let looked = scene
        .edge
        .command_with_input(&looked, alice.token().as_bytes());
    let looked: Value = serde_json::from_str(&looked.stdout).unwrap();
    assert_eq!(looked["log_name"], told["log_name"]);

    let jane = Customer::named(&scene.shop, "jane");
    eventually(|| {
        let order = ["revoke", "--shop", "main", "--subject", "2"];
        assert_eq!(scene.edge.command(&order).code, Some(0));
        jane.visit(&scene.edge, PROFILE) == 401 // a logout spares the second in which it is
    });
    let refused = jane.visit(&scene.edge, PROFILE);
    let told = explained(&scene.edge, refused.header("x-request-id").unwrap());
    assert_eq!(told["revoked"]["rule"], "doorward revoke: subject");
}

#[test]
fn a_token_keeps_its_name_over_a_restart() {
    let mut scene = Scene::with("");
    let alice = Customer::signed_in(&scene.shop);
    alice.log_out(&scene.edge);
    alice.visit(&scene.edge, PROFILE);
    let before = name_in_log(&scene.edge);
    scene.edge.restart();
    let refused = alice.visit(&scene.edge, PROFILE);
    assert_eq!(name_in_log(&scene.edge), before);
    let told = explained(&scene.edge, refused.header("x-request-id").unwrap());
    assert_eq!(told["token"], *before);
}

#[test]
fn a_token_has_one_name_on_all_nodes_and_its_end_is_told_by_each() {
    let cluster = Cluster::of(&["a", "b"]).start();
    let alice = Customer::signed_in(&cluster.shop);
    assert_eq!(alice.log_out(&cluster["a"]).status, 200);
    for name in ["a", "b"] {
        eventually(|| alice.visit(&cluster[name], PROFILE) == 401);
    }
    assert_eq!(name_in_log(&cluster["a"]), name_in_log(&cluster["b"]));
    let refused = alice.visit(&cluster["b"], PROFILE);
    let told = explained(&cluster["b"], refused.header("x-request-id").unwrap());
    assert_eq!(told["revoked"]["node"], "a", "{told}");
}

#[test]
fn a_refusal_names_its_request_in_its_body_where_the_shop_wants_that() {
    let option = "[shop.refusal]\nrequest_id = true\n";
    let id_in = |body: &Value| {
        [
            "/request_id",
            "/data/request_id",
            "/errors/0/extensions/request_id",
        ]
        .iter()
        .find_map(|place| body.pointer(place))
        .and_then(Value::as_str)
        .map(str::to_owned)
    };
    for (shop, format) in [
        (stateless_bagisto(), "message"),
        (stateless_cocart(), "wp-error"),
        (stateless_bagisto(), "problem"),
        (stateless_bagisto(), "graphql"),
    ] {
        let table = format!("{}{option}format = \"{format}\"\n", shop_table(&shop));
        let edge = Edge::with(&table);
        let bad = [("Authorization", "Bearer e30.e30.x")];
        let answer = edge.raw(&request("GET", "/cart", &bad, b""));
        assert_eq!(answer.status, 401, "{format}");
        let id = id_in(&answer.json());
        assert_eq!(id.as_deref(), answer.header("x-request-id"), "{format}");
    }
    let plain = Scene::with("");
    let answer = plain.edge.raw(&request("TRACE", "/", &[], b""));
    assert_eq!(id_in(&answer.json()), None);
}

#[test]
fn a_request_that_is_cut_off_is_taken_down() {
    let live = LiveShop::beside(stateless_bagisto());
    let edge = Edge::with(&live.table());
    let token = live.shop.sign_in("alice");
    let bearer = [("Authorization", format!("Bearer {token}"))];
    let bearer = bearer
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut exchange = Exchange::of(edge.address(), "/events/alice", &bearer);
    exchange.hears(HELLO);
    assert_eq!(edge.raw(&request("POST", OWN_LOGOUT, &bearer, b"")), 200);
    eventually(|| {
        edge.log_lines()
            .iter()
            .any(|line| line.contains("cut off "))
    });
    let lines = edge.log_lines();
    let cut_off = lines.iter().find(|line| line.contains("cut off "));
    let request = cut_off.unwrap().split_once("request=").unwrap().1;
    let request = request.split(' ').next().unwrap();
    eventually(|| edge.command(&["explain", "--request-id", request]).code == Some(0));
    let told = explained(&edge, request);
    assert_eq!(told["verdict"], "cut_off");
    assert_eq!(told["reason"], "revoked");
    assert_eq!(told["path"], "/events/alice");
    assert_eq!(told["status"], 200);
}
