//! What the tests and the demo rely on in the three Bagisto shops.

use serde_json::{Value, json};

use crate::demo::shop::tests::{ask, bagisto};
use crate::demo::shop::{Coinage, Mood, PretendShop, ShopFailure, Storefront};

const PROFILE: &str = "/api/shop/customers/profile";
const CODED_PROFILE: &str = "/api/shop/customer-profile";
const CODED_LOGOUT: &str = "/api/shop/customer/logout";
const MOODS: [Mood; 2] = [Mood::Honest, Mood::Stateless];

fn open(storefront: Storefront, mood: Mood) -> PretendShop {
    PretendShop::open(storefront, mood).unwrap()
}

/// The status and the body.
fn parts(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn call(shop: &PretendShop, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
    parts(&bagisto(shop, method, path, token, body))
}

fn status(shop: &PretendShop, path: &str, token: &str) -> u16 {
    call(shop, "GET", path, token, "").0
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let lines = answer.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value)
        .next()
}

fn graphql(shop: &PretendShop, path: &str, token: &str, query: &str) -> Value {
    let body = json!({"query": query}).to_string();
    call(shop, "POST", path, token, &body).1
}

/// A request with these lines and nothing else.
fn bare(shop: &PretendShop, request_line: &str, lines: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let request = format!(
        "{request_line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
    );
    parts(&ask(shop, &request))
}

#[test]
fn a_login_says_who_came_and_every_refusal_is_as_documented() {
    let shop = open(Storefront::Bagisto, Mood::Honest);
    let log_in = |body: Value| {
        let path = "/api/shop/customers/login";
        call(&shop, "POST", path, "", &body.to_string())
    };
    let password = PretendShop::PASSWORD;
    let (status, body) = log_in(json!({"email": "john@example.com", "password": password}));
    assert_eq!(status, 200);
    assert_eq!(body["message"], "Logged in successfully");
    let john = json!({
        "id": 1, "firstName": "John", "lastName": "Doe", "email": "john@example.com", "phone": "1234567890", "status": 1,
    });
    assert_eq!(body["data"]["customer"], john);
    let suspended = json!({"email": "mallory@example.com", "password": password});
    assert_eq!(log_in(suspended).0, 403);
    assert_eq!(
        log_in(json!({"email": "john@example.com", "password": "wrong"})).0,
        401
    );
    assert_eq!(log_in(json!({"email": "john@example.com"})).0, 400);

    let logout = |lines: &str| bare(&shop, "POST /api/shop/customers/logout", lines, "{}");
    let key = format!("X-STOREFRONT-KEY: {}\r\n", PretendShop::KEY);
    assert_eq!(logout("").1["error"], "missing_key");
    assert_eq!(logout("X-STOREFRONT-KEY: pk_other\r\n").0, 403);
    assert_eq!(logout(&key).0, 400);
    assert_eq!(logout(&format!("{key}Authorization: Bearer x\r\n")).0, 401);
    shop.fail(ShopFailure::Status(429));
    let answer = bagisto(&shop, "POST", "/api/shop/customers/logout", "x", "{}");
    assert_eq!(header(&answer, "Retry-After"), Some("60"), "{answer}");
    assert_eq!(parts(&answer).1["error"], "rate_limit_exceeded");
}

#[test]
fn an_empty_logout_without_a_length_ends_the_token_and_not_the_next_one_of_the_same_second() {
    let shop = open(Storefront::Bagisto, Mood::Honest);
    shop.stop_the_clock();
    let token = shop.sign_in("alice");
    let answer = ask(
        &shop,
        &format!(
            "POST /api/shop/customers/logout HTTP/1.1\r\nConnection: close\r\nX-STOREFRONT-KEY: {}\r\n\
             Authorization: Bearer {token}\r\n\r\n",
            PretendShop::KEY
        ),
    );
    assert_eq!(parts(&answer).0, 200, "{answer}");
    let next = shop.sign_in("alice");
    assert_eq!(status(&shop, PROFILE, &token), 401);
    assert_eq!(status(&shop, PROFILE, &next), 200);
    let products = "/api/shop/products";
    assert_eq!(status(&shop, products, &token), 200, "they are public");
}

