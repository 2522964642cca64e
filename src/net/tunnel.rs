//! Two connections joined: what comes on one goes out on the other, until both have ended.
//!
//! A direction reads only when what it read before has left, so a tunnel holds at most one read
//! for each direction, and nothing while nothing moves. One end may end its direction before the
//! other does. A tunnel that is told to end, or on which nothing moves for too long, says goodbye
//! between two frames of both directions and waits a moment for the answers.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::websocket::{Frames, GOING_AWAY, GOING_AWAY_MASKED};
use crate::http1::Upgraded;
use crate::telemetry::clock;

/// Bytes read at a time.
const READ_MAX: usize = 16 * 1024;
/// How long saying goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Told once how a tunnel ended.
pub trait OnClose: Send {
    /// So many bytes went each way; `why` says why it ended, unless both ends had ended it.
    fn closed(self: Box<Self>, from_caller: u64, to_caller: u64, why: Option<&str>);
}

/// An endpoint's end, waiting for the caller's.
pub struct Tunnel {
    endpoint: Upgraded,
    idle: Duration,
    on_close: Box<dyn OnClose>,
}

/// The tunnel at work.
struct Joined {
    caller: Upgraded,
    endpoint: Upgraded,
    up: Way,
    down: Way,
    idle: Duration,
    /// Bytes that have moved, and when the last of them did.
    moved: (u64, Instant),
    timer: Pin<Box<Sleep>>,
    /// Why it is being ended.
    why: Option<String>,
}

/// One direction.
#[derive(Debug)]
struct Way {
    /// Read, and not yet taken at the other end.
    waiting: Bytes,
    /// Written, and perhaps still held by what encrypts it.
    unflushed: bool,
    frames: Frames,
    goodbye: &'static [u8],
    bytes: u64,
    /// Nothing more is read for it.
    ended: bool,
    /// And the other end was told so.
    over: bool,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}

impl Tunnel {
    /// To `endpoint`, for as long as something moves within `idle`.
    #[must_use]
    pub const fn new(endpoint: Upgraded, idle: Duration, on_close: Box<dyn OnClose>) -> Self {
        Self {
            endpoint,
            idle,
            on_close,
        }
    }

    /// Joins the two and comes back when it is over; `leave` gives the reason to end it early.
    pub async fn join(self, caller: Upgraded, leave: impl Future<Output = &'static str>) {
        let mut leave = std::pin::pin!(leave);
        let mut joined = Joined {
            caller,
            endpoint: self.endpoint,
            up: Way::new(GOING_AWAY_MASKED),
            down: Way::new(GOING_AWAY),
            idle: self.idle,
            moved: (0, Instant::now()),
            timer: Box::pin(sleep_until(Instant::now() + self.idle)),
            why: None,
        };
        std::future::poll_fn(|cx| {
            if joined.why.is_none()
                && let Poll::Ready(why) = leave.as_mut().poll(cx)
            {
                joined.leave(why.to_owned());
            }
            joined.poll(cx)
        })
        .await;
        let (up, down) = (joined.up.bytes, joined.down.bytes);
        self.on_close.closed(up, down, joined.why.as_deref());
    }
}

impl Joined {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.why.is_none()
            && let Err(why) = self.pass(cx)
        {
            self.leave(why);
        }
        if self.why.is_none() {
            if self.up.over && self.down.over {
                return Poll::Ready(());
            }
            self.note_moved();
            ready!(self.poll_idle(cx));
            self.leave(format!("nothing moved for {:?}", self.idle));
        }
        let ended = self.poll_goodbye(cx);
        if ended.is_ready() || self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Moves what can be moved now.
    fn pass(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let up = self.up.poll(cx, &mut self.caller, &mut self.endpoint);
        told(up, "caller", "endpoint")?;
        let down = self.down.poll(cx, &mut self.endpoint, &mut self.caller);
        told(down, "endpoint", "caller")
    }

    fn note_moved(&mut self) {
        let bytes = self.up.bytes + self.down.bytes;
        if bytes != self.moved.0 {
            self.moved = (bytes, clock::now());
        }
    }

