//! Vendure: a logout ends every session of the customer.

use super::*;

const PASSWORD: &str = "one-kettle-and-two-cups";
const ME: &str = "{ activeCustomer { id } }";
const LOGOUT: &str = "mutation { logout { success } }";

type Credential = (&'static str, String);

fn execute(address: SocketAddr, query: &str, credentials: &[Credential]) -> Answer {
    let body = json!({ "query": query }).to_string();
    ask(
        address,
        ("POST", "/shop-api"),
        credentials,
        ("application/json", &body),
    )
}

fn log_in(address: SocketAddr) -> Answer {
    let query = format!(
        "mutation {{ login(username: \"alice@example.com\", password: \"{PASSWORD}\") {{ __typename }} }}"
    );
    let answer = execute(address, &query, &[]);
    assert_eq!(answer.json()["data"]["login"]["__typename"], "CurrentUser");
    answer
}

fn token_of(answer: &Answer) -> Credential {
    bearer(answer.header("vendure-auth-token").unwrap())
}

fn is_alive(address: SocketAddr, credential: &Credential) -> bool {
    let answer = execute(address, ME, std::slice::from_ref(credential));
    answer == 200 && answer.json()["data"]["activeCustomer"]["id"].is_string()
}

#[test]
fn a_logout_ends_every_session_of_the_customer_that_was_seen() {
    let mut shop = RealShop::run("vendure", &["node", "serve.js"], &[]);
    let edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\npreset = \"vendure\"\nupstream = [\"{}\"]\n",
        shop.address
    ));
    let here = edge.address();
    let query = format!(
        "mutation {{ registerCustomerAccount(input: {{ emailAddress: \"alice@example.com\", \
         password: \"{PASSWORD}\" }}) {{ __typename }} }}"
    );
    assert_eq!(execute(here, &query, &[]), 200);
    let (phone, tablet) = (token_of(&log_in(here)), token_of(&log_in(here)));
    let browser = cookie(&log_in(here));
    for session in [&phone, &tablet, &browser] {
        assert!(is_alive(here, session));
    }
    // Who puts something into a cart has a session, too.
    let buy = "mutation { addItemToOrder(productVariantId: \"1\", quantity: 1) { __typename } }";
    let guest = token_of(&execute(here, buy, &[]));
    let logged_out = |answer: &Answer| answer.json()["data"]["logout"]["success"] == true;
    assert!(logged_out(&execute(here, LOGOUT, &[guest.clone()])));
    assert_eq!(
        execute(here, ME, &[guest]),
        401,
        "what was presented is dead"
    );
    assert_eq!(execute(here, ME, &[]), 200);
    assert!(is_alive(here, &phone));
    // The shop ends all of them as well.
    assert!(logged_out(&execute(here, LOGOUT, &[phone.clone()])));
    for session in [&phone, &tablet] {
        assert_eq!(execute(here, ME, std::slice::from_ref(session)), 401);
        assert!(!is_alive(shop.address, session));
    }
    // A dead cookie is taken out of the request: its browser is a guest's.
    assert_eq!(execute(here, ME, &[browser.clone()]), 200);
    assert!(!is_alive(here, &browser) && !is_alive(shop.address, &browser));
    // A login after it, and every way to say a logout.
    let again = token_of(&log_in(here));
    assert!(is_alive(here, &again));
    let alias = execute(
        here,
        "mutation Bye { bye: logout { ok: success } }",
        &[again.clone()],
    );
    assert_eq!(alias.json()["data"]["bye"]["ok"], true);
    assert_eq!(execute(here, ME, &[again]), 401);
    let by_url = token_of(&log_in(here));
    let target = "/shop-api?query=mutation%20%7B%20logout%20%7B%20success%20%7D%20%7D";
    let preflighted = ("apollo-require-preflight", "1".to_owned());
    let answer = ask(
        here,
        ("GET", target),
        &[by_url.clone(), preflighted],
        ("", ""),
    );
    assert_eq!(
        answer, 405,
        "a GET executes no mutation, so it is no logout"
    );
    assert!(is_alive(here, &by_url));
    // What a browser keeps after a logout is the same in every browser.
    let browser = cookie(&log_in(here));
    let answer = execute(here, LOGOUT, &[browser.clone()]);
    assert!(logged_out(&answer));
    let empty = cookie(&answer);
    assert!(!is_alive(here, &browser));
    assert_eq!(execute(here, ME, &[empty.clone()]), 200);
    assert!(!logged_out(&execute(here, LOGOUT, &[empty.clone()])));
    shop.stop();
    assert_eq!(execute(here, LOGOUT, &[empty.clone()]), 200);
    assert_eq!(execute(here, ME, &[empty]), 502, "but not 401");
}