#[test]
fn it_mints_what_real_shops_mint() {
    for storefront in [Storefront::Bagisto, Storefront::BagistoGraphql] {
        let shop = open(storefront, Mood::Honest);
        shop.stop_the_clock();
        assert_ne!(shop.sign_in("alice"), shop.sign_in("alice"));
        shop.coin(Coinage::WithoutId);
        assert_eq!(shop.sign_in("alice"), shop.sign_in("alice"));
        shop.coin(Coinage::WithoutEnd);
        let endless = shop.sign_in("alice");
        shop.set_date_offset(400 * 24 * 3600);
        if storefront == Storefront::Bagisto {
            assert_eq!(status(&shop, PROFILE, &endless), 200);
            shop.coin(Coinage::Expired);
            assert_eq!(status(&shop, PROFILE, &shop.sign_in("alice")), 401);
        }
    }
}

#[test]
fn the_paths_of_the_real_code_issue_and_end_opaque_tokens() {
    for storefront in [Storefront::Bagisto, Storefront::BagistoApi] {
        let shop = open(storefront, Mood::Honest);
        let bob =
            json!({"email": "bob@example.com", "password": PretendShop::PASSWORD}).to_string();
        let log_in = || call(&shop, "POST", "/api/shop/customer/login", "", &bob);
        let (status_of_login, body) = log_in();
        assert_eq!(status_of_login, 201);
        let token = body["token"].as_str().unwrap();
        let (row, secret) = token.split_once('|').unwrap();
        assert_eq!((row, secret.len()), ("1", 48));
        let another = log_in().1["token"].as_str().unwrap().to_owned();

        let log_out = || call(&shop, "POST", CODED_LOGOUT, token, "{}");
        let yes = json!({"success": true, "message": "Logged out successfully"});
        let no = json!({"success": false, "message": "Unauthenticated. Please login to perform this action"});
        assert_eq!(log_out(), (201, yes));
        assert_eq!(log_out(), (201, no));
        let verified = |token: &str| call(&shop, "POST", "/api/shop/verify-tokens", token, "{}").1;
        assert_eq!(verified(token)["isValid"], false);
        assert_eq!(verified(&another)["isValid"], true);
        assert_eq!(status(&shop, CODED_PROFILE, token), 401);
        assert_eq!(status(&shop, CODED_PROFILE, &another), 200);

        let wrong = json!({"email": "bob@example.com", "password": "wrong"}).to_string();
        let (status, body) = call(&shop, "POST", "/api/shop/customer/login", "", &wrong);
        assert_eq!(
            (status, &body["success"], &body["id"]),
            (201, &json!(false), &json!(0))
        );
    }
}

#[test]
fn a_stateless_shop_says_yes_to_every_logout_of_an_opaque_token() {
    let shop = open(Storefront::BagistoApi, Mood::Stateless);
    let token = shop.sign_in("alice");
    for _ in 0..2 {
        let (_, answer) = call(&shop, "POST", CODED_LOGOUT, &token, "{}");
        assert_eq!(answer["success"], true);
    }
    assert_eq!(status(&shop, CODED_PROFILE, &token), 200);
}

#[test]
fn an_opaque_token_has_other_spellings_as_with_sanctum_and_its_database() {
    let shop = open(Storefront::BagistoApi, Mood::Honest);
    shop.trust_row_ids(false);
    let token = shop.sign_in("alice");
    let (row, secret) = token.split_once('|').unwrap();
    let spellings = [secret.to_owned(), format!("0{row}|{secret}")];
    for spelling in &spellings {
        assert_eq!(status(&shop, CODED_PROFILE, spelling), 200, "{spelling}");
    }
    call(&shop, "POST", CODED_LOGOUT, &token, "{}");
    for spelling in &spellings {
        assert_eq!(status(&shop, CODED_PROFILE, spelling), 401, "{spelling}");
    }
}

#[test]
fn the_code_trusts_the_number_of_a_row_until_it_is_told_not_to() {
    let shop = open(Storefront::BagistoApi, Mood::Honest);
    let token = shop.sign_in("alice");
    let (row, _) = token.split_once('|').unwrap();
    let guessed = format!("{row}|anything");
    let verified = || call(&shop, "POST", "/api/shop/verify-tokens", &guessed, "").1;
    assert_eq!(status(&shop, CODED_PROFILE, &guessed), 200);
    assert_eq!(verified()["isValid"], false, "it asks Sanctum");
    shop.trust_row_ids(false);
    assert_eq!(status(&shop, CODED_PROFILE, &guessed), 401);
    let log_out = || call(&shop, "POST", CODED_LOGOUT, &guessed, "").1["success"].clone();
    assert_eq!(log_out(), false);
    shop.trust_row_ids(true);
    assert_eq!(log_out(), true);
    assert_eq!(status(&shop, CODED_PROFILE, &token), 401);
    assert_eq!(
        status(
            &open(Storefront::Bagisto, Mood::Honest),
            CODED_PROFILE,
            "1|x"
        ),
        401
    );
}

