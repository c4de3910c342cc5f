//! Enrolments over real sockets; and servers that pretend to be the inviting node.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rcgen::{CertificateParams, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{CERTIFICATE_FILE, KEY_FILE, request};
use super::client::{Application, EnrolledNode, JoinError, place};
use super::joined_nodes::{joined, remember};
use super::server::EnrolmentServer;
use crate::clock::{self, UnixTime};
use crate::cluster::transport::{
    EnrolmentHandler, JoinStatus, QUESTION_BYTES_MAX, ReceivedRequests, Transport, pretend,
};
use crate::cluster::{
    Authority, Certificates, ClusterSettings, Invitation, PeerAddress, Proof, Security, StalePolicy,
};
use crate::revocation::{AckPolicy, NodeName};

/// The inviting node: its folders, and what it knows.
struct Host {
    home: TempDir,
    authority: Authority,
    proof: Proof,
    enrolment: Arc<EnrolmentServer>,
    settings: ClusterSettings,
    expected: Arc<Mutex<Vec<SocketAddr>>>,
    connected: Arc<Mutex<Vec<NodeName>>>,
}

impl Host {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::found(clock::now()).unwrap();
        let ca_file = home.path().join(CERTIFICATE_FILE);
        fs::write(&ca_file, authority.certificate_pem()).unwrap();
        fs::write(home.path().join(KEY_FILE), authority.key_pem()).unwrap();
        let proof = authority.equip(&node("a"), clock::now()).unwrap();
        let settings = settings(&ca_file, &authority, &proof);
        let expected = Arc::<Mutex<Vec<_>>>::default();
        let connected = Arc::<Mutex<Vec<_>>>::default();
        let (admitted, asked) = (Arc::clone(&expected), Arc::clone(&connected));
        let enrolment = EnrolmentServer::new(
            &settings,
            home.path(),
            move || asked.lock().clone(),
            move |addresses| *admitted.lock() = addresses,
        );
        Self {
            enrolment: Arc::new(enrolment.unwrap()),
            home,
            authority,
            proof,
            settings,
            expected,
            connected,
        }
    }

    /// From a reload on, only these may join.
    fn allows(&mut self, names: &[&str]) {
        if let Security::Certificates(certificates) = &mut self.settings.security {
            certificates.allow = names.iter().map(|name| node(name)).collect();
        }
        self.enrolment.reconfigure(&self.settings);
    }

    fn data_dir(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    fn invites(&self) -> Invitation {
        Invitation::make(self.home.path(), &self.authority, None, clock::now()).unwrap()
    }

    fn invites_instead_of(&self, name: &str) -> Invitation {
        let now = clock::now();
        Invitation::make(self.home.path(), &self.authority, Some(&node(name)), now).unwrap()
    }

    /// Whether one of the invitations is still good.
    fn invitations(&self) -> usize {
        fs::read_dir(self.home.path().join("invitations"))
            .unwrap()
            .count()
    }

    /// Its gossip listener, as in a running node.
    fn listens(&self) -> Listener {
        let transport = Arc::new(Transport::new(&self.settings.security).unwrap());
        let enrolment = Arc::clone(&self.enrolment);
        Listener::of(|socket, received| async move {
            let joins: EnrolmentHandler = Arc::new(move |remote, question: &[u8]| {
                received.lock().push(Ok(question.to_vec()));
                enrolment.answer_join_request(remote, question, clock::now())
            });
            let (arrivals, _held) = mpsc::channel(1); // a machine that joins is no peer yet
            transport.serve(socket, arrivals, joins).await;
        })
    }

    /// The certificates that it shows: its own, and the authority's.
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let node = der(&self.proof.certificate_pem);
        vec![node, self.authority.certificate().clone()]
    }

    /// What a question gets that is put without any network.
    fn answers(&self, question: &Value) -> (JoinStatus, Value) {
        self.answers_at(question, clock::now())
    }

    /// What a machine that would be this node there is answered: the status, and why.
    fn asked(&self, name: &str, listen: &str, invitation: &Invitation) -> (JoinStatus, String) {
        let mut question = question(name, invitation);
        question["listen"] = listen.into();
        let (status, answer) = self.answers(&question);
        let why = answer["error"].as_str().unwrap_or_default();
        (status, why.to_owned())
    }

    fn answers_at(&self, question: &Value, now: UnixTime) -> (JoinStatus, Value) {
        self.answers_to("192.0.2.1:50000", question, now)
    }

    /// The same, from this address.
    fn answers_to(&self, remote: &str, question: &Value, now: UnixTime) -> (JoinStatus, Value) {
        let question = question.to_string();
        let (status, answer) =
            self.enrolment
                .answer_join_request(at(remote), question.as_bytes(), now);
        (status, serde_json::from_slice(&answer).unwrap())
    }
}

