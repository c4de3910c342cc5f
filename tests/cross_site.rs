//! Logouts that the customer has not asked for: what a page of another site makes the browser send ends nothing before
//! the shop has agreed.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use support::frames::{Frames, fields_of};
use support::{Answer, Edge, Shop, doorward, opaque_shop_table, request, said, stateless_bagisto};

const PAGE: &str = "/page";
const LOGOUT: &str = "/bye";
const OWN_LOGOUT: &str = "/_doorward/logout";

/// What browsers say of a request that a page of another site has made them send.
const FOREIGN: [&[(&str, &str)]; 9] = [
    &[("Sec-Fetch-Site", "cross-site")],
    &[
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "https://shop.example.com"),
    ],
    &[("Sec-Fetch-Site", "")],
    &[("Origin", "https://evil.example.net")],
    &[("Origin", "null")],
    &[("Origin", "https://shop.example.com.evil.example.net")],
    &[("Origin", "https://shop.example.com:8443")],
    &[("Origin", "null"), ("Referer", "https://shop.example.com/")],
    &[("Referer", "https://evil.example.net/shop.example.com")],
];

/// What they say of one that the shop's own page has made them send.
const OWN: [&[(&str, &str)]; 7] = [
    &[("Sec-Fetch-Site", "same-origin")],
    &[("Sec-Fetch-Site", "none")],
    &[("Origin", "https://shop.example.com")],
    &[
        ("Origin", "https://shop.example.com"),
        ("Referer", "https://evil.example.net/"),
    ],
    &[("Referer", "http://SHOP.example.com/account?x")],
    &[("Sec-Fetch-Site", "same-origin"), ("Origin", "null")],
    // An application or a service: no browser says so little of a POST to another site.
    &[],
];

/// A shop whose sessions are cookies, passwords or bearers, and that is logged out of at once; `more` are keys of the rule,
/// and then of other tables.
fn table(shop: &Shop, more: &str) -> String {
    format!(
        r#"{}
[[shop.credential]]
cookie = "sid"

[[shop.credential]]
header  = "authorization"
schemes = ["Bearer", "Basic"]

[[shop.logout]]
methods = ["POST", "GET"]
paths   = ["{LOGOUT}"]
{more}
"#,
        opaque_shop_table(shop)
    )
}

struct Scene {
    shop: Shop,
    edge: Edge,
}

impl Scene {
    fn with(more: &str) -> Self {
        Self::under("", more)
    }

    fn under(top: &str, more: &str) -> Self {
        let shop = stateless_bagisto();
        shop.recite(PAGE, said(200, "said"));
        let edge = Edge::with(&format!("{top}{}", table(&shop, more)));
        Self { shop, edge }
    }

    fn send(&self, method: &str, credential: (&str, &str), page: &[(&str, &str)]) -> Answer {
        let headers = [&[credential], page].concat();
        self.edge.raw(&request(method, LOGOUT, &headers, b""))
    }

    fn is_alive(&self, credential: (&str, &str)) -> bool {
        let visits = self.shop.visits();
        let answer = self.edge.raw(&request("GET", PAGE, &[credential], b""));
        let seen = self.shop.seen();
        let reached = seen.len() > visits
            && seen
                .last()
                .is_some_and(|seen| seen.header(credential.0) == Some(credential.1));
        assert!(
            reached || matches!(answer.status, 200 | 401),
            "{}",
            answer.status
        );
        reached
    }

    /// Each of the shop's own pages logs its customer out, whatever the shop answers.
    #[track_caller]
    fn ends_at_once_for_own_pages(&self) {
        for (number, page) in OWN.into_iter().enumerate() {
            let cookie = format!("sid=own-{number}");
            let cookie = ("Cookie", cookie.as_str());
            assert_eq!(self.send("POST", cookie, page), 200, "{page:?}");
            assert!(!self.is_alive(cookie), "{page:?}");
        }
    }

