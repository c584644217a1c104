//! Which of several processes with the scheduler role schedules: one at a time, and with the catalog in the same process the
//! one whose node leads the catalog's group.
//!
//! It is a lease in the catalog's log, as those of partitions are, under a name that no topic can have. It only says who works:
//! two that work for a moment do no harm, as commits are conditional and carry the ids of their jobs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use tidewater_catalog::raft::GroupIdentity;
use tidewater_catalog_client::CatalogClient;
use tidewater_catalog_client::dto::{LeaseRequest, TopicPartition};
use tidewater_core::{NodeId, SharedClock};
use tidewater_pipelines::Pipelines;
use tidewater_scheduler::Maintenance;

use super::{Parts, pipelines};
use crate::cli::failure::Failure;

/// The name of the lease.
const LEASE: &str = "tidewater:scheduler";

/// How long it lasts, and how often it is kept: three renewals may fail.
const LEASE_TTL: Duration = Duration::from_secs(4);
const RENEWAL: Duration = Duration::from_secs(1);

/// Who has not renewed for so long stops by itself, before another may begin.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3);

/// Who schedules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leader {
    /// Where executors register.
    pub(crate) scheduler: String,
    /// Its control endpoint.
    pub(crate) http: String,
}

/// Whether this process schedules. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    leads: watch::Receiver<bool>,
    other: Arc<Mutex<Option<Leader>>>,
}

impl Leadership {
    /// Runs for it from now on. `place` is where executors reach this process; nobody else can have it, so a process that
    /// starts again takes over from itself at once.
    pub(super) async fn campaign(parts: &Parts, place: String, with_catalog: bool) -> Result<Self, Failure> {
        let node = match with_catalog {
            true => Some(own_node(parts)?),
            false => None,
        };
        let (sender, leads) = watch::channel(false);
        let other = Arc::new(Mutex::new(None));
        let mut candidate = Candidate {
            client: parts.client.clone(),
            clock: Arc::clone(&parts.clock),
            node,
            owner: format!("{place} {}", parts.settings.http.listen),
            leads: sender,
            other: Arc::clone(&other),
            renewed: None,
        };
        candidate.step().await;
        let stop = parts.tasks.token();
        parts
            .tasks
            .spawn("leadership", async move { candidate.run(stop).await });
        Ok(Self { leads, other })
    }

    /// Whether this process schedules now.
    pub(crate) fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Where to ask instead.
    pub(crate) fn elsewhere(&self) -> String {
        match &*self.other.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(leader) => format!(
                "set http.listen to {}, where the process that schedules answers",
                leader.http
            ),
            None => "nobody schedules at the moment: try again".to_owned(),
        }
    }

    /// Looks after tables and models whenever it is this process's turn, on the threads that this is called on.
    pub(super) fn lead(&self, parts: &Parts, maintenance: Maintenance, project: Option<Pipelines>) {
        let term = Term {
            parts: parts.clone(),
            maintenance,
            project,
        };
        let first = self.leads().then(|| term.begin());
        let (mut leads, stop) = (self.leads.clone(), parts.tasks.token());
        parts.tasks.spawn("leading", async move {
            let mut running = first;
            loop {
                let wanted = running.is_none();
                let turned = tokio::select! {
                    () = stop.cancelled() => return,
                    turned = leads.wait_for(|leads| *leads == wanted) => turned.is_ok(),
                };
                if !turned {
                    return;
                }
                running = match running.take() {
                    None => Some(term.begin()),
                    // What runs is dropped: it has committed as a whole or not at all.
                    Some(tasks) => {
                        tasks.token().cancel();
                        None
                    }
                };
            }
        });
    }
}

/// What is done by the process that schedules.
struct Term {
    parts: Parts,
    maintenance: Maintenance,
    project: Option<Pipelines>,
}

impl Term {
    fn begin(&self) -> tidewater_core::Tasks {
        tracing::info!("this process schedules now");
        let tasks = self.parts.tasks.child("term");
        if self.parts.settings.maintenance.enabled {
            self.maintenance.follow(&tasks.child("maintenance"));
        }
        if let Some(project) = &self.project {
            pipelines::follow(&self.parts, project, &tasks);
        }
        tasks
    }
}

struct Candidate {
    client: CatalogClient,
    clock: SharedClock,
    /// The node of the catalog in this process.
    node: Option<NodeId>,
    owner: String,
    leads: watch::Sender<bool>,
    other: Arc<Mutex<Option<Leader>>>,
    /// When the lease was kept last, by our clock.
    renewed: Option<Duration>,
}

