//! `demo`: the router at work, with nothing to install.
//!
//! Starts a stub service for every endpoint of the configuration, the router in front of them,
//! sends the example messages over HTTP, and prints who answered and why. The configuration is
//! `config/router.yaml` where that exists, so that it can be edited while the demo stays up;
//! elsewhere the one that was shipped with the program.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::args::Demo;
use super::load;
use super::stub::{self, Behaviour};
use super::verdict::Verdict;
use crate::app::Router;
use crate::config::{self, TableText};
use crate::exchange::explain;
use crate::fields::RequestParts;
use crate::filter::Registry;
use crate::reload::{Reloader, Watcher};
use crate::snapshot::{self, Snapshot};
use crate::telemetry::start_logging;
use crate::upstream;

const ROUTER_YAML: &str = include_str!("../../config/router.yaml");
const ORDERS_YAML: &str = include_str!("../../filters/orders.yaml");
const CONFIG_PATH: &str = "config/router.yaml";

/// An example: where it stands, what it is, and the headers that go with it.
struct Example {
    file: &'static str,
    message: &'static str,
    content_type: &'static str,
    soap_action: Option<&'static str>,
}

const PLACE: &str = "\"urn:example:orders/Place\"";
const STATUS: &str = "\"urn:example:orders/Status\"";

const EXAMPLES: [Example; 5] = [
    Example {
        file: "fixtures/soap11/place.xml",
        message: include_str!("../../fixtures/soap11/place.xml"),
        content_type: "text/xml; charset=utf-8",
        soap_action: Some(PLACE),
    },
    Example {
        file: "fixtures/soap11/place-gold.xml",
        message: include_str!("../../fixtures/soap11/place-gold.xml"),
        content_type: "text/xml; charset=utf-8",
        soap_action: Some(PLACE),
    },
    Example {
        file: "fixtures/soap11/version-2.xml",
        message: include_str!("../../fixtures/soap11/version-2.xml"),
        content_type: "text/xml; charset=utf-8",
        soap_action: Some(STATUS),
    },
    Example {
        file: "fixtures/soap12/status.xml",
        message: include_str!("../../fixtures/soap12/status.xml"),
        content_type: "application/soap+xml; charset=utf-8; action=\"urn:example:orders/Status\"",
        soap_action: None,
    },
    Example {
        file: "fixtures/addressing/place-gold.xml",
        message: include_str!("../../fixtures/addressing/place-gold.xml"),
        content_type: "application/soap+xml; charset=utf-8",
        soap_action: None,
    },
];

/// Longest wait for an answer: everything is on this machine.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) fn run(args: &Demo) -> anyhow::Result<Verdict> {
    start_logging(if args.once { "warn" } else { "info" }, false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(demo(args))
}

async fn demo(args: &Demo) -> anyhow::Result<Verdict> {
    let Some(mut snapshot) = compile() else {
        return Ok(Verdict::No);
    };
    // The demo's own lines are what is to be read on stdout.
    snapshot.access_log = snapshot::AccessLog::Off;
    start_stubs(&mut snapshot, args.any_port).await?;
    if args.any_port {
        for listener in &mut snapshot.listeners {
            listener.bind = snapshot::Bind::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        }
    }
    let snapshot = Arc::new(snapshot);
    let started = Router::start(Arc::clone(&snapshot));
    let router = Arc::new(started.context("if the port is taken, use `--any-port`")?);
    let (listener, address) = router
        .addresses()
        .into_iter()
        .next()
        .context("no listener")?;
    let snapshot::Bind::Tcp(address) = address else {
        anyhow::bail!("the demo listens on a port");
    };
    println!("router     http://{address}/orders");
    let mut all_answered = true;
    for example in &EXAMPLES {
        all_answered &= show(&snapshot, &listener, address, example).await?;
    }
    if !args.once {
        stay_up(args, &router, address).await?;
    }
    router.stop().await;
    if let Some(router) = Arc::into_inner(router) {
        router.join();
    }
    Ok(if all_answered {
        Verdict::Fine
    } else {
        Verdict::No
    })
}

fn compile() -> Option<Snapshot> {
    let loaded = if Path::new(CONFIG_PATH).exists() {
        config::load(Path::new(CONFIG_PATH))
    } else {
        let table = TableText {
            name: "orders",
            path: "filters/orders.yaml",
            text: ORDERS_YAML,
        };
        config::read(CONFIG_PATH, ROUTER_YAML, &[table])
    };
    let (snapshot, report) = snapshot::compile(&loaded, &Registry::default());
    if !report.is_empty() {
        load::print_report(&report, &loaded.sources);
    }
    snapshot
}

