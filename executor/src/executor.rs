//! An executor from start to drain; it registers again whenever its scheduler went away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::{ExecutorError, Result};
use crate::memory::{TaskLoad, TaskPools};
use crate::options::ExecutorOptions;
use crate::ports::listen;
use crate::quota;
use crate::registration::{End, Place, Registration};
use crate::shuffle;
use crate::stops::Stops;
use crate::work_dir::{self, WorkDir};
use tidewater_core::{Coded, RemoteError, SharedClock, SharedRng, Tasks};
use tidewater_engine::Engine;
use tidewater_engine::cluster::node_connections;

/// First and longest wait between two attempts to register.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(2);

/// How often it is asked whether the scheduler is still the same.
const FIND_INTERVAL: Duration = Duration::from_secs(1);

/// How long one that was drained still serves its files: rows of a plan that had just ended may be on their way.
const RESULTS_KEPT: Duration = Duration::from_secs(30);

/// How long tasks of a registration that is over are waited for, and how often it is looked: they end with their next batch.
const TASKS_END_MAX: Duration = Duration::from_secs(3);
const TASKS_END_POLL: Duration = Duration::from_millis(20);

/// A running executor. It stops, drained, when the tasks it was started with are told to.
#[derive(Debug, Clone)]
pub struct Executor {
    registered: watch::Receiver<Option<String>>,
    refused: watch::Receiver<Option<RemoteError>>,
    flight_port: u16,
    pools: TaskPools,
    clock: SharedClock,
}

impl Executor {
    /// Takes the working directory, serves shuffle files and registers in the background for as long as `tasks` live.
    pub async fn start(
        options: ExecutorOptions,
        engine: Engine,
        clock: SharedClock,
        rng: SharedRng,
        tasks: &Tasks,
    ) -> Result<Self> {
        options.validate()?;
        let work_dir = WorkDir::take(&options.work_dir).await?;
        if options.grpc_port != 0 {
            // It would be found out only when it registers, again and again.
            drop(listen(options.bind, options.grpc_port).await?);
        }
        // Shuffle files are served until the drain is over, so not by the token that begins it.
        let serving = CancellationToken::new();
        let (listener, flight_port) = listen(options.bind, options.flight_port).await?;
        let connections = node_connections(listener, options.node_tls.clone(), clock.clone());
        shuffle::serve(connections, work_dir.shuffle(), tasks, serving.clone())?;
        tasks.spawn(
            "shuffle-sweep",
            work_dir::sweep(
                work_dir.shuffle().to_owned(),
                options.job_files_ttl,
                clock.clone(),
                tasks.token(),
            ),
        );
        let stops = Stops::default();
        tasks.spawn(
            "shuffle-quota",
            quota::watch(
                work_dir.shuffle().to_owned(),
                options.shuffle_bytes_max,
                stops.clone(),
                clock.clone(),
                tasks.token(),
            ),
        );
        let (sender, registered) = watch::channel(None);
        let (refusals, refused) = watch::channel(None);
        let pools = TaskPools::default();
        let supervisor = Supervisor {
            options,
            engine,
            clock: clock.clone(),
            rng,
            work_dir,
            flight_port,
            pools: pools.clone(),
            stops,
            registered: sender,
            refused: refusals,
            stop: tasks.token(),
        };
        tasks.spawn("executor", async move {
            supervisor.run().await;
            serving.cancel();
        });
        Ok(Self {
            registered,
            refused,
            flight_port,
            pools,
            clock,
        })
    }

    /// The name under which the scheduler knows this executor now.
    pub fn id(&self) -> Option<String> {
        self.registered.borrow().clone()
    }

    /// The port on which shuffle files are served.
    pub fn flight_port(&self) -> u16 {
        self.flight_port
    }

    /// What its tasks hold now.
    pub fn load(&self) -> TaskLoad {
        self.pools.load()
    }

    /// Waits until the scheduler knows this executor; its name.
    pub async fn wait_registered(&self, deadline: Duration) -> Result<String> {
        let mut registered = self.registered.clone();
        let late = || match self.refused.borrow().clone() {
            Some(source) => ExecutorError::Refused { source },
            None => ExecutorError::NotRegistered { waited: deadline },
        };
        tokio::select! {
            id = registered.wait_for(Option::is_some) => match id.map(|id| id.clone()) {
                Ok(Some(id)) => Ok(id),
                _ => Err(late()),
            },
            () = self.clock.sleep(deadline) => Err(late()),
        }
    }
}

