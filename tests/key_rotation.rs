//! Keys come and go while the shop is open: from an identity provider on the network, without a restart, and
//! without a token that outlives its key.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;
#[path = "support/identity_provider.rs"]
mod identity_provider;

use identity_provider::{
    Authority, IdentityProvider, Reply, SigningKey, Tls, key_set, self_signed,
};
use rcgen::date_time_ymd;
use serde_json::json;
use support::{Nobody, Scene, Shop, eventually, request, stateless_bagisto};
use tempfile::TempDir;

/// A shop whose keys are there, and which knows none of them itself; `more` are further keys of the shop.
fn scene_with(url: &str, more: &str) -> Scene {
    scene_beside("", url, more)
}

/// The same, after another shop.
fn scene_beside(other: &str, url: &str, more: &str) -> Scene {
    let shop = stateless_bagisto();
    let config_toml = format!(
        "log = \"debug\"\n{other}[[shop]]\nname = \"main\"\npreset = \"bagisto\"\nanswer = \"local\"\n\
         upstream = [\"{}\"]\ntoken.algorithms = [\"ES256\"]\ntoken.jwks_url = \"{url}\"\n{more}",
        shop.address()
    );
    Scene::configured(shop, &config_toml)
}

/// Nothing but an unknown key has anybody asked again.
const PATIENT: &str = "token.jwks_refresh = \"24h\"\n";
/// Everybody is asked every second.
const EAGER: &str = "token.jwks_refresh = \"1s\"\n";

impl Scene {
    /// What the operator is told at `/readyz`.
    fn readiness(&self) -> (u16, String) {
        let answer = self.edge.ask_operator("/readyz");
        (answer.status, answer.text())
    }

    /// A visit with this token is not judged at all, and the shop sees nothing of it.
    #[track_caller]
    fn postpones(&self, token: &str) {
        for (answer, seen) in [
            self.watch(|_| self.visit(token)),
            self.watch(|_| self.log_out(token)),
        ] {
            assert_eq!(answer, 503, "{}", answer.text());
            assert_eq!(seen, 0, "it reached the shop");
            assert_eq!(answer.header("retry-after"), Some("5"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }

    /// A visit with this token ends at the edge: it is bad, or its key may be yet to come.
    #[track_caller]
    fn keeps_out(&self, what: &str, token: &str) -> u16 {
        let (answer, seen) = self.watch(|_| self.visit(token));
        assert!(
            [401, 503].contains(&answer.status),
            "{what}: {}",
            answer.text()
        );
        assert_eq!(seen, 0, "{what}: it reached the shop");
        answer.status
    }

    /// Whether a visit with this token gets as far as the shop, whatever that thinks of it.
    fn lets_in(&self, token: &str) -> bool {
        self.watch(|_| self.visit(token)).1 == 1
    }

    /// How often the log says this.
    fn told(&self, word: &str) -> usize {
        let lines = self.edge.log_lines();
        lines.iter().filter(|line| line.contains(word)).count()
    }

    /// Neither what is asked of the provider, nor what it says, nor a token is in the log.
    #[track_caller]
    fn keeps_quiet_about(&self, words: &[&str]) {
        let log = self.edge.log_lines().join("\n");
        for word in words.iter().chain(&["hunter2", "jwks.json"]) {
            assert!(!log.contains(word), "{word} in {log}");
        }
    }
}

#[test]
fn keys_are_fetched_before_the_first_customer_comes() {
    let key = SigningKey::named("one");
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&key])));
    let scene = scene_with(&provider.url(), PATIENT);
    let token = key.token("alice");
    scene.admits("the published key", &token);
    scene.turns_away("another key", &SigningKey::named("one").token("alice"));
    assert_eq!(scene.readiness(), (200, "ready\n".to_owned()));
    let asked = provider.last_asked().to_ascii_lowercase();
    assert!(
        asked.starts_with("get /jwks.json?tenant=hunter2 http/1.1\r\n"),
        "{asked}"
    );
    assert!(
        asked.contains(&format!("\r\nhost: {}\r\n", provider.address())),
        "{asked}"
    );
    assert!(asked.contains("\r\naccept: application/jwk-set+json, application/json\r\n"));
    assert_eq!(scene.log_out(&token), 200);
    scene.turns_away("a dead token", &token);
    assert_eq!(scene.edge.command(&["check"]).code, Some(0));
    assert_eq!(
        provider.fetches(),
        1,
        "neither requests nor check fetch anything"
    );
    scene.keeps_quiet_about(&[&token, &b_of(&key)]);
}

