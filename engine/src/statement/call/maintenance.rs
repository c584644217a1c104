//! Procedures that tidy a table.

use std::collections::BTreeMap;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use tidewater_core::TableName;
use tidewater_table::{
    CommitOptions, Consumers, Expired, Expiry, FileKind, Keep, LoadedTable, OrphanOptions, RewriteManifests,
    StatisticsOptions, TableError, ToldRetention, compute_statistics, expire, find_orphans, remove_orphans,
    rewrite_manifests,
};

use super::super::{ATTEMPTS_MAX, Workshop};
use super::{Arguments, Procedure};
use crate::error::{EngineError, Result};
use crate::sql::{Name, name};

impl Workshop<'_> {
    /// The table that a procedure is about.
    pub(super) fn about(&self, arguments: &Arguments) -> Result<TableName> {
        let name: Name = name(&arguments.required("table")?)?;
        self.table_name(&name)
    }

    /// Old snapshots leave, and those that are named, and the files that only they could reach.
    pub(super) async fn expire_snapshots(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        // How many files are removed at once, and how their names get there, is ours to say.
        arguments.count("max_concurrent_deletes")?;
        arguments.truth("stream_results")?;
        if arguments.truth("clean_expired_metadata")? == Some(true) {
            return Err(EngineError::NotTaken {
                procedure: procedure.name.to_owned(),
                what: "argument \"clean_expired_metadata\"".into(),
                advice:
                    "columns and partition specs of the past stay: a writer may be at work on a file that names one"
                        .into(),
            });
        }
        let named = arguments.integers("snapshot_ids")?;
        let mut attempt = 1;
        let expired = loop {
            match self.expire_once(&name, arguments, named.clone()).await {
                // Somebody else's commit came between the count and the expiry.
                Err(EngineError::Table(TableError::Contention { .. })) if attempt < ATTEMPTS_MAX => attempt += 1,
                expired => break expired?,
            }
        };
        let count = |kind: FileKind| {
            let of_kind = expired.files.values().filter(|of| **of == kind);
            i64::try_from(of_kind.count()).unwrap_or(i64::MAX)
        };
        procedure.numbers(&[
            count(FileKind::Data),
            count(FileKind::PositionDeletes),
            count(FileKind::EqualityDeletes),
            count(FileKind::Manifest),
            count(FileKind::ManifestList),
            count(FileKind::Statistics),
        ])
    }

    async fn expire_once(&self, name: &TableName, arguments: &Arguments, named: Vec<i64>) -> Result<Expired> {
        let table = self.engine.load(name).await?;
        let now_ms = self.engine.clock().now_ms();
        let (older_than, retain_last) = (arguments.time_ms("older_than")?, arguments.count("retain_last")?);
        let told = match (older_than, retain_last) {
            (Some(_), Some(_)) => ToldRetention::default(),
            _ => ToldRetention::of(&table.metadata)?,
        };
        let age_ms = told
            .age
            .map_or(FIVE_DAYS_MS, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let older_than = older_than.unwrap_or_else(|| now_ms.saturating_sub(age_ms));
        let retain_last = retain_last.unwrap_or_else(|| told.snapshots_min.map_or(1, i64::from).max(1));
        let catalog = self.engine.catalog();
        let consumers = Consumers::of(catalog.as_ref(), now_ms).await?;
        let needed = consumers.need(&table.metadata);
        require_read(&table, needed, &named)?;
        let newest = u32::try_from(retain_last)
            .unwrap_or(u32::MAX)
            .max(newer(&table, older_than))
            .max(needed);
        let expiry = Expiry {
            keep: Keep {
                newest,
                now_ms: Some(now_ms),
            },
            snapshots: named,
            counted_at: table.metadata.current_snapshot_id(),
        };
        Ok(expire(catalog.as_ref(), self.engine.store(), name, expiry).await?)
    }
}