    fn own_logout(&self, cookie: &str, page: &[(&str, &str)]) -> u16 {
        let headers = [&[("Cookie", cookie)], page].concat();
        let asked = request("POST", OWN_LOGOUT, &headers, b"");
        self.edge.raw(&asked).status
    }
}

#[test]
fn what_another_site_sends_with_a_cookie_waits_for_the_shops_word_field_f4_attacks_b3() {
    let scene = Scene::with("");
    for (number, page) in FOREIGN.into_iter().enumerate() {
        for method in ["POST", "GET"] {
            let cookie = format!("sid=no-{method}-{number}");
            for status in [403, 419, 422, 401, 404, 405, 500] {
                scene.shop.recite(LOGOUT, said(status, "said"));
                let visits = scene.shop.visits();
                let answer = scene.send(method, ("Cookie", &cookie), page);
                assert_eq!(
                    (answer.status, &*answer.text()),
                    (status, "said"),
                    "{page:?}"
                );
                assert_eq!(scene.shop.visits(), visits + 1, "the shop hears of it");
                assert!(answer.headers_named("set-cookie").is_empty());
            }
            assert!(scene.is_alive(("Cookie", &cookie)), "{method} {page:?}");
        }
    }
    for (number, page) in FOREIGN.into_iter().enumerate() {
        for status in [200, 204, 302, 303] {
            let cookie = format!("sid=yes-{number}-{status}");
            scene.shop.recite(LOGOUT, said(status, "said"));
            let answer = scene.send("POST", ("Cookie", &cookie), page);
            assert_eq!(answer.status, status, "{page:?}");
            assert!(!scene.is_alive(("Cookie", &cookie)), "{status} {page:?}");
        }
    }
}

#[test]
fn what_the_shops_own_page_sends_counts_at_once_field_f4() {
    let scene = Scene::with("");
    scene.shop.recite(LOGOUT, said(500, "said"));
    scene.ends_at_once_for_own_pages();
}

/// A page can make a browser say nothing of where a GET comes from.
#[test]
fn a_link_that_hides_its_page_waits_for_the_shops_word_field_f4() {
    let scene = Scene::with("");
    scene.shop.recite(LOGOUT, said(403, "said"));
    assert_eq!(scene.send("GET", ("Cookie", "sid=a1"), &[]), 403);
    assert!(scene.is_alive(("Cookie", "sid=a1")));
    scene.shop.recite(LOGOUT, said(302, "said"));
    assert_eq!(scene.send("GET", ("Cookie", "sid=a1"), &[]), 302);
    assert!(!scene.is_alive(("Cookie", "sid=a1")));
}

/// A browser remembers them, and sends them with the requests of any page.
#[test]
fn a_password_that_the_browser_remembers_proves_no_more_than_a_cookie_field_f4() {
    let scene = Scene::with("");
    scene.shop.recite(LOGOUT, said(403, "said"));
    let foreign = FOREIGN[0];
    for line in [
        "Basic YWxpY2U6c2VjcmV0LXNlY3JldA==",
        "bAsIc YWxpY2U6c2VjcmV0LXNlY3JldA==",
    ] {
        let password = ("Authorization", line);
        assert_eq!(scene.send("POST", password, foreign), 403);
        assert!(scene.is_alive(password), "{line}");
    }
    let bearer = ("Authorization", "Bearer 0123456789abcdef0123");
    scene.send("POST", bearer, foreign);
    assert!(
        !scene.is_alive(bearer),
        "no page sends one that does not know it"
    );
}

#[test]
fn a_bearer_beside_the_cookie_does_not_speak_for_it_field_f4() {
    let scene = Scene::with("");
    scene.shop.recite(LOGOUT, said(403, "said"));
    let bearer = ("Authorization", "Bearer 0f-the-attacker-himself");
    let page = [&[bearer], FOREIGN[0]].concat();
    assert_eq!(scene.send("POST", ("Cookie", "sid=a1"), &page), 403);
    assert!(scene.is_alive(("Cookie", "sid=a1")));
}

