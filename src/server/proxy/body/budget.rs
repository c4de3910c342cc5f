//! The budget of request bodies that are read ahead, in all and for each client network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::clients::ClientNetwork;
use crate::request::Refusal;
use crate::server::connection::limits::Limits;
use crate::server::operator::metrics::Metrics;

/// The bytes that are kept now.
pub(crate) struct BodyBudget {
    metrics: Arc<Metrics>,
    kept: AtomicUsize,
    by_client: Mutex<HashMap<ClientNetwork, usize>>,
}

/// The share of one request in the budget; dropping it gives the bytes back.
pub(crate) struct BodyShare {
    budget: Arc<BodyBudget>,
    /// `None`: a trusted proxy, which has no limit of its own.
    client: Option<ClientNetwork>,
    bytes_max: usize,
    bytes_per_client_max: usize,
    bytes: AtomicUsize,
}

/// The key of the limit that is reached.
type LimitKey = &'static str;

impl BodyBudget {
    /// Nothing is kept yet; `metrics` counts refusals.
    pub(crate) fn counting(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            kept: AtomicUsize::new(0),
            by_client: Mutex::default(),
        }
    }

    /// How many bytes are kept.
    pub(crate) fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }
}

impl BodyShare {
    /// Nothing yet, for a request of this client.
    pub(crate) fn new(budget: &Arc<BodyBudget>, client: Option<IpAddr>, limits: &Limits) -> Self {
        Self {
            budget: Arc::clone(budget),
            client: client.map(ClientNetwork::containing),
            bytes_max: limits.read_ahead_bytes,
            bytes_per_client_max: limits.read_ahead_bytes_per_client,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Holds this many bytes from now on; a refusal if the budget has no room.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Refusal> {
        self.resize(bytes).map_err(|limit| {
            self.budget.metrics.note_limit(limit);
            Refusal::ReadAheadFull
        })
    }

    fn resize(&self, bytes: usize) -> Result<(), LimitKey> {
        let held = self.bytes.load(Ordering::Relaxed);
        match bytes.checked_sub(held) {
            Some(0) => {}
            Some(more) => self.reserve(more)?,
            None => self.release(held - bytes),
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn reserve(&self, more: usize) -> Result<(), LimitKey> {
        let budget = &self.budget;
        if budget.kept.fetch_add(more, Ordering::Relaxed) + more > self.bytes_max {
            budget.kept.fetch_sub(more, Ordering::Relaxed);
            return Err("read_ahead_bytes");
        }
        let Some(client) = self.client else {
            return Ok(());
        };
        let mut by_client = budget.by_client.lock();
        let kept = by_client.get(&client).copied().unwrap_or_default() + more;
        if kept > self.bytes_per_client_max {
            drop(by_client);
            budget.kept.fetch_sub(more, Ordering::Relaxed);
            return Err("read_ahead_bytes_per_client");
        }
        by_client.insert(client, kept);
        Ok(())
    }

    fn release(&self, less: usize) {
        self.budget.kept.fetch_sub(less, Ordering::Relaxed);
        let Some(client) = self.client else {
            return;
        };
        let mut by_client = self.budget.by_client.lock();
        if let Some(kept) = by_client.get_mut(&client) {
            *kept -= less;
            if *kept == 0 {
                by_client.remove(&client);
            }
        }
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        if bytes > 0 {
            self.release(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_and_come_back_attacks_c1() {
        let metrics = Arc::new(Metrics::default());
        let budget = Arc::new(BodyBudget::counting(metrics));
        let limits = Limits {
            read_ahead_bytes: 100,
            read_ahead_bytes_per_client: 60,
            ..Limits::default()
        };
        let share = |client: &str| BodyShare::new(&budget, client.parse().ok(), &limits);
        let first = share("2001:db8::1");
        let neighbour = share("2001:db8::2");
        let other = share("192.0.2.1");
        let trusted = share("");
        assert_eq!(first.resize(40), Ok(()));
        assert_eq!(neighbour.resize(21), Err("read_ahead_bytes_per_client"));
        assert_eq!(neighbour.resize(20), Ok(()));
        assert_eq!(other.resize(41), Err("read_ahead_bytes"));
        assert_eq!(other.resize(40), Ok(()));
        assert_eq!(other.resize(30), Ok(()));
        assert_eq!(first.resize(50), Err("read_ahead_bytes_per_client"));
        assert_eq!(neighbour.resize(0), Ok(()));
        assert_eq!(first.resize(60), Ok(()));
        assert_eq!(budget.kept(), 90);
        drop((first, neighbour, other));
        assert_eq!(trusted.resize(100), Ok(()));
        assert_eq!(share("192.0.2.1").resize(1), Err("read_ahead_bytes"));
        drop(trusted);
        assert_eq!(budget.kept(), 0);
        assert!(budget.by_client.lock().is_empty());
    }
}
