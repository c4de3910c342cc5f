//! The client of an enrolment: it verifies the inviting node, and requests a certificate.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rcgen::KeyPair;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{self, CertificateDer, ServerName};
use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, PeerIncompatible, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{self, AuthorityError, CertificateDigest, digest_of, vouches_for};
use super::invitation::Invitation;
use super::messages::{JoinRejection, JoinRequest, JoinResponse, VERSION, VersionedMessage};
use crate::clock::{self, UnixTime};
use crate::cluster::peer_address::PeerAddress;
use crate::cluster::transport::{JoinStatus, ask_to_join, resolve};
use crate::revocation::NodeName;

/// How long everything may take: the name, the connection and the answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The default port of nodes.
pub const GOSSIP_PORT: u16 = 7946;

/// The request of this machine to be a node.
pub struct Application<'a> {
    /// The gossip listener of the node that invites.
    pub at: &'a PeerAddress,
    /// The invitation of that node.
    pub invitation: &'a Invitation,
    /// The name that this machine will have.
    pub node: &'a NodeName,
    /// Where other nodes find this machine; none: at the address from which it asks, on the usual port. An unspecified
    /// address stands for that one, too.
    pub listen: Option<SocketAddr>,
}

/// What a machine that was admitted has.
pub struct EnrolledNode {
    /// Its certificate, in PEM.
    pub certificate_pem: String,
    /// Its key, in PEM.
    pub key_pem: String,
    /// The authority's certificate, in PEM.
    pub authority_pem: String,
    /// Where other nodes are; first the one that answered.
    pub peers: Vec<PeerAddress>,
    /// Where they expect this one.
    pub listen: SocketAddr,
}

/// Why a machine did not become a node.
#[derive(Debug)]
pub enum JoinError {
    /// There is no connection, or it breaks.
    Unreachable(io::Error),
    /// The server is not of the cluster that invited. Nothing was sent to it.
    WrongCluster,
    /// It took too long.
    Late,
    /// The node says no.
    EnrolmentRefused(JoinStatus, String),
    /// The answer is of no use.
    Unfit(&'static str),
    /// There is no key or request.
    Key(AuthorityError),
}

impl std::error::Error for JoinError {}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(
                f,
                "{error}\n  help: does it run with [cluster], and can this machine reach it?"
            ),
            Self::WrongCluster => f.write_str(
                "the node that answers there does not belong to the cluster of this invitation; nothing was sent to it\n  help: is the \
                 address right, is the invitation of that machine, and is the time right on both?",
            ),
            Self::Late => write!(f, "no answer within {} seconds", PATIENCE.as_secs()),
            Self::EnrolmentRefused(status, why) => write!(f, "it says no ({status}): {why}"),
            Self::Unfit(why) => write!(f, "its answer is of no use: {why}"),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl Application<'_> {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// Says why this machine did not become a node.
    pub fn send(&self) -> Result<EnrolledNode, JoinError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(JoinError::Unreachable)?;
        let asking = async { tokio::time::timeout(PATIENCE, self.ask()).await };
        runtime.block_on(asking).unwrap_or(Err(JoinError::Late))
    }

    /// Of several addresses of a name, the first one that can be reached is asked.
    async fn ask(&self) -> Result<EnrolledNode, JoinError> {
        let key = authority::new_key().map_err(JoinError::Key)?;
        let request = authority::request(self.node, &key).map_err(JoinError::Key)?;
        let mut outcome = Err(JoinError::Unreachable(io::ErrorKind::NotFound.into()));
        for address in addresses(self.at).await? {
            outcome = self.ask_at(address, &key, &request).await;
            if !matches!(outcome, Err(JoinError::Unreachable(_))) {
                break;
            }
        }
        outcome
    }

    async fn ask_at(
        &self,
        address: SocketAddr,
        key: &KeyPair,
        request: &str,
    ) -> Result<EnrolledNode, JoinError> {
        let verifier = Arc::new(OneAuthority::of(self.invitation));
        let mut listen = address;
        let question = |local| {
            listen = place(self.listen, local);
            self.question(listen, request)
        };
        let answered = ask_to_join(address, Arc::clone(&verifier) as _, question).await;
        let (status, answer) = answered.map_err(|error| verifier.explain(error))?;
        let welcome = parse_answer(status, &answer)?;
        self.check(&welcome, key, clock::now())?;
        Ok(EnrolledNode {
            peers: self.peers(&welcome, listen)?,
            certificate_pem: welcome.certificate,
            authority_pem: welcome.authority,
            key_pem: key.serialize_pem(),
            listen,
        })
    }

    fn question(&self, listen: SocketAddr, request: &str) -> Bytes {
        let question = JoinRequest {
            version: VERSION,
            secret: self.invitation.secret.text(),
            node: self.node.to_string(),
            listen: listen.to_string(),
            request: request.to_owned(),
        };
        serde_json::to_vec(&question).unwrap_or_default().into()
    }

    /// Whether the certificate is for this machine, and of the authority that invited.
    fn check(&self, welcome: &JoinResponse, key: &KeyPair, now: UnixTime) -> Result<(), JoinError> {
        let read = |pem: &str| {
            CertificateDer::from_pem_slice(pem.as_bytes())
                .map_err(|_| JoinError::Unfit("it holds no certificate"))
        };
        let (authority, node) = (read(&welcome.authority)?, read(&welcome.certificate)?);
        if digest_of(&authority) != self.invitation.authority {
            return Err(JoinError::Unfit(
                "its authority is not the one that invited",
            ));
        }
        vouches_for(&authority, &node, &[], now).map_err(|_| {
            JoinError::Unfit("its authority does not vouch for the certificate now")
        })?;
        if !is_made_for(&node, self.node, key) {
            return Err(JoinError::Unfit(
                "the certificate was made for another machine",
            ));
        }
        Ok(())
    }

    /// The node that answered, and those that it names.
    fn peers(
        &self,
        welcome: &JoinResponse,
        listen: SocketAddr,
    ) -> Result<Vec<PeerAddress>, JoinError> {
        let mut peers = vec![self.at.clone()];
        for text in &welcome.peers {
            let peer = PeerAddress::parse(text)
                .map_err(|_| JoinError::Unfit("one of its peers is no address with a port"))?;
            if peer != PeerAddress::Address(listen) && !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        Ok(peers)
    }
}

