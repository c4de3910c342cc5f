//! Sanctum's opaque tokens have several spellings; a logout ends the token, not a spelling.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use serde_json::json;
use support::{Scene, Shop, request, shop_table};

/// What the code of Bagisto hands out at a login.
fn opaque_token(scene: &Scene) -> String {
    let body = json!({"email": "alice@example.com", "password": Shop::PASSWORD}).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("X-STOREFRONT-KEY", Shop::KEY),
    ];
    let login = request(
        "POST",
        "/api/shop/customer/login",
        &headers,
        body.as_bytes(),
    );
    let answer = scene.edge.raw(&login);
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// The shop finds a token by its secret alone where no row is named, and reads the row as a number.
#[test]
fn a_dead_opaque_token_is_dead_in_every_spelling_that_the_shop_takes() {
    let scene = Scene::with("");
    let token = opaque_token(&scene);
    let (row, secret) = token.split_once('|').unwrap();
    let spellings = [
        ("as issued", token.clone()),
        ("the secret alone", secret.to_owned()),
        ("a zero before the row", format!("0{row}|{secret}")),
    ];
    for (what, spelling) in &spellings {
        assert_eq!(scene.admits(what, spelling), 200, "{what}");
    }
    assert_eq!(scene.log_out(&token), 200);
    let alive = spellings
        .into_iter()
        .filter(|(_, spelling)| scene.visit(spelling).status != 401);
    let alive: Vec<_> = alive.map(|(what, _)| what).collect();
    assert!(alive.is_empty(), "it lives on by {alive:?}");
}

/// Which part an opaque token is known by may be said later: what was logged out before stays so.
#[test]
fn a_token_that_was_logged_out_under_its_whole_text_stays_dead_when_a_part_becomes_its_name() {
    let whole = "token.opaque_pattern = '[0-9]+\\|[A-Za-z0-9]{48}'\n";
    let mut scene = Scene::with(whole);
    let token = opaque_token(&scene);
    assert_eq!(scene.log_out(&token), 200);
    scene.edge.configure(&shop_table(&scene.shop));
    scene.edge.stop();
    scene.edge.restart();
    scene.turns_away("as it was logged out", &token);
}
