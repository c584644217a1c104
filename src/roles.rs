//! Assembles the roles that a process is to play, from configuration to a running whole, and ends them in order.

use std::collections::BTreeSet;
use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tidewater_catalog::raft::Consensus;
use tidewater_catalog_client::CatalogClient;
use tidewater_core::limits::{SHUTDOWN_DEADLINE, STACK_BYTES};
use tidewater_core::{Coded, ErrorKind, SharedClock, SharedRng, SystemClock, SystemRng, Tasks};
use tidewater_engine::Engine;
use tidewater_pipelines::Pipelines;
use tidewater_security::{AuditLog, Authenticator, NodeTls, Oidc, Tls, TokenKey};
use tidewater_table::FileStore;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::background::Background;
use crate::cli::failure::{Failure, Reason};
use crate::control::{self, RoleReport};
use crate::metrics::{AuditCollector, LoginCollector, Metrics};
use crate::settings::Settings;

mod audit;
mod catalog;
pub(crate) mod check;
mod compute;
mod ingest;
mod issuers;
pub(crate) mod leadership;
pub(crate) mod local_secret;
mod maintenance;
mod ops;
mod pipelines;
mod policy;
mod ports;
mod schemas;
mod serving;
mod siblings;
pub(crate) mod storage;
mod users;
pub(crate) mod writable;

pub(crate) use catalog::warehouse;
pub(crate) use ingest::IngestHandle;
pub(crate) use ports::listeners;

/// How long a start may take: a catalog that has to replay its log, a group that has to elect a leader.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// A terminal and a wrapper around this process may both pass on one press of Control-C.
const SAME_INTERRUPT: Duration = Duration::from_millis(500);

/// The exit code of a process that was interrupted again while it stopped, as shells have it.
const INTERRUPTED: u8 = 130;

/// What a process may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Catalog,
    Scheduler,
    Executor,
    Ingest,
    FlightSql,
}

impl Role {
    pub(crate) const ALL: [Self; 5] = [
        Self::Catalog,
        Self::Scheduler,
        Self::Executor,
        Self::Ingest,
        Self::FlightSql,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Scheduler => "scheduler",
            Self::Executor => "executor",
            Self::Ingest => "ingest",
            Self::FlightSql => "flight-sql",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            let near = tidewater_core::config::nearest(text, &known).map(|name| format!(", did you mean {name}?"));
            format!(
                "no role {text:?}{} roles: {}",
                near.unwrap_or_default(),
                known.join(", ")
            )
        })
    }
}

/// What every role is given.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: SharedClock,
    pub(crate) rng: SharedRng,
    pub(crate) store: FileStore,
    pub(crate) client: CatalogClient,
    /// Signs the tokens of users, whichever role lets them in.
    pub(crate) user_key: TokenKey,
    /// Who may come in; everybody on this machine where none are configured.
    pub(crate) users: Arc<Authenticator>,
    /// Whose tokens let in beside our own.
    pub(crate) oidc: Option<Arc<Oidc>>,
    /// The certificate of the listeners for clients.
    pub(crate) tls: Option<Tls>,
    /// TLS with other nodes, on the ports of Raft, scheduler and executors; none means that nodes speak without.
    pub(crate) node_tls: Option<NodeTls>,
    /// Where it is kept who did what, if it is.
    pub(crate) audit: Option<AuditLog>,
    /// What all roles count.
    pub(crate) metrics: Metrics,
    pub(crate) tasks: Tasks,
}

/// The certificate of the listeners for clients, followed as its files change.
fn tls(
    settings: &Settings,
    roles: &BTreeSet<Role>,
    clock: &SharedClock,
    tasks: &Tasks,
) -> Result<Option<Tls>, Failure> {
    let Some(wanted) = &settings.security.tls else {
        ports::tell_of_plain(settings, |role| roles.contains(&role));
        return Ok(None);
    };
    let tls = Tls::load(wanted.clone(), Arc::clone(clock))?;
    tls.follow(&tasks.child("tls"));
    Ok(Some(tls))
}