fn settings(ca_file: &Path, authority: &Authority, proof: &Proof) -> ClusterSettings {
    let mut authorities = RootCertStore::empty();
    authorities.add(authority.certificate().clone()).unwrap();
    ClusterSettings {
        node: node("a"),
        listen: at("127.0.0.1:0"),
        peers: vec![PeerAddress::parse("doorward.internal:7946").unwrap()],
        security: Security::Certificates(Certificates {
            authorities: Arc::new(authorities),
            ca_file: ca_file.to_owned(),
            chain: vec![der(&proof.certificate_pem), authority.certificate().clone()],
            key: PrivateKeyDer::from_pem_slice(proof.key_pem.as_bytes()).unwrap(),
            allow: Vec::new(),
        }),
        ack: AckPolicy::One,
        new_cluster: false,
        on_stale: StalePolicy::Serve,
        on_isolated: StalePolicy::Refuse,
        bootstrap_timeout: Duration::from_secs(30),
        quarantine: vec![node("bad")],
        bus: None,
    }
}

/// A listener, and the requests that it received.
struct Listener {
    address: SocketAddr,
    received: ReceivedRequests,
    _runtime: Runtime,
}

impl Listener {
    fn of<F>(serve: impl FnOnce(TcpListener, ReceivedRequests) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let socket = runtime.block_on(socket).unwrap();
        let address = socket.local_addr().unwrap();
        let received = ReceivedRequests::default();
        runtime.spawn(serve(socket, Arc::clone(&received)));
        Self {
            address,
            received,
            _runtime: runtime,
        }
    }

    /// A server with this certificate and key, which answers everything with that.
    fn pretending(
        chain: Vec<CertificateDer<'static>>,
        key_pem: &str,
        answer: (JoinStatus, Vec<u8>),
    ) -> Self {
        let shown = (chain, key_pem.to_owned());
        Self::of(|socket, received| pretend(socket, shown, answer, received))
    }

    /// A machine asks here with this invitation.
    fn is_asked_by(&self, name: &str, invitation: &Invitation) -> Result<EnrolledNode, JoinError> {
        self.is_asked_from(name, invitation, Some(at("10.0.0.2:7946")))
    }

    fn is_asked_from(
        &self,
        name: &str,
        invitation: &Invitation,
        listen: Option<SocketAddr>,
    ) -> Result<EnrolledNode, JoinError> {
        let application = Application {
            at: &PeerAddress::Address(self.address),
            invitation,
            node: &node(name),
            listen,
        };
        application.send()
    }

    /// A client connected, and sent nothing.
    fn has_received_nothing(&self) {
        let deadline = clock::instant() + Duration::from_secs(10);
        while self.received.lock().is_empty() {
            assert!(clock::instant() < deadline, "no node came");
            thread::yield_now();
        }
        let received = self.received.lock();
        assert!(received.iter().all(Result::is_err), "{received:?}");
    }
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// The question of a machine that would be this node.
fn question(name: &str, invitation: &Invitation) -> Value {
    let key = KeyPair::generate().unwrap();
    json!({
        "version": 1,
        "secret": invitation.secret.text(),
        "node": name,
        "listen": "10.0.0.2:7946",
        "request": request(&node("x"), &key).unwrap(),
    })
}

fn refusal(outcome: Result<EnrolledNode, JoinError>) -> (JoinStatus, String) {
    match outcome {
        Err(JoinError::EnrolmentRefused(status, why)) => (status, why),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("admitted"),
    }
}

#[test]
fn an_invited_machine_becomes_a_node() {
    let host = Host::new();
    let listener = host.listens();
    remember(&host.data_dir(), &node("c"), at("10.0.0.3:7946")).unwrap();
    let admitted = listener.is_asked_by("b", &host.invites()).unwrap();
    let certificate = der(&admitted.certificate_pem);
    let (_, read) = X509Certificate::from_der(&certificate).unwrap();
    assert_eq!(read.subject().to_string(), "CN=b");
    assert_eq!(der(&admitted.authority_pem), *host.authority.certificate());
    let key = KeyPair::from_pem(&admitted.key_pem).unwrap();
    let public_key = &read.tbs_certificate.subject_pki.subject_public_key;
    assert_eq!(public_key.data, key.public_key_raw());
    let peers: Vec<_> = admitted.peers.iter().map(ToString::to_string).collect();
    let expected = [
        &*listener.address.to_string(),
        "10.0.0.3:7946",
        "doorward.internal:7946",
    ];
    assert_eq!(peers, expected);
    let known = [
        (node("b"), at("10.0.0.2:7946")),
        (node("c"), at("10.0.0.3:7946")),
    ];
    assert_eq!(joined(&host.data_dir()).unwrap(), known);
    assert_eq!(
        *host.expected.lock(),
        known.each_ref().map(|(_, address)| *address),
        "the running mesh expects it at once"
    );
}

#[test]
fn the_key_never_leaves_the_machine() {
    let host = Host::new();
    let listener = host.listens();
    let admitted = listener.is_asked_by("b", &host.invites()).unwrap();
    let said = listener.received.lock().pop().unwrap().unwrap();
    let key = KeyPair::from_pem(&admitted.key_pem).unwrap();
    let private = key.serialize_der();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("CERTIFICATE REQUEST") && !said.contains("PRIVATE KEY"));
    // PKCS#8 has the private number at 36 to 68, for P-256 (RFC 5915).
    let number = &private[36..68];
    let (_, request) = x509_parser::pem::parse_x509_pem(
        serde_json::from_str::<Value>(&said).unwrap()["request"]
            .as_str()
            .unwrap()
            .as_bytes(),
    )
    .unwrap();
    assert!(
        !request
            .contents
            .windows(number.len())
            .any(|bytes| bytes == number)
    );
}

