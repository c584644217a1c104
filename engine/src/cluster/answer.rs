//! How a node takes connections to a gRPC port that only other nodes call.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, TcpConnectInfo};

use tidewater_core::SharedClock;
use tidewater_security::{NodeStream, NodeTls};

/// Connections at a time to a port. An executor reads from each of the others by at most some dozens.
const CONNECTIONS_MAX: usize = 10_000;

/// How long is waited after a connection could not be taken, as when there are too many files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Hosts that the log names as refused. More than a cluster has by mistake; who is refused on purpose tells us nothing.
const REFUSED_MAX: usize = 256;

/// Connections as they come, as long as there is a place for them: under TLS of the nodes where this process has it, and then no
/// others. That part of a connection which may take long happens where it is served.
pub fn node_connections(
    listener: TcpListener,
    tls: Option<NodeTls>,
    clock: SharedClock,
) -> impl Stream<Item = io::Result<NodeConnection>> + Send {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let refused = Arc::<Refused>::default();
    stream::unfold(
        (listener, tls, clock, places, refused),
        async |(listener, tls, clock, places, refused)| {
            loop {
                match listener.accept().await {
                    Ok((stream, from)) => {
                        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                            tracing::debug!(%from, limit = CONNECTIONS_MAX, "too many connections to a port of the nodes");
                            continue;
                        };
                        // A server's own setting does not reach connections that it is given, and every call would wait 40 ms
                        // for an acknowledgement.
                        let _ = stream.set_nodelay(true);
                        let connection = NodeConnection::new(stream, from, tls.clone(), Arc::clone(&refused), place);
                        return Some((Ok(connection), (listener, tls, clock, places, refused)));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot take a connection of a node");
                        clock.sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        },
    )
}

/// Hosts of which the log knows that their connections were refused: they try again and again.
#[derive(Debug, Default)]
struct Refused(Mutex<HashSet<IpAddr>>);

impl Refused {
    /// Says it once of each host.
    fn tell(&self, from: SocketAddr, error: &io::Error) {
        // One that hangs up before it says anything wants to know whether the port is open, and nothing else.
        if matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        ) {
            return;
        }
        let is_new = {
            let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            hosts.len() < REFUSED_MAX && hosts.insert(from.ip())
        };
        if is_new {
            tracing::warn!(%from, %error, "a connection to a port of the nodes is refused");
        } else {
            tracing::debug!(%from, %error, "a connection to a port of the nodes is refused");
        }
    }
}

/// A connection of another node.
pub struct NodeConnection {
    state: State,
    from: SocketAddr,
    refused: Arc<Refused>,
    _place: OwnedSemaphorePermit,
}

enum State {
    Meets(BoxFuture<'static, io::Result<NodeStream>>),
    Met(NodeStream),
    Refused,
}

impl NodeConnection {
    fn new(
        stream: TcpStream,
        from: SocketAddr,
        tls: Option<NodeTls>,
        refused: Arc<Refused>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let meets = async move { NodeStream::called(stream, tls.as_ref()).await };
        Self {
            state: State::Meets(Box::pin(meets)),
            from,
            refused,
            _place: place,
        }
    }

    fn met(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut NodeStream>>> {
        if let State::Meets(meets) = &mut self.state {
            match ready!(meets.as_mut().poll(cx)) {
                Ok(stream) => self.state = State::Met(stream),
                Err(error) => {
                    self.refused.tell(self.from, &error);
                    self.state = State::Refused;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match &mut self.state {
            State::Met(stream) => Ok(Pin::new(stream)),
            State::Meets(_) | State::Refused => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

impl std::fmt::Debug for NodeConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeConnection")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl Connected for NodeConnection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(self.from),
        }
    }
}

impl AsyncRead for NodeConnection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().met(cx))?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for NodeConnection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().met(cx))?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().met(cx))?.poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.state {
            State::Met(stream) => stream.is_write_vectored(),
            State::Meets(_) | State::Refused => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().met(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().state {
            State::Met(stream) => Pin::new(stream).poll_shutdown(cx),
            // Nothing was agreed on that could be ended.
            State::Meets(_) | State::Refused => Poll::Ready(Ok(())),
        }
    }
}
