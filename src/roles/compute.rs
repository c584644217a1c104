//! The engine of a process, and the scheduler and executor roles over it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tidewater_catalog_client::CatalogClient;
use tidewater_engine::{CpuRunner, CpuRuntime, Engine, EngineOptions};
use tidewater_executor::{Executor, ExecutorOptions, FindScheduler};
use tidewater_scheduler::{RemoteRunner, Router, Scheduler, SchedulerOptions, WhoSchedules};

use super::leadership::{self, Leadership};
use super::ports::external_host;
use super::{Compute, Parts, Role, catalog_of};
use crate::background::Background;
use crate::cli::failure::{Failure, Reason};
use crate::control::RoleReport;
use crate::settings::Settings;

/// Memory, caches and stores for queries.
pub(super) fn engine(parts: &Parts) -> Result<Engine, Failure> {
    let settings = &parts.settings.engine;
    let mut options = EngineOptions::new(parts.settings.data_dir.join("spill"));
    options.memory_bytes = settings.memory_bytes;
    options.spill_bytes_max = settings.spill_bytes_max;
    if settings.target_partitions > 0 {
        options.target_partitions = settings.target_partitions;
    }
    options.one_thread_rows = settings.one_thread_rows;
    let view_default_catalog = parts.settings.catalog.view_default_catalog.clone();
    options.view_default_catalog = view_default_catalog.filter(|name| !name.is_empty());
    // One alone would let a large statement keep all others from being planned.
    options.planning_threads = options.target_partitions.max(2);
    let (clock, rng) = (Arc::clone(&parts.clock), Arc::clone(&parts.rng));
    Ok(Engine::open(
        options,
        catalog_of(parts),
        parts.store.clone(),
        clock,
        rng,
    )?)
}

/// Starts what is asked for, and the router that knows of it.
pub(super) async fn start(
    parts: &Parts,
    engine: &Engine,
    roles: &BTreeSet<Role>,
    background: &Background,
) -> Result<Compute, Failure> {
    let settings = &parts.settings;
    let mut reports = Vec::new();
    let mut options = SchedulerOptions::loopback();
    options.listen = settings.scheduler.listen;
    options.external_host = external_host(&settings.scheduler.advertise, settings.scheduler.listen.ip());
    options.local_scan_bytes_max = settings.scheduler.local_bytes_max;
    options.partitions_per_core = settings.scheduler.partitions_per_core;
    options.limits = settings.admission.limits();
    options.node_tls.clone_from(&parts.node_tls);
    let (mut scheduler, mut leadership) = (None, None);
    if roles.contains(&Role::Scheduler) {
        let clock = Arc::clone(&parts.clock);
        let started = Scheduler::start(&options, engine.clone(), clock, &parts.tasks.child("scheduler")).await?;
        reports.push(RoleReport::new(Role::Scheduler, started.address().to_string()));
        let place = format!("{}:{}", options.external_host, started.address().port());
        let leads_with_catalog = roles.contains(&Role::Catalog);
        leadership = Some(Leadership::campaign(parts, place, leads_with_catalog).await?);
        scheduler = Some(started);
    }
    let mut runs_tasks = None;
    if roles.contains(&Role::Executor) {
        let (parts, engine) = (parts.clone(), engine.clone());
        let started = background.run(async move { executor(&parts, &engine).await });
        let (started, report) = started.await??;
        reports.push(report);
        runs_tasks = Some(started);
    }
    let threads = engine.options().target_partitions;
    let local = CpuRunner::new(Compute::engine_of(engine), CpuRuntime::start(threads)?);
    let cluster = scheduler.as_ref().map(Scheduler::runner);
    let leader = Arc::new(Leader(parts.client.clone()));
    let remote = RemoteRunner::new(engine.clone(), leader, &options, Arc::clone(&parts.clock));
    let router = Router::new(Arc::new(local), cluster, &options, Arc::clone(&parts.clock)).beside(remote);
    Ok(Compute {
        admission: router.admission().clone(),
        router: Arc::new(router),
        scheduler,
        executor: runs_tasks,
        leadership,
        reports,
    })
}

/// What stands for an address in `executor.scheduler`: whoever schedules now.
pub(super) const LEADER: &str = "leader";

/// Asks the catalog who schedules.
#[derive(Debug)]
struct Leader(CatalogClient);

impl Leader {
    async fn place(&self) -> Option<(String, u16)> {
        let leader = leadership::leader(&self.0).await?;
        leadership::address(&leader.scheduler)
    }
}

#[async_trait]
impl FindScheduler for Leader {
    async fn find(&self) -> Option<(String, u16)> {
        self.place().await
    }
}

#[async_trait]
impl WhoSchedules for Leader {
    async fn who(&self) -> Option<(String, u16)> {
        self.place().await
    }
}

/// Host and port that `executor.scheduler` names; of whoever schedules now, none that counts.
pub(super) fn scheduler_address(settings: &Settings) -> Result<(String, u16), Failure> {
    let named = &settings.executor.scheduler;
    let address = match named.as_str() {
        LEADER => "127.0.0.1:0".to_owned(),
        "" => {
            let own = settings.scheduler.listen;
            format!("{}:{}", external_host("", own.ip()), own.port())
        }
        address => address.to_owned(),
    };
    let found = leadership::address(&address).filter(|(host, _)| !host.is_empty() && !host.contains('/'));
    found.ok_or_else(|| {
        Failure::of(
            Reason::Settings,
            format!("executor.scheduler {named:?} is not an address"),
        )
        .hint(format!("write host:port, such as 127.0.0.1:50050, or {LEADER:?}"))
        .exit(2)
    })
}

async fn executor(parts: &Parts, engine: &Engine) -> Result<(Executor, RoleReport), Failure> {
    let (host, port) = scheduler_address(&parts.settings)?;
    let settings = &parts.settings.executor;
    let found = settings.scheduler == LEADER;
    let mut options = ExecutorOptions::loopback(parts.settings.scheduler.listen, parts.settings.data_dir.join("work"));
    options.bind = settings.listen.ip();
    options.external_host = external_host(&settings.advertise, settings.listen.ip());
    options.flight_port = settings.listen.port();
    options.grpc_port = settings.grpc_port;
    options.node_tls.clone_from(&parts.node_tls);
    options.scheduler_host = host;
    options.scheduler_port = port;
    if found {
        options.finder = Some(Arc::new(Leader(parts.client.clone())));
    }
    options.memory_bytes = u64::try_from(settings.memory_bytes).unwrap_or(u64::MAX);
    options.shuffle_bytes_max = settings.shuffle_bytes_max;
    if settings.vcores > 0 {
        options.vcores = settings.vcores;
    }
    let (clock, rng) = (Arc::clone(&parts.clock), Arc::clone(&parts.rng));
    let address = settings.listen.to_string();
    let started = Executor::start(options, engine.clone(), clock, rng, &parts.tasks.child("executor")).await?;
    Ok((started, RoleReport::new(Role::Executor, address)))
}
