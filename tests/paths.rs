//! Which rule a request falls under, however its path and its host are spelled; what two parsers could read
//! differently is refused, and what passes reaches the shop as it was sent.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::cell::Cell;
use std::ops::Deref;

use support::places::LOGOUT;
use support::{
    Answer, Customer, Edge, Scene, Shop, request, shop_table, stateless_bagisto, stateless_cocart,
    try_raw,
};

/// A scene with ever new customers.
struct Market {
    scene: Scene,
    customers: Cell<u32>,
}

impl Market {
    /// The Bagisto preset; `more` are further keys and tables of the shop.
    fn with(more: &str) -> Self {
        Self::of(stateless_bagisto(), more)
    }

    fn of(shop: Shop, more: &str) -> Self {
        Self {
            scene: Scene::of(shop, more),
            customers: Cell::new(0),
        }
    }

    /// Somebody whom no logout has touched.
    fn newcomer(&self) -> Customer {
        let number = self.customers.get();
        self.customers.set(number + 1);
        Customer::named(&self.shop, &format!("newcomer{number}"))
    }

    /// A logout under this target works, and the shop hears of it in these words.
    #[track_caller]
    fn logs_out(&self, target: &str) {
        let customer = self.newcomer();
        let answer = customer.send(&self.edge, "POST", target, b"{}");
        assert_eq!(answer, 200, "{target}");
        assert_eq!(
            self.shop.seen().pop().unwrap().target,
            origin_form(target),
            "as it was sent"
        );
        let visits = self.shop.visits();
        assert_eq!(customer.visit(&self.edge, "/cart"), 401, "after {target}");
        assert_eq!(self.shop.visits(), visits, "after {target}");
    }

    /// A call under this target is none of Doorward's business.
    #[track_caller]
    fn is_no_logout(&self, target: &str) {
        let customer = self.newcomer();
        let visits = self.shop.visits();
        customer.send(&self.edge, "POST", target, b"{}");
        assert_eq!(
            self.shop.visits(),
            visits + 1,
            "{target} never reached the shop"
        );
        assert_eq!(
            self.shop.seen().pop().unwrap().target,
            target,
            "as it was sent"
        );
        assert_eq!(customer.visit(&self.edge, "/cart"), 200, "after {target}");
    }

    /// Ends at the edge with this status, and nothing is stored.
    #[track_caller]
    fn stops(&self, status: u16, bytes: &[u8]) -> Answer {
        let stored = self.stored();
        let answer = self.scene.stops(status, bytes);
        let told = || format!("{}\n{}", bytes.escape_ascii(), answer.text());
        assert_eq!(self.stored(), stored, "something was stored: {}", told());
        answer
    }
}

