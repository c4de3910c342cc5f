//! The server of enrolments: it checks the invitation, and issues the certificate.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{Level, error, info, log};
use parking_lot::Mutex;
use serde::Serialize;

use super::authority::{Authority, ProvenKey};
use super::invitation::{Secret, StoredInvitation};
use super::joined_nodes::{joined, remember};
use super::messages::{JoinRejection, JoinRequest, JoinResponse, VERSION, VersionedMessage};
use crate::clients::CountsPerMinute;
use crate::clock::{self, UnixTime};
use crate::cluster::peer_address::PeerAddress;
use crate::cluster::settings::{ClusterSettings, Security};
use crate::cluster::transport::{EnrolmentHandler, JoinStatus, QUESTION_BYTES_MAX};
use crate::revocation::NodeName;

/// How many wrong invitations of one address are answered in a minute. A secret of 128 bits can't be guessed; this
/// bounds what such attempts cost this node and its log.
const FAILURES_MAX: u32 = 5;

/// Admits machines to the cluster.
pub(crate) struct EnrolmentServer {
    node: NodeName,
    data_dir: PathBuf,
    terms: Mutex<Arc<EnrolmentTerms>>,
    connected: Box<dyn Fn() -> Vec<NodeName> + Send + Sync>,
    admitted: OnAdmitted,
    failures: CountsPerMinute,
    /// One after the other, because an invitation and a name are good for one machine.
    admitting: Mutex<()>,
}

/// The part of the configuration that joining nodes get; a reload may change it.
struct EnrolmentTerms {
    ca_file: PathBuf,
    peers: Vec<PeerAddress>,
    /// Empty: every name.
    allow: Vec<NodeName>,
    quarantine: Vec<NodeName>,
}

/// Is called with the addresses of all nodes that joined.
type OnAdmitted = Box<dyn Fn(Vec<SocketAddr>) + Send + Sync>;

/// A join request whose every part was parsed.
struct JoinCandidate {
    node: NodeName,
    listen: SocketAddr,
    key: ProvenKey,
}

/// The nodes that joined earlier.
type JoinedEarlier = [(NodeName, SocketAddr)];

/// An answer that is no welcome.
type EnrolmentRefused = (JoinStatus, String);

impl EnrolmentServer {
    /// For the node of these settings; none, where nodes have no certificates. `connected` returns the connected nodes;
    /// `admitted` is called with the addresses of all machines that joined, as soon as another one has.
    pub(crate) fn new(
        settings: &ClusterSettings,
        data_dir: &Path,
        connected: impl Fn() -> Vec<NodeName> + Send + Sync + 'static,
        admitted: impl Fn(Vec<SocketAddr>) + Send + Sync + 'static,
    ) -> Option<Self> {
        Some(Self {
            node: settings.node.clone(),
            data_dir: data_dir.to_owned(),
            terms: Mutex::new(EnrolmentTerms::of(settings)?.into()),
            connected: Box::new(connected),
            admitted: Box::new(admitted),
            failures: CountsPerMinute::default(),
            admitting: Mutex::default(),
        })
    }

    /// Uses other settings from now on.
    pub(crate) fn reconfigure(&self, settings: &ClusterSettings) {
        if let Some(terms) = EnrolmentTerms::of(settings) {
            *self.terms.lock() = terms.into();
        }
    }

    /// Answers a join request: the status, and a body of JSON.
    ///
    /// It reads and writes files and waits for the disk, some milliseconds in all, so it must not run on a thread of the
    /// runtime.
    pub(super) fn answer_join_request(
        &self,
        remote: SocketAddr,
        question: &[u8],
        now: UnixTime,
    ) -> (JoinStatus, Vec<u8>) {
        match self.enrol(remote, question, now) {
            Ok(welcome) => (JoinStatus::Admitted, json(&welcome)),
            Err((status, error)) => {
                // Strangers may send anything, which is not logged; guesses are counted.
                let level = match status {
                    JoinStatus::NotInvited | JoinStatus::NameRefused => Level::Warn,
                    JoinStatus::Admitted
                    | JoinStatus::Malformed
                    | JoinStatus::TooLong
                    | JoinStatus::TooManyAttempts
                    | JoinStatus::Busy
                    | JoinStatus::Failed => Level::Debug,
                };
                log!(level, remote:%, status:%, why = error.as_str(); "a machine was not admitted");
                let version = VERSION;
                (status, json(&JoinRejection { version, error }))
            }
        }
    }

