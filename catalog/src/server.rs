//! The catalog server: routes, limits, and the listener.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use reqwest::Certificate;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::append::AppendQueue;
use crate::commit::TableQueue;
use crate::credentials::{Delegate, DelegationOptions};
use crate::error::{CatalogError, Result};
use crate::internal::LastPointers;
use crate::metadata::MetadataCache;
use crate::metrics::{CatalogMetrics, Metered};
use crate::nearby::Near;
use crate::purge::{self, DropRetention};
use crate::raft::Consensus;
use crate::reports::Reports;
use crate::service::Service;
use crate::store::MetadataStore;
use crate::warehouse::Warehouse;
use crate::{internal, rest};
use tidewater_catalog_client::Nearby;
use tidewater_core::{SharedClock, SharedRng, Tasks};
use tidewater_security::{AuditLog, Authenticator, Authorizer, ListenPolicy, Tls, TokenKey};

/// How long requests in flight may go on when the server is told to stop: less than a process has to end all its tasks. One that waits for
/// changes would wait for a minute.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// Who may call.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody who reaches the port, which is on loopback then.
    Open,
    /// Who bears a token that was signed with this key.
    Tokens(TokenKey),
    /// These users, who log in for a token; and nodes, whose tokens are signed with a key of their own.
    Users {
        /// Who may log in.
        users: Arc<Authenticator>,
        /// Checks the tokens of nodes; none lets no node in.
        nodes: Option<TokenKey>,
    },
}

/// What a node does with requests that only the leader can serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Following {
    /// It sends them on and passes the answer back, unless the client asks for a redirect (`X-Tidewater-Redirect`).
    #[default]
    Forward,
    /// It answers 307.
    Redirect,
}

/// What a catalog server needs.
#[derive(Debug)]
pub struct CatalogOptions {
    /// The log.
    pub consensus: Arc<dyn Consensus>,
    /// Where metadata files are.
    pub store: Arc<dyn MetadataStore>,
    /// Where tables live.
    pub warehouse: Warehouse,
    /// Memory for metadata files.
    pub metadata_cache_bytes: u64,
    /// Who may call.
    pub access: Access,
    /// Who may change the group of nodes and take backups: who bears a token of this key besides (`X-Tidewater-Operator`).
    /// None: whoever may call.
    pub operators: Option<TokenKey>,
    /// TLS for clients that begin with it; none means that nobody is answered who does.
    pub tls: Option<Tls>,
    /// What followers do with requests for the leader.
    pub following: Following,
    /// CAs that vouch for the other nodes, besides the public ones, where they are called by `https`.
    pub authorities: Vec<Certificate>,
    /// Files in one answer of a planned scan; larger scans are cut into tasks.
    pub plan_files_max: usize,
    /// Whether a commit that only appends, and lost a race, is put on the new head instead of being refused.
    pub rebase_appends: bool,
    /// How long drops can be taken back.
    pub retention: DropRetention,
    /// Counts requests and writes.
    pub metrics: CatalogMetrics,
    /// What clients may be given to reach files with; none means nothing.
    pub delegation: Option<DelegationOptions>,
    /// Where it is kept who changed, dropped or gave away what; none means nowhere.
    pub audit: Option<AuditLog>,
    /// Time.
    pub clock: SharedClock,
    /// Ids and file names.
    pub rng: SharedRng,
    /// Where the server's tasks belong.
    pub tasks: Tasks,
}

impl CatalogOptions {
    /// With a metadata cache of 64 MiB, for everybody on this machine.
    pub fn new(
        consensus: Arc<dyn Consensus>,
        store: Arc<dyn MetadataStore>,
        warehouse: Warehouse,
        clock: SharedClock,
        rng: SharedRng,
        tasks: Tasks,
    ) -> Self {
        Self {
            consensus,
            store,
            warehouse,
            metadata_cache_bytes: 64 << 20,
            access: Access::Open,
            operators: None,
            tls: None,
            following: Following::default(),
            authorities: Vec::new(),
            plan_files_max: crate::planning::FILES_PER_ANSWER_MAX,
            rebase_appends: true,
            retention: DropRetention::default(),
            metrics: CatalogMetrics::default(),
            delegation: None,
            audit: None,
            clock,
            rng,
            tasks,
        }
    }
}

/// Serves Iceberg REST and the internal calls.
#[derive(Debug, Clone)]
pub struct CatalogServer {
    service: Arc<Service>,
    access: Access,
    operators: Option<TokenKey>,
    tls: Option<Tls>,
    following: Following,
    authorities: Vec<Certificate>,
    metrics: CatalogMetrics,
    audit: Option<AuditLog>,
}

