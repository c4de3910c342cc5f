//! What must hold for every input. `make fuzz` hunts for one that breaks it; tests/fuzzing.rs samples the same.

#[path = "../../tests/support/bare_gate.rs"]
mod bare_gate;
mod configuration;
mod credential;
mod gossip_frame;
mod graphql;
mod journal_record;
mod path;
mod percent;
mod proxy_header;

pub use configuration::configuration;
pub use credential::credential;
pub use gossip_frame::{gossip_frame, gossip_seeds, gossip_talk};
pub use graphql::graphql;
pub use journal_record::journal_record;
pub use path::path;
pub use proxy_header::proxy_header;

use doorward::demo::shop::PretendShop as Shop; // whose secret the bare gate takes
