//! A stream of records into a sink: at a pace or as fast as it goes, continued where it was left.

mod state;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::state::State;
use crate::delivery::{RecordStream, Report};
use crate::error::SynthError;
use crate::options::{DeliveryOptions, WorldOptions};
use crate::oracle::Oracle;
use crate::sink::file::{FileSink, FileSinkOptions, NextOffsets};
#[cfg(feature = "kafka")]
use crate::sink::kafka::KafkaSink;
use tidewater_core::SharedClock;

/// Records made before others get their turn: about a millisecond of work.
const BATCH_RECORDS: u32 = 64;

/// How long a paced writer sleeps at a time: what a reader may see late.
const PACE_WAIT: Duration = Duration::from_millis(10);

/// How often a full log is looked at again.
const FULL_RETRY: Duration = Duration::from_millis(100);

/// How often a log is trimmed and progress told.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// A live world whose clock is further behind than this skips what it missed.
const BACKLOG_MAX_MS: i64 = 5_000;

/// Where a run writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkOptions {
    /// Segments in a folder, for a `file:` source.
    File {
        /// The folder.
        folder: PathBuf,
        /// When a segment is full.
        segment_bytes: u64,
        /// The writer waits when the log is larger than this and nobody has read its oldest segment.
        bytes_max: Option<u64>,
        /// How long it waits then before it gives up.
        full_wait: Duration,
    },
    /// Topics.
    Kafka {
        /// `host:port,...`
        brokers: String,
        /// Where the run remembers how far it came, to go on there; without it every run starts anew.
        state: Option<PathBuf>,
    },
    /// Nowhere: to count, or for the oracle alone.
    Nowhere,
}

impl SinkOptions {
    /// A folder with segments of 16 MiB and no bound.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        let segment_bytes = FileSinkOptions::default().segment_bytes;
        Self::File {
            folder: folder.into(),
            segment_bytes,
            bytes_max: None,
            full_wait: Duration::from_secs(600),
        }
    }
}

/// What a run does.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The hospital. A run that goes on takes it from where it was begun, pauses included; a live one goes on at the rate that is named here.
    pub world: WorldOptions,
    /// How its changes are sent.
    pub delivery: DeliveryOptions,
    /// Where to.
    pub sink: SinkOptions,
    /// At most so many records a second; the first snapshot is never slowed down.
    pub records_per_second: Option<u32>,
    /// Wait for the machine's clock to reach the hospital's: for a world made by [`WorldOptions::live`].
    pub live: bool,
    /// End with the first whole step at or after so many records, counted from the very first.
    pub records_max: Option<u64>,
    /// Write the expected tables here at the end.
    pub oracle: Option<PathBuf>,
    /// The moment the expected gold tables are of; the hospital's clock at the end if not given.
    pub as_of_ms: Option<i64>,
}

impl RunOptions {
    /// As fast as it goes, without an end.
    pub fn new(sink: SinkOptions) -> Self {
        Self {
            world: WorldOptions::default(),
            delivery: DeliveryOptions::default(),
            sink,
            records_per_second: None,
            live: false,
            records_max: None,
            oracle: None,
            as_of_ms: None,
        }
    }
}

/// What a run asks and tells while it goes.
#[derive(Clone, Default)]
pub struct Hooks {
    /// From where readers go on: what lies before may be removed.
    pub committed: Option<Arc<dyn Fn() -> NextOffsets + Send + Sync>>,
    /// Told about once a second and at the end.
    pub progress: Option<Arc<dyn Fn(Report) + Send + Sync>>,
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (committed, progress) = (self.committed.is_some(), self.progress.is_some());
        f.debug_struct("Hooks")
            .field("committed", &committed)
            .field("progress", &progress)
            .finish()
    }
}

enum Sink {
    File {
        sink: FileSink,
        bytes_max: Option<u64>,
        full_wait: Duration,
    },
    #[cfg(feature = "kafka")]
    Kafka(Box<KafkaSink>),
    Nowhere,
}

