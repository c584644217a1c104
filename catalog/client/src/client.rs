//! The client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Certificate, Method};
use serde::Serialize;
use uuid::Uuid;

use crate::error::{ClientError, Result};
use crate::nearby::Nearby;
use crate::pointers::LastPointers;
use crate::table_cache::TableCache;
use crate::transport::{Call, Reply, Transport};
use tidewater_core::{SharedClock, SharedRng, SystemClock, SystemRng, TableName};
use tidewater_table::Meant;

/// How long a call is tried: an election on a busy machine takes up to four seconds, a slow store as long again.
const DEADLINE: Duration = Duration::from_secs(30);

/// Where the bearer token of a call comes from.
#[derive(Clone)]
pub struct Bearer(Arc<dyn Fn() -> String + Send + Sync>);

impl Bearer {
    /// The same one for every call.
    pub fn fixed(token: impl Into<String>) -> Self {
        let token = token.into();
        Self::made(move || token.clone())
    }

    /// One made for each call, so that it need not be good for long.
    pub fn made(make: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// For the next call.
    pub fn token(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(secret)")
    }
}

/// How the catalog is reached.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Base URLs of the catalog's nodes; one is enough when it runs.
    pub endpoints: Vec<String>,
    /// How long a call is tried, repetitions included.
    pub deadline: Duration,
    /// Whether nodes are tried until the deadline that nobody listens for: they may be starting. Otherwise a call ends when
    /// each of them refused the connection.
    pub await_start: bool,
    /// Shown with each call.
    pub token: Option<Bearer>,
    /// Shown as well with calls that change the group of nodes or take a backup: a token of the nodes' secret.
    pub operator: Option<Bearer>,
    /// CAs that vouch for the catalog's nodes, besides the public ones.
    pub authorities: Vec<Certificate>,
    /// Time.
    pub clock: SharedClock,
    /// Idempotency keys and jitter.
    pub rng: SharedRng,
}

impl ClientOptions {
    /// With the machine's clock and randomness, without a token.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            deadline: DEADLINE,
            await_start: true,
            token: None,
            operator: None,
            authorities: Vec::new(),
            clock: SystemClock::shared(),
            rng: SystemRng::shared(),
        }
    }
}

/// A client of the catalog. Clones share connections and what was told of tables last.
#[derive(Debug, Clone)]
pub struct CatalogClient {
    pub(crate) transport: Arc<Transport>,
    pub(crate) tables: Arc<TableCache>,
    pub(crate) pointers: Arc<LastPointers>,
    /// What a name is meant to be that of, which the catalog is told with what is done by the name.
    pub(crate) meant: Option<Arc<Meant>>,
}

impl CatalogClient {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// If an address is not a URL, or none is given.
    pub fn new(options: ClientOptions) -> Result<Self> {
        Ok(Self {
            transport: Arc::new(Transport::new(options)?),
            tables: Arc::default(),
            pointers: Arc::default(),
            meant: None,
        })
    }

    /// From now on calls to the node at `endpoint`, one of those that were given, go to `node` without a connection.
    ///
    /// # Errors
    /// If `endpoint` is not a URL.
    pub fn nearby(&self, endpoint: &str, node: Arc<dyn Nearby>) -> Result<()> {
        self.transport.nearby(endpoint, node)
    }

    /// A mutation: sent under a fresh idempotency key.
    pub(crate) async fn mutate<T: Serialize + Sync>(
        &self,
        method: Method,
        path: String,
        body: Option<&T>,
    ) -> Result<Reply> {
        let call = Call {
            body: body.map(|body| encode(&method, &path, body)).transpose()?,
            key: Some(self.transport.new_key()),
            method,
            ..Call::get(path)
        };
        self.transport.send(&call).await
    }

    /// The uuid that what bears a name has to have, where that is said.
    pub(crate) fn meant_by(&self, name: &TableName) -> Option<Uuid> {
        self.meant.as_ref()?.of_name(name)
    }

    pub(crate) async fn get(&self, path: impl Into<String>) -> Result<Reply> {
        self.transport.send(&Call::get(path)).await
    }
}

pub(crate) fn encode<T: Serialize>(method: &Method, path: &str, body: &T) -> Result<Bytes> {
    match serde_json::to_vec(body) {
        Ok(bytes) => Ok(bytes.into()),
        Err(source) => Err(ClientError::Encode {
            call: format!("{method} {path}"),
            source,
        }),
    }
}