/// TLS with other nodes, followed as its files change.
fn node_tls(
    settings: &Settings,
    roles: &BTreeSet<Role>,
    clock: &SharedClock,
    tasks: &Tasks,
) -> Result<Option<NodeTls>, Failure> {
    let Some(wanted) = &settings.node_tls else {
        ports::tell_of_plain_nodes(settings, |role| roles.contains(&role));
        return Ok(None);
    };
    let tls = NodeTls::load(wanted.clone(), Arc::clone(clock))?;
    tls.follow(&tasks.child("node-tls"));
    Ok(Some(tls))
}

/// The running roles, as far as commands and screens ask them.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) parts: Parts,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) reports: Vec<RoleReport>,
    /// This node's log, where it has the catalog role.
    pub(crate) consensus: Option<Arc<dyn Consensus>>,
    /// Who runs and who waits, where plans run.
    pub(crate) admission: Option<tidewater_scheduler::Admission>,
    pub(crate) ingest: Option<IngestHandle>,
    pub(crate) pipelines: Option<Pipelines>,
    pub(crate) scheduler: Option<tidewater_scheduler::Scheduler>,
    pub(crate) executor: Option<tidewater_executor::Executor>,
    pub(crate) maintenance: Option<tidewater_scheduler::Maintenance>,
    pub(crate) queries: Option<tidewater_flight_sql::QueryService>,
    pub(crate) leadership: Option<leadership::Leadership>,
}

/// Starts the roles, runs `beside` with them, and waits for a signal or a failure.
pub(crate) fn run<F, B>(settings: Settings, roles: BTreeSet<Role>, beside: F) -> Result<ExitCode, Failure>
where
    F: FnOnce(Running) -> B + Send,
    B: Future<Output = Result<(), Failure>> + Send,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("tidewater")
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|source| Failure::io("start a runtime", source))?;
    // Whoever asks this process for rows waits for them; nobody waits for what the other roles do.
    let background = Background::start(roles.contains(&Role::FlightSql))?;
    let mut audit = None;
    let ended = runtime.block_on(async {
        let tasks = Tasks::new("tidewater");
        let impatient = interrupted_again(tasks.token());
        let whole = async {
            let mut exit = catalog::Exit::default();
            let result = assemble(settings, &roles, &background, &tasks, (&mut exit, &mut audit), beside).await;
            exit.hand_over().await;
            if !tasks.shutdown(SHUTDOWN_DEADLINE).await {
                let still = tasks.running().join(", ");
                tracing::warn!(tasks = still, "some tasks did not end in time");
            }
            exit.shutdown().await;
            result?;
            Ok::<ExitCode, Failure>(exit.code())
        };
        tokio::select! {
            result = whole => Some(result),
            () = impatient => None,
        }
    });
    let result = match ended {
        Some(result) => {
            // Blocking work that hangs must not keep the process.
            background.end();
            runtime.shutdown_timeout(Duration::from_secs(2));
            result
        }
        None => {
            background.leave();
            runtime.shutdown_background();
            Ok(ExitCode::from(INTERRUPTED))
        }
    };
    if let Some(log) = &audit {
        audit::settle(log);
    }
    result
}

