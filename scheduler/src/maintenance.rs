//! Keeps tables in shape: merges the small files that a stream of commits leaves, and lets old snapshots go with their files.
//!
//! Tables that ingest writes are looked after by themselves, other tables where their owner asks for it: how much history a table
//! of another engine keeps is not ours to decide.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tidewater_core::{Coded, Retry, TableName, Tasks};
use tidewater_engine::{Caller, Compaction, Engine, EngineError, PlanRunner};
use tidewater_table::{
    Consumers, Expiry, Keep, LoadedTable, Retention, RewriteOptions, TableError, expire, plan_expiry,
};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Tables loaded with one call.
const LOADS_MAX: usize = 64;

/// An expiry that loses against commits is tried so often; the next round tries again.
const EXPIRE_ATTEMPTS_MAX: u32 = 5;

/// Age of snapshots that queries may read still, however little a table asks to be kept.
const READERS_AGE: Duration = Duration::from_secs(15 * 60);

/// Table property: `true` or `false` says whether a table is looked after, whoever writes it.
pub const MAINTENANCE_KEY: &str = "tidewater.maintenance";

/// When and how tables are looked after.
#[derive(Debug, Clone)]
pub struct MaintenanceOptions {
    /// How often all tables are looked at.
    pub interval: Duration,
    /// How small files are merged.
    pub rewrite: RewriteOptions,
    /// How much history stays of tables that do not say it themselves.
    pub retention: Retention,
    /// More snapshots than that stay while a consumer has not read them, but never more than this.
    pub consumers_max: u32,
    /// Tables with this property are looked after unless [`MAINTENANCE_KEY`] forbids it.
    pub own_key: String,
}

/// What a visit to one table came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Visit {
    /// The table.
    pub table: String,
    /// Groups of files that were written anew.
    pub groups: usize,
    /// Groups that others changed meanwhile.
    pub conflicts: usize,
    /// Files that left the newest snapshot.
    pub files_removed: usize,
    /// Files that took their place.
    pub files_added: usize,
    /// Size of those that left.
    pub bytes_removed: u64,
    /// Snapshots that went.
    pub snapshots_expired: usize,
    /// Files that went with them.
    pub files_deleted: usize,
}

/// How many of main's newest snapshots are to stay.
#[derive(Debug, Clone, Copy)]
enum Stay {
    /// So many.
    These(u32),
    /// What the table's retention keeps.
    Retained,
    /// The same, if enough others have gathered.
    IfDue,
}

/// Looks after tables. Clones share everything.
#[derive(Debug, Clone)]
pub struct Maintenance {
    engine: Engine,
    runner: Arc<dyn PlanRunner>,
    options: MaintenanceOptions,
    /// One table at a time: two compactions would only take each other's memory, and of one table they would conflict.
    turn: Arc<Mutex<()>>,
}

impl Maintenance {
    /// Over these parts.
    pub fn new(engine: Engine, runner: Arc<dyn PlanRunner>, options: MaintenanceOptions) -> Self {
        Self {
            engine,
            runner,
            options,
            turn: Arc::default(),
        }
    }

    /// What a compaction of the table would do now; nothing is written.
    pub async fn plan(&self, name: &TableName, everything: bool) -> Result<Visit, EngineError> {
        let table = self.engine.load(name).await?;
        let groups = self.engine.plan_compaction(&table, &self.rewrite(everything)).await?;
        Ok(Visit {
            table: name.to_string(),
            groups: groups.len(),
            files_removed: groups.iter().map(|group| group.files.len()).sum(),
            bytes_removed: groups.iter().map(|group| group.bytes).sum(),
            ..Visit::default()
        })
    }

    /// Merges the table's small files, all of them or those that are due.
    pub async fn compact(&self, name: &TableName, everything: bool) -> Result<Visit, EngineError> {
        let _turn = self.turn.lock().await;
        let rewrite = self.rewrite(everything);
        let work = self.engine.compact(self.runner.as_ref(), name, &rewrite);
        let done = Caller::maintenance().scope(work).await?;
        Ok(visit(name, &done))
    }

