//! Connections: how many there may be, and how long one may be silent.
//!
//! What a connection asks for is limited elsewhere (`admit.rs`, `body.rs`); here it is about those that ask for nothing, or
//! for something very slowly.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use tidewater_core::SharedClock;
use tidewater_security::tls::{Opening, Protocol};
use tidewater_security::{Peer, Tls};

/// Connections at a time. A silent one takes some 10 KB and a file descriptor: the process may open more files than this
/// only where `ulimit -n` lets it.
const CONNECTIONS_MAX: usize = 10_000;

/// A connection on which nothing moves for so long is closed: more than any request takes, than clients keep a connection
/// that they do not use (90 s in ours), and than there is between two signs of life of a change feed.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Accepts connections as long as there is a place for them.
#[derive(Debug)]
pub struct Connections {
    listener: TcpListener,
    tls: Option<Tls>,
    clock: SharedClock,
    places: Arc<Semaphore>,
    silence_max: Duration,
    /// Whether clients everywhere may go on without TLS.
    either_way: bool,
    /// Whether the last one found no place.
    is_full: bool,
}

impl Connections {
    /// With the usual limits.
    pub fn new(listener: TcpListener, tls: Option<Tls>, clock: SharedClock) -> Self {
        Self {
            tls,
            ..Self::with_limits(listener, clock, CONNECTIONS_MAX, SILENCE_MAX)
        }
    }

    /// On a port on which clients everywhere may go on without TLS.
    #[must_use]
    pub fn either_way(mut self) -> Self {
        self.either_way = true;
        self
    }

    fn with_limits(listener: TcpListener, clock: SharedClock, places: usize, silence_max: Duration) -> Self {
        Self {
            listener,
            tls: None,
            clock,
            places: Arc::new(Semaphore::new(places)),
            silence_max,
            either_way: false,
            is_full: false,
        }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // axum's way, which waits when the process has no file descriptor left.
            let (stream, from) = Listener::accept(&mut self.listener).await;
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                if !std::mem::replace(&mut self.is_full, true) {
                    tracing::warn!(%from, limit = CONNECTIONS_MAX, "too many connections: new ones are closed");
                }
                continue;
            };
            self.is_full = false;
            // Answers go out in one piece: nothing is won by waiting for more of them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection stays with Nagle's algorithm");
            }
            return (Connection::new(stream, place, self), from);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Who is at the other end of a request's connection.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where it is, and whom its certificate names.
    pub peer: Peer,
    /// What is at work for it.
    pub working: Working,
}

/// How much is at work for a connection, which may be silent meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Working(Arc<AtomicUsize>);

impl Working {
    /// Until what is returned is dropped, something is.
    pub fn begin(&self) -> AtWork {
        self.0.fetch_add(1, Ordering::Relaxed);
        AtWork(self.clone())
    }

    fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Something at work.
#[derive(Debug)]
pub struct AtWork(Working);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Connections>> for Remote {
    fn connect_info(incoming: IncomingStream<'_, Connections>) -> Self {
        let connection = incoming.io();
        Self {
            peer: connection.stream.peer().clone(),
            working: connection.working.clone(),
        }
    }
}

/// A connection that ends when it is silent for too long.
pub struct Connection {
    stream: Opening,
    working: Working,
    clock: SharedClock,
    silence_max: Duration,
    /// When something moved last.
    moved_at: Duration,
    alarm: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: OwnedSemaphorePermit,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", self.stream.peer())
            .finish_non_exhaustive()
    }
}