async fn assemble<F, B>(
    settings: Settings,
    roles: &BTreeSet<Role>,
    background: &Background,
    tasks: &Tasks,
    (exit, audit): (&mut catalog::Exit, &mut Option<AuditLog>),
    beside: F,
) -> Result<(), Failure>
where
    F: FnOnce(Running) -> B + Send,
    B: Future<Output = Result<(), Failure>> + Send,
{
    let mut settings = settings;
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    check::check(&settings, roles)?;
    pipelines::check(&settings, roles)?;
    storage::prepare_data_dir(&settings.data_dir)?;
    if settings.security.knows_users() && (roles.contains(&Role::Catalog) || settings.raft.peers.is_empty()) {
        local_secret::ensure(&mut settings, &rng)?;
    }
    if let Some(dir) = settings.token_key_dir() {
        settings.kept_key = Some(TokenKey::kept_or_made(&dir, &*rng)?);
    }
    let settings = Arc::new(settings);
    *audit = audit::start(&settings, roles, &clock)?;
    let user_key = settings.user_key(&rng);
    let oidc = issuers::believed(&settings, &clock)?;
    let known = users::known(&settings.security, user_key.clone(), oidc.clone(), &clock)?;
    let store = |warehouse: String| {
        let options = storage::cached_options(&settings, warehouse);
        FileStore::new(options, Arc::clone(&clock), Arc::clone(&rng))
    };
    let own_warehouse = warehouse(&settings)?.location().to_owned();
    let mut options = settings.catalog_client()?;
    options.clock = Arc::clone(&clock);
    options.rng = Arc::clone(&rng);
    let mut parts = Parts {
        client: CatalogClient::new(options)?,
        store: store(own_warehouse.clone()),
        settings: Arc::clone(&settings),
        clock: Arc::clone(&clock),
        rng: Arc::clone(&rng),
        user_key,
        users: Arc::new(known),
        oidc,
        tls: tls(&settings, roles, &clock, tasks)?,
        node_tls: node_tls(&settings, roles, &clock, tasks)?,
        audit: audit.clone(),
        metrics: Metrics::new(),
        tasks: tasks.clone(),
    };
    if let Some(log) = &parts.audit {
        parts.users.logins().keep_in(log.clone());
        let collector = Box::new(AuditCollector(log.clone()));
        parts
            .metrics
            .register(|registry| registry.register_collector(collector));
    }
    if parts.users.required() {
        let logins = Arc::clone(parts.users.logins());
        parts
            .metrics
            .register(|registry| registry.register_collector(Box::new(LoginCollector(logins))));
    }
    let control_listener = ports::bind(&settings, ports::Port::Http).await?;
    let ready = control::serve(control_listener, &parts);
    let mut reports = Vec::new();
    if roles.contains(&Role::Catalog) {
        writable::require(&parts, roles, &own_warehouse).await?;
        reports.push(catalog::start(&parts, exit).await?);
    }
    let warehouse = wait_for_catalog(&parts).await?;
    // Where tables lie is the catalog's to say: a process of other roles need not be told.
    if !roles.contains(&Role::Catalog) {
        if !warehouse.is_empty() && warehouse != own_warehouse {
            parts.store = store(warehouse.clone());
        }
        let told = if warehouse.is_empty() { own_warehouse } else { warehouse };
        writable::require(&parts, roles, &told).await?;
    }
    let mut running = Running {
        roles: roles.clone(),
        reports,
        consensus: exit.log(),
        admission: None,
        ingest: None,
        pipelines: None,
        scheduler: None,
        executor: None,
        maintenance: None,
        queries: None,
        leadership: None,
        parts: parts.clone(),
    };
    start_workers(&parts, roles, background, &mut running).await?;
    ready.publish(running.clone());
    tracing::info!(roles = %join(roles), http = %settings.http.listen, "ready");
    let stop = tasks.token();
    if roles.contains(&Role::Catalog) || roles.contains(&Role::FlightSql) {
        stop.run_until_cancelled(users::warn_of_no_grants(&parts)).await;
    }
    tokio::select! {
        result = beside(running) => {
            result?;
            stop.cancelled().await;
        }
        () = stop.cancelled() => {}
    }
    Ok(())
}

