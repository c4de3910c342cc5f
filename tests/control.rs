//! The operator revokes and looks up by hand, in the running process.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use doorward::clock::UnixTime;
use serde_json::{Value, json};
use support::{Customer, Edge, Outcome, stateless_bagisto};

const PROFILE: &str = "/api/shop/customers/profile";

fn answer(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

#[test]
fn a_token_revoked_by_hand_is_refused_and_stays_so() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    let command = ["revoke", "--shop", "main", "--token", "-"];
    let revoked = edge.command_with_input(&command, alice.token().as_bytes());
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert_eq!(answer(&revoked)["revoked"], 1);
    assert_eq!(alice.visit(&edge, PROFILE), 401);
    edge.kill_dash_nine();
    edge.restart();
    assert_eq!(alice.visit(&edge, PROFILE), 401);
}

#[test]
fn a_customer_revoked_by_hand_may_log_in_again() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    shop.set_date_offset(-10);
    let jane = Customer::named(&shop, "jane");
    shop.set_date_offset(0);
    let bob = Customer::named(&shop, "bob");
    let revoked = edge.command(&["revoke", "--shop", "main", "--subject", "2"]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert_eq!(jane.visit(&edge, PROFILE), 401);
    assert_eq!(bob.visit(&edge, PROFILE), 200, "another customer");
    assert_eq!(
        Customer::named(&shop, "jane").visit(&edge, PROFILE),
        200,
        "a new login"
    );
}

#[test]
fn a_token_can_be_revoked_by_its_id_alone() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let claims =
        |id: &str| json!({ "sub": 1, "jti": id, "iat": 1_790_000_000, "exp": 4_000_000_000_u64 });
    let dead = Customer::holding(&shop, shop.sign(&claims("a-1")));
    let live = Customer::holding(&shop, shop.sign(&claims("a-2")));
    let revoked = edge.command(&["revoke", "--shop", "main", "--jti", "a-1"]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert_eq!(dead.visit(&edge, PROFILE), 401);
    assert_eq!(live.visit(&edge, PROFILE), 200);
}

#[test]
fn everybody_can_be_cut_off() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    shop.set_date_offset(-10);
    let early = [
        Customer::named(&shop, "alice"),
        Customer::named(&shop, "bob"),
    ];
    shop.set_date_offset(0);
    let revoked = edge.command(&["revoke", "--shop", "main", "--all-before", "now", "--yes"]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    for customer in early {
        assert_eq!(customer.visit(&edge, PROFILE), 401);
    }
    assert_eq!(Customer::named(&shop, "alice").visit(&edge, PROFILE), 200);
}

#[test]
fn inspect_says_what_is_in_force() {
    let shop = stateless_bagisto();
    let edge = Edge::in_front_of(&shop);
    let alice = Customer::signed_in(&shop);
    let look = || {
        let command = ["inspect", "--shop", "main", "--token", "-"];
        answer(&edge.command_with_input(&command, alice.token().as_bytes()))
    };
    assert_eq!(look()["refused"], false);
    assert_eq!(look()["verified"], true);
    assert_eq!(alice.log_out(&edge), 200);
    assert_eq!(look()["refused"], true);
    assert_eq!(look()["revoked_by"], "token");
    let counted = answer(&edge.command(&["inspect"]));
    assert_eq!(counted["revocations"]["tokens"], 1);
    assert_eq!(counted["revocations"]["cutoffs"], 1);
    assert_eq!(counted["journal"]["writable"], true);
}

#[test]
fn an_order_that_fits_nothing_says_why() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    let unknown = edge.command(&["revoke", "--shop", "man", "--subject", "1"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stdout.contains("there are: main"), "{unknown:?}");
    let two = edge.command(&["revoke", "--shop", "main", "--subject", "1", "--jti", "x"]);
    assert_eq!(two.code, Some(2));
    let moment = edge.command(&["revoke", "--shop", "main", "--all-before", "yesterday"]);
    assert_eq!(moment.code, Some(2), "{moment:?}");
    edge.stop();
    let alone = edge.command(&["inspect"]);
    assert_eq!(alone.code, Some(69));
    assert!(alone.stderr.contains("is it running"), "{alone:?}");
}

#[test]
fn the_control_socket_is_for_its_own_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let mut edge = Edge::in_front_of(&stateless_bagisto());
    let path = edge.path("data/control.sock");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    edge.kill_dash_nine();
    edge.restart();
    assert_eq!(
        mode() & 0o777,
        0o600,
        "what a dead process left is replaced"
    );
}