#[test]
fn whoever_listens_nowhere_in_particular_is_found_where_it_asks_from() {
    let host = Host::new();
    let listener = host.listens();
    for (name, listen, expected) in [
        ("b", None, "127.0.0.1:7946"),
        ("c", Some(at("0.0.0.0:1234")), "127.0.0.1:1234"),
        ("d", Some(at("10.0.0.4:1")), "10.0.0.4:1"),
    ] {
        let admitted = listener
            .is_asked_from(name, &host.invites(), listen)
            .unwrap();
        assert_eq!(admitted.listen, at(expected));
        let known = joined(&host.data_dir()).unwrap();
        assert!(known.contains(&(node(name), at(expected))), "{known:?}");
    }
    assert_eq!(
        place(None, at("[2001:db8::2]:50000")),
        at("[2001:db8::2]:7946")
    );
}

/// A man in the middle, with any certificates but a key of the cluster's.
#[test]
fn a_man_in_the_middle_hears_nothing() {
    let host = Host::new();
    let now = clock::now();
    let evil = Authority::found(now).unwrap();
    let theirs = evil.equip(&node("a"), now).unwrap();
    let ours = host.authority.certificate().clone();
    let leaf = der(&theirs.certificate_pem);
    let genuine = der(&host.proof.certificate_pem);
    for (what, chain, key_pem) in [
        (
            "another authority",
            vec![leaf.clone(), evil.certificate().clone()],
            &theirs.key_pem,
        ),
        (
            "the true authority beside it",
            vec![leaf.clone(), ours.clone()],
            &theirs.key_pem,
        ),
        (
            "both authorities",
            vec![leaf, evil.certificate().clone(), ours.clone()],
            &theirs.key_pem,
        ),
        (
            "the true authority alone",
            vec![ours.clone()],
            &theirs.key_pem,
        ),
        (
            "the true authority twice",
            vec![ours.clone(), ours.clone()],
            &theirs.key_pem,
        ),
        (
            "a true certificate without its key",
            vec![genuine.clone(), ours],
            &theirs.key_pem,
        ),
        (
            "a true certificate without its authority",
            vec![genuine],
            &host.proof.key_pem,
        ),
    ] {
        let middle = Listener::pretending(chain, key_pem, (JoinStatus::Admitted, Vec::new()));
        let outcome = middle.is_asked_by("b", &host.invites());
        let error = outcome.err().unwrap();
        assert!(matches!(error, JoinError::WrongCluster), "{what}: {error}");
        middle.has_received_nothing();
    }
}