impl Connection {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, owner: &Connections) -> Self {
        Self {
            stream: match owner.either_way {
                true => Opening::either_way(stream, owner.tls.as_ref(), Protocol::Http),
                false => Opening::new(stream, owner.tls.as_ref(), Protocol::Http),
            },
            working: Working::default(),
            clock: Arc::clone(&owner.clock),
            silence_max: owner.silence_max,
            moved_at: owner.clock.monotonic(),
            alarm: alarm(&owner.clock, owner.silence_max),
            _place: place,
        }
    }

    /// Passes on what the stream said, and ends the connection if it has said nothing for too long.
    fn watched<T>(&mut self, cx: &mut Context<'_>, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if said.is_ready() {
            self.moved_at = self.clock.monotonic();
            return said;
        }
        loop {
            if self.working.is_any() {
                self.moved_at = self.clock.monotonic();
            }
            let silent = self.clock.monotonic().saturating_sub(self.moved_at);
            if silent >= self.silence_max {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.alarm = alarm(&self.clock, self.silence_max - silent);
        }
    }
}

fn alarm(clock: &SharedClock, after: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let clock = Arc::clone(clock);
    Box::pin(async move { clock.sleep(after).await })
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let said = Pin::new(&mut this.stream).poll_read(cx, buffer);
        this.watched(cx, said)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let said = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watched(cx, said)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let said = Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        this.watched(cx, said)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // A stream of the operating system has nothing to flush, and what TLS has goes out with it: nothing has moved.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use tidewater_core::{ManualClock, SystemClock};

    /// A pair of ends of one connection.
    async fn connect(connections: &mut Connections) -> (TcpStream, Connection) {
        let to = connections.local_addr().unwrap();
        let (near, (far, _)) = tokio::join!(TcpStream::connect(to), connections.accept());
        (near.unwrap(), far)
    }

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }

    // Goal: a connection that is silent for too long ends, and one on which something moves does not. Method: a clock moved by hand, by half
    // of the time allowed at a time.
    #[tokio::test]
    async fn silence_ends_a_connection() {
        let clock = Arc::new(ManualClock::new(0));
        let shared: SharedClock = clock.clone();
        let mut connections = Connections::with_limits(listener().await, shared, 1, SILENCE_MAX);
        let (mut near, mut far) = connect(&mut connections).await;
        let mut byte = [0];
        for _ in 0..4 {
            clock.advance(SILENCE_MAX / 2);
            near.write_all(b"x").await.unwrap();
            far.read_exact(&mut byte).await.unwrap();
        }
        clock.advance(SILENCE_MAX);
        let ended = far.read(&mut byte).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    // Goal: a connection for which something is at work may be silent, and not any more once nothing is. Method: the same clock, twice as
    // far as without.
    #[tokio::test]
    async fn work_is_no_silence() {
        let clock = Arc::new(ManualClock::new(0));
        let shared: SharedClock = clock.clone();
        let mut connections = Connections::with_limits(listener().await, shared, 1, SILENCE_MAX);
        let (_near, mut far) = connect(&mut connections).await;
        let mut byte = [0];
        let at_work = far.working.clone().begin();
        clock.advance(SILENCE_MAX * 2);
        let waits = std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut far).poll_read(cx, &mut buffer).is_pending())
        });
        assert!(waits.await, "it stays");
        drop(at_work);
        clock.advance(SILENCE_MAX);
        let ended = far.read(&mut byte).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    // Goal: beyond the limit new connections are closed, those that are there stay, and a place that got free is given again. Method: one
    // place.
    #[tokio::test]
    async fn connections_are_limited() {
        let mut connections = Connections::with_limits(listener().await, SystemClock::shared(), 1, SILENCE_MAX);
        let to = connections.local_addr().unwrap();
        let (mut near, mut far) = connect(&mut connections).await;
        let (mut refused, mut byte) = (TcpStream::connect(to).await.unwrap(), [0]);
        let next = tokio::select! {
            _ = connections.accept() => panic!("it had no place"),
            closed = refused.read(&mut byte) => closed,
        };
        assert!(matches!(next, Ok(0) | Err(_)), "{next:?}");
        far.write_all(b"x").await.unwrap();
        near.read_exact(&mut byte).await.unwrap();
        drop(far);
        let (mut near, mut far) = connect(&mut connections).await;
        far.write_all(b"x").await.unwrap();
        near.read_exact(&mut byte).await.unwrap();
    }
}
