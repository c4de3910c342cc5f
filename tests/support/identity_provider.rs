//! A stand-in for an identity provider: it publishes keys, over TLS or in the clear, and signs tokens.

#![allow(unreachable_pub, reason = "as everything under support/")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// A key of ES256 that signs under a name.
pub struct SigningKey {
    name: String,
    private: EncodingKey,
    point: Vec<u8>,
}

impl SigningKey {
    pub fn named(name: &str) -> Self {
        let (curve, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref()).unwrap();
        Self {
            name: name.to_owned(),
            private: EncodingKey::from_ec_der(pkcs8.as_ref()),
            point: pair.public_key().as_ref()[1..].to_vec(),
        }
    }

    pub fn jwk(&self) -> Value {
        let (x, y) = self.point.split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.name, "x": b64(x), "y": b64(y) })
    }

    /// A token of this customer, under the key's own name.
    pub fn token(&self, customer: &str) -> String {
        self.token_under(&self.name, customer)
    }

    /// A token that names this key.
    pub fn token_under(&self, name: &str, customer: &str) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": name });
        let claims = json!({ "jti": format!("{customer}-1"), "sub": customer, "iat": 1_700_000_000, "exp": 4_000_000_000_u64 });
        let text = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = crypto::sign(text.as_bytes(), &self.private, Algorithm::ES256).unwrap();
        format!("{text}.{signature}")
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A set of these keys.
pub fn key_set(keys: &[&SigningKey]) -> Vec<u8> {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

/// What an identity provider says to whoever asks for its keys.
#[derive(Clone)]
pub struct Reply {
    /// Its first line and headers, without length and the empty line.
    pub head: String,
    pub body: Vec<u8>,
    /// The body comes byte by byte, for ever.
    pub drips: bool,
    /// The body ends with the connection.
    pub is_unmeasured: bool,
}

impl Reply {
    /// A good one.
    pub fn with(body: impl Into<Vec<u8>>) -> Self {
        Self::headed("HTTP/1.1 200 OK\r\nContent-Type: application/json", body)
    }

    pub fn headed(head: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            head: head.to_owned(),
            body: body.into(),
            drips: false,
            is_unmeasured: false,
        }
    }
}

/// An authority that vouches for servers.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server of these names, as `change` has it.
    pub fn vouch(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Tls {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        tls(certificate.der().to_vec(), &key)
    }
}

/// How a server proves who it is.
pub type Tls = Arc<ServerConfig>;

/// A server that vouches for itself.
pub fn self_signed(name: &str) -> Tls {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    tls(params.self_signed(&key).unwrap().der().to_vec(), &key)
}

fn tls(certificate: Vec<u8>, key: &KeyPair) -> Tls {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .unwrap();
    Arc::new(config)
}

/// It serves until the test ends.
pub struct IdentityProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    reply: Mutex<Reply>,
    tls: Mutex<Option<Tls>>,
    /// The heads of the requests that came through.
    asked: Mutex<Vec<String>>,
    knocks: AtomicUsize,
}

impl IdentityProvider {
    /// In the clear, on this machine.
    pub fn plain(reply: Reply) -> Self {
        Self::open(reply, None)
    }

    pub fn open(reply: Reply, tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            reply: Mutex::new(reply),
            tls: Mutex::new(tls),
            asked: Mutex::default(),
            knocks: AtomicUsize::new(0),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                served.knocks.fetch_add(1, Ordering::SeqCst);
                let served = Arc::clone(&served);
                thread::spawn(move || drop(served.serve(stream)));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        let is_tls = self.shared.tls.lock().unwrap().is_some();
        let scheme = if is_tls { "https" } else { "http" };
        format!("{scheme}://{}/jwks.json?tenant=hunter2", self.address)
    }

    /// Says this from now on.
    pub fn say(&self, reply: Reply) {
        *self.shared.reply.lock().unwrap() = reply;
    }

    /// Proves itself so from now on, or not at all.
    pub fn prove(&self, tls: Option<Tls>) {
        *self.shared.tls.lock().unwrap() = tls;
    }

    /// How often somebody has asked for the keys.
    pub fn fetches(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }

    /// How often somebody has connected.
    pub fn knocks(&self) -> usize {
        self.shared.knocks.load(Ordering::SeqCst)
    }

    /// The last request's head.
    pub fn last_asked(&self) -> String {
        let asked = self.shared.asked.lock().unwrap();
        asked.last().cloned().unwrap_or_default()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let tls = self.tls.lock().unwrap().clone();
        match tls {
            None => self.answer(stream),
            Some(tls) => {
                let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
                self.answer(StreamOwned::new(connection, stream))
            }
        }
    }

    fn answer(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        self.asked.lock().unwrap().push(head);
        let reply = self.reply.lock().unwrap().clone();
        let stream = stream.get_mut();
        if reply.drips {
            write!(stream, "{}\r\nContent-Length: 1000000\r\n\r\n", reply.head)?;
            let (_silent, never) = std::sync::mpsc::channel::<()>();
            loop {
                stream.write_all(b" ")?;
                stream.flush()?;
                let _ = never.recv_timeout(Duration::from_millis(50)); // nothing is ever sent
            }
        }
        let length = reply.body.len();
        if reply.is_unmeasured {
            write!(stream, "{}\r\nConnection: close\r\n\r\n", reply.head)?;
        } else {
            write!(stream, "{}\r\nContent-Length: {length}\r\n\r\n", reply.head)?;
        }
        stream.write_all(&reply.body)?;
        stream.flush()
    }
}