#[test]
fn a_certificate_of_the_cluster_that_is_over_is_a_strangers() {
    let host = Host::new();
    let long_ago = clock::now().minus(Duration::from_hours(24 * 1000));
    let authority = Authority::found(long_ago).unwrap();
    let over = authority.equip(&node("a"), long_ago).unwrap();
    let chain = vec![der(&over.certificate_pem), authority.certificate().clone()];
    let listener = Listener::pretending(chain, &over.key_pem, (JoinStatus::Admitted, Vec::new()));
    let now = clock::now();
    let invitation = Invitation::make(host.home.path(), &authority, None, now).unwrap();
    let outcome = listener.is_asked_by("b", &invitation);
    assert!(matches!(outcome, Err(JoinError::WrongCluster)));
    listener.has_received_nothing();
}

#[test]
fn an_invitation_admits_one_machine() {
    let host = Host::new();
    let listener = host.listens();
    let invitation = host.invites();
    assert!(listener.is_asked_by("b", &invitation).is_ok());
    assert_eq!(host.invitations(), 0);
    let (status, why) = refusal(listener.is_asked_by("b", &invitation));
    assert_eq!(status, JoinStatus::NotInvited);
    assert!(why.contains("doorward cluster invite"), "{why}");
    assert_eq!(host.expected.lock().len(), 1);
}

#[test]
fn of_two_at_once_one_is_admitted() {
    let host = Host::new();
    let listener = host.listens();
    for round in 0..4 {
        let invitation = host.invites();
        let names = [format!("b{round}"), format!("c{round}")];
        let outcomes = thread::scope(|scope| {
            let asking = names.each_ref().map(|name| {
                let listen = Some(at(&format!("10.0.{round}.{}:7946", name.as_bytes()[0])));
                let (listener, invitation) = (&listener, &invitation);
                scope.spawn(move || listener.is_asked_from(name, invitation, listen))
            });
            asking.map(|asking| asking.join().unwrap())
        });
        let admitted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(admitted, 1);
        assert_eq!(joined(&host.data_dir()).unwrap().len(), round + 1);
    }
}

#[test]
fn an_invitation_ends_after_ten_minutes() {
    let host = Host::new();
    let invitation = host.invites();
    let question = question("b", &invitation);
    let (status, _) = host.answers_at(&question, invitation.until);
    assert_eq!(status, JoinStatus::NotInvited);
    assert_eq!(host.invitations(), 0, "what is over is deleted");
    assert_eq!(joined(&host.data_dir()).unwrap(), []);
}

#[test]
fn wrong_old_and_used_invitations_get_one_answer() {
    let host = Host::new();
    let used = host.invites();
    assert_eq!(host.answers(&question("b", &used)).0, JoinStatus::Admitted);
    let over = host.invites();
    let mut wrong = question("c", &host.invites());
    wrong["secret"] = "AAAAAAAAAAAAAAAAAAAAAA".into();
    let mut short = wrong.clone();
    short["secret"] = "hunter2".into();
    let now = clock::now();
    let answers = [
        host.answers_at(&question("c", &used), now),
        host.answers_at(&wrong, now),
        host.answers_at(&short, now),
        host.answers_at(&question("c", &over), over.until),
    ];
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
    assert_eq!(answers[0].0, JoinStatus::NotInvited);
}

#[test]
fn secrets_are_not_guessed_by_volume() {
    let host = Host::new();
    let now = clock::now();
    let good = question("b", &host.invites());
    let mut wrong = good.clone();
    wrong["secret"] = "AAAAAAAAAAAAAAAAAAAAAA".into();
    for _ in 0..5 {
        assert_eq!(host.answers_at(&wrong, now).0, JoinStatus::NotInvited);
    }
    // A right one is refused, too: otherwise guessing would find it.
    for question in [&wrong, &good] {
        assert_eq!(
            host.answers_at(question, now).0,
            JoinStatus::TooManyAttempts
        );
    }
    // Guessing does not lock other machines out.
    assert_eq!(
        host.answers_to("192.0.2.2:1", &wrong, now).0,
        JoinStatus::NotInvited
    );
    assert_eq!(
        host.answers_at(&good, now.plus(Duration::from_mins(1))).0,
        JoinStatus::Admitted
    );
}

#[test]
fn a_clock_that_was_set_back_locks_nobody_out() {
    let host = Host::new();
    let now = clock::now();
    let good = question("b", &host.invites());
    let mut wrong = good.clone();
    wrong["secret"] = "".into();
    let ahead = now.plus(Duration::from_mins(5));
    for _ in 0..6 {
        host.answers_at(&wrong, ahead);
    }
    assert_eq!(host.answers_at(&good, now).0, JoinStatus::Admitted);
}

