//! Results of statements, kept for those who ask the same of the same.
//!
//! A key is the plan, with the snapshot of every table that it reads: whoever plans a statement after a commit has another key.
//! Nothing is ever declared old, so nothing is ever answered that is. Statements whose rows do not follow from their plan alone
//! pass by ([`Bypass`]). A statement that is at work already is waited for and not run a second time ([`run`]).
//!
//! Invariant: an answer from here is one that running the plan could give at the same moment. A table may choose to bear answers that
//! it could give a little before ([`older`]).

mod bypass;
mod entry;
mod expression;
mod moment;
mod older;
mod plan;
mod policy;
mod run;
#[cfg(test)]
mod tests;
mod value;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::LogicalPlan;
use futures::stream;
use moka::sync::Cache;

pub use self::bypass::{Bypass, CacheUse};
use self::entry::Entry;
pub(crate) use self::older::ReadInstead;
use self::older::{Bears, NewestResults};
pub use self::policy::PolicyFingerprint;
use self::run::Run;
pub(crate) use self::run::{Lead, Outcome, Waiting};
use self::writer::Writer;
use crate::service::Batches;

/// Statements whose results were too large that are remembered, so that nobody waits for what will not be kept.
const LARGE_MAX: u64 = 10_000;

/// Results that nobody asked for so long go. Most are of snapshots that are not the newest any more, which nobody can ask for: it is
/// for their memory, as none of them is ever wrong.
const IDLE_MAX: Duration = Duration::from_secs(15 * 60);

/// The part of the memory that results may take while they come in, over what is kept.
const COMING_SHARE: usize = 4;

/// How much is kept.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Whether anything is.
    pub enabled: bool,
    /// Memory of all results together. Those that come in may take a quarter of it besides.
    pub bytes_max: u64,
    /// Memory of one result; larger ones are handed on as they come.
    pub entry_bytes_max: u32,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            bytes_max: 256 << 20,
            entry_bytes_max: 8 << 20,
        }
    }
}

/// Names a statement with everything that its answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// A statement that may be answered from the cache.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) key: Key,
    /// What to run for it, where that is not the plan as it is.
    pub(crate) settled: Option<LogicalPlan>,
    /// Whether it may be answered with rows that are a little older.
    pub(crate) bears: Option<Bears>,
}

/// What an answer depends on besides the plan.
pub(crate) struct Circumstances<'a> {
    /// The settings that the plan runs with.
    pub(crate) config: &'a dyn Fn() -> Arc<ConfigOptions>,
    pub(crate) policy: &'a PolicyFingerprint,
    /// The zone of its session.
    pub(crate) zone: &'a str,
    /// The columns as the client is told of them.
    pub(crate) wire: &'a SchemaRef,
    pub(crate) now_ms: i64,
    /// A moment before the plan's tables were looked up; none where they are those of a transaction.
    pub(crate) since: Option<Duration>,
}

/// Results of this process. Clones share them.
#[derive(Clone)]
pub(crate) struct ResultCache(Arc<Inner>);

struct Inner {
    options: CacheOptions,
    entries: Cache<Key, Arc<Entry>>,
    large: Cache<Key, ()>,
    newest: NewestResults,
    /// What is at work now. Taken before the lock of a run, and never while rows are asked for.
    runs: Mutex<HashMap<Key, Arc<Run>>>,
    /// Memory of results that come in.
    coming_bytes: AtomicUsize,
    #[cfg(test)]
    forgets_snapshots: bool,
    #[cfg(test)]
    forgets_time: bool,
}

/// What there is for a key.
pub(crate) enum Joined {
    /// Its rows.
    Kept(Batches),
    /// Nothing: whoever asked runs it.
    Lead(Lead),
    /// Somebody runs it.
    Waiting(Waiting),
    /// Nothing, and its rows would not be kept.
    Large,
}

impl ResultCache {
    pub(crate) fn new(options: CacheOptions) -> Self {
        let bytes_max = if options.enabled { options.bytes_max } else { 0 };
        let entries = Cache::builder()
            .max_capacity(bytes_max)
            .time_to_idle(IDLE_MAX)
            .weigher(|_, entry: &Arc<Entry>| u32::try_from(entry.bytes()).unwrap_or(u32::MAX));
        Self(Arc::new(Inner {
            options,
            entries: entries.build(),
            large: Cache::new(LARGE_MAX),
            newest: NewestResults::new(),
            runs: Mutex::default(),
            coming_bytes: AtomicUsize::new(0),
            #[cfg(test)]
            forgets_snapshots: false,
            #[cfg(test)]
            forgets_time: false,
        }))
    }