/// A number of the key, as the set has it.
fn b_of(key: &SigningKey) -> String {
    key.jwk()["x"].as_str().unwrap().to_owned()
}

#[test]
fn over_tls_the_server_must_prove_its_name_standards_46() {
    let key = SigningKey::named("one");
    let authority = Authority::new();
    let good = authority.vouch(&["127.0.0.1"], |_| ());
    let provider = IdentityProvider::open(Reply::with(key_set(&[&key])), Some(good));
    let trusting = "token.jwks_ca_file = \"{home}/ca.pem\"\n";
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let trusting = trusting.replace("{home}/ca.pem", ca_file.to_str().unwrap());
    let scene = scene_with(&provider.url(), &trusting);
    scene.admits("keys over TLS", &key.token("alice"));
    let distrusting = scene_with(&provider.url(), PATIENT);
    distrusting.postpones(&key.token("alice"));
    assert!(distrusting.told("reason=tls") > 0);
    assert_eq!(
        provider.fetches(),
        1,
        "nothing was asked of a server that nobody vouches for"
    );
}

#[test]
fn a_provider_that_can_t_prove_itself_changes_nothing_standards_46() {
    let authority = Authority::new();
    let good = authority.vouch(&["127.0.0.1"], |_| ());
    let story = Story::told_by(Some(good), &authority);
    let expired = authority.vouch(&["127.0.0.1"], |params| {
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let to_come = authority.vouch(&["127.0.0.1"], |params| {
        params.not_before = date_time_ymd(3000, 1, 1);
        params.not_after = date_time_ymd(3001, 1, 1);
    });
    let stranger = Authority::new().vouch(&["127.0.0.1"], |_| ());
    let elsewhere = authority.vouch(&["127.0.0.2", "login.example.com"], |_| ());
    story.provider.say(story.evil_reply());
    for (what, tls) in [
        ("no TLS at all", None),
        ("expired", Some(expired)),
        ("not yet valid", Some(to_come)),
        ("another authority", Some(stranger)),
        ("its own authority", Some(self_signed("127.0.0.1"))),
        ("another name", Some(elsewhere)),
    ] {
        story.provider.prove(tls);
        story.goes_on_after(what, "reason=tls");
    }
    assert_eq!(story.provider.fetches(), 1, "it was asked for nothing");
}

/// A shop with a good key, whose provider then says something else.
struct Story {
    provider: IdentityProvider,
    scene: Scene,
    good: SigningKey,
    /// In no set that counts.
    evil: SigningKey,
    _ca: TempDir,
}

impl Story {
    /// In the clear.
    fn told() -> Self {
        Self::told_by(None, &Authority::new())
    }

    fn told_by(tls: Option<Tls>, authority: &Authority) -> Self {
        let good = SigningKey::named("good");
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, authority.pem()).unwrap();
        let ca = match tls {
            Some(_) => format!("token.jwks_ca_file = \"{}\"\n", ca_file.display()),
            None => String::new(),
        };
        let provider = IdentityProvider::open(Reply::with(key_set(&[&good])), tls);
        let more = format!("{PATIENT}token.jwks_cooldown = \"1s\"\n{ca}");
        Self {
            scene: scene_with(&provider.url(), &more),
            provider,
            good,
            evil: SigningKey::named("evil"),
            _ca: folder,
        }
    }

    /// A set that would let `evil` in.
    fn evil_reply(&self) -> Reply {
        Reply::with(key_set(&[&self.evil]))
    }

    /// A fetch fails for this reason, and everything is as it was.
    #[track_caller]
    fn goes_on_after(&self, what: &str, reason: &str) {
        let (failures, knocks) = (self.scene.told(reason), self.provider.knocks());
        eventually(|| {
            self.scene.keeps_out(what, &self.evil.token("alice")); // which asks for its key
            self.provider.knocks() > knocks && self.scene.told(reason) > failures
        });
        self.scene.keeps_out(what, &self.evil.token("alice"));
        self.scene.admits(what, &self.good.token("alice"));
        assert_eq!(self.scene.readiness().0, 200, "{what}");
    }

    /// Each of these replies makes a fetch fail for its reason, and none of them is in the log.
    #[track_caller]
    fn goes_on_after_each(&self, replies: Vec<(Reply, &str)>) {
        for (reply, reason) in replies {
            let what = format!("{reason} {}", reply.head);
            self.provider.say(reply);
            self.goes_on_after(&what, reason);
        }
        let token = self.good.token("alice");
        let numbers = [b_of(&self.good), b_of(&self.evil)];
        self.scene
            .keeps_quiet_about(&[NOBODYS_BUSINESS, &token, &numbers[0], &numbers[1]]);
    }
}

const NOBODYS_BUSINESS: &str = "the-body-is-nobodys-business";

#[test]
fn what_is_no_key_set_changes_nothing_standards_45() {
    let story = Story::told();
    let twins = [story.evil.jwk(), SigningKey::named("evil").jwk()];
    let twins = json!({ "keys": twins }).to_string();
    let oct = json!({ "keys": [{ "kty": "oct", "kid": "evil", "k": NOBODYS_BUSINESS }] });
    story.goes_on_after_each(vec![
        (
            Reply::with(format!("<html>{NOBODYS_BUSINESS}</html>")),
            "reason=not_a_key_set",
        ),
        (Reply::with(r#"{"keys":[]}"#), "reason=no_usable_key"),
        (Reply::with(NOBODYS_BUSINESS), "reason=not_a_key_set"),
        (Reply::with(twins), "reason=repeated_kid"),
        (Reply::with(""), "reason=not_a_key_set"),
        (Reply::with(oct.to_string()), "reason=no_usable_key"),
    ]);
}

#[test]
fn an_answer_from_elsewhere_changes_nothing_standards_46() {
    let story = Story::told();
    let elsewhere = IdentityProvider::plain(story.evil_reply());
    let evil = story.evil_reply().body;
    let redirect = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\nLocation: {}", elsewhere.url());
        Reply::headed(&head, evil.clone())
    };
    story.goes_on_after_each(vec![
        (redirect("301 Moved Permanently"), "detail=301"),
        (redirect("307 Temporary Redirect"), "detail=307"),
        (redirect("300 Multiple Choices"), "detail=300"),
        (
            Reply::headed("HTTP/1.1 404 Not Found", evil.clone()),
            "detail=404",
        ),
        (
            Reply::headed("HTTP/1.1 203 Transformed", evil.clone()),
            "detail=203",
        ),
        (
            Reply::headed("HTTP/1.1 503 Later", evil.clone()),
            "detail=503",
        ),
    ]);
    assert_eq!(elsewhere.knocks(), 0, "nobody follows a redirect");
}

#[test]
fn an_answer_beyond_all_bounds_changes_nothing_standards_46() {
    let story = Story::told();
    let evil = story.evil_reply();
    let mut padded = evil.body.clone();
    padded.resize((1 << 20) + 1, b' ');
    let mut fits = key_set(&[&story.good]);
    fits.resize(1 << 20, b' ');
    let unmeasured = Reply {
        is_unmeasured: true,
        ..Reply::with(padded.clone())
    };
    let encoded = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip";
    let broken = format!("HTTP/1.1 200 OK\r\n{NOBODYS_BUSINESS}");
    story.goes_on_after_each(vec![
        (Reply::with(padded), "reason=too_long"),
        (Reply::headed(encoded, evil.body.clone()), "reason=encoded"),
        (unmeasured, "reason=too_long"),
        (Reply::headed(&broken, evil.body), "reason=broken_off"),
        (
            Reply {
                drips: true,
                ..story.evil_reply()
            },
            "reason=late",
        ),
    ]);
    story.provider.say(Reply::with(fits));
    eventually(|| story.scene.told("keys fetched") == 2);
}

#[test]
fn a_withdrawn_key_takes_its_tokens_with_it_trap_17() {
    let [old, new] = [SigningKey::named("old"), SigningKey::named("new")];
    let known_by_heart = old.token("alice"); // the very text: another signature would be another one
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&old])));
    let scene = scene_with(&provider.url(), PATIENT);
    for _ in 0..3 {
        scene.admits("known by heart", &known_by_heart);
    }
    provider.say(Reply::with(key_set(&[&new])));
    scene.admits("nobody has asked", &known_by_heart);
    scene.admits("the new key", &new.token("alice"));
    assert_eq!(scene.told("keys fetched"), 2);
    scene.turns_away("its key was withdrawn", &known_by_heart);
    assert_eq!(provider.fetches(), 3, "and is asked for once");
}