#[test]
fn a_name_is_given_once() {
    let host = Host::new();
    assert_eq!(
        host.asked("b", "10.0.0.2:7946", &host.invites()).0,
        JoinStatus::Admitted
    );
    let invitation = host.invites();
    let (status, why) = host.asked("b", "10.0.0.3:7946", &invitation);
    assert_eq!(status, JoinStatus::NameRefused, "it is somewhere else");
    assert!(why.contains("doorward cluster invite --replace b"), "{why}");
    host.connected.lock().push(node("d"));
    for taken in ["a", "d"] {
        let (status, why) = host.asked(taken, "10.0.0.3:7946", &invitation);
        assert_eq!(status, JoinStatus::NameRefused, "{taken}: {why}");
    }
    let free = host.asked("c", "10.0.0.3:7946", &invitation);
    assert_eq!(
        free.0,
        JoinStatus::Admitted,
        "none of that used the invitation"
    );
    let anew = host.asked("b", "10.0.0.2:7946", &host.invites());
    assert_eq!(anew.0, JoinStatus::Admitted, "the machine was set up anew");
}

#[test]
fn who_is_not_welcome_gets_no_certificate() {
    let mut host = Host::new();
    let invitation = host.invites();
    let (status, why) = host.asked("bad", "10.0.0.3:7946", &invitation);
    assert_eq!(status, JoinStatus::NameRefused);
    assert!(why.contains("stands in `quarantine`"), "{why}");
    host.allows(&["e"]);
    let (status, why) = host.asked("b", "10.0.0.3:7946", &invitation);
    assert_eq!(status, JoinStatus::NameRefused);
    assert!(why.contains("does not stand in `allow`"), "{why}");
    host.allows(&["e", "b"]);
    assert_eq!(
        host.asked("b", "10.0.0.3:7946", &invitation).0,
        JoinStatus::Admitted
    );
}

#[test]
fn a_node_makes_way_for_another_if_the_invitation_says_so() {
    let host = Host::new();
    for (name, listen) in [("b", "10.0.0.2:7946"), ("c", "10.0.0.3:7946")] {
        assert_eq!(
            host.asked(name, listen, &host.invites()).0,
            JoinStatus::Admitted
        );
    }
    host.connected.lock().push(node("b"));
    let instead = host.invites_instead_of("b");
    assert_eq!(
        host.asked("c", "10.0.0.9:7946", &instead).0,
        JoinStatus::NameRefused,
        "b makes way, not c"
    );
    assert_eq!(
        host.asked("b", "10.0.0.9:7946", &instead).0,
        JoinStatus::Admitted
    );
    // A node that invites renews its own certificate in the same way, and does not join itself.
    let own = host.invites_instead_of("a");
    assert_eq!(
        host.asked("a", "10.0.0.1:7946", &own).0,
        JoinStatus::Admitted
    );
    let known = [
        (node("b"), at("10.0.0.9:7946")),
        (node("c"), at("10.0.0.3:7946")),
    ];
    assert_eq!(joined(&host.data_dir()).unwrap(), known);
    let expected = known.map(|(_, address)| address);
    assert_eq!(
        *host.expected.lock(),
        expected,
        "no node is expected where b was"
    );
}

#[test]
fn a_request_names_nobody_but_the_node() {
    let host = Host::new();
    let mut greedy = CertificateParams::new(vec!["a".to_owned(), "*".to_owned()]).unwrap();
    greedy.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let request = greedy.serialize_request(&key).unwrap().pem().unwrap();
    let mut question = question("b", &host.invites());
    question["request"] = request.into();
    let (status, answer) = host.answers(&question);
    assert_eq!(status, JoinStatus::Admitted, "{answer}");
    let certificate = der(answer["certificate"].as_str().unwrap());
    let (_, read) = X509Certificate::from_der(&certificate).unwrap();
    assert!(!read.is_ca());
    let names = read.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
    assert_eq!(names.value.general_names[0].to_string(), "DNSName(b)");
}

