//! The `Authorization` line and its schemes: a dead token is found in every line in which a shop would find it, and a
//! line that could be read in two ways is refused.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::Aftermath;
use support::places::{PAGE, chunked, get, logout_with, with_authorization};

#[test]
fn a_scheme_is_compared_without_case_and_spaces_may_follow_it_standards_2_3() {
    let scene = Aftermath::with("");
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        for spaces in [" ", "  ", "        "] {
            let line = |token: &str| format!("{scheme}{spaces}{token}");
            let seen = scene.passes(&with_authorization(&line(&scene.live)));
            let lines: Vec<_> = seen.headers_named("authorization").collect();
            assert_eq!(lines, [line(&scene.live)], "standards 24: as it was sent");
            scene.stops(401, &with_authorization(&line(&scene.dead)));
        }
    }
    let padded = format!(" \t Bearer {} \t", scene.dead);
    scene.stops(401, &with_authorization(&padded));
}

/// Lines in which a lenient shop could find a token.
fn malformed_lines(token: &str) -> Vec<String> {
    [
        "Bearer,",
        "BearerT",
        "Bearer=T",
        "Bearer:T",
        "Bearer,T",
        "Bearer\tT",
        "Bearer \tT",
        "Bearer T\tx",
        "Bearer T x",
        "Bearer x T",
        "Bearer T, x",
        "Bearer T,x",
        "Bearer x,T",
        "Bearer T,",
        "Bearer ,T",
        "Bearer T, Bearer T",
        "Bearer Bearer T",
        "Bearer T Bearer T",
        "Bearer T\u{7f}",
        "Bearer T\u{e9}",
        "Bearer \u{a0}T",
        "\u{a0}Bearer T",
        "Bearer\u{a0}T",
        "Bearer\u{2003}T",
    ]
    .map(|line| line.replace('T', token))
    .into()
}

#[test]
fn a_line_that_could_be_read_in_two_ways_is_refused_standards_3_4() {
    let scene = Aftermath::with("");
    let stored = scene.stored();
    for token in [&scene.live, &scene.dead] {
        for line in malformed_lines(token) {
            let answer = scene.stops(400, &with_authorization(&line));
            let stored = answer.header("cache-control").unwrap_or_default();
            assert!(stored.contains("no-store"), "{line}: {stored}");
            scene.stops(400, &logout_with(&[&line]));
        }
    }
    assert_eq!(scene.stored(), stored, "nothing was logged out");
}

#[test]
fn two_authorization_lines_are_refused_in_any_order_standards_4_trap_4() {
    let scene = Aftermath::with("");
    let stored = scene.stored();
    let (live, dead) = (
        format!("Bearer {}", scene.live),
        format!("Bearer {}", scene.dead),
    );
    let basic = "Basic dXNlcjpwYXNz";
    for lines in [
        [&live, &dead],
        [&dead, &live],
        [&live, &live],
        [&dead, &dead],
        [&live, &basic.to_owned()],
        [&basic.to_owned(), &dead],
        [&live, &String::new()],
        [&String::new(), &dead],
    ] {
        let headers = lines.map(|line| ("Authorization", line.as_str()));
        scene.stops(400, &get(&headers));
        scene.stops(400, &get(&[headers[0], ("AUTHORIZATION", headers[1].1)]));
        scene.stops(400, &logout_with(&lines.map(String::as_str)));
    }
    assert_eq!(scene.stored(), stored);
}

#[test]
fn a_bearer_hidden_in_another_scheme_is_refused_standards_16_trap_5() {
    let scene = Aftermath::with("");
    for line in [
        "foo Bearer T",
        "foo bearer T",
        "foo BEARER T",
        "Basic bearerT",
        "Basic bearer T",
        "Basic x,Bearer T",
        "Basic dXNlcjpwYXNz, Bearer T",
        "Digest realm=\"Bearer T\"",
        "Token token=Bearer T",
        "xBearer T",
        "x-Bearer T",
        "JWT, Bearer T",
        "\"Bearer\" T",
        "Negotiate bearer=T",
        ",Bearer T",
        ", Bearer T",
    ] {
        for token in [&scene.live, &scene.dead] {
            scene.stops(400, &with_authorization(&line.replace('T', token)));
        }
    }
}