    /// Lets all but the newest `keep` snapshots go, with the files that only they have; without a number, those that the table's
    /// retention does not keep. Those that branches and tags name stay, and those that a consumer has not read.
    pub async fn expire(&self, name: &TableName, keep: Option<u32>) -> Result<Visit, EngineError> {
        let _turn = self.turn.lock().await;
        let mut visit = visit(name, &Compaction::default());
        let now_ms = self.engine.clock().now_ms();
        let consumers = Consumers::of(self.engine.catalog().as_ref(), now_ms).await?;
        self.expire_into(name, Stay::asked(keep), &consumers, &mut visit)
            .await?;
        Ok(visit)
    }

    /// What [`Self::expire`] would do now; nothing is changed.
    pub async fn plan_expiry(&self, name: &TableName, keep: Option<u32>) -> Result<Visit, EngineError> {
        let now_ms = self.engine.clock().now_ms();
        let consumers = Consumers::of(self.engine.catalog().as_ref(), now_ms).await?;
        let table = self.engine.load(name).await?;
        let Some(expiry) = self.expiry(&table, Stay::asked(keep), &consumers)? else {
            return Ok(visit(name, &Compaction::default()));
        };
        let expired = plan_expiry(self.engine.catalog().as_ref(), self.engine.store(), name, expiry).await?;
        Ok(Visit {
            table: name.to_string(),
            snapshots_expired: expired.snapshots.len(),
            files_deleted: expired.files.len(),
            ..Visit::default()
        })
    }

    /// What goes of a table as it is; `None` if that is not worth its while yet.
    fn expiry(&self, table: &LoadedTable, stay: Stay, consumers: &Consumers) -> Result<Option<Expiry>, EngineError> {
        let (metadata, now_ms) = (&table.metadata, self.engine.clock().now_ms());
        let needed = consumers.need(metadata);
        let newest = match stay {
            Stay::These(keep) => Some(keep.max(needed)),
            Stay::Retained => Some(self.retention(table)?.kept(metadata, now_ms).max(needed)),
            Stay::IfDue => {
                let due = self.retention(table)?.due(metadata, now_ms);
                due.map(|keep| keep.max(needed.min(self.options.consumers_max)))
            }
        };
        Ok(newest.map(|newest| Expiry {
            keep: Keep {
                newest,
                now_ms: Some(now_ms),
            },
            snapshots: Vec::new(),
            counted_at: metadata.current_snapshot_id(),
        }))
    }

    /// What a table says itself comes before what is kept of all, but never takes snapshots from queries that may read them.
    fn retention(&self, table: &LoadedTable) -> Result<Retention, EngineError> {
        let own = self.options.retention;
        let told = own.of_table(&table.metadata)?;
        Ok(Retention {
            age: told.age.max(own.age.min(READERS_AGE)),
            ..told
        })
    }

