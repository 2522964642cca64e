//! The composition root: puts the rooms together, runs them, and takes them down in order.
//!
//! One thread a worker, each with its own runtime, sockets and connections to endpoints; one
//! more for reloads and the admin interface. Also the handle that tests and embedding programs
//! hold: [`Router`].

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::exchange::{self, Closing, Places};
use crate::front::{self, Accepting, BindError, Opened, Room, Socket, Stop, Trace};
use crate::net::Budget;
use crate::snapshot::{self, Bind, Listener, Live, Snapshot};
use crate::telemetry::{AccessLog, AccessLogFormat, Metrics, Writer, names};
use crate::upstream::{Fleet, Group, Upkeep};

/// Sockets that may wait for a worker to take them: a reload hands over one a listener.
const MAILBOX_MAX: usize = 1024;
/// Memory that all bodies held for another attempt may take together: a thousand uploads at
/// once must not cost a gibibyte; what finds no room is committed where it is.
const REPLAY_MEMORY_MAX: u64 = 64 << 20;
/// How long saying the last word to those who still wait may take.
const LAST_WORD_MAX: Duration = Duration::from_secs(2);
/// How often a worker closes connections to endpoints that nobody wanted for too long.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The router could not start, or could not follow a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Threads, runtimes or the access log's file.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// A running router.
#[derive(Debug)]
pub struct Router {
    live: Arc<Live>,
    fleet: Arc<Fleet>,
    upkeep: Upkeep,
    metrics: Arc<Metrics>,
    workers: Vec<WorkerThread>,
    doors: Mutex<HashMap<Arc<str>, Door>>,
    connections: TaskTracker,
    room: Arc<Room>,
    closing: Arc<Closing>,
    access_writer: Mutex<Option<Writer>>,
}

#[derive(Debug)]
struct WorkerThread {
    runtime: runtime::Handle,
    mailbox: mpsc::Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Order {
    Accept(Socket, Accepting),
}

/// A listener that is open.
#[derive(Debug)]
struct Door {
    /// Its settings as its connections find them.
    settings: watch::Sender<Arc<Listener>>,
    address: Bind,
    stop: Stop,
    /// Of a Unix socket: gone with the door.
    _trace: Option<Trace>,
}

impl Router {
    /// Opens the listeners of a configuration and serves them.
    ///
    /// # Errors
    /// When an address cannot be bound, or the system gives no threads or files.
    pub fn start(snapshot: Arc<Snapshot>) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
        let (access, access_writer) = open_access_log(&snapshot.access_log)?;
        let fleet = Arc::new(Fleet::new(Arc::clone(&metrics)));
        let upkeep = Upkeep::start(Arc::clone(&fleet), Arc::clone(&metrics)).map_err(|source| {
            let what = "cannot start the thread that looks after endpoints";
            StartError::System { what, source }
        })?;
        let groups = prepare(&fleet, &upkeep, &snapshot);
        fleet.commit(groups.clone());
        upkeep.committed();
        let live = Arc::new(Live::new(Arc::clone(&snapshot), groups, &metrics));
        let budget = Budget::new(REPLAY_MEMORY_MAX);
        let places = Places::default();
        let closing = Arc::new(Closing::default());
        let connections = TaskTracker::new();
        let common = Common {
            live: Arc::clone(&live),
            metrics: Arc::clone(&metrics),
            access,
            budget: budget.clone(),
            places,
            closing: Arc::clone(&closing),
            connections: connections.clone(),
        };
        let count = worker_count(snapshot.threads);
        let mut workers = Vec::with_capacity(count);
        for number in 0..count {
            workers.push(start_worker(number, common.clone())?);
        }
        watch(&metrics, budget, &workers);
        let room = Arc::new(Room::new(Arc::clone(&live)));
        let router = Self {
            live,
            fleet,
            upkeep,
            room,
            closing,
            metrics,
            workers,
            doors: Mutex::default(),
            connections,
            access_writer: Mutex::new(access_writer),
        };
        let bound = router.bind_new(&snapshot)?;
        router.open(bound);
        Ok(router)
    }