#[test]
fn what_does_not_fit_is_refused_and_uses_no_invitation() {
    let host = Host::new();
    let good = question("b", &host.invites());
    for (key, value) in [
        ("node", json!("B")),
        ("node", json!("")),
        ("node", json!("10.0.0.1")),
        ("node", json!(7)),
        ("listen", json!("10.0.0.2")),
        ("listen", json!("10.0.0.2:0")),
        ("listen", json!("0.0.0.0:7946")),
        ("listen", json!("224.0.0.1:7946")),
        ("listen", json!("b.internal:7946")),
        ("request", json!("hunter2")),
        ("request", json!(host.proof.certificate_pem)),
        ("version", json!(2)),
        ("version", json!("1")),
        ("secret", json!(null)),
    ] {
        let mut question = good.clone();
        question[key] = value;
        let (status, answer) = host.answers(&question);
        assert_eq!(status, JoinStatus::Malformed, "{key}: {answer}");
        assert_eq!(answer["version"], 1);
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
    }
    for garbage in [
        &b""[..],
        b"{",
        b"[]",
        b"null",
        b"\xff\xff",
        b"{\"version\":1}",
    ] {
        assert_eq!(
            host.enrolment
                .answer_join_request(at("192.0.2.1:1"), garbage, clock::now())
                .0,
            JoinStatus::Malformed
        );
    }
    assert_eq!(host.answers(&good).0, JoinStatus::Admitted);
}

#[test]
fn a_question_is_bounded() {
    let host = Host::new();
    let mut question = question("b", &host.invites());
    question["more"] = "x".repeat(QUESTION_BYTES_MAX).into();
    assert_eq!(host.answers(&question).0, JoinStatus::TooLong);
    question["more"] = "what later versions add is passed over".into();
    assert_eq!(host.answers(&question).0, JoinStatus::Admitted);
}

#[test]
fn a_node_that_cant_admit_says_nothing_of_its_files() {
    let host = Host::new();
    let question = question("b", &host.invites());
    let key = host.home.path().join(KEY_FILE);
    let aside = host.home.path().join("aside");
    fs::rename(&key, &aside).unwrap();
    let (status, answer) = host.answers(&question);
    assert_eq!(status, JoinStatus::Failed);
    assert!(!answer.to_string().contains("ca.key"), "{answer}");
    fs::rename(&aside, &key).unwrap();
    assert_eq!(
        host.answers(&question).0,
        JoinStatus::Admitted,
        "the invitation is still good"
    );
}

/// A node of the cluster that answers with something else.
#[test]
fn an_answer_that_does_not_fit_makes_no_node() {
    let host = Host::new();
    let now = clock::now();
    let other = Authority::found(now).unwrap();
    let welcome = |certificate: &str, authority: &Authority, peers: Value| {
        let authority = authority.certificate_pem();
        json!({"version": 1, "certificate": certificate, "authority": authority, "peers": peers})
    };
    let for_b = host
        .authority
        .equip(&node("b"), now)
        .unwrap()
        .certificate_pem;
    let mut later = welcome(&for_b, &host.authority, json!([]));
    later["version"] = 2.into();
    for (what, answer) in [
        (
            "a key of another node",
            welcome(&for_b, &host.authority, json!([])),
        ),
        (
            "another name",
            welcome(&host.proof.certificate_pem, &host.authority, json!([])),
        ),
        ("another authority", welcome(&for_b, &other, json!([]))),
        ("no certificate", welcome("", &host.authority, json!([]))),
        (
            "no peers",
            welcome(&for_b, &host.authority, json!(["\u{1b}[31m"])),
        ),
        ("another version", later),
        ("nothing", json!(null)),
    ] {
        let answer = (JoinStatus::Admitted, answer.to_string().into_bytes());
        let listener = Listener::pretending(host.chain(), &host.proof.key_pem, answer);
        let error = listener.is_asked_by("b", &host.invites()).err().unwrap();
        assert!(matches!(error, JoinError::Unfit(_)), "{what}: {error}");
    }
    let long = (JoinStatus::Admitted, vec![b' '; 100_000]);
    let listener = Listener::pretending(host.chain(), &host.proof.key_pem, long);
    let error = listener.is_asked_by("b", &host.invites()).err().unwrap();
    assert!(error.to_string().contains("too long"), "{error}");
    let body = br#"{"version":1,"error":"\u001b[31mno"}"#;
    let answer = (JoinStatus::NameRefused, body.to_vec());
    let listener = Listener::pretending(host.chain(), &host.proof.key_pem, answer);
    let (status, why) = refusal(listener.is_asked_by("b", &host.invites()));
    assert_eq!((status, &*why), (JoinStatus::NameRefused, "[31mno"));
}

#[test]
fn where_nobody_is_there_the_machine_says_so() {
    let host = Host::new();
    // Bound and not listening: no other process can have it meanwhile.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&at("127.0.0.1:0").into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let application = Application {
        at: &PeerAddress::Address(address),
        invitation: &host.invites(),
        node: &node("b"),
        listen: None,
    };
    let error = application.send().err().unwrap();
    assert!(matches!(error, JoinError::Unreachable(_)), "{error}");
}
