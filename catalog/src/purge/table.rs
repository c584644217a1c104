//! The purge of one table's files.

use std::collections::BTreeMap;

use futures::future::join_all;
use iceberg::spec::{ManifestFile, TableMetadata};
use uuid::Uuid;

use super::neighbours::Neighbours;
use crate::command::{DropJobProblem, DropOp, PurgeProgress, PurgeStage};
use crate::error::{CatalogError, Result};
use crate::metadata::{METADATA_BYTES_MAX, parse, read_compared};
use crate::raft::Fence;
use crate::service::Service;
use crate::state::{DropWork, DroppedTable};
use tidewater_table::reachable::{content_of, manifests_of, metadata_files_of};
use tidewater_table::{FileStore, TableError};

/// Files deleted at a time: enough to hide the latency of a store, few enough not to crowd out commits.
const DELETES_AT_ONCE: usize = 16;

/// Files between two looks at the state and two entries of the log.
const BATCH_FILES: usize = if cfg!(test) { 2 } else { 256 };

/// Manifests of one table that are kept in memory, some 400 MB at most.
const MANIFESTS_MAX: usize = 1_000_000;

/// A purge at work.
pub(super) struct Purge<'a> {
    service: &'a Service,
    job: Uuid,
    fence: Fence,
    dropped: DroppedTable,
    /// The table's own location in its normal form.
    location: String,
    neighbours: Neighbours,
    progress: PurgeProgress,
    /// Files that wait to be deleted.
    batch: Vec<String>,
}

impl<'a> Purge<'a> {
    /// Takes up a job that was claimed, where it was left.
    pub(super) async fn new(service: &'a Service, job: Uuid, fence: Fence) -> Result<Self> {
        let state = service.fresh_state().await?;
        let unknown = || CatalogError::DropJob {
            job,
            problem: DropJobProblem::Unknown,
        };
        let row = state.drop_job(job).ok_or_else(unknown)?;
        let DropWork::Purge { table, progress } = &row.work else {
            return Err(unknown());
        };
        let dropped = state.dropped(table.id).ok_or_else(unknown)?.clone();
        let location = service.warehouse.checked(&dropped.row.pointer.location);
        let location = location.map_err(|error| CatalogError::NotPurged {
            table: table.name.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            service,
            job,
            fence,
            location,
            neighbours: Neighbours::default(),
            progress: *progress,
            batch: Vec::new(),
            dropped,
        })
    }

    /// Deletes what is left to delete; answers what it came to.
    pub(super) async fn run(mut self) -> Result<PurgeProgress> {
        let Some(metadata) = self.metadata().await? else {
            // It goes last, so everything else is gone.
            return Ok(self.progress);
        };
        if self.progress.stage < PurgeStage::Metadata {
            let manifests = self.manifests(&metadata).await?;
            self.progress.manifests_count = manifests.len() as u64;
            if self.progress.stage == PurgeStage::Content {
                // The table's owner said that its data files may be others' too.
                if metadata
                    .properties()
                    .get("gc.enabled")
                    .is_none_or(|word| word != "false")
                {
                    self.content(&manifests).await?;
                }
                self.enter(PurgeStage::Manifests).await?;
            }
            let done = usize::try_from(self.progress.manifests_done).unwrap_or(usize::MAX);
            for path in manifests.keys().skip(done) {
                self.progress.manifests_done += 1;
                self.push(path.clone()).await?;
            }
            self.enter(PurgeStage::Metadata).await?;
        }
        let current = self.dropped.row.pointer.metadata_location.clone();
        let begun = usize::try_from(self.progress.entries_done).unwrap_or(usize::MAX);
        let others = metadata_files_of(&metadata).into_iter().filter(|path| *path != current);
        for path in others.skip(begun) {
            self.progress.entries_done += 1;
            self.push(path).await?;
        }
        self.flush().await?;
        // Without it nobody would know what else there was.
        self.push(current).await?;
        self.flush().await?;
        Ok(self.progress)
    }

    /// Nothing when everything is gone.
    async fn metadata(&self) -> Result<Option<TableMetadata>> {
        let location = &self.dropped.row.pointer.metadata_location;
        let read = read_compared(&*self.service.store, location).await;
        // What it names is not what the table named: nothing is deleted by it.
        let read = read.map_err(|error| match error {
            CatalogError::Damaged { .. } => self.not_known(error.to_string()),
            other => other,
        });
        let Some(bytes) = read? else {
            return match self.progress.stage {
                PurgeStage::Metadata => Ok(None),
                _ => Err(self.not_known(format!("metadata file {location} is gone"))),
            };
        };
        if bytes.len() > METADATA_BYTES_MAX {
            return Err(self.not_known(format!("metadata file {location} is too large")));
        }
        let metadata: TableMetadata =
            parse(&bytes).map_err(|error| self.not_known(format!("metadata file {location} is damaged: {error}")))?;
        if metadata.uuid() != self.dropped.row.pointer.uuid {
            return Err(self.not_known(format!("metadata file {location} is another table's")));
        }
        Ok(Some(metadata))
    }