    /// Puts another configuration in force: new listeners open first, then exchanges that begin
    /// see the new rules, then listeners that are gone close and servers that are gone drain. A
    /// listener that stays where it is keeps its socket, whatever else of it changes: connections
    /// that come from then on find the new settings, and none is turned away in between. Blocks
    /// until new servers were looked at once, or did not answer in time.
    ///
    /// # Errors
    /// When a new listener cannot be opened; the old configuration then stays in force whole.
    pub fn apply(&self, snapshot: Arc<Snapshot>) -> Result<(), StartError> {
        let bound = self.bind_new(&snapshot)?;
        let groups = prepare(&self.fleet, &self.upkeep, &snapshot);
        self.live
            .swap(Arc::clone(&snapshot), groups.clone(), &self.metrics);
        self.fleet.commit(groups);
        self.upkeep.committed();
        self.follow(&snapshot);
        self.open(bound);
        Ok(())
    }

    /// Frees configurations that were in force before, as [`Live::let_go`] says.
    pub fn let_go(&self) {
        self.live.let_go();
    }

    /// The address that a listener really has (its port may have been 0), if it is on one.
    #[must_use]
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        match self.doors().get(listener)?.address {
            Bind::Tcp(address) => Some(address),
            Bind::Unix(_) => None,
        }
    }

    /// Every open listener with its address.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Arc<str>, Bind)> {
        let doors = self.doors();
        let mut all: Vec<_> = doors
            .iter()
            .map(|(name, door)| (Arc::clone(name), door.address.clone()))
            .collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// The configuration in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.live.load().snapshot)
    }

    /// The counters.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The endpoints' servers and how they stand.
    #[must_use]
    pub const fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Stops accepting, finishes what is in flight, and comes back when all is done or the
    /// drain time is over. Says whether everything was finished.
    pub async fn stop(&self) -> bool {
        let drain = self.snapshot().drain;
        let doors: Vec<Door> = self.doors().drain().map(|(_, door)| door).collect();
        for door in &doors {
            door.stop.say();
        }
        self.live.load().close_gates();
        self.connections.close();
        let mut finished = tokio::time::timeout(drain, self.connections.wait())
            .await
            .is_ok();
        if !finished {
            // Whoever still waits for an endpoint is told so, which takes a moment. Tunnels end
            // in good order, and leave nothing unfinished.
            self.closing.say();
            let over = tokio::time::timeout(LAST_WORD_MAX, self.connections.wait()).await;
            finished = over.is_ok() && self.closing.broken_off() == 0;
        }
        if !finished {
            tracing::warn!(
                ?drain,
                left = self.connections.len(),
                "not all exchanges were finished"
            );
        }
        finished
    }

    /// Ends the workers and writes the last log lines. To be called after [`Router::stop`].
    pub fn join(self) {
        for worker in self.workers {
            drop(worker.mailbox);
            if let Some(thread) = take(&worker.thread) {
                // A worker that panicked has already said so on stderr.
                let _ = thread.join();
            }
        }
        drop((self.live, self.room));
        self.upkeep.stop();
        if let Some(writer) = take(&self.access_writer) {
            writer.close();
        }
    }

    fn doors(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds what the configuration has and the running router has not.
    fn bind_new(&self, snapshot: &Snapshot) -> Result<Vec<(Listener, Opened)>, BindError> {
        let doors = self.doors();
        let is_new = |listener: &&Listener| {
            doors
                .get(&listener.name)
                .is_none_or(|door| door.settings.borrow().bind != listener.bind)
        };
        let bind_one = |listener: &Listener| {
            // Where this router listens already it may listen again: a listener that is renamed,
            // or moves between one address and all of them.
            let ours = doors
                .values()
                .any(|door| shares(&door.address, &listener.bind));
            let opened = front::open(listener, self.workers.len(), ours)?;
            Ok((listener.clone(), opened))
        };
        snapshot
            .listeners
            .iter()
            .filter(is_new)
            .map(bind_one)
            .collect()
    }

    fn open(&self, bound: Vec<(Listener, Opened)>) {
        let mut doors = self.doors();
        for (listener, opened) in bound {
            let Opened {
                address,
                sockets,
                trace,
            } = opened;
            let stop = Stop::default();
            let open = Arc::new(AtomicUsize::new(0));
            let (settings, follow) = watch::channel(Arc::new(listener.clone()));
            for (worker, socket) in self.workers.iter().zip(sockets) {
                let accepting = Accepting {
                    settings: follow.clone(),
                    open: Arc::clone(&open),
                    room: Arc::clone(&self.room),
                    stop: stop.clone(),
                    tasks: self.connections.clone(),
                };
                if worker
                    .mailbox
                    .try_send(Order::Accept(socket, accepting))
                    .is_err()
                {
                    tracing::error!(listener = %listener.name, "a worker takes no listener");
                }
            }
            tracing::info!(listener = %listener.name, %address, "listening");
            doors.insert(
                Arc::clone(&listener.name),
                Door {
                    settings,
                    address,
                    stop,
                    _trace: trace,
                },
            );
        }
    }

    /// Doors that stay take the new settings; those that are gone, or stand elsewhere now, close.
    fn follow(&self, snapshot: &Snapshot) {
        self.doors().retain(|name, door| {
            let listener = snapshot.listeners.iter().find(|listener| {
                listener.name == *name && listener.bind == door.settings.borrow().bind
            });
            match listener {
                Some(listener) => {
                    door.settings.send_if_modified(|settings| {
                        let changed = **settings != *listener;
                        if changed {
                            *settings = Arc::new(listener.clone());
                        }
                        changed
                    });
                }
                None => {
                    door.stop.say();
                    tracing::info!(listener = %name, "no longer listening");
                }
            }
            listener.is_some()
        });
    }
}

