//! A wire from one node to another that a test can cut, slow down or deafen.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use doorward::clock;

use super::patience::PATIENCE;

/// How many blocks are on their way at once, each way; whoever sends more waits.
const BLOCKS_MAX: usize = 256;

/// The shortest pause of a slow link.
const PAUSE: Duration = Duration::from_millis(20);

/// What a link does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Everything arrives at once.
    Healthy,
    /// What stands is closed, and nothing new stands.
    Cut,
    /// Everything is taken and nothing arrives, either way; nothing is closed before it is healed.
    HalfOpen,
    /// Nothing arrives, either way, before it is healed; then everything does.
    Frozen,
    /// Everything arrives, either way, at so many bytes a second.
    Slow(u32),
    /// Everything arrives, either way, after so long.
    Late(Duration),
    /// Nothing of what flows this way arrives before it is healed; then everything does.
    FrozenOneWay(Flow),
}

/// The way from the end that has dialed, or the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Outward,
    Inward,
}

/// Bytes on their way.
struct Block {
    flow: Flow,
    bytes: Vec<u8>,
    /// When the link has taken them.
    taken: Instant,
}

/// Where the connections of a link go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// It is not known yet: they wait.
    Unknown,
    /// To nobody: they are closed.
    Nobody,
    At(SocketAddr),
}

/// A listener whose connections go where the test says; dropping it closes them.
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Everything that arrived, either way.
    carried: Mutex<Vec<u8>>,
}

struct State {
    condition: Condition,
    target: Target,
    wires: HashMap<u64, Wire>,
    /// The next wire's number.
    next: u64,
    closed: bool,
}

/// One connection.
struct Wire {
    ends: Vec<TcpStream>,
    /// Bytes were taken that never arrived.
    lost_bytes: bool,
}

impl Link {
    /// A healthy one to nobody.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                condition: Condition::Healthy,
                target: Target::Nobody,
                wires: HashMap::new(),
                next: 0,
                closed: false,
            }),
            changed: Condvar::new(),
            carried: Mutex::default(),
        });
        let within = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if within.state().closed {
                    return;
                }
                let within = Arc::clone(&within);
                thread::spawn(move || drop(within.carry(&near)));
            }
        });
        Self { address, shared }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// It ends here from now on; connections to where it ended are closed.
    pub fn lead_to(&self, address: SocketAddr) {
        self.aim(Target::At(address));
    }

    /// It will end somewhere: who connects waits until it does.
    pub fn lead_somewhere_soon(&self) {
        self.aim(Target::Unknown);
    }

    /// It ends nowhere: who connects is closed.
    pub fn lead_nowhere(&self) {
        self.aim(Target::Nobody);
    }

    pub fn becomes(&self, condition: Condition) {
        let mut state = self.shared.state();
        let healed = state.condition == Condition::HalfOpen && condition != Condition::HalfOpen;
        state.condition = condition;
        if condition == Condition::Cut {
            state.close_wires(|_| true);
        } else if healed {
            state.close_wires(|wire| wire.lost_bytes);
        }
        self.shared.changed.notify_all();
    }

    /// How many bytes have arrived, either way.
    pub fn bytes(&self) -> usize {
        self.shared.carried.lock().unwrap().len()
    }

    /// Whether these bytes were among those that have arrived.
    pub fn has_carried(&self, bytes: &[u8]) -> bool {
        let carried = self.shared.carried.lock().unwrap();
        carried.windows(bytes.len()).any(|window| window == bytes)
    }

    /// How many connections stand.
    pub fn connections(&self) -> usize {
        self.shared.state().wires.len()
    }

    fn aim(&self, target: Target) {
        let mut state = self.shared.state();
        if state.target != Target::Unknown {
            state.close_wires(|_| true);
        }
        state.target = target;
        self.shared.changed.notify_all();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        state.close_wires(|_| true);
        drop(state);
        self.shared.changed.notify_all();
        drop(TcpStream::connect(self.address)); // accept has no other way to be interrupted
    }
}

impl State {
    fn close_wires(&self, which: impl Fn(&Wire) -> bool) {
        for wire in self.wires.values().filter(|wire| which(wire)) {
            for end in &wire.ends {
                drop(end.shutdown(Shutdown::Both));
            }
        }
    }

    fn is_frozen(&self, flow: Flow) -> bool {
        self.condition == Condition::Frozen || self.condition == Condition::FrozenOneWay(flow)
    }