async fn start_workers(
    parts: &Parts,
    roles: &BTreeSet<Role>,
    background: &Background,
    running: &mut Running,
) -> Result<(), Failure> {
    let engine = match roles
        .iter()
        .any(|role| matches!(role, Role::Scheduler | Role::Executor | Role::FlightSql))
    {
        true => Some(compute::engine(parts)?),
        false => None,
    };
    let mut router = None;
    if let Some(engine) = &engine {
        let compute = compute::start(parts, engine, roles, background).await?;
        running.reports.extend(compute.reports);
        running.scheduler = compute.scheduler;
        running.executor = compute.executor;
        running.leadership = compute.leadership;
        running.admission = Some(compute.admission);
        router = Some(compute.router);
    }
    if roles.contains(&Role::Ingest) {
        schemas::make(parts, &ingest::schemas(&parts.settings)).await;
        let own = parts.clone();
        let handle = background.run(async move { ingest::start(&own) }).await??;
        running.reports.push(RoleReport::new(
            Role::Ingest,
            format!("{} sources", parts.settings.ingest.sources.len()),
        ));
        running.ingest = Some(handle);
    }
    let (Some(engine), Some(router)) = (engine, router) else {
        return Ok(());
    };
    let project = pipelines::open(parts, &engine, &router)?;
    if let Some(leadership) = &running.leadership {
        if let Some(project) = &project {
            schemas::make(parts, &schemas::of_models(project.project())).await;
        }
        let upkeep = maintenance::open(parts, &engine, &router);
        running.maintenance = Some(upkeep.clone());
        running.pipelines = project.clone();
        let (own, leadership, project) = (parts.clone(), leadership.clone(), project.clone());
        background
            .run(async move { leadership.lead(&own, upkeep, project) })
            .await?;
    }
    if roles.contains(&Role::FlightSql) {
        let (report, queries) = serving::start(parts, engine, router, project).await?;
        running.reports.push(report);
        running.queries = Some(queries);
    }
    Ok(())
}

fn join(roles: &BTreeSet<Role>) -> String {
    roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Waits for a leader. The catalog's warehouse, where tables lie.
async fn wait_for_catalog(parts: &Parts) -> Result<String, Failure> {
    let begun = parts.clock.monotonic();
    loop {
        match parts.client.cluster_status().await {
            Ok(status) if status.leader.is_some() => return Ok(status.warehouse),
            Ok(_) => {}
            // Who is not let in now is not let in later.
            Err(error) if error.kind() == ErrorKind::Denied => {
                return Err(Failure::from(error).hint(
                    "set security.node_secret to the text the catalog's nodes have, or catalog.token to what tidewater user token makes",
                ));
            }
            Err(error) if parts.clock.monotonic() - begun > READY_DEADLINE => return Err(error.into()),
            Err(_) => {}
        }
        if parts.tasks.token().is_cancelled() {
            return Err(Failure::of(Reason::Start, "stopped while waiting for the catalog"));
        }
        if parts.clock.monotonic() - begun > READY_DEADLINE {
            return Err(
                Failure::of(Reason::Start, "the catalog has no leader").hint("are a majority of its nodes running?")
            );
        }
        parts.clock.sleep(Duration::from_millis(100)).await;
    }
}

/// Tells all to stop at the first signal. Ends when somebody interrupts once more, who does not want to wait.
async fn interrupted_again(stop: CancellationToken) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("cannot listen for signals");
        return std::future::pending().await;
    };
    tokio::select! {
        // A warning, as the screen of the demo shows nothing less.
        _ = interrupt.recv() => tracing::warn!("interrupted: stopping; interrupt again to end at once"),
        _ = terminate.recv() => tracing::info!("told to stop"),
        () = stop.cancelled() => {}
    }
    stop.cancel();
    SystemClock::shared().sleep(SAME_INTERRUPT).await;
    // Made anew, so that it knows of no signal before.
    let Ok(mut again) = signal(SignalKind::interrupt()) else {
        return std::future::pending().await;
    };
    let _interrupted = again.recv().await;
    tracing::warn!("interrupted again: ending at once, whatever is at work");
}

/// An engine's catalog: every process, this one included, talks to it through the client.
pub(crate) fn catalog_of(parts: &Parts) -> Arc<dyn tidewater_table::Catalog> {
    Arc::new(parts.client.clone())
}

/// Names the parts that a role needs of an engine.
pub(crate) type SharedRunner = Arc<dyn tidewater_engine::PlanRunner>;

/// What the compute roles give to the others.
pub(crate) struct Compute {
    pub(crate) router: SharedRunner,
    pub(crate) admission: tidewater_scheduler::Admission,
    pub(crate) scheduler: Option<tidewater_scheduler::Scheduler>,
    pub(crate) executor: Option<tidewater_executor::Executor>,
    pub(crate) leadership: Option<leadership::Leadership>,
    pub(crate) reports: Vec<RoleReport>,
}

impl Compute {
    pub(crate) fn engine_of(engine: &Engine) -> Arc<dyn tidewater_engine::PlanRunner> {
        Arc::new(engine.local_runner())
    }
}