#[test]
fn a_key_that_is_withdrawn_unnoticed_ends_with_the_next_fetch() {
    let [old, new] = [SigningKey::named("old"), SigningKey::named("new")];
    let known_by_heart = old.token("alice"); // the very text: another signature would be another one
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&old, &new])));
    let scene = scene_with(&provider.url(), EAGER);
    scene.admits("both are there", &known_by_heart);
    scene.admits("both are there", &new.token("alice"));
    provider.say(Reply::with(key_set(&[&new])));
    eventually(|| !scene.lets_in(&known_by_heart));
    scene.admits("the other stays", &new.token("alice"));
}

#[test]
fn invented_key_ids_cause_few_fetches() {
    let key = SigningKey::named("one");
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&key])));
    let pulse = Pulse::new();
    let more = format!("{PATIENT}token.jwks_cooldown = \"24h\"\n");
    let scene = scene_beside(&pulse.table(), &provider.url(), &more);
    scene.admits("before", &key.token("alice"));
    let storm = |round: usize| {
        for number in 0..50 {
            let name = format!("made-up-{round}-{number}");
            scene.keeps_out(&name, &key.token_under(&name, "alice"));
        }
    };
    for round in 0..4 {
        storm(round);
        pulse.beats();
    }
    assert_eq!(provider.fetches(), 6, "the first, and five in a cooldown");
    scene.admits("after", &key.token("alice"));
}

