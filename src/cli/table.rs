//! `tidewater table ls|show|history|undrop|compact|expire|stats|verify|gc|rollback`

mod files;
mod types;

use clap::Subcommand;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use uuid::Uuid;

use tidewater_catalog_client::CatalogClient;
use tidewater_catalog_client::dto::{DroppedTable, FullName, Undrop};
use tidewater_core::{Coded, JobId, Namespace, TableName};
use tidewater_table::{Catalog, LoadedTable, StatisticsOptions};

use super::failure::{Failure, Reason};
use super::output::Output;
use super::progress::Progress;
use super::{block_on, drive};
use crate::control::{self, CompactRequest, ExpireRequest};
use crate::settings::Settings;

/// Tables loaded at once.
const LOADS_AT_ONCE: usize = 16;

#[derive(Debug, Subcommand)]
pub(super) enum TableVerb {
    /// List tables, of one namespace or all
    Ls {
        /// Such as bronze
        namespace: Option<Namespace>,
        /// Dropped tables instead, the last one dropped first
        #[arg(long)]
        dropped: bool,
    },
    /// Bring a dropped table back
    Undrop {
        /// The name it had, such as bronze.users
        table: TableName,
        /// Which one of those that had the name, as `table ls --dropped` prints it; without it the one dropped last
        #[arg(long, value_name = "UUID")]
        id: Option<Uuid>,
        /// The name it gets, such as bronze.users_of_may; without it the one it had
        #[arg(long = "as", value_name = "NAME")]
        to: Option<TableName>,
    },
    /// Show one table
    Show {
        /// Such as bronze.users
        table: TableName,
    },
    /// Show the snapshots of a table, newest first
    History {
        /// Such as bronze.users
        table: TableName,
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Write small files, and files of which rows were deleted, anew as fewer and larger ones
    Compact {
        /// Such as bronze.users
        table: TableName,
        /// Only where enough files of about the same size have gathered, as the process does by itself
        #[arg(long)]
        due: bool,
        /// Only tell what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Let old snapshots go, with the files that only they have; those that branches and tags name stay
    Expire {
        /// Such as bronze.users
        table: TableName,
        /// How many of the newest snapshots stay; without it what the table's properties `history.expire.*` say, else the configuration;
        /// there is no way back to the others
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        keep: Option<u32>,
        /// Only tell what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Count the different values of columns, and keep that beside the snapshot for those who plan by it
    Stats {
        /// Such as gold.patient_360
        table: TableName,
        /// Such as patient_id; may be given several times; without it all columns that are no lists, structs or maps
        #[arg(long = "column", value_name = "NAME")]
        columns: Vec<String>,
        /// As `table history` prints it; without it the newest
        #[arg(long)]
        snapshot: Option<i64>,
    },
    /// Look at every file of a table: whether it is there, whole, and what its metadata says; fails if one is not
    Verify {
        /// Such as bronze.users
        table: TableName,
        /// Sizes and footers only, not every byte
        #[arg(long)]
        quick: bool,
        /// Only the files of this snapshot, not of all
        #[arg(long)]
        snapshot: Option<i64>,
    },
    /// Remove files in a table's folder that nothing names, which failed writers left behind
    Gc {
        /// Such as bronze.users
        table: TableName,
        /// Younger files stay: their writers may be at work
        #[arg(long, value_name = "HOURS", default_value_t = 72, value_parser = clap::value_parser!(u32).range(24..))]
        older_than: u32,
        /// Only tell what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Let a table be as it was at an earlier snapshot; what came after stays until it expires. Tables that ingest or a model writes are
    /// refused, as their writer would not notice, unless their property `tidewater.sql-writes` is `allowed`
    Rollback {
        /// Such as gold.patient_360
        table: TableName,
        /// As `table history` prints it
        #[arg(long)]
        snapshot: i64,
        /// Only tell whether it can be done, and from where
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Serialize)]
struct TableLine {
    table: String,
    rows: Option<u64>,
    files: Option<u64>,
    bytes: Option<u64>,
    snapshots: usize,
    updated: String,
}

#[derive(Debug, Serialize)]
struct DroppedLine {
    table: String,
    id: Uuid,
    dropped: String,
    until: String,
    purge: Option<JobId>,
    restorable: bool,
    location: String,
}

fn dropped_line(table: &DroppedTable) -> DroppedLine {
    DroppedLine {
        table: format!("{}.{}", table.namespace.join("."), table.name),
        id: table.id,
        dropped: time(table.dropped_at_ms),
        until: time(table.until_ms),
        purge: table.purge,
        restorable: table.restorable,
        location: table.location.clone(),
    }
}

#[derive(Debug, Serialize)]
struct SnapshotLine {
    snapshot: i64,
    committed: String,
    operation: String,
    added_rows: Option<u64>,
    added_files: Option<u64>,
    removed_files: Option<u64>,
    total_rows: Option<u64>,
    job: Option<String>,
}

pub(super) fn run(settings: &Settings, verb: TableVerb, output: &Output) -> Result<(), Failure> {
    let client = CatalogClient::new(settings.command_client()?)?;
    match verb {
        TableVerb::Ls {
            namespace,
            dropped: true,
        } => {
            let page = block_on(async { Ok(client.dropped_tables(namespace.as_ref()).await?) })?;
            let lines: Vec<DroppedLine> = page.tables.iter().map(dropped_line).collect();
            output.rows(&["table", "id", "dropped", "until", "purge", "restorable"], &lines)
        }
        TableVerb::Undrop { table, id, to } => {
            let undrop = Undrop {
                namespace: table.namespace().levels().to_vec(),
                name: table.name().to_owned(),
                id,
                to: to.map(|to| FullName {
                    namespace: to.namespace().levels().to_vec(),
                    name: to.name().to_owned(),
                }),
            };
            output.one(&block_on(async { Ok(client.undrop_table(&undrop).await?) })?)
        }
        TableVerb::Ls {
            namespace,
            dropped: false,
        } => {
            let lines = block_on(list(&client, namespace))?;
            output.rows(&["table", "rows", "files", "bytes", "snapshots", "updated"], &lines)
        }
        TableVerb::Compact { table, due, dry_run } => {
            let request = CompactRequest {
                table,
                everything: !due,
                dry_run,
            };
            let progress = Progress::start("merging files");
            let visit = drive(control::order(settings, "/v1/tables/compact", &request));
            drop(progress);
            print_visit(&visit?, output)
        }
        TableVerb::Expire { table, keep, dry_run } => {
            let request = ExpireRequest { table, keep, dry_run };
            let progress = Progress::start("letting snapshots go");
            let visit = drive(control::order(settings, "/v1/tables/expire", &request));
            drop(progress);
            print_visit(&visit?, output)
        }
        TableVerb::Verify { table, quick, snapshot } => {
            files::verified(settings, &client, &table, quick, snapshot, output)
        }
        TableVerb::Gc {
            table,
            older_than,
            dry_run,
        } => files::orphans(settings, &client, &table, older_than, dry_run, output),
        TableVerb::Rollback {
            table,
            snapshot,
            dry_run,
        } => files::rolled_back(settings, &client, &table, snapshot, dry_run, output),
        TableVerb::Stats {
            table,
            columns,
            snapshot,
        } => {
            let options = StatisticsOptions {
                columns,
                snapshot_id: snapshot,
            };
            files::counted(settings, &client, &table, &options, output)
        }
        TableVerb::Show { table } => {
            let loaded = block_on(load(&client, &table))?;
            show(&loaded, output)
        }
        TableVerb::History { table, limit } => {
            let loaded = block_on(load(&client, &table))?;
            let columns = [
                "snapshot",
                "committed",
                "operation",
                "added_rows",
                "added_files",
                "removed_files",
                "total_rows",
                "job",
            ];
            output.rows(&columns, &history(&loaded, limit))
        }
    }
}

fn print_visit(answer: &serde_json::Value, output: &Output) -> Result<(), Failure> {
    output.one(answer.get("visit").unwrap_or(&serde_json::Value::Null))
}

async fn list(client: &CatalogClient, namespace: Option<Namespace>) -> Result<Vec<TableLine>, Failure> {
    let namespaces = match namespace {
        Some(namespace) => vec![namespace],
        None => client.list_namespaces().await?,
    };
    let mut names = Vec::new();
    for namespace in namespaces {
        names.extend(client.list_tables(&namespace).await?);
    }
    names.sort();
    let loaded: Vec<Option<LoadedTable>> = stream::iter(names)
        .map(|name| async move { client.load_table(&name).await })
        .buffered(LOADS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(loaded.iter().flatten().map(line).collect())
}

async fn load(client: &CatalogClient, name: &TableName) -> Result<LoadedTable, Failure> {
    let loaded = client.load_table(name).await.map_err(|error| match error.hint() {
        Some(_) => Failure::from(error),
        None => Failure::from(error).hint("is the catalog running? tidewater status"),
    })?;
    if let Some(table) = loaded {
        return Ok(table);
    }
    Err(match client.load_view(name).await?.is_some() {
        true => Failure::of(Reason::NotThere, format!("{name} is a view, not a table"))
            .hint(format!("\\d {name} in tidewater sql tells its columns")),
        false => Failure::of(Reason::NotThere, format!("table {name} does not exist")).hint("tidewater table ls"),
    })
}

fn total(table: &LoadedTable, key: &str) -> Option<u64> {
    let snapshot = table.metadata.current_snapshot()?;
    snapshot.summary().additional_properties.get(key)?.parse().ok()
}

fn time(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}

fn line(table: &LoadedTable) -> TableLine {
    TableLine {
        table: table.name.to_string(),
        rows: total(table, "total-records"),
        files: total(table, "total-data-files"),
        bytes: total(table, "total-files-size"),
        snapshots: table.metadata.snapshots().count(),
        updated: time(table.metadata.last_updated_ms()),
    }
}

fn show(table: &LoadedTable, output: &Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Column {
        id: i32,
        column: String,
        r#type: String,
        required: bool,
    }
    let metadata = &table.metadata;
    let columns: Vec<Column> = metadata
        .current_schema()
        .as_struct()
        .fields()
        .iter()
        .map(|field| Column {
            id: field.id,
            column: field.name.clone(),
            r#type: types::spelled(&field.field_type),
            required: field.required,
        })
        .collect();
    if output.is_json() {
        let columns = serde_json::to_value(&columns).unwrap_or_default();
        let summary = serde_json::to_value(line(table)).unwrap_or_default();
        return output.json(&serde_json::json!({"table": summary, "location": metadata.location(), "columns": columns, "properties": metadata.properties()}));
    }
    output.one(&line(table))?;
    output.line(&format!("location {}", metadata.location()))?;
    output.rows(&["id", "column", "type", "required"], &columns)
}

fn history(table: &LoadedTable, limit: usize) -> Vec<SnapshotLine> {
    let mut snapshots: Vec<_> = table.metadata.snapshots().collect();
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.sequence_number()));
    snapshots
        .into_iter()
        .take(limit)
        .map(|snapshot| {
            let properties = &snapshot.summary().additional_properties;
            let number = |key: &str| properties.get(key).and_then(|text| text.parse().ok());
            SnapshotLine {
                snapshot: snapshot.snapshot_id(),
                committed: time(snapshot.timestamp_ms()),
                operation: snapshot.summary().operation.as_str().to_owned(),
                added_rows: number("added-records"),
                added_files: number("added-data-files"),
                removed_files: number("deleted-data-files"),
                total_rows: number("total-records"),
                job: properties.get("job-id").cloned(),
            }
        })
        .collect()
}
