//! Requests that come back: a loop ends, a chain does not.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::net::SocketAddr;

use support::frames::Frames;
use support::{Answer, Backend, Edge, request};

/// A shop of opaque tokens with this server.
fn shop(server: SocketAddr) -> String {
    format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{server}\"]\ntoken.kind = \"opaque\"\n[[shop.logout]]\npaths = [\"/logout\"]\n"
    )
}

fn ask(edge: &Edge, method: &str, headers: &[(&str, &str)]) -> Answer {
    let target = if method == "POST" { "/logout" } else { "/x" };
    edge.raw(&request(method, target, headers, b""))
}

#[test]
fn two_doorwards_that_send_to_each_other_end_a_request_with_508() {
    // An address of its own, which no other process takes when the backend is gone.
    let here = Backend::saying("").address();
    let there = Edge::with(&format!("h2c = true\n{}", shop(here)));
    let listen = format!("listen = [\"{here}\"]\n");
    let edge = Edge::with(&format!("{listen}{}", shop(there.address())));
    assert_eq!(ask(&edge, "GET", &[]).status, 508);
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/x"),
    ];
    let reply = Frames::open(there.address()).ask(&fields, None);
    assert_eq!(reply.status, 508);
    let refused = edge.metrics() + &there.metrics();
    assert!(refused.contains("loop_detected"), "{refused}");
    let token = [("authorization", "Bearer an-opaque-token-of-a-customer")];
    let logout = ask(&edge, "POST", &token);
    assert!(logout.status < 600, "it ends");
    assert_eq!(ask(&edge, "GET", &token).status, 401, "the logout counts");
}

#[test]
fn doorwards_in_a_row_are_no_loop() {
    let server = Backend::saying("shop");
    let last = Edge::with(&shop(server.address()));
    let middle = Edge::with(&shop(last.address()));
    let first = Edge::with(&shop(middle.address()));
    let varnish = ["1.1 varnish"; 20].join(", ");
    let answer = ask(&first, "GET", &[("via", &varnish)]);
    assert_eq!(answer.text(), "shop");
    let sent = server.heard().pop().unwrap().head.to_ascii_lowercase();
    assert_eq!(sent.matches("1.1 doorward").count(), 3, "{sent}");
    let forged = ["1.1 doorward"; 8].join(", ");
    assert_eq!(ask(&first, "GET", &[("via", &forged)]).status, 508);
}
