//! How the roles of a process stand: asked of them at a scrape, and what costs something only now and then.

mod disk_cache;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use tidewater_catalog_client::JobFilter;
use tidewater_catalog_client::dto::JobPhase;
use tidewater_core::SharedClock;
use tidewater_scheduler::Lane;
use tidewater_scheduler::admission::Load;

use crate::roles::Running;

/// What is asked of the catalog is this old at most: several who scrape ask it once.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// How long the catalog may take; without its answer the rest is told.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Jobs that are looked at, the newest.
const JOBS_MAX: usize = 500;

const PHASES: [(JobPhase, &str); 5] = [
    (JobPhase::Queued, "queued"),
    (JobPhase::Running, "running"),
    (JobPhase::Succeeded, "succeeded"),
    (JobPhase::Failed, "failed"),
    (JobPhase::Cancelled, "cancelled"),
];

/// Gathers at a scrape.
#[derive(Debug)]
pub(crate) struct Gatherer {
    clock: SharedClock,
    kept: Mutex<Option<(Duration, Arc<Asked>)>>,
}

/// What only the catalog knows.
#[derive(Debug, Default)]
struct Asked {
    jobs: Vec<(&'static str, i64)>,
    models: Vec<Model>,
    executors: Option<i64>,
}

#[derive(Debug)]
struct Model {
    name: String,
    lag_ms: Option<i64>,
    rows: Option<u64>,
}

impl Gatherer {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            kept: Mutex::new(None),
        }
    }

    /// How the roles stand now.
    pub(crate) async fn gather(&self, running: &Running) -> Registry {
        let mut registry = Registry::default();
        let mut groups = vec![files_of_the_log(running)];
        if let Some(figures) = running.parts.store.disk_cache_figures() {
            groups.extend(disk_cache::groups(&figures));
        }
        if let Some(admission) = &running.admission {
            let loads = Lane::ALL.map(|lane| (lane.name(), admission.load(lane)));
            let of = |pick: fn(&Load) -> usize| {
                let values = loads.iter();
                values
                    .map(|(class, load)| (Some(owned(("class", *class))), size(pick(load))))
                    .collect()
            };
            groups.push(Group::gauge(
                "tidewater_admission_running",
                "Plans that run, by class",
                of(|load| load.running),
            ));
            groups.push(Group::gauge(
                "tidewater_admission_queued",
                "Plans that wait for their turn, by class",
                of(|load| load.queued),
            ));
        }
        if let Some(executor) = &running.executor {
            groups.extend(of_executor(executor));
        }
        if let Some(ingest) = &running.ingest {
            groups.extend(of_ingest(ingest));
        }
        if let Some(leadership) = &running.leadership {
            let leads = vec![(None, i64::from(leadership.leads()))];
            groups.push(Group::gauge(
                "tidewater_scheduler_leads",
                "Whether this process schedules models and upkeep",
                leads,
            ));
            if leadership.leads() {
                groups.extend(of_catalog(&*self.asked(running).await));
            }
        }
        registry.register_collector(Box::new(Groups(groups)));
        registry
    }

    async fn asked(&self, running: &Running) -> Arc<Asked> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, asked)) = &*kept
            && now.saturating_sub(*at) < KEPT_FOR
        {
            return Arc::clone(asked);
        }
        let asked = tokio::select! {
            asked = ask(running) => asked,
            () = self.clock.sleep(ANSWER_DEADLINE) => Asked::default(),
        };
        let asked = Arc::new(asked);
        *kept = Some((now, Arc::clone(&asked)));
        asked
    }
}

/// What cannot be asked now is left out: a scrape that fails as a whole would hide the rest.
async fn ask(running: &Running) -> Asked {
    let filter = JobFilter {
        limit: Some(JOBS_MAX),
        ..JobFilter::default()
    };
    let mut asked = Asked::default();
    if let Ok(rows) = running.parts.client.jobs(&filter).await {
        let count = |phase: JobPhase| size(rows.iter().filter(|row| row.phase == phase).count());
        asked.jobs = PHASES.map(|(phase, name)| (name, count(phase))).to_vec();
    }
    if let Some(pipelines) = &running.pipelines
        && let Ok(models) = pipelines.status().await
    {
        let models = models.into_iter().map(|model| Model {
            name: model.name.to_string(),
            lag_ms: model.lag_ms,
            rows: model.rows_total,
        });
        asked.models = models.collect();
    }
    if let Some(scheduler) = &running.scheduler {
        asked.executors = scheduler.executors().await.ok().map(|found| size(found.len()));
    }
    asked
}

fn files_of_the_log(running: &Running) -> Group {
    let bytes = running.consensus.as_ref().map(|_| {
        let found = std::fs::read_dir(running.parts.settings.raft_dir());
        let files = found.into_iter().flatten().flatten();
        let sizes = files.filter_map(|file| file.metadata().ok().filter(std::fs::Metadata::is_file));
        sizes.map(|file| file.len()).fold(0, u64::saturating_add)
    });
    let values = bytes.map(|bytes| (None, i64::try_from(bytes).unwrap_or(i64::MAX)));
    Group::gauge(
        "tidewater_raft_disk_bytes",
        "Files of the log and its snapshot",
        values.into_iter().collect(),
    )
}

