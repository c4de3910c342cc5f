//! Everything that knows Pingora.

mod access_log;
mod acme;
mod connection;
mod journal_stream;
mod keys;
mod log_filters;
mod log_tail;
mod operator;
mod outline;
mod probe;
mod process;
mod proxy;
mod rehearsal;
mod reload;
mod reload_record;
mod settings;
mod snapshot;
mod start;
mod traces;
mod upstream;

pub use access_log::field::AccessField;
pub use access_log::settings::{AccessLogFormat, AccessLogSettings, AccessLogTarget};
pub use acme::settings::{AcmeChallenge, AcmeSettings};
pub use connection::certificate::{Certificate, UnfitCertificate};
pub use connection::client_certificate::{ClientAuthorities, UnfitAuthorities};
pub use connection::limits::Limits;
pub use connection::listener::{HttpsRedirect, ListenerRules};
/// For fuzz/ alone, which has no other way to a header.
pub use connection::read_proxy_header;
pub use journal_stream::is_journal;
pub use log_filters::log_filters;
pub use log_tail::note_log_line;
pub use operator::client::exchange;
pub use operator::control_client::{
    call, call_cluster, call_explain, call_for_pieces, call_meanings, order, order_reload,
};
pub use operator::order::ControlOrder;
pub use outline::Outline;
pub use probe::{Probed, probe};
pub use process::drain::Drain;
pub use process::listen::{Listen, ListenAddress, SOCKET_PATH_BYTES_MAX};
pub use process::sockets::SocketError;
pub use rehearsal::{
    Rehearsal, Rehearsed, RehearsedLogout, RehearsedVerdict, SampleRequest, SentRequest,
    UnfitSample,
};
pub use reload::{FaultReport, Load, Loaded};
pub use settings::Settings;
pub use snapshot::SnapshotSettings;
pub use start::{StartError, run};
pub use traces::settings::TraceSettings;
pub use upstream::{
    Balance, Check, Ejection, Endpoint, HashBy, HealthSettings, HttpCheck, Pools, ProxyProtocol,
    QueueState, Reached, ServerSettings, ServerState, Sticky, Thresholds, Timeouts, UnfitTls,
    UpstreamLimits, UpstreamOwner, UpstreamSettings, UpstreamTls, Upstreams,
};