/// Writes until the limit is reached or `stop` is cancelled, always to the end of a step; then the oracle if wanted.
pub async fn run(
    options: RunOptions,
    clock: SharedClock,
    hooks: Hooks,
    stop: CancellationToken,
) -> Result<Report, SynthError> {
    let mut state = State::load(options.sink.state_folder())?;
    let (world, delivery) = state.options(&options)?;
    let limit = options.records_max;
    // Founding a world takes seconds of work, which must not stand in other tasks' way.
    let built = tokio::task::spawn_blocking(move || Ok(RecordStream::new(world, delivery)?.with_limit(limit)));
    let mut stream = joined(built.await)?;
    let (mut sink, written) = open(&options, &stream, &state, &clock).await?;
    if written > 0 {
        let skipped = tokio::task::spawn_blocking(move || {
            stream.skip_to(written);
            Ok(stream)
        });
        stream = joined(skipped.await)?;
        if stream.sequence() != written {
            let reason = format!(
                "it holds {written} records, and the stream ends after {}",
                stream.sequence()
            );
            return Err(SynthError::Foreign {
                path: options.sink.state_folder().map(Into::into).unwrap_or_default(),
                reason,
            });
        }
        if options.live && clock.now_ms() - stream.now_ms() > BACKLOG_MAX_MS {
            stream.pause_until(clock.now_ms());
        }
    }
    if options.live {
        stream.change_rate(options.world.changes_per_day);
    }
    state.save(stream.world().options(), &options.delivery)?;
    let paced = Pace {
        options: &options,
        begun: clock.monotonic(),
        first: stream.sequence(),
    };
    let mut tidied = clock.monotonic();
    loop {
        if stop.is_cancelled() && stream.at_boundary() {
            break;
        }
        let may_write = paced.allows(&stream, &clock) || stop.is_cancelled();
        let ended = may_write && !write_batch(&mut stream, &mut sink, &stop).await?;
        if ended {
            break;
        }
        if clock.monotonic() - tidied >= HOUSEKEEPING {
            tidied = clock.monotonic();
            tidy(&mut sink, &mut state, &stream, &hooks, &clock, &stop).await?;
        }
        if may_write {
            tokio::task::yield_now().await;
        } else {
            sink.flush().await?;
            clock.sleep(PACE_WAIT).await;
        }
    }
    sink.finish().await?;
    state.reached(stream.sequence())?;
    let report = stream.report();
    if let Some(progress) = &hooks.progress {
        progress(report);
    }
    if let Some(folder) = options.oracle {
        let as_of_ms = options.as_of_ms.unwrap_or_else(|| stream.now_ms());
        let write = move || Oracle::new(stream.world()).write(&folder, as_of_ms, &report);
        joined(tokio::task::spawn_blocking(write).await)?;
    }
    Ok(report)
}

/// False when the stream has ended.
async fn write_batch(stream: &mut RecordStream, sink: &mut Sink, stop: &CancellationToken) -> Result<bool, SynthError> {
    for _ in 0..BATCH_RECORDS {
        match stream.next() {
            Some(record) => match sink {
                Sink::File { sink, .. } => sink.append(&record)?,
                #[cfg(feature = "kafka")]
                Sink::Kafka(sink) => sink.append(&record).await?,
                Sink::Nowhere => {}
            },
            None => return Ok(false),
        }
        if stop.is_cancelled() && stream.at_boundary() {
            break;
        }
    }
    Ok(true)
}

