//! How a node calls another one's gRPC port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error, Identity, Uri};
use tower::service_fn;

use tidewater_security::{NODE_NAME, NodeStream, NodeTls};

/// Time that both ends have for a handshake that is not [`NodeTls`]'s own: as long as there.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Makes a connection to an endpoint, for those that make theirs elsewhere.
pub type Connect = Arc<dyn Fn(Endpoint) -> BoxFuture<'static, Result<Channel, Error>> + Send + Sync>;

/// Changes an endpoint before it is connected to.
pub type Secure = Arc<dyn Fn(Endpoint) -> Result<Endpoint, Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// Connects to an `http` endpoint, under TLS of the nodes where this process has it: then to nobody but a node, and anew with the
/// certificate of that moment whenever the connection broke.
///
/// # Errors
/// If the other end does not answer, or is not what this node wants.
pub async fn call(endpoint: Endpoint, tls: Option<NodeTls>) -> Result<Channel, Error> {
    let Some(tls) = tls else {
        return endpoint.connect().await;
    };
    let connector = service_fn(move |uri: Uri| {
        let tls = tls.clone();
        async move {
            let address = uri.authority().map_or("", |authority| authority.as_str());
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let stream = NodeStream::calling(stream, Some(&tls)).await?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    endpoint.connect_with_connector(connector).await
}

/// [`call`] as a value; none without TLS.
pub fn connect_by(tls: Option<&NodeTls>) -> Option<Connect> {
    let tls = tls?.clone();
    Some(Arc::new(move |endpoint| Box::pin(call(endpoint, Some(tls.clone())))))
}

/// What puts TLS of the nodes on an `https` endpoint that connects by itself, with this node's certificate as it is then: for
/// connections that are soon made anew, by those that cannot be given [`call`].
pub fn secure_by(tls: &NodeTls) -> Secure {
    let tls = tls.clone();
    Arc::new(move |endpoint| {
        let pem = tls.pem();
        let config = ClientTlsConfig::new()
            .domain_name(NODE_NAME)
            .timeout(HANDSHAKE_DEADLINE)
            .ca_certificate(Certificate::from_pem(&pem.ca))
            .identity(Identity::from_pem(&pem.cert, &pem.key));
        Ok(endpoint.tls_config(config)?)
    })
}
