//! Planning itself.

use iceberg::spec::TableMetadata;
use serde_json::{Map, Value, json};

use super::answer::{Style, Tasks};
use super::expression::Filter;
use super::request::Pinned;
use crate::commit::Files;
use crate::error::{CatalogError, Result};
use crate::warehouse::Warehouse;
use tidewater_table::{FileStore, Part, Predicate, Scan, ScanParts, TableError, Verdict};

/// Files in one answer: about a megabyte of JSON. A larger scan is answered with plan tasks.
pub(crate) const FILES_PER_ANSWER_MAX: usize = 2_000;

/// Longest plan id that is given out: it stands in a path, and servers in between cut paths at 8 KiB.
const PLAN_ID_BYTES_MAX: usize = 4_096;

/// Longest plan task. A filter that does not fit is planned in one answer: each task would repeat it.
const PLAN_TASK_BYTES_MAX: usize = 64 << 10;

/// What planning needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planner<'a> {
    pub(crate) store: &'a FileStore,
    pub(crate) warehouse: &'a Warehouse,
    /// What the table may name, where grants bind who asks: what manifests tell of rows is told to clients.
    pub(crate) files: Option<Files<'a>>,
    pub(crate) table: &'a TableMetadata,
    /// Whether the client can read a null among partition values.
    pub(crate) null_partitions: bool,
    /// Files in one answer.
    pub(crate) files_max: usize,
}

/// The members of an answer.
pub(crate) type Planned = Map<String, Value>;

impl Planner<'_> {
    /// The whole scan: its files, or tasks to ask for them.
    pub(crate) async fn plan(&self, pinned: &Pinned) -> Result<Planned> {
        let filter = pinned.bound(self.table)?;
        let condition = filter.as_ref().map(Filter::condition);
        let mut answer = Map::new();
        answer.insert("status".into(), json!("completed"));
        let id = pinned.handle()?;
        if id.len() <= PLAN_ID_BYTES_MAX {
            answer.insert("plan-id".into(), json!(id));
        }
        let Some(scan) = self.open(pinned, filter.as_ref(), condition.as_ref()).await? else {
            Tasks::default().into_answer(&mut answer);
            return Ok(answer);
        };
        let parts = scan.cut(self.files_max);
        match parts.as_slice() {
            [] => Tasks::default().into_answer(&mut answer),
            [whole] => self.read(&scan, *whole, pinned, filter.as_ref(), &mut answer).await?,
            parts => {
                let tasks: Result<Vec<String>> = parts.iter().map(|part| pinned.of_part(*part).handle()).collect();
                let tasks = tasks?;
                if tasks.iter().all(|task| task.len() <= PLAN_TASK_BYTES_MAX) {
                    answer.insert("plan-tasks".into(), json!(tasks));
                } else {
                    let whole = Part {
                        first: 0,
                        end: usize::MAX,
                        skip: 0,
                        take: usize::MAX,
                    };
                    self.read(&scan, whole, pinned, filter.as_ref(), &mut answer).await?;
                }
            }
        }
        Ok(answer)
    }

    /// The files of one task.
    pub(crate) async fn task(&self, pinned: &Pinned) -> Result<Planned> {
        let part = pinned.part.ok_or(CatalogError::NoSuchPlan { what: "plan task" })?;
        let filter = pinned.bound(self.table)?;
        let condition = filter.as_ref().map(Filter::condition);
        let mut answer = Map::new();
        match self.open(pinned, filter.as_ref(), condition.as_ref()).await? {
            Some(scan) => self.read(&scan, part, pinned, filter.as_ref(), &mut answer).await?,
            None => Tasks::default().into_answer(&mut answer),
        }
        Ok(answer)
    }

    /// None when no row can fulfil the filter, or there is no snapshot.
    async fn open<'s>(
        &'s self,
        pinned: &Pinned,
        filter: Option<&Filter>,
        condition: Option<&'s Predicate>,
    ) -> Result<Option<ScanParts<'s>>> {
        let Some(snapshot) = pinned.snapshot else {
            return Ok(None);
        };
        if filter == Some(&Filter::False) {
            return Ok(None);
        }
        self.check_lists(pinned)?;
        let mut scan = Scan::new(self.store, self.table)
            .snapshot(Some(snapshot))
            .filter(condition);
        if pinned.after.is_some() {
            scan = scan.appended_after(pinned.after);
        }
        let scan = scan.parts().await.map_err(|error| self.failed(error))?;
        for path in scan.manifest_paths() {
            self.check(path)?;
        }
        Ok(Some(scan))
    }

    fn check(&self, path: &str) -> Result<()> {
        self.warehouse.checked(path)?;
        match self.files {
            Some(files) => files.check_content(path),
            None => Ok(()),
        }
    }

    /// Clients write the names of lists and manifests: what lies outside of the warehouse, or is another table's, is not read for them.
    fn check_lists(&self, pinned: &Pinned) -> Result<()> {
        let mut at = pinned.snapshot;
        while let Some(snapshot) = at.and_then(|id| self.table.snapshot_by_id(id)) {
            self.check(snapshot.manifest_list())?;
            let id = Some(snapshot.snapshot_id());
            at = match pinned.after {
                Some(_) if pinned.after != id => snapshot.parent_snapshot_id(),
                _ => None,
            };
        }
        Ok(())
    }

    async fn read(
        &self,
        scan: &ScanParts<'_>,
        part: Part,
        pinned: &Pinned,
        filter: Option<&Filter>,
        answer: &mut Planned,
    ) -> Result<()> {
        let files = scan.read(part).await.map_err(|error| self.failed(error))?;
        let style = Style {
            table: self.table,
            stats: &pinned.stats,
            null_partitions: self.null_partitions,
        };
        let mut tasks = Tasks::default();
        for file in &files {
            if let Some(own) = self.files {
                file.paths().try_for_each(|path| own.check_content(path))?;
            }
            let verdict = |condition: &Predicate| match condition {
                // Nothing is known of a condition that pruning does not understand.
                Predicate::Always => Verdict::Unknown,
                condition => scan.verdict(condition, file),
            };
            let residual = filter.map(|filter| filter.residual(&verdict));
            if residual == Some(Filter::False) {
                continue;
            }
            tasks.push(file, residual.as_ref(), style)?;
        }
        tasks.into_answer(answer);
        Ok(())
    }

    fn failed(&self, error: TableError) -> CatalogError {
        let location = self.table.location().to_owned();
        match error {
            TableError::FileNotFound { location } => CatalogError::MissingFile { location },
            TableError::HistoryBroken { reason, .. } => {
                CatalogError::bad_request(format!("the appends between these snapshots cannot be told: {reason}"))
            }
            TableError::SnapshotNotFound { snapshot_id } => {
                CatalogError::bad_request(format!("the table has no snapshot {snapshot_id}"))
            }
            TableError::Unsupported { what } => CatalogError::Unsupported { what },
            TableError::Store { .. } | TableError::Disk { .. } | TableError::StoreTimeout { .. } => {
                CatalogError::Store {
                    action: "plan a scan of",
                    location,
                    source: Box::new(error),
                }
            }
            error => CatalogError::Damaged {
                location,
                reason: format!("a scan of it cannot be planned: {error}"),
            },
        }
    }
}
