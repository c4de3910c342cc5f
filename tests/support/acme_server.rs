//! An authority on loopback that speaks ACME (RFC 8555) over TLS: it verifies signatures and nonces, really asks for the
//! challenge, and issues what a test says.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use doorward::clock;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::certificates::{Authority, Identity};
use super::encrypted::{Hello, certificate_of};
use super::patience::PATIENCE;
use super::wire::{request, try_raw};

const HEAD_END: &[u8] = b"\r\n\r\n";

/// An authority, and what was asked of it.
pub struct AcmeServer {
    address: SocketAddr,
    root: String,
    shared: Arc<Shared>,
}

struct Shared {
    authority: Authority,
    base: String,
    world: Mutex<World>,
    changed: Condvar,
}

/// What it issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issue {
    /// What was asked for.
    Good,
    /// A certificate of another private key.
    ForAnotherKey,
    /// A certificate for another name.
    ForAnotherName,
    /// One that is over.
    Ended,
    /// No certificate at all.
    Garbage,
}

#[derive(Default)]
struct World {
    nonces: HashSet<String>,
    /// Public keys, by the address of the account.
    accounts: HashMap<String, Key>,
    contacts: Vec<Value>,
    orders: Vec<OrderRecord>,
    /// Where port 80 and port 443 of every host lead.
    doors: Option<(SocketAddr, SocketAddr)>,
    bad_nonces: usize,
    repeated_nonces: usize,
    limit: Option<String>,
    refuses: bool,
    issue: Option<Issue>,
    life_s: Option<u64>,
}

#[derive(Clone)]
struct Key {
    x: String,
    y: String,
}

struct OrderRecord {
    host: String,
    token: String,
    status: &'static str,
    error: Option<Value>,
    chain: Option<String>,
}

struct Call {
    method: String,
    path: String,
    body: Vec<u8>,
}

struct Reply {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl AcmeServer {
    pub fn open() -> Self {
        let authority = Authority::new("ACME");
        let identity = authority.issue(&["localhost"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let root = authority.pem();
        let shared = Arc::new(Shared {
            authority,
            base: format!("https://localhost:{}", address.port()),
            world: Mutex::default(),
            changed: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(&listener, &identity, &serving));
        Self {
            address,
            root,
            shared,
        }
    }

    /// The certificate that its own is verified with, and that it issues with.
    pub fn root(&self) -> &str {
        &self.root
    }

    pub fn directory(&self) -> String {
        format!("https://localhost:{}/directory", self.address.port())
    }

    /// Every host leads there from now on: plain, and with TLS. Until then it is patient.
    pub fn leads_to(&self, plain: SocketAddr, tls: SocketAddr) {
        self.change(|world| world.doors = Some((plain, tls)));
    }

    /// Hosts lead nowhere.
    pub fn leads_nowhere(&self) {
        self.change(|world| world.doors = None);
    }

    /// Refuses the nonces of the next requests (section 6.5).
    pub fn refuses_nonces(&self, count: usize) {
        self.change(|world| world.bad_nonces = count);
    }

    /// How many requests came again with another nonce.
    pub fn refused_nonces(&self) -> usize {
        self.world().repeated_nonces
    }

    /// Answers every new order 429, with this `Retry-After`; `None`: no more.
    pub fn limits(&self, retry_after: Option<&str>) {
        self.change(|world| world.limit = retry_after.map(str::to_owned));
    }

    /// Whether every challenge fails.
    pub fn refuses(&self, refuses: bool) {
        self.change(|world| world.refuses = refuses);
    }

    pub fn issues(&self, issue: Issue) {
        self.change(|world| world.issue = Some(issue));
    }

    /// How long certificates last from now on; a quarter of a year, if nothing is said.
    pub fn certificates_last(&self, seconds: u64) {
        self.change(|world| world.life_s = Some(seconds));
    }

    /// The hosts that were ordered for, in order; a refused order counts.
    pub fn orders(&self) -> Vec<String> {
        let world = self.world();
        world.orders.iter().map(|one| one.host.clone()).collect()
    }

    pub fn accounts(&self) -> usize {
        self.world().accounts.len()
    }

    /// What new accounts, and changed ones, said of themselves.
    pub fn contacts(&self) -> Vec<Value> {
        self.world().contacts.clone()
    }

    /// Where it asks for the challenge of the last order.
    pub fn challenge_path(&self) -> String {
        let world = self.world();
        let token = &world.orders.last().unwrap().token;
        format!("/.well-known/acme-challenge/{token}")
    }

    /// Knows no account any more.
    pub fn forgets_accounts(&self) {
        self.change(|world| world.accounts.clear());
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world());
        self.shared.changed.notify_all();
    }
}

fn serve(listener: &TcpListener, identity: &Identity, shared: &Arc<Shared>) {
    let config = Arc::new(identity.server());
    for stream in listener.incoming().map_while(Result::ok) {
        let (config, shared) = (Arc::clone(&config), Arc::clone(shared));
        thread::spawn(move || answer(stream, config, &shared));
    }
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>, shared: &Arc<Shared>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let Some(call) = read_call(&mut stream) else {
        return; // a client that hung up
    };
    let reply = shared.reply(&call);
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", reply.status);
    write!(head, "Content-Length: {}\r\n", reply.body.len()).unwrap();
    write!(head, "Replay-Nonce: {}\r\n", shared.fresh_nonce()).unwrap();
    for (name, value) in &reply.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    let body = if call.method == "HEAD" {
        ""
    } else {
        &reply.body
    };
    let sent = stream.write_all(format!("{head}\r\n{body}").as_bytes());
    drop(sent.and_then(|()| stream.flush())); // it may have hung up
    stream.conn.send_close_notify();
    drop(stream.flush());
}

fn read_call(stream: &mut impl Read) -> Option<Call> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(HEAD_END) {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).ok()?;
    Some(Call { method, path, body })
}

fn reply(status: &'static str, body: &Value) -> Reply {
    Reply {
        status,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: body.to_string(),
    }
}

fn problem(status: &'static str, kind: &str, detail: &str) -> Reply {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    reply(status, &json!({ "type": kind, "detail": detail }))
}

fn decoded(part: &Value) -> Vec<u8> {
    BASE64.decode(part.as_str().unwrap()).unwrap()
}

impl Key {
    fn of(jwk: &Value) -> Self {
        assert_eq!((&jwk["kty"], &jwk["crv"]), (&json!("EC"), &json!("P-256")));
        let text = |name: &str| jwk[name].as_str().unwrap().to_owned();
        Self {
            x: text("x"),
            y: text("y"),
        }
    }

