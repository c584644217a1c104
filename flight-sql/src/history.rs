//! Statements that are at work and those that have ended: who asked, for what, how it went. Bounded, and without the values that
//! statements carry.

mod known;
mod redact;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use tidewater_core::{Coded, ErrorKind, SharedClock, TableName};
use tidewater_engine::{IcebergTable, PartOf, Route};
use tidewater_security::{AuditLog, Principal};

pub use self::known::{KNOWN_BYTES_MAX, Known, Process};
use self::redact::{cut, redact};
use crate::cache::{CacheUse, ReadInstead};
use crate::error::QueryError;
use crate::metrics::{Ended, Front, QueryMetrics};
use crate::service::{Batches, Cause};
use crate::texts::Texts;

/// Statements that have ended and are remembered; the oldest is forgotten.
const ENDED_MAX: usize = 2_000;

/// Bytes of the names of one statement's tables that are told, with what stands between two: some 600 tables as people name them. As many
/// statements as are remembered hold 32 MiB of them at most.
const NAMES_BYTES_MAX: usize = 16 << 10;

/// Snapshots of one statement that are told.
const SNAPSHOTS_MAX: usize = 1_000;

/// What is known of a statement. Its names are those of the audit log's lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryRecord {
    /// Names this asking of it.
    pub id: Uuid,
    /// Who asked.
    pub user: String,
    /// What they asked with, as it calls itself.
    pub client: String,
    /// Which way it came.
    pub front: Cow<'static, str>,
    /// Where they asked from, where that is known.
    pub address: Option<IpAddr>,
    /// The same for statements that differ by values only.
    pub hash: String,
    /// The statement without its values, as much of it as is kept.
    pub statement: String,
    /// Tables and views: those it changes first, then those it reads.
    pub tables: Vec<String>,
    /// How many more there are, whose names are too long to be told together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables_left_out: Option<usize>,
    /// The snapshots it reads, or the one it made.
    pub snapshots: Vec<i64>,
    /// Rows that it gave or changed.
    pub rows: u64,
    /// Bytes of the rows it gave.
    pub bytes: u64,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: i64,
    /// How long it waited for its turn, in milliseconds.
    pub queue_ms: u64,
    /// Where it ran: `local` or `cluster`; none for what did not get so far.
    pub route: Option<String>,
    /// Why there.
    pub reason: Option<String>,
    /// Whether its rows were kept ones: `HIT`, `MISS`, `COALESCED`, or `BYPASS` with the reason; none for what is no query.
    pub cache: Option<String>,
    /// The code it failed with.
    pub error: Option<String>,
    /// How long it took until its last row, in milliseconds; none while it is at work.
    pub duration_ms: Option<u64>,
}

/// The statements of this process. Clones are one history.
#[derive(Clone)]
pub struct QueryHistory {
    statements: Arc<Mutex<Statements>>,
    texts: Texts<Redacted>,
    metrics: QueryMetrics,
    clock: SharedClock,
    audit: Option<AuditLog>,
    process: Process,
}

/// Who sent a statement, as far as the history tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) front: Front,
    pub(crate) client: &'a str,
    pub(crate) address: Option<IpAddr>,
}

/// A statement without its values, and what it has in common with those that differ by values only.
#[derive(Clone)]
struct Redacted {
    statement: String,
    hash: String,
}

#[derive(Default)]
struct Statements {
    next: u64,
    running: BTreeMap<u64, QueryRecord>,
    ended: VecDeque<QueryRecord>,
}

impl fmt::Debug for QueryHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryHistory").finish_non_exhaustive()
    }
}

impl QueryHistory {
    /// Of nothing yet.
    pub fn new(clock: SharedClock) -> Self {
        Self {
            statements: Arc::default(),
            texts: Texts::default(),
            metrics: QueryMetrics::default(),
            clock,
            audit: None,
            process: Process::default(),
        }
    }

    /// The same, that is kept in this log too.
    #[must_use]
    pub fn kept_in(mut self, audit: Option<AuditLog>) -> Self {
        self.audit = audit;
        self
    }

    /// The same, of a process that others know by this.
    #[must_use]
    pub fn of_process(mut self, process: Process) -> Self {
        self.process = process;
        self
    }

    /// What is counted of them.
    pub fn metrics(&self) -> &QueryMetrics {
        &self.metrics
    }

