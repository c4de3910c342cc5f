//! The presets in front of real shops, which `make shops` installs.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use support::{Answer, Edge, Shop, raw, request};

/// A shop that ends with its standard input.
struct RealShop {
    address: SocketAddr,
    process: Child,
}

impl RealShop {
    /// Runs `line` where the shop was installed; its first argument is the port to listen on.
    fn run(name: &str, line: &[&str], more: &[&str]) -> Self {
        let port = free_port();
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/shops");
        let mut process = Command::new(line[0])
            .args(&line[1..])
            .arg(port.to_string())
            .args(more)
            .env("JWT_SECRET", Shop::SECRET)
            .current_dir(home.join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = said.map_while(Result::ok);
        assert!(said.any(|line| line == "ready"), "{name} did not start");
        thread::spawn(move || said.for_each(drop)); // or it could write no more
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            process,
        }
    }

    fn stop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

impl Drop for RealShop {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn bearer(token: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {token}"))
}

fn cookie(answer: &Answer) -> (&'static str, String) {
    let lines = answer.headers_named("set-cookie").into_iter();
    let pairs = lines.map(|line| line.split(';').next().unwrap());
    ("Cookie", pairs.collect::<Vec<_>>().join("; "))
}

/// A request with a body, if there is one, and with a credential, if there is one.
fn ask(
    address: SocketAddr,
    (method, path): (&str, &str),
    credentials: &[(&str, String)],
    (content_type, body): (&str, &str),
) -> Answer {
    let typed = (!body.is_empty()).then(|| ("Content-Type", content_type.to_owned()));
    let headers = credentials.iter().cloned().chain(typed);
    let headers: Vec<_> = headers.collect();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    raw(address, &request(method, path, &headers, body.as_bytes()))
}

mod vendure {
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
        let buy =
            "mutation { addItemToOrder(productVariantId: \"1\", quantity: 1) { __typename } }";
        let guest = token_of(&execute(here, buy, &[]));
        let logged_out = |answer: &Answer| answer.json()["data"]["logout"]["success"] == true;
        assert!(logged_out(&execute(here, LOGOUT, &[guest.clone()])));
        assert_eq!(execute(here, ME, &[guest]), 200);
        assert!(is_alive(here, &phone));
        // The shop ends all of them as well.
        assert!(logged_out(&execute(here, LOGOUT, &[phone.clone()])));
        for session in [&phone, &tablet, &browser] {
            assert_eq!(execute(here, ME, std::slice::from_ref(session)), 401);
            assert!(!is_alive(shop.address, session));
        }
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
        assert!(logged_out(&answer));
        assert_eq!(execute(here, ME, &[by_url]), 401);
        // What a browser keeps after a logout is the same in every browser.
        let browser = cookie(&log_in(here));
        let answer = execute(here, LOGOUT, &[browser.clone()]);
        assert!(logged_out(&answer));
        let empty = cookie(&answer);
        assert_eq!(execute(here, ME, &[browser]), 401);
        assert_eq!(execute(here, ME, &[empty.clone()]), 200);
        assert!(!logged_out(&execute(here, LOGOUT, &[empty.clone()])));
        shop.stop();
        assert_eq!(execute(here, LOGOUT, &[empty.clone()]), 200);
        assert_eq!(execute(here, ME, &[empty]), 502, "but not 401");
    }
}

mod medusa {
    use super::*;

    const EMAIL: &str = "alice@example.com";
    const PASSWORD: &str = "one-kettle-and-two-cups";

    struct Scene {
        shop: RealShop,
        edge: Edge,
        /// The shop's key for its clients.
        key: String,
    }

    impl Scene {
        fn open() -> Self {
            let database = free_port().to_string();
            let admin = [&*database, "admin@example.com", PASSWORD];
            let shop = RealShop::run("medusa", &["sh", "serve.sh"], &admin);
            let edge = Edge::with(&format!(
                "trusted_proxies = [\"127.0.0.1\"]\n[[shop]]\nname = \"main\"\npreset = \"medusa\"\nupstream = [\"{}\"]\n\
                 token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{{secret_file}}\"\n",
                shop.address
            ));
            let mut scene = Self {
                shop,
                edge,
                key: String::new(),
            };
            scene.key = scene.create_key();
            scene
        }

