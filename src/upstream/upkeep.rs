//! Looks after the fleet beside the road: resolves names again when their time is over, probes,
//! lets suspended servers be tried again, ends drains.
//!
//! One thread with a runtime of its own; sleeps until something is due. Nothing here touches a
//! message.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::balance::mix;
use super::client::Client;
use super::endpoint::Endpoint;
use super::fleet::{Fleet, names_of};
use super::group::Group;
use super::member::Member;
use super::probe::Probe;
use super::suspension::jittered;
use crate::naming::{Resolver, Settings};
use crate::telemetry::Metrics;

/// Orders that may wait: two a reload.
const ORDERS_MAX: usize = 16;
/// How long a configuration waits for the first answers about its servers before it goes live.
/// Longer would hold up a reload because one server is a black hole.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(5);
/// A name that cannot be resolved is asked for again after so long, twice as long each time.
const RETRY_NAME: Duration = Duration::from_secs(1);
/// The longest of these.
const RETRY_NAME_MAX: Duration = Duration::from_secs(30);
/// The next look when nothing is due.
const QUIET: Duration = Duration::from_secs(60);

/// The thread that looks after the fleet.
#[derive(Debug)]
pub struct Upkeep {
    orders: mpsc::Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Order {
    Prepare(Vec<Arc<Group>>, Settings, std::sync::mpsc::SyncSender<()>),
    Commit,
}

/// What the thread does at a time.
struct Duties {
    fleet: Arc<Fleet>,
    client: Client,
    metrics: Arc<Metrics>,
    resolver: Arc<Resolver>,
    settings: Settings,
    names: HashMap<String, Watched<()>>,
    probes: HashMap<u64, Watched<Probe>>,
}

/// A task that repeats something, and whether it has done it once.
struct Watched<T> {
    what: T,
    first: watch::Receiver<bool>,
    task: AbortHandle,
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upkeep {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(fleet: Arc<Fleet>, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = thread::Builder::new()
            .name("upkeep".into())
            .spawn(move || runtime.block_on(keep_up(fleet, metrics, received)))?;
        Ok(Self {
            orders,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Looks at the servers of a configuration that is about to go live: resolves names, probes.
    /// Blocks until each has answered once, for five seconds at the most.
    pub fn first_look(&self, groups: &[Arc<Group>], settings: &Settings) {
        let needed = names_of(groups).next().is_some()
            || groups
                .iter()
                .any(|group| group.spec().servers.probe.is_some());
        if !needed {
            return;
        }
        let (done, wait) = std::sync::mpsc::sync_channel(1);
        let order = Order::Prepare(groups.to_vec(), settings.clone(), done);
        if self.orders.try_send(order).is_ok() {
            let _ = wait.recv_timeout(FIRST_LOOK_MAX + QUIET);
        }
    }

    /// The configuration is in force: whom it does not name is no longer looked after.
    pub fn committed(&self) {
        // A full queue holds the same order already.
        let _ = self.orders.try_send(Order::Commit);
    }

    /// Ends the thread.
    pub fn stop(self) {
        drop(self.orders);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A thread that panicked has already said so on stderr.
            let _ = thread.join();
        }
    }
}

async fn keep_up(fleet: Arc<Fleet>, metrics: Arc<Metrics>, mut orders: mpsc::Receiver<Order>) {
    let settings = Settings::default();
    let mut duties = Duties {
        client: Client::new(Arc::clone(&metrics)),
        resolver: Arc::new(Resolver::new(settings.clone())),
        settings,
        fleet: Arc::clone(&fleet),
        metrics,
        names: HashMap::new(),
        probes: HashMap::new(),
    };
    loop {
        let now = Instant::now();
        let next = fleet.tend(now).unwrap_or(now + QUIET);
        duties.follow_members();
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Prepare(groups, settings, done)) => {
                    duties.prepare(groups, settings, done);
                }
                Some(Order::Commit) => duties.commit(),
                None => return,
            },
            () = fleet.shared.wake.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

impl Duties {
    fn prepare(
        &mut self,
        groups: Vec<Arc<Group>>,
        settings: Settings,
        done: std::sync::mpsc::SyncSender<()>,
    ) {
        if settings != self.settings {
            self.resolver = Arc::new(Resolver::new(settings.clone()));
            self.settings = settings;
            self.names.clear();
        }
        let wanted: HashSet<&str> = names_of(&groups).collect();
        for name in wanted {
            if !self.names.contains_key(name) {
                let watched = self.watch_name(name);
                self.names.insert(name.to_owned(), watched);
            }
        }
        let firsts: Vec<_> = self.names.values().map(|w| w.first.clone()).collect();
        let fleet = Arc::clone(&self.fleet);
        let client = self.client.clone();
        tokio::spawn(async move {
            let look = async {
                join_all(firsts.into_iter().map(happened)).await;
                fleet.reseat(&groups);
                let probes = groups
                    .iter()
                    .flat_map(first_probes)
                    .map(|(member, spec, probe)| {
                        let client = client.clone();
                        async move { ask(&probe, &client, &spec, &member, &mut (0, 0)).await }
                    });
                join_all(probes).await;
            };
            if timeout(FIRST_LOOK_MAX, look).await.is_err() {
                fleet.reseat(&groups);
                tracing::warn!("going live although some servers have not answered yet");
            }
            let _ = done.try_send(());
        });
    }

    fn commit(&mut self) {
        let groups = self.fleet.groups();
        let wanted: HashSet<&str> = names_of(&groups).collect();
        self.names.retain(|name, _| wanted.contains(name.as_str()));
        for name in wanted {
            if !self.names.contains_key(name) {
                let watched = self.watch_name(name);
                self.names.insert(name.to_owned(), watched);
            }
        }
    }

    /// A probe for each member that has one to be asked with, and none for others.
    fn follow_members(&mut self) {
        let mut wanted = HashSet::new();
        for group in self.fleet.groups() {
            let Some(probe) = &group.spec().servers.probe else {
                continue;
            };
            let members = group.membership();
            for seat in members.all.iter().take(members.configured) {
                let id = seat.member.id();
                wanted.insert(id);
                let known = self.probes.get(&id);
                if known.is_none_or(|known| known.what != *probe) {
                    // A new question is asked at once.
                    let asked = known.is_none();
                    let watched = self.watch_member(group.spec(), &seat.member, probe, asked);
                    self.probes.insert(id, watched);
                }
            }
        }
        self.probes.retain(|id, _| wanted.contains(id));
    }

    fn watch_name(&self, name: &str) -> Watched<()> {
        let (first, seen) = watch::channel(false);
        let task = follow_name(
            name.to_owned(),
            Arc::clone(&self.fleet),
            Arc::clone(&self.resolver),
            Arc::clone(&self.metrics),
            first,
        );
        Watched {
            what: (),
            first: seen,
            task: tokio::spawn(task).abort_handle(),
        }
    }

    fn watch_member(
        &self,
        spec: &Arc<Endpoint>,
        member: &Arc<Member>,
        probe: &Probe,
        asked: bool,
    ) -> Watched<Probe> {
        let task = follow_member(
            probe.clone(),
            self.client.clone(),
            Arc::clone(spec),
            Arc::clone(member),
            asked,
        );
        Watched {
            what: probe.clone(),
            first: watch::channel(true).1,
            task: tokio::spawn(task).abort_handle(),
        }
    }
}

/// Waits until something was done once.
async fn happened(mut first: watch::Receiver<bool>) {
    // Whoever is gone will not do it any more.
    let _ = first.wait_for(|done| *done).await;
}

/// Members of a group that is about to go live of whom no probe has told yet.
fn first_probes(group: &Arc<Group>) -> Vec<(Arc<Member>, Arc<Endpoint>, Probe)> {
    let Some(probe) = &group.spec().servers.probe else {
        return Vec::new();
    };
    let members = group.membership();
    members
        .all
        .iter()
        .filter(|seat| seat.member.is_unprobed())
        .map(|seat| {
            let spec = Arc::clone(group.spec());
            (Arc::clone(&seat.member), spec, probe.clone())
        })
        .collect()
}

/// Resolves a name again and again; what was known is kept while nobody answers.
async fn follow_name(
    name: String,
    fleet: Arc<Fleet>,
    resolver: Arc<Resolver>,
    metrics: Arc<Metrics>,
    first: watch::Sender<bool>,
) {
    let mut retry = RETRY_NAME;
    loop {
        let found = resolver.lookup(&name).await;
        metrics.resolved(found.is_ok());
        let wait = match found {
            Ok(found) => {
                retry = RETRY_NAME;
                fleet.resolved(&name, Ok(found.addresses));
                found.holds
            }
            Err(error) => {
                let wait = retry;
                retry = (retry * 2).min(RETRY_NAME_MAX);
                tracing::warn!(%error, ?wait, "what was known of it is kept");
                fleet.resolved(&name, Err(error.to_string()));
                wait
            }
        };
        let _ = first.send(true);
        sleep(wait).await;
    }
}

/// Probes a server again and again. `asked` says that a probe before going live may count as the
/// first of these.
async fn follow_member(
    probe: Probe,
    client: Client,
    spec: Arc<Endpoint>,
    member: Arc<Member>,
    asked: bool,
) {
    let mut row = (0, 0);
    let ago = member.probed_ago().filter(|_| asked);
    if let Some(ago) = ago {
        sleep(probe.interval.saturating_sub(ago)).await;
    }
    for number in 0_u64.. {
        let begun = Instant::now();
        ask(&probe, &client, &spec, &member, &mut row).await;
        let draw = mix(member.id() ^ mix(number));
        let interval = jittered(probe.interval.as_secs_f64(), probe.jitter, draw);
        let interval = Duration::from_secs_f64(interval);
        let left = interval.saturating_sub(begun.elapsed());
        member.next_probe(SystemTime::now() + left);
        sleep_until(begun + interval).await;
    }
}

/// Asks once, and concludes when enough answers in a row say the same.
async fn ask(
    probe: &Probe,
    client: &Client,
    spec: &Endpoint,
    member: &Member,
    (good, bad): &mut (u32, u32),
) {
    let begun = Instant::now();
    let answer = probe.ask(client, spec, member).await;
    let well = answer.is_ok();
    member.meter.probed(well, begun.elapsed().as_secs_f64());
    (*good, *bad) = if well { (*good + 1, 0) } else { (0, *bad + 1) };
    // The very first answer is believed at once: there is nothing to hold against it.
    let enough = member.is_unprobed() || *good >= probe.healthy || *bad >= probe.unhealthy;
    let why = answer.unwrap_or_else(|why| why);
    member.probed(enough.then_some(well), &why);
}
