//! Medusa: a logout ends the JWT that the shop goes on to take.

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
        let edge = Self::edge(shop.address, "refuse");
        let mut scene = Self {
            shop,
            edge,
            key: String::new(),
        };
        scene.key = scene.create_key();
        scene
    }

    fn edge(shop: SocketAddr, on_reissue: &str) -> Edge {
        Edge::with(&format!(
            "trusted_proxies = [\"127.0.0.1\"]\n[[shop]]\nname = \"main\"\npreset = \"medusa\"\nupstream = [\"{shop}\"]\n\
             token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{{secret_file}}\"\non_reissue = \"{on_reissue}\"\n"
        ))
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
        let channel = manage("/admin/sales-channels", &web, admin)["sales_channel"]["id"].clone();
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
        credentials: &[Credential],
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

    fn ask(&self, call: (&str, &str), credential: &Credential, body: &Value) -> Answer {
        self.ask_at(self.edge.address(), call, slice::from_ref(credential), body)
    }

    fn log_in(&self) -> Credential {
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
    fn log_in_apart_from(&self, old: &Credential) -> Credential {
        let mut new = self.log_in();
        support::eventually(|| {
            new = self.log_in();
            new != *old
        });
        new
    }

    /// A login that hands out a token that is dead, for it is of the same second.
    fn log_in_out_and_in_again(&self) -> Credential {
        let mut again = self.log_in();
        support::eventually(|| {
            let old = self.log_in();
            let is_ended = self.log_out(&old) == 200; // or it was dead before
            again = self.log_in();
            is_ended && again == old
        });
        again
    }

    fn visit(&self, credential: &Credential) -> u16 {
        self.ask(("GET", "/store/customers/me"), credential, &Value::Null)
            .status
    }

    fn log_out(&self, credential: &Credential) -> Answer {
        self.ask(("DELETE", "/auth/session"), credential, &Value::Null)
    }
}

#[test]
fn a_logout_ends_the_jwt_and_the_session_that_the_shop_leaves_alone() {
    let mut scene = Scene::open();
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
                .ask_at(address, ("POST", path), slice::from_ref(&phone), &json!({}))
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
    // A login in the second of a logout hands out the dead token.
    let again = scene.log_in_out_and_in_again();
    assert_eq!(scene.visit(&again), 401);
    scene.edge = Scene::edge(scene.shop.address, "revive");
    let again = scene.log_in_out_and_in_again();
    assert_eq!(scene.visit(&again), 200);
    assert_eq!(scene.log_out(&again), 200);
    assert_eq!(scene.visit(&again), 401);
}