    /// The handler of join requests, for the gossip listener.
    pub(crate) fn joins(self: &Arc<Self>) -> EnrolmentHandler {
        let enrolment = Arc::clone(self);
        Arc::new(move |remote, question| {
            enrolment.answer_join_request(remote, question, clock::now())
        })
    }

    fn enrol(
        &self,
        remote: SocketAddr,
        question: &[u8],
        now: UnixTime,
    ) -> Result<JoinResponse, EnrolmentRefused> {
        let question = parse_request(question)?;
        let _admitting = self.admitting.lock();
        let invitation = self.invitation(remote, &question, now)?;
        let newcomer = JoinCandidate::of(&question)?;
        let terms = Arc::clone(&self.terms.lock());
        self.is_welcome(&newcomer.node, &terms)?;
        let earlier = joined(&self.data_dir).map_err(|error| ours(&error))?;
        self.is_free(&newcomer, &invitation, &earlier)?;
        let welcome = welcome(&newcomer, &earlier, &terms, now)?;
        self.enter(&newcomer, invitation)?;
        Ok(welcome)
    }

    /// The valid invitation of a join request.
    fn invitation(
        &self,
        remote: SocketAddr,
        question: &JoinRequest,
        now: UnixTime,
    ) -> Result<StoredInvitation, EnrolmentRefused> {
        let client = remote.ip();
        if self.failures.is_over(client, FAILURES_MAX, now) {
            let why = "too many wrong invitations came from this address; try again in a minute";
            return Err((JoinStatus::TooManyAttempts, why.to_owned()));
        }
        let secret = Secret::parse(&question.secret);
        let found = secret.map(|secret| StoredInvitation::find(&self.data_dir, secret, now));
        let found = found.transpose().map_err(|error| ours(&error))?;
        found.flatten().ok_or_else(|| {
            self.failures.count_within(client, 1, FAILURES_MAX, now);
            let why = "the invitation is unknown there, was used, or is over; `doorward cluster invite` on that \
                       machine makes another";
            (JoinStatus::NotInvited, why.to_owned())
        })
    }

    /// Whether the configuration admits such a node: otherwise it would have a certificate, and no peer would accept it.
    fn is_welcome(&self, node: &NodeName, terms: &EnrolmentTerms) -> Result<(), EnrolmentRefused> {
        let why = if terms.quarantine.contains(node) {
            "stands in `quarantine`"
        } else if !terms.allow.is_empty() && !terms.allow.contains(node) {
            "does not stand in `allow`"
        } else {
            return Ok(());
        };
        let why = format!("{node} {why} of [cluster] at {}", self.node);
        Err((JoinStatus::NameRefused, why))
    }

    /// Two nodes of one name would take each other's revocations for their own, and machines are often copied together
    /// with their host name. So a name that is connected, or that joined from another address, is given again only
    /// if the invitation says so. The same name at the same address is a machine that was set up anew.
    fn is_free(
        &self,
        newcomer: &JoinCandidate,
        invitation: &StoredInvitation,
        earlier: &JoinedEarlier,
    ) -> Result<(), EnrolmentRefused> {
        let JoinCandidate { node, listen, .. } = newcomer;
        let is_elsewhere = |(name, address): &(_, _)| name == node && address != listen;
        let is_taken = *node == self.node
            || (self.connected)().contains(node)
            || earlier.iter().any(is_elsewhere);
        if !is_taken || invitation.replaces(node) {
            return Ok(());
        }
        let why = format!(
            "there is a node {node} already; choose another name with --node, or, if it is gone for good, invite with \
             `doorward cluster invite --replace {node}`"
        );
        Err((JoinStatus::NameRefused, why))
    }