/// The shop of a provider that is asked as often as the defaults say.
fn usual_scene(provider: &IdentityProvider) -> Scene {
    scene_with(&provider.url(), "")
}

#[test]
fn a_new_key_refuses_no_good_token_attacks_s1() {
    let [old, new, newer] = ["old", "new", "newer"].map(SigningKey::named);
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&old])));
    let scene = usual_scene(&provider);
    scene.admits("the old key", &old.token("alice"));
    provider.say(Reply::with(key_set(&[&old, &new])));
    for _ in 0..20 {
        scene.admits("the new key", &new.token("alice"));
        scene.admits("the old key", &old.token("alice"));
    }
    assert_eq!(provider.fetches(), 2);
    provider.say(Reply::with(key_set(&[&new, &newer])));
    let token = newer.token("bob");
    assert_eq!(
        scene.log_out(&token),
        200,
        "a logout waits for its key, too"
    );
    let answer = scene.turns_away("after its logout", &token);
    assert!(answer.text().contains("revoked"), "{}", answer.text());
    scene.turns_away("withdrawn", &old.token("alice"));
    assert_eq!(provider.fetches(), 4);
}

#[test]
fn junk_does_not_spend_the_fetches_attacks_s0_s1() {
    let [old, new] = ["old", "new"].map(SigningKey::named);
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&old])));
    let scene = usual_scene(&provider);
    let unsigned = |kid: &str| {
        let token = old.token_under(kid, "alice");
        format!("{}.", token.rsplit_once('.').unwrap().0)
    };
    for _ in 0..50 {
        for kid in ["junk", "more", "most"] {
            scene.turns_away("junk", &unsigned(kid));
        }
    }
    assert_eq!(provider.fetches(), 4, "one for each name");
    provider.say(Reply::with(key_set(&[&old, &new])));
    scene.admits("the new key", &new.token("alice"));
}

#[test]
fn whatever_is_made_up_a_good_token_is_told_to_wait_attacks_s1() {
    let [old, new] = ["old", "new"].map(SigningKey::named);
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&old])));
    let scene = usual_scene(&provider);
    for number in 0..200 {
        let kid = format!("junk-{number}");
        scene.keeps_out(&kid, &old.token_under(&kid, "alice"));
    }
    assert!(provider.fetches() <= 8, "{}", provider.fetches());
    provider.say(Reply::with(key_set(&[&old, &new])));
    let token = new.token("alice");
    eventually(|| {
        let (answer, seen) = scene.watch(|_| scene.visit(&token));
        let waits = answer.status == 503 && answer.header("retry-after").is_some();
        assert!(seen == 1 || waits, "{} {}", answer.status, answer.text());
        seen == 1
    });
}

