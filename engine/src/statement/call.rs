//! `CALL system.…`: procedures with the names, arguments and answers that Spark gives them.

mod arguments;
mod heads;
mod maintenance;
mod register;
mod rewrite;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;

use self::arguments::Arguments;
use super::{Done, Workshop};
use crate::error::{EngineError, Result};
use crate::sql::Call;

/// A procedure.
#[derive(Debug)]
struct Procedure {
    name: &'static str,
    /// Its arguments in order, those that are not taken among them.
    arguments: &'static [&'static str],
    /// Arguments that Spark's has and this one does not take, each with what to do instead.
    not_taken: &'static [(&'static str, &'static str)],
    /// The columns of its answer.
    answer: &'static [(&'static str, DataType)],
}

const HEAD: &[(&str, DataType)] = &[
    ("previous_snapshot_id", DataType::Int64),
    ("current_snapshot_id", DataType::Int64),
];

/// All procedures there are.
const PROCEDURES: &[Procedure] = &[
    Procedure {
        name: "rewrite_data_files",
        arguments: &["table", "strategy", "sort_order", "options", "where", "branch"],
        not_taken: &[],
        answer: &[
            ("rewritten_data_files_count", DataType::Int32),
            ("added_data_files_count", DataType::Int32),
            ("rewritten_bytes_count", DataType::Int64),
            ("failed_data_files_count", DataType::Int32),
            ("removed_delete_files_count", DataType::Int32),
        ],
    },
    Procedure {
        name: "expire_snapshots",
        arguments: &[
            "table",
            "older_than",
            "retain_last",
            "max_concurrent_deletes",
            "stream_results",
            "snapshot_ids",
            "clean_expired_metadata",
        ],
        not_taken: &[],
        answer: &[
            ("deleted_data_files_count", DataType::Int64),
            ("deleted_position_delete_files_count", DataType::Int64),
            ("deleted_equality_delete_files_count", DataType::Int64),
            ("deleted_manifest_files_count", DataType::Int64),
            ("deleted_manifest_lists_count", DataType::Int64),
            ("deleted_statistics_files_count", DataType::Int64),
        ],
    },
    Procedure {
        name: "rewrite_manifests",
        arguments: &["table", "use_caching", "spec_id", "sort_by"],
        not_taken: &[],
        answer: &[
            ("rewritten_manifests_count", DataType::Int32),
            ("added_manifests_count", DataType::Int32),
        ],
    },
    Procedure {
        name: "compute_table_stats",
        arguments: &["table", "snapshot_id", "columns"],
        not_taken: &[],
        answer: &[("statistics_file", DataType::Utf8)],
    },
    Procedure {
        name: "remove_orphan_files",
        arguments: &[
            "table",
            "older_than",
            "location",
            "dry_run",
            "max_concurrent_deletes",
            "file_list_view",
            "equal_schemes",
            "equal_authorities",
            "prefix_mismatch_mode",
            "prefix_listing",
            "stream_results",
        ],
        not_taken: &[(
            "file_list_view",
            "files are listed where they lie, which alone tells that they are there",
        )],
        answer: &[("orphan_file_location", DataType::Utf8)],
    },
    Procedure {
        name: "rollback_to_snapshot",
        arguments: &["table", "snapshot_id"],
        not_taken: &[],
        answer: HEAD,
    },
    Procedure {
        name: "rollback_to_timestamp",
        arguments: &["table", "timestamp"],
        not_taken: &[],
        answer: HEAD,
    },
    Procedure {
        name: "set_current_snapshot",
        arguments: &["table", "snapshot_id", "ref"],
        not_taken: &[],
        answer: HEAD,
    },
    Procedure {
        name: "cherrypick_snapshot",
        arguments: &["table", "snapshot_id"],
        not_taken: &[],
        answer: &[
            ("source_snapshot_id", DataType::Int64),
            ("current_snapshot_id", DataType::Int64),
        ],
    },
    Procedure {
        name: "publish_changes",
        arguments: &["table", "wap_id"],
        not_taken: &[],
        answer: &[
            ("source_snapshot_id", DataType::Int64),
            ("current_snapshot_id", DataType::Int64),
        ],
    },
    Procedure {
        name: "ancestors_of",
        arguments: &["table", "snapshot_id"],
        not_taken: &[],
        answer: &[("snapshot_id", DataType::Int64), ("timestamp", DataType::Int64)],
    },
    Procedure {
        name: "fast_forward",
        arguments: &["table", "branch", "to"],
        not_taken: &[],
        answer: &[
            ("branch_updated", DataType::Utf8),
            ("previous_ref", DataType::Int64),
            ("updated_ref", DataType::Int64),
        ],
    },
    Procedure {
        name: "register_table",
        arguments: &["table", "metadata_file"],
        not_taken: &[],
        answer: &[
            ("current_snapshot_id", DataType::Int64),
            ("total_records_count", DataType::Int64),
            ("total_data_files_count", DataType::Int64),
        ],
    },
];