    /// One that is wrong on purpose: its keys do not tell which snapshots are read.
    #[cfg(test)]
    pub(crate) fn forgetting_snapshots(options: CacheOptions) -> Self {
        let mut cache = Self::new(options);
        Arc::get_mut(&mut cache.0)
            .expect("nobody shares it yet")
            .forgets_snapshots = true;
        cache
    }

    /// One that is wrong on purpose: to it, older rows never grow older.
    #[cfg(test)]
    pub(crate) fn forgetting_time(options: CacheOptions) -> Self {
        let mut cache = Self::new(options);
        Arc::get_mut(&mut cache.0).expect("nobody shares it yet").forgets_time = true;
        cache
    }

    /// What a plan asks, if an answer to it can be kept.
    pub(crate) fn question(&self, plan: &LogicalPlan, around: &Circumstances<'_>) -> Result<Question, Bypass> {
        if !self.0.options.enabled || self.0.options.bytes_max == 0 {
            return Err(Bypass::Off);
        }
        let settled = moment::settled(plan, around.config, around.now_ms)?;
        let mut writer = self.writer();
        writer.piece(around.policy.bytes());
        writer.text(around.zone);
        value::schema(&mut writer, around.wire);
        plan::plan(&mut writer, settled.as_ref().unwrap_or(plan))?;
        let written = writer.finish();
        let statement = blake3::hash(&written.bytes);
        let mut key = blake3::Hasher::new();
        key.update(statement.as_bytes()).update(&written.snapshots);
        let bears = around.since.filter(|_| !written.tables.is_empty());
        Ok(Question {
            key: Key(*key.finalize().as_bytes()),
            settled,
            bears: bears.map(|seen| Bears {
                key: Key(*statement.as_bytes()),
                tables: written.tables,
                seen,
            }),
        })
    }

    fn writer(&self) -> Writer {
        #[cfg(test)]
        if self.0.forgets_snapshots {
            return Writer::forgetting_snapshots();
        }
        Writer::default()
    }

    /// Whether there are rows for it now.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.0.entries.contains_key(key)
    }

    /// Whether rows are kept, or somebody makes them already.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.holds(key) || self.runs().contains_key(key)
    }

    /// Asks for rows, or for the right to make them.
    pub(crate) fn join(&self, key: Key) -> Joined {
        if let Some(entry) = self.0.entries.get(&key) {
            return Joined::Kept(rows(&entry));
        }
        if self.0.large.contains_key(&key) {
            return Joined::Large;
        }
        let mut runs = self.runs();
        if let Some(run) = runs.get(&key) {
            return Joined::Waiting(Waiting::new(self.clone(), key, Arc::clone(run)));
        }
        // It may have ended between the two looks.
        if let Some(entry) = self.0.entries.get(&key) {
            return Joined::Kept(rows(&entry));
        }
        let run = Arc::new(Run::default());
        runs.insert(key, Arc::clone(&run));
        Joined::Lead(Lead::new(self.clone(), key, run))
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<Key, Arc<Run>>> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for rows that come in; false when there is none left.
    fn take(&self, bytes: usize) -> bool {
        let max = usize::try_from(self.0.options.bytes_max).unwrap_or(usize::MAX) / COMING_SHARE;
        let taken = self.0.coming_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = taken.saturating_add(bytes) <= max;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.0.coming_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for ResultCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultCache")
            .field("options", &self.0.options)
            .field("bytes", &self.0.entries.weighted_size())
            .finish_non_exhaustive()
    }
}

/// The rows of an entry, which stays as long as somebody reads it.
fn rows(entry: &Arc<Entry>) -> Batches {
    let entry = Arc::clone(entry);
    let count = entry.batches.len();
    Box::pin(stream::iter(
        (0..count).filter_map(move |at| entry.batches.get(at).cloned().map(Ok)),
    ))
}