impl Deref for Market {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

/// A call with this target, byte for byte.
fn call(method: &str, target: &[u8], headers: &[(&str, &str)]) -> Vec<u8> {
    let whole = request(method, "TARGET", headers, b"");
    let rest = &whole[method.len() + 1 + "TARGET".len()..];
    [method.as_bytes(), b" ", target, rest].concat()
}

/// A target as a shop gets it: its host stands in `Host` (RFC 9112 section 3.2.2).
fn origin_form(target: &str) -> &str {
    target
        .strip_prefix("http://shop.example.com")
        .unwrap_or(target)
}

/// What every parser takes for that path.
fn spellings(path: &str) -> Vec<String> {
    let (head, last) = path.rsplit_once('/').unwrap();
    let first = head.trim_start_matches('/').split('/').next().unwrap();
    let rest = &path[1 + first.len()..];
    let letter = &path[1..2];
    let code = format!("%{:02x}", letter.as_bytes()[0]);
    vec![
        path.to_owned(),
        format!("/{path}"),
        path.replace('/', "//"),
        format!("/.{path}"),
        format!("/..{path}"),
        format!("/x/../x/..{path}"),
        format!("/%2e%2E{path}"),
        format!("{head}/./{last}"),
        format!("{head}/x/../{last}"),
        format!("{head}/%2e/{last}"),
        format!("{head}/x/%2E%2e/{last}"),
        format!("{head}/x/.%2e/{last}"),
        format!("/{code}{}", &path[2..]),
        format!("/{}{}", code.to_uppercase(), &path[2..]),
        path.bytes()
            .skip(1)
            .fold("/".to_owned(), |text, byte| match byte {
                b'/' => text + "/",
                other => text + &format!("%{other:02X}"),
            }),
        format!("{path};"),
        format!("{path};x=1"),
        format!("{path};x=1;y"),
        format!("{head};v=2/{last}"),
        format!("/{first};jsessionid=1{rest}"),
        format!("{head}/x/..;/{last}"),
        format!("{head}/.;x/{last}"),
        format!("{path}/"),
        format!("{path}//"),
        format!("{path}/."),
        format!("{path}/x/.."),
        format!("{path}/;x"),
        format!("{path}?"),
        format!("{path}?x=/y/../z"),
        format!("{path}/?x"),
        format!("http://shop.example.com{path}"),
        format!("http://shop.example.com/{path}?x"),
    ]
}

/// What one parser takes for that path and another does not.
fn ambiguous_spellings(path: &str) -> Vec<Vec<u8>> {
    let (head, last) = path.rsplit_once('/').unwrap();
    let (start, end) = last.split_at(1);
    let code = start.as_bytes()[0];
    let texts = [
        format!("{head}%2f{last}"),
        format!("{head}%2F{last}"),
        format!("{head}%5c{last}"),
        format!("{head}\\{last}"),
        format!("{head}/x%2f..%2f{last}"),
        format!("{head}/x%5C..%5C{last}"),
        format!("{head}/x\\..\\{last}"),
        format!("{head}/x/..%2f{last}"),
        format!("{head}//../{last}"),
        format!("{path};x%2fy"),
        format!("{head}/x/%2e%2e%2f{last}"),
        format!("{head}/%25{code:02x}{end}"),
        format!("{head}%252f{last}"),
        format!("{head}/x/%252e%252e/{last}"),
        format!("{path}%00"),
        format!("{path}%00.png"),
        format!("{head}%00/{last}"),
        format!("{path}%ff"),
        format!("{head}/%80{last}"),
        format!("{path}%3bx=1"),
        format!("{path}%3B"),
        format!("{path}%2f"),
        format!("{path}%5c"),
        format!("{path}\\"),
        format!("/x%2f..{path}"),
        format!("http://shop.example.com{head}%2f{last}"),
    ];
    let raw = [
        [path.as_bytes(), b"\xff"].concat(),
        [head.as_bytes(), b"/\xfe", last.as_bytes()].concat(),
    ];
    texts
        .map(String::into_bytes)
        .into_iter()
        .chain(raw)
        .collect()
}

#[test]
fn every_spelling_of_the_logout_revokes_and_is_forwarded_as_sent_standards_112_127() {
    let scene = Market::with("");
    for spelling in spellings(LOGOUT) {
        scene.logs_out(&spelling);
    }
    for path in [
        "/api/shop/customer/logout",
        "/api/customers/logout",
        "/index.php/api/shop/customers/logout",
    ] {
        let customer = scene.newcomer();
        assert!(
            matches!(
                customer.send(&scene.edge, "POST", path, b"{}").status,
                200 | 201
            ),
            "{path}"
        );
        assert_eq!(customer.visit(&scene.edge, "/cart"), 401, "{path}");
    }
}

#[test]
fn what_is_nearly_the_logout_is_not_one_standards_127() {
    let scene = Market::with("");
    for target in [
        "/api/shop/customers/logoutx",
        "/api/shop/customers/xlogout",
        "/api/shop/customers/logout/x",
        "/api/shop/customers/logout.",
        "/api/shop/customers/.logout",
        "/api/shop/customers/logout/..",
        "/api/shop/customers/logout/../",
        "/api/shop/customers/Logout",
        "/API/shop/customers/logout",
        "/api/shop/customers/logou",
        "/a/b/c/d/api/shop/customers/logout",
        "/logout",
        "/?/api/shop/customers/logout",
        "/x?y=/../api/shop/customers/logout",
        "/api/shop/customers;/x/logout",
    ] {
        scene.is_no_logout(target);
    }
    let customer = scene.newcomer();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"] {
        customer.send(&scene.edge, method, LOGOUT, b"");
    }
    assert_eq!(
        customer.visit(&scene.edge, "/cart"),
        200,
        "another method is another call"
    );
}