/// The columns that a procedure answers with.
///
/// # Errors
/// [`EngineError::Statement`] for a procedure that there is not.
pub fn answer_schema(call: &Call) -> Result<SchemaRef> {
    Ok(procedure(call)?.schema())
}

/// Procedures that Spark has besides, each with what to do instead.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "rewrite_position_delete_files",
        "rewrite_data_files writes files anew of which rows are gone, and what deleted them leaves with them",
    ),
    (
        "compute_partition_stats",
        "\"t$partitions\" counts files and rows of partitions when it is asked",
    ),
    (
        "add_files",
        "the catalog's REST interface takes files in (POST …/tables/{table}/append-files)",
    ),
    (
        "snapshot",
        "a copy is CREATE TABLE … AS SELECT, a state to try changes on ALTER TABLE … CREATE BRANCH",
    ),
    (
        "migrate",
        "the catalog's REST interface takes Parquet files in (POST …/tables/{table}/append-files)",
    ),
    ("rewrite_table_path", "tables stay at the location that they have"),
    (
        "create_changelog_view",
        "changes('t', from, to) answers the changes between two snapshots",
    ),
    (
        "undelete_column",
        "an older version still has it (FOR VERSION AS OF), and rollback_to_snapshot goes back to one",
    ),
];

fn procedure(call: &Call) -> Result<&'static Procedure> {
    let found = PROCEDURES.iter().find(|procedure| procedure.name == call.procedure);
    found.ok_or_else(|| {
        if let Some((name, advice)) = ELSEWHERE.iter().find(|(name, _)| *name == call.procedure) {
            return EngineError::statement(format!("there is no procedure {name:?}: {advice}"));
        }
        let names: Vec<&str> = PROCEDURES.iter().map(|procedure| procedure.name).collect();
        EngineError::statement(format!(
            "there is no procedure {:?}: there are {}",
            call.procedure,
            names.join(", ")
        ))
    })
}

impl Procedure {
    fn schema(&self) -> SchemaRef {
        let fields = self.answer.iter().map(|(name, of)| Field::new(*name, of.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// One row of numbers, in the columns' order.
    fn numbers(&self, values: &[i64]) -> Result<RecordBatch> {
        let columns = self.answer.iter().zip(values).map(|((_, of), value)| -> ArrayRef {
            match of {
                DataType::Int32 => Arc::new(Int32Array::from(vec![i32::try_from(*value).unwrap_or(i32::MAX)])),
                _ => Arc::new(Int64Array::from(vec![*value])),
            }
        });
        let columns: Vec<ArrayRef> = columns.collect();
        Ok(RecordBatch::try_new(self.schema(), columns).map_err(DataFusionError::from)?)
    }

    /// One column of text.
    fn texts(&self, values: Vec<String>) -> Result<RecordBatch> {
        let column: ArrayRef = Arc::new(StringArray::from(values));
        Ok(RecordBatch::try_new(self.schema(), vec![column]).map_err(DataFusionError::from)?)
    }
}

impl Workshop<'_> {
    /// Carries a procedure out.
    pub(super) async fn call(&self, call: &Call) -> Result<Done> {
        let procedure = procedure(call)?;
        let arguments = Arguments::of(call, procedure.arguments, procedure.not_taken)?;
        let answer = match procedure.name {
            "rewrite_data_files" => self.rewrite_data_files(procedure, &arguments).await,
            "expire_snapshots" => self.expire_snapshots(procedure, &arguments).await,
            "rollback_to_snapshot" | "rollback_to_timestamp" | "set_current_snapshot" => {
                self.move_head(procedure, &arguments).await
            }
            "rewrite_manifests" => self.rewrite_manifests(procedure, &arguments).await,
            "compute_table_stats" => self.compute_table_stats(procedure, &arguments).await,
            "remove_orphan_files" => self.remove_orphan_files(procedure, &arguments).await,
            "cherrypick_snapshot" => self.cherry_pick(procedure, &arguments).await,
            "publish_changes" => self.publish(procedure, &arguments).await,
            "ancestors_of" => self.ancestors_of(procedure, &arguments).await,
            "fast_forward" => self.fast_forward(procedure, &arguments).await,
            "register_table" => self.register_table(procedure, &arguments).await,
            other => Err(EngineError::statement(format!("procedure {other} is not carried out"))),
        }?;
        Ok(Done {
            answer: Some(answer),
            ..Done::default()
        })
    }
}

#[cfg(test)]
mod tests;
