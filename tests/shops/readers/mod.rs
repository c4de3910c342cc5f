//! Real libraries that read cookies and parameters laxly: what is dead stays dead in all that they read.

use super::*;

const ALICE: &str = "alice-0123456789-abcdef";
const BOB: &str = "bob-0123456789-abcdefgh";

struct Scene {
    shop: RealShop,
    edge: Edge,
}

impl Scene {
    fn open() -> Self {
        let shop = RealShop::run("readers", &["node", "serve.js"], &[]);
        let edge = Edge::with(&format!(
            "[[shop]]\nname = \"main\"\nupstream = [\"{}\"]\ntoken.kind = \"opaque\"\n\
             [[shop.credential]]\ncookie = \"sid\"\n[[shop.credential]]\ncookie = \"state\"\n\
             [[shop.credential]]\ncookie = \"connect.sid\"\ndecode = \"signed\"\n\
             [[shop.credential]]\nform = \"refresh_token\"\nat = [\"logout\", \"refresh\"]\n",
            shop.address
        ));
        Self { shop, edge }
    }

    /// Who the shop takes the sender for, behind the edge and without it. `None`: nobody, or it was refused.
    fn who(&self, call: (&str, &str), cookies: &str, form: &str) -> [Option<String>; 2] {
        let cookies = [("Cookie", cookies.to_owned())];
        let kind = "application/x-www-form-urlencoded";
        [self.edge.address(), self.shop.address].map(|address| {
            let answer = ask(address, call, &cookies, (kind, form));
            let said = (answer.status == 200).then(|| answer.json()["who"].clone());
            said.and_then(|who| who.as_str().map(str::to_owned))
        })
    }

    fn log_out(&self, cookies: &str, form: &str) {
        let headers = [
            ("Cookie", cookies.to_owned()),
            ("Sec-Fetch-Site", "same-origin".to_owned()),
        ];
        let kind = "application/x-www-form-urlencoded";
        let call = ("POST", "/_doorward/logout");
        assert_eq!(ask(self.edge.address(), call, &headers, (kind, form)), 200);
    }

    /// Nobody behind the edge; whatever the shop alone makes of it.
    fn is_nobody(&self, call: (&str, &str), cookies: &str, form: &str) -> Option<String> {
        let [behind, alone] = self.who(call, cookies, form);
        assert_eq!(behind, None, "{call:?} {cookies} {form}");
        alone
    }
}

/// Who it is behind the edge, and for the shop alone.
fn both(name: &str) -> [Option<String>; 2] {
    [Some(name.to_owned()), Some(name.to_owned())]
}

#[test]
fn a_dead_cookie_is_nobody_in_every_spelling_that_npm_reads_attacks_a9() {
    let scene = Scene::open();
    for path in ["/own/who", "/cookies/who"] {
        assert_eq!(
            scene.who(("GET", path), &format!("sid={ALICE}"), ""),
            both("alice")
        );
    }
    scene.log_out(&format!("sid={ALICE}"), "");
    let mut read = 0;
    for text in [
        format!("sid={ALICE}"),
        format!("sid=\"{ALICE}\""),
        format!("sid=\"{ALICE}x"),
        format!("a=b; sid=\"{ALICE}\\"),
        format!("sid=%61{}", &ALICE[1..]),
        format!("sid=\"%61{}\"", &ALICE[1..]),
    ] {
        for path in ["/own/who", "/cookies/who"] {
            read += usize::from(scene.is_nobody(("GET", path), &text, "").is_some());
        }
    }
    assert!(read >= 8, "the libraries read them: {read}");
    for text in [format!("sid={BOB}"), format!("sid=\"{BOB}x")] {
        assert_eq!(scene.who(("GET", "/own/who"), &text, ""), both("bob"));
    }
}

#[test]
fn a_dead_session_of_express_is_nobody_attacks_a9() {
    let scene = Scene::open();
    for (path, name) in [("session", "connect.sid"), ("state", "state")] {
        let log_in = |who: &str| {
            let target = format!("/{path}/login?who={who}");
            let answer = ask(scene.edge.address(), ("GET", &target), &[], ("", ""));
            cookie(&answer).1
        };
        let (alice, bob) = (log_in("alice"), log_in("bob"));
        let target = format!("/{path}/who");
        let call = ("GET", target.as_str());
        assert_eq!(scene.who(call, &alice, ""), both("alice"));
        scene.log_out(&alice, "");
        let value = alice
            .split("; ")
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
            .unwrap();
        let signature = alice
            .split("; ")
            .find(|pair| pair.starts_with("state.sig="))
            .unwrap_or("x=y");
        for text in [
            format!("{name}={value}; {signature}"),
            format!("{name}=\"{value}\"; {signature}"),
            format!("{name}=\"{value}x; {signature}"),
            format!("a=b; {signature}; {name}={value}"),
        ] {
            scene.is_nobody(call, &text, "");
        }
        assert_eq!(scene.who(call, &bob, ""), both("bob"));
    }
}

#[test]
fn a_dead_refresh_token_mints_nothing_where_frameworks_trim_and_merge_attacks_a4() {
    let scene = Scene::open();
    scene.log_out("", &format!("refresh_token={ALICE}"));
    let mut read = 0;
    for pair in [
        "refresh_token=T",
        "refresh_token=T%20",
        "refresh_token=%0aT",
        "%5Brefresh_token%5D=T",
        "refresh_token=T%E2%80%83",
    ] {
        let dead = pair.replace('T', ALICE);
        for path in ["/laravel/mint", "/rails/mint", "/rails/mint.json"] {
            let query = format!("{path}?{dead}");
            read += usize::from(scene.is_nobody(("POST", path), "", &dead).is_some());
            read += usize::from(scene.is_nobody(("POST", &query), "", "a=b").is_some());
        }
    }
    assert!(read >= 15, "the frameworks read them: {read}");
    let living = format!("refresh_token={BOB}%20");
    assert_eq!(
        scene.who(("POST", "/laravel/mint"), "", &living),
        both("bob")
    );
}