    fn has_signed(&self, message: &str, signature: &[u8]) -> bool {
        let part = |text: &str| BASE64.decode(text).unwrap();
        let point = [vec![4], part(&self.x), part(&self.y)].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(message.as_bytes(), signature).is_ok()
    }

    /// RFC 7638.
    fn thumbprint(&self) -> String {
        let Self { x, y } = self;
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        BASE64.encode(digest(&SHA256, text.as_bytes()))
    }
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh_nonce(&self) -> String {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).unwrap();
        let nonce = BASE64.encode(bytes);
        self.world().nonces.insert(nonce.clone());
        nonce
    }

    fn reply(self: &Arc<Self>, call: &Call) -> Reply {
        let url = |path: &str| format!("{}{path}", self.base);
        match (call.method.as_str(), call.path.as_str()) {
            ("GET", "/directory") => reply(
                "200 OK",
                &json!({
                    "newNonce": url("/nonce"),
                    "newAccount": url("/account"),
                    "newOrder": url("/order"),
                    "meta": { "termsOfService": url("/terms") },
                }),
            ),
            ("HEAD", "/nonce") => reply("200 OK", &json!(null)),
            ("POST", path) => self.signed(path, &call.body),
            _ => problem("404 Not Found", "malformed", "no such resource"),
        }
    }

    /// A request in a JWS (RFC 8555 section 6.2).
    fn signed(self: &Arc<Self>, path: &str, body: &[u8]) -> Reply {
        let jws: Value = serde_json::from_slice(body).unwrap();
        let protected: Value = serde_json::from_slice(&decoded(&jws["protected"])).unwrap();
        assert_eq!(protected["alg"], "ES256");
        assert_eq!(
            protected["url"],
            format!("{}{path}", self.base),
            "section 6.4"
        );
        let (id, key) = match protected["kid"].as_str() {
            None if path == "/account" => (String::new(), Key::of(&protected["jwk"])),
            None => return problem("400 Bad Request", "malformed", "a kid is missing"),
            Some(id) => match self.world().accounts.get(id) {
                Some(key) => (id.to_owned(), key.clone()),
                None => return problem("400 Bad Request", "accountDoesNotExist", id),
            },
        };
        let (head, payload) = (&jws["protected"], &jws["payload"]);
        let message = format!("{}.{}", head.as_str().unwrap(), payload.as_str().unwrap());
        if !key.has_signed(&message, &decoded(&jws["signature"])) {
            return problem("403 Forbidden", "unauthorized", "the signature is false");
        }
        let nonce = protected["nonce"].as_str().unwrap();
        if let Some(refused) = self.refused_nonce(nonce) {
            return refused;
        }
        let payload = decoded(payload);
        let payload = serde_json::from_slice(&payload).unwrap_or(Value::Null); // POST-as-GET has none
        self.routed(path, &id, &key, &payload)
    }