#[test]
fn the_rule_says_what_the_shops_yes_is_field_f4() {
    let scene = Scene::with("agreed = { status = [\"303\"] }");
    for (status, is_alive) in [(200, true), (302, true), (303, false)] {
        scene.shop.recite(LOGOUT, said(status, "said"));
        assert_eq!(scene.send("POST", ("Cookie", "sid=a1"), FOREIGN[0]), status);
        assert_eq!(scene.is_alive(("Cookie", "sid=a1")), is_alive, "{status}");
    }
}

/// Nobody would ask the shop.
#[test]
fn what_doorward_answers_itself_is_refused_to_another_site_field_f4() {
    let scene = Scene::with("answer = \"local\"");
    for page in FOREIGN {
        for method in ["POST", "GET"] {
            let answer = scene.send(method, ("Cookie", "sid=a1"), page);
            assert_eq!(answer, 403, "{page:?}");
            assert!(
                answer.text().contains("from the shop itself"),
                "{}",
                answer.text()
            );
        }
    }
    assert_eq!(scene.send("GET", ("Cookie", "sid=a1"), &[]), 403);
    assert!(scene.is_alive(("Cookie", "sid=a1")));
    let bearer = ("Authorization", "Bearer 0123456789abcdef0123");
    assert_eq!(scene.send("POST", bearer, FOREIGN[0]), 200);
    scene.ends_at_once_for_own_pages();
    assert!(scene.edge.metrics().contains("cross_site"));
}

/// A front end on another host of the shop's is no other site.
#[test]
fn a_page_of_the_same_site_is_none_of_another_field_f4() {
    let shop = stateless_bagisto();
    shop.recite(PAGE, said(200, "said"));
    shop.recite(LOGOUT, said(500, "said"));
    let hosts = "hosts = [\"shop.example.com\", \"*.front.example.com\"]\nupstream";
    let edge = Edge::with(&table(&shop, "").replacen("upstream", hosts, 1));
    let scene = Scene { shop, edge };
    let pages: [&[(&str, &str)]; 3] = [
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", "https://www.front.example.com")],
        &[("Referer", "https://www.front.example.com/x")],
    ];
    for (number, page) in pages.into_iter().enumerate() {
        let cookie = format!("sid=same-{number}");
        assert_eq!(
            scene.send("POST", ("Cookie", &cookie), page),
            200,
            "{page:?}"
        );
        assert!(!scene.is_alive(("Cookie", &cookie)), "{page:?}");
        assert_eq!(scene.own_logout("sid=x3", page), 403, "{page:?}");
    }
    let foreign = [("Origin", "https://front.example.com")];
    assert_eq!(scene.send("POST", ("Cookie", "sid=other4"), &foreign), 500);
    assert!(scene.is_alive(("Cookie", "sid=other4")));
}

/// A proxy in front may ask under another host than the customer.
#[test]
fn the_customers_host_is_the_one_that_a_trusted_proxy_names_field_f4() {
    for (top, is_alive) in [("trusted_proxies = [\"127.0.0.1\"]\n", false), ("", true)] {
        let scene = Scene::under(top, "");
        scene.shop.recite(LOGOUT, said(403, "said"));
        let page = [
            ("Origin", "https://www.example.org"),
            ("X-Forwarded-Host", "www.example.org"),
        ];
        scene.send("POST", ("Cookie", "sid=a1"), &page);
        assert_eq!(scene.is_alive(("Cookie", "sid=a1")), is_alive, "{top}");
    }
}

fn over_http2(edge: &Edge, method: &str, path: &str, more: &[(&str, &str)]) -> u16 {
    let fields = fields_of(method, path, more);
    Frames::open(edge.address()).ask(&fields, None).status
}