impl CatalogServer {
    /// A server that does not listen yet.
    pub fn new(options: CatalogOptions) -> Self {
        let delegate = options
            .delegation
            .map(|given| Delegate::new(given, Arc::clone(&options.clock), Arc::clone(&options.rng)));
        let cache = MetadataCache::new(Arc::clone(&options.store), options.metadata_cache_bytes);
        let authorizer = match &options.access {
            Access::Users { users, .. } => Some(Arc::new(Authorizer::new(users))),
            _ => None,
        };
        let logins = match &options.access {
            Access::Users { users, .. } if users.required() => Some(rest::Logins::new(Arc::clone(users))),
            _ => None,
        };
        Self {
            access: options.access,
            operators: options.operators,
            tls: options.tls,
            following: options.following,
            authorities: options.authorities,
            metrics: options.metrics.clone(),
            audit: options.audit,
            service: Arc::new(Service {
                consensus: Metered::over(options.consensus, options.metrics, Arc::clone(&options.clock)),
                store: options.store,
                warehouse: options.warehouse,
                cache,
                pointers: LastPointers::default(),
                queue: TableQueue::default(),
                appends: AppendQueue::default(),
                rebase_appends: options.rebase_appends,
                delegate,
                plan_files_max: options.plan_files_max,
                retention: options.retention,
                clock: options.clock,
                rng: options.rng,
                tasks: options.tasks,
                reports: Reports::default(),
                logins,
                authorizer,
            }),
        }
    }

    /// What requests work with.
    #[cfg(test)]
    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// All routes, to be merged with others'.
    pub fn router(&self) -> Router {
        let guard = rest::Guard {
            access: self.access.clone(),
            clock: Arc::clone(&self.service.clock),
            consensus: Arc::clone(&self.service.consensus),
            authorizer: self.service.authorizer.clone(),
        };
        let follower = Arc::new(rest::Follower::new(
            Arc::clone(&self.service.consensus),
            self.following,
            &self.authorities,
            Arc::clone(&self.service.clock),
            Arc::clone(&self.service.rng),
        ));
        let operators = internal::Operators {
            key: self.operators.clone(),
            clock: Arc::clone(&self.service.clock),
        };
        rest::routes()
            .merge(internal::routes(operators))
            .fallback(rest::no_such_endpoint)
            .method_not_allowed_fallback(rest::no_such_endpoint)
            // Innermost: the node that does it decides, by what it knows.
            .layer(from_fn_with_state(Arc::clone(&self.service), rest::authorise))
            .layer(from_fn_with_state(follower, rest::follow_leader))
            .layer(from_fn_with_state(rest::Deadline::default(), rest::end_in_time))
            .layer(from_fn_with_state(rest::Admission::default(), rest::admit))
            // By the node that was asked, with whoever asked it; also what finds no place, or is given up.
            .layer(from_fn_with_state(self.audit.clone(), rest::keep_deeds))
            // Who has no token is told so before his body is read, and whose body comes slowly takes no place meanwhile.
            .layer(from_fn_with_state(rest::Bodies::default(), rest::read_body))
            .layer(from_fn_with_state(guard, rest::authenticate))
            // Outermost: who is not let in is counted too.
            .layer(from_fn_with_state(
                (self.metrics.clone(), Arc::clone(&self.service.clock)),
                rest::observe,
            ))
            .with_state(Arc::clone(&self.service))
    }

    /// The server as clients of this process may call it without a connection. To be made within the runtime that it serves in. Places for
    /// requests are counted apart from those of connections.
    pub fn nearby(&self) -> Arc<dyn Nearby> {
        Arc::new(Near {
            router: self.router(),
            runtime: Handle::current(),
        })
    }

    /// Serves on `listener`, and works on drops while this node leads, until the server's tasks are told to stop; then answers what is in flight, for ten seconds at most.
    ///
    /// # Errors
    /// If the listener fails, or others could reach it and nobody has to bear a token.
    pub async fn serve(self, listener: TcpListener) -> Result<()> {
        let policy = match &self.access {
            Access::Open => ListenPolicy::LoopbackOnly,
            Access::Tokens(_) => ListenPolicy::Authenticated,
            Access::Users { users, .. } if users.required() => ListenPolicy::Authenticated,
            Access::Users { .. } => ListenPolicy::LoopbackOnly,
        };
        let failed = |error: std::io::Error| CatalogError::internal(format!("the listener failed: {error}"));
        policy.check(listener.local_addr().map_err(failed)?)?;
        purge::start(&self.service);
        let (token, clock) = (self.service.tasks.token(), Arc::clone(&self.service.clock));
        let connections = rest::Connections::new(listener, self.tls.clone(), Arc::clone(&self.service.clock));
        let served = axum::serve(
            connections,
            self.router().into_make_service_with_connect_info::<rest::Remote>(),
        )
        .with_graceful_shutdown(token.clone().cancelled_owned())
        .into_future();
        let late = async {
            token.cancelled().await;
            clock.sleep(CLOSE_DEADLINE).await;
        };
        tokio::select! {
            served = served => served.map_err(failed),
            () = late => Ok(()),
        }
    }
}
