//! What is noted of runs: in their rows, and in the snapshots of those that somebody asked for.

use std::time::Duration;

use iceberg::spec::SnapshotRef;
use tidewater_catalog_client::dto::{JobPhase, JobRow};
use tidewater_core::{JobId, TableName};
use tidewater_table::{Change, LoadedTable};

use crate::error::Result;
use crate::model::{Kind, Model};
use crate::pipelines::Inner;
use crate::report::ModelRun;
use crate::run_log::RunRow;

/// Times that the end of a run is written while the catalog does not answer, or others write the row.
const NOTES_MAX: u32 = 5;

/// Wait before it is written again.
const NOTE_WAIT: Duration = Duration::from_secs(2);

/// Summary key that names the run which somebody asked for and a snapshot comes from, by the id of its row.
pub(crate) const RUN_ID_KEY: &str = "tidewater.run-id";

impl Inner {
    /// Writes the row. An end is written again and again for a while: a row that stays open is run once more by the next process.
    pub(crate) async fn note(&self, row: &RunRow, run: &ModelRun, phase: JobPhase) {
        for _ in 0..NOTES_MAX {
            match self.noted(row, run, phase).await {
                Ok(true) => return,
                // Somebody wrote it in between.
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(model = %run.name, %error, "the run was not noted");
                    if !phase.is_final() {
                        return;
                    }
                    self.worker.clock.sleep(NOTE_WAIT).await;
                }
            }
        }
    }

    /// Whether the row is done with: it is written, or another process works on it now, or it has ended and this is no end.
    async fn noted(&self, row: &RunRow, run: &ModelRun, phase: JobPhase) -> Result<bool> {
        let log = &self.worker.log;
        let mut put = row.put(run, phase);
        if row.asked.is_some() {
            let found = log.read(row.id).await?;
            let is_taken = |found: &JobRow| {
                RunRow::of(found).attempt > row.attempt || (found.phase.is_final() && !phase.is_final())
            };
            if found.as_ref().is_some_and(is_taken) {
                return Ok(true);
            }
            put.expect_version = Some(found.map_or(0, |found| found.version));
        }
        // Where no version is expected, a refusal says that the row has ended.
        Ok(log.write(row.id, &put).await? || put.expect_version.is_none())
    }
}

/// Whether a model's row stands from the beginning, and ends even if there was nothing to do. Views never run.
pub(crate) fn is_noted(row: &RunRow, model: &Model) -> bool {
    row.asked.is_some() && !matches!(model.kind, Kind::View)
}

/// The changes, with the run that they are of.
pub(crate) fn of_run(changes: Vec<(TableName, Change)>, run: JobId) -> Vec<(TableName, Change)> {
    let run = run.to_string();
    let named = |(table, change): (TableName, Change)| (table, change.property(RUN_ID_KEY, run.as_str()));
    changes.into_iter().map(named).collect()
}

/// Whether a run that was asked for later has committed, so that an older one which goes on would bring an older state back. Ids are in
/// the order of time.
pub(crate) fn is_overtaken(table: &LoadedTable, row: &RunRow) -> bool {
    if row.attempt == 1 || row.asked.is_none_or(|asked| asked.options.full_refresh) {
        return false;
    }
    let mut runs = table.metadata.snapshots().filter_map(|snapshot| {
        let run = snapshot.summary().additional_properties.get(RUN_ID_KEY)?;
        run.parse::<JobId>().ok()
    });
    runs.any(|run| run > row.id)
}

/// The snapshot that a run has committed to a table, in an earlier attempt or in another process.
pub(crate) fn committed_by<'a>(table: &'a LoadedTable, row: &RunRow) -> Option<&'a SnapshotRef> {
    let run = row.asked.map(|_| row.id.to_string())?;
    let mut snapshots = table.metadata.snapshots();
    snapshots.find(|snapshot| snapshot.summary().additional_properties.get(RUN_ID_KEY) == Some(&run))
}