    fn refused_nonce(&self, nonce: &str) -> Option<Reply> {
        let mut world = self.world();
        let is_known = world.nonces.remove(nonce);
        if is_known && world.bad_nonces == 0 {
            return None;
        }
        world.bad_nonces = world.bad_nonces.saturating_sub(1);
        world.repeated_nonces += 1;
        Some(problem(
            "400 Bad Request",
            "badNonce",
            "that nonce is not mine",
        ))
    }

    fn routed(self: &Arc<Self>, path: &str, id: &str, key: &Key, payload: &Value) -> Reply {
        let mut parts = path.trim_start_matches('/').split('/');
        let what = parts.next().unwrap();
        let number = parts.next().and_then(|part| part.parse::<usize>().ok());
        match (what, number) {
            ("account", None) => self.new_account(key, payload),
            ("account", Some(_)) => {
                self.world().contacts.push(payload["contact"].clone());
                reply("200 OK", &json!({ "status": "valid" }))
            }
            ("order", None) => self.new_order(id, payload),
            ("order", Some(number)) => reply("200 OK", &self.order(number)),
            ("authorization", Some(number)) => reply("200 OK", &self.authorization(number)),
            ("challenge", Some(number)) => {
                let kind = parts.next().unwrap().to_owned();
                self.begin_validation(number, kind, key.thumbprint())
            }
            ("finalize", Some(number)) => self.finalize(number, payload),
            ("certificate", Some(number)) => self.certificate(number),
            _ => problem("404 Not Found", "malformed", "no such resource"),
        }
    }

    fn new_account(&self, key: &Key, payload: &Value) -> Reply {
        if payload["termsOfServiceAgreed"] != true {
            return problem("403 Forbidden", "userActionRequired", "the terms");
        }
        let mut world = self.world();
        let id = format!("{}/account/{}", self.base, world.accounts.len());
        world.accounts.insert(id.clone(), key.clone());
        world.contacts.push(payload["contact"].clone());
        let mut created = reply("201 Created", &json!({ "status": "valid" }));
        created.headers.push(("Location", id));
        created
    }

    fn new_order(&self, id: &str, payload: &Value) -> Reply {
        assert!(!id.is_empty());
        let identifiers = payload["identifiers"].as_array().unwrap();
        assert_eq!(identifiers.len(), 1);
        assert_eq!(identifiers[0]["type"], "dns");
        let mut world = self.world();
        let number = world.orders.len();
        let limit = world.limit.clone();
        world.orders.push(OrderRecord {
            host: identifiers[0]["value"].as_str().unwrap().to_owned(),
            token: BASE64.encode(format!("token {number} of this authority")),
            status: "pending",
            error: None,
            chain: None,
        });
        drop(world);
        if let Some(retry_after) = limit {
            let mut refused = problem("429 Too Many Requests", "rateLimited", "not so fast");
            refused.headers.push(("Retry-After", retry_after));
            return refused;
        }
        let mut created = reply("201 Created", &self.order(number));
        let url = format!("{}/order/{number}", self.base);
        created.headers.push(("Location", url));
        created
    }

    fn order(&self, number: usize) -> Value {
        let world = self.world();
        let order = &world.orders[number];
        let url = |what: &str| format!("{}/{what}/{number}", self.base);
        let mut told = json!({
            "status": order.status,
            "identifiers": [{ "type": "dns", "value": order.host }],
            "authorizations": [url("authorization")],
            "finalize": url("finalize"),
        });
        // Some authorities say it of the order, too, others of the challenge alone.
        if let Some(error) = order.error.clone().filter(|_| !world.refuses) {
            told["error"] = error;
        }
        if order.chain.is_some() {
            told["certificate"] = json!(url("certificate"));
        }
        told
    }

    fn authorization(&self, number: usize) -> Value {
        let world = self.world();
        let order = &world.orders[number];
        let status = match order.status {
            "ready" => "valid",
            other => other,
        };
        let challenge = |kind: &str| {
            json!({
                "type": kind,
                "url": format!("{}/challenge/{number}/{kind}", self.base),
                "token": order.token,
                "status": status,
                "error": order.error,
            })
        };
        json!({
            "status": status,
            "identifier": { "type": "dns", "value": order.host },
            "challenges": [challenge("dns-01"), challenge("http-01"), challenge("tls-alpn-01")],
        })
    }

