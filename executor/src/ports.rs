//! The ports of an executor.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use crate::error::{ExecutorError, Result};

/// Listens on a port, any for 0. The port, too.
pub(crate) async fn listen(ip: IpAddr, port: u16) -> Result<(TcpListener, u16)> {
    let address = SocketAddr::new(ip, port);
    let failed = |source| ExecutorError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}