    fn is_cut(&self) -> bool {
        self.closed || self.condition == Condition::Cut || self.target == Target::Nobody
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, mut so: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_while(self.state(), |state| so(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection, until either end closes it.
    fn carry(&self, near: &TcpStream) -> io::Result<()> {
        let Some(number) = self.enter(near)? else {
            return Ok(());
        };
        let far = self.connect(number);
        if let Ok(Some(far)) = &far {
            thread::scope(|scope| {
                scope.spawn(|| self.pump(number, Flow::Outward, near, far));
                self.pump(number, Flow::Inward, far, near);
            });
        }
        self.state().wires.remove(&number);
        drop(near.shutdown(Shutdown::Both));
        far.map(drop)
    }

    /// Registers a connection; `None`: the link is cut.
    fn enter(&self, near: &TcpStream) -> io::Result<Option<u64>> {
        near.set_nodelay(true)?;
        let ends = vec![near.try_clone()?];
        let mut state = self.state();
        if state.is_cut() {
            return Ok(None);
        }
        let number = state.next;
        state.next += 1;
        let lost_bytes = false;
        state.wires.insert(number, Wire { ends, lost_bytes });
        Ok(Some(number))
    }

    /// Connects to the far end, when there is one and the link is open; `None`: it was cut, or healed after having
    /// been half open, which no handshake survives.
    fn connect(&self, number: u64) -> io::Result<Option<TcpStream>> {
        let mut was_deaf = false;
        let state = self.wait_while(|state| {
            let deaf = matches!(
                state.condition,
                Condition::HalfOpen | Condition::Frozen | Condition::FrozenOneWay(_)
            );
            was_deaf |= state.condition == Condition::HalfOpen;
            !state.is_cut() && (deaf || state.target == Target::Unknown)
        });
        let Target::At(address) = state.target else {
            return Ok(None);
        };
        if was_deaf || state.is_cut() {
            return Ok(None);
        }
        drop(state);
        let far = TcpStream::connect_timeout(&address, PATIENCE)?;
        far.set_nodelay(true)?;
        let mut state = self.state();
        if state.is_cut() || state.target != Target::At(address) {
            return Ok(None);
        }
        if let Some(wire) = state.wires.get_mut(&number) {
            wire.ends.push(far.try_clone()?);
        }
        Ok(Some(far))
    }

    /// Carries one way, until either end closes.
    fn pump(&self, number: u64, flow: Flow, from: &TcpStream, to: &TcpStream) {
        let (taken, to_deliver) = sync_channel(BLOCKS_MAX);
        thread::scope(|scope| {
            scope.spawn(move || take_all(flow, from, &taken));
            self.deliver_all(number, &to_deliver, to);
            drop(from.shutdown(Shutdown::Both));
            drop(to.shutdown(Shutdown::Both));
            drop(to_deliver);
        });
    }

    fn deliver_all(&self, number: u64, blocks: &Receiver<Block>, mut to: &TcpStream) {
        for block in blocks {
            if self.deliver(number, &block, &mut to).is_err() {
                return;
            }
        }
    }

    fn deliver(&self, number: u64, block: &Block, to: &mut &TcpStream) -> io::Result<()> {
        let mut bytes = block.bytes.as_slice();
        while !bytes.is_empty() {
            let mut state = self.wait_while(|state| state.is_frozen(block.flow) && !state.is_cut());
            let portion = match state.condition {
                Condition::Healthy | Condition::Frozen | Condition::FrozenOneWay(_) => bytes.len(),
                Condition::Slow(rate) => self.portion(state, rate).min(bytes.len()),
                Condition::Late(delay) => {
                    let taken_ago = clock::instant().duration_since(block.taken);
                    let left = delay.saturating_sub(taken_ago);
                    if !left.is_zero() {
                        let is_late = |state: &mut State| state.condition == Condition::Late(delay);
                        drop(self.changed.wait_timeout_while(state, left, is_late));
                        continue;
                    }
                    bytes.len()
                }
                Condition::Cut => return Err(io::ErrorKind::ConnectionAborted.into()),
                Condition::HalfOpen => {
                    if let Some(wire) = state.wires.get_mut(&number) {
                        wire.lost_bytes = true;
                    }
                    return Ok(());
                }
            };
            let arriving = &bytes[..portion];
            self.carried.lock().unwrap().extend_from_slice(arriving);
            to.write_all(arriving)?;
            bytes = &bytes[portion..];
        }
        Ok(())
    }

    /// How much may pass after a pause, at this rate.
    fn portion(&self, state: MutexGuard<'_, State>, bytes_per_second: u32) -> usize {
        let is_slow = |state: &mut State| matches!(state.condition, Condition::Slow(_));
        drop(self.changed.wait_timeout_while(state, PAUSE, is_slow));
        let pauses_per_second = u32::try_from(1000 / PAUSE.as_millis()).unwrap_or(1);
        usize::try_from(bytes_per_second / pauses_per_second).map_or(1, |portion| portion.max(1))
    }
}

/// Takes what comes from an end, until it closes or nobody delivers any more.
fn take_all(flow: Flow, mut from: &TcpStream, taken: &SyncSender<Block>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let block = Block {
            flow,
            bytes: buffer[..length].to_vec(),
            taken: clock::instant(),
        };
        if taken.send(block).is_err() {
            return;
        }
    }
}
