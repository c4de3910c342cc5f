//! `WordPress`, for Ecwid's sign-out link: each cookie of a login logs in alone.

use super::devices::{Account, Device, UnknownIssueTime, walk};
use super::*;

const NAME: &str = "alice";
const PASSWORD: &str = "one-kettle-and-two-cups";
const PROFILE: &str = "/wp-admin/profile.php";

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
        log_in(self.edge.address())
    }
}

fn visit(address: SocketAddr, cookies: &[String]) -> u16 {
    get(address, PROFILE, cookies).status
}

fn log_in(address: SocketAddr) -> Vec<String> {
    let fields = format!("log={NAME}&pwd={PASSWORD}&testcookie=1");
    let test = "wordpress_test_cookie=WP%20Cookie%20check".to_owned();
    let form = ("application/x-www-form-urlencoded", &*fields);
    let call = ("POST", "/wp-login.php");
    let answer = ask(address, call, &[("Cookie", test)], form);
    assert_eq!(answer, 302);
    let (_, cookies) = cookie(&answer);
    cookies.split("; ").map(str::to_owned).collect()
}

fn get(address: SocketAddr, path: &str, cookies: &[String]) -> Answer {
    let cookies = [("Cookie", cookies.join("; "))];
    ask(address, ("GET", path), &cookies, ("", ""))
}

/// The link by which the shop's pages log out: the shop asks back without it, and names it then.
fn logout_link(asked: &Answer) -> String {
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
    format!("/wp-login.php?action=logout&_wpnonce={nonce}")
}

#[test]
fn its_own_link_and_doorwards_logout_end_every_cookie_of_a_login() {
    let scene = Scene::open();
    let (here, there) = (scene.edge.address(), scene.shop.address);
    let (phone, tablet) = (scene.log_in(), scene.log_in());
    assert_eq!((visit(here, &phone), visit(here, &tablet)), (200, 200));
    // Anybody can send a browser here: the shop asks back.
    let asked = get(here, "/wp-login.php?action=logout", &phone);
    assert_eq!(asked, 403);
    assert_eq!(visit(here, &phone), 200);
    let target = logout_link(&asked);
    assert_eq!(get(here, &target, &phone), 302);
    assert_eq!((visit(here, &phone), visit(here, &tablet)), (302, 200));
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
        assert_eq!((visit(here, cookies), visit(there, cookies)), (302, 200));
        let respelled: Vec<_> = cookies.iter().map(|one| one.replace("%7C", "|")).collect();
        assert_eq!(
            (visit(here, &respelled), visit(there, &respelled)),
            (302, 200)
        );
    }
    assert_eq!(visit(here, &scene.log_in()), 200);
    assert_eq!(get(here, "/", &[]), 200);
}

/// Who a stand-in for plugins with refresh tokens would mint for, behind an edge with such a place and without it.
fn minted(addresses: [SocketAddr; 2], target: &str, cookies: &str, form: &str) -> [Option<u64>; 2] {
    let cookies = [("Cookie", cookies.to_owned())];
    let kind = "application/x-www-form-urlencoded";
    addresses.map(|address| {
        let answer = ask(address, ("POST", target), &cookies, (kind, form));
        (answer == 200)
            .then(|| answer.json()["user"].as_u64())
            .flatten()
    })
}

