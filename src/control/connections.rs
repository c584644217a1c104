//! Connections of the control endpoint, with TLS for clients that begin with it where there is a certificate.

use std::io;
use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::net::TcpListener;

use tidewater_security::tls::{Opening, Protocol};
use tidewater_security::{Peer, Tls};

/// Accepts connections.
pub(super) struct Connections {
    listener: TcpListener,
    tls: Option<Tls>,
}

impl Connections {
    pub(super) fn new(listener: TcpListener, tls: Option<Tls>) -> Self {
        Self { listener, tls }
    }
}

impl Listener for Connections {
    type Io = Opening;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Opening, SocketAddr) {
        // axum's way, which waits when the process has no file descriptor left.
        let (stream, from) = Listener::accept(&mut self.listener).await;
        (Opening::either_way(stream, self.tls.as_ref(), Protocol::Http), from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Who is at the other end of a request's connection.
#[derive(Debug, Clone)]
pub(super) struct Remote(Peer);

impl Connected<IncomingStream<'_, Connections>> for Remote {
    fn connect_info(incoming: IncomingStream<'_, Connections>) -> Self {
        Self(incoming.io().peer().clone())
    }
}

/// Tells the routes who is at the other end, in the terms that they know.
pub(super) async fn tell_peer(
    ConnectInfo(Remote(peer)): ConnectInfo<Remote>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(peer);
    next.run(request).await
}
