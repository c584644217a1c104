//! `tidewater table stats|verify|gc|rollback`: what is done with a table's files and its head, straight in the store.

use std::time::Duration;

use serde::Serialize;

use tidewater_catalog_client::CatalogClient;
use tidewater_core::{SystemClock, SystemRng, TableName};
use tidewater_engine::writable;
use tidewater_table::verify::{Depth, VerifyOptions, verify};
use tidewater_table::{
    FileStore, LoadedTable, OrphanOptions, StatisticsOptions, compute_statistics, find_orphans, plan_rollback,
    remove_orphans, rollback_to_snapshot,
};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::Progress;
use super::super::{block_on, drive};
use super::load;
use crate::roles::storage;
use crate::settings::Settings;

const HOUR: Duration = Duration::from_secs(3600);

/// The store that a table's files lie in. What a command line may reach is not more than the table's own folder.
fn store(settings: &Settings, table: &LoadedTable) -> FileStore {
    let options = storage::options(settings, table.metadata.location().to_owned());
    FileStore::new(options, SystemClock::shared(), SystemRng::shared())
}

/// Looks at every file of a table. Damage is a failure.
pub(super) fn verified(
    settings: &Settings,
    client: &CatalogClient,
    table: &TableName,
    quick: bool,
    snapshot_id: Option<i64>,
    output: &Output,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line {
        table: String,
        snapshots: u64,
        files: u64,
        bytes_read: u64,
        without_digest: u64,
        problems: u64,
    }
    #[derive(Serialize)]
    struct ProblemLine {
        file: String,
        column: Option<String>,
        problem: String,
    }
    let loaded = block_on(load(client, table))?;
    let store = store(settings, &loaded);
    let options = VerifyOptions {
        depth: if quick { Depth::Footers } else { Depth::Bytes },
        snapshot_id,
    };
    let progress = Progress::start("looking at the table's files");
    let told = |done, total| progress.files(done, total);
    let found = drive(async { Ok(verify(&store, &loaded, &options, &told).await?) });
    drop(progress);
    let found = found?;
    output.one(&Line {
        table: table.to_string(),
        snapshots: found.snapshots,
        files: found.files,
        bytes_read: found.bytes,
        without_digest: found.without_digest,
        problems: found.problem_count,
    })?;
    if found.is_good() {
        return Ok(());
    }
    let problems = found.problems.iter().map(|problem| ProblemLine {
        file: problem.location.clone(),
        column: problem.column.clone(),
        problem: problem.damage.to_string(),
    });
    output.rows(&["file", "column", "problem"], &problems.collect::<Vec<_>>())?;
    Err(
        Failure::new(format!("{table} is damaged in {} places", found.problem_count))
            .hint("roll back to a snapshot without the damaged files, or write them anew from their source"),
    )
}

/// Removes the files that nothing names, or tells which they are.
pub(super) fn orphans(
    settings: &Settings,
    client: &CatalogClient,
    table: &TableName,
    older_than_hours: u32,
    dry_run: bool,
    output: &Output,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line {
        table: String,
        orphans: usize,
        bytes: u64,
        too_young: u64,
        of_other_tables: u64,
        removed: bool,
    }
    #[derive(Serialize)]
    struct FileLine {
        file: String,
        bytes: u64,
    }
    let store = store(settings, &block_on(load(client, table))?);
    let options = OrphanOptions {
        older_than: HOUR * older_than_hours,
        ..OrphanOptions::default()
    };
    let progress = Progress::start("looking for files that nothing names");
    let found = drive(async {
        Ok(match dry_run {
            true => find_orphans(client, &store, table, &options).await?,
            false => remove_orphans(client, &store, table, &options).await?,
        })
    });
    drop(progress);
    let found = found?;
    output.one(&Line {
        table: table.to_string(),
        orphans: found.files.len(),
        bytes: found.bytes(),
        too_young: found.young,
        of_other_tables: found.others,
        removed: !dry_run,
    })?;
    if found.files.is_empty() {
        return Ok(());
    }
    let files = found.files.iter().map(|file| FileLine {
        file: file.location.clone(),
        bytes: file.size_bytes,
    });
    output.rows(&["file", "bytes"], &files.collect::<Vec<_>>())
}

/// Lets a table be as it was at an earlier snapshot.
pub(super) fn rolled_back(
    settings: &Settings,
    client: &CatalogClient,
    table: &TableName,
    snapshot_id: i64,
    dry_run: bool,
    output: &Output,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line {
        table: String,
        from: Option<i64>,
        to: i64,
        moved: bool,
    }
    let loaded = block_on(load(client, table))?;
    // Before a dry run too: it tells whether this can be done.
    writable(&loaded)?;
    let store = store(settings, &loaded);
    let moved = match dry_run {
        true => plan_rollback(&loaded, snapshot_id)?,
        false => block_on(async { Ok(rollback_to_snapshot(client, &store, table, snapshot_id).await?) })?,
    };
    output.one(&Line {
        table: table.to_string(),
        from: moved.from,
        to: moved.to,
        moved: !dry_run,
    })
}

/// Counts the different values of columns and registers the file of it.
pub(super) fn counted(
    settings: &Settings,
    client: &CatalogClient,
    table: &TableName,
    options: &StatisticsOptions,
    output: &Output,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line {
        column: String,
        distinct: u64,
    }
    let store = store(settings, &block_on(load(client, table))?);
    let progress = Progress::start("counting the different values of its columns");
    let computed = drive(async { Ok(compute_statistics(client, &store, table, options).await?) });
    drop(progress);
    let computed = computed?;
    if computed.file.is_none() {
        return output.line(&format!("{table} has no snapshot yet"));
    }
    let counts = computed.distinct.into_iter();
    let lines: Vec<Line> = counts.map(|(column, distinct)| Line { column, distinct }).collect();
    output.rows(&["column", "distinct"], &lines)
}
