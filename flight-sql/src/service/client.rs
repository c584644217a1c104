//! Whom a service answers: what a client is called, how it came, and what it has set.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tidewater_engine::{Execution, SessionOptions};

use super::QueryService;
use crate::metrics::Front;

/// Longest name of a client that is kept.
const CLIENT_BYTES_MAX: usize = 128;

/// Whom a service answers, and what they have set.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// What it calls itself.
    pub(super) name: Arc<str>,
    /// Which way it came.
    pub(super) front: Front,
    /// Where it is, where its front knows.
    pub(super) address: Option<IpAddr>,
    /// Whether it takes rows that are kept.
    pub(super) cached: bool,
    /// Where it wants its queries to run.
    pub(super) execution: Execution,
    /// The schema of names that have none, if it wants another than the usual one.
    pub(super) schema: Option<Arc<str>>,
    /// The longest that it gives a statement.
    pub(super) timeout: Option<Duration>,
    /// The id under which its writes wait to be published, to tables that stage them.
    pub(super) wap_id: Option<Arc<str>>,
}

impl Default for Client {
    /// One of whom nothing is known yet, and who has set nothing.
    fn default() -> Self {
        Self {
            name: Arc::from(""),
            front: Front::default(),
            address: None,
            cached: true,
            execution: Execution::Auto,
            schema: None,
            timeout: None,
            wap_id: None,
        }
    }
}

impl QueryService {
    /// The same service for clients that come this way.
    #[must_use]
    pub fn through(&self, front: Front) -> Self {
        let client = Client {
            front,
            ..self.1.clone()
        };
        Self(Arc::clone(&self.0), client)
    }

    /// The same service for a client that calls itself so.
    #[must_use]
    pub fn of_client(&self, client: &str) -> Self {
        let end = client.floor_char_boundary(CLIENT_BYTES_MAX);
        let name = client.get(..end).unwrap_or_default();
        let client = Client {
            name: Arc::from(name),
            ..self.1.clone()
        };
        Self(Arc::clone(&self.0), client)
    }

    /// The same service for a client at this address.
    #[must_use]
    pub fn at_address(&self, address: Option<IpAddr>) -> Self {
        let client = Client {
            address,
            ..self.1.clone()
        };
        Self(Arc::clone(&self.0), client)
    }

    /// The same service for a client that wants its queries to run there.
    #[must_use]
    pub fn execution(&self, execution: Execution) -> Self {
        let client = Client {
            execution,
            ..self.1.clone()
        };
        Self(Arc::clone(&self.0), client)
    }

    /// The same service for a client whose names without a schema stand in this one; the usual one if there is none.
    #[must_use]
    pub fn within(&self, schema: Option<&str>) -> Self {
        let client = Client {
            schema: schema.map(Arc::from),
            ..self.1.clone()
        };
        Self(Arc::clone(&self.0), client)
    }

    /// The schema that the client chose.
    pub(crate) fn wanted_schema(&self) -> Option<&str> {
        self.1.schema.as_deref()
    }

    /// The same service for a client that gives its statements so long; they never have longer than anybody's.
    #[must_use]
    pub fn within_time(&self, timeout: Option<Duration>) -> Self {
        let client = Client {
            timeout,
            ..self.1.clone()
        };
        Self(Arc::clone(&self.0), client)
    }

    /// The same service for a client whose writes to tables that stage them wait under this id.
    #[must_use]
    pub fn staging(&self, wap_id: Option<&str>) -> Self {
        let client = Client {
            wap_id: wap_id.map(Arc::from),
            ..self.1.clone()
        };
        Self(Arc::clone(&self.0), client)
    }

    /// How long a statement of this client may take.
    pub(crate) fn deadline(&self) -> Duration {
        let allowed = self.0.options.query_timeout;
        self.1.timeout.map_or(allowed, |wanted| wanted.min(allowed))
    }

    /// What the client has set, as a session takes it.
    pub(crate) fn settings(&self) -> SessionOptions {
        SessionOptions {
            default_schema: self.1.schema.as_deref().map(str::to_owned),
            wap_id: self.1.wap_id.as_deref().map(str::to_owned),
            ..SessionOptions::default()
        }
    }

    /// Where the client wants its queries to run.
    pub(crate) fn wanted_execution(&self) -> Execution {
        self.1.execution
    }

    /// The same service for a client that takes rows that are kept, or does not.
    #[must_use]
    pub fn cached(&self, cached: bool) -> Self {
        let client = Client {
            cached,
            ..self.1.clone()
        };
        Self(Arc::clone(&self.0), client)
    }
}