#[test]
fn while_no_keys_can_be_had_a_token_with_a_new_one_waits_attacks_s0_s1() {
    let [old, new] = ["old", "new"].map(SigningKey::named);
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&old])));
    let scene = scene_with(&provider.url(), "token.jwks_cooldown = \"5s\"\n");
    provider.say(Reply::headed("HTTP/1.1 503 Later", ""));
    scene.postpones(&new.token("alice"));
    scene.admits("the old key", &old.token("alice"));
    provider.say(Reply::with(key_set(&[&old, &new])));
    eventually(|| scene.lets_in(&new.token("alice")));
    let refused = r#"verdict="key_pending""#;
    assert!(scene.edge.metrics().contains(refused));
}

/// Another shop, whose provider is asked every second: by that a test knows that time has passed in the background.
struct Pulse(IdentityProvider);

impl Pulse {
    fn new() -> Self {
        let keys = key_set(&[&SigningKey::named("pulse")]);
        Self(IdentityProvider::plain(Reply::with(keys)))
    }

    fn table(&self) -> String {
        format!(
            "[[shop]]\nname = \"pulse\"\nhosts = [\"pulse.example.com\"]\nupstream = [\"127.0.0.1:9\"]\n\
             token.algorithms = [\"ES256\"]\ntoken.jwks_url = \"{}\"\n{EAGER}",
            self.0.url()
        )
    }

    /// Waits until the background has looked at every shop since.
    #[track_caller]
    fn beats(&self) {
        let fetches = self.0.fetches();
        eventually(|| self.0.fetches() >= fetches + 2);
    }
}

#[test]
fn after_the_cooldown_an_unknown_name_counts_again() {
    let [one, two, three] = ["one", "two", "three"].map(SigningKey::named);
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&one])));
    let scene = scene_with(
        &provider.url(),
        &format!("{PATIENT}token.jwks_cooldown = \"1s\"\n"),
    );
    for key in [&two, &three] {
        provider.say(Reply::with(key_set(&[&one, key])));
        eventually(|| scene.lets_in(&key.token("alice")));
        scene.admits("the old one stays", &one.token("alice"));
    }
}

#[test]
fn a_bad_signature_with_a_known_key_id_causes_no_fetch() {
    let key = SigningKey::named("one");
    let provider = IdentityProvider::plain(Reply::with(key_set(&[&key])));
    let pulse = Pulse::new();
    let more = format!("{PATIENT}token.jwks_cooldown = \"1s\"\n");
    let scene = scene_beside(&pulse.table(), &provider.url(), &more);
    scene.turns_away("a stranger's", &SigningKey::named("one").token("alice"));
    pulse.beats();
    assert_eq!(provider.fetches(), 1);
}

#[test]
fn without_keys_nothing_is_believed_and_nothing_forgotten() {
    let key = SigningKey::named("one");
    let provider = IdentityProvider::plain(Reply::headed("HTTP/1.1 503 Later", ""));
    for more in ["", "token.unverifiable = \"forward\"\n"] {
        let scene = scene_with(&provider.url(), more);
        let (status, why) = scene.readiness();
        assert_eq!(status, 503);
        assert_eq!(
            why,
            "[-] keys of shop main: never fetched: status\nnot ready\n"
        );
        scene.postpones(&key.token("alice"));
        let behind_another_scheme = format!("Token {}", key.token("alice"));
        let headers = [("Authorization", behind_another_scheme.as_str())];
        let stray = request("GET", "/cart", &headers, b"");
        assert_eq!(scene.ends(&stray), 503, "it could be a dead one");
        scene.passes(&request("GET", "/cart", &[], b""));
        scene.passes(&request(
            "GET",
            "/cart",
            &[("Authorization", "Bearer opaque")],
            b"",
        ));
        let refused = r#"verdict="keys_missing""#;
        assert!(scene.edge.metrics().contains(refused));
    }
}