/// Trims the log, waits while it is full, and tells how far the run is.
async fn tidy(
    sink: &mut Sink,
    state: &mut State,
    stream: &RecordStream,
    hooks: &Hooks,
    clock: &SharedClock,
    stop: &CancellationToken,
) -> Result<(), SynthError> {
    sink.flush().await?;
    if let Some(progress) = &hooks.progress {
        progress(stream.report());
    }
    let Sink::File {
        sink,
        bytes_max,
        full_wait,
    } = sink
    else {
        return state.reached(stream.sequence());
    };
    let begun = clock.monotonic();
    loop {
        if let Some(committed) = &hooks.committed {
            sink.trim(&committed())?;
        }
        if bytes_max.is_none_or(|max| sink.bytes() <= max) || stop.is_cancelled() {
            return Ok(());
        }
        let waited = clock.monotonic() - begun;
        if waited >= *full_wait {
            let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            return Err(SynthError::Full {
                path: sink.folder().to_owned(),
                bytes: sink.bytes(),
                waited_ms,
            });
        }
        clock.sleep(FULL_RETRY).await;
    }
}

/// Opens the sink; also how many records it has already.
async fn open(
    options: &RunOptions,
    stream: &RecordStream,
    state: &State,
    clock: &SharedClock,
) -> Result<(Sink, u64), SynthError> {
    match &options.sink {
        SinkOptions::File {
            folder,
            segment_bytes,
            bytes_max,
            full_wait,
        } => {
            let sink = FileSink::open(
                folder,
                FileSinkOptions {
                    segment_bytes: *segment_bytes,
                },
            )?;
            let written = sink.next_sequence();
            Ok((
                Sink::File {
                    sink,
                    bytes_max: *bytes_max,
                    full_wait: *full_wait,
                },
                written,
            ))
        }
        #[cfg(feature = "kafka")]
        SinkOptions::Kafka { brokers, .. } => {
            let partitions = options.delivery.partitions;
            let sink = KafkaSink::open(brokers, &stream.topics(), partitions, Arc::clone(clock)).await?;
            Ok((Sink::Kafka(Box::new(sink)), state.sequence()))
        }
        #[cfg(not(feature = "kafka"))]
        SinkOptions::Kafka { brokers, .. } => {
            let _ = (stream, state, clock);
            let reason = "this build has no Kafka client";
            Err(SynthError::Option {
                option: "kafka",
                value: brokers.clone(),
                reason,
            })
        }
        SinkOptions::Nowhere => Ok((Sink::Nowhere, 0)),
    }
}

impl SinkOptions {
    fn state_folder(&self) -> Option<&std::path::Path> {
        match self {
            Self::File { folder, .. } => Some(folder),
            Self::Kafka { state, .. } => state.as_deref(),
            Self::Nowhere => None,
        }
    }
}

impl Sink {
    async fn flush(&mut self) -> Result<(), SynthError> {
        match self {
            Self::File { sink, .. } => sink.flush(),
            #[cfg(feature = "kafka")]
            Self::Kafka(sink) => sink.flush().await,
            Self::Nowhere => Ok(()),
        }
    }

    async fn finish(&mut self) -> Result<(), SynthError> {
        match self {
            Self::File { sink, .. } => sink.sync(),
            #[cfg(feature = "kafka")]
            Self::Kafka(sink) => sink.flush().await,
            Self::Nowhere => Ok(()),
        }
    }
}

/// When the next batch may be written.
struct Pace<'a> {
    options: &'a RunOptions,
    begun: Duration,
    first: u64,
}

impl Pace<'_> {
    fn allows(&self, stream: &RecordStream, clock: &SharedClock) -> bool {
        if stream.world().steps() == 0 {
            return true;
        }
        if self.options.live && stream.now_ms() > clock.now_ms() {
            return false;
        }
        let Some(rate) = self.options.records_per_second else {
            return true;
        };
        let elapsed_ms = (clock.monotonic() - self.begun).as_millis();
        let allowed = elapsed_ms.saturating_mul(u128::from(rate)) / 1_000;
        u128::from(stream.sequence().saturating_sub(self.first)) <= allowed
    }
}

fn joined<T>(outcome: Result<Result<T, SynthError>, tokio::task::JoinError>) -> Result<T, SynthError> {
    outcome.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(SynthError::Option {
            option: "run",
            value: "stopped".to_owned(),
            reason: "the program is ending",
        }),
    })
}

#[cfg(test)]
mod tests;