#[test]
fn an_ambiguous_spelling_of_the_logout_is_refused_standards_127_d9() {
    let scene = Market::with("");
    let customer = scene.newcomer();
    let bearer = format!("Bearer {}", customer.token());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    for path in [LOGOUT, "/_doorward/logout"] {
        for target in ambiguous_spellings(path) {
            for method in ["POST", "GET"] {
                scene.stops(400, &call(method, &target, &headers));
            }
        }
    }
    assert_eq!(
        customer.visit(&scene.edge, "/cart"),
        200,
        "nobody was logged out"
    );
}

/// Bytes that are no UTF-8 and that some decoders took for a slash or a dot (CVE-2008-2938).
#[test]
fn an_overlong_slash_or_dot_is_one_of_the_readings_d9() {
    let scene = Market::with("");
    let customer = scene.newcomer();
    let bearer = format!("Bearer {}", customer.token());
    for target in [
        "/api/shop/customers%c0%aflogout",
        "/api/shop/customers/x/%c0%ae%c0%ae/logout",
    ] {
        scene.stops(
            400,
            &call("POST", target.as_bytes(), &[("Authorization", &bearer)]),
        );
    }
}

#[test]
fn what_no_rule_could_match_is_forwarded_however_it_is_spelled_d9() {
    let scene = Market::with("");
    for target in [
        &b"/images%2fx.png"[..],
        b"/images%5Cx.png",
        b"/a%00b",
        b"/caf%e9",
        b"/100%25",
        b"/%252e%252e/x",
        b"/a%3bb",
        b"/a%2fb?c=%2f",
        b"/%",
        b"/%zz",
        b"/a;b/c",
        b"//a//b",
        b"/a/../b",
        b"/~a/b!c$d'(e)*f",
        b"/a[b]|c^d",
    ] {
        let seen = scene.passes(&call("GET", target, &[]));
        assert_eq!(seen.target.as_bytes(), target, "as it was sent");
    }
    scene.passes(&call("GET", b"/a\\b", &[]));
    scene.stops(400, &call("GET", b"/caf\xc3\xa9", &[])); // no URI: RFC 3986 section 2
    let dead = scene.newcomer();
    assert_eq!(dead.log_out(&scene.edge), 200);
    let bearer = format!("Bearer {}", dead.token());
    for target in [&b"/images%2fx.png"[..], b"/a%00b"] {
        scene.stops(401, &call("GET", target, &[("Authorization", &bearer)]));
    }
}

#[test]
fn a_shop_says_whether_case_and_the_last_slash_count_standards_127() {
    let wordpress = Market::of(stateless_cocart(), "");
    for target in [
        "/wp-json/cocart/v2/logout",
        "/WP-JSON/CoCart/V2/LOGOUT/",
        "/wp-json/cocart/v2/%4Cogout",
    ] {
        let customer = wordpress.newcomer();
        assert_eq!(
            customer.send(&wordpress.edge, "POST", target, b""),
            200,
            "{target}"
        );
        let visits = wordpress.shop.visits();
        assert_eq!(
            customer.visit(&wordpress.edge, "/wp-json/cocart/v2/cart"),
            401,
            "{target}"
        );
        assert_eq!(wordpress.shop.visits(), visits);
    }
    let exact = Market::with("path_style.exact_slash = true\n");
    exact.logs_out(LOGOUT);
    exact.logs_out("//api/shop//customers/logout");
    exact.is_no_logout("/api/shop/customers/logout/");
    exact.is_no_logout("/api/shop/customers/logout/.");
}

