//! A shop behind a gate, and the requests that its customers send.

use std::sync::Arc;

use doorward::clock::UnixTime;
use doorward::request::{
    AnswerBy, Carrier, Claims, Enforce, Gate, IssuedAt, Keys, Kind, LogoutRule, PathPattern,
    PathStyle, Place, Pointer, RefusalSettings, Request, Route, Scope, Shop, ShopClock,
    TokenSettings, Verdict, Verifier, Words,
};
use doorward::revocation::{Allowance, Revocations, ShopTag};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, StatusCode};
use tokio::runtime::Builder;

use super::crowd::LIFETIME;
use super::mint::Mint;

/// A gate in front of a Bagisto shop, with nothing verified yet.
pub fn gate(mint: &Mint, revocations: &Arc<Revocations>) -> Gate {
    Gate::new(vec![Arc::new(shop(mint))], Arc::clone(revocations))
}

fn shop(mint: &Mint) -> Shop {
    let algorithms = vec![mint.algorithm()];
    let key = mint.key_file();
    let keys = if mint.is_symmetric() {
        Keys::from_secret(key.as_bytes(), &algorithms)
    } else {
        Keys::from_pem(key.as_bytes(), &algorithms)
    };
    let pointer = |text| Pointer::parse(text).expect("a fixed pointer");
    let settings = TokenSettings {
        realm: "main".to_owned(),
        kind: Kind::Auto,
        algorithms,
        issuers: Vec::new(),
        audiences: Vec::new(),
        claims: Claims {
            id: pointer("/jti"),
            subject: pointer("/sub"),
            session: pointer("/sid"),
            expires_at: pointer("/exp"),
            issued_at: IssuedAt::Claim(pointer("/iat")),
        },
        leeway: std::time::Duration::from_secs(60),
        refresh_window: std::time::Duration::ZERO,
        max_lifetime: Some(LIFETIME),
        opaque_pattern: None,
        forward_unverifiable: false,
    };
    let rule = |path: &str| LogoutRule {
        methods: vec![Method::POST],
        paths: vec![PathPattern::parse(path).expect("a fixed path")],
        query: Vec::new(),
        revoke: Scope::Subject,
        answer: AnswerBy::Shop {
            with_credentials: true,
        },
        success: Words {
            status: StatusCode::OK,
            body: None,
            message: None,
        },
        missing: None,
        invalid: None,
        client_key: None,
        clear_cookies: Vec::new(),
        same_origin: false,
    };
    Shop {
        name: "main".to_owned(),
        hosts: Vec::new(),
        tag: ShopTag::of("main"),
        places: vec![Place {
            carrier: Carrier::Schemed {
                name: AUTHORIZATION,
                schemes: vec!["Bearer".to_owned()],
            },
            kind: Kind::Auto,
        }],
        verifier: Verifier::new(settings, keys.expect("a fresh key fits")),
        logouts: vec![
            rule("/api/shop/customers/logout"),
            rule("/api/customers/logout"),
            rule("/api/shop/customer/logout"),
        ],
        own_logout: rule("/.doorward/logout"),
        routes: vec![Route {
            paths: vec![PathPattern::parse("/api/shop/customers/*").expect("a fixed path")],
            enforce: Enforce::Required,
        }],
        path_style: PathStyle::default(),
        refusals: RefusalSettings::default(),
        allowance: Allowance::default(),
        clock: ShopClock::default(),
    }
}

/// A browser asks for its customer's orders.
pub fn visit(bearer: &str) -> Parts {
    head(Method::GET, "/api/shop/customers/orders?page=1", bearer)
}

/// The same browser logs out.
pub fn logout(bearer: &str) -> Parts {
    head(Method::POST, "/api/shop/customers/logout", bearer)
}

/// What a current browser sends to a shop's API.
fn head(method: Method, target: &str, bearer: &str) -> Parts {
    let lines = [
        ("host", "shop.example.com"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        ),
        ("accept", "application/json, text/plain, */*"),
        ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        (
            "x-storefront-key",
            "pk_storefront_QmVuY2htYXJrc0FyZU5vdFNlY3JldHMx",
        ),
        ("content-type", "application/json"),
        ("origin", "https://www.example.com"),
        ("referer", "https://www.example.com/account/orders"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-site"),
        ("connection", "keep-alive"),
    ];
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in lines {
        request = request.header(name, value);
    }
    let request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
    let (head, ()) = request.body(()).expect("a fixed request").into_parts();
    head
}

/// Whether the gate lets it through.
pub fn passes(gate: &Gate, head: &Parts, now: UnixTime) -> bool {
    gate.judge(&Request { head, body: None }, now).is_ok()
}

/// Logs this token out, as the server would.
pub fn log_out(revocations: &Revocations, gate: &Gate, token: &str, now: UnixTime) {
    let head = logout(token);
    let request = Request {
        head: &head,
        body: None,
    };
    let Ok(Verdict::LogOut(leaving)) = gate.judge(&request, now) else {
        panic!("a good token logs out");
    };
    let runtime = Builder::new_current_thread().enable_time().build();
    let written = runtime
        .expect("a runtime")
        .block_on(revocations.revoke(leaving.revocations));
    assert!(written.is_ok(), "the disk takes a row");
}