    /// Statements at work, the oldest first.
    pub fn running(&self) -> Vec<QueryRecord> {
        lock(&self.statements).running.values().cloned().collect()
    }

    /// Statements at work and those that have ended, the newest first.
    pub fn all(&self) -> Vec<QueryRecord> {
        let statements = lock(&self.statements);
        let running = statements.running.values().rev();
        running.chain(statements.ended.iter().rev()).cloned().collect()
    }

    /// Takes note of a statement that begins. It has ended when what is returned is dropped.
    pub(crate) fn begin(&self, id: Uuid, sender: Sender<'_>, sql: &str) -> Note {
        let front = sender.front;
        let Redacted { statement, hash } = self.redacted(sql);
        let record = QueryRecord {
            id,
            user: sender.principal.name.clone(),
            client: sender.client.to_owned(),
            front: Cow::Borrowed(front.name()),
            address: sender.address,
            hash,
            statement,
            tables: Vec::new(),
            tables_left_out: None,
            snapshots: Vec::new(),
            rows: 0,
            bytes: 0,
            began_ms: self.clock.now_ms(),
            queue_ms: 0,
            route: None,
            reason: None,
            cache: None,
            error: None,
            duration_ms: None,
        };
        let mut statements = lock(&self.statements);
        let number = statements.next;
        statements.next += 1;
        statements.running.insert(number, record);
        drop(statements);
        self.metrics.began(front);
        Note {
            history: self.clone(),
            id,
            front,
            number,
            began: self.clock.monotonic(),
            ended: false,
            cause: Cause::default(),
        }
    }

    fn redacted(&self, sql: &str) -> Redacted {
        if let Some(known) = self.texts.get(sql) {
            return known;
        }
        let statement = redact(sql);
        let hash = blake3::hash(statement.as_bytes()).to_hex();
        let hash = hash.chars().take(16).collect();
        let statement = cut(statement);
        let redacted = Redacted { statement, hash };
        self.texts.add(sql, redacted.clone());
        redacted
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut QueryRecord)) {
        if let Some(record) = lock(&self.statements).running.get_mut(&number) {
            change(record);
        }
    }
}

/// Takes note of one statement.
#[derive(Debug)]
pub(crate) struct Note {
    history: QueryHistory,
    id: Uuid,
    front: Front,
    number: u64,
    began: Duration,
    ended: bool,
    /// The limit that ended it.
    cause: Cause,
}

