//! For tests: authorities, nodes that listen, and links between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::accept::{EnrolmentHandler, IncomingLink};
use super::join_status::JoinStatus;
use super::link::Link;
use super::security::Transport;
use crate::cluster::settings::{Certificates, Security};
use crate::revocation::NodeName;

/// An authority that issues certificates.
pub(super) struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate and its key.
pub(super) struct TestCertificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl TestAuthority {
    pub(super) fn new() -> Self {
        Self::named("authority")
    }

    pub(super) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub(super) fn issue(&self, names: &[&str]) -> TestCertificate {
        self.issue_with(names, |_| {})
    }

    pub(super) fn issue_with(
        &self,
        names: &[&str],
        change: impl Fn(&mut CertificateParams),
    ) -> TestCertificate {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        TestCertificate::of(&certificate, &key)
    }

    pub(super) fn store(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add(self.certificate.clone()).unwrap();
        Arc::new(store)
    }

    /// A node with this certificate, which trusts this authority.
    pub(super) fn with_certificate(
        &self,
        certificate: &TestCertificate,
        allow: &[&str],
    ) -> Security {
        let allow = allow.iter().map(|name| NodeName::parse(name).unwrap());
        Security::Certificates(Certificates {
            ca_file: std::path::PathBuf::new(),
            authorities: self.store(),
            chain: certificate.chain.clone(),
            key: certificate.key.clone_key(),
            allow: allow.collect(),
        })
    }

    /// A node of this name, with a certificate of this authority.
    pub(super) fn member(&self, name: &str) -> Security {
        self.with_certificate(&self.issue(&[name]), &[])
    }
}

impl TestCertificate {
    /// Signed by its own key alone.
    pub(super) fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names).self_signed(&key).unwrap();
        Self::of(&certificate, &key)
    }

    fn of(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
    CertificateParams::new(names).unwrap()
}

/// Ended in the year 2001.
pub(super) fn ended(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2001, 1, 1);
}

/// Begins in the year 3000.
pub(super) fn to_come(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(3000, 1, 1);
}

/// For servers alone.
pub(super) fn of_server(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

/// For clients alone.
pub(super) fn of_client(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

/// A node that listens on this machine.
pub(super) struct TestNode {
    pub(super) transport: Arc<Transport>,
    pub(super) address: SocketAddr,
    arrivals: mpsc::Receiver<IncomingLink>,
}

impl TestNode {
    pub(super) async fn open(security: &Security) -> Self {
        Self::open_with(security, Arc::new(|_, _| (JoinStatus::Failed, Vec::new()))).await
    }

    pub(super) async fn open_with(security: &Security, joins: EnrolmentHandler) -> Self {
        let transport = Arc::new(Transport::new(security).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, arrivals) = mpsc::channel(16);
        tokio::spawn(Arc::clone(&transport).serve(listener, sender, joins));
        Self {
            transport,
            address,
            arrivals,
        }
    }

    /// The next connection.
    pub(super) async fn arrival(&mut self) -> IncomingLink {
        soon(self.arrivals.recv()).await.unwrap()
    }

    /// Whether no connection came yet.
    pub(super) fn is_quiet(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// The next peer.
    pub(super) async fn link(&mut self) -> Link {
        self.arrival().await.link.unwrap()
    }

    /// Why the next one did not become a peer.
    pub(super) async fn refusal(&mut self) -> String {
        self.arrival().await.link.unwrap_err().to_string()
    }

    pub(super) async fn dial(&self, other: &Self) -> Link {
        soon(self.transport.dial(other.address)).await.unwrap()
    }
}

/// Both ends of one connection: the client's and the server's.
pub(super) async fn linked(dialer: &Security, host: &Security) -> (Link, Link) {
    let dialer = TestNode::open(dialer).await;
    let mut host = TestNode::open(host).await;
    let there = dialer.dial(&host).await;
    (there, host.link().await)
}

/// Two ends without TLS.
pub(super) async fn linked_without_tls() -> (Link, Link) {
    behind_hellos(linked(&Security::Loopback, &Security::Loopback).await).await
}

/// Two ends with certificates, of nodes `a` and `b`.
pub(super) async fn linked_with_tls() -> (Link, Link) {
    let authority = TestAuthority::new();
    behind_hellos(linked(&authority.member("a"), &authority.member("b")).await).await
}

/// Both have sent their first frame, which must be short.
async fn behind_hellos((mut one, mut other): (Link, Link)) -> (Link, Link) {
    one.sender.send(Bytes::new()).await.unwrap();
    other.sender.send(Bytes::new()).await.unwrap();
    assert_eq!(one.receiver.next().await.unwrap(), Some(Bytes::new()));
    assert_eq!(other.receiver.next().await.unwrap(), Some(Bytes::new()));
    (one, other)
}

/// A test fails instead of hanging.
pub(super) async fn soon<T>(awaited: impl Future<Output = T>) -> T {
    let awaited = timeout(Duration::from_mins(1), awaited).await;
    awaited.expect("it takes more than a minute")
}