/// Safari before 16.4 has no `Sec-Fetch-Site`, and HTTP/2 no `Host`.
#[test]
fn a_logout_over_http2_is_the_shops_own_by_its_authority_attacks_b9() {
    let scene = Scene::under("h2c = true\n", "");
    scene.shop.recite(LOGOUT, said(403, "said"));
    let cookie = |value: &str| format!("sid={value}");
    for (number, (page, status)) in [
        (("origin", "https://shop.example.com"), 200),
        (("origin", "https://SHOP.example.com."), 200),
        (("origin", "https://evil.example.net"), 403),
        (("origin", "null"), 403),
        (("x-nothing", ""), 403),
    ]
    .into_iter()
    .enumerate()
    {
        let own = cookie(&format!("own-{number}"));
        let fields = [("cookie", own.as_str()), page];
        assert_eq!(
            over_http2(&scene.edge, "POST", OWN_LOGOUT, &fields),
            status,
            "{page:?}"
        );
        assert_eq!(scene.is_alive(("Cookie", &own)), status == 403, "{page:?}");
        let shops = cookie(&format!("shops-{number}"));
        let fields = [("cookie", shops.as_str()), page];
        over_http2(&scene.edge, "POST", LOGOUT, &fields);
        let is_foreign = page.0 == "origin" && status == 403;
        assert_eq!(scene.is_alive(("Cookie", &shops)), is_foreign, "{page:?}");
    }
}

#[test]
fn the_operator_names_origins_that_may_call_our_own_logout_field_f8() {
    let origins =
        "[shop.own_logout]\norigins = [\"https://www.example.net\", \"http://localhost:3000\"]";
    let scene = Scene::under("h2c = true\n", origins);
    let site = |word| ("Sec-Fetch-Site", word);
    let named = ("Origin", "https://www.example.net");
    let pages: [(u16, &[(&str, &str)]); 10] = [
        (200, &[named]),
        (200, &[named, site("cross-site")]),
        (200, &[named, site("same-site")]),
        (
            200,
            &[("Origin", "http://localhost:3000"), site("cross-site")],
        ),
        (200, &[site("same-origin")]),
        (
            403,
            &[("Origin", "http://www.example.net"), site("cross-site")],
        ),
        (
            403,
            &[
                ("Origin", "https://www.example.net:8443"),
                site("cross-site"),
            ],
        ),
        (403, &[("Origin", "http://localhost"), site("cross-site")]),
        (403, &[site("cross-site")]),
        (403, &[("Referer", "https://www.example.net/")]),
    ];
    for (number, (status, page)) in pages.into_iter().enumerate() {
        let cookie = format!("sid=named-{number}");
        assert_eq!(scene.own_logout(&cookie, page), status, "{page:?}");
        assert_eq!(
            scene.is_alive(("Cookie", &cookie)),
            status == 403,
            "{page:?}"
        );
    }
    let asked = [
        named,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let preflight = scene.edge.raw(&request("OPTIONS", OWN_LOGOUT, &asked, b""));
    assert_eq!(preflight, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://www.example.net"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "content-type"),
    ] {
        assert_eq!(preflight.header(name), Some(value), "{name}");
    }
    let fields = [
        ("cookie", "sid=over-http2"),
        ("origin", "https://www.example.net"),
    ];
    assert_eq!(over_http2(&scene.edge, "POST", OWN_LOGOUT, &fields), 200);
    // They are named for that call only.
    scene.shop.recite(LOGOUT, said(403, "said"));
    assert_eq!(scene.send("POST", ("Cookie", "sid=b2"), &[named]), 403);
    assert!(scene.is_alive(("Cookie", "sid=b2")));
}

/// No page may tell us which host it asked for.
#[test]
fn a_preflight_allows_no_header_that_says_where_a_request_came_from() {
    let scene = Scene::with("");
    let asked = [
        ("Origin", "https://evil.example.net"),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type,x-forwarded-host",
        ),
    ];
    let preflight = scene.edge.raw(&request("OPTIONS", OWN_LOGOUT, &asked, b""));
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("content-type")
    );
}

const VENDURE_OUT: &str = "mutation{logout{success}}";

