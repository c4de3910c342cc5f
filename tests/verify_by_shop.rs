//! Opaque tokens of which only the shop knows whether they are good, and whose they are.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::{
    Answer, Connection, Edge, Failure, HeldShop, Recorder, Shop, asked_shop_table, eventually,
    request, said, stateless_bagisto,
};

const ASK: &str = "/who";
const PAGE: &str = "/page";
const LOGOUT: &str = "/bye";

/// A shop whose tokens are opaque. Who they belong to is recited; each test says it before it is asked.
struct Scene {
    shop: Shop,
    edge: Edge,
}

fn table(upstream: SocketAddr, ask: &str) -> String {
    let ask = format!(
        "path = \"{ASK}\"\nactive = {{ json = {{ \"/good\" = true }} }}\nsubject = \"/id\"\n{ask}"
    );
    asked_shop_table(upstream, "opaque_pattern = '[a-z0-9-]{20,}'", &ask)
        + &format!(
            r#"
[[shop.logout]]
paths  = ["{LOGOUT}"]
revoke = "subject"
answer = "local"

[[shop.route]]
paths   = ["/orders"]
enforce = "required"
"#
        )
}

impl Scene {
    fn open() -> Self {
        Self::asking("")
    }

    fn asking(more: &str) -> Self {
        let shop = stateless_bagisto();
        for path in [PAGE, "/orders"] {
            shop.recite(path, said(200, "{}"));
        }
        let edge = Edge::with(&table(shop.address(), more));
        Self { shop, edge }
    }

    /// From now on the shop says this of whatever token it is asked about.
    fn knows(&self, id: &str) {
        self.shop
            .recite(ASK, said(200, &json!({"good": true, "id": id}).to_string()));
    }

    fn knows_nobody(&self) {
        self.shop
            .recite(ASK, said(200, &json!({"good": false}).to_string()));
    }

    fn ask(&self, method: &str, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.edge
            .raw(&request(method, path, &[("Authorization", &bearer)], b""))
    }

    fn visit(&self, token: &str) -> u16 {
        self.ask("GET", PAGE, token).status
    }

    fn log_out(&self, token: &str) -> u16 {
        self.ask("POST", LOGOUT, token).status
    }

    /// How often the shop was asked about a token, and how often it saw anything else.
    fn seen(&self) -> (usize, usize) {
        let seen = self.shop.seen();
        let asked = seen.iter().filter(|one| one.target == ASK).count();
        (asked, seen.len() - asked)
    }
}

const PHONE: &str = "phone-0123456789abcdef";
const TABLET: &str = "tablet-0123456789abcdef";
const LATER: &str = "later-0123456789abcdef0";
const BOBS: &str = "bobs-0123456789abcdef00";

#[test]
fn a_logout_reaches_only_the_customers_other_tokens() {
    let scene = Scene::open();
    scene.knows("7");
    assert_eq!((scene.visit(PHONE), scene.visit(TABLET)), (200, 200));
    scene.knows("8");
    assert_eq!(scene.visit(BOBS), 200);
    scene.knows("7");
    assert_eq!(scene.log_out(PHONE), 200);
    let seen = scene.seen();
    assert_eq!((scene.visit(PHONE), scene.visit(TABLET)), (401, 401));
    assert_eq!(scene.seen(), seen, "the shop saw nothing of it");
    assert_eq!(scene.visit(BOBS), 200);
    scene.knows("7");
    assert_eq!(
        scene.visit(LATER),
        200,
        "a login after the logout, in its second"
    );
    assert_eq!(scene.log_out(LATER), 200);
    assert_eq!(scene.visit(LATER), 401);
}

/// One session, in which another customer has logged in meanwhile.
#[test]
fn a_logout_is_that_of_the_customer_whose_session_it_is_now() {
    let scene = Scene::open();
    scene.knows("7");
    assert_eq!((scene.visit(PHONE), scene.visit(TABLET)), (200, 200));
    scene.knows("8");
    assert_eq!(scene.visit(BOBS), 200);
    assert_eq!(scene.log_out(PHONE), 200, "the phone is in 8's hands");
    assert_eq!(scene.visit(BOBS), 401, "8's other device");
    assert_eq!(scene.visit(TABLET), 200, "7's");
}

/// What the shop said lately counts where it says nothing at the logout, or has ended the session before.
#[test]
fn a_logout_reaches_the_other_tokens_though_the_shop_no_longer_knows_the_one_that_is_sent() {
    for is_silent in [false, true] {
        let scene = Scene::open();
        scene.knows("7");
        assert_eq!((scene.visit(PHONE), scene.visit(TABLET)), (200, 200));
        if is_silent {
            scene.shop.recite(ASK, said(500, ""));
        } else {
            scene.knows_nobody();
        }
        assert_eq!(scene.log_out(PHONE), 200);
        assert_eq!((scene.visit(PHONE), scene.visit(TABLET)), (401, 401));
    }
}

