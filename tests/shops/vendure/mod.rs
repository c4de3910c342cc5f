//! Vendure: a logout ends every session of the customer.

use super::devices::{Account, Device, UnknownIssueTime, walk};
use super::*;

const PASSWORD: &str = "one-kettle-and-two-cups";
const ME: &str = "{ activeCustomer { id } }";
const LOGOUT: &str = "mutation { logout { success } }";

fn execute(address: SocketAddr, query: &str, credentials: &[Credential]) -> Answer {
    let body = json!({ "query": query }).to_string();
    ask(
        address,
        ("POST", "/shop-api"),
        credentials,
        ("application/json", &body),
    )
}

fn register(address: SocketAddr) {
    let query = format!(
        "mutation {{ registerCustomerAccount(input: {{ emailAddress: \"alice@example.com\", \
         password: \"{PASSWORD}\" }}) {{ __typename }} }}"
    );
    assert_eq!(execute(address, &query, &[]), 200);
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
    let answer = execute(address, ME, slice::from_ref(credential));
    assert!([200, 401].contains(&answer.status), "{}", answer.status);
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
    register(here);
    let (phone, tablet) = (token_of(&log_in(here)), token_of(&log_in(here)));
    let browser = cookie(&log_in(here));
    for session in [&phone, &tablet, &browser] {
        assert!(is_alive(here, session));
    }
    // Who puts something into a cart has a session, too.
    let buy = "mutation { addItemToOrder(productVariantId: \"1\", quantity: 1) { __typename } }";
    let guest = token_of(&execute(here, buy, &[]));
    let logged_out = |answer: &Answer| answer.json()["data"]["logout"]["success"] == true;
    assert!(logged_out(&execute(here, LOGOUT, slice::from_ref(&guest))));
    assert_eq!(
        execute(here, ME, &[guest]),
        401,
        "what was presented is dead"
    );
    assert_eq!(execute(here, ME, &[]), 200);
    assert!(is_alive(here, &phone));
    // The shop ends all of them as well.
    assert!(logged_out(&execute(here, LOGOUT, slice::from_ref(&phone))));
    for session in [&phone, &tablet] {
        assert_eq!(execute(here, ME, slice::from_ref(session)), 401);
        assert!(!is_alive(shop.address, session));
    }
    // A dead cookie is taken out of the request: its browser is a guest's.
    assert_eq!(execute(here, ME, slice::from_ref(&browser)), 200);
    assert!(!is_alive(here, &browser) && !is_alive(shop.address, &browser));
    // A login after it, and every way to say a logout.
    let again = token_of(&log_in(here));
    assert!(is_alive(here, &again));
    let alias = execute(
        here,
        "mutation Bye { bye: logout { ok: success } }",
        slice::from_ref(&again),
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
    let answer = execute(here, LOGOUT, slice::from_ref(&browser));
    assert!(logged_out(&answer));
    let empty = cookie(&answer);
    assert!(!is_alive(here, &browser));
    assert_eq!(execute(here, ME, slice::from_ref(&empty)), 200);
    assert!(!logged_out(&execute(here, LOGOUT, slice::from_ref(&empty))));
    shop.stop();
    assert_eq!(execute(here, LOGOUT, slice::from_ref(&empty)), 200);
    assert_eq!(execute(here, ME, &[empty]), 502, "but not 401");
}

/// A customer with a bearer on the phone and a cookie in the browser.
struct Alice {
    everywhere: Everywhere,
}

/// How the customer logs out of everything.
enum Everywhere {
    /// By the shop's own mutation.
    Mutation,
    /// By a call that the shop does not know.
    OperatorsCall,
}

/// The mutation ends every session in the shop as well; of these calls it hears nothing.
const CALLS: &str = r#"
preset = "vendure"

[shop.own_logout]
revoke = "token"

[[shop.logout]]
methods = ["POST"]
paths   = ["/account/logout-everywhere"]
revoke  = "subject"
answer  = "local"

[[shop.logout]]
methods = ["POST"]
paths   = ["/account/logout-elsewhere"]
revoke  = "others"
answer  = "local"
"#;

impl Account for Alice {
    fn log_in(&self, address: SocketAddr, device: Device) -> Credential {
        let answer = log_in(address);
        match device {
            Device::Phone => token_of(&answer),
            Device::Browser => cookie(&answer),
        }
    }

    fn is_served(&self, address: SocketAddr, credential: &Credential) -> bool {
        is_alive(address, credential)
    }

    fn log_out(&self, address: SocketAddr, credential: &Credential) -> bool {
        assert_eq!(call(address, "/_doorward/logout", credential), 200);
        false
    }

    fn log_out_elsewhere(&self, address: SocketAddr, credential: &Credential) -> bool {
        assert_eq!(call(address, "/account/logout-elsewhere", credential), 200);
        false
    }

    fn log_out_everywhere(&self, address: SocketAddr, credential: &Credential) -> bool {
        match self.everywhere {
            Everywhere::Mutation => {
                let answer = execute(address, LOGOUT, slice::from_ref(credential));
                assert_eq!(answer.json()["data"]["logout"]["success"], true);
                true
            }
            Everywhere::OperatorsCall => {
                assert_eq!(call(address, "/account/logout-everywhere", credential), 200);
                false
            }
        }
    }
}

fn call(address: SocketAddr, path: &str, credential: &Credential) -> Answer {
    let page = ("Sec-Fetch-Site", "same-origin".to_owned());
    ask(
        address,
        ("POST", path),
        &[credential.clone(), page],
        ("", ""),
    )
}

#[test]
fn two_devices_restarts_and_another_node_attacks_a6_b2() {
    let shop = RealShop::run("vendure", &["node", "serve.js"], &[]);
    register(shop.address);
    for (everywhere, unknown) in [
        (Everywhere::Mutation, UnknownIssueTime::New),
        (Everywhere::OperatorsCall, UnknownIssueTime::New),
        (Everywhere::OperatorsCall, UnknownIssueTime::Old),
    ] {
        let alice = Alice { everywhere };
        walk(&alice, shop.address, unknown, CALLS);
    }
}
