//! Connections of the Flight SQL front: how many there may be, and which are given up.
//!
//! Those that only wait for the next call are left alone, as drivers keep them for long; whether their clients still live is asked by
//! HTTP/2 itself. Given up are those that never say what they are, and those whose clients take nothing of what they asked for.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;

use tidewater_core::SharedClock;
use tidewater_security::tls::{Opening, Protocol};
use tidewater_security::{Peer, Tls};

use super::budget::Shares;

/// Connections at a time. A silent one takes some 10 KB and a file descriptor.
const CONNECTIONS_MAX: usize = 10_000;

/// How long is waited after a connection could not be taken, as when there are too many files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every client of HTTP/2 begins with: so many bytes, and how long it may take for them, TLS included.
const PREFACE_BYTES: usize = 24;
const PREFACE_DEADLINE: Duration = Duration::from_secs(20);

/// A client that takes nothing of an answer for so long loses its connection: what is made ready for it, some megabytes a call, is held
/// until then. As long as on the PostgreSQL wire, and as a statement may run.
const UNREAD_MAX: Duration = Duration::from_secs(300);

/// How often a connection on which nothing comes is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Connections as they come, as long as there is a place for them.
pub(super) fn connections(
    listener: TcpListener,
    tls: Option<Tls>,
    clock: SharedClock,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    stream::unfold(
        (listener, tls, clock, places, false),
        async |(listener, tls, clock, places, mut is_full)| {
            loop {
                match listener.accept().await {
                    Ok((tcp, from)) => {
                        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                            if !std::mem::replace(&mut is_full, true) {
                                tracing::warn!(%from, limit = CONNECTIONS_MAX, "too many connections: new ones are closed");
                            }
                            continue;
                        };
                        // The server's own setting does not reach a listener it is given, and every call would wait 40 ms for an
                        // acknowledgement.
                        let _ = tcp.set_nodelay(true);
                        let opening = Opening::new(tcp, tls.as_ref(), Protocol::Grpc);
                        let connection = Connection::new(opening, place, &clock);
                        return Some((Ok(connection), (listener, tls, clock, places, false)));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot take a Flight SQL connection");
                        clock.sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        },
    )
}

/// What calls are told of the connection they came by.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Who is at the other end.
    pub(super) peer: Peer,
    /// What the other end has still to take.
    pub(super) unread: Unread,
    /// What it has of messages that are not whole yet.
    pub(super) shares: Shares,
}

/// The answers on their way on one connection, each with the moment since when its client has had something to take; none while the
/// server has something to make.
#[derive(Debug, Clone)]
pub(super) struct Unread {
    answers: Arc<Mutex<Answers>>,
    clock: SharedClock,
}

#[derive(Debug, Default)]
struct Answers {
    next: u64,
    since: BTreeMap<u64, Option<Duration>>,
}

impl Unread {
    fn new(clock: SharedClock) -> Self {
        Self {
            answers: Arc::default(),
            clock,
        }
    }

    /// Takes note of one more answer, until what is returned is dropped.
    pub(super) fn begin(&self) -> Answer {
        let mut answers = self.lock();
        let number = answers.next;
        answers.next += 1;
        answers.since.insert(number, None);
        drop(answers);
        Answer {
            unread: self.clone(),
            number,
        }
    }

    /// Whether one of them is not taken for too long.
    fn is_given_up(&self) -> bool {
        let now = self.clock.monotonic();
        let answers = self.lock();
        let oldest = answers.since.values().flatten().min();
        oldest.is_some_and(|since| now.saturating_sub(*since) >= UNREAD_MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Answer {
    unread: Unread,
    number: u64,
}

impl Answer {
    /// The client has taken what there was, and more is being made.
    pub(super) fn is_wanted(&self) {
        self.set(None);
    }

    /// There is something for the client to take.
    pub(super) fn is_ready(&self) {
        self.set(Some(self.unread.clock.monotonic()));
    }

    fn set(&self, since: Option<Duration>) {
        self.unread.lock().since.insert(self.number, since);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.unread.lock().since.remove(&self.number);
    }
}

/// A connection as the server wants it.
pub(super) struct Connection {
    stream: Opening,
    unread: Unread,
    shares: Shares,
    clock: SharedClock,
    /// When it began, and how much has come.
    began: Duration,
    came: usize,
    alarm: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: Opening, place: OwnedSemaphorePermit, clock: &SharedClock) -> Self {
        Self {
            stream,
            unread: Unread::new(Arc::clone(clock)),
            shares: Shares::default(),
            clock: Arc::clone(clock),
            began: clock.monotonic(),
            came: 0,
            alarm: alarm(clock),
            _place: place,
        }
    }

    /// Whether it is to go on while nothing comes.
    fn waits(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let age = self.clock.monotonic().saturating_sub(self.began);
            let is_unknown = self.came < PREFACE_BYTES && age >= PREFACE_DEADLINE;
            if is_unknown || self.unread.is_given_up() {
                tracing::debug!(from = ?self.stream.peer().ip(), is_unknown, "a Flight SQL connection is given up");
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.alarm = alarm(&self.clock);
        }
    }
}

fn alarm(clock: &SharedClock) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let clock = Arc::clone(clock);
    Box::pin(async move { clock.sleep(LOOK).await })
}

impl Connected for Connection {
    type ConnectInfo = Line;

    fn connect_info(&self) -> Line {
        Line {
            peer: self.stream.peer().clone(),
            unread: self.unread.clone(),
            shares: self.shares.clone(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Pending => this.waits(cx),
            Poll::Ready(said) => {
                let came = buffer.filled().len().saturating_sub(before);
                this.came = this.came.saturating_add(came);
                Poll::Ready(said)
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use tidewater_core::ManualClock;

    /// The client's end of a connection, and the server's.
    async fn pair(clock: &Arc<ManualClock>) -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let to = listener.local_addr().expect("an address");
        let shared: SharedClock = clock.clone();
        let (near, far) = tokio::join!(TcpStream::connect(to), listener.accept());
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("a place");
        let opening = Opening::new(far.expect("a connection").0, None, Protocol::Grpc);
        (near.expect("a connection"), Connection::new(opening, place, &shared))
    }

    // Goal: who does not say what it is loses its connection, and who has may be silent. Method: a clock moved by hand; one client that
    // sends all but the last byte of what HTTP/2 begins with, and one that sends all of it.
    #[tokio::test]
    async fn those_that_say_nothing_are_given_up() {
        for (bytes, stays) in [(PREFACE_BYTES - 1, false), (PREFACE_BYTES, true)] {
            let clock = Arc::new(ManualClock::new(0));
            let (mut near, mut far) = pair(&clock).await;
            near.write_all(&vec![b'x'; bytes]).await.expect("sent");
            far.read_exact(&mut vec![0; bytes]).await.expect("read");
            clock.advance(PREFACE_DEADLINE);
            let mut byte = [0];
            let read = far.read(&mut byte);
            match stays {
                false => assert_eq!(read.await.expect_err("it ends").kind(), io::ErrorKind::TimedOut),
                true => {
                    let (read, sent) = tokio::join!(read, near.write_all(b"y"));
                    sent.expect("sent");
                    assert_eq!(read.expect("read"), 1);
                }
            }
        }
    }

    // Goal: who takes nothing of an answer loses the connection, and who takes it slowly does not. Method: a clock moved by hand; answers
    // that were taken, are being made and are over; then one that is not taken.
    #[tokio::test]
    async fn those_that_take_nothing_are_given_up() {
        let clock = Arc::new(ManualClock::new(0));
        let (mut near, mut far) = pair(&clock).await;
        near.write_all(&[b'x'; PREFACE_BYTES]).await.expect("sent");
        far.read_exact(&mut [0; PREFACE_BYTES]).await.expect("read");
        let unread = far.connect_info().unread;
        let (slow, made, over) = (unread.begin(), unread.begin(), unread.begin());
        slow.is_ready();
        over.is_ready();
        clock.advance(UNREAD_MAX / 2);
        slow.is_wanted();
        slow.is_ready();
        drop(over);
        clock.advance(UNREAD_MAX / 2);
        near.write_all(b"y").await.expect("sent");
        assert_eq!(far.read(&mut [0]).await.expect("read"), 1);
        assert!(!unread.is_given_up());
        clock.advance(UNREAD_MAX / 2);
        assert_eq!(
            far.read(&mut [0]).await.expect_err("it ends").kind(),
            io::ErrorKind::TimedOut
        );
        drop((slow, made));
        assert!(!unread.is_given_up());
    }
}
