//! How soon a logout on one node is a 401 on the other two, while customers of all three go on.
//!
//! Everything is timed by one thread: an answer is there when that thread has read it, and a request begins when it
//! writes it. What is asked does not wait for what was asked before, so that a node that stalls is not spared.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use doorward::clock;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant as Moment, MissedTickBehavior, interval, sleep, sleep_until};

use crate::line::Lines;
use crate::metrics::Histogram;
use crate::node::cpu_of;
use crate::nodes::{A, B, C, Nodes};
use crate::support::stopwatch::percentile;
use crate::table::{Table, heading, shown};

const P50: Duration = Duration::from_millis(3);
const P99: Duration = Duration::from_millis(25);

/// After this nobody may be let in any more.
const TOO_LATE: Duration = Duration::from_secs(1);

/// How long a watch goes on when a dead token is let in again and again.
const WATCH: Duration = Duration::from_secs(2);

/// How many logouts a second are watched at the most: every so many-th, however long the others take.
const WATCHED: u64 = 125;

/// How often a node is asked about a token that is watched; after some time only whenever that has grown by a quarter.
const POLL_EVERY: Duration = Duration::from_millis(1);
const POLLS_PER_SPAN: u32 = 4;

/// Requests of customers who stay, each second at each node, and how many customers those are.
const TRAFFIC: u64 = 200;
const STAYING: u64 = 50;

/// How many tokens are asked about at the same time in the end.
const AT_ONCE: usize = 16;

/// The nodes that have to hear of it.
const OTHERS: [usize; 2] = [B, C];

/// Measures one rate for so long.
pub async fn measure(nodes: &mut Nodes, table: &mut Table, rate: u64, span: Duration) {
    heading(&format!("{rate} logouts a second, for {span:?}"));
    let count = rate * u64::try_from(span.as_millis()).unwrap_or(u64::MAX) / 1_000;
    let leaving = nodes.customers.fresh(count.max(1));
    let staying = nodes.customers.fresh(STAYING);
    nodes.all.iter().for_each(|node| node.front.hang_up());
    let before = nodes.all[A].metrics().await;
    let cpu = cpu(nodes);
    let traffic = Traffic::at(nodes, staying);
    let load = Rc::new(Load::of(nodes, &leaving, rate));
    let taken = load.run(rate).await;
    let others = traffic.end().await;
    let used = cpu_since(nodes, &cpu, span);
    sleep(TOO_LATE).await;
    let late = Late {
        a_second_later: load.asked_later().await,
        in_the_end: accepted(nodes, &load.gone(leaving)).await,
    };
    let after = nodes.all[A].metrics().await;
    let own = after.histogram_since(&before, "doorward_propagation_seconds");
    let seen = load.seen();
    seen.print(count, taken, &own);
    println!("\n{}", late.told());
    println!(
        "Of {} requests of customers who stay {} were not answered with 200.",
        others.0, others.1
    );
    let shortfalls =
        |metrics: &crate::metrics::Metrics| metrics.sum("doorward_ack_shortfalls_total");
    println!(
        "Logouts that no other node had acknowledged in time: {}.",
        shortfalls(&after) - shortfalls(&before)
    );
    println!("Processors used: {used}.");
    seen.judge(table, rate);
    late.judge(table, rate);
    table.never(
        &format!("{rate}/s: customers who stay, refused"),
        others.1,
        others.0,
    );
}

/// Customers who stay, and ask for a page now and then.
struct Traffic {
    is_over: Rc<Cell<bool>>,
    asking: Vec<JoinHandle<(u64, u64)>>,
}

impl Traffic {
    fn at(nodes: &Nodes, staying: Range<u64>) -> Self {
        let is_over = Rc::new(Cell::new(false));
        let visits: Rc<[_]> = staying
            .map(|number| nodes.customers.visit(number))
            .collect();
        let ask = |front: &Rc<Lines>| {
            let asked = ask_steadily(Rc::clone(front), Rc::clone(&visits), Rc::clone(&is_over));
            spawn_local(asked)
        };
        let asking = nodes.all.iter().map(|node| ask(&node.front)).collect();
        Self { is_over, asking }
    }

    /// How many requests there were, and how many of them were not answered with 200.
    async fn end(self) -> (u64, u64) {
        self.is_over.set(true);
        let mut sums = (0, 0);
        for asked in self.asking {
            let (asked, refused) = asked.await.expect("nobody panics");
            sums = (sums.0 + asked, sums.1 + refused);
        }
        sums
    }
}

