//! `serve`: runs the router until it is told to stop.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::Serve;
use super::load;
use super::verdict::Verdict;
use crate::admin::{self, Admin};
use crate::app::Router;
use crate::filter::Registry;
use crate::reload::{Outcome, Reloader, Watcher};
use crate::snapshot::Bind;
use crate::telemetry::start_logging;

/// How often it is looked whether a configuration that was replaced is still used.
const LET_GO_EVERY: Duration = Duration::from_secs(1);

pub(super) fn run(args: &Serve, registry: Registry) -> anyhow::Result<Verdict> {
    start_logging(&args.log, args.log_json);
    let path = &args.config.config;
    let Some(usable) = load::load(path, &registry) else {
        return Ok(Verdict::No);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let router = Arc::new(Router::start(usable.snapshot)?);
        let reloader = Arc::new(Reloader::new(
            path,
            registry,
            Arc::clone(&router),
            usable.warnings,
        ));
        let finished = control(args, &router, &reloader).await?;
        drop(reloader);
        if let Some(router) = Arc::into_inner(router) {
            router.join();
        }
        tracing::info!("stopped");
        Ok(if finished { Verdict::Fine } else { Verdict::No })
    })
}

/// Signals that steer the router.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// Runs beside the workers: admin interface, reloads, and the end. Says whether everything in
/// flight was finished.
async fn control(
    args: &Serve,
    router: &Arc<Router>,
    reloader: &Arc<Reloader>,
) -> anyhow::Result<bool> {
    let snapshot = router.snapshot();
    let mut signals = Signals {
        hangup: signal(SignalKind::hangup())?,
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    let state = Arc::new(Admin {
        reloader: Arc::clone(reloader),
        token_file: snapshot
            .admin
            .as_ref()
            .and_then(|admin| admin.token_file.clone()),
        draining: AtomicBool::new(false),
    });
    let mut addresses = router.addresses();
    let admin_task = match &snapshot.admin {
        Some(settings) => {
            let socket = admin::bind(settings.bind)
                .await
                .with_context(|| format!("admin cannot listen on {}", settings.bind))?;
            addresses.push(("admin".into(), Bind::Tcp(socket.local_addr()?)));
            Some(spawn_admin(socket, Arc::clone(&state)))
        }
        None => None,
    };
    // Watched first: a change that comes as soon as the router is ready must not be missed.
    let watcher = snapshot.watch.then(|| start_watcher(reloader)).flatten();
    if let Some(file) = &args.ready_file {
        write_ready(file, &addresses)?;
    }
    notify_systemd(&[sd_notify::NotifyState::Ready]);
    steer(&mut signals, reloader, watcher).await;
    state.draining.store(true, Ordering::Relaxed);
    notify_systemd(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping: finishing what is in flight");
    // A second signal means now.
    let finished = tokio::select! {
        finished = router.stop() => finished,
        _ = signals.terminate.recv() => false,
        _ = signals.interrupt.recv() => false,
    };
    if let Some(task) = admin_task {
        task.abort();
        // Aborted tasks let go of the router only when they are gone.
        let _ = task.await;
    }
    Ok(finished)
}

fn spawn_admin(socket: TcpListener, state: Arc<Admin>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(admin::serve(socket, state))
}

/// Reloads as often as asked, until a signal ends it.
async fn steer(signals: &mut Signals, reloader: &Arc<Reloader>, mut watcher: Option<Watcher>) {
    loop {
        let quiet = reloader.snapshot().debounce;
        let changed = async {
            match &mut watcher {
                Some(watcher) => watcher.changed(quiet).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            _ = signals.hangup.recv() => {}
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            never = let_go(reloader.router()) => match never {},
        }
        reload(reloader).await;
        if let Some(watcher) = &mut watcher
            && let Err(error) = watcher.follow(&reloader.snapshot().files)
        {
            tracing::warn!(%error, "some changes will not be noticed");
        }
    }
}

/// Frees what reloads have replaced, soon after the last exchange that used it.
async fn let_go(router: &Router) -> Infallible {
    loop {
        router.let_go();
        tokio::time::sleep(LET_GO_EVERY).await;
    }
}

fn start_watcher(reloader: &Reloader) -> Option<Watcher> {
    match Watcher::start(&reloader.snapshot().files) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "file changes are not noticed; SIGHUP still reloads");
            None
        }
    }
}

async fn reload(reloader: &Arc<Reloader>) {
    let mut reloading = vec![sd_notify::NotifyState::Reloading];
    // `Type=notify-reload` wants to know since when.
    reloading.extend(sd_notify::NotifyState::monotonic_usec_now());
    notify_systemd(&reloading);
    let own = Arc::clone(reloader);
    // The log lines are the reloader's own.
    match tokio::task::spawn_blocking(move || own.reload()).await {
        Ok(Outcome::Applied(_) | Outcome::Refused(_)) => {}
        Err(error) => tracing::error!(%error, "the reload did not finish"),
    }
    notify_systemd(&[sd_notify::NotifyState::Ready]);
}

/// Tells systemd, where it asked to be told (`NOTIFY_SOCKET`).
fn notify_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Written beside and renamed, so that whoever waits for the file finds it whole.
fn write_ready(file: &Path, addresses: &[(Arc<str>, Bind)]) -> anyhow::Result<()> {
    let text: String = addresses
        .iter()
        .map(|(name, address)| format!("{name} {address}\n"))
        .collect();
    let beside = file.with_extension("tmp");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, file))
        .with_context(|| format!("cannot write ready file `{}`", file.display()))
}