/// A login that carries the token of another provider needs no key of ours to be known as none of ours.
#[test]
fn without_keys_a_body_waits_for_them_only_if_its_token_may_be_ours() {
    let key = SigningKey::named("one");
    let provider = IdentityProvider::plain(Reply::headed("HTTP/1.1 503 Later", ""));
    let scene = scene_with(&provider.url(), PATIENT);
    let login = |token: &str| {
        let body = json!({ "provider": "example", "id_token": token }).to_string();
        let headers = [("Content-Type", "application/json")];
        request(
            "POST",
            "/api/shop/customer/social-login",
            &headers,
            body.as_bytes(),
        )
    };
    scene.passes(&login("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"));
    assert_eq!(
        scene.ends(&login(&key.token("alice"))),
        503,
        "it could be a dead one"
    );
}

#[test]
fn a_shop_becomes_ready_when_its_keys_come() {
    let key = SigningKey::named("one");
    let provider = IdentityProvider::plain(Reply::headed("HTTP/1.1 503 Later", ""));
    let scene = scene_with(&provider.url(), PATIENT);
    scene.postpones(&key.token("alice"));
    provider.say(Reply::with(key_set(&[&key])));
    eventually(|| scene.readiness().0 == 200);
    scene.admits("the published key", &key.token("alice"));
}

#[test]
fn a_provider_that_is_down_or_slow_does_not_keep_the_shop_closed() {
    let nobody = Nobody::at_home();
    let scene = scene_with(&format!("http://{}/", nobody.address()), "");
    scene.passes(&request("GET", "/cart", &[], b""));
    assert!(scene.told("reason=no_connection") > 0);
    let good = Reply::with(key_set(&[&SigningKey::named("one")]));
    let slow = IdentityProvider::plain(Reply {
        drips: true,
        ..good
    });
    let scene = scene_with(&slow.url(), "");
    scene.passes(&request("GET", "/cart", &[], b""));
    let scene = scene_with("https://login.invalid/jwks.json", "");
    scene.passes(&request("GET", "/cart", &[], b""));
    assert_eq!(scene.readiness().0, 503);
}

#[test]
fn a_slow_provider_of_one_shop_delays_no_other() {
    let key = SigningKey::named("one");
    let good = Reply::with(key_set(&[&key]));
    let slow = IdentityProvider::plain(Reply {
        drips: true,
        ..good.clone()
    });
    let quick = IdentityProvider::plain(good);
    let shop = stateless_bagisto();
    let table = |name: &str, url: String| {
        format!(
            "[[shop]]\nname = \"{name}\"\nhosts = [\"{name}.example.com\"]\nupstream = [\"{}\"]\n\
             token.algorithms = [\"ES256\"]\ntoken.jwks_url = \"{url}\"\ntoken.jwks_refresh = \"1s\"\n",
            shop.address()
        )
    };
    let config_toml = table("slow", slow.url()) + &table("quick", quick.url());
    let scene = Scene::configured(shop, &config_toml);
    let visit = |host: &str| {
        let bearer = format!("Bearer {}", key.token("alice"));
        request(
            "GET",
            "/cart",
            &[("Host", host), ("Authorization", &bearer)],
            b"",
        )
    };
    scene.passes(&visit("quick.example.com"));
    scene.stops(503, &visit("slow.example.com"));
    eventually(|| quick.fetches() >= 3);
    assert!(slow.knocks() <= 3, "one at a time: {}", slow.knocks());
    let (_, why) = scene.readiness();
    assert!(
        why.contains("shop slow: ") && !why.contains("quick"),
        "{why}"
    );
}

#[test]
fn a_symmetric_key_in_a_fetched_set_verifies_nothing_standards_45() {
    let key = SigningKey::named("one");
    let secret = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        Shop::SECRET,
    );
    let keys = json!({ "keys": [
        { "kty": "oct", "kid": "shared", "k": secret }, key.jwk(), { "kty": "AKP", "kid": "later" },
    ] });
    let provider = IdentityProvider::plain(Reply::with(keys.to_string()));
    let scene = scene_with(&provider.url(), PATIENT);
    scene.admits("the key that fits", &key.token("alice"));
    scene.turns_away("a shared secret", &scene.shop.sign_in("alice"));
    assert_eq!(scene.told("keys fetched"), 1);
    assert_eq!(scene.told("passed_over=2"), 1);
    scene.keeps_quiet_about(&[&secret]);
}