impl Note {
    /// Names this asking of the statement.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// A limit that ends it says so there.
    pub(crate) fn may_be_cut(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// What it reads; tables that bear it are read as they were at these snapshots instead.
    pub(crate) fn planned(&self, plan: &LogicalPlan, instead: &ReadInstead) {
        let (mut tables, mut snapshots) = (BTreeSet::new(), BTreeSet::new());
        scans(plan, instead, &mut tables, &mut snapshots);
        self.history.change(self.number, |record| {
            (record.tables, record.tables_left_out) = bounded(tables);
            record.snapshots = snapshots.into_iter().take(SNAPSHOTS_MAX).collect();
        });
    }

    /// Where it runs.
    pub(crate) fn routed(&self, route: &Route) {
        self.history.change(self.number, |record| {
            record.route = Some(route.place.to_string());
            record.reason = Some(route.reason.clone());
            record.queue_ms = u64::try_from(route.waited.as_millis()).unwrap_or(u64::MAX);
        });
    }

    /// What became of it in the cache.
    pub(crate) fn cached(&self, how: &CacheUse) {
        self.history
            .change(self.number, |record| record.cache = Some(how.to_string()));
    }

    /// The tables and views that it changes, and then those that it reads: known before it is carried out.
    pub(crate) fn about(&self, tables: impl IntoIterator<Item = TableName>) {
        let mut seen = BTreeSet::new();
        let tables = tables.into_iter().map(|table| table.to_string());
        let told = bounded(tables.filter(|table| seen.insert(table.clone())));
        self.history.change(self.number, |record| {
            (record.tables, record.tables_left_out) = told;
        });
    }

    /// What it changed.
    pub(crate) fn changed(&self, rows: u64, snapshot: Option<i64>) {
        self.history.change(self.number, |record| {
            record.rows = rows;
            record.snapshots = snapshot.into_iter().collect();
        });
    }

    /// Comes back when it is kept who asks for what, where nothing may be done without that. To be called when its tables are known, and
    /// before it is carried out or gives its first row.
    pub(crate) async fn kept(&self) -> Result<(), QueryError> {
        let Some(audit) = self.history.audit.as_ref().filter(|audit| audit.is_required()) else {
            return Ok(());
        };
        let record = lock(&self.history.statements).running.get(&self.number).cloned();
        let Some(record) = record else {
            return Ok(());
        };
        let kept = Box::pin(audit.kept("began", &record)).await;
        kept.map_err(|source| QueryError::NotKept { source })
    }

    /// Ends it with the outcome, which it hands on.
    pub(crate) fn end<T>(mut self, outcome: Result<T, QueryError>) -> Result<T, QueryError> {
        self.finish(outcome.as_ref().err().map(of_failure));
        outcome
    }

    /// Counts the rows; it has ended with the last one.
    pub(crate) fn follow(self, rows: Batches) -> Batches {
        Box::pin(Followed { rows, note: self })
    }

    fn finish(&mut self, failure: Option<(&str, ErrorKind)>) {
        if self.ended {
            return;
        }
        self.ended = true;
        let took = self.history.clock.monotonic().saturating_sub(self.began);
        let mut statements = lock(&self.history.statements);
        let Some(mut record) = statements.running.remove(&self.number) else {
            return;
        };
        self.history.metrics.ended(&Ended {
            front: self.front,
            failure: failure.map(|(_, kind)| kind),
            cache: record.cache.as_deref(),
            took,
            waited: record.route.as_ref().map(|_| Duration::from_millis(record.queue_ms)),
            rows: record.rows,
            bytes: record.bytes,
        });
        record.error = failure.map(|(code, _)| code.to_owned());
        record.duration_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let kept = self.history.audit.as_ref().map(|audit| (audit, record.clone()));
        if statements.ended.len() >= ENDED_MAX {
            statements.ended.pop_front();
        }
        statements.ended.push_back(record);
        // No other statement waits while it is written down.
        drop(statements);
        if let Some((audit, record)) = kept {
            audit.keep("statement", &record);
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // Nobody heard the end of it: a limit ended it, or it was cancelled, or its client went away.
        let why = self.cause.get().map_or(QueryError::Cancelled, |cut| cut.error());
        self.finish(Some(of_failure(&why)));
    }
}

struct Followed {
    rows: Batches,
    note: Note,
}

impl Stream for Followed {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let next = self.rows.poll_next_unpin(context);
        match &next {
            std::task::Poll::Ready(Some(Ok(batch))) => {
                let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
                let bytes = u64::try_from(batch.get_array_memory_size()).unwrap_or(u64::MAX);
                self.note.history.change(self.note.number, |record| {
                    record.rows = record.rows.saturating_add(rows);
                    record.bytes = record.bytes.saturating_add(bytes);
                });
            }
            std::task::Poll::Ready(Some(Err(error))) => self.note.finish(Some(of_failure(error))),
            std::task::Poll::Ready(None) => self.note.finish(None),
            std::task::Poll::Pending => {}
        }
        next
    }
}

/// As many of the names as are told, and how many are left out.
fn bounded(names: impl IntoIterator<Item = String>) -> (Vec<String>, Option<usize>) {
    let (mut told, mut bytes, mut left_out) = (Vec::new(), 0_usize, None);
    for name in names {
        // Two quotes and a comma.
        bytes = bytes.saturating_add(name.len() + 3);
        match bytes <= NAMES_BYTES_MAX {
            true => told.push(name),
            false => left_out = Some(left_out.unwrap_or(0) + 1),
        }
    }
    (told, left_out)
}

fn of_failure(error: &QueryError) -> (&'static str, ErrorKind) {
    (error.code(), error.kind())
}

/// The tables of a plan and their snapshots, also of those that lie in views.
fn scans(plan: &LogicalPlan, instead: &ReadInstead, tables: &mut BTreeSet<String>, snapshots: &mut BTreeSet<i64>) {
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
        {
            if let Some(view) = provider.get_logical_plan() {
                scans(&view, instead, tables, snapshots);
            }
            if let Some(table) = provider.downcast_ref::<IcebergTable>() {
                tables.insert(table.table().name.to_string());
                let older = instead.get(&table.table().metadata.uuid());
                match older.filter(|_| table.max_staleness().is_some()) {
                    Some(snapshot) => snapshots.extend(*snapshot),
                    None => snapshots.extend(table.snapshot_id()),
                }
            } else if let Some(part) = provider.downcast_ref::<PartOf>() {
                tables.insert(part.table().to_string());
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    // The closure never fails.
    drop(visited);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::{TryStreamExt, stream};
    use tidewater_core::ManualClock;

    use super::*;

    // Goal: every statement ends in the history once, with how it ended: by its last row, by an error, or because nobody waits for
    // it; and the history does not grow without end. Method: one of each, then as many as fit.
    #[tokio::test]
    async fn every_statement_ends_once() {
        let clock = Arc::new(ManualClock::new(5));
        let history = QueryHistory::new(clock.clone());
        let ana = Principal::named("ana");
        let sender = Sender {
            principal: &ana,
            front: Front::Http,
            client: "test",
            address: None,
        };
        let begin = |number: u128| history.begin(Uuid::from_u128(number), sender, "SELECT 'secret'");
        let note = begin(1);
        assert_eq!(history.running().len(), 1);
        clock.advance(Duration::from_millis(40));
        let rows: Batches = note.follow(Box::pin(stream::empty()));
        rows.try_collect::<Vec<_>>().await.expect("no rows");
        drop(begin(2));
        begin(3)
            .end(Err::<(), _>(QueryError::BadHandle))
            .expect_err("handed on");
        let all = history.all();
        let ends: Vec<(u128, Option<&str>)> = all
            .iter()
            .map(|record| (record.id.as_u128(), record.error.as_deref()))
            .collect();
        assert_eq!(ends, [(3, Some("SQL-0002")), (2, Some("SQL-0006")), (1, None)]);
        assert_eq!(all[2].duration_ms, Some(40));
        assert!(!all[0].statement.contains("secret"), "{}", all[0].statement);
        assert!(history.running().is_empty());
        for number in 0..=ENDED_MAX {
            drop(begin(number as u128));
        }
        assert_eq!(history.all().len(), ENDED_MAX);
    }

    // Goal: of a statement about many tables each is told, and where their names are too long together it is told how many are not. Method:
    // more tables than were ever told before, each named twice, then names without end.
    #[test]
    fn all_tables_are_told() {
        let history = QueryHistory::new(Arc::new(ManualClock::new(5)));
        let ana = Principal::named("ana");
        let sender = Sender {
            principal: &ana,
            front: Front::Http,
            client: "test",
            address: None,
        };
        let about = |number: u128, count: usize, tail: &str| {
            let note = history.begin(Uuid::from_u128(number), sender, "SELECT 1");
            let names = (0..count).map(|at| format!("gold.t{at}{tail}"));
            let names: Vec<TableName> = names.map(|name| name.parse().expect("a name")).collect();
            note.about(names.iter().chain(&names).cloned());
            drop(note);
            history.all().remove(0)
        };
        let many = about(1, 300, "");
        assert_eq!((many.tables.len(), many.tables_left_out), (300, None));
        assert_eq!(many.tables[299], "gold.t299", "in their order");
        let told = serde_json::to_value(&many).expect("JSON");
        assert!(told.get("tables_left_out").is_none(), "{told}");
        let endless = about(2, 300, &"x".repeat(200));
        let left_out = endless.tables_left_out.expect("too long to be told");
        assert_eq!(endless.tables.len() + left_out, 300);
        let bytes: usize = endless.tables.iter().map(|name| name.len() + 3).sum();
        assert!(bytes <= NAMES_BYTES_MAX && bytes > NAMES_BYTES_MAX / 2, "{bytes}");
        let told = serde_json::to_value(&endless).expect("JSON");
        assert_eq!(told["tables_left_out"], left_out);
    }

    // Goal: statements that differ behind what is kept of them are told apart, and those that differ by values only are not. Method: long ones,
    // with another value and with another name at their ends.
    #[test]
    fn the_whole_of_a_statement_is_hashed() {
        let history = QueryHistory::new(Arc::new(ManualClock::new(5)));
        let columns = "a_column, ".repeat(300);
        let [one, same, other] =
            ["x + 1", "x + 22", "y + 1"].map(|end| history.redacted(&format!("SELECT {columns}{end} FROM t")));
        assert!(one.statement.ends_with('…'), "{}", one.statement);
        assert_eq!((&one.statement, &one.hash), (&same.statement, &same.hash));
        assert_eq!(one.statement, other.statement, "what is kept is the same");
        assert_ne!(one.hash, other.hash);
    }
}
