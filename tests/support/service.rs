//! Services behind the router: each request is kept as it came and answered as told.
//!
//! A panic in a service's thread fails the test that owns the service.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use socket2::{Domain, SockRef, Socket, Type};

use super::messages::{SOAP11, SOAP12, media_type_of};
use super::wire::{Framing, Head, Wire, chunked, find};
use super::{PATIENCE, tls, until};

/// A request as a service got it.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: Head,
    pub framing: Framing,
    pub body: Vec<u8>,
}

/// What a service does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Says who it is, in the caller's SOAP version.
    Echo,
    /// These bytes, and the connection stays.
    Raw(Vec<u8>),
    /// These bytes, and the connection ends.
    Last(Vec<u8>),
    /// The connection ends without a byte.
    Close,
    /// Nothing, until the other side gives up.
    Hang,
}

/// Holds services back until it is opened.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

type Behaviour = dyn Fn(&Received) -> Reply + Send + Sync;
type Speech = dyn Fn(&mut Wire, usize) + Send + Sync;

enum Manner {
    Answers(Box<Behaviour>),
    Speaks(Box<Speech>),
}

/// A service that is about to start.
pub struct Starting {
    name: String,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// A running service.
pub struct Service {
    pub name: String,
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    tls: Option<Arc<rustls::ServerConfig>>,
    manner: Manner,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    open: Mutex<HashMap<usize, TcpStream>>,
    stopped: AtomicBool,
    panics: Mutex<Vec<String>>,
}

/// A service of this name.
pub fn service(name: &str) -> Starting {
    Starting {
        name: name.to_owned(),
        tls: None,
    }
}

impl Starting {
    /// Speaks TLS.
    pub fn tls(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Answers every message with its name.
    pub fn echoes(self) -> Service {
        self.replies(|_| Reply::Echo)
    }

    /// Answers as told.
    pub fn replies(self, reply: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Service {
        self.start(Manner::Answers(Box::new(reply)))
    }

    /// Is given each connection, with its number, to do with as it likes.
    pub fn speaks(self, speech: impl Fn(&mut Wire, usize) + Send + Sync + 'static) -> Service {
        self.start(Manner::Speaks(Box::new(speech)))
    }

    fn start(self, manner: Manner) -> Service {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name: self.name.clone(),
            tls: self.tls,
            manner,
            received: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
            stopped: AtomicBool::new(false),
            panics: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || accept(&socket, &own));
        Service {
            name: self.name,
            address,
            shared,
        }
    }
}

impl Service {
    /// Where it is reached.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}/{}", self.address, self.name)
    }