async fn addresses(at: &PeerAddress) -> Result<Vec<SocketAddr>, JoinError> {
    let mut found = resolve(std::slice::from_ref(at)).await.into_iter();
    let found = found.next().map_or(Ok(Vec::new()), |(_, found)| found);
    found.map_err(JoinError::Unreachable)
}

/// Where other nodes find this machine: at the operator's address, unless it is unspecified, else at the local one.
pub(super) fn place(listen: Option<SocketAddr>, local: SocketAddr) -> SocketAddr {
    let listen = listen.unwrap_or(SocketAddr::new(local.ip(), GOSSIP_PORT));
    if listen.ip().is_unspecified() {
        SocketAddr::new(local.ip(), listen.port())
    } else {
        listen
    }
}

/// Accepts servers with a certificate of one authority, which is known by its digest and sent by the server itself.
///
/// The server's name is not verified: any node of the cluster may answer.
#[derive(Debug)]
struct OneAuthority {
    authority: CertificateDigest,
    algorithms: WebPkiSupportedAlgorithms,
    has_refused: AtomicBool,
}

impl OneAuthority {
    fn of(invitation: &Invitation) -> Self {
        Self {
            authority: invitation.authority,
            algorithms: ring::default_provider().signature_verification_algorithms,
            has_refused: AtomicBool::new(false),
        }
    }

    fn verify(
        &self,
        node: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let mut intermediates = between.iter();
        let authority = intermediates.find(|shown| digest_of(shown) == self.authority);
        let authority = authority.ok_or(CertificateError::UnknownIssuer)?;
        vouches_for(authority, node, between, now)
    }

    fn note(&self, error: TlsError) -> TlsError {
        self.has_refused.store(true, Ordering::Relaxed);
        error
    }

    /// Why there is no answer.
    fn explain(&self, error: io::Error) -> JoinError {
        if self.has_refused.load(Ordering::Relaxed) {
            JoinError::WrongCluster
        } else {
            JoinError::Unreachable(error)
        }
    }
}

impl ServerCertVerifier for OneAuthority {
    fn verify_server_cert(
        &self,
        node: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp: &[u8],
        now: pki_types::UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let now = UnixTime::from_seconds(now.as_secs());
        let verified = self.verify(node, between, now);
        verified.map_err(|error| self.note(error))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        node: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let verified = verify_tls13_signature(message, node, signed, &self.algorithms);
        verified.map_err(|error| self.note(error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse_answer(status: JoinStatus, answer: &[u8]) -> Result<JoinResponse, JoinError> {
    if status != JoinStatus::Admitted {
        let rejection: Result<JoinRejection, _> = serde_json::from_slice(answer);
        let why = rejection.map_or_else(|_| "it does not say why".to_owned(), |said| said.error);
        return Err(JoinError::EnrolmentRefused(status, plain(&why)));
    }
    let unfit = |_| JoinError::Unfit("it is no welcome");
    let VersionedMessage { version } = serde_json::from_slice(answer).map_err(unfit)?;
    if version != VERSION {
        return Err(JoinError::Unfit("it is of another version"));
    }
    serde_json::from_slice(answer).map_err(unfit)
}

/// Foreign text, made safe for a terminal.
fn plain(text: &str) -> String {
    const CHARS_MAX: usize = 500;
    let chars = text.chars().take(CHARS_MAX);
    chars.filter(|letter| !letter.is_control()).collect()
}

fn is_made_for(certificate: &CertificateDer<'_>, node: &NodeName, key: &KeyPair) -> bool {
    let read = webpki::EndEntityCert::try_from(certificate);
    let name = ServerName::try_from(node.as_str());
    let (Ok(read), Ok(name)) = (read, name) else {
        return false;
    };
    let is_named = read.verify_is_valid_for_subject_name(&name).is_ok();
    let parsed = X509Certificate::from_der(certificate);
    let has_key = parsed.is_ok_and(|(_, parsed)| {
        let public_key = &parsed.tbs_certificate.subject_pki.subject_public_key;
        public_key.data == key.public_key_raw()
    });
    is_named && has_key
}