    /// By path, which is the same order after every start: lists never change, and are deleted after manifests.
    async fn manifests(&self, metadata: &TableMetadata) -> Result<BTreeMap<String, ManifestFile>> {
        let mut found = BTreeMap::new();
        for snapshot in metadata.snapshots() {
            let list = snapshot.manifest_list();
            if self.service.warehouse.file_below(&self.location, list).is_none() {
                // Not this table's, or so it looks: what it names is nobody's business here.
                tracing::warn!(table = %self.dropped.row.name, list, "manifest list outside of the table's location is not read");
                continue;
            }
            let Some(manifests) = self.read(list, manifests_of(self.files()?, metadata, snapshot).await)? else {
                continue;
            };
            found.extend(manifests.into_iter().map(|file| (file.manifest_path.clone(), file)));
            if found.len() > MANIFESTS_MAX {
                return Err(self.not_known(format!("it has more than {MANIFESTS_MAX} manifests")));
            }
        }
        Ok(found)
    }

    async fn content(&mut self, manifests: &BTreeMap<String, ManifestFile>) -> Result<()> {
        let done = usize::try_from(self.progress.manifests_done).unwrap_or(usize::MAX);
        for (path, manifest) in manifests.iter().skip(done) {
            let is_own = self.service.warehouse.file_below(&self.location, path).is_some();
            let content = match is_own {
                true => self.read(path, content_of(self.files()?, manifest).await)?,
                false => None,
            };
            let begun = usize::try_from(self.progress.entries_done).unwrap_or(usize::MAX);
            for file in content.into_iter().flatten().skip(begun) {
                self.progress.entries_done += 1;
                self.push(file).await?;
            }
            self.progress.manifests_done += 1;
            self.progress.entries_done = 0;
        }
        Ok(())
    }

    /// What was read; nothing when the file is gone: what it named cannot be known and is left.
    fn read<T>(&self, path: &str, read: Result<T, TableError>) -> Result<Option<T>> {
        match read {
            Ok(found) => Ok(Some(found)),
            Err(TableError::FileNotFound { .. }) => {
                tracing::warn!(table = %self.dropped.row.name, path, "a file that names others is gone, what it named is left");
                Ok(None)
            }
            Err(error @ (TableError::Store { .. } | TableError::Disk { .. } | TableError::StoreTimeout { .. })) => {
                Err(CatalogError::Store {
                    action: "read",
                    location: path.to_owned(),
                    source: Box::new(error),
                })
            }
            Err(error) => Err(self.not_known(format!("{path} cannot be read: {error}"))),
        }
    }

    fn files(&self) -> Result<&'a FileStore> {
        let files = self.service.store.files();
        files.ok_or_else(|| self.not_known("this store cannot read manifests".into()))
    }

    async fn enter(&mut self, stage: PurgeStage) -> Result<()> {
        self.flush().await?;
        self.progress = PurgeProgress {
            stage,
            manifests_done: 0,
            entries_done: 0,
            ..self.progress
        };
        self.tell().await
    }

    async fn push(&mut self, file: String) -> Result<()> {
        self.batch.push(file);
        if self.batch.len() >= BATCH_FILES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Deletes the batch as far as it is the table's own, and tells so.
    async fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let state = self.service.fresh_state().await?;
        let is_held = state
            .drop_job(self.job)
            .is_some_and(|job| !job.phase.is_final() && job.fence == Some(self.fence));
        if !is_held {
            return Err(CatalogError::DropJob {
                job: self.job,
                problem: DropJobProblem::Fenced,
            });
        }
        // A table may have been made here, or taken one of the files over, since the last batch.
        self.neighbours
            .refresh(self.service, &state, &self.dropped, &self.location)
            .await?;
        let all = std::mem::take(&mut self.batch);
        let own: Vec<String> = all
            .iter()
            .filter_map(|path| self.service.warehouse.file_below(&self.location, path))
            .filter(|path| !self.neighbours.own(path))
            .collect();
        for some in own.chunks(DELETES_AT_ONCE) {
            let deleted = join_all(some.iter().map(|file| self.service.store.delete(file))).await;
            deleted.into_iter().collect::<Result<()>>()?;
        }
        self.progress.deleted += own.len() as u64;
        self.progress.left += (all.len() - own.len()) as u64;
        self.tell().await
    }

    async fn tell(&self) -> Result<()> {
        let told = DropOp::Progress {
            job: self.job,
            fence: self.fence,
            progress: self.progress,
        };
        self.service.propose_drop(told).await
    }

    fn not_known(&self, reason: String) -> CatalogError {
        CatalogError::NotPurged {
            table: self.dropped.row.name.clone(),
            reason,
        }
    }
}
