//! Connections with TLS or without, as servers read and write them.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::either::Either;
use super::{Peer, Protocol, Tls, begins_tls};

/// A connection of a client, with TLS or without.
pub type Stream = Either<TlsStream<TcpStream>>;

/// A connection whose handshake is part of its first reading or writing: it happens where the connection is served, and a
/// client that takes its time holds nobody up.
pub struct Opening {
    state: State,
    peer: Peer,
}

/// A handshake on its way: the stream, and whom the client's certificate names.
type Handshake = Pin<Box<dyn Future<Output = io::Result<(Stream, Option<String>)>> + Send>>;

enum State {
    Begins(Handshake),
    Open(Stream),
    Failed,
}

impl Opening {
    /// Of a connection that has just come; without TLS where there is none.
    pub fn new(stream: TcpStream, tls: Option<&Tls>, protocol: Protocol) -> Self {
        let peer = Peer::at(stream.peer_addr().ok());
        let state = match tls {
            None => State::Open(Stream::Plain(stream)),
            Some(tls) => {
                let tls = tls.clone();
                State::Begins(Box::pin(async move {
                    let stream = tls.accept_either(stream, protocol).await?;
                    let user = match &stream {
                        Stream::Tls(stream) => tls.user_of(stream),
                        Stream::Plain(_) => None,
                    };
                    Ok((stream, user))
                }))
            }
        };
        Self { state, peer }
    }

    /// The same for a port on which clients everywhere may go on without TLS.
    pub fn either_way(stream: TcpStream, tls: Option<&Tls>, protocol: Protocol) -> Self {
        let peer = Peer::at(stream.peer_addr().ok());
        let Some(tls) = tls.cloned() else {
            let state = State::Open(Stream::Plain(stream));
            return Self { state, peer };
        };
        let handshake = async move {
            if !begins_tls(&stream).await? {
                return Ok((Stream::Plain(stream), None));
            }
            let stream = tls.accept(stream, protocol).await?;
            let user = tls.user_of(&stream);
            Ok((Stream::Tls(Box::new(stream)), user))
        };
        let state = State::Begins(Box::pin(handshake));
        Self { state, peer }
    }

    /// Who is at the other end. Whom their certificate names is known after the handshake.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    fn open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut Stream>>> {
        if let State::Begins(handshake) = &mut self.state {
            match ready!(handshake.as_mut().poll(cx)) {
                Ok((stream, user)) => {
                    self.peer.named(user);
                    if stream.is_tls() {
                        self.peer.encrypted();
                    }
                    self.state = State::Open(stream);
                }
                Err(error) => {
                    self.state = State::Failed;
                    tracing::debug!(%error, from = ?self.peer.ip(), "a connection was not secured");
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match &mut self.state {
            State::Open(stream) => Ok(Pin::new(stream)),
            State::Begins(_) | State::Failed => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Opening {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().open(cx))?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Opening {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().open(cx))?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().open(cx))?.poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.state {
            State::Open(stream) => stream.is_write_vectored(),
            State::Begins(_) | State::Failed => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().open(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().state {
            State::Open(stream) => Pin::new(stream).poll_shutdown(cx),
            // Nothing was agreed on that could be ended.
            State::Begins(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }
}