/// The live endpoints of a configuration, looked at once.
fn prepare(fleet: &Fleet, upkeep: &Upkeep, snapshot: &Snapshot) -> Vec<Arc<Group>> {
    let endpoints = snapshot.endpoints.iter();
    let groups = fleet.prepare(endpoints.map(|endpoint| endpoint.spec.clone()));
    upkeep.first_look(&groups, &snapshot.dns);
    groups
}

/// Whether the two have a port in common.
fn shares(one: &Bind, other: &Bind) -> bool {
    match (one, other) {
        (Bind::Tcp(one), Bind::Tcp(other)) => one.port() == other.port(),
        _ => false,
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn worker_count(threads: Option<u16>) -> usize {
    match threads {
        Some(count) => usize::from(count).max(1),
        None => thread::available_parallelism().map_or(1, usize::from),
    }
}

fn open_access_log(log: &snapshot::AccessLog) -> Result<(AccessLog, Option<Writer>), StartError> {
    let (format, path) = match log {
        snapshot::AccessLog::Off => return Ok((AccessLog::off(), None)),
        snapshot::AccessLog::Json(path) => (AccessLogFormat::Json, path),
        snapshot::AccessLog::Logfmt(path) => (AccessLogFormat::Logfmt, path),
    };
    let (log, writer) =
        AccessLog::start(format, path.as_deref()).map_err(|source| StartError::System {
            what: "cannot open the access log",
            source,
        })?;
    Ok((log, Some(writer)))
}

/// Numbers that are looked up when somebody asks for them.
fn watch(metrics: &Metrics, budget: Budget, workers: &[WorkerThread]) {
    let held = budget.clone();
    metrics.watch(names::REPLAY_HELD, "Bytes of messages held", move || {
        held.held()
    });
    metrics.watch(names::SPOOL_FILES, "Temporary files", move || {
        budget.files()
    });
    let runtimes: Vec<_> = workers.iter().map(|w| w.runtime.clone()).collect();
    metrics.watch(names::TASKS, "Tasks of all workers", move || {
        let alive = |runtime: &runtime::Handle| runtime.metrics().num_alive_tasks() as u64;
        runtimes.iter().map(alive).sum()
    });
}

/// What all workers share.
#[derive(Clone)]
struct Common {
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    access: AccessLog,
    budget: Budget,
    places: Places,
    closing: Arc<Closing>,
    connections: TaskTracker,
}

fn start_worker(number: usize, common: Common) -> Result<WorkerThread, StartError> {
    let system = |what| move |source| StartError::System { what, source };
    let (mailbox, orders) = mpsc::channel(MAILBOX_MAX);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("cannot start a runtime"))?;
    let handle = runtime.handle().clone();
    let thread = thread::Builder::new()
        .name(format!("worker-{number}"))
        .spawn(move || {
            runtime.block_on(work(orders, common));
        })
        .map_err(system("cannot start a worker"))?;
    Ok(WorkerThread {
        runtime: handle,
        mailbox,
        thread: Mutex::new(Some(thread)),
    })
}

/// A worker's life: takes listeners as they come, until the router lets go of its mailbox.
async fn work(mut orders: mpsc::Receiver<Order>, common: Common) {
    let Common {
        live,
        metrics,
        access,
        budget,
        places,
        closing,
        connections,
    } = common;
    let worker = Arc::new(exchange::Worker::new(
        live, metrics, access, budget, places, closing,
    ));
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            _ = sweep.tick() => {
                worker.sweep();
                continue;
            }
        };
        let Some(Order::Accept(socket, accepting)) = order else {
            return;
        };
        connections.spawn(front::serve(socket, accepting, Arc::clone(&worker)));
    }
}
