//! A node of the catalog in the same process: calls to it need no connection.

use std::error::Error;
use std::fmt::Debug;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};

/// Why a node gave no answer; what it was asked for may have happened.
pub type NoAnswer = Box<dyn Error + Send + Sync>;

/// Answers what a connection would bring, in the same way.
pub trait Nearby: Debug + Send + Sync {
    /// The answer of the node. `request` has its path and its query as URI and a `Host`, as HTTP/1.1 has them. Whoever drops the future
    /// asks no more, as if a connection was closed.
    ///
    /// # Errors
    /// If there is none: the work broke off.
    fn answer(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, NoAnswer>>;
}