    /// What it got so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many requests it got so far.
    pub fn count(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// Where its open connections come from.
    pub fn peers(&self) -> Vec<SocketAddr> {
        let open = self.shared.open.lock().unwrap();
        open.values()
            .filter_map(|one| one.peer_addr().ok())
            .collect()
    }

    /// Waits until it got `count` requests, and gives them.
    #[track_caller]
    pub fn got(&self, count: usize) -> Vec<Received> {
        until(&format!("{count} requests at `{}`", self.name), || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
    }

    /// The one request that it got.
    #[track_caller]
    pub fn only(&self) -> Received {
        let mut received = self.got(1);
        assert_eq!(received.len(), 1, "`{}` should get one request", self.name);
        received.remove(0)
    }

    /// How many connections it took.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Dies: refuses connections and breaks those that are open.
    pub fn kill(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().values() {
            // One that ended by itself needs no end.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread, which lets go of the socket.
        let _ = TcpStream::connect(self.address);
        until("the service's death", || {
            TcpStream::connect(self.address).is_err().then_some(())
        });
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let panics = self.shared.panics.lock().unwrap().clone();
        if !self.shared.stopped.load(Ordering::SeqCst) {
            self.kill();
        }
        if !thread::panicking() {
            assert!(
                panics.is_empty(),
                "service `{}` panicked: {panics:?}",
                self.name
            );
        }
    }
}

fn accept(socket: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = socket.accept() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        let kept = stream.try_clone().unwrap();
        shared.open.lock().unwrap().insert(number, kept);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let mut wire = match &shared.tls {
                Some(config) => Wire::secured(stream, |stream| tls::accept(config, stream)),
                None => Wire::new(stream),
            };
            let serve = std::panic::AssertUnwindSafe(|| shared.serve(&mut wire, number));
            if let Err(panic) = std::panic::catch_unwind(serve) {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                shared.panics.lock().unwrap().push(text);
            }
            // The clone kept for `kill` would hold the connection open.
            if let Some(stream) = shared.open.lock().unwrap().remove(&number) {
                // One that is to be reset must not be ended in good order.
                let resets = SockRef::from(&stream).linger().unwrap().is_some();
                let _ = (!resets).then(|| stream.shutdown(Shutdown::Both));
            }
        });
    }
}

impl Shared {
    /// Serves one connection to its end.
    fn serve(&self, wire: &mut Wire, number: usize) {
        let answers = match &self.manner {
            Manner::Speaks(speech) => return speech(wire, number),
            Manner::Answers(answers) => answers,
        };
        // A connection that breaks is the router's right: nothing more comes from it.
        while let Ok(Some(head)) = wire.head() {
            let framing = head.framing(None);
            if head.get("expect").is_some() && wire.write("HTTP/1.1 100 Continue\r\n\r\n").is_err()
            {
                return;
            }
            let Ok(body) = wire.body(framing) else { return };
            let method = head.method().to_owned();
            let received = Received {
                head,
                framing,
                body,
            };
            self.received.lock().unwrap().push(received.clone());
            match answers(&received) {
                Reply::Echo => {
                    let bytes = echo(&self.name, &received.body, &method);
                    if wire.write(bytes).is_err() {
                        return;
                    }
                }
                Reply::Raw(bytes) => {
                    if wire.write(bytes).is_err() {
                        return;
                    }
                }
                Reply::Last(bytes) => {
                    let _ = wire.write(bytes);
                    return;
                }
                Reply::Close => return,
                Reply::Hang => {
                    while wire.some().is_ok_and(|bytes| !bytes.is_empty()) {}
                    return;
                }
            }
        }
    }
}

/// An answer in the version of the message, which says whose it is.
fn echo(name: &str, message: &[u8], method: &str) -> Vec<u8> {
    let namespace = if find(message, SOAP12.as_bytes()).is_some() {
        SOAP12
    } else {
        SOAP11
    };
    let body = format!(
        "<e:Envelope xmlns:e=\"{namespace}\"><e:Body><by>{name}</by></e:Body></e:Envelope>"
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        media_type_of(body.as_bytes()),
        body.len()
    );
    let body = if method == "HEAD" { "" } else { body.as_str() };
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A reply with this status, these fields and its length announced.
pub fn reply(status: &str, fields: &str, body: &str) -> Reply {
    let head = format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    Reply::Raw([head.as_bytes(), body.as_bytes()].concat())
}

/// A reply in chunks.
pub fn reply_chunked(status: &str, fields: &str, body: &str, size: usize) -> Reply {
    let head = format!("HTTP/1.1 {status}\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
    Reply::Raw([head.as_bytes(), &chunked(body.as_bytes(), size)].concat())
}

/// A page such as a broken server shows.
pub fn html(status: &str) -> Reply {
    reply(
        status,
        "Content-Type: text/html\r\n",
        "<html><body>No</body></html>",
    )
}

/// A SOAP 1.1 fault with this code, sent with this status.
pub fn fault(status: &str, code: &str) -> Reply {
    let body = format!(
        "<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body><e:Fault><faultcode>e:{code}</faultcode>\
         <faultstring>no</faultstring></e:Fault></e:Body></e:Envelope>"
    );
    reply(status, "Content-Type: text/xml\r\n", &body)
}

/// A service that echoes once the gate is open.
pub fn held(name: &str) -> (Service, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let service = service(name).replies(move |_| {
        held.pass();
        Reply::Echo
    });
    (service, gate)
}

impl Gate {
    /// Waits until the gate is open.
    ///
    /// # Panics
    /// When nobody opens it in time.
    #[track_caller]
    pub fn pass(&self) {
        let (open, changed) = &*self.0;
        let guard = open.lock().unwrap();
        let waited = changed.wait_timeout_while(guard, PATIENCE, |open| !*open);
        let in_vain = waited.unwrap().1.timed_out();
        assert!(!in_vain, "the gate was never opened");
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().unwrap() = true;
        changed.notify_all();
    }
}

/// An address that refuses every connection, for as long as the value lives: bound, but nobody
/// listens.
pub fn refusing() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (address, socket)
}

/// An address that leaves connections waiting, for as long as the value lives: its queue of
/// connections is full and nobody takes them out.
pub fn unanswering() -> (SocketAddr, Vec<Socket>) {
    let (address, socket) = refusing();
    socket.listen(0).unwrap();
    let mut held = vec![socket];
    // Once one waits without an answer, the queue is full.
    loop {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let waited = filler.connect_timeout(&address.into(), std::time::Duration::from_millis(200));
        held.push(filler);
        if waited.is_err() {
            return (address, held);
        }
        assert!(held.len() < 100, "the queue of connections does not fill");
    }
}
