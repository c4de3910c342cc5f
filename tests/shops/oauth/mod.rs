//! A server of OAuth: a revocation ends tokens that it can't take back.

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

struct Scene {
    shop: RealShop,
    edge: Edge,
}

/// What a login brings.
struct Login {
    access: (&'static str, String),
    refresh: String,
}

impl Scene {
    fn open() -> Self {
        let shop = RealShop::run("oauth", &["node", "serve.mjs"], &[]);
        let address = shop.address;
        let edge = Edge::with(&format!(
            "[[shop]]\nname = \"main\"\npreset = \"generic-oauth\"\nupstream = [\"{address}\"]\n\
             token.algorithms = [\"RS256\"]\ntoken.jwks_url = \"http://{address}/jwks.json\"\n\
             token.issuer = \"http://shop.example.com\"\n"
        ));
        Self { shop, edge }
    }

    fn revoke(&self, token: &str) -> Answer {
        post(
            self.edge.address(),
            "/oauth/revoke",
            &format!("token={token}"),
        )
    }

    fn log_in(&self, who: &str) -> Login {
        let path = format!("/login?who={who}");
        let answer = ask(self.edge.address(), ("GET", &path), &[], ("", ""));
        let refresh = answer.json()["refresh_token"].as_str().unwrap().to_owned();
        let tokens = exchange(self.edge.address(), &refresh).json();
        Login {
            access: bearer(tokens["access_token"].as_str().unwrap()),
            refresh,
        }
    }

    /// The server knows no such page; it is enough that it says so itself.
    fn visit(&self, login: &Login) -> u16 {
        let credential = [login.access.clone()];
        ask(
            self.edge.address(),
            ("GET", "/orders"),
            &credential,
            ("", ""),
        )
        .status
    }
}

fn post(address: SocketAddr, path: &str, fields: &str) -> Answer {
    let fields = format!("client_id=app&{fields}");
    ask(address, ("POST", path), &[], (FORM, &fields))
}

fn exchange(address: SocketAddr, token: &str) -> Answer {
    let fields = format!("grant_type=refresh_token&refresh_token={token}");
    post(address, "/oauth/token", &fields)
}

#[test]
fn a_revocation_ends_the_access_tokens_that_the_server_leaves_alone() {
    let scene = Scene::open();
    let (here, there) = (scene.edge.address(), scene.shop.address);
    let (phone, tablet) = (scene.log_in("alice"), scene.log_in("alice"));
    assert_eq!((scene.visit(&phone), scene.visit(&tablet)), (404, 404));
    let access = phone.access.1.strip_prefix("Bearer ").unwrap();
    let unsupported = post(there, "/oauth/revoke", &format!("token={access}"));
    assert_eq!(unsupported.json()["error"], "unsupported_token_type");
    assert_eq!(scene.revoke(access).text(), "{}");
    assert_eq!((scene.visit(&phone), scene.visit(&tablet)), (401, 404));
    assert_eq!(exchange(here, &phone.refresh), 200);
    // A dead refresh token is answered as the server would.
    assert_eq!(scene.revoke(&phone.refresh), 200);
    for address in [here, there] {
        let refused = exchange(address, &phone.refresh);
        assert_eq!(
            (refused.status, &refused.json()["error"]),
            (400, &json!("invalid_grant"))
        );
    }
    assert_eq!(scene.revoke(&phone.refresh), 200, "as if it had never been");
    assert_eq!(exchange(here, &tablet.refresh), 200);
    // Both at once, by Doorward's own logout.
    let fields = format!("refresh_token={}", tablet.refresh);
    let call = ("POST", "/_doorward/logout");
    assert_eq!(
        ask(here, call, slice::from_ref(&tablet.access), (FORM, &fields)),
        200
    );
    assert_eq!(scene.visit(&tablet), 401);
    assert_eq!(exchange(here, &tablet.refresh), 400);
    assert_eq!(
        exchange(there, &tablet.refresh),
        200,
        "which the server did not hear of"
    );
    let again = scene.log_in("alice");
    assert_eq!(scene.visit(&again), 404);
}