#[test]
fn the_coded_shop_speaks_graphql_too() {
    let shop = open(Storefront::BagistoApi, Mood::Honest);
    let tell = |token: &str, query: &str| graphql(&shop, "/api/graphql", token, query);
    let login = format!(
        "mutation {{ createCustomerLogin(input: {{email: \"alice@example.com\", password: \"{}\"}}) \
         {{ customerLogin {{ token success }} }} }}",
        PretendShop::PASSWORD
    );
    let answer = tell("", &login);
    let token = answer["data"]["createCustomerLogin"]["customerLogin"]["token"].as_str();
    let token = token.unwrap_or_else(|| panic!("{answer}"));
    let profile = "query { readCustomerProfile { firstName } }";
    assert_eq!(
        tell(token, profile)["data"]["readCustomerProfile"]["firstName"],
        "Alice"
    );
    let logout = "mutation { createLogout(input:{}) { logout { success message } } }";
    let said = |success: bool, message: &str| {
        let logout = json!({"success": success, "message": message});
        json!({"data": {"createLogout": {"logout": logout}}})
    };
    assert_eq!(tell(token, logout), said(true, "Logged out successfully"));
    let refused = "Unauthenticated. Please login to perform this action";
    assert_eq!(tell(token, logout), said(false, refused));
    assert_eq!(tell(token, profile)["errors"][0]["message"], refused);
    let verify = "mutation { createVerifyToken(input:{}) { verifyToken { isValid } } }";
    assert_eq!(
        tell(token, verify)["data"]["createVerifyToken"]["verifyToken"]["isValid"],
        false
    );

    let keyless = |query: &str| {
        let body = json!({"query": query}).to_string();
        bare(&shop, "POST /api/graphql", "", &body)
    };
    let (status, body) = keyless(logout);
    let code = &body["errors"][0]["extensions"]["code"];
    assert_eq!(
        (status, code, &body["error"]),
        (401, &json!("UNAUTHENTICATED"), &json!("missing_key"))
    );
    assert_eq!(keyless("{ __schema { types { name } } }").0, 200);
    let wrong = bare(
        &shop,
        "POST /api/graphql",
        "X-STOREFRONT-KEY: pk_other\r\n",
        "{}",
    );
    assert_eq!((wrong.0, &wrong.1["error"]), (401, &json!("invalid_key")));
}

#[test]
fn the_coded_shop_counts_down_by_the_hour_and_says_so_in_its_own_way() {
    let shop = open(Storefront::BagistoApi, Mood::Honest);
    shop.stop_the_clock();
    let ask = || bagisto(&shop, "GET", "/api/shop/products", "", "");
    let numbers = |answer: &str| {
        ["Limit", "Remaining", "Reset"].map(|name| {
            let value = header(answer, &format!("X-RateLimit-{name}")).unwrap();
            value.parse::<u64>().unwrap()
        })
    };
    let (first, second) = (numbers(&ask()), numbers(&ask()));
    assert_eq!(first[1], second[1] + 1);
    assert_eq!(first[0], first[1] + 1);
    assert!((1..=3600).contains(&first[2]), "{first:?}");
    shop.set_date_offset(first[2].cast_signed());
    assert_eq!(numbers(&ask()), [first[0], first[1], 3600]);
    shop.fail(ShopFailure::Status(429));
    let refused = ask();
    assert_eq!(header(&refused, "Retry-After"), None, "{refused}");
    assert_eq!(parts(&refused).1["retry_after"], 3600);
}

const LOGOUT: &str = "mutation { customerLogout { success message } }";
const ACCOUNT: &str = "query { accountInfo { firstName } }";