#[test]
fn what_was_logged_out_stays_dead_after_a_crash_though_the_shop_says_that_it_is_good() {
    let mut scene = Scene::open();
    scene.knows("7");
    scene.visit(TABLET);
    scene.log_out(PHONE);
    scene.edge.kill_dash_nine();
    scene.edge.restart();
    assert_eq!((scene.visit(PHONE), scene.visit(TABLET)), (401, 401));
    assert_eq!(scene.visit(LATER), 200);
}

#[test]
fn the_shop_is_asked_once_in_a_while_and_as_the_customer_came() {
    let scene = Scene::open();
    scene.knows("7");
    for _ in 0..5 {
        let bearer = format!("Bearer {PHONE}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("User-Agent", "kettle/1"),
            ("Cookie", "theme=dark"),
            ("X-Doorward-Stale", "1"),
        ];
        assert_eq!(scene.edge.raw(&request("GET", PAGE, &headers, b"")), 200);
    }
    assert_eq!(scene.seen(), (1, 5));
    let asked = &scene.shop.seen()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", ASK));
    assert_eq!(
        asked.header("authorization"),
        Some(format!("Bearer {PHONE}").as_str())
    );
    assert_eq!(asked.header("user-agent"), Some("kettle/1"));
    assert_eq!(
        (asked.header("cookie"), asked.header("x-doorward-stale")),
        (None, None)
    );
    assert!(asked.header("x-request-id").is_some() && asked.header("x-forwarded-for").is_some());
}

/// A page asks for many things at once, all with one token.
#[test]
fn requests_that_come_together_with_one_token_are_one_question() {
    const TOGETHER: usize = 8;
    let held = HeldShop::open();
    let edge = Edge::with(&table(held.address(), ""));
    let bearer = format!("Bearer {PHONE}");
    let page = request("GET", PAGE, &[("Authorization", &bearer)], b"");
    let mut visitors: Vec<Connection> = (0..TOGETHER)
        .map(|_| Connection::open(edge.address()))
        .collect();
    for visitor in &mut visitors {
        visitor.send(&page);
    }
    let waiting = format!("doorward_requests_in_flight {TOGETHER}");
    eventually(|| edge.metrics().lines().any(|line| line == waiting));
    eventually(|| held.waiting() > 0);
    // A request with another token does not wait.
    let other = format!("Bearer {TABLET}");
    let mut other_visitor = Connection::open(edge.address());
    other_visitor.send(&request("GET", PAGE, &[("Authorization", &other)], b""));
    eventually(|| held.waiting() > 1);
    held.release();
    for visitor in visitors.iter_mut().chain([&mut other_visitor]) {
        assert_eq!(visitor.answer(), 200);
    }
    assert_eq!(
        held.waiting(),
        2 + TOGETHER + 1,
        "two questions, and every visit"
    );
}

/// The visit's question hangs with the shop. The logout asks for itself, or it would take twice as long to count.
#[test]
fn a_logout_waits_for_no_visit_that_came_with_its_token() {
    let held = HeldShop::open();
    let edge = Edge::with(&table(held.address(), ""));
    let bearer = format!("Bearer {PHONE}");
    let headers = [("Authorization", bearer.as_str())];
    let mut visitor = Connection::open(edge.address());
    visitor.send(&request("GET", PAGE, &headers, b""));
    eventually(|| held.waiting() == 1);
    let mut leaver = Connection::open(edge.address());
    leaver.send(&request("POST", LOGOUT, &headers, b""));
    eventually(|| held.waiting() == 2);
    held.release();
    assert_eq!(leaver.answer(), 200);
    let visited = visitor.answer().status; // before the logout was in force, or after
    assert!(matches!(visited, 200 | 401), "{visited}");
}

#[test]
fn the_shop_is_asked_as_the_host_that_it_knows_itself_by() {
    let shop = stateless_bagisto();
    let table = table(shop.address(), "");
    let own = "name     = \"main\"\nupstream_host = \"kettles.example.net\"";
    let edge = Edge::with(&table.replace("name     = \"main\"", own));
    let bearer = format!("Bearer {PHONE}");
    edge.raw(&request("GET", PAGE, &[("Authorization", &bearer)], b""));
    let seen = shop.seen();
    assert_eq!(seen[0].target, ASK);
    assert_eq!(seen[0].header("host"), Some("kettles.example.net"));
    assert_eq!(seen[0].header("x-forwarded-host"), Some("shop.example.com"));
}

#[test]
fn a_token_may_stand_in_the_body_that_is_asked() {
    let scene = Scene::asking(
        "method = \"POST\"\nbody = 'token={token}&hint=x'\ncontent_type = \"application/x-www-form-urlencoded\"",
    );
    scene.knows("7");
    assert_eq!(scene.visit(PHONE), 200);
    let asked = &scene.shop.seen()[0];
    assert_eq!(asked.method, "POST");
    let body = String::from_utf8(asked.body.clone()).unwrap();
    assert_eq!(body, format!("token={}&hint=x", PHONE.replace('-', "%2D")));
}

