//! Keys that verify tokens, checked when they are loaded: a key that does not fit its algorithm is never used.

mod algorithms;
mod first_success;
mod jwk;
mod key_set;
mod unfit_key;
mod verifying_key;

pub use algorithms::{ALGORITHMS, algorithm_name, secret_bytes_min};
pub(super) use algorithms::{algorithm, is_signature_algorithm};
pub(in crate::request) use first_success::Acceptance;
pub use first_success::{FailureWeight, FirstSuccess, NoneAccepted, SuccessNews};
pub use key_set::{KeyDescription, Keys};
pub use unfit_key::{UnfitKey, UnfitSet};
