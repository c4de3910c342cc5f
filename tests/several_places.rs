//! A shop that reads several places: a dead credential is found in each of them, and two bearers are refused.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::places::{EVERYWHERE, FORM, JSON, OWN_LOGOUT, PAGE, get};
use support::{Aftermath, request};

/// A request with one token in one place.
fn in_each_place(token: &str) -> [(&'static str, Vec<u8>); 6] {
    let json = format!("{{\"token\":\"{token}\"}}");
    [
        (
            "header",
            get(&[("Authorization", &format!("Bearer {token}"))]),
        ),
        ("raw header", get(&[("Cart-Token", token)])),
        ("cookie", get(&[("Cookie", &format!("a=b; jwt={token}"))])),
        (
            "query",
            request("GET", &format!("{PAGE}?a=b&access_token={token}"), &[], b""),
        ),
        ("JSON", request("POST", PAGE, &[JSON], json.as_bytes())),
        (
            "form",
            request(
                "POST",
                PAGE,
                &[FORM],
                format!("a=b&token={token}").as_bytes(),
            ),
        ),
    ]
}

#[test]
fn a_dead_token_is_found_in_every_place_standards_5_6_d1() {
    let scene = Aftermath::with(EVERYWHERE);
    for (_, bytes) in in_each_place(&scene.live) {
        scene.passes(&bytes);
    }
    for (_, bytes) in in_each_place(&scene.dead) {
        let answer = scene.stops(401, &bytes);
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .contains("invalid_token")
        );
    }
}

#[test]
fn a_bearer_in_two_places_is_refused_standards_4_d1() {
    let scene = Aftermath::with(EVERYWHERE);
    let stored = scene.stored();
    for (one, other) in [
        (&scene.live, &scene.live),
        (&scene.live, &scene.dead),
        (&scene.dead, &scene.live),
    ] {
        let bearer = format!("Bearer {one}");
        let query = format!("?access_token={other}");
        let json = format!("{{\"token\":\"{other}\"}}");
        let form = format!("token={other}");
        let authorization = ("Authorization", bearer.as_str());
        for target in [PAGE, OWN_LOGOUT] {
            let with_query = format!("{target}{query}");
            scene.stops(400, &request("POST", &with_query, &[authorization], b""));
            scene.stops(
                400,
                &request("POST", target, &[authorization, JSON], json.as_bytes()),
            );
            scene.stops(
                400,
                &request("POST", target, &[authorization, FORM], form.as_bytes()),
            );
            scene.stops(400, &request("POST", &with_query, &[JSON], json.as_bytes()));
            scene.stops(
                400,
                &request(
                    "POST",
                    &format!("{with_query}&access_token={one}"),
                    &[],
                    b"",
                ),
            );
            let twice = format!("{form}&a=b&token={one}");
            scene.stops(400, &request("POST", target, &[FORM], twice.as_bytes()));
        }
    }
    assert_eq!(scene.stored(), stored);
}

#[test]
fn a_cookie_beside_a_bearer_is_normal_and_both_are_checked_d1() {
    let scene = Aftermath::with(EVERYWHERE);
    let both = |bearer: &str, cookie: &str| {
        let (bearer, cookie) = (format!("Bearer {bearer}"), format!("jwt={cookie}"));
        get(&[("Authorization", &bearer), ("Cookie", &cookie)])
    };
    scene.passes(&both(&scene.live, &scene.live));
    scene.stops(401, &both(&scene.live, &scene.dead));
    scene.stops(401, &both(&scene.dead, &scene.live));
    let beside = |bearer: &str, raw: &str| {
        get(&[
            ("Authorization", &format!("Bearer {bearer}")),
            ("Cart-Token", raw),
        ])
    };
    scene.passes(&beside(&scene.live, &scene.live));
    scene.stops(401, &beside(&scene.live, &scene.dead));
    scene.stops(401, &beside(&scene.dead, &scene.live));
    let (bearer, cookie) = (format!("Bearer {}", scene.live), "session_1=abc".to_owned());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Cookie", &cookie),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    assert_eq!(
        scene.edge.raw(&request("POST", OWN_LOGOUT, &headers, b"")),
        200
    );
    scene.stops(401, &get(&headers[..1]));
    scene.stops(401, &get(&headers[1..2]));
}

#[test]
fn a_raw_header_has_one_value_and_one_line_also_with_underscores_standards_124() {
    let scene = Aftermath::with(EVERYWHERE);
    let (live, dead) = (scene.live.as_str(), scene.dead.as_str());
    scene.stops(401, &get(&[("cart_token", dead)]));
    scene.stops(401, &get(&[("CART_TOKEN", dead)]));
    scene.stops(400, &get(&[("cart-token", live), ("cart_token", dead)]));
    scene.stops(400, &get(&[("cart_token", dead), ("cart-token", live)]));
    scene.stops(400, &get(&[("cart-token", live), ("cart-token", dead)]));
    for joined in ["L,D", "L, D", "D,L", "L D", "L\tD", "D,", ",D", "L;\u{e9}"] {
        scene.refuses(&get(&[(
            "cart-token",
            &joined.replace('L', live).replace('D', dead),
        )]));
    }
    let seen = scene.passes(&get(&[("Cart-Token", live)]));
    assert_eq!(seen.header("cart-token"), Some(live));
}