struct Supervisor {
    options: ExecutorOptions,
    engine: Engine,
    clock: SharedClock,
    rng: SharedRng,
    work_dir: WorkDir,
    flight_port: u16,
    pools: TaskPools,
    stops: Stops,
    registered: watch::Sender<Option<String>>,
    refused: watch::Sender<Option<RemoteError>>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self) {
        let mut wait = RETRY_FIRST;
        while let Some(mut registration) = self.register(&mut wait).await {
            wait = RETRY_FIRST;
            let scheduler = registration.scheduler().clone();
            let end = tokio::select! {
                () = self.stop.cancelled() => None,
                end = registration.lost() => Some(end),
                () = self.moved(&scheduler) => Some(End::Moved),
            };
            self.registered.send_replace(None);
            // A scheduler that gave its place up is alive, and can be told.
            if matches!(end, None | Some(End::Moved)) {
                registration.drain(self.options.drain_deadline).await;
            }
            registration.end().await;
            self.end_tasks().await;
            if end == Some(End::Drained) {
                tracing::info!("executor drained: it takes no more tasks until its process starts again");
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = self.clock.sleep(RESULTS_KEPT) => {}
                }
            }
            // What the lost registration left is of jobs that run again as a whole.
            if let Err(error) = self.work_dir.empty().await {
                tracing::warn!(%error, "shuffle files cannot be removed");
            }
            match end {
                None => return,
                Some(End::Lost | End::Moved) => {}
                Some(End::Drained) => {
                    self.stop.cancelled().await;
                    return;
                }
            }
        }
    }

    /// Ends what still runs for a registration that is over. Else it would write into the folder after that was emptied, where nobody
    /// asks for its files, and hold places and memory that the next registration gives away anew.
    async fn end_tasks(&self) {
        self.stops.end_all();
        let begun = self.clock.monotonic();
        while !self.stops.is_empty() {
            if self.clock.monotonic().saturating_sub(begun) >= TASKS_END_MAX {
                tracing::warn!("tasks of a registration that is over still run");
                return;
            }
            self.clock.sleep(TASKS_END_POLL).await;
        }
    }

    /// Where the scheduler is now.
    async fn scheduler(&self) -> Option<(String, u16)> {
        match &self.options.finder {
            Some(finder) => finder.find().await,
            None => Some((self.options.scheduler_host.clone(), self.options.scheduler_port)),
        }
    }

    /// Ends when another scheduler has taken the place of this one.
    async fn moved(&self, from: &(String, u16)) {
        if self.options.finder.is_none() {
            return std::future::pending().await;
        }
        loop {
            self.clock.sleep(FIND_INTERVAL).await;
            if self.scheduler().await.is_some_and(|found| found != *from) {
                tracing::info!("another process schedules now");
                return;
            }
        }
    }

    /// Tries until it works. None when told to stop.
    async fn register(&self, wait: &mut Duration) -> Option<Registration> {
        let mut said = false;
        loop {
            // Never used twice, so that what is said of a lost one is never taken for this one.
            let id = format!(
                "{}:{}-{}",
                self.options.external_host,
                self.flight_port,
                self.rng.uuid()
            );
            let started = async {
                let scheduler = self.scheduler().await.ok_or(ExecutorError::Unknown)?;
                let place = Place {
                    options: &self.options,
                    flight_port: self.flight_port,
                    shuffle: self.work_dir.shuffle(),
                    engine: &self.engine,
                    pools: &self.pools,
                    stops: &self.stops,
                    clock: &self.clock,
                    scheduler: &scheduler,
                };
                Registration::start(&place, &id).await
            };
            let error = tokio::select! {
                () = self.stop.cancelled() => return None,
                started = started => match started {
                    Ok(registration) => {
                        tracing::info!(executor = %id, "executor registered");
                        self.refused.send_replace(None);
                        self.registered.send_replace(Some(id));
                        return Some(registration);
                    }
                    Err(error) => Arc::new(error),
                },
            };
            let refused = match error.as_ref() {
                ExecutorError::Refused { source } => Some(source.clone()),
                ExecutorError::NotNodes { .. } => Some(RemoteError::of(error.as_ref())),
                _ => None,
            };
            if let Some(source) = refused {
                // Once for each reason; it is asked again and again.
                if self.refused.borrow().as_ref().map(|refused| &refused.code) != Some(&source.code) {
                    tracing::warn!(code = error.code(), %source, hint = error.hint(), "the scheduler refused the executor");
                }
                self.refused.send_replace(Some(source));
            } else if !said {
                said = true;
                tracing::info!(code = error.code(), error = ?error, hint = error.hint(), "waiting for a scheduler");
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = self.clock.sleep(*wait) => {}
            }
            *wait = (*wait * 2).min(RETRY_LONGEST);
        }
    }
}
