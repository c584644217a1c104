//! Connections between nodes, with TLS where nodes speak it.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::{NodeTls, no_tls};
use crate::tls::{Either, begins_tls};

/// A connection between two nodes.
pub type NodeStream = Either<TlsStream<TcpStream>>;

impl NodeStream {
    /// On a connection that this node has made.
    ///
    /// # Errors
    /// As [`NodeTls::connect`].
    pub async fn calling(stream: TcpStream, tls: Option<&NodeTls>) -> io::Result<Self> {
        match tls {
            None => Ok(Self::Plain(stream)),
            Some(tls) => Ok(Self::Tls(Box::new(tls.connect(stream).await?.into()))),
        }
    }

    /// On a connection that this node was called on. Without TLS it waits for the first byte, to know that the caller has none either.
    ///
    /// # Errors
    /// As [`NodeTls::accept`], and [`SecurityError::NoNodeTls`](crate::SecurityError::NoNodeTls) inside where the caller speaks TLS
    /// and this node does not.
    pub async fn called(stream: TcpStream, tls: Option<&NodeTls>) -> io::Result<Self> {
        match tls {
            None if begins_tls(&stream).await? => Err(no_tls(None)),
            None => Ok(Self::Plain(stream)),
            Some(tls) => Ok(Self::Tls(Box::new(tls.accept(stream).await?.into()))),
        }
    }
}
