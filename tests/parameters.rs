//! Parameters of queries, forms and JSON: a dead token is found under every name that a shop takes for the one it reads.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::places::{EVERYWHERE, FORM, JSON, MULTIPART, PAGE, chunked};
use support::{Aftermath, request};

/// Names that PHP reads as `access_token`: it decodes, strips spaces before, ends at a NUL, and makes an underscore
/// of what a variable can't have.
const SAME_PARAMETER: [&str; 14] = [
    "access_token",
    "%61ccess_token",
    "access%5Ftoken",
    "access_token[]",
    "access_token[0]",
    "access_token%5B%5D",
    "access_token[a][b]",
    "access.token",
    "access+token",
    "access%20token",
    "access[token",
    "%20access_token",
    "+access_token",
    "access_token%00x",
];

#[test]
fn a_dead_token_is_found_under_every_name_that_is_the_parameters_d1() {
    let scene = Aftermath::with(EVERYWHERE);
    for name in SAME_PARAMETER {
        scene.refuses(&request(
            "GET",
            &format!("{PAGE}?{name}={}", scene.dead),
            &[],
            b"",
        ));
        let twice = format!("{PAGE}?access_token={}&{name}={}", scene.live, scene.dead);
        scene.stops(400, &request("GET", &twice, &[], b""));
        let field = name.replace("access_", "").replace("access", "");
        let body = format!("a=b&{field}={}", scene.dead);
        if ["token", "%20token", "+token", "token[]", "token%00x"].contains(&field.as_str()) {
            scene.refuses(&request("POST", PAGE, &[FORM], body.as_bytes()));
        }
    }
    for other in ["access_tokens", "x_access_token", "access-token"] {
        scene.passes(&request(
            "GET",
            &format!("{PAGE}?{other}={}", scene.dead),
            &[],
            b"",
        ));
    }
}

/// Go and .NET compare the names of JSON members without case, .NET those of parameters too.
#[test]
fn a_dead_token_is_found_under_a_name_in_other_letters_d1() {
    let scene = Aftermath::with(EVERYWHERE);
    let dead = &scene.dead;
    scene.refuses(&request(
        "GET",
        &format!("{PAGE}?Access_Token={dead}"),
        &[],
        b"",
    ));
    scene.refuses(&request(
        "POST",
        PAGE,
        &[FORM],
        format!("TOKEN={dead}").as_bytes(),
    ));
    scene.refuses(&request(
        "POST",
        PAGE,
        &[JSON],
        format!("{{\"Token\":\"{dead}\"}}").as_bytes(),
    ));
}

/// Rack 2, under Spree and Solidus, separates parameters by `;` too.
#[test]
fn a_dead_token_is_found_behind_a_semicolon_d1() {
    let scene = Aftermath::with(EVERYWHERE);
    for query in [
        "a=b;access_token=D",
        "access_token=D;a=b",
        "a=b; access_token=D",
        ";access_token=D",
        // PHP parts by `&` alone, and ends the name at the NUL.
        "access_token%00;x=D",
    ] {
        let query = query.replace('D', &scene.dead).replace(' ', "%20");
        scene.refuses(&request("GET", &format!("{PAGE}?{query}"), &[], b""));
        let body = query.replace("access_token", "token");
        scene.refuses(&request("POST", PAGE, &[FORM], body.as_bytes()));
    }
}

#[test]
fn a_dead_token_is_found_in_json_whatever_its_type_is_called_d1() {
    let scene = Aftermath::with(EVERYWHERE);
    let body = format!("{{\"a\":[1],\"token\":\"{}\"}}", scene.dead);
    let escaped = format!(
        "{{\"\\u0074oken\":\"\\u{:04x}{}\"}}",
        scene.dead.as_bytes()[0],
        &scene.dead[1..]
    );
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
        "text/json",
        "text/plain",
        "application/octet-stream",
        "",
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
    ] {
        for body in [
            &body,
            &escaped,
            &format!(" \r\n\t{body}\n"),
            &format!("\u{feff}{body}"),
        ] {
            scene.refuses(&request(
                "POST",
                PAGE,
                &[("Content-Type", kind)],
                body.as_bytes(),
            ));
            scene.refuses(&request(
                "GET",
                PAGE,
                &[("Content-Type", kind)],
                body.as_bytes(),
            ));
        }
    }
    scene.refuses(&request("POST", PAGE, &[], body.as_bytes()));
    scene.refuses(&chunked(PAGE, &[JSON], body.as_bytes(), 7));
}

