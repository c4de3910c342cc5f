//! Cookies: a dead one is dead in every spelling, and spares those that begin alike.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::places::{EVERYWHERE, OWN_LOGOUT, get};
use support::{Aftermath, request, shop_table};

/// How a web server that speaks PHP would be given the same cookie in other letters.
const SAME_COOKIE: [&str; 25] = [
    "session_1=alice%7Cs%2Bt",
    "session_1=alice|s+t",
    "session_1=alice%7cs%2bt",
    "session_1=%61lice%7Cs%2Bt",
    "session_1=\"alice%7Cs%2Bt\"",
    "session_1=alice%7Cs%20t",
    "session_1=alice|s t",
    " session_1 =  alice|s+t ",
    "a=b; session_1=alice%7Cs%2Bt; c=d",
    "a=b;session_1=alice%7Cs%2Bt;c=d",
    "session_1=bob; session_1=alice%7Cs%2Bt",
    "session_1=alice%7Cs%2Bt; session_1=bob",
    "session_2=alice%7Cs%2Bt",
    "session_1=; session_1=alice%7Cs%2Bt",
    "session.1=alice%7Cs%2Bt",
    "session 1=alice%7Cs%2Bt",
    "session[1=alice%7Cs%2Bt",
    "%73ession_1=alice%7Cs%2Bt",
    "session%5F1=alice%7Cs%2Bt",
    "a; b; session_1=alice%7Cs%2Bt; c",
    "==; session_1=alice%7Cs%2Bt",
    // Python, under Django, undoes what quotes allow, and strips every kind of space.
    "session_1=\"\\141lice|s+t\"",
    "session_1=\"ali\\ce\\|s+t\"",
    "\u{a0}session_1=alice|s+t",
    "session_1=alice|s+t\u{a0}",
];

#[test]
fn a_dead_cookie_is_dead_in_every_spelling_d1() {
    let scene = Aftermath::with(EVERYWHERE);
    scene.passes(&get(&[("Cookie", SAME_COOKIE[0])]));
    scene.log_out_cookie(SAME_COOKIE[0]);
    for cookie in SAME_COOKIE {
        scene.stops(401, &get(&[("Cookie", cookie)]));
        scene.stops(401, &get(&[("Cookie", "x=y"), ("Cookie", cookie)]));
        scene.stops(
            401,
            &get(&[("Cookie", cookie), ("Cookie", "session_1=bob")]),
        );
    }
    for cookie in [
        "session_1=bob",
        "session_1=alice",
        "other=alice%7Cs%2Bt",
        "xsession_1=alice%7Cs%2Bt",
        "session_1",
    ] {
        let seen = scene.passes(&get(&[("Cookie", cookie)]));
        assert_eq!(seen.header("cookie"), Some(cookie), "as it was sent");
    }
}

/// A browser sends whatever other cookies it has for the host, in any bytes.
#[test]
fn a_dead_cookie_is_found_beside_one_that_is_no_ascii_d1() {
    let scene = Aftermath::with(EVERYWHERE);
    scene.log_out_cookie("session_1=alice");
    for cookie in [
        "x=\u{e9}; session_1=alice",
        "session_1=alice; x=\u{e9}",
        "\u{e9}; session_1=alice",
        "\u{e9}=x; session_1=alice",
    ] {
        scene.refuses(&get(&[("Cookie", cookie)]));
    }
    let latin =
        b"GET /cart HTTP/1.1\r\nHost: shop.example.com\r\nCookie: x=\xff; session_1=alice\r\n\r\n";
    scene.refuses(latin);
    scene.passes(&get(&[("Cookie", "x=\u{e9}; session_1=bob")]));
}

/// A letter that no cookie may have stands in many all the same.
#[test]
fn the_logout_of_one_cookie_spares_others_that_begin_alike_d4() {
    let scene = Aftermath::with(EVERYWHERE);
    for (number, between) in [",", ", ", "%2C", "%3B", "%00", "%FF", "\"", "=", "+", "%"]
        .iter()
        .enumerate()
    {
        let cookie = |name: &str| format!("session_1=v{number}{between}{name}");
        scene.log_out_cookie(&cookie("alice"));
        scene.stops(401, &get(&[("Cookie", &cookie("alice"))]));
        scene.passes(&get(&[("Cookie", &cookie("bob"))]));
    }
}