#[test]
fn a_dead_refresh_token_mints_nothing_in_any_spelling_that_php_and_mariadb_read_attacks_a2_a3() {
    let shop = RealShop::run("wordpress", &["sh", "serve.sh"], &[NAME, PASSWORD]);
    let edge = Edge::with(&format!(
        "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n\
         [[shop.credential]]\ncookie = \"refresh_token\"\npattern = '[^.]*\\.(?<token>[^.]+)'\n\
         [[shop.credential]]\nform = \"refresh_token\"\nfold = [\"case\", \"trim\"]\npattern = '[0-9a-z]{{32,}}'\n",
        shop.address
    ));
    let addresses = [edge.address(), shop.address];
    let issue = |kind: &str| {
        let target = format!("/?rest_route=/mint/v1/issue&kind={kind}");
        let answer = ask(shop.address, ("GET", &target), &[], ("", ""));
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let (secret, meta) = (issue("cookie"), issue("meta"));
    let (token, refresh) = (
        "/?rest_route=/mint/v1/token",
        "/?rest_route=/mint/v1/refresh",
    );
    let sent = format!("refresh_token={secret}");
    assert_eq!(minted(addresses, token, &sent, "a=b"), [Some(1), Some(1)]);
    let field = format!("refresh_token={meta}");
    assert_eq!(minted(addresses, refresh, "", &field), [Some(1), Some(1)]);
    let same_origin = ("Sec-Fetch-Site", "same-origin".to_owned());
    let headers = [("Cookie", sent.clone()), same_origin];
    let form = ("application/x-www-form-urlencoded", field.as_str());
    let logout = ("POST", "/_doorward/logout");
    assert_eq!(ask(edge.address(), logout, &headers, form), 200);
    let (_, part) = secret.split_once('.').unwrap();
    for user in ["1", "01", "1x", "+1", "1e0"] {
        let sent = format!("refresh_token={user}.{part}");
        for (target, form) in [
            (token, "a=b"),
            ("/?rest.route=/mint/v1/token", "a=b"),
            ("/", "rest_route=/mint/v1/token"),
        ] {
            assert_eq!(
                minted(addresses, target, &sent, form),
                [None, Some(1)],
                "{user} {target}"
            );
        }
    }
    for spelling in [
        meta.to_uppercase(),
        format!("{meta}%20"),
        format!("{}%20", meta.to_uppercase()),
    ] {
        let field = format!("refresh_token={spelling}");
        assert_eq!(
            minted(addresses, refresh, "", &field),
            [None, Some(1)],
            "{spelling}"
        );
        let query = format!("{refresh}&{field}");
        assert_eq!(
            minted(addresses, &query, "", "a=b"),
            [None, Some(1)],
            "{spelling}"
        );
    }
}

/// A customer with the cookies of `WordPress`; the second device spells them otherwise.
struct Alice;

/// The shop says whose a login is: `whoami` is a must-use plugin. Of Doorward's own logout it hears nothing.
const CALLS: &str = r#"
preset = "ecwid"
token.kind = "opaque"

[shop.token.introspection]
path    = "/wp-admin/admin-ajax.php?action=whoami"
active  = { status = ["2xx"], json = { "/id" = "*" } }
subject = "/id"

[shop.own_logout]
revoke = "subject"

[[shop.logout]]
methods     = ["POST"]
paths       = ["/wp-admin/admin-ajax.php"]
query       = { action = "destroy-sessions" }
revoke      = "others"
revoke_when = "shop-agreed"
agreed      = { status = ["2xx"], json = { "/success" = true } }
"#;

impl Account for Alice {
    fn log_in(&self, address: SocketAddr, device: Device) -> Credential {
        let cookies = log_in(address).join("; ");
        let cookies = match device {
            Device::Phone => cookies,
            Device::Browser => cookies.replace("%7C", "|"),
        };
        ("Cookie", cookies)
    }

    fn is_served(&self, address: SocketAddr, credential: &Credential) -> bool {
        let answer = ask(
            address,
            ("GET", PROFILE),
            slice::from_ref(credential),
            ("", ""),
        );
        assert!([200, 302].contains(&answer.status), "{}", answer.status);
        answer == 200
    }

    /// By the shop's own link.
    fn log_out(&self, address: SocketAddr, (_, cookies): &Credential) -> bool {
        let cookies = slice::from_ref(cookies);
        let asked = get(address, "/wp-login.php?action=logout", cookies);
        assert_eq!(asked, 403);
        assert_eq!(get(address, &logout_link(&asked), cookies), 302);
        true
    }

    /// As "Log Out Everywhere Else" of the profile does.
    fn log_out_elsewhere(&self, address: SocketAddr, credential: &Credential) -> bool {
        let credential = slice::from_ref(credential);
        let page = ask(address, ("GET", PROFILE), credential, ("", "")).text();
        let (_, field) = page.split_once("name=\"_wpnonce\" value=\"").unwrap();
        let nonce = field.split('"').next().unwrap();
        let fields = format!("action=destroy-sessions&user_id=1&nonce={nonce}");
        let form = ("application/x-www-form-urlencoded", &*fields);
        let call = ("POST", "/wp-admin/admin-ajax.php");
        let answer = ask(address, call, credential, form);
        assert_eq!(answer.json()["success"], true);
        true
    }

    fn log_out_everywhere(&self, address: SocketAddr, credential: &Credential) -> bool {
        let page = ("Sec-Fetch-Site", "same-origin".to_owned());
        let call = ("POST", "/_doorward/logout");
        assert_eq!(
            ask(address, call, &[credential.clone(), page], ("", "")),
            200
        );
        false
    }
}

#[test]
fn two_devices_restarts_and_another_node_attacks_a6_b2() {
    let shop = RealShop::run("wordpress", &["sh", "serve.sh"], &[NAME, PASSWORD]);
    for unknown in [UnknownIssueTime::New, UnknownIssueTime::Old] {
        walk(&Alice, shop.address, unknown, CALLS);
    }
}
