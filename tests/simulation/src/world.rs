//! What all parts of one run share: the hosts, the network, chance, the film, and what was found.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::simulated::{AsyncRuntime, Instant, Runtime};
use model::NodeId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::host::Host;
use crate::network::Network;
use crate::{Counts, Options, Report};

/// What can be made wrong on purpose. The simulation has to find each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A lost node counts as fenced at once.
    SkipFencing,
    /// Init lets exclusive tasks run on after their deadline.
    ForgetDeadline,
    /// The log says that entries are durable before they are.
    AcknowledgeBeforeFsync,
    /// A node renews its lease by the state it has, without asking a majority.
    LeaseFromStaleState,
}

impl Bug {
    pub const ALL: [Self; 4] =
        [Self::SkipFencing, Self::ForgetDeadline, Self::AcknowledgeBeforeFsync, Self::LeaseFromStaleState];
}

/// Cheap to clone.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    bug: Option<Bug>,
    hosts: BTreeMap<NodeId, Arc<Host>>,
    /// How many of them there are at the beginning; the others take the places of those that are gone for ever.
    count: usize,
    network: Network,
    started: <Runtime as AsyncRuntime>::Instant,
    chance: Mutex<StdRng>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    violation: Option<String>,
    film: Vec<String>,
    counts: Counts,
    /// The state that the first host to get there had at each index.
    states: BTreeMap<u64, (NodeId, [u8; 32])>,
}

impl World {
    /// Three or five hosts, as chance has it, and as many to take their places.
    pub fn new(options: &Options) -> Self {
        let mut chance = StdRng::seed_from_u64(options.seed);
        let count = if chance.random_bool(0.5) { 3 } else { 5 };
        let first = (1..=count).map(|n| Host::new(NodeId(n), &mut chance)).collect::<Vec<_>>();
        let spare = (count + 1..=2 * count).map(|n| Host::spare(NodeId(n), &mut chance)).collect::<Vec<_>>();
        let all = first.into_iter().chain(spare);
        let hosts: BTreeMap<NodeId, Arc<Host>> = all.map(|host| (host.node, Arc::new(host))).collect();
        if options.bug == Some(Bug::AcknowledgeBeforeFsync) {
            hosts.values().for_each(|host| host.disk.lie());
        }
        Self(Arc::new(Inner {
            bug: options.bug,
            hosts,
            count: usize::try_from(count).unwrap_or(usize::MAX),
            network: Network::default(),
            started: <Runtime as AsyncRuntime>::Instant::now(),
            chance: Mutex::new(chance),
            found: Mutex::default(),
        }))
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.0.bug == Some(bug)
    }

    /// All that were ever there.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.0.hosts.values()
    }

    /// Those that are there at the beginning.
    pub fn first_hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.hosts().take(self.0.count)
    }

    /// One that nobody has heard of yet.
    pub fn next_spare(&self) -> Option<Arc<Host>> {
        let spare = self.hosts().skip(self.0.count).find(|host| !host.is_there() && host.life() == 0);
        spare.inspect(|host| host.arrive()).cloned()
    }

    pub fn host(&self, node: NodeId) -> Option<&Arc<Host>> {
        self.0.hosts.get(&node)
    }

    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// Milliseconds since the run began, by no host's clock.
    pub fn now(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A number of `range`, its end not included.
    pub fn draw(&self, range: std::ops::Range<u64>) -> u64 {
        lock(&self.0.chance).random_range(range)
    }

    /// True in `percent` of all cases.
    pub fn happens(&self, percent: u64) -> bool {
        self.draw(0..100) < percent
    }

    /// One that is there.
    pub fn any_host(&self) -> Arc<Host> {
        let there: Vec<_> = self.hosts().filter(|host| host.is_there()).collect();
        let nth = self.draw(0..there.len() as u64);
        there[usize::try_from(nth).unwrap_or(0)].clone()
    }

    pub fn say(&self, who: impl Display, what: impl Display) {
        let ms = self.now();
        lock(&self.0.found).film.push(format!("{:4}.{:03} {who:>3} {what}", ms / 1000, ms % 1000));
    }

    /// All hosts have the same state at the same index.
    pub fn agree(&self, node: NodeId, index: u64, hash: [u8; 32]) {
        let (first, known) = *lock(&self.0.found).states.entry(index).or_insert((node, hash));
        if known != hash {
            self.violated(&format!("nodes {first} and {node} have different states at {index}"));
        }
    }

    /// The first thing that must not have happened is what the run came to.
    pub fn violated(&self, what: &str) {
        self.say("!", what);
        lock(&self.0.found).violation.get_or_insert_with(|| what.to_owned());
    }

    pub fn is_over(&self) -> bool {
        lock(&self.0.found).violation.is_some()
    }

    pub fn count(&self, one: impl FnOnce(&mut Counts)) {
        one(&mut lock(&self.0.found).counts);
    }

    pub fn report(&self) -> Report {
        let found = lock(&self.0.found);
        Report { violation: found.violation.clone(), film: found.film.clone(), counts: found.counts }
    }
}

/// Nothing here is left half changed by a panic, and one ends the run anyway.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
