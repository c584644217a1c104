//! Ingest as a role: one worker a source.

use std::sync::Arc;

use crate::commit::Committer;
use crate::error::Result;
use crate::mapping::Mapping;
use crate::metrics::Metrics;
use crate::offset_log::OffsetLog;
use crate::options::{IngestOptions, SourceConfig};
use crate::source::Source;
use crate::source::file::FileSource;
use crate::source::kafka::KafkaSource;
use crate::status::{Board, IngestStatus};
use crate::topics::Topics;
use crate::worker::{Parts, Worker};
use tidewater_core::{SharedClock, SharedRng, Tasks};
use tidewater_table::FileStore;

/// Sources that are read.
#[derive(Debug, Clone)]
pub struct Ingest {
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
}

impl Ingest {
    /// Starts one worker a source. They run until `tasks` is shut down.
    pub fn start(
        options: IngestOptions,
        log: Arc<dyn OffsetLog>,
        store: FileStore,
        clock: SharedClock,
        rng: SharedRng,
        tasks: &Tasks,
    ) -> Result<Self> {
        options.check()?;
        let sources = options
            .sources
            .iter()
            .map(|source| -> Result<Box<dyn Source>> {
                Ok(match source {
                    SourceConfig::File { directory } => Box::new(FileSource::new(directory, Arc::clone(&clock))),
                    SourceConfig::Kafka(kafka) => Box::new(KafkaSource::new(kafka, Arc::clone(&clock))?),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Self::start_with(sources, options, log, store, clock, rng, tasks)
    }

    /// The same with sources of the caller's making.
    pub fn start_with(
        sources: Vec<Box<dyn Source>>,
        options: IngestOptions,
        log: Arc<dyn OffsetLog>,
        store: FileStore,
        clock: SharedClock,
        rng: SharedRng,
        tasks: &Tasks,
    ) -> Result<Self> {
        options.check()?;
        let mapping = Mapping::new(&options)?;
        let options = Arc::new(within_budget(options, sources.len()));
        let board = Arc::new(Board::default());
        let topics = Arc::new(Topics::new(sources.iter().map(|source| source.reach())));
        let metrics = Arc::new(Metrics::default());
        let committer = Arc::new(Committer {
            log,
            store,
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            keep_snapshots: options.keep_snapshots,
        });
        let owner = format!("ingest-{}", rng.uuid_v7(clock.now_ms()));
        for (index, source) in sources.into_iter().enumerate() {
            let worker = Worker::new(Parts {
                index,
                source,
                committer: Arc::clone(&committer),
                mapping: mapping.clone(),
                options: Arc::clone(&options),
                clock: Arc::clone(&clock),
                rng: Arc::clone(&rng),
                tasks: tasks.clone(),
                board: Arc::clone(&board),
                topics: Arc::clone(&topics),
                owner: format!("{owner}-{index}"),
            });
            tasks.spawn("worker", worker.run(tasks.token()));
        }
        Ok(Self { board, metrics, clock })
    }

    /// How it stands.
    pub fn status(&self) -> IngestStatus {
        self.board.status(self.clock.monotonic())
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

/// Each source has a batch that is read and one on its way. Decoded rows take less than their records did, which are let go.
const BATCHES_PER_SOURCE: usize = 2;

fn within_budget(mut options: IngestOptions, sources: usize) -> IngestOptions {
    let share = options.buffered_bytes_max / sources.max(1) / BATCHES_PER_SOURCE;
    options.commit_bytes = options.commit_bytes.min(share.max(1));
    options
}