async fn ask_steadily(
    front: Rc<Lines>,
    visits: Rc<[Rc<[u8]>]>,
    is_over: Rc<Cell<bool>>,
) -> (u64, u64) {
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(TRAFFIC).unwrap_or(1));
    let refused = Rc::new(Cell::new(0));
    let mut asked = Vec::new();
    for visit in visits.iter().cycle() {
        ticks.tick().await;
        if is_over.get() {
            break;
        }
        let (front, visit, refused) = (Rc::clone(&front), Rc::clone(visit), Rc::clone(&refused));
        asked.push(spawn_local(async move {
            if front.ask(&visit).await != 200 {
                refused.set(refused.get() + 1);
            }
        }));
    }
    let count = asked.len() as u64;
    for one in asked {
        one.await.expect("nobody panics");
    }
    (count, refused.get())
}

/// Customers who leave, and what became of them.
struct Load {
    here: Rc<Lines>,
    others: [Rc<Lines>; 2],
    logouts: Vec<Rc<[u8]>>,
    visits: Vec<Rc<[u8]>>,
    /// Of so many logouts one is watched.
    watches_one_of: usize,
    /// How long each logout took, and how much later than it was due it was sent.
    took: RefCell<Vec<(Duration, Duration)>>,
    /// Whose logout was not answered with success.
    failed: RefCell<HashSet<usize>>,
    watched: RefCell<Vec<Watched>>,
    later: RefCell<Vec<JoinHandle<[u16; 2]>>>,
}

/// What was seen of one logout at the slower of the other nodes.
struct Watched {
    /// From the answer until a request began that was let in, the last one; zero, when none was.
    last_accepted: Duration,
    /// From the answer until a request began that was refused, the first one.
    first_refused: Duration,
}

impl Load {
    fn of(nodes: &Nodes, leaving: &Range<u64>, rate: u64) -> Self {
        let front = |one: usize| Rc::clone(&nodes.all[one].front);
        let customers = &nodes.customers;
        Self {
            here: front(A),
            others: OTHERS.map(front),
            logouts: leaving
                .clone()
                .map(|number| customers.logout(number))
                .collect(),
            visits: leaving
                .clone()
                .map(|number| customers.visit(number))
                .collect(),
            watches_one_of: usize::try_from(rate.div_ceil(WATCHED)).unwrap_or(usize::MAX),
            took: RefCell::default(),
            failed: RefCell::default(),
            watched: RefCell::default(),
            later: RefCell::default(),
        }
    }

    /// Everybody leaves when it is due, whether or not those before have an answer. How long that took.
    async fn run(self: &Rc<Self>, rate: u64) -> Duration {
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let start = clock::instant();
        let mut leaving = Vec::new();
        while leaving.len() < self.logouts.len() {
            ticks.tick().await;
            let due =
                1 + rate * u64::try_from(start.elapsed().as_micros()).unwrap_or(0) / 1_000_000;
            let due = usize::try_from(due)
                .unwrap_or(usize::MAX)
                .min(self.logouts.len());
            for number in leaving.len()..due {
                let due_at = start + Duration::from_micros(number as u64 * 1_000_000 / rate);
                leaving.push(spawn_local(Rc::clone(self).log_out(number, due_at)));
            }
        }
        for one in leaving {
            one.await.expect("nobody panics");
        }
        start.elapsed()
    }

    async fn log_out(self: Rc<Self>, number: usize, due_at: Instant) {
        let is_watched = number.is_multiple_of(self.watches_one_of);
        let watch = is_watched.then(|| Watch::begin(&self, number));
        let asked = clock::instant();
        let status = self.here.ask(&self.logouts[number]).await;
        let answered = clock::instant();
        self.took
            .borrow_mut()
            .push((answered - asked, asked.saturating_duration_since(due_at)));
        if status != 200 {
            self.failed.borrow_mut().insert(number);
        }
        let Some(watch) = watch else {
            return;
        };
        if status == 200 {
            let asked_later = Rc::clone(&self).ask_later(number, answered + TOO_LATE);
            self.later.borrow_mut().push(spawn_local(asked_later));
        }
        let watched = watch.end(answered).await;
        self.watched.borrow_mut().push(watched);
    }

    async fn ask_later(self: Rc<Self>, number: usize, at: Instant) -> [u16; 2] {
        sleep_until(Moment::from_std(at)).await;
        let [one, other] = &self.others;
        let visit = &self.visits[number];
        let (one, other) = tokio::join!(one.ask(visit), other.ask(visit));
        [one, other]
    }

    /// How many of those who were asked for a second after their logout were not refused, and how many those were.
    async fn asked_later(&self) -> (u64, u64) {
        let later = std::mem::take(&mut *self.later.borrow_mut());
        let (mut accepted, mut asked) = (0, 0);
        for one in later {
            for status in one.await.expect("nobody panics") {
                asked += 1;
                accepted += u64::from(status != 401);
            }
        }
        (accepted, asked)
    }