/// One PHP library takes what follows the last "bearer" of the line, with or without a space.
#[test]
fn a_dead_bearer_hidden_in_another_bearer_is_refused_standards_16_trap_4() {
    let scene = Aftermath::with("");
    for line in [
        "Bearer aaBearerT",
        "Bearer bearerT",
        "bearer x.BEARERT",
        "Bearer 17|abcBearerT",
        "Bearer =Bearer=T",
    ] {
        scene.refuses(&with_authorization(&line.replace('T', &scene.dead)));
    }
}

/// `authorization.split(' ')[1]` and `.replace('Bearer ', '')` are how many a shop reads its tokens: the scheme may be
/// any, or none.
#[test]
fn a_dead_token_behind_another_scheme_or_none_is_refused_trap_5() {
    let scene = Aftermath::with("");
    let sanctum = "17|a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4a1B2c3D4";
    let bearer = format!("Bearer {sanctum}");
    assert_eq!(scene.edge.raw(&logout_with(&[&bearer])), 200);
    for line in [
        "@",
        "foo @",
        "Token @",
        "JWT @",
        "DPoP @",
        "Basic @",
        "Token token=@",
        "Token token=\"@\"",
    ] {
        scene.refuses(&with_authorization(&line.replace('@', &scene.dead)));
        scene.refuses(&with_authorization(&line.replace('@', sanctum)));
    }
    for line in [
        "a b c d e f g h i j k l m n o p q r s t u v w x y z @",
        "x y @",
    ] {
        scene.refuses(&with_authorization(&line.replace('@', &scene.dead)));
    }
}

/// Who knows an opaque text may log it out. The words that others use beside their credentials are known to all.
#[test]
fn the_words_of_other_schemes_can_not_be_logged_out_trap_25() {
    let scene = Aftermath::with("token.opaque_pattern = \".*\"\n");
    let lines = [
        "Basic dXNlcjpwYXNzd29yZA==",
        "Basic",
        "Negotiate YIIJvwYGKwYBBQUCoIIJszCCCa",
        "Digest username=\"a\", realm=\"everybodys.realm.example.com\", uri=\"/\"",
        "AWS4-HMAC-SHA256 Credential=a/20261121/eu/s3/aws4_request, SignedHeaders=host",
    ];
    for word in [
        "Basic",
        "Negotiate",
        "Digest",
        "username",
        "everybodys.realm.example.com",
        "realm",
        "AWS4-HMAC-SHA256",
        "SignedHeaders",
        "Credential",
    ] {
        let bearer = format!("Bearer {word}");
        assert_eq!(scene.edge.raw(&logout_with(&[&bearer])), 200, "{word}");
    }
    for line in lines {
        let seen = scene.passes(&with_authorization(line));
        assert_eq!(seen.header("authorization"), Some(line));
    }
}

#[test]
fn a_credential_that_is_not_the_shops_passes_untouched_standards_24() {
    let scene = Aftermath::with("");
    for line in [
        "Basic dXNlcjpwYXNzd29yZA==",
        "Token abc",
        "Digest username=\"a\", uri=\"/\"",
        "Basic",
        "x",
    ] {
        let seen = scene.passes(&with_authorization(line));
        assert_eq!(seen.header("authorization"), Some(line));
    }
    let seen = scene.passes(&with_authorization(""));
    assert_eq!(
        seen.headers_named("authorization").collect::<Vec<_>>(),
        [""]
    );
}

#[test]
fn a_line_in_the_trailers_is_no_credential_standards_10() {
    let route = "[[shop.route]]\npaths = [\"/cart\"]\nenforce = \"required\"\n";
    let scene = Aftermath::with(route);
    for token in [&scene.live, &scene.dead] {
        let mut bytes = chunked(PAGE, &[("Trailer", "Authorization")], b"{}", 2);
        bytes.truncate(bytes.len() - 2);
        bytes.extend(format!("Authorization: Bearer {token}\r\n\r\n").bytes());
        scene.stops(401, &bytes);
    }
}
