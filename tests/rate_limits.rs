//! Limits on how often requests are served: 429 with `Retry-After`, and the clients that they must not touch.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use http::Request;
use support::{
    Answer, Backend, Customer, Edge, PATIENCE, eventually, request, shop_table, stateless_bagisto,
};

/// A shop of opaque tokens behind a proxy that says who the client is.
fn table(server: &Backend, shop: &str) -> String {
    format!(
        "h2c = true\ntrusted_proxies = [\"127.0.0.1\"]\n[[shop]]\nname = \"main\"\n\
         upstream = [\"{}\"]\ntoken.kind = \"opaque\"\ntoken.max_token_lifetime = \"1d\"\n\
         [[shop.credential]]\nheader = \"authorization\"\nschemes = [\"Bearer\"]\n{shop}\n",
        server.address()
    )
}

fn ask(edge: &Edge, client: &str, method: &str, path: &str, lines: &[(&str, &str)]) -> Answer {
    let lines = [&[("X-Forwarded-For", client)], lines].concat();
    edge.raw(&request(method, path, &lines, b""))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn a_route_serves_each_client_so_often() {
    let server = Backend::saying("ok");
    let routes = "[[shop.route]]\nname = \"search\"\npaths = [\"/search\"]\nlimit = { rate = \"1/h\", burst = 2 }\n\
        [[shop.route]]\npaths = [\"/old\"]\nredirect = { to = \"/new\" }\nlimit = { rate = \"1/h\" }\n";
    let edge = Edge::with(&table(&server, routes));
    let status = |client: &str, path: &str| ask(&edge, client, "GET", path, &[]).status;
    for client in ["192.0.2.1", "2001:db8::1", "192.0.2.2"] {
        assert_eq!(
            [status(client, "/search"), status(client, "/search")],
            [200, 200]
        );
        let over = ask(&edge, client, "GET", "/search?q=x", &[]);
        assert_eq!(over.status, 429);
        let after: u32 = over.header("retry-after").unwrap().parse().unwrap();
        assert!((3_500..=3_600).contains(&after), "{after}");
        assert_eq!(over.json()["message"], "Too many requests; try again later");
        assert_eq!(over.header("cache-control"), Some("no-store"));
        assert_eq!(status(client, "/"), 200, "other paths are not limited");
        assert_eq!([status(client, "/old"), status(client, "/old")], [302, 429]);
    }
    assert_eq!(
        status("2001:db8::ffff:2", "/search"),
        429,
        "one /64 is one client"
    );
    assert_eq!(status("2001:db8:0:1::1", "/search"), 200);
    assert_eq!(
        server.times("/search"),
        7,
        "nothing is forwarded that is over"
    );
    assert_eq!(ask(&edge, "127.0.0.1", "GET", "/search", &[]).status, 200);
    let metrics = edge.metrics();
    assert!(
        metrics.contains("doorward_limits_hit_total{limit=\"limit\"} 7"),
        "{metrics}"
    );
    assert!(
        metrics.contains("verdict=\"rate_limited\",detail=\"limit\"} 7"),
        "{metrics}"
    );
    let logged = edge.log_lines();
    let logged = logged
        .iter()
        .filter(|line| line.contains("reason=rate_limited"));
    let logged: Vec<_> = logged.collect();
    assert_eq!(logged.len(), 2, "once for each limit: {logged:?}");
    assert!(logged[0].contains("route=search"), "{logged:?}");
}

#[test]
fn requests_count_by_header_cookie_or_token_and_else_by_client() {
    let server = Backend::saying("ok");
    for (by, one, other) in [
        (
            "{ header = \"x-api-key\" }",
            ("X-Api-Key", "secret-1"),
            ("X-Api-Key", "secret-2"),
        ),
        (
            "{ cookie = \"cart\" }",
            ("Cookie", "a=b; cart=secret-1"),
            ("Cookie", "a=b; cart=secret-2"),
        ),
        (
            "\"token\"",
            ("Authorization", "Bearer secret-1"),
            ("Authorization", "Bearer secret-2"),
        ),
        (
            "\"subject\"",
            ("Authorization", "Bearer secret-1"),
            ("Authorization", "Bearer secret-2"),
        ),
    ] {
        let limit = format!("[[shop.route]]\nlimit = {{ rate = \"1/h\", by = {by} }}\n");
        let edge = Edge::with(&table(&server, &limit));
        let status =
            |client: &str, lines: &[(&str, &str)]| ask(&edge, client, "GET", "/", lines).status;
        assert_eq!(status("192.0.2.1", &[one]), 200, "{by}");
        assert_eq!(status("192.0.2.2", &[one]), 429, "{by}: from everywhere");
        assert_eq!(status("192.0.2.1", &[other]), 200, "{by}");
        assert_eq!(
            [status("192.0.2.1", &[]), status("192.0.2.1", &[])],
            [200, 429],
            "{by}"
        );
        assert_eq!(status("192.0.2.2", &[]), 200, "{by}");
        let logged = edge.log_lines().join("\n") + &edge.metrics();
        assert!(!logged.contains("secret-"), "{logged}");
    }
}

#[test]
fn a_customer_has_one_limit_for_all_tokens_and_a_revoked_token_is_401() {
    let shop = stateless_bagisto();
    let limit = "[[shop.route]]\npaths = [\"/cart\"]\nlimit = { rate = \"1/h\", burst = 2, by = \"subject\" }\n";
    let edge = Edge::with(&(shop_table(&shop) + limit));
    let alice = Customer::signed_in(&shop);
    let first = bearer(alice.token());
    let second = bearer(Customer::signed_in(&shop).token());
    let forged = format!("{first}x");
    let bob = bearer(Customer::named(&shop, "bob").token());
    let is_over = |token: &str, forged: u16| {
        let answer = edge.raw(&request("GET", "/cart", &[("Authorization", token)], b""));
        assert_eq!(answer.status == 401, forged == 401, "{}", answer.status);
        answer.status == 429
    };
    assert!(
        !is_over(&forged, 401) && !is_over(&forged, 401),
        "what is refused counts for no route"
    );
    assert!(!is_over(&first, 0) && !is_over(&second, 0));
    assert!(is_over(&first, 0) && is_over(&second, 0));
    assert!(!is_over(&bob, 0));
    assert_eq!(
        alice.log_out(&edge),
        200,
        "the limit of a route limits no logout"
    );
    assert!(!is_over(&first, 401), "a revoked token is told so");
}

#[test]
fn no_client_keeps_another_from_logging_out() {
    let shop = stateless_bagisto();
    let limits = "answer = \"local\"\nrevoke = \"token\"\n[shop.limits]\nlogouts = { rate = \"1/h\", burst = 2 }\n\
        [[shop.route]]\nlimit = { rate = \"1000/s\" }\n";
    let top = "trusted_proxies = [\"127.0.0.1\"]\n";
    let edge = Edge::with(&(top.to_owned() + &shop_table(&shop) + limits));
    let ask_with = |client: &str, method: &str, path: &str, token: &str| {
        ask(&edge, client, method, path, &[("Authorization", token)])
    };
    let log_out = |client: &str, token: &str| ask_with(client, "POST", "/_doorward/logout", token);
    let tokens = [(); 4].map(|()| bearer(Customer::signed_in(&shop).token()));
    let bob = bearer(Customer::named(&shop, "bob").token());
    assert_eq!(log_out("192.0.2.1", &tokens[0]).status, 200);
    assert_eq!(log_out("192.0.2.1", &tokens[1]).status, 200);
    let over = log_out("192.0.2.1", &tokens[2]);
    assert_eq!(over.status, 429);
    assert!(over.header("retry-after").is_some());
    assert_ne!(
        ask_with("192.0.2.1", "GET", "/cart", &tokens[2]).status,
        401,
        "it says so"
    );
    assert_eq!(
        log_out("192.0.2.2", &tokens[2]).status,
        200,
        "another client of that customer"
    );
    assert_eq!(
        log_out("192.0.2.1", &bob).status,
        200,
        "another customer at that client"
    );
    for dead in [&tokens[0], &tokens[1], &tokens[2], &bob] {
        assert_eq!(ask_with("192.0.2.1", "GET", "/cart", dead).status, 401);
    }
    assert!(
        edge.metrics()
            .contains("doorward_limits_hit_total{limit=\"logouts\"} 1")
    );
}

#[test]
fn bad_tokens_are_told_so_only_so_often_and_good_ones_pass() {
    let shop = stateless_bagisto();
    let limits = "[shop.limits]\nfailed_verifications = { rate = \"1/h\", burst = 2 }\n";
    let edge = Edge::with(&(shop_table(&shop) + limits));
    let alice = Customer::signed_in(&shop);
    let (good, bad) = (bearer(alice.token()), format!("{}x", bearer(alice.token())));
    let status = |token: &str, body: &[u8]| {
        let method = if body.is_empty() { "GET" } else { "POST" };
        edge.raw(&request(method, "/cart", &[("Authorization", token)], body))
            .status
    };
    assert_eq!(
        [
            status(&bad, b""),
            status(&bad, b"a=b"),
            status(&bad, b""),
            status(&bad, b"a=b")
        ],
        [401, 401, 429, 429]
    );
    assert!(
        !matches!(status(&good, b""), 401 | 429),
        "a good token of that client"
    );
    assert_eq!(alice.log_out(&edge), 200);
    assert_eq!(status(&good, b""), 401, "a revoked token is told so");
}

#[test]
fn doorwards_own_paths_have_a_limit_of_each_client() {
    let server = Backend::saying("ok");
    let limits = "[shop.limits]\nown_paths = { rate = \"1/h\", burst = 1 }\n";
    let edge = Edge::with(&table(&server, limits));
    let preflight = |client: &str| {
        let lines = [
            ("Origin", "https://a.example"),
            ("Access-Control-Request-Method", "POST"),
        ];
        ask(&edge, client, "OPTIONS", "/_doorward/logout", &lines).status
    };
    assert_eq!(
        [
            preflight("192.0.2.1"),
            preflight("192.0.2.1"),
            preflight("192.0.2.2")
        ],
        [204, 429, 204]
    );
    let lines = [("Authorization", "Bearer abc.1")];
    assert_eq!(
        ask(&edge, "192.0.2.1", "POST", "/_doorward/logout", &lines).status,
        200
    );
}

#[test]
fn a_reload_keeps_what_was_used_of_limits_that_stay() {
    let server = Backend::saying("ok");
    let routes = |rate: &str, more: &str| {
        let route =
            "[[shop.route]]\nname = \"NAME\"\npaths = [\"/NAME\"]\nlimit = { rate = \"RATE\" }\n";
        let of = |name: &str, rate: &str| route.replace("NAME", name).replace("RATE", rate);
        table(
            &server,
            &(more.to_owned() + &of("kept", "1/h") + &of("changed", rate)),
        )
    };
    let edge = Edge::with(&routes("1/h", ""));
    let status = |path: &str| ask(&edge, "192.0.2.1", "GET", path, &[]).status;
    for path in ["/kept", "/changed"] {
        assert_eq!([status(path), status(path)], [200, 429]);
    }
    let earlier = "[[shop.route]]\npaths = [\"/earlier\"]\nrespond = { status = 204 }\n";
    edge.configure(&routes("2/h", earlier));
    edge.signal("HUP");
    eventually(|| status("/earlier") == 204);
    assert_eq!(status("/kept"), 429);
    assert_eq!(
        [status("/changed"), status("/changed"), status("/changed")],
        [200, 200, 429]
    );
}

#[tokio::test]
async fn a_stream_of_http_2_counts_as_one_request() {
    let server = Backend::saying("ok");
    let edge = Edge::with(&table(
        &server,
        "[[shop.route]]\nlimit = { rate = \"3/h\" }\n",
    ));
    let socket = tokio::net::TcpStream::connect(edge.address())
        .await
        .unwrap();
    let (requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let mut requests = requests.clone().ready().await.unwrap();
        let head = Request::get("http://shop.example.com/").header("x-forwarded-for", "192.0.2.1");
        let (answer, _) = requests.send_request(head.body(()).unwrap(), true).unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap()
            .unwrap();
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}

#[test]
fn a_limit_that_can_not_be_is_a_fault() {
    let server = Backend::saying("ok");
    for (limit, told) in [
        (
            "{ rate = \"0/s\" }",
            "expected a rate of 1 to 1000000 times",
        ),
        (
            "{ rate = \"10 per second\" }",
            "expected a rate of 1 to 1000000 times",
        ),
        ("{ burst = 3 }", "missing key `rate`"),
        ("{ rate = \"1/s\", burst = 0 }", "`burst`"),
        ("{ rate = \"1/s\", by = \"ip\" }", "unknown `by`: `ip`"),
        (
            "{ rate = \"1/s\", by = { header = \"a b\" } }",
            "the name of a header",
        ),
        (
            "{ rate = \"1/s\", by = {} }",
            "expected a `header` or a `cookie`",
        ),
        (
            "{ rate = \"1/s\", by = { header = \"a\", cookie = \"b\" } }",
            "expected a `header` or a `cookie`",
        ),
    ] {
        let route = format!("[[shop.route]]\nlimit = {limit}\n");
        let refused = Edge::try_start(&table(&server, &route)).err().unwrap();
        assert!(refused.stderr.contains(told), "{limit}: {}", refused.stderr);
    }
}