#[test]
fn the_graphql_shop_ends_the_presented_token_and_no_other() {
    for mood in MOODS {
        let shop = open(Storefront::BagistoGraphql, mood);
        let tell = |token: &str, query: &str| graphql(&shop, "/graphql", token, query);
        let query =
            "mutation($input: LoginInput!) { customerLogin(input: $input) { accessToken } }";
        let input = json!({"email": "alice@example.com", "password": PretendShop::PASSWORD});
        let login = json!({"query": query, "variables": {"input": input}}).to_string();
        let (_, answer) = bare(&shop, "POST /graphql", "", &login);
        let token = answer["data"]["customerLogin"]["accessToken"]
            .as_str()
            .unwrap();
        let another = shop.sign_in("alice");

        let done = json!({"success": true, "message": "Success: Customer logout successful."});
        assert_eq!(
            tell(token, LOGOUT),
            json!({"data": {"customerLogout": done}})
        );
        let is_dead = tell(token, ACCOUNT)["errors"][0]["message"] == "Unauthenticated.";
        assert_eq!(is_dead, mood == Mood::Honest);
        assert_eq!(
            tell(&another, ACCOUNT)["data"]["accountInfo"]["firstName"],
            "Alice"
        );
        assert_eq!(tell("", LOGOUT)["errors"][0]["message"], "Unauthenticated.");
        let batch = json!([{"query": ACCOUNT}, {"query": LOGOUT}]).to_string();
        let (_, answers) = call(&shop, "POST", "/graphql", &another, &batch);
        assert_eq!(answers.as_array().map(Vec::len), Some(2), "{answers}");
    }
}

#[test]
fn the_graphql_shop_finds_its_token_wherever_its_library_looks() {
    let shop = open(Storefront::BagistoGraphql, Mood::Honest);
    let token = shop.sign_in("alice");
    let body = json!({"query": ACCOUNT}).to_string();
    let with_token = json!({"query": ACCOUNT, "token": token}).to_string();
    let form = format!("token={token}");
    let encoded = form_urlencoded::byte_serialize(ACCOUNT.as_bytes()).collect::<String>();
    let places = [
        (
            "POST /graphql".to_owned(),
            format!("Authorization: bearer {token}\r\n"),
            body.as_str(),
        ),
        (
            "POST /graphql".to_owned(),
            format!("Authorization: foo Bearer {token}, x\r\n"),
            &body,
        ),
        (
            "POST /graphql".to_owned(),
            format!("Authorization: Bearer x Bearer {token}\r\n"),
            &body,
        ),
        (format!("POST /graphql?token={token}"), String::new(), &body),
        ("POST /graphql".to_owned(), String::new(), &with_token),
        (
            format!("POST /graphql?query={encoded}"),
            String::new(),
            &form,
        ),
        (
            "POST /graphql".to_owned(),
            format!("Cookie: a=b; token={token}\r\n"),
            &body,
        ),
        (
            format!("GET /graphql?query={encoded}&token={token}"),
            String::new(),
            "",
        ),
    ];
    for (line, headers, body) in places {
        let (_, answer) = bare(&shop, &line, &headers, body);
        assert_eq!(
            answer["data"]["accountInfo"]["firstName"], "Alice",
            "{line} {headers} {answer}"
        );
    }
    let (_, answer) = bare(
        &shop,
        "POST /graphql",
        "Authorization: Basic eA==\r\n",
        &body,
    );
    assert!(answer["errors"].is_array(), "{answer}");
}

#[test]
fn the_graphql_shop_refreshes_what_has_expired_but_not_what_has_ended() {
    let shop = open(Storefront::BagistoGraphql, Mood::Honest);
    let account = |token: &str| graphql(&shop, "/graphql", token, ACCOUNT)["errors"].is_null();
    let refresh = |token: &str| {
        let (status, body) = call(&shop, "POST", "/api/auth/refresh", token, "");
        (
            status,
            body["access_token"].as_str().unwrap_or_default().to_owned(),
        )
    };
    shop.coin(Coinage::Expired);
    let expired = shop.sign_in("alice");
    assert!(!account(&expired));
    let (status, fresh) = refresh(&expired);
    assert!(status == 200 && account(&fresh));
    assert_eq!(refresh(&expired).0, 401, "once only");
    graphql(&shop, "/graphql", &fresh, LOGOUT);
    assert_eq!(refresh(&fresh).0, 401);

    let too_old = shop.sign_in("alice");
    shop.set_date_offset(7 * 24 * 3600);
    assert_eq!(refresh(&too_old).0, 401, "the window has closed");
}