    /// Ready when nothing has moved for too long. The timer is set anew only when it fires: that
    /// is what would cost.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let until = self.moved.1 + self.idle;
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
    }

    /// Nothing more is passed but goodbyes.
    fn leave(&mut self, why: String) {
        self.why = Some(why);
        self.timer.as_mut().reset(Instant::now() + GOODBYE_MAX);
        self.up.say_goodbye();
        self.down.say_goodbye();
    }

    /// Ready when both ends were told, and have ended too.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let up = self.up.poll_end(cx, &mut self.endpoint);
        let down = self.down.poll_end(cx, &mut self.caller);
        if up.is_pending() || down.is_pending() {
            return Poll::Pending;
        }
        // What they still say is read away: closed over it, a connection is reset, and the
        // goodbye may be lost with it.
        let caller = poll_read_away(cx, &mut self.caller);
        let endpoint = poll_read_away(cx, &mut self.endpoint);
        if caller.is_pending() || endpoint.is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Way {
    const fn new(goodbye: &'static [u8]) -> Self {
        Self {
            waiting: Bytes::new(),
            unflushed: false,
            frames: Frames::START,
            goodbye,
            bytes: 0,
            ended: false,
            over: false,
        }
    }

    /// Moves bytes until one end makes it wait; the error says whose it is.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Upgraded,
        to: &mut Upgraded,
    ) -> Poll<Result<(), Broken>> {
        while !self.ended {
            ready!(self.poll_waiting(cx, to)).map_err(Broken::To)?;
            let mut space = [MaybeUninit::uninit(); READ_MAX];
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *from).poll_read(cx, &mut read) {
                Poll::Pending => return self.poll_flush(cx, to).map_err(Broken::To),
                // TLS that ends without saying so: whether words are missing the two ends know,
                // who say goodbye in words of their own.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Poll::Ready(read) => read.map_err(Broken::From)?,
            }
            let bytes = read.filled();
            self.ended = bytes.is_empty();
            let taken = match Pin::new(&mut *to).poll_write(cx, bytes) {
                _ if bytes.is_empty() => 0,
                Poll::Pending => 0,
                Poll::Ready(taken) => taken.map_err(Broken::To)?,
            };
            self.took(bytes.get(..taken).unwrap_or_default());
            let rest = bytes.get(taken..).unwrap_or_default();
            self.waiting = Bytes::copy_from_slice(rest);
        }
        self.poll_end(cx, to).map_err(Broken::To)
    }

    /// These bytes left.
    fn took(&mut self, bytes: &[u8]) {
        self.frames.pass(bytes);
        self.bytes += bytes.len() as u64;
        self.unflushed |= !bytes.is_empty();
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>, to: &mut Upgraded) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let taken = ready!(Pin::new(&mut *to).poll_write(cx, &self.waiting))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let waiting = self.waiting.clone();
            self.took(waiting.get(..taken).unwrap_or_default());
            self.waiting.advance(taken);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, to: &mut Upgraded) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is left and ends the direction.
    fn poll_end(&mut self, cx: &mut Context<'_>, to: &mut Upgraded) -> Poll<io::Result<()>> {
        if self.over {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_waiting(cx, to))?;
        ready!(self.poll_flush(cx, to))?;
        ready!(Pin::new(to).poll_shutdown(cx))?;
        self.over = true;
        Poll::Ready(Ok(()))
    }

    /// Ends the direction, with a goodbye where one may stand.
    fn say_goodbye(&mut self) {
        let mut frames = self.frames.clone();
        frames.pass(&self.waiting);
        if !std::mem::replace(&mut self.ended, true) && frames.may_close() {
            let all = [&self.waiting, self.goodbye].concat();
            self.waiting = all.into();
        }
    }
}

/// Which end broke.
#[derive(Debug)]
enum Broken {
    From(io::Error),
    To(io::Error),
}

fn told(polled: Poll<Result<(), Broken>>, from: &str, to: &str) -> Result<(), String> {
    match polled {
        Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
        Poll::Ready(Err(Broken::From(error))) => Err(format!("the {from} broke off: {error}")),
        Poll::Ready(Err(Broken::To(error))) => Err(format!("the {to} broke off: {error}")),
    }
}

fn poll_read_away(cx: &mut Context<'_>, from: &mut Upgraded) -> Poll<()> {
    loop {
        let mut space = [MaybeUninit::uninit(); READ_MAX];
        let mut read = ReadBuf::uninit(&mut space);
        match ready!(Pin::new(&mut *from).poll_read(cx, &mut read)) {
            Ok(()) if !read.filled().is_empty() => {}
            Ok(()) | Err(_) => return Poll::Ready(()),
        }
    }
}