impl Candidate {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.clock.sleep(RENEWAL) => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.step() => {}
            }
        }
        self.say(false);
        // The next one need not wait for its end. Without an answer it does.
        tokio::select! {
            () = self.give_up() => {}
            () = self.clock.sleep(RENEWAL) => {}
        }
    }

    /// Takes, keeps or gives up the lease, as it is due. Never takes longer than a renewal may.
    async fn step(&mut self) {
        let begun = self.clock.monotonic();
        let asked = tokio::select! {
            asked = self.ask() => asked,
            () = self.clock.sleep(GIVE_UP_AFTER) => None,
        };
        match asked {
            Some(true) => {
                // From before the question: the lease may have begun then.
                self.renewed = Some(begun);
                self.say(true);
            }
            Some(false) => {
                self.renewed = None;
                self.say(false);
            }
            None => {
                let now = self.clock.monotonic();
                if self
                    .renewed
                    .is_none_or(|last| now.saturating_sub(last) >= GIVE_UP_AFTER)
                {
                    self.say(false);
                }
            }
        }
    }

    /// Whether it is our turn; `None` when the catalog does not say.
    async fn ask(&self) -> Option<bool> {
        if let Some(node) = self.node {
            let status = self.client.cluster_status().await.ok()?;
            if status.leader? != node {
                if *self.leads.borrow() {
                    self.give_up().await;
                }
                self.note(leader(&self.client).await);
                return Some(false);
            }
        }
        let request = LeaseRequest {
            owner: self.owner.clone(),
            ttl_ms: u64::try_from(LEASE_TTL.as_millis()).unwrap_or(u64::MAX),
            acquire: vec![lease()],
            release: Vec::new(),
        };
        let answer = self.client.acquire_leases(&request).await.ok()?;
        let grant = answer.leases.into_iter().next()?;
        self.note(parse(&grant.owner));
        Some(grant.granted)
    }

    async fn give_up(&self) {
        let request = LeaseRequest {
            owner: self.owner.clone(),
            ttl_ms: 1,
            acquire: Vec::new(),
            release: vec![lease()],
        };
        if let Err(error) = self.client.acquire_leases(&request).await {
            tracing::debug!(%error, "the scheduler's lease ends by itself");
        }
    }

    fn note(&self, leader: Option<Leader>) {
        *self.other.lock().unwrap_or_else(PoisonError::into_inner) = leader;
    }

    fn say(&self, leads: bool) {
        self.leads.send_if_modified(|said| {
            let changed = *said != leads;
            if changed && !leads {
                tracing::info!("this process does not schedule any more");
            }
            *said = leads;
            changed
        });
    }
}

fn lease() -> TopicPartition {
    TopicPartition {
        topic: LEASE.to_owned(),
        partition: 0,
    }
}

/// The number of this process's node in the catalog's group.
fn own_node(parts: &Parts) -> Result<NodeId, Failure> {
    let settings = &parts.settings;
    if let Some(identity) = GroupIdentity::read(&settings.raft_dir())? {
        return Ok(identity.node);
    }
    match settings.raft.peers.is_empty() {
        true => Ok(NodeId(1)),
        false => Ok(NodeId(settings.raft.node_id)),
    }
}

/// Who schedules, as far as the catalog knows.
pub(super) async fn leader(client: &CatalogClient) -> Option<Leader> {
    let leases = client.offsets(LEASE).await.ok()?;
    let lease = leases.partitions.into_iter().find(|lease| lease.topic == LEASE)?;
    parse(&lease.owner?)
}

/// Where the scheduler of this process's executor is.
pub(crate) async fn scheduler_of(parts: &Parts) -> Option<(String, u16)> {
    match parts.settings.executor.scheduler.as_str() {
        super::compute::LEADER => address(&leader(&parts.client).await?.scheduler),
        // Its own, as the executor has it.
        "" => {
            let own = parts.settings.scheduler.listen;
            Some((super::ports::external_host("", own.ip()), own.port()))
        }
        place => address(place),
    }
}

fn parse(owner: &str) -> Option<Leader> {
    let (scheduler, http) = owner.split_once(' ')?;
    Some(Leader {
        scheduler: scheduler.to_owned(),
        http: http.to_owned(),
    })
}

/// Host and port of an address.
pub(super) fn address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a leader is read as it was written. Method: an owner as a candidate writes it, and what is none.
    #[test]
    fn leaders_are_read() {
        let leader = parse("lake-1:50050 10.0.0.1:8080").expect("a leader");
        assert_eq!(address(&leader.scheduler), Some(("lake-1".to_owned(), 50050)));
        assert_eq!(leader.http, "10.0.0.1:8080");
        assert_eq!(parse("worker-7"), None);
        assert_eq!(address("lake-1"), None);
    }
}