#[test]
fn a_logout_in_the_query_is_found_in_every_spelling_standards_127() {
    let scene = Market::of(stateless_cocart(), "");
    for query in [
        "rest_route=/cocart/v2/logout",
        "rest_route=%2Fcocart%2Fv1%2Flogout",
        "a=b&rest_route=/cocart/v2/logout/",
        "rest_route=//cocart/v2/logout",
        "rest_route=/CoCart/V2/Logout",
        "%72est_route=/cocart/v2/logout",
        "rest_route=/wc/v3/x&rest_route=/cocart/v2/logout",
    ] {
        for path in ["/", "/index.php", "//"] {
            let customer = scene.newcomer();
            customer.send(&scene.edge, "POST", &format!("{path}?{query}"), b"");
            let visits = scene.shop.visits();
            assert_eq!(
                customer.visit(&scene.edge, "/wp-json/cocart/v2/cart"),
                401,
                "{path}?{query}"
            );
            assert_eq!(scene.shop.visits(), visits);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Routes

const ROUTES: &str = r#"
[[shop.route]]
paths = ["/account/public/*", "/static/*", "/"]
enforce = "off"
[[shop.route]]
paths = ["/account/*"]
enforce = "required"
"#;

#[test]
fn a_required_route_is_found_in_every_spelling_standards_127() {
    let scene = Market::with(ROUTES);
    let customer = scene.newcomer();
    for path in ["/account/list", "/account/orders/last"] {
        for spelling in spellings(path) {
            let answer = scene.stops(401, &call("GET", spelling.as_bytes(), &[]));
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer realm=\"main\""),
                "{spelling}"
            );
            let bearer = format!("Bearer {}", customer.token());
            let seen = scene.passes(&call(
                "GET",
                spelling.as_bytes(),
                &[("Authorization", &bearer)],
            ));
            assert_eq!(seen.target, origin_form(&spelling));
        }
        for spelling in ambiguous_spellings(path) {
            scene.stops(400, &call("GET", &spelling, &[]));
        }
    }
    scene.passes(&call("GET", b"/accounts/list", &[]));
    scene.passes(&call("GET", b"/account", &[]));
}

#[test]
fn the_way_out_of_an_open_route_is_not_open_standards_127() {
    let scene = Market::with(ROUTES);
    let dead = scene.newcomer();
    assert_eq!(dead.log_out(&scene.edge), 200);
    let bearer = format!("Bearer {}", dead.token());
    let headers = [("Authorization", bearer.as_str())];
    for target in ["/static/x", "/account/public/x", "/"] {
        scene.passes(&call("GET", target.as_bytes(), &headers));
    }
    for target in [
        "/static/../cart",
        "/static/x/../../cart",
        "/static/%2e%2e/cart",
        "/static\\..\\cart",
        "/static/./../cart",
        "/cart",
        "/static",
        "/statics/x",
        "/account/public/../list",
        "/account/public/%2e%2e/list",
        "/./cart",
        "//cart",
        "/;/cart",
        "/?/../cart/../x/../../x",
        // Some servers resolve nothing: to them these are other pages.
        "/x/../static/y",
        "/account/list/../public/x",
        "/account/../static/x",
        "/%73tatic/x",
        "//static/x",
    ] {
        let is_open = target.starts_with("/?");
        if is_open {
            scene.passes(&call("GET", target.as_bytes(), &headers));
        } else {
            scene.stops(401, &call("GET", target.as_bytes(), &headers));
        }
    }
    for target in [
        // A name to some servers, the way up to others.
        "/static/..;/cart",
        "/static/..;x=1/cart",
        "/account/public/..;a/list",
        "/static/..%2fcart",
        "/static//../cart",
        "/static/%2e%2e%2fcart",
        "/static/..%5ccart",
        "/static/..\\cart",
        "/cart%2f..%2fstatic%2fx",
        "/cart/..%2fstatic/x",
        "/static/%252e%252e/cart",
        "/account/public%2f..%2flist",
        "/static/x%00/../../cart",
    ] {
        scene.stops(400, &call("GET", target.as_bytes(), &headers));
    }
}

#[test]
fn a_question_about_the_whole_shop_is_forwarded_and_asks_for_options_standards_103() {
    let scene = Market::with("");
    assert_eq!(scene.passes(&call("OPTIONS", b"*", &[])).target, "*");
    for method in ["GET", "POST", "TRACE"] {
        let visits = scene.shop.visits();
        assert!(scene.edge.raw(&call(method, b"*", &[])).status >= 400);
        assert_eq!(scene.shop.visits(), visits, "{method}");
    }
}

/// What stands in the request line must be what was judged, and a path begins with a slash.
#[test]
fn a_target_that_is_no_path_reaches_no_shop_standards_102_103() {
    let scene = Market::with(ROUTES);
    let dead = scene.newcomer();
    assert_eq!(dead.log_out(&scene.edge), 200);
    let bearer = format!("Bearer {}", dead.token());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    let visits = scene.shop.visits();
    for target in [
        "cart",
        "account/list",
        "api/shop/customers/profile",
        "x:/cart",
        "shop:cart",
        "http:/cart",
        "http:cart",
        "./cart",
        "shop.example.com",
        "shop.example.com/cart",
        "shop.example.com:80/cart",
        "*/cart",
        "\\cart",
        ";/cart",
        "%2fcart",
        "http:///cart",
        "http://shop.example.com@/cart",
    ] {
        for headers in [&headers[..], &[]] {
            let answered = try_raw(
                scene.edge.address(),
                &call("GET", target.as_bytes(), headers),
            );
            let seen = || scene.shop.seen().pop().unwrap().target;
            if scene.shop.visits() > visits {
                let status = answered.map(|answer| answer.status);
                panic!("{target} reached the shop as {}: {status:?}", seen());
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------
// Hosts

/// Two shops on one edge.
struct Mall {
    main: Shop,
    other: Shop,
    edge: Edge,
}

impl Mall {
    fn open() -> Self {
        let (main, other) = (stateless_bagisto(), stateless_bagisto());
        let second = shop_table(&other).replace("name = \"main\"", "name = \"other\"");
        let edge = Edge::with(&format!(
            "{}hosts = [\"shop.example.com\", \"*.wild.example.com\", \"[::1]\"]\n{second}hosts = [\"other.example.com\"]\n",
            shop_table(&main)
        ));
        Self { main, other, edge }
    }

    /// How many requests each shop saw.
    fn visits(&self) -> [usize; 2] {
        [self.main.visits(), self.other.visits()]
    }

    /// What the edge answers, and which of the shops saw it.
    #[track_caller]
    fn ask(&self, bytes: &[u8]) -> (Answer, [usize; 2]) {
        let before = self.visits();
        let answer = self.edge.raw(bytes);
        let after = self.visits();
        (answer, [after[0] - before[0], after[1] - before[1]])
    }
}

/// A visit with these lines for a host.
fn to_hosts(lines: &[&str]) -> Vec<u8> {
    let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
    for line in lines {
        bytes.extend(format!("Host: {line}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes
}

#[test]
fn a_host_belongs_to_the_shop_that_claims_it_d10() {
    let mall = Mall::open();
    for (host, seen_by) in [
        ("shop.example.com", [1, 0]),
        ("SHOP.Example.COM", [1, 0]),
        ("shop.example.com:8080", [1, 0]),
        ("shop.example.com:", [1, 0]),
        ("shop.example.com.", [1, 0]),
        ("[::1]", [1, 0]),
        ("[::1]:8080", [1, 0]),
        ("a.wild.example.com", [1, 0]),
        ("a.b.wild.example.com", [1, 0]),
        ("other.example.com", [0, 1]),
    ] {
        let (answer, seen) = mall.ask(&to_hosts(&[host]));
        assert_eq!((answer.status, seen), (200, seen_by), "{host}");
    }
    assert_eq!(
        mall.other.seen()[0].header("host"),
        Some("other.example.com")
    );
}

#[test]
fn a_host_that_no_shop_claims_is_421_d10() {
    let mall = Mall::open();
    for host in [
        "example.com",
        "wild.example.com",
        "evilwild.example.com",
        "shop.example.com.evil.com",
        "xshop.example.com",
        "shop.example.co",
        "127.0.0.1",
        "localhost",
        "[::2]",
        "a.wild.example.com.evil.com",
    ] {
        let (answer, seen) = mall.ask(&to_hosts(&[host]));
        assert_eq!((answer.status, seen), (421, [0, 0]), "{host}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{host}");
    }
}

#[test]
fn a_host_that_is_missing_repeated_or_malformed_is_400_standards_101() {
    let mall = Mall::open();
    let good = "shop.example.com";
    for lines in [
        &[][..],
        &[good, good],
        &[good, "other.example.com"],
        &["other.example.com", good],
        &[""],
        &[" "],
        &["", good],
        &["shop.example.com/x"],
        &["a/b"],
        &["shop.example.com,other.example.com"],
        &["shop.example.com, other.example.com"],
        &["user@shop.example.com"],
        &["user:password@shop.example.com"],
        &["shop.example.com@other.example.com"],
        &["shop.example.com other.example.com"],
        &["shop.example.com\tx"],
        &["shop.example.com:80:80"],
        &["shop.example.com:http"],
        &["shop.example.com:-1"],
        &["shop.example.com#x"],
        &["shop.example.com?x"],
        &["shop.example.com\\x"],
        &["shop.example.com%00"],
        &["shop.example.com%2f"],
        &["[::1"],
        &["::1"],
        &["[::1]x"],
        &["http://shop.example.com"],
        &["shop.example.com\u{e9}"],
        &[":80"],
    ] {
        let (answer, seen) = mall.ask(&to_hosts(lines));
        assert_eq!((answer.status, seen), (400, [0, 0]), "{lines:?}");
    }
    let (answer, seen) = mall.ask(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status, seen), (400, [0, 0]), "HTTP/1.0");
}

#[test]
fn a_host_in_the_target_must_be_the_one_in_the_header_standards_102() {
    let mall = Mall::open();
    let absolute = |target: &str, host: &str| {
        let line = if host.is_empty() {
            String::new()
        } else {
            format!("Host: {host}\r\n")
        };
        format!("GET {target} HTTP/1.1\r\n{line}\r\n").into_bytes()
    };
    for (target, host, status, seen_by) in [
        ("http://shop.example.com/", "shop.example.com", 200, [1, 0]),
        (
            "http://other.example.com/",
            "other.example.com",
            200,
            [0, 1],
        ),
        ("http://shop.example.com", "shop.example.com", 200, [1, 0]),
        (
            "http://nobody.example.com/",
            "nobody.example.com",
            421,
            [0, 0],
        ),
        ("http://shop.example.com/", "other.example.com", 400, [0, 0]),
        ("http://other.example.com/", "shop.example.com", 400, [0, 0]),
        (
            "http://nobody.example.com/",
            "shop.example.com",
            400,
            [0, 0],
        ),
        (
            "http://user@shop.example.com/",
            "shop.example.com",
            400,
            [0, 0],
        ),
        ("http://shop.example.com/", "", 400, [0, 0]),
        ("http:///", "shop.example.com", 400, [0, 0]),
    ] {
        let (answer, seen) = mall.ask(&absolute(target, host));
        assert_eq!(seen, seen_by, "{target} for {host}");
        let is_refused = seen == [0, 0];
        assert!(
            !is_refused || answer.status == status,
            "{target} for {host}: {}",
            answer.status
        );
    }
}

#[test]
fn trace_is_refused_and_says_nothing_of_what_was_sent_standards_113_d10() {
    let scene = Market::with("");
    let customer = scene.newcomer();
    let bearer = format!("Bearer {}", customer.token());
    for target in ["/", "/cart", LOGOUT] {
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Max-Forwards", "0"),
            ("X-STOREFRONT-KEY", Shop::KEY),
        ];
        let answer = scene.stops(405, &call("TRACE", target.as_bytes(), &headers));
        assert!(!answer.text().contains(customer.token()));
        let allowed = answer.header("allow").unwrap();
        assert!(
            allowed.contains("GET") && !allowed.contains("TRACE"),
            "{allowed}"
        );
    }
    let visits = scene.shop.visits();
    let answered = try_raw(
        scene.edge.address(),
        &call("CONNECT", b"shop.example.com:80", &[]),
    );
    assert!(answered.is_ok_and(|answer| matches!(answer.status, 400 | 405)));
    assert_eq!(scene.shop.visits(), visits);
    assert_eq!(customer.visit(&scene.edge, "/cart"), 200);
}