    fn begin_validation(
        self: &Arc<Self>,
        number: usize,
        kind: String,
        thumbprint: String,
    ) -> Reply {
        let (host, token) = {
            let world = self.world();
            let order = &world.orders[number];
            (order.host.clone(), order.token.clone())
        };
        let told = json!({
            "type": kind,
            "url": format!("{}/challenge/{number}/{kind}", self.base),
            "token": token,
            "status": "processing",
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let fault = shared.fault_of(&kind, &host, &token, &thumbprint);
            let mut world = shared.world();
            let order = &mut world.orders[number];
            match fault {
                None => order.status = "ready",
                Some(detail) => {
                    order.status = "invalid";
                    let kind = "urn:ietf:params:acme:error:unauthorized";
                    order.error = Some(json!({ "type": kind, "detail": detail, "status": 403 }));
                }
            }
        });
        reply("200 OK", &told)
    }

    /// What is wrong with the challenge, which is really asked for.
    fn fault_of(&self, kind: &str, host: &str, token: &str, thumbprint: &str) -> Option<String> {
        let world = self.world();
        let waited = self
            .changed
            .wait_timeout_while(world, PATIENCE, |world| world.doors.is_none());
        let (world, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (doors, refuses) = (world.doors, world.refuses);
        drop(world);
        let Some((plain, tls)) = doors else {
            return Some("the host leads nowhere".to_owned());
        };
        if refuses {
            return Some("connection refused".to_owned());
        }
        let answer = format!("{token}.{thumbprint}");
        match kind {
            "http-01" => http_fault(plain, host, token, &answer),
            "tls-alpn-01" => tls_fault(tls, host, &answer),
            _ => Some(format!("{kind} is unknown")),
        }
    }

    fn finalize(&self, number: usize, payload: &Value) -> Reply {
        let csr = decoded(&payload["csr"]);
        let mut world = self.world();
        let (issue, life_s) = (world.issue, world.life_s);
        let order = &mut world.orders[number];
        if order.status != "ready" {
            return problem("403 Forbidden", "orderNotReady", order.status);
        }
        let life_s = life_s.unwrap_or(90 * 24 * 3_600);
        let from = clock::now().seconds();
        let host = order.host.as_str();
        let signed = |name: &str, from, until| {
            let request = self.authority.sign_request(&csr, host, name, from, until);
            format!("{request}{}", self.authority.pem())
        };
        order.chain = Some(match issue.unwrap_or(Issue::Good) {
            Issue::Good => signed(host, from, from + life_s),
            Issue::ForAnotherKey => self.authority.issue(&[host]).pem,
            Issue::ForAnotherName => signed("other.example.com", from, from + life_s),
            Issue::Ended => signed(host, from - 7_200, from - 3_600),
            Issue::Garbage => "no certificate\n".to_owned(),
        });
        order.status = "valid";
        drop(world);
        reply("200 OK", &self.order(number))
    }

    fn certificate(&self, number: usize) -> Reply {
        let world = self.world();
        Reply {
            status: "200 OK",
            headers: vec![(
                "Content-Type",
                "application/pem-certificate-chain".to_owned(),
            )],
            body: world.orders[number].chain.clone().unwrap(),
        }
    }
}

/// RFC 8555 section 8.3.
fn http_fault(address: SocketAddr, host: &str, token: &str, wanted: &str) -> Option<String> {
    let path = format!("/.well-known/acme-challenge/{token}");
    let headers = [("Host", host), ("Connection", "close")];
    let Ok(answer) = try_raw(address, &request("GET", &path, &headers, b"")) else {
        return Some("no answer".to_owned());
    };
    let (status, text) = (answer.status, answer.text());
    (status != 200 || text.trim_end() != wanted)
        .then(|| format!("{status} and {text:?} instead of {wanted:?}"))
}

/// RFC 8737 section 3.
fn tls_fault(address: SocketAddr, host: &str, wanted: &str) -> Option<String> {
    let hello = Hello {
        name: Some(host),
        alpn: &["acme-tls/1"],
        ..Hello::default()
    };
    let mut stream = match hello.try_to(address) {
        Ok(stream) => stream,
        Err(error) => return Some(error.to_string()),
    };
    if stream.conn.alpn_protocol() != Some(b"acme-tls/1") {
        return Some("acme-tls/1 is not spoken".to_owned());
    }
    let der = certificate_of(&stream);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let names = &names.value.general_names;
    let is_for =
        |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(name) if *name == host);
    if names.len() != 1 || !is_for(&names[0]) {
        return Some("the certificate is for another name".to_owned());
    }
    let mut extensions = certificate.extensions().iter();
    let digest = digest(&SHA256, wanted.as_bytes());
    let value = [&[4, 32], digest.as_ref()].concat();
    let is_digest = |oid: String| oid == "1.3.6.1.5.5.7.1.31";
    if !extensions
        .any(|one| one.critical && one.value == value && is_digest(one.oid.to_id_string()))
    {
        return Some("the certificate does not contain the digest".to_owned());
    }
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest));
    (!rest.is_empty()).then(|| "something follows the handshake".to_owned())
}