/// Vendure executes no mutation by GET, and neither is it a logout here.
#[test]
fn a_link_to_vendures_logout_ends_nothing_field_f4() {
    let shop = stateless_bagisto();
    let edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\npreset = \"vendure\"\nupstream = [\"{}\"]\n",
        shop.address()
    ));
    let scene = Scene { shop, edge };
    let who = r#"{"data":{"activeCustomer":{"id":"7"}}}"#;
    let length = who.len();
    let who =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{who}");
    scene.shop.recite("/shop-api", who);
    scene.shop.recite(PAGE, said(200, "said"));
    let session = |name: &str| {
        let token = format!("{{\"token\":\"{}\"}}", name.repeat(64));
        format!("session={}", STANDARD.encode(token))
    };
    let (phone, tablet) = (session("a"), session("b"));
    for cookie in [&phone, &tablet] {
        assert!(scene.is_alive(("Cookie", cookie)));
    }
    scene.shop.recite("/shop-api", said(405, "said"));
    let link = format!("/shop-api?query={VENDURE_OUT}");
    for page in FOREIGN.into_iter().chain(OWN) {
        let headers = [&[("Cookie", phone.as_str())], page].concat();
        assert_eq!(scene.edge.raw(&request("GET", &link, &headers, b"")), 405);
    }
    let body = format!("{{\"query\":\"{VENDURE_OUT}\"}}");
    for kind in ["text/plain", "application/json"] {
        let headers = [
            ("Cookie", phone.as_str()),
            ("Content-Type", kind),
            FOREIGN[0][0],
        ];
        let asked = request("POST", "/shop-api", &headers, body.as_bytes());
        assert_eq!(scene.edge.raw(&asked), 405, "{kind}");
    }
    assert!(scene.is_alive(("Cookie", &phone)) && scene.is_alive(("Cookie", &tablet)));
    let headers = [
        ("Cookie", phone.as_str()),
        ("Content-Type", "application/json"),
        OWN[0][0],
    ];
    let asked = request("POST", "/shop-api", &headers, body.as_bytes());
    assert_eq!(scene.edge.raw(&asked), 200, "its own page logs out at once");
    assert!(!scene.is_alive(("Cookie", &phone)) && !scene.is_alive(("Cookie", &tablet)));
}

fn checked(shop: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("data")).unwrap();
    let path = home.path().join("doorward.toml");
    let text = format!("listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n{shop}");
    fs::write(&path, text).unwrap();
    let outcome = doorward(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    format!("{}{}", outcome.stdout, outcome.stderr)
}

#[test]
fn check_warns_of_a_logout_that_any_page_can_call_field_f4() {
    let shop = stateless_bagisto();
    let link = "a link on any page can call this logout";
    let form = "a form on any page can call this logout";
    for (methods, more, warning) in [
        ("[\"POST\", \"GET\"]", "", Some(link)),
        ("[\"GET\"]", "", Some(link)),
        ("[\"HEAD\"]", "", Some(link)),
        ("[\"POST\"]", "", Some(form)),
        ("[\"DELETE\"]", "", None),
        ("[\"POST\"]", "agreed = { status = [\"303\"] }", None),
        ("[\"GET\"]", "revoke_when = \"shop-agreed\"", None),
        ("[\"GET\"]", "answer = \"local\"", None),
    ] {
        let text = table(&shop, more).replace("[\"POST\", \"GET\"]", methods);
        let told = checked(&text);
        for known in [link, form] {
            assert_eq!(
                told.contains(known),
                warning == Some(known),
                "{methods} {more}\n{told}"
            );
        }
        assert_eq!(told.contains("agreed = {"), warning.is_some(), "{told}");
    }
    let bearers = table(&shop, "").replace("cookie = \"sid\"", "header = \"x-token\"");
    assert!(!checked(&bearers).contains("on any page"));
}

#[test]
fn an_origin_with_a_path_is_a_fault_field_f8() {
    let shop = stateless_bagisto();
    let text = table(
        &shop,
        "[shop.own_logout]\norigins = [\"https://www.example.net/shop\"]",
    );
    let Err(outcome) = Edge::try_start(&text) else {
        panic!("it started");
    };
    assert!(
        outcome
            .stderr
            .contains("an origin such as https://www.example.com"),
        "{}",
        outcome.stderr
    );
}