    /// Of these customers those who were told that they are logged out.
    fn gone(&self, leaving: Range<u64>) -> Vec<u64> {
        let failed = self.failed.borrow();
        let answered = leaving
            .enumerate()
            .filter(|(number, _)| !failed.contains(number));
        answered.map(|(_, customer)| customer).collect()
    }

    fn seen(&self) -> Seen {
        let watched = self.watched.borrow();
        let took = self.took.borrow();
        Seen {
            failed: self.failed.borrow().len() as u64,
            last_accepted: watched.iter().map(|one| one.last_accepted).collect(),
            first_refused: watched.iter().map(|one| one.first_refused).collect(),
            took: took.iter().map(|(took, _)| *took).collect(),
            late: took.iter().map(|(_, late)| *late).collect(),
        }
    }
}

/// Two nodes that are asked about one token, from before its logout is answered until both refuse it.
struct Watch {
    shared: Rc<Polls>,
    asking: [JoinHandle<()>; 2],
}

/// What they said.
#[derive(Default)]
struct Polls {
    answered: Cell<Option<Instant>>,
    told: [Notify; 2],
    /// Of each node: when the request began, and its status.
    seen: [RefCell<Vec<(Instant, u16)>>; 2],
}

impl Watch {
    fn begin(load: &Load, number: usize) -> Self {
        let shared = Rc::<Polls>::default();
        let asking = [0, 1].map(|other| {
            let front = Rc::clone(&load.others[other]);
            let visit = Rc::clone(&load.visits[number]);
            spawn_local(Rc::clone(&shared).ask_on(other, front, visit))
        });
        Self { shared, asking }
    }

    async fn end(self, answered: Instant) -> Watched {
        self.shared.answered.set(Some(answered));
        for told in &self.shared.told {
            told.notify_one();
        }
        for asking in self.asking {
            asking.await.expect("nobody panics");
        }
        let slower = |of: fn(&Polls, usize, Instant) -> Duration| {
            of(&self.shared, 0, answered).max(of(&self.shared, 1, answered))
        };
        Watched {
            last_accepted: slower(Polls::last_accepted),
            first_refused: slower(Polls::first_refused),
        }
    }
}

impl Polls {
    /// Asks again and again, without waiting for answers: once more as soon as the logout is answered, and then until
    /// it was refused.
    async fn ask_on(self: Rc<Self>, other: usize, front: Rc<Lines>, visit: Rc<[u8]>) {
        let begun = clock::instant();
        let mut asked = Vec::new();
        loop {
            let answered = self.answered.get();
            if !self.has_refused(other) || answered.is_some() {
                let (polls, front, visit) =
                    (Rc::clone(&self), Rc::clone(&front), Rc::clone(&visit));
                asked.push(spawn_local(polls.ask(other, front, visit)));
            }
            let since = answered.unwrap_or(begun).elapsed();
            tokio::select! {
                () = sleep(POLL_EVERY.max(since / POLLS_PER_SPAN)) => {}
                () = self.told[other].notified() => {}
            }
            let is_over = self.has_refused(other) || since > WATCH;
            if answered.is_some() && is_over {
                break;
            }
        }
        for one in asked {
            one.await.expect("nobody panics");
        }
    }

    fn has_refused(&self, other: usize) -> bool {
        let seen = self.seen[other].borrow();
        seen.iter().any(|(_, status)| *status == 401)
    }

    async fn ask(self: Rc<Self>, other: usize, front: Rc<Lines>, visit: Rc<[u8]>) {
        let begun = clock::instant();
        let status = front.ask(&visit).await;
        self.seen[other].borrow_mut().push((begun, status));
    }

    fn last_accepted(&self, other: usize, answered: Instant) -> Duration {
        let seen = self.seen[other].borrow();
        let accepted = seen.iter().filter(|(_, status)| *status != 401);
        let last = accepted.map(|(begun, _)| begun.saturating_duration_since(answered));
        last.max().unwrap_or_default()
    }

    fn first_refused(&self, other: usize, answered: Instant) -> Duration {
        let seen = self.seen[other].borrow();
        let refused = seen.iter().filter(|(_, status)| *status == 401);
        let first = refused.map(|(begun, _)| begun.saturating_duration_since(answered));
        first.min().unwrap_or(WATCH)
    }
}

/// What was seen of all logouts.
struct Seen {
    failed: u64,
    last_accepted: Vec<Duration>,
    first_refused: Vec<Duration>,
    took: Vec<Duration>,
    late: Vec<Duration>,
}