    /// From here on the machine is a node, after a restart too, and its invitation is used. A node that has its own
    /// certificate renewed is not admitted again.
    fn enter(
        &self,
        newcomer: &JoinCandidate,
        invitation: StoredInvitation,
    ) -> Result<(), EnrolmentRefused> {
        let JoinCandidate { node, listen, .. } = newcomer;
        if *node == self.node {
            return invitation.use_up().map_err(|error| ours(&error));
        }
        remember(&self.data_dir, node, *listen).map_err(|error| ours(&error))?;
        invitation.use_up().map_err(|error| ours(&error))?;
        info!(node:%, address:% = listen; "a machine was admitted to the cluster");
        let all = joined(&self.data_dir).map_err(|error| ours(&error))?;
        (self.admitted)(all.into_iter().map(|(_, address)| address).collect());
        Ok(())
    }
}

impl EnrolmentTerms {
    fn of(settings: &ClusterSettings) -> Option<Self> {
        match &settings.security {
            Security::Loopback => None,
            Security::Certificates(certificates) => Some(Self {
                ca_file: certificates.ca_file.clone(),
                peers: settings.peers.clone(),
                allow: certificates.allow.clone(),
                quarantine: settings.quarantine.clone(),
            }),
        }
    }
}

impl JoinCandidate {
    fn of(question: &JoinRequest) -> Result<Self, EnrolmentRefused> {
        let unfit = |why: &str| (JoinStatus::Malformed, why.to_owned());
        let node = NodeName::parse(&question.node)
            .map_err(|expected| unfit(&format!("`node` does not fit: expected {expected}")))?;
        let listen = question.listen.parse().ok().filter(is_place);
        let listen =
            listen.ok_or_else(|| unfit("`listen` is no address with a port that others reach"))?;
        let key = ProvenKey::of_request(&question.request)
            .ok_or_else(|| unfit("`request` is not signed (PKCS#10) by an ECDSA key on P-256"))?;
        Ok(Self { node, listen, key })
    }
}

/// Whether a node could listen at this address.
fn is_place(address: &SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}

fn parse_request(question: &[u8]) -> Result<JoinRequest, EnrolmentRefused> {
    if question.len() > QUESTION_BYTES_MAX {
        let why = format!("a question has at most {QUESTION_BYTES_MAX} bytes");
        return Err((JoinStatus::TooLong, why));
    }
    // What serde says may quote the secret.
    let unfit = |_| {
        (
            JoinStatus::Malformed,
            "this is no question to join".to_owned(),
        )
    };
    let VersionedMessage { version } = serde_json::from_slice(question).map_err(unfit)?;
    if version != VERSION {
        let why = format!("version {version} is not spoken there, but version {VERSION}");
        return Err((JoinStatus::Malformed, why));
    }
    serde_json::from_slice(question).map_err(unfit)
}

/// What the new node needs.
fn welcome(
    newcomer: &JoinCandidate,
    earlier: &JoinedEarlier,
    terms: &EnrolmentTerms,
    now: UnixTime,
) -> Result<JoinResponse, EnrolmentRefused> {
    let authority = Authority::open(&terms.ca_file).map_err(|error| ours(&error))?;
    let issued = authority.issue(&newcomer.node, &newcomer.key, now);
    Ok(JoinResponse {
        version: VERSION,
        certificate: issued.map_err(|error| ours(&error))?,
        authority: authority.certificate_pem(),
        peers: peers_for(newcomer, earlier, terms),
    })
}

/// Where the new node finds the others, beside this one.
fn peers_for(
    newcomer: &JoinCandidate,
    earlier: &JoinedEarlier,
    terms: &EnrolmentTerms,
) -> Vec<String> {
    let own = newcomer.listen.to_string();
    let others = earlier.iter().filter(|(node, _)| *node != newcomer.node);
    let others = others.map(|(_, address)| address.to_string());
    let configured = terms.peers.iter().map(ToString::to_string);
    let mut peers: Vec<_> = configured
        .chain(others)
        .filter(|peer| *peer != own)
        .collect();
    peers.sort();
    peers.dedup();
    peers
}

/// An error of this node. Its log has the details; the client, which is not a node yet, does not get them.
fn ours(why: &dyn Display) -> EnrolmentRefused {
    error!(why:%; "no node can be admitted");
    let text = "that node can't admit other nodes; its log says why".to_owned();
    (JoinStatus::Failed, text)
}

fn json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_default()
}