/// A stub behind every endpoint; with free ports the endpoints are changed to where it is.
async fn start_stubs(snapshot: &mut Snapshot, any_port: bool) -> anyhow::Result<()> {
    for endpoint in &mut snapshot.endpoints {
        let Some(endpoint) = Arc::get_mut(endpoint) else {
            bail!("the endpoint is in use")
        };
        let Some(address) = endpoint.spec.literal().filter(|a| a.ip().is_loopback()) else {
            continue;
        };
        let bind = if any_port {
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
        } else {
            address
        };
        let socket = TcpListener::bind(bind).await.with_context(|| {
            format!(
                "no stub for `{}` at {bind}: use `--any-port`",
                endpoint.spec.name
            )
        })?;
        endpoint.spec.port = socket.local_addr()?.port();
        let server = upstream::Server::at(endpoint.spec.host.clone(), endpoint.spec.port);
        endpoint.spec.servers.all = vec![server];
        let behaviour = Behaviour {
            name: endpoint.spec.name.to_string(),
            soap: None,
            delay: Duration::ZERO,
            failure: None,
        };
        println!(
            "stub       http://{}{}  {}",
            socket.local_addr()?,
            endpoint.spec.target,
            endpoint.spec.name
        );
        tokio::spawn(stub::serve(socket, Arc::new(behaviour)));
    }
    Ok(())
}

/// Sends one example and tells what came of it. Says whether it was answered by the endpoint
/// that `explain` names.
async fn show(
    snapshot: &Snapshot,
    listener: &str,
    address: SocketAddr,
    example: &Example,
) -> anyhow::Result<bool> {
    let (head, request) = example.request(address)?;
    let origin = super::message::origin(listener, "http:");
    let explanation = explain(snapshot, None, &head, &origin, example.message.as_bytes());
    let (status, body) = tokio::time::timeout(ANSWER_TIME_MAX, send(address, request))
        .await
        .context("no answer in time")??;
    let who = between(&body, "<a:By>", "</a:By>").unwrap_or("nobody");
    println!("\n{}", example.file);
    println!("  answered by {who} with status {status}");
    let wanted = explanation.sends.first();
    if let Some(send) = wanted {
        println!("  because of  {} (priority {})", send.filter, send.priority);
    }
    for filter in &explanation.considered {
        let mark = if filter.matched == Some(true) {
            "yes"
        } else {
            "no "
        };
        println!("  {mark} {}: {}", filter.filter, filter.why);
    }
    println!(
        "  decided after {} of {} bytes",
        explanation.decided_after_bytes, explanation.message_bytes
    );
    Ok(wanted.is_some_and(|send| send.endpoint == who))
}

impl Example {
    fn request(&self, address: SocketAddr) -> anyhow::Result<(RequestParts, Request<Full<Bytes>>)> {
        let mut builder = Request::post("/orders")
            .header(header::HOST, address.to_string())
            .header(header::CONTENT_TYPE, self.content_type);
        if let Some(action) = self.soap_action {
            builder = builder.header("SOAPAction", action);
        }
        let request = builder.body(Full::new(Bytes::from_static(self.message.as_bytes())))?;
        let (head, body) = request.into_parts();
        Ok((head.clone().into(), Request::from_parts(head, body)))
    }
}

async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> anyhow::Result<(u16, String)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

/// Stays up until interrupted, following the files.
async fn stay_up(args: &Demo, router: &Arc<Router>, address: SocketAddr) -> anyhow::Result<()> {
    println!(
        "\nstaying up; try\n  curl -H 'Content-Type: text/xml' -H 'SOAPAction: {PLACE}' --data @fixtures/soap11/place-gold.xml http://{address}/orders"
    );
    let follow = Path::new(CONFIG_PATH).exists() && !args.any_port;
    if !follow {
        tokio::signal::ctrl_c().await?;
        return Ok(());
    }
    println!("edit filters/orders.yaml and send it again; end with Ctrl-C");
    let reloader = Arc::new(Reloader::new(
        Path::new(CONFIG_PATH),
        Registry::default(),
        Arc::clone(router),
        Vec::new(),
    ));
    let mut watcher = Watcher::start(&router.snapshot().files)?;
    loop {
        tokio::select! {
            () = watcher.changed(router.snapshot().debounce) => {}
            ended = tokio::signal::ctrl_c() => return Ok(ended?),
        }
        let own = Arc::clone(&reloader);
        tokio::task::spawn_blocking(move || own.reload()).await?;
    }
}
