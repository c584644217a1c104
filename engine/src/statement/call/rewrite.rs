//! `CALL system.rewrite_data_files`: what its arguments and options ask for.

use datafusion::arrow::array::RecordBatch;
use tidewater_table::{GroupOrder, LoadedTable, RewriteOptions};

use super::super::Workshop;
use super::{Arguments, Procedure};
use crate::compaction::{Layout, RowOrder, reachable};
use crate::error::{EngineError, Result};
use crate::sql::RowTarget;

/// The options there are, those without effect left out.
const OPTIONS: &str = "target-file-size-bytes, min-file-size-bytes, max-file-size-bytes, min-input-files, rewrite-all, \
                       rewrite-job-order, max-file-group-size-bytes, max-file-group-input-files, max-files-to-rewrite, \
                       output-spec-id";

/// Options about Spark's jobs. Here every group is a commit of its own, and one that fails keeps none of the others from theirs.
const IDLE: &[&str] = &[
    "max-concurrent-file-group-rewrites",
    "partial-progress.max-commits",
    "partial-progress.max-failed-commits",
    "compression-factor",
    "shuffle-partitions-per-file",
    "var-length-contribution",
    "max-output-size",
    // Files of which rows are gone are always written anew.
    "delete-file-threshold",
    "delete-ratio-threshold",
];

impl Workshop<'_> {
    /// Small files become larger ones, too large ones several, and rows lie in an order.
    pub(super) async fn rewrite_data_files(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let table = self.engine.load(&self.about(arguments)?).await?;
        let order = order(arguments, &table)?;
        let options = RewriteOptions {
            target_file_size_bytes: self.engine.options().write.target_file_size_bytes,
            everything: true,
            whole: order.is_some(),
            ..RewriteOptions::default()
        };
        let mut options = self.engine.sized(&table, &options)?;
        for (key, value) in arguments.map("options")? {
            take(&mut options, &table, &key, &value)?;
        }
        require_sizes(&options)?;
        let layout = Layout {
            filter: match arguments.text("where")? {
                Some(condition) => Some(self.reached(&table, &condition).await?),
                None => None,
            },
            order,
            branch: branch(arguments, &table)?,
        };
        let done = self.engine.lay_out(self.runner, &table, &options, &layout).await?;
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        procedure.numbers(&[
            count(done.files_removed),
            count(done.files_added),
            i64::try_from(done.bytes_removed).unwrap_or(i64::MAX),
            count(done.files_failed),
            i64::try_from(done.deletes_removed).unwrap_or(i64::MAX),
        ])
    }
}

/// What `strategy` and `sort_order` ask for. An order says by itself that rows are to be sorted.
fn order(arguments: &Arguments, table: &LoadedTable) -> Result<Option<RowOrder>> {
    let strategy = arguments.text("strategy")?.map(|strategy| strategy.to_lowercase());
    let order = arguments.text("sort_order")?;
    match (strategy.as_deref(), order) {
        (None | Some("sort"), Some(order)) => RowOrder::parse(&order, &table.metadata).map(Some),
        (Some("sort"), None) => match RowOrder::of_table(&table.metadata)? {
            Some(order) => Ok(Some(order)),
            None => Err(EngineError::statement(format!(
                "{} has no sort order: give sort_order => '…', or ALTER TABLE … WRITE ORDERED BY …",
                table.name
            ))),
        },
        (None | Some("binpack"), None) => Ok(None),
        (Some("binpack"), Some(_)) => Err(EngineError::statement(
            "binpack has no sort_order: give strategy => 'sort'",
        )),
        (Some(other), _) => Err(EngineError::statement(format!(
            "there is no strategy {other:?}: there are binpack and sort"
        ))),
    }
}

/// The branch that is named, with where it stands; `None` for main.
fn branch(arguments: &Arguments, table: &LoadedTable) -> Result<Option<(String, i64)>> {
    let Some(name) = arguments.text("branch")? else {
        return Ok(None);
    };
    let target = RowTarget {
        table: table.name.clone(),
        branch: Some(name.clone()),
        staged: None,
    };
    let at = target.head(table)?.of_branch();
    Ok(at.map(|snapshot_id| (name, snapshot_id)))
}

/// Takes one option.
fn take(options: &mut RewriteOptions, table: &LoadedTable, key: &str, value: &str) -> Result<()> {
    let refused = |wanted: &str| EngineError::statement(format!("option {key:?} is to be {wanted}, not {value:?}"));
    let number = || value.parse::<u64>().map_err(|_| refused("a whole number"));
    let count = || match number()? {
        0 => Err(refused("1 at least")),
        number => Ok(number),
    };
    let truth = || {
        let parsed = value.to_lowercase().parse::<bool>();
        parsed.map_err(|_| refused("true or false"))
    };
    let not_taken = |advice: &str| EngineError::NotTaken {
        procedure: "rewrite_data_files".into(),
        what: format!("option {key:?} with value {value:?}"),
        advice: advice.into(),
    };
    match key {
        "target-file-size-bytes" => options.target_file_size_bytes = count()?,
        "min-file-size-bytes" => options.small_below_bytes = Some(number()?),
        "max-file-size-bytes" => options.large_above_bytes = Some(count()?),
        "max-file-group-size-bytes" => options.group_bytes_max = count()?,
        "max-file-group-input-files" => options.group_files_max = usize::try_from(count()?).unwrap_or(usize::MAX),
        "max-files-to-rewrite" => options.files_max = Some(usize::try_from(count()?).unwrap_or(usize::MAX)),
        "min-input-files" => options.everything_files_min = usize::try_from(count()?).unwrap_or(usize::MAX),
        "rewrite-all" => options.whole |= truth()?,
        "rewrite-job-order" => {
            options.first = match value.to_lowercase().as_str() {
                "none" | "files-desc" => GroupOrder::MostFiles,
                "files-asc" => GroupOrder::FewestFiles,
                "bytes-desc" => GroupOrder::MostBytes,
                "bytes-asc" => GroupOrder::FewestBytes,
                _ => return Err(refused("none, bytes-asc, bytes-desc, files-asc or files-desc")),
            }
        }
        "output-spec-id" => {
            if number()? != u64::try_from(table.metadata.default_partition_spec_id()).unwrap_or(u64::MAX) {
                return Err(not_taken("new files have the table's present partition spec"));
            }
        }
        // Files have the number of their commit whatever is asked for. No row that was deleted meanwhile comes back by that: deletes
        // that may reach the files of a group are a conflict, and it is left.
        "partial-progress.enabled" | "use-starting-sequence-number" => {
            truth()?;
        }
        "remove-dangling-deletes" => {
            if truth()? {
                return Err(not_taken(
                    "what deletes rows of one file leaves with it, and no other delete file is looked at",
                ));
            }
        }
        idle if IDLE.contains(&idle) => match value.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => {}
            _ => return Err(refused("a number")),
        },
        _ => {
            return Err(EngineError::NotTaken {
                procedure: "rewrite_data_files".into(),
                what: format!("option {key:?}"),
                advice: format!("it takes {OPTIONS}"),
            });
        }
    }
    Ok(())
}

/// Refuses sizes by which new files would be written anew the next time.
fn require_sizes(options: &RewriteOptions) -> Result<()> {
    let target = reachable(options).target_file_size_bytes;
    let is_right = options.small_below_bytes.is_none_or(|small| small < target)
        && options.large_above_bytes.is_none_or(|large| large > target);
    match is_right {
        true => Ok(()),
        false => Err(EngineError::statement(format!(
            "min-file-size-bytes has to be less than the size of new files, {target} bytes, and max-file-size-bytes more"
        ))),
    }
}