impl Seen {
    fn print(&self, count: u64, taken: Duration, own: &Histogram) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rate = count as f64 / taken.as_secs_f64();
        println!(
            "{count} logouts in {taken:.2?}, {rate:.0} a second; {} of them failed, {} of them were watched.\n",
            self.failed,
            self.last_accepted.len()
        );
        println!("| | p50 | p99 | max |\n|---|---|---|---|");
        let lines = [
            (
                "logout's answer to the last request that was let in",
                &self.last_accepted,
            ),
            (
                "logout's answer to the first request that was refused",
                &self.first_refused,
            ),
            ("a logout, from request to answer", &self.took),
            (
                "by which the benchmark itself was late with a logout",
                &self.late,
            ),
        ];
        for (what, times) in lines {
            let [p50, p99, max] =
                [50, 99, 100].map(|percent| shown(percentile(&mut times.clone(), percent)));
            println!("| {what} | {p50} | {p99} | {max} |");
        }
        let [p50, p99, max] = [50.0, 99.0, 100.0].map(|percent| shown(own.bound(percent)));
        println!(
            "| `doorward_propagation_seconds` of node a, no more than | {p50} | {p99} | {max} |"
        );
        println!(
            "\n`doorward_propagation_seconds` of node a, mean: {}.",
            shown(own.mean())
        );
    }

    fn judge(&self, table: &mut Table, rate: u64) {
        for (percent, target) in [(50, P50), (99, P99)] {
            let measured = percentile(&mut self.last_accepted.clone(), percent);
            table.time(
                &format!("{rate}/s: last accept, p{percent}"),
                target,
                measured,
            );
        }
        table.never(
            &format!("{rate}/s: logouts that failed"),
            self.failed,
            self.took.len() as u64,
        );
    }
}

/// Who was let in when nobody should have been any more, and how many asked.
struct Late {
    a_second_later: (u64, u64),
    in_the_end: (u64, u64),
}

impl Late {
    fn told(&self) -> String {
        let [second, end] = [self.a_second_later, self.in_the_end];
        format!(
            "Let in a second after the answer: {} of {}; after the last second: {} of {}, all tokens at both nodes.",
            second.0, second.1, end.0, end.1
        )
    }

    fn judge(&self, table: &mut Table, rate: u64) {
        let (accepted, asked) = (
            self.a_second_later.0 + self.in_the_end.0,
            self.a_second_later.1 + self.in_the_end.1,
        );
        table.never(&format!("{rate}/s: accepted after 1 s"), accepted, asked);
    }
}

/// How many tokens of these customers the other nodes do not refuse, and how many were asked about.
async fn accepted(nodes: &Nodes, numbers: &[u64]) -> (u64, u64) {
    let mut sums = (0, 0);
    for other in OTHERS {
        let (accepted, asked) = not_refused(nodes, other, numbers.iter().copied()).await;
        sums = (sums.0 + accepted, sums.1 + asked);
    }
    sums
}

/// The same for one node.
pub async fn not_refused(
    nodes: &Nodes,
    one: usize,
    numbers: impl Iterator<Item = u64>,
) -> (u64, u64) {
    let visits = numbers.map(|number| nodes.customers.visit(number));
    let visits = Rc::new(RefCell::new(visits.collect::<Vec<_>>()));
    let asked = visits.borrow().len() as u64;
    let ask_all = || {
        let (front, visits) = (Rc::clone(&nodes.all[one].front), Rc::clone(&visits));
        spawn_local(async move {
            let mut accepted = 0;
            while let Some(visit) = take(&visits) {
                accepted += u64::from(front.ask(&visit).await != 401);
            }
            accepted
        })
    };
    let asking: Vec<_> = (0..AT_ONCE).map(|_| ask_all()).collect();
    let mut accepted = 0;
    for one in asking {
        accepted += one.await.expect("nobody panics");
    }
    (accepted, asked)
}

fn take<T>(from: &RefCell<Vec<T>>) -> Option<T> {
    from.borrow_mut().pop()
}

fn cpu(nodes: &Nodes) -> Vec<Duration> {
    let of_nodes = nodes.all.iter().map(crate::node::Node::cpu);
    of_nodes.chain([cpu_of("self")]).collect()
}

fn cpu_since(nodes: &Nodes, before: &[Duration], span: Duration) -> String {
    let names = nodes.all.iter().map(|node| node.name);
    let used = cpu(nodes);
    let used = used.iter().zip(before).zip(names.chain(["the benchmark"]));
    let used = used.map(|((now, before), name)| {
        let share = (*now - *before).as_secs_f64() / span.as_secs_f64();
        format!("{name} {share:.2}")
    });
    used.collect::<Vec<_>>().join(", ")
}
