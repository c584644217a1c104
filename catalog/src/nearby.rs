//! The server as a client in the same process calls it.

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use tidewater_catalog_client::{Nearby, NoAnswer};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

/// All routes, with every check that a connection's requests pass.
#[derive(Debug, Clone)]
pub(crate) struct Near {
    pub(crate) router: Router,
    /// Where the server runs: whoever calls may be on threads that others do not wait for.
    pub(crate) runtime: Handle,
}

impl Nearby for Near {
    fn answer(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, NoAnswer>> {
        let router = self.router.clone();
        // A task of its own: a defect there ends it and not the caller.
        let work = AbortOnDropHandle::new(self.runtime.spawn(async move {
            let response = router.oneshot(request.map(Body::from)).await?;
            let (parts, body) = response.into_parts();
            Ok(Response::from_parts(parts, to_bytes(body, usize::MAX).await?))
        }));
        Box::pin(async move { work.await? })
    }
}