        /// As an administrator, past the edge.
        fn create_key(&self) -> String {
            let manage = |path: &str, body: &Value, token: &str| {
                let answer = self.ask_at(self.shop.address, ("POST", path), &[bearer(token)], body);
                assert_eq!(answer, 200, "{path}");
                answer.json()
            };
            let login = json!({ "email": "admin@example.com", "password": PASSWORD });
            let admin = manage("/auth/user/emailpass", &login, "none")["token"].clone();
            let admin = admin.as_str().unwrap();
            let web = json!({ "name": "web" });
            let channel =
                manage("/admin/sales-channels", &web, admin)["sales_channel"]["id"].clone();
            let key = json!({ "title": "web", "type": "publishable" });
            let key = manage("/admin/api-keys", &key, admin)["api_key"].clone();
            let path = format!(
                "/admin/api-keys/{}/sales-channels",
                key["id"].as_str().unwrap()
            );
            manage(&path, &json!({ "add": [channel] }), admin);
            key["token"].as_str().unwrap().to_owned()
        }

        /// As from behind a proxy with TLS, without which the shop makes no sessions.
        fn ask_at(
            &self,
            address: SocketAddr,
            call: (&str, &str),
            credentials: &[(&'static str, String)],
            body: &Value,
        ) -> Answer {
            let proxy = [
                ("X-Forwarded-Proto", "https".to_owned()),
                ("X-Forwarded-For", "203.0.113.9".to_owned()),
                ("x-publishable-api-key", self.key.clone()),
            ];
            let headers = [&proxy[..], credentials].concat();
            let body = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            ask(address, call, &headers, ("application/json", &body))
        }

        fn ask(
            &self,
            call: (&str, &str),
            credential: &(&'static str, String),
            body: &Value,
        ) -> Answer {
            self.ask_at(
                self.edge.address(),
                call,
                std::slice::from_ref(credential),
                body,
            )
        }

        fn log_in(&self) -> (&'static str, String) {
            let body = json!({ "email": EMAIL, "password": PASSWORD });
            let answer = self.ask_at(
                self.edge.address(),
                ("POST", "/auth/customer/emailpass"),
                &[],
                &body,
            );
            bearer(answer.json()["token"].as_str().unwrap())
        }

        /// A login whose token is another one than this; they are equal within a second.
        fn log_in_apart_from(&self, old: &(&'static str, String)) -> (&'static str, String) {
            let mut new = self.log_in();
            support::eventually(|| {
                new = self.log_in();
                new != *old
            });
            new
        }

        fn visit(&self, credential: &(&'static str, String)) -> u16 {
            self.ask(("GET", "/store/customers/me"), credential, &Value::Null)
                .status
        }

        fn log_out(&self, credential: &(&'static str, String)) -> Answer {
            self.ask(("DELETE", "/auth/session"), credential, &Value::Null)
        }
    }

    #[test]
    fn a_logout_ends_the_jwt_and_the_session_that_the_shop_leaves_alone() {
        let scene = Scene::open();
        let body = json!({ "email": EMAIL, "password": PASSWORD });
        let guest = ("X-Nobody", String::new());
        let answer = scene.ask(("POST", "/auth/customer/emailpass/register"), &guest, &body);
        let registered = bearer(answer.json()["token"].as_str().unwrap());
        let answer = scene.ask(
            ("POST", "/store/customers"),
            &registered,
            &json!({ "email": EMAIL }),
        );
        assert_eq!(answer, 200);
        let phone = scene.log_in();
        let tablet = scene.log_in_apart_from(&phone);
        assert_eq!((scene.visit(&phone), scene.visit(&tablet)), (200, 200));
        // The shop itself says 401 to a bearer, and goes on to take it.
        assert_eq!(scene.log_out(&phone).text(), r#"{"success":true}"#);
        assert_eq!((scene.visit(&phone), scene.visit(&tablet)), (401, 200));
        let (here, there) = (scene.edge.address(), scene.shop.address);
        for path in ["/auth/token/refresh", "/auth/session"] {
            let exchange = |address| {
                scene
                    .ask_at(address, ("POST", path), &[phone.clone()], &json!({}))
                    .status
            };
            assert_eq!((exchange(here), exchange(there)), (401, 200), "{path}");
        }
        assert_eq!(scene.log_out(&phone), 401);
        let again = scene.log_in_apart_from(&phone);
        assert_eq!(scene.visit(&again), 200);
        // A session beside the JWT.
        let opened = scene.ask(("POST", "/auth/session"), &again, &json!({}));
        let session = cookie(&opened);
        assert_eq!(scene.visit(&session), 200);
        assert_eq!(scene.log_out(&session), 200);
        assert_eq!((scene.visit(&session), scene.visit(&again)), (401, 200));
        // Routes are compared without case.
        let shouted = scene.ask(("GET", "/STORE/Customers/ME"), &tablet, &Value::Null);
        assert_eq!(shouted, 200);
        let shouted = scene.ask(("DELETE", "/AUTH/Session/"), &tablet, &Value::Null);
        assert_eq!(shouted, 200);
        assert_eq!(scene.visit(&tablet), 401);
        assert_eq!(
            scene.ask(("GET", "/store/products"), &guest, &Value::Null),
            200
        );
    }
}

mod oauth {
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

        fn post(&self, address: SocketAddr, path: &str, fields: &str) -> Answer {
            let fields = format!("client_id=app&{fields}");
            ask(address, ("POST", path), &[], (FORM, &fields))
        }

        fn refresh(&self, address: SocketAddr, token: &str) -> Answer {
            let fields = format!("grant_type=refresh_token&refresh_token={token}");
            self.post(address, "/oauth/token", &fields)
        }

        fn revoke(&self, token: &str) -> Answer {
            self.post(
                self.edge.address(),
                "/oauth/revoke",
                &format!("token={token}"),
            )
        }

        fn log_in(&self, who: &str) -> Login {
            let path = format!("/login?who={who}");
            let answer = ask(self.edge.address(), ("GET", &path), &[], ("", ""));
            let refresh = answer.json()["refresh_token"].as_str().unwrap().to_owned();
            let tokens = self.refresh(self.edge.address(), &refresh).json();
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

    #[test]
    fn a_revocation_ends_the_access_tokens_that_the_server_leaves_alone() {
        let scene = Scene::open();
        let (here, there) = (scene.edge.address(), scene.shop.address);
        let (phone, tablet) = (scene.log_in("alice"), scene.log_in("alice"));
        assert_eq!((scene.visit(&phone), scene.visit(&tablet)), (404, 404));
        let access = phone.access.1.strip_prefix("Bearer ").unwrap();
        let unsupported = scene.post(there, "/oauth/revoke", &format!("token={access}"));
        assert_eq!(unsupported.json()["error"], "unsupported_token_type");
        assert_eq!(scene.revoke(access).text(), "{}");
        assert_eq!((scene.visit(&phone), scene.visit(&tablet)), (401, 404));
        assert_eq!(scene.refresh(here, &phone.refresh), 200);
        // A dead refresh token is answered as the server would.
        assert_eq!(scene.revoke(&phone.refresh), 200);
        for address in [here, there] {
            let refused = scene.refresh(address, &phone.refresh);
            assert_eq!(
                (refused.status, &refused.json()["error"]),
                (400, &json!("invalid_grant"))
            );
        }
        assert_eq!(scene.revoke(&phone.refresh), 200, "as if it had never been");
        assert_eq!(scene.refresh(here, &tablet.refresh), 200);
        // Both at once, by Doorward's own logout.
        let fields = format!("refresh_token={}", tablet.refresh);
        let call = ("POST", "/_doorward/logout");
        assert_eq!(
            ask(here, call, &[tablet.access.clone()], (FORM, &fields)),
            200
        );
        assert_eq!(scene.visit(&tablet), 401);
        assert_eq!(scene.refresh(here, &tablet.refresh), 400);
        assert_eq!(
            scene.refresh(there, &tablet.refresh),
            200,
            "which the server did not hear of"
        );
        let again = scene.log_in("alice");
        assert_eq!(scene.visit(&again), 404);
    }
}

mod wordpress {
    use super::*;

    const NAME: &str = "alice";
    const PASSWORD: &str = "one-kettle-and-two-cups";

    struct Scene {
        shop: RealShop,
        edge: Edge,
    }

    impl Scene {
        fn open() -> Self {
            let shop = RealShop::run("wordpress", &["sh", "serve.sh"], &[NAME, PASSWORD]);
            let edge = Edge::with(&format!(
                "[[shop]]\nname = \"main\"\npreset = \"ecwid\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n",
                shop.address
            ));
            Self { shop, edge }
        }

        fn log_in(&self) -> Vec<String> {
            let fields = format!("log={NAME}&pwd={PASSWORD}&testcookie=1");
            let test = "wordpress_test_cookie=WP%20Cookie%20check".to_owned();
            let form = ("application/x-www-form-urlencoded", &*fields);
            let call = ("POST", "/wp-login.php");
            let answer = ask(self.edge.address(), call, &[("Cookie", test)], form);
            assert_eq!(answer, 302);
            let (_, cookies) = cookie(&answer);
            cookies.split("; ").map(str::to_owned).collect()
        }

        fn get(&self, address: SocketAddr, path: &str, cookies: &[String]) -> Answer {
            ask(
                address,
                ("GET", path),
                &[("Cookie", cookies.join("; "))],
                ("", ""),
            )
        }

        fn visit(&self, address: SocketAddr, cookies: &[String]) -> u16 {
            self.get(address, "/wp-admin/profile.php", cookies).status
        }
    }

    #[test]
    fn its_own_link_and_doorwards_logout_end_every_cookie_of_a_login() {
        let scene = Scene::open();
        let (here, there) = (scene.edge.address(), scene.shop.address);
        let (phone, tablet) = (scene.log_in(), scene.log_in());
        assert_eq!(
            (scene.visit(here, &phone), scene.visit(here, &tablet)),
            (200, 200)
        );
        // Anybody can send a browser here: the shop asks back.
        let asked = scene.get(here, "/wp-login.php?action=logout", &phone);
        assert_eq!(asked, 403);
        assert_eq!(scene.visit(here, &phone), 200);
        let page = asked.text();
        let (_, link) = page
            .split_once("http://shop.example.com/wp-login.php?action=logout")
            .unwrap();
        let nonce = link
            .split_once("_wpnonce=")
            .unwrap()
            .1
            .split('"')
            .next()
            .unwrap();
        let target = format!("/wp-login.php?action=logout&_wpnonce={nonce}");
        assert_eq!(scene.get(here, &target, &phone), 302);
        assert_eq!(
            (scene.visit(here, &phone), scene.visit(here, &tablet)),
            (401, 200)
        );
        // Doorward's own logout: the shop hears nothing of it, and would take either cookie.
        let headers = [
            ("Cookie", tablet.join("; ")),
            ("Sec-Fetch-Site", "same-origin".to_owned()),
        ];
        assert_eq!(
            ask(here, ("POST", "/_doorward/logout"), &headers, ("", "")),
            200
        );
        let logged_in = |one: &&String| one.starts_with("wordpress_logged_in_");
        let without: Vec<_> = tablet
            .iter()
            .filter(|one| !logged_in(one))
            .cloned()
            .collect();
        for cookies in [&tablet, &without] {
            assert_eq!(
                (scene.visit(here, cookies), scene.visit(there, cookies)),
                (401, 200)
            );
            let respelled: Vec<_> = cookies.iter().map(|one| one.replace("%7C", "|")).collect();
            assert_eq!(
                (
                    scene.visit(here, &respelled),
                    scene.visit(there, &respelled)
                ),
                (401, 200)
            );
        }
        assert_eq!(scene.visit(here, &scene.log_in()), 200);
        assert_eq!(scene.get(here, "/", &[]), 200);
    }
}