#[test]
fn json_that_could_be_read_in_two_ways_is_refused_standards_18_50() {
    let scene = Aftermath::with(EVERYWHERE);
    for body in [
        r#"{"token":"L","token":"D"}"#,
        r#"{"token":"D","token":"L"}"#,
        r#"{"token":"L","\u0074oken":"D"}"#,
        r#"{"token":"D"}x"#,
        r#"{"token":"D",}"#,
        r"{'token':'D'}",
        "{\"token\":\"D\"",
        r#"{"token":"D"}{"token":"L"}"#,
    ] {
        let body = body.replace('D', &scene.dead).replace('L', &scene.live);
        scene.stops(400, &request("POST", PAGE, &[JSON], body.as_bytes()));
    }
    // Some frameworks take the first of a list.
    for body in [r#"{"token":["D"]}"#, r#"{"token":{"a":"D"}}"#] {
        let body = body.replace('D', &scene.dead);
        scene.stops(401, &request("POST", PAGE, &[JSON], body.as_bytes()));
    }
    scene.passes(&request("POST", PAGE, &[JSON], br#"{"token":5}"#));
    let twice = format!(
        "{{\"token\":\"{}\",\"token\":\"{}\"}}",
        scene.live, scene.dead
    );
    scene.stops(400, &request("POST", PAGE, &[], twice.as_bytes()));
}

#[test]
fn a_dead_token_is_found_in_a_form_whatever_stands_round_it_standards_6() {
    let scene = Aftermath::with(EVERYWHERE);
    let body = format!("a=b&token={}", scene.dead);
    for kind in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
        "Application/X-WWW-Form-Urlencoded",
        "application/x-www-form-urlencoded;",
        // PHP ends the type at a comma or space.
        "application/x-www-form-urlencoded, application/json",
        "application/x-www-form-urlencoded json",
        "application/x-www-form-urlencoded; x=multipart/form-data",
        "text/plain",
        "",
    ] {
        scene.refuses(&request(
            "POST",
            PAGE,
            &[("Content-Type", kind)],
            body.as_bytes(),
        ));
    }
    scene.refuses(&request("POST", PAGE, &[JSON, FORM], body.as_bytes()));
    scene.refuses(&request("POST", PAGE, &[FORM, JSON], body.as_bytes()));
    scene.refuses(&request("POST", PAGE, &[FORM, MULTIPART], body.as_bytes()));
    scene.refuses(&request("POST", PAGE, &[MULTIPART, FORM], body.as_bytes()));
    scene.refuses(&chunked(PAGE, &[FORM], body.as_bytes(), 5));
    for neighbour in [
        &b"x=\xff&"[..],
        b"\xff&",
        b"x=%ff&",
        b"\xef\xbb\xbf&",
        b"\0&",
    ] {
        scene.refuses(&request(
            "POST",
            PAGE,
            &[FORM],
            &[neighbour, body.as_bytes()].concat(),
        ));
    }
}

#[test]
fn what_only_looks_like_a_credential_in_a_body_is_left_alone() {
    let scene = Aftermath::with(EVERYWHERE);
    let bearer = format!("Bearer {}", scene.live);
    for (kind, body) in [
        (JSON, r#"{"next":"https://shop.example.com/x?a=b&token=1"}"#),
        (JSON, r#"{"next":"/x;token=1;y"}"#),
        (JSON, r#"{"a":{"token":"1"},"tokens":"2"}"#),
        (JSON, r#"["token"]"#),
        (FORM, "a=b&tokens=1&xtoken=2&next=%26token%3D3"),
        (FORM, ""),
        (
            MULTIPART,
            "--b\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nname, token\r\n--b--\r\n",
        ),
    ] {
        let seen = scene.passes(&request(
            "POST",
            PAGE,
            &[kind, ("Authorization", &bearer)],
            body.as_bytes(),
        ));
        assert_eq!(seen.body, body.as_bytes());
    }
}

#[test]
fn a_token_in_a_multipart_form_is_refused_standards_6() {
    let scene = Aftermath::with(EVERYWHERE);
    for name in [
        "name=\"token\"",
        "name=token",
        "NAME=\"token\"",
        "name='token'",
        "name=\" token\"",
        "name=\"token[]\"",
        "name=\"token\"; filename=\"f\"",
        "filename=\"f\"; name=\"token\"",
    ] {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; {name}\r\n\r\n{}\r\n--b--\r\n",
            scene.dead
        );
        scene.refuses(&request("POST", PAGE, &[MULTIPART], body.as_bytes()));
    }
    let body = "--b\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nabc\r\n--b--\r\n";
    let seen = scene.passes(&request("POST", PAGE, &[MULTIPART], body.as_bytes()));
    assert_eq!(seen.body, body.as_bytes());
}
