//! How a pretend shop fails.

/// How the shop goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShopFailure {
    /// Not at all.
    None,
    /// Every request is answered with this status.
    Status(u16),
    /// The shop does not know its own logout path.
    NotFoundAtLogout,
    /// Every request closes its connection, unanswered.
    HangUp,
    /// No request is answered; its connection stays open until the client closes it or the shop is dropped.
    Silent,
}