fn of_executor(executor: &tidewater_executor::Executor) -> [Group; 2] {
    let load = executor.load();
    [
        Group::gauge(
            "tidewater_executor_tasks",
            "Tasks whose work is not over, cancelled ones among them",
            vec![(None, size(load.tasks))],
        ),
        Group::gauge(
            "tidewater_executor_memory_bytes",
            "Memory that tasks have reserved",
            vec![(None, size(load.memory_bytes))],
        ),
    ]
}

fn of_ingest(ingest: &crate::roles::IngestHandle) -> Vec<Group> {
    let counters = ingest.counters().into_iter().map(|(name, help, value)| Group {
        name: name.trim_end_matches("_total").to_owned(),
        help,
        counts: true,
        values: vec![(None, i64::try_from(value).unwrap_or(i64::MAX))],
    });
    let mut groups: Vec<Group> = counters.collect();
    let standing = ingest.standing();
    let lags = standing.lag_by_topic.into_iter();
    groups.push(Group::gauge(
        "tidewater_ingest_lag_records",
        "Records of a topic that are not committed yet",
        lags.map(|(topic, lag)| (Some(("topic", topic)), lag)).collect(),
    ));
    groups.push(Group::gauge(
        "tidewater_ingest_partitions",
        "Partitions by state: running here, held elsewhere, waiting for another source, halted",
        standing
            .partitions_by_state
            .into_iter()
            .map(|(state, count)| (Some(("state", state.to_owned())), count))
            .collect(),
    ));
    let last = [
        (
            "tidewater_ingest_freshness_milliseconds",
            "Age of the newest record when it was committed last",
            standing.freshness_ms,
        ),
        (
            "tidewater_ingest_last_commit_milliseconds",
            "How long the last commit took, files included",
            standing.commit_ms,
        ),
    ];
    for (name, help, value) in last {
        groups.push(Group::gauge(
            name,
            help,
            value.map(|value| (None, value)).into_iter().collect(),
        ));
    }
    groups
}

fn of_catalog(asked: &Asked) -> Vec<Group> {
    let jobs = asked.jobs.iter();
    let models = asked.models.iter();
    let lags = models.clone().filter_map(|model| Some((model, model.lag_ms?)));
    let rows = models.filter_map(|model| Some((model, i64::try_from(model.rows?).ok()?)));
    let named = |(model, value): (&Model, i64)| (Some(("model", model.name.clone())), value);
    vec![
        Group::gauge(
            "tidewater_jobs",
            "Jobs by state, of the newest 500",
            jobs.map(|(state, count)| (Some(owned(("state", *state))), *count))
                .collect(),
        ),
        Group::gauge(
            "tidewater_model_lag_milliseconds",
            "How far the newest data of a model's inputs is ahead of what it has read",
            lags.map(named).collect(),
        ),
        Group::gauge(
            "tidewater_model_rows",
            "Rows of a model's table",
            rows.map(named).collect(),
        ),
        Group::gauge(
            "tidewater_executors",
            "Executors that are there",
            asked.executors.map(|count| (None, count)).into_iter().collect(),
        ),
    ]
}

fn owned((key, value): (&'static str, &'static str)) -> (&'static str, String) {
    (key, value.to_owned())
}

fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A value with the label that tells it from the others of its name, if there is one.
type Value = (Option<(&'static str, String)>, i64);

/// Values of one name.
#[derive(Debug)]
struct Group {
    name: String,
    help: &'static str,
    /// Whether it only grows.
    counts: bool,
    values: Vec<Value>,
}

impl Group {
    fn gauge(name: &str, help: &'static str, values: Vec<Value>) -> Self {
        Self {
            name: name.to_owned(),
            help,
            counts: false,
            values,
        }
    }

    fn encode(&self, value: i64, encoder: MetricEncoder<'_>) -> fmt::Result {
        match self.counts {
            true => ConstCounter::new(u64::try_from(value).unwrap_or_default()).encode(encoder),
            false => ConstGauge::new(value).encode(encoder),
        }
    }
}

#[derive(Debug)]
struct Groups(Vec<Group>);

impl Collector for Groups {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for group in self.0.iter().filter(|group| !group.values.is_empty()) {
            let of_type = match group.counts {
                true => MetricType::Counter,
                false => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(&group.name, group.help, None, of_type)?;
            if let [(None, value)] = group.values.as_slice() {
                group.encode(*value, metric)?;
                continue;
            }
            for (label, value) in &group.values {
                let labels = label.as_ref().map(|(key, value)| (*key, value.as_str()));
                group.encode(*value, metric.encode_family(&Vec::from_iter(labels))?)?;
            }
        }
        Ok(())
    }
}