/// A guest's cart travels as a bearer in some shops: it is none of our business, and can't log anybody out.
#[test]
fn a_stranger_passes_but_for_where_a_customer_is_required() {
    let scene = Scene::open();
    scene.knows_nobody();
    assert_eq!(scene.visit(PHONE), 200);
    assert_eq!(scene.ask("GET", "/orders", PHONE), 401);
    assert_eq!(scene.log_out(PHONE), 200);
    assert_eq!(scene.visit(PHONE), 401, "what was presented is dead");
    // Nor is the shop asked about what is not one of its tokens.
    let (asked, _) = scene.seen();
    assert_eq!(scene.visit("short"), 200);
    assert_eq!(scene.seen().0, asked);
}

/// Some shops make a customer's session of a guest's, under the same token.
#[test]
fn a_token_that_was_inactive_a_moment_ago_can_log_out() {
    let scene = Scene::open();
    scene.knows_nobody();
    assert_eq!(scene.visit(PHONE), 200);
    scene.knows("7");
    assert_eq!(scene.log_out(PHONE), 200);
    assert_eq!(scene.visit(PHONE), 401);
}

/// Vendure leaves a cookie with an empty token in every browser that has logged out, the same in each.
#[test]
fn a_value_that_all_clients_send_after_a_logout_is_not_revoked_though_the_shop_is_silent() {
    const ASK: &str = "/shop-api";
    const OUT: &[u8] = br#"{"query":"mutation { logout { success } }"}"#;
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\npreset = \"vendure\"\ndead_cookie = \"refuse\"\nupstream = [\"{}\"]\n",
        shop.address()
    ));
    let ask = |method: &str, target: &str, value: &str, body: &[u8]| {
        let cookie = format!("session={value}");
        let headers = [
            ("Cookie", cookie.as_str()),
            ("Content-Type", "application/json"),
        ];
        edge.raw(&request(method, target, &headers, body)).status
    };
    let session = STANDARD.encode(format!(
        "{{\"token\":\"{}\"}}",
        "0123456789abcdef".repeat(4)
    ));
    let empty = STANDARD.encode("{\"token\":\"\"}");
    shop.recite(ASK, said(500, "{}"));
    shop.recite(PAGE, said(200, "{}"));
    assert_eq!(ask("POST", ASK, &empty, OUT), 200);
    assert_eq!(ask("GET", PAGE, &empty, b""), 200);
    assert_eq!(ask("POST", ASK, &session, OUT), 200);
    assert_eq!(ask("GET", PAGE, &session, b""), 401);
}

#[test]
fn while_the_shop_says_nothing_tokens_wait_and_logouts_count() {
    let scene = Scene::open();
    scene.shop.recite(ASK, said(500, "{}"));
    let answer = scene.ask("GET", PAGE, PHONE);
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("5"))
    );
    assert_eq!(
        scene.edge.raw(&request("GET", PAGE, &[], b"")),
        200,
        "guests pass"
    );
    assert_eq!(scene.log_out(PHONE), 200);
    scene.knows("7");
    assert_eq!(scene.visit(PHONE), 401);
    scene.shop.fail(Failure::HangUp);
    assert_eq!(scene.ask("GET", PAGE, TABLET), 503);
}

/// A shop that says when a token was issued needs no memory of when it was first seen.
#[test]
fn a_cutoff_goes_by_the_time_of_issue_where_the_shop_says_it() {
    let scene = Scene::asking("issued_at = \"/iat\"");
    let says = |iat: u64| {
        let body = json!({"good": true, "id": 7, "iat": iat}).to_string();
        scene.shop.recite(ASK, said(200, &body));
    };
    says(1_700_000_000);
    assert_eq!(scene.log_out(PHONE), 200);
    assert_eq!(scene.visit(TABLET), 401, "never seen before, and older");
    says(4_000_000_000);
    assert_eq!(scene.visit(LATER), 200);
}

#[test]
fn an_operator_cuts_a_customer_off_by_name() {
    let scene = Scene::open();
    scene.knows("7");
    assert_eq!(scene.visit(PHONE), 200);
    let revoked = scene
        .edge
        .command(&["revoke", "--shop", "main", "--subject", "7"]);
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    assert_eq!(scene.visit(PHONE), 401);
    assert_eq!(scene.visit(LATER), 200);
}

#[test]
fn no_token_is_told_to_the_log_when_the_shop_is_asked() {
    let recorder = Recorder::open();
    let edge = Edge::with(&table(recorder.address(), ""));
    let bearer = format!("Bearer {PHONE}");
    edge.raw(&request("GET", PAGE, &[("Authorization", &bearer)], b""));
    assert!(recorder.has_heard(PHONE));
    assert!(edge.log_lines().iter().all(|line| !line.contains(PHONE)));
}