    /// Visits tables until the process ends.
    pub fn follow(&self, tasks: &Tasks) {
        let (maintenance, stop) = (self.clone(), tasks.token());
        tasks.spawn("maintenance", async move {
            let mut seen = HashMap::new();
            loop {
                tokio::select! {
                    () = maintenance.engine.clock().sleep(maintenance.options.interval) => {}
                    () = stop.cancelled() => return,
                }
                tokio::select! {
                    () = maintenance.round(&mut seen) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Visits every table: its files if it changed since it was seen last, its history always, for that grows old by itself.
    async fn round(&self, seen: &mut HashMap<TableName, (Uuid, Option<i64>)>) {
        let (tables, consumers) = match self.tables().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(code = error.code(), %error, "tables are not looked after now");
                return;
            }
        };
        seen.retain(|name, _| tables.iter().any(|table| table.name == *name));
        for table in tables {
            let head = (table.metadata.uuid(), table.metadata.current_snapshot_id());
            let changed = seen.get(&table.name) != Some(&head);
            match self.visit(&table, changed, &consumers).await {
                Ok(visit) => {
                    seen.insert(table.name.clone(), head);
                    if visit.groups + visit.snapshots_expired > 0 {
                        tracing::info!(
                            table = %table.name, files = visit.files_removed, into = visit.files_added,
                            snapshots = visit.snapshots_expired, deleted = visit.files_deleted, "table looked after"
                        );
                    }
                }
                // The next round comes back to it.
                Err(error) if error.retry() != Retry::Never => {
                    tracing::debug!(table = %table.name, code = error.code(), %error, "not looked after now");
                }
                Err(error) => {
                    seen.insert(table.name.clone(), head);
                    tracing::warn!(table = %table.name, code = error.code(), %error, "a table is not looked after");
                }
            }
        }
    }

    /// The tables that are ours to look after, and who reads the changes of tables.
    async fn tables(&self) -> Result<(Vec<LoadedTable>, Consumers), EngineError> {
        let (catalog, now_ms) = (self.engine.catalog(), self.engine.clock().now_ms());
        let mut consumers = Consumers::default();
        let mut names = Vec::new();
        for namespace in catalog.list_namespaces().await.map_err(TableError::from)? {
            names.extend(catalog.list_tables(&namespace).await.map_err(TableError::from)?);
        }
        let mut tables = Vec::with_capacity(names.len());
        for some in names.chunks(LOADS_MAX) {
            let loaded = catalog.load_tables(some).await.map_err(TableError::from)?;
            for table in loaded.into_iter().flatten() {
                consumers.note(&table.metadata, now_ms);
                tables.extend(Some(table).filter(|table| self.is_ours(table)));
            }
        }
        Ok((tables, consumers))
    }

    fn is_ours(&self, table: &LoadedTable) -> bool {
        let properties = table.metadata.properties();
        match properties.get(MAINTENANCE_KEY).map(String::as_str) {
            Some("true") => true,
            Some("false") => false,
            _ => properties.contains_key(&self.options.own_key),
        }
    }

    async fn visit(&self, table: &LoadedTable, changed: bool, consumers: &Consumers) -> Result<Visit, EngineError> {
        let mut done = visit(&table.name, &Compaction::default());
        let many = changed && files(table) >= self.options.rewrite.files_min as u64;
        if !many && self.expiry(table, Stay::IfDue, consumers)?.is_none() {
            return Ok(done);
        }
        let _turn = self.turn.lock().await;
        if many {
            let runner = self.runner.as_ref();
            let work = self.engine.compact(runner, &table.name, &self.options.rewrite);
            let compacted = Caller::maintenance().scope(work).await?;
            done = visit(&table.name, &compacted);
        }
        self.expire_into(&table.name, Stay::IfDue, consumers, &mut done).await?;
        Ok(done)
    }

    async fn expire_into(
        &self,
        name: &TableName,
        stay: Stay,
        consumers: &Consumers,
        visit: &mut Visit,
    ) -> Result<(), EngineError> {
        let mut attempt = 1;
        loop {
            let table = self.engine.load(name).await?;
            let Some(expiry) = self.expiry(&table, stay, consumers)? else {
                return Ok(());
            };
            match expire(self.engine.catalog().as_ref(), self.engine.store(), name, expiry).await {
                Ok(expired) => {
                    visit.snapshots_expired += expired.snapshots.len();
                    visit.files_deleted += expired.files.len();
                    return Ok(());
                }
                // A commit came first, as one does every second in a busy table.
                Err(TableError::Contention { .. }) if attempt < EXPIRE_ATTEMPTS_MAX => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn rewrite(&self, everything: bool) -> RewriteOptions {
        RewriteOptions {
            everything,
            ..self.options.rewrite.clone()
        }
    }
}

impl Stay {
    fn asked(keep: Option<u32>) -> Self {
        keep.map_or(Self::Retained, Self::These)
    }
}

fn visit(name: &TableName, done: &Compaction) -> Visit {
    Visit {
        table: name.to_string(),
        groups: done.groups,
        conflicts: done.conflicts,
        files_removed: done.files_removed,
        files_added: done.files_added,
        bytes_removed: done.bytes_removed,
        ..Visit::default()
    }
}

/// Data files of the newest snapshot, as its summary tells; many if it does not.
fn files(table: &LoadedTable) -> u64 {
    let Some(snapshot) = table.metadata.current_snapshot() else {
        return 0;
    };
    let total = snapshot.summary().additional_properties.get("total-data-files");
    total.and_then(|total| total.parse().ok()).unwrap_or(u64::MAX)
}