impl Workshop<'_> {
    /// Files in a table's folder that nothing names go, once they are old enough for no writer to be at work on them.
    pub(super) async fn remove_orphan_files(
        &self,
        procedure: &Procedure,
        arguments: &Arguments,
    ) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        let now_ms = self.engine.clock().now_ms();
        arguments.count("max_concurrent_deletes")?;
        arguments.truth("stream_results")?;
        arguments.truth("prefix_listing")?;
        let mode = arguments.text("prefix_mismatch_mode")?.map(|mode| mode.to_uppercase());
        let mut options = OrphanOptions {
            below: arguments.text("location")?,
            leave_doubtful: match mode.as_deref() {
                None | Some("ERROR") => false,
                Some("IGNORE") => true,
                Some(_) => {
                    return Err(EngineError::NotTaken {
                        procedure: procedure.name.to_owned(),
                        what: "another prefix_mismatch_mode than ERROR and IGNORE".into(),
                        advice: "files that the table may name are never removed".into(),
                    });
                }
            },
            equal_schemes: equals(arguments, "equal_schemes")?,
            equal_authorities: equals(arguments, "equal_authorities")?,
            ..OrphanOptions::default()
        };
        if let Some(older_than) = arguments.time_ms("older_than")? {
            let age_ms = u64::try_from(now_ms.saturating_sub(older_than)).unwrap_or_default();
            options.older_than = Duration::from_millis(age_ms);
        }
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        let found = match arguments.decision("dry_run")?.unwrap_or(false) {
            true => find_orphans(catalog, store, &name, &options).await?,
            false => remove_orphans(catalog, store, &name, &options).await?,
        };
        procedure.texts(found.files.into_iter().map(|file| file.location).collect())
    }

    /// How many different values columns have is written beside a snapshot.
    pub(super) async fn compute_table_stats(
        &self,
        procedure: &Procedure,
        arguments: &Arguments,
    ) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        let options = StatisticsOptions {
            columns: arguments.texts("columns")?,
            snapshot_id: arguments.integer("snapshot_id")?,
        };
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        let computed = compute_statistics(catalog, store, &name, &options).await?;
        procedure.texts(computed.file.into_iter().map(|file| file.statistics_path).collect())
    }

    /// Manifests become fewer, each of few partitions.
    pub(super) async fn rewrite_manifests(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        arguments.truth("use_caching")?;
        let spec_id = arguments
            .integer("spec_id")?
            .map(|id| i32::try_from(id).unwrap_or(i32::MAX));
        let sort_by = arguments.texts("sort_by")?;
        if !sort_by.is_empty() {
            require_own_order(procedure, &self.engine.load(&name).await?, spec_id, &sort_by)?;
        }
        let rewrite = RewriteManifests {
            spec_id,
            ..RewriteManifests::default()
        };
        let options = CommitOptions::default();
        let done = rewrite_manifests(catalog, store, &name, &rewrite, &options).await?;
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        procedure.numbers(&[count(done.replaced), count(done.created)])
    }
}

/// Refuses another order of a partition's fields than the one that manifests are always written in.
fn require_own_order(
    procedure: &Procedure,
    table: &LoadedTable,
    spec_id: Option<i32>,
    sort_by: &[String],
) -> Result<()> {
    let spec_id = spec_id.unwrap_or_else(|| table.metadata.default_partition_spec_id());
    let spec = table.metadata.partition_spec_by_id(spec_id);
    let fields = spec.iter().flat_map(|spec| spec.fields());
    let fields: Vec<String> = fields.map(|field| field.name.clone()).collect();
    if fields.starts_with(sort_by) {
        return Ok(());
    }
    Err(EngineError::NotTaken {
        procedure: procedure.name.to_owned(),
        what: format!("argument \"sort_by\" with {}", sort_by.join(", ")),
        advice: match fields.is_empty() {
            true => "the table has no partitions that manifests could be sorted by".into(),
            false => format!(
                "manifests are always sorted by all fields of their partitions, in this order: {}",
                fields.join(", ")
            ),
        },
    })
}

/// What several names mean: `map('a,b', 'c')` says that `a` and `b` mean `c`.
fn equals(arguments: &Arguments, name: &str) -> Result<BTreeMap<String, String>> {
    let told = arguments.map(name)?;
    let each = told.iter().flat_map(|(names, meaning)| {
        let names = names.split(',');
        names.map(move |name| (name.trim().to_owned(), meaning.trim().to_owned()))
    });
    Ok(each.collect())
}

/// What Spark keeps if it is not told otherwise.
const FIVE_DAYS_MS: i64 = 5 * 24 * 60 * 60 * 1000;

/// Refuses to let one of main's newest snapshots go that those who follow the table have yet to read.
fn require_read(table: &LoadedTable, needed: u32, named: &[i64]) -> Result<()> {
    let mut at = table.metadata.current_snapshot();
    for _ in 0..needed {
        let Some(snapshot) = at else { break };
        if named.contains(&snapshot.snapshot_id()) {
            return Err(EngineError::statement(format!(
                "expire_snapshots: a model that follows {} has yet to read on from snapshot {}",
                table.name,
                snapshot.snapshot_id()
            )));
        }
        at = snapshot
            .parent_snapshot_id()
            .and_then(|id| table.metadata.snapshot_by_id(id));
    }
    Ok(())
}

/// Snapshots of the main branch from this time on.
fn newer(table: &LoadedTable, since_ms: i64) -> u32 {
    let (mut newer, mut count) = (0, 0);
    let mut at = table.metadata.current_snapshot();
    while let Some(snapshot) = at {
        count += 1;
        if snapshot.timestamp_ms() >= since_ms {
            newer = count;
        }
        at = snapshot
            .parent_snapshot_id()
            .and_then(|id| table.metadata.snapshot_by_id(id));
    }
    newer
}