/// The cookies of one login share a part, and each logs in alone.
const SHARED: &str = r#"
dead_cookie = "refuse"
[[shop.credential]]
header = "authorization"
schemes = ["Bearer"]
[[shop.credential]]
cookie = "session_*"
kind = "opaque"
pattern = '[^|]+\|(?<token>[^|]+)\|[^|]+'
"#;

#[test]
fn a_cookie_that_is_known_by_a_part_is_dead_whatever_stands_around_it() {
    let scene = Aftermath::with(SHARED);
    scene.log_out_cookie("session_1=alice%7Cone%7C17");
    for cookie in [
        "session_1=alice%7Cone%7C17",
        "session_2=alice|one|18",
        "session_1=%61lice%7Cone%7C%0a; session_1=alice|two|17",
    ] {
        scene.stops(401, &get(&[("Cookie", cookie)]));
    }
    scene.passes(&get(&[("Cookie", "session_1=alice%7Ctwo%7C17")]));
}

#[test]
fn a_cookie_that_does_not_look_like_it_is_no_credential() {
    let scene = Aftermath::with(SHARED);
    let stored = scene.stored();
    for value in ["one", "alice|one", "alice|one|17|x", "%7Cone%7C"] {
        let cookie = format!("session_test={value}");
        let headers = [("Cookie", &*cookie), ("Sec-Fetch-Site", "same-origin")];
        scene.stops(401, &request("POST", OWN_LOGOUT, &headers, b""));
        scene.passes(&get(&[("Cookie", &cookie)]));
    }
    assert_eq!(scene.stored(), stored);
}

/// Which part it is may be said later, and an operator may show any of them.
#[test]
fn a_cookie_that_was_logged_out_under_its_whole_value_stays_dead_when_a_part_becomes_its_name() {
    let scene = Aftermath::with(EVERYWHERE);
    scene.log_out_cookie("session_1=alice%7Cone%7C17");
    let table = shop_table(&scene.shop);
    scene
        .edge
        .configure(&format!("{table}answer = \"local\"\n{SHARED}"));
    assert_eq!(scene.edge.command(&["reload"]).code, Some(0));
    scene.stops(401, &get(&[("Cookie", "session_1=alice%7Cone%7C17")]));
    scene.passes(&get(&[("Cookie", "session_1=alice%7Ctwo%7C17")]));
    let command = ["revoke", "--shop", "main", "--token", "-"];
    let revoked = scene.edge.command_with_input(&command, b"alice%7Ctwo%7C17");
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    scene.stops(401, &get(&[("Cookie", "session_2=alice%7Ctwo%7C99")]));
}

/// The same text may be a cookie that nobody reads and a bearer that is verified.
#[test]
fn a_dead_opaque_cookie_stays_dead_when_its_text_was_verified_as_a_bearer_trap_17() {
    let scene = Aftermath::with(EVERYWHERE);
    let cookie = format!("session_1={}", scene.live);
    scene.log_out_cookie(&cookie);
    scene.stops(401, &get(&[("Cookie", &cookie)]));
    let bearer = format!("Bearer {}", scene.live);
    scene.edge.raw(&get(&[("Authorization", &bearer)])); // whatever becomes of it, it is verified now
    scene.stops(401, &get(&[("Cookie", &cookie)]));
}

/// Verifying is work, and a request could ask for thousands of it.
#[test]
fn a_request_with_more_credentials_than_anybody_has_is_refused_standards_70() {
    let scene = Aftermath::with(EVERYWHERE);
    let cookies = |count: usize| {
        let names = (0..count).map(|number| format!("session_{number}=of-nobody"));
        names.collect::<Vec<_>>().join("; ")
    };
    scene.passes(&get(&[("Cookie", &cookies(16))]));
    scene.stops(400, &get(&[("Cookie", &cookies(17))]));
}
