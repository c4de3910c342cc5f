//! What other nodes have a part in: numbered rows, what they acknowledge, and whether this node knows what they know.

mod acks;
mod node_name;
mod replication_log;
mod row;
mod sync_state;

pub use acks::{AckPolicy, Acks};
pub use node_name::NodeName;
pub use replication_log::{Origin, ReceivedRows, ReplicationLog, VersionVector};
pub use row::Row;
pub(crate) use sync_state::SyncFinding;
pub use sync_state::{SyncPhase, SyncState};