#[test]
fn a_file_in_the_place_of_the_control_socket_stays_and_stops_the_start() {
    let shop = support::shop_table(&stateless_bagisto());
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    let refused = Edge::try_start(&format!("control = {precious:?}\n{shop}"));
    let told = refused.err().unwrap().stderr;
    assert!(
        told.contains("there is a file that is not a socket"),
        "{told}"
    );
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
}

/// D5: until nobody accepts the token, nor anything for it, and an hour beyond.
#[test]
fn a_revocation_is_kept_as_long_as_its_token_could_be_accepted_d5_trap_11() {
    const ISSUED: u64 = 4_000_000_000;
    const EXPIRES: u64 = ISSUED + 3_600;
    const BEYOND: u64 = 60 + 3_600; // the leeway and the margin
    let shop = stateless_bagisto();
    for (more, claims, until) in [
        ("", json!({ "iat": 1, "exp": EXPIRES }), EXPIRES + BEYOND),
        (
            "token.leeway = \"5m\"\n",
            json!({ "iat": 1, "exp": EXPIRES }),
            EXPIRES + 300 + 3_600,
        ),
        (
            "token.refresh_window = \"14d\"\n",
            json!({ "iat": ISSUED - 3_990_000_000, "exp": ISSUED }),
            ISSUED + BEYOND,
        ),
        (
            "token.refresh_window = \"40000d\"\n",
            json!({ "iat": 1_790_000_000_u64, "exp": 1_800_000_000_u64 }),
            1_790_000_000 + 40_000 * 86_400 + BEYOND,
        ),
        ("", json!({ "iat": 1 }), u64::MAX),
    ] {
        let edge = Edge::with(&format!("{}{more}", support::shop_table(&shop)));
        let command = ["revoke", "--shop", "main", "--token", "-"];
        let revoked = edge.command_with_input(&command, shop.sign(&claims).as_bytes());
        assert_eq!(revoked.code, Some(0), "{revoked:?}");
        let kept = UnixTime::from_seconds(until).to_string();
        assert_eq!(answer(&revoked)["kept_until"], kept, "{more}{claims}");
    }
}

#[test]
fn inspect_tells_all_that_is_known_of_a_token() {
    let shop = stateless_bagisto();
    let mut edge = Edge::in_front_of(&shop);
    let claims = json!({ "sub": 5, "jti": "a-1", "iat": 1_790_000_000, "exp": 4_000_000_000_u64 });
    let token = shop.sign(&claims);
    let holder = Customer::holding(&shop, token.clone());
    let look = |edge: &Edge, more: &[&str]| {
        let command = [&["inspect", "--shop", "main", "--token", "-"], more].concat();
        let outcome = edge.command_with_input(&command, token.as_bytes());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(!outcome.stdout.contains(&token), "{outcome:?}");
        outcome
    };
    let before = answer(&look(&edge, &[]));
    assert_eq!(before["revoked"], Value::Null);
    assert_eq!(before["claims"]["has_id"], true);
    assert_eq!(before["claims"]["id_claim"], "/jti");
    assert_eq!(before["claims"]["has_subject"], true);
    assert_eq!(before["verified_by"]["algorithm"], "HS256");
    assert!(
        before["readings"].as_array().unwrap().len() >= 3,
        "{before}"
    );
    let logout = holder.log_out(&edge);
    assert_eq!(logout, 200);
    let told = answer(&look(&edge, &[]));
    let revoked = &told["revoked"];
    assert_eq!(told["revoked_by"], "token");
    assert_eq!(revoked["rule"], "POST /api/shop/customers/logout");
    assert_eq!(revoked["request"].as_str(), logout.header("x-request-id"));
    assert_eq!(revoked["shop"], "main");
    assert_eq!(revoked["since_by"], "this node");
    assert!(
        revoked["until"].as_str().unwrap().starts_with("2096"),
        "{told}"
    );
    assert!(told["notes"].as_array().unwrap().is_empty());
    let text = look(&edge, &["--format", "text"]).stdout;
    assert!(
        text.contains("revoked_by  token\n") && text.contains("refused  yes\n"),
        "{text}"
    );
    edge.restart();
    let told = answer(&look(&edge, &[]));
    assert_eq!(
        told["revoked"]["since"],
        Value::Null,
        "the journal keeps no moment of a token"
    );
    assert!(
        told["notes"][0]
            .as_str()
            .unwrap()
            .contains("not known here"),
        "{told}"
    );
    let of_customer = told["readings"].as_array().unwrap().iter();
    let mut of_customer =
        of_customer.filter(|one| one["as"] == "subject" && !one["entry"].is_null());
    let entry = &of_customer.next().unwrap()["entry"];
    assert_eq!(entry["since_by"], "journal", "{told}");
    assert!(entry["since"].as_str().unwrap().starts_with("20"), "{told}");
}
